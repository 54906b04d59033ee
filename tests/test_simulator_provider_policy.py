"""What the simulated provider API says to requests, without a connection."""

from __future__ import absolute_import, division, print_function

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.protocols.http2.server import Request
from apnsclient.testing.simulator import BroadcastChannels, Devices
from apnsclient.testing.simulator.provider_policy import CertificateCaller, ProviderPolicy
from apnsclient.testing.simulator.provider_reasons import STATUSES
from apnsclient.testing.simulator.tokens import ProviderKeys, TokenCaller

pytest.importorskip("jwt")

TOKEN = b"ab" * 32
APP = "com.example"


class World(object):
    """A policy with devices and channels."""

    def __init__(self, token_size=32):
        self.devices = Devices()
        self.channels = BroadcastChannels()
        self.policy = ProviderPolicy(self.devices, token_size, self.channels.judge_broadcast)
        self.keys = ProviderKeys()
        self.certificate = CertificateCaller([APP], [], "sandbox")
        self.token = TokenCaller(self.keys, "sandbox", lambda: 1500000000)

    def judge(self, fields, body=b"{}", caller=None, judge=None):
        request = Request(1, fields, body)
        path, head = self.policy.read_head(request)
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
def test_whatever_is_asked_is_answered(path, method, fields, body):
    """With success or a documented reason, by each service and to each kind of caller."""
    world = World()
    request = fields_of(path, method, *fields)
    for caller in (world.certificate, world.token):
        for judge in (world.policy.judge, world.channels.judge_management):
            verdict = world.judge(request, body, caller, judge)
            if verdict.reason is None:
                assert verdict.status in (200, 201, 204)
            else:
                assert verdict.status == STATUSES[verdict.reason] and verdict.push is None


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


def test_tokens_of_any_size_can_be_allowed():
    """token_size=None takes what is hexadecimal; 32 bytes is the usual size."""
    for size, digits, reason in ((None, b"ab", None), (None, b"abc", "BadDeviceToken"),
                                 (32, b"ab", "BadDeviceToken"), (1, b"ab", None)):
        assert World(size).judge(fields_of(b"/3/device/" + digits)).reason == reason


def test_header_fields_are_kept_up_to_a_limit(monkeypatch):
    """A client that sends others with each request does not fill the memory."""
    monkeypatch.setattr("apnsclient.testing.simulator.provider_policy._KEPT_HEADS", 10)
    world = World()
    for number in range(100):
        field = (b"apns-collapse-id", b"%d" % number)
        verdict = world.judge(fields_of(b"/3/device/" + TOKEN, b"POST", field))
        assert verdict.push.head.collapse_id == "%d" % number

    assert 0 < len(world.policy._heads) <= 10
