"""The client, :class:`APNs`; :class:`Message` and :class:`Result` can be imported from here, too.

``APNs`` passes messages to a connection of a :class:`~apnsclient.transport.Session`.
"""

from __future__ import absolute_import, division, print_function

import datetime

from ._compat import MYPY
from ._timing import check_timeout
from .message import Message
from .result import Result

if MYPY:
    from typing import Generator, Iterable, Optional, Tuple

    from .transport import Connection

__all__ = ["APNs", "Message", "Result"]


class APNs(object):
    """Client for Apple's push and feedback services.

    It may be used by several threads at once. Over HTTP/2 they share connections; over the binary
    protocol each call takes a connection of its own from the session's pool, or opens one.

    :param connection: return value of :meth:`~apnsclient.transport.Session.get_connection` or
        :meth:`~apnsclient.transport.Session.new_connection`.
    """

    def __init__(self, connection):
        # type: (Connection) -> None
        self._connection = connection

    def send(self, message, timeout=None):
        # type: (Message, Optional[float]) -> Result
        """Send a message to all its tokens, and return their outcomes.

        The binary protocol: blocks until everything is written and the gateway has been silent for
        the session's ``read_tail_timeout``: success is silence (Apple, Binary Provider API).

        HTTP/2: each token is a request of its own, and each request has a response. Blocks until
        the last response, or until one of the session's timeouts. What is proven not to have been
        processed is sent again; what was written and has no response is not: it is in the result's
        errors and retry.

        A message without tokens is not sent, and a warning is logged.

        :param message: the :class:`Message`.
        :param timeout: longest time for the whole call, in seconds (float, above 0), or None for no
            limit except those of the session. At its end nothing is raised: what was not sent is in
            the result's retry, and what was sent and has no response is there and in
            :attr:`Result.unknown` as well. What is being written at that moment is written to its
            end: where a server does not read, that lasts until the session's ``write_timeout``.
            Closing a connection that has failed may take another second.
        :return: :class:`Result`. If an established connection fails nothing is raised: what is not
            known to be delivered is in the result's retry.
        :raises ValueError: if the timeout is not a number above 0, or the payload does not fit into
            a frame (65 535 bytes).
        :raises TypeError, ValueError: if the payload cannot be expressed in JSON. Like the error
            above, it is raised before a connection is opened.
        :raises Exception: whatever the back-end raises when it cannot connect; for the default
            back-end :class:`~apnsclient.errors.ConnectError`. Nothing was sent.
        """
        check_timeout(timeout)
        return self._connection.send(message, timeout)

    def send_many(self, messages, timeout=None):
        # type: (Iterable[Message], Optional[float]) -> Generator[Result, None, None]
        """Send messages one after the other without waiting after each.

        A result is yielded as soon as it is certain, with the guarantees of :meth:`send`. The
        binary protocol: when the gateway has responded to its message or a later one, or has been
        silent for the session's ``read_tail_timeout`` after it was written. So there is one wait,
        at the end, for any number of messages. Messages that the gateway discarded because an
        earlier one was rejected are sent again, over a new connection. HTTP/2: when all its tokens
        and those of the messages before it have responses. Messages share connections; more are
        opened if one is not enough.

        Messages are taken from the iterable as they are sent, and at most 65 536 before the result
        of the first of them is yielded. Messages that arrive in quick succession are written
        together: the last few of them (over the binary protocol at most one in eight) may wait for
        the next message.

        If the generator is closed before its end, nothing more is sent. Over the binary protocol,
        results of messages that were not delivered go to ``on_late_result`` then, if they are
        certain and were not yielded, and so do those that an error frame changes later; see
        :class:`~apnsclient.transport.Session`. Over HTTP/2, results that were not yielded are lost.

        :param messages: any iterable of :class:`Message`; it is not read ahead of sending.
        :param timeout: longest time for the whole call, from when the first result is requested;
            see :meth:`send`. At its end each message that was taken has its result. The time that
            the iterable takes, and the caller between results, counts as well.
        :return: generator of one :class:`Result` for each message, in order.
        :raises Exception: what :meth:`send` raises, and what the iterable raises. Unless the
            gateway has processed nothing at all, the results of all messages that were taken have
            been yielded by then.
        """
        check_timeout(timeout)
        return self._connection.send_many(messages, timeout)

    def feedback(self):
        # type: () -> Generator[Tuple[bytes, datetime.datetime], None, None]
        """Yield the tokens that are dead, each with the time since when it has been dead.

        Delete a token unless the device has registered it again since.

        The binary protocol: reads the feedback service, which clears its list as it is read. A
        connection is opened, and closed at the end, also if the caller abandons the generator. If
        it fails meanwhile, the generator ends, with a warning in the log; the rest is reported the
        next time.

        HTTP/2: there is no such service any more. The response to a notification says that its
        token is dead (status 410), and the session keeps these tokens in its ``feedback_store``.
        This yields those that were found since the last call, each once, and opens no connection.
        They are also in :attr:`Result.gone`.

        :return: generator of ``(token, when)``: lower-case hexadecimal digits as bytes, and the
            time since when the device has not accepted notifications (naive datetime, local time,
            like ``datetime.now()``).
        :raises Exception: whatever the back-end raises when it cannot connect, or the feedback
            store when it cannot be read.
        """
        rows = self._connection.feedback()
        try:
            for timestamp, token in rows:
                yield token, self._datetime_from_timestamp(timestamp)
        finally:
            rows.close()

    def _datetime_from_timestamp(self, timestamp):
        # type: (int) -> datetime.datetime
        """Return the time that :meth:`feedback` yields for a timestamp; may be overridden.

        :param timestamp: seconds since 1970 (int).
        :return: local time, without time zone.
        """
        return datetime.datetime.fromtimestamp(timestamp)

    def __repr__(self):
        # type: () -> str
        return "<%s over %r>" % (type(self).__name__, self._connection)
