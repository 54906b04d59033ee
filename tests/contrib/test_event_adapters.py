"""What becomes of events in a log, in Prometheus and in OpenTelemetry."""

import json
import logging
import re
from typing import Any, Dict, Iterator, List, Tuple

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry, generate_latest

from apnsclient import APNs, Message, ProviderToken, events
from apnsclient.contrib._labels import OTHER, known
from apnsclient.contrib.logging import LEVELS, LoggingObserver
from apnsclient.contrib.opentelemetry import OpenTelemetryObserver
from apnsclient.contrib.prometheus import PrometheusObserver, dashboard
from apnsclient.errors import ConnectError
from apnsclient.testing.simulator import ProviderScript, Script
from observer_support import Notes

TOPIC = "com.example.dinner"
TOKENS = ["%064x" % number for number in range(40)]
SERVER = ("apple.test", 443)

KINDS = [kind for kind in vars(events).values()
         if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event]


@pytest.fixture
def told(apple: Any) -> List[Any]:
    """Events of real traffic, of each kind at least one."""
    notes = Notes()
    session = apple.session(protocol="http2", observer=notes)
    credential = ProviderToken(**apple.token_parameters)
    client = APNs(session.get_connection(apple.provider_address, credential))
    apple.script_provider(
        ProviderScript(response_at={4: "BadDeviceToken", 5: (400, "MadeUp")}, goaway_after=20,
                       goaway_reason="Shutdown", settings={"max_concurrent_streams": 8},
                       delay=0.25),
        ProviderScript(), ProviderScript(refuse=True))
    client.send(Message(TOKENS + ["nonsense"], alert="hello", apns_topic=TOPIC))
    session.shutdown()
    with pytest.raises(ConnectError):
        client.send(Message(TOKENS[:3], alert="hello", apns_topic=TOPIC))
    binary = apple.session(observer=notes)
    client = APNs(binary.get_connection(apple.gateway_address, cert_string=apple.cert_string))
    apple.script(Script(status_at={3: 8}, hold=True))
    client.send(Message(TOKENS[:5], alert="hello"))
    apple.release_held()
    binary.shutdown()
    assert {type(event) for event in notes.events} == set(KINDS)
    return notes.events


def count(told: List[Any]) -> int:
    return sum(event.count for event in told if isinstance(event, events.NotificationOutcomes))


def test_each_event_is_a_record_with_its_values(told: List[Any], caplog: Any) -> None:
    """As text, and in an attribute; failures are warnings."""
    with caplog.at_level(logging.DEBUG, "apnsclient.events"):
        for event in told:
            LoggingObserver()(event)
    assert len(caplog.records) == len(told)
    for record, event in zip(caplog.records, told):
        assert record.getMessage().startswith(type(event).__name__ + " address=apple.test:")
        assert record.apns["event"] == type(event).__name__
        assert json.loads(json.dumps(record.apns)) == record.apns
        assert record.levelno >= LEVELS[type(event)]
    by_kind = {record.apns["event"]: record.levelno for record in caplog.records}
    assert by_kind["ConnectFailed"] == by_kind["LateResults"] == logging.WARNING
    assert not any(token in caplog.text for token in TOKENS)


def test_levels_can_be_chosen_and_urgent_ones_are_higher(caplog: Any) -> None:
    """None leaves a kind out."""
    observe = LoggingObserver(levels={events.Responses: None, events.ConnectionOpened: 5})
    assert observe.level_of(events.Responses(0.0, SERVER, "http2", 0.1, 3)) is None
    for days, level in ((None, 5), (300, 5), (13, logging.WARNING), (-1, logging.WARNING)):
        opened = events.ConnectionOpened(0.0, SERVER, "http2", 0.1, True, days)
        assert observe.level_of(opened) == level
    for reason, level in (("idle", logging.INFO), ("lost", logging.WARNING)):
        closed = events.ConnectionClosed(0.0, SERVER, "http2", reason, None, 1.0, 3)
        assert observe.level_of(closed) == level
    with caplog.at_level(logging.DEBUG, "apnsclient.events"):
        observe(events.Responses(0.0, SERVER, "http2", 0.1, 3))
    assert caplog.records == []


def read_metrics(text: str) -> Iterator[Tuple[str, Dict[str, str], float]]:
    """Yield name, labels and value of each sample of an exposition."""
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
            yield name, dict(re.findall(r'(\w+)="([^"]*)"', labels or "")), float(value)


def test_prometheus_counts_what_was_told(told: List[Any]) -> None:
    """The text that is scraped has each notification once, and no secret."""
    registry = CollectorRegistry()
    observe = PrometheusObserver(registry)
    for event in told:
        observe(event)
    text = generate_latest(registry).decode("utf-8")
    samples = list(read_metrics(text))
    totals: Dict[str, float] = {}
    for name, _, value in samples:
        totals[name] = totals.get(name, 0) + value
    assert totals["apns_notifications_total"] == count(told)
    assert totals["apns_notifications_late_total"] == 3
    assert totals["apns_notifications_resent_total"] == sum(
        event.count for event in told if isinstance(event, events.NotificationsResent))
    assert totals["apns_connect_failures_total"] == 1
    for name, kind in (("connect_duration", events.ConnectionOpened),
                       ("response_duration", events.Responses), ("wait_duration", events.Waited),
                       ("connection_lifetime", events.ConnectionClosed)):
        found = [event for event in told if type(event) is kind]
        assert totals["apns_%s_seconds_count" % name] == len(found)
        assert totals["apns_%s_seconds_sum" % name] == pytest.approx(
            sum(event.seconds for event in found))
    rejected = [labels for name, labels, _ in samples if name == "apns_notifications_total"
                and labels["reason"] == "BadDeviceToken"]
    assert rejected == [{"server": "apple.test:443", "protocol": "http2", "outcome": "rejected",
                         "status": "400", "reason": "BadDeviceToken", "push_type": "alert",
                         "topic": TOPIC}]
    assert "MadeUp" not in text and any(
        labels.get("reason") == OTHER for _, labels, _ in samples)
    assert not any(token in text for token in TOKENS)


def test_prometheus_can_leave_topics_out(told: List[Any]) -> None:
    """And name its metrics as it is told."""
    registry = CollectorRegistry()
    observe = PrometheusObserver(registry, namespace="shop", by_topic=False)
    observe(events.ConnectionOpened(0.0, SERVER, "http2", 0.1, None, 30))
    for event in told:
        observe(event)
    samples = list(read_metrics(generate_latest(registry).decode("utf-8")))
    assert {labels["topic"] for _, labels, _ in samples if "topic" in labels} == {""}
    assert all(name.startswith("shop_") for name, _, _ in samples)
    expiry = [value for name, _, value in samples if "expiry" in name]
    assert expiry and expiry[0] > 1e9


def test_the_dashboard_shows_each_metric_that_there_is(told: List[Any]) -> None:
    """With the names and labels of the adapter, and no other."""
    registry = CollectorRegistry()
    observe = PrometheusObserver(registry)
    observe(events.ConnectionOpened(0.0, SERVER, "http2", 0.1, None, 30))
    for event in told:
        observe(event)
    names: Dict[str, set] = {}
    for name, labels, _ in read_metrics(generate_latest(registry).decode("utf-8")):
        names.setdefault(name, set()).update(labels)
    shown = set()
    board = dashboard()
    for panel in board["panels"]:
        for target in panel["targets"]:
            found = re.findall(r"\bapns_\w+", target["expr"])
            assert found and set(found) <= set(names), target["expr"]
            shown.update(found)
            used = re.findall(r"(\w+)[!=]=?~?\"", target["expr"])
            used += [label.strip() for group in re.findall(r"by \(([^)]*)\)", target["expr"])
                     for label in group.split(",")]
            assert set(used) <= set().union(*(names[name] for name in found)), target["expr"]
            legend = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            assert set(legend) <= set(used)
    families = {re.sub("_(total|bucket|sum|count|created)$", "", name) for name in names}
    assert {re.sub("_(total|bucket|sum|count)$", "", name) for name in shown} == families
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def numbers_of(reader: Any) -> Dict[str, List[Any]]:
    """Return the data points of each metric, by its name."""
    found: Dict[str, List[Any]] = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                found[metric.name] = list(metric.data.data_points)
    return found


def test_opentelemetry_has_metrics_by_its_conventions(told: List[Any]) -> None:
    """Sent and unsent messages are all there are; durations are in seconds."""
    reader = InMemoryMetricReader()
    observe = OpenTelemetryObserver(MeterProvider([reader]), TracerProvider())
    observe(events.ConnectionOpened(0.0, SERVER, "http2", 0.1, None, 30))
    for event in told:
        observe(event)
    found = numbers_of(reader)
    sent, unsent = found["messaging.client.sent.messages"], found["apns.client.unsent.messages"]
    assert sum(point.value for point in sent + unsent) == count(told)
    assert sum(point.value for point in unsent) == 1
    assert {point.attributes["messaging.system"] for point in sent} == {"apns"}
    bad = [point for point in sent if point.attributes.get("error.type") == "BadDeviceToken"]
    assert dict(bad[0].attributes) == {
        "messaging.system": "apns", "messaging.operation.name": "send",
        "messaging.operation.type": "send", "messaging.destination.name": TOPIC,
        "server.address": "apple.test", "server.port": 443, "apns.protocol": "http2",
        "apns.push_type": "alert", "apns.outcome": "rejected", "error.type": "BadDeviceToken"}
    durations = found["messaging.client.operation.duration"]
    assert sum(point.count for point in durations) == sum(
        type(event) is events.Responses for event in told)
    assert found["apns.client.certificate.days"][0].value == 30
    assert {"apns.client.wait.duration", "apns.client.connect.duration",
            "apns.client.connection.duration", "apns.client.resent.messages",
            "apns.client.late.messages", "apns.client.provider_token.changes"} <= set(found)


def test_opentelemetry_has_spans_of_what_is_over(told: List[Any]) -> None:
    """They begin when it began; one that failed says so."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    now = told[-1].time
    observe = OpenTelemetryObserver(MeterProvider([]), provider, clock=lambda: now)
    with provider.get_tracer("test").start_as_current_span("campaign") as parent:
        for event in told:
            observe(event)
    spans = [span for span in exporter.get_finished_spans() if span.name != "campaign"]
    timed = [event for event in told if isinstance(
        event, (events.Responses, events.ConnectionOpened, events.ConnectFailed))]
    assert [span.name for span in spans] == [
        "send" if type(event) is events.Responses else "connect" for event in timed]
    for span, event in zip(spans, timed):
        assert span.kind is SpanKind.CLIENT
        assert span.parent.span_id == parent.get_span_context().span_id
        assert (span.end_time - span.start_time) / 1e9 == pytest.approx(event.seconds, abs=1e-6)
        assert span.attributes["server.address"] == "apple.test"
        if isinstance(event, events.Responses) and event.count > 1:
            assert span.attributes["messaging.batch.message_count"] == event.count
        is_failure = type(event) is events.ConnectFailed
        assert (span.status.status_code is StatusCode.ERROR) == is_failure


def test_reasons_of_the_product_are_known_by_name(told: List[Any]) -> None:
    """Only what a server has made up is not."""
    said = {getattr(event, name, None) for event in told for name in ("reason", "detail")
            if not isinstance(event, (events.Waited, events.ConnectionClosed)) or name == "detail"}
    assert {reason for reason in said if known(reason) != reason} == {"MadeUp"}
