"""The shell of the event loop around a sender: what is queued, what is read, and what time it is.

A hub has one :class:`~apnsclient.sending.http2.Sender`, which decides, and does what it decides:
requests of many callers go out over its connections, and each caller gets the outcome. Which
connections there are is up to whoever has the hub: a single one, or a pool.

Nothing is awaited here. Requests that come within one round of the loop are started together, and
so is what comes of a read. Nothing is kept for longer than a caller waits for it.

What always holds: a post ends exactly once, see :mod:`._work`. What is proven unprocessed is sent
again by itself until its time is over; what was written and had no response never is.
"""

import asyncio
import logging
import os
from functools import partial
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from .._compat import text_of
from .._timing import Timing
from ..errors import ConnectError
from ..outcomes import parse_response
from ..protocols.http2.events import GoAway
from ..protocols.http2.frames import name_of_error
from ..reasons import RESPONSES, Reason
from ..sending.calls import Call
from ..sending.facts import CLOSED_HERE
from ..sending.http2 import ANOTHER, IN_FLIGHT, WAITING, Sender
from ..sending.http2_connection import SenderConnection
from ..sending.work import LATE
from ._deadlines import Deadlines
from ._link import Link
from ._observing import Observation
from ._queue import Flow, Queue
from ._stream import Endpoint, NoCredential
from ._work import Bundle, Post, Tally
from .errors import Closed, get
from .outcome import Kind

__all__ = ["Hub", "ends_everything"]

_log = logging.getLogger("apnsclient.aio.connection")

#: How many requests are handed to the sender at a time, at most.
_BUNDLE = 128
#: How often that is done in a row, at most, where none of them can be sent; and how many that wait
#: are ended together. Then the loop may do something else.
_MOST_BUNDLES, _PORTION = 4, 256
#: Seconds of silence after which a request that was given up is a reason to ask for a sign of life.
_SILENCE = 1.0
#: How many seconds a timer is late if something has held up the loop, and how many more it gets.
_HELD_UP, _LATER = 0.05, 0.001


def ends_everything(reason: Reason) -> bool:
    """Return True if nothing can be sent with a credential any more, whoever sends what.

    Other reasons that concern the credential pass: Apple wants fewer provider tokens for a while,
    or one request was for a topic that is not the certificate's.
    """
    return (reason.stops_everything and not reason.retries_reported
            and reason.name != "TopicMismatch")


class Hub:
    """Requests on their way to one server with one credential.

    :param endpoint: the server.
    :param timing: timeouts and buffer sizes.
    :param ping_after: after how many idle seconds (float) a connection is pinged before it is used,
        or None for never.
    :param on_change: called when connections have come or gone, or a request waits for one.
    :param queue_size: most requests that wait in the queue (int, from 1), or None for any number.
    :param observation: who is told what happens (:class:`~._observing.Observation`), or None.

    :ivar links: the connections (list of :class:`~._link.Link`).
    :ivar tally: counts requests.
    :ivar queue: those that wait (:class:`~._queue.Queue`).
    :ivar problem: why the last attempt to send something came to nothing (str).
    :ivar failure: why nothing can be sent any more (Exception), or None.
    :ivar on_gone: called with ``(token, timestamp)`` of tokens that are dead (list), or None.
    :ivar all_ended: done when all requests have ended that are to be; None if that is so.
    """

    def __init__(self, endpoint: Endpoint, timing: Timing, ping_after: Optional[float],
                 on_change: Callable[[], None], queue_size: Optional[int] = None,
                 observation: Optional[Observation] = None) -> None:
        self.endpoint = endpoint
        self.timing = timing
        self.links: List[Link] = []
        # Those that are of no more use, and whose streams are being closed.
        self._ending: Set[Link] = set()
        self.observation = observation
        self.tally = Tally(observation)
        # How many responses said that the server does not process requests.
        self._out_of_order = 0
        self.problem = ""
        self.failure: Optional[Exception] = None
        self.on_gone: Optional[Callable[[List[Tuple[bytes, int]]], None]] = None
        self._ping_after = ping_after
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._sender = Sender(endpoint.credential, timing)
        if observation is not None:
            self._sender.facts = observation.facts
        # What was handed to it and is not over, and the flow that it is of.
        self._calls: Dict[Call, Tuple[Any, Flow]] = {}
        self.queue = Queue(queue_size, self.tally, observation)
        self.all_ended: Optional[asyncio.Future[None]] = None
        self._deadlines = Deadlines()
        # The timer, and when it is due.
        self._timer: Any = None
        self._due = float("inf")
        self._is_late = False
        self._is_scheduled = False

    # What callers bring.

    def enter(self, post: Post) -> None:
        """Send a request as soon as there is room for it; if the queue is full, it waits outside.

        Whoever came first has the next place.
        """
        self.queue.enter(post)
        self._note_added(post)

    def add(self, post: Post) -> None:
        """Send a request as soon as there is room for it, however many wait."""
        self.queue.add(post)
        self._note_added(post)

    def _note_added(self, post: Post) -> None:
        if not self._is_scheduled:
            self.schedule()
        if post.deadline is not None:
            self._add_deadline(post.deadline, post)

    def _add_deadline(self, deadline: float, waiter: Any) -> None:
        """See that ``waiter.expire()`` is called at a time, unless ``waiter.is_over`` by then."""
        self._deadlines.add(deadline, waiter)
        self._set_timer(deadline)

    def withdraw(self, post: Post, text: str) -> Optional[str]:
        """Give up a request that nobody waits for any more; others go on.

        :param text: why (str).
        :return: ``WAITING`` if it was not sent, ``IN_FLIGHT`` if it may have been, see
            :meth:`.Sender.withdraw`; None if it has ended.
        """
        if post.is_over:
            return None
        if not post.has_place:
            self.queue.leave(post)
            self.tally.give_up(post, text + "; too many others waited")
            return WAITING
        if post.bundle is None:
            self.tally.give_up(post, text)
            self.queue.note_ended(post)
            self.schedule()
            return WAITING
        now = self._loop.time()
        where: Optional[str] = self._sender.withdraw(post.bundle, post.index, text, now)
        if where == IN_FLIGHT:
            self._suspect(now)
        self.schedule()
        return where

    def _suspect(self, now: float) -> None:
        """See whether connections are alive over which nothing has come for a while.

        Where callers have less patience than ``read_timeout``, no request would ever be late.
        """
        for link in self.links:
            if (link.probe_deadline is None and link.is_active
                    and now - link.received_at >= _SILENCE):
                self._probe(link, now)

    def end_outside(self, error: Exception) -> None:
        """End all requests that wait for a place in the queue.

        :param error: why; see :meth:`end_waiting`.
        """
        self.queue.refuse_outside(error)
        self._end_refused()

    @property
    def problem_text(self) -> str:
        """What to add to the text of an error: why nothing could be sent, if that is so."""
        return ": " + self.problem if self.problem and not self.links else ""

    def requeue(self, posts: List[Post], text: str) -> None:
        """Take back requests that were not processed; they go out before others.

        :param text: why (str).
        """
        self.problem = text
        self.queue.put_back(posts)

    def stop(self, posts: List[Post], reason: Reason) -> None:
        """Take back requests because of what the server says of the credential."""
        if not self._is_ended_by(reason):
            self.requeue(posts, reason.explanation)
            return
        for post in posts:
            self.tally.fail(post, self.error_of(reason))

    def _is_ended_by(self, reason: Reason) -> bool:
        has_credential = not isinstance(self.endpoint.credential, NoCredential)
        return has_credential and ends_everything(reason)

    def note_rejected(self, reason: Reason) -> None:
        """Note the reason that a request was rejected for."""
        self._out_of_order += reason.is_unprocessed
        if self._is_ended_by(reason) and self.failure is None:
            self.failure = self.error_of(reason)
            self.schedule()

    def note_goaway(self, state: SenderConnection, goaway: GoAway) -> str:
        """Note why a server ends a connection, and return the name of that (str).

        Apple gives the reason in JSON. One that another connection cures is the sender's concern.
        """
        name: Optional[str] = parse_response(goaway.debug)[0]
        reason = RESPONSES.get(name) if name is not None else None
        if reason is not None and reason is not state.retired_for:
            self.note_rejected(reason)
        return name or str(name_of_error(goaway.code))

    @staticmethod
    def error_of(reason: Reason) -> Exception:
        """Return the exception for requests that were not sent for a reason of the server's."""
        row = Reason(reason.code, reason.explanation, reason.verdict, reason.scope, None,
                     reason.name)
        return get(reason.name or reason.explanation, None, row=row, kind=Kind.undelivered)

    @property
    def in_flight(self) -> int:
        """How many requests were started and have not ended."""
        return sum(link.state.client.in_flight for link in self.links)

    @property
    def retrying(self) -> int:
        """How many requests wait to be sent again."""
        return sum(work.resent_count for work, _ in self._calls.values())

    @property
    def has_waiting(self) -> bool:
        """True if there are requests that wait to be started."""
        return self.queue.count > 0 or self._sender.has_waiting()

    def wants_another(self) -> bool:
        """Return True if another connection beside those in use would be faster."""
        return self._sender.wants_connection(self._loop.time()) is not None

    def time_to_open(self, why: str) -> Optional[float]:
        """Return how many seconds a connection may take; see :meth:`.Sender.time_to_open`."""
        return self._sender.time_to_open(why)

    def note_connect_failed(self, why: str) -> None:
        """Note that a further connection could not be had."""
        self._sender.connect_failed(why, None, self._loop.time())

    # Connections.

    def use(self, link: Link) -> None:
        """Use a connection from here on."""
        now = self._loop.time()
        link.state.attach(True, now)
        self.links.append(link)
        self.problem = ""
        self._sender.add_connection(link.state, now)
        self.schedule()

    def receive(self, link: Link, data: bytes) -> None:
        """Take what a server has sent."""
        self._run(self._receive, link, data)

    def _receive(self, link: Link, data: bytes) -> None:
        now = self._loop.time()
        self._sender.note_progress(now)
        if link.state.is_over:
            return
        link.received_at = now
        before = self.tally.completed - self._out_of_order
        self._sender.receive(link.state, data, now)
        # Before their callers go on, who may ask for the feedback.
        self._report_gone()
        if before != self.tally.completed - self._out_of_order:
            link.is_useful = True
        if link.probe_deadline is not None and link.state.client.is_ping_acknowledged:
            link.probe_deadline = None
            link.is_proven = True
            link.state.progress_at = now
        if not self._is_scheduled:
            self.schedule()

    def lose(self, link: Link, error: Exception) -> None:
        """Take note that a connection has ended."""
        self._run(self._lose, link, error)

    def _lose(self, link: Link, error: Exception) -> None:
        now, state = self._loop.time(), link.state
        failure = None
        if isinstance(error, ConnectError) and not state.client.has_proof:
            # It has never let us in, so that nothing was processed.
            failure = type(error), error, None
            self.failure = self.failure or error
        self._sender.lose(state, text_of(error), now, failure)
        if failure is not None:
            # The sender has nothing to say of calls of which nothing was ever processed.
            for call in [one for one in self._calls if one.failure is not None]:
                self._calls[call][0].give_up(text_of(error))
                self._forget(call)
        self.schedule()

    def close_links(self) -> "List[asyncio.Future[None]]":
        """Close all connections; what has not ended is lost.

        :return: a future for each, and for each that was closing already, that is done when it is
            closed.
        """
        for link in self.links:
            if not link.state.is_over:
                self._dismiss(link)
        self._settle()
        return [link.stream.close() for link in self._ending]

    def _dismiss(self, link: Link) -> None:
        """Take leave of a server; what is in flight is lost."""
        now = self._loop.time()
        link.state.client.send_goaway()
        data = link.state.output(now)
        self._sender.lose(link.state, CLOSED_HERE, now)
        if data:
            link.stream.write(data)

    def abort_links(self) -> None:
        """Close all connections at once, without a word to anybody."""
        for link in self.links + list(self._ending):
            link.stream.abort()

    def end_waiting(self, error: Exception) -> None:
        """End all requests that wait, also those that have no place: nothing more is started.

        Some of them at once, others as soon as the loop has been elsewhere; see :attr:`all_ended`.

        :param error: why. Each caller gets one of its own, since raising it adds a traceback.
        """
        for call in list(self._calls):
            call.give_up(text_of(error))  # They come back to the queue.
            self._forget(call)
        self.queue.refuse(error)
        self._end_refused()

    def _end_refused(self) -> None:
        if self.all_ended is None:
            self._end_some()

    def _end_some(self) -> None:
        self.queue.end_refused(_PORTION)
        if self.queue.has_refused and not self._loop.is_closed():
            self.all_ended = self.all_ended or self._loop.create_future()
            self._loop.call_soon(self._run, self._end_some)
        elif self.all_ended is not None:
            self.all_ended.set_result(None)
            self.all_ended = None
            self.schedule()

    # What goes out.

    def schedule(self) -> None:
        """Go on as soon as what is going on now is done."""
        if not self._is_scheduled and not self._loop.is_closed():
            self._is_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Start what there is room for, and see what has ended; called by the loop."""
        self._is_scheduled = False
        self._run(self._go_on)
        self.tell()

    def tell(self) -> None:
        """Tell the observer all that has happened, if there is one."""
        if self.observation is not None:
            self.observation.tell()

    def _run(self, step: Callable[..., None], *arguments: Any) -> None:
        """Do what the loop has called for; if that fails, all callers are told, and nobody else is.
        """
        try:
            step(*arguments)
        except Exception as error:  # pylint: disable=broad-except
            self._crash(error)

    def _crash(self, error: Exception) -> None:
        """End everything: a credential has failed, or there is a fault here. Nobody waits for ever.
        """
        _log.error("the client of %s has failed", self.endpoint, exc_info=error)
        problem = "the client has failed: %s" % text_of(error)
        self.failure = self.failure or Closed(problem, kind=Kind.unprocessed)
        links, self.links = self.links, []
        for link in links:
            link.stream.abort()
        calls, self._calls = self._calls, {}
        for work, flow in calls.values():
            flow.call = None
            for post in work.unfinished:
                # Where it is, nobody knows.
                self.tally.fail(post, Closed(problem, kind=Kind.unknown))
        self._on_change()

    def _go_on(self) -> None:
        now = self._loop.time()
        self._settle()
        is_busy = bool(self.links)
        while is_busy:
            is_busy = False
            for link in self.links:
                if link.stream.is_writable:
                    is_busy = self._write(link, now) or is_busy
        if self._sender.has_waiting():
            self._sender.note_waiting(now)
        self._settle()
        self._on_change()
        deadline = self._next_deadline()
        if deadline is not None:
            self._set_timer(deadline)

    def _write(self, link: Link, now: float) -> bool:
        """Start requests on a connection; return True if there may be room for more."""
        state = link.state
        if link.is_active and self.failure is None and self._may_use(link, now):
            self._sender.fill(state, now)
            for _ in range(_MOST_BUNDLES):
                if not self._hand_over(now):
                    break
                # All of it may have been refused, because of what it is.
                self._sender.fill(state, now)
            else:
                self.schedule()
        data = state.output(now)
        if not data:
            return False
        has_requests = state.has_requests
        link.stream.write(data)
        state.written(now)
        return bool(has_requests)

    def _may_use(self, link: Link, now: float) -> bool:
        """Return True unless it has to be seen first whether a connection is alive."""
        if link.probe_deadline is not None:
            return False
        state, after = link.state, self._ping_after
        is_wanted = self.queue.count or self._sender.has_waiting()
        if after is not None and is_wanted and not (state.client.in_flight or link.is_proven) \
                and now - state.used_at >= after:
            self._probe(link, now)
            return False
        link.is_proven = False
        if is_wanted:
            state.used_at = now
        return True

    def _probe(self, link: Link, now: float) -> None:
        """Ask a server for a sign of life."""
        link.state.client.ping(os.urandom(8))
        # Not for as long as a connect may take: there has to be time for one, if there is none.
        link.probe_timeout = self._sender.time_to_open(ANOTHER) or 0.0
        link.probe_deadline = now + link.probe_timeout
        self._set_timer(link.probe_deadline)

    def _hand_over(self, now: float) -> bool:
        """Hand over the next requests of each flow that the sender has nothing of to start.

        :return: whether there were any (bool).
        """
        found = False
        for flow in self.queue.next_flows():
            posts, late = self.queue.take(flow, _BUNDLE, now)
            if posts:
                found = True
                self._submit(Bundle(posts, self) if posts[0].template is not None
                             else posts[0].new_work(self), flow, now)
            for post in late:
                post.expire()
        return found

    def _submit(self, work: Any, flow: Flow, now: float) -> None:
        flow.call = call = Call()
        self._calls[call] = work, flow
        call.has_more = self.queue.count > 0
        call.add(work)
        self._sender.submit(call, now)

    def _settle(self) -> None:
        """Let go of what has ended."""
        for call in self._sender.take_touched():
            call.has_more = self.queue.count > 0
            self._forget(call)
        for link in self.links:
            if link.is_retired and not (link.state.is_over or link.state.client.in_flight):
                self._dismiss(link)
        if len(self.links) != len(self._sender.connections):
            self._release_ended()
        self._report_gone()

    def _report_gone(self) -> None:
        gone = self._sender.take_gone()
        if gone and self.on_gone is not None:
            self.on_gone(gone)

    def _forget(self, call: Call) -> None:
        """Forget a call, if it is over."""
        if call.is_over and call in self._calls:
            work, flow = self._calls.pop(call)
            # Or else the two would keep each other, until the garbage is collected.
            work.call = None
            if flow.call is call:
                flow.call = None
            self._sender.leave(call)

    def _release_ended(self) -> None:
        used = self._sender.connections
        ended = [link for link in self.links if link.state not in used]
        self.links = [link for link in self.links if link.state in used]
        for link in ended:
            client = link.state.client
            self._log_end(link)
            if self.observation is not None:
                self.observation.facts.note_http2_closed(
                    link.state, "retired" if link.is_retired else "done", self._loop.time())
            self.problem = link.state.problem or self.problem
            if client.goaway is not None:
                self.note_goaway(link.state, client.goaway)
            data = client.output()
            if data and not link.state.is_cut:
                link.stream.write(data)
            # It lives until it is closed: whoever closes all waits for it, too.
            self._ending.add(link)
            link.stream.close().add_done_callback(partial(self._note_closed, link))

    def _note_closed(self, link: Link, closed: "asyncio.Future[None]") -> None:
        self._ending.discard(link)

    def _log_end(self, link: Link) -> None:
        state = link.state
        if state.client.error is not None:
            _log.warning("%s broke the rules of HTTP/2: %s", self.endpoint, state.client.error)
        _log.log(logging.WARNING if state.lost else logging.DEBUG,
                 "the connection to %s ended with %d requests without a response: %s",
                 self.endpoint, state.lost, state.problem)

    # Time.

    def _next_deadline(self) -> Optional[float]:
        ends = [self._deadlines.first(), self._sender.deadline() if self._calls else None]
        ends += [link.probe_deadline for link in self.links]
        return min([end for end in ends if end is not None], default=None)

    def _set_timer(self, deadline: float) -> None:
        """See that what has taken too long ends then, if that is earlier than so far."""
        if deadline < self._due:
            if self._timer is not None:
                self._timer.cancel()
            # A timer of uvloop does not say when it is due if that is at once.
            self._timer, self._due = self._loop.call_at(deadline, self._expire), deadline

    def _expire(self) -> None:
        """End what has taken too long; called by the loop."""
        now, due = self._loop.time(), self._due
        self._timer, self._due = None, float("inf")
        if now - due > _HELD_UP and not self._is_late:
            # What has come while nobody could look is read first; uvloop has timers before that.
            self._is_late = True
            self._set_timer(now + _LATER)
            return
        self._is_late = False
        self._run(self._end_late, now)

    def _end_late(self, now: float) -> None:
        self._deadlines.expire(now)
        if self._calls:
            self._sender.expire_requests(now)
        for link in list(self.links):
            if link.probe_deadline is not None and link.probe_deadline <= now:
                self._sender.lose(
                    link.state, "%s %s s to a PING" % (LATE, link.probe_timeout), now)
        self._go_on()

    def cancel_timer(self) -> None:
        """Forget what time it is to be: nothing is left that could take too long."""
        self._deadlines.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._due = None, float("inf")

