"""The proof of the rollups: quarters are what the records sum up to, everything else is what the quarters sum up to.

A UTC day is read in several streams, in the order of time, and compared hour by hour: memory holds one hour.
"""

from collections.abc import Generator, Iterable, Iterator
from datetime import timedelta
from heapq import merge
from itertools import groupby, repeat
from typing import Any

from sqlalchemy import Connection, Table, select

from service.reporting import measures, queries
from service.reporting.dimensions import ROLLUP
from service.reporting.impossible import Finding
from service.reporting.intervals import QUARTER, Span
from service.reporting.snapshots import streamed
from service.store.histogram import DURATION_BINS, TTFT_BINS
from service.store.measure_columns import ROLLUP_BINS, ROLLUP_MEASURES, ROLLUP_SUMS
from service.store.model_rollup_tables import (
    MODEL_ROLLUP_DIMENSIONS,
    model_rollup,
    model_rollup_day,
    model_rollup_hour,
)
from service.store.tables import ROLLUP_DIMENSIONS, usage_rollup, usage_rollup_day, usage_rollup_hour

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
_NO_BINS = (0,) * len(ROLLUP_BINS)
_NO_ROW = tuple(None if name in ROLLUP_SUMS else 0 for name in ROLLUP_MEASURES)
_FIRST_BIN = {
    "duration_ms": ROLLUP_MEASURES.index(DURATION_BINS[0]),
    "ttft_ms": ROLLUP_MEASURES.index(TTFT_BINS[0]),
}
_RECORDS, _LATENCIES, _QUARTERS, _HOURS, _MODEL_QUARTERS, _MODEL_HOURS = range(6)

Key = tuple[Any, ...]
"""Bucket, then the values of the dimensions."""
Row = tuple[int | None, ...]
"""The values of `ROLLUP_MEASURES`; a bin of NULL holds 0."""
Rows = dict[Key, Row]
Item = tuple[int, Key, Any]
"""The number of an hour in its day, the key of a row in it, and the row; for latencies a bin and its count."""


def findings(tx: Connection, day: Span) -> Iterator[Finding]:
    """What differs on a UTC day."""
    days: Rows = {}
    model_days: Rows = {}
    for hour in _hours(tx, day):
        summed, quarters = hour[_RECORDS], hour[_QUARTERS]
        yield from _compare("records", summed, usage_rollup, quarters)
        hours = _coarser(quarters, length=HOUR)
        yield from _compare(usage_rollup.name, hours, usage_rollup_hour, hour[_HOURS])
        models = _without_keys(quarters)
        yield from _compare(usage_rollup.name, models, model_rollup, hour[_MODEL_QUARTERS])
        model_hours = _coarser(models, length=HOUR)
        yield from _compare(usage_rollup.name, model_hours, model_rollup_hour, hour[_MODEL_HOURS])
        _add_all(days, _coarser(hours, length=DAY))
        _add_all(model_days, _coarser(model_hours, length=DAY))
    for table, expected in ((usage_rollup_day, days), (model_rollup_day, model_days)):
        found = {key: row for _number, key, row in _stored(tx, table, day)}
        yield from _compare(usage_rollup.name, expected, table, found)


def _hours(tx: Connection, day: Span) -> Generator[list[Rows]]:
    """For each hour that has anything its rows: summed from the records, and as they are in the rollups."""
    streams: list[tuple[int, Generator[Item]]] = [
        (_RECORDS, _summed(tx, day)),
        *((_LATENCIES, _counted(tx, day, latency)) for latency in _FIRST_BIN),
        (_QUARTERS, _stored(tx, usage_rollup, day)),
        (_HOURS, _stored(tx, usage_rollup_hour, day)),
        (_MODEL_QUARTERS, _stored(tx, model_rollup, day)),
        (_MODEL_HOURS, _stored(tx, model_rollup_hour, day)),
    ]
    # of one hour, items come in the order of their streams: a row before the bins of its histograms
    tagged = merge(*(zip(stream, repeat(place)) for place, stream in streams), key=_number)
    try:
        for _, items in groupby(tagged, key=_number):
            yield _sorted_out(items)
    finally:
        for _, stream in streams:
            stream.close()


def _sorted_out(items: Iterable[tuple[Item, int]]) -> list[Rows]:
    rows: list[Rows] = [{} for _ in range(6)]
    for (_, key, found), place in items:
        if place == _LATENCIES:
            index, count = found
            row = rows[_RECORDS][key]
            rows[_RECORDS][key] = (*row[:index], count, *row[index + 1 :])
        else:
            rows[place][key] = found
    return rows


def _number(tagged: tuple[Item, int]) -> int:
    return tagged[0][0]


def _summed(tx: Connection, day: Span) -> Generator[Item]:
    """What the quarters should hold, from records and ledger entries; without histograms."""
    quarters, keys, stored = _quarters(day), 1 + len(ROLLUP), len(measures.STORED)
    statement = queries.record_usage(quarters, group_by=tuple(ROLLUP), filters={}).order_by(queries.SPAN)
    for row in streamed(tx, statement):
        values = (None if value is None else int(value) for value in row[keys : keys + stored])
        yield row[0] * QUARTER // HOUR, (quarters[row[0]].since, *row[1:keys]), (*values, *_NO_BINS)


def _counted(tx: Connection, day: Span, latency: str) -> Generator[Item]:
    """The bins of the histograms that are not empty."""
    quarters, first = _quarters(day), _FIRST_BIN[latency]
    statement = queries.record_latencies(latency, quarters, group_by=tuple(ROLLUP), filters={})
    for number, *dimensions, index, count in streamed(tx, statement.order_by(queries.SPAN)):
        yield number * QUARTER // HOUR, (quarters[number].since, *dimensions), (first + index, count)


def _quarters(day: Span) -> list[Span]:
    return [
        Span(day.since + number * QUARTER, day.since + (number + 1) * QUARTER)
        for number in range((day.until - day.since) // QUARTER)
    ]


def _stored(tx: Connection, table: Table, day: Span) -> Generator[Item]:
    columns = [*table.primary_key, *(table.c[name] for name in ROLLUP_MEASURES)]
    statement = (
        select(*columns)
        .where(table.c.bucket >= day.since, table.c.bucket < day.until)
        .order_by(table.c.bucket)
    )
    keys, bins = len(table.primary_key), len(ROLLUP_BINS)
    for row in streamed(tx, statement):
        measured = (*row[keys:-bins], *(count or 0 for count in row[-bins:]))
        yield (row[0] - day.since) // HOUR, tuple(row[:keys]), measured


def _coarser(rows: Rows, *, length: timedelta) -> Rows:
    """The same by longer buckets; a day begins where its hours say."""
    coarser: Rows = {}
    for (bucket, *dimensions), row in rows.items():
        midnight = bucket.replace(hour=0, minute=0)
        _add(coarser, (midnight + (bucket - midnight) // length * length, *dimensions), row)
    return coarser


def _without_keys(rows: Rows) -> Rows:
    models: Rows = {}
    for (bucket, _key_id, _project, *dimensions), row in rows.items():
        _add(models, (bucket, *dimensions), row)
    return models


def _add_all(rows: Rows, more: Rows) -> None:
    for key, row in more.items():
        _add(rows, key, row)


def _add(rows: Rows, key: Key, row: Row) -> None:
    there = rows.get(key)
    rows[key] = row if there is None else tuple(map(_plus, there, row))


def _plus(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _compare(expected_in: str, expected: Rows, table: Table, found: Rows) -> Iterator[Finding]:
    """Rows that differ, also where one side has none."""
    for key in sorted(expected.keys() | found.keys()):
        should, does = expected.get(key, _NO_ROW), found.get(key, _NO_ROW)
        if should == does:
            continue
        for name, number, other in zip(ROLLUP_MEASURES, should, does, strict=True):
            if number != other:
                yield f"{table.name} {_text(key)}", name, str(other), f"{number} ({expected_in})"


def _text(key: Key) -> str:
    bucket, *values = key
    names = ROLLUP_DIMENSIONS if len(values) == len(ROLLUP_DIMENSIONS) else MODEL_ROLLUP_DIMENSIONS
    named = (f"{name}={value}" for name, value in zip(names, values, strict=True) if value)
    return " ".join((f"{bucket:%Y-%m-%dT%H:%MZ}", *named))
