"""State of an HTTP/2 connection on the server's side: bytes in, requests out, bytes back.

It is the simulator's, so it serves strictly: a client that breaks a rule of RFC 9113 learns of it
through the right error code instead of getting along. A request is handed over once it is complete;
the response to it can be given at any later time. What the windows of the client do not allow to be
sent waits.

Each rule about what may arrive when stands in one of the methods named after a type of frame.
"""

from __future__ import absolute_import, division, print_function

from collections import deque, namedtuple

from ..._compat import MYPY
from . import frames
from .frames import (
    DATA,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    HEADERS,
    LARGEST_WINDOW,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    Http2Error,
)
from .server_headers import (
    FieldChecker,
    RequestDecoder,
    check_trailers,
    list_size,
    response_block,
)
from .server_responses import ResponseSender
from .server_streams import PLAIN, ClosedStreams, Stream

if MYPY:
    from typing import Deque, Dict, Iterable, List, Optional, Sequence, Tuple

    from .server_streams import Shape

    Settings = Sequence[Tuple[int, int]]
    Field = Tuple[bytes, bytes]

__all__ = ["Request", "ServerConnection"]

#: Bytes of a body that are kept; what goes beyond is counted as one byte.
LARGEST_BODY = 65536
#: Bytes of a header block before it is decoded.
LARGEST_BLOCK = 65536
#: Frames that one header block may be spread over.
MOST_CONTINUATIONS = 256
#: Bytes of the connection's window that are given back in one go.
_WINDOW_STEP = frames.DEFAULT_WINDOW // 2

#: Refused requests that are kept until they are taken, at most so many of the last.
_MOST_REFUSALS = 200

_checker = FieldChecker()

#: A request that is complete: number of the stream (int), fields (list of ``(name, value)`` in
#: bytes) and body (bytes; if it is too long, only the beginning, see :data:`LARGEST_BODY`).
Request = namedtuple("Request", "stream fields body")


class ServerConnection(object):
    """One connection.

    :param settings: ``(identifier, value)`` pairs that are sent at the beginning. The limit of
        streams among them holds at once, everything else once the client has acknowledged it.
    :param window_step: after how many received bytes they are given back; 0 for never, None for
        half a window.
    :param has_encoder: True if the blocks of the responses come from an encoder that uses the
        dynamic table, and announces its size by itself.
    :raises ImportError: if the library ``hpack`` is not installed.

    :ivar error: the :class:`Http2Error` that ended the connection, None as long as it goes on.
    :ivar last_stream: number of the last stream that the client opened.
    :ivar resets_late_data: True resets a stream that was refused again, with STREAM_CLOSED, when
        DATA comes on it; it is ignored otherwise, as RFC 9113, 5.1 advises.
    """

    def __init__(self, settings=(), window_step=None, has_encoder=False):
        # type: (Settings, Optional[int], bool) -> None
        self.error = None  # type: Optional[Http2Error]
        self.last_stream = 0
        self.resets_late_data = False
        self._preface = frames.PREFACE
        self._is_first = True
        self._reader = frames.FrameReader()
        self._decoder = RequestDecoder()
        self._streams = {}  # type: Dict[int, Stream]
        self._closed = ClosedStreams()
        #: Header block that is not complete: stream, flags, parts.
        self._block = None  # type: Optional[Tuple[int, int, List[bytes]]]
        self._unacknowledged = deque()  # type: Deque[Settings]
        self._most_streams = None  # type: Optional[int]
        self._list_size = None  # type: Optional[int]
        self._accepted_up_to = frames.LARGEST_STREAM
        self._window_step = window_step
        #: Windows for what we receive: the connection's, and what each stream begins with.
        self._left = self._window = frames.DEFAULT_WINDOW
        self._unreturned = 0
        self._output = []  # type: List[bytes]
        self._responses = ResponseSender(self._output, has_encoder)
        self._requests = []  # type: List[Request]
        self._refusals = deque(maxlen=_MOST_REFUSALS)  # type: Deque[Tuple[int, int]]
        self._takers = {
            frames.SETTINGS: self._settings, frames.WINDOW_UPDATE: self._window_update,
            frames.RST_STREAM: self._rst_stream, frames.PING: self._ping,
            frames.PUSH_PROMISE: self._forbidden, frames.CONTINUATION: self._forbidden,
        }
        for key, value in settings:
            if key == frames.MAX_CONCURRENT_STREAMS:
                self._most_streams = value
        self.change_settings(settings)

    # What the owner does.

    def receive(self, data):
        # type: (bytes) -> List[Request]
        """Take bytes from the client.

        :return: the requests that they completed. After an error, which :attr:`error` has and
            GOAWAY names, there are no more.
        """
        requests = []  # type: List[Request]
        self._requests = requests
        if self.error is not None:
            return requests
        try:
            if self._preface:
                data = self._take_preface(data)
            for kind, flags, stream, payload in self._reader.feed(data):
                if self._block is not None or kind > HEADERS or self._is_first:
                    self._control(kind, flags, stream, payload)
                elif kind == DATA:
                    self._data(flags, stream, payload)
                else:
                    self._headers(flags, stream, payload)
        except Http2Error as error:
            self.error = error
            self.goaway(self.last_stream, error.code, str(error).encode("utf-8"))
        return requests

    def take_output(self):
        # type: () -> bytes
        """Return what is to be sent to the client, once."""
        output = b"".join(self._output)
        del self._output[:]
        return output

    def take_refusals(self):
        # type: () -> List[Tuple[int, int]]
        """Return the streams whose request was not taken, with the code of RST_STREAM, once.

        Those are streams beyond the limit, and requests that break a rule. Of many, the last.
        """
        refusals = list(self._refusals)
        self._refusals.clear()
        return refusals

    @property
    def open_streams(self):
        # type: () -> int
        """How many streams have neither had their response nor been reset."""
        return len(self._streams)

    @property
    def needs_response(self):
        # type: () -> bool
        """True if there is an open stream that was not abandoned."""
        return any(not state.is_abandoned for state in self._streams.values())

    def abandon(self, stream):
        # type: (int) -> None
        """Never respond on a stream. It stays open until the client resets it."""
        state = self._streams.get(stream)
        if state is not None:
            state.is_abandoned = True

    def is_open(self, stream):
        # type: (int) -> bool
        """Return True if a stream has neither had its response nor been reset."""
        return stream in self._streams

    def incomplete_streams(self):
        # type: () -> List[int]
        """Return the open streams whose request is not complete yet."""
        return [stream for stream, state in self._streams.items() if not state.is_complete]

    @property
    def peer_table_size(self):
        # type: () -> int
        """Size of the dynamic table that the client allows us."""
        return self._responses.peer_table_size

    def response(self, stream, block, body=b"", shape=PLAIN):
        # type: (int, bytes, bytes, Shape) -> None
        """Send a response; without effect if its stream has been reset.

        :param stream: number of the stream.
        :param block: header block of the response.
        :param body: what follows it.
        :param shape: :class:`.server_streams.Shape` of the frames.
        """
        state = self._streams.get(stream)
        if state is None:
            return
        if not body and shape is PLAIN and len(block) < frames.DEFAULT_FRAME_SIZE:
            self._responses.send_plain(stream, block)
            del self._streams[stream]
            return
        is_end = not body and not shape.trailers
        self._responses.send_block(stream, block, is_end, shape)
        if is_end:
            del self._streams[stream]
            return
        state.waiting, state.shape = body, shape
        self._send_waiting(stream, state)

    def inform(self, stream, block):
        # type: (int, bytes) -> None
        """Send an interim response, whose status is below 200."""
        if stream in self._streams:
            self._responses.send_block(stream, block, False, PLAIN)

    def change_settings(self, settings):
        # type: (Settings) -> None
        """Send SETTINGS; they hold once the client has acknowledged them."""
        self._unacknowledged.append(settings)
        self._output.append(frames.settings_frame(settings))

    def limit_streams(self, most):
        # type: (int) -> None
        """Send SETTINGS with another limit of streams, which holds at once."""
        self._most_streams = most
        self._unacknowledged.append(())
        self._output.append(frames.settings_frame(((frames.MAX_CONCURRENT_STREAMS, most),)))

    def refuse(self, stream):
        # type: (int) -> None
        """Refuse a request as if it were just arriving; without effect if its stream is over."""
        state = self._streams.pop(stream, None)
        if state is not None:
            self._refuse(stream, REFUSED_STREAM)
            if state.size:
                self._reset_late_data(stream)

    def goaway(self, last_stream, code, debug=b""):
        # type: (int, int, bytes) -> None
        """Send GOAWAY. Frames on streams above ``last_stream`` are ignored from now on."""
        # Another one never names a later stream (RFC 9113, 6.8).
        self._accepted_up_to = min(self._accepted_up_to, last_stream)
        for stream in [each for each in self._streams if each > self._accepted_up_to]:
            del self._streams[stream]
            self._closed.add(stream)
        self._output.append(frames.goaway(self._accepted_up_to, code, debug))

    def reset(self, stream, code):
        # type: (int, int) -> None
        """End a stream at once; without effect if it is over."""
        if self._streams.pop(stream, None) is not None:
            self._closed.add(stream)
            self._output.append(frames.rst_stream(stream, code))

    def send_raw(self, data):
        # type: (bytes) -> None
        """Send bytes as they are: a PING, a frame of an unknown type, or no frame at all."""
        self._output.append(data)

    # What arrives.

    def _take_preface(self, data):
        # type: (bytes) -> bytes
        expected = self._preface
        size = min(len(expected), len(data))
        if data[:size] != expected[:size]:
            raise Http2Error("the client does not begin with the preface of HTTP/2",
                             PROTOCOL_ERROR)
        self._preface = expected[size:]
        return data[size:]

    def _control(self, kind, flags, stream, payload):
        # type: (int, int, int, bytes) -> None
        """Take a frame that is not one of a plain request."""
        if self._is_first:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise Http2Error("the first frame is of type %d, expected SETTINGS" % kind,
                                 PROTOCOL_ERROR)
            self._is_first = False
        if self._block is not None:
            if kind != frames.CONTINUATION or stream != self._block[0]:
                raise Http2Error("a frame of type %d within a header block" % kind, PROTOCOL_ERROR)
            self._continuation(flags, payload)
            return
        take = self._takers.get(kind)
        if take is not None:
            take(flags, stream, payload)
        elif kind <= HEADERS:
            (self._headers if kind else self._data)(flags, stream, payload)

    def _ping(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        if not flags & frames.ACK:
            self._output.append(frames.ping(payload, is_ack=True))

    def _forbidden(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        raise Http2Error("PUSH_PROMISE, or CONTINUATION without HEADERS", PROTOCOL_ERROR)

    def _headers(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        if flags & (frames.PADDED | frames.PRIORITIZED):
            payload = frames.strip(HEADERS, flags, payload)
        if flags & frames.END_HEADERS:
            self._take_block(flags, stream, payload)
        else:
            self._block = (stream, flags, [payload])

    def _continuation(self, flags, payload):
        # type: (int, bytes) -> None
        stream, first_flags, parts = self._block  # type: ignore[misc]
        parts.append(payload)
        if len(parts) > MOST_CONTINUATIONS or sum(map(len, parts)) > LARGEST_BLOCK:
            raise Http2Error("a header block of more than %d frames or %d bytes"
                             % (MOST_CONTINUATIONS, LARGEST_BLOCK), ENHANCE_YOUR_CALM)
        if flags & frames.END_HEADERS:
            self._block = None
            self._take_block(first_flags, stream, b"".join(parts))

    def _take_block(self, flags, stream, block):
        # type: (int, int, bytes) -> None
        # Decoded whatever becomes of the stream: the tables of both sides have to agree.
        fields = self._decoder.decode(block)
        is_end = flags & frames.END_STREAM
        if stream <= self.last_stream:
            self._trailers(stream, fields, is_end)
            return
        if not stream & 1:
            raise Http2Error("a request on stream %d, expected an odd number" % stream,
                             PROTOCOL_ERROR)
        self.last_stream = stream
        if stream > self._accepted_up_to:
            self._closed.add(stream)
            return
        if self._most_streams is not None and len(self._streams) >= self._most_streams:
            self._refuse(stream, REFUSED_STREAM)
            return
        try:
            length = _checker.check(fields, stream)
        except Http2Error as error:
            self._refuse(stream, error.code)
            return
        state = self._streams[stream] = Stream(fields, length, PLAIN)
        if self._list_size is not None and len(block) > 1024:
            if list_size(fields) > self._list_size:
                self.response(stream, response_block(431))
                # The client may be sending the body.
                self._closed.add(stream)
                return
        if is_end:
            self._complete(stream, state)

    def _trailers(self, stream, fields, is_end):
        # type: (int, List[Field], int) -> None
        state = self._streams.get(stream)
        if state is None or state.is_complete:
            self._judge_late(stream, "HEADERS")
            return
        try:
            check_trailers(fields, stream)
            if not is_end:
                raise Http2Error("trailers that do not end the stream", PROTOCOL_ERROR, stream)
        except Http2Error as error:
            self._fail(stream, error.code)
            return
        self._complete(stream, state)

    def _data(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        size = len(payload)
        self._left -= size
        if self._left < 0:
            raise Http2Error("DATA beyond the window of the connection", FLOW_CONTROL_ERROR)
        state = self._streams.get(stream)
        # Whatever becomes of it, the connection's window is given back.
        self._unreturned += size
        if self._unreturned >= _WINDOW_STEP or self._window_step is not None:
            self._return_window()
        if state is None or state.is_complete:
            if stream > self.last_stream:
                raise Http2Error("DATA on stream %d, which is idle" % stream, PROTOCOL_ERROR)
            self._judge_late(stream, "DATA")
            self._reset_late_data(stream)
            return
        state.size += size
        # An empty frame needs no room, also where the window has shrunk below zero.
        if size and state.size > self._window + state.given:
            self._fail(stream, FLOW_CONTROL_ERROR)
            return
        if flags & frames.PADDED:
            payload = frames.strip(DATA, flags, payload)
        state.body = state.body + payload if state.body else payload
        if flags & frames.END_STREAM:
            self._complete(stream, state)
            return
        if len(state.body) > LARGEST_BODY + 1:
            state.body = state.body[:LARGEST_BODY + 1]
        self._extend_window(stream, state)

    def _complete(self, stream, state):
        # type: (int, Stream) -> None
        if state.length is not None and state.length != len(state.body):
            if len(state.body) <= LARGEST_BODY:
                self._fail(stream, PROTOCOL_ERROR)
                return
        state.is_complete = True
        self._requests.append(Request(stream, state.fields, state.body))

    def _judge_late(self, stream, what):
        # type: (int, str) -> None
        """Take a frame on a stream that the client has ended, or that is over."""
        if stream not in self._closed:
            raise Http2Error("%s on stream %d, which is closed" % (what, stream), STREAM_CLOSED)

    def _settings(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        if flags & frames.ACK:
            if not self._unacknowledged:
                raise Http2Error("an acknowledgement of SETTINGS that were not sent",
                                 PROTOCOL_ERROR)
            self._apply(self._unacknowledged.popleft())
            return
        self._responses.apply(frames.read_settings(payload), self._streams)
        self._output.append(frames.SETTINGS_ACK)
        self._send_all_waiting()

    def _apply(self, settings):
        # type: (Iterable[Tuple[int, int]]) -> None
        """Put settings of ours into effect, which the client has acknowledged."""
        for key, value in settings:
            if key == frames.MAX_CONCURRENT_STREAMS:
                self._most_streams = value
            elif key == frames.INITIAL_WINDOW_SIZE:
                self._window = value
            elif key == frames.HEADER_TABLE_SIZE:
                self._decoder.resize(value)
            elif key == frames.MAX_FRAME_SIZE:
                self._reader.frame_size = value
            elif key == frames.MAX_HEADER_LIST_SIZE:
                self._list_size = value

    def _window_update(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        increment = frames.read_number(payload) & LARGEST_WINDOW
        if not stream:
            if not increment:
                raise Http2Error("WINDOW_UPDATE by 0", PROTOCOL_ERROR)
            self._responses.widen(increment)
            self._send_all_waiting()
            return
        self._check_not_idle(stream, "WINDOW_UPDATE")
        state = self._streams.get(stream)
        if state is None:
            return
        state.granted += increment
        if not increment:
            self.reset(stream, PROTOCOL_ERROR)
        elif self._responses.is_too_wide(state):
            self.reset(stream, FLOW_CONTROL_ERROR)
        else:
            self._send_waiting(stream, state)

    def _rst_stream(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        self._check_not_idle(stream, "RST_STREAM")
        self._streams.pop(stream, None)

    def _check_not_idle(self, stream, what):
        # type: (int, str) -> None
        if stream > self.last_stream or not stream & 1:
            raise Http2Error("%s on stream %d, which is idle" % (what, stream), PROTOCOL_ERROR)

    def _refuse(self, stream, code):
        # type: (int, int) -> None
        self._closed.add(stream, self.resets_late_data)
        self._refusals.append((stream, code))
        self._output.append(frames.rst_stream(stream, code))

    def _fail(self, stream, code):
        # type: (int, int) -> None
        """Reset a stream whose request is not complete, and will not be."""
        self._refusals.append((stream, code))
        self.reset(stream, code)

    def _reset_late_data(self, stream):
        # type: (int) -> None
        if self._closed.rejects_data(stream):
            self._output.append(frames.rst_stream(stream, STREAM_CLOSED))

    # Windows for what we receive.

    def _return_window(self):
        # type: () -> None
        step = self._window_step or _WINDOW_STEP
        if self._window_step != 0 and self._unreturned >= step:
            self._output.append(frames.window_update(0, self._unreturned))
            self._left += self._unreturned
            self._unreturned = 0

    def _extend_window(self, stream, state):
        # type: (int, Stream) -> None
        received = state.size - state.given
        step = max(1, self._window // 2) if self._window_step is None else self._window_step
        if self._window_step != 0 and received and received >= min(step, self._window):
            state.given += received
            self._output.append(frames.window_update(stream, received))

    def _send_all_waiting(self):
        # type: () -> None
        for stream, state in sorted(self._streams.items()):
            self._send_waiting(stream, state)

    def _send_waiting(self, stream, state):
        # type: (int, Stream) -> None
        if self._responses.send_waiting(stream, state):
            del self._streams[stream]
