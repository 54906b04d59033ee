"""What happened in a simulator: written by the event loop's thread, read by any other."""

from __future__ import absolute_import, division, print_function

import logging
import threading
from collections import deque, namedtuple
from itertools import count

from ..._compat import MYPY
from .._changes import Changes
from .journal import Journal

if MYPY:
    from typing import Any, Callable, Deque, List, Optional, Sequence, Union

    from .connection_facts import ConnectionFacts
    from .exchange import Exchange
    from .observer import Observer
    from .stored_exchange import StoredExchange

    Exchanges = Sequence[Exchange]

__all__ = ["Accepted", "ChannelRequest", "ErrorResponse", "Record"]

_log = logging.getLogger(__name__)


class Accepted(namedtuple("Accepted", "connection identifier token payload expiry priority topic "
                                      "push_type apns_id collapse_id headers")):
    """A notification that was accepted. Over the binary protocol what follows priority is None.

    :ivar connection: number of the connection (int). Those to the gateway and those to the provider
        API are numbered apart from one another.
    :ivar identifier: identifier (int, None for command 0); over HTTP/2 the number of its stream.
    :ivar token: device token (lower-case hexadecimal str).
    :ivar payload: payload (bytes).
    :ivar expiry: seconds since 1970 (int), or None if it was not sent.
    :ivar priority: priority (int), or None if it was not sent.
    :ivar topic: topic (str), here and below None if it was not sent.
    :ivar push_type: push type (str).
    :ivar apns_id: identifier of the notification (str).
    :ivar collapse_id: collapse identifier (str).
    :ivar headers: header of the request, without the authorization (dict of str).
    """

    __slots__ = ()


Accepted.__new__.__defaults__ = (None,) * 5


class ErrorResponse(namedtuple("ErrorResponse", "connection status identifier reason method path "
                                               "token topic push_type")):
    """An error frame, or over HTTP/2 a response with an error, that was sent.

    :ivar connection: number of the connection (int).
    :ivar status: status of the error frame, or HTTP status (int).
    :ivar identifier: identifier of the notification, or number of the stream (int).
    :ivar reason: the reason over HTTP/2 (str), else None.
    :ivar method: method of the request over HTTP/2 (str), else None.
    :ivar path: its path (str), else None.
    :ivar token: device token (str, over HTTP/2 as it came), here and below None if there was none.
    :ivar topic: topic (str).
    :ivar push_type: push type (str).
    """

    __slots__ = ()

    def __new__(cls, connection, status, identifier, reason=None, method=None, path=None,
                token=None, topic=None, push_type=None):
        # type: (int, int, int, Optional[str], Optional[str], Optional[str], Optional[str], Optional[str], Optional[str]) -> ErrorResponse  # noqa: E501
        return super(ErrorResponse, cls).__new__(
            cls, connection, status, identifier, reason, method, path, token, topic, push_type)


class ChannelRequest(namedtuple("ChannelRequest", "connection status identifier method path "
                                                  "channel_id")):
    """A request to the channel management that succeeded.

    :ivar connection: number of the connection (int).
    :ivar status: HTTP status of the response (int).
    :ivar identifier: number of the stream (int).
    :ivar method: method of the request (str).
    :ivar path: its path (str).
    :ivar channel_id: the channel that it names or that was made (str, base64), None for all.
    """

    __slots__ = ()


class Record(object):
    """Everything that happened, in order. Counts are exact whatever is kept of the rest.

    The attributes are counts and may be read at any time; the methods return the rest.

    :param keep: True keeps all, False nothing, an int that many of the last ones; or the journal
        to keep them in (:class:`.journal.Journal`).
    :param observers: are told of everything (sequence of :class:`.observer.Observer`).

    :ivar journal: the exchanges that are kept (:class:`.journal.Journal`).
    :ivar numbers: iterator of the numbers of exchanges.
    :ivar connection_numbers: iterator of the numbers of connections.
    :ivar page_url: address of the page of an exchange, with ``{number}`` in it (str), or None.
    :ivar connections: gateway connections that completed their handshake.
    :ivar feedback_connections: the same for the feedback service.
    :ivar provider_connections: the same for the provider API.
    :ivar channel_connections: the same for the channel management.
    :ivar resumed: how many of all of these resumed a TLS session.
    :ivar refused: handshakes that failed.
    :ivar open_connections: gateway connections after their handshake that are not closed yet.
    :ivar open_feedback_connections: the same for the feedback service.
    :ivar open_provider_connections: the same for the provider API.
    :ivar open_channel_connections: the same for the channel management.
    :ivar accepted_count: notifications that were accepted.
    :ivar error_count: error frames, and responses with an error, that were sent.
    :ivar held: error frames and responses that are being held back.
    :ivar feedback_count: feedback rows that have been read.
    """

    def __init__(self, keep=True, observers=()):
        # type: (Union[bool, int, Journal], Sequence[Observer]) -> None
        if isinstance(keep, Journal):
            self.journal = keep
        elif keep is True:
            self.journal = Journal(None, None)
        else:
            self.journal = Journal(int(keep))
        size = self.journal.keep
        self.numbers, self.connection_numbers = count(1), count(1)
        self.page_url = None  # type: Optional[str]
        self._errors = deque(maxlen=size)  # type: Deque[ErrorResponse]
        self._channel_requests = deque(maxlen=size)  # type: Deque[ChannelRequest]
        self._observers = [self.journal] + list(observers)  # type: List[Observer]
        #: How often something has been written down, and as of the last time that it was announced.
        self._written = self._announced = 0
        self._changes = Changes()
        #: Guards what is kept.
        self._lock = threading.Lock()
        self.connections = 0
        self.feedback_connections = 0
        self.provider_connections = 0
        self.open_provider_connections = 0
        self.channel_connections = 0
        self.open_channel_connections = 0
        self.resumed = 0
        self.refused = 0
        self.open_connections = 0
        self.open_feedback_connections = 0
        self.accepted_count = 0
        self.error_count = 0
        self.held = 0
        self.feedback_count = 0

    # Called by the event loop's thread.

    def add(self, **counts):
        # type: (**int) -> None
        """Add to counts, given by name."""
        for name, number in counts.items():
            setattr(self, name, getattr(self, name) + number)
        self._written += 1

    def arrived(self, exchanges):
        # type: (Exchanges) -> None
        """Write down requests of one connection; some of them may have their response already."""
        exchanges[0].connection.request_count += len(exchanges)
        self.accepted_count += len([True for exchange in exchanges if exchange.is_processed])
        self._tell("arrived", exchanges)

    def changed(self, exchanges):
        # type: (Exchanges) -> None
        """Tell that requests have their response now, or will get none."""
        self._tell("changed", exchanges)

    def add_error(self, error):
        # type: (ErrorResponse) -> None
        """Write down an error frame, or a response with an error."""
        with self._lock:
            self._errors.append(error)
        self.error_count += 1
        self._written += 1

    def add_channel_request(self, request):
        # type: (ChannelRequest) -> None
        """Write down a request to the channel management that succeeded."""
        with self._lock:
            self._channel_requests.append(request)
        self._written += 1

    def connection_opened(self, connection):
        # type: (ConnectionFacts) -> None
        """Write down a connection whose handshake is complete."""
        self._tell("connection_opened", connection)

    def connection_changed(self, connection):
        # type: (ConnectionFacts) -> None
        """Tell that something happened on a connection."""
        self._tell("connection_changed", connection)

    def connection_closed(self, connection):
        # type: (ConnectionFacts) -> None
        """Tell that a connection is closed."""
        self._tell("connection_closed", connection)

    def handshake_failed(self, service, peer):
        # type: (str, Any) -> None
        """Write down a handshake that failed."""
        self.refused += 1
        self._tell("handshake_failed", service, peer)

    def load(self, exchanges):
        # type: (Sequence[StoredExchange]) -> None
        """Keep exchanges from elsewhere, with new numbers.

        The counts stay, and observers are not told: nothing has come over a connection.
        """
        for exchange in exchanges:
            exchange.number = next(self.numbers)
            if not exchange.connection.number:
                exchange.connection.number = next(self.connection_numbers)
                self.journal.connection_opened(exchange.connection)
        self.journal.arrived(exchanges)
        self._written += 1

    def publish(self):
        # type: () -> None
        """Wake those who wait, if there is news since the last call."""
        if self._written != self._announced:
            self._tell("round_ended")
            self._announced = self._written
            self._changes.announce()

    def _tell(self, event, *arguments):
        # type: (str, *Any) -> None
        self._written += 1
        for observer in self._observers:
            try:
                getattr(observer, event)(*arguments)
            except Exception:
                _log.exception("an observer of the simulator failed")

    # Called by any thread.

    def add_observer(self, observer):
        # type: (Observer) -> None
        """Tell another observer what happens."""
        with self._lock:
            self._observers = self._observers + [observer]

    def remove_observer(self, observer):
        # type: (Observer) -> None
        """Tell an observer nothing any more."""
        with self._lock:
            self._observers = [each for each in self._observers if each is not observer]

    def accepted(self):
        # type: () -> List[Accepted]
        """Return the notifications that are kept, in the order in which they were accepted."""
        return [_accepted(each) for each in self.journal.exchanges() if each.is_processed]

    def accepted_tokens(self):
        # type: () -> List[str]
        """Return the tokens of the same."""
        return [(each.token or "").lower() for each in self.journal.exchanges()
                if each.is_processed]

    def errors(self):
        # type: () -> List[ErrorResponse]
        """Return the error frames and responses that are kept, in the order of their sending."""
        with self._lock:
            return list(self._errors)

    def channel_requests(self):
        # type: () -> List[ChannelRequest]
        """Return the requests about channels that are kept, in the order of their responses."""
        with self._lock:
            return list(self._channel_requests)

    def forget(self):
        # type: () -> None
        """Drop what is kept. The counts stay."""
        self.journal.clear()
        with self._lock:
            self._errors.clear()
            self._channel_requests.clear()

    def wait_for(self, predicate, timeout):
        # type: (Callable[[], Any], Optional[float]) -> bool
        """Wait until a function returns something true; it is called after every change."""
        return self._changes.wait_for(predicate, timeout)


def _accepted(exchange):
    # type: (Any) -> Accepted
    is_http2 = exchange.method is not None
    return Accepted(
        exchange.connection.service_number, exchange.stream, (exchange.token or "").lower(),
        exchange.payload, exchange.expiration, exchange.priority, exchange.topic,
        exchange.push_type, exchange.apns_id, exchange.collapse_id,
        dict(exchange.headers) if is_http2 else None)
