"""The limit of a budget in periods that are over."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from service.audit.actor import Target
from service.budgets.limit_history import LimitHistory
from service.budgets.policy import Budget, TemporaryRaise
from service.budgets.registry import BudgetRegistry
from service.budgets.values import BudgetChanges, GivenRaise
from service.store.engine import Store
from tests.budgets.making import BY, T0, USD, stored, trail
from tests.support.clock import HandClock

DAY = timedelta(days=1)


def change(store: Store, budgets: BudgetRegistry, budget: Budget, **changes: Any) -> None:
    with store.write() as tx:
        budgets.update(tx, budget.id, changes=BudgetChanges(**changes), by=BY)


def highest(store: Store, budget: Budget, since: datetime, until: datetime | None) -> float:
    with store.read() as tx:
        return LimitHistory.read(tx, budget).highest(since, until) / USD


def test_the_highest_limit_of_a_period(store: Store, budgets: BudgetRegistry, clock: HandClock) -> None:
    budget = stored(store, limit_nanos=10 * USD, budgets=budgets)
    clock.advance(DAY)
    change(store, budgets, budget, limit_usd="4", mode="soft")
    clock.advance(DAY)
    change(store, budgets, budget, mode="hard")
    change(store, budgets, budget, limit_usd="6")
    assert [highest(store, budget, T0 + n * DAY, T0 + (n + 1) * DAY) for n in range(-2, 4)] == [
        10,  # before it was made
        10,
        10,
        4,
        6,
        6,
    ]
    second = timedelta(seconds=1)
    assert highest(store, budget, T0 + DAY, T0 + DAY + second) == 4  # from the very moment
    assert highest(store, budget, T0 + DAY - second, T0 + DAY) == 10
    assert highest(store, budget, T0 + DAY, None) == 6


def test_a_raise_counts_while_it_is_in_force(store: Store, budgets: BudgetRegistry, clock: HandClock) -> None:
    budget = stored(store, limit_nanos=10 * USD, budgets=budgets)
    clock.advance(DAY)
    change(store, budgets, budget, temporary_raise=GivenRaise("5", T0 + 3 * DAY))
    clock.advance(DAY)
    change(store, budgets, budget, limit_usd="2")
    days = [(T0 + n * DAY, T0 + (n + 1) * DAY) for n in range(5)]
    assert [highest(store, budget, *day) for day in days] == [10, 15, 7, 2, 2]
    change(store, budgets, budget, temporary_raise=None)
    half = DAY / 2
    assert highest(store, budget, T0 + 2 * DAY, T0 + 2 * DAY + half) == 2
    assert highest(store, budget, T0 + DAY + half, T0 + 2 * DAY) == 15


UNTIL = "2027-01-01T00:00:00Z"
NO_LIMITS: dict[str, dict[str, Any]] = {
    "another field": {"mode": "soft"},
    "an exponent": {"limit_usd": "1e99"},
    "a number": {"limit_usd": 7},
    "a raise by nothing": {"raise": 1},
    "a raise by no amount": {"limit_usd": "99", "raise": {"amount_usd": "x", "until": UNTIL}},
    "no limit, but a raise": {"limit_usd": "x", "raise": {"amount_usd": "5", "until": UNTIL}},
    "a raise without a zone": {"raise": {"amount_usd": "5", "until": UNTIL[:-1]}},
}


@pytest.mark.parametrize("said", NO_LIMITS.values(), ids=NO_LIMITS.keys())
def test_an_entry_that_says_no_limit_changes_nothing(
    store: Store, budgets: BudgetRegistry, clock: HandClock, said: dict[str, Any]
) -> None:
    budget = stored(store, limit_nanos=10 * USD, budgets=budgets)
    with store.write() as tx:
        target = Target("budget", budget.id, budget.id)
        for after in (said, {"mode": "hard"}):
            trail(clock).record(tx, by=BY, action="budget.update", target=target, before=None, after=after)
    assert highest(store, budget, T0, None) == 10


def test_without_a_history_there_is_the_limit_of_today(store: Store) -> None:
    budget = msgspec.structs.replace(stored(store), id="bud_0", raised=TemporaryRaise(5 * USD, T0 + DAY))
    assert highest(store, budget, T0 - DAY, T0) == 15
    assert highest(store, budget, T0 + DAY, None) == 10
