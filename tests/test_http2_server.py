"""The server's side of an HTTP/2 connection: h2 is the client, and frames break its rules."""

from __future__ import absolute_import, division, print_function

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.server import LARGEST_BODY, ServerConnection
from apnsclient.protocols.http2.server_headers import response_block
from apnsclient.protocols.http2.server_streams import Shape
from tables import each

h2 = pytest.importorskip("h2.connection")
config = pytest.importorskip("h2.config")
events = pytest.importorskip("h2.events")

pytestmark = pytest.mark.timeout(240)

FIELDS = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"localhost"),
          (b":path", b"/3/device/" + b"ab" * 32), (b"apns-topic", b"com.example")]
BODY = b'{"aps":{}}'
HELLO = frames.PREFACE + frames.settings_frame(())
BLOCK = response_block(200, [(b"apns-id", b"0" * 36)])


class Pair(object):
    """A server, and h2 as its client."""

    def __init__(self, settings=(), window_step=None, has_encoder=False):
        self.server = ServerConnection(settings, window_step, has_encoder)
        self.client = h2.H2Connection(config.H2Configuration(header_encoding=None))
        self.client.initiate_connection()
        self.events = []
        self.requests = []
        self.exchange()

    def exchange(self, chunk=1 << 30):
        """Carry bytes to and fro until neither has any; returns the new requests."""
        count = len(self.requests)
        moved = True
        while moved:
            data, moved = self.client.data_to_send(), False
            for start in range(0, len(data), chunk):
                self.requests += self.server.receive(data[start:start + chunk])
                moved = True
            data = self.server.take_output()
            if data:
                moved = True
                self.events += self.client.receive_data(data)
        return self.requests[count:]

    def request(self, stream, fields=None, body=BODY):
        self.client.send_headers(stream, fields or FIELDS, end_stream=not body)
        if body:
            self.client.send_data(stream, body, end_stream=True)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def literal(text):
    """Return a string literal without Huffman's code (RFC 7541, 5.2)."""
    length = len(text)
    return (bytes(bytearray([length])) if length < 127 else b"\x7f" + encode_rest(length - 127)
            ) + text


def encode_rest(number):
    """Return an integer behind a prefix that is all ones (RFC 7541, 5.1)."""
    octets = bytearray()
    while number >= 128:
        octets.append(number & 127 | 128)
        number >>= 7
    return bytes(octets + bytearray([number]))


def block_of(fields):
    """Return a header block that needs no state."""
    return b"".join(b"\0" + literal(name) + literal(value) for name, value in fields)


def headers(stream, fields=None, flags=frames.END_STREAM | frames.END_HEADERS):
    return frames.frame(frames.HEADERS, flags, stream, block_of(fields or FIELDS))


def data(stream, body=BODY, flags=frames.END_STREAM):
    return frames.frame(frames.DATA, flags, stream, body)


def frames_in(raw):
    """Return the frames that a server has sent."""
    return list(frames.FrameReader(1 << 24).feed(raw))


def talk(*parts):
    """Return a server that has been sent the preface and frames, the requests, and its frames."""
    server = ServerConnection()
    requests = server.receive(HELLO + b"".join(parts))
    return server, requests, frames_in(server.take_output())


def resets_in(sent):
    """Return ``(stream, code)`` of each RST_STREAM."""
    return [(stream, frames.read_number(payload)) for kind, _, stream, payload in sent
            if kind == frames.RST_STREAM]


# Requests.


@pytest.mark.parametrize("chunk", [1 << 30, 1, 7])
def test_requests_of_h2_arrive_whole(chunk):
    """Fields and body are those that h2 sent, however the bytes are cut."""
    pair = Pair()
    for stream in (1, 3, 5):
        pair.request(stream, body=BODY if stream < 5 else b"")

    requests = pair.exchange(chunk)

    assert [request.stream for request in requests] == [1, 3, 5]
    assert [request.fields for request in requests] == [FIELDS] * 3
    assert [request.body for request in requests] == [BODY, BODY, b""]
    assert pair.server.error is None and pair.server.open_streams == 3


def test_a_header_block_may_span_frames_and_data_may_be_padded():
    """CONTINUATION, padding and priorities are read as RFC 9113 has them."""
    pair = Pair()
    fields = FIELDS + [(b"x-%d" % n, b"v" * 60) for n in range(300)]
    pair.client.send_headers(1, fields)
    pair.client.send_data(1, BODY[:4], pad_length=10)
    pair.client.send_data(1, BODY[4:], end_stream=True, pad_length=0)
    pair.client.send_headers(3, FIELDS, priority_weight=20, end_stream=True)

    first, second = pair.exchange()

    assert (first.fields, first.body) == (fields, BODY)
    assert (second.fields, second.body) == (FIELDS, b"")


def test_trailers_end_a_request():
    """Fields behind the body are read, and not taken for those of the request."""
    pair = Pair()
    pair.client.send_headers(1, FIELDS)
    pair.client.send_data(1, BODY)
    pair.client.send_headers(1, [(b"x-trailer", b"1")], end_stream=True)

    request, = pair.exchange()

    assert (request.fields, request.body) == (FIELDS, BODY)


def test_a_request_that_the_client_resets_is_not_handed_over():
    """And what is said to a stream that was reset goes nowhere."""
    pair = Pair()
    pair.client.send_headers(1, FIELDS)
    pair.client.reset_stream(1)
    pair.request(3)

    request, = pair.exchange()
    pair.server.response(1, BLOCK, b"body")
    pair.server.response(1, BLOCK)

    assert request.stream == 3 and pair.server.take_output() == b""


def test_a_body_is_kept_up_to_a_limit():
    """A client cannot fill the memory; that the body was too long can be seen."""
    pair = Pair()
    pair.client.send_headers(1, FIELDS)
    for _ in range(40):
        pair.client.send_data(1, b"x" * 10000)
        pair.exchange()
    pair.client.end_stream(1)

    request, = pair.exchange()

    assert LARGEST_BODY < len(request.body) <= LARGEST_BODY + 20000
    assert pair.server.error is None


# Responses.


@each("shape", [
    Shape(), Shape(padding=0), Shape(padding=255), Shape(piece=3), Shape(split=5),
    Shape(trailers=[(b"x-trailer", b"1")]), Shape(20, 4, 7, [(b"x-trailer", b"1")]),
    Shape(padding=9, piece=1)])
@each("body", [b"", b'{"reason":"BadDeviceToken"}'])
def test_h2_understands_responses_of_each_shape(shape, body):
    """Fields and body arrive whatever frames they come in, and the stream is over."""
    pair = Pair()
    pair.request(1)
    pair.exchange()
    pair.server.inform(1, response_block(103))

    pair.server.response(1, response_block(400, [(b"apns-id", b"x")]), body, shape)
    pair.exchange()

    assert [list(event.headers) for event in pair.of(events.ResponseReceived)] == [
        [(b":status", b"400"), (b"apns-id", b"x")]]
    assert b"".join(event.data for event in pair.of(events.DataReceived)) == body
    assert [list(event.headers) for event in pair.of(events.TrailersReceived)] == (
        [list(shape.trailers)] if shape.trailers else [])
    assert len(pair.of(events.StreamEnded)) == 1 and pair.server.open_streams == 0
    if shape.split:
        assert all(len(event.data) <= shape.split for event in pair.of(events.DataReceived))


def test_a_response_waits_for_the_windows_of_the_client():
    """Not a byte more than the client allows is sent, on the stream or on the connection."""
    pair = Pair()
    pair.client.update_settings({frames.INITIAL_WINDOW_SIZE: 10})
    pair.request(1)
    pair.request(3)
    pair.exchange()
    pair.server.response(1, BLOCK, b"0123456789abcdef")
    pair.server.response(3, BLOCK, b"x" * 10)
    pair.exchange()
    assert [event.data for event in pair.of(events.DataReceived)] == [b"0123456789", b"x" * 10]

    pair.client.increment_flow_control_window(4, stream_id=1)
    pair.exchange()
    pair.client.update_settings({frames.INITIAL_WINDOW_SIZE: 12})
    pair.exchange()

    assert [event.data for event in pair.of(events.DataReceived) if event.stream_id == 1] == [
        b"0123456789", b"abcd", b"ef"]
    assert pair.server.open_streams == 0


def test_a_response_waits_for_the_window_of_the_connection():
    """65 535 bytes go out; the rest follows what the client gives back."""
    pair = Pair()
    pair.client.update_settings({frames.INITIAL_WINDOW_SIZE: 1 << 20})
    pair.request(1)
    pair.exchange()
    pair.server.response(1, BLOCK, b"x" * 70000, Shape(padding=3))
    pair.exchange()
    flowed = sum(event.flow_controlled_length for event in pair.of(events.DataReceived))
    assert 65535 - 4 <= flowed <= 65535

    pair.client.increment_flow_control_window(100000)
    pair.exchange()

    assert b"".join(event.data for event in pair.of(events.DataReceived)) == b"x" * 70000


def test_the_client_hears_that_our_table_is_empty():
    """Who shrinks our table is notified in the next block, or its decoder would have to object."""
    for size in (0, 100):
        pair = Pair()
        pair.client.update_settings({frames.HEADER_TABLE_SIZE: size})
        for stream in (1, 3):
            pair.request(stream)
            pair.exchange()
            pair.server.response(stream, BLOCK)
            pair.exchange()

        assert pair.server.peer_table_size == size
        assert len(pair.of(events.ResponseReceived)) == 2


def test_settings_pings_goaway_and_raw_frames_reach_the_client():
    """What a script wants to be sent is what h2 sees."""
    pair = Pair([(frames.MAX_CONCURRENT_STREAMS, 7)])
    pair.request(1)
    pair.request(3)
    pair.exchange()
    pair.server.change_settings([(frames.MAX_CONCURRENT_STREAMS, 1), (0xFAFA, 5)])
    pair.server.send_raw(frames.ping(b"12345678"))
    pair.server.reset(1, frames.REFUSED_STREAM)
    pair.exchange()

    assert pair.client.remote_settings.max_concurrent_streams == 1
    assert [event.ping_data for event in pair.of(events.PingReceived)] == [b"12345678"]
    assert [(event.stream_id, event.error_code)
            for event in pair.of(events.StreamReset)] == [(1, frames.REFUSED_STREAM)]
    pair.server.goaway(3, frames.NO_ERROR, b"why")
    pair.exchange()
    assert [(event.last_stream_id, event.additional_data)
            for event in pair.of(events.ConnectionTerminated)] == [(3, b"why")]


def test_after_goaway_higher_streams_are_ignored_and_lower_ones_served():
    """Streams above the last one are dropped, new ones and those that were open."""
    server = talk(headers(1), headers(3, flags=frames.END_HEADERS),
                  headers(5, flags=frames.END_HEADERS))[0]
    server.goaway(3, frames.NO_ERROR)

    assert [request.stream for request in server.receive(data(3) + data(5) + headers(7))] == [3]
    assert server.open_streams == 2 and server.error is None
    server.response(1, BLOCK)
    assert [kind for kind, _, _, _ in frames_in(server.take_output())] == [
        frames.GOAWAY, frames.HEADERS]


# Limits.


def test_more_streams_than_allowed_are_refused():
    """The first limit holds at once; another one when the client has acknowledged it."""
    server = ServerConnection([(frames.MAX_CONCURRENT_STREAMS, 1)])
    hello = HELLO + frames.SETTINGS_ACK
    assert [each.stream for each in server.receive(hello + headers(1) + headers(3))] == [1]
    assert resets_in(frames_in(server.take_output())) == [(3, frames.REFUSED_STREAM)]
    server.change_settings([(frames.MAX_CONCURRENT_STREAMS, 2)])
    assert server.receive(headers(5)) == []
    assert len(server.receive(frames.SETTINGS_ACK + headers(7))) == 1
    assert resets_in(frames_in(server.take_output())) == [(5, frames.REFUSED_STREAM)]
    # What a client still sends on a stream that was refused is not its fault.
    server.receive(data(3) + frames.window_update(5, 1) + frames.rst_stream(3, 8))
    assert server.error is None


def test_frames_and_tables_may_grow_and_shrink_once_that_is_acknowledged():
    """The limits are those that the client knows of."""
    for size, code in ((0, frames.COMPRESSION_ERROR), (8192, None)):
        server = ServerConnection([(frames.HEADER_TABLE_SIZE, size),
                                   (frames.MAX_FRAME_SIZE, 16384 + size)])
        grow = b"\x3f" + encode_rest(8192 - 31)
        server.receive(HELLO + frames.SETTINGS_ACK + frames.frame(
            frames.HEADERS, frames.END_HEADERS, 1, grow + block_of(FIELDS)))
        assert (server.error and server.error.code) == code
    assert server.receive(data(1, b"x" * 17000))[0].body == b"x" * 17000


def test_a_stream_that_the_server_resets_may_still_be_sent_to():
    """The client cannot know yet; what it sends is no error, and its window comes back."""
    server = talk(headers(1, flags=frames.END_HEADERS))[0]
    server.reset(1, frames.REFUSED_STREAM)

    assert server.receive(data(1, b"x" * 16384, 0) * 3 + data(1) + headers(3))[0].stream == 3
    assert server.error is None
    assert frames.WINDOW_UPDATE in [kind for kind, _, _, _ in frames_in(server.take_output())]


def test_tiny_windows_are_kept_and_given_back():
    """A client that respects a window of 10 bytes gets its request through."""
    pair = Pair([(frames.INITIAL_WINDOW_SIZE, 10)])
    pair.client.send_headers(1, FIELDS)
    left, rounds = b"0123456789" * 20, 0
    while left:
        size = min(len(left), pair.client.local_flow_control_window(1))
        assert 0 < size <= 10
        pair.client.send_data(1, left[:size], end_stream=size == len(left))
        left, rounds = left[size:], rounds + 1
        pair.exchange()

    assert pair.requests[0].body == b"0123456789" * 20 and rounds >= 20


def test_windows_are_given_back_for_as_long_as_it_takes():
    """Megabytes on one connection stall nowhere, not even with streams that have no response."""
    pair = Pair()
    for stream in range(1, 2001, 2):
        pair.request(stream, body=b"x" * 4096)
        for request in pair.exchange():
            if request.stream % 3:
                pair.server.response(request.stream, BLOCK)
        pair.exchange()

    assert len(pair.requests) == 1000 and pair.server.error is None


def test_a_window_that_is_never_given_back_runs_dry():
    """Step 0 gives nothing back, another one so many bytes at a time."""
    for step, sizes in ((0, []), (5, [5, 5])):
        server = ServerConnection(window_step=step)
        server.receive(HELLO + headers(1, flags=frames.END_HEADERS) + data(1, b"12345", 0)
                       + data(1, b"67890", 0))
        updates = [(stream, frames.read_number(payload)) for kind, _, stream, payload
                   in frames_in(server.take_output()) if kind == frames.WINDOW_UPDATE]
        assert [size for stream, size in updates if stream == 0] == sizes
        assert [size for stream, size in updates if stream == 1] == sizes


def test_an_oversized_header_list_has_a_response():
    """Beyond the size that was announced and acknowledged, 431 is said, and nothing breaks."""
    pair = Pair([(frames.MAX_HEADER_LIST_SIZE, 8000)])
    pair.request(1, FIELDS + [(b"x-long", b"v" * 9000)])
    pair.request(3, FIELDS + [(b"x-long", b"v" * 1500)])

    assert [request.stream for request in pair.exchange()] == [3]
    assert [event.headers[0][1] for event in pair.of(events.ResponseReceived)] == [b"431"]


# Rules that a client breaks.

UPPER = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/"), (b"Apns-Topic", b"a")]

CONNECTION_ERRORS = {
    "another protocol": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", frames.PROTOCOL_ERROR),
    "no settings": (frames.PREFACE + headers(1), frames.PROTOCOL_ERROR),
    "an acknowledgement first": (frames.PREFACE + frames.SETTINGS_ACK, frames.PROTOCOL_ERROR),
    "an acknowledgement too many": (HELLO + frames.SETTINGS_ACK * 2, frames.PROTOCOL_ERROR),
    "headers on stream 0": (HELLO + headers(0), frames.PROTOCOL_ERROR),
    "headers on an even stream": (HELLO + headers(2), frames.PROTOCOL_ERROR),
    "headers on a closed stream": (HELLO + headers(1) + headers(1), frames.STREAM_CLOSED),
    "headers on a skipped stream": (HELLO + headers(3) + headers(1), frames.STREAM_CLOSED),
    "data on stream 0": (HELLO + data(0), frames.PROTOCOL_ERROR),
    "data on an idle stream": (HELLO + data(1), frames.PROTOCOL_ERROR),
    "data behind the end": (HELLO + headers(1) + data(1), frames.STREAM_CLOSED),
    "data with more padding than bytes": (
        HELLO + headers(1, flags=frames.END_HEADERS)
        + frames.frame(frames.DATA, frames.PADDED, 1, b"\x09ab"), frames.PROTOCOL_ERROR),
    "a lone continuation": (
        HELLO + frames.frame(frames.CONTINUATION, 4, 1, b""), frames.PROTOCOL_ERROR),
    "another frame within a block": (
        HELLO + headers(1, flags=0) + frames.ping(b"12345678"), frames.PROTOCOL_ERROR),
    "another stream within a block": (
        HELLO + headers(1, flags=0) + frames.frame(frames.CONTINUATION, 4, 3, b""),
        frames.PROTOCOL_ERROR),
    "an endless block": (
        HELLO + headers(1, flags=0) + frames.frame(frames.CONTINUATION, 0, 1, b"") * 300,
        frames.ENHANCE_YOUR_CALM),
    "a huge block": (
        HELLO + headers(1, flags=0)
        + frames.frame(frames.CONTINUATION, 0, 1, b"\0" * 16384) * 5, frames.ENHANCE_YOUR_CALM),
    "a block that is no HPACK": (
        HELLO + frames.frame(frames.HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
        frames.COMPRESSION_ERROR),
    "a block that is cut off": (
        HELLO + frames.frame(frames.HEADERS, 5, 1, b"\0\x05ab"), frames.COMPRESSION_ERROR),
    "a reference to an empty table": (
        HELLO + frames.frame(frames.HEADERS, 5, 1, b"\xc0"), frames.COMPRESSION_ERROR),
    "a table beyond the limit": (
        HELLO + frames.frame(frames.HEADERS, 5, 1, b"\x3f\xe2\x1f" + block_of(FIELDS)),
        frames.COMPRESSION_ERROR),
    "a push": (HELLO + frames.frame(frames.PUSH_PROMISE, 4, 1, b"\0\0\0\2"),
               frames.PROTOCOL_ERROR),
    "a frame beyond the limit": (
        HELLO + headers(1, flags=frames.END_HEADERS) + data(1, b"x" * 16385),
        frames.FRAME_SIZE_ERROR),
    "settings of 5 bytes": (HELLO + frames.frame(frames.SETTINGS, 0, 0, b"12345"),
                            frames.FRAME_SIZE_ERROR),
    "settings on a stream": (HELLO + frames.frame(frames.SETTINGS, 0, 1), frames.PROTOCOL_ERROR),
    "a window setting beyond 31 bits": (
        HELLO + frames.settings_frame([(frames.INITIAL_WINDOW_SIZE, 1 << 31)]),
        frames.FLOW_CONTROL_ERROR),
    "a frame size below the minimum": (
        HELLO + frames.settings_frame([(frames.MAX_FRAME_SIZE, 16383)]), frames.PROTOCOL_ERROR),
    "a setting that makes a window too large": (
        HELLO + headers(1) + frames.window_update(1, 0x7FFFFFFF - 65535)
        + frames.settings_frame([(frames.INITIAL_WINDOW_SIZE, 65536)]),
        frames.FLOW_CONTROL_ERROR),
    "a ping of 7 bytes": (HELLO + frames.frame(frames.PING, 0, 0, b"1234567"),
                          frames.FRAME_SIZE_ERROR),
    "a window update by 0": (HELLO + frames.window_update(0, 0), frames.PROTOCOL_ERROR),
    "a window beyond 31 bits": (
        HELLO + frames.window_update(0, 0x7FFFFFFF), frames.FLOW_CONTROL_ERROR),
    "a window update of an idle stream": (
        HELLO + frames.window_update(1, 1), frames.PROTOCOL_ERROR),
    "a reset of an idle stream": (HELLO + frames.rst_stream(1, 8), frames.PROTOCOL_ERROR),
    "data beyond the window of the connection": (
        HELLO + headers(1, flags=frames.END_HEADERS) + headers(3, flags=frames.END_HEADERS)
        + data(1, b"x" * 16384, 0) * 2 + data(3, b"x" * 16384, 0) * 3, frames.FLOW_CONTROL_ERROR),
}


@each("chunk", [1 << 30, 1])
@each("rule", sorted(CONNECTION_ERRORS))
def test_a_client_that_breaks_a_rule_gets_the_right_goaway(rule, chunk):
    """Each rule has its code, however the bytes are cut; afterwards nothing more is taken."""
    sent, code = CONNECTION_ERRORS[rule]
    server = ServerConnection(window_step=0)
    for start in range(0, len(sent), chunk):
        server.receive(sent[start:start + chunk])
    kind, _, _, payload = frames_in(server.take_output())[-1]

    assert server.error is not None and server.error.code == code
    assert kind == frames.GOAWAY
    assert frames.read_goaway(payload)[:2] == (server.last_stream, code)
    assert server.receive(headers(101)) == [] and server.take_output() == b""


def changed(remove=(), add=(), first=()):
    return list(first) + [field for field in FIELDS if field[0] not in remove] + list(add)


STREAM_ERRORS = {
    "upper case": (headers(1, UPPER), frames.PROTOCOL_ERROR),
    "no path": (headers(1, changed([b":path"])), frames.PROTOCOL_ERROR),
    "two methods": (headers(1, changed(first=[(b":method", b"GET")])), frames.PROTOCOL_ERROR),
    "a status": (headers(1, changed(first=[(b":status", b"200")])), frames.PROTOCOL_ERROR),
    "a pseudo-header field behind others": (
        headers(1, changed([b":path"], [(b":path", b"/")])), frames.PROTOCOL_ERROR),
    "a field of HTTP/1.1": (
        headers(1, changed(add=[(b"connection", b"close")])), frames.PROTOCOL_ERROR),
    "a name with a space": (headers(1, changed(add=[(b"a b", b"")])), frames.PROTOCOL_ERROR),
    "an empty name": (headers(1, changed(add=[(b"", b"x")])), frames.PROTOCOL_ERROR),
    "a line end in a value": (
        headers(1, changed(add=[(b"apns-collapse-id", b"a\r\nb: c")])), frames.PROTOCOL_ERROR),
    "a space around a value": (headers(1, changed(add=[(b"x", b"a ")])), frames.PROTOCOL_ERROR),
    "another length": (
        headers(1, changed(add=[(b"content-length", b"3")]), frames.END_HEADERS) + data(1),
        frames.PROTOCOL_ERROR),
    "a length that is no number": (
        headers(1, changed(add=[(b"content-length", b"-1")])), frames.PROTOCOL_ERROR),
    "trailers that end nothing": (
        headers(1, flags=frames.END_HEADERS) + headers(1, [(b"x", b"")], frames.END_HEADERS),
        frames.PROTOCOL_ERROR),
    "a pseudo-header field in trailers": (
        headers(1, flags=frames.END_HEADERS) + headers(1, [(b":path", b"/")]),
        frames.PROTOCOL_ERROR),
    "a window update by 0": (headers(1) + frames.window_update(1, 0), frames.PROTOCOL_ERROR),
    "a window beyond 31 bits": (
        headers(1) + frames.window_update(1, 0x7FFFFFFF), frames.FLOW_CONTROL_ERROR),
}


@each("rule", sorted(STREAM_ERRORS))
def test_a_stream_that_breaks_a_rule_is_reset_and_the_others_go_on(rule):
    """The code is the right one, and the next request on the connection is served."""
    sent, code = STREAM_ERRORS[rule]

    server, requests, sent_back = talk(sent, headers(3))

    assert resets_in(sent_back) == [(1, code)]
    assert server.error is None and requests[-1].stream == 3
    assert server.open_streams == 1


def test_a_window_that_shrank_counts_once_it_is_acknowledged():
    """DATA beyond a stream's window ends the stream; before the acknowledgement it is fine."""
    server = ServerConnection([(frames.INITIAL_WINDOW_SIZE, 5)])
    server.receive(HELLO + headers(1, flags=frames.END_HEADERS))
    assert len(server.receive(data(1))) == 1
    server.receive(frames.SETTINGS_ACK + headers(3, flags=frames.END_HEADERS))
    server.take_output()

    assert server.receive(data(3)) == []
    assert resets_in(frames_in(server.take_output())) == [(3, frames.FLOW_CONTROL_ERROR)]


@each("ignored", [
    frames.frame(0xFA, 0xFF, 1, b"unknown"), frames.frame(0xFA, 0, 0, b""),
    frames.settings_frame([(0xFAFA, 1)]), frames.ping(b"12345678", is_ack=True),
    frames.frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\x10"),
    frames.frame(frames.PRIORITY, 0, 99, b"\0\0\0\0\x10"), frames.goaway(0, 0),
    frames.window_update(1, 5), frames.rst_stream(1, 8),
])
def test_what_has_to_be_ignored_disturbs_nothing(ignored):
    """Unknown frames and settings, priorities, and late frames on a stream that is over."""
    server, _, _ = talk(headers(1))
    server.response(1, BLOCK)

    assert [request.stream for request in server.receive(ignored + headers(3))] == [3]
    assert server.error is None


def test_pings_are_acknowledged():
    """With the same data."""
    assert frames.ping(b"12345678", is_ack=True) in b"".join(
        frames.frame(*each) for each in talk(frames.ping(b"12345678"))[2])


# Properties.


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_garbage_ends_in_an_error_or_in_nothing(chunks):
    """Whatever arrives, the worst is an error that the client gets."""
    for start in (b"", HELLO, HELLO + headers(1, flags=frames.END_HEADERS)):
        server = ServerConnection()
        server.receive(start)
        for chunk in chunks:
            server.receive(chunk)
        kinds = [kind for kind, _, _, _ in frames_in(server.take_output())]
        assert (frames.GOAWAY in kinds) == (server.error is not None)


@given(st.lists(st.integers(1, 200), max_size=40), st.data())
def test_cutting_the_bytes_changes_nothing(sizes, drawn):
    """The requests are those that come of the bytes in one piece."""
    stream = HELLO + b"".join(
        headers(n, flags=frames.END_HEADERS) + data(n) for n in range(1, 20, 2))
    cut, position = ServerConnection(), 0
    requests = []
    for size in sizes + [len(stream)]:
        requests += cut.receive(stream[position:position + size])
        position += size

    assert requests == ServerConnection().receive(stream)


def test_what_a_block_expands_to_is_bounded():
    """A small block that refers to one large entry again and again is an error."""
    server, _, _ = talk(frames.frame(
        frames.HEADERS, 5, 1, b"\x40\x01x" + literal(b"y" * 4000) + b"\xbe" * 1200))

    assert server.error is not None and server.error.code == frames.COMPRESSION_ERROR
