"""One attempt to send a message, and what follows: everything about it but Celery.

An :class:`Order` is what a task has to do; :meth:`Delivery.attempt` does it, and returns what is
left of it as another order, and the seconds until then. It raises nothing that it knows how to
handle.
"""

import logging
import time
from dataclasses import dataclass, field, replace
from random import random
from typing import Callable, Iterable, List, Optional, Tuple, Union

from celery.exceptions import SoftTimeLimitExceeded

from ...message import Message
from ._breaker import Breaker, Permit
from ._counts import Counts, add_counts, count
from ._reports import Report, reports_of
from ._schedule import LAST_TRY, back_off
from ._sessions import CredentialUnavailable, Place, Sessions
from ._verdict import Action, Verdict, judge, judge_error, lost, unsent

__all__ = ["Delivery", "Order", "Outcome", "Policy"]

_log = logging.getLogger("apnsclient.contrib.celery")

#: How many seconds early a task may be.
EARLY = 1.0

#: ``"resend"``, ``"drop"``, or a function of the message and of its tokens that may have got it,
#: which returns those that are sent to again.
Policy = Union[str, Callable[[Message, List[str]], Iterable[str]]]


@dataclass(frozen=True)
class Order:
    """What a task has to do.

    :ivar message: for the tokens that are left.
    :ivar place: names of the credential and of the target.
    :ivar until: when it is too late to send it, in seconds since 1970.
    :ivar attempt: how many attempts in a row have achieved nothing.
    :ivar not_before: when to send it, in seconds since 1970.
    :ivar counts: the tokens that have ended in earlier attempts.
    """

    message: Message
    place: Place
    until: float
    attempt: int = 0
    not_before: float = 0.0
    counts: Counts = field(default_factory=count)


@dataclass(frozen=True)
class Outcome:
    """What became of an attempt.

    :ivar counts: the tokens that have ended, in this attempt and in earlier ones.
    :ivar rest: what is left to do, or None.
    :ivar delay: seconds until then.
    :ivar cause: why something is left (str).
    :ivar reports: what the application is to be told.
    """

    counts: Counts
    rest: Optional[Order] = None
    delay: float = 0.0
    cause: str = ""
    reports: Tuple[Report, ...] = ()


class Delivery:
    """Sends messages for tasks.

    :param policy: what becomes of tokens that may have got the message.
    :param clock: seconds since 1970.
    """

    def __init__(self, sessions: Sessions, breaker: Breaker, policy: Policy,
                 clock: Callable[[], float] = time.time) -> None:
        self._sessions = sessions
        self._breaker = breaker
        self._policy = policy
        self._clock = clock

    def attempt(self, order: Order, timeout: Optional[float]) -> Outcome:
        """Send a message, unless it is too late, too early, or of no use now.

        :param timeout: seconds that sending may take, or None.
        """
        try:
            return self._attempt(order, timeout)
        except SoftTimeLimitExceeded:
            # A signal handler raises it, anywhere: any token may have got the message.
            message = order.message
            kept = self._resent(message, message.tokens)
            return self._follow(order, lost(
                message, set(message.tokens).difference(kept), "the soft time limit is over"))

    def _attempt(self, order: Order, timeout: Optional[float]) -> Outcome:
        now = self._clock()
        if now >= order.until:
            return self._expire(order, "it waited in the broker for too long")
        if now < order.not_before - EARLY:
            return Outcome(order.counts, order, order.not_before - now, "it is too early")
        permit = self._breaker.ask(order.place)
        if not permit.may_send:
            return self._postpone(order, permit.wait * (1 + random() / 4),
                                  "nothing is sent there until that is mended")
        is_settled = False
        try:
            verdict = self._verdict(order, permit, timeout)
            is_settled = self._tell_breaker(order, permit, verdict)
        finally:
            if permit.is_probe and not is_settled:
                self._breaker.give_up(order.place)
        return self._follow(order, verdict)

    def _verdict(self, order: Order, permit: Permit, timeout: Optional[float]) -> Verdict:
        message = order.message
        try:
            with self._sessions.client(order.place, permit.is_probe) as client:
                result = client.send(message, timeout)
        except CredentialUnavailable as error:
            return unsent(message, Action.stop, str(error))
        except Exception as error:
            meaning = judge_error(error)
            if meaning is None:
                raise
            return unsent(message, *meaning)
        unknown = result.unknown
        dropped = set(unknown).difference(self._resent(message, unknown)) if unknown else ()
        # Not by the permit: the session may have taken up another credential since.
        is_proven = result.hint is not None and self._breaker.is_proven(order.place)
        return judge(result, dropped, is_proven)

    def _resent(self, message: Message, unknown: List[str]) -> Iterable[str]:
        """Return the tokens that are sent to again, of those that may have got the message."""
        if callable(self._policy):
            try:
                return list(self._policy(message, list(unknown)))
            except Exception:
                _log.exception("the policy for unknown outcomes raised an exception; %d tokens are "
                               "sent to again", len(unknown))
                return unknown
        return unknown if self._policy == "resend" else ()

    def _tell_breaker(self, order: Order, permit: Permit, verdict: Verdict) -> bool:
        """Tell the other tasks what they have to know; return False if there is nothing."""
        place = order.place
        if verdict.action.stops:
            if verdict.action is Action.stop and self._has_other_credential(place):
                return False
            if self._breaker.fail(place, verdict.cause, permit.is_probe):
                _log.error(
                    "nothing is sent to target %r with credential %r any more: %s. Tasks wait in "
                    "the broker until their messages expire; one tries again in %d s, or at once "
                    "after: celery control apns_close_breaker %s %s", place[1], place[0],
                    verdict.cause, self._breaker.wait(place), place[1], place[0])
            return True
        if not verdict.proves:
            return False
        if not permit.is_proven or permit.is_probe:
            if self._breaker.succeed(place):
                _log.warning("target %r with credential %r works again", place[1], place[0])
        return True

    def _has_other_credential(self, place: Place) -> bool:
        try:
            return self._sessions.has_other_credential(place)
        except Exception:
            # Whoever needs it next gets the error.
            return False

    def _follow(self, order: Order, verdict: Verdict) -> Outcome:
        """Return what follows from a verdict for the task."""
        done = replace(order, counts=add_counts(order.counts, verdict.counts))
        reports = tuple(reports_of(verdict))
        if verdict.rest is None:
            return Outcome(done.counts, reports=reports)
        rest = replace(done, message=verdict.rest,
                       attempt=0 if verdict.proves else order.attempt + 1)
        if verdict.action.stops:
            outcome = self._postpone(rest, max(self._breaker.wait(order.place), 1.0)
                                     * (1 + random() / 4), verdict.cause)
        else:
            outcome = self._again(rest, verdict, 0 if verdict.proves else order.attempt)
        return replace(outcome, reports=reports)

    def _again(self, rest: Order, verdict: Verdict, attempt: int) -> Outcome:
        if verdict.retry_after is None:
            return self._postpone(rest, back_off(attempt, random), verdict.cause)
        delay = verdict.retry_after * (1 + random() / 4)
        when = self._clock() + delay
        if when >= rest.until:
            return self._expire(rest, verdict.cause)
        return Outcome(rest.counts, replace(rest, not_before=when), delay, verdict.cause)

    def _postpone(self, order: Order, delay: float, cause: str) -> Outcome:
        """Put an order off, but not past the time at which it is of use for the last time."""
        now = self._clock()
        left = order.until - now - LAST_TRY
        if left <= 0:
            return self._expire(order, cause)
        delay = min(delay, left)
        return Outcome(order.counts, replace(order, not_before=now + delay), delay, cause)

    @staticmethod
    def _expire(order: Order, cause: str) -> Outcome:
        """Give an order up: it is too late for its tokens."""
        number = len(order.message.tokens)
        _log.warning("a message has expired before %d devices got it: %s", number, cause)
        return Outcome(add_counts(order.counts, count(expired=number)))
