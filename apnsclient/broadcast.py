"""Broadcasts to Live Activities, and the channels for them; over HTTP/2 only.

A channel belongs to an application, and every device that subscribed to it gets what is sent to it:
there are no device tokens. Channels are managed through separate hosts, which a session knows by
the names ``channels_sandbox`` and ``channels_production``.

Sources: Apple, *Sending broadcast push notification requests to APNs* and *Sending channel
management requests to APNs*.
"""

from __future__ import absolute_import, division, print_function

import json
from collections import namedtuple

import six
from six.moves.urllib.parse import quote

from ._compat import MYPY
from ._headers import as_header, as_number
from ._json import decode_json
from .errors import ProtocolError, RequestRejected
from .outcomes import parse_response
from .protocols.http2.headers import decode_block

if MYPY:
    from typing import Any, Dict, List, Tuple, Union

    from .message import Message
    from .transport import Connection

__all__ = ["Broadcast", "Channel", "Channels"]

#: The kind of notification that channels are for.
_PUSH_TYPE = "LiveActivity"

#: What to do about Apple's reasons. Sources: Apple, *Handling error responses from Apple Push
#: Notification service*; the number of channels is from *Sending channel management requests to
#: APNs*.
_REMEDIES = {
    "BadChannelId": "give the identifier that Channels.create() returned",
    "BadExpirationDate": ("a channel that stores nothing accepts only expiry=0, see "
                          "Channels.read(); otherwise the expiry is not a time"),
    "BadMessageId": "apns_id has to be a UUID",
    "BadPath": ("channels are managed at channels_sandbox and channels_production, and broadcasts "
                "go to push_sandbox and push_production"),
    "BadPriority": "the priority has to be 10, 5 or 1",
    "BadRequestParams": "check bundle identifier and channel",
    "BadRequestPayload": "check the payload: it has to be one of a Live Activity",
    "CannotCreateChannelConfig": ("an application has 10 000 channels in an environment at most: "
                                  "delete those that are not needed"),
    "ChannelNotRegistered": ("it was deleted, or it belongs to another application or to the other "
                             "environment (sandbox or production)"),
    "FeatureNotEnabled": ("enable broadcasts for the application in Apple's developer account, "
                          "with its capability for push notifications"),
    "InvalidPushType": "channels are for Live Activities: leave apns_push_type out",
    "MissingChannelId": "give the identifier that Channels.create() returned",
    "MissingPushType": "channels are for Live Activities: leave apns_push_type out",
    "PayloadEmpty": "give the message a payload",
    "TopicDisallowed": ("certificate or key are not for this bundle identifier, or it has the "
                        "suffix of a topic"),
    "TopicMismatch": "certificate or key are for another bundle identifier",
}


class Channel(namedtuple("Channel", "channel_id is_stored push_type")):
    """The attributes of a channel.

    :ivar channel_id: its identifier (str).
    :ivar is_stored: whether Apple keeps the last notification for devices that are not connected
        (bool).
    :ivar push_type: the kind of notifications that it accepts (str).
    """

    __slots__ = ()


class _Api(object):
    """Sends requests about one application.

    :param connection: connection over HTTP/2.
    :param bundle_id: bundle identifier of the application (str).
    """

    def __init__(self, connection, bundle_id):
        # type: (Connection, str) -> None
        if not hasattr(connection, "request"):
            raise TypeError("channels need a connection over HTTP/2: give the address of one of "
                            "Apple's hosts, or set the session's protocol to \"http2\"")
        self._connection = connection  # type: Any
        self._bundle_id = bundle_id
        self._app = quote(bundle_id.encode("utf-8"), safe="")

    def _request(self, method, path, fields, content, expected):
        # type: (str, str, Dict[str, Any], Any, int) -> Tuple[Dict[str, str], bytes]
        """Send a request, and return header and body of the response.

        :raises RequestRejected: if the status is not the expected one.
        """
        body = content if isinstance(content, bytes) else json.dumps(content).encode("ascii")
        pairs = [(name.encode("ascii"), six.ensure_binary(value, "ascii")) for name, value in
                 [(name, as_header(name, fields[name])) for name in sorted(fields)]
                 if value is not None]
        response = self._connection.request(
            method.encode("ascii"), (path % self._app).encode("ascii"), pairs, body)
        if response.status != expected:
            reason = parse_response(response.body)[0]
            text = "Apple rejected %s %s: status %d, %s" % (
                method, path % self._app, response.status, reason or "no reason given")
            if reason in _REMEDIES:
                text = "%s; %s" % (text, _REMEDIES[reason])
            raise RequestRejected(text, response.status, reason)
        block = response.block
        header = decode_block(block) if isinstance(block, bytes) else block
        return dict((six.ensure_str(name, "latin-1"), six.ensure_str(value, "latin-1"))
                    for name, value in header), response.body

    def __repr__(self):
        # type: () -> str
        return "<%s of %s, %r>" % (type(self).__name__, self._bundle_id, self._connection)


class Broadcast(_Api):
    """Sends notifications to the channels of an application.

    :param connection: connection over HTTP/2 to the address for messages:
        ``session.get_connection("push_production", ...)``.
    :param bundle_id: bundle identifier of the application (str).
    :raises TypeError: if the connection does not speak HTTP/2.
    """

    def send(self, channel, message):
        # type: (Union[str, Channel], Message) -> str
        """Send a notification to a channel.

        A channel that stores nothing accepts no expiry but 0 (Apple, *Handling error responses from
        Apple Push Notification service*: BadExpirationDate). So a message without an expiry is sent
        with 0, which every channel accepts: devices that are connected get it. To have it stored
        for the others, set an expiry, or pass a :class:`Channel` that stores: then the message
        expires as it would for a device. Apple stores it for 8 hours at most.

        :param channel: identifier of the channel, as Apple assigned it (str), or the return value
            of :meth:`Channels.read` (:class:`Channel`).
        :param message: :class:`~apnsclient.apns.Message` with the payload. Its expiry, priority and
            ``apns_id`` are used, and ``apns_push_type`` if it has one. It has no tokens:
            ``Message([], ...)``.
        :return: Apple's identifier of the request (str), ``""`` if there is none.
        :raises ValueError: if the message has tokens, or a value cannot be put into a header.
        :raises TypeError, ValueError: if the payload cannot be expressed in JSON.
        :raises ~apnsclient.errors.RequestRejected: if Apple rejected it.
        :raises ~apnsclient.errors.ConnectionLost: if there was no response. The notification may
            have been sent, or not.
        :raises Exception: whatever the back-end raises when it cannot connect.
        """
        if message.tokens:
            raise ValueError("a broadcast is for a channel, but the message has %d tokens; create "
                             "it with an empty list" % len(message.tokens))
        channel_id, is_stored = channel, False  # type: Any, bool
        if isinstance(channel, Channel):
            channel_id, is_stored = channel.channel_id, channel.is_stored
        expiry = message.expiry if is_stored or message.has_own_expiry else 0
        header, _ = self._request("POST", "/4/broadcasts/apps/%s", {
            "apns-channel-id": channel_id,
            "apns-request-id": message.apns_id,
            "apns-push-type": message.apns_push_type or _PUSH_TYPE.lower(),
            "apns-expiration": str(as_number("expiry", expiry, 0xFFFFFFFF)),
            "apns-priority": str(as_number("priority", message.priority, 0xFF)),
        }, message.get_json_payload(), 200)
        return header.get("apns-request-id", "")


class Channels(_Api):
    """Creates, reads, lists and deletes the channels of an application.

    Each method raises :class:`~apnsclient.errors.RequestRejected` if Apple rejects the request,
    :class:`~apnsclient.errors.ProtocolError` if the response cannot be understood,
    :class:`~apnsclient.errors.ConnectionLost` if there is none, what the back-end raises if it
    cannot connect, and ``ValueError`` for an identifier that cannot be put into a header.

    :param connection: connection over HTTP/2 to the host that manages channels:
        ``session.get_connection("channels_production", ...)``.
    :param bundle_id: bundle identifier of the application (str).
    :raises TypeError: if the connection does not speak HTTP/2.
    """

    def create(self, is_stored=False):
        # type: (bool) -> str
        """Create a channel.

        :param is_stored: whether Apple keeps the last notification for devices that are not
            connected (bool), for 8 hours at most. It cannot be changed afterwards.
        :return: identifier of the channel (str).
        """
        header, _ = self._request("POST", "/1/apps/%s/channels", {}, {
            "message-storage-policy": int(is_stored), "push-type": _PUSH_TYPE}, 201)
        channel_id = header.get("apns-channel-id")
        if not channel_id:
            raise ProtocolError("the response to a request for a channel has no identifier of one")
        return channel_id

    def read(self, channel_id):
        # type: (str) -> Channel
        """Return the attributes of a channel.

        :param channel_id: identifier of the channel (str).
        """
        _, body = self._request("GET", "/1/apps/%s/channels", {"apns-channel-id": channel_id}, b"",
                                200)
        content = _parse(body)
        return Channel(channel_id, bool(content.get("message-storage-policy")),
                       content.get("push-type"))

    def list(self):
        # type: () -> List[str]
        """Return the identifiers of all channels of the application (list of str)."""
        _, body = self._request("GET", "/1/apps/%s/all-channels", {}, b"", 200)
        found = _parse(body).get("channels")
        if not isinstance(found, list):
            raise ProtocolError("the response to a request for all channels has no list of them")
        return [six.ensure_str(one) if isinstance(one, six.text_type) else str(one)
                for one in found]

    def delete(self, channel_id):
        # type: (str) -> None
        """Delete a channel.

        :param channel_id: identifier of the channel (str).
        """
        self._request("DELETE", "/1/apps/%s/channels", {"apns-channel-id": channel_id}, b"", 204)


def _parse(body):
    # type: (bytes) -> Dict[str, Any]
    try:
        content = decode_json(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ProtocolError("the response is not a JSON object")
    return content
