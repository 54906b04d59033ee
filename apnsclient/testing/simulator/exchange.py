"""One request to the simulator, and what became of it.

An exchange is written by the simulator's thread, for each request that comes; what costs time is
therefore worked out when it is asked for. It may be read by any thread.
"""

from __future__ import absolute_import, division, print_function

from binascii import hexlify

import six

from ..._compat import MYPY
from .credentials import read_token
from .provider_head import as_text

if MYPY:
    from typing import Any, List, Optional, Sequence, Tuple

    from ...protocols.binary import Notification
    from .connection_facts import ConnectionFacts
    from .provider_head import Head

__all__ = ["ACCEPTED", "DISCARDED", "Exchange", "GatewayExchange", "OUTCOMES", "PENDING",
           "ProviderExchange", "REFUSED", "REJECTED", "RESET", "UNANSWERED"]

#: No response has been sent yet.
PENDING = "pending"
#: Success: a response with status 200, or silence over the binary protocol.
ACCEPTED = "accepted"
#: A response with a reason, or an error frame.
REJECTED = "rejected"
#: RST_STREAM with REFUSED_STREAM: proven not to be processed.
REFUSED = "refused"
#: RST_STREAM with another code.
RESET = "reset"
#: Processed, and there will be no response.
UNANSWERED = "unanswered"
#: Thrown away: behind an error frame over the binary protocol, or above GOAWAY's last stream.
DISCARDED = "discarded"

OUTCOMES = (PENDING, ACCEPTED, REJECTED, REFUSED, RESET, UNANSWERED, DISCARDED)

_DEVICE_PATH, _BROADCAST_PATH, _CHANNELS_PATH = b"/3/device/", b"/4/broadcasts/", b"/1/apps/"
#: Bytes that an exchange takes beside its payload and its header, about.
_OVERHEAD = 600


class Exchange(object):
    """What both protocols have in common.

    :param number: number among all exchanges of the simulator, from 1, in order of arrival (int).
    :param time: when the request was complete, in seconds since 1970 (float).
    :param connection: :class:`.connection_facts.ConnectionFacts`.
    :param stream: number of its stream; over the binary protocol its identifier, None for
        command 0.
    :param payload: its payload (bytes).

    :ivar outcome: one of :data:`.exchange.OUTCOMES` (str).
    :ivar is_processed: True once a notification has been accepted, whatever response follows.
    :ivar status: HTTP status of the response, or status of the error frame (int), else None.
    :ivar reason: reason over HTTP/2 (str), or None.
    :ivar timestamp: time that the response names, in seconds since 1970 (int), or None.
    :ivar responded: when the response was sent, in seconds since 1970 (float), or None.
    """

    __slots__ = ("number", "time", "connection", "stream", "payload", "outcome", "is_processed",
                 "status", "reason", "timestamp", "responded")

    #: ``"http2"`` or ``"binary"``.
    protocol = ""
    #: Body of the response (bytes).
    response_body = b""

    def __init__(self, number, time, connection, stream, payload):
        # type: (int, float, ConnectionFacts, Any, bytes) -> None
        self.number = number
        self.time = time
        self.connection = connection
        self.stream = stream
        self.payload = payload
        self.outcome = PENDING
        self.is_processed = False
        self.status = None  # type: Optional[int]
        self.reason = None  # type: Optional[str]
        self.timestamp = None  # type: Optional[int]
        self.responded = None  # type: Optional[float]

    @property
    def service(self):
        # type: () -> str
        """The service that it came to, as :class:`.ConnectionFacts` has it."""
        return self.connection.service

    @property
    def kind(self):
        # type: () -> str
        """``"notification"``, ``"broadcast"``, ``"channel"`` or ``"other"``."""
        return "notification"

    @property
    def credential(self):
        # type: () -> Any
        """:class:`.TokenFacts` or :class:`.CertificateFacts`, None without any."""
        return self.connection.certificate

    @property
    def token(self):
        # type: () -> Optional[str]
        """Device token in hexadecimal, None if the request is not for a device."""
        raise NotImplementedError

    @property
    def priority(self):
        # type: () -> Optional[int]
        """Priority, None if it was not sent."""
        raise NotImplementedError

    @property
    def expiration(self):
        # type: () -> Optional[int]
        """Seconds since 1970, None if it was not sent."""
        raise NotImplementedError

    @property
    def payload_limit(self):
        # type: () -> int
        """Largest payload in bytes that is taken."""
        raise NotImplementedError

    # What the binary protocol does not have: None or empty there.

    @property
    def method(self):
        # type: () -> Optional[str]
        """Method of the request."""
        return None

    @property
    def path(self):
        # type: () -> Optional[str]
        """Path of the request."""
        return None

    @property
    def topic(self):
        # type: () -> Optional[str]
        """Topic, None if it was not sent; and so on for the others."""
        return None

    @property
    def push_type(self):
        # type: () -> Optional[str]
        """Push type."""
        return None

    @property
    def apns_id(self):
        # type: () -> Optional[str]
        """Identifier of the notification, as it was sent."""
        return None

    @property
    def collapse_id(self):
        # type: () -> Optional[str]
        """Collapse identifier."""
        return None

    @property
    def channel_id(self):
        # type: () -> Optional[str]
        """Channel that the request names, or that was made by it."""
        return None

    @property
    def headers(self):
        # type: () -> List[Tuple[str, str]]
        """Header fields in order, apart from the authorization."""
        return []

    @property
    def response_headers(self):
        # type: () -> List[Tuple[str, str]]
        """Header fields of the response, apart from its status."""
        return []

    @property
    def size(self):
        # type: () -> int
        """Bytes of memory that it takes, about."""
        return _OVERHEAD + len(self.payload)

    def __repr__(self):
        # type: () -> str
        return "<%s %d: %s %s>" % (type(self).__name__, self.number, self.outcome,
                                   self.reason or self.status or "")


class ProviderExchange(Exchange):
    """A request over HTTP/2: to the provider API, or to the channel management.

    :param path: path of the request (bytes).
    :param head: the rest of its header (:class:`.provider_head.Head`).
    """

    __slots__ = ("_path", "head", "_fields", "response_body")

    protocol = "http2"

    def __init__(self, number, time, connection, stream, payload, path, head):
        # type: (int, float, ConnectionFacts, int, bytes, bytes, Head) -> None
        super(ProviderExchange, self).__init__(number, time, connection, stream, payload)
        self._path = path
        self.head = head
        self._fields = ()  # type: Sequence[Tuple[bytes, bytes]]
        self.response_body = b""

    def respond(self, time, verdict, fields, body):
        # type: (float, Any, Sequence[Tuple[bytes, bytes]], bytes) -> None
        """Write down the response.

        :param verdict: :class:`.provider_policy.Verdict`.
        :param fields: its header apart from the status, pairs of bytes.
        """
        self.status, self.reason, self.timestamp = verdict[:3]
        self.responded, self._fields, self.response_body = time, fields, body
        # Last: whoever waits for the outcome finds the rest.
        self.outcome = ACCEPTED if self.is_success else REJECTED

    @property
    def is_success(self):
        # type: () -> bool
        """True if the response is one without a fault."""
        return self.reason is None and self.status is not None and self.status < 300

    @property
    def method(self):
        # type: () -> str
        """Method of the request."""
        return as_text(self.head.method)

    @property
    def path(self):
        # type: () -> str
        """Path of the request."""
        return as_text(self._path)

    @property
    def kind(self):
        # type: () -> str
        """What the request is, by its path."""
        path = self._path
        if path.startswith(_DEVICE_PATH):
            return "notification"
        if path.startswith(_BROADCAST_PATH):
            return "broadcast"
        return "channel" if path.startswith(_CHANNELS_PATH) else "other"

    @property
    def token(self):
        # type: () -> Optional[str]
        """Device token as it came, None in any other path than that of a notification."""
        path = self._path
        return as_text(path[10:]) if path[:10] == _DEVICE_PATH else None

    @property
    def headers(self):
        # type: () -> List[Tuple[str, str]]
        """Header fields in order, apart from the authorization."""
        return [(":path", self.path)] + self.head.items()

    @property
    def topic(self):
        # type: () -> Optional[str]
        return self.head.topic

    @property
    def push_type(self):
        # type: () -> Optional[str]
        return self.head.push_type

    @property
    def apns_id(self):
        # type: () -> Optional[str]
        return self.head.apns_id

    @property
    def collapse_id(self):
        # type: () -> Optional[str]
        return self.head.collapse_id

    @property
    def channel_id(self):
        # type: () -> Optional[str]
        """Channel that the request names, or that was made by it."""
        for name, value in self._fields:
            if name == b"apns-channel-id":
                return as_text(value)
        return self.head.channel_id

    @property
    def priority(self):
        # type: () -> Optional[int]
        return self.head.priority

    @property
    def expiration(self):
        # type: () -> Optional[int]
        return self.head.expiry

    @property
    def payload_limit(self):
        # type: () -> int
        """Largest payload in bytes that is taken."""
        return 5120 if self._path[:10] != _DEVICE_PATH else self.head.payload_size

    @property
    def credential(self):
        # type: () -> Any
        """:class:`.TokenFacts` or :class:`.CertificateFacts`, None without any."""
        if self.connection.certificate is None and self.head.authorization is not None:
            return read_token(self.head.authorization)
        return self.connection.certificate

    @property
    def response_headers(self):
        # type: () -> List[Tuple[str, str]]
        """Header fields of the response, apart from its status."""
        return [(as_text(name), as_text(value)) for name, value in self._fields]

    @property
    def size(self):
        # type: () -> int
        return _OVERHEAD + len(self.payload) + len(self._path) + self.head.size


class GatewayExchange(Exchange):
    """A notification over the binary protocol.

    :param notification: as it was parsed (:class:`apnsclient.protocols.binary.Notification`).
    :param payload_limit: largest payload in bytes that is taken.
    """

    __slots__ = ("_notification", "_payload_limit")

    protocol = "binary"

    def __init__(self, number, time, connection, notification, payload_limit):
        # type: (int, float, ConnectionFacts, Notification, int) -> None
        super(GatewayExchange, self).__init__(
            number, time, connection, notification.identifier, notification.payload or b"")
        self._notification = notification
        self._payload_limit = payload_limit

    def reject(self, time, status):
        # type: (float, int) -> None
        """Write down that the error frame is sent."""
        self.status, self.responded = status, time
        self.outcome = REJECTED

    @property
    def token(self):
        # type: () -> str
        """Device token in lower-case hexadecimal."""
        return six.ensure_str(hexlify(self._notification.token or b""))

    @property
    def priority(self):
        # type: () -> Optional[int]
        """Priority, None if it was not sent."""
        return self._notification.priority

    @property
    def expiration(self):
        # type: () -> Optional[int]
        """Seconds since 1970, None if it was not sent."""
        return self._notification.expiry

    @property
    def payload_limit(self):
        # type: () -> int
        """Largest payload in bytes that is taken."""
        return self._payload_limit
