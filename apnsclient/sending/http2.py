"""What many callers send over HTTP/2 to one address with one credential, over several connections.

A :class:`Sender` decides; a shell around it does what it decides. There is no I/O here, no lock, no
clock and no log: the shell brings calls, bytes that came and connections that it has opened, and
takes bytes to write, connections to close, and calls that have something to do. Time is an
argument. One thread uses it at a time.

What is decided here:

- *Order.* Callers are served round robin, a chunk at a time, so that a single message does not wait
  behind a campaign of a million; the work of one caller goes out in its order.
- *Outcomes.* A request that gets status 200 has been delivered to Apple, and nothing is kept of it.
  Any other response is judged by its reason, see :mod:`apnsclient.reasons`. A request that was
  proven not to have been processed is sent again: its stream was refused, a GOAWAY named an earlier
  one, or it was never written to its end. One that was written and had no response is unknown, and
  whether to send it again is its caller's to decide.
- *Connections.* The first one is opened when there is work. Another one is wanted when requests
  have waited for room for about a round trip, and the server has accepted requests over all that
  are open. A connection that ends leaves its requests to the others, or to the next one.
- *Withdrawal.* A request can be withdrawn at any time. If it waits, nothing is sent; if it is in
  flight, its stream is reset. Others go on, and it is not sent again.
- *The end.* A reason that concerns the credential stops every call. A server that processes nothing
  over several connections in a row, or leaves requests without a response and responds to none,
  ends it. What was not sent is in the results' retry.
"""

from __future__ import absolute_import, division, print_function

from collections import deque

from .._compat import MYPY
from ..outcomes import parse_response
from ..protocols.http2.events import Response
from ..protocols.http2.frames import name_of_error
from ..reasons import RESPONSES, reason_of_response
from .spreading import Spreading, longest_opening
from .work import LATE, RESET, Work

if MYPY:
    from typing import Any, Deque, List, Optional, Set, Tuple

    from .._timing import Timing
    from ..reasons import Reason
    from .calls import Call
    from .facts import Facts
    from .http2_connection import SenderConnection

__all__ = ["ANOTHER", "FIRST", "IN_FLIGHT", "WAITING", "Sender"]

#: Why a connection is wanted: there is none that takes requests; or more of them would be faster.
FIRST, ANOTHER = "first", "another"
#: Where a request was when it was withdrawn.
WAITING, IN_FLIGHT = "waiting", "in flight"

#: Fewest bytes of requests that are written at once, as long as there are more to come. A window of
#: 64 KiB, as Apple's, comes back by halves: with more, both sides would wait for each other.
_CHUNK = 12288


class Sender(object):
    """Work on its way to one address with one credential.

    :param credential: certificate or provider token (with ``renew()``).
    :param timing: timeouts and buffer sizes (``Timing``); may be set at any time.
    :param limit: most connections (int, from 1), or None for any number; likewise.

    :ivar connections: those in use (list of :class:`~.http2_connection.SenderConnection`). One that
        is done is taken out, and is to be closed; the shell takes out those that nobody needs.
    :ivar calls: those that are not over (set of :class:`~.calls.Call`).
    :ivar needs_new: whether the next connection must be one that nobody has used.
    :ivar facts: what an observer is to be told (:class:`~.facts.Facts`); None if there is none.
    """

    #: Seconds after which another connection is tried once more for a provider token.
    RENEWAL = 1200
    #: How many connections in a row may process nothing, or stall.
    MOST_FAILURES = 3

    def __init__(self, credential, timing, limit=None):
        # type: (Any, Timing, Optional[int]) -> None
        self._credential = credential
        self.timing = timing
        self.limit = limit
        self.connections = []  # type: List[SenderConnection]
        self.calls = set()  # type: Set[Call]
        self.needs_new = False
        self.facts = None  # type: Optional[Facts]
        # Calls with requests that wait to be started, in the order of who is next.
        self._queue = deque()  # type: Deque[Call]
        self._timed = set()  # type: Set[Call]
        self._touched = set()  # type: Set[Call]
        self._gone = []  # type: List[Tuple[bytes, int]]
        self._failures = 0
        self._renewed_at = None  # type: Optional[float]
        self._spreading = Spreading()

    # Calls.

    def submit(self, call, now):
        # type: (Call, float) -> None
        """Send what a call has to be sent, now and from here on."""
        if call.is_abandoned:
            return
        self.calls.add(call)
        if call.deadline is not None:
            self._timed.add(call)
        if call.is_queued or call.next_waiting() is None:
            return
        if not self._queue:
            self._spreading.begin()
            for connection in self.connections:
                if not connection.client.in_flight:
                    connection.progress_at = now
        self._queue.append(call)
        call.is_queued = True

    def leave(self, call):
        # type: (Call) -> None
        """Forget a call that is over, or whose caller has left."""
        self.calls.discard(call)
        self._timed.discard(call)
        if call.is_queued:
            call.is_queued = False
            try:
                self._queue.remove(call)
            except ValueError:
                pass  # An interrupt came between the two steps of queueing it.
        if not self.calls:
            # What was tried for these calls may be tried again for the next ones.
            self._renewed_at, self._failures, self.needs_new = None, 0, False

    def has_waiting(self):
        # type: () -> bool
        """Return True if there are requests that wait to be started."""
        queue = self._queue
        while queue:
            if not queue[0].is_abandoned and queue[0].next_waiting() is not None:
                return True
            queue[0].is_queued = False
            queue.popleft()
        return False

    def take_touched(self):
        # type: () -> Set[Call]
        """Return the calls of which anything was decided since it was asked for the last time."""
        touched, self._touched = self._touched, set()
        return touched

    def take_gone(self):
        # type: () -> List[Tuple[bytes, int]]
        """Return ``(token, timestamp)`` of the tokens that Apple has declared dead since then.

        Tokens are lower-case hexadecimal bytes, times are seconds since 1970 (int).
        """
        gone, self._gone = self._gone, []
        return gone

    # Connections.

    def wants_connection(self, now):
        # type: (float) -> Optional[str]
        """Return :data:`FIRST` or :data:`ANOTHER` if a connection is to be opened, else None."""
        if not self.has_waiting():
            return None
        if self.limit is not None and len(self.connections) >= self.limit:
            # Also where none of them takes requests: they end when they have responded to the last.
            return None
        open_connections = [one for one in self.connections if one.can_start]
        if not open_connections:
            return FIRST
        if self._spreading.is_worth_it(open_connections, self._queue, now):
            return ANOTHER
        return None

    def time_to_open(self, why):
        # type: (str) -> Optional[float]
        """Return how many seconds a connection may take until it is ready (float), or None.

        :param why: what :meth:`wants_connection` returned.
        """
        timeout = self.timing.connect_timeout
        if why == FIRST:
            return timeout
        longest = longest_opening(self.connections)
        return longest if timeout is None else min(timeout, longest)

    def add_connection(self, connection, now):
        # type: (SenderConnection, float) -> None
        """Use a connection that is ready for it."""
        self.connections.append(connection)
        self.needs_new = False
        self._spreading.note_opened()
        if connection.is_done:
            # The server is ending it already.
            self._conclude(connection, now)

    def connect_failed(self, why, failure, now):
        # type: (str, Any, float) -> None
        """Go on without a connection that could not be had.

        :param why: what :meth:`wants_connection` returned.
        :param failure: ``sys.exc_info()`` of it.
        """
        self._spreading.note_failed(now)
        if why == ANOTHER:
            return
        while self.has_waiting():
            call = self._queue[0]
            call.fail(failure)
            self._touched.add(call)

    # What goes out.

    @property
    def chunk(self):
        # type: () -> int
        """How many bytes of requests are written together (int)."""
        return max(_CHUNK, self.timing.write_buffer_size)

    def fill(self, connection, now):
        # type: (SenderConnection, float) -> None
        """Start as many requests on a connection as are written at once."""
        if not connection.can_start or not self.has_waiting():
            return
        if connection.refresh_token() and self.facts is not None:
            self.facts.note_token(self._credential, connection.token_age, now)
        chunk, queue = self.chunk, self._queue
        while connection.size < chunk and self.has_waiting():
            call = queue[0]
            work = call.next_waiting()
            if work is None or not connection.start(work, chunk):
                return
            self._touched.add(call)
            if len(queue) > 1:
                queue.rotate(-1)

    def note_waiting(self, now):
        # type: (float) -> None
        """Note that nothing more can be started, and that the server is waited for now."""
        if self.has_waiting():
            self._spreading.note_waiting(now)

    def note_progress(self, now):
        # type: (float) -> None
        """Note that the wait is over."""
        seconds = self._spreading.note_progress(self.connections, now)
        if self.facts is not None and seconds is not None:
            self.facts.note_waited("room", seconds, now)

    # What comes in.

    def receive(self, connection, data, now):
        # type: (SenderConnection, bytes, float) -> None
        """Take what a server has sent.

        :param data: at least one byte.
        """
        for event in connection.receive(data, now):
            self._take_event(connection, event, now)
        goaway = connection.take_goaway()
        if goaway is not None:
            self._take_goaway(connection, goaway, now)
        finished = connection.take_finished()
        self._touch(connection, finished)
        if self.facts is not None:
            self.facts.note_responses(finished, now)
            self.facts.note_resent(now)
        if connection.limit.refuses_all and connection.can_start:
            connection.problem = "the server refuses all requests"
            self._lose(connection, connection.problem, now)
        elif connection.client.error is not None:
            self._lose(connection, str(connection.client.error), now)
        elif connection.is_done:
            self._conclude(connection, now)

    def _touch(self, connection, batches):
        # type: (SenderConnection, List[Any]) -> None
        """Note of which calls something was decided."""
        is_proven = connection.has_responded or connection.has_unknown
        for batch in batches:
            call = batch.owner.call
            if call is not None:
                if is_proven:
                    call.note_proven()
                self._touched.add(call)

    def _take_event(self, connection, event, now):
        # type: (SenderConnection, Any, float) -> None
        """Take what became of a request."""
        batch = event.batch
        work, index = batch.owner, batch.index_of(event.stream)  # type: Work, int
        if isinstance(event, Response):
            if work.has_accepted(event.status):
                work.accept(index, event)
            else:
                self._take_rejection(connection, work, index, event, now)
        elif event.is_unprocessed:
            is_refused = connection.client.goaway is None
            if is_refused:
                connection.limit.note_refused(event.stream)
            self._resend(work, index, "refused stream" if is_refused else "goaway", now)
        else:
            connection.has_unknown |= event.is_whole
            text = "%s (%s)" % (RESET, name_of_error(event.code))
            self._lose_request(work, index, event.is_whole, text)

    def _resend(self, work, index, why, now):
        # type: (Work, int, str, float) -> None
        """Send a request again that was not processed."""
        call = work.call
        if call is None or call.is_abandoned:
            return
        if self.facts is not None:
            self.facts.count_resent(why)
        call.resend(work, index)
        self._touched.add(call)
        self.submit(call, now)

    def _take_rejection(self, connection, work, index, response, now):
        # type: (SenderConnection, Work, int, Any, float) -> None
        """Decide what a response means that does not accept a request."""
        name, timestamp = parse_response(response.body)
        reason = reason_of_response(response.status, name, response.is_cut_off)
        if reason.is_cured_by_connection and self._can_renew(connection, now) \
                or reason.is_unprocessed and work.can_move(index):
            connection.retired_for = reason
            self._resend(work, index, name or "status %d" % response.status, now)
            return
        if timestamp is not None and reason.is_gone(timestamp):
            token = work.token_of(index)
            if token is not None:
                self._gone.append((token, timestamp))
        work.reject(index, reason, response, timestamp)
        if reason.stops_everything:
            self._stop(connection, reason)

    def _can_renew(self, connection, now):
        # type: (SenderConnection, float) -> bool
        """Return True if a refused provider token is worth another connection: once, or for long.

        Connections that are older than the last renewal are renewed with it.
        """
        if not hasattr(self._credential, "renew"):
            return False
        return (self._renewed_at is None or now - self._renewed_at > self.RENEWAL
                or connection.opened_at < self._renewed_at)

    def _take_goaway(self, connection, goaway, now):
        # type: (SenderConnection, Any, float) -> None
        """Note why the server is ending the connection; Apple gives a reason in JSON."""
        _, code, debug = goaway
        name = parse_response(debug)[0]
        reason = RESPONSES.get(name) if name is not None else None
        connection.problem = "the server is ending the connection (%s)" % (
            name or name_of_error(code))
        if reason is not None and reason.is_cured_by_connection \
                and self._can_renew(connection, now):
            connection.retired_for = reason
        elif reason is not None and reason.stops_everything:
            self._stop(connection, reason)

    def _stop(self, connection, reason):
        # type: (SenderConnection, Reason) -> None
        """Send nothing more with the credential, for now.

        What came late over a connection that is only being made ready is no news to these calls.
        """
        connection.reject_token()
        if connection not in self.connections:
            return
        for call in self.calls:
            call.stop(reason)
        self._touched.update(self.calls)

    @staticmethod
    def _lose_request(work, index, is_whole, text):
        # type: (Work, int, bool, str) -> None
        """Note that there will be no response to a request."""
        if is_whole:
            work.lose(index, text)
        else:
            work.cut(index, text)

    # The end of a connection.

    def lose(self, connection, problem, now, failure=None):
        # type: (SenderConnection, str, float, Any) -> None
        """Go on without a connection that has failed, or that the server has ended.

        :param problem: what happened (str).
        :param failure: ``sys.exc_info()`` of the exception if it says that the server has never let
            us in: then nothing was processed, and the callers are told.
        """
        if not connection.is_over:
            self._lose(connection, problem, now, failure)

    def cut(self, connection, now):
        # type: (SenderConnection, float) -> None
        """Go on after a write that was interrupted, and may have ended in the middle of a frame.

        Nothing more is written. What the server has got is responded to as ever, and a request of
        which a part was still to be written is sent again.
        """
        for batch, stream, _ in connection.cut(now):
            self._resend(batch.owner, batch.index_of(stream), "interrupted write", now)
        for event in connection.client.events():
            self._take_event(connection, event, now)
        self._touch(connection, connection.take_finished())
        if self.facts is not None:
            self.facts.note_resent(now)
        if connection.is_done:
            self._conclude(connection, now)

    def _lose(self, connection, problem, now, failure=None):
        # type: (SenderConnection, str, float, Any) -> None
        left = connection.end(problem)
        for event in connection.client.events():
            self._take_event(connection, event, now)
        connection.lost = len(left)
        calls = set()
        for batch, stream, was_written in left:
            work, index = batch.owner, batch.index_of(stream)
            if work.call is not None:
                calls.add(work.call)
            if failure is not None or not was_written:
                self._resend(work, index, "lost connection", now)
            else:
                connection.has_unknown = True
                self._lose_request(work, index, True, problem if problem.startswith(LATE) else (
                    "the request was written, and there was no response: %s" % problem))
        self._touch(connection, connection.take_finished())
        if self.facts is not None:
            self.facts.note_resent(now)
        if failure is not None:
            others = [one for one in self.connections if one is not connection and one.can_start]
            self.connect_failed(ANOTHER if others else FIRST, failure, now)
        elif connection.has_unknown and not connection.has_responded:
            for call in calls:
                call.give_up(problem)
        self._conclude(connection, now)

    def _conclude(self, connection, now):
        # type: (SenderConnection, float) -> None
        """Let go of a connection that is done, and see whether there was progress."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        reason = connection.retired_for
        if reason is not None:
            self.needs_new = True
            if reason.is_cured_by_connection:
                if reason.is_expired_token and connection.token is not None:
                    self._credential.renew(connection.token)
                self._renewed_at = now
        if not (self.has_waiting() and connection.has_failed):
            self._failures = 0
            return
        self._failures += 1
        if self._failures < self.MOST_FAILURES:
            return
        self._failures = 0
        while self.has_waiting():
            call = self._queue[0]
            if reason is not None and reason.is_unprocessed:
                call.stop(reason)
            else:
                call.give_up(connection.problem or "the server refuses all requests")
            self._touched.add(call)

    # Time.

    def deadline(self):
        # type: () -> Optional[float]
        """Return when something may have taken too long, or None; see the methods that follow."""
        has_waiting, timeout = self.has_waiting(), self.timing.read_timeout
        ends = [call.deadline or 0.0 for call in self._timed]
        if timeout is not None:
            ends += [connection.deadline(timeout) for connection in self.connections
                     if has_waiting or connection.client.in_flight]
        return min(ends) if ends else None

    def expire_calls(self, now):
        # type: (float) -> None
        """End the calls whose time is over."""
        for call in [one for one in self._timed if (one.deadline or 0.0) <= now]:
            self._end_call(call, "the time that the call was given is over", now)

    def expire_requests(self, now):
        # type: (float) -> None
        """Give up requests that have had no response in time; all that came has been received."""
        timeout, has_waiting = self.timing.read_timeout, self.has_waiting()
        if timeout is None:
            return
        for connection in list(self.connections):
            if (has_waiting or connection.client.in_flight) and connection.deadline(timeout) <= now:
                self._expire_oldest(connection, timeout, now)

    def _expire_oldest(self, connection, timeout, now):
        # type: (SenderConnection, float, float) -> None
        """The time of a request is over, or there was no room for one for as long."""
        oldest, client = connection.oldest(), connection.client
        if oldest is None:
            if not client.room(1):
                connection.is_stalled = True
                self._lose(connection, "the server allowed no request for %s s" % timeout, now)
        elif client.response_count == oldest.responses_before:
            connection.is_stalled = True
            self._lose(connection, "%s %s s" % (LATE, timeout), now)
        else:
            self._cancel(connection, oldest, "%s %s s" % (LATE, timeout), now)

    # What is given up.

    def withdraw(self, work, index, text, now):
        # type: (Work, int, str, float) -> Optional[str]
        """Give up one request, wherever it is; what was opened for it is in the output then.

        The work is told its outcome, as that of any other request: it was not sent, it was written
        and nothing is known of it, or it had a response of which not everything has come.

        :param index: its number in the work (int).
        :param text: why it is given up (str).
        :return: where it was, :data:`WAITING` or :data:`IN_FLIGHT`; None if it had ended, and
            nothing was done.
        """
        where = WAITING
        if not work.withdraw(index):
            connection, batch = self._find(work, index)
            if connection is None:
                return None
            where = IN_FLIGHT
            self._cancel(connection, batch, text, now, index)
            if not work.withdraw(index):
                return where
            # What had come of its response is a reason to send it again.
        work.cut(index, text)
        if work.call is not None:
            self._touched.add(work.call)
        return where

    def _find(self, work, index):
        # type: (Work, int) -> Tuple[Any, Any]
        """Return the connection that a request is in flight on, and its batch; or two None."""
        for batch in work.batches:
            if batch.stream_of(index) is not None:
                for connection in self.connections:
                    if connection.client.has(batch, index):
                        return connection, batch
        return None, None

    def _end_call(self, call, text, now):
        # type: (Call, str, float) -> None
        """End a call: what waits is not sent, and what is in flight is unknown."""
        call.give_up(text)
        for connection in list(self.connections):
            for batch in list(connection.batches):
                if batch.left and batch.owner.call is call:
                    self._cancel(connection, batch, text, now)
        self._timed.discard(call)
        self._touched.add(call)

    def _cancel(self, connection, batch, text, now, index=None):
        # type: (SenderConnection, Any, str, float, Optional[int]) -> None
        """Give up a request of a batch, or all that have not ended; others go on."""
        work = batch.owner
        for one, is_whole in connection.cancel(batch, index):
            if is_whole and index is None:
                connection.has_unknown = True
            elif is_whole and work.call is not None:
                # It is not the server's fault, and says nothing of other requests.
                work.call.note_proven()
            self._lose_request(work, one, is_whole, text)
        for event in connection.client.events():
            self._take_event(connection, event, now)
        self._touch(connection, [batch])
        if connection.is_done:
            self._conclude(connection, now)
