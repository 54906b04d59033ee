"""What the HTTP API has the simulator do, as a client of APNs sees it."""

import json
from typing import Any, Iterator, List

import httpx
import pytest

from apnsclient import APNs, Message, Session
from apnsclient.testing.simulator import Simulator
from apnsclient.testing.web import WebServer
from web_support import LIMIT, World

TOKEN, OTHER, FAR = "ab" * 32, "cd" * 32, "abff" * 16


@pytest.fixture
def fresh(world: World) -> Iterator[World]:
    """The same, and everything as at the start before each test."""
    assert world.http.post("/reset").status_code == 204
    yield world


def push(world: World, *tokens: str, protocol: str = "http2", topic: str = "com.x") -> List[Any]:
    """Push over a connection of its own; return the reason of each token, None where accepted."""
    apns = world.simulator
    session = Session(protocol=protocol, ca_string=apns.ca_string, read_tail_timeout=0.2)
    if protocol == "binary":
        connection = session.get_connection(apns.gateway_address, cert_string=apns.cert_string)
        result = APNs(connection).send(Message(list(tokens), alert="x"))
        reasons = [result.failed.get(token, (None,))[0] for token in tokens]
    else:
        connection = session.get_connection(apns.provider_address, **apns.token_parameters)
        result = APNs(connection).send(Message(list(tokens), alert="x", apns_topic=topic))
        whole = [error.reason for error in result.errors]
        reasons = [result.failed[token].reason if token in result.failed
                   else whole[0] if whole else None for token in tokens]
    session.shutdown()
    return reasons


# Devices.


def test_a_device_is_what_was_said_of_it_last(fresh: World) -> None:
    """Bad, gone, for another topic, known, forgotten."""
    http = fresh.http
    assert http.put("/devices/" + TOKEN.upper(), json={"state": "bad"}).json() == {
        "token": TOKEN, "state": "bad", "status": 8, "reason": "BadDeviceToken", "topic": None,
        "since": None, "since_time": None}
    assert push(fresh, TOKEN, OTHER) == ["BadDeviceToken", None]
    assert push(fresh, TOKEN, protocol="binary") == [8]
    gone = http.put("/devices/" + TOKEN, json={"state": "uninstalled", "since": 1400000000}).json()
    assert gone["since_time"] == "2014-05-13T16:53:20.000Z"
    assert push(fresh, TOKEN) == ["Unregistered"]
    assert http.get("/devices/" + TOKEN).json() == gone
    http.put("/devices/" + TOKEN, json={"state": "known", "topic": "com.y"})
    assert push(fresh, TOKEN) == ["DeviceTokenNotForTopic"]
    http.put("/devices/" + TOKEN, json={"state": "known"})
    assert push(fresh, TOKEN) == [None]
    assert http.delete("/devices/" + TOKEN).status_code == 204
    assert http.get("/devices/" + TOKEN).status_code == 404
    assert http.get("/devices").json() == {"strict": False, "items": []}


def test_many_devices_are_meant_by_a_prefix_or_a_list(fresh: World) -> None:
    """The longest prefix counts, and what is said of a token alone goes before."""
    http = fresh.http
    http.post("/devices", json={"tokens": ["ab*", "CD*"], "state": "bad", "reason": "BadTopic"})
    http.put("/devices/abff*", json={"state": "uninstalled", "reason": "ExpiredToken"})
    assert push(fresh, FAR) == ["ExpiredToken"]
    assert push(fresh, "00" * 32) == [None]
    assert push(fresh, OTHER) == ["BadTopic"]
    http.put("/devices/" + OTHER, json={"state": "known"})
    assert push(fresh, OTHER) == [None]
    assert push(fresh, "cd" * 31 + "00", protocol="binary") == [8]
    assert [one["token"] for one in http.get("/devices").json()["items"]] == [
        "abff*", "ab*", "cd*", OTHER]
    assert http.delete("/devices").status_code == 204
    assert http.get("/devices").json()["items"] == []


def test_what_is_not_known_can_be_rejected(fresh: World) -> None:
    """Unless it is said of a prefix that it is known."""
    assert fresh.http.patch("/devices", json={"strict": True}).json() == {"strict": True}
    fresh.http.put("/devices/cd*", json={"state": "known"})
    assert push(fresh, TOKEN, OTHER) == ["BadDeviceToken", None]
    assert push(fresh, OTHER, TOKEN, protocol="binary") == [None, 8]


# Scripts.


def test_a_script_from_json_is_what_the_next_connection_does(fresh: World) -> None:
    """In order, and the usual one after them."""
    http = fresh.http
    queued = http.post("/scripts/provider", json=[
        None, {"response_at": {"1": {"status": 503, "reason": "Maintenance"}}}]).json()
    assert queued == {"usual": {}, "queued": [
        None, {"response_at": {"1": {"status": 503, "reason": "Maintenance"}}}]}
    usual = http.put("/scripts/provider/usual", json={"response_at": {"1": "BadTopic"}}).json()
    assert usual["usual"] == {"response_at": {"1": {"status": 400, "reason": "BadTopic"}}}
    assert [push(fresh, TOKEN) for _ in range(3)] == [["BadTopic"], ["Maintenance"], ["BadTopic"]]
    http.post("/scripts/provider", json={"close_after": 1})
    assert http.delete("/scripts/provider").status_code == 204
    assert http.get("/scripts/provider").json()["queued"] == []


def test_the_next_requests_are_scripted_over_whatever_connection(fresh: World) -> None:
    """What is left of a script's count is told."""
    fresh.http.post("/scripts/requests", json={"response": "BadTopic", "count": 2})
    assert push(fresh, TOKEN) == ["BadTopic"]
    left = fresh.http.get("/scripts/requests").json()
    assert left == {"usual": None, "queued": [
        {"response": {"status": 400, "reason": "BadTopic"}}]}
    assert [push(fresh, TOKEN) for _ in range(2)] == [["BadTopic"], [None]]


def test_the_gateway_and_the_feedback_service_have_scripts_too(fresh: World) -> None:
    """Of their own kinds."""
    fresh.http.post("/scripts/gateway", json={"status_at": {"1": 7}})
    assert fresh.http.get("/scripts/gateway").json()["queued"] == [{"status_at": {"1": 7}}]
    fresh.http.post("/scripts/feedback", json={"close_after": 3})
    fresh.http.post("/scripts/channels", json={"goaway_after": 1})
    fresh.http.delete("/faults")
    for service in ("gateway", "feedback", "channels"):
        assert fresh.http.get("/scripts/" + service).json() == {"usual": {}, "queued": []}


# Faults.


def test_faults_happen_to_connections_that_are_open(fresh: World) -> None:
    """GOAWAY, hanging up and the limit of streams tell how many those were."""
    apns, http = fresh.simulator, fresh.http
    session = Session(protocol="http2", ca_string=apns.ca_string)
    client = APNs(session.get_connection(apns.provider_address, cert_string=apns.cert_string))
    message = Message(TOKEN, alert="x", apns_topic="com.x")
    faults = [("goaway", {"reason": "Shutdown", "timestamp": 5}), ("goaway", None),
              ("hang-up", {}), ("hang-up", {"reset": True}), ("limit-streams", {"limit": 3})]
    for name, body in faults:
        assert not client.send(message).needs_retry()
        assert apns.wait_for(lambda: apns.open_provider_connections == 1, LIMIT)
        assert http.post("/faults/" + name, json=body).json() == {"connections": 1}
        if name != "limit-streams":
            assert apns.wait_for(lambda: apns.open_provider_connections == 0, LIMIT)
    assert http.get("/faults").json()["stream_limit"] == 3
    assert http.post("/faults/hang-up", json={"service": "gateway"}).json() == {"connections": 0}
    session.shutdown()


def test_faults_last_until_they_are_taken_back(fresh: World) -> None:
    """Slowness, refusal, and what is held back."""
    http, apns = fresh.http, fresh.simulator
    assert http.post("/faults/slow", json={"seconds": 0.01}).json()["delay"] == 0.01
    assert push(fresh, TOKEN) == [None]
    assert http.post("/faults/refuse").json()["refuses_connections"] is True
    with pytest.raises(EnvironmentError):
        push(fresh, TOKEN)
    assert http.delete("/faults").json() == {
        "delay": 0.0, "stream_limit": None, "refuses_connections": False, "held": 0}
    assert push(fresh, TOKEN) == [None]
    assert http.post("/faults/release-held").json() == {"responses": 0}
    assert apns.held == 0


def test_a_key_is_made_and_revoked(fresh: World) -> None:
    """And is told once; a reset brings the first one back."""
    http, apns = fresh.http, fresh.simulator
    made = http.put("/keys/NEW", json={"environment": "sandbox", "topics": ["com.x"]}).json()
    assert "PRIVATE KEY" in made["private_key"]
    keys = http.get("/keys").json()
    assert [key["key_id"] for key in keys] == ["NEW", apns.key_id]
    assert (keys[0]["environment"], keys[0]["topics"]) == ("sandbox", ["com.x"])
    assert "private" not in str(keys)
    assert http.delete("/keys/" + apns.key_id).status_code == 204
    assert push(fresh, TOKEN) == ["InvalidProviderToken"]
    assert http.delete("/keys/" + apns.key_id).status_code == 404
    http.post("/reset")
    assert push(fresh, TOKEN) == [None]
    assert [key["key_id"] for key in http.get("/keys").json()] == [apns.key_id]


# What is refused.


REFUSED = [
    ("PUT", "/devices/xy", {"state": "bad"}, 422, "token"),
    ("PUT", "/devices/abc", {"state": "bad"}, 422, "odd"),
    ("PUT", "/devices/ab", {"state": "lost"}, 422, "state"),
    ("PUT", "/devices/ab", {"state": "bad", "reason": "Odd"}, 422, "there is no reason 'Odd'"),
    ("PUT", "/devices/ab", {"state": "bad", "status": 256}, 422, "status"),
    ("PUT", "/devices/ab", {"state": "known", "reason": "BadTopic"}, 422, "reason is for what is"),
    ("PUT", "/devices/ab", {"state": "bad", "since": 1}, 422, "since is for what is uninstalled"),
    ("POST", "/devices", {"state": "bad", "tokens": ["ab", "x*"]}, 422, "hexadecimal"),
    ("DELETE", "/devices/ab", None, 404, "nothing is known"),
    ("POST", "/scripts/nowhere", {}, 422, "service"),
    ("POST", "/scripts/provider", {"nonsense": 1}, 422, "there is no field 'nonsense'"),
    ("POST", "/scripts/provider", "text", 422, "body"),
    ("POST", "/scripts/provider", {"late": "1"}, 422, "late is '1', expected an integer"),
    ("POST", "/scripts/requests", [None], 422, "is null"),
    ("PUT", "/scripts/requests/usual", {}, 422, "service"),
    ("POST", "/faults/slow", {"seconds": -1}, 422, "seconds"),
    ("POST", "/faults/slow", {}, 422, "seconds"),
    ("POST", "/faults/limit-streams", {"limit": -1}, 422, "limit"),
    ("POST", "/faults/nonsense", {}, 404, "there is no such path"),
    ("POST", "/faults/limit-streams", {"limit": True}, 422, "limit: Input should be a valid int"),
    ("POST", "/faults/limit-streams", {"limit": "3"}, 422, "limit: Input should be a valid int"),
    ("PATCH", "/devices", {"strict": "yes"}, 422, "strict: Input should be a valid boolean"),
    ("POST", "/scripts/provider", {"goaway_reason": "\ud800"}, 422, "expected a string"),
    ("POST", "/scripts/provider", {"garbage": "\ud800"}, 422, "expected a string, or"),
    ("POST", "/scripts/provider", {"garbage": {"base64": "!!"}}, 422, "expected a string, or"),
    ("POST", "/scripts/requests", {"topic": "\udfff"}, 422, "expected a string"),
    ("POST", "/scripts/requests", {"response": "\udfff"}, 422, "expected a reason"),
    ("POST", "/scripts/provider", {"settings": {"\ud800": "x"}}, 422, "expected an integer"),
    ("POST", "/scripts/provider", {"settings": {"\xb2": 1}}, 422, "there is no setting"),
    ("POST", "/scripts/provider", {"response_at": {"\xb2": "BadTopic"}}, 422,
     "expected the number of a request"),
    ("PUT", "/keys/x", {"environment": "moon"}, 422, "environment"),
    ("PUT", "/keys/x", {"related": "nobody"}, 422, "no key 'nobody'"),
]


def test_what_makes_no_sense_is_refused(world: World) -> None:
    """With a text that says what is wrong; nothing is changed by it."""
    before = world.http.get("/devices").json()
    for method, path, body, status, text in REFUSED:
        response = world.http.request(method, path, content=json.dumps(body),
                                      headers={"Content-Type": "application/json"})
        assert response.status_code == status, (path, body, response.text)
        error = response.json()["error"]
        assert text in "%s %s" % (error["message"], error["field"]), (path, body)
    assert world.http.get("/devices").json() == before


def test_a_field_that_there_is_none_of_is_refused(world: World) -> None:
    """It is a typing error, and what would happen without it was not meant."""
    for method, path in [
            ("PUT", "/devices/ab"), ("POST", "/devices"), ("PATCH", "/devices"),
            ("POST", "/channels"), ("POST", "/faults/goaway"), ("POST", "/faults/hang-up"),
            ("POST", "/faults/limit-streams"), ("POST", "/faults/slow"), ("POST", "/faults/refuse"),
            ("PUT", "/keys/K"), ("POST", "/certificates"), ("PUT", "/chaos/provider")]:
        response = world.http.request(method, path, json={
            "state": "bad", "tokens": [], "strict": True, "application": "x", "limit": 1,
            "seconds": 1, "tpyo": 1})
        assert (path, response.status_code) == (path, 422)
        assert "there is no such field" in response.json()["error"]["message"]
    assert world.simulator.faults.delay == 0
    assert [key["key_id"] for key in world.simulator.keys()] == [world.simulator.key_id]


#: Bodies that are no documents, as they are sent, and what is said to it.
NO_DOCUMENTS = [
    (b"[1,", "application/json", 422, "the body is not JSON: Expecting value at character 4"),
    (b"\xff\xfe", "application/json", 422, "the body is not JSON: "),
    (b'{"seconds":0}', "application/x-www-form-urlencoded", 422, "curl --json"),
    (b"[]", "application/json", 422, "body: "),
    (b"", "application/json", 422, "body: Field required"),
    (b'{"a":' * 30000 + b"1" + b"}" * 30000, "application/json", None, ""),
    (b'{"seconds":' + b"9" * 5000 + b"}", "application/json", None, ""),
]


def test_a_body_that_is_no_document_is_said_to_be_none(world: World) -> None:
    """With what would help whoever has sent it by hand."""
    for body, kind, status, text in NO_DOCUMENTS:
        response = world.http.post("/faults/slow", content=body,
                                   headers={} if kind is None else {"Content-Type": kind})
        assert status in (None, response.status_code), (body[:20], response.text)
        assert 400 <= response.status_code < 500
        error = response.json()["error"]
        assert text in error["message"] and (not text or error["field"] is None), body[:20]


def test_a_simulator_that_does_not_run_is_said_to(world: World) -> None:
    """What needs one that runs is a conflict; devices can be set before."""
    server = WebServer(Simulator(), ("127.0.0.1", 0))
    with server, httpx.Client(base_url=server.url + "api/v1", timeout=LIMIT) as http:
        for path in ("/reset", "/faults/goaway", "/faults/hang-up", "/faults/release-held"):
            response = http.post(path)
            assert response.status_code == 409
            assert "does not run" in response.json()["error"]["message"]
        assert http.put("/devices/ab", json={"state": "bad"}).status_code == 200
