"""The proof of the rollups by end user and by tag: rows of their own and "(other)" together are the records.

Hour by hour, so that memory holds one hour's values. Which values have rows of their own is as the day's rows say; the
records of all others must add up to the row of the others.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Table, select

from service.reporting import queries
from service.reporting.by_value import OTHER, OTHER_SHOWN, complete_since
from service.reporting.impossible import Finding
from service.reporting.intervals import Span
from service.store.dimension_tables import DIMENSION_NAMES, dimension_rollup_day, dimension_rollup_hour
from service.store.measure_columns import DIMENSION_MEASURES, ROLLUP_SUMS

_HOUR = timedelta(hours=1)
_NO_ROW = tuple(None if name in ROLLUP_SUMS else 0 for name in DIMENSION_MEASURES)

Rows = dict[str, tuple[int | None, ...]]
"""By value, or `OTHER`, the `DIMENSION_MEASURES`."""


def findings(tx: Connection, day: Span) -> Iterator[Finding]:
    """What differs on a UTC day, for both dimensions."""
    if day.since < complete_since(tx):
        return
    for dimension in DIMENSION_NAMES:
        days = _stored(tx, dimension_rollup_day, day, dimension=dimension)
        total: Rows = {}
        for number in range((day.until - day.since) // _HOUR):
            hour = Span(day.since + number * _HOUR, day.since + (number + 1) * _HOUR)
            expected = _summed(tx, hour, dimension=dimension, own=days.keys())
            found = _stored(tx, dimension_rollup_hour, hour, dimension=dimension)
            where = f"{dimension_rollup_hour.name} {hour.since:%Y-%m-%dT%H:%MZ} {dimension}"
            yield from _compare(where, expected, found=found, expected_in="records")
            for value, row in found.items():
                _add(total, value, row)
        where = f"{dimension_rollup_day.name} {day.since:%Y-%m-%d} {dimension}"
        yield from _compare(where, total, found=days, expected_in=dimension_rollup_hour.name)


def _stored(tx: Connection, table: Table, span: Span, *, dimension: str) -> Rows:
    row = table.c
    statement = select(row.own, row.value, *(row[name] for name in DIMENSION_MEASURES)).where(
        row.dimension == dimension, row.bucket >= span.since, row.bucket < span.until
    )
    return {value if own else OTHER: tuple(sums) for own, value, *sums in tx.execute(statement)}


def _summed(tx: Connection, hour: Span, *, dimension: str, own: Any) -> Rows:
    """What the hour's rows should be, from records and ledger entries."""
    sums: Rows = {}
    for _number, value, *measured in tx.execute(
        queries.record_usage([hour], group_by=(dimension,), filters={})
    ):
        row = tuple(None if number is None else int(number) for number in measured)
        _add(sums, value if value in own or value == "" else OTHER, row)
    return sums


def _add(rows: Rows, value: str, row: tuple[int | None, ...]) -> None:
    there = rows.get(value)
    rows[value] = row if there is None else tuple(map(_plus, there, row))


def _plus(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _compare(where: str, expected: Rows, *, found: Rows, expected_in: str) -> Iterator[Finding]:
    for value in sorted(expected.keys() | found.keys()):
        should, does = expected.get(value, _NO_ROW), found.get(value, _NO_ROW)
        if should == does:
            continue
        shown = OTHER_SHOWN if value == OTHER else repr(value)
        for name, number, other in zip(DIMENSION_MEASURES, should, does, strict=True):
            if number != other:
                yield f"{where} {shown}", name, str(other), f"{number} ({expected_in})"
