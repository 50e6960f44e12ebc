"""Rules in the store: created, changed, muted, deleted, and every change in the audit log."""

from datetime import datetime, timedelta

import pytest

from service.alerts.defaults import DEFAULTS, ensure_defaults
from service.alerts.registry import load_rules, load_rules_by_id, mute_until
from service.alerts.values import NewRule, RuleChanges
from service.errors import InvalidInputError, NotFoundError
from tests.support.alert_town import Town
from tests.support.audit import TESTER, audited

HOUR = timedelta(hours=1)


def rules(town: Town) -> list[str]:
    with town.store.read() as tx:
        return [rule.name for rule in load_rules(tx)]


def test_a_rule_is_kept_as_it_was_given(town: Town) -> None:
    channel, _ = town.channel(kind="log")
    made = town.rule("spend", name="Costly", warning=5.0, group_by=["key"], channels=[channel])
    with town.store.read() as tx:
        assert town.desk.rules.get(tx, made.id) == made
        assert town.desk.rules.find(tx, "Costly") == made
        assert town.desk.rules.find(tx, made.id) == made
    (entry,) = audited(town.store, "alert_rule.*", trail=town.trail)
    assert (entry.action, entry.target.name, entry.before) == ("alert_rule.create", "Costly", None)
    assert entry.after is not None
    assert entry.after["warning"] == 5.0


def test_a_change_is_audited_with_what_it_changed(town: Town) -> None:
    made = town.rule("error_rate", name="Fails")
    with town.store.write() as tx:
        changed = town.desk.rules.update(
            tx, made.id, changes=RuleChanges(name="Fails often", warning=0.2), by=TESTER
        )
        assert town.desk.rules.update(tx, made.id, changes=RuleChanges(warning=0.2), by=TESTER) == changed
    assert (changed.name, changed.warning, changed.critical) == ("Fails often", 0.2, 0.5)
    entry = audited(town.store, "alert_rule.update", trail=town.trail)[0]
    assert (entry.before, entry.after) == (
        {"name": "Fails", "warning": 0.1},
        {"name": "Fails often", "warning": 0.2},
    )
    assert len(audited(town.store, "alert_rule.update", trail=town.trail)) == 1


def test_pages_go_from_new_to_old(town: Town) -> None:
    for number in range(5):
        town.rule("unpriced", name=f"rule {number}")
        town.pass_time(timedelta(seconds=1))
    with town.store.read() as tx:
        first = town.desk.rules.list(tx, limit=3)
        rest = town.desk.rules.list(tx, limit=3, after=(first[-1].created_at, first[-1].id))
    assert [one.name for one in (*first, *rest)] == [f"rule {number}" for number in (4, 3, 2, 1, 0)]


def test_a_deleted_rule_is_no_more_and_its_alerts_end(town: Town) -> None:
    made = town.rule()
    town.channel(kind="log")
    budget = town.budget()
    town.spend(6, charged=[(budget, "")])
    watcher = town.watcher()
    watcher.watch_budgets()
    with town.store.write() as tx:
        town.desk.rules.delete(tx, made.id, by=TESTER)
    watcher.watch()
    assert [one.state for one in town.alerts()] == ["resolved"]
    assert [one["type"] for one in town.payloads()] == ["alert.firing", "alert.resolved"]
    assert rules(town) == []
    with town.store.read() as tx:
        assert [rule.id for rule in load_rules_by_id(tx, {made.id})] == [made.id]
        assert load_rules_by_id(tx, set()) == []
        with pytest.raises(NotFoundError, match="no rule has the id"):
            town.desk.rules.get(tx, made.id)


def test_names_have_to_be_unambiguous(town: Town) -> None:
    for _ in range(2):
        town.rule("unpriced", name="Same")
        town.pass_time(timedelta(seconds=1))
    with town.store.read() as tx:
        with pytest.raises(InvalidInputError, match="several rules are named 'Same'; give the id"):
            town.desk.rules.find(tx, "Same")
        for name in ("Other", "rule_absent", "with\x00nul"):
            with pytest.raises(NotFoundError):
                town.desk.rules.find(tx, name)
        with pytest.raises(NotFoundError):
            town.desk.rules.get(tx, "absent")


def test_a_channel_has_to_exist(town: Town) -> None:
    with pytest.raises(InvalidInputError, match="no channel has the id 'chn_absent'") as refused:
        town.rule("unpriced", channels=["chn_absent"])
    assert refused.value.field == "channels"
    made = town.rule("unpriced")
    with pytest.raises(InvalidInputError, match="no channel has the id"), town.store.write() as tx:
        town.desk.rules.update(tx, made.id, changes=RuleChanges(channels=["chn_absent"]), by=TESTER)


def test_a_muted_rule_tells_nobody_and_says_afterwards_what_lasts(town: Town) -> None:
    made = town.rule(critical=0.5)
    town.channel(kind="log")
    budget = town.budget()
    with town.store.write() as tx:
        until = mute_until("2h", None, now=town.clock.now())
        assert town.desk.rules.mute(tx, made.id, until=until, by=TESTER).muted_until == until
    town.spend(6, charged=[(budget, "")])
    watcher = town.watcher()
    watcher.watch_budgets()
    assert ([one.state for one in town.alerts()], town.payloads()) == (["firing"], [])
    town.pass_time(2 * HOUR)
    watcher.watch()
    assert [one["type"] for one in town.payloads()] == ["alert.firing"]
    assert [entry.action for entry in audited(town.store, "alert_rule.mute", trail=town.trail)] == [
        "alert_rule.mute"
    ]


def test_a_rule_can_be_unmuted_before_its_time(town: Town) -> None:
    made = town.rule("unpriced")
    with town.store.write() as tx:
        town.desk.rules.mute(tx, made.id, until=town.clock.now() + HOUR, by=TESTER)
        assert town.desk.rules.unmute(tx, made.id, by=TESTER).muted_until is None


def test_a_silence_has_an_end_in_the_future(town: Town) -> None:
    made = town.rule("unpriced")
    now = town.clock.now()
    for until in (now, now + timedelta(days=367), datetime(2027, 1, 1)):  # noqa: DTZ001  (that is refused)
        with pytest.raises(InvalidInputError, match="next 366 days"), town.store.write() as tx:
            town.desk.rules.mute(tx, made.id, until=until, by=TESTER)
    assert mute_until(None, now, now=now) == now
    for both in ((None, None), ("1h", now)):
        with pytest.raises(InvalidInputError, match="either for how long"):
            mute_until(*both, now=now)


def test_a_new_store_has_default_rules_which_stay_away_once_deleted(town: Town) -> None:
    with town.store.write() as tx:
        assert ensure_defaults(tx, town.desk.rules) == len(DEFAULTS)
    assert sorted(rules(town)) == sorted(new.name for new in DEFAULTS)
    with town.store.write() as tx:
        for rule in load_rules(tx):
            town.desk.rules.delete(tx, rule.id, by=TESTER)
    with town.store.write() as tx:
        assert ensure_defaults(tx, town.desk.rules) == 0
    assert rules(town) == []


def test_default_rules_raise_nothing_on_an_empty_store(town: Town) -> None:
    with town.store.write() as tx:
        ensure_defaults(tx, town.desk.rules)
    watcher = town.watcher()
    for _ in range(3):
        watcher.watch_budgets()
        watcher.watch()
        town.pass_time(timedelta(minutes=5))
    assert town.alerts() == []


def test_default_rules_can_be_given_again() -> None:
    for new in DEFAULTS:
        assert isinstance(new, NewRule)
        assert new.checked()["name"] == new.name
