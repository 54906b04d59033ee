"""Many callers at once over HTTP/2: few connections, in turn, and nobody waits for ever."""

from __future__ import absolute_import, division, print_function

import threading
from functools import partial

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient.errors import ConnectTimeout
from apnsclient.testing.simulator import ProviderScript
from frame_peers import ACCEPTED, TOKENS, client_for, message, outcome
from net_support import SOON

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def sessions(simulator, http2_sessions):
    """A function that makes sessions that trust the simulator; they are shut down at the end."""
    return partial(http2_sessions, ca_string=simulator.ca_string)


def hold(client, session):
    """Return a generator that holds a connection until it is closed, and what it has returned."""
    # More than may be in flight at once, so that there is something left to do.
    results = client.send_many([message(), message(count=3000)])
    assert not next(results).errors
    assert session.pool.in_use_count() == 1
    return results


@pytest.mark.parametrize("count, pool_size, is_token", [
    (50, 1, False), (200, 3, False), (50, 3, True)])
def test_many_threads_share_a_few_connections(simulator, sessions, count, pool_size, is_token):
    """Apple takes many connections for an attack: never more than pool_size are opened."""
    session = sessions(pool_size=pool_size, connect_timeout=SOON)
    client = client_for(session, simulator, is_token)
    start, results = threading.Event(), []

    def send(number):
        start.wait(SOON)
        results.extend(client.send(message(index)) for index in range(number, 3 * count, count))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    start.set()
    for thread in threads:
        thread.join(SOON * 2)
    assert [outcome(result) for result in results] == [ACCEPTED] * 3 * count
    assert sorted(simulator.accepted_tokens()) == TOKENS[:3 * count]
    assert 1 <= simulator.provider_connections <= pool_size
    assert "0 in use, 0 callers waiting" in repr(session)


def test_a_caller_waits_no_longer_than_connect_timeout(apple):
    """The error says what is in use and what to set; the turn is there again afterwards."""
    session = apple.session(protocol="http2", pool_size=1, connect_timeout=64)
    client = client_for(session, apple)
    results = hold(client, session)
    begin = apple.clock.now
    with pytest.raises(ConnectTimeout, match="pool_size"):
        client.send(message())
    assert apple.clock.now - begin == 64
    assert "1 in use, 0 callers waiting" in repr(session)
    results.close()
    assert not client.send(message()).errors
    assert apple.provider_connections == 1
    assert "0 in use" in repr(session)


def test_a_generator_that_is_abandoned_gives_its_turn_back(apple):
    """To whoever is waiting, at that moment."""
    session = apple.session(protocol="http2", pool_size=1, connect_timeout=64)
    client = client_for(session, apple)
    results = [hold(client, session)]
    begin = apple.clock.now
    apple.clock.call_later(5, results.pop)
    assert not client.send(message()).errors
    assert apple.clock.now - begin == 5


def test_a_pause_between_messages_leaves_the_turn_to_others(apple):
    """Whoever sends while a generator waits for its next message gets the only connection."""
    apple.script_provider(ProviderScript(delay=0.5))
    client = apple.provider_client(pool_size=1)

    def messages():
        yield message(0)
        apple.clock.advance(0.25)
        yield message(1)
        assert outcome(client.send(message(2))) == ACCEPTED
        yield message(3)

    begin = apple.clock.now
    results = client.send_many(messages())
    assert [outcome(result) for result in results] == [ACCEPTED] * 3
    assert apple.clock.now - begin == 0.25 + 4 * 0.5
    assert apple.accepted_tokens() == TOKENS[:4]
    assert apple.provider_connections == 1


def test_a_forked_child_has_all_turns(simulator, sessions, in_forked_child):
    """Whatever its parent was doing; and the parent's connection is not touched."""
    session = sessions(pool_size=1)
    client = client_for(session, simulator)
    results = hold(client, session)

    def child():
        assert not client.send(message()).errors
        session.shutdown()

    in_forked_child(child)
    assert not next(results).errors
    results.close()
    assert simulator.provider_connections == 2


def test_a_fresh_connection_is_not_one_too_many(apple):
    """Who needs one waits for a turn again, and others may have opened theirs meanwhile."""
    session = apple.session(protocol="http2", pool_size=2)
    connection = session.get_connection(
        apple.provider_address, cert_string=apple.cert_string)
    first, second = connection._lease(False), connection._lease(False)
    first.close()
    connection._release(first)
    third = connection._lease(False)
    connection._release(second)
    connection._release(third)
    assert session.pool.idle_count() == 2
    fresh = connection._lease(True)
    assert session.pool.idle_count() == 1
    connection._release(fresh)
    # As long as there is room, nothing that is idle has to go.
    session.shutdown()
    connection._release(connection._lease(False))
    fresh = connection._lease(True)
    assert session.pool.idle_count() == 1
    connection._release(fresh)
