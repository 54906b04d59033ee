"""A simulator with its web server, and a client of it, for the tests of the web server."""

import httpx

from apnsclient.testing.simulator import Simulator
from apnsclient.testing.web import WebServer

#: Seconds after which a response is not going to come any more.
LIMIT = 60


class World:
    """A simulator, its web server, and a client.

    :ivar simulator: the simulator; it stays the same for a module.
    :ivar url: address of the web server, without a slash at the end.
    :ivar http: client (``httpx.Client``); paths that it is given are those of the API.
    """

    def __init__(self, simulator: Simulator, server: WebServer) -> None:
        self.simulator = simulator
        self.url = server.url.rstrip("/")
        self.http = httpx.Client(base_url=self.url + "/api/v1", timeout=LIMIT)
