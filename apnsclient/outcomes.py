"""The outcome of each token of one message.

A token ends in exactly one of four ways: accepted, failed (rejected because of the token itself),
to be retried, or undelivered (it got nothing, and would get nothing another time). There is one
implementation for each protocol, with the same interface for :class:`~apnsclient.apns.Result`:

- :class:`FrameOutcomes`: the binary gateway names one token, and all the rest follows from there.
- :class:`RequestOutcomes`: over HTTP/2 each token has a response of its own. Nothing is kept of
  those that were accepted, and the others become objects when they are read, so that a result costs
  no more than what went wrong.

Tokens are known here by their indices in the message. A token that a message has several times is
as many tokens.
"""

from __future__ import absolute_import, division, print_function

import json
from itertools import chain

import six

from ._compat import MYPY, PY2
from ._printable import LONGEST, printable
from .protocols.http2.frames import Http2Error
from .protocols.http2.headers import decode_block
from .protocols.http2.identifiers import (
    APNS_ID,
    APNS_UNIQUE_ID,
    LONGEST_BLOCK,
    find_identifiers,
)
from .reasons import UNKNOWN, Reason, reason_of, reason_of_response

if MYPY:
    from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Set, Tuple, Union

    from .protocols.binary import TokenError

    Block = Union[bytes, List[Tuple[bytes, bytes]], six.text_type, None]
    _Pair = Tuple[Optional[int], str]
else:
    _Pair = tuple

__all__ = ["Failure", "FrameOutcomes", "RequestOutcomes", "identifiers_in", "parse_response"]

#: Longest body of a response that is looked at, in bytes; Apple's have less than 100.
_LONGEST_BODY = 4096
#: The fields of a response that are kept for results.
_IDENTIFIERS = (APNS_ID, APNS_UNIQUE_ID)
#: How many bodies without a timestamp are remembered, with their reasons.
_MOST_BODIES = 256

#: The type of a range, which takes no memory however long it is.
_RANGE = type(six.moves.range(0))


class Failure(_Pair):
    """Why a token, or a message, failed: ``(code, explanation)``.

    It unpacks as that pair and is equal to it. Over HTTP/2 the attributes say more.

    :ivar status: HTTP status of the response (int), or None.
    :ivar reason: Apple's name of the reason, like ``"Unregistered"`` (str), or None.
    :ivar timestamp: since when the token has been dead, in seconds since 1970 (int), or None. Apple
        gives it with status 410.
    """

    def __new__(cls, code, explanation, status=None, reason=None, timestamp=None, block=None):
        # type: (Optional[int], str, Optional[int], Optional[str], Optional[int], Block) -> Failure
        self = super(Failure, cls).__new__(cls, (code, explanation))
        self._set(status, reason, timestamp, block)
        return self

    def _set(self, status, reason, timestamp, block):
        # type: (Optional[int], Optional[str], Optional[int], Block) -> None
        self.status = status
        self.reason = reason
        self.timestamp = timestamp
        self._block = block

    @classmethod
    def of(cls, reason, timestamp=None, block=None):
        # type: (Reason, Optional[int], Block) -> Failure
        """Return the failure that a response reports.

        :param reason: row of the response in the table (:class:`~apnsclient.reasons.Reason`).
        :param timestamp: the time in the response, in seconds since 1970 (int), or None.
        :param block: header block of the response (bytes), which can be decoded without those
            before it; or its ``(name, value)`` pairs, or the identifier alone as text; or None.
        """
        return cls(reason.code, reason.explanation, reason.status, reason.name, timestamp, block)

    @property
    def apns_id(self):
        # type: () -> Optional[str]
        """Identifier of the notification as Apple's response has it (lower-case str), or None."""
        block = self._block
        if isinstance(block, six.text_type):
            return block.encode("latin-1") if PY2 else block
        return identifiers_in(block)[0]

    @property
    def is_gone(self):
        # type: () -> bool
        """True if Apple has declared the token dead: status 410, with the time since when.

        Delete the token, unless it was registered again after ``timestamp``. No other failure is a
        reason to delete one: a token that is rejected with status 400 may be valid in the other
        environment, or for another topic. False over the binary protocol, where
        :meth:`~apnsclient.apns.APNs.feedback` reports the dead tokens.
        """
        return self._row is not None and self._row.is_gone(self.timestamp)

    @property
    def retry_after(self):
        # type: () -> Optional[int]
        """How long to wait before the message is sent again, in seconds (int), or None.

        900 after a status of 500 to 599 (Apple, *Handling notification responses from APNs*), 1200
        after TooManyProviderTokenUpdates (Apple, *Establishing a token-based connection to APNs*),
        and 60 after any other status 429, for which Apple names no time. None if it may be sent at
        once, if it would be rejected again, and over the binary protocol.
        """
        return self._row.retry_after if self._row is not None else None

    @property
    def _row(self):
        # type: () -> Optional[Reason]
        """The row of the response in the table of reasons, or None if there was no response."""
        return reason_of_response(self.status, self.reason) if self.status is not None else None

    def __reduce__(self):
        # type: () -> Tuple[Any, ...]
        # No bytes: Python 3 takes those in a pickle of Python 2 for text.
        apns_id = self.apns_id  # type: Any
        if isinstance(apns_id, bytes):
            apns_id = apns_id.decode("latin-1")
        return type(self), tuple(self) + (self.status, self.reason, self.timestamp, apns_id)


def identifiers_in(block):
    # type: (Union[bytes, List[Tuple[bytes, bytes]], None]) -> Tuple[Optional[str], Optional[str]]
    """Return the ``apns-id`` of a response in lower case, and its ``apns-unique-id``.

    :param block: its header block, or the fields in it.
    """
    found = find_identifiers(block) if isinstance(block, bytes) else None
    if found is None:
        fields = block or ()  # type: Any
        if isinstance(fields, bytes):
            fields = _fields_of(fields)
        values = dict((name, _as_name(value.decode("latin-1"))) for name, value in fields
                      if name in _IDENTIFIERS)
        found = values.get(APNS_ID), values.get(APNS_UNIQUE_ID)
    identifier, unique_identifier = found
    return identifier and identifier.lower(), unique_identifier


def _worth_keeping(block):
    # type: (Block) -> Block
    """Return the part of a header block that is kept: of a long one, the identifiers alone."""
    fields = block  # type: Any
    if isinstance(fields, bytes):
        if len(fields) <= LONGEST_BLOCK:
            return fields
        fields = _fields_of(fields)
    elif not isinstance(fields, list):
        return block
    return [(name, value[:LONGEST]) for name, value in fields if name in _IDENTIFIERS]


def _fields_of(block):
    # type: (bytes) -> List[Tuple[bytes, bytes]]
    """Return the fields of a header block, or none if it cannot be decoded."""
    try:
        return decode_block(block)
    except Http2Error:
        return []


class _Indices(object):
    """Indices of tokens, in any order; whole ranges take no memory."""

    def __init__(self):
        # type: () -> None
        self._single = []  # type: List[int]
        self._spans = []  # type: List[Sequence[int]]

    def add(self, index):
        # type: (int) -> None
        self._single.append(index)

    def extend(self, indices):
        # type: (Iterable[int]) -> None
        span = indices if isinstance(indices, _RANGE) else list(indices)  # type: Any
        if span:
            self._spans.append(span)

    def __len__(self):
        # type: () -> int
        return len(self._single) + sum(map(len, self._spans))

    def in_order(self):
        # type: () -> Sequence[int]
        if not (self._single or self._spans):
            return ()
        if len(self._spans) == 1 and not self._single and isinstance(self._spans[0], _RANGE):
            return self._spans[0]
        return sorted(chain(self._single, *self._spans))


class FrameOutcomes(object):
    """Outcomes of a message over the binary protocol.

    :param count: how many tokens the message has (int).
    :param failure: ``(status code, index of the token)`` that the gateway reported (int or None for
        an IO failure, int), or None if it reported nothing.
    :param malformed: ``(index, code, explanation)`` of each token that cannot be put on the wire.
    :param is_unprocessed: True if no token of the message was processed.
    :param reached: index behind the last token that was written (int); None if all were.
    """

    def __init__(self, count, failure=None, malformed=(), is_unprocessed=False, reached=None):
        # type: (int, Optional[Tuple[Optional[int], int]], Sequence[Tuple[int, int, str]], bool, Optional[int]) -> None  # noqa: E501
        self._count = count
        self._reached = count if reached is None else reached
        self._malformed = malformed
        self._reason, self._index = None, 0  # type: Optional[Reason], int
        # Whatever the gateway reports of a token, it has discarded what followed.
        self._is_certain = failure is None or failure[0] is not None
        self._retry_from = 0 if is_unprocessed else count
        if failure is not None:
            self._reason, self._index = reason_of(failure[0]), failure[1]
            if self._reason.retries_rest:
                self._retry_from = self._index + (0 if self._reason.retries_reported else 1)

    @property
    def malformed_count(self):
        # type: () -> int
        """How many tokens cannot be put on the wire (int)."""
        return len(self._malformed)

    @property
    def reported(self):
        # type: () -> Optional[Reason]
        """What the gateway reported of one token, or None."""
        return self._reason if self._is_certain else None

    def count_failures(self):
        # type: () -> int
        """Return how many tokens failed."""
        return len(self._malformed) + int(self._reason is not None and self._reason.blames_token)

    def failures(self):
        # type: () -> Iterator[Tuple[int, Failure]]
        """Yield ``(index, failure)`` of the tokens that failed."""
        for index, code, explanation in self._malformed:
            yield index, Failure(code, explanation)
        if self._reason is not None and self._reason.blames_token:
            yield self._index, Failure.of(self._reason)

    def errors(self):
        # type: () -> List[Failure]
        """Return what went wrong other than because of a token, each error once."""
        if self._reason is None or not self._reason.is_error:
            return []
        return [Failure.of(self._reason)]

    def retried(self):
        # type: () -> Sequence[int]
        """Return the indices of the tokens that are to be sent again, in order."""
        return self._without_malformed(self._retry_from, self._count)

    def identifiers(self):
        # type: () -> Sequence[Tuple[int, Tuple[Optional[str], Optional[str]]]]
        """Return nothing: the gateway does not respond to what it accepts."""
        return ()

    def unknown(self):
        # type: () -> Sequence[int]
        """Return the indices of retried tokens that may have been delivered, in order."""
        if self._is_certain:
            return ()
        return self._without_malformed(self._retry_from, self._reached)

    def undelivered(self):
        # type: () -> Sequence[int]
        """Return the indices of the tokens that got nothing and will get nothing, in order."""
        if self._reason is None or self._reason.retries_rest:
            return ()
        return self._without_malformed(self._index, self._count)

    def _without_malformed(self, start, end):
        # type: (int, int) -> Sequence[int]
        malformed = set(entry[0] for entry in self._malformed if entry[0] >= start)
        indices = six.moves.range(start, end)
        if malformed:
            return [index for index in indices if index not in malformed]
        return indices


class RequestOutcomes(object):
    """Outcomes of a message over HTTP/2.

    Each index is reported at most once. A token that is not reported was accepted.
    """

    #: Responses to accepted tokens, by index: header blocks, or identifiers once decoded.
    _accepted = None  # type: Optional[Dict[int, Any]]

    def __init__(self):
        # type: () -> None
        self._failed = {}  # type: Dict[int, Any]
        self._errors = []  # type: List[Failure]
        self._known = set()  # type: Set[_Pair]
        self._retried = _Indices()
        self._unknown = []  # type: List[int]
        self._undelivered = _Indices()

    def __getstate__(self):
        # type: () -> Dict[str, Any]
        state = dict(vars(self), _failed=dict(self.failures()))
        if self._accepted is not None:
            state["_accepted"] = dict(self.identifiers())
        return state

    def add_accepted(self, index, block):
        # type: (int, Block) -> None
        """Keep the response to an accepted token.

        :param block: its header block, see :meth:`Failure.of`.
        """
        if self._accepted is None:
            self._accepted = {}
        self._accepted[index] = _worth_keeping(block)

    def identifiers(self):
        # type: () -> Iterator[Tuple[int, Tuple[Optional[str], Optional[str]]]]
        """Yield ``(index, (apns-id, apns-unique-id))`` of the responses that were kept."""
        accepted = self._accepted or {}
        for index in sorted(accepted):
            if not isinstance(accepted[index], tuple):
                accepted[index] = identifiers_in(accepted[index])
            yield index, accepted[index]

    def add_malformed(self, index, error):
        # type: (int, TokenError) -> None
        """Report a token that cannot be put on the wire.

        :param index: index of the token (int), here and in the other methods.
        :param error: what is wrong with it (:class:`~apnsclient.protocols.binary.TokenError`).
        """
        self._failed[index] = Failure(error.code, str(error))

    def add_response(self, index, reason, block=None, timestamp=None):
        # type: (int, Reason, Block, Optional[int]) -> None
        """Report a response other than status 200.

        :param reason: its row in the table (:class:`~apnsclient.reasons.Reason`). It decides
            whether the token failed, is to be retried, or is undelivered.
        :param block: the header block of the response, see :meth:`Failure.of`.
        :param timestamp: the time in the response, in seconds since 1970 (int), or None.
        """
        if reason.blames_token:
            # It becomes a Failure when it is read.
            self._failed[index] = (reason, timestamp, _worth_keeping(block))
            return
        if reason[:2] not in self._known:
            self._add_error(Failure.of(reason, timestamp, _worth_keeping(block)))
        (self._retried if reason.retries_reported else self._undelivered).add(index)

    def add_unknown(self, index, text):
        # type: (int, str) -> None
        """Report a request that was written and had no response: it may have been processed.

        :param text: what happened instead (str).
        """
        self._add_error((UNKNOWN.code, "%s: %s" % (UNKNOWN.explanation, text)))
        self._retried.add(index)
        self._unknown.append(index)

    def add_unprocessed(self, indices, cause=None):
        # type: (Iterable[int], Union[Reason, _Pair, None]) -> None
        """Report tokens that are known not to have been processed.

        :param indices: indices of the tokens; a range takes no memory.
        :param cause: why they were not sent again: the response to another token
            (:class:`~apnsclient.reasons.Reason`), a :class:`Failure` or a pair like it, or None.
        """
        self._retried.extend(indices)
        if cause is not None:
            self._add_error(cause)

    def add_undelivered(self, indices, cause):
        # type: (Iterable[int], Union[Reason, _Pair]) -> None
        """Report tokens that nothing was sent to, because it would have been rejected.

        :param indices: indices of the tokens; a range takes no memory.
        :param cause: the response to another token (:class:`~apnsclient.reasons.Reason`), or a
            :class:`Failure` or a pair like it.
        """
        self._undelivered.extend(indices)
        self._add_error(cause)

    def _add_error(self, cause):
        # type: (Union[Reason, _Pair]) -> None
        if isinstance(cause, Reason):
            cause = Failure.of(cause)
        code, explanation = cause
        if (code, explanation) not in self._known:
            self._known.add((code, explanation))
            self._errors.append(
                cause if isinstance(cause, Failure) else Failure(code, explanation))

    def count_failures(self):
        # type: () -> int
        """Return how many tokens failed."""
        return len(self._failed)

    def failures(self):
        # type: () -> Iterator[Tuple[int, Failure]]
        """Yield ``(index, failure)`` of the tokens that failed, in order."""
        for index in sorted(self._failed):
            entry = self._failed[index]
            yield index, entry if isinstance(entry, Failure) else Failure.of(*entry)

    def count_rejected_here(self, count):
        # type: (int) -> Optional[int]
        """Return how many tokens were rejected, but may be valid elsewhere.

        :param count: how many tokens the message has (int).
        :return: number of tokens (int), or None if another one proves that the message went to the
            right place: it was accepted, or Apple knows since when it has been dead.
        """
        if count > len(self._failed) + len(self._retried) + len(self._undelivered):
            return None
        rejected = 0
        for entry in six.itervalues(self._failed):
            if isinstance(entry, Failure):
                # It was not sent at all.
                continue
            reason, timestamp, _ = entry
            if reason.is_gone(timestamp):
                return None
            rejected += reason.can_be_valid_elsewhere
        return rejected

    def errors(self):
        # type: () -> List[Failure]
        """Return what went wrong other than because of a token, in order, each error once."""
        return list(self._errors)

    def retried(self):
        # type: () -> Sequence[int]
        """Return the indices of the tokens that are to be sent again, in order."""
        return self._retried.in_order()

    def unknown(self):
        # type: () -> Sequence[int]
        """Return the indices of retried tokens that may have been delivered, in order."""
        return sorted(self._unknown)

    def undelivered(self):
        # type: () -> Sequence[int]
        """Return the indices of the tokens that got nothing and will get nothing, in order."""
        return self._undelivered.in_order()


_bodies = {}  # type: Dict[bytes, Tuple[Optional[str], Optional[int]]]


def parse_response(body):
    # type: (bytes) -> Tuple[Optional[str], Optional[int]]
    """Read the JSON that comes with a failure, or in the debug data of GOAWAY.

    :param body: like ``{"reason": "Unregistered", "timestamp": 1700000000000}``. Anything else has
        neither, and is not an error.
    :return: ``(name of the reason, seconds since 1970)``: str and int, or None for what is not
        there. Apple gives the time in milliseconds. A name has at most 100 characters, and ``?``
        in place of what is not printable ASCII.
    """
    known = _bodies.get(body)
    if known is not None:
        return known
    if len(body) > _LONGEST_BODY:
        return None, None
    try:
        content = json.loads(body.decode("utf-8"))
    except (RuntimeError, ValueError):
        # RuntimeError stands for text that is nested too deeply.
        content = None
    if not isinstance(content, dict):
        content = {}
    found = _as_name(content.get("reason")), _as_seconds(content.get("timestamp"))
    if "timestamp" not in content:
        # There are few of these, and each may come a hundred thousand times.
        if len(_bodies) >= _MOST_BODIES:
            _bodies.clear()
        _bodies[body] = found
    return found


def _as_name(value):
    # type: (Any) -> Optional[str]
    return printable(value) if isinstance(value, six.text_type) and value else None


def _as_seconds(value):
    # type: (Any) -> Optional[int]
    """Turn milliseconds into seconds that every function of ``datetime`` takes."""
    if isinstance(value, bool) or not isinstance(value, six.integer_types + (float,)):
        return None
    return int(value // 1000) if 0 <= value < 1000 << 32 else None
