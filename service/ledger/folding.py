"""Folding: the measures of many records, summed by quarter of an hour and dimensions. Pure.

Requests are final attempts, weighted by repeat_count, as attempts are; tokens and costs count every attempt.
Latencies count final attempts that reached an upstream. The model is the one the upstream was asked for: a name
that no upstream serves is the client's invention and would grow the rollups without bound.

`reporting.measures` defines the same measures in SQL; `reporting.check` compares the two.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from operator import add as plus
from operator import attrgetter
from typing import Any, TypeVar

from service.ledger.record import RequestRecord
from service.store.histogram import DURATION_BINS, EDGES_MS, TTFT_BINS
from service.store.measure_columns import (
    COST_STATUSES,
    REPORTED_CLASSES,
    ROLLUP_MEASURES,
    ROLLUP_SUMS,
    TOKEN_COLUMNS,
    USAGE_SOURCES,
)

QUARTER_MICROS = 900_000_000
HOUR_MICROS = 4 * QUARTER_MICROS
DAY_MICROS = 24 * HOUR_MICROS

Key = tuple[int, str, str, str, str, str, str]
"""Bucket in UTC microseconds, then `ROLLUP_DIMENSIONS` with '' for NULL."""
Measures = list[int | None]
"""One value for each of `ROLLUP_MEASURES`."""
Folded = dict[Key, Measures]
ModelFolded = dict[tuple[Any, ...], Measures]
"""As `Folded`, without key and project."""
K = TypeVar("K")
B = TypeVar("B", bound=tuple[Any, ...])

KEY_FIELDS = (
    "started_at",
    "key_id",
    "project",
    "upstream",
    "provider",
    "upstream_model",
    "requested_model",
    "outcome",
)
FOLD_FIELDS = (
    *KEY_FIELDS,
    "final",
    "repeat_count",
    "stream",
    "usage_source",
    "cost_status",
    "duration_ms",
    "ttft_ms",
    "bytes_in",
    "bytes_out",
    *TOKEN_COLUMNS,
    "cost_nanos",
    "provider_cost_nanos",
)
"""What `fold_rows` reads of a record, in this order."""
CHANGE_FIELDS = (*KEY_FIELDS, "repeat_count", "delta_nanos", "cost_status_before", "cost_status_after")
"""What `fold_changes` reads of a ledger entry and its record, in this order."""

_AT = {name: index for index, name in enumerate(ROLLUP_MEASURES)}
_SUMS = len(ROLLUP_SUMS)
_NOTHING: Measures = [None if name in ROLLUP_SUMS else 0 for name in ROLLUP_MEASURES]
_COST_COUNT = {status: _AT[f"cost_{status}"] for status in COST_STATUSES}
_USAGE_COUNT = {source: _AT[f"usage_{source}"] for source in USAGE_SOURCES}
_REPORTED = tuple((_AT[name], _AT[f"{name}_reported"]) for name in REPORTED_CLASSES)
_COST = _AT["cost_nanos"]
_BYTES_IN = _AT["bytes_in"]
_BYTES_OUT = _AT["bytes_out"]
_REQUESTS = _AT["requests"]
_ATTEMPTS = _AT["attempts"]
_STREAMS = _AT["streams"]
_DURATION = (_AT["duration_micros"], _AT["duration_count"], _AT[DURATION_BINS[0]])
_TTFT = (_AT["ttft_micros"], _AT["ttft_count"], _AT[TTFT_BINS[0]])


def fold(records: Iterable[RequestRecord]) -> Folded:
    """The measures of *records* by quarter of an hour and dimensions."""
    return fold_rows(map(attrgetter(*FOLD_FIELDS), records))


def fold_rows(rows: Iterable[Sequence[Any]]) -> Folded:
    """As `fold`, for tuples of `FOLD_FIELDS` with started_at in microseconds."""
    folded: Folded = {}
    for (
        started_at, key_id, project, upstream, provider, model, requested, outcome,
        final, repeat_count, stream, usage_source, cost_status, duration_ms, ttft_ms, bytes_in, bytes_out, *sums,
    ) in rows:  # fmt: skip
        key = _key(started_at, key_id, project, upstream, provider, model, requested, outcome)
        measures: Any = folded.get(key)
        if measures is None:
            measures = folded[key] = _NOTHING.copy()
        for index, value in enumerate(sums):
            if value is not None:
                measures[index] = value + (measures[index] or 0)
        for index, reported in _REPORTED:
            if sums[index] is not None:
                measures[reported] += 1
        measures[_COST_COUNT[cost_status]] += repeat_count
        measures[_USAGE_COUNT[usage_source]] += repeat_count
        measures[_ATTEMPTS] += repeat_count
        measures[_BYTES_IN] += bytes_in or 0
        measures[_BYTES_OUT] += bytes_out or 0
        if final:
            measures[_REQUESTS] += repeat_count
            if stream:
                measures[_STREAMS] += repeat_count
            if upstream is not None:
                _observe(measures, duration_ms, _DURATION)
                _observe(measures, ttft_ms, _TTFT)
    return folded


def _key(  # noqa: PLR0913, PLR0917  (one parameter for each of KEY_FIELDS, in the hot loop)
    started_at: int,
    key_id: str | None,
    project: str | None,
    upstream: str | None,
    provider: str | None,
    model: str | None,
    requested: str | None,
    outcome: str,
) -> Key:
    if model is None and upstream is not None:
        model = requested
    bucket = started_at - started_at % QUARTER_MICROS
    return bucket, key_id or "", project or "", upstream or "", provider or "", model or "", outcome


def _observe(measures: Any, value_ms: float | None, at: tuple[int, int, int]) -> None:
    """Add one latency, where it was measured: to its sum, its count and its bin."""
    if value_ms is None:
        return
    total, count, bins = at
    measures[total] = (measures[total] or 0) + int(value_ms * 1000 + 0.5)
    measures[count] += 1
    measures[bins + bisect_right(EDGES_MS, value_ms)] += 1


def fold_changes(rows: Iterable[Sequence[Any]]) -> Folded:
    """What ledger entries change: tuples of `CHANGE_FIELDS`."""
    folded: Folded = {}
    for *key_values, repeat_count, delta_nanos, before, after in rows:
        key = _key(*key_values)
        measures: Any = folded.get(key)
        if measures is None:
            measures = folded[key] = _NOTHING.copy()
        measures[_COST] = (measures[_COST] or 0) + delta_nanos
        measures[_COST_COUNT[before]] -= repeat_count
        measures[_COST_COUNT[after]] += repeat_count
    return folded


def coarser(folded: dict[B, Measures], *, length_micros: int) -> dict[B, Measures]:
    """The same measures by longer buckets."""
    merged: dict[Any, Measures] = {}
    for key, measures in folded.items():
        longer = (key[0] - key[0] % length_micros, *key[1:])
        present = merged.get(longer)
        merged[longer] = measures if present is None else add(present, measures)
    return merged


def without_keys(folded: Folded) -> ModelFolded:
    """The same measures without key and project."""
    merged: ModelFolded = {}
    for (bucket, _key_id, _project, *dimensions), measures in folded.items():
        key = (bucket, *dimensions)
        present = merged.get(key)
        merged[key] = measures if present is None else add(present, measures)
    return merged


def merge(folded: dict[K, Measures], more: Mapping[K, Measures]) -> None:
    """Add *more* to *folded*, in place."""
    for key, measures in more.items():
        present = folded.get(key)
        folded[key] = measures if present is None else add(present, measures)


def add(one: Measures, other: Measures) -> Measures:
    """The sum of two rows of measures; None where neither reported. Only the sums, which come first, can be None."""
    pairs = zip(one[:_SUMS], other[:_SUMS], strict=True)
    added: Any = [b if a is None else a if b is None else a + b for a, b in pairs]
    added += map(plus, one[_SUMS:], other[_SUMS:])
    return added  # type: ignore[no-any-return]
