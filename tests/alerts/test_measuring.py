"""From sums to values: None is never zero, exact shares, forecasts over days of daylight saving."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from service.alerts.measuring import (
    BudgetFigures,
    Outlook,
    WindowFigures,
    anomaly,
    budget_thresholds,
    burn_rate,
    change,
    outlook,
    share,
    silent_minutes,
    usage_value,
    used,
)
from service.reporting.forecast import expectation, month_end, steady
from service.reporting.intervals import start_of_day
from tests.alerts.making import DAY, HOUR, NOW, rule

FIGURES = WindowFigures(
    requests=10,
    errors=3,
    cost_nanos=2_500_000_000,
    unpriced=4,
    estimated=2,
    with_usage=8,
    p95_duration_ms=900.0,
    p95_ttft_ms=80.0,
)
NOTHING = WindowFigures(
    requests=0,
    errors=0,
    cost_nanos=0,
    unpriced=0,
    estimated=0,
    with_usage=0,
    p95_duration_ms=None,
    p95_ttft_ms=None,
)


def budget(spent: int, *, limit: int = 100, days: int | None = 10, window: int = 0) -> BudgetFigures:
    return BudgetFigures(
        limit_nanos=limit,
        spent_nanos=spent,
        starts_at=NOW - 5 * DAY,
        ends_at=None if days is None else NOW - 5 * DAY + days * DAY,
        window_nanos=window,
    )


@pytest.mark.parametrize(
    ("metric", "value", "of_nothing"),
    [
        ("spend", 2.5, 0.0),
        ("error_rate", 0.3, None),
        ("p95_latency_ms", 900.0, None),
        ("p95_ttft_ms", 80.0, None),
        ("unpriced", 4.0, 0.0),
        ("estimated_share", 0.25, None),
    ],
)
def test_metrics_of_usage(metric: str, value: float, of_nothing: float | None) -> None:
    assert usage_value(metric, FIGURES) == value
    assert usage_value(metric, NOTHING) == of_nothing


def test_no_whole_has_no_share() -> None:
    assert (share(1, 4), share(0, 0)) == (0.25, None)


def test_spending_is_compared_with_the_median_of_weeks() -> None:
    assert anomaly(300, weeks=[100, 90, 5000]) == 3.0
    assert anomaly(300, weeks=[100, 90]) is None
    assert anomaly(300, weeks=[0, 0, 0]) is None


@pytest.mark.parametrize("tenths", range(1, 11))
def test_the_share_of_a_budget_is_exact(tenths: int) -> None:
    for limit in (10, 10**10, 3 * 10**18):
        assert used(budget(limit * tenths // 10, limit=limit)) == tenths / 10


def test_thresholds_are_the_rules_or_the_budgets_own() -> None:
    own = budget_thresholds(rule("budget_used"), own=(0.5, 1.0, 1.5))
    assert [(one.claim, one.severity) for one in own] == [
        ("0.5", "warning"),
        ("1", "critical"),
        ("1.5", "critical"),
    ]
    given = budget_thresholds(rule("budget_used", warning=0.75, critical=0.95), own=(0.5, 1.0))
    assert [(one.claim, one.limit) for one in given] == [("warning", 0.75), ("critical", 0.95)]
    assert [one.limit for one in budget_thresholds(rule("budget_used", critical=0.9), own=(0.5,))] == [0.9]


def test_the_burn_rate_is_a_multiple_of_what_the_budget_can_pay_for() -> None:
    # 100 in 10 days are 10 a day; 10 in an hour are 24 times as much
    assert burn_rate(budget(0, window=10), window=HOUR) == pytest.approx(24.0)
    assert burn_rate(budget(0, window=10, days=None), window=HOUR) is None


def test_a_forecast_without_history_goes_on_as_before() -> None:
    ahead = outlook(budget(50), steady(10.0), now=NOW, zone=ZoneInfo("UTC"))
    assert ahead.expected_nanos == pytest.approx(100.0)
    assert ahead.until == NOW + 5 * DAY
    assert outlook(budget(50), steady(9.9), now=NOW, zone=ZoneInfo("UTC")).exceeds_at is None
    sooner = outlook(budget(50), steady(20.0), now=NOW, zone=ZoneInfo("UTC"))
    assert sooner.exceeds_at == pytest.approx(NOW + 2.5 * DAY, abs=timedelta(seconds=1))
    assert sooner.share_of(100) == pytest.approx(1.5)


def test_the_day_of_exceeding_is_one_of_the_zone() -> None:
    now = datetime(2026, 3, 10, 20, tzinfo=UTC)
    ahead = Outlook(1.0, now + 2 * DAY, now)
    assert [ahead.exceeds_on(ZoneInfo(name)) for name in ("UTC", "Asia/Tokyo")] == [
        "2026-03-10",
        "2026-03-11",
    ]
    assert msgspec.structs.replace(ahead, exceeds_at=None).exceeds_on(ZoneInfo("UTC")) is None


def test_what_is_exceeded_is_exceeded_now() -> None:
    assert outlook(budget(100), steady(0.0), now=NOW, zone=ZoneInfo("UTC")).exceeds_at == NOW


def test_a_budget_without_an_end_looks_a_month_ahead() -> None:
    ahead = outlook(budget(40, days=None), steady(2.0), now=NOW, zone=ZoneInfo("UTC"))
    assert ahead.until == NOW + 30 * DAY
    assert ahead.expected_nanos == pytest.approx(100.0)


def test_a_forecast_knows_weekdays() -> None:
    today = NOW.date()
    history = {today - timedelta(days=back): 0 for back in range(1, 29)}
    saturdays = {day: 70 for day in history if day.weekday() == 5}
    expected = expectation(history | saturdays, today=today)
    assert expected is not None
    ahead = outlook(budget(0, days=12), expected, now=NOW, zone=ZoneInfo("UTC"))  # one Saturday to come
    assert ahead.expected_nanos == pytest.approx(70.0)


def test_a_day_of_daylight_saving_is_one_day() -> None:
    zone = ZoneInfo("Europe/Berlin")
    midnight = datetime(2026, 3, 28, 23, tzinfo=UTC)  # the 29th has 23 hours
    figures = BudgetFigures(
        limit_nanos=100, spent_nanos=0, starts_at=midnight, ends_at=midnight + timedelta(hours=23)
    )
    assert outlook(figures, steady(60.0), now=midnight, zone=zone).expected_nanos == pytest.approx(60.0)


@pytest.mark.parametrize("hours", [0, 7.25, 22.9, 24 * 17.3])
@pytest.mark.parametrize("zone", [ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu")])
def test_the_forecast_of_a_month_is_that_of_the_reports(zone: ZoneInfo, hours: float) -> None:
    """In March, with daylight saving: the same number to the nano-dollar, whoever asks."""
    now = datetime(2026, 3, 4, 0, tzinfo=zone).astimezone(UTC) + hours * HOUR
    today = now.astimezone(zone).date()
    expected = expectation(
        {today - timedelta(days=back): 10**9 + 10**7 * back * (back % 5) for back in range(1, 29)},
        today=today,
    )
    assert expected is not None
    midnight, next_midnight = (start_of_day(day, zone=zone) for day in (today, today + timedelta(days=1)))
    first, end = (start_of_day(date(2026, month, 1), zone=zone) for month in (3, 4))
    figures = BudgetFigures(limit_nanos=10**9, spent_nanos=123_456_789, starts_at=first, ends_at=end)
    reported = month_end(
        expected,
        today=today,
        elapsed=(now - midnight) / (next_midnight - midnight),
        spent_nanos=figures.spent_nanos,
    )
    assert round(outlook(figures, expected, now=now, zone=zone).expected_nanos) == reported.expected_nanos


def test_silence_is_measured_in_minutes() -> None:
    assert silent_minutes(NOW - 2 * HOUR, now=NOW) == 120.0
    assert silent_minutes(NOW + HOUR, now=NOW) == 0.0


def test_a_change_needs_something_before() -> None:
    assert (change(150, before_nanos=100), change(150, before_nanos=0)) == (0.5, None)


def test_a_forecast_ends_after_a_year() -> None:
    far = budget(0, days=3000)
    assert outlook(far, steady(1.0), now=NOW, zone=ZoneInfo("UTC")).expected_nanos == pytest.approx(
        366.5, abs=1
    )
    assert date(2026, 3, 4) == NOW.date()
