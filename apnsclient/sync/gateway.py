"""One connection to a gateway of the binary protocol: what is written to it and read from it.

What the bytes mean is decided in :mod:`apnsclient.sending.binary_stream`.
"""

from __future__ import absolute_import, division, print_function

import logging

from .._compat import MYPY
from ..backends.link import Link
from ..errors import ConnectError, ConnectionLost, Timeout
from ..sending.binary_stream import GatewayStream

if MYPY:
    from typing import Callable, List, Optional

    from .._timing import Timing
    from ..backends import BaseConnection
    from ..result import Result
    from ..sending.facts import Facts

__all__ = ["Gateway", "time_left"]

#: What a connection fails with.
_FAILURES = (ConnectError, ConnectionLost, Timeout)
#: How many bytes an error frame is read with; there is never more than one, of six bytes.
_RESPONSE_SIZE = 64
#: Seconds that something is given for which there is no time left: it is about to fail.
_SHORTEST = 0.001


def time_left(limit, deadline, clock):
    # type: (Optional[float], Optional[float], Callable[[], float]) -> Optional[float]
    """Return how long something may take (seconds above 0), or None if as long as it likes.

    :param limit: the session's limit in seconds, or None.
    :param deadline: when the call is to end, or None.
    """
    if deadline is None:
        return limit
    left = max(deadline - clock(), _SHORTEST)
    return left if limit is None else min(left, limit)


class Gateway(object):
    """A connection that was leased from the back-end, for one call.

    :param connection: the :class:`~apnsclient.backends.BaseConnection`.
    :param timing: timeouts and buffer sizes (``Timing``).
    :param report_late: called with a list of :class:`~apnsclient.apns.Result` when it turns out
        that messages whose results were handed out had not been delivered after all.
    :param facts: what an observer is to be told (:class:`~apnsclient.sending.facts.Facts`), or
        None.

    :ivar stream: what is known of the connection
        (:class:`~apnsclient.sending.binary_stream.GatewayStream`).
    """

    def __init__(self, connection, timing, report_late, facts=None):
        # type: (BaseConnection, Timing, Callable[[List[Result]], None], Optional[Facts]) -> None
        if connection.protocol is None:
            connection.protocol = GatewayStream()
            connection.protocol.opened_at = None if facts is None else connection.clock()
        else:
            connection.protocol.reuse()
        self.connection = connection
        self.stream = connection.protocol  # type: GatewayStream
        self._link = Link(connection)
        self._log = connection.logger
        self._where = "%s:%s" % tuple(connection.address)
        self._timing = timing
        self._report_late = report_late
        self._facts = facts
        self._is_noted = False

    def prepare(self):
        # type: () -> bool
        """Read what came while it was idle; return True if the connection can still be used."""
        stream = self.stream
        if stream.is_untried:
            try:
                self.look()
            except ConnectError as error:
                self._log.warning("what was sent over an idle connection to %s was not processed: "
                                  "%s", self._where, error)
            if not stream.is_over:
                self.connection.reset()
        return not stream.is_over

    def write(self, data, deadline):
        # type: (bytes, Optional[float]) -> bool
        """Write, and return True; return False if the connection turned out to be over.

        :param deadline: when the call is to end, or None.
        :raises ~apnsclient.errors.ConnectError: if the gateway refused our certificate only now, as
            TLS 1.3 has it. Nothing was processed.
        """
        clock, timing = self.connection.clock, self._timing
        try:
            try:
                self._link.write(data, time_left(timing.write_timeout, deadline, clock))
                return True
            except _FAILURES as error:
                # The gateway may have hung up after an error frame that is still unread.
                self._log.debug("writing to %s failed", self._where, exc_info=True)
                self.stream.write_failed(error)
                if not self.stream.is_over:
                    tail = clock() + timing.read_tail_timeout
                    self.listen(tail if deadline is None else min(tail, deadline))
                self._failed(error)
                return False
        except BaseException as error:
            # Nobody knows how much of the last frame was written.
            self.stream.end(error)
            raise

    def look(self):
        # type: () -> None
        """Take in what has arrived, without waiting; raises what :meth:`write` does."""
        self.listen(None)

    def listen(self, deadline):
        # type: (Optional[float]) -> None
        """Wait for an error frame until a point in time; raises what :meth:`write` does."""
        stream, connection = self.stream, self.connection
        while not stream.is_over:
            timeout = 0.0 if deadline is None else deadline - connection.clock()
            try:
                if timeout > 0:
                    data = self._link.read(_RESPONSE_SIZE, timeout)
                else:
                    data = self._link.peek(_RESPONSE_SIZE)
            except _FAILURES as error:
                self._log.debug("reading from %s failed", self._where, exc_info=True)
                self._failed(error)
                return
            if data is None:
                stream.silent(connection.clock(), self._timing.read_tail_timeout)
                return
            stream.received(data)
        self.note_end()

    def _failed(self, error):
        # type: (Exception) -> None
        """Note that the connection has failed; a refused certificate is the caller's to know."""
        self.stream.end(error)
        self.note_end()
        if self.stream.failure is error and self.stream.is_refused:
            raise error

    def note_end(self):
        # type: () -> None
        """Log how the connection ended, and report which messages turn out to be undelivered."""
        stream = self.stream
        if stream.is_over and not self._is_noted:
            self._is_noted = True
            if stream.response is not None:
                self._log.debug("%s responded with status %d for identifier %d",
                                self._where, *stream.response)
            else:
                # A refused certificate is raised, and needs no warning as well.
                self._log.log(logging.WARNING if stream.lost else logging.DEBUG,
                              "the connection to %s ended without a response: %s", self._where,
                              stream.failure or ConnectionLost("end of stream", "http2"))
        late = stream.take_late()
        if late:
            self._report_late(late)

    def read_after_close(self):
        # type: () -> None
        """Take in what came while the connection was being closed: an error frame may be late."""
        if self.connection.received_on_close:
            self.stream.received(self.connection.received_on_close)
            self.note_end()

    def close(self):
        # type: () -> None
        """Close a connection that is over."""
        self._link.close()
        self.note_closed("done")

    def abort(self):
        # type: () -> None
        """Close it at once."""
        self._link.abort()
        self.note_closed("done")

    def note_closed(self, ours):
        # type: (str) -> None
        """Note that the connection is closed, for the observer if there is one.

        :param ours: why, if it was in good order; see :class:`~apnsclient.events.ConnectionClosed`.
        """
        if self._facts is not None:
            self._facts.note_gateway_closed(self.stream, ours, self.connection.clock())
