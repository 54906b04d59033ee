"""The times by which what callers wait for has to be over."""

import heapq
import itertools
from typing import Any, List, Optional, Tuple

__all__ = ["Deadlines"]

#: How many of what has ended meanwhile may be kept.
_MOST_STALE = 1024
#: How many are looked at together, before the loop may do something else.
_PORTION = 256


class Deadlines:
    """What has a deadline, in the order of the deadlines.

    Each of it has an attribute ``is_over``, and a method ``expire()`` for when its time is over.
    What has ended is dropped when it comes first, or when there is more of it than of the rest.
    """

    def __init__(self) -> None:
        self._entries: List[Tuple[float, int, Any]] = []
        # How many there may be before those of the past are dropped.
        self._most = _MOST_STALE
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, deadline: float, waiter: Any) -> None:
        """Have something end at a time (float), by the clock of the loop."""
        entries = self._entries
        if len(entries) >= self._most:
            entries[:] = [entry for entry in entries if not entry[2].is_over]
            heapq.heapify(entries)
            self._most = 2 * len(entries) + _MOST_STALE
        heapq.heappush(entries, (deadline, next(self._numbers), waiter))

    def first(self) -> Optional[float]:
        """Return the first deadline of what has not ended (float), or None.

        It may be that of what has, where there is much of it.
        """
        entries = self._entries
        for _ in range(_PORTION):
            if not (entries and entries[0][2].is_over):
                break
            heapq.heappop(entries)
        return entries[0][0] if entries else None

    def expire(self, now: float) -> None:
        """End that of which the time is over; the first of it, where that is much.

        :meth:`first` is in the past then.
        """
        entries = self._entries
        for _ in range(_PORTION):
            if not (entries and entries[0][0] <= now):
                break
            waiter = heapq.heappop(entries)[2]
            if not waiter.is_over:
                waiter.expire()

    def clear(self) -> None:
        """Forget all of it."""
        self._entries.clear()
