"""What is sent over HTTP/2, and where each of its requests is.

A sender starts the requests of a piece of work, and tells it what became of each. The kinds of work
are subclasses: those for messages are in :mod:`.message_work`; a :class:`Request` is any other
request.

What always holds: a request is in one of three places. It waits to be started, it is in a batch
that was started and has not ended, or its outcome is known: for one that was withdrawn while it
waited, whoever withdrew it sees to that. Work knows neither the connection that carries its
requests nor the caller who waits for them.
"""

from __future__ import absolute_import, division, print_function

from six.moves import range

from .._compat import MYPY
from ..protocols.http2.requests import HeaderTooLong

if MYPY:
    from typing import (
        AbstractSet,
        Any,
        FrozenSet,
        Iterable,
        Iterator,
        List,
        Optional,
        Sequence,
        Set,
        Tuple,
    )

    from ..protocols.http2.client import ClientConnection
    from ..protocols.http2.events import Response
    from ..protocols.http2.streams import Batch
    from ..reasons import Reason
    from .tally import Tally

    Started = Tuple[Optional[Batch], Any]
    Rejected = List[Tuple[int, Any]]

__all__ = ["LATE", "OVERHEAD", "RESET", "Request", "Work"]

#: What a request takes beside token and payload, about, in bytes.
OVERHEAD = 64
#: How the text begins with which :meth:`Work.lose` is told that the server has reset a request.
RESET = "the request was reset"
#: How it begins where the server was silent for as long as it may be.
LATE = "no response within"
#: The requests that were withdrawn of work of which none was.
_NONE = frozenset()  # type: FrozenSet[int]
#: How many batches there may be before those that have ended are forgotten. There are never more
#: unfinished ones than there may be streams.
_MANY_BATCHES = 4096


class Work(object):
    """Requests with numbers: where each of them is.

    A subclass has the requests, and takes their outcomes. It may be defined anywhere: a sender
    looks at nothing else. It gives

    - what is sent: :attr:`payload_size`, :meth:`request_size` and ``_send(client, indices,
      rejected)``, which calls :meth:`.ClientConnection.send`, ``send_each`` or ``request`` with
      itself as the owner, and returns the batch and the frames; and :meth:`token_of`;
    - what takes the outcome of one request: :meth:`accept`, :meth:`reject`, :meth:`refuse`,
      :meth:`lose` and :meth:`cut`. Exactly one of them is called for each request, and once;
    - what takes the outcome of all that wait: :meth:`stop` and :meth:`give_up`, where
      ``_take_waiting()`` yields the indices of those.

    There are two exceptions. Status 200 in response to what was started with ``send`` or
    ``send_each`` is told only on connections that keep responses
    (:meth:`.SenderConnection.attach`). And nothing is told to work of a call that is abandoned, or
    that has a failure and had not sent anything: what waits there is the caller's to see to.

    None of these methods may call the sender.

    :param count: how many there are (int).

    :ivar call: the call that it belongs to, which whoever sends it looks at and work does not.
    """

    call = None  # type: Any

    #: Counts outcomes for an observer (:class:`~.tally.Tally`), or None; set by whoever has one,
    #: before anything is sent.
    tally = None  # type: Optional[Tally]

    def __init__(self, count):
        # type: (int) -> None
        self._count = count
        # What waits to be started: requests to be sent again, and those from the next one on.
        self._resent = []  # type: List[int]
        self._next = 0
        self._batches = []  # type: List[Batch]
        # Requests that another connection was tried for.
        self._moved = set()  # type: Set[int]
        # Requests behind the next one that will not be started.
        self._withdrawn = _NONE  # type: AbstractSet[int]

    # What a subclass gives.

    @property
    def payload_size(self):
        # type: () -> int
        """Size of the largest payload, in bytes (int)."""
        raise NotImplementedError

    def request_size(self, client):
        # type: (ClientConnection) -> int
        """Return how many bytes a request takes, about."""
        raise NotImplementedError

    def _send(self, client, indices, rejected):
        # type: (ClientConnection, Sequence[int], Rejected) -> Started
        """Make requests; see :meth:`start`, and :meth:`.ClientConnection.send` for ``rejected``.

        :param indices: their numbers, at least one: a list, or a range without gaps.
        """
        raise NotImplementedError

    def has_accepted(self, status):
        # type: (int) -> bool
        """Return True if a status says that a request was accepted."""
        return status == 200

    def token_of(self, index):
        # type: (int) -> Optional[bytes]
        """Return the device token of a request, in lower-case hexadecimal; None if it has none."""
        raise NotImplementedError

    def count_outcomes(self):
        # type: () -> Iterable[Tuple[Any, Any, int]]
        """Return what an observer is told of outcomes: nothing where there are no notifications.

        :return: header fields, fate (see :mod:`.tally`) and number of requests, all of them.
        """
        return ()

    # The outcome of one request.

    def accept(self, index, response):
        # type: (int, Response) -> None
        """Take the response to a request that was accepted, where such responses are kept."""
        raise NotImplementedError

    def reject(self, index, reason, response, timestamp):
        # type: (int, Reason, Response, Optional[int]) -> None
        """Take any other response.

        :param reason: what it says (:class:`~apnsclient.reasons.Reason`).
        :param timestamp: the time that it tells, in seconds since 1970 (int), or None.
        """
        raise NotImplementedError

    def refuse(self, index, error):
        # type: (int, Exception) -> None
        """Note that a request cannot be made; see :meth:`.ClientConnection.send`."""
        raise NotImplementedError

    def lose(self, index, text):
        # type: (int, str) -> None
        """Note that a request was written, and that nothing will be known of it.

        :param text: what happened (str).
        """
        raise NotImplementedError

    def cut(self, index, text):
        # type: (int, str) -> None
        """Note that a request was not written to its end, so that nobody processed it.

        It is left to the caller to send it again: what is to blame may be the request.
        """
        raise NotImplementedError

    # The outcome of all requests that wait.

    def stop(self, reason):
        # type: (Reason) -> None
        """Start nothing more, because of the reason that a request was rejected for."""
        raise NotImplementedError

    def give_up(self, text):
        # type: (str) -> None
        """Leave it to the caller to send what waits, none of which was processed."""
        raise NotImplementedError

    # Where the requests are.

    @property
    def waiting(self):
        # type: () -> int
        """How many requests may be started together now; 0 if none waits."""
        return len(self._resent) or self._count - self._next - len(self._withdrawn)

    @property
    def is_decided(self):
        # type: () -> bool
        """True if the outcome of each request is known."""
        if self._next < self._count or self._resent:
            return False
        batches = self._batches
        while batches and not batches[-1].left:
            batches.pop()
        return not batches

    @property
    def batches(self):
        # type: () -> List[Batch]
        """The batches that have not ended."""
        self._batches = [batch for batch in self._batches if batch.left]
        return self._batches

    def start(self, client, limit):
        # type: (ClientConnection, int) -> Started
        """Start requests.

        :param client: the protocol of the connection that takes them.
        :param limit: most requests to start (int, from 1).
        :return: their batch, None if it is empty, and the frames.
        """
        if self._resent:
            indices = self._resent[:limit]  # type: Sequence[int]
            self._resent = self._resent[limit:]
        elif self._withdrawn:
            indices = self._take_next(limit)
        else:
            first, self._next = self._next, min(self._next + limit, self._count)
            indices = range(first, self._next)
        rejected = []  # type: Rejected
        batch, frames = self._send(client, indices, rejected)
        for index, error in rejected:
            self.refuse(index, error)
        if batch is not None:
            if len(self._batches) >= _MANY_BATCHES:
                self._batches = [one for one in self._batches if one.left]
            self._batches.append(batch)
        return batch, frames

    def resend(self, index):
        # type: (int) -> None
        """Note that a request was not processed and is to be sent again."""
        self._resent.append(index)

    def withdraw(self, index):
        # type: (int) -> bool
        """Have a request that waits never be started; return False if it does not wait.

        Nobody is told: its outcome is for the caller of this method to decide.
        """
        if self._next <= index < self._count:
            if index in self._withdrawn:
                return False
            # The usual work shares one empty set.
            withdrawn = self._withdrawn or set()  # type: Any
            withdrawn.add(index)
            self._withdrawn = withdrawn
            self._pass_withdrawn()
            return True
        if index in self._resent:
            self._resent.remove(index)
            return True
        return False

    def can_move(self, index):
        # type: (int) -> bool
        """Return True the first time that another connection may be tried for a request."""
        is_first = index not in self._moved
        self._moved.add(index)
        return is_first

    def _pass_withdrawn(self):
        # type: () -> None
        """See that the next request was not withdrawn."""
        withdrawn = self._withdrawn  # type: Any
        while self._next in withdrawn:
            withdrawn.remove(self._next)
            self._next += 1

    def _take_next(self, limit):
        # type: (int) -> List[int]
        """Take the next requests that were not withdrawn, at most so many."""
        indices = []  # type: List[int]
        while len(indices) < limit and self._next < self._count:
            indices.append(self._next)
            self._next += 1
            self._pass_withdrawn()
        return indices

    def _take_waiting(self):
        # type: () -> Iterator[Sequence[int]]
        """Yield the requests that wait, which do so no longer."""
        resent, self._resent = self._resent, []
        if self._withdrawn:
            never_started = self._take_next(self._count)  # type: Sequence[int]
        else:
            first, self._next = self._next, self._count
            never_started = range(first, self._count)
        for indices in resent, never_started:
            if indices:
                yield indices


class Request(Work):
    """A request that stands for itself, such as those about channels.

    :param method: like ``b"GET"``.
    :param path: its path (bytes).
    :param fields: further ``(name, value)`` pairs of its header (bytes).
    :param body: its body (bytes).

    :ivar response: the :class:`~apnsclient.protocols.http2.events.Response`, once it has come.
    :ivar error: why the request could not be made (:class:`ValueError`), or None.
    :ivar problem: why there is no response (str).
    """

    def __init__(self, method, path, fields, body):
        # type: (bytes, bytes, Sequence[Tuple[bytes, bytes]], bytes) -> None
        super(Request, self).__init__(1)
        self._method = method
        self._path = path
        self._fields = list(fields)
        self._body = body
        self.response = None  # type: Optional[Response]
        self.error = None  # type: Optional[Exception]
        self.problem = "there was no response"

    @property
    def payload_size(self):
        # type: () -> int
        """Size of the body, in bytes (int)."""
        return len(self._body)

    def request_size(self, client):
        # type: (ClientConnection) -> int
        """Return how many bytes the request takes, about."""
        return OVERHEAD + len(self._body)

    def token_of(self, index):
        # type: (int) -> Optional[bytes]
        return None

    def _send(self, client, indices, rejected):
        # type: (ClientConnection, Sequence[int], Rejected) -> Started
        header = client.encoder.header(self._method, self._path, self._fields)
        try:
            client.check_header(header)
        except HeaderTooLong as error:
            rejected.append((0, error))
            return None, b""
        return client.request(header, self._body, self)

    def has_accepted(self, status):
        # type: (int) -> bool
        """Return True if a status says that the request was accepted."""
        return 200 <= status < 300

    def accept(self, index, response):
        # type: (int, Response) -> None
        self.response = response

    def reject(self, index, reason, response, timestamp):
        # type: (int, Reason, Response, Optional[int]) -> None
        self.response = response

    def refuse(self, index, error):
        # type: (int, Exception) -> None
        self.error = error

    def lose(self, index, text):
        # type: (int, str) -> None
        self.problem = text

    cut = lose

    def stop(self, reason):
        # type: (Reason) -> None
        self.give_up(reason.explanation)

    def give_up(self, text):
        # type: (str) -> None
        for _ in self._take_waiting():
            self.problem = text
