"""Who calls on a connection to a service of HTTP/2: the owner of a certificate or of a token.

A provider token is good for an hour from its time of issue, and a connection must not change it
more than once in 20 minutes: Apple, *Establishing a token-based connection to APNs*.
"""

from __future__ import absolute_import, division, print_function

import six
from cryptography.x509.oid import NameOID

from ..._compat import MYPY
from ..certs import ENVIRONMENT_EXTENSIONS, TOPICS_EXTENSION, decode_topics
from .provider_keys import INVALID, SignedToken

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

    from .provider_head import Head
    from .provider_keys import ProviderKey, ProviderKeys

__all__ = ["CertificateCaller", "TokenCaller", "read_topics"]

#: Seconds for which a token is good after its issue.
LIFETIME = 3600
#: Seconds by which a token may be issued in the future: clocks differ.
LARGEST_SKEW = 60
#: Seconds that a connection has to keep a token. Both ends count them, so one is allowed for.
SHORTEST_USE = 20 * 60 - 1

EXPIRED = "ExpiredProviderToken"
MISSING = "MissingProviderToken"
OFTEN = "TooManyProviderTokenUpdates"
UNRELATED_KEY = "UnrelatedKeyIdInToken"
#: As servers have been seen to spell it; Apple's page has BadEnvironmentKeyIdInToken.
WRONG_ENVIRONMENT = "BadEnvironmentKeyInToken"


class CertificateCaller(object):
    """Who calls on a connection with a client certificate. Its tokens are ignored, as by Apple.

    :param topics: topics that the certificate names (sequence of str); none of them allows all.
    :param environments: environments that it names, likewise.
    :param environment: ``"sandbox"`` or ``"production"``, which this is.
    """

    #: Nothing is to be waited for: the handshake proved it.
    is_proven = True

    def __init__(self, topics, environments, environment):
        # type: (Sequence[str], Sequence[str], str) -> None
        self._topics = frozenset(topics)
        #: The topic of a push that names none.
        self.default_topic = topics[0] if len(self._topics) == 1 else None  # type: Optional[str]
        self._fault = None  # type: Optional[str]
        if environments and environment not in environments:
            self._fault = "BadCertificateEnvironment"

    def authenticate(self, authorization):
        # type: (Optional[bytes]) -> Optional[str]
        """Return the reason against who calls; see :class:`TokenCaller`."""
        return self._fault

    def allows(self, topic):
        # type: (str) -> bool
        """Return True if the certificate is for a topic."""
        return not self._topics or topic in self._topics

    def judge(self, head):
        # type: (Head) -> Optional[str]
        """Decide about a push to a device; see :meth:`TokenCaller.judge`."""
        if self._fault is not None:
            return self._fault
        if head.needs_token:
            return "TopicDisallowed"
        if head.topic is None:
            return "MissingTopic" if self._topics else None
        return None if self.allows(head.topic) else "TopicDisallowed"


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
        if not isinstance(token, SignedToken):
            return str(token)
        now = self._clock()
        reason = self._judge_token(token, now)
        used = self._used.get(token.key.key_id)
        if reason is None and (used is None or used[0] != authorization):
            # A key that is related has tokens of its own, so that both can be in use.
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
        # type: (SignedToken, float) -> Optional[str]
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


def read_topics(certificate):
    # type: (Any) -> Tuple[List[str], List[str]]
    """Return the topics and the environments that a certificate of ``cryptography`` names.

    The topics are the user identifier of the subject and what Apple's extension lists; the
    environments stand in extensions of their own.
    """
    topics = [six.ensure_str(each.value) for each in
              certificate.subject.get_attributes_for_oid(NameOID.USER_ID)]
    environments = []
    for extension in certificate.extensions:
        number = extension.oid.dotted_string
        if number == TOPICS_EXTENSION:
            topics += _listed_topics(extension.value.value)
        elif number in ENVIRONMENT_EXTENSIONS:
            environments.append(ENVIRONMENT_EXTENSIONS[number])
    return topics, environments


def _listed_topics(value):
    # type: (bytes) -> List[str]
    try:
        return decode_topics(value)
    except (IndexError, ValueError):
        return []
