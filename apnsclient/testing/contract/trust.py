"""Rules of trust: who is believed to be the gateway, and what happens when we are not believed."""

from __future__ import absolute_import, division, print_function

import datetime

import six

from ..._compat import MYPY
from ...errors import CertificateRefused, ConnectError, PeerVerificationError
from ._peer import HOST
from ._rule import Rules, rule
from ._stage import credentials, expect

if MYPY:
    from typing import Any

    from ..certs import Credential
    from ._stage import Stage

__all__ = ["TrustRules"]

#: Alerts that are not about a certificate (RFC 8446, 6): record_overflow, protocol_version,
#: internal_error, unrecognized_name.
_OTHER_ALERTS = (22, 70, 80, 112)


class TrustRules(Rules):
    """Which servers are connected to, and what a server's refusal becomes."""

    @rule("network")
    def test_a_server_of_an_unknown_authority_is_refused(self, stage):
        # type: (Stage) -> None
        """Its certificate comes from an authority that was not named: ``PeerVerificationError``."""
        _expect_unverified(stage, "a server whose authority is unknown", credentials().stranger
                           .issue(HOST, dns=[HOST], usage="server"))

    @rule("network")
    def test_a_server_of_another_name_is_refused(self, stage):
        # type: (Stage) -> None
        """Its certificate is good, and for another host: ``PeerVerificationError``.

        Whoever has a certificate for any host at all could pretend to be the gateway.
        """
        _expect_unverified(stage, "a server with the certificate of another host", credentials()
                           .authority.issue("other", dns=["other.example"], usage="server"))

    @rule("network")
    def test_a_server_of_another_address_is_refused(self, stage):
        # type: (Stage) -> None
        """Where an IP address is connected to, the certificate has to name that address.

        One for another address will not do, nor one for the name that leads to this address.
        """
        authority = credentials().authority
        for what, credential in [
                ("another address", authority.issue("other", addresses=["127.0.0.2"],
                                                    usage="server")),
                ("a name", authority.issue(HOST, dns=[HOST], usage="server"))]:
            _expect_unverified(stage, "127.0.0.1, where a server has a certificate for %s" % what,
                               credential, "127.0.0.1")

    @rule("network")
    def test_a_server_whose_certificate_has_expired_is_refused(self, stage):
        # type: (Stage) -> None
        """``PeerVerificationError``: an expired certificate may have been given to anybody."""
        _expect_unverified(stage, "a server with an expired certificate", credentials()
                           .authority.issue(HOST, dns=[HOST], usage="server",
                                            not_after=datetime.datetime(2020, 1, 1)))

    @rule("network")
    def test_servers_are_verified_unless_told_otherwise(self, stage):
        # type: (Stage) -> None
        """Without any option the authorities of the system's store count, and no other."""
        backend, server = self.new_backend(), stage.server()
        stage.raises(PeerVerificationError,
                     "connecting, without an option, to a server that the system does not know",
                     stage.connect, server.address, backend)

    @rule("network")
    def test_whom_to_trust_is_up_to_the_back_end(self, stage):
        # type: (Stage) -> None
        """A certificate that back-ends share brings no trust along: each has its own authorities.

        The user may have loaded it, for sessions that trust different authorities.
        """
        server, backend = stage.server(), stage.backend()
        other = self.new_backend(**self.trusting(credentials().stranger.ca_string))
        for loaded_by in (backend, other):
            certificate = stage.certificate(loaded_by)
            stage.keep(backend.get_new_connection(server.address, certificate, stage.patience))
            stage.raises(PeerVerificationError,
                         "connecting to a server of an unknown authority, with a certificate that "
                         "a back-end uses that knows it", other.get_new_connection,
                         server.address, certificate, stage.patience)

    @rule("network", "switch")
    def test_verification_can_be_switched_off(self, stage):
        # type: (Stage) -> None
        """With the options of ``unverified`` any server is connected to: for test beds."""
        stranger = credentials().stranger.issue("any", usage="server")
        backend = self.new_backend(**(self.unverified or {}))
        stage.open(stage.server(stranger), backend)

    @rule("network")
    def test_a_refusal_of_our_certificate_is_told(self, stage):
        # type: (Stage) -> None
        """``CertificateRefused`` while opening, or from the first ``read()``.

        TLS 1.3 tells a client only when it reads. The exception says that nothing was processed, so
        that it passes to the caller, who can do something about the certificate.
        """
        error = _refusal(stage, True)
        expect(isinstance(error, CertificateRefused), "the server refused our certificate, and the "
               "back-end raised %s: %s; expected CertificateRefused",
               type(error).__name__, error)

    @rule("network")
    def test_a_refusal_over_tls_1_2_is_told_while_opening(self, stage):
        # type: (Stage) -> None
        """There the handshake itself fails, with an alert that says what it is about."""
        error = _refusal(stage, False)
        expect(isinstance(error, CertificateRefused), "the server refused the client's certificate "
               "over TLS 1.2, and the back-end raised %s: %s; expected CertificateRefused",
               type(error).__name__, error)

    @rule("network")
    def test_an_alert_about_something_else_is_no_refusal(self, stage):
        # type: (Stage) -> None
        """``ConnectError``, and not the ``CertificateRefused`` that is below it.

        A server that fails, or wants another version of TLS, says nothing about the certificate:
        whoever is told so renews what is good, and does not try again.
        """
        for alert in _OTHER_ALERTS:
            error = _failure_after_alert(stage, alert)
            expect(not isinstance(error, CertificateRefused), "the server sent the alert %d, which "
                   "is not about the client's certificate, and the back-end raised "
                   "CertificateRefused: %s", alert, error)


def _failure_after_alert(stage, alert):
    # type: (Stage, int) -> Exception
    """Return what connecting raises where the server responds with an alert, by its number."""
    server = stage.plain_server()

    def respond():
        # type: () -> None
        peer = server.peer()
        peer.receive_raw(65536)
        peer.send_raw(b"\x15\x03\x03\x00\x02\x02" + six.int2byte(alert))
        peer.hang_up()

    responding = stage.aside(respond)
    error = stage.raises(ConnectError, "connecting to a server that responds with the alert %d"
                         % alert, stage.connect, server.address)
    responding.result()
    return error


def _expect_unverified(stage, what, credential, host=HOST):
    # type: (Stage, str, Credential, str) -> None
    server = stage.server(credential)
    stage.raises(PeerVerificationError, "connecting to %s" % what, stage.connect,
                 (host, server.address[1]))
    peer, problem = server.outcome()
    if problem is None:
        # TLS 1.3 has no word for it here; what matters is that nothing was written.
        data = peer.receive_all()
        expect(not data, "%d bytes were written to a server that was not verified", len(data))


def _refusal(stage, tls_1_3):
    # type: (Stage, bool) -> Any
    """Return what is raised where the server refuses our certificate, None for nothing."""
    server, backend = stage.server(tls_1_3=tls_1_3), stage.backend()
    foreign = stage.certificate(backend, credentials().stranger.issue("foreign"))

    def connect():
        # type: () -> None
        connection = stage.keep(backend.get_new_connection(
            server.address, foreign, stage.patience))
        if tls_1_3:
            connection.read(10, stage.patience)

    return stage.attempt(connect)
