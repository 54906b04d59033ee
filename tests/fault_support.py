"""What the tests of the chaos proxy's faults share: a client and a backend with a proxy between.

Both ends belong to the test, which writes to one and reads from the other. Three kinds of link are
the same to it: plain TCP, TLS from end to end of which the proxy sees only bytes, and TLS that
ends at the proxy on both sides.
"""

from __future__ import absolute_import, division, print_function

import errno
import os
import socket
import ssl
import tempfile
import threading

import pytest
import six

from apnsclient.testing.chaos import ChaosProxy
from apnsclient.testing.chaos.tls import ChaosTLS
from stdio_support import AUTHORITY, SERVER, SOON, until

__all__ = ["DATA", "Link", "both_ways", "is_quiet", "modes", "read_exactly", "read_rest"]

#: What is sent; no two neighbours are equal, and it is longer than any limit in the tests.
DATA = bytes(bytearray(range(256))) * 4
SEED = 7

#: Runs a test over plain TCP, and over TLS that the proxy holds the certificates of.
modes = pytest.mark.parametrize("mode", ["plain", "terminated"])
both_ways = pytest.mark.parametrize("direction", ["to_backend", "to_client"])

_NOT_NOW = (errno.EAGAIN, errno.EWOULDBLOCK, ssl.SSL_ERROR_WANT_READ)


def _contexts():
    """Return contexts of TLS for a client and for a server."""
    client = ssl.create_default_context(cadata=six.ensure_text(AUTHORITY.ca_string))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    number, name = tempfile.mkstemp()
    try:
        os.write(number, six.ensure_binary(SERVER.pem))
        server.load_cert_chain(name)
    finally:
        os.close(number)
        os.remove(name)
    return client, server


_CLIENT, _SERVER = _contexts()
_TLS = ChaosTLS.from_authority(AUTHORITY)


class Gone(object):
    """A socket that was reset while it was being connected."""

    def recv(self, size):
        """Fail as a socket does that is reset later."""
        raise socket.error(errno.ECONNRESET, os.strerror(errno.ECONNRESET))

    def close(self):
        """There is nothing to be closed."""


class Link(object):
    """A proxy all of whose connections get one handler, with sockets on either side.

    :param name: the handler.
    :param mode: ``plain``, ``through`` (TLS from end to end) or ``terminated``.
    :param behavior: the behavior in place of ``100:NAME``.
    :param protocol: name of the protocol.
    :param settings: options of further handlers.
    :param timeout: the proxy's timeout in seconds.
    :param options: options of the handler.
    """

    def __init__(self, name, mode="plain", behavior=None, protocol="tcp", seed=SEED,
                 settings=None, timeout=SOON, **options):
        self.mode = mode
        self._listener = socket.socket()
        self._listener.settimeout(SOON)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(50)
        self._opened = [self._listener]
        self.latest = None
        self.proxy = ChaosProxy(
            self._listener.getsockname(), "100:" + name if behavior is None else behavior,
            dict(settings or {}, **{name: options}), protocol=protocol, seed=seed,
            timeout=timeout, tls=_TLS if mode == "terminated" else None)

    def __enter__(self):
        self.proxy.start()
        return self

    def __exit__(self, *exception):
        self.proxy.stop(SOON)
        for each in self._opened:
            each.close()

    def connect(self):
        """Return a client's socket without TLS.

        A reset can come before ``connect()`` has returned. It is found by reading all the same.
        """
        try:
            client = self._keep(socket.create_connection(self.proxy.address, SOON))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except socket.error as error:
            if error.args[0] != errno.ECONNRESET:
                raise
            return Gone()
        return client

    def accept(self):
        """Return the backend's socket without TLS."""
        backend = self._listener.accept()[0]
        backend.settimeout(SOON)
        backend.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._opened.append(backend)
        return backend

    def has_backend(self, timeout=0):
        """Return True if the proxy has connected to the backend once more, as :attr:`latest`."""
        self._listener.settimeout(timeout)
        try:
            self.latest = self.accept()
        except socket.error:
            return False
        finally:
            self._listener.settimeout(SOON)
        return True

    def await_backend(self, number=1):
        """Wait for the backend's end of the connection of that number, as :attr:`latest`.

        Return whether there is one: the proxy may have ended the connection before.
        """
        self.latest = None
        until(lambda: self.has_backend(0.02) or self.proxy.connection_count == number
              and self.proxy.open_connections == 0)
        return self.latest is not None

    def open(self):
        """Return client and backend of a new connection, after the handshakes."""
        if self.mode == "plain":
            return self.connect(), self.accept()
        accepted = []

        def serve():
            accepted.append(self._wrap(_SERVER, self.accept(), server_side=True))

        server = threading.Thread(target=serve)
        server.start()
        try:
            client = self._wrap(_CLIENT, self.connect(), server_hostname="localhost")
        finally:
            server.join()
        return client, accepted[0]

    def ends(self, direction):
        """Return who sends and who receives in a direction of a new connection."""
        client, backend = self.open()
        return (client, backend) if direction == "to_backend" else (backend, client)

    def _wrap(self, context, raw, **options):
        wrapped = self._keep(context.wrap_socket(raw, suppress_ragged_eofs=False, **options))
        # On Python 2.7 a socket is not closed before all that refer to it are.
        self._opened.remove(raw)
        return wrapped

    def _keep(self, opened):
        self._opened.append(opened)
        return opened

    @property
    def record(self):
        """The record of the latest connection."""
        return self.proxy.connections[-1]

    def await_faults(self, *faults):
        """Wait for as many faults of the latest connection; they must be these, in any order."""
        assert self.proxy.wait_for(
            lambda: self.proxy.connections and self.record.fault_count >= len(faults), SOON)
        assert sorted(self.record.faults) == sorted(faults)

    def await_end(self):
        """Wait until all connections are over, and see that no handler failed; return the record.
        """
        assert self.proxy.wait_for(lambda: self.proxy.open_connections == 0, SOON)
        assert "handler" not in (self.record.error or "")
        return self.record


def read_exactly(peer, size):
    """Return so many bytes."""
    received = bytearray()
    while len(received) < size:
        data = peer.recv(size - len(received))
        assert data, "the stream ended after %d bytes" % len(received)
        received += data
    return bytes(received)


def read_rest(peer):
    """Return what comes until the end, and how it ends: ``end`` or ``reset``.

    With TLS the first is an end with close-notify, the second any other.
    """
    received = []
    while True:
        try:
            data = peer.recv(65536)
        except socket.timeout:
            raise
        except (socket.error, ssl.SSLError) as error:
            assert "timed out" not in str(error)
            return b"".join(received), "reset"
        if not data:
            return b"".join(received), "end"
        received.append(data)


def is_quiet(peer):
    """Return True if there is nothing to be read, and no end either."""
    peer.settimeout(0)
    try:
        peer.recv(1)
    except (socket.error, ssl.SSLError) as error:
        return error.args[0] in _NOT_NOW
    finally:
        peer.settimeout(SOON)
    return False
