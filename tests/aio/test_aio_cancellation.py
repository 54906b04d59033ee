"""Callers that leave: what is known of their notifications, and that nobody else is concerned."""

import asyncio
import builtins
import logging
import sys

import pytest

from aio_peers import ALERT, TOKEN, client_of, collect, happens, in_thread, started, until
from apnsclient.aio.errors import Kind
from apnsclient.protocols.http2 import frames
from apnsclient.sending import spreading
from apnsclient.testing.simulator import ProviderScript
from frame_peers import accept, serve
from http2_support import headers
from stdio_support import SOON, Gate

pytestmark = pytest.mark.anyio

CANCEL = b"\0\0\0\x08"
LIMIT_1 = ProviderScript(hold=True, settings={"max_concurrent_streams": 1})


def token(number):
    """Return a device token."""
    return "%064x" % number


async def cancel(*tasks):
    """Cancel tasks, and see that they take it for what it is."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)


async def test_a_caller_that_leaves_before_the_write_has_sent_nothing(simulator, caplog):
    """Neither where the loop has not come round, nor where there is no room; nothing is logged."""
    simulator.script_provider(LIMIT_1)
    with caplog.at_level(logging.WARNING):
        async with client_of(simulator, pool_size=1) as client:
            await cancel(*await started(client.send_notification(token(9), ALERT)))
            first, second, third = await started(*[
                client.send_notification(token(number), ALERT) for number in range(3)])
            await happens(simulator, lambda: simulator.held)
            await cancel(second)
            assert client.pool.pending == 2
            await in_thread(simulator.release_held)
            assert await first
            await happens(simulator, lambda: simulator.held)
            await in_thread(simulator.release_held)
            assert await third

    assert simulator.accepted_tokens() == [token(0), token(2)]
    assert caplog.records == []


async def test_a_caller_that_leaves_after_the_write_resets_the_stream(caplog):
    """That is known to nobody else: the log says so, without the token. Others get responses."""
    gate = Gate()

    def take(peer):
        peer.greet()
        streams = peer.requests(3)
        gate.open()
        peer.await_frame((frames.RST_STREAM, 0, streams[1], CANCEL))
        peer.say(headers(streams[2]), headers(streams[0]))
        accept(peer)
        assert [frame for frame in peer.seen if frame[0] == frames.RST_STREAM] == [
            (frames.RST_STREAM, 0, streams[1], CANCEL)]

    with serve(take) as server:
        async with client_of(server) as client:
            tasks = await started(*[client.send_notification(token(n), ALERT) for n in range(3)])
            await in_thread(gate.wait)
            with caplog.at_level(logging.WARNING):
                await cancel(tasks[1])
            await asyncio.gather(tasks[0], tasks[2])
            assert await client.send_notification(TOKEN, ALERT) is not None
            assert (client.pool.errors, client.pool.completed, client.pool.pending) == (1, 3, 0)

    text, = [record.getMessage() for record in caplog.records]
    assert "unknown" in text and token(1) not in text


async def test_half_of_two_thousand_callers_leave_at_once(simulator, monkeypatch):
    """Half of them were written, half were not; the others all have their notifications accepted.
    """
    # On a slow machine the client asks whether anybody is there, and the response takes its time.
    monkeypatch.setattr(spreading, "_LONGEST_OPENING", SOON)
    simulator.script_provider(ProviderScript(hold=True))
    async with client_of(simulator, pool_size=1, queue_size=2000) as client:
        tasks = await started(*[client.send_notification(token(n), ALERT) for n in range(2000)])
        await happens(simulator, lambda: simulator.held == 1000)
        await cancel(*tasks[::2])
        rest = asyncio.ensure_future(asyncio.wait(tasks[1::2]))
        while not rest.done():
            await in_thread(simulator.release_held)
        assert all(task.result() for task in tasks[1::2])
        assert (client.pool.pending, client.pool.completed) == (0, 1000)

    sent = {int(each, 16) for each in simulator.accepted_tokens()}
    assert len(simulator.accepted_tokens()) == len(sent) == 1500
    assert sent == set(range(1000)) | set(range(1001, 2000, 2))
    assert simulator.provider_connections == 1


async def test_time_limits_of_others_are_cancellation(simulator):
    """``wait_for`` raises its own error, and so does ``asyncio.timeout``."""
    has_timeout = sys.version_info >= (3, 11)
    simulator.script_provider(ProviderScript(no_response_at=[1, 2] if has_timeout else [1]))
    async with client_of(simulator) as client:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.send_notification(TOKEN, ALERT), 0.01)
        if has_timeout:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await client.send(TOKEN, ALERT)
        assert client.pool.inflight == 0
        await asyncio.wait_for(client.send_notification(TOKEN, ALERT), 30)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there is no TaskGroup")
async def test_a_task_group_cancels_those_of_its_tasks_that_are_left(simulator):
    """One of them fails: the others end at once, in flight or not, and the client goes on."""
    simulator.script_provider(ProviderScript(
        no_response_at=range(2, 5), settings={"max_concurrent_streams": 4},
        response_at={1: "BadDeviceToken"}))
    async with client_of(simulator, pool_size=1) as client:
        with pytest.raises(builtins.ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(client.send_notification(token(number), ALERT))
                         for number in range(10)]
        assert [error.codename for error in caught.value.exceptions] == ["BadDeviceToken"]
        assert all(task.cancelled() for task in tasks[1:])
        assert await client.send_notification(TOKEN, ALERT)
        assert client.pool.pending == 0


async def test_a_place_that_is_given_to_somebody_who_leaves_is_not_lost(simulator):
    """The next one in the line gets it, also where both happen in the same round of the loop."""
    simulator.script_provider(LIMIT_1)
    async with client_of(simulator, pool_size=1, queue_size=1) as client:
        tasks = await started(*[client.send_notification(token(n), ALERT) for n in range(7)])
        # One is in flight, one has been handed to the sender, one is in the queue.
        await until(lambda: client.pool.pending == 3)
        tasks[3].cancel()
        tasks[2].cancel()
        # It has been given the place of the one that leaves, and not come to take it.
        asyncio.get_running_loop().call_soon(tasks[4].cancel)
        await asyncio.wait(tasks[2:5])
        rest = asyncio.ensure_future(asyncio.wait(tasks))
        while not rest.done():
            await in_thread(simulator.release_held)
        assert all(task.result() for task in tasks[:2] + tasks[5:])
        assert not client.pool.blocked

    assert simulator.accepted_tokens() == [token(n) for n in (0, 1, 5, 6)]


async def test_whoever_leaves_when_the_failure_comes_leaves_no_complaint(caplog):
    """Several callers lose their connection together, and the first one cancels the others."""
    def end(peer):
        peer.greet()
        peer.requests(3)

    with serve(end) as server:
        async with client_of(server) as client:
            outcomes = []

            async def send():
                outcomes.append(await client.send(TOKEN, ALERT))
                for task in tasks:
                    if task is not asyncio.current_task():
                        task.cancel()

            tasks = await started(send(), send(), send())
            await asyncio.wait(tasks)
            collect()
            await asyncio.sleep(0)

    assert [outcome.kind for outcome in outcomes] == [Kind.unknown]
    assert [task.cancelled() for task in tasks].count(True) == 2
    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_whoever_leaves_send_many_leaves_nothing_behind(simulator):
    """What waits is not sent, and what is in flight is reset."""
    simulator.script_provider(ProviderScript(settings={"max_concurrent_streams": 10},
                                             no_response_at=range(6, 1000)))
    async with client_of(simulator, pool_size=1) as client:
        outcomes = client.send_many(((token(n), ALERT) for n in range(10 ** 9)), window=50)
        for _ in range(5):
            assert (await outcomes.__anext__()).is_accepted
        await happens(simulator, lambda: simulator.accepted_count == 15)
        await outcomes.aclose()
        assert (client.pool.pending, client.pool.inflight) == (0, 0)

        async def consume():
            async for _ in client.send_many([(TOKEN, ALERT)]):
                raise AssertionError("there is no response")

        task, = await started(consume())
        await happens(simulator, lambda: simulator.accepted_count == 16)
        await cancel(task)
        assert (client.pool.pending, client.pool.inflight) == (0, 0)
