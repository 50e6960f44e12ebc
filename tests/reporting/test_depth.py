"""A page costs what it shows: not what lies before it in the log, nor what lies between it and the end of its range."""

import sqlite3
from datetime import timedelta
from typing import Any

import pytest

from service.reporting import neighbours as near
from service.reporting import rows
from service.reporting.neighbours import neighbours
from service.reporting.rows import RequestFilter, list_requests
from service.store.engine import Store
from tests.support.records import START, some, write

DAYS = 3
RANGE: dict[str, Any] = {"since": START, "until": START + timedelta(days=DAYS)}
RARE = {"session": ("nobody's",)}
STEP = 10


@pytest.fixture
def books(sqlite_store: Store) -> Store:
    write(sqlite_store, some(seed=31, count=1_500, days=DAYS))
    return sqlite_store


def effort(store: Store, ask: Any) -> int:
    """Instructions of SQLite's machine, in tens."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    with store.read() as tx:
        raw = tx.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_progress_handler(count, STEP)
        try:
            ask(tx)
        finally:
            raw.set_progress_handler(None, 0)
    return steps


def test_a_deep_page_of_a_range_costs_what_its_first_does(books: Store) -> None:
    wanted = RequestFilter(**RANGE)
    with books.read() as tx:
        cursor = list_requests(tx, wanted, limit=1_000).next
    assert cursor is not None
    first = effort(books, lambda tx: list_requests(tx, wanted, limit=20))
    deep = effort(books, lambda tx: list_requests(tx, wanted, limit=20, cursor=cursor))
    assert deep < 1.5 * first


def test_a_rare_value_in_a_range_costs_what_it_does_without(
    books: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "FIRST_WINDOW", 10)
    monkeypatch.setattr(rows, "LARGEST_SEARCH", 100)
    anywhere = effort(books, lambda tx: list_requests(tx, RequestFilter(filters=RARE), limit=20))
    ranged = effort(books, lambda tx: list_requests(tx, RequestFilter(filters=RARE, **RANGE), limit=20))
    assert ranged < 1.5 * anywhere


def test_neighbours_are_looked_for_nearby(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with books.read() as tx:
        listed = list_requests(tx, RequestFilter(), limit=1_000).data
    here = listed[-1]["request_id"]
    everywhere = effort(books, lambda tx: neighbours(tx, RequestFilter(filters=RARE), of=here))
    monkeypatch.setattr(near, "LARGEST_SEARCH", 20)
    nearby = effort(books, lambda tx: neighbours(tx, RequestFilter(filters=RARE, **RANGE), of=here))
    assert nearby < everywhere / 4
    with books.read() as tx:
        found = neighbours(tx, RequestFilter(filters={"outcome": ("ok",)}), of=here)
    assert None not in (found.newer, found.older)
