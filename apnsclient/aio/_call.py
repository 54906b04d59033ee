"""One request that a coroutine awaits."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Optional

from ..sending.http2 import IN_FLIGHT
from ._work import Post, StandaloneRequest, error_of
from .outcome import Kind

if TYPE_CHECKING:
    Future = asyncio.Future[Any]
else:
    # It has no parameter on Python 3.8, where types can be read all the same.
    Future = asyncio.Future

__all__ = ["Awaited", "AwaitedRequest", "Future", "await_post"]

_log = logging.getLogger("apnsclient.aio")


class Awaited(Post):
    """A request whose outcome goes to a future.

    :param hub: the hub that sends it.
    :param future: gets the response, or the exception.
    """

    __slots__ = ("_future", "_hub", "_is_late")

    def __init__(self, hub: Any, token: Any, template: Any, deadline: Optional[float],
                 future: Future) -> None:
        # Like super().__init__(), which takes longer.
        self.token, self.template, self.deadline = token, template, deadline
        self.is_over, self.has_place, self.bundle, self.index = False, True, None, 0
        self.flow = None
        self._hub, self._future, self._is_late = hub, future, False

    @property
    def is_abandoned(self) -> bool:
        """True if its caller has been cancelled; see the base class."""
        return self._future.done()

    def respond(self, response: Any) -> None:
        """Hand on the response."""
        if not self._future.done():
            self._future.set_result(response)

    def lose(self, text: str) -> None:
        """Raise that the outcome is unknown."""
        self.fail(error_of(text, Kind.unknown, self._is_late))

    def give_up(self, text: str) -> None:
        """Raise that the request was not sent."""
        self.fail(error_of(text, Kind.unprocessed, self._is_late))

    def fail(self, error: Exception) -> None:
        """Raise why the request was not sent."""
        if not self._future.done():
            self._future.set_exception(error)

    def expire(self) -> None:
        """Raise that its time is over."""
        self._is_late = True
        self._hub.withdraw(self, "its time was over" + self._hub.problem_text)


class AwaitedRequest(Awaited):
    """Any other request than one to a device.

    :param request: its method, path, ``(name, value)`` of its header fields, and body, all bytes.
    """

    __slots__ = ("_request",)

    def __init__(self, hub: Any, request: Any, deadline: Optional[float],
                 future: Future) -> None:
        super().__init__(hub, None, None, deadline, future)
        self._request = request

    def new_work(self, owner: Any) -> StandaloneRequest:
        """Return work for it."""
        method, path, fields, body = self._request
        return StandaloneRequest(method, path, fields, body, self, owner)


async def await_post(post: Awaited, hub: Any, future: Future) -> Any:
    """Send a request, and return the response of the protocol.

    If the caller is cancelled, the request is given up: it was not sent, or its stream is reset.
    """
    hub.enter(post)
    try:
        return await future
    except BaseException:
        future.cancel()  # Nobody would retrieve an exception.
        if not post.is_over and hub.withdraw(post, "its caller has left") == IN_FLIGHT:
            _log.warning("a caller has left a request that was written: its outcome is unknown")
        raise
    finally:
        # An exception has this frame in its traceback, and the future has the exception.
        del post, future
