"""``Message`` takes a notification as its payload: what it becomes, and how it is sent."""

import copy
import json
import pickle
from datetime import datetime, timedelta, timezone

import hpack
import pytest

from apnsclient import APNs, Message, ProviderToken
from apnsclient.broadcast import Broadcast
from apnsclient.models import (
    Alert,
    BackgroundUpdate,
    LiveActivity,
    Localized,
    Notification,
    Priority,
    PushType,
    RawNotification,
    WidgetUpdate,
)
from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.requests import RequestEncoder
from apnsclient.testing.simulator import ProviderScript, Script
from net_support import make_tokens
from simulated_apple import Apple
from tables import each

TOKEN = "ab" * 32
APP = "com.example.app"
ACTIVITY = LiveActivity.update({"k": 1}, timestamp=7, priority=Priority.normal, expiration=8)


def headers_of(message, default_topic=None):
    """Return the ``apns-`` headers of a request without the prefix, as a server reads them."""
    encoder = RequestEncoder(b"api.example.com")
    [(_, _, _, block)] = frames.FrameReader().feed(
        encoder.one(message.request_template(default_topic), TOKEN.encode("ascii"), 1))
    fields = {str(name): str(value) for name, value in hpack.Decoder().decode(block)}
    return {name[len("apns-"):]: value for name, value in fields.items()
            if name.startswith("apns-")}


@each("notification, arguments, headers", [
    (Notification("x"), {}, {"push-type": "alert", "priority": "10"}),
    (Notification("x", PushType.voip, priority=5), {"apns_topic": APP},
     {"push-type": "voip", "priority": "5", "topic": APP + ".voip"}),
    (Notification("x", priority=5, expiration=3, collapse_id="a"), {},
     {"push-type": "alert", "priority": "5", "expiration": "3", "collapse-id": "a"}),
    (Notification("x", priority=5, expiration=3, collapse_id="a"),
     {"priority": 1, "expiry": 4, "apns_collapse_id": "b", "apns_push_type": "location",
      "apns_topic": APP},
     {"push-type": "location", "priority": "1", "expiration": "4", "collapse-id": "b",
      "topic": APP + ".location-query"}),
    (Notification("x", expiration=0), {}, {"push-type": "alert", "priority": "10"}),
    (Notification("x", expiration=5), {"expiry": 0}, {"push-type": "alert", "priority": "10"}),
    (BackgroundUpdate(), {}, {"push-type": "background", "priority": "5"}),
    (BackgroundUpdate(), {"apns_topic": APP},
     {"push-type": "background", "priority": "5", "topic": APP}),
    (ACTIVITY, {"apns_topic": APP},
     {"push-type": "liveactivity", "priority": "5", "expiration": "8",
      "topic": APP + ".push-type.liveactivity"}),
    (WidgetUpdate(PushType.controls), {"apns_topic": APP + ".push-type.controls"},
     {"push-type": "controls", "priority": "10", "topic": APP + ".push-type.controls"}),
    (RawNotification({"mdm": "x"}), {"apns_topic": "com.apple.mgmt.External.1"},
     {"push-type": "mdm", "priority": "10", "topic": "com.apple.mgmt.External.1"}),
])
def test_the_headers_are_the_notifications_where_none_are_given(notification, arguments, headers):
    """Push type, priority, expiration and collapse identifier; and the suffix of a topic."""
    arguments = dict(arguments, expiry=arguments.get("expiry", notification.expiration or 0))
    headers = dict({"expiration": "0"}, **headers)
    message = Message(TOKEN, payload=notification, **arguments)
    assert headers_of(message) == headers
    assert message.get_json_payload() == notification.encode()


def test_the_choices_are_arguments_of_a_message_as_well():
    """Whatever its payload is; the message has plain values."""
    message = Message(TOKEN, alert="x", expiry=0, priority=Priority.power,
                      apns_push_type=PushType.pushtotalk)
    assert headers_of(message) == {"push-type": "pushtotalk", "priority": "1", "expiration": "0"}
    state = message.__getstate__()
    assert (type(state["priority"]), type(state["apns_push_type"])) == (int, str)


def test_the_expiration_of_a_notification_is_the_messages():
    """In each of its forms; zero is not the default."""
    when = datetime(2023, 6, 5, 8, tzinfo=timezone.utc)
    assert Message(TOKEN, payload=Notification("x", expiration=when)).expiry == 1685952000
    message = Message(TOKEN, payload=Notification("x", expiration=0))
    assert message.expiry == 0 and message.has_own_expiry
    default = Message(TOKEN, payload=Notification("x"))
    assert not default.has_own_expiry and not default.has_own_priority
    later = Message(TOKEN, payload=Notification("x", expiration=timedelta(days=2)))
    assert 86390 <= later.expiry - default.expiry <= 86410
    assert Message(TOKEN, payload=Notification("x", priority=10)).has_own_priority


def test_the_topic_of_a_certificate_gets_the_suffix():
    """As it does for any message."""
    for given in (APP, APP + ".voip"):
        assert headers_of(Message(TOKEN, payload=ACTIVITY), given)["topic"] == (
            APP + ".push-type.liveactivity")


def test_a_message_has_the_parts_of_the_notification():
    """As it has those of a payload that is given as text."""
    notification = Notification(
        Alert("x", "t"), badge=0, sound="ping", content_available=True, extra={"k": 1})
    message = Message(TOKEN, payload=notification)
    assert (message.alert, message.badge, message.sound, message.content_available) == (
        {"title": "t", "body": "x"}, 0, "ping", 1)
    assert message.extra == {"k": 1}
    assert message.payload == notification.encode()


MESSAGES = [
    dict(payload=Notification("\u0416", badge=0, expiration=0, priority=Priority.power)),
    dict(payload=Notification(Alert(Localized("K", ["a"])), extra={"k": [None]}, collapse_id="i")),
    dict(payload=BackgroundUpdate({"k": 1})),
    dict(payload=ACTIVITY, apns_topic=APP),
    dict(payload=Notification(PushType.voip, PushType.voip), apns_topic=APP),
    dict(payload=RawNotification({"mdm": "x"})),
]


@each("arguments", MESSAGES)
def test_the_state_of_such_a_message_is_plain(arguments):
    """It can be JSON or a pickle, and be loaded where there are no models."""
    message = Message([TOKEN], **arguments)
    state = message.__getstate__()
    assert type(state["payload"]) is str
    for loaded in (json.loads(json.dumps(state)), state):
        assert {type(value) for value in loaded.values()} <= {str, int, list, type(None)}
        assert Message(**loaded).__getstate__() == state
    others = [Message(**state), copy.copy(message), copy.deepcopy(message)] + [
        pickle.loads(pickle.dumps(message, protocol))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in others:
        assert headers_of(other) == headers_of(message)
        assert other.get_json_payload() == message.get_json_payload()
    assert b"models" not in pickle.dumps(message)


def test_what_cannot_be_sent_is_refused_at_once():
    """With the errors of the notification, before there is a connection."""
    with pytest.raises(ValueError, match="4097 bytes, Apple takes 4096"):
        Message(TOKEN, payload=RawNotification({"k": "x" * 4089}))
    with pytest.raises(TypeError):
        Message(TOKEN, payload=RawNotification({"k": object()}))
    for part in ({"alert": "y"}, {"badge": 0}, {"extra": {"k": 1}}, {"k": 1}):
        with pytest.raises(ValueError, match="stands for the whole"):
            Message(TOKEN, payload=Notification("x"), **part)


def test_a_message_for_a_channel_may_be_larger():
    """It has no tokens; Apple takes 5120 bytes then."""
    activity = LiveActivity.update({"k": "x" * 4500})
    assert Message([], payload=activity).get_json_payload() == activity.encode(5120)
    with pytest.raises(ValueError, match="Apple takes 4096"):
        Message(TOKEN, payload=activity)


@pytest.fixture
def memory():
    """The simulator in memory, in simulated time."""
    with Apple() as running:
        yield running


@pytest.fixture(params=["binary", "http2"])
def client(request, memory):
    """An ``APNs`` that speaks each of the two protocols."""
    return memory.client() if request.param == "binary" else memory.provider_client()


def test_notifications_are_sent_over_both_protocols(memory, client):
    """By ``send`` and ``send_many``, byte for byte, with their priority and expiration."""
    tokens = make_tokens(4)
    notification = Notification(
        Alert("\u0416", title=Localized("K")), badge=0, priority=5, expiration=1900000000)
    result = client.send(Message(tokens[:2], payload=notification))
    assert (result.failed, result.errors, result.retry()) == ({}, [], None)
    results = list(client.send_many([
        Message(token, payload=notification) for token in tokens[2:]]))
    assert [one.retry() for one in results] == [None, None]
    assert sorted(memory.accepted_tokens()) == sorted(tokens)
    for one in memory.accepted:
        assert (one.payload, one.priority, one.expiry) == (notification.encode(), 5, 1900000000)
        assert one.push_type in (None, "alert")


def test_what_is_retried_is_the_same_notification(memory, client):
    """With the same headers, after a response that asks for it; also by way of JSON."""
    memory.script(Script(status_at={2: 1}))
    memory.script_provider(ProviderScript(response_at={2: "ServiceUnavailable"}))
    tokens = make_tokens(3)
    notification = Notification("\u0416", PushType.voip, badge=0, priority=5, collapse_id="i",
                                expiration=1900000000)
    again = client.send(Message(tokens, payload=notification, apns_topic=APP)).retry()
    assert tokens[1] in again.tokens
    again = Message(**json.loads(json.dumps(again.__getstate__())))
    assert client.send(again).retry() is None
    assert sorted(memory.accepted_tokens()) == sorted(tokens)
    first, rest = memory.accepted[0], memory.accepted[1:]
    for one in rest:
        assert one._replace(token=first.token, identifier=first.identifier, apns_id=first.apns_id,
                            connection=first.connection, headers=first.headers) == first
    if first.push_type is not None:
        assert (first.push_type, first.topic, first.collapse_id) == ("voip", APP + ".voip", "i")


def test_live_activities_go_to_devices_and_to_channels(simulator, session):
    """With a provider token, as Apple wants it."""
    token = ProviderToken(**simulator.token_parameters)
    client = APNs(session.get_connection(simulator.provider_address, certificate=token))
    assert client.send(Message(TOKEN, payload=ACTIVITY, apns_topic=APP)).retry() is None
    [accepted] = simulator.accepted
    assert (accepted.topic, accepted.push_type, accepted.priority, accepted.expiry) == (
        APP + ".push-type.liveactivity", "liveactivity", 5, 8)

    channel_id = simulator.channels.create(APP, storage_policy=1)
    simulator.forget()
    Broadcast(session.get_connection(simulator.provider_address, certificate=token), APP).send(
        channel_id, Message([], payload=ACTIVITY))
    [accepted] = simulator.accepted
    assert accepted.payload == ACTIVITY.encode()
    assert (accepted.push_type, accepted.priority, accepted.expiry) == ("liveactivity", 5, 8)
