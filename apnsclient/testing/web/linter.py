"""What lint says about the requests that the API tells of.

It is told of nothing while requests come: it catches up with the journal when somebody asks.
"""

import threading
from typing import Any, Dict, Tuple

from ..lint import SEVERITIES, History, check, describe
from ..simulator import Exchange, Simulator
from ..simulator.documents import exchange_document, exchange_summary

__all__ = ["Linter"]

#: Requests of which is kept what their summaries say: what the page shows is asked for many times.
_MOST_VERDICTS = 10000


class Linter:
    """Makes documents, with findings and appearance. Any thread may use it.

    :param simulator: whose requests.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._history = History()
        self._lock = threading.Lock()
        self._last = 0
        self._verdicts: Dict[Tuple[int, float, str], Dict[str, Any]] = {}

    def document(self, exchange: Exchange) -> Dict[str, Any]:
        """Return everything that is known of a request."""
        self._catch_up()
        findings = [finding.as_dict() for finding in check(exchange, self._history)]
        appearance = describe(exchange)
        return dict(
            exchange_document(exchange, self._simulator.page_url), findings=findings,
            finding_counts=_count(findings), shown_as=appearance["kind"], appearance=appearance)

    def summary(self, exchange: Exchange) -> Dict[str, Any]:
        """Return what a list shows of a request."""
        # Its number begins anew with each simulator; and its response may change what is found.
        key = exchange.number, exchange.time, exchange.outcome
        verdict = self._verdicts.get(key)
        if verdict is None:
            self._catch_up()
            findings = [finding.as_dict() for finding in check(exchange, self._history)]
            verdict = {"finding_counts": _count(findings), "shown_as": describe(exchange)["kind"]}
            with self._lock:
                if len(self._verdicts) >= _MOST_VERDICTS:
                    self._verdicts.clear()
                self._verdicts[key] = verdict
        return dict(exchange_summary(exchange, self._simulator.page_url), **verdict)

    def _catch_up(self) -> None:
        journal = self._simulator.journal
        with self._lock:
            if self._last and not journal.find(limit=1, before=self._last + 1):
                # Nothing is left of what it knows.
                self._history.clear()
            if journal.last_number < self._last:
                self._history.clear()
                self._last = 0
            fresh = journal.find(after=self._last)
            if fresh:
                self._history.feed(reversed(fresh))
                self._last = fresh[0].number


def _count(findings: Any) -> Dict[str, int]:
    """Return how many findings of each severity there are."""
    return {severity: sum(finding["severity"] == severity for finding in findings)
            for severity in SEVERITIES}
