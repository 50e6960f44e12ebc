"""The log: the filters mean what the records say, pages miss nothing, and every state is a link."""

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import formats
from dashboard.views import requests as view
from service.reporting.rows import RequestFilter, list_requests
from service.store.engine import Store
from tests.dashboard.conftest import OpenPage

ZONE = "Asia/Kathmandu"


def everything(store: Store, **wanted: Any) -> list[dict[str, Any]]:
    with store.read() as tx:
        return list(list_requests(tx, RequestFilter(**wanted), limit=1000).data)


def times(rows: list[dict[str, Any]]) -> list[str]:
    return [formats.instant(row["started_at"], timezone=ZONE) for row in rows]


def press(page: AppTest, label: str) -> AppTest:
    found = next(button for button in page.button if button.label == label)
    assert not found.disabled
    return found.click().run()


def test_pages_hold_every_record_once_newest_first(books: Store, open_page: OpenPage) -> None:
    rows = everything(books)
    page = open_page(books, "requests", range="30d")
    seen = list(page.dataframe[0].value["Time"])
    first_page = list(seen)
    while not next(button for button in page.button if button.label == "Older").disabled:
        page = press(page, "Older")
        seen += list(page.dataframe[0].value["Time"])
    assert seen == times(rows)
    page = press(page, "Newest")
    assert list(page.dataframe[0].value["Time"]) == first_page
    assert "before" not in page.query_params


def test_newer_goes_back_one_page(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "requests", range="30d")
    second = list(press(page, "Older").dataframe[0].value["Time"])
    press(page, "Older")
    assert list(press(page, "Newer").dataframe[0].value["Time"]) == second
    first = press(page, "Newer")
    assert list(first.dataframe[0].value["Time"]) == times(everything(sqlite_books))[: view.PAGE_ROWS]


def test_a_page_is_a_link_and_leads_back_to_the_newest(sqlite_books: Store, open_page: OpenPage) -> None:
    here = press(open_page(sqlite_books, "requests", range="30d"), "Older")
    linked = open_page(sqlite_books, "requests", **here.query_params)
    assert list(linked.dataframe[0].value["Time"]) == list(here.dataframe[0].value["Time"])
    back = press(linked, "Newer")
    assert list(back.dataframe[0].value["Time"]) == times(everything(sqlite_books))[: view.PAGE_ROWS]


def test_a_foreign_cursor_shows_the_newest_page(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "requests", range="30d", before="nonsense")
    assert list(page.dataframe[0].value["Time"]) == times(everything(sqlite_books))[: view.PAGE_ROWS]
    assert "before" not in page.query_params


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("key", ("key_a",)),
        ("model", ("gpt-4o", "model_with%signs")),
        ("upstream", ("azure",)),
        ("outcome", ("timeout", "rejected_auth")),
    ],
)
def test_a_filter_is_a_link_and_means_what_the_records_say(
    sqlite_books: Store, open_page: OpenPage, name: str, chosen: tuple[str, ...]
) -> None:
    rows = everything(sqlite_books, filters={name: chosen})
    assert 0 < len(rows) < len(everything(sqlite_books))
    page = open_page(sqlite_books, "requests", range="30d", **{name: list(chosen)})
    assert list(page.dataframe[0].value["Time"]) == times(rows)[: view.PAGE_ROWS]


def test_filters_can_be_chosen_and_begin_at_the_newest(sqlite_books: Store, open_page: OpenPage) -> None:
    page = press(open_page(sqlite_books, "requests", range="30d"), "Older")
    page.multiselect(key="model").set_value(["gpt-4o"])
    page.multiselect(key="outcome").set_value(["ok"]).run()
    rows = everything(sqlite_books, filters={"model": ("gpt-4o",), "outcome": ("ok",)})
    assert list(page.dataframe[0].value["Time"]) == times(rows)[: view.PAGE_ROWS]
    assert "before" not in page.query_params


def test_the_time_range_limits_the_log(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "requests", range="24h", tz=ZONE)
    shown = list(page.dataframe[0].value["Time"])
    assert shown == [time for time in times(everything(sqlite_books)) if time >= "2026-03-09 06:00:00"][:50]


def test_an_id_of_ours_or_theirs_finds_its_request_whatever_the_range(
    sqlite_books: Store, open_page: OpenPage
) -> None:
    row = everything(sqlite_books)[-1]
    named = next(row for row in everything(sqlite_books) if row["response_id"])
    for identifier, expected in ((row["request_id"], row), (named["response_id"], named)):
        page = open_page(sqlite_books, "requests", range="1h", q=f" {identifier} ")
        assert times([expected])[0] in list(page.dataframe[0].value["Time"])


def test_nothing_found_says_what_to_do(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "requests", q="no such id")
    assert "No request matches" in page.info[0].value
    assert not page.dataframe


def test_an_empty_store_waits_here_too(sqlite_store: Store, open_page: OpenPage) -> None:
    assert "Waiting for the first request" in open_page(sqlite_store, "requests").info[0].value
