"""Stored usage by quarter of an hour and group, read a day at a time: what a rule would have seen.

The same sums as live readings: from the rollups where they have the dimensions, else from the records.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, Executable

from service.reporting import queries
from service.reporting.dimensions import ROLLUP, Filters
from service.reporting.intervals import QUARTER, Span
from service.reporting.measures import MEASURES
from service.store.engine import Store
from service.store.histogram import BINS, DURATION_BINS
from service.store.types import EPOCH

DAY = timedelta(days=1)
_BINS = 2 * BINS
WIDTH = len(MEASURES) + _BINS

Group = tuple[str, ...]
Vector = list[int]
"""The values of `MEASURES`, then the bins of durations and of times to the first event; 0 for NULL."""
Quarter = Mapping[Group, Vector]


def quarters(
    store: Store,
    span: Span,
    *,
    group_by: Sequence[str],
    filters: Filters,
    progress: Callable[[int, int], None],
) -> Iterator[tuple[datetime, Quarter]]:
    """Every quarter of an hour of *span*, in order: its end, and what each group did in it."""
    days = max(1, -((span.since - span.until) // DAY))
    for number in range(days):
        since = span.since + number * DAY
        until = min(since + DAY, span.until)
        pieces = [Span(at, at + QUARTER) for at in _steps(since, until)]
        with store.read() as tx:
            found = _read(tx, pieces, group_by=group_by, filters=filters)
        for index, piece in enumerate(pieces):
            yield piece.until, found.get(index, {})
        progress(number + 1, days)


def floor_quarter(instant: datetime) -> datetime:
    """The quarter of an hour in which *instant* lies."""
    return instant - (instant - EPOCH) % QUARTER


def add(vector: Vector, other: Vector, *, sign: int = 1) -> None:
    """Add *other* to *vector*, or take it away."""
    for index, value in enumerate(other):
        if value:
            vector[index] += sign * value


def _steps(since: datetime, until: datetime) -> Iterator[datetime]:
    at = since
    while at < until:
        yield at
        at += QUARTER


def _read(
    tx: Connection, pieces: Sequence[Span], *, group_by: Sequence[str], filters: Filters
) -> dict[int, dict[Group, Vector]]:
    width = 1 + len(group_by)
    by_rollup = {*group_by, *filters} <= ROLLUP.keys()
    found: dict[int, dict[Group, Vector]] = {}
    statement: Executable = (
        queries.rollup_usage(pieces, group_by=group_by, filters=filters, bins=True)
        if by_rollup
        else queries.record_usage(pieces, group_by=group_by, filters=filters)
    )
    for row in tx.execute(statement):
        vector = [0] * WIDTH
        vector[: len(row) - width] = [int(value or 0) for value in row[width:]]
        found.setdefault(int(row[0]), {})[tuple(map(str, row[1:width]))] = vector
    if not by_rollup:
        for latency, offset in (("duration_ms", 0), ("ttft_ms", len(DURATION_BINS))):
            counts = queries.record_latencies(latency, pieces, group_by=group_by, filters=filters)
            for number, *named, index, count in tx.execute(counts):
                vector = found[int(number)][tuple(map(str, named))]
                vector[len(MEASURES) + offset + index] = int(count)
    return found
