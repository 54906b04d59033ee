"""A line for each request that a simulator gets: its thread queues, ours writes."""

from __future__ import absolute_import, division, print_function

import time
from collections import deque

from .._compat import MYPY
from ..result import Result
from ..testing.simulator.documents import exchange_document, read_alert, read_payload
from ..testing.simulator.exchange import ACCEPTED, PENDING, UNANSWERED
from ..testing.simulator.observer import Observer
from ._console import Failure, OutputClosed, printable

if MYPY:
    from typing import Any, Callable, Deque, List, Optional, Sequence

    from ..testing.simulator import Exchange
    from ._console import Console

__all__ = ["Arrivals"]

#: How many may be queued, if the output is slower than the senders.
_LARGEST_BACKLOG = 10000
#: Characters of a title or a text that are shown, and of a device token.
_TEXT_LENGTH, _TOKEN_LENGTH = 40, 8
#: How outcomes are shown on a terminal, if not in red.
_STYLES = {ACCEPTED: "green", UNANSWERED: "yellow"}


class Arrivals(Observer):
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
        self._waiting = deque()  # type: Deque[Exchange]
        self._skipped = 0
        self._failure = None  # type: Optional[Exception]

    # Called by the simulator's thread.

    def arrived(self, exchanges):
        # type: (Sequence[Exchange]) -> None
        """Queue those whose outcome is known; the others come with :meth:`changed`."""
        if not self._is_wanted:
            return
        for exchange in exchanges:
            if exchange.outcome == PENDING:
                continue
            if len(self._waiting) >= _LARGEST_BACKLOG:
                self._skipped += 1
            else:
                self._waiting.append(exchange)
        self._wake()

    def changed(self, exchanges):
        # type: (Sequence[Exchange]) -> None
        """Queue what came before, and has its outcome now."""
        self.arrived(exchanges)

    # Called by the command's own thread.

    def show(self, page_url=None):
        # type: (Optional[str]) -> None
        """Show what has come since the last call.

        :param page_url: address of a request's page with ``{number}`` in it, None if there is none.
        """
        try:
            while self._waiting:
                self._show(self._waiting.popleft(), page_url)
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

    def _show(self, exchange, page_url):
        # type: (Exchange, Optional[str]) -> None
        is_push = exchange.kind in ("notification", "broadcast")
        if self._as_json:
            self._console.document(dict(exchange_document(exchange, page_url),
                                        event="notification" if is_push else "request"))
            return
        styled = self._console.styled
        parts = [styled(time.strftime("%H:%M:%S", time.localtime(exchange.time)), "dim"),
                 "%-6s" % exchange.protocol]
        parts += _describe_push(exchange) if is_push else [_describe_request(exchange)]
        parts.append(styled(_show_outcome(exchange) if is_push else _show_response(exchange),
                            _STYLES.get(exchange.outcome, "red")))
        parts += [_show_alert(exchange)] * is_push
        if page_url is not None:
            parts.append(styled(page_url.replace("{number}", str(exchange.number)), "dim"))
        self._console.line("  ".join(part for part in parts if part))


def _describe_push(exchange):
    # type: (Exchange) -> List[str]
    return ["%-11s" % _shortened(exchange.token, _TOKEN_LENGTH), printable(exchange.topic or "-"),
            printable(exchange.push_type or "-")]


def _show_alert(exchange):
    # type: (Exchange) -> str
    return ": ".join(_shortened(text, _TEXT_LENGTH)
                     for text in read_alert(read_payload(exchange.payload)) if text)


def _describe_request(exchange):
    # type: (Exchange) -> str
    return "%s %s" % (printable(exchange.method or ""), printable(exchange.path or ""))


def _show_outcome(exchange):
    # type: (Exchange) -> str
    if exchange.outcome == ACCEPTED:
        return "accepted"
    if exchange.status is None:
        return "no response" if exchange.outcome == UNANSWERED else exchange.outcome
    if exchange.protocol == "binary":
        return ("%d %s" % (exchange.status, Result.ERROR_CODES.get(exchange.status, ""))).strip()
    return _show_response(exchange)


def _show_response(exchange):
    # type: (Exchange) -> str
    if exchange.status is None:
        return exchange.outcome
    return ("%d %s" % (exchange.status, exchange.reason or "")).strip()


def _shortened(text, length):
    # type: (Any, int) -> str
    """Return the beginning of a text from a client, fit to be shown."""
    shown = printable(text or "")
    return shown[:length] + "..." if len(shown) > length else shown or "-"
