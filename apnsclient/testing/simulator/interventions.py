"""What is done to clients from outside while the services run, whatever their connection."""

from __future__ import absolute_import, division, print_function

import threading
from binascii import Error as BinasciiError
from binascii import unhexlify

from ..._compat import MYPY
from .magic_tokens import MAGIC_TEXTS

if MYPY:
    from typing import Callable, Iterable, List, Optional

    from .exchange import Exchange
    from .magic_tokens import MagicToken
    from .request_script import RequestScript

__all__ = ["Interventions"]


class Interventions(object):
    """Written by any thread, read by the event loop's.

    :param find_magic: returns what a token does that says so itself, given as raw bytes, like
        :meth:`.Devices.find_magic`; None where no token does.

    :ivar is_active: whether there is any that concerns requests.
    :ivar magic: the eight digits with which a token may begin that says itself what it does.
    :ivar delay: seconds by which each response is late, 0 for none.
    :ivar most_streams: limit of streams in place of that of scripts, None for none.
    :ivar refuses_connections: whether new connections are reset before the handshake.
    """

    def __init__(self, find_magic=None):
        # type: (Optional[Callable[[bytes], Optional[MagicToken]]]) -> None
        self._lock = threading.Lock()
        self._scripts = []  # type: List[RequestScript]
        self.is_active = False
        self._find_magic = find_magic
        self.magic = frozenset() if find_magic is None else MAGIC_TEXTS
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
        return self._find_own(exchange.token)

    def _find_own(self, token):
        # type: (Optional[str]) -> Optional[RequestScript]
        """Return the script that a token has of its own."""
        if self._find_magic is None or not token or token[:8].encode("utf-8") not in self.magic:
            return None
        try:
            magic = self._find_magic(unhexlify(token))
        except (BinasciiError, TypeError):
            return None
        return None if magic is None else magic.script

    def _update(self):
        # type: () -> None
        self.is_active = bool(self._scripts or self.delay)
