"""A line for each notification that a simulator receives: queued by its thread, written by ours."""

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

#: How many may be queued, if the output is slower than the senders.
_LARGEST_BACKLOG = 10000

#: What is shown of each notification.
_FIELDS = ("time", "connection", "protocol", "token", "topic", "push_type", "status", "reason")


class Arrivals(object):
    """Shows notifications. The simulator goes on if the output cannot be written.

    :param console: what they are written to.
    :param wake: called, by the simulator's thread, when there is something to show.
    :param as_json: whether each is written as a JSON object (bool).
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
        """Queue notifications that were accepted."""
        for one in notifications:
            is_http2 = one.headers is not None
            self._queue(one, "http2" if is_http2 else "binary", 200 if is_http2 else 0, None)

    def reject(self, one):
        # type: (Any) -> None
        """Queue one that was rejected."""
        # A status of the binary protocol is below 256, one of HTTP that means an error is not.
        self._queue(one, "binary" if one.status < 256 else "http2", one.status, one.reason)

    def _queue(self, one, protocol, status, reason):
        # type: (Any, str, int, Optional[str]) -> None
        if not self._is_wanted:
            return
        if len(self._waiting) >= _LARGEST_BACKLOG:
            self._skipped += 1
            return
        self._waiting.append((time.time(), one.connection, protocol, one.token, one.topic,
                              one.push_type, status, reason))
        self._wake()

    # Called by the command's own thread.

    def show(self):
        # type: () -> None
        """Show what has been queued since the last call."""
        try:
            while self._waiting:
                self._show(self._waiting.popleft())
            skipped, self._skipped = self._skipped, 0
            if skipped and not self._as_json:
                self._console.line("... and %d more, too fast to be shown" % skipped)
            self._console.flush()
        except (Failure, OutputClosed) as error:
            self._is_wanted, self._failure = False, error
            self._waiting.clear()

    def raise_failure(self):
        # type: () -> None
        """Raise the exception that kept the output from being written, if there was one."""
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
            response = "accepted"
        elif values["protocol"] == "binary":
            response = "%d %s" % (values["status"], Result.ERROR_CODES.get(values["status"], ""))
        else:
            response = "%d %s" % (values["status"], values["reason"] or "")
        self._console.line("%s  %-6s  %-11s  %s  %s  %s" % (
            time.strftime("%H:%M:%S", time.localtime(values["time"])), values["protocol"],
            values["token"] or "-", printable(values["topic"] or "-"),
            printable(values["push_type"] or "-"), response.strip()))
