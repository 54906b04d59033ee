"""Callers wait for their turn: an upper bound on what is in use at the same time, and fair.

Whoever has a turn gives it back, and it goes to the one who has waited longest. Nobody who comes
later is served before. Each process counts for itself: in a forked child no turn is taken.

An interrupt, from the keyboard or of a green thread, may come between any two lines, also of those
that give a turn back. So a turn is an object, known here by weak references alone: where nobody has
it any more it is not taken, whatever was left undone. And those who wait look again now and then,
because nobody may have told them.

A turn may be given back by a finalizer, and the garbage collector runs those in the middle of
anything, also in the thread that holds the lock. So the lock is a reentrant one, and between any
two steps turns may have gone and come. Each change of what counts is one step; a turn is taken
first and the number looked at afterwards, so that it is never passed by.
"""

from __future__ import absolute_import, division, print_function

import itertools
import os
import threading
import time
import weakref
from collections import deque

from .._compat import MYPY, PY2, monotonic
from .._process import PerProcess

if MYPY:
    from typing import Any, Callable, Deque, Dict, Hashable, Optional, Tuple

    from . import BaseBackend

    Lines = Dict[Hashable, "_Line"]

__all__ = ["Event", "Turn", "Turns"]

#: Most seconds of a single wait, after which whoever waits sees for itself whose turn it is.
_LONGEST_WAIT = 1.0
#: Python 2.7 cannot wait for a lock and for a time at once: it looks again and again. So many
#: seconds go by in between, at most; and, for whoever is next in a line, or for each place in it.
_LONGEST_NAP = 0.05
_SHORTEST_NAP = 0.001


class Event(object):
    """What one caller waits for, and any other sets.

    In place of ``threading.Event``: that one holds a lock while it begins to wait, and whatever the
    garbage collector finalizes at that moment, in the same thread, could not set it.

    Whether it is set is one attribute, which only ever turns true. The lock merely wakes up whoever
    waits: it is released to wake, and never by the waiter, whose release might come second to that
    of another ``set()`` and fail.
    """

    def __init__(self):
        # type: () -> None
        self._is_set = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self):
        # type: () -> None
        """Let the caller go on."""
        self._is_set = True
        try:
            self._lock.release()
        except (RuntimeError, threading.ThreadError):
            pass  # It was released before, and nobody has waited since.

    def wait(self, timeout):
        # type: (float) -> bool
        """Wait for at most ``timeout`` seconds; return whether the event is set."""
        if not self._is_set:
            # If it is set in between, the lock is free.
            self._acquire(timeout)
        return self._is_set

    if PY2:
        def _acquire(self, timeout):
            # type: (float) -> None
            end = monotonic() + timeout
            while not self._lock.acquire(False):
                left = end - monotonic()
                if left <= 0:
                    return
                time.sleep(min(left, _LONGEST_NAP))
    else:
        def _acquire(self, timeout):
            # type: (float) -> None
            self._lock.acquire(True, timeout)


class Turn(object):
    """A turn that somebody has, or waits for.

    :param lock: what its line is changed with.
    :param limit: how many turns there are for whoever asked (int), or None.

    :ivar is_over: whether it was given back.
    """

    def __init__(self, lock, limit):
        # type: (Any, Optional[int]) -> None
        self.line = None  # type: Optional[_Line]
        self._lock = lock
        self._process = os.getpid()
        self.limit = limit
        self.number = 0
        self.event = None  # type: Any
        self.is_over = False
        self.reference = weakref.ref(self)

    def serve(self):
        # type: () -> None
        """Let whoever waits for it go on."""
        if self.event is not None:
            self.event.set()

    def give_back(self):
        # type: () -> None
        """Let the next one have it; nothing happens the second time, nor in a forked child."""
        self.is_over = True
        if self.line is not None and self._process == os.getpid():
            with self._lock:
                self.line.leave(self)
        self.line = None


class _Line(object):
    """Who has a turn, and who waits for one. Its methods are called with the lock held."""

    def __init__(self):
        # type: () -> None
        #: References to the turns that are taken, by number, and to those that are waited for.
        self.taken = {}  # type: Dict[int, weakref.ref[Turn]]
        self.waiters = deque()  # type: Deque[weakref.ref[Turn]]
        self._numbers = itertools.count(1)
        # How many were served, about; only Python 2.7 asks.
        self._served = 0

    def join(self, turn):
        # type: (Turn) -> None
        """Put a turn that is waited for at the end of the line."""
        turn.number = next(self._numbers)
        turn.line = self
        self.waiters.append(turn.reference)

    def patience(self, waiter):
        # type: (Turn) -> float
        """Return the seconds after which a caller may well look whether it was served."""
        if not (PY2 and isinstance(waiter.event, Event)):
            return _LONGEST_WAIT
        ahead = max(waiter.number - self._served, 1)
        return min(ahead * _SHORTEST_NAP, _LONGEST_NAP)

    def has_served(self, turn):
        # type: (Turn) -> bool
        """Return True if it is somebody's turn."""
        return turn.number in self.taken

    def go_on(self):
        # type: () -> None
        """Serve those who wait, in order, as far as there are turns."""
        while True:
            try:
                reference = self.waiters[0]
            except IndexError:
                return
            turn = reference()
            if turn is not None and not turn.is_over and not self.has_served(turn):
                if not (self._has_room(turn) and self._take(turn)):
                    return
                self._served += 1
            # Until here an interrupt leaves it in its place.
            self._remove(reference)
            if turn is not None:
                turn.serve()

    def _has_room(self, turn):
        # type: (Turn) -> bool
        """Return True if there is a turn."""
        if turn.limit is None or len(self.taken) < turn.limit:
            return True
        self.forget_lost()
        return len(self.taken) < turn.limit

    def _take(self, turn):
        # type: (Turn) -> bool
        """Take a turn; return False if somebody else was served in between."""
        self.taken[turn.number] = turn.reference
        if turn.limit is None or len(self.taken) <= turn.limit:
            return True
        if turn.reference not in self.waiters:
            return True  # It was this one.
        self.taken.pop(turn.number, None)
        return False

    def forget_lost(self):
        # type: () -> None
        """Forget turns that nobody has any more, because giving them back was interrupted."""
        for number, reference in list(self.taken.items()):
            turn = reference()
            if turn is None or turn.is_over:
                self.taken.pop(number, None)

    def _remove(self, reference):
        # type: (weakref.ref[Turn]) -> None
        try:
            self.waiters.remove(reference)
        except ValueError:
            pass  # Somebody else did.

    def leave(self, turn):
        # type: (Turn) -> None
        """Take a turn out of the line, wherever it is."""
        if self.taken.pop(turn.number, None) is None:
            self._remove(turn.reference)
        self.go_on()


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
        # type: (Hashable, Optional[int], Optional[float]) -> Optional[Turn]
        """Take a turn, waiting until there is one and all who came before have had theirs.

        Whoever gets it keeps it, and calls its :meth:`Turn.give_back`. An exception while waiting,
        such as an interrupt from the keyboard, takes no turn.

        :param key: what the turns are of.
        :param limit: how many turns there are (int, at least 1). None is any number.
        :param timeout: longest wait in seconds (float); None waits for ever, 0 not at all.
        :return: the turn; None when the time is up.
        """
        lock, lines = self._store()
        turn = Turn(lock, limit)
        try:
            with lock:
                line = self._join(lines, key, turn)
                line.go_on()
                if line.has_served(turn):
                    return turn
                turn.event = self._backend.create_event()
            self._wait(lock, line, turn, timeout)
            with lock:
                line.go_on()
                # Served in the very last moment is served.
                if line.has_served(turn):
                    return turn
        except BaseException:
            turn.give_back()
            raise
        turn.give_back()
        return None

    def in_use(self, key=None):
        # type: (Optional[Hashable]) -> int
        """Return how many turns are taken, of one key or of all (None)."""
        return self._count(key, lambda line: len(line.taken))

    def waiting(self, key=None):
        # type: (Optional[Hashable]) -> int
        """Return how many callers wait for a turn, of one key or of all (None)."""
        return self._count(key, lambda line: len(line.waiters))

    def _count(self, key, count):
        # type: (Optional[Hashable], Callable[[_Line], int]) -> int
        lock, lines = self._store()
        with lock:
            chosen = [lines.get(key)] if key is not None else list(lines.values())
            total = 0
            for line in chosen:
                if line is not None:
                    line.forget_lost()
                    line.go_on()
                    total += count(line)
            return total

    @staticmethod
    def _join(lines, key, turn):
        # type: (Lines, Hashable, Turn) -> _Line
        """Put a caller at the end of the line; make the line if there is none."""
        line = lines.get(key)
        if line is None:
            for other, idle in list(lines.items()):
                if not idle.taken and not idle.waiters:
                    lines.pop(other, None)
            line = lines.setdefault(key, _Line())
        line.join(turn)
        return line

    def _wait(self, lock, line, turn, timeout):
        # type: (Any, _Line, Turn, Optional[float]) -> None
        """Wait until a turn is served or the time is up."""
        clock = self._backend.clock
        end = None if timeout is None else clock() + timeout
        while not line.has_served(turn):
            left = _LONGEST_WAIT if end is None else end - clock()
            if left <= 0:
                return
            if not turn.event.wait(min(left, line.patience(turn))):
                with lock:
                    line.go_on()

    def _store(self):
        # type: () -> Tuple[Any, Lines]
        """Return lock and lines of this process."""
        store = self._stores.get(
            lambda: (self._backend.create_lock(), {}))  # type: Tuple[Any, Lines]
        return store
