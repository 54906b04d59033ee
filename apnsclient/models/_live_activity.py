"""Live Activities: what starts, updates and ends them.

Their alerts differ from those of other notifications: the texts of the strings files stand nested
below ``title`` and ``body``, and the sound is part of the alert (Apple, *Starting and updating Live
Activities with ActivityKit push notifications*).
"""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Dict, Mapping, Optional, Union

from ._base import HEADERS, BaseNotification
from ._checks import MOMENT, NONE, OBJECT, Moment, check_types, timestamp_of
from ._kinds import LiveActivityEvent, PushType
from ._notifications import EXTRA, check_extra
from ._texts import Alert

__all__ = ["LiveActivity", "swift_date"]

#: Seconds from 1970 to 2001, where Swift begins to count.
_SWIFT_EPOCH = 978307200

_Time = Union[float, datetime]


def swift_date(moment: datetime) -> float:
    """Return a date as it stands in the content state of a Live Activity.

    The device decodes content states and attributes with Swift's defaults, and by these a ``Date``
    is a number: seconds since 2001 (Apple, *JSONDecoder.DateDecodingStrategy*, ``deferredToDate``).
    Seconds since 1970 would be a date 31 years later, and text would not be decoded.

    :param moment: an aware ``datetime``, or a naive one, which is local time.
    """
    return moment.timestamp() - _SWIFT_EPOCH


def _now() -> int:
    return int(time.time())


def _or_now(moment: Optional[_Time]) -> _Time:
    return _now() if moment is None else moment


@dataclass(frozen=True)
class LiveActivity(BaseNotification):
    """A notification that starts, updates or ends a Live Activity.

    :meth:`start`, :meth:`update` and :meth:`end` make one with what each of them needs. Apple wants
    a provider token, and counts those of priority 10, which is what it assumes, towards a limit for
    the application: consider ``Priority.normal`` for updates that nobody waits for.

    :param event: ``start``, ``update`` or ``end`` (:class:`LiveActivityEvent`).
    :param content_state: what the Live Activity shows (dict): the fields of the application's
        ``ContentState``, as Swift decodes them. :func:`swift_date` makes dates.
    :param timestamp: when the content was true: seconds since 1970, or a ``datetime``. The device
        shows the latest, in whatever order they arrive. Default: the time at which this object is
        made.
    :param alert: lights up the device, and is shown large (:class:`Alert`).
    :param sound: name of a sound file of the application, which is played with the alert (str).
    :param stale_date: from when on the content is out of date: seconds since 1970, a ``datetime``,
        or a ``timedelta`` from the timestamp.
    :param dismissal_date: when a Live Activity that has ended is removed from the lock screen, in
        the same forms; None leaves it there for up to four hours, and a time that is past, such as
        0, removes it at once.
    :param relevance_score: orders the Live Activities of an application (int or float, such as 100
        and 50).
    :param attributes_type: name of the application's type of attributes (str).
    :param attributes: what does not change while it lasts (dict).
    :param input_push_channel: identifier of the channel that its updates will come from (str);
        iOS 18 and later.
    :param input_push_token: whether the application is to get a token for its updates (bool); iOS
        18 and later.
    :param extra: keys of the application, beside Apple's ``aps`` (dict).
    :param priority: 10 or 5 (:class:`Priority` or int). None means 10.
    :param expiration: see :class:`Notification`.
    :param collapse_id: see :class:`Notification`.
    :raises TypeError: if a value has another type.
    :raises ValueError: if what the event needs is missing, if there is a sound without an alert, or
        if ``extra`` has a key ``aps``.
    """

    __module__ = "apnsclient.models"

    event: LiveActivityEvent
    content_state: Optional[Mapping[str, Any]] = field(default=None, hash=False)
    timestamp: _Time = field(default_factory=_now)
    alert: Optional[Alert] = None
    sound: Optional[str] = None
    stale_date: Optional[Moment] = None
    dismissal_date: Optional[Moment] = None
    relevance_score: Optional[float] = None
    attributes_type: Optional[str] = None
    attributes: Optional[Mapping[str, Any]] = field(default=None, hash=False)
    input_push_channel: Optional[str] = None
    input_push_token: bool = False
    extra: Optional[Mapping[str, Any]] = field(default=None, hash=False)
    priority: Optional[int] = None
    expiration: Optional[Moment] = None
    collapse_id: Optional[str] = None

    push_type = PushType.liveactivity

    def __post_init__(self) -> None:
        check_types(self, _FIELDS)
        check_extra(self.extra)
        missing = [name for name in _NEEDED[self.event] if getattr(self, name) is None]
        if missing:
            raise ValueError("a Live Activity's %s needs %s" % (self.event, ", ".join(missing)))
        if self.sound is not None and self.alert is None:
            raise ValueError("a Live Activity's sound is part of its alert, and it has none; give "
                             "an alert, too")

    @classmethod
    def start(cls, attributes_type: str, attributes: Mapping[str, Any],
              content_state: Mapping[str, Any], alert: Alert, *, sound: Optional[str] = None,
              input_push_channel: Optional[str] = None, input_push_token: bool = False,
              stale_date: Optional[Moment] = None, relevance_score: Optional[float] = None,
              timestamp: Optional[_Time] = None, extra: Optional[Mapping[str, Any]] = None,
              priority: Optional[int] = None, expiration: Optional[Moment] = None,
              collapse_id: Optional[str] = None) -> "LiveActivity":
        """Return a notification that starts a Live Activity. It goes to a push-to-start token.

        Apple wants an alert, so that nobody is surprised. A broadcast cannot start any. The
        parameters are those of the class.
        """
        return cls(
            LiveActivityEvent.start, content_state, _or_now(timestamp), alert, sound, stale_date,
            relevance_score=relevance_score, attributes_type=attributes_type, attributes=attributes,
            input_push_channel=input_push_channel, input_push_token=input_push_token, extra=extra,
            priority=priority, expiration=expiration, collapse_id=collapse_id)

    @classmethod
    def update(cls, content_state: Mapping[str, Any], *, alert: Optional[Alert] = None,
               sound: Optional[str] = None, stale_date: Optional[Moment] = None,
               relevance_score: Optional[float] = None, timestamp: Optional[_Time] = None,
               extra: Optional[Mapping[str, Any]] = None, priority: Optional[int] = None,
               expiration: Optional[Moment] = None,
               collapse_id: Optional[str] = None) -> "LiveActivity":
        """Return a notification that updates a Live Activity.

        It goes to the token of that Live Activity, or to its channel. The parameters are those of
        the class.
        """
        return cls(
            LiveActivityEvent.update, content_state, _or_now(timestamp), alert, sound, stale_date,
            relevance_score=relevance_score, extra=extra, priority=priority, expiration=expiration,
            collapse_id=collapse_id)

    @classmethod
    def end(cls, content_state: Optional[Mapping[str, Any]] = None, *,
            dismissal_date: Optional[Moment] = None, alert: Optional[Alert] = None,
            sound: Optional[str] = None, relevance_score: Optional[float] = None,
            timestamp: Optional[_Time] = None, extra: Optional[Mapping[str, Any]] = None,
            priority: Optional[int] = None, expiration: Optional[Moment] = None,
            collapse_id: Optional[str] = None) -> "LiveActivity":
        """Return a notification that ends a Live Activity.

        It goes to the token of that Live Activity, or to its channel. The parameters are those of
        the class; the content state is what it shows until it is removed from the lock screen.
        """
        return cls(
            LiveActivityEvent.end, content_state, _or_now(timestamp), alert, sound,
            dismissal_date=dismissal_date, relevance_score=relevance_score, extra=extra,
            priority=priority, expiration=expiration, collapse_id=collapse_id)

    def get_dict(self) -> Dict[str, Any]:
        """Return the payload with Apple's keys (dict)."""
        values = vars(self)
        aps: Dict[str, Any] = {"timestamp": timestamp_of("timestamp", self.timestamp),
                               "event": self.event.value}
        for name, key in _KEYS:
            value = values[name]
            if value is not None:
                aps[key] = value
        for name, key in _DATES:
            value = values[name]
            if value is not None:
                aps[key] = self._date(name, value)
        if self.alert is not None:
            aps["alert"] = self._alert(self.alert)
        if self.input_push_token:
            aps["input-push-token"] = 1
        content = {"aps": aps}
        content.update(self.extra or {})
        return content

    def _date(self, name: str, moment: Moment) -> int:
        if isinstance(moment, timedelta):
            return timestamp_of(name, timestamp_of("timestamp", self.timestamp)
                                + moment.total_seconds())
        return timestamp_of(name, moment)

    def _alert(self, alert: Alert) -> Dict[str, Any]:
        found = alert.get_dict(is_nested=True)
        if self.sound is not None:
            found["sound"] = self.sound
        return found


#: What each event needs (Apple, the page above).
_NEEDED = {
    LiveActivityEvent.start: ("content_state", "attributes_type", "attributes", "alert"),
    LiveActivityEvent.update: ("content_state",),
    LiveActivityEvent.end: (),
}

#: Apple's keys of the fields that are written as they are.
_KEYS = (("content_state", "content-state"), ("relevance_score", "relevance-score"),
         ("attributes_type", "attributes-type"), ("attributes", "attributes"),
         ("input_push_channel", "input-push-channel"))
_DATES = (("stale_date", "stale-date"), ("dismissal_date", "dismissal-date"))

_FIELDS = (
    ("event", (LiveActivityEvent,)), ("content_state", OBJECT + (NONE,)),
    ("timestamp", (int, float, datetime)), ("alert", (NONE, Alert)), ("sound", (NONE, str)),
    ("stale_date", (NONE,) + MOMENT), ("dismissal_date", (NONE,) + MOMENT),
    ("relevance_score", (NONE, int, float)), ("attributes_type", (NONE, str)),
    ("attributes", OBJECT + (NONE,)), ("input_push_channel", (NONE, str)),
    ("input_push_token", (bool,))) + EXTRA + HEADERS
