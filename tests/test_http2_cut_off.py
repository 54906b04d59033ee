"""Requests and responses that are cut off in the middle: what is known of them is said."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient import Message
from apnsclient.protocols.http2 import frames
from frame_peers import ACCEPTED, TOPIC, outcome
from http2_support import OK, headers, status_block
from net_support import make_tokens
from simulated_time import accept, accept_all, serve

pytestmark = pytest.mark.timeout(240)

TOKENS = make_tokens(4)
#: Fewer bytes than the payload has.
NARROW = [(frames.INITIAL_WINDOW_SIZE, 10)]


def message(count=1):
    return Message(TOKENS[:count], alert="hello", apns_topic=TOPIC)


def parts(peer, count):
    """Wait until the first part of so many requests has come."""
    def find():
        sent = [flags for kind, flags, _, _ in peer.seen if kind == frames.DATA]
        assert not any(flags & frames.END_STREAM for flags in sent)
        return sent if len(sent) >= count else None
    return find


def first_then_all(play):
    """Return a function of peers: the first is played by a function, the others accept all."""
    peers = []

    def choose(peer):
        peers.append(peer)
        return play(peer) if len(peers) == 1 else accept_all(peer)

    return choose


@pytest.mark.parametrize("is_many", [False, True])
def test_what_was_not_sent_to_its_end_is_sent_again(is_many):
    """A server that has a part of a request can have done nothing with it."""
    def play(peer):
        peer.greet(NARROW)
        yield parts(peer, 3)

    with serve(first_then_all(play)) as server:
        client = server.client()
        if is_many:
            messages = [Message(token, alert="hello", apns_topic=TOPIC) for token in TOKENS[:3]]
            assert [outcome(result) for result in client.send_many(messages)] == [ACCEPTED] * 3
        else:
            assert outcome(client.send(message(3))) == ACCEPTED
    assert len(server.accepted) == 2


def test_of_what_was_sent_to_its_end_nothing_is_known():
    """Beside it, what was not is sent again."""
    def play(peer):
        peer.greet(NARROW)
        yield parts(peer, 3)
        peer.say(headers(1, OK), frames.window_update(3, 1000))
        streams = yield peer.requests(1)
        assert streams == [3]

    with serve(first_then_all(play)) as server:
        result = server.client().send(message(3))
        assert (result.unknown, result.retry().tokens) == ([TOKENS[1]], [TOKENS[1]])
    assert len(server.accepted) == 2


def test_a_part_of_a_request_that_is_reset_is_not_in_doubt():
    """It is the caller's to send again: the request itself may be to blame."""
    def play(peer):
        peer.greet(NARROW)
        yield parts(peer, 1)
        peer.say(frames.rst_stream(1, frames.INTERNAL_ERROR))
        yield accept(peer)

    with serve(play) as server:
        result = server.client().send(message())
        assert (result.unknown, result.retry().tokens) == ([], TOKENS[:1])
        assert result.errors == [(None, "Not sent: the request was reset (INTERNAL_ERROR)")]


def test_a_part_of_a_request_whose_time_is_over_is_not_in_doubt():
    """And a status that came without the rest of its response holds then."""
    def play(peer):
        peer.greet(NARROW)
        yield parts(peer, 4)
        peer.say(frames.window_update(1, 1000), frames.window_update(7, 1000))
        yield peer.requests(2)
        peer.say(headers(3, status_block(410), False), headers(1, OK))
        yield peer.end()

    with serve(play) as server:
        client = server.client(read_timeout=60)
        begin = server.clock.now
        result = client.send(message(4))
        assert server.clock.now - begin == 60
        assert result.failed == {TOKENS[1]: (410, "HTTP status 410")}
        assert (result.unknown, result.retry().tokens) == ([TOKENS[3]], TOKENS[2:])
        assert sorted(text.split(":")[0] for _, text in result.errors) == ["Not sent", "Unknown"]
        assert (result.gone, list(client.feedback())) == ({}, [])


def test_what_was_said_before_a_write_failed_counts():
    """The server may have responded, and said more than fits into one read, before it hung up.

    How much of the rest has left is anybody's guess.
    """
    def play(peer):
        peer.greet([(frames.INITIAL_WINDOW_SIZE, 1 << 20)])
        peer.say(frames.window_update(0, 1 << 20))
        yield peer.requests(1)
        peer.say(*[frames.ping(b"whatever")] * 10000)
        peer.say(headers(1))
        peer.reset()

    with serve(play) as server:
        messages = [Message(token, alert="x" * 60000, apns_topic=TOPIC) for token in TOKENS[:2]]
        first, second = server.client(write_buffer_size=1 << 20).send_many(messages)
        assert outcome(first) == ACCEPTED
        assert (second.unknown, second.retry().tokens) == (TOKENS[1:2], TOKENS[1:2])
        assert len(server.accepted) == 1


def test_a_server_that_breaks_the_rules_and_hangs_up_is_told_by_the_rule():
    """That it does not take our complaint is no news."""
    def play(peer):
        peer.greet()
        yield peer.requests(1)
        peer.say(headers(2))
        peer.reset()

    with serve(play) as server:
        result = server.client().send(message())
        assert result.unknown == TOKENS[:1]
        assert "stream 2" in result.errors[0][1]


@pytest.mark.parametrize("status, body, expected", [
    (200, b"", ({}, [], [], [])),
    (410, b"", ({TOKENS[0]: (410, "HTTP status 410")}, [], [], [])),
    (410, b'{"reason":"Unreg', ({TOKENS[0]: (410, "HTTP status 410")}, [], [], [])),
    (410, b'{"reason":"Unregistered"}', (
        {TOKENS[0]: (8, "Invalid token: Unregistered")}, [], [], [])),
    (410, b'{"reason":"Unregistered","timestamp":1700000000000}', (
        {TOKENS[0]: (8, "Invalid token: Unregistered")}, [], [], [])),
    (400, b"", ({}, [(400, "HTTP status 400, and the reason was cut off")], TOKENS[:1], [])),
    (400, b'{"reason":"BadTo', (
        {}, [(400, "HTTP status 400, and the reason was cut off")], TOKENS[:1], [])),
    (400, b'{"reason":"BadPriority"}', ({}, [(400, "BadPriority")], [], TOKENS[:1])),
    (403, b"", ({}, [(403, "HTTP status 403")], [], TOKENS[:1])),
    (503, b"", ({}, [(503, "HTTP status 503")], TOKENS[:1], [])),
])
def test_a_status_is_a_response_without_the_end_of_its_response(status, body, expected):
    """The status decides; so does the reason, as far as it has come.

    400 alone says no more than that nothing was accepted, so that sending again does no harm: the
    token may be dead, and only the next response tells. 410 without the time is no reason to delete
    the token.
    """
    def play(peer):
        peer.greet()
        yield peer.requests(1)
        peer.say(headers(1, status_block(status), False))
        if body:
            peer.say(frames.data_frames(1, body, False))

    with serve(play) as server:
        client = server.client()
        result = client.send(message())
        assert outcome(result) == expected
        assert result.unknown == []
        gone = TOKENS[:1] if b"timestamp" in body else []
        assert list(result.gone) == gone
        assert [token.decode("ascii") for token, _ in client.feedback()] == gone
