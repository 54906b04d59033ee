"""Payloads as JSON text: it is what ``json.dumps`` gives, and what is no text is an error."""

from __future__ import absolute_import, division, print_function

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient import Message
from apnsclient._compat import as_unicode
from apnsclient._json import PARAMETERS, decode_json, encode_dicts, encode_json
from effort import examples

TOKEN = "ab" * 32

finite = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), finite, st.text(),
    st.sampled_from([u"\u0416\U0001f600\u2028\"\\/", u"\x00\x1f\x7f", "plain", b"\xd0\x96".decode(
        "utf-8"), 1 << 70, -0.0, 1e300]))
keys = st.one_of(st.text(), st.integers(), st.booleans(), st.none(), finite)
values = st.recursive(scalars, lambda inner: st.one_of(
    st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4),
    st.lists(inner, max_size=4).map(tuple)), max_leaves=20)


@examples(40)
@given(values)
def test_the_usual_text_is_that_of_json_dumps(value):
    """Text, numbers, keys of all kinds: character for character, and always as UTF-8."""
    expected = json.dumps(as_unicode(value), **PARAMETERS)
    assert encode_json(value) == expected.encode("utf-8")
    assert Message(TOKEN, payload={"k": value}).get_json_payload() == (
        u'{"k":%s}' % expected).encode("utf-8")


@pytest.mark.parametrize("value", [
    "plain", u"plain", "\x7f", "\0", "\\", "\\u0041", u"\\u0416", "\"\b\f\n\r\t/", {"": ("", [])},
    u"\u0416", {u"\u0416": "plain"}, {"plain": u"\xe4", u"\xe4": "plain"}, {1: True, "1": None},
    {-0.0: 1e16, None: 1 << 70}, [b"\xd0\x96".decode("utf-8"), "plain"], ["\xd0\x96"],
    ["\xd0\x96", u"plain"], {"\xd0\x96": u"\u0416"}])
def test_what_looks_like_an_escape_is_none(value):
    """Whether the short way will do is seen in what it gives."""
    for each in (value, [value], {"k": {"k": value}}):
        assert encode_json(each) == json.dumps(as_unicode(each), **PARAMETERS).encode("utf-8")


BETWEEN = b'},"",{'
dicts = st.lists(st.dictionaries(keys, values, max_size=4), min_size=1, max_size=4)


@examples(40)
@given(dicts)
def test_dicts_that_are_encoded_together_are_what_each_is(found):
    """Unless one of them has what stands between them."""
    expected = [encode_json(each) for each in found]
    together = encode_dicts(found)
    assert together == expected or together is None and any(BETWEEN in one for one in expected)


@pytest.mark.parametrize("others", [
    [{}], [{"k": BETWEEN.decode("ascii")}, {BETWEEN.decode("ascii"): 1}],
    [{u"\u0416": u"\U0001f600"}],
    [{"k": u"\x1f\x7f\\u0041\\\u0416\"\n"}], [{"k": [{}, "", 1]}, {"k": ({}, {})}]])
def test_the_text_between_dicts_is_never_a_part_of_a_string(others):
    """There it would have its quotes escaped."""
    found = [{"k": 1}] + others + [{"k": {"k": [{}]}}]
    assert encode_dicts(found) == [encode_json(each) for each in found]


@pytest.mark.parametrize("odd", [
    {"k": [{}, "", {}]}, {"k": object()}, {"k": float("nan")}, {"k": u"\ud800"}, {(1, 2): 3}])
def test_what_cannot_be_encoded_with_others_is_left_to_who_encodes_it_alone(odd):
    """There it is an error, or is not."""
    assert encode_dicts([{"k": 1}, odd, {"k": 2}]) is None
    odd["odd"] = odd
    assert encode_dicts([odd]) is None


def test_a_payload_that_contains_itself_is_named():
    """Nobody keeps a list of what is being encoded, and it is found all the same."""
    payload = {"aps": {"alert": "x"}}
    payload["aps"]["again"] = [payload]
    with pytest.raises(ValueError, match="Circular"):
        Message(TOKEN, payload=payload).get_json_payload()
    assert Message(TOKEN, alert="y").get_json_payload() == b'{"aps":{"alert":"y"}}'


def test_the_same_part_may_stand_in_several_places():
    """That is no circle."""
    part = {"k": [1]}
    assert json.loads(encode_json({"a": part, "b": [part, part]}).decode("ascii")) == {
        "a": part, "b": [part, part]}


@pytest.mark.parametrize("value", [{1, 2}, object(), {"k": {b"bytes": object()}}, {(1, 2): 3}])
def test_what_is_no_json_is_an_error(value):
    """The one of json, each time anew."""
    for _ in range(2):
        with pytest.raises(TypeError):
            Message(TOKEN, extra={"k": value}).get_json_payload()
    assert encode_json({"k": 1}) == b'{"k":1}'


@pytest.mark.parametrize("value", [
    float("nan"), float("inf"), float("-inf"), {float("nan"): 1}, [{"k": (1, float("nan"))}]])
def test_numbers_that_json_does_not_have_are_an_error(value):
    """Unless a subclass wants them."""
    class Escaped(Message):
        json_parameters = {"ensure_ascii": True}

    class Loose(Message):
        json_parameters = dict(Message.json_parameters, allow_nan=True)

    for kind in (Message, Escaped):
        for arguments in ({"payload": {"k": value}}, {"extra": {"k": value}}, {"badge": value}):
            with pytest.raises(ValueError):
                kind(TOKEN, **arguments).get_json_payload()
    assert re.search(b"NaN|Infinity", Loose(TOKEN, badge=value).get_json_payload())


class Color(int):
    """A number that shows as a name, as IntEnum does."""

    def __repr__(self):
        return "<Color.RED: 1>"

    __str__ = __repr__


class Weight(float):
    """The same of the other kind."""

    __repr__ = __str__ = Color.__repr__


def test_numbers_of_a_subclass_are_numbers():
    """Whatever they show as, also as keys."""
    for value, expected in ((Color(1), "1"), ([Weight(1.5)], "[1.5]"),
                            ({Color(2): True}, '{"2":true}'), ({"k": (Color(3),)}, '{"k":[3]}')):
        assert encode_json(value) == expected.encode("ascii")
        assert Message(TOKEN, payload={"k": value}).get_json_payload() == (
            '{"k":%s}' % expected).encode("ascii")


@pytest.mark.parametrize("text", [u"\ud800", u"a\udc00\ud83d", u"\udfff\ud800"])
def test_half_of_a_surrogate_pair_is_an_error(text):
    """There is no UTF-8 for it; not in text that is given as a whole, either."""
    for arguments in ({"alert": text}, {"extra": {text: 1}}, {"payload": u'{"k":"%s"}' % text}):
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            Message(TOKEN, **arguments).get_json_payload()
    assert Message(TOKEN, alert=u"\U0001f600").get_json_payload() == (
        b'{"aps":{"alert":"\xf0\x9f\x98\x80"}}')


@pytest.mark.skipif(bytes is not str, reason="on Python 3 this is bytes, which JSON does not know")
def test_half_of_a_surrogate_pair_in_str_of_python_2_is_an_error():
    """Its decoder takes it for UTF-8."""
    for text in ("\xed\xa0\x80", "a\xed\xb0\x80"):
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            Message(TOKEN, payload={"k": text}).get_json_payload()


@pytest.mark.parametrize("text", [u"[\u0416]", b"\xff", b"{", u"", b"[" * 200000, u"[" * 200000],
                         ids=["no value", "no text", "cut off", "nothing", "deep", "deep text"])
def test_what_is_no_json_text_is_a_value_error(text):
    """Also where it is nested too deeply, of which the library has an exception of its own."""
    with pytest.raises(ValueError):
        decode_json(text)


@examples(40)
@given(values)
def test_what_was_encoded_is_decoded(value):
    """As text, and as bytes in UTF-8."""
    text = json.dumps(value)
    for one in (text, text.encode("utf-8")):
        assert json.dumps(decode_json(one)) == json.dumps(json.loads(text))
