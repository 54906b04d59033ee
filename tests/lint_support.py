"""Exchanges for the tests of lint, written by hand."""

from __future__ import absolute_import, division, print_function

import collections
import json

__all__ = ["CERTIFICATE", "NOW", "new_connection", "new_exchange", "new_token"]

#: When all of them come.
NOW = 1700000000.0
TOKEN = "0123456789abcdef" * 4

Exchange = collections.namedtuple("Exchange", (
    "number time connection kind protocol headers token topic push_type apns_id collapse_id "
    "priority expiration payload payload_limit credential outcome status reason responded"))
Connection = collections.namedtuple("Connection", "number service peer certificate")
Token = collections.namedtuple("Token", "key_id team_id issued_at")
Certificate = collections.namedtuple("Certificate", "subject topics")

CERTIFICATE = Certificate("Apple Push Services: com.example.app", ("com.example.app",))

_USUAL = (("apns-topic", "com.example.app"), ("apns-push-type", "alert"))


def new_token(age=60, key_id="KEY4567890", team_id="TEAM567890"):
    """Return a provider token of an age in seconds."""
    return Token(key_id, team_id, NOW - age)


def new_connection(number=1, certificate=None):
    """Return a connection."""
    return Connection(number, "provider", ("127.0.0.1", 50000 + number), certificate)


def new_exchange(payload=b'{"aps":{"alert":"Hi"}}', headers=(), **attributes):
    """Return an alert that is as it should be, apart from what is given.

    :param payload: bytes, or what is to be written as JSON.
    :param headers: dict of header fields; None leaves one out.
    :param attributes: attributes, instead of those that follow from the header.
    """
    if not isinstance(payload, bytes):
        payload = json.dumps(payload).encode("utf-8")
    fields = dict(_USUAL)
    fields.update(headers)
    fields = {name: value for name, value in fields.items() if value is not None}
    expiration = fields.get("apns-expiration", "")
    priority = fields.get("apns-priority")
    values = dict(
        number=1, time=NOW, connection=new_connection(), kind="notification", protocol="http2",
        headers=sorted(fields.items()), token=TOKEN, topic=fields.get("apns-topic"),
        push_type=fields.get("apns-push-type"), apns_id=fields.get("apns-id"),
        collapse_id=fields.get("apns-collapse-id"),
        priority=int(priority) if priority in ("1", "5", "10") else None,
        expiration=int(expiration) if expiration.isdigit() else None, payload=payload,
        payload_limit=4096, credential=new_token(), outcome="accepted", status=200, reason=None,
        responded=NOW + 0.001)
    values.update(attributes)
    return Exchange(**values)
