"""What became of the tokens of a message, or of a campaign, as numbers.

Counts travel through the broker and the result back-end, so they are plain dicts of JSON.

Invariant: when a message has ended, each of its tokens is in exactly one of ``accepted``, ``gone``,
``rejected``, ``expired`` and ``dropped``.
"""

from typing import Any, Dict, Iterable, Mapping, TypedDict

__all__ = ["Counts", "add_counts", "count", "settled"]


class Counts(TypedDict):
    """How many tokens ended in which way."""

    #: How many there are.
    tokens: int
    #: Apple has taken the notification.
    accepted: int
    #: Apple has declared the token dead.
    gone: int
    #: Apple would reject it again, by Apple's reason.
    rejected: Dict[str, int]
    #: It was not sent by the time at which the message expires.
    expired: int
    #: It may have got the notification, and was not sent to again, as the policy says.
    dropped: int
    #: How often a token that may have got the notification was sent to again.
    resent: int
    #: How many tasks of a campaign ended with an exception, or without a result.
    failed_chunks: int


_NUMBERS = ("tokens", "accepted", "gone", "expired", "dropped", "resent", "failed_chunks")


def count(tokens: int = 0, accepted: int = 0, gone: int = 0, expired: int = 0, dropped: int = 0,
          resent: int = 0, failed_chunks: int = 0, rejected: Iterable[str] = ()) -> Counts:
    """Return counts.

    :param rejected: the reason of each token that was rejected; the others are fields.
    """
    reasons: Dict[str, int] = {}
    for reason in rejected:
        reasons[reason] = reasons.get(reason, 0) + 1
    return {"tokens": tokens, "accepted": accepted, "gone": gone, "rejected": reasons,
            "expired": expired, "dropped": dropped, "resent": resent,
            "failed_chunks": failed_chunks}


def add_counts(one: Mapping[str, Any], other: Mapping[str, Any]) -> Counts:
    """Return the sum of two counts; what one of them lacks is 0."""
    numbers: Dict[str, Any] = {
        name: int(one.get(name, 0)) + int(other.get(name, 0)) for name in _NUMBERS}
    total = count(**numbers)
    for counts in (one, other):
        for reason, number in counts.get("rejected", {}).items():
            total["rejected"][reason] = total["rejected"].get(reason, 0) + number
    return total


def settled(counts: Mapping[str, Any]) -> int:
    """Return how many tokens have ended, in whichever way."""
    return (counts["accepted"] + counts["gone"] + counts["expired"] + counts["dropped"]
            + sum(counts["rejected"].values()))
