"""Readings of where budgets' spending leads: the forecast of a period's end, and the rate it burns at now.

Spending is attributed to budgets by the same rules as in the relay (`BudgetBook.applying`), from the rollups. Budgets
of end users are not in them: their forecast goes by the period alone, their burn rate by the records.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from service.alerts.budget_periods import BudgetSubject, Place
from service.alerts.measuring import burn_rate, outlook
from service.alerts.payload import iso
from service.alerts.rules import Reading, Rule
from service.alerts.values import window_of
from service.budgets.policy import BudgetBook, RequestFacts
from service.pricing.money import format_usd
from service.reporting.forecast import HISTORY_DAYS, Expected, expectation, steady
from service.reporting.intervals import Interval, start_of_day
from service.reporting.usage import UsageQuery, UsageRow, usage_report

SHORTEST = timedelta(hours=1)
"""Less time than that says nothing about a day."""
DAY = timedelta(days=1)
_BY = ("key", "project", "model")

Days = dict[date, int]


class Spending(msgspec.Struct):
    """What a budget's requests cost, and how many there were."""

    cost_nanos: int = 0
    requests: int = 0


class History(msgspec.Struct, frozen=True):
    """What each budget has spent by day of *zone*; read once and used for as long as the day lasts."""

    days: dict[Place, Days]
    zone: ZoneInfo

    @classmethod
    def read(cls, tx: Connection, book: BudgetBook, *, zone: ZoneInfo, now: datetime) -> "History":
        """The last four weeks, whole days of them, and today so far."""
        days: dict[Place, Days] = {}
        first = start_of_day(now.astimezone(zone).date() - HISTORY_DAYS * DAY, zone=zone)
        for row in _usage(tx, since=first, until=now, zone=zone, interval="day"):
            day = row.start.astimezone(zone).date()
            for place in _places(book, row):
                mine = days.setdefault(place, {})
                mine[day] = mine.get(day, 0) + (row.measures.cost_nanos or 0)
        return cls(days, zone)


def forecast_readings(subjects: Sequence[BudgetSubject], *, history: History, now: datetime) -> list[Reading]:
    """What each period will have spent at its end."""
    readings = []
    for one in subjects:
        figures = one.figures(now)
        expected = _expected(one, history=history, now=now)
        if expected is None:
            continue
        ahead = outlook(figures, expected, now=now, zone=history.zone)
        readings.append(
            one.reading(
                ahead.share_of(figures.limit_nanos),
                figures=figures,
                exceeds_at=iso(ahead.exceeds_at),
                exceeds_on=ahead.exceeds_on(history.zone),
                expected_usd=format_usd(round(ahead.expected_nanos)),
            )
        )
    return readings


def burn_readings(
    rule: Rule, subjects: Sequence[BudgetSubject], *, recent: Mapping[Place, Spending], now: datetime
) -> list[Reading]:
    """How fast each period is being spent; *recent* is what was spent within the rule's window."""
    readings = []
    for one in subjects:
        spent = recent.get(one.period.place, Spending())
        figures = msgspec.structs.replace(one.figures(now), window_nanos=spent.cost_nanos)
        value = burn_rate(figures, window=window_of(rule))
        if value is not None:
            readings.append(
                one.reading(
                    value,
                    figures=figures,
                    enough=spent.requests >= rule.min_requests,
                    window_usd=format_usd(spent.cost_nanos),
                    requests=spent.requests,
                )
            )
    return readings


def recent_spending(
    tx: Connection, rule: Rule, *, subjects: Sequence[BudgetSubject], book: BudgetBook, now: datetime
) -> dict[Place, Spending]:
    """What each budget's requests cost within the rule's window."""
    if not subjects:
        return {}
    end_users = any(one.budget.scope.kind == "end_user" for one in subjects)
    found: dict[Place, Spending] = {}
    for row in _usage(tx, since=now - window_of(rule), until=now, zone=ZoneInfo("UTC"), end_users=end_users):
        for place in _places(book, row):
            mine = found.setdefault(place, Spending())
            mine.cost_nanos += row.measures.cost_nanos or 0
            mine.requests += row.measures.requests
    return found


def _expected(one: BudgetSubject, *, history: History, now: datetime) -> Expected | None:
    """What days to come cost: by weekday; with too little history at the period's own pace; None: nobody can say."""
    days = history.days.get(one.period.place, {})
    found = expectation(days, today=now.astimezone(history.zone).date())
    if found is not None:
        return found
    since = one.period.starts_at
    if days:
        since = max(since, datetime.combine(min(days), time(), history.zone))
    elif one.period.ends_at is None:
        return None
    return steady(one.period.spent_nanos / (max(now - since, SHORTEST) / DAY))


def _usage(
    tx: Connection,
    *,
    since: datetime,
    until: datetime,
    zone: ZoneInfo,
    interval: Interval | None = None,
    end_users: bool = False,
) -> Sequence[UsageRow]:
    query = UsageQuery(
        since=since,
        until=until,
        interval=interval,
        timezone=zone.key,
        group_by=(*_BY, "end_user") if end_users else _BY,
        percentiles=False,
    )
    return usage_report(tx, query).rows


def _places(book: BudgetBook, row: UsageRow) -> list[Place]:
    """The budgets that a request of this row is charged to."""
    named = row.dimensions
    facts = RequestFacts(named["key_id"], named["project"], named.get("end_user"), named["model"] or "")
    return [applied.place for applied in book.applying(facts)]
