"""Budgets and leases for tests: one place where their defaults stand."""

import random
from datetime import UTC, datetime, timedelta

from service.audit.actor import Actor
from service.audit.trail import AuditTrail
from service.budgets.policy import Budget, Mode, Scope
from service.budgets.registry import BudgetRegistry
from service.budgets.values import GivenScope, NewBudget
from service.budgets.windows import Window, WindowRule
from service.pricing.money import format_usd
from service.store.engine import Store
from tests.support.clock import HandClock

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
USD = 10**9
TTL = timedelta(seconds=30)
BY = Actor.system("tests")


def budget(
    budget_id: str = "bud_a",
    *,
    scope: Scope = Scope("global"),  # noqa: B008  (frozen)
    limit_nanos: int = 10 * USD,
    window: Window = "day",
    mode: Mode = "hard",
    models: tuple[str, ...] | None = None,
) -> Budget:
    return Budget(
        id=budget_id,
        scope=scope,
        limit_nanos=limit_nanos,
        rule=WindowRule(window),
        mode=mode,
        models=models,
        thresholds=(0.5, 0.8, 1.0),
    )


def trail(clock: HandClock) -> AuditTrail:
    return AuditTrail(b"the audit key of the tests, 32 b", now=clock.now)


def registry(clock: HandClock | None = None) -> BudgetRegistry:
    clock = clock or HandClock()
    return BudgetRegistry(now=clock.now, random_bytes=random.Random(4).randbytes, trail=trail(clock))


def stored(
    store: Store,
    *,
    limit_nanos: int = 10 * USD,
    kind: str = "global",
    scope_id: str | None = None,
    window: str = "day",
    mode: str = "hard",
    budgets: BudgetRegistry | None = None,
) -> Budget:
    """A budget in the store."""
    new = NewBudget(
        scope=GivenScope(kind, scope_id), limit_usd=format_usd(limit_nanos), window=window, mode=mode
    )
    with store.write() as tx:
        return (budgets or registry()).create(tx, new, by=BY).budget
