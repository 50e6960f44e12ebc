"""Steps in the store: who comes too late changes nothing and tells nobody."""

from uuid import UUID

import pytest

from service.alerts.event_log import EventFilter, get_delivery, get_event, list_events
from service.alerts.events import next_generations, open_events
from service.alerts.rules import (
    Begin,
    Clear,
    Drop,
    Fire,
    OpenEvent,
    Reading,
    Resolve,
    Rule,
    Step,
    Tell,
    Threshold,
)
from service.errors import NotFoundError, StoreUnavailableError
from service.keeper.leadership import NotLeaderError
from service.store.engine import Store
from tests.alerts.making import MINUTE, NOW, reading
from tests.support.alert_town import Town

WARNING = Threshold("warning", "warning", 0.1)
READ: Reading = reading(0.3)


def apply(town: Town, rule: Rule, *steps: Step, generation: int = 0) -> list[str]:
    generations = {step.key: generation for step in steps if isinstance(step, Begin)}
    with town.store.write() as tx:
        done = town.events.apply(tx, rule, steps=steps, generations=generations, now=town.clock.now())
    return [one.what for one in done]


def opened(town: Town, rule: Rule) -> OpenEvent:
    with town.store.read() as tx:
        (found,) = open_events(tx, rule.id)
    return found


@pytest.fixture
def fails(town: Town) -> Rule:
    town.channel(kind="log")
    return town.rule("error_rate")


def test_a_claim_is_made_once(town: Town, fails: Rule) -> None:
    assert apply(town, fails, Begin(READ, WARNING, firing=True, tell=True)) == ["fired"]
    assert apply(town, fails, Begin(READ, WARNING, firing=True, tell=True)) == []
    assert len(town.payloads()) == 1
    with town.store.read() as tx:
        key = ("all", READ.period, "warning")
        assert next_generations(tx, fails.id, claims=[key, ("other", READ.period, "warning")]) == {key: 1}
        assert next_generations(tx, fails.id, claims=[]) == {}
    assert apply(town, fails, Begin(READ, WARNING, firing=True, tell=True), generation=1) == ["fired"]


def test_every_later_step_is_taken_once(town: Town, fails: Rule) -> None:
    apply(town, fails, Begin(READ, WARNING, firing=False, tell=False))
    pending = opened(town, fails)
    assert apply(town, fails, Fire(pending, READ, WARNING, tell=True)) == ["fired"]
    assert apply(town, fails, Fire(pending, READ, WARNING, tell=True)) == []
    assert apply(town, fails, Drop(pending)) == []
    firing = opened(town, fails)
    assert (firing.state, firing.told) == ("firing", 1)
    assert apply(town, fails, Tell(firing, READ, WARNING)) == ["told"]
    assert apply(town, fails, Tell(firing, READ, WARNING)) == []
    apply(town, fails, Clear(firing, clear=True))
    clearing = opened(town, fails)
    assert clearing.clear_at == town.clock.now()
    assert apply(town, fails, Resolve(firing, READ)) == []  # decided before it was clearing
    assert apply(town, fails, Resolve(clearing, reading(0.01))) == ["resolved"]
    assert apply(town, fails, Resolve(clearing, None)) == []
    assert [one["type"] for one in town.payloads()] == ["alert.firing", "alert.firing", "alert.resolved"]
    assert [one.value for one in town.alerts()] == [0.01]


def test_whoever_was_not_told_is_not_told_of_the_end(town: Town, fails: Rule) -> None:
    apply(town, fails, Begin(READ, WARNING, firing=True, tell=False))
    assert apply(town, fails, Resolve(opened(town, fails), None)) == ["resolved"]
    assert town.payloads() == []


def test_an_untold_confirmation_is_told_later(town: Town, fails: Rule) -> None:
    apply(town, fails, Begin(READ, WARNING, firing=False, tell=False))
    assert apply(town, fails, Fire(opened(town, fails), READ, WARNING, tell=False)) == ["fired"]
    assert opened(town, fails).told == 0


def test_messages_link_to_the_dashboard(store: Store) -> None:
    town = Town(store, dashboard_url="https://tolls.example")
    town.channel(kind="log")
    rule = town.rule("error_rate")
    apply(town, rule, Begin(READ, WARNING, firing=True, tell=True))
    (event,) = town.alerts()
    assert town.payloads()[0]["links"] == {"dashboard": f"https://tolls.example/alerts?event={event.id}"}


def test_only_the_rules_channels_are_told(town: Town) -> None:
    one, _ = town.channel("one", kind="log")
    town.channel("other", kind="log")
    rule = town.rule("error_rate", channels=[one])
    apply(town, rule, Begin(READ, WARNING, firing=True, tell=True))
    assert [found.channel_id for found in town.deliveries()] == [one]


def test_pending_events_are_shown_where_they_are_asked_for(town: Town, fails: Rule) -> None:
    apply(town, fails, Begin(READ, WARNING, firing=False, tell=False))
    assert (town.alerts(), len(town.alerts(state="pending"))) == ([], 1)
    with town.store.read() as tx:
        assert list_events(tx, EventFilter(since=NOW, until=NOW + MINUTE, state="pending"), limit=9) == []
        for get in (get_event, get_delivery):
            with pytest.raises(NotFoundError):
                get(tx, UUID(int=5))


def test_who_does_not_lead_does_nothing(town: Town, fails: Rule) -> None:
    town.record(count=30, outcome="timeout")
    assert fails.metric == "error_rate"

    def fence(_tx: object) -> None:
        raise NotLeaderError("another keeper leads")

    with pytest.raises(NotLeaderError):
        town.watcher(fence=fence).watch_budgets() or town.watcher(fence=fence).watch()
    assert town.alerts(state="pending") == []


def test_a_store_that_is_away_is_told_to_whoever_asks(town: Town, fails: Rule) -> None:
    watcher = town.watcher()
    assert fails.id

    def reading_fails(*_: object, **__: object) -> object:
        raise StoreUnavailableError("away")

    watcher._read = reading_fails  # type: ignore[method-assign,assignment]
    with pytest.raises(StoreUnavailableError):
        watcher.watch()


def test_a_period_is_reported_once(town: Town) -> None:
    rule = town.rule("report")
    read = reading(4.0, period=NOW)
    for expected in (["told"], []):
        with town.store.write() as tx:
            done = town.events.report(
                tx, rule, reading=read, threshold=Threshold("report", "info", None), text="spent", now=NOW
            )
        assert [one.what for one in done] == expected
    assert [(one.state, one.summary) for one in town.alerts()] == [("resolved", "spent")]
