"""How connections come about, and the names of what goes wrong until then."""

import asyncio
import socket
import struct

import pytest

from aio_peers import ALERT, TOKEN, client_of, happens, until
from apnsclient.errors import ConnectError, ConnectTimeout, PeerVerificationError
from apnsclient.testing.certs import Authority
from apnsclient.testing.simulator import ProviderScript
from frame_peers import Peer, serve
from http2_support import headers
from stdio_support import LIMITS, SHORT, Server, hold, over_tls, server_context, wait_for_end
from test_proxy import Proxy, url

pytestmark = pytest.mark.anyio

#: What TLS is not.
PLAIN = b"HTTP/1.1 400 Bad Request\r\n\r\n"


def silent(accepted):
    """Say nothing."""
    wait_for_end(accepted)


def speak_http1(accepted):
    """Respond to TLS with plain text."""
    accepted.sendall(PLAIN)
    wait_for_end(accepted)


def reset_after_hello(accepted):
    """Read what begins the handshake, and reset the connection."""
    accepted.recv(65536)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_a_connect_has_its_time():
    """Where the peer says nothing in the handshake, and where it has no settings to send."""
    with Server(silent) as server:
        with pytest.raises(ConnectTimeout, match="not connected after %s s" % SHORT):
            await client_of(server, connect_timeout=SHORT)
    with serve(lambda peer: hold(peer.tls)) as server:
        for limit in LIMITS:
            with pytest.raises(ConnectTimeout) as caught:
                await client_of(server, connect_timeout=limit)
            if "no HTTP/2 settings within %s s" % limit in str(caught.value):
                break  # Otherwise the machine was too slow for the handshake.
        else:
            raise caught.value


async def test_peers_that_do_not_speak_tls_or_http2_are_named():
    """Without ALPN nobody knows what they speak; with another protocol neither."""
    with Server(speak_http1) as server:
        with pytest.raises(ConnectError):
            await client_of(server)
    with serve(lambda peer: hold(peer.tls), protocol=None) as server:
        with pytest.raises(ConnectError, match="does not speak HTTP/2"):
            await client_of(server)
    with serve(lambda peer: peer.say(PLAIN)) as server:
        with pytest.raises(ConnectError, match="does not let us speak HTTP/2"):
            await client_of(server)
    with serve(lambda peer: None) as server:
        with pytest.raises(ConnectError):
            await client_of(server)


async def test_a_connection_that_is_reset_in_the_handshake_is_none():
    """It never was a connection that could be lost."""
    with Server(reset_after_hello) as server:
        with pytest.raises(ConnectError, match="cannot connect to .*: Connection reset by peer"):
            await client_of(server)


async def test_the_server_is_verified(simulator):
    """Its authority, and its name; only a test switches that off."""
    other = Authority()
    with pytest.raises(PeerVerificationError):
        await client_of(simulator, ca_string=other.ca_string)
    async with client_of(simulator, ca_string=other.ca_string, verify=False) as client:
        assert await client.send_notification(TOKEN, ALERT)
    context = server_context(other.issue("elsewhere", dns=["elsewhere.test"], usage="server"),
                             asks_client=False)
    with Server(over_tls(hold, context), ignore=Exception) as server:
        with pytest.raises(PeerVerificationError, match="127.0.0.1"):
            await client_of(server, ca_string=other.ca_string)


async def test_a_proxy_leads_to_the_server(simulator):
    """For each connection a tunnel of its own; what it answers otherwise is in the error."""
    proxy = Proxy()
    with Server(proxy) as server:
        async with client_of(simulator, proxy=url(server, "user:secret@")) as client:
            assert await client.send_notification(TOKEN, ALERT)
            assert "secret" not in repr(client)
    request, = proxy.requests
    assert request.startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % simulator.provider_address[1])
    assert b"Proxy-Authorization: Basic" in request

    with Server(Proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "nowhere")) as server:
        with pytest.raises(ConnectError, match="407") as caught:
            await client_of(simulator, proxy=url(server, "user:secret@"))
    assert "secret" not in str(caught.value)


async def test_tls_sessions_are_resumed(simulator):
    """By the next connection of the same client: a third of the price."""
    async with client_of(simulator) as client:
        for number in range(3):
            await client.send_notification(TOKEN, ALERT)
            for link in client.pool.hub.links:
                link.is_retired = True
            client.pool.hub.schedule()
            await asyncio.sleep(0)
            assert simulator.resumed == number
        await happens(simulator, lambda: not simulator.open_provider_connections)

    assert simulator.provider_connections == 3


async def test_a_session_is_resumed_although_the_server_ended_the_connection(simulator):
    """Servers end most of them."""
    simulator.script_provider(ProviderScript(close_after=1), ProviderScript(reset_after=1, late=1))
    async with client_of(simulator) as client:
        for number in range(3):
            await client.send(TOKEN, ALERT)
            assert (simulator.provider_connections, simulator.resumed) == (number + 1, number)
            if number < 2:
                await until(lambda: not client.pool.hub.links)


async def test_a_client_is_ready_when_it_is_there(simulator):
    """Its first connection is open, and serves the first notification."""
    client = await client_of(simulator)
    assert (client.pool.state, simulator.provider_connections) == ("active", 1)
    await client.send_notification(TOKEN, ALERT)
    await client.close()
    assert (client.pool.state, simulator.provider_connections) == ("closed", 1)


async def test_a_session_that_a_server_does_not_know_is_no_obstacle():
    """Each connection has another server's key for tickets."""
    def take(accepted):
        context = server_context()
        context.set_alpn_select_callback(lambda tls, offered: b"h2")

        def respond(peer):
            peer.greet()
            peer.say(headers(peer.requests(1)[0]))

        over_tls(lambda tls: respond(Peer(tls)), context)(accepted)

    with Server(take, ignore=EOFError) as server:
        async with client_of(server) as client:
            for _ in range(3):
                await client.send_notification(TOKEN, ALERT)
                await until(lambda: not client.pool.hub.links)
        assert len(server.accepted) == 3
