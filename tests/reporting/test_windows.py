"""The log through any filter: every record once, newest first, however few a page may look through."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, event, insert

from service.ledger import dimension_rollups
from service.ledger.record import RequestRecord
from service.reporting import export, rows
from service.reporting.by_value import SINCE
from service.reporting.dimensions import Filters
from service.reporting.export import export_requests
from service.reporting.rows import RequestFilter, list_requests
from service.reporting.windows import next_window
from service.store.dimension_tables import dimension_rollup_day, dimension_rollup_hour
from service.store.engine import Store
from service.store.tables import store_fact
from service.store.types import from_micros, to_micros
from tests.support.records import START, some, write

RECORDS = some(seed=61, count=250, days=6)
NEWEST = sorted(RECORDS, key=lambda record: record.id, reverse=True)
RARE = "rare-user"

Condition = Callable[[RequestRecord], object]
CASES: list[tuple[dict[str, Any], Condition]] = [
    ({"filters": {"model": ("gpt-4o-mini",)}}, lambda r: model_of(r) == "gpt-4o-mini"),
    ({"filters": {"model": ("nobody's",)}}, lambda r: model_of(r) == "nobody's"),
    ({"filters": {"model": ("gpt*",)}}, lambda r: model_of(r).startswith("gpt")),
    ({"filters": {"key": ("key_a", "key_b")}}, lambda r: r.key_id in {"key_a", "key_b"}),
    ({"filters": {"key": ("",)}}, lambda r: not r.key_id),
    (
        {"filters": {"key": ("key_a",), "outcome": ("truncated",)}},
        lambda r: r.key_id == "key_a" and r.outcome == "truncated",
    ),
    ({"filters": {"end_user": ("user-1",)}}, lambda r: r.end_user == "user-1"),
    ({"filters": {"end_user": (RARE,)}}, lambda r: r.end_user == RARE),
    ({"filters": {"end_user": ("", RARE)}}, lambda r: not r.end_user or r.end_user == RARE),
    ({"filters": {"tag": ("nightly",)}}, lambda r: "nightly" in (r.tags or ())),
    (
        {"filters": {"tag": ("nightly",), "end_user": ("user-2",), "provider": ("openai",)}},
        lambda r: "nightly" in (r.tags or ()) and r.end_user == "user-2" and r.provider == "openai",
    ),
    ({"filters": {"http_status": ("500",)}}, lambda r: r.http_status == 500),
    (
        {"filters": {"session": ("session-1",), "upstream": ("azure",)}},
        lambda r: r.session and r.upstream == "azure",
    ),
    ({"min_cost_nanos": 500_000_000}, lambda r: (r.cost_nanos or 0) >= 500_000_000),
    ({"final_only": True}, lambda r: r.final),
    (
        {
            "filters": {"outcome": ("ok",)},
            "since": START + timedelta(days=1),
            "until": START + timedelta(days=3),
        },
        lambda r: (
            r.outcome == "ok"
            and START + timedelta(days=1) <= from_micros(r.started_at) < START + timedelta(days=3)
        ),
    ),
]


def model_of(record: RequestRecord) -> str:
    return record.upstream_model or (record.requested_model if record.upstream else None) or ""


@pytest.fixture
def books(store: Store) -> Store:
    NEWEST[77].end_user = NEWEST[200].end_user = RARE
    write(store, RECORDS)
    return store


def walk(store: Store, wanted: RequestFilter, *, limit: int) -> list[str]:
    found: list[str] = []
    cursor: str | None = None
    for _ in range(1_000):
        with store.read() as tx:
            page = list_requests(tx, wanted, limit=limit, cursor=cursor)
        assert len(page.data) <= limit
        found += [row["id"] for row in page.data]
        cursor = page.next
        if cursor is None:
            return found
    raise AssertionError("the pages do not end")


def expected(condition: Condition) -> list[str]:
    return [str(UUID(bytes=record.id)) for record in NEWEST if condition(record)]


@pytest.mark.parametrize("search", [3, 40, 50_000])
@pytest.mark.parametrize(("wanted", "condition"), CASES)
def test_pages_hold_what_is_wanted(
    books: Store, wanted: dict[str, Any], condition: Condition, search: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LARGEST_SEARCH", search)
    monkeypatch.setattr(rows, "FIRST_WINDOW", 2)
    assert walk(books, RequestFilter(**wanted), limit=4) == expected(condition)
    assert walk(books, RequestFilter(**wanted), limit=1_000) == expected(condition)


@pytest.mark.parametrize(("wanted", "condition"), CASES)
def test_exports_hold_what_is_wanted(
    books: Store, wanted: dict[str, Any], condition: Condition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "WINDOW", 17)
    monkeypatch.setattr(export, "PAGE_ROWS", 5)
    body = b"".join(export_requests(books, RequestFilter(**wanted), file_format="csv"))
    found = csv.DictReader(io.StringIO(body.decode(), newline=""))
    assert [row["id"] for row in found] == expected(condition)


@pytest.mark.parametrize("days", [2, 30])
def test_days_before_the_rollups_by_value_are_looked_through(books: Store, days: int) -> None:
    since = START + timedelta(days=days)
    with books.write() as tx:
        tx.execute(insert(store_fact).values(name=SINCE, value=str(to_micros(since))))
        for table in (dimension_rollup_hour, dimension_rollup_day):
            tx.execute(delete(table).where(table.c.bucket < since))
    assert walk(books, RequestFilter(filters={"end_user": (RARE,)}), limit=1) == expected(
        lambda record: record.end_user == RARE
    )


def test_values_without_rows_of_their_own_are_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dimension_rollups, "VALUES_PER_DAY", 2)
    write(store, RECORDS)
    for user in ("user-1", "user-2", RARE):
        theirs = [str(UUID(bytes=record.id)) for record in NEWEST if record.end_user == user]
        assert walk(store, RequestFilter(filters={"end_user": (user,)}), limit=3) == theirs


def test_nobody_looks_at_records_of_a_model_that_was_never_used(books: Store) -> None:
    """The rollups know; and the same of a rare end user: only the hours in which it was there."""
    assert window(books, {"model": ("nobody's",)}) is None
    assert window(books, {"end_user": ("nobody",)}) is None
    found = window(books, {"end_user": (RARE,)})
    assert found is not None
    assert found.low <= UUID(bytes=NEWEST[77].id)
    hour = NEWEST[77].started_at // 3_600_000_000
    assert found.records <= sum(record.started_at // 3_600_000_000 == hour for record in RECORDS)


def window(store: Store, filters: Filters) -> Any:
    with store.read() as tx:
        return next_window(tx, filters=filters, before=None, size=1_000)


def test_a_page_ends_where_it_may_look_no_further(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be empty and have a next one: `http_status` is in no rollup."""
    monkeypatch.setattr(rows, "LARGEST_SEARCH", 10)
    seen: list[str] = []
    event.listen(books.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    with books.read() as tx:
        page = list_requests(tx, RequestFilter(filters={"http_status": ("599",)}), limit=5)
    assert page.data == ()
    assert page.next is not None
    assert sum("user_agent" in statement for statement in seen) <= 2


@pytest.mark.parametrize("name", ["id", "request_id"])
def test_an_id_of_ours_is_found_at_once(books: Store, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "LARGEST_SEARCH", 1)
    wanted = str(UUID(bytes=getattr(NEWEST[-1], name)))
    with books.read() as tx:
        page = list_requests(tx, RequestFilter(request_id=wanted))
    assert {row[name] for row in page.data} == {wanted}
    assert page.next is None


@pytest.mark.parametrize("identifier", [UUID(int=0), UUID(int=2**128 - 1)])
def test_cursors_far_off_are_no_error(books: Store, identifier: UUID) -> None:
    with books.read() as tx:
        found = next_window(tx, filters={"model": ("gpt-4o",)}, before=identifier, size=10)
    assert (found is None) == (identifier.int == 0)
