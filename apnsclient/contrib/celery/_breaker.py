"""A circuit breaker for each credential and target, shared by the processes of a worker.

What stops one task stops all: a revoked key, a certificate that does not verify, the wrong
environment. The first task that finds out opens the circuit, and no other one tries, in whichever
process. After a pause one task is the probe: if it succeeds, the circuit is closed; if not, the
next pause is twice as long. A person can close it as well, or hold it open.

:class:`Circuit` has the rules, as a value; :class:`Breaker` keeps circuits in shared memory.
"""

import enum
import hashlib
import struct
import time
from dataclasses import dataclass, replace
from typing import Callable, Dict, Iterator, List, Optional, Tuple

from ._memory import SharedTable
from ._sessions import Place

__all__ = ["Breaker", "Circuit", "Pauses", "Permit", "State"]

#: After how many seconds a probe of which nothing was heard counts as dead.
PROBE_LIMIT = 120.0
#: Seconds that other tasks wait for a probe.
PROBE_WAIT = 5.0
#: Seconds that tasks wait while a person holds a circuit open.
HELD_WAIT = 60.0


class State(enum.IntEnum):
    """What tasks may do."""

    #: Send.
    closed = 0
    #: Wait, until one of them is the probe.
    open = 1
    #: Wait: one of them is the probe.
    probing = 2
    #: Wait until a person closes it.
    held = 3


@dataclass(frozen=True)
class Pauses:
    """Seconds until the first probe, and at most between two (float)."""

    first: float
    longest: float

    def after(self, failures: int) -> float:
        """Return the pause after so many failures in a row (int, from 1)."""
        return min(self.first * 2.0 ** min(failures - 1, 30), self.longest)


@dataclass(frozen=True)
class Permit:
    """Whether a task may send.

    :ivar may_send: whether it may.
    :ivar is_probe: whether others wait for what becomes of it.
    :ivar wait: seconds after which it should ask again, if it may not.
    :ivar is_proven: whether something was accepted before.
    """

    may_send: bool
    is_probe: bool = False
    wait: float = 0.0
    is_proven: bool = False


@dataclass(frozen=True)
class Circuit:
    """The state of one circuit.

    :ivar failures: how many in a row.
    :ivar until: when the next probe may begin, or the one under way counts as dead.
    :ivar is_proven: whether something was accepted.
    :ivar used_at: when it was written.
    :ivar cause: why it is open.
    """

    credential: str
    target: str
    state: State = State.closed
    failures: int = 0
    until: float = 0.0
    is_proven: bool = False
    used_at: float = 0.0
    cause: str = ""

    def asked(self, now: float) -> Tuple["Circuit", Permit]:
        """Return what follows from a task that asks whether it may send, and the answer."""
        if self.state is State.closed:
            return self, Permit(True, is_proven=self.is_proven)
        if self.state is State.held:
            return self, Permit(False, wait=HELD_WAIT)
        if now >= self.until:
            return (replace(self, state=State.probing, until=now + PROBE_LIMIT),
                    Permit(True, True, is_proven=self.is_proven))
        wait = self.until - now
        return self, Permit(False, wait=min(wait, PROBE_WAIT) if self.state is State.probing
                            else wait)

    def failed(self, cause: str, is_probe: bool, now: float, pauses: Pauses) -> "Circuit":
        """Return what follows from a task that found out that nothing can be sent."""
        if self.state is State.held or self.state is not State.closed and not is_probe:
            # It began before the circuit was opened.
            return self
        failures = self.failures + 1
        return replace(self, state=State.open, failures=failures, cause=cause,
                       until=now + pauses.after(failures))

    def succeeded(self) -> "Circuit":
        """Return what follows from a task of which something was accepted."""
        if self.state is State.held:
            return replace(self, is_proven=True)
        return replace(self, state=State.closed, failures=0, is_proven=True, cause="")

    def gave_up(self, now: float, pauses: Pauses) -> "Circuit":
        """Return what follows from a probe that found out nothing: another one may try soon."""
        if self.state is not State.probing:
            return self
        return replace(self, state=State.open, until=now + pauses.first)


#: Bytes of what identifies a circuit, and of texts; longer texts are cut off.
_DIGEST, _CREDENTIAL, _TARGET, _CAUSE = 16, 80, 80, 280
_ROW = struct.Struct("<%dsBIdBd%ds%ds%ds" % (_DIGEST, _CREDENTIAL, _TARGET, _CAUSE))
#: What a row begins with that has no circuit.
_NOBODY = b"\0" * _DIGEST


def _pack(digest: bytes, circuit: Circuit) -> bytes:
    return _ROW.pack(digest, circuit.state, circuit.failures, circuit.until, circuit.is_proven,
                     circuit.used_at, *(
                         _cut(text, size) for text, size in (
                             (circuit.credential, _CREDENTIAL), (circuit.target, _TARGET),
                             (circuit.cause, _CAUSE))))


def _unpack(row: bytes) -> Circuit:
    _, state, failures, until, is_proven, used_at, credential, target, cause = _ROW.unpack(row)
    return Circuit(_text(credential), _text(target), State(state), failures, until,
                   bool(is_proven), used_at, _text(cause))


def _cut(text: str, size: int) -> bytes:
    return text.encode("utf-8")[:size]


def _text(field: bytes) -> str:
    return field.rstrip(b"\0").decode("utf-8", "ignore")


def _digest(place: Place) -> bytes:
    return hashlib.sha256("\0".join(place).encode("utf-8")).digest()[:_DIGEST]


class Breaker:
    """The circuits of a worker: of the process that made this, and of its forked children.

    :param pauses: the :class:`Pauses`.
    :param clock: monotonic, in seconds, and the same in all processes.
    :param rows: how many circuits are remembered. Those of places that work are forgotten first.
    """

    def __init__(self, pauses: Pauses, clock: Callable[[], float] = time.monotonic,
                 rows: int = 64) -> None:
        self._pauses = pauses
        self._clock = clock
        self._table = SharedTable(rows, _ROW.size)

    def ask(self, place: Place) -> Permit:
        """Return whether a task may send with a credential to a target."""
        permit = Permit(False)

        def ask(circuit: Circuit) -> Circuit:
            nonlocal permit
            circuit, permit = circuit.asked(self._clock())
            return circuit

        self._change(place, ask)
        return permit

    def fail(self, place: Place, cause: str, is_probe: bool) -> bool:
        """Open a circuit; return True if that is the first failure, so that it is to be logged."""
        before, after = self._change(place, lambda circuit: circuit.failed(
            cause, is_probe, self._clock(), self._pauses))
        return before.failures == 0 and after.failures > 0

    def succeed(self, place: Place) -> bool:
        """Close a circuit; return True if it was open."""
        before, after = self._change(place, Circuit.succeeded)
        return before.state is not after.state

    def give_up(self, place: Place) -> None:
        """Let another task be the probe."""
        self._change(place, lambda circuit: circuit.gave_up(self._clock(), self._pauses))

    def forget_proof(self, place: Place) -> None:
        """Forget that something was accepted, because another credential is used from now on."""
        self._change(place, lambda circuit: replace(circuit, is_proven=False))

    def close(self, credential: Optional[str] = None, target: Optional[str] = None) -> List[Place]:
        """Have the next task try again, whatever keeps circuits open; return those that were open.

        It is a probe, which asks for the credential anew: the one in use was refused. If it is the
        first that fails, that is logged again.

        :param credential: name, or None for all; likewise the target.
        """
        closed: List[Place] = []
        with self._table.locked():
            for number, row in self._used_rows():
                circuit = _unpack(row)
                if circuit.state is not State.closed \
                        and credential in (None, circuit.credential) \
                        and target in (None, circuit.target):
                    self._table.write(number, _pack(row[:_DIGEST], replace(
                        circuit, state=State.open, failures=0, until=0.0)))
                    closed.append((circuit.credential, circuit.target))
        return closed

    def hold(self, place: Place) -> None:
        """Open a circuit until somebody closes it."""
        self._change(place, lambda circuit: replace(
            circuit, state=State.held, cause="opened by a person"))

    def is_proven(self, place: Place) -> bool:
        """Return True if something was accepted there with the credential in use."""
        with self._table.locked():
            return self._find(place)[1].is_proven

    def wait(self, place: Place) -> float:
        """Return how many seconds a task should wait before it asks, without asking."""
        with self._table.locked():
            circuit = self._find(place)[1]
        return circuit.asked(self._clock())[1].wait

    def circuits(self) -> List[Circuit]:
        """Return all circuits that are remembered."""
        with self._table.locked():
            return [_unpack(row) for _, row in self._used_rows()]

    def _change(self, place: Place, change: Callable[[Circuit], Circuit]
                ) -> Tuple[Circuit, Circuit]:
        """Replace a circuit; return the one before and the one after."""
        with self._table.locked():
            row, before = self._find(place)
            after = change(before)
            if after != before:
                after = replace(after, used_at=self._clock())
                self._table.write(row, _pack(_digest(place), after))
        return before, after

    def _find(self, place: Place) -> Tuple[int, Circuit]:
        """Return where a circuit is, or where it may be put; the lock is held."""
        digest = _digest(place)
        used: Dict[int, bytes] = {}
        for number, row in self._used_rows():
            if row[:_DIGEST] == digest:
                return number, _unpack(row)
            used[number] = row
        if len(used) < self._table.rows:
            number = min(set(range(self._table.rows)).difference(used))
        else:
            circuits = {number: _unpack(row) for number, row in used.items()}
            number = min(circuits, key=lambda each: (
                circuits[each].state is not State.closed, circuits[each].used_at))
        return number, Circuit(place[0], place[1])

    def _used_rows(self) -> Iterator[Tuple[int, bytes]]:
        """Yield number and content of each row that has a circuit; the lock is held."""
        for number in range(self._table.rows):
            row = self._table.read(number)
            if row[:_DIGEST] != _NOBODY:
                yield number, row
