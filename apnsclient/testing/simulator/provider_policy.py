"""What Apple's provider API answers to each request. No socket, no thread.

What it has against the header of a push is in :mod:`.provider_rules`.
"""

from __future__ import absolute_import, division, print_function

from binascii import Error as BinasciiError
from binascii import unhexlify
from collections import namedtuple

from ..._compat import MYPY
from .provider_head import Head, as_text
from .provider_reasons import STATUSES

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

    from ...protocols.http2.server import Request
    from .devices import Devices
    from .provider_head import Field

__all__ = ["CertificateCaller", "ProviderPolicy", "Push", "Response", "Verdict", "device_of",
           "refusal"]

_DEVICE_PATH = b"/3/device/"
#: Combinations of header fields that are kept, at most so many.
_KEPT_HEADS = 512

#: What is said to a request: HTTP status, reason (None for success), time in seconds since 1970
#: (None without one), what was accepted (:class:`Push`, None if nothing was), and :class:`Response`
#: where the response is not one to a push for a device.
Verdict = namedtuple("Verdict", "status reason timestamp push response")

#: A response with an apns-request-id: its other fields (pairs of bytes) and, if it succeeds, body.
Response = namedtuple("Response", "fields body")


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
        headers[":path"] = as_text(self.path)
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
        self._topics = frozenset(topics)
        #: The topic of a push that names none.
        self.default_topic = topics[0] if len(self._topics) == 1 else None  # type: Optional[str]
        self._fault = None  # type: Optional[str]
        if environments and environment not in environments:
            self._fault = "BadCertificateEnvironment"

    def authenticate(self, authorization):
        # type: (Optional[bytes]) -> Optional[str]
        """Return the reason against who calls; see :class:`.tokens.TokenCaller`."""
        return self._fault

    def allows(self, topic):
        # type: (str) -> bool
        """Return True if the certificate is for a topic."""
        return not self._topics or topic in self._topics

    def judge(self, head):
        # type: (Head) -> Optional[str]
        """Decide about a push to a device; see :meth:`.tokens.TokenCaller.judge`."""
        if self._fault is not None:
            return self._fault
        if head.needs_token:
            return "TopicDisallowed"
        if head.topic is None:
            return "MissingTopic" if self._topics else None
        return None if self.allows(head.topic) else "TopicDisallowed"


class ProviderPolicy(object):
    """What is said to requests, on all connections.

    :param devices: registry of devices (:class:`.devices.Devices`).
    :param judge_other: decides about requests that are not for a device, like :meth:`judge`.
    """

    def __init__(self, devices, judge_other):
        # type: (Devices, Callable[[Request, bytes, Head, Any], Verdict]) -> None
        self._find = devices.find_fault
        self._judge_other = judge_other
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
        judged = head
        if head.topic is None and caller.default_topic is not None:
            judged = head.complete(caller.default_topic)
        reason = caller.judge(judged) or judged.fault
        if reason is not None:
            return refusal(reason)
        size = len(request.body)
        if not 0 < size <= judged.payload_size:
            return refusal("PayloadTooLarge" if size else "PayloadEmpty")
        try:
            # Of any length: "Don't make assumptions about device token size."
            token = unhexlify(path[10:])
        except (BinasciiError, TypeError):
            return refusal("BadDeviceToken")
        if not token:
            return refusal("MissingDeviceToken")
        fault = self._find(token, judged.topic)
        if fault is not None:
            return refusal(*fault)
        return Verdict(200, None, None, Push(request.stream, token, request.body, head, path),
                       None)


def device_of(path):
    # type: (bytes) -> Optional[str]
    """Return the token in the path of a push as it came, None in any other path."""
    return as_text(path[len(_DEVICE_PATH):]) if path.startswith(_DEVICE_PATH) else None


def refusal(reason, timestamp=None):
    # type: (str, Optional[int]) -> Verdict
    """Return the verdict of a documented reason."""
    return Verdict(STATUSES[reason], reason, timestamp, None, None)
