"""Weekday by hour: averages on the viewer's clock, also over daylight saving and in an hour that is not over."""

from datetime import UTC, datetime, timedelta

import pytest

from service.reporting.heatmap import heat_map
from tests.reporting.figures_of import HOUR, START, report, row


def test_an_average_is_over_the_hours_that_there_were() -> None:
    rows = [
        row({}, start=START + 9 * HOUR, requests=10),
        row({}, start=START + timedelta(days=7) + 9 * HOUR, requests=20),
        row({}, start=START + timedelta(days=8), requests=0),
    ]
    found = heat_map(report(rows), of=lambda one: one.requests, now=START + timedelta(days=30))
    assert found.cells[0][9] == 15
    assert found.cells[1][0] == 0
    assert found.cells[2][0] is None
    assert found.peak == (0, 9, 15)


def test_days_begin_where_the_zone_says() -> None:
    rows = [row({}, start=START + timedelta(hours=18, minutes=15), requests=4)]
    found = heat_map(
        report(rows, timezone="Asia/Kathmandu"), of=lambda one: one.requests, now=START + timedelta(days=1)
    )
    assert found.cells[1][0] == 4


def test_half_an_hour_counts_as_half_and_one_to_come_not_at_all() -> None:
    rows = [row({}, start=START, requests=5), row({}, start=START + HOUR, requests=0)]
    found = heat_map(report(rows), of=lambda one: one.requests, now=START + HOUR / 2)
    assert found.cells[0][0] == 10
    assert found.cells[0][1] is None


@pytest.mark.parametrize(
    ("day", "cells"), [(datetime(2026, 3, 29, tzinfo=UTC), 4), (datetime(2026, 10, 25, tzinfo=UTC), 3)]
)
def test_daylight_saving_is_counted_as_it_was(day: datetime, cells: int) -> None:
    rows = [row({}, start=day + number * HOUR, requests=6) for number in range(4)]
    found = heat_map(
        report(rows, timezone="Europe/Berlin"), of=lambda one: one.requests, now=day + timedelta(days=2)
    )
    filled = [value for value in found.cells[6] if value is not None]
    assert set(filled) == {6.0}
    assert len(filled) == cells


def test_what_was_never_reported_is_nothing_and_has_no_peak() -> None:
    found = heat_map(report([row({}, requests=1)]), of=lambda one: one.cost_nanos, now=START + HOUR)
    assert found.cells[0][0] == 0
    assert found.peak is None
