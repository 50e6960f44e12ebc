"""Spend by one dimension or two: what the report says, beside the period before, to the nano-dollar."""

from datetime import date, timedelta

import pytest
import streamlit as st

from dashboard import formats, pivot, spending
from dashboard.names import ALL_DIMENSIONS
from dashboard.periods import Range, period
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from tests.dashboard.conftest import NOW, OpenPage
from tests.dashboard.pages import charts, nanos, table
from tests.support.records import START


@pytest.mark.parametrize("label", list(ALL_DIMENSIONS))
def test_one_row_a_value_is_the_report(sqlite_books: Store, open_page: OpenPage, label: str) -> None:
    page = open_page(sqlite_books, "spend", range="30d", by=label)
    with sqlite_books.read() as tx:
        report = usage_report(tx, UsageQuery(since=START, until=NOW, group_by=(ALL_DIMENSIONS[label],)))
    shown = table(page, label, "Spend", "Effective")
    assert nanos(shown["Spend"]) == [
        None if formats.is_unpriced(row.measures) else row.measures.cost_nanos for row in report.rows
    ]
    assert list(shown["Requests"]) == [row.measures.requests for row in report.rows]
    drawn = sum(value or 0 for series in charts(page)["spend"]["series"] for value in series["data"])
    costs = sum(row.measures.cost_nanos or 0 for row in report.rows)
    assert round(drawn * 10**9) == costs
    if label == "Tag":  # a request with two tags stands in two rows
        assert costs > (report.total.cost_nanos or 0)
    else:
        assert costs == report.total.cost_nanos
        assert sum(shown["Share"]) == pytest.approx(1)


def test_both_stores_say_the_same(books: Store, open_page: OpenPage) -> None:
    page = open_page(books, "spend", range="30d", by="Key", across="Model")
    with books.read() as tx:
        report = usage_report(tx, UsageQuery(since=START, until=NOW, group_by=("key", "model")))
    shown = table(page, "Key", "Total")
    assert sum(value or 0 for value in nanos(shown["Total"])) == report.total.cost_nanos


def test_a_row_stands_beside_the_period_before(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "spend", range="24h", tz="UTC", by="Project")
    chosen = period("24h", now=NOW, timezone="UTC")
    with sqlite_books.read() as tx:
        query = UsageQuery(since=chosen.before_since, until=chosen.before_until, group_by=("project",))
        before = {row.dimensions["project"]: row.measures.cost_nanos for row in usage_report(tx, query).rows}
    shown = table(page, "Before", "Change")
    for _, row in shown.iterrows():
        project = None if row["Project"] == "(no project)" else row["Project"]
        (old,) = nanos([row["Before"]])
        assert old == before[project]
        assert row["Change"] == pytest.approx(row["Spend"] / row["Before"] - 1)


def test_other_days_can_be_compared_with(sqlite_books: Store, open_page: OpenPage) -> None:
    first = (START + timedelta(days=1)).date().isoformat()
    page = open_page(
        sqlite_books, "spend", range="Today", tz="UTC", by="Model", against="Other days", other=[first, first]
    )
    day = date.fromisoformat(first)
    span = Range("Days", "UTC", (day, day)).period(NOW)
    with sqlite_books.read() as tx:
        query = UsageQuery(since=span.since, until=span.until, group_by=("model",))
        other = {row.dimensions["model"]: row.measures.cost_nanos for row in usage_report(tx, query).rows}
    shown = table(page, "Before")
    for model, before in zip(shown["Model"], nanos(shown["Before"]), strict=True):
        assert before == other.get(None if model == "(no model)" else model)
    assert any("as it is" in caption.value for caption in page.caption)


@pytest.mark.parametrize("measure", ["Spend", "Requests", "Tokens"])
@pytest.mark.parametrize(("by", "across"), [("Model", "Key"), ("Project", "Outcome"), ("Tag", "End user")])
def test_two_dimensions_add_up_in_both_directions(
    sqlite_books: Store, open_page: OpenPage, measure: pivot.Measure, by: str, across: str
) -> None:
    page = open_page(sqlite_books, "spend", range="30d", by=by, across=across, measure=measure)
    dimensions = (ALL_DIMENSIONS[by], ALL_DIMENSIONS[across])
    with sqlite_books.read() as tx:
        report = usage_report(tx, UsageQuery(since=START, until=NOW, group_by=dimensions))
    counted = [pivot.number(row.measures, measure) for row in report.rows]
    shown = table(page, by, "Total")
    cells = shown.drop(columns=[by, "Total"]).fillna(0)
    assert cells.sum(axis=1).tolist() == pytest.approx(shown["Total"].fillna(0).tolist())
    expected = sum(value or 0 for value in counted)
    assert shown["Total"].sum() == pytest.approx(expected / 10**9 if measure == "Spend" else expected)


@pytest.mark.parametrize("name", ["by", "across", "measure", "against", "range", "tz"])
def test_a_link_with_a_wrong_value_falls_back_and_says_so(
    sqlite_books: Store, open_page: OpenPage, name: str
) -> None:
    query = {"across": "Key", "measure": "Spend"} if name == "measure" else {}
    page = open_page(sqlite_books, "spend", **{**query, name: "no such thing"})
    assert [warning.value for warning in page.warning] == [
        f"This link asks for a value of “{name}” that does not exist here; it is left out."
    ]


def test_many_requests_are_read_only_if_somebody_wants_that(
    sqlite_books: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spending, "MOST_READ", 10)
    page = open_page(sqlite_books, "spend", range="30d", by="Session")
    with sqlite_books.read() as tx:
        report = usage_report(tx, UsageQuery(since=START, until=NOW, group_by=("session",)))
    assert not page.dataframe
    assert any(f"**{report.total.attempts:,}** would be read" in one.value for one in page.markdown)
    page = open_page(sqlite_books, "spend", range="30d", by="Session", read="true")
    assert list(table(page, "Session", "Spend")["Requests"]) == [row.measures.requests for row in report.rows]


def test_the_blended_cost_is_left_out_where_only_the_requests_know_it(
    sqlite_books: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = table(open_page(sqlite_books, "spend", range="30d", tz="UTC", by="End user"), "End user", "Spend")
    assert "Blended" in shown
    monkeypatch.setattr(spending, "MOST_READ", 10)
    st.cache_resource.clear()
    page = open_page(sqlite_books, "spend", range="30d", tz="UTC", by="End user")
    without = table(page, "End user", "Spend")
    assert "Blended" not in without
    assert list(without["Effective"]) == list(shown["Effective"])
    assert any("The blended cost is left out" in one.value for one in page.caption)


def test_no_chart_is_made_of_many_requests(
    sqlite_books: Store, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spending, "MOST_READ", 10)
    page = open_page(sqlite_books, "spend", range="7d", tz="Asia/Kolkata", by="End user")
    assert "spend" not in charts(page)
    assert any("No chart by end user in this time zone" in one.value for one in page.caption)
    assert len(table(page, "End user", "Spend"))
