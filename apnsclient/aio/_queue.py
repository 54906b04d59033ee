"""Requests that wait to be handed to the sender, and those that wait for a place among them.

There is one order for each flow: single requests are one, each campaign is another. Flows go out in
turns, so that nobody waits behind a campaign. The queue is bounded; whoever finds it full waits
outside for a place, and whoever came first has the next one. Campaigns take what there is room for
instead: up to half of the places, in equal shares.
"""

import copy
from collections import OrderedDict, deque
from typing import Any, Deque, List, Optional, Tuple

from ._observing import Observation
from ._work import Post, Tally

__all__ = ["Flow", "Queue"]

#: How many entries of the past a flow may have.
_MOST_STALE = 1024


class Flow:
    """Requests that go out in the order in which they came.

    :ivar posts: those that wait, in order, with some that have ended meanwhile.
    :ivar count: how many of them have not (int).
    :ivar call: with what the last of them were handed to the sender
        (:class:`~apnsclient.sending.calls.Call`), or None if that is over.
    """

    __slots__ = ("call", "count", "posts")

    def __init__(self) -> None:
        self.posts: Deque[Post] = deque()
        self.count = 0
        self.call: Any = None

    @property
    def is_next(self) -> bool:
        """True if some wait, and none of those that were handed over does so any more."""
        return bool(self.posts) and (self.call is None or self.call.next_waiting() is None)

    def drop_stale(self) -> None:
        """Forget requests that have ended, if that is worth it."""
        if not self.count:
            self.posts.clear()
        elif len(self.posts) > _MOST_STALE + 2 * self.count:
            self.posts = deque([post for post in self.posts if not post.is_over])


class Queue:
    """The requests that wait, of all flows.

    :param size: most requests that have a place (int, from 1), or None for any number.
    :param tally: counts requests from when they have a place.
    :param observation: is told how long requests wait for one
        (:class:`~._observing.Observation`), or None.

    :ivar count: how many wait here (int), without those that wait for a place.
    """

    def __init__(self, size: Optional[int], tally: Tally,
                 observation: Optional[Observation] = None) -> None:
        self.count = 0
        self._size = float("inf") if size is None else size
        # Those of campaigns are a share of these.
        self._half = 0 if size is None else (size + 1) // 2
        self._tally = tally
        self._observation = observation
        self._single = Flow()
        self._flows: List[Flow] = [self._single]
        # Posts that wait for a place, in order; and since when, if anybody is told.
        self._outside: OrderedDict[Post, float] = OrderedDict()
        # Why those that wait outside, and those that have a place, are ended; or None.
        self._outside_error: Optional[Exception] = None
        self._error: Optional[Exception] = None

    # Campaigns.

    def new_flow(self) -> Flow:
        """Return the flow of a campaign; to be given back with :meth:`remove_flow`."""
        flow = Flow()
        self._flows.append(flow)
        return flow

    def remove_flow(self, flow: Flow) -> None:
        """Forget the flow of a campaign that has ended."""
        self._flows.remove(flow)

    def spare(self, flow: Flow) -> int:
        """Return how many requests a campaign may add.

        None as long as more than half of its share are taken, since few at a time cost more each.
        """
        share = max(self._half // (len(self._flows) - 1), 1)
        if self.is_full or flow.count > share // 2:
            return 0
        return min(share - flow.count, int(self._size) - self.count)

    # Who comes.

    @property
    def is_full(self) -> bool:
        """True if a request would wait for a place."""
        return bool(self._outside) or self.count >= self._size

    def enter(self, post: Post) -> None:
        """Take a request, or have it wait for a place."""
        if self.is_full:
            post.has_place = False
            self._outside[post] = 0.0 if self._observation is None else self._observation.now()
        else:
            self.add(post)

    def add(self, post: Post) -> None:
        """Take a request, however many wait."""
        flow = post.flow or self._single
        flow.posts.append(post)
        flow.count += 1
        self.count += 1
        self._tally.outstanding += 1

    def put_back(self, posts: List[Post]) -> None:
        """Take requests back that were not processed; they go out before others of their flow."""
        for post in reversed(posts):
            post.bundle = None
            flow = post.flow or self._single
            flow.posts.appendleft(post)
            flow.count += 1
        self.count += len(posts)

    def _note_room(self) -> None:
        """See who has a place now."""
        while self._outside and self.count < self._size and self._outside_error is None:
            post, since = self._outside.popitem(last=False)
            if self._observation is not None:
                self._observation.note_place(since)
            post.has_place = True
            self.add(post)

    # Who goes.

    def next_flows(self) -> List[Flow]:
        """Return the flows that are to hand something over."""
        return [flow for flow in self._flows if flow.is_next]

    def take(self, flow: Flow, most: int, now: float) -> Tuple[List[Post], List[Post]]:
        """Take the next requests of a flow, which are to be handed over together.

        :param most: at most so many (int).
        :param now: the time (float).
        :return: those; and others whose time is over, and that are still to be expired. Where there
            are any of these, others may wait behind them.
        """
        taken: List[Post] = []
        late: List[Post] = []
        posts = flow.posts
        while posts and len(taken) + len(late) < most:
            post = posts.popleft()
            if post.is_over or post.is_abandoned:
                continue
            if post.deadline is not None and post.deadline <= now:
                # The timer would say so, too, but after it was sent.
                late.append(post)
                continue
            if post.template is None and taken:
                posts.appendleft(post)
                break
            taken.append(post)
            if post.template is None:
                break
        flow.count -= len(taken)
        self.count -= len(taken)
        self._note_room()
        return taken, late

    def note_ended(self, post: Post) -> None:
        """Note that a request has ended that waits here."""
        flow = post.flow or self._single
        flow.count -= 1
        self.count -= 1
        flow.drop_stale()
        self._note_room()

    def leave(self, post: Post) -> None:
        """Forget a request that waits for a place."""
        del self._outside[post]

    # The end.

    def refuse_outside(self, error: Exception) -> None:
        """Give no place any more; see :meth:`end_refused`. The first error counts."""
        self._outside_error = self._outside_error or error

    def refuse(self, error: Exception) -> None:
        """Send nothing more; see :meth:`end_refused`. The first error counts."""
        self._error = self._error or error
        self.refuse_outside(error)

    @property
    def has_refused(self) -> bool:
        """True if requests wait that are to be ended."""
        return (self._outside_error is not None and bool(self._outside)
                or self._error is not None and self.count > 0)

    def end_refused(self, most: int) -> None:
        """End requests that are to be ended.

        :param most: at most so many (int).
        """
        if self._outside_error is not None:
            while self._outside and most:
                most -= 1
                post, _ = self._outside.popitem(last=False)
                self._tally.fail(post, copy.copy(self._outside_error))
        if self._error is not None:
            for flow in self._flows:
                while flow.posts and most:
                    post = flow.posts.popleft()
                    if not post.is_over:
                        most -= 1
                        flow.count -= 1
                        self.count -= 1
                        self._tally.fail(post, copy.copy(self._error))
