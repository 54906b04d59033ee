"""Callers who share a client take turns, however much each of them has to send.

In a world whose time is set, see :mod:`aio_world`; what is counted is what the server gets.
"""

import pytest

from aio_world import START, Plan, World
from apnsclient.protocols.http2 import frames
from sender_peer import ACCEPT, Script

#: How many requests the server takes at a time, and how long each of them takes.
LIMIT, SECONDS = 10, 0.125
#: When others come who do not begin the campaign.
LATER = 1.0


def run(*plans, **options):
    """Run callers beside each other, over one connection without much room."""
    script = Script(settings=[(frames.MAX_CONCURRENT_STREAMS, LIMIT)], then=(ACCEPT, SECONDS))
    world = World([script], plans, size=1, **options).run()
    assert all(outcome.is_accepted for caller in world.callers
               for outcome in caller.outcomes.values())
    return world


def overtaken(world, first, second):
    """Return how many requests of one caller are begun between another one's coming and its last.
    """
    names = world.callers[first].names, world.callers[second].names
    began, last = world.callers[second].began, names[1][-1]
    assert began > START
    later = [flight.name for flight in world.flights if flight.begun_at >= began]
    return sum(name in set(names[0]) for name in later[:later.index(last)])


@pytest.mark.parametrize("queue_size", [4, 50, 1000])
def test_a_single_notification_does_not_wait_behind_a_campaign(queue_size):
    """It goes out as soon as there is room, after those that were about to go."""
    world = run(Plan("many", 1000), Plan("single", 1, after=LATER), queue_size=queue_size)

    assert overtaken(world, 0, 1) <= 2 * LIMIT


@pytest.mark.parametrize("is_async", [False, True])
def test_campaigns_take_turns(is_async):
    """A short one is over after a few more than twice as many requests, whoever began."""
    world = run(Plan("many", 3000, window=2000), Plan("many", 200, after=LATER, is_async=is_async))

    assert overtaken(world, 0, 1) <= 200 + 20 * LIMIT


def test_single_notifications_are_no_reason_to_wait_for_a_campaign():
    """Those who send one by one are one among several: all of them together take their turn."""
    world = run(Plan("single", 600), Plan("many", 100, after=LATER), queue_size=2000)

    assert overtaken(world, 0, 1) <= 100 + 20 * LIMIT


def test_a_campaign_leaves_its_share_to_the_others_when_it_is_over():
    """Three in a row, and a fourth one that lasts."""
    world = run(*[Plan("many", 50, after=0.5 * number) for number in range(3)],
                Plan("many", 1000), queue_size=20)

    assert len(set(world.rooms)) == 1
