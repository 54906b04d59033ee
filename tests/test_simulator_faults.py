"""Faults that begin and end while a simulator runs, and scripts as documents."""

from __future__ import absolute_import, division, print_function

import json

import pytest
import six

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from apnsclient.protocols.http2 import frames
from apnsclient.testing.simulator import (
    FeedbackScript,
    ProviderScript,
    RequestScript,
    Script,
    Simulator,
)
from apnsclient.testing.simulator.script_documents import (
    SCRIPTS,
    script_from_document,
    script_to_document,
)
from provider_client import events, with_certificate, with_token
from simulator_client import gateway_client
from tables import each

TOKEN, OTHER = "ab" * 32, "cd" * 32
#: Seconds after which something hangs.
HANG = 150


@pytest.fixture
def apns():
    with Simulator() as running:
        yield running


# Scripts of requests.


def test_the_next_requests_go_by_their_scripts(apns):
    """In order, over connections that are open and those to come; then all is as ever."""
    with with_certificate(apns) as client:
        assert client.push().status == 200
        apns.faults.script_requests(
            RequestScript(response="TooManyRequests", count=2),
            RequestScript(response=(503, "Maintenance")))
        assert [client.push().said for _ in range(2)] == [{"reason": "TooManyRequests"}] * 2
    assert apns.faults.queued_scripts("requests") == [RequestScript(response=(503, "Maintenance"))]
    with with_certificate(apns) as client:
        assert (client.push().status, client.push().status) == (503, 200)
    assert apns.faults.queued_scripts("requests") == []
    assert apns.accepted_count == 2


def test_a_script_of_a_request_may_be_for_a_token_or_a_topic(apns):
    """Others are left alone, and the script waits."""
    apns.faults.script_requests(RequestScript(response="BadTopic", token=TOKEN.upper()),
                                RequestScript(response="Forbidden", topic="com.x"))
    with with_certificate(apns) as client:
        assert client.push(OTHER).status == 200
        assert client.push(OTHER, apns_topic="com.x").status == 403
        assert client.push(TOKEN, apns_topic="com.x").said == {"reason": "BadTopic"}
        assert client.push(TOKEN).status == 200


def test_a_request_can_be_reset_left_alone_delayed_and_followed(apns):
    """RST_STREAM, no response, a response that waits, settings, and GOAWAY."""
    apns.faults.script_requests(
        RequestScript(reset=frames.REFUSED_STREAM), RequestScript(reset=frames.CANCEL),
        RequestScript(no_response=True), RequestScript(hold=True), RequestScript(delay=0.01),
        RequestScript(settings={"max_concurrent_streams": 7}), RequestScript(goaway=True))
    with with_certificate(apns) as client:
        streams = [client.request("/3/device/" + TOKEN) for _ in range(4)]
        assert client.was_refused(streams[0])
        assert apns.wait_for(lambda: apns.held == 1, HANG)
        for _ in range(2):
            assert client.push().status == 200
        apns.release_held()
        assert client.response(streams[3]).status == 200
        client.request("/3/device/" + TOKEN)
        client.wait(lambda: client.of(events.ConnectionTerminated))
        kinds = [event.kind for event in apns.journal.connections()[0].events]
    assert [one.outcome for one in apns.journal.exchanges()] == [
        "refused", "reset", "unanswered", "accepted", "accepted", "accepted", "accepted"]
    assert kinds == ["reset", "reset", "settings", "goaway"]
    assert apns.accepted_count == 6


@each("options, text", [
    ({"response": "Nonsense"}, "no reason"), ({"response": "BadTopic", "reset": 7}, "exclude"),
    ({"reset": 7, "no_response": True}, "exclude"), ({"delay": -1}, "0 or more"),
    ({"delay": 1, "hold": True}, "exclude"), ({"count": 0}, "1 or more"),
    ({"count": True}, "1 or more"), ({"reset": -1}, "reset_at is -1"),
    ({"settings": {"x": 1}}, "no setting"),
])
def test_a_script_of_a_request_that_makes_no_sense_is_an_error(options, text):
    with pytest.raises(ValueError) as caught:
        RequestScript(**options)
    assert text in str(caught.value)


# Faults of connections.


def test_the_limit_of_streams_changes_for_all_connections(apns):
    """Those that are open, and those to come, until it is taken back."""
    def limits(client):
        return [each.changed_settings[frames.MAX_CONCURRENT_STREAMS].new_value
                for each in client.of(events.RemoteSettingsChanged)]

    with with_certificate(apns) as client:
        client.push()
        assert limits(client) == [1000]
        assert apns.faults.limit_streams(5) == 1
        assert client.wait(lambda: limits(client) == [1000, 5])
        with with_certificate(apns) as later:
            later.push()
            assert limits(later) == [5]
            assert (apns.faults.most_streams, apns.faults.limit_streams(None)) == (5, 2)
            assert later.wait(lambda: limits(later) == [5, 1000])
        assert client.wait(lambda: limits(client) == [1000, 5, 1000])
    with pytest.raises(ValueError):
        apns.faults.limit_streams(-1)


def test_responses_are_late_until_it_is_taken_back(apns):
    """None comes while an hour is to be waited; those that come later are on time."""
    apns.faults.slow_down(3600)
    with with_certificate(apns) as client:
        client.request("/3/device/" + TOKEN)
        assert apns.wait_for(lambda: apns.accepted_count == 1, HANG)
        assert apns.journal.get(1).outcome == "pending"
        apns.faults.slow_down(0)
        assert client.push().status == 200
        assert apns.journal.get(1).outcome == "pending"
    with pytest.raises(ValueError):
        apns.faults.slow_down(-1)


def test_new_connections_are_refused_until_it_is_taken_back(apns):
    """By all services; those that are open go on."""
    with with_certificate(apns) as client:
        apns.faults.refuses_connections = True
        with pytest.raises((EnvironmentError, SSL.Error)):
            with with_certificate(apns):
                pass
        assert client.push().status == 200
    apns.faults.refuses_connections = False
    with with_certificate(apns) as client, gateway_client(apns):
        assert client.push().status == 200


def test_the_usual_script_can_be_another_one(apns):
    """For the connections to come that have none of their own."""
    usual = ProviderScript(response_at={1: "BadTopic"})
    apns.faults.set_usual_script("provider", usual)
    apns.script_provider(None, ProviderScript(response_at={1: "Forbidden"}))
    assert apns.faults.queued_scripts("provider")[0] is None
    assert apns.faults.usual_script("provider") == usual
    reasons = []
    for _ in range(3):
        with with_certificate(apns) as client:
            reasons.append(client.push().said["reason"])
    assert reasons == ["BadTopic", "Forbidden", "BadTopic"]
    with pytest.raises(TypeError):
        apns.faults.set_usual_script("provider", Script())
    with pytest.raises(ValueError):
        apns.faults.usual_script("requests")


def test_a_reset_brings_back_the_start():
    """What was there when it was started stays; connections stay open."""
    apns = Simulator()
    apns.devices.bad(OTHER)
    with apns, with_token(apns) as client:
        apns.devices.bad(TOKEN)
        apns.devices.add(OTHER)
        apns.devices.strict = True
        apns.devices.uninstall("ee" * 32, 1)
        apns.channels.create("com.x")
        apns.script(Script(refuse=True))
        apns.script_provider(ProviderScript(refuse=True))
        apns.faults.script_requests(RequestScript(response="BadTopic"))
        apns.faults.set_usual_script("gateway", Script(refuse=True))
        apns.faults.slow_down(3600)
        apns.faults.limit_streams(7)
        apns.faults.refuses_connections = True
        apns.revoke_key(apns.key_id)
        apns.reset()

        assert apns.faults.most_streams is None
        assert client.push(apns_topic="x").status == 200
        assert client.push(TOKEN, apns_topic="x").status == 200
        assert client.push(OTHER, apns_topic="x").status == 400
        assert [one.number for one in apns.journal.exchanges()] == [1, 2, 3]
        assert apns.channels.ids("com.x") == [] and apns.devices.feedback == []
        with gateway_client(apns), with_token(apns):
            pass
        apns.reset()
        assert apns.journal.exchanges() == []


# Scripts as documents.

NUMBERS = st.integers(0, 300)
BY_NUMBER = st.dictionaries(st.integers(1, 20), NUMBERS, max_size=3)
RESPONSES = st.one_of(st.sampled_from(["BadTopic", "Unregistered", "TooManyRequests"]),
                      st.tuples(st.integers(200, 599), st.sampled_from([None, "Odd"])))
SETTINGS = st.dictionaries(
    st.sampled_from(["max_concurrent_streams", "initial_window_size", 77]), NUMBERS, max_size=3)
BYTES = st.binary(max_size=8)


def subset(**fields):
    """Some of the fields, each with a value."""
    return st.lists(st.sampled_from(sorted(fields)), unique=True, max_size=5).flatmap(
        lambda names: st.fixed_dictionaries(dict((name, fields[name]) for name in names)))


FLAG, DELAY = st.booleans(), st.sampled_from([0.0, 0.5, 2.0])
PROVIDER = subset(
    settings=SETTINGS, settings_at=st.dictionaries(st.integers(1, 9), SETTINGS, max_size=2),
    response_at=st.dictionaries(st.integers(1, 9), RESPONSES, max_size=3), reset_at=BY_NUMBER,
    no_response_at=st.lists(st.integers(1, 9), max_size=3), delay=DELAY,
    delay_at=st.dictionaries(st.integers(1, 9), DELAY, max_size=2), hold=FLAG,
    goaway_after=NUMBERS, late=NUMBERS, goaway_last=NUMBERS, goaway_code=NUMBERS,
    goaway_reason=st.sampled_from(["Shutdown", None]), goaway_timestamp=NUMBERS,
    goaway_delay=DELAY, goaway_stays=FLAG, warning_after=NUMBERS, garbage=BYTES,
    window_step=NUMBERS, padding=st.integers(0, 255), piece=st.integers(1, 9),
    split=st.integers(1, 9), trailers=FLAG, interim=FLAG, pings=st.integers(0, 3), noise=FLAG,
    upper_case_ids=FLAG, compressed=FLAG, limit_after_errors=BY_NUMBER,
    goaway_after_errors=st.integers(1, 9), goaway_after_bad_tokens=st.integers(1, 9),
    throttle=FLAG, one_app=FLAG, stall_handshake=FLAG)
GATEWAY = subset(
    hold=FLAG, status_at=st.dictionaries(st.integers(1, 9), st.integers(0, 255), max_size=3),
    shutdown_after=NUMBERS, garbage=BYTES, refuse=FLAG)
FEEDBACK = subset(stall_after=NUMBERS, garbage=BYTES, refuse=FLAG)
REQUESTS = subset(settings=SETTINGS, delay=DELAY, goaway=FLAG, count=st.integers(1, 9),
                  token=st.sampled_from([TOKEN, None]), topic=st.sampled_from(["com.x", None]),
                  response=RESPONSES)


@settings(max_examples=200, deadline=None)
@given(st.one_of(*[st.tuples(st.just(kind), options) for kind, options in (
    ("provider", PROVIDER), ("channels", PROVIDER), ("gateway", GATEWAY), ("feedback", FEEDBACK),
    ("requests", REQUESTS))]))
def test_each_script_comes_back_from_its_document(given_script):
    """Through JSON, whatever it says."""
    kind, options = given_script
    script = SCRIPTS[kind](**options)
    document = json.loads(json.dumps(script_to_document(script)))
    assert script_from_document(kind, document) == script


def test_requests_are_as_quick_as_ever_once_nothing_is_done_to_them(apns):
    """Nobody looks for scripts where there are none."""
    interventions = apns.faults._interventions
    apns.faults.script_requests(RequestScript("BadTopic"))
    assert interventions.is_active
    with with_certificate(apns) as client:
        assert client.push().status == 400
        assert not interventions.is_active
        apns.faults.slow_down(0.001)
        assert interventions.is_active and client.push().status == 200
    apns.faults.slow_down(0)
    assert not interventions.is_active


def test_each_field_of_each_script_is_in_a_document():
    """None is left out by the test above, nor by those who read."""
    for cls in (ProviderScript, Script, FeedbackScript, RequestScript):
        kind = [name for name in SCRIPTS if SCRIPTS[name] is cls][0]
        assert script_to_document(cls()) == {}
        for name in cls._fields:
            with pytest.raises(ValueError) as caught:
                script_from_document(kind, {name: {"no": []}})
            assert name in str(caught.value)


@each("kind, document, expected", [
    ("provider", {"response_at": {"1": "BadTopic", "2": {"status": 503, "reason": "Odd"}}},
     ProviderScript(response_at={1: "BadTopic", 2: (503, "Odd")})),
    ("provider", {"reset_at": {"1": "REFUSED_STREAM"}, "goaway_code": "NO_ERROR"},
     ProviderScript(reset_at={1: 7})),
    ("provider", {"settings": {"max_concurrent_streams": 1, "77": 2}, "delay": 1},
     ProviderScript(settings={"max_concurrent_streams": 1, 77: 2}, delay=1.0)),
    ("provider", {"settings": {"SETTINGS_MAX_CONCURRENT_STREAMS": 1, "ENABLE_PUSH": 0}},
     ProviderScript(settings={"max_concurrent_streams": 1, "enable_push": 0})),
    ("gateway", {"garbage": "text", "close_after": None}, Script(garbage=b"text")),
    ("feedback", {"garbage": {"base64": "AAE="}}, FeedbackScript(garbage=b"\0\1")),
])
def test_a_document_may_have_names_in_place_of_numbers(kind, document, expected):
    assert script_from_document(kind, document) == expected


@each("kind, document, text", [
    ("provider", [], "a script is [], expected an object"),
    ("provider", {"nonsense": 1}, "there is no field 'nonsense', expected one of: close_after"),
    ("provider", {"hold": 1}, "hold is 1, expected true or false"),
    ("provider", {"delay": "1"}, "delay is '1', expected a number"),
    ("provider", {"delay": float("inf")}, "delay is inf, expected a number, 0 to 1e9"),
    ("provider", {"late": 1.5}, "late is 1.5, expected an integer"),
    ("provider", {"late": True}, "late is True, expected an integer"),
    ("provider", {"response_at": {"x": "BadTopic"}}, "response_at is 'x', expected the number"),
    ("provider", {"response_at": {"1": 7}}, "response_at.1 is 7, expected a reason"),
    ("provider", {"response_at": {"0": "BadTopic"}}, "response_at is 0, expected an integer"),
    ("provider", {"reset_at": {"1": "OFTEN"}}, "reset_at.1 is 'OFTEN', expected a number, or one"),
    ("provider", {"no_response_at": 1}, "no_response_at is 1, expected an array of integers"),
    ("provider", {"settings": {"x": 1}}, "there is no setting 'x'"),
    ("provider", {"close_after": 1, "reset_after": 1}, "exclude one another"),
    ("gateway", {"garbage": {"base64": 7}}, "garbage is {'base64': 7}, expected a string"),
    ("gateway", {"status_at": {"1": 256}}, "status_at status is 256"),
    ("gateway", {"garbage": {"base64": "AAE=!"}}, "expected a string, or {"),
    ("provider", {"response_at": {u"\xb2": "BadTopic"}}, ", expected the number"),
    ("provider", {"response_at": {"9" * 5000: "BadTopic"}}, ", expected the number"),
    ("provider", {"settings": {u"\xb2": 1}}, "there is no setting "),
    ("requests", {"count": 0}, "count is 0, expected an integer, 1 or more"),
    ("provider", {"goaway_reason": "x" * 1000, "hold": "y" * 1000}, "..., expected true or false"),
])
def test_a_document_that_is_none_says_what_is_wrong(kind, document, text):
    """The field, what it is, bounded, and what was expected."""
    with pytest.raises(ValueError) as caught:
        script_from_document(kind, document)
    said = str(caught.value).replace("u'", "'")
    assert text in said and len(said) < 800


@pytest.mark.skipif(not six.PY3, reason="Python 2 encodes half characters")
def test_half_a_character_is_no_text():
    """JSON has it, and nobody who reads the script could encode it again."""
    for kind, document in [("provider", {"goaway_reason": u"\ud800"}),
                           ("provider", {"garbage": u"\ud800"}),
                           ("provider", {"garbage": {"base64": u"\ud800"}}),
                           ("requests", {"topic": u"\udfff"}),
                           ("requests", {"response": u"\udfff"})]:
        with pytest.raises(ValueError, match="expected a "):
            script_from_document(kind, document)


def test_the_limit_of_streams_comes_back_before_a_token_has_come():
    """A client that has not shown a token yet has one stream again, and not none for ever."""
    with Simulator() as apns, with_token(apns) as client:
        def limits():
            return [each.changed_settings[frames.MAX_CONCURRENT_STREAMS].new_value
                    for each in client.of(events.RemoteSettingsChanged)]

        client.wait(limits)
        apns.faults.limit_streams(0)
        client.wait(lambda: limits() == [1, 0])
        apns.faults.limit_streams(None)
        client.wait(lambda: limits() == [1, 0, 1])
        assert client.push(apns_topic="x").status == 200
        client.wait(lambda: limits()[-1] == 1000)
