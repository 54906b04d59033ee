"""Events and locks of the green back-end: by greenlets, by threads, and by finalizers."""

from __future__ import absolute_import, division, print_function

import sys
import threading

import pytest

pytest.importorskip("gevent")

import gevent

from apnsclient.backends.gevent import Backend
from gevent_support import all_of, in_event_loop
from stdio_support import AUTHORITY, SOON, Gate

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def backend():
    return Backend(ca_string=AUTHORITY.ca_string)


def test_an_event_is_set_by_any_thread_for_any_thread(backend):
    """It belongs to none of them: the one that waited first may have ended."""
    event, results = backend.create_event(), []

    def wait(timeout):
        results.append(event.wait(timeout))
        gevent.get_hub().destroy(destroy_loop=True)

    for set_it, timeout in ((lambda: None, 0.01), (event.set, SOON)):
        thread = threading.Thread(target=wait, args=(timeout,))
        thread.start()
        set_it()
        thread.join(SOON)
    assert results + all_of([lambda: event.wait(SOON)] * 2) == [False, True, True, True]


def test_an_event_wakes_all_who_wait(backend):
    """In whatever thread they are."""
    event, results, thread_waits = backend.create_event(), [], threading.Event()

    def wait_in_thread():
        thread_waits.set()
        results.append(event.wait(SOON))

    thread = threading.Thread(target=wait_in_thread)
    thread.start()
    waiting = [gevent.spawn(event.wait, SOON) for _ in range(3)]
    assert thread_waits.wait(SOON)
    gevent.sleep(0.001)
    event.set()
    assert [one.get(timeout=SOON) for one in waiting] == [True] * 3
    thread.join(SOON)
    assert results == [True]


def is_free(lock):
    """Return True if another greenlet can have the lock."""
    return all_of([lambda: lock.acquire(False) and (lock.release() or True)]) == [True]


def test_the_lock_is_one_greenlets_at_a_time(backend):
    """The others wait until it is released as often as it was taken."""
    lock = backend.create_lock()
    assert lock.acquire() and lock.acquire(False)
    waiting = gevent.spawn(lambda: [lock.acquire(), lock.release()])
    assert not is_free(lock)
    lock.release()
    assert not is_free(lock) and not waiting.ready()
    lock.release()
    assert waiting.get(timeout=SOON) == [True, None]
    assert is_free(lock)


def test_the_lock_is_released_by_its_holder_alone(backend):
    """Anybody else is told, and so is who does it once too often."""
    lock = backend.create_lock()
    with pytest.raises(RuntimeError):
        lock.release()
    with lock:
        with pytest.raises(RuntimeError):
            all_of([lock.release])
        assert not is_free(lock)
    assert is_free(lock)


def test_the_lock_is_not_waited_for_longer_than_allowed(backend):
    """With a timeout."""
    lock = backend.create_lock()
    with lock:
        assert all_of([lambda: lock.acquire(True, 0.01)]) == [False]


@pytest.mark.parametrize("place", ["greenlet", "event loop"])
def test_the_lock_excludes_other_threads(backend, place):
    """They wait as greenlets do, and the event loop waits for them where it has to."""
    lock, taken, gate = backend.create_lock(), threading.Event(), Gate()

    def hold_it():
        with lock:
            taken.set()
            gate.wait()

    thread = threading.Thread(target=hold_it)
    thread.start()
    assert taken.wait(SOON)
    assert not lock.acquire(False)
    if place == "greenlet":
        gevent.spawn_later(0.001, gate.open)
        assert lock.acquire()
        lock.release()
    else:
        threading.Timer(0.05, gate.open).start()
        assert in_event_loop(lambda: [lock.acquire(), lock.release()]) == [True, None]
    thread.join(SOON)


def test_a_finalizer_may_take_the_lock_at_any_moment(backend):
    """Whatever line of the lock's own methods the collector interrupts, nobody is stuck."""
    lock, interrupted, before = backend.create_lock(), [], sys.gettrace()

    def trace(frame, event, argument):
        if frame.f_code.co_filename != trace.where:
            return None
        interrupted.append(frame.f_lineno)
        if lock.acquire(False):
            lock.release()
        else:
            interrupted.append("stuck")
        return trace

    trace.where = type(lock).acquire.__code__.co_filename
    sys.settrace(trace)
    try:
        with lock:
            with lock:
                pass
    finally:
        sys.settrace(before)
    assert len(interrupted) > 10
    assert "stuck" not in interrupted
    assert is_free(lock)


def test_greenlets_wait_for_slots_of_the_pool_in_order(backend):
    """One that is killed leaves the queue, and takes no slot."""
    served = []

    def acquire(timeout=SOON):
        return backend.acquire_slot(("a", 1), "certificate", limit=1, timeout=timeout)

    def wait(number):
        slot = acquire()
        served.append(number)
        slot.release()

    slot = acquire()
    greenlets = [gevent.spawn(wait, number) for number in range(3)]
    while backend.waiting_count() < 3:
        gevent.sleep(0.001)
    assert acquire(0.01) is None
    greenlets[1].kill()
    slot.release()
    gevent.joinall(greenlets, SOON, raise_error=True)
    assert served == [0, 2]
    assert (backend.in_use_count(), backend.waiting_count()) == (0, 0)
