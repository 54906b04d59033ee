"""Exchanges and connections as JSON documents: what the HTTP API and ``--json`` tell of them.

Texts that come from clients are bounded in a summary, and whole in the document of one exchange.
"""

from __future__ import absolute_import, division, print_function

import base64
import datetime
import json
import math

import six

from ..._compat import MYPY
from ...reasons import reason_of, reason_of_response
from .credentials import TokenFacts
from .exchange import ACCEPTED

if MYPY:
    from typing import Any, Dict, List, Optional, Tuple

    from .connection_facts import ConnectionFacts
    from .exchange import Exchange

__all__ = ["connection_document", "exchange_document", "exchange_summary", "read_alert",
           "read_payload", "rfc3339"]

#: Characters of a title or a text in a summary.
_MOST_CHARACTERS = 200

#: How deep a payload may be nested to be in a document other than as text.
_DEEPEST = 100

_EPOCH = datetime.datetime(1970, 1, 1)


def rfc3339(time):
    # type: (Optional[float]) -> Optional[str]
    """Return seconds since 1970 as RFC 3339 has them, in UTC and milliseconds; None for None."""
    if time is None:
        return None
    try:
        moment = _EPOCH + datetime.timedelta(milliseconds=_milliseconds(time))
    except (OverflowError, ValueError):
        return None
    return "%s.%03dZ" % (moment.replace(microsecond=0).isoformat(), moment.microsecond // 1000)


def _milliseconds(time):
    # type: (float) -> int
    """Return seconds as whole milliseconds; a time that was read from a text stays the same."""
    return int(math.floor(time * 1000 + 0.001))


def read_payload(payload):
    # type: (bytes) -> Any
    """Return what JSON there is in a payload, None if there is none, or none that can be read.

    Readers of our documents have limits as well: of what is nested very deep, and of numbers that
    are too large for a float, they can have the text.
    """
    try:
        value = json.loads(payload.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RuntimeError, MemoryError):  # RuntimeError: nested too deep.
        return None
    return value if _is_plain(value) else None


def _refuse(name):
    # type: (str) -> Any
    raise ValueError("%s is not JSON" % name)


def _is_plain(value):
    # type: (Any) -> bool
    """Return True if a value can be written as JSON again."""
    level = [value]
    for _ in range(_DEEPEST):
        if not level:
            return True
        below = []  # type: List[Any]
        for each in level:
            if isinstance(each, dict):
                below.extend(each.values())
            elif isinstance(each, list):
                below.extend(each)
            elif isinstance(each, float) and each in (float("inf"), float("-inf")):
                return False
        level = below
    return False


def read_alert(value):
    # type: (Any) -> Tuple[Optional[str], Optional[str]]
    """Return title and text of a payload, each None if it has none that is text.

    Where a text is to be looked up on the device, its key stands in its place.
    """
    aps = value.get("aps") if isinstance(value, dict) else None
    alert = aps.get("alert") if isinstance(aps, dict) else None
    if isinstance(alert, six.string_types):
        return None, alert
    if not isinstance(alert, dict):
        return None, None
    return _first_text(alert, "title", "title-loc-key"), _first_text(alert, "body", "loc-key")


def exchange_summary(exchange, page_url=None):
    # type: (Exchange, Optional[str]) -> Dict[str, Any]
    """Return the document of an exchange in a list (dict).

    :param page_url: address of its page with ``{number}`` in it, None if there is none.
    """
    title, body = read_alert(read_payload(exchange.payload))
    return {
        "number": exchange.number,
        "time": rfc3339(exchange.time),
        "protocol": exchange.protocol,
        "service": exchange.service,
        "kind": exchange.kind,
        "connection": exchange.connection.number,
        "stream": exchange.stream,
        "method": exchange.method,
        "path": exchange.path,
        "token": exchange.token,
        "topic": exchange.topic,
        "push_type": exchange.push_type,
        "priority": exchange.priority,
        "apns_id": exchange.apns_id,
        "title": _bounded(title),
        "body": _bounded(body),
        "outcome": exchange.outcome,
        "status": exchange.status,
        "reason": exchange.reason,
        "milliseconds": _milliseconds_to_response(exchange),
        "size": len(exchange.payload),
        "limit": exchange.payload_limit,
        "url": page_url and page_url.replace("{number}", str(exchange.number)),
    }


def exchange_document(exchange, page_url=None):
    # type: (Exchange, Optional[str]) -> Dict[str, Any]
    """Return everything that is known of an exchange (dict); see :func:`exchange_summary`."""
    payload, connection = exchange.payload, exchange.connection
    try:
        text = payload.decode("utf-8")  # type: Optional[str]
    except ValueError:
        text = None
    return dict(
        exchange_summary(exchange, page_url),
        headers=[list(field) for field in exchange.headers],
        collapse_id=exchange.collapse_id,
        channel_id=exchange.channel_id,
        expiration=exchange.expiration,
        payload=read_payload(payload),
        payload_text=text,
        payload_base64=six.ensure_str(base64.b64encode(payload)),
        credential=_credential_document(exchange),
        tls=_tls_document(connection),
        peer=_peer_document(connection),
        response=None if exchange.responded is None else {
            "status": exchange.status,
            "reason": exchange.reason,
            "meaning": _meaning_of(exchange),
            "headers": [list(field) for field in exchange.response_headers],
            "body": exchange.response_body.decode("utf-8", "replace"),
            "timestamp": exchange.timestamp,
            "time": rfc3339(exchange.responded),
            "milliseconds": _milliseconds_to_response(exchange),
        })


def connection_document(connection):
    # type: (ConnectionFacts) -> Dict[str, Any]
    """Return everything that is known of a connection (dict)."""
    return {
        "number": connection.number,
        "service": connection.service,
        "peer": _peer_document(connection),
        "tls": _tls_document(connection),
        "certificate": _certificate_document(connection.certificate),
        "opened": rfc3339(connection.opened),
        "closed": rfc3339(connection.closed),
        "ending": connection.ending,
        "requests": connection.request_count,
        "events": [{"time": rfc3339(time), "kind": kind, "text": text}
                   for time, kind, text in connection.events],
    }


def _milliseconds_to_response(exchange):
    # type: (Exchange) -> Optional[float]
    """Return how long a request waited for its response (float), None if there is none."""
    if exchange.responded is None:
        return None
    return round(max(0.0, exchange.responded - exchange.time) * 1000, 3)


def _meaning_of(exchange):
    # type: (Exchange) -> Optional[str]
    """Return what a response means (str), None for success."""
    if exchange.outcome == ACCEPTED or exchange.status is None:
        return None
    if exchange.protocol == "binary":
        return reason_of(exchange.status).explanation
    return reason_of_response(exchange.status, exchange.reason).explanation


def _credential_document(exchange):
    # type: (Exchange) -> Optional[Dict[str, Any]]
    credential = exchange.credential
    if not isinstance(credential, TokenFacts):
        return _certificate_document(credential)
    age = None  # type: Optional[float]
    if credential.issued_at is not None:
        age = _milliseconds(exchange.time) / 1000.0 - credential.issued_at
    return {
        "kind": "token", "key_id": credential.key_id, "team_id": credential.team_id,
        "issued_at": rfc3339(credential.issued_at),
        "age_seconds": None if age is None else round(age, 3)}


def _certificate_document(certificate):
    # type: (Any) -> Optional[Dict[str, Any]]
    if certificate is None:
        return None
    return {
        "kind": "certificate", "subject": certificate.subject, "topics": list(certificate.topics),
        "environments": list(certificate.environments), "serial": certificate.serial,
        "expires": rfc3339(certificate.expires)}


def _tls_document(connection):
    # type: (ConnectionFacts) -> Dict[str, Any]
    return {"version": connection.tls.version, "cipher": connection.tls.cipher,
            "alpn": connection.tls.alpn or None, "resumed": connection.tls.is_resumed}


def _peer_document(connection):
    # type: (ConnectionFacts) -> Optional[str]
    if not connection.peer:
        return None
    host, port = connection.peer[:2]
    return ("[%s]:%d" if ":" in host else "%s:%d") % (host, port)


def _first_text(alert, *names):
    # type: (Dict[str, Any], *str) -> Optional[str]
    texts = [alert[name] for name in names
             if isinstance(alert.get(name), six.string_types)]  # type: List[str]
    return texts[0] if texts else None


def _bounded(text):
    # type: (Optional[str]) -> Optional[str]
    if text is None or len(text) <= _MOST_CHARACTERS:
        return text
    return text[:_MOST_CHARACTERS] + u"\u2026"
