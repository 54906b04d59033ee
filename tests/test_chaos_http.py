"""The HTTP API: list, read and set, over real HTTP; and clear errors."""

from __future__ import absolute_import, division, print_function

import errno
import json
import select
import socket
import sys
import threading

import pytest
from six.moves import http_client

from apnsclient._compat import monotonic
from apnsclient.testing.chaos import ChaosProxy, ConfigurationError, http_api
from apnsclient.testing.chaos.handlers.base import BaseHandler
from apnsclient.testing.chaos.http_api import HttpApi
from chaos_support import await_end, connected, echoing, exchange, registered
from stdio_support import SOON, count_descriptors

CHANGE = '{"behavior": "9:delay"}'


class Client(object):
    """A client of an API; a response is status and document."""

    def __init__(self, address):
        self.address = address

    def ask(self, method, path, body=None, headers=None):
        connection = http_client.HTTPConnection(*self.address, timeout=SOON)
        try:
            headers = dict({"Content-Type": "application/json"}, **(headers or {}))
            connection.request(method, path, body, headers)
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
    ({"handler": u"\u017ead.Reset"}, "no module is imported any more"),
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
    ("POST", "/handler", CHANGE, {"Content-Type": "text/plain"}, 415),
    ("PUT", "/handler", CHANGE, {"Content-Type": ""}, 415),
])
def test_what_cannot_be_served_is_told(api, method, path, body, headers, status):
    """By the status, and in words."""
    found, document = api.ask(method, path, body, headers)
    assert found == status
    assert document["error"]
    assert api.proxy.behavior == ""


@pytest.mark.parametrize("headers", [
    {"Origin": "http://example.com"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-origin"}, {"Host": "example.com"}, {"Host": "localhost.example.com"},
    {"Host": "127.0.0.1.example.com:80"}, {"Host": "128.0.0.1"}, {"Host": ""},
], ids=str)
def test_a_web_page_is_refused(api, headers):
    """Any page in a browser on this machine, also one whose own host name leads here."""
    for method in ("GET", "PUT", "POST"):
        status, document = api.ask(method, "/handler", CHANGE, headers)
        assert (status, "expected" in document["error"]) == (403, True)
    assert api.proxy.behavior == ""


def test_a_program_is_served_by_any_name_of_loopback(api):
    """And by a browser where somebody typed the address."""
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:80", "127.1.2.3", "[::1]:80"):
        assert api.ask("GET", "/handler", None, {
            "Host": host, "Sec-Fetch-Site": "none"})[0] == 200, host
    client = socket.create_connection(api.address, SOON)
    client.sendall(b"GET /handler HTTP/1.0\r\n\r\n")  # Has no Host.
    assert client.recv(12) == b"HTTP/1.0 200"
    client.close()


@pytest.fixture
def planted(tmpdir, monkeypatch):
    """A module that anybody could have put where the proxy finds it: notes that it is imported."""
    name = "planted%d" % id(tmpdir)
    tmpdir.join(name + ".py").write(
        "from apnsclient.testing.chaos.handlers.base import BaseHandler\n"
        "class Handler(BaseHandler):\n"
        "    name = 'planted'\n"
        "    def __call__(self, client_sock, backend_sock, to_backend):\n"
        "        return self.forward(client_sock, backend_sock, to_backend)\n")
    monkeypatch.syspath_prepend(str(tmpdir))
    yield name
    sys.modules.pop(name, None)


def test_nothing_is_imported_for_a_request(api, planted):
    """Whoever can write where modules are found would have his code executed."""
    class Leaves(BaseHandler):
        """Leaves its connections to a handler that its options name, and nobody checks."""

        name = "leaves"
        options = {"handler": ("Name of the other handler.", str, "dummy")}

        def __call__(self, client_sock, backend_sock, to_backend):
            return self.delegate(self.option("handler"))(client_sock, backend_sock, to_backend)

    handler = planted + ".Handler"
    for request in ({"behavior": "1:" + handler}, {"handler": handler}, {"settings": {handler: {}}},
                    {"settings": {"transient": {"handler": handler}}}):
        status, document = api.put(**request)
        assert (status, "no module is imported any more" in document["error"]) == (400, True)
    with registered(Leaves):
        assert api.put(handler="leaves", settings={"leaves": {"handler": handler}})[0] == 200
        with connected(api.proxy) as client:
            client.sendall(b"x")
            assert await_end(api.proxy).handler == "leaves"
    assert planted not in sys.modules


def test_what_was_named_at_the_start_is_found_over_http(planted):
    """Also if it is not in use: in the behavior, in settings, or as an alias; and what is
    registered."""
    handler = planted + ".Handler"
    for options in ({"behavior": "1:" + handler}, {"settings": {handler: {}}},
                    {"aliases": {"mine": handler}}):
        with echoing(**options) as proxy, HttpApi(proxy) as running:
            client = Client(running.address)
            for wanted in ("", "50:" + handler):
                status, document = client.put(behavior=wanted)
                assert (status, document["behavior"]) == (200, wanted)
        sys.modules.pop(planted)


def test_an_alias_of_a_handler_that_there_is_not_is_told_at_the_start():
    """Later nothing could be imported."""
    with pytest.raises(ConfigurationError, match="cannot be imported"):
        HttpApi(ChaosProxy(("127.0.0.1", 1), aliases={"mine": "nowhere.Handler"}))


def test_a_request_has_a_length_and_a_time():
    """Of all it has, header lines included; then the connection is closed without a response."""
    connected, client = socket.socketpair()
    begin = monotonic()
    stream = http_api._Input(connected, SOON)
    client.sendall(b"x" * 1000)
    assert stream.read(2000) == b"x" * 1000
    stream._left = 10
    client.sendall(b"x" * 1000)
    assert stream.read(2000) == b"x" * 10
    with pytest.raises(socket.timeout):
        stream.read(1)
    client.sendall(b"x")
    with pytest.raises(socket.timeout):
        http_api._Input(connected, 0).read(1)
    assert monotonic() - begin < SOON
    connected.close()
    client.close()


def test_a_client_that_sends_too_much_is_hung_up_on(api, monkeypatch):
    """At once, without a response."""
    monkeypatch.setattr(http_api, "_LONGEST_REQUEST", 30)
    monkeypatch.setattr(http_api._Request, "timeout", 4 * SOON)
    client = socket.create_connection(api.address, SOON)
    client.sendall(b"GET /handler HTTP/1.1\r\n" + b"A: b\r\n" * 9)
    assert is_hung_up(client)
    client.close()


def test_a_client_that_takes_its_time_is_hung_up_on(api, monkeypatch):
    """Though it always sends a little more."""
    monkeypatch.setattr(http_api._Request, "timeout", 0.2)
    client = socket.create_connection(api.address, SOON)
    end = monotonic() + SOON
    try:
        while not select.select([client], [], [], 0.02)[0]:
            assert monotonic() < end
            client.sendall(b"x")
    except socket.error:
        pass  # It came between the two.
    assert is_hung_up(client)
    client.close()


def is_hung_up(client):
    """Return whether the server has closed the connection, and said nothing."""
    try:
        return not client.recv(100)
    except socket.error as error:
        return error.errno in (errno.ECONNRESET, errno.EPIPE)


def test_many_clients_may_come_at_once():
    """None of them has to try again because others were faster."""
    server = http_api._Server(("127.0.0.1", 0), None)
    clients = [socket.create_connection(server.server_address, SOON) for _ in range(50)]
    for client in clients:
        client.close()
    server.server_close()


def test_a_client_that_goes_away_harms_nobody(api, capfd):
    """The next request gets its response, and nothing is printed."""
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
    assert threading.active_count() <= threads
