"""The overview shows what the reports say, on both stores, and says calmly what it cannot show."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import formats
from dashboard.cache import LIVE_TTL_S
from dashboard.context import current
from dashboard.periods import Range, period
from service.audit.actor import Actor
from service.budgets.values import GivenScope, NewBudget
from service.pricing.money import format_usd
from service.pricing.override import override_card
from service.reporting.figures import Measures
from service.reporting.rows import RequestFilter, list_requests
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from tests.dashboard.conftest import DAYS, NOW, SETTINGS, Clock, OpenPage
from tests.support.records import START, some, write

MONTH = ("Expected at its end", "So far")
RANGES = ("Today", "24h", "7d", "30d", "MTD", "1h", "Last month", "Days")


def shown(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def helps(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.help for metric in page.metric}


def charts(page: AppTest) -> dict[str, dict[str, Any]]:
    return {str(one.key): json.loads(one.proto.spec) for one in page.get("echarts_chart")}


def month(page: AppTest) -> dict[str, str]:
    """What the card of the running month shows."""
    return {label: value for label, value in shown(page).items() if label in MONTH}


def total(store: Store, preset: str, timezone: str) -> Measures:
    chosen = Range(preset, timezone).period(NOW)
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
        "Cache savings": "—",
        "Error rate": formats.percent(expected.error_rate),
        "p95 latency": formats.duration(expected.p95_duration_ms),
        "p95 first token": formats.duration(expected.p95_ttft_ms),
        "Coverage": formats.percent(expected.coverage),
    } | month(page)
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
    assert "**Spend by key**" in [one.value for one in page.markdown]
    assert shown(page)["Requests"] == f"{total(sqlite_books, '24h', 'UTC').requests:,}"


@pytest.mark.parametrize("wrong", [{"range": "forever"}, {"tz": "Mars/Olympus"}, {"by": "password"}])
def test_a_wrong_parameter_falls_back_and_is_said(
    sqlite_books: Store, open_page: OpenPage, wrong: dict[str, str]
) -> None:
    page = open_page(sqlite_books, **wrong)
    (name,) = wrong
    assert [warning.value for warning in page.warning] == [
        f"This link asks for a value of “{name}” that does not exist here; it is left out."
    ]
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
    deltas = {metric.label: metric.delta for metric in page.metric if metric.label not in MONTH}
    assert set(deltas.values()) == {"new", ""}
    assert [label for label, delta in deltas.items() if not delta] == ["Cache savings"]
    assert all("do not go back far enough" in helps(page)[label] for label in deltas)
    assert "do not go back far enough" in page.caption[-1].value


@pytest.mark.parametrize(
    ("by", "dimension"),
    [("Model", "model"), ("Key", "key"), ("Project", "project"), ("Upstream", "upstream")],
)
def test_spend_is_stacked_by_the_chosen_dimension(
    books: Store, open_page: OpenPage, by: str, dimension: str
) -> None:
    page = open_page(books, range="30d", by=by)
    with books.read() as tx:
        rows = usage_report(tx, UsageQuery(since=START, until=NOW, group_by=(dimension,))).rows
    assert f"**Spend by {by.lower()}**" in [one.value for one in page.markdown]
    assert len(charts(page)["spend"]["series"]) == min(8, sum(bool(row.measures.cost_nanos) for row in rows))
    drawn = sum(value or 0 for series in charts(page)["spend"]["series"] for value in series["data"])
    assert round(drawn * 10**9) == sum(row.measures.cost_nanos or 0 for row in rows)


def test_the_month_card_is_the_month_of_the_books(books: Store, open_page: OpenPage) -> None:
    page = open_page(books, tz="UTC")
    with books.read() as tx:
        spent = usage_report(
            tx, UsageQuery(since=START.replace(day=1), until=NOW, percentiles=False)
        ).total.cost_nanos
    assert shown(page)["So far"] == formats.escaped(formats.short_usd(spent))
    drawn = charts(page)["month"]["series"]
    assert [one["name"] for one in drawn] == ["Spent", "Expected"]
    assert round(drawn[0]["data"][NOW.day - 1] * 10**9) == spent
    expected = formats.short_usd(round(drawn[1]["data"][-1] * 10**9))
    assert shown(page)["Expected at its end"] == formats.escaped(expected)


def test_the_month_is_held_against_the_budget(sqlite_books: Store, open_page: OpenPage) -> None:
    open_page(sqlite_books)
    new = NewBudget(scope=GivenScope(kind="global"), limit_usd="1000.00", window="month")
    with sqlite_books.write() as tx:
        current().registries.budgets.create(tx, new, by=Actor.system("test"))
    st.cache_resource.clear()
    page = open_page(sqlite_books, tz="UTC")
    series = {one["name"]: one["data"] for one in charts(page)["month"]["series"]}
    assert set(series["Budget"]) == {1000.0}
    share = series["Expected"][-1] / 1000
    assert any(f"{share:.0%} of the budget of \\$1,000.00." in one.value for one in page.caption)


def test_what_moved_adds_up_to_the_change(books: Store, open_page: OpenPage) -> None:
    page = open_page(books, range="24h", by="Project", tz="UTC")
    chosen = period("24h", now=NOW, timezone="UTC")
    table = next(one.value for one in page.dataframe if "Why" in one.value.columns)
    now = usage_by_project(books, chosen.since, chosen.until)
    before = usage_by_project(books, chosen.before_since, chosen.before_until)
    named = {name or "(no project)": name for name in {*now, *before}}
    for _, row in table.iterrows():
        project = named[row["Project"]]
        delta = now.get(project, 0) - before.get(project, 0)
        assert round(row["Now"] * 10**9) == now.get(project, 0)
        assert round(row["Change"] * 10**9) == delta
        assert round(sum(row[part] for part in ("Volume", "Mix", "Price")) * 10**9) == delta
    assert len(table) == sum(now.get(name, 0) != before.get(name, 0) for name in {*now, *before}) > 1


def usage_by_project(store: Store, since: Any, until: Any) -> dict[str | None, int]:
    with store.read() as tx:
        rows = usage_report(tx, UsageQuery(since=since, until=until, group_by=("project",))).rows
    return {row.dimensions["project"]: row.measures.cost_nanos or 0 for row in rows}


def test_what_caches_saved_is_the_difference_of_two_prices(sqlite_books: Store, open_page: OpenPage) -> None:
    open_page(sqlite_books)
    rates = {"input_usd_per_mtok": "2", "cache_read_input_usd_per_mtok": "0.5", "output_usd_per_mtok": "8"}
    with sqlite_books.write() as tx:
        current().registries.prices.set(tx, [override_card({"model": "*", **rates})], by=Actor.system("test"))
    st.cache_resource.clear()
    page = open_page(sqlite_books, range="30d")
    read = total(sqlite_books, "30d", "Asia/Kathmandu").cache_read_input_tokens
    assert read
    assert shown(page)["Cache savings"] == formats.escaped(formats.short_usd(read * 1_500))
    assert f"{read:,} input tokens" in helps(page)["Cache savings"]


def test_wholly_unpriced_usage_says_so_and_is_no_zero(sqlite_store: Store, open_page: OpenPage) -> None:
    records = some(seed=11, count=60, days=DAYS)
    for record in records:
        record.cost_lines = None
        record.cost_nanos, record.cost_status = (None, "unpriced") if record.upstream else (0, "free")
    write(sqlite_store, records)
    page = open_page(sqlite_store, range="30d")
    assert shown(page)["Spend"] == "unpriced"
    assert "No price is known for any of it." in helps(page)["Spend"]
    table = open_page(sqlite_store, "spend", range="30d").dataframe(key="breakdown").value
    priced = dict(zip(table["Model"], table["Priced"], strict=True))
    spend = dict(zip(table["Model"], table["Spend"].isna(), strict=True))
    assert priced.pop("(no model)") == "—"
    assert not spend.pop("(no model)")
    assert set(priced.values()) == {"unpriced"}
    assert all(spend.values())


def test_the_latest_requests_are_the_newest_records(books: Store, open_page: OpenPage) -> None:
    page = open_page(books)
    with books.read() as tx:
        rows = list_requests(tx, RequestFilter(), limit=8).data
    table = page.dataframe(key="latest").value
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
    time.sleep(LIVE_TTL_S + 0.1)
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
        "Cache savings": "—",
        "Error rate": "—",
        "p95 latency": "—",
        "p95 first token": "—",
        "Coverage": "—",
    } | month(page)
    assert "The latest one began at 2026-03-09 2" in page.info[0].value
    assert "Nothing was spent in this time range." in [caption.value for caption in page.caption]


def test_an_empty_store_shows_what_to_paste_and_waits(sqlite_store: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_store)
    assert not page.metric
    assert "Waiting for the first request" in page.info[0].value
    base_url = f"http://127.0.0.1:{SETTINGS.relay.port}/v1"
    assert len(page.code) == 5
    assert all(base_url in code.value for code in page.code)
    write(sqlite_store, some(seed=11, count=20, days=1))
    time.sleep(LIVE_TTL_S + 0.1)
    page.run()
    assert not page.code
    assert page.metric
