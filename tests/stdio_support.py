"""Servers for the tests of the stdio back-end: small functions of a socket, run in threads.

A server listens on a port of the system's choice and calls its function with each accepted socket.
TLS is spoken over blocking sockets. Leaving the ``with`` block shuts all sockets down, so that no
function stays blocked, waits for the threads, and raises what a function let through.
"""

from __future__ import absolute_import, division, print_function

import contextlib
import datetime
import errno
import os
import random
import socket
import struct
import threading

import pytest
import six
from cryptography import x509
from OpenSSL import SSL, crypto

from apnsclient._compat import monotonic
from apnsclient.backends import _connect, _identity
from apnsclient.backends.stdio import Backend
from apnsclient.errors import ConnectTimeout
from apnsclient.testing.certs import Authority

#: Generous limit in seconds for what is expected to happen at once.
SOON = 40
#: Limit for what is expected to time out; long enough to be distinguishable from SOON.
SHORT = 0.3
#: By how much two readings of Python 2.7's clock may be closer than the time that has passed.
TICK = 0.02
#: Such limits one after the other, for where a slow machine may not come as far as is meant.
LIMITS = (SHORT, 2, 8)

#: For a test of each version of TLS.
VERSIONS = pytest.mark.parametrize("version", ["1.2", "1.3"])

#: What the gateway says of a notification that it refuses.
FRAME = b"\x08\x08\x00\x00\x00\x07"

AUTHORITY = Authority()
SERVER = AUTHORITY.issue(
    "server", dns=["localhost"], addresses=["127.0.0.1", "::1"], usage="server")
CLIENT = AUTHORITY.issue("client")
#: Of an authority that nobody trusts.
STRANGER = Authority("stranger").issue("stranger")

TLS_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": getattr(SSL, "TLS1_3_VERSION", 0x304)}

#: What OpenSSL raises in a server whose peer went away.
GONE = (SSL.Error, socket.error)


def utc(year):
    return datetime.datetime(year, 1, 1)


def server_context(credential=SERVER, version=None, asks_client=True, client_authority=AUTHORITY):
    """Return a context for servers; ``version`` ("1.2", "1.3") pins the version of TLS."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    if version is not None:
        context.set_min_proto_version(TLS_VERSIONS[version])
        context.set_max_proto_version(TLS_VERSIONS[version])
    _identity.Identity(_identity.Material(credential.pem)).install(context)
    context.set_session_id(b"stdio tests")
    if asks_client:
        ca = x509.load_pem_x509_certificate(six.ensure_binary(client_authority.ca_string))
        context.get_cert_store().add_cert(crypto.X509.from_cryptography(ca))
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
                           lambda tls, certificate, code, depth, is_ok: bool(is_ok))
    return context


def over_tls(function, context=None, **options):
    """Return a function of a socket that makes the handshake and calls ``function(tls)``."""
    context = server_context(**options) if context is None else context

    def serve(accepted):
        tls = SSL.Connection(context, accepted)
        tls.set_accept_state()
        tls.do_handshake()
        function(tls)

    return serve


def read_all(tls):
    """Return what comes until the peer ends the stream."""
    received = []
    while True:
        try:
            received.append(tls.recv(65536))
        except (SSL.ZeroReturnError, SSL.SysCallError):
            return b"".join(received)


def discard(tls):
    """Read until the peer ends the stream."""
    read_all(tls)


def hold(tls):
    """Do nothing until the peer ends the stream, or the server the test."""
    wait_for_end(tls)


def wait_for_end(peer):
    """Block until TCP has ended, reading nothing of TLS."""
    raw = getattr(peer, "_socket", None) or peer
    while raw.recv(65536):
        pass


def resetting(gate):
    """Return a function of a TLS connection that resets it once something has come."""
    def serve(tls):
        tls.recv(1)
        reset(tls._socket)
        gate.open()

    return serve


def reset(accepted):
    """Close a socket with a TCP reset."""
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    accepted.close()


def _is_hang_up(error):
    """Return True if the client is gone: one that has written nothing hangs up with a reset."""
    return (isinstance(error, GONE) and bool(error.args)
            and error.args[0] in (errno.ECONNRESET, errno.EPIPE))


class Server(object):
    """A listening socket; each connection runs ``function(socket)`` in a thread of its own."""

    def __init__(self, function, host="127.0.0.1", port=0, family=socket.AF_INET, ignore=()):
        self._function = function
        self._ignore = ignore
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, port))
        self._listener.listen(50)
        self.address = self._listener.getsockname()[:2]
        self.accepted = []
        self.errors = []
        self._is_over = False
        self._threads = []
        self._start(self._accept)

    def _start(self, function, *args):
        thread = threading.Thread(target=function, args=args)
        thread.daemon = True
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            accepted = self._listener.accept()[0]
            if self._is_over:
                accepted.close()
                return
            # Otherwise a reset throws away what waits for the acknowledgement of a session ticket.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted.append(accepted)
            self._start(self._serve, accepted)

    def _serve(self, accepted):
        try:
            self._function(accepted)
        except Exception as error:
            if not (self._is_over or isinstance(error, self._ignore) or _is_hang_up(error)):
                self.errors.append(error)
        finally:
            accepted.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self._is_over = True
        last = socket.socket(self._listener.family, socket.SOCK_STREAM)
        try:
            last.connect(self.address)
        except socket.error:
            pass
        self._threads[0].join(SOON)
        last.close()
        self._listener.close()
        for accepted in self.accepted:
            try:
                accepted.shutdown(socket.SHUT_RDWR)
            except (socket.error, ValueError):
                pass
        for thread in self._threads[1:]:
            thread.join(SOON)
            assert not thread.is_alive(), "a server's function does not end"
        if self.errors and kind is None:
            raise self.errors[0]


def new_backend(**options):
    options.setdefault("ca_string", AUTHORITY.ca_string)
    return Backend(**options)


def open_connection(address, timeout=SOON, credential=CLIENT, backend=None, **options):
    backend = new_backend(**options) if backend is None else backend
    certificate = backend.get_certificate({"cert_string": credential.pem})
    return backend.get_new_connection(address, certificate, timeout)


def fails(error, *args, **kwargs):
    """Connect, expecting exactly this type of error; return its message."""
    with pytest.raises(error) as caught:
        open_connection(*args, **kwargs)
    assert type(caught.value) is error
    return str(caught.value)


def times_out(text, address, **options):
    """Connect, expecting a timeout at the point that a text tells of; return its message."""
    for limit in LIMITS:
        message = fails(ConnectTimeout, address, timeout=limit, **options)
        if text in message:
            return message
    raise AssertionError("expected %r in %r" % (text, message))


def free_port():
    """Return a port for a program that is still to be started, or is to be started again.

    The system gives it to nobody meanwhile: those that it chooses are higher.
    """
    while True:
        with contextlib.closing(socket.socket()) as probe:
            port = random.randrange(12000, 32000)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except socket.error:
                pass  # Somebody has it.


class Gate(object):
    """Lets a server wait for the test, or the test for a server, never for ever."""

    def __init__(self):
        self._event = threading.Event()

    def open(self):
        self._event.set()

    def wait(self):
        assert self._event.wait(SOON), "the other side never came this far"


def read_exactly(tls, size):
    received = b""
    while len(received) < size:
        received += tls.recv(size - len(received))
    return received


def until(condition, action=lambda: None):
    """Repeat the action until the condition holds; return what the action returned last."""
    deadline = monotonic() + SOON
    while True:
        result = action()
        if condition():
            return True if result is None else result
        assert monotonic() < deadline, "it never happened"


class Addresses(object):
    """Stands in for the resolver: one host name with several addresses on loopback."""

    def __init__(self, monkeypatch):
        self._addresses = []
        monkeypatch.setattr(_connect.socket, "getaddrinfo", self._look_up)

    def add(self, *addresses):
        self._addresses.extend(addresses)

    def _look_up(self, host, port, *args):
        return [(socket.AF_INET6 if ":" in address[0] else socket.AF_INET,
                 socket.SOCK_STREAM, 6, "", address) for address in self._addresses]


def count_descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
