"""Closing: nothing is lost, nothing hangs, nothing is said; and what forked children do."""

from __future__ import absolute_import, division, print_function

import gc
import os
import resource
import socket
import threading
import warnings

import pytest
import six
from OpenSSL import SSL

from apnsclient import _process
from apnsclient._compat import monotonic
from apnsclient.backends import _sockets
from apnsclient.errors import ConnectionLost, Timeout
from stdio_support import (
    GONE,
    SHORT,
    SOON,
    TICK,
    VERSIONS,
    Gate,
    Server,
    discard,
    hold,
    new_backend,
    open_connection,
    over_tls,
    read_all,
    read_exactly,
    resetting,
    until,
)

pytestmark = pytest.mark.timeout(240)


@VERSIONS
def test_nothing_is_lost_when_closed_right_after_the_last_write(version):
    """Graceful close: the peer gets everything, although nobody reads the session tickets."""
    received, done = [], threading.Semaphore(0)

    def serve(tls):
        received.append(read_all(tls))
        done.release()

    sizes = []
    with Server(over_tls(serve, version=version)) as server:
        backend = new_backend()
        for number in range(200):
            connection = open_connection(server.address, backend=backend)
            data = b"x" * (20000 + number)
            connection.write(data, SOON)
            connection.close_timeout = SOON
            connection.close()
            done.acquire()
            sizes.append(len(data))
        assert [len(one) for one in received] == sizes


def end_of(tls):
    """Read one byte that was written; return how the stream ends behind it (type of exception)."""
    assert tls.recv(10) == b"x"
    with pytest.raises(SSL.Error) as caught:
        tls.recv(10)
    return type(caught.value)


def test_close_sends_a_close_notify():
    """The peer sees a proper end of TLS, not just of TCP."""
    ends = []
    with Server(over_tls(lambda tls: ends.append(end_of(tls)))) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        connection.close()
    assert ends == [SSL.ZeroReturnError]


def test_close_is_bounded_where_the_peer_does_not_end():
    """A peer that neither returns the close-notify nor hangs up costs the bound, no more."""
    gate = threading.Event()
    with Server(over_tls(lambda tls: gate.wait(SOON))) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        connection.close_timeout = SHORT
        begin = monotonic()
        connection.close()
        assert SHORT - TICK <= monotonic() - begin < SOON / 2
        gate.set()


def test_close_is_bounded_where_the_peer_never_stops_sending():
    """A peer that goes on sending does not keep close() busy."""
    def serve(tls):
        while True:
            tls.send(b"x" * 10000)

    with Server(over_tls(serve), ignore=GONE) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        connection.close_timeout = SHORT
        begin = monotonic()
        connection.close()
        assert monotonic() - begin < SOON / 2


def test_close_is_bounded_where_the_peer_takes_nothing():
    """With full buffers the close-notify cannot go out; close() gives up in time."""
    gate = threading.Event()
    with Server(over_tls(lambda tls: gate.wait(SOON))) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        while _sockets.try_send(connection._socket, connection._engine.seal(b"x" * 10000)):
            pass
        connection.close_timeout = SHORT
        begin = monotonic()
        connection.close()
        assert monotonic() - begin < SOON / 2
        gate.set()


def test_abort_waits_for_nothing_and_says_so_where_it_can():
    """The peer, which reads only later, finds a proper end of TLS."""
    gate, ends = threading.Event(), []

    def serve(tls):
        gate.wait(SOON)
        ends.append(end_of(tls))

    with Server(over_tls(serve)) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        connection.close_timeout = 1000
        connection.abort()
        assert connection.closed()
        gate.set()
    assert ends == [SSL.ZeroReturnError]


def test_close_does_not_wait_for_tcp_after_the_close_notify():
    """The server's close-notify is the end, also where it keeps TCP open."""
    gate = threading.Event()

    def serve(tls):
        discard(tls)
        tls.shutdown()
        gate.wait(SOON)

    with Server(over_tls(serve)) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        connection.close_timeout = 1000
        connection.close()
        gate.set()


def test_close_reads_to_the_end_where_the_peer_sends_no_tls():
    """Bytes that OpenSSL cannot read do not keep close() from reading to the end."""
    received = []

    def serve(tls):
        received.append(read_all(tls))
        tls._socket.sendall(b"no TLS at all" * 10)

    with Server(over_tls(serve)) as server:
        connection = open_connection(server.address)
        connection.write(b"last words", SOON)
        connection.close_timeout = SOON
        connection.close()
    assert received == [b"last words"]


def test_close_of_a_failed_connection_does_not_wait():
    """Where the connection has failed there is nothing left to be graceful about."""
    gate = Gate()
    with Server(over_tls(resetting(gate))) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        gate.wait()
        assert until(connection.closed)
        number = connection._socket.fileno()
        connection.close_timeout = 1000
        connection.close()
        with pytest.raises(OSError):
            os.fstat(number)


def test_close_of_a_connection_that_fails_meanwhile_is_silent():
    """A reset that nobody has noticed before close() is no error of close()."""
    gate = Gate()
    with Server(over_tls(resetting(gate))) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        gate.wait()
        connection.close_timeout = SOON
        connection.close()
        assert connection.closed()


@pytest.mark.parametrize("method", ["_graceful_close", "_keep_last_session"])
def test_close_never_raises(method, monkeypatch):
    """Whatever goes wrong while closing, the descriptor is closed and nothing is raised."""
    with Server(over_tls(discard)) as server:
        connection = open_connection(server.address)
        number = connection._socket.fileno()
        monkeypatch.setattr(connection, method, lambda: 1 // 0)
        connection.close()
        with pytest.raises(OSError):
            os.fstat(number)


def test_closed_never_raises(monkeypatch):
    """closed() of a connection whose state cannot be told says that it is of no use."""
    with Server(over_tls(discard)) as server:
        connection = open_connection(server.address)
        with monkeypatch.context() as patch:
            patch.setattr(connection, "_receive", lambda size: 1 // 0)
            assert connection.closed()
        connection.close()


def test_collected_connection_leaves_no_warning_and_no_descriptor():
    """A connection that is dropped, even in a cycle, closes its descriptor silently."""
    with Server(over_tls(hold), ignore=GONE) as server:
        connection = open_connection(server.address)
        number = connection._socket.fileno()
        connection.cycle = [connection]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del connection
            gc.collect()
        with pytest.raises(OSError):
            os.fstat(number)
        assert [one for one in caught if one.category.__name__ == "ResourceWarning"] == []


def test_forked_child_writes_nothing(in_forked_child):
    """In a forked child close() leaves the parent's connection alone, and all else refuses."""
    def serve(tls):
        tls.send(read_exactly(tls, 6))
        tls.send(read_exactly(tls, 6))
        discard(tls)

    with Server(over_tls(serve)) as server:
        connection = open_connection(server.address)
        connection.write(b"before", SOON)
        assert connection.read(6, SOON) == b"before"

        def child():
            for call in (lambda: connection.write(b"x", SOON), lambda: connection.read(1, SOON),
                         lambda: connection.peek(1)):
                with pytest.raises(ConnectionLost) as caught:
                    call()
                assert "parent process" in str(caught.value)
            assert connection.closed()
            connection.close()
            assert connection._socket.fileno() == -1 if not six.PY2 else True

        in_forked_child(child)
        in_forked_child(connection.close)
        connection.write(b"behind", SOON)
        assert connection.read(6, SOON) == b"behind"
        connection.close()


def test_write_in_a_forked_child_is_refused_without_fork_hooks(in_forked_child, monkeypatch):
    """Before Python 3.7, where nothing tells of a fork, each write asks which process it is in."""
    monkeypatch.setattr(_process._generation, "is_known", False)
    received = []
    with Server(over_tls(lambda tls: received.append(read_all(tls)))) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)

        def child():
            with pytest.raises(ConnectionLost):
                connection.write(b"y", SOON)

        in_forked_child(child)
        connection.write(b"z", SOON)
        connection.close()
    assert received == [b"xz"]


def test_descriptors_beyond_the_limit_of_select_work():
    """With more than 1024 descriptors open, connecting, waiting and closing still work."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1300:
        pytest.skip("the system does not allow that many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1300), hard))
    opened = []
    try:
        while not opened or opened[-1] < 1050:
            opened.append(os.open(os.devnull, os.O_RDONLY))

        def serve(tls):
            data = read_exactly(tls, 3000000)
            tls.send(data[:10])
            discard(tls)

        with Server(over_tls(serve)) as server:
            connection = open_connection(server.address)
            assert connection._socket.fileno() >= 1024
            with pytest.raises(Timeout):
                connection.read(10, SHORT)
            connection.write(b"x" * 3000000, SOON)
            assert connection.read(10, SOON) == b"x" * 10
            connection.close()
    finally:
        for number in opened:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_writing_makes_no_system_call_but_the_one(monkeypatch):
    """The hot path tries first: no select(), no clock, no getpid() for a write that fits."""
    with Server(over_tls(discard)) as server:
        connection = open_connection(server.address)
        with monkeypatch.context() as patch:
            patch.setattr(_sockets, "wait", lambda *args: 1 // 0)
            patch.setattr(_sockets, "Deadline", lambda *args: 1 // 0)
            if hasattr(os, "register_at_fork"):
                patch.setattr(os, "getpid", lambda: 1 // 0)
            connection.write(b"x" * 2048, SOON)
        connection.close()
