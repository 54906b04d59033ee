"""Sends one message to any number of tokens, and accounts for every one of them.

The tokens are sent in slices, each a message of its own. What a result says may be retried is sent
again, at once while there is progress, else after a pause. Invariant: each token that was taken
from the source is in exactly one of ``accepted`` (a number), ``failed``, ``not_sent`` and
``unknown``.

Over HTTP/2 each token has a response of its own, so a token that was written and has none is
unknown and is not sent again: no device gets a message twice unless the user asks for that. The
binary protocol cannot tell such tokens from those that the gateway discarded.

A user does not wait a quarter of an hour for a command. If the server asks for a longer pause than
ours, the tokens are reported as not sent, with the time to wait, and sending continues as long as
others are accepted.
"""

from __future__ import absolute_import, division, print_function

import contextlib
import signal
import time
from collections import deque

from .._compat import MYPY
from ..reasons import UNKNOWN, reason_of, reason_of_response
from ._console import Failure, OutputClosed, Progress
from ._explain import explain
from ._session import CONNECT_ERRORS

if MYPY:
    from typing import Any, Callable, Deque, Iterable, Iterator, List, Optional, Tuple

    from ._tokens import TokenSource

#: Longest pause between two attempts, in seconds.
_LONGEST_PAUSE = 60.0


class _Job(object):
    """A message that has been handed to the client and has no result yet."""

    __slots__ = ("count", "message", "settled_before")

    def __init__(self, message, settled_before):
        # type: (Any, int) -> None
        self.message = message
        self.count = len(message.tokens)
        self.settled_before = settled_before


class Delivery(object):
    """One message to all tokens of a source.

    :param send_many: takes an iterable of messages and yields a result for each, in order.
    :param new_message: takes a list of tokens and returns a message.
    :param source: where the tokens come from (:class:`~apnsclient.cli._tokens.TokenSource`).
    :param slice_size: most tokens in one message (int, from 1).
    :param retries: how often in a row to try again after an attempt that achieved nothing (int,
        from 0).
    :param pause: seconds to wait before the first of these; each further wait is twice as long.
    :param close: closes the connection when there is nothing left to send; responses that turn up
        late then, or at any other time, are given to :meth:`apply_late_result`.
    :param progress: shows how far it is.
    :param notify: called with a line of text that the user should see at once.
    :param resends_unknown: whether to send again what was written and has no response.
    :param is_connected: returns True if there has been a connection; by default there is one once
        the client has written the first message and takes the next one.
    """

    def __init__(self, send_many, new_message, source, slice_size=5000, retries=5, pause=1.0,
                 close=None, progress=None, notify=None, resends_unknown=True, is_connected=None):
        # type: (Callable[[Iterable[Any]], Iterable[Any]], Callable[[List[str]], Any], TokenSource, int, int, float, Optional[Callable[[], None]], Optional[Progress], Optional[Callable[[str], None]], bool, Optional[Callable[[], Any]]) -> None  # noqa: E501
        self._send_many = send_many
        self._new_message = new_message
        self._source = source
        self._slice_size = slice_size
        self._retries = retries
        self._pause = pause
        self._close = close or _do_nothing
        self._progress = progress or Progress()
        self._notify = notify or _do_nothing
        self._resends_unknown = resends_unknown
        self._is_connected = is_connected or _do_nothing
        self._in_flight = deque()  # type: Deque[_Job]
        self._ready = deque()  # type: Deque[Any]
        self._stalled = deque()  # type: Deque[Any]
        self._settled_before_attempt = 0
        #: True once a connection could be had.
        self.has_connected = False
        self._is_finished = False
        self._is_stopping = False
        self._may_interrupt = False
        self._is_connecting = False
        self._has_client_control = False
        self._has_announced_wait = False
        #: How many tokens were accepted (int).
        self.accepted = 0
        #: Each token that was rejected, with its :class:`~apnsclient.outcomes.Failure` (list).
        self.failed = []  # type: List[Tuple[str, Any]]
        #: ``(token, code, reason)`` of each token that was taken from the source and not sent
        #: (list). With a code, the server rejects the message, whichever token it is for.
        self.not_sent = []  # type: List[Tuple[str, Optional[int], str]]
        #: ``(token, reason)`` of each token that was sent and whose outcome was not waited for, or
        #: that has no response over HTTP/2 (list).
        self.unknown = []  # type: List[Tuple[str, str]]
        #: How many tokens were sent again, each counted as often as it was (int).
        self.resent = 0
        #: True if the user interrupted it.
        self.is_interrupted = False
        #: The last error that did not concern a token (str), or None.
        self.error = None  # type: Optional[str]
        #: The error that stopped it, because the server rejects the message or the credential
        #: (:class:`~apnsclient.outcomes.Failure`), or None.
        self.rejection = None  # type: Any

    def run(self):
        # type: () -> None
        """Deliver.

        After the first SIGINT no more tokens are taken, and only the responses to those that were
        sent are waited for; the second SIGINT stops at once. A failure to connect is in
        :attr:`error` afterwards.

        :raises ValueError: if the payload cannot be put on the wire.
        """
        with self._interrupts():
            try:
                try:
                    self._attempt_until_done()
                except KeyboardInterrupt:
                    self._is_finished = self.is_interrupted = True
            except KeyboardInterrupt:
                # Another one, while the first was being handled.
                self._is_finished = self.is_interrupted = True
            self._is_finished = True
            self._account_for_rest()

    def apply_late_result(self, result):
        # type: (Any) -> None
        """Correct the outcome by a result that replaces an earlier one of the same message.

        What counted as accepted, because nothing had been received, was rejected or discarded.
        """
        self.accepted -= self._apply_result(result)

    @property
    def _settled(self):
        # type: () -> int
        return self.accepted + len(self.failed)

    def _attempt_until_done(self):
        # type: () -> None
        failed_attempts = 0
        while True:
            self._settled_before_attempt = self._settled
            self._attempt()
            if self._is_stopping or not (self._ready or self._stalled):
                self._close()
            if self._is_stopping or not (self._ready or self._stalled):
                return
            if self._settled > self._settled_before_attempt:
                failed_attempts = 0
            else:
                failed_attempts += 1
                if failed_attempts > self._retries:
                    return
                self._wait(failed_attempts)
            self._ready.extend(self._stalled)
            self._stalled.clear()

    def _attempt(self):
        # type: () -> None
        """Send what there is until there is no more, or no connection can be used any more."""
        try:
            for result in self._send_many(self._outgoing()):
                job = self._in_flight.popleft()
                self.has_connected = True
                self.accepted += job.count - self._apply_result(result, job.settled_before)
                self._progress.expect(self._source.expected())
        except CONNECT_ERRORS as error:
            # There is a result for everything that was written; the rest counts as never sent.
            self.error = explain(error)
            self._stalled.extend(job.message for job in self._in_flight)
            self._in_flight.clear()
            self._is_stopping = not self.has_connected
        self._has_client_control = False

    def _outgoing(self):
        # type: () -> Iterator[Any]
        """Yield the messages as the client takes them; the one before has been written by then."""
        is_first = True
        while not self._is_stopping:
            message = self._next_message()
            if message is None:
                break
            job = _Job(message, self._settled)
            self._in_flight.append(job)
            # Connecting may take a while, until the first message is written.
            self._is_connecting = is_first
            if self._is_stopping:
                self._ready.append(self._in_flight.pop().message)
                break
            self._has_client_control = True
            yield message
            self._has_client_control = self._is_connecting = is_first = False
            self._progress.advance(job.count)
        self._is_connecting = False
        # Before it is shown: a user who interrupts at the sight of it gets the notice as well.
        self._has_client_control = True
        if self.is_interrupted:
            self._announce_wait()
        self._progress.describe("awaiting responses")

    def _announce_wait(self):
        # type: () -> None
        """Tell the user, once, why the command does not end although it was interrupted."""
        if self._in_flight and not self._has_announced_wait:
            self._notify("apns: stopping; waiting for the responses to what has been sent "
                         "(Ctrl-C again: do not wait)")
            self._has_announced_wait = True

    def _next_message(self):
        # type: () -> Optional[Any]
        if self._ready:
            message = self._ready.popleft()
            self.resent += len(message.tokens)
            return message
        if self._stalled and self._settled == self._settled_before_attempt:
            return None  # Nothing can be sent at present; take no more tokens until it can.
        try:
            tokens = self._source.take(self._slice_size)
        except KeyboardInterrupt:
            self._is_stopping = self.is_interrupted = True
            return None
        self._progress.expect(self._source.expected())
        return self._new_message(tokens) if tokens else None

    def _apply_result(self, result, settled_before=None):
        # type: (Any, Optional[int]) -> int
        """Record what a result says; return how many of its tokens were not accepted."""
        failed, errors = result.failed, result.errors
        self.failed.extend(failed.items())
        if errors:
            self.error = explain(errors[-1][1])
        count = len(failed) + self._record_undelivered(result.undelivered, errors)
        retry, unknown = result.retry(), [] if self._resends_unknown else result.unknown
        if unknown:
            reason = _reason_of_unknown(errors)
            self.unknown.extend((token, reason) for token in unknown)
            count += len(unknown)
            in_doubt = frozenset(unknown)
            retry = retry.with_tokens([one for one in retry.tokens if one not in in_doubt])
        if retry is not None and (result.retry_after or 0) > _LONGEST_PAUSE:
            self._postpone(retry.tokens, result)
            count += len(retry.tokens)
        elif retry is not None:
            self._progress.advance(-len(retry.tokens))
            has_progress = settled_before is None or self._settled > settled_before
            (self._ready if has_progress else self._stalled).append(retry)
            count += len(retry.tokens)
        return count

    def _postpone(self, tokens, result):
        # type: (List[str], Any) -> None
        """Record tokens that the server wants to be sent much later; stop if it accepted none."""
        wait = result.retry_after
        reason = next(error[1] for error in result.errors if error.retry_after == wait)
        self.error = "%s; send again in %d s, the server asks" % (reason, wait)
        self.not_sent.extend((token, None, self.error) for token in tokens)
        if len(tokens) == len(result.message.tokens):
            self._is_stopping = True

    def _record_undelivered(self, tokens, errors):
        # type: (List[str], List[Any]) -> int
        """Record the tokens that would be rejected again; return how many there are.

        Nothing more is sent if every token would be rejected for the same reason.
        """
        rejections = [error for error in errors if not _row_of(error).retries_rest]
        if rejections:
            self._is_stopping = True
            self.rejection = self.rejection or rejections[0]
            self.error = rejections[0][1]
        elif tokens:
            rejections = [error for error in errors if not _row_of(error).retries_reported]
        code, reason = (rejections or errors[-1:] or [UNKNOWN[:2]])[0]
        reason = explain(reason)
        self.not_sent.extend((token, code, reason) for token in tokens)
        return len(tokens)

    def _wait(self, attempt):
        # type: (int) -> None
        """Pause before an attempt; each pause in a row is twice as long as the one before."""
        seconds = min(self._pause * 2 ** (attempt - 1), _LONGEST_PAUSE)
        self._may_interrupt = True
        if not self._is_stopping:
            self._progress.describe("no progress; trying again in %d s (%d of %d)"
                                    % (round(seconds), attempt, self._retries))
            time.sleep(seconds)
        self._may_interrupt = False

    def _account_for_rest(self):
        # type: () -> None
        """Record the tokens that are left when it ends."""
        code, reason = self.rejection or (None, self.error or UNKNOWN.explanation)
        if self.is_interrupted:
            code, reason = None, "interrupted"
        for job in self._in_flight:
            self.unknown.extend((token, "outcome not waited for") for token in job.message.tokens)
        for message in list(self._ready) + list(self._stalled):
            self.not_sent.extend((token, code, reason) for token in message.tokens)
        self.not_sent.extend((token, code, reason) for token in self._source.rest())

    @contextlib.contextmanager
    def _interrupts(self):
        # type: () -> Iterator[None]
        """Handle SIGINT while the block runs, if this is the main thread.

        Once it has come, further ones are ignored for good: only the summary is left to be written.
        """
        try:
            previous = signal.getsignal(signal.SIGINT)
            if previous is not signal.SIG_IGN:
                signal.signal(signal.SIGINT, self._on_interrupt)
        except ValueError:
            previous = None
        try:
            yield
        finally:
            if previous is not None:
                signal.signal(signal.SIGINT, signal.SIG_IGN if self.is_interrupted else previous)

    def _on_interrupt(self, number, frame):
        # type: (int, Any) -> None
        if self._is_finished:
            # The remaining tokens are being recorded, which must not be interrupted.
            self.is_interrupted = True
            return
        if self._may_interrupt or self._is_stopping or self._source.is_waiting or (
                self._is_connecting and not self._is_connected()):
            raise KeyboardInterrupt
        self._is_stopping = self.is_interrupted = True
        self._source.stop()
        if self._has_client_control:
            # It may not take another message for a while, or at all.
            try:
                self._announce_wait()
            except (Failure, OutputClosed):
                pass  # The reader is gone; it is only a hint.


def _row_of(failure):
    # type: (Any) -> Any
    """Return the row of the table of reasons for an error of a result."""
    if failure.status is None:
        return reason_of(failure[0])
    return reason_of_response(failure.status, failure.reason)


def _reason_of_unknown(errors):
    # type: (List[Any]) -> str
    """Return the reason of tokens that were written and have no response."""
    return explain(next((reason for code, reason in errors if code is None
                         and reason.startswith(UNKNOWN.explanation)), UNKNOWN.explanation))


def _do_nothing(*arguments):
    # type: (*Any) -> None
    """Stands for a function that was not given."""
