"""Waiting for several connections at once, with the event loops of any thread."""

from __future__ import absolute_import, division, print_function

import os
import threading

import pytest

pytest.importorskip("gevent")

import gevent
import gevent.os
from gevent.exceptions import BlockingSwitchOutError

from apnsclient._compat import monotonic
from apnsclient._interrupts import is_interrupt
from apnsclient.backends import _sockets
from apnsclient.backends.gevent import Backend
from apnsclient.errors import ConnectionLost
from gevent_support import all_of, await_green, beside_others, in_event_loop
from stdio_support import (
    AUTHORITY,
    CLIENT,
    GONE,
    SHORT,
    SOON,
    Server,
    discard,
    open_connection,
    over_tls,
)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def backend():
    return Backend(ca_string=AUTHORITY.ca_string)


@pytest.fixture
def silent(backend):
    """A connection over which nothing comes."""
    with Server(over_tls(discard, version="1.2"), ignore=GONE) as server:
        connection = open_connection(server.address, backend=backend)
        assert connection.peek(100) is None
        yield connection
        connection.close()


class Killed(Exception):
    """What a greenlet is killed with."""


def test_others_run_during_a_wait(backend, silent):
    """And one of them may wake."""
    waker = backend.create_waker()
    assert beside_others(lambda: backend.wait([silent], SOON, waker), waker.wake) == []


def test_any_thread_wakes_whichever_waits(backend):
    """The wait belongs to a thread, the waker to none."""
    waker, ended = backend.create_waker(), []

    def wait():
        ended.append(backend.wait([], SOON, waker))
        gevent.get_hub().destroy(destroy_loop=True)

    for _ in range(2):
        thread = threading.Thread(target=wait)
        begin = monotonic()
        thread.start()
        all_of([waker.wake])
        thread.join(SOON)
        waking = threading.Thread(target=waker.wake)
        waking.start()
        ended += all_of([lambda: backend.wait([], SOON, waker)])
        waking.join(SOON)
        assert monotonic() - begin < SOON
    assert ended == [[]] * 4


@pytest.mark.parametrize("timeout", [None, SOON])
def test_a_wait_that_is_killed_passes_on_what_it_was_killed_with(backend, silent, timeout):
    """Others go on with its waker and its connections."""
    waker, passed = backend.create_waker(), []

    def wait():
        try:
            backend.wait([silent], timeout, waker)
        except Killed:
            passed.append(is_interrupt())
            raise

    victim = gevent.spawn(wait)
    victim.link_exception(lambda _: None)
    for _ in range(3):
        gevent.sleep(0.001)
    victim.kill(Killed("over"), timeout=SOON)
    assert passed == [True] and isinstance(victim.exception, Killed)
    waker.wake()
    assert backend.wait([silent], SOON, waker) == []
    assert backend.wait([silent], 0, waker) == []


def test_a_time_limit_of_gevents_ends_a_wait(backend, silent):
    """That of whoever waits, around all of it."""
    waker = backend.create_waker()
    limit = gevent.Timeout(0.01)
    with pytest.raises(gevent.Timeout) as caught:
        with limit:
            backend.wait([silent], SOON, waker)
    assert caught.value is limit


def test_nobody_waits_in_the_event_loop(backend, silent):
    """A callback there would stop everything; a wake is welcome."""
    waker = backend.create_waker()
    with pytest.raises(BlockingSwitchOutError):
        in_event_loop(lambda: backend.wait([silent], SOON, waker))
    in_event_loop(waker.wake)
    assert backend.wait([silent], SOON, waker) == []


@pytest.mark.parametrize("timeout", [0, 1e-9, SOON])
def test_wakes_that_do_not_end_let_others_run(backend, timeout):
    """A leader that is woken all the time reads all the same, and so does everybody else."""
    left, right = _sockets.open_pair()
    waiting, waker, rounds = backend.waiting, backend.create_waker(), []
    ticking = gevent.spawn(lambda: [rounds.append(gevent.sleep(0)) for _ in range(5)])
    for _ in range(10):
        waker.wake()
        assert waiting.wait([(left, False)], timeout, waker) == [waker]
    assert ticking.ready() and len(rounds) == 5
    right.send(b"x")
    waker.wake()
    assert waiting.wait([(left, False)], timeout, waker) == [left, waker]
    assert waiting.wait([(left, False)], timeout, waker) == [left]
    left.close()
    right.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("fork", ["os.fork", "gevent.os.fork"])
def test_a_copied_greenlet_does_not_go_on_with_the_parents_wait(
        backend, silent, fork, monkeypatch, in_forked_child):
    """In the child its wait ends with an exception, woken or not; in the parent it goes on."""
    if fork == "gevent.os.fork":
        monkeypatch.setattr(os, "fork", gevent.os.fork_gevent)
    waker = backend.create_waker()
    waiting = gevent.spawn(backend.wait, [silent], SOON, waker)
    gevent.sleep(0.001)

    def child():
        waker.wake()
        with pytest.raises(ConnectionLost):
            waiting.get(timeout=SOON)
        own = backend.create_waker()
        assert beside_others(lambda: backend.wait([], SOON, own), own.wake) == []

    in_forked_child(child)
    gevent.sleep(SHORT / 10)
    assert not waiting.ready()
    waker.wake()
    await_green(waiting.ready)
    assert waiting.get() == []


def test_an_address_is_not_looked_up(backend):
    """The threads of gevent's resolver may all be busy, with names that nobody answers for."""
    over, pool = threading.Event(), gevent.get_hub().threadpool
    busy = [pool.spawn(over.wait, SOON) for _ in range(pool.maxsize)]
    try:
        with Server(over_tls(discard), ignore=GONE) as server:
            with gevent.Timeout(SOON / 4.0, AssertionError("it waits for a thread")):
                certificate = backend.get_certificate({"cert_string": CLIENT.pem})
                attempt = backend.start_connecting(server.address, certificate, SOON)
                waker = backend.create_waker()
                while attempt.advance() is None:
                    backend.wait([attempt], SOON, waker)
                open_connection(server.address, backend=backend).close()
    finally:
        over.set()
        gevent.joinall(busy)
