"""What is sent over HTTP/2, and where each of its requests is.

A sender starts the requests of a piece of work, and tells it what became of each. There are three
kinds here: a :class:`Delivery` is one message for any number of tokens; a :class:`Bundle` is some
messages for one token each, which would cost more than their requests if each were a delivery of
its own; a :class:`Request` is any other request.

What always holds: a request is in one of three places. It waits to be started, it is in a batch
that was started and has not ended, or its outcome is known: for one that was withdrawn while it
waited, whoever withdrew it sees to that. Work knows neither the connection that carries its
requests nor the caller who waits for them.
"""

from __future__ import absolute_import, division, print_function

from six.moves import range

from .._compat import MYPY
from ..outcomes import Failure, RequestOutcomes
from ..protocols.http2.requests import HeaderTooLong
from ..result import Result

if MYPY:
    from typing import (
        AbstractSet,
        Any,
        Callable,
        Dict,
        FrozenSet,
        Iterator,
        List,
        Optional,
        Sequence,
        Set,
        Tuple,
    )

    from ..message import Message
    from ..protocols.http2.client import ClientConnection
    from ..protocols.http2.events import Response
    from ..protocols.http2.requests import RequestTemplate
    from ..protocols.http2.streams import Batch
    from ..reasons import Reason

    Hint = Callable[[RequestOutcomes, int], Optional[str]]
    Started = Tuple[Optional[Batch], Any]
    Rejected = List[Tuple[int, Any]]

__all__ = ["Bundle", "Delivery", "Request", "Work"]

#: Outcomes of a message of which nothing was reported.
_ALL_ACCEPTED = RequestOutcomes()
#: The requests that were withdrawn of work of which none was.
_NONE = frozenset()  # type: FrozenSet[int]
#: How many batches there may be before those that have ended are forgotten. There are never more
#: unfinished ones than there may be streams.
_MANY_BATCHES = 4096
#: How many digits Apple's device tokens have, for the size of a request.
_DIGITS = 64
#: What a request takes beside token and payload, about, in bytes.
_OVERHEAD = 64


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


class _MessageWork(Work):
    """Requests whose outcomes make results."""

    def __init__(self, count):
        # type: (int) -> None
        super(_MessageWork, self).__init__(count)
        # What reasons mean for the topic of each set of fields.
        self._advised = {}  # type: Dict[Any, Reason]

    @property
    def message_count(self):
        # type: () -> int
        """How many messages there are (int)."""
        raise NotImplementedError

    def results(self, hint):
        # type: (Hint) -> Iterator[Result]
        """Yield the result of each message, in order.

        :param hint: called with what became of a message and how many tokens it has (int), and
            returns the hint that its result has (str or None).
        """
        raise NotImplementedError

    def fields_of(self, index):
        # type: (int) -> Sequence[Any]
        """Return ``(name, value, is_indexed)`` of the header fields of a request's own."""
        raise NotImplementedError

    def _place(self, index):
        # type: (int) -> Tuple[RequestOutcomes, int]
        """Return where the outcome of a request is noted, and as the outcome of what."""
        raise NotImplementedError

    def _places(self, indices):
        # type: (Sequence[int]) -> Iterator[Tuple[RequestOutcomes, Sequence[int]]]
        """Yield where the outcomes of requests are noted, and as the outcomes of what."""
        raise NotImplementedError

    def _token(self, index):
        # type: (int) -> Any
        raise NotImplementedError

    def token_of(self, index):
        # type: (int) -> Optional[bytes]
        token = self._token(index)
        digits = token if isinstance(token, bytes) else token.encode("ascii")  # type: bytes
        return digits.lower()

    def accept(self, index, response):
        # type: (int, Response) -> None
        outcomes, place = self._place(index)
        outcomes.add_accepted(place, response.block)

    def reject(self, index, reason, response, timestamp):
        # type: (int, Reason, Response, Optional[int]) -> None
        outcomes, place = self._place(index)
        reason = self._advise(index, reason)
        outcomes.add_response(place, reason, response.block, timestamp)
        if reason.stops_message:
            self._stop_message(reason)

    def _stop_message(self, reason):
        # type: (Reason) -> None
        """Act on a reason for which no token would get the message of one request."""

    def refuse(self, index, error):
        # type: (int, Any) -> None
        outcomes, place = self._place(index)
        if isinstance(error, HeaderTooLong):
            outcomes.add_undelivered((place,), (error.code, str(error)))
        else:
            outcomes.add_malformed(place, error)

    def lose(self, index, text):
        # type: (int, str) -> None
        outcomes, place = self._place(index)
        outcomes.add_unknown(place, text)

    def cut(self, index, text):
        # type: (int, str) -> None
        outcomes, place = self._place(index)
        outcomes.add_unprocessed((place,), (None, "Not sent: %s" % text))

    def stop(self, reason):
        # type: (Reason) -> None
        failure = Failure.of(reason)
        for indices in self._take_waiting():
            for outcomes, places in self._places(indices):
                if reason.retries_reported:
                    outcomes.add_unprocessed(places, failure)
                else:
                    outcomes.add_undelivered(places, failure)

    def give_up(self, text):
        # type: (str) -> None
        for indices in self._take_waiting():
            for outcomes, places in self._places(indices):
                outcomes.add_unprocessed(places, (None, "Not sent: %s" % text))

    def _advise(self, index, reason):
        # type: (int, Reason) -> Reason
        """Return a reason with what to look at, if it is about the topic of a request."""
        if not reason.is_about_topic:
            return reason
        own = self.fields_of(index)
        key = reason, own
        if key not in self._advised:
            fields = dict(field[:2] for field in own)
            self._advised[key] = reason.advised(_text_in(fields, b"apns-topic"),
                                                _text_in(fields, b"apns-push-type"))
        return self._advised[key]


def _text_in(fields, name):
    # type: (Dict[bytes, bytes], bytes) -> Optional[str]
    value = fields.get(name)
    return None if value is None else str(value.decode("ascii"))


class Delivery(_MessageWork):
    """The requests of one message.

    :param message: the :class:`~apnsclient.apns.Message`.
    :param template: what its requests have in common.
    """

    def __init__(self, message, template):
        # type: (Message, RequestTemplate) -> None
        super(Delivery, self).__init__(len(message.tokens))
        self._message = message
        self._template = template
        self._outcomes = RequestOutcomes()

    @property
    def payload_size(self):
        # type: () -> int
        """Size of the payload, in bytes (int)."""
        return len(self._template.payload)

    def request_size(self, client):
        # type: (ClientConnection) -> int
        """Return how many bytes a request takes, about."""
        size = client.encoder.size(self._template, _DIGITS)  # type: int
        return size

    @property
    def message_count(self):
        # type: () -> int
        """How many messages there are (int)."""
        return 1

    def results(self, hint):
        # type: (Hint) -> Iterator[Result]
        """Yield the result."""
        outcomes = self._outcomes
        yield Result(self._message, outcomes=outcomes, hint=hint(outcomes, self._count))

    def fields_of(self, index):
        # type: (int) -> Sequence[Any]
        return self._template.fields

    def _send(self, client, indices, rejected):
        # type: (ClientConnection, Sequence[int], Rejected) -> Started
        return client.send(self._template, _choose(self._message.tokens, indices), indices, self,
                           rejected)

    def _token(self, index):
        # type: (int) -> Any
        return self._message.tokens[index]

    def _place(self, index):
        # type: (int) -> Tuple[RequestOutcomes, int]
        return self._outcomes, index

    def _places(self, indices):
        # type: (Sequence[int]) -> Iterator[Tuple[RequestOutcomes, Sequence[int]]]
        yield self._outcomes, indices

    def _stop_message(self, reason):
        # type: (Reason) -> None
        self.stop(reason)


class Bundle(_MessageWork):
    """Messages for one token each; the n-th request is that of the n-th message.

    :param messages: at least one :class:`~apnsclient.apns.Message`.
    :param templates: what the request of each is made of.
    """

    def __init__(self, messages, templates):
        # type: (List[Message], List[RequestTemplate]) -> None
        super(Bundle, self).__init__(len(messages))
        self._messages = messages
        self._templates = templates
        self._tokens = [message.tokens[0] for message in messages]
        self._outcomes = {}  # type: Dict[int, RequestOutcomes]
        self._payload_size = max([len(template.payload) for template in templates])

    @property
    def payload_size(self):
        # type: () -> int
        """Size of the largest payload, in bytes (int)."""
        return self._payload_size

    def request_size(self, client):
        # type: (ClientConnection) -> int
        """Return how many bytes a request takes, about."""
        return _DIGITS + _OVERHEAD + self._payload_size

    @property
    def message_count(self):
        # type: () -> int
        """How many messages there are (int)."""
        return self._count

    def results(self, hint):
        # type: (Hint) -> Iterator[Result]
        """Yield the result of each message, in order."""
        known, is_told = self._outcomes, False
        for index, message in enumerate(self._messages):
            # Arguments by name would take longer than all the rest.
            if index in known:
                outcomes, is_told = known[index], False
                yield Result(message, None, (), False, outcomes, hint(outcomes, 1))
                continue
            if not is_told:
                # Of those that were accepted in a row, the first one says it all.
                hint(_ALL_ACCEPTED, 1)
                is_told = True
            yield Result(message, None, (), False, _ALL_ACCEPTED)

    def fields_of(self, index):
        # type: (int) -> Sequence[Any]
        return self._templates[index].fields

    def _send(self, client, indices, rejected):
        # type: (ClientConnection, Sequence[int], Rejected) -> Started
        return client.send_each(_choose(self._templates, indices), _choose(self._tokens, indices),
                                indices, self, rejected)

    def _token(self, index):
        # type: (int) -> Any
        return self._tokens[index]

    def _place(self, index):
        # type: (int) -> Tuple[RequestOutcomes, int]
        outcomes = self._outcomes.get(index)
        if outcomes is None:
            outcomes = self._outcomes[index] = RequestOutcomes()
        return outcomes, 0

    def _places(self, indices):
        # type: (Sequence[int]) -> Iterator[Tuple[RequestOutcomes, Sequence[int]]]
        for index in indices:
            yield self._place(index)[0], (0,)


def _choose(values, indices):
    # type: (List[Any], Sequence[int]) -> List[Any]
    """Return the values with these indices: a list of them, or a range without gaps."""
    if isinstance(indices, list):
        return [values[index] for index in indices]
    return values[indices[0]:indices[0] + len(indices)]


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
        return _OVERHEAD + len(self._body)

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
