"""HTTP/2 frames as bytes, in both directions (RFC 9113, sections 4 and 6).

Functions make frames; :class:`FrameReader` cuts a stream of bytes into frames; the ``read_``
functions take the payload of a frame apart. What breaks a rule of the framing layer raises
:class:`Http2Error`, which says with which code the connection, or one stream of it, has to end.
Nothing here knows what a frame does to a connection.
"""

from __future__ import absolute_import, division, print_function

import struct

from ..._compat import MYPY
from ...errors import ProtocolError

if MYPY:
    from typing import Iterable, Iterator, List, Tuple

    Frame = Tuple[int, int, int, bytes]

#: What a client sends first (RFC 9113, 3.4).
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Types of frames (RFC 9113, 6).
DATA = 0
HEADERS = 1
PRIORITY = 2
RST_STREAM = 3
SETTINGS = 4
PUSH_PROMISE = 5
PING = 6
GOAWAY = 7
WINDOW_UPDATE = 8
CONTINUATION = 9

# Flags; which of them a frame can have depends on its type.
ACK = 0x1
END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20

# Settings (RFC 9113, 6.5.2).
HEADER_TABLE_SIZE = 1
ENABLE_PUSH = 2
MAX_CONCURRENT_STREAMS = 3
INITIAL_WINDOW_SIZE = 4
MAX_FRAME_SIZE = 5
MAX_HEADER_LIST_SIZE = 6

# Error codes (RFC 9113, 7).
NO_ERROR = 0
PROTOCOL_ERROR = 1
INTERNAL_ERROR = 2
FLOW_CONTROL_ERROR = 3
SETTINGS_TIMEOUT = 4
STREAM_CLOSED = 5
FRAME_SIZE_ERROR = 6
REFUSED_STREAM = 7
CANCEL = 8
COMPRESSION_ERROR = 9
CONNECT_ERROR = 10
ENHANCE_YOUR_CALM = 11
INADEQUATE_SECURITY = 12
HTTP_1_1_REQUIRED = 13

#: Names of the error codes, by code.
ERROR_NAMES = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
    "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
    "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED")

#: Windows and frame sizes that hold as long as no setting says otherwise (RFC 9113, 6.5.2).
DEFAULT_WINDOW = 65535
DEFAULT_FRAME_SIZE = 16384
DEFAULT_TABLE_SIZE = 4096
#: The largest window, stream number and increment: 31 bits.
LARGEST_WINDOW = LARGEST_STREAM = 0x7FFFFFFF
#: The largest frame that a peer may allow.
LARGEST_FRAME_SIZE = 0xFFFFFF

#: Head of a frame: length and type in one number, flags, stream. The highest bit of the stream is
#: reserved, and ignored by who reads.
FRAME_HEAD = struct.Struct(">IBI")
#: Where the stream stands in it.
STREAM_OFFSET = 5
_SETTING = struct.Struct(">HI")
_U32 = struct.Struct(">I")
_PAIR = struct.Struct(">II")

#: Lengths that the payloads of these frames have to have.
_FIXED_LENGTHS = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
#: Frames that belong to the connection, and frames that belong to a stream.
_OF_CONNECTION = frozenset([SETTINGS, PING, GOAWAY])
_OF_STREAM = frozenset([DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, CONTINUATION])


class Http2Error(ProtocolError):
    """A peer broke a rule of HTTP/2.

    :param message: what it did.
    :param code: error code to end it with (int).
    :param stream: number of the stream that has to end (int), or 0 for the connection.
    """

    def __init__(self, message, code, stream=0):
        # type: (str, int, int) -> None
        super(Http2Error, self).__init__(message)
        self.code = code
        self.stream = stream


def name_of_error(code):
    # type: (int) -> str
    """Return the name of an error code, or its number if it has none."""
    return ERROR_NAMES[code] if code < len(ERROR_NAMES) else "error code %d" % code


def frame(kind, flags, stream, payload=b""):
    # type: (int, int, int, bytes) -> bytes
    """Return one frame.

    :param kind: type of the frame (int).
    :param flags: its flags (int, 8 bit).
    :param stream: number of the stream, 0 for the connection (int, 31 bit).
    :param payload: at most as many bytes as the peer allows.
    """
    return FRAME_HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def settings_frame(settings):
    # type: (Iterable[Tuple[int, int]]) -> bytes
    """Return a SETTINGS frame with ``(identifier, value)`` pairs."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(key, value) for key, value in settings))


#: The acknowledgement of a SETTINGS frame.
SETTINGS_ACK = frame(SETTINGS, ACK, 0)


def window_update(stream, increment):
    # type: (int, int) -> bytes
    """Return a frame that gives a window back; stream 0 is the connection's."""
    return frame(WINDOW_UPDATE, 0, stream, _U32.pack(increment))


def rst_stream(stream, code):
    # type: (int, int) -> bytes
    """Return a frame that ends a stream at once."""
    return frame(RST_STREAM, 0, stream, _U32.pack(code))


def ping(data, is_ack=False):
    # type: (bytes, bool) -> bytes
    """Return a PING with its 8 bytes of data, or the acknowledgement of one."""
    return frame(PING, ACK if is_ack else 0, 0, data)


def goaway(last_stream, code, debug=b""):
    # type: (int, int, bytes) -> bytes
    """Return a GOAWAY: streams above ``last_stream`` were not and will not be processed."""
    return frame(GOAWAY, 0, 0, _PAIR.pack(last_stream, code) + debug)


def header_frames(stream, block, is_end, frame_size=DEFAULT_FRAME_SIZE):
    # type: (int, bytes, bool, int) -> bytes
    """Return a header block as HEADERS and as many CONTINUATION frames as it takes.

    :param block: header block (bytes).
    :param is_end: whether the stream has no DATA after it (bool).
    :param frame_size: longest payload of a frame that the peer allows (int).
    """
    flags = END_STREAM if is_end else 0
    if len(block) <= frame_size:
        return frame(HEADERS, flags | END_HEADERS, stream, block)
    pieces = [block[start:start + frame_size] for start in range(0, len(block), frame_size)]
    frames = [frame(HEADERS, flags, stream, pieces[0])]
    frames += [frame(CONTINUATION, 0, stream, piece) for piece in pieces[1:-1]]
    frames.append(frame(CONTINUATION, END_HEADERS, stream, pieces[-1]))
    return b"".join(frames)


def data_frames(stream, data, is_end, frame_size=DEFAULT_FRAME_SIZE):
    # type: (int, bytes, bool, int) -> bytes
    """Return data as DATA frames; the arguments are like those of :func:`header_frames`."""
    if len(data) <= frame_size:
        return frame(DATA, END_STREAM if is_end else 0, stream, data)
    starts = range(0, len(data), frame_size)
    return b"".join(
        frame(DATA, END_STREAM if is_end and start == starts[-1] else 0, stream,
              data[start:start + frame_size]) for start in starts)


class FrameReader(object):
    """Cuts what a peer sends into frames.

    :param frame_size: longest payload that we allow (int).
    """

    def __init__(self, frame_size=DEFAULT_FRAME_SIZE):
        # type: (int) -> None
        self.frame_size = frame_size
        self._rest = b""

    def feed(self, data):
        # type: (bytes) -> Iterator[Frame]
        """Yield ``(type, flags, stream, payload)`` of each frame that is complete.

        :raises Http2Error: when a frame is too long, or its length or stream cannot be. The length
            is checked before the payload is waited for. The error comes again with the next bytes.
        """
        data = self._rest + data if self._rest else data
        position, size = 0, len(data)
        try:
            while size - position >= FRAME_HEAD.size:
                length, flags, stream = FRAME_HEAD.unpack_from(data, position)
                kind, length, stream = length & 0xFF, length >> 8, stream & LARGEST_STREAM
                check_head(kind, flags, stream, length, self.frame_size)
                end = position + FRAME_HEAD.size + length
                if end > size:
                    break
                payload = data[position + FRAME_HEAD.size:end]
                position = end
                yield kind, flags, stream, payload
        finally:
            # Also when whoever reads stops early.
            self._rest = data[position:]


def check_head(kind, flags, stream, length, frame_size):
    # type: (int, int, int, int, int) -> None
    """Check the head of a frame before its payload is read.

    :raises Http2Error: see :meth:`FrameReader.feed`.
    """
    if length > frame_size:
        raise Http2Error("a frame of %d bytes, at most %d are allowed" % (length, frame_size),
                         FRAME_SIZE_ERROR)
    fixed = _FIXED_LENGTHS.get(kind)
    if fixed is not None and length != fixed:
        raise Http2Error("a frame of type %d with %d bytes, expected %d" % (kind, length, fixed),
                         FRAME_SIZE_ERROR, stream if kind == PRIORITY else 0)
    if kind == SETTINGS and (length % _SETTING.size or flags & ACK and length):
        raise Http2Error("SETTINGS of %d bytes" % length, FRAME_SIZE_ERROR)
    if kind == GOAWAY and length < _PAIR.size:
        raise Http2Error("GOAWAY of %d bytes" % length, FRAME_SIZE_ERROR)
    if stream and kind in _OF_CONNECTION or not stream and kind in _OF_STREAM:
        raise Http2Error("a frame of type %d on stream %d" % (kind, stream), PROTOCOL_ERROR)


def strip(kind, flags, payload):
    # type: (int, int, bytes) -> bytes
    """Return the payload of DATA or HEADERS without padding and priority (RFC 9113, 6.1, 6.2).

    :raises Http2Error: if it is shorter than what it says to contain.
    """
    start, end = 0, len(payload)
    if flags & PADDED:
        start = 1
    if kind == HEADERS and flags & PRIORITIZED:
        start += 5
    if start > end:
        raise Http2Error("a frame of %d bytes, shorter than its flags say" % end, FRAME_SIZE_ERROR)
    if flags & PADDED:
        end -= bytearray(payload[:1])[0]
        if start > end:
            raise Http2Error("a frame has more padding than bytes", PROTOCOL_ERROR)
    return payload[start:end]


def read_settings(payload):
    # type: (bytes) -> List[Tuple[int, int]]
    """Return the ``(identifier, value)`` pairs of SETTINGS, unknown identifiers included.

    :raises Http2Error: if a value is not allowed (RFC 9113, 6.5.2).
    """
    settings = [_SETTING.unpack_from(payload, start)
                for start in range(0, len(payload), _SETTING.size)]
    for key, value in settings:
        if key == ENABLE_PUSH and value > 1:
            raise Http2Error("ENABLE_PUSH is %d" % value, PROTOCOL_ERROR)
        if key == INITIAL_WINDOW_SIZE and value > LARGEST_WINDOW:
            raise Http2Error("INITIAL_WINDOW_SIZE is %d" % value, FLOW_CONTROL_ERROR)
        if key == MAX_FRAME_SIZE and not DEFAULT_FRAME_SIZE <= value <= LARGEST_FRAME_SIZE:
            raise Http2Error("MAX_FRAME_SIZE is %d" % value, PROTOCOL_ERROR)
    return settings


def read_number(payload):
    # type: (bytes) -> int
    """Return the number that RST_STREAM (a code) or WINDOW_UPDATE (an increment) carries."""
    number = _U32.unpack(payload)[0]  # type: int
    return number


def read_goaway(payload):
    # type: (bytes) -> Tuple[int, int, bytes]
    """Return ``(last stream, code, debug data)`` of GOAWAY."""
    last, code = _PAIR.unpack_from(payload)
    return last & LARGEST_STREAM, code, payload[_PAIR.size:]
