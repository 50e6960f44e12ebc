"""From sums to the value of a metric: rates, medians, forecasts. Pure.

None is "nothing to measure", never zero: no requests have no error rate, no history has no median.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from statistics import median
from zoneinfo import ZoneInfo

import msgspec

from service.alerts.rules import Rule, Threshold, thresholds_of
from service.reporting.forecast import Expected

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


def outlook(figures: BudgetFigures, expected: Expected | float, *, now: datetime, zone: ZoneInfo) -> Outlook:
    """Where a budget's spending leads. *expected* is by weekday, or, with little history, nano-USD a day."""
    until = figures.ends_at or now + HORIZON
    spent = float(figures.spent_nanos)
    exceeds = now if spent >= figures.limit_nanos else None
    at = now
    while at < until and at - now < LONGEST_LOOK:
        day = at.astimezone(zone).date()
        midnight = _start_of(day + _DAY, zone=zone)
        end = min(midnight, until)
        rate = _a_day(expected, day) / ((midnight - _start_of(day, zone=zone)) / _DAY)
        more = rate * ((end - at) / _DAY)
        if exceeds is None and more > 0 and spent + more >= figures.limit_nanos:
            exceeds = at + (end - at) * ((figures.limit_nanos - spent) / more)
        spent += more
        at = end
    return Outlook(spent, until, exceeds)


def _a_day(expected: Expected | float, day: date) -> float:
    return expected.on(day) if isinstance(expected, Expected) else expected


def _start_of(day: date, *, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(ZoneInfo("UTC"))


def silent_minutes(last: datetime, *, now: datetime) -> float:
    """Whole and parts of minutes since the last request."""
    return max(0.0, (now - last) / timedelta(minutes=1))


def change(now_nanos: int, *, before_nanos: int) -> float | None:
    """The relative change of an amount; None where there was nothing before."""
    return (now_nanos - before_nanos) / before_nanos if before_nanos else None
