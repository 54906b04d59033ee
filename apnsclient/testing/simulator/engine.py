"""The running half of a simulator: the thread, the sockets it listens on, and the services."""

from __future__ import absolute_import, division, print_function

import os

from ..._compat import MYPY
from .channel import Listener
from .loop import Loop
from .script import FeedbackScript
from .services import FeedbackService, GatewayService

if MYPY:
    import socket
    from typing import Any, Callable, List, Optional, Tuple

    from .server import Simulator

    Address = Tuple[str, int]

__all__ = ["Engine"]


class Engine(object):
    """The running half of a simulator: thread, sockets and connections. Used once."""

    def __init__(self, simulator):
        # type: (Simulator) -> None
        record, devices = simulator._record, simulator.devices
        context, linger = simulator._context, simulator._linger
        self._process = os.getpid()
        self._listeners = []  # type: List[Listener]
        self.loop = loop = Loop(record.publish)
        self.gateway = GatewayService(loop, context, record, devices, simulator._script, linger,
                                      simulator._limits)
        self.feedback = FeedbackService(loop, context, record, devices, FeedbackScript(), linger)
        self.provider, self.channels = simulator._new_http2_services(loop, record, devices, linger)
        self._services = [self.gateway, self.feedback]  # type: List[Any]
        try:
            simulator.gateway_address = self._listen(
                simulator.gateway_address, self.gateway.accept, simulator._receive_buffer)
            simulator.feedback_address = self._listen(
                simulator.feedback_address, self.feedback.accept, None)
            if self.provider is not None and self.channels is not None:
                self._services += [self.provider, self.channels]
                simulator._provider_address = self._listen(
                    simulator._provider_address, self.provider.accept, simulator._receive_buffer)
                simulator._channels_address = self._listen(
                    simulator._channels_address, self.channels.accept, None)
        except BaseException:
            self._close()
            self.loop.close()
            raise
        self.loop.start()

    def _listen(self, address, accepted, receive_buffer):
        # type: (Address, Callable[[socket.socket], Any], Optional[int]) -> Address
        listener = Listener(self.loop, address, accepted, receive_buffer)
        self._listeners.append(listener)
        return listener.address

    def release_held(self):
        # type: () -> int
        """Send what is held back, by the loop's thread; return how much that was."""
        held = [each.release_held() for each in (self.gateway, self.provider, self.channels)
                if each is not None]
        return sum(held)

    def stop(self):
        # type: () -> None
        if os.getpid() != self._process:
            for each in self._listeners + self._services:  # type: Any
                each.abandon()
            self.loop.close()
            return
        self.loop.call(self._close)
        self.loop.stop()

    def _close(self):
        # type: () -> None
        for each in self._listeners + self._services:  # type: Any
            each.close()
