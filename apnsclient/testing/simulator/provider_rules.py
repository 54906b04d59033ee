"""The rules by which Apple rejects the header of a push to a device.

A rule is a function that is given a :class:`.provider_head.Head` and returns True if it is broken.
Its docstring names the source, and in brackets whether other clients' users saw a real server do
so, or whether it was read only. :data:`RULES` has them in the order in which they are checked, each
with the reason that a request gets which breaks it.
"""

from __future__ import absolute_import, division, print_function

import re

from ..._compat import MYPY
from .provider_topics import PLAIN_TYPES, SUFFIXES

if MYPY:
    from typing import Optional

    from .provider_head import Head

__all__ = ["RULES", "find_fault"]

_COLLAPSE_SIZE = 64
_TOPIC = re.compile(r"^[0-9A-Za-z.-]{1,255}\Z")


def find_fault(head):
    # type: (Head) -> Optional[str]
    """Return the reason of the first rule that a header breaks, None if it breaks none."""
    for reason, is_broken in RULES:
        if is_broken(head):
            return reason
    return None


def _has_repeated_fields(head):
    # type: (Head) -> bool
    """Apple, *Handling notification responses from APNs* (read)."""
    return head.is_repetitive


def _has_bad_id(head):
    # type: (Head) -> bool
    """Apple, *Sending notification requests to APNs*: apns-id is a UUID (read)."""
    return head.apns_id is not None and head.echo is None


def _has_bad_expiration(head):
    # type: (Head) -> bool
    """Apple, *Sending notification requests to APNs*: it is in seconds since 1970 (read)."""
    return "apns-expiration" in head.names and head.expiry is None


def _has_bad_topic(head):
    # type: (Head) -> bool
    """Apple, *Handling notification responses from APNs*; what a bad one is, is a guess (read)."""
    return head.topic is not None and not _TOPIC.match(head.topic)


def _has_bad_priority(head):
    # type: (Head) -> bool
    """Apple, *Sending notification requests to APNs*: it is 10, 5 or 1 (read)."""
    return "apns-priority" in head.names and head.priority is None


def _has_long_collapse_id(head):
    # type: (Head) -> bool
    """Apple, *Sending notification requests to APNs*: it has at most 64 bytes (read)."""
    return head.collapse_id is not None and len(head.collapse_id) > _COLLAPSE_SIZE


def _has_unknown_push_type(head):
    # type: (Head) -> bool
    """Apple, *Handling notification responses from APNs* (read)."""
    push_type = head.push_type
    return not (push_type is None or push_type in SUFFIXES or push_type in PLAIN_TYPES)


def _is_urgent_background(head):
    # type: (Head) -> bool
    """Apple, *Sending notification requests to APNs*: "Using priority 10 is an error." (read)"""
    return head.push_type == "background" and head.priority == 10


def _has_suffix_of_another_type(head):
    # type: (Head) -> bool
    """Pr0Ger/PyAPNs2 87, AndrewBarba/apns2 23: an alert to a topic of VoIP (seen).

    Which suffix belongs to which type: Apple, *Sending notification requests to APNs*.
    """
    return head.kind is not None and head.push_type not in (None, head.kind)


def _lacks_suffix(head):
    # type: (Head) -> bool
    """laravel-notification-channels/apn 88: VoIP to a bundle identifier (seen).

    Which type needs which suffix: Apple, *Sending notification requests to APNs*.
    """
    return head.topic is not None and head.kind is None and head.push_type in SUFFIXES


RULES = (
    ("DuplicateHeaders", _has_repeated_fields),
    ("BadMessageId", _has_bad_id),
    ("BadExpirationDate", _has_bad_expiration),
    ("BadTopic", _has_bad_topic),
    ("BadPriority", _has_bad_priority),
    ("BadCollapseId", _has_long_collapse_id),
    ("InvalidPushType", _has_unknown_push_type),
    ("BadPriority", _is_urgent_background),
    ("InvalidPushType", _has_suffix_of_another_type),
    ("DeviceTokenNotForTopic", _lacks_suffix),
)
