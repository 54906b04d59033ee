"""The stdio back-end connects through an HTTP proxy, and says what is wrong where it cannot."""

from __future__ import absolute_import, division, print_function

import base64
import logging
import re
import socket
import threading
import traceback

import pytest

from apnsclient import APNs, Message, Session
from apnsclient._compat import monotonic
from apnsclient.backends import _connect, _proxy
from apnsclient.errors import ConnectError, ConnectTimeout, PeerVerificationError
from net_support import SILENCE, make_tokens
from stdio_support import (
    AUTHORITY,
    GONE,
    SHORT,
    SOON,
    Server,
    discard,
    new_backend,
    open_connection,
    over_tls,
    read_exactly,
    server_context,
    times_out,
    wait_for_end,
)
from tables import each

pytestmark = pytest.mark.timeout(240)

#: What must not be seen anywhere; as it stands in the option, and as it is sent.
SECRET = "s3cr%40t:"
PLAIN_SECRET = "s3cr@t:"
ENCODED_SECRET = base64.b64encode(b"user name:" + PLAIN_SECRET.encode("ascii")).decode("ascii")

OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


def read_request(accepted):
    """Return what comes until the end of a header (bytes)."""
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        data = accepted.recv(1)
        if not data:
            break
        request += data
    return request


def pump(source, target):
    """Carry bytes until the source has ended; then end the target's side, or both if it failed."""
    how = socket.SHUT_RDWR
    try:
        while True:
            data = source.recv(65536)
            if not data:
                how = socket.SHUT_WR
                break
            target.sendall(data)
    except (socket.error, ValueError):
        pass
    try:
        target.shutdown(how)
    except (socket.error, ValueError):
        pass


def carry(accepted, beyond):
    """Carry bytes in both directions until both have ended, and close the second socket."""
    back = threading.Thread(target=pump, args=(beyond, accepted))
    back.daemon = True
    back.start()
    pump(accepted, beyond)
    back.join(SOON)
    beyond.close()


class Proxy(object):
    """A proxy as a function of a socket: reads a request, responds, opens a tunnel.

    :param response: what it says (bytes), or a function of the socket that says it; after anything
        but a 2xx it waits for the end.
    :param target: address that each tunnel leads to; None believes the request.

    :ivar requests: the requests, as they came.
    """

    def __init__(self, response=OK, target=None):
        self.requests = []
        self._response, self._target = response, target

    def __call__(self, accepted):
        request = read_request(accepted)
        self.requests.append(request)
        if callable(self._response):
            self._response(accepted)
        else:
            accepted.sendall(self._response)
        target = self._target
        if target is None:
            host, port = request.split(b" ")[1].decode("ascii").rsplit(":", 1)
            target = host.strip("[]"), int(port)
        if target == "nowhere":
            wait_for_end(accepted)
            return
        beyond = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET)
        beyond.connect(target)
        carry(accepted, beyond)


def url(server, userinfo=""):
    return "http://%s%s:%d" % (userinfo, server.address[0], server.address[1])


def refused_by(response, userinfo="", address=("gateway.test", 2195), **options):
    """Return the text of the error that a proxy's response leads to."""
    with Server(Proxy(response, "nowhere"), ignore=GONE) as server:
        backend = new_backend(proxy=url(server, userinfo))
        with pytest.raises(ConnectError) as caught:
            open_connection(address, backend=backend, **options)
        assert "127.0.0.1:%d" % server.address[1] in str(caught.value)
    return str(caught.value)


# What works.


def test_binary_protocol_goes_through_a_proxy(simulator, new_session):
    """Messages, error frames, and the feedback service; and a pooled connection is used again."""
    proxy = Proxy()
    tokens = make_tokens(5)
    simulator.devices.bad(tokens[2])
    simulator.devices.uninstall(tokens[4])
    with Server(proxy, ignore=GONE) as server:
        session = new_session(proxy=url(server, "user:password@"))
        client = APNs(session.get_connection(
            simulator.gateway_address, cert_string=simulator.cert_string))
        result = client.send(Message(tokens[:4], alert="x"))
        assert list(result.failed) == [tokens[2]]
        session.read_tail_timeout = SILENCE
        for _ in range(2):
            assert not client.send(result.retry()).errors
        feedback = APNs(session.new_connection(
            simulator.feedback_address, cert_string=simulator.cert_string))
        assert [token.decode("ascii") for token, _ in feedback.feedback()] == [tokens[4]]
        assert simulator.wait_for(lambda: simulator.accepted_count == 4, SOON)
        session.shutdown()
    hosts = [request.split(b" ")[1].decode("ascii") for request in proxy.requests]
    assert hosts == ["%s:%d" % simulator.gateway_address] * 2 + [
        "%s:%d" % simulator.feedback_address]
    assert simulator.connections == 2


@pytest.mark.parametrize("kind", ["certificate", "provider token"])
def test_http2_goes_through_a_proxy(simulator, new_session, kind):
    """With either credential; one connection carries all messages."""
    proxy = Proxy()
    tokens = make_tokens(5)
    simulator.devices.bad(tokens[2])
    with Server(proxy, ignore=GONE) as server:
        session = new_session(protocol="http2", proxy=url(server, "user:password@"))
        credential = ({"cert_string": simulator.cert_string} if kind == "certificate"
                      else simulator.token_parameters)
        client = APNs(session.get_connection(simulator.provider_address, **credential))
        for _ in range(2):
            result = client.send(Message(tokens, alert="x", apns_topic="com.example.app"))
            assert list(result.failed) == [tokens[2]] and not result.needs_retry()
        session.shutdown()
    assert simulator.accepted_count == 8
    assert [request.split(b"\r\n")[:2] for request in proxy.requests] == [[
        b"CONNECT %s:%d HTTP/1.1" % (host.encode("ascii"), port),
        b"Host: %s:%d" % (host.encode("ascii"), port)]
        for host, port in [simulator.provider_address]]


def test_server_is_verified_by_its_own_name_behind_a_proxy(monkeypatch, descriptors):
    """The name is sent to the proxy, which looks it up: we do not; and ALPN reaches the server."""
    asked = []
    look_up = socket.getaddrinfo

    def note(host, *arguments):
        asked.append(host)
        return look_up(host, *arguments)

    monkeypatch.setattr(_connect.socket, "getaddrinfo", note)
    context = server_context(
        AUTHORITY.issue("gateway", dns=["gateway.test"], usage="server"))
    context.set_alpn_select_callback(lambda tls, offered: offered[-1])
    with Server(over_tls(echo, context=context), ignore=GONE) as gateway:
        proxy = Proxy(target=gateway.address)
        with Server(proxy, ignore=GONE) as server:
            backend = new_backend(proxy=url(server))
            certificate = backend.get_certificate({"cert_string": AUTHORITY.issue("c").pem})
            for is_resumed in (False, True):
                connection = backend.get_new_connection(
                    ("gateway.test", 2195), certificate, SOON, alpn=("h2",))
                assert connection.alpn_protocol == "h2"
                assert connection.session_reused == is_resumed
                connection.write(b"abcd", SOON)
                assert connection.read(4, SOON) == b"dcba"
                connection.close()
            with pytest.raises(PeerVerificationError) as caught:
                open_connection(("other.test", 2195), backend=backend)
    assert set(asked) == {"127.0.0.1"}
    assert "other.test:2195 through the proxy 127.0.0.1:%d" % server.address[1] in str(caught.value)
    assert proxy.requests[0] == (
        b"CONNECT gateway.test:2195 HTTP/1.1\r\nHost: gateway.test:2195\r\n\r\n")


def echo(tls):
    tls.sendall(read_exactly(tls, 4)[::-1])
    discard(tls)


@pytest.mark.parametrize("response", [
    b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200\r\n\r\n", b"HTTP/1.1 204 Fine\nVia: 1.1 x\n\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK,
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * (_proxy.HEADER_LIMIT - 24) + b"\r\n\r\n",
], ids=["1.0", "bare", "LF", "body", "preliminary", "long"])
@pytest.mark.parametrize("size", [1, 65536])
def test_responses_that_open_a_tunnel(response, size):
    """Any 2xx does, whatever it says of a body; whole or in pieces."""
    def say(accepted):
        for begin in range(0, len(response), size):
            accepted.sendall(response[begin:begin + size])

    with Server(over_tls(echo)) as gateway, Server(Proxy(say), ignore=GONE) as server:
        connection = open_connection(gateway.address, proxy=url(server))
        connection.write(b"abcd", SOON)
        assert connection.read(4, SOON) == b"dcba"
        connection.close()


@each("userinfo, credentials", [
    ("user:password@", b"user:password"),
    ("user@", b"user:"),
    (":password@", b":password"),
    ("us%3Fer:p%40ss%3a%2F%20word@", b"us?er:p@ss:/ word"),
    ("user:p@ss:word@", b"user:p@ss:word"),
    (u"\u00e4:%C3%b6@", u"\u00e4:\u00f6".encode("utf-8")),
    ("a" * 100 + ":%@", b"a" * 100 + b":%"),
])
def test_user_and_password_are_sent_decoded(userinfo, credentials):
    """In the Basic scheme (RFC 7617), in one line, to the proxy."""
    for text in (u"http://%sproxy.test:3128" % userinfo,
                 (u"http://%sproxy.test:3128" % userinfo).encode("utf-8")):
        request = _proxy.Proxy(text).request(("gateway.test", 1))
        line, = re.findall(br"(?m)^Proxy-Authorization: Basic (\S+)\r$", request)
        assert base64.b64decode(line) == credentials


@pytest.mark.parametrize("host, name", [
    ("Gateway.Test.", b"gateway.test:443"), (b"127.0.0.1", b"127.0.0.1:443"), ("::1", b"[::1]:443"),
    (u"fe80::1%lo", b"[fe80::1]:443"), (u"b\u00fccher.test", b"xn--bcher-kva.test:443"),
])
def test_host_is_named_as_http_has_it(host, name):
    """An IPv6 address in brackets, an international name in ASCII."""
    request = _proxy.Proxy("http://p:1").request((host, 443))
    assert request == b"CONNECT " + name + b" HTTP/1.1\r\nHost: " + name + b"\r\n\r\n"


@pytest.mark.parametrize("text, address", [
    ("http://proxy.test:3128", ("proxy.test", 3128)), ("HTTP://u:p@10.0.0.1:1/", ("10.0.0.1", 1)),
    ("http://[::1]:65535", ("::1", 65535)), (b"http://proxy_1:80", ("proxy_1", 80)),
])
def test_proxy_is_found_in_its_url(text, address):
    """Host and port; both are needed."""
    proxy = _proxy.Proxy(text)
    assert proxy.address == address and type(proxy.address[0]) is str


@pytest.mark.usefixtures("ipv6")
def test_proxy_may_have_an_ipv6_address(descriptors):
    """And so may the server."""
    with Server(over_tls(echo), host="::1", family=socket.AF_INET6) as gateway:
        proxy = Proxy()
        with Server(proxy, host="::1", family=socket.AF_INET6, ignore=GONE) as server:
            connection = open_connection(
                gateway.address, proxy="http://u:p@[::1]:%d" % server.address[1])
            connection.write(b"abcd", SOON)
            assert connection.read(4, SOON) == b"dcba"
            connection.close()
        assert proxy.requests[0].startswith(b"CONNECT [::1]:%d HTTP" % gateway.address[1])


def test_another_address_of_the_proxy_is_tried(monkeypatch, descriptors):
    """One that hangs up without an response is no reason to give up."""
    with Server(over_tls(discard)) as gateway, Server(read_request) as broken, \
            Server(Proxy(target=gateway.address), ignore=GONE) as server:
        monkeypatch.setattr(_connect.socket, "getaddrinfo", lambda *arguments: [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", one.address) for one in (broken, server)])
        open_connection(("127.0.0.1", 1), proxy="http://proxy.test:1").close()
        assert len(broken.accepted) == 1


# What does not.


@pytest.mark.parametrize("status, text", [
    (302, "expected 200"), (400, "knows CONNECT"), (403, "forbids"), (404, "knows CONNECT"),
    (405, "knows CONNECT"), (500, "expected 200"), (501, "knows CONNECT"), (502, "cannot reach"),
    (503, "cannot reach"), (504, "did not reach"), (101, "expected 200"), (999, "expected 200"),
])
def test_status_is_in_the_error(status, text, descriptors):
    """With the proxy, the server, and what to do."""
    message = refused_by(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % status)
    assert "responded with status %d to CONNECT gateway.test:2195" % status in message
    assert text in message


@pytest.mark.parametrize("userinfo, wanted, text", [
    ("", b"Basic realm=\"x\"", "set proxy to \"http://user:password@host:port\""),
    ("u:p@", b"Basic realm=\"x\"", "rejects user or password"),
    ("", None, "set proxy to"),
    ("u:p@", b"Negotiate\r\nproxy-authenticate: NTLM", "only Basic is"),
    ("", b"Digest realm=\"x\", nonce=\"y\"", "only Basic is"),
    ("", b"Negotiate\r\nPROXY-AUTHENTICATE:basic", "set proxy to"),
])
def test_407_says_what_the_proxy_wants(userinfo, wanted, text, descriptors):
    """User and password, other ones, or a way to log in that we do not have."""
    line = b"" if wanted is None else b"Proxy-Authenticate: " + wanted + b"\r\n"
    message = refused_by(b"HTTP/1.1 407 Log in\r\n" + line + b"\r\n", userinfo)
    assert "responded with status 407" in message and text in message


@pytest.mark.parametrize("response, text", [
    (b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak HTTP"),
    (b"\x15\x03\x01\x00\x02\x02\x28", "does not speak HTTP"),
    (b"HTTP/2.0 200 OK\r\n\r\n", "does not speak HTTP"),
    (b"\r\n\r\n", "does not speak HTTP"),
    (b"HTTP/1.1 abc\r\n\r\n", "status line"),
    (b"HTTP/1.1 2000 OK\r\n\r\n", "status line"),
    (b"HTTP/1.1\r\n\r\n", "status line"),
    (b"HTTP/1.1 100 Continue\r\n\r\nSSH-2.0", "does not speak HTTP"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (_proxy.HEADER_LIMIT - 23) + b"\r\n\r\n", "more than 1638"),
    (b"HTTP/1.1 200 OK\r\n" + b"X: yyy\r\n" * 8192, "more than 16384"),
])
@pytest.mark.parametrize("size", [7, 65536])
def test_what_is_no_proxy_is_named_as_such(response, text, size, descriptors):
    """As soon as that is certain, without waiting for more; nothing grows without limit."""
    def say(accepted):
        for begin in range(0, len(response), size):
            accepted.sendall(response[begin:begin + size])

    message = refused_by(say)
    assert "check the option proxy" in message and text in message


@pytest.mark.parametrize("response, text", [
    (b"\x15\x03\x03\x00\x02\x02\x50", "alert internal error"),
    (b"SSH-2.0-OpenSSH_9.6\r\n", "does not seem to speak TLS"),
])
def test_what_follows_the_header_is_for_tls(response, text, descriptors):
    """Also where it comes in one piece with the header, before we have said anything."""
    message = refused_by(OK + response)
    assert "TLS handshake with gateway.test:2195 through the proxy" in message and text in message


@pytest.mark.parametrize("response, text", [
    (b"", "did not respond like a proxy"), (b"HTTP/1.1 200", "did not respond like a proxy"),
    (b"HTTP/1.1 100 Continue\r\n\r\n", "did not respond like a proxy"),
    (OK, "opened a tunnel, but the server did not complete"),
])
def test_silence_ends_in_a_timeout(response, text, descriptors):
    """The proxy is part of the time to connect; the text tells who was silent."""
    begin = monotonic()
    with Server(Proxy(response, "nowhere"), ignore=GONE) as server:
        times_out(text, ("gateway.test", 2195), proxy=url(server))
    assert monotonic() - begin < SOON


def test_response_that_never_ends_does_not_stretch_the_time(descriptors):
    """A byte now and then is no progress."""
    over = threading.Event()

    def say(accepted):
        accepted.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not over.wait(0.02):
            accepted.sendall(b"x")

    with Server(Proxy(say, "nowhere"), ignore=GONE) as server:
        begin = monotonic()
        with pytest.raises(ConnectTimeout):
            open_connection(("gateway.test", 2195), timeout=SHORT, proxy=url(server))
        assert monotonic() - begin < SOON
        over.set()


def test_proxy_that_hangs_up_is_an_error(descriptors):
    """Before it has responded, and after its response."""
    for response, text in [(b"", "the proxy hung up before it responded"),
                         (OK, "hung up during the TLS handshake")]:
        def serve(accepted, response=response):
            read_request(accepted)
            accepted.sendall(response)
            accepted.shutdown(socket.SHUT_WR)
            wait_for_end(accepted)

        with Server(serve, ignore=GONE) as server:
            with pytest.raises(ConnectError, match=text):
                open_connection(("gateway.test", 2195), proxy=url(server))


def test_proxy_that_cannot_be_looked_up_is_named():
    """It is its name that is looked up, and not the server's."""
    with pytest.raises(ConnectError, match="the host of the proxy nowhere.invalid:3128"):
        open_connection(("127.0.0.1", 1), proxy="http://u:p@nowhere.invalid:3128")


@each("host", ["gate way", "x\r\nEvil: 1", "", u"\u2603" * 70, "a/b", "[::1]"])
def test_host_that_is_no_name_is_not_sent(host):
    """Nothing gets into the request that is not meant to be there."""
    with pytest.raises(ConnectError, match="the host is not a valid name"):
        open_connection((host, 1), proxy="http://127.0.0.1:1")


@each("text, problem", [
    ("", "http://"), ("%(user)sproxy.test:1", "http://"), ("http://", "http://"),
    ("https://%(user)sproxy.test:1", "begins with https://, which is not supported"),
    ("SOCKS5://%(user)sproxy.test:1", "begins with socks5://, which is not supported"),
    ("%(user)shttps://proxy.test:1", "http://"),
    ("ftp://%(user)sproxy.test:1", "does not begin with http://"),
    ("http://%(user)sproxy.test", "no host and port"),
    ("http://%(user)sproxy.test:", "no host and port"),
    ("http://%(user)s:1", "no host and port"),
    ("http://%(user)sproxy.test:0", "no host and port"),
    ("http://%(user)sproxy.test:65536", "no host and port"),
    ("http://%(user)sproxy.test:1/path", "no host and port"),
    ("http://%(user)sproxy.test:1?query", "no host and port"),
    ("http://%(user)s::1:1", "no host and port"),
    ("http://%(user)s[::1:1", "no host and port"),
    ("http://%(user)sproxy test:1", "no host and port"),
    ("http://%(user)sproxy%%20:1", "an invalid host"),
    ("http://%(user)s[1:2:3]:1", "an invalid host"),
    ("http://proxy.test:%(user)s", "no host and port"),
    ("http://a/%(user)sproxy.test:1", "percent-encoded"),
    ("http://a b%(user)sproxy.test:1", "percent-encoded"),
    ("http://a\r\n%(user)sproxy.test:1", "percent-encoded"),
    ("http://a%%3A%(user)sproxy.test:1", "a colon"),
    (7, "is of type int"), (b"http://\xff:1", "UTF-8"),
])
def test_what_is_no_proxy_is_a_value_error(text, problem):
    """At once, and without repeating any of it."""
    if not isinstance(text, (int, bytes)) or isinstance(text, str):
        text = text % {"user": "user:%s@" % SECRET}
    with pytest.raises(ValueError) as caught:
        Session(proxy=text)
    assert problem in str(caught.value)
    assert_no_secret("".join(traceback.format_exception(
        type(caught.value), caught.value, None)))


# What nobody else is to know.


def assert_no_secret(text):
    for secret in ("s3cr", ENCODED_SECRET, ENCODED_SECRET[:12]):
        assert secret not in text


@pytest.mark.parametrize("response", [
    b"HTTP/1.1 407 %(echo)s\r\nProxy-Authenticate: %(echo)s\r\n\r\n",
    b"HTTP/1.1 403 %(echo)s\r\n\r\n", b"HTTP/1.1 %(echo)s\r\n\r\n", b"%(echo)s\r\n\r\n",
    OK + b"%(echo)s", b"HTTP/1.1 200 %(echo)s",
])
def test_password_is_in_no_error_and_no_log(response, caplog, descriptors):
    """Not even if the proxy sends it back."""
    caplog.set_level(logging.DEBUG)
    proxy = Proxy(lambda accepted: accepted.sendall(
        response.replace(b"%(echo)s", proxy.requests[-1].split(b" ")[-1].strip())), "nowhere")
    with Server(proxy, ignore=GONE) as server:
        session = Session(proxy=url(server, "user%20name:" + SECRET + "@"))
        certificate = session.pool.get_certificate({"cert_string": AUTHORITY.issue("c").pem})
        connection = session.get_connection(("gateway.test", 2195), certificate)
        # The last response has no end. However slow the machine is, some request comes in time.
        for limit in (SHORT, 2, SOON) if response.endswith(b"200 %(echo)s") else (SOON,):
            session.connect_timeout = limit
            with pytest.raises(ConnectError) as caught:
                APNs(connection).send(Message(make_tokens(1), alert="x"))
            if proxy.requests:
                break
        assert ENCODED_SECRET.encode("ascii") in proxy.requests[0]
    backend = session.pool
    for one in (caught.value, session, connection, backend, backend._proxy):
        assert_no_secret(str(one))
        assert_no_secret(repr(one))
    assert_no_secret(repr(caught.value.args))
    assert_no_secret("".join(traceback.format_exception(
        type(caught.value), caught.value, caught.tb)))
    assert_no_secret(caplog.text)


def test_server_sees_nothing_of_user_and_password():
    """They are for the proxy alone: what reaches the server is TLS from its first byte."""
    seen = []

    def serve(accepted):
        seen.append(accepted.recv(65536))

    with Server(serve) as gateway, Server(Proxy(), ignore=GONE) as server:
        with pytest.raises(ConnectError):
            open_connection(gateway.address, proxy=url(server, "user:" + SECRET + "@"))
    assert seen[0].startswith(b"\x16\x03") and b"s3cr" not in seen[0]
