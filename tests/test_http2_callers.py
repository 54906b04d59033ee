"""Many callers at once over HTTP/2: few connections, in turn, and nobody waits for ever."""

from __future__ import absolute_import, division, print_function

import os
import threading

import pytest

from apnsclient import APNs, Message
from apnsclient._compat import monotonic
from apnsclient.errors import ConnectTimeout
from net_support import make_tokens
from stdio_support import SOON

pytestmark = pytest.mark.timeout(240)


def client_of(session, simulator):
    return APNs(session.get_connection(
        simulator.provider_address, cert_string=simulator.cert_string))


def message(tokens):
    return Message(tokens, alert="x", apns_topic="com.example.app")


def hold(client, session):
    """Return a generator that holds a connection until it is closed, and what it has returned."""
    # More than may be in flight at once, so that there is something left to do.
    results = client.send_many([message(make_tokens(1)), message(make_tokens(3000, 1))])
    assert not next(results).errors
    assert session._turns.in_use() == 1
    return results


@pytest.mark.parametrize("pool_size", [1, 3])
def test_200_threads_share_a_few_connections(simulator, new_session, pool_size):
    """Apple takes many connections for an attack: never more than pool_size are opened."""
    session = new_session(protocol="http2", pool_size=pool_size, connect_timeout=SOON)
    client = client_of(session, simulator)
    start, results = threading.Event(), []

    def send(token):
        start.wait(SOON)
        results.append(client.send(message([token])))

    tokens = make_tokens(200)
    threads = [threading.Thread(target=send, args=(token,)) for token in tokens]
    for thread in threads:
        thread.daemon = True
        thread.start()
    start.set()
    for thread in threads:
        thread.join(SOON * 2)
    assert len(results) == 200
    assert not any(result.errors or result.failed or result.needs_retry() for result in results)
    assert sorted(one.token for one in simulator.accepted) == sorted(tokens)
    assert 1 <= simulator.provider_connections <= pool_size
    assert (session._turns.in_use(), session._turns.waiting()) == (0, 0)


def test_a_caller_waits_no_longer_than_connect_timeout(simulator, new_session):
    """The error says what is in use and what to set; the turn is there again afterwards."""
    session = new_session(protocol="http2", pool_size=1, connect_timeout=0.3)
    client = client_of(session, simulator)
    results = hold(client, session)
    begin = monotonic()
    with pytest.raises(ConnectTimeout, match="pool_size"):
        client.send(message(make_tokens(1)))
    assert monotonic() - begin < SOON
    results.close()
    assert not client.send(message(make_tokens(1))).errors
    assert simulator.provider_connections == 1


def test_a_generator_that_is_abandoned_gives_its_turn_back(simulator, new_session):
    """To whoever is waiting."""
    session = new_session(protocol="http2", pool_size=1)
    client = client_of(session, simulator)
    results, sent = [hold(client, session)], []
    thread = threading.Thread(target=lambda: sent.append(client.send(message(make_tokens(1)))))
    thread.daemon = True
    thread.start()
    end, pause = monotonic() + SOON, threading.Event()
    while not session._turns.waiting():
        assert monotonic() < end
        pause.wait(0.001)
    del results[:]
    thread.join(SOON)
    assert len(sent) == 1 and not sent[0].errors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_all_turns(simulator, new_session, in_forked_child):
    """Whatever its parent was doing; and the parent's connection is not touched."""
    session = new_session(protocol="http2", pool_size=1)
    client = client_of(session, simulator)
    results = hold(client, session)

    def child():
        assert not client.send(message(make_tokens(1))).errors
        session.shutdown()

    in_forked_child(child)
    assert not next(results).errors
    results.close()
    assert simulator.provider_connections == 2


def test_a_fresh_connection_is_not_one_too_many(simulator, new_session):
    """Who needs one waits for a turn again, and others may have opened theirs meanwhile."""
    session = new_session(protocol="http2", pool_size=2)
    connection = session.get_connection(
        simulator.provider_address, cert_string=simulator.cert_string)
    first, second = connection._lease(False), connection._lease(False)
    first.close()
    connection._release(first)
    third = connection._lease(False)
    connection._release(second)
    connection._release(third)
    assert session._backend.idle_count() == 2
    fresh = connection._lease(True)
    assert session._backend.idle_count() == 1
    connection._release(fresh)
    # As long as there is room, nothing that is idle has to go.
    session.shutdown()
    connection._release(connection._lease(False))
    fresh = connection._lease(True)
    assert session._backend.idle_count() == 1
    connection._release(fresh)
