"""Rules of ALPN, which HTTP/2 needs; for back-ends that say they have it."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from ...errors import PeerVerificationError
from ...provider_token import ProviderToken
from ._peer import HOST
from ._rule import Rules, rule
from ._stage import credentials, expect

if MYPY:
    from ._stage import Stage

__all__ = ["AlpnRules"]


class AlpnRules(Rules):
    """What is offered to the server, and what is known of its choice (RFC 7301)."""

    @rule("network", "alpn")
    def test_the_protocol_that_the_server_chose_is_known(self, stage):
        # type: (Stage) -> None
        """``alpn_protocol`` is its name, as text of the type ``str``."""
        connection, _ = stage.open(stage.server(alpn=("h2",)), alpn=("h2",))
        expect(connection.alpn_protocol == "h2" and isinstance(connection.alpn_protocol, str),
               "the server chose h2; alpn_protocol is %r", connection.alpn_protocol)

    @rule("network", "alpn")
    def test_protocols_are_offered_in_order(self, stage):
        # type: (Stage) -> None
        """The one that is preferred comes first."""
        server = stage.server(alpn=("h2",))
        stage.open(server, alpn=("http/1.1", "h2"))
        expect(server.offers == [[b"http/1.1", b"h2"]], "('http/1.1', 'h2') was to be offered; the "
               "server saw %r", server.offers)

    @rule("network", "alpn")
    def test_nothing_is_offered_unless_asked_for(self, stage):
        # type: (Stage) -> None
        """With an empty ``alpn`` the extension is left out, and ``alpn_protocol`` is None."""
        server = stage.server(alpn=("h2",))
        connection, _ = stage.open(server)
        expect(not server.offers, "nothing was to be offered; the server saw %r", server.offers)
        expect(connection.alpn_protocol is None, "nothing was offered, and alpn_protocol is %r",
               connection.alpn_protocol)

    @rule("network", "alpn")
    def test_a_server_that_chooses_none_is_no_failure(self, stage):
        # type: (Stage) -> None
        """The connection opens with ``alpn_protocol`` None; the session tells the user."""
        connection, _ = stage.open(stage.server(), alpn=("h2",))
        expect(connection.alpn_protocol is None, "the server chose nothing; alpn_protocol is %r",
               connection.alpn_protocol)

    @rule("network", "alpn")
    def test_the_pool_tells_protocols_apart(self, stage):
        # type: (Stage) -> None
        """A connection that speaks HTTP/2 is not given to whoever speaks the binary protocol."""
        backend, server = stage.backend(), stage.server(alpn=("h2",))
        certificate = stage.certificate(backend)
        taken = []
        for alpn in (("h2",), (), ("h2",)):
            options = {"alpn": alpn} if alpn else {}
            taken.append(stage.keep(backend.get_cached_connection(
                server.address, certificate, stage.patience, **options)))
            backend.release(taken[-1])
        expect(taken[0] is not taken[1], "a connection that speaks h2 was taken without ALPN")
        expect(taken[0] is taken[2], "a connection that speaks h2 was not found again in the pool")

    @rule("network", "alpn")
    def test_a_provider_token_presents_no_certificate(self, stage):
        # type: (Stage) -> None
        """Its ``get_context()`` is None: the server is shown nothing, and verified as always."""
        token = ProviderToken(key_id="ABC123DEFG", team_id="DEF123GHIJ",
                              key_string=credentials().client.key_string)
        backend, server = stage.backend(), stage.server(is_required=False, alpn=("h2",))
        connection = stage.keep(backend.get_new_connection(
            server.address, token, stage.patience, alpn=("h2",)))
        expect(connection.certificate is token, "the certificate of the connection is %r, expected "
               "the provider token", connection.certificate)
        shown = server.peer().certificate
        expect(shown is None, "a certificate was presented where a provider token stands for it")
        stranger = credentials().stranger.issue(HOST, dns=[HOST], usage="server")
        stage.raises(PeerVerificationError, "connecting with a provider token to a server of an "
                     "unknown authority", backend.get_new_connection,
                     stage.server(stranger, is_required=False, alpn=("h2",)).address, token,
                     stage.patience, ("h2",))
