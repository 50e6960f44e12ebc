"""The proof that the books agree: records and ledger entries = rollups, lines = costs, one final attempt a request.

The records are summed here by SQL, the rollups were folded in Python as the records came: two ways to the same
number. Every UTC day is read in one snapshot, so the relays may go on writing. Nothing is repaired; `rollups.rebuild`
does that.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import chain, islice

import msgspec
from sqlalchemy import Connection

from service.reporting import dimension_check, impossible, rollup_check
from service.reporting.intervals import Span
from service.reporting.snapshots import extent, snapshot
from service.store.engine import Store

DAY = timedelta(days=1)
MAX_DIFFERENCES = 1_000


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
            for finding in chain(
                rollup_check.findings(tx, day),
                dimension_check.findings(tx, day),
                impossible.findings(tx, day, settled_before=settled_before),
                () if since is not None else impossible.wrong_times(tx, day.since, until=day.until),
            ):
                yield Difference(*finding)
        if progress is not None:
            progress(number + 1, len(days))
    if since is not None:
        return
    with snapshot(store) as tx:
        outside = ((None, days[0].since), (days[-1].until, None)) if days else ()
        strays = chain.from_iterable(
            impossible.wrong_times(tx, since, until=until) for since, until in outside
        )
        for finding in chain(impossible.lost_entries(tx), strays):
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
