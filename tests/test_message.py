"""What a message is made of, and what goes over the wire."""

from __future__ import absolute_import, division, print_function

import calendar
import datetime
import json
import time
from collections import OrderedDict

import pytest
import six
from hypothesis import given
from hypothesis import strategies as st

from apnsclient import Message
from apnsclient.message import encode_payloads
from tables import each

TOKEN = "ab" * 32


@each("tokens, expected", [
    (TOKEN, [TOKEN]),
    (TOKEN.encode("ascii"), [TOKEN.encode("ascii")]),
    (u"abcd", [u"abcd"]),
    (bytearray(b"abcd"), [b"abcd"]),
    (memoryview(b"abcd"), [b"abcd"]),
    ((TOKEN, "cd"), [TOKEN, "cd"]),
    (iter([TOKEN, "cd"]), [TOKEN, "cd"]),
    (frozenset([TOKEN]), [TOKEN]),
    ([], []),
    ("", [""]),
])
def test_tokens_are_one_or_many(tokens, expected):
    """Text is one token; any other iterable becomes a list."""
    message = Message(tokens)
    assert message.tokens == expected
    assert type(message.tokens) is list
    assert not message.tokens or type(message.tokens[0]) in (bytes, six.text_type)


def test_a_list_of_tokens_is_not_copied():
    """A million tokens are expensive enough once."""
    tokens = [TOKEN]
    assert Message(tokens).tokens is tokens


@each("arguments, expected", [
    ({}, b'{"aps":{}}'),
    ({"alert": "x"}, b'{"aps":{"alert":"x"}}'),
    ({"badge": 0}, b'{"aps":{"badge":0}}'),
    ({"sound": ""}, b'{"aps":{"sound":""}}'),
    ({"content_available": 1}, b'{"aps":{"content-available":1}}'),
    ({"alert": {"body": "x"}}, b'{"aps":{"alert":{"body":"x"}}}'),
    ({"payload": {"k": [1, 2]}}, b'{"k":[1,2]}'),
    ({"payload": {"k": u"\u0416"}}, b'{"k":"\xd0\x96"}'),
    ({"payload": {}}, b"{}"),
    ({"payload": ' { "k" : 1 }\n'}, b' { "k" : 1 }\n'),
    ({"payload": b' { "k" : 1 }\n'}, b' { "k" : 1 }\n'),
    ({"payload": b'{"k":"\xd0\x96"}'}, b'{"k":"\xd0\x96"}'),
    ({"payload": u'{"k":"\u0416"}'}, b'{"k":"\xd0\x96"}'),
    ({"payload": b"\xff not even text"}, b"\xff not even text"),
    ({"payload": ""}, b""),
    ({"alert": u"\u0416"}, b'{"aps":{"alert":"\xd0\x96"}}'),
])
def test_the_payload_on_the_wire(arguments, expected):
    """Compact, UTF-8, not escaped; text is sent byte for byte as given."""
    data = Message(TOKEN, **arguments).get_json_payload()
    assert isinstance(data, bytes)
    assert data == expected


def test_extra_stands_beside_aps():
    """As a dict and as keyword arguments together."""
    message = Message(TOKEN, alert="x", extra={"a": 1}, b=[2])
    assert message.extra == {"a": 1, "b": [2]}
    assert message.payload == {"aps": {"alert": "x"}, "a": 1, "b": [2]}
    assert json.loads(message.get_json_payload().decode("utf-8")) == message.payload


def test_parameters_of_json_can_be_overridden():
    """On the class, with the arguments of json.dumps."""
    class Escaped(Message):
        json_parameters = {"separators": (", ", ": ")}

    data = Escaped(TOKEN, alert=u"\u0416").get_json_payload()
    assert data == b'{"aps": {"alert": "\\u0416"}}'


def test_parameters_of_json_can_be_changed_in_place():
    """They are looked at each time."""
    class Sorted(Message):
        json_parameters = dict(Message.json_parameters)

    message = Sorted(TOKEN, payload=OrderedDict([("b", u"\u0416"), ("a", 1)]))
    assert message.get_json_payload() == b'{"b":"\xd0\x96","a":1}'
    Sorted.json_parameters.update(sort_keys=True, ensure_ascii=True)
    assert message.get_json_payload() == b'{"a":1,"b":"\\u0416"}'
    assert Message.json_parameters == {"separators": (",", ":"), "ensure_ascii": False}


@each("part", [
    {"alert": "x"}, {"badge": 0}, {"sound": ""}, {"content_available": 0}, {"extra": {"k": 1}},
    {"k": 1}])
@each("payload", [{}, "", "{}", {"aps": {}}])
def test_a_payload_excludes_its_parts(part, payload):
    """Who gives both does not know what is sent."""
    with pytest.raises(ValueError, match="payload"):
        Message(TOKEN, payload=payload, **part)


def test_an_empty_extra_does_not_hurt_a_payload():
    """As in the state dicts of 0.2.1."""
    assert Message(TOKEN, payload={"k": 1}, extra={}).extra == {"k": 1}
    assert Message(TOKEN, payload={"k": 1}, extra=None).extra == {"k": 1}


@pytest.mark.parametrize("arguments", [{"extra": {"aps": 1}}, {"aps": {}}])
def test_aps_is_apples(arguments):
    """It cannot be in extra."""
    with pytest.raises(ValueError, match="aps"):
        Message(TOKEN, **arguments)


@pytest.mark.parametrize("form", [
    lambda payload: payload, json.dumps, lambda payload: json.dumps(payload).encode("utf-8")])
def test_a_payload_initialises_the_attributes(form):
    """A dict, or the JSON text of one; the payload itself stays as it was given."""
    content = {"aps": {"alert": {"body": "x"}, "badge": 2, "sound": "s", "content-available": 1},
               "k": [1]}
    payload = form(content)
    message = Message(TOKEN, payload=payload)
    assert (message.alert, message.badge, message.sound) == ({"body": "x"}, 2, "s")
    assert (message.content_available, message.extra) == (1, {"k": [1]})
    assert message.payload is payload
    assert "aps" in content


@pytest.mark.parametrize("payload", [{"k": 1}, {"aps": None, "k": 1}, {"aps": [], "k": 1}])
def test_a_payload_without_a_usable_aps(payload):
    """The parts are None, the rest is extra."""
    message = Message(TOKEN, payload=payload)
    assert (message.alert, message.badge, message.sound) == (None, None, None)
    assert message.extra == {"k": 1}


@pytest.mark.parametrize("payload", ["not JSON", "[1]", "5", "null", b"\xff", "", 5, [1],
                                     pytest.param("[" * 100000, id="deep")])
def test_a_payload_that_cannot_be_parsed_has_no_attributes(payload):
    """It is Apple who decides about it."""
    message = Message(TOKEN, payload=payload)
    for name in ("alert", "badge", "sound", "content_available", "extra"):
        assert not hasattr(message, name)
    assert message.payload == payload


@each("payload", [
    '{"aps":{"alert":"x","badge":1},"k":1}', b'{"aps":{"alert":"x","badge":1},"k":1}',
    {"aps": {"alert": "x", "badge": 1}, "k": 1}])
def test_an_attribute_that_was_set_stays(payload):
    """Also before the payload was looked at for the others."""
    message = Message(TOKEN, payload=payload)
    message.alert = "y"
    assert (message.alert, message.badge, message.extra) == ("y", 1, {"k": 1})
    other = message.with_tokens(["00"])
    assert (other.alert, other.badge, other.extra) == ("y", 1, {"k": 1})
    assert message.payload is payload


def test_an_attribute_without_a_value_says_why():
    """It is no mistake in its name."""
    with pytest.raises(AttributeError, match="'alert'.*cannot be parsed"):
        assert Message(TOKEN, payload="not JSON").alert
    with pytest.raises(AttributeError, match="no attribute 'alerts'$"):
        assert Message(TOKEN, payload="not JSON").alerts
    assert Message.alert is not None


def test_text_is_parsed_only_when_it_is_asked_for(monkeypatch):
    """To send it, nobody has to know what it says."""
    parsed = []
    monkeypatch.setattr("apnsclient.message.decode_json", lambda text: parsed.append(text) or {})
    for payload in ('{"aps":{"alert":"x","sound":"ping"},"k":"mdm.x"}', u'{"alert":"\u0416"}',
                    b'{"aps":{"alert":"caf\\u00e9","mutable-content":1}}', "not JSON", "", b"\xff"):
        message = Message([TOKEN, TOKEN], payload=payload)
        message.request_template("com.example.app")
        message.encoder()
        message.retry(0, False)
        Message(**message.__getstate__())
        assert parsed == []
        assert (message.alert, message.badge, message.extra, parsed) == (None, None, {}, [payload])
        del parsed[:]
    for name, value in (("apns_push_type", "background"), ("apns_topic", "com.example.app.voip")):
        message = Message(TOKEN, payload='{"aps":{"content-available":1}}', **{name: value})
        message.request_template("com.example.app")
        assert parsed == []
    message.apns_topic = None
    message.request_template("com.example.app.voip")
    assert parsed == []
    message.request_template("com.example.app")
    assert parsed == [message.payload]


@pytest.mark.parametrize("payload", [{"k": object()}, {"k": b"\xff"}])
def test_a_payload_that_is_no_json_fails_when_it_is_needed(payload):
    """The error is that of json; the constructor does not look."""
    with pytest.raises((TypeError, ValueError)):
        Message(TOKEN, payload=payload).get_json_payload()
    with pytest.raises((TypeError, ValueError)):
        Message(TOKEN, extra=payload).encoder()


class Loud(Message):
    """It has a way of its own to make JSON."""

    def get_json_payload(self):
        return super(Loud, self).get_json_payload().upper()


class Sorted(Message):
    json_parameters = {"sort_keys": True}


class Named(Message):
    """It adds to each payload."""

    @property
    def payload(self):
        return OrderedDict([("name", u"\u0416"), ("content", super(Named, self).payload)])


kinds = st.sampled_from([Message, Message, Message, Loud, Sorted, Named])
arguments = st.sampled_from([
    {"payload": {"b": u"\u0416", "a": [1.5, {}]}}, {"payload": {}}, {"payload": '{ "k" : 1 }'},
    {"payload": b'{"k":"\xd0\x96"}'}, {"payload": ""}, {"alert": "x", "k": 1}, {"badge": 0},
    {"payload": OrderedDict([("b", 1), ("a", 2)])}, {"payload": {"k": [{}, "", {}]}},
    {"payload": [1]}, {"payload": 5}, {"payload": {"k": object()}}, {"alert": object()}])


@given(st.lists(st.builds(lambda kind, options: kind(TOKEN, **options), kinds, arguments)))
def test_payloads_that_are_encoded_together_are_what_each_is(messages):
    """What is not known of it is None, and the message has to be asked."""
    found = encode_payloads(messages)
    assert len(found) == len(messages)
    for message, payload in zip(messages, found):
        assert payload is None or payload == message.get_json_payload()


def test_only_what_is_encoded_as_usual_is_encoded_together():
    """Not what is no message: who asks it gets the error."""
    for odd in (None, "text", object()):
        assert encode_payloads([Message(TOKEN, alert="x"), odd]) == [None, None]
    messages = [Message(TOKEN, alert="x"), Message(TOKEN, payload={"k": 1})]
    assert encode_payloads(messages) == [b'{"aps":{"alert":"x"}}', b'{"k":1}']
    messages[0] = Sorted(TOKEN, alert="x")
    assert encode_payloads(messages) == [None, b'{"k":1}']
    messages[0] = Loud(TOKEN, alert="x")
    assert encode_payloads(messages) == [None, None]
    messages[0] = Named(TOKEN, payload=5)
    assert encode_payloads(messages) == [b'{"name":"\xd0\x96","content":5}', b'{"k":1}']


def test_a_payload_that_fits_no_frame_names_its_size():
    """65 535 bytes are the most."""
    Message(TOKEN, payload="x" * 65535).encoder()
    with pytest.raises(ValueError, match="65536"):
        Message(TOKEN, payload="x" * 65536).encoder()


@each("expiry, expected", [
    (0, 0), (1, 1), (4294967295, 4294967295), (5.9, 5), ("7", 7), (True, 1),
])
def test_an_expiry_is_kept_as_a_number(expiry, expected):
    """Seconds since 1970; 0 means that the message is not stored."""
    message = Message(TOKEN, expiry=expiry)
    assert message.expiry == expected
    assert type(message.expiry) is int


class Zone(datetime.tzinfo):
    """Two hours east of Greenwich."""

    def utcoffset(self, when):
        return datetime.timedelta(hours=2)

    def dst(self, when):
        return datetime.timedelta(0)


def test_an_expiry_with_a_time_zone_is_that_moment():
    """Whatever the zone of the machine."""
    message = Message(TOKEN, expiry=datetime.datetime(2030, 1, 1, 2, 0, 5, tzinfo=Zone()))
    assert message.expiry == calendar.timegm((2030, 1, 1, 0, 0, 5))


def test_a_naive_expiry_is_local_time():
    """As datetime.now() gives it."""
    now = int(time.time())
    assert Message(TOKEN, expiry=datetime.datetime.fromtimestamp(now)).expiry == now


@pytest.mark.parametrize("expiry, delay", [
    (None, 86400), (datetime.timedelta(hours=1), 3600), (datetime.timedelta(0), 0),
    (datetime.timedelta(seconds=-5), -5)])
def test_a_relative_expiry_counts_from_now(expiry, delay):
    """None means one day."""
    before = int(time.time())
    message = Message(TOKEN, expiry=expiry)
    assert before + delay <= message.expiry <= int(time.time()) + delay


@each("name, value", [
    ("expiry", -1), ("expiry", 4294967296), ("expiry", "soon"), ("expiry", float("nan")),
    ("expiry", float("inf")), ("expiry", datetime.timedelta.max),
    ("expiry", datetime.timedelta.min), ("expiry", datetime.datetime.max),
    ("expiry", datetime.datetime(1800, 1, 1)),
    ("expiry", datetime.datetime(1960, 1, 1, tzinfo=Zone())),
    ("expiry", []), ("priority", -1), ("priority", 256),
    ("priority", "high")])
def test_what_does_not_fit_its_field_is_refused_at_once(name, value):
    """The error names the field and its range."""
    largest = {"expiry": "4294967295", "priority": "255"}[name]
    with pytest.raises(ValueError) as caught:
        Message(TOKEN, **{name: value})
    assert name in str(caught.value)
    assert largest in str(caught.value)


@pytest.mark.parametrize("name, value", [("expiry", 4294967296), ("priority", 256)])
def test_the_error_names_the_value(name, value):
    """As it was given."""
    with pytest.raises(ValueError, match=str(value)):
        Message(TOKEN, **{name: value})


@pytest.mark.parametrize("priority", [0, 5, 10, 255])
def test_any_priority_of_8_bits_is_sent(priority):
    """Apple knows 10 and 5, and decides."""
    assert Message(TOKEN, priority=priority).priority == priority
    assert Message(TOKEN).priority == 10


@each("index, include, left", [
    (0, True, [0, 1, 2]), (0, False, [1, 2]), (1, True, [1, 2]), (2, True, [2]), (2, False, None),
    (3, True, None)])
def test_retry_is_the_same_message_for_the_rest(index, include, left):
    """None where nobody is left."""
    tokens = ["%04x" % number for number in range(3)]
    message = Message(tokens, alert="x", expiry=9, priority=5)
    retry = message.retry(index, include)
    if left is None:
        assert retry is None
    else:
        assert retry.tokens == [tokens[number] for number in left]
        assert (retry.alert, retry.expiry, retry.priority) == ("x", 9, 5)
    assert message.tokens == tokens


def test_retry_keeps_a_payload_as_it_was_given():
    """Byte for byte."""
    message = Message(["00", "11"], payload='{ "k" : 1 }')
    assert message.retry(0, False).payload is message.payload


@pytest.mark.skipif(bytes is not str, reason="on Python 3 this is bytes, which JSON does not know")
def test_str_of_python_2_may_be_utf_8_beside_unicode():
    """Old programs mix them."""
    message = Message(TOKEN, alert="\xd0\x96", extra={u"k": u"\u0416"})
    assert json.loads(message.get_json_payload()) == {
        "aps": {"alert": u"\u0416"}, "k": u"\u0416"}
