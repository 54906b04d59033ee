"""Rules for Live Activities."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from .finding import ERROR, WARNING, Place, Rule, is_text, show
from .sources import BROADCAST, LIVE_ACTIVITY, SENDING

if MYPY:
    from typing import List, Optional

    from .subject import Subject

__all__ = ["OTHER_RULES", "RULES"]

_EVENTS = ("start", "update", "end")
#: What only the event ``start`` takes.
_OF_START = ("attributes", "attributes-type", "input-push-channel", "input-push-token")


def _has_unknown_event(subject):
    # type: (Subject) -> Optional[str]
    event = subject.aps.get("event")
    if event is None:
        return "there is no event, expected one of %s" % ", ".join(_EVENTS)
    if event not in _EVENTS:
        return "event is %s, expected one of %s" % (show(event), ", ".join(_EVENTS))
    return None


def _has_no_timestamp(subject):
    # type: (Subject) -> Optional[str]
    if "timestamp" not in subject.aps:
        return ("there is no timestamp, by which the device tells the latest; send the seconds "
                "since 1970")
    return None


def _has_no_content(subject):
    # type: (Subject) -> Optional[str]
    event = subject.aps.get("event")
    if event in ("start", "update") and "content-state" not in subject.aps:
        return "there is no content-state, which the event %s needs" % event
    return None


def _find_missing_of_start(subject):
    # type: (Subject) -> List[Place]
    if subject.aps.get("event") != "start":
        return []
    return [Place("aps." + name, "there is no %s, which the event start needs" % name)
            for name in ("attributes-type", "attributes") if name not in subject.aps]


def _starts_without_alert(subject):
    # type: (Subject) -> Optional[str]
    if subject.aps.get("event") == "start" and not subject.alert:
        return "there is no alert: Apple wants one with the event start, so that the user knows"
    return None


def _find_only_of_start(subject):
    # type: (Subject) -> List[Place]
    event = subject.aps.get("event")
    if event not in ("update", "end"):
        return []
    return [Place("aps." + name, "%s is for the event start, and the event is %s" % (name, event))
            for name in _OF_START if name in subject.aps]


def _has_two_inputs(subject):
    # type: (Subject) -> Optional[str]
    if "input-push-token" in subject.aps and "input-push-channel" in subject.aps:
        return ("there are input-push-token and input-push-channel: updates come by one or the "
                "other")
    return None


def _is_dismissed_early(subject):
    # type: (Subject) -> Optional[str]
    event = subject.aps.get("event")
    if event in ("start", "update") and "dismissal-date" in subject.aps:
        return "dismissal-date is for the event end, and the event is %s" % event
    return None


def _has_sound_beside_alert(subject):
    # type: (Subject) -> Optional[str]
    if "sound" in subject.aps:
        return "the sound of a Live Activity is part of its alert: move it into aps.alert"
    return None


def _has_plain_alert(subject):
    # type: (Subject) -> Optional[str]
    if is_text(subject.alert):
        return "the alert of a Live Activity is an object with title and body, and this is text"
    return None


def _starts_by_broadcast(subject):
    # type: (Subject) -> Optional[str]
    if subject.exchange.kind == "broadcast" and subject.aps.get("event") == "start":
        return ("a broadcast cannot start a Live Activity: start it by a push-to-start token, with "
                "input-push-channel")
    return None


def _is_for_another_type(subject):
    # type: (Subject) -> Optional[str]
    push_type = subject.exchange.push_type
    if push_type is not None and subject.aps.get("event") in _EVENTS \
            and "content-state" in subject.aps:
        return ("it has an event and a content-state, as a Live Activity has, and its push type is "
                "%s; send it as liveactivity" % show(push_type))
    return None


RULES = (
    Rule("live-activity-event", ERROR, _has_unknown_event, "aps.event", LIVE_ACTIVITY),
    Rule("missing-timestamp", ERROR, _has_no_timestamp, "aps.timestamp", LIVE_ACTIVITY),
    Rule("missing-content-state", ERROR, _has_no_content, "aps.content-state", LIVE_ACTIVITY),
    Rule("missing-attributes", ERROR, _find_missing_of_start, "aps.attributes", LIVE_ACTIVITY),
    Rule("start-without-alert", ERROR, _starts_without_alert, "aps.alert", LIVE_ACTIVITY),
    Rule("only-for-start", WARNING, _find_only_of_start, "aps", LIVE_ACTIVITY),
    Rule("two-inputs", WARNING, _has_two_inputs, "aps", LIVE_ACTIVITY),
    Rule("dismissal-date-before-end", WARNING, _is_dismissed_early, "aps.dismissal-date",
         LIVE_ACTIVITY),
    Rule("sound-beside-alert", WARNING, _has_sound_beside_alert, "aps.sound", LIVE_ACTIVITY),
    Rule("live-activity-plain-alert", WARNING, _has_plain_alert, "aps.alert", LIVE_ACTIVITY),
    Rule("start-by-broadcast", ERROR, _starts_by_broadcast, "aps.event", BROADCAST),
)

#: Rules for pushes of any other type.
OTHER_RULES = (
    Rule("live-activity-push-type", ERROR, _is_for_another_type, "apns-push-type", SENDING),
)
