"""Rows and gauges as OpenTelemetry metrics: what `/metrics` shows, but of this process and since it started."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from service.telemetry import layout, names
from service.telemetry.names import Instrument
from service.telemetry.prometheus import Sample
from service.telemetry.series import Key

Period = tuple[int, int]
"""When the process began to count and when it was asked, in nanoseconds since 1970."""
Cells = Mapping[Key, Sequence[int]]

_CUMULATIVE = AggregationTemporality.CUMULATIVE
_UNKNOWN: Any = None  # not kept; the field is optional on the wire


class MetricsMaker:
    """Puts together what one export carries."""

    def __init__(self, *, resource: Resource, scope: InstrumentationScope) -> None:
        self._resource = resource
        self._scope = scope

    def data(
        self, families: Mapping[layout.Family, Cells], samples: Iterable[Sample], *, period: Period
    ) -> MetricsData:
        """All metrics, cumulative over *period*."""
        metrics: list[Metric] = []
        for family, rows in families.items():
            points = [(_attributes(family, key), cells) for key, cells in rows.items()]
            metrics += _counters(family, points, period=period)
            metrics += _histograms(family, points, period=period)
        metrics += _samples(samples, period=period)
        scoped = ScopeMetrics(self._scope, metrics, names.SCHEMA_URL)
        return MetricsData([ResourceMetrics(self._resource, [scoped], names.SCHEMA_URL)])


_Points = list[tuple[dict[str, str], Sequence[int]]]


def _attributes(family: layout.Family, key: Key) -> dict[str, str]:
    pairs = [*family.constant, *zip(family.keys, key, strict=True)]
    return {name: value for name, value in pairs if value}


def _counters(family: layout.Family, rows: _Points, *, period: Period) -> Iterator[Metric]:
    for instrument, counters in groupby(family.counters, key=attrgetter("instrument")):
        points = [
            NumberDataPoint(
                {**attributes, **dict(counter.attributes)},
                *period,
                _scaled(cells[counter.at], counter.per_unit),
            )
            for counter in counters
            for attributes, cells in rows
        ]
        yield _metric(instrument, Sum(points, _CUMULATIVE, is_monotonic=True))


def _histograms(family: layout.Family, rows: _Points, *, period: Period) -> Iterator[Metric]:
    for instrument, histograms in groupby(family.histograms, key=attrgetter("instrument")):
        points = [
            HistogramDataPoint(
                attributes={**attributes, **dict(histogram.attributes)},
                start_time_unix_nano=period[0],
                time_unix_nano=period[1],
                count=sum(cells[histogram.at : histogram.sum_at]),
                sum=_scaled(cells[histogram.sum_at], histogram.per_unit),
                bucket_counts=cells[histogram.at : histogram.sum_at],
                explicit_bounds=instrument.bounds,
                min=_UNKNOWN,
                max=_UNKNOWN,
            )
            for histogram in histograms
            for attributes, cells in rows
            if any(cells[histogram.at : histogram.sum_at])
        ]
        yield _metric(instrument, Histogram(points, _CUMULATIVE))


def _samples(samples: Iterable[Sample], *, period: Period) -> Iterator[Metric]:
    by_name = attrgetter("instrument.name")
    for _, group in groupby(sorted(samples, key=by_name), key=by_name):
        several = list(group)
        instrument = several[0].instrument
        points = [
            NumberDataPoint(dict(sample.attributes), *period, float(sample.value)) for sample in several
        ]
        data = Gauge(points) if instrument.kind == "gauge" else Sum(points, _CUMULATIVE, is_monotonic=True)
        yield _metric(instrument, data)


def _metric(instrument: Instrument, data: Sum | Gauge | Histogram) -> Metric:
    return Metric(instrument.name, instrument.description, instrument.unit, data)


def _scaled(value: int, per_unit: int) -> float:
    return value if per_unit == 1 else value / per_unit
