"""Certificates and provider tokens that are refused or have expired: what that stops, what not."""

from __future__ import absolute_import, division, print_function

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs, ProviderToken
from apnsclient.protocols.http2 import frames
from apnsclient.sending.http2 import Sender
from apnsclient.testing.simulator import ProviderScript
from frame_peers import (
    ACCEPTED,
    TOKENS,
    TOPIC,
    accept,
    client_for,
    client_of,
    message,
    outcome,
    serve,
)
from http2_support import headers, response, status_block
from leases import lease, release
from simulated_apple import Apple
from stdio_support import Gate

pytestmark = pytest.mark.timeout(240)


# Refused.


@pytest.mark.parametrize("is_token", [False, True], ids=["certificate", "token"])
def test_a_refused_credential_stops_everything(simulator, session, is_token):
    """One response is enough: what was not sent is undelivered, and no connection is opened."""
    simulator.script_provider(*[ProviderScript(
        response_at={n: "InvalidProviderToken" for n in range(1, 3000)})] * 9)
    messages = [message(count=3000), message()]
    first, second = client_for(session, simulator, is_token).send_many(messages)
    assert outcome(first) == ({}, [(403, "InvalidProviderToken")], [], TOKENS)
    assert outcome(second) == ({}, [(403, "InvalidProviderToken")], [], TOKENS[:1])
    # What had been written by then had responses, too: all that the server allows at most.
    assert simulator.error_count <= (1 if is_token else 1000)
    assert (simulator.accepted_count, simulator.provider_connections) == (0, 1)


def test_a_refused_credential_stops_what_was_to_be_sent_again(simulator, client):
    """Also requests that were refused before do not go out over another connection."""
    script = ProviderScript(reset_at={1: frames.REFUSED_STREAM}, response_at={2: "BadCertificate"})
    simulator.script_provider(script, None)
    assert outcome(client.send(message(count=3))) == (
        {}, [(403, "BadCertificate")], [], TOKENS[:2])
    assert simulator.provider_connections == 1


def test_the_reason_may_come_with_the_second_goaway(http2_sessions):
    """The first one warns, the second one says why: that counts, and is not met again."""
    def refuse(peer):
        peer.greet()
        peer.requests(1)
        peer.say(frames.goaway(frames.LARGEST_STREAM, frames.NO_ERROR), frames.ping(b"received"))
        peer.await_frame((frames.PING, frames.ACK, 0, b"received"))
        peer.say(frames.goaway(0, frames.NO_ERROR, b'{"reason":"BadCertificate"}'))
        peer.read_to_end()

    with serve(refuse) as server:
        result = client_of(http2_sessions(), server).send(message())
        assert len(server.accepted) == 1
    assert outcome(result) == ({}, [(403, "BadCertificate")], [], TOKENS[:1])


# Expired.


def test_an_expired_provider_token_is_made_anew_once(simulator, session):
    """On a fresh connection, and everything is sent; nobody hears of it."""
    simulator.script_provider(ProviderScript(response_at={1: "ExpiredProviderToken"}))
    result = client_for(session, simulator, True).send(message(count=300))
    assert outcome(result) == ACCEPTED
    assert simulator.accepted_tokens() == TOKENS[:300]
    assert simulator.provider_connections == 2


def test_a_provider_token_that_is_expired_again_is_an_error(simulator, session):
    """The clock must be wrong by more than a new token can make up for."""
    simulator.script_provider(*[ProviderScript(response_at={1: "ExpiredProviderToken"})] * 3)
    result = client_for(session, simulator, True).send(message(count=300))
    assert outcome(result) == ({}, [(403, "ExpiredProviderToken")], [], TOKENS[:300])
    assert simulator.provider_connections == 2


@pytest.mark.parametrize("times, expected", [
    (1, ACCEPTED), (2, ({}, [(403, "UnrelatedKeyIdInToken")], [], TOKENS[:300]))])
def test_a_key_that_is_not_related_gets_a_connection_of_its_own(
        simulator, session, times, expected):
    """With the same token, and once: Apple wants no new one within 20 minutes."""
    simulator.script_provider(
        *[ProviderScript(response_at={1: "UnrelatedKeyIdInToken"})] * times)
    credential = ProviderToken(**simulator.token_parameters)
    client = APNs(session.get_connection(simulator.provider_address, certificate=credential))
    token = credential.bearer()
    assert outcome(client.send(message(count=300))) == expected
    assert (simulator.provider_connections, credential.bearer()) == (2, token)


# What a server in front has not processed.


@pytest.mark.parametrize("status", [408, 421, 425])
def test_what_was_not_processed_goes_out_over_another_connection(apple, status):
    """Once; and nothing more is started on the connection that was the wrong one."""
    client = apple.provider_client()
    apple.script_provider(ProviderScript(response_at={n: (status, None) for n in range(5, 3000)}))
    assert outcome(client.send(message(count=3000))) == ACCEPTED
    assert sorted(apple.accepted_tokens()) == TOKENS[:3000]
    assert (apple.provider_connections, apple.error_count <= 4000) == (2, True)


def test_a_request_that_is_not_processed_anywhere_is_the_callers_to_send(apple):
    """Others that are behind it are not held up."""
    client = apple.provider_client()
    apple.script_provider(ProviderScript(response_at={3: (421, None)}),
                          ProviderScript(response_at={1: (421, None)}))
    messages = [message(number) for number in range(10)]
    told = [outcome(result) for result in client.send_many(messages)]
    assert told == [ACCEPTED] * 2 + [({}, [(421, "HTTP status 421")], TOKENS[2:3], [])] + [
        ACCEPTED] * 7
    assert apple.provider_connections == 2


def test_a_server_that_processes_nothing_ends_the_sending(apple):
    """After a few connections; what was not sent says why, and is in retry."""
    client = apple.provider_client()
    refusing = ProviderScript(response_at={n: (421, None) for n in range(1, 2000)})
    apple.script_provider(*[refusing] * 50)
    messages = [message(count=3000), message(0), message(1)]
    told = [outcome(result) for result in client.send_many(messages)]
    assert told == [({}, [(421, "HTTP status 421")], one.tokens, []) for one in messages]
    assert (apple.accepted_count, apple.provider_connections) == (0, 3)


def test_a_provider_token_may_be_made_anew_again_some_day(simulator, session, monkeypatch):
    """Messages may come for days from one iterable, with a clock that is wrong all the time."""
    # Less than nothing: on Python 2.7 the clock may stand still for 10 ms.
    monkeypatch.setattr(Sender, "RENEWAL", -1)
    simulator.script_provider(*[ProviderScript(response_at={2: "ExpiredProviderToken"})] * 3)
    client = client_for(session, simulator, True)
    results = client.send_many(message(number) for number in range(10))
    assert [outcome(result) for result in results] == [ACCEPTED] * 10
    assert sorted(simulator.accepted_tokens()) == TOKENS[:10]


class Wall(object):
    """The time of day, as a machine has it whose clock is wrong by so many seconds."""

    def __init__(self, offset):
        self.offset = offset

    def __call__(self):
        return 1500000000 + self.offset


@pytest.fixture
def wall():
    """The right time, which stands still."""
    return Wall(0)


EXPIRED = b'{"reason":"ExpiredProviderToken"}'


@pytest.mark.parametrize("times, expected", [
    (1, ACCEPTED), (2, ({}, [(403, "ExpiredProviderToken")], [], TOKENS[:1]))])
def test_a_goaway_may_ask_for_a_new_provider_token(http2_sessions, simulator, times, expected):
    """It is made anew once, as if that were the response to a request."""
    def expire(peer):
        peer.greet()
        if len(server.accepted) > times:
            accept(peer)
            return
        peer.requests(1)
        peer.say(frames.goaway(0, frames.NO_ERROR, EXPIRED))
        peer.read_to_end()

    with serve(expire, asks_client=False) as server:
        client = APNs(http2_sessions().get_connection(
            server.address, certificate=ProviderToken(**simulator.token_parameters)))
        assert outcome(client.send(message())) == expected
        assert len(server.accepted) == 2


def test_a_renewed_token_is_used_over_a_fresh_connection(http2_sessions, simulator):
    """Other connections of the pool keep the token that Apple has called expired."""
    asked = []

    def expire(peer):
        peer.greet()
        number = len(asked)
        asked.append(peer)
        while True:
            streams = peer.requests(1)
            status = 403 if number < 2 else 200
            peer.say(headers(streams[0], status_block(status), False), frames.data_frames(
                streams[0], b'{"reason":"ExpiredProviderToken"}' if number < 2 else b"{}", True))
            if peer.read() is None:
                return

    with serve(expire, asks_client=False) as peer:
        session = http2_sessions()
        connection = session.get_connection(
            peer.address, certificate=ProviderToken(**simulator.token_parameters))
        for each in lease(connection, True), lease(connection, True):
            each.state.refresh_token()
            release(connection, each)
        response = connection.request(b"GET", b"/1/apps/com.example.app/all-channels")
        session.shutdown()
    assert response.status == 200


def test_a_token_of_a_wrong_clock_is_left_behind(wall):
    """No connection that has it is used again, and the next call heals with the clock.

    Apple wants a token to be used for 20 minutes over a connection; so long all would be refused.
    """
    with Apple(clock=wall) as apple:
        skewed = Wall(3600)
        connection = apple.session(protocol="http2").get_connection(
            apple.provider_address,
            certificate=ProviderToken(clock=skewed, **apple.token_parameters))
        client = APNs(connection)
        for each in [lease(connection, True) for _ in range(3)]:
            each.state.refresh_token()
            release(connection, each)
        refused = ({}, [(403, "InvalidProviderToken")], [], TOKENS[:2])
        assert outcome(client.send(message(count=2))) == refused
        assert "2 idle" in repr(connection)
        skewed.offset = 0
        assert outcome(client.send(message(count=2))) == ACCEPTED
        assert outcome(client.send(message(count=2))) == ACCEPTED
        assert apple.provider_connections == 4
        assert "1 idle" in repr(connection)


def test_a_token_that_was_refused_may_be_accepted_later(wall):
    """A key that is allowed again: the token is the same, and its new connection is pooled."""
    with Apple(clock=wall) as apple:
        client = APNs(apple.session(protocol="http2").get_connection(
            apple.provider_address,
            certificate=ProviderToken(clock=wall, **apple.token_parameters)))
        apple.script_provider(ProviderScript(response_at={1: "Forbidden"}))
        assert outcome(client.send(message())) == ({}, [(403, "Forbidden")], [], TOKENS[:1])
        for _ in range(3):
            assert outcome(client.send(message())) == ACCEPTED
        assert apple.provider_connections == 2


def test_a_question_that_was_refused_leaves_no_connection_in_the_pool(wall):
    """Whatever is asked next takes another one."""
    with Apple(clock=wall) as apple:
        skewed = Wall(3600)
        connection = apple.session(protocol="http2").get_connection(
            apple.provider_address,
            certificate=ProviderToken(clock=skewed, **apple.token_parameters))
        fields = [(b"apns-topic", TOPIC.encode("ascii"))]
        path = b"/3/device/" + TOKENS[0].encode("ascii")
        assert connection.request(b"POST", path, fields, b"{}").status == 403
        skewed.offset = 0
        assert connection.request(b"POST", path, fields, b"{}").status == 200


def test_responses_to_others_stop_nobody(http2_sessions, simulator):
    """Requests of a generator that was abandoned have responses when somebody else comes."""
    gate, responded = Gate(), Gate()

    def expire(peer):
        peer.greet()
        if len(server.accepted) > 1:
            accept(peer)
            return
        peer.say(headers(peer.requests(1)[0]))
        # The first two of these are of one message, and what comes behind them is of the other.
        one, two, three, four = peer.requests(5)[1:]
        peer.say(headers(one), headers(two))
        gate.wait()
        peer.say(response(three, 403, EXPIRED), response(four, 403, EXPIRED))
        responded.open()
        peer.say(response(peer.requests(6)[5], 403, EXPIRED))
        peer.read_to_end()

    with serve(expire, asks_client=False) as server:
        client = APNs(http2_sessions().get_connection(
            server.address, certificate=ProviderToken(**simulator.token_parameters)))
        # With a provider token, there is one request at a time until one has its response.
        assert outcome(client.send(message())) == ACCEPTED
        results = client.send_many([message(0, 2), message(2, 2)])
        assert outcome(next(results)) == ACCEPTED
        results.close()
        gate.open()
        responded.wait()
        assert outcome(client.send(message())) == ACCEPTED
