"""What is sent over HTTP/2: messages, and requests that stand for themselves.

A driver starts their requests, and tells them what became of each. There are three kinds: a
:class:`Delivery` is one message for any number of tokens; a :class:`Bundle` is some messages for
one token each, which would cost more than their requests if each were a delivery of its own; a
:class:`Question` is any other request.
"""

from __future__ import absolute_import, division, print_function

from six.moves import range

from .._compat import MYPY
from ..outcomes import Failure, RequestOutcomes, parse_response
from ..protocols.http2.requests import HeaderTooLong
from ..reasons import reason_of_response
from ..result import Result

if MYPY:
    from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

    from ..apns import Message
    from ..protocols.http2.client import ClientConnection
    from ..protocols.http2.events import Response
    from ..protocols.http2.requests import RequestTemplate
    from ..protocols.http2.streams import Batch
    from ..reasons import Reason
    from .http2 import Http2Driver

    Hint = Callable[[RequestOutcomes, int], Optional[str]]
    Started = Tuple[Optional[Batch], Any]
    Rejected = List[Tuple[int, Any]]

__all__ = ["Bundle", "Delivery", "Parcel", "Question"]

#: Outcomes of a message of which nothing was reported.
_ALL_ACCEPTED = RequestOutcomes()
#: How many batches there may be before those that are answered are forgotten. There are never more
#: unanswered ones than there may be streams.
_MANY_BATCHES = 4096
#: How many digits Apple's device tokens have, for the size of a request.
_DIGITS = 64
#: What a request takes beside token and payload, about, in bytes.
_OVERHEAD = 64


class Parcel(object):
    """Requests with numbers: which of them are still to be started, and which are on their way.

    :param count: how many there are (int).
    """

    def __init__(self, count):
        # type: (int) -> None
        self._count = count
        self._next = 0
        self._again = []  # type: List[int]
        self._refused = []  # type: List[int]
        self._batches = []  # type: List[Batch]
        # Requests that another connection was tried for, and what reasons mean for each template.
        self._moved = set()  # type: Set[int]
        self._advised = {}  # type: Dict[Any, Reason]

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

    def results(self, hint):
        # type: (Hint) -> Iterator[Result]
        """Yield the result of each message, in order.

        :param hint: called with what became of a message and how many tokens it has (int), and
            returns the hint that its result has (str or None).
        """
        raise NotImplementedError

    def _send(self, client, indices, rejected):
        # type: (ClientConnection, Sequence[int], Rejected) -> Started
        raise NotImplementedError

    def _token(self, index):
        # type: (int) -> Any
        raise NotImplementedError

    def _template_of(self, index):
        # type: (int) -> RequestTemplate
        """Return what a request is made of."""
        raise NotImplementedError

    def _place(self, index):
        # type: (int) -> Tuple[RequestOutcomes, int]
        """Return where the outcome of a request is reported, and as the outcome of what."""
        raise NotImplementedError

    def _places(self, indices):
        # type: (Sequence[int]) -> Iterator[Tuple[RequestOutcomes, Sequence[int]]]
        """Yield where the outcomes of requests are reported, and as the outcomes of what."""
        raise NotImplementedError

    def _refuse_rest(self, reason):
        # type: (Reason) -> None
        """Act on a refusal of the message of one request."""

    # What the driver and the dispatch ask and tell.

    @property
    def waiting(self):
        # type: () -> int
        """How many requests may be started now."""
        return len(self._again) or self._count - self._next

    @property
    def has_refused(self):
        # type: () -> bool
        """True if there are requests that wait for another connection."""
        return bool(self._refused)

    @property
    def is_decided(self):
        # type: () -> bool
        """True if the outcome of each request is known."""
        if self._next < self._count or self._again or self._refused:
            return False
        batches = self._batches
        while batches and not batches[-1].left:
            batches.pop()
        return not batches

    def start(self, client, limit):
        # type: (ClientConnection, int) -> Started
        """Start requests, at most so many; return their batch, None if it is empty, and frames."""
        if self._again:
            indices = self._again[:limit]  # type: Sequence[int]
            self._again = self._again[limit:]
        else:
            first, self._next = self._next, min(self._next + limit, self._count)
            indices = range(first, self._next)
        rejected = []  # type: Rejected
        batch, frames = self._send(client, indices, rejected)
        for index, error in rejected:
            outcomes, place = self._place(index)
            if isinstance(error, HeaderTooLong):
                outcomes.undeliver((place,), (error.code, str(error)))
            else:
                outcomes.reject(place, error)
        if batch is not None:
            if len(self._batches) >= _MANY_BATCHES:
                self._batches = [one for one in self._batches if one.left]
            self._batches.append(batch)
        return batch, frames

    def send_again(self, index):
        # type: (int) -> None
        """Note that a request was not processed and is to be sent again."""
        self._again.append(index)

    def refused(self, index):
        # type: (int) -> None
        """Note the same of one that this connection had better not be asked for again."""
        self._refused.append(index)

    def release_refused(self):
        # type: () -> bool
        """Queue those for another connection; return True if there were any."""
        refused, self._refused = self._refused, []
        self._again.extend(refused)
        return bool(refused)

    def stop(self, reason):
        # type: (Reason) -> None
        """Start nothing more, because of the reason that a request was refused for."""
        failure = Failure.of(reason)
        for outcomes, places in self._take_rest():
            if reason.retries_reported:
                outcomes.unprocessed(places, failure)
            else:
                outcomes.undeliver(places, failure)

    def give_up(self, text):
        # type: (str) -> None
        """Leave it to the caller to send the rest, none of which was processed."""
        for outcomes, places in self._take_rest():
            outcomes.unprocessed(places, (None, "Not sent: %s" % text))

    def _take_rest(self):
        # type: () -> Iterator[Tuple[RequestOutcomes, Sequence[int]]]
        """Take all requests that are not on their way."""
        self.release_refused()
        again, self._again = self._again, []
        first, self._next = self._next, self._count
        for indices in again, range(first, self._count):
            if indices:
                for place in self._places(indices):
                    yield place

    def unknown(self, index, text):
        # type: (int, str) -> None
        """Note that a request was written and will not be answered."""
        outcomes, place = self._place(index)
        outcomes.unknown(place, text)

    def unfinished(self, index, text):
        # type: (int, str) -> None
        """Note that a request was not written to its end, so that nobody processed it.

        It is left to the caller to send it again: what is to blame may be the request.
        """
        outcomes, place = self._place(index)
        outcomes.unprocessed((place,), (None, "Not sent: %s" % text))

    def accepted(self, index, response):
        # type: (int, Response) -> None
        """Take the response to a request that was accepted, where such responses are kept."""
        outcomes, place = self._place(index)
        outcomes.accept(place, response.block)

    def answered(self, driver, index, response):
        # type: (Http2Driver, int, Response) -> None
        """Take the response to a request that was not accepted."""
        name, timestamp = parse_response(response.body)
        reason = reason_of_response(response.status, name, response.is_cut_off)
        if reason.is_cured_by_connection and driver.may_renew:
            driver.leave_reason = reason
            self.send_again(index)
            return
        if reason.is_unprocessed and index not in self._moved:
            driver.leave_reason = reason
            self._moved.add(index)
            self.refused(index)
            return
        outcomes, place = self._place(index)
        reason = self._advise(index, reason)
        outcomes.answer(place, reason, response.block, timestamp)
        if timestamp is not None and reason.is_gone(timestamp):
            driver.gone(self._token(index), timestamp)
        elif reason.stops_everything:
            driver.stop(reason)
        elif reason.stops_message:
            self._refuse_rest(reason)

    def _advise(self, index, reason):
        # type: (int, Reason) -> Reason
        """Return a reason with what to look at, if it is about the topic of a request."""
        if not reason.is_about_topic:
            return reason
        template = self._template_of(index)
        key = reason, template.fields
        if key not in self._advised:
            fields = dict(field[:2] for field in template.fields)
            self._advised[key] = reason.advised(_text_in(fields, b"apns-topic"),
                                                _text_in(fields, b"apns-push-type"))
        return self._advised[key]


def _text_in(fields, name):
    # type: (Dict[bytes, bytes], bytes) -> Optional[str]
    value = fields.get(name)
    return None if value is None else str(value.decode("ascii"))


class Delivery(Parcel):
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
        return client.encoder.size(self._template, _DIGITS)

    def results(self, hint):
        # type: (Hint) -> Iterator[Result]
        """Yield the result."""
        outcomes = self._outcomes
        yield Result(self._message, outcomes=outcomes, hint=hint(outcomes, self._count))

    def _send(self, client, indices, rejected):
        # type: (ClientConnection, Sequence[int], Rejected) -> Started
        return client.send(self._template, _choose(self._message.tokens, indices), indices, self,
                           rejected)

    def _token(self, index):
        # type: (int) -> Any
        return self._message.tokens[index]

    def _template_of(self, index):
        # type: (int) -> RequestTemplate
        return self._template

    def _place(self, index):
        # type: (int) -> Tuple[RequestOutcomes, int]
        return self._outcomes, index

    def _places(self, indices):
        # type: (Sequence[int]) -> Iterator[Tuple[RequestOutcomes, Sequence[int]]]
        yield self._outcomes, indices

    def _refuse_rest(self, reason):
        # type: (Reason) -> None
        self.stop(reason)


class Bundle(Parcel):
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

    def results(self, hint):
        # type: (Hint) -> Iterator[Result]
        """Yield the result of each message, in order."""
        for index, message in enumerate(self._messages):
            outcomes = self._outcomes.get(index, _ALL_ACCEPTED)
            yield Result(message, outcomes=outcomes, hint=hint(outcomes, 1))

    def _send(self, client, indices, rejected):
        # type: (ClientConnection, Sequence[int], Rejected) -> Started
        return client.send_each(_choose(self._templates, indices), _choose(self._tokens, indices),
                                indices, self, rejected)

    def _token(self, index):
        # type: (int) -> Any
        return self._tokens[index]

    def _template_of(self, index):
        # type: (int) -> RequestTemplate
        return self._templates[index]

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


class Question(object):
    """A request that stands for itself.

    :ivar response: the :class:`~apnsclient.protocols.http2.events.Response` once it has come.
    :ivar problem: why there is none (str).
    """

    def __init__(self):
        # type: () -> None
        self.response = None  # type: Optional[Response]
        self.problem = "it was not answered"

    def answered(self, driver, index, response):
        # type: (Http2Driver, int, Response) -> None
        """Take the response."""
        self.response = response
        reason = self._reason
        if reason is not None and reason.stops_everything:
            driver.stop(reason)

    def unknown(self, index, text):
        # type: (int, str) -> None
        """Note that nothing is known of it."""
        self.problem = text

    unfinished = unknown

    def send_again(self, index):
        # type: (int) -> None
        """Note that it was not processed."""
        self.problem = "the server has not processed it; try again"

    refused = send_again

    @property
    def leave_reason(self):
        # type: () -> Optional[Reason]
        """The reason why another connection may get another response, or None."""
        reason = self._reason
        if reason is None or not (reason.is_cured_by_connection or reason.is_unprocessed):
            return None
        return reason

    @property
    def _reason(self):
        # type: () -> Optional[Reason]
        if self.response is None or 200 <= self.response.status < 300:
            return None
        return reason_of_response(self.response.status, parse_response(self.response.body)[0])
