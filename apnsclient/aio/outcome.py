"""What became of one notification, as a value.

``send()`` and ``send_many()`` give an :class:`Outcome` for each notification, where
``send_notification()`` returns an identifier or raises. There is exactly one for each, and its
:attr:`~Outcome.kind` says all that a program has to know in order to go on.
"""

import dataclasses
import datetime
from typing import Any, Optional

from ..outcomes import identifiers_in
from ..reasons import Reason
from .errors import APNSError, Kind, ResponseError, get, is_gone

__all__ = ["Kind", "Outcome", "accepted", "from_error", "rejected"]

#: How many characters of a token are shown.
_SHOWN = 8


def _nothing() -> None:
    """Return None: the default of an attribute that may be missing, since the class has none."""


@dataclasses.dataclass(frozen=True, repr=False)
class Outcome:
    """The outcome of one notification.

    :ivar kind: what is known about it (:class:`~apnsclient.aio.errors.Kind`).
    :ivar token: the device token, as it was given.
    :ivar notification: the notification, as it was given.
    :ivar status: HTTP status (int); None if there was no response.
    :ivar reason: Apple's name of the reason (str), or None.
    :ivar apns_id: identifier of the notification (str); None if Apple gave none.
    :ivar unique_id: identifier in Apple's Delivery Log, which the sandbox gives (str), or None.
    :ivar explanation: what happened and what to do about it (str); None if it was accepted.
    :ivar timestamp: since when the token has been dead, with status 410 (aware datetime), or None.
    :ivar retry_after: seconds to wait before it is sent again (int); None if it may be sent at
        once, or would be rejected again.
    :ivar error: what ``send_notification()`` would raise (:class:`~apnsclient.aio.errors.APNSError`
        or another exception); None if it was accepted. It does not count when outcomes are
        compared.
    """

    kind: Kind
    token: Any
    notification: Any = None
    status: Optional[int] = None
    reason: Optional[str] = None
    apns_id: Optional[str] = dataclasses.field(default_factory=_nothing)
    unique_id: Optional[str] = dataclasses.field(default_factory=_nothing)
    explanation: Optional[str] = None
    timestamp: Optional[datetime.datetime] = None
    retry_after: Optional[int] = None
    error: Optional[BaseException] = dataclasses.field(default=None, compare=False)

    def __getattr__(self, name: str) -> Any:
        # Most programs never ask for the identifiers, and to read them takes longer than the rest.
        block = vars(self).pop("_block", None) if name in ("apns_id", "unique_id") else None
        if block is None:
            raise AttributeError("%s has no attribute %r" % (type(self).__name__, name))
        values = vars(self)
        values["apns_id"], values["unique_id"] = identifiers_in(block)
        return values[name]

    @property
    def is_accepted(self) -> bool:
        """True if Apple took the notification."""
        return self.kind is Kind.accepted

    @property
    def is_gone(self) -> bool:
        """True if Apple has declared the token dead, so that it may be deleted.

        See :attr:`ResponseError.is_gone <apnsclient.aio.errors.ResponseError.is_gone>`.
        """
        return is_gone(self.status, self.reason, self.timestamp)

    def __repr__(self) -> str:
        token = self.token.decode("latin-1") if isinstance(self.token, bytes) else str(self.token)
        shown = token if len(token) <= _SHOWN else token[:_SHOWN] + "..."
        said = "" if self.error is None else ", %s" % (self.reason or self.explanation)
        return "<%s: %s, token %s%s>" % (type(self).__name__, self.kind.value, shown, said)


def accepted(token: Any, notification: Any, block: Any) -> Outcome:
    """Return the outcome of a notification that Apple took.

    :param block: header block of the response, see
        :func:`~apnsclient.outcomes.identifiers_in`.
    """
    # As Outcome(...) does, which takes four times as long.
    outcome = object.__new__(Outcome)
    values = vars(outcome)
    values["kind"] = Kind.accepted
    values["token"] = token
    values["notification"] = notification
    values["status"] = 200
    values["_block"] = block or b""
    return outcome


def rejected(token: Any, notification: Any, row: Reason, seconds: Optional[int], block: Any,
             ) -> Outcome:
    """Return the outcome of a notification that had another response.

    :param row: row of the response in the table of reasons, with advice if it has some.
    :param seconds: the time in the response, in seconds since 1970 (int), or None.
    :param block: see :func:`accepted`.
    """
    timestamp = None
    if seconds is not None:
        timestamp = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    apns_id, unique_id = identifiers_in(block)
    return from_error(token, notification, get(
        row.name, apns_id, row=row, timestamp=timestamp, unique_id=unique_id))


def from_error(token: Any, notification: Any, error: BaseException,
               kind: Optional[Kind] = None) -> Outcome:
    """Return the outcome of a notification that was not accepted.

    :param error: what ``send_notification()`` raises.
    :param kind: what is known about it (:class:`~apnsclient.aio.errors.Kind`); None for what the
        error has, and ``undelivered`` if it has nothing, as for a notification that cannot be
        encoded.
    """
    if kind is None:
        kind = error.kind if isinstance(error, APNSError) else Kind.undelivered
    text = str(error) or type(error).__name__
    if not isinstance(error, ResponseError):
        return Outcome(kind, token, notification, explanation=text, error=error)
    return Outcome(kind, token, notification, error.status, error.reason, error.apns_id,
                   error.unique_id, text, error.timestamp, error.retry_after, error)
