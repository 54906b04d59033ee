"""The client's side of an HTTP/2 connection to Apple's provider API (RFC 9113).

Bytes in, events out, bytes back. Requests go out in batches: streams with consecutive numbers that
differ in the token alone. What comes back is nearly always the same, too: one HEADERS frame with
``:status: 200``, which differs in identifiers alone and needs no decoding. Those are processed by
the row (:meth:`.ResponseDecoder.find_row`), or in one loop (:meth:`.ResponseDecoder.end_accepted`)
where they are few or of different shapes. Everything else a peer may do, at any time and in any
order, goes through one method for each type of frame.

That works because we offer the peer no dynamic table for its header blocks (HEADER_TABLE_SIZE 0):
each block stands alone. Until the peer has acknowledged that, every block is decoded.

What always holds: each stream that was opened ends exactly once, see :class:`.Endings`. What was
received is given back to the peer's windows. Nothing is raised for what a peer sent:
:attr:`ClientConnection.error` is set, the GOAWAY for the peer is in the output, and from there on
nothing more is accepted.
"""

from __future__ import absolute_import, division, print_function

from six.moves import range

from ..._compat import MYPY
from . import frames
from .endings import Endings
from .events import GoAway
from .frames import (
    ACK,
    CONTINUATION,
    DATA,
    DEFAULT_FRAME_SIZE,
    END_HEADERS,
    END_STREAM,
    FRAME_HEAD,
    HEADERS,
    LARGEST_STREAM,
    PADDED,
    PROTOCOL_ERROR,
    SETTINGS,
    Http2Error,
    check_head,
)
from .partial import PartialResponses
from .receiving import GREETING, OUR_WINDOW, BlockReader, FloodGuard, ReceiveWindow
from .responses import ResponseDecoder
from .streams import Streams

if MYPY:
    from typing import Any, List, Optional, Sequence, Tuple

    from .receiving import Block
    from .requests import RequestTemplate
    from .streams import Batch, Rejection

    Field = Tuple[bytes, bytes, bool]

__all__ = ["ClientConnection"]

#: Flags of HEADERS that matter.
_RESPONSE_FLAGS = END_STREAM | END_HEADERS | PADDED | frames.PRIORITIZED
#: Length and type of the longest frame that we accept, as one number.
_LONGEST = DEFAULT_FRAME_SIZE << 8 | 0xFF

#: Length and type of RST_STREAM, as one number.
_WHOLE_RESET = 4 << 8 | frames.RST_STREAM

#: How many bytes of a read have to be left for it to be worth looking for a row of responses; and
#: how often that may be in vain in one read.
_WORTH_A_ROW = 1024
_MOST_MISSES = 3
#: Most bytes of a GOAWAY's debug data that are kept.
_LONGEST_DEBUG = 1024


class ClientConnection(object):
    """State of one connection.

    :param authority: host, with the port if it is not 443, for each request (bytes).
    :param is_cautious: True allows one request at a time, until one had a response with any status
        but 403: as Apple wants it of connections with a provider token.

    :ivar has_settings: whether the peer's settings have come (bool).
    :ivar goaway: the peer's :class:`GoAway`, or None.
    :ivar error: the rule that the peer has broken (:class:`.Http2Error`), or None.
    :ivar is_ping_acknowledged: whether the peer has acknowledged the last :meth:`ping` (bool).
    """

    def __init__(self, authority, is_cautious=False):
        # type: (bytes, bool) -> None
        self.has_settings = self.is_ping_acknowledged = False
        self.goaway = None  # type: Optional[GoAway]
        self.error = None  # type: Optional[Http2Error]
        self._starts_cautious, self._is_settled = is_cautious, False
        self._ping = None  # type: Optional[bytes]
        self._output = []  # type: List[bytes]
        self._streams = Streams(authority, self._output.append)
        self._decoder = ResponseDecoder()
        # Whether responses can be told from their shape now.
        self._is_simple = False
        # How often no row was found in what is being received.
        self._misses = 0
        self._rest = b""
        self._partial = PartialResponses(self._decoder)
        self._endings = Endings(self._streams, self._partial)
        self._blocks = BlockReader()
        self._window = ReceiveWindow(OUR_WINDOW)
        self._flood = FloodGuard()
        self._output.append(GREETING)

    # What goes out.

    def output(self):
        # type: () -> bytes
        """Return what has to be sent beside requests, and forget it."""
        if not self._output:
            return b""
        data = b"".join(self._output)
        del self._output[:]
        return data

    @property
    def encoder(self):
        # type: () -> Any
        """What makes the requests; its ``authorization`` may be set between two batches."""
        return self._streams.encoder

    @property
    def in_flight(self):
        # type: () -> int
        """How many requests have not ended yet."""
        return len(self._streams.open) + len(self._streams.standalone)

    @property
    def limit(self):
        # type: () -> int
        """How many requests may be in flight."""
        return self._streams.limit

    @property
    def next_stream(self):
        # type: () -> int
        """Number of the stream that the next request opens."""
        return self._streams.next

    @property
    def can_start(self):
        # type: () -> bool
        """True if it takes requests at all: numbers of streams run out (RFC 9113, 5.1.1)."""
        return self.goaway is None and self.error is None and self._streams.next <= LARGEST_STREAM

    @property
    def accepted(self):
        # type: () -> int
        """How many responses with status 200 have come."""
        return self._endings.accepted

    @property
    def response_count(self):
        # type: () -> int
        """How many responses have come, whatever their status."""
        return self._endings.response_count

    @property
    def is_cautious(self):
        # type: () -> bool
        """True if one request at a time is allowed for now."""
        return self._starts_cautious and not self._endings.is_trusted

    @property
    def has_proof(self):
        # type: () -> bool
        """True if the peer has taken note of anything that we sent, so that it has accepted us."""
        return self._is_settled or self.is_ping_acknowledged or self.response_count > 0

    def room(self, size):
        # type: (int) -> int
        """Return how many requests may be started now.

        :param size: how many bytes of payload each has (int).
        """
        if self.goaway is not None or self.error is not None:
            return 0
        room = self._streams.room(size)
        return max(0, min(room, 1 - len(self._streams))) if self.is_cautious else room

    def send(self, template, tokens, indices, owner, rejected):
        # type: (RequestTemplate, Sequence[Any], Sequence[int], Any, List[Tuple[int, Rejection]]) -> Tuple[Optional[Batch], Any]  # noqa: E501
        """Start a request for each token.

        :param template: what the requests have in common.
        :param tokens: device tokens in hexadecimal, at most as many as there is :meth:`room` for.
        :param indices: what the owner calls each of them.
        :param owner: goes into the batch.
        :param rejected: list that gets the index of each that cannot be sent, with the error: a
            ``TokenError``, or a :class:`~.requests.HeaderTooLong`.
        :return: the :class:`.Batch`, None if it is empty, and the frames.
        """
        started = self._streams.start(template, tokens, indices, owner, rejected)
        if self._streams.has_unsent:
            self._mark()
        return started

    def send_each(self, templates, tokens, indices, owner, rejected):
        # type: (Sequence[RequestTemplate], Sequence[Any], Sequence[int], Any, List[Tuple[int, Rejection]]) -> Tuple[Optional[Batch], Any]  # noqa: E501
        """Start a request for each token as :meth:`send` does, each with a template of its own."""
        started = self._streams.start_each(templates, tokens, indices, owner, rejected)
        if self._streams.has_unsent:
            self._mark()
        return started

    def check_header(self, fields):
        # type: (List[Field]) -> None
        """See that the peer takes the header of any other request, before :meth:`request`.

        :raises ~.requests.HeaderTooLong: if it does not.
        """
        self._streams.check_header(fields)

    def request(self, fields, body, owner, body_limit=1 << 24):
        # type: (List[Field], bytes, Any, int) -> Tuple[Batch, bytes]
        """Start any other request; its response becomes an event even if it is 200.

        :param fields: all header fields, the pseudo-header fields first.
        :param body: its body (bytes).
        :param owner: goes into the batch.
        :param body_limit: most bytes of the response's body (int).
        :return: the :class:`.Batch`, of one request, and the frames.
        """
        started = self._streams.start_other(fields, body, owner, body_limit)
        self._mark()
        return started

    def ping(self, data):
        # type: (bytes) -> None
        """Send a PING; :attr:`is_ping_acknowledged` is True once the peer has responded.

        :param data: 8 bytes that the acknowledgement has to have.
        """
        self.is_ping_acknowledged, self._ping = False, data
        self._output.append(frames.ping(data))

    def keep_responses(self, is_wanted):
        # type: (bool) -> None
        """Make responses with status 200 events, which costs time, or only count them."""
        self._endings.keeps_responses = is_wanted

    def has(self, batch, index):
        # type: (Batch, int) -> bool
        """Return True if a request of a batch is in flight here.

        :param index: what the owner calls it (int).
        """
        stream = batch.stream_of(index)
        return stream is not None and self._streams.has(batch, stream)

    def cancel(self, batch, index=None):
        # type: (Batch, Optional[int]) -> List[Tuple[int, bool]]
        """Give up what is left of a batch that was started here, or one request of it.

        :param index: what the owner calls the request (int); None for all of them.
        :return: what :meth:`abandon` does, with indices in the place of batch and stream.
        """
        streams = range(batch.first, batch.first + 2 * len(batch.indices), 2)  # type: Any
        if index is not None:
            streams = [batch.stream_of(index)]
        indices = []
        for stream in streams:
            if self._streams.is_open(stream):
                is_whole = not self._streams.is_incomplete(stream)
                self._streams.reset(stream, frames.CANCEL)
                if not self._endings.give_up(stream):
                    indices.append((batch.index_of(stream), is_whole))
        return indices

    def abandon(self, is_over=True):
        # type: (bool) -> List[Tuple[Batch, int, bool]]
        """End everything, because the connection is over; or what is not whole, and never will be.

        :param is_over: False if whole requests may still have their responses (bool).
        :return: ``(batch, stream, is_whole)`` of each request without response. One that is not
            whole was not processed, see :class:`.Reset`. What came of others is in :meth:`events`.
        """
        streams = self._streams.above(0) if is_over else self._streams.ignore_incomplete()
        opened = [(self._streams.find(stream), stream, not self._streams.is_incomplete(stream))
                  for stream in streams]
        return [(batch, stream, is_whole) for batch, stream, is_whole in opened
                if batch is not None and not self._endings.give_up(stream)]

    def send_goaway(self):
        # type: () -> None
        """Announce to the peer that the connection is going to be closed."""
        self._output.append(frames.goaway(0, frames.NO_ERROR))

    # What comes in.

    def receive(self, data):
        # type: (bytes) -> List[Any]
        """Process what the peer has sent.

        :param data: any number of bytes.
        :return: what came of it: :class:`.Response` and :class:`.Reset`, in order. Responses with
            status 200 are only counted, in their batch and in :attr:`accepted`, unless kept.
        """
        if self.error is not None:
            return []
        if self._rest:
            data = self._rest + data
        position, size, others, opened = 0, len(data), 0, len(self._streams)
        self._misses = 0
        while size - position >= 9:
            if self._is_simple:
                position = self._receive_accepted(data, position)
                if size - position < 9:
                    break
            length, flags, stream = FRAME_HEAD.unpack_from(data, position)
            start = position + 9
            end = start + (length >> 8)
            if end > size or length > _LONGEST:
                self._check_head(length & 0xFF, flags, stream & LARGEST_STREAM, length >> 8)
                break
            position = self._receive_common(data, length, flags, stream, end)
            if not position:
                others += 1
                self._receive_frame(length & 0xFF, flags, stream & LARGEST_STREAM, data[start:end])
                position = end
                if self.error is not None:
                    break
        self._rest = data[position:]
        self._note(others, opened == len(self._streams))
        return self.events()

    def _note(self, others, is_idle):
        # type: (int, bool) -> None
        """Count frames beside accepted responses; is_idle if no request has ended."""
        try:
            self._flood.note(others, is_idle)
        except Http2Error as error:
            if self.error is None:
                self._fail(error)

    def _receive_accepted(self, data, position):
        # type: (bytes, int) -> int
        """Process the responses with status 200 that come next, as far as nothing else does.

        :param position: where a frame begins in the data (int).
        :return: where the first frame begins that is something else (int).
        """
        if self._misses < _MOST_MISSES and len(data) - position >= _WORTH_A_ROW:
            start, position = position, self._receive_row(data, position)
            self._misses += position == start
        kept = self._endings.kept
        count, position = self._decoder.end_accepted(data, position, self._streams.open, kept)
        if count:
            self._endings.count_accepted(count)
        return position

    def _receive_row(self, data, position):
        # type: (bytes, int) -> int
        """Process the responses with status 200 that come next, if many have one shape.

        :return: where the last of them ends (int); the same position if they are few, or if one of
            their streams is not open, and nothing was done.
        """
        streams, end = self._decoder.find_row(data, position)
        is_row = bool(streams) and self._endings.accept_row(streams, data, position, end)
        return end if is_row else position

    def events(self):
        # type: () -> List[Any]
        """Return what came of requests and was not returned yet; see :meth:`receive`."""
        return self._endings.take_events()

    def _receive_common(self, data, length, flags, stream, end):
        # type: (bytes, int, int, int, int) -> int
        """Process what else comes often; return where it ends, or 0 if nothing was done.

        :param length: length and type of a frame, as one number (int).
        :param end: where the frame ends in the data (int).
        """
        if not self._is_simple:
            return 0
        if length == _WHOLE_RESET:
            # Some servers respond early, and then reset the stream for the rest of the request.
            return end if self._streams.has_ended(stream) else 0
        if length & 0xFF == HEADERS and flags & _RESPONSE_FLAGS == END_HEADERS:
            return self._receive_failure(data, stream, end - (length >> 8), end)
        return 0

    def _receive_failure(self, data, stream, start, end):
        # type: (bytes, int, int, int) -> int
        """Process HEADERS with one DATA frame behind them: so Apple's failures come.

        :return: where the response ends (int); 0 if it is not like that, and nothing was done.
        """
        batch = self._streams.open.get(stream)
        if batch is None:
            return 0
        longest = min(batch.body_limit, self._window.spare)
        status, body = self._decoder.find_failure(data, stream, start, end, longest)
        if not status:
            return 0
        self._window.consume(len(body))
        self._endings.conclude(stream, status, data[start:end], body)
        return end + FRAME_HEAD.size + len(body)

    def _check_head(self, kind, flags, stream, length):
        # type: (int, int, int, int) -> None
        """Check the head of a frame, also before the frame is complete.

        A server that turns us away may say why, and nothing else.
        """
        try:
            is_settings = kind == SETTINGS and not flags & ACK
            if not (self.has_settings or is_settings or kind == frames.GOAWAY):
                raise Http2Error("what came first is no SETTINGS frame; is it HTTP/2 at all?",
                                 PROTOCOL_ERROR)
            check_head(kind, flags, stream, length, DEFAULT_FRAME_SIZE)
        except Http2Error as error:
            self._fail(error)

    def _receive_frame(self, kind, flags, stream, payload):
        # type: (int, int, int, bytes) -> None
        """Process a frame that is not simply a response with status 200."""
        self._check_head(kind, flags, stream, len(payload))
        if self.error is not None:
            return
        try:
            self._blocks.check(kind, stream)
            receive = self._RECEIVERS.get(kind)
            if receive is not None:
                receive(self, flags, stream, payload)
        except Http2Error as error:
            self._fail(error)
        self._mark()

    def _mark(self):
        # type: () -> None
        """Decide whether responses may be told from their shape now."""
        self._is_simple = (self._is_settled and not self._blocks.is_amid and not self._partial
                           and not self._streams.has_unsent)

    def _fail(self, error):
        # type: (Http2Error) -> None
        """End the stream or the connection on which the peer has broken a rule."""
        if not error.stream:
            self.error = error
            self._output.append(frames.goaway(0, error.code))
            return
        self._endings.fail(error.stream, error.code)

    def _receive_headers(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        block = frames.strip(HEADERS, flags, payload)
        self._receive_block(self._blocks.begin(stream, flags, block))

    def _receive_continuation(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        self._receive_block(self._blocks.go_on(flags, payload))

    def _receive_block(self, whole):
        # type: (Optional[Block]) -> None
        """Process a whole header block: of a response, of its trailers, or an interim one."""
        if whole is None:
            return
        stream, flags, block = whole
        # Until then the decoder has to see each of them, because it may refer to earlier ones.
        kept = block if self._is_settled else self._decoder.full(block)  # type: Any
        if self._streams.find(stream) is None:
            return
        complete = self._partial.add_header(stream, kept, bool(flags & END_STREAM))
        if complete is not None:
            self._endings.finish(complete)

    def _receive_data(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        self._window.consume(len(payload))
        self._give_back(self._window)
        data = frames.strip(DATA, flags, payload)
        batch = self._streams.find(stream)
        if batch is None:
            return
        partial = self._partial.add_data(stream, len(payload), data)
        if flags & END_STREAM:
            self._endings.finish(partial)
        elif len(partial.body) > batch.body_limit:
            # Nothing of Apple's is that long. The status tells what became of the request.
            self._streams.reset(stream, frames.CANCEL)
            self._endings.conclude(stream, partial.status, partial.block, b"")
        else:
            self._give_back(partial.window)

    def _give_back(self, window):
        # type: (ReceiveWindow) -> None
        """Allow the peer as much again as it has used, once that is worth a frame."""
        given = window.give_back()
        if given:
            self._output.append(given)

    def _receive_reset(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        code = frames.read_number(payload)
        self._streams.check_opened(stream)
        self._endings.reset(stream, code, code == frames.REFUSED_STREAM)

    def _receive_settings(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        if flags & ACK:
            if not self._is_settled:
                self._is_settled = True
                self._decoder.settle()
            return
        self._streams.apply(frames.read_settings(payload))
        self.has_settings = True
        self._output.append(frames.SETTINGS_ACK)
        self._streams.send_rest()

    def _receive_push(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        raise Http2Error("PUSH_PROMISE, which our settings forbid", PROTOCOL_ERROR)

    def _receive_ping(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        if not flags & ACK:
            self._output.append(frames.ping(payload, True))
        elif payload == self._ping:
            self.is_ping_acknowledged = True

    def _receive_goaway(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        last, code, debug = frames.read_goaway(payload)
        if self.goaway is not None:
            # The last stream may become an earlier one, never a later one (RFC 9113, 6.8). A
            # reason that was given holds until there is another.
            last = min(last, self.goaway.last_stream)
            debug = debug or self.goaway.debug
        self.goaway = GoAway(last, code, debug[:_LONGEST_DEBUG])
        for above in self._streams.above(last):
            self._streams.ignore(above)
            self._endings.reset(above, code, True)

    def _receive_window_update(self, flags, stream, payload):
        # type: (int, int, bytes) -> None
        self._streams.widen(stream, frames.read_number(payload) & frames.LARGEST_WINDOW)

    #: What processes a frame of each type; the others are ignored (RFC 9113, 4.1).
    _RECEIVERS = {
        DATA: _receive_data,
        HEADERS: _receive_headers,
        frames.RST_STREAM: _receive_reset,
        SETTINGS: _receive_settings,
        frames.PUSH_PROMISE: _receive_push,
        frames.PING: _receive_ping,
        frames.GOAWAY: _receive_goaway,
        frames.WINDOW_UPDATE: _receive_window_update,
        CONTINUATION: _receive_continuation,
    }
