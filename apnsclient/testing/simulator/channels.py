"""Broadcast channels of Live Activities: who has which, how they are managed, and what is sent.

Sources: Apple, *Sending channel management requests to APNs*, *Sending broadcast push notification
requests to APNs* and *Handling error responses from Apple Push Notification service*. What a body
gets that is no JSON object, or has no storage policy that there is, Apple does not document.
"""

from __future__ import absolute_import, division, print_function

import base64
import binascii
import json
import os
import re
import threading
from collections import OrderedDict

import six

from ..._compat import MYPY
from ..._json import decode_json
from .provider_policy import Push, Reply, Verdict, refusal

if MYPY:
    from typing import Any, Dict, List, Optional

    from ...protocols.http2.server import Request
    from .provider_policy import Head

__all__ = ["BroadcastChannels"]

#: Most channels that an application can have in one environment.
MOST_CHANNELS = 10000
#: Largest payload of a broadcast in bytes.
PAYLOAD_SIZE = 5120
#: Storage policies: no message, or the most recent one.
STORAGE_POLICIES = (0, 1)

_PUSH_TYPE = "LiveActivity"
_BROADCAST = re.compile(br"^/4/broadcasts/apps/([0-9A-Za-z.-]+)\Z")
_MANAGEMENT = re.compile(br"^/1/apps/([0-9A-Za-z.-]+)/(channels|all-channels)\Z")

#: What is said to a broadcast, and with a reason.
_NO_BODY = Reply((), b"")


class BroadcastChannels(object):
    """The channels of all applications. May be used from many threads.

    :param limit: most channels of one application (int).
    """

    def __init__(self, limit=MOST_CHANNELS):
        # type: (int) -> None
        self.limit = limit
        self._lock = threading.Lock()
        self._channels = {}  # type: Dict[str, OrderedDict[str, int]]

    def create(self, bundle_id, storage_policy=0):
        # type: (str, int) -> str
        """Make a channel.

        :param bundle_id: identifier of the application (str).
        :param storage_policy: 0 stores no message, 1 the most recent one.
        :return: identifier of the channel (str, base64).
        :raises ValueError: if there is no such policy, or the application has too many channels.
        """
        if type(storage_policy) is not int or storage_policy not in STORAGE_POLICIES:
            raise ValueError("storage policy is %r, expected 0 or 1" % (storage_policy,))
        with self._lock:
            channels = self._channels.setdefault(bundle_id, OrderedDict())
            if len(channels) >= self.limit:
                raise ValueError("%s has %d channels already" % (bundle_id, len(channels)))
            channel_id = six.ensure_str(base64.b64encode(os.urandom(16)))
            channels[channel_id] = storage_policy
        return channel_id

    def delete(self, bundle_id, channel_id):
        # type: (str, str) -> bool
        """Delete a channel; return whether there was one."""
        with self._lock:
            channels = self._channels.get(bundle_id)
            return channels is not None and channels.pop(channel_id, None) is not None

    def storage_policy(self, bundle_id, channel_id):
        # type: (str, str) -> Optional[int]
        """Return the storage policy of a channel, None if there is no such channel."""
        with self._lock:
            channels = self._channels.get(bundle_id)
            return None if channels is None else channels.get(channel_id)

    def ids(self, bundle_id):
        # type: (str) -> List[str]
        """Return the identifiers of an application's channels, in the order of their making."""
        with self._lock:
            return list(self._channels.get(bundle_id, ()))

    # Requests.

    def judge_broadcast(self, request, path, head, caller):
        # type: (Request, bytes, Head, Any) -> Verdict
        """Decide about a request to the provider API that is not for a device."""
        found = _BROADCAST.match(path)
        if found is None:
            return refusal("BadPath")
        if head.method != b"POST":
            return _refusal("MethodNotAllowed")
        bundle_id = six.ensure_str(found.group(1))
        reason = (caller.judge(head.authorization, bundle_id) or head.fault
                  or self._fault_of_channel(bundle_id, head) or _fault_of_broadcast(request, head))
        if reason is not None:
            return _refusal(reason)
        push = Push(request.stream, b"", request.body, head, path)
        return Verdict(200, None, None, push, _NO_BODY)

    def judge_management(self, request, path, head, caller):
        # type: (Request, bytes, Head, Any) -> Verdict
        """Decide about a request to the channel management."""
        found = _MANAGEMENT.match(path)
        if found is None:
            return _refusal("BadPath")
        bundle_id = six.ensure_str(found.group(1))
        is_list = found.group(2) == b"all-channels"
        reason = caller.judge(head.authorization, bundle_id) or head.fault
        if reason is not None:
            return _refusal(reason)
        if is_list:
            if head.method != b"GET":
                return _refusal("MethodNotAllowed")
            return _success(200, {"channels": self.ids(bundle_id)})
        if head.method == b"POST":
            return self._create(bundle_id, request.body)
        if head.method not in (b"GET", b"DELETE"):
            return _refusal("MethodNotAllowed")
        return self._read_or_delete(bundle_id, head)

    def _create(self, bundle_id, body):
        # type: (str, bytes) -> Verdict
        try:
            wanted = decode_json(body)
            push_type = wanted.get("push-type")
        except (AttributeError, ValueError):
            return _refusal("CannotCreateChannelConfig")
        if push_type != _PUSH_TYPE:
            return _refusal("MissingPushType" if push_type is None else "InvalidPushType")
        try:
            channel_id = self.create(bundle_id, wanted.get("message-storage-policy"))
        except ValueError:
            return _refusal("CannotCreateChannelConfig")
        return _success(201, None, [(b"apns-channel-id", channel_id.encode("ascii"))])

    def _read_or_delete(self, bundle_id, head):
        # type: (str, Head) -> Verdict
        reason = self._fault_of_channel(bundle_id, head)
        if reason is not None:
            return _refusal(reason)
        channel_id = head.channel_id or ""
        if head.method == b"DELETE":
            self.delete(bundle_id, channel_id)
            return _success(204)
        return _success(200, {"push-type": _PUSH_TYPE, "message-storage-policy":
                              self.storage_policy(bundle_id, channel_id)})

    def _fault_of_channel(self, bundle_id, head):
        # type: (str, Head) -> Optional[str]
        """Return the reason against the channel that a request names, None if there is none."""
        if not head.channel_id:
            return "MissingChannelId"
        try:
            base64.b64decode(head.channel_id)
        except (binascii.Error, TypeError, ValueError):
            return "BadChannelId"
        if self.storage_policy(bundle_id, head.channel_id) is None:
            return "ChannelNotRegistered"
        return None


def _fault_of_broadcast(request, head):
    # type: (Request, Head) -> Optional[str]
    if head.push_type != "liveactivity":
        return "MissingPushType" if head.push_type is None else "InvalidPushType"
    if head.expiry is None:
        return "BadExpirationDate"
    if not request.body:
        return "PayloadEmpty"
    return "PayloadTooLarge" if len(request.body) > PAYLOAD_SIZE else None


def _refusal(reason):
    # type: (str) -> Verdict
    return refusal(reason)._replace(reply=_NO_BODY)


def _success(status, body=None, fields=()):
    # type: (int, Any, Any) -> Verdict
    text = b"" if body is None else json.dumps(body, sort_keys=True).encode("ascii")
    return Verdict(status, None, None, None, Reply(tuple(fields), text))
