"""The exceptions of the asynchronous client: one class for each thing that a caller can act on.

All are an :class:`APNSError`, which is also an :class:`apnsclient.errors.APNsError`. Each says in
:attr:`~APNSError.kind` what is known about the notification.

There is a class for each reason that Apple documents, so that a program catches what it can act
on::

    try:
        await client.send_notification(token, notification)
    except errors.Unregistered as error:
        forget(token, error.timestamp)
    except errors.ResponseError as error:
        log.warning("not sent: %s", error)

Sources: Apple, *Handling notification responses from APNs*, and for the reasons that only requests
about channels have, *Handling error responses from Apple Push Notification service*. What a reason
means for the notification is decided by the table in :mod:`apnsclient.reasons`.
"""

import asyncio
import datetime
import enum
import functools
import sys
from typing import Any, Dict, Optional, Tuple, Type, Union

from .. import errors as _errors
from ..reasons import REJECTED, REQUEST, RESPONSES, Reason, reason_of_response

__all__ = [
    "APNSError", "BadCertificate", "BadCertificateEnvironment", "BadChannelId", "BadCollapseId",
    "BadDeviceToken", "BadEnvironmentKeyIdInToken", "BadEnvironmentKeyInToken", "BadExpirationDate",
    "BadMessageId", "BadPath", "BadPriority", "BadRequestParams", "BadRequestPayload", "BadTopic",
    "Blocked", "CODES", "CannotCreateChannelConfig", "ChannelNotRegistered", "Closed",
    "DeviceTokenNotForTopic", "DuplicateHeaders", "ExpiredProviderToken", "ExpiredToken",
    "FeatureNotEnabled", "Forbidden", "FormatError", "IdleTimeout", "InternalServerError",
    "InvalidProviderToken", "InvalidPushType", "Kind", "MethodNotAllowed", "MissingChannelId",
    "MissingDeviceToken", "MissingProviderToken", "MissingPushType", "MissingTopic", "PayloadEmpty",
    "PayloadTooLarge", "ResponseError", "ResponseTooLarge", "ServiceUnavailable", "Shutdown",
    "SimulatorError", "StreamReset", "Timeout", "TooManyProviderTokenUpdates", "TooManyRequests",
    "TopicDisallowed", "TopicMismatch", "UnknownResponseError", "Unregistered",
    "UnrelatedKeyIdInToken", "create", "get",
]


class Kind(str, enum.Enum):
    """What is known about a notification; the same as in the result of the synchronous client."""

    #: Apple took it.
    accepted = "accepted"
    #: Apple rejected it, and would reject it again.
    rejected = "rejected"
    #: It is proven not to have been processed, or Apple asks to send it again later. Send it again.
    unprocessed = "unprocessed"
    #: It was written, and there was no response. If it is sent again, a device may get it twice.
    unknown = "unknown"
    #: Nothing was sent, and would be rejected if it were: because of the notification itself, or
    #: because of the certificate or provider token.
    undelivered = "undelivered"


class APNSError(_errors.APNsError):
    """Base class of the exceptions of the asynchronous client.

    :param problem: what happened (str).
    :param remedy: what to do about it: a key of :data:`apnsclient.errors.REMEDIES` (str), or None.
    :param kind: what is known about the notification (:class:`Kind`), or None for what the class
        has.
    """

    #: What is known about the notification (:class:`Kind`). ``accepted`` does not occur.
    kind: Kind = Kind.unknown

    def __init__(self, problem: str = "", remedy: Optional[str] = None, *,
                 kind: Optional[Kind] = None) -> None:
        super().__init__(problem, remedy)
        if kind is not None:
            self.kind = kind


class Blocked(APNSError):
    """No request can be written now, and there is no more room to wait. Nothing was sent."""

    kind = Kind.unprocessed


class Closed(APNSError):
    """The connection, the pool or the client is closed, or was lost before the response."""


if sys.version_info >= (3, 11):
    class _TimeoutBase(_errors.Timeout):
        """TimeoutError, asyncio.TimeoutError and socket.timeout are one class."""
else:
    class _TimeoutBase(_errors.Timeout, asyncio.TimeoutError, TimeoutError):
        """They are up to three classes, and a caller may catch any of them."""


class Timeout(APNSError, _TimeoutBase):
    """There was no response in time: before the deadline, or within ``read_timeout``.

    It is caught by ``except TimeoutError``, ``asyncio.TimeoutError``, ``socket.timeout`` and
    :class:`apnsclient.errors.Timeout`, too, on every Python. The kind is ``unprocessed`` if nothing
    was sent.
    """


class FormatError(APNSError):
    """A response that is not one of HTTP, or not one that this client can read."""


class ResponseTooLarge(APNSError):
    """A response with more content than Apple's have."""


class SimulatorError(APNSError):
    """The simulator of Xcode did not take the notification, or is not installed."""

    kind = Kind.unprocessed


class StreamReset(APNSError):
    """The server reset the stream of the request instead of sending a response."""


class ResponseError(APNSError):
    """A response other than 200: the base class of one class for each reason.

    :param reason: Apple's name of the reason (str); None for the class's own, if it has one.
    :param apns_id: identifier of the notification (str), or None.
    :param row: row of the response in the table of reasons (:class:`~apnsclient.reasons.Reason`);
        None for the one that the table has for the reason.
    :param timestamp: since when the token has been dead (aware datetime), or None.
    :param unique_id: identifier in Apple's Delivery Log (str), or None.
    :param kind: what is known about the notification (:class:`Kind`); None for what the row says:
        ``unprocessed`` if it may be sent again, ``rejected`` otherwise.
    :ivar reason: Apple's name of the reason (str); None if the response had none.
    :ivar apns_id: identifier of the notification (str), or None.
    :ivar unique_id: identifier in Apple's Delivery Log, which the sandbox gives (str), or None.
    :ivar status: HTTP status (int); None if it is not known.
    :ivar timestamp: since when the token has been dead, with status 410 (aware datetime), or None.
    :ivar retry_after: seconds to wait before it is sent again (int); None if it may be sent at
        once, or would be rejected again.
    """

    #: Name of the reason that the class is for (str). :class:`UnknownResponseError` is for many,
    #: and its instances have here what they have as ``reason``, or "".
    codename: str = ""

    def __init__(self, reason: Optional[str] = None, apns_id: Optional[str] = None, *,
                 row: Optional[Reason] = None, timestamp: Optional[datetime.datetime] = None,
                 unique_id: Optional[str] = None, kind: Optional[Kind] = None) -> None:
        reason = reason or self.codename or None
        row = row or RESPONSES.get(reason or "") or _row_without_status(reason)
        if kind is None:
            kind = Kind.unprocessed if row.retries_reported else Kind.rejected
        super().__init__(_text(type(self).__doc__, row), kind=kind)
        self.reason = reason
        self.apns_id = apns_id
        self.unique_id = unique_id
        self.status: Optional[int] = row.status
        self.timestamp = timestamp
        self.retry_after: Optional[int] = row.retry_after

    @property
    def is_gone(self) -> bool:
        """True if Apple has declared the token dead: status 410, with the time since when.

        Delete the token then, unless the device has registered it again since. No other error is a
        reason to delete one.
        """
        return is_gone(self.status, self.reason, self.timestamp)

    def __reduce__(self) -> Tuple[Any, ...]:
        # A class that create() made is found by its name, in every process.
        cls = type(self)
        known = self.codename if CODES.get(self.codename) is cls else cls
        return _restore, (known, self.args, dict(vars(self)))


class UnknownResponseError(ResponseError):
    """A reason that this version does not know. Look it up in Apple's documentation."""

    def __init__(self, reason: Optional[str] = None, apns_id: Optional[str] = None,
                 **values: Any) -> None:
        super().__init__(reason, apns_id, **values)
        self.codename = self.codename or self.reason or ""


# Reasons of notifications. The docstrings are the texts of the exceptions, after the reason.


class BadCertificate(ResponseError):
    """The client certificate is invalid. Check that it is one for push notifications, and valid."""

    codename = "BadCertificate"


class BadCertificateEnvironment(ResponseError):
    """The client certificate is for the other environment. Send to the one that it is for."""

    codename = "BadCertificateEnvironment"


class BadCollapseId(ResponseError):
    """The collapse identifier is too long. Give one of at most 64 bytes."""

    codename = "BadCollapseId"


class BadDeviceToken(ResponseError):
    """The device token is invalid, or of the other environment. Before it is deleted, check that it
    is sent to the right one of sandbox and production."""

    codename = "BadDeviceToken"


class BadEnvironmentKeyIdInToken(ResponseError):
    """The key of the provider token is for the other environment. Use a key for this one. This is
    how Apple's page spells it; see BadEnvironmentKeyInToken."""

    codename = "BadEnvironmentKeyIdInToken"


class BadEnvironmentKeyInToken(ResponseError):
    """The key of the provider token is for the other environment. Use a key for this one."""

    codename = "BadEnvironmentKeyInToken"


class BadExpirationDate(ResponseError):
    """The expiration is invalid. Give a time in seconds since 1970, or 0 to have nothing stored."""

    codename = "BadExpirationDate"


class BadMessageId(ResponseError):
    """The apns-id is invalid. Give a UUID, or none: Apple makes one then."""

    codename = "BadMessageId"


class BadPriority(ResponseError):
    """The priority is invalid. Give 10, 5 or 1; a background notification has to have 5."""

    codename = "BadPriority"


class BadTopic(ResponseError):
    """The topic is invalid. Give the bundle identifier, with the suffix of the push type."""

    codename = "BadTopic"


class DeviceTokenNotForTopic(ResponseError):
    """The device token is not for this topic. Check that it is a token of this application and of
    this environment, and that the topic has the suffix of the push type."""

    codename = "DeviceTokenNotForTopic"


class DuplicateHeaders(ResponseError):
    """A header field was sent more than once. Check the header that the program adds."""

    codename = "DuplicateHeaders"


class IdleTimeout(ResponseError):
    """The connection had been idle for too long. Send the notification again."""

    codename = "IdleTimeout"


class InvalidPushType(ResponseError):
    """The push type is invalid, or does not suit the topic or the payload. Give the right one."""

    codename = "InvalidPushType"


class MissingDeviceToken(ResponseError):
    """The request had no device token. Give one."""

    codename = "MissingDeviceToken"


class MissingTopic(ResponseError):
    """The request had no topic. Give one: it is needed with a provider token, and with a
    certificate for several topics."""

    codename = "MissingTopic"


class PayloadEmpty(ResponseError):
    """The notification had no payload. Give one."""

    codename = "PayloadEmpty"


class TopicDisallowed(ResponseError):
    """The topic is not allowed for this certificate or provider token. Check that it belongs to the
    same team, and that the topic has the suffix of the push type."""

    codename = "TopicDisallowed"


class ExpiredProviderToken(ResponseError):
    """The provider token was made more than an hour ago, although it has been renewed. Check this
    machine's clock."""

    codename = "ExpiredProviderToken"


class Forbidden(ResponseError):
    """Apple forbids what was asked for. Check what the certificate or the key is for."""

    codename = "Forbidden"


class InvalidProviderToken(ResponseError):
    """The provider token or its signature is invalid. Check the key, its identifier and that of the
    team."""

    codename = "InvalidProviderToken"


class MissingProviderToken(ResponseError):
    """There was neither a certificate nor a provider token. Give one of the two."""

    codename = "MissingProviderToken"


class TopicMismatch(ResponseError):
    """The certificate or key is for another bundle identifier. Use the one for this application."""

    codename = "TopicMismatch"


class UnrelatedKeyIdInToken(ResponseError):
    """The connection began with an unrelated key. Use one client for each key."""

    codename = "UnrelatedKeyIdInToken"


class BadPath(ResponseError):
    """The path of the request is invalid. Check that the device token is hexadecimal."""

    codename = "BadPath"


class MethodNotAllowed(ResponseError):
    """The method of the request is invalid. Notifications are sent with POST."""

    codename = "MethodNotAllowed"


class ExpiredToken(ResponseError):
    """The device token has expired. Delete it, unless it was registered again since the
    timestamp."""

    codename = "ExpiredToken"


class Unregistered(ResponseError):
    """The device token is no longer active for the topic. Delete it, unless it was registered again
    since the timestamp."""

    codename = "Unregistered"


class PayloadTooLarge(ResponseError):
    """The payload is too large. Give one of at most 4096 bytes, 5120 for voip and broadcasts."""

    codename = "PayloadTooLarge"


class TooManyProviderTokenUpdates(ResponseError):
    """The provider token was changed too often. Use one ProviderToken for all that a program sends,
    and wait for 20 minutes."""

    codename = "TooManyProviderTokenUpdates"


class TooManyRequests(ResponseError):
    """Too many notifications were sent to the same device token. Send this one again later."""

    codename = "TooManyRequests"


class InternalServerError(ResponseError):
    """Apple's server failed. Send the notification again after 15 minutes."""

    codename = "InternalServerError"


class ServiceUnavailable(ResponseError):
    """Apple's service is unavailable. Send the notification again after 15 minutes."""

    codename = "ServiceUnavailable"


class Shutdown(ResponseError):
    """Apple's server is shutting down. Send the notification again after 15 minutes."""

    codename = "Shutdown"


# Reasons that only broadcasts and requests about channels have.


class BadChannelId(ResponseError):
    """The identifier of the channel is invalid. Give the one that creating it returned."""

    codename = "BadChannelId"


class BadRequestParams(ResponseError):
    """The request is invalid. Check the bundle identifier and the identifier of the channel."""

    codename = "BadRequestParams"


class BadRequestPayload(ResponseError):
    """The payload is invalid. Give one of a Live Activity."""

    codename = "BadRequestPayload"


class CannotCreateChannelConfig(ResponseError):
    """No channel can be created. Delete some: an application has 10 000 in an environment at
    most."""

    codename = "CannotCreateChannelConfig"


class ChannelNotRegistered(ResponseError):
    """There is no such channel. Check that it was not deleted, and that it is of this application
    and this environment."""

    codename = "ChannelNotRegistered"


class FeatureNotEnabled(ResponseError):
    """Broadcasts are not enabled for the application. Enable them in Apple's developer account,
    with its capability for push notifications."""

    codename = "FeatureNotEnabled"


class MissingChannelId(ResponseError):
    """The request named no channel. Give the identifier that creating it returned."""

    codename = "MissingChannelId"


class MissingPushType(ResponseError):
    """The request had no push type. Give the one of Live Activities."""

    codename = "MissingPushType"


#: ``{codename: class}`` of all reasons that Apple documents, and those that :func:`create` added.
CODES: Dict[str, Type[ResponseError]] = {cls.codename: cls for cls in (
    BadCertificate, BadCertificateEnvironment, BadChannelId, BadCollapseId, BadDeviceToken,
    BadEnvironmentKeyIdInToken, BadEnvironmentKeyInToken, BadExpirationDate, BadMessageId, BadPath,
    BadPriority, BadRequestParams, BadRequestPayload, BadTopic, CannotCreateChannelConfig,
    ChannelNotRegistered, DeviceTokenNotForTopic, DuplicateHeaders, ExpiredProviderToken,
    ExpiredToken, FeatureNotEnabled, Forbidden, IdleTimeout, InternalServerError,
    InvalidProviderToken, InvalidPushType, MethodNotAllowed, MissingChannelId, MissingDeviceToken,
    MissingProviderToken, MissingPushType, MissingTopic, PayloadEmpty, PayloadTooLarge,
    ServiceUnavailable, Shutdown, TooManyProviderTokenUpdates, TooManyRequests, TopicDisallowed,
    TopicMismatch, Unregistered, UnrelatedKeyIdInToken)}


def create(codename: str) -> Type[ResponseError]:
    """Return the class for a reason, and make one if there is none yet.

    For a program that acts on a reason which this version does not know::

        QuotaExceeded = errors.create("QuotaExceeded")

    From then on the reason is raised as this class, which is an :class:`UnknownResponseError`, and
    it is in :data:`CODES`. A later version may have a class of its own for it, and returns that.

    :param codename: Apple's name of the reason (str).
    :raises TypeError: if it is not a str.
    :raises ValueError: if it is empty.
    """
    if not isinstance(codename, str):
        raise TypeError("codename is of type %s, expected str" % type(codename).__name__)
    if not codename:
        raise ValueError("codename is empty, expected the name of a reason")
    if codename not in CODES:
        CODES[codename] = type(codename, (UnknownResponseError,), {
            "__doc__": UnknownResponseError.__doc__, "__module__": __name__, "codename": codename})
    return CODES[codename]


def get(reason: Optional[str], apns_id: Optional[str] = None, **values: Any) -> ResponseError:
    """Return the exception for a reason.

    :param reason: Apple's name of the reason (str), or None if the response had none.
    :param apns_id: identifier of the notification (str), or None.
    :param values: the other arguments of :class:`ResponseError`.
    :return: an instance of the class in :data:`CODES`, or an :class:`UnknownResponseError`. No
        class is made here: a server cannot fill the memory with names.
    """
    return CODES.get(reason or "", UnknownResponseError)(reason, apns_id, **values)


def is_gone(status: Optional[int], reason: Optional[str],
            timestamp: Optional[datetime.datetime]) -> bool:
    """Return True if a response says that Apple has declared the token dead."""
    return (timestamp is not None and status is not None
            and reason_of_response(status, reason).is_gone(int(timestamp.timestamp())))


def _row_without_status(reason: Optional[str]) -> Reason:
    """Return the row for a reason of which nothing is known but that it is one."""
    return Reason(None, reason or "a response without a reason", REJECTED, REQUEST, None, reason)


@functools.lru_cache(maxsize=256)
def _text(meaning: Optional[str], row: Reason) -> str:
    """Return what happened and what to do about it.

    The text of a row that was given advice is more exact than that of the class.

    :param meaning: docstring of the class (str); None if the interpreter has dropped it.
    """
    known = RESPONSES.get(row.name or "")
    usual = row.explanation if row.name is None else row.name if known is None else (
        known.explanation)
    if meaning is None or row.explanation != usual:
        return str(row.explanation)
    return "%s: %s" % (row.name or row.explanation, " ".join(meaning.split()))


def _restore(known: Union[str, Type[ResponseError]], args: Tuple[Any, ...],
             state: Dict[str, Any]) -> ResponseError:
    """Make an exception from what was pickled."""
    cls = create(known) if isinstance(known, str) else known
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error
