"""What is underneath the stdio back-end: waiting, and TLS in memory."""

from __future__ import absolute_import, division, print_function

import gc
import os
import socket
import sys
import weakref

import pytest
from OpenSSL import SSL

from apnsclient.backends import _engine, _sockets
from apnsclient.backends._identity import reasons
from apnsclient.backends._waiting import ThreadWaiting
from apnsclient.backends.stdio import Certificate
from stdio_support import (
    CLIENT,
    SHORT,
    SOON,
    VERSIONS,
    Server,
    open_connection,
    over_tls,
    read_all,
    server_context,
)

pytestmark = pytest.mark.timeout(240)


def test_wait_survives_a_signal(monkeypatch):
    """An interrupted select() is not an error; the deadline decides."""
    import errno
    import select

    calls = []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 1:
            raise select.error(errno.EINTR, "Interrupted system call")
        return [], [], []
    left, right = socket.socketpair()
    with monkeypatch.context() as patch:
        patch.setattr(_sockets.select, "select", interrupted)
        assert not ThreadWaiting().wait_for([(left, False)], _sockets.Deadline(SHORT))
        assert len(calls) > 1
        patch.setattr(_sockets.select, "select", lambda *args: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            _sockets.wait([(left, False)], None)
    left.close()
    right.close()


def test_wait_error_other_than_a_signal_is_raised(monkeypatch):
    """Only an interruption is passed over."""
    import errno
    import select

    def broken(*args):
        raise select.error(errno.EBADF, "Bad file descriptor")
    left, right = socket.socketpair()
    monkeypatch.setattr(_sockets.select, "select", broken)
    with pytest.raises(select.error):
        _sockets.wait([(left, False)], 0)
    left.close()
    right.close()


@pytest.mark.parametrize("engine", [_engine.Engine, _engine.DirectEngine])
@pytest.mark.parametrize("size", [1, 2048, 16384, 16385, 65536, 300000])
@VERSIONS
def test_engines_do_the_same(engine, size, version, monkeypatch):
    """The fast way past pyOpenSSL and the documented way carry the same bytes."""
    received = []
    monkeypatch.setattr(_engine, "best_engine", engine)
    data = os.urandom(size)
    with Server(over_tls(lambda tls: received.append(read_all(tls)), version=version)) as server:
        connection = open_connection(server.address)
        assert type(connection._engine) is engine
        connection.write(data, SOON)
        connection.write(memoryview(data), SOON)
        connection.write(bytearray(data), SOON)
        connection.write(b"end", SOON)
        connection.close_timeout = SOON
        connection.close()
    assert received == [data * 3 + b"end"]


def test_engine_without_undocumented_names_is_the_documented_one():
    """Where pyOpenSSL has changed inside, the fast way is not taken."""
    assert _engine._best_engine(SSL) is _engine.DirectEngine

    class Changed(object):
        _lib = SSL._lib

    assert _engine._best_engine(Changed) is _engine.Engine


@pytest.mark.skipif(sys.version_info[0] < 3, reason="frees nothing that a finalizer can still use")
@pytest.mark.parametrize("is_listed", [True, False])
def test_a_finalizer_knows_whether_openssl_has_freed_the_connection(is_listed):
    """At exit the list of connections, which holds their memory otherwise, is garbage as well."""
    told = []

    class User(object):
        def __init__(self):
            self.engine, self.cycle = _engine.best_engine(client_context()), self

        def __del__(self):
            told.append(self.engine.is_freed)

    user = User()
    assert not user.engine.is_freed
    if not is_listed:
        del SSL.Connection._reverse_mapping[user.engine.tls._ssl]
    del user
    gc.collect()
    assert told == [not is_listed]


def test_engine_hands_out_what_was_waiting_with_the_data():
    """Output of TLS itself that is still in memory goes out before the data, however long."""
    client, server = _engine.best_engine(client_context()), server_engine()
    shake_hands(client, server)
    first = client.seal(b"a" * 20000)
    first = first.tobytes() if not isinstance(first, bytes) else first
    for _ in range(5):
        client.tls.send(b"b" * 10000)
    server.bio_write(first + bytes(bytearray(client.seal(b"c" * 10))))
    received = b""
    while not received.endswith(b"c" * 10):
        received += server.recv(65536)
    assert received == b"a" * 20000 + b"b" * 50000 + b"c" * 10
    assert not len(client.seal(b""))


def open_engine(engine):
    """Return an engine and its server after the handshake, with nothing left to be read."""
    client, server = engine(client_context()), server_engine()
    shake_hands(client, server)
    with pytest.raises(SSL.WantReadError):
        client.open(100)
    return client, server


ENGINES = pytest.mark.parametrize("engine", [_engine.Engine, _engine.DirectEngine])


def sealed_by(server, *pieces):
    """Return what a server sends, each piece in a record of its own."""
    for piece in pieces:
        server.send(piece)
    return server.bio_read(1 << 20)


def open_all(client, size):
    """Return what can be read, in pieces of ``size`` at most."""
    pieces = []
    while True:
        try:
            pieces.append(client.open(size))
        except SSL.WantReadError:
            return pieces
        assert 1 <= len(pieces[-1]) <= size


@ENGINES
@pytest.mark.parametrize("size", [1, 3, 100, 20000])
def test_engines_read_the_same_records(engine, size):
    """In the order in which they came, none twice, and never more than was asked for."""
    client, server = open_engine(engine)
    records = [b"a", b"bc" * 5, b"d" * 16384, b"e"]
    client.feed(sealed_by(server, *records))
    assert b"".join(open_all(client, size)) == b"".join(records)
    client.feed(sealed_by(server, b"more"))
    assert b"".join(open_all(client, size)) == b"more"


def test_many_small_records_are_read_at_once():
    """Responses come in records of a few bytes each, and reading is not to cost a call for each."""
    client, server = open_engine(_engine.DirectEngine)
    client.feed(sealed_by(server, *[b"%03d" % number for number in range(100)]))
    assert len(open_all(client, 16384)) == 1


def end(server):
    """Return a close-notify."""
    server.shutdown()
    return server.bio_read(65536)


@ENGINES
@pytest.mark.parametrize("make, error", [
    (end, SSL.ZeroReturnError), (lambda server: b"\x17\x03\x03\x00\x14" + b"x" * 20, SSL.Error)],
    ids=["end", "garbage"])
def test_what_came_before_the_end_is_read_first(engine, make, error):
    """Then the end is told, as often as somebody asks, and nobody is kept alive by it."""
    class Reader(object):
        pass

    def read(reader):
        assert client.open(100)[:5] == b"whole"
        for number in range(3):
            with pytest.raises(error) as caught:
                client.open(100)
            assert number or error is SSL.ZeroReturnError or reasons(caught.value)
        return weakref.ref(reader)

    client, server = open_engine(engine)
    client.feed(sealed_by(server, b"whole") + make(server))
    gone = read(Reader())
    getattr(sys, "exc_clear", gc.collect)()
    gc.collect()
    assert gone() is None


def client_context():
    from apnsclient.backends._tls import Trust

    return Certificate(cert_string=CLIENT.pem).get_context(Trust(verify=False))


def server_engine():
    tls = SSL.Connection(server_context(), None)
    tls.set_accept_state()
    return tls


def shake_hands(client, server):
    class Trusting(object):
        @staticmethod
        def judge(*args):
            return True

    client.tls.set_app_data(Trusting)
    for _ in range(4):
        for tls in (client.tls, server):
            try:
                tls.do_handshake()
            except SSL.WantReadError:
                pass
        for source, target in ((client.tls, server), (server, client.tls)):
            try:
                target.bio_write(source.bio_read(65536))
            except SSL.WantReadError:
                pass
