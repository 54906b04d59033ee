"""Every notification has exactly one outcome, which agrees with what was said: any world will do.

A world is a few callers of a client, and servers with scripts; see :mod:`aio_world`. What has to
come out is derived from the frames that both sides had of each other, and from what servers have
processed.
"""

from collections import defaultdict
from typing import Any, Dict, List

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aio_world import Plan, World
from apnsclient import events
from apnsclient.aio.errors import Closed, ResponseError, StreamReset, Timeout
from apnsclient.aio.outcome import Kind
from apnsclient.errors import ConnectError
from apnsclient.protocols.http2 import frames
from effort import examples
from sender_peer import (
    ACCEPT,
    ACCEPT_SLOWLY,
    CUT_OFF,
    GONE_SINCE,
    IGNORE,
    REFUSE,
    RESET,
    Script,
    check_flights,
    reject,
)
from sender_support import NO_TOKEN

#: Seconds; powers of two, so that sums are exact.
READ_TIMEOUT = 8.0
#: Most seconds that closing the pool takes beside the responses that it waits for.
CLOSING = 1.0

BAD, GONE = reject(400, "BadDeviceToken"), reject(410, "Unregistered")
#: What becomes of requests where the server is at work all the time, and says so.
KIND_VERDICTS = [ACCEPT, ACCEPT, ACCEPT_SLOWLY, CUT_OFF, REFUSE, BAD, GONE]
VERDICTS = KIND_VERDICTS + [
    RESET, IGNORE, reject(400), reject(413, "PayloadTooLarge"), reject(429, "TooManyRequests"),
    reject(500, "InternalServerError"), reject(421), reject(404)]
#: What is said of a credential; the first two end everything.
CREDENTIAL_VERDICTS = [
    reject(403, "InvalidProviderToken"), reject(403, "BadCertificate"),
    reject(403, "ExpiredProviderToken"), reject(403, "TopicMismatch"),
    reject(429, "TooManyProviderTokenUpdates"), reject(403, "UnrelatedKeyIdInToken")]

counts = st.integers(0, 12)
kind_acts = st.one_of(
    st.tuples(counts, st.just("goaway"), st.integers(0, 5)),
    st.tuples(counts, st.just("limit"), st.sampled_from([0, 1, 2, 5, 100])),
    st.tuples(counts, st.just("later limit"), st.sampled_from([1, 2, 5, 100])),
    st.tuples(counts, st.just("window"), st.sampled_from([0, 100, 5000, 65535, 1 << 20])))
acts = st.one_of(
    kind_acts,
    st.tuples(counts, st.just("die"), st.sampled_from(
        ["Shutdown", "ExpiredProviderToken", "BadCertificate", "TopicDisallowed"])),
    st.tuples(counts, st.just("fault"), st.just("break")),
    st.tuples(counts, st.sampled_from(["hang up", "silence", "deaf", "reset"]), st.none()))
OPENINGS = ("ok", "ok", "ok", "refused", "unreachable", "mute", "no settings", "not http2", "dies",
            "alert")


def scripts_of(verdicts: List[Any], delays: List[float], possible_acts: Any,
               openings: Any = ("ok",)) -> Any:
    """Return the strategy of a script."""
    judged = st.tuples(st.sampled_from(verdicts), st.sampled_from(delays))
    return st.builds(
        Script, opening=st.sampled_from(openings), first=st.lists(judged, max_size=12),
        settings=st.lists(st.sampled_from([
            (frames.MAX_CONCURRENT_STREAMS, 1), (frames.MAX_CONCURRENT_STREAMS, 7),
            (frames.INITIAL_WINDOW_SIZE, 100)]), max_size=2),
        acts=st.lists(possible_acts, max_size=3).map(
            lambda found: sorted(found, key=lambda act: act[0])),
        step=st.sampled_from([None, None, 1, 100]),
        cuts=st.sampled_from([(), (), (1,), (9, 1), (200, 5)]), throttle=st.booleans())


moments = st.sampled_from([0.0, 0.0, 0.0625, 0.09375, 0.125, 1.0, 5.0, 30.0])
timeouts = st.sampled_from([None, None, None, 0.0, 0.0625, 0.125, 1.0, 9.0])
stays = st.sampled_from([None, None, None, 0.0, 0.0625, 0.09375, 0.1875, 1.0])
sizes = st.sampled_from([0, 300, 3900])
singles = st.builds(
    lambda *values: Plan("single", *values), st.integers(1, 30), sizes, moments, timeouts, stays,
    st.booleans())
requests = st.builds(
    lambda *values: Plan("request", *values), st.integers(1, 3), st.sampled_from([0, 30]), moments,
    timeouts, stays)
many = st.builds(
    lambda *values: Plan("many", *values), st.integers(0, 60), sizes, moments, timeouts, stays,
    st.booleans(), st.booleans(), st.sampled_from([None, 1, 2, 7]), st.booleans(),
    st.sampled_from([None, None, None, 1, 5]), st.sampled_from([0.0, 0.0, 0.0625]))
plans = st.lists(st.one_of(singles, singles, many, many, requests), min_size=1, max_size=4)

options = st.fixed_dictionaries({
    "size": st.sampled_from([1, 2, 3]), "queue_size": st.sampled_from([1, 5, 1000]),
    "ping_after": st.sampled_from([None, 0.0, 4.0]), "is_token": st.booleans(),
    "pipe": st.sampled_from([1 << 20, 1 << 20, 1 << 14, 700]),
    "high": st.sampled_from([1 << 16, 4000, 0]), "has_resets": st.booleans(),
    "sizes": st.lists(st.tuples(moments, st.integers(1, 3)), max_size=2)})
closings = st.one_of(st.none(), st.tuples(
    moments, st.sampled_from([0.0, 0.0625, 1.0, 20.0])))


def with_first(scripts: List[Script]) -> List[Script]:
    """Return scripts of which the first lets a pool begin: it has a connection from the start."""
    return [script._replace(opening="ok", acts=[(max(act[0], 1),) + act[1:] for act in script.acts])
            for script in scripts[:1]] + scripts[1:]


def check(world: World) -> None:
    """See that outcomes are what was said, that all has ended, and that nothing is left."""
    flights: Dict[str, List[Any]] = defaultdict(list)
    for flight in world.flights:
        flights[flight.name].append(flight)
    for mine in flights.values():
        check_flights(mine)
        assert all(one.resets <= 1 for one in mine)
    for caller in world.callers:
        for name in caller.names:
            assert len(flights[name]) == world.begun.get(name, 0), "it was sent after its end"
            check_processed(world.processed[name], caller.outcomes.get(name))
        for name, outcome in caller.outcomes.items():
            check_outcome(world, caller, name, outcome, flights[name])
        check_presence(caller)
    check_rest(world, flights)
    check_told(world)


def check_told(world: World) -> None:
    """See that an observer was told of each outcome once, and of each connection."""
    told, notes = world.notes.outcomes(), world.notes
    had: Dict[str, int] = defaultdict(int)
    left = 0
    for caller in world.callers:
        left += len(caller.left)
        if caller.plan.kind != "request":
            for outcome in caller.outcomes.values():
                had[outcome.kind.value] += 1
    for kind in set(told) | set(had):
        # Of those who have left nobody had the outcome; what comes to a closed pool is not told.
        assert told.get(kind, 0) <= had[kind] + left, kind
        if kind not in ("unprocessed", "undelivered"):
            assert told.get(kind, 0) >= had[kind], kind
    if not left and world.pool.outcome == "it was closed" and not world.closes_early:
        assert told == dict(had)
    opened = len(notes.of(events.ConnectionOpened))
    assert len(notes.of(events.ConnectionClosed)) == opened
    resent = sum(event.count for event in notes.of(events.NotificationsResent))
    begun: Dict[str, int] = defaultdict(int)
    for flight in world.flights:
        begun[flight.name] += 1
    assert resent >= sum(count - 1 for count in begun.values())


def check_presence(caller: Any) -> None:
    """See that what was taken of a caller has an outcome, if it has stayed for it; and in time."""
    plan = caller.plan
    taken = caller.taken if plan.kind == "many" else caller.names
    assert set(taken) == set(caller.outcomes) | set(caller.left)
    if plan.stays is None and plan.stops is None:
        assert not caller.left
        assert caller.is_refused or len(caller.outcomes) == plan.count
    if plan.kind != "many" and plan.timeout is not None:
        assert all(at <= caller.began + plan.timeout for at in caller.ended.values())


def check_processed(verdicts: List[Any], outcome: Any) -> None:
    """See that servers have processed a request once at most, and what its outcome says."""
    final = [verdict for verdict in verdicts if not is_resent(verdict)]
    assert len(final) <= 1
    kind = kind_of(outcome)
    if kind == Kind.accepted:
        assert [verdict[1] for verdict in final] == [200]
    elif kind in (Kind.rejected, Kind.unprocessed, Kind.undelivered):
        assert not final or final[0][0] == "reject"


def is_resent(verdict: Any) -> bool:
    """Return True for a response that leads to another try over another connection."""
    return verdict[1] == 421 or verdict[2] in ("ExpiredProviderToken", "UnrelatedKeyIdInToken")


def kind_of(outcome: Any) -> Any:
    """Return what is known of a request."""
    if hasattr(outcome, "code"):
        return Kind.accepted if outcome.code == 200 else Kind.rejected
    return getattr(outcome, "kind", Kind.undelivered) if outcome is not None else None


def check_outcome(world: World, caller: Any, name: str, outcome: Any, mine: List[Any]) -> None:
    """Hold an outcome against the last flight of its request."""
    last, kind = mine[-1] if mine else None, kind_of(outcome)
    error = outcome if isinstance(outcome, Exception) else getattr(outcome, "error", None)
    if name.startswith(NO_TOKEN) and kind == Kind.undelivered:
        assert not mine
        return
    is_late = kind == Kind.unknown and has_ended_late(world, caller, error, last)
    if is_late or last is not None and not (last.is_proven or last.has_response):
        assert kind == (Kind.unknown if last.is_whole else Kind.unprocessed), (kind, vars(last))
        assert isinstance(error, (Closed, StreamReset, Timeout))
        assert isinstance(error, StreamReset) == (last.fate == "reset" and not is_late)
    elif last is not None and last.has_response and is_response(outcome, last):
        return
    else:
        # It waited.
        assert last is None or last.is_proven or (
            last.reason.is_unprocessed or last.reason.is_cured_by_connection), (kind, vars(last))
        check_unsent(world, kind, error)


def has_ended_late(world: World, caller: Any, error: Any, last: Any) -> bool:
    """Return True if a flight ended when nobody waited for it any more."""
    ended_at, timeout = world.ended_at.get(id(last)), caller.plan.timeout
    if ended_at is None:
        return False
    return bool(isinstance(error, Timeout) and timeout is not None
                and ended_at >= caller.began + timeout
                or ended_at >= last.begun_at + READ_TIMEOUT)


def is_response(outcome: Any, last: Any) -> bool:
    """Return True if an outcome is the response of a flight."""
    if not last.is_push:
        return bool(getattr(outcome, "code", None) == last.status)
    if last.status == 200:
        return bool(outcome.kind == Kind.accepted and outcome.error is None)
    reason = last.reason
    kind = Kind.unprocessed if reason.retries_reported else Kind.rejected
    return bool(outcome.status == last.status and outcome.kind == kind
                and outcome.reason == reason.name and isinstance(outcome.error, ResponseError))


def check_unsent(world: World, kind: Kind, error: Any) -> None:
    """See that the outcome of what was not sent is that it may be sent, or that nothing can be."""
    if isinstance(error, ResponseError):
        # A response whose reason was cut off is named by its status.
        said = [one.reason.name or "HTTP status %d" % one.status for one in world.flights
                if one.has_response and one.status != 200]
        said += [reason.name for line in world.lines for reason in line.tap.reasons]
        assert kind == Kind.undelivered and error.reason in said, (kind, error)
    elif isinstance(error, ConnectError):
        assert kind == Kind.undelivered
        assert any(line.script.opening == "alert" for line in world.lines)
    else:
        assert kind == Kind.unprocessed and isinstance(error, (Closed, Timeout)), (kind, error)


def check_rest(world: World, flights: Dict[str, List[Any]]) -> None:
    """See that nothing is left of it, and that the counters agree."""
    pool = world.pool
    assert not world.loop.crashes and not world.leftovers
    assert len(set(world.rooms)) == 1
    assert not world.loop.timers()
    assert all(line.closed_at is not None for line in world.lines)
    assert pool.closed and not pool.hub.links
    assert (pool.pending, pool.inflight, pool.retrying, pool.hub.queue.count) == (0, 0, 0, 0)
    gone = [mine[-1].name for mine in flights.values()
            if mine and mine[-1].status == 410 and mine[-1].is_complete and mine[-1].is_push]
    assert set(world.gone) <= set((name.encode("ascii"), GONE_SINCE) for name in gone)
    told = [name for caller in world.callers for name, outcome in caller.outcomes.items()
            if getattr(outcome, "status", None) == 410]
    assert set(told) <= set(token.decode("ascii") for token, _ in world.gone)
    assert len(set(world.gone)) == len(world.gone)


@examples(200)
@given(plans=plans, chosen=options, closes=closings, scripts=st.lists(
    max_size=5, elements=scripts_of(
        VERDICTS * 2 + CREDENTIAL_VERDICTS, [0.0, 0.125, 1.0, 20.0], acts, OPENINGS)))
def test_every_notification_has_one_outcome_that_agrees_with_what_was_said(
        plans: Any, chosen: Any, closes: Any, scripts: Any) -> None:
    """Whatever servers do, and whenever callers come, go, or have waited long enough."""
    world = World(with_first(scripts), plans, read_timeout=READ_TIMEOUT, closes=closes, **chosen)
    check(world.run())


@examples(150)
@given(plans=plans, chosen=options, scripts=st.lists(
    max_size=3, elements=scripts_of(KIND_VERDICTS, [0.0, 0.125, 1.0], kind_acts)))
def test_all_is_sent_where_servers_respond_however_long_it_takes(
        plans: Any, chosen: Any, scripts: Any) -> None:
    """There is no timeout in this: refused streams, GOAWAY and small limits hold nothing up.

    Nor do callers who leave or have no patience, and nothing else becomes of the others for that.
    """
    world = World(with_first(scripts), plans, **chosen)
    check(world.run())
    for caller in world.callers:
        if caller.plan.timeout is None:
            kinds = set(kind_of(outcome) for name, outcome in caller.outcomes.items()
                        if not name.startswith(NO_TOKEN))
            assert kinds <= set([Kind.accepted, Kind.rejected])


@examples(60)
@given(opening=st.sampled_from(["refused", "unreachable", "mute", "no settings", "not http2",
                                "dies"]), has_resets=st.booleans())
def test_a_pool_without_a_first_connection_is_closed(opening: str, has_resets: bool) -> None:
    """Its creator is told why, and nothing is left of it."""
    world = World([Script(opening=opening)], [], has_resets=has_resets)
    with pytest.raises(ConnectError):
        world.run()
    assert world.pool.closed and world.pool.outcome
    assert not world.loop.crashes and not world.loop.timers()
    assert all(line.closed_at is not None for line in world.lines)
