"""The streams of a client: who has which, how many there may be, and what is still to be sent.

What always holds: each stream that was opened is open until :meth:`Streams.end` was called for it,
and its batch knows how many of its streams are.
"""

from __future__ import absolute_import, division, print_function

from collections import OrderedDict
from itertools import repeat

from six.moves import map, range

from ..._compat import MYPY
from ..binary import TokenError, decode_token
from .frames import (
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    ENABLE_PUSH,
    FLOW_CONTROL_ERROR,
    HEADER_TABLE_SIZE,
    INITIAL_WINDOW_SIZE,
    LARGEST_STREAM,
    LARGEST_WINDOW,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    PROTOCOL_ERROR,
    STREAM_CLOSED,
    Http2Error,
    data_frames,
    header_frames,
    rst_stream,
)
from .headers import size_of
from .requests import LONGEST_ALIKE, HeaderTooLong, RequestEncoder

if MYPY:
    from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple, Union

    from .requests import RequestTemplate

    Field = Tuple[bytes, bytes, bool]
    Rejection = Union[TokenError, HeaderTooLong]

__all__ = ["Batch", "Streams"]

#: Fewest requests with payloads of their own that take less time when they are made together.
_FEWEST_JOINED = 4
#: How many streams that we reset are remembered: the peer may have responded to them.
_REMEMBERED = 4096


class Batch(object):
    """Requests that were started together, on consecutive streams.

    :param owner: whoever started them.
    :param indices: what the owner calls each of them: a list, or a range without gaps.
    :param first: number of the first stream (int).
    :param body_limit: how many bytes of a response's body are kept (int).

    :ivar left: how many of them have not ended yet.
    :ivar written_at: when they were written (monotonic seconds); set by who writes them.
    :ivar responses_before: how many responses of the connection had come by then; likewise.
    """

    __slots__ = ("body_limit", "first", "indices", "left", "owner", "responses_before",
                 "written_at")

    def __init__(self, owner, indices, first, body_limit=4096):
        # type: (Any, Sequence[int], int, int) -> None
        self.owner = owner
        self.indices = indices
        self.first = first
        self.left = len(indices)
        self.written_at = 0.0
        self.responses_before = 0
        self.body_limit = body_limit

    def index_of(self, stream):
        # type: (int) -> int
        """Return what the owner calls the request on a stream."""
        return self.indices[(stream - self.first) >> 1]

    def stream_of(self, index):
        # type: (int) -> Optional[int]
        """Return the stream that a request was started on, or None if it is not one of these."""
        indices = self.indices
        if isinstance(indices, list):
            place = indices.index(index) if index in indices else -1
        else:
            place = index - indices[0]
        return self.first + 2 * place if 0 <= place < len(indices) else None


class Streams(object):
    """The client's streams, and what limits them.

    :param authority: host, with the port if it is not 443, for each request (bytes).
    :param output: called with frames that have to be sent beside requests (bytes).

    :ivar encoder: makes the requests (:class:`~.requests.RequestEncoder`).
    :ivar open: :class:`Batch` of each stream of a batch, by number. Whoever takes one out counts
        down its ``left``.
    :ivar standalone: the same for requests that are in no batch of notifications, whose responses
        become events whatever their status.
    :ivar next: number of the stream that the next request opens (int).
    :ivar limit: how many may be open (int).
    :ivar frame_size: longest payload of a frame that the peer allows (int).
    :ivar header_limit: largest header that the peer takes, and that fits into a frame, in bytes as
        RFC 9113, 6.5.2 counts them (int).
    :ivar window: what the peer takes on all streams together, in bytes (int).
    :ivar stream_window: what it takes on a new stream (int); it may be negative.
    """

    #: Most requests in flight, whatever the peer allows: it may allow any number.
    LIMIT = 1000

    def __init__(self, authority, output):
        # type: (bytes, Any) -> None
        self.encoder = RequestEncoder(authority)
        self.open = {}  # type: Dict[int, Batch]
        self.standalone = {}  # type: Dict[int, Batch]
        self.next = 1
        self.limit = self.LIMIT
        self.frame_size = self.header_limit = DEFAULT_FRAME_SIZE
        self.window = self.stream_window = DEFAULT_WINDOW
        self._output = output
        # Requests of which not everything could be sent: what is left, and the stream's window.
        self._unsent = OrderedDict()  # type: OrderedDict[int, List[Any]]
        # Streams that the peer may go on about. So it may about each up to the last one forgotten.
        self._was_reset = OrderedDict()  # type: OrderedDict[int, None]
        self._forgotten = 0

    def __len__(self):
        # type: () -> int
        return len(self.open) + len(self.standalone)

    @property
    def has_unsent(self):
        # type: () -> bool
        """True if there are requests of which not everything could be sent."""
        return bool(self._unsent)

    def is_open(self, stream):
        # type: (int) -> bool
        """Return True if the request on a stream has not ended yet."""
        return stream in self.open or stream in self.standalone

    def has(self, batch, stream):
        # type: (Batch, int) -> bool
        """Return True if a stream is open, and was opened here for a batch."""
        return self.open.get(stream) is batch or self.standalone.get(stream) is batch

    def ignore_incomplete(self):
        # type: () -> List[int]
        """Ignore what comes on streams of which a part is still to be sent; return them."""
        streams = list(self._unsent)
        for stream in streams:
            self.ignore(stream)
        return streams

    def is_incomplete(self, stream):
        # type: (int) -> bool
        """Return True if a part of the request on a stream is still to be sent."""
        return stream in self._unsent

    def room(self, size):
        # type: (int) -> int
        """Return how many requests may be started now.

        :param size: how many bytes of payload each has (int).
        """
        room = self.limit - len(self.open) - len(self.standalone)
        if size > self.window:
            # One that is larger than the whole window has to go out bit by bit.
            room = min(room, 1 if self.window > 0 and not self._unsent else 0)
        elif size * room > self.window:
            room = self.window // size
        if self.next + 2 * room > LARGEST_STREAM:
            room = (LARGEST_STREAM - self.next) // 2 + 1
        return max(room, 0)

    def start(self, template, tokens, indices, owner, rejected):
        # type: (RequestTemplate, Sequence[Any], Sequence[int], Any, List[Tuple[int, Rejection]]) -> Tuple[Optional[Batch], Any]  # noqa: E501
        """Start a request for each token; see :meth:`.ClientConnection.send`."""
        size, count = len(template.payload), len(tokens)
        frames = None
        if count > 1 and not self._unsent and size <= self.stream_window \
                and size <= self.frame_size and size * count <= self.window \
                and self._takes_header_of(template):
            frames = self.encoder.alike(template, tokens, self.next)
        if frames is None:
            return self._start_singly(repeat(template), tokens, indices, owner, rejected)
        self.window -= size * count
        return self._open(owner, indices), frames

    def start_each(self, templates, tokens, indices, owner, rejected):
        # type: (Sequence[RequestTemplate], Sequence[Any], Sequence[int], Any, List[Tuple[int, Rejection]]) -> Tuple[Optional[Batch], Any]  # noqa: E501
        """Start a request for each token; see :meth:`.ClientConnection.send_each`."""
        if len(templates) < _FEWEST_JOINED:
            return self._start_singly(templates, tokens, indices, owner, rejected)
        sizes = [len(template.payload) for template in templates]
        total, frames = sum(sizes), None
        if not self._unsent and total <= self.window \
                and max(sizes) <= min(self.stream_window, self.frame_size):
            frames = self.encoder.each(templates, tokens, self.next, self.header_limit)
        if frames is None:
            return self._start_singly(templates, tokens, indices, owner, rejected)
        self.window -= total
        return self._open(owner, indices), frames

    def _takes_header_of(self, template):
        # type: (RequestTemplate) -> bool
        """Return True if the peer takes such a request to any token that is one of many alike."""
        return self.encoder.list_size(template) + LONGEST_ALIKE <= self.header_limit

    def _open(self, owner, indices):
        # type: (Any, Sequence[int]) -> Batch
        """Open the next streams for a batch."""
        batch = Batch(owner, indices, self.next)
        opened = self.open
        end = self.next + 2 * len(indices)
        for stream in range(self.next, end, 2):
            opened[stream] = batch
        self.next = end
        return batch

    def _start_singly(self, templates, tokens, indices, owner, rejected):
        # type: (Iterable[RequestTemplate], Sequence[Any], Sequence[int], Any, List[Tuple[int, Rejection]]) -> Tuple[Optional[Batch], bytes]  # noqa: E501
        """Start a request for each token, whatever the tokens and payloads are like."""
        frames, good = [], []  # type: List[bytes], List[int]
        stream = self.next
        one, frame_size = self.encoder.one, self.frame_size
        longest = min(self.stream_window, frame_size)
        for template, token, index in zip(templates, tokens, indices):
            try:
                decode_token(token)
                self.encoder.check(template, len(token), self.header_limit)
            except (TokenError, HeaderTooLong) as error:
                rejected.append((index, error))
                continue
            digits = token if isinstance(token, bytes) else token.encode("ascii")
            size = len(template.payload)
            fits = size <= longest and size <= self.window and not self._unsent
            frames.append(one(template, digits, stream, frame_size, fits))
            if fits:
                self.window -= size
            elif size:
                frames.append(self._start_data(stream, template.payload))
            good.append(index)
            stream += 2
        if not good:
            return None, b""
        return self._open(owner, good), b"".join(frames)

    def check_header(self, fields):
        # type: (List[Field]) -> None
        """See that the peer takes a header; see :meth:`.ClientConnection.check_header`."""
        size = sum(size_of(field) for field in fields)
        if size > self.header_limit:
            raise HeaderTooLong(fields, size, self.header_limit)

    def start_other(self, fields, body, owner, body_limit):
        # type: (List[Field], bytes, Any, int) -> Tuple[Batch, bytes]
        """Start any other request; see :meth:`.ClientConnection.request`."""
        stream, self.next = self.next, self.next + 2
        batch = self.standalone[stream] = Batch(owner, [0], stream, body_limit)
        frames = header_frames(stream, self.encoder.block(fields), not body, self.frame_size)
        return batch, frames + (self._start_data(stream, body) if body else b"")

    def _start_data(self, stream, payload):
        # type: (int, bytes) -> bytes
        """Return the DATA frames for as much of a payload as may be sent now; keep the rest."""
        fits = max(0, min(len(payload), self.stream_window, self.window))
        self.window -= fits
        if fits == len(payload):
            return data_frames(stream, payload, True, self.frame_size)
        self._unsent[stream] = [payload[fits:], self.stream_window - fits]
        return data_frames(stream, payload[:fits], False, self.frame_size) if fits else b""

    def send_rest(self):
        # type: () -> None
        """Send what the windows now have room for, of requests that are not complete."""
        for stream in list(self._unsent):
            if self.window <= 0:
                break
            self._send_rest_of(stream)

    def _send_rest_of(self, stream):
        # type: (int) -> None
        """Send what the windows now have room for, of one request."""
        rest, window = entry = self._unsent[stream]
        fits = max(0, min(len(rest), window, self.window))
        if fits:
            is_end = fits == len(rest)
            self._output(data_frames(stream, rest[:fits], is_end, self.frame_size))
            self.window -= fits
            entry[:] = rest[fits:], window - fits
            if is_end:
                del self._unsent[stream]

    def end(self, stream):
        # type: (int) -> Optional[Batch]
        """End a stream; return its batch, or None if it was not open."""
        batch = self.open.pop(stream, None) or self.standalone.pop(stream, None)
        if batch is not None:
            batch.left -= 1
            self._unsent.pop(stream, None)
        return batch

    def end_all(self, streams):
        # type: (Sequence[int]) -> List[Batch]
        """End streams of batches whose requests were sent whole.

        :param streams: their numbers, at least one.
        :return: the batch of each; an empty list if one of them is not open, and nothing was done.
        """
        batches = list(map(self.open.pop, streams, repeat(None)))  # type: List[Any]
        first, count = batches[0], len(batches)
        if batches.count(first) == count and first is not None:
            first.left -= count
        elif None in batches:
            self.open.update(pair for pair in zip(streams, batches) if pair[1] is not None)
            return []
        else:
            for batch in batches:
                batch.left -= 1
        return batches

    def reset(self, stream, code):
        # type: (int, int) -> None
        """Reset a stream; the peer may go on about it until it has read that."""
        self._output(rst_stream(stream, code))
        self.ignore(stream)

    def ignore(self, stream):
        # type: (int) -> None
        """Ignore what the peer still sends on a stream, as far as it is allowed to be sent."""
        self._was_reset[stream] = None
        if len(self._was_reset) > _REMEMBERED:
            self._forgotten = max(self._forgotten, self._was_reset.popitem(last=False)[0])

    def above(self, last):
        # type: (int) -> List[int]
        """Return the numbers of the open streams above one, in order."""
        return sorted(stream for opened in (self.open, self.standalone) for stream in list(opened)
                      if stream > last)

    def has_ended(self, stream):
        # type: (int) -> bool
        """Return True if a stream was open, and is so no more."""
        return bool(stream & 1 and stream < self.next and stream not in self.open
                    and stream not in self.standalone)

    def check_opened(self, stream):
        # type: (int) -> None
        """See that the peer speaks of a stream that was opened.

        :raises Http2Error: if it was not (RFC 9113, 5.1).
        """
        if stream >= self.next or not stream & 1:
            raise Http2Error("a frame of stream %d, which was never opened" % stream,
                             PROTOCOL_ERROR)

    def find(self, stream):
        # type: (int) -> Optional[Batch]
        """Return the batch of a stream that the peer sends on, or None if we ignore it.

        :raises Http2Error: if it has no business there (RFC 9113, 5.1).
        """
        batch = self.open.get(stream) or self.standalone.get(stream)
        if batch is None and stream not in self._was_reset:
            self.check_opened(stream)
            if stream <= self._forgotten:
                return None
            raise Http2Error("a frame of stream %d, which has ended" % stream, STREAM_CLOSED)
        return batch

    def apply(self, settings):
        # type: (List[Tuple[int, int]]) -> None
        """Keep to the peer's settings from here on.

        :param settings: ``(identifier, value)`` of each, see :func:`~.frames.read_settings`.
        :raises Http2Error: if one is not allowed.
        """
        for key, value in settings:
            if key == MAX_CONCURRENT_STREAMS:
                self.limit = min(value, self.LIMIT)
            elif key == INITIAL_WINDOW_SIZE:
                self.resize_windows(value)
            elif key == MAX_FRAME_SIZE:
                # Longer frames than the usual ones are of no use to us.
                self.frame_size = min(value, DEFAULT_FRAME_SIZE)
            elif key == MAX_HEADER_LIST_SIZE:
                self.header_limit = min(value, DEFAULT_FRAME_SIZE)
            elif key == HEADER_TABLE_SIZE:
                self.encoder.resize_table(value)
            elif key == ENABLE_PUSH and value:
                raise Http2Error("a server with ENABLE_PUSH", PROTOCOL_ERROR)

    def resize_windows(self, size):
        # type: (int) -> None
        """Set the window of new streams, and change those of open ones by the difference.

        :raises Http2Error: if one becomes too large (RFC 9113, 6.9.2).
        """
        for entry in self._unsent.values():
            entry[1] += size - self.stream_window
            if entry[1] > LARGEST_WINDOW:
                raise Http2Error("INITIAL_WINDOW_SIZE makes a window too large",
                                 FLOW_CONTROL_ERROR)
        self.stream_window = size

    def widen(self, stream, increment):
        # type: (int, int) -> None
        """Enlarge the window of a stream, or of the connection (stream 0), and use it.

        :raises Http2Error: if it becomes too large or the increment is 0 (RFC 9113, 6.9), or the
            stream never was.
        """
        if stream:
            self.check_opened(stream)
        if not increment:
            raise Http2Error("WINDOW_UPDATE with an increment of 0", PROTOCOL_ERROR, stream)
        if not stream:
            self.window += increment
            if self.window > LARGEST_WINDOW:
                raise Http2Error("the connection's window is too large", FLOW_CONTROL_ERROR)
            self.send_rest()
            return
        entry = self._unsent.get(stream)
        if entry is not None:
            entry[1] += increment
            if entry[1] > LARGEST_WINDOW:
                raise Http2Error("the window of stream %d is too large" % stream,
                                 FLOW_CONTROL_ERROR, stream)
            self._send_rest_of(stream)
