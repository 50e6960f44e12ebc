"""Usage reports: the measures of a range of time, by bucket and dimensions, with their total.

The admin API, the command line, the dashboard and the exports show what `usage_report` returns.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from service.reporting import queries
from service.reporting.by_value import OTHER, OTHER_SHOWN, dimension_of, usage_by_value
from service.reporting.dimensions import ROLLUP, Filters, require_known, require_usable
from service.reporting.figures import Measures, Sums, figures
from service.reporting.intervals import Interval, Span, buckets, time_zone, widened
from service.reporting.measures import MEASURES
from service.store.histogram import DURATION_BINS
from service.store.tables import virtual_key

_NAMES_AT_ONCE = 500


class UsageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to report. Without *interval* the range is one bucket; it is widened to whole quarters of an hour."""

    since: datetime
    until: datetime
    interval: Interval | None = None
    group_by: tuple[str, ...] = ()
    timezone: str = "UTC"
    filters: Filters = {}
    percentiles: bool = True


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket and one combination of dimensions; a dimension is None where it is not known."""

    start: datetime
    end: datetime
    dimensions: dict[str, str | None]
    measures: Measures


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by start, then by cost; *total* counts every record once, also where it has several tags."""

    since: datetime
    until: datetime
    interval: Interval | None
    timezone: str
    group_by: tuple[str, ...]
    rows: tuple[UsageRow, ...]
    total: Measures


def usage_report(tx: Connection, query: UsageQuery) -> UsageReport:
    """Execute *query*; InvalidInputError names what cannot be used."""
    require_known(query.group_by, field="group_by")
    require_usable(query.filters)
    span = widened(query.since, query.until)
    zone = time_zone(query.timezone)
    spans = [span] if query.interval is None else buckets(span, interval=query.interval, zone=zone)
    found = _sums(tx, query, spans)
    if not query.group_by:
        for number in range(len(spans)):
            found.setdefault((number,), Sums())
    total = _total(tx, query, span, found=found)
    return UsageReport(
        since=span.since,
        until=span.until,
        interval=query.interval,
        timezone=query.timezone,
        group_by=query.group_by,
        rows=_rows(tx, query.group_by, spans=spans, found=found),
        total=figures(total),
    )


def _sums(tx: Connection, query: UsageQuery, spans: Sequence[Span]) -> dict[tuple[Any, ...], Sums]:
    """By number of the span and dimensions; from the rollups wherever they have the answer."""
    if {*query.group_by, *query.filters} <= ROLLUP.keys():
        return _from_rollups(tx, query, spans)
    dimension = dimension_of(query.group_by, query.filters)
    if dimension is not None:
        found = usage_by_value(tx, dimension, spans, group_by=query.group_by, filters=query.filters)
        if found is not None:
            return found
    return _from_records(tx, query, spans)


def _total(tx: Connection, query: UsageQuery, span: Span, *, found: Mapping[tuple[Any, ...], Sums]) -> Sums:
    """All of *found*; where its rows count records twice, or know no percentiles, asked for by itself."""
    rows_differ = "tag" in query.group_by or dimension_of(query.group_by, query.filters) is not None
    if query.group_by and rows_differ:
        whole = msgspec.structs.replace(query, interval=None, group_by=())
        return _sums(tx, whole, [span]).get((0,)) or Sums()
    total = Sums()
    for sums in found.values():
        total.add(sums)
    return total


def _from_rollups(tx: Connection, query: UsageQuery, spans: Sequence[Span]) -> dict[tuple[Any, ...], Sums]:
    statement = queries.rollup_usage(
        spans, group_by=query.group_by, filters=query.filters, bins=query.percentiles
    )
    keys = 1 + len(query.group_by)
    found: dict[tuple[Any, ...], Sums] = {}
    for row in tx.execute(statement):
        sums = Sums.of(row[keys : keys + len(MEASURES)])
        if query.percentiles:
            bins = [int(count or 0) for count in row[keys + len(MEASURES) :]]
            sums.bins |= {"duration_ms": bins[: len(DURATION_BINS)], "ttft_ms": bins[len(DURATION_BINS) :]}
        there = found.setdefault(tuple(row[:keys]), sums)
        if there is not sums:  # a span may have rows of several rollups
            there.add(sums)
    return found


def _from_records(tx: Connection, query: UsageQuery, spans: Sequence[Span]) -> dict[tuple[Any, ...], Sums]:
    keys = 1 + len(query.group_by)
    statement = queries.record_usage(spans, group_by=query.group_by, filters=query.filters)
    found = {tuple(row[:keys]): Sums.of(row[keys:]) for row in tx.execute(statement)}
    for latency in ("duration_ms", "ttft_ms") if query.percentiles else ():
        counts = queries.record_latencies(latency, spans, group_by=query.group_by, filters=query.filters)
        for *key, index, count in tx.execute(counts):
            if tuple(key) in found:  # a record may have come between the two statements
                found[tuple(key)].bins[latency][index] = count
    return found


def _rows(
    tx: Connection,
    group_by: Sequence[str],
    *,
    spans: Sequence[Span],
    found: Mapping[tuple[Any, ...], Sums],
) -> tuple[UsageRow, ...]:
    names: Mapping[str, str] = {}
    if "key" in group_by:
        at = 1 + group_by.index("key")
        names = key_names(tx, {str(key[at]) for key in found})
    rows = [
        UsageRow(
            start=spans[number].since,
            end=spans[number].until,
            dimensions=dimensions_of(group_by, dimensions, names=names),
            measures=figures(sums),
        )
        for (number, *dimensions), sums in sorted(found.items(), key=_order)
    ]
    return tuple(rows)


def _order(item: tuple[tuple[Any, ...], Sums]) -> tuple[Any, ...]:
    (number, *dimensions), sums = item
    return number, -(sums.values["cost_nanos"] or 0), -(sums.values["requests"] or 0), dimensions


def dimensions_of(
    group_by: Sequence[str], values: Sequence[str], *, names: Mapping[str, str]
) -> dict[str, str | None]:
    """Stored values as a report shows them; *names* are those of keys."""
    dimensions: dict[str, str | None] = {}
    for name, value in zip(group_by, values, strict=True):
        if name == "key":
            dimensions["key_id"] = value or None
            dimensions["key_name"] = names.get(value)
        else:
            dimensions[name] = OTHER_SHOWN if value == OTHER else value or None
    return dimensions


def key_names(tx: Connection, ids: Iterable[str]) -> dict[str, str]:
    """The names that the keys have today, by id."""
    wanted = sorted(filter(None, ids))
    names: dict[str, str] = {}
    for start in range(0, len(wanted), _NAMES_AT_ONCE):
        some = wanted[start : start + _NAMES_AT_ONCE]
        found = tx.execute(select(virtual_key.c.id, virtual_key.c.name).where(virtual_key.c.id.in_(some)))
        names |= {str(identifier): str(name) for identifier, name in found}
    return names
