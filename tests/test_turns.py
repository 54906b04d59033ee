"""Turns: an upper bound that holds, in the order of arrival, whatever happens to those who wait."""

from __future__ import absolute_import, division, print_function

import collections
import linecache
import os
import signal
import sys
import threading

import pytest

from apnsclient._compat import monotonic
from apnsclient.backends import BaseBackend, _turns
from apnsclient.backends._turns import Event, Turn

pytestmark = pytest.mark.timeout(120)

#: Generous limit in seconds for what is expected to happen at once.
SOON = 20

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


class Backend(BaseBackend):
    """A back-end as far as turns know it.

    :ivar lock: the lock that it made last.
    """

    lock = None

    def create_lock(self):
        self.lock = threading.RLock()
        return self.lock


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


def test_there_are_so_many_turns_at_once():
    """Not one more, with many threads that come and go; and all of them are used."""
    turns, counting = new_turns(), threading.Lock()
    inside, highest, rounds = [], [0], [0]
    barrier = threading.Event()

    def work():
        barrier.wait(SOON)
        for _ in range(50):
            assert turns.take("a", 3, SOON)
            inside.append(None)
            with counting:
                highest[0] = max(highest[0], len(inside))
                rounds[0] += 1
            inside.pop()
            turns.give_back("a")

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    barrier.set()
    for thread in threads:
        thread.join(SOON)
    assert rounds == [1000] and 1 <= highest[0] <= 3
    assert turns.in_use("a") == turns.waiting("a") == 0


def test_those_who_wait_are_served_in_the_order_of_arrival():
    """First come, first served; a turn that is given back goes to the next without delay."""
    turns, served = new_turns(), []
    take(turns)
    callers = [Caller(turns, served=served) for _ in range(10)]
    assert turns.waiting("a") == 10 and served == []
    for number, caller in enumerate(callers):
        turns.give_back("a")
        assert caller.join() is True
        assert served == callers[:number + 1]
        assert (turns.in_use("a"), turns.waiting("a")) == (1, 9 - number)


def test_nobody_jumps_the_queue():
    """A turn that was given back belongs to the one who waited, before that thread even runs."""
    turns = new_turns()
    take(turns)
    line = turns._store()[1]["a"]
    waiting = Turn(turns._backend.lock, 1)
    line.join(waiting)
    turns.give_back("a")
    assert line.has_served(waiting)
    assert not turns.take("a", 1, 0)
    waiting.give_back()
    assert turns.take("a", 1, 0)


def test_time_runs_out():
    """The caller is told, not before the time is up, and the next in the line is served."""
    turns = new_turns()
    take(turns)
    begin = monotonic()
    assert turns.take("a", 1, 0.2) is False
    # The clock of Python 2.7 moves in steps of 10 ms.
    assert 0.18 <= monotonic() - begin < SOON
    assert (turns.in_use("a"), turns.waiting("a")) == (1, 0)
    hasty, patient = Caller(turns, timeout=0.05), Caller(turns)
    assert hasty.join() is False
    turns.give_back("a")
    assert patient.join() is True


@pytest.mark.parametrize("timeout", [0, -1])
def test_no_time_means_not_to_wait(timeout):
    """Either there is a turn, or there is none."""
    turns = new_turns()
    assert turns.take("a", 1, timeout) is True
    assert turns.take("a", 1, timeout) is False
    assert turns.waiting("a") == 0


def test_without_a_timeout_the_wait_has_no_end(monkeypatch):
    """Also where a single wait does not last as long."""
    monkeypatch.setattr(_turns, "_LONGEST_WAIT", 0.001)
    turns = new_turns()
    take(turns)
    caller = Caller(turns, timeout=None)
    assert not threading.Event().wait(0.05)
    assert caller.result is None
    turns.give_back("a")
    assert caller.join() is True


def test_without_a_limit_nobody_waits():
    """The turns are counted all the same."""
    turns = new_turns()
    take(turns, count=100, limit=None)
    assert turns.in_use("a") == 100
    turns.give_back("a")
    assert turns.in_use("a") == 99


def test_a_limit_may_change():
    """It is the caller's own that counts, and those behind do not pass."""
    turns = new_turns()
    take(turns, count=3, limit=3)
    first, second = Caller(turns, limit=2), Caller(turns, limit=3)
    turns.give_back("a")
    assert (first.result, second.result) == (None, None)
    turns.give_back("a")
    assert first.join() is True
    assert second.join() is True
    assert turns.in_use("a") == 3


def test_keys_have_turns_of_their_own():
    """And nothing is kept of those that are out of use."""
    turns = new_turns()
    for number in range(100):
        take(turns, key=number)
        assert not turns.take(number, 1, 0)
        if number != 50:
            turns.give_back(number)
    assert turns.in_use(50) == 1 and turns.in_use("never") == turns.waiting("never") == 0
    take(turns, count=2, key="c", limit=2)
    caller = Caller(turns, key="c")
    assert (turns.in_use(), turns.waiting()) == (3, 1)
    turns.give_back("c")
    turns.give_back("c")
    assert caller.join() is True
    turns.give_back("c")
    assert len(turns._store()[1]) <= 2


def test_giving_back_too_much_makes_no_new_turns():
    """It is no turn of this process then, but of one that it was forked from."""
    turns = new_turns()
    turns.give_back("a")
    take(turns)
    turns.give_back("a")
    turns.give_back("a")
    take(turns)
    assert not turns.take("a", 1, 0)


# What happens to those who wait.


class Interrupted(Backend):
    """A back-end in whose events something happens while a caller waits."""

    def __init__(self, during_wait):
        super(Interrupted, self).__init__()
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


def test_served_in_the_last_moment_is_served(monkeypatch):
    """The time is up, and in between the turn has come: it is taken, and nobody's else."""
    clock = [1000.0]
    monkeypatch.setattr(_turns, "monotonic", lambda: clock[0])

    def during_wait():
        clock[0] += 100
        with monkeypatch.context() as patch:
            patch.setattr(Turn, "serve", lambda turn: None)
            turns.give_back("a")  # Without telling: the caller goes by the time.
        return False

    turns = Turns(Interrupted(during_wait))
    take(turns)
    assert turns.take("a", 1, 5) is True
    assert (turns.in_use("a"), turns.waiting("a")) == (1, 0)


@pytest.mark.parametrize("is_served", [False, True])
def test_an_exception_while_waiting_takes_no_turn(is_served):
    """Neither its place in the line nor, if that had come by then, its turn is lost."""
    behind = []

    def during_wait():
        behind.append(Caller(turns))
        if is_served:
            turns.give_back("a")
        raise KeyboardInterrupt

    turns = Turns(Interrupted(during_wait))
    take(turns)
    with pytest.raises(KeyboardInterrupt):
        turns.take("a", 1, SOON)
    if not is_served:
        assert turns.waiting("a") == 1
        turns.give_back("a")
    assert behind[0].join() is True
    assert (turns.in_use("a"), turns.waiting("a")) == (1, 0)


def test_an_event_that_cannot_be_made_takes_no_place():
    """Whatever the back-end raises passes through."""
    class Broken(Backend):
        def create_event(self):
            raise MemoryError

    turns = Turns(Broken())
    take(turns)
    with pytest.raises(MemoryError):
        turns.take("a", 1, SOON)
    assert turns.waiting("a") == 0


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="this system has no such signals")
@pytest.mark.parametrize("timeout", [SOON * 3, None])
def test_an_interrupt_from_the_keyboard_ends_the_wait(timeout):
    """At once, also where there is no timeout."""
    turns = new_turns()
    take(turns)

    def interrupt():
        until(lambda: turns.waiting("a") == 1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        begin = monotonic()
        with pytest.raises(KeyboardInterrupt):
            turns.take("a", 1, timeout)
        assert monotonic() - begin < SOON * 2
    finally:
        thread.join(SOON)
    assert (turns.in_use("a"), turns.waiting("a")) == (1, 0)


# Finalizers.


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
        if os.path.basename(frame.f_code.co_filename).split(".")[0] != "_turns":
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
        turns, served = new_turns(), []
        take(turns, count=3, limit=3)
        callers = [Caller(turns, limit=3, served=served) for _ in range(3)]
        with AtLine([number], lambda: turns.give_back("a")) as finalizer:
            turns.give_back("a")
        if not finalizer.has_run:
            turns.give_back("a")
        until(lambda: len(served) == 2)
        assert (turns.in_use("a"), turns.waiting("a")) == (3, 1)
        turns.give_back("a")
        assert [caller.join() for caller in callers] == [True] * 3
        return finalizer.has_run

    at_each_line(give_back_twice)


def test_finalizers_give_back_several_times_in_the_middle_of_giving_back():
    """Nobody is forgotten, and nobody served for whom there is no turn."""
    def give_back(*numbers):
        turns = new_turns()
        take(turns, count=4, limit=4)
        line = turns._store()[1]["a"]
        waiters = [Turn(turns._backend.lock, 4) for _ in range(4)]
        for one in waiters:
            line.join(one)
        with AtLine(numbers, lambda: turns.give_back("a")) as finalizer:
            turns.give_back("a")
        assert [line.has_served(one) for one in waiters].count(True) == 1 + finalizer.runs
        assert (len(line.taken), len(line.waiters)) == (4, 3 - finalizer.runs)
        return finalizer.has_run

    assert at_each_line(lambda first: at_each_line(
        lambda second: give_back(first, first + 1 + second), least=0) > 0) > 5


@pytest.mark.parametrize("limit", [1, 2, None])
def test_a_finalizer_gives_back_in_the_middle_of_taking(limit):
    """The turn goes to the one who asks or to the one who waits already; to exactly one."""
    def take_once(number):
        turns = new_turns()
        take(turns, count=2, limit=2)
        first = Caller(turns, limit=2)
        with AtLine([number], lambda: turns.give_back("a")) as finalizer:
            # Whoever asks for one turn of one is not served as long as another is out.
            is_served = turns.take("a", limit, 0)
        assert not is_served or limit is None
        if not finalizer.has_run:
            turns.give_back("a")
        if is_served:
            turns.give_back("a")
        assert first.join() is True
        assert (turns.in_use("a"), turns.waiting("a")) == (2, 0)
        return finalizer.has_run

    at_each_line(take_once)


def test_a_finalizer_empties_a_line_while_another_begins():
    """Lines that are empty go, and no other."""
    def begin(number):
        turns = new_turns()
        take(turns, key="b")
        take(turns, key="c")
        with AtLine([number], lambda: turns.give_back("b")) as finalizer:
            assert turns.take("a", 1, 0)
        assert [turns.in_use(key) for key in "abc"] == [1, 0 if finalizer.has_run else 1, 1]
        assert not turns.take("c", 1, 0)
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


def test_an_interrupt_takes_no_turn_of_anothers():
    """In whichever line it comes, the turn that is out stays out, and nobody is left waiting."""
    def take_in_vain(number):
        turns = new_turns()
        take(turns)
        is_served, has_run = interrupted(number, lambda: turns.take("a", 1, 0))
        assert not is_served
        assert (turns.in_use("a"), turns.waiting("a")) == (1, 0)
        return has_run

    at_each_line(take_in_vain)


@pytest.mark.parametrize("ends", [True, False])
def test_an_interrupt_loses_no_turn(ends):
    """Taken and given back, or just forgotten: whichever line it comes in, all can be taken again.

    And whoever waits is served.
    """
    def use(turns):
        turn = _turns.Turns.take(turns, "a", 2, 0)
        if ends and turn is not None:
            turn.give_back()

    def use_once(number):
        turns = new_turns()
        take(turns, limit=2)
        has_run = interrupted(number, lambda: use(turns))[1]
        take(turns, limit=2)
        assert not turns.take("a", 2, 0)
        assert (turns.in_use("a"), turns.waiting("a")) == (2, 0)
        return has_run

    at_each_line(use_once, least=20)


def test_an_interrupt_while_giving_back_leaves_nobody_waiting(monkeypatch):
    """Those who wait see for themselves: whoever was to wake them may have been interrupted."""
    monkeypatch.setattr(_turns, "_LONGEST_WAIT", 0.05)

    def give_back(number):
        turns = new_turns()
        turn = _turns.Turns.take(turns, "a", 1, 0)
        caller = Caller(turns, limit=1)
        has_run = interrupted(number, turn.give_back)[1]
        if not turn.is_over:
            turn.give_back()
        # From there on it does not matter that it is still at hand.
        assert caller.join() is True
        assert (turns.in_use("a"), turns.waiting("a")) == (1, 0)
        return has_run

    at_each_line(give_back, least=10)


def test_a_turn_that_nobody_has_any_more_is_not_taken():
    """Although nobody gave it back: the next one has it, and so has whoever waits."""
    turns = new_turns()
    assert _turns.Turns.take(turns, "a", 1, 0) is not None
    take(turns)
    lost = turns._kept["a"].pop()
    caller = Caller(turns)
    assert (turns.in_use("a"), turns.waiting("a")) == (1, 1)
    del lost
    assert caller.join() is True
    assert (turns.in_use("a"), turns.waiting("a")) == (1, 0)


def test_a_turn_is_given_back_once():
    """Another time it may be somebody else's."""
    turns = new_turns()
    turn = _turns.Turns.take(turns, "a", 1, 0)
    turn.give_back()
    take(turns)
    turn.give_back()
    assert turns.in_use("a") == 1


# A forked child.


@needs_fork
def test_a_forked_child_starts_with_no_turn_taken(in_forked_child):
    """Those of the parent are the parent's; to give one of them back there changes nothing."""
    turns = new_turns()
    take(turns)
    caller = Caller(turns)

    def child():
        turns.give_back("a")
        assert (turns.in_use("a"), turns.waiting("a")) == (0, 0)
        take(turns)
        assert not turns.take("a", 1, 0)

    in_forked_child(child)
    assert (turns.in_use("a"), turns.waiting("a")) == (1, 1)
    turns.give_back("a")
    assert caller.join() is True


@needs_fork
def test_a_forked_child_does_not_wait_for_a_lock_of_the_parent(in_forked_child):
    """Another thread may have held it during the fork, and does not exist in the child."""
    turns = new_turns()
    take(turns)
    held, done = threading.Event(), threading.Event()

    def hold():
        with turns._backend.lock:
            held.set()
            done.wait(SOON)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(SOON)
    try:
        in_forked_child(lambda: take(turns))
    finally:
        done.set()
        thread.join(SOON)


def test_a_caller_looks_again_only_where_threads_have_to():
    """An event of the back-end's own is awaited without naps in between; on 2.7 too."""
    waits = []

    class Patient(object):
        """An event that notes how long it is awaited, and is set when it is."""

        def set(self):
            pass

        def wait(self, timeout):
            waits.append(timeout)
            turns.give_back("a")

    backend = Backend()
    backend.create_event = Patient
    turns = Turns(backend)
    assert turns.take("a", 1, None)
    assert turns.take("a", 1, SOON)
    assert len(waits) == 1
    assert waits[0] > 0.5
