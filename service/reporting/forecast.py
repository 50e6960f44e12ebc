"""What the rest of a month will cost, from the days before. Pure.

A day to come is expected to cost what its weekday cost on average in the last four weeks, or, with less than two weeks
of history, what a day cost on average. The range holds about four of five months: the days' own scatter around that
expectation, grown with the root of the days to come (independent days). Amounts are integer nano-USD.

The month of the dashboard, its path, and a budget's forecast in alerts all add up `ahead`, so that they are one number.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from statistics import fmean, pstdev

import msgspec

HISTORY_DAYS = 28
FEWEST_DAYS = 3
BY_WEEKDAY_FROM = 14
_FOUR_OF_FIVE = 1.2816  # the normal distribution's quantile of 90 %, on both sides
DAY = timedelta(days=1)


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a day is expected to cost, by weekday (Monday is 0), and how far days are from it."""

    by_weekday: tuple[float, ...]
    scatter_nanos: float
    days: int

    def on(self, day: date) -> float:
        """The expectation for *day*."""
        return self.by_weekday[day.weekday()]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What was spent in the month so far, and what it will have cost at its end, with the range."""

    until: date
    spent_nanos: int
    expected_nanos: int
    low_nanos: int
    high_nanos: int
    days_left: int
    history_days: int


def expectation(days: Mapping[date, int], *, today: date) -> Expected | None:
    """From whole days before *today*; None where there are fewer than `FEWEST_DAYS`."""
    first = min(days, default=today)
    begin = max(first, today - HISTORY_DAYS * DAY)
    history = [(day, days.get(day, 0)) for day in _dates(begin, today)]
    if len(history) < FEWEST_DAYS:
        return None
    overall = fmean(nanos for _day, nanos in history)
    means = [overall] * 7
    if len(history) >= BY_WEEKDAY_FROM:
        means = [fmean(nanos for day, nanos in history if day.weekday() == weekday) for weekday in range(7)]
    scatter = pstdev([nanos - means[day.weekday()] for day, nanos in history])
    return Expected(by_weekday=tuple(means), scatter_nanos=scatter, days=len(history))


def steady(nanos_a_day: float) -> Expected:
    """Where too little is known for more: every day alike, at this pace."""
    return Expected(by_weekday=(nanos_a_day,) * 7, scatter_nanos=0.0, days=0)


def ahead(expected: Expected, shares: Iterable[tuple[date, float]]) -> Iterator[tuple[date, float]]:
    """What each day will still cost, given the share of it that is to come."""
    for day, share in shares:
        yield day, expected.on(day) * share


def month_end(
    expected: Expected, *, today: date, elapsed: float, spent_nanos: int, until: date | None = None
) -> Forecast:
    """The month of *today*, of which the share *elapsed* is over; *until* is the first day after it."""
    end = until or (today.replace(day=1) + 32 * DAY).replace(day=1)
    shares = list(_to_come(today, elapsed, end))
    left = sum(share for _day, share in shares)
    middle = spent_nanos + sum(nanos for _day, nanos in ahead(expected, shares))
    spread = _FOUR_OF_FIVE * expected.scatter_nanos * math.sqrt(left)
    return Forecast(
        until=end,
        spent_nanos=spent_nanos,
        expected_nanos=round(middle),
        low_nanos=max(spent_nanos, round(middle - spread)),
        high_nanos=round(middle + spread),
        days_left=(end - today).days,
        history_days=expected.days,
    )


def path(
    expected: Expected, forecast: Forecast, *, today: date, elapsed: float
) -> Sequence[tuple[date, int]]:
    """What will have been spent at the end of each day from *today* to the last one of the forecast."""
    total = float(forecast.spent_nanos)
    found = []
    for day, nanos in ahead(expected, _to_come(today, elapsed, forecast.until)):
        total += nanos
        found.append((day, round(total)))
    return found


def exhausted_on(
    expected: Expected, *, today: date, elapsed: float, left_nanos: int, until: date | None
) -> date | None:
    """The day on which *left_nanos* will be used up; None where that is not before *until*, or within a year."""
    if left_nanos <= 0:
        return today
    left = float(left_nanos)
    for day, nanos in ahead(expected, _to_come(today, elapsed, until or today + 366 * DAY)):
        left -= nanos
        if left <= 0:
            return day
    return None


def _to_come(today: date, elapsed: float, end: date) -> Iterator[tuple[date, float]]:
    """The days before *end*, and which share of each is to come: *elapsed* of today is over."""
    for day in _dates(today, end):
        yield day, max(0.0, 1 - elapsed) if day == today else 1.0


def _dates(first: date, end: date) -> Iterator[date]:
    for number in range((end - first).days):
        yield first + number * DAY
