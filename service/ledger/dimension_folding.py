"""Folding by end user and by tag: as `folding`, by UTC hour, without latency histograms. Pure.

Every record counts once for its end user and once for each of its tags; '' stands for none. What `folding` can
leave to the outcome and the upstream of a row is counted here.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from service.ledger.folding import HOUR_MICROS, Measures
from service.ledger.record import RequestRecord
from service.reporting.measures import ERRORS, REFUSALS
from service.store.measure_columns import (
    COST_STATUSES,
    DIMENSION_MEASURES,
    REPORTED_CLASSES,
    ROLLUP_SUMS,
    TOKEN_COLUMNS,
    USAGE_SOURCES,
)

Key = tuple[str, int, str]
"""Dimension, hour in UTC microseconds, value."""
Folded = dict[Key, Measures]

FOLD_FIELDS = (
    "started_at",
    "end_user",
    "tags",
    "upstream",
    "outcome",
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
CHANGE_FIELDS = (
    "started_at",
    "end_user",
    "tags",
    "upstream",
    "repeat_count",
    "delta_nanos",
    "cost_status_before",
    "cost_status_after",
)
"""What `fold_changes` reads of a ledger entry and its record, in this order."""

_AT = {name: index for index, name in enumerate(DIMENSION_MEASURES)}
_NOTHING: Measures = [None if name in ROLLUP_SUMS else 0 for name in DIMENSION_MEASURES]
_COST_COUNT = {status: _AT[f"cost_{status}"] for status in COST_STATUSES}
_USAGE_COUNT = {source: _AT[f"usage_{source}"] for source in USAGE_SOURCES}
_REPORTED = tuple((_AT[name], _AT[f"{name}_reported"]) for name in REPORTED_CLASSES)
_OUTCOME_COUNT = {
    **dict.fromkeys(ERRORS, _AT["errors"]),
    **dict.fromkeys(REFUSALS, _AT["refused"]),
    "client_disconnect": _AT["disconnects"],
}
_UNPRICED, _UNCOVERED = frozenset({"unpriced"}), frozenset({"unpriced", "partial"})
COST = _AT["cost_nanos"]
_BYTES_IN, _BYTES_OUT = _AT["bytes_in"], _AT["bytes_out"]
_REQUESTS, _ATTEMPTS, _STREAMS = _AT["requests"], _AT["attempts"], _AT["streams"]
_METERED, _NO_PRICE, _NOT_COVERED = _AT["metered"], _AT["unpriced"], _AT["uncovered"]
_DURATION = (_AT["duration_micros"], _AT["duration_count"])
_TTFT = (_AT["ttft_micros"], _AT["ttft_count"])


def fold(records: Iterable[RequestRecord]) -> Folded:
    """The measures of *records* by hour, dimension and value."""
    return fold_rows(map(attrgetter(*FOLD_FIELDS), records))


def fold_rows(rows: Iterable[Sequence[Any]]) -> Folded:
    """As `fold`, for tuples of `FOLD_FIELDS` with started_at in microseconds."""
    folded: Folded = {}
    for started_at, end_user, tags, *facts in rows:
        for key in _keys(started_at, end_user, tags):
            measures = folded.get(key)
            if measures is None:
                measures = folded[key] = _NOTHING.copy()
            _count(measures, *facts)
    return folded


def _keys(started_at: int, end_user: str | None, tags: Sequence[str] | None) -> list[Key]:
    hour = started_at - started_at % HOUR_MICROS
    return [("end_user", hour, end_user or ""), *(("tag", hour, tag) for tag in tags or ("",))]


def _count(  # noqa: PLR0913, PLR0917  (one parameter for each of FOLD_FIELDS, in the hot loop)
    measures: Any,
    upstream: str | None,
    outcome: str,
    final: bool,  # noqa: FBT001  (a column)
    repeat_count: int,
    stream: bool | None,  # noqa: FBT001  (a column)
    usage_source: str,
    cost_status: str,
    duration_ms: float | None,
    ttft_ms: float | None,
    bytes_in: int | None,
    bytes_out: int | None,
    *sums: int | None,
) -> None:
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
    if upstream is not None:
        measures[_METERED] += repeat_count
        _uncover(measures, cost_status, repeat_count)
    if final:
        measures[_REQUESTS] += repeat_count
        counted = _OUTCOME_COUNT.get(outcome)
        if counted is not None:
            measures[counted] += repeat_count
        if stream:
            measures[_STREAMS] += repeat_count
        if upstream is not None:
            _observe(measures, duration_ms, _DURATION)
            _observe(measures, ttft_ms, _TTFT)


def _uncover(measures: Any, cost_status: str, repeat_count: int) -> None:
    """Count what has no price, or none for a part of it."""
    if cost_status in _UNCOVERED:
        measures[_NOT_COVERED] += repeat_count
        if cost_status in _UNPRICED:
            measures[_NO_PRICE] += repeat_count


def _observe(measures: Any, value_ms: float | None, at: tuple[int, int]) -> None:
    if value_ms is not None:
        total, count = at
        measures[total] = (measures[total] or 0) + int(value_ms * 1000 + 0.5)
        measures[count] += 1


def fold_changes(rows: Iterable[Sequence[Any]]) -> Folded:
    """What ledger entries change: tuples of `CHANGE_FIELDS`."""
    folded: Folded = {}
    for started_at, end_user, tags, upstream, repeat_count, delta_nanos, before, after in rows:
        for key in _keys(started_at, end_user, tags):
            measures: Any = folded.get(key)
            if measures is None:
                measures = folded[key] = _NOTHING.copy()
            measures[COST] = (measures[COST] or 0) + delta_nanos
            measures[_COST_COUNT[before]] -= repeat_count
            measures[_COST_COUNT[after]] += repeat_count
            if upstream is not None:
                _uncover(measures, before, -repeat_count)
                _uncover(measures, after, repeat_count)
    return folded
