"""Files: every row and column arrives, spreadsheets run no formulas, memory stays flat."""

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from uuid import UUID

import pytest

from service.errors import ConfigurationError, InvalidInputError, StoreUnavailableError
from service.reporting import export, parquet_file
from service.reporting.columns import Chunk, by_name, numbered
from service.reporting.csv_file import FORMULA_STARTS
from service.reporting.export import REQUEST_COLUMNS, export_requests, export_usage
from service.reporting.files import FileFormat, encode
from service.reporting.rows import RequestFilter
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from service.store.tables import request_record
from service.store.types import from_micros
from tests.reporting.plain_files import (
    connections_in_use,
    expected_rows,
    fill_with_hostile_books,
    plain_jsonl,
)
from tests.support.records import START, some, write

RECORDS = some(seed=51, count=90, days=2)
FORMATS: tuple[FileFormat, ...] = ("csv", "jsonl", "parquet")
CELLS = numbered((("id", "integer"), ("name", "text"), ("delta", "decimal")))


@pytest.fixture
def books(store: Store) -> Store:
    write(store, RECORDS)
    return store


def written(rows: list[dict[str, Any]], file_format: FileFormat) -> bytes:
    return b"".join(encode(CELLS, [by_name(rows, CELLS)], file_format=file_format))


def read_back(body: bytes, file_format: FileFormat) -> list[dict[str, Any]]:
    if file_format == "csv":
        return list(csv.DictReader(io.StringIO(body.decode(), newline="")))
    if file_format == "jsonl":
        return [json.loads(line) for line in body.splitlines()]
    rows: list[dict[str, Any]] = import_module("pyarrow.parquet").read_table(io.BytesIO(body)).to_pylist()
    return rows


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_record_arrives_once_newest_first(
    books: Store, file_format: FileFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 7)
    heard: list[int] = []
    pieces = export_requests(books, RequestFilter(), file_format=file_format, progress=heard.append)
    rows = read_back(b"".join(pieces), file_format)
    expected = sorted(RECORDS, key=lambda record: record.id, reverse=True)
    assert [row["id"] for row in rows] == [str(UUID(bytes=record.id)) for record in expected]
    assert heard == sorted(heard)
    assert heard[-1] == len(RECORDS)
    for row, record in zip(rows, expected, strict=True):
        assert list(row) == [column.name for column in REQUEST_COLUMNS]
        cost = "" if file_format == "csv" and record.cost_nanos is None else record.cost_nanos
        assert str(row["cost_nanos"]) == str(cost)


def test_values_survive_in_parquet(books: Store) -> None:
    body = b"".join(export_requests(books, RequestFilter(), file_format="parquet"))
    for row, record in zip(
        read_back(body, "parquet"), sorted(RECORDS, key=lambda one: one.id, reverse=True), strict=True
    ):
        assert row["started_at"] == from_micros(record.started_at)
        for name in (
            "key_id",
            "stream",
            "final",
            "ttft_ms",
            "input_tokens",
            "cost_nanos",
            "outcome",
            "model",
        ):
            if name in row:
                assert row[name] == getattr(record, name)
        lines = None if row["cost_lines"] is None else json.loads(row["cost_lines"])
        assert lines == (None if record.cost_lines is None else list(record.cost_lines))


def test_nothing_is_null_and_not_zero(books: Store) -> None:
    rows = read_back(b"".join(export_requests(books, RequestFilter(), file_format="jsonl")), "jsonl")
    ordered = sorted(RECORDS, key=lambda one: one.id, reverse=True)
    for row, record in zip(rows, ordered, strict=True):
        assert row["cost_nanos"] == record.cost_nanos
        assert row["cache_write_input_tokens"] is None
        assert row["tags"] == (None if record.tags is None else list(record.tags))
        assert row["started_at"].endswith("Z")
        assert datetime.fromisoformat(row["started_at"]) == from_micros(record.started_at)


def test_filters_apply(books: Store) -> None:
    wanted = RequestFilter(filters={"key": ("key_a",)})
    rows = read_back(b"".join(export_requests(books, wanted, file_format="csv")), "csv")
    assert len(rows) == sum(record.key_id == "key_a" for record in RECORDS) > 0


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_a_text_that_would_be_a_formula_is_defused_in_csv_only(start: str) -> None:
    """A key named =HYPERLINK(…) must not run in the accountant's spreadsheet."""
    rows = [{"id": -1, "name": f'{start}HYPERLINK("http://x","y")', "delta": "-0.5"}]
    (found,) = read_back(written(rows, "csv"), "csv")
    assert found == {"id": "-1", "name": f"'{rows[0]['name']}", "delta": "-0.5"}
    for plain in FORMATS[1:]:
        (kept,) = read_back(written(rows, plain), plain)
        assert kept == rows[0]


def test_awkward_text_survives_csv() -> None:
    text = 'a "quoted", line\nwith ünïcode 🙂'
    (found,) = read_back(written([{"id": 1, "name": text}], "csv"), "csv")
    assert found == {"id": "1", "name": text, "delta": ""}


@pytest.mark.parametrize("file_format", FORMATS)
def test_no_rows_is_a_file_all_the_same(sqlite_store: Store, file_format: FileFormat) -> None:
    body = b"".join(export_requests(sqlite_store, RequestFilter(), file_format=file_format))
    assert read_back(body, file_format) == []
    assert (b"started_at" in body) == (file_format != "jsonl")


@pytest.mark.parametrize("file_format", FORMATS)
def test_chunks_without_rows_leave_no_trace(file_format: FileFormat) -> None:
    rows = [{"id": 1, "name": "a", "delta": None}]
    chunks = [by_name(some, CELLS) for some in ([], rows, [])]
    body = b"".join(encode(CELLS, chunks, file_format=file_format))
    assert body == written(rows, file_format)
    assert len(read_back(body, file_format)) == 1


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="use one of csv, jsonl, parquet"):
        list(encode(CELLS, [], file_format="xlsx"))  # type: ignore[arg-type]


def test_parquet_without_pyarrow_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(parquet_file, "import_module", missing)
    with pytest.raises(ConfigurationError, match="need the package pyarrow"):
        list(encode(CELLS, [], file_format="parquet"))


@pytest.mark.parametrize("file_format", FORMATS)
def test_memory_does_not_grow_with_the_rows(file_format: FileFormat) -> None:
    """Two hundred batches take no more memory than twenty."""

    def peak(batches: int) -> int:
        def rows() -> Iterator[Chunk]:
            for number in range(batches):
                yield by_name(
                    [{"id": n, "name": f"name {number} {n}", "delta": "1.5"} for n in range(500)], CELLS
                )

        tracemalloc.start()
        size = sum(len(piece) for piece in encode(CELLS, rows(), file_format=file_format))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size > 0
        return most

    peak(2)  # imports
    assert peak(200) < peak(20) + 500_000


def test_every_column_of_a_record_is_exported() -> None:
    names = {column.name for column in REQUEST_COLUMNS}
    assert {column.name for column in request_record.c} < names
    assert "cost_usd" in names


def test_a_usage_report_as_a_file(books: Store) -> None:
    query = UsageQuery(
        since=START, until=START + timedelta(days=2), interval="day", group_by=("key", "model")
    )
    with books.read() as tx:
        report = usage_report(tx, query)
    rows = read_back(b"".join(export_usage(report, file_format="jsonl")), "jsonl")
    assert sum(row["cost_nanos"] or 0 for row in rows) == report.total.cost_nanos
    assert sum(row["cost_status_priced"] for row in rows) == report.total.cost_status["priced"]
    assert list(rows[0])[:5] == ["start", "end", "key_id", "key_name", "model"]
    assert rows[0]["start"] == START.astimezone(UTC).isoformat().replace("+00:00", "Z")
    table = read_back(b"".join(export_usage(report, file_format="parquet")), "parquet")
    assert [row["requests"] for row in table] == [row.measures.requests for row in report.rows]


def test_hostile_books_survive_json_lines_and_parquet(store: Store) -> None:
    fill_with_hostile_books(store, count=60)
    rows = expected_rows(store)
    lines = b"".join(export_requests(store, RequestFilter(), file_format="jsonl")).splitlines()
    for line, row in zip(lines, plain_jsonl(rows, REQUEST_COLUMNS), strict=True):
        assert list(json.loads(line).items()) == list(row.items())
    table = read_back(b"".join(export_requests(store, RequestFilter(), file_format="parquet")), "parquet")
    for found, row in zip(table, rows, strict=True):
        for column in REQUEST_COLUMNS:
            value = found[column.name]
            assert (json.loads(value) if column.kind == "json" and value else value) == row[column.name]


def test_parquet_comes_by_row_groups(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 10)
    monkeypatch.setattr(parquet_file, "ROW_GROUP", 30)
    pieces = list(export_requests(books, RequestFilter(), file_format="parquet"))
    assert len(pieces) == len(RECORDS) // 30 + 1
    found = read_back(b"".join(pieces), "parquet")
    assert [row["id"] for row in found] == sorted((str(UUID(bytes=one.id)) for one in RECORDS), reverse=True)


def test_a_slow_reader_holds_no_transaction(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two pieces every connection is back in the pool."""
    monkeypatch.setattr(export, "PAGE_ROWS", 10)
    pieces = export_requests(books, RequestFilter(), file_format="csv")
    idle = connections_in_use(books)
    for _piece in pieces:
        assert connections_in_use(books) == idle


def test_a_store_that_breaks_while_it_is_read_is_named(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are fetched past SQLAlchemy, and the driver's error becomes ours all the same."""
    write(sqlite_store, RECORDS)
    ticks = iter(range(100))
    with sqlite_store.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
    monkeypatch.setattr(export, "PAGE_ROWS", 50)
    pieces = export_requests(sqlite_store, RequestFilter(), file_format="jsonl")
    next(pieces)
    driver.set_progress_handler(lambda: next(ticks) > 3, 50)
    with pytest.raises(StoreUnavailableError, match="interrupted"):
        next(pieces)
    driver.set_progress_handler(None, 0)
