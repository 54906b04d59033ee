"""The asynchronous client, once through: loops, TLS and cancellation differ by interpreter."""

import asyncio

import pytest

from aio_peers import ALERT, client_of, failure_of, in_thread, started
from apnsclient.aio import Notification, errors
from apnsclient.aio.outcome import Kind
from apnsclient.testing.simulator import ProviderScript
from stdio_support import SOON

pytestmark = pytest.mark.anyio

GOOD, BAD, GONE = ("%064x" % number for number in (1, 2, 3))


async def test_notifications_one_by_one_and_many(simulator):
    """Accepted, rejected and dead, over one connection; what is dead is in the feedback."""
    simulator.devices.bad(BAD)
    simulator.devices.uninstall(GONE)
    async with client_of(simulator) as client:
        assert await client.send_notification(GOOD, Notification("Hello", badge=0))
        refused = await failure_of(client.send_notification(BAD, ALERT))
        assert isinstance(refused, errors.BadDeviceToken)
        await asyncio.gather(*[client.send_notification("%064x" % number, ALERT)
                               for number in range(4, 304)])
        tokens = ["%064x" % number for number in range(2, 302)]
        outcomes = [one async for one in client.send_many(
            ((token, ALERT) for token in tokens), ordered=True)]
        assert [one.token for one in outcomes] == tokens
        assert [one.kind for one in outcomes] == [Kind.rejected] * 2 + [Kind.accepted] * 298
        assert [token async for token, _ in client.feedback()] == [GONE]
    assert client.closed and simulator.provider_connections == 1


async def test_a_caller_that_is_cancelled_takes_its_request_along(simulator):
    """Its stream is reset, others go on, and closing waits for them."""
    simulator.script_provider(ProviderScript(hold=True))
    async with client_of(simulator) as client:
        task, other = await started(
            client.send_notification(GOOD, ALERT), client.send_notification(BAD, ALERT))
        assert await in_thread(simulator.wait_for, lambda: simulator.held == 2, SOON)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        simulator.release_held()
        assert await other
        assert (client.pool.pending, client.pool.errors) == (0, 1)
