"""Where other gateways' alerts hurt their users; each mistake by its name."""

import json
from collections import Counter
from datetime import timedelta

import msgspec
import pytest

from service.alerts.courier import Courier
from service.alerts.values import NewRule
from service.budgets.values import GivenScope
from service.errors import InvalidInputError
from tests.support.alert_town import Town
from tests.support.receivers import Answer, receiver
from tests.support.relay import until

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def test_litellm_3738_one_crossing_is_one_message_whatever_is_sent_afterwards(town: Town) -> None:
    """There every request after the crossing sent the alert again."""
    town.rule(critical=0.8)
    town.channel(kind="log")
    budget = town.budget()
    watcher = town.watcher()
    town.spend(8, charged=[(budget, "")])
    for _ in range(30):
        town.spend(0.05, charged=[(budget, "")])
        town.pass_time(SECOND)
        watcher.watch_budgets()
        watcher.watch()
    assert [one["type"] for one in town.payloads()] == ["alert.firing"]


def test_litellm_35800_an_alert_that_fired_once_fires_again_in_the_next_period(town: Town) -> None:
    """There the mark "has alerted" was never taken away: silence for ever after."""
    town.rule(critical=0.8)
    town.channel(kind="log")
    budget = town.budget(window="day")
    for _ in range(3):
        town.spend(9, charged=[(budget, "")])
        watcher = town.watcher()
        watcher.watch_budgets()
        town.pass_time(timedelta(days=1))
        watcher.watch()
    assert [one["type"] for one in town.payloads()] == ["alert.firing", "alert.resolved"] * 3


def test_an_alert_does_not_wait_for_the_next_request(town: Town) -> None:
    """There thresholds are looked at when the next request comes in: the one that crossed them tells nobody."""
    town.rule(critical=1.0)
    town.channel(kind="log")
    budget = town.budget()
    town.spend(10, charged=[(budget, "")])  # the last request there will ever be
    town.watcher().watch_budgets()
    assert len(town.payloads()) == 1


def test_langfuse_714_alerts_on_a_users_consumption(town: Town) -> None:
    """Wanted there since 2023."""
    town.rule("spend", group_by=["end_user"], warning=5.0)
    town.rule()
    budget = town.budget("5.00", scope=GivenScope("end_user", "*"))
    for user, usd in (("anna", 6.0), ("bert", 1.0)):
        town.spend(usd, charged=[(budget, user)], end_user=user)
    watcher = town.watcher()
    watcher.watch_budgets()
    watcher.watch()
    town.pass_time(MINUTE)
    watcher.watch()
    assert {one.subject for one in town.alerts()} == {"end_user=anna", f"{budget.id}/anna"}


def test_bifrost_5673_a_rule_that_cannot_hold_is_refused_not_dropped(town: Town) -> None:
    """There a budget that was not understood was silently not saved."""
    for fields in ({"window": "1y"}, {"warning": -1.0}, {"group_by": ["nothing"]}):
        with pytest.raises(InvalidInputError) as refused:
            town.rule("error_rate", **fields)
        assert refused.value.field is not None
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"name":"a","metric":"spend","warning":1,"treshold":2}', type=NewRule)


def test_nan_disables_no_alert(town: Town) -> None:
    """There a budget of NaN is never reached and turns enforcement off."""
    for value in (float("nan"), float("inf"), -0.0):
        with pytest.raises(InvalidInputError, match="must be a number above 0"):
            town.rule("spend", warning=value)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(b'{"name":"a","metric":"spend","warning":NaN}', type=NewRule)


def test_new_api_one_threshold_is_not_enough_each_of_many_fires(town: Town) -> None:
    """There a quota has one threshold; here one request may jump over several, and each is told once."""
    town.rule()
    town.channel(kind="log")
    budget = town.budget(thresholds=(0.25, 0.5, 0.75, 0.9, 1.0))
    town.spend(12, charged=[(budget, "")])
    for _ in range(3):
        town.watcher().watch_budgets()
    assert Counter(one["threshold"] for one in town.payloads()) == dict.fromkeys(
        (0.25, 0.5, 0.75, 0.9, 1.0), 1
    )


def deliver(courier: Courier) -> None:
    courier.run_once()
    assert until(lambda: not courier.busy)


def test_a_lost_webhook_is_not_a_lost_alert(town: Town) -> None:
    """There a message that fails is logged and gone."""
    with receiver() as hook:
        hook.choose = lambda _got: Answer(503 if len(hook.got) < 4 else 200)
        town.channel("hook", url=hook.url)
        town.rule(critical=1.0)
        budget = town.budget()
        town.spend(10, charged=[(budget, "")])
        town.watcher().watch_budgets()
        for _ in range(6):
            deliver(town.courier())
            town.pass_time(MINUTE)
        assert [(one.state, one.attempts) for one in town.deliveries()] == [("delivered", 4)]
        assert len(hook.got) == 4


def test_several_workers_are_one_alert(town: Town) -> None:
    """There every worker keeps its own memory of what was sent."""
    town.rule(critical=0.5)
    town.channel(kind="log")
    budget = town.budget()
    town.spend(6, charged=[(budget, "")])
    for _ in range(8):
        town.watcher().watch_budgets()
    assert len(town.payloads()) == 1


def test_a_secret_of_a_channel_is_in_nothing_that_is_shown(town: Town) -> None:
    """There webhook URLs stand in the settings that every admin page returns."""
    with receiver() as hook:
        channel, secret = town.channel("hook", url=f"{hook.url}/t0ken")
        with town.store.read() as tx:
            shown = json.dumps(msgspec.to_builtins(town.desk.channels.get(tx, channel)))
    assert secret is not None
    assert secret not in shown
    assert "t0ken" not in shown
