"""What bounds that which a peer sends: windows, header blocks of many frames, and idle chatter.

Each class is told what has come, and raises :class:`.Http2Error` when it was too much.
"""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from .frames import (
    CONTINUATION,
    DEFAULT_WINDOW,
    ENABLE_PUSH,
    END_HEADERS,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    HEADER_TABLE_SIZE,
    INITIAL_WINDOW_SIZE,
    MAX_HEADER_LIST_SIZE,
    PREFACE,
    PROTOCOL_ERROR,
    Http2Error,
    settings_frame,
    window_update,
)

if MYPY:
    from typing import List, Optional, Tuple

    #: Number of the stream, flags of HEADERS, and the block.
    Block = Tuple[int, int, bytes]

__all__ = ["BlockReader", "FloodGuard", "GREETING", "LONGEST_BLOCK", "OUR_STREAM_WINDOW",
           "OUR_WINDOW", "ReceiveWindow"]

#: Longest header block, in bytes, with a charge for each frame that it comes in.
LONGEST_BLOCK = 1 << 16
_FRAME_CHARGE = 64
#: The windows that we give the peer, for the connection and for each stream, in bytes.
OUR_WINDOW = 1 << 24
OUR_STREAM_WINDOW = 1 << 16
#: What a client sends first: what it lets the server send.
GREETING = PREFACE + settings_frame([
    (HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, OUR_STREAM_WINDOW),
    (MAX_HEADER_LIST_SIZE, LONGEST_BLOCK),
]) + window_update(0, OUR_WINDOW - DEFAULT_WINDOW)
#: Most frames, beside responses, that may come in a row without an end of any request; and how many
#: may come at a time that are not worth counting.
_MOST_IDLE_FRAMES = 10000
_FEW_FRAMES = 100


class ReceiveWindow(object):
    """How much more DATA the peer may send; what was taken is given back by halves.

    :param size: size of the window, in bytes (int).
    :param stream: number of its stream (int), 0 for the connection.

    :ivar left: how many bytes may still come.
    """

    __slots__ = ("_size", "_stream", "left")

    def __init__(self, size, stream=0):
        # type: (int, int) -> None
        self._size = self.left = size
        self._stream = stream

    @property
    def spare(self):
        # type: () -> int
        """How many bytes may come before some have to be given back."""
        return self.left - self._size // 2

    def consume(self, size):
        # type: (int) -> None
        """Note that so many bytes have come.

        :raises Http2Error: if they are more than the window had.
        """
        self.left -= size
        if self.left < 0:
            raise Http2Error("more DATA than the window of stream %d" % self._stream,
                             FLOW_CONTROL_ERROR, self._stream)

    def give_back(self):
        # type: () -> bytes
        """Return the frame that gives back what was taken, once that is worth one; else ``b""``."""
        if self.spare >= 0:
            return b""
        given, self.left = self._size - self.left, self._size
        return window_update(self._stream, given)


class BlockReader(object):
    """Joins the frames of a header block; nothing may come between them (RFC 9113, 4.3)."""

    def __init__(self):
        # type: () -> None
        self._stream = self._flags = self._size = 0
        self._pieces = []  # type: List[bytes]

    @property
    def is_amid(self):
        # type: () -> bool
        """True if there is more of a block to come."""
        return bool(self._pieces)

    def check(self, kind, stream):
        # type: (int, int) -> None
        """See that a frame may come now.

        :raises Http2Error: if it may not.
        """
        if self._pieces and (kind != CONTINUATION or stream != self._stream):
            raise Http2Error("a frame of type %d within a header block" % kind, PROTOCOL_ERROR)
        if not self._pieces and kind == CONTINUATION:
            raise Http2Error("CONTINUATION without HEADERS", PROTOCOL_ERROR)

    def begin(self, stream, flags, block):
        # type: (int, int, bytes) -> Optional[Block]
        """Add what HEADERS has of a block; return the block if that is all of it, else None."""
        if flags & END_HEADERS:
            return stream, flags, block
        self._stream, self._flags, self._size, self._pieces = stream, flags, len(block), [block]
        return None

    def go_on(self, flags, block):
        # type: (int, bytes) -> Optional[Block]
        """Add what CONTINUATION has of it; return what :meth:`begin` does."""
        self._size += len(block) + _FRAME_CHARGE
        if self._size > LONGEST_BLOCK:
            raise Http2Error("a header block of more than %d bytes" % LONGEST_BLOCK,
                             ENHANCE_YOUR_CALM)
        self._pieces.append(block)
        if not flags & END_HEADERS:
            return None
        pieces, self._pieces = self._pieces, []
        return self._stream, self._flags, b"".join(pieces)


class FloodGuard(object):
    """Counts frames that end no request: each costs time, and many need a response."""

    def __init__(self):
        # type: () -> None
        self._count = 0

    def note(self, count, is_idle):
        # type: (int, bool) -> None
        """Note what has come at a time.

        :param count: how many frames, beside plain responses (int).
        :param is_idle: whether no request has ended meanwhile.
        :raises Http2Error: if there were too many in a row.
        """
        self._count = self._count + count if is_idle and count > _FEW_FRAMES else 0
        if self._count > _MOST_IDLE_FRAMES:
            raise Http2Error("%d frames without a response among them" % self._count,
                             ENHANCE_YOUR_CALM)
