"""What ``apns demo`` shows on the way."""

from __future__ import absolute_import, division, print_function

import time

from .._compat import MYPY
from ._demo_check import short

if MYPY:
    from typing import Any, Dict, List, Tuple

    from ._console import Console
    from ._demo_check import Check, Report
    from ._demo_devices import Devices

__all__ = ["Screen", "iso"]

#: Most rows of one kind that are shown.
_ROWS = 10


class Screen(object):
    """What is shown on the way. With ``--json`` nothing is."""

    def __init__(self, console, is_silent, tail_timeout):
        # type: (Console, bool, float) -> None
        self._console = console
        self._tail_timeout = tail_timeout
        self._is_silent = is_silent

    def _line(self, text=""):
        # type: (str) -> None
        if not self._is_silent:
            self._console.line(text)
            self._console.flush()

    def introduce(self, apns, devices, payload):
        # type: (Any, Devices, bytes) -> None
        """Show who talks to whom, and about what."""
        self._line(self._console.styled("One message to %d devices" % len(devices.tokens), "bold"))
        if devices.is_http2:
            self._line("  provider API  %s:%d   a simulator of Apple's, in this process"
                       % apns.provider_address)
            self._line("  protocol      HTTP/2 over TLS, with certificates and a key made just now")
            self._line("  payload       %s" % payload.decode("utf-8"))
            self._line("  devices       %d with a token that is not good, %d with a malformed one, "
                       "%d without the app" % (len(devices.bad), len(devices.malformed),
                                               len(devices.uninstalled)))
            return
        self._line("  gateway   %s:%d   a simulator of Apple's, in this process"
                   % apns.gateway_address)
        self._line("  feedback  %s:%d   over TLS, with certificates made just now"
                   % apns.feedback_address)
        self._line("  payload   %s" % payload.decode("utf-8"))
        self._line("  devices   %d that the gateway refuses, %d with a malformed token, "
                   "%d without the app" % (len(devices.bad), len(devices.malformed),
                                           len(devices.uninstalled)))

    def head(self, text):
        # type: (str) -> None
        """Begin a section."""
        self._line()
        self._line(self._console.styled(text, "bold"))

    def show_attempt(self, number, attempt, is_http2):
        # type: (int, Dict[str, Any], bool) -> None
        """Show what became of one attempt."""
        self._line("  %2d.  %6d tokens: %d accepted" % (number, attempt["tokens"],
                                                        attempt["accepted"]))
        for failure in attempt["failed"][:_ROWS]:
            self._line("       %s  %s  %d %s" % (self._console.styled("failed", "red"),
                                                 short(failure["token"]), failure["code"],
                                                 failure["reason"]))
        self._more(attempt["failed"])
        for reason in attempt["errors"]:
            self._line("       %s   %s" % (self._console.styled("error", "red"), reason))
        if attempt["retried"]:
            self._line("       %d are sent again" % attempt["retried"] if is_http2 else
                       "       %d behind it were thrown away; these are sent again"
                       % attempt["retried"])
        elif not attempt["errors"] and is_http2:
            self._line("       the others were answered with status 200, which means success")
        elif not attempt["errors"]:
            self._line("       the gateway said nothing more for %g s, which means success"
                       % self._tail_timeout)

    def _more(self, rows):
        # type: (List[Any]) -> None
        if len(rows) > _ROWS:
            self._line("       and %d more" % (len(rows) - _ROWS))

    def show_feedback(self, rows):
        # type: (List[Tuple[str, int]]) -> None
        """Show what the feedback service told."""
        self.head("Feedback: delete these, unless they were registered again since")
        for token, when in rows[:_ROWS]:
            self._line("       %s    %s  no longer has the app, since %s"
                       % (self._console.styled("gone", "yellow"), short(token), iso(when)))
        self._more(rows)

    def conclude(self, checks, report, connections, seconds, is_http2):
        # type: (List[Check], Report, int, float, bool) -> None
        """Show what the comparison found, and the summary."""
        self.head("Compared with the simulator's record, token by token")
        for check in checks:
            if check.differences:
                mark = self._console.styled("WRONG", "red")
            else:
                mark = self._console.styled("ok", "green") + "   "
            self._line("  %s  %s" % (mark, check.title))
            for difference in check.differences[:_ROWS]:
                self._line("         %s" % difference)
            self._more(check.differences)
        self._line()
        differences = sum(len(check.differences) for check in checks)
        self._line("%d accepted, %d failed, %d gone; %d attempts on %d connections; %.1f s"
                   % (len(report.accepted), len(report.failed), len(report.feedback),
                      len(report.attempts), connections, seconds))
        if differences:
            self._line(self._console.styled("%d differences from the simulator's record"
                                            % differences, "red"))
        else:
            self._line(self._console.styled("Every outcome agrees with the record.", "green"))
            self._line("Next: %sapns simulator, and apns send --help"
                       % ("" if is_http2 else "apns demo --http2, "))


def iso(timestamp):
    # type: (int) -> str
    """Return a time as it is shown."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(timestamp))
