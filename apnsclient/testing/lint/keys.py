"""Rules for the keys of a payload: misspelt ones, and values of the wrong type."""

from __future__ import absolute_import, division, print_function

import re

from ..._compat import MYPY
from .finding import NOTE, WARNING, Place, Rule, is_number, is_text, show
from .sources import ARCHIVE, GENERATING, LIVE_ACTIVITY, WIDGETS

if MYPY:
    from typing import Any, List

    from .subject import Subject

__all__ = ["RULES"]

#: Findings of one rule, at most.
_MOST_PLACES = 8


def _is_list_of_texts(value):
    # type: (Any) -> bool
    return isinstance(value, list) and all(is_text(each) for each in value)


def _is_object(value):
    # type: (Any) -> bool
    return isinstance(value, dict)


def _is_text_or_object(value):
    # type: (Any) -> bool
    return is_text(value) or isinstance(value, dict)


def _is_whole(value):
    # type: (Any) -> bool
    return is_number(value) and value == value and abs(value) < 1e18 and int(value) == value


def _is_one(value):
    # type: (Any) -> bool
    return is_number(value) and value == 1


def _is_flag(value):
    # type: (Any) -> bool
    return isinstance(value, bool)


_TEXT = (is_text, "text")
_NUMBER = (is_number, "a number")
_OBJECT = (_is_object, "an object")
_WHOLE = (_is_whole, "a whole number, without quotes")
_ONE = (_is_one, "the number 1; leave the key out otherwise")
_TEXTS = (_is_list_of_texts, "a list of texts")

#: Keys of ``aps`` (Apple, the pages of the rules below), what each takes, and that in words.
_APS = {
    "alert": (_is_text_or_object, "text or an object"),
    "attributes": _OBJECT,
    "attributes-type": _TEXT,
    "badge": _WHOLE,
    "category": _TEXT,
    "content-available": _ONE,
    "content-changed": (_is_flag, "true"),
    "content-state": _OBJECT,
    "dismissal-date": _NUMBER,
    "event": _TEXT,
    "filter-criteria": _TEXT,
    "input-push-channel": _TEXT,
    "input-push-token": _ONE,
    "interruption-level": _TEXT,
    "mutable-content": _ONE,
    "relevance-score": _NUMBER,
    "sound": (_is_text_or_object, "text or an object"),
    "stale-date": _NUMBER,
    "target-content-id": _TEXT,
    "thread-id": _TEXT,
    "timestamp": _WHOLE,
}
#: The same of an alert; a Live Activity has objects in place of its texts.
_ALERT = {
    "body": _TEXT, "launch-image": _TEXT, "loc-args": _TEXTS, "loc-key": _TEXT,
    "subtitle": _TEXT, "subtitle-loc-args": _TEXTS, "subtitle-loc-key": _TEXT, "title": _TEXT,
    "title-loc-args": _TEXTS, "title-loc-key": _TEXT,
}
_LIVE_ALERT = dict(_ALERT, body=(_is_text_or_object, "text or an object"),
                   title=(_is_text_or_object, "text or an object"), sound=_TEXT)

#: Keys that Apple had, and what stands for them now.
_DEPRECATED_IN_APS = {
    "url-args": "it was for push notifications of web sites in Safari; use Web Push",
}
_DEPRECATED_IN_ALERT = {
    "action": "use a category with actions",
    "action-loc-key": "use a category with actions",
    "summary-arg": "iOS 15 and later ignore it",
    "summary-arg-count": "iOS 15 and later ignore it",
}

#: Keys that an application will hardly have of its own.
_TYPICAL = frozenset(name for name in _APS if "-" in name) | frozenset(("alert", "badge", "sound"))

_SEPARATORS = re.compile(r"[-_ .]")


def _reduce(key):
    # type: (Any) -> Any
    return _SEPARATORS.sub("", key.lower())


_REDUCED_APS = dict((_reduce(name), name) for name in _APS)
_REDUCED_ALERT = dict((_reduce(name), name) for name in _LIVE_ALERT)


def _find_misspelt(subject):
    # type: (Subject) -> List[Place]
    found = []  # type: List[Place]
    for place, value, known, reduced in _objects(subject):
        for key in value:
            if key in known or len(found) >= _MOST_PLACES:
                continue
            right = reduced.get(_reduce(key))
            if right is not None:
                found.append(Place("%s.%s" % (place, right), "%s is not %s, and is ignored" % (
                    show(key), right)))
    return found


def _find_unknown(subject):
    # type: (Subject) -> List[Place]
    found = []  # type: List[Place]
    for place, value, known, reduced in _objects(subject):
        deprecated = _DEPRECATED_IN_APS if place == "aps" else _DEPRECATED_IN_ALERT
        for key in value:
            if key in known or key in deprecated or len(found) >= _MOST_PLACES \
                    or _reduce(key) in reduced:
                continue
            found.append(Place(place, "%s is not a key of Apple's; put what is your own beside "
                                      "aps" % show(key)))
    return found


def _find_deprecated(subject):
    # type: (Subject) -> List[Place]
    found = [Place("aps." + key, "%s is deprecated: %s" % (key, text))
             for key, text in _DEPRECATED_IN_APS.items() if key in subject.aps]
    if isinstance(subject.alert, dict):
        found += [Place("aps.alert." + key, "%s is deprecated: %s" % (key, text))
                  for key, text in _DEPRECATED_IN_ALERT.items() if key in subject.alert]
    return found


def _find_beside(subject):
    # type: (Subject) -> List[Place]
    payload, aps = subject.payload, subject.aps
    return [Place(name, "%s stands beside aps, and is to stand in it" % name)
            for name in sorted(_TYPICAL.intersection(payload)) if name not in aps][:_MOST_PLACES]


def _find_wrong_types(subject):
    # type: (Subject) -> List[Place]
    found = []  # type: List[Place]
    for place, value, known, _ in _objects(subject):
        for key in value:
            row = known.get(key)
            if row is not None and not row[0](value[key]):
                expected = row[1]
                if value[key] is None:
                    expected += "; leave the key out to send nothing"
                found.append(Place("%s.%s" % (place, key), "%s is %s, expected %s" % (
                    key, show(value[key]), expected)))
    return found


def _objects(subject):
    # type: (Subject) -> Any
    """Return place, object, known keys and these in their reduced spelling."""
    found = [("aps", subject.aps, _APS, _REDUCED_APS)]  # type: List[Any]
    if isinstance(subject.alert, dict):
        known = _LIVE_ALERT if subject.push_type == "liveactivity" else _ALERT
        found.append(("aps.alert", subject.alert, known, _REDUCED_ALERT))
    return found


RULES = (
    Rule("misspelt-key", WARNING, _find_misspelt, "aps", GENERATING + "; jpoz/APNS 37"),
    Rule("unknown-key", NOTE, _find_unknown, "aps", ARCHIVE),
    Rule("deprecated-key", NOTE, _find_deprecated, "aps",
         ARCHIVE + "; Apple, UNNotificationContent"),
    Rule("key-beside-aps", WARNING, _find_beside, "aps", GENERATING),
    Rule("wrong-type", WARNING, _find_wrong_types, "aps",
         "%s; %s; %s; richsage/RMSPushNotificationsBundle 62"
         % (GENERATING, LIVE_ACTIVITY, WIDGETS)),
)
