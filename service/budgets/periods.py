"""Periods of budgets in the store: found or opened, locked, committed to. Functions take the caller's transaction.

A period is opened by the first who needs it, so nothing has to be reset when one ends. Where periods exist already
they win over the rule: after a change of zone or anchor day the running period ends when it would have, and the next
one begins there, so that no spending is forgotten and none counts twice.
"""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.budgets.answers import Place
from service.budgets.policy import Budget, Scope, TemporaryRaise
from service.budgets.windows import Period, WindowRule, period_of
from service.store.budget_tables import budget as budget_table
from service.store.budget_tables import budget_lease, budget_period
from service.store.types import to_micros

PeriodKey = tuple[str, str, datetime]
"""Budget id, subject and the period's start."""
_PERIOD = budget_period.c
_LEASE = budget_lease.c


class PeriodRow(msgspec.Struct, frozen=True):
    """A locked period of a budget."""

    key: PeriodKey
    ends_at: datetime | None
    committed: int
    direct: int
    wanted: int
    budget: Budget

    def limit(self, now: datetime) -> int:
        """The limit in force."""
        return self.budget.limit_at(now)

    def free(self, now: datetime) -> int:
        """What nobody has; negative after an over-run, or once the limit was lowered below what is committed."""
        return self.limit(now) - self.committed


class Usage(msgspec.Struct, frozen=True):
    """What became of a period's money."""

    spent_nanos: int
    held_nanos: int


def budget_of(tx: Connection, budget_id: str) -> Budget | None:
    """The budget as stored now, deleted or not."""
    query = select(budget_table).where(budget_table.c.id == budget_id)
    row = tx.execute(query).mappings().first()
    return None if row is None else budget_from(row)


def budget_from(row: RowMapping) -> Budget:
    """A row of `budget` as a value."""
    fields: dict[str, Any] = dict(row)
    raised = None
    if fields["raise_nanos"] is not None:
        raised = TemporaryRaise(fields["raise_nanos"], fields["raise_until"])
    return Budget(
        id=fields["id"],
        scope=Scope(fields["scope_kind"], fields["scope_id"]),
        limit_nanos=fields["limit_nanos"],
        rule=WindowRule(fields["window_kind"], fields["timezone"], fields["anchor_day"]),
        mode=fields["mode"],
        models=None if fields["models"] is None else tuple(fields["models"]),
        thresholds=tuple(fields["thresholds"]),
        raised=raised,
        version=to_micros(fields["updated_at"]),
    )


def locked_period(tx: Connection, place: Place, *, now: datetime) -> PeriodRow | None:
    """The period of *now*, opened where there is none yet, its row locked; None for a budget that holds nothing."""
    query = select(budget_table).where(budget_table.c.id == place[0], budget_table.c.deleted_at.is_(None))
    row = tx.execute(query).mappings().first()
    if row is None or row["mode"] != "hard":
        return None
    budget = budget_from(row)
    key = opened(tx, budget, place[1], at=now)
    locking = select(budget_period).where(*_is(key)).with_for_update(key_share=True)
    found = tx.execute(locking).one()
    return PeriodRow(key, found.ends_at, found.committed_nanos, found.direct_nanos, found.wanted, budget)


def opened(tx: Connection, budget: Budget, subject: str, *, at: datetime) -> PeriodKey:
    """The key of the period in which *at* lies; its row exists."""
    period = find_period(tx, budget, subject, at=at)
    open_period(tx, (budget.id, subject, period.starts_at), ends_at=period.ends_at)
    return (budget.id, subject, period.starts_at)


def find_period(tx: Connection, budget: Budget, subject: str, *, at: datetime) -> Period:
    """The period in which *at* lies: the stored one, or what the rule and its stored neighbours leave room for."""
    mine = (_PERIOD.budget_id == budget.id) & (_PERIOD.subject == subject)
    query = select(_PERIOD.starts_at, _PERIOD.ends_at).where(mine, _PERIOD.starts_at <= at)
    before = tx.execute(query.order_by(_PERIOD.starts_at.desc()).limit(1)).first()
    if before is not None and (before.ends_at is None or at < before.ends_at):
        return Period(before.starts_at, before.ends_at)
    period = period_of(budget.rule, at)
    after = tx.scalar(select(func.min(_PERIOD.starts_at)).where(mine, _PERIOD.starts_at > at))
    starts_at = period.starts_at if before is None else max(period.starts_at, before.ends_at)
    ends_at = min((end for end in (period.ends_at, after) if end is not None), default=None)
    return Period(starts_at, ends_at)


def open_period(tx: Connection, key: PeriodKey, *, ends_at: datetime | None) -> None:
    """Make the row of a period, unless it is there."""
    new = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    values = {
        "budget_id": key[0],
        "subject": key[1],
        "starts_at": key[2],
        "ends_at": ends_at,
        "committed_nanos": 0,
        "direct_nanos": 0,
        "wanted": 0,
    }
    tx.execute(new(budget_period).values(values).on_conflict_do_nothing())


def lock(tx: Connection, key: PeriodKey) -> None:
    """Lock the row of a period."""
    tx.execute(select(_PERIOD.wanted).where(*_is(key)).with_for_update(key_share=True))


def commit_within(tx: Connection, period: PeriodRow, *, amount: int, now: datetime) -> None:
    """Commit *amount* if it fits. The row is locked and was read, so anything else is a defect of ours."""
    fits = _PERIOD.committed_nanos + amount <= period.limit(now)
    values = {"committed_nanos": _PERIOD.committed_nanos + amount}
    done = tx.execute(update(budget_period).where(*_is(period.key), fits).values(values))
    assert done.rowcount == 1, f"the period {period.key} changed under its lock"


def commit(tx: Connection, key: PeriodKey, *, amount: int, direct: int = 0) -> None:
    """Change what is committed: given back where negative, or spent, which no limit can undo."""
    values = {
        "committed_nanos": _PERIOD.committed_nanos + amount + direct,
        "direct_nanos": _PERIOD.direct_nanos + direct,
    }
    tx.execute(update(budget_period).where(*_is(key)).values(values))


def want_more(tx: Connection, key: PeriodKey) -> None:
    """Ask whoever holds the period's money without spending it to give it back."""
    tx.execute(update(budget_period).where(*_is(key)).values(wanted=_PERIOD.wanted + 1))


def usage_of(tx: Connection, key: PeriodKey) -> Usage:
    """Spent, and held or burned beside it."""
    leased = select(func.coalesce(func.sum(_LEASE.spent_nanos), 0)).where(*leases_of(key)).scalar_subquery()
    query = select(_PERIOD.committed_nanos, _PERIOD.direct_nanos, leased.label("leased")).where(*_is(key))
    row = tx.execute(query).first()
    if row is None:
        return Usage(0, 0)
    spent = int(row.direct_nanos) + int(row.leased)
    return Usage(spent, int(row.committed_nanos) - spent)


def leases_of(key: PeriodKey) -> tuple[Any, ...]:
    """The condition that a lease is of this period."""
    return (_LEASE.budget_id == key[0], _LEASE.subject == key[1], _LEASE.starts_at == key[2])


def _is(key: PeriodKey) -> tuple[Any, ...]:
    return (_PERIOD.budget_id == key[0], _PERIOD.subject == key[1], _PERIOD.starts_at == key[2])
