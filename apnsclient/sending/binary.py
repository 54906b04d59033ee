"""What of which message is still to be written over the binary protocol, and over which connection.

Nothing here waits, reads or writes: :mod:`apnsclient.sync.binary` does, tells what came of it, and
hands the results out. Time is an argument, in seconds (float) that never go back. What the gateway
says is for :mod:`.binary_stream` to judge, and where a message is stands in :mod:`.binary_message`.
"""

from __future__ import absolute_import, division, print_function

from collections import deque

from .._compat import MYPY
from ..errors import Timeout
from .binary_message import (
    CONFIRM,
    DECIDED,
    GIVE_UP,
    LEAVE,
    REPEAT,
    WAITING,
    WRITE,
    WRITTEN,
    PendingMessage,
)

if MYPY:
    from typing import Deque, Iterator, List, Optional

    from .._timing import Timing
    from ..message import Message
    from ..result import Result
    from .binary_stream import GatewayStream
    from .facts import Facts

__all__ = ["BinarySender"]


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
    :ivar facts: what an observer is to be told (:class:`~.facts.Facts`); None if there is none.
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
        self.facts = None  # type: Optional[Facts]
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
        self._check_at = 0.0
        for pending in self._queue:
            pending.chunks = None
        if self.facts is not None and not stream.is_shut_down:
            self.facts.count_resent("lost connection" if stream.response is None else "discarded",
                                    sum([pending.reached for pending in self._queue]))
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
        # type: () -> List[Result]
        """Hand no more results out: what is said of their messages from now on comes too late.

        :return: the results of those that were written, and discarded by the gateway: they were to
            be sent again.
        """
        discarded = [one.result() for one in self._window if one.state == WAITING and one.reached]
        for pending in self._window:
            pending.apply(LEAVE)
            self._settle(pending)
        return discarded

    def _settle(self, pending):
        # type: (PendingMessage) -> None
        if self.stream is not None:
            self.stream.ledger.settle(pending)
