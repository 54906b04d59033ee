"""Greenlets that share a connection, without monkey-patching.

The look for a leader, which each follower has once a second, is put off: whoever goes on was told.
"""

from __future__ import absolute_import, division, print_function

import pytest

pytest.importorskip("gevent")
pytest.importorskip("hpack")
pytest.importorskip("jwt")

import gevent

from apnsclient.backends._connect import Race
from apnsclient.sending import spreading
from apnsclient.sync import host
from apnsclient.testing.simulator import ProviderScript
from frame_peers import ACCEPTED, TOKENS, client_for, message, outcome
from gevent_support import await_green, green_session
from net_support import SOON

pytestmark = pytest.mark.timeout(240)

HELD = ProviderScript(hold=True)


@pytest.fixture
def client(simulator, monkeypatch):
    """An ``APNs`` over a session of the green back-end."""
    monkeypatch.setattr(host, "_LONGEST_WAIT", 4.0 * SOON)
    session = green_session(ca_string=simulator.ca_string)
    yield client_for(session, simulator)
    session.shutdown()


def send_each(client, numbers, **options):
    """Send a message to each token, in a greenlet of its own; return the greenlets."""
    return [gevent.spawn(client.send, message(number), **options) for number in numbers]


def await_all(simulator, client, count):
    """Have one lead and the others follow, with a request of each on its way."""
    await_green(lambda: simulator.held == count
                and client._connection._host().follower_count == count - 1)


def expect_accepted(greenlets):
    assert [outcome(one.get(timeout=SOON)) for one in greenlets] == [ACCEPTED] * len(greenlets)


def test_fifty_greenlets_share_one_connection(simulator, client):
    """They lead one after the other, and nobody does so twice at a time."""
    simulator.script_provider(HELD)
    greenlets = send_each(client, range(50))
    await_all(simulator, client, 50)
    simulator.release_held()
    expect_accepted(greenlets)
    assert simulator.provider_connections == 1
    assert sorted(simulator.accepted_tokens()) == TOKENS[:50]
    assert "1 idle, 0 in use, 0 callers waiting" in repr(client._connection)


@pytest.mark.parametrize("leave", [
    gevent.Greenlet.kill, lambda one: one.kill(gevent.Timeout(1))], ids=["killed", "timed out"])
@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_greenlet_that_is_killed_leaves_the_others_alone(simulator, client, role, leave):
    """Another one leads at once; the responses come over the same connection."""
    simulator.script_provider(HELD)
    greenlets = send_each(client, range(5))
    await_all(simulator, client, 5)
    leading = client._connection._host()._lead_now().call
    following = set(client._connection._host()._followers)
    leave(greenlets.pop(0 if role == "leader" else 2))
    # Greenlets begin in order, so that the first one leads.
    now = client._connection._host()._lead_now().call
    assert (now in following) if role == "leader" else (now is leading)
    assert client._connection._host().follower_count == 3
    simulator.release_held()
    expect_accepted(greenlets)
    assert simulator.provider_connections == 1
    assert sorted(simulator.accepted_tokens()) == TOKENS[:5]


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_call_whose_time_is_over_leaves_the_others_alone(simulator, client, role):
    """What was sent of it is unknown, and the others wait on."""
    simulator.script_provider(HELD)
    # The time of the call is not for connecting.
    first = send_each(client, [4])
    await_green(lambda: simulator.held == 1)
    simulator.release_held()
    expect_accepted(first)
    greenlets = []
    for number in range(4):
        is_hurried = (number == 0) == (role == "leader") and number in (0, 3)
        greenlets += send_each(client, [number], timeout=2 if is_hurried else None)
    hurried = greenlets.pop(0 if role == "leader" else 3)
    result = hurried.get(timeout=SOON)
    assert result.unknown == result.retry().tokens != []
    await_green(lambda: simulator.held == 4 and client._connection._host().follower_count == 2)
    simulator.release_held()
    expect_accepted(greenlets)
    assert simulator.provider_connections == 1


def test_an_iterable_that_blocks_holds_up_nobody(simulator, client):
    """Nor does a consumer that takes its time, or one that sends."""
    waiting, go_on = gevent.event.Event(), gevent.event.Event()

    def messages():
        yield message(0)
        waiting.set()
        assert go_on.wait(SOON)
        assert outcome(client.send(message(1))) == ACCEPTED
        yield message(2)

    campaign = gevent.spawn(lambda: [outcome(one) for one in client.send_many(messages())])
    assert waiting.wait(SOON)
    expect_accepted(send_each(client, range(10, 15)))
    go_on.set()
    assert campaign.get(timeout=SOON) == [ACCEPTED] * 2
    assert simulator.provider_connections == 1


@pytest.mark.parametrize("has_follower", [False, True])
def test_a_leader_that_is_killed_while_a_further_connection_is_opened(
        simulator, client, monkeypatch, has_follower):
    """It is given up if nobody needs it; otherwise the next leader goes on with it."""
    def is_opening():
        return connections.is_opening and connections._opening._attempt.interests()

    monkeypatch.setattr(spreading.Spreading, "_worthwhile_wait", staticmethod(lambda _: 0.0))
    monkeypatch.setattr(spreading, "_LONGEST_OPENING", SOON)
    held = ProviderScript(settings={"max_concurrent_streams": 1}, hold=True)
    simulator.script_provider(held, ProviderScript(stall_handshake=True))
    greenlets = [gevent.spawn(client.send, message(0, 20))]
    connections = client._connection._host()._connections
    await_green(lambda: simulator.held == 1)
    simulator.release_held()
    await_green(is_opening)
    attempt = connections._opening._attempt
    if has_follower:
        greenlets.append(gevent.spawn(client.send, message(20, 20)))
        await_green(lambda: client._connection._host().follower_count == 1)
    greenlets.pop(0).kill()
    assert bool(attempt.interests()) is has_follower
    assert connections.is_opening is has_follower
    if not has_follower:
        assert client._connection.session.pool.in_use_count() == 0
    for one in greenlets:
        await_green(lambda one=one: one.ready() or simulator.release_held() < 0)
    expect_accepted(greenlets)
    assert not attempt.interests()


def test_a_leader_that_is_killed_while_it_takes_a_further_connection_a_step_on(
        simulator, client, monkeypatch):
    """Others run in between, and may do so. The next leader opens another one."""
    def advance(self):
        if not killed:
            killed.append(gevent.getcurrent())
            killed[0].kill(block=False)
        return go_on(self)

    go_on, killed = Race.advance, []
    monkeypatch.setattr(Race, "advance", advance)
    monkeypatch.setattr(spreading.Spreading, "_worthwhile_wait", staticmethod(lambda _: 0.0))
    simulator.script_provider(ProviderScript(settings={"max_concurrent_streams": 1}, hold=True))
    greenlets = [gevent.spawn(client.send, message(number, 20)) for number in (0, 20)]
    await_green(lambda: client._connection._host().follower_count == 1)
    await_green(lambda: killed or simulator.release_held() < 0)
    assert killed == greenlets[:1]
    await_green(lambda: greenlets[1].ready() or simulator.release_held() < 0)
    assert isinstance(greenlets[0].get(timeout=SOON), gevent.GreenletExit)
    expect_accepted(greenlets[1:])
    backend = client._connection.session.pool
    assert (backend.in_use_count(), backend.idle_count()) == (0, simulator.provider_connections)
