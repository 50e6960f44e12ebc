"""Usage by end user or by tag, from their rollups; there are no percentiles by these.

Whole UTC days and hours come from the rollups, the quarters at the edges of a span and the days before there were
such rollups from the records. The hour and the day that are running are whole: nothing stands behind their end yet.
What has no row of its own is one row, `OTHER`, whose parts only the records know.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Integer,
    Select,
    Table,
    and_,
    case,
    column,
    func,
    literal_column,
    select,
    union_all,
    values,
)
from sqlalchemy.types import Text

from service.reporting import queries
from service.reporting.dimensions import Filters
from service.reporting.figures import Sums
from service.reporting.intervals import Span
from service.store.dimension_tables import DIMENSION_NAMES, dimension_rollup_day, dimension_rollup_hour
from service.store.facts import read_fact
from service.store.measure_columns import DIMENSION_MEASURES
from service.store.tables import usage_rollup
from service.store.types import UtcMicros, from_micros

SINCE = "dimension_rollups_since"
"""The fact from which UTC day on the rollups hold everything, in microseconds; without it, they always do."""
OTHER = "\x00other"
"""The values without rows of their own. No value of a record has a zero byte."""
OTHER_SHOWN = "(other)"

Pieces = list[tuple[int, Span]]


def dimension_of(group_by: Sequence[str], filters: Filters) -> str | None:
    """The one dimension that is asked for, if these rollups have the answer.

    Records with any of several tags are counted once, so only a single tag can be asked for, and not grouped by.
    """
    asked = {*group_by, *filters}
    name = next(iter(asked)) if len(asked) == 1 else None
    if name not in DIMENSION_NAMES:
        return None
    if name == "tag" and "tag" in filters and (group_by or len(filters["tag"]) > 1):
        return None
    return name


def usage_by_value(
    tx: Connection, dimension: str, spans: Sequence[Span], *, group_by: Sequence[str], filters: Filters
) -> dict[tuple[Any, ...], Sums] | None:
    """Sums by number of the span and *group_by*; None where only the records can tell."""
    wanted = filters.get(dimension)
    days, hours, rest = pieces_of(tx, spans)
    if wanted is not None and _has_other(tx, dimension, days + hours):
        return None
    found: dict[tuple[Any, ...], Sums] = {}
    statement = _from_rollups(dimension, days, hours, wanted=wanted)
    for number, value, *sums in tx.execute(statement) if statement is not None else ():
        key = (number, OTHER if value is None else value) if group_by else (number,)
        found.setdefault(key, Sums()).add(Sums.of(sums))
    if rest:
        statement = queries.record_usage(
            [span for _, span in rest],
            numbers=[number for number, _ in rest],
            group_by=group_by,
            filters=filters,
        )
        keys = 1 + len(group_by)
        for row in tx.execute(statement):
            found.setdefault(tuple(row[:keys]), Sums()).add(Sums.of(row[keys:]))
    return found


def complete_since(tx: Connection) -> datetime:
    """From when on the rollups hold everything."""
    return from_micros(int(read_fact(tx, SINCE) or 0))


def pieces_of(tx: Connection, spans: Sequence[Span]) -> tuple[Pieces, Pieces, Pieces]:
    """The numbered spans as whole days, whole hours, and what the records must answer."""
    since = complete_since(tx)
    numbered = list(enumerate(_to_the_end(tx, spans)))
    before = [(number, Span(span.since, min(span.until, since))) for number, span in numbered]
    after = [(number, Span(max(span.since, since), span.until)) for number, span in numbered]
    days, hours, quarters = queries.split(
        [(number, span) for number, span in after if span.since < span.until]
    )
    return days, hours, [(number, span) for number, span in before if span.since < span.until] + quarters


def _to_the_end(tx: Connection, spans: Sequence[Span]) -> list[Span]:
    """The spans; the last of all until the end of its UTC day, where nothing stands in the books behind it."""
    last = max(span.until for span in spans)
    midnight = last.replace(hour=0, minute=0)
    later = select(usage_rollup.c.bucket).where(usage_rollup.c.bucket >= last).limit(1)
    if last == midnight or tx.execute(later).first() is not None:
        return list(spans)
    end = midnight + timedelta(days=1)
    return [span if span.until < last else Span(span.since, end) for span in spans]


def _has_other(tx: Connection, dimension: str, pieces: Pieces) -> bool:
    """Some value has no row of its own somewhere from the first of *pieces* to the last."""
    if not pieces:
        return False
    row = dimension_rollup_day.c
    first = min(span.since for _, span in pieces).replace(hour=0)
    last = max(span.until for _, span in pieces)
    statement = (
        select(row.own)
        .where(row.dimension == dimension, row.bucket >= first, row.bucket < last, row.own == 0)
        .limit(1)
    )
    return tx.execute(statement).first() is not None


def _from_rollups(
    dimension: str, days: Pieces, hours: Pieces, *, wanted: Sequence[str] | None
) -> Select[Any] | CompoundSelect[Any] | None:
    return rollup_sums(
        dimension,
        days,
        hours,
        wanted=wanted,
        keys=lambda table: [shown_value(table).label("value")],
        totals=lambda table: [func.sum(table.c[name]).label(name) for name in DIMENSION_MEASURES],
    )


def shown_value(table: Table) -> ColumnElement[str]:
    """The value of a row; NULL for what has no row of its own."""
    return case((table.c.own == 1, table.c.value), else_=literal_column("NULL", Text))


def rollup_sums(
    dimension: str,
    days: Pieces,
    hours: Pieces,
    *,
    keys: queries.Columns,
    totals: queries.Columns,
    wanted: Sequence[str] | None = None,
) -> Select[Any] | CompoundSelect[Any] | None:
    """The number of the span, *keys* and *totals*; None where there are no pieces."""
    parts = [
        _part(table, pieces, keys=keys(table), totals=totals(table)).where(
            table.c.dimension == dimension,
            *([] if wanted is None else [table.c.own == 1, table.c.value.in_(wanted)]),
        )
        for table, pieces in ((dimension_rollup_day, days), (dimension_rollup_hour, hours))
        if pieces
    ]
    if not parts:
        return None
    return union_all(*parts) if len(parts) > 1 else parts[0]


def _part(
    table: Table,
    pieces: Pieces,
    *,
    keys: Sequence[ColumnElement[Any]],
    totals: Sequence[ColumnElement[Any]],
) -> Select[Any]:
    numbered = values(
        column("span", Integer),
        column("since", UtcMicros),
        column("until", UtcMicros),
        name=f"{table.name}_span",
    )
    piece = numbered.data([(number, span.since, span.until) for number, span in pieces]).cte()
    inside = and_(table.c.bucket >= piece.c.since, table.c.bucket < piece.c.until)
    return (
        select(piece.c.span, *keys, *totals)
        .select_from(piece.join(table, inside))
        .group_by(piece.c.span, *keys)
    )
