"""What the presets of the time range mean: spans of time, the one to compare with, and the size of a bucket. Pure.

A period ends with the quarter of an hour that is running, because that is what the rollups have. Beginnings lie on
the hours and days of the viewer's zone, so that only the last bucket of a chart is unfinished. Changes compare
rates per elapsed time: a period that is not over is not compared as if it were.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from service.reporting.intervals import Interval, start_of_day, widened

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PRESETS: Mapping[str, str] = {
    "1h": "the hour before",
    "Today": "yesterday until this time",
    "24h": "the 24 hours before",
    "7d": "the 7 days before",
    "30d": "the 30 days before",
    "MTD": "last month until this time",
    "Last month": "the month before",
    "Days": "as many days before",
}
"""Each preset, and what it is compared with."""
DEFAULT = "7d"
CHOSEN_DAYS = "Days"
"""The preset that stands for days of the viewer's choice."""
_HOURLY_UP_TO = timedelta(days=8)
_QUARTERLY_UP_TO = timedelta(hours=2)
_DAILY_UP_TO = timedelta(days=190)
_FIRST_YEAR = 1990


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """`since <= instant < until` in UTC, and the period before, which has had as much time."""

    since: datetime
    until: datetime
    before_since: datetime
    before_until: datetime
    interval: Interval
    elapsed: timedelta
    compared_with: str

    @property
    def before_elapsed(self) -> timedelta:
        """The length of the period before."""
        return self.before_until - self.before_since


class Range(msgspec.Struct, frozen=True):
    """What a viewer has chosen: a preset, a zone, and the first and the last day where the preset is `CHOSEN_DAYS`."""

    preset: str
    timezone: str
    days: tuple[date, date] | None = None

    def period(self, now: datetime) -> Period:
        """What that means at *now*."""
        return period(self.preset, now=now, timezone=self.timezone, days=self.days)


def period(preset: str, *, now: datetime, timezone: str, days: tuple[date, date] | None = None) -> Period:
    """The period that *preset* means at *now* in the zone *timezone*."""
    zone = ZoneInfo(timezone)
    since, end, before = _bounds(preset, now=now, zone=zone, days=days)
    present = widened(now, now + timedelta(microseconds=1)).until
    until = present if end is None else min(end, max(present, since + HOUR))
    return Period(
        since=since,
        until=until,
        before_since=before,
        before_until=min(before + (until - since), since),
        interval=_interval(until - since),
        elapsed=max(min(now, until) - since, timedelta(minutes=1)),
        compared_with=PRESETS[preset],
    )


def _bounds(
    preset: str, *, now: datetime, zone: ZoneInfo, days: tuple[date, date] | None
) -> tuple[datetime, datetime | None, datetime]:
    """The beginning, the end where it is not the present, and the beginning of the period before."""
    today = now.astimezone(zone).date()
    if preset == "Last month":
        first = _month_before(today.replace(day=1))
        return _days(first, today.replace(day=1), before=_month_before(first), zone=zone)
    if preset == CHOSEN_DAYS:
        first, last = _sensible(days or (today - 6 * DAY, today), today=today)
        return _days(first, last + DAY, before=first - (last + DAY - first), zone=zone)
    since, before = _beginnings(preset, now=now, zone=zone)
    return since, None, before


def _days(first: date, end: date, *, before: date, zone: ZoneInfo) -> tuple[datetime, datetime, datetime]:
    return start_of_day(first, zone=zone), start_of_day(end, zone=zone), start_of_day(before, zone=zone)


def _sensible(days: tuple[date, date], *, today: date) -> tuple[date, date]:
    """In order, and neither before any book nor later than today."""
    first, last = (min(day, today) for day in sorted(days))
    earliest = date(_FIRST_YEAR, 1, 1)
    return max(first, earliest), max(last, earliest)


def _beginnings(preset: str, *, now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The beginning of a period that lasts until now, and of the one before."""
    today = now.astimezone(zone).date()
    match preset:
        case "1h":
            since = widened(now, now + timedelta(microseconds=1)).until - HOUR
            return since, since - HOUR
        case "24h":
            since = _start_of_hour(now, zone=zone) - 23 * HOUR
            return since, since - DAY
        case "Today":
            return start_of_day(today, zone=zone), start_of_day(today - DAY, zone=zone)
        case "MTD":
            first = today.replace(day=1)
            return start_of_day(first, zone=zone), start_of_day(_month_before(first), zone=zone)
        case _:
            days = timedelta(days=int(preset.removesuffix("d")))
            first = today - days + DAY
            return start_of_day(first, zone=zone), start_of_day(first - days, zone=zone)


def _month_before(first: date) -> date:
    return (first - DAY).replace(day=1)


def _start_of_hour(now: datetime, *, zone: ZoneInfo) -> datetime:
    """The full hour of the zone's clock, in UTC."""
    return now.astimezone(zone).replace(minute=0, second=0, microsecond=0).astimezone(UTC)


def _interval(length: timedelta) -> Interval:
    if length <= _QUARTERLY_UP_TO:
        return "15m"
    if length <= _HOURLY_UP_TO:
        return "hour"
    return "day" if length <= _DAILY_UP_TO else "week"


def bucket_label(start: datetime, *, interval: Interval, timezone: str) -> str:
    """What stands under a bucket: its date, or its time with the date where that is needed to tell days apart."""
    here = start.astimezone(ZoneInfo(timezone))
    if interval in ("week", "month"):
        return f"{here.day} {here:%b %Y}"
    if interval == "day" or (here.hour, here.minute) == (0, 0):
        return f"{here:%a} {here.day} {here:%b}"
    return f"{here:%a} {here:%H:%M}"
