"""What made an earlier client of this kind lose, duplicate or delay notifications, one by one.

Each of these goes from ``Session`` and ``APNs`` to a real TLS peer.
"""

from __future__ import absolute_import, division, print_function

import os
import socket
import struct
import threading
from binascii import unhexlify

import pytest

from apnsclient import APNs, Message, Session
from apnsclient.backends import stdio
from apnsclient.errors import ConnectError, ConnectTimeout, PeerVerificationError
from apnsclient.protocols.binary import NotificationParser
from apnsclient.protocols.feedback import encode_feedback
from apnsclient.testing.simulator import FeedbackScript, Script, Simulator
from net_support import (
    AUTHORITY,
    CLIENT,
    SILENCE,
    SOON,
    Backend,
    Server,
    await_accepted,
    await_closed,
    await_held,
    client_of,
    make_tokens,
    over_tls,
    tokens_of,
)
from stdio_support import GONE, read_all

pytestmark = pytest.mark.timeout(240)

TOKENS = make_tokens(6)
HELLO = Message(TOKENS, alert="hello")


def succeeded(result):
    """Return True if a result says that everything was delivered."""
    return (result.failed, result.errors, result.retry()) == ({}, [], None)


def finished_in_time(function, *arguments):
    """Run a function in a thread; return what it returned or raised, or None if it hangs."""
    outcome = []

    def run():
        try:
            outcome.append(function(*arguments))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.daemon = True
    thread.start()
    thread.join(SOON)
    return outcome[0] if outcome else None


class Test01TlsVersion(object):
    """TLS 1.2 or newer is spoken, and nothing older offered."""

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    def test_both_versions_in_use_are_spoken(self, new_session, version):
        """A certificate loads, and a server of either version takes a message."""
        received = []
        server = over_tls(lambda tls: received.append(read_all(tls)), version=version)
        with Server(server) as gateway:
            session = new_session(ca_string=AUTHORITY.ca_string, read_tail_timeout=SILENCE)
            client = APNs(session.new_connection(gateway.address, cert_string=CLIENT.pem))
            assert succeeded(client.send(HELLO))
        assert len(NotificationParser().feed(received[0])) == len(TOKENS)

    def test_nothing_older_is_offered(self, new_session):
        """The client's hello names TLS 1.2 and 1.3 alone."""
        hellos = []

        def listen(accepted):
            head = accepted.recv(5, socket.MSG_WAITALL)
            hellos.append(accepted.recv(struct.unpack(">H", head[3:])[0], socket.MSG_WAITALL))

        with Server(listen) as server:
            client = APNs(new_session().new_connection(server.address, cert_string=CLIENT.pem))
            with pytest.raises(ConnectError):
                client.send(HELLO)
        # supported_versions is the only extension 43; without it the version stands in bytes 4, 5.
        hello = bytearray(hellos[0])
        offered = _supported_versions(hello) or [(hello[4] << 8) + hello[5]]
        assert offered
        assert set(offered) <= {0x0303, 0x0304}


def _supported_versions(hello):
    """Return the versions in the extension 43 of a client's hello."""
    place = 4 + 2 + 32
    place += 1 + hello[place]
    place += 2 + (hello[place] << 8) + hello[place + 1]
    place += 1 + hello[place] + 2
    while place < len(hello):
        kind, size = struct.unpack(">HH", bytes(hello[place:place + 4]))
        if kind == 43:
            data = hello[place + 5:place + 4 + size]
            return [(data[i] << 8) + data[i + 1] for i in range(0, len(data), 2)]
        place += 4 + size
    return []


def test_02_key_file_reaches_the_loader(simulator, new_session, tmpdir):
    """Certificate and key may be in two files."""
    credential = simulator.authority.issue("two files")
    tmpdir.join("cert.pem").write(credential.certificate_string)
    tmpdir.join("key.pem").write(credential.key_string)
    client = client_of(new_session(read_tail_timeout=SILENCE), simulator, cert_string=None,
                       cert_file=str(tmpdir.join("cert.pem")),
                       key_file=str(tmpdir.join("key.pem")))
    assert succeeded(client.send(HELLO))
    await_accepted(simulator, len(TOKENS))


def test_03_the_default_addresses_are_known(simulator, new_session):
    """Without an address, connections lead to Apple's sandbox."""
    session = new_session()
    cert = simulator.cert_string
    for method in (session.get_connection, session.new_connection):
        assert method(cert_string=cert).address == ("api.sandbox.push.apple.com", 443)
    session = new_session(protocol="binary")
    assert session.get_connection(cert_string=cert).address == (
        "gateway.sandbox.push.apple.com", 2195)
    assert session.new_connection(cert_string=cert).address == (
        "feedback.sandbox.push.apple.com", 2196)


class Test04ConnectTimeout(object):
    """``connect_timeout`` bounds the TCP connect and the TLS handshake."""

    def test_the_handshake(self, simulator, new_session):
        """A host that accepts and then keeps silent does not block for minutes."""
        simulator.script(Script(stall_handshake=True))
        client = client_of(new_session(connect_timeout=0.3), simulator)
        assert isinstance(finished_in_time(client.send, HELLO), ConnectTimeout)

    @pytest.mark.skipif(not os.path.exists("/proc/sys/net"), reason="a full backlog refuses here")
    def test_the_tcp_connect(self, new_session):
        """A host that does not even accept does not either."""
        listener = socket.socket()
        waiting = [socket.socket() for _ in range(4)]
        try:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for each in waiting:
                # The queue holds one or two of them; then the kernel ignores who comes.
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            session = new_session(connect_timeout=0.3)
            client = APNs(session.get_connection(listener.getsockname(), cert_string=CLIENT.pem))
            assert isinstance(finished_in_time(client.send, HELLO), ConnectTimeout)
        finally:
            for each in waiting + [listener]:
                each.close()


class Test05Verification(object):
    """The server's chain and host name are verified, unless that is switched off."""

    @pytest.mark.parametrize("options", [{"ca_string": None}, {"ca_string": AUTHORITY.ca_string}],
                             ids=["the system's store", "another authority"])
    def test_a_chain_that_is_not_trusted(self, simulator, new_session, options):
        """Nothing is sent to a server whose certificate has another root."""
        with pytest.raises(PeerVerificationError):
            client_of(new_session(**options), simulator).send(HELLO)
        assert simulator.accepted_count == simulator.connections == 0

    def test_another_host_name(self, simulator, new_session, monkeypatch):
        """Nothing is sent to a server whose certificate is for another name."""
        resolve_to(monkeypatch, "gateway.test", [("127.0.0.1", simulator.gateway_address[1])])
        client = APNs(new_session().get_connection(
            ("gateway.test", simulator.gateway_address[1]), cert_string=simulator.cert_string))
        with pytest.raises(PeerVerificationError, match="not for this host"):
            client.send(HELLO)
        assert simulator.accepted_count == simulator.connections == 0

    def test_the_explicit_switch(self, simulator, new_session):
        """``verify=False`` is for test beds without certificates worth the name."""
        session = new_session(ca_string=None, verify=False, read_tail_timeout=SILENCE)
        assert succeeded(client_of(session, simulator).send(HELLO))
        await_accepted(simulator, len(TOKENS))


def resolve_to(monkeypatch, name, addresses):
    """Give a host name these addresses, and no other name any: ``(host, port)`` each."""

    def getaddrinfo(host, port, *ignored, **also_ignored):
        if host != name:
            raise socket.gaierror(socket.EAI_NONAME, "no name but %s is known here" % name)
        return [(socket.AF_INET6 if ":" in where[0] else socket.AF_INET, socket.SOCK_STREAM,
                 socket.IPPROTO_TCP, "", where) for where in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


class Test06Addresses(object):
    """IPv4 and IPv6, and every address of the host, are tried."""

    def test_a_later_address_that_accepts(self, simulator, new_session, monkeypatch):
        """One address that refuses does not matter where another one accepts."""
        port = simulator.gateway_address[1]
        resolve_to(monkeypatch, "localhost", [("127.0.0.3", port), ("127.0.0.2", port),
                                              ("127.0.0.1", port)])
        client = APNs(new_session(read_tail_timeout=SILENCE).get_connection(
            ("localhost", port), cert_string=simulator.cert_string))
        assert succeeded(client.send(HELLO))
        await_accepted(simulator, len(TOKENS))

    @pytest.mark.usefixtures("ipv6")
    def test_ipv6(self, new_session):
        """A host that has nothing but an IPv6 address is reached."""
        with Simulator(host="::1") as gateway:
            session = new_session(ca_string=gateway.ca_string, read_tail_timeout=SILENCE)
            assert succeeded(client_of(session, gateway).send(HELLO))
            await_accepted(gateway, len(TOKENS))


def test_07_identifiers_run_on_over_the_life_of_a_connection(simulator, new_session):
    """A late error frame of the previous message blames no token of the current one."""
    late = []
    simulator.script(Script(status_at={2: 8}, hold=True))
    session = new_session(read_tail_timeout=SILENCE, on_late_result=late.append)
    client = client_of(session, simulator)
    assert succeeded(client.send(HELLO))
    await_held(simulator)
    others = make_tokens(6, first=50)

    def current():
        yield Message(others, alert="current")
        simulator.release_held()

    assert [succeeded(result) for result in client.send_many(current())] == [True]
    assert [list(result.failed) for result in late] == [[TOKENS[1]]]
    assert tokens_of(late[0].retry()) == TOKENS[2:]
    # What the gateway threw away of the current message was sent again.
    await_accepted(simulator, 1 + len(others))
    assert simulator.accepted_tokens() == TOKENS[:1] + others


def test_08_a_write_that_fails_leaves_no_token_out(new_session):
    """Each token was accepted or is in the retry, that of the failed chunk's start too."""
    tokens = make_tokens(20000)
    with Simulator(receive_buffer=4096) as gateway:
        gateway.script(Script(reset_after=100))
        client = client_of(new_session(ca_string=gateway.ca_string, write_buffer_size=1), gateway)
        result = client.send(Message(tokens, alert="hello"))
        assert result.needs_retry()
        assert set(gateway.accepted_tokens() + result.retry().tokens) == set(tokens)


class Test09EndOfStream(object):
    """The end of the stream is not success."""

    @pytest.mark.parametrize("reset", [False, True])
    def test_a_pooled_connection_that_was_closed_while_idle_is_replaced(
            self, simulator, new_session, reset):
        """A message is never lost in a connection that the peer had closed before."""
        client = client_of(new_session(read_tail_timeout=SILENCE), simulator)
        assert succeeded(client.send(HELLO))
        await_accepted(simulator, len(TOKENS))
        assert simulator.disconnect_all(reset=reset) == 1
        assert succeeded(client.send(HELLO))
        await_accepted(simulator, 2 * len(TOKENS))
        assert simulator.connections == 2

    def test_a_connection_that_ends_without_a_status_leaves_all_in_the_retry(
            self, simulator, new_session):
        """What is not known to be delivered is to be sent again."""
        simulator.script(Script(close_after=len(TOKENS)))
        result = client_of(new_session(), simulator).send(HELLO)
        assert result.errors == [(None, "Unknown")]
        assert tokens_of(result.retry()) == TOKENS

    def test_a_back_end_that_cannot_detect_it_starts_over(self, simulator):
        """Where ``closed()`` cannot tell, the first failure of a pooled connection is none."""
        session = Session(pool=_Blind(ca_string=simulator.ca_string), read_tail_timeout=SILENCE)
        client = client_of(session, simulator)
        assert succeeded(client.send(HELLO))
        await_accepted(simulator, len(TOKENS))
        simulator.disconnect_all(reset=True)
        assert succeeded(client.send(HELLO))
        await_accepted(simulator, 2 * len(TOKENS))


class _BlindConnection(stdio.Connection):
    """A connection that notices nothing before it reads or writes."""

    def closed(self):
        return self._is_closed

    def peek(self, size):
        return None


class _Blind(Backend):
    can_detect_close = False
    connection_class = _BlindConnection


def test_10_a_token_that_is_not_hexadecimal_stops_nobody_else(simulator, new_session):
    """It is reported, before the batch and behind it everything is sent."""
    tokens = TOKENS[:3] + ["not hexadecimal!"] + TOKENS[3:]
    result = client_of(new_session(read_tail_timeout=SILENCE), simulator).send(
        Message(tokens, alert="hello"))
    assert list(result.failed) == ["not hexadecimal!"]
    assert result.failed["not hexadecimal!"][0] == 8
    assert not result.needs_retry()
    await_accepted(simulator, len(TOKENS))
    assert simulator.accepted_tokens() == TOKENS


class _Counting(stdio.Connection):
    """A connection that counts how often it is waited on."""

    waits = 0

    def read(self, size, timeout):
        self.waits += 1
        return super(_Counting, self).read(size, timeout)


def test_11_a_batch_of_messages_pays_the_tail_wait_once(simulator):
    """Ten messages wait for silence once, not ten times."""
    backend = Backend(ca_string=simulator.ca_string)
    backend.connection_class = _Counting
    client = client_of(Session(pool=backend, read_tail_timeout=SILENCE), simulator)
    messages = [Message([token], alert="hello") for token in make_tokens(10)]
    assert all(succeeded(result) for result in client.send_many(messages))
    assert [connection.waits for connection in backend.made] in ([0], [1])
    await_accepted(simulator, 10)


def test_12_a_forked_child_uses_and_touches_nothing_it_inherited(
        simulator, new_session, in_forked_child):
    """Parent and child have connections of their own; the parent's stays open throughout."""
    client = client_of(new_session(read_tail_timeout=SILENCE), simulator)
    assert succeeded(client.send(Message(TOKENS[:2], alert="before")))

    def child():
        assert succeeded(client.send(Message(TOKENS[2:4], alert="child")))

    in_forked_child(child)
    assert succeeded(client.send(Message(TOKENS[4:], alert="after")))
    await_accepted(simulator, len(TOKENS))
    assert [(one.connection, one.token) for one in simulator.accepted] == list(
        zip([1, 1, 2, 2, 1, 1], TOKENS))


def test_13_an_abandoned_feedback_generator_keeps_nothing(new_session):
    """Its connection is closed, and whatever else uses the session goes on."""
    ended = threading.Event()

    def pour(tls):
        try:
            while True:
                tls.sendall(encode_feedback(1400000000, unhexlify(TOKENS[0])) * 50)
        except GONE:
            ended.set()

    with Server(over_tls(pour)) as server:
        session = new_session(ca_string=AUTHORITY.ca_string)
        client = APNs(session.get_connection(server.address, cert_string=CLIENT.pem))
        rows = client.feedback()
        next(rows)
        rows.close()
        assert ended.wait(SOON)
        assert next(client.feedback())[0] == TOKENS[0].encode("ascii")


def test_14_peek_tells_nothing_yet_from_the_end(simulator, new_session):
    """None is "nothing yet", empty bytes are the end of the stream."""
    backend = Backend(ca_string=simulator.ca_string)
    certificate = backend.get_certificate({"cert_string": simulator.cert_string})
    connection = backend.get_new_connection(simulator.gateway_address, certificate, SOON)
    assert connection.peek(64) is None
    assert not connection.closed()
    assert simulator.wait_for(lambda: simulator.connections == 1, SOON)
    simulator.disconnect_all()
    assert connection.read(64, SOON) is None
    assert connection.peek(64) == b""
    assert connection.closed()
    connection.close()


class _Lock(object):
    """A lock that notes when it is released by somebody who does not have it."""

    def __init__(self, errors):
        self._lock = threading.Lock()
        self._owner = None
        self._errors = errors

    def __enter__(self):
        self._lock.acquire()
        self._owner = threading.current_thread()

    def __exit__(self, *exception):
        if self._owner is not threading.current_thread():
            self._errors.append("released by another thread")
        self._owner = None
        try:
            self._lock.release()
        except Exception as error:
            self._errors.append(error)

    acquire, release = __enter__, __exit__


def test_15_locks_are_released_by_their_owners_and_held_by_nobody_else(simulator):
    """A connect that fails leaves the pool usable, for this thread and for others."""
    errors = []

    class Locking(Backend):
        def create_lock(self):
            return _Lock(errors)

    backend = Locking(ca_string=simulator.ca_string)
    session = Session(pool=backend, read_tail_timeout=SILENCE)
    client = client_of(session, simulator)
    simulator.script(*[Script(refuse=True)] * 5)
    outcomes = [finished_in_time(client.send, HELLO) for _ in range(5)]
    assert all(isinstance(outcome, ConnectError) for outcome in outcomes)
    results = []
    threads = [threading.Thread(target=lambda: results.append(succeeded(client.send(HELLO))))
               for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert results == [True] * 5
    assert finished_in_time(session.shutdown) is None
    await_closed(simulator)
    assert errors == []


class Test16Closing(object):
    """A connection that is closed right after the last write has delivered it."""

    def test_unread_session_tickets_do_not_reset_the_connection(self, new_session):
        """What was written arrives although the server's tickets had not been read."""
        has_tickets, is_closed, is_read = [threading.Event() for _ in range(3)]
        received = []

        def read_late(tls):
            # The handshake is complete here: the tickets of TLS 1.3 are on their way.
            has_tickets.set()
            is_closed.wait(SOON)
            received.append(read_all(tls))
            is_read.set()

        backend = Backend(ca_string=AUTHORITY.ca_string)
        certificate = backend.get_certificate({"cert_string": CLIENT.pem})
        with Server(over_tls(read_late)) as server:
            connection = backend.get_new_connection(server.address, certificate, SOON)
            assert has_tickets.wait(SOON)
            # More than the server's kernel takes: the end of it is still in this one's buffer.
            connection.write(b"x" * 300000, SOON)
            connection.close()
            is_closed.set()
            assert is_read.wait(SOON)
        assert [len(data) for data in received] == [300000]
        assert received == [b"x" * 300000]

    def test_messages_over_short_connections_all_arrive(self, simulator, new_session):
        """Ten messages over ten connections without any wait are ten messages."""
        session = new_session(read_tail_timeout=0)
        client = APNs(session.new_connection(simulator.gateway_address,
                                             cert_string=simulator.cert_string))
        for token in make_tokens(10):
            assert succeeded(client.send(Message([token], alert="hello")))
        await_accepted(simulator, 10)
        assert sorted(simulator.accepted_tokens()) == make_tokens(10)

    @pytest.mark.parametrize("tls_1_3", [False, True])
    def test_sessions_are_resumed(self, new_session, tls_1_3):
        """The second handshake with a server is a resumed one."""
        with Simulator(tls_1_3=tls_1_3) as gateway:
            session = new_session(ca_string=gateway.ca_string, read_tail_timeout=0)
            client = APNs(session.new_connection(gateway.gateway_address,
                                                 cert_string=gateway.cert_string))
            for _ in range(3):
                client.send(HELLO)
            assert gateway.wait_for(lambda: gateway.connections == 3, SOON)
            assert gateway.resumed == 2


def test_a_stream_that_was_cut_is_not_read_for_ever(simulator, new_session):
    """A feedback service that sends nothing more is given up after ``read_timeout``."""
    simulator.devices.uninstall(TOKENS[0], 1400000000)
    simulator.script_feedback(FeedbackScript(stall_after=10))
    client = APNs(new_session(read_timeout=SILENCE).new_connection(
        simulator.feedback_address, cert_string=simulator.cert_string))
    assert finished_in_time(list, client.feedback()) == []
