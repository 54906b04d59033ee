"""The event loop is for others, too: what the client does at a time is bounded, whatever it has to do.

It is counted, and not timed: seconds tell of the machine as well.
"""

import asyncio

import pytest

from aio_peers import ALERT, client_of, happens, in_thread, provider_token, until
from apnsclient.aio._deadlines import Deadlines
from apnsclient.aio.errors import Timeout
from apnsclient.testing.simulator import ProviderScript

pytestmark = pytest.mark.anyio

#: How much of one kind is done at a time, at most.
PORTION = 256


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


@pytest.mark.parametrize("is_token", [False, True], ids=["certificate", "token"])
async def test_many_notifications_hold_up_nobody(simulator, is_token):
    """Others have their turn after what takes some milliseconds at most, however many there are."""
    count, seen = 20000, 0
    simulator.script_provider(*[ProviderScript(response_at={
        number: "BadDeviceToken" for number in range(5, 100000, 50)})] * 2)
    credential = provider_token(simulator) if is_token else None
    async with client_of(simulator, credential) as client:
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
    """10 000 at once: they are taken in portions, as there is room for them."""
    async with client_of(simulator) as client:
        tasks = [asyncio.ensure_future(client.send(token(n), ALERT)) for n in range(10000)]
        await asyncio.sleep(0)  # All have begun.
        steps = Steps(lambda: client.pool.hub.tally.completed)
        outcomes = await asyncio.gather(*tasks)
        await steps.end()

    assert all(outcome.is_accepted for outcome in outcomes)
    assert steps.largest[0] <= 2000 and simulator.accepted_count == 10000


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


async def test_many_whose_time_is_over_hold_up_nobody(simulator):
    """They end in portions: those that have no response, and those that wait."""
    simulator.script_provider(ProviderScript(hold=True))
    ended = 0

    async def send(number, deadline):
        nonlocal ended
        outcome = await client.send(token(number), ALERT, deadline=deadline)
        ended += 1
        return outcome

    async with client_of(simulator, pool_size=1) as client:
        # It is over when all of them have been begun.
        loop = asyncio.get_running_loop()
        end = loop.time() + 1
        tasks = [asyncio.ensure_future(send(number, end)) for number in range(4000)]
        await happens(simulator, lambda: simulator.held == 1000)
        steps = Steps(lambda: ended)
        outcomes = await asyncio.gather(*tasks)
        await steps.end()

    assert {type(outcome.error) for outcome in outcomes} == {Timeout}
    assert steps.largest[0] <= PORTION


def test_deadlines_of_the_past_are_dropped_in_portions():
    """Where many wait for one that has the first deadline, and it ends."""
    class Waiter:
        """One whose time does not come."""

        is_over = False

    deadlines, waiters = Deadlines(), [Waiter() for _ in range(1000)]
    for number, waiter in enumerate(waiters):
        deadlines.add(number, waiter)
    assert deadlines.first() == 0
    for waiter in waiters:
        waiter.is_over = True
    left = []
    while deadlines.first() is not None:
        left.append(len(deadlines))
    assert [before - after for before, after in zip([1000] + left, left)] == [PORTION] * 3
