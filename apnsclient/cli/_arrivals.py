"""A line for each notification or request that a simulator gets: its thread queues, ours writes."""

from __future__ import absolute_import, division, print_function

import time
from collections import deque

from .._compat import MYPY
from ..result import Result
from ._console import Failure, OutputClosed, printable

if MYPY:
    from typing import Any, Callable, Deque, Dict, Optional, Sequence

    from ._console import Console

__all__ = ["Arrivals"]

#: How many may be queued, if the output is slower than the senders.
_LARGEST_BACKLOG = 10000

#: How the paths of notifications begin: to a device, and to a channel.
_NOTIFICATIONS = ("/3/device/", "/4/broadcasts/")


class Arrivals(object):
    """Shows what arrives. The simulator goes on if the output cannot be written.

    :param console: what it is written to.
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
        self._waiting = deque()  # type: Deque[Dict[str, Any]]
        self._skipped = 0
        self._failure = None  # type: Optional[Exception]

    # Called by the simulator's thread.

    def accept(self, notifications):
        # type: (Sequence[Any]) -> None
        """Queue notifications that were accepted."""
        for one in notifications:
            is_http2 = one.headers is not None
            self._queue_notification(
                one, "http2" if is_http2 else "binary", 200 if is_http2 else 0, None)

    def reject(self, one):
        # type: (Any) -> None
        """Queue an error response: to a notification, or to a request about channels."""
        if one.path is not None and not one.path.startswith(_NOTIFICATIONS):
            self._queue_request(one, one.reason)
        else:
            self._queue_notification(
                one, "binary" if one.path is None else "http2", one.status, one.reason)

    def manage(self, one):
        # type: (Any) -> None
        """Queue a request about channels that succeeded."""
        self._queue_request(one, None)

    def _queue_notification(self, one, protocol, status, reason):
        # type: (Any, str, int, Optional[str]) -> None
        if self._has_room():
            self._queue(one, event="notification", protocol=protocol, token=one.token,
                       topic=one.topic, push_type=one.push_type, status=status, reason=reason)

    def _queue_request(self, one, reason):
        # type: (Any, Optional[str]) -> None
        if self._has_room():
            self._queue(one, event="request", protocol="http2", method=one.method, path=one.path,
                       status=one.status, reason=reason)

    def _has_room(self):
        # type: () -> bool
        """Return True if one more is to be shown."""
        if self._is_wanted and len(self._waiting) >= _LARGEST_BACKLOG:
            self._skipped += 1
            return False
        return self._is_wanted

    def _queue(self, one, **values):
        # type: (Any, **Any) -> None
        self._waiting.append(dict(values, time=time.time(), connection=one.connection))
        self._wake()

    # Called by the command's own thread.

    def show(self):
        # type: () -> None
        """Show what has come since the last call."""
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
        """Raise what kept the output from being written, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _show(self, values):
        # type: (Dict[str, Any]) -> None
        if "token" in values:
            token = printable(values["token"] or "")
            values["token"] = None if not token else token if len(token) <= 8 else token[:8] + "..."
        if self._as_json:
            self._console.document(values)
            return
        self._console.line("%s  %-6s  %s" % (
            time.strftime("%H:%M:%S", time.localtime(values["time"])), values["protocol"],
            _show_notification(values) if "token" in values else _show_request(values)))


def _show_notification(values):
    # type: (Dict[str, Any]) -> str
    status = values["status"]
    if status in (0, 200):
        response = "accepted"
    elif values["protocol"] == "binary":
        response = ("%d %s" % (status, Result.ERROR_CODES.get(status, ""))).strip()
    else:
        response = _show_response(values)
    return "%-11s  %s  %s  %s" % (
        values["token"] or "-", printable(values["topic"] or "-"),
        printable(values["push_type"] or "-"), response)


def _show_request(values):
    # type: (Dict[str, Any]) -> str
    return "%s %s  %s" % (
        printable(values["method"]), printable(values["path"]), _show_response(values))


def _show_response(values):
    # type: (Dict[str, Any]) -> str
    return ("%d %s" % (values["status"], values["reason"] or "")).strip()
