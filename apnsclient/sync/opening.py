"""Connections over HTTP/2 that are ready for use: from the pool or new, and back to the pool.

A connection is ready once the server's settings have come, or, where it has been idle for long, the
response to a PING. Whoever has no other connection waits for that. A further one is opened while
the others are in use: each step is taken when there is something to do for it. What comes meanwhile
goes to the sender.
"""

from __future__ import absolute_import, division, print_function

import os

from .._compat import MYPY
from .._interrupts import is_interrupt
from ..backends.link import start_connecting
from ..errors import ConnectError, ConnectionLost, ConnectTimeout, Timeout
from ..protocols.http2.headers import load_hpack
from ..sending.http2_connection import SenderConnection
from ..sending.work import LATE
from .lease import READ_SIZE, Lease, close, close_idle, fail, look, read_after_failure

if MYPY:
    from typing import Any, List, Optional

    from ..backends import BaseBackend, BaseConnection
    from .lease import GuardedSender

__all__ = ["Opener", "Opening"]

#: What HTTP/2 is called in ALPN (RFC 7301).
ALPN = ("h2",)
#: Shortest time in seconds that connecting is given.
_SHORTEST = 0.1


class Opening(object):
    """A connection that is being opened, or one from the pool that is being made ready.

    Whoever has it either waits in :meth:`run`, or calls :meth:`advance` whenever there is something
    to do. When either raises anything, it is over.

    :param backend: the :class:`~apnsclient.backends.BaseBackend`.
    :param target: address, and credential.
    :param slot: its place in the pool, perhaps with an idle connection.
    :param sender: gets what comes (:class:`GuardedSender`).
    :param settings: what the session was told.
    :param is_new: whether an idle connection will not do (bool).
    :param timeout: how many seconds each step may take (float), or None.
    :param end: when whoever waits has to be back (float), or None. It says nothing of the time of
        steps that nobody waits in.

    :ivar lease: the connection (:class:`Lease`), None as long as it is not connected.
    :ivar is_over: whether it was closed (bool).
    """

    def __init__(self, backend, target, slot, sender, settings, is_new, timeout, end):
        # type: (BaseBackend, Any, Any, GuardedSender, Any, bool, Optional[float], Optional[float]) -> None  # noqa: E501
        self.lease = None  # type: Optional[Lease]
        self.is_over = False
        self._backend = backend
        self._target = target
        self._slot = slot
        self._sender = sender
        self._settings = settings
        self._is_new = is_new
        self._timeout = timeout
        self._end = end
        self._idle = slot.connection
        self._started_at = backend.clock()
        self._attempt = None  # type: Any
        # Since when the peer is waited for, and until when; and whether for a sign of life.
        self._begun_at = 0.0
        self._deadline = None  # type: Optional[float]
        self._is_pinged = False
        # Whether it comes from the pool: then there may be others, if it is dead.
        self._was_idle = False

    @property
    def connection(self):
        # type: () -> Any
        """What the back-end's ``wait()`` waits for."""
        return self._attempt if self.lease is None else self.lease.link.connection

    @property
    def deadline(self):
        # type: () -> Optional[float]
        """When to go on although nothing has come (float), or None where the back-end knows."""
        return None if self.lease is None else self._deadline

    @property
    def is_doubtful(self):
        # type: () -> bool
        """True if it has been idle for long, and the peer has given no sign of life yet."""
        return (self._is_pinged and self.lease is not None
                and not self.lease.state.client.is_ping_acknowledged)

    def run(self):
        # type: () -> Lease
        """Wait until the connection is ready, and return it.

        :raises Exception: what the back-end raises.
        """
        lease = self._advance(True)
        if lease is None:
            raise AssertionError("whoever waits has something in the end")
        return lease

    def advance(self):
        # type: () -> Optional[Lease]
        """Go on; return the connection if it is ready, None as long as something is waited for.

        :raises Exception: what the back-end raises.
        """
        return self._advance(False)

    def close(self):
        # type: () -> None
        """Give it up at once."""
        self.is_over = True
        try:
            if self._attempt is not None:
                self._attempt.close()
            if self.lease is not None:
                self.lease.link.abort()
                self._sender.note_closed(self.lease, "done")
        finally:
            self._slot.release()

    def _advance(self, can_wait):
        # type: (bool) -> Optional[Lease]
        try:
            while True:
                if self.lease is None and not self._connect(can_wait):
                    return None
                is_ready = self._prepare(can_wait)
                if is_ready is None or is_ready:
                    return self.lease if is_ready else None
                self._replace()
        except BaseException as error:
            self.close()
            facts = self._sender.sender.facts
            if facts is not None and not is_interrupt():
                now = self._backend.clock()
                facts.note_failed(error, now - self._started_at, now)
            raise

    def _connect(self, can_wait):
        # type: (bool) -> bool
        """Get a connection and begin to make it ready; return False if there is none yet."""
        connection, address = self._idle, self._target[0]
        self._was_idle = connection is not None
        if connection is None:
            connection = self._open(can_wait)
        if connection is None:
            return False
        if connection.alpn_protocol not in ALPN:
            connection.close()
            raise ConnectError("%s:%d does not speak HTTP/2: it did not agree to the protocol "
                               "\"h2\" with ALPN" % address, "binary")
        if connection.protocol is None:
            # What the sender knows of a connection lives and dies with it.
            connection.protocol = SenderConnection(connection.address, connection.certificate,
                                                   connection.clock())
        self.lease = Lease(connection, connection.protocol, self._slot)
        self._attempt = None
        self._begun_at = now = self._backend.clock()
        left = _time_left(self._timeout, self._end if can_wait else None, now)
        self._deadline = None if left is None else now + left
        self._is_pinged = False
        if self._was_idle:
            self._look(self.lease)
        return True

    def _open(self, can_wait):
        # type: (bool) -> Optional[BaseConnection]
        """Return a new connection; None if one is on its way."""
        address, credential = self._target
        if not can_wait and self._attempt is None:
            self._attempt = start_connecting(self._backend, address, credential, self._timeout,
                                             ALPN)
        if self._attempt is None:
            left = _time_left(self._timeout, self._end, self._backend.clock())
            return self._backend.get_new_connection(address, credential, left, alpn=ALPN)
        opened = self._attempt.advance()  # type: Optional[BaseConnection]
        return opened

    def _look(self, lease):
        # type: (Lease) -> None
        """See what has come over an idle connection, and whether a sign of life is needed."""
        state = lease.state
        # Where a dead connection looks like a living one, only a response tells.
        ping_after = self._settings.ping_after if self._backend.can_detect_close else 0.0
        idle = self._begun_at - state.used_at
        try:
            look(lease, self._sender)
        except ConnectError as error:
            lease.link.connection.logger.debug("the idle connection to %s:%s is dead: %s",
                                               state.address[0], state.address[1], error)
        if ping_after is not None and state.can_start and (
                idle >= ping_after or state.is_doubtful):
            state.client.ping(os.urandom(8))
            self._is_pinged = True

    def _prepare(self, can_wait):
        # type: (bool) -> Optional[bool]
        """Wait for what is still to come; return whether the connection can be used, or None."""
        lease = self.lease  # type: Any
        state, had_settings = lease.state, lease.state.client.has_settings
        try:
            while not (state.is_over or self._has_come(state)):
                has_read = self._exchange(lease, can_wait)
                if has_read is None:
                    return None
                if not has_read:
                    self._give_up_waiting(lease)
        except ConnectError as error:
            if not self._was_idle:
                raise
            lease.link.connection.logger.debug("the idle connection to %s:%s is dead: %s",
                                               state.address[0], state.address[1], error)
        if not had_settings:
            if not (self._was_idle or state.client.has_settings):
                raise ConnectError("%s:%s does not let us speak HTTP/2: %s"
                                   % (state.address + (state.problem,)))
            # It sends them as soon as the handshake is done, before it has anything else to do. If
            # nobody has waited for them until now, the first response corrects that.
            now = self._backend.clock()
            state.round_trip = now - state.opened_at
            facts = self._sender.sender.facts
            if facts is not None:
                state.is_told = True
                facts.note_opened(self._target[1], lease.link.connection.session_reused,
                                  now - self._started_at, now)
        # Responses to what others have left behind are none of those who come now.
        state.attach(self._settings.keep_ids, self._backend.clock())
        return not self._was_idle or bool(state.can_start and not state.is_rejected)

    def _has_come(self, state):
        # type: (SenderConnection) -> bool
        """Return True if nothing is to be waited for any more."""
        client = state.client
        return client.goaway is not None or bool(
            client.has_settings and (not self._is_pinged or client.is_ping_acknowledged))

    def _give_up_waiting(self, lease):
        # type: (Lease) -> None
        """Let go of a connection over which nothing came in time."""
        state = lease.state
        if self._was_idle:
            state.is_silent = True
            self._sender.lose(lease, "%s %s s to a PING" % (LATE, self._timeout)
                              if self._is_pinged else "it sent no settings")
            return
        self._sender.lose(lease, "it sent no settings")
        raise ConnectTimeout("%s:%s accepted the connection, but sent no HTTP/2 settings within "
                             "%s s" % (state.address + (self._timeout,)))

    def _exchange(self, lease, can_wait):
        # type: (Lease, bool) -> Optional[bool]
        """Write what the protocol has to say and read once; return whether anything has come.

        :return: False when the time is up, and None if there is still time.
        """
        link, clock, sender = lease.link, self._backend.clock, self._sender
        data = lease.state.output(clock())
        if data:
            try:
                link.write(data, None if self._deadline is None
                           else max(self._deadline - clock(), 0.1))
            except (ConnectError, ConnectionLost, Timeout) as error:
                fail(lease, sender, read_after_failure(lease, sender, error))
                return True
        left = None if self._deadline is None else self._deadline - clock()
        is_late = left is not None and left <= 0
        try:
            # What has come in time counts, however late somebody looks.
            received = (link.read(READ_SIZE, left) if can_wait and not is_late
                        else link.peek(READ_SIZE))
        except (ConnectError, ConnectionLost) as error:
            fail(lease, sender, error)
            return True
        if received is None:
            return False if can_wait or is_late else None
        sender.receive(lease, received)
        return True

    def _replace(self):
        # type: () -> None
        """Close a connection that is of no use, and go on with an idle one or a new one."""
        lease = self.lease  # type: Any
        close(lease, self._sender)
        # Where one is dead without a word the others will be, too, and each takes its time.
        self._is_new = (self._is_new or not self._backend.use_cache_for_reconnects
                        or lease.state.is_silent)
        self.lease = None
        self._started_at = self._backend.clock()
        self._idle = None if self._is_new else self._backend.pop_idle(
            self._target[0], self._target[1], ALPN)


def _time_left(timeout, end, now):
    # type: (Optional[float], Optional[float], float) -> Optional[float]
    """Return how many seconds (float) a step may take, or None.

    :param timeout: how many it may take in any case (float), or None.
    :param end: when it has to be over (float), or None.
    """
    if end is None:
        return timeout
    left = max(end - now, _SHORTEST)
    return left if timeout is None else min(left, timeout)


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
        self.address = address
        self._credential = credential
        self._is_cached = is_cached
        self._settings = settings

    @property
    def limit(self):
        # type: () -> Optional[int]
        """How many connections there may be (int), or None for any number."""
        return self._backend.pool_size or None if self._is_cached else None

    def open(self, sender, timeout, end=None):
        # type: (GuardedSender, Optional[float], Optional[float]) -> Lease
        """Return a connection that is ready for use, from the pool if there is one.

        :param sender: gets what comes for requests that callers have left behind.
        :param timeout: how many seconds each step may take (float), or None.
        :param end: when all of it has to be over (float), or None.
        :raises ~apnsclient.errors.ConnectTimeout: if all connections are in use for that long.
        :raises Exception: what the back-end raises.
        """
        patience = _time_left(timeout, end, self._backend.clock())
        opening = self._begin(sender, timeout, patience, end)
        if opening is None:
            raise ConnectTimeout(
                "all %s connections to %s:%d were in use for %s s: set pool_size or "
                "connect_timeout higher, or send more with each call"
                % ((self.limit,) + self.address + (patience,)))
        return opening.run()

    def start(self, sender, timeout, end):
        # type: (GuardedSender, Optional[float], Optional[float]) -> Optional[Opening]
        """Begin to open a further connection, or to make one from the pool ready.

        :param end: see :class:`Opening`.
        :return: None if there may not be another one.
        """
        return self._begin(sender, timeout, 0, end)

    def _begin(self, sender, timeout, patience, end):
        # type: (GuardedSender, Optional[float], Optional[float], Optional[float]) -> Optional[Opening]  # noqa: E501
        """Return what is on its way once there is a slot for it, None if there is none in time."""
        load_hpack()
        backend, is_new = self._backend, sender.sender.needs_new or not self._is_cached
        began, facts = backend.clock(), sender.sender.facts
        slot = backend.acquire_slot(self.address, self._credential, ALPN, self.limit, patience,
                                    is_new)
        if facts is not None and (slot.event is not None if slot is not None else patience != 0):
            now = backend.clock()
            facts.note_waited("connection", now - began, now)
        if slot is None:
            return None
        try:
            if slot.surplus:
                close_idle(backend, slot.surplus, sender)
            return Opening(backend, (self.address, self._credential), slot, sender,
                           self._settings, is_new, timeout, end)
        except BaseException:
            slot.release()
            raise

    def abandon(self, opening, sender):
        # type: (Opening, GuardedSender) -> None
        """Give a connection up that is being opened, or keep it if it is as good as ready."""
        lease = opening.lease
        if lease is None or opening.is_over or opening.is_doubtful:
            opening.close()
        else:
            self.release([lease], sender)

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
