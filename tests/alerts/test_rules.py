"""The state machine: ok, pending, firing, resolved; who is told, and how often."""

import itertools
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.alerts.metrics import METRICS
from service.alerts.replay import Replay
from service.alerts.rules import OpenEvent, Reading, Rule, crossed, decide, end_all, thresholds_of
from tests.alerts.making import DAY, HOUR, MINUTE, NOW, SECOND, event, reading, rule, said, shares


def steps(of: Rule, readings: list[Reading], *events: OpenEvent, complete: bool = True) -> list[str]:
    return said(decide(of, readings, events=events, now=NOW, complete=complete))


def test_below_its_thresholds_nothing_happens() -> None:
    assert steps(rule(), [reading(0.09)]) == []


@pytest.mark.parametrize(
    ("value", "expected"), [(0.1, ["warning"]), (0.5, ["warning", "critical"]), (0.099999, [])]
)
def test_a_threshold_is_reached_at_its_value(value: float, expected: list[str]) -> None:
    assert [one.claim for one in crossed(rule(), reading(value))] == expected


def test_a_crossing_is_pending_until_it_is_confirmed() -> None:
    pending = event(state="pending", seen_at=NOW - 5 * SECOND, told=0, told_at=None)
    assert steps(rule(), [reading(0.3)]) == ["begin warning"]
    assert steps(rule(), [reading(0.3)], pending) == []
    old = event(state="pending", seen_at=NOW - 10 * SECOND, told=0, told_at=None)
    assert steps(rule(), [reading(0.3)], old) == ["fire warning tell"]


def test_a_crossing_that_does_not_last_is_none() -> None:
    assert steps(rule(), [reading(0.0)], event(state="pending")) == ["drop warning"]
    assert steps(rule(), [], event(state="pending")) == ["drop warning"]


def test_a_firing_alert_is_told_once() -> None:
    assert steps(rule(), [reading(0.3)], event()) == []
    assert steps(rule(), [reading(0.4)], event(told_at=NOW - 30 * DAY)) == []


def test_it_is_told_again_only_where_the_rule_says_so() -> None:
    again = rule(renotify="4h")
    assert steps(again, [reading(0.3)], event(told_at=NOW - 3 * HOUR)) == []
    assert steps(again, [reading(0.3)], event(told_at=NOW - 4 * HOUR)) == ["tell warning"]


def test_of_thresholds_that_fire_together_the_highest_is_told() -> None:
    pending = [
        event(claim, id=UUID(int=number), state="pending", seen_at=NOW - MINUTE, told=0, told_at=None)
        for number, claim in enumerate(("warning", "critical"), start=1)
    ]
    assert steps(rule(), [reading(0.6)], *pending) == ["fire warning", "fire critical tell"]


def test_when_the_highest_has_ended_the_next_is_told() -> None:
    untold = event("warning", id=UUID(int=2), told=0, told_at=None)
    ending = event("critical", clear_at=NOW - HOUR)
    assert steps(rule(), [reading(0.3)], untold, ending) == ["tell warning", "resolve critical"]


def test_an_alert_that_gets_worse_is_told_as_critical() -> None:
    pending = event("critical", id=UUID(int=2), state="pending", told=0, told_at=None)
    assert steps(rule(), [reading(0.6)], event(), pending) == ["fire critical tell"]


def test_a_rate_that_dances_around_its_threshold_is_one_alert() -> None:
    assert steps(rule(), [reading(0.09)], event()) == ["clear warning"]
    assert steps(rule(), [reading(0.09)], event(clear_at=NOW - MINUTE)) == []
    assert steps(rule(), [reading(0.11)], event(clear_at=NOW - MINUTE)) == ["relapse warning"]
    assert steps(rule(), [reading(0.09)], event(clear_at=NOW - 5 * MINUTE)) == ["resolve warning"]


def test_a_relapse_may_be_due_for_telling_again() -> None:
    found = event(clear_at=NOW - MINUTE, told_at=NOW - HOUR)
    assert steps(rule(renotify="30m"), [reading(0.3)], found) == ["relapse warning", "tell warning"]


def test_too_few_requests_say_nothing() -> None:
    few = reading(1.0, enough=False)
    assert steps(rule(), [few]) == []
    assert steps(rule(), [few], event(clear_at=NOW - HOUR)) == ["resolve warning"]


def test_nothing_to_measure_is_fine_unless_the_rule_says_otherwise() -> None:
    assert steps(rule(), [reading(None)]) == []
    assert steps(rule(no_data="alert"), [reading(None)]) == ["begin no_data"]
    assert [one.severity for one in crossed(rule(no_data="alert"), reading(None))] == ["warning"]
    critical = rule("p95_latency_ms", critical=9.0, no_data="alert")
    assert [one.severity for one in crossed(critical, reading(None))] == ["critical"]


def test_while_muted_alerts_are_kept_but_nobody_is_told() -> None:
    muted = rule(muted_until=NOW + SECOND)
    pending = event(state="pending", told=0, told_at=None)
    assert steps(muted, [reading(0.3)], pending) == ["fire warning"]
    assert steps(muted, [reading(0.3)], event(told=0, told_at=None)) == []
    assert steps(rule(muted_until=NOW), [reading(0.3)], event(told=0, told_at=None)) == ["tell warning"]


def test_whoever_was_told_is_told_of_the_end_even_while_muted() -> None:
    muted = rule(muted_until=NOW + HOUR)
    assert steps(muted, [reading(0.0)], event(clear_at=NOW - HOUR)) == ["resolve warning"]


def test_what_was_not_looked_at_is_left_alone() -> None:
    other = event(subject="key=b", clear_at=NOW - HOUR)
    assert steps(rule(), [reading(0.0)], other, complete=False) == []
    assert steps(rule(), [reading(0.0)], other) == ["resolve warning"]


def test_a_budget_fires_at_once_and_each_threshold_once() -> None:
    used = reading(1.0, subject="bud_1", period=NOW - DAY, thresholds=shares(0.5, 0.8, 1.0))
    begun = ["begin 0.5 firing tell", "begin 0.8 firing tell", "begin 1 firing tell"]
    assert steps(rule("budget_used"), [used]) == begun
    half = event("0.5", subject="bud_1", period=NOW - DAY)
    assert steps(rule("budget_used"), [used], half) == begun[1:]


def test_a_budget_is_resolved_at_once_by_the_next_period_or_a_raised_limit() -> None:
    fired = event("0.5", subject="bud_1", period=NOW - DAY)
    raised = reading(0.4, subject="bud_1", period=NOW - DAY, thresholds=shares(0.5))
    assert steps(rule("budget_used"), [raised], fired) == ["resolve 0.5"]
    following = reading(0.6, subject="bud_1", period=NOW, thresholds=shares(0.5))
    assert steps(rule("budget_used"), [following], fired) == ["begin 0.5 firing tell", "resolve 0.5"]


def test_a_rule_that_is_no_more_ends_its_alerts() -> None:
    assert said(end_all([event(), event("critical", state="pending")])) == [
        "resolve warning",
        "drop critical",
    ]


def test_the_rule_has_the_thresholds_that_are_given() -> None:
    assert [one.claim for one in thresholds_of(rule(critical=0.9))] == ["critical"]
    assert [one.claim for one in thresholds_of(rule(warning=0.2, critical=0.9))] == ["warning", "critical"]


def test_a_rule_without_thresholds_takes_those_of_the_reading() -> None:
    assert crossed(rule("budget_used"), reading(9.0)) == ()
    assert len(crossed(rule("budget_used"), reading(9.0, thresholds=shares(0.5, 1)))) == 2


@given(
    values=st.lists(st.sampled_from([None, 0.0, 0.09, 0.1, 0.3, 0.5, 0.9]), max_size=40),
    gap=st.sampled_from([SECOND, 20 * SECOND, 3 * MINUTE, HOUR]),
)
def test_whatever_is_read_alerts_of_a_claim_follow_each_other(
    values: list[float | None], gap: timedelta
) -> None:
    replay = Replay(rule())
    for number, value in enumerate(values):
        replay.take([reading(value)], at=NOW + number * gap)
    for severity, limit in (("warning", 0.1), ("critical", 0.5)):
        raised = [one for one in replay.raised if one.severity == severity]
        assert all(one.value is not None and one.value >= limit for one in raised)
        for one, following in itertools.pairwise(raised):
            assert one.resolved_at is not None
            assert one.fired_at + 5 * MINUTE <= one.resolved_at <= following.fired_at


def test_every_metric_says_what_it_is() -> None:
    for name, metric in METRICS.items():
        assert (metric.name, metric.says[-1:]) == (name, ".")
