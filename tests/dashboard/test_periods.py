"""Time ranges: they begin where the viewer's clock says, hold the present, and are compared with as much time."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.periods import PRESETS, Period, Range, bucket_label, period
from service.reporting.intervals import QUARTER, Span, buckets, time_zone

ZONES = ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/Los_Angeles", "Australia/Lord_Howe")
UNTIL_NOW = ("1h", "Today", "24h", "7d", "30d", "MTD")
instants = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  (Hypothesis adds the zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


@given(instants, st.sampled_from(UNTIL_NOW), st.sampled_from(ZONES))
def test_a_period_holds_the_present_and_follows_the_one_before(now: datetime, preset: str, zone: str) -> None:
    found = period(preset, now=now, timezone=zone)
    assert found.since <= now < found.until
    assert found.until - now <= QUARTER
    assert found.before_since < found.before_until <= found.since
    assert found.before_elapsed <= found.until - found.since
    assert found.elapsed == max(now - found.since, timedelta(minutes=1))


@given(instants, st.sampled_from(["24h", "7d", "30d", "Today", "MTD"]), st.sampled_from(ZONES))
def test_only_the_last_bucket_is_unfinished(now: datetime, preset: str, zone: str) -> None:
    found = period(preset, now=now, timezone=zone)
    cut = buckets(Span(found.since, found.until), interval=found.interval, zone=time_zone(zone))
    earlier = buckets(
        Span(found.since - timedelta(days=2), found.until), interval=found.interval, zone=time_zone(zone)
    )
    assert cut[0].since in {bucket.since for bucket in earlier}
    assert cut[-1].since <= now


@pytest.mark.parametrize(
    ("preset", "zone", "since", "before", "interval"),
    [
        ("1h", "UTC", "2026-03-08T19:00", "2026-03-08T18:00", "15m"),
        ("24h", "UTC", "2026-03-07T20:00", "2026-03-06T20:00", "hour"),
        ("Today", "UTC", "2026-03-08T00:00", "2026-03-07T00:00", "hour"),
        ("Today", "Asia/Kathmandu", "2026-03-08T18:15", "2026-03-07T18:15", "15m"),
        ("Today", "America/Los_Angeles", "2026-03-08T08:00", "2026-03-07T08:00", "hour"),
        ("7d", "UTC", "2026-03-02T00:00", "2026-02-23T00:00", "hour"),
        ("30d", "UTC", "2026-02-07T00:00", "2026-01-08T00:00", "day"),
        ("MTD", "UTC", "2026-03-01T00:00", "2026-02-01T00:00", "hour"),
        ("MTD", "Asia/Kathmandu", "2026-02-28T18:15", "2026-01-31T18:15", "day"),
    ],
)
def test_where_periods_begin(preset: str, zone: str, since: str, before: str, interval: str) -> None:
    found = period(preset, now=utc("2026-03-08T19:50:00"), timezone=zone)
    assert (utc(since), utc(before), interval) == (found.since, found.before_since, found.interval)
    assert found.until == utc("2026-03-08T20:00")


def test_a_short_month_before_is_compared_whole() -> None:
    found = period("MTD", now=utc("2026-03-31T12:00:00"), timezone="UTC")
    assert (found.before_since, found.before_until) == (utc("2026-02-01T00:00"), utc("2026-03-01T00:00"))


def test_a_day_of_daylight_saving_has_its_own_length() -> None:
    found = period("Today", now=utc("2026-03-09T06:59:00"), timezone="America/Los_Angeles")
    assert found.until - found.since == timedelta(hours=23)


@pytest.mark.parametrize(
    ("start", "interval", "label"),
    [
        ("2026-03-08T18:15", "hour", "Mon 9 Mar"),
        ("2026-03-08T20:15", "hour", "Mon 02:00"),
        ("2026-03-08T18:30", "15m", "Mon 00:15"),
        ("2026-03-08T18:15", "day", "Mon 9 Mar"),
    ],
)
def test_labels_stand_on_the_clock_of_the_zone(start: str, interval: str, label: str) -> None:
    assert label == bucket_label(utc(start), interval=interval, timezone="Asia/Kathmandu")  # type: ignore[arg-type]


def test_every_preset_says_what_it_is_compared_with() -> None:
    for preset, text in PRESETS.items():
        found: Period = period(preset, now=utc("2026-03-08T19:50:00"), timezone="UTC")
        assert found.compared_with == text


@given(instants, st.sampled_from(ZONES))
def test_last_month_is_over_and_follows_the_month_before(now: datetime, zone: str) -> None:
    found = period("Last month", now=now, timezone=zone)
    here = time_zone(zone)
    assert found.until <= now
    assert [found.since.astimezone(here).day, found.until.astimezone(here).day] == [1, 1]
    assert timedelta(days=27) < found.elapsed == found.until - found.since < timedelta(days=32)
    assert found.before_since.astimezone(here).day == 1
    assert found.before_until <= found.since


@given(instants, st.dates(), st.dates(), st.sampled_from(ZONES))
def test_days_of_choice_make_a_period_whatever_they_are(
    now: datetime, one: date, other: date, zone: str
) -> None:
    found = Range("Days", zone, (one, other)).period(now)
    assert found.since < found.until <= now + timedelta(days=1)
    assert found.before_since < found.before_until <= found.since
    assert timedelta(0) < found.elapsed <= found.until - found.since


def test_days_of_choice_are_whole_days_of_the_zone() -> None:
    chosen = Range("Days", "Asia/Kathmandu", (date(2026, 3, 5), date(2026, 3, 2)))
    found = chosen.period(utc("2026-03-08T19:50:00"))
    assert (found.since, found.until) == (utc("2026-03-01T18:15"), utc("2026-03-05T18:15"))
    assert (found.before_since, found.before_until) == (utc("2026-02-25T18:15"), utc("2026-03-01T18:15"))
    assert (found.interval, found.elapsed) == ("hour", timedelta(days=4))


def test_a_year_is_shown_by_weeks() -> None:
    chosen = Range("Days", "UTC", (date(2025, 3, 5), date(2026, 3, 2)))
    found = chosen.period(utc("2026-03-08T19:50:00"))
    assert found.interval == "week"
    assert bucket_label(utc("2026-03-02T00:00"), interval="week", timezone="UTC") == "2 Mar 2026"
