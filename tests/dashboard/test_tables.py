"""Tables: exact amounts, unknown stays unknown, and no cell that a spreadsheet would calculate."""

import csv
import io
from typing import Any

import pytest
from pyarrow import parquet  # type: ignore[import-untyped]

from dashboard import tables
from service.reporting.measures import ERRORS
from service.reporting.rows import RequestFilter, get_request, list_requests
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from service.store.measure_columns import TOKEN_COLUMNS
from service.store.tables import OUTCOMES
from tests.dashboard.conftest import NOW
from tests.support.records import START


def rows_of(store: Store) -> tuple[dict[str, Any], ...]:
    with store.read() as tx:
        return list_requests(tx, RequestFilter(), limit=500).data


def test_the_log_shows_each_record(sqlite_books: Store) -> None:
    rows = rows_of(sqlite_books)
    shown = tables.log(rows, timezone="Asia/Kathmandu")
    table = shown.table().to_pydict()
    assert [None if cost is None else round(cost * 10**9) for cost in table["Cost"]] == [
        row["cost_nanos"] for row in rows
    ]
    assert table["Output"] == [row["output_tokens"] for row in rows]
    assert table["Outcome"] == [[row["outcome"]] for row in rows]
    assert None in table["Cost"]
    assert table["Time"] == sorted(table["Time"], reverse=True)
    assert shown.config.keys() >= table.keys()
    assert table["Times"] == [row["repeat_count"] if row["repeat_count"] > 1 else None for row in rows]
    assert set(table["Usage"]) == {"reported", "in part", "≈ estimated", None}


def test_columns_that_say_nothing_are_left_out(sqlite_books: Store) -> None:
    rows = [row for row in rows_of(sqlite_books) if row["usage_source"] == "provider"]
    order = tables.log(rows, timezone="UTC").order
    assert order is not None
    assert not {"Times", "Usage"} & {*order}
    assert {"Time", "Model", "Cost"} <= {*order}


def test_columns_that_do_not_fit_are_left_out_from_the_least_important_on() -> None:
    config = {label: {"width": 100} for label in "abcd"}
    assert tables.fitting(config, wanted="dacb", room=300) == ("a", "c", "d")
    assert tables.fitting(config, wanted="dacb", room=400) == ("a", "b", "c", "d")


def test_a_text_that_does_not_fit_ends_in_an_ellipsis() -> None:
    assert tables.shortened("short", width=200) == "short"
    assert tables.shortened(None, width=200) is None
    cut = tables.shortened("a text that goes on and on for much longer than that", width=100)
    assert cut is not None
    assert cut.endswith("…")
    assert len(cut) < 20


def test_an_empty_log_keeps_its_types() -> None:
    assert tables.log((), timezone="UTC").table().num_rows == 0


def test_cost_lines_add_up_with_the_total_below(sqlite_books: Store) -> None:
    wanted = next(row for row in rows_of(sqlite_books) if row["cost_nanos"])
    with sqlite_books.read() as tx:
        attempts = get_request(tx, wanted["id"])["attempts"]
    attempt = next(one for one in attempts if one["id"] == wanted["id"])
    *lines, total = tables.cost_lines(attempt).columns["Cost"]
    assert sum(line["cost_nanos"] for line in attempt["cost_lines"]) == attempt["cost_nanos"]
    assert len(lines) == len(attempt["cost_lines"])
    assert total == f"${attempt['cost_usd']}"


def test_later_changes_stand_between_lines_and_total() -> None:
    attempt = {
        "cost_lines": ({"meter": "input", "quantity": 16, "rate_picos": 2_500_000, "cost_nanos": 40_000},),
        "ledger": [{"kind": "reprice", "reason": "new card", "delta_nanos": -10_000}],
        "cost_nanos": 30_000,
    }
    columns = tables.cost_lines(attempt).columns
    assert columns["Meter"] == ["input", "reprice: new card", "Total"]
    assert columns["Per 1M"] == ["$2.50", None, None]
    assert columns["Cost"] == ["$0.00004", "-$0.00001", "$0.00003"]


def test_only_reported_classes_of_tokens_are_shown() -> None:
    attempt: dict[str, Any] = {
        **dict.fromkeys(TOKEN_COLUMNS),
        "input_tokens": 16,
        "reasoning_output_tokens": 0,
    }
    shown = tables.token_classes(attempt).columns
    assert dict(zip(shown["Class"], shown["Tokens"], strict=True)) == {"Input, all": 16, "  reasoning": 0}


def test_every_class_and_every_outcome_has_its_word_and_colour() -> None:
    assert set(TOKEN_COLUMNS) == set(tables.TOKEN_CLASSES)
    assert len(set(tables.TOKEN_CLASSES.values())) == len(TOKEN_COLUMNS)
    assert set(OUTCOMES) == set(tables.OUTCOME_COLORS)


def test_all_fields_are_those_that_are_known(sqlite_books: Store) -> None:
    record = {**rows_of(sqlite_books)[0], "ledger": [], "cost_lines": None, "usage_raw": None}
    shown = tables.fields(record, timezone="UTC").columns
    fields = dict(zip(shown["Field"], shown["Value"], strict=True))
    assert fields["id"] == record["id"]
    assert fields["started_at"].endswith("(UTC)")
    assert "None" not in fields.values()


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@cmd", "\t=1", "\r=1"])
def test_no_cell_of_an_export_is_a_formula(name: str) -> None:
    columns: dict[str, list[Any]] = {
        "Key": [name, "plain"],
        "Cost": [0.00064, -1.5],
        "Tokens": [None, -3],
        name: ["", ""],
    }
    written = tables.to_csv(tables.Shown(columns, {}, {})).decode()
    rows = list(csv.reader(io.StringIO(written, newline="")))
    assert rows == [
        ["Key", "Cost", "Tokens", f"'{name}"],
        [f"'{name}", "0.00064", "", ""],
        ["plain", "-1.5", "-3", ""],
    ]


def test_a_list_is_one_cell() -> None:
    shown = tables.Shown({"Outcome": [["=ok"]]}, {}, {})
    assert tables.to_csv(shown).decode().splitlines() == ["Outcome", "'=ok"]


def test_a_parquet_file_holds_the_table(sqlite_books: Store) -> None:
    shown = tables.log(rows_of(sqlite_books), timezone="UTC")
    assert parquet.read_table(io.BytesIO(tables.to_parquet(shown))).equals(shown.table())


def test_errors_stand_by_how_many_they_are(sqlite_books: Store) -> None:
    group_by = ("outcome", "http_status", "error_type", "error_code")
    with sqlite_books.read() as tx:
        report = usage_report(
            tx, UsageQuery(since=START, until=NOW, group_by=group_by, filters={"outcome": ERRORS})
        )
    columns = tables.errors(report).columns
    assert columns["Requests"] == sorted(columns["Requests"], reverse=True)
    assert sum(columns["Requests"]) == report.total.errors > 0
