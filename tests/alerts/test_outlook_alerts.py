"""Forecast and burn rate of budgets."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from service.alerts.budget_outlook import History
from service.budgets.policy import BudgetBook
from service.budgets.values import GivenScope
from service.reporting.forecast import HISTORY_DAYS
from tests.support.alert_town import Town

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def look(town: Town) -> list[tuple[str, str, float | None]]:
    watcher = town.watcher()
    watcher.watch()
    town.pass_time(2 * MINUTE)
    watcher.watch()
    return [(one.metric, one.subject, one.value) for one in town.alerts(state="firing")]


def test_a_budget_that_will_be_exceeded_says_when(town: Town) -> None:
    """Twelve days of 1 USD; 30 USD a month are never enough for 31 of them."""
    town.rule("budget_forecast")
    budget = town.budget("20.00")
    for _ in range(12):
        town.spend(1.0, charged=[(budget, "")])
        town.pass_time(DAY)
    ((metric, subject, value),) = look(town)
    assert (metric, subject) == ("budget_forecast", budget.id)
    assert value == pytest.approx(31 / 20, abs=0.05)
    (raised,) = town.alerts()
    assert raised.summary.startswith(
        "The global budget (month): will exceed its limit of 20.00 USD on 2026-03-2"
    )
    assert raised.details["exceeds_at"][:9] == "2026-03-2"


def test_a_budget_that_lasts_raises_nothing(town: Town) -> None:
    town.rule("budget_forecast")
    budget = town.budget("40.00")
    for _ in range(12):
        town.spend(1.0, charged=[(budget, "")])
        town.pass_time(DAY)
    assert look(town) == []


def test_history_is_made_of_whole_days(town: Town) -> None:
    """The first of them too: half of what that day cost would make every such weekday look cheaper."""
    budget = town.budget("40.00")
    now = town.clock.now()
    midnight = now.replace(hour=0)
    first = midnight - HISTORY_DAYS * DAY
    for at in (first - HOUR, first + HOUR, first + 23 * HOUR, midnight + HOUR):
        town.spend(1.0, at=at)
    with town.store.read() as tx:
        book = BudgetBook([budget])
        days = History.read(tx, book, zone=ZoneInfo("UTC"), now=now).days[(budget.id, "")]
    assert now > midnight + HOUR
    assert days == {first.date(): 2 * 10**9, midnight.date(): 10**9}


def test_with_little_history_the_pace_of_the_period_counts(town: Town) -> None:
    town.rule("budget_forecast")
    budget = town.budget("10.00", window="day")
    town.pass_time(2 * HOUR)
    town.spend(4.0, charged=[(budget, "")], at=town.clock.now() - MINUTE)
    assert look(town) == []  # 4 of 14 hours
    town.spend(3.0, charged=[(budget, "")])
    assert len(look(town)) == 1


def test_a_budget_without_an_end_and_without_history_has_no_forecast(town: Town) -> None:
    town.rule("budget_forecast")
    budget = town.budget("0.10", window="total", scope=GivenScope("end_user", "anna"))
    town.spend(0.09, charged=[(budget, "")], end_user="anna")
    assert look(town) == []


def test_spending_is_attributed_as_the_relay_does(town: Town) -> None:
    town.rule("burn_rate", warning=2.0, min_requests=1)
    mine = town.budget("24.00", window="day", scope=GivenScope("key", "*"))
    models = town.budget("24.00", window="day", scope=GivenScope("model", "gpt-*"))
    both = [(mine, "key_a"), (models, "")]
    town.spend(2.5, charged=both)
    town.spend(
        2.5, charged=[(mine, "key_b")], key_id="key_b", upstream_model="claude", requested_model="claude"
    )
    assert sorted(subject for _, subject, _ in look(town)) == sorted(
        [f"{mine.id}/key_a", f"{mine.id}/key_b", models.id]
    )
    # the window begins with its quarter of an hour, so up to 75 minutes count as an hour
    assert [value for _, _, value in look(town)] == [pytest.approx(2.5)] * 3


def test_slow_burning_and_few_requests_raise_nothing(town: Town) -> None:
    town.rule("burn_rate", warning=2.0, min_requests=3)
    budget = town.budget("24.00", window="day")
    for usd in (0.9, 0.9):
        town.spend(usd, charged=[(budget, "")])
    assert look(town) == []
    town.spend(0.1, charged=[(budget, "")])
    assert look(town) == []
    town.spend(1.0, charged=[(budget, "")])
    assert len(look(town)) == 1


def test_end_users_burn_too(town: Town) -> None:
    town.rule("burn_rate", warning=2.0, min_requests=1)
    budget = town.budget("24.00", window="day", scope=GivenScope("end_user", "*"))
    town.spend(5.0, charged=[(budget, "anna")], end_user="anna")
    town.spend(0.5, charged=[(budget, "bert")], end_user="bert")
    assert [subject for _, subject, _ in look(town)] == [f"{budget.id}/anna"]


def test_a_budget_without_an_end_has_no_pace(town: Town) -> None:
    town.rule("burn_rate", warning=2.0, min_requests=1)
    budget = town.budget("1.00", window="total")
    town.spend(0.9, charged=[(budget, "")])
    assert look(town) == []


def test_without_budgets_there_is_nothing_to_look_at(town: Town) -> None:
    town.rule("burn_rate")
    town.rule("budget_forecast")
    town.rule()
    assert look(town) == []
    assert town.watcher().watch_budgets() == 0
