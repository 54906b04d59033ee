"""The streams of a server's connection: those that are open, and those that have been lately."""

from __future__ import absolute_import, division, print_function

from collections import OrderedDict

from ..._compat import MYPY

if MYPY:
    from typing import List, Optional, Tuple

    from .server import Shape

    Field = Tuple[bytes, bytes]

__all__ = ["ClosedStreams", "Stream"]

#: Streams that the client may not know yet to be over; frames on them are ignored.
_MOST_CLOSED = 4096


class Stream(object):
    """A stream between its first frame and the end of its response.

    :param fields: header fields of the request.
    :param length: its content-length (int), None if it has none.
    :param shape: :class:`.server.Shape` of the frames of its response.
    """

    __slots__ = ("fields", "length", "body", "size", "given", "is_complete", "granted", "sent",
                 "waiting", "shape")

    def __init__(self, fields, length, shape):
        # type: (List[Field], Optional[int], Shape) -> None
        self.fields = fields
        self.length = length
        self.body = b""
        #: Bytes that have been received, and by how much the window was extended for them.
        self.size = self.given = 0
        self.is_complete = False
        #: By how much the client extended its window, and bytes that have been sent.
        self.granted = self.sent = 0
        #: What is left of the response's body, None if there is nothing to be sent.
        self.waiting = None  # type: Optional[bytes]
        self.shape = shape


class ClosedStreams(object):
    """Streams that are over, while the client may go on sending on them; the last few thousand."""

    def __init__(self):
        # type: () -> None
        #: Whether the next DATA is to be answered, by stream.
        self._answers = OrderedDict()  # type: OrderedDict[int, bool]

    def add(self, stream, answers_data=False):
        # type: (int, bool) -> None
        """Remember a stream.

        :param answers_data: True has :meth:`take_answer` return True once.
        """
        self._answers[stream] = answers_data
        if len(self._answers) > _MOST_CLOSED:
            self._answers.popitem(last=False)

    def __contains__(self, stream):
        # type: (int) -> bool
        return stream in self._answers

    def take_answer(self, stream):
        # type: (int) -> bool
        """Return True if DATA that has come on a stream is to be answered; once for each."""
        answers = self._answers.get(stream, False)
        if answers:
            self._answers[stream] = False
        return answers
