"""What is done to clients from outside while the services run, whatever their connection."""

from __future__ import absolute_import, division, print_function

import threading

from ..._compat import MYPY

if MYPY:
    from typing import Iterable, List, Optional

    from .exchange import Exchange
    from .request_script import RequestScript

__all__ = ["Interventions"]


class Interventions(object):
    """Written by any thread, read by the event loop's.

    :ivar is_active: whether there is any that concerns requests.
    :ivar delay: seconds by which each response is late, 0 for none.
    :ivar most_streams: limit of streams in place of that of scripts, None for none.
    :ivar refuses_connections: whether new connections are reset before the handshake.
    """

    def __init__(self):
        # type: () -> None
        self._lock = threading.Lock()
        self._scripts = []  # type: List[RequestScript]
        self.is_active = False
        self.delay = 0.0
        self.most_streams = None  # type: Optional[int]
        self.refuses_connections = False

    def slow_down(self, delay):
        # type: (float) -> None
        """Have each response be late by so many seconds."""
        with self._lock:
            self.delay = delay
            self._update()

    def add(self, scripts):
        # type: (Iterable[RequestScript]) -> None
        """Add scripts for the next requests."""
        with self._lock:
            self._scripts.extend(scripts)
            self._update()

    def scripts(self):
        # type: () -> List[RequestScript]
        """Return the scripts that are left; the first of them with what is left of its count."""
        with self._lock:
            return list(self._scripts)

    def clear(self):
        # type: () -> None
        """Drop the scripts that are left."""
        with self._lock:
            del self._scripts[:]
            self._update()

    def take(self, exchange):
        # type: (Exchange) -> Optional[RequestScript]
        """Return the script for a request, the first that concerns it; None if there is none."""
        with self._lock:
            for index, script in enumerate(self._scripts):
                if script.concerns(exchange):
                    if script.count > 1:
                        self._scripts[index] = script.after_one()
                    else:
                        del self._scripts[index]
                    self._update()
                    return script
        return None

    def _update(self):
        # type: () -> None
        self.is_active = bool(self._scripts or self.delay)
