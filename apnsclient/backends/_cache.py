"""A bounded cache for several threads, safe to use after ``fork()`` and by finalizers."""

from __future__ import absolute_import, division, print_function

import itertools
import threading

from .._compat import MYPY
from .._process import PerProcess

if MYPY:
    from typing import Any, Callable, Dict, Hashable, List, Optional, Tuple

    Entries = Dict[Hashable, List[Any]]
    Store = Tuple[Any, Entries]

__all__ = ["Cache"]


class Cache(object):
    """Keeps the entries that were used last, up to a number of them.

    Each process has its own entries and lock, so a forked child begins with an empty cache: during
    the fork another thread may have held the lock or been in the middle of a change.

    A connection that the garbage collector closes stores its TLS session here, and the collector
    may run in the middle of any method in the same thread. So all methods except
    :meth:`get_or_make` use no lock: each change is one operation of a dict, which is atomic, and
    allows for any change since the one before.

    :param size: most entries that are kept (int, at least 1).
    """

    def __init__(self, size):
        # type: (int) -> None
        self._size = size
        self._clock = itertools.count(1)
        self._stores = PerProcess()

    def get(self, key):
        # type: (Hashable) -> Optional[Any]
        """Return the value for ``key``, or None."""
        return self._touch(self._store()[1], key)

    def put(self, key, value):
        # type: (Hashable, Any) -> None
        """Keep ``value`` (anything but None) for ``key``."""
        self._insert(self._store()[1], key, value)

    def discard(self, key):
        # type: (Hashable) -> None
        """Remove the value for ``key``, if there is one."""
        self._store()[1].pop(key, None)

    def get_or_make(self, key, make):
        # type: (Hashable, Callable[[], Any]) -> Any
        """Return the value for ``key``; call ``make()`` to create it if there is none.

        Other threads wait meanwhile. If ``make`` raises an exception it passes through, and nothing
        is stored.
        """
        lock, entries = self._store()
        with lock:
            value = self._touch(entries, key)
            if value is None:
                value = make()
                self._insert(entries, key, value)
            return value

    def _touch(self, entries, key):
        # type: (Entries, Hashable) -> Optional[Any]
        entry = entries.get(key)
        if entry is None:
            return None
        entry[0] = next(self._clock)
        return entry[1]

    def _insert(self, entries, key, value):
        # type: (Entries, Hashable, Any) -> None
        entries[key] = [next(self._clock), value]
        if len(entries) > self._size:
            # Those that have been removed meanwhile count as the oldest.
            keys = sorted(list(entries), key=lambda one: entries.get(one, (0,))[0])
            for old in keys[:max(len(keys) - self._size, 0)]:
                entries.pop(old, None)

    def _store(self):
        # type: () -> Store
        """Return lock and entries of this process."""
        store = self._stores.get(lambda: (threading.RLock(), {}))  # type: Store
        return store
