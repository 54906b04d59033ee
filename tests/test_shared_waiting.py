"""Waiting for several connections at once, and being woken: how stdio and gevent do it.

That they do it is what the contract's rules are about; see test_contract.py.
"""

from __future__ import absolute_import, division, print_function

import gc
import os
import resource
import select
import signal
import socket
import threading
import time

import pytest

from apnsclient._compat import monotonic
from apnsclient.backends import _sockets
from apnsclient.backends._waiting import Waker
from apnsclient.errors import ConnectionLost
from simulated_time import Backend, serve_bytes
from stdio_support import (
    GONE,
    SHORT,
    SOON,
    Gate,
    Server,
    count_descriptors,
    discard,
    new_backend,
    open_connection,
    over_tls,
    read_exactly,
)

pytestmark = pytest.mark.timeout(240)


def open_silent(address, backend):
    """Return a connection to a server that speaks TLS 1.2, which sends no tickets later."""
    connection = open_connection(address, backend=backend)
    assert connection.peek(100) is None
    return connection


class Calls(object):
    """Counts the calls of a function that is there in its place."""

    def __init__(self, monkeypatch, place, name):
        self._function = getattr(place, name)
        self.count = 0
        monkeypatch.setattr(place, name, self._call)

    def _call(self, *args):
        self.count += 1
        return self._function(*args)


def test_a_wait_for_one_connection_is_one_system_call(monkeypatch):
    """One to wait, and one to receive: nothing is tried that must fail."""
    def serve(tls):
        for size in (3, 5000):
            tls.send(b"x" * read_exactly(tls, 1)[:1].count(b"g") * size)
        discard(tls)

    backend = new_backend()
    waker = backend.create_waker()
    with Server(over_tls(serve, version="1.2")) as server:
        connection = open_silent(server.address, backend)
        for size in (3, 5000):
            connection.write(b"g", SOON)
            with monkeypatch.context() as patch:
                waits = Calls(patch, select, "select")
                receives = Calls(patch, _sockets, "try_receive")
                if hasattr(os, "register_at_fork"):
                    patch.setattr(os, "getpid", lambda: 1 // 0)
                assert backend.wait([connection], SOON, waker) == [connection]
                assert connection.peek(65536) == b"x" * size
                assert (waits.count, receives.count) == (1, 1)
                assert backend.wait([connection], 0, waker) == []
                assert (waits.count, receives.count) == (2, 1)
        connection.close()
    waker.close()


def test_what_is_held_back_is_ready_without_a_system_call(monkeypatch):
    """The rest of what a short read has left, the end of the stream, and a failure."""
    backend = new_backend()
    waker = backend.create_waker()
    with Server(over_tls(lambda tls: tls.send(b"0123456789"))) as server:
        connection = open_connection(server.address, backend=backend)
        assert connection.read(4, SOON) == b"0123"
        with monkeypatch.context() as patch:
            patch.setattr(_sockets, "wait", lambda *args: 1 // 0)
            assert backend.wait([connection], SOON, waker) == [connection]
            assert connection.peek(100) == b"456789"
        assert backend.wait([connection], SOON, waker) == [connection]
        assert connection.peek(100) == b""
        with monkeypatch.context() as patch:
            patch.setattr(_sockets, "wait", lambda *args: 1 // 0)
            assert backend.wait([connection], SOON, waker) == [connection]
            connection.close()
            assert backend.wait([connection], SOON, waker) == [connection]
    waker.close()


def test_what_is_held_back_does_not_hide_the_others():
    """A connection that is ready at once is reported together with one that has data."""
    gate = Gate()

    def serve(tls):
        tls.send(b"0123456789")
        gate.wait()
        discard(tls)

    backend = new_backend()
    waker = backend.create_waker()
    with Server(over_tls(serve)) as server:
        first, second = [open_connection(server.address, backend=backend) for _ in range(2)]
        assert first.read(4, SOON) == b"0123"
        assert second._waiting.wait_for([(second._socket, False)], _sockets.Deadline(SOON))
        second._is_fed = False
        assert backend.wait([first, second], SOON, waker) == [first, second]
        gate.open()
        first.close()
        second.close()
    waker.close()


def test_what_tls_has_to_say_is_sent_when_that_is_possible():
    """A connection whose socket was full is ready when it is not any more; peek() sends it."""
    gate, received = Gate(), []

    def serve(tls):
        gate.wait()
        received.append(len(read_exactly(tls, 5)))
        discard(tls)

    backend = new_backend()
    waker = backend.create_waker()
    with Server(over_tls(serve, version="1.2")) as server:
        connection = open_silent(server.address, backend)
        connection._unsent = bytes(bytearray(connection._engine.seal(b"first")))
        filler = connection._socket
        connection._socket, full = socket.socketpair()
        connection._socket.setblocking(False)
        full.setblocking(False)
        while _sockets.try_send(connection._socket, b"x" * 65536):
            pass
        assert backend.wait([connection], SHORT / 10, waker) == []
        full.send(b"x")
        assert backend.wait([connection], SOON, waker) == [connection]
        assert _sockets.try_receive(connection._socket) == b"x"
        while _sockets.try_receive(full):
            pass
        assert backend.wait([connection], SOON, waker) == [connection]
        connection._socket.close()
        full.close()
        connection._socket = filler
        assert connection.peek(10) is None
        assert backend.wait([connection], 0, waker) == []
        gate.open()
        connection.close()
    assert received == [5]
    waker.close()


def test_what_tls_cannot_say_any_more_is_not_waited_for():
    """After a write that failed the socket may stay writable: that would be a busy loop."""
    backend = new_backend()
    waker = backend.create_waker()
    with Server(over_tls(discard, version="1.2")) as server:
        connection = open_silent(server.address, backend)
        connection._unsent = b"a response"
        connection._stop_writes("an earlier write failed")
        assert backend.wait([connection], 0, waker) == []
        connection.close()
        assert backend.wait([connection], SOON, waker) == [connection]
    waker.close()


def test_descriptors_beyond_the_limit_of_select_are_waited_for():
    """With poll() in its place: also for a socket that is to be read and written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1300:
        pytest.skip("the system does not allow that many descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1300), hard))
    opened = []
    try:
        while not opened or opened[-1] < 1050:
            opened.append(os.open(os.devnull, os.O_RDONLY))
        backend = new_backend()
        waker = backend.create_waker()
        left, right = _sockets.open_pair()
        begin = monotonic()
        assert _sockets.wait([(left, False)], 0.05) == [] and monotonic() - begin >= 0.03
        assert _sockets.wait([(left, False)], 0) == []
        begin = time.time()
        assert _sockets.wait([(left, False)], 0.0009) == [] and time.time() - begin > 0.0005
        for order in ((False, True), (True, False)):
            assert left in _sockets.wait([(left, wanted) for wanted in order], SOON)
        waker.wake()
        assert backend.wait([], SOON, waker) == []
        ending = threading.Timer(SHORT, waker.wake)
        ending.start()
        assert backend.wait([], SOON, waker) == []
        ending.join()
        waker.close()
        left.close()
        right.close()
    finally:
        for number in opened:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_a_signal_does_not_end_a_wait_unless_it_wakes():
    """A signal handler may wake who waits in its own thread."""
    backend = new_backend()
    waker, calls = backend.create_waker(), []

    def handle(*args):
        calls.append(args)
        if len(calls) == 3:
            signal.setitimer(signal.ITIMER_REAL, 0)
            waker.wake()

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        begin = monotonic()
        assert backend.wait([], SOON, waker) == []
        assert len(calls) >= 3 and monotonic() - begin < SOON
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    waker.close()


def test_an_interrupted_wake_does_not_spoil_those_that_follow():
    """An exception from outside may come between any two steps of it."""
    def interrupted():
        raise KeyboardInterrupt

    waker, ends = Waker(), []
    assert not waker.begin(interrupted)
    with pytest.raises(KeyboardInterrupt):
        waker.wake()
    with pytest.raises(KeyboardInterrupt):
        waker.wake()
    assert waker.finish()
    assert not waker.begin(lambda: ends.append("now"))
    waker.wake()
    waker.wake()
    assert ends == ["now"]


def test_an_interrupted_wait_uses_no_wake_up(monkeypatch):
    """Whoever goes on in the place of the one that was interrupted is woken instead."""
    backend = new_backend()
    waker = backend.create_waker()

    def interrupted(*args):
        waker.wake()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(select, "select", interrupted)
        with pytest.raises(KeyboardInterrupt):
            backend.wait([], SOON, waker)
    assert backend.wait([], SOON, waker) == []
    begin = monotonic()
    assert backend.wait([], SHORT, waker) == []
    assert monotonic() - begin > SHORT * 0.8
    waker.close()


def test_many_wakes_send_one_byte(monkeypatch):
    """However many followers wake the one that waits."""
    backend = new_backend()
    waker = backend.create_waker()
    sends = Calls(monkeypatch, _sockets, "try_send")
    for _ in range(1000):
        waker.wake()
    assert sends.count == 0, "nobody waits"
    real = select.select

    def waking(*args):
        for _ in range(1000):
            waker.wake()
        return real(*args)

    assert backend.wait([], SOON, waker) == []
    monkeypatch.setattr(select, "select", waking)
    assert backend.wait([], SOON, waker) == []
    assert sends.count == 1
    waker.close()


def test_a_byte_that_comes_late_wakes_nobody():
    """It was for a wait that has ended otherwise, whose caller has looked at everything."""
    waker = new_backend().create_waker()
    backend = new_backend()
    assert waker.begin(waker._end) is False
    waker.wake()
    assert waker.finish()
    begin = monotonic()
    assert backend.wait([], SHORT, waker) == []
    assert monotonic() - begin > SHORT * 0.8
    waker.close()


def test_a_waker_that_is_collected_gives_its_descriptors_back():
    """Nobody has to close it."""
    backend = new_backend()
    gc.collect()
    before = count_descriptors()
    wakers = [backend.create_waker() for _ in range(3)]
    assert count_descriptors() == before + (6 if before else 0)
    wakers.pop().close()
    del wakers
    gc.collect()
    assert count_descriptors() == before


def test_a_child_does_not_wake_its_parent(in_forked_child):
    """The waker that it inherited is the parent's; one that it makes is its own."""
    backend = new_backend()
    waker = backend.create_waker()
    waker.begin(waker._end)  # As another thread of the parent does.

    def child():
        waker.wake()
        with pytest.raises(ConnectionLost) as caught:
            backend.wait([], SOON, waker)
        assert "parent process" in str(caught.value)
        waker.close()
        own = backend.create_waker()
        own.wake()
        assert backend.wait([], SOON, own) == []

    in_forked_child(child)
    assert _sockets.wait([(waker._receiver, False)], 0) == []
    waker.wake()
    assert backend.wait([], SOON, waker) == []
    waker.close()


def test_connections_of_the_parent_are_ready_in_a_child(in_forked_child):
    """Reading from them raises; the parent's sockets are left alone."""
    backend = new_backend()
    waker = backend.create_waker()
    with Server(over_tls(discard, version="1.2"), ignore=GONE) as server:
        connection = open_silent(server.address, backend)

        def child():
            own = backend.create_waker()
            assert backend.wait([connection], SOON, own) == [connection]
            with pytest.raises(ConnectionLost):
                connection.peek(1)

        in_forked_child(child)
        assert backend.wait([connection], 0, waker) == []
        connection.close()
    waker.close()


def test_simulated_time_passes_in_a_wait():
    """The back-end in memory, which tests of sessions use, keeps the promise in its own time."""
    def play(peer):
        yield peer.pause(5)
        peer.say(b"hello")
        yield peer.pause(5)

    with serve_bytes(play) as server:
        backend = Backend(server)
        clock, waker = backend.clock, backend.create_waker()
        begin = clock()
        first, second = [backend.get_new_connection(server.address, None) for _ in range(2)]
        server.clock.call_later(4, waker.wake)
        for connections, timeout, expected, seconds in (
                ([first, second], 3.5, [], 3.5), ([first, second], None, [], 4),
                ([first, second], 0, [], 4), ([first], None, [first], 5), ([], 1, [], 6),
                ([second], 0, [second], 6)):
            assert backend.wait(connections, timeout, waker) == expected
            assert clock() - begin == seconds
        assert first.peek(9) == second.peek(9) == b"hello"
        assert backend.wait([first], None, waker) == [first]
        assert clock() - begin == 10 and first.peek(1) == b""
        waker.close()
