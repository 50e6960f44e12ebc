"""Reads about money that need more than one report: what caches saved, what moved spend, where a month will end."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from dashboard import data
from dashboard.cache import CHART_TTL_S, PAST_TTL_S, kept
from dashboard.context import current
from dashboard.names import value_of
from dashboard.periods import Period
from service.pricing.catalog import load_book
from service.pricing.pricebook import PriceBook
from service.reporting.effort import records_to_read
from service.reporting.forecast import HISTORY_DAYS, Expected, Forecast, expectation, month_end
from service.reporting.intervals import start_of_day
from service.reporting.movers import Mover, movers
from service.reporting.savings import GROUP_BY, Savings, savings
from service.reporting.usage import UsageQuery, UsageReport, usage_report
from service.store.revision import read_revision

BOOK_TTL_S = 600
DAY = timedelta(days=1)
MOST_READ = 30_000
"""Records that a page reads unasked, where the rollups do not have its dimensions: half a second or less."""
_BUDGETS = 1_000


class SavingsReport(msgspec.Struct, frozen=True):
    """What caches saved in all, and by the beginning of each bucket."""

    total: Savings
    by_start: Mapping[datetime, Savings]


class MonthAhead(msgspec.Struct, frozen=True, kw_only=True):
    """The running month: spend by day, and what is to be expected; *forecast* is None without enough history."""

    today: date
    elapsed: float
    spent_nanos: int
    days: Mapping[date, int]
    expected: Expected | None
    forecast: Forecast | None


@kept(CHART_TTL_S)
def revision(tx: Connection) -> int:
    """The revision of keys, prices and budgets."""
    return read_revision(tx)


@kept(BOOK_TTL_S)
def _book_of(tx: Connection, revision: int) -> PriceBook:  # noqa: ARG001  (part of the key)
    return load_book(tx)


def price_book() -> PriceBook:
    """The price book in force, at most `CHART_TTL_S` old."""
    return _book_of(revision())


@kept(CHART_TTL_S)
def _cache_savings(tx: Connection, query: UsageQuery) -> SavingsReport:
    return _saved(usage_report(tx, query))


@kept(PAST_TTL_S)
def _past_savings(tx: Connection, query: UsageQuery) -> SavingsReport:
    return _saved(usage_report(tx, query))


def _saved(report: UsageReport) -> SavingsReport:
    book = price_book()
    by_start: dict[datetime, Savings] = {}
    for row in report.rows:
        there = by_start.get(row.start, Savings())
        by_start[row.start] = there.plus(savings([row], book=book))
    total = Savings()
    for one in by_start.values():
        total = total.plus(one)
    return SavingsReport(total, by_start)


def cache_savings(query: UsageQuery) -> SavingsReport:
    """What caches saved in the range of *query*, by its interval and filters."""
    return _cache_savings(_by_price(query))


def past_savings(query: UsageQuery) -> SavingsReport:
    """The same of a time that is over."""
    return _past_savings(_by_price(query))


def _by_price(query: UsageQuery) -> UsageQuery:
    return msgspec.structs.replace(query, group_by=GROUP_BY, percentiles=False)


@kept(CHART_TTL_S)
def savings_by(
    tx: Connection, dimension: str, *, since: datetime, until: datetime
) -> Mapping[str | None, Savings] | None:
    """What caches saved, by the values of one dimension; None where too many records would have to be read."""
    whole = usage_report(tx, UsageQuery(since=since, until=until, percentiles=False)).total
    if not whole.cache_read_input_tokens and not whole.cache_write_input_tokens:
        return {}
    others = tuple(name for name in GROUP_BY if name != dimension)
    query = UsageQuery(since=since, until=until, group_by=(dimension, *others), percentiles=False)
    if records_to_read(tx, query) > MOST_READ:
        return None
    found: dict[str | None, Savings] = {}
    book = price_book()
    for row in usage_report(tx, query).rows:
        value = value_of(row.dimensions, dimension=dimension)
        found[value] = found.get(value, Savings()).plus(savings([row], book=book))
    return found


def top_movers(chosen: Period, *, dimension: str, filters: Mapping[str, Any] | None = None) -> list[Mover]:
    """What of *dimension* cost more or less than in the period before, and why; the largest change first."""
    part = "upstream" if dimension == "model" else "model"
    query = UsageQuery(
        since=chosen.since,
        until=chosen.until,
        group_by=(dimension, part),
        filters=filters or {},
        percentiles=False,
    )
    before = msgspec.structs.replace(query, since=chosen.before_since, until=chosen.before_until)
    return movers(data.usage(before).rows, data.usage(query).rows, part=part)


def month_ahead(timezone: str, *, filters: Mapping[str, Any] | None = None) -> MonthAhead:
    """The running month in *timezone*, and its end."""
    now, zone = data.now(), ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    first = min(today.replace(day=1), today - HISTORY_DAYS * DAY)
    midnight, next_midnight = (start_of_day(day, zone=zone) for day in (today, today + DAY))
    report = data.usage(
        UsageQuery(
            since=start_of_day(first, zone=zone),
            until=next_midnight,
            interval="day",
            timezone=timezone,
            filters=filters or {},
            percentiles=False,
        )
    )
    spent = {row.start.astimezone(zone).date(): row.measures.cost_nanos or 0 for row in report.rows}
    books = data.recorded()
    begin = today if books is None else max(first, books.since.astimezone(zone).date())
    history = {day: nanos for day, nanos in spent.items() if begin <= day < today}
    elapsed = (now - midnight) / (next_midnight - midnight)
    in_month = {day: nanos for day, nanos in spent.items() if day.replace(day=1) == today.replace(day=1)}
    expected = expectation(history, today=today)
    total = sum(in_month.values())
    return MonthAhead(
        today=today,
        elapsed=elapsed,
        spent_nanos=total,
        days=in_month,
        expected=expected,
        forecast=None
        if expected is None
        else month_end(expected, today=today, elapsed=elapsed, spent_nanos=total),
    )


@kept(CHART_TTL_S)
def monthly_limit(tx: Connection) -> int | None:
    """The limit of the tightest budget on everything by the month; None where there is none."""
    limits = [
        stored.budget.limit_at(data.now())
        for stored in current().registries.budgets.list(tx, limit=_BUDGETS)
        if stored.budget.scope.kind == "global"
        and stored.budget.rule.window == "month"
        and stored.budget.models is None
    ]
    return min(limits, default=None)
