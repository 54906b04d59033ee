"""The client that :func:`apnsclient.aio.api.create_client` makes: notifications to outcomes.

A client belongs to the event loop that it was made in, and may be used by any number of tasks
there. They share its connections, see :mod:`apnsclient.aio.pool`.
"""

import asyncio
import datetime
import math
import uuid
from typing import (
    Any,
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Dict,
    Iterable,
    Optional,
    Tuple,
    Union,
)

from ..errors import APNsError
from ..models import BaseNotification
from ..protocols.http2.requests import RequestTemplate
from ._call import Awaited, await_post
from ._feedback import Feedback
from ._many import Campaign, Item
from ._requests import Renderer, error_of, identifier_in, outcome_of
from .broadcast import Channel, send_broadcast
from .outcome import Outcome, from_error
from .pool import Pool
from .targets import APNSBaseClient

__all__ = ["Client"]

#: A device token in hexadecimal.
Token = Union[str, bytes]
#: What is sent: a model, or a payload.
Content = Union[BaseNotification, Dict[str, Any]]
Moment = Union[int, float, datetime.datetime, datetime.timedelta]

#: Most notifications of one ``send_many()`` that are under way for each connection.
_WINDOW = 1000
#: How many dead tokens a caller gets who does not wait for anything in between, before the loop may
#: do something else.
_PORTION = 256


class _Default:
    """Stands for the timeout of the client."""

    def __repr__(self) -> str:
        return "the client's"


_DEFAULT = _Default()


class Client(APNSBaseClient):
    """Sends notifications to one server; made with :func:`~apnsclient.aio.api.create_client`.

    It is an asynchronous context manager, which closes it.

    :ivar pool: its connections (:class:`~apnsclient.aio.pool.Pool`).
    """

    def __init__(self, pool: Pool, topic: Optional[str] = None, timeout: Optional[float] = 10.0,
                 feedback: Optional[Feedback] = None) -> None:
        self.pool = pool
        self._renderer = Renderer(topic)
        self._timeout = timeout
        self._feedback = feedback
        if feedback is not None:
            pool.hub.on_gone = feedback.add
        self._loop = asyncio.get_running_loop()

    def __repr__(self) -> str:
        return "<%s.%s: %r>" % (__name__, type(self).__name__, self.pool)

    # One notification.

    async def send_notification(
            self, token: Token, notification: Content, *,
            apns_id: Union[str, uuid.UUID, None] = None, expiration: Optional[Moment] = None,
            priority: Optional[int] = None, topic: Optional[str] = None,
            collapse_id: Optional[str] = None, push_type: Optional[str] = None,
            deadline: Optional[float] = None, timeout: Union[float, None, _Default] = _DEFAULT,
            time_sensitive: bool = False) -> str:
        """Send a notification to a device, and return its identifier.

        What is proven unprocessed is sent again by itself until its time is over; what was written
        and had no response is not. If the caller is cancelled before the notification was written,
        it is not sent; after that its outcome is unknown, which is logged as a warning.

        :param token: device token in hexadecimal (str or bytes).
        :param notification: one of :mod:`apnsclient.models`, or a payload (dict).
        :param apns_id: identifier of the notification (``uuid.UUID``, or the text of one). None
            lets Apple make one.
        :param expiration: when Apple may stop trying to deliver it: seconds since 1970, a
            ``datetime`` (a naive one is local time), or a ``timedelta`` from now; 0: not to be
            stored. None means what the notification has, or else that Apple decides.
        :param priority: 10, 5 or 1 (:class:`~apnsclient.models.Priority`, or int). None means what
            the notification has, or else 5 for alerts and background updates, 10 for all others.
        :param topic: bundle identifier of the application, with or without the suffix of the push
            type (str). None means that of the client, or else that of the certificate.
        :param collapse_id: notifications with the same one replace each other on the device (str;
            Apple takes 64 bytes). None means what the notification has.
        :param push_type: what it is for (:class:`~apnsclient.models.PushType`, or str). None means
            what the notification has.
        :param deadline: when its time is over, by ``loop.time()`` (float), or None.
        :param timeout: seconds for it (float), or None for no limit; by default that of the client.
            The earlier of the two counts.
        :param time_sensitive: whether it may break through what silences the device (bool):
            interruption level ``time-sensitive``.
        :return: the ``apns-id`` in lower case (str).
        :raises ~apnsclient.aio.errors.ResponseError: if Apple does not accept it; there is a
            subclass for each reason.
        :raises ~apnsclient.aio.errors.Timeout: if its time is over. Its ``kind``, and that of
            ``StreamReset`` and ``Closed``, which are raised if the request was reset, the
            connection lost or the client closed, says whether it may have been processed.
        :raises ValueError, TypeError: if the payload is too large, or a value cannot be sent.
        :raises RuntimeError: if the client belongs to another event loop.
        """
        self.pool.check()
        template = self._renderer.render(notification, apns_id, expiration, priority, topic,
                                         collapse_id, push_type, time_sensitive)
        response = await self._post(token, template, self._end(deadline, timeout))
        if response.status == 200:
            return identifier_in(response)
        raise error_of(response, template)

    async def send(
            self, token: Token, notification: Content, *,
            apns_id: Union[str, uuid.UUID, None] = None, expiration: Optional[Moment] = None,
            priority: Optional[int] = None, topic: Optional[str] = None,
            collapse_id: Optional[str] = None, push_type: Optional[str] = None,
            deadline: Optional[float] = None, timeout: Union[float, None, _Default] = _DEFAULT,
            time_sensitive: bool = False) -> Outcome:
        """Send a notification to a device, and return its outcome as a value.

        For the arguments see :meth:`send_notification`, for what it would raise
        ``Outcome.error``.

        :raises RuntimeError: if the client belongs to another event loop.
        :raises ValueError: if ``timeout`` or ``deadline`` is not a number.
        """
        self.pool.check_loop()
        end = self._end(deadline, timeout)
        try:
            self.pool.check()
            template = self._renderer.render(notification, apns_id, expiration, priority, topic,
                                             collapse_id, push_type, time_sensitive)
        except Exception as error:  # pylint: disable=broad-except
            return from_error(token, notification, error)
        try:
            response = await self._post(token, template, end)
        except (APNsError, ValueError) as error:
            return from_error(token, notification, error)
        return outcome_of(token, notification, response, template)

    def _end(self, deadline: Optional[float],
             timeout: Union[float, None, _Default]) -> Optional[float]:
        """Return when the time of a notification is over (float), or None.

        :raises ValueError: if it is not a number, which has no place among the deadlines of others.
        """
        seconds = self._timeout if isinstance(timeout, _Default) else timeout
        end = deadline
        if seconds is not None:
            end = self._loop.time() + seconds
            if deadline is not None and not end < deadline:
                end = deadline
        if end is not None and math.isnan(end):
            raise ValueError("timeout is %r and deadline is %r, expected seconds" % (
                seconds, deadline))
        return end

    def _post(self, token: Token, template: RequestTemplate,
              end: Optional[float]) -> Awaitable[Any]:
        """Send a request, and return the response of the protocol."""
        hub, future = self.pool.hub, self._loop.create_future()
        return await_post(Awaited(hub, token, template, end, future), hub, future)

    async def broadcast(
            self, bundle_id: str, channel: Union[str, Channel], notification: Content, *,
            expiration: Optional[Moment] = None, priority: Optional[int] = None,
            apns_id: Union[str, uuid.UUID, None] = None, deadline: Optional[float] = None,
            timeout: Union[float, None, _Default] = _DEFAULT) -> str:
        """Send a notification to a channel, and return its identifier.

        :param bundle_id: bundle identifier of the application that has the channel (str).
        :param channel: identifier of the channel (str), or what
            :meth:`~apnsclient.aio.broadcast.Channels.read` returned.
        :param notification: a :class:`~apnsclient.models.LiveActivity`, or a payload (dict) of at
            most 5120 bytes.
        :param expiration: when Apple may stop trying to deliver it, in the forms that
            :meth:`send_notification` takes. None means what the notification has, or else 0: only
            devices that are connected get it. For a :class:`~apnsclient.broadcast.Channel` that
            stores it means 8 hours from now then, which is as long as Apple stores it. A channel
            that stores nothing takes 0 alone.
        :param priority: 10, 5 or 1; None means what the notification has, or else 10.
        :param apns_id: identifier of the request; None lets Apple make one.
        :param deadline: see :meth:`send_notification`.
        :param timeout: see :meth:`send_notification`.
        :return: Apple's identifier of the request, in lower case (str); "" if there is none.
        :raises ~apnsclient.aio.errors.ResponseError: if Apple does not accept it; there is a
            subclass for each reason.
        :raises ~apnsclient.aio.errors.Timeout: and others as :meth:`send_notification` does.
        :raises ValueError, TypeError: if the payload is too large, or a value cannot be sent.
        """
        self.pool.check()
        return await send_broadcast(self.pool, bundle_id, channel, notification, expiration,
                                    priority, apns_id, self._end(deadline, timeout))

    # Many notifications.

    def send_many(self, notifications: Union[Iterable[Tuple[Token, Content]],
                                             AsyncIterable[Tuple[Token, Content]]], *,
                  ordered: bool = False, window: Optional[int] = None,
                  expiration: Optional[Moment] = None, priority: Optional[int] = None,
                  topic: Optional[str] = None, collapse_id: Optional[str] = None,
                  push_type: Optional[str] = None, deadline: Optional[float] = None,
                  timeout: Union[float, None, _Default] = None,
                  time_sensitive: bool = False) -> AsyncGenerator[Outcome, None]:
        """Send notifications, and yield the outcome of each as it arrives.

        The iterable is asked for as many as there is room for, and no faster than outcomes are
        taken. If the generator is closed before its end, what waits is not sent, and what is in
        flight is given up.

        :param notifications: ``(token, notification)`` of each; plain or asynchronous iterable. A
            plain one is asked in the event loop, so it should not wait.
        :param ordered: whether outcomes come in the order of the notifications (bool).
        :param window: how many notifications may be under way, or have outcomes that were not taken
            (int, from 1). None means 1000 for each connection of the pool, and as many again.
        :param timeout: seconds for each notification (float); None, the default, for no limit but
            that of the response.

        For the other arguments, which are for all of them, see :meth:`send_notification`.

        :return: asynchronous generator of :class:`~apnsclient.aio.outcome.Outcome`. One that cannot
            be sent at all has an outcome as well, ``undelivered``.
        :raises Exception: what the iterable raises, after the outcomes of what it has yielded.
        """
        self.pool.check()
        if window is not None and window < 1:
            raise ValueError("window is %r, expected 1 or more notifications" % (window,))

        def new_item(campaign: Campaign, value: Any) -> Item:
            token, notification = _pair_of(value)
            try:
                template = self._renderer.render(
                    notification, None, expiration, priority, topic, collapse_id, push_type,
                    time_sensitive)
            except Exception as error:  # pylint: disable=broad-except
                item = Item(campaign, token, notification, token, None, None)
                item.outcome = from_error(token, notification, error)
                return item
            return Item(campaign, token, notification, token, template,
                        self._end(deadline, timeout))

        return Campaign(self.pool, new_item, _outcome_of,
                        window or _WINDOW * (self.pool.size + 1), ordered).run(notifications)

    # Feedback.

    async def feedback(self) -> AsyncGenerator[Tuple[str, datetime.datetime], None]:
        """Yield the tokens that are dead, each with the time since when it has been dead.

        Delete a token unless the device has registered it again since. They are taken out of the
        feedback store; those that were not taken when the generator is closed are put back.

        :return: asynchronous generator of ``(token, time)``: lower-case hexadecimal (str), and a
            ``datetime`` in UTC.
        :raises Exception: what the store raises, if it cannot be read.
        """
        self.pool.check_loop()
        if self._feedback is None:
            return
        rows = await self._feedback.drain()
        position = 0
        try:
            for token, timestamp in rows:
                position += 1
                yield token.decode("ascii"), datetime.datetime.fromtimestamp(
                    timestamp, datetime.timezone.utc)
                if position % _PORTION == 0:
                    await asyncio.sleep(0)
        finally:
            if rows[position:]:
                self._feedback.add(rows[position:])

    # The end.

    @property
    def closing(self) -> bool:
        """True if it takes no further notifications."""
        return self.pool.closing

    @property
    def closed(self) -> bool:
        """True if it has ended."""
        return self.pool.closed

    async def close(self, timeout: Optional[float] = 20.0) -> None:
        """Take no further notifications, wait for the responses to come, and close.

        :param timeout: most seconds to wait for responses, and for the feedback store (float), or
            None for no limit.
        """
        await self.pool.close(timeout)
        if self._feedback is not None:
            await self._feedback.close(timeout)

    aclose = close


def _pair_of(value: Any) -> Tuple[Any, Any]:
    """Return token and notification, as an iterable yields them.

    :raises TypeError: if it is anything else.
    """
    try:
        token, notification = value
    except (TypeError, ValueError):
        raise TypeError("the iterable yields a value of type %s, expected (token, notification)"
                        % type(value).__name__) from None
    return token, notification


def _outcome_of(item: Item) -> Outcome:
    """Return the outcome of an item that had a response."""
    return outcome_of(item.given, item.notification, item.response, item.template)
