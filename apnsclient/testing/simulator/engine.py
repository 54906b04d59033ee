"""The running part of a simulator: thread, listening sockets, and services."""

from __future__ import absolute_import, division, print_function

import os

from ..._compat import MYPY
from .configuration import Addresses
from .listener import Listener
from .loop import Loop
from .services import Services

if MYPY:
    from typing import List, Optional, Tuple

    from .configuration import Configuration
    from .service import Service

    Address = Tuple[str, int]

__all__ = ["Engine"]


class Engine(object):
    """Serves from its construction until :meth:`stop`. Used once.

    :param configuration: :class:`.configuration.Configuration`.
    :param addresses: :class:`.configuration.Addresses` to listen on; port 0 takes a free one, and
        None leaves a service out.
    :raises OSError: if it cannot listen on one of them.

    :ivar loop: the event loop (:class:`.loop.Loop`).
    :ivar services: :class:`.services.Services`.
    :ivar addresses: those that it listens on.
    """

    def __init__(self, configuration, addresses):
        # type: (Configuration, Addresses) -> None
        self._process = os.getpid()
        self._listeners = []  # type: List[Listener]
        self.loop = Loop(configuration.record.publish)
        self.services = services = Services(configuration, self.loop)
        buffer_size = configuration.receive_buffer
        try:
            self.addresses = Addresses(
                self._listen(addresses.gateway, services.gateway, buffer_size),
                self._listen(addresses.feedback, services.feedback),
                self._listen(addresses.provider, services.provider, buffer_size),
                self._listen(addresses.channels, services.channels))
        except BaseException:
            self._close()
            self.loop.close()
            raise
        self.loop.start()

    def _listen(self, address, service, receive_buffer=None):
        # type: (Optional[Address], Service, Optional[int]) -> Optional[Address]
        if address is None:
            return None
        listener = Listener(self.loop, address, service.accept, receive_buffer)
        self._listeners.append(listener)
        return listener.address

    def stop(self):
        # type: () -> None
        """Close all connections, stop listening, and end the thread.

        In a forked child the descriptors are closed, and nothing else happens.
        """
        if os.getpid() != self._process:
            for listener in self._listeners:
                listener.abandon()
            self.services.abandon()
            self.loop.close()
            return
        self.loop.call(self._close)
        self.loop.stop()

    def _close(self):
        # type: () -> None
        for listener in self._listeners:
            listener.close()
        self.services.close()
