"""The month's end: what days like these add up to, and how sure that is."""

from datetime import date, timedelta

import pytest

from service.reporting.forecast import Expected, exhausted_on, expectation, month_end, path

TODAY = date(2026, 3, 18)  # a Wednesday


def days(count: int, *, weekday: int = 100, weekend: int = 100) -> dict[date, int]:
    found = [TODAY - timedelta(days=number) for number in range(1, count + 1)]
    return {day: weekend if day.weekday() >= 5 else weekday for day in found}


def expected(history: dict[date, int]) -> Expected:
    found = expectation(history, today=TODAY)
    assert found is not None
    return found


@pytest.mark.parametrize("count", [0, 1, 2])
def test_two_days_are_no_history(count: int) -> None:
    assert expectation(days(count), today=TODAY) is None


def test_equal_days_have_a_sure_future() -> None:
    found = month_end(expected(days(20)), today=TODAY, elapsed=0.5, spent_nanos=1_750)
    assert (found.until, found.days_left, found.history_days) == (date(2026, 4, 1), 14, 20)
    assert found.expected_nanos == 1_750 + 50 + 13 * 100
    assert (found.low_nanos, found.high_nanos) == (found.expected_nanos, found.expected_nanos)


def test_weekends_are_expected_where_weekends_come() -> None:
    found = month_end(expected(days(28, weekend=10)), today=TODAY, elapsed=0.0, spent_nanos=0)
    assert found.expected_nanos == 10 * 100 + 4 * 10  # 18 to 31 March: ten working days, two weekends


def test_with_little_history_all_days_are_alike_and_the_range_is_wide() -> None:
    week = expected(days(7, weekend=30))
    assert set(week.by_weekday) == {(5 * 100 + 2 * 30) / 7}
    found = month_end(week, today=TODAY, elapsed=0.0, spent_nanos=0)
    assert found.low_nanos < found.expected_nanos < found.high_nanos


def test_a_quiet_day_counts_as_nothing_and_older_days_do_not_count() -> None:
    history = days(40)
    del history[TODAY - timedelta(days=3)]
    history[TODAY - timedelta(days=35)] = 10**12
    assert sum(expected(history).by_weekday) == 6 * 100 + 75


def test_less_than_what_is_spent_cannot_come_out() -> None:
    wild = {TODAY - timedelta(days=1): 10_000, TODAY - timedelta(days=2): 0, TODAY - timedelta(days=3): 0}
    last_day = TODAY + timedelta(days=1)
    found = month_end(expected(wild), today=TODAY, elapsed=0.9, spent_nanos=700, until=last_day)
    assert found.low_nanos == 700 < found.expected_nanos < found.high_nanos


def test_december_ends_with_the_year_and_another_end_can_be_asked_for() -> None:
    last = date(2026, 12, 31)
    history = {last - timedelta(days=number): 100 for number in range(1, 5)}
    found = expectation(history, today=last)
    assert found is not None
    assert month_end(found, today=last, elapsed=0.0, spent_nanos=0).until == date(2027, 1, 1)
    week = month_end(found, today=last, elapsed=0.0, spent_nanos=0, until=date(2027, 1, 4))
    assert week.expected_nanos == 400


def test_the_path_ends_at_the_forecast() -> None:
    known = expected(days(20))
    forecast = month_end(known, today=TODAY, elapsed=0.5, spent_nanos=1_750)
    steps = path(known, forecast, today=TODAY, elapsed=0.5)
    assert steps[0] == (TODAY, 1_800)
    assert steps[-1] == (date(2026, 3, 31), forecast.expected_nanos)


@pytest.mark.parametrize(
    ("left", "until", "day"),
    [
        (0, None, TODAY),
        (40, None, TODAY),
        (51, None, TODAY + timedelta(days=1)),
        (50 + 13 * 100, date(2026, 4, 1), date(2026, 3, 31)),
        (50 + 13 * 100 + 1, date(2026, 4, 1), None),
        (10**9, None, None),
    ],
)
def test_when_an_amount_is_used_up(left: int, until: date | None, day: date | None) -> None:
    known = expected(days(20))
    assert day == exhausted_on(known, today=TODAY, elapsed=0.5, left_nanos=left, until=until)
