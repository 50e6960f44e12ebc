"""Buckets of time as people read them: hours, days, weeks and months of an IANA time zone, as spans of UTC.

A bucket is cut where the zone's own clock says so: a day of daylight saving has 23 or 25 hours, an hour in
Kathmandu begins a quarter past. Every boundary is a whole UTC quarter of an hour, which is what the rollups
have, so the buckets of a range add up to the range. Weeks begin on Monday (ISO 8601).
"""

import itertools
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from service.errors import InvalidInputError

Interval = Literal["15m", "hour", "day", "week", "month"]

QUARTER = timedelta(minutes=15)
MAX_BUCKETS = 3_000
_YEARS = range(1980, 9000)  # before that some zones were seconds off a quarter of an hour
_LENGTHS: Mapping[Interval, timedelta] = {
    "15m": QUARTER,
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=28),
}


class Span(msgspec.Struct, frozen=True):
    """`since <= instant < until`, in UTC."""

    since: datetime
    until: datetime


def time_zone(name: str) -> ZoneInfo:
    """The IANA zone of a name such as ``Asia/Kathmandu``."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInputError(
            f"timezone is {name!r}; use an IANA name such as Europe/Berlin", field="timezone"
        ) from error


def widened(since: datetime, until: datetime) -> Span:
    """The smallest span of whole quarters of an hour that holds `[since, until)`."""
    for name, instant in (("since", since), ("until", until)):
        if instant.tzinfo is None:
            raise InvalidInputError(f"{name} has no time zone; write 2026-11-23T00:00:00Z", field=name)
        if instant.year not in _YEARS:
            raise InvalidInputError(f"{name} is in the year {instant.year}; use 1980 to 8999", field=name)
    first = _floor(since.astimezone(UTC))
    last = -_floor_delta(-(until.astimezone(UTC) - first)) + first
    if first >= last:
        raise InvalidInputError("until must be later than since", field="until")
    return Span(first, last)


def buckets(span: Span, *, interval: Interval, zone: ZoneInfo) -> list[Span]:
    """*span* cut into the zone's buckets; the first and the last may be cut short."""
    if interval not in _LENGTHS:
        raise InvalidInputError(
            f"interval is {interval!r}; use one of {', '.join(_LENGTHS)}", field="interval"
        )
    if (span.until - span.since) / _LENGTHS[interval] > MAX_BUCKETS:
        raise InvalidInputError(
            f"the range has more than {MAX_BUCKETS} buckets of one {interval}; choose a longer interval or a "
            "shorter range",
            field="interval",
        )
    edges = [span.since]
    while edges[-1] < span.until:
        edges.append(min(_next_edge(edges[-1], interval=interval, zone=zone), span.until))
    return [Span(since, until) for since, until in itertools.pairwise(edges)]


def start_of_day(day: date, *, zone: ZoneInfo) -> datetime:
    """The first instant of *day* in *zone*, in UTC, also where midnight is skipped."""
    return _floor(datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC))


def _next_edge(instant: datetime, *, interval: Interval, zone: ZoneInfo) -> datetime:
    if interval == "15m":
        return instant + QUARTER
    if interval == "hour":
        return _next_hour(instant, zone=zone)
    day = instant.astimezone(zone).date()
    if interval == "day":
        day += timedelta(days=1)
    elif interval == "week":
        day += timedelta(days=7 - day.weekday())
    else:
        day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return start_of_day(day, zone=zone)


def _next_hour(instant: datetime, *, zone: ZoneInfo) -> datetime:
    """Where the zone's hour, or its offset from UTC, is another one."""
    here = _hour_of(instant, zone=zone)
    edge = instant + QUARTER
    while _hour_of(edge, zone=zone) == here:
        edge += QUARTER
    return edge


def _hour_of(instant: datetime, *, zone: ZoneInfo) -> tuple[int, timedelta | None]:
    local = instant.astimezone(zone)
    return local.hour, local.utcoffset()


def _floor(instant: datetime) -> datetime:
    midnight = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + _floor_delta(instant - midnight)


def _floor_delta(delta: timedelta) -> timedelta:
    return delta // QUARTER * QUARTER
