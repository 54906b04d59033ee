"""Scripted misbehaviour of the simulated gateway, one test for each kind, over real TLS."""

from __future__ import absolute_import, division, print_function

import errno
import select
import socket

import pytest
from OpenSSL import SSL

from apnsclient._compat import monotonic
from apnsclient.testing.simulator import Script, Simulator
from simulator_client import TOKEN, Client, error_frame, gateway_client, modern

pytestmark = pytest.mark.timeout(240)

HANG = 150


@pytest.fixture
def apns():
    with Simulator() as running:
        yield running


def bad(identifier):
    """Return a frame that gets status 5."""
    return modern(identifier, token=TOKEN[:-1])


def is_silent(client):
    """Return True if nothing can be read now."""
    return not select.select([client.socket], [], [], 0)[0]


def identifiers(apns):
    return [each.identifier for each in apns.accepted]


def read_tickets(client, apns):
    """Read what TLS 1.3 sends on its own after the handshake, so that silence is silence."""
    assert apns.wait_for(lambda: apns.open_connections == 1, HANG)
    client.socket.setblocking(False)
    while not is_silent(client):
        with pytest.raises(SSL.WantReadError):
            client.tls.recv(1)
    client.socket.setblocking(True)


def test_each_connection_gets_its_script(apns):
    """The n-th connection from now on gets the n-th script, None and the rest get none."""
    apns.script(Script(status_at={1: 200}), None)
    apns.script(Script(status_at={1: 201}))
    for expected in (200, 5, 201, 5):
        with gateway_client(apns) as client:
            client.send(bad(1))
            assert client.read_to_end() == error_frame(expected, 1)


def test_a_script_can_be_the_default():
    """What was given to the simulator holds where nothing else was said."""
    with Simulator(script=Script(status_at={2: 200})) as apns:
        apns.script(Script(status_at={1: 201}))
        for expected in (error_frame(201, 1), error_frame(200, 2), error_frame(200, 2)):
            with gateway_client(apns) as client:
                client.send(modern(1), modern(2))
                assert client.read_to_end() == expected


def test_a_held_error_frame_waits_until_it_is_released(apns):
    """A late error frame without a clock; what arrives in the meantime is discarded."""
    apns.script(Script(hold=True))
    with gateway_client(apns) as client:
        client.send(modern(1), bad(2))
        assert apns.wait_for(lambda: apns.held == 1, HANG)
        read_tickets(client, apns)
        for identifier in range(3, 1000):
            client.send(modern(identifier))
        assert is_silent(client)
        assert apns.errors == []
        assert apns.release_held() == 1
        assert [each[:3] for each in apns.errors] == [(1, 5, 2)]
        assert apns.held == 0
        assert client.read_to_end() == error_frame(5, 2)
    assert identifiers(apns) == [1]
    assert apns.release_held() == 0


def test_a_held_error_frame_goes_to_a_client_that_ended_its_side(apns):
    """Who has sent everything may end the stream, and still gets the error frame."""
    apns.script(Script(hold=True))
    with gateway_client(apns) as client:
        client.send(bad(2))
        assert apns.wait_for(lambda: apns.held == 1, HANG)
        client.end_stream()
        assert apns.release_held() == 1
        assert client.read(7) == error_frame(5, 2)


def test_a_held_error_frame_of_a_client_that_left_is_dropped(apns):
    """There is nobody to release it to."""
    apns.script(Script(hold=True))
    client = gateway_client(apns)
    client.send(bad(2))
    assert apns.wait_for(lambda: apns.held == 1, HANG)
    client.reset()
    assert apns.wait_for(lambda: apns.held == 0, HANG)
    assert apns.release_held() == 0
    assert apns.errors == []


def test_a_held_error_frame_of_a_client_that_ended_its_side_and_left_is_dropped(apns):
    """The loop sleeps while there is nothing but the end to read, and still notices the reset."""
    apns.script(Script(hold=True))
    client = gateway_client(apns)
    client.send(bad(2))
    assert apns.wait_for(lambda: apns.held == 1, HANG)
    client.end_stream()
    assert apns._engine.loop.ask(lambda: 5) == 5
    assert ready_channels(apns) == []
    client.reset()
    assert apns.wait_for(lambda: apns.held == 0, HANG)
    assert apns.open_connections == 0


def ready_channels(apns):
    """Return the descriptors that the loop would wake up for now, apart from its own."""
    loop = apns._engine.loop
    return loop.ask(lambda: [number for number, _ in loop._poller.poll(0)
                             if number != loop._wakened.fileno()])


def test_releasing_to_a_client_that_is_just_leaving(apns):
    """A connection that fails while the frame is being sent is closed, and nothing else happens."""
    apns.script(Script(hold=True))
    client = gateway_client(apns)
    client.send(bad(2))
    assert apns.wait_for(lambda: apns.held == 1, HANG)

    def leave():
        # In the loop's own thread, so that it cannot learn of it before it sends.
        client.reset()
        return apns.release_held()

    assert apns._engine.loop.ask(leave) == 1
    assert apns.wait_for(lambda: apns.open_connections == 0, HANG)


def test_a_delayed_error_frame_takes_its_time(apns):
    """It comes no earlier than it was scripted; what arrives in the meantime is discarded."""
    apns.script(Script(delay=0.1))
    with gateway_client(apns) as client:
        begin = monotonic()
        client.send(modern(1), bad(2))
        client.send(modern(3))
        assert client.read_to_end() == error_frame(5, 2)
        # Python 2.7 counts hundredths of a second.
        assert monotonic() - begin >= 0.08
    assert identifiers(apns) == [1]


def test_a_delayed_error_frame_of_a_client_that_left_is_dropped(apns):
    """The timer ends with the connection."""
    apns.script(Script(delay=3600))
    client = gateway_client(apns)
    client.send(modern(1), bad(2))
    assert apns.wait_for(lambda: apns.accepted_count == 1, HANG)
    client.reset()
    assert apns.wait_for(lambda: apns.open_connections == 0, HANG)
    # No timer is left that the loop would wait for.
    assert apns._engine.loop.ask(apns._engine.loop._timeout) is None
    assert apns.errors == []


@pytest.mark.parametrize("script, received", [
    (Script(close_after=2), b""),
    (Script(shutdown_after=2), error_frame(10, 2)),
    (Script(garbage_after=2, garbage=b"\x08\x01\x00"), b"\x08\x01\x00"),
    (Script(garbage_after=2), Script().garbage),
    (Script(status_at={3: 10}), error_frame(10, 2)),
    (Script(status_at={3: 255}), error_frame(255, 3)),
])
def test_orderly_endings(apns, script, received):
    """The client reads exactly what was scripted, and the end; the rest is discarded."""
    apns.script(script)
    with gateway_client(apns) as client:
        client.send(*[modern(n) for n in range(1, 100)])
        assert client.read_to_end() == received
    assert identifiers(apns) == [1, 2]


def test_more_garbage_than_any_buffer_holds():
    """It goes out as the client reads it, also to one that has ended its own side."""
    garbage = b"0123456789abcdef" * (1 << 20)
    script = Script(garbage_after=0, garbage=garbage)
    with Simulator(linger=HANG, script=script) as apns, gateway_client(apns) as client:
        assert apns.wait_for(lambda: apns.open_connections == 1, HANG)
        client.end_stream()
        # By now the loop has seen the end of the stream.
        assert apns._engine.loop.ask(lambda: 5) == 5
        assert client.read(1 << 25) == garbage


def test_an_error_frame_that_the_client_does_not_take_is_given_up():
    """Lingering has an end also while there is something to send."""
    script = Script(garbage_after=0, garbage=b"x" * (1 << 24))
    with Simulator(linger=0.05, script=script) as apns, gateway_client(apns):
        assert apns.wait_for(lambda: apns.connections == 1, HANG)
        assert apns.wait_for(lambda: apns.open_connections == 0, HANG)


def test_empty_garbage_is_none(apns):
    """Garbage may be nothing at all."""
    apns.script(Script(garbage_after=0, garbage=b""))
    with gateway_client(apns) as client:
        assert client.read_to_end() == b""


@pytest.mark.parametrize("script, received", [
    (Script(close_after=0), b""),
    (Script(shutdown_after=0), error_frame(10, 0)),
])
def test_endings_at_the_very_beginning(apns, script, received):
    """With 0 the connection ends as soon as the handshake is complete."""
    apns.script(script)
    with gateway_client(apns) as client:
        assert client.read_to_end() == received
    assert (apns.connections, apns.accepted_count) == (1, 0)


@pytest.mark.parametrize("count", [0, 2])
def test_a_connection_can_be_reset(apns, count):
    """The client sees a reset, after so many were accepted."""
    apns.script(Script(reset_after=count))
    with gateway_client(apns) as client:
        if count:
            client.send(modern(1), modern(2), modern(3))
        assert client.has_been_reset()
    assert identifiers(apns) == [1, 2][:count]


def test_a_connection_can_stall(apns):
    """Nothing more is read: a client that goes on writing blocks, and the connection is open."""
    apns.script(Script(stall_after=2))
    with gateway_client(apns) as client:
        client.send(modern(1), modern(2), modern(3))
        assert apns.wait_for(lambda: apns.accepted_count == 2, HANG)
        client.socket.setblocking(False)
        with pytest.raises(SSL.WantWriteError):
            while True:
                client.tls.send(modern(4) * 100)
        assert apns.open_connections == 1
    assert identifiers(apns) == [1, 2]


def test_a_stalled_connection_that_the_client_resets_is_closed(apns):
    """Though nothing is read from it, its failure is noticed."""
    apns.script(Script(stall_after=1))
    client = gateway_client(apns)
    client.send(modern(1))
    assert apns.wait_for(lambda: apns.accepted_count == 1, HANG)
    client.reset()
    assert apns.wait_for(lambda: apns.open_connections == 0, HANG)


def test_a_small_receive_buffer_makes_a_stall_felt_soon():
    """With it, some hundred kilobytes fill all buffers."""
    script = Script(stall_after=0)
    with Simulator(receive_buffer=4096, script=script) as apns, gateway_client(apns) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.socket.setblocking(False)
        sent = 0
        with pytest.raises(SSL.WantWriteError):
            while True:
                sent += client.tls.send(b"x" * 1024)
        assert sent < 1 << 19


def test_a_connection_can_be_refused(apns):
    """It is reset before the handshake, perhaps in connect(); the next one is served."""
    apns.script(Script(refuse=True))
    with pytest.raises((SSL.SysCallError, EnvironmentError)) as caught:
        gateway_client(apns)
    assert caught.value.args[0] in (errno.ECONNRESET, errno.EPIPE)
    assert (apns.refused, apns.connections) == (1, 0)
    with gateway_client(apns):
        assert apns.wait_for(lambda: apns.connections == 1, HANG)


def test_a_handshake_can_stall(apns):
    """TCP connects, and then there is silence until the simulator stops."""
    apns.script(Script(stall_handshake=True))
    sock = socket.create_connection(apns.gateway_address)
    # The next one is served although the first is not.
    with gateway_client(apns):
        assert apns.wait_for(lambda: apns.connections == 1, HANG)
    assert not select.select([sock], [], [], 0)[0]
    apns.stop()
    assert sock.recv(1) == b""
    sock.close()


def test_a_forked_child_closes_its_copy_of_a_stalled_handshake(apns, in_forked_child):
    """The parent's connection goes on being silent."""
    apns.script(Script(stall_handshake=True))
    sock = socket.create_connection(apns.gateway_address)
    with gateway_client(apns):
        assert apns.wait_for(lambda: apns.connections == 1, HANG)
        in_forked_child(apns.stop)
        assert not select.select([sock], [], [], 0)[0]
    sock.close()


def test_a_refused_certificate_uses_up_its_script(apns):
    """A script belongs to the connection that was accepted, whatever becomes of its handshake."""
    apns.script(Script(status_at={1: 200}), Script(status_at={1: 201}))
    with pytest.raises(SSL.Error), Client(apns.gateway_address, None) as client:
        client.read(1)
    with gateway_client(apns) as client:
        client.send(modern(1))
        assert client.read_to_end() == error_frame(201, 1)
