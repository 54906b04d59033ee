"""What a session tells its observer over HTTP/2."""

from __future__ import absolute_import, division, print_function

import logging

import pytest

pytest.importorskip("hpack")

from apnsclient import APNs, Message, ProviderToken, Session, events
from apnsclient.errors import ConnectError, ConnectTimeout
from apnsclient.testing.simulator import ProviderScript
from frame_peers import TOKENS
from observer_support import Notes, count_results

TOPIC = "com.example.app"


def connect(apple, observer, **options):
    """Return a session with an observer, and a client of it."""
    session = apple.session(protocol="http2", observer=observer, **options)
    return session, APNs(session.get_connection(apple.provider_address,
                                                cert_string=apple.cert_string))


def hello(tokens, **options):
    return Message(tokens, alert="hello", **options)


def test_one_message_is_some_events(apple):
    """However many tokens it has: its connection, its responses, and one for each outcome."""
    apple.script_provider(ProviderScript(response_at={7: "BadDeviceToken"}))
    notes = Notes()
    session, client = connect(apple, notes)
    result = client.send(hello(TOKENS[:1000], apns_topic=TOPIC))
    assert len(result.failed) == 1
    opened = notes.one(events.ConnectionOpened)
    assert opened.address == apple.provider_address and opened.protocol == "http2"
    assert opened.seconds >= 0
    assert notes.outcomes() == {"accepted": 999, "rejected": 1}
    assert notes.reasons() == {("accepted", 200, None): 999,
                               ("rejected", 400, "BadDeviceToken"): 1}
    assert set((each.push_type, each.topic) for each in notes.of(events.NotificationOutcomes)) == \
        set([("alert", TOPIC)])
    assert sum(each.count for each in notes.of(events.Responses)) == 1000
    assert len(notes.events) < 60
    session.shutdown()
    closed = notes.one(events.ConnectionClosed)
    assert (closed.reason, closed.detail, closed.notifications) == ("idle", None, 1000)
    assert not any(token in repr(notes.events) for token in TOKENS[:1000])


def test_messages_to_one_token_each_are_counted_together(apple):
    """Those that are alike, whatever identifiers they have of their own."""
    apple.devices.bad(TOKENS[3], reason="BadDeviceToken")
    notes = Notes()
    client = connect(apple, notes)[1]
    messages = [hello([token], apns_topic=TOPIC if number % 2 else TOPIC + ".voip",
                      apns_id="00000000-0000-0000-0000-%012d" % number)
                for number, token in enumerate(TOKENS[:100])]
    results = list(client.send_many(messages))
    assert notes.outcomes() == count_results(results) == {"accepted": 99, "rejected": 1}
    counts = {}
    for event in notes.of(events.NotificationOutcomes):
        key = event.push_type, event.topic
        counts[key] = counts.get(key, 0) + event.count
    assert counts == {("alert", TOPIC): 50, ("voip", TOPIC + ".voip"): 50}
    assert len(notes.of(events.NotificationOutcomes)) < 12


def test_what_nobody_responds_to_has_outcomes_too(apple):
    """Malformed tokens, those that a reason stops, and those that are unknown."""
    notes = Notes()
    session, client = connect(apple, notes, read_timeout=5)
    apple.script_provider(ProviderScript(no_response_at=[2]))
    results = [client.send(hello([TOKENS[0], TOKENS[1], "nonsense"]))]
    assert notes.reasons() == {("accepted", 200, None): 1, ("unknown", None, "no response"): 1,
                               ("rejected", None, "malformed token"): 1}
    apple.script_provider(ProviderScript(response_at={1: "PayloadTooLarge"},
                                         settings={"max_concurrent_streams": 1}))
    session.shutdown()
    results.append(client.send(hello(TOKENS[:9])))
    assert notes.reasons()["undelivered", 413, "PayloadTooLarge"] == 1
    assert notes.reasons()["undelivered", None, "PayloadTooLarge"] == 8
    assert notes.outcomes() == count_results(results)


def test_the_end_of_a_connection_has_a_reason(apple):
    """One after the other, with what the server says of it."""
    notes = Notes()
    session, client = connect(apple, notes, read_timeout=5)
    rows = [(dict(goaway_after=1, goaway_reason="Shutdown"), "goaway", "Shutdown"),
            (dict(goaway_after=1), "goaway", "NO_ERROR"),
            (dict(close_after=1), "end", None),
            (dict(reset_after=1), "lost", None),
            (dict(garbage_after=1), "protocol", "FRAME_SIZE_ERROR"),
            (dict(silent_after=1), "timeout", None)]
    for options, reason, detail in rows:
        apple.script_provider(ProviderScript(**options))
        del notes.events[:]
        client.send(hello(TOKENS[:2]))
        client.send(hello(TOKENS[:1]))
        assert [(each.reason, each.detail) for each in notes.of(events.ConnectionClosed)] == [
            (reason, detail)], (options, notes.events)
        session.shutdown()


def test_resending_is_told(apple):
    """How many, and why."""
    notes = Notes()
    client = connect(apple, notes)[1]
    apple.script_provider(ProviderScript(goaway_after=3, goaway_reason="Shutdown"))
    result = client.send(hello(TOKENS[:10]))
    assert not result.needs_retry()
    resent = notes.one(events.NotificationsResent)
    assert (resent.reason, resent.count) == ("goaway", 7)
    assert notes.outcomes() == {"accepted": 10}


def test_a_connection_that_cannot_be_had_is_told(apple):
    """Before the exception is raised, of a session that goes on."""
    notes = Notes()
    client = connect(apple, notes, connect_timeout=3)[1]
    for options, error in ((dict(refuse=True), ConnectError),
                           (dict(stall_handshake=True), ConnectTimeout)):
        apple.script_provider(ProviderScript(**options))
        with pytest.raises(error):
            client.send(hello(TOKENS[:3]))
        failed = notes.of(events.ConnectFailed)[-1]
        assert failed.error == error.__name__
    assert failed.seconds == 3
    assert notes.outcomes() == {}
    client.send(hello(TOKENS[:3]))
    assert notes.outcomes() == {"accepted": 3}


def test_a_provider_token_is_told_by_key_and_age(apple):
    """And never as itself."""
    notes = Notes()
    session = apple.session(protocol="http2", observer=notes)
    credential = ProviderToken(**apple.token_parameters)
    client = APNs(session.get_connection(apple.provider_address, credential))
    for _ in range(2):
        client.send(hello(TOKENS[:3], apns_topic=TOPIC))
    taken = notes.one(events.ProviderTokenTaken)
    assert (taken.key_id, taken.team_id) == (credential.key_id, credential.team_id)
    assert 0 <= taken.age < 3600
    assert notes.one(events.ConnectionOpened).certificate_days is None
    assert credential.bearer().decode("ascii")[7:] not in repr(notes.events)


def test_waiting_for_room_is_told(apple):
    """Where the server allows one request at a time, all but the first wait for each."""
    notes = Notes()
    client = connect(apple, notes)[1]
    apple.script_provider(ProviderScript(settings={"max_concurrent_streams": 1}, delay=0.25))
    client.send(hello(TOKENS[:4]))
    waits = [each for each in notes.of(events.Waited) if each.seconds]
    assert set(each.reason for each in waits) == set(["room"])
    assert sum(each.seconds for each in waits) == 0.75
    assert [each.seconds for each in notes.of(events.Responses)] == [0.25] * 4


def test_what_happens_during_a_long_call_is_told_meanwhile(apple):
    """A message that takes a minute is no reason to be silent for as long."""
    notes, told_at = Notes(), []

    def observe(event):
        notes(event)
        told_at.append((apple.clock.now, event))

    client = connect(apple, observe)[1]
    apple.script_provider(ProviderScript(settings={"max_concurrent_streams": 1}, delay=1.0))
    started = apple.clock.now
    client.send(hello(TOKENS[:60]))
    assert max(now - event.time for now, event in told_at) <= 2.0
    assert told_at[0][0] - started <= 2.0


def failing(error):
    def observe(event):
        raise error

    return observe


def test_an_observer_that_raises_harms_nothing(apple, caplog):
    """Its exception is logged once for each kind, and again after a minute."""
    client = connect(apple, failing(ValueError("the observer is broken")))[1]
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            assert not client.send(hello(TOKENS[:3])).errors
        texts = [record.getMessage() for record in caplog.records]
        assert len(texts) == len(set(texts)) == 3
        assert "the observer of a session has failed with ConnectionOpened" in texts
        apple.clock.wait(lambda: False, 61)
        client.send(hello(TOKENS[:3]))
        assert len(caplog.records) > 3
    assert caplog.records[0].name == "apnsclient.transport"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_an_observer_passes(apple, error):
    """As everywhere; the session may be used again."""
    session, client = connect(apple, failing(error()))
    with pytest.raises(error):
        client.send(hello(TOKENS[:3]))
    session._shared.observation._observer = notes = Notes()
    assert not client.send(hello(TOKENS[:3])).errors
    assert notes.outcomes()["accepted"] >= 3


def test_an_observer_may_send_and_close_the_session(apple):
    """Also about what it is told. What its own call causes is told when it has returned."""
    notes, depth = Notes(), [0, 0]

    def observe(event):
        depth[0] += 1
        depth[1] = max(depth)
        notes(event)
        if type(event) is events.NotificationOutcomes and len(sent) < 3:
            sent.append(client.send(hello(TOKENS[:5])))
            session.shutdown()
        depth[0] -= 1

    sent = []
    session, client = connect(apple, observe)
    client.send(hello(TOKENS[:2]))
    assert depth == [0, 1]
    assert [result.errors for result in sent] == [[]] * 3
    assert notes.outcomes() == {"accepted": 17}
    assert len(notes.of(events.ConnectionOpened)) == 3


def test_nothing_is_told_twice_or_lost_where_a_caller_leaves(apple):
    """A generator that is closed: what it has handed out was told, and its connection as well."""
    notes = Notes()
    session, client = connect(apple, notes)
    results = client.send_many(hello([token]) for token in TOKENS[:500])
    taken = [next(results) for _ in range(3)]
    results.close()
    assert notes.outcomes()["accepted"] >= len(taken)
    session.shutdown()
    assert len(notes.of(events.ConnectionOpened)) == len(notes.of(events.ConnectionClosed)) == 1


def test_an_observer_has_to_be_something_to_call():
    """Early, and by name."""
    with pytest.raises(TypeError, match="the observer is of type str"):
        Session(observer="log")


def test_events_are_the_same_whoever_leads(apple):
    """The sums of many results, over connections that end in the middle."""
    apple.script_provider(*[ProviderScript(goaway_after=40, goaway_reason="Shutdown",
                                           response_at={3: "TooManyRequests", 9: "Unregistered"})
                            for _ in range(4)])
    notes = Notes()
    session, client = connect(apple, notes)
    results = [client.send(hello(TOKENS[:70])) for _ in range(3)]
    results += list(client.send_many([hello(TOKENS[:7]), hello(TOKENS[:1]), hello([])]))
    session.shutdown()
    assert notes.outcomes() == count_results(results)
    opened, closed = notes.of(events.ConnectionOpened), notes.of(events.ConnectionClosed)
    assert len(opened) == len(closed) > 2
    assert sum(each.notifications for each in closed) >= 218
