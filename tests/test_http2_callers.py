"""Many callers at once over HTTP/2: few connections, shared, and nobody waits for ever."""

from __future__ import absolute_import, division, print_function

import threading
from functools import partial

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import Session
from apnsclient.errors import ConnectTimeout
from apnsclient.testing.simulator import ProviderScript
from frame_peers import ACCEPTED, TOKENS, client_for, message, outcome
from leases import lease, release
from net_support import SOON

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def sessions(simulator, http2_sessions):
    """A function that makes sessions that trust the simulator; they are shut down at the end."""
    return partial(http2_sessions, ca_string=simulator.ca_string)


def begin(client, session):
    """Return a generator that is in the middle of sending, and has connections in use."""
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


def test_a_caller_shares_the_connection_of_another_who_has_not_finished(apple):
    """Nobody waits for the end of another call, however long its caller takes over its results."""
    session = apple.session(protocol="http2", pool_size=1)
    client = client_for(session, apple)
    results, start = begin(client, session), apple.clock.now
    assert outcome(client.send(message())) == ACCEPTED
    assert apple.clock.now == start
    assert "1 in use, 0 callers waiting" in repr(session)
    assert [outcome(result) for result in results] == [ACCEPTED]
    assert apple.provider_connections == 1
    assert "1 idle, 0 in use" in repr(session)


def test_a_caller_waits_for_a_connection_no_longer_than_connect_timeout(apple):
    """Where another session with the same back-end has all of them: the error says what to set."""
    session = apple.session(protocol="http2", pool_size=1, connect_timeout=64)
    other = Session(session.pool, protocol="http2")
    results = begin(client_for(other, apple), other)
    client, start = client_for(session, apple), apple.clock.now
    with pytest.raises(ConnectTimeout, match="pool_size"):
        client.send(message())
    assert apple.clock.now - start == 64
    assert "1 in use, 0 callers waiting" in repr(session)
    results.close()
    assert not client.send(message()).errors
    assert apple.provider_connections == 1
    assert "0 in use" in repr(session)


def test_a_generator_that_is_abandoned_releases_its_connection(apple):
    """To whoever is waiting, at that moment."""
    session = apple.session(protocol="http2", pool_size=1, connect_timeout=64)
    other = Session(session.pool, protocol="http2")
    results, start = [begin(client_for(other, apple), other)], apple.clock.now
    apple.clock.call_later(5, results.pop)
    assert not client_for(session, apple).send(message()).errors
    assert apple.clock.now - start == 5


def test_a_pause_between_messages_leaves_the_connection_to_others(apple):
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


def test_a_forked_child_has_all_slots(simulator, sessions, in_forked_child):
    """Whatever its parent was doing; and the parent's connection is not touched."""
    session = sessions(pool_size=1)
    client = client_for(session, simulator)
    results = begin(client, session)

    def child():
        assert not client.send(message()).errors
        session.shutdown()

    in_forked_child(child)
    assert not next(results).errors
    results.close()
    assert simulator.provider_connections == 2


def test_a_fresh_connection_is_not_one_too_many(apple):
    """Who needs one waits for a slot again, and others may have opened theirs meanwhile."""
    session = apple.session(protocol="http2", pool_size=2)
    connection = session.get_connection(
        apple.provider_address, cert_string=apple.cert_string)
    release(connection, lease(connection), lease(connection))
    assert session.pool.idle_count() == 2
    fresh = lease(connection, True)
    assert session.pool.idle_count() == 1
    release(connection, fresh)
    # As long as there is room, nothing that is idle has to go.
    session.shutdown()
    release(connection, lease(connection))
    fresh = lease(connection, True)
    assert session.pool.idle_count() == 1
    release(connection, fresh)
