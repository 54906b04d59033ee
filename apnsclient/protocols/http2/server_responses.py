"""The responses of a server's connection: their frames, as far as the client's windows allow."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from . import frames
from .frames import DATA, FLOW_CONTROL_ERROR, FRAME_HEAD, HEADERS, LARGEST_WINDOW, Http2Error
from .server_headers import EMPTY_TABLE, response_block
from .server_streams import PLAIN

if MYPY:
    from typing import Dict, List, Optional, Sequence, Tuple

    from .server_streams import Shape, Stream

    Field = Tuple[bytes, bytes]

__all__ = ["ResponseSender"]

_END_BOTH = frames.END_STREAM | frames.END_HEADERS


class ResponseSender(object):
    """Puts responses into frames, and keeps what the client has no room for.

    :param output: list that frames are appended to.
    :param has_encoder: True if the blocks of the responses come from an encoder that uses the
        dynamic table, and announces its size by itself.

    :ivar peer_table_size: size of the dynamic table that the client allows us.
    """

    def __init__(self, output, has_encoder):
        # type: (List[bytes], bool) -> None
        self.peer_table_size = frames.DEFAULT_TABLE_SIZE
        self._output = output
        self._has_encoder = has_encoder
        self._announces_table = False
        #: Windows of the client: that of the connection, and what each stream begins with.
        self._left = self._window = frames.DEFAULT_WINDOW
        self._frame_size = frames.DEFAULT_FRAME_SIZE

    # What the client allows.

    def apply(self, settings, streams):
        # type: (Sequence[Tuple[int, int]], Dict[int, Stream]) -> None
        """Take settings of the client.

        :param streams: those that are open, by number.
        :raises Http2Error: if they make a window too large.
        """
        for key, value in settings:
            if key == frames.HEADER_TABLE_SIZE:
                # That it shrinks is to be announced also by a server that never uses the table.
                self.peer_table_size = value
                self._announces_table = not self._has_encoder
            elif key == frames.MAX_FRAME_SIZE:
                self._frame_size = value
            elif key == frames.INITIAL_WINDOW_SIZE:
                self._window = value
                if any(self.is_too_wide(state) for state in streams.values()):
                    raise Http2Error("INITIAL_WINDOW_SIZE makes a window too large",
                                     FLOW_CONTROL_ERROR)

    def widen(self, increment):
        # type: (int) -> None
        """Take a WINDOW_UPDATE of the connection.

        :raises Http2Error: if it makes the window too large.
        """
        self._left += increment
        if self._left > LARGEST_WINDOW:
            raise Http2Error("WINDOW_UPDATE makes the window too large", FLOW_CONTROL_ERROR)

    def is_too_wide(self, state):
        # type: (Stream) -> bool
        """Return True if the window of a stream is larger than windows can be."""
        return self._window + state.granted - state.sent > LARGEST_WINDOW

    # What is sent.

    def send_plain(self, stream, block):
        # type: (int, bytes) -> None
        """Send a response that has no body and nothing special about it."""
        if self._announces_table:
            block, self._announces_table = EMPTY_TABLE + block, False
        self._output.append(FRAME_HEAD.pack(len(block) << 8 | HEADERS, _END_BOTH, stream) + block)

    def send_block(self, stream, block, is_end, shape):
        # type: (int, bytes, bool, Shape) -> None
        """Send a header block in the frames that it needs."""
        if self._announces_table:
            block, self._announces_table = EMPTY_TABLE + block, False
        size = min(shape.piece or self._frame_size, self._frame_size)
        if shape.padding is None:
            self._output.append(frames.header_frames(stream, block, is_end, size))
            return
        first = block[:max(1, size - 1 - shape.padding)]
        rest = block[len(first):]
        flags = frames.PADDED | (frames.END_STREAM if is_end else 0)
        self._output.append(frames.frame(
            HEADERS, flags | (0 if rest else frames.END_HEADERS), stream,
            _padded(first, shape.padding)))
        while rest:
            piece, rest = rest[:size], rest[size:]
            self._output.append(frames.frame(
                frames.CONTINUATION, 0 if rest else frames.END_HEADERS, stream, piece))

    def send_waiting(self, stream, state):
        # type: (int, Stream) -> bool
        """Send as much of a response's body as the windows allow; return True if that was all."""
        shape = state.shape
        # Padding and its length count as well (RFC 9113, 6.9.1).
        extra = 0 if shape.padding is None else shape.padding + 1
        while state.waiting is not None:
            allowed = min(self._left, self._window + state.granted - state.sent,
                          self._frame_size, (shape.split or LARGEST_WINDOW) + extra) - extra
            if allowed <= 0 and state.waiting:
                return False
            data, rest = state.waiting[:allowed], state.waiting[max(allowed, 0):]
            is_last = not rest
            self._send_data(stream, data, is_last and not shape.trailers, shape.padding)
            size = len(data) + (extra if data else 0)
            self._left -= size
            state.sent += size
            state.waiting = None if is_last else rest
            if is_last and shape.trailers:
                self.send_block(stream, _trailer_block(shape.trailers), True, PLAIN)
            if is_last:
                return True
        return False

    def _send_data(self, stream, data, is_end, padding):
        # type: (int, bytes, bool, Optional[int]) -> None
        if not data and not is_end:
            return
        flags = frames.END_STREAM if is_end else 0
        if padding is not None and data:
            data, flags = _padded(data, padding), flags | frames.PADDED
        self._output.append(frames.frame(DATA, flags, stream, data))


def _padded(data, padding):
    # type: (bytes, int) -> bytes
    return bytes(bytearray([padding])) + data + b"\0" * padding


def _trailer_block(trailers):
    # type: (Sequence[Field]) -> bytes
    # A block like that of a response, without its status.
    return response_block(200, trailers)[1:]
