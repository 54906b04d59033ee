"""A connection in use: what the back-end, the sender and the pool each know of it; how it ends."""

from __future__ import absolute_import, division, print_function

import logging

from .._compat import MYPY, text_of
from ..backends.link import Link
from ..errors import ConnectError, ConnectionLost, Timeout
from ..sending.facts import CLOSED_HERE, ENDED

if MYPY:
    from typing import Any, Callable, List, Optional

    from ..backends import BaseBackend, BaseConnection
    from ..sending.http2 import Sender
    from ..sending.http2_connection import SenderConnection

__all__ = ["LONGEST_LOOK", "READ_SIZE", "GuardedSender", "Lease", "close", "close_idle", "fail",
           "is_refusal", "look", "read_after_failure", "send_goaway"]

#: Most bytes that are read at once.
READ_SIZE = 65536
#: Seconds for what a server says while it does not take what we write.
CLOSING_TIMEOUT = 1.0
#: Seconds for our own GOAWAY, which takes none but where a server has stopped reading.
_GOAWAY_TIMEOUT = 0.1
#: Seconds for what has come while nobody looked: it is no more than a system's buffers hold.
LONGEST_LOOK = 0.25


class GuardedSender(object):
    """Tells a sender what came, with the lock held that guards it.

    :param sender: the :class:`~apnsclient.sending.http2.Sender`.
    :param lock: what guards it.
    :param clock: returns the time in seconds (float), which never goes back.
    """

    def __init__(self, sender, lock, clock):
        # type: (Sender, Any, Callable[[], float]) -> None
        self.sender = sender
        self.lock = lock
        self.clock = clock

    def note_closed(self, lease, ours):
        # type: (Lease, str) -> None
        """Note that a connection is closed, for the observer if there is one.

        :param ours: why, if it was in good order; see :class:`~apnsclient.events.ConnectionClosed`.
        """
        if self.sender.facts is not None:
            self.sender.facts.note_http2_closed(lease.state, ours, self.clock())

    def receive(self, lease, data):
        # type: (Lease, bytes) -> None
        """Hand on what was read: bytes, or ``b""`` at the end of the stream."""
        if not data:
            self.lose(lease, ENDED)
            return
        with self.lock:
            if not lease.state.is_over:
                self.sender.receive(lease.state, data, self.clock())

    def lose(self, lease, problem, failure=None):
        # type: (Lease, str, Any) -> None
        """Say that a connection is of no more use; see :meth:`.Sender.lose`."""
        with self.lock:
            self.sender.lose(lease.state, problem, self.clock(), failure)

    def cut(self, lease):
        # type: (Lease) -> None
        """Say that a write was interrupted; see :meth:`.Sender.cut`."""
        with self.lock:
            self.sender.cut(lease.state, self.clock())


class Lease(object):
    """A connection in use: what the back-end, the sender and the pool each know of it.

    :ivar link: calls the back-end's connection (:class:`~apnsclient.backends.link.Link`).
    :ivar state: what the sender knows of it
        (:class:`~apnsclient.sending.http2_connection.SenderConnection`).
    :ivar slot: its place in the pool.
    :ivar pending: what is still to be written (bytes).
    """

    __slots__ = ("link", "pending", "slot", "state")

    def __init__(self, connection, state, slot):
        # type: (BaseConnection, SenderConnection, Any) -> None
        self.link = Link(connection)
        self.state = state
        self.slot = slot
        self.pending = b""


def is_refusal(lease, error):
    # type: (Lease, Exception) -> bool
    """Return True if the server has never accepted us: then nothing was processed.

    One that has taken note of what we sent has accepted us, whatever alert it ends with.
    """
    return isinstance(error, ConnectError) and not lease.state.client.has_proof


def look(lease, sender):
    # type: (Lease, GuardedSender) -> None
    """Take in what has arrived, without waiting.

    :raises ~apnsclient.errors.ConnectError: if the server has never accepted us.
    """
    link = lease.link
    end = None  # type: Optional[float]
    try:
        while True:
            data = link.peek(READ_SIZE)
            if data is None:
                return
            sender.receive(lease, data)
            now = sender.clock()
            # No longer than that, if more and more comes.
            end = now + LONGEST_LOOK if end is None else end
            if lease.state.is_over or now >= end:
                return
    except (ConnectError, ConnectionLost) as error:
        fail(lease, sender, error)


def fail(lease, sender, error):
    # type: (Lease, GuardedSender, Exception) -> None
    """Let go of a connection that raised something; raise it if the server never accepted us."""
    is_told = is_refusal(lease, error)
    sender.lose(lease, text_of(error))
    try:
        if is_told:
            raise error
    finally:
        # The frames of the exception would refer to themselves.
        del error


def read_after_failure(lease, sender, error):
    # type: (Lease, GuardedSender, Exception) -> Exception
    """Take in what the server said before a write failed: it may be why it hung up.

    :return: what is to blame (Exception): the same, or that the server never accepted us.
    """
    link, state = lease.link, lease.state
    link.connection.logger.debug("writing to %s:%s failed: %s", state.address[0], state.address[1],
                                 error)
    end = sender.clock() + CLOSING_TIMEOUT
    try:
        while not (state.is_over or isinstance(error, Timeout)) and sender.clock() < end:
            data = link.read(READ_SIZE, end - sender.clock())
            if data is None:
                break
            sender.receive(lease, data)
    except (ConnectError, ConnectionLost) as problem:
        link.connection.logger.debug("reading failed as well: %s", problem)
        if isinstance(problem, ConnectError):
            error = problem
    return error


def close(lease, sender):
    # type: (Lease, GuardedSender) -> None
    """Send GOAWAY and close the connection; wait only for what has still to arrive.

    Callers who share the host wait meanwhile. A server that has responded to all requests has got
    them, and one that has ended the connection takes nothing any more.
    """
    state = lease.state
    has_to_arrive = not state.is_over and state.client.in_flight
    try:
        send_goaway(lease, sender)
    finally:
        log_end(lease)
        sender.note_closed(lease, "done")
        if has_to_arrive:
            lease.link.close()
        else:
            lease.link.abort()


def send_goaway(lease, sender):
    # type: (Lease, GuardedSender) -> None
    """Take in what has come, and tell the server that the connection is going to be closed."""
    state, connection = lease.state, lease.link.connection
    if not state.is_over:
        try:
            look(lease, sender)
        except ConnectError as error:
            connection.logger.debug("%s:%s had refused us: %s", state.address[0],
                                    state.address[1], error)
    if not state.is_over:
        state.client.send_goaway()
        data = b"" if state.is_cut else state.output(sender.clock())
        sender.lose(lease, CLOSED_HERE)
    elif state.client.error is not None:
        data = state.client.output()
    else:
        return
    try:
        if data and not connection.is_inherited:
            lease.link.write(data, _GOAWAY_TIMEOUT)
    except (ConnectError, ConnectionLost, Timeout) as error:
        connection.logger.debug("%s:%s did not take the GOAWAY: %s", state.address[0],
                                state.address[1], error)


def close_idle(backend, connections, sender):
    # type: (BaseBackend, List[BaseConnection], GuardedSender) -> None
    """Close idle connections, after what is to be read and said."""
    try:
        for connection in connections:
            if connection.protocol is not None:
                lease = Lease(connection, connection.protocol, None)
                send_goaway(lease, sender)
                sender.note_closed(lease, "idle")
    finally:
        backend.close_all(connections)


def log_end(lease):
    # type: (Lease) -> None
    """Report a connection that is over."""
    state, log = lease.state, lease.link.connection.logger
    if state.client.error is not None:
        log.warning("%s:%s broke the rules of HTTP/2: %s", state.address[0], state.address[1],
                    state.client.error)
    log.log(logging.WARNING if state.lost else logging.DEBUG,
            "the connection to %s:%s ended with %d requests without a response: %s",
            state.address[0], state.address[1], state.lost, state.problem)
