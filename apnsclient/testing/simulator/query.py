"""Which exchanges somebody wants to see."""

from __future__ import absolute_import, division, print_function

from collections import namedtuple
from operator import attrgetter

import six

from ..._compat import MYPY

if MYPY:
    from typing import Any, Callable, Dict, List, Union

    from .exchange import Exchange

    Test = Callable[[Exchange], bool]

__all__ = ["Query"]


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
        return self.new_test()(exchange)

    def new_test(self):
        # type: () -> Test
        """Return a function that does what :meth:`matches` does, quickly for many exchanges."""
        tests = [_test_of(name, value) for name, value in self.conditions.items()]
        if len(tests) == 1:
            return tests[0]

        def meets_all(exchange):
            # type: (Exchange) -> bool
            for test in tests:
                if not test(exchange):
                    return False
            return True

        return meets_all

    def mismatches(self, exchange):
        # type: (Exchange) -> List[str]
        """Return which conditions an exchange does not meet, a text for each (list of str)."""
        return [_describe(name, value, exchange)
                for name, value in zip(self._fields, self)
                if value is not None and not _test_of(name, value)(exchange)]

    @property
    def conditions(self):
        # type: () -> Dict[str, Any]
        """Those that are not None, by name (dict)."""
        return dict((name, value) for name, value in zip(self._fields, self) if value is not None)

    def __repr__(self):
        # type: () -> str
        return "Query(%s)" % ", ".join("%s=%r" % each for each in zip(self._fields, self)
                                       if each[1] is not None)


def _test_of(name, value):
    # type: (str, Any) -> Test
    """Return a function that returns True if an exchange meets a condition."""
    if name in _TESTS:
        return _TESTS[name](value)
    actual = attrgetter(name)
    return lambda exchange: bool(actual(exchange) == value)


def _is_token(value):
    # type: (str) -> Test
    wanted = value.lower()
    if wanted.endswith("*"):
        beginning = wanted[:-1]
        return lambda exchange: (exchange.token or "").lower().startswith(beginning)
    return lambda exchange: (exchange.token or "").lower() == wanted


def _has_text(value):
    # type: (Union[str, bytes]) -> Test
    wanted = six.ensure_text(value).lower()
    return lambda exchange: wanted in exchange.payload.decode("utf-8", "replace").lower()


def _is_connection(value):
    # type: (int) -> Test
    return lambda exchange: exchange.connection.number == value


def _is_since(value):
    # type: (float) -> Test
    return lambda exchange: value <= exchange.time


def _is_until(value):
    # type: (float) -> Test
    return lambda exchange: exchange.time < value


_TESTS = {
    "token": _is_token, "text": _has_text, "connection": _is_connection, "since": _is_since,
    "until": _is_until,
}  # type: Dict[str, Callable[[Any], Test]]


def _describe(name, value, exchange):
    # type: (str, Any, Exchange) -> str
    """Return why an exchange does not meet a condition."""
    if name == "text":
        return "the payload does not contain %s" % _show(value)
    if name == "since":
        return "it came %.3f seconds too early" % (value - exchange.time)
    if name == "until":
        return "it came %.3f seconds too late" % (exchange.time - value)
    actual = exchange.connection.number if name == "connection" else getattr(exchange, name)
    if name == "token" and value.endswith("*"):
        return "token is %s, expected one that begins with %s" % (
            _show(actual), value[:-1].lower())
    return "%s is %s, expected %s" % (name, _show(actual), _show(value))


def _show(value):
    # type: (Any) -> str
    if value is None:
        return "not set"
    return "'%s'" % six.ensure_str(value) if isinstance(value, six.string_types) else str(value)
