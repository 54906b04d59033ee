"""The pool against a model of it: whatever callers do, in whatever order."""

from __future__ import absolute_import, division, print_function

import datetime
import threading

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from apnsclient.backends._events import Event
from effort import examples
from pool_support import SOON, Backend, FakeConnection

WHERE = ("a", 1), "certificate"


class InterruptedEvent(object):
    """An event of threads whose wait can be made to raise ``KeyboardInterrupt``."""

    def __init__(self):
        self._event = Event()
        self._is_interrupted = False

    def set(self):
        self._event.set()

    def wait(self, timeout):
        is_set = self._event.wait(timeout)
        if self._is_interrupted:
            raise KeyboardInterrupt
        return is_set

    def interrupt(self):
        self._is_interrupted = True
        self._event.set()


class Waiter(object):
    """A thread that acquires a slot.

    :ivar event: what it waits for; None if it did not have to.
    """

    def __init__(self, backend, limit, is_new):
        self.is_new = is_new
        self.event = self._slot = None
        # Those of the threading module poll on Python 2.7.
        self._is_settled, self._is_over = Event(), Event()
        backend.create_event = self._create_event
        self._thread = threading.Thread(target=self._run, args=(backend, limit))
        self._thread.daemon = True
        self._thread.start()
        assert self._is_settled.wait(SOON)

    def _create_event(self):
        self.event = InterruptedEvent()
        self._is_settled.set()
        return self.event

    def _run(self, backend, limit):
        try:
            self._slot = backend.acquire_slot(WHERE[0], WHERE[1], (), limit, None, self.is_new)
        except KeyboardInterrupt:
            pass
        self._is_settled.set()
        self._is_over.set()

    def join(self):
        """Return the slot, or None if it was interrupted."""
        assert self._is_over.wait(SOON)
        slot, self._slot = self._slot, None
        return slot


class PoolMachine(RuleBasedStateMachine):
    """Does what callers do with one pool, and knows what has to come of it."""

    def __init__(self):
        super(PoolMachine, self).__init__()
        self.limit = self.size = None
        self.backend = Backend()
        #: Idle connections, oldest first; slots in use; those who wait, in order.
        self.idle, self.slots, self.waiters = [], [], []
        #: How many connections were put into the pool without a slot.
        self.added = 0

    @initialize(limit=st.sampled_from([1, 2, 3, None]), size=st.sampled_from([0, 1, 2, 5, None]))
    def begin(self, limit, size):
        self.limit, self.size = limit, size
        self.backend = Backend(pool_size=size)

    def has_room(self):
        return self.limit is None or len(self.slots) < self.limit

    def check_granted(self, slot, is_new):
        """Note a slot that was granted; it has what it should."""
        self.slots.append(slot)
        if not is_new:
            assert slot.connection is (self.idle.pop() if self.idle else None)
            assert slot.surplus == []
            return
        count = 0
        if self.limit is not None:
            count = min(max(len(self.slots) + len(self.idle) - self.limit, 0), len(self.idle))
        assert (slot.connection, slot.surplus) == (None, self.idle[:count])
        del self.idle[:count]

    def check_waiters(self):
        """The first who waits has got the slot that is free, and nobody else."""
        if self.waiters and self.has_room():
            waiter = self.waiters.pop(0)
            self.check_granted(waiter.join(), waiter.is_new)

    def put(self, connection, is_asked):
        """Note an idle connection, which is asked whether it is; return what has to be closed."""
        if self.size == 0 or is_asked and connection.is_hung_up:
            return [connection]
        self.idle.append(connection)
        if self.size is not None and len(self.idle) > self.size:
            return [self.idle.pop(0)]
        return []

    @rule(is_new=st.booleans())
    def acquire(self, is_new):
        slot = self.backend.acquire_slot(WHERE[0], WHERE[1], (), self.limit, 0, is_new)
        if self.waiters or not self.has_room():
            assert slot is None
        else:
            self.check_granted(slot, is_new)

    @rule(is_new=st.booleans())
    def wait(self, is_new):
        waiter = Waiter(self.backend, self.limit, is_new)
        assert (waiter.event is None) == (self.has_room() and not self.waiters)
        self.waiters.append(waiter)
        self.check_waiters()

    @precondition(lambda self: self.slots)
    @rule(index=st.integers(0, 2), kind=st.sampled_from(["none", "alive", "dead"]))
    def release(self, index, kind):
        slot = self.slots.pop(index % len(self.slots))
        if kind == "none":
            assert slot.release() == []
        else:
            connection = slot.connection or FakeConnection(*WHERE)
            connection.is_hung_up = kind == "dead"
            assert slot.release(connection) == self.put(connection, False)
        assert slot.release(FakeConnection(*WHERE)) == []
        self.check_waiters()

    @precondition(lambda self: self.slots)
    @rule(index=st.integers(0, 2))
    def lose(self, index):
        """A slot is forgotten; whoever looks next finds that it is free."""
        del self.slots[index % len(self.slots)]
        self.backend.waiting_count()
        self.check_waiters()

    @precondition(lambda self: self.waiters)
    @rule(index=st.integers(0, 2))
    def interrupt(self, index):
        waiter = self.waiters.pop(index % len(self.waiters))
        waiter.event.interrupt()
        assert waiter.join() is None

    @rule()
    def store(self):
        """Whoever took a connection without a slot gives it back."""
        connection = FakeConnection(*WHERE)
        expected = self.put(connection, True)
        assert self.backend.store(connection) == expected
        self.added += 1

    @rule()
    def take(self):
        assert self.backend.pop_idle(*WHERE) is (self.idle.pop() if self.idle else None)

    @rule()
    def outdate(self):
        assert self.backend.pop_outdated(datetime.timedelta(0)) == self.idle
        del self.idle[:]

    @invariant()
    def counts(self):
        counts = [self.backend.idle_count(*WHERE), self.backend.in_use_count(*WHERE),
                  self.backend.waiting_count(*WHERE)]
        assert counts == [len(self.idle), len(self.slots), len(self.waiters)]
        assert self.limit is None or counts[0] + counts[1] <= self.limit + self.added

    def teardown(self):
        for waiter in self.waiters:
            waiter.event.interrupt()
            waiter.join()


PoolMachine.TestCase.settings = examples(40, stateful_step_count=30, deadline=None)


@pytest.mark.timeout(240)
class TestPool(PoolMachine.TestCase):
    """Slots, idle connections and waiters are what the model says, after each step."""
