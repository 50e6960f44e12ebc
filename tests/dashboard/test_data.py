"""Cached reads: every argument and the store are part of the key, and a store that is away is not remembered."""

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from dashboard import data
from service.errors import StoreUnavailableError
from service.reporting.rows import RequestFilter
from service.reporting.usage import UsageQuery
from service.store.engine import Store
from tests.dashboard.conftest import NOW
from tests.support.records import START, some, write
from tests.support.stores import copied_sqlite, migrated_sqlite

WHOLE = UsageQuery(since=START, until=NOW)


def test_each_argument_makes_another_result(sqlite_books: Store, installed: Callable[[Store], None]) -> None:
    installed(sqlite_books)
    variants = [
        WHOLE,
        UsageQuery(since=START + timedelta(days=1), until=NOW),
        UsageQuery(since=START, until=NOW, interval="day"),
        UsageQuery(since=START, until=NOW, interval="day", timezone="Asia/Kathmandu"),
        UsageQuery(since=START, until=NOW, group_by=("model",)),
        UsageQuery(since=START, until=NOW, filters={"model": ("gpt-4o",)}),
        UsageQuery(since=START, until=NOW, filters={"model": ("gpt-4o-mini",)}),
        UsageQuery(since=START, until=NOW, percentiles=False),
    ]
    reports = [data.usage(query) for query in variants]
    assert len({id(report) for report in reports}) == len(variants)
    assert [data.usage(query) for query in variants] == reports
    assert data.usage(WHOLE) is reports[0]


def test_each_filter_limit_and_cursor_makes_another_page(
    sqlite_books: Store, installed: Callable[[Store], None]
) -> None:
    installed(sqlite_books)
    whole = data.requests(RequestFilter(), limit=10)
    assert data.requests(RequestFilter(), limit=11).data[:10] == whole.data
    assert data.requests(RequestFilter(), limit=10, cursor=whole.next).data[0] != whole.data[0]
    some_outcome = data.requests(RequestFilter(filters={"outcome": ("ok",)}), limit=10)
    assert {row["outcome"] for row in some_outcome.data} == {"ok"}


def test_another_store_is_another_key(
    sqlite_books: Store, installed: Callable[[Store], None], shared_folder: Path, tmp_path: Path
) -> None:
    installed(sqlite_books)
    requests = data.live_usage(WHOLE).total.requests
    other = copied_sqlite(migrated_sqlite(shared_folder / "sqlite"), to=tmp_path / "other.db")
    with closing(Store(other)) as store:
        write(store, some(seed=12, count=10, days=1))
        installed(store)
        assert 0 < data.live_usage(WHOLE).total.requests < requests
        assert data.recorded() is not None


def test_an_id_that_is_none_is_no_error(sqlite_books: Store, installed: Callable[[Store], None]) -> None:
    installed(sqlite_books)
    assert data.request("nonsense") is None


def test_a_store_that_is_away_is_asked_again(
    installed: Callable[[Store], None], shared_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "elsewhere.db"
    url = copied_sqlite(migrated_sqlite(shared_folder / "sqlite"), to=path)
    with closing(Store(url)) as store:
        write(store, some(seed=12, count=10, days=1))
    hidden = path.rename(tmp_path / "hidden.db")
    with closing(Store(url)) as store:
        installed(store)
        with pytest.raises(StoreUnavailableError):
            data.recorded()
        store.engine.dispose()
        hidden.replace(path)
        assert data.recorded() is not None
