"""Messages that come one by one: how they are taken and sent, and when there are results."""

from __future__ import absolute_import, division, print_function

import gc
import threading
import time

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import Message
from apnsclient.drivers.http2_dispatch import Http2Dispatch
from apnsclient.protocols.http2 import frames
from apnsclient.testing.simulator import ProviderScript
from frame_peers import (
    ACCEPTED,
    TOKENS,
    accept_all,
    client_for,
    client_of,
    message,
    outcome,
    serve,
)
from http2_support import accept as replies
from http2_support import headers
from net_support import SOON
from stdio_support import SHORT

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def peer():
    """A server that accepts everything."""
    with serve(accept_all) as running:
        yield running


# Taking messages.


def test_no_more_messages_are_taken_than_is_said(peer, http2_sessions, monkeypatch):
    """The limit holds for messages to one token, too, which are taken many at a time."""
    monkeypatch.setattr(Http2Dispatch, "WINDOW", 10)
    taken = []

    class Messages(list):
        def __iter__(self):
            for number in range(100):
                taken.append(number)
                yield message(number)

    results = client_of(http2_sessions(), peer).send_many(Messages())
    next(results)
    assert len(taken) <= 10
    assert len(list(results)) == 99


def test_an_iterable_that_has_ended_is_not_asked_again(peer, http2_sessions):
    """One that reads from a queue would wait for ever."""
    class Reader(object):
        def __init__(self):
            self.queue = [message(0), message(1, 2), None]

        def __iter__(self):
            return self

        def __next__(self):
            assert self.queue, "it was asked after its end"
            item = self.queue.pop(0)
            if item is None:
                raise StopIteration
            return item

        next = __next__

    results = client_of(http2_sessions(), peer).send_many(Reader())
    assert [outcome(result) for result in results] == [ACCEPTED] * 2


class Broken(Exception):
    pass


@pytest.mark.parametrize("count", [0, 1, 40])
def test_an_iterable_that_raises_is_heard_after_the_results(simulator, client, count):
    """Every message that it gave before has its result by then."""
    def messages():
        for number in range(count):
            yield message(number)
        raise Broken()

    results = []
    with pytest.raises(Broken):
        for result in client.send_many(messages()):
            results.append(outcome(result))
    assert results == [ACCEPTED] * count
    assert sorted(simulator.accepted_tokens()) == TOKENS[:count]


@pytest.mark.parametrize("bad", [None, Message(TOKENS[:1], alert="x" * 70000), "text"])
def test_a_message_that_cannot_be_sent_is_heard_after_the_results(simulator, client, bad):
    """Those before it have theirs, and those behind it are not sent."""
    results = []
    with pytest.raises((AttributeError, TypeError, ValueError)):
        for result in client.send_many([message(0), message(1), bad, message(2)]):
            results.append(outcome(result))
    assert results == [ACCEPTED] * 2
    assert simulator.accepted_tokens() == TOKENS[:2]
    assert outcome(client.send(message(3))) == ACCEPTED
    assert simulator.provider_connections == 1


# Sending them without waiting for more.


@pytest.mark.parametrize("script", [
    ProviderScript(), ProviderScript(interim=True, pings=3, noise=True, split=1, trailers=True)],
    ids=["plain", "noise"])
def test_slow_messages_are_sent_and_answered_one_by_one(simulator, client, script):
    """A message that others wait for is not kept back until there are more, nor is its result."""
    simulator.script_provider(script)
    results, answered = [], []

    def messages():
        for number in range(4):
            if number > 1:
                # More than the patience that is had with a quick iterable.
                threading.Event().wait(0.15)
            answered.append(len(results))
            yield message(number)

    for result in client.send_many(messages()):
        results.append(outcome(result))
    assert results == [ACCEPTED] * 4
    # The second one came at once, so that there was nothing to say that the third would not.
    assert answered[:2] + answered[3:] == [0, 1, 3]


def test_a_result_is_not_kept_back_until_there_is_another_message(http2_sessions):
    """Whatever else the server says before its answer: whoever waits for the result gets it."""
    def answer(peer):
        peer.greet()
        for number in range(3):
            stream = peer.requests(number + 1)[number]
            peer.say(frames.ping(b"whatever"))
            pong = frames.PING, frames.ACK, 0, b"whatever"
            peer.await_frame(pong)
            peer.seen.remove(pong)
            peer.say(replies(stream))
        peer.read_to_end()

    results, has_result = [], threading.Event()

    def messages():
        for number in range(3):
            threading.Event().wait(0.15)
            yield message(number)
            assert has_result.wait(SOON)
            has_result.clear()

    def send():
        for result in client_of(session, server).send_many(messages()):
            results.append(outcome(result))
            has_result.set()

    with serve(answer) as server:
        session = http2_sessions()
        sender = threading.Thread(target=send)
        sender.start()
        # The generator waits in the same thread: it would wait for ever.
        sender.join(SOON * 2)
        assert results == [ACCEPTED] * 3
        session.shutdown()


def test_a_refused_request_does_not_wait_for_the_end_of_the_messages(http2_sessions, monkeypatch):
    """It is sent again as soon as nothing else is in flight, however many messages follow."""
    # Each message takes its time, if not a long one.
    monkeypatch.setattr(Http2Dispatch, "PATIENCE", -1.0)
    taken, seen = [], []

    def refuse_third(peer):
        peer.greet()
        while True:
            found = peer.read()
            if found is None:
                return
            for kind, flags, stream, _ in found:
                if kind == frames.DATA and flags & frames.END_STREAM:
                    seen.append(stream)
                    peer.say(frames.rst_stream(stream, frames.REFUSED_STREAM)
                             if len(seen) == 3 else headers(stream))

    def messages():
        for number in range(40):
            taken.append(number)
            yield message(number)

    with serve(refuse_third) as peer:
        session = http2_sessions()
        results = client_of(session, peer).send_many(messages())
        for _ in range(3):
            assert outcome(next(results)) == ACCEPTED
        assert len(taken) < 10
        assert len(list(results)) == 37
        session.shutdown()
    assert len(seen) == 41


class Dawdling(object):
    """Messages that are all at hand, on a machine that takes its time over each."""

    def __init__(self, messages):
        self.messages = messages

    def __len__(self):
        return len(self.messages)

    def __iter__(self):
        for each in self.messages:
            time.sleep(0.003)
            yield each


def test_messages_at_hand_are_not_held_back_for_an_answer(http2_sessions):
    """A list is no slow iterable, however slow the machine is: its messages go out together."""
    def answer_at_the_end(peer):
        peer.greet()
        streams = peer.requests(100)
        for stream in streams:
            peer.say(headers(stream))
        peer.read_to_end()

    with serve(answer_at_the_end) as server:
        client = client_of(http2_sessions(), server)
        results = list(client.send_many(Dawdling([message(number) for number in range(100)])))
    assert [outcome(result) for result in results] == [ACCEPTED] * 100


# The connection meanwhile.


@pytest.mark.parametrize("count", [1, 3])
def test_the_connection_is_free_while_the_caller_has_a_result(peer, http2_sessions, count):
    """Whoever sends again what a result of send_many() says does not wait for himself."""
    session = http2_sessions(pool_size=1, connect_timeout=SHORT)
    client = client_of(session, peer)
    for result in client.send_many([message(number) for number in range(count)]):
        assert outcome(result) == ACCEPTED
        assert outcome(client.send(message(50))) == ACCEPTED
    assert len(peer.accepted) == 1


def test_an_abandoned_generator_leaves_the_connection_usable(simulator, client):
    """Answers that are still to come are taken by who uses it next."""
    results = client.send_many(message(number) for number in range(500))
    assert outcome(next(results)) == ACCEPTED
    results.close()
    assert outcome(client.send(message(600))) == ACCEPTED
    assert simulator.provider_connections == 1
    tokens = simulator.accepted_tokens()
    assert len(tokens) == len(set(tokens))


def test_a_generator_that_is_collected_gives_the_connection_back(simulator, http2_sessions):
    """The only connection there may be is free again."""
    session = http2_sessions(ca_string=simulator.ca_string, pool_size=1)
    client = client_for(session, simulator)
    results = client.send_many(message(number) for number in range(50))
    next(results)
    del results
    gc.collect()
    assert outcome(client.send(message(600))) == ACCEPTED
    session.shutdown()
