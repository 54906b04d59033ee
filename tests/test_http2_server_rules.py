"""Rules of HTTP/2 that bind the server's side itself, frame by frame."""

from __future__ import absolute_import, division, print_function

import pytest

pytest.importorskip("hpack")

from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.headers import literal_field
from apnsclient.protocols.http2.server import ServerConnection
from apnsclient.protocols.http2.server_headers import EMPTY_TABLE, response_block
from http2_support import headers

HELLO = frames.PREFACE + frames.settings_frame(()) + frames.SETTINGS_ACK
#: A request without a body.
REQUEST = b"\x83\x87" + literal_field(b":path", b"/3/device/" + b"ab" * 32)


def talk(*parts):
    """Return a server that has been sent its greeting and frames, and whose words were heard."""
    server = ServerConnection()
    server.receive(HELLO + b"".join(parts))
    assert server.error is None
    said(server)
    return server


def said(server):
    """Return the frames that a server has to send."""
    return list(frames.FrameReader().feed(server.take_output()))


def test_the_first_response_that_is_sent_says_that_our_table_is_empty():
    """A response to a stream that the client has reset is not sent (RFC 7541, 4.2)."""
    server = talk(frames.settings_frame([(frames.HEADER_TABLE_SIZE, 0)]), headers(1, REQUEST),
                  frames.rst_stream(1, frames.CANCEL), headers(3, REQUEST))
    for stream in (1, 3):
        server.response(stream, response_block(200))

    assert [(stream, payload) for _, _, stream, payload in said(server)] == [
        (3, EMPTY_TABLE + response_block(200))]


@pytest.mark.parametrize("update, code", [(b"", frames.COMPRESSION_ERROR), (EMPTY_TABLE, None)])
def test_a_client_that_goes_on_with_a_table_that_is_to_shrink_is_told(update, code):
    """The first block after it has acknowledged that says so, or breaks a rule (RFC 7541, 4.2)."""
    server = talk(headers(1, REQUEST))
    server.change_settings([(frames.HEADER_TABLE_SIZE, 0)])
    server.receive(frames.SETTINGS_ACK + headers(3, update + REQUEST))

    assert (server.error and server.error.code) == code


def test_an_empty_frame_needs_no_window_and_gives_none_back():
    """It may end a request also where the window has shrunk below zero (RFC 9113, 6.9.1)."""
    server = talk(headers(1, REQUEST, False), frames.data_frames(1, b"x" * 1000, False))
    server.change_settings([(frames.INITIAL_WINDOW_SIZE, 0)])
    server.receive(frames.SETTINGS_ACK)
    said(server)

    requests = server.receive(
        frames.data_frames(1, b"", True) + headers(3, REQUEST, False)
        + frames.data_frames(3, b"", False) + frames.data_frames(3, b"", True))
    assert [request.body for request in requests] == [b"x" * 1000, b""]
    assert said(server) == []


def test_a_later_goaway_names_no_later_stream():
    """Neither one of ours nor that of an error: the client may have sent again what was above."""
    server = talk(headers(1, REQUEST), headers(3, REQUEST))
    server.goaway(1, frames.NO_ERROR)
    server.goaway(3, frames.NO_ERROR)
    server.receive(headers(5, REQUEST) + frames.frame(frames.DATA, 0, 0))

    assert server.error is not None
    assert [frames.read_goaway(payload)[0] for kind, _, _, payload in said(server)
            if kind == frames.GOAWAY] == [1, 1, 1]
