"""The server's end of a TLS connection, non-blocking, on the event loop.

A connection ends in one of two ways. :meth:`TLSConnection.finish` is orderly: what is still to be
sent goes out, then close-notify, then the end of the stream; what the client goes on sending is
read and discarded for a while, because unread bytes would make the kernel reset the connection, and
the reset would destroy what the client has not read yet. :meth:`TLSConnection.reset` is that reset.
"""

from __future__ import absolute_import, division, print_function

import errno
import socket
from collections import deque

import six
from OpenSSL import SSL

from ..._compat import MYPY
from ...backends import _sockets
from .connection_facts import TLSFacts

if MYPY:
    from typing import Any, Deque, Iterator, Optional

    from .loop import Loop, Timer

__all__ = ["ConnectionHandler", "TLSConnection", "close_quietly"]

#: Bytes that one TLS record carries at most.
RECORD_SIZE = 16384
#: Records that are read from one connection before the others are looked at.
RECORDS_PER_ROUND = 16
#: Bytes waiting to be sent at which no more is read from a connection, until they are fewer.
MOST_WAITING = 1 << 20

_HANDSHAKE, _OPEN, _FINISHING, _LINGERING, _CLOSED = range(5)

_WOULD_BLOCK = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)


class ConnectionHandler(object):
    """Called by the loop's thread when something happens. The base class does nothing."""

    def opened(self, connection):
        # type: (TLSConnection) -> None
        """The handshake is complete."""

    def received(self, connection, data):
        # type: (TLSConnection, bytes) -> None
        """Bytes have arrived."""

    def drained(self, connection):
        # type: (TLSConnection) -> None
        """Everything that was given to ``send_all`` has been handed to the kernel."""

    def ended(self, connection):
        # type: (TLSConnection) -> None
        """The client has ended its side of the stream. It may still be reading."""

    def closed(self, connection, is_orderly):
        # type: (TLSConnection, bool) -> None
        """The connection is closed, for whatever reason; called exactly once.

        :param is_orderly: True if :meth:`TLSConnection.finish` ran to its end and the client then
            ended its side too, so that it has read everything.
        """


class TLSConnection(object):
    """One connection. Belongs to the loop's thread.

    :param loop: event loop.
    :param sock: connected socket; becomes the connection's.
    :param context: TLS context of the server.
    :param handler: :class:`ConnectionHandler`.
    :param linger: seconds for which a finished connection discards what arrives.

    :ivar handler: the handler.
    :ivar peer: address of the client, as the socket has it; None if it is gone already.
    :ivar ending: why it is being closed, or was (str).
    :ivar is_established: True once the handshake is complete; also after the end.
    :ivar is_verified: True if the client's certificate was checked; False also if a session was
        resumed, for which that had been done.
    """

    def __init__(self, loop, sock, context, handler, linger):
        # type: (Loop, socket.socket, SSL.Context, ConnectionHandler, float) -> None
        self._loop = loop
        self._socket = sock
        self.handler = handler
        self._linger = linger
        self._timer = None  # type: Optional[Timer]
        self._state = _HANDSHAKE
        self._output = deque()  # type: Deque[bytes]
        self._waiting = 0
        self._source = None  # type: Optional[Iterator[bytes]]
        self._is_paused = False
        #: Whether the client has ended its side.
        self._is_ended = False
        self._watching = (True, False)
        self.peer = _peer_of(sock)
        self.ending = "by the client"
        self.is_established = False
        self.is_verified = False
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

    @property
    def is_resumed(self):
        # type: () -> bool
        """True if a TLS session was resumed for which the client had shown a certificate."""
        return not self.is_verified and self._tls.get_peer_certificate() is not None

    def peer_certificate(self):
        # type: () -> Any
        """Return the client's certificate as ``cryptography`` has it, None if there is none."""
        certificate = self._tls.get_peer_certificate()
        return None if certificate is None else certificate.to_cryptography()

    def tls_facts(self):
        # type: () -> TLSFacts
        """Return what the handshake agreed upon."""
        return TLSFacts(self._tls.get_protocol_version_name(), self._tls.get_cipher_name(),
                        six.ensure_str(self.protocol), self.is_resumed)

    def send(self, data):
        # type: (bytes) -> None
        """Send bytes as soon as the client takes them, if the connection is open."""
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
        self._is_paused = True
        self._watch()

    def finish(self):
        # type: () -> None
        """Close in an orderly manner."""
        if self._state == _OPEN:
            if not self._is_ended:
                self.ending = "by the simulator"
            self._state = _FINISHING
            self._timer = self._loop.call_later(self._linger, self.close)
            self._flush()

    def reset(self):
        # type: () -> None
        """Reset the TCP connection."""
        self.ending = "reset by the simulator"
        _sockets.abandon(self._socket)
        self._close(is_orderly=False, is_reset=True)

    def close(self):
        # type: () -> None
        """Close at once. What has been sent arrives unless the client is sending, too."""
        if self._state in (_OPEN, _FINISHING):
            try:
                self._tls.shutdown()
            except SSL.Error:
                pass
        self._close(is_orderly=False)

    def abandon(self):
        # type: () -> None
        """Close the descriptor alone: for a forked child, whose parent uses the connection."""
        self._socket.close()

    def _close(self, is_orderly, is_reset=False):
        # type: (bool, bool) -> None
        if self._state == _CLOSED:
            return
        self._state = _CLOSED
        if self._timer is not None:
            self._timer.cancel()
        self._loop.unwatch(self._descriptor)
        if is_reset:
            self._socket.close()
        else:
            close_quietly(self._socket)
        self._output.clear()
        self.handler.closed(self, is_orderly)
        # What OpenSSL has for it, 75 kB, would wait for the garbage collector, which counts
        # objects: this one and its handler know of one another.
        self._tls = None

    # Readiness.

    def _watch(self, write=False):
        # type: (bool) -> None
        read = self._state == _LINGERING or not (self._is_paused or self._waiting >= MOST_WAITING)
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
            if self._state == _OPEN and not self._is_paused:
                self._receive()

    def _receive(self):
        # type: () -> None
        """Read what has arrived. A paused connection gets here only if the connection failed."""
        if self._is_paused:
            self._close(is_orderly=False)
            return
        receive, received = self._tls.recv, self.handler.received
        for _ in range(RECORDS_PER_ROUND):
            try:
                data = receive(RECORD_SIZE)
            except (SSL.WantReadError, SSL.WantWriteError) as error:
                self._watch(write=isinstance(error, SSL.WantWriteError))
                return
            except (SSL.ZeroReturnError, SSL.SysCallError) as error:
                self._stream_ended(error)
                return
            except SSL.Error:
                self._close(is_orderly=False)
                return
            received(self, data)
            if self._state not in (_OPEN, _FINISHING) or self._is_paused:
                return

    def _stream_ended(self, error):
        # type: (SSL.Error) -> None
        # SysCallError(-1, ...) is the end of the stream without a close-notify.
        if isinstance(error, SSL.SysCallError) and error.args[0] != -1:
            self.ending = "reset by the client"
            self._close(is_orderly=False)
            return
        self._is_ended = True
        # The end stays readable: nothing more is to be read, or the loop would spin.
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
            self._close(is_orderly=False)
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
            self._close(is_orderly=False)
            return
        self._watch()
        self._discard()

    def _discard(self):
        # type: () -> None
        # Below TLS: what was encrypted need not be decrypted to be thrown away.
        try:
            for _ in range(RECORDS_PER_ROUND):
                if not self._socket.recv(65536):
                    self._close(is_orderly=True)
                    return
        except (OSError, IOError) as error:
            if error.errno not in _WOULD_BLOCK:
                self._close(is_orderly=False)


def _peer_of(sock):
    # type: (socket.socket) -> Any
    try:
        return sock.getpeername()
    except (OSError, IOError):
        return None


def close_quietly(sock):
    # type: (socket.socket) -> None
    """Close a socket; the client sees the end of the stream."""
    # A forked child may hold a copy of the descriptor: closing alone would not end the stream.
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except (OSError, IOError):
        pass
    sock.close()
