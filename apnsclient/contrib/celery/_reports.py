"""Gives dead and refused tokens to the application, at least once.

The application's callables talk to its database, and may raise. Then the tokens that are left go
into a task of their own, which tries again; what was sent is not sent again because of that.
"""

import datetime
import logging
import time
from typing import Callable, Iterable, List, Optional, Tuple

from ._verdict import Verdict

__all__ = ["Report", "Reports", "reports_of"]

_log = logging.getLogger("apnsclient.contrib.celery")

#: ``[token, since when it has been dead, reason]``: the time in seconds since 1970, or None for a
#: token that is not dead. It can be expressed in JSON.
Report = Tuple[str, Optional[int], str]
OnGone = Callable[[str, datetime.datetime, str], object]
OnBadToken = Callable[[str, str], object]


def reports_of(verdict: Verdict) -> List[Report]:
    """Return what an application is told after an attempt."""
    reports: List[Report] = [(token, since, reason) for token, since, reason in verdict.gone]
    reports.extend((token, None, reason) for token, reason in verdict.bad)
    return reports


class Reports:
    """Calls the application.

    :param on_gone: called with ``(token, since, reason)``, or None.
    :param on_bad_token: called with ``(token, reason)``, or None.
    """

    def __init__(self, on_gone: Optional[OnGone], on_bad_token: Optional[OnBadToken]) -> None:
        self._on_gone = on_gone
        self._on_bad_token = on_bad_token

    def deliver(self, reports: Iterable[Report], deadline: float) -> List[Report]:
        """Tell the application; return the reports that it did not take.

        :param deadline: until when there is time for that, by ``time.monotonic()``.
        """
        waiting = [report for report in reports if self._is_wanted(report)]
        for number, report in enumerate(waiting):
            if number and time.monotonic() >= deadline:
                return waiting[number:]
            try:
                self._call(report)
            except Exception:
                # A time limit is an Exception, too: the rest has to go on in any case.
                _log.exception("the callable for %s raised an exception for token %s; %d tokens "
                               "are handed over again by another task",
                               "bad tokens" if report[1] is None else "dead tokens",
                               shorten(report[0]), len(waiting) - number)
                return waiting[number:]
        return []

    def _is_wanted(self, report: Report) -> bool:
        return (self._on_bad_token if report[1] is None else self._on_gone) is not None

    def _call(self, report: Report) -> None:
        token, since, reason = report
        if since is None:
            if self._on_bad_token is not None:
                self._on_bad_token(token, reason)
        elif self._on_gone is not None:
            self._on_gone(token, datetime.datetime.fromtimestamp(since, datetime.timezone.utc),
                          reason)


def shorten(token: str) -> str:
    """Return a token as logs have it."""
    return token if len(token) <= 8 else token[:8] + "..."
