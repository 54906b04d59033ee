"""The provider's signing key: makes the tokens that stand where a certificate stands.

A provider token is a JSON Web Token, signed with ES256, that goes with each request. Apple takes it
for one hour from its time of issue, and takes a new one on the same connection no more often than
once in 20 minutes (Apple, *Establishing a token-based connection to APNs*). Two measures keep both
limits without any word between threads, connections or processes:

- The time of issue is the last half hour that began at least five minutes ago. All who hold the
  same key thus make the same token; where the signature is deterministic (RFC 6979), to the byte.
  As long as it is the current one, a token is 5 to 35 minutes old.
- A connection keeps its token for at least 21 minutes, counted by a clock that nobody sets, and
  only then looks for another one. So a token in use is 5 to 56 minutes old.

A clock that is four minutes slow or five minutes fast does no harm. If it is slower, Apple refuses
the token as expired. It is then made anew with the time of issue that the clock shows, which is
good as long as the clock is less than an hour slow. A clock that jumps changes no token before its
21 minutes are over; one that stands still does not keep it longer than 56 minutes.

The signature is deterministic with ``cryptography`` 43 and newer on OpenSSL 3.2 and newer, which
there are for Python 3.7 and newer. Elsewhere two processes make tokens that differ in the
signature, of the same time of issue; Apple counts changes on each connection, so that works, too.
"""

from __future__ import absolute_import, division, print_function

import base64
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
#: Least age of a token, in seconds, by which the clock may be fast.
MARGIN = 300
#: Seconds that a connection keeps a token at least. Apple wants 1200; requests may take their time
#: to get there.
HOLD = 1260
#: Seconds from the time of issue after which a connection uses a token no longer.
OLDEST = MARGIN + BUCKET + HOLD

#: Most tokens that are remembered.
_KEPT = 4
#: Most characters of an identifier; Apple's have 10.
_LONGEST_IDENTIFIER = 100
_IDENTIFIER = re.compile("[!-~]{1,%d}\\Z" % _LONGEST_IDENTIFIER)


class ProviderToken(BaseCertificate):
    """A key of the developer's account that signs provider tokens; use it like a certificate.

    Give it to :meth:`~apnsclient.transport.Session.get_connection` as ``certificate``. It is good
    for all applications of the team, so that each message names its ``apns_topic``. It may be used
    from many threads, and in forked children, which make the same tokens as their parent.

    Two of them are equal if identifiers and key are. The key is never in a message or a ``repr``,
    and it cannot be pickled: make another one where it is needed.

    :param key_id: identifier of the key, as Apple's page names it: 10 characters (str).
    :param team_id: identifier of the team, likewise (str).
    :param key_string: text of the .p8 file with the private key (str or bytes), also as it comes
        out of an environment variable, with other line breaks or none.
    :param key_file: name of that file; one of the two is needed, and the file is used where both
        are given.
    :param clock: returns the time in seconds since 1970; for tests.
    :raises ~apnsclient.errors.CertificateError: if an argument is missing, or if the key is no
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
        # How often a token was refused, by token.
        self._refusals = OrderedDict()  # type: OrderedDict[bytes, int]
        self._locks = PerProcess()
        super(ProviderToken, self).__init__(key_string=key_string, key_file=key_file)

    def load_context(self, cert_string=None, cert_file=None, key_string=None, key_file=None,
                     passphrase=None):
        # type: (Optional[Text], Optional[str], Optional[Text], Optional[str], Optional[Text]) -> Tuple[Any, Any]
        """Load the key; a handshake needs nothing of it, so that the context is None."""
        self._key = _load_key(*_read(key_string, key_file))
        return None, self._key

    def dump_certificate(self, raw):
        # type: (Any) -> bytes
        """Return the identifiers and the public half of the key, for comparison."""
        from cryptography.hazmat.primitives import serialization

        public = bytes(raw.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
        return json.dumps([self.key_id, self.team_id]).encode("ascii") + public

    def dump_digest(self, raw, digest):
        # type: (Any, str) -> bytes
        """Return a digest of the same."""
        return hashlib.new(digest, self.dump_certificate(raw)).digest()

    @property
    def source_name(self):
        # type: () -> str
        """Name of the team, for a store of feedback: the same in every process."""
        return "team " + self.team_id

    def bearer(self):
        # type: () -> bytes
        """Return the current token as the value of a header: ``b"bearer ..."``.

        Requests over one connection take theirs from :meth:`new_bearer`, which does not change it
        more often than Apple allows.
        """
        return self._current()[0]

    def new_bearer(self):
        # type: () -> Bearer
        """Return what gives one connection its tokens."""
        return Bearer(self)

    def renew(self, refused):
        # type: (bytes) -> None
        """Let the next :meth:`bearer` be another token than one that Apple says has expired.

        The time of issue is now, by the clock. However many report the same token, there is one new
        one; it is used until a half hour that began after it is current.

        :param refused: value of the header that was refused (bytes).
        """
        with self._lock():
            now = self._clock()
            issued = self._issue_time(now)
            if self._bearer_of(issued) != refused:
                return
            # Within the same second it would be the same token again.
            self._renewed = max(int(now), issued + 1)

    def refuse(self, token):
        # type: (bytes) -> None
        """Note that the server has refused a token: what has it by now is of no use any more.

        It may still be the current one, and another connection may be asked.

        :param token: value of the header that was refused (bytes).
        """
        with self._lock():
            self._refusals[token] = self._refusals.pop(token, 0) + 1
            while len(self._refusals) > _KEPT:
                self._refusals.popitem(last=False)

    def count_refusals(self, token):
        # type: (bytes) -> int
        """Return how often a token was refused, as far as that is remembered."""
        return self._refusals.get(token, 0)

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
        """Return the token of a time of issue; one and the same to all threads."""
        token = self._tokens.get(issued)
        if token is None:
            # Signatures may differ; dict.setdefault is atomic, so that all get the first one.
            token = self._tokens.setdefault(issued, self._sign(issued))
            if len(self._tokens) > _KEPT:
                by_distance = sorted(list(self._tokens), key=lambda other: abs(other - issued))
                for other in by_distance[_KEPT:]:
                    self._tokens.pop(other, None)
        return token

    def _sign(self, issued):
        # type: (int) -> bytes
        # The order of the keys is always the same, whatever that of a dict is.
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
        raise TypeError("a ProviderToken holds a private key and is not pickled or copied; make "
                        "another one from key_id, team_id and key where it is needed")

    def __repr__(self):
        # type: () -> str
        return "<%s.%s: key %s of team %s>" % (
            type(self).__module__, type(self).__name__, self.key_id, self.team_id)


class Bearer(object):
    """Gives one connection its tokens: none for less than 21 minutes, none older than 56.

    It is used by one thread at a time, like the connection.

    :param provider: the :class:`ProviderToken`.
    :param clock: returns seconds on a clock that is never set; for tests.
    """

    def __init__(self, provider, clock=monotonic):
        # type: (ProviderToken, Callable[[], float]) -> None
        self._provider = provider
        self._clock = clock
        self._token = None  # type: Optional[bytes]
        self._keep_until = self._drop_at = 0.0
        self._refusals = 0

    @property
    def is_refused(self):
        # type: () -> bool
        """True if its token was refused since it has it, here or over another connection.

        Apple does not allow this connection another one for a while.
        """
        return (self._token is not None
                and self._provider.count_refusals(self._token) > self._refusals)

    def refuse(self):
        # type: () -> None
        """Note that the server has refused its token."""
        if self._token is not None:
            self._provider.refuse(self._token)

    def current(self):
        # type: () -> bytes
        """Return the token for the next request as the value of a header: ``b"bearer ..."``."""
        now = self._clock()
        if self._token is not None and now < self._keep_until:
            return self._token
        token, age = self._provider._current()
        if token == self._token and now >= self._drop_at:
            # The time of day does not move on as it should.
            self._provider.renew(token)
            token, age = self._provider._current()
        if token != self._token:
            self._token = token
            self._refusals = self._provider.count_refusals(token)
            self._keep_until = now + HOLD
            self._drop_at = now + max(HOLD, OLDEST - age)
        return token


def _identifier(name, value):
    # type: (str, Any) -> str
    """Return an identifier as str; a wrong one may be a key and is not repeated."""
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
    """Return the content of ``key_string`` or ``key_file``, and what to call it in messages."""
    if not (is_given(text) or is_given(path)):
        raise CertificateError("no key given: set key_string to the text of the .p8 file, or "
                               "key_file to its name")
    return read_source("key", text, path)


def _load_key(pem, source):
    # type: (bytes, str) -> Any
    """Return the private key; see :class:`ProviderToken` for what is refused."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    blocks = keys_in(pem)
    if not blocks:
        found = describe_instead(pem, source) or " (-----BEGIN PRIVATE KEY-----)"
        raise CertificateError("%s holds no private key in PEM format%s. Expected the .p8 file "
                               "that Apple gave out once" % (source, found))
    if is_encrypted(blocks[0]):
        raise CertificateError("the private key in %s is encrypted, expected the .p8 file as Apple "
                               "gave it out" % source)
    key = None  # type: Any
    try:
        key = serialization.load_pem_private_key(blocks[0], None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        pass  # Raised below, where nothing is chained to it.
    if key is None:
        raise CertificateError("the private key in %s is garbage" % source)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise CertificateError("the private key in %s is of another kind than ES256 needs, which "
                               "is EC on the curve P-256; expected the .p8 file that Apple gave "
                               "out" % source)
    return key


def _base64(data):
    # type: (bytes) -> bytes
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _signature(key, data):
    # type: (Any, bytes) -> bytes
    """Return the ES256 signature (RFC 7518, 3.4), deterministic where the library can do that."""
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
    """Return a number as 32 bytes, the first one first."""
    return bytes(bytearray.fromhex(u"%064x" % number))
