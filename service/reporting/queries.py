"""Every number anyone sees, as SQLAlchemy `Select` values; nothing here is executed.

A report cuts its range into numbered spans. The rollups answer by joining the spans to their rows: whole UTC days
from the daily rollup, whole hours from the hourly one, the quarters at a span's edges from the finest. Dimensions
that the rollups do not have are answered by the records, with the same measures under the same names.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    FromClause,
    Integer,
    Select,
    Subquery,
    Table,
    and_,
    column,
    func,
    select,
    true,
    union_all,
    values,
)

from service.reporting import measures
from service.reporting.dimensions import ROLLUP, Filters, TagsOf, filter_record, filter_rollup, of_record
from service.reporting.intervals import QUARTER, Span
from service.store.model_rollup_tables import model_rollup, model_rollup_day, model_rollup_hour
from service.store.spans import id_ceiling, id_floor
from service.store.tables import (
    ledger_entry,
    request_record,
    usage_rollup,
    usage_rollup_day,
    usage_rollup_hour,
)
from service.store.types import EPOCH, RecordId, UtcMicros

SPAN = "span"
Columns = Callable[[Table], Sequence[ColumnElement[Any]]]
"""Columns of one of several tables that have them under the same names."""
LEVELS: Mapping[timedelta, Table] = {
    timedelta(days=1): usage_rollup_day,
    timedelta(hours=1): usage_rollup_hour,
    QUARTER: usage_rollup,
}
MODEL_LEVELS = (model_rollup_day, model_rollup_hour, model_rollup)
"""The same without key and project, in the same order: far fewer rows for what asks for neither."""


def rollup_usage(
    spans: Sequence[Span], *, group_by: Sequence[str], filters: Filters, bins: bool = False
) -> Select[Any] | CompoundSelect[Any]:
    """Measures by number of the span and *group_by*, all of them in `dimensions.ROLLUP`.

    A key may come up to three times, once from each rollup: such rows belong together. With *bins* the columns of the
    latency histograms follow the measures.
    """
    return rollup_sums(
        spans,
        fine=not {"key", "project"}.isdisjoint({*group_by, *filters}),
        filters=filters,
        keys=lambda table: [table.c[ROLLUP[name]].label(name) for name in group_by],
        totals=lambda table: measures.of_rollup(table) + (measures.bins_of_rollup(table) if bins else ()),
    )


def rollup_sums(
    spans: Sequence[Span], *, fine: bool, filters: Filters, keys: Columns, totals: Columns
) -> Select[Any] | CompoundSelect[Any]:
    """The number of the span, *keys* and *totals* of each rollup; *fine* where key or project is asked for."""
    levels = LEVELS.values() if fine else MODEL_LEVELS
    parts = [
        _rollup_part(table, pieces, filters=filters, keys=keys(table), totals=totals(table))
        for table, pieces in zip(levels, split(list(enumerate(spans))), strict=True)
        if pieces
    ]
    return union_all(*parts) if len(parts) > 1 else parts[0]


def record_usage(
    spans: Sequence[Span],
    *,
    group_by: Sequence[str],
    filters: Filters,
    numbers: Sequence[int] | None = None,
) -> Select[Any]:
    """The same from the records, by any dimension, without histograms; *numbers* are those of *spans* if not 0, 1, …"""
    numbered = _numbered_ids(spans, numbers=numbers)
    first, last = min(span.since for span in spans), max(span.until for span in spans)
    changed = changes(Span(first, last), last=Span(first, last))
    keys = _record_keys(numbered, group_by)
    source = _records(numbered, tags="tag" in group_by).outerjoin(
        changed, changed.c.record_id == request_record.c.id
    )
    return (
        select(*keys, *measures.of_records(changed))
        .select_from(source)
        .where(*filter_record(filters))
        .group_by(*keys)
    )


def record_latencies(
    latency: str, spans: Sequence[Span], *, group_by: Sequence[str], filters: Filters
) -> Select[Any]:
    """Counts by span, *group_by* and histogram bin of *latency*, ``duration_ms`` or ``ttft_ms``."""
    record = request_record.c
    numbered = _numbered_ids(spans)
    keys = [*_record_keys(numbered, group_by), measures.bin_of(record[latency]).label("bin")]
    return (
        select(*keys, func.count().label("count"))
        .select_from(_records(numbered, tags="tag" in group_by))
        .where(record.final, record.upstream.is_not(None), record[latency].is_not(None))
        .where(*filter_record(filters))
        .group_by(*keys)
    )


def changes(first: Span, *, last: Span) -> Subquery:
    """What ledger entries changed of each record from *first* to *last*: delta_nanos, and cost_status now."""
    entry = ledger_entry.c
    within = and_(entry.record_id >= id_floor(first.since), entry.record_id < id_ceiling(last.until))
    summed = (
        select(
            entry.record_id,
            func.sum(entry.delta_nanos).label("delta_nanos"),
            func.max(entry.rating_version).label("rating_version"),
        )
        .where(within)
        .group_by(entry.record_id)
        .subquery("summed")
    )
    latest = ledger_entry.alias("latest")
    same = and_(latest.c.record_id == summed.c.record_id, latest.c.rating_version == summed.c.rating_version)
    return (
        select(summed.c.record_id, summed.c.delta_nanos, latest.c.cost_status_after.label("cost_status"))
        .select_from(summed.join(latest, same))
        .subquery("changes")
    )


def _rollup_part(
    table: Table,
    pieces: Sequence[tuple[int, Span]],
    *,
    filters: Filters,
    keys: Sequence[ColumnElement[Any]],
    totals: Sequence[ColumnElement[Any]],
) -> Select[Any]:
    numbered = values(
        column(SPAN, Integer),
        column("since", UtcMicros),
        column("until", UtcMicros),
        name=f"{table.name}_span",
    )
    piece = numbered.data([(number, span.since, span.until) for number, span in pieces]).cte()
    inside = and_(table.c.bucket >= piece.c.since, table.c.bucket < piece.c.until)
    return (
        select(piece.c[SPAN], *keys, *totals)
        .select_from(piece.join(table, inside))
        .where(*filter_rollup(filters, rollup=table))
        .group_by(piece.c[SPAN], *keys)
    )


def split(numbered: Sequence[tuple[int, Span]]) -> list[list[tuple[int, Span]]]:
    """The numbered spans in pieces for each of `LEVELS`: as many whole days as there are, then hours, then quarters."""
    pieces: list[list[tuple[int, Span]]] = [[] for _ in LEVELS]
    for number, span in numbered:
        rest = [span]
        for level, length in enumerate(LEVELS):
            left: list[Span] = []
            for one in rest:
                first, last = _ceil(one.since, length), _floor(one.until, length)
                if first >= last:
                    left.append(one)
                    continue
                pieces[level].append((number, Span(first, last)))
                left += [Span(one.since, first), Span(last, one.until)]
            rest = [one for one in left if one.since < one.until]
    return pieces


def _floor(instant: datetime, length: timedelta) -> datetime:
    return instant - (instant - EPOCH) % length


def _ceil(instant: datetime, length: timedelta) -> datetime:
    return instant + (EPOCH - instant) % length


def records_within(spans: Sequence[Span]) -> FromClause:
    """The records of all *spans*, which do not overlap."""
    return _records(_numbered_ids(spans), tags=False)


def _numbered_ids(spans: Sequence[Span], *, numbers: Sequence[int] | None = None) -> CTE:
    """Numbered spans with the range of ids that their records have."""
    names = values(
        column(SPAN, Integer),
        column("since", UtcMicros),
        column("until", UtcMicros),
        column("low", RecordId),
        column("high", RecordId),
        name="record_span",
    )
    rows = [
        (number, span.since, span.until, id_floor(span.since), id_ceiling(span.until))
        for number, span in zip(numbers or range(len(spans)), spans, strict=True)
    ]
    return names.data(rows).cte()


def _records(numbered: CTE, *, tags: bool) -> FromClause:
    record = request_record.c
    inside = and_(
        record.id >= numbered.c.low,
        record.id < numbered.c.high,
        record.started_at >= numbered.c.since,
        record.started_at < numbered.c.until,
    )
    source: FromClause = numbered.join(request_record, inside)
    if tags:
        each = TagsOf(record.tags).table_valued("value").alias("each_tag")
        source = source.outerjoin(each, true())
    return source


def _record_keys(numbered: CTE, group_by: Sequence[str]) -> list[ColumnElement[Any]]:
    return [numbered.c[SPAN], *(of_record(name).label(name) for name in group_by)]
