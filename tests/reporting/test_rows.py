"""Request rows: pages that miss nothing, filters that mean what reports mean, costs with their changes."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from service.errors import InvalidInputError, NotFoundError
from service.ledger.entries import LedgerEntry, append
from service.ledger.record import RequestRecord
from service.reporting.dimensions import DIMENSIONS
from service.reporting.rows import RequestFilter, get_request, list_requests, parse_cursor
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from service.store.tables import ROLLUP_DIMENSIONS
from service.store.types import from_micros
from tests.support.records import START, some, write

RECORDS = some(seed=21, count=120, days=2)
NEWEST_FIRST = [
    str(UUID(bytes=record.id)) for record in sorted(RECORDS, key=lambda found: found.id, reverse=True)
]


@pytest.fixture
def books(store: Store) -> Store:
    write(store, RECORDS)
    return store


def ids(store: Store, *, limit: int = 1000, **wanted: Any) -> list[str]:
    with store.read() as tx:
        return [row["id"] for row in list_requests(tx, RequestFilter(**wanted), limit=limit).data]


def expected(condition: Any) -> list[str]:
    chosen = {str(UUID(bytes=record.id)) for record in RECORDS if condition(record)}
    return [identifier for identifier in NEWEST_FIRST if identifier in chosen]


@pytest.mark.parametrize("limit", [1, 7, 60, 1000])
def test_pages_hold_every_record_once_newest_first(books: Store, limit: int) -> None:
    found: list[str] = []
    cursor: str | None = None
    with books.read() as tx:
        while True:
            page = list_requests(tx, RequestFilter(), limit=limit, cursor=cursor)
            assert len(page.data) <= limit
            found += [row["id"] for row in page.data]
            cursor = page.next
            if cursor is None:
                break
    assert found == NEWEST_FIRST


def test_a_page_stays_where_it_was_when_records_come(books: Store) -> None:
    with books.read() as tx:
        first = list_requests(tx, RequestFilter(), limit=50)
    later = some(seed=22, count=20, days=1)
    for record in later:
        record.id = bytes([0xFE]) + record.id[1:]
    write(books, later)
    with books.read() as tx:
        second = list_requests(tx, RequestFilter(), limit=1000, cursor=first.next)
    assert [row["id"] for row in (*first.data, *second.data)] == NEWEST_FIRST


@pytest.mark.parametrize(
    "cursor", ["", "x", "!!!!", "AA==", "é", "AQ" * 12, "AWFhYWFhYWFhYWFhYWFhYWE", "A" * 10_000, "\x00"]
)
def test_a_foreign_cursor_is_refused(sqlite_store: Store, cursor: str) -> None:
    with sqlite_store.read() as tx, pytest.raises(InvalidInputError) as caught:
        list_requests(tx, RequestFilter(), cursor=cursor)
    assert caught.value.field == "cursor"


def test_a_cursor_is_the_last_id_of_its_page(books: Store) -> None:
    with books.read() as tx:
        page = list_requests(tx, RequestFilter(), limit=3)
    assert page.next is not None
    assert str(parse_cursor(page.next)) == page.data[-1]["id"]


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_has_bounds(sqlite_store: Store, limit: int) -> None:
    with sqlite_store.read() as tx, pytest.raises(InvalidInputError, match="use 1 to 1000"):
        list_requests(tx, RequestFilter(), limit=limit)


def test_every_column_comes_back_as_it_was_stored(books: Store) -> None:
    with books.read() as tx:
        rows = {row["id"]: row for row in list_requests(tx, RequestFilter(), limit=1000).data}
    for record in RECORDS:
        row = rows[str(UUID(bytes=record.id))]
        assert row["request_id"] == str(UUID(bytes=record.request_id))
        assert row["started_at"] == from_micros(record.started_at)
        assert row["tags"] == (None if record.tags is None else list(record.tags))
        for name in (
            *ROLLUP_DIMENSIONS[:4],
            "end_user",
            "stream",
            "final",
            "outcome",
            "cost_nanos",
            "ttft_ms",
        ):
            assert row[name] == getattr(record, name)
        assert (row["cost_usd"] is None) == (record.cost_nanos is None)
        assert "cost_lines" not in row


def test_time_is_exact_to_the_microsecond(books: Store) -> None:
    edge = sorted(record.started_at for record in RECORDS)[40]
    instant = from_micros(edge)
    assert ids(books, since=instant) == expected(lambda record: record.started_at >= edge)
    assert ids(books, until=instant) == expected(lambda record: record.started_at < edge)
    after = instant + timedelta(microseconds=1)
    assert ids(books, since=instant, until=after) == expected(lambda record: record.started_at == edge)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_a_report_and_its_rows_agree(books: Store, dimension: str) -> None:
    """Whoever drills down from a figure finds the rows that make it."""
    until = START + timedelta(days=3)
    with books.read() as tx:
        grouped = usage_report(tx, UsageQuery(since=START, until=until, group_by=(dimension,)))
        for row in grouped.rows:
            value = row.dimensions["key_id" if dimension == "key" else dimension] or ""
            wanted = RequestFilter(since=START, until=until, filters={dimension: (value,)})
            found = list_requests(tx, wanted, limit=1000).data
            assert sum(one["repeat_count"] for one in found) == row.measures.attempts
            assert sum(one["cost_nanos"] or 0 for one in found) == (row.measures.cost_nanos or 0)


def test_filters_combine(books: Store) -> None:
    def wanted(record: RequestRecord) -> bool:
        return record.key_id in ("key_a", "key_b") and record.outcome == "ok" and record.final

    found = ids(books, filters={"key": ("key_a", "key_b"), "outcome": ("ok",)}, final_only=True)
    assert found == expected(wanted)
    assert found


def test_costs_are_a_range(books: Store) -> None:
    found = ids(books, min_cost_nanos=1, max_cost_nanos=500_000_000)
    assert found == expected(lambda record: record.cost_nanos and 1 <= record.cost_nanos <= 500_000_000)
    assert found


def test_a_request_is_found_by_any_of_its_ids(books: Store) -> None:
    record = next(one for one in RECORDS if one.response_id)
    same = [one for one in RECORDS if one.request_id == record.request_id]
    assert len(ids(books, request_id=str(UUID(bytes=record.request_id)))) == len(same)
    assert ids(books, request_id=str(UUID(bytes=record.id))) == [str(UUID(bytes=record.id))]
    assert str(UUID(bytes=record.id)) in ids(books, request_id=record.response_id)
    assert ids(books, request_id="chatcmpl-nobody") == []
    with pytest.raises(InvalidInputError):
        ids(books, request_id="\x00")


def test_a_request_whole(books: Store) -> None:
    records = [one for one in RECORDS if one.attempt == 3]
    attempts = sorted(
        (one for one in RECORDS if one.request_id == records[0].request_id), key=lambda one: one.attempt
    )
    for asked in (attempts[0].request_id, attempts[1].id):
        with books.read() as tx:
            found = get_request(tx, str(UUID(bytes=asked)))
        assert found["request_id"] == str(UUID(bytes=attempts[0].request_id))
        assert {row["attempt"] for row in found["attempts"]} == {1, 2, 3}
        by_number = {row["attempt"]: row for row in found["attempts"]}
        for record in attempts:
            lines = by_number[record.attempt]["cost_lines"]
            assert lines == (None if record.cost_lines is None else list(record.cost_lines))
            assert by_number[record.attempt]["ledger"] == []


def test_a_cost_is_shown_with_its_changes(books: Store) -> None:
    record = next(
        one for one in RECORDS if one.cost_status == "unpriced" and one.upstream and one.input_tokens
    )
    identifier = UUID(bytes=record.id)
    common: dict[str, Any] = {"record_id": identifier, "created_at": START}
    entries = [
        LedgerEntry(
            id=UUID(int=1), kind="reprice", rating_version=2, delta_nanos=700, price_id="card-9",
            cost_status_before="unpriced", cost_status_after="priced", lines=({"cost_nanos": 700},), **common,
        ),
        LedgerEntry(
            id=UUID(int=2), kind="correction", rating_version=3, delta_nanos=-200, reason="a credit note",
            cost_status_before="priced", cost_status_after="provider", **common,
        ),
    ]  # fmt: skip
    with books.write() as tx:
        append(tx, entries)
    with books.read() as tx:
        detail = get_request(tx, str(identifier))
        (row,) = list_requests(tx, RequestFilter(request_id=str(identifier))).data
        assert ids(books, request_id=str(identifier), min_cost_nanos=500, max_cost_nanos=500) == [
            str(identifier)
        ]
    (attempt,) = [one for one in detail["attempts"] if one["id"] == str(identifier)]
    for found in (row, attempt):
        assert (found["cost_nanos"], found["cost_usd"], found["cost_status"]) == (
            500,
            "0.0000005",
            "provider",
        )
        assert (found["rated_cost_nanos"], found["rated_cost_status"]) == (None, "unpriced")
    assert [entry["delta_usd"] for entry in attempt["ledger"]] == ["0.0000007", "-0.0000002"]
    assert attempt["ledger"][0]["lines"] == [{"cost_nanos": 700}]


def test_what_is_not_there_is_not_found(sqlite_store: Store) -> None:
    with sqlite_store.read() as tx:
        with pytest.raises(NotFoundError):
            get_request(tx, str(UUID(int=7)))
        with pytest.raises(InvalidInputError):
            get_request(tx, "chatcmpl-1")
