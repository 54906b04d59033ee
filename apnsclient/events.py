"""What a session, or a client, tells its observer: immutable events, for metrics and logs.

An observer is anything that can be called with one argument, an :class:`Event`. It is the argument
``observer`` of :class:`~apnsclient.transport.Session`, and of
:func:`apnsclient.aio.api.create_client`. There are observers that are ready for use in
``apnsclient.contrib``.

What is promised:

- No event has a device token, a payload, a key, or a provider token.
- What became of each token is told exactly once, when its result is ready to be handed out. It is
  not told of tokens that have no result, because their caller has left, or got an exception.
- What many have in common is one event, with a count: at most some for each message, or for each
  read, and never one for each token.
- The observer is called where nobody waits for it but the caller that it is called for: it may take
  its time, raise an exception, or send something in turn. Events are at most about a second late as
  long as the session is being used; after that they are told by the next use, at the latest by
  ``outdate()`` or ``shutdown()``.
- An exception that it raises is logged, once a minute for each kind, and ignored. ``SystemExit``,
  ``KeyboardInterrupt`` and other interrupts pass.

What is not promised: a thread. The observer of a session is called by whichever thread or greenlet
uses the session, by several at a time if several do, and then in no order between them: sort by
``time`` if it matters. Events of one thread come in the order in which they happened. A forked
child tells its own events alone, and what was not told when a process ends, is not. The observer of
an asynchronous client is called by the event loop, in order, and must not block.
"""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

from ._compat import MYPY

if MYPY:
    from typing import Any, Dict, NamedTuple, Optional, Tuple

    Address = Tuple[str, int]
    _Text = Optional[str]
    _Number = Optional[int]
    _Flag = Optional[bool]
else:
    # Python 2.7 has no typing.
    def NamedTuple(name, fields):
        """Return a namedtuple with these fields; their types are for the checkers alone."""
        return namedtuple(name, [str(field) for field, _ in fields])

__all__ = ["ACCEPTED", "ConnectFailed", "ConnectionClosed", "ConnectionOpened", "Event",
           "LateResults", "NotificationOutcomes", "NotificationsResent", "ProviderTokenTaken",
           "REJECTED", "Responses", "UNDELIVERED", "UNKNOWN", "UNPROCESSED", "Waited"]

#: Outcome of tokens: Apple, or the gateway, took the notification.
ACCEPTED = "accepted"
#: Outcome: rejected because of the token itself, ``Result.failed``; of the asynchronous client, for
#: any reason, as its ``Kind`` has it.
REJECTED = "rejected"
#: Outcome: to be sent again, and proven not to have been delivered, ``Result.retry()``.
UNPROCESSED = "unprocessed"
#: Outcome: written, and nobody knows what became of it, ``Result.unknown``.
UNKNOWN = "unknown"
#: Outcome: got nothing, and would get nothing another time, ``Result.undelivered``.
UNDELIVERED = "undelivered"


class Event(object):
    """Base class of all events.

    An event is a tuple with names, and cannot be changed. Every event has

    :ivar time: when it happened (float): seconds on the clock that timeouts are measured by, which
        never goes back (``time.monotonic()``, or ``loop.time()``).
    :ivar address: ``(host, port)`` of the server that it is about.

    Events with an attribute ``protocol`` have ``"http2"`` or ``"binary"`` there.
    """

    __slots__ = ()

    time = 0.0
    address = ("", 0)  # type: Address

    def as_dict(self):
        # type: () -> Dict[str, Any]
        """Return all values by name (dict)."""
        names = getattr(self, "_fields", ())
        return dict((name, getattr(self, name)) for name in names)


class ConnectionOpened(NamedTuple("ConnectionOpened", [
        ("time", float), ("address", "Address"), ("protocol", str), ("seconds", float),
        ("is_resumed", "_Flag"), ("certificate_days", "_Number")]), Event):
    """A new connection is ready for use.

    :ivar seconds: how long it took (float): name lookup, TCP, TLS, and with HTTP/2 the settings of
        the server.
    :ivar is_resumed: whether TLS resumed an earlier session (bool); None where the back-end does
        not know.
    :ivar certificate_days: whole days until the client's certificate expires (int), negative if it
        has; None with a provider token, or where the back-end does not know.
    """

    __slots__ = ()


class ConnectFailed(NamedTuple("ConnectFailed", [
        ("time", float), ("address", "Address"), ("protocol", str), ("seconds", float),
        ("error", str)]), Event):
    """A connection could not be had.

    :ivar seconds: how long the attempt took (float).
    :ivar error: name of the exception's class, such as ``"ConnectTimeout"`` (str).
    """

    __slots__ = ()


class ConnectionClosed(NamedTuple("ConnectionClosed", [
        ("time", float), ("address", "Address"), ("protocol", str), ("reason", str),
        ("detail", "_Text"), ("seconds", float), ("notifications", int)]), Event):
    """A connection was closed, or has ended.

    Nothing is told of a connection of the binary protocol that the pool finds dead and drops, and
    of those that are closed because their session is garbage collected, or the process ends.

    :ivar reason: why (str):

        - ``"idle"``: closed here, when nobody used it: by ``outdate()``, or for others;
        - ``"done"``: closed here, after use, as it is not kept or its session has ended;
        - ``"retired"``: closed here, because another one is to be used: ``detail`` is Apple's
          reason;
        - ``"goaway"``: the server has ended it in good order: ``detail`` is Apple's reason, or the
          name of the error of HTTP/2;
        - ``"response"``: the gateway of the binary protocol has sent an error frame: ``detail`` is
          the explanation of its status;
        - ``"end"``: the server has ended it without a word;
        - ``"timeout"``: the server did not respond in time;
        - ``"lost"``: it has failed, or was reset;
        - ``"refused"``: the server has refused the certificate, or all requests;
        - ``"protocol"``: the server has broken the rules;
        - ``"interrupted"``: an interrupt has come in the middle of a write.
    :ivar detail: see above (str), or None.
    :ivar seconds: for how long it was open (float).
    :ivar notifications: how many requests or notifications were sent over it (int).
    """

    __slots__ = ()


class Waited(NamedTuple("Waited", [
        ("time", float), ("address", "Address"), ("protocol", str), ("reason", str),
        ("seconds", float)]), Event):
    """Something had to wait until there was room for it.

    :ivar reason: what was waited for (str): ``"room"``, on the connections in use, by requests that
        may be in flight, or by the windows of HTTP/2: one event for each wait for the server;
        ``"connection"``, because all that there may be were in use; ``"queue"``, a place in the
        queue of an asynchronous client.
    :ivar seconds: how long (float).
    """

    __slots__ = ()


class NotificationOutcomes(NamedTuple("NotificationOutcomes", [
        ("time", float), ("address", "Address"), ("protocol", str), ("outcome", str),
        ("status", "_Number"), ("reason", "_Text"), ("push_type", "_Text"),
        ("topic", "_Text"), ("count", int)]), Event):
    """What became of notifications that have all in common but their tokens.

    :ivar outcome: :data:`ACCEPTED`, :data:`REJECTED`, :data:`UNPROCESSED`, :data:`UNKNOWN` or
        :data:`UNDELIVERED` (str), as the result has it.
    :ivar status: status of the response (int): that of HTTP, or of the binary protocol; None if
        there was none.
    :ivar reason: Apple's name of the reason, or that of the binary protocol's status (str); a text
        of a few words where there was no response. None if they were accepted.
    :ivar push_type: ``"alert"`` and so on (str); None over the binary protocol.
    :ivar topic: the topic (str), or None if nobody knows it.
    :ivar count: how many tokens (int, from 1).
    """

    __slots__ = ()


class Responses(NamedTuple("Responses", [
        ("time", float), ("address", "Address"), ("protocol", str), ("seconds", float),
        ("count", int)]), Event):
    """The last response has come to requests that were written together, over HTTP/2.

    :ivar seconds: how long after they were written (float): of one request, its latency; of many,
        that of the slowest.
    :ivar count: how many there were (int, from 1).
    """

    __slots__ = ()


class NotificationsResent(NamedTuple("NotificationsResent", [
        ("time", float), ("address", "Address"), ("protocol", str), ("reason", str),
        ("count", int)]), Event):
    """Notifications are sent again by themselves: it is proven that they were not processed.

    :ivar reason: why (str): ``"goaway"``, ``"refused stream"``, ``"lost connection"``,
        ``"interrupted write"``, or ``"discarded"`` (behind an error frame of the binary protocol);
        or Apple's name of the reason, or the status, of a response after which they are sent over
        another connection.
    :ivar count: how many (int, from 1).
    """

    __slots__ = ()


class ProviderTokenTaken(NamedTuple("ProviderTokenTaken", [
        ("time", float), ("address", "Address"), ("key_id", str), ("team_id", str),
        ("age", float)]), Event):
    """A connection sends a provider token that it has not sent before.

    A token is signed for half an hour, when the first connection takes it, and all connections
    share it.

    :ivar key_id: identifier of the key that has signed it (str).
    :ivar team_id: identifier of the team (str).
    :ivar age: how many seconds before, according to its time of issue, it was signed (float).
    """

    __slots__ = ()


class LateResults(NamedTuple("LateResults", [
        ("time", float), ("address", "Address"), ("protocol", str), ("messages", int),
        ("tokens", int)]), Event):
    """The gateway has rejected something of which the result was handed out already.

    See ``on_late_result`` of :class:`~apnsclient.transport.Session`. It takes back what
    :class:`NotificationOutcomes` have said.

    :ivar messages: how many messages (int).
    :ivar tokens: how many of their tokens counted as delivered, and were not (int).
    """

    __slots__ = ()
