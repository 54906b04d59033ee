"""The simulated provider API over TLS: what it accepts and rejects, how it starts and stops."""

from __future__ import absolute_import, division, print_function

import os
import socket
import sys
import warnings

import pytest
from OpenSSL import SSL

from apnsclient.testing.simulator import Accepted, ErrorResponse, Simulator
from apnsclient.testing.simulator.tls_connection import MOST_WAITING
from observing import Seen
from provider_client import (
    BODY,
    TOKEN,
    ProviderClient,
    events,
    new_context,
    with_certificate,
    with_token,
)
from simulator_client import enhanced, gateway_client

pytestmark = pytest.mark.timeout(240)

#: Seconds after which something that should have happened is taken for hanging.
HANG = 150
IDS = "6b29fc40-ca47-1067-b31d-00dd010662da"


@pytest.fixture
def apns():
    with Simulator() as running:
        yield running


# What it accepts.


def test_a_push_is_accepted_and_recorded(apns):
    """The record has what the request said, with the stream as identifier."""
    with with_certificate(apns) as client:
        response = client.push(
            apns_topic="com.example", apns_push_type="alert", apns_id=IDS, apns_priority="5",
            apns_expiration="77", apns_collapse_id="one", authorization="bearer secret")
        second = client.push("CD" * 32)

    assert (response.status, response.said, response.fields["apns-id"]) == (200, None, IDS)
    assert second.status == 200
    first, last = apns.accepted
    assert first[:6] == (1, 1, TOKEN, BODY, 77, 5)
    assert (first.topic, first.push_type, first.apns_id, first.collapse_id) == (
        "com.example", "alert", IDS, "one")
    assert first.headers["apns-topic"] == "com.example" and first.headers[":method"] == "POST"
    assert "secret" not in repr(first)
    assert last == Accepted(1, 3, "cd" * 32, BODY, None, None, None, None, None, None,
                            last.headers)
    assert apns.accepted_tokens() == [TOKEN, "cd" * 32]
    assert apns.errors == []


def test_an_id_that_the_client_does_not_give_is_made(apns):
    """Each response has one of its own, and in the sandbox another one for Apple's console."""
    with with_certificate(apns) as client:
        responses = [client.push(), client.push(), client.push("zz")]

    ids = [response.fields["apns-id"] for response in responses]
    assert len(set(ids)) == 3 and all(len(each) == 36 for each in ids)
    assert [("apns-unique-id" in response.fields) for response in responses] == [True, True, False]


def test_only_the_sandbox_sends_the_unique_id():
    """Production responses have no apns-unique-id."""
    with Simulator(production=True) as apns, with_certificate(apns) as client:
        assert "apns-unique-id" not in client.push().fields


def test_many_requests_in_one_write(apns):
    """A thousand requests at once have their responses in order."""
    with with_certificate(apns) as client:
        streams = [client.request("/3/device/%064x" % n) for n in range(500)]
        assert {client.response(stream).status for stream in streams} == {200}
    assert [each.identifier for each in apns.accepted] == streams
    assert apns.accepted_tokens() == ["%064x" % n for n in range(500)]


def test_both_halves_share_devices_and_record(apns):
    """A token that is bad is bad for both, and one record has what both accepted."""
    apns.devices.bad("bb" * 32, status=5, reason="DeviceTokenNotForTopic")
    with with_certificate(apns) as client, gateway_client(apns) as gateway:
        assert client.push("bb" * 32).said == {"reason": "DeviceTokenNotForTopic"}
        gateway.send(enhanced(7), enhanced(8, b"\xbb" * 32))
        assert gateway.read_to_end()[1:2] == b"\x05"
        assert client.push().status == 200

    assert apns.accepted_tokens() == ["01" * 32, TOKEN]
    assert apns.errors == [
        ErrorResponse(1, 400, 1, "DeviceTokenNotForTopic", "POST", "/3/device/" + "bb" * 32,
                      "bb" * 32),
        ErrorResponse(1, 5, 8, token="bb" * 32)]
    assert (apns.connections, apns.provider_connections) == (1, 1)


def test_what_is_not_kept_is_counted():
    """record=False keeps nothing and counts all; an observer sees everything."""
    observer = Seen()
    with Simulator(record=False, observers=[observer]) as apns, with_certificate(apns) as client:
        client.push()
        client.push("bad")

        assert (apns.accepted_count, apns.error_count) == (1, 1)
        assert apns.accepted == apns.errors == []
    assert [(each.token, each.outcome, each.reason) for each in observer.arrivals] == [
        (TOKEN, "accepted", None), ("bad", "rejected", "BadDeviceToken")]


# What it rejects.


def test_an_uninstalled_device_is_rejected_with_the_time(apns):
    """In milliseconds; the feedback list of the binary half has the same in seconds."""
    apns.devices.uninstall(TOKEN, when=1400000000)
    apns.devices.uninstall("cd" * 32, when=1400000001, reason="ExpiredToken")
    with with_certificate(apns) as client:
        first, second = client.push(), client.push("cd" * 32)

    assert (first.status, first.said) == (
        410, {"reason": "Unregistered", "timestamp": 1400000000000})
    assert (second.status, second.said) == (
        410, {"reason": "ExpiredToken", "timestamp": 1400000001000})
    assert apns.devices.feedback == [(TOKEN, 1400000000), ("cd" * 32, 1400000001)]


def test_a_device_can_come_back(apns):
    """What was said last of a token holds, for the provider API too."""
    apns.devices.bad(TOKEN)
    apns.devices.uninstall(TOKEN)
    with with_certificate(apns) as client:
        assert client.push().status == 410
        apns.devices.add(TOKEN)
        assert client.push().status == 200
        apns.devices.bad(TOKEN)
        assert client.push().status == 400
        apns.devices.remove(TOKEN)
        assert client.push().status == 200


def test_a_strict_simulator_knows_its_devices():
    """Others are bad tokens."""
    with Simulator(strict=True) as apns, with_certificate(apns) as client:
        apns.devices.add(TOKEN)
        assert client.push().status == 200
        assert client.push("cd" * 32).said == {"reason": "BadDeviceToken"}


REFUSED = {
    "BadCollapseId": (400, {"apns_collapse_id": "x" * 65}),
    "BadExpirationDate": (400, {"apns_expiration": "tomorrow"}),
    "BadMessageId": (400, {"apns_id": "1"}),
    "BadPriority": (400, {"apns_priority": "7"}),
    "BadTopic": (400, {"apns_topic": "com example"}),
    "InvalidPushType": (400, {"apns_push_type": "loud"}),
    "BadDeviceToken": (400, {"token": "ab" * 31 + "a"}),
    "MissingDeviceToken": (400, {"token": ""}),
    "PayloadEmpty": (400, {"body": b""}),
    "PayloadTooLarge": (413, {"body": b"x" * 4097}),
}


def test_a_bad_request_gets_its_reason(apns):
    """And the next one on the connection is served."""
    with with_certificate(apns) as client:
        for reason, (status, request) in sorted(REFUSED.items()):
            response = client.push(**request)
            assert (response.status, response.said) == (status, {"reason": reason})
            assert response.fields["content-type"] == "application/json"
            error = apns.errors[-1]
            assert (error.status, error.identifier, error.reason) == (
                status, client.next_stream - 2, reason)
            assert client.push().status == 200
    assert apns.error_count == len(REFUSED)


OTHERS_REFUSED = [
    (dict(path="/3/devices/" + TOKEN), 404, "BadPath"),
    (dict(path="/"), 404, "BadPath"),
    (dict(path="/3/device/" + TOKEN, method="GET", body=b""), 405, "MethodNotAllowed"),
    (dict(path="/3/device/" + TOKEN, fields=[("apns-topic", "a"), ("apns-topic", "b")]),
     400, "DuplicateHeaders"),
    (dict(path="/3/device/" + TOKEN,
          fields=[("apns-push-type", "background"), ("apns-priority", "10")]), 400, "BadPriority"),
    (dict(path="/3/device/" + TOKEN + "?a=b"), 400, "BadDeviceToken"),
]


def test_other_bad_requests(apns):
    """Path, method, repeated fields, and a background push that is urgent."""
    with with_certificate(apns) as client:
        for request_of, status, reason in OTHERS_REFUSED:
            response = client.response(client.request(**request_of))
            assert (response.status, response.said) == (status, {"reason": reason}), request_of


def test_what_is_just_within_the_limits_is_accepted(apns):
    """The largest payloads, the longest identifier, the lowest priority."""
    with with_certificate(apns) as client:
        for fields in (
                {"apns_push_type": "voip", "body": b"x" * 5120}, {"body": b"x" * 4096},
                {"apns_collapse_id": "x" * 64}, {"apns_priority": "1", "apns_expiration": "0"},
                {"apns_push_type": "background", "apns_priority": "5"}, {"apns_id": IDS.upper()}):
            assert client.push(**fields).status == 200, fields


def test_every_documented_reason_can_be_given(apns):
    """A device can be made to have any of them."""
    from apnsclient.testing.simulator.provider_reasons import STATUSES

    assert len(STATUSES) == 42
    with with_certificate(apns) as client:
        for number, (reason, status) in enumerate(sorted(STATUSES.items())):
            apns.devices.bad("%064x" % number, reason=reason)
            response = client.push("%064x" % number)
            assert (response.status, response.said) == (status, {"reason": reason})
    with pytest.raises(ValueError, match="no reason 'Tired', expected one of: BadCertificate"):
        apns.devices.bad(TOKEN, reason="Tired")


# Certificates.


@pytest.mark.parametrize("options, topic, reason", [
    ({"topic": "com.example"}, "com.example", None),
    ({"topic": "com.example"}, None, None),
    ({"topic": "com.example"}, "com.example.voip", "TopicDisallowed"),
    ({"topic": "com.example", "topics": ["com.example", "com.example.voip"]},
     "com.example.voip", None),
    ({"topic": "com.example", "topics": ["com.example", "com.example.voip"]}, None,
     "MissingTopic"),
    ({"topics": ["a." + "b" * 120, "c." + "d" * 200]}, "c." + "d" * 200, None),
    ({}, "any.topic", None),
    ({"environments": ["sandbox", "production"]}, None, None),
    ({"environments": ["production"]}, None, "BadCertificateEnvironment"),
    ({"environments": ["sandbox"]}, None, None),
])
def test_the_certificate_says_what_may_be_pushed(apns, options, topic, reason):
    """Its subject and Apple's extensions name topics and environments."""
    pem = apns.client_certificate(**options)
    with ProviderClient(apns.provider_address, pem) as client:
        response = client.push(**({"apns_topic": topic} if topic else {}))

    assert response.said == ({"reason": reason} if reason else None)


@pytest.mark.parametrize("options", [{"expired": True}, {"foreign": True}])
def test_certificates_are_checked(apns, options):
    """One that expired, or that another authority issued, does not get through the handshake."""
    with pytest.raises((SSL.Error, AssertionError)):
        with ProviderClient(apns.provider_address, apns.client_certificate(**options)) as client:
            client.push()
    assert apns.wait_for(lambda: apns.refused == 1, HANG)
    assert apns.provider_connections == 0


def test_a_resumed_session_is_counted_and_its_certificate_still_holds(apns):
    """Resuming skips the handshake's check, not the topic's."""
    context = new_context(apns.client_certificate(topic="com.example"))
    with ProviderClient(apns.provider_address, context=context) as client:
        assert client.push(apns_topic="com.example").status == 200
        session = client.tls.get_session()
        client.tls.shutdown()
        assert apns.resumed == 0
    with ProviderClient(apns.provider_address, context=context, session=session) as client:
        assert client.push(apns_topic="other").said == {"reason": "TopicDisallowed"}
    assert apns.resumed == 1


@pytest.mark.parametrize("protocols", [(b"http/1.1",), ()])
def test_a_client_that_does_not_offer_http2_is_refused(apns, protocols):
    """With an alert if it offers something else, by hanging up if it offers nothing."""
    with pytest.raises((SSL.Error, AssertionError)) as caught:
        with with_certificate(apns, protocols=protocols) as client:
            client.push()
    # Older bindings do not name the alert.
    text = str(caught.value)
    assert "alert no application protocol" in text or "''" in text or not protocols
    assert apns.wait_for(lambda: apns.refused == 1, HANG)
    assert apns.provider_connections == apns.open_provider_connections == 0


# Life.


def test_connections_are_counted(apns):
    """As long as they are open, and altogether."""
    with with_certificate(apns) as first, with_certificate(apns) as second:
        assert first.push().status == second.push().status == 200
        assert (apns.provider_connections, apns.open_provider_connections) == (2, 2)
        assert (apns.connections, apns.feedback_connections) == (0, 0)
    assert apns.wait_for(lambda: apns.open_provider_connections == 0, HANG)
    assert {each.connection for each in apns.accepted} == {1, 2}


def test_goaway_all_says_why_and_closes(apns):
    """Idle connections get GOAWAY with Apple's reason, then the end of the stream."""
    with with_certificate(apns) as client:
        client.push()
        assert apns.goaway_all("Shutdown", timestamp=5) == 1
        client.read_to_end()
        event, = client.of(events.ConnectionTerminated)
        assert (event.last_stream_id, event.error_code) == (1, 0)
        assert event.additional_data == b'{"reason": "Shutdown", "timestamp": 5}'
    assert apns.goaway_all() == 0


@pytest.mark.parametrize("is_reset", [False, True])
def test_disconnect_providers_closes_idle_connections(apns, is_reset):
    """In an orderly manner, or with a reset."""
    with with_certificate(apns) as client:
        client.push()
        assert apns.disconnect_providers(reset=is_reset) == 1
        assert client.has_been_reset() is is_reset
        assert client.of(events.ConnectionTerminated) == []


def test_it_starts_again_on_the_same_ports():
    """After stop(), clients find it where it was."""
    apns = Simulator()
    with apns:
        address, channels = apns.provider_address, apns.channels_address
    with apns:
        assert (apns.provider_address, apns.channels_address) == (address, channels)
        with with_certificate(apns) as client:
            assert client.push().status == 200
    with pytest.raises(EnvironmentError):
        socket.create_connection(address).close()


def test_nothing_can_be_asked_of_a_simulator_that_does_not_run():
    """Each control says so."""
    apns = Simulator()
    for control in (apns.goaway_all, apns.disconnect_providers, apns.script_provider):
        with pytest.raises(RuntimeError, match="start it first"):
            control()


def test_a_forked_child_leaves_the_connections_alone(apns):
    """Stopping in the child closes copies; the parent's connection goes on."""
    with with_certificate(apns) as client:
        assert client.push().status == 200
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                apns.stop()
            finally:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert client.push().status == 200


@pytest.mark.parametrize("library, package", [("hpack", "hpack"), ("jwt", "PyJWT")])
def test_without_its_libraries_the_binary_half_still_works(monkeypatch, library, package):
    """And the other half says what to install."""
    monkeypatch.setitem(sys.modules, library, None)
    with Simulator() as apns:
        with gateway_client(apns) as gateway:
            gateway.send(enhanced(1))
            assert apns.wait_for(lambda: apns.accepted_count == 1, HANG)
        for ask in (lambda: apns.provider_address, lambda: apns.channels_address,
                    apns.goaway_all):
            with pytest.raises(ImportError, match="pip install .*" + package):
                ask()


# Clients that break rules.


def test_a_client_that_breaks_a_rule_is_told_so_and_dropped(apns):
    """GOAWAY with the right code, here that of a frame that is too long, then the end."""
    with with_token(apns) as client:
        client.tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
        client.read_to_end()
        event, = client.of(events.ConnectionTerminated)
        assert event.error_code == 6
    assert apns.wait_for(lambda: apns.open_provider_connections == 0, HANG)


def test_what_waits_for_a_client_that_does_not_read_is_bounded():
    """No more is read from it until it reads; then it gets all responses."""
    pings = b"\0\0\x08\x06\0\0\0\0\0" + b"12345678"
    chunk = pings * (16384 // len(pings))
    with Simulator(receive_buffer=65536) as apns, with_certificate(apns) as client:
        client.push()
        channel, = apns._engine.services.provider.connections
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        client.socket.setblocking(False)
        sent = blocked = 0
        while blocked < 50:
            try:
                sent += client.tls.send(chunk)
                blocked = 0
            except SSL.WantWriteError:
                # A round of the loop, in which it would read if it wanted to.
                apns._engine.loop.ask(lambda: None)
                blocked += 1
            assert channel._waiting < 2 * MOST_WAITING
        assert channel._waiting >= MOST_WAITING
        client.socket.setblocking(True)
        received = 0
        while received < sent:
            received += len(client.tls.recv(65536))

    assert received >= sent > MOST_WAITING
