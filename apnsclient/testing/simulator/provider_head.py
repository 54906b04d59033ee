"""The header fields of a request to the provider API, understood once for all that repeat them.

Source: Apple, *Sending notification requests to APNs*.
"""

from __future__ import absolute_import, division, print_function

import re

import six

from ..._compat import MYPY
from .provider_topics import TOKEN_TYPES, split_topic

if MYPY:
    from typing import Dict, List, Optional, Sequence, Tuple

    from ...protocols.http2.server import Request

    Field = Tuple[bytes, bytes]

__all__ = ["Head", "HeadReader", "as_text", "is_uuid"]

#: Largest payload in bytes, and that of a call.
_PAYLOAD_SIZE, _VOIP_SIZE = 4096, 5120

_PRIORITIES = {"1": 1, "5": 5, "10": 10}
_is_number = re.compile(r"^[0-9]{1,18}\Z").match
_UUID = re.compile(r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")
#: Bytes that a field takes beside its text, about.
_FIELD_SIZE = 100
#: Combinations of header fields that are kept, at most so many.
_KEPT_HEADS = 512


class Head(object):
    """The header fields of a request, apart from its path.

    :param fields: pairs of name and value (bytes).

    :ivar method: its method (bytes).
    :ivar authorization: value of that field (bytes), or None.
    :ivar names: the other fields (dict of str).
    :ivar is_repetitive: whether there is a field more than once.
    :ivar topic: value of apns-topic (str), or None; and so on for the others.
    :ivar priority: value of apns-priority (int), None without one, or if it is none.
    :ivar expiry: the same of apns-expiration.
    :ivar app: bundle identifier in the topic (str), or None.
    :ivar kind: type of push that the topic's suffix stands for (str), or None.
    :ivar needs_token: whether a push of this type takes a provider token.
    :ivar payload_size: its largest payload in bytes.
    :ivar size: bytes of the other fields, with what they cost in memory, about.
    :ivar echo: its identifier as the response has it (bytes), None if it has none that is valid.
    :ivar request_echo: the same of a request about channels.
    """

    __slots__ = ("method", "authorization", "names", "is_repetitive", "topic", "push_type",
                 "apns_id", "priority", "expiry", "collapse_id", "channel_id", "request_id",
                 "app", "kind", "needs_token", "payload_size", "size", "echo", "request_echo",
                 "_fields", "_completed")

    def __init__(self, fields):
        # type: (Sequence[Field]) -> None
        values = dict(fields)
        self._fields = fields
        self._completed = {}  # type: Dict[str, Head]
        self.method = values.get(b":method", b"")
        self.authorization = values.get(b"authorization")
        self.names = names = {as_text(name): as_text(value) for name, value in fields
                              if name != b"authorization"}
        self.is_repetitive = len(values) != len(fields)
        self.topic = topic = names.get("apns-topic")
        self.push_type = names.get("apns-push-type")
        self.apns_id = names.get("apns-id")
        self.collapse_id = names.get("apns-collapse-id")
        self.channel_id = names.get("apns-channel-id")
        self.request_id = names.get("apns-request-id")
        self.priority = _PRIORITIES.get(names.get("apns-priority", ""))
        expiration = names.get("apns-expiration", "")
        self.expiry = int(expiration) if _is_number(expiration) else None
        self.app = self.kind = None  # type: Optional[str]
        if topic is not None:
            self.app, self.kind = split_topic(topic)
        self.payload_size = (
            _VOIP_SIZE if "voip" in (self.push_type, self.kind) else _PAYLOAD_SIZE)
        self.size = sum([_FIELD_SIZE + len(name) + len(value) for name, value in fields])
        self.echo = _echo_of(self.apns_id) if self.apns_id else None
        self.request_echo = _echo_of(self.request_id) if self.request_id else None
        self.needs_token = self.push_type in TOKEN_TYPES or self.kind in TOKEN_TYPES

    def items(self):
        # type: () -> List[Tuple[str, str]]
        """Return the fields in order, apart from the authorization, as text."""
        return [(as_text(name), as_text(value)) for name, value in self._fields
                if name != b"authorization"]

    def complete(self, topic):
        # type: (str) -> Head
        """Return the same header with a topic, for one that has none."""
        completed = self._completed.get(topic)
        if completed is None:
            field = (b"apns-topic", six.ensure_binary(topic))
            completed = self._completed[topic] = Head(tuple(self._fields) + (field,))
        return completed


class HeadReader(object):
    """Reads the header fields of requests, on all connections: most of them repeat one another."""

    def __init__(self):
        # type: () -> None
        self._heads = {}  # type: Dict[Tuple[Field, ...], Head]

    def read(self, request):
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


def _echo_of(identifier):
    # type: (str) -> Optional[bytes]
    return six.ensure_binary(identifier) if is_uuid(identifier) else None


def is_uuid(text):
    # type: (str) -> bool
    """Return True if a text is a UUID in groups; upper case is not canonical, but is taken."""
    return _UUID.match(text) is not None


def as_text(value):
    # type: (bytes) -> str
    """Return bytes of a header as str."""
    return value if six.PY2 else value.decode("latin-1")
