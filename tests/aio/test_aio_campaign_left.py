"""A caller leaves ``send_many()`` before its end."""

import asyncio
import logging

import pytest

from apnsclient.aio import Notification, create_client
from apnsclient.testing.simulator import ProviderScript

pytestmark = pytest.mark.anyio

_TOKENS = ["%064x" % number for number in range(60)]


async def test_what_was_written_is_in_the_log(apple, caplog):
    """What waited for room is not sent, and the client can be used as before."""
    apple.script_provider(ProviderScript(hold=True, settings={"max_concurrent_streams": 20}))
    certificate = apple.client_certificate(topic="com.example.dinner")
    loop = asyncio.get_running_loop()

    async def campaign(client):
        async for _ in client.send_many((token, Notification("x")) for token in _TOKENS):
            pass

    async with create_client(certificate, apple.provider_address, pool_size=1,
                             ca_string=apple.ca_string) as client:
        task = loop.create_task(campaign(client))
        assert await loop.run_in_executor(
            None, apple.wait_for, lambda: apple.held == 20, 30)
        task.cancel()
        await asyncio.wait([task])
        last = loop.create_task(client.send("ff" * 32, Notification("x")))
        assert await loop.run_in_executor(
            None, apple.wait_for, lambda: apple.accepted_count == 21, 30)
        apple.release_held()
        assert (await last).is_accepted

    assert task.cancelled()
    assert sorted(apple.accepted_tokens()) == [*_TOKENS[:20], "ff" * 32]
    assert [(record.levelno, record.args) for record in caplog.records
            if record.name == "apnsclient.aio"] == [(logging.WARNING, (20,))]
