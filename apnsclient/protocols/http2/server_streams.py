"""The streams of a server's connection: those that are open, and those that have been lately."""

from __future__ import absolute_import, division, print_function

from collections import OrderedDict, namedtuple

from ..._compat import MYPY

if MYPY:
    from typing import List, Optional, Sequence, Tuple

    Field = Tuple[bytes, bytes]

__all__ = ["PLAIN", "ClosedStreams", "Shape", "Stream"]

#: Streams that the client may not know yet to be over; frames on them are ignored.
_MOST_CLOSED = 4096


class Shape(namedtuple("Shape", "padding piece split trailers")):
    """How the frames of a response look, apart from what they say. Immutable.

    :param padding: bytes of padding in HEADERS and DATA (int, 0 to 255), None for frames without.
    :param piece: longest part of a header block in one frame, so that CONTINUATION follows (int).
    :param split: longest DATA frame (int).
    :param trailers: fields that follow the body, or that end a response without one.
    """

    __slots__ = ()

    def __new__(cls, padding=None, piece=None, split=None, trailers=()):
        # type: (Optional[int], Optional[int], Optional[int], Sequence[Field]) -> Shape
        return super(Shape, cls).__new__(cls, padding, piece, split, tuple(trailers))


#: As few frames as possible.
PLAIN = Shape()


class Stream(object):
    """A stream between its first frame and the end of its response.

    :param fields: header fields of the request.
    :param length: its content-length (int), None if it has none.
    :param shape: :class:`Shape` of the frames of its response.
    """

    __slots__ = ("fields", "length", "body", "size", "given", "is_complete", "granted", "sent",
                 "waiting", "shape", "is_abandoned")

    def __init__(self, fields, length, shape):
        # type: (List[Field], Optional[int], Shape) -> None
        self.fields = fields
        self.length = length
        self.body = b""
        #: Bytes that have been received, and by how much the window was extended for them.
        self.size = self.given = 0
        self.is_complete = False
        #: Whether there is never going to be a response.
        self.is_abandoned = False
        #: By how much the client extended its window, and bytes that have been sent.
        self.granted = self.sent = 0
        #: What is left of the response's body, None if there is nothing to be sent.
        self.waiting = None  # type: Optional[bytes]
        self.shape = shape


class ClosedStreams(object):
    """Streams that are over, while the client may go on sending on them; the last few thousand."""

    def __init__(self):
        # type: () -> None
        #: Whether the next DATA is to be rejected, by stream.
        self._rejects = OrderedDict()  # type: OrderedDict[int, bool]

    def add(self, stream, rejects_data=False):
        # type: (int, bool) -> None
        """Remember a stream.

        :param rejects_data: True has :meth:`rejects_data` return True once.
        """
        self._rejects[stream] = rejects_data
        if len(self._rejects) > _MOST_CLOSED:
            self._rejects.popitem(last=False)

    def __contains__(self, stream):
        # type: (int) -> bool
        return stream in self._rejects

    def rejects_data(self, stream):
        # type: (int) -> bool
        """Return True if DATA that has come on a stream is to be rejected; once for each."""
        rejects = self._rejects.get(stream, False)
        if rejects:
            self._rejects[stream] = False
        return rejects
