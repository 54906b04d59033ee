"""Peers that flood, stall or refuse, and closing many connections to them at once."""

from __future__ import absolute_import, division, print_function

import gc
import socket
import threading

import pytest
from OpenSSL import SSL

from apnsclient._compat import monotonic
from apnsclient.backends import BaseConnection, _connection, _sockets
from apnsclient.backends._cache import Cache
from apnsclient.errors import CertificateRefused, Timeout
from stdio_support import (
    GONE,
    SHORT,
    SOON,
    STRANGER,
    TICK,
    VERSIONS,
    Gate,
    Server,
    discard,
    new_backend,
    open_connection,
    over_tls,
    read_all,
    times_out,
    until,
    wait_for_end,
)

pytestmark = pytest.mark.timeout(240)


def flood(send, data):
    """Send until the peer goes away or the test must have failed."""
    deadline = monotonic() + SOON
    while monotonic() < deadline:
        send(data)


# Peers that never stop


def test_handshake_with_a_peer_that_floods_ends_in_a_timeout():
    """TLS messages that lead nowhere keep the handshake busy no longer than its time."""
    hello_requests = b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 10000
    with Server(lambda accepted: flood(accepted.sendall, hello_requests), ignore=GONE) as server:
        begin = monotonic()
        times_out("did not complete the TLS handshake", server.address)
        assert monotonic() - begin < SOON


def nothing(*args):
    raise SSL.WantReadError()


def test_read_from_a_peer_that_floods_ends_in_a_timeout(monkeypatch):
    """A stream of TLS messages that are no data keeps a read busy no longer than its time."""
    deadline = monotonic() + SOON

    def receive(connected):
        assert monotonic() < deadline, "it reads and reads"
        return b"a message that holds no data, which pyOpenSSL could not send"

    with Server(over_tls(lambda tls: flood(tls.sendall, b"x" * 16384)), ignore=GONE) as server:
        connection = open_connection(server.address)
        with monkeypatch.context() as patch:
            patch.setattr(_sockets, "try_receive", receive)
            patch.setattr(connection._engine, "feed", lambda data: None)
            patch.setattr(connection._engine, "open", nothing)
            assert connection.peek(10) is None
            with pytest.raises(Timeout):
                connection.read(10, SHORT)
        connection.close()


def test_write_that_has_to_read_from_a_peer_that_floods_ends_in_a_timeout(monkeypatch):
    """Data that come while TLS has a write read first do not stretch the time of the write."""
    with Server(over_tls(lambda tls: flood(tls.sendall, b"x" * 16384)), ignore=GONE) as server:
        connection = open_connection(server.address)
        connection.read(1, SOON)
        with monkeypatch.context() as patch:
            patch.setattr(connection, "_seal", nothing)
            begin = monotonic()
            with pytest.raises(Timeout):
                connection.write(b"x", SHORT)
            assert monotonic() - begin < SOON / 2
        connection.close()


def test_write_reads_ahead_a_bounded_number_of_times(monkeypatch):
    """However little each record holds, a write after a response of TLS continues in time."""
    received = []
    with Server(over_tls(lambda tls: received.append(read_all(tls)))) as server:
        connection = open_connection(server.address)
        calls = []
        with monkeypatch.context() as patch:
            patch.setattr(connection, "_receive", lambda size: calls.append(size) or b"y")
            connection._must_read = True
            connection.write(b"x", SOON)
        assert 0 < len(calls) < 1000
        assert connection.read(10000, SOON) == b"y" * len(calls)
        connection.close_timeout = SOON
        connection.close()
    assert received == [b"x"]


@pytest.mark.parametrize("size", [100, 101])
@VERSIONS
def test_read_that_gives_up_early_leaves_nothing_behind(version, size, monkeypatch):
    """Whatever was received is decrypted before the socket is waited for."""
    def serve(tls):
        tls.sendall(b"x" * size)
        discard(tls)

    with Server(over_tls(serve, version=version)) as server:
        connection = open_connection(server.address)
        with monkeypatch.context() as patch:
            patch.setattr(_connection, "_MOST_RECEIVES", 1)
            patch.setattr(_sockets, "_RECEIVE_SIZE", 1)
            assert connection.read(65536, SOON) == b"x" * size
        connection.write(b"x", SOON)
        connection.close()


# Connections that only read


@pytest.mark.parametrize("size", [1000, 300000])
@VERSIONS
def test_close_does_not_read_the_rest_of_a_stream_nobody_asked_for(size, version):
    """A list that was not read to its end is reset, so that the service does not clear it."""
    ends = []

    def serve(tls):
        try:
            tls.sendall(b"x" * size)
            tls._socket.shutdown(socket.SHUT_WR)
            wait_for_end(tls)
            ends.append("all was taken")
        except GONE:
            ends.append("reset")

    with Server(over_tls(serve, version=version)) as server:
        connection = open_connection(server.address)
        assert connection.read(100, SOON)
        connection.close()
        until(lambda: ends)
    assert ends == ["reset"]


def test_close_after_the_end_of_a_stream_is_orderly():
    """A list that was read to its end is not reset."""
    ends = []

    def serve(tls):
        tls.sendall(b"x" * 1000)
        tls.shutdown()
        wait_for_end(tls)
        ends.append("all was taken")

    with Server(over_tls(serve)) as server:
        connection = open_connection(server.address)
        while connection.read(100, SOON):
            pass
        connection.close()
        until(lambda: ends)
    assert ends == ["all was taken"]


def test_close_of_an_abandoned_connection_survives_a_failed_socket():
    """Where the reset cannot be asked for, the descriptor is closed all the same."""
    left, right = socket.socketpair()
    left.close()
    _sockets.abandon(left)
    right.close()


# Refusal


def test_refusal_that_nobody_has_been_told_of_keeps_the_connection_open():
    """closed() finds the refusal of TLS 1.3 and leaves it to peek() to raise it."""
    with Server(over_tls(discard, version="1.3"), ignore=GONE) as server:
        connection = open_connection(server.address, credential=STRANGER)
        until(lambda: connection._read_problem is not None, connection.closed)
        assert not connection.closed()
        with pytest.raises(CertificateRefused):
            connection.peek(10)
        assert connection.closed()
        with pytest.raises(CertificateRefused):
            connection.peek(10)
        connection.close()
        assert connection.closed()


# Closing many


def test_many_are_closed_in_the_time_of_one():
    """Peers that do not return the close-notify cost one bound together, and each gets its own."""
    received, gate = [], threading.Event()

    def serve(tls):
        received.append(read_all(tls))
        gate.wait(SOON)

    with Server(over_tls(serve)) as server:
        backend = new_backend()
        connections = [open_connection(server.address, backend=backend) for _ in range(20)]
        for connection in connections:
            connection.write(b"last words", SOON)
            connection.close_timeout = 0.5
        begin = monotonic()
        backend.close_all(connections)
        assert 0.5 - TICK <= monotonic() - begin < 0.5 * len(connections)
        assert all(connection.closed() for connection in connections)
        until(lambda: len(received) == len(connections))
        gate.set()
    assert received == [b"last words"] * len(connections)


def test_one_that_fails_does_not_keep_the_others_from_their_end():
    """Closing goes on with the rest where a connection has failed, or is of another kind."""
    class Foreign(BaseConnection):
        is_closed = False

        def close(self):
            self.is_closed = True

    received = []
    with Server(over_tls(lambda tls: received.append(read_all(tls)))) as server:
        backend = new_backend()
        broken, unused, intact = [
            open_connection(server.address, backend=backend) for _ in range(3)]
        for connection in (broken, intact):
            connection.write(b"x" * 50000, SOON)
            connection.close_timeout = SOON
        broken._socket.shutdown(socket.SHUT_RDWR)
        foreign = Foreign(intact.address, intact.certificate)
        backend.close_all([broken, foreign, unused, intact])
        assert foreign.is_closed
        assert broken.closed() and unused.closed() and intact.closed()
        backend.close_all([broken, intact])
        until(lambda: b"x" * 50000 in received)


def test_close_without_a_limit_waits_for_the_end():
    """A close_timeout of None waits as long as it takes."""
    with Server(over_tls(discard)) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        connection.close_timeout = None
        connection.close()


# What the system knows


def test_what_the_peer_has_not_acknowledged_is_counted():
    """Bytes that wait because the peer takes nothing are known; when it does there are none."""
    gate = Gate()

    def serve(tls):
        gate.wait()
        wait_for_end(tls)

    with Server(over_tls(serve), ignore=GONE) as server:
        connection = open_connection(server.address)
        connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        with pytest.raises(Timeout):
            connection.write(b"x" * 50000000, SHORT)
        if not hasattr(_sockets.termios, "TIOCOUTQ"):
            pytest.skip("this system does not tell")
        assert connection.unacknowledged() > 0
        gate.open()
        until(lambda: connection.unacknowledged() == 0)
        connection.close()
        assert connection.unacknowledged() == 0


def test_system_that_does_not_tell_counts_as_none(monkeypatch):
    """Nothing is known where Python or the system lacks the call."""
    with Server(over_tls(discard)) as server:
        connection = open_connection(server.address)
        with monkeypatch.context() as patch:
            patch.setattr(_sockets, "termios", None)
            assert connection.unacknowledged() == 0
        with monkeypatch.context() as patch:
            patch.setattr(_sockets.fcntl, "ioctl", unsupported)
            assert connection.unacknowledged() == 0
        connection.close()


def unsupported(*args):
    raise IOError("not for this kind of socket")


# Caches and the garbage collector


class Finalized(object):
    """Puts into the cache when it is collected, as a connection that is collected does."""

    def __init__(self, cache, key):
        self._cache, self._key = cache, key

    def __del__(self):
        self._cache.put(self._key, 1)


def in_time(function):
    """Run in a thread, so that a deadlock fails the test."""
    done = []
    thread = threading.Thread(target=lambda: done.append(function() or True))
    thread.daemon = True
    thread.start()
    thread.join(SOON)
    assert done, "it failed, or it hangs"


def test_cache_may_be_used_while_it_makes_or_forgets_an_entry():
    """What a finalizer puts in meanwhile, in the same thread, neither hangs nor gets lost."""
    cache = Cache(3)

    def make():
        Finalized(cache, "nested")
        return cache.get_or_make("inner", lambda: 5) + 1

    def use():
        assert cache.get_or_make("outer", make) == 6
        assert (cache.get("nested"), cache.get("inner"), cache.get("outer")) == (1, 5, 6)
        cache.put("a", Finalized(cache, "from a"))
        cache.discard("a")
        assert cache.get("from a") == 1
        for number in range(10):
            cache.put(number, Finalized(cache, "last"))
        assert cache.get(9) is not None
        assert len(cache._store()[1]) <= 3

    in_time(use)


def test_cache_is_consistent_whenever_the_collector_runs():
    """With the collector running all the time, size and latest entry are what they should be."""
    cache = Cache(4)

    def use():
        for number in range(500):
            garbage = Finalized(cache, "garbage %d" % (number % 7))
            garbage.me = [garbage]
            del garbage
            cache.put(number % 11, number)
            assert cache.get(number % 11) in (number, None)
            cache.discard(number % 3)
            assert len(cache._store()[1]) <= 4

    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        in_time(use)
    finally:
        gc.set_threshold(*threshold)


def test_cache_keeps_nobody_waiting_for_one_that_makes():
    """A thread that builds an entry holds up those alone that ask for it to be built."""
    cache, gate, begun = Cache(3), Gate(), Gate()

    def make():
        begun.open()
        gate.wait()
        return 1

    thread = threading.Thread(target=lambda: cache.get_or_make("slow", make))
    thread.start()
    begun.wait()
    in_time(lambda: cache.put("quick", cache.get("none") or 2))
    gate.open()
    thread.join()
    assert (cache.get("slow"), cache.get("quick")) == (1, 2)
