"""What a message becomes over HTTP/2: the headers of its requests, as a server reads them."""

from __future__ import absolute_import, division, print_function

import json
import logging
import uuid

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient import Message, _headers
from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.requests import RequestEncoder
from tables import each

TOKEN = "ab" * 32
APNS_ID = "eabeae54-14a8-11e5-b60b-1697f925ec7b"


def headers_of(message, default_topic=None):
    """Return the ``apns-`` headers of a request, and check the rest of it."""
    template = message.request_template(default_topic)
    assert template.payload == message.get_json_payload()
    encoder = RequestEncoder(b"api.example.com")
    [(kind, _, stream, block)] = frames.FrameReader().feed(
        encoder.one(template, TOKEN.encode("ascii"), 1))
    assert (kind, stream) == (frames.HEADERS, 1)
    fields = [(str(name), str(value)) for name, value in hpack.Decoder().decode(block)]
    assert ("%s" % fields[3][0], fields[3][1]) == (":path", "/3/device/" + TOKEN)
    named = [field for field in fields if field[0].startswith("apns-")]
    assert len(dict(named)) == len(named)
    return dict(named)


def test_what_every_request_has():
    """The push type, the priority and the expiration; the rest is Apple's to fill in."""
    assert headers_of(Message(TOKEN, alert="x", expiry=1700000000)) == {
        "apns-push-type": "alert", "apns-priority": "10", "apns-expiration": "1700000000"}


def test_the_headers_are_those_of_the_message():
    """Under Apple's names, in the order of their values."""
    message = Message([TOKEN, TOKEN], alert="x", expiry=0, priority=1, apns_topic="com.example.app",
                      apns_push_type="liveactivity", apns_id=APNS_ID, apns_collapse_id="a b")
    expected = {
        "apns-push-type": "liveactivity", "apns-priority": "1", "apns-expiration": "0",
        "apns-topic": "com.example.app", "apns-id": APNS_ID, "apns-collapse-id": "a b"}
    assert headers_of(message) == expected
    assert headers_of(message.with_tokens([TOKEN])) == expected
    assert headers_of(message, "com.example.other") == expected


@each("kind", [
    "alert", "background", "voip", "complication", "fileprovider", "mdm", "liveactivity",
    "location", "pushtotalk", "widgets", "controls", "of-tomorrow"])
def test_any_push_type_is_sent_as_given(kind):
    """Apple decides which there are, and which payload they go with."""
    message = Message(TOKEN, alert="x", priority=5, apns_push_type=kind)
    assert headers_of(message)["apns-push-type"] == kind


def test_a_topic_that_is_not_given_is_the_one_of_the_certificate():
    """If it names one; without any, Apple takes it from the certificate, or refuses."""
    assert headers_of(Message(TOKEN), "com.example.app")["apns-topic"] == "com.example.app"
    assert headers_of(Message(TOKEN, apns_topic="mine"), "com.example.app")["apns-topic"] == "mine"
    assert "apns-topic" not in headers_of(Message(TOKEN))


@each("arguments, kind", [
    ({"content_available": 1}, "background"),
    ({"content_available": 1, "extra": {"k": 1}}, "background"),
    ({"content_available": 1, "alert": "x"}, "alert"),
    ({"content_available": 1, "badge": 0}, "alert"),
    ({"content_available": 1, "sound": ""}, "alert"),
    ({"alert": "x"}, "alert"),
    ({"badge": 1}, "alert"),
    ({}, "alert"),
    ({"k": 1}, "alert"),
    ({"mdm": "magic"}, "mdm"),
    ({"mdm": "magic", "alert": "x"}, "alert"),
    ({"mdm": "magic", "content_available": 1}, "background"),
    ({"payload": {"aps": {"content-available": 1}}}, "background"),
    ({"payload": {"aps": {"content-available": 1}, "k": 1}}, "background"),
    ({"content_available": True}, "background"),
    ({"content_available": "1"}, "background"),
    ({"content_available": 0}, "alert"),
    ({"content_available": False}, "alert"),
    ({"content_available": "0"}, "alert"),
    ({"content_available": [1]}, "alert"),
    ({"payload": {"aps": {"content-available": 1, "mutable-content": 1}}}, "background"),
    ({"payload": {"aps": {"content-available": True, "category": "x"}}}, "background"),
    ({"payload": {"aps": {"content-available": "1", "thread-id": "x"}}}, "background"),
    ({"payload": {"aps": {"content-available": 1, "alert": None, "badge": None, "sound": None}}},
     "background"),
    ({"payload": {"aps": {"content-available": 1, "badge": 0}}}, "alert"),
    ({"payload": {"aps": {"content-available": 1, "sound": ""}}}, "alert"),
    ({"payload": {"aps": {"content-available": 0}}}, "alert"),
    ({"payload": {"aps": {"content-available": 0}, "mdm": "magic"}}, "alert"),
    ({"payload": {"aps": {"event": "update", "content-state": {}, "timestamp": 1}}},
     "liveactivity"),
    ({"payload": {"aps": {"event": "end", "content-state": {"k": 1}, "alert": {"body": "x"}}}},
     "liveactivity"),
    ({"payload": {"aps": {"event": "update"}}}, "alert"),
    ({"payload": {"aps": {"content-state": {}}}}, "alert"),
    ({"payload": {"event": "update", "content-state": {}}}, "alert"),
    ({"payload": {"aps": {"content-available": 1, "alert": "x"}}}, "alert"),
    ({"payload": {"aps": {"alert": "x"}}}, "alert"),
    ({"payload": {"aps": {"category": "x"}, "mdm": "magic"}}, "alert"),
    ({"payload": {"mdm": "magic"}}, "mdm"),
    ({"payload": {"mdm": "magic", "aps": {}}}, "mdm"),
    ({"payload": {"aps": None}}, "alert"),
    ({"payload": {}}, "alert"),
])
def test_a_push_type_that_is_not_given_is_derived_from_the_payload(arguments, kind):
    """From its parts, and from a payload in each form that it can have."""
    assert headers_of(Message(TOKEN, priority=5, **arguments))["apns-push-type"] == kind
    if "payload" in arguments:
        text = json.dumps(arguments["payload"])
        for payload in (text, text.encode("ascii")):
            message = Message(TOKEN, priority=5, payload=payload)
            assert headers_of(message)["apns-push-type"] == kind


@pytest.mark.parametrize("payload", ["not JSON", "[1]", b"\xff", ""])
def test_a_payload_that_cannot_be_parsed_is_sent_as_an_alert(payload):
    """Apple will say what is wrong with it."""
    assert headers_of(Message(TOKEN, payload=payload))["apns-push-type"] == "alert"


@each("suffix, kind", [
    (".voip", "voip"), (".complication", "complication"), (".voip-ptt", "pushtotalk"),
    (".pushkit.fileprovider", "fileprovider"), (".location-query", "location"),
    (".push-type.liveactivity", "liveactivity"), (".push-type.widgets", "widgets"),
    (".push-type.controls", "controls"), (".other", "alert")])
@each("payload", [{"aps": {"alert": "x"}}, {"aps": {"content-changed": True}}])
def test_the_suffix_of_the_topic_decides_before_the_payload(payload, suffix, kind):
    """Given, or in the certificate; a push type that is given decides before both."""
    message = Message(TOKEN, payload=payload, priority=5, apns_topic="com.example.app" + suffix)
    expected = {"apns-topic": "com.example.app" + suffix, "apns-push-type": kind,
                "apns-priority": "5", "apns-expiration": str(message.expiry)}
    assert headers_of(message) == headers_of(message, "com.example.other.voip") == expected
    message.apns_topic = None
    assert headers_of(message, "com.example.app" + suffix) == expected
    message.apns_push_type = "of-tomorrow"
    assert headers_of(message, "com.example.app" + suffix) == dict(
        expected, **{"apns-push-type": "of-tomorrow"})


@each("payload, given, default, topic, kind", [
    ({"aps": {"event": "update", "content-state": {}}}, None, "a.b",
     "a.b.push-type.liveactivity", "liveactivity"),
    ({"aps": {"alert": "x"}}, "voip", "a.b", "a.b.voip", "voip"),
    ({"aps": {"alert": "x"}}, "alert", "a.b.voip", "a.b", "alert"),
    ({"aps": {"content-available": 1}}, None, "a.b.voip", "a.b.voip", "voip"),
    ({"mdm": "magic"}, None, "com.apple.mgmt.External.1", "com.apple.mgmt.External.1", "mdm"),
    ({"mdm": "magic"}, "of-tomorrow", "a.b.voip", "a.b.voip", "of-tomorrow"),
])
def test_the_topic_of_a_certificate_gets_the_suffix_that_belongs_there(
        payload, given, default, topic, kind):
    """What the caller named himself is sent as it is."""
    message = Message(TOKEN, payload=payload, apns_push_type=given)
    sent = headers_of(message, default)
    assert (sent["apns-topic"], sent["apns-push-type"]) == (topic, kind)
    message.apns_topic = "mine"
    sent = headers_of(message, default)
    assert sent["apns-topic"] == "mine"


WORDS = [u"alert", u"aps", u"badge", u"category", u"content-available", u"content-state", u"event",
         u"mdm", u"sound"]
parts = st.dictionaries(st.sampled_from(WORDS), st.sampled_from(
    [None, 0, 1, True, u"1", u"x", {}, u"\xe4"]))
payloads = st.dictionaries(st.sampled_from([u"aps", u"mdm", u"event", u"\xe4"]), st.one_of(
    parts, parts, st.sampled_from([None, 1, u"content-available", u"\\"])), max_size=3)


topics = st.sampled_from([None, "a.b", u"a.b.voip", b"a.b.push-type.liveactivity", ".voip"])
push_types = st.sampled_from([None, None, "alert", "background", "of-tomorrow"])


@given(payloads, st.booleans(), topics, topics, push_types)
def test_text_has_the_push_type_of_its_object(payload, is_spelled, topic, default, push_type):
    """As text and as bytes, with or without escapes, also where they stand for ASCII."""
    text = json.dumps(payload)
    for word in WORDS if is_spelled else ():
        text = text.replace('"%s"' % word, '"%s"' % "".join("\\u%04x" % ord(one) for one in word))
    assert json.loads(text) == payload
    options = dict(expiry=1, apns_topic=topic, apns_push_type=push_type)
    sent = headers_of(Message(TOKEN, payload=payload, **options), default)
    for one in (text, text.encode("ascii"), json.dumps(payload, ensure_ascii=False)):
        assert headers_of(Message(TOKEN, payload=one, **options), default) == sent


def test_the_parts_decide_as_they_are_when_the_message_is_sent():
    """They can be set like any attribute."""
    message = Message(TOKEN, content_available=1, priority=5)
    message.alert = "x"
    assert headers_of(message)["apns-push-type"] == "alert"


@pytest.mark.parametrize("arguments, priority, is_told", [
    ({"content_available": 1}, "5", False),
    ({"content_available": 1, "priority": None}, "5", False),
    ({"content_available": 1, "priority": 10}, "5", True),
    ({"payload": {"aps": {"content-available": 1}}}, "5", False),
    ({"payload": {"aps": {"content-available": 1}}, "priority": 10}, "5", True),
    ({"alert": "x", "apns_push_type": "background"}, "5", False),
    ({"content_available": 1, "priority": 5}, "5", False),
    ({"content_available": 1, "priority": 1}, "1", False),
    ({"content_available": 1, "priority": 7}, "7", False),
    ({"content_available": 1, "apns_push_type": "voip"}, "10", False),
    ({"alert": "x"}, "10", False),
])
def test_a_background_notification_has_not_the_highest_priority(
        arguments, priority, is_told, caplog):
    """Apple refuses it with 10; a warning tells who asked for that."""
    message = Message(TOKEN, **arguments)
    with caplog.at_level(logging.DEBUG):
        assert headers_of(message)["apns-priority"] == priority
    said = [record.levelname for record in caplog.records if record.name == "apnsclient.apns"]
    assert said == ["WARNING"] * is_told
    # The message itself stays as it is.
    assert message.priority == (arguments.get("priority") or 10)


def test_a_subclass_has_its_own_defaults():
    """As in apns-client 0.2.1; what is given counts more."""
    class Urgent(Message):
        DEFAULT_PRIORITY = 1
        DEFAULT_EXPIRY = 1700000000

    sent = headers_of(Urgent(TOKEN, content_available=1))
    assert (sent["apns-priority"], sent["apns-expiration"]) == ("1", "1700000000")
    sent = headers_of(Urgent(TOKEN, alert="x", priority=10, expiry=0))
    assert (sent["apns-priority"], sent["apns-expiration"]) == ("10", "0")


@each("name", ["apns_topic", "apns_push_type", "apns_id", "apns_collapse_id"])
@each("value", [
    "", " ", " x", "x ", "x\r\ny", "x\n", "\0", "x\ty", u"\u0416", b"\xd0\x96", u"\xe4", "\x7f", 5,
    True, ["x"], {}, object(), 1.5])
def test_what_no_header_can_carry_is_refused_at_once(name, value):
    """The error names the argument."""
    with pytest.raises(ValueError, match=name):
        Message(TOKEN, **{name: value})


@each("name", ["apns_topic", "apns_push_type", "apns_id", "apns_collapse_id"])
@each("value", ["a\r\nevil: 1", "", " x", u"\u0416", 5, ["x"], {}, object()])
def test_what_was_set_later_is_checked_where_it_is_used(name, value):
    """Before anything is sent, and each time."""
    message = Message(TOKEN, alert="x")
    setattr(message, name, value)
    for _ in range(2):
        with pytest.raises(ValueError, match=name):
            message.request_template()
        with pytest.raises(ValueError, match=name):
            message.request_template("com.example.app")
    setattr(message, name, b"fine")
    assert headers_of(message)[name.replace("_", "-")] == "fine"


@each("name, value", [
    ("expiry", -1), ("expiry", 2 ** 32), ("expiry", "soon"), ("expiry", None), ("expiry", []),
    ("priority", 256), ("priority", "1\r\nevil: 1"), ("priority", {})])
def test_numbers_that_were_set_later_are_checked_too(name, value):
    """They stand in the same header."""
    message = Message(TOKEN, alert="x")
    setattr(message, name, value)
    with pytest.raises(ValueError, match=name):
        message.request_template()


def test_a_topic_of_a_certificate_is_checked_too():
    """A back-end of somebody else's may say anything."""
    with pytest.raises(ValueError, match="certificate's topic"):
        Message(TOKEN, alert="x").request_template("a\r\nevil: 1")


@pytest.mark.parametrize("value", ["x", u"x", b"x"])
def test_a_header_is_text_or_bytes(value):
    """It is kept as text, which JSON knows."""
    message = Message(TOKEN, apns_topic=value, apns_collapse_id=value)
    assert message.apns_topic == "x"
    assert type(message.apns_topic) is str
    assert headers_of(message)["apns-collapse-id"] == "x"


def test_an_identifier_may_be_a_uuid():
    """As Python makes them."""
    message = Message(TOKEN, apns_id=uuid.UUID(APNS_ID))
    assert message.apns_id == APNS_ID
    assert headers_of(message)["apns-id"] == APNS_ID


def test_an_error_does_not_repeat_a_whole_novel():
    """A value of any length may have been given by mistake."""
    with pytest.raises(ValueError) as caught:
        Message(TOKEN, apns_topic="\n" * 100000)
    assert len(str(caught.value)) < 400


def test_a_header_of_any_length_is_apples_to_judge():
    """64 bytes are the most for a collapse-id, says Apple today."""
    value = "x" * 3000
    assert headers_of(Message(TOKEN, apns_collapse_id=value))["apns-collapse-id"] == value


@pytest.mark.parametrize("tokens, is_shared", [([TOKEN], False), ([TOKEN, TOKEN], True)])
def test_what_only_one_token_needs_does_not_crowd_the_table(tokens, is_shared):
    """The table of a connection is for what comes again in the next request."""
    message = Message(tokens, alert="x", apns_topic="com.example.app", apns_id=APNS_ID,
                      apns_collapse_id="c", expiry=1700000000)
    encoder, decoder = RequestEncoder(b"api.example.com"), hpack.Decoder()
    sizes = []
    for stream in (1, 3):
        [(_, _, _, block)] = frames.FrameReader().feed(
            encoder.one(message.request_template(), TOKEN.encode("ascii"), stream))
        decoder.decode(block)
        sizes.append(len(block))
    known = [entry[0] for entry in decoder.header_table.dynamic_entries]
    assert [b"apns-topic" in known, b"apns-push-type" in known] == [True, True]
    assert [name in known for name in (b"apns-expiration", b"apns-id", b"apns-collapse-id")] == [
        is_shared] * 3
    assert sizes[1] < sizes[0]


def test_messages_that_are_alike_share_their_fields():
    """So that they are encoded once, however many messages are sent."""
    arguments = dict(expiry=1700000000, apns_topic="com.example.app")
    one, other = (Message(TOKEN, alert=alert, **arguments).request_template() for alert in "xy")
    assert one.fields is other.fields
    assert one.payload != other.payload


@each("change", [
    {"expiry": 1}, {"priority": 1}, {"apns_topic": "u"}, {"apns_push_type": "voip"},
    {"apns_id": "j"}, {"apns_collapse_id": "d"}, {"tokens": [TOKEN, TOKEN]}])
def test_messages_that_differ_in_a_header_share_nothing(change):
    """Each of them counts, and so does whether there are further requests."""
    arguments = dict(tokens=TOKEN, expiry=0, priority=10, apns_topic="t", apns_push_type="alert",
                     apns_id="i", apns_collapse_id="c")
    one = Message(**arguments).request_template().fields
    assert Message(**dict(arguments, **change)).request_template().fields != one
    assert Message(**arguments).request_template().fields == one


def test_few_fields_and_values_are_remembered():
    """Each message may have an identifier of its own."""
    for number in range(1000):
        message = Message(TOKEN, apns_id=str(number), expiry=0)
        assert (b"apns-id", str(number).encode("ascii"), False) in message.request_template().fields
        assert max(len(_headers.known_fields), len(_headers._good)) <= 256


def test_a_payload_that_is_too_large_names_its_size():
    """As over the binary protocol, 65 535 bytes are the most."""
    assert len(Message(TOKEN, payload="x" * 65535).request_template().payload) == 65535
    with pytest.raises(ValueError, match="65536"):
        Message(TOKEN, payload="x" * 65536).request_template()


@pytest.mark.parametrize("payload", [{"k": object()}, {"k": b"\xff"}])
def test_a_payload_that_is_no_json_fails_here_too(payload):
    """With the error of json."""
    with pytest.raises((TypeError, ValueError)):
        Message(TOKEN, payload=payload).request_template()


def test_the_binary_protocol_has_no_place_for_headers():
    """The same message goes over either."""
    plain = Message(TOKEN, alert="x", expiry=1)
    message = Message(TOKEN, alert="x", expiry=1, apns_topic="t", apns_id=APNS_ID)
    assert list(message.batch(2048)) == list(plain.batch(2048))
    assert message.get_json_payload() == plain.get_json_payload()
