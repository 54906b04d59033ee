"""Counts what a session, or a client, does for Prometheus: an observer for ``prometheus_client``.

::

    from prometheus_client import start_http_server

    start_http_server(9100)
    session = Session(observer=PrometheusObserver())

One observer is enough for all sessions and clients of a process. Where several processes are
scraped as one, as with prefork workers, ``prometheus_client`` has its multiprocess mode, which this
works with. A dashboard for Grafana is in the same folder: :func:`dashboard`.
"""

import json
import os
import time
from typing import Any, Callable, Dict, Optional, Type

from .. import events
from .._extras import not_installed
from ..events import Event
from ._labels import known, server_of

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ImportError as error:
    raise not_installed("the observer for Prometheus", "prometheus", error)

__all__ = ["PrometheusObserver", "dashboard"]

#: Seconds; a response takes at least as long as light to Apple, connections live for up to days.
_RESPONSE_BUCKETS = (.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20)
_LIFETIME_BUCKETS = (1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600)

_DAY = 24 * 3600


def dashboard() -> Dict[str, Any]:
    """Return a dashboard for Grafana that shows all metrics (dict), to be imported as JSON."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "grafana-dashboard.json")
    with open(path, encoding="utf-8") as stream:
        content: Dict[str, Any] = json.load(stream)
    return content


class PrometheusObserver:
    """Counts events; the argument ``observer`` of a session, or of a client.

    All metrics have the label ``server``, like ``api.push.apple.com:443``, and most of them
    ``protocol``. Reasons that Apple does not document are counted as ``other``, and what is not
    known is an empty text, as Prometheus has it.

    :param registry: where the metrics are registered (``prometheus_client.CollectorRegistry``).
    :param namespace: what their names begin with (str).
    :param by_topic: whether notifications are counted by topic, too (bool). Each topic is a series
        of its own: leave it out if there are very many.
    :raises ValueError: if the registry has metrics of these names already: share the observer.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY, namespace: str = "apns",
                 by_topic: bool = True) -> None:
        self._by_topic = by_topic
        self._registry = registry
        self._namespace = namespace
        both = ("server", "protocol")
        self._notifications = self._counter(
            "notifications", "Notifications by what became of them.",
            "outcome", "status", "reason", "push_type", "topic")
        self._late = self._counter(
            "notifications_late", "Notifications that counted as accepted and were rejected later.")
        self._resent = self._counter(
            "notifications_resent", "Notifications that were sent again by themselves.", "reason")
        self._responses = self._histogram(
            "response_duration_seconds",
            "Time from the write of requests to the last response to them.",
            _RESPONSE_BUCKETS)
        self._waits = self._histogram(
            "wait_duration_seconds", "Time that requests waited for room.", _RESPONSE_BUCKETS,
            "reason")
        self._connects = self._histogram(
            "connect_duration_seconds", "Time until a new connection was ready.", _RESPONSE_BUCKETS,
            "resumed")
        self._failures = self._counter(
            "connect_failures", "Connections that could not be had.", "error")
        self._closed = self._counter(
            "connections_closed", "Connections that have ended.", "reason", "detail")
        self._lifetimes = self._histogram(
            "connection_lifetime_seconds", "Time for which connections were open.",
            _LIFETIME_BUCKETS)
        self._tokens = Counter(
            "provider_tokens_taken", "Times that a connection took another provider token.",
            ("server", "key_id", "team_id"), namespace=namespace, registry=registry)
        self._expiry = Gauge(
            "certificate_expiry_timestamp_seconds",
            "When the client's certificate expires, to within a day, in seconds since 1970.",
            both, namespace=namespace, registry=registry, multiprocess_mode="max")
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

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, ("server", "protocol") + labels, namespace=self._namespace,
                       registry=self._registry)

    def _histogram(self, name: str, text: str, buckets: Any, *labels: str) -> Histogram:
        return Histogram(name, text, ("server", "protocol") + labels, namespace=self._namespace,
                         registry=self._registry, buckets=buckets)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        take = self._takers.get(type(event))
        if take is not None:
            take(event)

    def _take_outcomes(self, event: events.NotificationOutcomes) -> None:
        self._notifications.labels(
            server_of(event), event.protocol, event.outcome, _text(event.status),
            _text(known(event.reason)), _text(event.push_type),
            _text(event.topic) if self._by_topic else "").inc(event.count)

    def _take_late(self, event: events.LateResults) -> None:
        self._late.labels(server_of(event), event.protocol).inc(event.tokens)

    def _take_resent(self, event: events.NotificationsResent) -> None:
        self._resent.labels(server_of(event), event.protocol,
                            _text(known(event.reason))).inc(event.count)

    def _take_responses(self, event: events.Responses) -> None:
        self._responses.labels(server_of(event), event.protocol).observe(event.seconds)

    def _take_wait(self, event: events.Waited) -> None:
        self._waits.labels(server_of(event), event.protocol,
                           event.reason).observe(event.seconds)

    def _take_opened(self, event: events.ConnectionOpened) -> None:
        resumed = "" if event.is_resumed is None else "yes" if event.is_resumed else "no"
        self._connects.labels(server_of(event), event.protocol, resumed).observe(event.seconds)
        if event.certificate_days is not None:
            self._expiry.labels(server_of(event), event.protocol).set(
                time.time() + event.certificate_days * _DAY)

    def _take_failure(self, event: events.ConnectFailed) -> None:
        self._failures.labels(server_of(event), event.protocol, event.error).inc()

    def _take_closed(self, event: events.ConnectionClosed) -> None:
        self._closed.labels(server_of(event), event.protocol, event.reason,
                            _text(known(event.detail))).inc()
        self._lifetimes.labels(server_of(event), event.protocol).observe(event.seconds)

    def _take_token(self, event: events.ProviderTokenTaken) -> None:
        self._tokens.labels(server_of(event), event.key_id, event.team_id).inc()


def _text(value: Optional[object]) -> str:
    return "" if value is None else str(value)
