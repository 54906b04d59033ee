"""What users of clients for HTTP/2 report most: one test or more for each, that it cannot happen.

A send that never returns; idle connections that die behind NAT; GOAWAY that loses pushes in flight;
REFUSED_STREAM; a receive window that is never given back; TooManyProviderTokenUpdates; sandbox and
production mixed up; an expired certificate as an obscure alert; the tail of a batch that is lost
after one bad token; duplicates from blind retries.
"""

from __future__ import absolute_import, division, print_function

import base64
import json
from functools import partial

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs, Message, ProviderToken
from apnsclient._compat import monotonic
from apnsclient.errors import CertificateRefused, ConnectError
from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.client import ClientConnection
from apnsclient.provider_token import BUCKET, MARGIN, Bearer
from apnsclient.sync.lease import CLOSING_TIMEOUT
from apnsclient.testing.simulator import ProviderScript, Simulator
from frame_peers import (
    ACCEPTED,
    TOKENS,
    TOPIC,
    client_for,
    client_of,
    message,
    outcome,
)
from http2_support import accept as responses
from http2_support import headers, start, status_block
from leases import lease, release
from net_support import SOON
from simulated_apple import Apple
from simulated_time import accept_all, serve
from stdio_support import SHORT

pytestmark = pytest.mark.timeout(240)

@pytest.fixture
def sessions(apple):
    """A function that makes sessions for HTTP/2 that lead to the simulator in memory."""
    return partial(apple.session, protocol="http2")


# 1. A send that never returns.

#: The limits of the sessions that run into them, in seconds; each is told by its own number.
LIMITS = {"connect_timeout": 64, "read_timeout": 32, "write_timeout": 16}


@pytest.mark.parametrize("script, seconds, alone, many", [
    (ProviderScript(silent_after=0), 32, 1, 1),
    (ProviderScript(silent_after=10), 32, 0, 3),
    # Closing takes its time, too, where nobody reads.
    (ProviderScript(stall_after=0), 32, 1, 1),
    (ProviderScript(stall_after=10), 32, 0, 3),
    (ProviderScript(hold=True), 32, 1, 1),
    (ProviderScript(settings={"max_concurrent_streams": 0}), 32, 3, 3),
    (ProviderScript(settings={"initial_window_size": 3}, window_step=0), 32, 3, 3),
    (ProviderScript(settings_at={1: {"max_concurrent_streams": 0}}), 32, 0, 3),
], ids=["silent", "silent later", "stalled", "stalled later", "held", "no stream", "no window",
        "no more streams"])
def test_a_send_always_returns(apple, sessions, script, seconds, alone, many):
    """However a server keeps quiet: each token has its outcome, exactly when the limits are over.

    :param seconds: what one connection takes in vain.
    :param alone: how many connections one token takes in vain.
    :param many: how many 3000 tokens take.
    """
    for count, in_vain in ((1, alone), (3000, many)):
        before = apple.accepted_count
        apple.script_provider(*[script] * 9)
        session = sessions(**LIMITS)
        begin = apple.clock.now
        result = client_for(session, apple).send(message(count=count))
        assert apple.clock.now - begin == in_vain * seconds
        failed, errors, retry, undelivered = outcome(result)
        assert (failed, undelivered) == ({}, [])
        assert bool(errors) == bool(retry) == bool(in_vain)
        accepted = apple.accepted_tokens()[before:]
        assert len(accepted) == len(set(accepted))
        assert set(TOKENS[:count]) - set(retry) <= set(accepted)
        session.shutdown()


@pytest.mark.parametrize("script, seconds", [
    (ProviderScript(stall_handshake=True), 64), (ProviderScript(refuse=True), 0)],
    ids=["stalled", "refused"])
def test_a_send_that_cannot_connect_raises_in_time(apple, sessions, script, seconds):
    """A server that accepts TCP and nothing else takes no longer than the limit."""
    apple.script_provider(script)
    begin = apple.clock.now
    with pytest.raises(ConnectError) as caught:
        client_for(sessions(**LIMITS), apple).send(message())
    assert apple.clock.now - begin == seconds
    assert "connect" in str(caught.value)


# 2. Idle connections that die behind NAT.


def test_an_idle_connection_whose_peer_is_gone_is_replaced_before_use(apple, sessions):
    """TCP looks alive, but nothing comes back: a PING finds out, and no message is lost."""
    apple.script_provider(ProviderScript(silent_after=1, late=0))
    client = client_for(sessions(ping_after=30, **LIMITS), apple)
    assert outcome(client.send(message(0))) == ACCEPTED
    apple.clock.advance(30)
    begin = apple.clock.now
    assert outcome(client.send(message(1))) == ACCEPTED
    assert apple.clock.now - begin == LIMITS["connect_timeout"]
    assert apple.accepted_tokens() == TOKENS[:2]
    assert apple.provider_connections == 2


def test_a_ping_is_waited_for_on_the_real_clock(simulator, http2_sessions):
    """Over a real connection, whose time passes by itself."""
    simulator.script_provider(ProviderScript(silent_after=1, late=0))
    session = http2_sessions(ca_string=simulator.ca_string)
    handle = session.get_connection(simulator.provider_address, cert_string=simulator.cert_string)
    assert outcome(APNs(handle).send(message())) == ACCEPTED
    session._shared.settings.ping_after = 0
    simulator.script_provider(ProviderScript(refuse=True))
    begin = monotonic()
    with pytest.raises(ConnectError):
        # The next connection, which it is replaced by, is refused.
        lease(handle, timeout=SHORT)
    # The clock of Python 2.7 moves in steps of 10 ms.
    assert SHORT - 0.02 <= monotonic() - begin < SOON


def respond_once(peer):
    """Respond to the first request, and read nothing more."""
    peer.greet()
    streams = yield peer.requests(1)
    peer.say(responses(streams[0]))
    peer.stop_reading()
    yield peer.end()


def respond_to_all_but(count):
    """Return a function of peers, of which the first ones read nothing more after a request."""
    peers = []

    def play(peer):
        peers.append(peer)
        return respond_once(peer) if len(peers) <= count else accept_all(peer)

    return play


def test_an_idle_connection_of_which_nobody_reads_is_replaced_before_use():
    """The same with a server that sees nothing of the PING."""
    with serve(respond_to_all_but(1)) as server:
        client = client_of(server.session(protocol="http2", ping_after=0, **LIMITS), server)
        assert outcome(client.send(message(0))) == ACCEPTED
        begin = server.clock.now
        assert outcome(client.send(message(1))) == ACCEPTED
        assert begin + 64 <= server.clock.now <= begin + 64 + CLOSING_TIMEOUT
        assert len(server.accepted) == 2


def test_several_dead_connections_take_the_time_of_one():
    """Whoever finds one to be dead connects anew, and does not ask the others."""
    count = 4
    with serve(respond_to_all_but(count)) as server:
        session = server.session(protocol="http2", ping_after=1, **LIMITS)
        client = client_of(session, server)
        leases = [lease(client._connection) for _ in range(count)]
        for number in range(count):
            release(client._connection, leases[number])
            assert outcome(client.send(message(number))) == ACCEPTED
        assert session.pool.idle_count() == count
        server.clock.advance(1)
        begin = server.clock.now
        assert outcome(client.send(message(50))) == ACCEPTED
        assert begin + 64 <= server.clock.now <= begin + 64 + CLOSING_TIMEOUT
        assert len(server.accepted) == count + 1


def test_an_idle_connection_that_lives_is_kept(apple, sessions):
    """A PING has its response, and there is no other connection."""
    client = client_for(sessions(ping_after=0), apple)
    for number in range(5):
        assert outcome(client.send(message(number))) == ACCEPTED
    assert apple.provider_connections == 1


def test_a_connection_is_left_alone_before_its_age():
    """It is asked once it has been idle for as long as was said, and not a moment before."""
    pings = {}
    for idle in (0, 59.5, 60, 3600):
        with serve(accept_all) as server:
            client = client_of(server.session(protocol="http2", ping_after=60), server)
            for number in range(3):
                assert outcome(client.send(message(number))) == ACCEPTED
                server.clock.advance(idle)
            [peer] = server.accepted
            pings[idle] = [kind for kind, _, _, _ in peer.seen].count(frames.PING)
    assert pings == {0: 0, 59.5: 0, 60: 2, 3600: 2}


def test_a_connection_that_rests_while_the_next_message_takes_its_time_is_asked(
        apple, sessions):
    """An iterable may wait for hours within ``send_many()``: that is idleness, too."""
    apple.script_provider(ProviderScript(silent_after=1))
    client = client_for(sessions(**LIMITS), apple)

    def messages():
        yield message(0)
        apple.clock.advance(7200)
        yield message(1)

    begin = apple.clock.now
    assert [outcome(result) for result in client.send_many(messages())] == [ACCEPTED] * 2
    assert apple.clock.now - begin == 7200 + LIMITS["connect_timeout"]
    assert apple.provider_connections == 2


# 3. GOAWAY that loses pushes in flight.


@pytest.mark.parametrize("is_many", [False, True], ids=["send", "send_many"])
def test_goaway_loses_nothing(apple, sessions, is_many):
    """Late responses are taken; what is above the last stream goes out again, and nothing twice."""
    apple.script_provider(*[ProviderScript(
        goaway_after=100, late=60, goaway_delay=0.1, goaway_reason="Shutdown")] * 3)
    client = client_for(sessions(), apple)
    if is_many:
        results = list(client.send_many([message(number) for number in range(1000)]))
    else:
        results = [client.send(message(count=1000))]
    assert [outcome(result) for result in results] == [ACCEPTED] * len(results)
    assert sorted(apple.accepted_tokens()) == TOKENS[:1000]
    assert apple.provider_connections == 4


def test_a_response_behind_goaway_counts_as_such(apple, sessions):
    """Also when it is an error, and dead tokens are feedback as ever."""
    for token in TOKENS[:5]:
        apple.devices.uninstall(token, 1700000000)
    apple.script_provider(ProviderScript(goaway_after=10, late=10, goaway_delay=0.05))
    session = sessions()
    client = client_for(session, apple)
    failed, errors, retry, undelivered = outcome(client.send(message(count=10)))
    assert sorted(failed) == TOKENS[:5]
    assert (errors, retry, undelivered) == ([], [], [])
    assert sorted(row[0].decode("ascii") for row in client.feedback()) == TOKENS[:5]


def test_messages_to_come_do_not_keep_a_caller_from_what_is_in_flight(apple, sessions):
    """Where no other connection can be had: the late responses are read, and then it is told."""
    apple.script_provider(
        ProviderScript(goaway_after=10, late=10, goaway_delay=5.0), ProviderScript(refuse=True))
    results = []
    with pytest.raises(ConnectError):
        for result in client_for(sessions(), apple).send_many(
                [message(number) for number in range(4000)]):
            results.append(result)
    assert [one.needs_retry() for one in results[:11]] == [False] * 10 + [True]
    assert all(one.needs_retry() for one in results[10:])
    assert len(apple.accepted_tokens()) == 10


# 4. REFUSED_STREAM.


def test_refused_streams_are_sent_again_and_fail_nothing(apple, sessions):
    """A server that refuses every third request gets them all, over the same connection."""
    apple.script_provider(ProviderScript(
        reset_at={number: frames.REFUSED_STREAM for number in range(1, 900, 3)}))
    client = client_for(sessions(), apple)
    assert outcome(client.send(message(count=900))) == ACCEPTED
    assert sorted(apple.accepted_tokens()) == TOKENS[:900]
    assert apple.provider_connections == 1


# 5. A receive window that is never given back.


def test_the_window_of_a_connection_is_given_back_many_times_over():
    """The windows that we gave, minus what we took of them, never come to an end."""
    client = ClientConnection(b"localhost")
    window = frames.DEFAULT_WINDOW
    body = json.dumps({"reason": "BadDeviceToken", "pad": "x" * 4000}).encode("ascii")
    client.receive(frames.settings_frame([]) + frames.SETTINGS_ACK)
    for _ in range(12000):
        batch, _ = start(client)
        window -= len(body)
        client.receive(headers(batch.first, status_block(400), False)
                       + frames.data_frames(batch.first, body, True))
        assert batch.left == 0
        output = client.output()
        if output.startswith(frames.PREFACE):
            output = output[len(frames.PREFACE):]
        for kind, _, stream, payload in frames.FrameReader().feed(output):
            if kind == frames.WINDOW_UPDATE and not stream:
                window += frames.read_number(payload)
        assert window > 0
    assert client.error is None


# 6. TooManyProviderTokenUpdates.

#: A minute before there is another token.
BEFORE_A_CHANGE = 1700000000 // BUCKET * BUCKET + BUCKET + MARGIN - 60.0


class Clocks(object):
    """The time of day, and a clock that is never set."""

    def __init__(self, now):
        self.now = now
        self.ticks = 5.0

    def pass_by(self, seconds):
        self.now += seconds
        self.ticks += seconds


def test_a_connection_changes_its_token_no_more_often_than_allowed(apple):
    """For a day with a request each minute: no sooner than after 20 minutes, none older than 60."""
    clocks = Clocks(BEFORE_A_CHANGE)
    provider = ProviderToken(clock=lambda: clocks.now, **apple.token_parameters)
    bearer = Bearer(provider, clock=lambda: clocks.ticks)
    token, since, changes = bearer.current(), clocks.ticks, 0
    for _ in range(24 * 60):
        clocks.pass_by(60)
        current = bearer.current()
        if current != token:
            assert clocks.ticks - since >= 20 * 60
            token, since, changes = current, clocks.ticks, changes + 1
        issued = json.loads(_decode(current.split(b".")[1]))["iat"]
        assert MARGIN <= clocks.now - issued < 3600
    assert changes >= 24


def _decode(text):
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)).decode("ascii")


def test_a_change_of_the_half_hour_is_no_reason_for_the_server_to_complain():
    """Each connection keeps its token; the apple counts as Apple does."""
    clocks = Clocks(BEFORE_A_CHANGE)
    with Apple(clock=lambda: clocks.now) as apns:
        provider = ProviderToken(clock=lambda: clocks.now, **apns.token_parameters)
        provider.new_bearer = lambda: Bearer(provider, clock=lambda: clocks.ticks)
        session = apns.session(protocol="http2", ping_after=None)
        client = APNs(session.get_connection(apns.provider_address, certificate=provider))
        for number in range(60):
            assert outcome(client.send(message(number, apns_topic=TOPIC))) == ACCEPTED
            clocks.pass_by(400)
        tokens = set(one.headers.get("authorization") for one in apns.accepted)
        assert tokens == {None}
        assert apns.provider_connections == 1
        assert apns.error_count == 0


def test_one_request_goes_first_with_a_provider_token():
    """Until it has its response, whatever the server's settings allow; then the others follow."""
    def respond(peer):
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 1000)])
        streams = yield peer.requests(1)
        peer.say(frames.ping(b"whatever"))
        yield peer.frame((frames.PING, frames.ACK, 0, b"whatever"))
        first.extend((yield peer.requests(1)))
        peer.say(responses(*streams))
        streams = yield peer.requests(500)
        peer.say(responses(*streams[1:]))
        yield peer.end()

    first = []
    with serve(respond) as server:
        session = server.session(protocol="http2")
        token = ProviderToken("KEY1234567", "TEAM123456", key_string=_key())
        client = APNs(session.get_connection(server.address, certificate=token))
        assert outcome(client.send(message(count=500, apns_topic=TOPIC))) == ACCEPTED
        assert first == [1]


def test_too_many_updates_stop_the_sending_for_now(apple, sessions):
    """It is no fault of any token, and going on at once would make it worse."""
    apple.script_provider(ProviderScript(response_at={1: "TooManyProviderTokenUpdates"}))
    client = client_for(sessions(), apple, True)
    result = client.send(message(count=500, apns_topic=TOPIC))
    assert outcome(result) == ({}, [(429, "TooManyProviderTokenUpdates")], TOKENS[:500], [])
    assert apple.provider_connections == 1


# 7. Sandbox and production mixed up.


def test_the_environments_have_addresses_of_their_own(sessions):
    """Each name leads to the host of its environment, and nothing is left to a default."""
    session = sessions()
    token = ProviderToken("KEY1234567", "TEAM123456", key_string=_key())
    shown = [repr(session.get_connection("%s_%s" % (service, environment), token))
             for environment in ("sandbox", "production") for service in ("push", "feedback")]
    assert ["sandbox" in text for text in shown] == [True, True, False, False]
    assert all(" api." in text for text in shown)


def _key():
    with Simulator() as apns:
        return apns.key_string


def test_dead_tokens_of_one_environment_do_not_come_out_for_the_other(apple, sessions):
    """The same certificate and the same store: each environment has rows of its own."""
    session = sessions()
    handles = [session.get_connection(name, cert_string=apple.cert_string)
               for name in ("push_sandbox", "push_production")]
    report = session._shared.gone_reporter(handles[0].address, handles[0].certificate)
    report([(b"aa" * 32, 1700000000)])
    assert list(APNs(handles[1]).feedback()) == []
    feedback = session.get_connection("feedback_sandbox", cert_string=apple.cert_string)
    assert [row[0] for row in APNs(feedback).feedback()] == [b"aa" * 32]
    assert list(APNs(handles[0]).feedback()) == []


def test_a_certificate_of_the_other_environment_is_named_as_such(apple, sessions):
    """One response says so, and the rest is not tried."""
    pem = apple.client_certificate(topic=TOPIC, environments=["production"])
    result = client_for(sessions(), apple, cert_string=pem).send(message(count=3000))
    assert outcome(result) == ({}, [(403, "BadCertificateEnvironment")], [], TOKENS)
    assert apple.provider_connections == 1


def test_a_key_of_the_other_environment_is_named_as_such(apple, sessions):
    """The same with a provider token."""
    key = apple.add_key("PRODUCTION", environment="production")
    token = ProviderToken("PRODUCTION", apple.team_id, key_string=key)
    client = client_for(sessions(), apple, certificate=token)
    result = client.send(message(count=3000, apns_topic=TOPIC))
    assert outcome(result) == ({}, [(403, "BadEnvironmentKeyInToken")], [], TOKENS)
    assert (apple.provider_connections, apple.error_count) == (1, 1)


# 8. An expired certificate as an obscure alert.


@pytest.mark.parametrize("tls_1_3", [False, True], ids=["TLS 1.2", "TLS 1.3"])
@pytest.mark.parametrize("is_many", [False, True], ids=["send", "send_many"])
def test_an_expired_certificate_is_reported_as_such(http2_sessions, tls_1_3, is_many):
    """Type and text say what it is, and since when."""
    with Simulator(tls_1_3=tls_1_3) as apns:
        session = http2_sessions(ca_string=apns.ca_string)
        client = client_for(session, apns, cert_string=apns.client_certificate(expired=True))
        with pytest.raises(CertificateRefused) as caught:
            if is_many:
                list(client.send_many(message(number) for number in range(100)))
            else:
                client.send(message())
        assert "expired" in str(caught.value)
        assert apns.accepted_count == 0


# 9. The tail of a batch that is lost after one bad token.


@pytest.mark.parametrize("is_many", [False, True], ids=["send", "send_many"])
def test_a_bad_token_costs_no_other_its_notification(apple, sessions, is_many):
    """Bad, dead, and such as are no tokens at all: everything around them is delivered."""
    tokens = list(TOKENS)
    for token in tokens[10::100]:
        apple.devices.bad(token)
    for token in tokens[11::100]:
        apple.devices.uninstall(token, 1700000000)
    bad = set(tokens[10::100] + tokens[11::100])
    tokens[500] = "abc"
    client = client_for(sessions(), apple)
    if is_many:
        results = list(client.send_many(Message([token], alert="hello") for token in tokens))
    else:
        results = [client.send(Message(tokens, alert="hello"))]
    assert set(token for result in results for token in result.failed) == bad | {"abc"}
    assert [(result.errors, result.retry(), result.undelivered) for result in results] == [
        ([], None, [])] * len(results)
    assert sorted(apple.accepted_tokens()) == [
        token for token in tokens if token not in bad and token != "abc"]
    assert apple.provider_connections == 1


# 10. Duplicates from blind retries.


@pytest.mark.parametrize("ending", ["close_after", "reset_after", "silent_after"])
def test_what_may_have_been_delivered_is_not_sent_again_by_itself(apple, sessions, ending):
    """Written and without a response: whether it is sent again is the caller's to decide."""
    apple.script_provider(ProviderScript(late=30, **{ending: 30}))
    client = client_for(sessions(read_timeout=SHORT), apple)
    failed, errors, retry, undelivered = outcome(client.send(message(count=40)))
    assert (failed, undelivered) == ({}, [])
    assert set(TOKENS[:30]) <= set(retry)
    assert errors[0][0] is None and errors[0][1].startswith("Unknown: ")
    accepted = apple.accepted_tokens()
    assert len(accepted) == len(set(accepted))
    assert set(TOKENS[:30]) <= set(accepted)


def test_an_interrupted_write_is_not_sent_again():
    """Whatever of it has arrived may have been processed."""
    def hang_up(peer):
        peer.greet()
        yield peer.requests(1)

    with serve(hang_up) as server:
        result = client_of(server.session(protocol="http2"), server).send(message(count=1))
        _, errors, retry, _ = outcome(result)
        assert (len(server.accepted), retry) == (1, TOKENS[:1])
        assert errors[0][1].startswith("Unknown: ")
