"""Connections of the simulator: non-blocking TLS on the event loop, and the sockets it listens on.

A channel ends in one of two ways. :meth:`Channel.finish` is orderly: what is still to be sent goes
out, then close-notify, then the end of the stream; what the client goes on sending is read and
discarded for a while, because unread bytes would make the kernel reset the connection, and the
reset would destroy what the client has not read yet. :meth:`Channel.reset` is that reset.
"""

from __future__ import absolute_import, division, print_function

import errno
import socket
import struct
from collections import deque

from OpenSSL import SSL

from ..._compat import MYPY

if MYPY:
    from typing import Any, Callable, Deque, Iterator, Optional, Tuple

    from .loop import Loop, Timer

__all__ = ["Channel", "Handler", "Listener", "close_quietly", "refuse"]

#: Bytes that one TLS record carries at most.
RECORD_SIZE = 16384
#: Records that are read from one connection before the next one has its turn.
RECORDS_PER_TURN = 16
#: Bytes waiting to be sent at which no more is read from a connection, until they are fewer.
MOST_WAITING = 1 << 20
#: Connections that are accepted in one go.
ACCEPTS_PER_TURN = 64

_HANDSHAKE, _OPEN, _FINISHING, _LINGERING, _CLOSED = range(5)

_WOULD_BLOCK = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Handler(object):
    """What a channel tells of itself. Called by the loop's thread; the base class does nothing."""

    def opened(self, channel):
        # type: (Channel) -> None
        """The handshake is complete."""

    def received(self, channel, data):
        # type: (Channel, bytes) -> None
        """Bytes have arrived."""

    def drained(self, channel):
        # type: (Channel) -> None
        """Everything that was given to ``send_all`` has been handed to the kernel."""

    def ended(self, channel):
        # type: (Channel) -> None
        """The client has ended its side of the stream. It may still be reading."""

    def closed(self, channel, orderly):
        # type: (Channel, bool) -> None
        """The channel is closed, for whatever reason; called exactly once.

        :param orderly: True if :meth:`Channel.finish` ran to its end and the client then ended its
            side too, so that it has read everything.
        """


class Channel(object):
    """One connection. Belongs to the loop's thread.

    :param loop: event loop.
    :param sock: connected socket; becomes the channel's.
    :param context: TLS context of the server.
    :param handler: :class:`Handler`.
    :param linger: seconds for which a finished channel discards what arrives.

    :ivar handler: the handler.
    :ivar is_established: True once the handshake is complete; also after the end.
    :ivar verified: True if the client's certificate was checked; False also if a session was
        resumed, for which that had been done.
    """

    def __init__(self, loop, sock, context, handler, linger):
        # type: (Loop, socket.socket, SSL.Context, Handler, float) -> None
        self._loop = loop
        self._socket = sock
        self.handler = handler
        self._linger = linger
        self._timer = None  # type: Optional[Timer]
        self._state = _HANDSHAKE
        self._output = deque()  # type: Deque[bytes]
        self._waiting = 0
        self._source = None  # type: Optional[Iterator[bytes]]
        self._paused = False
        self._watching = (True, False)
        self.is_established = False
        self.verified = False
        self._tls = SSL.Connection(context, sock)  # type: Any
        self._tls.set_app_data(self)
        self._tls.set_accept_state()
        self._descriptor = sock.fileno()
        loop.watch(self._descriptor, self._ready)

    @property
    def protocol(self):
        # type: () -> bytes
        """What ALPN chose; nothing if the client offered nothing."""
        return bytes(self._tls.get_alpn_proto_negotiated())

    def peer_certificate(self):
        # type: () -> Any
        """Return the client's certificate as ``cryptography`` has it, None if there is none."""
        certificate = self._tls.get_peer_certificate()
        return None if certificate is None else certificate.to_cryptography()

    def send(self, data):
        # type: (bytes) -> None
        """Send bytes as soon as the client takes them, if the channel is open."""
        if self._state == _OPEN:
            self._queue(data)
            self._flush()

    def send_all(self, pieces):
        # type: (Iterator[bytes]) -> None
        """Send what an iterator yields, asking it for no more than the client takes."""
        self._source = pieces
        self._flush()

    def pause(self):
        # type: () -> None
        """Read no more. The connection stays open."""
        self._paused = True
        self._watch()

    def finish(self):
        # type: () -> None
        """Close in an orderly manner."""
        if self._state == _OPEN:
            self._state = _FINISHING
            self._timer = self._loop.call_later(self._linger, self.close)
            self._flush()

    def reset(self):
        # type: () -> None
        """Reset the TCP connection."""
        _set_reset(self._socket)
        self._close(orderly=False, reset=True)

    def close(self):
        # type: () -> None
        """Close at once. What has been sent arrives unless the client is sending, too."""
        if self._state in (_OPEN, _FINISHING):
            try:
                self._tls.shutdown()
            except SSL.Error:
                pass
        self._close(orderly=False)

    def abandon(self):
        # type: () -> None
        """Close the descriptor alone: for a forked child, whose parent uses the connection."""
        self._socket.close()

    def _close(self, orderly, reset=False):
        # type: (bool, bool) -> None
        if self._state == _CLOSED:
            return
        self._state = _CLOSED
        if self._timer is not None:
            self._timer.cancel()
        self._loop.unwatch(self._descriptor)
        if reset:
            self._socket.close()
        else:
            close_quietly(self._socket)
        self._output.clear()
        self.handler.closed(self, orderly)
        # What OpenSSL has for it, 75 kB, would wait for the garbage collector, which counts
        # objects: this one and its handler know of one another.
        self._tls = None

    # Readiness.

    def _watch(self, write=False):
        # type: (bool) -> None
        read = self._state == _LINGERING or not (self._paused or self._waiting >= MOST_WAITING)
        write = write or bool(self._output)
        if self._state != _CLOSED and self._watching != (read, write):
            self._watching = (read, write)
            self._loop.rewatch(self._descriptor, read, write)

    def _ready(self, readable, writable):
        # type: (bool, bool) -> None
        if self._state == _HANDSHAKE:
            self._handshake()
            return
        if writable and self._state in (_OPEN, _FINISHING):
            self._flush()
        if readable and self._state == _LINGERING:
            self._discard()
        elif readable and self._state != _CLOSED:
            self._receive()

    def _handshake(self):
        # type: () -> None
        try:
            self._tls.do_handshake()
        except (SSL.WantReadError, SSL.WantWriteError) as error:
            self._watch(write=isinstance(error, SSL.WantWriteError))
        except SSL.Error:
            # OpenSSL has sent an alert, which the client is to read.
            self._state = _FINISHING
            self._timer = self._loop.call_later(self._linger, self.close)
            self._end_stream()
        else:
            self._state = _OPEN
            self.is_established = True
            self._watch()
            self.handler.opened(self)
            if self._state == _OPEN and not self._paused:
                self._receive()

    def _receive(self):
        # type: () -> None
        """Read what has arrived. A paused channel gets here only if the connection failed."""
        if self._paused:
            self._close(orderly=False)
            return
        receive, received = self._tls.recv, self.handler.received
        for _ in range(RECORDS_PER_TURN):
            try:
                data = receive(RECORD_SIZE)
            except (SSL.WantReadError, SSL.WantWriteError) as error:
                self._watch(write=isinstance(error, SSL.WantWriteError))
                return
            except (SSL.ZeroReturnError, SSL.SysCallError) as error:
                self._stream_ended(error)
                return
            except SSL.Error:
                self._close(orderly=False)
                return
            received(self, data)
            if self._state not in (_OPEN, _FINISHING) or self._paused:
                return

    def _stream_ended(self, error):
        # type: (SSL.Error) -> None
        # SysCallError(-1, ...) is the end of the stream without a close-notify.
        if isinstance(error, SSL.SysCallError) and error.args[0] != -1:
            self._close(orderly=False)
            return
        # The end stays readable: nothing more is to be read, or the loop would turn and turn.
        self.pause()
        if self._state == _OPEN:
            self.handler.ended(self)

    def _flush(self):
        # type: () -> None
        try:
            while self._has_output():
                # After a write that would have blocked, OpenSSL wants the very same object again.
                piece = self._output[0]
                sent = self._tls.send(piece)
                self._output[0] = piece[sent:]
                self._waiting -= sent
            if self._state == _FINISHING:
                self._tls.shutdown()
        except (SSL.WantWriteError, SSL.WantReadError):
            self._watch(write=True)
        except SSL.Error:
            self._close(orderly=False)
        else:
            if self._state == _FINISHING:
                self._end_stream()
            self._watch()

    def _has_output(self):
        # type: () -> bool
        """Return True if there is something to send, after asking for more if there is not."""
        if self._output and not self._output[0]:
            self._output.popleft()
        while not self._output and self._source is not None and self._state == _OPEN:
            piece = next(self._source, None)
            if piece is None:
                self._source = None
                self.handler.drained(self)
            else:
                self._queue(piece)
        return bool(self._output)

    def _queue(self, data):
        # type: (bytes) -> None
        self._waiting += len(data)
        self._output.extend(data[start:start + RECORD_SIZE]
                            for start in range(0, len(data), RECORD_SIZE))

    def _end_stream(self):
        # type: () -> None
        self._state = _LINGERING
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except (OSError, IOError):
            self._close(orderly=False)
            return
        self._watch()
        self._discard()

    def _discard(self):
        # type: () -> None
        # Below TLS: what was encrypted need not be decrypted to be thrown away.
        try:
            for _ in range(RECORDS_PER_TURN):
                if not self._socket.recv(65536):
                    self._close(orderly=True)
                    return
        except (OSError, IOError) as error:
            if error.errno not in _WOULD_BLOCK:
                self._close(orderly=False)


class Listener(object):
    """A socket that accepts connections.

    :param loop: event loop.
    :param address: ``(host, port)``; port 0 takes a free one.
    :param accepted: called with each new socket, non-blocking already.
    :param receive_buffer: size in bytes of the kernel's receive buffer of each connection; None
        leaves it to the system.

    :ivar address: ``(host, port)`` that it listens on.
    """

    #: Seconds for which nothing is accepted after the process ran out of descriptors.
    PAUSE = 0.1

    def __init__(self, loop, address, accepted, receive_buffer=None):
        # type: (Loop, Tuple[str, int], Callable[[socket.socket], Any], Optional[int]) -> None
        family, kind, protocol, _, resolved = socket.getaddrinfo(
            address[0], address[1], 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)[0]
        self._loop = loop
        self._accepted = accepted
        self._socket = socket.socket(family, kind, protocol)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if receive_buffer is not None:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self._socket.setblocking(False)
            self._socket.bind(resolved)
            self._socket.listen(2048)
        except BaseException:
            self._socket.close()
            raise
        self.address = self._socket.getsockname()[:2]  # type: Tuple[str, int]
        loop.watch(self._socket.fileno(), self._ready)

    def close(self):
        # type: () -> None
        """Stop listening; by the loop's thread."""
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()

    def abandon(self):
        # type: () -> None
        """Close the descriptor alone: for a forked child."""
        self._socket.close()

    def _ready(self, readable, writable):
        # type: (bool, bool) -> None
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, _address = self._socket.accept()
            except (OSError, IOError) as error:
                if error.errno in _OUT_OF_DESCRIPTORS:
                    self._loop.rewatch(self._socket.fileno(), False, False)
                    self._loop.call_later(self.PAUSE, self._resume)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._accepted(sock)

    def _resume(self):
        # type: () -> None
        # Closed in the meantime: then its descriptor is -1 (Python 3) or gone (Python 2.7).
        try:
            self._loop.rewatch(self._socket.fileno(), True, False)
        except (OSError, IOError, ValueError):
            pass


def refuse(sock):
    # type: (socket.socket) -> None
    """Reset a connection that was just accepted."""
    _set_reset(sock)
    sock.close()


def _set_reset(sock):
    # type: (socket.socket) -> None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except (OSError, IOError):
        pass


def close_quietly(sock):
    # type: (socket.socket) -> None
    """Close a socket; the client sees the end of the stream."""
    # A forked child may hold a copy of the descriptor: closing alone would tell the client nothing.
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except (OSError, IOError):
        pass
    sock.close()
