"""What is left of notifications that have ended: nothing, and that at once."""

import asyncio
import gc

import pytest

from aio_peers import ALERT, client_of, happens, started, until
from apnsclient.aio._work import Bundle, Post
from apnsclient.protocols.http2.events import Response
from apnsclient.protocols.http2.streams import Batch
from apnsclient.sending.calls import Call
from apnsclient.testing.simulator import ProviderScript

pytestmark = pytest.mark.anyio

COUNT = 300
TOKENS = ["%064x" % number for number in range(COUNT)]
KINDS = (Post, Bundle, Batch, Call, Response)


@pytest.fixture
def no_collector():
    """The garbage collector is switched off, and knows nothing of what there is already."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def left():
    """Return what there is of notifications, by the name of the class."""
    names = [type(one).__name__ for one in gc.get_objects() if isinstance(one, KINDS)]
    return {name: names.count(name) for name in set(names)}


async def _send_many(client):
    kinds = [outcome.kind async for outcome in client.send_many(
        (token, ALERT) for token in TOKENS)]
    assert len(kinds) == COUNT


async def _send(client):
    await asyncio.gather(*[client.send(token, ALERT) for token in TOKENS])


async def _send_notification(client):
    await asyncio.gather(*[client.send_notification(token, ALERT) for token in TOKENS],
                         return_exceptions=True)


@pytest.mark.parametrize("send", [_send_many, _send, _send_notification])
async def test_nothing_is_left_of_what_has_ended(simulator, no_collector, send):
    """Whatever its outcome, and without the garbage collector.

    It would find them, but only from time to time, so that a process that sends more would grow by
    more.
    """
    rejects = {number: reason for number in range(1, 2 * COUNT, 7)
               for reason in [("BadDeviceToken", "Unregistered")[number % 2]]}
    simulator.script_provider(*[ProviderScript(response_at=rejects)] * 2)
    async with client_of(simulator) as client:
        await send(client)
        await until(lambda: not left())


async def test_nothing_is_left_of_what_is_given_up(simulator, no_collector):
    """By a caller that is cancelled, by the time, or because the client is closed."""
    simulator.script_provider(*[ProviderScript(hold=True)] * 2)
    client = await client_of(simulator)
    tasks = await started(*[client.send(token, ALERT) for token in TOKENS])
    await happens(simulator, lambda: simulator.held == COUNT)
    for task in tasks[:50]:
        task.cancel()
    await asyncio.wait(tasks[:50])
    del tasks[:50], task
    await asyncio.gather(*[client.send(token, ALERT, timeout=0.001) for token in TOKENS])
    await client.close(0)
    await asyncio.wait(tasks)
    del tasks
    await until(lambda: not left())
