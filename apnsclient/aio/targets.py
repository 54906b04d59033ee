"""Where a client sends to, as an object that makes the client.

A :class:`Simulator` is the one that comes with Xcode, on the same Mac, for trying out an
application. It is not the simulator of Apple's servers in :mod:`apnsclient.testing`.
"""

import asyncio
import uuid
from types import TracebackType
from typing import (
    Any,
    Callable,
    Coroutine,
    Dict,
    Generator,
    Generic,
    Optional,
    Type,
    TypeVar,
    Union,
    cast,
)

from .._json import encode_json
from .._printable import printable
from .config import MAX_NOTIFICATION_PAYLOAD_SIZE_OTHER
from .errors import Closed, Kind, SimulatorError, Timeout

__all__ = ["APNSBaseClient", "Creation", "Simulator", "SimulatorClient", "Target"]

_Client = TypeVar("_Client", bound="APNSBaseClient")


class APNSBaseClient:
    """What every client can do. It is an async context manager, which closes the client."""

    async def send_notification(self, token: str, notification: Any, *,
                                apns_id: Union[str, uuid.UUID, None] = None,
                                expiration: Any = None, priority: Optional[int] = None,
                                topic: Optional[str] = None, collapse_id: Optional[str] = None,
                                time_sensitive: bool = False) -> str:
        """Send a notification, and return its identifier.

        :param token: device token in hexadecimal (str).
        :param notification: see :mod:`apnsclient.models`, or a payload (dict).
        :param apns_id: identifier of the notification (a UUID, or its text); None has one made.
        :param expiration: how long the notification is worth delivering.
        :param priority: how urgent it is (:class:`~apnsclient.aio.config.Priority`).
        :param topic: which application it is for (str).
        :param collapse_id: of several with the same one, the device shows the last (str).
        :param time_sensitive: whether it may break through what silences the device (bool).
        :raises ~apnsclient.aio.errors.APNSError: if it was not accepted.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Close the client. It may be closed several times."""
        raise NotImplementedError

    async def __aenter__(self: _Client) -> _Client:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]],
                        error: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        await self.close()


class Creation(Generic[_Client]):
    """A client that is being made: to be awaited, or entered with ``async with``.

    :param create: coroutine function that makes the client.
    """

    def __init__(self, create: Callable[[], Coroutine[Any, Any, _Client]]) -> None:
        self._create = create
        self._client: Optional[_Client] = None

    def __await__(self) -> Generator[Any, None, _Client]:
        return self._create().__await__()

    async def __aenter__(self) -> _Client:
        self._client = await self
        return self._client

    async def __aexit__(self, kind: Optional[Type[BaseException]],
                        error: Optional[BaseException],
                        traceback: Optional[TracebackType]) -> None:
        if self._client is not None:
            await self._client.close()


class Target:
    """Where notifications are sent to."""

    def create_client(self) -> Creation[Any]:
        """Make a client that sends there: await it, or use it with ``async with``."""
        raise NotImplementedError


class Simulator(Target):
    """A device of the simulator that comes with Xcode: ``xcrun simctl push``, on a Mac.

    :param device_id: identifier of the device, as ``xcrun simctl list`` shows it, or ``"booted"``
        for the one that runs (str).
    :param app_id: bundle identifier of the application (str).
    :param timeout: seconds that sending may take (float).
    """

    def __init__(self, device_id: str, app_id: str, *, timeout: float = 60.0) -> None:
        for name, value in (("device_id", device_id), ("app_id", app_id)):
            if not value or value.startswith("-"):
                raise ValueError("%s is %.100r, expected an identifier" % (name, value))
        self.device_id = device_id
        self.app_id = app_id
        self.timeout = timeout

    def create_client(self) -> "Creation[SimulatorClient]":
        """Make a client that sends to the device: await it, or use it with ``async with``."""
        async def create() -> SimulatorClient:
            return SimulatorClient(self)

        return Creation(create)

    def __repr__(self) -> str:
        return "%s(%r, %r)" % (type(self).__name__, self.device_id, self.app_id)


class SimulatorClient(APNSBaseClient):
    """Sends to a device of Xcode's simulator; made by :meth:`Simulator.create_client`.

    :param target: the device.
    """

    def __init__(self, target: Simulator) -> None:
        self._target = target
        self._is_closed = False

    async def send_notification(self, token: str, notification: Any, *,
                                apns_id: Union[str, uuid.UUID, None] = None,
                                expiration: Any = None, priority: Optional[int] = None,
                                topic: Optional[str] = None, collapse_id: Optional[str] = None,
                                time_sensitive: bool = False) -> str:
        """Send a notification, and return its identifier.

        The simulator takes the payload alone. The token may be anything, and expiration, priority,
        topic and collapse_id have no effect.

        :return: the ``apns_id`` that was given, or a new one (str).
        :raises ValueError: if the payload has more than 4096 bytes.
        :raises ~apnsclient.aio.errors.SimulatorError: if there is no simulator, or it did not take
            the notification.
        :raises ~apnsclient.aio.errors.Timeout: if it took too long.
        :raises ~apnsclient.aio.errors.Closed: if the client is closed.
        """
        if self._is_closed:
            raise Closed("the client is closed; create another one", kind=Kind.unprocessed)
        await self._push(_payload_of(notification, time_sensitive))
        return str(uuid.uuid4() if apns_id is None else apns_id)

    async def close(self) -> None:
        """Close the client. It may be closed several times."""
        self._is_closed = True

    async def _push(self, payload: bytes) -> None:
        target = self._target
        try:
            process = await asyncio.create_subprocess_exec(
                "xcrun", "simctl", "push", target.device_id, target.app_id, "-",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT)
        except OSError as error:
            raise SimulatorError("xcrun cannot be run (%s); it comes with Xcode, on a Mac"
                                 % (error.strerror or error)) from error
        try:
            output, _ = await asyncio.wait_for(process.communicate(payload), target.timeout)
        except asyncio.TimeoutError:
            raise Timeout("xcrun simctl push did not end within %g seconds"
                          % target.timeout) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            said = printable(" ".join(output.decode("utf-8", "replace").split()))
            raise SimulatorError("xcrun simctl push failed with status %d: %s" % (
                process.returncode, said or "it said nothing"))


def _payload_of(notification: Any, time_sensitive: bool) -> bytes:
    """Return the payload as JSON text.

    :raises ValueError: if it is too large.
    """
    content: Dict[str, Any] = dict(
        cast(Any, notification) if isinstance(notification, dict) else notification.get_dict())
    if time_sensitive:
        content["aps"] = dict(content.get("aps") or {}, **{"interruption-level": "time-sensitive"})
    payload = encode_json(content)
    if len(payload) > MAX_NOTIFICATION_PAYLOAD_SIZE_OTHER:
        raise ValueError("the payload has %d bytes, and %d are the most that a simulator takes"
                         % (len(payload), MAX_NOTIFICATION_PAYLOAD_SIZE_OTHER))
    return payload
