"""A further connection is on its way, over sockets and TLS, when something happens to a caller.

``test_http2_spreading`` has what needs no sockets, in a time of its own.
"""

from __future__ import absolute_import, division, print_function

import gc
import signal
import socket
from functools import partial

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs
from apnsclient.sending import spreading
from apnsclient.testing.simulator import ProviderScript
from frame_peers import ACCEPTED, client_for, message, new_session, outcome
from interrupt_support import Limit, Once, handler_of, handling
from net_support import SOON
from stdio_support import GONE, SHORT, Gate, Server, until, wait_for_end
from test_http2_sharing import Caller, await_held
from test_proxy import OK, Proxy, carry, url

pytestmark = pytest.mark.timeout(240)

needs_signals = pytest.mark.skipif(
    not hasattr(signal, "SIGUSR2"), reason="this system has no such signal")

#: One request at a time, each of which is responded to when the test says so.
HELD = ProviderScript(settings={"max_concurrent_streams": 1}, hold=True)


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    """A further connection is wanted once the first one has proved itself, and has much time."""
    monkeypatch.setattr(spreading.Spreading, "_worthwhile_wait", staticmethod(lambda _: 0.0))
    monkeypatch.setattr(spreading, "_LONGEST_OPENING", SOON)


class Relay(Server):
    """Leads to an address; what comes over the second connection waits until a gate is open.

    :ivar gate: that gate.
    """

    def __init__(self, target):
        super(Relay, self).__init__(self._carry, ignore=GONE)
        self.gate = Gate()
        self._target = target

    def _carry(self, accepted):
        if self.accepted.index(accepted) == 1:
            self.gate.wait()
        carry(accepted, socket.create_connection(self._target))

    def __exit__(self, *exception):
        self.gate.open()
        super(Relay, self).__exit__(*exception)


@pytest.fixture
def relay(simulator):
    simulator.script_provider(HELD)
    with Relay(simulator.provider_address) as running:
        yield running


@pytest.fixture
def client(simulator, http2_sessions, relay):
    """An ``APNs`` to the simulator through the relay."""
    return through(relay.address, http2_sessions(ca_string=simulator.ca_string, pool_size=2),
                   simulator)


def through(address, session, simulator):
    return APNs(session.get_connection(address, cert_string=simulator.cert_string))


def has_begun(client, relay):
    """Return True while a further connection is on its way, and waits at the relay."""
    connections = client._connection._host()._connections
    return connections.is_opening and len(relay.accepted) == 2


def let_it_begin(simulator, client, relay):
    """Have the first request responded to, and wait for a further connection."""
    await_held(simulator, 1)
    simulator.release_held()
    until(lambda: has_begun(client, relay))


def expect_given_up(client, relay):
    """See that the further connection is closed, and that nothing is in use."""
    expect_end(relay)
    assert client._connection.session.pool.in_use_count() == 0


def expect_end(relay):
    """See that the further connection is closed."""
    accepted = relay.accepted[1]
    accepted.settimeout(SOON)
    while accepted.recv(65536):
        pass


def finish(simulator, caller):
    """Respond to all requests, until a caller has its results; return them."""
    until(lambda: not caller.is_alive(), simulator.release_held)
    return caller.get()


def suspended(simulator, client, relay):
    """Return results of which some are still to come, and a further connection is on its way."""
    results = client.send_many([message(0), message(1, 2), message(3, 20)])
    caller = Caller(lambda: [outcome(next(results)) for _ in range(2)])
    let_it_begin(simulator, client, relay)
    assert finish(simulator, caller) == [ACCEPTED] * 2
    assert has_begun(client, relay)
    return results


def take_all(results):
    return [outcome(one) for one in results]


@needs_signals
@pytest.mark.parametrize("has_follower", [False, True])
def test_an_interrupt_of_the_leader(simulator, client, relay, has_follower):
    """The connection is given up if nobody needs it; otherwise the next leader goes on with it."""
    followers = []

    def others():
        let_it_begin(simulator, client, relay)
        if has_follower:
            followers.append(Caller(partial(client.send, message(20, 20))))
            until(lambda: client._connection._host().follower_count == 1)
        limit.strike()

    limit = Once(handler_of(Limit))
    with handling() as handle:
        handle(limit)
        other = Caller(others)
        with pytest.raises(Limit):
            client.send(message(0, 20))
        other.get()
    if not has_follower:
        expect_given_up(client, relay)
        return
    relay.gate.open()
    until(lambda: simulator.provider_connections == 2)
    assert outcome(finish(simulator, followers.pop())) == ACCEPTED


def test_results_that_nobody_takes(simulator, client, relay):
    """What was on its way for them is closed with them."""
    results = suspended(simulator, client, relay)
    del results
    gc.collect()
    expect_given_up(client, relay)


def test_a_session_that_is_collected(simulator, relay):
    """With results of which some are still to come: nothing is left open, and nothing warns."""
    session = new_session(ca_string=simulator.ca_string, pool_size=2)
    client = through(relay.address, session, simulator)
    results = suspended(simulator, client, relay)
    del session, client, results
    gc.collect()
    expect_end(relay)
    until(lambda: simulator.open_provider_connections == 0)


def test_a_shutdown_leaves_it_alone(simulator, client, relay):
    """It is in use; whoever sends goes on with it."""
    results = suspended(simulator, client, relay)
    client._connection.session.shutdown()
    caller = Caller(partial(take_all, results))
    relay.gate.open()
    until(lambda: simulator.provider_connections == 2)
    assert finish(simulator, caller) == [ACCEPTED]
    assert len(relay.accepted) == 2


def test_a_forked_child_leaves_it_to_its_parent(simulator, client, relay, in_forked_child):
    """It opens connections of its own, also for a call of its parent's that it goes on with."""
    results = suspended(simulator, client, relay)
    attempt = client._connection._host()._connections._opening.connection
    assert attempt.interests()

    def child():
        assert outcome(client.send(message(30))) == ACCEPTED
        assert take_all(results) == [ACCEPTED]
        assert not attempt.interests()
        assert client._connection.session.pool.in_use_count() == 0

    in_forked_child(child)
    caller = Caller(partial(take_all, results))
    relay.gate.open()
    until(lambda: simulator.provider_connections == 3)
    assert finish(simulator, caller) == [ACCEPTED]
    # The third one is that of the child.
    assert len(relay.accepted) == 3


def test_a_lookup_that_hangs_holds_up_nobody(simulator, client, relay, monkeypatch):
    """The connection that there is serves all, and none is waited for at the end."""
    def hang(host, *arguments):
        if host == "localhost":
            asked.append(host)
            if len(asked) > 1:
                gate.wait()
        return find(host, *arguments)

    find, asked, gate = socket.getaddrinfo, [], Gate()
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    named = through(("localhost", relay.address[1]), client._connection.session, simulator)
    caller = Caller(lambda: named.send(message(0, 20)))
    assert outcome(finish(simulator, caller)) == ACCEPTED
    gate.open()
    assert asked == ["localhost"] * 2
    assert len(relay.accepted) == 1
    assert named._connection.session.pool.in_use_count() == 0


def test_a_further_connection_through_a_proxy(simulator, http2_sessions):
    """It goes the same way as the first one, and does not hold it up."""
    simulator.script_provider(HELD)
    proxy = Proxy()
    with Server(proxy, ignore=GONE) as server:
        client = client_for(http2_sessions(
            ca_string=simulator.ca_string, pool_size=2, proxy=url(server)), simulator)
        caller = Caller(lambda: client.send(message(0, 20)))
        await_held(simulator, 1)
        simulator.release_held()
        until(lambda: simulator.provider_connections == 2)
        assert outcome(finish(simulator, caller)) == ACCEPTED
        client._connection.session.shutdown()
    assert len(proxy.requests) == 2


def test_a_proxy_that_is_silent_holds_up_nobody(simulator, http2_sessions, monkeypatch):
    """The second time; the connection is given up when its time is over."""
    def respond(accepted):
        if len(proxy.requests) > 1:
            wait_for_end(accepted)
        else:
            accepted.sendall(OK)

    monkeypatch.setattr(spreading, "_LONGEST_OPENING", SHORT)
    simulator.script_provider(HELD)
    proxy = Proxy(respond)
    with Server(proxy, ignore=GONE) as server:
        client = client_for(http2_sessions(
            ca_string=simulator.ca_string, pool_size=2, proxy=url(server)), simulator)
        caller = Caller(lambda: client.send(message(0, 20)))
        await_held(simulator, 1)
        simulator.release_held()
        until(lambda: len(proxy.requests) == 2)
        connections = client._connection._host()._connections
        until(lambda: not connections.is_opening)
        assert outcome(finish(simulator, caller)) == ACCEPTED
        assert client._connection.session.pool.in_use_count() == 0
        client._connection.session.shutdown()
    assert simulator.provider_connections == 1
