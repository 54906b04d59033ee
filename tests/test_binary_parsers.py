"""The parsers of notifications and of error responses: whole, byte by byte, cut, garbage.

One table of cases drives all ways of feeding. No parser ever raises for what a peer sent.
"""

from __future__ import absolute_import, division, print_function

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.errors import REMEDIES, ProtocolError
from apnsclient.protocols.binary import ErrorResponseParser, NotificationParser, encode_error
from apnsclient.protocols.http2 import frames as http2
from effort import examples
from tables import each


def item(number, data):
    return struct.pack(">BH", number, len(data)) + data


def frame(*items):
    body = b"".join(items)
    return struct.pack(">BI", 2, len(body)) + body


def full(token=b"\xaa" * 32, payload=b"{}", identifier=7, expiry=8, priority=10):
    return frame(item(1, token), item(2, payload), item(3, struct.pack(">I", identifier)),
                 item(4, struct.pack(">I", expiry)), item(5, struct.pack(">B", priority)))


def simple(token, payload):
    return (b"\0" + struct.pack(">H", len(token)) + token
            + struct.pack(">H", len(payload)) + payload)


def enhanced(identifier, expiry, token, payload):
    return b"\1" + struct.pack(">II", identifier, expiry) + simple(token, payload)[1:]


IDENTIFIER = item(3, b"\0\0\0\x09")

#: What is sent, what comes out, and whether there is an error: None, or its identifier.
NO_ERROR = "no error"
CASES = [
    (b"", [], NO_ERROR),
    (simple(b"tok", b"{}"), [(0, None, None, b"tok", b"{}", None)], NO_ERROR),
    (simple(b"", b""), [(0, None, None, b"", b"", None)], NO_ERROR),
    (enhanced(1, 2, b"tok", b"{}"), [(1, 1, 2, b"tok", b"{}", None)], NO_ERROR),
    (full(), [(2, 7, 8, b"\xaa" * 32, b"{}", 10)], NO_ERROR),
    (full(b"", b""), [(2, 7, 8, b"", b"", 10)], NO_ERROR),
    (frame(), [(2, None, None, None, None, None)], NO_ERROR),
    (frame(item(2, b"{}")), [(2, None, None, None, b"{}", None)], NO_ERROR),
    (frame(item(5, b"\5"), IDENTIFIER, item(1, b"t")), [(2, 9, None, b"t", None, 5)], NO_ERROR),
    (full() + full(b"\xbb" * 32, identifier=8),
     [(2, 7, 8, b"\xaa" * 32, b"{}", 10), (2, 8, 8, b"\xbb" * 32, b"{}", 10)], NO_ERROR),
    (full() + full(b"x", b"other") + enhanced(1, 2, b"a", b"b") + full(),
     [(2, 7, 8, b"\xaa" * 32, b"{}", 10), (2, 7, 8, b"x", b"other", 10),
      (1, 1, 2, b"a", b"b", None), (2, 7, 8, b"\xaa" * 32, b"{}", 10)], NO_ERROR),
    (full(b"t" * 65535, b"p" * 65535), [(2, 7, 8, b"t" * 65535, b"p" * 65535, 10)], NO_ERROR),
    # The same frame length, other items: the pattern of the first must not be laid over it.
    (full(b"abcd", b"xy") + full(b"ab", b"wxyz"),
     [(2, 7, 8, b"abcd", b"xy", 10), (2, 7, 8, b"ab", b"wxyz", 10)], NO_ERROR),
    (b"\x03", [], None),
    (full() + b"\xff" + full(), [(2, 7, 8, b"\xaa" * 32, b"{}", 10)], None),
    (struct.pack(">BI", 2, 0xFFFFFFFF), [], None),
    (struct.pack(">BI", 2, 2) + b"\1\0", [], None),
    (frame(IDENTIFIER, b"\1"), [], 9),
    (frame(IDENTIFIER, b"\1\0\5abcd"), [], 9),
    (frame(IDENTIFIER, item(6, b"x")), [], 9),
    (frame(IDENTIFIER, item(0, b"x")), [], 9),
    (frame(IDENTIFIER, IDENTIFIER), [], 9),
    (frame(IDENTIFIER, item(1, b"a"), item(1, b"b")), [], 9),
    (frame(IDENTIFIER, item(4, b"abc")), [], 9),
    (frame(IDENTIFIER, item(5, b"ab")), [], 9),
    (frame(item(3, b"abc")), [], None),
    (frame(item(6, b""), IDENTIFIER), [], None),
]


def feed(parser, pieces):
    """Return everything that a parser makes of the pieces."""
    results = []
    for piece in pieces:
        results += parser.feed(piece)
    error = parser.error
    assert error is None or isinstance(error, ProtocolError)
    return [tuple(one) for one in results], (str(error), error.identifier) if error else None


def cut(data, places):
    """Cut data at each place (int, modulo its length)."""
    places = sorted(place % (len(data) + 1) for place in places)
    return [data[start:end] for start, end in zip([0] + places, places + [len(data)])]


def each_byte(data):
    return [data[place:place + 1] for place in range(len(data))]


@each("data, expected, identifier", CASES)
def test_notifications_come_out_however_the_bytes_come_in(data, expected, identifier):
    """Whole, byte by byte, and in two pieces cut at each place."""
    outcome = feed(NotificationParser(), [data])
    assert outcome[0] == expected
    assert (outcome[1] is None) == (identifier is NO_ERROR)
    if identifier is not NO_ERROR:
        assert outcome[1][1] == identifier
    if len(data) < 1000:
        assert feed(NotificationParser(), each_byte(data)) == outcome
        for place in range(len(data)):
            assert feed(NotificationParser(), [data[:place], data[place:]]) == outcome


@each("data, expected, identifier",
                         [case for case in CASES if len(case[0]) < 1000])
def test_a_truncated_frame_is_waited_for(data, expected, identifier):
    """Of what is cut off, the frames before the cut come out, and no error that was not due."""
    for end in range(len(data)):
        notifications, error = feed(NotificationParser(), [data[:end]])
        assert notifications == expected[:len(notifications)]
        if identifier is NO_ERROR:
            assert error is None


def test_nothing_is_accepted_after_an_error():
    """The gateway hangs up."""
    parser = NotificationParser()
    assert parser.feed(b"\xff" + full()) == []
    error = parser.error
    assert parser.feed(full()) == []
    assert parser.error is error


frames = st.lists(st.one_of(
    st.builds(full, st.binary(max_size=40), st.binary(max_size=40),
              st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 255)),
    st.builds(full, st.binary(min_size=4, max_size=4), st.just(b"{}")),
    st.builds(simple, st.binary(max_size=9), st.binary(max_size=9)),
    st.builds(enhanced, st.integers(0, 9), st.integers(0, 9), st.binary(max_size=9),
              st.binary(max_size=9)),
    st.lists(st.builds(item, st.integers(0, 6), st.sampled_from([b"", b"a", b"abcd"])),
             max_size=5).map(lambda items: frame(*items)),
    st.binary(max_size=12)), max_size=6).map(b"".join)
cuts = st.lists(st.integers(0, 500), max_size=8)


@examples(200)
@given(frames, cuts)
def test_how_bytes_are_cut_makes_no_difference_to_notifications(data, places):
    """Also where there is garbage in between, and at the end of it."""
    whole = feed(NotificationParser(), [data])
    assert feed(NotificationParser(), cut(data, places)) == whole
    assert feed(NotificationParser(), each_byte(data)) == whole


@examples(100)
@given(st.binary(max_size=200), cuts)
def test_garbage_never_raises(data, places):
    """Neither parser; both tell the same of the same bytes."""
    assert (feed(NotificationParser(), [data])
            == feed(NotificationParser(), cut(data, places)))
    assert (read_response([data]) == read_response(cut(data, places))
            == read_response(each_byte(data)))


def test_the_pattern_of_a_frame_is_used_for_the_next_and_for_no_other():
    """Many alike, one that differs in each constant octet, and alike again."""
    usual = full()
    for place in range(len(usual)):
        changed = bytearray(usual)
        changed[place] ^= 1
        alone = feed(NotificationParser(), [bytes(changed)])
        after = feed(NotificationParser(), [usual + bytes(changed)])
        assert after == ([(2, 7, 8, b"\xaa" * 32, b"{}", 10)] + alone[0], alone[1])


# Error responses.


def read_response(pieces):
    """Return ``(first response, text of the error)``."""
    parser = ErrorResponseParser()
    responses = [response for response in map(parser.feed, pieces) if response is not None]
    error = parser.error
    assert error is None or isinstance(error, ProtocolError)
    return (tuple(responses[0]) if responses else None), (str(error) if error else None)


@pytest.mark.parametrize("status, identifier", [(8, 0), (0, 1), (255, 0xFFFFFFFF), (10, 1 << 31)])
def test_an_error_response_is_six_bytes(status, identifier):
    """Command 8, status, identifier; whole, in two pieces, and byte by byte."""
    data = encode_error(status, identifier)
    assert data == b"\x08" + struct.pack(">BI", status, identifier)
    expected = ((status, identifier), None)
    assert read_response([data]) == read_response(each_byte(data)) == expected
    for place in range(len(data)):
        assert read_response([data[:place], data[place:]]) == expected


def test_what_follows_an_error_response_is_of_no_interest():
    """The gateway hangs up."""
    assert read_response([encode_error(8, 1) + b"more"]) == ((8, 1), None)


def test_there_is_at_most_one_error_response():
    """It comes out once, whatever is fed after it."""
    parser = ErrorResponseParser()
    assert parser.feed(encode_error(8, 1)) == (8, 1)
    assert parser.feed(b"") is None
    assert parser.feed(encode_error(8, 2)) is None


@each("end", range(6))
def test_a_truncated_error_response_is_none(end):
    """Nothing is made up from a part."""
    assert read_response([encode_error(8, 1)[:end]]) == (None, None)


@each("first", [0, 1, 2, 7, 9, 255])
def test_any_other_command_is_an_error(first):
    """It is known with the first byte, and stays."""
    parser = ErrorResponseParser()
    assert parser.feed(struct.pack(">B", first)) is None
    assert str(first) in str(parser.error)
    assert parser.feed(encode_error(8, 1)) is None
    assert parser.error is not None


@each("data, is_http", [
    (http2.settings_frame([]), True), (http2.settings_frame([(3, 100)] * 50), True),
    (http2.goaway(0, http2.PROTOCOL_ERROR), True), (b"HTTP/1.1 400 Bad Request\r\n", True),
    (http2.SETTINGS_ACK, False), (http2.data_frames(1, b"x", True), False), (b"\0" * 6, False),
    (b"HTTPS", False)])
def test_what_a_server_of_http_says_first_tells_what_to_do(data, is_http):
    """The session speaks the wrong protocol to it."""
    assert read_response([data])[1].endswith(REMEDIES["http2"]) == is_http
