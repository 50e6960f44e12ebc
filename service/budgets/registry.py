"""Budgets in the store: create, list, show, update, delete; and how they stand.

Methods take the caller's transaction and never commit. Each change bumps the configuration revision in the same
transaction, so that every relay takes it over. A deleted budget stays in the store for its history.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, insert, select, tuple_, update

from service.budgets.periods import budget_from, find_period, usage_of
from service.budgets.policy import EACH, Budget, BudgetBook
from service.budgets.values import BudgetChanges, NewBudget
from service.errors import InvalidInputError, NotFoundError
from service.keys.token import RandomBytes, base62
from service.store.budget_tables import budget as budget_table
from service.store.budget_tables import budget_period
from service.store.revision import bump_revision
from service.store.tables import virtual_key
from service.store.types import MICROSECOND

_BUDGET = budget_table.c
_ID = re.compile(r"bud_[0-9A-Za-z]{1,36}", re.ASCII)  # the store cannot be asked for every text
_ALIVE = _BUDGET.deleted_at.is_(None)


class StoredBudget(msgspec.Struct, frozen=True):
    """A budget with its dates."""

    budget: Budget
    created_at: datetime
    updated_at: datetime


class Standing(msgspec.Struct, frozen=True):
    """How a budget stands in a period. `held` is what relays may still spend, or may have spent before they died."""

    budget_id: str
    subject: str
    starts_at: datetime
    resets_at: datetime | None
    limit_nanos: int
    spent_nanos: int
    held_nanos: int

    @property
    def remaining_nanos(self) -> int:
        """What is neither spent nor held."""
        return max(0, self.limit_nanos - self.spent_nanos - self.held_nanos)


class BudgetRegistry:
    """The budgets of a store. *now* is the wall clock (UTC)."""

    def __init__(self, *, now: Callable[[], datetime], random_bytes: RandomBytes) -> None:
        self._now = now
        self._random_bytes = random_bytes

    def create(self, tx: Connection, new: NewBudget) -> StoredBudget:
        """A new budget; it counts from now on."""
        values = new.checked()
        if values["scope_kind"] == "key" and values["scope_id"] != EACH:
            _require_key(tx, values["scope_id"])
        now = self._now()
        budget_id = "bud_" + base62(
            (int(now.timestamp() * 1000) << 80) | int.from_bytes(self._random_bytes(10)), width=22
        )
        dates = {"created_at": now, "updated_at": now}
        tx.execute(insert(budget_table).values(id=budget_id, **values, **dates))
        bump_revision(tx)
        return self.get(tx, budget_id)

    def get(self, tx: Connection, budget_id: str) -> StoredBudget:
        """The budget with this id."""
        return _get(tx, budget_id)

    def list(
        self, tx: Connection, *, limit: int, after: tuple[datetime, str] | None = None
    ) -> list[StoredBudget]:
        """Newest first; *after* is `created_at` and `id` of the last budget of the page before."""
        order = (_BUDGET.created_at, _BUDGET.id)
        query = select(budget_table).where(_ALIVE).order_by(*(column.desc() for column in order)).limit(limit)
        if after is not None:
            query = query.where(tuple_(*order) < tuple_(*after, types=[column.type for column in order]))
        return [
            StoredBudget(budget_from(row), row["created_at"], row["updated_at"])
            for row in tx.execute(query).mappings()
        ]

    def update(self, tx: Connection, budget_id: str, *, changes: BudgetChanges) -> StoredBudget:
        """Change what *changes* names; a limit below what is spent refuses at once."""
        found = _get(tx, budget_id, lock=True)
        values = changes.checked(found.budget.rule, now=self._now())
        if not values:
            return found
        now = max(self._now(), found.updated_at + MICROSECOND)  # the version grows whatever the clock does
        living = (_BUDGET.id == budget_id) & _ALIVE
        tx.execute(update(budget_table).where(living).values(**values, updated_at=now))
        bump_revision(tx)
        return self.get(tx, budget_id)

    def delete(self, tx: Connection, budget_id: str) -> None:
        """End the budget; its history stays."""
        self.get(tx, budget_id)
        living = (_BUDGET.id == budget_id) & _ALIVE
        tx.execute(update(budget_table).where(living).values(deleted_at=self._now()))
        bump_revision(tx)

    def standings(
        self, tx: Connection, budget: Budget, *, subject: str | None = None, limit: int = 1000
    ) -> Sequence[Standing]:
        """How the budget stands now: one entry, or one for each of its subjects that has a period now."""
        now = self._now()
        subjects = [subject or ""]
        if subject is None and budget.scope.id == EACH:
            current = (budget_period.c.ends_at > now) | budget_period.c.ends_at.is_(None)
            mine = (budget_period.c.budget_id == budget.id) & (budget_period.c.starts_at <= now) & current
            query = select(budget_period.c.subject).where(mine).order_by(budget_period.c.subject)
            subjects = [str(found) for found in tx.scalars(query.limit(limit))]
        return [standing(tx, budget, name, at=now) for name in subjects]


def _get(tx: Connection, budget_id: str, *, lock: bool = False) -> StoredBudget:
    if not _ID.fullmatch(budget_id):
        raise NotFoundError(f"no budget has the id {budget_id[:100]!r}")
    query = select(budget_table).where(_BUDGET.id == budget_id, _ALIVE)
    row = tx.execute(query.with_for_update(key_share=True) if lock else query).mappings().first()
    if row is None:
        raise NotFoundError(f"no budget has the id {budget_id!r}; see: tollkeeper budgets list")
    return StoredBudget(budget_from(row), row["created_at"], row["updated_at"])


def standing(tx: Connection, budget: Budget, subject: str, *, at: datetime) -> Standing:
    """How a budget stands in the period of *at*."""
    period = find_period(tx, budget, subject, at=at)
    usage = usage_of(tx, (budget.id, subject, period.starts_at))
    return Standing(
        budget_id=budget.id,
        subject=subject,
        starts_at=period.starts_at.astimezone(UTC),
        resets_at=period.ends_at,
        limit_nanos=budget.limit_at(at),
        spent_nanos=usage.spent_nanos,
        held_nanos=usage.held_nanos,
    )


def load_budgets(tx: Connection) -> BudgetBook:
    """Every budget, as *tx* sees them: part of the snapshot that relays hold."""
    rows = tx.execute(select(budget_table).where(_ALIVE).order_by(_BUDGET.id)).mappings()
    return BudgetBook(budget_from(row) for row in rows)


def _require_key(tx: Connection, key_id: str) -> None:
    if tx.scalar(select(virtual_key.c.id).where(virtual_key.c.id == key_id)) is None:
        raise InvalidInputError(f"scope.id: no key has the id {key_id!r}", field="scope.id")
