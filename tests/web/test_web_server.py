"""The web server beside the simulator: it starts and stops, and leaves the process as it is."""

import http.client
import logging
import os
import signal
import socket
import threading

import httpx
import pytest

from apnsclient.testing.simulator import Simulator
from apnsclient.testing.web import WebServer, security
from apnsclient.testing.web import server as server_module
from web_support import LIMIT


def read_health(server):
    return httpx.get(server.url + "api/v1/health", timeout=LIMIT).json()["status"]


def new_server(address=("127.0.0.1", 0), **options):
    return WebServer(Simulator(), address, **options)


def test_it_serves_until_it_is_stopped_and_again_at_the_same_address(descriptors):
    """Nothing is left of it; the simulator's life is the caller's."""
    before = set(threading.enumerate())
    simulator = Simulator()
    server = WebServer(simulator, ("127.0.0.1", 0))
    assert repr(server) == "<WebServer: stopped>"
    with server:
        address = server.address
        assert repr(server) == "<WebServer: running at http://127.0.0.1:%d/>" % address[1]
        assert read_health(server) == "stopped"
        with simulator:
            assert read_health(server) == "ok"
        with pytest.raises(RuntimeError, match="the web server runs already"):
            server.start()
    server.stop()
    with pytest.raises(httpx.ConnectError):
        read_health(server)
    with server:
        assert server.address == address
        assert read_health(server) == "stopped"
    assert set(threading.enumerate()) <= before


def test_an_address_in_use_is_an_error_at_once():
    """It is the error of the system, and the server can be started later."""
    with new_server() as first:
        second = new_server(first.address)
        with pytest.raises(OSError, match="(?i)in use"):
            second.start()
    with second:
        assert read_health(second) == "stopped"


def test_it_listens_on_ipv6(ipv6):
    """Its URL has the brackets."""
    with new_server(("::1", 0)) as server:
        assert server.url == "http://[::1]:%d/" % server.address[1]
        assert read_health(server) == "stopped"


def test_the_url_is_one_that_can_be_opened():
    """An address that stands for all of them is none to connect to."""
    for host, shown in [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("localhost", "localhost"),
                        ("192.0.2.1", "192.0.2.1"), ("::1", "[::1]")]:
        assert new_server((host, 8025)).url == "http://%s:8025/" % shown


def test_it_leaves_signals_and_logging_alone(capfd):
    """They belong to the program that it runs in; garbage from a client makes no noise."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    levels = [logging.getLogger(name).level for name in ("uvicorn.error", "uvicorn.access")]
    mine = logging.NullHandler()
    logging.getLogger("uvicorn.access").addHandler(mine)
    try:
        with new_server() as server:
            with socket.create_connection(server.address, LIMIT) as garbage:
                garbage.sendall(b"\x16\x03\x01\x00\xa5 this is TLS\r\n\r\n")
                assert garbage.recv(100).startswith(b"HTTP/1.1 400 ")
            assert read_health(server) == "stopped"
        assert logging.getLogger("uvicorn.access").handlers == [mine]
    finally:
        logging.getLogger("uvicorn.access").removeHandler(mine)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert [logging.getLogger(name).level for name in ("uvicorn.error", "uvicorn.access")] == levels
    assert capfd.readouterr() == ("", "")


def test_connections_that_ask_nothing_are_closed(monkeypatch):
    """They would take the room of others: before the first request, amid one, and after one."""
    monkeypatch.setattr(server_module, "_PATIENCE", 0.05)
    health = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with new_server() as server:
        for sent in (b"", b"GET / HTTP/1.1\r\nHost: loc", health, health + b"GET"):
            with socket.create_connection(server.address, LIMIT) as client:
                client.sendall(sent)
                received = b"".join(iter(lambda: client.recv(4096), b""))
            assert received.startswith(b"HTTP/1.1 200 " if sent.startswith(health) else b"")
        waiting = httpx.get(server.url + "api/v1/notifications?wait=500ms", timeout=LIMIT)
        assert waiting.status_code == 408


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    """It is one that is cut off."""
    monkeypatch.setattr(security, "_PATIENCE", 0.05)
    with new_server() as server:
        for path in ("faults/slow", "import"):
            with socket.create_connection(server.address, LIMIT) as client:
                client.sendall(b"POST /api/v1/%s HTTP/1.1\r\nHost: localhost\r\n"
                               b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
                               % path.encode("ascii"))
                received = b"".join(iter(lambda: client.recv(4096), b""))
            assert received.startswith(b"HTTP/1.1 400 ") and b"cut off" in received
        # What has come whole may wait for its response.
        waiting = httpx.get(server.url + "api/v1/notifications?wait=500ms", timeout=LIMIT)
        assert waiting.status_code == 408


def test_a_forked_child_that_stops_it_leaves_it_to_the_parent(in_forked_child):
    """The child has no thread of it."""
    with new_server() as server:
        in_forked_child(server.stop)
        assert read_health(server) == "stopped"


def test_files_of_the_page(world):
    """They have types that do not depend on the machine, and are sent again when they changed."""
    page = httpx.get(world.url + "/", timeout=LIMIT)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.headers["cache-control"] == "no-cache"
    again = httpx.get(world.url + "/index.html", timeout=LIMIT,
                      headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_only_files_of_the_page_can_be_read(world):
    """However the path is written; httpx would tidy it up."""
    connection = http.client.HTTPConnection(*world.url[len("http://"):].split(":"), timeout=LIMIT)
    for path in ("/../server.py", "/..%2fserver.py", "/%2e%2e/server.py", "//etc/passwd",
                 "/index.html/..", "/static/index.html", "/..\\server.py", "/index.html%00"):
        connection.request("GET", path)
        response = connection.getresponse()
        assert (path, response.status) == (path, 404)
        assert b"there is no such path" in response.read()
    connection.close()


def test_a_method_that_a_path_has_not(world):
    """The response says which ones it has."""
    for path, methods in [("/api/v1/health", "GET, HEAD"), ("/", "GET, HEAD"),
                          ("/api/v1/events", "GET"),
                          ("/api/v1/notifications/7", "DELETE, GET, HEAD")]:
        response = httpx.post(world.url + path, timeout=LIMIT)
        assert (response.status_code, response.headers["allow"]) == (405, methods)
        assert response.json() == {"error": {
            "message": "there is no POST of this path, expected " + methods, "field": None}}


def test_head_is_get_without_a_body(world):
    """Health checks send it; what does not end has none."""
    for path, status in [("/api/v1/health", 200), ("/api/v1/notifications", 200), ("/ca.pem", 200),
                         ("/", 200), ("/api/v1/notifications/99", 404), ("/api/v1/events", 405),
                         ("/api/v1/reset", 405)]:
        head = httpx.head(world.url + path, timeout=LIMIT)
        assert (path, head.status_code, head.content) == (path, status, b"")
        if status == 200:
            whole = httpx.get(world.url + path, timeout=LIMIT)
            assert head.headers["content-length"] == str(len(whole.content))
            assert head.headers["content-type"] == whole.headers["content-type"]


def test_every_file_of_the_page_has_a_type_that_is_served(world):
    """A new kind of file would be missing from the page without a word."""
    import apnsclient.testing.web.static_files as static_files

    folder = os.path.join(os.path.dirname(static_files.__file__), "static")
    names = [os.path.relpath(os.path.join(where, name), folder).replace(os.sep, "/")
             for where, _, names in os.walk(folder) for name in names]
    assert names
    assert [name for name in names
            if httpx.head(world.url + "/" + name, timeout=LIMIT).status_code != 200] == []
