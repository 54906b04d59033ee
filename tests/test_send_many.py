"""``APNs.send_many``: lazily, in order, one wait at the end, nothing lost or twice."""

from __future__ import absolute_import, division, print_function

import logging
from binascii import hexlify

import pytest

import simulated_time
from apnsclient import APNs, Message, Session
from apnsclient.backends import dummy
from apnsclient.errors import ConnectError, ConnectionLost, Timeout
from apnsclient.protocols.binary import NotificationParser
from apnsclient.sending.binary import BinarySender
from apnsclient.sending.binary_stream import GatewayStream
from apnsclient.testing.simulator import Script, Simulator
from net_support import (
    SILENCE,
    SOON,
    Outcome,
    await_accepted,
    await_closed,
    await_held,
    client_of,
    make_tokens,
    tokens_of,
)

pytestmark = pytest.mark.timeout(240)


def make_messages(count, size=3):
    """Return messages with distinct tokens (list)."""
    return [Message(make_tokens(size, first=size * index), alert="message %d" % index)
            for index in range(count)]


def all_tokens(messages):
    """Return the tokens of all messages, in order."""
    return [token for message in messages for token in message.tokens]


def test_results_come_in_order_one_for_each_message(simulator, new_session):
    """Each message has its own result, in the order of the messages."""
    messages = make_messages(10)
    results = list(client_of(new_session(read_tail_timeout=SILENCE), simulator).send_many(messages))
    assert [result.message for result in results] == messages
    assert [(one.failed, one.errors, one.retry()) for one in results] == [({}, [], None)] * 10
    await_accepted(simulator, 30)
    assert simulator.accepted_tokens() == all_tokens(messages)
    assert simulator.connections == 1


def test_the_tail_wait_is_paid_once_not_once_for_each_message(apple):
    """Twenty messages take exactly one tail wait, from when the last one was written."""
    def messages():
        for message in make_messages(20):
            apple.clock.advance(2)
            yield message

    client = client_of(apple.session(read_tail_timeout=64), apple)
    begin = apple.clock.now
    results = list(client.send_many(messages()))
    assert apple.clock.now - begin == 20 * 2 + 64
    assert len(results) == 20
    await_accepted(apple, 60)


def test_there_is_one_wait_however_many_messages_there_are():
    """Counted, not measured: one read runs into its timeout, for a thousand messages."""
    waits = []

    class Connection(dummy.Connection):
        def read(self, size, timeout):
            waits.append(timeout)
            return super(Connection, self).read(size, timeout)

    class Waiting(dummy.Backend):
        def get_new_connection(self, address, certificate, timeout=None):
            return Connection(address, certificate, self)

    session = Session(pool=Waiting(push=[]), read_tail_timeout=1000)
    client = APNs(session.get_connection(cert_string="any"))
    assert len(list(client.send_many(make_messages(1000, size=1)))) == 1000
    assert len(waits) == 1
    with pytest.raises(Timeout):
        Connection(("nowhere", 1), None, Waiting(push=[])).read(1, 0)


def test_messages_are_taken_as_they_are_sent(apple):
    """A message is taken from the iterable only after the one before has been written."""
    seen = []

    def messages():
        for index, message in enumerate(make_messages(5)):
            # It is written without waiting: what came before arrives while this one is made.
            seen.append(apple.wait_for(lambda: apple.accepted_count == 3 * index, SOON))
            yield message

    client = client_of(apple.session(), apple)
    stream = client.send_many(messages())
    assert seen == []
    assert apple.connections == 0
    assert len(list(stream)) == 5
    assert seen == [True] * 5


class Counting(simulated_time.Connection):
    """A connection that counts what is written over it."""

    sizes = None

    def write(self, data, timeout):
        self.sizes.append(len(data))
        super(Counting, self).write(data, timeout)


@pytest.fixture
def written(apple):
    """A session's client, and the sizes of what it writes (list)."""
    def client(**options):
        session = apple.session(**options)
        session.pool.connection_class = Counting
        return client_of(session, apple)

    Counting.sizes = sizes = []
    return client, sizes


@pytest.mark.parametrize("buffer_size", [1, 2048, 65536, 1 << 24])
def test_small_messages_are_written_together(apple, written, buffer_size):
    """As many as write_buffer_size takes, in order; a large one in between is cut as it would be.
    """
    new_client, sizes = written
    messages = make_messages(300, size=1)
    messages[150] = Message(make_tokens(500, first=1000), alert="to many")
    results = list(new_client(write_buffer_size=buffer_size).send_many(messages))
    assert [result.needs_retry() for result in results] == [False] * 300
    await_accepted(apple, 299 + 500)
    assert apple.accepted_tokens() == all_tokens(messages)
    total, largest = sum(sizes), max(len(next(one.batch(1))[1]) for one in messages)
    assert len(sizes) <= 2 + total // buffer_size
    assert max(sizes) < 2 * buffer_size + largest


def test_a_long_message_is_not_written_on_after_an_error_frame(apple, written):
    """It is looked whether one has come every 64 KiB."""
    new_client, sizes = written
    tokens = make_tokens(5000)
    apple.devices.bad(tokens[0])
    result = new_client().send(Message(tokens, alert="hello"))
    assert list(result.failed) == tokens[:1]
    assert sum(sizes) < GatewayStream.LOOK_INTERVAL + 2 * 2048


def test_the_first_of_two_exceptions_is_raised(apple):
    """The message that cannot be sent comes before the connection that cannot be had."""
    apple.script(Script(refuse=True))
    with pytest.raises(ValueError, match="payload"):
        list(apple.client().send_many([make_messages(1)[0], Message("00", payload="x" * 70000)]))


def test_an_interrupted_write_is_the_last_on_its_connection(apple):
    """Half a frame may be written."""
    class Interrupt(BaseException):
        pass

    class Interrupted(simulated_time.Connection):
        def write(self, data, timeout):
            super(Interrupted, self).write(data[:-5], timeout)
            raise Interrupt

    session = apple.session()
    client = client_of(session, apple)
    session.pool.connection_class = Interrupted
    with pytest.raises(Interrupt):
        client.send(make_messages(1)[0])
    session.pool.connection_class = simulated_time.Connection
    assert session.pool.made[0].closed()
    assert not client.send(make_messages(1)[0]).needs_retry()
    assert apple.connections == 2


def test_a_connection_that_is_used_again_begins_with_nothing_buffered(apple):
    """The back-end forgets what it holds, once what came meanwhile has been read."""
    calls = []

    class Reset(simulated_time.Connection):
        def reset(self):
            calls.append("reset")
            super(Reset, self).reset()

        def peek(self, size):
            calls.append("peek")
            return super(Reset, self).peek(size)

        def write(self, data, timeout):
            calls.append("write")
            super(Reset, self).write(data, timeout)

    session = apple.session()
    session.pool.connection_class = Reset
    client = client_of(session, apple)
    for expected in (["write"], ["peek", "reset", "write"]):
        del calls[:]
        assert not client.send(make_messages(1)[0]).needs_retry()
        assert calls == expected


def test_where_no_silence_is_waited_for_nothing_is():
    """Neither for what was written to leave this machine."""
    def read_nothing(peer):
        peer.stop_reading()
        yield peer.end()

    with simulated_time.serve_bytes(read_nothing, receive_buffer=0) as server:
        begin = server.clock.now
        client = server.client(read_tail_timeout=0)
        assert not client.send(make_messages(1)[0]).needs_retry()
        assert server.clock.now == begin


def test_little_is_held_back_of_a_rush(apple, written):
    """Nobody knows when the next message comes: one in eight waits for it, at most."""
    new_client, sizes = written
    messages = make_messages(2000, size=1)
    held = []

    def rush():
        for number, message in enumerate(messages):
            held.append((number - apple.accepted_count, number))
            yield message

    assert len(list(new_client(write_buffer_size=1 << 24).send_many(rush()))) == 2000
    assert all(waiting * BinarySender.SHARE <= taken for waiting, taken in held)
    assert len(sizes) < 80


def test_a_message_does_not_wait_for_one_that_takes_its_time(apple, written):
    """What is at hand is written before the next one is asked for, however many there were."""
    new_client, _ = written
    seen = []

    def bursts():
        for number, message in enumerate(make_messages(60, size=1)):
            # There is a pause after every seven.
            if number % 7 == 0:
                apple.clock.advance(BinarySender.PATIENCE * 2)
                seen.append(apple.accepted_count == number)
            yield message

    assert len(list(new_client().send_many(bursts()))) == 60
    assert seen == [True] * 9


def test_what_is_at_hand_is_written_before_a_result_is_handed_out(apple, written):
    """The caller may take a long time over it."""
    new_client, sizes = written
    taken, waiting = [], []

    def messages():
        for message in make_messages(100, size=1):
            apple.clock.advance(0.0005)
            taken.append(message)
            yield message

    for _ in new_client(read_tail_timeout=0.01).send_many(messages()):
        waiting.append(len(taken) - apple.accepted_count)
    assert waiting == [0] * 100
    assert len(sizes) < 80


def test_bad_tokens_in_the_middle_cost_nobody_else_anything(apple):
    """Messages behind a refused one are sent again by themselves, and accepted exactly once."""
    messages = make_messages(12)
    bad = [messages[3].tokens[1], messages[4].tokens[0], messages[8].tokens[2]]
    for token in bad:
        apple.devices.bad(token)
    outcome = Outcome()
    session = apple.session(read_tail_timeout=0.5, on_late_result=outcome.late)
    client = client_of(session, apple)
    results = list(client.send_many(messages))
    assert [result.message for result in results] == messages
    for result in results:
        outcome.late(result)
    outcome.finish(client, session, apple, len(bad))
    assert sorted(outcome.failed) == bad
    assert outcome.errors == []
    good = [token for token in all_tokens(messages) if token not in bad]
    assert sorted(apple.accepted_tokens()) == good
    # What stays in the retry of its message is all that came out of order.
    left = messages[3].tokens[2:] + messages[4].tokens[1:]
    assert [token for token in apple.accepted_tokens() if token not in left] == [
        token for token in good if token not in left]


def test_the_result_of_a_refused_message_is_its_own(apple):
    """The bad token is in the result of its message; those before it are confirmed at once."""
    messages = make_messages(4)
    apple.devices.bad(messages[2].tokens[1])
    stream = client_of(apple.session(), apple).send_many(messages[:3])
    results = list(stream)
    assert [result.failed for result in results] == [
        {}, {}, {messages[2].tokens[1]: (8, "Invalid token")}]
    assert [tokens_of(result.retry()) for result in results] == [[], [], messages[2].tokens[2:]]


def test_a_shutdown_in_the_middle_is_no_more_than_a_change_of_connections(apple):
    """Whole messages that a shutdown threw away are sent again; the cut one has its retry."""
    messages = make_messages(6)
    apple.script(Script(shutdown_after=7))
    results = list(client_of(apple.session(read_tail_timeout=3), apple).send_many(messages))
    assert [(one.failed, one.errors) for one in results] == [({}, [])] * 6
    assert [tokens_of(one.retry()) for one in results] == [
        [], [], messages[2].tokens[1:], [], [], []]
    await_accepted(apple, 16)
    assert apple.connections == 2


def test_a_gateway_that_shuts_down_at_once_has_processed_nothing(apple):
    """Shut down before the first notification, everything is in the retries, and it ends."""
    apple.script(*[Script(shutdown_after=0)] * 10)
    messages = make_messages(4)
    results = list(client_of(apple.session(), apple).send_many(messages))
    assert [(one.failed, one.errors) for one in results] == [({}, [])] * 4
    assert [one.retry().tokens for one in results] == [one.tokens for one in messages]
    assert apple.accepted_count == 0


def test_an_exception_of_the_iterable_comes_after_the_results(apple):
    """What was written before the iterable failed has its results; then its exception is raised."""

    def messages():
        for message in make_messages(3):
            yield message
        raise KeyError("the database is gone")

    stream = client_of(apple.session(), apple).send_many(messages())
    results = []
    with pytest.raises(KeyError, match="the database is gone"):
        for result in stream:
            results.append(result)
    assert [result.retry() for result in results] == [None] * 3
    await_accepted(apple, 9)


@pytest.mark.parametrize("payload, error", [
    ({"aps": {}, "text": "x" * 66000}, ValueError),
    ({"aps": {}, "text": object()}, TypeError),
], ids=["too large", "not JSON"])
def test_a_message_that_cannot_be_sent_comes_after_the_results(
        apple, payload, error):
    """A message that no frame can carry ends the stream, and takes nothing with it."""
    messages = make_messages(4)
    messages[2] = Message(messages[2].tokens, payload=payload)
    results = []
    with pytest.raises(error):
        for result in client_of(apple.session(), apple).send_many(
                messages):
            results.append(result)
    assert [result.message for result in results] == messages[:2]
    assert [result.retry() for result in results] == [None] * 2
    await_accepted(apple, 6)


def test_a_message_without_tokens_is_a_result_with_nothing_in_it(apple, caplog):
    """It keeps its place among the results, and is a warning in the log."""
    messages = make_messages(3)
    messages[1] = Message([], alert="to nobody")
    with caplog.at_level(logging.WARNING):
        results = list(client_of(apple.session(), apple).send_many(
            messages))
    assert [result.message for result in results] == messages
    assert "without tokens" in caplog.text
    await_accepted(apple, 6)


@pytest.mark.parametrize("script", [Script(close_after=4), Script(reset_after=4)],
                         ids=["closed", "reset"])
def test_a_connection_lost_in_the_middle_is_replaced(new_session, script):
    """What may have been lost is in the retry of its message; the stream goes on."""
    with Simulator(linger=0.1) as simulator:
        simulator.script(script)
        _lose_a_connection(simulator, new_session(
            ca_string=simulator.ca_string, read_tail_timeout=SILENCE))


def _lose_a_connection(simulator, session):
    seen = []

    def messages():
        for index, message in enumerate(make_messages(6)):
            if index == 2:
                # Both messages are there, and the connection has been closed.
                seen.append(simulator.wait_for(
                    lambda: simulator.accepted_count == 4 and not simulator.open_connections, SOON))
            yield message

    sent = list(client_of(session, simulator).send_many(messages()))
    assert seen == [True]
    assert len(sent) == 6
    retries = [token for result in sent for token in tokens_of(result.retry())]
    accepted = simulator.accepted_tokens()
    assert set(accepted + retries) == set(make_tokens(18))
    # Nothing is sent twice by itself where it is not known whether it was delivered.
    assert len(accepted) == len(set(accepted))
    assert all(result.errors == [(None, "Unknown")] for result in sent if result.needs_retry())
    assert not sent[-1].needs_retry()


def test_a_reconnect_that_fails_raises_after_the_results(apple):
    """With no connection to be had any more, each message taken has its result, then it raises."""
    messages = make_messages(5)
    apple.script(None, Script(refuse=True))
    apple.devices.bad(messages[1].tokens[0])
    results = []
    with pytest.raises(ConnectError):
        for result in apple.client().send_many(messages):
            results.append(result)
    taken = len(results)
    assert 2 <= taken <= 5
    assert [result.message for result in results] == messages[:taken]
    assert not results[0].needs_retry()
    assert list(results[1].failed) == messages[1].tokens[:1]
    assert results[1].retry().tokens == messages[1].tokens[1:]
    assert [one.retry().tokens for one in results[2:]] == [
        one.tokens for one in messages[2:taken]]
    assert apple.accepted_tokens() == messages[0].tokens


def test_nothing_is_sent_twice_where_the_second_connection_fails_too(apple):
    """Messages that wait to be sent again wait once, however often the connection breaks."""
    first, rest = make_messages(1)[0], make_messages(5)[1:]
    long = Message(make_tokens(4000, first=1000), alert="long")
    apple.devices.bad(first.tokens[2])
    apple.script(Script(hold=True), Script(reset_after=0))

    def messages():
        for message in [first, long] + rest:
            yield message
        # Everything is written by now, and thrown away.
        await_held(apple)
        apple.release_held()

    results = list(apple.client().send_many(messages()))
    assert [result.message for result in results] == [first, long] + rest
    # It was on its way over the second connection when that was reset.
    assert results[1].errors == [(None, "Unknown")]
    assert [tokens_of(result.retry()) for result in results[2:]] == [[]] * 4
    await_accepted(apple, 2 + 12)
    assert apple.accepted_tokens() == first.tokens[:2] + all_tokens(rest)


def test_an_abandoned_generator_gives_its_connection_back(apple):
    """A stream that is closed before its end leaves a connection that the next message uses."""
    messages = make_messages(6)
    client = client_of(apple.session(read_tail_timeout=0), apple)
    stream = client.send_many(messages)
    assert next(stream).message is messages[0]
    stream.close()
    assert client.send(Message(make_tokens(1, first=500), alert="next")).retry() is None
    assert apple.wait_for(lambda: make_tokens(1, first=500)[0] in apple.accepted_tokens(),
                              SOON)
    assert apple.connections == 1


def test_error_frames_for_an_abandoned_generator_come_late(apple):
    """An error frame for a message whose result nobody fetched is reported like any late one."""
    late, messages = [], make_messages(3)
    apple.script(Script(status_at={4: 8}, hold=True))
    session = apple.session(read_tail_timeout=0, on_late_result=late.append)

    def endless():
        yield messages[0]
        yield messages[1]
        await_held(apple)
        yield messages[2]

    stream = client_of(session, apple).send_many(endless())
    next(stream)
    for result in stream:
        if result.message is messages[1]:
            break
    stream.close()
    await_held(apple)
    apple.release_held()
    session.shutdown()
    assert late[0].message is messages[1]
    assert late[0].failed == {messages[1].tokens[0]: (8, "Invalid token")}
    assert late[0].retry().tokens == messages[1].tokens[1:]


def test_a_generator_that_was_never_started_connects_to_nothing(apple):
    """Calling send_many sends nothing; taking the first result does."""
    stream = client_of(apple.session(), apple).send_many(make_messages(3))
    stream.close()
    assert apple.connections == 0


def test_no_more_messages_are_taken_than_the_window_holds(apple, monkeypatch):
    """The first of so many messages has its result before the next one is taken."""
    monkeypatch.setattr(BinarySender, "WINDOW", 4)
    taken, ahead = [], []

    def messages():
        for message in make_messages(12):
            taken.append(message)
            yield message

    done = 0
    for _ in client_of(apple.session(), apple).send_many(messages()):
        done += 1
        ahead.append(len(taken) - done)
    assert done == 12
    assert max(ahead) <= 4
    await_accepted(apple, 36)


def test_a_full_window_waits_for_as_long_as_it_takes(monkeypatch):
    """No message is taken meanwhile, however often it is looked whether there is a result."""
    monkeypatch.setattr(BinarySender, "WINDOW", 2)
    taken = []

    def dawdle(peer):
        peer.stop_reading()
        yield peer.pause(60)
        peer.read_on()
        yield peer.end()

    def messages():
        for message in make_messages(4):
            taken.append(server.clock.now - begin)
            yield message

    with simulated_time.serve_bytes(dawdle, receive_buffer=0) as server:
        begin = server.clock.now
        client = server.client(read_tail_timeout=4, write_timeout=None)
        assert not any(one.needs_retry() for one in client.send_many(messages()))
    assert taken[:2] == [0, 0]
    assert 60 <= taken[2] < 61


def test_streams_beside_one_another_have_connections_of_their_own(apple):
    """Two generators of one client may be consumed alternately."""
    client = client_of(apple.session(), apple)
    one, other = make_messages(4), make_messages(8)[4:]
    pairs = list(zip(client.send_many(one), client.send_many(other)))
    assert [first.message for first, _ in pairs] == one
    assert [second.message for _, second in pairs] == other
    await_accepted(apple, 24)
    assert apple.connections == 2


def test_without_a_pool_the_connection_is_closed_after_the_stream(apple):
    """One connection serves the whole stream, and is closed behind it."""
    client = client_of(apple.session(pool_size=0), apple)
    assert len(list(client.send_many(make_messages(5)))) == 5
    await_closed(apple)
    assert apple.connections == 1


class _Connection(dummy.Connection):
    """A connection that remembers the tokens it was given, and may be dead without knowing it."""

    def __init__(self, address, certificate, backend):
        super(_Connection, self).__init__(address, certificate, backend)
        self.tokens = []
        self.is_dead = False

    def write(self, data, timeout):
        if self.is_dead:
            raise ConnectionLost("nobody is there any more")
        self.tokens += [hexlify(one.token).decode("ascii")
                        for one in NotificationParser().feed(data)]
        super(_Connection, self).write(data, timeout)


class _Backend(dummy.Backend):
    """A back-end that cannot detect that the peer has hung up.

    :ivar made: the connections, in order.
    """

    can_detect_close = False

    def __init__(self, **options):
        super(_Backend, self).__init__(**options)
        self.made = []

    def get_new_connection(self, address, certificate, timeout=None):
        self.made.append(_Connection(address, certificate, self))
        return self.made[-1]


def test_a_stale_connection_amid_messages_to_be_sent_again_costs_nothing():
    """Where a back-end cannot tell that a pooled connection is dead, each message is sent once."""
    backend = _Backend(push=[8])
    client = APNs(Session(pool=backend, read_tail_timeout=1000).get_connection(cert_string="any"))
    streams = [client.send_many(make_messages(1, size=1)) for _ in range(2)]
    assert len(list(zip(*streams))) == 1
    assert len(backend.made) == 2
    for stream in streams:
        stream.close()
    refused, others = make_messages(2)[1], make_messages(5)[2:]

    def messages():
        backend.push_result_pos = 0
        yield refused
        # What follows is thrown away, and then goes over the other connection, which is dead.
        backend.push_result_pos = 1
        [other] = [one for one in backend.made if refused.tokens[0] not in one.tokens]
        other.is_dead = True
        for message in others:
            yield message

    results = list(client.send_many(messages()))
    assert [list(result.failed) for result in results] == [refused.tokens[:1], [], [], []]
    assert [tokens_of(result.retry()) for result in results] == [refused.tokens[1:], [], [], []]
    assert [one.tokens for one in backend.made[2:]] == [all_tokens(others)]
