"""Dead tokens on their way into a store that fails, is locked, or takes its time."""

from __future__ import absolute_import, division, print_function

import gc
import logging
import threading

import pytest

from apnsclient._feedback_buffer import FeedbackBuffer
from apnsclient.backends.dummy import Backend
from apnsclient.feedback_store import MemoryStore
from apnsclient.sync._lifetime import Closer
from frame_peers import TOKENS, client_for, message

pytestmark = pytest.mark.timeout(240)

SINCE = 1700000000
#: Seconds that a store waits for another process which has it locked.
LOCKED = 3.0


class Store(MemoryStore):
    """A store that may be locked; then a call takes its time and raises.

    :ivar calls: how often ``add()`` was called.
    :ivar at: what is called with the rows each time.
    """

    def __init__(self, clock=None):
        super(Store, self).__init__()
        self.is_locked = False
        self.calls = 0
        self.at = lambda rows: None
        self._clock = clock

    def add(self, source, rows):
        self.calls += 1
        self.at(rows)
        if self.is_locked:
            self._clock.advance(LOCKED)
            raise RuntimeError("database is locked")
        super(Store, self).add(source, rows)

    def drain(self, source):
        if self.is_locked:
            self._clock.advance(LOCKED)
            raise RuntimeError("database is locked")
        return super(Store, self).drain(source)

    @property
    def tokens(self):
        return sorted(token.decode("ascii") for known in self._content().sources.values()
                      for token in known)


@pytest.fixture
def store(apple):
    """A store in the time of the simulator, at which the first 30 tokens are dead."""
    for token in TOKENS[:30]:
        apple.devices.uninstall(token, SINCE)
    return Store(apple.clock)


def buffer_of(store):
    """Return a buffer in a time that stands still."""
    return FeedbackBuffer(store, threading.RLock, lambda: 0.0)


def slowly(apple, count):
    """Yield messages with a pause before each, so that each has its response before the next."""
    for number in range(count):
        apple.clock.advance(0.2)
        yield message(number)


# Over HTTP/2.

def test_a_locked_store_costs_a_call_one_wait(apple, store, caplog):
    """However many of the tokens are dead; and the connection is given back before."""
    session = apple.session(protocol="http2", feedback_store=store, read_timeout=2)
    client = client_for(session, apple)
    shown = []
    store.is_locked = True
    store.at = lambda rows: shown.append(repr(session))
    started = apple.clock()
    results = list(client.send_many(slowly(apple, 20)))
    assert apple.clock() - started == pytest.approx(20 * 0.2 + LOCKED)
    assert all(result.failed for result in results)
    assert len(shown) == 1 and "1 idle, 0 in use" in shown[0]
    assert "feedback store failed; 20 dead tokens" in caplog.text
    # True also where there is no later: when the process ends.
    assert "are kept in the memory of this process until it works again" in caplog.text
    assert not any(token in caplog.text for token in TOKENS[:20])


def test_what_a_locked_store_did_not_take_is_stored_later(apple, store):
    """The next calls do not try for a while, and wait for nothing; then all of it is stored."""
    client = apple.provider_client(feedback_store=store)
    store.is_locked = True
    client.send(message(0))
    started = apple.clock()
    for number in range(1, 5):
        client.send(message(number))
    assert (apple.clock() - started, store.calls) == (0.0, 1)
    store.is_locked = False
    client.send(message(5))
    assert store.tokens == []
    apple.clock.advance(FeedbackBuffer.PAUSE)
    client.send(message(40))
    assert store.tokens == TOKENS[:6]
    assert len(list(client.feedback())) == 6


def test_a_store_that_stays_locked_costs_a_wait_now_and_then(apple, store):
    """So does a call that goes on for hours."""
    client = apple.provider_client(feedback_store=store)
    store.is_locked = True
    started = apple.clock()
    list(client.send_many(slowly(apple, 600)))
    took = apple.clock() - started
    assert 1 < store.calls <= 1 + took / FeedbackBuffer.PAUSE
    assert took == pytest.approx(600 * 0.2 + store.calls * LOCKED)


def test_a_call_that_goes_on_stores_what_it_has_found(apple, store):
    """A process that dies in the middle of a campaign loses the last seconds."""
    client = apple.provider_client(feedback_store=store)
    results = client.send_many(slowly(apple, 200))
    for _ in range(100):
        next(results)
    assert store.tokens == TOKENS[:30]
    results.close()


def test_feedback_has_what_the_store_has_not_got_yet(apple, store):
    """This process knows of it. While the store cannot be read nothing is taken out."""
    client = apple.provider_client(feedback_store=store)
    store.is_locked = True
    client.send(message(0, 4))
    with pytest.raises(RuntimeError, match="locked"):
        list(client.feedback())
    store.is_locked = False
    assert [token.decode("ascii") for token, _ in client.feedback()] == TOKENS[:4]
    assert list(client.feedback()) == []


@pytest.mark.parametrize("way", ["shutdown", "dropped"])
def test_a_session_that_ends_tries_once_more(apple, store, caplog, way):
    """There may be no next time."""
    # What is logged refers to the session: to the frames of the failure.
    caplog.set_level(logging.CRITICAL, "apnsclient._feedback_buffer")
    session = apple.session(protocol="http2", feedback_store=store)
    client = client_for(session, apple)
    store.is_locked = True
    client.send(message(0, 4))
    store.is_locked = False
    if way == "shutdown":
        session.shutdown()
    else:
        apple.drop(session)
        del session, client
        gc.collect()
    assert store.tokens == TOKENS[:4]


# On its own.

def test_newest_timestamp_wins():
    """Whether the store has it or not."""
    store = Store()
    buffer = buffer_of(store)
    store.add("app", [(b"aa", 5), (b"bb", 2)])
    buffer.add("app", [(b"aa", 3), (b"bb", 4), (b"cc", 1)])
    assert buffer.drain("app") == [(b"cc", 1), (b"bb", 4), (b"aa", 5)]


def test_what_waits_is_bounded(caplog):
    """The oldest ones are dropped, with a warning: they will be found again."""
    buffer = buffer_of(Store())
    with caplog.at_level(logging.WARNING):
        buffer.add("app", ((b"%08x" % number, number) for number in range(100010)))
    assert "more than 100000 dead tokens of app wait" in caplog.text
    assert [when for _, when in buffer.drain("app")][:2] == [10, 11]


def test_one_thread_stores_what_others_bring_meanwhile():
    """They do not wait for the store, and nothing is left behind."""
    store = Store()
    buffer = buffer_of(store)
    inside, others_left = threading.Event(), threading.Event()

    def wait(rows):
        inside.set()
        assert others_left.wait(60)

    store.at = wait
    buffer.add("app", [(b"aa", 1)])
    first = threading.Thread(target=buffer.save)
    first.start()
    assert inside.wait(60)
    for token in b"bb", b"cc":
        buffer.add("app", [(token, 1)])
        buffer.save()
    assert store.calls == 1
    others_left.set()
    first.join()
    assert store.tokens == ["aa", "bb", "cc"]


def test_a_finalizer_may_bring_some_in_the_middle_of_a_call():
    """The store is not called while it is at work; the rows are stored by whoever calls it."""
    store = Store()
    buffer = buffer_of(store)

    def finalize(rows):
        store.at = lambda rows: None
        buffer.add("other", [(b"bb", 1)])
        buffer.save()
        assert store.calls == 1

    store.at = finalize
    buffer.add("app", [(b"aa", 1)])
    buffer.save()
    assert store.tokens == ["aa", "bb"]


def test_a_session_stores_what_it_has_although_its_pool_cannot_be_closed(store):
    """A back-end of somebody else's may raise there."""
    class Broken(Backend):
        def close_all(self, connections):
            raise RuntimeError("no")

    buffer = buffer_of(store)
    buffer.add("source", [(b"aa", SINCE)])
    Closer(Broken(push=[None]), buffer).close()
    assert store.tokens == ["aa"]


def test_an_interrupt_loses_nothing():
    """What the store may not have taken is kept."""
    store = Store()
    buffer = buffer_of(store)

    def interrupt(rows):
        raise KeyboardInterrupt

    store.at = interrupt
    buffer.add("app", [(b"aa", 1)])
    with pytest.raises(KeyboardInterrupt):
        buffer.save()
    store.at = lambda rows: None
    buffer.save()
    assert store.tokens == ["aa"]
