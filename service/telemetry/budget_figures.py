"""How the budgets stand, read from the store when somebody scrapes, and not more often than every few seconds.

Budgets belong to the installation, not to a process: every relay of a store shows the same figures. End users'
own allowances are left out: their ids are their own business, and there is no end to them.
"""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime

from sqlalchemy import Connection

from service.budgets.policy import EACH, Budget, BudgetBook
from service.budgets.standings import Standing, standings
from service.errors import StoreError
from service.store.engine import Store
from service.telemetry import names
from service.telemetry.prometheus import Sample

FRESH_S = 10.0
SHOWN = 200
_NANOS_PER_USD = 1_000_000_000


class BudgetFigures:
    """Thread-safe; *book* is the snapshot that requests are judged by."""

    def __init__(
        self,
        store: Store,
        *,
        book: Callable[[], BudgetBook],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._book = book
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._samples: list[Sample] = []
        self._read_at = float("-inf")

    def samples(self) -> list[Sample]:
        """Limit, spent, held and remaining of each period that runs now; nothing while the store is away."""
        with self._lock:
            if self._monotonic() - self._read_at < FRESH_S:
                return self._samples
            try:
                self._samples = self._read()
            except StoreError:
                self._samples = []
            self._read_at = self._monotonic()
            return self._samples

    def _read(self) -> list[Sample]:
        budgets = list(self._book())
        if not budgets:
            return []
        found: list[Sample] = []
        shown = unshown = 0
        with self._store.read() as tx:
            for budget in budgets:
                for standing in self._standings(tx, budget):
                    if shown == SHOWN:
                        unshown += 1
                        continue
                    shown += 1
                    found += _figures(budget, standing)
        return [*found, Sample(names.BUDGETS_UNSHOWN, unshown)]

    def _standings(self, tx: Connection, budget: Budget) -> Iterator[Standing]:
        if budget.scope.kind == "end_user" and budget.scope.id == EACH:
            return iter(())
        return iter(standings(tx, budget, at=self._now(), limit=SHOWN + 1))


def _figures(budget: Budget, standing: Standing) -> list[Sample]:
    scope = budget.scope.kind if budget.scope.id is None else f"{budget.scope.kind}:{budget.scope.id}"
    attributes = (
        (names.BUDGET_ID, budget.id),
        (names.BUDGET_SCOPE, scope),
        *(((names.BUDGET_SUBJECT, standing.subject),) if standing.subject else ()),
        (names.BUDGET_WINDOW, budget.rule.window),
        (names.BUDGET_MODE, budget.mode),
    )
    amounts = {
        names.BUDGET_LIMIT: standing.limit_nanos,
        names.BUDGET_SPENT: standing.spent_nanos,
        names.BUDGET_HELD: standing.held_nanos,
        names.BUDGET_LEFT: standing.remaining_nanos,
    }
    return [Sample(instrument, nanos / _NANOS_PER_USD, attributes) for instrument, nanos in amounts.items()]
