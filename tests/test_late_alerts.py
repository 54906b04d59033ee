"""A fatal TLS alert about our certificate: a refusal where nothing was processed, else a loss."""

from __future__ import absolute_import, division, print_function

import pytest

import simulated_time
from apnsclient import APNs
from apnsclient.errors import CertificateRefused, ConnectionLost
from apnsclient.protocols.binary import NotificationParser, encode_error
from apnsclient.protocols.http2 import frames
from frame_peers import ACCEPTED, TOKENS, client_of, message, outcome
from http2_support import headers, response
from simulated_time import accept_all, serve, serve_bytes
from stdio_support import SSL, Server, discard, open_connection, over_tls

pytestmark = pytest.mark.timeout(240)

#: The session's silence that means success, in seconds.
TAIL = 3


def unknown(result):
    """Return the tokens of which nothing is known; the reason has to be told."""
    failed, errors, retried, undelivered = outcome(result)
    assert (failed, undelivered) == ({}, [])
    assert all(code is None for code, _ in errors)
    return retried


# Over HTTP/2.

def test_an_alert_at_the_first_read_is_a_refusal():
    """TLS 1.3: the server's settings may come before it has looked at our certificate."""
    def play(peer):
        peer.say(frames.settings_frame([]))
        yield peer.requests(1)
        peer.alert()

    with serve(play) as server:
        with pytest.raises(CertificateRefused):
            server.client().send(message(count=2))


@pytest.mark.parametrize("proof", ["settings", "response", "refusal"])
def test_an_alert_after_a_proof_leaves_requests_unknown(proof):
    """A server that has taken note of anything had let us in; nothing is raised."""
    def play(peer):
        if len(server.accepted) > 1:
            yield accept_all(peer)
            return
        peer.say(frames.settings_frame([]))
        if proof == "settings":
            peer.say(frames.SETTINGS_ACK)
        streams = yield peer.requests(3)
        if proof == "response":
            peer.say(headers(streams[0]))
        elif proof == "refusal":
            peer.say(response(streams[0], 410, b'{"reason":"Unregistered","timestamp":1}'))
        peer.alert()

    with serve(play) as server:
        client = server.client()
        result = client.send(message(count=3))
        assert len(result.failed) == (proof == "refusal")
        assert result.retry().tokens == TOKENS[0 if proof == "settings" else 1:3]
        assert "access denied" in str(result.errors)
        assert outcome(client.send(message())) == ACCEPTED


def test_an_alert_while_the_connection_was_idle_is_nobodys():
    """It is replaced, like any that has ended."""
    def play(peer):
        if len(server.accepted) > 1:
            yield accept_all(peer)
            return
        peer.greet()
        streams = yield peer.requests(1)
        peer.say(headers(streams[0]))
        peer.alert()
        yield peer.end()

    with serve(play) as server:
        client = server.client()
        assert outcome(client.send(message())) == ACCEPTED
        assert outcome(client.send(message())) == ACCEPTED
        assert len(server.accepted) == 2


@pytest.mark.parametrize("is_used", [True, False], ids=["used", "closed"])
def test_a_refusal_while_the_connection_was_idle_is_nobodys(is_used):
    """Nothing was sent over it: whoever comes next gets another, or it is closed in silence."""
    def play(peer):
        if len(server.accepted) > 1:
            yield accept_all(peer)
            return
        peer.say(frames.settings_frame([(frames.MAX_HEADER_LIST_SIZE, 1000)]))
        yield peer.end()

    with serve(play) as server:
        session = server.session(protocol="http2")
        client = client_of(session, server)
        assert client.send(message(apns_collapse_id="x" * 2000)).undelivered == TOKENS[:1]
        # As long as something can be read, the connection passes for a living one.
        server.accepted[0].say(frames.ping(b"whatever"))
        server.accepted[0].alert()
        if is_used:
            assert outcome(client.send(message())) == ACCEPTED
            assert len(server.accepted) == 2
        session.shutdown()
        assert all(one.closed() for one in session.pool.made)


def test_an_alert_that_a_write_finds_is_a_refusal():
    """A back-end may have to read first, and what it raises then is the caller's."""
    def play(peer):
        peer.say(frames.settings_frame([]))
        yield peer.end()

    class Refused(simulated_time.Connection):
        def write(self, data, timeout):
            if data.startswith(frames.PREFACE):
                super(Refused, self).write(data, timeout)
            else:
                raise CertificateRefused("the TLS alert \"access denied\"")

    with serve(play) as server:
        session = server.session(protocol="http2")
        session.pool.connection_class = Refused
        with pytest.raises(CertificateRefused):
            client_of(session, server).send(message())


def test_a_certificate_that_expires_meanwhile_is_told_by_the_next_connection():
    """What was unknown is in the result of its message, and the rest raises."""
    def play(peer):
        if len(server.accepted) > 1:
            peer.alert()
            return
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 2)])
        streams = yield peer.requests(2)
        peer.say(headers(streams[0]))
        yield peer.requests(3)
        peer.alert()

    with serve(play) as server:
        results = server.client().send_many([message(count=3), message(3, 2)])
        assert unknown(next(results)) == TOKENS[1:3]
        # The last that was sent: it was written or not.
        assert unknown(next(results)) == TOKENS[3:5]
        with pytest.raises(CertificateRefused):
            next(results)


# Over the binary protocol.

def binary(play):
    """Return a server, and a client of it over the binary protocol."""
    server = serve_bytes(play)
    return server, APNs(server.session(read_tail_timeout=TAIL).get_connection(
        server.address, cert_string="any"))


def test_an_alert_before_any_silence_is_a_refusal(caplog):
    """Nothing was processed, there is no result, and no warning beside the exception."""
    def play(peer):
        yield peer.read()
        peer.alert()

    server, client = binary(play)
    with server, pytest.raises(CertificateRefused):
        client.send(message(count=2))
    assert caplog.records == []


def test_an_alert_after_a_delivery_leaves_the_next_message_unknown():
    """The gateway had been silent for as long as success takes."""
    def play(peer):
        yield peer.read()
        yield peer.read()
        peer.alert()

    server, client = binary(play)
    with server:
        assert outcome(client.send(message())) == ACCEPTED
        assert unknown(client.send(message(1, 3))) == TOKENS[1:4]


def test_an_alert_in_the_middle_of_a_long_batch_is_no_refusal():
    """Messages behind which there was silence have been delivered."""
    def play(peer):
        while len(server.accepted) > 1 or server.clock() < begun + 60:
            yield peer.read()
        peer.alert()

    def slowly():
        for number in range(200):
            server.clock.advance(1)
            yield message(number)

    server, client = binary(play)
    begun = server.clock()
    with server:
        results = [outcome(result) for result in client.send_many(slowly())]
    assert results[:50] == [ACCEPTED] * 50
    assert len(results) == 200 and any(retried for _, _, retried, _ in results)


def test_a_refusal_that_comes_late_is_told_of_what_passed_for_delivered():
    """Where no silence is waited for the next call finds out; nothing was processed."""
    late = []

    def play(peer):
        if len(server.accepted) == 1:
            yield peer.read()
            yield peer.pause(1)
            # As long as something can be read, the connection passes for a living one.
            peer.say(b"\x08")
            peer.alert()
        yield peer.end()

    with serve_bytes(play) as server:
        session = server.session(read_tail_timeout=0, on_late_result=late.append)
        client = APNs(session.get_connection(server.address, cert_string="any"))
        first = client.send(message(count=2))
        assert outcome(first) == ACCEPTED
        server.clock.advance(2)
        assert outcome(client.send(message(2))) == ACCEPTED
        session.shutdown()
    assert [(one.message, outcome(one)) for one in late] == [
        (first.message, ({}, [], TOKENS[:2], []))]


def test_a_refusal_by_the_next_connection_leaves_nothing_unknown():
    """What was written over it is the caller's to send again: nobody has got it."""
    def play(peer):
        data = yield peer.read()
        if len(server.accepted) > 1:
            peer.alert()
            return
        notification, = NotificationParser().feed(bytes(data))[:1]
        peer.say(encode_error(8, notification.identifier))

    server, client = binary(play)
    with server:
        results = client.send_many([message(), message(1, 2)])
        assert list(next(results).failed) == TOKENS[:1]
        second = next(results)
        assert (outcome(second), second.unknown) == (({}, [], TOKENS[1:3], []), [])
        with pytest.raises(CertificateRefused):
            next(results)


# TLS.

@pytest.mark.parametrize("version, kind", [
    ("1.2", ConnectionLost), ("1.3", CertificateRefused)])
def test_an_alert_after_the_handshake_of_tls12_is_no_refusal(monkeypatch, version, kind):
    """The handshake had ended with the server's consent."""
    with Server(over_tls(discard, version=version)) as server:
        connection = open_connection(server.address)

        def fail(size):
            raise SSL.Error([("SSL routines", "", "tlsv1 alert access denied")])

        monkeypatch.setattr(connection._engine, "open", fail)
        with pytest.raises(kind) as caught:
            connection.peek(10)
        assert caught.type is kind and "access denied" in str(caught.value)
        connection.close()
