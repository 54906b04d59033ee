"""The keys of provider tokens, and whether a token is signed with one of them.

A provider token is a JSON Web Token that its owner signs with a key from Apple (ES256): Apple,
*Establishing a token-based connection to APNs*.
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
    from typing import Any, Dict, Iterable, Optional, Union

__all__ = ["INVALID", "ProviderKeys", "SignedToken", "load_jwt", "load_key"]

#: No time in seconds since 1970 is as late.
_LATEST = 10 ** 15
#: Tokens whose signature has been checked, at most so many.
_KEPT_TOKENS = 1024

_SCHEME = b"bearer "

#: The reason against a token that is not good.
INVALID = "InvalidProviderToken"

#: A key of a team: what it is called, whose it is, its public half, the one environment that it is
#: for (``"sandbox"`` or ``"production"``, None for both), the topics that it may push to (None for
#: all), and the name of the key that it is related to (None if there is none).
ProviderKey = namedtuple("ProviderKey", "key_id team_id public environment topics related")

#: A token whose signature is good: its key, and the time of issue in seconds since 1970.
SignedToken = namedtuple("SignedToken", "key issued")


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
        self._checked = {}  # type: Dict[bytes, Union[str, SignedToken]]

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

    def all(self):
        # type: () -> Dict[str, ProviderKey]
        """Return all keys by their identifiers (dict)."""
        with self._lock:
            return dict(self._keys)

    def restore(self, keys):
        # type: (Dict[str, ProviderKey]) -> None
        """Have these keys, and no others; see :meth:`all`."""
        with self._lock:
            self._keys = dict(keys)
            self._checked.clear()

    def check(self, authorization):
        # type: (bytes) -> Union[str, SignedToken]
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
        # type: (bytes) -> Union[str, SignedToken]
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
        if claims.get("iss") != key.team_id or not _is_time(issued):
            return INVALID
        return SignedToken(key, issued)


def _is_time(issued):
    # type: (Any) -> bool
    """Return True if a claim is a time that can be calculated with: JSON may have any number."""
    return (isinstance(issued, six.integer_types + (float,)) and not isinstance(issued, bool)
            and abs(issued) < _LATEST)


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
