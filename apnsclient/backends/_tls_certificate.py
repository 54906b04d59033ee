"""The provider's certificate of the back-ends that use pyOpenSSL, and of the asyncio client."""

from __future__ import absolute_import, division, print_function

import datetime
import hashlib
import logging

from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from .._compat import MYPY
from ..certificate import BaseCertificate
from . import _tls, _topics
from ._cache import Cache
from ._identity import Identity, Material, certificate_dates

if MYPY:
    from typing import Any, Optional, Tuple, Union

    Text = Union[str, bytes]

__all__ = ["TlsCertificate"]

_DEFAULT_TRUST = _tls.Trust()


class TlsCertificate(BaseCertificate):
    """A provider's certificate; see :class:`apnsclient.backends.stdio.Certificate`."""

    #: Logger for the warning about a certificate that is not valid now; a subclass has its own.
    logger = logging.getLogger(__name__)

    def load_context(self, cert_string=None, cert_file=None, key_string=None, key_file=None,
                     passphrase=None):
        # type: (Optional[Text], Optional[str], Optional[Text], Optional[str], Optional[Text]) -> Tuple[Any, Any]
        """Load certificate and key; see the base class."""
        material = Material(cert_string, cert_file, key_string, key_file, passphrase)
        identity = Identity(material)
        identity.install(SSL.Context(SSL.TLS_CLIENT_METHOD))  # So that errors are raised here.
        problem = identity.validity_problem()
        if problem is not None:
            self.logger.warning("The certificate of %s %s; the server will refuse it.",
                                identity.certificate.subject.rfc4514_string(), problem)
        #: Digest of all texts that it was loaded from.
        self.content_digest = material.digest()
        self._contexts = Cache(8)
        named = _topics.subject_topics(identity.certificate)
        self._default_topic = _topics.default_topic(identity.certificate)
        self._topics = tuple(named + [
            topic for topic in _topics.extension_topics(identity.certificate)
            if topic not in named])
        return identity, identity.certificate

    @property
    def topics(self):
        # type: () -> Tuple[str, ...]
        """Topics that Apple has issued the certificate for: that of the subject first."""
        return self._topics

    @property
    def default_topic(self):
        # type: () -> Optional[str]
        """The only topic of the subject, or None; with ``.voip`` if the certificate is for VoIP."""
        return self._default_topic

    @property
    def environments(self):
        # type: () -> Tuple[str, ...]
        """Apple's environments that it is for: ``"sandbox"``, ``"production"``, both, or none."""
        return tuple(_topics.environments(self.identity.certificate))

    @property
    def valid_from(self):
        # type: () -> datetime.datetime
        """First moment of validity (``datetime`` in UTC without a time zone)."""
        return certificate_dates(self.identity.certificate)[0]

    @property
    def expires(self):
        # type: () -> datetime.datetime
        """Last moment of validity (``datetime`` in UTC without a time zone)."""
        return certificate_dates(self.identity.certificate)[1]

    @property
    def identity(self):
        # type: () -> Identity
        """Certificate, chain and key as objects of ``cryptography``."""
        identity = self._context  # type: Identity
        return identity

    def dump_certificate(self, raw):
        # type: (Any) -> bytes
        """Return the certificate, without its key, in PEM format."""
        return bytes(raw.public_bytes(serialization.Encoding.PEM))

    def dump_digest(self, raw, digest):
        # type: (Any, str) -> bytes
        """Return the digest of the certificate's DER encoding; see the base class."""
        return hashlib.new(digest, raw.public_bytes(serialization.Encoding.DER)).digest()

    def get_context(self, trust=None, alpn=()):
        # type: (Optional[_tls.Trust], Tuple[str, ...]) -> SSL.Context
        """Return an ``OpenSSL.SSL.Context`` that presents this certificate.

        It is created once for each pair of arguments, because that takes milliseconds.

        :param trust: the Trust; by default the authorities in the system's store.
        :param alpn: names of the protocols to offer (tuple of str).
        """
        trust = _DEFAULT_TRUST if trust is None else trust
        return self._contexts.get_or_make(
            (trust, alpn), lambda: trust.new_context(self.identity, alpn))
