"""What of which message is still to be written to a gateway, and what became of the others.

The gateway of the binary protocol says nothing about what it accepts. It names the first
notification that it refuses, and hangs up; what had been written behind that one is lost. All that
can be known of a message follows from there:

- An error frame names it: the tokens before the named one were delivered, those behind it were not.
- An error frame names a later message: it was delivered.
- An error frame names an earlier message: none of it was processed.
- The stream ends without an error frame: nothing is known.
- Silence, for as long as one is willing to wait after the last byte: it was delivered.

The third and the fourth case differ: a message that is known not to have been processed may be sent
again without asking anybody.

Nothing here waits, reads or writes: :mod:`apnsclient.sync.binary` does, tells what came of it, and
hands the results out. Time is an argument, in seconds (float) that never go back.
"""

from __future__ import absolute_import, division, print_function

from collections import deque

from .._compat import MYPY
from ..errors import ConnectError, ProtocolError, Timeout
from ..outcomes import FrameOutcomes
from ..protocols.binary import ErrorResponseParser
from ..protocols.ledger import Ledger
from ..reasons import ACCEPTED, reason_of
from ..result import Result

if MYPY:
    from typing import Any, Deque, Iterator, List, Optional, Tuple

    from .._arguments import Timing
    from ..message import Message
    from ..protocols.binary import ErrorResponse

__all__ = ["BinarySender", "GatewayStream", "PendingMessage"]

# States of a message.

#: It is to be sent, from its first token on: nothing of it was processed.
WAITING = "waiting"
#: It was written, or a part of it, and nobody has said what became of it.
WRITTEN = "written"
#: It was delivered up to its end.
CONFIRMED = "confirmed"
#: The gateway named a token of it.
NAMED = "named"
#: It was written, or a part of it, and nobody will say what became of it.
UNKNOWN = "unknown"
#: Nothing of it was processed, and it is left to the caller to send it again.
RETURNED = "returned"

#: Those in which there is a result to hand out.
DECIDED = frozenset([CONFIRMED, NAMED, UNKNOWN, RETURNED])

# What happens to it.

WRITE, CONFIRM, NAME, DISCARD, LOSE, REPEAT, GIVE_UP = (
    "write", "confirm", "name", "discard", "lose", "repeat", "give up")

#: ``{state: {event: next state}}``. What is not there changes nothing.
TRANSITIONS = {
    # It is confirmed right away where none of its tokens can be put on the wire.
    WAITING: {WRITE: WRITTEN, CONFIRM: CONFIRMED, GIVE_UP: RETURNED},
    WRITTEN: {CONFIRM: CONFIRMED, NAME: NAMED, DISCARD: WAITING, LOSE: UNKNOWN, GIVE_UP: UNKNOWN},
    # Too late: its result has been handed out.
    CONFIRMED: {NAME: NAMED, DISCARD: RETURNED},
    NAMED: {},
    # Over a connection that had been dead before anything was written.
    UNKNOWN: {REPEAT: WAITING},
    RETURNED: {},
}


class PendingMessage(object):
    """A message on its way.

    :param message: the :class:`~apnsclient.apns.Message`.
    :raises ValueError, TypeError: if its payload cannot be put on the wire.

    :ivar state: one of the states above; :meth:`apply` changes it.
    :ivar reached: index behind the last token that was handed out to be written.
    :ivar written_at: when its last byte was written (seconds), or None before that.
    :ivar written_to: how many bytes had been written over the connection by then.
    :ivar chunks: what of it is still to be encoded, once that has begun; else None.
    """

    __slots__ = ("_named", "chunks", "encoder", "message", "reached", "rejected", "state",
                 "written_at", "written_to")

    def __init__(self, message):
        # type: (Message) -> None
        self.message = message
        self.encoder = message.encoder()
        self.state = WAITING
        self.rejected = []  # type: List[Tuple[int, int, str]]
        self.reached = self.written_to = 0
        self.written_at = None  # type: Optional[float]
        self.chunks = None  # type: Any
        self._named = None  # type: Optional[Tuple[int, int]]

    def begin(self, first_identifier, chunk_size):
        # type: (int, int) -> None
        """Encode it from the start, for another connection perhaps."""
        self.rejected, self.reached, self.written_at = [], 0, None
        self.chunks = self.encoder.chunks(
            self.message.tokens, chunk_size, first_identifier, self.rejected)

    def apply(self, event):
        # type: (str) -> None
        """Take note of what happened to it."""
        self.state = TRANSITIONS[self.state].get(event, self.state)

    def name(self, status, index):
        # type: (int, int) -> None
        """Take note of the status that the gateway gave to a token of it."""
        self._named = status, index
        self.apply(NAME)

    @property
    def is_undelivered(self):
        # type: () -> bool
        """True if a part of the message, or all of it, has not been delivered.

        A shutdown that names the last token of a message does it no harm.
        """
        if self.state == NAMED and self._named is not None:
            reason = reason_of(self._named[0])
            if reason.blames_token or reason.is_error:
                return True
        return self.result().needs_retry()

    def result(self):
        # type: () -> Result
        """Return what is known now."""
        state = self.state
        if state == CONFIRMED and not self.rejected:
            return Result(self.message)
        count = len(self.message.tokens)
        if state == UNKNOWN:
            outcomes = FrameOutcomes(count, (None, 0), self.rejected, reached=self.reached)
        else:
            outcomes = FrameOutcomes(count, self._named if state == NAMED else None, self.rejected,
                                     state in (WAITING, RETURNED))
        return Result(self.message, outcomes=outcomes)


class GatewayStream(object):
    """What was written to a gateway over one connection, and what it has said.

    It lives and dies with the connection, and serves one call after the other.

    :ivar is_over: whether the connection is of no more use.
    :ivar response: what the gateway said at its end: ``(status, identifier)``, or None.
    :ivar failure: what ended it instead: an exception, or None for a mere end.
    :ivar lost: how many messages it left unknown that had no result yet.
    :ivar is_refused: whether the gateway never let us in: nothing was processed.
    :ivar is_stale: whether it was used before, and failed in the first thing that was written then.
    :ivar is_shut_down: whether the gateway is shutting down, and has accepted nothing here.
    :ivar is_untried: whether nothing was done yet with a connection that was used before: it may
        have died meanwhile.
    :ivar written: how many bytes were written.
    :ivar ledger: who has which identifiers (:class:`~apnsclient.protocols.ledger.Ledger`).
    """

    #: How many bytes are written between two looks for an error frame.
    LOOK_INTERVAL = 65536

    def __init__(self):
        # type: () -> None
        self.ledger = Ledger()
        self.is_over = self.is_refused = self.is_stale = self.is_shut_down = False
        self.is_untried = False
        self.response = None  # type: Optional[ErrorResponse]
        self.failure = None  # type: Optional[BaseException]
        self.lost = self.written = 0
        self.wrote_at = None  # type: Optional[float]
        self._parser = ErrorResponseParser()
        self._late = []  # type: List[Result]
        self._looked_at = 0
        self._wrote_first_at = self._amid_since = None  # type: Optional[float]
        # Whether the gateway was silent for as long as success takes: then it has let us in.
        self._is_proven = False

    def reuse(self):
        # type: () -> None
        """Begin another call."""
        self.is_untried = True

    def wrote(self, size, now):
        # type: (int, float) -> None
        """Take note of bytes that were written."""
        self.is_untried = False
        self.written += size
        self.wrote_at = now
        if self._wrote_first_at is None:
            self._wrote_first_at = now

    @property
    def needs_look(self):
        # type: () -> bool
        """True if so much was written that it is to be looked whether an error frame has come."""
        return self.written - self._looked_at >= self.LOOK_INTERVAL

    def write_failed(self, error):
        # type: (BaseException) -> None
        """Take note of a write that failed, perhaps in the middle.

        The gateway may have hung up after an error frame that is still unread: read on, and call
        :meth:`end` if there was none.
        """
        self.is_stale = self.is_untried and not isinstance(error, Timeout)
        if self._refuses(error):
            self.end(error)

    def received(self, data):
        # type: (bytes) -> None
        """Take note of what was read: bytes, or ``b""`` at the end of the stream."""
        if self.is_over:
            return
        response = self._parser.feed(data)
        if response is not None:
            self._respond(response)
        elif not data or self._parser.error is not None:
            self.end(self._parser.error)

    def silent(self, now, tail):
        # type: (float, float) -> None
        """Take note that nothing has come up to now.

        :param tail: seconds of silence that mean success: a refusal would have come by then.
        """
        self._looked_at = self.written
        first = self._wrote_first_at
        if first is not None and tail and now - first >= tail:
            self._is_proven = True

    def is_amid(self, now, tail):
        # type: (float, float) -> bool
        """Return True if an error frame has begun: that is no silence.

        Its rest has as long to come as a whole one has; then the stream is over.
        """
        if not self._parser.is_amid:
            return False
        if self._amid_since is None:
            self._amid_since = now
        if now - self._amid_since >= tail:
            self.end(ProtocolError("the gateway sent a part of an error frame, and not its rest"))
        return True

    def end(self, error=None):
        # type: (Optional[BaseException]) -> None
        """Take note that the connection is over, and nothing was said about what is undecided.

        :param error: what ended it; a :class:`~apnsclient.errors.ConnectError` says that the
            gateway never let us in, unless it has taken note of us before.
        """
        if self.is_over:
            return
        self.is_over, self.failure = True, error
        self.is_refused = self._refuses(error)
        event = DISCARD if self.is_refused else LOSE
        for pending in self.ledger.owners():
            pending.apply(event)
        self.lost = sum(one.state == UNKNOWN for one in self.ledger.unsettled())
        self._find_late()

    def _refuses(self, error):
        # type: (Optional[BaseException]) -> bool
        return isinstance(error, ConnectError) and not self._is_proven

    def _respond(self, response):
        # type: (ErrorResponse) -> None
        """Attribute an error frame to the message it belongs to, and to those it does away with."""
        ledger, (status, identifier) = self.ledger, response
        culprit, index = ledger.find(identifier) or (None, 0)
        if culprit is not None and index < culprit.reached:
            discarded = ledger.owners_after(culprit)
        elif culprit is None and (identifier == 0 and reason_of(status).verdict == ACCEPTED
                                  or ledger.was_issued(identifier)):
            # A shutdown before anything was accepted; or a message that is forgotten by now.
            discarded = ledger.owners()
            self.is_shut_down = not ledger.was_issued(identifier)
        else:
            self.end(ProtocolError("status %d for an identifier that was never sent, %d"
                                   % (status, identifier), identifier))
            return
        self.is_over, self.response = True, response
        for pending in discarded:
            pending.apply(DISCARD)
        if culprit is not None:
            culprit.name(status, index)
            for pending in ledger.owners_before(culprit):
                pending.apply(CONFIRM)
        self._find_late()

    def _find_late(self):
        # type: () -> None
        """Find the messages whose results were handed out, and that were not delivered after all.

        Of those that are unknown the results have said so.
        """
        self._late += [one.result() for one in self.ledger.settled()
                       if one.state not in (CONFIRMED, UNKNOWN) and one.is_undelivered]

    def take_late(self):
        # type: () -> List[Result]
        """Return the results of messages for which those that were handed out do not hold."""
        late, self._late = self._late, []
        return late


class BinarySender(object):
    """Messages of one caller on their way, over one connection after the other.

    They wait in a window until it is certain what became of them. A connection that ends, which is
    how the gateway refuses anything, decides some of them; those that it proves not to have been
    processed go out again over the next one. In the end there is one wait for the silence that
    means success, not one for each message.

    :param timing: timeouts and buffer sizes (``Timing``).
    :param replaces_stale: whether the back-end cannot know that a pooled connection is dead, so
        that what was written first over one that is goes out again (bool).

    :ivar deadline: when the call is to end (seconds), or None.
    :ivar stream: the :class:`GatewayStream` of the connection in use, or None.
    """

    #: How many messages may wait for their results.
    WINDOW = 65536
    #: Seconds between two looks at whether what was written has reached the peer's system.
    PAUSE = 0.05
    #: Seconds that a message may take to come; before one that takes longer everything is written.
    PATIENCE = 0.001
    #: One in so many of the messages that came without a pause may be held back for the next ones.
    SHARE = 8

    def __init__(self, timing, replaces_stale=False):
        # type: (Timing, bool) -> None
        self.stream = None  # type: Optional[GatewayStream]
        self.deadline = None  # type: Optional[float]
        self._timing = timing
        self._replaces_stale = replaces_stale
        # What was taken and has no result yet, what of it is to be written, and what of that has
        # come to its end in the bytes that are being written.
        self._window = deque()  # type: Deque[PendingMessage]
        self._queue = deque()  # type: Deque[PendingMessage]
        self._ending = []  # type: List[PendingMessage]
        self._queued_size = 0
        # How many messages came without a pause; None where all of them are at hand.
        self._streak = 0  # type: Optional[int]
        self._check_at = 0.0
        self._has_begun = False

    # Messages in.

    def add(self, message, seconds=None):
        # type: (Message, Optional[float]) -> None
        """Take a message.

        :param seconds: how long it took to come; None if the ones that follow it are at hand.
        :raises ValueError, TypeError: if its payload cannot be put on the wire.
        """
        pending = PendingMessage(message)
        self._window.append(pending)
        if not message.tokens:
            pending.apply(CONFIRM)
        else:
            self._queue.append(pending)
            self._queued_size += pending.encoder.size_for(message.tokens)
        if seconds is None:
            self._streak = None
        else:
            self._streak = self._streak + 1 if self._streak and seconds <= self.PATIENCE else 1

    @property
    def is_full(self):
        # type: () -> bool
        """True if no further message may be taken before there is a result."""
        return len(self._window) >= self.WINDOW

    @property
    def is_empty(self):
        # type: () -> bool
        """True if no message waits for its result."""
        return not self._window

    @property
    def has_results(self):
        # type: () -> bool
        """True if there is a result to hand out."""
        return bool(self._window) and self._window[0].state in DECIDED

    # Bytes out.

    @property
    def has_output(self):
        # type: () -> bool
        """True if something is to be written, at the latest before anything is waited for."""
        return bool(self._queue)

    @property
    def has_enough_output(self):
        # type: () -> bool
        """True if it is to be written before another message is taken.

        Small messages are written together as long as they come quickly. Nobody knows when the next
        one comes, so only a small part of them is held back for it.
        """
        if self._queued_size >= self._timing.write_buffer_size:
            return True
        return self._streak is not None and len(self._queue) * self.SHARE > self._streak

    def next_write(self):
        # type: () -> bytes
        """Return what is to be written next over the connection in use; nothing if that is all.

        Then tell with :meth:`written` or :meth:`GatewayStream.write_failed` how it went.
        """
        stream, queue, size = self.stream, self._queue, self._timing.write_buffer_size
        assert stream is not None
        pieces, length = [], 0
        self._queued_size = 0
        while queue and length < size:
            pending = queue[0]
            if pending.chunks is None:
                tokens = pending.message.tokens
                pending.begin(stream.ledger.record(pending, len(tokens)), size)
            chunk = next(pending.chunks, None)
            if chunk is None:
                self._ending.append(queue.popleft())
                pending.chunks = None
                continue
            pending.reached = chunk[1]
            pending.apply(WRITE)
            pieces.append(chunk[2])
            length += len(chunk[2])
        if not length:
            # What could not be put on the wire, and the end of what was written before.
            self._end_writing()
        return b"".join(pieces)

    def written(self, size, now):
        # type: (int, float) -> None
        """Take note of bytes that were written: their number, and when."""
        assert self.stream is not None
        self.stream.wrote(size, now)
        self._end_writing()

    def _end_writing(self):
        # type: () -> None
        """Begin to wait for the silence after messages that were written to their ends."""
        stream, ending = self.stream, self._ending
        assert stream is not None
        for pending in ending:
            if pending.reached:
                pending.written_at, pending.written_to = stream.wrote_at, stream.written
            else:
                pending.apply(CONFIRM)
        del ending[:]

    # Silence in.

    def is_due(self, now):
        # type: (float) -> bool
        """Return True if silence up to now would decide about the message that was taken first."""
        if not self._window:
            return False
        pending = self._window[0]
        return pending.written_at is not None and pending.state == WRITTEN and now >= max(
            self._check_at, pending.written_at + self._timing.read_tail_timeout)

    def wait_until(self):
        # type: () -> Optional[float]
        """Return until when an error frame is to be waited for (seconds), None if for none.

        That is for the message that was taken first, where no further one may be taken before it
        has its result, and else for the last one that was written.
        """
        for pending in self._window if self.is_full else reversed(self._window):
            if pending.state == WRITTEN and pending.written_at is not None:
                until = max(self._check_at, pending.written_at + self._timing.read_tail_timeout)
                return until if self.deadline is None else min(until, self.deadline)
        return None

    def silent(self, now, unacknowledged):
        # type: (float, int) -> None
        """Confirm the messages after which there was silence for long enough, up to now.

        Silence says nothing of a message that has not even left this machine. The time to write a
        chunk is also the time that is given it for that.

        :param unacknowledged: how many bytes, at most, have not reached the peer's system.
        """
        stream, tail = self.stream, self._timing.read_tail_timeout
        if stream is None or stream.is_over:
            return
        if stream.is_amid(now, tail):
            self._check_at = now + self.PAUSE
            return
        arrived, limit = stream.written - unacknowledged, self._timing.write_timeout
        for pending in self._window:
            if pending.state in DECIDED:
                continue
            if pending.written_at is None or pending.written_at + tail > now:
                break
            if pending.written_to > arrived:
                self._check_at = now + self.PAUSE
                if limit is not None and pending.written_at + tail + limit <= now:
                    stream.end(Timeout("what was written has not reached the gateway's system"))
                break
            pending.apply(CONFIRM)

    # The ends of connections, and of the call.

    def leave_stream(self):
        # type: () -> bool
        """Take note that the connection in use is over, and see what goes over the next one.

        :return: whether it was dead before anything was written over it, so that all of that does.
        """
        stream, self.stream = self.stream, None
        assert stream is not None
        was_stale = stream.is_stale and self._replaces_stale and stream.response is None
        if was_stale:
            for pending in stream.ledger.unsettled():
                pending.apply(REPEAT)
        self._queue = deque(one for one in self._window if one.state not in DECIDED)
        del self._ending[:]
        for pending in self._queue:
            pending.chunks = None
        if stream.is_shut_down:
            # The next connection would fare no better.
            self.give_up()
        return was_stale

    def no_stream(self):
        # type: () -> None
        """Take note that no connection can be had: nothing more is sent.

        If nothing was sent before, there is nothing to report but why.
        """
        self.stream = None
        if not self._has_begun and all(one.state == WAITING for one in self._window):
            self._window.clear()
        self.give_up()

    def has_expired(self, now):
        # type: (float) -> bool
        """Return True if the deadline is over."""
        return self.deadline is not None and now >= self.deadline

    def give_up(self):
        # type: () -> None
        """Send and wait for nothing more of what was taken: it is to be retried, or unknown."""
        for pending in self._window:
            pending.apply(GIVE_UP)
        self._queue.clear()

    # Outcomes out.

    def results(self):
        # type: () -> Iterator[Result]
        """Yield the results that are certain, in order, as far as none before them is missing."""
        while self._window and self._window[0].state in DECIDED:
            pending = self._window.popleft()
            self._has_begun = True
            self._settle(pending)
            yield pending.result()

    def close(self):
        # type: () -> None
        """Hand no more results out: what is said of their messages from now on comes too late."""
        for pending in self._window:
            self._settle(pending)

    def _settle(self, pending):
        # type: (PendingMessage) -> None
        if self.stream is not None:
            self.stream.ledger.settle(pending)
