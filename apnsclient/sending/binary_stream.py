"""What a gateway says, and what that means for the messages that were written to it.

It says nothing about what it accepts. It names the first notification that it refuses, and hangs
up; what had been written behind that one is lost. All that can be known of a message follows from
there:

- An error frame names it: the tokens before the named one were delivered, those behind it were not.
- An error frame names a later message: it was delivered.
- An error frame names an earlier message: none of it was processed.
- The stream ends without an error frame: nothing is known.
- Silence, for as long as one is willing to wait after the last byte: it was delivered.

The third and the fourth case differ: a message that is known not to have been processed may be sent
again without asking anybody.
"""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY
from ..errors import ConnectError, ProtocolError, Timeout
from ..protocols.binary import ErrorResponseParser
from ..protocols.ledger import Ledger
from ..reasons import ACCEPTED, reason_of
from .binary_message import CONFIRM, CONFIRMED, DISCARD, LOSE, UNKNOWN

if MYPY:
    from typing import List, Optional

    from ..protocols.binary import ErrorResponse
    from ..result import Result

__all__ = ["GatewayStream"]


class GatewayStream(object):
    """What was written to a gateway over one connection, and what it has said.

    It lives and dies with the connection, and serves one call after the other.

    :ivar is_over: whether the connection is of no more use.
    :ivar response: what the gateway said at its end: ``(status, identifier)``, or None.
    :ivar failure: what ended it instead: an exception, or None for a mere end.
    :ivar lost: how many messages it left unknown that had no result yet.
    :ivar is_refused: whether the gateway never accepted us: nothing was processed.
    :ivar is_stale: whether it was used before, and failed in the first thing that was written then.
    :ivar is_shut_down: whether the gateway is shutting down, and has accepted nothing here.
    :ivar is_untried: whether nothing was done yet with a connection that was used before: it may
        have died meanwhile.
    :ivar written: how many bytes were written.
    :ivar opened_at: when it was opened (seconds), as long as an observer is to be told of its end;
        else None.
    :ivar ledger: who has which identifiers (:class:`~apnsclient.protocols.ledger.Ledger`).
    """

    #: How many bytes are written between two looks for an error frame.
    LOOK_INTERVAL = 65536

    def __init__(self):
        # type: () -> None
        self.ledger = Ledger()
        self.is_over = self.is_refused = self.is_stale = self.is_shut_down = False
        self.is_untried = False
        self.opened_at = None  # type: Optional[float]
        self.response = None  # type: Optional[ErrorResponse]
        self.failure = None  # type: Optional[BaseException]
        self.lost = self.written = 0
        self.wrote_at = None  # type: Optional[float]
        self._parser = ErrorResponseParser()
        self._late = []  # type: List[Result]
        self._looked_at = 0
        self._wrote_first_at = self._amid_since = None  # type: Optional[float]
        # Whether the gateway was silent for as long as success takes: then it has accepted us.
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
            gateway never accepted us, unless it has taken note of us before.
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
