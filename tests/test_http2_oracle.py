"""The HTTP/2 client against h2, which was written by other people, as the server.

Hypothesis drives both sides: requests, responses of every kind, resets, settings and windows, in
any order, with the bytes between them cut anywhere. h2 raises as soon as our side breaks a rule. At
the end each request has ended exactly once, and in what the server did with it.

GOAWAY is missing: h2 takes it for the end of everything and cannot drain. See test_http2_client.
"""

from __future__ import absolute_import, division, print_function

from collections import OrderedDict

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.settings import SettingCodes
from hypothesis import example, given
from hypothesis import strategies as st

from apnsclient.protocols.http2.client import ClientConnection
from apnsclient.protocols.http2.events import Response
from apnsclient.protocols.http2.requests import RequestTemplate
from effort import examples

TOPIC = [(b"apns-topic", b"com.example.app", True), (b"apns-expiration", b"0", False)]
STATUSES = [200, 200, 200, 201, 400, 403, 410, 429, 500, 503]
CODES = [0, 1, 2, 7, 7, 7, 8, 11, 13, 0x1234]
#: Header fields of responses; the last makes more than one frame.
FIELDS = [[], [(b"apns-id", b"EC1BF194-B3B2-424A-89A9-5A918A6E6B5D")],
          [(b"x-long", b"y" * 20000)]]


class Oracle(h2.connection.H2Connection):
    """h2, of which the last version for Python 2.7 takes one thing for an error that is none.

    A window may be given back for a stream that the server has ended in the meantime (RFC 9113,
    5.1, "closed").
    """

    def _receive_window_update_frame(self, received):
        try:
            return super(Oracle, self)._receive_window_update_frame(received)
        except h2.exceptions.StreamClosedError:
            return [], []


class Server(object):
    """h2, and what it did with each stream."""

    def __init__(self):
        self.h2 = Oracle(
            h2.config.H2Configuration(client_side=False, header_encoding=None))
        self.h2.initiate_connection()
        #: How many SETTINGS the client has not acknowledged.
        self.unacknowledged = 1
        #: Open streams: header, body so far, whether it is complete.
        self.requests = OrderedDict()
        #: What the client is to find out: status and body, or the code of a reset.
        self.verdicts = {}
        #: Bodies that are not sent completely: what is left, and whether trailers follow.
        self.unsent = OrderedDict()
        self.cancelled = set()
        self.received = {}

    def update_settings(self, changes):
        """Change settings, one frame at a time: h2 takes one acknowledgement for those of several.
        """
        if not self.unacknowledged:
            self.h2.update_settings(changes)
            self.unacknowledged = 1

    def receive(self, data):
        for event in self.h2.receive_data(data):
            stream = getattr(event, "stream_id", None)
            if isinstance(event, h2.events.RequestReceived):
                assert stream not in self.received
                self.requests[stream] = dict(event.headers)
                self.received[stream] = [self.requests[stream], b"", False]
            elif isinstance(event, h2.events.DataReceived):
                self.received[stream][1] += event.data
            elif isinstance(event, h2.events.StreamEnded):
                self.received[stream][2] = True
            elif isinstance(event, h2.events.StreamReset):
                self.requests.pop(stream, None)
                self.unsent.pop(stream, None)
                # h2 names its own resets too.
                if getattr(event, "remote_reset", True):
                    self.cancelled.add(stream)
            elif isinstance(event, h2.events.SettingsAcknowledged):
                self.unacknowledged -= 1
            else:
                assert not isinstance(event, h2.events.ConnectionTerminated), event

    def respond(self, stream, status, fields, body, padding, shape):
        """Respond to a request, complete or not, as far as the client's windows allow."""
        del self.requests[stream]
        self.verdicts[stream] = ("response", status, body)
        if shape & 1:
            self.h2.send_headers(stream, [(b":status", b"100")])
        head = [(b":status", str(status).encode("ascii"))] + fields
        is_whole = not body and shape & 2
        self.h2.send_headers(stream, head, end_stream=bool(is_whole))
        if not is_whole:
            self.unsent[stream] = [body, padding, shape & 4,
                                   4000 if len(body) > 4000 else 1 + shape * 97]
            self.send_bodies()

    def send_bodies(self):
        for stream, (body, padding, has_trailers, piece) in list(self.unsent.items()):
            while body:
                window = self.h2.local_flow_control_window(stream)
                size = min(piece, len(body), window - (padding or 0) - 1)
                if size <= 0:
                    break
                self.h2.send_data(stream, body[:size], pad_length=padding)
                body = body[size:]
            self.unsent[stream][0] = body
            if not body:
                del self.unsent[stream]
                if has_trailers:
                    self.h2.send_headers(stream, [(b"x-trailer", b"1")], end_stream=True)
                else:
                    self.h2.end_stream(stream)

    def reset(self, stream, code):
        del self.requests[stream]
        self.verdicts[stream] = ("reset", code)
        self.h2.reset_stream(stream, code)


class Conversation(object):
    """Both sides and the bytes between them."""

    def __init__(self, is_cautious):
        self.client = ClientConnection(b"api.push.apple.com:443", is_cautious)
        self.client.encoder.authorization = b"bearer " + b"x" * 200
        self.server = Server()
        self.buffer = []
        self.to_server = self.to_client = b""
        self.batches = []
        self.expected = {}
        self.ended = {}

    # What the client does.

    def push(self, count, size, kind):
        """Start some requests, with tokens that are alike or not, and a payload of their own."""
        count = min(count, self.client.room(size))
        if not count:
            return
        tokens = [u"%064x" % (len(self.expected) + number) for number in range(count)]
        if kind & 1:
            tokens = [token.encode("ascii") for token in tokens]
        if kind & 2:
            tokens = [token[:2 + 2 * (number % 7)] for number, token in enumerate(tokens)]
        payload = (b"%d." % len(self.expected) * size)[:size]
        batch, frames = self.client.send(
            RequestTemplate(TOPIC, payload), tokens, range(count), "owner", [])
        self.buffer.append(bytes(frames))
        self.batches.append(batch)
        for number, token in enumerate(tokens):
            token = token if isinstance(token, bytes) else token.encode("ascii")
            self.expected[batch.first + 2 * number] = b"/3/device/" + token, payload

    def ask(self, size):
        if not self.client.room(size):
            return
        body = b"q" * size
        batch, frames = self.client.request(
            [(b":method", b"POST", False), (b":scheme", b"https", False),
             (b":authority", b"host", True), (b":path", b"/1/apps/a/channels", False)], body, None)
        self.buffer.append(bytes(frames))
        self.batches.append(batch)
        self.expected[batch.first] = b"/1/apps/a/channels", body

    def cancel(self, number, place=None):
        """Give up a batch, or the request in one place of it."""
        if self.batches:
            self.flush()
            batch = self.batches[number % len(self.batches)]
            one = None if place is None else place % len(batch.indices)
            assert one is None or batch.stream_of(one) == batch.first + 2 * one
            for index, _ in self.client.cancel(batch, one):
                self.end(batch.first + 2 * index, "cancelled")
            for event in self.client.events():
                self.end(event.stream, ("cut off", event.status))

    def end(self, stream, how):
        assert stream not in self.ended
        self.ended[stream] = how

    def flush(self):
        """Write as the driver does: first what acknowledges settings, then what obeys them."""
        self.to_server += self.client.output() + b"".join(self.buffer)
        self.buffer = []

    # Bytes from one side to the other.

    def carry_to_server(self, size):
        self.flush()
        data, self.to_server = self.to_server[:size], self.to_server[size:]
        self.server.receive(data)
        self.server.send_bodies()
        self.to_client += self.server.h2.data_to_send()

    def carry_to_client(self, size):
        self.flush()
        self.to_client += self.server.h2.data_to_send()
        data, self.to_client = self.to_client[:size], self.to_client[size:]
        for event in self.client.receive(data):
            if isinstance(event, Response):
                self.end(event.stream, ("response", event.status, event.body))
            else:
                assert event.is_unprocessed == (event.code == 7)
                self.end(event.stream, ("reset", event.code))
        assert self.client.error is None, self.client.error

    # What the server does.

    def pick(self, number):
        streams = list(self.server.requests)
        return streams[number % len(streams)] if streams else None

    def respond(self, one, two):
        stream = self.pick(one)
        if stream is not None:
            body = b"{}" * (two % 40) if two % 3 else b""
            if two % 23 == 0 and self.expected[stream][0].startswith(b"/1/"):
                body = b"large" * 15000
            padding = None if two % 5 else two % 256
            fields = FIELDS[2 if two % 41 == 0 else two % 2]
            self.server.respond(stream, STATUSES[two % 10], fields, body, padding,
                               (two // 11) % 8)

    def reset(self, one, two):
        stream = self.pick(one)
        if stream is not None:
            self.server.reset(stream, CODES[two % len(CODES)])

    def give(self, one, two):
        """Give windows back, of the connection and of a stream."""
        if one % 3:
            self.server.h2.increment_flow_control_window(1 + two)
        stream = self.pick(one)
        if stream is not None and not self.server.received[stream][2]:
            self.server.h2.increment_flow_control_window(1 + two * 7, stream)

    def change(self, one, two):
        key, values = [
            (SettingCodes.MAX_CONCURRENT_STREAMS, [0, 1, 3, 20, 1000]),
            (SettingCodes.INITIAL_WINDOW_SIZE, [0, 1, 100, 5000, 65535, 200000]),
            (SettingCodes.HEADER_TABLE_SIZE, [0, 60, 150, 4096, 65536]),
            (SettingCodes.MAX_FRAME_SIZE, [16384, 20000, 16777215]),
        ][one % 4]
        self.server.update_settings({key: values[two % len(values)]})

    def settle(self):
        """Have both sides hear everything that the other has said."""
        for _ in range(2):
            self.carry_to_server(1 << 30)
            self.carry_to_client(1 << 30)
        assert not self.server.unacknowledged

    def finish(self):
        """Have the server take, and respond to, everything that is left."""
        for _ in range(200):
            self.carry_to_server(1 << 30)
            self.carry_to_client(1 << 30)
            self.server.h2.increment_flow_control_window(100000)
            for stream, request in list(self.server.requests.items()):
                assert request is self.server.received[stream][0]
                if self.server.received[stream][2]:
                    self.server.respond(stream, 200, [], b"", None, 2)
                else:
                    self.server.h2.increment_flow_control_window(70000, stream)
            if not (self.client.in_flight or self.to_server or self.to_client):
                break
        self.settle()

    def check(self):
        """Each request has ended once, in what the server did with it."""
        assert self.client.in_flight == 0
        assert all(batch.left == 0 for batch in self.batches)
        accepted = 0
        for stream, (path, payload) in self.expected.items():
            verdict, ended = self.server.verdicts.get(stream), self.ended.get(stream)
            if ended is None:
                assert verdict[:2] == ("response", 200)
                accepted += 1
            elif ended[0] == "cut off":
                # The status had come, and nobody waited for the rest.
                assert verdict[:2] == ("response", ended[1])
            elif ended != "cancelled":
                assert ended == verdict
            request, body, is_complete = self.server.received[stream]
            assert request[b":path"] == path
            assert payload.startswith(body)
            assert not is_complete or payload == body
            if path.startswith(b"/3/"):
                assert request[b"authorization"] == self.client.encoder.authorization
                assert request[b"apns-topic"] == b"com.example.app"
        assert accepted == self.client.accepted
        assert set(self.server.received) == set(self.expected)
        assert set(self.ended) <= set(self.expected)


ACTIONS = {
    "push": lambda both, one, two: both.push(1 + one % 9, two % 1000, two),
    "push one": lambda both, one, two: both.push(1, (one * two) % 70000, two),
    "push many": lambda both, one, two: both.push(60, two % 100, one),
    "ask": lambda both, one, two: both.ask(two % 50),
    "cancel": lambda both, one, two: two % 3 or both.cancel(one),
    "cancel one": lambda both, one, two: both.cancel(one, two),
    "ping": lambda both, one, two: both.client.ping(b"%08d" % one),
    "to server": lambda both, one, two: both.carry_to_server(one),
    "to client": lambda both, one, two: both.carry_to_client(one),
    "all to server": lambda both, one, two: both.carry_to_server(1 << 30),
    "all to client": lambda both, one, two: both.carry_to_client(1 << 30),
    "respond": Conversation.respond,
    "respond to some": lambda both, one, two: [both.respond(one, two + more) for more in range(9)],
    "respond to many": lambda both, one, two: [both.respond(0, two + more) for more in range(50)],
    "reset": Conversation.reset,
    "give": Conversation.give,
    "give more": lambda both, one, two: both.give(one, two * 50),
    "change": Conversation.change,
    "ping back": lambda both, one, two: both.server.h2.ping(b"%08d" % one),
}

actions = st.lists(st.tuples(st.sampled_from(sorted(ACTIONS)), st.integers(0, 300),
                             st.integers(0, 2000)), min_size=20, max_size=80)
options = st.fixed_dictionaries({
    SettingCodes.MAX_CONCURRENT_STREAMS: st.sampled_from([1000, 10, 1]),
    SettingCodes.INITIAL_WINDOW_SIZE: st.sampled_from([65535, 0, 1, 50, 1 << 20]),
    SettingCodes.HEADER_TABLE_SIZE: st.sampled_from([0, 100, 4096, 10000]),
})


#: A request is cancelled between the head of its response and the end.
CUT_OFF = [("push", 0, 0), ("all to server", 0, 0), ("respond", 0, 154), ("to client", 11, 0),
           ("cancel", 0, 0)]


@examples(80)
@example({SettingCodes.MAX_CONCURRENT_STREAMS: 1000, SettingCodes.INITIAL_WINDOW_SIZE: 65535,
          SettingCodes.HEADER_TABLE_SIZE: 0}, False, CUT_OFF)
@given(options, st.sampled_from([False, False, False, True]), actions)
def test_each_request_ends_in_what_h2_did_with_it(chosen, is_cautious, steps):
    """Whatever both sides do, and however the bytes between them are cut."""
    both = Conversation(is_cautious)
    both.settle()
    both.server.update_settings(chosen)
    both.carry_to_client(1 << 30)
    for name, one, two in steps:
        ACTIONS[name](both, one, two)
    both.finish()
    both.check()
