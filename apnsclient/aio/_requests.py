"""From a notification to what its request is made of, and from a response to an outcome."""

import dataclasses
import datetime
import logging
from typing import Any, Optional, Set, Tuple

from .._headers import LEFT_OUT, as_timestamp, known_fields, make_fields
from ..models import BaseNotification, RawNotification
from ..outcomes import identifiers_in, parse_response
from ..protocols.http2.requests import RequestTemplate
from ..reasons import Reason, reason_of_response
from ..topics import with_suffix
from .errors import ResponseError
from .outcome import Outcome, accepted, rejected

__all__ = ["Renderer", "error_of", "identifier_in", "outcome_of"]

_log = logging.getLogger("apnsclient.aio")

#: Types of values that cannot change.
_IMMUTABLE = (type(None), bool, int, float, str, bytes, datetime.datetime, datetime.timedelta)
#: Priorities of notifications that name none, as aapns sends them; all others have 10.
_PRIORITIES = {"alert": 5, "background": 5}


class Renderer:
    """Makes templates of notifications.

    :param topic: bundle identifier for notifications that are given none (str), or None.
    """

    def __init__(self, topic: Optional[str]) -> None:
        self._topic = topic
        self._warned: Set[str] = set()
        # Notifications that are sent as the same get the very same template: their requests are
        # made by the hundred.
        self._last = RequestTemplate((), b"")
        # What was rendered last, with which arguments, and whether that is the same each time: None
        # as long as it was not the same twice.
        self._notification: Any = None
        self._given: Any = None
        self._is_constant: Optional[bool] = None

    def render(self, notification: Any, apns_id: Any = None, expiration: Any = None,
               priority: Optional[int] = None, topic: Optional[str] = None,
               collapse_id: Optional[str] = None, push_type: Optional[str] = None,
               time_sensitive: Optional[bool] = False) -> RequestTemplate:
        """Return what the request is made of, beside the token.

        For the arguments see :meth:`.Client.send_notification`.
        """
        given = (apns_id, expiration, priority, topic, collapse_id, push_type, time_sensitive)
        if notification is self._notification and given == self._given:
            if self._is_constant is None:
                self._is_constant = _is_constant(notification, expiration)
            if self._is_constant:
                return self._last
        self._notification, self._given, self._is_constant = notification, given, None
        model = notification if isinstance(notification, BaseNotification) else (
            RawNotification(notification))
        if time_sensitive:
            model = _make_time_sensitive(model)
        parts = model.apns_request_parts()
        kind, topic = str(push_type or parts.push_type), topic or self._topic
        fields = self._fields((
            None if topic is None else with_suffix(topic, kind), None, kind, "",
            _priority(priority, parts.priority, kind), True,
            _expiration(expiration, parts.expiration), apns_id,
            collapse_id or parts.collapse_id, False))
        last = self._last
        if last.fields is not fields or last.payload != parts.payload:
            last = self._last = RequestTemplate(fields, parts.payload)
        return last

    def _fields(self, values: Tuple[Any, ...]) -> Any:
        """Return the header fields for arguments of ``make_fields()``."""
        try:
            fields, warnings = known_fields[values]
        except TypeError:
            # One of them cannot be hashed, and is not valid either.
            fields, warnings = make_fields(*values)
        if warnings:
            self._warn(warnings)
        return fields

    def _warn(self, texts: Tuple[str, ...]) -> None:
        for text in texts:
            if text not in self._warned:
                self._warned.add(text)
                _log.warning("%s", text)


def _priority(given: Optional[int], own: Optional[int], push_type: str) -> int:
    """Return the priority that is sent."""
    if given is not None:
        return int(given)
    return _PRIORITIES.get(push_type, 10) if own is None else own


def _expiration(given: Any, own: Optional[int]) -> Any:
    """Return the expiration that is sent, or what stands for none."""
    if given is None:
        return LEFT_OUT if own is None else own
    return given if type(given) is int else int(as_timestamp(given))


def _make_time_sensitive(model: BaseNotification) -> BaseNotification:
    """Return a notification with the interruption level ``time-sensitive``."""
    content = dict(model.get_dict())
    content["aps"] = dict(content.get("aps") or {}, **{"interruption-level": "time-sensitive"})
    return RawNotification(content, model.push_type, model.priority, model.expiration,
                           model.collapse_id)


def _is_constant(value: Any, expiration: Any) -> bool:
    """Return True if a notification is sent as the same whenever it is: nothing in it can change.

    :param expiration: the argument; a ``timedelta`` counts from the time of sending.
    """
    return (_is_immutable(value) and isinstance(value, BaseNotification)
            and not isinstance(value.expiration, datetime.timedelta)
            and not isinstance(expiration, datetime.timedelta))


def _is_immutable(value: Any) -> bool:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return all([_is_immutable(getattr(value, field.name))
                    for field in dataclasses.fields(value)])
    return isinstance(value, _IMMUTABLE)


def identifier_in(response: Any) -> str:
    """Return the ``apns-id`` of a response in lower case, "" if it has none."""
    return identifiers_in(response.block)[0] or ""


def error_of(response: Any, template: RequestTemplate) -> ResponseError:
    """Return the exception for a response that does not accept a notification."""
    error = outcome_of(None, None, response, template).error
    assert isinstance(error, ResponseError)
    return error


def outcome_of(token: Any, notification: Any, response: Any, template: RequestTemplate) -> Outcome:
    """Return the outcome of a notification that had a response.

    :param response: :class:`~apnsclient.protocols.http2.events.Response`.
    :param template: what the request was made of.
    """
    if response.status == 200:
        return accepted(token, notification, response.block)
    row, seconds = _row_of(response, template)
    return rejected(token, notification, row, seconds, response.block)


def _row_of(response: Any, template: RequestTemplate) -> Tuple[Reason, Optional[int]]:
    """Return what a response means that does not accept a notification, and its timestamp."""
    name, seconds = parse_response(response.body)
    row = reason_of_response(response.status, name, response.is_cut_off)
    if row.is_about_topic:
        fields = {field[0]: field[1].decode("ascii") for field in template.fields}
        row = row.advised(fields.get(b"apns-topic"), fields.get(b"apns-push-type"))
    return row, seconds
