"""Metrics of usage against the books: what fires, for whom, over which window, and what does not."""

from datetime import timedelta

import pytest

from service.alerts.event_log import AlertEvent
from service.alerts.values import RuleChanges
from service.alerts.watcher import AlertWatcher
from tests.support.alert_town import Town
from tests.support.audit import TESTER

SECOND = timedelta(seconds=1)
TICK = timedelta(seconds=61)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def look(town: Town, watcher: AlertWatcher | None = None, *, times: int = 2) -> list[AlertEvent]:
    """Evaluate, and again when what is pending is confirmed; what fires then."""
    mine = watcher or town.watcher()
    for number in range(times):
        if number:
            town.pass_time(TICK)
        mine.watch()
    return town.alerts(state="firing")


def test_the_error_rate_of_the_last_quarter_of_an_hour(town: Town) -> None:
    town.rule("error_rate")
    town.record(count=85)
    town.record(count=14, outcome="upstream_error", http_status=500)
    town.record(count=1, outcome="client_disconnect")
    (found,) = look(town)
    assert (found.severity, found.value, found.subject) == ("warning", 0.14, "all")
    assert found.summary == "All requests: the error rate in 15m is 14 %, threshold 10 %"
    town.pass_time(15 * MINUTE)
    town.record(count=50)
    watcher = town.watcher()
    watcher.watch()
    town.pass_time(5 * MINUTE)
    watcher.watch()
    assert [one.state for one in town.alerts()] == ["resolved"]


def test_a_crossing_of_a_moment_is_none(town: Town) -> None:
    town.rule("error_rate", window="1m", min_requests=1, critical=0.5)
    town.record(outcome="timeout")
    watcher = town.watcher()
    watcher.watch()
    assert [one.state for one in town.alerts(state="pending")] == ["pending"]
    assert town.alerts() == []
    town.pass_time(2 * MINUTE)
    watcher.watch()
    assert town.alerts(state="pending") == []


def test_too_few_requests_raise_nothing(town: Town) -> None:
    town.rule("error_rate", min_requests=20)
    town.record(count=19, outcome="timeout")
    assert look(town) == []
    town.record(outcome="timeout")
    assert [one.severity for one in look(town)] == ["warning", "critical"]


def test_filters_and_groups(town: Town) -> None:
    town.rule("error_rate", group_by=["key", "model"], filter={"project": "alpha"}, min_requests=1)
    town.key("beta")
    town.record(count=3, project="alpha", key_id="key_beta", outcome="timeout")
    town.record(count=3, project="alpha", key_id="key_fine")
    town.record(count=3, project="other", key_id="key_other", outcome="timeout")
    found = look(town)
    assert {one.subject for one in found} == {"key=key_beta, model=gpt-4o"}
    assert found[0].details["about"] == "Key beta, model gpt-4o"


@pytest.mark.parametrize("window", ["10m", "2h"])
def test_latency_from_records_and_from_rollups(town: Town, window: str) -> None:
    town.rule("p95_latency_ms", window=window, warning=2000.0, min_requests=10)
    town.rule("p95_ttft_ms", window=window, warning=900.0, min_requests=10)
    town.record(count=90, duration_ms=100.0)
    assert look(town) == []
    town.record(count=10, duration_ms=5000.0, ttft_ms=1500.0, stream=True)
    assert sorted(one.metric for one in look(town)) == ["p95_latency_ms", "p95_ttft_ms"]


def test_spending_of_each_end_user(town: Town) -> None:
    town.rule("spend", group_by=["end_user"], warning=5.0, window="1d")
    for user, usd in (("anna", 5.5), ("bert", 4.5)):
        town.spend(usd, end_user=user)
    (found,) = look(town)
    assert (found.subject, found.value) == ("end_user=anna", 5.5)


def test_requests_without_a_price(town: Town) -> None:
    town.rule("unpriced")
    town.record(count=2)
    assert look(town) == []
    town.record(cost_nanos=None, cost_status="unpriced", upstream_model="new-model")
    assert [one.value for one in look(town)] == [1.0]


def test_the_share_of_estimated_usage(town: Town) -> None:
    town.rule("estimated_share", window="15m", min_requests=10)
    town.record(count=15)
    town.record(count=5, usage_source="estimated")
    town.record(count=40, usage_source="none", input_tokens=None, output_tokens=None)
    (found,) = look(town)
    assert found.value == 0.25


def test_an_upstream_that_is_down_counts_every_attempt(town: Town) -> None:
    """Also those that another upstream made good, which no client saw."""
    town.rule("upstream_down")
    town.record(count=5, upstream="first", final=False, outcome="upstream_error", http_status=503)
    town.record(count=5, upstream="second")
    town.record(count=6, upstream="picky", outcome="upstream_error", http_status=400)
    town.record(count=6, upstream=None, provider=None, outcome="rejected_auth", http_status=401)
    found = look(town)
    assert [(one.subject, one.severity, one.value) for one in found] == [("upstream=first", "critical", 1.0)]
    assert found[0].summary.startswith("Upstream first: the share of failed attempts in 5m is 100 %")


def test_an_unreachable_upstream_has_no_status(town: Town) -> None:
    town.rule("upstream_down", min_requests=2)
    town.record(outcome="upstream_error", http_status=None)
    town.record(outcome="timeout", http_status=504)
    assert [one.value for one in look(town)] == [1.0]


def test_unusual_spending_is_measured_by_the_same_weekday(town: Town) -> None:
    town.rule("spend_anomaly", window="1h", min_requests=1)
    now = town.clock.now()
    for weeks in range(1, 5):
        town.spend(1.0, at=now - weeks * 7 * DAY - 10 * MINUTE)
    town.spend(50.0, at=now - DAY)  # yesterday is no measure
    town.spend(2.9)
    assert look(town) == []
    town.spend(0.2)
    town.pass_time(MINUTE)
    found = look(town)
    assert [one.severity for one in found] == ["warning"]
    assert found[0].value == pytest.approx(3.1)
    assert "(3.10 USD against 1.00 USD)" in found[0].summary


def test_two_weeks_of_history_are_too_few(town: Town) -> None:
    town.rule("spend_anomaly", window="1h", min_requests=1)
    for weeks in (1, 2):
        town.spend(0.01, at=town.clock.now() - weeks * 7 * DAY)
    town.spend(100)
    assert look(town) == []


@pytest.mark.parametrize("minutes", [59, 61])
def test_silence_is_noticed_on_the_minute(town: Town, minutes: int) -> None:
    town.rule("silence", group_by=["key"], warning=60.0)
    key = town.key("a")
    now = town.clock.now()
    for offset in (3, 17, 44):  # wherever in its hour the last request lies
        town.record(at=now - DAY + offset * MINUTE, key_id=key)
    last = now - DAY + 44 * MINUTE
    town.pass_time(last + minutes * MINUTE - now + DAY - DAY)
    found = look(town)
    assert [one.subject for one in found] == (["key=key_a"] if minutes > 60 else [])


def test_a_key_that_sends_again_is_not_silent(town: Town) -> None:
    town.rule("silence", group_by=["key"], warning=30.0)
    key = town.key("a")
    town.record(key_id=key)
    watcher = town.watcher()
    town.pass_time(3 * HOUR)
    watcher.watch()
    town.pass_time(MINUTE)
    assert len(look(town, watcher, times=1)) == 1
    town.record(key_id=key)
    for _ in range(2):
        town.pass_time(5 * MINUTE)
        watcher.watch()
    assert [one.state for one in town.alerts()] == ["resolved"]


def test_a_revoked_key_is_silent_by_right(town: Town) -> None:
    town.rule("silence", group_by=["key"], warning=30.0)
    town.key("gone", revoked_at=town.clock.now())
    town.key("over", expires_at=town.clock.now())
    town.record(key_id="key_gone")
    town.record(key_id="key_over")
    town.pass_time(3 * HOUR)
    assert look(town) == []


def test_what_was_never_heard_is_not_missed(town: Town) -> None:
    town.rule("silence", group_by=["key"], warning=30.0, window="1d")
    town.key("a")
    town.record(at=town.clock.now() - 3 * DAY)
    assert look(town) == []


def test_silence_of_everything(town: Town) -> None:
    town.rule("silence", warning=30.0)
    assert look(town) == []
    town.record()
    town.pass_time(31 * MINUTE)
    assert [one.subject for one in look(town)] == ["all"]


def test_nothing_to_measure_alerts_where_the_rule_says_so(town: Town) -> None:
    town.rule("error_rate", no_data="alert", group_by=["project"])
    town.record(project="alpha")
    town.record(project="beta")
    town.pass_time(HOUR)
    town.record(project="beta")
    found = look(town)
    assert [(one.subject, one.severity, one.value) for one in found] == [("project=alpha", "warning", None)]
    town.rule("p95_latency_ms", critical=5.0, no_data="alert", window="1h", filter={"model": "absent"})
    assert ("all", "critical", None) in [(one.subject, one.severity, one.value) for one in look(town)]


def test_nothing_to_measure_of_a_dimension_of_the_records(town: Town) -> None:
    town.rule("error_rate", no_data="alert", group_by=["end_user"], window="30m")
    town.record(end_user="anna")
    town.pass_time(45 * MINUTE)
    assert [one.subject for one in look(town)] == ["end_user=anna"]


def test_a_changed_rule_ends_what_it_does_not_mean_any_more(town: Town) -> None:
    made = town.rule("error_rate", min_requests=1)
    town.record(count=5)
    town.record(count=5, outcome="timeout")
    watcher = town.watcher()
    assert len(look(town, watcher)) == 2
    with town.store.write() as tx:
        town.desk.rules.update(tx, made.id, changes=RuleChanges(warning=0.9, critical=None), by=TESTER)
    for _ in range(2):
        town.pass_time(5 * MINUTE)
        watcher.watch()
    assert {one.state for one in town.alerts()} == {"resolved"}


def test_a_rule_that_cannot_be_evaluated_keeps_no_other_from_it(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    town.rule("error_rate", name="good", min_requests=1)
    broken = town.rule("unpriced", name="broken")
    town.record(outcome="timeout")
    watcher = town.watcher()
    original = watcher._read

    def reading(tx: object, rule: object, **more: object) -> object:
        if rule.id == broken.id:  # type: ignore[attr-defined]
            raise ZeroDivisionError("a defect")
        return original(tx, rule, **more)  # type: ignore[arg-type]

    watcher._read = reading  # type: ignore[method-assign,assignment]
    assert {one.metric for one in look(town, watcher)} == {"error_rate"}
    assert capsys.readouterr().out.count("alert_rule_failed") == 1
    watcher._read = original  # type: ignore[method-assign]
    town.pass_time(TICK)
    watcher.watch()
    assert watcher._failing == set()


def test_a_defect_in_carrying_out_is_that_rules_own(town: Town, capsys: pytest.CaptureFixture[str]) -> None:
    town.rule("error_rate", name="good", min_requests=1)
    broken = town.rule("unpriced", name="broken")
    town.record(outcome="timeout", cost_nanos=None, cost_status="unpriced")
    watcher = town.watcher()
    original = watcher._events.apply

    def applying(tx: object, rule: object, **more: object) -> object:
        if rule.id == broken.id:  # type: ignore[attr-defined]
            raise ZeroDivisionError("a defect")
        return original(tx, rule, **more)  # type: ignore[arg-type]

    watcher._events.apply = applying  # type: ignore[method-assign,assignment]
    assert {one.metric for one in look(town, watcher)} == {"error_rate"}
    assert capsys.readouterr().out.count("alert_rule_failed") == 1
