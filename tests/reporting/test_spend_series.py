"""Spend over time: the amounts of the usage report, by the values that spent most and by all others together."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from service.errors import InvalidInputError
from service.ledger import dimension_rollups
from service.reporting.by_value import SINCE
from service.reporting.intervals import Interval
from service.reporting.spend_series import SpendOverTime, SpendQuery, spend_over_time
from service.reporting.usage import UsageQuery, UsageReport, usage_report
from service.store.engine import Store
from service.store.tables import store_fact
from service.store.types import to_micros
from tests.support.records import START, some, write

DAYS = 4
UNTIL = START + timedelta(days=DAYS, minutes=15)
INTERVALS: tuple[tuple[Interval, str], ...] = (("day", "UTC"), ("hour", "UTC"), ("day", "Asia/Kathmandu"))
DIMENSIONS = ("model", "key", "project", "outcome", "end_user", "tag", "session", "requested_model")


@pytest.fixture
def books(store: Store) -> Store:
    write(store, some(seed=11, count=200, days=DAYS))
    return store


def both(store: Store, dimension: str, *, largest: int, **more: Any) -> tuple[SpendOverTime, UsageReport]:
    asked = {"since": START, "until": UNTIL, **more}
    with store.read() as tx:
        found = spend_over_time(tx, SpendQuery(dimension=dimension, largest=largest, **asked))
        return found, usage_report(tx, UsageQuery(group_by=(dimension,), percentiles=False, **asked))


def named(dimensions: dict[str, str | None]) -> tuple[tuple[str, str | None], ...]:
    return tuple(sorted(dimensions.items()))


def spent(report: UsageReport) -> dict[Any, dict[datetime, int]]:
    """By value and bucket."""
    found: dict[Any, dict[datetime, int]] = {}
    for row in report.rows:
        if row.measures.cost_nanos:
            found.setdefault(named(row.dimensions), {})[row.start] = row.measures.cost_nanos
    return found


def bucket_starts(store: Store, **more: Any) -> list[datetime]:
    with store.read() as tx:
        return [row.start for row in usage_report(tx, UsageQuery(since=START, until=UNTIL, **more)).rows]


def by_start(nanos: tuple[int, ...], starts: list[datetime]) -> dict[datetime, int]:
    return {start: value for start, value in zip(starts, nanos, strict=True) if value}


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize(("interval", "timezone"), INTERVALS)
def test_all_values_and_the_rest_are_what_the_usage_report_says(
    books: Store, dimension: str, interval: Interval, timezone: str
) -> None:
    found, report = both(books, dimension, largest=3, interval=interval, timezone=timezone)
    starts = bucket_starts(books, interval=interval, timezone=timezone)
    expected = spent(report)
    totals = sorted((sum(nanos.values()) for nanos in expected.values()), reverse=True)
    shown = {named(one.dimensions): by_start(one.nanos, starts) for one in found.largest}
    assert [sum(one.nanos) for one in found.largest] == totals[:3]
    assert shown == {key: expected[key] for key in shown}
    rest: dict[datetime, int] = {}
    for key in expected.keys() - shown.keys():
        for start, nanos in expected[key].items():
            rest[start] = rest.get(start, 0) + nanos
    assert (by_start(found.rest, starts) if found.rest is not None else {}) == rest


@pytest.mark.parametrize("dimension", ["end_user", "tag"])
def test_values_without_rows_of_their_own_are_one_value(
    monkeypatch: pytest.MonkeyPatch, store: Store, dimension: str
) -> None:
    monkeypatch.setattr(dimension_rollups, "VALUES_PER_DAY", 1)
    write(store, some(seed=12, count=150, days=DAYS))
    found, report = both(store, dimension, largest=10, interval="hour")
    starts = bucket_starts(store, interval="hour")
    assert {named(one.dimensions): by_start(one.nanos, starts) for one in found.largest} == spent(report)
    assert found.rest is None
    assert "(other)" in [one.dimensions[dimension] for one in found.largest]


def test_days_before_there_were_such_rollups_come_from_the_records(books: Store) -> None:
    with books.write() as tx:
        middle = to_micros(START + timedelta(days=2))
        tx.execute(insert(store_fact).values(name=SINCE, value=str(middle)))
    found, report = both(books, "end_user", largest=100, interval="day")
    starts = bucket_starts(books, interval="day")
    assert {named(one.dimensions): by_start(one.nanos, starts) for one in found.largest} == spent(report)


def test_nothing_spent_is_no_value_and_no_rest(store: Store) -> None:
    found, _ = both(store, "model", largest=3, interval="day")
    assert (found.largest, found.rest) == ((), None)


def test_what_is_no_dimension_is_refused_by_name(store: Store) -> None:
    with store.read() as tx, pytest.raises(InvalidInputError, match="colour"):
        spend_over_time(
            tx, SpendQuery(since=START, until=UNTIL, interval="day", dimension="colour", largest=1)
        )
