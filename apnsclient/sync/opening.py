"""Connections over HTTP/2 that are ready for use: from the pool or new, and back to the pool.

Everything that this does for a connection may wait: it connects, and waits for the server's
settings, for a response to a PING, and for what is written last. What comes meanwhile goes to the
sender.
"""

from __future__ import absolute_import, division, print_function

import logging
import os

from .._compat import MYPY, text_of
from ..backends.link import Link
from ..errors import ConnectError, ConnectionLost, ConnectTimeout, Timeout
from ..protocols.http2.headers import load_hpack
from ..sending.http2_connection import SenderConnection

if MYPY:
    from typing import Any, Callable, List, Optional

    from ..backends import BaseBackend, BaseConnection
    from ..sending.http2 import Sender

__all__ = ["GuardedSender", "Lease", "Opener"]

#: What HTTP/2 is called in ALPN (RFC 7301).
ALPN = ("h2",)
#: Most bytes that are read at once.
READ_SIZE = 65536
#: Seconds for what a server says while it does not take what we write.
CLOSING_TIMEOUT = 1.0
#: Seconds for our own GOAWAY, which takes none but where a server has stopped reading.
_GOAWAY_TIMEOUT = 0.1
#: Seconds for what has come while nobody looked: it is no more than a system's buffers hold.
_LONGEST_LOOK = 0.25


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

    def receive(self, lease, data):
        # type: (Lease, bytes) -> None
        """Hand on what was read: bytes, or ``b""`` at the end of the stream."""
        if not data:
            self.lose(lease, "the server ended the connection")
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


class Opener(object):
    """Opens connections to one address with one credential, and gives them back.

    :param backend: the :class:`~apnsclient.backends.BaseBackend`.
    :param address: ``(host, port)``.
    :param credential: certificate or provider token.
    :param is_cached: whether connections come from the pool, and go to it (bool).
    :param settings: what the session was told: ``timing``, ``ping_after``, ``keep_ids``.
    """

    def __init__(self, backend, address, credential, is_cached, settings):
        # type: (BaseBackend, Any, Any, bool, Any) -> None
        self._backend = backend
        self._address = address
        self._credential = credential
        self._is_cached = is_cached
        self._settings = settings

    @property
    def limit(self):
        # type: () -> Optional[int]
        """How many connections there may be (int), or None for any number."""
        return self._backend.pool_size or None if self._is_cached else None

    def open(self, sender, is_another, timeout):
        # type: (GuardedSender, bool, Optional[float]) -> Optional[Lease]
        """Return a connection that is ready for use, from the pool if there is one.

        :param sender: gets what comes for requests that were left unanswered.
        :param is_another: whether there is one already (bool): then nobody waits for a slot.
        :param timeout: longest time in seconds (float), or None.
        :return: None if there is one already, and no slot for another one.
        :raises ~apnsclient.errors.ConnectTimeout: if all connections are in use for that long.
        :raises Exception: what the back-end raises.
        """
        load_hpack()
        backend, is_new = self._backend, sender.sender.needs_new or not self._is_cached
        slot = backend.acquire_slot(self._address, self._credential, ALPN, self.limit,
                                    0 if is_another else timeout, is_new)
        if slot is None:
            if is_another:
                return None
            raise ConnectTimeout(
                "all %s connections to %s:%d were in use for %s s: set pool_size or "
                "connect_timeout higher, or send more with each call"
                % ((self.limit,) + self._address + (timeout,)))
        try:
            if slot.surplus:
                close_idle(backend, slot.surplus, sender)
            return self._open(slot, sender, is_new, timeout)
        except BaseException:
            slot.release()
            raise

    def _open(self, slot, sender, is_new, timeout):
        # type: (Any, GuardedSender, bool, Optional[float]) -> Lease
        """Return a connection that is ready for use: the idle one of a slot, another, or a new one.
        """
        connection = slot.connection
        while True:
            lease = self._lease(connection, slot, timeout)
            try:
                if self._prepare(lease, sender, timeout):
                    return lease
            except BaseException:
                lease.link.close()
                raise
            close(lease, sender)
            # Where one is dead without a word the others will be, too, and each takes its time.
            is_new = (is_new or not self._backend.use_cache_for_reconnects
                      or lease.state.is_silent)
            connection = None if is_new else self._backend.pop_idle(
                self._address, self._credential, ALPN)

    def _lease(self, connection, slot, timeout):
        # type: (Optional[BaseConnection], Any, Optional[float]) -> Lease
        if connection is None:
            connection = self._backend.get_new_connection(
                self._address, self._credential, timeout, alpn=ALPN)
        if connection.alpn_protocol not in ALPN:
            connection.close()
            raise ConnectError("%s:%d does not speak HTTP/2: it did not agree to the protocol "
                               "\"h2\" with ALPN" % self._address, "binary")
        if connection.protocol is None:
            # What the sender knows of a connection lives and dies with it.
            connection.protocol = SenderConnection(connection.address, connection.certificate,
                                                   connection.clock())
        return Lease(connection, connection.protocol, slot)

    def _prepare(self, lease, sender, timeout):
        # type: (Lease, GuardedSender, Optional[float]) -> bool
        """Make a new connection ready; return False if an idle one is of no use any more."""
        state, now = lease.state, self._backend.clock()
        if not state.client.has_settings:
            self._await_settings(lease, sender, timeout)
            state.attach(self._settings.keep_ids, self._backend.clock())
            return True
        # Where a dead connection looks like a living one, only a response tells.
        ping_after = self._settings.ping_after if self._backend.can_detect_close else 0.0
        is_idle = ping_after is not None and now - state.used_at >= ping_after
        try:
            look(lease, sender)
            if is_idle and state.can_start:
                self._ping(lease, sender, timeout)
                now = self._backend.clock()
        except ConnectError as error:
            lease.link.connection.logger.debug("the idle connection to %s:%s is dead: %s",
                                               state.address[0], state.address[1], error)
        # What others left unanswered, and was answered since, is none of those who come now.
        state.attach(self._settings.keep_ids, now)
        return state.can_start and not state.is_rejected

    def _await_settings(self, lease, sender, timeout):
        # type: (Lease, GuardedSender, Optional[float]) -> None
        """Send our settings and wait for the server's."""
        state, deadline, begin = lease.state, self._deadline(timeout), self._backend.clock()
        while not state.is_over and not state.client.has_settings:
            if not self._exchange(lease, sender, deadline):
                sender.lose(lease, "it sent no settings")
                raise ConnectTimeout(
                    "%s:%s accepted the connection, but sent no HTTP/2 settings within %s s"
                    % (state.address + (timeout,)))
        if state.is_over:
            raise ConnectError("%s:%s does not let us speak HTTP/2: %s"
                               % (state.address + (state.problem,)))
        # It sends them as soon as the handshake is done, before it has anything else to do.
        state.round_trip = self._backend.clock() - begin

    def _ping(self, lease, sender, timeout):
        # type: (Lease, GuardedSender, Optional[float]) -> None
        """Wait for a sign of life."""
        state, deadline = lease.state, self._deadline(timeout)
        state.client.ping(os.urandom(8))
        while not state.is_over and not state.client.is_ping_acknowledged:
            if not self._exchange(lease, sender, deadline):
                state.is_silent = True
                sender.lose(lease, "the server did not respond to a PING within %s s" % timeout)

    def _deadline(self, timeout):
        # type: (Optional[float]) -> Optional[float]
        return None if timeout is None else self._backend.clock() + timeout

    def _exchange(self, lease, sender, deadline):
        # type: (Lease, GuardedSender, Optional[float]) -> bool
        """Write what the protocol has to say and read once; return False when the time is up."""
        link, clock = lease.link, self._backend.clock
        data = lease.state.output(self._backend.clock())
        if data:
            try:
                link.write(data, None if deadline is None else max(deadline - clock(), 0.1))
            except (ConnectError, ConnectionLost, Timeout) as error:
                fail(lease, sender, read_after_failure(lease, sender, error))
                return True
        left = None if deadline is None else deadline - clock()
        if left is not None and left <= 0:
            return False
        try:
            received = link.read(READ_SIZE, left)
        except (ConnectError, ConnectionLost) as error:
            fail(lease, sender, error)
            return True
        if received is None:
            return False
        sender.receive(lease, received)
        return True

    def release(self, leases, sender):
        # type: (List[Lease], GuardedSender) -> None
        """Give connections back that nobody uses any more; close those that are of no more use."""
        for lease in leases:
            kept = None
            try:
                if (lease.state.rest(self._backend.clock()) and not lease.pending
                        and self._is_cached):
                    kept = lease.link.connection
                else:
                    close(lease, sender)
            finally:
                surplus = lease.slot.release(kept)
                if surplus:
                    close_idle(self._backend, surplus, sender)


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
    link, end = lease.link, None  # type: Link, Optional[float]
    try:
        while True:
            data = link.peek(READ_SIZE)
            if data is None:
                return
            sender.receive(lease, data)
            now = sender.clock()
            # No longer than that, if more and more comes.
            end = now + _LONGEST_LOOK if end is None else end
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
        sender.lose(lease, "it was closed here")
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
                send_goaway(Lease(connection, connection.protocol, None), sender)
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
            "the connection to %s:%s ended with %d requests unanswered: %s",
            state.address[0], state.address[1], state.lost, state.problem)
