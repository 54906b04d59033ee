"""What an application makes: its push tasks."""

import uuid
import weakref
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Set, Tuple

from celery import Celery, signals, signature
from celery.backends.base import DisabledBackend

from ...message import Message
from ._breaker import Breaker, Pauses
from ._control import register_commands
from ._delivery import Delivery, Policy
from ._fan_out import (
    Campaign,
    Chunks,
    chunk_id,
    collect,
    cut,
    pieces_of,
    read_source,
    start_collecting,
    sum_of_eager,
)
from ._messages import dump_message, last_moment
from ._reports import OnBadToken, OnGone, Reports
from ._sessions import Credential, Lifetimes, Options, Sessions, TargetValue
from ._tasks import Machinery, PushTask, Source, hand_over, poll_feedback, send

__all__ = ["PushTasks"]

#: How each task is run. A task whose worker dies is run by another one, and a task that is tried
#: again is limited by time, not by a number.
_OPTIONS: Dict[str, Any] = {
    "acks_late": True, "reject_on_worker_lost": True, "max_retries": None, "serializer": "json"}
#: Most bytes of a name in UTF-8.
_LONGEST_NAME = 80


class PushTasks:
    """The push tasks of a Celery application.

    Make them in the module that makes the application, or in one that a worker imports before it
    forks (``include``, ``imports``): the processes of a worker share the memory of the circuit
    breaker.

    :param app: the application (``celery.Celery``).
    :param credentials: called with the name of a credential (str), in the workers. It returns
        arguments of :meth:`Session.get_connection() <apnsclient.transport.Session.get_connection>`
        (dict), or a :class:`~apnsclient.provider_token.ProviderToken`. It is asked again at an
        interval, and when a credential is refused; when it gives another one, that is used.
    :param targets: by name, where messages are sent to: an address, as ``get_connection()`` takes
        it, or a dict with ``"address"`` and options of
        :class:`~apnsclient.transport.Session`.
    :param on_gone: called with ``(token, since, reason)`` for each token that is dead: str, an
        aware ``datetime`` in UTC, str. At least once, so that it has to be idempotent; if it raises
        an exception, it is called again by another task, for a day.
    :param on_bad_token: called with ``(token, reason)`` for each other token that was rejected: it
        may be valid for another target or topic. Not called while the environment looks wrong.
    :param unknown: what becomes of tokens that may have got the message, since there was no
        response: ``"resend"``, ``"drop"``, or a function that is called with the
        :class:`~apnsclient.apns.Message` and a list of these tokens, and returns those to send to
        again.
    :param session_options: options of each session (dict), or a function without arguments that
        returns them, and is called in each process.
    :param sources: by name, functions that give the tokens of a campaign piece by piece. Each is
        called with the last token that it gave (``""`` at first), and with how many it may give;
        and with the ``arguments`` of the campaign by name. It returns the tokens that follow, in a
        fixed order; none at the end.
    :param chunk_tokens: most tokens of a task of a campaign (int, from 1).
    :param chunk_bytes: most bytes that they take (int).
    :param credential_interval: seconds after which ``credentials`` is asked again (float).
    :param session_age: seconds after which a session is replaced by a new one (float), since a
        connection knows only the applications of its first push.
    :param probe_after: seconds from when the circuit breaker opens to the first probe (float). The
        pause doubles with each probe that fails.
    :param probe_at_most: longest pause (float).
    :param prefix: how the names of the tasks begin (str).
    :raises ValueError: if there is no target, a name or a number is not valid, or the application
        has push tasks with the same prefix.

    :ivar app: the application.
    :ivar send_push: the task that sends one message.
    :ivar poll_feedback: the task that reads the feedback, for beat.
    """

    def __init__(self, app: "Celery", credentials: Callable[[str], Credential],
                 targets: Mapping[str, TargetValue], *, on_gone: Optional[OnGone] = None,
                 on_bad_token: Optional[OnBadToken] = None, unknown: Policy = "resend",
                 session_options: Optional[Options] = None,
                 credential_interval: float = 300.0, session_age: float = 21600.0,
                 probe_after: float = 30.0, probe_at_most: float = 300.0,
                 sources: Optional[Mapping[str, Source]] = None, chunk_tokens: int = 1000,
                 chunk_bytes: int = 131072, prefix: str = "apns.") -> None:
        names = _check_names(targets)
        _check_policy(unknown)
        _check_numbers(credential_interval=credential_interval, session_age=session_age,
                       probe_after=probe_after, probe_at_most=probe_at_most,
                       chunk_tokens=chunk_tokens, chunk_bytes=chunk_bytes)
        _claim_prefix(app, prefix)
        breaker = Breaker(Pauses(probe_after, probe_at_most))
        sessions = Sessions(
            credentials, targets, session_options or {},
            Lifetimes(credential_interval, session_age), breaker.forget_proof, on_gone is not None)
        self._machinery = Machinery(
            sessions, breaker, Delivery(sessions, breaker, unknown),
            Reports(on_gone, on_bad_token), prefix, names, dict(sources or {}), chunk_tokens,
            chunk_bytes)
        self.app = app
        self.send_push = self._register(prefix, "send_push", send)
        self.poll_feedback = self._register(prefix, "poll_feedback", poll_feedback)
        self._send_chunk = self._register(prefix, "send_chunk", send)
        self._read_source = self._register(prefix, "read_source", read_source)
        for name, function in (("collect", collect), ("hand_over", hand_over)):
            self._register(prefix, name, function)
        register_commands()
        signals.worker_init.connect(self._take_limits)
        signals.worker_process_shutdown.connect(self.close)
        signals.worker_shutdown.connect(self.close)

    def _register(self, prefix: str, name: str, function: Callable[..., Any]) -> PushTask:
        register: Any = self.app.task
        task: PushTask = register(
            function, name=prefix + name, base=PushTask, bind=True, shared=False,
            machinery=self._machinery, **_OPTIONS)
        return task

    def fan_out(self, message: Message, tokens: Optional[Iterable[Any]] = None, *,
                source: Optional[str] = None, arguments: Optional[Mapping[str, Any]] = None,
                target: Optional[str] = None, credential: str = "default",
                callback: Optional[Mapping[str, Any]] = None, collapse: bool = False,
                retry_for: Optional[float] = None) -> Campaign:
        """Queue a message for any number of tokens, in chunks, each a task of its own.

        Give the tokens in one of three ways: in the message, as an iterable, which is read while
        chunks are queued, or as the name of a source, which workers read. Neither holds more than a
        chunk in memory.

        :param message: the :class:`~apnsclient.apns.Message`, without tokens unless it has all.
        :param tokens: any iterable of device tokens (str or bytes).
        :param source: name of a source (str).
        :param arguments: what the source is called with by name (dict, in JSON).
        :param target: name of a target (str); None for the only one.
        :param credential: name of a credential (str).
        :param callback: signature of a task that is called with the :class:`Counts` of all chunks
            (dict) when the last one has ended. It needs a result back-end.
        :param collapse: whether a device shows the notification once, however often it gets it.
        :param retry_for: seconds until it is too late to send it (float); None until the message
            expires.
        :return: the :class:`Campaign`.
        :raises ValueError: if the tokens come from nowhere or from several places, a name is not
            known, the message cannot be sent, or there is no result back-end for the callback.
        """
        machinery = self._machinery
        self._check_campaign(message, tokens, source, callback)
        state = dump_message(message)
        state["tokens"] = []
        now = machinery.clock()
        options = {
            "target": machinery.check_target(target), "credential": credential,
            "collapse": collapse, "campaign": str(uuid.uuid4()),
            "until": last_moment(message.expiry, now) if retry_for is None else now + retry_for}
        if source is None or self.app.conf.task_always_eager:
            if source is not None:
                tokens = pieces_of(machinery, source, arguments or {})
            return self._cut_up(message.tokens if tokens is None else tokens, state, options,
                                callback)
        campaign = str(options["campaign"])
        # The worker that reads the first piece queues the next one.
        self._read_source.apply_async(
            (state, source, dict(arguments or {}), options, callback and dict(callback)),
            task_id=chunk_id(campaign, "source 0"), ignore_result=callback is None)
        return Campaign(campaign)

    def _check_campaign(self, message: Message, tokens: Optional[Iterable[Any]],
                        source: Optional[str], callback: Optional[Mapping[str, Any]]) -> None:
        if (tokens is None) + (source is None) + (not message.tokens) != 2:
            raise ValueError("the tokens come from one of these: the message, the argument tokens, "
                             "or the argument source")
        sources = self._machinery.sources
        if source is not None and source not in sources:
            raise ValueError("source is %r, expected one of %s" % (
                source, ", ".join(map(repr, sources)) or "none: there are no sources"))
        if callback is not None and isinstance(self.app.backend, DisabledBackend):
            raise ValueError("a callback needs a result back-end, which has the counts of the "
                             "chunks until they are added up: set result_backend")

    def _cut_up(self, tokens: Iterable[Any], state: Mapping[str, Any], options: Mapping[str, Any],
                callback: Optional[Mapping[str, Any]]) -> Campaign:
        """Publish the chunks of an iterable, and what collects their counts."""
        machinery, campaign = self._machinery, str(options["campaign"])
        chunks = Chunks(self._send_chunk, state, options, callback is not None)
        number = total = 0
        eager: List[Any] = []
        is_eager = self.app.conf.task_always_eager
        for piece in cut(tokens, machinery.chunk_tokens, machinery.chunk_bytes):
            result = chunks.publish(number, piece)
            if is_eager:
                eager.append(result)
            number, total = number + 1, total + len(piece)
        if callback is not None and is_eager:
            signature(dict(callback), app=self.app).apply_async((sum_of_eager(eager),))
        elif callback is not None:
            start_collecting(self._send_chunk, campaign, number, callback, options["until"])
        return Campaign(campaign, number, total)

    def _take_limits(self, sender: Any = None, **_: Any) -> None:
        """Take the time limits of a worker from its options, before it forks."""
        limits = self._machinery.limits
        limits.hard = getattr(sender, "time_limit", None)
        limits.soft = getattr(sender, "soft_time_limit", None)

    def close(self, **_: Any) -> None:
        """Close the connections of this process. A worker does it when it ends."""
        self._machinery.sessions.close()

    def __repr__(self) -> str:
        return "<%s of %r to %s>" % (
            type(self).__name__, self.app.main, ", ".join(self._machinery.targets))


def _check_names(targets: Mapping[str, TargetValue]) -> Tuple[str, ...]:
    for name in targets:
        if not isinstance(name, str) or len(name.encode("utf-8")) > _LONGEST_NAME:
            raise ValueError("the name of a target is %.200r, expected a str of at most %d bytes"
                             % (name, _LONGEST_NAME))
    if not targets:
        raise ValueError("targets is empty, expected an address for each name")
    return tuple(targets)


def _check_policy(unknown: Policy) -> None:
    if unknown not in ("resend", "drop") and not callable(unknown):
        raise ValueError("unknown is %r, expected \"resend\", \"drop\" or a function" % (unknown,))


def _check_numbers(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError("%s is %r, expected a number above 0" % (name, number))


#: Prefixes by application: Celery would keep the first of two tasks with the same name.
_prefixes: "weakref.WeakKeyDictionary[Celery, Set[str]]" = weakref.WeakKeyDictionary()


def _claim_prefix(app: Celery, prefix: str) -> None:
    taken = _prefixes.setdefault(app, set())
    if prefix in taken:
        raise ValueError("the application has push tasks with the prefix %r, expected another one "
                         "for more" % prefix)
    taken.add(prefix)
