"""Writes what a session, or a client, does to the log: an observer for the module ``logging``.

Each event is one record, with a text for people, and with its values for formatters that write JSON
or the like::

    logging.basicConfig(level=logging.INFO)
    session = Session(observer=LoggingObserver())
"""

import logging
from typing import Any, Dict, Mapping, Optional, Type

from .. import events
from ..events import Event

__all__ = ["LEVELS", "LoggingObserver"]

#: The level of each kind of events, by default. What is more urgent than usual is a warning all the
#: same: see :meth:`LoggingObserver.level_of`.
LEVELS: Dict[Type[Event], int] = {
    events.ConnectionOpened: logging.INFO,
    events.ConnectFailed: logging.WARNING,
    events.ConnectionClosed: logging.INFO,
    events.Waited: logging.DEBUG,
    events.NotificationOutcomes: logging.INFO,
    events.Responses: logging.DEBUG,
    events.NotificationsResent: logging.INFO,
    events.ProviderTokenTaken: logging.INFO,
    events.LateResults: logging.WARNING,
}

#: Ends of connections that are worth a look, and outcomes that are.
_BAD_ENDS = ("timeout", "lost", "refused", "protocol")
_BAD_OUTCOMES = (events.UNKNOWN, events.UNDELIVERED)
#: A certificate that expires in so many days is.
_SOON = 14


class LoggingObserver:
    """Logs events; the argument ``observer`` of a session, or of a client.

    The text of a record has the name of the event and its values:
    ``ConnectionOpened address=api.push.apple.com:443 protocol=http2 seconds=0.087 ...``. Its
    attribute ``apns`` is a dict with the same, for a formatter.

    :param logger: where events go (``logging.Logger``); None is the logger ``apnsclient.events``.
    :param levels: the level of each kind of events (int), for those that are to differ from
        :data:`LEVELS`, by class; None leaves a kind out.
    """

    def __init__(self, logger: Optional[logging.Logger] = None,
                 levels: Optional[Mapping[Type[Event], Optional[int]]] = None) -> None:
        self._logger = logger or logging.getLogger("apnsclient.events")
        self._levels: Dict[Type[Event], Optional[int]] = dict(LEVELS)
        self._levels.update(levels or {})

    def __call__(self, event: Event) -> None:
        """Log an event."""
        level = self.level_of(event)
        if level is None or not self._logger.isEnabledFor(level):
            return
        values = _values_of(event)
        text = " ".join("%s=%s" % pair for pair in values.items() if pair[0] != "event")
        self._logger.log(level, "%s %s", values["event"], text, extra={"apns": values})

    def level_of(self, event: Event) -> Optional[int]:
        """Return the level of an event (int), or None if it is not logged.

        That of its kind; or ``WARNING``, if that is higher, for a connection that was lost, for
        notifications that are unknown or undelivered, and for a certificate that expires within two
        weeks.
        """
        level = self._levels.get(type(event), logging.INFO)
        if level is None:
            return None
        return max(level, logging.WARNING) if _is_urgent(event) else level


def _is_urgent(event: Event) -> bool:
    if isinstance(event, events.ConnectionClosed):
        return event.reason in _BAD_ENDS
    if isinstance(event, events.NotificationOutcomes):
        return event.outcome in _BAD_OUTCOMES
    if isinstance(event, events.ConnectionOpened):
        return event.certificate_days is not None and event.certificate_days < _SOON
    return False


def _values_of(event: Event) -> Dict[str, Any]:
    """Return name and values of an event, without what is not known."""
    values: Dict[str, Any] = {"event": type(event).__name__}
    for name, value in event.as_dict().items():
        if name == "address":
            value = "%s:%d" % value
        if value is not None and name != "time":
            values[name] = round(value, 6) if isinstance(value, float) else value
    return values
