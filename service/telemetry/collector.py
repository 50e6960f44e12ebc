"""Spans and metrics on their way to an OpenTelemetry collector by OTLP over HTTP, on a thread of their own.

A collector that is away, slow or hanging costs the relay nothing but the queue: at most `QUEUE` records wait, what
comes beyond is dropped and counted. A batch that fails is dropped too, after the retries of the exporter; the first
failure and the recovery are logged, not each try.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from service.ledger.record import RequestRecord
from service.logs import get_logger
from service.telemetry.trace_context import is_sampled, parse

QUEUE = 2_048
BATCH = 128
"""Spans an export: encoding them holds the interpreter for some 10 ms, which requests have to wait for."""
LINGER_S = 2.0
PAUSE_S = 5.0
_EXPORTERS = "opentelemetry.exporter"


class SpanExporter(Protocol):
    """The part of OpenTelemetry's span exporters that is used."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans; blocks for as long as its time-out allows."""
        ...

    def shutdown(self) -> None:
        """Wait no longer between two tries."""
        ...


class MetricExporter(Protocol):
    """The part of OpenTelemetry's metric exporters that is used."""

    def export(self, metrics_data: MetricsData) -> MetricExportResult:
        """Send the metrics; blocks for as long as its time-out allows."""
        ...

    def shutdown(self) -> None:
        """Wait no longer between two tries."""
        ...


class SpanQueue:
    """Sampled records that wait to become spans. `put` never waits."""

    def __init__(self, *, ratio: float, limit: int = QUEUE) -> None:
        self._ratio = ratio
        self._limit = limit
        self._records: deque[RequestRecord] = deque()
        self._lock = threading.Lock()
        self.filled = threading.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._records)

    def put(self, records: Sequence[RequestRecord]) -> None:
        """Take the attempts on upstreams whose spans are wanted; drop and count them where there is no room."""
        with self._lock:
            for record in records:
                if record.upstream is not None and is_sampled(
                    record, parse(record.traceparent), ratio=self._ratio
                ):
                    self._add(record)
        if len(self._records) >= BATCH:
            self.filled.set()

    def _add(self, record: RequestRecord) -> None:
        if len(self._records) < self._limit:
            self._records.append(record)
        else:
            self.dropped += 1

    def take(self) -> list[RequestRecord]:
        """The oldest ones, at most a batch."""
        return [self._records.popleft() for _ in range(min(BATCH, len(self._records)))]


class Spans(msgspec.Struct, frozen=True, eq=False):
    """How a record becomes a span, and where it goes."""

    make: Callable[[RequestRecord], ReadableSpan]
    exporter: SpanExporter


class Metrics(msgspec.Struct, frozen=True, eq=False):
    """What one export of metrics carries, where it goes, and how often."""

    make: Callable[[], MetricsData]
    exporter: MetricExporter
    interval_s: float


class CollectorLink:
    """The thread that exports."""

    def __init__(
        self, queue: SpanQueue, *, spans: Spans, metrics: Metrics, monotonic: Callable[[], float]
    ) -> None:
        self._queue = queue
        self._spans = spans
        self._metrics = metrics
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._failing = False
        self._metrics_due = monotonic() + metrics.interval_s
        self.exported = 0
        self.lost = 0
        self.metrics_failed = 0

    def start(self) -> None:
        """Begin to export."""
        self._thread.start()

    def stop(self, *, timeout_s: float) -> None:
        """Export what waits, as far as the collector takes it within *timeout_s*, and end the thread."""
        self._stopping.set()
        self._queue.filled.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        for exporter in (self._spans.exporter, self._metrics.exporter):
            exporter.shutdown()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._queue.filled.wait(LINGER_S)
            if not self._tried(self._export_due_metrics):
                self._stopping.wait(PAUSE_S)
        self._tried(self._export_metrics)
        _let_exporters_speak(speak=True)

    def _tried(self, export_metrics: Callable[[], bool]) -> bool:
        try:
            return self._export_spans() and export_metrics()
        except Exception as error:  # noqa: BLE001  (telemetry must not end with one record it cannot tell)
            get_logger().error("telemetry_failed", exc_info=error)
            return False

    def _export_spans(self) -> bool:
        self._queue.filled.clear()
        while records := self._queue.take():
            fine = False
            try:
                spans = [self._spans.make(record) for record in records]
                fine = self._spans.exporter.export(spans) is SpanExportResult.SUCCESS
            finally:
                self.exported += len(records) if fine else 0
                self.lost += 0 if fine else len(records)
            self._note(fine=fine)
            if not fine:
                return False
        return True

    def _export_due_metrics(self) -> bool:
        if self._monotonic() < self._metrics_due:
            return True
        self._metrics_due = self._monotonic() + self._metrics.interval_s
        return self._export_metrics()

    def _export_metrics(self) -> bool:
        fine = self._metrics.exporter.export(self._metrics.make()) is MetricExportResult.SUCCESS
        self.metrics_failed += not fine
        self._note(fine=fine)
        return fine

    def _note(self, *, fine: bool) -> None:
        """Log the first failure, whose reason the exporter has just logged, and the end of it; nothing between."""
        if self._failing is not fine:
            return
        self._failing = not fine
        _let_exporters_speak(speak=fine)
        if fine:
            get_logger().info("telemetry_export_recovered", spans_lost=self.lost + self._queue.dropped)
        else:
            get_logger().warning(
                "telemetry_export_failed",
                advice="check telemetry.otlp_endpoint and the collector; the relay works without it",
            )


def _let_exporters_speak(*, speak: bool) -> None:
    """Their own lines give the reason of a failure, but come again with every try."""
    logging.getLogger(_EXPORTERS).setLevel(logging.NOTSET if speak else logging.CRITICAL)
