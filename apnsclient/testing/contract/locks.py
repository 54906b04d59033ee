"""Rules of what the pool and the session synchronise with: locks and events."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY, monotonic
from ._rule import Rules, rule
from ._stage import SHORT, expect

if MYPY:
    from typing import Any, List

    from ._stage import Stage

__all__ = ["LockRules"]


class LockRules(Rules):
    """What ``create_lock()`` and ``create_event()`` return."""

    @rule()
    def test_a_lock_is_reentrant(self, stage):
        # type: (Stage) -> None
        """Whoever holds it may take it again, and gives it back as often.

        The garbage collector may close a generator, which gives its connection back, in the very
        thread that is holding the lock.
        """
        lock = stage.backend().create_lock()
        with lock:
            is_taken = lock.acquire(False)
            expect(is_taken, "create_lock() returned a lock that is not reentrant: acquire(False) "
                   "of its holder returned %r", is_taken)
            lock.release()
            taken = _taken_aside(stage, lock)
            expect(not taken, "the lock is free after one release(), though it was taken twice")

    @rule()
    def test_a_lock_keeps_others_out(self, stage):
        # type: (Stage) -> None
        """While it is held, ``acquire(False)`` of another thread returns a false value at once."""
        lock = stage.backend().create_lock()
        expect(_taken_aside(stage, lock), "acquire(False) of a free lock returned a false value")
        with lock:
            expect(not _taken_aside(stage, lock), "two have the lock at the same time")
        expect(_taken_aside(stage, lock), "the lock is still taken after its holder gave it back")

    @rule()
    def test_each_lock_is_another_one(self, stage):
        # type: (Stage) -> None
        """Two pools must not wait for one another."""
        backend = stage.backend()
        with backend.create_lock():
            expect(_taken_aside(stage, backend.create_lock()),
                   "create_lock() returned the same lock twice")

    @rule()
    def test_an_event_ends_a_wait(self, stage):
        # type: (Stage) -> None
        """``set()`` lets ``wait()`` return a true value, also if it came before."""
        backend = stage.backend()
        event, results = backend.create_event(), []  # type: Any, List[bool]
        stage.side_by_side([lambda: results.append(event.wait(stage.patience)), event.set])
        results.append(event.wait(stage.patience))
        expect(results[0] and results[1], "wait() of an event that was set returned %r", results)

    @rule()
    def test_an_event_may_be_set_by_whoever_waits(self, stage):
        # type: (Stage) -> None
        """A finalizer may run in the middle of ``wait()``, in the same thread, and twice."""
        event = stage.backend().create_event()
        event.set()
        event.set()
        expect(event.wait(stage.patience), "an event that was set twice is not set")

    @rule()
    def test_a_wait_for_an_event_ends_in_time(self, stage):
        # type: (Stage) -> None
        """``wait(timeout)`` returns a false value when the time is over."""
        event = stage.backend().create_event()
        begin = monotonic()
        with stage.rescue(event.set) as rescue:
            result = event.wait(SHORT)
        expect(not rescue.was_needed, "wait(%g) of an event did not end", SHORT)
        expect(not result, "wait() of an event that nobody sets returned %r", result)
        expect(monotonic() - begin > SHORT * 0.8, "wait(%g) of an event returned too early", SHORT)


def _taken_aside(stage, lock):
    # type: (Stage, Any) -> bool
    """Return True if another one could take the lock."""
    results = []  # type: List[bool]

    def take():
        # type: () -> None
        results.append(bool(lock.acquire(False)))
        if results[-1]:
            lock.release()

    stage.side_by_side([take])
    return results[0]
