"""Error frames that come after the message they belong to was taken for delivered."""

from __future__ import absolute_import, division, print_function

import datetime
import logging

import pytest

import simulated_time
from apnsclient import APNs, Message, Session
from apnsclient.events import LateResults, NotificationOutcomes
from apnsclient.testing.simulator import Script
from net_support import (
    SILENCE,
    SOON,
    Backend,
    await_accepted,
    await_held,
    client_of,
    make_tokens,
    tokens_of,
)

pytestmark = pytest.mark.timeout(240)

EARLIER, CURRENT = make_tokens(5), make_tokens(4, first=100)
HELD = Script(status_at={3: 8}, hold=True)


@pytest.fixture
def late():
    """Results that came late, in order."""
    return []


@pytest.fixture
def held(apple, late):
    """Session and client of which one message counts as delivered, while its error is on hold."""
    apple.script(HELD)
    session = apple.session(on_late_result=late.append)
    client = client_of(session, apple)
    assert client.send(Message(EARLIER, alert="earlier")).retry() is None
    await_held(apple)
    return session, client


def assert_is_late(results):
    """Check the late result of the message to EARLIER whose third token is bad."""
    assert [result.failed for result in results] == [{EARLIER[2]: (8, "Invalid token")}]
    assert tokens_of(results[0].retry()) == EARLIER[3:]
    assert results[0].message.alert == "earlier"


def test_a_frame_that_came_while_idle_is_read_before_the_next_message(apple, held, late):
    """The next message goes over a new connection, and is not touched by the old error."""
    apple.release_held()
    result = held[1].send(Message(CURRENT, alert="current"))
    assert (result.failed, result.errors, result.retry()) == ({}, [], None)
    assert_is_late(late)
    await_accepted(apple, 2 + len(CURRENT))
    assert apple.accepted_tokens() == EARLIER[:2] + CURRENT
    assert apple.connections == 2


def test_a_frame_on_the_way_is_the_earlier_messages_and_the_current_one_is_sent_again(
        apple, held, late):
    """What the gateway threw away because of an earlier message is sent anew, exactly once."""

    def messages():
        yield Message(CURRENT[:2], alert="current")
        # It is written by now, and thrown away.
        apple.release_held()
        yield Message(CURRENT[2:], alert="current")

    results = list(held[1].send_many(messages()))
    assert [(one.failed, one.errors, one.retry()) for one in results] == [({}, [], None)] * 2
    assert_is_late(late)
    await_accepted(apple, 2 + len(CURRENT))
    assert apple.accepted_tokens() == EARLIER[:2] + CURRENT
    assert apple.connections == 2


@pytest.mark.parametrize("outdate", [
    lambda session: session.outdate(datetime.timedelta(0)), lambda session: session.shutdown(),
], ids=["outdate", "shutdown"])
def test_a_frame_that_came_while_idle_is_read_before_the_pool_is_closed(
        apple, held, late, outdate):
    """Closing idle connections loses no response."""
    apple.release_held()
    outdate(held[0])
    assert_is_late(late)


class Unhurried(Backend):
    """Closes connections as the default back-end does, once ``before_close()`` has returned."""

    def before_close(self):
        """Called when everything has been read, and nothing has been said of closing."""

    def close_all(self, connections):
        self.before_close()
        for connection in connections:
            connection.close_timeout = SOON
        super(Unhurried, self).close_all(connections)


def test_a_frame_that_comes_while_the_connection_is_closed_is_read_too(simulator, late):
    """The gateway may respond until the client has read to the end, and that late."""
    simulator.script(HELD)
    backend = Unhurried(ca_string=simulator.ca_string)
    session = Session(pool=backend, read_tail_timeout=SILENCE, on_late_result=late.append)
    client = client_of(session, simulator)
    assert client.send(Message(EARLIER, alert="earlier")).retry() is None
    await_held(simulator)
    backend.before_close = simulator.release_held
    session.shutdown()
    assert_is_late(late)


def test_a_frame_that_comes_while_a_connection_without_a_pool_is_closed_is_read_too(apple, late):
    """It is the last moment at which it can be."""
    class Releasing(simulated_time.Connection):
        def close(self):
            apple.release_held()
            super(Releasing, self).close()

    apple.script(HELD)
    session = apple.session(on_late_result=late.append)
    session.pool.connection_class = Releasing
    client = APNs(session.new_connection(apple.gateway_address, cert_string=apple.cert_string))
    assert client.send(Message(EARLIER, alert="earlier")).retry() is None
    assert_is_late(late)


def test_a_frame_is_read_where_the_pool_has_no_room_for_its_connection(
        apple, late):
    """The connection that a full pool pushes out is read first, too."""
    apple.script(None, HELD)
    session = apple.session(on_late_result=late.append, pool_size=1)
    client = client_of(session, apple)

    def messages():
        yield Message(CURRENT, alert="current")
        # The first connection is in use, so that this goes over a second one, into the pool.
        assert client.send(Message(EARLIER, alert="earlier")).retry() is None
        await_held(apple)
        apple.release_held()

    assert [result.retry() for result in client.send_many(messages())] == [None]
    assert apple.connections == 2
    assert_is_late(late)


def test_all_messages_after_the_bad_one_come_late_with_it(apple, late):
    """Each message that was thrown away has a late result of its own, with all its tokens."""
    apple.script(HELD)
    session = apple.session(on_late_result=late.append)
    client = client_of(session, apple)
    for tokens in (EARLIER, CURRENT[:2], CURRENT[2:]):
        assert client.send(Message(tokens, alert="earlier")).retry() is None
    await_held(apple)
    apple.release_held()
    session.shutdown()
    assert_is_late(late[:1])
    assert [(one.failed, one.errors) for one in late[1:]] == [({}, []), ({}, [])]
    assert [tokens_of(one.retry()) for one in late[1:]] == [CURRENT[:2], CURRENT[2:]]


def leave_after_the_first(session, apple):
    """Send messages of which the third is refused, and take no more than the first result."""
    apple.devices.bad(CURRENT[2])
    results = client_of(session, apple).send_many(
        [Message([token], alert=token) for token in CURRENT])
    first = next(results)
    assert not first.failed and first.retry() is None
    results.close()


def test_results_that_a_caller_leaves_behind_are_late(apple, late):
    """The gateway has said by then what was refused, and so which messages it has discarded."""
    leave_after_the_first(apple.session(on_late_result=late.append), apple)
    assert [(result.message.tokens, list(result.failed)) for result in late] == [
        ([CURRENT[2]], [CURRENT[2]]), ([CURRENT[3]], [])]
    assert tokens_of(late[1].retry()) == CURRENT[3:]
    assert apple.accepted_tokens() == CURRENT[:2]


def test_a_warning_tells_of_results_that_a_caller_leaves_behind(apple, caplog):
    """How many tokens they concern, and of how many messages."""
    with caplog.at_level(logging.WARNING):
        leave_after_the_first(apple.session(), apple)
    [record] = caplog.records
    assert "left before it could yield that 2 tokens of 2 messages" in record.getMessage()


def test_results_of_a_lost_connection_that_a_caller_leaves_behind_are_late(apple, late):
    """They are unknown, and nobody else would say so; the observer is told of each once."""
    events = []
    apple.script(Script(close_after=2))
    session = apple.session(on_late_result=late.append, observer=events.append)
    results = client_of(session, apple).send_many(
        [Message([token], alert=token) for token in CURRENT])
    next(results)
    results.close()
    session.shutdown()
    assert [tokens_of(result.retry()) for result in late] == [[token] for token in CURRENT[1:]]
    assert [list(result.unknown) for result in late] == [[token] for token in CURRENT[1:]]
    counted = [event for event in events if isinstance(event, NotificationOutcomes)]
    assert sum(event.count for event in counted) == len(CURRENT)
    assert not [event for event in events if isinstance(event, LateResults)]


def test_without_a_callback_a_warning_tells_how_many_tokens_it_concerns(
        apple, caplog):
    """A session without on_late_result says in the log what was not delivered after all."""
    apple.script(HELD)
    client = client_of(apple.session(), apple)
    client.send(Message(EARLIER, alert="earlier"))
    await_held(apple)
    apple.release_held()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        result = client.send(Message(CURRENT, alert="current"))
    assert (result.failed, result.errors, result.retry()) == ({}, [], None)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert "3 tokens" in warnings[0]
    assert "on_late_result" in warnings[0]
    assert EARLIER[2] not in caplog.text


def test_a_callback_that_raises_does_not_break_the_message_on_its_way(
        apple, caplog):
    """An exception of on_late_result is logged, and the current message is sent."""
    asked = []

    def fail(result):
        asked.append(result)
        raise RuntimeError("the callback is broken")

    apple.script(HELD)
    client = client_of(apple.session(on_late_result=fail), apple)
    client.send(Message(EARLIER, alert="earlier"))
    await_held(apple)
    apple.release_held()
    with caplog.at_level(logging.ERROR):
        result = client.send(Message(CURRENT, alert="current"))
    assert (result.failed, result.errors, result.retry()) == ({}, [], None)
    assert_is_late(asked)
    assert "the callback is broken" in caplog.text
    await_accepted(apple, 2 + len(CURRENT))


def test_a_callback_may_send_the_retry_itself(apple):
    """on_late_result may use the session that calls it."""
    apple.script(HELD)
    again = []

    def send_again(result):
        again.append(client.send(result.retry()).retry())

    session = apple.session(on_late_result=send_again)
    client = client_of(session, apple)
    client.send(Message(EARLIER, alert="earlier"))
    await_held(apple)
    apple.release_held()
    assert client.send(Message(CURRENT, alert="current")).retry() is None
    assert again == [None]
    await_accepted(apple, 4 + len(CURRENT))
    assert sorted(apple.accepted_tokens()) == EARLIER[:2] + EARLIER[3:] + CURRENT


def test_a_shutdown_that_lost_nothing_is_not_reported(apple, late):
    """An idle gateway that shuts down and names the last notification has delivered everything."""
    apple.script(Script(shutdown_after=len(EARLIER), hold=True))
    session = apple.session(on_late_result=late.append)
    client = client_of(session, apple)
    assert client.send(Message(EARLIER, alert="earlier")).retry() is None
    await_held(apple)
    apple.release_held()
    assert client.send(Message(CURRENT, alert="current")).retry() is None
    await_accepted(apple, len(EARLIER) + len(CURRENT))
    assert late == []


def test_a_late_shutdown_retries_what_follows_the_last_accepted(apple, late):
    """A shutdown that comes late is told apart from an error: nobody is to blame."""
    apple.script(Script(shutdown_after=2, hold=True))
    session = apple.session(on_late_result=late.append)
    client_of(session, apple).send(Message(EARLIER, alert="earlier"))
    await_held(apple)
    apple.release_held()
    session.shutdown()
    assert [(one.failed, one.errors, one.retry().tokens) for one in late] == [({}, [], EARLIER[2:])]


@pytest.mark.parametrize("bad", [0, 2, 3, 4])
def test_identifiers_that_wrap_around_still_name_the_right_token(apple, bad):
    """Behind 2 to the power 32 - 1 comes 0, in the middle of a message and between two of them."""
    session = apple.session()
    client_of(session, apple).send(Message(CURRENT, alert="earlier"))
    await_accepted(apple, len(CURRENT))
    # The connection has carried four thousand million notifications.
    [connection] = session.pool.made
    connection.protocol.ledger.next_identifier = (1 << 32) - 3
    apple.devices.bad(EARLIER[bad])
    result = client_of(session, apple).send(Message(EARLIER, alert="current"))
    assert result.failed == {EARLIER[bad]: (8, "Invalid token")}
    assert tokens_of(result.retry()) == EARLIER[bad + 1:]
    assert [one.identifier for one in apple.errors] == [((1 << 32) - 3 + bad) % (1 << 32)]
    assert apple.connections == 1


def test_a_late_frame_is_attributed_across_the_wrap(apple, late):
    """An earlier message before the wrap and a current one behind it are told apart."""
    session = apple.session(on_late_result=late.append)
    client = client_of(session, apple)
    apple.script(Script(status_at={4: 8}, hold=True))
    client.send(Message(CURRENT[:1], alert="first"))
    [connection] = session.pool.made
    connection.protocol.ledger.next_identifier = (1 << 32) - len(EARLIER)
    client.send(Message(EARLIER, alert="earlier"))
    await_held(apple)
    client.send(Message(CURRENT[1:], alert="behind the wrap"))
    apple.release_held()
    session.shutdown()
    assert_is_late(late[:1])
    assert [tokens_of(one.retry()) for one in late[1:]] == [CURRENT[1:]]
