"""What happened in a simulator: written by the event loop's thread, read by any other."""

from __future__ import absolute_import, division, print_function

import threading
from binascii import hexlify
from collections import deque, namedtuple
from itertools import repeat

import six

from ..._compat import MYPY
from .._changes import Changes

if MYPY:
    from typing import Any, Callable, Deque, List, Optional, Sequence, Tuple, Union

__all__ = ["Accepted", "ChannelRequest", "ErrorResponse", "Record"]


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

    :param keep: True keeps all, False nothing, an int that many of the last ones.
    :param on_accepted: called by the event loop's thread with a list of :class:`Accepted`.
    :param on_error: called by the same thread with an :class:`ErrorResponse`.
    :param on_channel_request: called by the same thread with a :class:`ChannelRequest`.

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

    def __init__(self, keep=True, on_accepted=None, on_error=None, on_channel_request=None):
        # type: (Union[bool, int], Optional[Callable[[List[Accepted]], Any]], Optional[Callable[[ErrorResponse], Any]], Optional[Callable[[ChannelRequest], Any]]) -> None  # noqa: E501
        size = None if keep is True else int(keep)
        self._accepted = deque(maxlen=size)  # type: Deque[Tuple[int, Any]]
        self._errors = deque(maxlen=size)  # type: Deque[ErrorResponse]
        self._channel_requests = deque(maxlen=size)  # type: Deque[ChannelRequest]
        self._keeps = size is None or size > 0
        self._on_accepted = on_accepted
        self._on_error = on_error
        self._on_channel_request = on_channel_request
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
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)
        self._written += 1

    def accept(self, connection, notifications):
        # type: (int, Sequence[Any]) -> None
        """Write down notifications of one connection."""
        if self._keeps:
            with self._lock:
                self._accepted.extend(zip(repeat(connection), notifications))
        self.accepted_count += len(notifications)
        self._written += 1
        if self._on_accepted is not None:
            self._on_accepted([_accepted(connection, each) for each in notifications])

    def add_error(self, error):
        # type: (ErrorResponse) -> None
        """Write down an error frame, or a response with an error."""
        with self._lock:
            self._errors.append(error)
        self.error_count += 1
        self._written += 1
        if self._on_error is not None:
            self._on_error(error)

    def add_channel_request(self, request):
        # type: (ChannelRequest) -> None
        """Write down a request to the channel management that succeeded."""
        with self._lock:
            self._channel_requests.append(request)
        self._written += 1
        if self._on_channel_request is not None:
            self._on_channel_request(request)

    def publish(self):
        # type: () -> None
        """Wake those who wait, if there is news since the last call."""
        if self._written != self._announced:
            self._announced = self._written
            self._changes.announce()

    # Called by any thread.

    def accepted(self):
        # type: () -> List[Accepted]
        """Return the notifications that are kept, in the order in which they were accepted."""
        with self._lock:
            pairs = list(self._accepted)
        return [_accepted(connection, notification) for connection, notification in pairs]

    def accepted_tokens(self):
        # type: () -> List[str]
        """Return the tokens of the same."""
        with self._lock:
            pairs = list(self._accepted)
        return [six.ensure_str(hexlify(notification.token)) for _, notification in pairs]

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
        with self._lock:
            self._accepted.clear()
            self._errors.clear()
            self._channel_requests.clear()

    def wait_for(self, predicate, timeout):
        # type: (Callable[[], Any], Optional[float]) -> bool
        """Wait until a function returns something true; it is called after every change."""
        return self._changes.wait_for(predicate, timeout)


def _accepted(connection, notification):
    # type: (int, Any) -> Accepted
    return Accepted(connection, notification.identifier,
                    six.ensure_str(hexlify(notification.token)), notification.payload,
                    notification.expiry, notification.priority,
                    *getattr(notification, "extra", ()))
