"""Notifications as values, for both clients.

It needs Python 3.8 or newer; older ones can read this file, and no other of this folder.

Instead of a dict with Apple's keys, a program makes a :class:`Notification`, or what its push type
needs: :class:`BackgroundUpdate`, :class:`LiveActivity`, :class:`WidgetUpdate`, or
:class:`RawNotification`, which has a payload of the program's own. They are frozen dataclasses,
which can be compared, pickled, and changed by ``dataclasses.replace()``. What is None, or False, is
left out of the payload; 0 is not.

A value of the wrong type raises :class:`TypeError` when the notification is made; whether Apple
takes a value of the right type is left to Apple. A payload that is too large for Apple raises
:class:`ValueError` before anything is sent.

Sources: Apple, *Generating a remote notification*, *Starting and updating Live Activities with
ActivityKit push notifications*, *Updating widgets with WidgetKit push notifications*.
"""

import sys

if sys.version_info < (3, 8):
    raise ImportError("apnsclient.models needs Python 3.8 or newer, and this is Python %d.%d"
                      % sys.version_info[:2])

from ._base import (
    MAX_BROADCAST_SIZE,
    MAX_PAYLOAD_SIZE,
    MAX_VOIP_SIZE,
    BaseNotification,
    RequestParts,
)
from ._kinds import InterruptionLevel, LiveActivityEvent, Priority, PushType
from ._live_activity import LiveActivity, swift_date
from ._notifications import BackgroundUpdate, Notification, RawNotification, WidgetUpdate
from ._texts import Alert, Localized, Sound

__all__ = [
    "MAX_BROADCAST_SIZE",
    "MAX_PAYLOAD_SIZE",
    "MAX_VOIP_SIZE",
    "Alert",
    "BackgroundUpdate",
    "BaseNotification",
    "InterruptionLevel",
    "LiveActivity",
    "LiveActivityEvent",
    "Localized",
    "Notification",
    "Priority",
    "PushType",
    "RawNotification",
    "RequestParts",
    "Sound",
    "WidgetUpdate",
    "swift_date",
]
