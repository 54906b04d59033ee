"""A simulator with its web server, and a client of it, for the tests of the web server."""

import threading

import httpx

from apnsclient import APNs, Message, Session
from apnsclient.feedback_store import MemoryStore
from apnsclient.testing.simulator import Simulator
from apnsclient.testing.web import WebServer
from provider_client import with_token

TOPIC = "com.example.dinner"

#: Seconds after which a response is not going to come any more.
LIMIT = 60


class World:
    """A simulator, its web server, and a client.

    :ivar simulator: the simulator; it stays the same for a module.
    :ivar server: the web server.
    :ivar url: address of the web server, without a slash at the end.
    :ivar http: client (``httpx.Client``); paths that it is given are those of the API.
    """

    def __init__(self, simulator: Simulator, server: WebServer) -> None:
        self.simulator = simulator
        self.server = server
        self.url = server.url.rstrip("/")
        self.http = httpx.Client(base_url=self.url + "/api/v1", timeout=LIMIT)

    def send(self, *tokens, **options):
        """Send to devices over HTTP/2, by our own client; return the result."""
        options.setdefault("alert", "Dinner is ready")
        options.setdefault("apns_topic", TOPIC)
        session = Session(ca_string=self.simulator.ca_string, protocol="http2",
                          feedback_store=MemoryStore())
        try:
            connection = session.get_connection(
                self.simulator.provider_address, **self.simulator.token_parameters)
            return APNs(connection).send(Message(list(tokens), **options))
        finally:
            session.shutdown()

    def send_payloads(self, *payloads):
        """Send any bytes as payloads over HTTP/2; return the responses."""
        with with_token(self.simulator) as client:
            return [client.push(body=payload, apns_topic=TOPIC) for payload in payloads]

    def find(self, **parameters):
        """Return the items of a search, newest first."""
        response = self.http.get("/notifications", params=parameters)
        assert response.status_code == 200, response.text
        return response.json()["items"]


def await_waiters(server: WebServer, count: int) -> None:
    """Wait until so many readers are listening, or requests waiting."""
    waiting = threading.Event()
    for _ in range(LIMIT * 100):
        if server.waiter_count == count:
            return
        waiting.wait(0.01)
    raise AssertionError("there are %d that wait" % server.waiter_count)
