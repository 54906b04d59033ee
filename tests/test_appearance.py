"""The appearance of a notification is what a device would show."""

from __future__ import absolute_import, division, print_function

from apnsclient.testing.lint import describe
from lint_support import new_exchange
from tables import each

LOCALISED = {"title-loc-key": "T", "title-loc-args": ["a", "b"], "loc-key": "B",
             "subtitle-loc-key": "S"}
STATE = {"event": "update", "content-state": {"goals": 2, "deep": {"er": 1}}, "timestamp": 1}


def aps(**values):
    """Return a payload with keys of ``aps``, hyphens written as underscores."""
    return {"aps": {name.replace("_", "-"): value for name, value in values.items()}}


@each("payload, push_type, expected", [
    (aps(alert="Hi"), "alert", {"kind": "alert", "shows": True, "body": "Hi", "title": None}),
    (aps(alert={"title": "T", "subtitle": "S", "body": "B", "launch-image": "i.png"}, badge=3,
         sound="x", thread_id="t", category="c", interruption_level="time-sensitive",
         mutable_content=1, content_available=1), "alert",
     {"title": "T", "subtitle": "S", "body": "B", "image": "i.png", "badge": 3, "sound": "x",
      "thread": "t", "category": "c", "interruption_level": "time-sensitive", "mutable": True,
      "wakes_application": True, "critical": False}),
    (aps(alert=LOCALISED), "alert",
     {"title": {"key": "T", "arguments": ["a", "b"]}, "body": {"key": "B", "arguments": []},
      "subtitle": {"key": "S", "arguments": []}, "shows": True}),
    (aps(alert="Hi", sound={"critical": 1, "name": "x"}), None,
     {"critical": True, "sound": "x", "kind": "alert"}),
    (aps(badge=0), "alert", {"kind": "badge", "shows": True, "badge": 0,
                             "explanation": "removes the badge of the application"}),
    (aps(sound="x"), "alert", {"kind": "sound", "shows": False}),
    (aps(sound="x", badge=1), "alert", {"kind": "sound", "shows": True}),
    (aps(alert="", badge="1"), "alert", {"kind": "unknown", "shows": False, "badge": None}),
    (aps(content_available=1), "background",
     {"kind": "background", "shows": False,
      "explanation": "shows nothing: the application is woken, when the system sees fit"}),
    (aps(content_available=1), None, {"kind": "background", "shows": False}),
    (aps(content_available=1), "alert", {"kind": "background", "shows": False}),
    (aps(alert="Hi"), "background", {"kind": "background", "shows": False}),
    ({"aps": STATE}, "liveactivity",
     {"kind": "live activity", "shows": True, "event": "update", "content_state": {"goals": 2}}),
    (aps(event="start", alert={"title": {"loc-key": "T", "loc-args": ["a"]}, "sound": "x"}),
     "liveactivity", {"title": {"key": "T", "arguments": ["a"]}, "sound": "x", "event": "start"}),
    (aps(event="stop"), "liveactivity", {"kind": "live activity", "shows": False, "event": None}),
    (aps(content_changed=True), "widgets", {"kind": "widget", "shows": False}),
    (aps(content_changed=True), "controls", {"kind": "control", "shows": False}),
    (aps(alert="Hi"), "voip", {"kind": "voip", "shows": False, "body": "Hi"}),
    ({"a": 1}, "complication", {"kind": "complication", "shows": False}),
    ({"a": 1}, "location", {"kind": "location", "shows": False}),
    ({"a": 1}, "fileprovider", {"kind": "file provider", "shows": False}),
    ({"a": 1}, "pushtotalk", {"kind": "push to talk", "shows": False}),
    ({"mdm": "x"}, "mdm", {"kind": "mdm", "shows": False}),
    ({"mdm": "x"}, None, {"kind": "mdm", "shows": False}),
    (b"no JSON", "alert", {"kind": "unknown", "shows": False}),
    (b"[" * 100000, "alert", {"kind": "unknown", "shows": False}),
])
def test_appearance(payload, push_type, expected):
    """Each kind of notification is described as what it is."""
    found = describe(new_exchange(payload, {"apns-push-type": push_type}))
    assert {name: found[name] for name in expected} == expected
    if not found["shows"] and found["kind"] not in ("sound",):
        assert found["explanation"].startswith("shows nothing")


def test_texts_are_bounded():
    """A text of any length is shortened, and so are arguments."""
    found = describe(new_exchange(aps(alert={
        "title": "x" * 99999, "loc-key": "k" * 99999, "loc-args": ["a" * 9999] * 999})))
    assert len(found["title"]) == 2001 and len(found["body"]["key"]) == 2001
    assert [len(each) for each in found["body"]["arguments"]] == [2001] * 20


def test_what_is_no_notification_shows_nothing():
    """A request about channels has no appearance."""
    found = describe(new_exchange(b"{}", kind="channel"))
    assert (found["kind"], found["shows"]) == ("unknown", False)
