"""Rules for what a notification shows, plays or starts, or for why it does nothing."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from .finding import ERROR, NOTE, WARNING, Place, Rule, is_number, is_text, show
from .sources import BACKGROUND, GENERATING, MODIFYING, PUSH_TO_TALK, SENDING, VOIP, WIDGETS

if MYPY:
    from typing import Any, List, Optional

    from .subject import Subject

__all__ = ["RULES"]

_LEVELS = ("active", "critical", "passive", "time-sensitive")
_TEXTS = ("body", "loc-key", "subtitle", "subtitle-loc-key", "title", "title-loc-key")
#: Keys of arguments, and the keys that they are for.
_ARGUMENTS = (("loc-args", "loc-key"), ("title-loc-args", "title-loc-key"),
              ("subtitle-loc-args", "subtitle-loc-key"))


def _is_visible_background(subject):
    # type: (Subject) -> Optional[str]
    if subject.push_type == "background" and subject.is_visible:
        names = [name for name in ("alert", "badge", "sound") if name in subject.aps]
        return ("a background push must not have %s: send what the user sees as an alert"
                % " or ".join(names))
    return None


def _is_background_without_content(subject):
    # type: (Subject) -> Optional[str]
    if subject.push_type == "background" and "content-available" not in subject.aps:
        return ("a background push needs \"content-available\": 1 in aps; without it the "
                "application is not woken")
    return None


def _is_two_in_one(subject):
    # type: (Subject) -> Optional[str]
    if subject.push_type == "alert" and subject.is_visible and "content-available" in subject.aps:
        return ("it is two things in one: an alert, and content-available, which wakes the "
                "application; the latter may be throttled, whatever becomes of the alert")
    return None


def _is_silent_alert(subject):
    # type: (Subject) -> Optional[str]
    exchange = subject.exchange
    if exchange.push_type == "alert" and not subject.is_visible and subject.payload \
            and "event" not in subject.aps and "mdm" not in subject.payload:
        if "content-available" in subject.aps:
            return ("its push type is alert, and there is nothing to show; send it as background, "
                    "with priority 5")
        return "its push type is alert, and there is no alert, badge or sound to show"
    return None


def _has_empty_alert(subject):
    # type: (Subject) -> Optional[str]
    alert = subject.alert
    if is_text(alert) and not alert.strip():
        return "the alert is empty, so that nothing is shown; leave it out, or give a text"
    if isinstance(alert, dict) and not any(alert.get(name) for name in _TEXTS):
        return "the alert has neither a title nor a body, so that nothing is shown"
    return None


def _is_mutable_without_alert(subject):
    # type: (Subject) -> Optional[str]
    if "mutable-content" in subject.aps and not subject.alert:
        return ("mutable-content is for notifications with an alert: without one the service "
                "extension is not started")
    return None


def _has_unknown_level(subject):
    # type: (Subject) -> Optional[str]
    level = subject.aps.get("interruption-level")
    if is_text(level) and level not in _LEVELS:
        return "interruption-level is %s, expected one of %s" % (show(level), ", ".join(_LEVELS))
    return None


def _is_critical_without_sound(subject):
    # type: (Subject) -> Optional[str]
    sound = subject.aps.get("sound")
    if subject.aps.get("interruption-level") == "critical" and not (
            isinstance(sound, dict) and sound.get("critical") == 1):
        return ("interruption-level is critical, and the sound is not: send \"sound\": "
                "{\"critical\": 1, \"name\": \"default\", \"volume\": 1.0}")
    return None


def _is_critical(subject):
    # type: (Subject) -> Optional[str]
    sound = subject.aps.get("sound")
    if subject.aps.get("interruption-level") == "critical" or (
            isinstance(sound, dict) and sound.get("critical") == 1):
        return "critical alerts need an entitlement that Apple grants, and the user's permission"
    return None


def _is_time_sensitive(subject):
    # type: (Subject) -> Optional[str]
    if subject.aps.get("interruption-level") == "time-sensitive":
        return ("time-sensitive needs that capability in the application; without it the level is "
                "active")
    return None


def _has_score_out_of_range(subject):
    # type: (Subject) -> Optional[str]
    score = subject.aps.get("relevance-score")  # type: Any
    if subject.push_type != "liveactivity" and is_number(score) and not 0 <= score <= 1:
        return "relevance-score is %s, expected a number from 0 to 1" % show(score)
    return None


def _has_negative_badge(subject):
    # type: (Subject) -> Optional[str]
    badge = subject.aps.get("badge")  # type: Any
    if is_number(badge) and badge < 0:
        return "badge is %s; 0 removes it" % show(badge)
    return None


def _find_strange_sound(subject):
    # type: (Subject) -> List[Place]
    sound = subject.aps.get("sound")
    if not isinstance(sound, dict):
        return []
    found = []
    if not is_text(sound.get("name")) or not sound["name"]:
        found.append(Place("aps.sound.name", "the sound has no name; \"default\" is the system's"))
    volume = sound.get("volume")
    if volume is not None and not (is_number(volume) and 0 <= volume <= 1):
        found.append(Place("aps.sound.volume", "volume is %s, expected a number from 0 to 1"
                           % show(volume)))
    if sound.get("critical") not in (None, 0, 1) or isinstance(sound.get("critical"), bool):
        found.append(Place("aps.sound.critical", "critical is %s, expected the number 1"
                           % show(sound["critical"])))
    elif not sound.get("critical"):
        found.append(Place("aps.sound", "an object as the sound is for critical alerts; for a "
                                        "regular one give the name of the file alone"))
    return found


def _find_lonely_arguments(subject):
    # type: (Subject) -> List[Place]
    alert = subject.alert
    if not isinstance(alert, dict):
        return []
    return [Place("aps.alert." + arguments, "there is %s, and no %s that they are for" % (
        arguments, key)) for arguments, key in _ARGUMENTS
        if arguments in alert and key not in alert]


def _find_texts_beside_keys(subject):
    # type: (Subject) -> List[Place]
    alert = subject.alert
    if not isinstance(alert, dict):
        return []
    return [Place("aps.alert." + key, "there is a text as well as %s; the device looks that up, "
                                      "and does not show the text" % key)
            for key, text in (("loc-key", "body"), ("title-loc-key", "title"),
                              ("subtitle-loc-key", "subtitle")) if key in alert and text in alert]


def _is_visible_call(subject):
    # type: (Subject) -> Optional[str]
    if subject.push_type == "voip" and subject.alert is not None:
        return ("a VoIP push shows no alert: the application gets it, and has to report a call "
                "to CallKit at once")
    return None


def _is_stored_call(subject):
    # type: (Subject) -> Optional[str]
    expiration = subject.exchange.expiration
    if subject.exchange.push_type == "voip" and (expiration is None
                                                 or expiration > subject.now + 60):
        return ("a call that is delivered late rings when it is over: set apns-expiration to 0, "
                "or a few seconds ahead")
    return None


def _is_stored_talk(subject):
    # type: (Subject) -> Optional[str]
    exchange = subject.exchange
    if exchange.push_type == "pushtotalk" and (exchange.expiration != 0
                                               or exchange.priority != 10):
        return "a Push to Talk notification has apns-priority 10 and apns-expiration 0"
    return None


def _is_widget_without_change(subject):
    # type: (Subject) -> Optional[str]
    if subject.push_type in ("widgets", "controls") and subject.payload \
            and "content-changed" not in subject.aps:
        return ("a push for %s has {\"aps\": {\"content-changed\": true}}, and this one has not"
                % subject.push_type)
    return None


RULES = (
    Rule("visible-background", WARNING, _is_visible_background, "aps", BACKGROUND),
    Rule("background-without-content", WARNING, _is_background_without_content,
         "aps.content-available", BACKGROUND),
    Rule("alert-and-background", NOTE, _is_two_in_one, "aps.content-available",
         BACKGROUND + "; matthijs2704/vapor-apns 22"),
    Rule("nothing-to-show", WARNING, _is_silent_alert, "aps",
         SENDING + "; malliina/mobile-push 19"),
    Rule("empty-alert", WARNING, _has_empty_alert, "aps.alert",
         GENERATING + "; node-apn/node-apn 164"),
    Rule("mutable-without-alert", WARNING, _is_mutable_without_alert, "aps.mutable-content",
         MODIFYING),
    Rule("unknown-interruption-level", WARNING, _has_unknown_level, "aps.interruption-level",
         GENERATING),
    Rule("critical-without-sound", WARNING, _is_critical_without_sound, "aps.sound",
         GENERATING + "; home-assistant/companion.home-assistant 1078"),
    Rule("critical-alert", NOTE, _is_critical, "aps.sound", GENERATING),
    Rule("time-sensitive", NOTE, _is_time_sensitive, "aps.interruption-level",
         "Apple, UNNotificationInterruptionLevel"),
    Rule("relevance-score-out-of-range", WARNING, _has_score_out_of_range, "aps.relevance-score",
         GENERATING),
    Rule("negative-badge", WARNING, _has_negative_badge, "aps.badge", GENERATING),
    Rule("incomplete-sound", WARNING, _find_strange_sound, "aps.sound", GENERATING),
    Rule("arguments-without-key", WARNING, _find_lonely_arguments, "aps.alert", GENERATING),
    Rule("text-beside-key", NOTE, _find_texts_beside_keys, "aps.alert", GENERATING),
    Rule("voip-alert", NOTE, _is_visible_call, "aps.alert", VOIP),
    Rule("voip-expiration", NOTE, _is_stored_call, "apns-expiration", VOIP),
    Rule("push-to-talk-headers", WARNING, _is_stored_talk, "apns-expiration", PUSH_TO_TALK),
    Rule("missing-content-changed", ERROR, _is_widget_without_change, "aps.content-changed",
         WIDGETS),
)
