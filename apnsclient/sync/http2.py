"""Sending, and the feedback in the responses, over the HTTP/2 provider API."""

from __future__ import absolute_import, division, print_function

import atexit
from functools import partial

import six

from .._compat import MYPY
from ..errors import ConnectionLost
from ..feedback_store import source_of
from ..sending.calls import Call
from ..sending.work import Request
from .handle import Connection
from .intake import Intake, work_of

if MYPY:
    from typing import Any, Generator, Iterable, List, Optional, Sequence, Tuple

    from ..message import Message
    from ..protocols.http2.events import Response
    from ..result import Result
    from .host import Host

__all__ = ["Http2Connection"]

#: Not empty once the interpreter has begun to exit.
_exit_began = []  # type: List[bool]
atexit.register(_exit_began.append, True)


class Http2Connection(Connection):
    """A handle to a host of Apple's HTTP/2 provider API."""

    protocol = "http2"

    #: Seconds after which dead tokens are stored although there is more to be sent.
    SAVE_EVERY = 10

    def send(self, message, timeout=None):
        # type: (Message, Optional[float]) -> Result
        """Send one message; see :meth:`apnsclient.apns.APNs.send`."""
        shared = self._shared
        work = work_of(message, message.request_template(
            self.certificate.default_topic, shared.warn))  # type: Any
        call, host = Call(shared.deadline(timeout)), self._host()
        try:
            if not host.drive(call, [work]):
                self._raise(call.failure)
            result = next(work.results(partial(shared.refusals.hint, self._key)))  # type: Result
            return result
        finally:
            # No reference to the frames of the exception, which would outlive the call.
            call.failure = None
            host.leave(call)
            shared.feedback.save()

    def send_many(self, messages, timeout=None):
        # type: (Iterable[Message], Optional[float]) -> Generator[Result, None, None]
        """Send many messages; see :meth:`apnsclient.apns.APNs.send_many`.

        An exception, be it of the iterable, of a message that cannot be encoded, or of the
        back-end, is raised after the results of what had been sent before.
        """
        shared, feedback, clock = self._shared, self._shared.feedback, self._shared.backend.clock
        intake = Intake(messages, self.certificate.default_topic, shared.warn, clock)
        call, hint = Call(shared.deadline(timeout)), partial(shared.refusals.hint, self._key)
        host, save_at = None, clock() + self.SAVE_EVERY  # type: Optional[Host], float
        try:
            while not (call.is_empty and (intake.is_over or call.failure is not None)):
                works = intake.take() if self._can_bring(call, host) else []
                if works or not call.is_empty:
                    call.has_more, call.is_slow = intake.can_take, intake.is_slow
                    host = self._host(host, call)
                    for work in host.drive(call, works):
                        intake.note_results(work.message_count)
                        for result in work.results(hint):
                            yield result
                if clock() > save_at:
                    feedback.save()
                    save_at = clock() + self.SAVE_EVERY
            self._raise(call.failure or intake.failure)
        except GeneratorExit:
            if _exit_began:
                # What the connections are made of may be gone in part.
                host = None
            raise
        finally:
            # No reference to the frames of the exception, which would outlive the call.
            call.failure = intake.failure = None
            if host is not None:
                host.leave(call)
            feedback.save()

    def _can_bring(self, call, host):
        # type: (Call, Optional[Host]) -> bool
        """Return True if a caller is to bring more work, or has results to take before.

        :param host: who may be sending what it has brought, or None.
        """
        is_ready = host is None or self._host(host, call).is_ready(call)
        return is_ready and call.failure is None

    @staticmethod
    def _raise(failure):
        # type: (Any) -> None
        """Raise what was caught before, if anything was."""
        try:
            if failure is not None:
                six.reraise(*failure)
        finally:
            # The frames of the exception would refer to themselves.
            del failure

    def _host(self, last=None, call=None):
        # type: (Optional[Host], Any) -> Host
        """Return the host for this process; the one of a parent process is given up."""
        host = self._shared.host(self.address, self.certificate, self._is_cached, last)
        if last is not None and host is not last:
            last.lose_all(call, "the connection to %s:%s belongs to the parent process; open "
                          "another one after fork()" % self.address)
        return host

    def feedback(self):
        # type: () -> Generator[Tuple[int, bytes], None, None]
        """Read what the session's store of feedback has for this environment and application.

        Rows that the caller does not come to are put back.
        """
        feedback = self._shared.feedback
        source = source_of(self.address, self.certificate)
        rows = feedback.drain(source)
        done = 0
        try:
            for token, timestamp in rows:
                done += 1
                yield timestamp, token
        finally:
            if done < len(rows):
                feedback.add(source, rows[done:])
                feedback.save()

    def request(self, method, path, fields=(), body=b""):
        # type: (bytes, bytes, Sequence[Tuple[bytes, bytes]], bytes) -> Response
        """Send any other request, and wait for the response: for the management of channels.

        Where another connection may get another response, it is tried once, with a new provider
        token if the old one has expired.

        :param method: like ``b"GET"``.
        :param path: path of the request (bytes).
        :param fields: ``(name, value)`` pairs of its header (bytes).
        :param body: its body (bytes).
        :return: the :class:`~apnsclient.protocols.http2.events.Response`, whatever its status.
        :raises ~apnsclient.errors.ConnectionLost: if there was none.
        :raises ValueError: if the server does not take a header as long as that.
        :raises Exception: whatever the back-end raises when it cannot connect.
        """
        work, call, host = Request(method, path, fields, body), Call(), self._host()
        try:
            host.drive(call, [work])
            self._raise(call.failure)
        finally:
            call.failure = None
            host.leave(call)
        if work.error is not None:
            raise work.error
        if work.response is None:
            raise ConnectionLost("no response from %s:%d: %s" % (self.address + (work.problem,)))
        return work.response

    @property
    def _key(self):
        # type: () -> Any
        return self.address, self.certificate

    def _state(self):
        # type: () -> str
        state = super(Http2Connection, self)._state()
        if self._is_cached:
            backend = self._shared.backend
            state += ", %d in use, %d callers waiting" % (
                backend.in_use_count(*self._key), self._shared.count_callers(*self._key))
        return state
