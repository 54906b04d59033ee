"""What a device would show of a notification.

Sources: Apple, *Generating a remote notification*, *Pushing background updates to your App*,
*Starting and updating Live Activities with ActivityKit push notifications*, *Updating widgets with
WidgetKit push notifications*, *Responding to VoIP Notifications from PushKit*. What the application
makes of a notification, and what the user has allowed, is not known here.
"""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from .finding import is_number, is_text
from .subject import Subject

if MYPY:
    from typing import Any, Dict, Optional

__all__ = ["describe"]

#: Characters of a text that are kept, and arguments of a localised one.
_MOST_CHARACTERS, _MOST_ARGUMENTS = 2000, 20

_LEVELS = ("passive", "active", "time-sensitive", "critical")

#: Kinds by push type that show nothing themselves, and why.
_SILENT = {
    "voip": "voip",
    "complication": "complication",
    "location": "location",
    "fileprovider": "file provider",
    "pushtotalk": "push to talk",
    "mdm": "mdm",
    "widgets": "widget",
    "controls": "control",
}
_WHY_SILENT = {
    "voip": (
        "shows nothing itself: the application is started, and reports a call to CallKit, which "
        "shows that"),
    "complication": "shows nothing itself: the application on the watch updates its complication",
    "location": "shows nothing: the application's location extension is asked for the location",
    "fileprovider": "shows nothing: the file provider extension is told that files have changed",
    "pushtotalk": (
        "shows nothing itself: the application says who speaks, and the system shows that"),
    "mdm": "shows nothing: the device asks its management server for commands",
    "widgets": "shows nothing itself: the widgets of the application are reloaded",
    "controls": "shows nothing itself: the controls of the application are reloaded",
}
_EVENTS = {
    "start": "starts a Live Activity, which shows the content state as the application draws it",
    "update": "updates a Live Activity, which shows the content state as the application draws it",
    "end": "ends a Live Activity; it shows the last content state until it is removed",
}


def describe(exchange):
    # type: (Any) -> Dict[str, Any]
    """Return what a device would show of a notification, as a plain dict that JSON can hold.

    :param exchange: an :class:`.Exchange`, or what has its attributes.
    :return: dict with

        - ``kind`` (str): ``"alert"``, ``"badge"``, ``"sound"``, ``"live activity"``, ``"widget"``,
          ``"control"``, ``"background"``, ``"voip"``, ``"complication"``, ``"location"``, ``"file
          provider"``, ``"push to talk"``, ``"mdm"`` or ``"unknown"``;
        - ``shows``: whether something is shown (bool), and ``explanation``: what, or why nothing
          (str);
        - ``title``, ``subtitle``, ``body``: a text, or ``{"key": ..., "arguments": [...]}`` for one
          that the device looks up, or None;
        - ``badge`` (number), ``sound``, ``interruption_level``, ``category``, ``thread`` (str),
          each None without one; ``image``: name of the launch image (str), or None;
        - ``critical``, ``mutable``, ``wakes_application`` (bool);
        - ``event`` and ``content_state``: of a Live Activity, else None.

        Texts are shortened to 2000 characters.
    """
    if exchange.kind not in ("notification", "broadcast"):
        return _appearance("unknown", False, "shows nothing: this is no notification")
    subject = Subject(exchange)
    if not subject.payload:
        return _appearance("unknown", False, "shows nothing: the payload is no JSON object that "
                                             "has something in it")
    if subject.push_type in _SILENT:
        return dict(_describe_aps(subject), kind=_SILENT[subject.push_type],
                    explanation=_WHY_SILENT[subject.push_type])
    if subject.push_type == "liveactivity":
        return _describe_live_activity(subject)
    return _describe_alert(subject)


def _appearance(kind, shows, explanation):
    # type: (str, bool, str) -> Dict[str, Any]
    return {
        "kind": kind, "shows": shows, "explanation": explanation, "title": None, "subtitle": None,
        "body": None, "badge": None, "sound": None, "interruption_level": None, "critical": False,
        "category": None, "thread": None, "image": None, "mutable": False,
        "wakes_application": False, "event": None, "content_state": None}


def _describe_aps(subject):
    # type: (Subject) -> Dict[str, Any]
    """Return what there is in ``aps``, whatever comes of it."""
    aps, alert = subject.aps, subject.alert
    found = _appearance("unknown", False, "")
    if is_text(alert):
        found["body"] = _text(alert) or None
    elif isinstance(alert, dict):
        found["title"] = _read_text(alert, "title", "title-loc-key", "title-loc-args")
        found["subtitle"] = _read_text(alert, "subtitle", "subtitle-loc-key", "subtitle-loc-args")
        found["body"] = _read_text(alert, "body", "loc-key", "loc-args")
        found["image"] = _text(alert.get("launch-image"))
    badge = aps.get("badge")  # type: Any
    sound = aps.get("sound")  # type: Any
    if subject.push_type == "liveactivity" and isinstance(alert, dict):
        sound = alert.get("sound", sound)
    if is_number(badge) and 0 <= badge < 1e15:
        found["badge"] = int(badge)
    if isinstance(sound, dict):
        found["sound"] = _text(sound.get("name")) or None
        found["critical"] = sound.get("critical") == 1
    else:
        found["sound"] = _text(sound) or None
    level = aps.get("interruption-level")
    found["interruption_level"] = level if level in _LEVELS else None
    found["category"], found["thread"] = _text(aps.get("category")), _text(aps.get("thread-id"))
    found["mutable"] = aps.get("mutable-content") == 1
    found["wakes_application"] = aps.get("content-available") == 1
    return found


def _describe_alert(subject):
    # type: (Subject) -> Dict[str, Any]
    """Describe a push of type alert or background, or of a type that is not known."""
    found = _describe_aps(subject)
    if subject.push_type == "background":
        found["kind"] = "background"
        found["explanation"] = (
            "shows nothing: the application is woken, when the system sees fit"
            if found["wakes_application"] else
            "shows nothing, and does not wake the application either: content-available is not 1")
        return found
    has_text = any(found[name] is not None for name in ("title", "subtitle", "body"))
    found["shows"] = True
    if has_text:
        found["kind"], found["explanation"] = "alert", _explain_level(found)
    elif found["sound"] is not None:
        found["kind"], found["shows"] = "sound", found["badge"] is not None
        found["explanation"] = "plays a sound%s, and shows no text" % (
            " and sets the badge" if found["shows"] else "")
    elif found["badge"] is not None:
        found["kind"], found["explanation"] = "badge", (
            "sets the badge of the application" if found["badge"] else
            "removes the badge of the application")
    else:
        found["shows"] = False
        found["kind"] = "background" if found["wakes_application"] else "unknown"
        found["explanation"] = "shows nothing: there is no alert, badge or sound" + (
            "; the application may be woken" if found["wakes_application"] else "")
    return found


def _explain_level(found):
    # type: (Dict[str, Any]) -> str
    level = "critical" if found["critical"] else found["interruption_level"] or "active"
    text = {
        "passive": "is added to the list without lighting up the screen or playing a sound",
        "active": "lights up the screen, and is shown as a banner",
        "time-sensitive": "lights up the screen, and breaks through a Focus if it may",
        "critical": "plays its sound even if the device is muted, if Apple and the user allow that",
    }[level]
    return text + ("; the application may change it before" if found["mutable"] else "")


def _describe_live_activity(subject):
    # type: (Subject) -> Dict[str, Any]
    found = _describe_aps(subject)
    aps = subject.aps
    event = aps.get("event")
    state = aps.get("content-state")
    found["kind"] = "live activity"
    found["event"] = event if is_text(event) and event in _EVENTS else None
    found["content_state"] = _shorten(state) if isinstance(state, dict) else None
    found["shows"] = found["event"] is not None
    found["explanation"] = _EVENTS[found["event"]] if found["shows"] else (
        "shows nothing: its event is neither start nor update nor end")
    return found


def _read_text(alert, name, key, arguments):
    # type: (Dict[Any, Any], str, str, str) -> Any
    """Return the text that is shown in a place of an alert, or the key of one.

    In a Live Activity the key and its arguments are nested below the name of the place.
    """
    text = alert.get(name)
    if isinstance(text, dict):
        return _localised(text.get("loc-key"), text.get("loc-args"))
    return _localised(alert.get(key), alert.get(arguments)) or _text(text) or None


def _localised(key, arguments):
    # type: (Any, Any) -> Optional[Dict[str, Any]]
    if not is_text(key) or not key:
        return None
    given = arguments if isinstance(arguments, list) else []
    return {"key": _text(key), "arguments": [_text(each) for each in given[:_MOST_ARGUMENTS]
                                             if is_text(each)]}


def _text(value):
    # type: (Any) -> Any
    if not is_text(value):
        return None
    return value if len(value) <= _MOST_CHARACTERS else value[:_MOST_CHARACTERS] + u"\u2026"


def _shorten(state):
    # type: (Dict[Any, Any]) -> Dict[Any, Any]
    """Return the plain fields of a content state: what a preview can show."""
    plain = {}  # type: Dict[Any, Any]
    for name in sorted(state)[:_MOST_ARGUMENTS]:
        value = state[name]
        if is_text(value):
            plain[_text(name)] = _text(value)
        elif isinstance(value, bool) or value is None:
            plain[_text(name)] = value
        elif is_number(value) and abs(value) < 1e15:
            plain[_text(name)] = value
    return plain
