"""The tasks: what Celery runs, around what decides.

They go back to the broker by ``Task.retry()``: a task keeps its identifier however often it is
tried again, and what is published has only the tokens that are left. If that cannot be published,
the task is rejected, so that the broker gives it to a worker again as it was.
"""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Tuple, cast

from celery import Task, states
from celery.exceptions import Reject, Retry

from ..._compat import MYPY
from ...message import Message
from ._breaker import Breaker
from ._counts import Counts, add_counts, count
from ._delivery import Delivery, Order, Outcome
from ._messages import dump_message, last_moment, load_message
from ._reports import Report, Reports
from ._schedule import back_off, longest_countdown
from ._sessions import Sessions

if MYPY:
    AnyTask = Task[Any, Any]
else:
    AnyTask = Task

__all__ = ["Machinery", "PushTask", "SendLater", "TimeLimits", "go_back", "hand_over",
           "poll_feedback", "send"]

#: What makes a namespace of a task's identifier that is no UUID.
_NAMESPACE = uuid.UUID("5e3cf5b4-4c35-4f0d-9e1f-5d1c6fd0a9c2")
#: For how many seconds it is tried to give reports to the application.
_REPORT_FOR = 86400.0


#: Returns tokens that come after one in a fixed order, in that order, and at most so many.
Source = Callable[..., Iterable[str]]


class SendLater(Exception):
    """Says why a task goes back to the broker; the log of the worker has it."""


@dataclass
class TimeLimits:
    """The time limits of the worker's pool in seconds, which its options may have set, or None."""

    hard: Optional[float] = None
    soft: Optional[float] = None


@dataclass(frozen=True)
class Machinery:
    """What the tasks of one :class:`PushTasks` share."""

    sessions: Sessions
    breaker: Breaker
    delivery: Delivery
    reports: Reports
    #: How the names of the tasks begin.
    prefix: str
    #: The names of the targets.
    targets: Tuple[str, ...]
    sources: Mapping[str, Source]
    chunk_tokens: int
    chunk_bytes: int
    clock: Callable[[], float] = time.time
    limits: TimeLimits = field(default_factory=TimeLimits)

    def check_target(self, target: Optional[str]) -> str:
        """Return the name of a target, the only one if it is None.

        :raises ValueError: if there is none of that name, or there are several to choose from.
        """
        if target is None and len(self.targets) == 1:
            return self.targets[0]
        if target not in self.targets:
            raise ValueError("target is %r, expected one of %s" % (
                target, ", ".join(map(repr, self.targets))))
        return target


class PushTask(AnyTask):
    """Base class of the tasks that send: turns a message into JSON where it is queued."""

    abstract = True
    machinery: Machinery

    def apply_async(self, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        """Queue the task; see Celery. The first argument may be a message."""
        args, kwargs = self._in_json(args, kwargs)
        # Celery would put the beginning of both into events and into what "inspect" shows.
        options.setdefault("argsrepr", _describe(args, kwargs))
        options.setdefault("kwargsrepr", "{...}")
        return super().apply_async(args, kwargs, *rest, **options)

    def signature(self, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        """Return a signature; see Celery. The first argument may be a message."""
        args, kwargs = self._in_json(args, kwargs)
        return super().signature(args, kwargs, *rest, **options)

    def _in_json(self, args: Any, kwargs: Any) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:
        args, kwargs = tuple(args or ()), dict(kwargs or {})
        message = args[0] if args else kwargs.get("message")
        if not isinstance(message, Message):
            return args, kwargs
        if not message.tokens:
            raise ValueError("the message has no tokens, expected at least one")
        state = dump_message(message)
        if args:
            args = (state,) + args[1:]
        else:
            kwargs["message"] = state
        if len(args) < 2:
            kwargs["target"] = self.machinery.check_target(kwargs.get("target"))
        now, retry_for = self.machinery.clock(), kwargs.pop("retry_for", None)
        if retry_for is not None:
            kwargs["until"] = now + retry_for
        elif kwargs.get("until") is None:
            kwargs["until"] = last_moment(message.expiry, now)
        return args, kwargs


def _describe(args: Tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return what logs and events show instead of the arguments."""
    message = args[0] if args else kwargs.get("message")
    if not isinstance(message, Mapping):
        return "(...)"
    tokens: Any = cast("Mapping[str, Any]", message).get("tokens", ())
    return "(<message to %d tokens>, ...)" % len(tokens)


def sibling(task: PushTask, name: str) -> PushTask:
    """Return another task of the same push tasks."""
    found: Any = task.app.tasks[task.machinery.prefix + name]
    assert isinstance(found, PushTask)
    return found


def send(task: PushTask, message: Any, target: Optional[str] = None, credential: str = "default",
         collapse: bool = False, until: Optional[float] = None, campaign: Optional[str] = None,
         progress: Optional[Dict[str, Any]] = None) -> Counts:
    """Send a message, and return what became of its tokens.

    :param message: as :func:`dump_message` makes it.
    :param target: name of a target.
    :param credential: name of a credential.
    :param collapse: whether a device shows the notification once, however often it gets it.
    :param until: when it is too late to send it, in seconds since 1970.
    :param campaign: identifier of the campaign that it is a piece of, or None.
    :param progress: what earlier attempts have left.
    """
    machinery = task.machinery
    started = time.monotonic()
    loaded = message if isinstance(message, Message) else load_message(message)
    _identify(loaded, campaign or task.request.id or str(uuid.uuid4()), collapse)
    tokens = len(loaded.tokens)
    if campaign is not None and not task.request.ignore_result and not task.request.is_eager:
        result = task.AsyncResult(str(task.request.id))
        if result.state == states.SUCCESS:
            # It was published twice, or its worker died before the broker knew of its end.
            known: Any = result.result
            return add_counts(count(), known)
    progress = progress or {"attempt": 0, "not_before": 0.0, "counts": count(tokens=tokens)}
    order = Order(
        loaded, (credential, machinery.check_target(target)),
        last_moment(loaded.expiry, machinery.clock()) if until is None else until,
        progress["attempt"], progress["not_before"], progress["counts"])
    limit = time_limit(task)
    outcome = machinery.delivery.attempt(order, max(limit - (time.monotonic() - started), 0.1))
    left = machinery.reports.deliver(outcome.reports, started + limit)
    if left:
        _publish_reports(task, left)
    if outcome.rest is not None:
        _go_back(task, outcome, {"collapse": collapse, "campaign": campaign})
    return outcome.counts


def _identify(message: Message, identifier: str, collapse: bool) -> None:
    """Give a message what makes its notifications recognisable when they are sent again."""
    try:
        namespace = uuid.UUID(identifier)
    except ValueError:
        namespace = uuid.uuid5(_NAMESPACE, identifier)
    if message.apns_id is None and message.apns_id_namespace is None:
        message.apns_id_namespace = str(namespace)
    if collapse and message.apns_collapse_id is None:
        message.apns_collapse_id = str(namespace)


def time_limit(task: PushTask) -> float:
    """Return how long a task should take, in seconds, so that the rest can go back in time."""
    hard, soft = task.request.timelimit or (None, None)
    pool, conf = task.machinery.limits, task.app.conf
    limits = [limit for limit in (
        soft or task.soft_time_limit or pool.soft or conf.task_soft_time_limit,
        hard or task.time_limit or pool.hard or conf.task_time_limit,
        _longest_countdown(task)) if limit]
    limit = float(min(limits))
    return limit - min(max(limit / 10, 2.0), limit / 2)


def _longest_countdown(task: AnyTask) -> float:
    conf: Any = task.app.conf
    # The environment may name the broker; only these attributes know that.
    return longest_countdown(conf.broker_read_url, conf.broker_transport_options)


def _go_back(task: PushTask, outcome: Outcome, kwargs: Dict[str, Any]) -> None:
    """Give what is left to the broker."""
    order = outcome.rest
    assert order is not None
    kwargs.update(
        target=order.place[1], credential=order.place[0], until=order.until, progress={
            "attempt": order.attempt, "not_before": order.not_before, "counts": order.counts})
    go_back(task, (dump_message(order.message),), kwargs, outcome.delay, outcome.cause)


def go_back(task: AnyTask, args: Tuple[Any, ...], kwargs: Dict[str, Any], delay: float,
            cause: str) -> None:
    """Publish a task again, with other arguments, and raise what tells Celery.

    :param delay: seconds to wait; a broker that would not wait as long gets the task in between.
    :param cause: why, for the log.
    """
    request, why = task.request, SendLater(cause)
    if request.called_directly or request.is_eager:
        # There is no broker. Celery would run the task again at once, and for ever.
        when: Any = delay
        raise Retry(cause, why, when)
    countdown = min(delay, _longest_countdown(task))
    try:
        task.retry(args, kwargs, exc=why, countdown=countdown,
                   ignore_result=request.ignore_result)
    except Reject as error:
        # Its arguments are the reason and False.
        raise Reject(error.args[0], requeue=True) from error


def _publish_reports(task: PushTask, left: List[Report]) -> None:
    try:
        sibling(task, "hand_over").apply_async(
            (left, task.machinery.clock() + _REPORT_FOR), countdown=back_off(0, _half))
    except Exception as error:
        # Sending again is the lesser evil.
        raise Reject(error, requeue=True) from error


def _half() -> float:
    return 0.5


def hand_over(task: PushTask, reports: List[Report], until: float, attempt: int = 1) -> int:
    """Give tokens to the application that it did not take; return how many it took.

    :param reports: what is left, see :class:`Reports`.
    :param until: until when it is tried, in seconds since 1970.
    """
    machinery = task.machinery
    left = machinery.reports.deliver(reports, time.monotonic() + time_limit(task))
    if left:
        if machinery.clock() >= until:
            raise RuntimeError("the application has not taken %d dead or bad tokens" % len(left))
        attempt = attempt + 1 if len(left) == len(reports) else 0
        go_back(task, (left, until, attempt), {}, back_off(attempt, _half),
                "the application has not taken %d tokens yet" % len(left))
    return len(reports)


def poll_feedback(task: PushTask, target: Optional[str] = None,
                  credential: str = "default") -> int:
    """Give the application the tokens of the feedback; return how many.

    :param target: name of a target: over HTTP/2 one where messages are sent to, and otherwise the
        feedback service.
    """
    machinery, started = task.machinery, time.monotonic()
    place = (credential, machinery.check_target(target))
    with machinery.sessions.client(place) as client:
        reports: List[Report] = [
            (token.decode("ascii"), int(since.timestamp()), "feedback")
            for token, since in client.feedback()]
    left = machinery.reports.deliver(reports, started + time_limit(task))
    if left:
        _publish_reports(task, left)
    return len(reports)
