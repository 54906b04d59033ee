"""The green back-end in a process that is not monkey-patched."""

from __future__ import absolute_import, division, print_function

import socket
import threading
import time

import pytest

pytest.importorskip("gevent")
pytest.importorskip("hpack")
pytest.importorskip("jwt")

import gevent
import gevent.exceptions
import gevent.lock
import gevent.monkey
import gevent.resolver.thread

import apnsclient.backends.gevent
from apnsclient.errors import ConnectionLost
from apnsclient.testing.simulator import ProviderScript
from frame_peers import ACCEPTED, accept, accept_all, outcome, serve
from gevent_support import (
    all_of,
    await_green,
    beside_others,
    client_of,
    green_session,
    in_event_loop,
    message,
    noting_the_end,
)
from http2_support import headers
from net_support import make_tokens
from stdio_support import (
    AUTHORITY,
    CLIENT,
    GONE,
    SOON,
    SSL,
    Gate,
    Server,
    discard,
    over_tls,
    read_exactly,
    wait_for_end,
)
from test_proxy import Proxy

pytestmark = pytest.mark.timeout(240)


class Limit(Exception):
    """What ``gevent.Timeout(seconds, Limit())`` raises."""


#: What is thrown into greenlets. The last one is also what a connection that has failed raises.
KILLERS = [gevent.GreenletExit, gevent.Timeout, Limit, socket.error]

TOKENS = make_tokens(1000)


@pytest.fixture
def backend():
    return apnsclient.backends.gevent.Backend(ca_string=AUTHORITY.ca_string)


@pytest.fixture
def opened(backend):
    """A function that opens a connection to a server."""
    certificate = backend.get_certificate({"cert_string": CLIENT.pem})
    made = []

    def open_connection(address):
        made.append(backend.get_new_connection(address, certificate, SOON))
        made[-1].close_timeout = SOON
        return made[-1]

    yield open_connection
    for connection in made:
        connection.close()


@pytest.fixture
def sessions(simulator):
    """A function that makes green sessions, which trust the simulator, and an ``APNs`` for each."""
    made = []

    def make(protocol, **options):
        session = green_session(protocol, ca_string=simulator.ca_string, **options)
        made.append(session)
        address = (simulator.gateway_address if protocol == "binary"
                   else simulator.provider_address)
        return session, client_of(session, address, simulator.cert_string)

    yield make
    for session in made:
        session.shutdown()


def sends(client, token):
    """Send to one token, which must be accepted."""
    assert outcome(client.send(message(token))) == ACCEPTED


# Many greenlets.


def test_nothing_is_patched():
    """The back-end works without monkey-patching, and does none itself."""
    assert gevent.monkey.saved == {}


def test_a_thousand_greenlets_share_few_connections_over_http2(simulator, sessions):
    """All send at once; the server never sees more connections than ``pool_size``."""
    session, client = sessions("http2", pool_size=3, connect_timeout=100)

    all_of([lambda token=token: sends(client, token) for token in TOKENS])
    assert sorted(simulator.accepted_tokens()) == TOKENS
    assert 1 <= simulator.provider_connections <= 3
    assert "0 in use, 0 callers waiting" in repr(session)


def test_a_thousand_greenlets_share_few_connections_over_the_binary_protocol(simulator, sessions):
    """As many connections are opened as greenlets are let in at a time, and each is used again."""
    _, client = sessions("binary", pool_size=5, read_tail_timeout=0.001)
    gate = gevent.lock.BoundedSemaphore(5)

    def send(token):
        with gate:
            sends(client, token)

    all_of([lambda token=token: send(token) for token in TOKENS])
    assert simulator.wait_for(lambda: simulator.accepted_count >= 1000, SOON)
    assert sorted(simulator.accepted_tokens()) == TOKENS
    assert 1 <= simulator.connections <= 5


def test_feedback_is_read_while_others_send(simulator, sessions):
    """The whole list, over a connection of its own."""
    session, client = sessions("binary", read_tail_timeout=0)
    for token in TOKENS[:100]:
        simulator.devices.uninstall(token, 1400000000)
    feedback = apnsclient.APNs(session.new_connection(
        simulator.feedback_address, cert_string=simulator.cert_string))

    rows = all_of([lambda: list(feedback.feedback())]
                  + [lambda token=token: sends(client, token) for token in TOKENS[200:210]])[0]
    assert sorted(token.decode("ascii") for token, _ in rows) == TOKENS[:100]
    assert simulator.wait_for(lambda: simulator.accepted_count == 10, SOON)


def test_a_proxy_is_gone_through(simulator):
    """Over both protocols, with one tunnel for each connection."""
    proxy = Proxy()
    with Server(proxy) as server:
        for protocol in ("http2", "binary"):
            session = green_session(protocol, ca_string=simulator.ca_string, read_tail_timeout=0,
                                    proxy="http://%s:%d" % server.address)
            address = (simulator.gateway_address if protocol == "binary"
                       else simulator.provider_address)
            client = client_of(session, address, simulator.cert_string)
            all_of([lambda token=token: sends(client, token) for token in TOKENS[:1]])
            session.shutdown()
        assert simulator.wait_for(lambda: simulator.accepted_count == 2, SOON)
    assert len(proxy.requests) == 2


def test_threads_with_an_event_loop_each_share_a_session(simulator, sessions):
    """Greenlets of several threads have the lock one after the other."""
    session, client = sessions("http2", pool_size=2, connect_timeout=100)
    failures = []

    def run(tokens):
        try:
            all_of([lambda token=token: sends(client, token) for token in tokens])
        except BaseException as error:
            failures.append(error)
        finally:
            gevent.get_hub().destroy(destroy_loop=True)

    threads = [threading.Thread(target=run, args=(TOKENS[first:first + 50],))
               for first in range(0, 250, 50)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert failures == []
    assert sorted(simulator.accepted_tokens()) == TOKENS[:250]
    assert simulator.provider_connections <= 2
    assert "0 in use, 0 callers waiting" in repr(session)


# Others run meanwhile.


def test_others_run_during_the_name_lookup(backend, monkeypatch):
    """The resolver works in a thread of gevent's."""
    gate, asked = Gate(), []

    def look_up(*arguments):
        asked.append(arguments)
        gate.wait()
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    monkeypatch.setattr(gevent.resolver.thread._socket, "getaddrinfo", look_up)

    def connect():
        with pytest.raises(apnsclient.errors.ConnectError) as caught:
            backend.get_new_connection(("gateway.test", 1), backend.get_certificate(
                {"cert_string": CLIENT.pem}), SOON)
        return str(caught.value)

    assert "gateway.test" in beside_others(connect, gate.open, lambda: asked)


def test_others_run_during_the_connect(opened):
    """TCP is awaited: the port's queue is full until the others have run."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(5):
        fillers.append(socket.socket())
        fillers[-1].setblocking(False)
        fillers[-1].connect_ex(listener.getsockname())

    def connect():
        with pytest.raises(apnsclient.errors.ConnectError):
            opened(listener.getsockname())
        return True

    assert beside_others(connect, listener.close)
    for one in fillers:
        one.close()


def test_others_run_during_the_handshake(opened):
    """A server that accepts and then keeps silent holds nobody up but who waits for it."""
    gate, arrived = Gate(), []

    def serve_late(accepted):
        arrived.append(accepted)
        gate.wait()
        over_tls(wait_for_end)(accepted)

    with Server(serve_late, ignore=GONE) as server:
        beside_others(lambda: opened(server.address), gate.open, lambda: arrived).close()


def test_others_run_during_a_read(opened):
    """Whoever reads waits for the peer alone."""
    gate = Gate()

    def say_late(tls):
        gate.wait()
        tls.sendall(b"late")
        discard(tls)

    with Server(over_tls(say_late), ignore=GONE) as server:
        connection = opened(server.address)
        assert beside_others(lambda: connection.read(10, SOON), gate.open) == b"late"


def test_others_run_during_a_write(opened):
    """A peer that does not read holds nobody up but who writes to it."""
    gate, size, received = Gate(), 30000000, []

    def read_late(tls):
        gate.wait()
        while sum(received) < size:
            received.append(len(tls.recv(65536)))
        discard(tls)

    with Server(over_tls(read_late)) as server:
        connection = opened(server.address)
        beside_others(lambda: connection.write(b"x" * size, SOON), gate.open)
        connection.close()
    assert sum(received) == size


def test_others_run_during_a_close(opened):
    """The peer's end of the stream is awaited, without a pause for anybody else."""
    gate = Gate()

    def end_late(tls):
        assert read_exactly(tls, 5) == b"hello"
        gate.wait()
        discard(tls)

    with Server(over_tls(end_late)) as server:
        connection = opened(server.address)
        connection.write(b"hello", SOON)
        beside_others(connection.close, gate.open)
        assert connection.closed()


def test_others_run_during_the_wait_for_a_turn(simulator):
    """The only connection is in use until they have run."""
    gate, asked = Gate(), []

    def respond_late(peer):
        peer.greet()
        asked.extend(peer.requests(1))
        gate.wait()
        del peer.seen[:]
        peer.say(headers(1))
        accept(peer)

    with serve(respond_late) as server:
        session = green_session(pool_size=1)
        client = client_of(session, server.address)
        first = gevent.spawn(sends, client, TOKENS[0])
        await_green(lambda: asked)
        beside_others(lambda: sends(client, TOKENS[1]), gate.open,
                      lambda: "1 callers waiting" in repr(session))
        first.get(timeout=SOON)
        session.shutdown()
        assert len(server.accepted) == 1


# Greenlets that are killed.


def stalling(stage, seen):
    """Return a server whose first connection comes to a stage and no further; the others accept."""
    def stall(peer):
        if stage == "settings":
            seen.append(stage)
            wait_for_end(peer.tls)
        else:
            peer.greet()
            seen.extend(peer.requests(1))
            peer.read_to_end()

    def handle(peer):
        handled.append(peer)
        if len(handled) == 1:
            stall(peer)
        else:
            accept_all(peer)

    def accept_socket(accepted):
        arrived.append(accepted)
        if stage != "handshake" or len(arrived) > 1:
            make_tls(accepted)
            return
        handled.append(None)
        seen.append(stage)
        wait_for_end(accepted)

    arrived, handled = [], []
    server = serve(handle)
    make_tls, server._function = server._function, accept_socket
    return server


@pytest.mark.parametrize("error", KILLERS)
@pytest.mark.parametrize("stage", ["handshake", "settings"])
def test_a_killed_greenlet_leaves_no_poisoned_connection(stage, error):
    """The next one goes on with a connection that has nothing left on it."""
    seen = []
    with stalling(stage, seen) as server:
        session = green_session(pool_size=1)
        client = client_of(session, server.address)
        victim = gevent.spawn(sends, client, TOKENS[0])
        await_green(lambda: seen)
        next_one = gevent.spawn(sends, client, TOKENS[1])
        await_green(lambda: "1 callers waiting" in repr(session))
        victim.kill(error(), timeout=SOON)
        next_one.get(timeout=SOON)
        assert victim.ready()
        assert "1 idle, 0 in use, 0 callers waiting" in repr(session)
        session.shutdown()
        assert len(server.accepted) == 2


@pytest.mark.parametrize("error", KILLERS)
@pytest.mark.parametrize("protocol", ["binary", "http2"])
def test_a_killed_greenlet_learns_of_it(simulator, sessions, protocol, error):
    """What is thrown into it is no failure of the connection, which would be in its result."""
    simulator.script_provider(ProviderScript(hold=True))
    _, client = sessions(protocol, read_tail_timeout=SOON)
    caught = []

    def send():
        try:
            client.send(message(TOKENS[0]))
        except BaseException as problem:
            caught.append(type(problem))

    victim = gevent.spawn(send)
    await_green(lambda: simulator.accepted_count == 1 or simulator.held == 1)
    victim.kill(error(), timeout=SOON)
    assert caught == [error]


@pytest.mark.parametrize("error", KILLERS)
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_killed_greenlet_takes_its_own_work_along_and_nothing_else(
        simulator, sessions, error, victim):
    """Be it the one that leads or one that follows: the others get their responses."""
    simulator.script_provider(ProviderScript(hold=True))
    session, client = sessions("http2", pool_size=1)
    callers = []
    for number in range(3):
        callers.append(gevent.spawn(sends, client, TOKENS[number]))
        await_green(lambda: simulator.held == number + 1)
    assert "1 in use, 2 callers waiting" in repr(session)
    callers[victim].kill(error(), timeout=SOON)
    simulator.release_held()
    for number in set(range(3)) - {victim}:
        callers[number].get(timeout=SOON)
    assert "1 idle, 0 in use, 0 callers waiting" in repr(session)
    assert simulator.provider_connections == 1


@pytest.mark.parametrize("error", KILLERS)
def test_a_greenlet_that_is_killed_while_it_waits_for_silence_blames_nobody(
        simulator, sessions, error):
    """The binary connection is intact; an error that comes later belongs to its own message."""
    simulator.devices.bad(TOKENS[1])
    _, client = sessions("binary", read_tail_timeout=SOON)
    victim = gevent.spawn(client.send, message(TOKENS[0]))
    await_green(lambda: simulator.accepted_count == 1)
    victim.kill(error(), timeout=SOON)
    result = client.send(message(TOKENS[1]))
    assert list(result.failed) == [TOKENS[1]]
    assert result.retry() is None
    assert simulator.connections == 1


@pytest.mark.parametrize("error", KILLERS)
def test_a_write_that_is_killed_is_the_last(opened, error):
    """Nobody knows how much of it went out, so that nothing may follow."""
    with Server(over_tls(wait_for_end, version="1.3"), ignore=GONE) as server:
        gate = Gate()
        server._function = over_tls(lambda tls: gate.wait())
        connection = opened(server.address)
        victim = gevent.spawn(connection.write, b"x" * 30000000, SOON)
        await_green(lambda: connection._has_written)
        gevent.sleep(0.001)
        assert not victim.ready()
        victim.kill(error(), timeout=SOON)
        with pytest.raises(ConnectionLost):
            connection.write(b"x", SOON)
        assert connection.closed()
        gate.open()


# In the event loop.


@pytest.mark.parametrize("place", ["greenlet", "event loop"])
def test_a_session_that_is_collected_closes_properly(monkeypatch, place):
    """Also in the event loop, where nobody can wait: a greenlet reads on to the peer's end."""
    monkeypatch.setattr(apnsclient.backends.gevent.Connection, "close_timeout", SOON)
    gate, ends = Gate(), []

    def say_more(tls):
        with pytest.raises(SSL.ZeroReturnError):
            read_exactly(tls, 10000)
        ends.append("close-notify")
        gate.wait()
        # If the socket were closed by now, the response to the first would be a reset.
        for _ in range(3):
            tls.sendall(b"x" * 1000)
        ends.append("taken")

    with Server(over_tls(say_more)) as server:
        held = [green_session("binary", read_tail_timeout=0)]
        client_of(held[0], server.address).send(message(TOKENS[0]))
        assert held[0].pool.idle_count() == 1
        if place == "greenlet":
            held.pop()
        else:
            in_event_loop(lambda: held.pop() and None)
        await_green(lambda: ends)
        for _ in range(5):
            gevent.sleep(0.001)
        gate.open()
        await_green(lambda: len(ends) == 2 or server.errors)
    assert ends == ["close-notify", "taken"]


def test_an_abandoned_generator_gives_its_turn_back_in_the_event_loop():
    """The garbage collector runs there as well."""
    def respond_once(peer):
        peer.greet()
        peer.requests(2)
        peer.say(headers(1))
        del peer.seen[:]
        accept(peer)

    with serve(respond_once) as server:
        session = green_session(pool_size=1)
        client = client_of(session, server.address)
        held = [client.send_many([message(token) for token in TOKENS[:2]])]
        assert outcome(next(held[0])) == ACCEPTED
        assert "1 in use" in repr(session)
        in_event_loop(lambda: held.pop() and None)
        assert "0 in use" in repr(session)
        sends(client, TOKENS[2])
        session.shutdown()


def test_connecting_in_the_event_loop_is_refused(simulator, sessions):
    """Nobody can wait for a server there. The slot is there again."""
    session, client = sessions("http2", pool_size=1)
    with pytest.raises(gevent.exceptions.BlockingSwitchOutError):
        in_event_loop(lambda: client.send(message(TOKENS[0])))
    assert "0 in use" in repr(session)
    sends(client, TOKENS[1])


def test_a_response_that_is_awaited_in_the_event_loop_is_unknown():
    """A message over a connection from the pool has been written by then; the result says why."""
    def respond_once(peer):
        peer.greet()
        peer.requests(1)
        peer.say(headers(1))
        peer.read_to_end()

    with serve(respond_once) as server:
        session = green_session(pool_size=1)
        client = client_of(session, server.address)
        sends(client, TOKENS[0])
        result = in_event_loop(lambda: client.send(message(TOKENS[1])))
        assert result.retry().tokens == [TOKENS[1]]
        assert "event loop" in result.errors[0][1]
        assert "0 idle, 0 in use" in repr(session)


def test_a_connection_is_closed_in_the_event_loop_without_an_exception(opened):
    """``close()`` does without what would have to be awaited."""
    ends = []
    with noting_the_end(ends) as server:
        connection = opened(server.address)
        connection.write(b"hello", SOON)
        in_event_loop(connection.close)
        assert connection.closed()
        await_green(lambda: ends)
    assert ends == [SSL.ZeroReturnError]


def test_what_is_being_closed_at_exit_has_its_time_from_then_on(monkeypatch):
    """Not from when the event loop ran the last time, which may be long ago."""
    def close():
        for _ in range(3):
            gevent.sleep(0.001)

    for moments in (0.1, 1, 10):
        monkeypatch.setattr(apnsclient.backends.gevent, "_LAST_MOMENTS", moments)
        leaving, closing = apnsclient.backends.gevent._Exit(), gevent.spawn(close)
        leaving.note(closing)
        time.sleep(2 * moments)  # The loop does not run meanwhile.
        leaving.wait()
        if closing.ready():
            break  # Otherwise the machine may have been too slow.
    assert closing.ready()
