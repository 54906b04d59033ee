"""The queue by itself: who is next, who has a place, and that nothing is kept of the past."""

from aio_world import START, Plan, World
from apnsclient.aio._queue import Queue
from apnsclient.aio._work import Post, Tally
from apnsclient.aio.errors import Closed, Kind, Timeout
from apnsclient.protocols.http2 import frames
from sender_peer import ACCEPT, Script

#: More than are kept of those that have ended.
MANY = 5000
NOW = 1024.0


def new_post(flow=None, template=b"payload"):
    """Return a request without a deadline."""
    post = Post(b"token", template, None)
    post.flow = flow
    return post


def new_queue(count, size=None):
    """Return a queue with so many requests, and these."""
    queue = Queue(size, Tally())
    posts = [new_post() for _ in range(count)]
    for post in posts:
        queue.enter(post)
    return queue, posts


def end(queue, post):
    """Do what the hub does when a caller leaves that waits here."""
    post.is_over = True
    queue.note_ended(post)


def taken(queue, most):
    """Return what each flow hands over, in order."""
    return [queue.take(flow, most, NOW)[0] for flow in queue.next_flows()]


def test_little_is_kept_of_requests_that_have_ended():
    """Although there is one in front of them that waits, and then nothing at all."""
    queue, (first, *others) = new_queue(MANY)
    for post in others:
        end(queue, post)
    flow, = queue.next_flows()
    assert queue.count == 1 and len(flow.posts) < MANY // 2
    end(queue, first)
    assert queue.count == 0 and not queue.next_flows() and not flow.posts


def test_a_place_is_given_to_whoever_came_first():
    """When one is taken off, or ends; each that waited is counted from then on."""
    queue, posts = new_queue(6, size=3)
    assert queue.is_full and [post.has_place for post in posts] == 3 * [True] + 3 * [False]
    assert taken(queue, 1) == [posts[:1]]
    assert [post.has_place for post in posts] == 4 * [True] + 2 * [False]
    queue.leave(posts[4])
    end(queue, posts[1])
    assert posts[5].has_place and not posts[4].has_place
    assert (queue.count, queue.is_full) == (3, True)
    assert taken(queue, 9) == [posts[2:4] + posts[5:]]
    assert (queue.count, queue.is_full) == (0, False)


def test_a_flow_hands_nothing_over_while_something_of_it_waits_to_be_started():
    """Another one does, and what was not processed goes out before the rest."""
    queue, posts = new_queue(2)
    flow = queue.new_flow()
    campaign = [new_post(flow) for _ in range(4)]
    for post in campaign:
        queue.add(post)
    assert taken(queue, 2) == [posts, campaign[:2]]

    class Waiting:
        """A call of which nothing was started."""

        @staticmethod
        def next_waiting():
            """Return some work."""
            return posts

    flow.call = Waiting()
    assert queue.next_flows() == []
    queue.put_back(posts)
    assert taken(queue, 2) == [posts]
    flow.call = None
    queue.put_back(campaign[:2])
    assert taken(queue, 9) == [campaign]


def test_campaigns_have_equal_shares_of_half_of_the_places():
    """More only when less than half of the share is left, and never more than there is room for."""
    queue = Queue(100, Tally())
    flows = [queue.new_flow()]
    assert queue.spare(flows[0]) == 50
    flows.append(queue.new_flow())
    assert [queue.spare(flow) for flow in flows] == [25, 25]
    for _ in range(13):
        queue.add(new_post(flows[0]))
    assert [queue.spare(flow) for flow in flows] == [0, 25]
    for _ in range(80):
        queue.enter(new_post())
    assert [queue.spare(flow) for flow in flows] == [0, 7]
    queue.enter(new_post())
    for _ in range(6):
        queue.enter(new_post())
    assert [queue.spare(flow) for flow in flows] == [0, 0] and queue.is_full
    queue.remove_flow(flows.pop())
    smallest = Queue(1, Tally())
    assert smallest.spare(smallest.new_flow()) == 1


def test_a_request_that_is_none_to_a_device_goes_by_itself():
    """In order, between the others."""
    queue = Queue(None, Tally())
    posts = [new_post(template=template) for template in (b"a", b"b", None, None, b"c")]
    for post in posts:
        queue.add(post)
    assert [taken(queue, 9) for _ in range(4)] == [
        [posts[:2]], [posts[2:3]], [posts[3:4]], [posts[4:]]]


def test_what_was_not_processed_has_its_time_and_no_more():
    """It waits for another connection, and none can be had."""
    world = World(
        [Script(settings=[(frames.MAX_CONCURRENT_STREAMS, 1)], then=(ACCEPT, 30.0),
                acts=[(1, "hang up", None)])] + 20 * [Script(opening="unreachable")],
        [Plan("single", 3, timeout=5.0)], size=1).run()

    caller, = world.callers
    first, *others = [caller.outcomes[name] for name in caller.names]
    assert (first.kind, type(first.error)) == (Kind.unknown, Closed)
    assert {(one.kind, type(one.error)) for one in others} == {(Kind.unprocessed, Timeout)}
    assert {caller.ended[name] - caller.began for name in caller.names[1:]} == {5.0}


def test_what_waits_goes_out_as_soon_as_the_transport_has_room():
    """The peer takes its bytes slowly, and no response comes that would be a reason to look."""
    world = World([Script(then=(ACCEPT, 30.0))], [Plan("single", 50, size=300)], size=1, pipe=700,
                  high=4000).run()

    assert len(world.flights) == 50
    assert world.flights[-1].begun_at < world.flights[0].begun_at + 30.0


def test_a_smaller_pool_closes_a_connection_that_nobody_uses():
    """At once: nothing else happens by then that would be a reason to look."""
    script, later = Script(settings=[(frames.MAX_CONCURRENT_STREAMS, 5)]), 200.0
    world = World([script, script], [Plan("many", 300)], size=2, sizes=[(later, 1)]).run()

    first, second = sorted(line.closed_at for line in world.lines)
    assert START + later < first < START + later + 2 < second
