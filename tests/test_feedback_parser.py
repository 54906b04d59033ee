"""The parser of feedback tuples: fed whole, byte by byte, cut anywhere, truncated, garbage."""

from __future__ import absolute_import, division, print_function

import binascii
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.errors import ProtocolError
from apnsclient.protocols.feedback import FeedbackParser, encode_feedback
from effort import examples
from tables import each


def decode(data):
    """Return ``(rows, whether something is left that makes no sense)``: the slow, plain way."""
    rows = []
    while len(data) >= 6:
        timestamp, size = struct.unpack(">IH", data[:6])
        if not size or len(data) < 6 + size:
            break
        rows.append((timestamp, binascii.hexlify(data[6:6 + size])))
        data = data[6 + size:]
    return rows, bool(data)


def feed(pieces):
    parser = FeedbackParser()
    rows = []
    for piece in pieces:
        rows += parser.feed(piece)
    parser.finish()
    assert parser.error is None or isinstance(parser.error, ProtocolError)
    return rows, parser.error is not None


def cut(data, size):
    return [data[start:start + size] for start in range(0, len(data), size)]


rows = st.lists(st.tuples(
    st.integers(0, 0xFFFFFFFF),
    st.one_of(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32),
              st.binary(min_size=1, max_size=70))), max_size=8)


@examples(150)
@given(rows, st.integers(1, 40), st.integers(0, 3), st.integers(1, 3000),
       st.one_of(st.just(b""), st.binary(max_size=20)))
def test_rows_come_out_however_the_bytes_come_in(rows, repeat, others, size, garbage):
    """Whole, in pieces of any size and byte by byte: usual rows, unusual ones, and garbage."""
    data = b"".join(encode_feedback(*row) for row in rows * repeat + rows[:others]) + garbage
    expected = decode(data)
    assert feed([data]) == expected
    assert feed(cut(data, size)) == expected
    if len(data) < 3000:
        assert feed(cut(data, 1)) == expected


@each("count", [0, 1, 15, 16, 17, 31, 32, 33, 1000])
def test_any_number_of_usual_rows(count):
    """Around the size of the blocks that are decoded together."""
    data = b"".join(encode_feedback(index, struct.pack(">32x")[:31] + b"\xab")
                    for index in range(count))
    expected = [(index, b"00" * 31 + b"ab") for index in range(count)], False
    for size in (1, 37, 38, 39, 2048, 1 << 20):
        assert feed(cut(data, size)) == expected


@each("place", [0, 1, 15, 16, 17, 39])
@each("token", [b"a", b"a" * 31, b"a" * 33, b"a" * 288, b" " * 288,
                                   b"a" * 65535])
def test_one_row_that_differs_among_usual_ones(token, place):
    """Also one whose size has the same low or high octet."""
    rows = [(index, b"\x01" * 32) for index in range(40)]
    rows[place] = (7, token)
    data = b"".join(encode_feedback(*row) for row in rows)
    expected = [(timestamp, binascii.hexlify(token)) for timestamp, token in rows]
    assert feed([data]) == feed(cut(data, 2048)) == (expected, False)


@pytest.mark.parametrize("before", [0, 3, 20])
def test_a_stream_that_is_cut_in_a_record(before):
    """What was whole comes out, the rest is an error that says how much there was."""
    usual = encode_feedback(1, b"t" * 32)
    for left in range(1, len(usual)):
        parser = FeedbackParser()
        assert len(parser.feed(usual * before + usual[:left])) == before
        assert parser.error is None
        parser.finish()
        assert "%d bytes" % left in str(parser.error)


@pytest.mark.parametrize("before", [0, 3, 20])
def test_a_record_of_length_0_ends_the_stream(before):
    """What was whole before it comes out; nothing after it does."""
    usual = encode_feedback(1, b"t" * 32)
    parser = FeedbackParser()
    assert len(parser.feed(usual * before + encode_feedback(1, b"") + usual)) == before
    error = parser.error
    assert "without a token" in str(error)
    assert parser.feed(usual) == []
    parser.finish()
    assert parser.error is error


def test_the_end_of_the_list_is_no_error():
    """Nor is an empty one."""
    assert feed([]) == feed([b""]) == ([], False)


def test_tokens_are_lower_case_hexadecimal_bytes():
    """As :meth:`apnsclient.apns.APNs.feedback` documents it."""
    assert FeedbackParser().feed(b"\0\0\0\x05\0\x02\xAB\xCD") == [(5, b"abcd")]
