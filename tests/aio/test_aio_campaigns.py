"""``send_many()`` beside other callers, and what it leaves behind."""

import asyncio
import logging

import pytest

from apnsclient.aio import Notification, create_client
from apnsclient.testing.simulator import ProviderScript

pytestmark = pytest.mark.anyio

_TOKENS = ["%064x" % number for number in range(60)]


@pytest.fixture
def new_client(apple):
    """A function that makes a client with one connection, which has room for 20 requests.

    Responses are held back.
    """
    apple.script_provider(ProviderScript(hold=True, settings={"max_concurrent_streams": 20}))
    certificate = apple.client_certificate(topic="com.example.dinner")

    def make(**options):
        return create_client(certificate, apple.provider_address, pool_size=1,
                             ca_string=apple.ca_string, **options)

    return make


async def send_to_all(client, tokens):
    """Send one notification to all, and return how many were accepted."""
    return sum([outcome.is_accepted async for outcome in client.send_many(
        (token, Notification("x")) for token in tokens)])


async def wait_for(apple, predicate):
    """Wait until something is true of the simulator."""
    assert await asyncio.get_running_loop().run_in_executor(None, apple.wait_for, predicate, 30)


async def test_it_leaves_places_in_the_queue_to_others(apple, new_client):
    """A web server that refuses work while the client is blocked goes on during a campaign."""
    loop = asyncio.get_running_loop()
    async with new_client(queue_size=400) as client:
        campaign = loop.create_task(send_to_all(client, ["%064x" % one for one in range(2000)]))
        await wait_for(apple, lambda: apple.held == 20)
        others = [loop.create_task(client.send(token, Notification("x"))) for token in _TOKENS]
        await asyncio.sleep(0)
        assert not client.pool.blocked
        waiting = client.pool.pending
        sent = 0
        while sent < 2000 + len(others):
            await wait_for(apple, lambda: apple.held)
            sent += apple.release_held()
        assert await campaign == 2000
        assert all([(await other).is_accepted for other in others])

    assert waiting <= 400 + 20 + len(others)


async def test_what_was_written_when_it_is_left_is_in_the_log(apple, new_client, caplog):
    """What waited for room is not sent, and the client can be used as before."""
    loop = asyncio.get_running_loop()
    async with new_client() as client:
        campaign = loop.create_task(send_to_all(client, _TOKENS))
        await wait_for(apple, lambda: apple.held == 20)
        campaign.cancel()
        await asyncio.wait([campaign])
        last = loop.create_task(client.send("ff" * 32, Notification("x")))
        await wait_for(apple, lambda: apple.accepted_count == 21)
        apple.release_held()
        assert (await last).is_accepted

    assert campaign.cancelled()
    assert sorted(apple.accepted_tokens()) == [*_TOKENS[:20], "ff" * 32]
    assert [(record.levelno, record.args) for record in caplog.records
            if record.name == "apnsclient.aio"] == [(logging.WARNING, (20,))]
