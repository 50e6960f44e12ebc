"""Budgets in the store: made, changed, deleted, and how they stand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.exc import DBAPIError

from service.budgets import leases
from service.budgets.answers import Want
from service.budgets.charges import Charge, Spending
from service.budgets.policy import RequestFacts, Scope, TemporaryRaise
from service.budgets.registry import BudgetRegistry, load_budgets
from service.budgets.settling import settle_flush
from service.budgets.values import BudgetChanges, GivenRaise, GivenScope, NewBudget
from service.budgets.windows import WindowRule
from service.errors import InvalidInputError, NotFoundError
from service.store.budget_tables import budget as budget_table
from service.store.engine import Store
from service.store.revision import read_revision
from service.store.tables import virtual_key
from service.store.types import to_micros
from tests.budgets.making import T0, TTL, USD, registry, stored
from tests.support.clock import HandClock

NEW = NewBudget(scope=GivenScope("global"), limit_usd="10.00", window="day")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def budgets(clock: HandClock) -> BudgetRegistry:
    return registry(clock)


def revision(store: Store) -> int:
    with store.read() as tx:
        return read_revision(tx)


def test_a_budget_is_kept_as_it_was_given(store: Store, budgets: BudgetRegistry) -> None:
    new = NewBudget(
        scope=GivenScope("end_user", "*"),
        limit_usd="0.000000001",
        window="month",
        timezone="Asia/Kathmandu",
        anchor_day=31,
        mode="soft",
        models=["gpt-*", "o3"],
        thresholds=(1.0, 0.25),
    )
    with store.write() as tx:
        made = budgets.create(tx, new)
    with store.read() as tx:
        assert budgets.get(tx, made.budget.id) == made
        found = load_budgets(tx).find(made.budget.id)
    assert found == made.budget
    assert made.budget.scope == Scope("end_user", "*")
    assert made.budget.rule == WindowRule("month", "Asia/Kathmandu", 31)
    assert (made.budget.limit_nanos, made.budget.mode) == (1, "soft")
    assert (made.budget.models, made.budget.thresholds) == (("gpt-*", "o3"), (0.25, 1.0))
    assert made.created_at == T0


def test_every_change_is_a_new_revision_and_a_new_version(
    store: Store, budgets: BudgetRegistry, clock: HandClock
) -> None:
    with store.write() as tx:
        budget = budgets.create(tx, NEW).budget
    first = revision(store)
    clock.advance(timedelta(seconds=1))
    with store.write() as tx:
        same = budgets.update(tx, budget.id, changes=BudgetChanges())
        changed = budgets.update(tx, budget.id, changes=BudgetChanges(limit_usd="3"))
    assert same.budget == budget
    assert changed.budget.limit_nanos == 3 * USD
    assert changed.budget.version > budget.version
    assert revision(store) == first + 1
    with store.write() as tx:
        budgets.delete(tx, budget.id)
    assert revision(store) == first + 2


def test_a_version_grows_even_where_the_clock_does_not(store: Store, budgets: BudgetRegistry) -> None:
    with store.write() as tx:
        budget = budgets.create(tx, NEW).budget
        changed = budgets.update(tx, budget.id, changes=BudgetChanges(limit_usd="3")).budget
    assert changed.version > budget.version


def test_a_raise_comes_and_goes(store: Store, budgets: BudgetRegistry) -> None:
    until = T0 + timedelta(hours=1)
    with store.write() as tx:
        budget = budgets.create(tx, NEW).budget
        raised = budgets.update(
            tx, budget.id, changes=BudgetChanges(temporary_raise=GivenRaise("5", until))
        ).budget
        ended = budgets.update(tx, budget.id, changes=BudgetChanges(temporary_raise=None)).budget
    assert raised.raised == TemporaryRaise(5 * USD, until)
    assert ended.raised is None


def test_a_deleted_budget_is_gone_but_for_its_history(store: Store, budgets: BudgetRegistry) -> None:
    with store.write() as tx:
        budget = budgets.create(tx, NEW).budget
        budgets.delete(tx, budget.id)
    with store.read() as tx:
        assert len(load_budgets(tx)) == 0
        assert budgets.list(tx, limit=10) == []
        for step in (budgets.get, budgets.delete):
            with pytest.raises(NotFoundError):
                step(tx, budget.id)
        with pytest.raises(NotFoundError):
            budgets.update(tx, budget.id, changes=BudgetChanges(limit_usd="1"))


@pytest.mark.parametrize("identifier", ["", "bud_x", "bud_' OR 1=1", "x" * 500, "bud_\x00"])
def test_an_id_of_no_budget_is_not_found(store: Store, budgets: BudgetRegistry, identifier: str) -> None:
    with store.read() as tx, pytest.raises(NotFoundError):
        budgets.get(tx, identifier)


def test_pages_are_newest_first(store: Store, budgets: BudgetRegistry, clock: HandClock) -> None:
    made = []
    for _ in range(5):
        with store.write() as tx:
            made.append(budgets.create(tx, NEW))
        clock.advance(timedelta(seconds=1))
    with store.read() as tx:
        first = budgets.list(tx, limit=3)
        rest = budgets.list(tx, limit=3, after=(first[-1].created_at, first[-1].budget.id))
    assert [*first, *rest] == made[::-1]


def test_a_key_that_does_not_exist_has_no_budget(store: Store, budgets: BudgetRegistry) -> None:
    new = NewBudget(scope=GivenScope("key", "key_unknown"), limit_usd="1", window="day")
    with pytest.raises(InvalidInputError, match="key_unknown") as caught, store.write() as tx:
        budgets.create(tx, new)
    assert caught.value.field == "scope.id"
    dates = {"created_at": T0, "updated_at": T0}
    with store.write() as tx:
        tx.execute(insert(virtual_key).values(id="key_unknown", name="n", project="p", **dates))
        made = budgets.create(tx, new)
    with store.read() as tx:
        facts = RequestFacts("key_unknown", "p", None, "m")
        assert [each.place for each in load_budgets(tx).applying(facts)] == [(made.budget.id, "")]


def test_how_a_budget_stands(store: Store, budgets: BudgetRegistry, clock: HandClock) -> None:
    budget = stored(store, limit_nanos=100, budgets=budgets)
    with store.read() as tx:
        [untouched] = budgets.standings(tx, budget)
    assert (untouched.spent_nanos, untouched.held_nanos, untouched.remaining_nanos) == (0, 0, 100)
    spending = Spending()
    spending.add([Charge(budget.id, "", 1, 60)], cost_nanos=25, started_at=to_micros(T0))
    with store.write() as tx:
        leases.acquire(tx, [Want((budget.id, ""), 1, 60, 60)], holder="r", now=T0, expires_at=T0 + TTL)
        settle_flush(tx, spending)
    with store.read() as tx:
        [standing] = budgets.standings(tx, budget)
    assert (standing.spent_nanos, standing.held_nanos, standing.remaining_nanos) == (25, 35, 40)
    assert standing.resets_at == datetime(2026, 3, 2, tzinfo=UTC)
    clock.advance(timedelta(days=1))
    with store.read() as tx:
        [following] = budgets.standings(tx, budget)
    assert (following.spent_nanos, following.starts_at) == (0, datetime(2026, 3, 2, tzinfo=UTC))


def test_each_subject_stands_for_itself(store: Store, budgets: BudgetRegistry) -> None:
    each = stored(store, limit_nanos=100, kind="end_user", scope_id="*", budgets=budgets)
    with store.write() as tx:
        for number, name in enumerate(("bob", "ann"), 1):
            wants = [Want((each.id, name), number, 10 * number, 0)]
            leases.acquire(tx, wants, holder="r", now=T0, expires_at=T0 + TTL)
    with store.read() as tx:
        standings = budgets.standings(tx, each)
        [ann] = budgets.standings(tx, each, subject="ann")
    assert [(standing.subject, standing.held_nanos) for standing in standings] == [("ann", 20), ("bob", 10)]
    assert ann == standings[0]


@pytest.mark.parametrize(
    "values",
    [
        {"limit_nanos": 0},
        {"limit_nanos": -1},
        {"limit_nanos": 10**18 + 1},
        {"raise_nanos": 0, "raise_until": T0},
        {"raise_nanos": 1},
        {"scope_kind": "team"},
        {"scope_id": "x"},
        {"window_kind": "year"},
        {"mode": "warn"},
        {"anchor_day": 0},
        {"anchor_day": 32},
    ],
)
def test_the_store_is_the_last_wall(store: Store, budgets: BudgetRegistry, values: dict[str, Any]) -> None:
    stored(store, budgets=budgets)
    with pytest.raises(DBAPIError, match=r"(?i)check"), store.write() as tx:
        tx.execute(update(budget_table).values(values))


def test_no_float_gets_into_a_limit(store: Store, budgets: BudgetRegistry) -> None:
    stored(store, budgets=budgets)
    with pytest.raises(DBAPIError), store.write() as tx:
        tx.execute(text("UPDATE budget SET limit_nanos = 'NaN'"))
