"""What notifications become: Apple's keys, and nothing else; and what cannot become one."""

import copy
import dataclasses
import inspect
import json
import pickle
import typing
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient import models
from apnsclient.aio import models as aio_models
from apnsclient.models import (
    MAX_BROADCAST_SIZE,
    MAX_PAYLOAD_SIZE,
    Alert,
    BackgroundUpdate,
    BaseNotification,
    InterruptionLevel,
    LiveActivity,
    LiveActivityEvent,
    Localized,
    Notification,
    Priority,
    PushType,
    RawNotification,
    RequestParts,
    Sound,
    WidgetUpdate,
    swift_date,
)
from apnsclient.topics import SUFFIXES
from tables import each

#: 2023-06-05 08:00:00 UTC.
NOON = 1685952000
NOTE = Localized("K", ["a", "b"])


def start(**others):
    options = dict(attributes_type="A", attributes={"a": 1}, content_state={"c": 1},
                   alert=Alert(title="t"), timestamp=NOON)
    return LiveActivity.start(**dict(options, **others))


def update(**others):
    return LiveActivity.update({"c": 1}, **dict({"timestamp": NOON}, **others))


def end(**others):
    return LiveActivity.end(**dict({"timestamp": NOON}, **others))


#: Every key of Apple's pages, as a path, with a notification that has it, and its value there.
KEYS = [
    # Generating a remote notification, table 1.
    ("aps.alert", Notification("x"), "x"),
    ("aps.alert", Notification(Alert("x", "t")), {"title": "t", "body": "x"}),
    ("aps.badge", Notification(badge=9), 9),
    ("aps.sound", Notification(sound="bingbong.aiff"), "bingbong.aiff"),
    ("aps.sound", Notification(sound=Sound("a.aiff", True)), {"name": "a.aiff", "critical": 1}),
    ("aps.sound", Notification(sound=Sound("a.aiff")), "a.aiff"),
    ("aps.thread-id", Notification(thread_id="x"), "x"),
    ("aps.category", Notification(category="GAME_INVITATION"), "GAME_INVITATION"),
    ("aps.content-available", Notification(content_available=True), 1),
    ("aps.content-available", BackgroundUpdate(), 1),
    ("aps.mutable-content", Notification(mutable_content=True), 1),
    ("aps.target-content-id", Notification(target_content_id="x"), "x"),
    ("aps.interruption-level", Notification(interruption_level=InterruptionLevel.time_sensitive),
     "time-sensitive"),
    ("aps.relevance-score", Notification(relevance_score=0.5), 0.5),
    ("aps.relevance-score", update(relevance_score=100), 100),
    ("aps.filter-criteria", Notification(filter_criteria="x"), "x"),
    ("aps.stale-date", update(stale_date=NOON), NOON),
    ("aps.content-state", update(), {"c": 1}),
    ("aps.timestamp", update(), NOON),
    ("aps.event", start(), "start"),
    ("aps.event", update(), "update"),
    ("aps.event", end(), "end"),
    ("aps.dismissal-date", end(dismissal_date=NOON), NOON),
    ("aps.attributes-type", start(), "A"),
    ("aps.attributes", start(), {"a": 1}),
    # The same page, table 2.
    ("aps.alert.title", Notification(Alert(title="x")), "x"),
    ("aps.alert.subtitle", Notification(Alert(subtitle="x")), "x"),
    ("aps.alert.body", Notification(Alert("x")), "x"),
    ("aps.alert.launch-image", Notification(Alert(launch_image="x")), "x"),
    ("aps.alert.title-loc-key", Notification(Alert(title=NOTE)), "K"),
    ("aps.alert.title-loc-args", Notification(Alert(title=NOTE)), ["a", "b"]),
    ("aps.alert.subtitle-loc-key", Notification(Alert(subtitle=NOTE)), "K"),
    ("aps.alert.subtitle-loc-args", Notification(Alert(subtitle=NOTE)), ["a", "b"]),
    ("aps.alert.loc-key", Notification(Alert(NOTE)), "K"),
    ("aps.alert.loc-args", Notification(Alert(NOTE)), ["a", "b"]),
    # Payload Key Reference, of the older guide.
    ("aps.alert.action-loc-key", Notification(Alert(action_loc_key="x")), "x"),
    # Generating a remote notification, table 3.
    ("aps.sound.critical", Notification(sound=Sound(critical=True)), 1),
    ("aps.sound.name", Notification(sound=Sound(critical=True)), "default"),
    ("aps.sound.volume", Notification(sound=Sound(volume=0.5)), 0.5),
    # Starting and updating Live Activities with ActivityKit push notifications.
    ("aps.alert.title", update(alert=Alert(title=NOTE)), {"loc-key": "K", "loc-args": ["a", "b"]}),
    ("aps.alert.body", update(alert=Alert(Localized("K"))), {"loc-key": "K"}),
    ("aps.alert.sound", update(alert=Alert("x"), sound="HeroDown.mp4"), "HeroDown.mp4"),
    ("aps.input-push-channel", start(input_push_channel="dHN0LXNyY2gtY2hubA=="),
     "dHN0LXNyY2gtY2hubA=="),
    ("aps.input-push-token", start(input_push_token=True), 1),
    # Updating widgets with WidgetKit push notifications; Updating controls locally and remotely.
    ("aps.content-changed", WidgetUpdate(), True),
    ("aps.content-changed", WidgetUpdate(PushType.controls), True),
    # What is the application's stands beside aps.
    ("gameID", Notification(extra={"gameID": "12345678"}), "12345678"),
    ("gameID", BackgroundUpdate({"gameID": 0}), 0),
    ("gameID", update(extra={"gameID": None}), None),
    ("mdm", RawNotification({"mdm": "magic"}), "magic"),
]

CLASSES = [Alert, BackgroundUpdate, LiveActivity, Localized, Notification, RawNotification, Sound,
           WidgetUpdate]
#: One of each class that can be sent, with as much in it as there can be.
FULL = [
    Notification(
        Alert(NOTE, "t", "s", "a", "l"), PushType.alert, 0, Sound("n", True, 0), True, "c", "th",
        True, "tc", {"k": [1]}, InterruptionLevel.critical, 0, "f", Priority.power, 0, "id"),
    BackgroundUpdate({"k": 1}, 5, NOON, "id"),
    start(sound="s", input_push_channel="ch", input_push_token=True, stale_date=0,
          relevance_score=0, extra={"k": 1}, priority=5, expiration=0, collapse_id="id"),
    update(alert=Alert("x"), sound="s", stale_date=1, relevance_score=1.5, extra={"k": 1},
           priority=Priority.normal, expiration=timedelta(1), collapse_id="id"),
    end(content_state={}, dismissal_date=0, alert=Alert("x"), sound="s", relevance_score=0,
        extra={"k": 1}, priority=10, expiration=NOON, collapse_id="id"),
    WidgetUpdate(PushType.controls, 10, 0, "id"),
    RawNotification({"aps": {"alert": "x"}}, PushType.voip, 10, 0, "id"),
]


@each("path, notification, value", KEYS)
def test_each_of_apples_keys_has_its_field(path, notification, value):
    """Under its name, where Apple's page has it."""
    found = notification.get_dict()
    for key in path.split("."):
        found = found[key]
    assert found == value and type(found) is type(value)
    assert json.loads(notification.encode().decode("utf-8")) == notification.get_dict()


def paths_of(content, prefix=""):
    """Yield the path of each key of aps, and of the dicts in it that are Apple's."""
    for key, value in content.items():
        yield prefix + key
        if prefix + key in ("aps", "aps.alert", "aps.sound") and isinstance(value, dict):
            yield from paths_of(value, prefix + key + ".")


@each("notification", FULL + [notification for _, notification, _ in KEYS])
def test_no_other_key_is_written(notification):
    """What a notification becomes is in the table of Apple's keys."""
    known = {path for path, _, _ in KEYS} | {"aps", "k"}
    assert set(paths_of(notification.get_dict())) <= known


@each("notification, payload", [
    (Notification(), {"aps": {}}),
    (Notification(Alert()), {"aps": {"alert": {}}}),
    (Notification(""), {"aps": {"alert": ""}}),
    (Notification(badge=0), {"aps": {"badge": 0}}),
    (Notification(relevance_score=0), {"aps": {"relevance-score": 0}}),
    (Notification(sound=Sound(volume=0)), {"aps": {"sound": {"name": "default", "volume": 0}}}),
    (Notification(extra={}), {"aps": {}}),
    (Notification(extra={"k": None}), {"aps": {}, "k": None}),
    (Notification(extra=MappingProxyType({"k": 1})), {"aps": {}, "k": 1}),
    (Notification(Alert(Localized("K", ()))), {"aps": {"alert": {"loc-key": "K", "loc-args": []}}}),
    (end(), {"aps": {"timestamp": NOON, "event": "end"}}),
    (end(dismissal_date=0), {"aps": {"timestamp": NOON, "event": "end", "dismissal-date": 0}}),
    (end(content_state={}), {"aps": {"timestamp": NOON, "event": "end", "content-state": {}}}),
    (RawNotification(OrderedDict()), {}),
])
def test_none_is_left_out_and_nothing_else(notification, payload):
    """Zero removes a badge, and an empty text is one."""
    assert notification.get_dict() == payload


HERO = "Power Panda"


@each("notification, payload", [
    (LiveActivity.update(
        {"currentHealthLevel": 0.0, "eventDescription": "Power Panda has been knocked down!"},
        timestamp=1685952000, sound="HeroDown.mp4",
        alert=Alert(title=Localized("%@ is knocked down!", [HERO]),
                    body=Localized("Use a potion to heal %@!", [HERO]))),
     {"aps": {
         "timestamp": 1685952000,
         "event": "update",
         "content-state": {"currentHealthLevel": 0.0,
                           "eventDescription": "Power Panda has been knocked down!"},
         "alert": {"title": {"loc-key": "%@ is knocked down!", "loc-args": ["Power Panda"]},
                   "body": {"loc-key": "Use a potion to heal %@!", "loc-args": ["Power Panda"]},
                   "sound": "HeroDown.mp4"}}}),
    (LiveActivity.start(
        "AdventureAttributes", {"currentHealthLevel": 100}, {"currentHealthLevel": 100},
        Alert(title="t"), timestamp=1234, input_push_token=True),
     {"aps": {
         "timestamp": 1234,
         "event": "start",
         "content-state": {"currentHealthLevel": 100},
         "attributes-type": "AdventureAttributes",
         "attributes": {"currentHealthLevel": 100},
         "input-push-token": 1,
         "alert": {"title": "t"}}}),
    (LiveActivity.update({"currentHealthLevel": 0.941}, timestamp=1685952000, relevance_score=100),
     {"aps": {
         "timestamp": 1685952000,
         "event": "update",
         "relevance-score": 100,
         "content-state": {"currentHealthLevel": 0.941}}}),
])
def test_live_activities_become_the_payloads_of_apples_page(notification, payload):
    """Localized texts are nested there, and the sound is part of the alert."""
    assert notification.get_dict() == payload


@each("method, event", [(LiveActivity.start, "start"), (LiveActivity.update, "update"),
                        (LiveActivity.end, "end")])
def test_the_methods_take_what_the_class_takes(method, event):
    """Each parameter becomes the field of its name; the others stay what the class makes them."""
    values = {"content_state": {"c": 1}, "timestamp": NOON, "alert": Alert("x"), "sound": "s",
              "stale_date": 1, "dismissal_date": 2, "relevance_score": 3, "attributes_type": "A",
              "attributes": {"a": 1}, "input_push_channel": "ch", "input_push_token": True,
              "extra": {"k": 1}, "priority": 4, "expiration": 5, "collapse_id": "id"}
    given = {name: values[name] for name in inspect.signature(method).parameters}
    made = method(**given)
    assert made.event == event
    assert set(values) - set(given) <= {
        "stale_date", "dismissal_date", "attributes_type", "attributes", "input_push_channel",
        "input_push_token"}
    for field in dataclasses.fields(made):
        if field.name != "event":
            assert getattr(made, field.name) == given.get(field.name, field.default)


#: For each field, values of the types that its annotation allows.
texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=5)
contents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | texts, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=5)
extras = st.dictionaries(texts.filter(lambda key: key != "aps"), contents, max_size=3)
localized = st.builds(Localized, texts, st.none() | st.lists(texts, max_size=2))
VALUES = {
    str: texts,
    int: st.integers(0, 2**31),
    float: st.floats(0, 2**31),
    bool: st.booleans(),
    type(None): st.none(),
    datetime: st.datetimes(datetime(1971, 1, 1), datetime(2070, 1, 1),
                           timezones=st.none() | st.just(timezone.utc)),
    timedelta: st.timedeltas(timedelta(0), timedelta(9999)),
    Localized: localized,
    Alert: st.builds(Alert, *[st.none() | texts | localized] * 3),
    Sound: st.builds(Sound, texts, st.booleans(), st.none() | st.floats(0, 1)),
    InterruptionLevel: st.sampled_from(InterruptionLevel),
    PushType: st.sampled_from(PushType),
    LiveActivityEvent: st.sampled_from(LiveActivityEvent),
    Mapping: extras,
}


def kinds_of(hint):
    """Return the classes that an annotation allows."""
    if typing.get_origin(hint) is typing.Union:
        return [kind for one in typing.get_args(hint) for kind in kinds_of(one)]
    return [typing.get_origin(hint) or hint]


def fields_of(kind):
    """Return the classes that each field of a dataclass allows."""
    hints = typing.get_type_hints(kind)
    return {field.name: kinds_of(hints[field.name]) for field in dataclasses.fields(kind)}


def any_notification(kind):
    """Return a strategy for any value of a class."""
    required = {"content_state": extras, "attributes": extras, "attributes_type": texts,
                "alert": VALUES[Alert]} if kind is LiveActivity else {}
    return st.builds(kind, **{
        name: required[name] if name in required else st.one_of([VALUES[one] for one in kinds])
        for name, kinds in fields_of(kind).items()})


@given(st.one_of([any_notification(kind) for kind in CLASSES
                  if issubclass(kind, BaseNotification)]))
def test_whatever_is_in_a_notification_is_in_its_json(notification):
    """JSON and back: no key is lost, and none is changed."""
    content = notification.get_dict()
    assert json.loads(notification.encode(10**6).decode("utf-8")) == content
    assert content == notification.get_dict()
    if isinstance(notification, RawNotification):
        assert content == notification.payload
        return
    beside = dict(content)
    aps = beside.pop("aps")
    assert beside == (getattr(notification, "extra", None) or {})
    if isinstance(notification, WidgetUpdate):
        assert aps == {"content-changed": True}
        return
    nested = isinstance(notification, LiveActivity)
    expected = {"content-available"} if isinstance(notification, BackgroundUpdate) else {
        field.name.replace("_", "-") for field in dataclasses.fields(notification)
        if getattr(notification, field.name) not in (None, False)
        or getattr(notification, field.name) == 0 and type(
            getattr(notification, field.name)) is not bool
    } - {"extra", "push-type", "priority", "expiration", "collapse-id"} - (
        {"sound"} if nested else set())
    assert set(aps) == expected
    for name in ("badge", "category", "relevance-score", "content-state", "attributes"):
        if name in aps:
            assert aps[name] == getattr(notification, name.replace("-", "_"))


class Odd:
    """What no field takes."""


#: A value of each type that a field could be given by mistake.
MISTAKES = [Odd(), b"bytes", 1, 1.5, True, "text", ["a"], {"a": 1}, Alert("x"), Sound(),
            Localized("K"), PushType.voip, InterruptionLevel.active, LiveActivityEvent.end,
            datetime(2023, 6, 5), timedelta(1), None, Odd]
REQUIRED = {Localized: {"key": "K"}, RawNotification: {"payload": {}},
            LiveActivity: {"event": LiveActivityEvent.end}}


def is_allowed(value, kinds):
    if isinstance(value, bool):
        return bool in kinds
    # A float may be given as an int, and args as any list of str.
    return isinstance(value, tuple(kinds)) or float in kinds and isinstance(value, int)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_value_of_a_wrong_type_is_a_type_error(kind):
    """For each field; the error names field, class, the type given and those expected."""
    count = 0
    for name, kinds in fields_of(kind).items():
        if name == "args":
            kinds = [list, tuple, type(None)]
        if name == "push_type" and kind is RawNotification:
            kinds = kinds + [type(None)]
        for value in MISTAKES:
            if is_allowed(value, kinds):
                continue
            with pytest.raises(TypeError) as caught:
                kind(**dict(REQUIRED.get(kind, {}), **{name: value}))
            text = str(caught.value)
            assert text.startswith("%s of %s is of type %s, expected " % (
                name, kind.__name__, type(value).__name__))
            assert all(one.__name__.replace("NoneType", "None") in text for one in kinds
                       if one is not Mapping)
            count += 1
    assert count > 25


@each("notification, name", [
    (lambda: Localized("K", "text"), "args"),
    (lambda: Localized("K", ["a", 1]), "args[1]"),
    (lambda: Localized("K", [None]), "args[0]"),
    (lambda: Alert(title=["x"]), "title"),
    (lambda: LiveActivity("update", {}), "event"),
    (lambda: Notification("x", "alert"), "push_type"),
    (lambda: Notification(badge=True), "badge"),
    (lambda: Notification(badge="1"), "badge"),
    (lambda: Notification(content_available=1), "content_available"),
    (lambda: Notification(interruption_level="active"), "interruption_level"),
    (lambda: dataclasses.replace(Notification("x"), sound=1), "sound"),
])
def test_the_usual_mistakes_are_named(notification, name):
    """A text for a list of texts would become its letters; a bool is not a number."""
    with pytest.raises(TypeError, match="^" + name.replace("[", r"\[")):
        notification()


def test_an_error_does_not_show_what_a_field_has():
    """It may be anybody's name."""
    for make in (lambda: Notification(badge="secret"), lambda: Localized("K", "secret"),
                 lambda: BackgroundUpdate(["secret"])):
        with pytest.raises(TypeError) as caught:
            make()
        assert "secret" not in str(caught.value)


@each("make", [
    lambda: Notification(extra={"aps": {}}),
    lambda: BackgroundUpdate({"aps": {}}),
    lambda: update(extra={"aps": {}}),
])
def test_the_keys_of_an_application_do_not_replace_apples(make):
    """The error says what to use instead."""
    with pytest.raises(ValueError, match="'aps'.*RawNotification"):
        make()


@each("make, text", [
    (lambda: LiveActivity(LiveActivityEvent.update), "update needs content_state"),
    (lambda: LiveActivity(LiveActivityEvent.start), "content_state, attributes_type, attributes"),
    (lambda: LiveActivity(LiveActivityEvent.start, {}, attributes={}, alert=Alert("x")),
     "start needs attributes_type$"),
    (lambda: LiveActivity(LiveActivityEvent.start, {}, attributes_type="A", attributes={}),
     "start needs alert$"),
    (lambda: update(sound="x"), "sound is part of its alert"),
])
def test_what_the_event_of_a_live_activity_needs(make, text):
    """A device ignores it otherwise, and nobody learns why."""
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize("kind", CLASSES + [BaseNotification, RequestParts, PushType, Priority,
                                            InterruptionLevel, LiveActivityEvent])
def test_every_class_can_be_asked_for_its_types(kind):
    """Also for those of its methods; by the name that programs import it by."""
    typing.get_type_hints(kind)
    for member in vars(kind).values():
        function = getattr(member, "__func__", getattr(member, "fget", None) or member)
        if callable(function) and getattr(function, "__annotations__", None):
            typing.get_type_hints(function)
    if issubclass(kind, (BaseNotification, Localized)):
        assert typing.get_type_hints(kind.get_dict)["return"] == typing.Dict[str, typing.Any]
    assert getattr(models, kind.__name__) is kind


@each("notification", FULL + [NOTE, Alert(NOTE), Sound("x", True, 1)])
def test_notifications_are_values(notification):
    """They are equal if their fields are, never change, and can be carried to other processes."""
    changed = dataclasses.replace(notification)
    others = [copy.copy(notification), copy.deepcopy(notification), changed] + [
        pickle.loads(pickle.dumps(notification, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in others:
        assert other == notification and hash(other) == hash(notification)
        assert repr(other) == repr(notification)
    assert notification != Notification("another")
    for field in dataclasses.fields(notification):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(notification, field.name, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        notification.unknown = 1
    assert b"apnsclient.models" in pickle.dumps(notification, 0)
    assert b"models._" not in pickle.dumps(notification, 0)


def test_what_a_payload_is_made_of_stays_the_callers():
    """The dict that is returned is a new one, at each level that is ours."""
    extra, alert = {"k": 1}, Alert(NOTE)
    notification = Notification(alert, extra=extra)
    found = notification.get_dict()
    found["k"] = found["aps"]["alert"]["loc-key"] = 2
    found["aps"]["alert"]["loc-args"].append("c")
    assert notification.get_dict() == {
        "aps": {"alert": {"loc-key": "K", "loc-args": ["a", "b"]}}, "k": 1}
    payload = {"aps": {}}
    RawNotification(payload).get_dict()["k"] = 1
    assert payload == {"aps": {}}


def test_the_first_parameters_are_those_of_aapns():
    """Programs for it give them by their places."""
    localized = Localized("K", ["a"])
    alert = Alert(localized, "title", "subtitle", "action", "image")
    notification = Notification(
        alert, PushType.voip, 1, "sound", True, "category", "thread", True, "content", {"k": 1})
    assert notification.push_type is PushType.voip
    assert notification.get_dict() == {
        "aps": {"alert": {"title": "title", "subtitle": "subtitle", "loc-key": "K",
                          "loc-args": ["a"], "action-loc-key": "action", "launch-image": "image"},
                "badge": 1, "sound": "sound", "content-available": 1, "category": "category",
                "thread-id": "thread", "mutable-content": 1, "target-content-id": "content"},
        "k": 1}
    assert Localized("K").get_dict() == {"loc-key": "K"}


def test_the_enumerations_are_apples():
    """A push type is its own text, wherever text is expected."""
    assert {one.value for one in PushType} == set(SUFFIXES)
    assert {one.value for one in InterruptionLevel} == {
        "passive", "active", "time-sensitive", "critical"}
    assert {one.name: one.value for one in Priority} == {"immediately": 10, "normal": 5, "power": 1}
    for one in PushType:
        assert one == one.value == str(one) == "%s" % one == f"{one}"
    assert json.dumps([PushType.voip, Priority.normal]) == '["voip", 5]'


def test_json_is_compact_and_utf_8():
    """As the synchronous client writes it."""
    assert Notification("\u0416\U0001f600", badge=1).encode() == (
        '{"aps":{"alert":"\u0416\U0001f600","badge":1}}'.encode("utf-8"))


@each("value, error", [
    (float("nan"), ValueError), (float("inf"), ValueError), ("\ud800", ValueError),
    (object(), TypeError), (b"x", TypeError), (datetime(2023, 6, 5), TypeError)])
def test_what_json_does_not_have_is_an_error(value, error):
    """Before anything is sent."""
    for notification in (Notification(extra={"k": value}), RawNotification({"k": value})):
        with pytest.raises(error):
            notification.encode()


@each("push_type", PushType)
def test_a_payload_that_is_too_large_is_refused(push_type):
    """The error names the size and the limit."""
    limit = 5120 if push_type is PushType.voip else 4096
    empty = len(Notification("", push_type).encode())
    notification = Notification("x" * (limit - empty), push_type)
    assert notification.max_size == limit == len(notification.encode())
    larger = Notification("x" * (limit - empty - 1) + "\u0416", push_type)
    for encode in (larger.encode, larger.apns_request_parts):
        with pytest.raises(ValueError, match="%d bytes, Apple takes %d " % (limit + 1, limit)):
            encode()


def test_a_broadcast_may_be_larger():
    """Apple takes 5120 bytes for a channel."""
    activity = LiveActivity.update({"k": "x" * 4200})
    with pytest.raises(ValueError, match=str(MAX_PAYLOAD_SIZE)):
        activity.encode()
    assert activity.encode(MAX_BROADCAST_SIZE) == activity.apns_request_parts(True).payload
    with pytest.raises(ValueError, match="Apple takes 5120"):
        LiveActivity.update({"k": "x" * 5100}).apns_request_parts(True)


@each("notification, topic", [
    (Notification("x"), "com.example.app"),
    (Notification("x", PushType.voip), "com.example.app.voip"),
    (BackgroundUpdate(), "com.example.app"),
    (update(), "com.example.app.push-type.liveactivity"),
    (WidgetUpdate(), "com.example.app.push-type.widgets"),
    (WidgetUpdate(PushType.controls), "com.example.app.push-type.controls"),
    (RawNotification({}, PushType.fileprovider), "com.example.app.pushkit.fileprovider"),
    (RawNotification({"aps": {"event": "end", "content-state": {}}}),
     "com.example.app.push-type.liveactivity"),
])
def test_the_topic_is_derived(notification, topic):
    """From bundle identifier and push type; a topic that has a suffix is left alone."""
    assert notification.topic_for("com.example.app") == topic
    assert notification.topic_for(topic) == topic
    assert notification.topic_for("com.example.app.complication") == "com.example.app.complication"


@each("payload, push_type", [
    ({"aps": {"alert": "x"}}, PushType.alert), ({}, PushType.alert),
    ({"aps": {"content-available": 1}}, PushType.background), ({"mdm": "x"}, PushType.mdm),
    ({"aps": {"event": "end", "content-state": {}}}, PushType.liveactivity)])
def test_the_push_type_of_a_raw_payload_is_derived(payload, push_type):
    """As that of a message is."""
    assert RawNotification(payload).push_type is push_type
    assert RawNotification(payload, PushType.widgets).push_type is PushType.widgets


@each("notification, priority, expiration, collapse_id", [
    (Notification("x"), None, None, None),
    (Notification("x", priority=Priority.power, expiration=0, collapse_id="i"), 1, 0, "i"),
    (Notification("x", PushType.background), 5, None, None),
    (Notification("x", PushType.background, priority=10), 10, None, None),
    (BackgroundUpdate(), 5, None, None),
    (BackgroundUpdate(priority=1, expiration=NOON, collapse_id="i"), 1, NOON, "i"),
    (RawNotification({"aps": {"content-available": 1}}), 5, None, None),
    (update(), None, None, None),
    (WidgetUpdate(expiration=float(NOON) + 0.5), None, NOON, None),
])
def test_what_a_request_has_of_a_notification(notification, priority, expiration, collapse_id):
    """None is left to the client, unless Apple takes one value only."""
    parts = notification.apns_request_parts()
    assert parts == (notification.encode(), notification.push_type.value, priority, expiration,
                     collapse_id)
    assert all(type(one) in (bytes, str, int, type(None)) for one in parts)


def test_the_default_priority():
    """The one that Apple takes for granted, but for a background notification."""
    for push_type in PushType:
        assert Notification(push_type=push_type).default_priority is (
            Priority.normal if push_type is PushType.background else Priority.immediately)
    assert LiveActivity.update({}).default_priority == 10
    assert BackgroundUpdate().default_priority == 5


@each("moment", [
    NOON, float(NOON), datetime(2023, 6, 5, 8, tzinfo=timezone.utc),
    datetime(2023, 6, 5, 17, 30, tzinfo=timezone(timedelta(hours=9.5))),
    datetime.fromtimestamp(NOON)])
def test_moments_become_seconds_since_1970(moment):
    """An aware datetime, or a naive one, which is local time, as for a message."""
    assert Notification(expiration=moment).apns_request_parts().expiration == NOON
    aps = LiveActivity(LiveActivityEvent.end, {}, moment, stale_date=moment,
                       dismissal_date=moment).get_dict()["aps"]
    assert (aps["timestamp"], aps["stale-date"], aps["dismissal-date"]) == (NOON, NOON, NOON)
    assert {type(value) for key, value in aps.items() if key.endswith(("date", "stamp"))} == {int}


def test_a_delay_counts_from_now_or_from_the_timestamp(monkeypatch):
    """A notification that is sent later expires later; a Live Activity is stale when it was to."""
    monkeypatch.setattr("time.time", lambda: NOON + 0.9)
    notification = Notification(expiration=timedelta(hours=1))
    activity = LiveActivity.update({}, stale_date=timedelta(minutes=1))
    assert activity.timestamp == LiveActivity(LiveActivityEvent.end).timestamp == NOON
    monkeypatch.setattr("time.time", lambda: NOON + 60)
    assert notification.apns_request_parts().expiration == NOON + 3660
    for one in (activity, pickle.loads(pickle.dumps(activity)), dataclasses.replace(activity)):
        assert one.get_dict()["aps"]["timestamp"] == NOON
        assert one.get_dict()["aps"]["stale-date"] == NOON + 60


@each("moment", [-1, 2**32, float("nan"), datetime(1900, 1, 1, tzinfo=timezone.utc),
                 datetime.max, timedelta(days=-99999)])
def test_a_moment_that_cannot_be_sent_is_named(moment):
    """Apple's fields have seconds from 0 up."""
    with pytest.raises(ValueError, match="expiration"):
        Notification(expiration=moment).apns_request_parts()
    with pytest.raises(ValueError, match="stale_date"):
        update(stale_date=moment).encode()


def test_dates_in_a_content_state_are_swifts():
    """It counts from 2001, in seconds that may have a fraction."""
    assert swift_date(datetime(2001, 1, 1, tzinfo=timezone.utc)) == 0
    assert swift_date(datetime(2023, 6, 5, 8, 0, 0, 500000, timezone.utc)) == 707644800.5
    assert swift_date(datetime.fromtimestamp(NOON)) == 707644800


def test_a_base_class_has_no_payload():
    """A program's own kind of notification gives one."""
    class Own(BaseNotification):
        push_type, priority, expiration, collapse_id = PushType.voip, None, None, None

        def get_dict(self):
            return {"k": 1}

    assert Own().apns_request_parts() == (b'{"k":1}', "voip", None, None, None)
    with pytest.raises(NotImplementedError):
        BaseNotification().get_dict()


def test_the_asynchronous_client_has_the_same_models():
    """By the name that programs for aapns know."""
    assert aio_models.__all__ == models.__all__
    for name in models.__all__:
        assert getattr(aio_models, name) is getattr(models, name)
