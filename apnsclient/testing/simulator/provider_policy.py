"""What Apple's provider API answers to each request. No socket, no thread.

The header fields are those of Apple, *Sending notification requests to APNs*.
"""

from __future__ import absolute_import, division, print_function

import re
from binascii import Error as BinasciiError
from binascii import unhexlify
from collections import namedtuple

import six

from ..._compat import MYPY
from .provider_reasons import STATUSES

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

    from ...protocols.http2.server import Request
    from .devices import Devices

    Field = Tuple[bytes, bytes]

__all__ = [
    "CertificateCaller", "Head", "ProviderPolicy", "Push", "Reply", "Verdict", "refusal"]

#: Types of a push, with the largest payload of each in bytes.
_PAYLOAD_SIZES = dict.fromkeys([
    "alert", "background", "complication", "controls", "fileprovider", "liveactivity", "location",
    "mdm", "pushtotalk", "widgets"], 4096)
_PAYLOAD_SIZES["voip"] = 5120
PAYLOAD_SIZE = 4096

_PRIORITIES = {b"1": 1, b"5": 5, b"10": 10}
_COLLAPSE_SIZE = 64
_DEVICE_PATH = b"/3/device/"
_UUID = re.compile(br"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")
_TOPIC = re.compile(br"^[0-9A-Za-z.-]{1,255}\Z")
_NUMBER = re.compile(br"^[0-9]{1,18}\Z")
#: Combinations of header fields that are kept, at most so many.
_KEPT_HEADS = 512

#: What is said to a request: HTTP status, reason (None for success), time in seconds since 1970
#: (None without one), what was accepted (:class:`Push`, None if nothing was), and :class:`Reply`
#: where the reply is not one to a push for a device.
Verdict = namedtuple("Verdict", "status reason timestamp push reply")

#: A reply that has an apns-request-id: its other fields (pairs of bytes) and, if it succeeds, body.
Reply = namedtuple("Reply", "fields body")


class Head(object):
    """The header fields of a request, apart from its path, as they are understood.

    :ivar method: its method (bytes).
    :ivar fault: the reason against the fields, None if there is none.
    :ivar authorization: value of that field (bytes), or None.
    :ivar topic: value of apns-topic (str), or None; and so on for the others.
    :ivar payload_size: largest payload in bytes.
    """

    __slots__ = ("method", "fault", "authorization", "topic", "push_type", "apns_id", "priority",
                 "expiry", "collapse_id", "channel_id", "request_id", "payload_size", "names")

    def __init__(self, fields):
        # type: (Sequence[Field]) -> None
        values = dict(fields)
        self.method = values.get(b":method", b"")
        self.authorization = values.get(b"authorization")
        self.names = {_text(name): _text(value) for name, value in fields
                      if name != b"authorization"}
        self.topic = self.names.get("apns-topic")
        self.push_type = self.names.get("apns-push-type")
        self.apns_id = self.names.get("apns-id")
        self.collapse_id = self.names.get("apns-collapse-id")
        self.channel_id = self.names.get("apns-channel-id")
        self.request_id = self.names.get("apns-request-id")
        self.priority = _PRIORITIES.get(values.get(b"apns-priority", b""))
        expiration = values.get(b"apns-expiration")
        self.expiry = int(expiration) if expiration and _NUMBER.match(expiration) else None
        self.payload_size = _PAYLOAD_SIZES.get(self.push_type or "", PAYLOAD_SIZE)
        self.fault = _fault_of(fields, values, self)


def _fault_of(fields, values, head):
    # type: (Sequence[Field], Dict[bytes, bytes], Head) -> Optional[str]
    if len(values) != len(fields):
        return "DuplicateHeaders"
    for name, pattern, reason in ((b"apns-id", _UUID, "BadMessageId"),
                                  (b"apns-expiration", _NUMBER, "BadExpirationDate"),
                                  (b"apns-topic", _TOPIC, "BadTopic")):
        value = values.get(name)
        if value is not None and not pattern.match(value):
            return reason
    if b"apns-priority" in values and head.priority is None:
        return "BadPriority"
    if len(values.get(b"apns-collapse-id", b"")) > _COLLAPSE_SIZE:
        return "BadCollapseId"
    if head.push_type is not None and head.push_type not in _PAYLOAD_SIZES:
        return "InvalidPushType"
    # "Always use priority 5. Using priority 10 is an error."
    if head.push_type == "background" and head.priority == 10:
        return "BadPriority"
    return None


class Push(namedtuple("Push", "identifier token payload head path")):
    """A notification that was accepted: stream, raw token, payload, :class:`Head` and path."""

    __slots__ = ()

    @property
    def priority(self):
        # type: () -> Optional[int]
        return self.head.priority

    @property
    def expiry(self):
        # type: () -> Optional[int]
        return self.head.expiry

    @property
    def extra(self):
        # type: () -> Tuple[Any, ...]
        """The fields that only this half of the simulator has."""
        head = self.head
        headers = dict(head.names)
        headers[":path"] = _text(self.path)
        return head.topic, head.push_type, head.apns_id, head.collapse_id, headers


class CertificateCaller(object):
    """Who calls on a connection with a client certificate. Its tokens are ignored, as by Apple.

    :param topics: topics that the certificate names (sequence of str); none of them allows all.
    :param environments: environments that it names, likewise.
    :param environment: ``"sandbox"`` or ``"production"``, which this is.
    """

    #: Nothing is to be waited for: the handshake proved it.
    is_proven = True

    def __init__(self, topics, environments, environment):
        # type: (Sequence[str], Sequence[str], str) -> None
        self._topics = topics
        self._fault = None  # type: Optional[str]
        if environments and environment not in environments:
            self._fault = "BadCertificateEnvironment"

    def judge(self, authorization, topic):
        # type: (Optional[bytes], Optional[str]) -> Optional[str]
        """Decide about a request; see :meth:`.tokens.TokenCaller.judge`."""
        if self._fault or not self._topics:
            return self._fault
        if topic is None:
            return "MissingTopic" if len(self._topics) > 1 else None
        return None if topic in self._topics else "TopicDisallowed"


class ProviderPolicy(object):
    """What is said to requests, on all connections.

    :param devices: registry of devices (:class:`.devices.Devices`).
    :param token_size: size of a device token in bytes, None for any.
    :param judge_other: decides about requests that are not for a device, like :meth:`judge`.
    """

    def __init__(self, devices, token_size, judge_other):
        # type: (Devices, Optional[int], Callable[[Request, bytes, Head, Any], Verdict]) -> None
        self._find = devices.find_fault
        self._judge_other = judge_other
        self._token_size = token_size
        self._heads = {}  # type: Dict[Tuple[Field, ...], Head]

    def read_head(self, request):
        # type: (Request) -> Tuple[bytes, Head]
        """Return the path of a request and its other fields."""
        path, rest = b"", []  # type: Tuple[bytes, List[Field]]
        for field in request.fields:
            if field[0] == b":path":
                path = field[1]
            elif field[0] != b"content-length":
                rest.append(field)
        key = tuple(rest)
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _KEPT_HEADS:
                self._heads.clear()
            head = self._heads[key] = Head(rest)
        return path, head

    def judge(self, request, path, head, caller):
        # type: (Request, bytes, Head, Any) -> Verdict
        """Decide about a request.

        :param caller: :class:`CertificateCaller` or :class:`.tokens.TokenCaller`.
        """
        if path[:10] != _DEVICE_PATH:
            return self._judge_other(request, path, head, caller)
        if head.method != b"POST":
            return refusal("MethodNotAllowed")
        reason = caller.judge(head.authorization, head.topic) or head.fault
        if reason is not None:
            return refusal(reason)
        size = len(request.body)
        if not 0 < size <= head.payload_size:
            return refusal("PayloadTooLarge" if size else "PayloadEmpty")
        token = self._read_token(path[10:])
        if not token:
            return refusal("BadDeviceToken" if token is None else "MissingDeviceToken")
        fault = self._find(token)
        if fault is not None:
            return refusal(*fault)
        return Verdict(200, None, None, Push(request.stream, token, request.body, head, path),
                       None)

    def _read_token(self, digits):
        # type: (bytes) -> Optional[bytes]
        """Return a token as raw bytes, None if it cannot be one."""
        try:
            token = unhexlify(digits)
        except (BinasciiError, TypeError):
            return None
        if token and self._token_size is not None and len(token) != self._token_size:
            return None
        return token


def refusal(reason, timestamp=None):
    # type: (str, Optional[int]) -> Verdict
    """Return the verdict of a documented reason."""
    return Verdict(STATUSES[reason], reason, timestamp, None, None)


def _text(value):
    # type: (bytes) -> str
    return six.ensure_str(value, "latin-1") if not six.PY2 else value
