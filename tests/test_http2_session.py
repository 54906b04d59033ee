"""A session over HTTP/2: its pool, its processes, feedback, and how it ends."""

from __future__ import absolute_import, division, print_function

import datetime
import gc
import os
import socket
from functools import partial

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs, Message, ProviderToken, Session, feedback_store
from apnsclient.backends.stdio import Backend
from apnsclient.feedback_store import MemoryStore, SQLiteStore
from apnsclient.protocols.http2 import frames
from apnsclient.protocols.http2.client import ClientConnection
from apnsclient.protocols.http2.server_headers import RequestDecoder
from frame_peers import ACCEPTED, TOKENS, client_for, message, new_session, outcome, serve
from http2_support import OK, headers
from net_support import SOON
from stdio_support import CLIENT
from threads_support import run_threads

pytestmark = pytest.mark.timeout(240)

SINCE = 1700000000


@pytest.fixture
def sessions(simulator, http2_sessions):
    """A function that makes sessions that trust the simulator; they are shut down at the end."""
    return partial(http2_sessions, ca_string=simulator.ca_string)


def handle(session, apns, is_token=False):
    """Return a handle to the simulator's provider API."""
    credential = ({"certificate": ProviderToken(**apns.token_parameters)} if is_token
                  else {"cert_string": apns.cert_string})
    return session.get_connection(apns.provider_address, **credential)


def sends(client, number, count=1):
    """Send to tokens, which must be accepted."""
    assert outcome(client.send(message(number, count))) == ACCEPTED


def test_the_dot_of_an_absolute_name_is_for_the_resolver_alone(monkeypatch):
    """Neither TLS nor HTTP/2 names the server with it, and its certificate does not either."""
    asked, seen = [], []
    look_up = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        asked.append(host)
        return look_up("127.0.0.1", *arguments, **options)

    def play(peer):
        peer.greet()
        peer.requests(1)
        block = [payload for kind, _, _, payload in peer.seen if kind == frames.HEADERS][0]
        seen.extend([peer.tls.get_servername(), dict(RequestDecoder().decode(block))])
        peer.say(headers(1, OK))
        peer.read_to_end()

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with serve(play) as server:
        session = new_session()
        port = server.address[1]
        client = APNs(session.get_connection(("localhost.", port), cert_string=CLIENT.pem))
        assert outcome(client.send(message())) == ACCEPTED
        session.shutdown()
    assert asked == ["localhost."]
    assert seen[0] == b"localhost"
    assert seen[1][b":authority"] == ("localhost:%d" % port).encode("ascii")


# The pool.


@pytest.mark.parametrize("is_token", [False, True], ids=["certificate", "token"])
def test_messages_share_a_connection(simulator, sessions, is_token):
    """One after the other, with ``send()`` and ``send_many()``, over one connection."""
    client = client_for(sessions(), simulator, is_token)
    for number in range(20):
        sends(client, number)
    results = client.send_many(message(number) for number in range(20, 40))
    assert [outcome(result) for result in results] == [ACCEPTED] * 20
    assert simulator.accepted_tokens() == TOKENS[:40]
    assert simulator.provider_connections == 1


@pytest.mark.parametrize("way", ["close", "reset", "goaway"])
def test_a_pooled_connection_that_has_ended_is_replaced(simulator, sessions, way):
    """However the server ended it while nobody looked, no message is lost to it."""
    client = client_for(sessions(), simulator)
    for number in range(3):
        sends(client, number)
        if way == "goaway":
            assert simulator.goaway_all("Shutdown") == 1
        else:
            assert simulator.disconnect_providers(reset=way == "reset") == 1
    sends(client, 3)
    assert simulator.accepted_tokens() == TOKENS[:4]
    assert simulator.provider_connections == 4


def test_a_handle_that_is_not_pooled_connects_each_time(simulator, sessions):
    """``new_connection()`` leaves nothing open."""
    session = sessions()
    client = APNs(session.new_connection(simulator.provider_address,
                                         cert_string=simulator.cert_string))
    for number in range(3):
        sends(client, number)
    assert simulator.provider_connections == 3
    assert simulator.wait_for(lambda: simulator.open_provider_connections == 0, SOON)


def test_shutdown_closes_what_is_idle(simulator, sessions):
    """The server sees an end with a word of leave; the session goes on afterwards."""
    session = sessions()
    client = client_for(session, simulator)
    sends(client, 0)
    session.shutdown()
    assert simulator.wait_for(lambda: simulator.open_provider_connections == 0, SOON)
    sends(client, 1)


@pytest.mark.parametrize("pool_size", [0, 1])
def test_a_goodbye_that_is_interrupted_closes_all_the_same(
        simulator, sessions, monkeypatch, pool_size):
    """An interrupt while the server is told goes on to the caller, and the connection is closed."""
    def interrupted(client):
        raise KeyboardInterrupt

    session = sessions(pool_size=pool_size)
    client = client_for(session, simulator)
    with monkeypatch.context() as patch:
        patch.setattr(ClientConnection, "send_goaway", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.send(message(0))
            session.shutdown()
    assert simulator.wait_for(lambda: simulator.open_provider_connections == 0, SOON)
    assert "0 idle, 0 in use" in repr(session)


def test_two_protocols_may_share_a_back_end(simulator, sessions):
    """Each gets connections of its own protocol from the pool."""
    backend = Backend(ca_string=simulator.ca_string)
    certificate = backend.get_certificate({"cert_string": simulator.cert_string})
    modern = Session(pool=backend, protocol="http2")
    old = Session(pool=backend, read_tail_timeout=0)
    for number in range(0, 6, 2):
        sends(APNs(modern.get_connection(simulator.provider_address, certificate)), number)
        result = APNs(old.get_connection(simulator.gateway_address, certificate)).send(
            message(number + 1))
        assert outcome(result) == ACCEPTED
    assert simulator.wait_for(lambda: simulator.accepted_count == 6, SOON)
    assert (simulator.provider_connections, simulator.connections) == (1, 1)
    modern.shutdown()


# Processes.


@pytest.mark.parametrize("is_token", [False, True], ids=["certificate", "token"])
def test_a_forked_child_connects_anew(simulator, sessions, in_forked_child, is_token):
    """Child and parent go on with connections of their own, before and after the child's end."""
    session = sessions()
    client = client_for(session, simulator, is_token)
    sends(client, 0)

    def child():
        sends(client, 1)
        sends(client, 2, 300)
        session.shutdown()

    in_forked_child(child)
    sends(client, 500)
    numbers = {one.token: one.connection for one in simulator.accepted}
    assert [numbers[TOKENS[number]] for number in (0, 1, 2, 301, 500)] == [1, 2, 2, 2, 1]
    assert simulator.provider_connections == 2


@pytest.mark.parametrize("action", ["shutdown", "close", "collect", "go on", "nothing"])
def test_a_child_writes_nothing_to_what_it_inherited(
        simulator, sessions, in_forked_child, action):
    """A generator that was half done in the fork goes on in the parent, as if nothing had been."""
    session = sessions(pool_size=1)
    client = client_for(session, simulator)
    generators = [client.send_many(message(number) for number in range(500))]
    assert outcome(next(generators[0])) == ACCEPTED

    def child():
        if action == "shutdown":
            session.shutdown()
        elif action == "close":
            generators[0].close()
        elif action == "collect":
            generators.pop()
            gc.collect()
        elif action == "go on":
            sends(client, 600)

    in_forked_child(child)
    results = [outcome(result) for result in generators[0]]
    assert results == [ACCEPTED] * 499
    assert sorted(simulator.accepted_tokens()) == TOKENS[:500] + (
        [TOKENS[600]] if action == "go on" else [])


# Feedback.


def tokens_in(rows):
    """Return the tokens of feedback, sorted, as text."""
    return sorted(token.decode("ascii") for token, _ in rows)


def kill(simulator, count, since=SINCE):
    """Uninstall the app from the devices of the first so many tokens."""
    for token in TOKENS[:count]:
        simulator.devices.uninstall(token, since)


def test_feedback_tells_of_responses_with_410(simulator, sessions):
    """Each token once, with Apple's time; bad tokens are none of it."""
    kill(simulator, 3)
    simulator.devices.bad(TOKENS[3])
    client = client_for(sessions(), simulator)
    result = client.send(Message([TOKENS[0].upper()] + TOKENS[1:6], alert="hello"))
    assert len(result.failed) == 4
    rows = list(client.feedback())
    assert tokens_in(rows) == TOKENS[:3]
    assert [when for _, when in rows] == [datetime.datetime.fromtimestamp(SINCE)] * 3
    assert result.gone == {token.upper() if token == TOKENS[0] else token: rows[0][1]
                           for token in TOKENS[:3]}
    assert list(client.feedback()) == []
    client.send(message(0, 3))
    assert tokens_in(client.feedback()) == TOKENS[:3]


def test_feedback_is_that_of_the_session_not_of_the_handle(simulator, sessions):
    """Another handle to the same environment for the same application reads it."""
    kill(simulator, 2)
    session = sessions()
    client_for(session, simulator).send(message(0, 5))
    certificate = session.pool.get_certificate({"cert_string": simulator.cert_string})
    other = APNs(session.new_connection(simulator.provider_address, certificate))
    assert tokens_in(other.feedback()) == TOKENS[:2]


def test_feedback_that_nobody_came_to_is_put_back(simulator, sessions):
    """An abandoned generator takes only what it has given."""
    kill(simulator, 10)
    client = client_for(sessions(), simulator)
    client.send(message(0, 10))
    rows = client.feedback()
    taken = [next(rows) for _ in range(4)]
    del rows
    gc.collect()
    rest = list(client.feedback())
    assert (len(taken), len(rest)) == (4, 6)
    assert tokens_in(taken + rest) == TOKENS[:10]


def test_threads_share_the_feedback(simulator, sessions):
    """Some send to dead tokens and some read: each row comes out once."""
    kill(simulator, 400)
    client = client_for(sessions(pool_size=4, connect_timeout=60), simulator)
    rows = []

    def sender(number):
        return lambda: client.send(message(number * 100, 100))

    def read():
        for _ in range(20):
            rows.extend(client.feedback())

    run_threads([sender(number) for number in range(4)] + [read] * 4)
    rows.extend(client.feedback())
    assert tokens_in(rows) == TOKENS[:400]


class BrokenStore(object):
    """A store that fails."""

    def add(self, source, rows):
        raise RuntimeError("no space left")

    def drain(self, source):
        raise RuntimeError("no such table")


def test_a_store_that_fails_does_not_disturb_the_sending(simulator, sessions, caplog):
    """It is in the log; the result has the tokens all the same."""
    kill(simulator, 2)
    client = client_for(sessions(feedback_store=BrokenStore()), simulator)
    result = client.send(message(0, 4))
    assert sorted(result.failed) == TOKENS[:2]
    assert "feedback store failed" in caplog.text
    with pytest.raises(RuntimeError):
        list(client.feedback())


@pytest.fixture
def usual(simulator, monkeypatch):
    """A function that makes sessions which are given no store, in a process that knows nothing."""
    monkeypatch.delenv("APNSCLIENT_FEEDBACK_STORE", raising=False)
    monkeypatch.setattr(feedback_store, "_process_store", type(feedback_store._process_store)())
    kill(simulator, 3)
    made = []

    def make(**options):
        made.append(Session(protocol="http2", ca_string=simulator.ca_string, **options))
        return made[-1]

    yield make
    for session in made:
        session.shutdown()


def read_anew(simulator, session):
    """Read the feedback as the documents of 0.2 do: with a connection of its own."""
    return tokens_in(APNs(session.new_connection(
        simulator.provider_address, cert_string=simulator.cert_string)).feedback())


def test_sessions_without_a_store_share_what_the_process_was_told(simulator, usual, caplog):
    """And say once that it is all they know; those with a store have nothing to do with it."""
    client_for(usual(), simulator).send(message(0, 5))
    assert read_anew(simulator, usual(feedback_store=MemoryStore())) == []
    assert "feedback()" not in caplog.text
    assert read_anew(simulator, usual()) == TOKENS[:3]
    assert read_anew(simulator, usual()) == []
    assert caplog.text.count("has only tokens that this process found dead") == 1
    assert "APNSCLIENT_FEEDBACK_STORE" in caplog.text


def test_other_addresses_are_other_environments(simulator, usual):
    """What one server says of a token is nothing about another."""
    session = usual()
    client_for(session, simulator).send(message(0, 5))
    host, port = simulator.provider_address
    other = APNs(session.get_connection((host, port % 65535 + 1),
                                        cert_string=simulator.cert_string))
    assert list(other.feedback()) == []
    assert read_anew(simulator, session) == TOKENS[:3]


def test_the_environment_names_the_store(simulator, usual, monkeypatch, tmpdir, caplog):
    """For who sends and for who reads; a store that was given goes before it."""
    path = str(tmpdir.join("feedback.db"))
    monkeypatch.setenv("APNSCLIENT_FEEDBACK_STORE", path)
    session = usual()
    assert not os.path.exists(path)
    client_for(session, simulator).send(message(0, 5))
    assert read_anew(simulator, usual(feedback_store=MemoryStore())) == []
    monkeypatch.delenv("APNSCLIENT_FEEDBACK_STORE")
    assert read_anew(simulator, usual()) == []
    assert read_anew(simulator, usual(feedback_store=SQLiteStore(path))) == TOKENS[:3]
    client_for(session, simulator).send(message(0, 2))
    monkeypatch.setenv("APNSCLIENT_FEEDBACK_STORE", path)
    assert caplog.text.count("has only tokens") == 1
    assert read_anew(simulator, usual()) == TOKENS[:2]
    assert caplog.text.count("has only tokens") == 1


def test_a_file_that_cannot_be_opened_is_no_reason_not_to_send(
        simulator, usual, monkeypatch, tmpdir, caplog):
    """The log tells of it; who reads gets the error."""
    monkeypatch.setenv("APNSCLIENT_FEEDBACK_STORE", str(tmpdir.join("none", "feedback.db")))
    session = usual()
    assert sorted(client_for(session, simulator).send(message(0, 5)).failed) == TOKENS[:3]
    assert "the feedback store failed" in caplog.text
    with pytest.raises(EnvironmentError):
        read_anew(simulator, session)


# What they look like, and how they end.


def test_state_is_in_the_repr_and_secrets_are_not(simulator, sessions):
    """Session and connection tell what is idle, in use, and waited for."""
    session = sessions()
    token = ProviderToken(**simulator.token_parameters)
    connection = session.get_connection(simulator.provider_address, token)
    assert "0 idle, 0 in use, 0 callers waiting" in repr(session)
    client = APNs(connection)
    results = client.send_many(message(number) for number in range(3))
    next(results)
    results.close()
    for text in (repr(session), repr(connection)):
        assert "http2" in text
        assert "1 idle, 0 in use, 0 callers waiting" in text
    shown = repr([session, connection, token, client])
    assert "PRIVATE" not in shown and token.bearer().decode("ascii") not in shown
    result = client.send(message(0, 2))
    assert "2 of 2 tokens accepted" in repr(result)


def test_a_session_that_is_dropped_closes_its_connections(simulator):
    """Nobody has to call anything."""
    session = new_session(ca_string=simulator.ca_string)
    client = client_for(session, simulator)
    sends(client, 0)
    assert simulator.open_provider_connections == 1
    del session, client
    gc.collect()
    assert simulator.wait_for(lambda: simulator.open_provider_connections == 0, SOON)
