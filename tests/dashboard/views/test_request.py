"""One request: cost line by line, tokens, attempts and ending, exactly as the record has them."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from dashboard import formats
from service.ledger.entries import LedgerEntry, append
from service.ledger.record import RequestRecord
from service.reporting.neighbours import neighbours
from service.reporting.rows import RequestFilter, get_request, list_requests
from service.store.engine import Store
from tests.dashboard.conftest import NOW, OpenPage
from tests.support.records import some, write

HOSTILE = "![x](http://198.51.100.7/p.png) <img src=//198.51.100.7/q.png> :material/home: $x^2$ **b**"


def found(store: Store, condition: Any) -> dict[str, Any]:
    with store.read() as tx:
        rows = list_requests(tx, RequestFilter(), limit=1000).data
        row = next(row for row in rows if condition(row))
        return get_request(tx, row["request_id"])


def test_cost_and_tokens_are_the_record(books: Store, open_page: OpenPage) -> None:
    request = found(books, lambda row: row["cost_nanos"] and row["attempt"] == 1 and row["final"])
    (attempt,) = request["attempts"]
    page = open_page(books, "request", id=request["request_id"])
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Cost"] == f"\\${attempt['cost_usd']}"
    assert shown["Tokens in → out"] == f"{attempt['input_tokens']:,} → {attempt['output_tokens']:,}"
    assert shown["Duration"] == formats.duration(attempt["duration_ms"])
    assert page.code[0].value == request["request_id"]
    lines, tokens, fields = (frame.value for frame in page.dataframe)
    assert list(lines["Cost"]) == [
        *(formats.usd(line["cost_nanos"]) for line in attempt["cost_lines"]),
        f"${attempt['cost_usd']}",
    ]
    assert tokens["Tokens"].iloc[0] == attempt["input_tokens"]
    assert attempt["upstream"] in list(fields["Value"])


def test_attempts_stand_side_by_side_and_their_costs_are_summed(
    sqlite_books: Store, open_page: OpenPage
) -> None:
    request = found(sqlite_books, lambda row: row["attempt"] == 3 and row["cost_nanos"])
    page = open_page(sqlite_books, "request", id=request["request_id"])
    assert [tab.label for tab in page.tabs] == ["Attempt 1", "Attempt 2", "Attempt 3"]
    cost = sum(attempt["cost_nanos"] or 0 for attempt in request["attempts"])
    assert {metric.label: metric.value for metric in page.metric}["Cost"] == formats.usd(cost).replace(
        "$", "\\$"
    )


def test_an_attempts_id_leads_to_its_request(sqlite_books: Store, open_page: OpenPage) -> None:
    request = found(sqlite_books, lambda row: row["attempt"] == 2)
    page = open_page(sqlite_books, "request", id=request["attempts"][1]["id"])
    assert page.code[0].value == request["request_id"]


def test_a_failure_says_how(sqlite_books: Store, open_page: OpenPage) -> None:
    request = found(
        sqlite_books, lambda row: row["outcome"] == "timeout" and row["final"] and row["error_code"]
    )
    final = request["attempts"][-1]
    page = open_page(sqlite_books, "request", id=request["request_id"])
    parts = (final["http_status"], final["error_type"], final["error_code"])
    assert page.code[1].value == " · ".join(str(part) for part in parts if part is not None)


def test_unknown_numbers_are_dashes(sqlite_books: Store, open_page: OpenPage) -> None:
    request = found(
        sqlite_books,
        lambda row: (
            row["usage_source"] == "none" and row["upstream"] and row["attempt"] == 1 and row["final"]
        ),
    )
    page = open_page(sqlite_books, "request", id=request["request_id"])
    shown = {metric.label: metric.value for metric in page.metric}
    assert (shown["Cost"], shown["Tokens in → out"]) == ("—", "— → —")
    assert "No token counts were reported." in [caption.value for caption in page.caption]


def record(seed: int) -> RequestRecord:
    records = some(seed=seed, count=60, days=1)
    return next(one for one in records if one.cost_nanos and one.final and one.attempt == 1)


def test_usage_stands_there_as_received(sqlite_store: Store, open_page: OpenPage) -> None:
    raw = '{"prompt_tokens": 12345678901234567890, "note": "</code><script>"}'
    one = msgspec.structs.replace(record(31), usage_raw=raw)
    write(sqlite_store, [one])
    request = found(sqlite_store, lambda _row: True)
    page = open_page(sqlite_store, "request", id=request["request_id"])
    assert raw in [code.value for code in page.code]


def test_later_changes_of_the_cost_are_listed(sqlite_store: Store, open_page: OpenPage) -> None:
    one = record(32)
    write(sqlite_store, [one])
    entry = LedgerEntry(
        id=UUID(bytes=one.id),
        record_id=UUID(bytes=one.id),
        kind="reprice",
        rating_version=2,
        delta_nanos=1_500,
        cost_status_before="priced",
        cost_status_after="priced",
        reason=HOSTILE,
        created_at=NOW,
    )
    with sqlite_store.write() as tx:
        append(tx, [entry])
    request = found(sqlite_store, lambda _row: True)
    page = open_page(sqlite_store, "request", id=request["request_id"])
    lines = page.dataframe[0].value
    assert list(lines["Meter"])[-2:] == [f"reprice: {HOSTILE}", "Total"]
    assert list(lines["Cost"])[-1] == formats.usd((one.cost_nanos or 0) + 1_500)


def test_names_are_text(sqlite_store: Store, open_page: OpenPage) -> None:
    one = msgspec.structs.replace(
        record(33),
        key_name=HOSTILE,
        requested_model=HOSTILE,
        upstream_model=HOSTILE,
        error_type=HOSTILE,
        outcome="timeout",
    )
    write(sqlite_store, [one])
    request = found(sqlite_store, lambda _row: True)
    for page in ("request", "overview", "requests"):
        opened = open_page(sqlite_store, page, id=request["request_id"], range="30d")
        marked_up = [*opened.markdown, *opened.caption, *opened.header, *opened.metric, *opened.info]
        assert marked_up
        assert not [element for element in marked_up if "198.51.100.7" in str(element.proto)]
    assert HOSTILE in open_page(sqlite_store, "request", id=request["request_id"]).text[0].value


@pytest.mark.parametrize("identifier", ["", "nonsense", "01a20903-f93c-7a00-a145-cdf9f640430a", "\x00"])
def test_an_unknown_id_is_said_calmly(sqlite_books: Store, open_page: OpenPage, identifier: str) -> None:
    page = open_page(sqlite_books, "request", id=identifier)
    assert page.header[0].value == "No such request"


def test_newer_and_older_are_the_neighbours_in_the_log(sqlite_books: Store, open_page: OpenPage) -> None:
    with sqlite_books.read() as tx:
        rows = [row for row in list_requests(tx, RequestFilter(), limit=1000).data if row["attempt"] == 1]
    for number in (0, 5, len(rows) - 1):
        page = open_page(sqlite_books, "request", id=rows[number]["request_id"])
        with sqlite_books.read() as tx:
            found = neighbours(tx, RequestFilter(), of=rows[number]["request_id"])
        links = {link.proto.label: link.proto for link in page.get("page_link")}
        for label, target in (("Newer", found.newer), ("Older", found.older)):
            assert links[label].disabled == (target is None)
            assert links[label].query_string == f"id={target or rows[number]['request_id']}"


def test_an_estimate_says_between_which_bounds_it_lies(sqlite_store: Store, open_page: OpenPage) -> None:
    one = msgspec.structs.replace(record(34), usage_source="estimated", usage_low=1_200, usage_high=3_400)
    write(sqlite_store, [one])
    page = open_page(sqlite_store, "request", id=found(sqlite_store, lambda _row: True)["request_id"])
    assert "Source of the counts: estimated. Input and output together are between 1,200 and 3,400." in [
        caption.value for caption in page.caption
    ]


def test_one_row_for_many_refusals_says_how_many(sqlite_books: Store, open_page: OpenPage) -> None:
    request = found(sqlite_books, lambda row: row["repeat_count"] > 1)
    page = open_page(sqlite_books, "request", id=request["request_id"])
    count = request["attempts"][0]["repeat_count"]
    assert f"{count} equal refusals in one row" in str([element.proto for element in page.markdown])
