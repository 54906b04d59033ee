"""Buffers dead tokens for the feedback store, which may be slow, locked, or out of order.

Sending does not wait for the store with each token: a call stores what is buffered after it has
released its connection. Rows that could not be stored stay in the buffer, and a store that has
failed is not used for a while: a file that another process has locked causes one wait then, and not
one for each token, call or thread.

Invariants: adding never blocks. One caller at a time uses the store, and stores the rows of others
as well, who do not wait for it.
"""

from __future__ import absolute_import, division, print_function

import logging
import threading

from ._compat import MYPY, monotonic
from ._interrupts import is_interrupt
from ._process import PerProcess
from .feedback_store import MemoryStore

if MYPY:
    from typing import Any, Callable, Iterable, List

    from .feedback_store import FeedbackStore, Row

__all__ = ["FeedbackBuffer"]

_log = logging.getLogger(__name__)


class _Access(object):
    """Access to the store in one process."""

    def __init__(self, lock, now):
        # type: (Any, float) -> None
        self.lock = lock
        # The lock is reentrant, and the garbage collector may close a generator at any point.
        self.is_saving = False
        #: When a store that has failed may be used again.
        self.retry_at = now


class FeedbackBuffer(object):
    """Keeps dead tokens until they have been stored.

    May be used by several threads. A forked child begins with an empty buffer: the parent stores
    its own rows.

    :param store: the feedback store (:class:`~apnsclient.feedback_store.FeedbackStore`).
    :param create_lock: returns a reentrant lock, like the method of a back-end.
    :param clock: a monotonic clock, in seconds (float).
    """

    #: Seconds for which a store is not used after it has failed.
    PAUSE = 30.0
    #: Seconds after which a caller leaves further rows of other callers to the next one.
    LONGEST_SAVE = 1.0

    def __init__(self, store, create_lock=threading.RLock, clock=monotonic):
        # type: (FeedbackStore, Callable[[], Any], Callable[[], float]) -> None
        self.store = store
        self._waiting = MemoryStore()
        self._accesses = PerProcess()
        self._create_lock = create_lock
        self._clock = clock

    def add(self, source, rows):
        # type: (str, Iterable[Row]) -> None
        """Add dead tokens without waiting; see the base class of stores."""
        self._waiting.add(source, rows)

    def save(self, is_urgent=False):
        # type: (bool) -> None
        """Store the buffered rows; exceptions of the store are logged.

        Does nothing if another caller is storing, who then stores these rows as well, or if the
        store has failed recently.

        :param is_urgent: True uses a store that has failed recently, too, because there may be no
            next time.
        """
        if not self._waiting.sources():
            return
        access = self._access()
        end = self._clock() + self.LONGEST_SAVE
        while self._waiting.sources() and (is_urgent or self._clock() >= access.retry_at):
            if access.is_saving or not access.lock.acquire(False):
                return
            try:
                access.is_saving = True
                is_saved = self._save_all()
            finally:
                access.is_saving = False
                access.lock.release()
            if not is_saved:
                access.retry_at = self._clock() + self.PAUSE
                return
            # Another thread may have added rows, and left them to this one.
            if self._clock() >= end:
                return

    def drain(self, source):
        # type: (str) -> List[Row]
        """Remove and return all tokens of a source, including those that are still buffered.

        :raises Exception: if the store cannot be read. Then nothing has been removed.
        """
        with self._access().lock:
            waiting = self._waiting.drain(source)
            known = dict(waiting)
            try:
                for token, timestamp in self.store.drain(source):
                    known[token] = max(timestamp, known.get(token, timestamp))
            except BaseException:
                self._waiting.add(source, waiting)
                raise
        return sorted(known.items(), key=lambda row: (row[1], row[0]))

    def _access(self):
        # type: () -> _Access
        access = self._accesses.get(
            lambda: _Access(self._create_lock(), self._clock()))  # type: _Access
        return access

    def _save_all(self):
        # type: () -> bool
        """Store all rows that are buffered now; return False if that failed."""
        for source in self._waiting.sources():
            rows = self._waiting.drain(source)
            try:
                self.store.add(source, rows)
            except BaseException:
                self._waiting.add(source, rows)
                if is_interrupt():
                    raise
                _log.exception("the feedback store failed; %d dead tokens of %s are kept in the "
                               "memory of this process until it works again", len(rows), source)
                return False
        return True
