"""What the tests of the pool share."""

from __future__ import absolute_import, division, print_function

import collections
import threading

from apnsclient._compat import monotonic
from apnsclient.backends import BaseBackend, BaseConnection, Slot, _pool
from simulated_time import Clock, Event

#: Generous limit in seconds for what is expected to happen at once.
SOON = 40


class FakeConnection(BaseConnection):
    """Notes what is done with it; ``is_hung_up`` is what the peer does."""

    def __init__(self, address, certificate, clock=monotonic):
        # The base class asks for the time.
        self.clock = clock
        super(FakeConnection, self).__init__(address, certificate)
        self.is_hung_up = False
        self.calls = []

    def close(self):
        self.calls.append("close")

    def closed(self):
        self.calls.append("closed")
        return self.is_hung_up or self.is_closed

    def write(self, data, timeout):
        self.calls.append("write")

    @property
    def is_closed(self):
        return "close" in self.calls


class Backend(BaseBackend):
    """A back-end as far as slots know it.

    :ivar lock: the lock that it made last.
    """

    lock = None

    def create_lock(self):
        self.lock = threading.RLock()
        return self.lock


class TimedBackend(Backend):
    """A back-end for one thread, whose events let simulated time pass.

    :ivar clock: its ``Clock``.
    """

    def __init__(self):
        super(TimedBackend, self).__init__()
        self.clock = Clock()

    def create_event(self):
        return Event(self.clock)


class Slots(object):
    """Keeps the slots that were acquired, so that they can be released by their addresses.

    :ivar backend: whose they are.
    """

    def __init__(self, backend=None):
        self.backend = backend or Backend()
        self._kept = collections.defaultdict(collections.deque)

    def ask(self, host="a", limit=1, timeout=0):
        """Return a slot, which is not kept here, or None."""
        return self.backend.acquire_slot((host, 1), "certificate", (), limit, timeout)

    def acquire(self, host="a", limit=1, timeout=0):
        """Acquire a slot and keep it; return whether there was one."""
        slot = self.ask(host, limit, timeout)
        if slot is not None:
            self._kept[host].append(slot)
        return slot is not None

    def fill(self, count=1, host="a", limit=1):
        """Acquire so many slots that are free."""
        for _ in range(count):
            assert self.acquire(host, limit)

    def line_up(self, host="a", limit=1):
        """Return a slot for which a caller waits who does not go on in the meantime."""
        pool = self.backend._BaseBackend__pool()
        slot = Slot(pool, self.backend, ((host, 1), "certificate", None), limit)
        pool._add(slot.key, _pool._slots_of, slot.reference)
        return slot

    def release(self, host="a"):
        """Release the one that was acquired last, if there is any."""
        if self._kept[host]:
            self._kept[host].pop().release()

    def pop(self, host="a"):
        """Return the one that was acquired last, and forget it."""
        return self._kept[host].pop()

    def in_use(self, host="a"):
        return self.backend.in_use_count((host, 1))

    def waiting(self, host="a"):
        return self.backend.waiting_count((host, 1))

    def counts(self, host="a"):
        """Return how many slots are in use, and how many callers wait."""
        return self.in_use(host), self.waiting(host)


def until(condition):
    """Wait until the condition holds."""
    pause, end = threading.Event(), monotonic() + SOON
    while not condition():
        assert monotonic() < end, "it never happened"
        pause.wait(0.001)


class Caller(object):
    """A thread that acquires a slot and keeps it.

    :ivar result: what ``acquire()`` returned; None as long as it waits.
    """

    def __init__(self, slots, host="a", limit=1, timeout=SOON, served=None):
        self.result = None
        self._arguments = host, limit, timeout
        self._slots, self._served = slots, served
        before = slots.waiting(host)
        self._thread = threading.Thread(target=self._run)
        self._thread.daemon = True
        self._thread.start()
        until(lambda: slots.waiting(host) > before or self.result is not None)

    def _run(self):
        result = self._slots.acquire(*self._arguments)
        if self._served is not None:
            self._served.append(self)
        self.result = result

    def join(self):
        self._thread.join(SOON)
        assert not self._thread.is_alive()
        return self.result
