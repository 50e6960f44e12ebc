"""The proof that the books agree: records and ledger entries = rollups, lines = costs, one final attempt a request.

The records are summed here by SQL, the rollups were folded in Python as the records came: two ways to the same
number. Every UTC day is read in one snapshot, so the relays may go on writing. Nothing is repaired; `rollups.rebuild`
does that.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, select

from service.reporting import impossible, measures, queries
from service.reporting.dimensions import ROLLUP
from service.reporting.intervals import QUARTER, Span
from service.reporting.snapshots import extent, snapshot
from service.store.engine import Store
from service.store.histogram import DURATION_BINS, TTFT_BINS
from service.store.tables import (
    ROLLUP_BINS,
    ROLLUP_DIMENSIONS,
    ROLLUP_SUMS,
    usage_rollup,
    usage_rollup_hour,
)

DAY = timedelta(days=1)
MAX_DIFFERENCES = 1_000
HOUR = timedelta(hours=1)

Key = tuple[Any, ...]
"""Bucket, then the values of `ROLLUP_DIMENSIONS`."""
Row = dict[str, int | None]


class Difference(msgspec.Struct, frozen=True):
    """Two numbers that should be equal, or a record that cannot be: where, what, what was found and expected."""

    where: str
    what: str
    found: str
    expected: str


def check(
    store: Store,
    *,
    settled_before: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Difference]:
    """Compare everything; the first `MAX_DIFFERENCES` of what differs, and nothing when the books agree.

    A request that began after *settled_before* may still wait for its final attempt. *progress* is told days
    done and days in all.
    """
    return list(islice(_differences(store, settled_before, progress), MAX_DIFFERENCES))


def _differences(
    store: Store, settled_before: datetime | None, progress: Callable[[int, int], None] | None
) -> Iterator[Difference]:
    with snapshot(store) as tx:
        days = _days(tx)
    for number, day in enumerate(days):
        with snapshot(store) as tx:
            yield from _rollups_differ(tx, day)
            for finding in impossible.findings(tx, day, settled_before=settled_before):
                yield Difference(*finding)
        if progress is not None:
            progress(number + 1, len(days))
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
    first = found.since.replace(hour=0, minute=0, second=0, microsecond=0) - DAY
    return [
        Span(first + number * DAY, first + (number + 1) * DAY)
        for number in range(-((first - found.until) // DAY))
    ]


def _rollups_differ(tx: Connection, day: Span) -> Iterator[Difference]:
    quarters = _stored(tx, usage_rollup, day)
    yield from _compare("records", _summed(tx, day), usage_rollup.name, quarters)
    hours: dict[Key, Row] = {}
    for (bucket, *dimensions), row in quarters.items():
        hour = (bucket.replace(minute=0), *dimensions)
        hours[hour] = _sum(hours[hour], row) if hour in hours else row
    yield from _compare(usage_rollup.name, hours, usage_rollup_hour.name, _stored(tx, usage_rollup_hour, day))


def _stored(tx: Connection, table: Table, day: Span) -> dict[Key, Row]:
    names = (*measures.STORED, *ROLLUP_BINS)
    statement = select(table.c.bucket, *(table.c[name] for name in (*ROLLUP_DIMENSIONS, *names))).where(
        table.c.bucket >= day.since, table.c.bucket < day.until
    )
    keys = 1 + len(ROLLUP_DIMENSIONS)
    return {tuple(row[:keys]): dict(zip(names, row[keys:], strict=True)) for row in tx.execute(statement)}


def _summed(tx: Connection, day: Span) -> dict[Key, Row]:
    """What the rollup should hold, from records and ledger entries."""
    group_by = tuple(ROLLUP)
    keys = 1 + len(group_by)
    rows: dict[Key, Row] = {}
    spans = [
        Span(day.since + number * QUARTER, day.since + (number + 1) * QUARTER)
        for number in range(DAY // QUARTER)
    ]
    for row in tx.execute(queries.record_usage(spans, group_by=group_by, filters={})):
        values = dict(zip(measures.MEASURES, row[keys:], strict=True))
        key = (spans[row[0]].since, *row[1:keys])
        rows[key] = {name: None if values[name] is None else int(values[name]) for name in measures.STORED}
    for latency, bins in (("duration_ms", DURATION_BINS), ("ttft_ms", TTFT_BINS)):
        for *key_values, index, count in tx.execute(
            queries.record_latencies(latency, spans, group_by=group_by, filters={})
        ):
            rows[(spans[key_values[0]].since, *key_values[1:])][bins[index]] = count
    return rows


def _sum(one: Row, other: Mapping[str, int | None]) -> Row:
    return {
        name: value if other[name] is None else (value or 0) + (other[name] or 0)
        for name, value in one.items()
    }


def _compare(
    expected_in: str, expected: dict[Key, Row], found_in: str, found: dict[Key, Row]
) -> Iterator[Difference]:
    """Rows that differ, also where one side has none; a bin of NULL holds 0."""
    for key in sorted(expected.keys() | found.keys()):
        there, here = expected.get(key, {}), found.get(key, {})
        for name in (*measures.STORED, *ROLLUP_BINS):
            should, does = there.get(name), here.get(name)
            if should == does or (name not in ROLLUP_SUMS and not should and not does):
                continue
            yield Difference(
                where=f"{found_in} {_text(key)}",
                what=name,
                found=str(does),
                expected=f"{should} ({expected_in})",
            )


def _text(key: Key) -> str:
    bucket, *dimensions = key
    named = (f"{name}={value}" for name, value in zip(ROLLUP_DIMENSIONS, dimensions, strict=True) if value)
    return " ".join((f"{bucket:%Y-%m-%dT%H:%MZ}", *named))
