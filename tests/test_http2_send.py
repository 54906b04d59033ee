"""Sending over HTTP/2: servers that are none, deadlines, order, and limits."""

from __future__ import absolute_import, division, print_function

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs, Message, ProviderToken
from apnsclient._compat import PY2, monotonic
from apnsclient.errors import ConnectError, ConnectionLost, ConnectTimeout
from apnsclient.protocols.http2 import frames
from apnsclient.testing.simulator import ProviderScript
from frame_peers import ACCEPTED, TOKENS, TOPIC, client_of, message, new_session, outcome
from frame_peers import accept_all as really_accept_all
from frame_peers import serve as serve_really
from http2_support import OK, headers, status_block
from http2_support import accept as responses
from leases import lease, release
from net_support import SOON
from simulated_apple import Apple
from simulated_time import accept, accept_all, serve
from stdio_support import SHORT

pytestmark = pytest.mark.timeout(240)


def fails(error, play, protocol=b"h2", **options):
    """Send to a server that must not be sent to; return the message of the error, and the time."""
    with serve(play, protocol=protocol) as server:
        begin = server.clock.now
        with pytest.raises(error) as caught:
            server.client(**options).send(message())
        assert "%s:%d" % server.address in str(caught.value)
        return str(caught.value), server.clock.now - begin


# Servers that do not speak HTTP/2.


def say_nothing(peer):
    """Wait for the end."""
    yield peer.end()


def test_a_server_without_alpn_is_reported():
    """It speaks TLS, but does not agree to the protocol."""
    assert "does not speak HTTP/2" in fails(ConnectError, say_nothing, protocol=b"")[0]


def test_a_server_that_speaks_http_1_is_reported():
    """It agreed to the protocol and says something else."""
    def speak(peer):
        peer.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        yield peer.end()

    assert "is it HTTP/2 at all?" in fails(ConnectError, speak)[0]


def test_a_server_that_turns_us_away_says_why():
    """Instead of its settings, or behind them; Apple has the reason in JSON."""
    def turn_away(peer):
        peer.say(frames.goaway(0, frames.NO_ERROR, b'{"reason":"BadCertificate"}'))
        yield peer.end()

    text, seconds = fails(ConnectError, turn_away)
    assert "does not let us speak HTTP/2: the server is ending the connection (BadCert" in text
    assert seconds == 0


def test_a_server_that_hangs_up_after_the_handshake_is_reported():
    """There were no settings and will be none."""
    text, seconds = fails(ConnectError, lambda peer: None)
    assert "does not let us speak HTTP/2" in text
    assert seconds == 0


def test_settings_have_to_come_within_the_connect_timeout():
    """A server that says nothing after the handshake is waited for no longer."""
    text, seconds = fails(ConnectTimeout, say_nothing, connect_timeout=64)
    assert "sent no HTTP/2 settings within 64 s" in text
    assert seconds == 64


def test_settings_have_to_come_whole():
    """A byte now and then is no sign of life."""
    def dribble(peer):
        peer.say(frames.FRAME_HEAD.pack(6000 << 8 | frames.SETTINGS, 0, 0))
        while True:
            yield peer.pause(5)
            peer.say(b"\0")

    assert fails(ConnectTimeout, dribble, connect_timeout=64)[1] == 64


# Headers that are too long.


@pytest.mark.parametrize("setting, limit, size", [
    (8000, 8000, 70000), (8000, 8000, 7900), (1 << 20, 16384, 16384)])
def test_a_header_that_is_too_long_costs_its_message_alone(setting, limit, size):
    """A server ends the connection for it, with all that is on it; so it is not sent."""
    script = ProviderScript(settings={"max_header_list_size": setting})
    with Apple(provider_script=script) as apple:
        client = apple.provider_client()
        long = Message(TOKENS[:3], alert="hello", apns_topic=TOPIC, apns_collapse_id="x" * size)
        lone = Message(TOKENS[3], alert="hello", apns_topic=TOPIC, apns_collapse_id="x" * size)
        messages = [Message(TOKENS[0], alert="hello", apns_topic=TOPIC), long, lone, lone,
                    Message(TOKENS[1:3], alert="hello", apns_topic=TOPIC)]
        results = list(client.send_many(messages))
        for result in results[1:4]:
            failed, [(code, text)], retry, undelivered = outcome(result)
            assert (failed, code, retry, undelivered) == ({}, 431, [], result.message.tokens)
            assert "the server takes %d; the longest field is apns-collapse-id with %d" % (
                limit, size) in text
        assert [outcome(results[number]) for number in (0, 4)] == [ACCEPTED] * 2
        assert apple.accepted_tokens() == TOKENS[:3]
        assert apple.provider_connections == 1


def test_a_token_is_to_blame_where_others_would_be_taken():
    """And where none would be it is not: nobody is to forget it."""
    with Apple(provider_script=ProviderScript(settings={"max_header_list_size": 1000})) as apple:
        client = apple.provider_client()
        long = "ab" * 1000
        result = client.send(Message([long, TOKENS[0]], alert="hello", apns_topic=TOPIC))
        assert [code for code, _ in result.failed.values()] == [8]
        assert apple.accepted_tokens() == TOKENS[:1]
        result = client.send(Message([long, TOKENS[0]], alert="hello", apns_topic=TOPIC,
                                     apns_collapse_id="x" * 900))
        assert (result.failed, result.undelivered) == ({}, [long, TOKENS[0]])


def test_a_question_that_is_too_long_is_not_sent(apple):
    """The connection is as good as before."""
    connection = apple.session(protocol="http2").get_connection(
        apple.provider_address, cert_string=apple.cert_string)
    path = b"/3/device/" + TOKENS[0].encode("ascii")
    fields = [(b"apns-topic", TOPIC.encode("ascii"))]
    with pytest.raises(ValueError, match="the longest field is apns-id with 20000"):
        connection.request(b"POST", path, fields + [(b"apns-id", b"0" * 20000)], b"{}")
    assert connection.request(b"POST", path, fields, b"{}").status == 200
    assert apple.provider_connections == 1


# Requests that stand alone.


def ask(server, **options):
    """Ask for the channels of an application; return the response."""
    connection = server.session(protocol="http2", **options).get_connection(
        server.address, cert_string="any")
    return connection.request(b"GET", b"/1/apps/com.example.app/all-channels")


def test_a_question_waits_for_its_turn():
    """A server that allows no stream yet is not asked before it does."""
    def play(peer):
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 0)])
        yield peer.pause(20)
        assert peer.requests(0)() == []
        peer.say(frames.settings_frame([(frames.MAX_CONCURRENT_STREAMS, 1)]))
        yield accept(peer)

    with serve(play) as server:
        begin = server.clock.now
        assert ask(server, read_timeout=32).status == 200
        assert server.clock.now - begin == 20


@pytest.mark.parametrize("last_words, seconds, text", [
    (frames.goaway(0, frames.NO_ERROR), 0, "is ending the connection"),
    # Three connections in a row.
    (b"", 96, "allowed no request for 32 s")])
def test_a_question_that_cannot_be_asked_is_lost(last_words, seconds, text):
    """The error says why, and it does not wait for ever."""
    def play(peer):
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 0)])
        peer.say(last_words)
        yield peer.end()

    with serve(play) as server:
        begin = server.clock.now
        with pytest.raises(ConnectionLost, match=text):
            ask(server, read_timeout=32)
        assert server.clock.now - begin == seconds


def test_a_question_whose_provider_token_is_refused_spoils_no_connection(apple):
    """The next one is asked over another."""
    apple.script_provider(ProviderScript(response_at={1: "InvalidProviderToken"}))
    connection = apple.session(protocol="http2").get_connection(
        apple.provider_address, ProviderToken(**apple.token_parameters))
    path = b"/3/device/" + TOKENS[0].encode("ascii")
    fields = [(b"apns-topic", TOPIC.encode("ascii"))]
    statuses = [connection.request(b"POST", path, fields, b"{}").status for _ in range(2)]
    assert (statuses, apple.provider_connections) == ([403, 200], 2)


# Deadlines, with a server that sends PINGs for ever.


def keep_pinging(peer):
    """Send PINGs for ever, and read nothing."""
    peer.stop_reading()
    while True:
        peer.say(frames.ping(b"whatever"))
        yield peer.pause(3)


@pytest.mark.parametrize("first", [None, 200, 500])
def test_a_server_that_only_sends_pings_does_not_hold_a_send_up(first):
    """The response has its time from when the request was written, whatever else comes."""
    tokens = TOKENS[:3]

    def ping(peer):
        peer.greet()
        streams = yield peer.requests(len(tokens))
        if first is not None:
            yield peer.pause(10)
            peer.say(headers(streams[0], status_block(first)))
        yield keep_pinging(peer)

    with serve(ping) as server:
        begin = server.clock.now
        failed, errors, retry, _ = outcome(
            server.client(read_timeout=32).send(Message(tokens, alert="hello")))
        # A connection that has responded to something is kept, and not closed.
        assert server.clock.now - begin == 32
        assert failed == {}
        assert retry == (tokens[1:] if first == 200 else tokens)
        assert any(text.startswith("Unknown: ") and "32 s" in text for _, text in errors)


def test_without_a_read_timeout_a_response_is_waited_for():
    """However long it takes."""
    def respond(peer):
        peer.greet()
        streams = yield peer.requests(1)
        yield peer.pause(10 * 3600)
        peer.say(headers(streams[0]))
        yield peer.end()

    with serve(respond) as server:
        begin = server.clock.now
        assert outcome(server.client(read_timeout=None).send(message())) == ACCEPTED
        assert server.clock.now - begin == 10 * 3600


def test_a_response_is_waited_for_on_the_real_clock():
    """Over a real connection, whose time passes by itself."""
    def ping(peer):
        peer.greet()
        peer.requests(1)
        peer.say(frames.ping(b"whatever"))
        peer.read_to_end()

    with serve_really(ping) as server:
        session = new_session(read_timeout=SHORT)
        begin = monotonic()
        _, errors, retry, _ = outcome(client_of(session, server).send(message()))
        # The clock of Python 2.7 moves in steps of 10 ms.
        assert SHORT - 0.02 <= monotonic() - begin < SOON
        assert retry == TOKENS[:1]
        assert errors[0][1].startswith("Unknown: ") and "%s s" % SHORT in errors[0][1]
        session.shutdown()


@pytest.mark.parametrize("settings", [
    [(frames.MAX_CONCURRENT_STREAMS, 0)], [(frames.INITIAL_WINDOW_SIZE, 0)]],
    ids=["streams", "window"])
def test_a_server_that_allows_nothing_does_not_hold_a_send_up(settings):
    """There may be no stream, or no window for the payload: both have an end."""
    def ping(peer):
        peer.greet(settings)
        yield keep_pinging(peer)

    with serve(ping) as server:
        begin = server.clock.now
        failed, errors, retry, _ = outcome(server.client(read_timeout=32).send(message()))
        # So many connections are tried in vain.
        assert server.clock.now - begin == 3 * 32
        assert len(server.accepted) == 3
        assert (failed, retry, len(errors)) == ({}, TOKENS[:1], 1)


@pytest.mark.parametrize("count", [10, 20])
def test_a_server_that_does_not_read_does_not_hold_a_send_up(count):
    """Writing has its time, be it as much as a write takes or less; nothing is known of it."""
    def stop_reading(peer):
        peer.greet([(frames.INITIAL_WINDOW_SIZE, 0x7FFFFFFF), (frames.MAX_FRAME_SIZE, 16384)])
        peer.say(frames.window_update(0, 0x7FFF0000 - 65535))
        peer.stop_reading()
        yield peer.end()

    with serve(stop_reading) as server:
        client = server.client(read_timeout=32, write_timeout=16, write_buffer_size=1 << 20)
        begin = server.clock.now
        failed, errors, retry, _ = outcome(client.send(message(count=count, alert="x" * 60000)))
        assert server.clock.now - begin == 16
        assert (failed, retry) == ({}, TOKENS[:count])
        assert errors[0][0] is None


def test_a_consumer_who_takes_its_time_takes_it_from_nobody():
    """Responses that came while nobody looked are not called missing."""
    tokens = TOKENS[:400]

    def respond(peer):
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 1000)])
        streams = yield peer.requests(1)
        peer.say(responses(streams[0]))
        streams = yield peer.requests(len(tokens))
        peer.say(responses(streams[1]))
        yield peer.pause(10)
        # So much that it takes more than one read.
        padding = b"".join([b"\x00\x01x\x7e", b"y" * 126]) * 5
        peer.say(*[headers(stream, OK + padding) for stream in streams[2:]])
        yield peer.end()

    with serve(respond) as server:
        results = server.client(read_timeout=32).send_many(
            [Message(tokens[:1], alert="hello"), Message(tokens[1:2], alert="hello"),
             Message(tokens[2:], alert="hello")])
        told = [outcome(next(results)), outcome(next(results))]
        server.clock.advance(64)
        assert told + [outcome(result) for result in results] == [ACCEPTED] * 3


@pytest.mark.parametrize("error, said, text", [
    (EOFError, (), "EOFError"), (OSError, ("gone",), "gone"),
    (OSError, (u"verschw\xf6re",), "OSError" if PY2 else u"verschw\xf6re")])
def test_an_error_of_a_back_end_is_named_even_if_it_says_nothing(
        apple, monkeypatch, error, said, text):
    """Whatever library a back-end is made of, the result tells what went wrong."""
    def fail(size):
        if held.state.client.in_flight:
            raise error(*said)

    connection = apple.session(protocol="http2").get_connection(
        apple.provider_address, cert_string=apple.cert_string)
    held = lease(connection)
    monkeypatch.setattr(held.link.connection, "peek", fail)
    release(connection, held)
    result = APNs(connection).send(message())
    assert result.errors[0][1].endswith(": " + text)
    assert result.unknown == TOKENS[:1]


# Responses.


@pytest.mark.parametrize("digits", [9000, 70000])
def test_a_token_that_is_too_long_costs_no_other_anything(apple, digits):
    """Servers end the connection for a header that is too large, and all that is on it."""
    client = apple.provider_client()
    tokens = TOKENS[:100] + ["ab" * (digits // 2)] + TOKENS[100:200]
    result = client.send(Message(tokens, alert="hello"))
    assert [(token, failure[0]) for token, failure in result.failed.items()] == [(tokens[100], 8)]
    assert outcome(result)[1:] == ([], [], [])
    assert (apple.accepted_count, apple.provider_connections) == (200, 1)


def test_shutdown_is_a_reason_to_try_again_later(apple):
    """It has the code that it had in the binary protocol; here the request was not accepted."""
    client = apple.provider_client()
    apple.script_provider(ProviderScript(response_at={2: "Shutdown"}))
    result = client.send(message(count=3))
    assert outcome(result) == ({}, [(10, "Shutdown")], TOKENS[1:2], [])
    assert result.errors[0].status == 503


def test_results_come_in_order_whatever_they_are(apple):
    """A bad token, a dead one, one that is none, a message that is refused: each has its own."""
    client = apple.provider_client()
    apple.devices.bad(TOKENS[1])
    apple.devices.uninstall(TOKENS[2], 1700000000)
    apple.script_provider(ProviderScript(delay_at={1: 0.2}, response_at={5: "TooManyRequests"}))
    messages = [message(0), message(1), message(2), Message(["none"], alert="hello"), message(3),
                message(4, alert="x" * 3000), message(5), message(6)]
    results = list(client.send_many(messages))
    assert [result.message for result in results] == messages
    # The message whose token cannot be sent makes no request.
    codes = [sorted(code for code, _ in list(result.failed.values()) + result.errors)
             for result in results]
    assert codes == [[], [8], [8], [8], [], [429], [], []]
    assert results[2].failed[TOKENS[2]].timestamp == 1700000000
    assert results[1].failed[TOKENS[1]].reason == "BadDeviceToken"


# Limits.


def test_a_limit_that_drops_is_obeyed(apple):
    """The server lowers the number of streams below what is open, and nothing is refused."""
    client = apple.provider_client()
    apple.script_provider(ProviderScript(
        settings_at={2: {"max_concurrent_streams": 3}, 200: {"max_concurrent_streams": 1}}))
    assert outcome(client.send(message(count=400))) == ACCEPTED
    assert apple.accepted_tokens() == TOKENS[:400]


def test_a_server_that_refuses_everything_is_not_bothered_for_ever(apple):
    """After some connections in vain it is for the caller to go on; nothing was processed."""
    client = apple.provider_client()
    apple.script_provider(*[ProviderScript(goaway_after=0)] * 50)
    result = client.send(message(count=5))
    assert outcome(result)[::2] == ({}, TOKENS[:5])
    assert [text.split(":")[0] for _, text in result.errors] == ["Not sent"]
    assert apple.provider_connections <= 5


def test_a_server_that_stalls_on_each_connection_ends_the_sending():
    """One request for each connection, and then none allowed: that would go on for ever."""
    def stall(peer):
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 1)])
        streams = yield peer.requests(1)
        peer.say(frames.settings_frame([(frames.MAX_CONCURRENT_STREAMS, 0)]), headers(streams[0]))
        yield peer.end()

    with serve(stall) as server:
        begin = server.clock.now
        result = server.client(read_timeout=32).send(message(0, 20))
        assert server.clock.now - begin == 3 * 32
        assert len(server.accepted) == 3
    failed, errors, retry, undelivered = outcome(result)
    assert (failed, undelivered, retry) == ({}, [], TOKENS[3:20])
    assert "allowed no request" in errors[0][1]


def test_an_early_response_saves_the_rest_of_the_request():
    """A server may respond before it has read the payload, and give no window for it."""
    def respond(peer):
        peer.greet([(frames.INITIAL_WINDOW_SIZE, 10)])
        while not any(kind == frames.DATA for kind, _, _, _ in peer.seen):
            yield peer.frames()
        peer.say(headers(1, status_block(413)))
        yield accept(peer)

    with serve(respond) as server:
        failed, errors, retry, undelivered = outcome(server.client().send(message()))
        assert (failed, retry, undelivered) == ({}, [], TOKENS[:1])
        assert errors == [(413, "HTTP status 413")]


def test_peers_of_these_tests_are_served():
    """The peers that accept everything, real and in memory, are sent to over one connection."""
    with serve(accept_all) as server:
        client = server.client(ping_after=0)
        assert outcome(client.send(message())) == ACCEPTED
        assert outcome(client.send(message())) == ACCEPTED
        assert len(server.accepted) == 1
    with serve_really(really_accept_all) as server:
        session = new_session(ping_after=0)
        client = client_of(session, server)
        assert outcome(client.send(message())) == ACCEPTED
        assert outcome(client.send(message())) == ACCEPTED
        assert len(server.accepted) == 1
        session.shutdown()
