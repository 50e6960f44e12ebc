"""Telemetry of one process, as its settings want it; where nothing is wanted there is none, and it costs nothing."""

import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from service.ledger.record import RequestRecord
from service.settings import Settings
from service.telemetry import names
from service.telemetry.counters import Counters
from service.telemetry.figures import process_figures
from service.telemetry.page import MetricsPage
from service.telemetry.prometheus import Sample

if TYPE_CHECKING:
    from service.telemetry.collector import CollectorLink, SpanQueue

FOLDER = "metrics"
BEAT_S = 2.0
STOP_S = 5.0
_MICROS_PER_SECOND = 1_000_000


def telemetry_for(
    settings: Settings, *, micros: Callable[[], int], monotonic: Callable[[], float]
) -> "Telemetry | None":
    """What the settings ask for; None where they ask for nothing."""
    if settings.telemetry.prometheus == "off" and not settings.telemetry.enabled:
        return None
    return Telemetry(settings, micros=micros, monotonic=monotonic)


class Telemetry:
    """`observe` on the threads that store records; a thread of its own for gauges, another one for export."""

    def __init__(
        self, settings: Settings, *, micros: Callable[[], int], monotonic: Callable[[], float]
    ) -> None:
        self._folder = settings.relay.data_dir / FOLDER
        self._has_page = settings.telemetry.prometheus != "off"
        self._live: Callable[[], Mapping[str, float]] = dict
        self._started_at = micros() / _MICROS_PER_SECOND
        self._counters = Counters(self._folder if self._has_page else None)
        self._stopped = threading.Event()
        self._heart = threading.Thread(target=self._keep_beating, name="gauges", daemon=True)
        self._queue: SpanQueue | None = None
        self._link: CollectorLink | None = None
        if settings.telemetry.enabled:
            from service.telemetry.otlp import connect

            self._queue, self._link = connect(
                settings,
                counters=self._counters,
                figures=self.figures,
                micros=micros,
                monotonic=monotonic,
            )

    @property
    def traced(self) -> bool:
        """Whether spans are exported, so that callers' traces have to be known."""
        return self._queue is not None

    def watch(self, live: Callable[[], Mapping[str, float]]) -> None:
        """Ask *live* for gauges beside those of the process; it is called from other threads."""
        self._live = live

    def observe(self, records: Sequence[RequestRecord]) -> None:
        """Take finished records, each of them once: now they are in the store."""
        self._counters.observe(records)
        if self._queue is not None:
            self._queue.put(records)

    def page(self, *, journal: Path, more: Callable[[], Sequence[Sample]] = tuple) -> MetricsPage | None:
        """The page for Prometheus; None where it is off."""
        if not self._has_page:
            return None
        return MetricsPage(
            slots=self._folder, journal=journal, version=version(names.SCOPE), beat=self._beat, more=more
        )

    def figures(self) -> dict[str, float]:
        """The gauges of this process as of now."""
        figures = {names.STARTED.name: self._started_at, **process_figures(), **self._live()}
        if self._link is not None and self._queue is not None:
            figures[names.SPANS.name] = self._link.exported
            figures[names.SPANS_DROPPED.name] = self._link.lost + self._queue.dropped
            figures[names.METRICS_FAILED.name] = self._link.metrics_failed
        return {name: float(value) for name, value in figures.items()}

    def start(self) -> None:
        """Start the threads."""
        if self._has_page:
            self._heart.start()
        if self._link is not None:
            self._link.start()

    def stop(self) -> None:
        """Export what waits, if the collector takes it soon, and give up the slot."""
        self._stopped.set()
        if self._heart.is_alive():
            self._heart.join()
        if self._link is not None:
            self._link.stop(timeout_s=STOP_S)
        self._counters.close()

    def _keep_beating(self) -> None:
        while not self._stopped.is_set():
            self._beat()
            self._stopped.wait(BEAT_S)

    def _beat(self) -> None:
        self._counters.beat(self.figures())
