"""Idle connections: each is pinged before it is used again, and replaced if it is dead."""

import asyncio

import pytest

from aio_peers import ALERT, TOKEN, client_of, failure_of, in_thread, started
from apnsclient.aio.errors import Kind, Timeout
from apnsclient.protocols.http2 import frames
from apnsclient.sending import spreading
from apnsclient.testing.simulator import ProviderScript
from frame_peers import accept, serve
from stdio_support import SOON, Gate

pytestmark = pytest.mark.anyio


async def test_an_idle_connection_is_pinged_before_it_is_used():
    """Once, by the first request after the break; those that come with it wait for the PING."""
    seen = []

    def take(peer):
        peer.greet()
        seen.append(peer.seen)
        accept(peer)

    with serve(take) as server:
        async with client_of(server, ping_after=0) as client:
            for _ in range(3):
                await asyncio.gather(*[client.send_notification(TOKEN, ALERT) for _ in range(5)])
            kinds = [frame[0] for frame in seen[0] if frame[0] in (frames.PING, frames.HEADERS)]
            assert client.pool.active == 1

    assert kinds == ([frames.PING] + 5 * [frames.HEADERS]) * 3


async def test_a_connection_in_use_is_not_pinged():
    """Whoever has just had a response, or waits for one, needs no other sign of life."""
    for ping_after in 60, None:
        seen = []

        def take(peer):
            peer.greet()
            seen.append(peer.seen)  # pylint: disable=cell-var-from-loop
            accept(peer)

        with serve(take) as server:
            async with client_of(server, ping_after=ping_after) as client:
                for _ in range(3):
                    await client.send_notification(TOKEN, ALERT)
        assert frames.PING not in [frame[0] for frame in seen[0]]


async def test_a_silent_peer_is_replaced(simulator):
    """Soon enough for the notification, which is not sent twice."""
    simulator.script_provider(ProviderScript(silent_after=1))
    async with client_of(simulator, ping_after=0) as client:
        await client.send_notification("%064x" % 1, ALERT)
        await client.send_notification("%064x" % 2, ALERT, timeout=10)

    assert [int(token, 16) for token in simulator.accepted_tokens()] == [1, 2]
    assert simulator.provider_connections == 2


async def test_nobody_is_left_behind_by_a_ping():
    """A request that has ended meanwhile is not sent, and the connection serves the next one."""
    heard, gate = Gate(), Gate()

    def hesitate(peer):
        peer.greet()
        pings = []
        while not pings:
            pings = [payload for kind, _, _, payload in peer.read() if kind == frames.PING]
        heard.open()
        gate.wait()
        peer.say(frames.ping(pings[0], True))
        accept(peer)
        requests = [frame for frame in peer.seen if frame[0] == frames.HEADERS]
        assert len(requests) == 1

    with serve(hesitate) as server:
        async with client_of(server, ping_after=0) as client:
            task, = await started(client.send(TOKEN, ALERT, timeout=None))
            await in_thread(heard.wait)
            late = await failure_of(client.send_notification(TOKEN, ALERT, timeout=0.01))
            task.cancel()
            await asyncio.wait([task])
            gate.open()
            await client.send_notification(TOKEN, ALERT)
            assert client.pool.pending == 0

    assert (type(late), late.kind) == (Timeout, Kind.unprocessed)
    assert task.cancelled()


async def test_a_request_that_is_given_up_may_mean_that_the_connection_is_dead(simulator):
    """Where callers have less patience than read_timeout no request is late, only given up."""
    simulator.script_provider(ProviderScript(silent_after=1))
    async with client_of(simulator, read_timeout=None) as client:
        await client.send_notification("%064x" % 1, ALERT)
        given_up = await failure_of(client.send_notification("%064x" % 2, ALERT, timeout=1.5))
        await client.send_notification("%064x" % 3, ALERT, timeout=None)

    assert (type(given_up), given_up.kind) == (Timeout, Kind.unknown)
    assert simulator.provider_connections == 2


async def test_a_server_that_is_slow_with_one_request_keeps_its_connection(
        simulator, monkeypatch):
    """It acknowledges the PING."""
    monkeypatch.setattr(spreading, "_LONGEST_OPENING", SOON)
    simulator.script_provider(ProviderScript(no_response_at=[2]))
    async with client_of(simulator) as client:
        await client.send_notification("%064x" % 1, ALERT)
        given_up = await failure_of(client.send_notification("%064x" % 2, ALERT, timeout=1.5))
        await client.send_notification("%064x" % 3, ALERT, timeout=None)

    assert given_up.kind == Kind.unknown
    assert simulator.provider_connections == 1
