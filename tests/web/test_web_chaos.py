"""Chaos proxies, channels, the feedback list and certificates over HTTP, as a client of APNs sees
them.
"""

import socket
import sys
from typing import Any, Iterator, List

import httpx
import pytest

from apnsclient import APNs, Message, Session
from apnsclient.broadcast import Broadcast, Channels
from apnsclient.errors import APNsError
from apnsclient.testing.simulator import Simulator
from apnsclient.testing.web import WebServer
from web_support import LIMIT, TOPIC, World

TOKEN = "ab" * 32


@pytest.fixture
def fresh(world: World) -> Iterator[World]:
    """The same, without proxies."""
    assert world.http.post("/reset").status_code == 204
    yield world
    world.http.post("/reset")


def push_through(world: World, address: Any, **credential: str) -> List[Any]:
    """Push to an address; return what went wrong, as reasons or names of exceptions."""
    session = Session(protocol="http2", ca_string=world.simulator.ca_string)
    try:
        connection = session.get_connection(
            address, **(credential or world.simulator.token_parameters))
        result = APNs(connection).send(Message([TOKEN], alert="x", apns_topic=TOPIC))
        return ([failure.reason for failure in result.failed.values()]
                + [error.reason for error in result.errors]
                + ["retry"] * bool(result.needs_retry()))
    except (OSError, APNsError) as error:
        return [type(error).__name__]
    finally:
        session.shutdown()


def address_of(proxy: Any) -> Any:
    host, _, port = proxy["address"].rpartition(":")
    return host, int(port)


def test_a_proxy_is_started_changed_and_stopped(fresh: World) -> None:
    """It stands in front of a service, harms what the behavior says, and tells what it did."""
    http = fresh.http
    assert http.get("/chaos").json() == []
    assert http.get("/chaos/provider").status_code == 404
    proxy = http.put("/chaos/provider", json={"seed": "s"}).json()
    assert (proxy["behavior"], proxy["seed"], proxy["connection_count"]) == ("", "s", 0)
    address = address_of(proxy)
    assert push_through(fresh, address) == []
    proxy = http.put("/chaos/provider", json={
        "behavior": "100:cut-after-bytes", "settings": {"cut-after-bytes": {"count": 10}}}).json()
    assert address_of(proxy) == address
    assert proxy["settings"]["cut-after-bytes"]["count"] == 10
    assert push_through(fresh, address) != []
    proxy = http.get("/chaos/provider").json()
    assert [one["handler"] for one in proxy["connections"]][-1] == "dummy"
    assert proxy["connections"][0]["handler"] == "cut-after-bytes"
    assert proxy["connections"][0]["faults"] != []
    assert proxy["fault_count"] >= 1
    assert [one["service"] for one in http.get("/chaos").json()] == ["provider"]
    http.put("/chaos/provider", json={"behavior": ""})
    assert push_through(fresh, address) == []
    assert http.delete("/chaos/provider").status_code == 204
    assert http.delete("/chaos/provider").status_code == 404
    with pytest.raises(OSError):
        socket.create_connection(address, LIMIT).close()


def test_handlers_are_described(world: World) -> None:
    """Each with its options, so that a behavior can be written."""
    handlers = world.http.get("/chaos/handlers").json()
    assert {"delay", "reset", "hang", "dummy"} <= set(handlers)
    assert all(handler["description"] for handler in handlers.values())
    assert set(handlers["delay"]["options"]["sleep"]) == {"description", "type", "default"}


def test_a_reset_and_the_end_of_the_server_stop_proxies(fresh: World) -> None:
    """Nothing listens any more."""
    addresses = [address_of(fresh.http.put("/chaos/gateway").json())]
    fresh.http.post("/reset")
    with WebServer(fresh.simulator, ("127.0.0.1", 0)) as server:
        addresses.append(address_of(httpx.put(
            server.url + "api/v1/chaos/gateway", timeout=LIMIT).json()))
    fresh.simulator.page_url = fresh.server.url + "#/notifications/{number}"
    for address in addresses:
        with pytest.raises(OSError):
            socket.create_connection(address, LIMIT).close()


def test_channels_are_those_of_the_simulator(fresh: World) -> None:
    """What is made here can be broadcast to, and what an application makes is listed."""
    http, apns = fresh.http, fresh.simulator
    made = http.post("/channels", json={"application": TOPIC, "storage_policy": 1}).json()
    session = Session(protocol="http2", ca_string=apns.ca_string)
    broadcast = Broadcast(
        session.get_connection(apns.provider_address, **apns.token_parameters), TOPIC)
    channels = Channels(
        session.get_connection(apns.channels_address, **apns.token_parameters), TOPIC)
    message = Message([], payload={"aps": {
        "event": "update", "content-state": {}, "timestamp": 1}}, apns_push_type="liveactivity")
    assert broadcast.send(made["channel_id"], message)
    theirs = str(channels.create())
    assert http.get("/channels").json() == [made, {
        "application": TOPIC, "storage_policy": 0, "channel_id": theirs}]
    one = {"application": TOPIC, "channel_id": made["channel_id"]}
    assert http.delete("/channels", params=one).status_code == 204
    assert http.delete("/channels", params=one).status_code == 404
    with pytest.raises(APNsError):
        broadcast.send(made["channel_id"], message)
    assert http.delete("/channels", params={"application": "com.other"}).status_code == 204
    assert [each["channel_id"] for each in http.get("/channels").json()] == [theirs]
    assert http.delete("/channels").status_code == 204
    assert http.get("/channels").json() == []
    session.shutdown()


def test_an_application_loses_the_capability_and_gets_it_back(fresh: World) -> None:
    """With its channels, which do not come back; a reset gives it back as well."""
    http, apns = fresh.http, fresh.simulator
    session = Session(protocol="http2", ca_string=apns.ca_string)
    channels = Channels(
        session.get_connection(apns.channels_address, **apns.token_parameters), TOPIC)
    channels.create()
    without = {"application": TOPIC, "enabled": False}
    assert http.patch("/channels", json=without).json() == without
    assert (http.get("/channels").json(), http.get("/channels/disabled").json()) == ([], [TOPIC])
    with pytest.raises(APNsError, match="FeatureNotEnabled"):
        channels.create()
    refused = http.post("/channels", json={"application": TOPIC})
    assert refused.status_code == 422 and "capability" in refused.json()["error"]["message"]
    assert http.patch("/channels", json=dict(without, enabled=True)).status_code == 200
    channels.create()
    http.patch("/channels", json=without)
    http.post("/reset")
    assert http.get("/channels/disabled").json() == []
    for wrong in ({"application": TOPIC}, {"application": "../x", "enabled": True},
                  {"application": TOPIC, "enabled": 0}):
        assert http.patch("/channels", json=wrong).status_code == 422
    session.shutdown()


def test_the_feedback_list_is_read_and_cleared(fresh: World) -> None:
    """Reading here takes nothing off it; a client does."""
    http, apns = fresh.http, fresh.simulator
    http.put("/devices/" + TOKEN, json={"state": "uninstalled", "since": 1400000000})
    row = {"token": TOKEN, "since": 1400000000, "since_time": "2014-05-13T16:53:20.000Z"}
    assert http.get("/feedback").json() == http.get("/feedback").json() == [row]
    session = Session(protocol="binary", ca_string=apns.ca_string)
    connection = session.new_connection(apns.feedback_address, cert_string=apns.cert_string)
    assert [token.decode() for token, _ in APNs(connection).feedback()] == [TOKEN]
    session.shutdown()
    assert apns.wait_for(lambda: not apns.devices.feedback, LIMIT)
    assert http.get("/feedback").json() == []
    http.put("/devices/" + TOKEN, json={"state": "uninstalled"})
    assert http.delete("/feedback").json() == {"deleted": 1}
    assert http.get("/feedback").json() == []


def test_certificates_are_issued(fresh: World) -> None:
    """They are accepted for their topics, or not at all."""
    address = fresh.simulator.provider_address
    for wanted, expected in (
            (None, []),
            ({"topics": [TOPIC], "environments": ["sandbox"]}, []),
            ({"topics": ["com.other"]}, ["BadTopic", "DeviceTokenNotForTopic", "TopicDisallowed"]),
            ({"expired": True}, None), ({"foreign": True}, None)):
        response = fresh.http.post("/certificates", json=wanted)
        assert response.status_code == 201, response.text
        found = push_through(fresh, address, cert_string=response.json()["certificate"])
        if expected is None:
            assert found and not found[0][:3] == "Bad", (wanted, found)
        else:
            assert set(found) <= set(expected) and bool(found) == bool(expected), (wanted, found)


REFUSED = [
    ("PUT", "/chaos/nowhere", {}, 422, "service"),
    ("PUT", "/chaos/provider", {"behavior": "delay"}, 422, "expected PERCENT:HANDLER"),
    ("PUT", "/chaos/provider", {"behavior": "100:nonsense"}, 422, "no handler 'nonsense'"),
    ("PUT", "/chaos/provider", {"behavior": "100:antigravity.X"}, 422, "no module is imported"),
    ("PUT", "/chaos/provider", {"settings": {"delay": {"sleep": "long"}}}, 422, "sleep"),
    ("PUT", "/chaos/provider", {"settings": {"delay": {"odd": 1}}}, 422, "no option 'odd'"),
    ("PUT", "/chaos/provider", {"settings": {
        "transient": {"handler": "antigravity.X"}}}, 422, ""),
    ("PUT", "/chaos/provider", {"settings": []}, 422, "settings"),
    ("PUT", "/chaos/provider", {"port": 65536}, 422, "port"),
    ("PUT", "/chaos/provider", {"sed": 1}, 422, "sed"),
    ("POST", "/channels", {"application": "a/b"}, 422, "application"),
    ("POST", "/channels", {"application": "com.x", "storage_policy": 2}, 422, "storage_policy"),
    ("DELETE", "/channels?channel_id=x", None, 422, "application"),
    ("POST", "/certificates", {"common_name": ""}, 422, "common_name"),
    ("POST", "/certificates", {"common_name": "x" * 65}, 422, "common_name"),
    ("POST", "/certificates", {"environments": ["moon"]}, 422, "environments"),
    ("POST", "/certificates", {"topics": ["\u2603"]}, 422, "topics"),
]


def test_what_makes_no_sense_is_refused(fresh: World) -> None:
    """With a text that says what is wrong; no proxy is started, no module imported by it."""
    for method, path, body, status, text in REFUSED:
        response = fresh.http.request(method, path, json=body)
        assert response.status_code == status, (path, body, response.text)
        error = response.json()["error"]
        assert text in "%s %s" % (error["message"], error["field"]), (path, body, error)
    assert "antigravity" not in sys.modules
    assert fresh.http.get("/chaos").json() == []


def test_conflicts_are_told(fresh: World) -> None:
    """A port in use, another seed for a proxy that runs, a simulator that does not run."""
    http = fresh.http
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        response = http.put("/chaos/provider", json={"port": taken.getsockname()[1]})
    assert response.status_code == 409
    assert response.json()["error"]["field"] == "port"
    http.put("/chaos/provider", json={"seed": 1})
    response = http.put("/chaos/provider", json={"seed": 2})
    assert response.status_code == 409
    assert "delete it first" in response.json()["error"]["message"]
    server = WebServer(Simulator(), ("127.0.0.1", 0))
    with server:
        response = httpx.put(server.url + "api/v1/chaos/provider", timeout=LIMIT)
    assert response.status_code == 409
    assert "does not run" in response.json()["error"]["message"]
