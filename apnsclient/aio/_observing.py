"""Tells the observer of a client what has happened, in the event loop of the client."""

import asyncio
import logging
from collections import deque
from typing import Any, Callable, Deque, Dict, Optional, Tuple

from ..events import REJECTED, UNDELIVERED, UNKNOWN, UNPROCESSED, Event
from ..outcomes import parse_response
from ..protocols.binary import TokenError
from ..protocols.http2.requests import HeaderTooLong
from ..reasons import reason_of_response
from ..sending.facts import Facts
from ..sending.tally import Tally, tally_events
from .errors import APNSError
from .outcome import Kind

__all__ = ["Observation"]

_log = logging.getLogger("apnsclient.aio")

#: Seconds between two entries in the log for failures of the same kind.
_LOG_EVERY = 60.0


class Observation:
    """An observer, and what it is to be told.

    It is called when the hub has done what there was to do, so that it may use the client.

    :param observer: called with each event.
    :param address: ``(host, port)`` of the server.

    :ivar now: returns the time of the loop (float).
    :ivar facts: for the sender, and about connections (:class:`~apnsclient.sending.facts.Facts`).
    """

    def __init__(self, observer: Callable[[Event], Any], address: Tuple[str, int]) -> None:
        self._observer = observer
        self._address = address
        self._events: Deque[Event] = deque()
        self.facts = Facts(self._events.append, address, "http2")
        self._tally = Tally()
        self.now = asyncio.get_running_loop().time
        self._logged: Dict[Any, float] = {}

    def note_place(self, since: float) -> None:
        """Note that a request has a place in the queue now, for which it had to wait.

        :param since: when that began (float).
        """
        now = self.now()
        self.facts.note_waited("queue", now - since, now)

    # What became of requests to devices; others have no template.

    def note_response(self, template: Any, response: Any) -> None:
        """Note the response to a request.

        :param template: what it was made of.
        :param response: whatever its status.
        """
        if template is None:
            return
        if response.status == 200:
            self._tally.add_accepted(template.fields)
            return
        name, _ = parse_response(response.body)
        row = reason_of_response(response.status, name, response.is_cut_off)
        self._tally.add(template.fields, UNPROCESSED if row.retries_reported else REJECTED,
                        row.status, row.name)

    def note_lost(self, template: Any) -> None:
        """Note that nothing will be known of a request that was written."""
        self._note(template, UNKNOWN, "no response")

    def note_given_up(self, template: Any) -> None:
        """Note that a request was not sent."""
        self._note(template, UNPROCESSED, "not sent")

    def note_failed(self, template: Any, error: BaseException) -> None:
        """Note why a request was not sent."""
        kind = error.kind if isinstance(error, APNSError) else Kind.undelivered
        reason: Optional[str] = getattr(error, "reason", None)
        if kind is Kind.unknown:
            self.note_lost(template)
        elif kind is Kind.unprocessed:
            self.note_given_up(template)
        else:
            self._note(template, UNDELIVERED, reason or _name_of(error))

    def _note(self, template: Any, outcome: str, reason: str) -> None:
        if template is not None:
            self._tally.add(template.fields, outcome, None, reason)

    def tell(self) -> None:
        """Tell the observer all that has happened. An exception that it raises is logged."""
        pending = self._events
        if self._tally.counts:
            pending.extend(tally_events(self._tally, self._address, self.now()))
            self._tally.counts.clear()
        while pending:
            event = pending.popleft()
            try:
                self._observer(event)
            except Exception as error:  # pylint: disable=broad-except
                now, kind = self.now(), (type(event), type(error))
                if now - self._logged.get(kind, float("-inf")) >= _LOG_EVERY:
                    self._logged[kind] = now
                    _log.exception("the observer of a client has failed with %s",
                                   type(event).__name__)


def _name_of(error: BaseException) -> str:
    """Return the name of why a request cannot be made."""
    if isinstance(error, HeaderTooLong):
        return "header too long"
    return "malformed token" if isinstance(error, TokenError) else "not sent"
