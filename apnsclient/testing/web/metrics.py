"""Metrics of a simulator for Prometheus, read when they are asked for."""

from typing import Dict, Iterator, Tuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...reasons import RESPONSES
from ..simulator import Simulator
from .feed import Feed

__all__ = ["SimulatorCollector", "new_registry"]

_PREFIX = "apns_simulator_"

#: Counts of a simulator: name of the metric, what it is, and its values by service.
_CONNECTIONS = (
    ("gateway", "connections", "open_connections"),
    ("feedback", "feedback_connections", None),
    ("provider", "provider_connections", "open_provider_connections"),
    ("channels", "channel_connections", None),
)
_COUNTS = (
    ("accepted", "Notifications that were accepted", "accepted_count"),
    ("errors", "Error frames, and responses with an error", "error_count"),
    ("failed_handshakes", "Handshakes that failed", "refused"),
    ("resumed_sessions", "Connections that resumed a TLS session", "resumed"),
    ("feedback_rows", "Rows of the feedback list that were read", "feedback_count"),
)


class SimulatorCollector(Collector):
    """Collects the counts of a simulator.

    :param simulator: whose counts.
    :param feed: has those by outcome.
    """

    def __init__(self, simulator: Simulator, feed: Feed) -> None:
        self._simulator = simulator
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield self._requests()
        opened = CounterMetricFamily(
            _PREFIX + "connections", "Connections whose handshake was complete", labels=["service"])
        still = GaugeMetricFamily(
            _PREFIX + "open_connections", "Those that are open", labels=["service"])
        for service, name, name_of_open in _CONNECTIONS:
            opened.add_metric([service], getattr(self._simulator, name))
            if name_of_open is not None:
                still.add_metric([service], getattr(self._simulator, name_of_open))
        yield opened
        yield still
        for name, text, attribute in _COUNTS:
            yield CounterMetricFamily(
                _PREFIX + name, text, value=getattr(self._simulator, attribute))
        yield GaugeMetricFamily(
            _PREFIX + "held", "Responses and error frames that are held back",
            value=self._simulator.held)
        yield GaugeMetricFamily(
            _PREFIX + "kept_requests", "Requests that are kept to be looked at",
            value=len(self._simulator.journal))

    def _requests(self) -> Metric:
        """Count requests; reasons that Apple does not have are one, since a script can have any."""
        family = CounterMetricFamily(
            _PREFIX + "requests", "Requests by what became of them, since the web server runs",
            labels=["service", "outcome", "reason"])
        totals: Dict[Tuple[str, str, str], int] = {}
        for (service, outcome, reason), number in self._feed.counts().items():
            key = (service, outcome, reason if not reason or reason in RESPONSES else "other")
            totals[key] = totals.get(key, 0) + number
        for labels in sorted(totals):
            family.add_metric(labels, totals[labels])
        return family


def new_registry(simulator: Simulator, feed: Feed) -> CollectorRegistry:
    """Return a registry with the metrics of a simulator, and nothing of the process's own."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SimulatorCollector(simulator, feed))
    return registry
