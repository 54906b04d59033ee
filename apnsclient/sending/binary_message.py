"""A message on its way over the binary protocol: the states that it can be in, and their table."""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY
from ..outcomes import FrameOutcomes
from ..reasons import reason_of
from ..result import Result

if MYPY:
    from typing import Any, List, Optional, Tuple

    from ..message import Message

__all__ = ["CONFIRM", "CONFIRMED", "DECIDED", "DISCARD", "GIVE_UP", "LEAVE", "LOSE", "NAME",
           "NAMED", "PendingMessage", "REPEAT", "RETURNED", "TRANSITIONS", "UNKNOWN", "WAITING",
           "WRITE", "WRITTEN"]

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

WRITE, CONFIRM, NAME, DISCARD, LOSE, REPEAT, GIVE_UP, LEAVE = (
    "write", "confirm", "name", "discard", "lose", "repeat", "give up", "leave")

#: ``{state: {event: next state}}``. What is not there changes nothing.
TRANSITIONS = {
    # It is confirmed right away where none of its tokens can be put on the wire.
    WAITING: {WRITE: WRITTEN, CONFIRM: CONFIRMED, GIVE_UP: RETURNED},
    WRITTEN: {CONFIRM: CONFIRMED, NAME: NAMED, DISCARD: WAITING, LOSE: UNKNOWN, GIVE_UP: UNKNOWN},
    # Too late: its result has been handed out.
    CONFIRMED: {NAME: NAMED, DISCARD: RETURNED},
    NAMED: {},
    # Over a connection that had been dead before anything was written. Or the caller has left, and
    # was not told: what the gateway still says is news.
    UNKNOWN: {REPEAT: WAITING, LEAVE: WRITTEN},
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
