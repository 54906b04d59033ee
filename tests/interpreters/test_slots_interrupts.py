"""Slots while finalizers run and interrupts come, before any line of what deals with them."""

from __future__ import absolute_import, division, print_function

import datetime

import pytest

from lines_support import AtLine, at_each_line, at_each_two_lines, interrupted
from pool_support import Backend, Caller, FakeConnection, Slots, TimedBackend, until

pytestmark = pytest.mark.timeout(240)

#: Most seconds until a waiter sees for itself that a slot is free.
LONGEST_LOOK = 1


def test_a_finalizer_releases_in_the_middle_of_releasing():
    """In whichever line it runs: two are served of those who wait, and not a third."""
    def release_twice(number):
        slots, served = Slots(), []
        slots.fill(count=3, limit=3)
        callers = [Caller(slots, limit=3, served=served) for _ in range(3)]
        with AtLine("_pool", [number], lambda: slots.release()) as finalizer:
            slots.release()
        if not finalizer.has_run:
            slots.release()
        until(lambda: len(served) == 2)
        assert slots.counts() == (3, 1)
        slots.release()
        assert [caller.join() for caller in callers] == [True] * 3
        return finalizer.has_run

    at_each_line(release_twice)


def test_finalizers_release_several_times_in_the_middle_of_releasing():
    """Nobody is forgotten, and nobody gets a slot that there is not."""
    def release_at(*numbers):
        slots = Slots()
        slots.fill(count=4, limit=4)
        waiters = [slots.line_up(limit=4) for _ in range(4)]
        with AtLine("_pool", numbers, lambda: slots.release()) as finalizer:
            slots.release()
        assert [one.is_granted for one in waiters].count(True) == 1 + finalizer.runs
        assert slots.counts() == (4, 3 - finalizer.runs)
        return finalizer.has_run

    at_each_two_lines(release_at)


@pytest.mark.parametrize("limit", [1, 2, None])
def test_a_finalizer_releases_in_the_middle_of_acquiring(limit):
    """The slot goes to the one who asks or to the one who waits already; to exactly one."""
    def acquire_once(number):
        slots = Slots()
        slots.fill(count=2, limit=2)
        first = Caller(slots, limit=2)
        with AtLine("_pool", [number], lambda: slots.release()) as finalizer:
            # Whoever asks for one slot of one is not served as long as another is in use.
            is_served = slots.acquire("a", limit, 0)
        assert not is_served or limit is None
        if not finalizer.has_run:
            slots.release()
        if is_served:
            slots.release()
        assert first.join() is True
        assert slots.counts() == (2, 0)
        return finalizer.has_run

    at_each_line(acquire_once)


def test_a_finalizer_empties_a_queue_while_another_begins():
    """Queues that are empty go, and no other."""
    def begin(number):
        slots = Slots()
        slots.fill(host="b")
        slots.fill(host="c")
        with AtLine("_pool", [number], lambda: slots.release("b")) as finalizer:
            assert slots.acquire()
        assert [slots.in_use(host) for host in "abc"] == [1, 0 if finalizer.has_run else 1, 1]
        assert not slots.acquire("c")
        return finalizer.has_run

    at_each_line(begin)


def test_an_interrupt_takes_no_slot_of_anothers():
    """In whichever line it comes, the slot in use stays in use, and nobody is left waiting."""
    def acquire_in_vain(number):
        slots = Slots()
        slots.fill()
        is_served, has_run = interrupted("_pool", number, lambda: slots.acquire())
        assert not is_served
        assert slots.counts() == (1, 0)
        return has_run

    at_each_line(acquire_in_vain)


@pytest.mark.parametrize("ends", [True, False])
def test_an_interrupt_loses_no_slot(ends):
    """Acquired and released, or just forgotten: in whichever line, all can be acquired again.

    And whoever waits is served.
    """
    def use(slots):
        slot = slots.ask(limit=2)
        if ends and slot is not None:
            slot.release()

    def use_once(number):
        slots = Slots()
        slots.fill(limit=2)
        has_run = interrupted("_pool", number, lambda: use(slots))[1]
        slots.fill(limit=2)
        assert not slots.acquire(limit=2)
        assert slots.counts() == (2, 0)
        return has_run

    at_each_line(use_once, least=20)


def test_an_interrupt_while_releasing_leaves_nobody_waiting():
    """Those who wait see for themselves: whoever was to wake them may have been interrupted."""
    def release(number):
        slots, runs = Slots(TimedBackend()), []
        slot, clock = slots.ask(), slots.backend.clock

        def interrupt_releasing():
            runs.append(interrupted("_pool", number, slot.release)[1])
            if not slot.is_over:
                slot.release()

        begin = clock.now
        clock.call_later(5, interrupt_releasing)
        # From there on it does not matter that the slot is still at hand.
        assert slots.acquire(timeout=None) is True
        assert 5 <= clock.now - begin <= 5 + LONGEST_LOOK
        assert slots.counts() == (1, 0)
        return runs[0]

    at_each_line(release, least=10)


def test_a_slot_that_nobody_has_any_more_is_free():
    """Although nobody released it: the next one has it, and so has whoever waits."""
    slots = Slots(TimedBackend())
    clock = slots.backend.clock
    assert slots.ask() is not None
    slots.fill()
    lost = [slots.pop()]
    begin = clock.now
    clock.call_later(5, lost.pop)
    assert slots.acquire(timeout=3600) is True
    assert 5 <= clock.now - begin <= 5 + LONGEST_LOOK
    assert slots.counts() == (1, 0)


def test_a_slot_is_released_once():
    """Another time it may be somebody else's."""
    slots = Slots()
    slot = slots.ask()
    slot.release()
    slots.fill()
    slot.release()
    assert slots.in_use() == 1


# Idle connections.


def backend_with(count):
    """Return a back-end with so many idle connections, and these."""
    backend = Backend()
    connections = [FakeConnection(("a", 1), "certificate") for _ in range(count)]
    for connection in connections:
        backend.release(connection)
    return backend, connections


def take_idle(backend):
    """Return the connections that were in the pool."""
    return backend.pop_outdated(datetime.timedelta(0))


@pytest.mark.parametrize("is_new", [False, True])
def test_an_interrupt_loses_no_idle_connection(is_new):
    """In whichever line: each is in the pool once, or belongs to whoever has the slot."""
    def acquire(number):
        backend, connections = backend_with(3)
        slot, has_run = interrupted("_pool", number, lambda: backend.acquire_slot(
            ("a", 1), "certificate", (), 2, 0, is_new))
        taken = [] if slot is None else slot.surplus + [slot.connection] * (not is_new)
        assert len(taken) == (0 if has_run else 2 if is_new else 1)
        assert sorted(taken + take_idle(backend), key=id) == sorted(connections, key=id)
        assert backend.in_use_count() == (0 if has_run else 1)
        return has_run

    at_each_line(acquire, least=20)


def test_an_interrupt_puts_no_connection_into_the_pool_twice():
    """In whichever line of a release: the slot is free, and the connection has one user."""
    def release(number):
        backend, connections = backend_with(1)
        slot = backend.acquire_slot(("a", 1), "certificate", limit=1)
        has_run = interrupted("_pool", number, lambda: slot.release(connections[0]))[1]
        # Whoever was interrupted does not know how far it came.
        slot.release(connections[0])
        assert take_idle(backend) in ([], connections)
        assert backend.in_use_count() == 0
        return has_run

    at_each_line(release, least=20)


@pytest.mark.parametrize("method", ["take", "put", "acquire"])
@pytest.mark.parametrize("is_new", [False, True])
def test_finalizers_and_callers_never_share_a_connection(method, is_new):
    """In whichever line of acquiring one runs: each connection is in one place."""
    def acquire(number):
        backend, connections = backend_with(2)
        late, taken = FakeConnection(("a", 1), "certificate"), []

        def finalize():
            if method == "take":
                taken.extend(take_idle(backend))
            elif method == "put":
                backend.release(late)
            else:
                slots.append(backend.acquire_slot(("a", 1), "certificate", limit=3, timeout=0))

        slots = []
        with AtLine("_pool", [number], finalize) as finalizer:
            slots.append(backend.acquire_slot(("a", 1), "certificate", (), 3, 0, is_new))
        assert backend.in_use_count() == len(slots) == 1 + (method == "acquire") * finalizer.runs
        for slot in slots:
            taken.extend(slot.surplus)
            if slot.connection is not None:
                taken.append(slot.connection)
        taken += take_idle(backend)
        everywhere = connections + [late] * (method == "put") * finalizer.runs
        assert sorted(taken, key=id) == sorted(everywhere, key=id)
        return finalizer.has_run

    at_each_line(acquire, least=20)


def test_a_finalizer_and_its_thread_put_and_take_the_last_connection():
    """In whichever line of one the other happens: nothing is lost, nor there twice."""
    def check(is_put, number):
        (backend, connections), taken = backend_with(1), []
        late = FakeConnection(("a", 1), "certificate")
        everything = connections + [late]
        steps = [lambda: backend.release(late), lambda: taken.extend(take_idle(backend))]
        with AtLine("_pool", [number], steps[is_put]) as finalizer:
            steps[not is_put]()
        if not finalizer.has_run:
            steps[is_put]()
        assert sorted(taken + take_idle(backend), key=id) == sorted(everything, key=id)
        return finalizer.has_run

    at_each_line(lambda number: check(True, number), least=10)
    at_each_line(lambda number: check(False, number), least=10)


def test_a_finalizer_uses_the_pool_while_the_last_connection_is_taken():
    """In whichever line it gets a slot, gives it back and gets another: that one is known."""
    def take(number):
        backend, slots = backend_with(1)[0], []

        def use():
            for _ in range(2):
                slots.append(backend.acquire_slot(("a", 1), "certificate", limit=1, timeout=0))
                if len(slots) == 1:
                    slots[0].release()

        with AtLine("_pool", [number], use) as finalizer:
            backend.pop_idle(("a", 1), "certificate")
        assert backend.in_use_count() == finalizer.runs
        return finalizer.has_run

    at_each_line(take, least=10)
