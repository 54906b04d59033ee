"""A notification that came to one simulator is sent on to another one, in Apple's place."""

import json
from typing import Any, Iterator, List

import httpx
import pytest

from apnsclient import APNs, Message, Session
from apnsclient.testing.simulator import Simulator
from apnsclient.testing.web import Releaser, WebServer
from apnsclient.testing.web import releaser as releaser_module
from cli_support import assert_wrong_usage, serving, write_file
from provider_client import with_token
from web_support import LIMIT, TOPIC, World

OURS, FOREIGN = "ab" * 32, "cd" * 32


@pytest.fixture(scope="module")
def both() -> Iterator[List[Any]]:
    with Simulator(linger=0.1) as apple, Simulator(linger=0.1) as simulator:
        releaser = Releaser(
            apple.key_string, apple.key_id, apple.team_id, [OURS.upper()],
            apple.provider_address, apple.ca_string)
        with WebServer(simulator, ("127.0.0.1", 0), releaser=releaser) as server:
            world = World(simulator, server)
            with world.http:
                yield [world, apple]
        releaser.close()


@pytest.fixture
def world_and_apple(both: List[Any]) -> Any:
    world, apple = both
    world.simulator.reset()
    apple.reset()
    return world, apple


def test_what_came_is_sent_on_as_it_came(world_and_apple: Any) -> None:
    """Payload byte for byte, and the header fields; Apple's response is told and kept."""
    world, apple = world_and_apple
    payload = b'{ "aps" : {"alert":"\xc3\xa9"} }'
    world.send(OURS, alert=None, payload=payload, priority=5, expiry=1900000000,
               apns_push_type="alert", apns_collapse_id="c")
    number = world.find()[0]["number"]
    path = "/notifications/%d" % number
    assert world.http.get(path).json()["release"] is None
    assert world.http.get(path + "/release").status_code == 404
    told = world.http.post(path + "/release")
    assert told.json() == {
        "outcome": "accepted", "status": 200, "reason": None, "message": None}
    found, = apple.wait_for_notification(timeout=LIMIT)
    assert (found.token, found.payload, found.topic) == (OURS, payload, TOPIC)
    assert (found.priority, found.expiration) == (5, 1900000000)
    assert (found.push_type, found.collapse_id) == ("alert", "c")
    assert world.http.get(path).json()["release"] == told.json()
    assert world.http.get(path + "/release").json() == told.json()


#: Header fields of pushes, and what Apple says to them.
AS_THEY_ARE = [
    ([], None),
    ([("apns-push-type", "background"), ("apns-priority", "10")], "BadPriority"),
    ([("apns-push-type", "alert"), ("apns-priority", "7")], "BadPriority"),
    ([("apns-push-type", "Alert")], "InvalidPushType"),
    ([("apns-push-type", "alert"), ("apns-expiration", "x")], "BadExpirationDate"),
    ([("apns-push-type", "alert"), ("apns-expiration", "0"), ("apns-collapse-id", "c")], None),
    ([("apns-push-type", "alert"), ("apns-push-type", "alert")], "DuplicateHeaders"),
]


def test_header_fields_are_neither_added_nor_put_right(world_and_apple: Any) -> None:
    """What Apple would have said is what it says."""
    world, apple = world_and_apple
    topic = [("apns-topic", TOPIC)]
    with with_token(world.simulator) as client:
        for fields, reason in AS_THEY_ARE:
            stream = client.request("/3/device/" + OURS, topic + fields)
            assert (client.response(stream).said or {}).get("reason") == reason
            number = world.find(limit=1)[0]["number"]
            told = world.http.post("/notifications/%d/release" % number).json()
            assert (fields, told["reason"]) == (fields, reason)
            sent = apple.journal.find(limit=1)[0]
            assert [field for field in sent.headers if field[0].startswith("apns-")] == (
                topic + fields)


def test_header_fields_that_cannot_be_sent_are_not(world_and_apple: Any) -> None:
    """They can come in an import, which anybody may have written."""
    world, apple = world_and_apple
    world.send(OURS)
    document = world.http.get("/export").json()
    for value in ("a\r\nb", "\xe9", "\ud800"):
        line = json.dumps(dict(document, headers=[["apns-collapse-id", value]]))
        assert world.http.post("/import", content=line).status_code == 200
        number = world.find(limit=1)[0]["number"]
        response = world.http.post("/notifications/%d/release" % number)
        assert response.status_code == 409
        assert "apns-collapse-id" in response.json()["error"]["message"]
    assert apple.accepted == []


def test_what_apple_rejects_is_told(world_and_apple: Any) -> None:
    """With its reason; no response is told as well. A token is in no text."""
    world, apple = world_and_apple
    world.send(OURS)
    path = "/notifications/%d/release" % world.find()[0]["number"]
    apple.devices.bad(OURS)
    told = world.http.post(path).json()
    assert (told["outcome"], told["status"], told["reason"]) == ("rejected", 400, "BadDeviceToken")
    apple.devices.remove(OURS)
    apple.revoke_key(apple.key_id)
    told = world.http.post(path)
    assert (told.json()["outcome"], told.json()["status"]) == ("rejected", 403)
    assert OURS not in told.text
    apple.reset()
    apple.disconnect_providers()
    apple.faults.refuses_connections = True
    told = world.http.post(path)
    assert (told.json()["outcome"], told.json()["status"]) == ("failed", None)
    assert OURS not in told.text and "PRIVATE" not in told.text
    apple.reset()
    assert world.http.post(path).json()["outcome"] == "accepted"


def test_the_last_results_are_kept(
        world_and_apple: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there is room for, by request: its number alone may be that of another one."""
    world, _ = world_and_apple
    monkeypatch.setattr(releaser_module, "_KEPT", 2)
    world.send(OURS, OURS, OURS)
    paths = ["/notifications/%d/release" % item["number"] for item in world.find()]
    for path in paths:
        assert world.http.post(path).json()["outcome"] == "accepted"
    assert [world.http.get(path).status_code for path in paths] == [404, 200, 200]
    document = world.http.get("/export").text.splitlines()[0]
    mine, other = Simulator(), Simulator()
    mine.load([json.loads(document)])
    other.load([dict(json.loads(document), time="2020-01-01T00:00:00.000Z")])
    releaser = Releaser(mine.key_string, "ID", "TEAM", [OURS])
    releaser._results[releaser_module._key(mine.journal.get(1))] = {}
    assert releaser.result_of(mine.journal.get(1)) == {}
    assert releaser.result_of(other.journal.get(1)) is None
    releaser.close()


def test_what_must_not_be_sent_on_is_not(world_and_apple: Any) -> None:
    """Tokens that are not on the list, requests that are no notifications, numbers of nothing."""
    world, apple = world_and_apple
    world.send(FOREIGN)
    foreign = world.http.post("/notifications/%d/release" % world.find()[0]["number"])
    assert foreign.status_code == 409
    assert "not on the list" in foreign.json()["error"]["message"]
    assert FOREIGN not in foreign.text
    assert world.http.post("/notifications/999999/release").status_code == 404
    assert apple.accepted == []


def test_without_a_key_nothing_can_be_sent_on() -> None:
    """It is off unless somebody asks for it."""
    with WebServer(Simulator(), ("127.0.0.1", 0)) as server:
        response = httpx.post(server.url + "api/v1/notifications/1/release", timeout=LIMIT)
    assert response.status_code == 409
    assert "--release-key" in response.json()["error"]["message"]
    with pytest.raises(ValueError, match="no token"):
        Releaser("", "ID", "TEAM", [])


def test_the_command_sends_on(both: List[Any], tmp_path: Any) -> None:
    """With a key, its identifiers and a token; half of these is wrong usage."""
    apple = both[1]
    apple.reset()
    key = write_file(tmp_path / "key.p8", apple.key_string.encode("ascii"))
    authorities = write_file(tmp_path / "ca.pem", apple.ca_string.encode("ascii"))
    options = ["--release-key", key, "--release-key-id", apple.key_id,
               "--release-team-id", apple.team_id, "--release-token", OURS]
    web = ["--web", "127.0.0.1:0"]
    broken = ["--release-key", authorities] + options[2:]
    assert_wrong_usage([
        (["simulator"] + options, "need --web"),
        (["simulator"] + web + options[:-2], "belong together"),
        (["simulator"] + web + broken, "holds no key that can be used")])
    where = ["--release-address", "%s:%d" % apple.provider_address,
             "--release-ca-file", authorities]
    with serving("simulator", "--json", *(web + options + where)) as command:
        page = command.read_document()["page"]
        with httpx.Client(base_url=page + "api/v1", timeout=LIMIT) as http:
            credentials = http.get("/credentials").json()
            host, _, port = credentials["addresses"]["provider"].rpartition(":")
            session = Session(protocol="http2", ca_string=credentials["ca"])
            APNs(session.get_connection(
                (host, int(port)), key_string=credentials["key"],
                key_id=credentials["key_id"], team_id=credentials["team_id"])).send(
                    Message([OURS], alert="x", apns_topic=TOPIC))
            session.shutdown()
            assert http.post("/notifications/1/release").json()["outcome"] == "accepted"
        command.end()
    assert [each.token for each in apple.wait_for_notification(timeout=LIMIT)] == [OURS]
