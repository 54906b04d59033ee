"""Many threads on one session and one certificate: every token is accounted for."""

from __future__ import absolute_import, division, print_function

import datetime
import threading

import pytest

from apnsclient import Message, Session
from apnsclient.backends import stdio
from net_support import (
    SILENCE,
    SOON,
    Backend,
    Outcome,
    await_accepted,
    client_of,
    make_tokens,
)
from threads_support import run_threads

pytestmark = pytest.mark.timeout(240)

THREADS = 50


class Patient(stdio.Connection):
    """Waits for error frames that are still to come, when it is closed, however long it takes."""

    close_timeout = SOON


def test_fifty_threads_account_for_every_token(simulator):
    """Each good token is accepted exactly once, each bad one is blamed, and nothing else is said.

    That holds however late an error frame comes: what ``on_late_result`` is told counts as well.
    """
    per_thread, per_message = 6, 5
    tokens = make_tokens(THREADS * per_thread * per_message)
    bad = tokens[3::41]
    for token in bad:
        simulator.devices.bad(token)
    outcome = Outcome()
    backend = Backend(ca_string=simulator.ca_string, pool_size=None)
    backend.connection_class = Patient
    session = Session(pool=backend, read_tail_timeout=SILENCE, on_late_result=outcome.late)
    client = client_of(session, simulator)

    def sender(number):
        mine = tokens[number * per_thread * per_message:][:per_thread * per_message]
        messages = [Message(mine[start:start + per_message], alert="thread %d" % number)
                    for start in range(0, len(mine), per_message)]

        def run():
            if number % 2:
                for message in messages:
                    outcome.late(client.send(message))
            else:
                for result in client.send_many(messages):
                    outcome.late(result)

        return run

    run_threads([sender(number) for number in range(THREADS)])
    outcome.finish(client, session, simulator, len(bad))
    assert sorted(outcome.failed) == bad
    assert outcome.errors == []
    await_accepted(simulator, len(tokens) - len(bad))
    assert sorted(simulator.accepted_tokens()) == [
        token for token in tokens if token not in set(bad)]


def test_threads_never_share_a_connection(simulator):
    """The identifiers on each connection are in order: nobody writes in between."""
    session = Session(pool=Backend(ca_string=simulator.ca_string), read_tail_timeout=0)
    client = client_of(session, simulator)

    def sender(number):
        mine = make_tokens(40, first=1000 * number)
        return lambda: [client.send(Message(mine, alert="hello")) for _ in range(5)]

    run_threads([sender(number) for number in range(8)])
    await_accepted(simulator, 8 * 5 * 40)
    by_connection = {}
    for one in simulator.accepted:
        by_connection.setdefault(one.connection, []).append(one.identifier)
    for identifiers in by_connection.values():
        assert identifiers == list(range(identifiers[0], identifiers[0] + len(identifiers)))
    session.shutdown()


def test_outdate_meanwhile_closes_idle_connections_and_no_others(simulator):
    """A thread that closes the pool again and again disturbs nobody who sends."""
    session = Session(pool=Backend(ca_string=simulator.ca_string), read_tail_timeout=0)
    client = client_of(session, simulator)
    over = threading.Event()
    results = []

    def closer():
        while not over.is_set():
            session.outdate(datetime.timedelta(0))

    def sender(number):
        def run():
            for token in make_tokens(10, first=100 * number):
                results.append(client.send(Message([token], alert="hello")))
        return run

    closing = threading.Thread(target=closer)
    closing.start()
    try:
        run_threads([sender(number) for number in range(6)])
    finally:
        over.set()
        closing.join()
    assert [(one.failed, one.errors, one.retry()) for one in results] == [({}, [], None)] * 60
    await_accepted(simulator, 60)
    assert len(set(simulator.accepted_tokens())) == 60
