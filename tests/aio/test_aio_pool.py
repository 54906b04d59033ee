"""A pool: which connections there are, what is sent again, and who waits for a place."""

import asyncio
import contextlib

import pytest

from aio_peers import (
    ALERT,
    TOKEN,
    client_of,
    failure_of,
    happens,
    in_thread,
    new_request,
    pool_of,
    started,
    until,
)
from apnsclient.aio.errors import Closed, Kind, Timeout
from apnsclient.aio.pool import Pool, delay_after
from apnsclient.protocols.http2 import frames
from apnsclient.testing.chaos import ChaosProxy
from apnsclient.testing.simulator import ProviderScript, Simulator
from frame_peers import accept, serve
from http2_support import headers
from stdio_support import Gate, free_port

pytestmark = pytest.mark.anyio

LIMIT_1 = ProviderScript(hold=True, settings={"max_concurrent_streams": 1})


def token(number):
    """Return a device token."""
    return "%064x" % number


def posts(pool, count):
    """Return the coroutines of so many requests."""
    return [pool.post(new_request(token(number))) for number in range(count)]


async def release_until(simulator, *tasks):
    """Have the simulator respond until all tasks are done; return their results."""
    rest = asyncio.ensure_future(asyncio.gather(*tasks))
    while not rest.done():
        await in_thread(simulator.release_held)
    return rest.result()


# What is sent again, and what is not.


async def test_refused_streams_hang_nobody(simulator):
    """Also where the server throttles: each notification is accepted once, or rejected once."""
    simulator.script_provider(ProviderScript(throttle=True))
    simulator.devices.add(*[token(number) for number in range(500) if number % 10])
    simulator.devices.strict = True
    async with client_of(simulator, pool_size=1) as client:
        outcomes = await asyncio.gather(*[client.send(token(n), ALERT) for n in range(500)])
        assert (client.pool.retrying, client.pool.errors, client.pool.completed) == (0, 0, 500)

    assert [outcome.is_accepted for outcome in outcomes] == [n % 10 != 0 for n in range(500)]
    assert {outcome.reason for outcome in outcomes} == {None, "BadDeviceToken"}
    assert sorted(simulator.accepted_tokens()) == [token(n) for n in range(500) if n % 10]


async def test_goaway_loses_no_response_and_is_made_good_for_early():
    """The next connection takes requests while the first one still has responses to send."""
    gate = Gate()

    def drain(peer):
        peer.greet()
        if len(server.accepted) > 1:
            gate.open()
            accept(peer)
            return
        streams = peer.requests(4)
        peer.say(frames.goaway(streams[1], frames.NO_ERROR))
        # Until the requests that it has not processed come over the other connection.
        gate.wait()
        peer.say(headers(streams[1]), headers(streams[0]))
        peer.read_to_end()

    with serve(drain) as server:
        async with client_of(server) as client:
            assert len(await asyncio.gather(*[
                client.send_notification(token(n), ALERT) for n in range(4)])) == 4
            assert client.pool.errors == 0


async def test_a_pool_in_use_replaces_a_connection_before_its_drain_is_over():
    """Although nothing waits at that moment: more is to be expected."""
    def leave(peer):
        peer.greet()
        if len(server.accepted) > 1:
            gate.open()
            accept(peer)
            return
        stream, = peer.requests(1)
        peer.say(frames.goaway(stream, frames.NO_ERROR))
        gate.wait()
        peer.say(headers(stream))
        peer.read_to_end()

    gate = Gate()
    with serve(leave) as server:
        async with client_of(server) as client:
            await client.send_notification(TOKEN, ALERT)
            await until(lambda: (client.pool.active, client.pool.starting) == (1, 0))


async def test_what_was_written_and_not_answered_is_never_sent_again(simulator):
    """Whatever ends the connection: its outcome is unknown, and each notification came once."""
    for number, ending in enumerate(["close_after", "reset_after", "garbage_after"]):
        simulator.script_provider(ProviderScript(late=3, **{ending: 5}))
        tokens = [token(10 * number + each) for each in range(8)]
        async with client_of(simulator) as client:
            outcomes = await asyncio.gather(*[client.send(each, ALERT) for each in tokens])
            assert [outcome.kind for outcome in outcomes[:5]] == (
                [Kind.accepted] * 2 + [Kind.unknown] * 3)
            # What came behind them was written as well, and nobody knows what became of it.
            assert {outcome.kind for outcome in outcomes[5:]} == {Kind.unknown}
            assert (await client.send(token(999), ALERT)).is_accepted

    found = [each for each in simulator.accepted_tokens() if each != token(999)]
    assert sorted(found) == [token(10 * number + each) for number in range(3) for each in range(5)]


async def test_a_network_that_fails_after_the_write_brings_nothing_twice(simulator):
    """It is cut behind the last byte of the requests: some are known, the rest is unknown."""
    simulator.script_provider(*[ProviderScript(hold=True)] * 2)
    with ChaosProxy(simulator.provider_address) as proxy:
        proxy.provider_address = proxy.address
        proxy.ca_string, proxy.cert_string = simulator.ca_string, simulator.cert_string
        async with client_of(proxy) as client:
            tasks = await started(*[client.send(token(n), ALERT) for n in range(20)])
            await happens(simulator, lambda: simulator.held == 20)
            proxy.set_handler("reset", existing=True)
            await in_thread(simulator.release_held)
            outcomes = await asyncio.gather(*tasks)
            assert {outcome.kind for outcome in outcomes} == {Kind.unknown}
            proxy.set_handler("dummy", existing=True)
            task, = await started(client.send(token(99), ALERT))
            await happens(simulator, lambda: simulator.held)
            await in_thread(simulator.release_held)
            assert (await task).is_accepted

    assert simulator.accepted_tokens() == [token(n) for n in range(20)] + [token(99)]


# Connects.


async def test_connects_after_an_outage_are_no_storm(simulator):
    """One at a time, however many wait, each after a longer delay; in the end all are sent."""
    delays = []

    def delay(failures):
        delays.append(failures)
        return 0.0

    simulator.script_provider(ProviderScript(close_after=1),
                              *[ProviderScript(refuse=True)] * 5 + [ProviderScript(goaway_after=0)])
    pool_size = 4
    async with client_of(simulator, pool_size=pool_size) as client:
        client.pool._delay_after = delay  # pylint: disable=protected-access
        await client.send_notification(TOKEN, ALERT)
        await until(lambda: not client.pool.active)
        outcomes = await asyncio.gather(*[client.send(token(n), ALERT) for n in range(200)])
        assert all(outcome.is_accepted for outcome in outcomes)
        # The first one to replace the one that was closed comes at once.
        assert delays == [1, 2, 3, 4, 5, 6]
        await client.send_notification(TOKEN, ALERT)
        assert client.pool.active == 1

    assert simulator.refused == 5


async def test_a_server_that_is_gone_is_waited_for():
    """A request that has a deadline says why it was not sent; one with more time is sent later."""
    # Nobody else may have its port meanwhile.
    with Simulator(provider_port=free_port()) as simulator:
        late = await wait_for_server(simulator)

    assert (type(late), late.kind) == (Timeout, Kind.unprocessed) and "refused" in str(late)
    assert [each for each in simulator.accepted_tokens() if each != TOKEN] == [token(3)]


async def wait_for_server(simulator):
    """Send to a server that is gone, and then started again; return why one was not sent."""
    async with client_of(simulator) as client:
        client.pool._delay_after = lambda failures: 0.01  # pylint: disable=protected-access
        await client.send_notification(TOKEN, ALERT)
        await in_thread(simulator.stop)
        await until(lambda: not client.pool.active)
        task, = await started(client.send_notification(token(3), ALERT, timeout=None))
        await until(lambda: client.pool.hub.problem)
        late = await failure_of(client.send_notification(token(2), ALERT, timeout=0.1))
        await in_thread(simulator.start)
        assert await task
    return late


def test_delays_grow_to_a_limit():
    """By half of the longest one at most they are shorter, by chance."""
    for failures, longest in (1, 0.25), (2, 0.5), (5, 4.0), (9, 60.0), (10 ** 6, 60.0):
        delays = [delay_after(failures) for _ in range(100)]
        assert longest / 2 <= min(delays) < max(delays) <= longest


async def test_an_idle_pool_does_not_connect(simulator):
    """A connection that ends while nobody sends is replaced by the next one who does."""
    simulator.script_provider(ProviderScript(close_after=1))
    async with client_of(simulator) as client:
        await client.send_notification(TOKEN, ALERT)
        await until(lambda: not client.pool.hub.links)
        for _ in range(3):
            await asyncio.sleep(0)
        assert (client.pool.starting, simulator.provider_connections) == (0, 1)
        await client.send_notification(TOKEN, ALERT)

    assert simulator.provider_connections == 2


@contextlib.contextmanager
def far_away(simulator):
    """A proxy through which each round trip to the simulator takes a while."""
    script = ProviderScript(settings={"max_concurrent_streams": 10})
    simulator.script_provider(*[script] * 5)
    with ChaosProxy(simulator.provider_address, "100:delay", {"delay": {"sleep": 0.01}}) as proxy:
        proxy.provider_address = proxy.address
        proxy.ca_string, proxy.cert_string = simulator.ca_string, simulator.cert_string
        yield proxy


def send_more(client, first):
    """Return tasks that send: whether a connection is worth it depends on the machine's speed."""
    return [asyncio.ensure_future(client.send(token(n), ALERT)) for n in range(first, first + 400)]


async def test_a_busy_pool_opens_as_many_connections_as_it_may(simulator):
    """One after the other, because requests wait for a round trip time and again."""
    with far_away(simulator) as proxy:
        async with client_of(proxy, pool_size=3) as client:
            tasks, seen = [], set()
            while not tasks or client.pool.pending:
                if (3, 0) not in seen and client.pool.pending < 400:
                    tasks += send_more(client, len(tasks))
                await asyncio.sleep(0.001)
                seen.add((client.pool.active, client.pool.starting))
            assert all(outcome.is_accepted for outcome in await asyncio.gather(*tasks))

    assert simulator.provider_connections == 3
    # The task that has opened one has its end a turn later.
    assert (3, 0) in seen and max(active for active, _ in seen) == 3


async def test_a_pool_can_be_resized(simulator):
    """A smaller one ends surplus connections when they have responded, a larger one opens more."""
    with far_away(simulator) as proxy:
        async with client_of(proxy, pool_size=1, queue_size=2000) as client:
            pool = client.pool
            tasks = []
            pool.resize(3)
            while pool.active < 3 or not all(
                    link.state.client.in_flight for link in pool.hub.links):
                if pool.pending < 400:
                    tasks += send_more(client, len(tasks))
                await asyncio.sleep(0.001)
            pool.resize(1)
            assert (pool.size, pool.active, pool.dying) == (1, 1, 2)
            assert all(outcome.is_accepted for outcome in await asyncio.gather(*tasks))
            await until(lambda: len(pool.hub.links) == 1)
            assert (pool.active, pool.dying, pool.errors) == (1, 0, 0)
            with pytest.raises(ValueError, match="0"):
                pool.resize(0)

    assert simulator.provider_connections == 3
    assert len(set(simulator.accepted_tokens())) == simulator.accepted_count == len(tasks)


# The queue.


async def test_the_queue_is_bounded_and_in_order(simulator, tmp_path):
    """Whoever finds it full waits for a place; whoever came first goes first."""
    simulator.script_provider(LIMIT_1)
    async with pool_of(tmp_path, simulator, 1, queue_size=3) as pool:
        tasks = await started(*posts(pool, 20))
        await happens(simulator, lambda: simulator.held)
        assert pool.blocked
        # Three were handed to the sender, one of which is in flight; three are in the queue.
        await until(lambda: (pool.inflight, pool.buffered) == (1, 5))
        waiting = await started(*posts(pool, 1))
        await release_until(simulator, *tasks + waiting)
        assert not pool.blocked

    assert simulator.accepted_tokens() == [token(n) for n in range(20)] + [token(0)]


async def test_time_passes_while_waiting_for_a_place(simulator, tmp_path):
    """Nothing was sent then; others are not held up."""
    simulator.script_provider(LIMIT_1)
    async with pool_of(tmp_path, simulator, 1, queue_size=1) as pool:
        tasks = await started(*posts(pool, 4))
        errors = await asyncio.gather(*[
            failure_of(pool.post(new_request(token(99), timeout=0.01))) for _ in range(2)])
        await release_until(simulator, *tasks)

    assert [(type(each), each.kind) for each in errors] == [(Timeout, Kind.unprocessed)] * 2
    assert simulator.accepted_tokens() == [token(n) for n in range(4)]


async def test_closing_ends_those_who_wait_for_a_place(simulator, tmp_path):
    """What was taken is waited for, so long as there is time."""
    simulator.script_provider(LIMIT_1)
    async with pool_of(tmp_path, simulator, 1, queue_size=1) as pool:
        tasks = await started(*posts(pool, 6))
        await until(lambda: pool.pending == 3)
        closing, = await started(pool.close())
        errors = [await failure_of(task) for task in tasks[3:]]
        assert (pool.state, pool.closing, pool.closed) == ("closing", True, False)
        await release_until(simulator, *tasks[:3], closing)
        errors.append(await failure_of(pool.post(new_request())))

    assert [(type(each), each.kind) for each in errors] == [(Closed, Kind.unprocessed)] * 4
    assert (pool.state, simulator.accepted_count) == ("closed", 3)


# What is seen of it.


async def test_counters_and_the_representation_agree(simulator, tmp_path):
    """At rest, in use, and in the end."""
    simulator.script_provider(ProviderScript(hold=True, response_at={1: "BadDeviceToken"},
                                             reset_at={2: frames.INTERNAL_ERROR}))
    async with pool_of(tmp_path, simulator, 1) as pool:
        def seen():
            counts = dict(active=pool.active, starting=pool.starting, dying=pool.dying,
                          buffered=pool.buffered, inflight=pool.inflight, retrying=pool.retrying,
                          completed=pool.completed, errors=pool.errors)
            text = repr(pool)
            for name, count in counts.items():
                assert "%s %d" % (name, count) in text
            assert pool.pending == pool.buffered + pool.inflight
            return {name: count for name, count in counts.items() if count}

        assert seen() == {"active": 1} and pool.state == "active" and "active 1 of 1" in repr(pool)
        tasks = await started(*posts(pool, 5))
        assert seen() == {"active": 1, "buffered": 5}
        await happens(simulator, lambda: simulator.held == 4)
        await until(lambda: pool.errors)
        assert seen() == {"active": 1, "inflight": 4, "errors": 1}
        await in_thread(simulator.release_held)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert seen() == {"active": 1, "completed": 4, "errors": 1}
        await pool.close()
        assert seen() == {"completed": 4, "errors": 1}
        assert pool.state == "closed" and "it was closed" in repr(pool)


async def test_a_connect_that_never_began_is_not_under_way(simulator, tmp_path):
    """The pool is closed in the very moment in which it would have replaced a connection."""
    simulator.script_provider(LIMIT_1)
    async with pool_of(tmp_path, simulator, size=1) as pool:
        first, second = await started(*posts(pool, 2))
        await happens(simulator, lambda: simulator.held == 1)
        closing, = await started(pool.close(None))
        pool.hub.lose(pool.hub.links[0], EOFError("it has ended"))
        closing.cancel()
        await asyncio.wait([first, second, closing])

        assert (await failure_of(first)).kind is Kind.unknown
        assert (await failure_of(second)).kind is Kind.unprocessed
        await until(lambda: pool.starting == 0)
        assert pool.state == "closed"


async def test_a_pool_needs_a_connection_to_begin_with(tmp_path):
    """The error is the connection's; nothing is left behind."""
    with serve(lambda peer: None) as server:
        address = server.address
    with pytest.raises(Exception, match="refused"):
        await Pool.create(address)
    with pytest.raises(ValueError):
        await Pool.create(address, 0)
    with pytest.raises(ValueError, match="origin"):
        await Pool.create("http://localhost")
