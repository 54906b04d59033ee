"""The green back-end on both sides of a fork, whichever function forks."""

from __future__ import absolute_import, division, print_function

import itertools
import os
import socket
import time

import pytest

pytest.importorskip("gevent")
pytest.importorskip("hpack")
pytest.importorskip("jwt")

import gevent
import gevent.os
import gevent.resolver.thread

from apnsclient.backends.gevent import Backend
from apnsclient.errors import ConnectionLost, ConnectTimeout
from frame_peers import ACCEPTED, outcome
from gevent_support import all_of, await_green, client_of, green_session, message
from net_support import make_tokens
from stdio_support import (
    AUTHORITY,
    CLIENT,
    GONE,
    SHORT,
    SOON,
    Gate,
    Server,
    discard,
    over_tls,
    until,
)

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

TOKENS = make_tokens(20)

_numbers = itertools.count()


@pytest.fixture(params=["os.fork", "gevent.os.fork"])
def in_child(request, monkeypatch, in_forked_child):
    """What ``in_forked_child`` does, with each of the functions that fork."""
    if request.param == "gevent.os.fork":
        monkeypatch.setattr(os, "fork", gevent.os.fork_gevent)
    return in_forked_child


@pytest.fixture
def backend():
    return Backend(ca_string=AUTHORITY.ca_string)


@pytest.fixture
def certificate(backend):
    return backend.get_certificate({"cert_string": CLIENT.pem})


@pytest.mark.parametrize("protocol", ["http2", "binary"])
def test_child_and_parent_go_on_with_connections_of_their_own(simulator, in_child, protocol):
    """The child's pool is empty, its greenlets and the resolver's threads work."""
    port = (simulator.provider_address if protocol == "http2" else simulator.gateway_address)[1]
    session = green_session(protocol, ca_string=simulator.ca_string, read_tail_timeout=0,
                            pool_size=2)
    client = client_of(session, ("localhost", port), simulator.cert_string)

    def send(tokens):
        results = all_of([lambda token=token: client.send(message(token)) for token in tokens])
        assert [outcome(result) for result in results] == [ACCEPTED] * len(tokens)

    send(TOKENS[:2])
    idle = session.pool.idle_count()

    def child():
        assert session.pool.idle_count() == 0
        send(TOKENS[2:10])
        session.shutdown()

    in_child(child)
    assert session.pool.idle_count() == idle
    send(TOKENS[10:12])
    session.shutdown()
    assert simulator.wait_for(lambda: simulator.accepted_count == 12, SOON)
    numbers = {one.token: one.connection for one in simulator.accepted}
    ours = {numbers[token] for token in TOKENS[:2] + TOKENS[10:12]}
    assert not ours & {numbers[token] for token in TOKENS[2:10]}
    assert len(ours) == idle


def test_a_copied_greenlet_does_not_go_on_with_the_parents_handshake(
        backend, certificate, in_child):
    """It is woken by what the server sends to the parent, and must write nothing in response."""
    reader, writer = os.pipe()

    def serve_late(accepted):
        arrived.append(accepted)
        os.read(reader, 1)
        over_tls(say_hello)(accepted)

    def say_hello(tls):
        tls.sendall(b"hello")
        discard(tls)

    arrived = []
    with Server(serve_late, ignore=GONE) as server:
        connecting = gevent.spawn(backend.get_new_connection, server.address, certificate, SOON)
        await_green(lambda: arrived)
        gevent.sleep(0.001)

        def child():
            os.write(writer, b"x")
            with pytest.raises(ConnectionLost) as caught:
                connecting.get(timeout=SOON)
            assert "forked" in str(caught.value)

        in_child(child)
        connection = connecting.get(timeout=SOON)
        assert connection.read(10, SOON) == b"hello"
        connection.close()
    os.close(reader)
    os.close(writer)


@pytest.fixture
def looked_up(monkeypatch):
    """What the resolver's threads were asked; one waits until ``looked_up.gate`` is open.

    Every name leads to the address in ``looked_up.where``.
    """
    class Asked(list):
        gate, where = Gate(), None

        def __call__(self, host, *arguments):
            self.append(host)
            self.gate.wait()
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", self.where)]

    asked = Asked()
    monkeypatch.setattr(gevent.resolver.thread._socket, "getaddrinfo", asked)
    yield asked
    asked.gate.open()


def test_a_lookup_that_hangs_in_the_child_is_bounded(backend, certificate, in_child, looked_up):
    """The C library's locks may be held there by a thread of the parent, which is not there.

    What the parent looks up is not waited for in the child.
    """
    host = "test%d.invalid" % next(_numbers)  # One that no other test is still looking up.

    def fail():
        with pytest.raises(ConnectTimeout) as caught:
            backend.get_new_connection((host, 1), certificate, SHORT)
        assert "cannot look up" in str(caught.value)

    def child():
        fail()
        fail()
        assert len(looked_up) == 2

    fail()
    in_child(child)
    fail()
    assert len(looked_up) == 1


def test_a_copied_greenlet_does_not_go_on_with_what_the_parent_looked_up(
        backend, certificate, in_child, looked_up):
    """Its caller would send once more what the parent sends."""
    def wait_for_threads():
        # Without a switch: it is noted that the response is there, and nobody has been woken yet.
        return until(lambda: not gevent.get_hub().threadpool.task_queue.unfinished_tasks,
                     lambda: time.sleep(0.001))

    with Server(over_tls(discard)) as server:
        looked_up.where = server.address
        connecting = gevent.spawn(
            backend.get_new_connection, ("localhost", server.address[1]), certificate, SOON)
        await_green(lambda: looked_up)
        looked_up.gate.open()
        wait_for_threads()

        def child():
            with pytest.raises(ConnectionLost) as caught:
                connecting.get(timeout=SOON)
            assert "forked" in str(caught.value)

        in_child(child)
        connecting.get(timeout=SOON).close()
        assert len(server.accepted) == 1


def test_a_copied_greenlet_does_not_say_goodbye_to_the_parents_server(
        backend, certificate, in_child):
    """The parent's close goes on after the child has closed what it inherited."""
    reader, writer = os.pipe()
    received = []

    def read_late(tls):
        received.append(tls.recv(100))
        os.read(reader, 1)
        # The child has a copy of this socket, so that closing it would tell nobody anything.
        tls.shutdown()
        discard(tls)

    with Server(over_tls(read_late)) as server:
        connection = backend.get_new_connection(server.address, certificate, SOON)
        connection.close_timeout = SOON
        connection.write(b"hello", SOON)
        closing = gevent.spawn(connection.close)
        await_green(lambda: received)
        gevent.sleep(0.001)
        assert not closing.ready()

        def child():
            os.write(writer, b"x")
            closing.get(timeout=SOON)
            assert connection.closed()

        in_child(child)
        closing.get(timeout=SOON)
    os.close(reader)
    os.close(writer)
