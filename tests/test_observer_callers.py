"""An observer beside several callers: threads, greenlets, and a forked child."""

from __future__ import absolute_import, division, print_function

import threading

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs, Message, Session, events
from apnsclient.feedback_store import MemoryStore
from frame_peers import TOKENS
from observer_support import Notes, count_results
from threads_support import run_threads

pytestmark = pytest.mark.timeout(240)

#: Generous limit in seconds for what is expected to come to an end.
LIMIT = 100


@pytest.fixture
def connect(simulator):
    """A function that returns a session with an observer, and a client of it."""
    sessions = []

    def make(observer, pool="apnsclient.backends.stdio"):
        session = Session(pool, protocol="http2", observer=observer, feedback_store=MemoryStore(),
                          ca_string=simulator.ca_string)
        sessions.append(session)
        return session, APNs(session.get_connection(simulator.provider_address,
                                                    cert_string=simulator.cert_string))

    yield make
    for session in sessions:
        session.shutdown()


def hello(tokens):
    return Message(tokens, alert="hello")


def test_the_sums_of_many_threads_agree(simulator, connect):
    """Each outcome is told once, whichever thread tells it."""
    simulator.devices.bad(TOKENS[3], reason="BadDeviceToken")
    notes, results = Notes(), []
    session, client = connect(notes)
    run_threads([lambda: results.append(client.send(hello(TOKENS[:20])))] * 8)
    session.shutdown()
    assert notes.outcomes() == count_results(results) == {"accepted": 152, "rejected": 8}
    assert sum(each.count for each in notes.of(events.Responses)) == 160
    assert len(notes.of(events.ConnectionOpened)) == len(notes.of(events.ConnectionClosed))


def test_an_observer_that_blocks_holds_nobody_else_up(connect):
    """Others send, and are told of, while one thread is in it."""
    is_in, go_on, mine = threading.Event(), threading.Event(), []

    def observe(event):
        if threading.current_thread() in mine:
            is_in.set()
            assert go_on.wait(LIMIT)
        else:
            notes(event)

    notes = Notes()
    client = connect(observe)[1]
    blocked = threading.Thread(target=lambda: client.send(hello(TOKENS[:5])))
    blocked.daemon = True
    mine.append(blocked)
    blocked.start()
    try:
        assert is_in.wait(LIMIT)
        for _ in range(3):
            assert not client.send(hello(TOKENS[:4])).errors
        assert notes.outcomes()["accepted"] >= 12
    finally:
        go_on.set()
        blocked.join(LIMIT)
    assert not blocked.is_alive()


def test_greenlets_tell_the_same(connect):
    """Without monkey-patching; an observer may wait as greenlets do."""
    gevent = pytest.importorskip("gevent")
    notes = Notes()

    def observe(event):
        notes(event)
        gevent.sleep(0)

    session, client = connect(observe, "apnsclient.backends.gevent")
    greenlets = [gevent.spawn(client.send, hello(TOKENS[:10])) for _ in range(6)]
    results = [greenlet.get(timeout=LIMIT) for greenlet in greenlets]
    session.shutdown()
    assert notes.outcomes() == count_results(results) == {"accepted": 60}
    assert len(notes.of(events.ConnectionOpened)) == len(notes.of(events.ConnectionClosed))


def test_a_forked_child_tells_its_own_events_alone(connect, in_forked_child):
    """What was not told before the fork is the parent's to tell."""
    notes = Notes()
    session, client = connect(notes)
    results = client.send_many(hello([token]) for token in TOKENS[:300])
    next(results)
    results.close()
    pending = session._shared.observation._pending().events
    pending.append(events.LateResults(0.0, ("parent", 1), "binary", 1, 1))
    del notes.events[:]

    def child():
        client.send(hello(TOKENS[:7]))
        session.shutdown()
        assert notes.outcomes() == {"accepted": 7}
        assert not notes.of(events.LateResults)
        assert len(notes.of(events.ConnectionOpened)) == 1

    in_forked_child(child)
    client.send(hello(TOKENS[:2]))
    assert notes.outcomes()["accepted"] >= 2
    notes.one(events.LateResults)
