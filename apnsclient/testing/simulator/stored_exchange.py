"""Exchanges that were exported as JSON documents, and come back.

A document is not believed: it may come from another version, or be written by hand.
"""

from __future__ import absolute_import, division, print_function

import base64
import binascii
import calendar
import datetime
import re
from collections import OrderedDict, deque

import six

from ..._compat import MYPY
from .connection_facts import ConnectionFacts, TLSFacts
from .credentials import CertificateFacts, TokenFacts
from .exchange import ACCEPTED, OUTCOMES, PENDING, UNANSWERED, Exchange

if MYPY:
    from typing import Any, Deque, Dict, Iterable, List, Optional, Tuple

    Document = Dict[str, Any]

__all__ = ["StoredExchange", "read_exchanges"]

_TEXT, _NUMBER = six.string_types, six.integer_types
_KINDS = ("notification", "broadcast", "channel", "other")
_TIME = re.compile(r"^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?Z\Z")

#: Address and port of a client.
_PEER = re.compile(r"^([0-9A-Za-z.:%\[\]-]{1,100}):(\d{1,5})\Z", re.ASCII if six.PY3 else 0)
#: Whole numbers have fewer digits in binary.
_MOST_BITS = 63
#: Connections of which more requests may come.
_MOST_CONNECTIONS = 10000

#: The attributes that a document has as they are.
_TEXTS = ("method", "path", "token", "topic", "push_type", "apns_id", "collapse_id", "channel_id")
_NUMBERS = ("priority", "expiration")


class StoredExchange(Exchange):
    """An exchange as a document had it (:func:`.documents.exchange_document`).

    :param connection: :class:`.ConnectionFacts`.
    :param document: the document (dict).
    :raises ValueError: if it is none of an exchange.
    """

    # These stand in front of the properties of the base class.
    __slots__ = _TEXTS + _NUMBERS + (
        "protocol", "kind", "credential", "headers", "payload_limit", "response_headers",
        "response_body")

    def __init__(self, connection, document):
        # type: (ConnectionFacts, Document) -> None
        super(StoredExchange, self).__init__(
            0, _time(document, "time"), connection, _get(document, "stream", _NUMBER),
            _read_payload(document))
        self.outcome = _one_of(document, "outcome", OUTCOMES)
        if self.outcome == PENDING:
            # Its response is not going to come here.
            self.outcome = UNANSWERED
        response = _get(document, "response", dict) or {}
        self.status = _get(response, "status", _NUMBER)
        self.reason = _get(response, "reason", _TEXT)
        self.timestamp = _get(response, "timestamp", _NUMBER)
        self.responded = _time(response, "time") if response else None
        values = dict(
            [(name, _get(document, name, _TEXT)) for name in _TEXTS]
            + [(name, _get(document, name, _NUMBER)) for name in _NUMBERS],
            protocol=_one_of(document, "protocol", ("binary", "http2")),
            kind=_one_of(document, "kind", _KINDS), credential=_read_credential(document),
            headers=_read_headers(document), response_headers=_read_headers(response),
            payload_limit=_get(document, "limit", _NUMBER) or 0,
            response_body=(_get(response, "body", _TEXT) or u"").encode("utf-8", "replace"))
        for name, value in values.items():
            setattr(self, name, value)
        self.is_processed = self.outcome == ACCEPTED and self.kind in _KINDS[:2]

    @property
    def size(self):
        # type: () -> int
        """Bytes of memory that it takes, about."""
        return super(StoredExchange, self).size + 1000 + 200 * len(self.headers)


def read_exchanges(documents, keep=None, keep_bytes=None):
    # type: (Iterable[Document], Optional[int], Optional[int]) -> Tuple[List[StoredExchange], int]
    """Read the exchanges that documents describe. They, and their connections, have no numbers.

    What would not be kept takes no memory, however many documents there are.

    :param documents: iterable of dict.
    :param keep: how many of the last are kept, None for all.
    :param keep_bytes: how many bytes of memory those may take, None for any number.
    :return: those that are kept (list), and how many there were (int).
    :raises ValueError: if one is none of an exchange; the text begins with the name of the field.
    """
    connections = OrderedDict()  # type: OrderedDict[Any, ConnectionFacts]
    kept = deque()  # type: Deque[StoredExchange]
    size = count = 0
    for document in documents:
        exchange = _read_exchange(document, connections)
        kept.append(exchange)
        size += exchange.size
        count += 1
        while kept and (keep is not None and len(kept) > keep
                        or keep_bytes is not None and size > keep_bytes):
            size -= kept.popleft().size
    return list(kept), count


def _read_exchange(document, connections):
    # type: (Document, OrderedDict[Any, ConnectionFacts]) -> StoredExchange
    """Read an exchange, and its connection unless that is one of the last ones."""
    if not isinstance(document, dict):
        raise ValueError("it is not an object")
    service = _one_of(document, "service", ("gateway", "provider", "channels"))
    key = _get(document, "connection", _NUMBER), service
    connection = connections.get(key)
    if connection is None:
        connection = connections[key] = _read_connection(document, service)
        if len(connections) > _MOST_CONNECTIONS:
            connections.popitem(last=False)
    exchange = StoredExchange(connection, document)
    connection.request_count += 1
    connection.closed = exchange.time
    return exchange


def _read_connection(document, service):
    # type: (Document, str) -> ConnectionFacts
    tls = _get(document, "tls", dict) or {}
    found = _PEER.match(_get(document, "peer", _TEXT) or u"")
    peer = (six.ensure_str(found.group(1).strip("[]")), int(found.group(2))) if found else ()
    credential = _read_credential(document)
    made = ConnectionFacts(
        0, 0, service, peer,
        TLSFacts(_get(tls, "version", _TEXT) or "", _get(tls, "cipher", _TEXT) or "",
                 _get(tls, "alpn", _TEXT) or "", bool(_get(tls, "resumed", bool))),
        credential if isinstance(credential, CertificateFacts) else None, _time(document, "time"))
    made.close(made.opened, "imported")
    return made


def _read_credential(document):
    # type: (Document) -> Any
    found = _get(document, "credential", dict)
    if found is None:
        return None
    if _one_of(found, "kind", ("token", "certificate")) == "token":
        return TokenFacts(_get(found, "key_id", _TEXT), _get(found, "team_id", _TEXT),
                          _optional_time(found, "issued_at"))
    return CertificateFacts(
        _get(found, "subject", _TEXT) or "", _read_texts(found, "topics"),
        _read_texts(found, "environments"), _get(found, "serial", _TEXT) or "",
        _optional_time(found, "expires"))


def _read_texts(document, name):
    # type: (Document, str) -> Tuple[str, ...]
    found = _get(document, name, list) or []
    if not all(isinstance(each, _TEXT) for each in found):
        raise ValueError("%s: expected texts" % name)
    return tuple(found)


def _read_headers(document):
    # type: (Document) -> List[Tuple[str, str]]
    rows = _get(document, "headers", list) or []
    for row in rows:
        if not isinstance(row, list) or len(row) != 2 or not all(
                isinstance(each, _TEXT) for each in row):
            raise ValueError("headers: expected pairs of name and value")
    return [(row[0], row[1]) for row in rows]


def _read_payload(document):
    # type: (Document) -> bytes
    found = _get(document, "payload_base64", _TEXT)
    if found is None:
        raise ValueError("payload_base64: it is missing")
    try:
        encoded = found.encode("ascii")
        payload = base64.b64decode(encoded)
    except (UnicodeError, TypeError, binascii.Error):
        payload = encoded = b""
    # What is not of its alphabet is left out by the decoder.
    if base64.b64encode(payload) != encoded or bool(payload) != bool(found):
        raise ValueError("payload_base64: it is not base64")
    return payload


def _get(document, name, kind):
    # type: (Document, str, Any) -> Any
    """Return a value of a type, or None if it is null or missing."""
    value = document.get(name)
    if value is None or isinstance(value, kind) and (kind is not _NUMBER or _is_number(value)):
        return value
    wanted = {bool: "true or false", dict: "an object", list: "an array"}.get(
        kind, "a whole number of up to 63 bits" if kind is _NUMBER else "a text")
    raise ValueError("%s: expected %s" % (name, wanted))


def _is_number(value):
    # type: (Any) -> bool
    return not isinstance(value, bool) and value.bit_length() <= _MOST_BITS


def _one_of(document, name, values):
    # type: (Document, str, Tuple[str, ...]) -> str
    value = document.get(name)
    if value not in values:
        raise ValueError("%s: expected one of %s" % (name, ", ".join(values)))
    return str(value)


def _optional_time(document, name):
    # type: (Document, str) -> Optional[float]
    return None if document.get(name) is None else _time(document, name)


def _time(document, name):
    # type: (Document, str) -> float
    """Return a time as seconds since 1970, to the millisecond."""
    value = _get(document, name, _TEXT)
    found = _TIME.match(value or "")
    if found is None:
        raise ValueError("%s: expected a time such as 2026-12-01T09:30:00.000Z" % name)
    year, month, day, hour, minute, second = [int(part) for part in found.groups()[:6]]
    try:
        moment = datetime.datetime(year, month, day, hour, minute, second)
    except ValueError:
        raise ValueError("%s: there is no such time" % name)
    return calendar.timegm(moment.timetuple()) + round(float(found.group(7) or 0), 3)
