"""The client, :class:`APNs`; what it takes, :class:`Message`; what it returns, :class:`Result`.

``APNs`` hands a message to a connection, which :class:`~apnsclient.transport.Session` made.
"""

from __future__ import absolute_import, division, print_function

import datetime

from ._arguments import check_timeout
from ._compat import MYPY
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

    :param connection: what :meth:`~apnsclient.transport.Session.get_connection` or
        :meth:`~apnsclient.transport.Session.new_connection` returned.
    """

    def __init__(self, connection):
        # type: (Connection) -> None
        self._connection = connection

    def send(self, message, timeout=None):
        # type: (Message, Optional[float]) -> Result
        """Send a message to all its tokens, and wait for what the other side has to say.

        The binary protocol: blocks until everything is written and the gateway has been silent for
        the session's ``read_tail_timeout``: success is silence (Apple, Binary Provider API).

        HTTP/2: each token is a request of its own, and each request gets a response. Blocks until
        the last response, or until one of the session's timeouts. What is proven not to have been
        processed is sent again; what was written and had no response is not: it is in the result's
        errors and retry.

        A message that has no tokens is not sent; that is logged as a warning.

        :param message: the :class:`Message`.
        :param timeout: longest time for the whole call, in seconds (float, above 0), or None for no
            limit but those of the session. At its end nothing is raised: what was not sent is in
            the result's retry, and what was sent and had no response is there and in
            :attr:`Result.unknown` as well. Closing a connection that has failed may take a second
            beyond that.
        :return: :class:`Result`. A connection that fails after it was established raises nothing;
            then what is not known to be delivered is in the result's retry.
        :raises ValueError: if the payload does not fit into a frame (65 535 bytes).
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

        A result is yielded as soon as it is certain, in the manner of :meth:`send`. The binary
        protocol: when the gateway has responded to its message or a later one, or has been silent
        for the session's ``read_tail_timeout`` after it was written. So the wait is paid once, at
        the end, however many messages there are. Messages that the gateway threw away because an
        earlier one was refused are sent again, over a fresh connection. HTTP/2: when all its tokens
        and those of the messages before it have their responses; messages share connections, of
        which more are opened where one is not enough, and as many streams as the other side allows.

        Messages are taken from the iterable as they are sent, and no more than 65 536 before the
        result of the first of them is yielded. Those that come fast are written together: after a
        rush, the last few of them (over the binary protocol at most one in eight) may wait for the
        message that follows.

        A generator that is closed before its end keeps its promises as far as it can: over the
        binary protocol an error frame that comes later is reported like any late one, see
        :class:`~apnsclient.transport.Session`.

        :param messages: any iterable of :class:`Message`; it is not read ahead of the sending.
        :param timeout: longest time for the whole call, from when the first result is asked for;
            see :meth:`send`. At its end each message that was taken has its result. The time that
            the iterable takes, and the caller over the results, counts as well.
        :return: generator of one :class:`Result` for each message, in order.
        :raises Exception: what :meth:`send` raises, and what the iterable raises. Unless the
            gateway has processed nothing at all, every message that was taken before has got its
            result by then.
        """
        check_timeout(timeout)
        return self._connection.send_many(messages, timeout)

    def feedback(self):
        # type: () -> Generator[Tuple[bytes, datetime.datetime], None, None]
        """Yield the tokens that are dead, each with the time from which on it is.

        Delete a token unless the device has registered it again since.

        The binary protocol: reads the feedback service, which clears its list as it is read. The
        connection is opened for the purpose, and closed at the end, also when the caller abandons
        the generator. If it fails on the way, the generator ends, with a warning in the log; what
        was not read comes the next time.

        HTTP/2: there is no such service any more. Apple says of each token that is dead when
        something is sent to it (status 410), and the session keeps what it was told in its
        ``feedback_store``. This yields the tokens that answered so since the last call, each once,
        and connects to nothing. They are also in :attr:`Result.gone`.

        :return: generator of ``(token, when)``: lower-case hexadecimal digits as bytes, and the
            time from which on the device no longer took notifications (naive datetime, local time,
            as ``datetime.now()`` gives it).
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
        """Turn a feedback timestamp into what :meth:`feedback` yields; override it to change that.

        :param timestamp: seconds since 1970 (int).
        :return: local time, without time zone.
        """
        return datetime.datetime.fromtimestamp(timestamp)

    def __repr__(self):
        # type: () -> str
        return "<%s over %r>" % (type(self).__name__, self._connection)
