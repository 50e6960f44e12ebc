"""Budget windows as people read them: hours, days, weeks and months of an IANA time zone, or all time. Pure.

The periods of a window follow each other without gap and without overlap, whatever the zone's clock does: a day of
daylight saving has 23 or 25 hours, a midnight that does not exist is the moment the clock leaps over it, a midnight
that comes twice counts the first time. A month may begin on any day (the last one where the month is shorter), a
week on any weekday. Reading a zone's file is the only look at the outside.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from service.errors import InvalidInputError

Window = Literal["hour", "day", "week", "month", "total"]
WINDOWS: tuple[Window, ...] = ("hour", "day", "week", "month", "total")

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
DAYS_OF_WEEK = 7
LONGEST_MONTH = 31
_MONTHS = 12
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


class Period(msgspec.Struct, frozen=True):
    """`starts_at <= instant < ends_at`, in UTC; `ends_at` None is never."""

    starts_at: datetime
    ends_at: datetime | None

    def holds(self, instant: datetime) -> bool:
        """Whether *instant* lies in the period."""
        return self.starts_at <= instant and (self.ends_at is None or instant < self.ends_at)


class WindowRule(msgspec.Struct, frozen=True):
    """How time is cut. *anchor_day*: day of the month, or weekday from Monday = 1; else 1."""

    window: Window
    timezone: str = "UTC"
    anchor_day: int = 1


def time_zone(name: str) -> ZoneInfo:
    """The IANA zone of a name such as ``Europe/Madrid``."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInputError(
            f"timezone is {name[:100]!r}; use an IANA name such as Europe/Madrid", field="timezone"
        ) from error


def period_of(rule: WindowRule, instant: datetime) -> Period:
    """The period of *rule* in which *instant* lies."""
    if not _FIRST_YEAR <= instant.year < _LAST_YEAR:
        raise InvalidInputError(f"{instant} lies outside the years {_FIRST_YEAR} to {_LAST_YEAR - 1}")
    utc = instant.astimezone(UTC)
    if rule.window == "total":
        return Period(BEGINNING, None)
    zone = time_zone(rule.timezone)
    if rule.window == "hour":
        return _hour_of(utc, zone)
    return _days_of(utc, zone, rule=rule)


def _hour_of(instant: datetime, zone: ZoneInfo) -> Period:
    """The hour of the zone's clock, cut short where the clock is set by less than an hour."""
    offset = _offset(instant, zone)
    local = (instant + offset).replace(tzinfo=None)
    starts = instant - (local - local.replace(minute=0, second=0, microsecond=0))
    ends = starts + _HOUR
    if _offset(starts, zone) != offset:
        starts = _change_between(starts, instant, zone=zone)
    if _offset(ends - _MICROSECOND, zone) != offset:
        ends = _change_between(instant, ends - _MICROSECOND, zone=zone)
    return Period(starts, ends)


def _days_of(instant: datetime, zone: ZoneInfo, *, rule: WindowRule) -> Period:
    """Boundaries are local midnights; where the clock was set back over one, the evening comes again after it."""
    first_day = _FIRST_DAYS[rule.window]
    day = first_day(instant.astimezone(zone).date(), rule.anchor_day)
    following = first_day(_later(day, rule.window), rule.anchor_day)
    while instant >= _midnight(following, zone):
        day, following = following, first_day(_later(following, rule.window), rule.anchor_day)
    return Period(_midnight(day, zone), _midnight(following, zone))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which *day* begins: its first midnight, or the leap over a midnight that does not exist."""
    local = datetime.combine(day, time(), zone)
    before = local.astimezone(UTC)
    if before.astimezone(zone).replace(tzinfo=None) == local.replace(tzinfo=None):
        return before
    after = local.replace(fold=1).astimezone(UTC)
    return _change_between(after - _MICROSECOND, before, zone=zone)


def _change_between(low: datetime, high: datetime, *, zone: ZoneInfo) -> datetime:
    """The instant in `(low, high]` from which the offset of *high* holds; zones change at whole seconds."""
    offset = _offset(high, zone)
    while high - low > _MICROSECOND:
        middle = low + (high - low) // 2
        if _offset(middle, zone) == offset:
            high = middle
        else:
            low = middle
    return high


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _day(day: date, _anchor: int) -> date:
    return day


def _first_of_week(day: date, anchor: int) -> date:
    return day - timedelta(days=(day.isoweekday() - anchor) % DAYS_OF_WEEK)


def _first_of_month(day: date, anchor: int) -> date:
    begins = _anchored(day.year, day.month, anchor)
    if day >= begins:
        return begins
    before = day.replace(day=1) - _DAY
    return _anchored(before.year, before.month, anchor)


def _anchored(year: int, month: int, anchor: int) -> date:
    first = date(year, month, 1)
    return min(first + timedelta(days=anchor - 1), _next_month(first) - _DAY)


def _next_month(day: date) -> date:
    return date(day.year + day.month // _MONTHS, day.month % _MONTHS + 1, 1)


def _later(day: date, window: Window) -> date:
    """A day in the window after the one that begins with *day*."""
    match window:
        case "month":
            following = _next_month(day)
            return _next_month(following) - _DAY
        case "week":
            return day + timedelta(days=DAYS_OF_WEEK)
        case _:
            return day + _DAY


_FIRST_DAYS: dict[Window, Callable[[date, int], date]] = {
    "day": _day,
    "week": _first_of_week,
    "month": _first_of_month,
}
