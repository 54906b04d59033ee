"""Where no handler interferes, the proxy is not there: the bytes, their order, and the ends."""

from __future__ import absolute_import, division, print_function

import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.testing.chaos import ChaosProxy, ConfigurationError
from apnsclient.testing.chaos.handlers.base import BaseHandler
from chaos_support import (
    await_end,
    connected,
    echo,
    echoing,
    exchange,
    hold,
    read_to_end,
    registered,
)
from effort import examples
from stdio_support import SOON, Gate, Server

#: The behaviors that leave every connection alone.
NOTHING = ["", "0:delay", "100:dummy"]


def play(connection, steps, ours):
    """Do our part of a conversation: send what is ours, read what is not, in that order."""
    received = b""
    for is_ours, data in steps:
        if is_ours == ours:
            connection.sendall(data)
        else:
            piece = b""
            while len(piece) < len(data):
                more = connection.recv(len(data) - len(piece))
                assert more, "the stream ended in the middle"
                piece += more
            received += piece
    return received


@pytest.fixture(scope="module")
def stage():
    """A proxy, and a server that plays the scripts which are put into a list."""
    scripts = []

    def serve(accepted):
        steps, results = scripts.pop()
        results.append(play(accepted, steps, False))
        if steps and steps[-1][0]:
            accepted.sendall(b"!")  # Everything has come before the end does.
        accepted.shutdown(socket.SHUT_WR)
        results.append(read_to_end(accepted))

    with Server(serve) as server, ChaosProxy(server.address) as proxy:
        yield proxy, scripts


@pytest.mark.parametrize("behavior", NOTHING)
@given(steps=st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=300)), max_size=12),
       tail=st.binary(max_size=300))
@examples(15)
def test_any_conversation_is_the_same_through_the_proxy(stage, behavior, steps, tail):
    """Both get what the other one sent, in its order; the end of one side leaves the other open."""
    proxy, scripts = stage
    proxy.behavior = behavior
    results = []
    scripts.append((steps, results))
    with connected(proxy) as client:
        received = play(client, steps, True)
        rest = read_to_end(client)  # The server ends its side first.
        client.sendall(tail)
    assert proxy.wait_for(lambda: len(results) == 2, SOON)

    assert received == b"".join(data for is_ours, data in steps if not is_ours)
    assert rest == (b"!" if steps and steps[-1][0] else b"")
    assert results == [b"".join(data for is_ours, data in steps if is_ours), tail]


def test_the_client_may_end_its_side_first():
    """What comes after the end of one direction goes through the other one."""
    with echoing() as proxy:
        assert exchange(proxy, b"once") == b"once"
        record = await_end(proxy)
    assert (record.handler, record.bytes_to_backend, record.bytes_to_client) == ("dummy", 4, 4)
    assert (record.faults, record.error) == ([], None)


def test_both_sides_may_write_before_they_read():
    """A lot goes both ways at once, over buffers that hold only little of it."""
    data = bytes(bytearray(range(256))) * 16384

    def read(accepted):
        received.append(read_to_end(accepted))
        is_read.open()

    def serve(accepted):
        reader = threading.Thread(target=read, args=(accepted,))
        accepted.settimeout(SOON)
        reader.start()
        accepted.sendall(data)
        accepted.shutdown(socket.SHUT_WR)
        reader.join(SOON)

    received, is_read = [], Gate()
    with Server(serve) as server, ChaosProxy(server.address) as proxy:
        returned = exchange(proxy, data)
        # For the proxy it is over when the system has the rest, which the end of the server resets.
        is_read.wait()
        await_end(proxy)
    assert returned == data
    assert received == [data]


def test_a_server_that_reads_late_holds_up_nothing_but_its_direction():
    """While the backend takes nothing and every buffer is full, what it says comes through."""
    is_full, is_read = Gate(), Gate()

    def serve(accepted):
        is_full.wait()
        accepted.sendall(b"hello")
        is_read.wait()
        received.append(len(read_to_end(accepted)))

    received = []
    with Server(serve) as server, ChaosProxy(server.address) as proxy:
        with connected(proxy) as client:
            sent = fill(client)
            is_full.open()
            assert client.recv(5) == b"hello"
            is_read.open()
        await_end(proxy)
    assert received == [sent]


def fill(client):
    """Send until nothing is taken for a while; return how many bytes that was."""
    client.settimeout(0.3)
    sent = 0
    try:
        while True:
            sent += client.send(b"x" * 65536)
    except socket.timeout:
        client.settimeout(SOON)
    return sent


def _reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_reset_of_the_backend_is_passed_on():
    """A client that is reset without a proxy is reset with it."""
    def serve(accepted):
        accepted.recv(1)
        _reset(accepted)

    with Server(serve) as server, ChaosProxy(server.address) as proxy:
        with connected(proxy) as client, pytest.raises(socket.error) as caught:
            client.sendall(b"x")
            client.recv(1)
        record = await_end(proxy)
    assert not isinstance(caught.value, socket.timeout)
    assert record.error is None


def test_a_reset_of_the_client_is_passed_on():
    """So is a backend whose client resets."""
    errors = []

    def serve(accepted):
        try:
            accepted.sendall(b"hello")
            read_to_end(accepted)
        except socket.error as error:
            errors.append(error)

    with Server(serve) as server, ChaosProxy(server.address) as proxy:
        with connected(proxy) as client:
            assert client.recv(5) == b"hello"
            _reset(client)
        await_end(proxy)
    assert len(errors) == 1


class Stubborn(BaseHandler):
    """Writes to the backend until that fails, and looks at nothing else meanwhile."""

    name = "stubborn"

    def __call__(self, client_sock, backend_sock, to_backend):
        if not to_backend:
            return super(Stubborn, self).__call__(client_sock, backend_sock, to_backend)
        data = self.read(client_sock, backend_sock, to_backend)
        while True:
            backend_sock.sendall(data)
            self.sleep(0.001)


def test_last_words_get_through_although_writing_has_failed():
    """A server that says why and hangs up is heard, even by a client that is still writing."""
    def serve(accepted):
        accepted.recv(1)
        accepted.sendall(b"reason")
        _reset(accepted)

    with registered(Stubborn), Server(serve) as server:
        with ChaosProxy(server.address, "100:stubborn") as proxy, connected(proxy) as client:
            client.sendall(b"x" * 1000)
            assert client.recv(6) == b"reason"
            client.close()
            assert await_end(proxy).error is None


def test_a_backend_that_refuses_is_a_reset_for_the_client():
    """And the record says which backend it was. Even connect() can be what the reset ends."""
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    with ChaosProxy(closed.getsockname()) as proxy:
        with pytest.raises(socket.error), connected(proxy) as client:
            client.sendall(b"x")
            client.recv(1)
        record = await_end(proxy)
    closed.close()
    assert "cannot connect to the backend 127.0.0.1:%d" % proxy.backend[1] in record.error


@pytest.mark.parametrize("backend", ["localhost:2195", ("localhost",), None, 2195])
def test_a_backend_that_is_no_address_is_told_at_once(backend):
    """Not for each connection."""
    with pytest.raises(ConfigurationError) as caught:
        ChaosProxy(backend)
    assert "the backend is %r; expected (host, port)" % (backend,) in str(caught.value)
    proxy = ChaosProxy(("localhost", 2195))
    with pytest.raises(ConfigurationError):
        proxy.backend = backend
    assert proxy.backend == ("localhost", 2195)


def test_the_backend_is_looked_up_for_each_connection():
    """It may have another address the next time, or be another one."""
    with Server(echo) as first, Server(hold) as second, ChaosProxy(first.address) as proxy:
        assert exchange(proxy, b"one") == b"one"
        proxy.backend = ("localhost", second.address[1])
        assert exchange(proxy, b"two") == b""
        proxy.backend = ("no-such-host.invalid", 1)
        with pytest.raises(socket.error), connected(proxy) as client:
            client.sendall(b"x")
            client.recv(1)
        assert await_end(proxy, 3).error is not None
