"""Connecting over real sockets: deadlines, and hosts of many addresses.

When each address is tried is in ``test_connect_race.py``.
"""

from __future__ import absolute_import, division, print_function

import socket
import threading

import pytest
from OpenSSL import SSL

from apnsclient._compat import monotonic
from apnsclient.backends import _connect, _sockets
from apnsclient.errors import (
    ConnectError,
    ConnectTimeout,
    PeerVerificationError,
    Timeout,
)
from stdio_support import (
    AUTHORITY,
    CLIENT,
    GONE,
    SHORT,
    SOON,
    TICK,
    Server,
    discard,
    fails,
    new_backend,
    open_connection,
    over_tls,
    reset,
    server_context,
    times_out,
    until,
    wait_for_end,
)

pytestmark = pytest.mark.timeout(240)

HOST = ("gateway.test", 2195)


@pytest.fixture
def named_server():
    """Options of a server whose certificate is for HOST."""
    return {"credential": AUTHORITY.issue("gateway", dns=["gateway.test"], usage="server")}


@pytest.fixture
def silent():
    """Address of a host that accepts no TCP connection: a listener whose queue is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(5):
        filler = _sockets.SystemSocket(socket.AF_INET, socket.SOCK_STREAM, 0)
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    yield listener.getsockname()
    for one in fillers + [listener]:
        one.close()


@pytest.fixture
def refused():
    """Address of a port that nobody listens on."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    yield bound.getsockname()
    bound.close()


def test_silent_host_ends_in_a_timeout(silent, descriptors):
    """A host that does not respond costs the timeout, not minutes."""
    begin = monotonic()
    message = fails(ConnectTimeout, silent, timeout=SHORT)
    assert SHORT - TICK <= monotonic() - begin < SOON
    assert "127.0.0.1:%d" % silent[1] in message and "no response" in message
    assert "%s s" % SHORT in message


def test_host_that_stalls_in_the_handshake_ends_in_a_timeout(descriptors):
    """The handshake is part of the time."""
    with Server(wait_for_end, ignore=GONE) as server:
        begin = monotonic()
        times_out("did not complete the TLS handshake", server.address)
        assert monotonic() - begin < SOON


def test_timeout_is_a_timeout_and_a_connect_error():
    """Callers may catch it as either."""
    with Server(wait_for_end, ignore=GONE) as server:
        with pytest.raises(Timeout):
            open_connection(server.address, timeout=0)
        with pytest.raises(socket.timeout):
            open_connection(server.address, timeout=SHORT)
        with pytest.raises(IOError):
            open_connection(server.address, timeout=SHORT)


def test_handshake_that_comes_one_byte_at_a_time_ends_in_a_timeout(descriptors):
    """Progress of a byte now and then does not stretch the time."""
    stop = threading.Event()

    def serve(accepted):
        tls = SSL.Connection(server_context(), None)
        tls.set_accept_state()
        tls.bio_write(accepted.recv(65536))
        with pytest.raises(SSL.WantReadError):
            tls.do_handshake()
        data = tls.bio_read(65536)
        for index in range(len(data)):
            accepted.sendall(data[index:index + 1])
            stop.wait(0.05)

    with Server(serve, ignore=GONE) as server:
        begin = monotonic()
        fails(ConnectTimeout, server.address, timeout=SHORT)
        assert monotonic() - begin < SOON
        stop.set()


def test_no_timeout_waits():
    """None sets no limit."""
    with Server(over_tls(discard)) as server:
        open_connection(server.address, timeout=None).close()


# Many addresses


def test_refused_address_makes_room_at_once(addresses, refused, named_server, descriptors):
    """A refused connect is not waited for; the next address is used."""
    with Server(over_tls(discard, **named_server)) as server:
        addresses.add(refused, server.address)
        open_connection(HOST).close()


def test_silent_address_does_not_eat_the_time(addresses, silent, named_server, descriptors):
    """Another address is tried beside the one that keeps silent."""
    with Server(over_tls(discard, **named_server)) as server:
        addresses.add(silent, silent[:1] + (silent[1],), server.address)
        connection = open_connection(HOST)
        assert connection._socket.getpeername() == server.address
        connection.close()


def test_address_that_stalls_in_the_handshake_gives_way(addresses, named_server, descriptors,
                                                        monkeypatch):
    """After some patience the next address is tried, within the same time."""
    monkeypatch.setattr(_connect, "HANDSHAKE_DELAY", SHORT)
    with Server(wait_for_end, ignore=GONE) as stalling:
        with Server(over_tls(discard, **named_server)) as server:
            addresses.add(stalling.address, server.address)
            connection = open_connection(HOST)
            assert connection._socket.getpeername() == server.address
            connection.close()
            until(lambda: len(stalling.accepted) == 1)


@pytest.mark.parametrize("serve", [reset, lambda accepted: accepted.recv(1)],
                         ids=["reset", "closed"])
def test_address_that_hangs_up_in_the_handshake_gives_way(addresses, named_server, serve,
                                                          descriptors):
    """Where TCP fails during the handshake, the next address is used."""
    with Server(serve, ignore=GONE) as rude, Server(over_tls(discard, **named_server)) as server:
        addresses.add(rude.address, server.address)
        connection = open_connection(HOST)
        assert connection._socket.getpeername() == server.address
        connection.close()


def test_wrong_certificate_is_final(addresses, named_server, descriptors):
    """A server that is not trusted ends the attempt; no other address is asked."""
    with Server(over_tls(discard), ignore=GONE) as wrong:
        with Server(over_tls(discard, **named_server)) as server:
            addresses.add(wrong.address, server.address)
            fails(PeerVerificationError, HOST)
            assert not server.accepted


def test_all_failures_are_in_the_message(addresses, refused, descriptors):
    """When no address can be had, each says why."""
    with Server(lambda accepted: accepted.recv(65536)) as rude:
        addresses.add(refused, rude.address, ("::1", refused[1]))
        message = fails(ConnectError, HOST)
        assert "gateway.test:2195" in message
        assert "127.0.0.1: Connection refused" in message
        assert "hung up during the TLS handshake" in message
        assert "::1: " in message


def test_an_address_that_was_given_is_named_once(refused, silent, descriptors):
    """It is the host's name and its address as well."""
    for message, text in ((fails(ConnectError, refused), "Connection refused"),
                          (fails(ConnectTimeout, silent, timeout=SHORT), "no response")):
        assert message.count("127.0.0.1") == 1 and message.endswith(": " + text), message


def test_host_without_addresses_is_an_error(addresses):
    """A resolver that finds nothing causes an error."""
    assert "no address" in fails(ConnectError, HOST)


def test_families_take_turns():
    """Addresses of IPv6 and IPv4 alternate, beginning with the system's first; none comes twice."""
    six_, four = socket.AF_INET6, socket.AF_INET
    found = [(six_, 1, 6, "", ("::%d" % n, 1, 0, 0)) for n in (1, 2, 3, 3)]
    found += [(four, 1, 6, "", ("127.0.0.%d" % n, 1)) for n in (1, 2)]
    assert [one[3][0] for one in _connect.look_up(
        ("x", 1), lambda: found, _sockets.Deadline(SOON))] == [
        "::1", "127.0.0.1", "::2", "127.0.0.2", "::3"]


@pytest.mark.usefixtures("ipv6")
def test_ipv6_works():
    """A host with an address of version 6 is connected to, and verified by that address."""
    with Server(over_tls(discard), host="::1", family=socket.AF_INET6) as server:
        open_connection(server.address).close()


@pytest.mark.parametrize("host", [
    "nowhere.invalid", "a" * 70 + ".invalid", u"\u2603" * 70, "fe80::1%nowhere"])
def test_failed_lookup_is_a_connect_error(host):
    """A name that cannot be looked up is named in the error, whether it was waited for or not."""
    for connect in open_connection, _attempt_to_connect:
        with pytest.raises(ConnectError) as caught:
            connect((host, 2195))
        assert "cannot look up" in str(caught.value)


def _attempt_to_connect(address):
    """Open a connection as a further one is opened."""
    backend = new_backend()
    certificate = backend.get_certificate({"cert_string": CLIENT.pem})
    waker = backend.create_waker()
    attempt = backend.start_connecting(address, certificate, SOON)
    while attempt.advance() is None:
        backend.wait([attempt], SOON, waker)


def test_descriptors_running_out_is_a_connect_error(monkeypatch, refused):
    """An error of the system while making a socket is reported like any other."""
    def no_socket(*args):
        raise socket.error(24, "Too many open files")
    monkeypatch.setattr(_sockets, "open_socket", no_socket)
    assert "Too many open files" in fails(ConnectError, refused)


def test_interrupt_leaves_no_descriptor(silent, descriptors, monkeypatch):
    """An exception from outside closes what was under way."""
    def interrupt(*args):
        raise KeyboardInterrupt()
    monkeypatch.setattr(_sockets, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_connection(silent)


def test_socket_whose_options_fail_is_closed(descriptors, monkeypatch):
    """A socket that cannot be set up does not leak; options that the system lacks are left out."""
    monkeypatch.setattr(_sockets, "_options", lambda: [(socket.IPPROTO_TCP, 9999, 1)])
    _sockets.open_socket(socket.AF_INET, socket.SOCK_STREAM, 0).close()
    monkeypatch.setattr(_sockets, "_options", lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        _sockets.open_socket(socket.AF_INET, socket.SOCK_STREAM, 0)
