"""Budgets in the store: made, changed, deleted, and audited."""

import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.exc import DBAPIError

from service.audit.trail import AuditFilter
from service.budgets.policy import RequestFacts, Scope, TemporaryRaise
from service.budgets.registry import BudgetRegistry, budgets_of_key, load_budgets
from service.budgets.values import BudgetChanges, BudgetFilter, GivenRaise, GivenScope, NewBudget
from service.budgets.windows import WindowRule
from service.errors import InvalidInputError, NotFoundError
from service.keys.projects import ProjectRegistry
from service.store.budget_tables import budget as budget_table
from service.store.engine import Store
from service.store.revision import read_revision
from service.store.tables import virtual_key
from tests.budgets.making import BY, T0, USD, stored, trail
from tests.support.clock import HandClock

NEW = NewBudget(scope=GivenScope("global"), limit_usd="10.00", window="day")


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
        made = budgets.create(tx, new, by=BY)
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
        budget = budgets.create(tx, NEW, by=BY).budget
    first = revision(store)
    clock.advance(timedelta(seconds=1))
    with store.write() as tx:
        same = budgets.update(tx, budget.id, changes=BudgetChanges(), by=BY)
        changed = budgets.update(tx, budget.id, changes=BudgetChanges(limit_usd="3"), by=BY)
    assert same.budget == budget
    assert changed.budget.limit_nanos == 3 * USD
    assert changed.budget.version > budget.version
    assert revision(store) == first + 1
    with store.write() as tx:
        budgets.delete(tx, budget.id, by=BY)
    assert revision(store) == first + 2


def test_a_version_grows_even_where_the_clock_does_not(store: Store, budgets: BudgetRegistry) -> None:
    with store.write() as tx:
        budget = budgets.create(tx, NEW, by=BY).budget
        changed = budgets.update(tx, budget.id, changes=BudgetChanges(limit_usd="3"), by=BY).budget
    assert changed.version > budget.version


def test_a_raise_comes_and_goes(store: Store, budgets: BudgetRegistry) -> None:
    until = T0 + timedelta(hours=1)
    with store.write() as tx:
        budget = budgets.create(tx, NEW, by=BY).budget
        raised = budgets.update(
            tx, budget.id, changes=BudgetChanges(temporary_raise=GivenRaise("5", until)), by=BY
        ).budget
        ended = budgets.update(tx, budget.id, changes=BudgetChanges(temporary_raise=None), by=BY).budget
    assert raised.raised == TemporaryRaise(5 * USD, until)
    assert ended.raised is None


def test_a_deleted_budget_is_gone_but_for_its_history(store: Store, budgets: BudgetRegistry) -> None:
    with store.write() as tx:
        budget = budgets.create(tx, NEW, by=BY).budget
        budgets.delete(tx, budget.id, by=BY)
    with store.read() as tx:
        assert len(load_budgets(tx)) == 0
        assert budgets.list(tx, limit=10) == []
        with pytest.raises(NotFoundError):
            budgets.get(tx, budget.id)
        assert budgets.get(tx, budget.id, deleted=True).deleted_at == T0
    with store.write() as tx:
        with pytest.raises(NotFoundError):
            budgets.delete(tx, budget.id, by=BY)
        with pytest.raises(NotFoundError):
            budgets.update(tx, budget.id, changes=BudgetChanges(limit_usd="1"), by=BY)


@pytest.mark.parametrize("identifier", ["", "bud_x", "bud_' OR 1=1", "x" * 500, "bud_\x00"])
def test_an_id_of_no_budget_is_not_found(store: Store, budgets: BudgetRegistry, identifier: str) -> None:
    with store.read() as tx, pytest.raises(NotFoundError):
        budgets.get(tx, identifier)


def test_pages_are_newest_first(store: Store, budgets: BudgetRegistry, clock: HandClock) -> None:
    made = []
    for _ in range(5):
        with store.write() as tx:
            made.append(budgets.create(tx, NEW, by=BY))
        clock.advance(timedelta(seconds=1))
    with store.read() as tx:
        first = budgets.list(tx, limit=3)
        rest = budgets.list(tx, limit=3, after=(first[-1].created_at, first[-1].budget.id))
    assert [*first, *rest] == made[::-1]


def test_a_key_that_does_not_exist_has_no_budget(store: Store, budgets: BudgetRegistry) -> None:
    new = NewBudget(scope=GivenScope("key", "key_unknown"), limit_usd="1", window="day")
    with pytest.raises(InvalidInputError, match="key_unknown") as caught, store.write() as tx:
        budgets.create(tx, new, by=BY)
    assert caught.value.field == "scope.id"
    dates = {"created_at": T0, "updated_at": T0}
    with store.write() as tx:
        tx.execute(insert(virtual_key).values(id="key_unknown", name="n", project="p", **dates))
        made = budgets.create(tx, new, by=BY)
    with store.read() as tx:
        facts = RequestFacts("key_unknown", "p", None, "m")
        assert [each.place for each in load_budgets(tx).applying(facts)] == [(made.budget.id, "")]


def test_a_projects_budget_needs_the_project_and_goes_by_its_name(
    store: Store, budgets: BudgetRegistry, clock: HandClock
) -> None:
    projects = ProjectRegistry(now=clock.now, random_bytes=random.Random(1).randbytes, trail=trail(clock))
    new = NewBudget(scope=GivenScope("project", "search"), limit_usd="1", window="day")
    with pytest.raises(InvalidInputError, match="search") as caught, store.write() as tx:
        budgets.create(tx, new, by=BY)
    assert caught.value.field == "scope.id"
    with store.write() as tx:
        made = projects.ensure(tx, "search", by=BY)
        for identifier in ("search", made.id):
            given = NewBudget(scope=GivenScope("project", identifier), limit_usd="1", window="day")
            assert budgets.create(tx, given, by=BY).budget.scope == Scope("project", "search")


def test_lists_by_scope(store: Store, budgets: BudgetRegistry) -> None:
    kept = stored(store, kind="end_user", scope_id="ann", budgets=budgets)
    stored(store, kind="end_user", scope_id="bob", budgets=budgets)
    gone = stored(store, budgets=budgets)
    with store.write() as tx:
        budgets.delete(tx, gone.id, by=BY)

    def ids(wanted: BudgetFilter) -> set[str]:
        with store.read() as tx:
            return {found.budget.id for found in budgets.list(tx, limit=9, wanted=wanted)}

    assert ids(BudgetFilter(kind="end_user", id="ann")) == {kept.id}
    assert len(ids(BudgetFilter(kind="end_user"))) == 2
    assert ids(BudgetFilter(kind="global")) == set()
    assert ids(BudgetFilter(kind="global", deleted=True)) == {gone.id}


def test_every_change_is_audited(store: Store, budgets: BudgetRegistry, clock: HandClock) -> None:
    with store.write() as tx:
        budget = budgets.create(tx, NEW, by=BY).budget
        budgets.update(tx, budget.id, changes=BudgetChanges(limit_usd="3", timezone="Asia/Tokyo"), by=BY)
        budgets.update(tx, budget.id, changes=BudgetChanges(), by=BY)
        raised = BudgetChanges(temporary_raise=GivenRaise("5", T0 + timedelta(hours=1)))
        budgets.update(tx, budget.id, changes=raised, by=BY)
        budgets.delete(tx, budget.id, by=BY)
    with store.read() as tx:
        deleted, more, changed, made = trail(clock).list(tx, AuditFilter(target=budget.id), limit=9)
    assert [entry.actor for entry in (made, changed, deleted)] == [BY] * 3
    assert (made.action, made.before) == ("budget.create", None)
    assert made.after == {
        "scope": {"kind": "global", "id": None},
        "models": None,
        "limit_usd": "10.00",
        "window": "day",
        "timezone": "UTC",
        "anchor_day": 1,
        "mode": "hard",
        "thresholds": [0.5, 0.8, 1.0],
        "raise": None,
    }
    assert changed.before == {"limit_usd": "10.00", "timezone": "UTC"}
    assert changed.after == {"limit_usd": "3.00", "timezone": "Asia/Tokyo"}
    assert more.after == {"raise": {"amount_usd": "5.00", "until": "2026-03-01T13:00:00Z"}}
    assert (deleted.action, deleted.after) == ("budget.delete", None)
    assert deleted.before is not None
    assert deleted.before["limit_usd"] == "3.00"


def test_a_refused_change_leaves_no_entry(store: Store, budgets: BudgetRegistry, clock: HandClock) -> None:
    budget = stored(store, budgets=budgets)
    with pytest.raises(InvalidInputError), store.write() as tx:
        budgets.update(tx, budget.id, changes=BudgetChanges(limit_usd="0"), by=BY)
    with store.read() as tx:
        assert len(trail(clock).list(tx, AuditFilter(), limit=9)) == 1


def test_the_budgets_of_a_key_and_its_project(store: Store, budgets: BudgetRegistry) -> None:
    each_key = stored(store, kind="key", scope_id="*", budgets=budgets)
    each_project = stored(store, kind="project", scope_id="*", budgets=budgets)
    stored(store, kind="end_user", scope_id="*", budgets=budgets)
    stored(store, budgets=budgets)
    with store.read() as tx:
        found = budgets_of_key(tx, key_id="key_1", project="p")
    assert {one.id for one in found} == {each_key.id, each_project.id}


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
