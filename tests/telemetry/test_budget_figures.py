"""Gauges of budgets: limit, spent, held and remaining, in dollars, for every period that runs now."""

from datetime import timedelta
from pathlib import Path

import pytest

from service.budgets import leases
from service.budgets.answers import Want
from service.budgets.charges import Charge, Spending
from service.budgets.policy import NO_BUDGETS, Budget, BudgetBook
from service.budgets.settling import settle_flush
from service.store.engine import Store
from service.store.types import to_micros
from service.telemetry import budget_figures
from service.telemetry.budget_figures import FRESH_S, BudgetFigures
from service.telemetry.prometheus import page
from tests.budgets.making import T0, TTL, USD, budget, registry, stored
from tests.support.clock import HandClock
from tests.telemetry.exposition import Scrape, parse


def figures(store: Store, *budgets: Budget, clock: HandClock | None = None) -> BudgetFigures:
    clock = clock or HandClock()
    book = BudgetBook(budgets)
    return BudgetFigures(store, book=lambda: book, now=clock.now, monotonic=clock.monotonic)


def scrape(made: BudgetFigures) -> Scrape:
    return parse(page({}, made.samples()))


def spend(store: Store, which: Budget, subject: str = "", *, lease: int = 1) -> None:
    """Lease 6 dollars and spend 2.5 of them."""
    spending = Spending()
    spending.add([Charge(which.id, subject, lease, 0)], cost_nanos=5 * USD // 2, started_at=to_micros(T0))
    wants = [Want((which.id, subject), lease, 6 * USD, 6 * USD)]
    with store.write() as tx:
        leases.acquire(tx, wants, holder="relay", now=T0, expires_at=T0 + TTL)
        settle_flush(tx, spending)


def test_a_budget_is_shown_as_it_stands(store: Store) -> None:
    ours = stored(store, limit_nanos=10 * USD)
    spend(store, ours)
    found = scrape(figures(store, ours))
    amounts = {
        name: found.value(f"tollkeeper_budget_{name}_usd", tollkeeper_budget_id=ours.id)
        for name in ("limit", "spent", "held", "remaining")
    }
    assert amounts == {"limit": 10.0, "spent": 2.5, "held": 3.5, "remaining": 4.0}
    (labels,) = found.samples["tollkeeper_budget_remaining_usd"]
    assert dict(labels) == {
        "tollkeeper_budget_id": ours.id,
        "tollkeeper_budget_scope": "global",
        "tollkeeper_budget_window": "day",
        "tollkeeper_budget_mode": "hard",
    }
    assert found.value("tollkeeper_budgets_unshown") == 0


def test_each_project_stands_for_itself_but_end_users_are_nobody_s_business(sqlite_store: Store) -> None:
    made = registry()
    projects = stored(sqlite_store, kind="project", scope_id="*", budgets=made)
    users = stored(sqlite_store, kind="end_user", scope_id="*", budgets=made)
    spend(sqlite_store, projects, "alpha", lease=1)
    spend(sqlite_store, projects, "beta", lease=2)
    spend(sqlite_store, users, "ada@example.com", lease=3)
    found = scrape(figures(sqlite_store, projects, users))
    assert found.labels("tollkeeper_budget_spent_usd", "tollkeeper_budget_subject") == {"alpha", "beta"}
    assert found.labels("tollkeeper_budget_spent_usd", "tollkeeper_budget_scope") == {"project:*"}
    assert "ada" not in str(found)


def test_the_store_is_asked_only_every_few_seconds(sqlite_store: Store) -> None:
    clock = HandClock()
    ours = stored(sqlite_store)
    made = figures(sqlite_store, ours, clock=clock)
    before = made.samples()
    spend(sqlite_store, ours)
    clock.advance(timedelta(seconds=FRESH_S - 1))
    assert made.samples() == before
    clock.advance(timedelta(seconds=1))
    assert scrape(made).value("tollkeeper_budget_spent_usd") == 2.5


def test_a_store_that_is_away_has_no_figures_but_breaks_nothing(tmp_path: Path) -> None:
    away = Store(f"sqlite:///{tmp_path}/other.db")
    made = figures(away, budget())
    assert made.samples() == []
    away.close()


def test_without_budgets_there_is_nothing_to_show(tmp_path: Path) -> None:
    never_opened = Store(f"sqlite:///{tmp_path}/none.db")
    assert figures(never_opened).samples() == []
    assert len(NO_BUDGETS) == 0
    never_opened.close()


def test_the_number_of_series_is_bounded(sqlite_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_figures, "SHOWN", 3)
    made = registry()
    found = scrape(figures(sqlite_store, *(stored(sqlite_store, budgets=made) for _ in range(5))))
    assert len(found.samples["tollkeeper_budget_limit_usd"]) == 3
    assert found.value("tollkeeper_budgets_unshown") == 2
