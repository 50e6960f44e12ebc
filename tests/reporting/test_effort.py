"""What a report has to read: nothing where rollups answer, the odd quarters of an hour by end user, else everything."""

from datetime import timedelta
from typing import Any

import pytest

from service.reporting.effort import records_to_read
from service.reporting.usage import UsageQuery
from service.store.engine import Store
from tests.support.records import START, some, write

DAYS = 4


@pytest.fixture
def attempts(store: Store) -> int:
    records = some(seed=5, count=400, days=DAYS)
    write(store, records)
    return sum(record.repeat_count for record in records)


def effort(store: Store, **query: Any) -> int:
    asked = {"since": START, "until": START + timedelta(days=DAYS), **query}
    with store.read() as tx:
        return records_to_read(tx, UsageQuery(**asked))


@pytest.mark.usefixtures("attempts")
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"group_by": ("key", "model"), "interval": "hour", "timezone": "Asia/Kathmandu"},
        {"group_by": ("end_user",), "interval": "hour"},
        {"group_by": ("tag",), "interval": "day", "timezone": "America/Los_Angeles"},
    ],
)
def test_rollups_need_no_records(store: Store, query: dict[str, Any]) -> None:
    assert effort(store, **query) == 0


@pytest.mark.parametrize("group_by", [("session",), ("end_user", "model"), ("requested_model",)])
def test_what_no_rollup_has_is_read_whole(store: Store, attempts: int, group_by: tuple[str, ...]) -> None:
    assert effort(store, group_by=group_by) == attempts


@pytest.mark.parametrize(
    ("interval", "timezone", "share"),
    [("day", "Asia/Kolkata", 1 / 24), ("hour", "Asia/Kolkata", 1.0), ("hour", "Europe/Berlin", 0.0)],
)
def test_hours_that_no_rollup_cuts_so_are_read(
    store: Store, attempts: int, interval: str, timezone: str, share: float
) -> None:
    found = effort(store, group_by=("end_user",), interval=interval, timezone=timezone)
    assert found == pytest.approx(share * attempts, abs=attempts / 100)


def test_an_empty_store_needs_none(store: Store) -> None:
    assert effort(store, group_by=("session",)) == 0
