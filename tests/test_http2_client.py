"""What a server may say to the HTTP/2 client, what it may not say, and what comes of it.

Two tables, one of what is allowed and one of what is not. Before each entry four requests were
sent, on the streams 1, 3, 5 and 7. Each entry is fed whole and byte by byte, before and after the
server has acknowledged our settings, and cut in two at each place after that; how the bytes come
in, and whether responses are decoded or told from their shape, makes no difference.
"""

from __future__ import absolute_import, division, print_function

import struct

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.client import ClientConnection
from apnsclient.protocols.http2.events import GoAway
from apnsclient.protocols.http2.frames import Http2Error, frame
from apnsclient.protocols.http2.headers import decode_block, encode_string, literal_field
from apnsclient.protocols.http2.responses import ResponseDecoder, status_in
from effort import examples
from http2_support import (
    OK,
    accept,
    headers,
    new_client,
    response,
    said,
    start,
    status_block,
    tell,
)
from tables import each

WHY = b'{"reason":"BadDeviceToken"}'
EIGHT = b"\1\2\3\4\5\6\7\x08"
#: A byte that says how much padding there is, and the padding.
PADDED, PADDING = b"\x05", b"\0" * 5
PRIORITY = b"\x80\0\0\1\xff"
TRAILERS = b"\x00\x04name\x05value"


def block_in_pieces(stream, block, size, flags=0, other=b""):
    """Return a block as HEADERS and CONTINUATION frames of so many bytes."""
    pieces = [block[start:start + size] for start in range(0, len(block), size)]
    data = frame(frames.HEADERS, flags, stream, pieces[0])
    for piece in pieces[1:-1]:
        data += other + frame(frames.CONTINUATION, 0, stream, piece)
    return data + other + frame(frames.CONTINUATION, frames.END_HEADERS, stream, pieces[-1])


def responded(stream, status, body=b""):
    return ("response", stream, status, body)


def was_reset(stream, code, is_unprocessed=False):
    return ("reset", stream, code, is_unprocessed)


#: What the server says, the events, and how many requests it has accepted; and what we say.
ALLOWED = {
    "nothing": (b"", [], 0, []),
    "accepts all in order": (accept(1, 3, 5, 7), [], 4, []),
    "accepts in another order": (accept(7, 1, 5, 3), [], 4, []),
    "accepts with an id": (headers(5, OK + b"\x00\x07apns-id\x04ABCD"), [], 1, []),
    "accepts with an empty DATA": (
        headers(3, OK, False) + frame(frames.DATA, 1, 3), [], 1, []),
    "accepts with a body": (
        headers(3, OK, False) + frame(frames.DATA, 1, 3, b"{}"), [], 1, []),
    "the reserved bits are set": (
        b"\0\0\1\1\5\x80\0\0\3\x88" + frame(frames.PING, 0, 0x80000000, EIGHT)
        + frames.window_update(0, 0x80000001), [], 1,
        [(frames.PING, frames.ACK, 0, EIGHT)]),
    "unknown flags are set": (
        frame(frames.HEADERS, 0xD7 & ~(frames.PADDED | frames.PRIORITIZED), 3, OK), [], 1, []),
    "rejects one": (
        accept(1) + response(3, 400, WHY) + accept(5), [responded(3, 400, WHY)], 2, []),
    "rejects with no body": (headers(3, status_block(500)), [responded(3, 500)], 0, []),
    "rejects by an index": (headers(3, b"\x8c") + headers(5, b"\x8d") + headers(1, b"\x8e"), [
        responded(3, 400), responded(5, 404), responded(1, 500)], 0, []),
    "rejects with Huffman code and an index that is not wanted": (
        headers(3, b"\x48\x82\x68\x01") + headers(5, b"\x18\x03410"), [
            responded(3, 401), responded(5, 410)], 0, []),
    "a success that is none of ours": (headers(3, b"\x89"), [responded(3, 204)], 0, []),
    "splits the body": (
        headers(3, status_block(410), False) + frames.data_frames(3, WHY, False, 1)
        + frame(frames.DATA, 0, 3) + frame(frames.DATA, 1, 3, b"!"),
        [responded(3, 410, WHY + b"!")], 0, []),
    "mixes the bodies of two": (
        headers(3, status_block(400), False) + headers(5, status_block(410), False)
        + frame(frames.DATA, 0, 5, b"fi") + frame(frames.DATA, 0, 3, b"thr") + accept(1)
        + frame(frames.DATA, 1, 5, b"ve") + frame(frames.DATA, 1, 3, b"ee") + accept(7),
        [responded(5, 410, b"five"), responded(3, 400, b"three")], 2, []),
    "pads": (
        frame(frames.HEADERS, 0x0D, 1, PADDED + OK + PADDING)
        + frame(frames.HEADERS, 0x0C, 3, PADDED + status_block(400) + PADDING)
        + frame(frames.DATA, 0x08, 3, PADDED + b"ab" + PADDING)
        + frame(frames.DATA, 0x09, 3, PADDED + PADDING), [responded(3, 400, b"ab")], 1, []),
    "pads a body that comes at once": (
        headers(3, status_block(400), False)
        + frame(frames.DATA, 0x09, 3, PADDED + WHY + PADDING), [responded(3, 400, WHY)], 0, []),
    "DATA of another, which has no header yet": (
        headers(3, status_block(400), False) + frame(frames.DATA, 1, 5, b"x")
        + frame(frames.DATA, 1, 3, WHY),
        [was_reset(5, frames.PROTOCOL_ERROR), responded(3, 400, WHY)], 0,
        [(frames.RST_STREAM, 0, 5, b"\0\0\0\1")]),
    "gives priority": (
        frame(frames.HEADERS, 0x25, 1, PRIORITY + OK)
        + frame(frames.HEADERS, 0x2D, 3, PADDED + PRIORITY + status_block(403) + PADDING)
        + frame(frames.PRIORITY, 0, 5, PRIORITY) + frame(frames.PRIORITY, 0, 8, PRIORITY),
        [responded(3, 403)], 1, []),
    "CONTINUATION": (
        block_in_pieces(1, OK + TRAILERS, 1, frames.END_STREAM)
        + block_in_pieces(3, status_block(429), 2, frames.END_STREAM) + accept(5),
        [responded(3, 429)], 2, []),
    "CONTINUATION before DATA": (
        block_in_pieces(3, status_block(429), 3) + frame(frames.DATA, 1, 3, b"!"),
        [responded(3, 429, b"!")], 0, []),
    "CONTINUATION that is empty": (
        frame(frames.HEADERS, 1, 1) + frame(frames.CONTINUATION, 0, 1, OK)
        + frame(frames.CONTINUATION, 4, 1), [], 1, []),
    "trailers": (
        headers(1, OK, False) + headers(1, TRAILERS)
        + headers(3, status_block(400), False) + frame(frames.DATA, 0, 3, WHY)
        + headers(3, TRAILERS), [responded(3, 400, WHY)], 1, []),
    "interim responses": (
        headers(1, status_block(100), False) + headers(1, status_block(103), False) + accept(1)
        + headers(3, status_block(199), False) + response(3, 400, WHY),
        [responded(3, 400, WHY)], 1, []),
    "PING": (frame(frames.PING, 0, 0, EIGHT) + accept(1), [], 1,
             [(frames.PING, frames.ACK, 0, EIGHT)]),
    "an acknowledgement of no PING": (frame(frames.PING, frames.ACK, 0, EIGHT), [], 0, []),
    "settings again": (
        frames.settings_frame([(frames.MAX_CONCURRENT_STREAMS, 1)]) + accept(1, 3), [], 2,
        [(frames.SETTINGS, frames.ACK, 0, b"")]),
    "unknown settings": (
        frames.settings_frame([(0, 1), (0x10, 0xFFFFFFFF), (0xFFFF, 0)]), [], 0,
        [(frames.SETTINGS, frames.ACK, 0, b"")]),
    "unknown frames": (
        frame(0x0A, 0xFF, 0, b"altsvc") + frame(0xFF, 0xFF, 3) + frame(0x20, 4, 8, b"x")
        + accept(1), [], 1, []),
    "windows that we do not need": (
        frames.window_update(0, 1) + frames.window_update(3, 0x7FFFFFFF)
        + frames.window_update(3, 0x7FFFFFFF) + accept(3) + frames.window_update(3, 1),
        [], 1, []),
    "refuses": (
        frames.rst_stream(3, frames.REFUSED_STREAM) + accept(1), [was_reset(3, 7, True)], 1, []),
    "resets what it has responded to": (
        accept(3) + frames.rst_stream(3, frames.NO_ERROR), [], 1, []),
    "resets twice": (frames.rst_stream(3, 2) + frames.rst_stream(3, 2), [was_reset(3, 2)], 0, []),
    "resets after the head": (
        headers(1, OK, False) + frames.rst_stream(1, frames.INTERNAL_ERROR)
        + headers(3, status_block(410), False) + frame(frames.DATA, 0, 3, b"{")
        + frames.rst_stream(3, frames.CANCEL), [responded(3, 410, b"{")], 1, []),
    "refuses what it has begun to respond to": (
        headers(1, OK, False) + frames.rst_stream(1, frames.REFUSED_STREAM), [], 1, []),
    "GOAWAY": (
        frames.goaway(3, frames.NO_ERROR) + accept(1, 3),
        [was_reset(5, 0, True), was_reset(7, 0, True)], 2, []),
    "GOAWAY with an error": (
        frames.goaway(0, frames.ENHANCE_YOUR_CALM, b"why"),
        [was_reset(stream, 11, True) for stream in (1, 3, 5, 7)], 0, []),
    "GOAWAY twice": (
        frames.goaway(0x7FFFFFFF, 0) + accept(1) + frames.goaway(5, 0) + response(3, 400, WHY)
        + accept(5), [was_reset(7, 0, True), responded(3, 400, WHY)], 2, []),
    "GOAWAY that takes back less": (
        frames.goaway(3, 0) + frames.goaway(7, 2) + accept(3),
        [was_reset(5, 0, True), was_reset(7, 0, True)], 1, []),
    "GOAWAY after the head": (
        headers(7, OK, False) + headers(5, status_block(410), False) + frames.goaway(3, 0),
        [responded(5, 410)], 1, []),
    "goes on about streams above GOAWAY": (
        frames.goaway(3, 0) + accept(5) + frames.rst_stream(7, frames.REFUSED_STREAM)
        + frame(frames.DATA, 1, 7, b"late") + accept(1),
        [was_reset(5, 0, True), was_reset(7, 0, True)], 1, []),
}
for _code in list(range(14)) + [0xFFFFFFFF]:
    ALLOWED["resets with %s" % frames.name_of_error(_code)] = (
        frames.rst_stream(5, _code) + accept(1), [was_reset(5, _code, _code == 7)], 1, [])

#: What the server says, the events before, the code, and the stream that ends, 0 for the
#: connection.
FORBIDDEN = {
    "HEADERS on stream 0": (headers(0), frames.PROTOCOL_ERROR, 0),
    "HEADERS on an even stream": (headers(2), frames.PROTOCOL_ERROR, 0),
    "HEADERS on an idle stream": (headers(9), frames.PROTOCOL_ERROR, 0),
    "a second response": (accept(3, 3), frames.STREAM_CLOSED, 0),
    "HEADERS after a reset": (
        frames.rst_stream(3, frames.CANCEL) + headers(3), frames.STREAM_CLOSED, 0),
    "DATA on stream 0": (frame(frames.DATA, 0, 0), frames.PROTOCOL_ERROR, 0),
    "DATA on an idle stream": (frame(frames.DATA, 0, 9, b"x"), frames.PROTOCOL_ERROR, 0),
    "DATA after the response": (accept(3) + frame(frames.DATA, 1, 3), frames.STREAM_CLOSED, 0),
    "DATA before HEADERS": (frame(frames.DATA, 1, 3, b"x"), frames.PROTOCOL_ERROR, 3),
    "DATA after an interim response": (
        headers(3, status_block(100), False) + frame(frames.DATA, 1, 3, b"x"),
        frames.PROTOCOL_ERROR, 3),
    "trailers that do not end": (
        headers(3, status_block(400), False) + headers(3, TRAILERS, False),
        frames.PROTOCOL_ERROR, 3),
    "trailers that look like a success": (
        headers(3, status_block(400), False) + headers(3), frames.PROTOCOL_ERROR, 3),
    "ends with an interim response": (headers(3, status_block(100)), frames.PROTOCOL_ERROR, 3),
    "no status": (headers(3, b"\x00\x04name\x03200"), frames.PROTOCOL_ERROR, 3),
    "an empty header": (headers(3, b""), frames.PROTOCOL_ERROR, 3),
    "the status is not first": (headers(3, TRAILERS + OK), frames.PROTOCOL_ERROR, 3),
    "the status has two digits": (headers(3, b"\x08\x0220"), frames.PROTOCOL_ERROR, 3),
    "the status has four digits": (headers(3, b"\x08\x042000"), frames.PROTOCOL_ERROR, 3),
    "the status is no number": (headers(3, b"\x08\x03-20"), frames.PROTOCOL_ERROR, 3),
    "the status is below 100": (headers(3, b"\x08\x03099"), frames.PROTOCOL_ERROR, 3),
    "a block that breaks off": (headers(3, b"\x08\x0320"), frames.COMPRESSION_ERROR, 0),
    "a field that nobody sent": (headers(3, b"\xbf"), frames.COMPRESSION_ERROR, 0),
    "a table larger than allowed": (
        headers(3, b"\x3f\xe2\x1f" + status_block(400)), frames.COMPRESSION_ERROR, 0),
    "padding longer than HEADERS": (
        frame(frames.HEADERS, 0x0D, 3, b"\xff" + OK), frames.PROTOCOL_ERROR, 0),
    "padding longer than DATA": (
        headers(3, OK, False) + frame(frames.DATA, 0x09, 3, b"\2x"), frames.PROTOCOL_ERROR, 0),
    "no room for the padding's length": (
        headers(3, OK, False) + frame(frames.DATA, 0x09, 3), frames.FRAME_SIZE_ERROR, 0),
    "no room for the priority": (
        frame(frames.HEADERS, 0x25, 3, OK), frames.FRAME_SIZE_ERROR, 0),
    "CONTINUATION without HEADERS": (
        frame(frames.CONTINUATION, 4, 3, OK), frames.PROTOCOL_ERROR, 0),
    "CONTINUATION after the end": (
        headers(1) + frame(frames.CONTINUATION, 4, 1, OK), frames.PROTOCOL_ERROR, 0),
    "CONTINUATION of another stream": (
        frame(frames.HEADERS, 1, 1, OK) + frame(frames.CONTINUATION, 4, 3),
        frames.PROTOCOL_ERROR, 0),
    "a response within a header block": (
        frame(frames.HEADERS, 1, 1, OK) + headers(3), frames.PROTOCOL_ERROR, 0),
    "PING within a header block": (
        frame(frames.HEADERS, 1, 1, OK) + frame(frames.PING, 0, 0, EIGHT),
        frames.PROTOCOL_ERROR, 0),
    "a reset that says nothing new within a header block": (
        accept(3) + frame(frames.HEADERS, 1, 1, OK) + frames.rst_stream(3, 0),
        frames.PROTOCOL_ERROR, 0),
    "an unknown frame within a header block": (
        frame(frames.HEADERS, 1, 1, OK) + frame(0xFF, 0, 1), frames.PROTOCOL_ERROR, 0),
    "PUSH_PROMISE": (
        frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2" + OK), frames.PROTOCOL_ERROR, 0),
    "RST_STREAM on an idle stream": (
        frames.rst_stream(9, frames.CANCEL), frames.PROTOCOL_ERROR, 0),
    "RST_STREAM on an even stream": (
        frames.rst_stream(2, frames.CANCEL), frames.PROTOCOL_ERROR, 0),
    "RST_STREAM of 3 bytes": (frame(frames.RST_STREAM, 0, 1, b"abc"), frames.FRAME_SIZE_ERROR, 0),
    "PRIORITY of 4 bytes": (frame(frames.PRIORITY, 0, 5, b"abcd"), frames.FRAME_SIZE_ERROR, 5),
    "SETTINGS of 5 bytes": (frame(frames.SETTINGS, 0, 0, b"abcde"), frames.FRAME_SIZE_ERROR, 0),
    "SETTINGS on a stream": (frame(frames.SETTINGS, 0, 1), frames.PROTOCOL_ERROR, 0),
    "an acknowledgement with settings": (
        frame(frames.SETTINGS, 1, 0, b"\0\3\0\0\0\1"), frames.FRAME_SIZE_ERROR, 0),
    "a server that may be pushed to": (
        frames.settings_frame([(frames.ENABLE_PUSH, 1)]), frames.PROTOCOL_ERROR, 0),
    "a window setting that is too large": (
        frames.settings_frame([(frames.INITIAL_WINDOW_SIZE, 1 << 31)]),
        frames.FLOW_CONTROL_ERROR, 0),
    "frames that are too short": (
        frames.settings_frame([(frames.MAX_FRAME_SIZE, 16383)]), frames.PROTOCOL_ERROR, 0),
    "PING of 7 bytes": (frame(frames.PING, 0, 0, EIGHT[1:]), frames.FRAME_SIZE_ERROR, 0),
    "GOAWAY of 7 bytes": (frame(frames.GOAWAY, 0, 0, EIGHT[1:]), frames.FRAME_SIZE_ERROR, 0),
    "GOAWAY on a stream": (frame(frames.GOAWAY, 0, 1, EIGHT), frames.PROTOCOL_ERROR, 0),
    "WINDOW_UPDATE by nothing": (frames.window_update(0, 0), frames.PROTOCOL_ERROR, 0),
    "WINDOW_UPDATE of a stream by nothing": (
        frames.window_update(3, 0), frames.PROTOCOL_ERROR, 3),
    "WINDOW_UPDATE of an idle stream by nothing": (
        frames.window_update(9, 0), frames.PROTOCOL_ERROR, 0),
    "WINDOW_UPDATE of an idle stream": (frames.window_update(9, 1), frames.PROTOCOL_ERROR, 0),
    "a window that is too large": (frames.window_update(0, 0x7FFFFFFF), frames.FLOW_CONTROL_ERROR,
                                   0),
    "a frame that is too long": (
        frames.FRAME_HEAD.pack(16385 << 8 | frames.HEADERS, 5, 1), frames.FRAME_SIZE_ERROR, 0),
    "an unknown frame that is too long": (
        frames.FRAME_HEAD.pack(0xFFFFFF << 8 | 0xFF, 0, 0), frames.FRAME_SIZE_ERROR, 0),
}


def play(pieces, is_settled):
    """Return what comes of what a server says after four requests."""
    client = new_client(is_settled=is_settled)
    batch, sent = start(client, 4)
    assert [number for kind, _, number, _ in sent if kind == frames.HEADERS] == [1, 3, 5, 7]
    events = tell(client, *pieces)
    assert batch.left == client.in_flight == 4 - client.accepted - len(events)
    ended = [event[1] for event in events] + [stream for _, stream, _ in client.abandon()]
    ended += [event.stream for event in client.events()]
    assert len(set(ended)) == len(ended) == 4 - client.accepted
    assert batch.left == client.in_flight == 0
    return events, client.accepted, client.error and client.error.code, said(client)


def ways(data, is_settled=True):
    """Yield ways in which bytes may come in; fewer where responses are all decoded."""
    yield [data]
    yield [data[place:place + 1] for place in range(len(data))]
    if is_settled:
        for place in range(1, len(data)):
            yield [data[:place], data[place:]]


@each("is_settled", [True, False])
@each("name", sorted(ALLOWED))
def test_what_a_server_may_say(name, is_settled):
    """Each request ends as the server says, and we say no more than we have to."""
    data, events, accepted, words = ALLOWED[name]
    for pieces in ways(data, is_settled):
        assert play(pieces, is_settled) == (events, accepted, None, words)


@each("name", sorted(name for name in ALLOWED if "GOAWAY" not in name))
def test_a_success_is_told_from_its_shape(name):
    """Nothing is decoded for it, whatever came before, once one like it was."""
    client = new_client()
    start(client, 4)
    tell(client, ALLOWED[name][0])
    batch, _ = start(client, 1)
    tell(client, accept(batch.first))
    batch, _ = start(client, 3)
    before = client.accepted
    client._receive_frame = client._receive_common = None
    tell(client, accept(*range(batch.first, batch.first + 6, 2)))
    assert (client.accepted, batch.left) == (before + 3, 0)


@each("is_settled", [True, False])
@each("name", sorted(FORBIDDEN))
def test_what_a_server_may_not_say(name, is_settled):
    """The stream ends, or the connection, with the code that RFC 9113 has for it; once."""
    data, code, stream = FORBIDDEN[name]
    for pieces in ways(data, is_settled):
        events, accepted, error, words = play(pieces, is_settled)
        if stream:
            assert events[-1] == was_reset(stream, code)
            assert words == [(frames.RST_STREAM, 0, stream, struct.pack(">I", code))]
        else:
            assert error == code
            assert words == [(frames.GOAWAY, 0, 0, struct.pack(">II", 0, code))]
            # It stays the only word, and nothing is taken after it.
            assert play(pieces + [b"", accept(7), data], is_settled) == (
                events, accepted, error, words)


@each("is_settled", [True, False])
@each("name", sorted(name for name in FORBIDDEN if FORBIDDEN[name][2]))
def test_a_stream_that_ends_with_an_error_is_the_only_one(name, is_settled):
    """What the server still says of it is ignored; the others have responses."""
    data, code, stream = FORBIDDEN[name]
    others = [one for one in (1, 3, 5, 7) if one != stream]
    late = headers(stream, OK, False) + frame(frames.DATA, 1, stream, b"late")
    events, accepted, error, words = play([data, late, accept(*others)], is_settled)
    assert (events, accepted, error) == ([was_reset(stream, code)], 3, None)
    assert words == [(frames.RST_STREAM, 0, stream, struct.pack(">I", code))]


def literal(*fields):
    """Return a header block that spells its fields out."""
    return b"".join(literal_field(name, value) for name, value in fields)


ID = (b"apns-id", b"0" * 36)
STATUS_200, STATUS_500 = (b":status", b"200"), (b":status", b"500")

#: Blocks that are no head of a response.
MALFORMED = {
    "three statuses": OK + OK + literal(STATUS_500),
    "two statuses": OK + OK,
    "another one behind a field": OK + literal(ID, STATUS_500),
    "another one, spelt out": OK + literal(ID) + b"\0" + encode_string(b":status") + b"\x03500",
    "another one in the place of an identifier": (
        OK + b"\0" + encode_string(b":status") + encode_string(b"0" * 36)),
    "another one with Huffman's code": OK + literal(ID) + hpack.Encoder().encode([STATUS_500]),
    "none": literal(ID), "nothing": b"",
    "behind a field": literal(ID, STATUS_200),
    "of a request": OK + literal((b":path", b"/")),
    "unknown": OK + literal((b":what", b"200")),
    "no name": OK + literal((b"", b"200")),
    "four digits": literal((b":status", b"2000")), "two digits": literal((b":status", b"20")),
    "letters": literal((b":status", b"OK!")), "a sign": literal((b":status", b"+20")),
    "below 100": literal((b":status", b"099")), "superscript": literal((b":status", b"2\xb20")),
}


@each("is_settled", [True, False])
@each("is_end", [True, False])
@each("name", sorted(MALFORMED))
def test_a_malformed_response_is_none(name, is_end, is_settled):
    """Its stream ends with an error, and nothing is known of the request; others are as before.

    Also after many good ones, which differ in the value of a field alone.
    """
    client = new_client(is_settled=is_settled)
    batch, _ = start(client, 40)
    good = b"".join(headers(stream, OK + literal((b"apns-id", b"%036d" % stream)))
                    for stream in range(1, 41, 2))
    data = b"" if is_end else frame(frames.DATA, 1, 41, b"{}")
    told = tell(client, good + headers(41, MALFORMED[name], is_end) + data
                + headers(43, OK + literal(ID)))
    assert told == [("reset", 41, frames.PROTOCOL_ERROR, False)]
    assert (client.accepted, batch.left, client.error) == (21, 18, None)
    assert said(client) == [(frames.RST_STREAM, 0, 41, b"\0\0\0\1")]


@each("is_settled", [True, False])
def test_trailers_have_no_status(is_settled):
    """Those with one make the response malformed, whatever its head said."""
    client = new_client(is_settled=is_settled)
    batch, _ = start(client, 4)
    for stream, head in (1, OK), (3, status_block(410)):
        assert tell(client, headers(stream, head, False),
                    headers(stream, literal(ID, STATUS_200))) == [
                        ("reset", stream, frames.PROTOCOL_ERROR, False)]
    assert tell(client, headers(5, OK, False), headers(5, literal(ID))) == []
    assert (client.accepted, batch.left) == (1, 1)


@given(st.lists(st.tuples(
    st.sampled_from([b"200", b"400", b"410", b"500", b"103"]),
    st.lists(st.tuples(st.sampled_from([b"apns-id", b"date", b":status", b":path", b"x"]),
                       st.binary(min_size=1, max_size=3)), max_size=3),
    st.booleans()), min_size=1, max_size=30))
def test_shapes_tell_what_decoding_tells(responses):
    """Whatever came before, coded in whatever way."""
    client, decoder, encoder = new_client(), ResponseDecoder(), hpack.Encoder()
    encoder.header_table_size = 0
    decoder.settle()
    first = encoder.encode([])
    for status, fields, is_huffman in responses:
        whole = [(b":status", status)] + fields
        block, first = first + encoder.encode(whole, huffman=is_huffman), b""
        outcomes = []
        for decide in decoder.status_of, lambda block: status_in(decode_block(block)):
            try:
                outcomes.append(decide(block))
            except Http2Error as error:
                outcomes.append(error.code)
        assert outcomes[0] == outcomes[1]
        batch, _ = start(client, 1)
        before = client.accepted
        for piece in split(headers(batch.first, block)):
            tell(client, piece)
            assert client.accepted - before == (batch.left == 0 and outcomes[1] == 200)
        assert (batch.left, client.error) == (0, None)


def split(data):
    """Return bytes in three pieces, of which the last is one byte."""
    return data[:9], data[9:-1], data[-1:]


def test_nothing_is_accepted_after_an_error():
    """What follows in the same bytes is not looked at either."""
    client = new_client()
    batch, _ = start(client, 3)
    assert tell(client, accept(1) + frame(frames.DATA, 0, 0) + accept(3)) == []
    assert (client.accepted, batch.left, client.room(2)) == (1, 2, 0)
    assert not client.can_start
    assert tell(client, accept(3), frames.goaway(0, 0)) == []
    assert (client.accepted, client.goaway, batch.left) == (1, None, 2)
    assert client.abandon() == [(batch, 3, True), (batch, 5, True)]
    assert client.abandon() == []


@each("first", [
    b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28\0\0\0",
    headers(1), frame(frames.PING, 0, 0, EIGHT), frames.SETTINGS_ACK,
    frame(0xFF, 0, 0)])
def test_what_comes_first_has_to_be_settings(first):
    """An acknowledgement is none, and neither is what does not speak HTTP/2 (RFC 9113, 3.4)."""
    for pieces in ways(first):
        client = ClientConnection(b"host")
        client.output()
        assert tell(client, *pieces) == []
        assert client.error.code == frames.PROTOCOL_ERROR
        assert not client.has_settings
        assert said(client) == [(frames.GOAWAY, 0, 0, struct.pack(">II", 0, 1))]


def test_a_server_may_say_first_why_it_says_nothing_else():
    """It is no reason to complain, and nothing but settings and the like may follow."""
    for pieces in ways(frames.goaway(0, frames.NO_ERROR, b"why")):
        client = ClientConnection(b"host")
        client.output()
        assert tell(client, *pieces) == []
        assert (client.error, client.goaway.debug) == (None, b"why")
        assert not (client.has_settings or client.can_start or said(client))
        assert tell(client, headers(1)) == []
        assert client.error.code == frames.PROTOCOL_ERROR


def test_what_we_say_first():
    """The preface, our settings, and a window for the connection; and nothing else."""
    client = ClientConnection(b"host")
    data = client.output()
    assert data.startswith(frames.PREFACE)
    ours, window = frames.FrameReader().feed(data[len(frames.PREFACE):])
    assert ours[:3] == (frames.SETTINGS, 0, 0)
    given = dict(frames.read_settings(ours[3]))
    assert given[frames.HEADER_TABLE_SIZE] == given[frames.ENABLE_PUSH] == 0
    assert window[:3] == (frames.WINDOW_UPDATE, 0, 0)
    assert client.output() == b""
    assert not client.has_settings


@pytest.mark.parametrize("data, expected", [
    (frames.goaway(3, 0), GoAway(3, 0, b"")),
    (frames.goaway(0x80000003, 2, b'{"reason":"Shutdown"}'),
     GoAway(3, 2, b'{"reason":"Shutdown"}')),
    (frames.goaway(7, 0, b"first") + frames.goaway(3, 2), GoAway(3, 2, b"first")),
    (frames.goaway(3, 0, b"first") + frames.goaway(7, 2, b"second"), GoAway(3, 2, b"second")),
    (frames.goaway(0x7FFFFFFF, 0) + frames.goaway(3, 0, b"x" * 16000),
     GoAway(3, 0, b"x" * 1024))])
def test_goaway_is_kept_with_its_reason(data, expected):
    """A later one may take back fewer streams; a reason holds until there is another."""
    client = new_client()
    start(client, 4)
    tell(client, data)
    assert client.goaway == expected
    assert not client.can_start and client.room(0) == 0
    assert client.error is None
    assert [stream for _, stream, _ in client.abandon()] == [1, 3]


def test_a_ping_is_acknowledged_by_its_data():
    """Neither the acknowledgement of another one nor a PING of the server's is one."""
    client = new_client()
    client.ping(EIGHT)
    assert said(client) == [(frames.PING, 0, 0, EIGHT)]
    tell(client, frame(frames.PING, 1, 0, b"other..."), frame(frames.PING, 0, 0, EIGHT))
    assert not client.is_ping_acknowledged
    tell(client, frame(frames.PING, 1, 0, EIGHT))
    assert client.is_ping_acknowledged
    client.ping(b"another.")
    assert not client.is_ping_acknowledged


@pytest.mark.parametrize("kind", [frames.HEADERS, frames.DATA, 0xFF])
def test_a_frame_that_is_too_long_is_not_taken_when_it_is_complete(kind):
    """Even if it looks like a success; one that is as long as allowed is one."""
    client = new_client()
    start(client, 2)
    tell(client, frame(kind, 5, 1, OK * 16385) + accept(3))
    assert (client.accepted, client.error.code) == (0, frames.FRAME_SIZE_ERROR)
    client = new_client()
    start(client, 2)
    block = OK + literal((b"x", b"y" * 16377))
    tell(client, frame(frames.HEADERS, 5, 1, block) + accept(3))
    assert (len(block), client.accepted, client.error) == (16384, 2, None)


def test_a_header_block_is_bounded():
    """By its bytes, and by the frames that it comes in, of which each may be empty."""
    for piece, most in ((b"", 1030), (b"x", 1020), (b"x" * 16384, 4)):
        client = new_client()
        start(client)
        tell(client, frame(frames.HEADERS, 0, 1, b"\0"))
        for _ in range(most):
            tell(client, frame(frames.CONTINUATION, 0, 1, piece))
        assert client.error.code == frames.ENHANCE_YOUR_CALM


def test_a_body_is_bounded():
    """A body that nobody needs is cut short; the status tells what became of the request."""
    client = new_client()
    batch, _ = start(client, 3)
    chunk = frame(frames.DATA, 0, 1, b"x" * 1000)
    assert tell(client, headers(1, status_block(500), False) + chunk * 4) == []
    assert tell(client, chunk) == [("response", 1, 500, b"")]
    assert said(client) == [(frames.RST_STREAM, 0, 1, b"\0\0\0\x08")]
    assert tell(client, chunk + frame(frames.DATA, 1, 1, b"x"), accept(3)) == []
    assert (client.error, batch.left, client.accepted) == (None, 1, 1)
    assert tell(client, headers(5, OK, False) + frame(frames.DATA, 0, 5, b"x" * 5000)) == []
    assert (client.accepted, batch.left) == (2, 0)


def test_an_incomplete_frame_is_kept_and_no_more():
    """However small the pieces, what was taken is not kept."""
    client = new_client()
    start(client, 500)
    data = accept(*range(1, 1001, 2))
    for place in range(0, len(data), 7):
        tell(client, data[place:place + 7])
        assert len(client._rest) < 10
    assert client.accepted == 500


@examples(300)
@given(st.lists(st.one_of(
    st.sampled_from([data for data, _, _, _ in ALLOWED.values()]),
    st.sampled_from([data for data, _, _ in FORBIDDEN.values()]),
    st.builds(frame, st.integers(0, 10), st.integers(0, 255), st.integers(0, 9),
              st.binary(max_size=20)),
    st.builds(headers, st.sampled_from([1, 3, 5, 7]), st.binary(max_size=8), st.booleans()),
    st.binary(max_size=30)), max_size=8).map(b"".join),
    st.lists(st.integers(0, 1000), max_size=6), st.booleans())
def test_garbage_is_an_error_and_never_an_exception(data, places, is_settled):
    """Whatever comes, in whatever pieces: each request ends once, and the outcome is the same."""
    places = sorted(place % (len(data) + 1) for place in places)
    pieces = [data[start:end] for start, end in zip([0] + places, places + [len(data)])]
    assert play([data], is_settled) == play(pieces, is_settled)
