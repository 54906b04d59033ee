"""Callers who share a connection: each has what is its own, and is held up by nobody.

There are real threads here, and TLS. The look for a leader, which each follower has once a second,
is put off: whatever ends well here has been told to go on.
"""

from __future__ import absolute_import, division, print_function

import gc
import logging
import signal
import threading
import time
from functools import partial

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import Session
from apnsclient._compat import monotonic
from apnsclient.backends import stdio
from apnsclient.errors import ConnectError, ConnectTimeout
from apnsclient.feedback_store import MemoryStore
from apnsclient.protocols.http2 import frames
from apnsclient.sending.calls import Call
from apnsclient.sync import host
from apnsclient.testing.simulator import ProviderScript
from frame_peers import (
    ACCEPTED,
    TOKENS,
    accept_all,
    client_for,
    client_of,
    message,
    new_session,
    outcome,
    serve,
)
from http2_support import OK, headers
from interrupt_support import Interrupt, Limit, Once, handler_of, handling
from net_support import SOON
from stdio_support import Gate
from threads_support import held_elsewhere

pytestmark = pytest.mark.timeout(240)

needs_signals = pytest.mark.skipif(
    not hasattr(signal, "SIGUSR2"), reason="this system has no such signal")
HELD = ProviderScript(hold=True)


@pytest.fixture(autouse=True)
def no_look(monkeypatch):
    """Nobody sees for itself whether anybody leads."""
    monkeypatch.setattr(host, "_LONGEST_WAIT", 4.0 * SOON)


@pytest.fixture
def new_client(simulator, http2_sessions):
    """A function that returns an ``APNs`` over a session of its own with the simulator."""
    def make(**options):
        return client_for(http2_sessions(ca_string=simulator.ca_string, **options), simulator)

    return make


class Caller(threading.Thread):
    """A thread that calls a function.

    :param function: what it calls, without arguments.
    """

    def __init__(self, function):
        super(Caller, self).__init__()
        self.daemon = True
        self._function = function
        self._value = self.error = None
        self.start()

    def run(self):
        try:
            self._value = self._function()
        except BaseException as error:
            self.error = error

    def get(self):
        """Wait for its end; return what the function returned, or raise what it raised."""
        self.join(SOON)
        assert not self.is_alive(), "a caller does not come back"
        if self.error is not None:
            raise self.error
        return self._value


def await_held(simulator, count):
    """Wait until so many responses are kept back."""
    assert simulator.wait_for(lambda: simulator.held == count, SOON)


def send_each(client, numbers, **options):
    """Send a message to each token, in a thread of its own; return the callers."""
    return [Caller(partial(client.send, message(number), **options)) for number in numbers]


def expect_accepted(callers):
    assert [outcome(one.get()) for one in callers] == [ACCEPTED] * len(callers)


def callers_of(simulator, client, count):
    """Have threads send: the first leads, the others follow; return the callers."""
    callers = send_each(client, [0])
    await_held(simulator, 1)
    callers += send_each(client, range(1, count))
    await_held(simulator, count)
    return callers


def await_that(condition):
    """Wait until a condition holds that nobody tells of."""
    end = monotonic() + SOON
    while not condition():
        assert monotonic() < end, "it never happened"
        time.sleep(0.002)


def followers_of(client):
    """Return how many callers wait for what another one takes."""
    return client._connection._host().follower_count


def await_followers(client, count):
    await_that(lambda: followers_of(client) == count)


def test_fifty_callers_share_one_connection(simulator, new_client):
    """All of them have a request on its way over the same one, and nobody leads twice."""
    simulator.script_provider(HELD)
    client = new_client()
    callers = callers_of(simulator, client, 50)
    await_followers(client, 49)
    simulator.release_held()
    expect_accepted(callers)
    assert simulator.provider_connections == 1
    assert sorted(simulator.accepted_tokens()) == TOKENS[:50]
    assert "1 idle, 0 in use, 0 callers waiting" in repr(client._connection.session)


def test_many_callers_once_each_with_the_timeouts_of_a_session(simulator, new_client):
    """Nobody waits for a connection where there is one to share: none has a ConnectTimeout."""
    simulator.script_provider(ProviderScript(delay=0.05))
    expect_accepted(send_each(new_client(pool_size=1), range(200)))
    assert simulator.provider_connections == 1


# Those who leave.


@needs_signals
@pytest.mark.parametrize("role", ["leader", "follower"])
def test_an_interrupt_takes_a_caller_away_from_the_others(simulator, new_client, role):
    """Whoever leads is followed by another one; the responses come over the same connection."""
    simulator.script_provider(HELD)
    client, others = new_client(), []
    if role == "follower":
        others = callers_of(simulator, client, 4)
    else:
        # They begin when this thread leads.
        others.append(Caller(lambda: await_held(simulator, 1)
                             or others.extend(send_each(client, range(4)))))
    limit = Once(handler_of(Limit))
    with handling() as handle:
        handle(limit)
        striking = Caller(lambda: [
            await_that(lambda: simulator.held == 5 and followers_of(client) >= 4), limit.strike()])
        with pytest.raises(Limit):
            client.send(message(9))
        striking.get()
    if role == "leader":
        others.pop(0).get()
    # One of them leads now.
    await_followers(client, 3)
    simulator.release_held()
    expect_accepted(others)
    assert simulator.provider_connections == 1
    assert sorted(simulator.accepted_tokens()) == sorted(TOKENS[:4] + TOKENS[9:10])


@pytest.fixture
def cutting(monkeypatch):
    """A list; while there is something in it, the next write takes that out, and is cut in two."""
    write, is_armed = stdio.Connection.write, []

    def write_half(self, data, timeout):
        if is_armed:
            is_armed.pop()
            write(self, data[:len(data) // 2], timeout)
            raise Interrupt
        write(self, data, timeout)

    monkeypatch.setattr(stdio.Connection, "write", write_half)
    return is_armed


def test_an_interrupted_write_leaves_the_others_their_responses(simulator, new_client, cutting):
    """Nothing more is written over the connection; what the server has got it responds to."""
    simulator.script_provider(HELD)
    client = new_client()
    callers = callers_of(simulator, client, 4)
    await_followers(client, 3)
    cutting.append(True)
    simulator.script_provider(None)
    callers.append(Caller(partial(client.send, message(10, 100, alert="x" * 1000),
                                  timeout=5)))
    # The leader writes what all have to send.
    with pytest.raises(Interrupt):
        callers.pop(0).get()
    assert simulator.wait_for(lambda: simulator.provider_connections == 2, SOON)
    simulator.release_held()
    result = callers.pop().get()
    expect_accepted(callers)
    assert simulator.wait_for(lambda: simulator.held == 0, SOON)
    accepted = simulator.accepted_tokens()
    assert len(accepted) == len(set(accepted))
    retry = [] if result.retry() is None else result.retry().tokens
    assert set(TOKENS[10:110]) - set(retry) <= set(accepted)
    assert not result.failed


def test_what_an_interrupted_write_leaves_in_parts_is_sent_again_at_once(cutting):
    """Before, or with the write that was cut: no more of it will follow, and that is known."""
    peers = []

    def play(peer):
        peers.append(peer)
        if len(peers) > 1:
            accept_all(peer)
            return
        # Fewer bytes than a payload has.
        peer.greet([(frames.INITIAL_WINDOW_SIZE, 10)])
        peer.read_to_end()

    with serve(play) as server:
        session = new_session(read_timeout=4.0 * SOON)
        client = client_of(session, server)
        callers = send_each(client, [0])
        await_that(lambda: peers and len(peers[0].parts()) == 1)
        callers += send_each(client, [1])
        await_that(lambda: len(peers[0].parts()) == 2)
        cutting.append(True)
        callers += send_each(client, [2])
        with pytest.raises(Interrupt):
            callers.pop(0).get()
        expect_accepted(callers)
        session.shutdown()


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_a_call_whose_time_is_over_leaves_the_others_alone(simulator, new_client, role):
    """What was sent of it is unknown, and the others wait on, over the same connection."""
    simulator.script_provider(HELD)
    client, hurried = new_client(), partial(send_each, numbers=[9], timeout=2)
    # The time of the call is not for connecting.
    first = send_each(client, [8])
    await_held(simulator, 1)
    simulator.release_held()
    expect_accepted(first)
    if role == "leader":
        begun = hurried(client)
        await_held(simulator, 1)
        others = send_each(client, range(4))
    else:
        others = callers_of(simulator, client, 4)
        begun = hurried(client)
    result = begun[0].get()
    assert result.unknown == TOKENS[9:10] and result.retry().tokens == TOKENS[9:10]
    await_held(simulator, 5)
    await_followers(client, 3)
    simulator.release_held()
    expect_accepted(others)
    assert simulator.provider_connections == 1


@pytest.mark.parametrize("role", ["leader", "follower"])
def test_the_time_of_a_call_also_ends_while_a_server_is_silent(simulator, new_client, role):
    """Whoever has more time waits on for the connection that was begun."""
    simulator.script_provider(ProviderScript(stall_handshake=True))
    # Nobody here waits for as long as the leader would.
    client = new_client(connect_timeout=4.0 * SOON if role == "leader" else 2.0)
    first = send_each(client, [0], timeout=0.2 if role == "leader" else None)[0]
    await_that(lambda: not (first.is_alive() and client._connection._host().is_idle))
    second = send_each(client, [1], timeout=None if role == "leader" else 0.2)[0]
    result = (first if role == "leader" else second).get()
    assert result.unknown == [] and len(result.retry().tokens) == 1
    if role == "leader":
        # The other one has opened the next connection.
        expect_accepted([second])
    else:
        with pytest.raises(ConnectTimeout):
            first.get()
    assert outcome(client.send(message(2))) == ACCEPTED


def test_a_generator_that_is_dropped_takes_nothing_from_others(simulator, new_client):
    """By a collector in another thread, too."""
    simulator.script_provider(ProviderScript(settings={"max_concurrent_streams": 4}, hold=True))
    client = new_client()
    messages = [message(10), message(11, 3)]
    results = [client.send_many(iter(messages))]
    begun = Caller(lambda: outcome(next(results[0])))
    await_held(simulator, 1)
    simulator.release_held()
    assert begun.get() == ACCEPTED
    del begun
    others = send_each(client, range(3))
    await_that(lambda: simulator.held == 3 and followers_of(client) == 2)

    def drop():
        del results[:]
        gc.collect()

    Caller(drop).get()
    simulator.release_held()
    expect_accepted(others)
    assert simulator.provider_connections == 1
    assert "1 idle, 0 in use" in repr(client._connection.session)


def test_a_child_that_is_forked_away_leaves_its_parent_alone(
        simulator, new_client, in_forked_child):
    """It sends over a connection of its own, whoever leads and follows in the parent."""
    simulator.script_provider(HELD)
    client = new_client()
    others = callers_of(simulator, client, 4)
    await_followers(client, 3)
    simulator.script_provider(None)
    in_forked_child(lambda: expect_accepted([Caller(partial(client.send, message(8)))]))
    assert simulator.provider_connections == 2
    simulator.release_held()
    expect_accepted(others)
    assert simulator.provider_connections == 2
    assert sorted(simulator.accepted_tokens()) == sorted(TOKENS[:4] + TOKENS[8:9])


def test_a_stream_goes_on_in_a_child_whose_parent_held_the_lock(
        simulator, new_client, in_forked_child):
    """The lock of the parent's host is released by nobody in the child."""
    simulator.script_provider(ProviderScript(settings={"max_concurrent_streams": 2}))
    client = new_client()
    results = client.send_many([message(0), message(1, 20)])
    assert outcome(next(results)) == ACCEPTED

    def child():
        left = list(results)
        assert len(left) == 1 and not left[0].failed
        assert outcome(client.send(message(30))) == ACCEPTED

    with held_elsewhere(client._connection._host()._lock):
        in_forked_child(child)
    assert [outcome(one) for one in results] == [ACCEPTED]


# The callers' own code.


def test_an_iterable_that_blocks_holds_up_nobody(simulator, new_client):
    """It is asked when its caller does not lead; so it may wait for what others send."""
    client, gates = new_client(), [Gate(), Gate()]

    def messages():
        yield message(0)
        gates[0].open()
        gates[1].wait()
        # And it may send itself.
        assert outcome(client.send(message(1))) == ACCEPTED
        yield message(2)

    campaign = Caller(lambda: [outcome(one) for one in client.send_many(messages())])
    gates[0].wait()
    expect_accepted(send_each(client, range(10, 20)))
    gates[1].open()
    assert campaign.get() == [ACCEPTED] * 2
    assert simulator.provider_connections == 1


def test_a_consumer_that_blocks_holds_up_nobody(simulator, new_client):
    """Who takes its time over a result, or sends before it takes the next one, does not lead."""
    simulator.script_provider(ProviderScript(settings={"max_concurrent_streams": 5}))
    client, gates = new_client(pool_size=1), [Gate(), Gate()]

    def consume():
        found = []
        for result in client.send_many([message(0), message(1, 40), message(50, 40)]):
            found.append(outcome(result))
            if len(found) == 1:
                gates[0].open()
                gates[1].wait()
                found.append(outcome(client.send(message(99))))
        return found

    campaign = Caller(consume)
    gates[0].wait()
    expect_accepted(send_each(client, range(100, 110)))
    gates[1].open()
    assert campaign.get() == [ACCEPTED] * 4
    assert simulator.provider_connections == 1


def test_a_store_of_feedback_that_blocks_holds_up_nobody(simulator, new_client):
    """It is used by a caller who does not lead, and the others leave their tokens to that one."""
    gates = [Gate(), Gate()]

    class Store(MemoryStore):
        def add(self, source, rows):
            gates[0].open()
            gates[1].wait()
            super(Store, self).add(source, rows)

    simulator.devices.uninstall(TOKENS[0])
    simulator.devices.uninstall(TOKENS[1])
    client = new_client(feedback_store=Store())
    blocked = send_each(client, [0])
    gates[0].wait()
    expect_accepted(send_each(client, range(10, 20)))
    assert list(client.send(message(1)).failed) == [TOKENS[1]]
    gates[1].open()
    assert list(blocked[0].get().failed) == [TOKENS[0]]
    assert sorted(token for token, _ in client.feedback()) == [
        token.encode("ascii") for token in TOKENS[:2]]


def test_a_message_does_not_wait_behind_a_campaign(simulator, new_client):
    """Callers are served round robin: it is one of the next that go out."""
    simulator.script_provider(ProviderScript(settings={"max_concurrent_streams": 2}, hold=True))
    client = new_client(pool_size=1)
    campaign = Caller(partial(client.send, message(0, 50)))
    await_held(simulator, 2)
    single = send_each(client, [60])[0]
    await_followers(client, 1)
    for _ in range(3):
        simulator.release_held()
        await_that(lambda: simulator.held == 2 or not single.is_alive())
    expect_accepted([single])
    assert campaign.is_alive()
    while campaign.is_alive():
        await_that(lambda: simulator.held or not campaign.is_alive())
        simulator.release_held()
    expect_accepted([campaign])


def test_a_call_is_looked_at_by_one_thread_at_a_time(simulator, new_client):
    """While its caller is elsewhere others send what it has brought: the lock guards that."""
    client, is_asked = new_client(), threading.Event()

    def messages():
        yield message(0)
        is_asked.set()
        yield message(1)

    results = client.send_many(messages())
    assert outcome(next(results)) == ACCEPTED
    with held_elsewhere(client._connection._host()._lock):
        going_on = Caller(lambda: outcome(next(results)))
        assert not is_asked.wait(0.1)
    assert going_on.get() == ACCEPTED


# Connections that cannot be had.


@pytest.mark.parametrize("script, kind", [
    (ProviderScript(stall_handshake=True), ConnectTimeout),
    (ProviderScript(refuse=True), ConnectError)])
def test_all_who_wait_hear_that_there_is_no_connection(
        simulator, new_client, monkeypatch, script, kind):
    """Once, with the same exception, and after one attempt."""
    simulator.script_provider(script)
    client, gate = new_client(connect_timeout=0.5), Gate()
    connect = stdio.Backend.get_new_connection

    def connect_later(self, *arguments, **options):
        gate.wait()
        return connect(self, *arguments, **options)

    monkeypatch.setattr(stdio.Backend, "get_new_connection", connect_later)
    callers = send_each(client, range(20))
    await_followers(client, 19)
    gate.open()
    errors = []
    for one in callers:
        with pytest.raises(kind) as caught:
            one.get()
        errors.append(caught.value)
    assert len(set(map(id, errors))) == 1
    assert simulator.provider_connections <= 1
    simulator.script_provider(None)
    client._connection.session.connect_timeout = SOON
    assert outcome(client.send(message())) == ACCEPTED


@pytest.mark.parametrize("ending", [frames.goaway(1, frames.NO_ERROR), headers(2)])
def test_a_server_that_neither_reads_nor_hangs_up_holds_up_nobody(monkeypatch, ending):
    """Its connection has ended and all requests have their responses: nothing is to be waited for.

    It says that it ends the connection, or breaks the rules: with the response to one caller while
    another one waits, and then over a connection that lies in the pool.
    """
    monkeypatch.setattr(stdio.Connection, "close_timeout", 4.0 * SOON)
    may_respond, may_end, has_ended, is_over, peers = Gate(), Gate(), Gate(), Gate(), []

    def play(peer):
        peers.append(peer)
        is_first = len(peers) == 1
        if len(peers) == 3:
            accept_all(peer)
            return
        peer.greet([(frames.MAX_CONCURRENT_STREAMS, 1)])
        peer.requests(1)
        may_respond.wait()
        peer.say(headers(1, OK), ending if is_first else b"")
        if not is_first:
            may_end.wait()
            peer.say(ending)
            has_ended.open()
        is_over.wait()

    with serve(play) as server:
        session = new_session(pool_size=1)
        client = client_of(session, server)
        callers = send_each(client, [0])
        await_that(lambda: peers and peers[0].seen)
        callers += send_each(client, [1])
        await_followers(client, 1)
        may_respond.open()
        expect_accepted(callers)
        may_end.open()
        has_ended.wait()
        expect_accepted(send_each(client, [2]))
        is_over.open()
        session.shutdown()


# What was told between calls, and back-ends that promise less.


def test_what_a_session_is_told_between_calls_counts(simulator, new_client):
    """How many connections there may be, and how long is waited."""
    simulator.script_provider(ProviderScript(delay_at={2: SOON}))
    client = new_client(pool_size=1)
    session = client._connection.session
    assert outcome(client.send(message())) == ACCEPTED
    assert client._connection._host()._sender.limit == 1
    session.pool.pool_size = 3
    session.read_timeout = 0.2
    result = client.send(message(1))
    assert result.unknown == TOKENS[1:2] and "0.2 s" in str(result.errors)
    assert client._connection._host()._sender.limit == 3


class Unshared(stdio.Backend):
    """A back-end that cannot wait for several connections."""

    can_share = False

    def create_waker(self):
        raise AssertionError("it is not asked")

    wait = create_waker


def test_where_a_back_end_cannot_share_each_caller_has_a_connection(simulator):
    """One at a time."""
    simulator.script_provider(HELD, HELD)
    session = Session(Unshared(ca_string=simulator.ca_string, pool_size=2), protocol="http2",
                      feedback_store=MemoryStore(), connect_timeout=SOON)
    client = client_for(session, simulator)
    callers = send_each(client, range(3))
    await_held(simulator, 2)
    await_that(lambda: "2 in use, 1 callers waiting" in repr(client._connection))
    simulator.release_held()
    await_held(simulator, 1)
    simulator.release_held()
    expect_accepted(callers)
    assert simulator.provider_connections == 2
    session.shutdown()


def test_nothing_is_left_of_callers_who_have_gone(simulator, descriptors):
    """No descriptor, no thread."""
    before = threading.active_count()
    for _ in range(3):
        session = new_session(ca_string=simulator.ca_string)
        client = client_for(session, simulator)
        callers = send_each(client, range(10))
        expect_accepted(callers)
        session.shutdown()
        del session, client, callers
    assert simulator.wait_for(lambda: simulator.open_provider_connections == 0, SOON)
    await_that(lambda: threading.active_count() <= before)


@needs_signals
def test_a_signal_handler_may_send(simulator, new_client):
    """In the middle of a call of the same thread, over a connection of its own."""
    client, told = new_client(pool_size=2), []
    simulator.script_provider(HELD, None)

    def handle(number, frame):
        told.append(outcome(client.send(message(1))))
        simulator.release_held()

    with handling() as set_handler:
        handler = Once(handle)
        set_handler(handler)
        striking = Caller(lambda: (await_held(simulator, 1), handler.strike()))
        assert outcome(client.send(message(0))) == ACCEPTED
        striking.get()
    assert told == [ACCEPTED]
    assert simulator.provider_connections == 2


@needs_signals
def test_a_stream_does_not_go_on_in_the_middle_of_another_call(simulator, new_client):
    """It would wait for what goes on only behind it; the error says what to do instead."""
    client, told = new_client(), []
    simulator.script_provider(HELD)
    shared = client._connection._host()

    def handle(number, frame):
        with pytest.raises(RuntimeError, match="begin a new one"):
            shared.drive(Call())
        told.append(number)
        simulator.release_held()

    with handling() as set_handler:
        handler = Once(handle)
        set_handler(handler)
        striking = Caller(lambda: (await_held(simulator, 1), handler.strike()))
        assert outcome(client.send(message(0))) == ACCEPTED
        striking.get()
    assert told


def test_a_log_handler_may_send(simulator, new_client):
    """That of the warning that a connection has ended, for instance."""
    client, told = new_client(pool_size=2), []
    simulator.script_provider(ProviderScript(close_after=1, late=1), None)

    class Sending(logging.Handler):
        def emit(self, record):
            if record.levelno == logging.WARNING and not told:
                told.append(None)
                told.append(outcome(client.send(message(1))))

    logger, handler = logging.getLogger("apnsclient"), Sending()
    logger.addHandler(handler)
    try:
        assert client.send(message(0)).unknown == TOKENS[:1]
    finally:
        logger.removeHandler(handler)
    assert told == [None, ACCEPTED]
