"""The web server of a simulator: uvicorn in a thread of its own.

It belongs to a process that does other things, a test run or ``apns simulator``, so that it leaves
alone what all of a process shares: signal handlers, the configuration of logging, event loops of
other threads.
"""

import asyncio
import atexit
import ipaddress
import logging
import os
import socket
import threading
from typing import Any, List, Optional, Set, Tuple

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .._listening import listen
from ..simulator import Simulator
from .application import new_application
from .chaos_proxies import ChaosProxies
from .feed import Feed
from .releaser import Releaser
from .security import Access

__all__ = ["WebServer"]

#: Seconds for which requests that are being answered may go on when the server is stopped.
_GRACE = 3
#: Connections that are served at a time; further ones get 503.
_MOST_CONNECTIONS = 500
#: Seconds for which a connection may be without a request.
_PATIENCE = 10.0

#: Running servers, to be stopped before the interpreter takes their threads apart.
_running: "Set[WebServer]" = set()

# Without this, warnings about garbage that somebody sends would go to standard error.
logging.getLogger("uvicorn").addHandler(logging.NullHandler())


class WebServer:
    """Serves the HTTP API and the page of a simulator.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. The simulator is the
    caller's to start and stop; it need not run.

    :param simulator: what it shows and controls (:class:`apnsclient.testing.simulator.Simulator`).
    :param address: ``(host, port)`` to listen at; port 0 takes a free one. Host ``0.0.0.0`` or
        ``::`` is each address of the machine. Requests to names other than this host,
        ``localhost`` and those of the simulator are refused: a page that somebody visits could have
        its own name lead to this machine (DNS rebinding).
    :param password: what a client has to give, with HTTP Basic (any user name) or as a bearer token
        (str); None for none.
    :param releaser: sends notifications on to Apple when it is asked to (:class:`Releaser`), and is
        the caller's to close; None for nothing of that kind.
    :raises ValueError: if the password is empty.
    """

    def __init__(self, simulator: Simulator, address: Tuple[str, int] = ("127.0.0.1", 8025),
                 password: Optional[str] = None,
                 releaser: Optional[Releaser] = None) -> None:
        self._wanted = address
        self._address: Optional[Tuple[str, int]] = None
        self._thread: Optional[threading.Thread] = None
        self._server: Optional[_Server] = None
        self._listening: Optional[socket.socket] = None
        self._process = 0
        access = Access((address[0],) + simulator.names, password)
        self._simulator = simulator
        self._feed = Feed(simulator)
        self._chaos = ChaosProxies(simulator)
        self._application = new_application(simulator, self._feed, self._chaos, releaser,
                                            access)

    def start(self) -> "WebServer":
        """Listen, and serve in a thread. After :meth:`stop`, at the same address again.

        :return: itself.
        :raises RuntimeError: if it runs already.
        :raises OSError: if it cannot listen there.
        """
        if self._thread is not None:
            raise RuntimeError("the web server runs already")
        self._listening = listen(self._address or self._wanted)
        self._address = self._listening.getsockname()[:2]
        self._process = os.getpid()
        self._server = _Server(_Config(
            self._application, http=_Protocol, ws="none", lifespan="off", loop="asyncio",
            access_log=False, log_config=None, server_header=False, proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS, timeout_graceful_shutdown=_GRACE), self._feed)
        self._thread = threading.Thread(
            target=self._server.run_in_thread, args=([self._listening],),
            name="apnsclient web server", daemon=True)
        self._thread.start()
        self._server.wait_until_started()
        self._simulator.page_url = self.url + "#/notifications/{number}"
        _running.add(self)
        return self

    def stop(self) -> None:
        """End what is being answered, close every connection, and end the thread.

        Chaos proxies are stopped. May be called twice. In a forked child it closes the child's
        copy of the socket alone.
        """
        thread, self._thread = self._thread, None
        if thread is None or self._server is None or self._listening is None:
            return
        _running.discard(self)
        if os.getpid() == self._process:
            self._simulator.page_url = None
            self._server.should_exit = True
            thread.join()
            self._chaos.stop()
        self._listening.close()

    def __enter__(self) -> "WebServer":
        return self.start()

    def __exit__(self, *exception: Any) -> None:
        self.stop()

    def __repr__(self) -> str:
        return "<%s: %s>" % (
            type(self).__name__, "stopped" if self._thread is None else "running at " + self.url)

    @property
    def address(self) -> Tuple[str, int]:
        """``(host, port)`` that it listens at, once it has been started."""
        return self._address or self._wanted

    @property
    def waiter_count(self) -> int:
        """How many requests wait for news: readers of events, and those with ``wait`` (int)."""
        return self._feed.waiter_count

    @property
    def url(self) -> str:
        """Address of the page, with a slash at the end (str).

        Where it listens at each address of the machine, this is the one of loopback.
        """
        host, port = self.address
        try:
            found = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return "http://%s:%d/" % (host, port)
        if found.is_unspecified:
            host = "127.0.0.1" if found.version == 4 else "::1"
        return "http://%s:%d/" % ("[%s]" % host if ":" in host else host, port)


class _Config(uvicorn.Config):
    """Leaves the logging of the process as it is; uvicorn takes away handlers of its loggers."""

    def configure_logging(self) -> None:
        pass


class _Protocol(H11Protocol):
    """Ends connections over which no request comes: they would take the room of others.

    uvicorn itself has a limit for the time from a response to the first byte of the next request.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._last_cycle = self.cycle
        self._look_later()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def _look_later(self) -> None:
        self._timer = self.loop.call_later(_PATIENCE, self._look)

    def _look(self) -> None:
        """Close it if nothing has been asked, and nothing responded, since the last look."""
        cycle = self.cycle
        if cycle is self._last_cycle and (cycle is None or cycle.response_complete):
            self.transport.close()
            return
        self._last_cycle = cycle
        self._look_later()


class _Server(uvicorn.Server):
    """Says when it serves; its own way is an attribute to look at again and again.

    The feed lives as long as it serves: what waits for news would hold up its end.
    """

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self._feed = feed
        self._has_started = threading.Event()

    def run_in_thread(self, sockets: List[socket.socket]) -> None:
        try:
            asyncio.run(self.serve(sockets=sockets))
        finally:
            self._has_started.set()

    async def startup(self, sockets: Optional[List[socket.socket]] = None) -> None:
        self._feed.open()
        await super().startup(sockets=sockets)
        self._has_started.set()

    async def shutdown(self, sockets: Optional[List[socket.socket]] = None) -> None:
        self._feed.close()
        await super().shutdown(sockets=sockets)

    def wait_until_started(self) -> None:
        self._has_started.wait()


@atexit.register
def _stop_all() -> None:
    for server in list(_running):
        server.stop()
