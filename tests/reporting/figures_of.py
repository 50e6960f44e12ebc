"""Measures made by hand, for tests of what follows from them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from service.reporting.figures import Sums, figures
from service.reporting.intervals import Interval
from service.reporting.usage import UsageReport, UsageRow

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)


def row(
    dimensions: dict[str, str | None], *, start: datetime = START, length: timedelta = HOUR, **sums: Any
) -> UsageRow:
    """One row of a report; *sums* are values of `measures.MEASURES`."""
    counted = Sums()
    counted.values.update(sums)
    return UsageRow(start=start, end=start + length, dimensions=dimensions, measures=figures(counted))


def report(rows: list[UsageRow], *, interval: Interval | None = "hour", timezone: str = "UTC") -> UsageReport:
    """A report of *rows*."""
    total = figures(Sums())
    group_by: tuple[Any, ...] = ()
    return UsageReport(
        since=rows[0].start,
        until=rows[-1].end,
        interval=interval,
        timezone=timezone,
        group_by=group_by,
        rows=tuple(rows),
        total=total,
    )
