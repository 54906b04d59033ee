"""What a sender decides, rule by rule: order, outcomes, connections, and the end.

Nothing here waits: the world is in memory, see :mod:`sender_support`. What chance makes of it is in
``test_sender_model.py``.
"""

from __future__ import absolute_import, division, print_function

from collections import Counter
from random import Random

import pytest

pytest.importorskip("hpack")

from apnsclient.protocols.http2 import frames
from apnsclient.sending.http2 import ANOTHER, FIRST, IN_FLIGHT, WAITING
from apnsclient.sending.http2_connection import SenderConnection
from sender_peer import ACCEPT, CUT_OFF, GONE_SINCE, IGNORE, REFUSE, RESET, Script, reject
from sender_support import START, Caller, Key, Part, World
from tables import each

pytestmark = pytest.mark.timeout(60)

MOST = frames.MAX_CONCURRENT_STREAMS
#: Seconds of a round trip, and those that a request is given.
TRIP, TIMEOUT = 0.0625, 8.0
SILENT = Script(then=(IGNORE, 0.0))
BAD = reject(400, "BadDeviceToken")


def sends(count, number=1, size=10, **options):
    """Return a caller with one message of so many tokens."""
    return Caller(number, [Part("delivery", count, size)], **options)


def counted(*callers):
    """Return how many requests of some callers have which outcome."""
    return Counter(outcome for one in callers for outcome in one.outcomes.values())


def send(script, *later, **options):
    """Send 20 tokens of 4 KB in one message; return the world, and the outcomes."""
    world = World((script,) + later, read_timeout=TIMEOUT, trip=TRIP, **options)
    caller = world.bring(sends(20, size=4000))
    world.run()
    return world, counted(caller)


# Order.


def test_a_single_message_does_not_wait_behind_a_campaign():
    """It is started within the chunk that follows, also where the server takes one at a time."""
    for count, settings in (10000, ()), (2000, [(MOST, 100)]):
        world = World([Script(settings=settings)], limit=1)
        world.bring(sends(count))
        single = world.bring(sends(1, number=2), after=3 * TRIP)
        world.run()
        places = [place for place, flight in enumerate(world.flights)
                  if flight.name in single.names]
        before = sum(flight.begun_at < START + 3 * TRIP for flight in world.flights)
        assert len(places) == 1
        assert places[0] - before <= world.sender.chunk // 100
        assert single.ended_at < world.now


def test_callers_are_served_round_robin_chunk_by_chunk():
    """Whoever has more to send gets no more of the connection; each in the order of its own."""
    world = World(limit=1)
    callers = [world.bring(sends(3000, number)) for number in range(3)]
    world.run()
    names = [flight.name for flight in world.flights]
    for caller in callers:
        mine = set(caller.names)
        assert [name for name in names if name in mine] == caller.names
        share = [name in mine for name in names[:3000]]
        assert 800 < sum(share) < 1200


# Outcomes.


@each("script, expected, connections", [
    (Script(), {"accepted": 20}, 1),
    (Script(first=[(REFUSE, 0.0)] * 5), {"accepted": 20}, 1),
    (Script(first=[(ACCEPT, 0.0), (BAD, 0.0)]), {"accepted": 19, "failed": 1}, 1),
    (Script(first=[(reject(410, "Unregistered"), 0.0)]), {"accepted": 19, "failed": 1}, 1),
    (Script(first=[(RESET, 0.0)] * 3), {"accepted": 17, "unknown": 3}, 1),
    (Script(first=[(IGNORE, 0.0)]), {"accepted": 19, "unknown": 1}, 1),
    (Script(first=[(reject(429, "TooManyRequests"), 0.0)]), {"accepted": 19, "retry": 1}, 1),
    (Script(first=[(reject(404), 0.0)]), {"accepted": 19, "undelivered": 1}, 1),
    (Script(first=[(reject(421), 0.0)]), {"accepted": 20}, 2),
    # What it had taken has its response late, and nothing of it is sent again.
    (Script(then=(ACCEPT, 1.0), acts=[(5, "goaway", 0)]), {"accepted": 20}, 2),
    (Script(acts=[(5, "goaway", 3)]), {"accepted": 20}, 2),
    (Script(then=(ACCEPT, 1.0), acts=[(3, "hang up", None)]), {"unknown": 16, "retry": 4}, 1),
    (Script(acts=[(3, "hang up", None)], settings=[(MOST, 3)]), {"accepted": 20}, 2),
    (Script(settings=[(frames.INITIAL_WINDOW_SIZE, 1000)]), {"accepted": 20}, 1),
    # The connection is lost before anything was written, and in the middle of that.
    (Script(acts=[(0, "fault", "no write")]), {"accepted": 20}, 2),
    (Script(acts=[(0, "fault", "break")]), {"accepted": 18, "unknown": 2}, 2),
])
def test_what_was_processed_is_never_sent_again_and_what_was_not_always_is(
        script, expected, connections):
    """Refused, above GOAWAY, with status 421: again; reset, ignored, hung up on: unknown."""
    world, outcomes = send(script)
    assert outcomes == Counter(expected)
    assert len(world.opened) == connections


@each("patience, timeout", [(3.0, None), (None, TIMEOUT)])
def test_a_request_that_was_not_written_to_its_end_was_not_processed(patience, timeout):
    """Where the server's windows never open, all is to be sent again, and nothing is unknown."""
    script = Script(settings=[(frames.INITIAL_WINDOW_SIZE, 1000)], step=0)
    world = World([script] * 9, read_timeout=timeout)
    caller = world.bring(sends(5, size=4000, patience=patience))
    world.run()
    assert counted(caller) == {"retry": 5}
    assert not any(flight.is_whole for flight in world.flights)


@each("counts", [[20], [4] * 5])
def test_what_was_refused_goes_out_again_before_what_was_never_sent(counts):
    """So that few requests are late, and the order changes no more than it has to."""
    script = Script(settings=[(MOST, 5)], first=[(REFUSE, 0.0)] * 2)
    world = World([script], read_timeout=TIMEOUT, trip=TRIP, limit=1)
    world.bring(Caller(1, [Part("delivery", count, 4000) for count in counts]))
    world.run()
    names = [flight.name for flight in world.flights]
    first, second = names[:2]
    assert names.index(first, 2) < 8
    assert names.index(second, 2) < 10
    assert len(names) == 22


def test_a_token_that_is_none_fails_without_a_request():
    """Others of the same message go out, also where it is alone in what is written."""
    world = World()
    caller = world.bring(Caller(1, [Part("spoilt", 3, 10), Part("spoilt", 1, 10)]))
    world.run()
    assert [caller.outcomes[name] for name in caller.names] == [
        "failed", "accepted", "accepted", "failed"]
    assert len(world.flights) == 2


def test_a_request_is_moved_to_another_connection_once():
    """A server that sends it on a second time leaves it to the caller."""
    script = Script(then=(reject(421), 0.0))
    world, outcomes = send(script, script, script, script, limit=1)
    assert set(outcomes) == set(["retry"])
    assert max(Counter(flight.name for flight in world.flights).values()) == 2


def test_tokens_that_are_gone_are_told_with_the_time_and_only_those_of_pushes():
    """As feedback: status 410 with a timestamp, and in the response to no other request."""
    world = World([Script(then=(reject(410, "Unregistered"), 0.0))])
    caller = world.bring(Caller(1, [Part("delivery", 2, 10), Part("request", 1, 10)]))
    world.run()
    assert world.sender.take_gone() == [
        (name.encode("ascii"), GONE_SINCE) for name in caller.names[:2]]
    assert world.sender.take_gone() == []
    assert counted(caller) == {"failed": 2, 410: 1}


def test_a_reason_that_concerns_the_message_stops_no_other_message():
    """Not even another one of the same caller."""
    world = World([Script(settings=[(MOST, 1)], first=[(reject(413, "PayloadTooLarge"), 0.0)])])
    caller = world.bring(Caller(1, [Part("delivery", 5, 10), Part("delivery", 5, 10)]))
    other = world.bring(sends(5, number=2))
    world.run()
    assert [caller.outcomes[name] for name in caller.names] == (
        ["undelivered"] * 5 + ["accepted"] * 5)
    assert counted(other) == {"accepted": 5}


@each("stays", [0.0, TRIP, 1.5 * TRIP, 2 * TRIP, 3 * TRIP])
def test_a_caller_who_leaves_takes_nothing_along_but_its_own(stays):
    """Whenever that is: what waits of it is not sent, and nobody else's request is lost."""
    world = World([Script(settings=[(MOST, 10)])])
    left = world.bring(sends(1000, stays=stays))
    stayed = world.bring(sends(50, number=2))
    late = world.bring(sends(50, number=3), after=10.0)
    world.run()
    assert left.has_left
    assert counted(stayed, late) == {"accepted": 100}
    assert max(map(len, world.processed.values())) == 1
    assert sum(len(world.processed[name]) for name in left.names) < 200


# Connections.


def test_no_connection_is_wanted_without_work():
    """Nor for a call that has nothing to send."""
    world = World()
    assert world.sender.wants_connection(0.0) is None
    caller = world.bring(sends(0))
    world.run()
    assert caller.is_over
    assert world.wanted == []


def many(world, count=20000):
    """Bring work for many round trips; return what connections were wanted, and the outcomes."""
    caller = world.bring(sends(count))
    world.run()
    assert sum(counted(caller).values()) == count
    return [why for _, why in world.wanted]


def test_more_connections_are_wanted_one_by_one_where_the_way_is_long():
    """After the server has accepted something over all that are open; never more than the limit."""
    script = Script(settings=[(MOST, 100)])
    world = World([script] * 4, limit=4, trip=TRIP)
    assert many(world, 6000) == [FIRST] + [ANOTHER] * 3
    times = [at for at, _ in world.wanted]
    assert all(later - earlier >= 2 * TRIP for earlier, later in zip(times, times[1:]))
    assert world.most_lines == 4
    alone = World([script], limit=1, trip=TRIP)
    assert many(alone, 6000) == [FIRST]
    assert world.now - START < (alone.now - START) / 2


def test_one_connection_is_enough_where_the_way_is_short():
    """Requests wait for room, but hardly ever."""
    assert many(World([Script(settings=[(MOST, 30)])], trip=0.0005), 3000) == [FIRST]


def test_one_connection_is_enough_where_the_server_is_merely_busy():
    """It takes much longer than a round trip, and would do so over any connection."""
    script = Script(settings=[(MOST, 100)], first=[(ACCEPT, 0.0)], then=(ACCEPT, 1.0))
    assert many(World([script], trip=0.01), 1000) == [FIRST]


def test_no_other_connection_is_wanted_for_what_the_next_round_trip_takes():
    """It would be there too late."""
    assert many(World([Script(settings=[(MOST, 100)])], trip=TRIP), 270) == [FIRST]


@each("opening", ["refused", "alert"])
def test_after_another_connection_was_refused_none_is_tried_for_a_while(opening):
    """The open one does the work, and nobody is told."""
    world = World([Script(settings=[(MOST, 10)])] + [Script(opening=opening)] * 9, trip=TRIP)
    caller = world.bring(sends(2000))
    world.run()
    assert counted(caller) == {"accepted": 2000}
    assert [why for _, why in world.wanted].count(ANOTHER) == 2
    times = [at for at, why in world.wanted if why == ANOTHER]
    assert times[1] - times[0] >= 10.0


def test_what_a_connection_leaves_goes_out_over_the_others():
    """Without another one, as long as there is one that takes it."""
    first = Script(settings=[(MOST, 100)], acts=[(1500, "goaway", 50)])
    world = World([first, Script(settings=[(MOST, 100)])], limit=2, trip=TRIP)
    caller = world.bring(sends(6000))
    world.run()
    assert counted(caller) == {"accepted": 6000}
    assert max(map(len, world.processed.values())) == 1
    assert [why for _, why in world.wanted][:2] == [FIRST, ANOTHER]


def test_a_connection_that_drains_counts_until_it_has_ended():
    """With a limit of one, what waits is sent when the last response has come, and not before."""
    script = Script(settings=[(MOST, 3)], then=(ACCEPT, 1.0), acts=[(3, "goaway", 0)])
    world, outcomes = send(script, limit=1)
    assert outcomes == {"accepted": 20}
    assert world.most_lines == 1


def test_an_idle_connection_is_used_again():
    """By whoever comes later; also where the one before has left requests behind."""
    world = World([Script(then=(ACCEPT, 1.0))])
    world.bring(sends(5, stays=2 * TRIP))
    later = [world.bring(sends(5, number), after=10.0 * number) for number in range(1, 4)]
    world.run()
    assert counted(*later) == {"accepted": 15}
    assert len(world.opened) == 1


def test_responses_still_come_after_a_write_was_interrupted():
    """Nothing more is written, and what the server has got whole has its response in its time."""
    script = Script(acts=[(0, "fault", "interrupt"), (1, "later limit", 50)], then=(ACCEPT, 1.0))
    world, outcomes = send(script)
    assert outcomes == {"accepted": 18, "unknown": 2}
    assert len(world.opened) == 2
    assert START + TIMEOUT <= world.now <= START + TIMEOUT + 2 * TRIP


def test_what_an_interrupted_write_leaves_in_parts_is_sent_again_at_once():
    """It will never be whole on that connection, whatever becomes of the others there."""
    script = Script(acts=[(0, "fault", "interrupt")],
                    settings=[(frames.INITIAL_WINDOW_SIZE, 1000)])
    # The server is not to blame, however often that happens.
    world, outcomes = send(*[script] * 5)
    assert outcomes == {"accepted": 20}
    assert len(world.opened) == 6
    assert world.now < START + 1.0


def test_a_connection_with_an_interrupted_write_and_nothing_in_flight_is_over():
    """Whoever waits for its place would wait for ever."""
    script = Script(settings=[(MOST, 2)], acts=[(2, "fault", "interrupt"), (2, "limit", 0)])
    world = World([script], limit=1, trip=TRIP)
    caller = world.bring(sends(6))
    world.run()
    assert counted(caller) == {"accepted": 6}
    assert len(world.opened) == 2
    # It is not the server's next word that makes an end of it.
    assert world.now < START + 1.0


# The end.


def test_a_reason_that_concerns_the_credential_stops_every_call():
    """What was not sent is undelivered, with every caller; a new one starts over."""
    script = Script(settings=[(MOST, 1)], first=[(reject(403, "BadCertificate"), 0.0)])
    world = World([script])
    first, second = world.bring(sends(5)), world.bring(sends(5, number=2))
    late = world.bring(sends(5, number=3), after=10.0)
    world.run()
    assert counted(first, second) == {"undelivered": 10}
    assert counted(late) == {"accepted": 5}
    assert len(world.flights) == 6


def test_a_server_that_processes_nothing_over_three_connections_ends_it():
    """What was not sent is the caller's to send again, and none of it is unknown."""
    script = Script(acts=[(0, "goaway", 0)])
    world, outcomes = send(*[script] * 9)
    assert outcomes == {"retry": 20}
    assert len(world.opened) == 3
    refusing = Script(then=(REFUSE, 0.0))
    world, outcomes = send(*[refusing] * 9)
    assert outcomes == {"retry": 20}
    assert len(world.opened) == 3


def test_progress_starts_the_count_of_connections_in_vain_over():
    """Two in a row may process nothing, as often as it takes."""
    vain = Script(acts=[(0, "goaway", 0)])
    good = Script(settings=[(MOST, 7)], acts=[(7, "goaway", 0)])
    world, outcomes = send(vain, vain, good, vain, vain, good, vain, vain)
    assert outcomes == {"accepted": 20}
    assert len(world.opened) == 9


@each("connections", [1, 3])
def test_a_silent_server_ends_it_by_read_timeout(connections):
    """Over one connection: what was written is unknown, and what was not is not."""
    world = World([SILENT] * 9, read_timeout=TIMEOUT, trip=TRIP)
    caller, other = world.bring(sends(2000)), world.bring(sends(1000, number=2))
    world.run()
    outcomes = counted(caller, other)
    assert set(outcomes) == set(["unknown", "retry"])
    assert outcomes["unknown"] == len(world.flights) == 1000
    assert world.now <= START + TIMEOUT + 2 * TRIP
    assert len(world.opened) == 1


def test_a_request_that_is_late_is_given_up_alone():
    """Where the server responds to others, they go on over the same connection."""
    world = World([Script(first=[(IGNORE, 0.0)], then=(ACCEPT, 1.0), settings=[(MOST, 5)])],
                  read_timeout=TIMEOUT)
    late, others = world.bring(sends(1)), world.bring(sends(100, number=2))
    world.run()
    assert counted(late) == {"unknown": 1}
    assert START + TIMEOUT <= late.ended_at <= START + TIMEOUT + 1.0
    assert counted(others) == {"accepted": 100}
    assert len(world.opened) == 1


def test_a_server_that_allows_no_request_is_given_up():
    """It has as long for that as for a response, on each of a few connections."""
    script = Script(settings=[(MOST, 0)])
    world, outcomes = send(*[script] * 9)
    assert outcomes == {"retry": 20}
    assert world.flights == []
    assert len(world.opened) == 3
    assert world.now <= START + 3 * (TIMEOUT + TRIP)


@each("opening, is_left", [("refused", False), ("alert", False), ("refused", True)])
def test_where_no_connection_can_be_had_all_callers_are_told(opening, is_left):
    """With the exception alone where nothing was sent before, else behind the results."""
    first = Script(settings=[(MOST, 5)], acts=[(5, "goaway", 0)]) if is_left else None
    scripts = ([first] if first else []) + [Script(opening=opening)]
    world = World(scripts, read_timeout=TIMEOUT)
    callers = [world.bring(sends(20)), world.bring(sends(20, number=2))]
    late = world.bring(sends(5, number=3), after=30.0)
    world.run()
    assert all(opening[:5] in str(one.call.failure[1]) for one in callers)
    assert counted(*callers) == ({"accepted": 5, "retry": 15} if is_left else {})
    assert counted(late) == {"accepted": 5}


def test_after_a_failure_a_caller_with_more_to_bring_waits_for_what_is_in_flight():
    """It has nothing to do before, and does not come back for nothing over and over again."""
    draining = Script(settings=[(MOST, 5)], acts=[(5, "goaway", 0)], then=(ACCEPT, 1.0))
    world = World([draining, Script(opening="refused")], read_timeout=TIMEOUT)
    caller = world.bring(Caller(1, [Part("delivery", 10, 10), Part("delivery", 10, 10)]))
    world.run()
    assert caller.call.failure is not None
    assert counted(caller) == {"accepted": 5, "retry": 5}


# Throttling, as Apple's servers were seen to do it.


def throttling(is_bad, *acts):
    """Return the script of a server that throttles.

    :param is_bad: whether the token with a number is bad.
    """
    def judge(name):
        return (BAD if is_bad(int(name[32:], 16)) else ACCEPT), 0.0

    return Script(then=judge, acts=acts, settings=[(MOST, 1000)], throttle=True)


def by_chance(share):
    """Return which of 3000 tokens are bad, the same ones each time."""
    chance = Random(5)
    return [chance.random() < share for _ in range(3000)].__getitem__


def send_throttled(script, count, **options):
    """Send so many tokens; return the world, how many streams were refused, and the outcomes."""
    world = World([script] * 30, trip=TRIP, **options)
    caller = world.bring(sends(count))
    world.run()
    assert all(line.tap.refused <= line.tap.budget for line in world.opened)
    return world, sum(flight.fate == "refused" for flight in world.flights), counted(caller)


@each("name, is_bad, trips", [
    ("every tenth", lambda number: number % 10 == 5, 500),
    ("ten in a row", lambda number: number // 10 % 10 == 5, 400),
    ("many at the end", lambda number: number > 2000 and number % 2, 600),
    ("one in ten", by_chance(.1), 550),
    ("one in a hundred", by_chance(.01), 20)])
def test_a_throttling_server_needs_one_connection_and_refuses_few_streams(name, is_bad, trips):
    """What is in flight adapts: fewer streams are refused than there are tokens.

    A rejection takes a round trip, because it ends what is in flight, and few others are needed.
    """
    bad = sum(map(is_bad, range(3000)))
    world, refused, outcomes = send_throttled(throttling(is_bad), 3000, limit=1)
    assert len(world.opened) == 1
    assert outcomes == {"accepted": 3000 - bad, "failed": bad}
    assert 100 < refused < 2500
    assert world.now - START < trips * TRIP


def test_throttling_is_no_reason_for_another_connection():
    """The server slows the sender down, and does so for a reason."""
    script = throttling(lambda number: number % 10 == 5)
    world, _, outcomes = send_throttled(script, 1000)
    assert outcomes == {"accepted": 900, "failed": 100}
    assert len(world.opened) == 1


def test_few_streams_are_refused_where_few_are_in_flight():
    """The budget begins with those, however many the server allows."""
    _, refused, outcomes = send_throttled(throttling(lambda number: number % 2), 300, limit=1)
    assert outcomes == {"accepted": 150, "failed": 150}
    assert refused <= 300 + 150 // 2


def test_what_was_throttled_recovers():
    """A single bad token at the beginning, and a round trip later all is as before."""
    script = throttling(lambda number: number == 5)
    world, refused, outcomes = send_throttled(script, 6000)
    assert outcomes == {"accepted": 5999, "failed": 1}
    assert len(world.opened) > 1
    assert refused < 100
    assert world.now - START < 12 * TRIP


def test_a_limit_of_one_stream_that_stays_takes_a_round_trip_each():
    """And nothing more is refused than was in flight when it came."""
    script = throttling(lambda number: False, (40, "limit", 1))
    world, refused, outcomes = send_throttled(script, 100, limit=1)
    assert outcomes == {"accepted": 100}
    assert len(world.opened) == 1
    assert refused <= 60
    assert world.now - START < 70 * TRIP


def test_after_a_refusal_the_server_responds_before_more_is_sent():
    """As long as it refuses some, and has not responded to others, it is not given up."""
    script = Script(first=[(ACCEPT, 0.0)] * 30 + [(REFUSE, 0.0)] * 25 + [(ACCEPT, 1.0)] * 5
                    + [(REFUSE, 0.0)] * 30, settings=[(MOST, 60)])
    world, _, outcomes = send_throttled(script, 400, limit=1)
    assert outcomes == {"accepted": 400}
    assert len(world.opened) == 1


def test_a_server_that_has_refused_single_requests_leaves_no_debt():
    """What is refused while nothing else is in flight is not paid back."""
    script = Script(first=[(REFUSE, 0.0)] * 999 + [(ACCEPT, 0.0)]
                    + [(REFUSE, 0.0), (REFUSE, 0.0), (ACCEPT, 0.0)] * 40)
    world, refused, outcomes = send_throttled(script, 1000, limit=1)
    assert outcomes == {"accepted": 1000}
    assert refused == 999 + 80
    assert world.now - START < 180 * TRIP


# Time.


def test_a_call_with_a_deadline_ends_at_it_and_loses_nothing():
    """What was not sent is to be sent again, what has no response is unknown, others go on."""
    world = World([Script(then=(ACCEPT, 2.0), settings=[(MOST, 40)])], limit=1)
    hasty = world.bring(Caller(1, [Part("delivery", 150, 10), Part("bundle", 30, 10)], 5.0))
    other = world.bring(sends(50, number=2))
    world.run()
    assert hasty.ended_at == START + 5.0
    outcomes = counted(hasty)
    assert sum(outcomes.values()) == 180
    begun = Counter(flight.name for flight in world.flights)
    for name, outcome in hasty.outcomes.items():
        assert outcome == ("retry" if not begun[name] else
                           "accepted" if world.processed[name] == [ACCEPT] else "unknown")
    assert set(outcomes) == set(["accepted", "retry", "unknown"])
    assert counted(other) == {"accepted": 50}


def test_a_deadline_that_is_over_before_there_is_a_connection():
    """Nothing is sent, and all of it is to be sent again."""
    world = World([Script()])
    caller = world.bring(sends(5, patience=0.0))
    world.run()
    assert counted(caller) == {"retry": 5}
    assert world.opened == []


# What is withdrawn.


def withdraw_one(place, script, *later, **options):
    """Send 20 requests and withdraw one as soon as one is in a place.

    :return: the world, what it was and its outcome, and the outcomes of the others.
    """
    kind, size = options.pop("kind", "delivery"), options.pop("size", 4000)
    world = World((script,) + later, read_timeout=TIMEOUT, trip=TRIP, **options)
    caller = world.bring(Caller(1, [Part(kind, 20, size)]))
    world.withdraw(place, 0)
    world.run()
    (name, (where, _)), = world.withdrawn.items()
    outcome = caller.outcomes.pop(name)
    return world, (where, outcome), counted(caller)


@each("kind", ["delivery", "bundle", "awaited"])
@each("place, script, expected, others", [
    ("in flight", Script(), (IN_FLIGHT, "unknown"), {"accepted": 19}),
    ("in flight", Script(then=(ACCEPT, 1.0), acts=[(9, "goaway", 0)]), (IN_FLIGHT, "unknown"),
     {"accepted": 19}),
    ("in flight", Script(first=[(REFUSE, 0.0)]), (IN_FLIGHT, "unknown"), {"accepted": 19}),
    ("in part", Script(settings=[(frames.INITIAL_WINDOW_SIZE, 1000)]), (IN_FLIGHT, "retry"),
     {"accepted": 19}),
    # A status is a response. What it is a reason to send again is not.
    ("begun", Script(first=[(BAD, 0.0)], cuts=(1,)), (IN_FLIGHT, "retry"), {"accepted": 19}),
    ("begun", Script(first=[(CUT_OFF, 0.0)], cuts=(1,)), (IN_FLIGHT, "accepted"),
     {"accepted": 19}),
    ("begun", Script(first=[(reject(421, "Elsewhere"), 0.0)], cuts=(1,)), (IN_FLIGHT, "retry"),
     {"accepted": 19}),
    ("refused", Script(settings=[(MOST, 3)], first=[(ACCEPT, 0.0), (REFUSE, 0.0)]),
     (WAITING, "retry"), {"accepted": 19}),
    ("cut", Script(acts=[(0, "fault", "interrupt")], settings=[(MOST, 3)]), (IN_FLIGHT, "unknown"),
     {"accepted": 17, "unknown": 2}),
])
def test_a_request_is_withdrawn_alone_wherever_it_is(kind, place, script, expected, others):
    """Its stream is reset, or it is not sent; all others of its batch have their responses."""
    if place == "refused" and kind != "delivery":
        return
    world, withdrawn, outcomes = withdraw_one(place, script, kind=kind, keeps_ids=True)
    assert (withdrawn, outcomes) == (expected, Counter(others))
    (name, (where, begun)), = world.withdrawn.items()
    mine = [flight for flight in world.flights if flight.name == name]
    assert len(mine) == begun
    assert mine[-1].resets == (where == IN_FLIGHT and not mine[-1].is_cut)


@each("kind", ["delivery", "bundle", "awaited"])
def test_what_is_withdrawn_before_it_was_started_is_never_sent(kind):
    """Be it the first, the last, those in between, or all of them."""
    numbers = list(range(12))
    for gone in [0], [11], [0, 1, 5, 6, 7, 11], [7, 6, 5, 1, 0], numbers, numbers[::-1]:
        world = World([Script(settings=[(MOST, 4)])])
        caller = Caller(1, [Part(kind, 12, 10)])
        caller.begin(world.sender, world.now)
        assert [caller.withdraw(world.sender, number, world.now) for number in gone + gone] == (
            [WAITING] * len(gone) + [None] * len(gone))
        assert caller.call.count_waiting() == 12 - len(gone)
        assert world.sender.has_waiting() == (len(gone) < 12)
        assert caller.call.is_over == (len(gone) == 12)
        world.watch(caller)
        world.run()
        expected = ["retry" if number in gone else "accepted" for number in numbers]
        assert [caller.outcomes[name] for name in caller.names] == expected
        assert [flight.name for flight in world.flights] == [
            name for number, name in enumerate(caller.names) if number not in gone]


@each("ends", ["call is stopped", "call is given up"])
def test_what_ends_a_call_has_no_second_outcome_for_what_was_withdrawn(ends):
    """Those in between are left out, whatever the reason."""
    world = World([Script(settings=[(MOST, 1)], first=[
        (reject(403, "BadCertificate") if "stop" in ends else IGNORE, 0.0)])])
    caller = Caller(1, [Part("awaited", 12, 10)], patience=1.0)
    caller.begin(world.sender, world.now)
    for number in 3, 4, 9:
        assert caller.withdraw(world.sender, number, world.now) == WAITING
    world.watch(caller)
    world.run()
    left = "undelivered" if "stop" in ends else "retry"
    outcomes = [caller.outcomes[name] for name in caller.names]
    assert [outcomes[number] for number in (3, 4, 9)] == ["retry"] * 3
    assert [outcomes[number] for number in (1, 2, 5, 6, 7, 8, 10, 11)] == [left] * 8


def test_a_stream_is_reset_behind_the_frames_that_open_it():
    """Also where a request is withdrawn between the two steps of writing it."""
    world = World()
    caller = Caller(1, [Part("delivery", 3, 10)])
    caller.begin(world.sender, world.now)
    state = SenderConnection(("api.push.apple.com", 443), None, world.now)
    state.output(world.now)
    world.sender.add_connection(state, world.now)
    world.sender.receive(state, frames.settings_frame([]), world.now)
    world.sender.fill(state, world.now)
    assert caller.withdraw(world.sender, 1, world.now) == IN_FLIGHT
    written = frames.FrameReader().feed(state.output(world.now))
    assert [(kind, stream) for kind, _, stream, _ in written if kind != frames.DATA] == [
        (frames.SETTINGS, 0), (frames.HEADERS, 1), (frames.HEADERS, 3), (frames.HEADERS, 5),
        (frames.RST_STREAM, 3)]
    assert caller.call.in_flight()[0].left == state.client.in_flight == 2


def test_a_connection_that_ends_by_a_withdrawal_makes_room_for_the_next():
    """What drains for the sake of one request is over when nobody waits for that."""
    draining = Script(settings=[(MOST, 1)], first=[(IGNORE, 0.0)], acts=[(1, "goaway", 0)])
    world = World([draining], trip=TRIP, limit=1)
    caller = world.bring(Caller(1, [Part("awaited", 5, 10)]))
    world.withdraw("in flight", 0, moment=2)
    world.run()
    assert counted(caller) == {"unknown": 1, "accepted": 4}
    assert len(world.opened) == 2
    assert world.now < START + 1.0


def test_a_withdrawal_is_no_reason_to_give_up_what_others_send():
    """A connection that is lost before any response is no server that does not respond."""
    world = World([Script(settings=[(MOST, 1)], first=[(IGNORE, 0.0)])], trip=TRIP)
    caller = world.bring(Caller(1, [Part("awaited", 5, 10)]))

    def fail():
        assert caller.withdraw(world.sender, 0, world.now) == IN_FLIGHT
        # It is lost with the next request, of which nothing was written.
        world.opened[0].faults.append("no write")
        world.network.has_news = True

    world.network.after(3 * TRIP, fail)
    world.run()
    assert counted(caller) == {"unknown": 1, "accepted": 4}
    assert len(world.opened) == 2


def test_whoever_waits_for_nothing_but_a_withdrawn_request_is_told():
    """Nothing else would ever happen."""
    world = World([SILENT], trip=TRIP)
    caller, found = world.bring(sends(1)), []

    def withdraw():
        found.append(caller.withdraw(world.sender, 0, world.now))
        world.network.has_news = True

    world.network.after(3 * TRIP, withdraw)
    world.run()
    assert found == [IN_FLIGHT]
    assert counted(caller) == {"unknown": 1}


def test_a_request_is_found_on_whichever_connection_it_is():
    """Each stream is reset where it was opened, and nothing else is."""
    script = Script(settings=[(MOST, 100)])
    world = World([script] * 3, limit=3, trip=TRIP)
    caller, found = world.bring(sends(6000)), []

    def withdraw():
        assert len(world.lines) == 3
        numbers = sorted(caller.names.index(flight.name) for line in world.lines
                         for flight in line.tap.in_flight)
        found.extend(numbers)
        assert set(caller.withdraw(world.sender, number, world.now) for number in numbers) == set(
            [IN_FLIGHT])
        assert not any(line.state.client.in_flight for line in world.lines)
        world.network.has_news = True

    world.network.after(10 * TRIP, withdraw)
    world.run()
    assert counted(caller) == {"unknown": len(found), "accepted": 6000 - len(found)}
    assert 200 < len(found) <= 300


def test_what_was_withdrawn_in_flight_is_reported_where_no_connection_can_be_had_then():
    """It may have been processed, so there is more to report than the failure."""
    script = Script(first=[(IGNORE, 0.0)], acts=[(1, "goaway", 0)], settings=[(MOST, 1)])
    world = World([script, Script(opening="refused")], trip=TRIP)
    caller = world.bring(sends(5))
    world.withdraw("in flight", 0, moment=2)
    world.run()
    assert caller.call.failure is not None
    assert counted(caller) == {"unknown": 1, "retry": 4}


def test_what_has_ended_is_not_withdrawn():
    """Nothing is done then, and the outcome stays what it was."""
    world = World([Script(first=[(ACCEPT, 0.0), (BAD, 0.0)], then=(ACCEPT, 1.0))])
    caller = world.bring(Caller(1, [Part("awaited", 3, 10)]))
    found = []
    world.network.after(0.5, lambda: found.extend(
        caller.withdraw(world.sender, number, world.now) for number in (0, 1)))
    world.run()
    assert found == [None, None]
    assert [caller.outcomes[name] for name in caller.names] == ["accepted", "failed", "accepted"]


# The provider token.


def test_an_expired_provider_token_is_renewed_once():
    """Whichever connection, and however many requests, the server refuses it over."""
    expired = reject(403, "ExpiredProviderToken"), 0.0
    world = World([Script(first=[expired]), Script()], credential=Key())
    callers = [world.bring(sends(20)), world.bring(sends(20, number=2))]
    world.run()
    assert counted(*callers) == {"accepted": 40}
    assert world.credential.renewals == 1
    assert len(world.opened) == 2
    assert world.most_lines == 1


def test_a_token_that_is_refused_after_it_was_renewed_stops_every_call():
    """It is not renewed over and over again."""
    world = World([Script(then=(reject(403, "ExpiredProviderToken"), 0.0))] * 9, credential=Key())
    callers = [world.bring(sends(20)), world.bring(sends(20, number=2))]
    world.run()
    assert counted(*callers) == {"undelivered": 40}
    assert world.credential.renewals == 1
    assert len(world.opened) == 2


def test_connections_from_before_the_renewal_are_renewed_with_it():
    """Two of them report the same token, one after the other, and there is one new one."""
    expired = reject(403, "ExpiredProviderToken")
    opening = [(ACCEPT, 0.0)] * 200
    script = Script(first=opening + [(expired, 0.0)] * 400, settings=[(MOST, 40)])
    world = World([script, script], credential=Key(), limit=2, trip=TRIP)
    caller = world.bring(sends(3000))
    world.run()
    assert counted(caller) == {"accepted": 3000}
    assert [why for _, why in world.wanted][:2] == [FIRST, ANOTHER]
    assert world.credential.renewals == 1


def test_a_provider_token_is_renewed_again_when_the_last_time_was_long_ago():
    """A call may take longer than Apple wants between two tokens."""
    expired = reject(403, "ExpiredProviderToken"), 0.0
    slow = ACCEPT, 700.0
    world = World([Script(first=[expired]), Script(first=[slow, slow, expired],
                                                     settings=[(MOST, 1)])], credential=Key())
    caller = world.bring(sends(20))
    world.run()
    assert counted(caller) == {"accepted": 20}
    assert world.credential.renewals == 2


def test_with_a_provider_token_one_request_goes_first():
    """Apple allows no other one before it knows that the token is good."""
    world = World([Script(then=(ACCEPT, 1.0))], credential=Key())
    world.bring(sends(20))
    world.run()
    begun = sorted(set(flight.begun_at for flight in world.flights))
    assert [flight.begun_at for flight in world.flights].count(begun[0]) == 1
