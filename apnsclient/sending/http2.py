"""Drives HTTP/2 over one leased connection.

Each request is answered, so that there is no guessing as in the binary protocol. A request ends in
one of these ways:

- It is answered with 200: the token has its notification. Nothing is kept of it.
- It is answered with anything else: the reason decides, see :mod:`apnsclient.reasons`.
- It is proven not to have been processed: the server refused its stream, named an earlier one in a
  GOAWAY, or the request was never written to its end. It may be sent again without asking anybody.
- It was written and never answered: nothing is known, and sending it again is the caller's to
  decide.

All waiting has an end: a write, and the wait for the answer to a request, have their time from the
moment they begin, whatever else the server sends in between.
"""

from __future__ import absolute_import, division, print_function

import logging
import os
from collections import deque

from .._compat import MYPY, text_of
from .._interrupts import is_interrupt
from ..errors import ConnectError, ConnectTimeout, is_timeout
from ..outcomes import parse_response
from ..protocols.http2.client import Response
from ..protocols.http2.frames import name_of_error
from ..reasons import RESPONSES
from .http2_parcels import Question
from .http2_state import ConnectionState

if MYPY:
    from typing import Any, Callable, List, Optional, Tuple

    from .._arguments import Timing
    from ..backends import BaseConnection
    from ..protocols.http2.streams import Batch
    from ..reasons import Reason
    from .http2_parcels import Parcel

__all__ = ["Http2Driver"]

#: Most bytes that are read at once.
_READ_SIZE = 65536
#: Fewest bytes of requests that are written at once, as long as there are more to come. A window of
#: 64 KiB, as Apple's, comes back by halves: with more, both sides would wait in turns.
_CHUNK = 12288
#: How many batches may be remembered, before those that are answered are forgotten behind one that
#: is not.
_MANY_BATCHES = 4096
#: Seconds for what a server says while it does not take what we write, and for our own goodbye.
_LAST_WORDS = 1.0
#: Seconds for what has come while nobody looked: it is no more than a system's buffers hold.
_LONGEST_LOOK = 0.25
#: Shortest time in seconds that a write is given.
_SHORTEST_WRITE = 0.1


class Http2Driver(object):
    """Sends requests over one connection, and finds out what became of them.

    :param connection: leased from the back-end (:class:`~apnsclient.backends.BaseConnection`).
    :param timing: timeouts and buffer sizes (``Timing``).
    :param report_gone: called with a list of ``(token, timestamp)`` of tokens that are dead:
        lower-case hexadecimal bytes, seconds since 1970. It must not wait, nor raise anything.
    :param keeps_ids: whether results have the identifiers of what was accepted (bool).

    :ivar is_over: True once the connection is of no more use.
    :ivar problem: why it ended (str).
    :ivar may_renew: whether another connection may be tried for a provider token that was refused
        (bool); set by who uses it.
    :ivar leave_reason: the reason for which requests are sent again over another connection, or
        None; nothing more is started here then.
    :ivar stop_reason: the reason for which nothing more is to be sent with the credential, or None.
    :ivar has_unknown: whether it left requests behind of which nothing is known.
    :ivar is_silent: whether it ended because a PING had no answer.
    :ivar is_stalled: whether it ended because nothing came of the requests for as long as allowed.
    :ivar turn: what whoever uses it has to give back afterwards; set by who leased it.
    """

    def __init__(self, connection, timing, report_gone, keeps_ids=False):
        # type: (BaseConnection, Timing, Callable[[List[Tuple[bytes, int]]], None], bool) -> None
        self.connection = connection
        self._log = connection.logger
        self._clock = connection.clock
        self.is_over = self.may_renew = self.has_unknown = False
        self.leave_reason = None  # type: Optional[Reason]
        self.is_silent = self.is_stalled = self._has_expired = False
        self.turn = None  # type: Any
        self.stop_reason = None  # type: Optional[Reason]
        self.problem = ""
        self._goaway = None  # type: Any
        self._where = "%s:%s" % tuple(connection.address)
        self._timing = timing
        self._report_gone = report_gone
        self._gone = []  # type: List[Tuple[bytes, int]]
        self._buffer = []  # type: List[Any]
        self._buffered = 0
        self._chunk = max(_CHUNK, timing.write_buffer_size)
        self._unwritten = []  # type: List[Batch]
        # True in the middle of a step that has to be done whole, which an interrupt may prevent.
        self._is_amid = False
        self._is_new = connection.protocol is None
        if self._is_new:
            connection.protocol = ConnectionState(connection)
        self._state = connection.protocol  # type: ConnectionState
        self._client = self._state.client
        self._client.keep_responses(keeps_ids)
        self._batches = self._state.batches
        self._answered_before = self._client.answered
        self._accepted_before = self._client.accepted
        self._answered = self._client.answered
        self._answered_at = self._clock()

    # Before use.

    def prepare(self, ping_after):
        # type: (Optional[float]) -> bool
        """Make a new connection ready; look whether an idle one still is.

        :param ping_after: seconds of idleness after which the server has to give a sign of life
            (float); None never asks for one.
        :raises ~apnsclient.errors.ConnectError: if the server of a new connection does not let us
            in, or does not speak HTTP/2.
        """
        if self._is_new:
            self._greet()
            return True
        try:
            self.look()
            idle = self._clock() - self._state.used_at
            if self.can_start and ping_after is not None and idle >= ping_after:
                self._ping()
        except ConnectError as error:
            self._log.debug("the idle connection to %s is dead: %s", self._where, error)
        # What others left unanswered, and was answered since, is no answer to whoever comes now.
        self.stop_reason, self.has_unknown = None, False
        return self.can_start and not self._state.is_refused

    def _greet(self):
        # type: () -> None
        """Send our settings and wait for the server's."""
        timeout = self._timing.connect_timeout
        deadline = None if timeout is None else self._clock() + timeout
        self.flush()
        while not self.is_over and not self._client.has_settings:
            if not self._read(deadline):
                self._expired("it sent no settings")
                raise ConnectTimeout("%s accepted the connection, but sent no HTTP/2 settings "
                                     "within %s s" % (self._where, timeout))
        if self.is_over:
            raise ConnectError("%s does not let us speak HTTP/2: %s" % (self._where, self.problem))

    def _ping(self):
        # type: () -> None
        """Wait for a sign of life."""
        timeout = self._timing.connect_timeout
        deadline = None if timeout is None else self._clock() + timeout
        self._client.ping(os.urandom(8))
        while not self.is_over and not self._client.is_ping_answered:
            self.flush()
            if not self.is_over and not self._read(deadline):
                self.is_silent = True
                self._expired("the server did not answer a PING within %s s" % timeout)

    # Requests.

    @property
    def can_start(self):
        # type: () -> bool
        """True if requests may be started here, now or later."""
        return not self.is_over and self.leave_reason is None and self._client.can_start

    @property
    def in_flight(self):
        # type: () -> int
        """How many requests have not ended yet."""
        return self._client.in_flight

    @property
    def has_answered(self):
        # type: () -> bool
        """True if the server has answered any request since the connection was leased."""
        return self._client.answered != self._answered_before

    @property
    def is_in_vain(self):
        # type: () -> bool
        """True if nothing came of its use."""
        client = self._client
        if self.leave_reason is not None and self.leave_reason.is_unprocessed:
            return client.accepted == self._accepted_before
        return self.is_stalled or not self.has_answered

    @property
    def is_full(self):
        # type: () -> bool
        """True if there is enough to write."""
        return self._buffered >= self._chunk

    @property
    def has_output(self):
        # type: () -> bool
        """True if there are requests that were not written yet."""
        return bool(self._buffer)

    def refresh_token(self):
        # type: () -> None
        """See that requests from here on carry a provider token that is valid."""
        self._state.refresh_token()

    def stop(self, reason):
        # type: (Reason) -> None
        """Note that nothing more is to be sent with the credential, and why."""
        self.stop_reason = reason
        self._state.refuse_token()

    @property
    def token(self):
        # type: () -> Optional[bytes]
        """The provider token of the last requests, None with a certificate."""
        return self._state.token

    def start(self, parcel):
        # type: (Parcel) -> bool
        """Start requests, to be written by :meth:`flush`.

        :return: False if there is no room for any, or for so few that they are not worth it.
        """
        client, waiting = self._client, parcel.waiting
        room = client.room(parcel.payload_size)
        if not room:
            return False
        if waiting > 1:
            worthwhile = -(-self._chunk // parcel.request_size(client))
            if room < min(waiting, worthwhile // 2) and client.in_flight > room:
                return False
            room = min(room, worthwhile)
        self._is_amid = True
        batch, frames = parcel.start(client, room)
        if batch is not None:
            self._put(batch, frames)
        self._is_amid = False
        return True

    def ask(self, method, path, fields, body):
        # type: (bytes, bytes, List[Tuple[bytes, bytes]], bytes) -> Question
        """Send any other request, and wait for the response.

        :param method: ``b"GET"``, ``b"POST"`` or ``b"DELETE"``.
        :param path: path of the request (bytes).
        :param fields: further ``(name, value)`` pairs of its header (bytes).
        :param body: its body (bytes).
        :return: the :class:`Question`; without a response if there was none.
        :raises ValueError: if the server does not take a header as long as that.
        """
        question = Question()
        self.refresh_token()
        while self.can_start and not self._client.room(len(body)):
            self.wait()
        if not self.can_start:
            question.problem = self.problem or "the server is ending the connection"
            return question
        whole = self._state.header(method, path, fields)
        self._client.check_header(whole)
        self._is_amid = True
        batch, frames = self._client.ask(whole, body, question)
        self._put(batch, frames)
        self._is_amid = False
        while batch.left and not self.is_over:
            self.wait()
        return question

    def _put(self, batch, frames):
        # type: (Batch, Any) -> None
        self._buffer.append(frames)
        self._buffered += len(frames)
        self._unwritten.append(batch)

    def flush(self, deadline=None):
        # type: (Optional[float]) -> None
        """Write what was started, and what the protocol itself has to say.

        :param deadline: when there is no time left for the latter (float), or None: a server that
            makes us answer, and does not take the answers, holds up nobody.
        :raises ~apnsclient.errors.ConnectError: if the server refused us only now, as TLS 1.3 has
            it. Nothing was processed.
        """
        self._is_amid = True
        control = self._client.output()
        if control:
            # First, because what acknowledges settings has to come before what obeys them. Nothing
            # was received since the requests in the buffer were started.
            self._buffer.insert(0, control)
        if self._buffer and not self.is_over:
            timeout = self._timing.write_timeout
            if deadline is not None and not self._unwritten:
                left = max(deadline - self._clock(), _SHORTEST_WRITE)
                timeout = left if timeout is None else min(timeout, left)
            self._write(timeout)
        self._is_amid = False

    def _write(self, timeout):
        # type: (Optional[float]) -> None
        """Write what is in the buffer."""
        data = self._buffer[0] if len(self._buffer) == 1 else b"".join(self._buffer)
        started = self._unwritten
        self._buffer, self._buffered, self._unwritten = [], 0, []
        self._oldest()
        if len(self._batches) > _MANY_BATCHES:
            self._state.batches = self._batches = deque(one for one in self._batches if one.left)
        self._batches.extend(started)
        try:
            self.connection.write(data, timeout)
        except BaseException as error:
            if is_interrupt():
                raise
            self._write_failed(error)
            return
        now = self._clock()
        for batch in started:
            batch.written_at, batch.answers_before = now, self._client.answered

    def _write_failed(self, error):
        # type: (BaseException) -> None
        """Find out why: the server may have said so before it hung up."""
        self._log.debug("writing to %s failed", self._where, exc_info=True)
        deadline = self._clock() + _LAST_WORDS
        while not self.is_over and not is_timeout(error) and self._read(deadline):
            pass
        is_refusal = isinstance(error, ConnectError) and not self._client.has_proof
        self._expired(text_of(error))
        if is_refusal:
            raise error

    def look(self):
        # type: () -> None
        """Take in what has arrived, without waiting, and not for ever if more and more comes."""
        end = self._clock() + _LONGEST_LOOK
        while not self.is_over and self._clock() < end:
            self._is_amid = True
            try:
                data = self.connection.peek(_READ_SIZE)
            except Exception as error:
                if is_interrupt():
                    raise
                self._failed(error)
                return
            if data is not None:
                self._take(data)
            self._is_amid = False
            if data is None:
                return

    def wait(self):
        # type: () -> None
        """Write what is to be written; then wait for the server, as long as it has time."""
        self.flush(self._deadline())
        if self.is_over:
            return
        oldest = self._oldest()
        if not self._read(self._deadline()) and not self.is_over and self._oldest() is oldest:
            self._expire(oldest)

    def _deadline(self):
        # type: () -> Optional[float]
        """Return when the time of the oldest request is over, or that for having room for one."""
        timeout = self._timing.read_timeout
        if timeout is None:
            return None
        oldest = self._oldest()
        return timeout + (self._answered_at if oldest is None else oldest.written_at)

    def _oldest(self):
        # type: () -> Optional[Batch]
        """Return the oldest batch that is not answered yet."""
        batches = self._batches
        while batches and not batches[0].left:
            batches.popleft()
        return batches[0] if batches else None

    def _read(self, deadline):
        # type: (Optional[float]) -> bool
        """Read once; return False if nothing came in time.

        What came in time may have done so long ago, while nobody looked.
        """
        timeout = None if deadline is None else max(deadline - self._clock(), 0.0)
        if timeout == 0.0:
            self.look()
            return False
        self._is_amid = True
        try:
            data = self.connection.read(_READ_SIZE, timeout)
        except Exception as error:
            if is_interrupt():
                raise
            self._is_amid = False
            if is_timeout(error):
                return False
            self._failed(error)
            return True
        self._take(data)
        self._is_amid = False
        return True

    def _failed(self, error):
        # type: (Exception) -> None
        """The connection failed while reading; that we are not let in is the caller's to know.

        A server that has taken note of what we sent has let us in, whatever alert it ends with.
        """
        self._log.debug("reading from %s failed", self._where, exc_info=True)
        is_refusal = isinstance(error, ConnectError) and not self._client.has_proof
        self._end(text_of(error))
        if is_refusal:
            raise error

    def _take(self, data):
        # type: (Optional[bytes]) -> None
        """Take what was read: bytes, or ``b""`` or None at the end of the stream."""
        if not data:
            self._end("the server ended the connection")
            return
        client = self._client
        for event in client.receive(data):
            self._happened(event)
        if self._gone:
            self._hand_on_gone()
        if client.answered != self._answered:
            self._answered, self._answered_at = client.answered, self._clock()
        if client.goaway is not self._goaway:
            self._note_goaway()
        if client.error is not None:
            error = client.error
            self._log.warning("%s broke the rules of HTTP/2: %s", self._where, error)
            self._say_last(client.output())
            self._end(str(error))

    def _note_goaway(self):
        # type: () -> None
        """Note why the server is ending the connection; Apple gives a reason in JSON.

        A server may first say that it will, and then why.
        """
        self._goaway = self._client.goaway
        _, code, debug = self._goaway
        name = parse_response(debug)[0]
        reason = RESPONSES.get(name) if name is not None else None
        self.problem = "the server is ending the connection (%s)" % (name or name_of_error(code))
        self._log.debug("%s: %s", self._where, self.problem)
        if reason is not None and reason.is_cured_by_connection and self.may_renew:
            self.leave_reason = reason
        elif reason is not None and reason.stops_everything:
            self.stop(reason)

    def _happened(self, event):
        # type: (Any) -> None
        """Hand what became of a request to whoever started it."""
        batch = event.batch
        owner, index = batch.owner, batch.index_of(event.stream)
        if isinstance(event, Response):
            if event.status == 200 and not isinstance(owner, Question):
                owner.accepted(index, event)
            else:
                owner.answered(self, index, event)
        elif not event.is_unprocessed:
            self._lose(owner, index, event.is_whole,
                       "the request was reset (%s)" % name_of_error(event.code))
        elif self._client.goaway is not None:
            owner.send_again(index)
        else:
            owner.refused(index)

    def gone(self, token, timestamp):
        # type: (Any, int) -> None
        """Note that a token is dead, since a time in seconds since 1970."""
        digits = token if isinstance(token, bytes) else token.encode("ascii")
        self._gone.append((digits.lower(), timestamp))

    def _hand_on_gone(self):
        # type: () -> None
        """Hand on the dead tokens that were found."""
        gone, self._gone = self._gone, []
        self._report_gone(gone)

    def _expire(self, oldest):
        # type: (Optional[Batch]) -> None
        """The time of a request is over, or there was no room for one for as long."""
        timeout = self._timing.read_timeout
        if oldest is None:
            if not self._client.room(1):
                self.is_stalled = True
                self._expired("the server allowed no request for %s s" % timeout)
        elif self._client.answered == oldest.answers_before:
            self.is_stalled = True
            self._expired("the server answered nothing within %s s" % timeout)
        else:
            for index, is_whole in self._client.cancel(oldest):
                self._lose(oldest.owner, index, is_whole, "no answer within %s s" % timeout)
            self._settle()

    def _lose(self, owner, index, is_whole, text):
        # type: (Any, int, bool, str) -> None
        """Note that a request is not going to be answered."""
        if is_whole:
            self.has_unknown = True
            owner.unknown(index, text)
        else:
            owner.unfinished(index, text)

    def _settle(self):
        # type: () -> None
        """Hand on what became of requests, after none was waited for any longer."""
        for event in self._client.events():
            self._happened(event)
        if self._gone:
            self._hand_on_gone()

    # After use.

    def _expired(self, problem):
        # type: (str) -> None
        """The connection is over, and nobody is left to read a GOAWAY."""
        self._has_expired = not self.is_over
        self._end(problem)

    def _end(self, problem):
        # type: (str) -> None
        """The connection is over, and nothing was said about what is still open."""
        if self.is_over:
            return
        self.is_over = True
        self.problem = self.problem or problem
        unwritten = set(map(id, self._unwritten))
        left = self._client.abandon()
        self._settle()
        self._log.log(logging.WARNING if left else logging.DEBUG,
                      "the connection to %s ended with %d requests unanswered: %s",
                      self._where, len(left), problem)
        for batch, stream, is_whole in left:
            index = batch.index_of(stream)
            if id(batch) in unwritten or not is_whole:
                batch.owner.send_again(index)
            else:
                self.has_unknown = True
                batch.owner.unknown(
                    index, "the request was written and not answered: %s" % problem)

    def rest(self):
        # type: () -> bool
        """Note that the use is over; return True if the connection may be used again."""
        self._state.used_at = self._clock()
        # What is answered would keep its messages in memory.
        self._oldest()
        # What an interrupt has kept from being written, or noted, would be missed for ever.
        return (self.can_start and not self._state.is_refused and not self._unwritten
                and not self._is_amid)

    def take_leave(self):
        # type: () -> None
        """Take in what has come, and tell the server that the connection is going to be closed."""
        if self._is_amid:
            # Nobody knows how much of a frame was written, or was read and is lost.
            self._end("it was interrupted")
            return
        try:
            self.look()
        except ConnectError as error:
            self._log.debug("%s had refused us: %s", self._where, error)
        if not self.is_over:
            self._client.say_goodbye()
            self._say_last(self._client.output())
            self._end("it was closed here")

    def close(self):
        # type: () -> None
        """Send GOAWAY and close the connection; do not wait for one that is dead."""
        try:
            self.take_leave()
        finally:
            if self._has_expired:
                self.connection.abort()
            else:
                self.connection.close()

    def _say_last(self, data):
        # type: (bytes) -> None
        """Write something that makes no difference to us any more."""
        try:
            if not self.connection.is_inherited:
                self.connection.write(data, _LAST_WORDS)
        except Exception:
            if is_interrupt():
                raise
            self._log.debug("%s did not take our last words", self._where, exc_info=True)
