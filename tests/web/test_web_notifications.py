"""Requests over the HTTP API: found, read, waited for, deleted, exported and imported."""

import base64
import json
import socket
import threading

import httpx
import pytest

from apnsclient import APNs, Message, Session
from apnsclient.testing.lint import History
from apnsclient.testing.simulator import RequestScript, Simulator
from apnsclient.testing.web import WebServer, documents
from apnsclient.testing.web.linter import Linter
from web_support import LIMIT, TOPIC, World, await_waiters

FIRST, SECOND, BAD = "aa" * 32, "ab" * 32, "bb" * 32


@pytest.fixture
def three(world):
    """A simulator that accepted two notifications, and rejected one."""
    world.simulator.devices.bad(BAD)
    world.send(FIRST, SECOND, alert="Dinner", apns_collapse_id="meal")
    world.send(BAD, alert={"title": "T\u00e9a", "body": "for two"}, priority=5)
    return world


def tokens(items):
    return [item["token"] for item in items]


def test_notifications_are_found_newest_first(three):
    """Each with what became of it; the page says how to go on."""
    page = three.http.get("/notifications", params={"limit": 2}).json()
    assert tokens(page["items"]) == [BAD, SECOND]
    newest = page["items"][0]
    assert {name: newest[name] for name in (
        "kind", "protocol", "service", "topic", "push_type", "priority", "title", "body",
        "outcome", "status", "reason")} == {
            "kind": "notification", "protocol": "http2", "service": "provider", "topic": TOPIC,
            "push_type": "alert", "priority": 5, "title": "T\u00e9a", "body": "for two",
            "outcome": "rejected", "status": 400, "reason": "BadDeviceToken"}
    assert newest["url"] == "%s/#/notifications/%d" % (three.url, newest["number"])
    assert (page["kept"], page["last"], page["is_enough"]) == (3, newest["number"], None)
    rest = three.http.get("/notifications", params={"before": page["next"]}).json()
    assert (tokens(rest["items"]), rest["next"]) == ([FIRST], None)
    assert tokens(three.find(after=page["next"])) == [BAD]


def test_filters(three):
    """They are those of a query, and must all be met."""
    newest = three.find()[0]
    cases = [
        ({}, [BAD, SECOND, FIRST]),
        ({"token": FIRST.upper()}, [FIRST]),
        ({"token": "a*"}, [SECOND, FIRST]),
        ({"outcome": "rejected"}, [BAD]),
        ({"reason": "BadDeviceToken"}, [BAD]),
        ({"reason": "Unregistered"}, []),
        ({"status": 200, "collapse_id": "meal"}, [SECOND, FIRST]),
        ({"topic": TOPIC, "push_type": "alert", "kind": "notification", "protocol": "http2",
          "service": "provider"}, [BAD, SECOND, FIRST]),
        ({"topic": "com.example"}, []),
        ({"text": "DINNER"}, [SECOND, FIRST]),
        ({"connection": newest["connection"]}, [BAD]),
        ({"since": newest["time"]}, [BAD]),
        ({"since": "2020-01-01T00:00:00Z", "until": "2020-01-02"}, []),
        ({"since": 0}, [BAD, SECOND, FIRST]),
        ({"apns_id": "none"}, []),
    ]
    for parameters, expected in cases:
        assert (parameters, tokens(three.find(**parameters))) == (parameters, expected)


def test_parameters_that_cannot_be_met_are_refused(world):
    """With the name of the parameter: a typing error must not find everything."""
    cases = [
        ("tokn=ab", "tokn"), ("outcome=lost", "outcome"), ("since=yesterday", "since"),
        ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"),
        ("connection=x", "connection"), ("wait=5h", "wait"), ("wait=-1s", "wait"),
        ("wait=301s", "wait"), ("wait=6m", "wait"), ("wait=1s&count=0", "count"),
        ("wait=1s&before=5", "wait"), ("kind=push", "kind"),
    ]
    for query, field in cases:
        response = world.http.get("/notifications?" + query)
        assert (query, response.status_code) == (query, 422)
        error = response.json()["error"]
        assert (query, error["field"]) == (query, field) and field in error["message"]


def test_one_in_full(three):
    """All that is known: as it came, over what, by whom, and what was said to it."""
    found = three.http.get("/notifications/%d" % three.find()[0]["number"]).json()
    assert found["payload"] == {"aps": {"alert": {"title": "T\u00e9a", "body": "for two"}}}
    assert json.loads(found["payload_text"]) == found["payload"]
    assert base64.b64decode(found["payload_base64"]).decode("utf-8") == found["payload_text"]
    assert (found["size"], found["limit"]) == (
        len(base64.b64decode(found["payload_base64"])), 4096)
    assert found["method"] == "POST" and found["path"] == "/3/device/" + BAD
    headers = dict(found["headers"])
    assert headers["apns-topic"] == TOPIC and "authorization" not in headers
    credential = found["credential"]
    assert (credential["kind"], credential["key_id"], credential["team_id"]) == (
        "token", three.simulator.key_id, three.simulator.team_id)
    assert 0 <= credential["age_seconds"] < 3600
    assert found["tls"]["alpn"] == "h2" and found["peer"].startswith("127.0.0.1:")
    response = found["response"]
    assert (response["status"], response["reason"]) == (400, "BadDeviceToken")
    assert "token" in response["meaning"]
    assert json.loads(response["body"]) == {"reason": "BadDeviceToken"}
    assert dict(response["headers"])["apns-simulator-page"] == found["url"]
    assert response["milliseconds"] >= 0


def test_the_binary_protocol(world):
    """What it does not have is null; its statuses are explained, too."""
    world.simulator.devices.bad(BAD)
    session = Session(ca_string=world.simulator.ca_string)
    APNs(session.get_connection(
        world.simulator.gateway_address, cert_string=world.simulator.cert_string)).send(
            Message([FIRST, BAD], alert="Dinner"))
    session.shutdown()
    bad, first = [world.http.get("/notifications/%d" % item["number"]).json()
                  for item in world.find(service="gateway")]
    assert (first["outcome"], first["protocol"], first["topic"], first["response"]) == (
        "accepted", "binary", None, None)
    assert (bad["outcome"], bad["response"]["status"], bad["response"]["meaning"]) == (
        "rejected", 8, "Invalid token")
    assert bad["credential"]["kind"] == "certificate"
    documents.Notification.model_validate(bad)


def test_waiting_for_what_is_to_come(world):
    """It ends as soon as enough match, oldest first; those that were there count as well."""
    answers = []

    def wait():
        answers.append(httpx.get(world.url + "/api/v1/notifications", timeout=LIMIT, params={
            "wait": "60s", "count": 3, "topic": TOPIC, "full": True}))

    world.send(FIRST)
    waiting = threading.Thread(target=wait)
    waiting.start()
    world.send(FIRST, topic="other", apns_topic="com.example.other")
    world.send(SECOND, BAD)
    waiting.join(LIMIT)
    answer, = answers
    assert answer.status_code == 200
    assert answer.json()["is_enough"] is True
    assert tokens(answer.json()["items"]) == [FIRST, SECOND, BAD]
    assert answer.json()["items"][0]["payload"]["aps"] == {"alert": "Dinner is ready"}


def test_waiting_in_vain_tells_what_came_near(three):
    """And why that is not what was waited for."""
    answer = three.http.get("/notifications", params={
        "wait": "10ms", "count": 2, "topic": TOPIC, "outcome": "rejected"})
    assert answer.status_code == 408
    found = answer.json()
    assert (found["is_enough"], tokens(found["items"])) == (False, [BAD])
    near = {each["notification"]["token"]: each["mismatches"] for each in found["near_misses"]}
    assert near == {token: ["outcome is 'accepted', expected 'rejected'"]
                    for token in (FIRST, SECOND)}
    documents.NotEnough.model_validate(found)


def test_a_wait_ends_with_the_server():
    """It must not hold up whoever stops the server, and answers with what there is."""
    server = WebServer(Simulator(), ("127.0.0.1", 0))
    answers = []
    with server:
        waiting = threading.Thread(target=lambda: answers.append(httpx.get(
            server.url + "api/v1/notifications?wait=300s", timeout=400)))
        waiting.start()
        while not server.waiter_count:
            waiting.join(0.01)
    waiting.join(LIMIT)
    assert answers[0].status_code == 408


def test_a_wait_ends_with_its_client():
    """There is room for a limited number of requests: one of nobody must not take it."""
    with WebServer(Simulator(), ("127.0.0.1", 0)) as server:
        with socket.create_connection(server.address, LIMIT) as client:
            client.sendall(b"GET /api/v1/notifications?wait=300s HTTP/1.1\r\n"
                           b"Host: localhost\r\n\r\n")
            await_waiters(server, 1)
        await_waiters(server, 0)


def test_deleting(three):
    """By number, by condition, all; the counts of others stay."""
    number = three.find(token=FIRST)[0]["number"]
    assert three.http.delete("/notifications/%d" % number).status_code == 204
    for method in ("GET", "DELETE"):
        gone = three.http.request(method, "/notifications/%d" % number)
        assert (gone.status_code, gone.json()["error"]["field"]) == (404, "number")
    assert three.http.delete("/notifications", params={"reason": "Unregistered"}).json() == {
        "deleted": 0}
    assert three.http.delete("/notifications", params={"outcome": "rejected"}).json() == {
        "deleted": 1}
    assert tokens(three.find()) == [SECOND]
    assert three.http.delete("/notifications?tokn=x").status_code == 422
    assert three.http.delete("/notifications").json() == {"deleted": 1}
    assert three.find() == []


#: Payloads that have given readers of JSON trouble.
HOSTILE = [
    b"", b"null", b"[]", b'{"aps":1}', b'{"aps":{"alert":[1]}}', b"\xff\xfe\x00", b'{"aps":{',
    b'{"aps":{"alert":"\\ud800"}}', b'{"aps":{"alert":{"title":"\\udfff","body":7}}}',
    b'{"aps":{"alert":NaN,"badge":Infinity}}', b'{"a":1e999}', b'{"a":' + b"9" * 4000 + b"}",
    b"[" * 2000 + b"]" * 2000, b'{"a":' * 600 + b"1" + b"}" * 600,
    b'{"aps":{"alert":"<script>alert(1)</script>\\u202e\\u0000"}}',
    b'{"aps":{"alert":"' + b"x" * 4000 + b'"}}',
]


def test_hostile_payloads_are_shown_as_they_came(world):
    """In a list, in full, in an export; none of them is an error of ours."""
    world.send_payloads(*HOSTILE)
    items = world.find(limit=100)[::-1]
    assert len(items) == len(HOSTILE)
    for item, payload in zip(items, HOSTILE):
        documents.Summary.model_validate(item)
        found = world.http.get("/notifications/%d" % item["number"])
        assert found.status_code == 200
        documents.Notification.model_validate(found.json())
        assert base64.b64decode(found.json()["payload_base64"]) == payload
    exported = world.http.get("/export").content.splitlines()
    assert [base64.b64decode(json.loads(line)["payload_base64"]) for line in exported] == HOSTILE
    imported = world.http.post("/import", content=b"\n".join(exported))
    assert imported.json() == {"imported": len(HOSTILE)}


def test_an_export_can_be_imported(three):
    """By another simulator: all is as it was, but for numbers and pages."""
    exported = three.http.get("/export")
    assert exported.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in exported.content.splitlines()]
    assert tokens(lines) == [FIRST, SECOND, BAD]
    with Simulator() as simulator, WebServer(simulator, ("127.0.0.1", 0)) as server:
        other = World(simulator, server)
        with other.http:
            other.send(FIRST)
            imported = other.http.post("/import", content=exported.content)
            assert (imported.status_code, imported.json()) == (200, {"imported": 3})
            again = [json.loads(line) for line in other.http.get("/export").content.splitlines()]
            connections = other.http.get("/connections").json()["items"]
    assert [line["number"] for line in again] == [1, 2, 3, 4]
    assert [(each["number"], each["ending"], each["requests"]) for each in connections[:2]] == [
        (3, "imported", 1), (2, "imported", 2)]
    for before, after in zip(lines, again[1:]):
        for name in ("number", "connection", "url"):
            del before[name], after[name]
        # The times have milliseconds, no more.
        assert abs(before["response"].pop("milliseconds")
                   - after["response"].pop("milliseconds")) <= 1
        assert after == before


def test_an_import_of_anything_else_is_refused_whole(three):
    """With the place of what is wrong; nothing has been added then."""
    good = three.http.get("/export").content.splitlines()[0]
    document = dict(json.loads(good), connection=77)
    cases = [
        (b"[]", None), (b"{", None), (b"\xff", None), (b"[" * 5000, None),
        (b'{"a":' + b"9" * 5000 + b"}", None), (b"{}", "service"),
    ] + [(json.dumps(dict(document, **changes)).encode("ascii"), field) for changes, field in [
        ({"service": "feedback"}, "service"), ({"time": "now"}, "time"), ({"time": None}, "time"),
        ({"time": "9999-99-99T99:99:99Z"}, "time"), ({"stream": "x"}, "stream"),
        ({"payload_base64": None}, "payload_base64"), ({"payload_base64": "x"}, "payload_base64"),
        ({"payload_base64": "\u00fc"}, "payload_base64"), ({"outcome": "lost"}, "outcome"),
        ({"kind": {}}, "kind"), ({"protocol": 2}, "protocol"), ({"headers": [["a"]]}, "headers"),
        ({"headers": {"a": "b"}}, "headers"), ({"token": 7}, "token"), ({"peer": []}, "peer"),
        ({"priority": True}, "priority"), ({"tls": "1.3"}, "tls"),
        ({"credential": {"kind": "password"}}, "kind"), ({"response": []}, "response"),
        ({"response": {"status": "200"}}, "status"), ({"limit": 1.5}, "limit"),
        ({"connection": "1"}, "connection"), ({"limit": 1 << 64}, "limit"),
        ({"expiration": -1 << 64}, "expiration"), ({"time": "2026-02-30T00:00:00Z"}, "time"),
    ]]
    for line, field in cases:
        response = three.http.post("/import", content=good + b"\n" + line + b"\n\n")
        assert (line[:100], response.status_code) == (line[:100], 422)
        error = response.json()["error"]
        assert (line[:100], error["field"]) == (line[:100], field)
        assert error["message"].startswith("line 2: %s" % (field or "it is not a JSON object"))
    assert len(three.find()) == 3
    assert three.http.post("/import", content=b"\n\n").json() == {"imported": 0}


def test_an_import_has_bounds(world, monkeypatch):
    """A line that does not end, and a body that does not, are not kept until memory is full."""
    from apnsclient.testing.web import security

    def post(content):
        # Whether the response gets through while we send depends on who is faster.
        try:
            return world.http.post("/import", content=content).status_code
        except httpx.TransportError:
            return 413

    def endless():
        while True:
            yield b" " * 65536

    assert post(endless()) == 413
    monkeypatch.setitem(security.LARGEST_BODIES, "/api/v1/import", 300000)
    lines = (b"\n" * 1000 for _ in range(1000))
    assert post(lines) == 413


def test_connections(three):
    """Newest first, with what they were opened with and what came over them."""
    three.simulator.goaway_all("Shutdown")
    found = three.http.get("/connections", params={"service": "provider"}).json()["items"]
    assert [each["requests"] for each in found[:2]] == [1, 2]
    for connection in found:
        documents.Connection.model_validate(connection)
        assert three.http.get("/connections/%d" % connection["number"]).json() == connection
    assert three.http.get("/connections", params={"service": "gateway"}).json() == {"items": []}
    missing = three.http.get("/connections/999999")
    assert (missing.status_code, missing.json()["error"]["field"]) == (404, "number")


def test_what_a_client_needs(world):
    """Credentials with which a client gets through, and addresses that it gets to."""
    found = world.http.get("/credentials").json()
    host, _, port = found["addresses"]["provider"].rpartition(":")
    session = Session(ca_string=found["ca"], protocol="http2")
    for credential in [{"cert_string": found["certificate"]},
                       {"key_string": found["key"], "key_id": found["key_id"],
                        "team_id": found["team_id"]}]:
        result = APNs(session.get_connection((host, int(port)), **credential)).send(
            Message([FIRST], alert="hi", apns_topic=TOPIC))
        assert result.failed == {}
    session.shutdown()
    authority = httpx.get(world.url + "/ca.pem", timeout=LIMIT)
    assert authority.headers["content-type"].startswith("application/x-pem-file")
    assert authority.text == found["ca"] == world.simulator.ca_string


def test_metrics(world):
    """What Prometheus reads, of this simulator alone."""
    from prometheus_client.parser import text_string_to_metric_families

    def read():
        text = httpx.get(world.url + "/metrics", timeout=LIMIT).text
        return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in text_string_to_metric_families(text) for sample in family.samples}

    def of(values, outcome, reason=""):
        return values.get(("apns_simulator_requests_total", (
            ("outcome", outcome), ("reason", reason), ("service", "provider"))), 0)

    before = read()
    world.simulator.devices.bad(BAD)
    world.simulator.faults.script_requests(RequestScript((400, "NotOfApple"), token=SECOND))
    world.send(FIRST, BAD, SECOND)
    after = read()
    assert of(after, "accepted") - of(before, "accepted") == 1
    assert of(after, "rejected", "BadDeviceToken") - of(before, "rejected", "BadDeviceToken") == 1
    assert of(after, "rejected", "other") - of(before, "rejected", "other") == 1
    assert after[("apns_simulator_kept_requests", ())] == 3
    assert {name for name, _ in after} >= {
        "apns_simulator_connections_total", "apns_simulator_open_connections",
        "apns_simulator_failed_handshakes_total", "apns_simulator_held"}
    assert not [name for name, _ in after if not name.startswith("apns_simulator_")]


def test_a_request_counts_once_it_has_its_outcome(world):
    """Not before, and not twice."""
    def read():
        return {key: value for key, value in world.server._feed.counts().items() if value}

    before = read()
    world.simulator.faults.script_requests(RequestScript(hold=True))
    sending = threading.Thread(target=world.send, args=[FIRST])
    sending.start()
    assert world.simulator.wait_for(lambda: world.simulator.held == 1, LIMIT)
    assert read() == before
    world.simulator.release_held()
    sending.join(LIMIT)
    key = ("provider", "accepted", "")
    expected = dict(before)
    expected[key] = before.get(key, 0) + 1
    assert read() == expected


def test_findings_and_appearance(world):
    """A whole document says what is wrong, also in the light of others, and what is shown."""
    identifier = "123e4567-e89b-12d3-a456-42665544000a"
    for token in (FIRST, SECOND):
        world.send(token, alert="Dinner", badge="1", apns_id=identifier)
    newest = world.find(full=True)[0]
    whole = world.http.get("/notifications/%d" % newest["number"]).json()
    assert whole == newest
    assert [(each["rule"], each["severity"], each["field"]) for each in newest["findings"]] == [
        ("one-id-for-many-tokens", "error", "apns-id"), ("wrong-type", "warning", "aps.badge")]
    assert newest["finding_counts"] == {"error": 1, "warning": 1, "note": 0}
    summary = world.find()[0]
    assert set(summary) < set(newest)
    assert {name: newest[name] for name in summary} == summary
    found = newest["appearance"]
    assert (found["kind"], found["body"], found["badge"]) == ("alert", "Dinner", None)
    world.simulator.journal.clear()
    world.send(BAD, alert="Dinner", apns_id=identifier)
    assert world.find(full=True)[0]["findings"] == []
    assert world.find()[0]["finding_counts"] == {"error": 0, "warning": 0, "note": 0}


def test_what_a_response_changes_is_found_anew(world):
    """What was found is kept for the next one who asks, until there is a response."""
    world.simulator.devices.bad(BAD)
    world.simulator.faults.script_requests(RequestScript(hold=True))
    sending = threading.Thread(target=world.send, args=[BAD])
    sending.start()
    assert world.simulator.wait_for(lambda: world.simulator.held == 1, LIMIT)
    assert world.find()[0]["finding_counts"]["warning"] == 0
    world.simulator.release_held()
    sending.join(LIMIT)
    assert world.find()[0]["outcome"] == "rejected"
    assert world.find()[0]["finding_counts"]["warning"] == 1




def test_findings_are_not_looked_for_in_all_that_is_kept(world):
    """Again and again: each request is fed to the history once, whatever is deleted meanwhile."""
    fed = []

    class Counting(History):
        def feed(self, exchanges):
            fed.extend(each.number for each in exchanges)
            super().feed(exchanges)

    linter = Linter(world.simulator)
    linter._history = Counting()
    world.simulator.journal.exchanges = None  # All that is kept: nobody may ask for it.
    try:
        for tokens_to in ([FIRST, SECOND], [BAD], [], [FIRST]):
            if tokens_to:
                world.send(*tokens_to)
            newest = world.simulator.journal.find(limit=1)[0]
            assert linter.document(newest)["number"] == newest.number == fed[-1]
    finally:
        del world.simulator.journal.exchanges
    assert fed == sorted(set(fed)) and len(fed) == 4
