"""Turns: an upper bound that holds, in the order of arrival, whatever happens to those who wait."""

from __future__ import absolute_import, division, print_function

import os
import signal
import threading

import pytest

from apnsclient._compat import monotonic
from apnsclient.backends import _turns
from apnsclient.backends._turns import Event, Turn
from simulated_time import Clock
from threads_support import held_elsewhere
from turns_support import (
    SOON,
    Backend,
    Caller,
    TimedBackend,
    Turns,
    new_turns,
    take,
    until,
)

pytestmark = pytest.mark.timeout(240)

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
    """The caller is told when the time is up, to the moment, and has left the line."""
    backend = TimedBackend()
    turns = Turns(backend)
    take(turns)
    for timeout in (0.25, 1, 3600):
        begin = backend.clock.now
        assert turns.take("a", 1, timeout) is False
        assert backend.clock.now - begin == timeout
        assert (turns.in_use("a"), turns.waiting("a")) == (1, 0)


@pytest.mark.parametrize("timeout", [7, 3600, None])
def test_a_turn_that_is_given_back_in_time_ends_the_wait(timeout):
    """At that moment, be it the last one."""
    backend = TimedBackend()
    turns = Turns(backend)
    take(turns)
    begin = backend.clock.now
    backend.clock.call_later(7, lambda: turns.give_back("a"))
    assert turns.take("a", 1, timeout) is True
    assert backend.clock.now - begin == 7
    assert (turns.in_use("a"), turns.waiting("a")) == (1, 0)


def test_time_runs_out_on_the_real_clock():
    """The caller is told, not before the time is up."""
    turns = new_turns()
    take(turns)
    begin = monotonic()
    assert turns.take("a", 1, 0.2) is False
    # The clock of Python 2.7 moves in steps of 10 ms.
    assert 0.18 <= monotonic() - begin < SOON
    assert (turns.in_use("a"), turns.waiting("a")) == (1, 0)


def test_who_has_no_more_time_is_passed_over(monkeypatch):
    """The next in the line is served."""
    monkeypatch.setattr(_turns, "_LONGEST_WAIT", 0.01)
    now, backend = [1000.0], Backend()
    backend.clock = lambda: now[0]  # It stands still until both wait.
    turns = Turns(backend)
    take(turns)
    hasty, patient = Caller(turns, timeout=5), Caller(turns, timeout=SOON)
    now[0] += 5
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


def test_served_in_the_last_moment_is_served(monkeypatch):
    """The time is up, and in between the turn has come: it is taken, and nobody's else."""
    def during_wait():
        backend.clock.advance(100)
        with monkeypatch.context() as patch:
            patch.setattr(Turn, "serve", lambda turn: None)
            turns.give_back("a")  # Without telling: the caller goes by the time.
        return False

    backend = Interrupted(during_wait)
    turns = Turns(backend)
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


# A forked child.


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


def test_a_forked_child_does_not_wait_for_a_lock_of_the_parent(in_forked_child):
    """Another thread may have held it during the fork, and does not exist in the child."""
    turns = new_turns()
    take(turns)
    with held_elsewhere(turns._backend.lock):
        in_forked_child(lambda: take(turns))


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
