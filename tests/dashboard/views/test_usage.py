"""Usage: tokens by class, percentiles, endings and the week are the report's, whatever the page is narrowed to."""

import pytest

from dashboard import formats
from service.reporting.measures import ERRORS, REFUSALS
from service.reporting.usage import UsageQuery, UsageReport, usage_report
from service.store.engine import Store
from tests.dashboard.conftest import NOW, OpenPage
from tests.dashboard.pages import charts, figures
from tests.support.records import START


def report(store: Store, **more: object) -> UsageReport:
    with store.read() as tx:
        return usage_report(tx, UsageQuery(since=START, until=NOW, **more))  # type: ignore[arg-type]


def drawn(page: object, key: str) -> dict[str, float]:
    series = charts(page)[key]["series"]  # type: ignore[arg-type]
    return {one["name"]: sum(value or 0 for value in one["data"]) for one in series}


def test_the_figures_are_the_report(books: Store, open_page: OpenPage) -> None:
    page = open_page(books, "usage", range="30d")
    total = report(books).total
    assert figures(page)["Input"] == formats.compact(total.input_tokens)
    assert total.input_tokens
    assert total.output_tokens
    assert figures(page)["Cached"] == formats.percent(
        (total.cache_read_input_tokens or 0) / total.input_tokens
    )
    assert figures(page)["Reasoning"] == formats.percent(
        (total.reasoning_output_tokens or 0) / total.output_tokens
    )
    assert figures(page)["Estimated"] == formats.percent(total.estimated_requests / total.attempts)


def test_the_classes_of_tokens_add_up(sqlite_books: Store, open_page: OpenPage) -> None:
    classes = drawn(open_page(sqlite_books, "usage", range="30d"), "Tokens by class")
    total = report(sqlite_books).total
    tokens = (total.input_tokens or 0) + (total.output_tokens or 0)
    assert sum(classes.values()) * 10**6 == pytest.approx(tokens, rel=0.001)
    assert classes["Reasoning"] * 10**6 == pytest.approx(total.reasoning_output_tokens)


def test_what_did_not_end_well_is_every_such_request(sqlite_books: Store, open_page: OpenPage) -> None:
    endings = drawn(open_page(sqlite_books, "usage", range="30d"), "endings")
    rows = report(sqlite_books, group_by=("outcome",)).rows
    expected = {
        row.dimensions["outcome"]: row.measures.requests
        for row in rows
        if row.dimensions["outcome"] in (*ERRORS, *REFUSALS, "client_disconnect") and row.measures.requests
    }
    assert endings == expected


def test_percentiles_are_those_of_the_report_and_say_what_they_are(
    sqlite_books: Store, open_page: OpenPage
) -> None:
    page = open_page(sqlite_books, "usage", range="30d", tz="UTC")
    rows = report(sqlite_books, interval="day").rows
    series = {one["name"]: one["data"] for one in charts(page)["Latency"]["series"]}
    for label, values in series.items():
        known = [value for value in values if value is not None]
        assert known == [getattr(row.measures, f"{label}_duration_ms") / 1000 for row in rows]
    assert any("histogram" in (one.help or "") for one in page.markdown)


@pytest.mark.parametrize(
    ("name", "value"), [("model", "gpt-4o"), ("key", "key_a"), ("project", "team-2"), ("upstream", "azure")]
)
def test_the_page_narrows_to_what_a_link_says(
    sqlite_books: Store, open_page: OpenPage, name: str, value: str
) -> None:
    page = open_page(sqlite_books, "usage", range="30d", **{name: value})
    total = report(sqlite_books, filters={name: (value,)}).total
    assert figures(page)["Output"] == formats.compact(total.output_tokens)
    assert not page.warning


def test_a_value_that_does_not_exist_is_said(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "usage", range="30d", model=["gpt-4o", "gone"])
    assert "“model”" in page.warning[0].value
    total = report(sqlite_books, filters={"model": ("gpt-4o",)}).total
    assert figures(page)["Output"] == formats.compact(total.output_tokens)


@pytest.mark.parametrize("measure", ["Requests", "Tokens", "Spend", "Errors"])
def test_the_week_has_the_peak_that_it_names(sqlite_books: Store, open_page: OpenPage, measure: str) -> None:
    page = open_page(sqlite_books, "usage", range="30d", heat=measure, tz="UTC")
    cells = charts(page)["week"]["series"][0]["data"]
    hour, day, value = max(cells, key=lambda cell: cell[2])
    assert value > 0
    weekday = charts(page)["week"]["yAxis"]["data"][day]
    assert any(f"the peak is {weekday} at {hour:02}:00" in caption.value for caption in page.caption)


def test_the_running_hour_is_left_out_of_rates_and_the_week_and_that_is_said(
    sqlite_books: Store, open_page: OpenPage
) -> None:
    """The clock stands three minutes before the end of an hour, and of a day in UTC."""
    page = open_page(sqlite_books, "usage", range="24h", tz="UTC")
    drawn_rates = charts(page)["Requests a minute"]["series"][0]["data"]
    assert drawn_rates[-1] is None
    assert drawn_rates[-2] is not None
    cells = {(hour, day) for hour, day, _value in charts(page)["week"]["series"][0]["data"]}
    assert (NOW.hour, NOW.weekday()) not in cells
    assert (NOW.hour - 1, NOW.weekday()) in cells
    assert any("without the one that is running" in caption.value for caption in page.caption)
    assert sum("still running" in (one.help or "") for one in page.markdown) == 2


def test_nothing_found_says_what_to_do(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "usage", range="Last month")
    assert "No requests match" in page.info[0].value
