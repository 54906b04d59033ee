"""The feedback service: the list at once, then the end of the stream.

Everything here runs in the event loop's thread.
"""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from ...protocols.feedback import encode_feedback
from .script import CLOSE, RESET, STALL
from .service import Service
from .tls_connection import ConnectionHandler

if MYPY:
    from typing import Any, Callable, Dict, Iterator, List, Optional

    from OpenSSL import SSL

    from .devices import Devices, Row
    from .interventions import Interventions
    from .loop import Loop
    from .record import Record
    from .script import FeedbackScript
    from .tls_connection import TLSConnection

__all__ = ["FeedbackService"]

#: Rows that are encoded in one go.
_ROWS_PER_PIECE = 1024


class FeedbackService(Service):
    """The feedback service; its parameters are those of :class:`.service.Service`, and one more.

    :param devices: registry of devices (:class:`.devices.Devices`).
    """

    name = "feedback"

    def __init__(self, loop, record, context, usual_scripts, interventions, linger, clock, devices):
        # type: (Loop, Record, SSL.Context, Dict[str, Any], Interventions, float, Callable[[], float], Devices) -> None  # noqa: E501
        super(FeedbackService, self).__init__(
            loop, record, context, usual_scripts, interventions, linger, clock, "feedback_")
        self._devices = devices

    def new_handler(self, script):
        # type: (FeedbackScript) -> ConnectionHandler
        """Return the handler of a connection; see the base class."""
        return _FeedbackHandler(self, self._devices, script)


class _FeedbackHandler(ConnectionHandler):
    """One connection to the feedback service.

    The rows are taken off the list once the client has read to the end of the stream and has ended
    its own side. A connection that fails takes nothing off the list: what the client has not read
    is there the next time, and what it has read is there again.
    """

    def __init__(self, service, devices, script):
        # type: (FeedbackService, Devices, FeedbackScript) -> None
        self._service, self._devices = service, devices
        self._ending = script.ending[0] if script.ending else CLOSE
        self._limit = script.ending[1] if script.ending else None  # type: Optional[int]
        self._garbage = script.garbage
        self._rows = []  # type: List[Row]
        self._whole = 0

    def opened(self, connection):
        # type: (TLSConnection) -> None
        self._service.opened(connection)
        self._rows = self._devices.feedback_rows()
        connection.send_all(self._stream())

    def drained(self, connection):
        # type: (TLSConnection) -> None
        if self._ending == STALL:
            connection.pause()
        elif self._ending == RESET:
            connection.reset()
        else:
            connection.finish()

    def ended(self, connection):
        # type: (TLSConnection) -> None
        # A client may end its side at once: it has nothing to say.
        pass

    def closed(self, connection, is_orderly):
        # type: (TLSConnection, bool) -> None
        self._service.closed(connection)
        if is_orderly and connection.is_established:
            self._devices.clear_feedback(self._rows[:self._whole])
            self._service.record.add(feedback_count=self._whole)

    def _stream(self):
        # type: () -> Iterator[bytes]
        left = self._limit
        for start in range(0, len(self._rows), _ROWS_PER_PIECE):
            encoded = [encode_feedback(when, token)
                       for token, when in self._rows[start:start + _ROWS_PER_PIECE]]
            if left is None:
                self._whole += len(encoded)
                yield b"".join(encoded)
                continue
            size = 0
            for row in encoded:
                size += len(row)
                self._whole += size <= left
            if left:
                yield b"".join(encoded)[:left]
            left -= min(left, size)
        garbage = self._garbage[:left]
        if garbage:
            yield garbage
