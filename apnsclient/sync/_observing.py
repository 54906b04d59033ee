"""Tells the observer of a session what has happened.

Facts are collected wherever they occur, by threads that lead, with locks held, and in finalizers.
The observer is the caller's code, so it is called apart from that: :meth:`Observation.tell` is for
places where nobody waits for the caller, and no lock is held.
"""

from __future__ import absolute_import, division, print_function

from collections import deque

from .._compat import MYPY
from .._interrupts import is_interrupt
from .._process import PerProcess
from ..events import LateResults
from ..sending.facts import Facts
from ..sending.tally import Tally, frame_events, outcome_events

if MYPY:
    import logging
    from typing import Any, Callable, Deque, Dict, Optional, Sequence, Set, Tuple

    from ..backends import BaseBackend
    from ..events import Event
    from ..result import Result

    Address = Tuple[str, int]

__all__ = ["Observation", "count_undelivered"]

#: Seconds after which events are told although there is more to be sent.
_LATEST = 1.0
#: Seconds between two entries in the log for failures of the same kind.
_LOG_EVERY = 60.0


def count_undelivered(result):
    # type: (Result) -> int
    """Return how many tokens of a message were not delivered, however often they are tried."""
    retry = result.retry()
    return len(result.failed) + (len(retry.tokens) if retry is not None else 0)


class _Pending(object):
    """What one process has to tell.

    :ivar events: those that nobody was told, oldest first; any thread may add and take.
    :ivar telling: callers in the middle of the observer, by what the back-end knows them by.
    """

    def __init__(self):
        # type: () -> None
        self.events = deque()  # type: Deque[Event]
        self.telling = set()  # type: Set[Any]


class Observation(object):
    """An observer, and what it is to be told.

    :param observer: called with each event.
    :param backend: of the session (:class:`~apnsclient.backends.BaseBackend`).
    :param logger: gets the exceptions that it raises (``logging.Logger``).
    """

    def __init__(self, observer, backend, logger):
        # type: (Callable[[Event], Any], BaseBackend, logging.Logger) -> None
        self._observer = observer
        self._logger = logger
        self._processes = PerProcess()
        # When failures of each kind were logged.
        self._logged = {}  # type: Dict[Any, float]
        self.backend = backend

    def facts(self, address, protocol):
        # type: (Address, str) -> Facts
        """Return what collects facts about an address, in this process."""
        return Facts(self._pending().events.append, address, protocol)

    def _pending(self):
        # type: () -> _Pending
        pending = self._processes.get(_Pending)  # type: _Pending
        return pending

    def is_due(self, now):
        # type: (float) -> bool
        """Return True if there is something to tell that has waited for long enough."""
        try:
            return self._pending().events[0].time <= now - _LATEST
        except IndexError:
            return False

    def time_left(self, now, limit):
        # type: (float, Optional[float]) -> Optional[float]
        """Return how many seconds may be waited until something is to be told.

        :param limit: how many, at most, may be waited in any case (float), or None.
        """
        try:
            left = max(self._pending().events[0].time + _LATEST - now, 0.0)
        except IndexError:
            return limit
        return left if limit is None else min(left, limit)

    @staticmethod
    def begin(works):
        # type: (Sequence[Any]) -> None
        """See that the outcomes of some work are counted, which was not submitted yet."""
        for work in works:
            work.tally = Tally()

    def add_outcomes(self, address, works):
        # type: (Address, Sequence[Any]) -> None
        """Add what became of the notifications of some work over HTTP/2."""
        self._pending().events.extend(outcome_events(works, address, self.backend.clock()))

    def add_results(self, address, topic, results):
        # type: (Address, Optional[str], Sequence[Result]) -> None
        """Add what became of some messages over the binary protocol.

        :param topic: that of the certificate (str), or None.
        """
        self._pending().events.extend(frame_events(results, address, topic, self.backend.clock()))

    def add_late(self, address, results):
        # type: (Address, Sequence[Result]) -> None
        """Add that messages turn out not to have been delivered, and were to count as such."""
        self._pending().events.append(LateResults(
            self.backend.clock(), address, "binary", len(results),
            sum(count_undelivered(result) for result in results)))

    def tell(self):
        # type: () -> None
        """Tell the observer all that has happened.

        What its own calls cause is told when it has returned.

        :raises BaseException: an interrupt that has come meanwhile. Any exception of the observer
            is logged.
        """
        pending = self._pending()
        if not pending.events:
            return
        me = self.backend.caller_id()
        if me in pending.telling:
            return
        pending.telling.add(me)
        try:
            while pending.events:
                try:
                    event = pending.events.popleft()
                except IndexError:
                    return
                self._call(event)
        finally:
            pending.telling.discard(me)

    def _call(self, event):
        # type: (Event) -> None
        try:
            self._observer(event)
        except Exception as error:
            if is_interrupt():
                raise
            now, kind = self.backend.clock(), (type(event), type(error))
            if now - self._logged.get(kind, float("-inf")) >= _LOG_EVERY:
                self._logged[kind] = now
                self._logger.exception("the observer of a session has failed with %s",
                                       type(event).__name__)
