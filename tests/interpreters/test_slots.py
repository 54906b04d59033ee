"""Slots: a limit that holds, in the order of arrival, whatever happens to those who wait."""

from __future__ import absolute_import, division, print_function

import os
import signal
import threading

import pytest

from apnsclient._compat import monotonic
from apnsclient.backends import _pool
from apnsclient.backends._events import Event
from pool_support import SOON, Backend, Caller, Slots, TimedBackend, until
from simulated_time import Clock
from threads_support import held_elsewhere

pytestmark = pytest.mark.timeout(240)


def test_there_are_so_many_slots_at_once():
    """Not one more, with many threads that come and go; and all of them are used."""
    slots, counting = Slots(), threading.Lock()
    inside, highest, rounds = [], [0], [0]
    barrier = threading.Event()

    def work():
        barrier.wait(SOON)
        for _ in range(50):
            assert slots.acquire("a", 3, SOON)
            inside.append(None)
            with counting:
                highest[0] = max(highest[0], len(inside))
                rounds[0] += 1
            inside.pop()
            slots.release()

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    barrier.set()
    for thread in threads:
        thread.join(SOON)
    assert rounds == [1000] and 1 <= highest[0] <= 3
    assert slots.in_use() == slots.waiting() == 0


def test_those_who_wait_are_served_in_the_order_of_arrival():
    """First come, first served; a slot that is released goes to the next without delay."""
    slots, served = Slots(), []
    slots.fill()
    callers = [Caller(slots, served=served) for _ in range(10)]
    assert slots.waiting() == 10 and served == []
    for number, caller in enumerate(callers):
        slots.release()
        assert caller.join() is True
        assert served == callers[:number + 1]
        assert slots.counts() == (1, 9 - number)


def test_nobody_jumps_the_queue():
    """A slot that was released belongs to the one who waited, before that thread even runs."""
    slots = Slots()
    slots.fill()
    waiting = slots.line_up()
    slots.release()
    assert waiting.is_granted
    assert not slots.acquire()
    waiting.release()
    assert slots.acquire()


def test_time_runs_out():
    """The caller is told when the time is up, to the moment, and has left the queue."""
    backend = TimedBackend()
    slots = Slots(backend)
    slots.fill()
    for timeout in (0.25, 1, 3600):
        begin = backend.clock.now
        assert slots.acquire("a", 1, timeout) is False
        assert backend.clock.now - begin == timeout
        assert slots.counts() == (1, 0)


@pytest.mark.parametrize("timeout", [7, 3600, None])
def test_a_slot_that_is_released_in_time_ends_the_wait(timeout):
    """At that moment, be it the last one."""
    backend = TimedBackend()
    slots = Slots(backend)
    slots.fill()
    begin = backend.clock.now
    backend.clock.call_later(7, slots.release)
    assert slots.acquire("a", 1, timeout) is True
    assert backend.clock.now - begin == 7
    assert slots.counts() == (1, 0)


def test_time_runs_out_on_the_real_clock():
    """The caller is told, not before the time is up."""
    slots = Slots()
    slots.fill()
    begin = monotonic()
    assert slots.acquire("a", 1, 0.2) is False
    # The clock of Python 2.7 moves in steps of 10 ms.
    assert 0.18 <= monotonic() - begin < SOON
    assert slots.counts() == (1, 0)


def test_who_has_no_more_time_is_passed_over(monkeypatch):
    """The next in the queue is served."""
    monkeypatch.setattr(_pool, "_LONGEST_WAIT", 0.01)
    now, backend = [1000.0], Backend()
    backend.clock = lambda: now[0]  # It stands still until both wait.
    slots = Slots(backend)
    slots.fill()
    hasty, patient = Caller(slots, timeout=5), Caller(slots, timeout=SOON)
    now[0] += 5
    assert hasty.join() is False
    slots.release()
    assert patient.join() is True


@pytest.mark.parametrize("timeout", [0, -1])
def test_no_time_means_not_to_wait(timeout):
    """Either there is a slot, or there is none; no event is made for it."""
    slots = Slots()
    slots.backend.create_event = lambda: pytest.fail("it waits")
    assert slots.acquire("a", 1, timeout) is True
    assert slots.acquire("a", 1, timeout) is False
    assert slots.waiting() == 0


def test_without_a_timeout_the_wait_has_no_end(monkeypatch):
    """Also where a single wait does not last as long."""
    monkeypatch.setattr(_pool, "_LONGEST_WAIT", 0.001)
    slots = Slots()
    slots.fill()
    caller = Caller(slots, timeout=None)
    assert not threading.Event().wait(0.05)
    assert caller.result is None
    slots.release()
    assert caller.join() is True


def test_without_a_limit_nobody_waits():
    """The slots are counted all the same."""
    slots = Slots()
    slots.fill(count=100, limit=None)
    assert slots.in_use() == 100
    slots.release()
    assert slots.in_use() == 99


def test_a_limit_may_change():
    """It is the caller's own that counts, and those behind do not pass."""
    slots = Slots()
    slots.fill(count=3, limit=3)
    first, second = Caller(slots, limit=2), Caller(slots, limit=3)
    slots.release()
    assert (first.result, second.result) == (None, None)
    slots.release()
    assert first.join() is True
    assert second.join() is True
    assert slots.in_use() == 3


def test_addresses_have_slots_of_their_own():
    """And nothing is kept of those that are out of use."""
    slots = Slots()
    for number in range(100):
        slots.fill(host=number)
        assert not slots.acquire(number)
        if number != 50:
            slots.release(number)
    assert (slots.counts(50), slots.counts("never")) == ((1, 0), (0, 0))
    slots.fill(count=2, host="c", limit=2)
    caller = Caller(slots, host="c")
    assert (slots.backend.in_use_count(), slots.backend.waiting_count()) == (3, 1)
    slots.release("c")
    slots.release("c")
    assert caller.join() is True
    slots.release("c")
    assert len(slots.backend._BaseBackend__pool()._groups) == 1


def test_certificates_and_protocols_have_slots_of_their_own():
    """Whoever counts may ask for the slots of one certificate; they are of any protocol."""
    backend = Backend()
    kept = [backend.acquire_slot(("a", 1), certificate, alpn, 1, 0)
            for certificate in "xy" for alpn in ((), ("h2",), ("h3", "h2"))]
    assert None not in kept
    assert backend.acquire_slot(("a", 1), "x", ("h2",), 1, 0) is None
    assert backend.in_use_count() == backend.in_use_count(("a", 1)) == 6
    assert backend.in_use_count(("a", 1), "x") == backend.in_use_count(certificate="y") == 3


# What happens to those who wait.


class Interrupted(Backend):
    """A back-end in whose events something happens while a caller waits."""

    def __init__(self, during_wait):
        super(Interrupted, self).__init__()
        self.clock = Clock()
        self._during_wait = during_wait

    def create_event(self):
        backend = self

        class Happening(Event):
            def wait(self, timeout):
                during_wait, backend._during_wait = backend._during_wait, None
                if during_wait is None:
                    return super(Happening, self).wait(timeout)
                return during_wait()
        return Happening()


def test_served_in_the_last_moment_is_served():
    """The time is up, and in between the slot was granted: it is the caller's."""
    def during_wait():
        backend.clock.advance(100)
        slots.release()
        return False  # The caller goes by the time.

    backend = Interrupted(during_wait)
    slots = Slots(backend)
    slots.fill()
    assert slots.acquire("a", 1, 5) is True
    assert slots.counts() == (1, 0)


@pytest.mark.parametrize("is_served", [False, True])
def test_an_exception_while_waiting_takes_no_slot(is_served):
    """Neither its place in the queue nor, if that had come by then, its slot is lost."""
    behind = []

    def during_wait():
        behind.append(Caller(slots))
        if is_served:
            slots.release()
        raise KeyboardInterrupt

    slots = Slots(Interrupted(during_wait))
    slots.fill()
    with pytest.raises(KeyboardInterrupt):
        slots.acquire("a", 1, SOON)
    if not is_served:
        assert slots.waiting() == 1
        slots.release()
    assert behind[0].join() is True
    assert slots.counts() == (1, 0)


def test_an_event_that_cannot_be_made_takes_no_place():
    """Whatever the back-end raises passes through."""
    class Broken(Backend):
        def create_event(self):
            raise MemoryError

    slots = Slots(Broken())
    slots.fill()
    with pytest.raises(MemoryError):
        slots.acquire("a", 1, SOON)
    assert slots.waiting() == 0


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no such signals")
@pytest.mark.parametrize("timeout", [SOON * 3, None])
def test_an_interrupt_from_the_keyboard_ends_the_wait(timeout):
    """At once, also where there is no timeout."""
    slots = Slots()
    slots.fill()

    def interrupt():
        until(lambda: slots.waiting() == 1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        begin = monotonic()
        with pytest.raises(KeyboardInterrupt):
            slots.acquire("a", 1, timeout)
        assert monotonic() - begin < SOON * 2
    finally:
        thread.join(SOON)
    assert slots.counts() == (1, 0)


# A forked child.


def test_a_forked_child_starts_with_no_slot_in_use(in_forked_child):
    """Those of the parent are the parent's; to give one of them back there changes nothing."""
    slots = Slots()
    slots.fill()
    caller = Caller(slots)

    def child():
        slots.release()
        assert slots.counts() == (0, 0)
        slots.fill()
        assert not slots.acquire()

    in_forked_child(child)
    assert slots.counts() == (1, 1)
    slots.release()
    assert caller.join() is True


def test_a_forked_child_does_not_wait_for_a_lock_of_the_parent(in_forked_child):
    """Another thread may have held it during the fork, and does not exist in the child."""
    slots = Slots()
    slots.fill()
    with held_elsewhere(slots.backend.lock):
        in_forked_child(lambda: slots.fill())


def test_a_caller_looks_again_only_where_threads_have_to():
    """An event of the back-end's own is awaited without naps in between; on 2.7 too."""
    waits = []

    class Patient(object):
        """An event that notes how long it is awaited, and is set when it is."""

        def set(self):
            pass

        def wait(self, timeout):
            waits.append(timeout)
            slots.release()

    backend = Backend()
    backend.create_event = Patient
    slots = Slots(backend)
    assert slots.acquire("a", 1, None)
    assert slots.acquire("a", 1, SOON)
    assert len(waits) == 1
    assert waits[0] > 0.5
