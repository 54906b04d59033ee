"""Broadcast channels at the simulator: their management, and what is sent to them."""

from __future__ import absolute_import, division, print_function

import json

import pytest

from apnsclient.testing.simulator import BroadcastChannels, ProviderScript, Simulator
from provider_client import BODY, ProviderClient, events, new_token, with_certificate

pytestmark = pytest.mark.timeout(240)

APP = "com.example"
CHANNELS = "/1/apps/com.example/channels"
ALL = "/1/apps/com.example/all-channels"
BROADCAST = "/4/broadcasts/apps/com.example"
CONFIG = b'{"push-type": "LiveActivity", "message-storage-policy": 1}'
REQUEST_ID = "6b29fc40-ca47-1067-b31d-00dd010662da"
#: As large as a broadcast may be.
FULL = b'{"aps":{}}' + b" " * 5110


def named(channel_id):
    return [("apns-channel-id", channel_id)]


@pytest.fixture
def apns():
    with Simulator() as running:
        yield running


@pytest.fixture
def manager(apns):
    with ProviderClient(apns.channels_address, bearer=new_token(apns)) as client:
        yield client


def ask(client, method, path, fields=(), body=b""):
    return client.response(client.request(path, fields, body, method))


# Management.


def test_channels_are_created_read_listed_and_deleted(apns, manager):
    """As Apple's pages have it: 201, 200, 200 and 204, and the registry knows the same."""
    created = ask(manager, "POST", CHANNELS, [("apns-request-id", REQUEST_ID)], CONFIG)
    channel_id = created.fields["apns-channel-id"]
    other = apns.channels.create(APP)

    assert (created.status, created.said) == (201, None)
    assert created.fields["apns-request-id"] == REQUEST_ID
    read = ask(manager, "GET", CHANNELS, named(channel_id))
    assert (read.status, read.said) == (200, json.loads(CONFIG.decode("ascii")))
    assert len(read.fields["apns-request-id"]) == 36
    assert ask(manager, "GET", ALL).said == {"channels": [channel_id, other]}
    assert ask(manager, "DELETE", CHANNELS, named(channel_id)).status == 204
    assert ask(manager, "GET", ALL).said == {"channels": [other]}
    assert apns.channels.ids(APP) == [other]
    assert apns.channels.storage_policy(APP, other) == 0
    assert (apns.channel_connections, apns.provider_connections) == (1, 0)


def test_each_application_has_its_own_channels(apns, manager):
    """The list of another one is empty, and its channel is not registered."""
    channel_id = apns.channels.create("com.other")

    assert ask(manager, "GET", ALL).said == {"channels": []}
    assert ask(manager, "GET", CHANNELS, named(channel_id)).said == {
        "reason": "ChannelNotRegistered"}
    assert ask(manager, "GET", "/1/apps/com.other/all-channels").said == {
        "channels": [channel_id]}


BAD_REQUESTS = [
    ("POST", CHANNELS, [], b"", 400, "BadRequestPayload"),
    ("POST", CHANNELS, [], b"[]", 400, "BadRequestPayload"),
    ("POST", CHANNELS, [], b"\xff", 400, "BadRequestPayload"),
    ("POST", CHANNELS, [], CONFIG[:-1], 400, "BadRequestPayload"),
    ("POST", CHANNELS, [], CONFIG[:-1] + b', "name": "x"}', 400, "BadRequestParams"),
    ("POST", CHANNELS, [], b'{"push-type": "LiveActivity"}', 400, "BadRequestParams"),
    ("POST", CHANNELS, [], b'{"push-type": "LiveActivity", "message-storage-policy": true}', 400,
     "BadRequestParams"),
    ("POST", CHANNELS, [], b'{"push-type": "LiveActivity", "message-storage-policy": 2}', 400,
     "BadRequestParams"),
    ("POST", CHANNELS, [], b'{"message-storage-policy": 1}', 400, "MissingPushType"),
    ("POST", CHANNELS, [], b'{"push-type": "alert", "message-storage-policy": 1}', 400,
     "InvalidPushType"),
    ("POST", CHANNELS, [("apns-request-id", "1")], CONFIG, 400, "BadMessageId"),
    ("POST", CHANNELS, [("apns-id", "1")], CONFIG, 400, "BadMessageId"),
    ("GET", CHANNELS, [], b"", 400, "MissingChannelId"),
    ("DELETE", CHANNELS, [], b"", 400, "MissingChannelId"),
    ("GET", CHANNELS, named("x"), b"", 400, "BadChannelId"),
    ("GET", CHANNELS, named("!!!!"), b"", 400, "BadChannelId"),
    ("GET", CHANNELS, named("dHN0"), b"", 400, "ChannelNotRegistered"),
    ("DELETE", CHANNELS, named("dHN0"), b"", 400, "ChannelNotRegistered"),
    ("PUT", CHANNELS, [], CONFIG, 405, "MethodNotAllowed"),
    ("POST", ALL, [], CONFIG, 405, "MethodNotAllowed"),
    ("GET", "/1/apps/com.example.push-type.liveactivity/all-channels", [], b"", 400,
     "TopicDisallowed"),
    ("GET", "/1/apps//channels", [], b"", 404, "BadPath"),
    ("GET", "/2/apps/com.example/channels", [], b"", 404, "BadPath"),
    ("POST", BROADCAST, [], BODY, 404, "BadPath"),
]


def test_bad_requests_get_their_reason(apns, manager):
    """And an identifier of the request, as every response has."""
    for row in BAD_REQUESTS:
        method, path, fields, body, status, reason = row
        response = ask(manager, method, path, fields, body)

        assert (response.status, response.said) == (status, {"reason": reason}), row
        assert len(response.fields["apns-request-id"]) == 36 and "apns-id" not in response.fields
        error = apns.errors[-1]
        assert (error.status, error.reason, error.path) == (status, reason, path)
    assert apns.error_count == len(BAD_REQUESTS)
    assert apns.channels.ids(APP) == []


def test_an_application_without_the_capability_has_no_channels(apns, manager):
    """Taking it away deletes the channels; giving it back does not bring them back."""
    channel_id = apns.channels.create(APP)
    other = apns.channels.create("com.other")
    apns.channels.disable(APP)
    with with_certificate(apns) as client:
        assert broadcast(client, channel_id).said == {"reason": "FeatureNotEnabled"}
    for method, path, body in (("POST", CHANNELS, CONFIG), ("GET", ALL, b"")):
        assert ask(manager, method, path, body=body).said == {"reason": "FeatureNotEnabled"}
    assert ask(manager, "GET", "/1/apps/com.other/all-channels").said == {"channels": [other]}

    apns.channels.enable(APP)
    assert ask(manager, "GET", ALL).said == {"channels": []}


def test_an_application_has_only_so_many_channels(apns, manager):
    """10 000 with Apple; deleting one makes room."""
    assert apns.channels.limit == 10000
    apns.channels.limit = 2
    first = apns.channels.create(APP)
    assert ask(manager, "POST", CHANNELS, body=CONFIG).status == 201
    assert ask(manager, "POST", CHANNELS, body=CONFIG).said == {
        "reason": "CannotCreateChannelConfig"}
    with pytest.raises(ValueError, match="com.example has 2 channels already"):
        apns.channels.create(APP)
    assert apns.channels.delete(APP, first) and not apns.channels.delete(APP, first)
    assert ask(manager, "POST", CHANNELS, body=CONFIG).status == 201


def test_callers_are_checked_as_for_a_push(apns):
    """A token of a team, for its topics; or a certificate of the application.

    Where a push gets TopicDisallowed, a request about channels has a reason of its own.
    """
    key = apns.add_key("LIMITED123", topics=["com.other"])
    limited = new_token(apns, key_id="LIMITED123", key_string=key)
    reasons = []
    for bearer, pem in ((None, None), ("garbage", None), (limited, None),
                        (None, apns.client_certificate(topic="com.other")),
                        (None, apns.client_certificate(topic=APP))):
        with ProviderClient(apns.channels_address, pem, bearer=bearer) as client:
            reasons.append((ask(client, "GET", ALL).said or {}).get("reason"))
    assert reasons == ["MissingProviderToken", "InvalidProviderToken", "TopicMismatch",
                       "TopicMismatch", None]


def test_the_management_follows_scripts_of_its_own(apns):
    """Those of the provider API are none of its."""
    apns.script_provider(ProviderScript(response_at={1: "Shutdown"}))
    apns.script_channels(ProviderScript(response_at={1: "InternalServerError"}, split=2))
    with ProviderClient(apns.channels_address, apns.cert_string) as client:
        assert ask(client, "GET", ALL).status == 500
        assert ask(client, "GET", ALL).said == {"channels": []}
        assert max(len(event.data) for event in client.of(events.DataReceived)) == 2


# Broadcasts.


def broadcast(client, channel_id, body=BODY, **changes):
    fields = dict({"apns-channel-id": channel_id, "apns-push-type": "liveactivity",
                   "apns-expiration": "0", "apns-priority": "10"}, **changes)
    return client.response(client.request(
        BROADCAST, [(name, value) for name, value in sorted(fields.items()) if value], body))


def test_a_broadcast_is_accepted_and_recorded(apns):
    """It has no token; its channel stands in the headers."""
    channel_id = apns.channels.create(APP)
    with with_certificate(apns) as client:
        response = broadcast(client, channel_id, **{"apns-request-id": REQUEST_ID})

    assert (response.status, response.said) == (200, None)
    assert response.fields["apns-request-id"] == REQUEST_ID and "apns-unique-id" in response.fields
    push, = apns.accepted
    assert (push.token, push.payload, push.expiry, push.priority) == ("", BODY, 0, 10)
    assert push.headers["apns-channel-id"] == channel_id
    assert push.headers[":path"] == BROADCAST


BAD_BROADCASTS = [
    ({"apns-channel-id": ""}, 400, "MissingChannelId"),
    ({"apns-channel-id": "x"}, 400, "BadChannelId"),
    ({"apns-channel-id": "dHN0"}, 400, "ChannelNotRegistered"),
    ({"apns-push-type": ""}, 400, "MissingPushType"),
    ({"apns-push-type": "alert"}, 400, "InvalidPushType"),
    ({"apns-expiration": ""}, 400, "BadExpirationDate"),
    ({"apns-expiration": "soon"}, 400, "BadExpirationDate"),
    ({"apns-priority": ""}, 400, "BadPriority"),
    ({"apns-priority": "3"}, 400, "BadPriority"),
    ({"apns-request-id": "1"}, 400, "BadMessageId"),
    ({"body": b""}, 400, "PayloadEmpty"),
    ({"body": b"{"}, 400, "BadRequestPayload"),
    ({"body": FULL + b" "}, 413, "PayloadTooLarge"),
]


def test_bad_broadcasts_get_their_reason(apns):
    """Nothing is recorded as accepted."""
    channel_id = apns.channels.create(APP)
    with with_certificate(apns) as client:
        for changes, status, reason in BAD_BROADCASTS:
            response = broadcast(client, channel_id, **changes)
            assert (response.status, response.said) == (status, {"reason": reason}), changes
            assert "apns-request-id" in response.fields
        assert apns.accepted_count == 0
        assert broadcast(client, channel_id, FULL).status == 200


def test_a_channel_that_stores_nothing_takes_no_expiration_but_0(apns):
    """One that stores the last message takes any."""
    stored, empty = apns.channels.create(APP, 1), apns.channels.create(APP)
    with with_certificate(apns) as client:
        reasons = [(broadcast(client, channel_id, **{"apns-expiration": expiration}).said
                    or {}).get("reason")
                   for channel_id in (empty, stored) for expiration in ("0", "1", "2000000000")]

    assert reasons == [None, "BadExpirationDate", "BadExpirationDate", None, None, None]
    assert [each.expiry for each in apns.accepted] == [0, 0, 1, 2000000000]


def test_a_broadcast_has_a_unique_id_in_production_as_well():
    """Unlike a push to a device."""
    with Simulator(production=True) as apns, with_certificate(apns) as client:
        assert "apns-unique-id" in broadcast(client, apns.channels.create(APP)).fields
        assert "apns-unique-id" not in client.push().fields


def test_the_push_type_of_a_broadcast_may_have_capitals(apns):
    """Apple's page has it in both ways; its identifier comes back all the same."""
    channel_id = apns.channels.create(APP)
    with with_certificate(apns) as client:
        response = broadcast(client, channel_id, **{
            "apns-push-type": "Liveactivity", "apns-request-id": REQUEST_ID})
    assert (response.status, response.fields["apns-request-id"]) == (200, REQUEST_ID)


def test_a_broadcast_is_a_post(apns):
    """Other methods are not allowed."""
    with with_certificate(apns) as client:
        assert ask(client, "GET", BROADCAST).said == {"reason": "MethodNotAllowed"}


def test_a_channel_has_one_of_two_storage_policies():
    """Anything else is an error that says what was expected."""
    channels = BroadcastChannels()
    for policy in (2, None, "1", True):
        with pytest.raises(ValueError, match="expected 0 or 1"):
            channels.create(APP, policy)
    assert channels.storage_policy(APP, channels.create(APP, 1)) == 1
    assert channels.storage_policy("none", "none") is None
    assert not channels.delete("none", "none") and channels.ids("none") == []
