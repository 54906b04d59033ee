"""The provider's signing key, which takes the place of a certificate by signing provider tokens.

A provider token is a JSON Web Token, signed with ES256, which is sent with each request. Apple
accepts it for one hour from its time of issue, and accepts a new one on the same connection at most
once in 20 minutes (Apple, *Establishing a token-based connection to APNs*). Two rules keep both
limits without any communication between threads, connections or processes:

- The time of issue is the start of the last half hour that began at least five minutes ago. So
  everything that uses the same key creates the same token, to the byte if the signature is
  deterministic (RFC 6979). While a token is the current one it is 5 to 35 minutes old.
- A connection keeps its token for at least 21 minutes, measured by a monotonic clock, before it
  takes another one. So a token in use is 5 to 56 minutes old.

A clock that is up to four minutes slow or five minutes fast does no harm. If it is slower, Apple
rejects the token as expired. Then a token is created whose time of issue is the current time by the
clock, which is valid as long as the clock is less than an hour slow. A clock that jumps changes no
token before its 21 minutes are over; one that stands still does not keep it for more than 56
minutes.

The signature is deterministic with ``cryptography`` 43 and newer on OpenSSL 3.2 and newer, which
are available for Python 3.7 and newer. Elsewhere the tokens of two processes have the same time of
issue and different signatures; Apple counts changes on each connection, so that works, too.
"""

from __future__ import absolute_import, division, print_function

import base64
import datetime
import hashlib
import json
import re
import threading
import time
from collections import OrderedDict

import six

from ._compat import MYPY, monotonic
from ._files import is_given, read_source
from ._formats import describe_instead
from ._pem import is_encrypted, keys_in
from ._process import PerProcess
from .certificate import BaseCertificate
from .errors import CertificateError

if MYPY:
    from typing import Any, Callable, Dict, Optional, Tuple, Union

    Text = Union[str, bytes]

__all__ = ["Bearer", "ProviderToken"]

#: Seconds between two times of issue.
BUCKET = 1800
#: Least age of a token in seconds, which is how much the clock may be fast.
MARGIN = 300
#: Seconds for which a connection keeps a token at least. Apple wants 1200; requests take some time
#: to arrive.
HOLD = 1260
#: Seconds from the time of issue for which Apple accepts a token.
LIFE = 3600
#: Seconds from the time of issue after which a connection no longer uses a token.
OLDEST = MARGIN + BUCKET + HOLD

_EPOCH = datetime.datetime(1970, 1, 1)
#: Most tokens that are kept.
_KEPT = 4
#: Most characters of an identifier; Apple's have 10.
_LONGEST_IDENTIFIER = 100
_IDENTIFIER = re.compile("[!-~]{1,%d}\\Z" % _LONGEST_IDENTIFIER)


class ProviderToken(BaseCertificate):
    """A key of the developer's account that signs provider tokens; use it like a certificate.

    Pass it to :meth:`~apnsclient.transport.Session.get_connection` as ``certificate``. It is valid
    for all applications of the team, so each message needs an ``apns_topic``. It may be used by
    many threads, and in forked children, which create the same tokens as their parent.

    Two provider tokens are equal if their identifiers and keys are. The key is never in a message
    or a ``repr``, and a provider token cannot be pickled: create another one where it is needed.

    :param key_id: identifier of the key, as Apple's page shows it: 10 characters (str).
    :param team_id: identifier of the team, as Apple's page shows it: 10 characters (str).
    :param key_string: text of the .p8 file with the private key (str or bytes); line breaks may
        have been changed or lost, as happens in environment variables.
    :param key_file: name of that file; one of the two is needed, and the file is used if both are
        given.
    :param clock: returns the time in seconds since 1970; for tests.
    :raises ~apnsclient.errors.CertificateError: if an argument is missing, or if the key is not a
        private key on the curve P-256. The message says which, and does not repeat the key.
    """

    equality_check = "sha256"

    def __init__(self, key_id=None, team_id=None, key_string=None, key_file=None, clock=time.time):
        # type: (Optional[Text], Optional[Text], Optional[Text], Optional[str], Callable[[], float]) -> None  # noqa: E501
        #: Identifier of the key (str).
        self.key_id = _identifier("key_id", key_id)
        #: Identifier of the team (str).
        self.team_id = _identifier("team_id", team_id)
        self._clock = clock
        self._tokens = {}  # type: Dict[int, bytes]
        self._renewed = None  # type: Optional[int]
        # How often a token was rejected, by token.
        self._rejections = OrderedDict()  # type: OrderedDict[bytes, int]
        self._locks = PerProcess()
        super(ProviderToken, self).__init__(key_string=key_string, key_file=key_file)

    def load_context(self, cert_string=None, cert_file=None, key_string=None, key_file=None,
                     passphrase=None):
        # type: (Optional[Text], Optional[str], Optional[Text], Optional[str], Optional[Text]) -> Tuple[Any, Any]
        """Load the key. The context is None, since a handshake does not use it."""
        self._key = _load_key(*_read(key_string, key_file))
        return None, self._key

    def dump_certificate(self, raw):
        # type: (Any) -> bytes
        """Return the identifiers and the public key, for comparison."""
        from cryptography.hazmat.primitives import serialization

        public = bytes(raw.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
        return json.dumps([self.key_id, self.team_id]).encode("ascii") + public

    def dump_digest(self, raw, digest):
        # type: (Any, str) -> bytes
        """Return a digest of :meth:`dump_certificate`."""
        return hashlib.new(digest, self.dump_certificate(raw)).digest()

    @property
    def source_name(self):
        # type: () -> str
        """Name of the team for a feedback store: the same in every process."""
        return "team " + self.team_id

    @property
    def token_issued(self):
        # type: () -> datetime.datetime
        """Time of issue of the current token (``datetime`` in UTC without a time zone)."""
        return _EPOCH + datetime.timedelta(seconds=self._issue_time(self._clock()))

    @property
    def token_expires(self):
        # type: () -> datetime.datetime
        """When Apple stops accepting the current token. Another one is current long before."""
        return self.token_issued + datetime.timedelta(seconds=LIFE)

    def bearer(self):
        # type: () -> bytes
        """Return the current token as the value of a header: ``b"bearer ..."``.

        Requests over a connection use :meth:`new_bearer`, which does not change the token more
        often than Apple allows.
        """
        return self._current()[0]

    def new_bearer(self):
        # type: () -> Bearer
        """Return the source of tokens for one connection."""
        return Bearer(self)

    def renew(self, rejected):
        # type: (bytes) -> None
        """Create a token in place of one that has expired according to Apple.

        Its time of issue is the current time, by the clock. If several connections report the same
        token, one token is created for all. It is used until a half hour that began later is
        current.

        :param rejected: value of the header that was rejected (bytes).
        """
        with self._lock():
            now = self._clock()
            issued = self._issue_time(now)
            if self._bearer_of(issued) != rejected:
                return
            # Within the same second it would be the same token again.
            self._renewed = max(int(now), issued + 1)

    def reject(self, token):
        # type: (bytes) -> None
        """Record that the server has rejected a token, so that connections with it are useless.

        It may still be the current token, and another connection may use it.

        :param token: value of the header that was rejected (bytes).
        """
        with self._lock():
            self._rejections[token] = self._rejections.pop(token, 0) + 1
            while len(self._rejections) > _KEPT:
                self._rejections.popitem(last=False)

    def count_rejections(self, token):
        # type: (bytes) -> int
        """Return how often a token was rejected, as far as that has been kept."""
        return self._rejections.get(token, 0)

    def _current(self):
        # type: () -> Tuple[bytes, float]
        """Return the current token, and how many seconds ago it was issued."""
        now = self._clock()
        issued = self._issue_time(now)
        return self._bearer_of(issued), max(now - issued, 0)

    def _issue_time(self, now):
        # type: (float) -> int
        """Return the time of issue of the token that is current, in seconds since 1970."""
        bucket = int((now - MARGIN) // BUCKET) * BUCKET
        renewed = self._renewed
        # The clock may have been set back since.
        if renewed is not None and bucket < renewed < now + MARGIN:
            return renewed
        return bucket

    def _bearer_of(self, issued):
        # type: (int) -> bytes
        """Return the token for a time of issue; the same object for all threads."""
        token = self._tokens.get(issued)
        if token is None:
            # Signatures may differ; dict.setdefault is atomic, so all threads get the first one.
            token = self._tokens.setdefault(issued, self._sign(issued))
            if len(self._tokens) > _KEPT:
                by_distance = sorted(list(self._tokens), key=lambda other: abs(other - issued))
                for other in by_distance[_KEPT:]:
                    self._tokens.pop(other, None)
        return token

    def _sign(self, issued):
        # type: (int) -> bytes
        # Written out, because the order of a dict's keys may vary.
        head = '{"alg":"ES256","kid":%s}' % json.dumps(self.key_id)
        claims = '{"iss":%s,"iat":%d}' % (json.dumps(self.team_id), issued)
        signed = _base64(head.encode("ascii")) + b"." + _base64(claims.encode("ascii"))
        return b"bearer " + signed + b"." + _base64(_signature(self._key, signed))

    def _lock(self):
        # type: () -> Any
        """Return the lock of this process."""
        return self._locks.get(threading.RLock)

    def __reduce_ex__(self, protocol):
        # type: (Any) -> Any
        raise TypeError("a ProviderToken has a private key and cannot be pickled or copied; create "
                        "another one from key_id, team_id and key where it is needed")

    def __repr__(self):
        # type: () -> str
        return "<%s.%s: key %s of team %s>" % (
            type(self).__module__, type(self).__name__, self.key_id, self.team_id)


class Bearer(object):
    """The tokens of one connection: each is used for at least 21 minutes, and until 56 minutes old.

    It is used by one thread at a time, like the connection.

    :param provider: the :class:`ProviderToken`.
    :param clock: a monotonic clock, in seconds; for tests.

    :ivar age: how old its token was when it took it, in seconds (float).
    """

    def __init__(self, provider, clock=monotonic):
        # type: (ProviderToken, Callable[[], float]) -> None
        self._provider = provider
        self._clock = clock
        self._token = None  # type: Optional[bytes]
        self._keep_until = self._drop_at = 0.0
        self._rejections = 0
        self.age = 0.0

    @property
    def is_rejected(self):
        # type: () -> bool
        """True if its token has been rejected since it took it, here or over another connection.

        Apple does not allow this connection another token for a while.
        """
        return (self._token is not None
                and self._provider.count_rejections(self._token) > self._rejections)

    def reject(self):
        # type: () -> None
        """Record that the server has rejected its token."""
        if self._token is not None:
            self._provider.reject(self._token)

    def current(self):
        # type: () -> bytes
        """Return the token for the next request as the value of a header: ``b"bearer ..."``."""
        now = self._clock()
        if self._token is not None and now < self._keep_until:
            return self._token
        token, age = self._provider._current()
        if token == self._token and now >= self._drop_at:
            # The clock of the system stands still.
            self._provider.renew(token)
            token, age = self._provider._current()
        if token != self._token:
            self._token, self.age = token, age
            self._rejections = self._provider.count_rejections(token)
            self._keep_until = now + HOLD
            self._drop_at = now + max(HOLD, OLDEST - age)
        return token


def _identifier(name, value):
    # type: (str, Any) -> str
    """Return an identifier as str; an invalid one may be a key and is not repeated."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    if isinstance(text, six.text_type) and _IDENTIFIER.match(text):
        return str(text)
    if value is None:
        found = "missing"
    elif isinstance(text, six.text_type):
        found = "another text, of %d characters" % len(text)
    else:
        found = "of type %s" % type(value).__name__
    raise CertificateError("%s is %s, expected the 10 letters and digits that Apple shows"
                           % (name, found))


def _read(text, path):
    # type: (Optional[Text], Any) -> Tuple[bytes, str]
    """Return the content of ``key_string`` or ``key_file``, and its name for messages."""
    if not (is_given(text) or is_given(path)):
        raise CertificateError("no key given: set key_string to the text of the .p8 file, or "
                               "key_file to its name")
    return read_source("key", text, path)


def _load_key(pem, source):
    # type: (bytes, str) -> Any
    """Return the private key; see :class:`ProviderToken` for the errors."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    blocks = keys_in(pem)
    if not blocks:
        found = describe_instead(pem, source) or " (-----BEGIN PRIVATE KEY-----)"
        raise CertificateError("%s holds no private key in PEM format%s. Expected the .p8 file "
                               "that Apple issued once" % (source, found))
    if is_encrypted(blocks[0]):
        raise CertificateError("the private key in %s is encrypted, expected the .p8 file as Apple "
                               "issued it" % source)
    key = None  # type: Any
    try:
        key = serialization.load_pem_private_key(blocks[0], None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        pass  # Raised below, so that no exception is chained to it.
    if key is None:
        raise CertificateError("the private key in %s is garbage" % source)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise CertificateError("the private key in %s is not for ES256, which needs EC on the "
                               "curve P-256; expected the .p8 file that Apple issued" % source)
    return key


def _base64(data):
    # type: (bytes) -> bytes
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _signature(key, data):
    # type: (Any, bytes) -> bytes
    """Return the ES256 signature (RFC 7518, 3.4), deterministic if the library supports that."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    try:
        encoded = key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    except (TypeError, UnsupportedAlgorithm):
        encoded = key.sign(data, ec.ECDSA(hashes.SHA256()))
    return b"".join(_bytes_of(number) for number in utils.decode_dss_signature(encoded))


def _bytes_of(number):
    # type: (int) -> bytes
    """Return a number as 32 bytes, big-endian."""
    return bytes(bytearray.fromhex(u"%064x" % number))
