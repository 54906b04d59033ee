"""What TLS itself sends over an open connection: new handshakes, responses, session tickets."""

from __future__ import absolute_import, division, print_function

import errno
import socket
import threading

import pytest

from apnsclient.backends import _sockets
from apnsclient.errors import ConnectionLost, Timeout
from stdio_support import (
    FRAME,
    GONE,
    SHORT,
    SOON,
    Gate,
    Server,
    discard,
    open_connection,
    over_tls,
    read_all,
    until,
)

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def renegotiating():
    """A function that makes a TLS 1.2 server which asks for a new handshake.

    It sends something, then responds to the client when ``go`` is opened and reads to the end.
    """
    def make(asked, go, received):
        def serve(tls):
            tls.recv(1)
            tls.renegotiate()
            tls.do_handshake()
            tls.send(b"meanwhile")
            asked.open()
            go.wait()
            received.append(read_all(tls))

        return over_tls(serve, version="1.2")

    return make


@pytest.mark.parametrize("size", [1, 10000, 65536, 65537, 1000000])
def test_write_goes_on_after_a_renegotiation(size, renegotiating, waiting):
    """A write that has to read first waits for it; nothing is lost in either direction."""
    asked, go, received = Gate(), Gate(), []
    with Server(renegotiating(asked, go, received)) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        asked.wait()
        assert connection.read(4, SOON) == b"mean"
        timer = threading.Timer(SHORT, go.open)
        timer.start()
        connection.write(b"y" * size, SOON)
        assert connection.read(100, SOON) == b"while"
        connection.close_timeout = SOON
        connection.close()
        timer.join()
    assert received == [b"y" * size]


@pytest.mark.parametrize("size", [1, 1000000])
def test_write_times_out_in_a_renegotiation_that_stalls(size, renegotiating):
    """A write that has to read first gives up in time, and the connection with it."""
    asked, go, received = Gate(), Gate(), []
    with Server(renegotiating(asked, go, received), ignore=GONE) as server:
        connection = open_connection(server.address)
        connection.write(b"x", SOON)
        asked.wait()
        until(lambda: connection.peek(100) is not None)
        with pytest.raises(Timeout):
            connection.write(b"y" * size, SHORT)
        with pytest.raises(ConnectionLost):
            connection.write(b"y", SOON)
        connection.close()
        go.open()


def test_a_response_of_tls_that_cannot_be_sent_goes_before_the_next_write(monkeypatch):
    """What TLS itself has to say is kept while the socket is full, and keeps its place."""
    received = []
    with Server(over_tls(lambda tls: received.append(read_all(tls)))) as server:
        connection = open_connection(server.address)
        assert connection.peek(10) is None
        for response, data in ((b"first", b"one"), (b"second", b"two")):
            sealed = bytes(bytearray(connection._engine.seal(response)))
            with monkeypatch.context() as patch:
                patch.setattr(_sockets, "try_send", lambda *args: 0)
                patch.setattr(connection._engine, "output", lambda: sealed)
                connection._send_unsent()
            connection.write(data, SOON)
        connection.close_timeout = SOON
        connection.close()
    assert received == [b"firstonesecondtwo"]


def test_write_after_a_response_of_tls_notices_the_end():
    """Where TLS has a write read first, and the peer has ended, the write says so."""
    with Server(over_tls(lambda tls: tls.shutdown()), ignore=GONE) as server:
        connection = open_connection(server.address)
        connection._must_read = True
        assert connection._waiting.wait_for([(connection._socket, False)], _sockets.Deadline(SOON))
        with pytest.raises(ConnectionLost) as caught:
            while True:
                connection._must_read = True
                connection.write(b"x", SOON)
        # The server closes with our bytes unread in it, which may make a reset of its goodbye.
        assert "ended the connection" in str(caught.value) or "was lost" in str(caught.value)
        connection.close()


def test_a_response_of_tls_that_fails_does_not_lose_what_was_read(monkeypatch):
    """If TLS cannot respond any more, what has arrived is read all the same."""
    def fail(*args):
        raise socket.error(errno.EPIPE, "Broken pipe")

    with Server(over_tls(lambda tls: tls.send(FRAME))) as server:
        connection = open_connection(server.address)
        connection._unsent = b"a response"
        with monkeypatch.context() as patch:
            patch.setattr(_sockets, "try_send", fail)
            assert connection.read(100, SOON) == FRAME
        with pytest.raises(ConnectionLost) as caught:
            connection.write(b"x", SOON)
        assert "Broken pipe" in str(caught.value)
        connection.close()


def test_a_response_of_tls_is_sent_with_the_next_read(monkeypatch):
    """Reading sends what TLS itself still has to say, too."""
    received = []

    def serve(tls):
        received.append(tls.recv(100))
        tls.send(b"response")
        discard(tls)

    with Server(over_tls(serve)) as server:
        connection = open_connection(server.address)
        assert connection.peek(10) is None
        connection._unsent = bytes(bytearray(connection._engine.seal(b"first")))
        assert connection.read(100, SOON) == b"response"
        connection.close()
    assert received == [b"first"]


def test_session_tickets_are_no_data():
    """TLS 1.3 tickets make the socket readable; a read still waits for data."""
    with Server(over_tls(discard, version="1.3")) as server:
        connection = open_connection(server.address)
        assert connection._waiting.wait_for([(connection._socket, False)], _sockets.Deadline(SOON))
        with pytest.raises(Timeout):
            connection.read(10, SHORT)
        assert connection.peek(10) is None
        assert not connection.closed()
        connection.close()


# Refusal of our certificate
