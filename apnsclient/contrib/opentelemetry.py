"""Reports what a session, or a client, does to OpenTelemetry: an observer for metrics and spans.

::

    session = Session(observer=OpenTelemetryObserver())

It needs ``opentelemetry-api`` alone; which SDK and exporter there are is up to the program. Names
are those of the semantic conventions for messaging (OpenTelemetry, *Semantic conventions for
messaging client metrics*, and *for messaging spans*; both in development) with ``messaging.system``
being ``apns``: a notification is a message, and its topic the destination. What the conventions
have no name for begins with ``apns.``.
"""

import time
from typing import Any, Callable, Dict, Optional, Type, Union

from .. import events
from .._extras import not_installed
from ..events import Event
from ._labels import known

try:
    from opentelemetry import metrics, trace
except ImportError as error:
    raise not_installed("the observer for OpenTelemetry", "opentelemetry", error)

__all__ = ["OpenTelemetryObserver"]

Attributes = Dict[str, Union[str, int, bool]]

_SCOPE = "apnsclient"
_NANOSECONDS = 1e9
#: Outcomes of notifications that were sent, whether or not there was a response.
_SENT = (events.ACCEPTED, events.REJECTED, events.UNKNOWN)


class OpenTelemetryObserver:
    """Makes metrics and spans of events; the argument ``observer`` of a session, or of a client.

    Metrics:

    - ``messaging.client.sent.messages``, notifications that were sent, with ``error.type`` if they
      were not accepted: Apple's reason, or ``no response``;
    - ``apns.client.unsent.messages``, those that were not sent in the end;
    - ``messaging.client.operation.duration``, from the write of requests to the last response;
    - ``apns.client.resent.messages`` and ``apns.client.late.messages``;
    - ``apns.client.wait.duration``, ``apns.client.connect.duration`` (with ``error.type`` where it
      failed), ``apns.client.connection.duration``;
    - ``apns.client.provider_token.changes``;
    - ``apns.client.certificate.days``, until it expires, when the last connection was opened.

    Spans, of kind ``CLIENT``: ``send`` for requests that were written together, ``connect`` for a
    new connection. They are children of the span that is current where the session is used. Where
    several threads share connections, that may be another thread's.

    :param meter_provider: ``opentelemetry.metrics.MeterProvider``; None is the global one.
    :param tracer_provider: ``opentelemetry.trace.TracerProvider``; None is the global one.
    :param clock: returns the time (float) that events have; for tests.
    """

    def __init__(self, meter_provider: Optional[metrics.MeterProvider] = None,
                 tracer_provider: Optional[trace.TracerProvider] = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
        self._tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
        self._clock = clock
        self._days: Dict[str, Any] = {}
        self._make_counters(meter)
        self._make_histograms(meter)
        meter.create_observable_gauge(
            "apns.client.certificate.days", [self._observe_days], "d",
            "Days until the client's certificate expires.")
        self._takers: Dict[Type[Event], Callable[[Any], None]] = {
            events.NotificationOutcomes: self._take_outcomes,
            events.LateResults: self._take_late,
            events.NotificationsResent: self._take_resent,
            events.Responses: self._take_responses,
            events.Waited: self._take_wait,
            events.ConnectionOpened: self._take_opened,
            events.ConnectFailed: self._take_failure,
            events.ConnectionClosed: self._take_closed,
            events.ProviderTokenTaken: self._take_token,
        }

    def _make_counters(self, meter: metrics.Meter) -> None:
        self._sent = meter.create_counter(
            "messaging.client.sent.messages", "{message}", "Notifications that were sent.")
        self._unsent = meter.create_counter(
            "apns.client.unsent.messages", "{message}", "Notifications that were not sent.")
        self._resent = meter.create_counter(
            "apns.client.resent.messages", "{message}",
            "Notifications that were sent again by themselves.")
        self._late = meter.create_counter(
            "apns.client.late.messages", "{message}",
            "Notifications that counted as accepted and were rejected later.")
        self._tokens = meter.create_counter(
            "apns.client.provider_token.changes", "{change}",
            "Times that a connection took another provider token.")

    def _make_histograms(self, meter: metrics.Meter) -> None:
        self._responses = meter.create_histogram(
            "messaging.client.operation.duration", "s",
            "Time from the write of requests to the last response to them.")
        self._waits = meter.create_histogram(
            "apns.client.wait.duration", "s", "Time that requests waited for room.")
        self._connects = meter.create_histogram(
            "apns.client.connect.duration", "s", "Time until a new connection was ready.")
        self._lifetimes = meter.create_histogram(
            "apns.client.connection.duration", "s", "Time for which connections were open.")

    def __call__(self, event: Event) -> None:
        """Report an event."""
        take = self._takers.get(type(event))
        if take is not None:
            take(event)

    def _observe_days(self, options: metrics.CallbackOptions) -> Any:
        return [metrics.Observation(days, attributes)
                for days, attributes in list(self._days.values())]

    def _take_outcomes(self, event: events.NotificationOutcomes) -> None:
        attributes = _send_attributes(event)
        if event.topic is not None:
            attributes["messaging.destination.name"] = event.topic
        if event.push_type is not None:
            attributes["apns.push_type"] = event.push_type
        if event.outcome != events.ACCEPTED:
            attributes["error.type"] = known(event.reason) or event.outcome
            attributes["apns.outcome"] = event.outcome
        is_sent = event.status is not None or event.outcome in _SENT
        if event.reason == "malformed token":
            is_sent = False
        (self._sent if is_sent else self._unsent).add(event.count, attributes)

    def _take_late(self, event: events.LateResults) -> None:
        self._late.add(event.tokens, _attributes(event))

    def _take_resent(self, event: events.NotificationsResent) -> None:
        attributes = _attributes(event)
        attributes["apns.reason"] = str(known(event.reason))
        self._resent.add(event.count, attributes)

    def _take_responses(self, event: events.Responses) -> None:
        attributes = _send_attributes(event)
        self._responses.record(event.seconds, attributes)
        if event.count > 1:
            attributes["messaging.batch.message_count"] = event.count
        self._make_span("send", event, event.seconds, attributes)

    def _take_wait(self, event: events.Waited) -> None:
        attributes = _attributes(event)
        attributes["apns.reason"] = event.reason
        self._waits.record(event.seconds, attributes)

    def _take_opened(self, event: events.ConnectionOpened) -> None:
        attributes = _attributes(event)
        self._connects.record(event.seconds, attributes)
        if event.certificate_days is not None:
            self._days["%s:%d" % event.address] = event.certificate_days, _attributes(event)
        if event.is_resumed is not None:
            attributes["tls.resumed"] = event.is_resumed
        self._make_span("connect", event, event.seconds, attributes)

    def _take_failure(self, event: events.ConnectFailed) -> None:
        attributes = _attributes(event)
        attributes["error.type"] = event.error
        self._connects.record(event.seconds, attributes)
        self._make_span("connect", event, event.seconds, attributes,
                        trace.Status(trace.StatusCode.ERROR, event.error))

    def _take_closed(self, event: events.ConnectionClosed) -> None:
        attributes = _attributes(event)
        attributes["apns.reason"] = event.reason
        if event.detail is not None:
            attributes["apns.detail"] = str(known(event.detail))
        self._lifetimes.record(event.seconds, attributes)

    def _take_token(self, event: events.ProviderTokenTaken) -> None:
        attributes = _server_attributes(event)
        attributes["apns.key_id"], attributes["apns.team_id"] = event.key_id, event.team_id
        self._tokens.add(1, attributes)

    def _make_span(self, name: str, event: Event, seconds: float, attributes: Attributes,
                   status: Optional[trace.Status] = None) -> None:
        """Make a span of what is over already."""
        end = int((time.time() - (self._clock() - event.time)) * _NANOSECONDS)
        span = self._tracer.start_span(
            name, kind=trace.SpanKind.CLIENT, attributes=attributes,
            start_time=end - int(seconds * _NANOSECONDS))
        if status is not None:
            span.set_status(status)
        span.end(end)


def _server_attributes(event: Event) -> Attributes:
    return {"messaging.system": "apns", "server.address": event.address[0],
            "server.port": event.address[1]}


def _attributes(event: Any) -> Attributes:
    attributes = _server_attributes(event)
    attributes["apns.protocol"] = event.protocol
    return attributes


def _send_attributes(event: Any) -> Attributes:
    attributes = _attributes(event)
    attributes["messaging.operation.name"] = attributes["messaging.operation.type"] = "send"
    return attributes
