"""The journal of a simulator: what it keeps, how it is searched, and how it is waited for."""

from __future__ import absolute_import, division, print_function

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apnsclient.protocols.binary import Notification
from apnsclient.testing.simulator import Journal, Query
from apnsclient.testing.simulator.connection_facts import ConnectionFacts, TLSFacts
from apnsclient.testing.simulator.exchange import OUTCOMES, GatewayExchange
from apnsclient.testing.simulator.journal import Search
from tables import each

#: Seconds after which something hangs.
HANG = 150
FACTS = [ConnectionFacts(number, number, "gateway", None, TLSFacts("", "", "", False), None, 0.0)
         for number in range(1, 4)]
#: What an exchange takes beside its payload.
EMPTY = GatewayExchange(1, 0.0, FACTS[0], Notification(2, 1, 0, b"", b"", 10), 0).size


def exchange(number, token=b"\xab", payload=b"{}", outcome="accepted", connection=1, time=None):
    """Return an exchange over the binary protocol."""
    made = GatewayExchange(number, float(number) if time is None else time, FACTS[connection - 1],
                           Notification(2, number, 0, token, payload, 10), 2048)
    made.outcome = outcome
    return made


def filled(*exchanges, **limits):
    """Return a journal with exchanges."""
    journal = Journal(**limits)
    journal.arrived(exchanges)
    return journal


def numbers(exchanges):
    return [each.number for each in exchanges]


# What is kept.


def test_what_is_known_of_connections_is_bounded():
    """The last thousand connections, and the last 200 events of each."""
    journal = Journal()
    for number in range(1, 1202):
        journal.connection_opened(ConnectionFacts(
            number, number, "gateway", None, FACTS[0].tls, None, 0.0))
    assert [each.number for each in journal.connections()] == list(range(1201, 201, -1))
    facts = journal.connections()[0]
    for number in range(250):
        facts.add_event(float(number), "reset", "")
    assert [event.time for event in facts.events] == list(range(50, 250))


def test_events_can_be_read_while_there_are_more():
    """The simulator's thread writes them down without a lock."""
    class Changing(object):
        tries = 0

        def __iter__(self):
            self.tries += 1
            if self.tries < 3:
                raise RuntimeError("deque mutated during iteration")
            return iter([7])

    facts = ConnectionFacts(1, 1, "gateway", None, FACTS[0].tls, None, 0.0)
    facts._events = Changing()
    assert facts.events == [7]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(
    st.tuples(st.just("arrived"), st.lists(st.integers(0, 50), max_size=4)),
    st.tuples(st.just("remove"), st.sampled_from(["ab", "cd"])),
    st.tuples(st.just("remove_number"), st.integers(1, 12)),
    st.tuples(st.just("clear"), st.none())), max_size=12),
    st.sampled_from([None, 0, 1, 3]), st.sampled_from([None, 2 * EMPTY, 3 * EMPTY + 60]))
def test_a_journal_keeps_the_last_within_its_limits(steps, keep, keep_bytes):
    """Like a list that is cut at its beginning, after each step."""
    journal, model, number = Journal(keep, keep_bytes), [], 0
    for what, given_value in steps:
        if what == "arrived":
            come = []
            for size in given_value:
                number += 1
                come.append(exchange(number, b"\xab" if size % 2 else b"\xcd", b"x" * size))
            journal.arrived(come)
            model += come
            while (keep is not None and len(model) > keep) or (
                    keep_bytes is not None and sum(one.size for one in model) > keep_bytes):
                model.pop(0)
        elif what == "remove":
            gone = [one for one in model if one.token == given_value]
            assert journal.remove(Query(token=given_value)) == len(gone)
            model = [one for one in model if one not in gone]
        elif what == "remove_number":
            assert journal.remove_number(given_value) is (given_value in numbers(model))
            model = [one for one in model if one.number != given_value]
        else:
            journal.clear()
            model = []
        assert journal.exchanges() == model and len(journal) == len(model)
        assert journal.last_number == number
        for one in range(number + 2):
            assert (journal.get(one) is not None) is (one in numbers(model))


@each("arguments, found", [
    ({}, [6, 5, 4, 2, 1]), ({"limit": 2}, [6, 5]), ({"before": 5}, [4, 2, 1]),
    ({"before": 3}, [2, 1]), ({"after": 3}, [6, 5, 4]), ({"after": 2, "before": 6}, [5, 4]),
    ({"query": Query(token="CD")}, [5, 2]), ({"query": Query(token="cd"), "limit": 1}, [5]),
    ({"query": Query(token="cd"), "before": 5}, [2]), ({"limit": 0}, []), ({"after": 6}, []),
])
def test_exchanges_are_found_newest_first(arguments, found):
    """Of a range of numbers, up to a limit, those that match."""
    journal = filled(*[exchange(number, b"\xcd" if number in (2, 5) else b"\xab")
                       for number in (1, 2, 4, 5, 6)])
    assert numbers(journal.find(**arguments)) == found


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([b"\xab", b"\xcd"]), max_size=8), st.integers(-1, 9),
       st.integers(-1, 9), st.integers(0, 9), st.booleans())
def test_a_search_is_like_one_through_all(tokens, before, after, limit, is_filtered):
    """Whatever range, limit and query are put together, with numbers that are missing."""
    every = [exchange(number, token) for number, token in enumerate(tokens, 1) if number % 3]
    query = Query(token="ab") if is_filtered else None
    for low in (None, after):
        for high in (None, before):
            for most in (None, limit):
                wanted = [one for one in reversed(every)
                          if (low is None or one.number > low)
                          and (high is None or one.number < high)
                          and (query is None or one.token == "ab")]
                assert filled(*every).find(query, most, high, low) == wanted[:most]


def test_open_connections_stay_when_all_is_cleared():
    """Those that are closed go."""
    journal = Journal()
    FACTS[0].closed = 1.0
    for facts in FACTS:
        journal.connection_opened(facts)
    assert journal.connections() == FACTS[::-1]
    journal.clear()
    assert journal.connections() == [FACTS[2], FACTS[1]]
    FACTS[0].closed = None


# Which match.

CONDITIONS = st.fixed_dictionaries({
    "token": st.sampled_from([None, "ab", "AB", "abcd", "a*", "*", "b*", ""]),
    "outcome": st.sampled_from((None,) + OUTCOMES[:3]),
    "status": st.sampled_from([None, 8]), "text": st.sampled_from([None, "B", "x", u"\xe4"]),
    "connection": st.sampled_from([None, 1, 2]), "since": st.sampled_from([None, 1.0, 2.0]),
    "until": st.sampled_from([None, 1.0, 2.0]), "kind": st.sampled_from([None, "notification"]),
    "service": st.sampled_from([None, "gateway", "provider"]),
    "topic": st.sampled_from([None, "com.example"])})


@settings(max_examples=300, deadline=None)
@given(CONDITIONS, st.sampled_from([b"\xab", b"\xab\xcd", b""]),
       st.sampled_from([b"aBc", b"", u"\xc4".encode("utf-8"), b"\xff"]),
       st.sampled_from(OUTCOMES[:3]), st.integers(1, 2))
def test_what_matches_has_no_mismatch(conditions, token, payload, outcome, connection):
    """And each condition that is not met is one mismatch, whose text says what it is."""
    one = exchange(1, token, payload, outcome, connection)
    query = Query(**conditions)
    met = {
        "token": lambda value: one.token.startswith(value[:-1].lower()) if value[-1:] == "*"
        else one.token == value.lower(),
        "text": lambda value: value.lower() in payload.decode("utf-8", "replace").lower(),
        "connection": lambda value: connection == value, "since": lambda value: value <= 1.0,
        "until": lambda value: 1.0 < value, "outcome": lambda value: value == outcome,
        "kind": lambda value: True, "service": lambda value: value == "gateway",
        "status": lambda value: False, "topic": lambda value: False}
    unmet = [name for name, value in conditions.items()
             if value is not None and not met[name](value)]
    mismatches = query.mismatches(one)
    assert len(mismatches) == len(unmet)
    assert query.matches(one) is (not unmet)


@each("conditions, text", [
    ({"token": "cd"}, "token is 'ab', expected 'cd'"),
    ({"token": "c*"}, "token is 'ab', expected one that begins with c"),
    ({"topic": "x"}, "topic is not set, expected 'x'"),
    ({"outcome": "rejected"}, "outcome is 'accepted', expected 'rejected'"),
    ({"status": 8}, "status is not set, expected 8"),
    ({"connection": 2}, "connection is 1, expected 2"),
    ({"text": "y"}, "the payload does not contain 'y'"),
    ({"since": 3.5}, "it came 2.500 seconds too early"),
    ({"until": 0.5}, "it came 0.500 seconds too late"),
])
def test_a_mismatch_says_what_is_and_what_was_expected(conditions, text):
    assert Query(**conditions).mismatches(exchange(1)) == [text]


def test_a_condition_that_there_is_not_is_an_error():
    """It names those that there are."""
    with pytest.raises(TypeError) as caught:
        Query(tokens="ab")
    assert "no condition 'tokens'" in str(caught.value) and "token" in str(caught.value)


# Waiting.


def test_waiting_ends_as_soon_as_enough_match():
    """In another thread, in the order of arrival; also those whose outcome comes later."""
    journal, results = filled(exchange(1), exchange(2, outcome="pending")), []
    query = Query(outcome="accepted")
    threads = [threading.Thread(
        target=lambda count=count: results.append(journal.wait_for(query, count, HANG)))
        for count in (1, 2, 3)]
    for thread in threads:
        thread.start()
    journal.arrived([exchange(3), exchange(4, outcome="rejected")])
    journal.round_ended()
    journal.get(2).outcome = "accepted"
    journal.round_ended()
    for thread in threads:
        thread.join(HANG)
    assert all(result.is_enough and result.near_misses == [] for result in results)
    assert numbers(min(results, key=lambda result: len(result.exchanges)).exchanges) == [1]
    assert numbers(max(results, key=lambda result: len(result.exchanges)).exchanges) == [1, 2, 3]


def test_a_search_looks_again_at_what_had_no_response():
    """At that alone: what came after it is not found twice."""
    waiting = exchange(1, outcome="pending")
    journal = filled(waiting, exchange(2))
    search = Search(journal, Query(outcome="accepted"), 2)
    assert [search.is_enough() for _ in range(3)] == [False] * 3
    assert numbers(search.result().exchanges) == [2]
    waiting.outcome = "accepted"
    assert search.is_enough() and numbers(search.result().exchanges) == [1, 2]


def test_what_has_not_come_is_told_with_what_came_near():
    """The nearest first, five at most, with the conditions that they do not meet."""
    journal = filled(exchange(1, b"\xab"), exchange(2, b"\xcd", outcome="rejected"),
                     *[exchange(number, b"\xee", b"other") for number in range(3, 12)])
    found = journal.wait_for(Query(token="cd", outcome="accepted", text="{}"), 1, 0)
    assert (found.exchanges, found.is_enough) == ([], False)
    assert [(one.number, len(mismatches)) for one, mismatches in found.near_misses] == [
        (2, 1), (1, 1), (11, 2), (10, 2), (9, 2)]
    assert found.near_misses[0][1] == ["outcome is 'rejected', expected 'accepted'"]
