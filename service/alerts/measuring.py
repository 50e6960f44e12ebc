"""From sums to the value of a metric: rates, medians, forecasts. Pure.

None is "nothing to measure", never zero: no requests have no error rate, no history has no median.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from statistics import median
from zoneinfo import ZoneInfo

import msgspec

from service.alerts.rules import Rule, Threshold, thresholds_of
from service.reporting.forecast import Expected, ahead
from service.reporting.intervals import start_of_day

NANOS_PER_USD = 10**9
FEWEST_WEEKS = 3
LONGEST_LOOK = timedelta(days=366)
HORIZON = timedelta(days=30)
"""How far a forecast looks for a budget that never ends."""
_DAY = timedelta(days=1)


class WindowFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one subject did in a window."""

    requests: int
    errors: int
    cost_nanos: int
    unpriced: int
    estimated: int
    with_usage: int
    p95_duration_ms: float | None
    p95_ttft_ms: float | None


class BudgetFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How a budget's period stands; *window_nanos* were spent within the rule's window."""

    limit_nanos: int
    spent_nanos: int
    starts_at: datetime
    ends_at: datetime | None
    window_nanos: int = 0


def usage_value(metric: str, figures: WindowFigures) -> float | None:
    """A metric of the family `usage`."""
    match metric:
        case "spend":
            return figures.cost_nanos / NANOS_PER_USD
        case "error_rate":
            return share(figures.errors, figures.requests)
        case "p95_latency_ms":
            return figures.p95_duration_ms
        case "p95_ttft_ms":
            return figures.p95_ttft_ms
        case "unpriced":
            return float(figures.unpriced)
        case _:
            return share(figures.estimated, figures.with_usage)


def share(part: int, whole: int) -> float | None:
    """*part* of *whole*; None where there is no whole."""
    return part / whole if whole else None


def anomaly(current_nanos: int, *, weeks: Sequence[int]) -> float | None:
    """How many times the median of *weeks* the current amount is; None without enough history to say."""
    if len(weeks) < FEWEST_WEEKS:
        return None
    usual = median(weeks)
    return current_nanos / usual if usual else None


def budget_thresholds(rule: Rule, *, own: Sequence[float]) -> tuple[Threshold, ...]:
    """The rule's thresholds, else the budget's own: from the whole limit on they are critical."""
    if rule.warning is not None or rule.critical is not None:
        return thresholds_of(rule)
    return tuple(Threshold(f"{part:g}", "critical" if part >= 1 else "warning", part) for part in own)


def used(figures: BudgetFigures) -> float:
    """The share of its limit that a budget has spent, correctly rounded: 8 of 10 is exactly 0.8."""
    return figures.spent_nanos / figures.limit_nanos


def burn_rate(figures: BudgetFigures, *, window: timedelta) -> float | None:
    """How many times faster than the budget can pay for over its whole period; None where it never ends."""
    if figures.ends_at is None:
        return None
    sustainable = figures.limit_nanos * (window / (figures.ends_at - figures.starts_at))
    return figures.window_nanos / sustainable


class Outlook(msgspec.Struct, frozen=True):
    """What a budget will have spent at *until*, and when its limit is reached (None: not by then)."""

    expected_nanos: float
    until: datetime
    exceeds_at: datetime | None

    def share_of(self, limit_nanos: int) -> float:
        """The share of the limit."""
        return self.expected_nanos / limit_nanos

    def exceeds_on(self, zone: ZoneInfo) -> str | None:
        """The day of *zone* on which the limit is reached."""
        return None if self.exceeds_at is None else self.exceeds_at.astimezone(zone).date().isoformat()


def outlook(figures: BudgetFigures, expected: Expected, *, now: datetime, zone: ZoneInfo) -> Outlook:
    """Where a budget's spending leads, as the month's end of reports; days begin in *zone*."""
    until = figures.ends_at or now + HORIZON
    spent = float(figures.spent_nanos)
    exceeds = now if spent >= figures.limit_nanos else None
    pieces = list(_pieces(now, min(until, now + LONGEST_LOOK), zone=zone))
    shares = [(piece.day, piece.share) for piece in pieces]
    for piece, (_day, more) in zip(pieces, ahead(expected, shares), strict=True):
        if exceeds is None and more > 0 and spent + more >= figures.limit_nanos:
            exceeds = piece.since + (piece.until - piece.since) * ((figures.limit_nanos - spent) / more)
        spent += more
    return Outlook(spent, until, exceeds)


class _Piece(msgspec.Struct, frozen=True):
    """A day, or a share of one: the time from *since* to *until*."""

    day: date
    share: float
    since: datetime
    until: datetime


def _pieces(since: datetime, until: datetime, *, zone: ZoneInfo) -> Iterator[_Piece]:
    at = since
    while at < until:
        day = at.astimezone(zone).date()
        midnight, next_midnight = (start_of_day(each, zone=zone) for each in (day, day + _DAY))
        end = min(next_midnight, until)
        yield _Piece(day, (end - at) / (next_midnight - midnight), at, end)
        at = end


def silent_minutes(last: datetime, *, now: datetime) -> float:
    """Whole and parts of minutes since the last request."""
    return max(0.0, (now - last) / timedelta(minutes=1))


def change(now_nanos: int, *, before_nanos: int) -> float | None:
    """The relative change of an amount; None where there was nothing before."""
    return (now_nanos - before_nanos) / before_nanos if before_nanos else None
