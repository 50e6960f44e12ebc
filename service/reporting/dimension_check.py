"""The proof of the rollups by end user and by tag: rows of their own and "(other)" together are the records.

Hour by hour, so that memory holds one hour's values. Which values have rows of their own is as the day's rows say; the
records of all others must add up to the row of the others.
"""

from collections.abc import Collection, Generator, Iterator
from datetime import timedelta
from heapq import merge
from itertools import groupby, repeat

from sqlalchemy import Connection, Table, select

from service.reporting import queries
from service.reporting.by_value import OTHER, OTHER_SHOWN, complete_since
from service.reporting.impossible import Finding
from service.reporting.intervals import Span
from service.reporting.snapshots import streamed
from service.store.dimension_tables import DIMENSION_NAMES, dimension_rollup_day, dimension_rollup_hour
from service.store.measure_columns import DIMENSION_MEASURES, ROLLUP_SUMS

_HOUR = timedelta(hours=1)
_NO_ROW = tuple(None if name in ROLLUP_SUMS else 0 for name in DIMENSION_MEASURES)


Row = tuple[int | None, ...]
"""The `DIMENSION_MEASURES`."""
Rows = dict[str, Row]
"""By value, or `OTHER`."""
Hourly = tuple[int, str, Row]
"""The number of the hour in its day, the value, the sums."""


def findings(tx: Connection, day: Span) -> Iterator[Finding]:
    """What differs on a UTC day, for both dimensions."""
    if day.since < complete_since(tx):
        return
    for dimension in DIMENSION_NAMES:
        days = {value: row for _number, value, row in _stored(tx, dimension_rollup_day, day, dimension)}
        total: Rows = {}
        for number, expected, found in _hours(tx, day, dimension, own=days.keys()):
            hour = day.since + number * _HOUR
            where = f"{dimension_rollup_hour.name} {hour:%Y-%m-%dT%H:%MZ} {dimension}"
            yield from _compare(where, expected, found=found, expected_in="records")
            for value, row in found.items():
                _add(total, value, row)
        where = f"{dimension_rollup_day.name} {day.since:%Y-%m-%d} {dimension}"
        yield from _compare(where, total, found=days, expected_in=dimension_rollup_hour.name)


def _hours(
    tx: Connection, day: Span, dimension: str, *, own: Collection[str]
) -> Generator[tuple[int, Rows, Rows]]:
    """For each hour that has anything its number, what its rows should be, and what they are."""
    streams = (_summed(tx, day, dimension, own=own), _stored(tx, dimension_rollup_hour, day, dimension))
    tagged = merge(*(zip(stream, repeat(place)) for place, stream in enumerate(streams)), key=_number)
    try:
        for number, rows in groupby(tagged, key=_number):
            both: tuple[Rows, Rows] = ({}, {})
            for (_, value, row), place in rows:
                _add(both[place], value, row)
            yield number, *both
    finally:
        for stream in streams:
            stream.close()


def _number(tagged: tuple[Hourly, int]) -> int:
    return tagged[0][0]


def _stored(tx: Connection, table: Table, span: Span, dimension: str) -> Generator[Hourly]:
    row = table.c
    statement = (
        select(row.bucket, row.own, row.value, *(row[name] for name in DIMENSION_MEASURES))
        .where(row.dimension == dimension, row.bucket >= span.since, row.bucket < span.until)
        .order_by(row.bucket)
    )
    for bucket, own, value, *sums in streamed(tx, statement):
        yield (bucket - span.since) // _HOUR, value if own else OTHER, tuple(sums)


def _summed(tx: Connection, day: Span, dimension: str, *, own: Collection[str]) -> Generator[Hourly]:
    """What the rows of the hours should be, from records and ledger entries."""
    count = (day.until - day.since) // _HOUR
    hours = [Span(day.since + number * _HOUR, day.since + (number + 1) * _HOUR) for number in range(count)]
    statement = queries.record_usage(hours, group_by=(dimension,), filters={}).order_by(queries.SPAN)
    for number, value, *measured in streamed(tx, statement):
        row = tuple(None if measure is None else int(measure) for measure in measured)
        yield number, value if value in own or not value else OTHER, row


def _add(rows: Rows, value: str, row: Row) -> None:
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
