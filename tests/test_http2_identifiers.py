"""Identifiers that are read without decoding their block are those that decoding finds."""

from __future__ import absolute_import, division, print_function

import uuid

import hpack
import pytest
import six
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.outcomes import identifiers_in
from apnsclient.protocols.http2 import identifiers as module
from apnsclient.protocols.http2.frames import Http2Error
from apnsclient.protocols.http2.headers import decode_block, encode_number, encode_string
from apnsclient.protocols.http2.identifiers import find_identifiers
from effort import examples
from tables import each

APNS_ID = b"EABEAE54-14a8-11e5-b60b-1697f925ec7b"
UNIQUE_ID = b"1e5c4f60-0d3b-4c8e-9a7f-23bd60ac1f2d"
NAMES = [b"apns-id", b"apns-unique-id"]
#: Literal fields begin like that whose names, date and server, are in the static table.
DATE, SERVER = b"\x0f\x12", b"\x0f\x27"

huffman = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def coded(text):
    """Return text as HPACK writes it in Huffman code."""
    value = huffman.encode(text)
    return encode_number(len(value), 7, 0x80) + value


def field(name, value, first=b"\0", write=coded):
    """Return a literal field, with name and value written the same way."""
    return first + write(name) + write(value)


def by_decoding(block):
    """Return the identifiers that a block has, the long way."""
    try:
        found = dict(decode_block(block))
    except Http2Error:
        found = {}
    values = [found.get(name, b"").decode("latin-1")[:100] for name in NAMES]
    apns_id, unique_id = [str("".join(letter if u" " <= letter <= u"~" else "?"
                                      for letter in value)) or None for value in values]
    return apns_id and apns_id.lower(), unique_id


def check(block):
    """See that a block gives the same both ways, also where its shape is known already."""
    expected = by_decoding(block)
    for _ in range(2):
        found = identifiers_in(block)
        assert found == expected
        assert [type(one) for one in found] == [type(one) for one in expected]


@pytest.fixture(autouse=True)
def nothing_known():
    module._shapes.clear()


# What is usual.


@each("first", [b"\0", b"\x10", b"\x40"])
@each("write", [coded, encode_string])
@each("case", [bytes.lower, bytes.upper, bytes])
@each("before", [b"\x88", b"\x20\x88", b"\x08\x03410", b"\x88" + SERVER + coded(b"nginx")])
@each("behind", [b"", DATE + coded(b"Mon, 30 Nov 2026 18:00:00 GMT"), b"\x10\x01a\x00"])
def test_the_usual_is_found_without_decoding(first, write, case, before, behind):
    """Whether the sandbox gives a second identifier, and whichever is first."""
    apns_id = field(NAMES[0], case(APNS_ID), first, write)
    unique_id = field(NAMES[1], case(UNIQUE_ID), first, write)
    texts = [six.ensure_str(case(value)) for value in (APNS_ID, UNIQUE_ID)]
    for block, expected in [
            (before + apns_id + behind, (texts[0], None)),
            (before + apns_id + unique_id + behind, tuple(texts)),
            (before + unique_id + behind + apns_id, tuple(texts))]:
        assert find_identifiers(block) == expected
        assert identifiers_in(block) == (texts[0].lower(), expected[1]) == by_decoding(block)


def test_what_differs_in_the_identifiers_is_decoded_once(monkeypatch):
    """However long they become in Huffman code."""
    blocks, sizes = [], set()
    for number in range(100):
        values = [str(uuid.UUID(int=number ** 19 << bits & (1 << 128) - 1)).encode()
                  for bits in (0, 3)]
        blocks.append(b"\x88" + b"".join(map(field, NAMES, values)))
        sizes.add(len(blocks[-1]))
    assert len(sizes) > 5
    find_identifiers(blocks[0])
    monkeypatch.delattr(module, "decode_block")
    assert len(set(map(find_identifiers, blocks))) == 100
    assert len(module._shapes) == 1


def test_nothing_is_decoded_for_a_value_that_is_no_identifier(monkeypatch):
    """It would be in vain, each time."""
    monkeypatch.delattr(module, "decode_block")
    for names in (NAMES, NAMES[::-1]):
        for values in ([APNS_ID, b"x"], [b"x", APNS_ID]):
            assert find_identifiers(b"\x88" + b"".join(map(field, names, values))) is None


def test_few_shapes_are_remembered():
    """A server may send any number of others, and blocks of any length."""
    for number in range(300):
        date = DATE + encode_string(b"%d" % number)
        check(b"\x88" + date + field(NAMES[0], APNS_ID))
        check(b"\x88" + date + field(NAMES[0], APNS_ID) + b"\x10\x01a\x7f\x80\x02" + b"x" * 383)
        assert 0 < len(module._shapes) <= 64
    assert all(sum(map(len, pieces)) <= 256 for pieces in module._shapes)


def test_every_table_decodes_as_the_library_does():
    """All octets behind all bits that the code of a character may begin with, and padding."""
    codes = ["{:0{}b}".format(REQUEST_CODES[ord(letter)], REQUEST_CODES_LENGTH[ord(letter)])
             for letter in "0123456789abcdefABCDEF-"]
    begun = set(code[:size] for code in codes for size in range(len(code)))
    found = 0
    for bits in sorted(begun | set("1" * size for size in range(8))):
        bits = "00000" * 8 + bits
        while len(bits) % 8:
            bits = "00000" + bits
        before = bytearray(int(bits[place:place + 8], 2) for place in range(0, len(bits), 8))
        for octet in range(256):
            value = bytes(before + bytearray([octet]))
            block = b"\x88\0" + coded(NAMES[0]) + encode_number(len(value), 7, 0x80) + value
            try:
                text = decode_block(block)[1][1].decode("latin-1")
            except Http2Error:
                text = u""
            is_usual = text and not text.strip(u"0123456789abcdefABCDEF-")
            assert find_identifiers(block) == ((str(text), None) if is_usual else None)
            found += bool(is_usual)
    assert found > 500


# What is not.


@each("value", [
    b"", b"x", b"a" * 101, b"0" * 127, b"0" * 200, b"\xff" * 9, b"a b", b"\0", b"g" * 36,
    b"a" * 100])
@each("write", [coded, encode_string])
@each("name", NAMES)
def test_other_values_are_read_too(value, write, name):
    """As ever: at most 100 characters, and none that harms a terminal."""
    other = field(NAMES[1 - NAMES.index(name)], APNS_ID)
    for block in (field(name, value, write=write), other + field(name, value, write=write)):
        check(b"\x88" + block)


@each("block", [
    # No identifier, or its name alone.
    b"", b"\x88", b"\x88\0" + coded(NAMES[0]), b"\x88\0" + encode_string(NAMES[0]),
    # The name is text of another field; the text is a field, as a whole.
    b"\x88\0" + encode_string(b"x") + encode_string(field(NAMES[0], APNS_ID)),
    b"\x88\0" + encode_string(b"x") + encode_string(field(NAMES[0], APNS_ID)) + field(
        NAMES[0], UNIQUE_ID),
    b"\x88\0" + encode_string(field(NAMES[0], APNS_ID)) + encode_string(b"x"),
    b"\x88\0" + encode_string(NAMES[0]) + encode_string(field(NAMES[1], APNS_ID)),
    # The name is a value, and the value would be a field of its own.
    b"\x88\0\x01x" + coded(NAMES[0]) + field(NAMES[0], APNS_ID),
    # Several times: the last one counts.
    b"\x88" + field(NAMES[0], APNS_ID) + field(NAMES[0], UNIQUE_ID),
    b"\x88" + field(NAMES[0], APNS_ID) + field(NAMES[0], UNIQUE_ID, write=encode_string),
    b"\x88" + field(NAMES[1], APNS_ID) * 2 + field(NAMES[0], UNIQUE_ID),
    # What cannot be decoded before or behind it, or has a size where none may be.
    b"\x88\xbe" + field(NAMES[0], APNS_ID), b"\x88" + field(NAMES[0], APNS_ID) + b"\xbe",
    b"\x88" + field(NAMES[0], APNS_ID) + b"\x20", b"\x3f\x01\x88" + field(NAMES[0], APNS_ID),
    b"\x88" + field(NAMES[0], APNS_ID) + b"\0", b"\x88" + field(NAMES[0], APNS_ID) + b"\0\x01",
    b"\x88" + field(NAMES[0], APNS_ID) + b"\0\x81\xff\x01x",
    # Lengths in more octets than they need, and longer than the block.
    b"\x88\0" + coded(NAMES[0]) + b"\x7f\x00" + b"0" * 127,
    b"\x88\0" + coded(NAMES[0]) + b"\x7f" + b"0" * 127,
    b"\x88\0" + coded(NAMES[0]) + b"\x24" + APNS_ID[:-1],
    # Padding that is too long, or not of ones.
    b"\x88\0" + coded(NAMES[0]) + b"\x82\x1f\xff",
    b"\x88\0" + coded(NAMES[0]) + b"\x83\x1f\xff\xff",
    b"\x88\0" + coded(NAMES[0]) + b"\x81\x18", b"\x88\0" + coded(NAMES[0]) + b"\x81\xff",
    b"\x88\0" + coded(NAMES[0]) + b"\x80",
])
def test_the_unusual_is_left_to_decoding(block):
    """It comes to the same, also where the shape is known with another value."""
    module._shapes.clear()
    find_identifiers(b"\x88" + field(NAMES[0], APNS_ID))
    assert find_identifiers(block) is None
    check(block)


# All that may come.

writers = st.sampled_from([coded, encode_string])
firsts = st.sampled_from([b"\0", b"\x10", b"\x40"])
identifiers = st.one_of(
    st.uuids().map(lambda one: str(one).encode()),
    st.uuids().map(lambda one: str(one).upper().encode()),
    st.text(u"0123456789abcdefABCDEF-", max_size=110).map(lambda text: text.encode()))
#: Identifiers, a field with one as text, and anything.
texts = st.one_of(
    identifiers, st.binary(max_size=60),
    st.builds(field, st.sampled_from(NAMES), identifiers, firsts, writers))
strings = st.builds(lambda text, write: write(text), texts, writers)
other_fields = st.one_of(
    st.sampled_from([b"\x88", b"\x8d", b"\x20", b"\xbe", DATE + b"\x01x", SERVER + b"\x81\xf3"]),
    st.builds(lambda first, name, value: first + name + value, firsts, strings, strings))
heads = st.builds(lambda first, name, write: first + write(name), firsts, st.sampled_from(NAMES),
                  writers)


@st.composite
def blocks_of_one_shape(draw):
    """Return blocks that differ in the values of identifiers alone."""
    pieces = [draw(st.sampled_from([b"\x88", b"\x20\x88", b"\x08\x03410"]))]
    for _ in range(draw(st.integers(1, 3))):
        pieces.append(b"".join(draw(st.lists(other_fields, max_size=1))) + draw(heads))
    pieces.append(b"".join(draw(st.lists(other_fields, max_size=1))))
    blocks = []
    for _ in range(3):
        values = [draw(strings) for _ in pieces[2:]]
        blocks.append(pieces[0] + b"".join(
            piece + value for piece, value in zip(pieces[1:], values + [b""])))
    return blocks


@examples(150)
@given(blocks_of_one_shape(), st.data())
def test_blocks_of_one_shape_give_what_decoding_gives(blocks, data):
    """Also where they were cut off or changed on the way, after those that were not."""
    for block in blocks:
        check(block)
    place = data.draw(st.integers(0, len(block) - 1))
    check(block[:place])
    octet = data.draw(st.binary(min_size=1, max_size=2))
    check(block[:place] + octet + block[place + len(octet):])
    check(block[:place] + octet + block[place:])


@examples(100)
@given(st.lists(st.tuples(st.sampled_from(NAMES + [b"date", b":status", b"x"]), identifiers),
                max_size=4), st.booleans())
def test_what_the_library_encodes_gives_what_decoding_gives(fields, is_huffman):
    """Each block is the first of a connection."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    check(encoder.encode([(b":status", b"200")] + fields, huffman=is_huffman))


@examples(100)
@given(st.lists(st.one_of(st.binary(max_size=20), heads, strings), max_size=6))
def test_garbage_gives_what_decoding_gives(pieces):
    """Also where there is some sense in it."""
    check(b"".join(pieces))
