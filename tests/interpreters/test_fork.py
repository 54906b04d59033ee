"""A session that is used on both sides of a fork."""

from __future__ import absolute_import, division, print_function

import multiprocessing
import os
import sys
import threading
import warnings

import pytest

from apnsclient import Message
from net_support import (
    SILENCE,
    SOON,
    await_accepted,
    await_closed,
    client_of,
    make_tokens,
    run_script,
)

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


@pytest.fixture
def session(new_session):
    """A session for gateways that stay silent."""
    return new_session(read_tail_timeout=SILENCE)


def send(client, token):
    """Send to one token; it must succeed."""
    result = client.send(Message([token], alert="hello"))
    assert (result.failed, result.errors, result.retry()) == ({}, [], None)


def connections_of(simulator, tokens):
    """Return the number of the connection that each of the tokens came over."""
    numbers = {one.token: one.connection for one in simulator.accepted}
    return [numbers[token] for token in tokens]


def test_child_and_parent_go_on_with_connections_of_their_own(
        simulator, session, in_forked_child):
    """The child connects anew; the parent goes on with what it had, before and after its end."""
    client = client_of(session, simulator)
    tokens = make_tokens(4)
    send(client, tokens[0])

    def child():
        send(client, tokens[1])
        send(client, tokens[2])

    in_forked_child(child)
    send(client, tokens[3])
    await_accepted(simulator, 4)
    assert connections_of(simulator, tokens) == [1, 2, 2, 1]
    assert simulator.connections == 2


@pytest.mark.parametrize("action", ["shutdown", "send", "collect", "nothing"])
def test_a_child_writes_nothing_to_what_it_inherited(
        simulator, new_session, in_forked_child, action):
    """Whatever the child does with its copy of the session, the parent's connection stays open."""
    sessions = [new_session(read_tail_timeout=SILENCE)]
    clients = [client_of(sessions[0], simulator)]
    tokens = make_tokens(3)
    send(clients[0], tokens[0])

    def child():
        if action == "shutdown":
            sessions[0].shutdown()
        elif action == "send":
            send(clients[0], tokens[1])
            sessions[0].shutdown()
        elif action == "collect":
            del sessions[:], clients[:]

    in_forked_child(child)
    opened = simulator.connections
    # It would be gone by now if a close-notify had been written: the gateway responds at once.
    send(clients[0], tokens[2])
    await_accepted(simulator, 3 if action == "send" else 2)
    assert connections_of(simulator, [tokens[0], tokens[2]]) == [1, 1]
    assert simulator.connections == opened


def test_a_fork_in_the_middle_of_a_stream(simulator, new_session, in_forked_child):
    """A generator that is closed in the child takes nothing from the parent's."""
    client = client_of(new_session(read_tail_timeout=0), simulator)
    tokens = make_tokens(6)
    stream = client.send_many(Message([token], alert="hello") for token in tokens)
    assert next(stream).retry() is None

    def child():
        stream.close()
        send(client, "ff" * 32)

    in_forked_child(child)
    assert [result.retry() for result in stream] == [None] * 5
    await_accepted(simulator, 7)
    assert connections_of(simulator, tokens) == [1] * 6


def test_a_stream_that_goes_on_in_the_child_is_sent_there_over_another_connection(
        simulator, new_session, in_forked_child):
    """The child writes nothing to what it inherited: it has a retry, or a new connection."""
    client = client_of(new_session(read_tail_timeout=0), simulator)
    tokens = make_tokens(6)
    stream = client.send_many(Message([token], alert="hello") for token in tokens)
    next(stream)

    def child():
        results = list(stream)
        assert len(results) == 5
        for result in results:
            assert not result.failed
            if result.needs_retry():
                assert client.send(result.retry()).retry() is None

    in_forked_child(child)
    stream.close()
    send(client, "ff" * 32)
    await_accepted(simulator, 7)
    assert sorted(set(simulator.accepted_tokens())) == tokens + ["ff" * 32]
    assert connections_of(simulator, [tokens[0], "ff" * 32]) == [1, 1]


def test_forking_while_other_threads_send(simulator, session, in_forked_child):
    """A child that is forked at any moment can send, and the threads notice nothing of it."""
    client = client_of(session, simulator)
    over, errors, sent = threading.Event(), [], []

    def sender(number):
        try:
            for token in make_tokens(100000, first=number * 100000):
                if over.is_set():
                    return
                result = client.send(Message([token], alert="hello"))
                assert (result.errors, result.retry()) == ([], None)
                sent.append(token)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=sender, args=(number,)) for number in range(1, 4)]
    for thread in threads:
        thread.start()
    try:
        assert simulator.wait_for(lambda: simulator.accepted_count >= 3, SOON)
        children = make_tokens(4)
        for token in children:
            in_forked_child(lambda token=token: send(client, token))
    finally:
        over.set()
        for thread in threads:
            thread.join(SOON)
    assert errors == []
    await_accepted(simulator, len(sent) + 4)
    assert sorted(simulator.accepted_tokens()) == sorted(sent + children)


_client = None


def _send_in_worker(token):
    result = _client.send(Message([token], alert="hello"))
    return result.retry() is None and not result.failed and not result.errors


def test_a_pool_of_processes_may_use_the_parents_session(simulator, session):
    """Workers of ``multiprocessing`` each have a connection, and the parent keeps its own."""
    global _client
    _client = client_of(session, simulator)
    tokens = make_tokens(14)
    send(_client, tokens[0])
    context = multiprocessing if sys.version_info[0] == 2 else multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        workers = context.Pool(2)
    try:
        sent = workers.map_async(_send_in_worker, tokens[1:13], chunksize=3)
        assert sent.get(SOON) == [True] * 12
        workers.close()
    finally:
        workers.terminate()
        workers.join()
        client, _client = _client, None
    send(client, tokens[13])
    await_accepted(simulator, 14)
    numbers = connections_of(simulator, tokens)
    assert numbers[0] == numbers[13] == 1
    assert 1 not in numbers[1:13]


CHILD_THAT_EXITS = """
import os, sys
from apnsclient import APNs, Message, Session
host, port, ca_file, cert_file = sys.argv[1:]
session = Session(ca_file=ca_file, read_tail_timeout=0.2)
client = APNs(session.get_connection((host, int(port)), cert_file=cert_file))
assert client.send(Message("01" * 32, alert="hello")).retry() is None
child = os.fork()
if child == 0:
    if sys.version_info[0] == 2:
        assert client.send(Message("02" * 32, alert="hello")).retry() is None
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert client.send(Message("03" * 32, alert="hello")).retry() is None
"""


def test_a_child_that_exits_like_a_program_leaves_the_parents_connection_open(simulator, tmpdir):
    """Exit handlers and finalizers run in the child, and write nothing to the parent's peer."""
    tmpdir.join("ca.pem").write(simulator.ca_string)
    tmpdir.join("cert.pem").write(simulator.cert_string)
    run_script(CHILD_THAT_EXITS, simulator.gateway_address[0], str(simulator.gateway_address[1]),
               str(tmpdir.join("ca.pem")), str(tmpdir.join("cert.pem")))
    numbers = {one.token: one.connection for one in simulator.accepted}
    assert numbers["01" * 32] == numbers["03" * 32] == 1
    await_closed(simulator)
