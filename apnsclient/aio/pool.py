"""A pool of HTTP/2 connections to one server.

A pool has up to ``size`` connections that take requests, one that is being opened, and some that
are shutting down and still get responses. It begins with one, and opens another when requests have
waited for about a round trip. One that ends is replaced before it has responded to the last
request, as long as the pool is in use. Connects come one at a time, after growing delays if they
fail: Apple takes a storm of them for an attack (Apple, *Sending notification requests to APNs*).
"""

import asyncio
import copy
import random
from typing import Any, Callable, List, Optional, Tuple, Union

from .._compat import text_of
from .._timing import Timing
from ..errors import CertificateRefused
from ..events import Event
from ..sending.http2 import ANOTHER, FIRST
from ._call import Future, await_post
from ._hub import Hub
from ._link import Link, open_link
from ._observing import Observation
from ._stream import Endpoint, guard_with_loop
from .connection import DEFAULT_TIMING, Request, Response, SSLContext, new_endpoint
from .errors import Closed
from .outcome import Kind

__all__ = ["Pool", "QUEUE_SIZE", "delay_after"]

#: Connections that may be shutting down at a time.
_MOST_DYING = 4
#: Seconds before the second attempt to connect; each further delay is twice as long.
_FIRST_DELAY, _LONGEST_DELAY, _MOST_DOUBLINGS = 0.25, 60.0, 10
#: Requests that may wait for room; who has more waits for a place.
QUEUE_SIZE = 1000


def delay_after(failures: int) -> float:
    """Return how long to wait before the next connect, in seconds; by chance, so that clients whose
    connections ended together do not come back together.

    :param failures: how many connects in a row were of no use (int, from 1).
    """
    longest = min(_FIRST_DELAY * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), _LONGEST_DELAY)
    return longest * random.uniform(0.5, 1.0)


class Pool:
    """Up to ``size`` connections to one server; see the module.

    It belongs to the event loop that it was made in. Make it with :meth:`create`. It is an
    asynchronous context manager, which closes it.

    :param endpoint: where connections lead to, and with which credential.
    :param size: most connections that take requests (int, from 1).
    :param timing: timeouts.
    :param ping_after: idle seconds after which a connection is pinged before it is used (float).
    :param queue_size: most requests that wait in the queue (int, from 1).
    :param observer: called with each :class:`~apnsclient.events.Event`, by the loop, or None.
    :param delay_after: called with how many connects in a row were of no use (int, from 1), returns
        the seconds before the next one (float).

    :ivar hub: sends the requests; for the client that has the pool.
    :ivar outcome: why the pool has ended (str), or None.
    """

    def __init__(self, endpoint: Endpoint, size: int = 2, timing: Timing = DEFAULT_TIMING,
                 ping_after: Optional[float] = 60.0, queue_size: int = QUEUE_SIZE,
                 observer: Optional[Callable[[Event], Any]] = None,
                 delay_after: Callable[[int], float] = delay_after) -> None:
        self._loop = asyncio.get_running_loop()
        if queue_size < 1:
            raise ValueError("queue_size is %r, expected 1 or more requests" % (queue_size,))
        if observer is not None and not callable(observer):
            raise TypeError("the observer is of type %s, expected something to call with an event"
                            % type(observer).__name__)
        self.hub = Hub(endpoint, timing, ping_after, self._look, queue_size,
                       None if observer is None else Observation(observer, endpoint.address))
        self.outcome: Optional[str] = None
        self._size = _check_size(size)
        self._task: Optional[asyncio.Task[None]] = None
        # How many connects in a row were of no use; and the last connection, and why it was wanted,
        # until the server has been of use over it.
        self._failure_count = 0
        self._unproven: Optional[Tuple[Link, str]] = None
        self._delay_after = delay_after
        self._is_closing = self._is_closed = False
        self._idle: Optional[asyncio.Future[None]] = None
        self._guard: Any = None

    @classmethod
    async def create(cls, origin: Union[str, Tuple[str, int]], size: int = 2,
                     ssl: Optional[SSLContext] = None, **options: Any) -> "Pool":
        """Return a pool whose first connection is open.

        :param origin: ``"https://host:port"``, or ``(host, port)``.
        :param size: most connections that take requests (int, from 1).
        :param ssl: certificate and trusted authorities, see
            :func:`~apnsclient.aio.connection.create_ssl_context`.
        :param options: ``timing``, ``ping_after``, ``queue_size``, ``delay_after``; see the class.
        :raises ~apnsclient.errors.ConnectError: if there is no connection.
        :raises ValueError: if size is below 1, or the origin is none.
        """
        pool = cls(new_endpoint(origin, ssl), size, **options)
        await pool.start()
        return pool

    async def start(self) -> None:
        """Open the first connection.

        :raises ~apnsclient.errors.ConnectError: if there is none; the pool is closed then.
        """
        try:
            link = await open_link(self.hub, self.hub.timing.connect_timeout)
        except BaseException as error:
            self._is_closing = self._is_closed = True
            self.outcome = text_of(error)
            self.hub.tell()
            raise
        if self._is_closed:
            link.stream.abort()
            raise self.error
        self._use(link, FIRST)
        self._guard = guard_with_loop(self.hub.abort_links)
        await self._guard.asend(None)

    # What it has.

    @property
    def size(self) -> int:
        """Most connections that take requests (int)."""
        return self._size

    @property
    def active(self) -> int:
        """How many connections take requests (int)."""
        return sum(link.is_active for link in self.hub.links)

    @property
    def dying(self) -> int:
        """How many connections are shutting down (int)."""
        return len(self.hub.links) - self.active

    @property
    def starting(self) -> int:
        """How many connections are being opened (int): 0 or 1."""
        return int(self._task is not None)

    @property
    def inflight(self) -> int:
        """How many requests were written and have no response yet (int)."""
        return self.hub.in_flight

    @property
    def buffered(self) -> int:
        """How many requests wait in the queue (int)."""
        return self.pending - self.inflight

    @property
    def pending(self) -> int:
        """How many requests have not ended (int), without those that wait for a place."""
        return self.hub.tally.outstanding

    @property
    def retrying(self) -> int:
        """How many requests wait to be sent again (int)."""
        return self.hub.retrying

    @property
    def completed(self) -> int:
        """How many requests had a response (int)."""
        return self.hub.tally.completed

    @property
    def errors(self) -> int:
        """How many requests ended without a response (int)."""
        return self.hub.tally.errors

    @property
    def blocked(self) -> bool:
        """True if a request would wait for a place in the queue."""
        return self.hub.queue.is_full

    @property
    def closing(self) -> bool:
        """True if it takes no further requests."""
        return self._is_closing

    @property
    def closed(self) -> bool:
        """True if it has ended."""
        return self._is_closed

    @property
    def state(self) -> str:
        """``"starting"``, ``"active"``, ``"closing"`` or ``"closed"``."""
        if self._is_closed:
            return "closed"
        if self._is_closing:
            return "closing"
        return "active" if self.active else "starting"

    @property
    def error(self) -> Exception:
        """Why it takes no further requests (Exception), another one each time."""
        if self.hub.failure is not None:
            return copy.copy(self.hub.failure)
        return Closed("the client is closed: %s" % self.outcome, kind=Kind.unprocessed)

    async def __aenter__(self) -> "Pool":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return ("<%s.Pool %s to %s: active %d of %d, starting %d, dying %d, buffered %d, "
                "inflight %d, retrying %d, completed %d, errors %d%s>" % (
                    __name__, self.state, self.hub.endpoint, self.active, self._size,
                    self.starting, self.dying, self.buffered, self.inflight, self.retrying,
                    self.completed, self.errors,
                    ", outcome %r" % self.outcome if self.outcome else ""))

    # Requests.

    async def post(self, request: Request) -> Response:
        """Send a request, and return its response, whatever the status.

        A request that is proven unprocessed is sent again, until its deadline.

        :raises ~apnsclient.aio.errors.Timeout: if its time is over; ``kind`` says whether it may
            have been processed.
        :raises ~apnsclient.aio.errors.Closed: if the pool is closed, or the connection was lost
            after the request was written.
        """
        return Response.of(await self.exchange(request))

    async def exchange(self, request: Request) -> Any:
        """Do what :meth:`post` does, and return the response of the protocol."""
        self.check()
        future = self._loop.create_future()
        return await await_post(request.post(self.hub, future), self.hub, future)

    def check(self) -> None:
        """See that a request can be sent from here.

        :raises ~apnsclient.aio.errors.Closed: if the pool takes no requests any more.
        :raises RuntimeError: if another event loop runs than the one that it belongs to.
        """
        self.check_loop()
        if self._is_closing:
            raise self.error

    def check_loop(self) -> None:
        """See that the event loop runs that it belongs to.

        :raises RuntimeError: if it is another one.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("this client belongs to another event loop; make one for each loop, "
                               "in the loop that it is used in")

    # Connections.

    def resize(self, size: int) -> None:
        """Change how many connections there may be; surplus ones end when they have responded.

        :raises ValueError: if size is below 1.
        """
        self._size = _check_size(size)
        self._retire_surplus()
        self.hub.schedule()

    def _retire_surplus(self) -> None:
        active = [link for link in self.hub.links if link.is_active]
        for link in active[self._size:]:
            link.is_retired = True

    def _look(self) -> None:
        """See what the hub needs; called by it whenever something has changed."""
        hub = self.hub
        if hub.failure is not None and not self._is_closed:
            self._fail(hub.failure)
        if self._idle is not None and not hub.tally.outstanding and not self._idle.done():
            self._idle.set_result(None)
        if self._unproven is not None:
            self._judge(*self._unproven)
        if self._task is None and not self._is_closed:
            why = self._wanted()
            if why is not None:
                self._task = self._loop.create_task(self._connect(why))
                self._task.add_done_callback(self._note_attempted)

    def _wanted(self) -> Optional[str]:
        """Return why a connection is to be opened, or None."""
        hub, active = self.hub, self.active
        if active >= self._size or self.dying >= _MOST_DYING or hub.failure is not None:
            return None
        if active:
            return ANOTHER if hub.has_waiting and hub.wants_another() else None
        # One that is shutting down is replaced, unless the pool is as well.
        has_use = hub.has_waiting if self._is_closing else hub.tally.outstanding
        return FIRST if has_use else None

    async def _connect(self, why: str) -> None:
        """Open a connection, after a delay if the last ones were of no use."""
        hub = self.hub
        try:
            if why == FIRST:
                if self._failure_count:
                    await asyncio.sleep(self._delay_after(self._failure_count))
                # Until there is proof that the server takes requests, it counts as a failure.
                self._failure_count += 1
            link = await Link.open(hub, hub.time_to_open(why))
        except CertificateRefused as error:
            hub.failure = error
        except Exception as error:  # pylint: disable=broad-except
            hub.problem = text_of(error)
            if why == ANOTHER:
                hub.note_connect_failed(why)
        else:
            self._use(link, why)

    def _note_attempted(self, task: Future) -> None:
        # A task that was cancelled before it began does nothing itself.
        self._task = None
        self.hub.schedule()

    def _use(self, link: Link, why: str) -> None:
        self._unproven = link, why
        self.hub.use(link)
        self._retire_surplus()

    def _judge(self, link: Link, why: str) -> None:
        """See whether the last connection is of use, or has ended without having been."""
        if not link.is_useful and link in self.hub.links:
            return
        self._unproven = None
        if why == FIRST and link.is_useful:
            self._failure_count = 0
        elif why == ANOTHER and not link.is_useful:
            self.hub.note_connect_failed(why)

    # The end.

    def _fail(self, error: Exception) -> None:
        """End, because nothing can be sent any more; responses to come are waited for."""
        self._is_closing = True
        if self.outcome is None:
            self.outcome = text_of(error)
        self.hub.end_waiting(error)
        if not self.hub.in_flight:
            self._finish()

    def _finish(self) -> "List[asyncio.Future[None]]":
        """Close all connections.

        :return: what is done when they are closed, and all requests have ended.
        """
        self._is_closed = True
        ending = self.hub.close_links()
        if self._task is not None:
            self._task.cancel()
            ending.append(self._task)
        # What was not written to its end has come back.
        self.hub.end_waiting(Closed("the client was closed", kind=Kind.unprocessed))
        self.hub.cancel_timer()
        if self.hub.all_ended is not None:
            ending.append(self.hub.all_ended)
        if self._idle is not None and not self._idle.done():
            # Somebody else waits for responses, and there will be none.
            self._idle.set_result(None)
        return ending

    async def close(self, timeout: Optional[float] = 20.0) -> None:
        """Take no further requests, wait for the responses to those that were taken, and end.

        :param timeout: most seconds to wait for responses (float), or None for no limit. Requests
            that have none by then end as :class:`~apnsclient.aio.errors.Closed`.
        :raises RuntimeError: if another event loop runs than the one that it belongs to.
        """
        self.check_loop()
        if not self._is_closing:
            self._is_closing = True
            self.outcome = "it was closed"
            self.hub.end_outside(Closed("the client was closed", kind=Kind.unprocessed))
        try:
            if not self._is_closed and self.hub.tally.outstanding:
                self._idle = self._idle or self._loop.create_future()
                await asyncio.wait([self._idle], timeout=timeout)
        finally:
            ending = self._finish()
        if ending:
            await asyncio.wait(ending)
        if self._guard is not None:
            guard, self._guard = self._guard, None
            await guard.aclose()
        self.hub.tell()


def _check_size(size: int) -> int:
    if size < 1:
        raise ValueError("the size of the pool is %r, expected 1 or more connections" % (size,))
    return size
