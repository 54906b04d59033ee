"""What lint says about the requests that the API tells of.

It is told of nothing while requests come: it catches up with the journal when somebody asks.
"""

import threading
from typing import Any, Dict

from ..lint import History, check, describe
from ..simulator import Exchange, Simulator
from ..simulator.documents import exchange_document

__all__ = ["Linter"]


class Linter:
    """Makes whole documents, with findings and appearance. Any thread may use it.

    :param simulator: whose requests.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._history = History()
        self._lock = threading.Lock()
        self._last = 0

    def document(self, exchange: Exchange) -> Dict[str, Any]:
        """Return everything that is known of a request."""
        self._catch_up()
        return dict(
            exchange_document(exchange, self._simulator.page_url),
            findings=[finding.as_dict() for finding in check(exchange, self._history)],
            appearance=describe(exchange))

    def _catch_up(self) -> None:
        with self._lock:
            every = self._simulator.journal.exchanges()
            if not every or every[0].number > self._last or every[-1].number < self._last:
                # Nothing is left of what it knows.
                self._history.clear()
                self._last = 0
            if every and every[-1].number > self._last:
                self._history.feed([each for each in every if each.number > self._last])
                self._last = every[-1].number
