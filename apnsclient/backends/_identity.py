"""The provider's certificate, chain and private key, loaded from PEM in memory.

Nothing here prompts on the terminal, writes a file, or puts a key or a passphrase into a message, a
``repr`` or a chained exception. Every error in the input raises a
:class:`~apnsclient.errors.CertificateError` that explains it.
"""

from __future__ import absolute_import, division, print_function

import datetime
import hashlib
import re
import time

import six
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL, crypto

from .._compat import MYPY
from .._files import is_given, read_source, to_bytes
from .._formats import describe_instead
from .._pem import certificates_in, der_of, is_encrypted, keys_in, split_pem
from ..errors import CertificateError

if MYPY:
    from typing import Any, List, Optional, Tuple, Union

    Text = Union[str, bytes]

__all__ = ["Identity", "Material", "certificate_dates", "load_certificates", "load_key",
           "own_certificate", "reasons"]


#: Error texts of ``cryptography`` for unsupported ciphers.
_UNSUPPORTED = re.compile("unknown (?:cipher|key encryption)|^Invalid key", re.IGNORECASE)
#: The cipher of a key with headers; ciphers that every OpenSSL has, with headers or without.
_CIPHER = re.compile(br"DEK-Info: ([A-Z0-9-]+),")
_USUAL_HEADERS = re.compile(br"DEK-Info: (?:AES|DES-EDE3)-")
#: Object identifiers of AES (2.16.840.1.101.3.4.1), and of DES-EDE3-CBC by itself and with a
#: passphrase in PKCS #12 (1.2.840.113549.3.7 and .1.12.1.3).
_USUAL_CIPHERS = (b"\x60\x86\x48\x01\x65\x03\x04\x01", b"\x2a\x86\x48\x86\xf7\x0d\x03\x07",
                  b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03")


def reasons(error):
    # type: (Exception) -> List[str]
    """Return the texts of an ``SSL.Error`` or ``crypto.Error``, one for each entry of OpenSSL."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return [entry[2] for entry in entries if entry[2]]


def certificate_dates(certificate):
    # type: (x509.Certificate) -> Tuple[datetime.datetime, datetime.datetime]
    """Return the first and the last moment of validity, as naive datetimes in UTC."""
    if hasattr(certificate, "not_valid_after_utc"):
        return (certificate.not_valid_before_utc.replace(tzinfo=None),
                certificate.not_valid_after_utc.replace(tzinfo=None))
    return certificate.not_valid_before, certificate.not_valid_after


class Material(object):
    """The arguments of a certificate as bytes: certificate, key, passphrase, and their sources.

    None and an empty text mean that an argument is not given. If both a string and a file are
    given, the file is used.

    :ivar certificate_source: name of the certificate's text in messages (str).
    :ivar key_source: name of the key's text in messages (str).
    :ivar key_remedy: name of the remedy for a missing key (str).
    :raises ~apnsclient.errors.CertificateError: if there is no certificate, or if a file cannot be
        read.
    """

    def __init__(self, cert_string=None, cert_file=None, key_string=None, key_file=None,
                 passphrase=None):
        # type: (Optional[Text], Optional[str], Optional[Text], Optional[str], Optional[Text]) -> None
        if not (is_given(cert_string) or is_given(cert_file)):
            raise CertificateError(
                "no certificate given: set cert_string to its PEM text or cert_file to the name of "
                "a PEM file")
        self.certificate, self.certificate_source = read_source("cert", cert_string, cert_file)
        if not (is_given(key_string) or is_given(key_file)):
            self.key, self.key_source = self.certificate, self.certificate_source
        else:
            self.key, self.key_source = read_source("key", key_string, key_file)
        self.passphrase = to_bytes("passphrase", passphrase) if is_given(passphrase) else None
        self.key_remedy = "key"

    @classmethod
    def of_text(cls, text, name):
        # type: (Text, str) -> Material
        """Return the material in one text, which has both certificate and key.

        :param text: PEM text (str or bytes).
        :param name: its name in messages (str).
        """
        material = cls(cert_string=to_bytes(name, text))
        material.certificate_source = material.key_source = name
        material.key_remedy = "key in the same text"
        return material

    def digest(self):
        # type: () -> bytes
        """Return a digest of the content."""
        digest = hashlib.sha256()
        for part in (self.certificate, self.key, self.passphrase):
            digest.update(b"-" if part is None else hashlib.sha256(part).digest())
        return digest.digest()


class Identity(object):
    """Certificate, intermediates and private key, which belong together.

    :param material: the texts to load (Material).
    :raises ~apnsclient.errors.CertificateError: if they cannot be used.
    """

    def __init__(self, material):
        # type: (Material) -> None
        certificates = load_certificates(material)
        self._key = load_key(material)
        self._source = material.certificate_source
        self.certificate = own_certificate(certificates, self._key, material)
        self._chain = [one for one in certificates if one != self.certificate]

    def install(self, context):
        # type: (SSL.Context) -> None
        """Have ``context`` present this identity to the peer.

        :raises ~apnsclient.errors.CertificateError: if certificate or key are too weak for the TLS
            library, or of a kind that it does not support.
        """
        try:
            try:
                self._install(context)
            except TypeError:
                self._install_wrapped(context)
            return
        except SSL.Error as error:
            problem = "; ".join(reasons(error)) or "no reason given"
        is_weak = "too small" in problem or "too weak" in problem
        raise CertificateError("the TLS library does not accept the certificate in %s: %s"
                               % (self._source, problem),
                               "stronger certificate" if is_weak else None)

    def _install(self, context):
        # type: (SSL.Context) -> None
        context.use_certificate(self.certificate)
        context.use_privatekey(self._key)
        for certificate in self._chain:
            context.add_extra_chain_cert(certificate)

    def _install_wrapped(self, context):
        # type: (SSL.Context) -> None
        """Do the same with pyOpenSSL before 24.3, which accepts only its own objects."""
        context.use_certificate(crypto.X509.from_cryptography(self.certificate))
        context.use_privatekey(crypto.load_privatekey(
            crypto.FILETYPE_ASN1,
            self._key.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption())))
        for certificate in self._chain:
            context.add_extra_chain_cert(crypto.X509.from_cryptography(certificate))

    def validity_problem(self):
        # type: () -> Optional[str]
        """Return the reason why the certificate is not valid now, or None if it is."""
        now, (begin, end) = _utcnow(), certificate_dates(self.certificate)
        if now > end:
            return "expired on %s UTC" % end
        if now < begin:
            return "is not valid before %s UTC" % begin
        return None


def _utcnow():
    # type: () -> datetime.datetime
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(time.time()))


def load_certificates(material):
    # type: (Material) -> List[x509.Certificate]
    """Return the certificates in a text, each once.

    :raises ~apnsclient.errors.CertificateError: if there is none, or one is garbage.
    """
    certificates = []
    for block in certificates_in(material.certificate):
        try:
            certificate = x509.load_pem_x509_certificate(block)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            six.raise_from(CertificateError(
                "%s holds garbage: the text between BEGIN CERTIFICATE and END CERTIFICATE is not a "
                "certificate" % material.certificate_source), None)
        if certificate not in certificates:
            certificates.append(certificate)
    if not certificates:
        raise _no_certificate(material.certificate, material.certificate_source)
    return certificates


def _no_certificate(pem, source):
    # type: (bytes, str) -> CertificateError
    instead = describe_instead(pem, source)
    if instead:
        return CertificateError("%s holds no certificate in PEM format%s" % (source, instead))
    if keys_in(pem):
        return CertificateError("%s holds a private key, and no certificate" % source,
                                "certificate or provider token")
    if split_pem(pem):
        return CertificateError("%s holds no certificate, only PEM blocks of other kinds" % source)
    return CertificateError(
        "%s holds garbage: no certificate in PEM format (-----BEGIN CERTIFICATE-----)" % source)


def own_certificate(certificates, key, material):
    # type: (List[x509.Certificate], Any, Material) -> x509.Certificate
    """Return the certificate that a private key belongs to; the others are its chain.

    :raises ~apnsclient.errors.CertificateError: if it belongs to none of them.
    """
    public = _public_bytes(key.public_key())
    for certificate in certificates:
        try:
            if _public_bytes(certificate.public_key()) == public:
                return certificate
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
    raise CertificateError(
        "the private key in %s is the key of another certificate than the one in %s"
        % (material.key_source, material.certificate_source))


def load_key(material):
    # type: (Material) -> Any
    """Return the private key in a text.

    :raises ~apnsclient.errors.CertificateError: if there is none, or it cannot be used.
    """
    blocks = keys_in(material.key)
    source = material.key_source
    if not blocks:
        instead = describe_instead(material.key, source)
        raise CertificateError("%s holds no private key in PEM format%s" % (source, instead),
                               None if instead else material.key_remedy)
    encrypted = is_encrypted(blocks[0])
    if encrypted and not material.passphrase:
        raise CertificateError(
            "the private key in %s is encrypted and no passphrase was given" % source)
    try:
        return serialization.load_pem_private_key(
            blocks[0], material.passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        problem = _key_problem(error, blocks[0])
    raise CertificateError("the private key in %s %s" % (source, problem))


def _key_problem(error, block):
    # type: (Exception, bytes) -> str
    """Return why a private key cannot be loaded."""
    is_unsupported = isinstance(error, UnsupportedAlgorithm) or _UNSUPPORTED.search(str(error))
    if not is_encrypted(block):
        return "is of a kind that is not supported here" if is_unsupported else "is garbage"
    if _has_usual_cipher(block) and not is_unsupported:
        return ("does not open with this passphrase: it is the wrong passphrase, or the key is "
                "damaged")
    # If OpenSSL 3 has not loaded old ciphers, they look like a wrong passphrase, too.
    name = _CIPHER.search(block)
    return (
        "is encrypted with a cipher that is not supported here%s%s. Encrypt it with another one: "
        "openssl pkey -in push.pem -aes256 -out new.pem (and -provider legacy -provider default, "
        "if OpenSSL 3 calls it unsupported)"
        % (" (%s)" % name.group(1).decode("ascii") if name else "",
           "" if is_unsupported else ", or this is the wrong passphrase"))


def _has_usual_cipher(block):
    # type: (bytes) -> bool
    if _CIPHER.search(block):
        return _USUAL_HEADERS.search(block) is not None
    try:
        content = der_of(block)
    except (TypeError, ValueError):
        return True  # The problem is not its cipher.
    return any(identifier in content for identifier in _USUAL_CIPHERS)


def _public_bytes(key):
    # type: (Any) -> bytes
    return bytes(key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
