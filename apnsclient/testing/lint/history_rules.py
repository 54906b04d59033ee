"""Rules for a notification in the light of those before it."""

from __future__ import absolute_import, division, print_function

from ..._compat import MYPY
from .finding import ERROR, NOTE, WARNING, Rule, is_number
from .sources import LIVE_ACTIVITY, RESPONSES, SENDING, TOKENS

if MYPY:
    from typing import Any, Optional

    from .history import History
    from .subject import Subject

__all__ = ["HISTORY_RULES", "Past"]

#: Seconds for which a provider token is to be used at least.
_SHORTEST = 20 * 60
#: Provider tokens of a key from which on each request may have its own.
_SEVERAL = 3
#: Requests on a connection, and the seconds for them, that make one at a time conspicuous.
_MANY, _BUSY = 50, 60
#: Tokens that are called bad from which on it is no accident.
_SOME = 3


class Past(object):
    """A notification, and what came before it.

    :param subject: :class:`.subject.Subject`.
    :param history: :class:`.History`.
    """

    __slots__ = ("subject", "exchange", "history", "connection", "token")

    def __init__(self, subject, history):
        # type: (Subject, History) -> None
        self.subject = subject
        self.exchange = subject.exchange  # type: Any
        self.history = history
        self.connection = history.find_connection(subject.exchange)
        self.token = history.find_token(subject.exchange)


def _shares_its_id(past):
    # type: (Past) -> Optional[str]
    other = past.history.find_other(past.exchange)
    if other is not None:
        return ("number %d has the same apns-id for another token: the identifier is of one "
                "notification; send another one for each token, or none" % other)
    return None


def _is_signed_too_soon(past):
    # type: (Past) -> Optional[str]
    token = past.token
    if token is None or not is_number(token.issued_at) or not is_number(token.previous):
        return None
    if abs(token.issued_at - token.previous) < _SHORTEST and not _is_one_of_many(past):
        return ("the provider token was signed again within 20 minutes; keep each for 20 to 55 "
                "minutes, and give the same to all workers")
    return None


def _is_signed_each_time(past):
    # type: (Past) -> Optional[str]
    token = past.token
    if token is not None and _is_one_of_many(past):
        return ("each message has a provider token of its own, as it seems: %d of one key in %d "
                "requests; sign one, and use it for 20 to 55 minutes"
                % (token.rank, token.requests))
    return None


def _is_one_of_many(past):
    # type: (Past) -> Any
    token = past.token
    return (token is not None and token.rank >= _SEVERAL
            and token.requests <= 2 * token.rank and is_number(token.previous)
            and is_number(token.issued_at)
            and abs(token.issued_at - token.previous) < _SHORTEST)


def _is_sent_to_gone_token(past):
    # type: (Past) -> Optional[str]
    number = past.history.find_gone(past.exchange)
    if number is not None:
        return ("number %d was answered that this token is gone: delete it, unless the device has "
                "registered again since" % number)
    return None


def _is_not_newer(past):
    # type: (Past) -> Optional[str]
    subject = past.subject
    timestamp = subject.aps.get("timestamp")  # type: Any
    if subject.push_type != "liveactivity" or not is_number(timestamp):
        return None
    latest = past.history.find_timestamp(past.exchange)
    if latest is not None and timestamp < latest:
        return ("the timestamp is older than %d, which was sent to this token before; the device "
                "drops it" % latest)
    if latest is not None and timestamp == latest:
        return "the timestamp is that of the notification before it; the device may drop it"
    return None


def _churns(past):
    # type: (Past) -> Optional[str]
    connection = past.connection
    if connection is not None and connection.churn:
        return ("the last %d connections had two requests at most; keep one open, and send all "
                "over it: Apple takes many short ones for an attack" % connection.churn)
    return None


def _waits_each_time(past):
    # type: (Past) -> Optional[str]
    connection = past.connection
    if connection is not None and not connection.is_parallel \
            and connection.request_count >= _MANY \
            and connection.last.time - connection.opened < _BUSY:
        return ("all %d requests on this connection waited for the response before; HTTP/2 takes "
                "up to 1000 at a time" % connection.request_count)
    return None


def _has_bad_tokens_only(past):
    # type: (Past) -> Optional[str]
    if past.exchange.reason == "BadDeviceToken":
        count = past.history.has_only_bad_tokens()
        if count >= _SOME:
            return ("all %d tokens so far are called bad: they are of the other environment, as it "
                    "seems; delete none of them" % count)
    return None


HISTORY_RULES = (
    Rule("one-id-for-many-tokens", ERROR, _shares_its_id, "apns-id", SENDING),
    Rule("provider-token-signed-too-soon", ERROR, _is_signed_too_soon, "authorization",
         TOKENS + "; codedge-llc/pigeon 226, AndrewBarba/apns2 44"),
    Rule("provider-token-for-each-message", ERROR, _is_signed_each_time, "authorization",
         TOKENS + "; kylebrowning/APNSwift 34"),
    Rule("token-is-gone", WARNING, _is_sent_to_gone_token, "token", RESPONSES),
    Rule("timestamp-not-newer", WARNING, _is_not_newer, "aps.timestamp", LIVE_ACTIVITY),
    Rule("connection-churn", WARNING, _churns, "connection", SENDING),
    Rule("one-request-at-a-time", NOTE, _waits_each_time, "connection", SENDING),
    Rule("wrong-environment", WARNING, _has_bad_tokens_only, "token",
         RESPONSES + "; jchambers/pushy-console 25"),
)
