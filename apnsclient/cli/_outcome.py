"""The outcome of ``apns send``: its summary, the document of ``--json``, and the exit status."""

from __future__ import absolute_import, division, print_function

import time

from .._compat import MYPY
from ..reasons import CREDENTIAL, reason_of_response
from ._console import INCOMPLETE, INTERRUPTED, NO_CONNECTION, SUCCESS, USAGE, printable

if MYPY:
    import argparse
    from typing import Any, Dict, List, Optional, Tuple

    from ._console import Console
    from ._delivery import Delivery
    from ._tokens import TokenSource

#: Most rows of one kind that are shown on a terminal.
ROWS_ON_TERMINAL = 20

#: How many characters of a token the table shows: more than the longest of Apple's tokens has.
_LONGEST_TOKEN = 200

#: What to do about Apple's reasons, in terms of the options.
ADVICE = {
    "BadCertificate": "check --cert",
    "BadCertificateEnvironment": "it is for the other environment; check --address",
    "BadCollapseId": "--collapse-id may have 64 bytes",
    "BadEnvironmentKeyIdInToken": "the key is for the other environment; check --address",
    "BadEnvironmentKeyInToken": "the key is for the other environment; check --address",
    "BadExpirationDate": "check --expiry",
    "BadMessageId": "--apns-id has to be a UUID",
    "BadPriority": "--priority has to be 10, 5 or 1, and not 10 for push type background",
    "BadTopic": "check --topic",
    "ExpiredProviderToken": "check the clock of this machine",
    "InvalidProviderToken": "check --key-id, --team-id and --key, and the clock of this machine",
    "InvalidPushType": "check --push-type",
    "MissingProviderToken": "give --cert, or --key-id, --team-id and --key",
    "MissingTopic": "give --topic",
    "PayloadTooLarge": "Apple takes 4096 bytes, 5120 of push type voip",
    "TopicDisallowed": "check --topic; certificate or key are not for it",
    "UnrelatedKeyIdInToken": "check --key-id, --team-id and --key",
}

#: The most likely cause, if all tokens are rejected.
_ALL_REJECTED = (
    "every token was rejected with BadDeviceToken or DeviceTokenNotForTopic, as happens in the "
    "wrong environment or with another app's topic: check --address and --topic before you delete "
    "anything")


def exit_status(delivery, source):
    # type: (Delivery, TokenSource) -> int
    """Return the exit status that a delivery ends with."""
    if source.error is not None and not source.count:
        return USAGE
    if delivery.is_interrupted:
        return INTERRUPTED
    if delivery.error is not None and not delivery.has_connected:
        return NO_CONNECTION
    if is_credential_rejected(delivery) and not (
            delivery.accepted or delivery.failed or delivery.unknown):
        return NO_CONNECTION
    is_complete = source.is_exhausted and not (
        delivery.failed or delivery.not_sent or delivery.unknown)
    return SUCCESS if is_complete else INCOMPLETE


def is_credential_rejected(delivery):
    # type: (Delivery) -> bool
    """Return True if the delivery ended because of the certificate or the provider token."""
    rejection = delivery.rejection
    return (rejection is not None and rejection.status is not None
            and reason_of_response(rejection.status, rejection.reason).scope == CREDENTIAL)


def describe_rejection(delivery, arguments):
    # type: (Delivery, argparse.Namespace) -> str
    """Return why nothing more was sent, and what to do about it."""
    code, reason = delivery.rejection
    advice = ADVICE.get(delivery.rejection.reason)
    if is_credential_rejected(delivery):
        what = "certificate" if arguments.key_id is None else "provider token"
        text = "the server rejects the %s (%s, %s), so nothing more was sent" % (what, code, reason)
    else:
        text = ("the server rejects this message (%s, %s): unchanged, it would be rejected again"
                % (code, reason))
    return text if advice is None else "%s; %s" % (text, advice)


def hint_of(delivery):
    # type: (Delivery) -> Optional[str]
    """Return what to check before anything is deleted, or None if there is no reason to check."""
    rejected = [failure for _, failure in delivery.failed if failure.status is not None]
    is_suspicious = rejected and not delivery.accepted and all(
        reason_of_response(failure.status, failure.reason).can_be_valid_elsewhere
        for failure in rejected)
    return _ALL_REJECTED if is_suspicious else None


def document_of(delivery, source, arguments, status, seconds):
    # type: (Delivery, TokenSource, argparse.Namespace, int, float) -> Dict[str, Any]
    """Return the document of ``--json``."""
    return {
        "accepted": delivery.accepted,
        "error": source.error or delivery.error,
        "failed": [_failed_row(token, failure, arguments.protocol == "http2")
                   for token, failure in delivery.failed],
        "hint": hint_of(delivery),
        "interrupted": delivery.is_interrupted,
        "not_sent": [{"token": token, "code": code, "reason": reason}
                     for token, code, reason in delivery.not_sent],
        "read_to_end": source.is_exhausted,
        "resent": delivery.resent,
        "seconds": round(seconds, 3),
        "status": status,
        "tokens": source.count,
        "unknown": [token for token, _ in delivery.unknown],
    }


def _failed_row(token, failure, is_http2):
    # type: (str, Any, bool) -> Dict[str, Any]
    code, reason = failure
    row = {"token": token, "code": code, "reason": reason}
    if is_http2:
        row.update(status=failure.status, apns_reason=failure.reason, apns_id=failure.apns_id,
                   timestamp=failure.timestamp, gone=failure.is_gone)
    return row


def summarise(delivery, source, arguments, console, seconds):
    # type: (Delivery, TokenSource, argparse.Namespace, Console, float) -> None
    """Write the summary for people."""
    _list_tokens(delivery, console)
    console.line("%d of %d tokens accepted, %d failed, %d not sent, %d unknown; %d sent again; "
                 "%.1f s"
                 % (delivery.accepted, source.count, len(delivery.failed), len(delivery.not_sent),
                    len(delivery.unknown), delivery.resent, seconds))
    if delivery.rejection is not None:
        console.note("apns: %s" % describe_rejection(delivery, arguments))
    hint = hint_of(delivery)
    if hint is not None:
        console.note("apns: %s" % hint)
    if not source.is_exhausted:
        console.note("apns: the list of tokens was not read to its end")
    if not source.count and source.error is None:
        console.note("apns: there were no tokens, so nothing was sent")


def _list_tokens(delivery, console):
    # type: (Delivery, Console) -> None
    """Write a line for each token that was not accepted."""
    groups = [
        ("failed", "red", [(token, failure[0], failure[1] + _since(failure))
                           for token, failure in delivery.failed]),
        ("not-sent", "yellow", delivery.not_sent),
        ("unknown", "yellow", [(token, None, reason) for token, reason in delivery.unknown]),
    ]  # type: List[Tuple[str, str, List[Tuple[str, Optional[int], str]]]]
    for name, style, rows in groups:
        shown = rows[:ROWS_ON_TERMINAL] if console.is_terminal() else rows
        for token, code, reason in shown:
            console.line("%s\t%s\t%s\t%s" % (console.styled(name, style), _shown(token),
                                             "-" if code is None else code, reason))
        if len(shown) < len(rows):
            console.line("%s\t... and %d more: --json, or a pipe, shows all"
                         % (console.styled(name, style), len(rows) - len(shown)))


def _since(failure):
    # type: (Any) -> str
    """Return since when a token has been dead, as a part of a sentence; empty if it is not."""
    if not failure.is_gone:
        return ""
    return time.strftime(", since %Y-%m-%dT%H:%M:%SZ", time.gmtime(failure.timestamp))


def _shown(token):
    # type: (str) -> str
    """Return a token as the table shows it: printable, and shortened if it is very long."""
    shown = printable(token[:_LONGEST_TOKEN])
    return shown + u"..." if len(token) > _LONGEST_TOKEN else shown
