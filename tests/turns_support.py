"""What the tests of turns share."""

from __future__ import absolute_import, division, print_function

import collections
import threading

from apnsclient._compat import monotonic
from apnsclient.backends import BaseBackend, _turns
from simulated_time import Clock, Event

#: Generous limit in seconds for what is expected to happen at once.
SOON = 40


class Backend(BaseBackend):
    """A back-end as far as turns know it.

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


class Turns(_turns.Turns):
    """Keeps the turns that were taken, so that they can be given back by their keys."""

    def __init__(self, backend):
        super(Turns, self).__init__(backend)
        self._kept = collections.defaultdict(collections.deque)

    def take(self, key, limit, timeout):
        turn = super(Turns, self).take(key, limit, timeout)
        if turn is not None:
            self._kept[key].append(turn)
        return turn is not None

    def give_back(self, key):
        if self._kept[key]:
            self._kept[key].pop().give_back()


def new_turns():
    return Turns(Backend())


def until(condition):
    """Wait until the condition holds."""
    pause, end = threading.Event(), monotonic() + SOON
    while not condition():
        assert monotonic() < end, "it never happened"
        pause.wait(0.001)


class Caller(object):
    """A thread that takes a turn and keeps it.

    :ivar result: what ``take()`` returned; None as long as it waits.
    """

    def __init__(self, turns, key="a", limit=1, timeout=SOON, served=None):
        self.result = None
        self._arguments = key, limit, timeout
        self._turns, self._served = turns, served
        before = turns.waiting(key)
        self._thread = threading.Thread(target=self._run)
        self._thread.daemon = True
        self._thread.start()
        until(lambda: turns.waiting(key) > before or self.result is not None)

    def _run(self):
        result = self._turns.take(*self._arguments)
        if self._served is not None:
            self._served.append(self)
        self.result = result

    def join(self):
        self._thread.join(SOON)
        assert not self._thread.is_alive()
        return self.result


def take(turns, count=1, key="a", limit=1):
    for _ in range(count):
        assert turns.take(key, limit, 0)
