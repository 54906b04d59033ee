"""Pushes one message to any number of tokens, and accounts for every one of them.

The tokens pass through in slices, each a message of its own, all on one connection. What a result
says may be tried again goes out again, in the same stream while there is progress, else after a
pause. The one thing that always holds: each token that was taken from the source is in exactly one
of ``accepted`` (a number), ``failed``, ``not_sent`` and ``unknown``.

Over HTTP/2 each token has an answer of its own, so one that was written and got none is unknown,
and is not sent again: nobody is to get a message twice without being asked. The binary protocol
cannot tell such tokens from those that the gateway threw away.

Nobody waits a quarter of an hour for a command. Where the server asks for a pause longer than ours
are, the tokens are not sent, with the time to wait, and it goes on as long as others are accepted.
"""

from __future__ import absolute_import, division, print_function

import contextlib
import signal
import time
from collections import deque

from .._compat import MYPY
from ..reasons import UNKNOWN, reason_of, reason_of_response
from ._console import Failure, OutputClosed, Progress
from ._session import CONNECT_ERRORS
from ._words import explain

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
    :param close: closes the connection when there is nothing left to send; answers that come out
        late then, and at any other time, are given to :meth:`account_late`.
    :param progress: shows how far it is.
    :param say: called with a line of text that the user should see at once.
    :param resends_unknown: whether to send again what was written and not answered.
    :param is_connected: tells whether there has been a connection yet; by default there is one when
        the client has written the first message and asks for the next one.
    """

    def __init__(self, send_many, new_message, source, slice_size=5000, retries=5, pause=1.0,
                 close=None, progress=None, say=None, resends_unknown=True, is_connected=None):
        # type: (Callable[[Iterable[Any]], Iterable[Any]], Callable[[List[str]], Any], TokenSource, int, int, float, Optional[Callable[[], None]], Optional[Progress], Optional[Callable[[str], None]], bool, Optional[Callable[[], Any]]) -> None  # noqa: E501
        self._send_many = send_many
        self._new_message = new_message
        self._source = source
        self._slice_size = slice_size
        self._retries = retries
        self._pause = pause
        self._close = close or _do_nothing
        self._progress = progress or Progress()
        self._say = say or _do_nothing
        self._resends_unknown = resends_unknown
        self._is_connected = is_connected or _do_nothing
        self._in_flight = deque()  # type: Deque[_Job]
        self._ready = deque()  # type: Deque[Any]
        self._stalled = deque()  # type: Deque[Any]
        self._settled_before_attempt = 0
        #: True once a connection could be had.
        self.has_connected = False
        self._is_over = False
        self._is_stopping = False
        self._may_interrupt = False
        self._is_connecting = False
        self._has_client_control = False
        self._has_told = False
        #: How many tokens the gateway took (int).
        self.accepted = 0
        #: Each token that was refused, with its :class:`~apnsclient.outcomes.Failure` (list).
        self.failed = []  # type: List[Tuple[str, Any]]
        #: ``(token, code, reason)`` of each token that was taken from the source and not sent
        #: (list). With a code, the gateway refuses the message, whomever it is for.
        self.not_sent = []  # type: List[Tuple[str, Optional[int], str]]
        #: ``(token, reason)`` of each token that was handed over and whose outcome was not awaited,
        #: or, over HTTP/2, did not come (list).
        self.unknown = []  # type: List[Tuple[str, str]]
        #: How many tokens were sent again, each counted as often as it was (int).
        self.resent = 0
        #: True if the user ended it.
        self.is_interrupted = False
        #: The last error that was not a token's (str), or None.
        self.error = None  # type: Optional[str]
        #: The error that stopped it: the gateway refuses the message, or the credential
        #: (:class:`~apnsclient.outcomes.Failure`), or None.
        self.refusal = None  # type: Any

    def run(self):
        # type: () -> None
        """Deliver.

        The first SIGINT stops taking tokens, and awaits the answers to those that went out; the
        second stops at once. A failure to connect ends up in :attr:`error`.

        :raises ValueError: if the payload cannot be put on the wire.
        """
        with self._interrupts():
            try:
                try:
                    self._attempt_until_done()
                except KeyboardInterrupt:
                    self._is_over = self.is_interrupted = True
            except KeyboardInterrupt:
                # Another one, right when the first was taken note of.
                self._is_over = self.is_interrupted = True
            self._is_over = True
            self._close_books()

    def account_late(self, result):
        # type: (Any) -> None
        """Correct the books by a result that replaces an earlier one of the same message.

        What was taken for accepted then, for lack of an answer, was refused or thrown away.
        """
        self.accepted -= self._book(result)

    @property
    def _settled(self):
        # type: () -> int
        return self.accepted + len(self.failed)

    def _attempt_until_done(self):
        # type: () -> None
        attempts_in_vain = 0
        while True:
            self._settled_before_attempt = self._settled
            self._attempt()
            if self._is_stopping or not (self._ready or self._stalled):
                self._close()
            if self._is_stopping or not (self._ready or self._stalled):
                return
            if self._settled > self._settled_before_attempt:
                attempts_in_vain = 0
            else:
                attempts_in_vain += 1
                if attempts_in_vain > self._retries:
                    return
                self._wait(attempts_in_vain)
            self._ready.extend(self._stalled)
            self._stalled.clear()

    def _attempt(self):
        # type: () -> None
        """Send what there is until there is no more, or nothing goes any more."""
        try:
            for result in self._send_many(self._outgoing()):
                job = self._in_flight.popleft()
                self.has_connected = True
                self.accepted += job.count - self._book(result, job.settled_before)
                self._progress.expect(self._source.expected())
        except CONNECT_ERRORS as error:
            # What had been written has got its result; the rest is as good as never sent.
            self.error = explain(error)
            self._stalled.extend(job.message for job in self._in_flight)
            self._in_flight.clear()
            self._is_stopping = not self.has_connected
        self._has_client_control = False

    def _outgoing(self):
        # type: () -> Iterator[Any]
        """Yield the messages as the client asks for them; when it does, the last one is written."""
        is_first = True
        while not self._is_stopping:
            message = self._next_message()
            if message is None:
                break
            job = _Job(message, self._settled)
            self._in_flight.append(job)
            # Until the first message is written, connecting may take its time.
            self._is_connecting = is_first
            if self._is_stopping:
                self._ready.append(self._in_flight.pop().message)
                break
            self._has_client_control = True
            yield message
            self._has_client_control = self._is_connecting = is_first = False
            self._progress.advance(job.count)
        self._is_connecting = False
        # Before it is shown: whoever interrupts at that is to be told as well.
        self._has_client_control = True
        if self.is_interrupted:
            self._tell_what_is_awaited()
        self._progress.describe("awaiting answers")

    def _tell_what_is_awaited(self):
        # type: () -> None
        """Tell the user, once, why the command does not end although it was interrupted."""
        if self._in_flight and not self._has_told:
            self._say("apns: stopping; waiting for the gateway's answers to what has been sent "
                      "(Ctrl-C again: do not wait)")
            self._has_told = True

    def _next_message(self):
        # type: () -> Optional[Any]
        if self._ready:
            message = self._ready.popleft()
            self.resent += len(message.tokens)
            return message
        if self._stalled and self._settled == self._settled_before_attempt:
            return None  # Nothing goes at present: take no more tokens until something does.
        try:
            tokens = self._source.take(self._slice_size)
        except KeyboardInterrupt:
            self._is_stopping = self.is_interrupted = True
            return None
        self._progress.expect(self._source.expected())
        return self._new_message(tokens) if tokens else None

    def _book(self, result, settled_before=None):
        # type: (Any, Optional[int]) -> int
        """Enter what a result says; return how many of its tokens were not accepted."""
        failed, errors = result.failed, result.errors
        self.failed.extend(failed.items())
        if errors:
            self.error = explain(errors[-1][1])
        count = len(failed) + self._book_undelivered(result.undelivered, errors)
        retry, unknown = result.retry(), [] if self._resends_unknown else result.unknown
        if unknown:
            reason = _reason_of_unknown(errors)
            self.unknown.extend((token, reason) for token in unknown)
            count += len(unknown)
            in_doubt = frozenset(unknown)
            retry = retry.with_tokens([one for one in retry.tokens if one not in in_doubt])
        if retry is not None and (result.retry_after or 0) > _LONGEST_PAUSE:
            self._put_off(retry.tokens, result)
            count += len(retry.tokens)
        elif retry is not None:
            self._progress.advance(-len(retry.tokens))
            has_progress = settled_before is None or self._settled > settled_before
            (self._ready if has_progress else self._stalled).append(retry)
            count += len(retry.tokens)
        return count

    def _put_off(self, tokens, result):
        # type: (List[str], Any) -> None
        """Enter tokens that the server asks to send much later; stop if it took none."""
        wait = result.retry_after
        reason = next(error[1] for error in result.errors if error.retry_after == wait)
        self.error = "%s; send again in %d s, the server asks" % (reason, wait)
        self.not_sent.extend((token, None, self.error) for token in tokens)
        if len(tokens) == len(result.message.tokens):
            self._is_stopping = True

    def _book_undelivered(self, tokens, errors):
        # type: (List[str], List[Any]) -> int
        """Enter the tokens that would be refused again; return how many these are.

        Nothing more is sent if that is so whomever the message is for.
        """
        refusals = [error for error in errors if not _row_of(error).retries_rest]
        if refusals:
            self._is_stopping = True
            self.refusal = self.refusal or refusals[0]
            self.error = refusals[0][1]
        elif tokens:
            refusals = [error for error in errors if not _row_of(error).retries_reported]
        code, reason = (refusals or errors[-1:] or [UNKNOWN[:2]])[0]
        reason = explain(reason)
        self.not_sent.extend((token, code, reason) for token in tokens)
        return len(tokens)

    def _wait(self, attempt):
        # type: (int) -> None
        """Pause before an attempt; each pause in a row is twice as long as the one before."""
        seconds = min(self._pause * 2 ** (attempt - 1), _LONGEST_PAUSE)
        self._may_interrupt = True
        if not self._is_stopping:
            self._progress.describe("nothing goes; trying again in %d s (%d of %d)"
                                    % (round(seconds), attempt, self._retries))
            time.sleep(seconds)
        self._may_interrupt = False

    def _close_books(self):
        # type: () -> None
        """Enter the tokens that nothing more is going to happen to."""
        code, reason = self.refusal or (None, self.error or UNKNOWN.explanation)
        if self.is_interrupted:
            code, reason = None, "interrupted"
        for job in self._in_flight:
            self.unknown.extend((token, "outcome not awaited") for token in job.message.tokens)
        for message in list(self._ready) + list(self._stalled):
            self.not_sent.extend((token, code, reason) for token in message.tokens)
        self.not_sent.extend((token, code, reason) for token in self._source.rest())

    @contextlib.contextmanager
    def _interrupts(self):
        # type: () -> Iterator[None]
        """Let SIGINT end the delivery in good order, where this is the main thread.

        Once it has, further ones are ignored for good: the summary is all that is left to do.
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
        if self._is_over:
            # The books are being closed, which is not to be disturbed.
            self.is_interrupted = True
            return
        if self._may_interrupt or self._is_stopping or self._source.is_waiting or (
                self._is_connecting and not self._is_connected()):
            raise KeyboardInterrupt
        self._is_stopping = self.is_interrupted = True
        self._source.stop()
        if self._has_client_control:
            # It may not ask for another message for a while, or not at all.
            try:
                self._tell_what_is_awaited()
            except (Failure, OutputClosed):
                pass  # Nobody reads; it is only a hint.


def _row_of(failure):
    # type: (Any) -> Any
    """Return the row of the table of reasons that an error of a result stands for."""
    if failure.status is None:
        return reason_of(failure[0])
    return reason_of_response(failure.status, failure.reason)


def _reason_of_unknown(errors):
    # type: (List[Any]) -> str
    """Return what was said of tokens that were written and not answered."""
    return explain(next((reason for code, reason in errors if code is None
                         and reason.startswith(UNKNOWN.explanation)), UNKNOWN.explanation))


def _do_nothing(*arguments):
    # type: (*Any) -> None
    """Stands for a function that was not given."""
