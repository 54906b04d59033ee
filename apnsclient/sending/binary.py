"""Drives the binary protocol over one leased connection.

The gateway says nothing about what it accepts. It names the first notification that it refuses, and
hangs up; what had been written behind that one is lost. All that can be known of a message follows
from there:

- An error frame names it: the tokens before the named one were delivered, those behind it were not.
- An error frame names a later message: it was delivered.
- An error frame names an earlier message: none of it was processed.
- The stream ends without an error frame: nothing is known.
- Silence, for as long as one is willing to wait after the last byte: it was delivered.

The third and the fourth case differ: a message that is known not to have been processed may be sent
again without asking anybody.
"""

from __future__ import absolute_import, division, print_function

import logging
import sys

from .._compat import MYPY
from .._interrupts import is_interrupt
from ..errors import ConnectError, ConnectionLost, ProtocolError, Timeout, is_timeout
from ..protocols.binary import ErrorResponseParser
from ..protocols.feedback import FeedbackParser
from ..protocols.ledger import Ledger
from ..reasons import ACCEPTED, reason_of
from ..result import Result

if MYPY:
    from typing import Callable, Iterator, List, Optional, Tuple

    from .._arguments import Timing
    from ..apns import Message
    from ..backends import BaseConnection

__all__ = ["BinaryDriver", "Delivery", "read_feedback"]

#: How many bytes an error frame is read with; there is never more than one, of six bytes.
_RESPONSE_SIZE = 64


class Delivery(object):
    """One message on its way.

    :param message: the :class:`~apnsclient.apns.Message`.
    :raises ValueError, TypeError: if its payload cannot be put on the wire.

    :ivar reached: index behind the last token that was written, or that it was tried with.
    :ivar written_to: how many bytes the driver had written when it was written.
    :ivar written_at: when its last byte was written (monotonic seconds), or None before that.
    :ivar failure: ``(status, index)`` once the gateway named a token of it, or ``(None, 0)`` once
        nothing can be known of it any more; else None.
    :ivar is_confirmed: whether it is known to be delivered up to its end.
    :ivar is_discarded: whether it is known that no token of it was processed.
    :ivar is_given_up: whether it is not going to be sent again although none was.
    :ivar is_settled: whether its result was handed out.
    """

    def __init__(self, message):
        # type: (Message) -> None
        self.message = message
        self.encoder = message.encoder()
        self.is_settled = False
        self.restart()

    def restart(self):
        # type: () -> None
        """Forget what was known: the message is sent again from the start."""
        self.rejected = []  # type: List[Tuple[int, int, str]]
        self.reached = self.written_to = 0
        self.written_at = None  # type: Optional[float]
        self.failure = None  # type: Optional[Tuple[Optional[int], int]]
        self.is_confirmed = self.is_discarded = self.is_given_up = False

    def give_up(self):
        # type: () -> None
        """Leave it to the caller to send the message again: no token of it was processed."""
        self.failure = None
        self.is_discarded = self.is_given_up = True

    @property
    def is_decided(self):
        # type: () -> bool
        """True once there is a result to hand out."""
        return self.is_confirmed or self.is_given_up or self.failure is not None

    @property
    def is_answered(self):
        # type: () -> bool
        """True if the gateway has taken note of the message, by an answer or by its silence."""
        return self.is_confirmed or self.failure not in (None, (None, 0))

    @property
    def is_undelivered(self):
        # type: () -> bool
        """True if a part of the message, or all of it, has not been delivered.

        A shutdown that names the last token of a message does it no harm.
        """
        if self.failure is not None and not self.is_discarded:
            reason = reason_of(self.failure[0])
            if reason.blames_token or reason.is_error:
                return True
        return self.result().needs_retry()

    def result(self):
        # type: () -> Result
        """Return what is known now."""
        return Result(self.message, self.failure, self.rejected, self.is_discarded)


class _State(object):
    """What the protocol knows of a connection; it lives and dies with it."""

    def __init__(self):
        # type: () -> None
        self.parser = ErrorResponseParser()
        self.ledger = Ledger()
        #: When something was written for the first time (monotonic seconds).
        self.written_at = None  # type: Optional[float]
        #: Whether the gateway has let us in: it was silent since for as long as success takes.
        self.is_proven = False


class BinaryDriver(object):
    """Sends messages over one connection, and finds out what became of them.

    :param connection: leased from the back-end (:class:`~apnsclient.backends.BaseConnection`).
    :param timing: timeouts and buffer sizes (``Timing``).
    :param report_late: called with a list of :class:`~apnsclient.apns.Result` when it turns out
        that messages whose results were handed out had not been delivered after all.

    :ivar is_over: True once the connection is of no more use.
    :ivar is_stale: True if it was used before, and failed in the first thing that was done with it.
    :ivar is_shut_down: True if the gateway is shutting down, and has accepted nothing here.
    """

    #: How many bytes are written between two looks for an error frame.
    LOOK_INTERVAL = 65536

    def __init__(self, connection, timing, report_late):
        # type: (BaseConnection, Timing, Callable[[List[Result]], None]) -> None
        self.connection = connection
        self._log = connection.logger
        self.is_over = False
        self.is_stale = False
        self.is_shut_down = False
        self._where = "%s:%s" % tuple(connection.address)
        self._timing = timing
        self._report_late = report_late
        self._written = self._unread = 0
        self._amid_since = None  # type: Optional[float]
        # Nothing was done yet with a connection that was used before: it may have died meanwhile.
        self._is_untried = connection.protocol is not None
        if not self._is_untried:
            connection.protocol = _State()
        self._state = connection.protocol  # type: _State

    def prepare(self):
        # type: () -> bool
        """Read what came while it was idle; return True if the connection can still be used."""
        if self._is_untried:
            try:
                self.look()
            except ConnectError as error:
                self._log.warning("what was sent over an idle connection to %s may not have been "
                                  "processed: %s", self._where, error)
            if not self.is_over:
                self.connection.reset()
        return not self.is_over

    def hear_out(self):
        # type: () -> None
        """Take in what came while the connection was being closed: an error frame may be late."""
        if self.connection.received_on_close and not self.is_over:
            self._take(self.connection.received_on_close)

    def transmit(self, delivery):
        # type: (Delivery) -> None
        """Write one message, as far as the gateway takes it.

        Afterwards it may be decided already, or discarded; the connection may be over or stale.

        :raises ~apnsclient.errors.ConnectError: if the gateway refused our certificate only now,
            as TLS 1.3 has it. Nothing was processed.
        """
        try:
            self._write(delivery)
        except BaseException:
            # Nobody knows how much of the last frame was written.
            self._end(sys.exc_info()[1])
            raise
        delivery.written_at = self.connection.clock()

    def _write(self, delivery):
        # type: (Delivery) -> None
        tokens = delivery.message.tokens
        first = self._state.ledger.record(delivery, len(tokens))
        write, timeout = self.connection.write, self._timing.write_timeout
        for _, end, chunk in delivery.encoder.chunks(
                tokens, self._timing.write_buffer_size, first, delivery.rejected):
            delivery.reached = end
            try:
                write(chunk, timeout)
            except Exception as error:
                if is_interrupt():
                    raise
                self._write_failed(error)
                return
            self._is_untried = False
            if self._state.written_at is None:
                self._state.written_at = self.connection.clock()
            self._written += len(chunk)
            self._unread += len(chunk)
            if self._unread >= self.LOOK_INTERVAL:
                self.look()
                if self.is_over:
                    return
        delivery.written_to = self._written
        # There is no answer to wait for where nothing could be put on the wire.
        delivery.is_confirmed = not delivery.reached

    def _write_failed(self, error):
        # type: (Exception) -> None
        """Find out why: the gateway may have hung up after an error frame that is still unread."""
        self._log.debug("writing to %s failed", self._where, exc_info=True)
        self.is_stale = self._is_untried and not is_timeout(error)
        if self._is_refusal(error):
            self._end(error)
            raise error
        deadline = self.connection.clock() + self._timing.read_tail_timeout
        while not self.is_over and self._read_until(deadline):
            pass
        self._end(error)

    def look(self):
        # type: () -> None
        """Take in what has arrived, without waiting."""
        self._unread = 0
        while not self.is_over:
            try:
                data = self.connection.peek(_RESPONSE_SIZE)
            except Exception as error:
                if is_interrupt():
                    raise
                self._failed(error)
                return
            if data is None:
                self._note_silence()
                return
            self._take(data)

    def listen(self, deadline):
        # type: (float) -> None
        """Wait for an error frame until a point in time (monotonic seconds)."""
        while not self.is_over and self._read_until(deadline):
            pass

    def _read_until(self, deadline):
        # type: (float) -> bool
        """Wait once; return False if nothing came in time."""
        timeout = deadline - self.connection.clock()
        if timeout <= 0:
            self.look()
            return False
        try:
            data = self.connection.read(_RESPONSE_SIZE, timeout)
        except Exception as error:
            if is_interrupt():
                raise
            if is_timeout(error):
                self._note_silence()
            else:
                self._failed(error)
            return False
        self._take(data)
        return True

    def _failed(self, error):
        # type: (Exception) -> None
        """The connection failed while reading; a refused certificate is the caller's to know."""
        self._log.debug("reading from %s failed", self._where, exc_info=True)
        self._end(error)
        if self._is_refusal(error):
            raise error

    def _is_refusal(self, error):
        # type: (Optional[BaseException]) -> bool
        """Return True if the gateway has not let us in at all: then nothing was processed."""
        return isinstance(error, ConnectError) and not self._state.is_proven

    def _note_silence(self):
        # type: () -> None
        """Note that nothing has come: a refusal would have, by the time that means success."""
        state, tail = self._state, self._timing.read_tail_timeout
        if (state.written_at is not None and tail
                and self.connection.clock() - state.written_at >= tail):
            state.is_proven = True

    def _take(self, data):
        # type: (Optional[bytes]) -> None
        """Take what was read: bytes, or ``b""`` or None at the end of the stream."""
        if not data:
            self._end(None)
            return
        parser = self._state.parser
        response = parser.feed(data)
        if response is not None:
            self._answered(response.status, response.identifier)
        elif parser.error is not None:
            self._end(parser.error)

    def _end(self, error):
        # type: (Optional[BaseException]) -> None
        """The connection is over, and nothing was said about what is still undecided."""
        if self.is_over:
            return
        self.is_over = True
        undecided = [one for one in self._state.ledger.owners()
                     if not (one.is_settled or one.is_decided or one.is_discarded)]
        # A refused certificate is raised, and needs no warning as well.
        is_news = bool(undecided) and not self._is_refusal(error)
        self._log.log(logging.WARNING if is_news else logging.DEBUG,
                      "the connection to %s ended without an answer: %s",
                      self._where, error or ConnectionLost("end of stream", "http2"))
        for delivery in undecided:
            delivery.failure = (None, 0)

    def _answered(self, status, identifier):
        # type: (int, int) -> None
        """Attribute an error frame to the message it belongs to, and to those it does away with."""
        ledger = self._state.ledger
        found = ledger.find(identifier)
        self._log.debug("%s answered status %d for identifier %d", self._where, status, identifier)
        culprit, index = found or (None, 0)
        if culprit is not None and index < culprit.reached:
            discarded = ledger.owners_after(culprit)
        elif culprit is None and (identifier == 0 and reason_of(status).verdict == ACCEPTED
                                  or ledger.was_issued(identifier)):
            # A shutdown before anything was accepted; or a message that is forgotten by now.
            discarded = ledger.owners()
            self.is_shut_down = not ledger.was_issued(identifier)
        else:
            self._end(ProtocolError("status %d for an identifier that was never sent, %d"
                                    % (status, identifier), identifier))
            return
        self.is_over = True
        for delivery in ledger.owners():
            delivery.is_confirmed = True
        for delivery in discarded:
            delivery.is_confirmed, delivery.is_discarded = False, True
        if culprit is not None:
            culprit.is_confirmed, culprit.failure = False, (status, index)
        late = [one.result() for one in ledger.owners() if one.is_settled and one.is_undelivered]
        if late:
            self._report_late(late)

    def arrived(self):
        # type: () -> int
        """Return how many of the bytes that were written have reached the peer's system, at least.

        It counts like :attr:`Delivery.written_to`. Where no silence is waited for, all have.
        """
        if not self._timing.read_tail_timeout:
            return self._written
        return self._written - self.connection.unacknowledged()

    def is_silent(self, now):
        # type: (float) -> bool
        """Return True if the gateway has been silent up to now (monotonic seconds).

        A part of an error frame is no silence. Its rest has as long to come as a whole one has.
        """
        if not self._state.parser.is_amid:
            return True
        if self._amid_since is None:
            self._amid_since = now
        if now - self._amid_since >= self._timing.read_tail_timeout:
            self._end(ProtocolError("the gateway sent a part of an error frame, and not its rest"))
        return False

    def expire(self):
        # type: () -> None
        """Give the connection up: for too long nothing has reached the peer's system."""
        self._end(Timeout("what was written has not reached %s" % self._where))

    def settle(self, delivery):
        # type: (Delivery) -> None
        """Note that the result of a message, the next in order, was handed out."""
        self._state.ledger.settle(delivery)


def read_feedback(connection, timing):
    # type: (BaseConnection, Timing) -> Iterator[Tuple[int, bytes]]
    """Read the stream of the feedback service up to its end.

    :return: generator of ``(timestamp, token)``. It ends, with a warning in the log, when the
        connection fails or the stream makes no sense.
    :raises ~apnsclient.errors.ConnectError: if the service refuses our certificate.
    """
    parser, where, log = FeedbackParser(), "%s:%s" % tuple(connection.address), connection.logger
    while parser.error is None:
        try:
            data = connection.read(timing.read_buffer_size, timing.read_timeout)
        except ConnectError:
            raise
        except Exception as error:
            if is_interrupt():
                raise
            log.warning("reading feedback from %s failed, the rest comes the next time: %s",
                        where, error)
            return
        if not data:
            parser.finish()
            break
        for row in parser.feed(data):
            yield row
    if parser.error is not None:
        log.warning("feedback from %s: %s", where, parser.error)
