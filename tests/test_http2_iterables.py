"""Messages that come one by one: how they are taken and sent, and when there are results."""

from __future__ import absolute_import, division, print_function

import gc
from collections import deque

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import Message
from apnsclient.protocols.http2 import frames
from apnsclient.sync.intake import Intake
from apnsclient.testing.simulator import ProviderScript
from frame_peers import ACCEPTED, TOKENS, TOPIC, message, outcome
from http2_support import accept as responses
from http2_support import headers
from simulated_time import accept_all, serve

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def peer():
    """A server in memory that accepts everything."""
    with serve(accept_all) as running:
        yield running


# Taking messages.


def test_no_more_messages_are_taken_than_is_said(peer, monkeypatch):
    """The limit holds for messages to one token, too, which are taken many at a time."""
    monkeypatch.setattr(Intake, "WINDOW", 10)
    taken = []

    class Messages(list):
        def __iter__(self):
            for number in range(100):
                taken.append(number)
                yield message(number)

    results = peer.client().send_many(Messages())
    next(results)
    assert len(taken) <= 10
    assert len(list(results)) == 99


def test_an_iterable_that_has_ended_is_not_asked_again(peer):
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

    results = peer.client().send_many(Reader())
    assert [outcome(result) for result in results] == [ACCEPTED] * 2


def test_a_payload_may_be_changed_for_the_next_message(apple):
    """Each message is sent as it was when it was given."""
    payload = {"aps": {"alert": ""}}

    def messages():
        for number in range(50):
            payload["aps"]["alert"] = str(number)
            yield Message(TOKENS[number], payload=payload, apns_topic=TOPIC)

    class Listed(list):
        def __iter__(self):
            return messages()

    client = apple.provider_client()
    for given in (messages(), Listed(), Listed([None] * 50)):
        apple.forget()
        assert [outcome(result) for result in client.send_many(given)] == [ACCEPTED] * 50
        assert [one.payload for one in apple.accepted] == [
            ('{"aps":{"alert":"%d"}}' % number).encode("ascii") for number in range(50)]


def test_messages_of_all_kinds_keep_their_order(apple):
    """One token, several or none; a payload of each kind, and a list or any other iterable."""
    given = [message(0, 1, alert="0"), Message(TOKENS[1], payload='{"aps":{"alert":"1"}}'),
             message(2, 3, alert="2"), message(0, 0), message(5, 2, alert="5"),
             Message(TOKENS[7], payload={"aps": {"alert": "7"}}), message(8, 1, alert="8")]
    client = apple.provider_client()
    for kind in (list, tuple, deque, iter):
        apple.forget()
        results = list(client.send_many(kind(given)))
        assert [result.message for result in results] == given
        assert [outcome(result) for result in results] == [ACCEPTED] * 7
        assert [(one.token, one.payload) for one in apple.accepted] == [
            (token, one.get_json_payload()) for one in given for token in one.tokens]


def test_a_list_may_grow_while_its_messages_are_sent(apple):
    """What a result says is to be sent again is put behind the rest."""
    given = [message(number) for number in range(150)]
    client = apple.provider_client()
    for number, result in enumerate(client.send_many(given)):
        assert outcome(result) == ACCEPTED
        if number in (10, 149):
            given.append(message(len(given)))
    assert apple.accepted_tokens() == TOKENS[:152]


class Broken(Exception):
    pass


@pytest.mark.parametrize("count", [0, 1, 40])
def test_an_iterable_that_raises_is_heard_after_the_results(apple, count):
    """Every message that it gave before has its result by then."""
    client = apple.provider_client()
    def messages():
        for number in range(count):
            yield message(number)
        raise Broken()

    results = []
    with pytest.raises(Broken):
        for result in client.send_many(messages()):
            results.append(outcome(result))
    assert results == [ACCEPTED] * count
    assert sorted(apple.accepted_tokens()) == TOKENS[:count]


@pytest.mark.parametrize("bad", [None, Message(TOKENS[:1], alert="x" * 70000), "text"])
def test_a_message_that_cannot_be_sent_is_heard_after_the_results(apple, bad):
    """Those before it have theirs, and those behind it are not sent."""
    client = apple.provider_client()
    results = []
    with pytest.raises((AttributeError, TypeError, ValueError)):
        for result in client.send_many([message(0), message(1), bad, message(2)]):
            results.append(outcome(result))
    assert results == [ACCEPTED] * 2
    assert apple.accepted_tokens() == TOKENS[:2]
    assert outcome(client.send(message(3))) == ACCEPTED
    assert apple.provider_connections == 1


# Sending them without waiting for more.


@pytest.mark.parametrize("script", [
    ProviderScript(delay=0.5), ProviderScript(
        delay=0.5, interim=True, pings=3, noise=True, split=1, trailers=True)],
    ids=["plain", "noise"])
def test_slow_messages_are_sent_one_by_one(apple, script):
    """A message that others wait for is not kept back until there are more, nor is its result."""
    client = apple.provider_client()
    apple.script_provider(script)
    results, counts = [], []

    def messages():
        for number in range(4):
            if number > 1:
                # More than the patience that is had with a quick iterable.
                apple.clock.advance(0.15)
            counts.append(len(results))
            yield message(number)

    for result in client.send_many(messages()):
        results.append(outcome(result))
    assert results == [ACCEPTED] * 4
    # The second one came at once, so that there was nothing to say that the third would not.
    assert counts[:2] + counts[3:] == [0, 1, 3]


def test_a_result_is_not_kept_back_until_there_is_another_message():
    """Whatever else the server says before its response: whoever waits for the result gets it."""
    def respond(peer):
        peer.greet()
        for number in range(3):
            streams = yield peer.requests(number + 1)
            peer.say(frames.ping(b"whatever"))
            pong = frames.PING, frames.ACK, 0, b"whatever"
            yield peer.frame(pong)
            peer.seen.remove(pong)
            peer.say(responses(streams[number]))
        yield peer.end()

    results = []

    def messages():
        for number in range(3):
            server.clock.advance(0.15)
            yield message(number)
            # It is asked for the next one once this one's result is there.
            assert len(results) == number + 1

    with serve(respond) as server:
        for result in server.client().send_many(messages()):
            results.append(outcome(result))
    assert results == [ACCEPTED] * 3


def test_a_refused_request_does_not_wait_for_the_end_of_the_messages():
    """It is sent again as soon as nothing else is in flight, however many messages follow."""
    taken, seen = [], []

    def refuse_third(peer):
        peer.greet()
        while True:
            found = yield peer.frames()
            for kind, flags, stream, _ in found:
                if kind == frames.DATA and flags & frames.END_STREAM:
                    seen.append(stream)
                    peer.say(frames.rst_stream(stream, frames.REFUSED_STREAM)
                             if len(seen) == 3 else headers(stream))

    def messages():
        for number in range(40):
            taken.append(number)
            # Each message takes its time, if not a long one.
            server.clock.advance(0.01)
            yield message(number)

    with serve(refuse_third) as server:
        results = server.client().send_many(messages())
        for _ in range(3):
            assert outcome(next(results)) == ACCEPTED
        assert len(taken) < 10
        assert len(list(results)) == 37
    assert len(seen) == 41


class Dawdling(object):
    """Messages that are all at hand, on a machine that takes its time over each."""

    def __init__(self, clock, messages):
        self.clock = clock
        self.messages = messages

    def __len__(self):
        return len(self.messages)

    def __iter__(self):
        for each in self.messages:
            self.clock.advance(5)
            yield each


def test_messages_at_hand_are_not_held_back_for_a_response():
    """A list is no slow iterable, however slow the machine is: its messages go out together."""
    def respond_at_the_end(peer):
        peer.greet()
        streams = yield peer.requests(100)
        for stream in streams:
            peer.say(headers(stream))
        yield peer.end()

    with serve(respond_at_the_end) as server:
        messages = Dawdling(server.clock, [message(number) for number in range(100)])
        results = list(server.client(read_timeout=1000).send_many(messages))
    assert [outcome(result) for result in results] == [ACCEPTED] * 100


# The connection meanwhile.


@pytest.mark.parametrize("count", [1, 3])
def test_the_connection_is_free_while_the_caller_has_a_result(peer, count):
    """Whoever sends again what a result of send_many() says does not wait for himself."""
    client = peer.client(pool_size=1, connect_timeout=4)
    for result in client.send_many([message(number) for number in range(count)]):
        assert outcome(result) == ACCEPTED
        assert outcome(client.send(message(50))) == ACCEPTED
    assert len(peer.accepted) == 1


def test_an_abandoned_generator_leaves_the_connection_usable(apple):
    """Responses that are still to come are taken by who uses it next."""
    client = apple.provider_client()
    results = client.send_many(message(number) for number in range(500))
    assert outcome(next(results)) == ACCEPTED
    results.close()
    assert outcome(client.send(message(600))) == ACCEPTED
    assert apple.provider_connections == 1
    tokens = apple.accepted_tokens()
    assert len(tokens) == len(set(tokens))


def test_a_generator_that_is_collected_gives_the_connection_back(apple):
    """The only connection there may be is free again."""
    client = apple.provider_client(pool_size=1)
    results = client.send_many(message(number) for number in range(50))
    next(results)
    del results
    gc.collect()
    assert outcome(client.send(message(600))) == ACCEPTED
    assert apple.provider_connections == 1
