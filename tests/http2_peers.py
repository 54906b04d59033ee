"""HTTP/2 servers in a thread: one on h2, and one that does what the server of Go's net/http does.

Each is a function of a TLS connection, for ``Server`` of ``stdio_support``, and writes down what it
has responded with to which token. What a client may not do raises there.
"""

from __future__ import absolute_import, division, print_function

import json
import select
import socket
import threading

import h2.config
import h2.connection
import h2.events
import hpack
from h2.settings import SettingCodes
from OpenSSL import SSL

from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.frames import FrameReader
from stdio_support import GONE, Server, over_tls, read_exactly, server_context

IDENTIFIER = b"EC1BF194-B3B2-424A-89A9-5A918A6E6B5D"
#: Seconds of silence after which the Go-like server believes that the client has heard its warning.
PAUSE = 0.05


def serving(function):
    """Return a server, to be entered, that runs a function of a TLS connection with ALPN."""
    context = server_context()
    context.set_alpn_select_callback(lambda tls, protocols: b"h2")
    return Server(over_tls(function, context))


class Verdicts(object):
    """The status for each token: the last digit decides.

    :ivar statuses: ``{token: [status, ...]}``.
    :ivar connections: how many connections there were (int).
    """

    def __init__(self):
        self.statuses = {}
        self.connections = 0
        self.lock = threading.Lock()

    def judge(self, path, body, expected):
        """Return status and body of the response to a request, and write it down."""
        assert path.startswith(b"/3/device/") and body == expected, (path, body)
        token = path[len(b"/3/device/"):].decode("ascii")
        status, said = 200, None
        if token.endswith("a"):
            status, said = 400, {"reason": "BadDeviceToken"}
        elif token.endswith("b"):
            status, said = 410, {"reason": "Unregistered", "timestamp": 1454402113000}
        with self.lock:
            self.statuses.setdefault(str(token), []).append(status)
        return status, b"" if said is None else json.dumps(said).encode("ascii")


def receive(tls):
    """Return what has come, or ``b""`` at the end."""
    try:
        return tls.recv(65536)
    except (SSL.ZeroReturnError, SSL.SysCallError):
        return b""


class H2Server(Verdicts):
    """The server of the library h2, which raises for whatever it does not expect of a client.

    :param expected: the body of each request (bytes).
    :param limits: limits of streams, from one of which it goes on to the next every fifty requests.
    """

    def __init__(self, expected, limits):
        super(H2Server, self).__init__()
        self._expected = expected
        self._limits = limits

    def __call__(self, tls):
        self.connections += 1
        server = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding=None))
        server.initiate_connection()
        tls.sendall(server.data_to_send())
        requests, changes, is_acknowledged = {}, 0, False
        while True:
            data = receive(tls)
            if not data:
                return
            events = server.receive_data(data)
            for event in events:
                self._take(server, requests, event)
                if isinstance(event, h2.events.SettingsAcknowledged):
                    is_acknowledged = True
            if isinstance(events and events[-1], h2.events.ConnectionTerminated):
                # Nothing is in flight, and h2 lets nothing more be said.
                is_acknowledged = False
            # It takes one acknowledgement for those of several changes.
            if is_acknowledged and len(self.statuses) >= 50 * (changes + 1):
                limit, is_acknowledged = self._limits[changes % len(self._limits)], False
                server.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: limit})
                changes += 1
            tls.sendall(server.data_to_send())

    def _take(self, server, requests, event):
        if isinstance(event, h2.events.RequestReceived):
            requests[event.stream_id] = [dict(event.headers), b""]
        elif isinstance(event, h2.events.DataReceived):
            requests[event.stream_id][1] += event.data
            server.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            fields, body = requests.pop(event.stream_id)
            self._respond(server, event.stream_id, fields, body)
        assert not isinstance(event, h2.events.StreamReset)

    def _respond(self, server, stream, fields, body):
        status, said = self.judge(fields[b":path"], body, self._expected)
        server.send_headers(stream, [(b":status", str(status).encode("ascii")),
                                     (b"apns-id", IDENTIFIER)], end_stream=not said)
        if said:
            server.send_data(stream, said, end_stream=True)


class GoServer(Verdicts):
    """What the server of Go's net/http does, frame by frame.

    Its settings and a larger window come before it has read anything. Header blocks are Huffman
    coded and refer to its table as long as it has not acknowledged the client's settings; the next
    block then shrinks the table. Windows are given back as bodies are read. The shutdown begins
    with a GOAWAY that allows for all streams; after a while there is one that names the last.

    :param expected: the body of each request (bytes).
    :param early: every so many requests one is responded to before its body, and is reset.
    :param shutdown_after: requests after which a connection shuts down (int).
    """

    SETTINGS = [(frames.MAX_FRAME_SIZE, 1 << 20), (frames.MAX_CONCURRENT_STREAMS, 250),
                (frames.MAX_HEADER_LIST_SIZE, (1 << 20) + 320),
                (frames.INITIAL_WINDOW_SIZE, 1 << 20)]
    #: Requests with a response before the client's settings are acknowledged.
    UNSETTLED = 60
    #: Requests after each of which there is a PING.
    PING_EVERY = 100

    def __init__(self, expected, early, shutdown_after):
        super(GoServer, self).__init__()
        self.expected = expected
        self.early = early
        self.shutdown_after = shutdown_after

    def __call__(self, tls):
        self.connections += 1
        _GoConversation(self, tls).run()


class _GoConversation(object):
    """One connection to :class:`GoServer`."""

    def __init__(self, server, tls):
        self._server = server
        self._tls = tls
        self._reader = FrameReader(1 << 20)
        self._decoder = hpack.Decoder()
        self._encoder = hpack.Encoder()
        self._output = []
        self._requests = {}
        self._finished = set()
        self._last = self._count = 0
        self._is_settled = self._is_leaving = self._has_left = False
        self._pings = self._pongs = 0
        self._held = []

    def run(self):
        self._tls.sendall(frames.settings_frame(GoServer.SETTINGS)
                          + frames.window_update(0, (1 << 20) - frames.DEFAULT_WINDOW))
        assert read_exactly(self._tls, len(frames.PREFACE)) == frames.PREFACE
        while True:
            if self._is_leaving and not self._has_left and self._is_silent():
                self._leave()
            if self._has_left and not self._requests:
                self._close()
                return
            data = receive(self._tls)
            if not data:
                return
            for frame in self._reader.feed(data):
                self._take(*frame)
            self._flush()

    def _is_silent(self):
        return not self._tls.pending() and not select.select(
            [self._tls._socket], [], [], PAUSE)[0]

    def _leave(self):
        """Name the last stream; then respond to what was held back."""
        self._has_left = True
        self._output.append(frames.goaway(self._last, frames.NO_ERROR))
        self._flush()
        for stream, status, said in self._held:
            self._response(stream, status, said)
        self._flush()

    def _close(self):
        # The responses to the last of them may be among what is not read any more.
        assert self._pongs * 2 > self._pings
        try:
            self._tls.shutdown()
            self._tls._socket.shutdown(socket.SHUT_WR)
            while receive(self._tls):
                pass
        except GONE:
            pass  # Who has all responses waits for nobody.

    def _flush(self):
        if self._output:
            self._tls.sendall(b"".join(self._output))
            del self._output[:]

    def _take(self, kind, flags, stream, payload):
        if kind == frames.HEADERS:
            fields = dict(self._decoder.decode(payload, raw=True))
            assert stream > self._last and stream & 1 and flags & frames.END_HEADERS
            if self._has_left:
                self._finished.add(stream)
                return
            self._last = stream
            self._count += 1
            self._requests[stream] = [bytes(fields[b":path"]), b""]
            assert len(self._requests) <= 250
            if self._count % self._server.early == 0:
                self._respond_early(stream)
        elif kind == frames.DATA:
            self._take_data(flags, stream, payload)
        elif kind == frames.PING and flags & frames.ACK:
            self._pongs += 1
            assert payload == b"%08d" % self._pongs
        else:
            assert kind in (frames.SETTINGS, frames.WINDOW_UPDATE, frames.GOAWAY), kind

    def _respond_early(self, stream):
        """Do as a handler that does not read the body: the client is told not to send it."""
        path, _ = self._requests.pop(stream)
        self._finished.add(stream)
        status, said = self._server.judge(path, b"", b"")
        self._response(stream, status, said)
        self._output.append(frames.rst_stream(stream, frames.NO_ERROR))

    def _take_data(self, flags, stream, payload):
        self._output.append(frames.window_update(0, len(payload)))
        if stream in self._finished:
            return
        request = self._requests[stream]
        request[1] += payload
        if not flags & frames.END_STREAM:
            self._output.append(frames.window_update(stream, len(payload)))
            return
        del self._requests[stream]
        status, said = self._server.judge(request[0], request[1], self._server.expected)
        if self._is_leaving and not self._has_left:
            self._held.append((stream, status, said))
        else:
            self._response(stream, status, said)
        self._go_on()

    def _go_on(self):
        """Do what is due after so many requests."""
        count = self._count
        if not self._is_settled and count >= GoServer.UNSETTLED:
            self._is_settled = True
            self._output.append(frames.SETTINGS_ACK)
            self._encoder.header_table_size = 0
        if count // GoServer.PING_EVERY > self._pings:
            self._pings += 1
            self._output.append(frames.ping(b"%08d" % self._pings))
        if count >= self._server.shutdown_after and not self._is_leaving:
            self._is_leaving = True
            self._output.append(frames.goaway(frames.LARGEST_STREAM, frames.NO_ERROR))

    def _response(self, stream, status, said):
        date = b"Mon, 21 Oct 2013 20:13:%02d GMT" % (stream % 60)
        block = self._encoder.encode([(b":status", str(status).encode("ascii")),
                                      (b"apns-id", IDENTIFIER), (b"date", date)])
        self._output.append(frames.header_frames(stream, block, not said))
        if said:
            self._output.append(frames.data_frames(stream, said, True))
