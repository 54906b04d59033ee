"""What the simulated provider API says to requests, without a connection."""

from __future__ import absolute_import, division, print_function

import base64
import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.protocols.http2.server import Request
from apnsclient.testing.simulator import BroadcastChannels, Devices, provider_rules
from apnsclient.testing.simulator.broadcast_policy import BroadcastPolicy
from apnsclient.testing.simulator.provider_callers import CertificateCaller, TokenCaller
from apnsclient.testing.simulator.provider_head import HeadReader
from apnsclient.testing.simulator.provider_keys import ProviderKeys
from apnsclient.testing.simulator.provider_policy import ProviderPolicy
from apnsclient.testing.simulator.provider_reasons import STATUSES
from tables import each

pytest.importorskip("jwt")

TOKEN = b"ab" * 32
APP = "com.example"


class World(object):
    """A policy with devices and channels."""

    def __init__(self):
        self.devices = Devices()
        self.channels = BroadcastPolicy(BroadcastChannels())
        self.heads = HeadReader()
        self.policy = ProviderPolicy(self.devices, self.channels.judge_broadcast)
        self.keys = ProviderKeys()
        self.certificate = CertificateCaller([APP], [], "sandbox")
        self.token = TokenCaller(self.keys, "sandbox", lambda: 1500000000)

    def judge(self, fields, body=b"{}", caller=None, judge=None):
        request = Request(1, fields, body)
        path, head = self.heads.read(request)
        return (judge or self.policy.judge)(request, path, head, caller or self.certificate)


def fields_of(path, method=b"POST", *more):
    return [(b":method", method), (b":scheme", b"https"), (b":path", path)] + list(more)


PATHS = st.one_of(
    st.just(b"/3/device/" + TOKEN), st.just(b"/4/broadcasts/apps/com.example"),
    st.just(b"/1/apps/com.example/channels"), st.just(b"/1/apps/com.example/all-channels"),
    st.binary(max_size=20), st.binary(max_size=40).map(lambda rest: b"/3/device/" + rest))
VALUES = st.one_of(
    st.binary(max_size=30), st.sampled_from([
        b"10", b"0", b"alert", b"liveactivity", b"com.example", b"dHN0", b"1" * 30,
        b"6b29fc40-ca47-1067-b31d-00dd010662da"]),
    st.binary(max_size=30).map(lambda rest: b"bearer " + rest),
    st.lists(st.binary(max_size=30).map(base64.urlsafe_b64encode), max_size=4).map(
        lambda parts: b"bearer " + b".".join(parts)))
FIELDS = st.lists(st.tuples(st.sampled_from([
    b"apns-id", b"apns-topic", b"apns-push-type", b"apns-priority", b"apns-expiration",
    b"apns-collapse-id", b"apns-channel-id", b"apns-request-id", b"authorization", b"x-other",
    b"content-length"]), VALUES), max_size=6)
METHODS = st.sampled_from([b"POST", b"GET", b"DELETE", b"PUT"])
BODIES = st.one_of(st.binary(max_size=20), st.sampled_from([
    b"{}", b"[]", b"null", b"[" * 100000, b'{"push-type": "LiveActivity"}',
    b'{"push-type": "LiveActivity", "message-storage-policy": 1}',
    b'{"push-type": "LiveActivity", "message-storage-policy": [1]}', b"x" * 6000]))


@given(PATHS, METHODS, FIELDS, BODIES)
def test_each_request_has_a_response(path, method, fields, body):
    """With success or a documented reason, by each service and to each kind of caller."""
    world = World()
    request = fields_of(path, method, *fields)
    for caller in (world.certificate, world.token):
        for judge in (world.policy.judge, world.channels.judge_management):
            verdict = world.judge(request, body, caller, judge)
            if verdict.reason is None:
                assert verdict.status in (200, 201, 204)
            else:
                assert verdict.status == STATUSES[verdict.reason] and not verdict.is_accepted


@pytest.mark.parametrize("header", [[], "text", {"kid": []}, {"kid": None}, {"alg": 5}])
def test_headers_of_tokens_may_hold_anything(header):
    """JSON of another kind than expected is an invalid token, and nothing else."""
    raw = base64.urlsafe_b64encode(json.dumps(header).encode("ascii")).rstrip(b"=")
    deep = base64.urlsafe_b64encode(b"[" * 100000).rstrip(b"=")
    world = World()
    for first in (raw, deep):
        field = (b"authorization", b"bearer " + first + b".e30.AA")
        verdict = world.judge(fields_of(b"/3/device/" + TOKEN, b"POST", field),
                              caller=world.token)
        assert verdict.reason == "InvalidProviderToken"


@each("digits, reason", [
    (b"ab", None), (b"AB" * 32, None), (b"ab" * 80, None), (b"ab" * 400, None),
    (b"", "MissingDeviceToken"), (b"abc", "BadDeviceToken"), (b"ab" * 80 + b"a", "BadDeviceToken"),
    (b"xy" * 32, "BadDeviceToken"), (b"ab ab", "BadDeviceToken"),
])
def test_a_token_of_any_length_is_accepted(digits, reason):
    """Live Activities have tokens of 80 bytes; what is not hexadecimal is none."""
    assert World().judge(fields_of(b"/3/device/" + digits)).reason == reason


SUFFIXES = {
    "complication": ".complication", "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider", "liveactivity": ".push-type.liveactivity",
    "location": ".location-query", "pushtotalk": ".voip-ptt", "voip": ".voip",
    "widgets": ".push-type.widgets"}
PLAIN = ("alert", "background", "mdm")


class AnyToken(object):
    """Who calls with a provider token, which is not looked at."""

    default_topic = None
    is_proven = True

    def judge(self, head):
        return None


def reason_of(topic, push_type, caller):
    """Return the reason against a push, None if it is accepted."""
    named = [(b"apns-topic", topic), (b"apns-push-type", push_type)]
    fields = [(name, value.encode("ascii")) for name, value in named if value is not None]
    return World().judge(fields_of(b"/3/device/" + TOKEN, b"POST", *fields), caller=caller).reason


@each("topic_type", sorted(SUFFIXES))
def test_the_suffix_of_the_topic_has_to_be_that_of_the_push_type(topic_type):
    """Every type with every suffix, and with none; a push that names no type is accepted."""
    topic = APP + SUFFIXES[topic_type]
    for push_type in sorted(SUFFIXES) + list(PLAIN):
        expected = None if push_type == topic_type else "InvalidPushType"
        assert reason_of(topic, push_type, AnyToken()) == expected, push_type
    assert reason_of(topic, None, AnyToken()) is None
    assert reason_of(APP, topic_type, AnyToken()) == "DeviceTokenNotForTopic"


@each("push_type", PLAIN + (None,))
def test_other_push_types_have_no_suffix(push_type):
    """Alerts and background pushes go to the bundle identifier; the topic for MDM is its own."""
    assert reason_of(APP, push_type, AnyToken()) is None
    assert reason_of("com.apple.mgmt.External.1", push_type, AnyToken()) is None


@each("push_type, topic, reason", [
    ("liveactivity", APP + ".push-type.liveactivity", "TopicDisallowed"),
    (None, APP + ".push-type.liveactivity", "TopicDisallowed"),
    ("location", APP + ".location-query", "TopicDisallowed"),
    (None, APP + ".location-query", "TopicDisallowed"),
    ("liveactivity", None, "TopicDisallowed"),
    ("voip", APP + ".voip", None),
    ("widgets", APP + ".push-type.widgets", None),
])
def test_what_takes_a_provider_token_is_rejected_with_a_certificate(push_type, topic, reason):
    """Live Activities and location queries, whatever topics the certificate names."""
    for topics in ([], [topic or APP]):
        assert reason_of(topic, push_type, CertificateCaller(topics, [], "sandbox")) == reason


@each("topics, push_type, reason", [
    ([APP + ".voip"], "voip", None),
    ([APP + ".voip"], None, None),
    ([APP + ".voip"], "alert", "InvalidPushType"),
    ([APP, APP], "alert", None),
    ([APP], "voip", "DeviceTokenNotForTopic"),
    ([APP, APP + ".voip"], "voip", "MissingTopic"),
    ([], "voip", None),
])
def test_the_one_topic_of_a_certificate_is_that_of_a_push_without_one(topics, push_type, reason):
    """And its suffix has to be that of the push type."""
    caller = CertificateCaller(topics, [], "sandbox")
    field = [(b"apns-push-type", push_type.encode("ascii"))] if push_type else []
    verdict = World().judge(fields_of(b"/3/device/" + TOKEN, b"POST", *field), caller=caller)
    assert verdict.reason == reason


@each("topic, push_type, topics, largest", [
    (APP + ".voip", "voip", [], 5120), (APP + ".voip", None, [], 5120), (None, "voip", [], 5120),
    (None, None, [APP + ".voip"], 5120), (APP, "alert", [], 4096), (APP, None, [], 4096),
    (APP + ".push-type.widgets", "widgets", [], 4096), (None, None, [], 4096),
])
def test_only_a_call_may_have_a_larger_payload(topic, push_type, topics, largest):
    """Whether its push type says that it is one, its topic, or that of the certificate."""
    named = [(b"apns-topic", topic), (b"apns-push-type", push_type)]
    fields = [(name, value.encode("ascii")) for name, value in named if value is not None]
    caller, world = CertificateCaller(topics, [], "sandbox"), World()
    for size, reason in ((largest, None), (largest + 1, "PayloadTooLarge")):
        assert world.judge(fields_of(b"/3/device/" + TOKEN, b"POST", *fields), b"x" * size,
                           caller).reason == reason


@each("topic, caller, reason", [
    (APP + ".voip", AnyToken(), None),
    (APP, AnyToken(), "DeviceTokenNotForTopic"),
    (None, CertificateCaller([APP + ".voip"], [], "sandbox"), None),
    (None, CertificateCaller([APP], [], "sandbox"), "DeviceTokenNotForTopic"),
    (None, CertificateCaller([], [], "sandbox"), None),
])
def test_a_token_of_one_topic_is_none_of_another(topic, caller, reason):
    """Whether the request names its topic, or the certificate does; until it is said otherwise."""
    world = World()
    world.devices.strict = True
    world.devices.add_for_topic(APP + ".voip", TOKEN)
    field = [(b"apns-topic", topic.encode("ascii"))] if topic else []
    fields = fields_of(b"/3/device/" + TOKEN, b"POST", *field)
    assert world.judge(fields, caller=caller).reason == reason
    world.devices.add(TOKEN)
    assert world.judge(fields, caller=caller).reason is None
    world.devices.add_for_topic(APP, TOKEN)
    world.devices.uninstall(TOKEN)
    assert world.judge(fields, caller=caller).reason == "Unregistered"


@each("rule", [rule for _, rule in provider_rules.RULES])
def test_each_rule_names_its_source(rule):
    """Apple's page, or what others saw of a real server; and which of them it is."""
    text = rule.__doc__
    assert "(read)" in text or "(seen)" in text
    assert "Apple, *" in text or "(seen)" in text


def test_each_reason_is_on_the_page():
    """The page about testing says when each comes by itself, or that it comes from a script."""
    with open(os.path.join(os.path.dirname(__file__), os.pardir, "docs", "testing.rst")) as stream:
        words = set(re.findall(r"[A-Za-z]+", stream.read().partition("What it rejects\n---")[2]))
    scripted = {"BadCertificate", "Forbidden", "IdleTimeout", "InternalServerError",
                "ServiceUnavailable", "Shutdown", "TooManyRequests"}
    assert set(STATUSES) - words <= scripted
    assert {reason for reason, _ in provider_rules.RULES} <= words


def test_header_fields_are_kept_up_to_a_limit(monkeypatch):
    """A client that sends others with each request does not fill the memory."""
    monkeypatch.setattr("apnsclient.testing.simulator.provider_head._KEPT_HEADS", 10)
    monkeypatch.setattr("apnsclient.testing.simulator.provider_policy._KEPT_FAULTS", 10)
    world = World()
    for number in range(100):
        field = (b"apns-collapse-id", b"%d" % number)
        assert world.judge(fields_of(b"/3/device/" + TOKEN, b"POST", field)).is_accepted

    assert 0 < len(world.heads._heads) <= 10
    assert 0 < len(world.policy._faults) <= 10
