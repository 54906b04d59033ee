"""The event loop under the simulator: pollers, timers, calls from other threads, and its limits."""

from __future__ import absolute_import, division, print_function

import logging
import os
import resource
import select
import signal
import socket
import sys
import threading

import pytest

from apnsclient.testing._poller import HANG_UP, READ, WRITE, Poller
from apnsclient.testing.simulator import Simulator
from apnsclient.testing.simulator.loop import Loop
from simulator_client import error_frame, feedback_client, gateway_client, modern

pytestmark = pytest.mark.timeout(240)

HANG = 150


@pytest.fixture(params=[True, False])
def poller(request):
    instance = Poller(is_large=request.param)
    yield instance
    instance.close()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def loop():
    running = Loop(lambda: None)
    running.start()
    yield running
    running.stop()


def test_a_poller_returns_what_is_ready(poller, pair):
    """Only what was asked for, and as long as it is so."""
    ours, theirs = pair
    number = ours.fileno()
    poller.register(number, READ)
    assert poller.poll(0) == []
    theirs.send(b"x")
    for _ in range(2):
        assert poller.poll(None) == [(number, READ)]
    poller.modify(number, READ | WRITE)
    assert poller.poll(1) == [(number, READ | WRITE)]
    poller.modify(number, WRITE)
    assert poller.poll(1) == [(number, WRITE)]
    poller.modify(number, 0)
    assert poller.poll(0) == []
    poller.modify(number, READ)
    poller.unregister(number)
    assert poller.poll(0) == []


def test_the_end_of_what_a_peer_sends_makes_a_connection_readable(poller, pair):
    """Whether or not something was sent before; a failure makes it ready for all."""
    ours, theirs = pair
    poller.register(ours.fileno(), READ)
    theirs.shutdown(socket.SHUT_WR)
    assert poller.poll(1) == [(ours.fileno(), READ)]
    poller.modify(ours.fileno(), 0)
    assert poller.poll(0) == []
    theirs.close()
    assert poller.poll(1) == [(ours.fileno(), READ | WRITE | HANG_UP)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has this event")
def test_the_end_can_be_waited_for_behind_data_that_nobody_reads(poller, pair):
    """As a handler of the chaos proxy does that leaves them unread."""
    ours, theirs = pair
    poller.register(ours.fileno(), HANG_UP)
    theirs.send(b"x")
    assert poller.poll(0) == []
    theirs.shutdown(socket.SHUT_WR)
    assert poller.poll(1) == [(ours.fileno(), HANG_UP)]


def test_a_signal_does_not_stop_a_poller(poller):
    """Python 2.7 is interrupted then; that counts as nothing being ready."""
    handled = []
    previous = signal.signal(signal.SIGALRM, lambda number, frame: handled.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        while not handled:
            assert poller.poll(0.05) == []
    finally:
        signal.signal(signal.SIGALRM, previous)


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="epoll is a call of Linux")
def test_other_errors_of_a_poller_pass_through(monkeypatch):
    """Such as that of a descriptor that somebody else closed; to close it then is no error."""
    made, new = [], select.epoll
    monkeypatch.setattr(select, "epoll", lambda: made.append(new()) or made[0])
    poller = Poller(is_large=True)
    os.close(made[0].fileno())
    with pytest.raises((OSError, IOError)):
        poller.poll(0)
    # At once, before its number belongs to somebody else.
    poller.close()


def test_the_simulator_runs_without_epoll(monkeypatch):
    """Then poll does the same."""
    monkeypatch.delattr(select, "epoll", raising=False)
    with Simulator() as apns, gateway_client(apns) as client:
        client.send(modern(1), modern(2, token=b"1"), modern(3))
        assert client.read_to_end() == error_frame(5, 2)
        apns.devices.uninstall("01" * 32, 5)
        with feedback_client(apns) as reader:
            assert len(reader.read_to_end()) == 38
        assert apns.wait_for(lambda: apns.feedback_count == 1, HANG)


def test_timers_run_in_order_unless_they_are_cancelled(loop):
    """Whichever was started first, the earlier one runs first."""
    ran, done = [], threading.Event()

    def start():
        loop.call_later(0.03, done.set)
        loop.call_later(0.02, lambda: ran.append("late"))
        loop.call_later(0.0, lambda: ran.append("soon"))
        loop.call_later(0.01, lambda: ran.append("never")).cancel()
        # The earliest of all, so that the loop finds it in front of the others.
        loop.call_later(-1, lambda: ran.append("never")).cancel()

    loop.call(start)
    assert done.wait(HANG)
    assert ran == ["soon", "late"]


def test_asking_waits_for_the_value(loop):
    """The function runs in the loop's thread, also if that is where it is asked from."""
    assert loop.ask(threading.current_thread) is not threading.current_thread()
    assert loop.ask(lambda: loop.ask(lambda: 5)) == 5


def test_asking_a_loop_that_has_ended_is_an_error():
    """Nobody waits for ever for a result that cannot come."""
    ended = Loop(lambda: None)
    ended.start()
    ended.stop()
    with pytest.raises(RuntimeError):
        ended.ask(lambda: 5)


def test_a_callback_that_fails_is_logged_and_the_loop_goes_on(loop, caplog):
    """One broken connection does not end the others."""
    with caplog.at_level(logging.ERROR):
        loop.call(lambda: {}["missing"])
        assert loop.ask(lambda: 5) == 5
    assert [(record.levelname, bool(record.exc_info)) for record in caplog.records] == [
        ("ERROR", True)]


def test_who_asks_gets_what_was_raised(loop, caplog):
    """It is theirs, and says what is wrong; the loop goes on, and its log says nothing of it."""
    with pytest.raises(KeyError, match="missing"):
        loop.ask(lambda: {}["missing"])
    assert loop.ask(lambda: 5) == 5
    assert caplog.records == []


def test_more_calls_than_the_waker_can_hold(loop):
    """However many calls come while the loop is busy, each is made, in order."""
    begun, go, made = threading.Event(), threading.Event(), []

    def block():
        begun.set()
        go.wait(HANG)

    loop.call(block)
    assert begun.wait(HANG)
    for number in range(10000):
        loop.call(lambda number=number: made.append(number))
    go.set()
    assert loop.ask(lambda: len(made)) == 10000
    assert made == list(range(10000))


def test_running_out_of_descriptors_is_survived():
    """Connections wait in the backlog until there are descriptors again."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Simulator() as apns:
        sock = socket.socket()
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], 256), limits[1]))
        spare = []
        try:
            with pytest.raises(OSError):
                while True:
                    spare.append(os.dup(0))
            sock.connect(apns.gateway_address)
            # By now the loop has seen the connection, and could not accept it.
            apns.disconnect_all()
            assert not select.select([sock], [], [], 0)[0]
        finally:
            for descriptor in spare:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        sock.close()
        assert apns.wait_for(lambda: apns.refused == 1, HANG)
        with gateway_client(apns) as client:
            client.send(modern(1, token=b"1"))
            assert client.read_to_end() == error_frame(5, 1)


def test_stopping_while_it_is_out_of_descriptors():
    """The pause between two attempts does not outlive the listener."""
    with Simulator() as apns:
        listener = apns._engine._listeners[0]
        apns._engine.loop.ask(listener.close)
        apns._engine.loop.ask(listener._resume)
        apns._engine._listeners.remove(listener)
        assert apns._engine.loop.ask(lambda: 5) == 5


def test_a_thousand_connections_at_once():
    """Those that say nothing hold up nobody: what comes behind them is served.

    Most of them never begin TLS, which is what takes the time, and belongs to each alone.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2500:
        pytest.skip("the system allows %d descriptors only" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2500), hard))
    clients, idle = [], []
    try:
        with Simulator() as apns:
            for _ in range(900):
                idle.append(socket.create_connection(apns.gateway_address))
            # They are accepted in order.
            for _ in range(100):
                clients.append(gateway_client(apns))
            assert len(apns._engine.services.gateway.connections) == 1000
            assert apns.wait_for(lambda: apns.open_connections == 100, HANG)
            for number, client in enumerate(clients):
                client.send(modern(number))
            assert apns.wait_for(lambda: apns.accepted_count == 100, HANG)
            assert len(set(each.connection for each in apns.accepted)) == 100
    finally:
        for client in clients + idle:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
