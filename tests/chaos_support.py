"""What the tests of the chaos proxy share: plain backends, clients, and handlers of their own."""

from __future__ import absolute_import, division, print_function

import contextlib
import socket
import threading

from apnsclient.testing.chaos import ChaosProxy
from apnsclient.testing.chaos.handlers import Handler
from stdio_support import SOON, Server

#: Times in seconds that are there to be outlasted, never to be waited for.
LONG = 1000.0


def read_to_end(connected):
    """Return all that comes until the end of the stream."""
    pieces = []
    while not pieces or pieces[-1]:
        pieces.append(connected.recv(65536))
    return b"".join(pieces)


def echo(connected):
    """Send back what comes, and end the stream when the client does."""
    while True:
        data = connected.recv(65536)
        if not data:
            break
        connected.sendall(data)
    try:
        connected.shutdown(socket.SHUT_WR)
    except socket.error:
        pass  # The proxy has closed the connection.


def hold(connected):
    """Read until the client has gone."""
    read_to_end(connected)


@contextlib.contextmanager
def connected(proxy):
    """A client of the proxy."""
    client = socket.create_connection(proxy.address, SOON)
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def echoing(*arguments, **options):
    """A proxy in front of a server that sends everything back."""
    with Server(echo) as backend, ChaosProxy(backend.address, *arguments, **options) as proxy:
        yield proxy


def exchange(proxy, data):
    """Send data and the end of the stream; return what comes back until its end."""
    with connected(proxy) as client:
        sender = threading.Thread(target=_send, args=(client, data))
        sender.start()
        received = read_to_end(client)
        sender.join(SOON)
        return received


def _send(client, data):
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)


def await_end(proxy, count=1):
    """Wait until so many connections are over; return the record of the last one."""
    assert proxy.wait_for(
        lambda: proxy.connection_count >= count and not proxy.open_connections, SOON)
    return proxy.connections[-1]


@contextlib.contextmanager
def registered(*handlers):
    """Have handlers on the list as long as the block runs."""
    for handler in handlers:
        Handler.register(handler)
    try:
        yield handlers[0]
    finally:
        for handler in handlers:
            Handler.unregister(handler.name)
