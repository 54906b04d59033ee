"""One call of ``send()`` or ``send_many()`` as a sender sees it: work in order, and what ends it.

It knows neither who made it, nor the iterable that its messages come from, nor any connection.
"""

from __future__ import absolute_import, division, print_function

from collections import deque

from .._compat import MYPY, text_of

if MYPY:
    from typing import Any, Deque, List, Optional

    from ..protocols.http2.streams import Batch
    from ..reasons import Reason
    from .work import Work

__all__ = ["Call"]


class Call(object):
    """Work of one caller.

    :param deadline: when the call is to be over (float, on the clock of the back-end), or None.

    :ivar has_more: whether the caller brings more work as soon as all that it has brought was
        started (bool); set by the caller.
    :ivar is_slow: whether the caller takes its time until it brings more work (bool); likewise.
    :ivar is_abandoned: whether the caller has left (bool). Nothing more is started of it.
    :ivar failure: ``sys.exc_info()`` of what the caller is to be told when it has its results, or
        None.
    :ivar is_queued: whether the sender has it in its queue (bool); set by the sender.
    """

    def __init__(self, deadline=None):
        # type: (Optional[float]) -> None
        self.deadline = deadline
        self.has_more = self.is_slow = False
        self.is_abandoned = self.is_queued = False
        self.failure = None  # type: Any
        self._stop_reason = None  # type: Optional[Reason]
        self._problem = None  # type: Optional[str]
        # Work that was not handed back yet, and that of which requests may wait to be started.
        self._works = deque()  # type: Deque[Work]
        self._waiting = deque()  # type: Deque[Work]
        # Whether the server may have processed anything of it.
        self._is_proven = False

    def add(self, work):
        # type: (Work) -> None
        """Add work to what is to be sent; it is decided at once if nothing more is sent."""
        work.call = self
        self._works.append(work)
        if self._stop_reason is not None:
            work.stop(self._stop_reason)
        elif self._problem is not None:
            work.give_up(self._problem)
        elif work.waiting:
            self._waiting.append(work)

    @property
    def is_ready(self):
        # type: () -> bool
        """True if there is something to do for the caller: results to take, or work to bring."""
        works = self._works
        if not works or works[0].is_decided:
            return True
        # After a failure no more is brought, and what is in flight has yet to be waited for.
        return self.has_more and self.failure is None and self.next_waiting() is None

    @property
    def is_empty(self):
        # type: () -> bool
        """True if all that the caller has brought was handed back."""
        return not self._works

    @property
    def is_over(self):
        # type: () -> bool
        """True if nothing of it is to be sent or in flight any more."""
        return self.is_abandoned or not self._works or all(
            [work.is_decided for work in self._works])

    def decided(self):
        # type: () -> List[Work]
        """Take the work that is decided, in order, as far as nothing before it is undecided."""
        works, decided = self._works, []
        while works and works[0].is_decided:
            self._is_proven = True
            decided.append(works.popleft())
        return decided

    def next_waiting(self):
        # type: () -> Optional[Work]
        """Return the first work with requests that wait to be started, or None."""
        waiting = self._waiting
        while waiting:
            if waiting[0].waiting:
                return waiting[0]
            waiting.popleft()
        return None

    def count_waiting(self):
        # type: () -> int
        """Return how many requests wait to be started, at least."""
        return sum(work.waiting for work in self._waiting)

    def resend(self, work, index):
        # type: (Work, int) -> None
        """Have a request wait again that was not processed: before what was never started."""
        if self._stop_reason is not None or self._problem is not None:
            work.resend(index)
            self._decide(work)
            return
        if not work.waiting:
            self._waiting.appendleft(work)
        work.resend(index)

    def _decide(self, work):
        # type: (Work) -> None
        if self._stop_reason is not None:
            work.stop(self._stop_reason)
        else:
            work.give_up(self._problem or "")

    def note_proven(self):
        # type: () -> None
        """Note that the server may have processed a request of it."""
        self._is_proven = True

    # What ends it.

    def stop(self, reason):
        # type: (Reason) -> None
        """Start nothing more, because of what the server says of the credential."""
        if self._stop_reason is None:
            self._stop_reason = reason
            self._take_waiting()

    def give_up(self, problem):
        # type: (str) -> None
        """Start nothing more; what was not processed is the caller's to send again."""
        if self._problem is None:
            self._problem = problem
            self._take_waiting()

    def fail(self, failure):
        # type: (Any) -> None
        """Start nothing more, because no connection can be had.

        If nothing was sent from the start, there is nothing to report but the exception.

        :param failure: ``sys.exc_info()`` of it.
        """
        if self.failure is None:
            self.failure = failure
        if not self._is_proven and not self.in_flight():
            self._works.clear()
            self._waiting.clear()
        self.give_up(text_of(failure[1]))

    def in_flight(self):
        # type: () -> List[Batch]
        """Return the batches that have not ended."""
        return [batch for work in self._works for batch in work.batches]

    def _take_waiting(self):
        # type: () -> None
        for work in self._works:
            if work.waiting:
                self._decide(work)
        self._waiting.clear()
