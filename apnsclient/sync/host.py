"""Callers share connections: one of them leads and does all I/O, the others follow.

There is a host for each address and credential, in each process. There is no background thread:
whoever waits, drives. The leader writes what is queued, its own and that of others, waits for all
connections at once, and hands out what comes; a follower waits on an event of the back-end's. When
the leader's own work is done, or its caller's code is to run, it hands over to a follower.

What always holds: only the leader does I/O, so that a connection is used by one thread at a time.
The sender is touched with the lock held, and nobody holds the lock during I/O. The caller's own
code never runs while it leads.

An interrupt, from the keyboard or of a green thread, may come between any two lines, and the
garbage collector may close a generator in the middle of anything, also in the thread that holds the
lock. So whoever leads has a token that is known here by a weak reference alone: where nobody has it
any more nobody leads, whatever was left undone, and those who wait look again now and then. A
caller who leaves only says so; whoever touches the sender next forgets what it had.
"""

from __future__ import absolute_import, division, print_function

import itertools
import operator
import weakref
from collections import deque

from .._compat import MYPY
from .._process import this_process
from ..sending.http2 import Sender
from .connections import Connections
from .lease import GuardedSender

if MYPY:
    from typing import Any, Deque, Dict, List, Optional, Tuple

    from ..backends import BaseBackend
    from ..sending.calls import Call
    from ._observing import Observation
    from .opening import Opener

__all__ = ["Host"]

#: Most seconds of a single wait, after which a follower sees for itself whether anybody leads.
_LONGEST_WAIT = 1.0


class _Lead(object):
    """What the leader has, and nobody else.

    :param call: what it leads for, or None.
    """

    def __init__(self, call):
        # type: (Optional[Call]) -> None
        self.call = call
        self.is_over = False


class _Claim(object):
    """A follower.

    :param call: what it waits for.
    :param event: what wakes it; set with the lock held.
    :param number: the lower, the longer it has waited (int).

    :ivar lead: what it leads with from here on, or None.
    """

    def __init__(self, call, event, number):
        # type: (Call, Any, int) -> None
        self.call = call
        self.event = event
        self.number = number
        self.lead = None  # type: Optional[_Lead]


_number_of = operator.attrgetter("number")


class Host(object):
    """Callers who send to one address with one credential.

    :param backend: the :class:`~apnsclient.backends.BaseBackend`.
    :param opener: opens connections (:class:`~.opening.Opener`).
    :param credential: certificate or provider token.
    :param settings: what the session was told: ``timing``.
    :param report_gone: called with a list of ``(token, timestamp)`` of tokens that are dead. It
        must not wait, nor raise anything.
    :param is_shared: whether several callers may use it, and it several connections (bool).
    :param observation: who is told what happens (:class:`~._observing.Observation`), or None.
    """

    def __init__(self, backend, opener, credential, settings, report_gone, is_shared,
                 observation=None):
        # type: (BaseBackend, Opener, Any, Any, Any, bool, Optional[Observation]) -> None
        #: The process that it is for.
        self.process = this_process()
        self._backend = backend
        self._clock = backend.clock
        self._settings = settings
        self._report_gone = report_gone
        self._is_shared = is_shared
        self._lock = backend.create_lock()
        self._sender = Sender(credential, settings.timing)
        self._address = opener.address
        self._observation = observation
        if observation is not None:
            self._sender.facts = observation.facts(opener.address, "http2")
        self._guarded = GuardedSender(self._sender, self._lock, backend.clock)
        self._connections = Connections(backend, opener, self._guarded, settings, is_shared)
        self._lead = None  # type: Optional[weakref.ref[_Lead]]
        self._followers = {}  # type: Dict[Call, _Claim]
        self._numbers = itertools.count()
        # Callers in the middle of a call, by what the back-end knows them by.
        self._present = {}  # type: Dict[Any, weakref.ref[_Lead]]
        self._left = deque()  # type: Deque[Call]

    @property
    def is_idle(self):
        # type: () -> bool
        """True if nobody uses it."""
        return not self._sender.calls and self._lead_now() is None

    @property
    def follower_count(self):
        # type: () -> int
        """How many callers wait for what another one takes."""
        return len(self._followers)

    def drive(self, call, works=()):
        # type: (Call, Any) -> List[Any]
        """Send what a call has to be sent, until there is something for its caller to do.

        :param works: what the call is to send as well (sequence of :class:`.Work`).
        :return: the work that is decided, in order.
        :raises RuntimeError: if the caller is in the middle of another call; see
            :meth:`is_driven_from_here`.
        """
        observation = self._observation
        if observation is None:
            return self._drive_once(call, works)
        observation.begin(works)
        while True:
            decided = self._drive_once(call, works)
            observation.add_outcomes(self._address, decided)
            observation.tell()
            if decided or self.is_ready(call):
                return decided
            # There was something to tell in the middle.
            works = ()

    def _drive_once(self, call, works):
        # type: (Call, Any) -> List[Any]
        me, presence = self._backend.caller_id(), _Lead(call)
        if self._is_present(me):
            raise RuntimeError("send_many() cannot go on in a signal handler, or a log handler, "
                               "that interrupts another call: begin a new one there")
        self._present[me] = weakref.ref(presence)
        try:
            self._drive(call, works)
        finally:
            presence.is_over = True
            self._present.pop(me, None)
        with self._lock:
            decided = self._take_decided(call)
        self._tidy()
        return decided

    def is_driven_from_here(self):
        # type: () -> bool
        """Return True if the caller is in the middle of a call already.

        A signal handler, or a log handler, runs there. It must not wait for what goes on only when
        it has returned: it needs connections of its own.
        """
        return self._is_present(self._backend.caller_id())

    def _is_present(self, caller):
        # type: (Any) -> bool
        reference = self._present.get(caller)
        presence = reference() if reference is not None else None
        return presence is not None and not presence.is_over

    def _drive(self, call, works):
        # type: (Call, Any) -> None
        lead, claim = self._join(call, works)
        try:
            while claim is not None and lead is None:
                lead, claim = self._follow(claim)
            if lead is not None:
                self._run(call)
        finally:
            if lead is not None:
                self._hand_over(lead, call)

    def _take_decided(self, call):
        # type: (Call) -> List[Any]
        decided = call.decided()
        if call in self._sender.calls and call.is_over:
            self._sender.leave(call)
        return decided

    def is_ready(self, call):
        # type: (Call) -> bool
        """Return True if there is something to do for the caller, who does not lead now."""
        with self._lock:
            return call.is_ready

    def leave(self, call):
        # type: (Call) -> None
        """Forget a call whose caller has left, in the middle of anything."""
        if call not in self._sender.calls and (self._sender.calls or self._connections.is_empty):
            return
        call.is_abandoned = True
        self._left.append(call)
        lead = self._lead_now()
        if lead is not None and lead.call is call:
            # An interrupt has kept it from handing over.
            lead.is_over = True
        self._tidy()

    def _tidy(self):
        # type: () -> None
        """Forget the calls whose callers have left, where nobody leads who would do so.

        Never waits for the lock: whoever has it, or leads, comes here when that is over.
        """
        while self._left and self._lead_now() is None and self._lock.acquire(False):
            try:
                if self._lead_now() is not None:
                    return
                lead = self._begin_to_lead()
            finally:
                self._lock.release()
            self._hand_over(lead)

    def lose_all(self, call, problem):
        # type: (Call, str) -> None
        """Give all connections up in a forked child, where a call goes on: they are the parent's.

        Nobody else is there, and the lock may have been held by another thread during the fork.
        """
        self._lock = self._guarded.lock = self._backend.create_lock()
        self._lead = None
        self._followers.clear()
        self._connections.lose_all(problem)
        self._sender.leave(call)

    # Who leads.

    def _lead_now(self):
        # type: () -> Optional[_Lead]
        """Return the token of whoever leads, or None."""
        lead = self._lead() if self._lead is not None else None
        return None if lead is None or lead.is_over else lead

    def _begin_to_lead(self, call=None):
        # type: (Optional[Call]) -> _Lead
        lead = _Lead(call)
        self._lead = weakref.ref(lead)
        return lead

    def _join(self, call, works):
        # type: (Call, Any) -> Tuple[Optional[_Lead], Optional[_Claim]]
        """Queue the work; return what is led with, or what is waited for, or neither."""
        with self._lock:
            # Before anything is touched: a finalizer that comes in between leaves it alone then.
            lead = self._begin_to_lead(call) if self._lead_now() is None else None
            self._sender.timing = self._settings.timing
            self._sender.limit = self._connections.limit
            for work in works:
                call.add(work)
            self._sender.submit(call, self._clock())
            if lead is not None or call.is_ready:
                return lead, None
            claim = _Claim(call, self._backend.create_event(), next(self._numbers))
            self._followers[call] = claim
            self._connections.wake()
            return None, claim

    def _follow(self, claim):
        # type: (_Claim) -> Tuple[Optional[_Lead], Optional[_Claim]]
        """Wait once; return what :meth:`_join` does."""
        call, patience = claim.call, _LONGEST_WAIT
        if call.deadline is not None:
            patience = min(max(call.deadline - self._clock(), 0.0), patience)
        try:
            is_woken = claim.event.wait(patience)
        except BaseException:
            self._followers.pop(call, None)
            if claim.lead is not None:
                # It was to lead from this very moment on.
                self._hand_over(claim.lead)
            raise
        with self._lock:
            if claim.lead is None:
                if self._lead_now() is None:
                    claim.lead = self._begin_to_lead(call)
                if call.deadline is not None:
                    self._sender.expire_calls(self._clock())
                if claim.lead is None and not call.is_ready:
                    if is_woken:
                        claim.event = self._backend.create_event()
                    self._followers[call] = claim
                    return None, claim
            self._followers.pop(call, None)
            return claim.lead, None

    def _hand_over(self, lead, call=None):
        # type: (_Lead, Optional[Call]) -> None
        """Stop leading; let a follower go on, or give back the connections that nobody needs."""
        try:
            with self._lock:
                self._forget_left()
                if call is not None and call.is_over:
                    self._sender.leave(call)
                if not self._sender.calls:
                    del self._sender.connections[:]
                is_done = not self._promote()
                opening = self._connections.take_opening() if is_done else None
                leases = self._connections.take_ended() if is_done else []
                if not leases and opening is None:
                    lead.is_over = True
                    return
            self._connections.release(leases, opening)
            self._report()
        finally:
            if not lead.is_over:
                lead.is_over = True
                with self._lock:
                    # Whoever has come since then may lead already.
                    if self._lead_now() is None:
                        self._promote()
            self._tidy()

    def _promote(self):
        # type: () -> bool
        """Make the follower who has waited longest the leader; return False if there is none."""
        while self._followers:
            waiting = [one for one in list(self._followers.values()) if not one.call.is_abandoned]
            if not waiting:
                break
            claim = min(waiting, key=_number_of)
            self._followers.pop(claim.call, None)
            claim.lead = self._begin_to_lead(claim.call)
            if not claim.call.is_abandoned:
                claim.event.set()
                return True
            # It has left just now, and may not have seen that it was to lead.
            claim.lead.is_over = True
        return False

    def _forget_left(self):
        # type: () -> None
        """Forget the calls whose callers have left."""
        while self._left:
            try:
                call = self._left.popleft()
            except IndexError:
                return
            self._sender.leave(call)
            self._followers.pop(call, None)

    # What the leader does.

    def _run(self, call):
        # type: (Call) -> None
        """Lead, until there is something for the caller to do."""
        try:
            while not self._step(call):
                if self._observation is not None and self._observation.is_due(self._clock()):
                    return
        except BaseException:
            self._connections.note_interrupt()
            raise

    def _step(self, call):
        # type: (Call) -> bool
        """Go one step further; return True if there is something for the caller to do."""
        with self._lock:
            now = self._clock()
            self._forget_left()
            self._sender.expire_calls(now)
            connections = self._connections
            ended, is_ready = connections.take_ended(), call.is_ready
            if not is_ready and connections.are_in_use:
                connections.fill(now)
                is_ready = call.is_ready
            self._notify()
            pending = connections.pending()
            can_open = not (is_ready or pending or ended or connections.is_opening)
            wanted = self._sender.wants_connection(now) if can_open else None
            # What comes is read before more is written, and before a caller who takes its time.
            can_look = call.is_slow if is_ready else bool(pending) and self._sender.has_waiting()
            can_wait = not (is_ready or ended or wanted or can_look)
            if can_wait:
                self._sender.note_waiting(now)
                deadline = self._sender.deadline()
                connections.is_waiting = self._is_shared
        if ended:
            connections.release(ended)
        for lease in pending:
            connections.write(lease, now)
        if wanted is not None:
            connections.open(call, wanted)
        elif can_look and connections.are_in_use:
            is_ready = self._wait(call, 0.0)
        elif can_wait and not any([one.state.is_over for one in pending]):
            is_ready = self._wait(call, self._patience(deadline))
        self._report()
        return is_ready

    def _patience(self, deadline):
        # type: (Optional[float]) -> Optional[float]
        """Return how many seconds (float) the server may be waited for, or None."""
        now = self._clock()
        left = None if deadline is None else max(deadline - now, 0.0)
        return left if self._observation is None else self._observation.time_left(now, left)

    def _notify(self):
        # type: () -> None
        """Let the followers go on for whom there is something to do."""
        for call in self._sender.take_touched():
            claim = self._followers.get(call)
            if claim is not None and call.is_ready:
                self._followers.pop(call, None)
                claim.event.set()

    def _report(self):
        # type: () -> None
        gone = self._sender.take_gone()
        if gone:
            self._report_gone(gone)

    def _wait(self, call, timeout):
        # type: (Call, Optional[float]) -> bool
        """Wait for any of the connections, and take what has come.

        :return: whether there is something for the caller to do.
        """
        connections = self._connections
        now = connections.read(connections.wait(timeout), timeout)
        with self._lock:
            # What came in time has been read by now, also where that was long ago.
            self._sender.expire_requests(now)
            self._notify()
            return call.is_ready
