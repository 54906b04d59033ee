"""The choices that Apple offers, as enumerations: push types, priorities, levels and events."""

from enum import Enum, IntEnum

__all__ = ["InterruptionLevel", "LiveActivityEvent", "Priority", "PushType"]

#: Where programs import the classes from: their pickles have this name.
_HOME = "apnsclient.models"


class _Choice(str, Enum):
    """A str: it can be given wherever the text is expected, and is written as that text."""

    def __str__(self) -> str:
        return str(self.value)


class PushType(_Choice):
    """What a notification is for: the header ``apns-push-type``, with its suffix of the topic.

    Source: Apple, *Sending notification requests to APNs*.
    """

    __module__ = _HOME

    alert = "alert"
    background = "background"
    voip = "voip"
    complication = "complication"
    fileprovider = "fileprovider"
    mdm = "mdm"
    controls = "controls"
    liveactivity = "liveactivity"
    location = "location"
    pushtotalk = "pushtotalk"
    widgets = "widgets"


class Priority(IntEnum):
    """How soon a notification is delivered: the header ``apns-priority``.

    ``immediately`` (10) delivers at once; ``normal`` (5) considers the power of the device;
    ``power`` (1) puts it above all else, and does not wake the device.
    """

    __module__ = _HOME

    immediately = 10
    normal = 5
    power = 1


class InterruptionLevel(_Choice):
    """How much a notification may interrupt: ``UNNotificationInterruptionLevel`` of Apple's.

    ``passive`` adds it to the list, without light or sound; ``active`` is what Apple assumes;
    ``time_sensitive`` breaks through a Focus and the notification summary; ``critical`` also
    through the mute switch, and needs an entitlement by Apple.
    """

    __module__ = _HOME

    passive = "passive"
    active = "active"
    time_sensitive = "time-sensitive"
    critical = "critical"


class LiveActivityEvent(_Choice):
    """What happens to a Live Activity."""

    __module__ = _HOME

    start = "start"
    update = "update"
    end = "end"
