"""Every request ends in exactly one outcome, which agrees with what was said: any world will do.

A world is a few callers, and servers with scripts; see :mod:`sender_support`. What has to come out
is derived from the frames that both sides had of each other, and from what servers have processed.
"""

from __future__ import absolute_import, division, print_function

from collections import defaultdict

import pytest

pytest.importorskip("hpack")

from hypothesis import given
from hypothesis import strategies as st

from apnsclient import events
from apnsclient.protocols.http2 import frames
from apnsclient.sending.http2 import WAITING
from effort import examples
from sender_peer import (
    ACCEPT,
    ACCEPT_SLOWLY,
    CUT_OFF,
    IGNORE,
    REFUSE,
    RESET,
    Script,
    check_flights,
    reject,
)
from sender_support import NO_TOKEN, PLACES, START, Caller, Key, Part, World

#: Seconds; powers of two, so that sums are exact.
READ_TIMEOUT = 8.0

BAD, GONE = reject(400, "BadDeviceToken"), reject(410, "Unregistered")
#: What becomes of requests where the server is at work all the time, and says so.
KIND_VERDICTS = [ACCEPT, ACCEPT, ACCEPT_SLOWLY, CUT_OFF, REFUSE, BAD, GONE]
VERDICTS = KIND_VERDICTS + [
    RESET, IGNORE, reject(400), reject(413, "PayloadTooLarge"), reject(429, "TooManyRequests"),
    reject(500, "InternalServerError"), reject(421), reject(408), reject(404),
    reject(403, "InvalidProviderToken"), reject(403, "ExpiredProviderToken"),
    reject(429, "TooManyProviderTokenUpdates")]

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
    st.tuples(counts, st.just("fault"), st.sampled_from(["break", "interrupt", "no write"])),
    st.tuples(counts, st.sampled_from(["hang up", "silence", "reset"]), st.none()))


#: What leaves something to be withdrawn.
SLOW_VERDICTS = [ACCEPT_SLOWLY, ACCEPT_SLOWLY, REFUSE, BAD, IGNORE, reject(421),
                 reject(429, "TooManyRequests"), reject(403, "ExpiredProviderToken")]
wounding_acts = st.one_of(
    kind_acts,
    st.tuples(counts, st.just("fault"), st.sampled_from(["break", "interrupt", "no write"])))


def scripts_of(verdicts, delays, possible_acts, openings=("ok",),
               cuts=((), (), (1,), (9, 1), (200, 5))):
    """Return the strategy of a script."""
    judged = st.tuples(st.sampled_from(verdicts), st.sampled_from(delays))
    return st.builds(
        Script, opening=st.sampled_from(openings), first=st.lists(judged, max_size=12),
        settings=st.lists(st.sampled_from([
            (frames.MAX_CONCURRENT_STREAMS, 1), (frames.MAX_CONCURRENT_STREAMS, 7),
            (frames.INITIAL_WINDOW_SIZE, 100)]), max_size=2),
        acts=st.lists(possible_acts, max_size=3).map(sorted_by_count),
        step=st.sampled_from([None, None, 1, 100]),
        cuts=st.sampled_from(cuts), throttle=st.booleans())


def sorted_by_count(found):
    return sorted(found, key=lambda act: act[0])


parts = st.one_of(
    st.builds(Part, st.just("delivery"), st.integers(0, 40), st.sampled_from([0, 300, 4000])),
    st.builds(Part, st.just("bundle"), st.integers(1, 6), st.sampled_from([0, 300, 4000])),
    st.builds(Part, st.just("awaited"), st.integers(1, 20), st.sampled_from([0, 300, 4000])),
    st.builds(Part, st.just("spoilt"), st.integers(1, 3), st.just(300)),
    st.builds(Part, st.just("request"), st.just(1), st.sampled_from([0, 30])))
#: Parts, when the caller comes, its patience, and how long it stays.
callers = st.lists(st.tuples(
    st.lists(parts, min_size=1, max_size=4), st.sampled_from([0.0, 0.0, 0.0625, 0.125, 1.0, 30.0]),
    st.sampled_from([None] * 6 + [0.0, 0.125, 1.0, 3.0]),
    st.sampled_from([None] * 6 + [0.0, 0.0625, 0.1875, 1.0])), min_size=1, max_size=4)

#: What is withdrawn, and when, see :meth:`.World.withdraw`.
withdrawal = st.tuples(
    st.sampled_from(PLACES), st.integers(0, 40), st.sampled_from([0, 0, 1, 2, 9, 30, 100]))
withdrawals = st.lists(withdrawal, max_size=6)

#: Options of a world, and whether there is a provider token.
options = st.fixed_dictionaries({
    "limit": st.sampled_from([None, 1, 2, 3]), "write_time": st.sampled_from([0.0, 0.125]),
    "keeps_ids": st.booleans(), "is_token": st.booleans()})


def run_world(plans, scripts, is_token, withdrawn=(), **chosen):
    """Run a world to its end; return it, and its callers."""
    world = World(scripts, credential=Key() if is_token else None, **chosen)
    brought = [world.bring(Caller(number, bring, patience, stays), after)
               for number, (bring, after, patience, stays) in enumerate(plans)]
    for place, number, moment in withdrawn:
        world.withdraw(place, number, moment)
    return world.run(), brought


def check_world(world, brought, limit):
    """See that the outcomes are what was said, and that nothing was sent that must not be."""
    flights = defaultdict(list)
    for flight in world.flights:
        flights[flight.name].append(flight)
    for mine in flights.values():
        check_flights(mine)
    check_withdrawn(world, flights)
    check_events(world, flights)
    assert limit is None or world.most_lines <= limit
    assert all(line.tap.refused <= line.tap.budget for line in world.opened)
    reasons = [one.reason for one in world.flights if one.has_response and one.status != 200]
    reasons += [reason for line in world.opened for reason in line.tap.reasons]
    is_stopped = any(reason.stops_everything for reason in reasons)
    for caller in brought:
        check_order(caller, world.flights)
        check_processed(caller, world.processed)
        if caller.has_left:
            continue
        if caller.call.failure is not None:
            missing = set(caller.names) - set(caller.outcomes)
            assert all(one.is_proven for name in missing for one in flights[name])
        else:
            assert set(caller.outcomes) == set(caller.names)
        stopped = stopped_names(caller, flights)
        for name, outcome in caller.outcomes.items():
            expected = possible_outcomes(name, flights[name], is_stopped or name in stopped)
            if world.withdrawn.get(name, ("", 0))[0] == WAITING:
                expected = set(["retry", "lost"])
            if caller.patience is not None and flights[name] and flights[name][-1].is_cut:
                # The response may have come after the deadline.
                expected |= set(["unknown", "lost"])
            assert outcome in expected, (name, outcome, expected, vars(flights[name][-1]))


def check_events(world, flights):
    """See that an observer is told of each request that is sent again, and of responses once."""
    told = [event for event in world.events if type(event) is events.NotificationsResent]
    # What is sent again may find its call over before it is begun another time.
    assert sum(event.count for event in told) >= sum(len(mine) - 1 for mine in flights.values())
    responses = [event for event in world.events if type(event) is events.Responses]
    assert sum(event.count for event in responses) <= len(world.flights)
    assert all(event.time <= world.now for event in world.events)
    assert all(event.seconds >= 0 for event in responses)


def check_withdrawn(world, flights):
    """See that a stream is reset once where its request was withdrawn, and nothing is sent then."""
    for name, (where, begun) in world.withdrawn.items():
        mine = flights[name]
        assert len(mine) == begun
        if where == WAITING:
            assert all(one.is_over and one.fate != "cancelled" for one in mine)
        else:
            assert mine[-1].fate == "cancelled"
            assert mine[-1].resets == (not mine[-1].is_cut)
    assert all(one.resets <= 1 for one in world.flights)


def check_order(caller, flights):
    """See that the requests of a caller were begun in order."""
    begun, known = [], set(caller.names)
    for flight in flights:
        if flight.name in known:
            known.discard(flight.name)
            begun.append(flight.name)
    assert begun == sorted(begun)


def check_processed(caller, processed):
    """See that servers have processed no request twice, and what the outcomes say."""
    for name in caller.names:
        final = [verdict for verdict in processed[name] if not is_resent(verdict)]
        assert len(final) <= 1
        outcome = caller.outcomes.get(name)
        if outcome in ("accepted", 200):
            assert [verdict[1] for verdict in final] == [200]
        elif outcome == "failed" and not name.startswith(NO_TOKEN):
            assert final[0][0] == "reject"
        elif outcome != "unknown" and outcome != "lost" and not caller.has_left:
            assert not final or final[0][0] == "reject"


def is_resent(verdict):
    """Return True for a response that leads to another try over another connection."""
    return verdict[1] in (408, 421) or verdict[2] == "ExpiredProviderToken"


def stopped_names(caller, flights):
    """Return what a response to the same message has stopped."""
    stopped, names = set(), iter(caller.names)
    for part in caller.parts:
        mine = [next(names) for _ in range(part.count)]
        if part.kind in ("delivery", "spoilt") and any(
                flight.has_response and flight.status != 200 and flight.reason.stops_message
                for name in mine for flight in flights[name]):
            stopped.update(mine)
    return stopped


def possible_outcomes(name, mine, is_stopped):
    """Return what may have become of a request, by its name and flights."""
    unsent = set(["retry", "lost", "undelivered" if is_stopped else "retry"])
    last = mine[-1] if mine else None
    if name.startswith(NO_TOKEN):
        unsent.add("failed")
    if last is None or last.is_proven:
        return unsent
    if not last.has_response:
        return set(["unknown" if last.is_whole else "retry", "lost"])
    if last.status == 200:
        return set(["accepted"] if last.is_push else [200])
    reason = last.reason
    if not last.is_push:
        return set([last.status]) | (unsent if reason.is_unprocessed or
                                     reason.is_cured_by_connection else set())
    if reason.blames_token:
        return set(["failed"])
    if reason.is_unprocessed:
        return unsent
    if reason.is_cured_by_connection:
        return set(["undelivered", "retry"])
    return set(["retry" if reason.retries_reported else "undelivered"])


@examples(150)
@given(plans=callers, chosen=options, withdrawn=withdrawals, scripts=st.lists(
    max_size=4, elements=scripts_of(
        VERDICTS, [0.0, 0.125, 1.0, 20.0], acts, ("ok", "ok", "ok", "refused", "alert"))))
def test_every_request_ends_in_one_outcome_that_agrees_with_what_was_said(
        plans, chosen, withdrawn, scripts):
    """Whatever servers do, and whenever callers come, go, withdraw or have waited long enough."""
    world, brought = run_world(
        plans, scripts, withdrawn=withdrawn, read_timeout=READ_TIMEOUT, **chosen)
    check_world(world, brought, chosen["limit"])
    assert world.now <= START + 40.0 + 3 * READ_TIMEOUT * (1 + len(world.opened))
    for caller, (_, after, patience, _) in zip(brought, plans):
        if patience is not None:
            # Nothing but what is under way may take longer: a connection, and a few writes.
            assert caller.ended_at <= START + after + patience + 1.0


@examples(100)
@given(plans=callers, chosen=options, withdrawn=withdrawals, scripts=st.lists(
    max_size=2, elements=scripts_of(KIND_VERDICTS, [0.0, 0.125, 1.0], kind_acts)))
def test_all_is_sent_where_servers_respond_however_long_it_takes(
        plans, chosen, withdrawn, scripts):
    """There is no timeout in this: refused streams, GOAWAY and small limits hold nothing up.

    Nor does what is withdrawn, and nothing else becomes of the others for that.
    """
    world, brought = run_world(plans, scripts, withdrawn=withdrawn, **chosen)
    check_world(world, brought, chosen["limit"])
    for caller in brought:
        if not caller.has_left and caller.patience is None:
            outcomes = set(outcome for name, outcome in caller.outcomes.items()
                           if name not in world.withdrawn)
            assert outcomes <= set(["accepted", "failed", 200, 400, 410])


@examples(150)
@given(
    plans=callers.filter(lambda plans: any(part.count for plan in plans for part in plan[0])),
    chosen=options, withdrawn=st.lists(withdrawal, min_size=4, max_size=12),
    scripts=st.lists(min_size=1, max_size=3, elements=scripts_of(
        SLOW_VERDICTS, [0.0, 0.125, 0.125, 1.0], wounding_acts, cuts=[(1,), (9, 1)])))
def test_a_request_can_be_withdrawn_wherever_it_is(plans, chosen, withdrawn, scripts):
    """Where many wait, are refused, are written in part, or have responses that take long."""
    world, brought = run_world(
        plans, scripts, withdrawn=withdrawn, read_timeout=READ_TIMEOUT, **chosen)
    check_world(world, brought, chosen["limit"])


@examples(60)
@given(verdicts=st.lists(st.sampled_from([ACCEPT, BAD, REFUSE]), min_size=1, max_size=6),
       delay=st.sampled_from([0.0, 0.0, 0.125]), count=st.integers(20, 120),
       most=st.sampled_from([3, 20, 1000]), throttle=st.booleans())
def test_no_more_streams_are_refused_than_there_is_a_budget_for(
        verdicts, delay, count, most, throttle):
    """Whether the server throttles, or refuses some of them for reasons of its own."""
    script = Script(first=[(verdict, delay) for verdict in verdicts] * 20, throttle=throttle,
                    settings=[(frames.MAX_CONCURRENT_STREAMS, most)])
    world, brought = run_world([([Part("delivery", count, 0)], 0.0, None, None)], [script], False)
    check_world(world, brought, None)
