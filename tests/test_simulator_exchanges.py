"""What a running simulator tells of requests and connections: to its journal, and to observers."""

from __future__ import absolute_import, division, print_function

import json

import pytest

pytest.importorskip("hpack")
pytest.importorskip("jwt")

from apnsclient import APNs, Message, Session
from apnsclient.errors import ConnectError
from apnsclient.protocols.http2 import frames
from apnsclient.testing.simulator import ProviderScript, Query, Script, Simulator
from apnsclient.testing.simulator.documents import (
    connection_document,
    exchange_document,
    exchange_summary,
    read_alert,
    read_payload,
    rfc3339,
)
from observing import Seen
from provider_client import with_certificate, with_token
from simulator_client import enhanced, gateway_client
from tables import each

TOKEN = "ab" * 32
#: Seconds after which something hangs.
HANG = 150


@pytest.fixture
def apns():
    with Simulator() as running:
        yield running


def test_a_notification_is_known_with_all_that_belongs_to_it(apns):
    """Request, credential, connection, and response; as a document, too."""
    with with_token(apns) as client:
        client.push(TOKEN.upper(), b'{"aps":{"alert":{"title":"T","body":"B"}}}',
                    apns_topic="com.x", apns_push_type="alert", apns_priority="5",
                    apns_expiration="77", apns_collapse_id="c")
    one, = apns.wait_for_notification(token=TOKEN, timeout=HANG)
    assert (one.number, one.kind, one.service, one.protocol, one.stream) == (
        1, "notification", "provider", "http2", 1)
    assert (one.topic, one.push_type, one.priority, one.expiration, one.collapse_id) == (
        "com.x", "alert", 5, 77, "c")
    assert (one.outcome, one.status, one.reason, one.payload_limit) == ("accepted", 200, None, 4096)
    assert one.time <= one.responded

    document = exchange_document(one, "http://host/#{number}")
    assert json.loads(json.dumps(document)) == document
    assert (document["title"], document["body"], document["url"]) == ("T", "B", "http://host/#1")
    assert document["token"] == TOKEN.upper()
    assert [":path", "/3/device/" + TOKEN.upper()] in document["headers"]
    assert "authorization" not in dict(document["headers"])
    assert document["payload"] == {"aps": {"alert": {"title": "T", "body": "B"}}}
    credential = document["credential"]
    assert (credential["kind"], credential["key_id"], credential["team_id"]) == (
        "token", apns.key_id, apns.team_id)
    assert -60 < credential["age_seconds"] < 3600
    assert document["tls"]["version"] in ("TLSv1.2", "TLSv1.3") and document["tls"]["alpn"] == "h2"
    assert document["response"]["status"] == 200
    assert [name for name, _ in document["response"]["headers"]] == ["apns-id", "apns-unique-id"]
    assert set(exchange_summary(one)) < set(document)

    assert apns.wait_for(lambda: one.connection.closed, HANG)
    told = connection_document(one.connection)
    assert (told["number"], told["service"], told["requests"], told["ending"]) == (
        1, "provider", 1, "by the client")
    assert told["peer"].startswith("127.0.0.1:")


def test_a_response_comes_at_once_when_the_clock_is_set_back():
    """It cannot come before its request."""
    clock = [1000.0]

    def tick():
        clock[0] -= 1.0
        return clock[0]

    with Simulator(clock=tick) as apns, with_certificate(apns) as client:
        apns.script_provider(ProviderScript(hold=True))
        with with_certificate(apns) as late:
            stream = late.request("/3/device/" + TOKEN)
            assert apns.wait_for(lambda: apns.held == 1, HANG)
            apns.release_held()
            late.response(stream)
        client.push(apns_topic="com.x")
        found = [exchange_document(each)["response"] for each in apns.journal.exchanges()]
    assert [each["milliseconds"] for each in found] == [0.0, 0.0]


def test_whatever_a_client_sends_counts_as_memory(apns):
    """Else there is no limit to what is kept."""
    with with_token(apns) as client:
        for options in ({}, {"body": b"x" * 3000}, {"token": "ab" * 1500},
                        {"apns_collapse_id": "x" * 3000}):
            client.push(apns_topic="com.x", **options)
    apns.journal.wait_for(Query(), 4, HANG)
    sizes = [each.size for each in apns.journal.exchanges()]
    assert [size - sizes[0] > 2500 for size in sizes] == [False, True, True, True]


def test_a_certificate_is_told_with_what_it_is_for(apns):
    """Of the connection, and of each notification over it, whatever the protocol."""
    pem = apns.client_certificate("Apple Push: x", topics=["com.x", "com.x.voip"])
    session = Session(protocol="http2", ca_string=apns.ca_string)
    APNs(session.get_connection(apns.provider_address, cert_string=pem)).send(
        Message(TOKEN, alert="x", apns_topic="com.x"))
    session.shutdown()
    with gateway_client(apns) as client:
        client.send(enhanced(7, b"\x01" * 32))
        first, second = apns.wait_for_notification(count=2, timeout=HANG)
    assert first.credential.subject == "Apple Push: x"
    assert first.credential.topics == ("com.x", "com.x.voip")
    assert first.credential.expires > first.time
    document = exchange_document(second)
    assert (document["protocol"], document["stream"], document["response"]) == ("binary", 7, None)
    assert document["credential"]["kind"] == "certificate"
    assert (first.connection.number, second.connection.number) == (1, 2)


def test_each_outcome_is_told(apns):
    """What comes at once with the request, and what comes later as a change."""
    observer = Seen()
    script = ProviderScript(response_at={1: "BadTopic"}, reset_at={2: 7, 3: 2}, no_response_at=[4],
                            delay_at={6: 3600}, goaway_after=7)
    with Simulator(provider_script=script, observers=[observer]) as running:
        with with_certificate(running) as client:
            for _ in range(7):
                client.request("/3/device/" + TOKEN)
            assert running.wait_for(lambda: len(observer.arrivals) == 7, HANG)
            assert [one.outcome for one in observer.arrivals] == [
                "rejected", "refused", "reset", "unanswered", "accepted", "pending", "accepted"]
            assert observer.changes == []
        assert running.wait_for(lambda: ("closed", observer.arrivals[0].connection)
                                in observer.told, HANG)
    late = observer.arrivals[5]
    assert observer.changes == [late] and late.outcome == "unanswered" and late.is_processed
    assert [one.number for one in observer.arrivals] == list(range(1, 8))
    kinds = [event.kind for event in late.connection.events]
    assert kinds == ["reset", "reset", "goaway"]


def test_a_response_that_is_held_back_comes_as_a_change(apns):
    """Pending until then."""
    observer = Seen()
    with Simulator(provider_script=ProviderScript(hold=True), script=Script(hold=True),
                   observers=[observer]) as running:
        with with_certificate(running) as client, gateway_client(running) as gateway:
            stream = client.request("/3/device/" + TOKEN)
            gateway.send(enhanced(7), enhanced(8, b"1"), enhanced(9))
            assert running.wait_for(lambda: running.held == 2, HANG)
            assert sorted(one.outcome for one in observer.arrivals) == [
                "accepted", "discarded", "pending", "pending"]
            running.release_held()
            assert client.response(stream).status == 200
        assert running.wait_for(lambda: len(observer.changes) == 2, HANG)
    assert sorted((one.protocol, one.outcome, one.status) for one in observer.changes) == [
        ("binary", "rejected", 5), ("http2", "accepted", 200)]


def test_the_page_of_a_push_is_told_with_its_response(apns):
    """Over connections that are opened after it was set."""
    with with_certificate(apns) as client:
        assert "apns-simulator-page" not in client.push().fields
    apns.page_url = "http://127.0.0.1:1/#/notifications/{number}"
    with with_certificate(apns) as client:
        assert client.push().fields["apns-simulator-page"] == (
            "http://127.0.0.1:1/#/notifications/2")
        assert client.push("bad").fields["apns-simulator-page"].endswith("/3")


def test_a_handshake_that_fails_is_told(apns):
    """With the service that it was for."""
    observer = Seen()
    with Simulator(observers=[observer]) as running:
        running.script_provider(ProviderScript(refuse=True))
        session = Session(protocol="http2", ca_string=running.ca_string)
        connection = session.get_connection(running.provider_address,
                                            cert_string=running.cert_string)
        with pytest.raises(ConnectError):
            APNs(connection).send(Message(TOKEN, alert="x"))
        assert not APNs(connection).send(Message(TOKEN, alert="x")).needs_retry()
        session.shutdown()
    assert observer.told[0] == ("failed", "provider")
    assert [name for name, _ in observer.told] == ["failed", "opened", "closed"]


def test_an_observer_that_fails_stops_nothing(caplog):
    """It is logged, and the others are told."""
    class Failing(Seen):
        def arrived(self, exchanges):
            raise ValueError("of no use")

    observer = Seen()
    with Simulator(observers=[Failing(), observer]) as apns, with_certificate(apns) as client:
        assert client.push().status == 200
        assert apns.wait_for(lambda: observer.arrivals, HANG)
    assert "an observer of the simulator failed" in caplog.text


def test_what_http2_forbids_is_an_event_of_the_connection():
    """A stream beyond the limit, a request that breaks a rule, and an error that ends it."""
    observer = Seen()
    script = ProviderScript(settings={"max_concurrent_streams": 1}, hold=True)
    with Simulator(provider_script=script, observers=[observer]) as running:
        with with_certificate(running) as client:
            assert running.wait_for(running.journal.connections, HANG)
            client.request("/3/device/" + TOKEN)
            refused = client.request("/3/device/" + TOKEN)
            client.tls.sendall(frames.frame(frames.PUSH_PROMISE, 0, 1, b""))
            facts, = running.journal.connections()
            assert running.wait_for(lambda: len(facts.events) == 2, HANG)
        assert running.wait_for(lambda: observer.told[-1][0] == "closed", HANG)
    names = [name for name, _ in observer.told]
    assert names[0] == "opened" and "changed" in names and names[-1] == "closed"
    assert [event.kind for event in facts.events] == ["refused", "error"]
    assert facts.events[0].text == (
        "request on stream %d not taken: RST_STREAM with code 7" % refused)
    assert "PUSH_PROMISE" in facts.events[1].text
    assert [one.outcome for one in observer.arrivals] == ["unanswered"]


def test_nothing_is_waited_for_where_nothing_is_kept():
    """It is an error at once, not a long wait for what cannot come."""
    with Simulator(record=False) as running, pytest.raises(RuntimeError) as caught:
        running.wait_for_notification(timeout=HANG)
    assert "record=False" in str(caught.value)


def test_notifications_that_do_not_come_fail_with_what_came_near(apns):
    """The text has each condition that is not met."""
    with pytest.raises(AssertionError) as caught:
        apns.wait_for_notification(token=TOKEN, timeout=0)
    assert "0 of 1 notifications came" in str(caught.value)
    assert "nothing else came" in str(caught.value)
    with with_certificate(apns) as client:
        client.push("cd" * 32, apns_topic="com.x")
        apns.wait_for_notification(topic="com.x", timeout=HANG)
        with pytest.raises(AssertionError) as caught:
            apns.wait_for_notification(token="ab*", topic="com.x", count=2, timeout=0)
    assert "0 of 2 notifications came with kind='notification', token='ab*'" in str(caught.value)
    assert "number 1 does not match: token is " in str(caught.value)


@each("payload, alert", [
    (b"", (None, None)), (b"{", (None, None)), (b"\xff", (None, None)), (b"[]", (None, None)),
    (b"[" * 100000, (None, None)), (b'{"aps":[]}', (None, None)), (b"null", (None, None)),
    (b'{"aps":{"alert":7}}', (None, None)), (b'{"aps":{"alert":"x"}}', (None, "x")),
    (b'{"aps":{"alert":{"title":7,"body":[]}}}', (None, None)),
    (b'{"aps":{"alert":{"title-loc-key":"K","loc-key":"L"}}}', ("K", "L")),
])
def test_title_and_text_are_read_of_whatever_comes(payload, alert):
    assert read_alert(read_payload(payload)) == alert


@each("time, text", [
    (0, "1970-01-01T00:00:00.000Z"), (1.5, "1970-01-01T00:00:01.500Z"), (None, None), (1e30, None),
    (float("nan"), None), (-1e30, None), (-6e10, "0068-09-03T13:20:00.000Z"),
    (-1, "1969-12-31T23:59:59.000Z"), (1700000000.0004, "2023-11-14T22:13:20.000Z"),
])
def test_times_are_utc_in_milliseconds(time, text):
    assert rfc3339(time) == text
