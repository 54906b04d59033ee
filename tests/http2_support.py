"""What the tests of the HTTP/2 client share: a connection, and frames that a server sends."""

from __future__ import absolute_import, division, print_function

from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.client import ClientConnection
from apnsclient.protocols.http2.events import Response
from apnsclient.protocols.http2.frames import FrameReader
from apnsclient.protocols.http2.requests import RequestTemplate

#: The header block of a response with status 200.
OK = b"\x88"
TOPIC = [(b"apns-topic", b"com.example.app", True)]
TOKEN = b"0123456789abcdef" * 4


def status_block(status):
    """Return a header block that names a status, without Huffman code."""
    return b"\x08\x03" + str(status).encode("ascii")


def headers(stream, block=OK, is_end=True):
    """Return the frame of a header block."""
    return frames.header_frames(stream, block, is_end)


def accept(*streams):
    """Return the responses with status 200 on several streams."""
    return b"".join(headers(stream) for stream in streams)


def response(stream, status, body):
    """Return a response with a body."""
    return headers(stream, status_block(status), False) + frames.data_frames(stream, body, True)


def tell(client, *pieces):
    """Have a client receive bytes; return what happened as plain tuples."""
    told = []
    for piece in pieces:
        for event in client.receive(piece):
            assert event.batch.left >= 0
            if isinstance(event, Response):
                assert isinstance(event.body, bytes)
                told.append(("response", event.stream, event.status, event.body))
            else:
                told.append(("reset", event.stream, event.code, event.is_unprocessed))
    return told


def said(client):
    """Return the frames that a client has to send beside requests."""
    reader = FrameReader()
    found = list(reader.feed(client.output()))
    return found


def new_client(settings=(), is_settled=True, **options):
    """Return a client to which a server has sent its settings, and whose first words were heard.

    :param is_settled: whether the server has acknowledged the client's settings, too.
    :param options: those of the client.
    """
    client = ClientConnection(b"api.push.apple.com", **options)
    assert client.output().startswith(frames.PREFACE)
    data = frames.settings_frame(settings) + (frames.SETTINGS_ACK if is_settled else b"")
    assert tell(client, data) == []
    assert client.error is None
    assert said(client) == [(frames.SETTINGS, frames.ACK, 0, b"")]
    return client


def start(client, count=1, payload=b"{}", owner=None, tokens=None):
    """Start requests; return their batch and the frames that have to be sent."""
    tokens = [TOKEN] * count if tokens is None else tokens
    rejected = []
    batch, data = client.send(RequestTemplate(TOPIC, payload), tokens, range(len(tokens)),
                              owner, rejected)
    assert rejected == []
    return batch, list(FrameReader().feed(bytes(data)))


def data_of(found, stream):
    """Return the DATA on one stream among frames, and whether it ends the stream."""
    mine = [(flags, payload) for kind, flags, number, payload in found
            if kind == frames.DATA and number == stream]
    ends = [bool(flags & frames.END_STREAM) for flags, _ in mine]
    assert not any(ends[:-1])
    return b"".join(payload for _, payload in mine), bool(ends and ends[-1])
