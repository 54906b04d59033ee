"""Broadcasts to Live Activities, and the channels that they go to; over HTTP/2 alone.

A channel belongs to an application, and whoever subscribed to it gets what is sent to it: there are
no device tokens. Channels are managed through hosts of their own, which a session knows by the
names ``channels_sandbox`` and ``channels_production``.

Sources: Apple, *Sending broadcast push notification requests to APNs* and *Sending channel
management requests to APNs*.
"""

from __future__ import absolute_import, division, print_function

import json
from collections import namedtuple

import six
from six.moves.urllib.parse import quote

from ._compat import MYPY
from ._headers import as_header
from ._json import decode_json
from .errors import ProtocolError, RequestRefused
from .outcomes import parse_reply
from .protocols.http2.headers import decode_block

if MYPY:
    from typing import Any, Dict, List, Tuple

    from .apns import Message
    from .transport import Connection

__all__ = ["Broadcast", "Channel", "Channels"]

#: The kind of notification that channels are for.
_PUSH_TYPE = "LiveActivity"

#: A channel: its identifier (str), whether Apple keeps the last notification for devices that are
#: not connected (bool), and the kind of notifications that it takes (str).
Channel = namedtuple("Channel", "channel_id is_stored push_type")


class _Api(object):
    """Requests about one application.

    :param connection: handle of a session with ``protocol="http2"``.
    :param bundle_id: bundle identifier of the application (str).
    """

    def __init__(self, connection, bundle_id):
        # type: (Connection, str) -> None
        if not hasattr(connection, "ask"):
            raise TypeError("channels need a connection of a session with protocol=\"http2\"")
        self._connection = connection  # type: Any
        self._bundle_id = bundle_id
        self._app = quote(bundle_id.encode("utf-8"), safe="")

    def _ask(self, method, path, fields, content, expected):
        # type: (str, str, Dict[str, Any], Any, int) -> Tuple[Dict[str, str], bytes]
        """Return header and body of the reply.

        :raises RequestRefused: if the status is not the expected one.
        """
        body = content if isinstance(content, bytes) else json.dumps(content).encode("ascii")
        pairs = [(name.encode("ascii"), six.ensure_binary(value, "ascii")) for name, value in
                 [(name, as_header(name, fields[name])) for name in sorted(fields)]
                 if value is not None]
        reply = self._connection.ask(
            method.encode("ascii"), (path % self._app).encode("ascii"), pairs, body)
        if reply.status != expected:
            reason = parse_reply(reply.body)[0]
            raise RequestRefused("Apple refused to %s %s: status %d, %s" % (
                method, path % self._app, reply.status, reason or "no reason given"),
                reply.status, reason)
        block = reply.block
        header = decode_block(block) if isinstance(block, bytes) else block
        return dict((six.ensure_str(name), six.ensure_str(value, "latin-1"))
                    for name, value in header), reply.body

    def __repr__(self):
        # type: () -> str
        return "<%s of %s, %r>" % (type(self).__name__, self._bundle_id, self._connection)


class Broadcast(_Api):
    """Sends notifications to the channels of an application.

    :param connection: handle of a session with ``protocol="http2"``, to the address that messages
        go to: ``session.get_connection("push_production", ...)``.
    :param bundle_id: bundle identifier of the application (str).
    :raises TypeError: if the connection speaks another protocol.
    """

    def send(self, channel_id, message):
        # type: (str, Message) -> str
        """Send a notification to a channel.

        :param channel_id: identifier of the channel, as Apple gave it (str).
        :param message: :class:`~apnsclient.apns.Message` with the payload. Its expiry, priority and
            ``apns_id`` are used, and ``apns_push_type`` if there is one. It has no tokens:
            ``Message([], ...)``.
        :return: Apple's identifier of the request (str), ``""`` if there is none.
        :raises ValueError: if the message has tokens, or something cannot stand in a header.
        :raises TypeError, ValueError: if the payload cannot be expressed in JSON.
        :raises ~apnsclient.errors.RequestRefused: if Apple answered with an error.
        :raises ~apnsclient.errors.ConnectionLost: if there was no answer. Nobody knows whether the
            notification was sent.
        :raises Exception: whatever the back-end raises when it cannot connect.
        """
        if message.tokens:
            raise ValueError("a broadcast goes to a channel, and the message has %d tokens; make "
                             "it with an empty list of them" % len(message.tokens))
        header, _ = self._ask("POST", "/4/broadcasts/apps/%s", {
            "apns-channel-id": channel_id,
            "apns-request-id": message.apns_id,
            "apns-push-type": message.apns_push_type or _PUSH_TYPE.lower(),
            "apns-expiration": str(message.expiry),
            "apns-priority": str(message.priority),
        }, message.get_json_payload(), 200)
        return header.get("apns-request-id", "")


class Channels(_Api):
    """Creates, reads, lists and deletes the channels of an application.

    Each method raises :class:`~apnsclient.errors.RequestRefused` if Apple answers with an error,
    :class:`~apnsclient.errors.ProtocolError` if the answer makes no sense,
    :class:`~apnsclient.errors.ConnectionLost` if there is none, what the back-end raises if it
    cannot connect, and ``ValueError`` for an identifier that cannot stand in a header.

    :param connection: handle of a session with ``protocol="http2"``, to the host that manages
        channels: ``session.get_connection("channels_production", ...)``.
    :param bundle_id: bundle identifier of the application (str).
    :raises TypeError: if the connection speaks another protocol.
    """

    def create(self, is_stored=False):
        # type: (bool) -> str
        """Create a channel.

        :param is_stored: whether Apple keeps the last notification for devices that are not
            connected (bool).
        :return: identifier of the channel (str).
        """
        header, _ = self._ask("POST", "/1/apps/%s/channels", {}, {
            "message-storage-policy": int(is_stored), "push-type": _PUSH_TYPE}, 201)
        channel_id = header.get("apns-channel-id")
        if not channel_id:
            raise ProtocolError("the answer to a request for a channel names none")
        return channel_id

    def read(self, channel_id):
        # type: (str) -> Channel
        """Return what Apple knows of a channel.

        :param channel_id: identifier of the channel (str).
        """
        _, body = self._ask("GET", "/1/apps/%s/channels", {"apns-channel-id": channel_id}, b"", 200)
        content = _parse(body)
        return Channel(channel_id, bool(content.get("message-storage-policy")),
                       content.get("push-type"))

    def list(self):
        # type: () -> List[str]
        """Return the identifiers of all channels of the application (list of str)."""
        _, body = self._ask("GET", "/1/apps/%s/all-channels", {}, b"", 200)
        found = _parse(body).get("channels")
        if not isinstance(found, list):
            raise ProtocolError("the answer to a request for all channels has no list of them")
        return [str(one) for one in found]

    def delete(self, channel_id):
        # type: (str) -> None
        """Delete a channel.

        :param channel_id: identifier of the channel (str).
        """
        self._ask("DELETE", "/1/apps/%s/channels", {"apns-channel-id": channel_id}, b"", 204)


def _parse(body):
    # type: (bytes) -> Dict[str, Any]
    try:
        content = decode_json(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ProtocolError("the answer is no JSON object")
    return content
