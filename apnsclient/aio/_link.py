"""One connection of a hub: how it is opened, and who is told what comes."""

import asyncio
from typing import Any, Optional

from .._compat import text_of
from .._extras import NotInstalled
from ..errors import ConnectError, ConnectTimeout
from ..protocols.http2.headers import load_hpack
from ..sending.http2_connection import SenderConnection
from ._stream import Listener, TlsStream, within

__all__ = ["Link", "open_link"]

try:
    # The first connection would have the event loop wait for it.
    load_hpack()
except NotInstalled:
    # Whoever opens a connection is told what to install.
    pass


async def open_link(hub: Any, timeout: Optional[float]) -> "Link":
    """Open a connection, like :meth:`Link.open`, for any task.

    If the task is cancelled, nothing is left behind.
    """
    opening = asyncio.get_running_loop().create_task(Link.open(hub, timeout))
    try:
        await asyncio.wait([opening])
    except BaseException as error:
        opening.cancel()
        opening.add_done_callback(_discard)
        if isinstance(error, asyncio.CancelledError):
            await asyncio.wait([opening])
        raise
    return opening.result()


def _discard(opening: Any) -> None:
    """Close a connection that nobody waits for any more."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().stream.abort()


class Link(Listener):
    """One connection of a hub.

    :param hub: the hub.
    :param state: what its sender knows of the connection.

    :ivar state: see above.
    :ivar stream: the TLS stream, once it is there.
    :ivar ready: done when the server's settings have come; until then nothing is sent.
    :ivar received_at: when anything came from the server for the last time (float).
    :ivar probe_deadline: when the response to a PING has to be there (float), or None.
    :ivar probe_timeout: how many seconds it was given (float).
    :ivar is_proven: whether there was one since the connection was used last (bool).
    :ivar is_useful: whether the server has responded with anything but that it is out of order.
    :ivar is_retired: whether it is to take no further requests, and to be closed (bool).
    """

    def __init__(self, hub: Any, state: SenderConnection) -> None:
        self.state = state
        self.stream: Any = None
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.probe_deadline: Optional[float] = None
        self.probe_timeout = 0.0
        self.received_at = self._loop.time()
        self.is_proven = self.is_useful = self.is_retired = False
        self._hub = hub

    @classmethod
    async def open(cls, hub: Any, timeout: Optional[float]) -> "Link":
        """Open a connection, and return it when it is ready: the server's settings have come.

        To be awaited by a task of its own, like :meth:`.TlsStream.open`.

        :param hub: the hub that is to have it.
        :param timeout: seconds for the connection, and once more for the settings (float), or None.
        :raises ~apnsclient.errors.ConnectError: if there is none.
        """
        endpoint, now = hub.endpoint, asyncio.get_running_loop().time
        facts = None if hub.observation is None else hub.observation.facts
        began = now()
        try:
            link = await cls._open(hub, timeout)
        except Exception as error:
            if facts is not None:
                facts.note_failed(error, now() - began, now())
            raise
        if facts is not None:
            link.state.is_told = True
            facts.note_opened(endpoint.credential, link.stream.is_resumed, now() - began, now())
        return link

    @classmethod
    async def _open(cls, hub: Any, timeout: Optional[float]) -> "Link":
        endpoint, now = hub.endpoint, asyncio.get_running_loop().time
        link = cls(hub, SenderConnection(endpoint.address, endpoint.credential, now()))
        link.stream = await TlsStream.open(endpoint, link, timeout)
        try:
            link.stream.write(link.state.output(now()))
            link.stream.start()
            await within(timeout, link.ready, lambda: ConnectTimeout(
                "%s accepted the connection, but sent no HTTP/2 settings within %s s"
                % (endpoint, timeout)))
        except BaseException:
            link.stream.abort()
            raise
        link.stream.keep_session()
        return link

    @property
    def is_active(self) -> bool:
        """True if it takes requests, now or later."""
        return bool(self.state.can_start) and not self.is_retired

    def received(self, data: bytes) -> None:
        """Take what the server has sent."""
        if self.ready.done():
            self._hub.receive(self, data)
            return
        state, now = self.state, self._loop.time()
        state.receive(data, now)
        client = state.client
        if client.error is not None:
            self._refuse(str(client.error))
        elif client.goaway is not None:
            self._refuse("the server is ending the connection (%s)"
                         % self._hub.note_goaway(state, client.goaway))
        elif client.has_settings:
            state.round_trip = now - state.opened_at
            self.ready.set_result(None)

    def lost(self, error: Exception) -> None:
        """Take note that the stream has ended."""
        if self.ready.done():
            self._hub.lose(self, error)
        elif isinstance(error, ConnectError):
            self.ready.set_exception(error)
        else:
            self._refuse(text_of(error))

    def _refuse(self, problem: str) -> None:
        self.ready.set_exception(ConnectError(
            "%s does not let us speak HTTP/2: %s" % (self._hub.endpoint, problem)))

    def resumed(self) -> None:
        """Take note that more may be written."""
        self._hub.schedule()
