"""Budgets: how each stands beside the registry's word, when it runs out, its history, and changes that are audited."""

from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.context import current
from service.audit.actor import Actor
from service.audit.trail import AuditFilter
from service.budgets.registry import StoredBudget
from service.budgets.standings import standing
from service.budgets.values import GivenScope, NewBudget
from service.keys.projects import NewProject
from service.store.engine import Store
from tests.dashboard.conftest import NOW, OpenPage
from tests.dashboard.pages import nanos, press, refusals, table

BY = Actor.system("test")


@pytest.fixture
def budget(books: Store, open_page: OpenPage) -> StoredBudget:
    open_page(books, "budgets")
    new = NewBudget(scope=GivenScope("project", "team-1"), limit_usd="40.00", window="month")
    with books.write() as tx:
        current().registries.projects.create(tx, NewProject(name="team-1"), by=BY)
        return current().registries.budgets.create(tx, new, by=BY)


def stored(store: Store) -> list[StoredBudget]:
    with store.read() as tx:
        return current().registries.budgets.list(tx, limit=10)


def selected(open_page: OpenPage, store: Store) -> AppTest:
    page = open_page(store, "budgets")
    page.session_state["budgets"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    return page.run()


def test_a_budget_stands_as_the_registry_says(
    books: Store, open_page: OpenPage, budget: StoredBudget
) -> None:
    (row,) = (one for _, one in table(open_page(books, "budgets"), "Held").iterrows())
    with books.read() as tx:
        found = standing(tx, budget.budget, "", at=NOW)
    assert row["Who"] == "project team-1"
    amounts = nanos([row["Spent"], row["Held"], row["Limit"], row["Left"]])
    assert amounts == [found.spent_nanos, found.held_nanos, found.limit_nanos, found.remaining_nanos]
    assert row["Resets"] == "2026-04-01 05:45:00"


def test_the_day_it_runs_out_follows_the_days_before(
    books: Store, open_page: OpenPage, budget: StoredBudget
) -> None:
    assert budget
    (row,) = (one for _, one in table(open_page(books, "budgets"), "Used up on").iterrows())
    day = row["Used up on"]
    assert NOW.date().isoformat() <= day < "2026-04-01"


def test_a_budget_for_each_stands_there_before_anybody_used_it(books: Store, open_page: OpenPage) -> None:
    open_page(books, "budgets")
    new = NewBudget(scope=GivenScope("key", "*"), limit_usd="1.00", window="day", mode="soft")
    with books.write() as tx:
        current().registries.budgets.create(tx, new, by=BY)
    (row,) = (one for _, one in table(open_page(books, "budgets"), "Held").iterrows())
    assert (row["Who"], row["Mode"], row["Used"]) == ("each key", "soft", 0)


def test_a_new_budget_is_made_and_audited(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "budgets")
    page.selectbox(key="new-scope").set_value("model")
    page.text_input(key="new-id").set_value("gpt-4o*")
    page.text_input(key="new-limit").set_value("$12.50")
    press(page, "Create budget")
    (found,) = stored(sqlite_books)
    assert (found.budget.scope.kind, found.budget.scope.id) == ("model", "gpt-4o*")
    assert found.budget.limit_nanos == 12_500_000_000
    with sqlite_books.read() as tx:
        (entry, *_) = current().registries.trail.list(tx, AuditFilter(action="budget.create"), limit=1)
    assert (entry.actor.kind, entry.actor.name) == ("account", "local")


@pytest.mark.parametrize(
    ("limit", "reason"), [("", "limit_usd"), ("0", "has to be above"), ("1e3", "limit_usd")]
)
def test_a_limit_that_cannot_be_is_refused(
    sqlite_books: Store, open_page: OpenPage, limit: str, reason: str
) -> None:
    page = open_page(sqlite_books, "budgets")
    page.text_input(key="new-limit").set_value(limit)
    assert reason in refusals(press(page, "Create budget"))
    assert stored(sqlite_books) == []


def test_a_limit_is_changed_and_raised_for_a_while_and_the_raise_ends(
    books: Store, open_page: OpenPage, budget: StoredBudget
) -> None:
    page = selected(open_page, books)
    page.text_input(key=f"limit-of-{budget.budget.id}").set_value("55.5")
    press(page, "Save")
    page = selected(open_page, books)
    page.text_input(key=f"raise-of-{budget.budget.id}").set_value("10")
    press(page, "Raise")
    (found,) = stored(books)
    assert found.budget.limit_at(NOW) == 65_500_000_000
    assert found.budget.raised is not None
    assert found.budget.raised.until == NOW + timedelta(hours=24)
    press(selected(open_page, books), "End the raise")
    (found,) = stored(books)
    assert found.budget.limit_at(NOW) == 55_500_000_000


def test_a_budget_is_deleted_only_on_purpose(books: Store, open_page: OpenPage, budget: StoredBudget) -> None:
    page = selected(open_page, books)
    assert next(button for button in page.button if button.label == "Delete").disabled
    page.checkbox(key=f"sure-{budget.budget.id}").check()
    press(page.run(), "Delete")
    assert stored(books) == []
