"""What the encoder writes, read back with a decoder of this file's own."""

from __future__ import absolute_import, division, print_function

import binascii
import struct

import pytest
import six
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.apns import Message
from apnsclient.protocols.binary import NotificationEncoder, decode_token
from effort import examples
from tables import each

MODULUS = 1 << 32
DIGITS = frozenset(u"0123456789abcdefABCDEF")


def decode(data):
    """Return ``[(identifier, token, payload, expiry, priority)]`` of the frames that data holds."""
    frames = []
    while data:
        command, size = struct.unpack(">BI", data[:5])
        body, data = data[5:5 + size], data[5 + size:]
        assert command == 2
        assert len(body) == size, "a chunk is cut within a frame"
        items = {}
        while body:
            number, size = struct.unpack(">BH", body[:3])
            value, body = body[3:3 + size], body[3 + size:]
            assert len(value) == size and number not in items
            items[number] = value
        assert sorted(items) == [1, 2, 3, 4, 5]
        frames.append(struct.unpack(">I", items[3]) + (items[1], items[2])
                      + struct.unpack(">I", items[4]) + struct.unpack(">B", items[5]))
    return frames


def valid(token):
    """Return the bytes of a token that can be put on the wire, or None: by another way."""
    if not isinstance(token, (bytes, type(u""))) or not token or len(token) > 131070:
        return None
    text = token.decode("latin-1") if isinstance(token, bytes) else token
    if len(text) % 2 or not DIGITS.issuperset(text):
        return None
    return bytes(bytearray.fromhex(text if isinstance(text, type(u"")) else text.decode("ascii")))


class SmallBlocks(NotificationEncoder):
    """An encoder whose blocks have fewer tokens, so that a few make several."""

    BLOCK = 100


def check(tokens, chunk_size, first=0, payload=b"{}", expiry=1, priority=10,
          encoder_class=NotificationEncoder):
    """Encode, decode, and compare every property of the outcome."""
    rejected = []
    encoder = encoder_class(payload, expiry, priority)
    chunks = list(encoder.chunks(tokens, chunk_size, first, rejected))
    octets = [valid(token) for token in tokens]
    expected = [((first + index) % MODULUS, token, payload, expiry, priority)
                for index, token in enumerate(octets) if token is not None]
    decoded = [decode(chunk) for _, _, chunk in chunks]
    assert [frame for frames in decoded for frame in frames] == expected
    for number, (index, end, chunk) in enumerate(chunks):
        assert isinstance(chunk, bytes)
        frames = decoded[number]
        assert frames[0][0] == (first + index) % MODULUS
        # Whatever lies behind the end is in a later chunk, or rejected.
        assert index < end <= (chunks[number + 1][0] if number + 1 < len(chunks) else len(tokens))
        assert frames[-1][0] == (first + end - 1) % MODULUS or octets[end - 1] is None
        assert len(chunk) >= chunk_size or number == len(chunks) - 1
        # It is not longer than it has to be, either.
        last = len(frames[-1][1]) + len(payload) + 29
        assert len(chunk) - last < chunk_size
    assert [entry[0] for entry in rejected] == [
        index for index, token in enumerate(octets) if token is None]
    for index, code, text in rejected:
        is_missing = tokens[index] is None or tokens[index] != [] and not tokens[index]
        assert code == (2 if is_missing else 8)
        assert text.startswith("Missing device token: " if is_missing else "Invalid token: ")


def hexadecimal(size):
    return st.binary(min_size=size, max_size=size).map(binascii.hexlify)


usual = hexadecimal(32)
unusual = st.one_of(
    usual, usual.map(lambda token: token.decode("ascii")), usual.map(bytes.upper),
    st.integers(0, 70).flatmap(hexadecimal),
    st.sampled_from([None, b"", u"", "", 5, [], b"zz", u"z", "abc", u"\u0661\u0661", " ", "  ",
                     "0x12", " 1 2", "12 34", "12\n3", b"1_23", u"\uff11\uff11", "+1",
                     b"\xff\xfe"]))
mixed = st.one_of(
    st.lists(usual, max_size=40),
    st.lists(unusual, max_size=60),
    # Runs of one kind: these are what is encoded together.
    st.lists(st.tuples(unusual, st.integers(1, 40)), max_size=6).map(
        lambda runs: [token for token, count in runs for _ in range(count)]))
identifiers = st.one_of(st.integers(0, 3), st.integers(MODULUS - 60, MODULUS - 1),
                        st.sampled_from([250, 65500, (1 << 24) - 5]), st.integers(0, MODULUS - 1))
chunk_sizes = st.one_of(st.sampled_from([1, 93, 94, 2048, 16384, 1 << 20]), st.integers(1, 5000))


@examples(200)
@given(mixed, chunk_sizes, identifiers, st.binary(max_size=300),
       st.integers(0, MODULUS - 1), st.integers(0, 255))
def test_what_is_valid_is_encoded_and_the_rest_rejected(
        tokens, chunk_size, first, payload, expiry, priority):
    """Any mixture of tokens, in any chunk size, with identifiers that wrap around."""
    check(tokens, chunk_size, first, payload, expiry, priority)


#: Around the fewest tokens of a block, the carry from one octet to the next, the most of a block.
COUNTS = [0, 1, 11, 12, 13, 255, 256, 257, 1023, 1024, 1025, 2049]


@pytest.mark.parametrize("chunk_size", [1, 2048, 65536, 1 << 24])
def test_any_number_of_tokens(chunk_size):
    """Around the size of a block, and around the carry from one octet to the next."""
    tokens = ["%064x" % index for index in range(5000)]
    for count in COUNTS + [5000] * (chunk_size == 65536):
        check(tokens[:count], chunk_size)
        check(tokens[:count], chunk_size, MODULUS - count // 2 - 1)


@pytest.mark.parametrize("place", [0, 1, 50, 98, 99, 149])
def test_one_token_that_differs_among_many(place):
    """It is encoded or rejected by itself; every other one is sent.

    It stands at the beginning, in the middle and at the end of a block, and of all.
    """
    for bad in (None, "", "abc", "zz" * 32, "00" * 31 + " 0", "00" * 65536, 5, "00" * 31 + "  ",
                "00" * 31 + "\t\n", " " * 64, "00" * 33, b"11" * 32, u"22" * 32, u"\xe9" * 64):
        tokens = ["%064x" % index for index in range(150)]
        tokens[place] = bad
        # A chunk of 2048 bytes has 33 frames, and a block three chunks: one ends at 98.
        check(tokens, 2048, 7, encoder_class=SmallBlocks)
    tokens = ["%064x" % index for index in range(1100)]
    tokens[min(1023 + place, 1099)] = "zz" * 32
    check(tokens, 2048, 7)


def test_tokens_that_have_the_usual_size_on_the_average():
    """What one is too short the next is too long; each goes out as it is."""
    for shift in (1, 2, 3, 31):
        tokens = ["%064x" % index for index in range(40)]
        for place in (0, 10, 20):
            tokens[place + 1] = "ab" * (32 - shift)
            tokens[place + 2] = "cd" * (32 + shift)
        check(tokens, 2048)


def test_many_bad_tokens_in_a_row():
    """Blocks of what cannot be put on the wire are not put on the wire."""
    for bad in (None, "", b"", u"", "a", "zz", "  ", "abc", 7):
        for count in (1, 11, 12, 13, 1025):
            check([bad] * count + ["00" * 32] * 3 + [bad] * count, 2048)
        check([bad] * 100, 2048)


def test_tokens_of_any_size():
    """A frame carries from 1 to 65 535 bytes of token."""
    for size in (1, 2, 31, 33, 100, 65535):
        check(["%0*x" % (2 * size, index) for index in range(20)], 2048)


def test_tokens_of_many_sizes():
    """More sizes than layouts are kept."""
    check(["ab" * (1 + index % 40) for index in range(200)], 500)


def test_the_largest_payload():
    """65 535 bytes are sent, one more is refused with its size."""
    check(["00" * 32] * 14, 2048, payload=b"x" * 65535)
    with pytest.raises(ValueError, match="65536 bytes.*65535"):
        NotificationEncoder(b"x" * 65536, 0, 10)


def test_the_layout_is_apples():
    """Byte for byte: command, length, then the items in the order token to priority."""
    (index, end, chunk), = NotificationEncoder(b"{}", 0x01020304, 5).chunks(["aabb"], 1, 0xA0B0C0D0)
    assert (index, end) == (0, 1)
    assert binascii.hexlify(chunk) == (
        b"020000001c"
        b"010002aabb"
        b"0200027b7d"
        b"030004a0b0c0d0"
        b"04000401020304"
        b"05000105")


@pytest.mark.parametrize("chunk_size", [0, -1])
def test_a_chunk_has_at_least_one_byte(chunk_size):
    """Anything less is an error with the value in it."""
    with pytest.raises(ValueError, match=str(chunk_size)):
        list(NotificationEncoder(b"", 0, 0).chunks(["00"], chunk_size))


def test_without_a_list_rejected_tokens_are_dropped():
    """The list is for those who want to know."""
    chunks = list(NotificationEncoder(b"", 0, 0).chunks([None, "00", "zz"], 1))
    assert [entry[0] for entry in chunks] == [1]


def test_chunks_are_made_as_they_are_taken():
    """A million tokens are not encoded before the first is sent."""
    tokens = ["00" * 32] * 100000
    chunks = NotificationEncoder(b"{}", 0, 10).chunks(tokens, 2048)
    assert next(chunks)[0] == 0
    assert next(chunks)[0] == 33
    tokens[50000] = "ff" * 32
    assert any(b"\xff" * 32 in chunk for _, _, chunk in chunks)


def test_a_token_that_cannot_be_sent_says_why():
    """With the code that the gateway would give, and without the token itself."""
    for token, code in [
            (None, 2), ("", 2), (b"", 2), (u"", 2), ("a", 8), ("zz", 8), (7, 8), ([], 8),
            ("00" * 65536, 8), (u"\xe9\xe9", 8), (b"\xe9\xe9", 8), ("0 0 ", 8)]:
        with pytest.raises(ValueError) as caught:
            decode_token(token)
        assert (token, caught.value.code) == (token, code)
        assert len(str(caught.value)) < 100


AS_NSDATA = "so NSData prints it: leave out the angle brackets and blanks"
AS_NSDATA_OF_TODAY = "so NSData prints a part of it: have the app send each byte as two digits"


@each("convert", [six.ensure_text, six.ensure_binary])
@each("token, problem", [
    ("<3f9a 01c7 5f1c>", '"<" is number 1 of its 16 characters; ' + AS_NSDATA),
    ("{length = 32, bytes = 0x3f9a01c7 5f1c0e7d ... }",
     '"{" is number 1 of its 47 characters; ' + AS_NSDATA_OF_TODAY),
    ("3f9a 01c7", "a blank is number 5 of its 9 characters"),
    ("3f9a01c7\n", "a line feed is number 9 of its 9 characters"),
    ("3f9a01c7\r\n", "a carriage return is number 9 of its 10 characters"),
    ("\t3f9a01c7", "a tab is number 1 of its 9 characters"),
    (u"3f9a01c7\ufeff", "a byte order mark is number 9 of its 9 characters"),
    (u"3f9a01\uff17c", "U+FF17 is number 7 of its 8 characters"),
    ("\0003f9a01c7", "U+0000 is number 1 of its 9 characters"),
    ("3f9a01c7x", '"x" is number 9 of its 9 characters')])
def test_what_is_not_hexadecimal_is_named(convert, token, problem):
    """The character and its place, not the token; where the length is odd, too."""
    with pytest.raises(ValueError) as caught:
        decode_token(convert(token))
    assert str(caught.value) == "Invalid token: the token is not hexadecimal: " + problem
    assert type(caught.value.args[0]) is str


def test_digits_that_are_not_even_are_counted():
    """There is nothing else to say about them."""
    with pytest.raises(ValueError, match="the token has an odd number of digits, 9"):
        decode_token("3f9a01c75")


def test_a_token_of_another_type_is_called_by_its_type():
    """Whatever article would be before its name."""
    with pytest.raises(ValueError, match="the token is of type int, expected str or bytes"):
        decode_token(5)


def test_a_token_is_text_or_bytes_in_either_case():
    """All are the same two bytes."""
    assert [decode_token(token) for token in ("aAbB", b"aAbB", u"aAbB")] == [b"\xaa\xbb"] * 3


def test_the_text_of_a_rejection_does_not_repeat_the_token():
    """It goes into logs."""
    rejected = []
    secret = "secret" * 8 + "x"
    list(NotificationEncoder(b"", 0, 0).chunks([secret], 1, 0, rejected))
    assert "secret" not in rejected[0][2]


def test_batch_numbers_notifications_by_the_index_of_their_token():
    """The public face of the same: chunks of at least the packet size."""
    message = Message(["%064x" % index for index in range(100)], payload=b"{}", expiry=3)
    chunks = list(message.batch(2048))
    assert [frame[0] for _, chunk in chunks for frame in decode(chunk)] == list(range(100))
    assert chunks[1][0] == decode(chunks[1][1])[0][0]
    assert all(len(chunk) >= 2048 for _, chunk in chunks[:-1])
