"""The servers that the HTTP/2 benchmark talks to where it is given none: one process.

Started by ``bench_http2.py``. Prints one line of JSON with the addresses, and ends with its
standard input. There are four, over TLS, and any client certificate is taken:

- the simulator, which reads and checks each request as Apple would, and takes its time for it;
- the responder, which looks at the heads of the frames alone and answers each request with 200, by
  the hundred. It has Apple's settings. It is fast enough to tell what the client costs;
- the responder with a window for the connection that never limits, as nginx has it;
- the responder once more, which answers each tenth request with an error. By turns these are 410,
  with a time that differs from one to the next, and 400.
"""

from __future__ import absolute_import, division, print_function

import functools
import itertools
import json
import random
import struct
import sys

from bench_server import SSL, converse, flush, listen, new_context, pin, start
from six.moves import map, range

# isort: split
from apnsclient.testing.certs import Authority
from apnsclient.testing.simulator import Simulator

_PIECE = 262144
_HEAD = struct.Struct(">IBI")
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: The windows that a connection begins with, and the largest that there are (RFC 9113, 6.9).
_WINDOW, _WIDEST = 65535, 2 ** 31 - 1
#: Apple's: header table, streams, window, frame, header list.
_SETTINGS = [(1, 4096), (3, 1000), (4, _WINDOW), (5, 16384), (6, 8000)]
#: How a header block begins that has no dynamic table any more (RFC 7541, 6.3).
_NO_TABLE = b"\x20"
#: Header blocks up to the field apns-id, and its value's length.
_APNS_ID = b"\x00\x07apns-id\x24"
_OK, _BAD, _GONE = b"\x88" + _APNS_ID, b"\x8c" + _APNS_ID, b"\x08\x82\x68\x20" + _APNS_ID


def frame(kind, flags, stream, payload):
    return _HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def new_ids():
    """Return some thousand apns-ids in upper case, as Apple has them."""
    source = random.Random(2)
    for _ in range(4096):
        digits = "%032X" % source.getrandbits(128)
        yield "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20],
                        digits[20:])).encode("ascii")


class Responder(object):
    """Answers one connection's requests without reading them.

    :param is_failing: whether each tenth request fails.
    :param is_wide: whether the connection's window is as large as it can be.
    """

    def __init__(self, is_failing, is_wide):
        self._is_failing = is_failing
        self._is_wide = is_wide
        self._rest = b""
        self._is_first = True
        self._has_answered = False
        self._ids = itertools.cycle(list(new_ids()))
        self._packer = struct.Struct(">5sI%ds36s" % len(_OK))
        self._head = _HEAD.pack((len(_OK) + 36) << 8 | 1, 5, 0)[:5]
        self._failures = 0

    def receive(self, data):
        """Take bytes from the client; return what to send back."""
        self._rest += data
        out = []
        if self._is_first:
            if len(self._rest) < len(_PREFACE):
                return b""
            self._rest, self._is_first = self._rest[len(_PREFACE):], False
            out.append(frame(4, 0, 0, b"".join(struct.pack(">HI", *one) for one in _SETTINGS)))
            if self._is_wide:
                out.append(frame(8, 0, 0, struct.pack(">I", _WIDEST - _WINDOW)))
        streams, consumed = self._take(out)
        if consumed:
            out.append(frame(8, 0, 0, struct.pack(">I", consumed)))
        if streams:
            out += self._answers(streams)
        return b"".join(out)

    def _take(self, out):
        """Take all whole frames; return which streams have ended, and how long their DATA was."""
        buffer, position, streams, consumed = self._rest, 0, [], 0
        unpack, size = _HEAD.unpack_from, len(buffer)
        while size - position >= 9:
            length, flags, stream = unpack(buffer, position)
            end = position + 9 + (length >> 8)
            if end > size:
                break
            kind = length & 0xFF
            if kind == 0:
                consumed += length >> 8
            if kind < 2 and flags & 1:
                streams.append(stream)
            elif kind in (4, 6) and not flags & 1:
                out.append(frame(kind, 1, 0, buffer[position + 9:end] if kind == 6 else b""))
            position = end
        self._rest = buffer[position:]
        return streams, consumed

    def _answers(self, streams):
        if not self._has_answered:
            self._has_answered = True
            yield frame(1, 5, streams[0], _NO_TABLE + _OK + next(self._ids))
            del streams[0]
        if self._is_failing:
            for stream in (stream for stream in streams if stream % 20 == 11):
                yield self._failure(stream)
            streams = [stream for stream in streams if stream % 20 != 11]
        repeat = itertools.repeat
        yield b"".join(map(self._packer.pack, repeat(self._head), streams, repeat(_OK), self._ids))

    def _failure(self, stream):
        self._failures += 1
        if self._failures % 2:
            block, body = _BAD, b'{"reason":"BadDeviceToken"}'
        else:
            body = b'{"reason":"Unregistered","timestamp":%d}' % (1700000000000 + self._failures)
            block = _GONE
        return frame(1, 4, stream, block + next(self._ids)) + frame(0, 1, stream, body)


def respond(is_failing, is_wide, context, connected):
    """Serve one connection."""
    tls = SSL.Connection(context, None)
    tls.set_accept_state()
    piece = bytearray(16384)
    responder = Responder(is_failing, is_wide)
    is_open = False
    while True:
        came = []
        try:
            if not is_open:
                tls.do_handshake()
                is_open = True
            while True:
                came.append(bytes(piece[:tls.recv_into(piece)]))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            return
        if came:
            answer = responder.receive(b"".join(came))
            if answer:
                tls.sendall(answer)
        flush(tls, connected)
        data = connected.recv(_PIECE)
        if not data:
            return
        tls.bio_write(data)


def main():
    pin(-1)
    authority = Authority("benchmark")
    context = new_context(
        authority.issue("127.0.0.1", addresses=["127.0.0.1"], usage="server").pem)
    context.set_alpn_select_callback(lambda _, offered: b"h2")
    addresses = {}
    for name in ("responder", "wide", "failing"):
        listener = listen()
        addresses[name] = listener.getsockname()
        start(serve, listener, context, functools.partial(
            respond, name == "failing", name == "wide"))
    with Simulator(record=False) as simulator:
        addresses["simulator"] = simulator.provider_address
        certificate = simulator.client_certificate(topic="com.example.app")
        print(json.dumps({"addresses": addresses, "certificate": certificate}))
        sys.stdout.flush()
        sys.stdin.read()


def serve(listener, context, talk):
    """Accept connections for ever; each gets a thread."""
    while True:
        start(converse, context, listener.accept()[0], talk)


if __name__ == "__main__":
    main()
