"""The stdio back-end offers protocols with ALPN, and connects without a client certificate."""

from __future__ import absolute_import, division, print_function

import pytest
from OpenSSL import SSL

from apnsclient.backends.dummy import Certificate as DummyCertificate
from apnsclient.errors import CertificateRefused, ConnectError, PeerVerificationError
from stdio_support import (
    CLIENT,
    GONE,
    SOON,
    VERSIONS,
    Server,
    discard,
    new_backend,
    over_tls,
    read_exactly,
    server_context,
)

pytestmark = pytest.mark.timeout(240)


class Token(object):
    """What the back-end sees of a provider token: it takes the place of a certificate."""

    def get_context(self):
        return None

    def bearer(self):
        return b"bearer token"


class Offers(object):
    """Context of a server that picks a protocol; remembers what it was offered.

    :param choice: what it picks (bytes); None speaks no ALPN.
    """

    def __init__(self, choice=b"h2", **options):
        self.seen = []
        self._choice = choice
        self.context = server_context(**options)
        if choice is not None:
            self.context.set_alpn_select_callback(self._choose)

    def _choose(self, tls, offered):
        self.seen.append(list(offered))
        return self._choice


def connect(server, alpn=(), certificate=None, backend=None, **options):
    backend = backend or new_backend(**options)
    if certificate is None:
        certificate = backend.get_certificate({"cert_string": CLIENT.pem})
    return backend.get_new_connection(server.address, certificate, SOON, alpn=alpn)


@VERSIONS
def test_server_is_offered_the_names_in_order(version):
    """And the connection tells which one was chosen, as a native string."""
    offers = Offers(version=version)
    with Server(over_tls(discard, context=offers.context)) as server:
        connection = connect(server, alpn=("h2", "http/1.1"))
        assert offers.seen == [[b"h2", b"http/1.1"]]
        assert connection.alpn_protocol == "h2" and type(connection.alpn_protocol) is str
        connection.close()


def test_server_may_choose_another_than_the_first():
    """What was chosen counts, not what was wished."""
    with Server(over_tls(discard, context=Offers(b"http/1.1").context)) as server:
        connection = connect(server, alpn=("h2", "http/1.1"))
        assert connection.alpn_protocol == "http/1.1"
        connection.close()


@pytest.mark.parametrize("choice", [None, SSL.NO_OVERLAPPING_PROTOCOLS])
def test_server_that_chooses_none_is_no_failure(choice):
    """Old servers know nothing of ALPN: the session decides what that means."""
    with Server(over_tls(discard, context=Offers(choice).context)) as server:
        connection = connect(server, alpn=("h2",))
        assert connection.alpn_protocol is None
        connection.close()


def test_nothing_is_offered_unless_asked_for():
    """The binary protocol has no name in ALPN."""
    offers = Offers()
    with Server(over_tls(discard, context=offers.context)) as server:
        connection = connect(server)
        assert offers.seen == [] and connection.alpn_protocol is None
        connection.close()


def test_alert_that_refuses_all_protocols_is_explained():
    """Servers in Go, for instance, hang up with no_application_protocol (120, RFC 7301 3.2)."""
    def serve(accepted):
        accepted.recv(65536)
        accepted.sendall(b"\x15\x03\x03\x00\x02\x02\x78")
        accepted.recv(65536)

    with Server(serve) as server:
        with pytest.raises(ConnectError, match="none of the protocols that were offered: h2, h1"):
            connect(server, alpn=("h2", "h1"))
        with pytest.raises(ConnectError) as caught:
            connect(server)
        assert "offered" not in str(caught.value)


@VERSIONS
def test_resumed_session_negotiates_anew(version):
    """The choice holds for one connection (RFC 7301 3.1), and only like resumes like."""
    offers = Offers(version=version)
    backend = new_backend()
    with Server(over_tls(discard, context=offers.context)) as server:
        for names, is_resumed in [(("h2",), False), (("h2",), True), ((), False)]:
            connection = connect(server, names, backend=backend)
            assert connection.session_reused == is_resumed
            assert connection.alpn_protocol == (names[0] if names else None)
            connection.write(b"x", SOON)
            connection.close()


def test_contexts_are_built_once_for_each_choice():
    """It takes milliseconds, and each connection needs one."""
    backend = new_backend()
    certificate = backend.get_certificate({"cert_string": CLIENT.pem})
    plain, h2 = certificate.get_context(), certificate.get_context(alpn=("h2",))
    assert plain is not h2
    assert certificate.get_context(alpn=("h2",)) is h2 and certificate.get_context() is plain
    anonymous = [backend._credentials(Token(), alpn)[0] for alpn in ((), ("h2",), ("h2",))]
    assert anonymous[1] is anonymous[2] is not anonymous[0]
    assert anonymous[1] is not h2


def test_pool_keeps_protocols_apart():
    """One back-end may serve sessions of both: each gets back what speaks its own."""
    with Server(over_tls(discard, context=Offers().context)) as server:
        backend = new_backend()
        certificate = backend.get_certificate({"cert_string": CLIENT.pem})

        def get(*options):
            return backend.get_cached_connection(server.address, certificate, SOON, *options)

        binary, h2 = get(), get(("h2",))
        backend.release(binary)
        backend.release(h2)
        assert get(("h2",)) is h2 and get() is binary
        for connection in (binary, h2):
            connection.close()


@VERSIONS
def test_provider_token_presents_no_certificate(version):
    """The server sees none, and the connection works."""
    seen = []

    def serve(tls):
        seen.append(tls.get_peer_certificate())
        tls.sendall(read_exactly(tls, 4)[::-1])
        discard(tls)

    context = server_context(version=version, asks_client=False)
    # Asks for a certificate, and does without.
    context.set_verify(SSL.VERIFY_PEER, lambda *arguments: True)
    token = Token()
    with Server(over_tls(serve, context=context)) as server:
        connection = connect(server, certificate=token)
        connection.write(b"abcd", SOON)
        assert connection.read(4, SOON) == b"dcba"
        assert connection.certificate is token
        connection.close()
    assert seen == [None]


def test_provider_token_is_for_no_stranger_either():
    """The server is verified just as with a certificate."""
    with Server(over_tls(discard, asks_client=False), ignore=GONE) as server:
        with pytest.raises(PeerVerificationError):
            connect(server, certificate=Token(), ca_string=None)


def test_provider_tokens_share_tls_sessions():
    """TLS knows nothing of the token: connections of two tokens resume one another's session."""
    context = server_context(asks_client=False)
    backend = new_backend()
    with Server(over_tls(discard, context=context)) as server:
        for is_resumed in (False, True):
            connection = connect(server, certificate=Token(), backend=backend)
            assert connection.session_reused == is_resumed
            connection.write(b"x", SOON)
            connection.close()


@VERSIONS
def test_server_that_wants_a_certificate_refuses_a_provider_token(version):
    """With a text that says what is missing: from connecting, or with TLS 1.3 from reading."""
    def serve(accepted):
        with pytest.raises(SSL.Error):
            over_tls(discard, version=version)(accepted)
        accepted.recv(65536)

    with Server(serve) as server:
        with pytest.raises(CertificateRefused) as caught:
            connection = connect(server, certificate=Token())
            try:
                connection.read(1, SOON)
            finally:
                connection.close()
    text = str(caught.value)
    assert "without a client certificate" in text and "provider token" in text


@pytest.mark.parametrize("stranger", [
    object(), None, DummyCertificate(cert_string="text")], ids=["object", "None", "dummy"])
def test_only_a_provider_token_connects_without_a_certificate(stranger):
    """Whoever meant to present a certificate must not connect without one."""
    with pytest.raises(TypeError, match="expected apnsclient.backends.stdio.Certificate or a Prov"):
        new_backend().get_new_connection(("127.0.0.1", 1), stranger, SOON, alpn=("h2",))


def test_certificate_that_is_overridden_need_not_know_of_alpn():
    """Subclasses from before ALPN go on working with the binary protocol."""
    from apnsclient.backends import stdio

    class Old(stdio.Certificate):
        def get_context(self, trust=None):
            return super(Old, self).get_context(trust)

    with Server(over_tls(discard)) as server:
        connect(server, certificate=Old(cert_string=CLIENT.pem)).close()
