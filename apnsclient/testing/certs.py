"""A certificate authority that issues certificates on demand, for tests.

Nothing is read from or written to a file: certificates and keys are PEM text. Keys are elliptic
(P-256) by default, because these take well under a millisecond to generate. Certificates have the
extensions that strict verifiers require (key identifiers, key usage, basic constraints), so they
are rejected only for reasons that a test has chosen.

Needs the library ``cryptography``, which pyOpenSSL depends on.
"""

from __future__ import absolute_import, division, print_function

import datetime
import ipaddress
import time
from collections import namedtuple

import six
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .._compat import MYPY

if MYPY:
    from typing import Any, Iterable, List, Optional, Tuple, Union

    Text = Union[str, bytes]

__all__ = ["Authority", "Credential", "ENVIRONMENT_EXTENSIONS", "TOPICS_EXTENSION", "decode_topics"]

#: Extension of Apple's push certificates with the topics, as a dotted number.
TOPICS_EXTENSION = "1.2.840.113635.100.6.3.6"
#: Extensions for the environments that such a certificate is for.
ENVIRONMENT_EXTENSIONS = {
    "1.2.840.113635.100.6.3.1": "sandbox",
    "1.2.840.113635.100.6.3.2": "production",
}

_SEQUENCE, _UTF8_STRING, _NULL = 0x30, 0x0C, b"\x05\x00"

_DAY = datetime.timedelta(days=1)
_USAGES = {
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
}


class Credential(namedtuple("Credential", "certificate_string key_string")):
    """A certificate and its private key, both PEM text (str). Immutable.

    The representation contains neither, so that no key ends up in a log.
    """

    __slots__ = ()

    @property
    def pem(self):
        # type: () -> str
        """Certificate and key in one PEM text, for ``cert_string`` or a ``.pem`` file."""
        return self.certificate_string + self.key_string

    def __repr__(self):
        # type: () -> str
        return "<Credential>"


class Authority(object):
    """A certificate authority with its own key. Valid from yesterday, for ten years.

    Two authorities never trust one another's certificates, whatever their names. May be used by
    many threads.

    :param common_name: name of the authority (str), shown in error messages of TLS libraries.
    :param key: ``"ec"`` for a P-256 key, ``"rsa"`` for 2048 bits.
    :param issuer: Authority that signs this one's certificate, which is an intermediate then: a
        peer that trusts the issuer needs it for verification. None creates a self-signed one. An
        intermediate cannot issue another one.
    :param loaded: certificate and private key to use in place of new ones; see :meth:`load`.
    :raises ValueError: if ``key`` is neither.
    """

    def __init__(self, common_name="apnsclient test authority", key="ec", issuer=None,
                 loaded=None):
        # type: (Text, str, Optional[Authority], Optional[Tuple[Any, Any]]) -> None
        if loaded is not None:
            self._certificate, self._key = loaded
            self._name = self._certificate.subject
            return
        self._name = _subject(common_name, None)
        self._key = _new_key(key)
        self._certificate = (self if issuer is None else issuer).certify(
            self._name, self._key.public_key(), is_intermediate=issuer is not None)

    @classmethod
    def load(cls, certificate_string, key_string):
        # type: (Text, Text) -> Authority
        """Return an authority that was created before, so that its certificates stay valid.

        :param certificate_string: its :attr:`ca_string` (str or bytes).
        :param key_string: its :attr:`key_string` (str or bytes).
        :raises ValueError: if one of them cannot be read, or they do not belong together.
        """
        certificate = x509.load_pem_x509_certificate(
            six.ensure_binary(certificate_string), default_backend())
        try:
            key = serialization.load_pem_private_key(
                six.ensure_binary(key_string), None, default_backend())
        except TypeError:
            six.raise_from(ValueError("the key is encrypted"), None)
        if _public_bytes(key) != _public_bytes(certificate):
            raise ValueError("the key is the key of another certificate")
        return cls(loaded=(certificate, key))

    def certify(self, name, public_key, is_intermediate):
        # type: (Any, Any, bool) -> Any
        """Return a certificate of an authority, as ``cryptography`` has it.

        :param name: subject (``x509.Name``).
        :param public_key: its public key.
        :param is_intermediate: False for this authority itself.
        """
        now = _utc_now()
        builder = _builder(name, self._name, public_key, now - _DAY, now + 3650 * _DAY)
        builder = builder.add_extension(x509.BasicConstraints(
            ca=True, path_length=0 if is_intermediate else 1), critical=True)
        builder = builder.add_extension(_key_usage(authority=True), critical=True)
        if is_intermediate:
            builder = builder.add_extension(self._key_identifier(), critical=False)
        return self._sign(builder)

    @property
    def key_string(self):
        # type: () -> str
        """Its private key as PEM text, for :meth:`load`."""
        return _key_pem(self._key, None)

    @property
    def ca_string(self):
        # type: () -> str
        """The authority's certificate as PEM text, for verifiers."""
        return _certificate_pem(self._certificate)

    @property
    def not_after(self):
        # type: () -> datetime.datetime
        """End of its validity (UTC, without a time zone)."""
        end = (self._certificate.not_valid_after_utc
               if hasattr(self._certificate, "not_valid_after_utc")
               else self._certificate.not_valid_after)
        return _naive_utc(end)  # type: ignore[return-value]

    def issue(self, common_name, dns=(), addresses=(), not_before=None, not_after=None,
              usage="client", key="ec", topic=None, passphrase=None, topics=(), environments=()):
        # type: (Text, Iterable[Text], Iterable[Text], Optional[datetime.datetime], Optional[datetime.datetime], str, str, Optional[Text], Optional[Text], Iterable[Text], Iterable[str]) -> Credential
        """Issue a certificate with a new key.

        :param common_name: common name of the subject (str).
        :param dns: host names that the certificate is for (iterable of str).
        :param addresses: IP addresses that it is for (iterable of str, version 4 or 6).
        :param not_before: start of validity (``datetime``; UTC if it has no time zone). Default:
            one day ago, or one day before ``not_after`` if that is earlier.
        :param not_after: end of validity. Default: in one year, or one day after ``not_before`` if
            that is later.
        :param usage: ``"client"`` or ``"server"``.
        :param key: ``"ec"`` for a P-256 key, ``"rsa"`` for 2048 bits.
        :param topic: user identifier of the subject (str), which is the topic in Apple's push
            certificates; None leaves it out.
        :param passphrase: encrypts the private key (str or bytes); None does not encrypt it.
        :param topics: topics in Apple's extension (iterable of str); empty leaves it out.
        :param environments: ``"sandbox"``, ``"production"`` or both, each of which becomes one of
            Apple's extensions (iterable of str).
        :return: a :class:`Credential`.
        :raises ValueError: if ``usage``, ``key``, an address, an environment or the period of
            validity is invalid.
        """
        if usage not in _USAGES:
            raise ValueError("usage is %r, expected one of: client, server" % (usage,))
        begin, end = _period(not_before, not_after)
        private = _new_key(key)
        builder = _builder(_subject(common_name, topic), self._name, private.public_key(),
                           begin, end)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([_USAGES[usage]]), critical=False)
        builder = builder.add_extension(self._key_identifier(), critical=False)
        names = [x509.DNSName(six.ensure_text(name)) for name in dns]  # type: List[Any]
        names += [x509.IPAddress(ipaddress.ip_address(six.ensure_text(address)))
                  for address in addresses]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        for extension in _apple_extensions(topics, environments):
            builder = builder.add_extension(extension, critical=False)
        return Credential(_certificate_pem(self._sign(builder)), _key_pem(private, passphrase))

    def has_issued(self, certificate_string):
        # type: (Text) -> bool
        """Return True if the key of this authority has signed a certificate.

        :param certificate_string: the certificate in PEM format (str or bytes).
        :raises ValueError: if it cannot be read.
        """
        certificate = x509.load_pem_x509_certificate(
            six.ensure_binary(certificate_string), default_backend())  # type: Any
        public, digest = self._key.public_key(), certificate.signature_hash_algorithm
        scheme = [ec.ECDSA(digest)] if isinstance(public, ec.EllipticCurvePublicKey) else [
            padding.PKCS1v15(), digest]  # type: List[Any]
        try:
            public.verify(certificate.signature, certificate.tbs_certificate_bytes, *scheme)
        except InvalidSignature:
            return False
        return True

    def _key_identifier(self):
        # type: () -> Any
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    def _sign(self, builder):
        # type: (Any) -> Any
        return builder.sign(self._key, hashes.SHA256(), default_backend())

    def __repr__(self):
        # type: () -> str
        return "<Authority %s>" % self._name.rfc4514_string()


def _apple_extensions(topics, environments):
    # type: (Iterable[Text], Iterable[str]) -> List[Any]
    raw = [(number, _NULL) for number, name in sorted(ENVIRONMENT_EXTENSIONS.items())
           if name in environments]
    if len(raw) != len(set(environments)):
        raise ValueError("environments are %r, expected sandbox, production or both"
                         % (list(environments),))
    if topics:
        raw.append((TOPICS_EXTENSION, encode_topics(topics)))
    return [x509.UnrecognizedExtension(x509.ObjectIdentifier(number), value)
            for number, value in raw]


def encode_topics(topics):
    # type: (Iterable[Text]) -> bytes
    """Return the value of :data:`TOPICS_EXTENSION`: each topic and its kind, in DER."""
    content = b""
    for topic in topics:
        raw = six.ensure_binary(topic)
        kind = raw.rpartition(b".")[2] if raw.endswith((b".voip", b".complication")) else b"app"
        content += _der(_UTF8_STRING, raw) + _der(_SEQUENCE, _der(_UTF8_STRING, kind))
    return _der(_SEQUENCE, content)


def decode_topics(value):
    # type: (bytes) -> List[str]
    """Return the topics in the value of :data:`TOPICS_EXTENSION`.

    :raises ValueError: if it is malformed.
    """
    return [six.ensure_str(content) for tag, content in _der_items(_der_items(value)[0][1])
            if tag == _UTF8_STRING]


def _der(tag, content):
    # type: (int, bytes) -> bytes
    size = len(content)
    if size < 0x80:
        head = bytearray([tag, size])
    elif size < 0x100:
        head = bytearray([tag, 0x81, size])
    else:
        head = bytearray([tag, 0x82, size >> 8, size & 0xFF])
    return bytes(head) + content


def _der_items(value):
    # type: (bytes) -> List[Tuple[int, bytes]]
    """Return ``(tag, content)`` of each item in DER."""
    octets, items, position = bytearray(value), [], 0
    while position < len(octets):
        if position + 2 > len(octets):
            raise ValueError("the extension ends within an item")
        tag, size = octets[position], octets[position + 1]
        position += 2
        if size >= 0x80:
            count = size & 0x7F
            size = 0
            for octet in octets[position:position + count]:
                size = size << 8 | octet
            position += count
        items.append((tag, value[position:position + size]))
        position += size
        if position > len(octets):
            raise ValueError("the extension ends within an item")
    return items


def _utc_now():
    # type: () -> datetime.datetime
    # Whole seconds: certificates have no smaller unit.
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(time.time()))


def _period(not_before, not_after):
    # type: (Optional[datetime.datetime], Optional[datetime.datetime]) -> Tuple[datetime.datetime, datetime.datetime]
    begin, end = _naive_utc(not_before), _naive_utc(not_after)
    now = _utc_now()
    if begin is None:
        begin = (now if end is None else min(now, end)) - _DAY
    if end is None:
        end = max(now + 365 * _DAY, begin + _DAY)
    if end <= begin:
        raise ValueError("not_after is %s, expected later than not_before, which is %s"
                         % (end, begin))
    return begin, end


def _naive_utc(moment):
    # type: (Optional[datetime.datetime]) -> Optional[datetime.datetime]
    offset = None if moment is None else moment.utcoffset()
    if moment is None or offset is None:
        return moment
    return moment.replace(tzinfo=None) - offset


def _subject(common_name, topic):
    # type: (Text, Optional[Text]) -> Any
    names = [x509.NameAttribute(NameOID.COMMON_NAME, six.ensure_text(common_name))]
    if topic is not None:
        names.append(x509.NameAttribute(NameOID.USER_ID, six.ensure_text(topic)))
    return x509.Name(names)


def _builder(subject, issuer, public_key, not_before, not_after):
    # type: (Any, Any, Any, datetime.datetime, datetime.datetime) -> Any
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(public_key).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(not_before).not_valid_after(not_after)
    return builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)


def _key_usage(authority):
    # type: (bool) -> Any
    return x509.KeyUsage(
        digital_signature=not authority, content_commitment=False, key_encipherment=not authority,
        data_encipherment=False, key_agreement=False, key_cert_sign=authority, crl_sign=authority,
        encipher_only=False, decipher_only=False)


def _new_key(kind):
    # type: (str) -> Any
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1(), default_backend())
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048, default_backend())
    raise ValueError("key is %r, expected one of: ec, rsa" % (kind,))


def _certificate_pem(certificate):
    # type: (Any) -> str
    return six.ensure_str(certificate.public_bytes(serialization.Encoding.PEM))


def _public_bytes(owner):
    # type: (Any) -> bytes
    """Return the public key of a certificate or a private key, for comparison."""
    return bytes(owner.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def _key_pem(private, passphrase):
    # type: (Any, Optional[Text]) -> str
    if passphrase is None:
        encryption = serialization.NoEncryption()  # type: Any
    else:
        encryption = serialization.BestAvailableEncryption(six.ensure_binary(passphrase))
    return six.ensure_str(private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
