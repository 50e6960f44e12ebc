"""Budgets: how each stands beside the registry's word, when it runs out, its history, and changes that are audited."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import streamlit as st
from sqlalchemy import update
from streamlit.testing.v1 import AppTest

from dashboard import budget_words, control_tables, formats
from dashboard.context import LOCAL, current
from dashboard.controlling import BudgetStanding
from service.audit.actor import Actor
from service.audit.trail import AuditFilter
from service.budgets import periods
from service.budgets.registry import StoredBudget
from service.budgets.standings import PastPeriod, Standing, standing
from service.budgets.values import GivenScope, NewBudget
from service.keys.projects import NewProject
from service.store.budget_tables import budget_period
from service.store.engine import Store
from tests.dashboard.conftest import LOOKER, NOW, OpenPage
from tests.dashboard.pages import charts, nanos, press, refusals, table

BY = Actor.system("test")


@pytest.fixture
def budget(books: Store, open_page: OpenPage) -> StoredBudget:
    open_page(books, "budgets")
    new = NewBudget(scope=GivenScope("project", "team-1"), limit_usd="40.00", window="month")
    with books.write() as tx:
        current().registries.projects.create(tx, NewProject(name="team-1"), by=BY)
        return current().registries.budgets.create(tx, new, by=BY)


def charge(store: Store, budget: StoredBudget, *, spent: int, held: int) -> None:
    """So much was spent of it, and so much is held."""
    with store.write() as tx:
        periods.opened(tx, budget.budget, "", at=NOW)
        tx.execute(update(budget_period).values(committed_nanos=spent + held, direct_nanos=spent))


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
    assert row["Resets"] == "2026-04-01 05:45"


def test_amounts_are_written_to_the_last_nano_dollar(
    books: Store, open_page: OpenPage, budget: StoredBudget
) -> None:
    charge(books, budget, spent=28_842_103_251, held=946_266)
    page = open_page(books, "budgets")
    (shown,) = [one for one in page.dataframe if one.key == "budgets"]
    config = json.loads(shown.proto.columns)
    for label in ("Spent", "Held", "Limit", "Left"):
        (amount,) = nanos(shown.value[label])
        decimals = int(config[label]["type_config"]["format"].removeprefix("$%,.").removesuffix("f"))
        assert amount is not None
        assert round(amount, decimals - 9) == amount, label
    assert nanos(shown.value["Left"]) == [
        limit - spent - held
        for limit, spent, held in zip(
            *(nanos(shown.value[label]) for label in ("Limit", "Spent", "Held")), strict=True
        )
    ]
    assert any("neither spent nor held" in caption.value for caption in page.caption)


def test_a_budget_that_is_almost_all_held_says_so(books: Store, open_page: OpenPage) -> None:
    """Nothing is spent of it, its bar is empty, and it refuses: because of what is held."""
    open_page(books, "budgets")
    with books.write() as tx:
        made = current().registries.budgets.create(
            tx, NewBudget(scope=GivenScope("global"), limit_usd="1.00", window="month"), by=BY
        )
    stands = Standing(
        budget_id=made.budget.id,
        subject="",
        starts_at=NOW,
        resets_at=None,
        limit_nanos=10**9,
        spent_nanos=1_000,
        held_nanos=999_998_000,
    )
    one = BudgetStanding(made, stands)
    (sentence,) = budget_words.tight([one], names={})
    assert "has $0.000001 left of $1.00: $0.000001 spent, $0.999998 held" in sentence
    assert "What may cost more is refused." in sentence
    soft = msgspec.structs.replace(made, budget=msgspec.structs.replace(made.budget, mode="soft"))
    assert budget_words.tight([BudgetStanding(soft, stands)], names={}) == []
    calm = msgspec.structs.replace(stands, held_nanos=0)
    assert budget_words.tight([BudgetStanding(made, calm)], names={}) == []
    assert budget_words.tight([one] * 7, names={})[-1] == "So have 2 more budgets."
    bar = budget_words.division({"Spent": 1_000, "Held": 999_998_000, "Left": 1_000}, limit_nanos=10**9)
    assert [series["data"] for series in bar["series"]] == [[0.000001], [0.999998], [0.000001]]
    assert bar["xAxis"]["max"] == 1.0


def test_the_page_warns_of_a_hard_budget_that_is_used_up(
    books: Store, open_page: OpenPage, budget: StoredBudget
) -> None:
    assert "left of" not in refusals(open_page(books, "budgets"))
    charge(books, budget, spent=1_000_000, held=38_998_999_999)
    st.cache_resource.clear()
    said = refusals(open_page(books, "budgets"))
    assert "project team-1 (month) has $1.000000001 left of $40.00: $0.001 spent, $38.998999999 held" in said


def test_a_chosen_budget_shows_its_parts_to_everybody(
    books: Store, open_page: OpenPage, budget: StoredBudget
) -> None:
    charge(books, budget, spent=28_842_103_251, held=946_266)
    for viewer in (LOCAL, LOOKER):
        page = open_page(books, "budgets", viewer=viewer)
        page.session_state["budgets"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
        page = page.run()
        with books.read() as tx:
            found = standing(tx, budget.budget, "", at=NOW)
        assert (
            f"Of {formats.usd(found.limit_nanos)}: spent {formats.usd(found.spent_nanos)}, held "
            f"{formats.usd(found.held_nanos)}, left {formats.usd(found.remaining_nanos)}."
        ) in [text.value for text in page.text]
        assert "division" in charts(page)


def test_not_all_of_a_limit_is_never_shown_as_all_of_it() -> None:
    assert control_tables.used(28_779_412_300, 28_780_000_000) == 0.9999
    assert control_tables.used(10, 10) == 1
    assert control_tables.used(0, 10) == 0


def test_the_history_of_a_budget_in_total_has_no_first_day() -> None:
    past = PastPeriod(
        "", datetime(1970, 1, 1, tzinfo=UTC), None, limit_nanos=10**9, spent_nanos=5, held_nanos=0
    )
    shown = control_tables.periods([past], timezone="Asia/Kathmandu")
    assert shown.columns["From"] == ["the first request"]
    assert shown.columns["To"] == ["open"]
    assert (shown.columns["Limit"], shown.columns["Of the limit"]) == ([1.0], [0.0])


def test_a_made_budget_leaves_its_form_folded_and_empty(sqlite_books: Store, open_page: OpenPage) -> None:
    page = open_page(sqlite_books, "budgets")
    page.text_input(key="new-limit").set_value("12.50")
    page = press(page, "Create budget")
    assert page.session_state["new-budget-panel"] is False
    assert page.text_input(key="new-limit").value == ""
    assert "limit_usd" in refusals(press(page, "Create budget"))
    assert len(stored(sqlite_books)) == 1


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
