"""How the simulator slows down and cuts off who makes errors, and binds connections; in memory.

A connection is the simulator's own conversation, without TLS, and its frames are looked at one by
one. What the package's client makes of it is at the end.
"""

from __future__ import absolute_import, division, print_function

import itertools
import struct

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from hpack import Encoder

from apnsclient import APNs, Message
from apnsclient.protocols.http2 import frames
from apnsclient.testing.simulator import Devices, ProviderScript, Simulator
from apnsclient.testing.simulator.connection_facts import ConnectionFacts, TLSFacts
from apnsclient.testing.simulator.interventions import Interventions
from apnsclient.testing.simulator.provider_callers import CertificateCaller
from apnsclient.testing.simulator.provider_conversation import ProviderConversation
from apnsclient.testing.simulator.provider_head import HeadReader
from apnsclient.testing.simulator.provider_policy import ProviderPolicy
from apnsclient.testing.simulator.provider_responses import Ids
from net_support import make_tokens
from provider_client import events, with_certificate
from tables import each

MOST = frames.MAX_CONCURRENT_STREAMS
BAD, GONE = "bb" * 32, "ee" * 32
REFUSED, CLOSED = frames.REFUSED_STREAM, frames.STREAM_CLOSED


class Talk(object):
    """A connection to the provider API; a request with one letter x is for the token ``x * 64``.

    :param caller: who calls; None for a certificate without topics.
    :param options: those of the script.

    :ivar is_prompt: whether settings are acknowledged as soon as they are read.
    """

    def __init__(self, caller=None, **options):
        devices = Devices()
        devices.bad(BAD)
        devices.uninstall(GONE, when=1)
        policy = ProviderPolicy(devices, None)
        self.later = []
        self.conversation = ProviderConversation(
            HeadReader(), policy.judge, caller or CertificateCaller([], [], "sandbox"),
            ProviderScript(**options), Ids(), True,
            lambda seconds, function: self.later.append(function),
            ConnectionFacts(1, 1, "provider", None, TLSFacts("", "", "h2", False), None, 0.0),
            itertools.count(1), lambda: 1.0, Interventions())
        self.conversation.begin()
        self._encoder = Encoder()
        self._reader = frames.FrameReader()
        self._stream = -1
        self.is_prompt = True
        self.say(frames.PREFACE, frames.settings_frame(()))

    def head(self, letter="a", topic="com.example"):
        """Return HEADERS of the next stream."""
        self._stream += 2
        block = self._encoder.encode([
            (b":method", b"POST"), (b":scheme", b"https"),
            (b":path", b"/3/device/" + 64 * letter.encode("ascii")),
            (b"apns-topic", topic.encode("ascii"))])
        return frames.frame(frames.HEADERS, frames.END_HEADERS, self._stream, block)

    def request(self, letter="a", topic="com.example"):
        """Return HEADERS and DATA of the next stream."""
        return self.head(letter, topic) + self.body(self._stream)

    def body(self, stream):
        """Return the DATA of a stream."""
        return frames.frame(frames.DATA, frames.END_STREAM, stream, b"{}")

    def say(self, *data):
        """Send bytes; return what comes back as a list, in order.

        ``(stream, status)`` for a response, ``(stream, "reset", code)``, ``("limit", n)`` and
        ``("goaway", last)``.
        """
        self.conversation.receive(b"".join(data))
        return self.read()

    def read(self):
        """Return what comes without anything being sent."""
        said, acknowledgements = [], b""
        for kind, flags, stream, payload in self._reader.feed(self.conversation.take_output()):
            if kind == frames.HEADERS:
                # A status is literal or indexed, whichever: 200 is 0x88, the rest is an error.
                said.append((stream, 200 if payload[:1] == b"\x88" else 400))
            elif kind == frames.RST_STREAM:
                said.append((stream, "reset", struct.unpack(">I", payload)[0]))
            elif kind == frames.SETTINGS and not flags & frames.ACK:
                acknowledgements += frames.SETTINGS_ACK
                said.append(("limit", dict(frames.read_settings(payload))[MOST]))
            elif kind == frames.GOAWAY:
                said.append(("goaway", frames.read_goaway(payload)[0]))
        if acknowledgements and self.is_prompt:
            said += self.say(acknowledgements)
        return said


# One stream after a rejection.


def test_a_rejection_leaves_one_stream_until_a_notification_is_accepted():
    """The limit is lowered behind each rejection, and comes back behind the next that is 200."""
    talk = Talk(throttle=True, settings={"max_concurrent_streams": 500})
    assert talk.say(talk.request()) == [(1, 200)]
    assert talk.say(talk.request("b")) == [(3, 400), ("limit", 1)]
    assert talk.say(talk.request("b")) == [(5, 400), ("limit", 1)]
    assert talk.say(talk.request()) == [(7, 200), ("limit", 500)]
    assert talk.say(talk.request()) == [(9, 200)]
    assert talk.say(talk.request("e")) == [(11, 400), ("limit", 1)]


def test_what_is_in_flight_behind_a_rejection_is_refused():
    """REFUSED_STREAM for its HEADERS, then STREAM_CLOSED for its DATA; one stream is left."""
    talk = Talk(throttle=True)
    said = talk.say(talk.request(), talk.request("b"), *[talk.request() for _ in range(3)])
    assert said == [
        (1, 200), (3, 400), ("limit", 1), (7, "reset", REFUSED), (7, "reset", CLOSED),
        (9, "reset", REFUSED), (9, "reset", CLOSED), (5, 200), ("limit", 1000)]


def test_a_request_that_was_refused_has_not_been_processed():
    """It is not among what was accepted."""
    talk = Talk(throttle=True)
    pushes = talk.conversation.receive(b"".join(
        [talk.request("b")] + [talk.request(letter) for letter in "acd"]))
    assert [(push.stream, push.outcome) for push in pushes] == [
        (1, "rejected"), (3, "accepted"), (5, "refused"), (7, "refused")]
    assert [push.is_processed for push in pushes] == [False, True, False, False]


def test_a_stream_beyond_the_limit_is_refused_when_its_headers_come():
    """While another one is open; DATA gets an error of its own, once."""
    talk = Talk(throttle=True)
    talk.say(talk.request("b"))
    talk.say(talk.head())
    assert talk.say(talk.head()) == [(5, "reset", REFUSED)]
    assert talk.say(talk.body(5)) == [(5, "reset", CLOSED)]
    assert talk.say(talk.body(3)) == [(3, 200), ("limit", 1000)]


def test_a_limit_that_is_acknowledged_late_does_not_hold_any_more():
    """The one that came after it does, from when it was sent."""
    talk = Talk(throttle=True)
    talk.is_prompt = False
    assert talk.say(talk.request("b")) == [(1, 400), ("limit", 1)]
    assert talk.say(talk.request()) == [(3, 200), ("limit", 1000)]
    talk.say(frames.SETTINGS_ACK)
    assert talk.say(talk.head(), talk.head(), talk.body(5), talk.body(7)) == [(5, 200), (7, 200)]


def test_a_stream_that_is_open_already_takes_the_one_place_there_is():
    """Then all that is behind the rejection is refused."""
    talk = Talk(throttle=True)
    talk.say(talk.head())
    assert talk.say(talk.request("b"), talk.request()) == [
        (3, 400), ("limit", 1), (5, "reset", REFUSED), (5, "reset", CLOSED)]
    assert talk.say(talk.body(1)) == [(1, 200), ("limit", 1000)]


def test_requests_that_are_not_complete_are_in_flight_as_well():
    """All but the oldest are refused; what comes of their DATA later gets the other error."""
    talk = Talk(throttle=True)
    talk.say(*[talk.head() for _ in range(4)])
    part = frames.frame(frames.DATA, 0, 5, b"{")
    assert talk.say(part, talk.request("b")) == [
        (9, 400), ("limit", 1), (3, "reset", REFUSED), (5, "reset", REFUSED), (5, "reset", CLOSED),
        (7, "reset", REFUSED)]
    assert talk.say(*[talk.body(stream) for stream in (3, 5, 7)]) == [
        (3, "reset", CLOSED), (7, "reset", CLOSED)]
    assert talk.say(talk.body(1)) == [(1, 200), ("limit", 1000)]


def test_only_a_rejection_lowers_the_limit():
    """A failure of the server is none of the client's."""
    talk = Talk(throttle=True, response_at={1: "InternalServerError", 2: "Unregistered"})
    assert talk.say(talk.request()) == [(1, 400)]
    assert talk.say(talk.request()) == [(3, 400), ("limit", 1)]


def test_without_the_script_data_of_a_refused_stream_is_ignored():
    """As RFC 9113 advises."""
    talk = Talk(settings={"max_concurrent_streams": 1}, hold=True)
    talk.say(talk.request())
    assert talk.say(talk.head(), talk.body(3)) == [(3, "reset", REFUSED)]


def test_a_late_response_that_is_a_rejection_refuses_no_request_that_was_processed():
    """Those whose responses are late as well keep their streams."""
    talk = Talk(throttle=True, hold=True)
    assert talk.say(talk.request("b"), talk.request()) == []
    for function in talk.later:
        function()
    assert talk.read() == [(1, 400), ("limit", 1), (3, 200), ("limit", 1000)]


class Unproven(CertificateCaller):
    """Who calls with a provider token that becomes valid with the first request."""

    is_proven = False

    def judge(self, head):
        self.is_proven = True


def test_a_rejection_before_the_limit_is_raised_for_the_first_time_keeps_it():
    """A valid provider token raises it otherwise; then the next notification does."""
    talk = Talk(Unproven([], [], "sandbox"), throttle=True)
    assert talk.say(talk.request("b")) == [(1, 400), ("limit", 1)]
    assert talk.say(talk.request()) == [(3, 200), ("limit", 1000)]


def test_another_client_sees_it_over_tls():
    """What is in flight behind a rejection is refused, and the limit comes and goes, each time."""
    def limits():
        return [each.changed_settings[MOST].new_value
                for each in client.of(events.RemoteSettingsChanged)
                if MOST in each.changed_settings]

    with Simulator(provider_script=ProviderScript(throttle=True)) as apns, with_certificate(
            apns) as client:
        apns.devices.bad(BAD)
        client.push()
        for round_number in range(2):
            # In one record: all of it is in flight when the first one is rejected.
            streams = [client.request("/3/device/" + token, is_last=False)
                       for token in [BAD] + ["aa" * 32] * 5]
            client.flush()
            assert [client.response(stream).status for stream in streams[:2]] == [400, 200]
            client.wait(lambda: len(client.of(events.StreamReset)) == 4 * (round_number + 1))
            assert {each.stream_id: each.error_code for each in client.of(events.StreamReset)[-4:]
                    } == dict.fromkeys(streams[2:], REFUSED)
            assert client.wait(lambda: limits() == [1000] + [1, 1000] * (round_number + 1))
    assert apns.accepted_count == 1 + 2


# Many errors.


def test_the_limit_is_lowered_after_a_number_of_errors():
    """4XX count, and 410 does not; it is not raised again."""
    talk = Talk(limit_after_errors={2: 100, 3: 1})
    assert talk.say(talk.request("b"), talk.request("e"), talk.request("e")) == [
        (1, 400), (3, 400), (5, 400)]
    assert talk.say(talk.request("b")) == [(7, 400), ("limit", 100)]
    assert talk.say(talk.request("b")) == [(9, 400), ("limit", 1)]
    assert talk.say(talk.request()) == [(11, 200)]
    assert talk.say(talk.request("b")) == [(13, 400)]


def test_a_limit_for_errors_does_not_raise_that_before_a_valid_token():
    """One stream is allowed; the lower limit is the one that follows."""
    talk = Talk(Unproven([], [], "sandbox"), limit_after_errors={1: 7})
    assert talk.say(talk.request("b")) == [(1, 400), ("limit", 7)]


@each("options, letters, responses", [
    ({"goaway_after_errors": 2}, "abeba", 4),
    ({"goaway_after_errors": 2, "response_at": {1: "BadTopic", 2: "Shutdown"}}, "aaba", 3),
    ({"goaway_after_bad_tokens": 2}, "babaa", 3),
    ({"goaway_after_bad_tokens": 2, "response_at": {1: "BadTopic", 3: "BadTopic"}}, "abababa", 4),
    ({"goaway_after_errors": 3, "goaway_after_bad_tokens": 1}, "aba", 2),
])
def test_the_connection_ends_after_a_number_of_errors(options, letters, responses):
    """Of any 4XX, or of bad tokens; GOAWAY names the last one that had a response."""
    talk = Talk(goaway_reason="TooManyRequests", **options)
    said = talk.say(*[talk.request(letter) for letter in letters])
    assert [stream for stream, _ in said] == [2 * n + 1 for n in range(responses)] + ["goaway"]
    assert said[-1] == ("goaway", 2 * responses - 1)
    assert talk.conversation.ending == "goaway" and talk.conversation.is_drained


# One application.


def test_a_connection_belongs_to_the_application_of_its_first_push():
    """With its suffixes; the first push is the first that is accepted."""
    talk = Talk(one_app=True)
    said = talk.say(*[talk.request(letter, topic) for letter, topic in [
        ("b", "com.other"), ("a", "com.example.voip"), ("a", "com.example"), ("a", "com.other"),
        ("a", "com.example.app"), ("a", "com.example")]])
    assert [status for _, status in said] == [400, 200, 200, 400, 400, 200]
    ended = talk.conversation.take_ended()
    assert [exchange.reason for exchange in ended if exchange.reason] == [
        "BadDeviceToken", "TopicDisallowed", "TopicDisallowed"]


# The client of this package.


@pytest.mark.parametrize("script", [
    ProviderScript(throttle=True),
    ProviderScript(throttle=True, settings={"max_concurrent_streams": 20}),
    ProviderScript(limit_after_errors={2: 10, 4: 1}),
    ProviderScript(goaway_after_errors=3),
    ProviderScript(goaway_after_bad_tokens=1, goaway_reason="Shutdown"),
])
def test_each_token_is_sent_to_once_whatever_errors_bring(apple, script):
    """The bad ones fail, all others are accepted, nothing is left over."""
    tokens = make_tokens(600)
    bad = tokens[7::97]
    for token in bad:
        apple.devices.bad(token)
    apple.script_provider(*[script] * 50)
    result = apple.provider_client().send(Message(tokens, alert="Hello"))

    assert sorted(result.failed) == sorted(bad)
    assert not result.needs_retry() and not result.errors
    assert sorted(apple.accepted_tokens()) == sorted(set(tokens) - set(bad))


def test_another_application_needs_another_connection(apple):
    """It is rejected over the one that belongs to the first."""
    apple.script_provider(ProviderScript(one_app=True))
    session = apple.session(protocol="http2")
    client = APNs(session.get_connection(apple.provider_address, **apple.token_parameters))
    first, second = [Message("aa" * 32, alert="x", apns_topic=topic)
                     for topic in ("com.example.one", "com.example.two")]
    assert not client.send(first).errors
    assert client.send(second).errors[0].reason == "TopicDisallowed"
    session.shutdown()
    assert not client.send(second).errors
