"""The event loop is for others, too: what the client does at a time is bounded.

It is counted, and not timed: seconds tell of the machine as well.
"""

import asyncio
import collections

import pytest

from aio_peers import ALERT, client_of, happens, in_thread, provider_token, until
from apnsclient.aio.errors import BadCertificate, Closed, Timeout
from apnsclient.testing.simulator import ProviderScript

pytestmark = pytest.mark.anyio

#: How much of one kind is done at a time, at most.
PORTION = 256
#: What a turn may come to: where the machine was away for a while, several times are over in one.
FEW = 5 * PORTION


def token(number):
    """Return a device token."""
    return "%064x" % number


class Steps:
    """Looks what has happened whenever others than the client have their turn.

    :param tallies: functions that return numbers, which grow with the work.

    :ivar largest: how much each of them has grown at a time, at most (list).
    """

    def __init__(self, *tallies):
        self._tallies = tallies
        self._task = asyncio.ensure_future(self._count())
        self.largest = [0] * len(tallies)

    async def _count(self):
        last = [tally() for tally in self._tallies]
        while True:
            await asyncio.sleep(0)
            now = [tally() for tally in self._tallies]
            self.largest = [max(one, after - before) for one, after, before in zip(
                self.largest, now, last)]
            last = now

    async def end(self):
        """Count no more."""
        self._task.cancel()
        await asyncio.wait([self._task])


async def test_many_notifications_hold_up_nobody(simulator):
    """Others have their turn after what takes some milliseconds at most, however many there are."""
    count, seen = 8000, 0
    simulator.script_provider(*[ProviderScript(response_at={
        number: "BadDeviceToken" for number in range(5, 100000, 50)})] * 2)
    async with client_of(simulator, provider_token(simulator)) as client:
        tally = client.pool.hub.tally
        taken = [0]

        def notifications():
            for number in range(count):
                taken[0] += 1
                yield token(number), ALERT

        steps = Steps(lambda: taken[0], lambda: tally.completed, lambda: seen)
        async for _ in client.send_many(notifications()):
            seen += 1
        await steps.end()
        assert (seen, tally.completed) == (count, count)

    # 1000 requests may be in flight on each of two connections, and their responses come together.
    assert steps.largest[0] <= 256 and max(steps.largest) <= 3000


async def test_many_callers_hold_up_nobody(simulator):
    """5000 at once: they are taken in portions, as there is room for them."""
    async with client_of(simulator) as client:
        tasks = [asyncio.ensure_future(client.send(token(n), ALERT)) for n in range(5000)]
        await asyncio.sleep(0)  # All have begun.
        steps = Steps(lambda: client.pool.hub.tally.completed)
        outcomes = await asyncio.gather(*tasks)
        await steps.end()

    assert all(outcome.is_accepted for outcome in outcomes)
    assert steps.largest[0] <= 2000 and simulator.accepted_count == 5000


async def test_a_caller_who_was_away_holds_up_nobody(simulator):
    """The outcomes that have come meanwhile are given in portions."""
    simulator.script_provider(ProviderScript(hold=True))
    seen = 0
    async with client_of(simulator, pool_size=1) as client:
        outcomes = client.send_many((token(number), ALERT) for number in range(1000))
        first = asyncio.ensure_future(outcomes.__anext__())
        await happens(simulator, lambda: simulator.held == 1000)
        await in_thread(simulator.release_held)
        await first
        await until(lambda: client.pool.completed == 1000)
        steps = Steps(lambda: seen)
        await asyncio.sleep(0)
        async for _ in outcomes:
            seen += 1
        await steps.end()

    assert seen == 999 and steps.largest[0] <= PORTION


async def test_reading_the_feedback_holds_up_nobody(simulator):
    """However many tokens are dead."""
    seen = 0
    async with client_of(simulator) as client:
        client._feedback.add([(token(number).encode("ascii"), 1) for number in range(3000)])
        steps = Steps(lambda: seen)
        await asyncio.sleep(0)
        async for _ in client.feedback():
            seen += 1
        await steps.end()

    assert seen == 3000 and steps.largest[0] <= PORTION


class Crowd:
    """Many callers of a client, each with a notification.

    :param client: the client.
    :param options: arguments of each call.

    :ivar ended: how many have their outcome (int).
    """

    def __init__(self, client, tokens, **options):
        self._client, self._options = client, options
        self.ended = 0
        self._steps = Steps(lambda: self.ended)
        self._tasks = [asyncio.ensure_future(self._send(one)) for one in tokens]

    async def _send(self, one):
        outcome = await self._client.send(one, ALERT, **self._options)
        self.ended += 1
        return outcome

    async def outcomes(self):
        """Return how many had which exception, and the largest number that had any at a time."""
        found = await asyncio.gather(*self._tasks)
        await self._steps.end()
        return collections.Counter(type(outcome.error) for outcome in found), self._steps.largest[0]


async def test_many_whose_time_is_over_hold_up_nobody(simulator):
    """They end in portions: those that have no response, and those that wait."""
    simulator.script_provider(ProviderScript(hold=True))
    async with client_of(simulator, pool_size=1) as client:
        end = asyncio.get_running_loop().time() + 1
        errors, largest = await Crowd(client, map(token, range(4000)), deadline=end).outcomes()

    assert errors == {Timeout: 4000} and largest <= FEW


async def test_the_end_of_a_client_holds_up_nobody(simulator):
    """Those that wait end in portions, and closing waits for them."""
    simulator.script_provider(ProviderScript(hold=True), ProviderScript(
        response_at={500: (403, "BadCertificate")}))
    client = await client_of(simulator, pool_size=1)
    crowd = Crowd(client, map(token, range(4000)))
    await happens(simulator, lambda: simulator.held == 1000)
    await client.close(0)
    await asyncio.sleep(0)  # So that the last of them have their turn.
    assert (crowd.ended, client.pool.pending) == (4000, 0)
    errors, largest = await crowd.outcomes()
    assert errors == {Closed: 4000} and largest <= 1000 + FEW

    async with client_of(simulator, pool_size=1) as client:
        errors, largest = await Crowd(client, map(token, range(4000))).outcomes()
        assert client.closing
    # Those before it were accepted, and some may have been that came with them.
    assert set(errors) == {type(None), BadCertificate} and errors[BadCertificate] > 1000
    assert largest <= 1000 + FEW


async def test_many_that_cannot_be_sent_hold_up_nobody(simulator):
    """Nothing is written, so that nothing tells when to stop."""
    async with client_of(simulator) as client:
        errors, largest = await Crowd(client, ["no token"] * 3000).outcomes()
        assert await client.send_notification(token(1), ALERT)

    assert sum(errors.values()) == 3000 and type(None) not in errors
    assert largest <= FEW
