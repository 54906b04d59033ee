"""Whom the stdio back-end trusts, who does not trust it, and what the errors say."""

from __future__ import absolute_import, division, print_function

import pytest
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from apnsclient.backends._identity import Identity, Material
from apnsclient.backends.stdio import Certificate
from apnsclient.errors import (
    REMEDIES,
    CertificateError,
    CertificateRefused,
    ConnectError,
    PeerVerificationError,
)
from apnsclient.testing import certs
from apnsclient.testing.certs import Authority
from stdio_support import (
    AUTHORITY,
    CLIENT,
    GONE,
    SERVER,
    SOON,
    VERSIONS,
    Server,
    discard,
    fails,
    new_backend,
    open_connection,
    over_tls,
    read_all,
    server_context,
    until,
    utc,
    wait_for_end,
)

pytestmark = pytest.mark.timeout(240)


def test_server_is_verified_against_the_system_by_default(descriptors):
    """Without an authority of ours, a private one is not trusted, and the error says what to do."""
    with Server(over_tls(discard), ignore=GONE) as server:
        message = fails(PeerVerificationError, server.address, ca_string=None)
        assert "does not verify" in message
        assert "ca_file" in message and "ca_string" in message and "verify=False" in message


def test_server_of_another_authority_is_not_trusted(descriptors):
    """The given authority counts, not just any."""
    with Server(over_tls(discard), ignore=GONE) as server:
        fails(PeerVerificationError, server.address, ca_string=Authority().ca_string)


def test_authority_may_come_from_a_file(tmpdir):
    """``ca_file`` does what ``ca_string`` does."""
    path = tmpdir.join("ca.pem")
    path.write(Authority("another").ca_string + AUTHORITY.ca_string)
    with Server(over_tls(discard)) as server:
        open_connection(server.address, ca_string=None, ca_file=str(path)).close()


def test_several_authorities_in_a_string():
    """Each certificate in ``ca_string`` counts, and those in ``ca_file`` beside them."""
    both = Authority("another").ca_string + AUTHORITY.ca_string
    with Server(over_tls(discard)) as server:
        open_connection(server.address, ca_string=both).close()


def test_trusted_certificate_need_not_be_a_root():
    """The server's own certificate as ``ca_string`` is enough."""
    with Server(over_tls(discard)) as server:
        open_connection(server.address, ca_string=SERVER.certificate_string).close()


@pytest.mark.parametrize("options, text", [
    ({"dns": ["other.test"]}, "not for this host: it is for other.test"),
    ({}, "no subject alternative names"),
    ({"addresses": ["127.0.0.2"]}, "127.0.0.2"),
], ids=["name", "none", "address"])
def test_wrong_host_is_not_trusted(options, text, descriptors):
    """A certificate for another host does not do, however good its chain."""
    credential = AUTHORITY.issue("127.0.0.1", usage="server", **options)
    with Server(over_tls(discard, credential=credential), ignore=GONE) as server:
        message = fails(PeerVerificationError, server.address)
        assert text in message and message.endswith("; " + REMEDIES["host"])
        assert "ca_file" not in message


@pytest.mark.parametrize("options, text", [
    ({"not_after": utc(2020)}, "it has expired"),
    ({"not_before": utc(2100)}, "it is not valid yet"),
])
def test_server_out_of_its_time_is_not_trusted(options, text, descriptors):
    """An expired server is told apart from an unknown one."""
    credential = AUTHORITY.issue("s", addresses=["127.0.0.1"], usage="server", **options)
    with Server(over_tls(discard, credential=credential), ignore=GONE) as server:
        message = fails(PeerVerificationError, server.address)
        assert text in message and message.endswith("; " + REMEDIES["dates"])


def test_key_that_is_too_weak_is_called_so(monkeypatch):
    """The server's and our own, where the TLS library takes it for weak; what helps is said."""
    monkeypatch.setattr(certs, "_new_key", lambda kind: rsa.generate_private_key(
        65537, 1024, default_backend()))
    weak = AUTHORITY.issue("weak", addresses=["127.0.0.1"], usage="server")
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_cipher_list(b"DEFAULT@SECLEVEL=0")
    Identity(Material(weak.pem)).install(context)
    with Server(over_tls(discard, context=context), ignore=GONE) as server:
        try:
            Certificate(cert_string=weak.pem)
        except CertificateError as error:
            assert "key too small" in str(error)
            assert error.remedy == "stronger certificate"
            message = fails(PeerVerificationError, server.address)
            assert "its key is too weak; " + REMEDIES["other server certificate"] in message
        open_connection(server.address, verify=False).close()


def test_client_certificate_is_no_server():
    """A certificate that is not meant for servers does not make one."""
    credential = AUTHORITY.issue("c", addresses=["127.0.0.1"], usage="client")
    with Server(over_tls(discard, credential=credential), ignore=GONE) as server:
        fails(PeerVerificationError, server.address)


@VERSIONS
def test_nothing_is_written_to_a_stranger(version, descriptors):
    """A server that does not verify sees neither our certificate nor a byte of data."""
    seen = []

    def serve(accepted):
        context = server_context(
            credential=AUTHORITY.issue("x", dns=["other.test"], usage="server"), version=version)
        context.set_verify(SSL.VERIFY_PEER, lambda *args: seen.append(args) or True)
        over_tls(lambda tls: seen.append(read_all(tls)), context=context)(accepted)

    with Server(serve, ignore=GONE) as server:
        fails(PeerVerificationError, server.address)
    assert seen == []


@VERSIONS
def test_stranger_is_told_why(version):
    """A server that does not verify gets the alert that TLS has for it, not just a hang-up."""
    told = []

    def serve(accepted):
        try:
            over_tls(discard, version=version)(accepted)
        except SSL.Error as error:
            told.append(str(error))

    with Server(serve) as server:
        fails(PeerVerificationError, server.address, ca_string=Authority().ca_string)
    assert "alert" in told[0]


@pytest.mark.parametrize("options", [
    {"credential": Authority().issue("s", dns=["other.test"], usage="server")},
    {"credential": AUTHORITY.issue("s", usage="server", not_after=utc(2020))},
])
def test_verification_can_be_switched_off(options):
    """``verify=False`` accepts any server, for test beds."""
    with Server(over_tls(discard, **options)) as server:
        open_connection(server.address, verify=False, ca_string=None).close()
        open_connection(server.address, verify=False).close()


def test_certificate_made_directly_gets_the_trust_of_the_back_end():
    """What counts is the back-end that connects, not where the certificate was made."""
    certificate = Certificate(cert_string=CLIENT.pem)
    certificate.get_context()
    with Server(over_tls(discard), ignore=GONE) as server:
        new_backend().get_new_connection(server.address, certificate, SOON).close()
        new_backend(verify=False).get_new_connection(server.address, certificate, SOON).close()
        with pytest.raises(PeerVerificationError):
            new_backend(ca_string=None).get_new_connection(server.address, certificate, SOON)


def test_verification_that_breaks_is_a_failed_verification(monkeypatch):
    """A certificate that the check chokes on is not trusted."""
    from apnsclient.backends import _tls

    monkeypatch.setattr(_tls, "mismatch", lambda *args: 1 // 0)
    with Server(over_tls(discard), ignore=GONE) as server:
        assert "ZeroDivisionError" in fails(PeerVerificationError, server.address)


def test_handshake_without_verdict_is_refused(monkeypatch):
    """If OpenSSL never asked us about the peer, the connection is not used."""
    from apnsclient.backends import _tls

    monkeypatch.setattr(_tls._Verdict, "judge", lambda *args: True)
    with Server(over_tls(discard), ignore=GONE) as server:
        assert "was not verified" in fails(PeerVerificationError, server.address)


@pytest.mark.parametrize("host, names", [
    ("gateway.test", [b"gateway.test"]), ("gateway.test.", [b"gateway.test"]),
    ("127.0.0.1", [None]),
])
def test_server_name_is_sent_for_names_only(host, names, addresses, monkeypatch):
    """SNI carries the name, without the dot at its end; an address is no name."""
    seen = []

    def serve(tls):
        seen.append(tls.get_servername())
        discard(tls)

    with Server(over_tls(serve)) as server:
        addresses.add(server.address)
        open_connection((host, server.address[1]), verify=False).close()
    assert seen == names


def test_old_tls_is_refused(descriptors):
    """A server that wants TLS 1.0 is told no, and so is the caller."""
    def serve(accepted):
        accepted.recv(65536)
        # A ServerHello of TLS 1.0: version 3.1, no session, AES128-SHA, no compression.
        body = b"\x03\x01" + b"\x11" * 32 + b"\x00" + b"\x00\x2f" + b"\x00"
        hello = b"\x02" + b"\x00\x00" + bytearray([len(body)]) + body
        accepted.sendall(bytes(b"\x16\x03\x01\x00" + bytearray([len(hello)]) + hello))
        wait_for_end(accepted)

    with Server(serve, ignore=GONE) as server:
        assert "TLS 1.2 or newer" in fails(ConnectError, server.address)


def test_alert_about_the_version_says_what_is_needed(descriptors):
    """The same where the server complains first."""
    def serve(accepted):
        accepted.recv(65536)
        accepted.sendall(b"\x15\x03\x01\x00\x02\x02\x46")
        wait_for_end(accepted)

    with Server(serve, ignore=GONE) as server:
        assert "TLS 1.2 or newer" in fails(ConnectError, server.address)


def test_peer_that_does_not_speak_tls_is_named_as_such(descriptors):
    """Plain text in place of TLS is an error that says so."""
    def serve(accepted):
        accepted.recv(65536)
        accepted.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        wait_for_end(accepted)

    with Server(serve, ignore=GONE) as server:
        assert "speak TLS" in fails(ConnectError, server.address)


@VERSIONS
def test_newer_versions_are_spoken(version):
    """TLS 1.2 and 1.3 are both used where the server wants them."""
    with Server(over_tls(discard, version=version)) as server:
        connection = open_connection(server.address)
        assert connection._engine.tls.get_protocol_version_name() == "TLSv" + version
        connection.close()


@pytest.mark.parametrize("credential, text", [
    (Authority("stranger").issue("stranger"), "check that certificate and key"),
    (AUTHORITY.issue("old", not_after=utc(2020)), "our certificate expired on 2020-01-01"),
    (AUTHORITY.issue("early", not_before=utc(2100)), "is not valid before 2100-01-01"),
], ids=["unknown", "expired", "early"])
def test_refused_certificate_over_tls12_comes_out_of_connecting(credential, text, descriptors):
    """TLS 1.2 refuses during the handshake; the error names the alert and our date."""
    with Server(over_tls(discard, version="1.2"), ignore=GONE) as server:
        message = fails(CertificateRefused, server.address, credential=credential)
        assert text in message and "TLS alert" in message


ALERTS = {40: "handshake failure", 42: "bad certificate", 43: "unsupported certificate",
          44: "certificate revoked", 45: "certificate expired", 46: "certificate unknown",
          48: "unknown ca", 49: "access denied", 116: "certificate required"}


@pytest.mark.parametrize("number", sorted(ALERTS))
def test_alerts_about_a_certificate_are_refusals(number, descriptors):
    """Each alert that is about our certificate becomes one type of error."""
    def serve(accepted):
        tls = SSL.Connection(server_context(version="1.2"), None)
        tls.set_accept_state()
        tls.bio_write(accepted.recv(65536))
        with pytest.raises(SSL.WantReadError):
            tls.do_handshake()
        accepted.sendall(tls.bio_read(65536))
        accepted.recv(65536)
        accepted.sendall(bytes(bytearray([0x15, 3, 3, 0, 2, 2, number])))
        wait_for_end(accepted)

    with Server(serve, ignore=GONE) as server:
        assert ALERTS[number] in fails(CertificateRefused, server.address)


@pytest.mark.parametrize("number", sorted(ALERTS))
def test_alerts_before_the_certificates_are_no_refusals(number, descriptors):
    """Whoever has not shown a certificate cannot have seen ours."""
    def serve(accepted):
        accepted.recv(65536)
        accepted.sendall(bytes(bytearray([0x15, 3, 3, 0, 2, 2, number])))
        wait_for_end(accepted)

    with Server(serve, ignore=GONE) as server:
        message = fails(ConnectError, server.address)
        assert ALERTS[number] in message and "certificate" not in message.replace(
            ALERTS[number], "")


def test_other_alerts_are_connect_errors(descriptors):
    """An alert that is not about our certificate is no refusal of it."""
    def serve(accepted):
        accepted.recv(65536)
        accepted.sendall(b"\x15\x03\x03\x00\x02\x02\x50")
        wait_for_end(accepted)

    with Server(serve, ignore=GONE) as server:
        assert "internal error" in fails(ConnectError, server.address)


@VERSIONS
def test_intermediates_are_sent_with_the_certificate(version):
    """The certificates that stand beside ours in the PEM reach the server."""
    chains = []

    def serve(tls):
        chains.append(len(tls.get_peer_cert_chain() or ()))
        discard(tls)

    together = CLIENT._replace(
        certificate_string=AUTHORITY.ca_string + CLIENT.certificate_string)
    with Server(over_tls(serve, version=version)) as server:
        for count, credential in enumerate((CLIENT, together), 1):
            # With an authority of its own OpenSSL would complete the chain from there.
            connection = open_connection(server.address, credential=credential, verify=False)
            # Over TLS 1.3 the server is done later, and in its own order.
            until(lambda count=count: len(chains) == count)
            connection.close()
    assert chains[1] - chains[0] == 1
