"""The only place that calls a back-end's connection.

A back-end may raise whatever its library raises, and says "nothing came in time" and "the stream
has ended" in more ways than one. Here all of it becomes one of a few things that the rest of the
package acts on. What a signal handler or another greenlet throws into the middle of a call is none
of the back-end's failures: it passes as it is.
"""

from __future__ import absolute_import, division, print_function

import six

from .._compat import MYPY, text_of
from .._interrupts import is_interrupt
from ..errors import ConnectError, ConnectionLost, Timeout, is_timeout

if MYPY:
    from typing import Any, List, Optional, Sequence

    from . import BaseBackend, BaseConnection, BaseConnectionAttempt

__all__ = ["Link", "start_connecting", "wait_for"]


class Link(object):
    """A connection of a back-end, with one way to say each thing.

    :param connection: the :class:`~apnsclient.backends.BaseConnection`.
    """

    __slots__ = ("connection",)

    def __init__(self, connection):
        # type: (BaseConnection) -> None
        self.connection = connection

    def peek(self, size):
        # type: (int) -> Optional[bytes]
        """Read what has arrived, without waiting.

        :param size: most bytes to return (int, at least 1).
        :return: bytes; ``b""`` at the end of the stream; None when nothing can be read now.
        :raises ~apnsclient.errors.ConnectError: if the server never accepted us.
        :raises ~apnsclient.errors.ConnectionLost: if the connection has failed.
        """
        try:
            return self.connection.peek(size)
        except Exception as error:
            self._fail(error)
            raise

    def read(self, size, timeout):
        # type: (int, Optional[float]) -> Optional[bytes]
        """Read, waiting until at least one byte is there.

        :param size: most bytes to return (int, at least 1).
        :param timeout: longest wait in seconds (float, above 0); None waits for ever.
        :return: bytes; ``b""`` at the end of the stream; None when nothing came in time.
        :raises ~apnsclient.errors.ConnectError: if the server never accepted us.
        :raises ~apnsclient.errors.ConnectionLost: if the connection has failed.
        """
        try:
            return self.connection.read(size, timeout) or b""
        except Exception as error:
            if is_timeout(error) and not is_interrupt():
                return None
            self._fail(error)
            raise

    def write(self, data, timeout):
        # type: (bytes, Optional[float]) -> None
        """Write all of it, or raise.

        :param data: bytes to write, at least one.
        :param timeout: longest time in seconds (float), for the whole call; None waits for ever.
        :raises ~apnsclient.errors.Timeout: if the peer did not take all in time.
        :raises ~apnsclient.errors.ConnectError: if the server never accepted us.
        :raises ~apnsclient.errors.ConnectionLost: if the connection has failed.
        """
        try:
            self.connection.write(data, timeout)
        except Exception as error:
            self._fail(error)
            raise

    def close(self):
        # type: () -> None
        """Close the connection, after everything that was written has gone out."""
        self.connection.close()

    def abort(self):
        # type: () -> None
        """Close the connection at once, without waiting for the peer."""
        self.connection.abort()

    def _fail(self, error):
        # type: (Exception) -> None
        """Raise what stands for an exception of the back-end, unless that is to pass as it is."""
        if isinstance(error, (ConnectError, ConnectionLost, Timeout)) or is_interrupt():
            return
        kind = Timeout if is_timeout(error) else ConnectionLost
        self.connection.logger.debug("the back-end raised", exc_info=True)
        six.raise_from(kind(text_of(error)), error)


def start_connecting(backend, address, credential, timeout, alpn):
    # type: (BaseBackend, Any, Any, Optional[float], Any) -> Optional[BaseConnectionAttempt]
    """Begin to open a connection, if a back-end can do so without waiting.

    A subclass may know of one way to open connections only, and lead it elsewhere.

    :return: see :meth:`~apnsclient.backends.BaseBackend.start_connecting`.
    :raises Exception: what the back-end raises.
    """
    if _depth(backend, "get_new_connection") < _depth(backend, "start_connecting"):
        return None
    return backend.start_connecting(address, credential, timeout, alpn=alpn)


def _depth(backend, name):
    # type: (BaseBackend, str) -> int
    """Return how far from a back-end itself a method is found: 0 for its own attribute."""
    places = [vars(backend)] + [vars(one) for one in type(backend).__mro__]  # type: List[Any]
    return next(depth for depth, place in enumerate(places) if name in place)


def wait_for(backend, links, timeout, waker):
    # type: (BaseBackend, Sequence[Any], Optional[float], Any) -> List[Any]
    """Wait for several connections of a back-end at once.

    :param backend: the :class:`~apnsclient.backends.BaseBackend` that they are of.
    :param links: links, or whatever else has such a ``connection``.
    :param timeout: longest time in seconds (float); None waits for ever.
    :param waker: what ends the wait as well; see
        :meth:`~apnsclient.backends.BaseBackend.create_waker`.
    :return: those over which something may have come.
    :raises ~apnsclient.errors.ConnectionLost: if the back-end cannot wait for them.
    """
    try:
        ready = backend.wait([link.connection for link in links], timeout, waker)
    except Exception as error:
        if isinstance(error, ConnectionLost) or is_interrupt():
            raise
        six.raise_from(ConnectionLost(text_of(error)), error)
    return [link for link in links if link.connection in ready]
