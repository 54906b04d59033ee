"""``apns doctor`` on the way to the server: each step that can fail, and the remedy.

The servers are real ones: the simulator, twice where both of Apple's environments are needed, and
functions of a socket that misbehave.
"""

from __future__ import absolute_import, division, print_function

import email.utils
import socket
import time

import pytest

from apnsclient import Session, addresses
from apnsclient.testing.certs import Authority
from apnsclient.testing.simulator import Simulator
from cli_support import TOPIC, Bed, apns, environment, token
from frame_peers import Peer
from stdio_support import (
    AUTHORITY,
    CLIENT,
    GONE,
    SERVER,
    STRANGER,
    Server,
    discard,
    hold,
    over_tls,
    read_exactly,
    server_context,
    wait_for_end,
)
from test_proxy import Proxy, url

ROOT = "USERTrust RSA Certification Authority"
#: What a step may take that ends in a timeout; longer where a slow machine needs that to get there.
BRIEF = ["0.3", "3", "30"]


class Doctor(Bed):
    """A simulator, and the command on the way to it."""

    def look(self, *arguments, **options):
        """Return the status, and ``(outcome, seen, remedy)`` of each check by its name."""
        ended = apns("doctor", "--json", *arguments, **options)
        assert (ended.status in (0, 1, 3), ended.err) == (True, ""), ended.err
        assert self.simulator.key_string.splitlines()[2] not in ended.out
        return ended.status, dict(
            (one["check"], (one["outcome"], one["seen"], one["remedy"]))
            for one in ended.document["checks"])

    def with_token(self, *arguments, **options):
        """Look with a provider token."""
        return self.look(*(self.provider + self.token + list(arguments)), **options)

    def at(self, address, *arguments, **options):
        """Look with the certificate that the servers of ``stdio_support`` trust."""
        ca = self.file("servers.pem", AUTHORITY.ca_string)
        return self.look("--address", "%s:%d" % tuple(address), "--ca-file", ca, "--http2",
                         "--cert", self.file("servers-client.pem", CLIENT.pem), *arguments,
                         **options)


    def hanging(self, name, *arguments):
        """Return what was seen by the check of the step that ends in a timeout, and the remedy."""
        for seconds in BRIEF:
            status, checks = self.at(*(arguments + ("--connect-timeout", seconds)))
            if name in failures(checks):
                break
        assert status == 3
        return only(checks, name)


@pytest.fixture
def doctor(simulator, tmp_path):
    return Doctor(simulator, tmp_path)


def failures(checks):
    return dict((name, found) for name, found in checks.items()
                if found[0] in ("failed", "warning"))


def h2_context(protocol=b"h2", **options):
    context = server_context(**options)
    if protocol is not None:
        context.set_alpn_select_callback(lambda tls, offered: protocol)
    return context


def h2_server(function, **options):
    """Return a server over TLS that does not mind a look at TCP alone."""
    return Server(over_tls(function, h2_context(**options)), ignore=GONE)


class ProxyServer(Server):
    """A proxy that does not mind a look at TCP alone."""

    def __init__(self, proxy):
        def serve(accepted):
            if accepted.recv(1, socket.MSG_PEEK):
                proxy(accepted)

        super(ProxyServer, self).__init__(serve, ignore=GONE)


def only(checks, name, outcome="failed"):
    """Return what was seen by the only check that is not well, and the remedy."""
    assert list(failures(checks)) == [name], failures(checks)
    assert checks[name][0] == outcome
    return checks[name][1:]


# What is well.

def test_all_steps_of_a_good_way_are_well(doctor):
    """With certificate and token; nothing is sent, and what it opens it closes."""
    for arguments in (doctor.token, ["--http2", "--cert", doctor.cert]):
        status, checks = doctor.look(*(doctor.provider + arguments))
        assert (status, failures(checks)) == (0, {})
        assert checks["tcp"][1].startswith("1 of 1 addresses")
        assert checks["tls"][1].startswith("TLSv1.3; the certificate of 127.0.0.1 is valid until")
        assert checks["root"][1] == "apnsclient test authority"
        assert checks["alpn"][1] == "h2"
        assert "its settings" in checks["http2"][1]
        assert checks["clock"][0] == "skipped"
        assert "proxy" not in checks
        assert "request" not in checks
    assert doctor.simulator.accepted == []


def test_a_gateway_of_the_binary_protocol_is_well(doctor, monkeypatch):
    """Without what HTTP/2 needs; with a notification on demand."""
    monkeypatch.setattr(Session, "DEFAULT_READ_TAIL_TIMEOUT", 0.1)
    where = ["--address", "localhost:%d" % doctor.simulator.gateway_address[1],
             "--ca-file", doctor.ca, "--cert", doctor.cert]
    status, checks = doctor.look(*(where + ["--token", token(1)]))
    assert (status, failures(checks)) == (0, {})
    assert "alpn" not in checks
    assert "http2" not in checks
    assert doctor.accepted_tokens(1) == [token(1)]


def test_a_notification_is_sent_on_demand(doctor):
    """In the background, or an alert; the token is not shown as a whole."""
    for arguments, push_type in (([], "background"), (["--alert", "hi"], "alert")):
        status, checks = doctor.with_token("--topic", TOPIC, "--token", token(7) * 2, *arguments)
        assert (status, failures(checks)) == (0, {})
        assert token(7) not in checks["request"][1]
        assert "00000000..." in checks["request"][1]
        accepted = doctor.simulator.accepted[-1]
        # With expiry 0 Apple stores nothing for later.
        assert (accepted.topic, accepted.push_type, accepted.token, accepted.expiry) == (
            TOPIC, push_type, token(7) * 2, 0)


# What a token is told.

def test_each_rejection_has_its_remedy(doctor):
    """Status 1: the way works, the token does not."""
    for number, (reason, remedy) in enumerate((
            ("BadDeviceToken", "from the app"), ("DeviceTokenNotForTopic", "bundle identifier"),
            ("Unregistered", "take a new token"), ("TopicDisallowed", "check --topic"))):
        if reason == "Unregistered":
            doctor.simulator.devices.uninstall(token(number))
        else:
            doctor.simulator.devices.bad(token(number), reason=reason)
        status, checks = doctor.with_token("--topic", TOPIC, "--token", token(number))
        seen, found = only(checks, "request")
        assert (status, reason in seen, remedy in found) == (1, True, True), (seen, found)
    checks = doctor.with_token("--topic", TOPIC, "--token", "nothing hexadecimal")[1]
    assert "hexadecimal digits" in only(checks, "request")[1]


def test_a_key_that_the_server_does_not_know_is_told(doctor):
    """By the response alone: no handshake shows it."""
    other = doctor.file("other.p8", AUTHORITY.issue("key").key_string)
    arguments = ["--topic", TOPIC, "--token", token(1), "--key", other]
    checks = doctor.with_token(*arguments)[1]
    seen, remedy = only(checks, "request")
    assert "InvalidProviderToken" in seen
    assert "check --key-id, --team-id and --key" in remedy


class Environments(object):
    """Both of Apple's environments, played by simulators."""

    def __init__(self, sandbox, production, monkeypatch):
        self.sandbox, self.production = sandbox, production
        for name, simulator in (("push_sandbox", sandbox), ("push_production", production)):
            monkeypatch.setitem(addresses.PROVIDER_ADDRESSES, name, simulator.provider_address)


@pytest.fixture
def environments(monkeypatch):
    authority = Authority(ROOT)
    with Simulator(authority=authority) as sandbox:
        with Simulator(authority=authority, production=True,
                       key_string=sandbox.key_string) as production:
            yield Environments(sandbox, production, monkeypatch)


def test_the_environment_of_a_token_is_found(environments, tmp_path):
    """If one environment does not know it, the other is asked."""
    doctor = Doctor(environments.sandbox, tmp_path)
    environments.sandbox.devices.bad(token(1))
    environments.sandbox.devices.bad(token(2))
    environments.production.devices.bad(token(2))
    environments.sandbox.devices.bad(token(3))
    environments.production.devices.bad(token(3), reason="DeviceTokenNotForTopic")
    with clock() as server:
        arguments = ["--address", "push_sandbox", "--topic", TOPIC, "--ca-file",
                     doctor.file("both.pem", doctor.simulator.ca_string + AUTHORITY.ca_string),
                     "--clock-host", "localhost:%d" % server.address[1]] + doctor.token
        for number, seen, remedy in (
                (1, "belongs to production, which has accepted it", "--address push_production"),
                (2, "belongs to neither environment", "from the app"),
                (3, "belongs to production, which says DeviceTokenNotForTopic",
                 "--address push_production")):
            status, checks = doctor.look("--token", token(number), *arguments)
            assert (status, sorted(failures(checks))) == (1, ["request", "token_environment"])
            assert seen in checks["token_environment"][1]
            assert remedy in checks["token_environment"][2]
        status, checks = doctor.look("--token", token(4), *arguments)
    assert (status, failures(checks)) == (0, {})
    assert "belongs to sandbox" in checks["token_environment"][1]
    assert environments.production.accepted_tokens() == [token(1)]
    assert environments.sandbox.accepted_tokens() == [token(4)]


def test_what_the_other_environment_does_not_say(environments, tmp_path):
    """It cannot be reached, or rejects the credential; and other reasons say nothing at all."""
    doctor = Doctor(environments.sandbox, tmp_path)
    environments.sandbox.devices.bad(token(1))
    environments.sandbox.devices.uninstall(token(2))
    arguments = doctor.token + ["--address", "push_sandbox", "--topic", TOPIC, "--ca-file",
                                doctor.ca, "--clock-host", "127.0.0.1:1"]
    status, checks = doctor.look("--token", token(2), *arguments)
    assert (status, only(checks, "request")[0]) == (
        1, "00000000... is rejected in sandbox: 410, Unregistered")
    assert checks["token_environment"][:2] == ("skipped", "the reason above says nothing about it")
    environments.production.stop()
    status, checks = doctor.look("--token", token(1), *arguments)
    only(checks, "request")
    assert "production could not be asked" in checks["token_environment"][1]
    own = environments.sandbox.client_certificate(topic=TOPIC, environments=["sandbox"])
    environments.production.start()
    checks = doctor.look(*(["--cert", doctor.file("own.pem", own), "--token", token(1)]
                           + arguments[6:]))[1]
    assert "production does not say: 403, BadCertificateEnvironment" in (
        checks["token_environment"][1])


def test_a_server_that_leaves_with_the_notification(doctor):
    """What became of it is unknown."""
    def greet(tls):
        peer = Peer(tls)
        peer.greet()
        peer.requests(1)

    with Server(over_tls(greet, h2_context()), ignore=GONE + (EOFError,)) as server:
        ended = apns("doctor", "--address", "127.0.0.1:%d" % server.address[1], "--http2",
                     "--ca-file", doctor.file("servers.pem", AUTHORITY.ca_string), "--cert",
                     doctor.file("servers-client.pem", CLIENT.pem), "--topic", TOPIC, "--token",
                     token(1))
    assert ended.status == 1
    assert "no response for 00000000..., which may have it or not" in ended.out
    assert "without a response" in ended.err


def test_another_root_than_apples_is_told(doctor, monkeypatch):
    """It may be that of something that intercepts TLS."""
    monkeypatch.setitem(addresses.PROVIDER_ADDRESSES, "push_sandbox",
                        doctor.simulator.provider_address)
    status, checks = doctor.look("--address", "push_sandbox", "--ca-file", doctor.ca,
                                 "--clock-host", "127.0.0.1:1", *doctor.token)
    assert (status, sorted(failures(checks))) == (1, ["options", "root"])
    assert "expected %s" % ROOT in checks["root"][1]
    assert "intercepts TLS" in checks["root"][2]
    assert ROOT in checks["options"][1]
    assert checks["clock"][:1] == ("skipped",)
    assert "could not be checked" in checks["clock"][1]
    checks = doctor.look("--address", "push_sandbox", "--clock-host", "127.0.0.1:1",
                         *doctor.token)[1]
    seen, remedy = only(checks, "tls")
    assert "issued by apnsclient test authority" in seen
    assert ROOT in remedy


# Each step that fails.

def test_a_name_that_cannot_be_looked_up(doctor, monkeypatch):
    """The rest is skipped; that of the proxy is looked up in place of the server's."""
    status, checks = doctor.at(("nowhere.invalid", 443))
    seen, remedy = only(checks, "dns")
    assert status == 3
    assert "nowhere.invalid" in seen
    assert "getent hosts nowhere.invalid" in remedy
    assert set(checks[name][0] for name in ("tcp", "tls", "alpn", "http2")) == {"skipped"}
    checks = doctor.at(("localhost", 443), "--proxy", "http://u:secret@nowhere.invalid:1")[1]
    seen, remedy = only(checks, "dns")
    assert "proxy" in seen
    assert "check --proxy" in remedy


def test_a_host_without_addresses(doctor, addresses):
    """As a resolver says it that has only records of other kinds."""
    checks = doctor.at(("apns.test", 443))[1]
    assert "has no address" in only(checks, "dns")[0]


def test_a_host_that_refuses_connections(doctor):
    """Nothing that comes later is tried."""
    status, checks = doctor.at(("127.0.0.1", 1))
    seen, remedy = only(checks, "tcp")
    assert (status, "refused" in seen) == (3, True)
    assert "check host and port" in remedy


def test_a_host_of_which_some_addresses_refuse_connections(doctor, addresses):
    """A whole family is nothing to look after: the client goes on with the other one."""
    port = doctor.simulator.provider_address[1]
    addresses.add(("127.0.0.1", port), ("127.0.0.1", 1))
    status, checks = doctor.look("--address", "localhost:%d" % port, "--ca-file", doctor.ca,
                                 *doctor.token)
    seen = only(checks, "tcp", "warning")[0]
    assert (status, seen.startswith("1 of 2 addresses")) == (1, True)
    addresses.add(("::1", 1))
    seen = doctor.look("--address", "localhost:%d" % port, "--ca-file", doctor.ca,
                       *doctor.token)[1]["tcp"][1]
    assert "none of IPv6" in seen


def test_a_host_that_hangs(doctor):
    """After TCP, after TLS, and a proxy: each ends in time, and says how far it came."""
    with Server(wait_for_end, ignore=GONE) as server:
        seen, remedy = doctor.hanging("tls", server.address)
        assert "did not complete the TLS handshake" in seen
        assert "something on the way" in remedy
        seen, remedy = doctor.hanging("proxy", ("localhost", 443), "--proxy", url(server))
        assert "did not respond like a proxy" in seen
    with h2_server(discard) as server:
        assert "the server sends nothing" in doctor.hanging("http2", server.address)[0]


def test_servers_that_are_not_to_be_trusted(doctor):
    """A stranger, and one with another name. What it presents is shown."""
    with Server(over_tls(hold, credential=STRANGER), ignore=GONE) as server:
        seen, remedy = only(doctor.at(server.address)[1], "tls")
        assert "issued by stranger" in seen
        assert "--ca-file" in remedy
    other = AUTHORITY.issue("x", dns=["other.test"], usage="server")
    with Server(over_tls(hold, credential=other), ignore=GONE) as server:
        seen, remedy = only(doctor.at(server.address)[1], "tls")
        assert "it is for other.test" in seen
        assert "a name that the server's certificate is for" in remedy
        checks = doctor.at(server.address, "--no-verify")[1]
        assert checks["tls"][0] == "warning"
        assert "leave --no-verify out" in checks["tls"][2]


def test_servers_that_speak_something_else(doctor):
    """No TLS, and no HTTP/2."""
    with Server(lambda accepted: accepted.sendall(b"220 mail.test ready\r\n"),
                ignore=GONE) as server:
        assert "does not seem to speak TLS" in only(doctor.at(server.address)[1], "tls")[0]
    with h2_server(discard, protocol=None) as server:
        seen, remedy = only(doctor.at(server.address)[1], "alpn")
        assert (seen, remedy) == ("the server chose none, not h2",
                                  "if it is a gateway of the binary protocol, give --binary")


def test_a_certificate_that_the_server_refuses(doctor):
    """With TLS 1.3 that is known only after the handshake."""
    pem = doctor.file("stranger.pem", STRANGER.pem)
    for version, name in (("1.3", "http2"), ("1.2", "tls")):
        with h2_server(discard, version=version) as server:
            status, checks = doctor.at(server.address, "--cert", pem)
            seen = only(checks, name)[0]
            assert (status, "refused our certificate" in seen) == (3, True), seen
            # One that cannot be loaded is not to blame twice.
            checks = doctor.at(server.address, "--cert", doctor.file("none.pem", ""))[1]
            assert list(failures(checks)) == ["certificate_file"]
            assert checks[name][1] == "the server wants a credential: mend that first"


def test_an_expired_certificate_is_told_once_by_each_side(doctor):
    """By its dates and by the server; the warning of the library would say it again."""
    pem = doctor.file("expired.pem", doctor.simulator.client_certificate(expired=True))
    status, checks = doctor.look("--http2", "--cert", pem, *doctor.provider)
    assert (status, sorted(failures(checks))) == (3, ["http2", "validity"])
    assert "expired on" in checks["http2"][1]


def test_the_way_leads_through_a_proxy(doctor):
    """That of the option, or of the environment; its password is in no output."""
    proxy = Proxy()
    with ProxyServer(proxy) as server:
        for options, env in ((["--proxy", url(server, "u:s3cret@")], None),
                             ([], environment(APNS_PROXY=url(server, "u:s3cret@")))):
            ended = apns("doctor", *(doctor.provider + doctor.token + options), env=env)
            assert (ended.status, ended.err) == (0, "")
            assert "s3cret" not in ended.out
            assert "127.0.0.1:%d opens a tunnel to 127.0.0.1:%d" % (
                server.address[1], doctor.simulator.provider_address[1]) in ended.out
    assert len(proxy.requests) >= 4


def test_each_proxy_that_fails_has_its_remedy(doctor):
    """One that is not there, wants a password, forbids, or is none."""
    for response, seen, remedy in (
            (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n\r\n", "user and password",
             "http://user:password@host:port"),
            (b"HTTP/1.1 403 No\r\n\r\n", "status 403", "allow CONNECT to localhost:443"),
            (b"220 mail.test ready\r\n", "does not speak HTTP", "check --proxy")):
        with ProxyServer(Proxy(response, "nowhere")) as server:
            found = only(doctor.at(("localhost", 443), "--proxy", url(server))[1], "proxy")
        assert (seen in found[0], remedy in found[1]) == (True, True), found
    checks = doctor.at(("localhost", 443), "--proxy", "http://127.0.0.1:1")[1]
    assert "that the proxy runs" in only(checks, "tcp")[1]
    checks = doctor.at(("localhost", 443), "--proxy", "socks5://u:secret@x")[1]
    seen, remedy = only(checks, "options")
    assert "socks5" in seen
    assert "secret" not in seen + remedy


def test_authorities_that_cannot_be_used(doctor):
    """Of a file that is garbage, or not there."""
    for name in (doctor.file("garbage.pem", "garbage"), str(doctor.directory / "none.pem")):
        status, checks = doctor.look("--address", "localhost:1", "--ca-file", name, *doctor.token)
        assert status == 3
        assert list(failures(checks)) == ["options"]


# The clock.

def clock(fast=0, header=None):
    """Return a web server by whose Date this machine's clock is so many seconds fast."""
    def respond(tls):
        assert read_exactly(tls, 6) == b"HEAD /"
        date = email.utils.formatdate(time.time() - fast, usegmt=True)
        tls.sendall(b"HTTP/1.1 200 OK\r\n" + (
            ("Date: %s\r\n" % date).encode("ascii") if header is None else header) + b"\r\n")
        hold(tls)

    return Server(over_tls(respond, credential=SERVER, asks_client=False), ignore=GONE)


def test_the_clock_is_compared(doctor):
    """With the Date of a web server. It matters more for provider tokens."""
    certificate = ["--http2", "--cert", doctor.cert]
    ca = ["--ca-file", doctor.file("both.pem", doctor.simulator.ca_string + AUTHORITY.ca_string)]
    for fast, credential, outcome, seen in (
            (0, doctor.token, "ok", "by the Date of localhost"),
            (6000, doctor.token, "failed", "too much for provider tokens"),
            (-6000, doctor.token, "failed", "slow by the Date"),
            (6000, certificate, "warning", "fast by the Date")):
        with clock(fast) as server:
            status, checks = doctor.look(
                "--clock-host", "localhost:%d" % server.address[1],
                *(doctor.provider + ca + credential))
        assert checks["clock"][0] == outcome, checks["clock"]
        assert seen in checks["clock"][1]
        assert status == {"ok": 0, "warning": 1, "failed": 3}[outcome]


def test_a_clock_that_cannot_be_compared_is_no_failure(doctor):
    """It is said that it could not be, and why."""
    ca = ["--ca-file", doctor.file("both.pem", doctor.simulator.ca_string + AUTHORITY.ca_string)]
    for header in (b"", b"Date: soon\r\n", b"X: " + b"x" * 70000 + b"\r\n"):
        with clock(header=header) as server:
            status, checks = doctor.look(
                "--clock-host", "localhost:%d" % server.address[1],
                *(doctor.provider + ca + doctor.token))
        assert (status, checks["clock"][0]) == (0, "skipped")
        assert "tells no time" in checks["clock"][1]
