"""Slots while finalizers run and interrupts come, before any line of what deals with them."""

from __future__ import absolute_import, division, print_function

import linecache
import os
import sys

import pytest

from apnsclient.backends import _pool
from apnsclient.backends._events import Event
from slots_support import Caller, Slots, TimedBackend, until

pytestmark = pytest.mark.timeout(240)

#: What deals with slots.
_FILES = ("_pool", "_events")


class AtLine(object):
    """Runs a function before certain lines of the module in question, as a finalizer might.

    :param numbers: which of the lines that are run, from 0.
    :ivar runs: how many times it was.
    """

    def __init__(self, numbers, function):
        self._numbers, self._function = numbers, function
        self._line = -1
        self.runs = 0

    @property
    def has_run(self):
        return self.runs == len(self._numbers)

    def _trace(self, frame, event, argument):
        if os.path.basename(frame.f_code.co_filename).split(".")[0] not in _FILES:
            return None
        if event == "line":
            self._line += 1
            if self._line in self._numbers:
                self.runs += 1
                sys.settrace(None)
                self._function()
                sys.settrace(self._trace)
        return self._trace

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *exception):
        sys.settrace(self._before)


def at_each_line(test, least=3):
    """Call ``test(number)`` with 0, 1, 2 ... for as long as it returns True; return how often."""
    number = 0
    while test(number):
        number += 1
        assert number < 1000
    assert number >= least
    return number


def test_a_finalizer_gives_back_in_the_middle_of_giving_back():
    """In whichever line it runs: two are served of those who wait, and not a third."""
    def give_back_twice(number):
        slots, served = Slots(), []
        slots.fill(count=3, limit=3)
        callers = [Caller(slots, limit=3, served=served) for _ in range(3)]
        with AtLine([number], lambda: slots.release()) as finalizer:
            slots.release()
        if not finalizer.has_run:
            slots.release()
        until(lambda: len(served) == 2)
        assert slots.counts() == (3, 1)
        slots.release()
        assert [caller.join() for caller in callers] == [True] * 3
        return finalizer.has_run

    at_each_line(give_back_twice)


def test_finalizers_give_back_several_times_in_the_middle_of_giving_back():
    """Nobody is forgotten, and nobody gets a slot that there is not."""
    def give_back(*numbers):
        slots = Slots()
        slots.fill(count=4, limit=4)
        waiters = [slots.line_up(limit=4) for _ in range(4)]
        with AtLine(numbers, lambda: slots.release()) as finalizer:
            slots.release()
        assert [one.is_granted for one in waiters].count(True) == 1 + finalizer.runs
        assert slots.counts() == (4, 3 - finalizer.runs)
        return finalizer.has_run

    assert at_each_line(lambda first: at_each_line(
        lambda second: give_back(first, first + 1 + second), least=0) > 0) > 5


@pytest.mark.parametrize("limit", [1, 2, None])
def test_a_finalizer_gives_back_in_the_middle_of_taking(limit):
    """The slot goes to the one who asks or to the one who waits already; to exactly one."""
    def take_once(number):
        slots = Slots()
        slots.fill(count=2, limit=2)
        first = Caller(slots, limit=2)
        with AtLine([number], lambda: slots.release()) as finalizer:
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

    at_each_line(take_once)


def test_a_finalizer_empties_a_queue_while_another_begins():
    """Queues that are empty go, and no other."""
    def begin(number):
        slots = Slots()
        slots.fill(host="b")
        slots.fill(host="c")
        with AtLine([number], lambda: slots.release("b")) as finalizer:
            assert slots.acquire()
        assert [slots.in_use(host) for host in "abc"] == [1, 0 if finalizer.has_run else 1, 1]
        assert not slots.acquire("c")
        return finalizer.has_run

    at_each_line(begin)


def test_a_finalizer_sets_the_event_that_its_thread_waits_for():
    """In whichever line it runs, nothing hangs."""
    def wait(number):
        event = Event()
        with AtLine([number], event.set) as finalizer:
            event.wait(0)
        assert event.wait(0) == finalizer.has_run
        return finalizer.has_run

    at_each_line(wait)


def test_an_event_is_set_a_second_time_while_the_wait_for_it_ends():
    """In whichever two lines of the wait: nothing is raised, and the event stays set."""
    def wait(*numbers):
        event = Event()
        with AtLine(numbers, event.set) as finalizer:
            event.wait(0)
        assert event.wait(0) == (finalizer.runs > 0)
        return finalizer.has_run

    assert at_each_line(lambda first: at_each_line(
        lambda second: wait(first, first + 1 + second), least=0) > 0) >= 3


def test_an_event_stays_set_if_the_wait_for_it_is_interrupted():
    """It was set in one line, and the interrupt comes in a later one."""
    def wait(*numbers):
        event = Event()
        actions = [event.set, interrupt]
        with AtLine(numbers, lambda: actions.pop(0)()) as tracer:
            try:
                event.wait(0)
            except KeyboardInterrupt:
                pass
        assert event.wait(0) == (tracer.runs > 0)
        return tracer.has_run

    assert at_each_line(lambda first: at_each_line(
        lambda second: wait(first, first + 1 + second), least=0) > 0) >= 3


def interrupt():
    raise KeyboardInterrupt


class BetweenLines(AtLine):
    """The same where a signal may be heard: not between a block and the end of its ``with``.

    Tracing has a line there, and Python no instruction that looks for signals.
    """

    def _trace(self, frame, event, argument):
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and line.lstrip().startswith("with "):
            place = frame, frame.f_lineno
            if place in self._withs:
                self._withs.remove(place)
                return self._trace
            self._withs.append(place)
        return super(BetweenLines, self)._trace(frame, event, argument)

    def __enter__(self):
        self._withs = []
        return super(BetweenLines, self).__enter__()

    def __exit__(self, *exception):
        super(BetweenLines, self).__exit__(*exception)
        # The frames hold on to what is to end.
        del self._withs[:]


def interrupted(number, function):
    """Call a function, and interrupt it in a line; return what it returned, and whether it was."""
    with BetweenLines([number], interrupt) as interrupter:
        try:
            returned = function()
        except KeyboardInterrupt:
            returned = None
    return returned, interrupter.has_run


def test_an_interrupt_takes_no_slot_of_anothers():
    """In whichever line it comes, the slot in use stays in use, and nobody is left waiting."""
    def take_in_vain(number):
        slots = Slots()
        slots.fill()
        is_served, has_run = interrupted(number, lambda: slots.acquire())
        assert not is_served
        assert slots.counts() == (1, 0)
        return has_run

    at_each_line(take_in_vain)


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
        has_run = interrupted(number, lambda: use(slots))[1]
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
            runs.append(interrupted(number, slot.release)[1])
            if not slot.is_over:
                slot.release()

        begin = clock.now
        clock.call_later(5, interrupt_releasing)
        # From there on it does not matter that the slot is still at hand.
        assert slots.acquire(timeout=None) is True
        assert 5 <= clock.now - begin <= 5 + _pool._LONGEST_WAIT
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
    assert 5 <= clock.now - begin <= 5 + _pool._LONGEST_WAIT
    assert slots.counts() == (1, 0)


def test_a_slot_is_released_once():
    """Another time it may be somebody else's."""
    slots = Slots()
    slot = slots.ask()
    slot.release()
    slots.fill()
    slot.release()
    assert slots.in_use() == 1
