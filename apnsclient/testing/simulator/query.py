"""Which exchanges somebody wants to see."""

from __future__ import absolute_import, division, print_function

from collections import namedtuple

import six

from ..._compat import MYPY

if MYPY:
    from typing import Any, Callable, Dict, List, Optional, Union

    from .exchange import Exchange

__all__ = ["Query"]

#: Conditions that are met by an attribute of the same name that is equal.
_EQUAL = frozenset(["topic", "push_type", "outcome", "reason", "service", "kind", "protocol",
                    "apns_id", "collapse_id"])


class Query(namedtuple("Query", [
        "topic", "push_type", "outcome", "reason", "service", "kind", "protocol", "apns_id",
        "collapse_id", "token", "connection", "status", "text", "since", "until"])):
    """Conditions, all of which must be met; those that are None are met by all. Immutable.

    Give them by name.

    :param token: device token in hexadecimal, in either case (str), or how it begins, with ``*``
        behind.
    :param topic: topic (str).
    :param push_type: push type (str).
    :param outcome: one of :data:`.exchange.OUTCOMES`.
    :param reason: reason that the response gives (str).
    :param status: HTTP status, or status of the error frame (int).
    :param service: ``"provider"``, ``"channels"`` or ``"gateway"``.
    :param kind: ``"notification"``, ``"broadcast"``, ``"channel"`` or ``"other"``.
    :param protocol: ``"http2"`` or ``"binary"``.
    :param apns_id: identifier of the notification that the client sent (str).
    :param collapse_id: collapse identifier (str).
    :param connection: number of the connection (int).
    :param text: what the payload contains, in either case (str). What JSON has as ``\\u`` escapes
        is not found.
    :param since: earliest time of arrival, in seconds since 1970 (float).
    :param until: time of arrival from which on it is too late, likewise.
    :raises TypeError: if there is no condition of a name.
    """

    __slots__ = ()

    def __new__(cls, **conditions):
        # type: (**Any) -> Query
        for name in conditions:
            if name not in cls._fields:
                raise TypeError("Query has no condition %r, expected: %s"
                                % (name, ", ".join(cls._fields)))
        return super(Query, cls).__new__(cls, *[conditions.get(name) for name in cls._fields])

    def matches(self, exchange):
        # type: (Exchange) -> bool
        """Return True if an exchange meets all conditions."""
        return not any(True for _ in self._mismatches(exchange))

    def mismatches(self, exchange):
        # type: (Exchange) -> List[str]
        """Return which conditions an exchange does not meet, a text for each (list of str)."""
        return list(self._mismatches(exchange))

    @property
    def conditions(self):
        # type: () -> Dict[str, Any]
        """Those that are not None, by name (dict)."""
        return dict((name, value) for name, value in zip(self._fields, self) if value is not None)

    def _mismatches(self, exchange):
        # type: (Exchange) -> Any
        for name, value in zip(self._fields, self):
            if value is None:
                continue
            if name in _EQUAL:
                actual = getattr(exchange, name)
                if actual != value:
                    yield "%s is %s, expected %s" % (name, _show(actual), _show(value))
            else:
                mismatch = _OTHERS[name](exchange, value)
                if mismatch is not None:
                    yield mismatch

    def __repr__(self):
        # type: () -> str
        return "Query(%s)" % ", ".join("%s=%r" % each for each in zip(self._fields, self)
                                       if each[1] is not None)


def _token(exchange, value):
    # type: (Any, str) -> Optional[str]
    token, wanted = (exchange.token or "").lower(), value.lower()
    if wanted.endswith("*"):
        if token.startswith(wanted[:-1]):
            return None
        return "token is %s, expected one that begins with %s" % (_show(token), wanted[:-1])
    return None if token == wanted else "token is %s, expected %s" % (_show(token), _show(wanted))


def _text(exchange, value):
    # type: (Any, Union[str, bytes]) -> Optional[str]
    payload = exchange.payload.decode("utf-8", "replace").lower()
    if six.ensure_text(value).lower() in payload:
        return None
    return "the payload does not contain %s" % _show(value)


def _connection(exchange, value):
    # type: (Any, int) -> Optional[str]
    number = exchange.connection.number
    return None if number == value else "connection is %d, expected %d" % (number, value)


def _status(exchange, value):
    # type: (Any, int) -> Optional[str]
    actual = exchange.status
    return None if actual == value else "status is %s, expected %d" % (_show(actual), value)


def _since(exchange, value):
    # type: (Any, float) -> Optional[str]
    early = value - exchange.time
    return None if early <= 0 else "it came %.3f seconds too early" % early


def _until(exchange, value):
    # type: (Any, float) -> Optional[str]
    late = exchange.time - value
    return None if late < 0 else "it came %.3f seconds too late" % late


_OTHERS = {
    "token": _token, "text": _text, "connection": _connection, "status": _status,
    "since": _since, "until": _until,
}  # type: Dict[str, Callable[[Any, Any], Optional[str]]]


def _show(value):
    # type: (Any) -> str
    if value is None:
        return "not set"
    return "'%s'" % six.ensure_str(value) if isinstance(value, six.string_types) else str(value)
