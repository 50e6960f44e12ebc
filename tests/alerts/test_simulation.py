"""A simulation raises on stored history what the live rule raised when that history was made."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.alerts.rules import Rule
from service.alerts.simulation import LONGEST, simulate
from service.alerts.values import NewRule, rule_from
from service.budgets.values import GivenScope
from service.errors import InvalidInputError
from service.reporting.intervals import Span
from service.store.engine import Store
from tests.support.alert_town import Town
from tests.support.clock import HandClock

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""


@pytest.fixture
def past(store: Store) -> Town:
    return Town(store, clock=HandClock(START))


def rule(metric: str, **fields: Any) -> Rule:
    values = NewRule(name=metric, metric=metric, **fields).checked()
    dates: dict[str, Any] = {
        "created_at": START,
        "updated_at": START,
        "deleted_at": None,
        "muted_until": None,
    }
    return rule_from({"id": "rule_1", **values, **dates})


def raised(town: Town, of: Rule, *, days: float = 3) -> list[tuple[str, str, datetime, datetime | None]]:
    found = simulate(town.store, of, span=Span(START, START + days * DAY), zone=town.zone)
    return [(one.subject, one.severity, one.fired_at, one.resolved_at) for one in found]


def test_errors_of_an_afternoon(past: Town) -> None:
    past.record(count=50, at=START + 10 * HOUR)
    past.record(count=40, at=START + 14 * HOUR + 5 * MINUTE)
    past.record(count=10, at=START + 14 * HOUR + 5 * MINUTE, outcome="timeout")
    (found,) = raised(past, rule("error_rate", warning=0.2))
    assert found == (
        "all",
        "warning",
        START + 14 * HOUR + 15 * MINUTE,
        START + 14 * HOUR + 45 * MINUTE,
    )


def test_groups_filters_and_percentiles(past: Town) -> None:
    for key, latency in (("a", 100.0), ("b", 9000.0)):
        past.record(count=30, at=START + HOUR, key_id=f"key_{key}", duration_ms=latency, project="p")
    past.record(count=30, at=START + HOUR, key_id="key_c", duration_ms=9000.0, project="other")
    found = raised(past, rule("p95_latency_ms", warning=5000.0, group_by=["key"], filter={"project": "p"}))
    assert [one[0] for one in found] == ["key=key_b"]


def test_dimensions_of_the_records(past: Town) -> None:
    past.record(count=25, at=START + HOUR, end_user="anna", duration_ms=9000.0, ttft_ms=4000.0)
    past.record(count=25, at=START + HOUR, end_user="bert")
    for metric in ("p95_latency_ms", "p95_ttft_ms"):
        found = raised(past, rule(metric, warning=3000.0, group_by=["end_user"]))
        assert [one[0] for one in found] == ["end_user=anna"]


def test_an_upstream_that_was_down(past: Town) -> None:
    past.record(count=5, at=START + HOUR, outcome="upstream_error", http_status=503)
    past.record(count=5, at=START + 2 * HOUR, outcome="upstream_error", http_status=400)
    past.record(count=5, at=START + 3 * HOUR, upstream=None, provider=None, outcome="rejected_auth")
    found = raised(past, rule("upstream_down"))
    assert [one[:2] for one in found] == [("upstream=openai", "critical")]


def test_silence(past: Town) -> None:
    past.record(at=START + HOUR)
    past.record(at=START + 5 * HOUR)
    found = raised(past, rule("silence", group_by=["key"]), days=0.25)
    assert [(one[0], one[2] - START, (one[3] or START) - START) for one in found] == [
        ("key=key_a", 2 * HOUR + 15 * MINUTE, 5 * HOUR + 30 * MINUTE)
    ]


def test_unusual_spending(past: Town) -> None:
    for weeks in range(1, 6):
        past.spend(1.0, at=START + 12 * HOUR - weeks * 7 * DAY)
    past.spend(7.0, at=START + 12 * HOUR)
    found = raised(past, rule("spend_anomaly", min_requests=1))
    assert [one[1] for one in found] == ["warning", "critical"]
    assert raised(past, rule("spend_anomaly", min_requests=2)) == []


def test_budget_thresholds_follow_the_periods(past: Town) -> None:
    budget = past.budget("10.00", window="day", scope=GivenScope("key", "*"))
    for hours in (1, 2, 3):
        past.spend(3.0, at=START + hours * HOUR)
    past.spend(6.0, at=START + DAY + HOUR)
    found = raised(past, rule("budget_used"))
    assert [(one[0], one[1], one[2] - START) for one in found] == [
        (f"{budget.id}/key_a", "warning", 2 * HOUR + 15 * MINUTE),
        (f"{budget.id}/key_a", "warning", 3 * HOUR + 15 * MINUTE),
        (f"{budget.id}/key_a", "warning", DAY + HOUR + 15 * MINUTE),
    ]
    assert [one[3] for one in found[:2]] == [START + DAY + 15 * MINUTE] * 2
    assert raised(past, rule("budget_used", filter={"scope": "project"})) == []


def test_burn_rate_and_forecast(past: Town) -> None:
    budget = past.budget("24.00", window="day", scope=GivenScope("end_user", "anna"))
    past.spend(6.0, at=START + 10 * HOUR, end_user="anna")
    past.spend(6.0, at=START + 10 * HOUR, end_user="bert")
    assert [one[0] for one in raised(past, rule("burn_rate", min_requests=1))] == [budget.id]
    past.spend(16.0, at=START + 11 * HOUR, end_user="anna")
    assert [one[0] for one in raised(past, rule("budget_forecast"), days=1)] == [budget.id]


def test_what_is_simulated_is_what_was_raised_live(past: Town) -> None:
    """The live watcher looks at every quarter of an hour; the simulation afterwards says the same."""
    past.rule("budget_used")
    past.rule("spend", warning=4.0, window="2h")
    budget = past.budget("20.00", window="day")
    watcher = past.watcher()
    for step in range(3 * 96):
        past.clock.advance(15 * MINUTE)
        if step % 5 == 0:
            past.spend((step % 7) * 0.4, charged=[(budget, "")], at=past.clock.now() - MINUTE)
        watcher.watch()
        past.clock.advance(timedelta(seconds=11))  # what is pending is confirmed
        watcher.watch()
        past.clock.advance(-timedelta(seconds=11))
    live = sorted((one.metric, one.severity, one.threshold or 0.0) for one in past.alerts())
    found = [
        (of.metric, one.severity, one.threshold or 0.0)
        for of in (rule("budget_used"), rule("spend", warning=4.0, window="2h"))
        for one in simulate(past.store, of, span=Span(START, START + 3 * DAY), zone=past.zone)
    ]
    assert len(live) > 4
    assert sorted(found) == live


def test_progress_is_told_and_limits_hold(past: Town) -> None:
    told: list[tuple[int, int]] = []
    span = Span(START, START + 3 * DAY)
    simulate(
        past.store,
        rule("unpriced"),
        span=span,
        zone=past.zone,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1][0] == told[-1][1] >= 3
    for metric in ("journal_backlog", "report"):
        with pytest.raises(InvalidInputError, match="has no history to simulate"):
            simulate(past.store, rule(metric), span=span, zone=past.zone)
    for bad in (Span(START, START), Span(START, START + LONGEST + MINUTE)):
        with pytest.raises(InvalidInputError, match="at most 92 days"):
            simulate(past.store, rule("unpriced"), span=bad, zone=past.zone)
