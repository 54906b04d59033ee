"""Closes TLS connections gracefully, so that everything that was written arrives; many at a time.

A close-notify is sent and the socket is half-closed; then the data that the server still sends is
read to its end, or for a bounded time. Closing a socket with unread data makes the kernel reset the
connection, and the server's session tickets are such data: the last writes would be lost.
"""

from __future__ import absolute_import, division, print_function

import socket

from OpenSSL import SSL

from .._compat import MYPY
from . import _sockets

if MYPY:
    from typing import Any, Iterable

    from ._engine import Engine
    from ._waiting import Waiting

__all__ = ["GracefulClose", "close_gracefully"]


#: Most bytes that are kept of the data that a server sends meanwhile.
_MOST_RECEIVED = 65536


class GracefulClose(object):
    """The graceful close of one connection, driven by :meth:`step`.

    :param connected: non-blocking socket.
    :param engine: Engine of the TLS connection over it.
    :param unsent: TLS records that could not be sent yet (bytes).
    :param deadline: Deadline for all of it.
    """

    def __init__(self, connected, engine, unsent, deadline):
        # type: (Any, Engine, bytes, _sockets.Deadline) -> None
        self.socket = connected
        self.deadline = deadline
        #: Whether the socket has to become writable (bool), or else readable.
        self.is_writer = True
        self._engine = engine
        self._unsent = unsent
        #: Data that the peer sent meanwhile (bytes), such as an error frame.
        self.received = b""
        # In a finalizer at exit nothing can be encrypted; what was written arrives all the same.
        self._is_notified = engine.is_freed
        self._is_tls = not engine.is_freed

    def step(self):
        # type: () -> bool
        """Continue without waiting; return True if there is more to do when the socket is ready."""
        try:
            if self.is_writer:
                self._send()
            # Only once: a peer that never stops sending must not delay the other connections.
            return self.is_writer or self._receive()
        except (SSL.Error, socket.error):
            return False

    def _send(self):
        # type: () -> None
        if not self._is_notified:
            self._is_notified = True
            self._engine.tls.shutdown()
            self._unsent += self._engine.output()
        self._unsent = self._unsent[_sockets.try_send(self.socket, self._unsent):]
        if not self._unsent:
            self.socket.shutdown(socket.SHUT_WR)
            self.is_writer = False

    def _receive(self):
        # type: () -> bool
        """Receive once; return True if more may come: session tickets, or a late response."""
        data = _sockets.try_receive(self.socket)
        if data is None:
            return True
        if not data:
            return False
        try:
            if self._is_tls:
                self._engine.feed(data)
                while True:
                    opened = self._engine.open(len(data))
                    self.received += opened[:_MOST_RECEIVED - len(self.received)]
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            return False
        except SSL.Error:
            self._is_tls = False
        return True


def close_gracefully(closes, waiting):
    # type: (Iterable[GracefulClose], Waiting) -> None
    """Complete all of them concurrently, each within its own deadline."""
    unfinished = [one for one in closes if one.step()]
    while unfinished:
        lefts = [left for left in [one.deadline.left() for one in unfinished] if left is not None]
        ready = waiting.wait([(one.socket, one.is_writer) for one in unfinished],
                             min(lefts) if lefts else None)
        unfinished = [one for one in unfinished if not one.deadline.is_over()
                      and (one.socket not in ready or one.step())]
