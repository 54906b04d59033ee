"""The sockets that the simulator listens on."""

from __future__ import absolute_import, division, print_function

import socket

from ..._compat import MYPY
from .. import _listening

if MYPY:
    from typing import Any, Callable, Optional, Tuple

    from .loop import Loop

__all__ = ["Listener"]

#: Connections that are accepted in one go.
_ACCEPTS_PER_ROUND = 64


class Listener(object):
    """A socket that accepts connections.

    :param loop: event loop.
    :param address: ``(host, port)``; port 0 takes a free one.
    :param accept: called with each new socket, non-blocking already.
    :param receive_buffer: size in bytes of the kernel's receive buffer of each connection; None
        leaves it to the system.

    :ivar address: ``(host, port)`` that it listens on.
    """

    #: Seconds for which nothing is accepted after the process ran out of descriptors.
    PAUSE = 0.1

    def __init__(self, loop, address, accept, receive_buffer=None):
        # type: (Loop, Tuple[str, int], Callable[[socket.socket], Any], Optional[int]) -> None
        self._loop = loop
        self._accept = accept
        self._socket = _listening.listen(address, receive_buffer)
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
        for _ in range(_ACCEPTS_PER_ROUND):
            try:
                accepted, _peer = _listening.accept(self._socket)
            except socket.error as error:
                if error.errno in _listening.OUT_OF_DESCRIPTORS:
                    self._loop.rewatch(self._socket.fileno(), False, False)
                    self._loop.call_later(self.PAUSE, self._resume)
                return
            self._accept(accepted)

    def _resume(self):
        # type: () -> None
        # Closed in the meantime: then its descriptor is -1 (Python 3) or gone (Python 2.7).
        try:
            self._loop.rewatch(self._socket.fileno(), True, False)
        except (OSError, IOError, ValueError):
            pass
