"""Opens a connection to a host that has several addresses, like RFC 8305.

The addresses are tried in the order of the system's resolver, alternating between families. If one
of them does not respond, the next is tried in parallel; if one fails, the next is tried at once.
The first one that completes the *TLS handshake* wins: a host that accepts and then stays silent
must not delay the others. One deadline is for all of it, including the name lookup before.

Whoever connects either waits here, or goes on with other things and comes back when a socket is
ready: what happens in between is the same.
"""

from __future__ import absolute_import, division, print_function

import socket

from .._compat import MYPY
from .._interrupts import is_interrupt
from ..errors import APNsError, ConnectError, ConnectTimeout
from . import _sockets
from ._names import display
from ._tls import TransportFailure

if MYPY:
    from typing import Any, Callable, List, Optional, Tuple

    from ._sockets import Deadline, Interest
    from ._waiting import Waiting

    Address = Tuple[str, int]

__all__ = ["Connecting", "Race", "look_up"]

#: Seconds that a TCP connect may take before the next address is tried in parallel (RFC 8305, 5).
ATTEMPT_DELAY = 0.25
#: Seconds that a TLS handshake may take before the next address is tried in parallel. Longer,
#: because a server that accepts usually continues, and a handshake is expensive for it.
HANDSHAKE_DELAY = 2.0
#: Seconds between two looks at a name lookup that nobody waits for.
_LOOKUP_PAUSE = 0.01


def look_up(address, lookup, deadline, role=""):
    # type: (Address, Any, Deadline, str) -> List[Tuple[int, int, int, Any]]
    """Return ``(family, kind, protocol, socket address)`` for each address of the host.

    Families alternate, beginning with the one that the system prefers.

    :param lookup: called without arguments, does what ``Waiting.resolve()`` does.
    :param deadline: Deadline for the lookup.
    :param role: text before the address in messages (str).
    :raises ~apnsclient.errors.ConnectTimeout: if the resolver does not respond in time.
    :raises ~apnsclient.errors.ConnectError: if the name cannot be looked up.
    """
    try:
        found = lookup()
    except (socket.error, UnicodeError, OverflowError, ValueError) as error:
        if isinstance(error, APNsError) or is_interrupt():
            raise
        raise ConnectError("cannot look up the host of %s%s: %s"
                           % (role, display(address), _sockets.describe(error)))
    if found is None:
        raise ConnectTimeout("cannot look up the host of %s%s: no response from the resolver "
                             "after %s s" % (role, display(address), deadline.timeout))
    families = {}  # type: dict[int, list[Any]]
    order = []
    for family, kind, protocol, _, where in found:
        candidate = (family, kind, protocol, where)
        if family not in families:
            families[family] = []
            order.append(family)
        if candidate not in families[family]:
            families[family].append(candidate)
    longest = max([len(same) for same in families.values()] or [0])
    return [families[family][index] for index in range(longest) for family in order
            if index < len(families[family])]


class _Attempt(object):
    """One address: a TCP connect, then a TLS handshake."""

    def __init__(self, candidate):
        # type: (Any) -> None
        self.candidate = candidate
        self.socket = None  # type: Any
        self.handshake = None  # type: Any
        self.is_writer = True

    @property
    def name(self):
        # type: () -> str
        """The numeric address, for messages."""
        return str(self.candidate[3][0])

    def start(self):
        # type: () -> None
        family, kind, protocol, where = self.candidate
        self.socket = _sockets.open_socket(family, kind, protocol)
        _sockets.start_connect(self.socket, where)

    def advance(self, new_handshake):
        # type: (Callable[[Any], Any]) -> bool
        """Continue when the socket is ready; return True when the connection can be used."""
        if self.handshake is None:
            _sockets.finish_connect(self.socket)
            self.handshake = new_handshake(self.socket)
        wanted = self.handshake.step()
        self.is_writer = wanted == "write"
        return wanted is None

    def close(self):
        # type: () -> None
        if self.socket is not None:
            self.socket.close()


class Race(object):
    """Several attempts for one host; see the docstring of the module.

    :param where: name of the server in messages (str).
    :param candidates: ``(family, kind, protocol, socket address)`` of each address, in order.
    :param new_handshake: called with a connected socket; returns a Handshake or a Tunnel.
    :param deadline: Deadline for all of it.
    :param waiting: how to wait for sockets.
    """

    def __init__(self, where, candidates, new_handshake, deadline, waiting):
        # type: (str, List[Any], Callable[[Any], Any], Deadline, Waiting) -> None
        self._where = where
        self._wait = waiting.wait
        self._clock = waiting.clock
        self._waiting = list(candidates)
        self._new_handshake = new_handshake
        self._deadline = deadline
        self._running = []  # type: List[_Attempt]
        self._failures = []  # type: List[str]
        self._next_start = self._clock()

    def run(self):
        # type: () -> Tuple[Any, Any]
        """Wait until there is a connected socket with a completed handshake, and return both.

        Whatever did not win is closed, also if this raises something.

        :raises ~apnsclient.errors.ConnectError: if no address can be connected to, or as soon as
            TLS itself fails with one of them.
        """
        try:
            while True:
                self._start_next()
                winner = self._advance_ready(self._wait(self.interests(), self.time_to_wait()))
                if winner is not None:
                    return winner.socket, winner.handshake
        finally:
            self.close()

    def advance(self):
        # type: () -> Optional[Tuple[Any, Any]]
        """Do what can be done without waiting; return what :meth:`run` does, or None for now.

        If it raises anything it is not called again: whoever called it calls :meth:`close`.
        """
        while True:
            self._start_next()
            ready = self._wait(self.interests(), 0)
            winner = self._advance_ready(ready)
            if winner is not None:
                self.close()
                return winner.socket, winner.handshake
            if not ready:
                return None

    def close(self):
        # type: () -> None
        """Close all that did not win."""
        for attempt in self._running:
            attempt.close()
        self._running = []

    def interests(self):
        # type: () -> List[Interest]
        """Return what is to be waited for, as ``Waiting.wait()`` takes it."""
        return [(attempt.socket, attempt.is_writer) for attempt in self._running]

    def time_to_wait(self):
        # type: () -> Optional[float]
        """Return the seconds to wait at most: until the next start or the deadline."""
        left = self._deadline.left()
        if not self._waiting:
            return left
        pause = max(self._next_start - self._clock(), 0.0)
        return pause if left is None else min(left, pause)

    def _start_next(self):
        # type: () -> None
        """Start attempts that are due; raise if none is running and none is left to start."""
        while self._waiting and (not self._running or self._clock() >= self._next_start):
            attempt = _Attempt(self._waiting.pop(0))
            self._running.append(attempt)
            self._next_start = self._clock() + ATTEMPT_DELAY
            try:
                attempt.start()
            except (socket.error, OverflowError) as error:
                if is_interrupt():
                    raise
                self._drop(attempt, _sockets.describe(error))
        if not self._running:
            raise ConnectError("cannot connect to %s: %s" % (
                self._where, "; ".join(self._failures) or "the host has no address"))

    def _advance_ready(self, ready):
        # type: (List[Any]) -> Optional[_Attempt]
        """Continue the attempts whose sockets are ready; return one that has won, if any."""
        if self._deadline.is_over():
            raise ConnectTimeout("%s is not connected after %s s: %s" % (
                self._where, self._deadline.timeout, "; ".join(
                    self._failures + [self._state(attempt) for attempt in self._running])))
        for attempt in [one for one in self._running if one.socket in ready]:
            was_connected = attempt.handshake is not None
            try:
                if attempt.advance(self._new_handshake):
                    self._running.remove(attempt)
                    return attempt
            except (socket.error, TransportFailure) as error:
                if isinstance(error, ConnectError) or is_interrupt():
                    raise
                self._drop(attempt, _sockets.describe(error))
                continue
            if not was_connected:
                self._postpone_others()
                break
        return None

    def _postpone_others(self):
        # type: () -> None
        """Cancel attempts that are not connected; they start again if the handshake stalls."""
        behind = [one for one in self._running if one.handshake is None]
        for attempt in behind:
            attempt.close()
            self._running.remove(attempt)
        self._waiting[:0] = [one.candidate for one in behind]
        pause = HANDSHAKE_DELAY
        left = self._deadline.left()
        if left is not None:
            pause = min(pause, left / (len(self._waiting) + 1))
        self._next_start = self._clock() + pause

    def _drop(self, attempt, problem):
        # type: (_Attempt, str) -> None
        attempt.close()
        self._running.remove(attempt)
        self._failures.append(self._describe(attempt, problem))
        if not any(one.handshake for one in self._running):
            self._next_start = self._clock()

    def _state(self, attempt):
        # type: (_Attempt) -> str
        return self._describe(attempt, "no response" if attempt.handshake is None
                              else attempt.handshake.progress)

    def _describe(self, attempt, text):
        # type: (_Attempt, str) -> str
        """Return a text about an attempt, with its address unless the host was given by it."""
        where = attempt.candidate[3]
        is_named = self._where.endswith(display((str(where[0]), where[1])))
        return text if is_named else "%s: %s" % (attempt.name, text)


class Connecting(object):
    """The way to a connected socket with a completed handshake, the name lookup first.

    Whoever takes it either waits in :meth:`run`, or calls :meth:`advance` whenever one of
    :meth:`interests` is ready, or :meth:`time_to_wait` is over.

    :param where: name of the server in messages (str).
    :param target: ``(host, port)`` to connect to, which may be those of a proxy.
    :param role: text before the target in messages (str).
    :param new_handshake: called with a connected socket; returns a Handshake or a Tunnel.
    :param deadline: Deadline for all of it.
    :param waiting: how to wait.
    """

    def __init__(self, where, target, role, new_handshake, deadline, waiting):
        # type: (str, Address, str, Callable[[Any], Any], Deadline, Waiting) -> None
        self._where = where
        self._target = target
        self._role = role
        self._new_handshake = new_handshake
        self._deadline = deadline
        self._waiting = waiting
        self._lookup = None  # type: Any
        self._race = None  # type: Optional[Race]

    def run(self):
        # type: () -> Tuple[Any, Any]
        """Wait for the socket and its handshake; see :meth:`Race.run`."""
        return self._start_race(lambda: self._waiting.resolve(
            self._target[0], self._target[1], self._deadline)).run()

    def advance(self):
        # type: () -> Optional[Tuple[Any, Any]]
        """Go on without waiting; see :meth:`Race.advance`."""
        race = self._race
        if race is None:
            if self._lookup is None:
                self._lookup = self._waiting.start_lookup(*self._target)
            if not self._lookup.is_done and not self._deadline.is_over():
                return None
            race = self._race = self._start_race(
                lambda: self._lookup.result() if self._lookup.is_done else None)
        return race.advance()

    def close(self):
        # type: () -> None
        """Give it up, and close what was opened on the way."""
        if self._race is not None:
            self._race.close()

    def interests(self):
        # type: () -> List[Interest]
        """Return what is to be waited for, as ``Waiting.wait()`` takes it."""
        return [] if self._race is None else self._race.interests()

    def time_to_wait(self):
        # type: () -> Optional[float]
        """Return the seconds (float) after which to ask again although nothing is ready, or None.

        When they are 0, :meth:`advance` has something to do.
        """
        if self._race is not None:
            return self._race.time_to_wait()
        if self._lookup is None or self._lookup.is_done:
            return 0.0
        left = self._deadline.left()
        return _LOOKUP_PAUSE if left is None else min(_LOOKUP_PAUSE, left)

    def _start_race(self, lookup):
        # type: (Callable[[], Any]) -> Race
        candidates = look_up(self._target, lookup, self._deadline, self._role)
        return Race(self._where, candidates, self._new_handshake, self._deadline, self._waiting)
