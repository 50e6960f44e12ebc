"""Buckets of time in zones that are an hour, half an hour or a quarter off, over days of 23 and 25 hours."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidInputError
from service.reporting.intervals import (
    MAX_BUCKETS,
    QUARTER,
    Interval,
    Span,
    buckets,
    start_of_day,
    time_zone,
    widened,
)

ZONES = (
    "UTC",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "America/Los_Angeles",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Havana",
    "Pacific/Apia",
)
EPOCH = datetime(2005, 1, 1, tzinfo=UTC)
INSTANTS = st.integers(0, 30 * 365 * 86_400).map(lambda seconds: EPOCH + timedelta(seconds=seconds))


def hours_of(span: Span) -> float:
    return (span.until - span.since) / timedelta(hours=1)


@given(INSTANTS, st.integers(1, 60 * 24 * 3600), st.sampled_from(ZONES), st.data())
def test_buckets_cover_the_range_without_gap_or_overlap(
    since: datetime, seconds: int, zone: str, data: st.DataObject
) -> None:
    interval: Interval = data.draw(st.sampled_from(("hour", "day", "week", "month")))
    span = widened(since, since + timedelta(seconds=seconds))
    assert span.since <= since < span.since + QUARTER
    found = buckets(span, interval=interval, zone=time_zone(zone))
    assert found[0].since == span.since
    assert found[-1].until == span.until
    assert all(one.until == other.since for one, other in pairwise(found))
    assert all(one.since < one.until for one in found)


@given(INSTANTS, st.sampled_from(ZONES))
def test_every_inner_day_begins_when_its_date_does(since: datetime, zone: str) -> None:
    where = time_zone(zone)
    for day in buckets(widened(since, since + timedelta(days=30)), interval="day", zone=where)[1:]:
        here = day.since.astimezone(where).date()
        assert (day.since - timedelta(microseconds=1)).astimezone(where).date() < here
        assert (day.until - timedelta(microseconds=1)).astimezone(where).date() == here


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/Los_Angeles", date(2026, 3, 8), 23),
        ("America/Los_Angeles", date(2026, 11, 1), 25),
        ("Africa/Cairo", date(2026, 4, 24), 23),  # the clock skips midnight itself
        ("America/Havana", date(2026, 11, 1), 25),  # midnight comes twice
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
        ("Asia/Kathmandu", date(2026, 3, 8), 24),
        ("UTC", date(2026, 3, 8), 24),
    ],
)
def test_a_day_has_the_hours_its_zone_gives_it(zone: str, day: date, hours: float) -> None:
    where = time_zone(zone)
    first = start_of_day(day, zone=where)
    (found,) = buckets(
        Span(first, start_of_day(day + timedelta(days=1), zone=where)), interval="day", zone=where
    )
    assert hours_of(found) == hours


def test_a_day_that_a_zone_skipped_has_no_bucket() -> None:
    apia = time_zone("Pacific/Apia")
    span = Span(datetime(2011, 12, 28, 10, tzinfo=UTC), datetime(2012, 1, 1, 10, tzinfo=UTC))
    days = [
        bucket.since.astimezone(apia).date().isoformat()
        for bucket in buckets(span, interval="day", zone=apia)
    ]
    assert days == ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01"]


def test_hours_begin_where_the_local_clock_says() -> None:
    span = Span(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, 2, tzinfo=UTC))
    found = buckets(span, interval="hour", zone=time_zone("Asia/Kathmandu"))
    assert [f"{bucket.since:%H:%M}" for bucket in found] == ["00:00", "00:15", "01:15"]


def test_the_repeated_hour_is_two_buckets() -> None:
    span = Span(datetime(2026, 11, 1, 7, tzinfo=UTC), datetime(2026, 11, 1, 11, tzinfo=UTC))
    found = buckets(span, interval="hour", zone=time_zone("America/Los_Angeles"))
    assert [hours_of(bucket) for bucket in found] == [1, 1, 1, 1]


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    span = Span(datetime(2025, 12, 30, tzinfo=UTC), datetime(2026, 2, 3, tzinfo=UTC))
    weeks = buckets(span, interval="week", zone=time_zone("UTC"))
    months = buckets(span, interval="month", zone=time_zone("UTC"))
    assert [f"{week.since:%a %d %b}" for week in weeks[1:]] == [
        "Mon 05 Jan", "Mon 12 Jan", "Mon 19 Jan", "Mon 26 Jan", "Mon 02 Feb",
    ]  # fmt: skip
    assert [f"{month.since:%Y-%m-%d}" for month in months] == ["2025-12-30", "2026-01-01", "2026-02-01"]


def test_quarters() -> None:
    span = Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1, tzinfo=UTC))
    assert len(buckets(span, interval="15m", zone=time_zone("UTC"))) == 4


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/passwd", "a\x00b", "Europe"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="use an IANA name") as caught:
        time_zone(name)
    assert caught.value.field == "timezone"


def test_what_cannot_be_a_range_is_refused() -> None:
    instant = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(InvalidInputError, match="until must be later than since"):
        widened(instant, instant)
    with pytest.raises(InvalidInputError, match="since has no time zone"):
        widened(instant.replace(tzinfo=None), instant)
    with pytest.raises(InvalidInputError, match="year 1971; use 1980 to 8999"):
        widened(datetime(1971, 12, 31, tzinfo=UTC), instant)
    with pytest.raises(InvalidInputError, match="year 9999"):
        widened(instant, datetime(9999, 12, 31, tzinfo=UTC))


def test_too_many_buckets_are_refused() -> None:
    span = Span(
        datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC) + (MAX_BUCKETS + 1) * QUARTER
    )
    with pytest.raises(InvalidInputError, match="choose a longer interval"):
        buckets(span, interval="15m", zone=time_zone("UTC"))


def test_an_unknown_interval_is_refused() -> None:
    span = Span(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    with pytest.raises(InvalidInputError, match="use one of 15m, hour, day, week, month"):
        buckets(span, interval="year", zone=time_zone("UTC"))  # type: ignore[arg-type]
