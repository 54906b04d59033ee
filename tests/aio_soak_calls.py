"""One call of the asynchronous client in the soak test: what it sends, and how its caller leaves.

Outcomes are noted where the client tells them, so that what a caller was told counts even if it is
cancelled in the same moment.
"""

import asyncio
import dataclasses
import sys
from typing import Any, AsyncIterator, Callable, Dict, Iterator, List, Optional, Set, Tuple

from apnsclient.aio import APNSError, Client, Kind, Notification
from apnsclient.aio.errors import Closed
from soak_verdict import Attempt, Violation, gather

__all__ = ["Call", "Entry", "LEAVING", "LEAVING_CAMPAIGN", "LEAVING_GROUP"]

#: How the caller of one notification leaves: not at all, by a time limit around the call, or
#: cancelled, after some time or some rounds of the loop.
LEAVING = ("stay", "wait_for", "cancel", "cancel at once")
#: Of a group: also one alone, and when another task of it fails.
LEAVING_GROUP = LEAVING + ("one alone",) * 3 + (("fail",) if sys.version_info >= (3, 11) else ())
#: Of send_many(): also after some outcomes, with and without closing the generator, or when the
#: iterable fails.
LEAVING_CAMPAIGN = LEAVING + ("close", "drop", "source fails")


class Failure(Exception):
    """Raised by what is not the client."""


class Entry:
    """Notifications of one attempt: they have a tag in common, and each has a token of its own.

    :param name: name of the message (str).
    :param number: how often it was sent before (int).
    :param tokens: list of str.

    :ivar tag: what its notifications are known by in the record (str).
    :ivar begun: tokens that the client was given (set).
    :ivar told: ``(token, kind, reason)`` of each outcome, in the order in which they came.
    """

    def __init__(self, name: str, number: int, tokens: List[str]) -> None:
        self.name, self.number, self.tokens = name, number, tokens
        self.tag = "%s#%d" % (name, number)
        self.begun: Set[str] = set()
        self.told: List[Tuple[str, str, Optional[str]]] = []

    def next_attempt(self, tokens: List[str]) -> "Entry":
        """Return an entry for what is left."""
        return Entry(self.name, self.number + 1, tokens)


@dataclasses.dataclass(eq=False)
class Call:
    """One call of the client, or for a group, some at the same time.

    :param way: "send", "send_notification", "group" or "send_many".
    :param entries: what is sent; one with one token for the first two ways.
    :param delay: seconds before it begins.
    :param limit: seconds for each notification, for all of send_many(); None for no limit.
    :param has_deadline: whether the client is told the limit as a point in time.
    :param leaving: one of LEAVING.
    :param after: when the caller leaves: seconds, rounds of the loop, or a number of outcomes.
    :param is_alike: whether notifications of an entry are the same object.
    :param is_ordered: see ``send_many()``.
    :param window: see ``send_many()``.
    :param source: what send_many() is given: "list", "iterator" or "asynchronous".

    :ivar has_left: whether the caller has left before the end.
    :ivar is_refused: whether the client has taken nothing of it, since it was closed.
    :ivar losses: why outcomes are unknown (set of str).
    :ivar complaints: what was wrong (list of Violation).
    """

    way: str
    entries: List[Entry]
    delay: float = 0.0
    limit: Optional[float] = None
    has_deadline: bool = False
    leaving: str = "stay"
    after: float = 0
    is_alike: bool = True
    is_ordered: bool = False
    window: Optional[int] = None
    source: str = "iterator"
    has_left: bool = False
    is_refused: bool = False
    losses: Set[str] = dataclasses.field(default_factory=set)
    complaints: List[Violation] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        # By identity of the notification, as outcomes have it.
        self._owners: Dict[int, Entry] = {}
        self._pairs: List[Tuple[Entry, str, Any]] = []
        for entry in self.entries:
            alike = Notification(alert=entry.tag)
            for number, token in enumerate(entry.tokens):
                notification = alike if self.is_alike else {
                    "aps": {"alert": entry.tag}, "number": number}
                self._owners[id(notification)] = entry
                self._pairs.append((entry, token, notification))

    def __str__(self) -> str:
        return "%s of %d notifications, %s, %s, %s%s" % (
            self.way, len(self._pairs), self.entries[0].tag,
            "no limit" if self.limit is None else "limit %g s" % self.limit, self.leaving,
            "" if self.leaving == "stay" else " after %g" % self.after)

    async def run(self, get_client: Callable[[], Client]) -> None:
        """Make the call."""
        await asyncio.sleep(self.delay)
        self._client = get_client()
        work = self._work(self._client)
        if self.leaving == "wait_for":
            try:
                await asyncio.wait_for(work, self.after)
            except asyncio.TimeoutError:
                self.has_left = True
        elif self.leaving in ("cancel", "cancel at once"):
            await self._cancel(asyncio.ensure_future(work))
        else:
            await work

    async def _cancel(self, task: "asyncio.Task[None]") -> None:
        if self.leaving == "cancel":
            await asyncio.wait([task], timeout=self.after)
        else:
            await self._pass_rounds()
        is_done = task.done()
        task.cancel()
        await asyncio.wait([task])
        self.has_left = task.cancelled()
        if not self.has_left:
            task.result()
        if self.has_left == is_done:
            self._complain("a task that is cancelled ends as cancelled", repr(task))

    async def _pass_rounds(self) -> None:
        for _ in range(int(self.after)):
            await asyncio.sleep(0)

    async def _work(self, client: Client) -> None:
        if self.way == "send_many":
            await self._send_many(client)
        elif self.way == "group":
            await self._send_group(client)
        else:
            await self._send(client, *self._pairs[0])

    def _limits(self) -> Dict[str, Optional[float]]:
        if self.limit is not None and self.has_deadline:
            return {"deadline": asyncio.get_running_loop().time() + self.limit}
        return {"timeout": self.limit}

    # The ways to send.

    async def _send(self, client: Client, entry: Entry, token: str, notification: Any) -> None:
        entry.begun.add(token)
        if self.way != "send_notification":
            outcome = await client.send(token, notification, **self._limits())
            if (outcome.token, outcome.notification) != (token, notification):
                self._complain("an outcome is that of its notification", repr(outcome))
            self._tell(outcome)
            return
        try:
            await client.send_notification(token, notification, **self._limits())
        except APNSError as error:
            entry.told.append((token, error.kind.value, getattr(error, "reason", None)))
            if error.kind is Kind.unknown:
                self.losses.add(str(error))
        except ValueError:
            entry.told.append((token, "undelivered", None))
        else:
            entry.told.append((token, "accepted", None))

    async def _send_group(self, client: Client) -> None:
        works = [self._send(client, *pair) for pair in self._pairs]
        if self.leaving == "one alone":
            await self._leave_alone([asyncio.ensure_future(work) for work in works])
            return
        if sys.version_info < (3, 11):
            await asyncio.gather(*works)
            return
        try:
            async with asyncio.TaskGroup() as group:
                for work in works:
                    group.create_task(work)
                if self.leaving == "fail":
                    group.create_task(self._fail())
        except Exception as error:
            if self.leaving != "fail" or not isinstance(error.exceptions[0], Failure):
                raise
            self.has_left = True

    async def _leave_alone(self, tasks: "List[asyncio.Task[None]]") -> None:
        """Have the first of some tasks leave; the others have their outcomes all the same."""
        await self._pass_rounds()
        tasks[0].cancel()
        await asyncio.wait(tasks)
        self.has_left = tasks[0].cancelled()
        for task in tasks[self.has_left:]:
            task.result()

    async def _fail(self) -> None:
        await asyncio.sleep(self.after)
        raise Failure()

    async def _send_many(self, client: Client) -> None:
        try:
            outcomes = client.send_many(self._iterable(), ordered=self.is_ordered,
                                        window=self.window, **self._limits())
        except Closed:
            self.is_refused = True
            for entry in self.entries:
                entry.begun.clear()
            return
        count = 0
        try:
            async for outcome in outcomes:
                count += 1
                self._tell(outcome)
                if self.is_ordered:
                    self._check_order(count, outcome)
                if self.leaving in ("close", "drop") and count >= self.after:
                    self.has_left = True
                    break
        except Failure:
            if self.leaving != "source fails":
                raise
        finally:
            if self.leaving != "drop":
                await outcomes.aclose()

    def _check_order(self, count: int, outcome: Any) -> None:
        _, token, notification = self._pairs[count - 1]
        if outcome.token != token or outcome.notification is not notification:
            self._complain("outcomes come in order", "%r, number %d" % (outcome, count))

    def _iterable(self) -> Any:
        if self.source == "list" and self.leaving != "source fails":
            return list(self._ask())
        return self._ask_asynchronously() if self.source == "asynchronous" else self._ask()

    def _ask(self) -> Iterator[Tuple[str, Any]]:
        for number, (entry, token, notification) in enumerate(self._pairs):
            if self.leaving == "source fails" and number >= self.after:
                raise Failure()
            entry.begun.add(token)
            yield token, notification

    async def _ask_asynchronously(self) -> AsyncIterator[Tuple[str, Any]]:
        for number, pair in enumerate(self._ask()):
            if number % 7 == 0:
                await asyncio.sleep(0)
            yield pair

    # What comes of it.

    def _tell(self, outcome: Any) -> None:
        entry = self._owners[id(outcome.notification)]
        entry.told.append((outcome.token, outcome.kind.value, outcome.reason))
        if outcome.kind is Kind.unknown:
            self.losses.add(outcome.explanation)
        if (outcome.error is None) != outcome.is_accepted or not (
                outcome.is_accepted or outcome.explanation):
            self._complain("what is not accepted has an error", repr(outcome))

    def _complain(self, rule: str, text: str) -> None:
        self.complaints.append(Violation(rule, "%s: %s" % (self, text)))

    def attempts(self) -> List[Attempt]:
        """Return what became of each entry, once it is over, and complain of what is wrong."""
        found = []
        for entry in self.entries:
            attempt, complaints = gather(
                entry.name, entry.tag, entry.tokens, [one[:2] for one in entry.told],
                entry.begun, self.has_left)
            for complaint in complaints:
                self._complain(*complaint)
            self._judge_presence(entry)
            found.append(attempt)
        return found

    def _judge_presence(self, entry: Entry) -> None:
        told = set(token for token, _, _ in entry.told)
        if self.leaving == "one alone" and not told >= set(entry.tokens[1:]):
            self._complain("a caller who leaves strands nobody", entry.tag)
        if self.leaving == "stay" and not self.is_refused and entry.begun != set(entry.tokens):
            self._complain("the iterable is asked for all", entry.tag)
        if self.limit is None and not self._client.closing and any(
                kind == "unprocessed" for _, kind, _ in entry.told):
            self._complain("what has no limit is sent until it has a response", entry.tag)
