"""TLS that ends at the proxy: both sides are verified, and the protocol is agreed on."""

from __future__ import absolute_import, division, print_function

import pytest

from apnsclient import APNs, Message, Session
from apnsclient.errors import APNsError, CertificateError, PeerVerificationError
from apnsclient.testing.certs import Authority
from apnsclient.testing.chaos import ChaosProxy
from apnsclient.testing.chaos.handlers.base import BaseHandler
from apnsclient.testing.chaos.tls import ChaosTLS
from apnsclient.testing.simulator import Simulator
from chaos_support import await_end, registered
from net_support import make_tokens
from stdio_support import SOON

TOPIC = "com.example.app"
TOKENS = make_tokens(300)


class Eavesdropper(BaseHandler):
    """Notes clear text that has the payload in it."""

    name = "eavesdropper"

    def __call__(self, client_sock, backend_sock, to_backend):
        if b"Hello" in self.forward(client_sock, backend_sock, to_backend):
            self.note("heard it")
        return True


@pytest.fixture(scope="module")
def apns():
    with Simulator() as running:
        running.devices.bad("ab")
        yield running


@pytest.fixture(scope="module")
def tls(apns):
    return ChaosTLS.from_authority(apns.authority, topic=TOPIC)


def send(apns, proxy, protocol="binary", message=None, **options):
    """Send through a proxy; return the result."""
    options = options or {"cert_string": apns.client_certificate(topic=TOPIC)}
    session = Session(protocol=protocol, ca_string=apns.ca_string, read_tail_timeout=20)
    try:
        return APNs(session.get_connection(proxy.address, **options)).send(
            message or Message(TOKENS + ["ab"], alert="Hello"))
    finally:
        session.shutdown()


def backend_of(apns, protocol):
    return apns.provider_address if protocol == "http2" else apns.gateway_address


@pytest.mark.parametrize("protocol", ["binary", "http2"])
def test_both_protocols_pass_in_clear_text(apns, tls, protocol):
    """The client verifies the proxy by name and address, and agrees on what the backend speaks."""
    count = apns.accepted_count
    with registered(Eavesdropper), ChaosProxy(
            backend_of(apns, protocol), "100:eavesdropper", tls=tls) as proxy:
        result = send(apns, proxy, protocol)
        record = await_end(proxy)
    assert list(result.failed) == ["ab"]
    assert not result.needs_retry()
    assert apns.wait_for(lambda: apns.accepted_count == count + len(TOKENS), SOON)
    assert "heard it" in record.faults
    assert record.error is None


@pytest.mark.parametrize("protocol", ["binary", "http2"])
def test_without_it_tls_is_passed_on(apns, protocol):
    """It is the client's and the backend's business; the proxy sees no text."""
    with registered(Eavesdropper), ChaosProxy(
            backend_of(apns, protocol), "100:eavesdropper") as proxy:
        assert list(send(apns, proxy, protocol).failed) == ["ab"]
        assert await_end(proxy).faults == []


def test_a_provider_token_comes_without_certificate(apns, tls):
    """Clients are asked for a certificate, and may have none."""
    with ChaosProxy(apns.provider_address, tls=tls) as proxy:
        message = Message(TOKENS, alert="Hello", apns_topic=TOPIC)
        result = send(apns, proxy, "http2", message, key_id=apns.key_id,
                      team_id=apns.team_id, key_string=apns.key_string)
    assert not result.needs_retry() and not result.failed and not result.errors


def test_a_client_of_another_authority_is_refused(apns, tls):
    """As the backend would."""
    with ChaosProxy(apns.gateway_address, tls=tls) as proxy:
        try:
            result = send(apns, proxy, cert_string=apns.client_certificate(foreign=True))
            assert result.needs_retry()
        except APNsError:
            pass
        assert proxy.wait_for(lambda: proxy.connections and proxy.connections[0].error, SOON)


def test_a_proxy_of_another_authority_is_not_trusted(apns):
    """The client's verification is in force."""
    foreign = ChaosTLS.from_authority(Authority())
    with ChaosProxy(apns.gateway_address, tls=foreign) as proxy:
        with pytest.raises(PeerVerificationError):
            send(apns, proxy)


@pytest.mark.parametrize("options, part", [
    ({"backend_ca_string": Authority().ca_string}, "is not trusted"),
    ({"backend_name": "other.example.com"}, "is not for this host"),
])
def test_the_proxy_verifies_the_backend(apns, options, part):
    """By authority and name; the record says what is wrong with it."""
    authority = apns.authority
    server = authority.issue("x", addresses=["127.0.0.1"], usage="server")
    given = dict({"backend_ca_string": apns.ca_string}, **options)
    checking = ChaosTLS(server.pem, None, apns.cert_string, **given)
    with ChaosProxy(apns.gateway_address, tls=checking) as proxy:
        try:
            send(apns, proxy)
        except APNsError:
            pass
        assert proxy.wait_for(lambda: proxy.connections and proxy.connections[0].error, SOON)
        assert part in proxy.connections[0].error


def test_the_backend_sees_the_proxy_s_certificate(apns):
    """One that it does not accept is a reset for the client."""
    refused = ChaosTLS(
        apns.authority.issue("x", addresses=["127.0.0.1"], usage="server").pem, apns.ca_string,
        apns.client_certificate(foreign=True), apns.ca_string)
    with ChaosProxy(apns.gateway_address, tls=refused) as proxy:
        count = apns.accepted_count
        try:
            assert send(apns, proxy).needs_retry()
        except APNsError:
            pass
        await_end(proxy)
    assert apns.accepted_count == count


PEM = Authority().issue("x").pem


@pytest.mark.parametrize("wrong, error", [
    ({"server": "nothing"}, CertificateError),
    ({"server": 7}, CertificateError),
    ({"ca_string": "nothing"}, ValueError),
    ({"ca_string": 7}, ValueError),
    ({"client": PEM.partition("-----BEGIN PRIVATE")[0]}, CertificateError),
    ({"backend_ca_string": "nothing"}, ValueError),
])
def test_what_cannot_be_used_is_told_at_once(wrong, error):
    """Before there is a connection that would fail; by parameter, or by the name given for it."""
    arguments, [name] = dict({"server": PEM}, **wrong), wrong
    with pytest.raises(error, match="^%s (holds|is|cannot)" % name):
        ChaosTLS(**arguments)
    with pytest.raises(error, match="^the file (holds|is|cannot)"):
        ChaosTLS(names={name: "the file"}, **arguments)
