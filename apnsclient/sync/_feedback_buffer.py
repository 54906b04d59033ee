"""Dead tokens on their way into the store of feedback, which may be slow, locked, or out of order.

Sending does not wait for each of them: what is found is left here, and a call hands over what is
here once it has given its connection back. What a store did not take waits for the next time, and
a store that has failed is left alone for a while: a file that another process has locked costs one
wait then, and not one for each token, call or thread.

What always holds: adding waits for nothing. One caller at a time works on the store; those who have
nothing but rows to bring leave them to that one.
"""

from __future__ import absolute_import, division, print_function

import logging

from .._compat import MYPY
from .._interrupts import is_interrupt
from .._process import PerProcess
from ..feedback_store import MemoryStore

if MYPY:
    from typing import Any, Callable, Iterable, List

    from ..feedback_store import FeedbackStore, Row

__all__ = ["FeedbackBuffer"]

_log = logging.getLogger(__name__)


class _Turn(object):
    """Who works on the store, in one process."""

    def __init__(self, lock, now):
        # type: (Any, float) -> None
        self.lock = lock
        # Whoever has the lock may come again: the garbage collector closes generators anywhere.
        self.is_saving = False
        #: When a store that has failed may be tried again.
        self.free_at = now


class FeedbackBuffer(object):
    """Keeps dead tokens until a store has taken them.

    May be used by several threads. A forked child begins with an empty one: what its parent had
    found is stored by the parent.

    :param store: where they belong (:class:`~apnsclient.feedback_store.FeedbackStore`).
    :param create_lock: returns a reentrant lock, as that of a back-end does.
    :param clock: returns the time in seconds (float), which never goes back.
    """

    #: Seconds for which a store that has failed is left alone.
    PAUSE = 30.0
    #: Seconds after which a caller leaves what others go on bringing to whoever comes next.
    PATIENCE = 1.0

    def __init__(self, store, create_lock, clock):
        # type: (FeedbackStore, Callable[[], Any], Callable[[], float]) -> None
        self._store = store
        self._waiting = MemoryStore()
        self._turns = PerProcess()
        self._create_lock = create_lock
        self._clock = clock

    def add(self, source, rows):
        # type: (str, Iterable[Row]) -> None
        """Keep tokens that are dead, without waiting; see the base class of stores."""
        self._waiting.add(source, rows)

    def save(self, is_urgent=False):
        # type: (bool) -> None
        """Hand what waits to the store; what that raises is logged.

        Nothing happens while another caller does so, who then takes this along, or if the store has
        failed a moment ago.

        :param is_urgent: True tries such a store all the same, because there may be no next time.
        """
        if not self._waiting.sources():
            return
        turn = self._turn()
        end = self._clock() + self.PATIENCE
        while self._waiting.sources() and (is_urgent or self._clock() >= turn.free_at):
            if turn.is_saving or not turn.lock.acquire(False):
                return
            try:
                turn.is_saving = True
                is_saved = self._save_all()
            finally:
                turn.is_saving = False
                turn.lock.release()
            if not is_saved:
                turn.free_at = self._clock() + self.PAUSE
                return
            # Another thread may have brought some, and gone on because this one was at work.
            if self._clock() >= end:
                return

    def drain(self, source):
        # type: (str) -> List[Row]
        """Take out all tokens of a source, also those that the store has not got yet.

        :raises Exception: if the store cannot be read. Then nothing has been taken out.
        """
        with self._turn().lock:
            waiting = self._waiting.drain(source)
            known = dict(waiting)
            try:
                for token, timestamp in self._store.drain(source):
                    known[token] = max(timestamp, known.get(token, timestamp))
            except BaseException:
                self._waiting.add(source, waiting)
                raise
        return sorted(known.items(), key=lambda row: (row[1], row[0]))

    def _turn(self):
        # type: () -> _Turn
        turn = self._turns.get(lambda: _Turn(self._create_lock(), self._clock()))  # type: _Turn
        return turn

    def _save_all(self):
        # type: () -> bool
        """Hand over what there is now; return False if the store did not take it."""
        for source in self._waiting.sources():
            rows = self._waiting.drain(source)
            try:
                self._store.add(source, rows)
            except BaseException:
                self._waiting.add(source, rows)
                if is_interrupt():
                    raise
                _log.exception("the feedback store failed; %d dead tokens of %s wait in the memory "
                               "of this process until the store takes them", len(rows), source)
                return False
        return True
