"""What one thread waits for, and any other sets."""

from __future__ import absolute_import, division, print_function

import threading
import time

from .._compat import MYPY, PY2, monotonic

if MYPY:
    from typing import Optional

__all__ = ["Event"]

#: Python 2.7 cannot wait for a lock and for a time at once: it looks again and again. So many
#: seconds go by in between: at first, and at most.
_SHORTEST_NAP, _LONGEST_NAP = 0.0005, 0.05


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
        # type: (Optional[float]) -> bool
        """Wait at most ``timeout`` seconds (float; None: for ever); return True if it is set."""
        if not self._is_set:
            # If it is set in between, the lock is free.
            self._acquire(timeout)
        return self._is_set

    if PY2:
        def _acquire(self, timeout):
            # type: (Optional[float]) -> None
            end = None if timeout is None else monotonic() + timeout
            nap = _SHORTEST_NAP
            while not self._lock.acquire(False):
                left = nap if end is None else end - monotonic()
                if left <= 0:
                    return
                time.sleep(min(left, nap))
                nap = min(nap * 2, _LONGEST_NAP)
    else:
        def _acquire(self, timeout):
            # type: (Optional[float]) -> None
            self._lock.acquire(True, -1 if timeout is None else timeout)
