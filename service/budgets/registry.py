"""Budgets in the store: create, list, show, update, delete.

Methods take the caller's transaction and never commit. Each change is audited and bumps the configuration revision in
the same transaction, so that every relay takes it over. A deleted budget stays in the store for its history.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, insert, or_, select, tuple_, update

from service.audit.actor import Actor, Target
from service.audit.trail import AuditTrail
from service.audit.values import difference
from service.budgets.periods import budget_from
from service.budgets.policy import EACH, Budget, BudgetBook
from service.budgets.values import BudgetChanges, BudgetFilter, NewBudget
from service.budgets.views import BudgetFields
from service.errors import InvalidInputError, NotFoundError
from service.keys.ids import sortable_id
from service.keys.projects import find_project
from service.keys.token import RandomBytes
from service.store.budget_tables import budget as budget_table
from service.store.revision import bump_revision, lock_revision
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
    deleted_at: datetime | None = None

    @property
    def dates(self) -> dict[str, datetime | None]:
        """The dates by name, as views take them."""
        return {"created_at": self.created_at, "updated_at": self.updated_at, "deleted_at": self.deleted_at}


class BudgetRegistry:
    """The budgets of a store. *now* is the wall clock (UTC)."""

    def __init__(self, *, now: Callable[[], datetime], random_bytes: RandomBytes, trail: AuditTrail) -> None:
        self._now = now
        self._random_bytes = random_bytes
        self._trail = trail

    def create(self, tx: Connection, new: NewBudget, *, by: Actor) -> StoredBudget:
        """A new budget; it counts from now on."""
        values = new.checked()
        lock_revision(tx)
        values["scope_id"] = _known_scope(tx, values["scope_kind"], values["scope_id"])
        now = self._now()
        budget_id = sortable_id("bud_", now=now, random_bytes=self._random_bytes)
        dates = {"created_at": now, "updated_at": now}
        tx.execute(insert(budget_table).values(id=budget_id, **values, **dates))
        made = self.get(tx, budget_id)
        self._record(tx, "budget.create", budget_id, before=None, after=_shown(made), by=by)
        return made

    def get(self, tx: Connection, budget_id: str, *, deleted: bool = False) -> StoredBudget:
        """The budget with this id; one that was deleted only if *deleted* says so."""
        return _get(tx, budget_id, alive=not deleted)

    def list(
        self,
        tx: Connection,
        *,
        limit: int,
        after: tuple[datetime, str] | None = None,
        wanted: BudgetFilter = BudgetFilter(),  # noqa: B008  (frozen)
    ) -> list[StoredBudget]:
        """Newest first; *after* is `created_at` and `id` of the last budget of the page before."""
        order = (_BUDGET.created_at, _BUDGET.id)
        query = select(budget_table).order_by(*(column.desc() for column in order)).limit(limit)
        if not wanted.deleted:
            query = query.where(_ALIVE)
        if wanted.kind is not None:
            query = query.where(_BUDGET.scope_kind == wanted.kind)
        if wanted.id is not None:
            query = query.where(_BUDGET.scope_id == wanted.id)
        if after is not None:
            query = query.where(tuple_(*order) < tuple_(*after, types=[column.type for column in order]))
        return [_stored(row) for row in tx.execute(query).mappings()]

    def update(self, tx: Connection, budget_id: str, *, changes: BudgetChanges, by: Actor) -> StoredBudget:
        """Change what *changes* names; a limit below what is spent refuses at once."""
        lock_revision(tx)
        found = _get(tx, budget_id, lock=True)
        values = changes.checked(found.budget.rule, now=self._now())
        if not values:
            return found
        now = max(self._now(), found.updated_at + MICROSECOND)  # the version grows whatever the clock does
        living = (_BUDGET.id == budget_id) & _ALIVE
        tx.execute(update(budget_table).where(living).values(**values, updated_at=now))
        changed = self.get(tx, budget_id)
        before, after = difference(_shown(found), _shown(changed))
        self._record(tx, "budget.update", budget_id, before=before, after=after, by=by)
        return changed

    def delete(self, tx: Connection, budget_id: str, *, by: Actor) -> StoredBudget:
        """End the budget; its history stays."""
        lock_revision(tx)
        found = _get(tx, budget_id, lock=True)
        living = (_BUDGET.id == budget_id) & _ALIVE
        tx.execute(update(budget_table).where(living).values(deleted_at=self._now()))
        self._record(tx, "budget.delete", budget_id, before=_shown(found), after=None, by=by)
        return _get(tx, budget_id, alive=False)

    def _record(
        self,
        tx: Connection,
        action: str,
        budget_id: str,
        *,
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
        by: Actor,
    ) -> None:
        target = Target("budget", budget_id, budget_id)
        self._trail.record(tx, by=by, action=action, target=target, before=before, after=after)
        bump_revision(tx)


def load_budgets(tx: Connection) -> BudgetBook:
    """Every budget, as *tx* sees them: part of the snapshot that relays hold."""
    rows = tx.execute(select(budget_table).where(_ALIVE).order_by(_BUDGET.id)).mappings()
    return BudgetBook(budget_from(row) for row in rows)


def budgets_of_key(tx: Connection, *, key_id: str, project: str) -> list[Budget]:
    """The budgets that are a key's own or its project's, those with the scope id `*` among them, oldest first."""
    scopes = (("key", key_id), ("project", project))
    mine = or_(*((_BUDGET.scope_kind == kind) & _BUDGET.scope_id.in_((name, EACH)) for kind, name in scopes))
    rows = tx.execute(select(budget_table).where(_ALIVE, mine).order_by(_BUDGET.created_at, _BUDGET.id))
    return [budget_from(row) for row in rows.mappings()]


def _get(tx: Connection, budget_id: str, *, lock: bool = False, alive: bool = True) -> StoredBudget:
    if not _ID.fullmatch(budget_id):
        raise NotFoundError(f"no budget has the id {budget_id[:100]!r}; see: tollkeeper budgets list")
    query = select(budget_table).where(_BUDGET.id == budget_id)
    if alive:
        query = query.where(_ALIVE)
    row = tx.execute(query.with_for_update(key_share=True) if lock else query).mappings().first()
    if row is None:
        raise NotFoundError(f"no budget has the id {budget_id!r}; see: tollkeeper budgets list")
    return _stored(row)


def _stored(row: RowMapping) -> StoredBudget:
    return StoredBudget(budget_from(row), row["created_at"], row["updated_at"], row["deleted_at"])


def _shown(stored: StoredBudget) -> dict[str, Any]:
    """The budget's fields, as the audit log keeps them."""
    fields: dict[str, Any] = msgspec.to_builtins(BudgetFields.of(stored.budget))
    return fields


def _known_scope(tx: Connection, kind: str, scope_id: str | None) -> str | None:
    """*scope_id* as records name it; refuses a key or a project that is not there: its budget would hold nothing."""
    if scope_id is None or scope_id == EACH:
        return scope_id
    if kind == "key" and tx.scalar(select(virtual_key.c.id).where(virtual_key.c.id == scope_id)) is None:
        raise InvalidInputError(f"scope.id: no key has the id {scope_id!r}", field="scope.id")
    if kind == "project":
        project = find_project(tx, scope_id)
        if project is None:
            raise InvalidInputError(f"scope.id: no project has the id or name {scope_id!r}", field="scope.id")
        return project.name
    return scope_id
