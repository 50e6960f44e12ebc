"""Weekday by hour of the viewer's clock: what an average such hour held. Pure.

An hour that daylight saving skips counts as one that was not there, one that it repeats counts twice. Hours that are
not over count as the part of them that is.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from service.reporting.figures import Measures
from service.reporting.usage import UsageReport

DAYS, HOURS = 7, 24
_HOUR_S = 3_600


class HeatMap(msgspec.Struct, frozen=True):
    """By weekday (Monday first) and hour the average per hour; None where the range has no such hour."""

    cells: tuple[tuple[float | None, ...], ...]

    @property
    def peak(self) -> tuple[int, int, float] | None:
        """Weekday, hour and average of the busiest cell; None where nothing happened."""
        filled = [
            (value, -day, -hour)
            for day, row in enumerate(self.cells)
            for hour, value in enumerate(row)
            if value
        ]
        if not filled:
            return None
        value, day, hour = max(filled)
        return -day, -hour, value


def heat_map(report: UsageReport, *, of: Callable[[Measures], int | None], now: datetime) -> HeatMap:
    """From a report by hours without dimensions, in its time zone."""
    zone = ZoneInfo(report.timezone)
    sums = _table(0.0)
    hours = _table(0.0)
    for row in report.rows:
        here = row.start.astimezone(zone)
        sums[here.weekday()][here.hour] += of(row.measures) or 0
        length = (min(row.end, now) - row.start).total_seconds() / _HOUR_S
        hours[here.weekday()][here.hour] += max(0.0, length)
    return HeatMap(tuple(_averages(sums[day], hours[day]) for day in range(DAYS)))


def _averages(sums: Sequence[float], hours: Sequence[float]) -> tuple[float | None, ...]:
    return tuple(total / count if count else None for total, count in zip(sums, hours, strict=True))


def _table(value: float) -> list[list[float]]:
    return [[value] * HOURS for _ in range(DAYS)]
