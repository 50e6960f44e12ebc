"""Spend over time by the largest values of one dimension, and by all others together: what a chart shows, and no more.

The same amounts as in a usage report by this dimension, from the same rows. They are summed by the store: a busy week
by end user has hundreds of thousands of amounts, of which a chart shows a thousand.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    Select,
    Table,
    case,
    func,
    literal_column,
)

from service.reporting import by_value, queries
from service.reporting.by_value import OTHER, pieces_of, shown_value
from service.reporting.dimensions import ROLLUP, require_known
from service.reporting.intervals import Interval, Span, buckets, time_zone, widened
from service.reporting.measures import MEASURES
from service.reporting.usage import dimensions_of, key_names
from service.store.dimension_tables import DIMENSION_NAMES

REST = -1
"""In place of the rank of a value that is not among the largest."""
_COST = 1 + 1 + MEASURES.index("cost_nanos")
"""Where a row of `queries.record_usage` by one dimension has it."""
Nanos = dict[tuple[int, Any], int]
"""Spend by number of the span, and by value or its rank."""


class SpendQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What to report. The range is widened to whole quarters of an hour."""

    since: datetime
    until: datetime
    interval: Interval
    dimension: str
    largest: int
    timezone: str = "UTC"


class SpendOf(msgspec.Struct, frozen=True):
    """One value, named as in a usage report, and its spend by bucket."""

    dimensions: dict[str, str | None]
    nanos: tuple[int, ...]


class SpendOverTime(msgspec.Struct, frozen=True, kw_only=True):
    """The largest values first; *rest* is what all others spent by bucket, None where nothing is left for them."""

    since: datetime
    until: datetime
    interval: Interval
    timezone: str
    largest: tuple[SpendOf, ...]
    rest: tuple[int, ...] | None


def spend_over_time(tx: Connection, query: SpendQuery) -> SpendOverTime:
    """Execute *query*; InvalidInputError names what cannot be used. Values that spent nothing are left out."""
    require_known((query.dimension,), field="group_by")
    span = widened(query.since, query.until)
    spans = buckets(span, interval=query.interval, zone=time_zone(query.timezone))
    if _in_rollups(query.dimension):
        totals = _sums(tx, query.dimension, [span])
        ranked = _ranked(totals, count=query.largest)
        whole = query.dimension == "end_user" and OTHER not in ranked
        series = _largest_and_whole if whole else _sums
        found = series(tx, query.dimension, spans, ranked=ranked) if ranked else {}
    else:
        found = _of_records(tx, query.dimension, spans)
        ranked = _ranked(_by_value(found), count=query.largest)
        found = _folded(found, ranked)
    names = key_names(tx, map(str, ranked)) if query.dimension == "key" else {}
    rest = _series(found, REST, length=len(spans))
    return SpendOverTime(
        since=span.since,
        until=span.until,
        interval=query.interval,
        timezone=query.timezone,
        largest=tuple(
            SpendOf(
                dimensions_of((query.dimension,), (value,), names=names),
                _series(found, rank, length=len(spans)),
            )
            for rank, value in enumerate(ranked)
        ),
        rest=rest if any(rest) else None,
    )


def _in_rollups(dimension: str) -> bool:
    return dimension in ROLLUP or dimension in DIMENSION_NAMES


def _series(found: Nanos, rank: int, *, length: int) -> tuple[int, ...]:
    return tuple(found.get((number, rank), 0) for number in range(length))


def _ranked(found: Nanos, *, count: int) -> list[str]:
    """The values that spent most."""
    spent = {value: nanos for (_number, value), nanos in found.items() if nanos}
    return sorted(spent, key=lambda value: (-spent[value], value))[:count]


def _by_value(found: Nanos) -> Nanos:
    totals: Nanos = {}
    for (_number, value), nanos in found.items():
        totals[0, value] = totals.get((0, value), 0) + nanos
    return totals


def _folded(found: Nanos, ranked: Sequence[str]) -> Nanos:
    ranks = {value: rank for rank, value in enumerate(ranked)}
    folded: Nanos = {}
    for (number, value), nanos in found.items():
        key = (number, ranks.get(value, REST))
        folded[key] = folded.get(key, 0) + nanos
    return folded


def _largest_and_whole(
    tx: Connection, dimension: str, spans: Sequence[Span], *, ranked: Sequence[str]
) -> Nanos:
    """For a dimension of which every record has one value: the rest is what the largest leave of everything."""
    found = _sums(tx, dimension, spans, ranked=ranked, rest=False)
    everything = queries.rollup_sums(spans, fine=False, filters={}, keys=lambda _: [], totals=_cost)
    for number, nanos in tx.execute(everything):
        found[number, REST] = found.get((number, REST), 0) + int(nanos or 0)
    for (number, rank), nanos in list(found.items()):
        if rank != REST:
            found[number, REST] -= nanos
    return found


def _cost(table: Table) -> list[ColumnElement[Any]]:
    return [func.sum(table.c.cost_nanos).label("cost_nanos")]


def _sums(
    tx: Connection,
    dimension: str,
    spans: Sequence[Span],
    *,
    ranked: Sequence[str] | None = None,
    rest: bool = True,
) -> Nanos:
    """From rollups: by value, or by the rank of the value in *ranked*; without the *rest* for those alone."""

    def key(table: Table) -> list[ColumnElement[Any]]:
        value = table.c[ROLLUP[dimension]] if dimension in ROLLUP else shown_value(table)
        return [(value if ranked is None else _rank(value, ranked)).label("value")]

    found: Nanos = {}
    statement: Select[Any] | CompoundSelect[Any] | None
    if dimension in ROLLUP:
        fine = dimension in ("key", "project")
        statement = queries.rollup_sums(spans, fine=fine, filters={}, keys=key, totals=_cost)
    else:
        days, hours, quarters = pieces_of(tx, spans)
        if quarters:
            numbers = [number for number, _ in quarters]
            edges = _of_records(tx, dimension, [span for _, span in quarters], numbers=numbers)
            found = edges if ranked is None else _folded(edges, ranked)
            if not rest:
                found = {key: nanos for key, nanos in found.items() if key[1] != REST}
        wanted = None if rest else ranked
        statement = by_value.rollup_sums(dimension, days, hours, keys=key, totals=_cost, wanted=wanted)
    for number, value, nanos in tx.execute(statement) if statement is not None else ():
        at = (number, OTHER if value is None else value)
        found[at] = found.get(at, 0) + int(nanos or 0)
    return found


def _rank(value: ColumnElement[Any], ranked: Sequence[str]) -> ColumnElement[Any]:
    """The place of a value in *ranked*, as SQL; what has no row of its own is `OTHER` there."""
    steps = [
        (value.is_(None) if one == OTHER else value == one, literal_column(str(rank), Integer))
        for rank, one in enumerate(ranked)
    ]
    return case(*steps, else_=literal_column(str(REST), Integer))


def _of_records(
    tx: Connection, dimension: str, spans: Sequence[Span], *, numbers: Sequence[int] | None = None
) -> Nanos:
    statement = queries.record_usage(spans, group_by=(dimension,), filters={}, numbers=numbers)
    found: Nanos = {}
    for row in tx.execute(statement):
        at = (row[0], row[1])
        found[at] = found.get(at, 0) + int(row[_COST] or 0)
    return found
