"""Notifications to an application: alerts, background updates, and the others but Live Activities.
"""

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping, Optional, Union

from .._headers import push_type_of
from ._base import HEADERS, BaseNotification
from ._checks import NONE, OBJECT, Moment, check_types
from ._kinds import InterruptionLevel, PushType
from ._texts import Alert, Sound

__all__ = ["EXTRA", "BackgroundUpdate", "Notification", "RawNotification", "WidgetUpdate",
           "check_extra"]

_HOME = "apnsclient.models"


@dataclass(frozen=True)
class Notification(BaseNotification):
    """A notification, in most cases one that the user sees or hears.

    :param alert: the text (str), or :class:`Alert`.
    :param push_type: what it is for (:class:`PushType`).
    :param badge: number on the icon of the application; 0 removes it (int).
    :param sound: name of a sound file of the application, or ``"default"`` (str), or
        :class:`Sound`.
    :param content_available: whether there is content to fetch in the background (bool).
    :param category: kind of the notification, by which the application offers actions (str).
    :param thread_id: notifications with the same one are grouped (str).
    :param mutable_content: whether the application's service extension may change it before it is
        shown (bool).
    :param target_content_id: identifier of the window to bring forward (str).
    :param extra: keys of the application, beside Apple's ``aps`` (dict).
    :param interruption_level: how much it may interrupt (:class:`InterruptionLevel`).
    :param relevance_score: from 0 to 1: the highest of an application is featured in the
        notification summary (int or float).
    :param filter_criteria: what the system compares with a Focus of the user (str).
    :param priority: 10, 5 or 1 (:class:`Priority` or int). None means
        :attr:`~BaseNotification.default_priority`.
    :param expiration: when Apple may stop trying to deliver it: seconds since 1970, a ``datetime``
        (a naive one is local time), or a ``timedelta`` from the time of sending. 0 means that it is
        not to be stored; None leaves it to the client.
    :param collapse_id: notifications with the same one replace each other on the device (str; Apple
        takes 64 bytes).
    :raises TypeError: if a value has another type.
    :raises ValueError: if ``extra`` has a key ``aps``.
    """

    __module__ = _HOME

    alert: Union[str, Alert, None] = None
    push_type: PushType = PushType.alert
    badge: Optional[int] = None
    sound: Union[str, Sound, None] = None
    content_available: bool = False
    category: Optional[str] = None
    thread_id: Optional[str] = None
    mutable_content: bool = False
    target_content_id: Optional[str] = None
    extra: Optional[Mapping[str, Any]] = field(default=None, hash=False)
    interruption_level: Optional[InterruptionLevel] = None
    relevance_score: Optional[float] = None
    filter_criteria: Optional[str] = None
    priority: Optional[int] = None
    expiration: Optional[Moment] = None
    collapse_id: Optional[str] = None

    def __post_init__(self) -> None:
        check_types(self, _NOTIFICATION)
        check_extra(self.extra)

    def get_dict(self) -> Dict[str, Any]:
        """Return the payload with Apple's keys (dict)."""
        values = vars(self)
        aps: Dict[str, Any] = {}
        for name, key in _KEYS:
            value = values[name]
            if value is not None:
                aps[key] = value
        if isinstance(self.alert, Alert):
            aps["alert"] = self.alert.get_dict()
        if isinstance(self.sound, Sound):
            aps["sound"] = self.sound.get_value()
        if self.interruption_level is not None:
            aps["interruption-level"] = self.interruption_level.value
        if self.content_available:
            aps["content-available"] = 1
        if self.mutable_content:
            aps["mutable-content"] = 1
        content: Dict[str, Any] = {"aps": aps}
        if self.extra:
            content.update(self.extra)
        return content


@dataclass(frozen=True)
class BackgroundUpdate(BaseNotification):
    """A notification that the user does not notice: it wakes the application to fetch content.

    Apple delivers a few of them in an hour, by the power of the device (*Pushing background
    updates to your App*).

    :param extra: keys of the application, beside Apple's ``aps`` (dict).
    :param priority: None means 5, the only one that Apple takes (:class:`Priority` or int).
    :param expiration: see :class:`Notification`.
    :param collapse_id: see :class:`Notification`.
    :raises TypeError: if a value has another type.
    :raises ValueError: if ``extra`` has a key ``aps``.
    """

    __module__ = _HOME

    extra: Optional[Mapping[str, Any]] = field(default=None, hash=False)
    priority: Optional[int] = None
    expiration: Optional[Moment] = None
    collapse_id: Optional[str] = None

    push_type = PushType.background

    def __post_init__(self) -> None:
        check_types(self, _BACKGROUND_UPDATE)
        check_extra(self.extra)

    def get_dict(self) -> Dict[str, Any]:
        """Return the payload with Apple's keys (dict)."""
        content: Dict[str, Any] = {"aps": {"content-available": 1}}
        content.update(self.extra or {})
        return content


@dataclass(frozen=True)
class WidgetUpdate(BaseNotification):
    """A notification that reloads the widgets of an application, or a control.

    The tokens are those of WidgetKit, not those of the application. Apple does not reload widgets
    for each one (*Updating widgets with WidgetKit push notifications*).

    :param push_type: ``PushType.widgets`` or ``PushType.controls``.
    :param priority: see :class:`Notification`.
    :param expiration: see :class:`Notification`.
    :param collapse_id: see :class:`Notification`.
    :raises TypeError: if a value has another type.
    """

    __module__ = _HOME

    push_type: PushType = PushType.widgets
    priority: Optional[int] = None
    expiration: Optional[Moment] = None
    collapse_id: Optional[str] = None

    def __post_init__(self) -> None:
        check_types(self, _WIDGET_UPDATE)

    def get_dict(self) -> Dict[str, Any]:
        """Return the payload with Apple's keys (dict)."""
        return {"aps": {"content-changed": True}}


@dataclass(frozen=True)
class RawNotification(BaseNotification):
    """A payload of the program's own: for MDM, File Provider, and whatever Apple adds.

    :param payload: the whole payload (dict).
    :param push_type: what it is for (:class:`PushType`). None derives it from the payload, as
        :class:`~apnsclient.apns.Message` does.
    :param priority: see :class:`Notification`.
    :param expiration: see :class:`Notification`.
    :param collapse_id: see :class:`Notification`.
    :raises TypeError: if a value has another type.
    """

    __module__ = _HOME

    payload: Mapping[str, Any] = field(hash=False)
    push_type: PushType = None  # type: ignore[assignment]
    priority: Optional[int] = None
    expiration: Optional[Moment] = None
    collapse_id: Optional[str] = None

    def __post_init__(self) -> None:
        check_types(self, _RAW_NOTIFICATION)
        if self.push_type is None:
            object.__setattr__(self, "push_type", PushType(push_type_of(self.get_dict())))

    def get_dict(self) -> Dict[str, Any]:
        """Return the payload (dict)."""
        return dict(self.payload)


def check_extra(extra: Optional[Mapping[str, Any]]) -> None:
    """Check the keys of an application.

    :raises ValueError: if ``aps`` is one of them.
    """
    if extra and "aps" in extra:
        raise ValueError("extra has a key 'aps', which is Apple's; use the fields of the "
                         "notification, or RawNotification to write that part yourself")


#: Apple's keys of the fields that are written as they are.
_KEYS = (("alert", "alert"), ("badge", "badge"), ("sound", "sound"), ("category", "category"),
         ("thread_id", "thread-id"), ("target_content_id", "target-content-id"),
         ("relevance_score", "relevance-score"), ("filter_criteria", "filter-criteria"))

#: The types of the keys of an application, for ``check_types()``.
EXTRA = (("extra", (NONE,) + OBJECT),)
_NOTIFICATION = (
    ("alert", (str, Alert, NONE)), ("push_type", (PushType,)), ("badge", (NONE, int)),
    ("sound", (NONE, str, Sound)), ("content_available", (bool,)), ("category", (NONE, str)),
    ("thread_id", (NONE, str)), ("mutable_content", (bool,)), ("target_content_id", (NONE, str)),
    ("interruption_level", (NONE, InterruptionLevel)), ("relevance_score", (NONE, int, float)),
    ("filter_criteria", (NONE, str))) + EXTRA + HEADERS
_BACKGROUND_UPDATE = EXTRA + HEADERS
_WIDGET_UPDATE = (("push_type", (PushType,)),) + HEADERS
_RAW_NOTIFICATION = (("payload", OBJECT), ("push_type", (PushType, NONE))) + HEADERS
