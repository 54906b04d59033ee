"""Work that is made of messages, and makes results.

A :class:`Delivery` is one message for any number of tokens; a :class:`Bundle` is some messages for
one token each, which would cost more than their requests if each were a delivery of its own.
"""

from __future__ import absolute_import, division, print_function

from collections import Counter

from six.moves import range

from .._compat import MYPY
from ..events import REJECTED, UNDELIVERED, UNKNOWN, UNPROCESSED
from ..outcomes import Failure, RequestOutcomes
from ..protocols.http2.requests import HeaderTooLong
from ..result import Result
from .work import OVERHEAD, Work

if MYPY:
    from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

    from ..message import Message
    from ..protocols.http2.client import ClientConnection
    from ..protocols.http2.events import Response
    from ..protocols.http2.requests import RequestTemplate
    from ..reasons import Reason
    from .work import Rejected, Started

    Hint = Callable[[RequestOutcomes, int], Optional[str]]

__all__ = ["Bundle", "Delivery"]

#: Outcomes of a message of which nothing was reported.
_ALL_ACCEPTED = RequestOutcomes()
#: How many digits Apple's device tokens have, for the size of a request.
_DIGITS = 64


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
        # type: (int) -> Any
        """Return ``(name, value, is_indexed)`` of the header fields of a request's own."""
        raise NotImplementedError

    def count_outcomes(self):
        # type: () -> Iterable[Tuple[Any, Any, int]]
        """Return what became of all requests, as the tally has it."""
        tally = self.tally
        assert tally is not None
        return tally.all(self._count_by_fields(range(self._count)))

    def _count_by_fields(self, indices):
        # type: (Sequence[int]) -> Iterable[Tuple[Any, int]]
        """Return header fields, and how many of some requests have them."""
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
        if self.tally is not None:
            self.tally.add_response(self.fields_of(index), reason)
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
            self._tally_one(index, UNDELIVERED, "header too long")
        else:
            outcomes.add_malformed(place, error)
            self._tally_one(index, REJECTED, "malformed token")

    def lose(self, index, text):
        # type: (int, str) -> None
        outcomes, place = self._place(index)
        outcomes.add_unknown(place, text)
        self._tally_one(index, UNKNOWN, "no response")

    def cut(self, index, text):
        # type: (int, str) -> None
        outcomes, place = self._place(index)
        outcomes.add_unprocessed((place,), (None, "Not sent: %s" % text))
        self._tally_one(index, UNPROCESSED, "not sent")

    def _tally_one(self, index, outcome, reason):
        # type: (int, str, str) -> None
        """Count a request that has no response."""
        if self.tally is not None:
            self.tally.add(self.fields_of(index), outcome, None, reason)

    def stop(self, reason):
        # type: (Reason) -> None
        failure = Failure.of(reason)
        for indices in self._take_waiting():
            if self.tally is not None:
                for fields, count in self._count_by_fields(indices):
                    self.tally.add_unsent(fields, reason, count)
            for outcomes, places in self._places(indices):
                if reason.retries_reported:
                    outcomes.add_unprocessed(places, failure)
                else:
                    outcomes.add_undelivered(places, failure)

    def give_up(self, text):
        # type: (str) -> None
        for indices in self._take_waiting():
            if self.tally is not None:
                for fields, count in self._count_by_fields(indices):
                    self.tally.add(fields, UNPROCESSED, None, "not sent", count)
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
        # type: (int) -> Any
        return self._template.fields

    def _count_by_fields(self, indices):
        # type: (Sequence[int]) -> Iterable[Tuple[Any, int]]
        return [(self._template.fields, len(indices))] if indices else []

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
        return _DIGITS + OVERHEAD + self._payload_size

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
        # type: (int) -> Any
        return self._templates[index].fields

    def _count_by_fields(self, indices):
        # type: (Sequence[int]) -> Iterable[Tuple[Any, int]]
        # Messages that are alike share their fields, and tuples take long to be compared.
        shared = [self._templates[index].fields for index in indices]
        known = dict((id(fields), fields) for fields in shared)
        return [(known[key], count) for key, count in Counter(map(id, shared)).items()]

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
