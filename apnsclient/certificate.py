"""The provider's certificate: loaded by a back-end, and a part of the pool's key.

A certificate is identified by its content, not by the object or the file: two loads of the same PEM
share one pool of connections. By default only a digest of the content is kept for the comparison.
"""

from __future__ import absolute_import, division, print_function

import datetime
import hashlib
import time

from ._compat import MYPY
from ._files import is_given

if MYPY:
    from typing import Any, Optional, Tuple, Union

    Text = Union[str, bytes]

__all__ = ["BaseCertificate"]


class BaseCertificate(object):
    """A provider's certificate with its private key, loaded with the TLS library of a back-end.

    A subclass implements :meth:`load_context`, :meth:`dump_certificate` and :meth:`dump_digest`.
    This constructor calls them, so a subclass sets the attributes that they need before it calls
    the constructor. All arguments are passed to :meth:`load_context` unchanged, except that an
    empty text becomes None; its exceptions pass through.

    :param cert_string: certificate in PEM format (str or bytes); it may contain the key as well.
    :param cert_file: name of a file with the same; one of the two is needed. If both are given,
        here and for the key, the back-ends of this package use the file.
    :param key_string: private key in PEM format (str or bytes), if not with the certificate.
    :param key_file: name of a file with the same.
    :param passphrase: passphrase of the private key (str or bytes).
    """

    #: Name of the digest that certificates are compared by (lower case, as OpenSSL names it).
    #: With None the whole dump is compared, and kept in memory.
    equality_check = "sha1"  # type: Optional[str]

    def __init__(self, cert_string=None, cert_file=None, key_string=None, key_file=None,
                 passphrase=None):
        # type: (Optional[Text], Optional[str], Optional[Text], Optional[str], Optional[Text]) -> None
        self._context, raw = self.load_context(
            cert_string=_given(cert_string), cert_file=_given(cert_file),
            key_string=_given(key_string), key_file=_given(key_file),
            passphrase=_given(passphrase))
        if self.equality_check is None:
            self.__identity = self.dump_certificate(raw)
        else:
            self.__identity = self.dump_digest(raw, self.equality_check)

    def load_context(self, cert_string=None, cert_file=None, key_string=None, key_file=None,
                     passphrase=None):
        # type: (Optional[Text], Optional[str], Optional[Text], Optional[str], Optional[Text]) -> Tuple[Any, Any]
        """Load certificate and key; the arguments are those of the constructor.

        :return: ``(context, raw)``: the return value of :meth:`get_context`, and the certificate in
            a form that the two ``dump_`` methods understand. ``raw`` is not kept.
        :raises ~apnsclient.errors.CertificateError: if certificate or key cannot be used. The
            message says why, and never contains the key or the passphrase.
        """
        raise NotImplementedError("%s must implement load_context()" % type(self).__name__)

    def dump_certificate(self, raw):
        # type: (Any) -> bytes
        """Return the whole certificate as bytes, for comparison (``equality_check = None``)."""
        raise NotImplementedError("%s must implement dump_certificate()" % type(self).__name__)

    def dump_digest(self, raw, digest):
        # type: (Any, str) -> bytes
        """Return the digest of the certificate, for comparison.

        :param raw: certificate as :meth:`load_context` returned it.
        :param digest: name of the digest (str), the value of :attr:`equality_check`.
        """
        raise NotImplementedError("%s must implement dump_digest()" % type(self).__name__)

    def get_context(self):
        # type: () -> Any
        """Return the context of :meth:`load_context`: what a connection needs for its handshake."""
        return self._context

    @property
    def topics(self):
        # type: () -> Tuple[str, ...]
        """Topics that the certificate is for, if the back-end knows them; by default none.

        A topic identifies an application to Apple, and is most often its bundle identifier.
        """
        return ()

    @property
    def default_topic(self):
        # type: () -> Optional[str]
        """Topic of messages over HTTP/2 that have none, or None if each message needs one.

        By default the only one in :attr:`topics`, or None if there are none or several.
        """
        return self.topics[0] if len(self.topics) == 1 else None

    @property
    def environments(self):
        # type: () -> Tuple[str, ...]
        """Apple's environments that the certificate is for, if the back-end knows them.

        They are ``"sandbox"``, ``"production"`` or both; by default none.
        """
        return ()

    @property
    def valid_from(self):
        # type: () -> Optional[datetime.datetime]
        """First moment of validity (``datetime`` in UTC without a time zone), or None if unknown.

        By default None.
        """
        return None

    @property
    def expires(self):
        # type: () -> Optional[datetime.datetime]
        """Last moment of validity; see :attr:`valid_from`. None also for what never expires."""
        return None

    @property
    def days_left(self):
        # type: () -> Optional[int]
        """Whole days until it expires (int), negative if it has expired; or None."""
        end = self.expires
        if end is None:
            return None
        now = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(time.time()))
        return (end - now).days

    @property
    def source_name(self):
        # type: () -> str
        """Name of the application for a feedback store: the same in every process.

        It is :attr:`default_topic`, which a renewed certificate has as well, or else a digest of
        the content of the certificate.
        """
        return self.default_topic or hashlib.sha256(self.__identity).hexdigest()

    def __eq__(self, other):
        # type: (object) -> bool
        if not isinstance(other, BaseCertificate):
            return NotImplemented
        return (self.equality_check == other.equality_check
                and bool(self.__identity == other.__identity))

    def __ne__(self, other):
        # type: (object) -> bool
        return not self == other

    def __hash__(self):
        # type: () -> int
        return hash(self.__identity)

    def __repr__(self):
        # type: () -> str
        return "<%s.%s>" % (type(self).__module__, type(self).__name__)


def _given(value):
    # type: (Any) -> Any
    return value if is_given(value) else None
