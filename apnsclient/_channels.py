"""Requests about channels, and to them: what is sent, and what the responses mean.

No I/O: :mod:`apnsclient.broadcast` and :mod:`apnsclient.aio.broadcast` send them.

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
from .protocols.http2.headers import decode_block

if MYPY:
    from typing import Any, Dict, List, NamedTuple, Union

    # Only the checkers learn the types of the fields: Python 2.7 has no typing.
    _Channel = NamedTuple("_Channel", [
        ("channel_id", str), ("is_stored", bool), ("push_type", str)])
    _ApiRequest = NamedTuple("_ApiRequest", [
        ("method", str), ("path", str), ("fields", List[Any]), ("body", bytes), ("read", Any)])
else:
    _Channel = namedtuple("_Channel", "channel_id is_stored push_type")
    _ApiRequest = namedtuple("_ApiRequest", "method path fields body read")

__all__ = ["ApiRequest", "Channel", "LONGEST_STORAGE", "REMEDIES", "expiration_for", "header_of",
           "is_success", "to_broadcast", "to_create", "to_delete", "to_list", "to_read"]

#: The kind of notification that channels are for.
_PUSH_TYPE = "LiveActivity"
#: Seconds that Apple keeps the last notification to a channel that stores, at most.
LONGEST_STORAGE = 8 * 3600

#: What to do about Apple's reasons. Sources: Apple, *Handling error responses from Apple Push
#: Notification service*; the number of channels is from *Sending channel management requests to
#: APNs*.
REMEDIES = {
    "BadChannelId": "give the identifier that Channels.create() returned",
    "BadExpirationDate": ("a channel that stores nothing accepts no expiration but 0, see "
                          "Channels.read(); otherwise it is not a time"),
    "BadMessageId": "apns_id has to be a UUID",
    "BadPath": ("channels are managed at hosts of their own, and broadcasts go to the hosts for "
                "notifications"),
    "BadPriority": "the priority has to be 10, 5 or 1",
    "BadRequestParams": "check bundle identifier and channel",
    "BadRequestPayload": "check the payload: it has to be one of a Live Activity",
    "CannotCreateChannelConfig": ("an application has 10 000 channels in an environment at most: "
                                  "delete those that are not needed"),
    "ChannelNotRegistered": ("it was deleted, or it belongs to another application or to the other "
                             "environment (sandbox or production)"),
    "FeatureNotEnabled": ("enable broadcasts for the application in Apple's developer account, "
                          "with its capability for push notifications"),
    "InvalidPushType": "channels are for Live Activities: give no push type",
    "MissingChannelId": "give the identifier that Channels.create() returned",
    "MissingPushType": "channels are for Live Activities: give no push type",
    "PayloadEmpty": "give the message a payload",
    "PayloadTooLarge": "the payload of a broadcast has 5120 bytes at most",
    "TopicDisallowed": ("certificate or key are not for this bundle identifier, or it has the "
                        "suffix of a topic"),
    "TopicMismatch": "certificate or key are for another bundle identifier",
}


class Channel(_Channel):
    """The attributes of a channel.

    :ivar channel_id: its identifier (str).
    :ivar is_stored: whether Apple keeps the last notification for devices that are not connected
        (bool).
    :ivar push_type: the kind of notifications that it accepts (str).
    """

    __slots__ = ()


class ApiRequest(_ApiRequest):
    """A request, and how its response is read.

    :ivar method: like ``"GET"`` (str).
    :ivar path: its path (str).
    :ivar fields: ``(name, value)`` pairs of its header (list of str).
    :ivar body: its body (bytes).
    :ivar read: function of header (dict of str) and body (bytes) of the response to a request that
        succeeded. It returns what the caller gets, and raises ``ValueError`` if it cannot be
        understood.
    """

    __slots__ = ()


def to_broadcast(bundle_id, channel, payload, expiration, priority, apns_id, push_type=None):
    # type: (str, Union[str, Channel], bytes, int, int, Any, Any) -> ApiRequest
    """Return the request that sends a notification to a channel; it returns an identifier (str).

    :param channel: its identifier (str), or the :class:`Channel`.
    :param payload: JSON text (bytes).
    :param expiration: seconds since 1970 (int).
    :param apns_id: identifier of the request (UUID, or str), or None.
    :param push_type: (str); None for that of channels.
    :raises ValueError: if a value cannot be put into a header.
    """
    return _request("POST", "/4/broadcasts/apps/%s", bundle_id, {
        "apns-channel-id": channel.channel_id if isinstance(channel, Channel) else channel,
        "apns-request-id": apns_id,
        "apns-push-type": push_type or _PUSH_TYPE.lower(),
        "apns-expiration": str(expiration),
        "apns-priority": str(priority),
    }, payload, _read_identifier)


def expiration_for(channel, given, default):
    # type: (Union[str, Channel], Any, Any) -> Any
    """Return when a broadcast expires.

    A channel that stores nothing accepts no expiration but 0, which each channel accepts (Apple,
    *Handling error responses from Apple Push Notification service*: BadExpirationDate).

    :param channel: its identifier (str), or the :class:`Channel`.
    :param given: what was given, or None.
    :param default: what counts for a channel that is known to store, if nothing was given.
    """
    if given is not None:
        return given
    return default if isinstance(channel, Channel) and channel.is_stored else 0


def to_create(bundle_id, is_stored):
    # type: (str, bool) -> ApiRequest
    """Return the request for a new channel; it returns its identifier (str)."""
    content = {"message-storage-policy": int(is_stored), "push-type": _PUSH_TYPE}
    return _request("POST", "/1/apps/%s/channels", bundle_id, {},
                    json.dumps(content).encode("ascii"), _read_channel_id)


def to_read(bundle_id, channel_id):
    # type: (str, str) -> ApiRequest
    """Return the request for the attributes of a channel; it returns a :class:`Channel`.

    :raises ValueError: if the identifier cannot be put into a header.
    """
    def read(header, body):
        # type: (Dict[str, str], bytes) -> Channel
        content = _object_in(body)
        push_type = content.get("push-type")  # type: Any
        return Channel(channel_id, bool(content.get("message-storage-policy")), push_type)

    return _request("GET", "/1/apps/%s/channels", bundle_id, {"apns-channel-id": channel_id}, b"",
                    read)


def to_list(bundle_id):
    # type: (str) -> ApiRequest
    """Return the request for all channels; it returns their identifiers (list of str)."""
    return _request("GET", "/1/apps/%s/all-channels", bundle_id, {}, b"", _read_list)


def to_delete(bundle_id, channel_id):
    # type: (str, str) -> ApiRequest
    """Return the request that deletes a channel; it returns None.

    :raises ValueError: if the identifier cannot be put into a header.
    """
    return _request("DELETE", "/1/apps/%s/channels", bundle_id, {"apns-channel-id": channel_id},
                    b"", _read_nothing)


def is_success(status):
    # type: (int) -> bool
    """Return True if a response with this status says that the request succeeded."""
    return 200 <= status < 300


def header_of(response):
    # type: (Any) -> Dict[str, str]
    """Return the header fields of a response of the protocol (dict of str)."""
    block = response.block
    fields = decode_block(block) if isinstance(block, bytes) else block or []
    return dict((six.ensure_str(name, "latin-1"), six.ensure_str(value, "latin-1"))
                for name, value in fields)


def _request(method, path, bundle_id, fields, body, read):
    # type: (str, str, str, Dict[str, Any], bytes, Any) -> ApiRequest
    values = [(name, as_header(name, fields[name])) for name in sorted(fields)]
    return ApiRequest(method, path % quote(bundle_id.encode("utf-8"), safe=""),
                      [(name, value) for name, value in values if value is not None], body, read)


def _read_nothing(header, body):
    # type: (Dict[str, str], bytes) -> None
    return None


def _read_identifier(header, body):
    # type: (Dict[str, str], bytes) -> str
    return header.get("apns-request-id", "")


def _read_channel_id(header, body):
    # type: (Dict[str, str], bytes) -> str
    channel_id = header.get("apns-channel-id")
    if not channel_id:
        raise ValueError("the response to a request for a channel has no identifier of one")
    return channel_id


def _read_list(header, body):
    # type: (Dict[str, str], bytes) -> List[str]
    found = _object_in(body).get("channels")
    if not isinstance(found, list):
        raise ValueError("the response to a request for all channels has no list of them")
    return [six.ensure_str(one) if isinstance(one, six.text_type) else str(one) for one in found]


def _object_in(body):
    # type: (bytes) -> Dict[str, Any]
    try:
        content = decode_json(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ValueError("the response is not a JSON object")
    return content
