"""What has come before: for rules that need to know more than one notification.

It is fed each exchange once, at little cost, and works out the rest when it is asked. All that it
keeps is bounded.
"""

from __future__ import absolute_import, division, print_function

import re
import threading
from collections import deque

from ..._compat import MYPY

if MYPY:
    from typing import Any, Deque, Dict, Iterable, List, Optional, Tuple

__all__ = ["ConnectionRecord", "History", "TokenRecord"]

#: Connections that are looked at for churn, and how many requests at most each of them has then.
_CHURN, _FEW = 10, 2
#: Seconds within which so many were opened.
_CHURN_TIME = 600
#: Timestamps of a Live Activity that are kept for each token.
_MOST_TIMESTAMPS = 8
#: Exchanges without a response whose response is waited for.
_MOST_PENDING = 10000
#: Provider tokens that are kept of one key.
_MOST_TOKENS = 32

_find_timestamp = re.compile(br'"timestamp"\s*:\s*([0-9]{1,15})').search


class ConnectionRecord(object):
    """What is known of a connection.

    :ivar number: its number (int).
    :ivar opened: time of its first request, in seconds since 1970 (float).
    :ivar request_count: requests that came over it (int).
    :ivar is_parallel: whether one came before the one before it had its response.
    :ivar churn: how many connections were opened of late with few requests on each, up to this one
        (int); 0 if that is not so.
    :ivar last: the last exchange.
    """

    __slots__ = ("number", "opened", "request_count", "is_parallel", "churn", "last",
                 "authorization")

    def __init__(self, number, opened):
        # type: (int, float) -> None
        self.number = number
        self.opened = opened
        self.request_count = 0
        self.is_parallel = False
        self.churn = 0
        self.last = None  # type: Any
        self.authorization = None  # type: Any


class TokenRecord(object):
    """What is known of a provider token.

    :ivar issued_at: when it was issued, in seconds since 1970; None if it does not say so.
    :ivar previous: when the one before it of the same key was issued, else None.
    :ivar rank: how many of the same key have come, up to this one (int).
    :ivar requests: how many requests had come with this key when it came first (int).
    """

    __slots__ = ("issued_at", "previous", "rank", "requests")

    def __init__(self, issued_at, previous, rank, requests):
        # type: (Any, Any, int, int) -> None
        self.issued_at = issued_at
        self.previous = previous
        self.rank = rank
        self.requests = requests


class _Recent(object):
    """A dict that forgets the oldest half when it is full."""

    __slots__ = ("_most", "_new", "_old")

    def __init__(self, most):
        # type: (int) -> None
        self._most = max(1, most // 2)
        self._new = {}  # type: Dict[Any, Any]
        self._old = {}  # type: Dict[Any, Any]

    def get(self, key):
        # type: (Any) -> Any
        value = self._new.get(key)
        return self._old.get(key) if value is None else value

    def put(self, key, value):
        # type: (Any, Any) -> None
        if len(self._new) >= self._most:
            self._old, self._new = self._new, {}
        self._new[key] = value


class History(object):
    """Remembers what the rules for more than one notification need. Any thread may use it.

    :param keep: of how many exchanges it remembers identifiers and device tokens, at most (int).
    """

    def __init__(self, keep=100000):
        # type: (int) -> None
        self._keep = keep
        self._lock = threading.Lock()
        self.clear()

    def clear(self):
        # type: () -> None
        """Forget everything."""
        with self._lock:
            keep = self._keep
            self._ids = _Recent(keep)
            self._gone = _Recent(keep)
            self._timestamps = _Recent(keep)
            self._connections = _Recent(min(keep, 10000))
            self._tokens = _Recent(min(keep, 10000))
            self._keys = _Recent(min(keep, 1000))
            self._latest = {}  # type: Dict[Tuple[str, str], Deque[ConnectionRecord]]
            self._accepted = self._bad = 0
            self._pending = deque(maxlen=_MOST_PENDING)  # type: Deque[Any]

    def feed(self, exchanges):
        # type: (Iterable[Any]) -> None
        """Remember exchanges, each once, in order of arrival.

        What has no response yet is looked at again with the next ones.

        :param exchanges: sequence of :class:`.Exchange`, or of what has its attributes.
        """
        with self._lock:
            pending = list(self._pending)
            self._pending.clear()
            for exchange in pending:
                self._feed_response(exchange)
            for exchange in exchanges:
                if exchange.kind in ("notification", "broadcast"):
                    self._feed(exchange)

    def _feed(self, exchange):
        # type: (Any) -> None
        facts = exchange.connection
        record = self._connections.get(facts.number)
        if record is None:
            record = self._add_connection(exchange, facts)
        last = record.last
        if last is not None and (last.responded is None or exchange.time <= last.responded):
            record.is_parallel = True
        record.last = exchange
        record.request_count += 1
        if facts.certificate is None:
            self._feed_token(exchange, record)
        apns_id = exchange.apns_id
        if apns_id is not None:
            self._feed_id(exchange, apns_id.lower())
        if exchange.push_type == "liveactivity":
            self._feed_timestamp(exchange)
        self._feed_response(exchange)

    def _feed_response(self, exchange):
        # type: (Any) -> None
        reason, outcome = exchange.reason, exchange.outcome
        if outcome == "pending":
            self._pending.append(exchange)
        elif reason is None:
            if outcome == "accepted":
                self._accepted += 1
        elif reason == "BadDeviceToken":
            self._bad += 1
        elif reason in ("Unregistered", "ExpiredToken") and self._gone.get(exchange.token) is None:
            self._gone.put(exchange.token, exchange.number)

    def _add_connection(self, exchange, facts):
        # type: (Any, Any) -> ConnectionRecord
        record = ConnectionRecord(facts.number, exchange.time)
        self._connections.put(facts.number, record)
        if len(self._latest) > 1000:
            self._latest.clear()
        latest = self._latest.setdefault(
            (facts.service, facts.peer[0] if facts.peer else ""), deque(maxlen=_CHURN))
        if len(latest) == _CHURN and exchange.time - latest[0].opened < _CHURN_TIME \
                and all(each.request_count <= _FEW for each in latest):
            record.churn = _CHURN
        latest.append(record)
        return record

    def _feed_token(self, exchange, record):
        # type: (Any, ConnectionRecord) -> None
        authorization = _authorization_of(exchange)
        if authorization is None:
            return
        if authorization != record.authorization:
            record.authorization = authorization
            if self._tokens.get(authorization) is None:
                self._add_token(exchange, authorization)

    def _add_token(self, exchange, authorization):
        # type: (Any, Any) -> None
        credential = exchange.credential
        issued_at = getattr(credential, "issued_at", None)
        key = (getattr(credential, "team_id", None), getattr(credential, "key_id", None))
        known = self._keys.get(key)
        if known is None:
            known = deque(maxlen=_MOST_TOKENS)
            self._keys.put(key, known)
        previous = known[-1].issued_at if known else None
        rank = known[-1].rank + 1 if known else 1
        record = TokenRecord(issued_at, previous, rank, exchange.number)
        known.append(record)
        self._tokens.put(authorization, record)

    def _feed_id(self, exchange, apns_id):
        # type: (Any, str) -> None
        known = self._ids.get(apns_id)
        if known is None:
            self._ids.put(apns_id, [exchange.number, exchange.token, None])
        elif known[2] is None and known[1] != exchange.token:
            known[2] = exchange.number

    def _feed_timestamp(self, exchange):
        # type: (Any) -> None
        found = _find_timestamp(exchange.payload)
        if found is None:
            return
        known = self._timestamps.get(exchange.token)
        if known is None:
            known = deque(maxlen=_MOST_TIMESTAMPS)
            self._timestamps.put(exchange.token, known)
        known.append((exchange.number, int(found.group(1))))

    # Asked by the rules.

    def find_other(self, exchange):
        # type: (Any) -> Optional[int]
        """Return the number of a notification of another token with the same apns-id, or None."""
        if exchange.apns_id is None:
            return None
        with self._lock:
            known = self._ids.get(exchange.apns_id.lower())
            if known is None or known[2] is None:
                return None
            first, token, second = known
            return int(second if token == exchange.token else first)

    def find_gone(self, exchange):
        # type: (Any) -> Optional[int]
        """Return the number of an earlier exchange that said that the token is gone, or None."""
        number = self._gone.get(exchange.token)
        return number if number is not None and number < exchange.number else None

    def find_timestamp(self, exchange):
        # type: (Any) -> Optional[int]
        """Return the latest timestamp that was sent to the same token before, or None."""
        with self._lock:
            known = self._timestamps.get(exchange.token) or ()
            earlier = [timestamp for number, timestamp in known
                       if number < exchange.number]  # type: List[int]
        return max(earlier) if earlier else None

    def find_connection(self, exchange):
        # type: (Any) -> Optional[ConnectionRecord]
        """Return what is known of its connection, None if that is forgotten."""
        found = self._connections.get(
            exchange.connection.number)  # type: Optional[ConnectionRecord]
        return found

    def find_token(self, exchange):
        # type: (Any) -> Optional[TokenRecord]
        """Return what is known of its provider token, None without one."""
        authorization = _authorization_of(exchange)
        if authorization is None:
            return None
        record = self._tokens.get(authorization)  # type: Optional[TokenRecord]
        return record

    def has_only_bad_tokens(self):
        # type: () -> int
        """Return how many tokens Apple called bad, if it accepted none; else 0."""
        return 0 if self._accepted else self._bad


def _authorization_of(exchange):
    # type: (Any) -> Any
    """Return what tells one provider token of the same connection from another, None without any.

    Exchanges that come from a simulator have the field itself; to understand it for each of them
    would take more time than all the rest. Others have what was read in it.
    """
    head = getattr(exchange, "head", None)
    if head is not None:
        return head.authorization
    credential = exchange.credential
    if getattr(credential, "key_id", None) is None:
        return None
    return (credential.team_id, credential.key_id, credential.issued_at)
