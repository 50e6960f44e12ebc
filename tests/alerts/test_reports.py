"""Reports: of the last whole day or week of the reporting time zone, once, and not of the time before the rule."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from service.alerts.reports import before, last_whole
from service.reporting.intervals import Span
from service.store.engine import Store
from tests.support.alert_town import Town
from tests.support.clock import HandClock

DAY = timedelta(days=1)
MONDAY = datetime(2026, 3, 9, tzinfo=UTC)


def test_the_last_whole_week_begins_on_a_monday() -> None:
    zone = ZoneInfo("UTC")
    for moment in (MONDAY, MONDAY + 3 * DAY, MONDAY + 7 * DAY - timedelta(seconds=1)):
        assert last_whole("7d", zone=zone, now=moment) == Span(MONDAY - 7 * DAY, MONDAY)
    assert last_whole("1d", zone=zone, now=MONDAY) == Span(MONDAY - DAY, MONDAY)
    week = last_whole("7d", zone=zone, now=MONDAY)
    assert before(week, window="7d", zone=zone) == Span(MONDAY - 14 * DAY, MONDAY - 7 * DAY)


def test_weeks_of_daylight_saving_are_whole_weeks() -> None:
    zone = ZoneInfo("Europe/Berlin")
    week = last_whole("7d", zone=zone, now=datetime(2026, 3, 31, 12, tzinfo=UTC))
    assert week.until - week.since == 7 * DAY - timedelta(hours=1)
    earlier = before(week, window="7d", zone=zone)
    assert (earlier.until, earlier.until - earlier.since) == (week.since, 7 * DAY)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
def test_a_week_is_reported_once(store: Store, zone: str) -> None:
    town = Town(store, clock=HandClock(MONDAY + DAY), zone=zone)
    town.rule("report", name="Weekly")
    town.channel(kind="log")
    town.channel("page", routing_key="0123456789abcdef0123456789abcdef")
    watcher = town.watcher()
    watcher.watch()
    assert town.alerts() == []  # that week was over before the rule was made
    town.spend(2.0, project="alpha", at=MONDAY - DAY)
    town.spend(3.0, project="alpha", at=MONDAY + DAY)
    town.spend(1.0, project="beta", at=MONDAY + DAY)
    for _ in range(14):
        town.pass_time(DAY / 2)
        watcher.watch()
        town.watcher().watch()
    (raised,) = town.alerts()
    assert (raised.severity, raised.state, raised.value) == ("info", "resolved", 4.0)
    assert raised.summary == "2 requests for 4.00 USD in 7d, +100.0 % against the 7d before"
    assert [row["project"] for row in raised.details["top"]] == ["alpha", "beta"]
    assert raised.starts_at == last_whole("7d", zone=ZoneInfo(zone), now=MONDAY + 8 * DAY).since
    (payload,) = town.payloads()  # nobody is paged for a report
    assert payload["type"] == "report"


def test_a_daily_report_by_dimension(town: Town) -> None:
    town.rule("report", window="1d", group_by=["key", "model"], filter={"project": "alpha"})
    town.spend(2.0, project="alpha")
    town.spend(9.0, project="beta")
    town.pass_time(DAY)
    town.watcher().watch()
    (raised,) = town.alerts()
    assert raised.value == 2.0
    assert raised.details["top"][0]["model"] == "gpt-4o"
    assert raised.details["change"] is None


def test_nothing_to_report_is_reported(town: Town) -> None:
    town.rule("report", window="1d")
    town.pass_time(DAY)
    town.watcher().watch()
    assert town.alerts()[0].summary == "0 requests for 0.00 USD in 1d"
