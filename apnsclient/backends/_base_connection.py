"""The base class of connections, whose documented home is :mod:`apnsclient.backends`."""

from __future__ import absolute_import, division, print_function

import logging

from .._compat import MYPY, monotonic
from .._process import this_process
from ..errors import ConnectionLost

if MYPY:
    from datetime import timedelta
    from typing import Any, Optional, Tuple

    from ..certificate import BaseCertificate

    Address = Tuple[str, int]

__all__ = ["BaseConnection", "BaseConnectionAttempt"]


class BaseConnection(object):
    """One TLS connection to one address with one certificate.

    A subclass calls this constructor and gives the six methods that raise ``NotImplementedError``
    here. By the time it is handed out it is open and the server is verified.

    It need not be safe for use by several threads at once: a connection is used by one thread until
    it is given back, and then perhaps by another one. An idle connection may be closed by any
    thread, by a finalizer, and while the interpreter exits.

    A :class:`~apnsclient.errors.ConnectError` that ``peek``, ``read`` or ``write`` raises says that
    the server never accepted us, as TLS 1.3 may tell only then: nothing was processed, and the
    exception passes to the caller of ``send()``. Any other exception leaves the outcome open.

    :param address: ``(host, port)`` that the connection leads to (str, int 1 to 65535).
    :param certificate: certificate that it was opened with.
    """

    # Names that a subclass is not to meet by accident have two underscores.

    #: State of the protocol that is spoken over this connection; put there by the session, and
    #: None as long as the connection has not been used. Back-ends leave it alone.
    protocol = None  # type: Any

    #: Name of the protocol (str) that the server chose of those offered with ALPN (RFC 7301); None
    #: if it chose none, or none was offered. A back-end that has ALPN sets it before it hands the
    #: connection out, and never after.
    alpn_protocol = None  # type: Optional[str]

    #: Whether the TLS handshake resumed an earlier session (bool), for observers; None where the
    #: back-end does not say.
    session_reused = None  # type: Optional[bool]

    #: What the peer sent while :meth:`close` read to the end of its stream (bytes): an error frame
    #: may come that late. Empty where it sent nothing, or the back-end does not keep it.
    received_on_close = b""

    def __init__(self, address, certificate):
        # type: (Address, BaseCertificate) -> None
        self.address = address
        self.certificate = certificate
        #: Where the session reports what becomes of the connection (``logging.Logger``). A back-end
        #: may set another one than that which is named like the module of the class.
        self.logger = logging.getLogger(type(self).__module__)
        self.__process = this_process()
        self.touch()

    @property
    def is_inherited(self):
        # type: () -> bool
        """True in a forked child of the process that opened the connection.

        Then the connection is the parent's. :meth:`close` must not write to it: a close-notify of
        the child would end the parent's connection. :meth:`read`, :meth:`peek` and :meth:`write`
        are only reached by a generator that the child goes on with; they must raise.
        """
        return self.__process != this_process()

    def clock(self):
        # type: () -> float
        """Return the time that timeouts are measured by: seconds (float) that never go back.

        A connection for tests may have a time of its own, in which its :meth:`read` and
        :meth:`write` take as long as they say; see :meth:`BaseBackend.clock`.
        """
        return monotonic()

    def touch(self):
        # type: () -> None
        """Note that the connection is in use now; :meth:`is_outdated` counts from here."""
        self.__touched = self.clock()

    def is_outdated(self, delta):
        # type: (timedelta) -> bool
        """Return True if the connection has not been used for as long as ``delta`` (timedelta)."""
        return self.clock() - self.__touched >= delta.total_seconds()

    def unacknowledged(self):
        # type: () -> int
        """Return how many bytes, at most, of what was written have not reached the peer's system.

        Silence proves nothing about a message as long as there are any. 0 where that is not known.
        """
        return 0

    def reset(self):
        # type: () -> None
        """Forget whatever is buffered in either direction, before a new transmission.

        That includes what the TLS library holds, as :meth:`read` may have left part of a record.
        Called when a connection is taken from the pool, after the session has read what was there.
        Does nothing where nothing is buffered. Raises nothing.
        """
        raise NotImplementedError("%s must implement reset()" % type(self).__name__)

    def peek(self, size):
        # type: (int) -> Optional[bytes]
        """Read what has arrived, without waiting.

        The session looks like this before it uses a pooled connection again, and every now and then
        while it writes: a ``peek`` that only ever returns None loses late error frames and finds
        out about dead connections too late.

        Where a thread of the back-end reads from the socket, this is what it has taken by now,
        then the end of the stream or its failure; there is no need to wait for it.

        :param size: most bytes to return (int, at least 1).
        :return: 1 to ``size`` bytes, which are then no longer in the buffer; ``b""`` at the end of
            the stream, with or without a close-notify, as often as it is called; None when nothing
            can be read now.
        :raises Exception: whatever the TLS library raises when the connection has failed.
        """
        raise NotImplementedError("%s must implement peek()" % type(self).__name__)

    def read(self, size, timeout):
        # type: (int, Optional[float]) -> Optional[bytes]
        """Read, waiting until at least one byte is there.

        :param size: most bytes to return (int, at least 1). Fewer are returned as soon as there
            are any.
        :param timeout: longest wait in seconds (float), for the whole call and not for each byte;
            None waits for ever.
        :return: 1 to ``size`` bytes; None at the end of the stream, as often as it is called.
        :raises ~apnsclient.errors.Timeout: if nothing came in time (``socket.timeout`` will do).
            The connection stays usable.
        :raises Exception: anything else, when the connection has failed.
        """
        raise NotImplementedError("%s must implement read()" % type(self).__name__)

    def write(self, data, timeout):
        # type: (bytes, Optional[float]) -> None
        """Write all of it, or raise.

        After a failure nothing more is written, but :meth:`read` and :meth:`peek` still return
        what had arrived: it may be the gateway's reason for hanging up.

        :param data: bytes to write, at least one.
        :param timeout: longest time in seconds (float), for the whole call; None waits for ever.
        :raises ~apnsclient.errors.Timeout: if the peer did not take all in time.
        :raises Exception: anything else, when the connection has failed.
        """
        raise NotImplementedError("%s must implement write()" % type(self).__name__)

    def close(self):
        # type: () -> None
        """Close the connection, after everything that was written has gone out.

        Send a close-notify, end our side of the stream, and read to the end of the other one: a
        socket that is closed with unread data in it, such as the session tickets of TLS 1.3, resets
        the connection, and what was written last is lost. Take about a second for it, and give the
        peer half a second at the least.
        Where nothing was written, as to the feedback service, leave out the reading: the service
        takes for known what was read.

        What is read may be kept, as far as it is not long, in :attr:`received_on_close`.

        Never raises, may be called again. Writes nothing where :attr:`is_inherited` is true.
        """
        raise NotImplementedError("%s must implement close()" % type(self).__name__)

    def abort(self):
        # type: () -> None
        """Close the connection at once, without waiting for the peer.

        Called where the peer has stopped responding, and where nothing that was written has still
        to reach it; others wait until it returns. What was written may be lost. By default the
        connection is closed like any other.
        """
        self.close()

    def closed(self):
        # type: () -> bool
        """Return True if the connection is of no more use.

        True once :meth:`close` was called, and, where the back-end can detect it, once the peer has
        ended the stream and all that came before its end has been read. Never raises or waits.
        """
        raise NotImplementedError("%s must implement closed()" % type(self).__name__)


class BaseConnectionAttempt(object):
    """A connection that is being opened while others are in use.

    :meth:`BaseBackend.start_connecting` returns one. It is used by one thread at a time, but not
    always by the same. :meth:`BaseBackend.wait` takes it like a connection, and counts it as ready
    when :meth:`advance` may get further.

    A subclass calls this constructor.
    """

    def __init__(self):
        # type: () -> None
        self.__process = this_process()

    def check_process(self):
        # type: () -> None
        """See that it does not belong to the parent of a forked process.

        :raises ~apnsclient.errors.ConnectionLost: if it does.
        """
        if self.__process != this_process():
            raise ConnectionLost("the connection belongs to the parent process; open another one "
                                 "after fork()")

    def advance(self):
        # type: () -> Optional[BaseConnection]
        """Go on as far as possible without waiting.

        :return: the connection, once it is open and the server is verified; None as long as
            something is waited for.
        :raises Exception: what :meth:`BaseBackend.get_new_connection` raises, also when its time is
            up. Whatever was opened is closed then.
        """
        raise NotImplementedError("%s must implement advance()" % type(self).__name__)

    def close(self):
        # type: () -> None
        """Give it up, and close what was opened, at once.

        Never raises, may be called again. In a forked child nothing is written.
        """
        raise NotImplementedError("%s must implement close()" % type(self).__name__)
