"""What the result of sending means for the task, and what an exception means.

Pure: no I/O, no clock, no randomness.

A token is in one place afterwards: in the counts, because it has ended, or in the rest, which is
sent again. What stops everything with a credential leaves its tokens in the rest, because they were
not sent: when it is mended, they are.
"""

import enum
from dataclasses import dataclass
from typing import Collection, List, Optional, Tuple

from ...errors import CertificateError, CertificateRefused, PeerVerificationError
from ...message import Message
from ...outcomes import Failure
from ...reasons import reason_of_response
from ...result import Result
from ._counts import Counts, count

__all__ = ["Action", "Verdict", "judge", "judge_error", "lost", "unsent"]


class Action(enum.Enum):
    """What follows for the task."""

    #: Each token has ended.
    done = "done"
    #: The rest is sent again, later.
    again = "again"
    #: Nothing more is sent with this credential to this target, until that is mended.
    stop = "stop"
    #: Likewise, because the environment looks wrong: another key would not help.
    stop_environment = "stop environment"

    @property
    def stops(self) -> bool:
        """True if no other task should try."""
        return self in (Action.stop, Action.stop_environment)


@dataclass(frozen=True)
class Verdict:
    """What follows from one attempt to send.

    :ivar rest: the message for the tokens that are to be sent again, or None.
    :ivar retry_after: how long Apple asks to wait, in seconds, or None.
    :ivar cause: why there is a rest, for the log.
    :ivar proves: whether Apple's responses prove that credential, target and topic are right.
    :ivar counts: the tokens that have ended.
    :ivar gone: dead tokens: ``(token, since when in seconds since 1970, reason)``.
    :ivar bad: other tokens that would be rejected again: ``(token, reason)``.
    """

    action: Action
    rest: Optional[Message]
    retry_after: Optional[int]
    cause: str
    proves: bool
    counts: Counts
    gone: Tuple[Tuple[str, int, str], ...] = ()
    bad: Tuple[Tuple[str, str], ...] = ()


def judge(result: Result, dropped: Collection[str] = (), is_proven: bool = False) -> Verdict:
    """Return what a result means.

    :param result: of a message with different tokens.
    :param dropped: tokens of :attr:`Result.unknown` that are not to be sent again.
    :param is_proven: whether a token was accepted before, with this credential by this target. Then
        it is not the environment, however many tokens in a row are refused.
    """
    message, failed = result.message, result.failed
    rest: List[str] = list((result.retry() or _NOTHING).tokens)
    undelivered: List[str] = result.undelivered
    total = len(message.tokens)
    accepted = total - len(failed) - len(undelivered) - len(rest)
    unknown = result.unknown
    left_out = set(dropped).intersection(unknown)
    rest = [token for token in rest if token not in left_out]
    gone = {token: failure for token, failure in failed.items() if failure.is_gone}
    bad = {token: failure for token, failure in failed.items() if token not in gone}

    action, cause = _action(result, is_proven)
    if action is Action.stop:
        rest, undelivered = rest + undelivered, []
    elif action is Action.stop_environment:
        held = [token for token, failure in bad.items() if _may_be_valid_elsewhere(failure)]
        bad = {token: failure for token, failure in bad.items() if token not in set(held)}
        rest += held
    elif rest:
        action = Action.again
    rejected = [_name(failure) for failure in bad.values()]
    rejected += [_name_of_error(result.errors)] * len(undelivered)
    return Verdict(
        action, message.with_tokens(rest), result.retry_after, cause, bool(accepted or gone),
        count(accepted=accepted, gone=len(gone), rejected=rejected, dropped=len(left_out),
              resent=len(unknown) - len(left_out)),
        tuple((token, failure.timestamp or 0, _name(failure)) for token, failure in gone.items()),
        () if result.hint else tuple((token, _name(failure)) for token, failure in bad.items()))


_NOTHING = Message([])


def _action(result: Result, is_proven: bool) -> Tuple[Action, str]:
    """Return what follows, apart from whether there is a rest, and why."""
    for error in result.errors:
        if _stops_everything(error):
            return Action.stop, "Apple rejects it: %s" % error[1]
    if result.hint and not is_proven:
        return Action.stop_environment, result.hint
    return Action.done, "; ".join(str(error[1]) for error in result.errors) or "not sent in time"


def _stops_everything(error: Failure) -> bool:
    """Return True if a response says that the credential is to be mended."""
    if error.status is None:
        return False
    reason = reason_of_response(error.status, error.reason)
    return reason.stops_everything and not reason.retries_reported


def _may_be_valid_elsewhere(failure: Failure) -> bool:
    return (failure.status is not None
            and reason_of_response(failure.status, failure.reason).can_be_valid_elsewhere)


def _name(failure: Failure) -> str:
    """Return a name for a failure of which there are few: a text may have a part of the token."""
    if failure.reason:
        return failure.reason
    if failure.status is not None:
        return "HTTP status %d" % failure.status
    return Result.ERROR_CODES.get(failure[0], "not sent")


def _name_of_error(errors: List[Failure]) -> str:
    """Return why nothing was sent to tokens that it would be rejected for."""
    for error in errors:
        reason = reason_of_response(error.status, error.reason) if error.status else None
        if reason is None or not reason.retries_reported:
            return _name(error)
    return "not sent"


def judge_error(error: BaseException) -> Optional[Tuple[Action, str]]:
    """Return what an exception means that was raised instead of a result: nothing was sent.

    :return: ``(action, cause)``, or None if it is none that is known.
    """
    if isinstance(error, (CertificateError, CertificateRefused, PeerVerificationError)):
        return Action.stop, str(error)
    if isinstance(error, OSError):
        return Action.again, str(error)
    return None


def unsent(message: Message, action: Action, cause: str) -> Verdict:
    """Return the verdict on a message of which nothing was sent."""
    return Verdict(action, message, None, cause, False, count())


def lost(message: Message, dropped: Collection[str], cause: str) -> Verdict:
    """Return the verdict on a message whose outcome is unknown, because sending was interrupted.

    :param dropped: its tokens that are not to be sent again.
    """
    left_out = set(dropped)
    rest = [token for token in message.tokens if token not in left_out]
    dropped_count = len(message.tokens) - len(rest)
    return Verdict(Action.again if rest else Action.done, message.with_tokens(rest), None, cause,
                   False, count(dropped=dropped_count, resent=len(rest)))
