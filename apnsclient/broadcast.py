"""Broadcasts to Live Activities, and the channels for them; over HTTP/2 only.

A channel belongs to an application, and every device that subscribed to it gets what is sent to it:
there are no device tokens. Channels are managed through separate hosts, which a session knows by
the names ``channels_sandbox`` and ``channels_production``.

Sources: Apple, *Sending broadcast push notification requests to APNs* and *Sending channel
management requests to APNs*.
"""

from __future__ import absolute_import, division, print_function

import six

from . import _channels
from ._channels import Channel
from ._compat import MYPY
from ._headers import as_number
from .errors import ProtocolError, RequestRejected
from .outcomes import parse_response

if MYPY:
    from typing import Any, List, Union

    from .message import Message
    from .transport import Connection

__all__ = ["Broadcast", "Channel", "Channels"]


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

    def _ask(self, request):
        # type: (_channels.ApiRequest) -> Any
        """Send a request, and return what its response says.

        :raises RequestRejected: if it was rejected.
        :raises ProtocolError: if the response cannot be understood.
        """
        fields = [(name.encode("ascii"), six.ensure_binary(value, "ascii"))
                  for name, value in request.fields]
        response = self._connection.request(
            request.method.encode("ascii"), request.path.encode("ascii"), fields, request.body)
        if not _channels.is_success(response.status):
            reason = parse_response(response.body)[0]
            text = "Apple rejected %s %s: status %d, %s" % (
                request.method, request.path, response.status, reason or "no reason given")
            if reason in _channels.REMEDIES:
                text = "%s; %s" % (text, _channels.REMEDIES[reason])
            raise RequestRejected(text, response.status, reason)
        try:
            return request.read(_channels.header_of(response), response.body)
        except ValueError as error:
            problem = str(error)
        raise ProtocolError(problem)

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
        expiry = _channels.expiration_for(
            channel, message.expiry if message.has_own_expiry else None, message.expiry)
        identifier = self._ask(_channels.to_broadcast(
            self._bundle_id, channel, message.get_json_payload(),
            as_number("expiry", expiry, 0xFFFFFFFF), as_number("priority", message.priority, 0xFF),
            message.apns_id, message.apns_push_type))  # type: str
        return identifier


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
        channel_id = self._ask(_channels.to_create(self._bundle_id, is_stored))  # type: str
        return channel_id

    def read(self, channel_id):
        # type: (str) -> Channel
        """Return the attributes of a channel.

        :param channel_id: identifier of the channel (str).
        """
        channel = self._ask(_channels.to_read(self._bundle_id, channel_id))  # type: Channel
        return channel

    def list(self):
        # type: () -> List[str]
        """Return the identifiers of all channels of the application (list of str)."""
        channel_ids = self._ask(_channels.to_list(self._bundle_id))  # type: List[str]
        return channel_ids

    def delete(self, channel_id):
        # type: (str) -> None
        """Delete a channel.

        :param channel_id: identifier of the channel (str).
        """
        self._ask(_channels.to_delete(self._bundle_id, channel_id))
