"""Whether another connection beside those in use would be faster.

It would be where requests have waited for room for about a round trip, and more wait than are on
their way before it is ready. It would not be where the server is slow, or slows this sender down.
"""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY

if MYPY:
    from typing import Iterable, Optional, Sequence

    from .calls import Call
    from .http2_connection import SenderConnection

__all__ = ["Spreading", "longest_opening"]

#: How long requests have to wait for room at a time for that to count: this many seconds and round
#: trips at least, and so many round trips at most. A server that is busy takes longer than that,
#: and then another connection is of no help.
_SHORTEST_GAP, _SMALLEST_PART, _LARGEST_PART = 0.002, 0.125, 2.0
#: How many seconds, and round trips, of that in sum make another connection worth it.
_SHORTEST_SUM, _TRIPS = 0.02, 1.0
#: How many round trips it takes until another connection is ready: TCP, TLS, and the settings.
_TRIPS_UNTIL_READY = 3
#: How many seconds, and round trips, another connection may take at most, whichever is longer.
_LONGEST_OPENING, _OPENING_TRIPS = 1.0, 10.0
#: Seconds for which no further connection is tried after one could not be had.
_PAUSE = 10.0


class Spreading(object):
    """How long requests have waited for room on the connections in use."""

    def __init__(self):
        # type: () -> None
        # They have been waiting since, and have done so for how long before.
        self._waiting_since = None  # type: Optional[float]
        self._waited = 0.0
        self._pause_until = float("-inf")

    def begin(self):
        # type: () -> None
        """Note that requests have come, where none has waited before."""
        self._waiting_since, self._waited = None, 0.0

    def note_opened(self):
        # type: () -> None
        """Note that there is another connection: see first whether that is enough."""
        self._waited = 0.0

    def note_failed(self, now):
        # type: (float) -> None
        """Note that a connection could not be had."""
        self._pause_until = now + _PAUSE

    def note_waiting(self, now):
        # type: (float) -> None
        """Note that requests wait for room from now on."""
        if self._waiting_since is None:
            self._waiting_since = now

    def note_progress(self, connections, now):
        # type: (Sequence[SenderConnection], float) -> Optional[float]
        """Note that the wait is over; return how many seconds it took (float), or None."""
        if self._waiting_since is None:
            return None
        gap, self._waiting_since = now - self._waiting_since, None
        trip = min([one.round_trip for one in connections] or [float("inf")])
        if max(_SHORTEST_GAP, trip * _SMALLEST_PART) <= gap <= trip * _LARGEST_PART:
            self._waited += gap
        return gap

    def is_worth_it(self, connections, calls, now):
        # type: (Sequence[SenderConnection], Iterable[Call], float) -> bool
        """Return True if another connection would be faster.

        :param connections: those that take requests, at least one.
        :param calls: those with requests that wait.
        """
        if self._waited < self._worthwhile_wait(connections) or now < self._pause_until:
            return False
        if any(one.limit.is_lowered for one in connections):
            # The server slows this sender down, and does so for a reason.
            return False
        if not all(one.client.accepted and not one.client.is_cautious for one in connections):
            return False
        return _has_work_for_another(connections, calls)

    @staticmethod
    def _worthwhile_wait(connections):
        # type: (Sequence[SenderConnection]) -> float
        return max(_SHORTEST_SUM, _TRIPS * min(one.round_trip for one in connections))


def _has_work_for_another(connections, calls):
    # type: (Sequence[SenderConnection], Iterable[Call]) -> bool
    """Return True unless all that waits is on its way before another connection is ready."""
    if any(call.has_more for call in calls):
        return True
    in_flight = sum(one.client.in_flight for one in connections)
    waiting = sum(call.count_waiting() for call in calls)
    return waiting >= _TRIPS_UNTIL_READY * in_flight


def longest_opening(connections):
    # type: (Sequence[SenderConnection]) -> float
    """Return how many seconds another connection may take at most (float).

    :param connections: those in use.
    """
    trip = min([one.round_trip for one in connections] or [0.0])
    return max(_LONGEST_OPENING, _OPENING_TRIPS * trip)
