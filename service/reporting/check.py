"""The proof that the books agree: records and ledger entries = rollups, lines = costs, one final attempt a request.

The records are summed here by SQL, the rollups were folded in Python as the records came: two ways to the same
number. Every UTC day is read in one snapshot, so the relays may go on writing. Nothing is repaired; `rollups.rebuild`
does that.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, select

from service.reporting import dimension_check, impossible, measures, queries
from service.reporting.dimensions import ROLLUP
from service.reporting.intervals import QUARTER, Span
from service.reporting.snapshots import extent, snapshot
from service.store.engine import Store
from service.store.histogram import DURATION_BINS, TTFT_BINS
from service.store.measure_columns import ROLLUP_BINS, ROLLUP_SUMS
from service.store.tables import ROLLUP_DIMENSIONS, usage_rollup, usage_rollup_day, usage_rollup_hour

DAY = timedelta(days=1)
MAX_DIFFERENCES = 1_000
HOUR = timedelta(hours=1)

Key = tuple[Any, ...]
"""Bucket, then the values of `ROLLUP_DIMENSIONS`."""
Rows = dict[Key, tuple[int | None, ...]]
"""For each key the values of `_NAMES`; a bin of NULL holds 0."""
_NAMES = (*measures.STORED, *ROLLUP_BINS)
_NO_BINS = (0,) * len(ROLLUP_BINS)
_NO_ROW = tuple(None if name in ROLLUP_SUMS else 0 for name in _NAMES)


class Difference(msgspec.Struct, frozen=True):
    """Two numbers that should be equal, or a record that cannot be: where, what, what was found and expected."""

    where: str
    what: str
    found: str
    expected: str


def check(
    store: Store,
    *,
    since: datetime | None = None,
    settled_before: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Difference]:
    """Compare everything; the first `MAX_DIFFERENCES` of what differs, and nothing when the books agree.

    A request that began after *settled_before* may still wait for its final attempt. *progress* is told days
    done and days in all. With *since*, only the days from there on, without what needs a look at every record.
    """
    return list(islice(_differences(store, since, settled_before, progress), MAX_DIFFERENCES))


def _differences(
    store: Store,
    since: datetime | None,
    settled_before: datetime | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Difference]:
    with snapshot(store) as tx:
        days = [day for day in _days(tx) if since is None or day.until > since]
    for number, day in enumerate(days):
        with snapshot(store) as tx:
            yield from _rollups_differ(tx, day)
            for finding in dimension_check.findings(tx, day):
                yield Difference(*finding)
            for finding in impossible.findings(tx, day, settled_before=settled_before):
                yield Difference(*finding)
        if progress is not None:
            progress(number + 1, len(days))
    if since is not None:
        return
    with snapshot(store) as tx:
        for finding in impossible.lost_entries(tx):
            yield Difference(*finding)
    for finding in impossible.wrong_times(store):
        yield Difference(*finding)


def _days(tx: Connection) -> list[Span]:
    """The UTC days of all records and rollups, and the one before: a request may begin before its first attempt."""
    found = extent(tx)
    if found is None:
        return []
    first = found.since - DAY
    return [
        Span(first + number * DAY, first + (number + 1) * DAY)
        for number in range((found.until - first) // DAY)
    ]


def _rollups_differ(tx: Connection, day: Span) -> Iterator[Difference]:
    quarters = _stored(tx, usage_rollup, day)
    yield from _compare("records", _summed(tx, day), usage_rollup.name, quarters)
    for table, length in ((usage_rollup_hour, HOUR), (usage_rollup_day, DAY)):
        expected: Rows = {}
        for (bucket, *dimensions), row in quarters.items():
            key = (day.since + (bucket - day.since) // length * length, *dimensions)
            there = expected.get(key)
            expected[key] = row if there is None else tuple(map(_plus, there, row))
        yield from _compare(usage_rollup.name, expected, table.name, _stored(tx, table, day))


def _stored(tx: Connection, table: Table, day: Span) -> Rows:
    statement = select(table.c.bucket, *(table.c[name] for name in (*ROLLUP_DIMENSIONS, *_NAMES))).where(
        table.c.bucket >= day.since, table.c.bucket < day.until
    )
    keys, bins = 1 + len(ROLLUP_DIMENSIONS), len(ROLLUP_BINS)
    return {
        tuple(row[:keys]): (*row[keys:-bins], *(count or 0 for count in row[-bins:]))
        for row in tx.execute(statement)
    }


def _summed(tx: Connection, day: Span) -> Rows:
    """What the rollup should hold, from records and ledger entries."""
    group_by = tuple(ROLLUP)
    keys, stored = 1 + len(group_by), len(measures.STORED)
    sums: dict[Key, list[int | None]] = {}
    spans = [
        Span(day.since + number * QUARTER, day.since + (number + 1) * QUARTER)
        for number in range(DAY // QUARTER)
    ]
    for row in tx.execute(queries.record_usage(spans, group_by=group_by, filters={})):
        values = [None if value is None else int(value) for value in row[keys : keys + stored]]
        sums[(spans[row[0]].since, *row[1:keys])] = [*values, *_NO_BINS]
    for latency, first in (("duration_ms", DURATION_BINS[0]), ("ttft_ms", TTFT_BINS[0])):
        counts = queries.record_latencies(latency, spans, group_by=group_by, filters={})
        for number, *dimensions, index, count in tx.execute(counts):
            sums[(spans[number].since, *dimensions)][_NAMES.index(first) + index] = count
    return {key: tuple(values) for key, values in sums.items()}


def _plus(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _compare(expected_in: str, expected: Rows, found_in: str, found: Rows) -> Iterator[Difference]:
    """Rows that differ, also where one side has none."""
    for key in sorted(expected.keys() | found.keys()):
        should, does = expected.get(key, _NO_ROW), found.get(key, _NO_ROW)
        if should == does:
            continue
        for name, number, other in zip(_NAMES, should, does, strict=True):
            if number != other:
                yield Difference(
                    where=f"{found_in} {_text(key)}",
                    what=name,
                    found=str(other),
                    expected=f"{number} ({expected_in})",
                )


def _text(key: Key) -> str:
    bucket, *dimensions = key
    named = (f"{name}={value}" for name, value in zip(ROLLUP_DIMENSIONS, dimensions, strict=True) if value)
    return " ".join((f"{bucket:%Y-%m-%dT%H:%MZ}", *named))
