"""Counts what became of notifications, for an observer: by what they have in common."""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY
from ..events import (
    ACCEPTED,
    REJECTED,
    UNDELIVERED,
    UNKNOWN,
    UNPROCESSED,
    NotificationOutcomes,
)

if MYPY:
    from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

    from ..events import Event
    from ..outcomes import FrameOutcomes
    from ..reasons import Reason
    from ..result import Result

    # Outcome, status and reason.
    Fate = Tuple[str, Optional[int], Optional[str]]
    Fields = Tuple[Any, ...]

__all__ = ["Tally", "fate_of", "frame_events", "outcome_events", "tally_events"]

_ACCEPTED = ACCEPTED, 200, None  # type: Fate
#: What a gateway says of what it accepts.
_SILENCE = ACCEPTED, None, None  # type: Fate


def fate_of(reason):
    # type: (Reason) -> Fate
    """Return the outcome of a token whose response has a reason, with status and name."""
    if reason.blames_token:
        outcome = REJECTED
    else:
        outcome = UNPROCESSED if reason.retries_reported else UNDELIVERED
    return outcome, reason.status, reason.name


class Tally(object):
    """What became of some requests over HTTP/2, other than that they were accepted.

    :ivar counts: ``{(header fields, fate): how many}``.
    """

    def __init__(self):
        # type: () -> None
        self.counts = {}  # type: Dict[Tuple[Fields, Fate], int]

    def add(self, fields, outcome, status, reason, count=1):
        # type: (Any, str, Optional[int], Optional[str], int) -> None
        """Count requests.

        :param fields: what their headers have in common.
        """
        key = fields, (outcome, status, reason)
        self.counts[key] = self.counts.get(key, 0) + count

    def add_accepted(self, fields):
        # type: (Any) -> None
        """Count a request that was accepted, where each of them is told."""
        key = fields, _ACCEPTED
        self.counts[key] = self.counts.get(key, 0) + 1

    def add_response(self, fields, reason):
        # type: (Any, Reason) -> None
        """Count a request by its response."""
        key = fields, fate_of(reason)
        self.counts[key] = self.counts.get(key, 0) + 1

    def add_unsent(self, fields, reason, count):
        # type: (Any, Reason, int) -> None
        """Count requests that were not sent, because of a response to another one."""
        outcome = UNPROCESSED if reason.retries_reported else UNDELIVERED
        self.add(fields, outcome, None, reason.name or reason.explanation, count)

    def all(self, totals):
        # type: (Iterable[Tuple[Fields, int]]) -> Iterator[Tuple[Fields, Fate, int]]
        """Yield header fields, fate and number of all requests.

        :param totals: how many requests there are with each header.
        """
        left = {}  # type: Dict[Fields, int]
        for fields, count in totals:
            left[fields] = left.get(fields, 0) + count
        for (fields, fate), count in self.counts.items():
            left[fields] -= count
            yield fields, fate, count
        for fields, count in left.items():
            if count:
                yield fields, _ACCEPTED, count


def outcome_events(works, address, now):
    # type: (Sequence[Any], Tuple[str, int], float) -> List[Event]
    """Return what became of the notifications of some work, as few events as possible.

    :param works: all of it decided, with a tally (:class:`~.message_work.Delivery`, ``Bundle``).
    """
    return _events_of([row for work in works for row in work.count_outcomes()], address, now)


def tally_events(tally, address, now):
    # type: (Tally, Tuple[str, int], float) -> List[Event]
    """Return all that was counted, as few events as possible."""
    return _events_of([key + (count,) for key, count in tally.counts.items()], address, now)


def _events_of(rows, address, now):
    # type: (Iterable[Tuple[Fields, Fate, int]], Tuple[str, int], float) -> List[Event]
    counts = {}  # type: Dict[Any, int]
    for fields, fate, count in rows:
        # Of two messages all other fields may differ, such as their identifiers.
        key = _value_in(fields, b"apns-push-type"), _value_in(fields, b"apns-topic"), fate
        counts[key] = counts.get(key, 0) + count
    return [NotificationOutcomes(now, address, "http2", fate[0], fate[1], fate[2], push_type, topic,
                                 count)
            for (push_type, topic, fate), count in counts.items()]


def frame_events(results, address, topic, now):
    # type: (Iterable[Result], Tuple[str, int], Optional[str], float) -> List[Event]
    """Return what became of messages over the binary protocol, as few events as possible.

    :param topic: that of the certificate (str), or None.
    """
    counts = {}  # type: Dict[Fate, int]
    for result in results:
        outcomes = result.outcomes  # type: Any
        left = len(result.message.tokens)
        for fate, count in _fates_of(outcomes):
            counts[fate] = counts.get(fate, 0) + count
            left -= count
        if left:
            counts[_SILENCE] = counts.get(_SILENCE, 0) + left
    return [NotificationOutcomes(now, address, "binary", fate[0], fate[1], fate[2], None, topic,
                                 count)
            for fate, count in counts.items() if count]


def _fates_of(outcomes):
    # type: (FrameOutcomes) -> Iterator[Tuple[Fate, int]]
    """Yield what became of tokens, and of how many, apart from those that were accepted."""
    yield (REJECTED, None, "malformed token"), outcomes.malformed_count
    unknown = len(outcomes.unknown())
    yield (UNKNOWN, None, "no response"), unknown
    retried, undelivered = len(outcomes.retried()) - unknown, len(outcomes.undelivered())
    reason = outcomes.reported
    if reason is not None:
        # One token has the status, and those behind it what follows from that.
        if reason.blames_token:
            yield (REJECTED, reason.code, reason.explanation), 1
        elif reason.retries_reported:
            yield (UNPROCESSED, reason.code, reason.explanation), 1
            retried -= 1
        elif undelivered:
            yield (UNDELIVERED, reason.code, reason.explanation), 1
            undelivered -= 1
            yield (UNDELIVERED, None, reason.explanation), undelivered
    yield (UNPROCESSED, None, "not sent"), retried


def _value_in(fields, name):
    # type: (Fields, bytes) -> Optional[str]
    for field in fields:
        if field[0] == name:
            return str(field[1].decode("ascii"))
    return None
