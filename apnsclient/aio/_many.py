"""Many notifications of one caller, from an iterable to outcomes."""

import asyncio
import logging
import time
from collections import deque
from itertools import islice
from typing import (
    Any,
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Deque,
    Iterable,
    List,
    Optional,
    Set,
    Union,
)

from ..sending.http2 import IN_FLIGHT
from ._work import Post, error_of
from .outcome import Kind, Outcome, from_error

__all__ = ["Campaign", "Item"]

_log = logging.getLogger("apnsclient.aio")

#: How many values of an asynchronous iterable are asked for ahead.
_AHEAD = 128
#: How many notifications are taken from an iterable, and for how many seconds at most, before the
#: loop may do something else.
_ROUND, _LONGEST_ROUND = 128, 0.005
#: How many outcomes a caller gets who does not wait for anything in between, before the loop may.
_MOST_GIVEN = 256


class Item(Post):
    """One notification, whose outcome the campaign collects.

    :param campaign: the campaign.
    :param given: the device token as it was given.
    :param notification: the notification as it was given.
    """

    __slots__ = ("_campaign", "_is_late", "given", "notification", "outcome", "response")

    def __init__(self, campaign: "Campaign", given: Any, notification: Any, token: Any,
                 template: Any, deadline: Optional[float]) -> None:
        # Like super().__init__(), which takes longer.
        self.token, self.template, self.deadline = token, template, deadline
        self.is_over, self.has_place, self.bundle, self.index = False, True, None, 0
        self.flow = campaign.flow
        self._campaign, self._is_late = campaign, False
        self.given, self.notification = given, notification
        self.response: Any = None
        self.outcome: Optional[Outcome] = None

    def respond(self, response: Any) -> None:
        """Keep the response."""
        self.response = response
        self._campaign.note(self)

    def fail(self, error: BaseException, kind: Optional[Kind] = None) -> None:
        """Keep why there is none."""
        self.outcome = from_error(self.given, self.notification, error, kind)
        self._campaign.note(self)

    def lose(self, text: str) -> None:
        """Keep that the outcome is unknown."""
        self.fail(error_of(text, Kind.unknown, self._is_late))

    def give_up(self, text: str) -> None:
        """Keep that it was not sent."""
        self.fail(error_of(text, Kind.unprocessed, self._is_late))

    def expire(self) -> None:
        """Keep that its time is over."""
        self._is_late = True
        self._campaign.withdraw(self, "its time was over")


class Campaign:
    """Sends what an iterable yields, and yields outcomes; bounded by a window.

    :param pool: the pool.
    :param new_item: called with the campaign and what the iterable yields; returns an
        :class:`Item`, whose outcome is set if it cannot be sent.
    :param to_outcome: called with an item that has a response; returns the outcome.
    :param window: most notifications whose outcomes the caller does not have (int, from 1).
    :param is_ordered: whether outcomes come in the order of the iterable (bool).

    :ivar flow: what its requests go out with (:class:`~._queue.Flow`), once :meth:`run` was begun.
    """

    def __init__(self, pool: Any, new_item: Callable[["Campaign", Any], Item],
                 to_outcome: Callable[[Item], Outcome], window: int, is_ordered: bool) -> None:
        self._pool = pool
        self._new_item = new_item
        self._to_outcome = to_outcome
        self._window = window
        self._is_ordered = is_ordered
        # Those that were taken, in order; or those that have ended, in that order.
        self._taken: Deque[Item] = deque()
        self._ended: Deque[Item] = deque()
        self._count = 0
        self._waiter: Optional[asyncio.Future[None]] = None
        self._live: Set[Item] = set()
        self.flow: Any = None

    def note(self, item: Item) -> None:
        """Take note that an item has ended."""
        self._live.discard(item)
        if not self._is_ordered:
            self._ended.append(item)
        self._wake()

    def withdraw(self, item: Item, text: str) -> None:
        """Give up an item whose time is over."""
        self._pool.hub.withdraw(item, text + self._pool.hub.problem_text)

    async def run(self, notifications: Union[Iterable[Any], AsyncIterable[Any]],
                  ) -> AsyncGenerator[Outcome, None]:
        """Yield the outcome of each notification.

        :raises Exception: what the iterable raises, after the outcomes of what it has yielded.
        """
        source: Union[_Awaited, _Plain]
        if isinstance(notifications, AsyncIterable):
            source = _Awaited(notifications, self._wake)
        else:
            source = _Plain(notifications)
        queue = self._pool.hub.queue
        self.flow = queue.new_flow()
        try:
            while self._count or not source.is_over:
                await self._take(source)
                item, given = self._next_ended(), 0
                while item is not None:
                    self._count -= 1
                    given += 1
                    yield item.outcome or self._to_outcome(item)
                    # Before there is nothing left to send, more is taken.
                    is_low = self._count <= self._window // 2 and self._can_take(source)
                    item = None if is_low or given == _MOST_GIVEN else self._next_ended()
                if self._can_take(source):
                    continue
                if self._has_ended():
                    await asyncio.sleep(0)
                else:
                    await self._wait(source)
            if source.failure is not None:
                raise source.failure
        finally:
            source.close()
            self._leave()
            queue.remove_flow(self.flow)
            await source.wait_closed()

    def _leave(self) -> None:
        """Give up what has not ended."""
        places = [self._pool.hub.withdraw(item, "its caller has left")
                  for item in list(self._live)]
        self._live.clear()
        written = places.count(IN_FLIGHT)
        if written:
            _log.warning("a caller has left %d requests of send_many() that were written: their "
                         "outcome is unknown", written)

    def _can_take(self, source: Any) -> bool:
        return bool(source.is_ready) and self._room() > 0

    def _room(self) -> int:
        """Return how many notifications may be taken now."""
        room = min(self._window - self._count, _ROUND)
        # Those under way make room for others; without any, nothing would say when there is some.
        return min(room, self._pool.hub.queue.spare(self.flow)) if self._live else room

    async def _take(self, source: Any) -> None:
        """Take notifications as far as the window allows, and begin to send them."""
        while self._can_take(source):
            values = source.take(self._room())
            items: List[Item] = []
            try:
                for value in values:
                    items.append(self._new_item(self, value))
            except Exception as error:  # pylint: disable=broad-except
                source.fail(error)
            self._count += len(items)
            self._start(items)
            if values:
                await asyncio.sleep(0)
                if self._has_ended():
                    return

    def _start(self, items: List[Item]) -> None:
        """Begin to send notifications."""
        if self._is_ordered:
            self._taken += items
        if self._pool.closing:
            for item in items:
                if item.outcome is None:
                    item.fail(self._pool.error)
                else:
                    self.note(item)
            return
        good = [item for item in items if item.outcome is None]
        self._live.update(good)
        for item in good:
            self._pool.hub.add(item)
        if len(good) < len(items):
            for item in items:
                if item.outcome is not None:
                    self.note(item)

    def _has_ended(self) -> bool:
        """Return True if there is an outcome to yield."""
        if not self._is_ordered:
            return bool(self._ended)
        return bool(self._taken) and (
            self._taken[0].is_over or self._taken[0].outcome is not None)

    def _next_ended(self) -> Optional[Item]:
        if not self._has_ended():
            return None
        return (self._taken if self._is_ordered else self._ended).popleft()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, source: Any) -> None:
        """Wait until an item has ended, or another one has come."""
        if not self._count and source.is_over:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None


class _Plain:
    """What a plain iterable yields."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._values = iter(values)
        self.is_over = False
        self.failure: Optional[BaseException] = None

    @property
    def is_ready(self) -> bool:
        """True if there may be another value."""
        return not self.is_over

    def take(self, limit: int) -> List[Any]:
        """Return the next values, up to a limit, as far as they come without delay."""
        found: List[Any] = []
        end = time.monotonic() + _LONGEST_ROUND
        try:
            for value in islice(self._values, limit):
                found.append(value)
                if time.monotonic() > end:
                    return found
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error
        self.is_over = len(found) < limit
        return found

    def fail(self, error: BaseException) -> None:
        """Ask for nothing more; what was taken is sent."""
        self.is_over, self.failure = True, error

    def close(self) -> None:
        """Ask for nothing more."""
        self.is_over = True

    async def wait_closed(self) -> None:
        """Do nothing: none of it goes on."""


class _Awaited:
    """What an asynchronous iterable yields; a task asks it, some values ahead.

    :param values: the iterable.
    :param wake: called when a value is there.
    """

    def __init__(self, values: AsyncIterable[Any], wake: Callable[[], None]) -> None:
        self._values = values
        self._wake = wake
        self.is_over = False
        self.failure: Optional[BaseException] = None
        self._ahead: Deque[Any] = deque()
        self._room = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._ask())
        self._task.add_done_callback(self._note_end)

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        if self.is_over and not task.cancelled() and task.exception() is not None:
            _log.warning("the iterable of notifications failed after its caller had left",
                         exc_info=task.exception())
        self._wake()

    async def _ask(self) -> None:
        async for value in self._values:
            if self.is_over:
                return
            self._ahead.append(value)
            self._wake()
            while len(self._ahead) >= _AHEAD:
                self._room.clear()
                await self._room.wait()

    @property
    def is_ready(self) -> bool:
        """True if the next value, or the end, is there."""
        return not self.is_over and (bool(self._ahead) or self._task.done())

    def take(self, limit: int) -> List[Any]:
        """Return the next values, up to a limit, as far as they have come."""
        found: List[Any] = []
        while self._ahead and len(found) < limit:
            found.append(self._ahead.popleft())
        self._room.set()
        if not found and self._task.done():
            self.is_over = True
            # Nobody but the iterable itself has cancelled the task.
            self.failure = (asyncio.CancelledError() if self._task.cancelled()
                            else self._task.exception())
        return found

    def fail(self, error: BaseException) -> None:
        """Ask for nothing more; what was taken is sent."""
        self.close()
        self.failure = error

    def close(self) -> None:
        """Ask for nothing more."""
        self.is_over = True
        if not self._task.done():
            self._task.cancel()
        elif not self._task.cancelled():
            self._task.exception()  # Nobody has asked for as much.

    async def wait_closed(self) -> None:
        """Wait until the iterable has ended: it may have something to clean up."""
        if not self._task.done():
            await asyncio.wait([self._task])
