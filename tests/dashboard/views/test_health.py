"""Health: the doctor's findings, the worst first, and how far the books are behind."""

import pytest

from dashboard import checkup
from dashboard.context import current
from service.store.engine import Store
from tests.dashboard.conftest import OpenPage
from tests.dashboard.pages import figures


@pytest.fixture
def page_text(sqlite_books: Store, open_page: OpenPage, tmp_path: object) -> list[str]:
    page = open_page(sqlite_books, "health")
    assert tmp_path
    return [text.value for text in page.text]


def test_the_findings_are_the_doctors(page_text: list[str]) -> None:
    names = {finding.check for finding in checkup.checks()}
    assert names == {
        "versions",
        "configuration",
        "upstreams",
        "store",
        "secret key",
        "journal",
        "prices",
        "clock",
    }
    assert names <= set(page_text)


def test_a_problem_stands_first_and_is_counted(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "health")
    statuses = [finding.status for finding in checkup.checks()]
    problems, warnings = statuses.count("problem"), statuses.count("warning")
    said = [*page.error, *page.warning, *page.success][0].value
    if problems:
        assert said.startswith(f"{problems} check")
        assert said.endswith(f"a problem, of {len(statuses)}.")
    else:
        assert said.startswith(str(warnings)) if warnings else said.startswith("All")


def test_the_newest_record_is_as_old_as_it_is(books: Store, open_page: OpenPage) -> None:
    shown = figures(open_page(books, "health"))
    assert shown["Store"] == ("SQLite" if current().store.is_sqlite else "PostgreSQL")
    assert shown["Newest record"].endswith("ago")
    assert checkup.lag().newest_record is not None


def test_an_empty_store_has_no_newest_record(sqlite_store: Store, open_page: OpenPage) -> None:
    assert figures(open_page(sqlite_store, "health"))["Newest record"] == "—"
