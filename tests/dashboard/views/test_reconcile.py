"""Reconciling on a page: the same figures as the command line's, nothing changed, and calm words for a bad file."""

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.context import current
from service.audit.trail import AuditFilter
from service.reporting.books import read_books
from service.reporting.intervals import Span, time_zone
from service.reporting.provider_report import parse_report
from service.reporting.reconcile import reconcile
from service.store.engine import Store
from tests.dashboard.conftest import DAYS, OpenPage
from tests.dashboard.pages import figures, press, refusals, table
from tests.support.records import START, some, write

CSV = """date,model,meter,quantity,cost
2026-03-07,gpt-4o,output_tokens,1000,
2026-03-07,gpt-4o,requests,3,
2026-03-08,gpt-4o-mini,total,,1.25
"""


@pytest.fixture
def ours(store: Store) -> Store:
    records = some(seed=11, count=200, days=DAYS)
    for record in records:
        record.provider = "openai" if record.upstream else None
    write(store, records)
    return store


def compare(open_page: OpenPage, store: Store, content: str | bytes) -> AppTest:
    page = open_page(store, "reconcile")
    raw = content if isinstance(content, bytes) else content.encode()
    page.file_uploader[0].set_value(("report.csv", raw, "text/csv"))
    return press(page, "Compare")


def test_the_figures_are_the_comparisons(ours: Store, open_page: OpenPage) -> None:
    page = compare(open_page, ours, CSV)
    report = parse_report(CSV, zone=time_zone("UTC"))
    wide = Span(START, START.replace(day=11))
    found = reconcile(report.entries, read_books(ours, wide, provider="openai"))
    differing = [figure for figure in found if not figure.agrees]
    assert figures(page)["Figures that agree"] == f"{len(found) - len(differing)} of {len(found)}"
    shown = table(page, "Meter", "Why")
    assert list(shown["Meter"]) == [figure.meter for figure in differing]
    assert list(shown["Ours"].fillna(-1)) == [
        -1 if figure.our_quantity is None else figure.our_quantity for figure in differing
    ]
    assert figures(page)["Theirs"] == "\\$1.25"
    with ours.read() as tx:
        assert current().registries.trail.list(tx, AuditFilter(), limit=5) == []


def test_what_agrees_can_be_shown_too(ours: Store, open_page: OpenPage) -> None:
    page = compare(open_page, ours, CSV)
    before = len(table(page, "Meter", "Why"))
    page.toggle(key="reconcile-all").set_value(True).run()
    assert len(table(page, "Meter", "Why")) >= before


@pytest.mark.parametrize(
    ("content", "reason"),
    [("", "report"), ("{", "not valid JSON"), (b"\xff\xfe", "not UTF-8"), ("a,b\n1,2\n", "")],
)
def test_a_file_that_cannot_be_read_is_refused(
    sqlite_books: Store, open_page: OpenPage, content: str | bytes, reason: str
) -> None:
    page = compare(open_page, sqlite_books, content)
    assert refusals(page)
    assert reason in refusals(page)


def test_without_a_file_it_asks_for_one(sqlite_books: Store, open_page: OpenPage) -> None:
    assert "Choose a file first." in press(open_page(sqlite_books, "reconcile"), "Compare").info[0].value
