"""What limits an HTTP/2 client: windows in both directions, numbers of streams, and caution.

And what ends before its time: a request that has a response before it is complete, and one that is
given up here.
"""

from __future__ import absolute_import, division, print_function

import struct

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.events import Response
from apnsclient.protocols.http2.frames import FrameReader, frame
from apnsclient.protocols.http2.headers import decode_block
from apnsclient.protocols.http2.requests import RequestTemplate
from http2_support import (
    OK,
    TOKEN,
    TOPIC,
    accept,
    data_of,
    headers,
    new_client,
    response,
    said,
    start,
    status_block,
    tell,
)

LARGEST = 0x7FFFFFFF
ACK = (frames.SETTINGS, frames.ACK, 0, b"")


def limit_to(count):
    return frames.settings_frame([(frames.MAX_CONCURRENT_STREAMS, count)])


def window_of(size):
    return frames.settings_frame([(frames.INITIAL_WINDOW_SIZE, size)])


# How many streams.

def test_the_limit_of_streams_may_change_at_any_time():
    """It may drop below what is open: nothing is started until enough has ended."""
    client = new_client([(frames.MAX_CONCURRENT_STREAMS, 5)])
    assert client.room(0) == 5
    batch, _ = start(client, 5)
    assert client.room(0) == 0
    tell(client, limit_to(3))
    assert client.room(0) == 0
    tell(client, accept(1, 9))
    assert client.room(0) == 0
    tell(client, accept(3))
    assert client.room(0) == 1
    tell(client, limit_to(0))
    assert client.room(0) == 0 and client.can_start
    tell(client, accept(5, 7))
    assert (client.room(0), batch.left) == (0, 0)
    tell(client, limit_to(0xFFFFFFFF))
    assert client.room(0) == 1000


def test_of_several_settings_in_a_frame_the_last_holds():
    """They are taken in order (RFC 9113, 6.5.3), and acknowledged once."""
    client = new_client()
    tell(client, frames.settings_frame([
        (frames.MAX_CONCURRENT_STREAMS, 1), (frames.INITIAL_WINDOW_SIZE, 3),
        (frames.MAX_CONCURRENT_STREAMS, 7)]))
    assert client.room(2) == 7
    assert said(client) == [ACK]
    tell(client, limit_to(2) + limit_to(3))
    assert said(client) == [ACK, ACK]
    assert client.room(2) == 3


def test_without_a_limit_there_is_ours():
    """A server may allow any number; our own memory does not."""
    assert new_client().room(0) == 1000
    assert new_client([(frames.MAX_CONCURRENT_STREAMS, 100000)]).room(0) == 1000


def test_the_numbers_of_streams_are_used_up_to_the_last():
    """Then the connection takes no more, and what is open still has its response."""
    client = new_client()
    client._streams.next = LARGEST
    assert client.can_start and client.room(0) == 1
    client._streams.next = LARGEST - 4
    assert client.room(0) == 3
    batch, sent = start(client, 3, b"")
    assert [stream for _, _, stream, _ in sent] == [LARGEST - 4, LARGEST - 2, LARGEST]
    assert client.room(0) == 0 and not client.can_start
    assert client.in_flight == 3
    tell(client, accept(LARGEST, LARGEST - 4) + response(LARGEST - 2, 400, b"{}"))
    assert (client.accepted, client.response_count, batch.left) == (2, 3, 0)
    assert client.error is None


@pytest.mark.parametrize("is_settled", [True, False])
def test_caution_is_one_request_at_a_time(is_settled):
    """Until one has a response with anything but 403, however that comes."""
    for responses in ([accept(1)], [response(1, 400, b"{}")], [headers(1, status_block(503))],
                    [headers(1, OK, False), frames.rst_stream(1, 2)]):
        client = new_client(is_settled=is_settled, is_cautious=True)
        assert client.room(2) == 1
        start(client)
        assert client.room(2) == 0
        tell(client, *responses)
        assert not client.is_cautious
        assert client.room(2) == 1000
    client = new_client(is_settled=is_settled, is_cautious=True)
    for stream, ending in ((1, response(1, 403, b"{}")), (3, frames.rst_stream(3, 7)),
                           (5, frames.rst_stream(5, 2))):
        start(client)
        assert client.room(2) == 0
        assert len(tell(client, ending)) == 1
        assert client.room(2) == 1 and client.is_cautious, stream


# What the server takes.

@pytest.mark.parametrize("window", [1, 2, 7, 30])
def test_a_payload_that_is_larger_than_its_window_goes_out_bit_by_bit(window):
    """As the server gives the window back; the last bit ends the stream."""
    payload = bytes(bytearray(range(31)))
    client = new_client([(frames.INITIAL_WINDOW_SIZE, window)])
    batch, sent = start(client, 1, payload)
    while not data_of(sent, 1)[1]:
        assert len(data_of(sent, 1)[0]) % window == 0
        before = len(sent)
        tell(client, frames.window_update(1, window))
        sent += said(client)
        assert len(sent) == before + 1
    assert data_of(sent, 1) == (payload, True)
    tell(client, accept(1))
    assert (batch.left, client.error) == (0, None)


def test_a_window_of_nothing_holds_back_the_data_alone():
    """The header goes out; windows of the stream and of all streams are both needed."""
    client = new_client([(frames.INITIAL_WINDOW_SIZE, 0)])
    _, sent = start(client, 2, b"abc")
    assert [kind for kind, _, _, _ in sent] == [frames.HEADERS] * 2
    assert not any(flags & frames.END_STREAM for _, flags, _, _ in sent)
    tell(client, frames.window_update(0, 100))
    assert said(client) == []
    tell(client, frames.window_update(3, 2))
    assert said(client) == [(frames.DATA, 0, 3, b"ab")]
    tell(client, window_of(1))
    assert said(client) == [ACK, (frames.DATA, 0, 1, b"a"), (frames.DATA, 1, 3, b"c")]
    tell(client, frames.window_update(1, 100), frames.window_update(1, 100))
    assert said(client) == [(frames.DATA, 1, 1, b"bc")]
    # Without a payload there is nothing to hold back.
    _, sent = start(client, 1, b"")
    assert [(kind, flags) for kind, flags, _, _ in sent] == [(frames.HEADERS, 5)]


def test_a_window_setting_changes_the_windows_of_open_streams():
    """By the difference, below zero too; WINDOW_UPDATE has to make up for it (RFC 9113, 6.9.2)."""
    client = new_client([(frames.INITIAL_WINDOW_SIZE, 10)])
    start(client, 1, b"x" * 30)
    tell(client, window_of(4))
    assert said(client) == [ACK]
    tell(client, frames.window_update(1, 6))
    assert said(client) == []
    tell(client, frames.window_update(1, 1))
    assert said(client) == [(frames.DATA, 0, 1, b"x")]
    tell(client, window_of(2) + window_of(8))
    assert said(client) == [ACK, ACK, (frames.DATA, 0, 1, b"x" * 4)]
    # A request that is started now begins with the new window.
    _, sent = start(client, 1, b"y" * 9)
    assert data_of(sent, 3) == (b"y" * 8, False)


def test_a_window_below_zero_lets_a_new_stream_wait():
    """It may not be negative for long; a new stream has the window of the setting."""
    client = new_client([(frames.INITIAL_WINDOW_SIZE, 5)])
    start(client, 1, b"x" * 9)
    tell(client, window_of(0))
    tell(client, frames.window_update(1, 5))
    said(client)
    tell(client, frames.window_update(1, 1))
    assert said(client) == [(frames.DATA, 0, 1, b"x")]


def test_the_connections_window_is_shared():
    """Requests start as far as it goes; then they go on as it comes back, the oldest first."""
    client = new_client()
    room = client.room(4000)
    assert room == 16
    _, sent = start(client, 1, b"x" * 4000)
    assert client.room(4000) == 15
    sent += start(client, 15, b"x" * 4000)[1]
    assert sum(len(payload) for kind, _, _, payload in sent if kind == frames.DATA) == 64000
    # One more, of which a part fits. Two would have to share it.
    assert client.room(4000) == 1
    _, sent = start(client, 1, b"y" * 4000)
    assert data_of(sent, 33) == (b"y" * 1535, False)
    assert client.room(4000) == client.room(1) == 0
    assert client.room(0) > 0
    tell(client, accept(*range(1, 33, 2)))
    assert client.room(4000) == 0
    tell(client, frames.window_update(0, 2000))
    assert said(client) == [(frames.DATA, 0, 33, b"y" * 2000)]
    tell(client, frames.window_update(0, 4000))
    assert said(client) == [(frames.DATA, 1, 33, b"y" * 465)]
    assert client.room(4000) == 1 and client.room(3535) == 1
    tell(client, frames.window_update(0, 5000))
    assert client.room(4000) == 2


def test_a_new_request_does_not_overtake_an_unfinished_one():
    """What is left of the window belongs to whoever waits for it."""
    client = new_client()
    start(client, 16, b"x" * 4000)
    start(client, 1, b"y" * 4000)
    tell(client, frames.window_update(0, 100))
    assert said(client) == [(frames.DATA, 0, 33, b"y" * 100)]
    assert client.room(50) == 0


def test_data_is_cut_into_frames_that_the_server_allows():
    """16 384 bytes if it allows more: longer frames are of no use to us."""
    for settings in ([], [(frames.MAX_FRAME_SIZE, 0xFFFFFF)]):
        client = new_client(settings)
        _, sent = start(client, 1, b"x" * 40000)
        assert [len(payload) for kind, _, _, payload in sent if kind == frames.DATA] == [
            16384, 16384, 7232]
        assert data_of(sent, 1) == (b"x" * 40000, True)


@pytest.mark.parametrize("data, code, stream", [
    (frames.window_update(0, LARGEST), frames.FLOW_CONTROL_ERROR, 0),
    (frames.window_update(1, LARGEST) + frames.window_update(1, LARGEST),
     frames.FLOW_CONTROL_ERROR, 1),
    (frames.window_update(1, LARGEST - 10) + window_of(LARGEST), frames.FLOW_CONTROL_ERROR, 0)])
def test_a_window_has_31_bits(data, code, stream):
    """A server that makes it larger is told so (RFC 9113, 6.9.1, 6.9.2)."""
    client = new_client([(frames.INITIAL_WINDOW_SIZE, 1)])
    start(client, 1, b"xx" * 70000)
    events = tell(client, data)
    words = said(client)
    if stream:
        assert events == [("reset", stream, code, False)]
        assert words[-1] == (frames.RST_STREAM, 0, stream, struct.pack(">I", code))
    else:
        assert client.error.code == code
        assert words[-1] == (frames.GOAWAY, 0, 0, struct.pack(">II", 0, code))


@given(st.integers(0, 50), st.lists(st.one_of(
    st.tuples(st.just("connection"), st.integers(1, 60)),
    st.tuples(st.sampled_from([1, 3, 5]), st.integers(1, 60)),
    st.tuples(st.just("setting"), st.integers(0, 50))), max_size=30))
def test_windows_are_used_and_never_overdrawn(initial, changes):
    """Whatever the server gives and takes: no byte too many, and none is held back for nothing."""
    client = new_client([(frames.INITIAL_WINDOW_SIZE, initial)])
    # Of the connection's window, 65 535 bytes, nearly all is used up.
    client._streams.window = 40
    payload = bytes(bytearray(range(60)))
    sent = []
    for _ in range(3):
        sent += start(client, 1, payload)[1]
    windows = {"connection": 40, 1: initial, 3: initial, 5: initial}
    for target, amount in [(1, 1)] + changes:
        if target == "setting":
            data = window_of(amount)
            for stream in (1, 3, 5):
                windows[stream] += amount - initial
            initial = amount
        else:
            data = frames.window_update(0 if target == "connection" else target, amount)
            windows[target] += amount
        tell(client, data)
        sent += [one for one in said(client) if one != ACK]
        done = {stream: len(data_of(sent, stream)[0]) for stream in (1, 3, 5)}
        total = sum(done.values())
        assert total <= windows["connection"]
        for stream in (1, 3, 5):
            assert data_of(sent, stream) == (payload[:done[stream]], done[stream] == 60)
            assert done[stream] == 60 or total == windows["connection"] \
                or done[stream] >= windows[stream]
    assert client.error is None


# What we take.

def given_back(words, stream):
    return sum(struct.unpack(">I", payload)[0] for kind, _, number, payload in words
               if kind == frames.WINDOW_UPDATE and number == stream)


def test_what_was_received_is_given_back_always():
    """After a million errors, padding and late DATA included, the window is what it was."""
    client = new_client()
    window = client._window.left
    body = frame(frames.DATA, frames.PADDED, 1, b"\xff" + b"x" * 1 + b"\0" * 255)
    used = back = 0
    for first in range(1, 20000, 1000):
        batch, _ = start(client, 500, b"")
        ends = b"".join(headers(stream, status_block(400), False)
                        + frame(frames.DATA, 1, stream, b"x" * 4096)
                        for stream in range(first, first + 998, 2))
        used += 499 * 4096 + 257 * 40
        assert len(tell(client, ends)) == 499
        assert client.cancel(batch) == [(499, True)]
        # Late DATA on the stream that was given up.
        late = body[:5] + struct.pack(">I", first + 998) + body[9:]
        tell(client, late * 40)
        back += given_back(said(client), 0)
        assert client._window.left == window - used + back > window // 3
    assert client.error is None
    assert used > 2 * window


def test_a_streams_window_is_given_back_while_it_lasts():
    """A long response does not stall, whatever it is made of."""
    client = new_client()
    batch, _ = client.request([(b":method", b"GET", False)], b"", None)
    stream = batch.first
    tell(client, headers(stream, OK, False))
    used = back = 0
    for padding in (0, 200):
        for _ in range(100):
            payload = bytes(bytearray([padding])) + b"x" * 1000 + b"\0" * padding
            tell(client, frame(frames.DATA, frames.PADDED, stream, payload))
            used += len(payload)
            back += given_back(said(client), stream)
            assert 65536 - used + back > 65536 // 3
    assert tell(client, frame(frames.DATA, 1, stream)) == [
        ("response", stream, 200, b"x" * 200000)]


def test_more_than_the_window_is_an_error():
    """Of the stream, or of the connection."""
    client = new_client()
    batch, _ = client.request([(b":method", b"GET", False)], b"", None)
    tell(client, headers(1, OK, False))
    client._partial.get(1).window.left = 10
    assert tell(client, frame(frames.DATA, 0, 1, b"x" * 11)) == [
        ("reset", 1, frames.FLOW_CONTROL_ERROR, False)]
    assert said(client) == [(frames.RST_STREAM, 0, 1, b"\0\0\0\3")]
    client._window.left = 10
    tell(client, frame(frames.DATA, 0, 1, b"x" * 11))
    assert client.error.code == frames.FLOW_CONTROL_ERROR
    assert batch.left == 0


# What ends before its time.

@pytest.mark.parametrize("is_settled", [True, False])
@pytest.mark.parametrize("ending, events", [
    (accept(1), []), (headers(1, OK, False) + frame(frames.DATA, 1, 1), []),
    (response(1, 413, b"{}"), [("response", 1, 413, b"{}")])])
def test_a_response_to_a_request_that_is_not_complete_ends_it(is_settled, ending, events):
    """The rest is not sent, and the stream is reset so that nobody waits for it."""
    client = new_client([(frames.INITIAL_WINDOW_SIZE, 2)], is_settled)
    batch, _ = start(client, 2, b"abcd")
    assert tell(client, ending) == events
    assert said(client) == [(frames.RST_STREAM, 0, 1, b"\0\0\0\0")]
    assert (batch.left, client.response_count) == (1, 1)
    tell(client, frames.window_update(1, 100), window_of(100))
    assert said(client) == [ACK, (frames.DATA, 1, 3, b"cd")]
    tell(client, frames.rst_stream(1, 0), accept(3))
    assert (client.error, client.accepted + len(events), batch.left) == (None, 2, 0)


def test_an_interim_response_does_not_end_a_request():
    """The rest is still wanted."""
    client = new_client([(frames.INITIAL_WINDOW_SIZE, 2)])
    start(client, 1, b"abcd")
    tell(client, headers(1, status_block(100), False), frames.window_update(1, 2))
    assert said(client) == [(frames.DATA, 1, 1, b"cd")]


def test_too_long_a_body_for_an_incomplete_request_is_one_reset():
    """A stream is reset once."""
    client = new_client([(frames.INITIAL_WINDOW_SIZE, 2)])
    start(client, 1, b"abcd")
    events = tell(client, headers(1, status_block(500), False)
                  + frame(frames.DATA, 0, 1, b"x" * 5000))
    assert events == [("response", 1, 500, b"")]
    assert said(client) == [(frames.RST_STREAM, 0, 1, b"\0\0\0\x08")]


def test_a_refused_request_is_forgotten_with_what_was_unsent():
    """Neither window nor number keeps others waiting; GOAWAY takes the rest away likewise."""
    client = new_client([(frames.INITIAL_WINDOW_SIZE, 2)])
    start(client, 3, b"abcd")
    assert tell(client, frames.rst_stream(1, 7)) == [("reset", 1, 7, True)]
    tell(client, frames.window_update(1, 2))
    assert said(client) == []
    assert tell(client, frames.goaway(3, 0)) == [("reset", 5, 0, True)]
    tell(client, frames.window_update(5, 2), frames.window_update(3, 2))
    assert said(client) == [(frames.DATA, 1, 3, b"cd")]
    tell(client, accept(3))
    assert (client.accepted, client.in_flight, client.error) == (1, 0, None)


@pytest.mark.parametrize("is_settled", [True, False])
def test_what_is_cancelled_may_still_have_a_response(is_settled):
    """Whatever still comes of it is ignored; what its status said before, holds."""
    client = new_client(is_settled=is_settled)
    batch, _ = start(client, 5)
    other, _ = start(client, 1)
    tell(client, accept(3), headers(5, OK, False), headers(7, status_block(400), False))
    assert client.cancel(batch) == [(0, True), (4, True)]
    assert client.cancel(batch) == []
    # The third was accepted and the fourth was not: their status has come.
    late, = client.events()
    assert (late.stream, late.status, late.body) == (7, 400, b"")
    assert (client.accepted, batch.left, other.left) == (2, 0, 1)
    assert [(kind, stream, payload) for kind, _, stream, payload in said(client)] == [
        (frames.RST_STREAM, stream, b"\0\0\0\x08") for stream in (1, 5, 7, 9)]
    assert tell(client, accept(1), frame(frames.DATA, 1, 5, b"x"),
                frame(frames.DATA, 1, 7, b"x"), response(9, 400, b"{}"),
                frames.rst_stream(1, 7), frames.window_update(1, 1)) == []
    assert client.in_flight == 1
    tell(client, accept(11))
    assert (client.accepted, client.error) == (3, None)


def test_one_request_is_cancelled_and_others_of_its_batch_go_on():
    """Whatever its owner calls it; one that has ended, or that is in no such batch, is not."""
    template = RequestTemplate(TOPIC, b"abcd")
    for indices in range(7, 12), [40, 9, 7, 8, 3]:
        client = new_client([(frames.INITIAL_WINDOW_SIZE, 2)])
        batch, _ = client.send(template, [TOKEN] * 5, indices, None, [])
        other, _ = client.send(template, [TOKEN] * 5, indices, None, [])
        assert [batch.stream_of(index) for index in indices] == [1, 3, 5, 7, 9]
        assert [batch.stream_of(index) for index in (6, 12, -1)] == [None] * 3
        assert client.has(batch, 8)
        assert client.cancel(batch, 8) == [(8, False)]
        assert not client.has(batch, 8)
        assert client.has(other, 8)
        assert client.cancel(batch, 8) == client.cancel(batch, 6) == []
        stream = batch.stream_of(8)
        assert said(client) == [(frames.RST_STREAM, 0, stream, b"\0\0\0\x08")]
        assert (batch.left, other.left, client.in_flight) == (4, 5, 9)
        tell(client, *[accept(one) for one in range(1, 21, 2)])
        assert (batch.left, other.left, client.accepted, client.error) == (0, 0, 9, None)


def test_what_was_cancelled_long_ago_may_have_a_response():
    """How many streams are remembered makes no difference to what is allowed."""
    client = new_client()
    for _ in range(12):
        client.cancel(start(client, 1000, b"")[0])
    assert len(client._streams._was_reset) < 5000
    batch, _ = start(client, 2, b"")
    tell(client, accept(1, 3, 12001, 23999))
    assert (client.error, client.accepted) == (None, 0)
    tell(client, accept(24001, 24003))
    assert (client.accepted, batch.left) == (2, 0)
    tell(client, accept(24001))
    assert client.error.code == frames.STREAM_CLOSED


def test_abandoned_requests_are_told_from_accepted_ones():
    """Whoever said 200 has accepted, even if the end of the response has not come.

    Any other status is a response as well, with as much of the body as there was.
    """
    client = new_client()
    asked, _ = client.request([(b":method", b"GET", False)], b"", "owner")
    batch, _ = start(client, 4)
    tell(client, accept(7), headers(3, OK, False), headers(5, status_block(400), False),
         headers(1, OK, False))
    tell(client, frame(frames.DATA, 0, 5, b'{"reason":"'))
    assert client.abandon() == [(asked, 1, True), (batch, 9, True)]
    assert [(event.stream, event.status, event.body) for event in client.events()] == [
        (5, 400, b'{"reason":"')]
    assert client.events() == []
    assert (client.accepted, client.in_flight, batch.left, asked.left) == (2, 0, 0, 0)


def test_requests_that_were_not_sent_to_their_end_are_told_apart():
    """Nobody can have processed them, whichever way they end."""
    client = new_client([(frames.INITIAL_WINDOW_SIZE, 2)])
    start(client, 1, b"ab")
    batch, _ = start(client, 5, b"abcd")
    tell(client, frames.window_update(3, 2))
    reset, = client.receive(frames.rst_stream(5, 2))
    assert (reset.stream, reset.is_unprocessed, reset.is_whole) == (5, False, False)
    reset, = client.receive(frames.rst_stream(1, 2))
    assert reset.is_whole
    broken, = client.receive(frame(frames.DATA, 0, 7, b"DATA before HEADERS"))
    assert (broken.stream, broken.is_whole) == (7, False)
    assert client.abandon() == [(batch, 3, True), (batch, 9, False), (batch, 11, False)]

    client = new_client([(frames.INITIAL_WINDOW_SIZE, 2)])
    batch, _ = start(client, 2, b"abcd")
    tell(client, frames.window_update(1, 2))
    assert client.cancel(batch) == [(0, True), (1, False)]


# Requests of another kind, and what the header blocks of both sides refer to.

def test_any_other_request_gets_its_response_whatever_it_is():
    """Even 200 is told, with its header and its body."""
    client = new_client()
    push, _ = start(client, 1)
    fields = [(b":method", b"POST", False), (b":path", b"/1/apps/x/channels", False)]
    batch, sent = client.request(fields, b"{}", "owner")
    kinds = [(kind, flags, stream) for kind, flags, stream, _ in FrameReader().feed(sent)]
    assert kinds == [(frames.HEADERS, 4, 3), (frames.DATA, 1, 3)]
    (event,) = client.receive(headers(3, OK + b"\x00\x01a\x01b", False)
                              + frame(frames.DATA, 1, 3, b"[]"))
    assert event == Response(batch, 3, 200, OK + b"\x00\x01a\x01b", b"[]")
    assert decode_block(event.block) == [(b":status", b"200"), (b"a", b"b")]
    batch, sent = client.request(fields, b"", "owner")
    assert [flags for _, flags, _, _ in FrameReader().feed(sent)] == [5]
    (event,) = client.receive(accept(5))
    assert (event.status, event.body, batch.left, batch.owner) == (200, b"", 0, "owner")
    tell(client, accept(1))
    assert (client.accepted, client.response_count, push.left) == (1, 3, 0)
    batch, _ = client.request(fields, b"", "owner")
    assert tell(client, frames.rst_stream(7, 2)) == [("reset", 7, 2, False)]
    assert batch.left == 0


def test_before_the_acknowledgement_responses_may_refer_to_earlier_ones():
    """And after it no more: the table is gone (RFC 7541, 4.2)."""
    for dropped in (False, True):
        client = new_client(is_settled=False)
        batch, _ = start(client, 2)
        other, _ = start(client, 3)
        encoder = hpack.Encoder()
        fields = [(b":status", b"410"), (b"apns-id", b"1234")]
        blocks = [encoder.encode([(b":status", b"200"), (b"apns-id", b"1234")]),
                  encoder.encode(fields), encoder.encode(fields)]
        assert len(blocks[2]) == 2
        if dropped:
            # What nobody wants any more has to be decoded all the same.
            client.cancel(batch)
        events = client.receive(headers(1, blocks[0]) + headers(3, blocks[1]))
        assert [(event.status, event.block) for event in events] == (
            [] if dropped else [(410, fields)])
        (event,) = client.receive(headers(5, blocks[2]))
        assert (event.batch, event.status, event.block) == (other, 410, fields)
        assert client.receive(frames.SETTINGS_ACK) == []
        encoder.header_table_size = 0
        (event,) = client.receive(headers(7, encoder.encode(fields)))
        assert (event.status, decode_block(event.block)) == (410, fields)
        assert client.receive(headers(9, blocks[2])) == []
        assert client.error.code == frames.COMPRESSION_ERROR


def test_the_servers_table_size_holds_from_the_next_request():
    """A decoder of that size, and none larger, understands what follows."""
    client = new_client()
    decoder = hpack.Decoder()
    template = RequestTemplate(TOPIC, b"")
    sent = {}
    for size in (4096, 0, 100, 65536, 0, 4096):
        tell(client, frames.settings_frame([(frames.HEADER_TABLE_SIZE, size)]))
        decoder.max_allowed_table_size = size
        for tokens in ([TOKEN] * 3, [TOKEN, TOKEN[:8]]):
            _, data = client.send(template, tokens, range(len(tokens)), None, [])
            for (_, _, stream, block), token in zip(FrameReader().feed(bytes(data)), tokens):
                fields = dict(decoder.decode(block, raw=True))
                sent[stream] = fields[b":path"]
                assert fields[b":path"] == b"/3/device/" + token
                assert fields[b"apns-topic"] == b"com.example.app"
                assert fields[b":authority"] == b"api.push.apple.com"
    assert sorted(sent) == list(range(1, 61, 2))


def test_tokens_that_cannot_be_sent_take_no_stream():
    """The others keep their indices and get consecutive streams."""
    client = new_client()
    template = RequestTemplate(TOPIC, b"{}")
    rejected = []
    tokens = [b"ab", u"cd", None, b"xy", b"abc", u"", TOKEN, u"\u0661\u0661", 7]
    batch, data = client.send(template, tokens, range(10, 19), "owner", rejected)
    sent = list(FrameReader().feed(bytes(data)))
    assert [(index, error.code) for index, error in rejected] == [
        (12, 2), (13, 8), (14, 8), (15, 2), (17, 8), (18, 8)]
    assert [stream for kind, _, stream, _ in sent if kind == frames.HEADERS] == [1, 3, 5]
    assert [batch.index_of(stream) for stream in (1, 3, 5)] == [10, 11, 16]
    assert (batch.left, client.in_flight) == (3, 3)
    assert client.send(template, [None, b"x"], [0, 1], None, []) == (None, b"")
    assert client.in_flight == 3
    assert client.send(template, [TOKEN], [0], None, [])[0].first == 7


@pytest.mark.parametrize("limit, digits", [(None, 16384), (8000, 8000), (1 << 20, 16384)])
@pytest.mark.parametrize("is_many", [False, True])
def test_a_token_that_no_header_has_room_for_is_not_sent(limit, digits, is_many):
    """The header list is what the server says, or a frame; its fields count 32 bytes more each."""
    client = new_client([] if limit is None else [(frames.MAX_HEADER_LIST_SIZE, limit)])
    fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/3/device/"),
              (b":authority", b"api.push.apple.com")] + [field[:2] for field in TOPIC]
    most = digits - sum(len(name) + len(value) + 32 for name, value in fields)
    longest, longer = b"a" * (most // 2 * 2), b"a" * (most // 2 * 2 + 2)
    for tokens, expected in ([TOKEN, longer, longest], [1]), ([longer] * 3, [0, 1, 2]), (
            [longest] * 3, []):
        rejected = []
        template = RequestTemplate(TOPIC, b"{}")
        if is_many:
            templates = [RequestTemplate(template.fields, b"{}") for _ in tokens]
            _, data = client.send_each(templates, tokens, range(3), None, rejected)
        else:
            _, data = client.send(template, tokens, range(3), None, rejected)
        assert [(index, error.code) for index, error in rejected] == [
            (index, 8) for index in expected]
        kinds = [kind for kind, _, _, _ in FrameReader().feed(bytes(data))]
        assert kinds == [frames.HEADERS, frames.DATA] * (3 - len(expected))


@pytest.mark.parametrize("limit", [None, 8000])
def test_a_header_of_its_own_that_is_too_long_keeps_back_no_other(limit):
    """Messages that are sent together may differ in their identifiers."""
    client = new_client([] if limit is None else [(frames.MAX_HEADER_LIST_SIZE, limit)])
    fields = [TOPIC + [(b"apns-collapse-id", b"x" * size, False)] for size in (1, 16384, 7000, 9)]
    # The first time the shared fields are put into the table.
    for expected in ([], [1]):
        templates, rejected = [RequestTemplate(each, b"{}") for each in fields], []
        if not expected:
            templates[1] = templates[0]
        _, data = client.send_each(templates, [TOKEN] * 4, range(4), None, rejected)
        assert [(index, error.code) for index, error in rejected] == [
            (index, 431) for index in expected]
        found = [(kind, len(payload)) for kind, _, _, payload in FrameReader().feed(bytes(data))]
        assert [kind for kind, _ in found] == [frames.HEADERS, frames.DATA] * (4 - len(expected))
        assert [size > 7000 for kind, size in found if kind == frames.HEADERS] == (
            [False] * (2 - len(expected)) + [True, False])
