"""How a back-end waits: the one thing in which blocking and green back-ends differ.

All that a TLS connection does is tried first, on non-blocking sockets. Only where nothing can be
done at once somebody waits, and only here: for sockets, and for the system's resolver.
"""

from __future__ import absolute_import, division, print_function

import socket

from .._compat import MYPY, monotonic
from . import _sockets
from ._sockets import Deadline

if MYPY:
    from typing import Any, Iterable, List, Optional

    from ._sockets import Interest

__all__ = ["ThreadWaiting", "Waiting"]


class Waiting(object):
    """Lets whoever calls wait, be it a thread or a greenlet; one object serves all of them."""

    def wait(self, interests, timeout):
        # type: (Iterable[Interest], Optional[float]) -> List[Any]
        """Wait until something can be done; return the sockets concerned.

        May return none of them before the time is up. A socket that has failed or was hung up
        counts as ready, whatever was asked for.

        :param interests: pairs of a socket and whether it is to be written (bool) or read; at least
            one, and none of the sockets twice.
        :param timeout: longest wait in seconds (float), None for no limit.
        """
        raise NotImplementedError("%s must implement wait()" % type(self).__name__)

    def clock(self):
        # type: () -> float
        """Return the time that waiting is measured by: seconds (float) that never go back."""
        return monotonic()

    def deadline(self, timeout):
        # type: (Optional[float]) -> Deadline
        """Return the Deadline that is ``timeout`` seconds (float, None: never) from now."""
        return Deadline(timeout, self.clock)

    def resolve(self, host, port):
        # type: (str, int) -> List[Any]
        """Return what ``socket.getaddrinfo()`` returns for TCP; raise what it raises."""
        raise NotImplementedError("%s must implement resolve()" % type(self).__name__)

    def wait_for(self, waited, is_write, deadline):
        # type: (Any, bool, Deadline) -> bool
        """Wait for one socket; return False if the deadline has come, ready or not.

        :param waited: the socket.
        :param is_write: whether to wait until it can be written (bool), or until it can be read.
        """
        while not deadline.is_over():
            if self.wait([(waited, is_write)], deadline.left()):
                return True
        return False


class ThreadWaiting(Waiting):
    """Blocks the calling thread."""

    def wait(self, interests, timeout):
        # type: (Iterable[Interest], Optional[float]) -> List[Any]
        """Wait with ``select()`` or ``poll()``; see the base class."""
        return _sockets.wait(interests, timeout)

    def resolve(self, host, port):
        # type: (str, int) -> List[Any]
        """Ask the system's resolver; see the base class."""
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
