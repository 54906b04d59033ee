"""The frame layer of HTTP/2: what is written, what is read, and what is refused.

One table of frames drives the writer and the reader, each frame fed whole, byte by byte and with a
tail. hyperframe, which was written by other people, is the oracle in both directions.
"""

from __future__ import absolute_import, division, print_function

import struct

import pytest
from hyperframe import frame as theirs
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.errors import ProtocolError
from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.frames import FrameReader, Http2Error
from effort import examples
from tables import each

LARGEST = 0x7FFFFFFF

#: A function that makes a frame, its bytes, and what the reader makes of them.
WRITTEN = [
    (lambda: frames.frame(frames.DATA, 1, 5, b"abc"), b"\0\0\3\0\1\0\0\0\5abc",
     (0, 1, 5, b"abc")),
    (lambda: frames.frame(0xFA, 0xFF, LARGEST), b"\0\0\0\xfa\xff\x7f\xff\xff\xff",
     (0xFA, 0xFF, LARGEST, b"")),
    (lambda: frames.settings_frame([]), b"\0\0\0\4\0\0\0\0\0", (4, 0, 0, b"")),
    (lambda: frames.settings_frame([(3, 100), (0xFFFF, 0xFFFFFFFF)]),
     b"\0\0\x0c\4\0\0\0\0\0\0\3\0\0\0\x64\xff\xff\xff\xff\xff\xff",
     (4, 0, 0, b"\0\3\0\0\0\x64\xff\xff\xff\xff\xff\xff")),
    (lambda: frames.SETTINGS_ACK, b"\0\0\0\4\1\0\0\0\0", (4, 1, 0, b"")),
    (lambda: frames.window_update(0, LARGEST), b"\0\0\4\x08\0\0\0\0\0\x7f\xff\xff\xff",
     (8, 0, 0, b"\x7f\xff\xff\xff")),
    (lambda: frames.rst_stream(7, 8), b"\0\0\4\3\0\0\0\0\7\0\0\0\x08", (3, 0, 7, b"\0\0\0\x08")),
    (lambda: frames.ping(b"12345678"), b"\0\0\x08\6\0\0\0\0\x0012345678",
     (6, 0, 0, b"12345678")),
    (lambda: frames.ping(b"12345678", True), b"\0\0\x08\6\1\0\0\0\x0012345678",
     (6, 1, 0, b"12345678")),
    (lambda: frames.goaway(9, 2), b"\0\0\x08\7\0\0\0\0\0\0\0\0\x09\0\0\0\2",
     (7, 0, 0, b"\0\0\0\x09\0\0\0\2")),
    (lambda: frames.goaway(9, 2, b"{}"), b"\0\0\x0a\7\0\0\0\0\0\0\0\0\x09\0\0\0\2{}",
     (7, 0, 0, b"\0\0\0\x09\0\0\0\2{}")),
    (lambda: frames.header_frames(1, b"\x88", True), b"\0\0\1\1\5\0\0\0\1\x88",
     (1, 5, 1, b"\x88")),
    (lambda: frames.header_frames(1, b"", False), b"\0\0\0\1\4\0\0\0\1", (1, 4, 1, b"")),
    (lambda: frames.data_frames(1, b"", True), b"\0\0\0\0\1\0\0\0\1", (0, 1, 1, b"")),
    (lambda: frames.data_frames(1, b"{}", False), b"\0\0\2\0\0\0\0\0\1{}", (0, 0, 1, b"{}")),
]

#: Type, flags, stream and length of frames that cannot be, and the code and the stream to respond
#: with.
IMPOSSIBLE = [
    (frames.DATA, 0, 1, 16385, frames.FRAME_SIZE_ERROR, 0),
    (frames.HEADERS, 0, 1, 0xFFFFFF, frames.FRAME_SIZE_ERROR, 0),
    (0xEE, 0, 0, 16385, frames.FRAME_SIZE_ERROR, 0),
    (frames.DATA, 0, 0, 1, frames.PROTOCOL_ERROR, 0),
    (frames.HEADERS, 4, 0, 1, frames.PROTOCOL_ERROR, 0),
    (frames.PRIORITY, 0, 0, 5, frames.PROTOCOL_ERROR, 0),
    (frames.PRIORITY, 0, 3, 4, frames.FRAME_SIZE_ERROR, 3),
    (frames.PRIORITY, 0, 3, 6, frames.FRAME_SIZE_ERROR, 3),
    (frames.RST_STREAM, 0, 0, 4, frames.PROTOCOL_ERROR, 0),
    (frames.RST_STREAM, 0, 1, 3, frames.FRAME_SIZE_ERROR, 0),
    (frames.RST_STREAM, 0, 1, 5, frames.FRAME_SIZE_ERROR, 0),
    (frames.SETTINGS, 0, 1, 6, frames.PROTOCOL_ERROR, 0),
    (frames.SETTINGS, 0, 0, 5, frames.FRAME_SIZE_ERROR, 0),
    (frames.SETTINGS, 0, 0, 7, frames.FRAME_SIZE_ERROR, 0),
    (frames.SETTINGS, frames.ACK, 0, 6, frames.FRAME_SIZE_ERROR, 0),
    (frames.PUSH_PROMISE, 4, 0, 4, frames.PROTOCOL_ERROR, 0),
    (frames.PING, 0, 1, 8, frames.PROTOCOL_ERROR, 0),
    (frames.PING, 0, 0, 7, frames.FRAME_SIZE_ERROR, 0),
    (frames.PING, frames.ACK, 0, 9, frames.FRAME_SIZE_ERROR, 0),
    (frames.GOAWAY, 0, 1, 8, frames.PROTOCOL_ERROR, 0),
    (frames.GOAWAY, 0, 0, 7, frames.FRAME_SIZE_ERROR, 0),
    (frames.WINDOW_UPDATE, 0, 0, 3, frames.FRAME_SIZE_ERROR, 0),
    (frames.WINDOW_UPDATE, 0, 1, 5, frames.FRAME_SIZE_ERROR, 0),
    (frames.CONTINUATION, 4, 0, 1, frames.PROTOCOL_ERROR, 0),
]

#: Frames that are as long, or as short, as they may be.
POSSIBLE = [
    (frames.DATA, 0xFF, LARGEST, 16384),
    (frames.HEADERS, 0, 2, 0),
    (frames.PRIORITY, 0, 3, 5),
    (frames.SETTINGS, frames.ACK, 0, 0),
    (frames.SETTINGS, 0xFE, 0, 6),
    (frames.GOAWAY, 0, 0, 8),
    (frames.GOAWAY, 0, 0, 16384),
    (frames.PING, 0xFF, 0, 8),
    (frames.WINDOW_UPDATE, 0, 0, 4),
    (0x0A, 0, 0, 0),
    (0xFF, 0xFF, LARGEST, 16384),
]


def read(*pieces):
    """Return the frames that a reader makes of pieces, and the code and stream of its error."""
    reader, found = FrameReader(), []
    try:
        for piece in pieces:
            for one in reader.feed(piece):
                found.append(one)
    except Http2Error as error:
        return found, (error.code, error.stream)
    return found, None


def each_byte(data):
    return [data[place:place + 1] for place in range(len(data))]


def their_frame(data):
    """Return a frame as hyperframe reads it."""
    made, length = theirs.Frame.parse_frame_header(memoryview(data[:9]))
    assert length == len(data) - 9
    made.parse_body(memoryview(data[9:]))
    return made


def cut_by_them(data):
    """Return what hyperframe makes of several frames."""
    found = []
    while data:
        length = struct.unpack(">I", b"\0" + data[:3])[0]
        found.append(their_frame(data[:9 + length]))
        data = data[9 + length:]
    return found


@each("write, data, expected", WRITTEN)
def test_each_frame_has_its_bytes_and_is_read_from_them(write, data, expected):
    """Whole, byte by byte, with a tail, cut at each place, and not before it is complete."""
    assert write() == data
    assert read(data) == read(*each_byte(data)) == ([expected], None)
    assert read(data + b"\0\0\1") == ([expected], None)
    assert read(data + data) == ([expected, expected], None)
    for place in range(len(data)):
        assert read(data[:place]) == ([], None)
        assert read(data[:place], data[place:]) == ([expected], None)


@each("kind, flags, stream, length", POSSIBLE)
def test_what_is_just_allowed_is_read(kind, flags, stream, length):
    """Flags that a frame does not have, unknown types, any stream, the longest and the shortest."""
    data = frames.frame(kind, flags, stream, b"x" * length)
    assert read(data) == ([(kind, flags, stream, b"x" * length)], None)


@each("kind, flags, stream, length, code, ends", IMPOSSIBLE)
def test_what_cannot_be_is_refused_by_its_head(kind, flags, stream, length, code, ends):
    """The code says what is wrong, and no byte of the payload is waited for."""
    head = frames.FRAME_HEAD.pack(length << 8 | kind, flags, stream)
    assert read(head) == ([], (code, ends))
    before = frames.ping(b"12345678")
    assert read(before + head) == ([(6, 0, 0, b"12345678")], (code, ends))
    assert read(before, *each_byte(head)) == ([(6, 0, 0, b"12345678")], (code, ends))


def test_the_reserved_bit_of_a_stream_is_ignored():
    """In the head of a frame and in the last stream of GOAWAY (RFC 9113, 4.1, 6.8)."""
    assert read(b"\0\0\1\0\0\x80\0\0\5x") == ([(0, 0, 5, b"x")], None)
    assert read(b"\0\0\0\4\1\x80\0\0\0") == ([(4, 1, 0, b"")], None)
    assert frames.read_goaway(b"\x80\0\0\5\0\0\0\1why") == (5, 1, b"why")


def test_a_longer_limit_is_the_limit():
    """What we allow the peer is what it may use, and not a byte more."""
    reader = FrameReader(20000)
    assert list(reader.feed(frames.frame(0, 0, 1, b"x" * 20000))) == [(0, 0, 1, b"x" * 20000)]
    with pytest.raises(Http2Error) as caught:
        list(reader.feed(frames.FRAME_HEAD.pack(20001 << 8, 0, 1)))
    assert caught.value.code == frames.FRAME_SIZE_ERROR
    assert "20001" in str(caught.value) and "20000" in str(caught.value)


def test_a_reader_that_is_not_read_to_the_end_loses_nothing():
    """Who stops in the middle gets the rest with the next bytes."""
    reader = FrameReader()
    one, two, three = (frames.ping(struct.pack(">Q", number)) for number in (1, 2, 3))
    for kind, _, _, _ in reader.feed(one + two + three[:10]):
        assert kind == frames.PING
        break
    assert [payload[-1:] for _, _, _, payload in reader.feed(three[10:])] == [b"\2", b"\3"]


def test_an_error_stays():
    """Bytes that come after a frame that cannot be are not taken for frames."""
    reader = FrameReader()
    for data in (b"\xff" * 9, frames.SETTINGS_ACK):
        with pytest.raises(Http2Error):
            list(reader.feed(data))


@given(st.integers(0, 40).flatmap(lambda size: st.tuples(
    st.binary(min_size=size, max_size=size), st.integers(0, 255), st.booleans())))
def test_padding_and_priority_are_taken_off(case):
    """Each length of padding, with and without priority."""
    data, padding, has_priority = case
    payload = bytes(bytearray([padding])) + data + b"\0" * padding
    assert frames.strip(frames.DATA, frames.PADDED, payload) == data
    assert frames.strip(frames.DATA, frames.PRIORITIZED, payload) == payload
    assert frames.strip(frames.HEADERS, 0, payload) == payload
    priority = b"\x80\0\0\1\xff" if has_priority else b""
    flags = frames.PADDED | (frames.PRIORITIZED if has_priority else 0)
    payload = payload[:1] + priority + payload[1:]
    assert frames.strip(frames.HEADERS, flags | 0x5, payload) == data
    if has_priority:
        assert frames.strip(frames.HEADERS, frames.PRIORITIZED, priority + data) == data


@each("kind, flags, payload, code", [
    (frames.DATA, frames.PADDED, b"", frames.FRAME_SIZE_ERROR),
    (frames.HEADERS, frames.PADDED, b"", frames.FRAME_SIZE_ERROR),
    (frames.HEADERS, frames.PRIORITIZED, b"\0\0\0\0", frames.FRAME_SIZE_ERROR),
    (frames.HEADERS, frames.PRIORITIZED | frames.PADDED, b"\0\0\0\0\0", frames.FRAME_SIZE_ERROR),
    (frames.DATA, frames.PADDED, b"\1", frames.PROTOCOL_ERROR),
    (frames.DATA, frames.PADDED, b"\xff" + b"x" * 254, frames.PROTOCOL_ERROR),
    (frames.HEADERS, frames.PADDED, b"\2x", frames.PROTOCOL_ERROR),
    (frames.HEADERS, frames.PRIORITIZED | frames.PADDED, b"\1\0\0\0\0\0", frames.PROTOCOL_ERROR),
])
def test_a_frame_that_is_too_short_for_what_it_says_to_contain(kind, flags, payload, code):
    """Too short for fields that have to be there is FRAME_SIZE_ERROR (RFC 9113, 4.2), padding that
    is longer than the rest is PROTOCOL_ERROR (6.1)."""
    with pytest.raises(Http2Error) as caught:
        frames.strip(kind, flags, payload)
    assert (caught.value.code, caught.value.stream) == (code, 0)


@given(st.lists(st.tuples(st.integers(7, 0xFFFF), st.integers(0, 0xFFFFFFFF)), max_size=20))
def test_settings_come_back_in_order_with_unknown_ones(pairs):
    """Nobody judges the value of a setting that nobody knows."""
    assert frames.read_settings(frames.settings_frame(pairs)[9:]) == pairs


@each("key, values", [
    (frames.HEADER_TABLE_SIZE, [0, 0xFFFFFFFF]),
    (frames.ENABLE_PUSH, [0, 1]),
    (frames.MAX_CONCURRENT_STREAMS, [0, 0xFFFFFFFF]),
    (frames.INITIAL_WINDOW_SIZE, [0, LARGEST]),
    (frames.MAX_FRAME_SIZE, [16384, 0xFFFFFF]),
    (frames.MAX_HEADER_LIST_SIZE, [0, 0xFFFFFFFF]),
])
def test_settings_at_the_ends_of_their_range_are_taken(key, values):
    """RFC 9113, 6.5.2."""
    pairs = [(key, value) for value in values]
    assert frames.read_settings(frames.settings_frame(pairs)[9:]) == pairs


@pytest.mark.parametrize("key, value, code", [
    (frames.ENABLE_PUSH, 2, frames.PROTOCOL_ERROR),
    (frames.ENABLE_PUSH, 0xFFFFFFFF, frames.PROTOCOL_ERROR),
    (frames.INITIAL_WINDOW_SIZE, LARGEST + 1, frames.FLOW_CONTROL_ERROR),
    (frames.MAX_FRAME_SIZE, 16383, frames.PROTOCOL_ERROR),
    (frames.MAX_FRAME_SIZE, 0x1000000, frames.PROTOCOL_ERROR),
])
def test_settings_outside_their_range_are_refused(key, value, code):
    """Wherever they stand in the frame (RFC 9113, 6.5.2)."""
    for pairs in ([(key, value)], [(9, 9), (key, value), (1, 1)]):
        with pytest.raises(Http2Error) as caught:
            frames.read_settings(frames.settings_frame(pairs)[9:])
        assert (caught.value.code, caught.value.stream) == (code, 0)
        assert str(value) in str(caught.value)


@given(st.binary(max_size=70), st.booleans(), st.integers(1, 16), st.integers(1, LARGEST))
def test_long_blocks_and_data_are_cut(data, is_end, size, stream):
    """No frame is longer than allowed, and each flag stands where it belongs."""
    count = max(1, -(-len(data) // size))
    others = [0] * (count - 1)
    for make, kinds, flags in (
            (frames.header_frames, [1] + [9] * (count - 1), others + [4]),
            (frames.data_frames, [0] * count, others + [int(is_end)])):
        found, error = read(make(stream, data, is_end, size))
        assert error is None
        assert b"".join(payload for _, _, _, payload in found) == data
        assert max(len(payload) for _, _, _, payload in found) <= size
        assert [kind for kind, _, _, _ in found] == kinds
        if make is frames.header_frames:
            flags[0] |= int(is_end)
        assert [flag for _, flag, _, _ in found] == flags
        assert set(number for _, _, number, _ in found) == set([stream])


streams = st.integers(1, LARGEST)
numbers = st.integers(0, 0xFFFFFFFF)


@given(streams, numbers, st.integers(1, LARGEST), st.binary(min_size=8, max_size=8),
       st.binary(max_size=40), st.booleans())
def test_hyperframe_reads_what_we_write(stream, number, increment, eight, data, flag):
    """Each frame that we make says to somebody else what it was meant to say."""
    reset, window, ping, goaway = cut_by_them(
        frames.rst_stream(stream, number) + frames.window_update(stream, increment)
        + frames.ping(eight, flag) + frames.goaway(stream, number, data))
    assert (reset.stream_id, reset.error_code) == (stream, number)
    assert (window.stream_id, window.window_increment) == (stream, increment)
    assert (ping.opaque_data, set(ping.flags)) == (eight, {"ACK"} if flag else set())
    assert (goaway.last_stream_id, goaway.error_code, goaway.additional_data) == (
        stream, number, data)
    head, body = cut_by_them(frames.header_frames(stream, data, flag)
                             + frames.data_frames(stream, data, flag))
    end = {"END_STREAM"} if flag else set()
    assert (head.data, set(head.flags)) == (data, {"END_HEADERS"} | end)
    assert (body.data, set(body.flags)) == (data, end)
    (ours,) = cut_by_them(frames.settings_frame([(3, number), (0x99, number)]))
    assert ours.settings == {3: number, 0x99: number}


@given(streams, numbers, st.integers(1, LARGEST), st.binary(max_size=40), st.integers(0, 255),
       st.booleans())
def test_we_read_what_hyperframe_writes(stream, number, increment, data, padding, is_padded):
    """And what somebody else says is understood."""
    head = theirs.HeadersFrame(stream)
    head.data, head.stream_weight = data, 7
    head.flags.add("PRIORITY")
    body = theirs.DataFrame(stream)
    body.data = data
    if is_padded:
        for padded in (head, body):
            padded.pad_length = padding
            padded.flags.add("PADDED")
    goaway = theirs.GoAwayFrame(0)
    goaway.last_stream_id, goaway.error_code, goaway.additional_data = stream, number, data
    window = theirs.WindowUpdateFrame(stream)
    window.window_increment = increment
    reset = theirs.RstStreamFrame(stream)
    reset.error_code = number
    ours = theirs.SettingsFrame(0)
    ours.settings = {1: number, 3: 7}
    found, error = read(b"".join(
        one.serialize() for one in (head, body, goaway, window, reset, ours)))
    assert error is None
    assert [kind for kind, _, _, _ in found] == [1, 0, 7, 8, 3, 4]
    for kind, flags, number_of, payload in found[:2]:
        assert number_of == stream
        assert frames.strip(kind, flags, payload) == data
    payloads = [payload for _, _, _, payload in found]
    assert frames.read_goaway(payloads[2]) == (stream, number, data)
    assert frames.read_number(payloads[3]) == increment
    assert frames.read_number(payloads[4]) == number
    assert sorted(frames.read_settings(payloads[5])) == [(1, number), (3, 7)]


several = st.lists(st.builds(
    frames.frame, st.integers(0, 12), st.integers(0, 255), st.sampled_from([0, 1, 2, LARGEST]),
    st.sampled_from([b"", b"1234", b"12345", b"123456", b"12345678", b"123456789"])),
    max_size=8).map(b"".join)


@examples(200)
@given(st.one_of(several, st.binary(max_size=60)), st.lists(st.integers(0, 200), max_size=8))
def test_how_bytes_are_cut_makes_no_difference(data, places):
    """Frames, impossible frames and garbage: the same outcome, and no other error than ours."""
    places = sorted(place % (len(data) + 1) for place in places)
    pieces = [data[start:end] for start, end in zip([0] + places, places + [len(data)])]
    assert read(*pieces) == read(data) == read(*each_byte(data))


def test_errors_are_protocol_errors_and_have_names():
    """Whoever catches ProtocolError catches these; an unknown code is named by its number."""
    error = Http2Error("the peer did it", frames.FLOW_CONTROL_ERROR, 5)
    assert isinstance(error, ProtocolError)
    assert (str(error), error.code, error.stream) == ("the peer did it", 3, 5)
    assert frames.name_of_error(0) == "NO_ERROR"
    assert frames.name_of_error(13) == "HTTP_1_1_REQUIRED"
    assert frames.name_of_error(14) == "error code 14"
    assert frames.name_of_error(0xFFFFFFFF) == "error code 4294967295"
    for name in frames.ERROR_NAMES:
        assert frames.name_of_error(getattr(frames, name)) == name
