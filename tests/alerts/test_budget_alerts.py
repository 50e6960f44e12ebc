"""Budget thresholds: each once in a period, whoever looks, however often, and also when nobody sends anything."""

from datetime import UTC, datetime, timedelta

from service.budgets.values import GivenRaise, GivenScope
from tests.support.alert_town import Town
from tests.support.audit import TESTER

SECOND = timedelta(seconds=1)
SLOW = timedelta(seconds=20)
HALF, MOST, ALL = ("warning", "0.5", "firing"), ("warning", "0.8", "firing"), ("critical", "1", "firing")


def test_each_threshold_fires_once_as_it_is_reached(town: Town) -> None:
    town.rule()
    budget = town.budget()
    watcher = town.watcher()
    expected = []
    for usd, fired in (
        (4.99, []),
        (0.01, [HALF]),
        (2.99, []),
        (0.01, [MOST]),
        (1.99, []),
        (0.01, [ALL]),
        (5, []),
    ):
        town.spend(usd, charged=[(budget, "")])
        town.pass_time(SECOND)
        watcher.watch_budgets()
        expected += fired
        assert town.in_short() == expected


def test_a_jump_over_several_thresholds_fires_each_of_them(town: Town) -> None:
    town.rule()
    town.channel(kind="log")
    budget = town.budget()
    watcher = town.watcher()
    town.spend(1, charged=[(budget, "")])
    assert watcher.watch_budgets() == 0
    town.spend(9, charged=[(budget, "")])
    assert watcher.watch_budgets() == 3
    assert town.in_short() == [HALF, MOST, ALL]
    assert [one["threshold"] for one in town.payloads()] == [0.5, 0.8, 1.0]
    for _ in range(3):
        town.pass_time(SLOW)
        assert (watcher.watch_budgets(), watcher.watch()) == (0, 0)


def test_after_a_restart_nothing_is_raised_again(town: Town) -> None:
    town.rule()
    budget = town.budget()
    town.spend(6, charged=[(budget, "")])
    assert town.watcher().watch_budgets() == 1
    for _ in range(3):
        restarted = town.watcher()
        assert (restarted.watch_budgets(), restarted.watch()) == (0, 0)
    assert town.in_short() == [HALF]


def test_an_idle_key_alerts_too(town: Town) -> None:
    """Nothing is sent after the last request: whoever looks, sees it."""
    town.rule()
    key = town.key("idle")
    budget = town.budget(scope=GivenScope("key", key))
    town.spend(8, charged=[(budget, "")], key_id=key)
    town.pass_time(timedelta(hours=5))
    town.watcher().watch_budgets()
    assert town.in_short() == [HALF, MOST]
    assert town.alerts()[0].summary.startswith("The budget of key idle (month): has used 80 %")


def test_a_rule_that_comes_later_finds_what_was_spent(town: Town) -> None:
    budget = town.budget()
    watcher = town.watcher()
    town.spend(6, charged=[(budget, "")])
    assert watcher.watch_budgets() == 0
    town.rule()
    assert watcher.watch_budgets() == 1


def test_the_next_period_begins_anew(town: Town) -> None:
    town.rule()
    town.channel(kind="log")
    budget = town.budget(window="day")
    watcher = town.watcher()
    town.spend(6, charged=[(budget, "")])
    watcher.watch_budgets()
    town.pass_time(timedelta(hours=13))
    watcher.watch()
    assert town.in_short() == [("warning", "0.5", "resolved")]
    town.spend(5, charged=[(budget, "")])
    watcher.watch_budgets()
    assert town.in_short() == [("warning", "0.5", "resolved"), HALF]
    assert [one["type"] for one in town.payloads()] == ["alert.firing", "alert.resolved", "alert.firing"]


def test_a_raised_limit_resolves_and_arms_again(town: Town) -> None:
    town.rule()
    budget = town.budget()
    watcher = town.watcher()
    town.spend(9, charged=[(budget, "")])
    watcher.watch_budgets()
    town.change_budget(budget, limit_usd="20.00")
    town.pass_time(SLOW)
    watcher.watch_budgets()
    watcher.watch()
    assert town.in_short() == [("warning", "0.5", "resolved"), ("warning", "0.8", "resolved")]
    town.spend(2, charged=[(budget, "")])
    watcher.watch_budgets()
    assert town.in_short()[2:] == [HALF]


def test_when_a_temporary_raise_ends_the_threshold_is_crossed_again(town: Town) -> None:
    town.rule(critical=1.0)
    budget = town.budget()
    watcher = town.watcher()
    town.spend(12, charged=[(budget, "")])
    watcher.watch_budgets()
    until = town.clock.now() + timedelta(hours=1)
    town.change_budget(budget, temporary_raise=GivenRaise("10.00", until))
    town.pass_time(SLOW)
    watcher.watch_budgets()
    watcher.watch()
    assert town.in_short() == [("critical", "1", "resolved")]
    town.pass_time(timedelta(hours=1))
    watcher.watch_budgets()
    assert town.in_short() == [("critical", "1", "resolved"), ALL]


def test_each_subject_of_a_budget_has_its_own_alerts(town: Town) -> None:
    """Alerts on a single user's consumption: the budget of each end user."""
    town.rule()
    budget = town.budget(scope=GivenScope("end_user", "*"))
    town.spend(6, charged=[(budget, "anna")], end_user="anna")
    town.spend(1, charged=[(budget, "bert")], end_user="bert")
    town.watcher().watch_budgets()
    assert [one.subject for one in town.alerts()] == [f"{budget.id}/anna"]
    town.spend(5, charged=[(budget, "bert")], end_user="bert")
    town.watcher().watch_budgets()
    assert [one.subject for one in town.alerts()] == [f"{budget.id}/anna", f"{budget.id}/bert"]


def test_a_filter_chooses_budgets(town: Town) -> None:
    one, other = town.budget(), town.budget(scope=GivenScope("model", "gpt-4o"))
    town.rule(filter={"scope": "model"})
    town.spend(6, charged=[(one, ""), (other, "")])
    town.watcher().watch_budgets()
    assert [one.subject for one in town.alerts()] == [other.id]


def test_thresholds_of_the_rule_come_before_those_of_the_budget(town: Town) -> None:
    town.rule(warning=0.75, critical=0.95)
    budget = town.budget()
    town.spend(7.6, charged=[(budget, "")])
    town.watcher().watch_budgets()
    assert town.in_short() == [("warning", "0.75", "firing")]


def test_a_deleted_budget_ends_its_alerts(town: Town) -> None:
    town.rule()
    budget = town.budget()
    watcher = town.watcher()
    town.spend(6, charged=[(budget, "")])
    watcher.watch_budgets()
    with town.store.write() as tx:
        town.budgets.delete(tx, budget.id, by=TESTER)
    town.pass_time(SLOW)
    watcher.watch_budgets()
    watcher.watch()
    assert town.in_short() == [("warning", "0.5", "resolved")]


def test_the_message_says_everything(town: Town) -> None:
    town.rule(name="Money")
    town.channel(kind="log")
    budget = town.budget()
    town.spend(5, charged=[(budget, "")])
    town.watcher().watch_budgets()
    (payload,) = town.payloads()
    (raised,) = town.alerts()
    assert payload == {
        "type": "alert.firing",
        "id": str(raised.id),
        "rule": "Money",
        "rule_id": raised.rule_id,
        "metric": "budget_used",
        "subject": budget.id,
        "severity": "warning",
        "value": 0.5,
        "threshold": 0.5,
        "period": {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"},
        "fired_at": "2026-03-01T12:00:00Z",
        "resolved_at": None,
        "summary": "The global budget (month): has used 50 % (5.00 of 10.00 USD), threshold 50 %",
        "details": {
            "about": "The global budget (month)",
            "budget": budget.id,
            "limit_usd": "10.00",
            "spent_usd": "5.00",
            "mode": "soft",
        },
        "links": {},
    }
    assert raised.starts_at == datetime(2026, 3, 1, tzinfo=UTC)
