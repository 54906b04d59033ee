"""Events of threads: one set is enough, whenever it comes, and nobody looks again and again."""

from __future__ import absolute_import, division, print_function

import os
import signal
import socket
import threading
from functools import partial

import pytest

from apnsclient._compat import PY2, monotonic
from apnsclient.backends import _events, _sockets
from lines_support import AtLine, at_each_line, at_each_two_lines, interrupt
from pool_support import SOON, until

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(params=["_SocketEvent"] if PY2 else ["_LockEvent", "_SocketEvent"])
def new_event(request):
    """What makes an event: that of Python 2.7 works on every interpreter."""
    return getattr(_events, request.param)


def test_each_interpreter_has_its_kind():
    """Descriptors are for those that need them."""
    assert _events.Event is (_events._SocketEvent if PY2 else _events._LockEvent)


def test_a_set_ends_the_wait_whenever_it_comes(new_event):
    """In whichever line of the wait a finalizer runs, or another thread; nothing hangs."""
    def wait(number, limit):
        event = new_event()
        with AtLine("_events", [number], event.set) as finalizer:
            # There are no more lines before it has to be set from elsewhere.
            rescue = threading.Timer(limit, lambda: finalizer.has_run or event.set())
            rescue.start()
            assert event.wait(SOON) is True
        rescue.cancel()
        rescue.join()
        return finalizer.has_run

    begin = monotonic()
    for limit in (0.05, 1, 5):
        lines = at_each_line(partial(wait, limit=limit), least=0)
        if lines >= 3:
            break  # Otherwise the machine may have been slower than the rescue.
    assert lines >= 3
    assert monotonic() - begin < SOON


def test_whoever_is_woken_sees_that_the_event_is_set(new_event):
    """In whichever line of ``set()`` the waiter goes on."""
    def set_at(number):
        event, results, is_over = new_event(), [], threading.Event()

        def wait():
            results.append(event.wait(SOON))
            is_over.set()

        thread = threading.Thread(target=wait)
        thread.start()
        with AtLine("_events", [number], lambda: is_over.wait(0.02)) as tracer:
            event.set()
        thread.join()
        assert results == [True]
        return tracer.has_run

    at_each_line(set_at)


def test_a_wait_without_a_set_ends_in_time(new_event):
    """Not before, and it may be waited again."""
    event = new_event()
    for timeout in (0, 0.1):
        begin = monotonic()
        assert event.wait(timeout) is False
        # The clock of Python 2.7 moves in steps of 10 ms.
        assert timeout - 0.02 <= monotonic() - begin < SOON
    event.set()
    assert event.wait(0) is event.wait(SOON) is True


def test_an_event_is_set_a_second_time_while_the_wait_for_it_ends(new_event):
    """In whichever two lines of the wait: nothing is raised, and the event stays set."""
    def wait(*numbers):
        event = new_event()
        with AtLine("_events", numbers, event.set) as finalizer:
            event.wait(0.001)
        assert event.wait(0) == (finalizer.runs > 0)
        return finalizer.has_run

    at_each_two_lines(wait, least=2)


def test_an_event_stays_set_if_the_wait_for_it_is_interrupted(new_event):
    """It was set in one line, and the interrupt comes in a later one."""
    def wait(*numbers):
        event = new_event()
        actions = [event.set, interrupt]
        with AtLine("_events", numbers, lambda: actions.pop(0)()) as tracer:
            try:
                event.wait(0.001)
            except KeyboardInterrupt:
                pass
        assert event.wait(0) == (tracer.runs > 0)
        return tracer.has_run

    at_each_two_lines(wait, least=2)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such signals")
def test_a_signal_ends_the_wait_of_the_main_thread(new_event):
    """At once, if its handler raises; else the wait goes on."""
    calls = []

    def handle(number, frame):
        calls.append(number)
        if len(calls) == 2:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handle)
    try:
        begin = monotonic()
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
            new_event().wait(SOON)
        assert monotonic() - begin < SOON
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# What is for Python 2.7 alone.


class Watched(object):
    """Notes the pairs of sockets of events, and how often they are waited for."""

    def __init__(self, monkeypatch):
        self.ends, self.waits = [], 0
        open_pair, wait = _sockets.open_pair, _sockets.wait

        def note_pair():
            self.ends.extend(open_pair())
            return self.ends[-2:]

        def note_wait(*arguments):
            self.waits += 1
            return wait(*arguments)

        monkeypatch.setattr(_sockets, "open_pair", note_pair)
        monkeypatch.setattr(_sockets, "wait", note_wait)


def closed(end):
    try:
        return end.fileno() == -1
    except socket.error:
        return True  # Python 2.7.


@pytest.fixture(autouse=True)
def enough_descriptors(monkeypatch):
    """Events have sockets, however many descriptors the tests before have left open."""
    monkeypatch.setattr(_events, "_LAST_DESCRIPTOR", 1 << 20)


@pytest.fixture
def watched(monkeypatch):
    return Watched(monkeypatch)


def test_a_wait_for_a_byte_looks_once(watched, monkeypatch):
    """It has two sockets, and has given them back afterwards, also if it was interrupted."""
    monkeypatch.setattr(_events.time, "sleep", lambda seconds: pytest.fail("it polls"))
    event = _events._SocketEvent()
    thread = threading.Thread(target=lambda: [until(lambda: watched.waits), event.set()])
    thread.start()
    assert event.wait(SOON) is True
    thread.join()
    assert (watched.waits, len(watched.ends)) == (1, 2)
    assert _events._SocketEvent().wait(0.01) is False
    monkeypatch.setattr(_sockets, "wait", lambda *arguments: interrupt())
    with pytest.raises(KeyboardInterrupt):
        _events._SocketEvent().wait(SOON)
    assert len(watched.ends) >= 6 and all(map(closed, watched.ends))


def no_descriptors():
    raise socket.error(24, "Too many open files")


@pytest.mark.parametrize("is_refused", [True, False])
def test_where_descriptors_are_scarce_connections_have_them(watched, monkeypatch, is_refused):
    """A wait does without, until there are some again; it ends as before."""
    if is_refused:
        monkeypatch.setattr(_sockets, "open_pair", no_descriptors)
    else:
        monkeypatch.setattr(_events, "_LAST_DESCRIPTOR", 2)
    event = _events._SocketEvent()
    assert event.wait(0.01) is False
    thread = threading.Timer(0.1, event.set)
    thread.start()
    assert event.wait(SOON) is True
    thread.join()
    assert watched.waits == 0 and all(map(closed, watched.ends))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_that_sets_an_event_of_its_parent_does_no_harm(in_forked_child):
    """The parent waits until somebody sets its own."""
    event, results = _events._SocketEvent(), []
    waiter = threading.Thread(target=lambda: results.append(event.wait(SOON)))
    waiter.start()
    until(lambda: event._sender is not None)
    in_forked_child(event.set)
    assert results == []
    event.set()
    waiter.join(SOON)
    assert results == [True]
