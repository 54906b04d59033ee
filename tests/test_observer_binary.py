"""What a session tells its observer over the binary protocol."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient import APNs, Message, events
from apnsclient.errors import ConnectError
from apnsclient.testing.simulator import Script
from net_support import client_of, make_tokens
from observer_support import Notes, count_results

TOKENS = make_tokens(10)


def hello(tokens=TOKENS):
    return Message(tokens, alert="hello")


@pytest.fixture
def notes():
    return Notes()


def test_each_outcome_is_told_once_with_its_status(apple, notes):
    """One token is rejected, and those behind it go out again over the next connection."""
    session = apple.session(observer=notes)
    apple.script(Script(status_at={3: 8}))
    client = client_of(session, apple)
    result = client.send(hello(TOKENS + ["nonsense"]))
    again = client.send(result.retry())
    assert notes.reasons() == {
        ("accepted", None, None): 9, ("rejected", 8, "Invalid token"): 1,
        ("rejected", None, "malformed token"): 1, ("unprocessed", None, "not sent"): 7}
    assert notes.outcomes() == count_results([result, again])
    session.shutdown()
    assert [(each.reason, each.detail, each.notifications)
            for each in notes.of(events.ConnectionClosed)] == [
        ("response", "Invalid token", 11), ("idle", None, 7)]
    for event in notes.events:
        assert event.protocol == "binary" and event.address == apple.gateway_address
    assert not any(token in repr(notes.events) for token in TOKENS)


def test_what_is_written_again_is_told(apple, notes):
    """The messages behind the one that an error frame names."""
    client = client_of(apple.session(observer=notes), apple)
    apple.script(Script(status_at={1: 7}))
    results = list(client.send_many([hello(TOKENS[:2]), hello(TOKENS[2:5]), hello(TOKENS[5:])]))
    resent = notes.one(events.NotificationsResent)
    assert (resent.reason, resent.count) == ("discarded", 8)
    assert notes.outcomes() == count_results(results) == {"accepted": 8, "undelivered": 2}
    assert notes.reasons()["undelivered", 7, "Invalid payload size"] == 1


def test_the_end_of_a_connection_has_a_reason(apple, notes):
    """Also where the gateway says nothing, and the outcome is unknown."""
    session = apple.session(observer=notes)
    client = client_of(session, apple)
    for options, reason in ((dict(close_after=2), "end"), (dict(reset_after=2), "lost"),
                            (dict(garbage_after=2), "protocol"),
                            (dict(shutdown_after=2), "response")):
        apple.script(Script(**options))
        del notes.events[:]
        results = [client.send(hello())]
        assert notes.outcomes() == count_results(results)
        assert notes.one(events.ConnectionClosed).reason == reason
        session.shutdown()


def test_a_connection_that_cannot_be_had_is_told(apple, notes):
    """Before the exception is raised."""
    client = client_of(apple.session(observer=notes), apple)
    apple.script(Script(refuse=True))
    with pytest.raises(ConnectError):
        client.send(hello())
    assert notes.one(events.ConnectFailed).error == "ConnectError"
    assert len(notes.events) == 1


def test_late_results_are_told_whether_anybody_else_is(apple, notes):
    """How many messages, and how many of their tokens."""
    late = []
    session = apple.session(observer=notes, on_late_result=late.append)
    client = client_of(session, apple)
    apple.script(Script(status_at={3: 8}, hold=True))
    client.send(hello())
    apple.release_held()
    client.send(hello(TOKENS[:1]))
    told = notes.one(events.LateResults)
    assert (told.messages, told.tokens) == (1, 8)
    assert len(late) == 1


def test_reading_feedback_opens_and_closes_a_connection(apple, notes):
    """Without a notification."""
    apple.devices.uninstall(TOKENS[0])
    session = apple.session(observer=notes)
    apns = APNs(session.get_connection(apple.feedback_address, cert_string=apple.cert_string))
    list(apns.feedback())
    assert notes.one(events.ConnectionOpened).address == apple.feedback_address
    closed = notes.one(events.ConnectionClosed)
    assert (closed.reason, closed.notifications) == ("done", 0)
