"""Apple's verdict on broadcasts, and on requests about their channels.

Sources: Apple, *Handling error responses from Apple Push Notification service* for the reasons and
what each means; *Sending channel management requests to APNs* and *Sending broadcast push
notification requests to APNs* for what has to be in a request. All of it was read only.
"""

from __future__ import absolute_import, division, print_function

import json
import re

import six

from ..._compat import MYPY
from ..._json import decode_json
from .provider_head import is_uuid
from .provider_policy import Response, Verdict, rejection
from .provider_reasons import STATUSES
from .provider_topics import split_topic

if MYPY:
    from typing import Any, Optional

    from ...protocols.http2.server import Request
    from .broadcast_channels import BroadcastChannels
    from .provider_head import Head

__all__ = ["BroadcastPolicy"]

#: Largest payload of a broadcast in bytes.
PAYLOAD_SIZE = 5120

_PUSH_TYPE = "LiveActivity"
_STORAGE = "message-storage-policy"
#: What there can be in a request for a channel.
_ATTRIBUTES = frozenset([_STORAGE, "push-type"])

_BROADCAST = re.compile(br"^/4/broadcasts/apps/([0-9A-Za-z.-]+)\Z")
_MANAGEMENT = re.compile(br"^/1/apps/([0-9A-Za-z.-]+)/(channels|all-channels)\Z")
_BASE64 = re.compile(r"^(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?\Z")

#: The response to a broadcast, and with a reason.
_NO_BODY = Response((), b"")


class BroadcastPolicy(object):
    """Decides about broadcasts and about requests to the channel management.

    :param channels: :class:`.broadcast_channels.BroadcastChannels`.
    """

    def __init__(self, channels):
        # type: (BroadcastChannels) -> None
        self._channels = channels

    def judge_broadcast(self, request, path, head, caller):
        # type: (Request, bytes, Head, Any) -> Verdict
        """Decide about a request to the provider API that is not for a device."""
        found = _BROADCAST.match(path)
        if found is None:
            return rejection("BadPath")
        if head.method != b"POST":
            return _rejection("MethodNotAllowed")
        bundle_id = six.ensure_str(found.group(1))
        reason = (self._find_fault(bundle_id, head, caller)
                  or self._find_fault_of_channel(bundle_id, head)
                  or _find_fault_of_broadcast(request.body, head))
        if reason is None and head.expiry and not self._is_storing(bundle_id, head):
            reason = "BadExpirationDate"
        if reason is not None:
            return _rejection(reason)
        return Verdict(200, None, None, True, _NO_BODY)

    def judge_management(self, request, path, head, caller):
        # type: (Request, bytes, Head, Any) -> Verdict
        """Decide about a request to the channel management."""
        found = _MANAGEMENT.match(path)
        if found is None:
            return _rejection("BadPath")
        bundle_id = six.ensure_str(found.group(1))
        reason = self._find_fault(bundle_id, head, caller)
        if reason is not None:
            return _rejection(reason)
        if found.group(2) == b"all-channels":
            if head.method != b"GET":
                return _rejection("MethodNotAllowed")
            return _success(200, {"channels": self._channels.ids(bundle_id)})
        if head.method == b"POST":
            return self._create(bundle_id, request.body)
        if head.method not in (b"GET", b"DELETE"):
            return _rejection("MethodNotAllowed")
        return self._read_or_delete(bundle_id, head)

    def _find_fault(self, bundle_id, head, caller):
        # type: (str, Head, Any) -> Optional[str]
        """Return the reason against who calls, the application, or the request's identifier."""
        reason = caller.authenticate(head.authorization)
        if reason is not None:
            return str(reason)
        if split_topic(bundle_id)[1] is not None:
            return "TopicDisallowed"
        if not caller.allows(bundle_id):
            return "TopicMismatch"
        if not self._channels.is_enabled(bundle_id):
            return "FeatureNotEnabled"
        return _find_fault_of_ids(head)

    def _find_fault_of_channel(self, bundle_id, head):
        # type: (str, Head) -> Optional[str]
        """Return the reason against the channel that a request names, None if there is none."""
        if not head.channel_id:
            return "MissingChannelId"
        if not _BASE64.match(head.channel_id):
            return "BadChannelId"
        if self._channels.storage_policy(bundle_id, head.channel_id) is None:
            return "ChannelNotRegistered"
        return None

    def _is_storing(self, bundle_id, head):
        # type: (str, Head) -> bool
        return bool(self._channels.storage_policy(bundle_id, head.channel_id or ""))

    def _create(self, bundle_id, body):
        # type: (str, bytes) -> Verdict
        try:
            wanted = decode_json(body)
        except ValueError:
            return _rejection("BadRequestPayload")
        reason = _find_fault_of_configuration(wanted)
        if reason is not None:
            return _rejection(reason)
        try:
            channel_id = self._channels.create(bundle_id, wanted[_STORAGE])
        except ValueError:
            return _rejection("CannotCreateChannelConfig")
        return _success(201, None, [(b"apns-channel-id", channel_id.encode("ascii"))])

    def _read_or_delete(self, bundle_id, head):
        # type: (str, Head) -> Verdict
        reason = self._find_fault_of_channel(bundle_id, head)
        if reason is not None:
            return _rejection(reason)
        channel_id = head.channel_id or ""
        if head.method == b"DELETE":
            self._channels.delete(bundle_id, channel_id)
            return _success(204)
        return _success(200, {"push-type": _PUSH_TYPE, _STORAGE:
                              self._channels.storage_policy(bundle_id, channel_id)})


def _find_fault_of_ids(head):
    # type: (Head) -> Optional[str]
    """Return the reason against the identifiers of a request; Apple's pages have either name."""
    for identifier in (head.apns_id, head.request_id):
        if identifier is not None and not is_uuid(identifier):
            return "BadMessageId"
    return None


def _find_fault_of_configuration(wanted):
    # type: (Any) -> Optional[str]
    """Return the reason against the JSON of a request for a channel.

    What a storage policy gets that there is not, or that is missing, Apple does not document.
    """
    if not isinstance(wanted, dict):
        return "BadRequestPayload"
    if not _ATTRIBUTES.issuperset(wanted):
        return "BadRequestParams"
    if wanted.get("push-type") != _PUSH_TYPE:
        return "InvalidPushType" if "push-type" in wanted else "MissingPushType"
    policy = wanted.get(_STORAGE)
    return None if type(policy) is int and policy in (0, 1) else "BadRequestParams"


def _find_fault_of_broadcast(body, head):
    # type: (bytes, Head) -> Optional[str]
    """Return the reason against header and payload of a broadcast.

    The push type is "Liveactivity" in the table of Apple's page, and "liveactivity" in its example.
    """
    if head.push_type is None:
        return "MissingPushType"
    if head.push_type.lower() != _PUSH_TYPE.lower():
        return "InvalidPushType"
    # Both are required.
    if head.expiry is None:
        return "BadExpirationDate"
    if head.priority is None:
        return "BadPriority"
    if not body:
        return "PayloadEmpty"
    if len(body) > PAYLOAD_SIZE:
        return "PayloadTooLarge"
    try:
        decode_json(body)
    except ValueError:
        return "BadRequestPayload"
    return None


def _rejection(reason):
    # type: (str) -> Verdict
    return Verdict(STATUSES[reason], reason, None, False, _NO_BODY)


def _success(status, body=None, fields=()):
    # type: (int, Any, Any) -> Verdict
    text = b"" if body is None else json.dumps(body, sort_keys=True).encode("ascii")
    return Verdict(status, None, None, False, Response(tuple(fields), text))
