"""Closing TLS connections so that what was written arrives, many of them in the time of one.

Each is sent a close-notify and half-closed; then whatever the server still sends is read to its end
or for a bounded time. Closing a socket that holds unread data makes the kernel reset the
connection, and the server's session tickets are such data: what was written last would be lost.
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

__all__ = ["Farewell", "say_goodbye"]


#: Most bytes that are kept of what a server says while it is being left.
_LONGEST_ANSWER = 65536


class Farewell(object):
    """The end of one connection, driven by :meth:`step`.

    :param connected: non-blocking socket.
    :param engine: Engine of the TLS connection over it.
    :param unsent: what TLS had to say before and could not send yet (bytes).
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
        #: What the peer said in the meantime (bytes), as far as somebody may want to know it.
        self.received = b""
        self._is_notified = False
        self._is_tls = True

    def step(self):
        # type: () -> bool
        """Go on without waiting; return whether there is more to do when the socket is ready."""
        try:
            if self.is_writer:
                self._speak()
            # No more than once: a peer that never stops must not keep the others waiting.
            return self.is_writer or self._listen()
        except (SSL.Error, socket.error):
            return False

    def _speak(self):
        # type: () -> None
        if not self._is_notified:
            self._is_notified = True
            self._engine.tls.shutdown()
            self._unsent += self._engine.output()
        self._unsent = self._unsent[_sockets.try_send(self.socket, self._unsent):]
        if not self._unsent:
            self.socket.shutdown(socket.SHUT_WR)
            self.is_writer = False

    def _listen(self):
        # type: () -> bool
        """Receive once; return whether more may come: session tickets, and a late answer."""
        data = _sockets.try_receive(self.socket)
        if data is None:
            return True
        if not data:
            return False
        try:
            if self._is_tls:
                self._engine.feed(data)
                while True:
                    self._hear(self._engine.open(len(data)))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            return False
        except SSL.Error:
            self._is_tls = False
        return True


    def _hear(self, data):
        # type: (bytes) -> None
        self.received += data[:_LONGEST_ANSWER - len(self.received)]


def say_goodbye(farewells, waiting):
    # type: (Iterable[Farewell], Waiting) -> None
    """Bring all of them to their end, each within its own deadline, side by side."""
    unfinished = [one for one in farewells if one.step()]
    while unfinished:
        lefts = [left for left in [one.deadline.left() for one in unfinished] if left is not None]
        ready = waiting.wait([(one.socket, one.is_writer) for one in unfinished],
                             min(lefts) if lefts else None)
        unfinished = [one for one in unfinished if not one.deadline.is_over()
                      and (one.socket not in ready or one.step())]
