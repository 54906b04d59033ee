"""Rules for the dates of a notification, and for the age of its provider token."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from .finding import ERROR, NOTE, WARNING, Rule, is_number
from .sources import LIVE_ACTIVITY, SENDING, TOKENS

if MYPY:
    from typing import Any, Optional

    from .subject import Subject

__all__ = ["APS_RULES", "COMMON_RULES", "TOKEN_RULES"]

#: Seconds by which clocks may differ.
_TOLERANCE = 60
_HOUR = 3600
_YEAR = 366 * 24 * _HOUR
#: What is smaller is no date, but a duration: 9 September 2001.
_SMALLEST = 10 ** 9
#: What is larger is not in seconds: the year 5138.
_LARGEST = 10 ** 11
#: Age of a provider token at which it should have been replaced.
_OLD = 55 * 60


def _expires_in_milliseconds(subject):
    # type: (Subject) -> Optional[str]
    expiration = subject.exchange.expiration
    if expiration is not None and expiration >= _LARGEST:
        return "the expiration is in milliseconds, as it seems; Apple takes seconds since 1970"
    return None


def _expires_after_duration(subject):
    # type: (Subject) -> Optional[str]
    expiration = subject.exchange.expiration
    if expiration is not None and 0 < expiration < _SMALLEST:
        return ("the expiration is %d, which is a duration, as it seems; Apple takes seconds since "
                "1970, and to it the notification has expired" % expiration)
    return None


def _has_expired(subject):
    # type: (Subject) -> Optional[str]
    expiration = subject.exchange.expiration
    if expiration is not None and _SMALLEST <= expiration < subject.now - _TOLERANCE:
        return ("the expiration is %s in the past, so that nothing is stored for a device that is "
                "not connected; send 0 if that is meant" % _span(subject.now - expiration))
    return None


def _expires_late(subject):
    # type: (Subject) -> Optional[str]
    expiration = subject.exchange.expiration
    if expiration is not None and subject.now + _YEAR < expiration < _LARGEST:
        return "the expiration is more than a year ahead; check that it is meant"
    return None


def _has_timestamp_in_milliseconds(subject):
    # type: (Subject) -> Optional[str]
    return _milliseconds(subject, "timestamp")


def _has_old_timestamp(subject):
    # type: (Subject) -> Optional[str]
    timestamp = _date(subject, "timestamp")
    if timestamp is not None and timestamp < subject.now - _HOUR:
        return ("the timestamp is %s in the past; a device shows the latest, and drops what is "
                "older than that" % _span(subject.now - timestamp))
    return None


def _has_early_timestamp(subject):
    # type: (Subject) -> Optional[str]
    timestamp = _date(subject, "timestamp")
    if timestamp is not None and subject.now + _TOLERANCE < timestamp < _LARGEST:
        return ("the timestamp is %s in the future; updates until then are taken for older ones, "
                "and dropped" % _span(timestamp - subject.now))
    return None


def _was_stale(subject):
    # type: (Subject) -> Optional[str]
    date = _date(subject, "stale-date")
    if date is not None and date < subject.now:
        return "the stale-date is past: the content is shown as out of date at once"
    return None


def _has_stale_date_in_milliseconds(subject):
    # type: (Subject) -> Optional[str]
    return _milliseconds(subject, "stale-date")


def _has_dismissal_date_in_milliseconds(subject):
    # type: (Subject) -> Optional[str]
    return _milliseconds(subject, "dismissal-date")


def _was_dismissed(subject):
    # type: (Subject) -> Optional[str]
    date = _date(subject, "dismissal-date")
    if date is not None and date < subject.now:
        return ("the dismissal-date is past: the Live Activity is removed at once, and its last "
                "content is not seen")
    return None


def _is_dismissed_late(subject):
    # type: (Subject) -> Optional[str]
    date = _date(subject, "dismissal-date")
    if date is not None and subject.now + 4 * _HOUR + _TOLERANCE < date < _LARGEST:
        return ("the dismissal-date is more than four hours ahead, and the system removes a Live "
                "Activity that has ended after four hours")
    return None


def _has_token_without_claims(subject):
    # type: (Subject) -> Optional[str]
    credential = subject.credential
    missing = [name for name, value in (
        ("kid", credential.key_id), ("iss", credential.team_id), ("iat", credential.issued_at))
        if value is None]
    if missing:
        return "the provider token has no %s; sign it with alg, kid, iss and iat" % (
            ", ".join(missing))
    return None


def _has_expired_token(subject):
    # type: (Subject) -> Optional[str]
    age = _age(subject)
    if age is not None and age > _HOUR:
        return "the provider token is %s old, and valid for one hour; sign a new one" % _span(age)
    return None


def _has_old_token(subject):
    # type: (Subject) -> Optional[str]
    age = _age(subject)
    if age is not None and _OLD < age <= _HOUR:
        return ("the provider token is %s old, and valid for one hour; sign a new one each 20 to "
                "55 minutes" % _span(age))
    return None


def _has_early_token(subject):
    # type: (Subject) -> Optional[str]
    age = _age(subject)
    if age is None or age >= -_TOLERANCE:
        return None
    if subject.credential.issued_at >= _LARGEST:
        return "iat in the provider token is in milliseconds, as it seems; it is in seconds"
    return ("the provider token was issued %s in the future: check the clock of the server that "
            "signs" % _span(-age))


def _age(subject):
    # type: (Subject) -> Any
    issued_at = subject.credential.issued_at
    # What a token says of itself may be any number.
    return subject.now - issued_at if is_number(issued_at) and abs(issued_at) < 1e18 else None


def _date(subject, name):
    # type: (Subject, str) -> Any
    value = subject.aps.get(name)
    return value if is_number(value) and value == value else None


def _milliseconds(subject, name):
    # type: (Subject, str) -> Optional[str]
    date = _date(subject, name)
    if date is not None and date >= _LARGEST:
        return "%s is in milliseconds, as it seems; Apple takes seconds since 1970" % name
    return None


def _span(seconds):
    # type: (float) -> str
    """Return a duration for people."""
    for unit, size in (("days", 2 * 24 * _HOUR), ("hours", 2 * _HOUR), ("minutes", 120)):
        if seconds >= size:
            return "%.0f %s" % (min(seconds / (size / 2.0), 1e9), unit)
    return "%.0f seconds" % max(seconds, -1e9)


COMMON_RULES = (
    Rule("expiration-in-milliseconds", WARNING, _expires_in_milliseconds, "apns-expiration",
         SENDING + "; parse-community/parse-server-push-adapter 14"),
    Rule("expiration-is-a-duration", WARNING, _expires_after_duration, "apns-expiration",
         SENDING + "; noodlewerk/NWPusher 73"),
    Rule("expiration-in-the-past", WARNING, _has_expired, "apns-expiration", SENDING),
    Rule("expiration-far-ahead", NOTE, _expires_late, "apns-expiration", SENDING),
)

#: Rules for requests with a provider token.
TOKEN_RULES = (
    Rule("incomplete-provider-token", ERROR, _has_token_without_claims, "authorization", TOKENS),
    Rule("expired-provider-token", ERROR, _has_expired_token, "authorization", TOKENS),
    Rule("old-provider-token", WARNING, _has_old_token, "authorization", TOKENS),
    Rule("early-provider-token", WARNING, _has_early_token, "authorization",
         TOKENS + "; node-apn/node-apn 590"),
)

#: Rules for the dates of Live Activities.
APS_RULES = (
    Rule("timestamp-in-milliseconds", ERROR, _has_timestamp_in_milliseconds, "aps.timestamp",
         LIVE_ACTIVITY),
    Rule("timestamp-in-the-past", WARNING, _has_old_timestamp, "aps.timestamp", LIVE_ACTIVITY),
    Rule("timestamp-in-the-future", WARNING, _has_early_timestamp, "aps.timestamp",
         LIVE_ACTIVITY),
    Rule("stale-date-in-milliseconds", WARNING, _has_stale_date_in_milliseconds,
         "aps.stale-date", LIVE_ACTIVITY),
    Rule("stale-date-in-the-past", WARNING, _was_stale, "aps.stale-date", LIVE_ACTIVITY),
    Rule("dismissal-date-in-milliseconds", WARNING, _has_dismissal_date_in_milliseconds,
         "aps.dismissal-date", LIVE_ACTIVITY),
    Rule("dismissal-date-in-the-past", NOTE, _was_dismissed, "aps.dismissal-date", LIVE_ACTIVITY),
    Rule("dismissal-date-far-ahead", NOTE, _is_dismissed_late, "aps.dismissal-date",
         LIVE_ACTIVITY),
)
