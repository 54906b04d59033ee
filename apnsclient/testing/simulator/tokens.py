"""Provider tokens as Apple checks them: signature, key, team, age, and how often they change.

A provider token is a JSON Web Token that its owner signs with a key from Apple (ES256). It is good
for an hour from its time of issue, and a connection must not change it more than once in 20
minutes: Apple, *Establishing a token-based connection to APNs*.
"""

from __future__ import absolute_import, division, print_function

import threading
from collections import namedtuple

import six
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ..._compat import MYPY
from ..._extras import not_installed

if MYPY:
    from typing import Any, Callable, Dict, Iterable, Optional, Tuple, Union

    from .provider_head import Head

__all__ = ["ProviderKeys", "TokenCaller", "load_jwt", "load_key"]

#: Seconds for which a token is good after its issue.
LIFETIME = 3600
#: Seconds by which a token may be issued in the future: clocks differ.
LARGEST_SKEW = 60
#: Seconds that a connection has to keep a token. Both ends count them, so one is allowed for.
SHORTEST_USE = 20 * 60 - 1
#: Tokens whose signature has been checked, at most so many.
_KEPT_TOKENS = 1024

_SCHEME = b"bearer "

EXPIRED = "ExpiredProviderToken"
INVALID = "InvalidProviderToken"
MISSING = "MissingProviderToken"
OFTEN = "TooManyProviderTokenUpdates"
UNRELATED_KEY = "UnrelatedKeyIdInToken"
#: As servers have been seen to spell it; Apple's page has BadEnvironmentKeyIdInToken.
WRONG_ENVIRONMENT = "BadEnvironmentKeyInToken"

#: A key of a team: what it is called, whose it is, its public half, the one environment that it is
#: for (``"sandbox"`` or ``"production"``, None for both), the topics that it may push to (None for
#: all), and the name of the key that it takes turns with (None if there is none).
ProviderKey = namedtuple("ProviderKey", "key_id team_id public environment topics related")

#: A token whose signature is good: its key, and the time of issue in seconds since 1970.
_Token = namedtuple("_Token", "key issued")


def load_jwt():
    # type: () -> Any
    """Return the library PyJWT.

    :raises ImportError: with what to install, if it is not there.
    """
    try:
        import jwt
    except ImportError as error:
        raise not_installed("the simulator", "testing", error)
    return jwt


class ProviderKeys(object):
    """The keys that Apple has given to teams. May be used from many threads."""

    def __init__(self):
        # type: () -> None
        self._lock = threading.Lock()
        self._keys = {}  # type: Dict[str, ProviderKey]
        self._checked = {}  # type: Dict[bytes, Union[str, _Token]]

    def add(self, key_id, team_id, environment=None, topics=None, key_string=None, related=None):
        # type: (str, str, Optional[str], Optional[Iterable[str]], Optional[str], Optional[str]) -> str
        """Add a key, and make it unless it is given; one of the same name is replaced.

        :return: the private key as PEM text, as Apple's .p8 files hold it.
        :raises ValueError: if ``environment`` is none, the key is of no use, or there is no related
            one of that name.
        """
        if related is not None and related not in self._keys:
            raise ValueError("there is no key %r that this one could be related to" % (related,))
        if environment not in (None, "sandbox", "production"):
            raise ValueError("environment is %r, expected sandbox, production or None"
                             % (environment,))
        private = _new_key() if key_string is None else load_key(key_string)
        with self._lock:
            self._keys[key_id] = ProviderKey(
                key_id, team_id, private.public_key(), environment,
                None if topics is None else frozenset(topics), related)
            self._checked.clear()
        return six.ensure_str(private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))

    def remove(self, key_id):
        # type: (str) -> None
        """Revoke a key: tokens that it signed are not valid any more."""
        with self._lock:
            self._keys.pop(key_id, None)
            self._checked.clear()

    def check(self, authorization):
        # type: (bytes) -> Union[str, _Token]
        """Return the token in the value of an authorization header, or the reason against it."""
        found = self._checked.get(authorization)
        if found is None:
            found = self._check(authorization)
            with self._lock:
                if len(self._checked) >= _KEPT_TOKENS:
                    self._checked.clear()
                self._checked[authorization] = found
        return found

    def _check(self, authorization):
        # type: (bytes) -> Union[str, _Token]
        if authorization[:len(_SCHEME)].lower() != _SCHEME:
            return INVALID
        jwt = load_jwt()
        token = authorization[len(_SCHEME):].strip()
        try:
            text = token.decode("ascii")
            key = self._keys.get(jwt.get_unverified_header(text).get("kid"))
            if key is None:
                return INVALID
            # Age is judged at each request, since it depends on the time.
            claims = jwt.decode(text, key.public, algorithms=["ES256"],
                                options={"verify_iat": False, "verify_aud": False,
                                         "verify_nbf": False, "verify_exp": False})
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RuntimeError):
            return INVALID
        issued = claims.get("iat")
        if claims.get("iss") != key.team_id or isinstance(issued, bool) or not isinstance(
                issued, six.integer_types + (float,)):
            return INVALID
        return _Token(key, issued)


def _new_key():
    # type: () -> Any
    return ec.generate_private_key(ec.SECP256R1(), default_backend())


def load_key(key_string):
    # type: (str) -> Any
    """Return the private key that a PEM text holds.

    :raises ValueError: if it holds none on the curve P-256.
    """
    try:
        private = serialization.load_pem_private_key(
            six.ensure_binary(key_string), None, default_backend())  # type: Any
    except (TypeError, ValueError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
        raise ValueError("it holds no private key in PEM format that is EC on the curve P-256")
    return private


class TokenCaller(object):
    """Who calls on a connection without a client certificate: whoever its tokens say.

    :param keys: :class:`ProviderKeys`.
    :param environment: ``"sandbox"`` or ``"production"``, which this is.
    :param clock: returns the time in seconds since 1970.

    :ivar is_proven: whether a request with a valid token has come.
    """

    #: Each push has to name its topic.
    default_topic = None  # type: Optional[str]

    def __init__(self, keys, environment, clock):
        # type: (ProviderKeys, str, Callable[[], float]) -> None
        self.is_proven = False
        self._keys = keys
        self._environment = environment
        self._clock = clock
        #: The token of each key that is used, and since when.
        self._used = {}  # type: Dict[str, Tuple[bytes, float]]
        #: The keys of the first token and of the last one.
        self._first = self._key = None  # type: Optional[ProviderKey]

    def judge(self, head):
        # type: (Head) -> Optional[str]
        """Decide about a push to a device.

        :param head: its header.
        :return: the reason against it, None if there is none.
        """
        reason = self.authenticate(head.authorization)
        if reason is not None:
            return reason
        if head.topic is None:
            return "MissingTopic"
        return None if self.allows(head.topic) else "TopicDisallowed"

    def authenticate(self, authorization):
        # type: (Optional[bytes]) -> Optional[str]
        """Return the reason against who calls, None if there is none.

        :param authorization: value of the authorization header of a request, None without one.
        """
        if authorization is None:
            return MISSING
        token = self._keys.check(authorization)
        if not isinstance(token, _Token):
            return str(token)
        now = self._clock()
        reason = self._judge_token(token, now)
        used = self._used.get(token.key.key_id)
        if reason is None and (used is None or used[0] != authorization):
            # A key that is related has tokens of its own, so that the two can take turns.
            if used is not None and now - used[1] < SHORTEST_USE:
                return OFTEN
            self._used[token.key.key_id] = authorization, now
        if reason is None:
            self.is_proven = True
            self._key = token.key
            self._first = self._first or token.key
        return reason

    def allows(self, topic):
        # type: (str) -> bool
        """Return True if the key of the last token is for a topic."""
        topics = self._key.topics if self._key is not None else None
        return topics is None or topic in topics

    def _judge_token(self, token, now):
        # type: (_Token, float) -> Optional[str]
        if now - token.issued > LIFETIME:
            return EXPIRED
        if token.issued - now > LARGEST_SKEW:
            return INVALID
        if token.key.environment not in (None, self._environment):
            return WRONG_ENVIRONMENT
        if self._first is not None and not _are_related(token.key, self._first):
            return UNRELATED_KEY
        return None


def _are_related(key, other):
    # type: (ProviderKey, ProviderKey) -> bool
    """Return True if two keys may be used over one connection.

    Apple, *Establishing a token-based connection to APNs*: a key for certain topics can have one
    that it is related to, and tokens of both are taken (read).
    """
    return key.key_id == other.key_id or (key.team_id == other.team_id and (
        key.related == other.key_id or other.related == key.key_id))
