"""What all kinds of notifications have in common."""

from typing import Any, Dict, NamedTuple, Optional

from .._json import encode_json
from ..topics import with_suffix
from ._checks import MOMENT, NONE, Moment, timestamp_of
from ._kinds import Priority, PushType

__all__ = ["HEADERS", "MAX_BROADCAST_SIZE", "MAX_PAYLOAD_SIZE", "MAX_VOIP_SIZE",
           "BaseNotification", "RequestParts"]

_HOME = "apnsclient.models"

#: Most bytes of a payload (Apple, *Generating a remote notification*).
MAX_PAYLOAD_SIZE = 4096
#: Most bytes of the payload of push type ``voip``.
MAX_VOIP_SIZE = 5120
#: Most bytes of a payload for a channel (Apple, *Sending broadcast push notification requests to
#: APNs*).
MAX_BROADCAST_SIZE = 5120

#: The types of the fields that are sent as headers, for ``check_types()``.
HEADERS = (("priority", (NONE, int)), ("expiration", (NONE,) + MOMENT),
           ("collapse_id", (NONE, str)))


class RequestParts(NamedTuple):
    """What a request has of a notification; None is left to the client.

    :ivar payload: the payload as JSON text in UTF-8 (bytes).
    :ivar push_type: such as ``"alert"`` (str).
    :ivar priority: 10, 5 or 1 (int); a background notification always has one.
    :ivar expiration: seconds since 1970; 0 means that it is not to be stored (int).
    :ivar collapse_id: notifications with the same one replace each other (str).
    """

    payload: bytes
    push_type: str
    priority: Optional[int]
    expiration: Optional[int]
    collapse_id: Optional[str]


class BaseNotification:
    """The base class of all notifications.

    A subclass has the fields ``push_type`` (:class:`PushType`), ``priority`` (:class:`Priority`,
    or int), ``expiration`` (seconds since 1970, ``datetime``, or ``timedelta`` from the time of
    sending) and ``collapse_id`` (str), of which the last three may be None, and ``get_dict()``.
    """

    __module__ = _HOME

    push_type: PushType
    priority: Optional[int]
    expiration: Optional[Moment]
    collapse_id: Optional[str]

    def get_dict(self) -> Dict[str, Any]:
        """Return the payload with Apple's keys (dict)."""
        raise NotImplementedError

    @property
    def max_size(self) -> int:
        """Most bytes that Apple takes as the payload, if it is sent to a device (int)."""
        return MAX_VOIP_SIZE if self.push_type is PushType.voip else MAX_PAYLOAD_SIZE

    @property
    def default_priority(self) -> Priority:
        """The priority that is sent if the notification has none (:class:`Priority`).

        Apple rejects background notifications of priority 10, and takes that for all others if no
        priority is sent.
        """
        if self.push_type is PushType.background:
            return Priority.normal
        return Priority.immediately

    def topic_for(self, bundle_id: str) -> str:
        """Return the topic that the notification is sent to.

        :param bundle_id: bundle identifier of the application (str). If it has the suffix of a push
            type already, it is the topic.
        """
        return with_suffix(bundle_id, self.push_type)

    def encode(self, max_size: Optional[int] = None) -> bytes:
        """Return the payload as it is sent: compact JSON in UTF-8 (bytes).

        :param max_size: most bytes that it may have (int); None means :attr:`max_size`. For a
            channel it is ``MAX_BROADCAST_SIZE``.
        :raises TypeError: if a value cannot be expressed in JSON.
        :raises ValueError: if it is larger; or a number or a text cannot be expressed in JSON.
        """
        payload = encode_json(self.get_dict())
        if max_size is None:
            max_size = self.max_size
        if len(payload) > max_size:
            raise ValueError(
                "the payload has %d bytes, Apple takes %d at most; shorten its texts, or send an "
                "identifier by which the application can fetch them" % (len(payload), max_size))
        return payload

    def apns_request_parts(self, is_broadcast: bool = False) -> RequestParts:
        """Return what a request has of the notification.

        The synchronous client calls this method of any object that has one.

        :param is_broadcast: whether it is sent to a channel, which may be larger (bool).
        :raises TypeError, ValueError: what :meth:`encode` raises, and ``ValueError`` if the
            expiration is not from 0 to 4 294 967 295.
        """
        priority, expiration = self.priority, self.expiration
        if priority is None and self.push_type is PushType.background:
            priority = self.default_priority
        return RequestParts(
            self.encode(MAX_BROADCAST_SIZE if is_broadcast else None),
            self.push_type.value,
            None if priority is None else int(priority),
            None if expiration is None else timestamp_of("expiration", expiration),
            self.collapse_id)
