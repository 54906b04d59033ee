"""The connections of one host: those in use, and one that is being opened. All I/O is here.

Only the leader calls these methods, so that a connection is used by one thread at a time. Those of
which it is said are called with the lock of the sender held, and none of them does any I/O; the
others take it where they touch the sender.
"""

from __future__ import absolute_import, division, print_function

import sys

from .._compat import MYPY, text_of
from .._interrupts import take_failure
from ..backends.link import wait_for
from ..errors import ConnectError, ConnectionLost, Timeout
from ..sending.http2 import ANOTHER, FIRST
from .lease import LONGEST_LOOK, READ_SIZE, is_refusal, read_after_failure

if MYPY:
    from typing import Any, Dict, List, Optional

    from ..backends import BaseBackend
    from ..sending.calls import Call
    from ..sending.http2_connection import SenderConnection
    from .lease import GuardedSender, Lease
    from .opening import Opener, Opening

__all__ = ["Connections"]

#: Shortest time in seconds that a write is given.
_SHORTEST_WRITE = 0.1


class Connections(object):
    """Connections to one address with one credential.

    :param backend: the :class:`~apnsclient.backends.BaseBackend`.
    :param opener: opens connections, and gives them back (:class:`~.opening.Opener`).
    :param guarded: the sender and its lock (:class:`~.lease.GuardedSender`).
    :param settings: what the session was told: ``timing``.
    :param is_shared: whether there may be several, and a wait for them may be woken (bool).

    :ivar is_waiting: whether the leader waits, or is about to (bool); set with the lock held.
    """

    def __init__(self, backend, opener, guarded, settings, is_shared):
        # type: (BaseBackend, Opener, GuardedSender, Any, bool) -> None
        self._backend = backend
        self._clock = backend.clock
        self._opener = opener
        self._guarded = guarded
        self._sender = guarded.sender
        self._settings = settings
        self._is_shared = is_shared
        self._leases = {}  # type: Dict[SenderConnection, Lease]
        # A further connection that is being opened.
        self._opening = None  # type: Optional[Opening]
        self._waker = backend.create_waker() if is_shared else None  # type: Any
        self.is_waiting = False
        # What the leader is in the middle of: starting requests, writing or reading.
        self._amid = self._writing = self._reading = None  # type: Optional[Lease]

    @property
    def limit(self):
        # type: () -> Optional[int]
        """How many there may be (int), or None for any number."""
        return self._opener.limit if self._is_shared else 1

    @property
    def is_empty(self):
        # type: () -> bool
        """True if there is none in use, and none being opened."""
        return not self._leases and self._opening is None

    @property
    def are_in_use(self):
        # type: () -> bool
        """True if there is any in use."""
        return bool(self._leases)

    @property
    def is_opening(self):
        # type: () -> bool
        """True if a further one is being opened."""
        return self._opening is not None

    # Called with the lock held.

    def wake(self):
        # type: () -> None
        """End the wait of the leader, if there is one: there is more to write."""
        if self.is_waiting:
            self.is_waiting = False
            self._waker.wake()

    def take_ended(self):
        # type: () -> List[Lease]
        """Take out the connections that the sender does not use any more."""
        if len(self._leases) == len(self._sender.connections):
            return []
        return [self._leases.pop(state) for state in list(self._leases)
                if state not in self._sender.connections]

    def take_opening(self):
        # type: () -> Optional[Opening]
        """Take out the connection that is being opened, if nobody sends anything any more."""
        opening = self._opening
        if opening is None or self._sender.calls:
            return None
        self._opening = None
        if opening.lease is None:
            # It took longer than the call did, and the next one need not try the same at once.
            self._sender.connect_failed(ANOTHER, None, self._clock())
        return opening

    def fill(self, now):
        # type: (float) -> None
        """Start requests on each connection that has room, to be written."""
        for state in self._sender.connections:
            lease = self._leases[state]
            if not lease.pending:
                self._amid = lease
                self._sender.fill(state, now)
                lease.pending = state.output(now)
                self._amid = None

    def pending(self):
        # type: () -> List[Lease]
        """Return those over which something is to be written."""
        return [one for one in self._leases.values() if one.pending]

    # Called without the lock.

    def release(self, leases, opening=None):
        # type: (List[Lease], Optional[Opening]) -> None
        """Give back what was taken out."""
        if opening is not None:
            # First: those that have proved themselves are the first to be used again.
            self._opener.abandon(opening, self._guarded)
        self._opener.release(leases, self._guarded)

    def lose_all(self, problem):
        # type: (str) -> None
        """Give all of them up in a forked child: they are the parent's."""
        for lease in list(self._leases.values()):
            self._guarded.lose(lease, problem)
            lease.link.close()
        self._leases.clear()
        if self._opening is not None:
            self._opening.close()
            self._opening = None

    def write(self, lease, now):
        # type: (Lease, float) -> None
        """Write what is pending; what only the protocol has to say holds up no request."""
        state, timing = lease.state, self._settings.timing
        timeout = timing.write_timeout
        if timing.read_timeout is not None and not state.has_requests:
            left = max(state.deadline(timing.read_timeout) - now, _SHORTEST_WRITE)
            timeout = left if timeout is None else min(timeout, left)
        self._writing = lease
        try:
            lease.link.write(lease.pending, timeout)
            lease.pending = b""
            state.written(self._clock())
        except (ConnectError, ConnectionLost, Timeout) as error:
            lease.pending = b""
            self._fail(lease, read_after_failure(lease, self._guarded, error))
        self._writing = None

    def _fail(self, lease, error):
        # type: (Lease, Exception) -> None
        """Let go of a connection that raised something."""
        failure = None  # type: Any
        if is_refusal(lease, error):
            failure = type(error), error, sys.exc_info()[2]
        self._guarded.lose(lease, text_of(error), failure)

    def open(self, call, wanted):
        # type: (Call, str) -> None
        """Open a connection; go on with the others meanwhile, if there are any that take requests.

        :param wanted: what :meth:`.Sender.wants_connection` has returned.
        """
        timeout = self._sender.time_to_open(wanted)
        lease, failure = None, None  # type: Optional[Lease], Any
        try:
            if wanted == FIRST:
                lease = self._opener.open(self._guarded, timeout, call.deadline)
            else:
                self._opening = self._opener.start(self._guarded, timeout, call.deadline)
                if self._opening is not None:
                    self._go_on_opening()
                    return
        except Exception:
            failure = take_failure()
        with self._guarded.lock:
            now = self._clock()
            if lease is not None:
                self._use(lease, now)
            elif call.deadline is not None and now >= call.deadline:
                # The others have more time.
                self._sender.expire_calls(now)
            else:
                self._sender.connect_failed(wanted, failure, now)
        # The frames of the exception would refer to themselves.
        del failure

    def _use(self, lease, now):
        # type: (Lease, float) -> None
        """Use a connection from here on."""
        self._leases[lease.state] = lease
        self._sender.add_connection(lease.state, now)

    def _go_on_opening(self):
        # type: () -> None
        """Go on with the connection that is being opened."""
        opening = self._opening  # type: Any
        lease, is_over = None, False
        try:
            lease = opening.advance()
        except Exception:
            take_failure()
            is_over = True
        with self._guarded.lock:
            now = self._clock()
            if lease is not None:
                self._use(lease, now)
            elif is_over:
                self._sender.connect_failed(ANOTHER, None, now)
            if lease is not None or is_over:
                self._opening = None

    def wait(self, timeout):
        # type: (Optional[float]) -> List[Lease]
        """Wait for any of them, where that is possible; return those to be read from."""
        leases = list(self._leases.values())
        return self._wait_for_all(leases, timeout) if self._is_shared else leases

    def _wait_for_all(self, leases, timeout):
        # type: (List[Lease], Optional[float]) -> List[Lease]
        """Wait for any of the connections; return those over which something may have come."""
        opening = self._opening
        waited = [one.link for one in leases]  # type: List[Any]
        if opening is not None:
            waited.append(opening)
            if opening.deadline is not None:
                left = max(opening.deadline - self._clock(), 0.0)
                timeout = left if timeout is None else min(timeout, left)
        try:
            ready = wait_for(self._backend, waited, timeout, self._waker)
        except ConnectionLost as error:
            if opening is not None:
                # It may have been the reason: without it the next wait will tell.
                self._give_up_opening(opening)
                return []
            for lease in leases:
                self._guarded.lose(lease, text_of(error))
            return []
        finally:
            self.is_waiting = False
        if opening is not None and (opening in ready or opening.deadline is not None
                                    and opening.deadline <= self._clock()):
            self._go_on_opening()
        return [lease for lease in leases if lease.link in ready]

    def _give_up_opening(self, opening):
        # type: (Opening) -> None
        """Go on without the connection that is being opened."""
        opening.close()
        with self._guarded.lock:
            self._opening = None
            self._sender.connect_failed(ANOTHER, None, self._clock())

    def read(self, leases, timeout):
        # type: (List[Lease], Optional[float]) -> float
        """Take what has come; wait for it where :meth:`wait` could not.

        :return: the time (float) until when all that had come was read.
        """
        now = self._clock()
        with self._guarded.lock:
            self._sender.note_progress(now)
        for lease in leases:
            self._reading = lease
            try:
                self._read(lease, 0.0 if self._is_shared else timeout)
            except (ConnectError, ConnectionLost) as error:
                self._fail(lease, error)
            self._reading = None
        return now if self._is_shared else self._clock()

    def _read(self, lease, timeout):
        # type: (Lease, Optional[float]) -> None
        """Take what has come over a connection, and wait for something to come."""
        state, link, end = lease.state, lease.link, None  # type: Any, Any, Optional[float]
        if state.is_over:
            return
        is_patient = timeout is None or timeout > 0
        data = link.read(READ_SIZE, timeout) if is_patient else link.peek(READ_SIZE)
        while data is not None:
            self._guarded.receive(lease, data)
            if state.is_over or not state.client.in_flight:
                return
            now = self._clock()
            end = now + LONGEST_LOOK if end is None else end
            data = link.peek(READ_SIZE) if now < end else None

    def note_interrupt(self):
        # type: () -> None
        """See what an interrupt has left undone.

        What was read and not taken is lost, and so is the connection. What was written in part may
        be a part of a frame: nothing more is written then, and responses may still come.
        """
        lost, cut = self._amid or self._reading, self._writing
        self._amid = self._reading = self._writing = None
        opening = self._opening
        if opening is not None and opening.connection is None:
            # It has not begun, and there is nothing to wait for.
            opening.close()
        if opening is not None and (opening.is_over or opening.lease in self._leases.values()):
            self._opening = None
        if lost is not None:
            self._guarded.lose(lost, "it was interrupted")
        if cut is not None:
            cut.pending = b""
            self._guarded.cut(cut)
