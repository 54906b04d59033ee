"""One connection as a sender sees it: the protocol, what was written and when, and what it allows.

It lives and dies with the connection, and goes to the pool with it. No I/O: bytes in, bytes out,
and time is an argument.
"""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY
from ..protocols.http2.client import ClientConnection
from .adaptive_limit import AdaptiveLimit

if MYPY:
    from typing import Any, List, Optional, Tuple

    from ..protocols.http2.streams import Batch
    from ..reasons import Reason
    from .work import Work

    Address = Tuple[str, int]

__all__ = ["SenderConnection"]


class SenderConnection(object):
    """State of one connection.

    :param address: ``(host, port)`` that it leads to.
    :param credential: certificate or provider token that it was opened with.
    :param now: the time in seconds (float), here and elsewhere; it never goes back.

    :ivar address: ``(host, port)``.
    :ivar client: the protocol (:class:`~apnsclient.protocols.http2.client.ClientConnection`).
    :ivar limit: how many requests may be in flight, once streams were refused
        (:class:`.adaptive_limit.AdaptiveLimit`).
    :ivar batches: the batches that were written and have not ended, oldest first (list).
    :ivar used_at: when it was used last.
    :ivar is_doubtful: whether nothing has come since a request was given up for which there was no
        response (bool): the server may be gone.
    :ivar is_over: whether it is of no more use (bool).
    :ivar is_cut: whether it may have been written to in part only (bool): nothing more is.
    :ivar problem: why it ended, or is ending (str).
    :ivar retired_for: the reason for which requests are sent again over another connection, or
        None; nothing more is started here then.
    :ivar has_unknown: whether it left requests behind of which nothing is known (bool).
    :ivar is_silent: whether it ended because a PING had no response (bool).
    :ivar is_stalled: whether it ended because nothing came of the requests for as long as allowed.
    :ivar is_told: whether an observer was told that it is open, and not yet that it has ended.
    :ivar lost: how many requests had no response when it ended (int).
    :ivar opened_at: when it was opened.
    :ivar round_trip: the shortest time that a response, or the server's first settings, took
        (float); infinite as long as nobody knows.
    """

    def __init__(self, address, credential, now):
        # type: (Address, Any, float) -> None
        self.address = address
        # What gives the connection its provider token, None with a certificate.
        self._bearer = credential.new_bearer() if hasattr(credential, "new_bearer") else None
        self.client = ClientConnection(_authority(*address), self._bearer is not None)
        self.limit = AdaptiveLimit(self.client)
        self.batches = []  # type: List[Batch]
        self.round_trip = float("inf")
        self.lost, self.opened_at, self.used_at = 0, now, now
        self.is_over = self.is_cut = self.is_silent = self.is_stalled = False
        self.is_told = self.is_doubtful = False
        self.problem = ""
        self.retired_for = None  # type: Optional[Reason]
        self._goaway = None  # type: Any
        self._frames = []  # type: List[Any]
        self._unwritten = []  # type: List[Batch]
        self._written = []  # type: List[Batch]
        self.size = 0
        self.attach(False, now)

    def attach(self, keeps_ids, now):
        # type: (bool, float) -> None
        """Begin to use it.

        :param keeps_ids: whether results have the identifiers of what was accepted (bool).
        """
        self.client.keep_responses(keeps_ids)
        self.has_unknown = False
        self._responses_before = self._responses_seen = self.client.response_count
        self._accepted_before = self.client.accepted
        self.progress_at = now

    # What it takes.

    @property
    def can_start(self):
        # type: () -> bool
        """True if requests may be started here, now or later."""
        return (not (self.is_over or self.is_cut) and self.retired_for is None
                and self.client.can_start)

    @property
    def is_done(self):
        # type: () -> bool
        """True if nothing more is to be expected of it."""
        return self.is_over or not self.client.in_flight and not self.can_start

    @property
    def has_responded(self):
        # type: () -> bool
        """True if the server has responded to any request since its use began."""
        return self.client.response_count != self._responses_before

    @property
    def has_failed(self):
        # type: () -> bool
        """True if nothing came of its use."""
        if self.retired_for is not None and self.retired_for.is_unprocessed:
            return self.client.accepted == self._accepted_before
        return not self.is_cut and (self.is_stalled or not self.has_responded)

    def room(self, work):
        # type: (Work) -> int
        """Return how many requests of some work may be started now."""
        return min(self.client.room(work.payload_size), self.limit.room())

    def start(self, work, chunk):
        # type: (Work, int) -> bool
        """Start requests, to be written with :meth:`output`.

        :param chunk: how many bytes are written together (int).
        :return: False if there is no room for any, or for so few that they are not worth it.
        """
        room, waiting = self.room(work), work.waiting
        if not room:
            return False
        if waiting > 1:
            worthwhile = -(-chunk // work.request_size(self.client))
            if room < min(waiting, worthwhile // 2) and self.client.in_flight > room:
                return False
            room = min(room, worthwhile)
        batch, frames = work.start(self.client, room)
        if batch is not None:
            self._frames.append(frames)
            self._unwritten.append(batch)
            self.size += len(frames)
        return True

    # The provider token.

    def refresh_token(self):
        # type: () -> bool
        """See that requests from here on carry a provider token that is valid.

        :return: whether it is another one than before.
        """
        if self._bearer is not None:
            token = self._bearer.current()
            if token != self.token:
                self.client.encoder.authorization = token
                return True
        return False

    @property
    def token_age(self):
        # type: () -> float
        """How many seconds ago the provider token was signed when it was taken (float)."""
        return 0.0 if self._bearer is None else self._bearer.age

    @property
    def token(self):
        # type: () -> Optional[bytes]
        """The provider token of the last requests, None with a certificate."""
        authorization = self.client.encoder.authorization  # type: Optional[bytes]
        return authorization

    @property
    def is_rejected(self):
        # type: () -> bool
        """True if the provider token that the connection has to keep for a while was rejected."""
        return self._bearer is not None and bool(self._bearer.is_rejected)

    def reject_token(self):
        # type: () -> None
        """Record that the server has rejected the provider token, if there is one."""
        if self._bearer is not None:
            self._bearer.reject()

    # What is written.

    def output(self, now):
        # type: (float) -> bytes
        """Return what is to be written, and forget it: call :meth:`written` when it is.

        What the protocol has to say comes first, because what acknowledges settings has to come
        before what obeys them. In the middle of a frame nothing can be said any more.
        """
        frames, self._frames, self.size = self._frames, [], 0
        control = self.client.output()
        if self.is_cut:
            return b""
        if control:
            frames.insert(0, control)
        # From here on they may have reached the server.
        self.batches = [batch for batch in self.batches if batch.left]
        self.batches += self._unwritten
        self._written, self._unwritten = self._unwritten, []
        for batch in self._written:
            batch.written_at, batch.responses_before = now, self.client.response_count
        return frames[0] if len(frames) == 1 else b"".join(frames)

    @property
    def has_requests(self):
        # type: () -> bool
        """True if there are requests in what was returned by :meth:`output`."""
        return bool(self._written)

    def written(self, now):
        # type: (float) -> None
        """Note that what :meth:`output` returned was written."""
        for batch in self._written:
            batch.written_at, batch.responses_before = now, self.client.response_count
        self._written = []

    def cut(self, now):
        # type: (float) -> List[Tuple[Batch, int, bool]]
        """Note that what :meth:`output` returned was written in part, as far as anybody knows.

        :return: as :meth:`end`, each request of which it is known that it will never be whole.
        """
        self.is_cut = True
        self.written(now)
        return self.client.abandon(is_over=False)

    def cancel(self, batch, index=None):
        # type: (Batch, Optional[int]) -> List[Tuple[int, bool]]
        """Give up a batch, or one request of it; see :meth:`.ClientConnection.cancel`.

        A stream can be reset only behind the frames that open it.
        """
        is_written = batch not in self._unwritten
        if not is_written:
            self._frames.insert(0, self.client.output())
        left = self.client.cancel(batch, index)
        if not is_written:
            self._frames.append(self.client.output())
        elif left:
            self.is_doubtful = True
        return left

    # What is read.

    def receive(self, data, now):
        # type: (bytes, float) -> List[Any]
        """Take what the server has sent.

        :param data: any number of bytes, at least one.
        :return: what came of requests, see :meth:`.ClientConnection.receive`.
        """
        client = self.client
        self.is_doubtful = False
        self.limit.note_reading()
        events = client.receive(data)
        if client.response_count != self._responses_seen:
            self._responses_seen, self.progress_at = client.response_count, now
            if self.batches:
                # The oldest one may have waited longer than what has come; never less.
                self.round_trip = min(self.round_trip, now - self.batches[0].written_at)
        return events

    def take_goaway(self):
        # type: () -> Any
        """Return the GOAWAY of the server, if there is another one than before; else None.

        A server may first say that it will end the connection, and then why.
        """
        goaway = self.client.goaway
        if goaway is self._goaway:
            return None
        self._goaway = goaway
        return goaway

    # Time.

    def deadline(self, read_timeout):
        # type: (float) -> float
        """Return when the time of the oldest request is over, or that for having room for one.

        :param read_timeout: how long each has, in seconds (float).
        """
        oldest = self.oldest()
        return read_timeout + (self.progress_at if oldest is None else oldest.written_at)

    def oldest(self):
        # type: () -> Optional[Batch]
        """Return the oldest batch that has not ended."""
        for batch in self.batches:
            if batch.left:
                return batch
        return None

    def take_finished(self):
        # type: () -> List[Batch]
        """Return the batches that have ended since it was asked for the last time."""
        finished = [batch for batch in self.batches if not batch.left]
        if finished:
            self.batches = [batch for batch in self.batches if batch.left]
        return finished

    # The end.

    def end(self, problem):
        # type: (str) -> List[Tuple[Batch, int, bool]]
        """Note that it is over, and that nothing was said of what is in flight.

        :return: ``(batch, stream, was_written)`` of each request that is left.
        """
        self.is_over = True
        self.problem = self.problem or problem
        unwritten = set(map(id, self._unwritten))
        left = [(batch, stream, is_whole and id(batch) not in unwritten)
                for batch, stream, is_whole in self.client.abandon()]
        self.batches += self._unwritten
        self._frames, self._unwritten, self._written = [], [], []
        return left

    def rest(self, now):
        # type: (float) -> bool
        """Note that the use is over; return True if the connection may be used again."""
        self.used_at = now
        return (self.can_start and not self.is_rejected and not self._unwritten
                and not self._written and not self.limit.refuses_all)


def _authority(host, port):
    # type: (str, int) -> bytes
    """Return what names the server in a request.

    Without the dot that makes a name absolute, which is for the resolver: the name that TLS sends
    has none (RFC 6066, 3), and some servers refuse requests whose authority is another name.
    """
    if host.endswith("."):
        host = host[:-1]
    if ":" in host:
        host = "[%s]" % host
    name = host if port == 443 else "%s:%d" % (host, port)
    return name.encode("ascii" if isinstance(name, bytes) else "idna")
