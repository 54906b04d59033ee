"""The circuit breaker: one task finds out, all others wait, and one error is logged."""

import contextlib
import os
import signal
import warnings

from hypothesis import given
from hypothesis import strategies as st

from apnsclient.contrib.celery._breaker import (
    HELD_WAIT,
    PROBE_LIMIT,
    PROBE_WAIT,
    Breaker,
    Circuit,
    Pauses,
    State,
)
from apnsclient.contrib.celery._memory import SharedTable

PLACE = ("default", "production")


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def make(rows=64):
    clock = Clock()
    return Breaker(Pauses(30.0, 100.0), clock, rows), clock


def test_one_task_opens_it_and_one_after_the_other_is_the_probe():
    """The pause doubles; what began before it was opened does not count."""
    breaker, clock = make()
    assert breaker.ask(PLACE).may_send
    assert breaker.fail(PLACE, "revoked", False)
    assert not breaker.fail(PLACE, "revoked", False), "only one of the siblings logs it"
    for pause in (30.0, 60.0, 100.0, 100.0):
        assert breaker.ask(PLACE).wait == breaker.wait(PLACE) == pause
        clock.now += pause
        permit = breaker.ask(PLACE)
        assert permit.may_send and permit.is_probe
        assert not breaker.ask(PLACE).may_send
        assert breaker.ask(PLACE).wait == PROBE_WAIT
        assert not breaker.fail(PLACE, "revoked", True)
    clock.now += 100
    breaker.ask(PLACE)
    assert breaker.succeed(PLACE)
    permit = breaker.ask(PLACE)
    assert permit.may_send and not permit.is_probe and permit.is_proven
    assert breaker.fail(PLACE, "revoked", False), "another opening is logged again"
    assert breaker.wait(PLACE) == 30.0


def test_a_probe_that_dies_or_finds_out_nothing_is_followed_by_another():
    """A process that is killed does not keep all others waiting."""
    breaker, clock = make()
    breaker.fail(PLACE, "x", False)
    clock.now += 30
    assert breaker.ask(PLACE).is_probe
    clock.now += PROBE_LIMIT
    assert breaker.ask(PLACE).is_probe
    breaker.give_up(PLACE)
    assert breaker.ask(PLACE).wait == 30.0
    clock.now += 30
    assert breaker.ask(PLACE).is_probe


def test_a_person_closes_it_and_holds_it_open():
    """By name, or all; nothing but a person closes what is held."""
    breaker, _ = make()
    other = ("long" * 40, "sandbox")
    for place in (PLACE, other):
        breaker.fail(place, "x", False)
    assert breaker.close(target="nowhere") == []
    assert breaker.close("default", "production") == [PLACE]
    # The first to come is a probe, which asks for the credential anew.
    assert breaker.ask(PLACE).is_probe and not breaker.ask(PLACE).may_send
    assert not breaker.ask(other).may_send
    # What is still not mended is an error once more, and that once.
    assert breaker.fail(PLACE, "x", True) and not breaker.fail(PLACE, "x", True)
    assert len(breaker.close()) == 2
    for place in (PLACE, other):
        assert breaker.ask(place).is_probe and breaker.succeed(place)

    breaker.hold(PLACE)
    assert not breaker.succeed(PLACE) and not breaker.fail(PLACE, "x", False)
    assert breaker.ask(PLACE).wait == HELD_WAIT
    assert [circuit.state for circuit in breaker.circuits()] == [State.held, State.closed]
    assert breaker.close() == [PLACE]


def test_what_was_proven_is_forgotten_with_the_credential():
    """A new one has not proven anything."""
    breaker, _ = make()
    assert not breaker.is_proven(PLACE)
    assert not breaker.succeed(PLACE)
    assert breaker.is_proven(PLACE) and breaker.ask(PLACE).is_proven
    breaker.forget_proof(PLACE)
    assert not breaker.is_proven(PLACE) and not breaker.ask(PLACE).is_proven


def test_what_works_is_forgotten_first():
    """An open circuit stays, however many places there are."""
    breaker, clock = make(rows=3)
    breaker.fail(PLACE, "x", False)
    for number in range(10):
        clock.now += 1
        breaker.succeed(("default", str(number)))
    assert [circuit.target for circuit in breaker.circuits()] == ["production", "8", "9"]


@given(st.lists(st.tuples(st.sampled_from(["ask", "fail", "succeed", "give up", "close", "wait"]),
                          st.booleans(), st.integers(0, 200)), max_size=30))
def test_there_is_always_a_way_out(steps):
    """Whatever tasks do and however they end, the next one is asked to probe before long."""
    breaker, clock = make()
    for step, is_probe, seconds in steps:
        if step == "ask":
            assert 0 <= breaker.ask(PLACE).wait <= 100.0
        elif step == "fail":
            before = (breaker.circuits() or [Circuit(*PLACE)])[0]
            is_first = not before.failures and (is_probe or before.state is State.closed)
            assert breaker.fail(PLACE, "x", is_probe) == is_first
        elif step == "succeed":
            breaker.succeed(PLACE)
        elif step == "give up":
            breaker.give_up(PLACE)
        elif step == "close":
            breaker.close()
        else:
            clock.now += seconds
    clock.now += PROBE_LIMIT
    assert breaker.ask(PLACE).may_send


@contextlib.contextmanager
def child_that(function):
    """Fork a child that runs a function, and see that it is gone afterwards."""
    with warnings.catch_warnings():
        # Other tests may have left threads; this child needs none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        signal.alarm(100)
        try:
            function()
        finally:
            os._exit(0)
    try:
        yield child
    finally:
        os.waitpid(child, 0)


def test_one_process_at_a_time_changes_it():
    """What two of them do at the same time is done one after the other."""
    table = SharedTable(1, 4)

    def count_up():
        for _ in range(300):
            with table.locked():
                number = int.from_bytes(table.read(0), "big")
                os.sched_yield()
                table.write(0, (number + 1).to_bytes(4, "big"))

    with child_that(count_up):
        count_up()
    assert int.from_bytes(table.read(0), "big") == 600


def test_forked_children_share_it(in_forked_child):
    """What a child finds out, its parent and siblings know; a killed child leaves no lock."""
    breaker, _ = make()
    table = SharedTable(1, 16)

    def find_out():
        assert breaker.fail(PLACE, "revoked", False)

    in_forked_child(find_out)
    assert not breaker.ask(PLACE).may_send
    assert [circuit.cause for circuit in breaker.circuits()] == ["revoked"]
    in_forked_child(lambda: breaker.close() == [PLACE] or os.abort())
    assert breaker.ask(PLACE).may_send

    ready, tell = os.pipe()

    def hold():
        with table.locked():
            os.write(tell, b"x")
            signal.pause()

    with child_that(hold) as child:
        assert os.read(ready, 1) == b"x"
        os.kill(child, signal.SIGKILL)
    os.close(ready)
    os.close(tell)
    with table.locked():
        table.write(0, b"y" * 16)
    assert table.read(0) == b"y" * 16
