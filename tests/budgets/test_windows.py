"""Windows: periods that follow each other without gap or overlap, whatever the clock of the zone does."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.budgets.windows import BEGINNING, Period, WindowRule, period_of, time_zone
from service.errors import InvalidInputError
from service.reporting.intervals import Span, buckets

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/Los_Angeles",
    "America/Sao_Paulo",  # until 2019 the clock was set at midnight: that midnight did not exist
    "America/Havana",  # midnight comes twice
    "America/St_Johns",  # until 2011 the clock was set at one minute past midnight
    "Australia/Lord_Howe",  # the clock is set by half an hour
    "Asia/Kathmandu",  # a quarter to the hour
    "Pacific/Apia",  # 30 December 2011 did not exist
    "Africa/Casablanca",
)
YEAR_1990 = datetime(1990, 1, 1, tzinfo=UTC)
rules = st.one_of(
    st.builds(WindowRule, st.sampled_from(["hour", "day"]), st.sampled_from(ZONES)),
    st.builds(WindowRule, st.just("week"), st.sampled_from(ZONES), st.integers(1, 7)),
    st.builds(WindowRule, st.just("month"), st.sampled_from(ZONES), st.integers(1, 31)),
)
instants = st.integers(0, 50 * 366 * 86_400_000_000).map(
    lambda micros: YEAR_1990 + timedelta(microseconds=micros)
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@given(rules, instants)
@example(WindowRule("day", "America/St_Johns"), datetime(2010, 11, 7, 2, 45, tzinfo=UTC))
@example(WindowRule("hour", "Australia/Lord_Howe"), datetime(2026, 4, 4, 15, 10, tzinfo=UTC))
@example(WindowRule("hour", "America/St_Johns"), datetime(2010, 11, 7, 2, 30, 30, tzinfo=UTC))
@example(WindowRule("day", "Pacific/Apia"), datetime(2011, 12, 30, 10, 0, tzinfo=UTC))
@example(WindowRule("month", "Europe/Berlin", 31), datetime(2024, 2, 29, 12, tzinfo=UTC))
def test_periods_are_a_partition_of_time(rule: WindowRule, instant: datetime) -> None:
    period = period_of(rule, instant)
    assert period.ends_at is not None
    assert period.holds(instant)
    assert period_of(rule, period.starts_at) == period
    assert period_of(rule, period.ends_at - timedelta(microseconds=1)) == period
    assert period_of(rule, period.ends_at).starts_at == period.ends_at
    before = period_of(rule, period.starts_at - timedelta(microseconds=1))
    assert before.ends_at == period.starts_at


@pytest.mark.parametrize("window", ["hour", "day", "week"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu"])
def test_periods_are_the_buckets_of_reports(window: Literal["hour", "day", "week"], zone: str) -> None:
    since = datetime(2026, 10, 20, tzinfo=ZoneInfo(zone))
    until = datetime(2026, 11, 5, tzinfo=ZoneInfo(zone))
    span = Span(since.astimezone(UTC), until.astimezone(UTC))
    inner = buckets(span, interval=window, zone=ZoneInfo(zone))[1:-1]
    periods = [period_of(WindowRule(window, zone), span.since) for span in inner]
    assert periods == [Period(span.since, span.until) for span in inner]


@pytest.mark.parametrize(
    ("rule", "instant", "starts", "ends"),
    [
        (WindowRule("day", "Europe/Berlin"), "2026-03-29T12:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        (WindowRule("day", "Europe/Berlin"), "2026-10-25T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
        (WindowRule("hour", "Europe/Berlin"), "2026-10-25T00:30Z", "2026-10-25T00:00Z", "2026-10-25T01:00Z"),
        (WindowRule("hour", "Europe/Berlin"), "2026-10-25T01:30Z", "2026-10-25T01:00Z", "2026-10-25T02:00Z"),
        (WindowRule("hour", "Asia/Kathmandu"), "2026-03-01T00:20Z", "2026-03-01T00:15Z", "2026-03-01T01:15Z"),
        (WindowRule("month", "UTC", 31), "2026-02-28T00:00Z", "2026-02-28T00:00Z", "2026-03-31T00:00Z"),
        (WindowRule("month", "UTC", 31), "2026-02-27T23:59Z", "2026-01-31T00:00Z", "2026-02-28T00:00Z"),
        (WindowRule("month", "UTC", 15), "2026-01-03T00:00Z", "2025-12-15T00:00Z", "2026-01-15T00:00Z"),
        (WindowRule("month", "UTC"), "2028-02-29T23:59Z", "2028-02-01T00:00Z", "2028-03-01T00:00Z"),
        (WindowRule("week", "UTC"), "2026-11-23T00:00Z", "2026-11-23T00:00Z", "2026-11-30T00:00Z"),
        (WindowRule("week", "UTC", 7), "2026-11-23T00:00Z", "2026-11-22T00:00Z", "2026-11-29T00:00Z"),
        (
            WindowRule("day", "America/Sao_Paulo"),
            "2018-11-04T12:00Z",
            "2018-11-04T03:00Z",
            "2018-11-05T02:00Z",
        ),
        (WindowRule("day", "America/Havana"), "2026-11-01T12:00Z", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
        (WindowRule("day", "Pacific/Apia"), "2011-12-30T00:00Z", "2011-12-29T10:00Z", "2011-12-30T10:00Z"),
        (
            WindowRule("hour", "Australia/Lord_Howe"),
            "2026-04-04T15:10Z",
            "2026-04-04T15:00Z",
            "2026-04-04T15:30Z",
        ),
    ],
)
def test_periods_of_known_days(rule: WindowRule, instant: str, starts: str, ends: str) -> None:
    assert period_of(rule, at(instant)) == Period(at(starts), at(ends))


def test_months_of_a_year_cover_it() -> None:
    rule = WindowRule("month", "Europe/Berlin", 30)
    starts = []
    instant = datetime(2026, 1, 1, tzinfo=UTC)
    while instant < datetime(2027, 3, 1, tzinfo=UTC):
        period = period_of(rule, instant)
        assert period.ends_at is not None
        starts.append(period.starts_at.astimezone(ZoneInfo("Europe/Berlin")).date().isoformat())
        instant = period.ends_at
    assert starts[:5] == ["2025-12-30", "2026-01-30", "2026-02-28", "2026-03-30", "2026-04-30"]
    assert all(first < second for first, second in pairwise(starts))


def test_total_never_ends() -> None:
    period = period_of(WindowRule("total"), datetime(2026, 1, 1, tzinfo=UTC))
    assert period == Period(BEGINNING, None)
    assert period.holds(datetime(8999, 1, 1, tzinfo=UTC))
    assert not period.holds(BEGINNING - timedelta(seconds=1))


def test_a_zone_that_does_not_exist_is_named() -> None:
    for name in ("Mars/Base", "", "../etc/passwd", "a" * 300, "Europe"):
        with pytest.raises(InvalidInputError) as caught:
            time_zone(name)
        assert caught.value.field == "timezone"


def test_years_beyond_reason_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="outside the years"):
        period_of(WindowRule("day"), datetime(9000, 1, 1, tzinfo=UTC))
