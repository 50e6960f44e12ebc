"""Usage by end user and by tag: the rollups say what the records say, and admit what they left out."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete, insert

from service.ledger import dimension_rollups
from service.ledger.record import RequestRecord
from service.reporting import by_value, usage
from service.reporting.by_value import SINCE
from service.reporting.dimensions import Filters
from service.reporting.effort import records_to_read
from service.reporting.figures import Measures
from service.reporting.intervals import widened
from service.reporting.usage import UsageQuery, UsageReport, usage_report
from service.store.dimension_tables import dimension_rollup_day, dimension_rollup_hour
from service.store.engine import Store
from service.store.tables import store_fact
from service.store.types import from_micros, to_micros
from tests.support.records import START, some, write

DAYS = 4
ZONES = ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/Los_Angeles")
PERCENTILES = [name for name in Measures.__struct_fields__ if name.startswith("p") and name.endswith("_ms")]


def report(store: Store, **query: Any) -> UsageReport:
    asked = {"since": START, "until": START + timedelta(days=DAYS, minutes=15), **query}
    with store.read() as tx:
        return usage_report(tx, UsageQuery(**asked))


def without_percentiles(found: UsageReport) -> list[tuple[Any, ...]]:
    return [
        (row.start, row.dimensions, msgspec.structs.replace(row.measures, **dict.fromkeys(PERCENTILES)))
        for row in found.rows
    ]


def attempts(found: UsageReport, dimension: str) -> dict[str | None, int]:
    counts: dict[str | None, int] = {}
    for row in found.rows:
        value = row.dimensions[dimension]
        counts[value] = counts.get(value, 0) + row.measures.attempts
    return counts


@pytest.fixture
def records() -> list[RequestRecord]:
    return some(seed=11, count=200, days=DAYS)


@pytest.fixture
def books(store: Store, records: list[RequestRecord]) -> Store:
    write(store, records)
    return store


@pytest.fixture
def from_records(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A report that does not know these rollups."""

    def asked(store: Store, **query: Any) -> UsageReport:
        with monkeypatch.context() as patch:
            patch.setattr(usage, "dimension_of", lambda *_, **__: None)
            return report(store, **query)

    return asked


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("interval", [None, "hour", "day", "month"])
@pytest.mark.parametrize("dimension", ["end_user", "tag"])
def test_it_is_what_the_records_say(
    books: Store, from_records: Any, dimension: str, zone: str, interval: str | None
) -> None:
    asked: dict[str, Any] = {"group_by": (dimension,), "interval": interval, "timezone": zone}
    assert without_percentiles(report(books, **asked)) == without_percentiles(from_records(books, **asked))


@pytest.mark.parametrize(
    "filters", [{"end_user": ("user-1",)}, {"end_user": ("user-1", "")}, {"tag": ("batch",)}, {"tag": ("",)}]
)
@pytest.mark.parametrize("interval", [None, "day"])
def test_one_value_alone(books: Store, from_records: Any, filters: Any, interval: str | None) -> None:
    asked: dict[str, Any] = {"filters": filters, "interval": interval, "timezone": "Asia/Kolkata"}
    found, expected = report(books, **asked), from_records(books, **asked)
    assert without_percentiles(found) == without_percentiles(expected)
    assert found.total.cost_nanos == expected.total.cost_nanos


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize("interval", [None, "hour", "day"])
@pytest.mark.parametrize("dimension", ["end_user", "tag"])
def test_the_running_hour_is_whole_while_nothing_stands_behind_it(
    books: Store, records: list[RequestRecord], dimension: str, interval: str | None, zone: str
) -> None:
    """Until the last record's quarter, from rollups alone; and before it, without what came later."""
    newest = from_micros(max(record.started_at for record in records))
    present = widened(newest, newest + timedelta(microseconds=1))
    asked = {"group_by": (dimension,), "interval": interval, "timezone": zone}
    now = report(books, until=present.until, **asked)
    assert now.total.attempts == sum(record.repeat_count for record in records)
    with books.read() as tx:
        query = UsageQuery(since=START.replace(hour=0), until=present.until, group_by=(dimension,))
        assert records_to_read(tx, query) == 0
    earlier = report(books, until=present.since, **asked)
    assert earlier.total.attempts == sum(
        record.repeat_count for record in records if from_micros(record.started_at) < present.since
    )


@pytest.mark.parametrize("group_by", [("tag",), ("tag", "model"), ("end_user", "model"), ("end_user",)])
def test_the_total_counts_every_record_once(
    books: Store, records: list[RequestRecord], group_by: tuple[str, ...]
) -> None:
    for interval in (None, "day"):
        total = report(books, group_by=group_by, interval=interval).total
        assert total.attempts == sum(record.repeat_count for record in records)
        assert total.cost_nanos == sum(record.cost_nanos or 0 for record in records)


@pytest.mark.parametrize("filters", [{"tag": ("batch",)}, {"tag": ("batch", "nightly")}])
def test_a_record_with_both_tags_counts_once(
    books: Store, records: list[RequestRecord], filters: dict[str, tuple[str, ...]]
) -> None:
    wanted = set(filters["tag"])
    expected = sum(record.repeat_count for record in records if wanted & set(record.tags or ()))
    assert report(books, filters=filters).total.attempts == expected
    assert report(books, filters=filters, group_by=("tag",)).total.attempts == expected


def test_what_has_no_row_of_its_own_is_shown_together(
    store: Store, records: list[RequestRecord], monkeypatch: pytest.MonkeyPatch, from_records: Any
) -> None:
    monkeypatch.setattr(dimension_rollups, "VALUES_PER_DAY", 3)
    for number, record in enumerate(records):
        record.end_user = f"user-{number % 12}"
    write(store, records)
    found = report(store, group_by=("end_user",))
    shown = attempts(found, "end_user")
    assert shown["(other)"]
    assert sum(shown.values()) == sum(record.repeat_count for record in records)
    for number in range(12):  # asked for alone, also one of the others is known
        asked = {"filters": {"end_user": (f"user-{number}",)}}
        assert without_percentiles(report(store, **asked)) == without_percentiles(
            from_records(store, **asked)
        )


def test_a_user_may_be_called_other(store: Store, records: list[RequestRecord]) -> None:
    for record in records:
        record.end_user = "(other)"
    write(store, records)
    (row,) = report(store, group_by=("end_user",)).rows
    assert row.dimensions == {"end_user": "(other)"}
    assert report(store, filters={"end_user": ("(other)",)}).total.attempts == row.measures.attempts


@pytest.mark.parametrize("days", [0, 2, 9])
def test_days_before_the_rollups_come_from_the_records(books: Store, from_records: Any, days: int) -> None:
    """As an upgrade leaves them: from some day on they are whole, before that they hold nothing or a part."""
    since = START + timedelta(days=days)
    with books.write() as tx:
        tx.execute(insert(store_fact).values(name=SINCE, value=str(to_micros(since))))
        for table in (dimension_rollup_hour, dimension_rollup_day):
            tx.execute(delete(table).where(table.c.bucket < since))
    for interval in (None, "day"):
        asked: dict[str, Any] = {"group_by": ("end_user",), "interval": interval, "timezone": ZONES[3]}
        assert without_percentiles(report(books, **asked)) == without_percentiles(
            from_records(books, **asked)
        )


def test_what_is_in_no_such_rollup_is_left_to_the_records() -> None:
    asked: list[tuple[tuple[str, ...], Filters]] = [
        ((), {}),
        (("model",), {}),
        (("end_user", "tag"), {}),
        (("end_user",), {"model": ("gpt-4o",)}),
        (("tag",), {"tag": ("a",)}),
        ((), {"tag": ("a", "b")}),
    ]
    assert [by_value.dimension_of(group_by, filters) for group_by, filters in asked] == [None] * len(asked)
    assert by_value.dimension_of(("end_user",), {"end_user": ("a", "b")}) == "end_user"
