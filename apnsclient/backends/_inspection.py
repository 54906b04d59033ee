"""What is in certificates, keys and archives, for people; and their conversion to PEM.

Nothing here puts a key or a passphrase into a text, except into the PEM that it is asked for.
"""

from __future__ import absolute_import, division, print_function

import base64
from collections import namedtuple

import six
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from .._compat import MYPY
from .._formats import kind_of
from .._printable import printable
from ..certificate import BaseCertificate
from ..errors import CertificateError
from ._identity import Identity, certificate_dates, load_certificates, load_key, own_certificate
from ._topics import environments, extension_topics, subject_topics

if MYPY:
    from typing import Any, List, Optional, Tuple

    from ._identity import Material

__all__ = ["Anonymous", "CertificateFacts", "Parts", "describe_key", "facts_of", "is_old_archive",
           "to_pem", "whole_pem"]

#: What the passphrase-based ciphers of PKCS #12 begin with, which are RC4, triple DES and RC2
#: (RFC 7292, C: 1.2.840.113549.1.12.1). Newer archives have AES.
_OLD_CIPHERS = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01"

#: What can be read of a certificate: names of subject and issuer (str), first and last moment
#: (naive ``datetime`` in UTC), environments and topics (list of str), and whether it seems to have
#: issued itself (bool).
CertificateFacts = namedtuple(
    "CertificateFacts", "name issuer begins expires environments topics is_self_issued")


class Anonymous(BaseCertificate):
    """Takes the place of a credential for a connection that presents none."""

    #: What tells from a certificate what presents none.
    bearer = None

    def load_context(self, cert_string=None, cert_file=None, key_string=None, key_file=None,
                     passphrase=None):
        # type: (Any, Any, Any, Any, Any) -> Tuple[Any, Any]
        """Load nothing."""
        return None, b""

    def dump_digest(self, raw, digest):
        # type: (Any, str) -> bytes
        """Return the same as for each other."""
        return bytes(raw)


class Parts(object):
    """Certificate and key, each loaded as far as that is possible.

    :param material: the texts (Material).

    :ivar certificates: the certificates (list); empty if they cannot be loaded.
    :ivar key: the private key, or None.
    :ivar own: the certificate that the key belongs to, or None.
    :ivar problems: the :class:`~apnsclient.errors.CertificateError` of each step that failed:
        ``"certificate"``, ``"key"``, ``"match"``, ``"use"`` (dict).
    """

    def __init__(self, material):
        # type: (Material) -> None
        self.problems = {}  # type: dict[str, CertificateError]
        self.certificates = self._attempt("certificate", load_certificates, material) or []
        self.key = self._attempt("key", load_key, material)
        self.own = None  # type: Any
        if self.certificates and self.key is not None:
            self.own = self._attempt("match", own_certificate, self.certificates, self.key,
                                     material)
        if self.own is not None:
            self._attempt("use", lambda: Identity(material).install(
                SSL.Context(SSL.TLS_CLIENT_METHOD)))

    def _attempt(self, step, function, *arguments):
        # type: (str, Any, Any) -> Any
        try:
            return function(*arguments)
        except CertificateError as error:
            self.problems[step] = error
            return None


def facts_of(certificate):
    # type: (Any) -> CertificateFacts
    """Return what can be read of a certificate of ``cryptography``."""
    begins, expires = certificate_dates(certificate)
    named = subject_topics(certificate)
    topics = named + [one for one in extension_topics(certificate) if one not in named]
    name, issuer = _name(certificate, "subject"), _name(certificate, "issuer")
    return CertificateFacts(name, issuer, begins, expires, environments(certificate), topics,
                            name == issuer)


def _name(certificate, whose):
    # type: (x509.Certificate, str) -> str
    """Return the common name, or all of the name where there is none."""
    try:
        name = getattr(certificate, whose)
        found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
        return printable(six.ensure_text(found[0].value) if found else name.rfc4514_string())
    except (ValueError, TypeError):
        return "(a name that cannot be read)"


def describe_key(key):
    # type: (Any) -> str
    """Return kind and size of a private key."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "RSA, %d bits" % key.key_size
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "elliptic curve %s" % {"secp256r1": "P-256"}.get(key.curve.name, key.curve.name)
    return type(key).__name__.strip("_")


def is_old_archive(content):
    # type: (bytes) -> bool
    """Return True if a PKCS #12 archive has one of the ciphers that keychains used for long."""
    return _OLD_CIPHERS in content


def to_pem(content, passphrase):
    # type: (bytes, Optional[bytes]) -> Optional[bytes]
    """Return the certificates and the key in a file of another format as PEM text.

    :param content: content of the file (bytes).
    :param passphrase: passphrase of a PKCS #12 archive (bytes), or None. Its key is not encrypted
        in the text; an encrypted key of another format stays as it is.
    :return: None if the format is not one that is converted.
    :raises ~apnsclient.errors.CertificateError: if it cannot be read; for an archive, also if the
        passphrase is wrong.
    """
    kind = kind_of(content)
    problem = "is damaged"
    try:
        if kind.startswith("Base64"):
            decoded = base64.b64decode(b"".join(content.split()))
            return decoded if kind == "Base64 of PEM" else to_pem(decoded, passphrase)
        if kind == "certificate":
            return _pem(b"CERTIFICATE", content)
        if kind == "encrypted key":
            return _pem(b"ENCRYPTED PRIVATE KEY", content)
        if kind == "key":
            return _key_pem(serialization.load_der_private_key(content, None, default_backend()),
                            None)
        if kind == "pkcs12":
            return _archive_pem(content, passphrase)
        return None
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if kind == "pkcs12" and "deserialize" not in str(error):
            problem = "does not open"
    raise CertificateError("the file %s" % problem)


def _archive_pem(content, passphrase):
    # type: (bytes, Optional[bytes]) -> bytes
    key, certificate, others = pkcs12.load_key_and_certificates(
        content, passphrase, default_backend())
    certificates = [certificate] if certificate is not None else []
    return _certificates_pem(certificates + list(others)) + (
        b"" if key is None else _key_pem(key, None))


def whole_pem(parts, passphrase):
    # type: (Parts, Optional[bytes]) -> bytes
    """Return certificate, chain and key as one PEM text.

    :param passphrase: encrypts the key (bytes); None leaves it as it is.
    """
    chain = [one for one in parts.certificates if one != parts.own]
    return _certificates_pem([parts.own] + chain) + _key_pem(parts.key, passphrase)


def _certificates_pem(certificates):
    # type: (List[Any]) -> bytes
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def _key_pem(key, passphrase):
    # type: (Any, Optional[bytes]) -> bytes
    encryption = serialization.NoEncryption() if not passphrase else \
        serialization.BestAvailableEncryption(passphrase)
    return bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                   encryption))


def _pem(label, der):
    # type: (bytes, bytes) -> bytes
    text = base64.b64encode(der)
    lines = [text[start:start + 64] for start in range(0, len(text), 64)]
    return b"-----BEGIN %s-----\n%s\n-----END %s-----\n" % (label, b"\n".join(lines), label)
