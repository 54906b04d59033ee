"""Rules of certificates: how they are loaded, compared, and what they never tell."""

from __future__ import absolute_import, division, print_function

import datetime
import io
import os

import six
from cryptography.hazmat.primitives import serialization

from ..._compat import MYPY
from ...certificate import BaseCertificate
from ...errors import CertificateError
from ._rule import Rules, rule
from ._stage import credentials, expect

if MYPY:
    from typing import Any, Dict

    from ..certs import Credential
    from ._stage import Stage

__all__ = ["CertificateRules"]

#: A passphrase that is found wherever it appears.
_PASSPHRASE = "open-sesame-7310"


class CertificateRules(Rules):
    """What ``get_certificate()`` returns, and refuses."""

    @rule("network")
    def test_a_certificate_is_loaded_from_a_string(self, stage):
        # type: (Stage) -> None
        """``cert_string`` holds certificate and key; the server is shown that certificate.

        Keys come from vaults and environments more often than from files.
        """
        client = credentials().client
        _expect_presented(stage, client, {"cert_string": client.pem})

    @rule("network")
    def test_a_certificate_is_loaded_from_a_file(self, stage):
        # type: (Stage) -> None
        """``cert_file`` names a file with the same."""
        client = credentials().client
        _expect_presented(stage, client, {"cert_file": _write(stage, client.pem)})

    @rule("network")
    def test_the_key_may_stand_apart(self, stage):
        # type: (Stage) -> None
        """The key is found in ``key_string`` or ``key_file``, and the certificate beside it."""
        client = credentials().client
        _expect_presented(stage, client, {"cert_string": client.certificate_string,
                                          "key_string": client.key_string})
        _expect_presented(stage, client, {"cert_file": _write(stage, client.certificate_string),
                                          "key_file": _write(stage, client.key_string)})

    @rule("network")
    def test_the_text_may_be_bytes(self, stage):
        # type: (Stage) -> None
        """``cert_string`` and ``key_string`` are text or bytes, as they came from somewhere."""
        client = credentials().client
        for convert in (six.ensure_binary, six.ensure_text):
            _expect_presented(stage, client, {
                "cert_string": convert(client.certificate_string),
                "key_string": convert(client.key_string)})

    @rule("network")
    def test_a_file_counts_where_a_string_is_given_as_well(self, stage):
        # type: (Stage) -> None
        """With both for the same thing the file is used, as it has always been."""
        client, other = credentials().client, credentials().other_client
        _expect_presented(stage, client, {
            "cert_string": other.certificate_string,
            "cert_file": _write(stage, client.certificate_string),
            "key_string": other.key_string, "key_file": _write(stage, client.key_string)})

    @rule("network")
    def test_intermediates_are_sent_along(self, stage):
        # type: (Stage) -> None
        """Those that stand behind the certificate: the server may know their issuer only."""
        client = credentials().intermediate.issue("client of an intermediate")
        chain = client.certificate_string + credentials().intermediate.ca_string
        _expect_presented(stage, client, {"cert_string": chain + client.key_string})

    @rule("network")
    def test_an_encrypted_key_is_loaded_with_its_passphrase(self, stage):
        # type: (Stage) -> None
        """``passphrase`` is text or bytes."""
        locked = credentials().authority.issue("locked", passphrase=_PASSPHRASE)
        for convert in (six.ensure_binary, six.ensure_text):
            _expect_presented(stage, locked, {"cert_string": locked.pem,
                                              "passphrase": convert(_PASSPHRASE)})

    @rule("network")
    def test_a_wrong_or_missing_passphrase_is_refused(self, stage):
        # type: (Stage) -> None
        """It raises ``CertificateError``, and asks nobody at the terminal."""
        locked = credentials().authority.issue("locked", passphrase=_PASSPHRASE)
        _expect_refused(stage, "a wrong passphrase",
                        {"cert_string": locked.pem, "passphrase": "wrong"})
        _expect_refused(stage, "an encrypted key without a passphrase",
                        {"cert_string": locked.pem})

    @rule("network")
    def test_what_is_no_certificate_is_refused(self, stage):
        # type: (Stage) -> None
        """Nothing, garbage, and a key alone are a ``CertificateError`` before anything is sent."""
        client = credentials().client
        for what, cert_params in [
                ("no argument at all", {}),
                ("garbage", {"cert_string": "garbage"}),
                ("an empty file", {"cert_file": _write(stage, "")}),
                ("a key without a certificate", {"cert_string": client.key_string})]:
            _expect_refused(stage, what, cert_params)

    @rule("network")
    def test_a_file_that_cannot_be_read_is_refused(self, stage):
        # type: (Stage) -> None
        """A missing file is a ``CertificateError``, so that programs have one thing to catch."""
        client = credentials().client
        missing = os.path.join(stage.folder(), "missing.pem")
        _expect_refused(stage, "a missing cert_file", {"cert_file": missing})
        _expect_refused(stage, "a missing key_file", {"cert_string": client.certificate_string,
                                                      "key_file": missing})

    @rule("network")
    def test_a_certificate_without_its_key_is_refused(self, stage):
        # type: (Stage) -> None
        """A missing key, and the key of another certificate, are a ``CertificateError``.

        Otherwise the server's refusal would be the first that anybody hears of it.
        """
        client, other = credentials().client, credentials().other_client
        _expect_refused(stage, "a certificate without a key",
                        {"cert_string": client.certificate_string})
        _expect_refused(stage, "the key of another certificate",
                        {"cert_string": client.certificate_string, "key_string": other.key_string})

    @rule("network")
    def test_an_expired_certificate_is_loaded(self, stage):
        # type: (Stage) -> None
        """Whether it is still good is the server's to say: clocks differ."""
        expired = credentials().authority.issue(
            "expired", not_after=datetime.datetime(2020, 1, 1))
        backend = stage.backend()
        expect(isinstance(stage.certificate(backend, expired), BaseCertificate),
               "get_certificate() returned no BaseCertificate for an expired one")

    @rule()
    def test_certificates_are_compared_by_content(self, stage):
        # type: (Stage) -> None
        """Two loads of the same text are equal and have one hash; another text is not equal.

        Address and certificate are what the pool finds a connection by.
        """
        backend = stage.backend()
        first, again = stage.certificate(backend), stage.certificate(stage.backend())
        other = stage.certificate(backend, credentials().other_client)
        expect(isinstance(first, BaseCertificate), "get_certificate() returned a %s, which does "
               "not extend BaseCertificate", type(first).__name__)
        expect(first == again and not first != again, "two loads of the same text are not equal: "
               "dump_digest() or dump_certificate() must depend on the content alone")
        expect(hash(first) == hash(again), "two loads of the same text differ in their hash")
        expect(first != other and not first == other, "two different certificates are equal: "
               "dump_digest() or dump_certificate() must depend on the content")

    @rule("network")
    def test_errors_and_representations_tell_no_secret(self, stage):
        # type: (Stage) -> None
        """Neither key nor passphrase is in a message or a ``repr()``: those end up in logs."""
        locked = credentials().authority.issue("locked", passphrase=_PASSPHRASE)
        client, other = credentials().client, credentials().other_client
        backend = stage.backend()
        texts = [repr(backend), repr(stage.certificate(backend))]
        for cert_params in [
                {"cert_string": locked.pem, "passphrase": _PASSPHRASE + "x"},
                {"cert_string": "garbage", "passphrase": _PASSPHRASE},
                {"cert_string": client.key_string},
                {"cert_string": client.certificate_string, "key_string": other.key_string}]:
            error = stage.attempt(backend.get_certificate, cert_params)
            texts += [str(error), repr(error)]
        for text in texts:
            for secret in [_PASSPHRASE] + client.key_string.splitlines()[1:-1]:
                expect(secret not in text, "%.60r... contains a key or a passphrase", text)


def _write(stage, text):
    # type: (Stage, str) -> str
    name = os.path.join(stage.folder(), "credential.pem")
    with io.open(name, "wb") as stream:
        stream.write(six.ensure_binary(text))
    return name


def _expect_presented(stage, credential, cert_params):
    # type: (Stage, Credential, Dict[str, Any]) -> None
    """Connect with a certificate; the server must have been shown this one."""
    backend, server = stage.backend(), stage.server()
    certificate = backend.get_certificate(cert_params)
    stage.keep(backend.get_new_connection(server.address, certificate, stage.patience))
    shown = server.peer().certificate
    text = shown and six.ensure_str(shown.public_bytes(serialization.Encoding.PEM))
    expect(text == credential.certificate_string,
           "the server was shown another certificate than the one of %s, or none",
           ", ".join(sorted(cert_params)))


def _expect_refused(stage, what, cert_params):
    # type: (Stage, str, Dict[str, Any]) -> None
    stage.raises(CertificateError, "get_certificate() with %s" % what,
                 stage.backend().get_certificate, cert_params)
