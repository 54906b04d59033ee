"""How requests end: in a response, in a reset, or before either has come.

What always holds: each stream that was opened ends exactly once. What became of its request is an
event, or a count, or the owner has given it up and is told so. A status is a response, whatever
comes or does not come behind it: with 200 the notification was accepted, and any other one says as
much.
"""

from __future__ import absolute_import, division, print_function

from six.moves import range

from ..._compat import MYPY
from . import frames
from .events import Reset, Response

if MYPY:
    from typing import Any, List, Optional, Sequence

    from .partial import Partial, PartialResponses
    from .streams import Batch, Streams

__all__ = ["Endings"]


class Endings(object):
    """Ends the requests of a connection, and keeps what became of them.

    :param streams: the connection's :class:`.Streams`.
    :param partial: its :class:`.PartialResponses`.

    :ivar accepted: how many responses with status 200 have come (int).
    :ivar response_count: how many responses have come (int), whatever their status.
    :ivar is_trusted: whether any of them had another status than 403 (bool).
    :ivar keeps_responses: whether responses with status 200 are events (bool), or only counted.
    """

    def __init__(self, streams, partial):
        # type: (Streams, PartialResponses) -> None
        self.accepted = self.response_count = 0
        self.is_trusted = self.keeps_responses = False
        self._streams, self._partial = streams, partial
        self._events = []  # type: List[Any]

    def take_events(self):
        # type: () -> List[Any]
        """Return what came of requests and was not returned yet, in order."""
        events, self._events = self._events, []
        return events

    # Responses.

    @property
    def kept(self):
        # type: () -> Optional[List[Any]]
        """What responses with status 200 are added to (list); None if they are only counted."""
        return self._events if self.keeps_responses else None

    def count_accepted(self, count):
        # type: (int) -> None
        """Count responses with status 200 whose streams have ended."""
        self.accepted += count
        self.response_count += count
        self.is_trusted = True

    def accept_row(self, streams, data, position, end):
        # type: (Sequence[int], bytes, int, int) -> bool
        """End requests with responses of one shape, which have status 200 and stand in a row.

        :param streams: their numbers, at least one.
        :param position: where the first response begins in the data (int).
        :param end: where the last one ends (int).
        :return: False if one of them is not open, and nothing was done.
        """
        batches = self._streams.end_all(streams)
        if not batches:
            return False
        self.count_accepted(len(batches))
        if self.keeps_responses:
            size = (end - position) // len(streams)
            head = frames.FRAME_HEAD.size
            self._events += [
                Response(batch, stream, 200, data[start + head:start + size], b"", False)
                for batch, stream, start in zip(batches, streams, range(position, end, size))]
        return True

    def conclude(self, stream, status, block, body, is_cut_off=False):
        # type: (int, int, Any, bytes, bool) -> None
        """End a request with its response.

        :param block: its header block where that stands alone (bytes), else the fields (list).
        :param is_cut_off: whether its end has not come (bool).
        """
        is_standalone = stream in self._streams.standalone
        batch = self._end(stream)
        self.response_count += 1
        if status != 403:
            self.is_trusted = True
        if status == 200 and not is_standalone:
            self.accepted += 1
        if status != 200 or is_standalone or self.keeps_responses:
            self._events.append(Response(batch, stream, status, block, body, is_cut_off))

    def finish(self, response):
        # type: (Partial) -> None
        """End a request with its response, which is complete."""
        stream = response.stream
        if self._streams.is_incomplete(stream):
            # A server that has responded does not want the rest (RFC 9113, 8.1).
            self._streams.reset(stream, frames.NO_ERROR)
        self.conclude(stream, response.status, response.block, bytes(response.body))

    # Without a response, or before its end.

    def cut_off(self, stream):
        # type: (int) -> bool
        """End a request whose response will not go on; return False if none has begun."""
        partial = self._partial.get(stream)
        if partial is None:
            return False
        self.conclude(stream, partial.status, partial.block, bytes(partial.body), True)
        return True

    def give_up(self, stream):
        # type: (int) -> bool
        """End a request that is waited for no longer; return True if there is a response.

        The response to a standalone request is of no use if it is cut off.
        """
        if stream not in self._streams.standalone and self.cut_off(stream):
            return True
        self._end(stream)
        return False

    def reset(self, stream, code, is_unprocessed):
        # type: (int, int, bool) -> None
        """End a request whose stream the peer has reset or will not process.

        If there is a status it was processed, whatever the code says. Only the body, or its end,
        has not come.
        """
        if not self.cut_off(stream):
            self._end_by_reset(stream, code, is_unprocessed)

    def fail(self, stream, code):
        # type: (int, int) -> None
        """Reset the stream on which the peer has broken a rule, if it is open."""
        if self._end_by_reset(stream, code, False):
            self._streams.reset(stream, code)

    def _end_by_reset(self, stream, code, is_unprocessed):
        # type: (int, int, bool) -> bool
        """End a request without a response; return False if its stream was not open."""
        is_whole = not self._streams.is_incomplete(stream)
        batch = self._end(stream)
        if batch is None:
            return False
        self._events.append(Reset(batch, stream, code, is_unprocessed, is_whole))
        return True

    def _end(self, stream):
        # type: (int) -> Optional[Batch]
        """End a stream; return its batch, or None if it was not open."""
        self._partial.discard(stream)
        return self._streams.end(stream)
