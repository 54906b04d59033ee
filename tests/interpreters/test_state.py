"""Messages cross the borders of processes: pickles and state dicts, new ones and those of 0.2.1."""

from __future__ import absolute_import, division, print_function

import copy
import json
import pickle
import struct

import pytest

from apnsclient.apns import Message
from tables import each

TOKENS = ["%064x" % index for index in range(3)]

#: Constructor arguments of messages that are unlike each other.
MESSAGES = [
    dict(tokens=TOKENS, alert="x", expiry=1700000000),
    dict(tokens=TOKENS, alert=u"\u0416", badge=3, sound="ping", content_available=1, expiry=0,
         priority=5, extra={u"\u0416": [1, None, {"k": u"\u20ac"}]}),
    dict(tokens=[], expiry=0),
    dict(tokens=[None, "zz"], alert={"loc-key": "k", "loc-args": ["a"]}, expiry=1),
    dict(tokens=TOKENS, payload='{"aps":{"alert":"x"},"k":1}', expiry=1),
    dict(tokens=TOKENS, payload={"aps": {"alert": u"\u0416"}, "k": [1]}, expiry=1),
    dict(tokens=TOKENS, payload="not JSON", expiry=1),
    dict(tokens=TOKENS, alert="x", expiry=1, apns_topic="com.example.app"),
    dict(tokens=TOKENS, payload={"aps": {}}, expiry=1, apns_topic="t", apns_push_type="voip",
         apns_id="eabeae54-14a8-11e5-b60b-1697f925ec7b", apns_collapse_id="a b"),
    dict(tokens=TOKENS, alert="x", expiry=1,
         apns_id_namespace="eabeae54-14a8-11e5-b60b-1697f925ec7b"),
]
PARTS = ("alert", "badge", "sound", "content_available", "extra")
HEADERS = ("apns_topic", "apns_push_type", "apns_id", "apns_collapse_id")


def assert_same(message, other):
    assert type(message) is type(other)
    assert message.tokens == other.tokens
    assert message.get_json_payload() == other.get_json_payload()
    assert (message.expiry, message.priority) == (other.expiry, other.priority)
    for name in PARTS + HEADERS + ("apns_id_namespace",):
        assert getattr(message, name, "none") == getattr(other, name, "none")


@each("arguments", MESSAGES)
def test_the_state_makes_the_same_message(arguments):
    """``Message(**state)``, and so do a copy and a deep copy."""
    message = Message(**arguments)
    assert_same(Message(**message.__getstate__()), message)
    assert_same(copy.copy(message), message)
    assert_same(copy.deepcopy(message), message)


@each("arguments", MESSAGES)
def test_the_state_survives_json(arguments):
    """The keys come back as unicode, also on Python 2.7."""
    message = Message(**arguments)
    state = json.loads(json.dumps(message.__getstate__()))
    assert_same(Message(**state), message)


@each("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@each("arguments", MESSAGES)
def test_a_pickle_makes_the_same_message(arguments, protocol):
    """In every protocol of pickle that this Python has."""
    message = Message(**arguments)
    assert_same(pickle.loads(pickle.dumps(message, protocol)), message)


def test_the_keys_of_the_state_are_constructor_arguments():
    """Either the parts or the payload."""
    assert set(Message(TOKENS, alert="x").__getstate__()) == {
        "tokens", "alert", "badge", "sound", "content_available", "expiry", "priority", "extra"}
    assert set(Message(TOKENS, payload={}).__getstate__()) == {
        "tokens", "payload", "expiry", "priority"}


@each("arguments, is_left_out", [
    ({"content_available": 1}, True),
    ({"payload": '{"aps":{"content-available":1}}'}, True),
    ({"alert": "x", "apns_push_type": "background"}, True),
    ({"content_available": 1, "priority": 10}, False),
    ({"content_available": 1, "apns_push_type": "voip"}, False),
    ({"alert": "x"}, False),
    ({"payload": u"\ud800"}, False),
    ({"payload": {"k": object()}}, False),
])
def test_a_background_notification_has_a_priority_in_its_state_if_it_was_given(
        arguments, is_left_out):
    """Of the default, which Apple refuses, nobody is to be warned wherever it is loaded."""
    message = Message(TOKENS, **arguments)
    state = message.__getstate__()
    assert ("priority" not in state) is is_left_out
    for other in (Message(**state), Message(**Message(**state).__getstate__())):
        assert other.priority == message.priority
        assert is_left_out <= (not other.has_own_priority)
    for other in (copy.copy(message), copy.deepcopy(message)):
        assert not other.has_own_priority


def test_the_expiry_of_a_message_without_tokens_stays_a_default():
    """It is for a channel, and not every channel takes one."""
    state = json.loads(json.dumps(Message([], alert="x").__getstate__()))
    assert state["expiry"] is None
    assert not Message(**state).has_own_expiry
    assert Message([], expiry=7).__getstate__()["expiry"] == 7
    assert Message(**Message([], expiry=7).__getstate__()).has_own_expiry


def test_a_header_is_in_the_state_only_if_there_is_one():
    """An older version takes what it does not know for a part of the payload."""
    for name in HEADERS:
        state = Message(TOKENS, **{name: "x"}).__getstate__()
        assert set(state) - set(Message(TOKENS).__getstate__()) == {name}
        assert state[name] == "x"


def test_a_retry_keeps_the_headers():
    """It is the same message."""
    message = Message(TOKENS, **{name: name for name in HEADERS})
    for other in (message.retry(0, False), message.with_tokens(["00"])):
        assert [getattr(other, name) for name in HEADERS] == list(HEADERS)


def test_bytes_become_text_in_the_state():
    """JSON knows no bytes; what is sent stays the same."""
    message = Message([TOKENS[0].encode("ascii")], payload=u'{"k":"\u0416"}'.encode("utf-8"))
    state = json.loads(json.dumps(message.__getstate__()))
    assert state["tokens"] == TOKENS[:1]
    assert Message(**state).get_json_payload() == message.get_json_payload()


def test_the_expiry_of_the_state_is_the_time_not_the_delay():
    """A message that waits in a queue does not get younger."""
    message = Message(TOKENS)
    assert Message(**message.__getstate__()).expiry == message.expiry
    assert isinstance(message.__getstate__()["expiry"], int)


@each("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_names_the_documented_path(protocol):
    """So that programs with another version, and 0.2.1 among them, load it."""
    data = pickle.dumps(Message(TOKENS, alert="x"), protocol)
    assert b"apnsclient.apns" in data
    assert b"apnsclient.message" not in data
    assert Message.__module__ == "apnsclient.apns"


def test_a_subclass_is_pickled_as_such():
    """With its own arguments, if it adds them to the state."""
    message = Special(TOKENS, alert="x", note="n")
    other = pickle.loads(pickle.dumps(message, 2))
    assert_same(other, message)
    assert other.note == "n"


class Special(Message):
    def __init__(self, tokens, note=None, **arguments):
        super(Special, self).__init__(tokens, **arguments)
        self.note = note

    def __getstate__(self):
        return dict(super(Special, self).__getstate__(), note=self.note)


# Pickles of apns-client 0.2.1, written opcode by opcode as Python 2 does.


class Text(object):
    """The opcodes of pickle's protocol 0."""

    start = (b"ccopy_reg\n_reconstructor\np0\n(capnsclient.apns\nMessage\np1\n"
             b"c__builtin__\nobject\np2\nNtp3\nRp4\n")
    end = b"b."

    def dump(self, value):
        if value is None:
            return b"N"
        if isinstance(value, bytes):
            return b"S'" + value.replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'\n"
        if isinstance(value, type(u"")):
            return b"V" + value.encode("raw-unicode-escape") + b"\n"
        if isinstance(value, int):
            return b"I%d\n" % value if bytes is not str else "I%d\n" % value
        if isinstance(value, list):
            return b"(l" + b"".join(self.dump(one) + b"a" for one in value)
        return b"(d" + b"".join(self.dump(key) + self.dump(value[key]) + b"s" for key in value)


class Binary(Text):
    """The opcodes of protocol 1."""

    start = (b"ccopy_reg\n_reconstructor\nq\x00(capnsclient.apns\nMessage\nq\x01"
             b"c__builtin__\nobject\nq\x02Ntq\x03Rq\x04")

    def dump(self, value):
        if isinstance(value, bytes):
            return b"T" + struct.pack("<i", len(value)) + value
        if isinstance(value, type(u"")):
            data = value.encode("utf-8")
            return b"X" + struct.pack("<i", len(data)) + data
        if isinstance(value, int):
            return b"J" + struct.pack("<i", value)
        if isinstance(value, list):
            return b"](" + b"".join(map(self.dump, value)) + b"e"
        if isinstance(value, dict):
            return b"}(" + b"".join(self.dump(key) + self.dump(value[key]) for key in value) + b"u"
        return super(Binary, self).dump(value)


class NewObject(Binary):
    """The opcodes of protocol 2."""

    start = b"\x80\x02capnsclient.apns\nMessage\nq\x00)\x81q\x01"


OLD_STATES = [
    {b"tokens": [b"00ab", b"11cd"], b"alert": b"it's x", b"badge": None, b"sound": None,
     b"content_available": None, b"expiry": 1400000000, b"extra": {}, b"priority": 10},
    {b"tokens": [u"00ab"], b"alert": u"\u0416", b"badge": 3, b"sound": b"ping",
     b"content_available": 1, b"expiry": 0, b"extra": {u"\u0416": [1, None]}, b"priority": 5},
    {b"tokens": [b"00ab"], b"payload": b'{"aps":{"alert":"x"}}', b"expiry": 1, b"priority": 10},
    {b"tokens": [b"00ab"], b"payload": {b"aps": {b"alert": u"\u0416"}}, b"expiry": 1,
     b"priority": 10},
    # Every key there is.
    {b"tokens": [b"00ab"], b"alert": b"x", b"badge": None, b"sound": None, b"extra": None,
     b"content_available": None, b"expiry": 1, b"priority": 10, b"payload": None},
    {b"tokens": [b"00ab"], b"alert": None, b"badge": None, b"sound": None, b"extra": None,
     b"content_available": None, b"expiry": 1, b"priority": 10, b"payload": b"{}"},
]


def native(value):
    """Turn the str of Python 2 into that of the Python that runs."""
    if isinstance(value, bytes):
        return value if bytes is str else value.decode("ascii")
    if isinstance(value, list):
        return [native(one) for one in value]
    if isinstance(value, dict):
        return dict((native(key), native(one)) for key, one in value.items())
    return value


@each("format", [Text(), Binary(), NewObject()])
@each("state", OLD_STATES)
def test_a_pickle_of_0_2_1_loads(state, format):
    """Its import path and its keys are those of today."""
    message = pickle.loads(format.start + format.dump(state) + format.end)
    assert_same(message, Message(**native(state)))
    assert message.expiry == state[b"expiry"]


@each("state", OLD_STATES)
def test_a_state_dict_of_0_2_1_loads(state):
    """Stored as JSON, as its documents recommend."""
    stored = json.loads(json.dumps(native(state)))
    assert_same(Message(**stored), Message(**native(state)))


@pytest.mark.skipif(bytes is str, reason="Python 2 loads its own pickles without an encoding")
@pytest.mark.parametrize("format", [Binary(), NewObject()])
def test_a_pickle_of_0_2_1_with_utf_8_loads(format):
    """The str of Python 2 holds UTF-8; pickle has to be told so."""
    state = dict(OLD_STATES[0])
    state[b"alert"] = u"\u0416".encode("utf-8")
    data = format.start + format.dump(state) + format.end
    assert pickle.loads(data, encoding="utf-8").alert == u"\u0416"
