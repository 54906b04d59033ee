"""The sockets that handlers get: they look like blocking ones, and never hold up the rest.

``recv()`` waits, at most for the timeout, and meanwhile what is unsent of the whole connection goes
out. ``sendall()`` hands over what the system takes and keeps the rest, which goes out before
anything else; the proxy reads nothing further for a side that has something unsent, so what is kept
stays small. If it waited instead, two peers that both write before they read would block each other
for ever, which they do not without a proxy.

At the end of the stream ``recv()`` returns :data:`END`: bytes without content that also equal the
text ``""``. Handlers written for Python 2 compare with that, and go on until it comes.
"""

from __future__ import absolute_import, division, print_function

import errno
import os
import socket

from ..._compat import MYPY
from ...backends import _sockets
from .waiting import Sender

if MYPY:
    from typing import Any, Optional, Tuple

    from .waiting import Waiter

    Address = Tuple[str, int]

__all__ = ["CHUNK", "END", "Stream", "connect", "receive", "wait_for"]

#: Bytes that are read at once where nothing else is said.
CHUNK = 65536
#: Bytes that may be kept unsent before ``sendall()`` waits.
_MOST_UNSENT = 1 << 20


class _End(bytes):
    """The end of a stream; see the text of the module."""

    def __eq__(self, other):
        # type: (object) -> bool
        return other in (b"",) if isinstance(other, bytes) else other == u""

    def __ne__(self, other):
        # type: (object) -> bool
        return not self == other

    def __hash__(self):
        # type: () -> int
        return hash(b"")


#: What ``recv()`` returns at the end of a stream.
END = _End()


class Stream(Sender):
    """One side of a connection through the proxy; the part of a socket's methods that serves here.

    :param connected: non-blocking socket; the stream owns it.
    :param waiter: what its connection waits with.
    :param timeout: seconds that ``recv()`` and ``sendall()`` may take, None for no limit.
    :param name: ``"client"`` or ``"backend"``, for messages.
    :param unsent: what has to be sent first.

    :ivar received: how many bytes were read.
    :ivar sent: how many bytes were written, by ``send()`` or ``sendall()``.
    :ivar reads: how often it was read from.
    :ivar has_ended: whether the end of the stream has been read, or reading has failed.
    :ivar is_shut: whether the end of the stream has been written.
    :ivar is_broken: whether the peer has reset the connection, or gone away.
    """

    def __init__(self, connected, waiter, timeout, name, unsent=b""):
        # type: (Any, Waiter, Optional[float], str, bytes) -> None
        self._socket = connected
        self._waiter = waiter
        self._timeout = timeout
        self._name = name
        self._unsent = unsent
        self._flags = 0
        self._closed = False
        self._has_end = False  # The peer: of what we write.
        self.received = self.sent = self.reads = 0
        self.has_ended = self.is_shut = self.is_broken = False
        waiter.streams.append(self)

    # As sockets have it.

    def recv(self, size=CHUNK, flags=0):
        # type: (int, int) -> bytes
        """Read up to ``size`` bytes, waiting for at least one.

        :return: the bytes; at the end of the stream none, which also equal the text ``""``.
        :raises socket.timeout: if nothing came in time.
        :raises socket.error: if the connection has failed, or is closed.
        """
        self.reads += 1
        deadline = _sockets.Deadline(self._timeout)
        while True:
            if self.is_closed:
                raise self._failure(errno.EBADF)
            try:
                data = END if self.has_ended else self._take(size)
            except socket.error:
                self.has_ended = self.is_broken = True
                raise
            if data is not None:
                self.received += len(data)
                self.has_ended = not data
                return data or END
            if deadline.is_over():
                raise socket.timeout("nothing came from the %s within %s s"
                                     % (self._name, self._timeout))
            self._waiter.wait([self], deadline.left())

    def sendall(self, data, flags=0):
        # type: (bytes, int) -> None
        """Write all of ``data``; see the text of the module.

        :param flags: flags of the system's ``send()``, such as ``socket.MSG_EOR``.
        :raises socket.timeout: if the peer takes nothing, and more than a mebibyte is kept already.
        :raises socket.error: if the connection has failed, or its end has been written.
        """
        if not data:
            return
        if self.is_closed or self.is_shut:
            raise self._failure(errno.EPIPE)
        self.sent += len(data)
        self._flags = flags
        self._unsent += self._seal(data)
        self.flush()
        self._wait_for_room(_MOST_UNSENT)
        if self.is_broken:
            raise self._failure(errno.EPIPE)

    def send(self, data, flags=0):
        # type: (bytes, int) -> int
        """Do what :meth:`sendall` does, and return the number of bytes."""
        self.sendall(data)
        return len(data)

    def shutdown(self, how):
        # type: (int) -> None
        """End one direction or both (``socket.SHUT_RD``, ``SHUT_WR``, ``SHUT_RDWR``)."""
        if how in (socket.SHUT_RD, socket.SHUT_RDWR):
            self.has_ended = True
        if how in (socket.SHUT_WR, socket.SHUT_RDWR) and not self.is_shut and not self.is_closed:
            self._unsent += self._closing_bytes()
            self.is_shut = True
            self.flush()

    def close(self):
        # type: () -> None
        """Close the connection, once what is unsent has gone or the timeout is over."""
        if not self.is_closed:
            try:
                self._unsent += b"" if self.is_shut else self._closing_bytes()
                self.flush()
                self._wait_for_room(0)
            except socket.timeout:
                pass
            finally:
                self._finish()

    def reset(self):
        # type: () -> None
        """Reset the connection (TCP RST): the peer's reads and writes fail."""
        if not self.is_closed:
            _sockets.abandon(self._socket)
            self._finish()

    def fileno(self):
        # type: () -> int
        """Return the descriptor, -1 once it is closed."""
        return -1 if self.is_closed else int(self._socket.fileno())

    def settimeout(self, timeout):
        # type: (Optional[float]) -> None
        """Set the seconds that reading and writing may take; None for no limit."""
        self._timeout = timeout

    def getpeername(self):
        # type: () -> Any
        """Return the address of the peer."""
        return self._socket.getpeername()

    def getsockname(self):
        # type: () -> Any
        """Return our own address."""
        return self._socket.getsockname()

    def setsockopt(self, level, option, value):
        # type: (int, int, Any) -> None
        """Set an option of the socket."""
        self._socket.setsockopt(level, option, value)

    # For the proxy.

    @property
    def is_closed(self):
        # type: () -> bool
        """True if it has been closed, or a handler says so by ``_closed``."""
        return self._closed

    @property
    def has_unsent(self):
        # type: () -> bool
        """True if something is waiting to be sent."""
        return bool(self._unsent) and not self.is_closed

    def is_on_its_way(self):
        # type: () -> bool
        """Return True if something that was written has not arrived yet, as far as is known."""
        return self.has_unsent or _sockets.unacknowledged(self._socket) > 0

    def is_ready(self):
        # type: () -> bool
        """Return True if ``recv()`` would return at once, once the socket can be read."""
        return True

    def has_pending(self):
        # type: () -> bool
        """Return True if there may be something to be read although the socket has nothing."""
        return False

    def flush(self):
        # type: () -> None
        """Send what is unsent as far as that is possible at once; a failure shows in the state."""
        try:
            if self._unsent:
                sent = _sockets.try_send(self._socket, self._unsent, self._flags)
                self._unsent = self._unsent[sent:]
            if self.is_shut and not self._unsent and not self._has_end:
                self._has_end = True
                self._socket.shutdown(socket.SHUT_WR)
        except socket.error:
            self._unsent = b""
            self.is_broken = True

    def wait_until_sent(self):
        # type: () -> None
        """Wait until nothing is unsent.

        :raises socket.timeout: if the peer does not take it in time.
        """
        self._wait_for_room(0)

    def wait_until_received(self):
        # type: () -> None
        """Wait until the peer's system has everything, where ours knows; a reset loses the rest.

        :raises socket.timeout: if the peer does not take it in time.
        """
        self._wait_for_room(0)
        deadline = _sockets.Deadline(self._timeout)
        while not (self.is_broken or self.is_closed) and _sockets.unacknowledged(self._socket):
            if deadline.is_over():
                raise socket.timeout("the %s took nothing within %s s"
                                     % (self._name, self._timeout))
            self._waiter.sleep(0.005)

    @property
    def socket(self):
        # type: () -> Any
        """The socket itself."""
        return self._socket

    def wait(self, is_write):
        # type: (bool) -> None
        """Wait until the socket can be read, or written.

        :raises socket.timeout: if that takes too long.
        """
        if not wait_for(self._socket, is_write, self._waiter, self._timeout):
            raise socket.timeout("nothing came from the %s within %s s"
                                 % (self._name, self._timeout))

    def release(self):
        # type: () -> Tuple[Any, Waiter, Optional[float], str, bytes]
        """Return the arguments for a stream that takes the place of this one."""
        self._closed = True
        self._waiter.streams.remove(self)
        return self._socket, self._waiter, self._timeout, self._name, self._unsent

    def _wait_for_room(self, most):
        # type: (int) -> None
        deadline = _sockets.Deadline(self._timeout)
        while len(self._unsent) > most:
            if deadline.is_over():
                raise socket.timeout("the %s took nothing within %s s"
                                     % (self._name, self._timeout))
            self._waiter.wait(timeout=deadline.left())

    def _finish(self):
        # type: () -> None
        self._closed = True
        self._unsent = b""
        self._socket.close()

    def _failure(self, number):
        # type: (int) -> Exception
        return socket.error(number, "%s: the connection to the %s"
                            % (os.strerror(number), self._name))

    # What TLS does differently.

    def _take(self, size):
        # type: (int) -> Optional[bytes]
        """Return what has come, up to ``size`` bytes; b"" at the end, None if there is nothing."""
        return receive(self._socket, size)

    def _seal(self, data):
        # type: (bytes) -> bytes
        """Return what has to be sent so that the peer gets ``data``."""
        return bytes(data)

    def _closing_bytes(self):
        # type: () -> bytes
        """Return what has to be sent before the end of the stream."""
        return b""


def receive(connected, size):
    # type: (Any, int) -> Optional[bytes]
    """Return what has come to a socket; b"" at the end, None if there is nothing."""
    try:
        return bytes(connected.recv(size))
    except socket.error as error:
        if error.args[0] not in (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR):
            raise
        return None


def connect(address, waiter, timeout):
    # type: (Address, Waiter, Optional[float]) -> Any
    """Return a non-blocking socket that is connected; the name is looked up each time.

    :param timeout: seconds for each address of the host, None for no limit.
    :raises socket.error: if no address of the host can be connected to.
    """
    problem = socket.error(errno.EADDRNOTAVAIL, "the host has no address")
    for family, kind, protocol, _, where in socket.getaddrinfo(
            address[0], address[1], 0, socket.SOCK_STREAM):
        made = None
        try:
            made = _sockets.open_socket(family, kind, protocol)
            _sockets.start_connect(made, where)
            if not wait_for(made, True, waiter, timeout):
                raise socket.timeout("no connection within %s s" % timeout)
            _sockets.finish_connect(made)
            return made
        except BaseException as error:
            if made is not None:
                made.close()
            if not isinstance(error, socket.error):
                raise
            problem = error
    raise problem


def wait_for(connected, is_write, waiter, timeout):
    # type: (Any, bool, Waiter, Optional[float]) -> bool
    """Wait until a socket can be written, or read; return True if it can."""
    deadline = _sockets.Deadline(timeout)
    nothing = []  # type: Any
    waited = [connected]
    while True:
        # It is looked at once in any case, however slow the machine is.
        if waiter.wait(nothing if is_write else waited, deadline.left(),
                       waited if is_write else nothing):
            return True
        if deadline.is_over():
            return False
