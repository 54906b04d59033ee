"""The simulated gateway over TLS: what it accepts and rejects, how it starts and stops."""

from __future__ import absolute_import, division, print_function

import logging
import os
import socket
import ssl
import sys
import threading

import pytest
from OpenSSL import SSL

from apnsclient.testing.certs import Authority
from apnsclient.testing.simulator import Accepted, Simulator
from observing import Seen
from simulator_client import (
    PAYLOAD,
    TOKEN,
    Client,
    enhanced,
    error_frame,
    gateway_client,
    modern,
    reset,
    simple,
)

pytestmark = pytest.mark.timeout(240)

#: Seconds after which something that should have happened is taken for hanging.
HANG = 150
HEX = "01" * 32


@pytest.fixture
def apns():
    with Simulator() as running:
        yield running


def open_descriptors():
    return set(os.listdir("/proc/self/fd"))


# What it accepts.


def test_all_commands_are_accepted(apns):
    """Commands 0, 1 and 2 arrive with the fields that they carry."""
    with gateway_client(apns) as client:
        client.send(simple(), enhanced(5), modern(6), modern(7, expiry=None, priority=None),
                    modern(None))
        assert apns.wait_for(lambda: apns.accepted_count == 5, HANG)
    assert apns.accepted == [
        Accepted(1, None, HEX, PAYLOAD, None, None),
        Accepted(1, 5, HEX, PAYLOAD, 77, None),
        Accepted(1, 6, HEX, PAYLOAD, 77, 10),
        Accepted(1, 7, HEX, PAYLOAD, None, None),
        Accepted(1, None, HEX, PAYLOAD, 77, 10),
    ]
    assert apns.accepted_tokens() == [HEX] * 5
    assert apns.errors == []


def test_frames_may_come_byte_by_byte(apns):
    """How the bytes are cut does not matter."""
    with gateway_client(apns) as client:
        for byte in bytearray(modern(1) + enhanced(2) + simple()):
            client.send(bytes(bytearray([byte])))
        assert apns.wait_for(lambda: apns.accepted_count == 3, HANG)


def test_many_frames_in_one_write(apns):
    """Thousands of notifications in one go are accepted in order."""
    with gateway_client(apns) as client:
        client.send(*[modern(n) for n in range(5000)])
        assert apns.wait_for(lambda: apns.accepted_count == 5000, HANG)
    assert [each.identifier for each in apns.accepted] == list(range(5000))


def test_connections_are_numbered_in_order(apns):
    """The record numbers the connections."""
    with gateway_client(apns) as first, gateway_client(apns) as second:
        second.send(modern(1))
        assert apns.wait_for(lambda: apns.accepted_count == 1, HANG)
        first.send(modern(2))
        assert apns.wait_for(lambda: apns.accepted_count == 2, HANG)
        assert (apns.connections, apns.open_connections) == (2, 2)
    assert [each.connection for each in apns.accepted] == [2, 1]
    assert apns.wait_for(lambda: apns.open_connections == 0, HANG)
    assert apns.connections == 2


def test_a_frame_that_is_cut_off_is_not_accepted(apns):
    """A client that leaves in the middle of a frame leaves nothing behind."""
    with gateway_client(apns) as client:
        client.send(modern(1), modern(2)[:-1])
        client.end_stream()
        assert client.read(1) == b""
    assert apns.wait_for(lambda: apns.open_connections == 0, HANG)
    assert [each.identifier for each in apns.accepted] == [1]


# What it rejects.


@pytest.mark.parametrize("bad, status, identifier", [
    (modern(9, token=None), 2, 9),
    (enhanced(9, token=b""), 2, 9),
    (modern(9, payload=None), 4, 9),
    (enhanced(9, payload=b""), 4, 9),
    (modern(9, token=TOKEN[:-1]), 5, 9),
    (modern(9, payload=b"x" * 2049), 7, 9),
    (modern(9, token=b"\xbb" * 32), 8, 9),
    (modern(None, token=b"\xbb" * 32), 8, 0),
    (b"GET / HTTP/1.1\r\n\r\n", 1, 0),
    (b"\2\xff\xff\xff\xff", 1, 0),
    (b"\2\0\0\0\x0a\3\0\4\0\0\0\x09\7\0\0", 1, 9),
])
def test_one_error_frame_then_the_end(apns, bad, status, identifier):
    """The bad one gets an error frame and a close, and everything behind it is discarded."""
    apns.devices.bad("bb" * 32)
    with gateway_client(apns) as client:
        client.send(modern(1), bad, modern(10), modern(11))
        assert client.read_to_end() == error_frame(status, identifier)
    assert [each[:3] for each in apns.errors] == [(1, status, identifier)]
    assert [each.identifier for each in apns.accepted] == [1]
    assert apns.error_count == 1


def test_command_0_gets_no_error_frame(apns):
    """The old protocol only hangs up."""
    with gateway_client(apns) as client:
        client.send(simple(), simple(token=b"1"), simple())
        assert client.read_to_end() == b""
    assert apns.accepted_count == 1
    assert apns.errors == []


def test_the_error_frame_survives_a_client_that_goes_on_writing(apns):
    """However much is on its way, it is read and discarded, so that no reset eats the frame."""
    apns.devices.bad("bb" * 32)
    with gateway_client(apns) as client:
        client.send(modern(1, token=b"\xbb" * 32))
        batch = b"".join(modern(n) for n in range(1000))
        for _ in range(50):
            client.send(batch)
        assert client.read_to_end() == error_frame(8, 1)
    assert apns.accepted_count == 0


def test_lingering_has_an_end():
    """A client that reads the frame and never closes is dropped after a while."""
    with Simulator(linger=0.05) as apns, gateway_client(apns) as client:
        client.send(modern(1, token=b"1"))
        assert client.read(6) == error_frame(5, 1)
        assert apns.wait_for(lambda: apns.open_connections == 0, HANG)


def test_limits_are_options():
    """Token size and payload size are set when the simulator is made."""
    with Simulator(token_size=None, payload_size=256) as apns, gateway_client(apns) as client:
        client.send(modern(1, token=b"1"), modern(2, payload=b"x" * 257))
        assert client.read_to_end() == error_frame(7, 2)
    assert apns.accepted_count == 1


def test_a_strict_gateway_wants_known_tokens():
    """Unknown tokens get status 8, also when devices are added while it runs."""
    with Simulator(strict=True) as apns, gateway_client(apns) as client:
        apns.devices.add(HEX)
        client.send(modern(1), modern(2, token=b"\2" * 32))
        assert client.read_to_end() == error_frame(8, 2)


def test_uninstalled_devices_are_accepted_and_listed(apns):
    """The gateway takes the notification, as Apple's does; the feedback list has the rest."""
    apns.devices.uninstall(HEX, when=1234)
    apns.devices.clear_feedback(apns.devices.feedback_rows())
    with gateway_client(apns) as client:
        client.send(modern(1))
        assert apns.wait_for(lambda: apns.accepted_count == 1, HANG)
    assert apns.devices.feedback == [(HEX, 1234)]


# Whom it accepts.


def refused(apns, pem):
    """Connect, read, and return True if the gateway refused the certificate with an alert."""
    try:
        with Client(apns.gateway_address, pem) as client:
            client.read(1)
    except SSL.SysCallError:
        return False
    except SSL.Error as error:
        return "alert" in str(error)
    return False


@pytest.mark.parametrize("tls_1_3", [True, False])
@pytest.mark.parametrize("make", [
    lambda apns: None,
    lambda apns: apns.client_certificate(foreign=True),
    lambda apns: apns.client_certificate(expired=True),
    lambda apns: apns.client_certificate(usage="server"),
], ids=["none", "foreign", "expired", "of a server"])
def test_a_bad_client_certificate_is_refused(make, tls_1_3):
    """The client gets an alert, and nothing counts as a connection."""
    with Simulator(tls_1_3=tls_1_3) as apns:
        assert refused(apns, make(apns))
        assert apns.wait_for(lambda: apns.refused == 1, HANG)
        assert apns.connections == 0


def test_the_alert_survives_a_client_that_goes_on_writing(apns):
    """Over TLS 1.3 a client may have written a lot before it learns that it is refused."""
    with Client(apns.gateway_address, apns.client_certificate(foreign=True)) as client:
        batch = b"".join(modern(n) for n in range(1000))
        for _ in range(20):
            client.send(batch)
        with pytest.raises(SSL.Error) as caught:
            client.read(1)
    assert "alert" in str(caught.value)


def test_certificates_of_the_authority_are_let_in(apns):
    """Any other client certificate of its authority is as good as the default one."""
    pem = apns.client_certificate("Apple Push: com.example.app", topic="com.example.app")
    with Client(apns.gateway_address, pem) as client:
        client.send(modern(1, token=b"1"))
        assert client.read_to_end() == error_frame(5, 1)


def test_an_authority_can_be_shared():
    """Two simulators of one authority accept the same certificates."""
    authority = Authority("shared")
    with Simulator(authority=authority) as first, Simulator(authority=authority) as second:
        assert first.ca_string == second.ca_string == authority.ca_string
        with Client(first.gateway_address, second.cert_string):
            assert first.wait_for(lambda: first.connections == 1, HANG)


def test_the_server_verifies_by_name_and_address(apns):
    """Its certificate is good for localhost, 127.0.0.1 and ::1."""
    context = ssl.create_default_context(cadata=u"" + apns.ca_string)
    # Python 2.7 does not compare addresses.
    names = [u"localhost"] if sys.version_info < (3,) else ["localhost", "127.0.0.1", "::1"]
    for name in names:
        sock = socket.create_connection(apns.gateway_address)
        try:
            context.wrap_socket(sock, server_hostname=name).close()
        except ssl.SSLError as error:
            # Over TLS 1.2 the missing client certificate shows here: the server's was fine then.
            assert "CERTIFICATE_VERIFY_FAILED" not in str(error)
        finally:
            sock.close()


@pytest.mark.parametrize("tls_1_3, version", [(True, "TLSv1.3"), (False, "TLSv1.2")])
def test_sessions_are_resumed(tls_1_3, version):
    """A client that comes back with its session is spared the full handshake."""
    with Simulator(tls_1_3=tls_1_3) as apns:
        with gateway_client(apns) as client:
            assert client.tls.get_protocol_version_name() == version
            client.send(modern(1, token=b"1"))
            client.read_to_end()
        assert (apns.connections, apns.resumed) == (1, 0)
        with gateway_client(apns, earlier=client) as client:
            client.send(modern(2, token=b"1"))
            assert client.read_to_end() == error_frame(5, 2)
        assert (apns.connections, apns.resumed) == (2, 1)


def test_what_is_no_tls_is_refused(apns):
    """Plain text gets no further than the handshake."""
    sock = socket.create_connection(apns.gateway_address)
    sock.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
    while sock.recv(4096):
        pass
    sock.close()
    assert apns.wait_for(lambda: apns.refused == 1, HANG)
    assert apns.connections == 0


def test_a_client_that_leaves_in_the_handshake_is_forgotten(apns):
    """Neither an orderly end nor a reset before the handshake leaves anything open."""
    socket.create_connection(apns.gateway_address).close()
    assert apns.wait_for(lambda: apns.refused == 1, HANG)
    reset(socket.create_connection(apns.gateway_address))
    assert apns.wait_for(lambda: apns.refused == 2, HANG)


def test_a_client_that_resets_is_forgotten(apns):
    """A reset connection is closed; the others go on."""
    other = gateway_client(apns)
    client = gateway_client(apns)
    assert apns.wait_for(lambda: apns.open_connections == 2, HANG)
    client.reset()
    assert apns.wait_for(lambda: apns.open_connections == 1, HANG)
    other.send(modern(1))
    assert apns.wait_for(lambda: apns.accepted_count == 1, HANG)
    other.close()


def test_a_client_that_speaks_garbage_below_tls_is_dropped(apns):
    """Bytes that are no TLS record end the connection."""
    with gateway_client(apns) as client:
        assert apns.wait_for(lambda: apns.open_connections == 1, HANG)
        client.socket.sendall(b"garbage" * 10)
        assert apns.wait_for(lambda: apns.open_connections == 0, HANG)


# Life and death.


@pytest.mark.usefixtures("ipv6")
def test_it_listens_on_ipv6_too():
    """The host may be an IPv6 address."""
    with Simulator(host="::1") as apns, gateway_client(apns) as client:
        client.send(modern(1))
        assert apns.wait_for(lambda: apns.accepted_count == 1, HANG)


def test_it_can_be_started_again_on_the_same_ports():
    """After a stop, clients find it where it was; the record goes on."""
    apns = Simulator()
    addresses = []
    for number in (1, 2):
        with apns:
            addresses.append((apns.gateway_address, apns.feedback_address))
            with gateway_client(apns) as client:
                client.send(modern(number), modern(9, token=b"1"))
                # The gateway hangs up first, so that its port is in TIME_WAIT for a minute.
                assert client.read_to_end() == error_frame(5, 9)
        with pytest.raises((OSError, IOError)):
            socket.create_connection(apns.gateway_address)
    assert addresses[0] == addresses[1]
    assert [each.connection for each in apns.accepted] == [1, 2]


def test_what_runs_cannot_be_started_and_what_does_not_run_cannot_be_told_anything(apns):
    """A RuntimeError says which of the two it is; stopping twice is fine."""
    with pytest.raises(RuntimeError):
        apns.start()
    apns.stop()
    apns.stop()
    for call in (apns.script, apns.script_feedback, apns.release_held, apns.disconnect_all):
        with pytest.raises(RuntimeError):
            call()


def test_a_port_that_is_taken_leaves_nothing_behind(apns):
    """The error passes through, and no descriptor or thread is left."""
    other = Simulator(gateway_port=0, feedback_port=apns.gateway_address[1])
    before = open_descriptors()
    with pytest.raises((OSError, IOError)):
        other.start()
    assert open_descriptors() <= before
    assert not any(thread.name == "apnsclient-simulator" for thread in threading.enumerate()
                   if thread is not apns._engine.loop._thread)
    other.stop()


def test_stopping_closes_everything():
    """With clients in every state, no descriptor and no thread is left, and they see the end."""
    before, threads = open_descriptors(), threading.active_count()
    apns = Simulator().start()
    idle = gateway_client(apns)
    raw = socket.create_connection(apns.gateway_address)
    lingering = gateway_client(apns)
    lingering.send(modern(1, token=b"1"))
    assert lingering.read(6) == error_frame(5, 1)
    assert apns.wait_for(lambda: apns.connections == 2, HANG)
    apns.stop()
    assert idle.read(1) == b""
    for each in (idle, raw, lingering):
        each.close()
    assert open_descriptors() <= before
    assert threading.active_count() <= threads
    assert apns.open_connections == 0


def test_idle_connections_can_be_dropped(apns):
    """The end of the stream is there when the call returns: that is how a pool gets stale."""
    with gateway_client(apns) as first, gateway_client(apns) as second:
        assert apns.wait_for(lambda: apns.open_connections == 2, HANG)
        assert apns.disconnect_all() == 2
        for client in (first, second):
            assert client.read_to_end() == b""
    assert apns.disconnect_all() == 0 or apns.wait_for(lambda: apns.open_connections == 0, HANG)


def test_idle_connections_can_be_reset(apns):
    """The same with a reset."""
    with gateway_client(apns) as client:
        assert apns.wait_for(lambda: apns.open_connections == 1, HANG)
        assert apns.disconnect_all(reset=True) == 1
        assert client.has_been_reset()
    assert apns.open_connections == 0


def test_a_forked_child_leaves_the_parent_alone(apns, in_forked_child):
    """What the child stops are its own copies; in the parent, connections and listener live on."""
    with gateway_client(apns) as client:
        client.send(modern(1))
        assert apns.wait_for(lambda: apns.accepted_count == 1, HANG)

        def child():
            assert apns.accepted_count == 1
            with pytest.raises(RuntimeError):
                apns.disconnect_all()
            apns.stop()
            with Simulator() as own, gateway_client(own) as other:
                other.send(modern(1, token=b"1"))
                assert other.read_to_end() == error_frame(5, 1)

        in_forked_child(child)
        client.send(modern(2))
        assert apns.wait_for(lambda: apns.accepted_count == 2, HANG)
    with gateway_client(apns) as client:
        client.send(modern(3, token=b"1"))
        assert client.read_to_end() == error_frame(5, 3)


def test_whoever_wants_to_know_is_told_what_is_accepted():
    """The observer gets every batch, also when nothing is kept."""
    observer = Seen()
    with Simulator(record=False, observers=[observer]) as apns, gateway_client(apns) as client:
        client.send(simple(), modern(6))
        assert apns.wait_for(lambda: len(observer.arrivals) == 2, HANG)
        assert apns.accepted == []
    assert [(each.stream, each.token, each.payload, each.expiration, each.priority, each.outcome)
            for each in observer.arrivals] == [
        (None, HEX, PAYLOAD, None, None, "accepted"), (6, HEX, PAYLOAD, 77, 10, "accepted")]


def test_what_is_recorded_can_be_forgotten(apns):
    """The counts stay."""
    with gateway_client(apns) as client:
        client.send(modern(1), modern(2, token=b"1"))
        client.read_to_end()
    apns.forget()
    assert (apns.accepted, apns.errors) == ([], [])
    assert (apns.accepted_count, apns.error_count) == (1, 1)


def test_a_connection_tells_of_its_end_once(apns):
    """However often it is closed."""
    with gateway_client(apns):
        assert apns.wait_for(lambda: apns.open_connections == 1, HANG)
        channel = list(apns._engine.services.gateway.connections)[0]
        for close in (channel.close, channel.finish, channel.reset, channel.close):
            apns._engine.loop.ask(close)
        assert apns.wait_for(lambda: apns.open_connections == 0, HANG)


def test_a_predicate_may_ask_anything(apns):
    """No lock is held while the predicate runs, so it may even talk to the event loop."""
    with gateway_client(apns) as client:
        client.send(modern(1))
        assert apns.wait_for(
            lambda: apns.release_held() == 0 and len(apns.accepted) == 1, HANG)


def test_nothing_is_logged_in_all_of_this(apns, caplog):
    """Clients that misbehave are no reason to write to the log."""
    with caplog.at_level(logging.DEBUG):
        with gateway_client(apns) as client:
            client.send(b"garbage")
            client.read_to_end()
        assert refused(apns, None)
        gateway_client(apns).reset()
        assert apns.wait_for(lambda: apns.open_connections == 0, HANG)
    assert caplog.records == []
