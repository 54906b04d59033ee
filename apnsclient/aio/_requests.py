"""From a notification to what its request is made of, and from a response to an outcome."""

import logging
from typing import Any, Dict, Optional, Set, Tuple

from .._headers import LEFT_OUT, as_timestamp, known_fields, make_fields
from ..models import BaseNotification, RawNotification
from ..outcomes import identifiers_in, parse_response
from ..protocols.http2.requests import RequestTemplate
from ..reasons import Reason, reason_of_response
from ..topics import with_suffix
from .errors import ResponseError
from .outcome import Outcome, from_response

__all__ = ["OPTIONS", "Renderer", "error_of", "identifier_in", "outcome_of"]

_log = logging.getLogger("apnsclient.aio")

#: What may be given for a notification beside the notification itself.
OPTIONS = ("apns_id", "expiration", "priority", "topic", "collapse_id", "push_type",
           "time_sensitive")
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

    def render_with(self, notification: Any, options: Dict[str, Any]) -> RequestTemplate:
        """Do what :meth:`render` does, with arguments in a dict.

        :raises TypeError: if there are others in it.
        """
        unknown = set(options).difference(OPTIONS)
        if unknown:
            raise TypeError("unknown argument %s, expected one of %s" % (
                ", ".join(sorted(unknown)), ", ".join(OPTIONS)))
        return self.render(notification, *[options.get(name) for name in OPTIONS])

    def render(self, notification: Any, apns_id: Any = None, expiration: Any = None,
               priority: Optional[int] = None, topic: Optional[str] = None,
               collapse_id: Optional[str] = None, push_type: Optional[str] = None,
               time_sensitive: Optional[bool] = False) -> RequestTemplate:
        """Return what the request is made of, beside the token.

        For the arguments see :meth:`.Client.send_notification`.
        """
        model = notification if isinstance(notification, BaseNotification) else (
            RawNotification(notification))
        if time_sensitive:
            model = _make_time_sensitive(model)
        parts = model.apns_request_parts()
        kind = str(push_type or parts.push_type)
        if expiration is None:
            expiration = LEFT_OUT if parts.expiration is None else parts.expiration
        elif type(expiration) is not int:
            expiration = int(as_timestamp(expiration))
        if priority is None:
            priority = parts.priority
            if priority is None:
                priority = _PRIORITIES.get(kind, 10)
        topic = topic or self._topic
        values = (None if topic is None else with_suffix(topic, kind), None, kind, "",
                  int(priority), True, expiration, apns_id, collapse_id or parts.collapse_id, False)
        try:
            fields, warnings = known_fields[values]
        except TypeError:
            # One of them cannot be hashed, and is not valid either.
            fields, warnings = make_fields(*values)
        if warnings:
            self._warn(warnings)
        last = self._last
        if last.fields is not fields or last.payload != parts.payload:
            last = self._last = RequestTemplate(fields, parts.payload)
        return last

    def _warn(self, texts: Tuple[str, ...]) -> None:
        for text in texts:
            if text not in self._warned:
                self._warned.add(text)
                _log.warning("%s", text)


def _make_time_sensitive(model: BaseNotification) -> BaseNotification:
    """Return a notification with the interruption level ``time-sensitive``."""
    content = dict(model.get_dict())
    content["aps"] = dict(content.get("aps") or {}, **{"interruption-level": "time-sensitive"})
    return RawNotification(content, model.push_type, model.priority, model.expiration,
                           model.collapse_id)


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
    apns_id, unique_id = identifiers_in(response.block)
    if response.status == 200:
        return from_response(token, notification, None, None, apns_id, unique_id)
    row, seconds = _row_of(response, template)
    return from_response(token, notification, row, seconds, apns_id, unique_id)


def _row_of(response: Any, template: RequestTemplate) -> Tuple[Reason, Optional[int]]:
    """Return what a response means that does not accept a notification, and its timestamp."""
    name, seconds = parse_response(response.body)
    row = reason_of_response(response.status, name, response.is_cut_off)
    if row.is_about_topic:
        fields = {field[0]: field[1].decode("ascii") for field in template.fields}
        row = row.advised(fields.get(b"apns-topic"), fields.get(b"apns-push-type"))
    return row, seconds
