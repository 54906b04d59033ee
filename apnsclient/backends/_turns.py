"""Callers wait for their turn: an upper bound on what is in use at the same time, and fair.

Whoever has a turn gives it back, and it goes to the one who has waited longest. Nobody who comes
later is served before. Each process counts for itself: in a forked child no turn is taken.

A turn may be given back by a finalizer, and the garbage collector runs those in the middle of
anything, also in the thread that holds the lock. So the lock is a reentrant one, and between any
two steps turns may have gone and come. What counts is held in deques, each change of which is one
step; a turn is taken first and the number looked at afterwards, so that it is never passed by.
"""

from __future__ import absolute_import, division, print_function

import threading
import time
from collections import deque

from .._compat import MYPY, PY2, monotonic
from .._process import PerProcess

if MYPY:
    from typing import Any, Deque, Dict, Hashable, List, Optional, Tuple

    from . import BaseBackend

    Lines = Dict[Hashable, "_Line"]

__all__ = ["Event", "Turns"]

#: Most seconds of a single wait: some events refuse more than their clocks count to.
_LONGEST_WAIT = 3600.0
#: Python 2.7 cannot wait for a lock and for a time at once: it looks again and again. So many
#: seconds go by in between, at most; and, for whoever is next in a line, or for each place in it.
_LONGEST_NAP = 0.05
_SHORTEST_NAP = 0.001


class Event(object):
    """What one caller waits for, and any other sets.

    In place of ``threading.Event``: that one holds a lock while it begins to wait, and whatever the
    garbage collector finalizes at that moment, in the same thread, could not set it.
    """

    def __init__(self):
        # type: () -> None
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self):
        # type: () -> None
        """Let the caller go on."""
        try:
            self._lock.release()
        except (RuntimeError, threading.ThreadError):
            pass  # It was set before.

    def wait(self, timeout):
        # type: (float) -> bool
        """Wait for at most ``timeout`` seconds; return whether the event is set."""
        if not self._acquire(timeout):
            return False
        self._lock.release()
        return True

    if PY2:
        def _acquire(self, timeout):
            # type: (float) -> bool
            end = monotonic() + timeout
            while not self._lock.acquire(False):
                left = end - monotonic()
                if left <= 0:
                    return False
                time.sleep(min(left, _LONGEST_NAP))
            return True
    else:
        def _acquire(self, timeout):
            # type: (float) -> bool
            return self._lock.acquire(True, timeout)


class _Waiter(object):
    """One caller who waits."""

    __slots__ = ("event", "is_served", "limit", "number")

    def __init__(self, limit):
        # type: (Optional[int]) -> None
        self.limit = limit
        self.number = 0
        self.event = None  # type: Any
        self.is_served = False

    def serve(self):
        # type: () -> None
        self.is_served = True
        if self.event is not None:
            self.event.set()


class _Line(object):
    """Who has a turn, and who waits for one. Its methods are called with the lock held."""

    def __init__(self):
        # type: () -> None
        self.taken = deque()  # type: Deque[None]
        self.waiters = deque()  # type: Deque[_Waiter]
        # How many have come and how many were served, about; only Python 2.7 asks.
        self._come = self._served = 0

    def join(self, waiter):
        # type: (_Waiter) -> None
        """Put a caller at the end of the line."""
        self._come += 1
        waiter.number = self._come
        self.waiters.append(waiter)

    def patience(self, waiter):
        # type: (_Waiter) -> float
        """Return the seconds after which a caller may well look whether it was served."""
        if not PY2:
            return _LONGEST_WAIT
        ahead = max(waiter.number - self._served, 1)
        return min(ahead * _SHORTEST_NAP, _LONGEST_NAP)

    def go_on(self):
        # type: () -> None
        """Serve those who wait, in order, as far as there are turns."""
        while self._is_next_free():
            self.taken.append(None)
            try:
                waiter = self.waiters.popleft()
            except IndexError:
                self.taken.pop()
                continue
            if waiter.limit is not None and len(self.taken) > waiter.limit:
                # In between somebody else was served.
                self.waiters.appendleft(waiter)
                self.taken.pop()
                continue
            self._served += 1
            waiter.serve()

    def _is_next_free(self):
        # type: () -> bool
        """Tell whether somebody waits for whom there is a turn."""
        try:
            limit = self.waiters[0].limit
        except IndexError:
            return False
        return limit is None or len(self.taken) < limit

    def give_back(self):
        # type: () -> None
        try:
            self.taken.pop()
        except IndexError:
            return  # It was taken before a fork, by the parent.
        self.go_on()

    def withdraw(self, waiter):
        # type: (_Waiter) -> bool
        """Let a caller leave the line; return False if it has been served already."""
        try:
            self.waiters.remove(waiter)
        except ValueError:
            return False
        return True


class Turns(object):
    """A number of turns for each key; see the text of the module.

    May be used by several threads at once.

    :param backend: makes the lock and the events (:class:`~apnsclient.backends.BaseBackend`).
    """

    def __init__(self, backend):
        # type: (BaseBackend) -> None
        self._backend = backend
        self._stores = PerProcess()

    def take(self, key, limit, timeout):
        # type: (Hashable, Optional[int], Optional[float]) -> bool
        """Take a turn, waiting until there is one and all who came before have had theirs.

        Whoever gets it calls :meth:`give_back` once. An exception while waiting, such as an
        interrupt from the keyboard, takes no turn.

        :param key: what the turns are of.
        :param limit: how many turns there are (int, at least 1). None is any number.
        :param timeout: longest wait in seconds (float); None waits for ever, 0 not at all.
        :return: True with the turn taken; False when the time is up.
        """
        lock, lines = self._store()
        waiter = _Waiter(limit)
        try:
            with lock:
                line = self._join(lines, key, waiter)
                line.go_on()
                if waiter.is_served:
                    return True
                waiter.event = self._backend.create_event()
            self._wait(line, waiter, timeout)
            with lock:
                # Served in the very last moment is served.
                return not line.withdraw(waiter)
        except BaseException:
            self._leave(key, waiter)
            raise

    def give_back(self, key):
        # type: (Hashable) -> None
        """Give a turn back that :meth:`take` has granted in this process."""
        lock, lines = self._store()
        with lock:
            line = lines.get(key)
            if line is not None:
                line.give_back()

    def in_use(self, key=None):
        # type: (Optional[Hashable]) -> int
        """Return how many turns are taken, of one key or of all (None)."""
        return sum(len(line.taken) for line in self._lines(key))

    def waiting(self, key=None):
        # type: (Optional[Hashable]) -> int
        """Return how many callers wait for a turn, of one key or of all (None)."""
        return sum(len(line.waiters) for line in self._lines(key))

    def _lines(self, key):
        # type: (Optional[Hashable]) -> List[_Line]
        lock, lines = self._store()
        with lock:
            if key is None:
                return list(lines.values())
            line = lines.get(key)
            return [] if line is None else [line]

    @staticmethod
    def _join(lines, key, waiter):
        # type: (Lines, Hashable, _Waiter) -> _Line
        """Put a caller at the end of the line; make the line if there is none."""
        line = lines.get(key)
        if line is None:
            for other, idle in list(lines.items()):
                if not idle.taken and not idle.waiters:
                    lines.pop(other, None)
            line = lines.setdefault(key, _Line())
        line.join(waiter)
        return line

    @staticmethod
    def _wait(line, waiter, timeout):
        # type: (_Line, _Waiter, Optional[float]) -> None
        """Wait until the caller is served or the time is up."""
        end = None if timeout is None else monotonic() + timeout
        while not waiter.is_served:
            left = _LONGEST_WAIT if end is None else end - monotonic()
            if left <= 0:
                return
            waiter.event.wait(min(left, line.patience(waiter)))

    def _leave(self, key, waiter):
        # type: (Hashable, _Waiter) -> None
        """Let a caller go who does not want a turn any more; pass on one that it has got."""
        lock, lines = self._store()
        with lock:
            line = lines.get(key)
            if line is not None and not line.withdraw(waiter) and waiter.is_served:
                line.give_back()

    def _store(self):
        # type: () -> Tuple[Any, Lines]
        """Return lock and lines of this process."""
        store = self._stores.get(
            lambda: (self._backend.create_lock(), {}))  # type: Tuple[Any, Lines]
        return store
