"""Who may ask the web server: hosts, origins, the password, sizes, and what browsers are told."""

import base64
import http.client
import logging

import httpx
import pytest

from apnsclient.testing.simulator import Simulator
from apnsclient.testing.web import WebServer
from apnsclient.testing.web.security import LARGEST_BODY
from web_support import LIMIT

PASSWORD = "Grüße: an alle"


@pytest.fixture(scope="module")
def guarded():
    """A server with a password, which also goes by a name."""
    with WebServer(Simulator(names=["Push.Example.com"]), ("127.0.0.1", 0), PASSWORD) as server:
        yield server


def ask(address, method="GET", path="/api/v1/health", headers=(), body=None):
    """Return the status of a response to just these headers, which httpx would not send."""
    connection = http.client.HTTPConnection(*address, timeout=LIMIT)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def test_only_names_that_are_ours_are_served(guarded):
    """A name that leads here by its owner's will (DNS rebinding) gets nothing."""
    port = guarded.address[1]
    found = {value: ask(guarded.address, headers=[("Host", value)]) for value in [
        "localhost", "LOCALHOST:%d" % port, "localhost.:80", "app.localhost", "127.0.0.1",
        "127.0.0.1:%d" % port, "[::1]:8025", "192.0.2.7:1", "push.example.com",
        "PUSH.example.com:8025",
        "evil.example", "evil.example:%d" % port, "push.example.com.evil.example", "",
        "localhost@evil",
        "evil@localhost", "localhost/evil", "localhost,evil.example", "localhost:port",
        "[::1", "127.0.0.1.evil.example", "localhost evil", "xn--localhost", "2130706433"]}
    assert {value: status for value, status in found.items() if status == 200}.keys() == {
        "localhost", "LOCALHOST:%d" % port, "localhost.:80", "app.localhost", "127.0.0.1",
        "127.0.0.1:%d" % port, "[::1]:8025", "192.0.2.7:1", "push.example.com",
        "PUSH.example.com:8025"}
    assert set(found.values()) == {200, 403}


def test_a_request_with_no_host_or_two_is_refused(guarded):
    """h11 refuses them before us, HTTP/1.0 aside."""
    assert ask(guarded.address) == 400
    assert ask(guarded.address, headers=[("Host", "localhost"), ("Host", "evil.example")]) == 400


def test_what_changes_something_comes_from_no_other_site(world):
    """Neither forms nor scripts of other pages can; programs and our own page can."""
    cases = [
        ({}, True),
        ({"Origin": world.url}, True),
        ({"Origin": world.url, "Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": "http://127.0.0.1:1"}, False),
        ({"Origin": world.url + ".evil.example"}, False),
        ({"Origin": world.url.replace("127.0.0.1", "localhost")}, False),
        ({"Origin": world.url, "Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "whatever"}, False),
    ]
    for headers, is_allowed in cases:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            # Nothing there can be posted to: it is the refusal that tells.
            status = world.http.request(method, "/health", headers=headers).status_code
            assert (headers, method, status) == (headers, method, 405 if is_allowed else 403)
        assert world.http.get("/health", headers=headers).status_code == 200


def test_the_password(guarded, caplog):
    """HTTP Basic with any user, or a bearer token; it stands in no log and no response."""
    caplog.set_level(logging.DEBUG)

    def basic(text):
        return "Basic " + base64.b64encode(text.encode("utf-8")).decode("ascii")

    cases = [
        (basic("me:" + PASSWORD), True), (basic(":" + PASSWORD), True),
        (basic("me:" + PASSWORD).replace("Basic", "BASIC"), True),
        ("Bearer " + PASSWORD, True), ("bearer  " + PASSWORD, True),
        (None, False), ("", False), (basic("me:wrong"), False), (basic(PASSWORD), False),
        (basic("me:" + PASSWORD + "x"), False), (basic("me:" + PASSWORD[:-1]), False),
        ("Basic !!!", False), ("Basic Zg", False), ("Basic", False), ("Bearer", False),
        ("Bearer wrong", False), ("Digest " + PASSWORD, False), (PASSWORD, False),
    ]
    for value, is_right in cases:
        headers = {} if value is None else {"Authorization": value.encode("utf-8")}
        response = httpx.get(guarded.url + "api/v1/openapi.json", headers=headers, timeout=LIMIT)
        assert (value, response.status_code) == (value, 200 if is_right else 401)
        if not is_right:
            assert response.headers["www-authenticate"].startswith("Basic realm=")
            assert PASSWORD not in response.text
    assert PASSWORD not in caplog.text and base64.b64encode(PASSWORD.encode()).decode() not in \
        caplog.text


def test_what_needs_a_password(guarded):
    """All but the health check, static files and paths that are not there among it."""
    for path, status in [("/", 401), ("/index.html", 401), ("/nothing", 401),
                         ("/api/v1/openapi.json", 401), ("/api/v1/nothing", 401),
                         ("/api/v1/health", 200), ("/api/v1/health/", 401)]:
        found = httpx.get(guarded.url + path[1:], timeout=LIMIT).status_code
        assert (path, found) == (path, status)


def test_the_document_says_that_there_is_a_password(guarded):
    """Its readers know how to give it."""
    document = httpx.get(guarded.url + "api/v1/openapi.json", auth=("me", PASSWORD)).json()
    assert {scheme["scheme"] for scheme in document["components"]["securitySchemes"].values()} == {
        "basic", "bearer"}


def test_an_empty_password_is_a_mistake():
    """A variable that was meant to be set, most likely."""
    with pytest.raises(ValueError, match="the password of the web server is empty"):
        WebServer(Simulator(), password="")


def test_every_response_has_the_headers_for_browsers(world, guarded):
    """Errors, refusals and files among them."""
    for response in [world.http.get("/health"), world.http.get("/nothing"),
                     httpx.get(world.url + "/"), world.http.post("/health"),
                     world.http.get("/health", headers={"Host": "evil.example"}),
                     httpx.get(guarded.url)]:
        headers = response.headers
        assert headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] in ("no-store", "no-cache")
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers


def test_a_body_has_a_limit(world):
    """It need not be read to be refused, if its size is announced."""
    large = world.http.post("/health", content=b" " * (LARGEST_BODY + 1))
    assert large.status_code == 413
    assert large.json() == {"error": {
        "message": "the body is larger than %d bytes" % LARGEST_BODY, "field": None}}
    for length in ("-1", "1e3", "9" * 30):
        assert ask(_address_of(world), "POST", headers=[
            ("Host", "localhost"), ("Content-Length", length)]) in (400, 413)


def _address_of(world):
    return httpx.URL(world.url).host, httpx.URL(world.url).port
