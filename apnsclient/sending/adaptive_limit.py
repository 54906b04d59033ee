"""How many requests may be in flight on a connection whose server refuses streams.

Apple's servers were seen to allow a single stream after each rejected notification, to refuse those
in flight, and to go back to the old limit with the next one that they accept (openradar 27870881;
issues 476 and 732 of Pushy). A stream that was refused is sent again over the same connection. Each
rejection costs a round trip then, because it ends what is in flight. With many requests in flight
most of them are sent in vain; with few of them there are more round trips than rejections.

So there is a budget of streams that may be refused. It begins with what was in flight when the
first one was; each one that is refused takes one away, and every two notifications that are
accepted add one. Half of the budget may be in flight: a flight that ends at once costs no more than
that, so the limit stays near the best one, whatever the share of bad tokens is. When the budget
exceeds the server's limit, that is the only one again.

What always holds over the life of a connection: streams that were refused are no more than those in
flight at the first refusal, and half of the notifications accepted since; and beyond that those
that were alone in flight.

If one in ten of 3000 tokens is bad by chance, they take about 480 round trips, with 2350 refused
streams. With the best constant number in flight, 11, they take 430 and refuse as many; 300 is the
least possible, with 250 000 refused streams.
"""

from __future__ import absolute_import, division, print_function

from .._compat import MYPY

if MYPY:
    from typing import Optional

    from ..protocols.http2.client import ClientConnection

__all__ = ["AdaptiveLimit"]

#: How many notifications have to be accepted for one more stream that may be refused.
_PRICE = 2
#: Which part of the budget may be in flight.
_PART = 2
#: How many times in a row the requests that were started after a refusal may be refused themselves,
#: without any response in between.
_MOST_IN_VAIN = 3


class AdaptiveLimit(object):
    """The limit of one connection.

    :param client: the protocol (:class:`~apnsclient.protocols.http2.client.ClientConnection`).
    """

    def __init__(self, client):
        # type: (ClientConnection) -> None
        self._client = client
        # How many streams may be refused, None as long as none was; and how many notifications had
        # been accepted when that was so.
        self._budget = None  # type: Optional[int]
        self._accepted = 0
        # What was in flight before the last read.
        self._in_flight = 0
        # The highest limit that there was: the server may come back to it.
        self._most = 0
        # Of the last refusal of a stream that was started after the one before: the first stream
        # that was started since, how many responses there were, and how many such in a row.
        self._next_stream = self._response_count = self._in_vain = 0

    @property
    def is_lowered(self):
        # type: () -> bool
        """True if fewer requests are in flight than the server allows, after it refused some."""
        return self._budget is not None

    @property
    def refuses_all(self):
        # type: () -> bool
        """True if the server refuses requests time and again, and responds to none."""
        return self._in_vain >= _MOST_IN_VAIN

    def room(self):
        # type: () -> int
        """Return how many more requests may be in flight; the server may allow fewer."""
        client = self._client
        self._most = max(self._most, client.limit)
        if self._budget is None:
            return self._most
        if client.in_flight and client.response_count == self._response_count:
            # Before more is sent, the server responds to something of what it has not refused.
            return 0
        budget = self._budget = self._earn(self._budget)
        if budget > self._most:
            self._budget = None
            return self._most
        return max(max(budget // _PART, 1) - client.in_flight, 0)

    def _earn(self, budget):
        # type: (int) -> int
        """Return a budget with what notifications have added that were accepted since."""
        earned = (self._client.accepted - self._accepted) // _PRICE
        self._accepted += earned * _PRICE
        return budget + earned

    def note_reading(self):
        # type: () -> None
        """Note that something is about to be read, of which refusals may be a part."""
        self._in_flight = self._client.in_flight
        if self._budget is None:
            self._accepted = self._client.accepted

    def note_refused(self, stream):
        # type: (int) -> None
        """Note that the server has refused a stream."""
        budget = self._in_flight if self._budget is None else self._budget
        self._budget = max(self._earn(budget) - 1, 0)
        if stream < self._next_stream:
            return
        client = self._client
        self._next_stream = client.next_stream
        is_new = client.response_count != self._response_count
        self._response_count = client.response_count
        self._in_vain = 1 if is_new else self._in_vain + 1
