"""A line for each notification that a simulator is sent: noted by its thread, shown by ours."""

from __future__ import absolute_import, division, print_function

import time
from collections import deque

from .._compat import MYPY
from ..result import Result
from ._console import Failure, OutputClosed, printable

if MYPY:
    from typing import Any, Callable, Deque, Optional, Sequence, Tuple

    from ._console import Console

__all__ = ["Arrivals"]

#: How many may wait to be shown, if whoever reads is slower than those who send.
_LARGEST_BACKLOG = 10000

#: What is noted of one: time, connection, protocol, token, topic, push type, status and reason.
_FIELDS = ("time", "connection", "protocol", "token", "topic", "push_type", "status", "reason")


class Arrivals(object):
    """Shows what arrives. That nobody reads it does not disturb the simulator.

    :param console: where to.
    :param wake: called, by the simulator's thread, when there is something to be shown.
    :param as_json: whether each is shown as an object (bool).
    :param is_wanted: False shows nothing.
    """

    def __init__(self, console, wake, as_json, is_wanted):
        # type: (Console, Callable[[], None], bool, bool) -> None
        self._console = console
        self._wake = wake
        self._as_json = as_json
        self._is_wanted = is_wanted
        self._waiting = deque()  # type: Deque[Tuple[Any, ...]]
        self._skipped = 0
        self._failure = None  # type: Optional[Exception]

    # Called by the simulator's thread.

    def accept(self, notifications):
        # type: (Sequence[Any]) -> None
        """Note notifications that were accepted."""
        for one in notifications:
            is_http2 = one.headers is not None
            self._note(one, "http2" if is_http2 else "binary", 200 if is_http2 else 0, None)

    def refuse(self, one):
        # type: (Any) -> None
        """Note one that was refused."""
        # Apple's old statuses are below 256, those of HTTP that refuse something are not.
        self._note(one, "binary" if one.status < 256 else "http2", one.status, one.reason)

    def _note(self, one, protocol, status, reason):
        # type: (Any, str, int, Optional[str]) -> None
        if not self._is_wanted:
            return
        if len(self._waiting) >= _LARGEST_BACKLOG:
            self._skipped += 1
            return
        self._waiting.append((time.time(), one.connection, protocol, one.token, one.topic,
                              one.push_type, status, reason))
        self._wake()

    # Called by the command's own.

    def show(self):
        # type: () -> None
        """Show what has come since the last call."""
        try:
            while self._waiting:
                self._show(self._waiting.popleft())
            skipped, self._skipped = self._skipped, 0
            if skipped and not self._as_json:
                self._console.line("... and %d more, which came too fast to be shown" % skipped)
            self._console.flush()
        except (Failure, OutputClosed) as error:
            self._is_wanted, self._failure = False, error
            self._waiting.clear()

    def raise_failure(self):
        # type: () -> None
        """Raise what kept the output from being written, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _show(self, row):
        # type: (Tuple[Any, ...]) -> None
        values = dict(zip(_FIELDS, row))
        token = printable(values["token"] or "")
        values["token"] = None if not token else token if len(token) <= 8 else token[:8] + "..."
        if self._as_json:
            self._console.document(dict(values, event="notification"))
            return
        if values["status"] in (0, 200):
            answer = "accepted"
        elif values["protocol"] == "binary":
            answer = "%d %s" % (values["status"], Result.ERROR_CODES.get(values["status"], ""))
        else:
            answer = "%d %s" % (values["status"], values["reason"] or "")
        self._console.line("%s  %-6s  %-11s  %s  %s  %s" % (
            time.strftime("%H:%M:%S", time.localtime(values["time"])), values["protocol"],
            values["token"] or "-", printable(values["topic"] or "-"),
            printable(values["push_type"] or "-"), answer.strip()))
