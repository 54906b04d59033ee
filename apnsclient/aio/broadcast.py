"""Broadcasts to Live Activities, and the channels for them.

A channel belongs to an application, and every device that subscribed to it gets what is sent to it:
there are no device tokens. :meth:`.Client.broadcast` sends, and :class:`Channels` manages them,
through hosts of their own.

Sources: Apple, *Sending broadcast push notification requests to APNs* and *Sending channel
management requests to APNs*.
"""

import asyncio
import time
import uuid
from typing import Any, Dict, List, Mapping, Optional, Protocol, Union

from .. import _channels
from .._channels import Channel
from .._headers import as_number, as_timestamp
from ..models import BaseNotification, PushType, RawNotification
from ..outcomes import parse_response
from ..reasons import reason_of_response
from .connection import Request
from .errors import FormatError, ResponseError, get
from .pool import Pool

__all__ = ["Channel", "Channels", "send_broadcast"]

_DEFAULT_PRIORITY = 10


class _Client(Protocol):
    """What has connections."""

    @property
    def pool(self) -> Pool:
        """Those that it has."""
        raise NotImplementedError


class Channels:
    """Creates, reads, lists and deletes the channels of an application.

    Each method raises a subclass of :class:`~apnsclient.aio.errors.ResponseError` if Apple rejects
    the request, :class:`~apnsclient.aio.errors.FormatError` if the response cannot be understood,
    what :meth:`.Client.send_notification` raises if there is no response, and ``ValueError`` for an
    identifier that cannot be put into a header.

    :param client: a client for :data:`~apnsclient.aio.config.ProductionChannels` or
        ``SandboxChannels``, which closes the connections.
    :param bundle_id: bundle identifier of the application (str).
    :param timeout: seconds for each request (float), or None for no limit.
    """

    def __init__(self, client: _Client, bundle_id: str, timeout: Optional[float] = 10.0) -> None:
        self._pool = client.pool
        self._bundle_id = bundle_id
        self._timeout = timeout

    def __repr__(self) -> str:
        return "<%s.Channels of %s: %r>" % (__name__, self._bundle_id, self._pool)

    async def create(self, is_stored: bool = False) -> str:
        """Create a channel, and return its identifier.

        :param is_stored: whether Apple keeps the last notification for devices that are not
            connected (bool), for 8 hours at most. It cannot be changed afterwards.
        """
        channel_id: str = await self._ask(_channels.to_create(self._bundle_id, is_stored))
        return channel_id

    async def read(self, channel_id: str) -> Channel:
        """Return the attributes of a channel.

        :param channel_id: identifier of the channel (str).
        """
        channel: Channel = await self._ask(_channels.to_read(self._bundle_id, channel_id))
        return channel

    async def list(self) -> List[str]:
        """Return the identifiers of all channels of the application."""
        channel_ids: List[str] = await self._ask(_channels.to_list(self._bundle_id))
        return channel_ids

    async def delete(self, channel_id: str) -> None:
        """Delete a channel. It cannot be had back.

        :param channel_id: identifier of the channel (str).
        """
        await self._ask(_channels.to_delete(self._bundle_id, channel_id))

    async def _ask(self, request: _channels.ApiRequest) -> Any:
        end = None
        if self._timeout is not None:
            end = asyncio.get_running_loop().time() + self._timeout
        return await _ask(self._pool, request, end)


async def send_broadcast(pool: Pool, bundle_id: str, channel: Union[str, Channel],
                         notification: Union[BaseNotification, Mapping[str, Any]],
                         expiration: Any, priority: Optional[int],
                         apns_id: Union[str, uuid.UUID, None], end: Optional[float]) -> str:
    """Send a notification to a channel, and return its identifier.

    For the parameters see :meth:`.Client.broadcast`.

    :param end: when its time is over, by ``loop.time()`` (float), or None.
    """
    model = notification if isinstance(notification, BaseNotification) else (
        RawNotification(notification, PushType.liveactivity))
    if model.push_type is not PushType.liveactivity:
        raise ValueError("the push type of the notification is %s, and a channel takes only those "
                         "of Live Activities" % model.push_type.value)
    parts = model.apns_request_parts(is_broadcast=True)
    given = parts.expiration if expiration is None else as_timestamp(expiration)
    moment = _channels.expiration_for(channel, given, time.time() + _channels.LONGEST_STORAGE)
    if priority is None:
        priority = _DEFAULT_PRIORITY if parts.priority is None else parts.priority
    identifier: str = await _ask(pool, _channels.to_broadcast(
        bundle_id, channel, parts.payload, as_number("expiration", moment, 0xFFFFFFFF),
        as_number("priority", priority, 0xFF), apns_id), end)
    return identifier.lower()


async def _ask(pool: Pool, request: _channels.ApiRequest, end: Optional[float]) -> Any:
    """Send a request, and return what its response says.

    :param end: when its time is over, by ``loop.time()`` (float), or None.
    """
    response = await pool.exchange(Request(request.path, dict(request.fields), request.body, end,
                                           request.method))
    header = _channels.header_of(response)
    if not _channels.is_success(response.status):
        raise _error_of(response, header)
    try:
        return request.read(header, response.body)
    except ValueError as error:
        raise FormatError(str(error)) from None


def _error_of(response: Any, header: Dict[str, str]) -> ResponseError:
    """Return the exception for a response to a request that was rejected."""
    name = parse_response(response.body)[0]
    row = reason_of_response(response.status, name, response.is_cut_off)
    if name in _channels.REMEDIES:
        # The same reason has another remedy where it is about a notification to a device.
        row = row.explained("%s: %s" % (name, _channels.REMEDIES[name]))
    identifier = header.get("apns-request-id")
    return get(name, identifier and identifier.lower(), row=row,
               unique_id=header.get("apns-unique-id"))
