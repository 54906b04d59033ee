"""Sending over HTTP/2: servers that are none, deadlines, order, and limits."""

from __future__ import absolute_import, division, print_function

import threading

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs, Message
from apnsclient._compat import PY2, monotonic
from apnsclient.errors import ConnectError, ConnectTimeout
from apnsclient.protocols.http2 import frames
from apnsclient.testing.simulator import ProviderScript
from frame_peers import (
    ACCEPTED,
    TOKENS,
    accept,
    accept_all,
    client_of,
    message,
    new_session,
    outcome,
    serve,
)
from http2_support import OK, headers, status_block
from http2_support import accept as replies
from net_support import SOON
from stdio_support import SHORT, Gate, wait_for_end

pytestmark = pytest.mark.timeout(240)


def fails(error, function, **options):
    """Send to a server that must not be sent to; return the message of the error."""
    protocol = options.pop("protocol", b"h2")
    with serve(function, protocol) as server:
        session = new_session(**options)
        begin = monotonic()
        with pytest.raises(error) as caught:
            client_of(session, server).send(message())
        assert monotonic() - begin < SOON
        assert "%s:%d" % server.address in str(caught.value)
        session.shutdown()
    return str(caught.value)


# Servers that do not speak HTTP/2.


def test_a_server_without_alpn_is_reported():
    """It speaks TLS, but does not agree to the protocol."""
    assert "does not speak HTTP/2" in fails(
        ConnectError, lambda peer: wait_for_end(peer.tls), protocol=None)


def test_a_server_that_speaks_http_1_is_reported():
    """It agreed to the protocol and says something else."""
    def speak(peer):
        peer.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        wait_for_end(peer.tls)

    assert "is it HTTP/2 at all?" in fails(ConnectError, speak)


def test_a_server_that_hangs_up_after_the_handshake_is_reported():
    """There were no settings and will be none."""
    assert "does not let us speak HTTP/2" in fails(ConnectError, lambda peer: None)


def test_settings_have_to_come_within_the_connect_timeout():
    """A server that says nothing after the handshake is waited for no longer."""
    assert "sent no HTTP/2 settings within" in fails(
        ConnectTimeout, lambda peer: wait_for_end(peer.tls), connect_timeout=SHORT)


def test_settings_have_to_come_whole():
    """A byte now and then is no sign of life."""
    over = threading.Event()

    def dribble(peer):
        peer.say(frames.FRAME_HEAD.pack(6000 << 8 | frames.SETTINGS, 0, 0))
        while not over.wait(0.02):
            peer.say(b"\0")

    try:
        fails(ConnectTimeout, dribble, connect_timeout=SHORT)
    finally:
        over.set()


# Deadlines, with a server that sends PINGs for ever.


def keep_pinging(peer, over):
    """Send PINGs for ever, and read nothing."""
    try:
        while not over.wait(0.01):
            peer.say(frames.ping(b"whatever"))
    except Exception:
        # The client has left.
        pass


@pytest.mark.parametrize("first", [None, 200, 500])
def test_a_server_that_only_sends_pings_does_not_hold_a_send_up(first):
    """The answer has its time from when the request was written, whatever else comes."""
    over, tokens = threading.Event(), TOKENS[:3]

    def ping(peer):
        peer.greet()
        streams = peer.requests(len(tokens))
        if first is not None:
            peer.say(headers(streams[0], status_block(first)))
        keep_pinging(peer, over)

    with serve(ping) as server:
        session = new_session(read_timeout=SHORT, connect_timeout=SHORT * 2)
        begin = monotonic()
        failed, errors, retry, _ = outcome(
            client_of(session, server).send(Message(tokens, alert="hello")))
        assert monotonic() - begin < SOON
        over.set()
        assert failed == {}
        assert retry == (tokens[1:] if first == 200 else tokens)
        assert any(text.startswith("Unknown: ") and "%s s" % SHORT in text for _, text in errors)
        session.shutdown()


@pytest.mark.parametrize("settings", [
    [(frames.MAX_CONCURRENT_STREAMS, 0)], [(frames.INITIAL_WINDOW_SIZE, 0)]],
    ids=["streams", "window"])
def test_a_server_that_allows_nothing_does_not_hold_a_send_up(settings):
    """There may be no stream, or no window for the payload: both have an end."""
    over = threading.Event()

    def ping(peer):
        peer.greet(settings)
        keep_pinging(peer, over)

    with serve(ping) as server:
        session = new_session(read_timeout=SHORT)
        begin = monotonic()
        failed, errors, retry, _ = outcome(client_of(session, server).send(message()))
        assert monotonic() - begin < SOON
        over.set()
        assert (failed, retry, len(errors)) == ({}, TOKENS[:1], 1)
        session.shutdown()


def test_a_server_that_does_not_read_does_not_hold_a_send_up():
    """Writing has its time; nothing is known of what was written."""
    def stop_reading(peer):
        peer.greet([(frames.INITIAL_WINDOW_SIZE, 0x7FFFFFFF), (frames.MAX_FRAME_SIZE, 16384)])
        peer.say(frames.window_update(0, 0x7FFF0000 - 65535))
        over.wait(SOON)

    over = threading.Event()
    with serve(stop_reading) as server:
        session = new_session(read_timeout=SHORT, write_timeout=SHORT, write_buffer_size=1 << 24)
        begin = monotonic()
        result = client_of(session, server).send(message(count=1000, alert="x" * 60000))
        assert monotonic() - begin < SOON
        over.set()
        failed, errors, retry, _ = outcome(result)
        assert (failed, retry) == ({}, TOKENS[:1000])
        assert errors[0][0] is None
        session.shutdown()


def test_a_consumer_who_takes_its_time_takes_it_from_nobody():
    """Answers that came while nobody looked are not called missing."""
    tokens = TOKENS[:400]
    paused, answered = Gate(), Gate()

    def answer(peer):
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 1000)])
        peer.say(replies(peer.requests(1)[0]))
        streams = peer.requests(len(tokens))
        peer.say(replies(streams[1]))
        paused.wait()
        # So much that it takes more than one read.
        padding = b"".join([b"\x00\x01x\x7e", b"y" * 126]) * 5
        peer.say(*[headers(stream, OK + padding) for stream in streams[2:]])
        answered.open()
        peer.read_to_end()

    with serve(answer) as server:
        session = new_session(read_timeout=SHORT)
        results = client_of(session, server).send_many(
            [Message(tokens[:1], alert="hello"), Message(tokens[1:2], alert="hello"),
             Message(tokens[2:], alert="hello")])
        told = [outcome(next(results)), outcome(next(results))]
        paused.open()
        answered.wait()
        threading.Event().wait(SHORT * 2)
        assert told + [outcome(result) for result in results] == [ACCEPTED] * 3
        session.shutdown()


@pytest.mark.parametrize("error, said, text", [
    (EOFError, (), "EOFError"), (OSError, ("gone",), "gone"),
    (OSError, (u"verschw\xf6re",), "OSError" if PY2 else u"verschw\xf6re")])
def test_an_error_of_a_back_end_is_named_even_if_it_says_nothing(
        simulator, session, monkeypatch, error, said, text):
    """Whatever library a back-end is made of, the result tells what went wrong."""
    def fail(size, timeout):
        raise error(*said)

    connection = session.get_connection(simulator.provider_address,
                                        cert_string=simulator.cert_string)
    driver = connection._lease(False)
    monkeypatch.setattr(driver.connection, "read", fail)
    connection._release(driver)
    result = APNs(connection).send(message())
    assert result.errors[0][1].endswith(": " + text)
    assert result.unknown == TOKENS[:1]


# Answers.


@pytest.mark.parametrize("digits", [9000, 70000])
def test_a_token_that_is_too_long_costs_no_other_anything(simulator, client, digits):
    """Servers end the connection for a header that is too large, and all that is on it."""
    tokens = TOKENS[:100] + ["ab" * (digits // 2)] + TOKENS[100:200]
    result = client.send(Message(tokens, alert="hello"))
    assert [(token, failure[0]) for token, failure in result.failed.items()] == [(tokens[100], 8)]
    assert outcome(result)[1:] == ([], [], [])
    assert (simulator.accepted_count, simulator.provider_connections) == (200, 1)


def test_shutdown_is_a_reason_to_try_again_later(simulator, client):
    """It has the code that it had in the binary protocol; here the request was not accepted."""
    simulator.script_provider(ProviderScript(answer_at={2: "Shutdown"}))
    result = client.send(message(count=3))
    assert outcome(result) == ({}, [(10, "Shutdown")], TOKENS[1:2], [])
    assert result.errors[0].status == 503


def test_results_come_in_order_whatever_they_are(simulator, client):
    """A bad token, a dead one, one that is none, a message that is refused: each has its own."""
    simulator.devices.bad(TOKENS[1])
    simulator.devices.uninstall(TOKENS[2], 1700000000)
    simulator.script_provider(ProviderScript(delay_at={1: 0.2}, answer_at={5: "TooManyRequests"}))
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


def test_a_limit_that_drops_is_obeyed(client, simulator):
    """The server lowers the number of streams below what is open, and nothing is refused."""
    simulator.script_provider(ProviderScript(
        settings_at={2: {"max_concurrent_streams": 3}, 200: {"max_concurrent_streams": 1}}))
    assert outcome(client.send(message(count=400))) == ACCEPTED
    assert simulator.accepted_tokens() == TOKENS[:400]


def test_a_server_that_refuses_everything_is_not_bothered_for_ever(simulator, client):
    """After some connections in vain it is the caller's turn; nothing was processed."""
    simulator.script_provider(*[ProviderScript(goaway_after=0)] * 50)
    result = client.send(message(count=5))
    assert outcome(result)[::2] == ({}, TOKENS[:5])
    assert [text.split(":")[0] for _, text in result.errors] == ["Not sent"]
    assert simulator.provider_connections <= 5


def test_a_server_that_stalls_on_each_connection_ends_the_sending(http2_sessions):
    """One request for each connection, and then none allowed: that would go on for ever."""
    def stall(peer):
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 1)])
        stream = peer.requests(1)[0]
        peer.say(frames.settings_frame([(frames.MAX_CONCURRENT_STREAMS, 0)]), headers(stream))
        peer.read_to_end()

    with serve(stall) as peer:
        session = http2_sessions(read_timeout=SHORT)
        result = client_of(session, peer).send(message(0, 20))
        assert len(peer.accepted) == 3
        session.shutdown()
    failed, errors, retry, undelivered = outcome(result)
    assert (failed, undelivered, retry) == ({}, [], TOKENS[3:20])
    assert "allowed no request" in errors[0][1]


def test_an_early_answer_saves_the_rest_of_the_request():
    """A server may answer before it has read the payload, and give no window for it."""
    def answer(peer):
        peer.greet([(frames.INITIAL_WINDOW_SIZE, 10)])
        while not any(kind == frames.DATA for kind, _, _, _ in peer.seen):
            peer.read()
        peer.say(headers(1, status_block(413)))
        accept(peer)

    with serve(answer) as server:
        session = new_session()
        failed, errors, retry, undelivered = outcome(client_of(session, server).send(message()))
        assert (failed, retry, undelivered) == ({}, [], TOKENS[:1])
        assert errors == [(413, "HTTP status 413")]
        session.shutdown()


def test_peers_of_these_tests_are_served():
    """The peer that accepts everything is sent to twice over one connection."""
    with serve(accept_all) as server:
        session = new_session(ping_after=0)
        client = client_of(session, server)
        assert outcome(client.send(message())) == ACCEPTED
        assert outcome(client.send(message())) == ACCEPTED
        assert len(server.accepted) == 1
        session.shutdown()
