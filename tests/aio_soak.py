"""One lane of the soak test for the asynchronous client: an event loop, a client, and many tasks.

A round is that of ``soak_lane.py``: a client that works, legs with the fault in other settings, and
an end where what is left is sent again until nothing is. In each leg tasks send in every way there
is, and leave in every way there is; meanwhile clients are closed, replaced and resized, and servers
say good-bye. Calls without a limit outlast the fault: they have their outcome once it is over.

Each lane has its loop, which runs in whatever thread the round is given.
"""

import asyncio
import io
import threading
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Awaitable, Callable, Coroutine, Dict, List, Optional, Set, Tuple

from aio_soak_calls import LEAVING, LEAVING_CAMPAIGN, LEAVING_GROUP, Call, Entry
from apnsclient import ProviderToken
from apnsclient._compat import monotonic
from apnsclient.aio import Client, create_client
from apnsclient.errors import ConnectError, ConnectTimeout
from apnsclient.feedback_store import MemoryStore
from apnsclient.testing.chaos.randomness import Dice
from soak_faults import FAULTS, HARMLESS, lane_name, uvloop
from soak_stage import Stage, sample
from soak_verdict import Attempt, Violation, judge, judge_refusals

__all__ = ["AioLane"]

#: Seconds that a slow machine may add to any limit.
MARGIN = 30.0
#: Seconds for each notification of a call: others have the processor most of the time.
EACH = 0.05
#: Seconds for what has no limit: the delay before a connect, the connect, and the response.
NO_LIMIT = 240.0
#: How often what is left is sent again once the fault is off.
MOST_TRIES = 30
#: Seconds for what the end of a client leaves to the loop.
SETTLE = 30.0
#: Tokens that are refused, one that is dead, and one that cannot be put on the wire.
REFUSED = ["bad%061x" % number for number in range(8)]
DEAD, GONE_SINCE = "dead%060x" % 0, 1700000000
UNSENDABLE = "not hexadecimal"
BAD = REFUSED + [DEAD, UNSENDABLE]
REASONS = dict({token: "BadDeviceToken" for token in REFUSED}, **{DEAD: "Unregistered"})
TOPIC = "com.example.soak"

#: What tasks do, and when they begin, leave, and have waited long enough (seconds).
WAYS = ("send", "send", "send_notification", "send_notification", "group", "send_many", "send_many")
DELAYS = (0.0, 0.0, 0.001, 0.01, 0.1, 0.3)
LEAVE_AFTER = (0.0, 0.001, 0.01, 0.05, 0.2)
LIMITS = (0.0, 0.01, 0.1, 0.5, 1.0)


class AioLane:
    """See the module.

    :param spec: what it is about (``Spec``).
    :param seed: what all random numbers come from.
    :param load: how much is sent (``Load``).
    :param authority: issues all certificates (``Authority``).

    :ivar longest: the longest call (seconds).
    """

    def __init__(self, spec: Any, seed: Any, load: Any, authority: Any) -> None:
        self.spec = spec
        self.name = lane_name(spec)
        self.seed = "%s/%s" % (seed, self.name)
        self.load = load
        self.longest = 0.0
        self._is_harmless = spec.fault in HARMLESS
        # Where nothing is silent all waiting ends by a response or a failure.
        self._patience = 60.0 if FAULTS[spec.fault].swallows is None else load.patience
        self._stage = Stage(spec, self.seed, authority)
        self._lock = threading.Lock()
        self._running: Dict[Any, Tuple[float, float, str]] = {}

    def start(self) -> None:
        """Start simulator, proxy and loop."""
        self._stage.start()
        self._simulator = self._stage.simulator
        for token in REFUSED:
            self._simulator.devices.bad(token)
        self._simulator.devices.uninstall(DEAD, when=GONE_SINCE)
        self._token = ProviderToken(**self._simulator.token_parameters)
        self._store = MemoryStore()
        self._executor = ThreadPoolExecutor(1)
        self._loop = uvloop.new_event_loop() if self.spec.has_uvloop else asyncio.new_event_loop()
        self._loop.set_default_executor(self._executor)
        self._loop.set_exception_handler(self._note_complaint)

    def stop(self) -> None:
        """Stop all three."""
        if not self._loop.is_running():
            self._loop.run_until_complete(self._leave())
            self._loop.close()
        self._executor.shutdown()
        self._stage.stop()

    async def _leave(self) -> None:
        """Leave nothing to the loop if a round has failed."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=SETTLE)
        await self._loop.shutdown_asyncgens()

    def _note_complaint(self, _: Any, context: Dict[str, Any]) -> None:
        error = context.get("exception")
        self._crashes.append(Violation("the loop has nothing to complain of", "%s\n%s" % (
            context, "".join(traceback.format_exception(type(error), error, error.__traceback__))
            if error else "")))

    # A round.

    def run(self, number: int) -> Tuple[List[Violation], Counter]:
        """Run one round; return its violations and figures."""
        self._round = number
        self._dice = Dice(self.seed, number)
        self._attempts: List[Attempt] = []
        self._pending: List[Entry] = []
        self._without_limit: List[Any] = []
        self._clients: List[Client] = []
        self._crashes: List[Violation] = []
        self._named = 0
        self._knows_dead = False
        self._losses: Set[str] = set()
        self._counts: Counter = Counter(connections=-self._stage.proxy.connection_count,
                                        faults=-self._stage.proxy.fault_count)
        self._loop.run_until_complete(self._run_legs())
        return self._conclude()

    async def _run_legs(self) -> None:
        self._stage.proxy.set_behavior("")
        await self._connect()
        await self._run_calls([Call("send_many", [self._new_entry(self._tokens(5, 0))])])
        for leg in range(self.load.legs):
            await self._prepare()
            self._stage.inject(self._dice, leg + self._round,
                               leg == 0 or self._dice.random() < 0.5)
            await self._run_leg()
        await self._heal()
        await self._end()

    async def _prepare(self) -> None:
        """Have a client, and connections that end: it notices when the fault is there."""
        dice = self._dice
        if self._client.closing:
            self._stage.heal()
            await self._renew()
        if dice.random() < 0.3:
            self._simulator.goaway_all(dice.choice((None, "Shutdown")))
        elif not self._is_harmless and dice.random() < 0.5:
            self._simulator.disconnect_providers(dice.random() < 0.5)

    async def _run_leg(self) -> None:
        """Run calls while the fault is on; those without a limit go on after that."""
        calls = self._plan()
        limited = [self._start(call) for call in calls if call.limit is not None]
        self._without_limit += [self._start(call) for call in calls if call.limit is None]
        events = [asyncio.ensure_future(event) for event in self._events()]
        for task in events + limited + self._without_limit * self._is_harmless:
            await task

    # What is done in a leg.

    def _plan(self) -> List[Call]:
        """Return what each task does."""
        dice, left, calls = self._dice, self.load.tokens, []
        pending, self._pending = self._pending, []
        if pending:
            calls.append(self._campaign(pending))
        while left > 0:
            way = dice.choice(WAYS)
            if way == "send_many":
                entries = [self._new_entry(self._tokens(
                    dice.choice((1, 7, 50, self.load.tokens // 3)), dice.choice((0, 0, 1, 3))))
                    for _ in range(dice.choice((1, 1, 5)))]
                calls.append(self._campaign(entries))
            else:
                calls.append(self._single(way))
            left -= sum(len(entry.tokens) for entry in calls[-1].entries)
        return calls

    def _new_entry(self, tokens: List[str]) -> Entry:
        self._named += 1
        return Entry("%s:r%d.%d" % (self.name, self._round, self._named), 0, tokens)

    def _tokens(self, count: int, bad: int) -> List[str]:
        """Return so many good tokens, with bad ones among them."""
        tokens = ["%064x" % number for number in range(count)]
        for token in sample(self._dice, BAD, bad):
            tokens.insert(self._dice.randint(0, len(tokens)), token)
        return tokens

    def _single(self, way: str) -> Call:
        dice = self._dice
        if way == "group":
            tokens = self._tokens(dice.choice((2, 5, 20)), dice.choice((0, 0, 1)))
        elif dice.random() < 0.1:
            tokens = self._tokens(0, 1)
        else:
            tokens = self._tokens(1, 0)
        call = self._call(way, [self._new_entry(tokens)])
        call.leaving = dice.choice(("stay",) * 3 + (LEAVING_GROUP if way == "group" else LEAVING))
        call.after = dice.choice(LEAVE_AFTER)
        if call.leaving in ("cancel at once", "one alone"):
            call.after = dice.randint(0, 4)
        return call

    def _campaign(self, entries: List[Entry]) -> Call:
        dice = self._dice
        call = self._call("send_many", entries)
        call.is_ordered = dice.random() < 0.5
        # One after the other, each with the delay of the fault, is for a few.
        is_small = sum(len(entry.tokens) for entry in entries) <= 20
        call.window = dice.choice((None, None, 1 if is_small else 10, 100))
        call.source = dice.choice(("list", "iterator", "asynchronous"))
        # Each takes the next window when the time of the last one is over.
        call.has_deadline = True
        call.leaving = dice.choice(("stay",) * 6 + LEAVING_CAMPAIGN)
        if call.leaving in ("close", "drop", "source fails"):
            call.after = dice.randint(1, 20)
        elif call.leaving == "cancel at once":
            call.after = dice.randint(0, 10)
        else:
            call.after = dice.choice(LEAVE_AFTER)
        return call

    def _call(self, way: str, entries: List[Entry]) -> Call:
        dice = self._dice
        limits = LIMITS + (self.load.patience, None) + (None,) * 4 * self._is_harmless
        return Call(way, entries, dice.choice(DELAYS), dice.choice(limits),
                    has_deadline=dice.random() < 0.5, is_alike=dice.random() < 0.5)

    def _events(self) -> List[Coroutine[Any, Any, None]]:
        """Return what happens to the client meanwhile."""
        dice = self._dice
        kinds: List[Tuple[float, Callable[..., Any], Tuple[Any, ...]]] = [
            (0.4, self._resize, (dice.randint(1, 3),)),
            (0.4, self._replace, ()),
            (0.15, self._close, ()),
            (0.3, self._say_goodbye, (dice.choice((None, "Shutdown")),)),
        ]
        if not self._is_harmless:
            kinds.append((0.2, self._disconnect, (dice.random() < 0.5,)))
        return [self._later(dice.choice(DELAYS), function, arguments)
                for share, function, arguments in kinds if dice.random() < share]

    async def _later(self, delay: float, function: Callable[..., Any], arguments: Any) -> None:
        await asyncio.sleep(delay)
        result = function(*arguments)
        if result is not None:
            await result

    def _resize(self, size: int) -> None:
        self._client.pool.resize(size)

    def _say_goodbye(self, reason: Optional[str]) -> None:
        self._simulator.goaway_all(reason)

    def _disconnect(self, has_reset: bool) -> None:
        self._simulator.disconnect_providers(has_reset)

    async def _replace(self) -> None:
        """Have calls to come use another client, and close the one that has others under way."""
        try:
            client = await self._watch("a client", 2 * self._patience, self._create())
        except ConnectError:
            return
        before, self._client = self._client, client
        await self._close_client(before)

    async def _close(self) -> None:
        await self._close_client(self._client)

    async def _close_client(self, client: Client) -> None:
        """Close a client, in one of several ways."""
        dice = self._dice
        # What is lost by it is unknown, so that where nothing may be there is time.
        timeout = None if self._is_harmless else dice.choice((0.0, 0.05, 1.0))
        close = dice.choice((client.close, client.aclose))
        if self._is_harmless or dice.random() < 0.7:
            await self._watch("close(%s)" % timeout, timeout or NO_LIMIT, close(timeout))
            return
        closing = asyncio.ensure_future(close(timeout))
        await asyncio.wait([closing], timeout=dice.choice(LEAVE_AFTER))
        closing.cancel()
        await asyncio.wait([closing])

    async def _create(self) -> Client:
        """Return a client."""
        dice = self._dice
        credential = dice.choice((self._simulator.cert_string, self._token))
        client = await create_client(
            credential, self._stage.address, ca_string=self._simulator.ca_string, topic=TOPIC,
            pool_size=dice.randint(1, 3), timeout=None, connect_timeout=self._patience,
            read_timeout=self._patience, ping_after=dice.choice((60.0, 0.1, 0.01)),
            queue_size=dice.choice((1000, 1000, 100, 10)), feedback_store=self._store)
        self._clients.append(client)
        return client

    # Calls.

    def _start(self, call: Call) -> "asyncio.Task[None]":
        return asyncio.ensure_future(self._run_call(call))

    async def _run_calls(self, calls: List[Call]) -> None:
        for task in [self._start(call) for call in calls]:
            await task

    async def _run_call(self, call: Call) -> None:
        """Make a call, and note what came of it."""
        limit = NO_LIMIT if call.limit is None else call.delay + call.limit
        limit += EACH * sum(len(entry.tokens) for entry in call.entries)
        try:
            await self._watch(str(call), limit, call.run(lambda: self._client))
        except Exception:
            self._crashes.append(Violation("nothing else is raised", "%s: %s" % (
                call, traceback.format_exc())))
        attempts = call.attempts()
        self._crashes += call.complaints
        self._counts["calls"] += 1
        for entry, attempt in zip(call.entries, attempts):
            told = {token: kind for token, kind, _ in entry.told}
            self._counts["left"] += sum(token not in told for token in attempt.unknown)
            if call.limit is None:
                self._counts["unasked"] += sum(token in told for token in attempt.unknown)
                self._losses |= call.losses
            self._judge_reasons(entry)
            self._attempts.append(attempt)
            if attempt.retried:
                self._pending.append(entry.next_attempt(attempt.retried))

    def _judge_reasons(self, entry: Entry) -> None:
        for token, kind, reason in entry.told:
            if kind != "rejected":
                continue
            self._knows_dead = self._knows_dead or (token, reason) == (DEAD, REASONS[DEAD])
            # Behind the status 410 the reason may be cut off; what has failed is clear by then.
            is_cut_off = reason is None and token == DEAD and not self._is_harmless
            if reason != REASONS.get(token) and not is_cut_off:
                self._crashes.append(Violation("a reason is the simulator's", "%s of %s: %s" % (
                    token, entry.tag, reason)))

    async def _watch(self, what: str, limit: float, work: Awaitable[Any]) -> Any:
        """Await something that has a limit (seconds)."""
        started, key = monotonic(), object()
        with self._lock:
            self._running[key] = started, limit, what
        try:
            return await work
        finally:
            seconds = monotonic() - started
            with self._lock:
                del self._running[key]
            self.longest = max(self.longest, seconds)
            if seconds > limit + MARGIN:
                self._crashes.append(Violation("no call outlives its limit", "%s took %.1f s" % (
                    what, seconds)))

    def is_overdue(self) -> List[Violation]:
        """Return a violation for each call that is running for too long; for another thread."""
        now = monotonic()
        with self._lock:
            running = list(self._running.values())
        late = ["%s is running for %.0f s" % (what, now - started)
                for started, limit, what in running if now - started > limit + MARGIN]
        if not late:
            return []
        stacks = io.StringIO()
        for task in asyncio.all_tasks(self._loop):
            task.print_stack(file=stacks)
        return [Violation("no call outlives its limit", "%s of %s\n%s" % (
            "; ".join(late[:3]), self.name, stacks.getvalue()))]

    # The end.

    async def _heal(self) -> None:
        """Switch the fault off, and send what is left until nothing is."""
        self._stage.heal()
        for task in self._without_limit:
            await task
        if self._dice.random() < 0.5:
            await self._renew()
        for _ in range(MOST_TRIES):
            pending, self._pending = self._pending, []
            if not pending:
                return
            if self._client.closing:
                await self._renew()
            few = [entry for entry in pending if len(entry.tokens) == 1][:20]
            many = [entry for entry in pending if entry not in few]
            await self._run_calls(
                [Call("send", [entry]) for entry in few] + [
                    Call("send_many", many, is_ordered=self._dice.random() < 0.5)] * bool(many))

    async def _renew(self) -> None:
        await self._watch("close()", NO_LIMIT, self._client.close())
        await self._connect()

    async def _connect(self) -> None:
        """Have a client where no fault is on; a slow machine may need more time for a connect."""
        for number in range(MOST_TRIES):
            try:
                self._client = await self._watch("a client", NO_LIMIT, self._create())
                return
            except ConnectTimeout:
                if number == MOST_TRIES - 1:
                    raise

    async def _end(self) -> None:
        """Close the client, and see that nothing is left of any."""
        await self._watch("the last close()", NO_LIMIT, self._client.close(None))
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            # Generators that were dropped are closed by the loop.
            _, others = await asyncio.wait(others, timeout=SETTLE)
        left = ["%r" % task for task in others]
        for client in self._clients:
            pool = client.pool
            if not pool.closed or any((pool.pending, pool.inflight, pool.retrying, pool.buffered,
                                       pool.starting, pool.hub.links)):
                left.append(repr(pool))
        if left:
            self._crashes.append(Violation("nothing is left of a client that is closed",
                                           "%d times: %s" % (len(left), "; ".join(left[:3]))))
        self._gone = set()
        for client in self._clients:
            async for pair in client.feedback():
                self._gone.add(pair)

    def _conclude(self) -> Tuple[List[Violation], Counter]:
        """Wait until nothing moves any more; return violations and figures."""
        violations = self._crashes + self._stage.settle()
        refused = Counter(error.token for error in self._simulator.errors)
        found, figures = judge(self._attempts, self._stage.take_record(), set(BAD),
                               unsendable={UNSENDABLE})
        violations += found + judge_refusals(self._attempts, refused) + self._judge_feedback()
        figures.update(self._counts)
        if self._is_harmless and figures["unasked"]:
            violations.append(Violation("what is only late is not unknown", "%d tokens: %s" % (
                figures["unasked"], "; ".join(sorted(self._losses)[:3]))))
        figures["connections"] += self._stage.proxy.connection_count
        figures["faults"] += self._stage.proxy.fault_count
        del self._attempts, self._clients, self._without_limit, self._client
        return violations, figures

    def _judge_feedback(self) -> List[Violation]:
        """See that a token that is dead has come to the feedback store, and no other."""
        known = set((token, int(when.timestamp())) for token, when in self._gone)
        expected = {(DEAD, GONE_SINCE)}
        if known - expected or self._knows_dead and not known:
            return [Violation("dead tokens are known, and no others", repr(sorted(known)))]
        return []
