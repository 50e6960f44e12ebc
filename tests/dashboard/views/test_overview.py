"""The overview shows what the reports say, on both stores, and says calmly what it cannot show."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import data, formats
from dashboard.periods import period
from service.pricing.money import format_usd
from service.reporting.figures import Measures
from service.reporting.rows import RequestFilter, list_requests
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from tests.dashboard.conftest import DAYS, NOW, SETTINGS, Clock, OpenPage
from tests.support.records import START, some, write

RANGES = ("Today", "24h", "7d", "30d", "MTD", "1h")


def shown(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def helps(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.help for metric in page.metric}


def charts(page: AppTest) -> dict[str, dict[str, Any]]:
    return {str(one.key): json.loads(one.proto.spec) for one in page.get("echarts_chart")}


def total(store: Store, preset: str, timezone: str) -> Measures:
    chosen = period(preset, now=NOW, timezone=timezone)
    with store.read() as tx:
        return usage_report(tx, UsageQuery(since=chosen.since, until=chosen.until)).total


def test_the_figures_are_the_report(books: Store, open_page: OpenPage) -> None:
    page = open_page(books, range="30d")
    expected = total(books, "30d", "Asia/Kathmandu")
    assert expected.requests > 300
    assert shown(page) == {
        "Spend": formats.short_usd(expected.cost_nanos).replace("$", "\\$"),
        "Requests": f"{expected.requests:,}",
        "Tokens": formats.compact((expected.input_tokens or 0) + (expected.output_tokens or 0)),
        "Error rate": formats.percent(expected.error_rate),
        "p95 latency": formats.duration(expected.p95_duration_ms),
        "Coverage": formats.percent(expected.coverage),
    }
    assert f"Exactly \\${format_usd(expected.cost_nanos or 0)}." in helps(page)["Spend"]
    assert f"{expected.output_tokens:,} out" in helps(page)["Tokens"]
    assert f"{expected.unpriced_requests:,} have none" in helps(page)["Coverage"]


def test_the_figures_are_the_sum_of_the_log(sqlite_books: Store, open_page: OpenPage) -> None:
    with sqlite_books.read() as tx:
        rows = list_requests(
            tx, RequestFilter(since=START, until=START + timedelta(days=DAYS)), limit=1000
        ).data
    page = open_page(sqlite_books, range="30d")
    cost = sum(row["cost_nanos"] or 0 for row in rows)
    requests = sum(row["repeat_count"] for row in rows if row["final"])
    assert f"Exactly \\${format_usd(cost)}." in helps(page)["Spend"]
    assert shown(page)["Requests"] == f"{requests:,}"


@pytest.mark.parametrize("preset", RANGES)
@pytest.mark.parametrize("timezone", ["UTC", "America/Los_Angeles"])
def test_every_range_is_a_link(sqlite_books: Store, open_page: OpenPage, preset: str, timezone: str) -> None:
    page = open_page(sqlite_books, range=preset, tz=timezone)
    assert shown(page)["Requests"] == f"{total(sqlite_books, preset, timezone).requests:,}"


def test_without_parameters_the_reporting_zone_and_a_week(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books)
    assert page.selectbox(key="tz").value == "Asia/Kathmandu"
    assert shown(page)["Requests"] == f"{total(sqlite_books, '7d', 'Asia/Kathmandu').requests:,}"


def test_a_choice_changes_the_figures(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books)
    page.button_group(key="range").set_value("24h")
    page.button_group(key="by").set_value("Key")
    page.selectbox(key="tz").set_value("UTC").run()
    assert page.dataframe[0].value.columns[0] == "Key"
    assert shown(page)["Requests"] == f"{total(sqlite_books, '24h', 'UTC').requests:,}"


@pytest.mark.parametrize("wrong", [{"range": "forever"}, {"tz": "Mars/Olympus"}, {"by": "password"}])
def test_a_wrong_parameter_is_ignored(
    sqlite_books: Store, open_page: OpenPage, wrong: dict[str, str]
) -> None:
    page = open_page(sqlite_books, **wrong)
    assert shown(page)["Requests"] == f"{total(sqlite_books, '7d', 'Asia/Kathmandu').requests:,}"


def test_changes_compare_what_had_as_much_time(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, range="24h", tz="UTC")
    chosen = period("24h", now=NOW, timezone="UTC")
    now, before = (
        usage_of(sqlite_books, since, until)
        for since, until in ((chosen.since, chosen.until), (chosen.before_since, chosen.before_until))
    )
    rate = now.requests / chosen.elapsed.total_seconds()
    rate_before = before.requests / chosen.before_elapsed.total_seconds()
    deltas = {metric.label: metric.delta for metric in page.metric}
    assert deltas["Requests"] == f"{rate / rate_before - 1:+.1%}"
    assert deltas["Error rate"] == formats.points(now.error_rate, before.error_rate)
    assert "Compared with the 24 hours before" in helps(page)["Requests"]


def usage_of(store: Store, since: Any, until: Any) -> Measures:
    with store.read() as tx:
        return usage_report(tx, UsageQuery(since=since, until=until)).total


def test_nothing_is_compared_with_a_time_before_the_books(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, range="30d")
    assert {metric.delta for metric in page.metric} == {"new"}
    assert all("do not go back far enough" in text for text in helps(page).values())


@pytest.mark.parametrize(
    ("by", "dimension"),
    [("Model", "model"), ("Key", "key"), ("Project", "project"), ("Upstream", "upstream")],
)
def test_spend_is_stacked_and_listed_by_the_chosen_dimension(
    books: Store, open_page: OpenPage, by: str, dimension: str
) -> None:
    page = open_page(books, range="30d", by=by)
    with books.read() as tx:
        rows = usage_report(tx, UsageQuery(since=START, until=NOW, group_by=(dimension,))).rows
    table = page.dataframe[0].value
    assert table.columns[0] == by
    assert [round(cost * 10**9) for cost in table["Spend"]] == [row.measures.cost_nanos for row in rows]
    assert list(table["Requests"]) == [row.measures.requests for row in rows]
    drawn = sum(value or 0 for series in charts(page)["spend"]["series"] for value in series["data"])
    assert round(drawn * 10**9) == sum(row.measures.cost_nanos or 0 for row in rows)


def test_the_charts_of_traffic_are_the_report(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, range="30d")
    found = charts(page)
    assert found.keys() == {"spend", "Requests", "Tokens", "Error rate", "Latency"}
    drawn = sum(value or 0 for series in found["Requests"]["series"] for value in series["data"])
    assert f"{drawn:,}" == shown(page)["Requests"]


def test_the_latest_requests_are_the_newest_records(books: Store, open_page: OpenPage) -> None:
    page = open_page(books)
    with books.read() as tx:
        rows = list_requests(tx, RequestFilter(), limit=8).data
    table = page.dataframe[1].value
    assert list(table["Time"]) == [
        formats.instant(row["started_at"], timezone="Asia/Kathmandu") for row in rows
    ]
    assert [found[0] for found in table["Outcome"]] == [row["outcome"] for row in rows]


def test_a_new_record_is_there_at_the_next_look(
    sqlite_books: Store, open_page: OpenPage, clock: Clock
) -> None:
    page = open_page(sqlite_books, range="30d")
    before = int(shown(page)["Requests"].replace(",", ""))
    later = some(seed=5, count=1, days=4)
    write(sqlite_books, later)
    clock.now += timedelta(seconds=2)
    time.sleep(data.LIVE_TTL_S + 0.1)
    page.run()
    added = sum(record.repeat_count for record in later if record.final)
    assert shown(page)["Requests"] == f"{before + added:,}"


def test_a_range_without_requests_says_when_the_latest_came(
    sqlite_books: Store, open_page: OpenPage, clock: Clock
) -> None:
    clock.now = NOW + timedelta(days=400)
    page = open_page(sqlite_books, range="7d", tz="UTC")
    assert shown(page) == {
        "Spend": "—",
        "Requests": "0",
        "Tokens": "—",
        "Error rate": "—",
        "p95 latency": "—",
        "Coverage": "—",
    }
    assert "The latest one came in the hour before 2026-03-10 00:00:00 (UTC)" in page.info[0].value
    assert "Nothing was spent" in page.caption[0].value


def test_an_empty_store_shows_what_to_paste_and_waits(sqlite_store: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_store)
    assert not page.metric
    assert "Waiting for the first request" in page.info[0].value
    base_url = f"http://127.0.0.1:{SETTINGS.relay.port}/v1"
    assert len(page.code) == 5
    assert all(base_url in code.value for code in page.code)
    write(sqlite_store, some(seed=11, count=20, days=1))
    time.sleep(data.LIVE_TTL_S + 0.1)
    page.run()
    assert not page.code
    assert page.metric
