"""Responses of which the header has come, and not the end."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from .frames import PROTOCOL_ERROR, Http2Error
from .headers import decode_block
from .receiving import OUR_STREAM_WINDOW, ReceiveWindow
from .responses import check_trailers, status_in

if MYPY:
    from typing import Any, Dict, Optional

    from .responses import ResponseDecoder

__all__ = ["Partial", "PartialResponses"]


class Partial(object):
    """What has come of one response.

    :ivar stream: number of its stream (int).
    :ivar status: its status (int).
    :ivar block: its header block (bytes), or the fields of it (list).
    :ivar body: what has come of the body (bytearray).
    :ivar window: how much more DATA the peer may send on this stream (:class:`.ReceiveWindow`).
    """

    __slots__ = ("stream", "status", "block", "body", "window")

    def __init__(self, stream, status, block):
        # type: (int, int, Any) -> None
        self.stream = stream
        self.status = status
        self.block = block
        self.body = bytearray()
        self.window = ReceiveWindow(OUR_STREAM_WINDOW, stream)


class PartialResponses(object):
    """The responses of a connection that are incomplete, by stream.

    :param decoder: the connection's :class:`.ResponseDecoder`.
    """

    def __init__(self, decoder):
        # type: (ResponseDecoder) -> None
        self._decoder = decoder
        self._partial = {}  # type: Dict[int, Partial]

    def __len__(self):
        # type: () -> int
        return len(self._partial)

    def get(self, stream):
        # type: (int) -> Optional[Partial]
        """Return what has come of the response on a stream, or None."""
        return self._partial.get(stream)

    def discard(self, stream):
        # type: (int) -> None
        """Forget what has come of the response on a stream, if anything has."""
        self._partial.pop(stream, None)

    def add_header(self, stream, block, is_end):
        # type: (int, Any, bool) -> Optional[Partial]
        """Add a header block: of a response, of its trailers, or an interim one.

        :param block: a block that stands alone (bytes), or the fields of one (list).
        :param is_end: whether the stream ends with it (bool).
        :return: the response if it is complete, else None.
        :raises Http2Error: of the stream, if a response cannot be like that (RFC 9113, 8.1).
        """
        partial = self._partial.get(stream)
        if partial is not None:
            if not is_end:
                raise Http2Error("trailers that do not end stream %d" % stream, PROTOCOL_ERROR,
                                 stream)
            check_trailers(decode_block(block) if isinstance(block, bytes) else block, stream)
            return partial
        if isinstance(block, bytes):
            status = self._decoder.status_of(block, stream)
        else:
            status = status_in(block, stream)
        if status < 200:
            if is_end:
                raise Http2Error("stream %d ends with status %d" % (stream, status),
                                 PROTOCOL_ERROR, stream)
            return None
        partial = Partial(stream, status, block)
        if is_end:
            return partial
        self._partial[stream] = partial
        return None

    def add_data(self, stream, size, data):
        # type: (int, int, bytes) -> Partial
        """Add DATA; return the response.

        :param size: how many bytes came (int), the padding included.
        :param data: what they are without it (bytes).
        :raises Http2Error: of the stream, if no header has come, or if its window has no room.
        """
        partial = self._partial.get(stream)
        if partial is None:
            raise Http2Error("DATA before HEADERS on stream %d" % stream, PROTOCOL_ERROR, stream)
        partial.window.consume(size)
        partial.body += data
        return partial
