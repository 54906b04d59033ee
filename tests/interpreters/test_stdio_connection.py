"""The stdio back-end's connections: what reading, writing and closing do to a real TLS peer."""

from __future__ import absolute_import, division, print_function

import os
import socket
import threading

import pytest
from OpenSSL import SSL

from apnsclient._compat import monotonic
from apnsclient.backends import _sockets
from apnsclient.errors import CertificateRefused, ConnectionLost, Timeout
from stdio_support import (
    AUTHORITY,
    FRAME,
    GONE,
    SHORT,
    SOON,
    STRANGER,
    VERSIONS,
    Gate,
    Server,
    discard,
    open_connection,
    over_tls,
    read_all,
    read_exactly,
    reset,
    resetting,
    server_context,
    until,
    utc,
    wait_for_end,
)

pytestmark = pytest.mark.timeout(240)


@VERSIONS
def test_what_is_written_arrives_and_the_response_is_read(version, waiting):
    """Bytes go both ways, in order and unchanged."""
    def echo(tls):
        tls.sendall(read_exactly(tls, 200000))
        discard(tls)

    data = os.urandom(200000)
    with Server(over_tls(echo, version=version)) as server:
        connection = open_connection(server.address)
        connection.write(data[:150000], SOON)
        connection.write(data[150000:], SOON)
        received = b""
        while len(received) < len(data):
            received += connection.read(65536, SOON)
        assert received == data
        connection.close()


@VERSIONS
def test_peek_does_not_wait(version):
    """peek() is None as long as nothing has come, b"" after the end, and consumes what it gives."""
    gate, sent = Gate(), Gate()

    def serve(tls):
        gate.wait()
        tls.send(b"abcdef")
        tls.shutdown()
        sent.open()
        wait_for_end(tls)

    with Server(over_tls(serve, version=version)) as server:
        connection = open_connection(server.address)
        assert connection.peek(10) is None
        gate.open()
        sent.wait()
        assert connection.read(1, SOON) == b"a"
        assert connection.peek(2) == b"bc"
        assert connection.peek(100) == b"def"
        assert connection.read(100, SOON) is None
        assert connection.peek(100) == b""
        connection.close()


@pytest.mark.parametrize("end", ["notify", "fin"])
@VERSIONS
def test_end_of_stream_is_none(version, end):
    """A peer that ends with close-notify or just with TCP's FIN has ended the stream."""
    def serve(tls):
        tls.send(FRAME)
        if end == "notify":
            tls.shutdown()

    with Server(over_tls(serve, version=version)) as server:
        connection = open_connection(server.address)
        assert connection.read(100, SOON) == FRAME
        assert connection.read(100, SOON) is None
        assert connection.read(100, SOON) is None
        assert connection.peek(100) == b""
        assert connection.closed()
        with pytest.raises(ConnectionLost) as caught:
            connection.write(b"x", SOON)
        assert "has ended" in str(caught.value)
        connection.close()


def test_read_timeout_leaves_the_connection_usable(waiting):
    """A read in vain raises Timeout and harms nothing."""
    gate = Gate()

    def serve(tls):
        gate.wait()
        tls.send(FRAME)
        discard(tls)

    with Server(over_tls(serve)) as server:
        connection = open_connection(server.address)
        for timeout in (SHORT, 0, -1):
            with pytest.raises(Timeout) as caught:
                connection.read(6, timeout)
            assert isinstance(caught.value, socket.timeout)
            assert "127.0.0.1:%d" % server.address[1] in str(caught.value)
        assert not connection.closed()
        gate.open()
        assert connection.read(6, None) == FRAME
        connection.write(b"x", SOON)
        connection.close()


def test_read_timeout_is_absolute_where_the_peer_sends_one_tls_byte_at_a_time():
    """A record that drips in byte by byte does not stretch the time."""
    def serve(accepted):
        wrapped = Drip(accepted)
        tls = SSL.Connection(server_context(), None)
        tls.set_accept_state()
        wrapped.handshake(tls)
        tls.send(b"x" * 10000)
        wrapped.drip(tls)

    with Server(serve, ignore=GONE) as server:
        connection = open_connection(server.address)
        begin = monotonic()
        with pytest.raises(Timeout):
            connection.read(100, SHORT)
        assert monotonic() - begin < SOON
        connection.close()


class Drip(object):
    """TLS through memory, so that the test decides when which byte goes out."""

    def __init__(self, accepted):
        self._socket = accepted
        self._stop = threading.Event()

    def handshake(self, tls):
        while True:
            try:
                tls.do_handshake()
                self._flush(tls)
                return
            except SSL.WantReadError:
                self._flush(tls)
                tls.bio_write(self._socket.recv(65536))

    def _flush(self, tls):
        try:
            while True:
                self._socket.sendall(tls.bio_read(65536))
        except SSL.WantReadError:
            pass

    def drip(self, tls):
        data = tls.bio_read(65536)
        for index in range(len(data)):
            self._socket.sendall(data[index:index + 1])
            self._stop.wait(0.02)


def test_write_timeout_is_absolute_where_the_peer_takes_little_at_a_time(waiting):
    """A peer that keeps accepting, but slowly, does not stretch the time."""
    stop = threading.Event()

    def serve(accepted):
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        tls = SSL.Connection(server_context(), accepted)
        tls.set_accept_state()
        tls.do_handshake()
        while not stop.is_set():
            accepted.recv(1000)
            stop.wait(0.01)

    with Server(serve, ignore=GONE) as server:
        connection = open_connection(server.address)
        data = b"x" * 1000000
        begin = monotonic()
        with pytest.raises(Timeout) as caught:
            for _ in range(1000):
                connection.write(data, SHORT)
        assert monotonic() - begin < SOON
        assert "within %s s" % SHORT in str(caught.value)
        with pytest.raises(ConnectionLost) as caught:
            connection.write(b"y", SOON)
        assert "earlier write" in str(caught.value)
        assert connection.closed()
        connection.close()
        stop.set()


def test_write_timeout_where_the_peer_takes_nothing(waiting):
    """A peer that stalls makes the write time out, not hang."""
    gate = threading.Event()
    with Server(over_tls(lambda tls: gate.wait(SOON))) as server:
        connection = open_connection(server.address)
        with pytest.raises(Timeout):
            for _ in range(1000):
                connection.write(b"x" * 100000, SHORT)
        connection.close_timeout = 1000
        connection.close()
        gate.set()


@VERSIONS
def test_large_write_resumes_after_the_peer_was_busy(version, waiting):
    """A write that has to wait sends each byte once and in order."""
    gate = Gate()
    received = []

    def serve(tls):
        gate.wait()
        received.append(read_all(tls))

    data = os.urandom(1 << 20) * 8
    with Server(over_tls(serve, version=version)) as server:
        connection = open_connection(server.address)
        writer = threading.Timer(SHORT, gate.open)
        writer.start()
        connection.write(data, SOON)
        connection.close_timeout = SOON
        connection.close()
        writer.join()
    assert received == [data]


@pytest.mark.parametrize("how", ["notify", "fin", "reset"])
@VERSIONS
def test_frame_before_the_end_is_read_after_a_failed_write(version, how):
    """The gateway's reason for hanging up survives the failure of the write that ran into it."""
    gate = Gate()

    def serve(tls):
        tls.recv(1)
        tls.send(FRAME)
        if how == "notify":
            tls.shutdown()
        if how == "reset":
            reset(tls._socket)
        else:
            tls._socket.close()
        gate.open()

    with Server(over_tls(serve, version=version), ignore=GONE) as server:
        connection = open_connection(server.address)
        connection.write(b"x" * 5000, SOON)
        gate.wait()
        with pytest.raises(ConnectionLost):
            for _ in range(10000):
                connection.write(b"x" * 5000, SOON)
        assert connection.peek(100) == FRAME
        assert read_to_failure(connection) in (None, ConnectionLost)
        assert connection.closed()
        connection.close()


def read_to_failure(connection):
    try:
        return connection.read(100, SOON)
    except ConnectionLost as error:
        return type(error)


def test_frame_is_read_after_a_write_that_timed_out():
    """Also if the peer stalls after its response, the response can be read."""
    gate = threading.Event()

    def serve(tls):
        tls.send(FRAME)
        gate.wait(SOON)

    with Server(over_tls(serve)) as server:
        connection = open_connection(server.address)
        with pytest.raises(Timeout):
            for _ in range(1000):
                connection.write(b"x" * 100000, SHORT)
        assert connection.read(100, SOON) == FRAME
        connection.close()
        gate.set()


@VERSIONS
def test_reset_raises_connection_lost_each_time(version):
    """After a reset read() and peek() raise, again and again, and the connection is closed."""
    gate = Gate()
    with Server(over_tls(resetting(gate), version=version)) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        gate.wait()
        for _ in range(2):
            with pytest.raises(ConnectionLost) as caught:
                connection.read(10, SOON)
            assert "127.0.0.1" in str(caught.value)
            with pytest.raises(ConnectionLost):
                connection.peek(10)
        with pytest.raises(ConnectionLost):
            connection.write(b"x", SOON)
        assert connection.closed()
        connection.close()


def test_garbage_instead_of_tls_raises_connection_lost():
    """Bytes that are no TLS record fail the connection with OpenSSL's reason."""
    def serve(tls):
        tls._socket.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
        wait_for_end(tls)

    with Server(over_tls(serve), ignore=GONE) as server:
        connection = open_connection(server.address)
        with pytest.raises(ConnectionLost) as caught:
            connection.read(10, SOON)
        assert "failed: " in str(caught.value)
        assert connection.closed()
        connection.close()


def test_closed_keeps_what_it_finds():
    """What closed() had to read is what the next peek() and read() return."""
    gate = Gate()

    def serve(tls):
        tls.send(b"abcdef")
        tls.shutdown()
        gate.open()
        wait_for_end(tls)

    with Server(over_tls(serve)) as server:
        connection = open_connection(server.address)
        gate.wait()
        assert not until(lambda: connection._stash, connection.closed)
        assert not connection.closed()
        assert connection.peek(2) == b"ab"
        assert not connection.closed()
        assert connection.read(2, SOON) == b"cd"
        assert connection.read(100, SOON) == b"ef"
        assert until(connection.closed)
        assert connection.peek(100) == b""
        connection.close()


def test_closed_tells_that_the_peer_hung_up_while_idle():
    """An idle connection whose peer hangs up is closed, without reading first."""
    gate = Gate()

    def serve(tls):
        gate.wait()

    with Server(over_tls(serve)) as server:
        connection = open_connection(server.address)
        assert not connection.closed()
        gate.open()
        assert until(connection.closed)
        connection.close()
        assert connection.closed()


def test_reset_forgets_what_was_received():
    """reset() empties the buffer before a new transmission."""
    gate = Gate()

    def serve(tls):
        tls.send(b"stale")
        gate.wait()
        tls.send(b"fresh")
        discard(tls)

    with Server(over_tls(serve)) as server:
        connection = open_connection(server.address)
        until(lambda: connection._stash, connection.closed)
        connection.reset()
        gate.open()
        assert connection.read(100, SOON) == b"fresh"
        connection.close()


def test_everything_raises_after_close():
    """After close() reading and writing raise, closing again does nothing."""
    with Server(over_tls(discard)) as server:
        connection = open_connection(server.address)
        connection.close()
        connection.close()
        assert connection.closed()
        for call in (lambda: connection.write(b"x", SOON), lambda: connection.read(1, SOON),
                     lambda: connection.peek(1)):
            with pytest.raises(ConnectionLost) as caught:
                call()
            assert "is closed" in str(caught.value)


@VERSIONS
def test_interrupted_write_is_not_continued(version, monkeypatch):
    """An exception from outside, such as KeyboardInterrupt, ends all writing."""
    with Server(over_tls(discard, version=version)) as server:
        connection = open_connection(server.address)
        with monkeypatch.context() as patch:
            patch.setattr(_sockets, "try_send", interrupt)
            with pytest.raises(KeyboardInterrupt):
                connection.write(b"x", SOON)
        with pytest.raises(ConnectionLost):
            connection.write(b"x", SOON)
        connection.close()


@VERSIONS
def test_interrupted_read_is_not_continued(version, monkeypatch):
    """What had been received may be lost then, and what comes after it makes no sense."""
    def respond(tls):
        tls.send(tls.recv(1))
        discard(tls)

    def receive(connected):
        data = try_receive(connected)
        return data if data is None else interrupt()

    try_receive = _sockets.try_receive
    with Server(over_tls(respond, version=version)) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        with monkeypatch.context() as patch:
            patch.setattr(_sockets, "try_receive", receive)
            with pytest.raises(KeyboardInterrupt):
                connection.read(1, SOON)
        assert connection.closed()
        with pytest.raises(ConnectionLost):
            connection.read(1, SOON)
        with pytest.raises(ConnectionLost):
            connection.write(b"x", SOON)
        connection.close()


def interrupt(*args):
    raise KeyboardInterrupt()


@pytest.mark.parametrize("credential, text", [
    (STRANGER, "check that certificate and key"),
    (AUTHORITY.issue("old", not_after=utc(2020)), "our certificate expired on 2020-01-01"),
    (AUTHORITY.issue("early", not_before=utc(2100)), "is not valid before 2100-01-01"),
], ids=["unknown", "expired", "early"])
def test_refused_certificate_over_tls13_comes_out_of_read(credential, text):
    """TLS 1.3 tells of the refusal after the handshake; read() and peek() say what it was."""
    with Server(over_tls(discard, version="1.3"), ignore=GONE) as server:
        connection = open_connection(server.address, credential=credential)
        with pytest.raises(CertificateRefused) as caught:
            connection.read(10, SOON)
        assert text in str(caught.value) and "refused our certificate" in str(caught.value)
        with pytest.raises(CertificateRefused):
            connection.peek(10)
        assert connection.closed()
        connection.close()


def test_refused_certificate_over_tls13_survives_failed_writes():
    """The reason is still there for the read that follows a write into the closed connection."""
    with Server(over_tls(discard, version="1.3"), ignore=GONE) as server:
        connection = open_connection(server.address, credential=STRANGER)
        with pytest.raises(ConnectionLost):
            for _ in range(10000):
                connection.write(b"x" * 5000, SOON)
        with pytest.raises(CertificateRefused):
            connection.read(10, SOON)
        connection.close()
