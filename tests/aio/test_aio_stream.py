"""TLS over a transport: whatever pieces the bytes come in, and whenever it ends.

Most tests are in memory: a real TLS server, and a transport that hands on what the test says.
"""

import asyncio
import gc
import socket

import pytest
from OpenSSL import SSL

from aio_peers import started, until
from apnsclient.aio import _connect, _stream
from apnsclient.aio._stream import Endpoint, Listener, TlsStream, within
from apnsclient.backends._proxy import Proxy
from apnsclient.backends._tls import Trust
from apnsclient.backends._tls_certificate import TlsCertificate
from apnsclient.errors import ConnectError, ConnectTimeout, PeerVerificationError
from apnsclient.testing.certs import Authority
from stdio_support import AUTHORITY, CLIENT, SOON, Gate, Server, hold, over_tls, server_context

pytestmark = pytest.mark.anyio

GREETING = b"G" * 100
#: More than one TLS record, and than what is encrypted together.
LARGE = bytes(range(256)) * 1000
STRANGER = Authority("stranger")
WAYS = [("1.2", False), ("1.3", False), ("1.3", True)]


class Ear(Listener):
    """Writes down what it is told."""

    def __init__(self):
        self.data = b""
        self.ends = []
        self.resumptions = 0

    def received(self, data):
        assert data and not self.ends
        self.data += data

    def lost(self, error):
        self.ends.append(error)

    def resumed(self):
        self.resumptions += 1


class Wire(asyncio.Transport):
    """A transport that keeps what is written until the test takes it."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.is_aborted = self.is_closed = self.has_ended = False

    def write(self, data):
        if self.has_ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        self.written += data

    def take(self):
        data, self.written = self.written, b""
        return data

    def set_write_buffer_limits(self, high=None, low=None):
        assert high

    def is_closing(self):
        return self.is_closed

    def close(self):
        self.is_closed = True

    def abort(self):
        self.is_closed = self.is_aborted = True

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.has_ended = True


class Peer:
    """The server in memory, behind a proxy if it has to open a tunnel first."""

    def __init__(self, version, is_behind_proxy):
        context = server_context(version=version)
        context.set_alpn_select_callback(lambda tls, protocols: b"h2")
        self.tls = SSL.Connection(context, None)
        self.tls.set_accept_state()
        self.received = b""
        self._is_open = False
        self._request = b"" if is_behind_proxy else None

    def feed(self, data):
        """Take bytes of the client, and return what is sent to it."""
        if self._request is not None:
            self._request += data
            if b"\r\n\r\n" not in self._request:
                return b""
            self._request = None
            return b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 Fine\r\nA: b\r\n\r\n"
        if data:
            self.tls.bio_write(data)
        try:
            if not self._is_open:
                self.tls.do_handshake()
                self._is_open = True
                self.tls.sendall(GREETING)
            while True:
                self.received += self.tls.recv(65536)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            pass
        return self.output()

    def output(self):
        try:
            return self.tls.bio_read(1 << 24)
        except SSL.WantReadError:
            return b""


class Meeting:
    """A stream, its transport, its listener, and the peer."""

    def __init__(self, version="1.3", is_behind_proxy=False, authority=AUTHORITY.ca_string):
        self.ear, self.wire = Ear(), Wire()
        self.peer = Peer(version, is_behind_proxy)
        self.endpoint = Endpoint(
            ("127.0.0.1", 443), TlsCertificate(cert_string=CLIENT.pem), Trust(None, authority),
            Proxy("http://proxy:3128") if is_behind_proxy else None)
        self.stream = TlsStream(self.endpoint, self.ear)
        self.made = 0

    def begin(self):
        self.stream.connection_made(self.wire)

    def exchange(self, size=65536, most=None):
        """Hand on bytes in pieces, until nothing more comes, or so many went to the client."""
        while not self.wire.is_closed:
            data = self.peer.feed(self.wire.take())
            if not data and not self.wire.written:
                return
            for start in range(0, len(data), size):
                if most is not None and self.made >= most or self.wire.is_closed:
                    return
                piece = data[start:start + size]
                if most is not None:
                    piece = piece[:most - self.made]
                self.made += len(piece)
                self.stream.data_received(piece)

    def end(self):
        """What the loop does when the transport has ended."""
        self.stream.abort()
        self.stream.connection_lost(None)


def handshake_size(version, is_behind_proxy):
    """Return how many bytes go to the client until the peer is greeted."""
    meeting = Meeting(version, is_behind_proxy)
    meeting.begin()
    meeting.exchange()
    meeting.end()
    return meeting.made


# Pieces.


async def test_bytes_may_come_in_any_pieces():
    """Records are cut anywhere, and what comes before the start is not lost."""
    for version, is_behind_proxy in WAYS:
        for size in (1, 2, 3, 5, 7, 1000, 65536):
            meeting = Meeting(version, is_behind_proxy)
            stream, ear = meeting.stream, meeting.ear
            meeting.begin()
            meeting.exchange(size)
            assert ear.data == b""
            stream.start()
            assert ear.data == GREETING

            stream.write(LARGE)
            meeting.exchange(size)
            meeting.peer.tls.sendall(LARGE[:3000])
            meeting.exchange(size)
            assert meeting.peer.received == LARGE
            assert (ear.data, ear.ends) == (GREETING + LARGE[:3000], [])
            meeting.end()


async def test_a_stream_may_end_after_each_byte(caplog):
    """Its listener is told once, and nothing that comes later."""
    for version, is_behind_proxy in WAYS:
        size = handshake_size(version, is_behind_proxy)
        for most in list(range(0, size, 61)) + [size - 1]:
            meeting = Meeting(version, is_behind_proxy)
            meeting.begin()
            meeting.exchange(1000, most)
            assert meeting.stream.eof_received() is False
            meeting.stream.data_received(b"x" * 100)
            meeting.stream.eof_received()
            meeting.stream.connection_lost(None)
            assert meeting.wire.is_closed and not meeting.stream.is_writable
            meeting.stream.start()
            assert len(meeting.ear.ends) == 1, most
            meeting.stream.write(b"too late")
            meeting.stream.connection_lost(OSError(104, "reset"))
            meeting.end()
            assert len(meeting.ear.ends) == 1
    gc.collect()
    assert not caplog.records


async def test_a_stream_may_be_given_up_after_each_byte(caplog):
    """Nobody is told anything then, and nothing is left that somebody would have to look at."""
    for leave in (TlsStream.abort, TlsStream.close):
        for most in list(range(0, handshake_size("1.3", True), 97)):
            meeting = Meeting("1.3", True)
            meeting.begin()
            meeting.exchange(1000, most)
            leave(meeting.stream)
            meeting.stream.data_received(b"x" * 100)
            meeting.stream.start()
            meeting.stream.resume_writing()
            meeting.stream.eof_received()
            meeting.end()
            assert (meeting.ear.data, meeting.ear.ends, meeting.ear.resumptions) == (b"", [], 0)
            assert await meeting.stream.close() is None
    del meeting
    gc.collect()
    await asyncio.sleep(0)
    assert not caplog.records


async def test_a_connection_that_comes_after_its_caller_has_left():
    """It is closed, and nothing is sent."""
    for leave in (TlsStream.abort, TlsStream.close):
        meeting = Meeting()
        leave(meeting.stream)
        meeting.begin()
        assert meeting.wire.is_aborted and not meeting.wire.written
        meeting.stream.connection_lost(None)
        meeting.end()


async def test_a_connection_that_nobody_has_any_more():
    """The listener is gone: the transport is not kept for it."""
    meeting = Meeting()
    meeting.begin()
    meeting.exchange()
    meeting.stream.start()
    del meeting.ear
    gc.collect()
    meeting.stream.data_received(b"")
    await until(lambda: meeting.wire.is_aborted)
    meeting.end()

    late = Meeting()
    del late.ear
    gc.collect()
    late.begin()
    assert late.wire.is_aborted and not late.wire.written
    late.end()


# What TLS has to say.


async def test_a_server_that_does_not_verify_is_sent_nothing():
    """But an alert; the listener gets the reason."""
    meeting = Meeting(authority=STRANGER.ca_string)
    meeting.begin()
    meeting.exchange()
    with pytest.raises(SSL.Error, match="alert"):
        meeting.peer.feed(meeting.wire.take())
    meeting.stream.start()
    error, = meeting.ear.ends
    assert isinstance(error, PeerVerificationError)
    meeting.end()


async def test_a_new_handshake_within_the_connection():
    """TLS 1.2 may ask for one, and TLS 1.3 for new keys: what is to be said to that is said."""
    meeting = Meeting("1.2")
    meeting.begin()
    meeting.exchange()
    meeting.stream.start()
    assert meeting.peer.tls.renegotiate()
    meeting.peer.tls.do_handshake()
    meeting.exchange()
    assert meeting.peer.tls.total_renegotiations() == 1
    meeting.stream.write(b"after it")
    meeting.exchange()
    assert meeting.peer.received == b"after it" and not meeting.ear.ends
    meeting.end()


async def test_nothing_is_written_behind_the_end():
    """Whatever the server asks for after we have said that we end."""
    meeting = Meeting("1.2")
    meeting.begin()
    meeting.exchange()
    meeting.stream.start()
    meeting.peer.tls.renegotiate()
    meeting.peer.tls.do_handshake()
    asked = meeting.peer.output()
    closed = meeting.stream.close()
    assert meeting.wire.has_ended and not meeting.wire.is_aborted
    meeting.stream.data_received(asked)
    assert meeting.stream.close() is closed and not closed.done()
    meeting.stream.connection_lost(None)
    assert closed.done() and not meeting.ear.ends


async def test_garbage_ends_the_stream():
    """During the handshake, and later; what came before it is handed on."""
    meeting = Meeting()
    meeting.begin()
    meeting.stream.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    meeting.stream.start()
    assert isinstance(meeting.ear.ends[0], ConnectError)
    meeting.end()

    meeting = Meeting()
    meeting.begin()
    meeting.exchange()
    meeting.stream.start()
    meeting.peer.tls.sendall(b"news")
    meeting.stream.data_received(meeting.peer.output() + b"garbage, and no record of TLS")
    assert meeting.ear.data == GREETING + b"news" and len(meeting.ear.ends) == 1
    assert meeting.wire.is_closed and not meeting.stream.is_writable
    meeting.end()


async def test_an_orderly_end_comes_after_the_data():
    """Also where both come before the start."""
    for is_early in (False, True):
        meeting = Meeting()
        meeting.begin()
        meeting.exchange()
        if not is_early:
            meeting.stream.start()
        meeting.peer.tls.sendall(b"last words")
        meeting.peer.tls.shutdown()
        meeting.stream.data_received(meeting.peer.output())
        assert meeting.wire.is_closed
        if is_early:
            meeting.stream.start()
        assert meeting.ear.data == GREETING + b"last words"
        assert [str(error) for error in meeting.ear.ends] == ["the server ended the connection"]
        meeting.end()


async def test_a_listener_may_close_the_stream_while_it_is_told():
    """It hears nothing more."""
    meeting = Meeting()

    class Leaver(Ear):
        def received(self, data):
            super().received(data)
            meeting.stream.close()

    meeting.ear = Leaver()
    meeting.stream = TlsStream(meeting.endpoint, meeting.ear)
    meeting.begin()
    meeting.exchange()
    meeting.peer.tls.shutdown()
    meeting.stream.data_received(meeting.peer.output())
    meeting.stream.start()
    assert (meeting.ear.data, meeting.ear.ends) == (GREETING, [])
    meeting.end()


# Back pressure.


async def test_a_full_transport_stops_what_is_started():
    """The listener is told when there is room again, if it has begun and has not ended."""
    meeting = Meeting()
    stream, ear = meeting.stream, meeting.ear
    meeting.begin()
    stream.pause_writing()
    assert not stream.is_writable
    stream.resume_writing()
    assert stream.is_writable and not ear.resumptions
    meeting.exchange()
    stream.start()
    stream.pause_writing()
    stream.resume_writing()
    assert stream.is_writable and ear.resumptions == 1
    stream.pause_writing()
    stream.eof_received()
    stream.resume_writing()
    assert not stream.is_writable and ear.resumptions == 1
    meeting.end()


# Real connections.


def endpoint_of(address):
    return Endpoint(address, TlsCertificate(cert_string=CLIENT.pem),
                    Trust(None, AUTHORITY.ca_string))


def greet(tls):
    tls.sendall(GREETING)
    hold(tls)


def h2_context():
    context = server_context()
    context.set_alpn_select_callback(lambda tls, protocols: b"h2")
    return context


def found(*addresses):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]


async def test_the_next_address_is_tried(monkeypatch):
    """At once where one fails, and after a moment where one is silent; the others are closed."""
    with socket.socket() as silent, socket.socket() as filler, Server(hold) as server:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        filler.connect(silent.getsockname())
        refusing, before = ("127.0.0.2", server.address[1]), asyncio.all_tasks()
        for others in ([], [refusing], [refusing] * 3, [silent.getsockname(), refusing]):
            is_silent = silent.getsockname() in others
            monkeypatch.setattr(_connect, "_DELAY", 0.01 if is_silent else SOON)
            with await _connect.connect(found(*others + [server.address])) as connected:
                assert connected.getpeername() == server.address
            await until(lambda: len(asyncio.all_tasks()) == len(before))


async def test_no_address_responds():
    """The error names each."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OSError) as caught:
            await _connect.connect(found(("127.0.0.2", port), ("127.0.0.3", port)))
        assert str(caught.value) == ("127.0.0.2:%d: Connection refused; "
                                     "127.0.0.3:%d: Connection refused" % (port, port))
        with pytest.raises(ConnectError, match="to 127.0.0.1:%d: Connection refused" % port):
            await TlsStream.open(endpoint_of(("127.0.0.1", port)), Ear(), SOON)


async def test_families_take_turns(monkeypatch):
    """A network without one of the two takes no longer than the first attempt."""
    six, four = (socket.AF_INET6, 1, 6, "", "six"), (socket.AF_INET, 1, 6, "", "four")
    monkeypatch.setattr(socket, "getaddrinfo",
                        lambda *args, **options: [six, six, six, four, four])
    assert await _connect.look_up("host", 1) == [six, four, six, four, six]


async def test_a_name_that_nobody_knows():
    """The error says that it is the name."""
    for name in ("no-such-host.invalid", "x" * 70 + ".invalid", "a..b"):
        with pytest.raises(ConnectError, match="cannot (look up the host of|connect to)"):
            await TlsStream.open(endpoint_of((name, 443)), Ear(), SOON)


async def test_a_caller_may_leave_at_any_moment(caplog):
    """After each round of the loop: nothing is left open, and nothing is complained about."""
    with Server(over_tls(greet, h2_context()), ignore=(SSL.Error, OSError)) as server:
        endpoint = endpoint_of(server.address)
        for rounds in range(40):
            ear = Ear()
            opening = asyncio.ensure_future(TlsStream.open(endpoint, ear, SOON))
            for _ in range(rounds):
                await asyncio.sleep(0)
            if opening.done():
                await opening.result().close()
                break
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            assert not ear.ends
        # Let the loop find out about the last ones.
        ear = Ear()
        stream = await TlsStream.open(endpoint, ear, SOON)
        await stream.close()
    del opening, stream
    gc.collect()
    await asyncio.sleep(0)
    assert not caplog.records


async def test_a_peer_that_does_not_end_is_not_waited_for(monkeypatch):
    """The connection is cut after a while."""
    monkeypatch.setattr(_stream, "_LONGEST_CLOSE", 0.02)
    gate = Gate()

    def stay(tls):
        gate.wait()

    with Server(over_tls(stay, h2_context())) as server:
        ear = Ear()
        stream = await TlsStream.open(endpoint_of(server.address), ear, SOON)
        stream.start()
        await asyncio.wait_for(stream.close(), SOON)
        assert not ear.ends
        gate.open()


async def test_a_server_without_http2():
    """It did not agree to it with ALPN."""
    with Server(over_tls(hold, server_context())) as server:
        with pytest.raises(ConnectError, match="does not speak HTTP/2"):
            await TlsStream.open(endpoint_of(server.address), Ear(), SOON)


async def test_how_far_it_came_is_in_the_error():
    """TCP, but no TLS; and not even that, where nobody takes the connection any more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        with pytest.raises(ConnectTimeout, match="did not complete the TLS handshake"):
            await TlsStream.open(endpoint_of(listener.getsockname()), Ear(), 0.05)


# Time.


async def test_a_step_is_bounded_in_time():
    """Its result counts, or its exception, or that it is late."""
    async def step(error=None):
        if error is not None:
            raise error
        await asyncio.sleep(0)

    for timeout in (None, SOON):
        assert await within(timeout, step(), KeyError) is None
        with pytest.raises(ZeroDivisionError):
            await within(timeout, step(ZeroDivisionError()), KeyError)
    with pytest.raises(KeyError):
        await within(0.001, asyncio.get_running_loop().create_future(), KeyError)


async def test_a_cancellation_counts_more_than_the_time():
    """Where both come at once, the caller who has left is not told of a timeout."""
    async def hang():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            waiting.cancel()

    waiting, = await started(within(0.001, hang(), KeyError))
    with pytest.raises(asyncio.CancelledError):
        await waiting
