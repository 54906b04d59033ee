"""The HTTP API: list, read and set, over real HTTP; and clear errors."""

from __future__ import absolute_import, division, print_function

import json
import socket
import threading

import pytest
from six.moves import http_client

from apnsclient.testing.chaos import ChaosProxy, ConfigurationError, http_api
from apnsclient.testing.chaos.handlers.base import BaseHandler
from apnsclient.testing.chaos.http_api import HttpApi
from chaos_support import await_end, connected, echoing, exchange, registered
from stdio_support import SOON, count_descriptors


class Client(object):
    """Talks to an API; an answer is status and document."""

    def __init__(self, address):
        self.address = address

    def ask(self, method, path, body=None, headers=None):
        connection = http_client.HTTPConnection(*self.address, timeout=SOON)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            assert response.getheader("Content-Type") == "application/json"
            return response.status, json.loads(response.read().decode("ascii"))
        finally:
            connection.close()

    def put(self, **request):
        return self.ask("PUT", "/handler", json.dumps(request))


@pytest.fixture
def api():
    with echoing(seed=7) as proxy, HttpApi(proxy) as running:
        client = Client(running.address)
        client.proxy = proxy
        yield client


def test_the_handlers_are_listed(api):
    """With their options: description, type and default."""
    status, document = api.ask("GET", "/handlers")
    assert status == 200
    assert set(document["handlers"]) >= {"delay", "dummy"}
    delay = document["handlers"]["delay"]
    assert delay["description"]
    assert delay["options"]["sleep"]["default"] == 1.0
    assert delay["options"]["direction"]["type"] == "direction"


def test_options_of_any_type_are_listed(api):
    """What JSON does not know stands there as Python writes it."""
    class Odd(BaseHandler):
        """Has an option that is no number and no text."""

        name = "odd"
        options = {"what": ("What to say.", bytearray, bytearray(b"x"))}

    with registered(Odd):
        options = api.ask("GET", "/handlers")[1]["handlers"]["odd"]["options"]
        assert options["what"]["default"] == repr(bytearray(b"x"))
        assert api.ask("GET", "/handler")[1]["settings"]["odd"] == {"what": repr(bytearray(b"x"))}


def test_the_current_state_is_read(api):
    """Behavior, settings and seed."""
    status, document = api.ask("GET", "/handler")
    assert status == 200
    assert (document["behavior"], document["seed"]) == ("", 7)
    assert document["settings"]["delay"] == {"sleep": 1.0, "direction": "both"}


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_it_is_set(api, method):
    """Behavior and settings at once; new connections get them."""
    request = {"behavior": "100:delay", "settings": {"delay": {"sleep": "0", "direction": "both"}}}
    status, document = api.ask(method, "/handler", json.dumps(request))
    assert (status, document["behavior"]) == (200, "100:delay")
    assert document["settings"]["delay"]["sleep"] == 0.0
    assert exchange(api.proxy, b"x") == b"x"
    assert await_end(api.proxy).handler == "delay"


def test_one_handler_is_set_for_open_connections(api):
    """On demand."""
    with connected(api.proxy) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        status, document = api.put(handler="delay", settings={"delay": {"sleep": 0}},
                                   existing=True)
        assert (status, document["behavior"]) == (200, "100:delay")
        assert api.proxy.wait_for(lambda: api.proxy.connections[0].handler == "delay", SOON)


def test_the_connections_are_listed(api):
    """What was done to each."""
    exchange(api.proxy, b"abc")
    await_end(api.proxy)
    status, document = api.ask("GET", "/connections")
    assert status == 200
    assert [(one["handler"], one["bytes_to_backend"], one["closed"])
            for one in document["connections"]] == [("dummy", 3, True)]


@pytest.mark.parametrize("request_, part", [
    ({"behavior": "x"}, "malformed"),
    ({"behavior": "20:nothing"}, "there is no handler 'nothing'"),
    ({"behavior": 5}, "the behavior is 5"),
    ({"handler": "nothing"}, "there is no handler 'nothing'"),
    ({"handler": "delay", "behavior": ""}, "expected one of them"),
    ({"behaviour": "5:delay"}, "there is no behaviour"),
    ({"settings": {"delay": {"sleep": "x"}}}, "expected a number of seconds"),
    ({"settings": {"delay": {"slep": 1}}}, "has no option 'slep'"),
    ({"settings": {"delay": 3}}, "expected an object of objects"),
    ({"settings": []}, "expected an object of objects"),
    ({"existing": 1}, "expected true or false"),
    ([], "expected an object"),
    ({"behavior": u"20:\u017ead"}, "there is no handler '"),
    ({"handler": u"\u017ead.Reset"}, "cannot be imported"),
    ({"settings": {u"\u017ead": {}}}, "there is no handler '"),
    ({"settings": {"delay": {u"\u017ead": 1}}}, "has no option '"),
    ({u"\u017ead": 1}, u"there is no \u017ead"),
])
def test_a_mistake_is_told_and_changes_nothing(api, request_, part):
    """Status 400, in the words of the command line."""
    before = api.ask("GET", "/handler")
    status, document = api.ask("PUT", "/handler", json.dumps(request_))
    assert status == 400
    assert part in document["error"]
    assert api.ask("GET", "/handler") == before


@pytest.mark.parametrize("method, path, body, headers, status", [
    ("GET", "/", None, {}, 404),
    ("PUT", "/nothing", "{}", {}, 404),
    ("PUT", "/handlers", "{}", {}, 405),
    ("PUT", "/handler", "{", {}, 400),
    ("PUT", "/handler", b"\xff", {}, 400),
    pytest.param("PUT", "/handler", "[" * 65536, {}, 400, id="nested too deeply"),
    ("PUT", "/handler", None, {"Content-Length": "x"}, 411),
    ("PUT", "/handler", None, {"Content-Length": "\xb2"}, 411),
    ("PUT", "/handler", "", {"Content-Length": "65537"}, 413),
    ("POST", "/handler", '{"behavior": "9:delay"}', {"Origin": "http://example.com"}, 403),
])
def test_what_cannot_be_served_is_told(api, method, path, body, headers, status):
    """By the status, and in words."""
    found, document = api.ask(method, path, body, headers)
    assert found == status
    assert document["error"]
    assert api.proxy.behavior == ""


def test_a_client_that_goes_away_harms_nobody(api, capfd):
    """The next request is answered, and nothing is printed."""
    client = socket.create_connection(api.address, SOON)
    client.sendall(b"GET /handlers HTTP/1.0\r\n")
    client.close()
    assert api.ask("GET", "/handler")[0] == 200
    assert capfd.readouterr() == ("", "")


def test_a_client_that_says_nothing_holds_up_nobody(monkeypatch):
    """Neither the other clients nor the end, however long it may take."""
    monkeypatch.setattr(http_api._Request, "timeout", 4 * SOON)
    silent = socket.socket()
    silent.settimeout(SOON)
    with HttpApi(ChaosProxy(("127.0.0.1", 1))) as running:
        silent.connect(running.address)
        silent.sendall(b"GET /hand")
        assert Client(running.address).ask("GET", "/handler")[0] == 200
    assert silent.recv(100) == b""
    silent.close()


@pytest.mark.usefixtures("ipv6")
def test_it_listens_at_the_other_loopback_address_as_well():
    """That of IPv6."""
    with HttpApi(ChaosProxy(("127.0.0.1", 1)), "::1") as running:
        assert Client(running.address).ask("GET", "/handler")[0] == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "", "example.com"])
def test_it_stays_on_this_machine(host):
    """Whoever reaches it decides what becomes of all connections."""
    with pytest.raises(ConfigurationError) as caught:
        HttpApi(ChaosProxy(("127.0.0.1", 1)), host)
    assert "where others could reach it" in str(caught.value)


def test_it_leaves_nothing_behind():
    """No thread, no descriptor; stopping twice is no mistake."""
    before, threads = count_descriptors(), threading.active_count()
    proxy = ChaosProxy(("127.0.0.1", 1))
    with HttpApi(proxy) as running:
        assert Client(running.address).ask("GET", "/handler")[0] == 200
    running.stop()
    assert count_descriptors() <= before
    assert threading.active_count() == threads
