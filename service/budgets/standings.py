"""How budgets stand: what is spent, what is held and by whom, in this period and in those before. Reads only.

Held is what relays may still spend, or may have spent before they died: the sum of what `held_by` lists, to the last
nano-dollar, because what a period has committed is what was spent plus that.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, func, select, tuple_

from service.budgets.leases import lease_of
from service.budgets.leasing import LeaseState
from service.budgets.limit_history import LimitHistory
from service.budgets.periods import PeriodKey, find_period, leases_of, usage_of
from service.budgets.policy import EACH, Budget
from service.store.budget_tables import budget_lease, budget_period

_PERIOD = budget_period.c
_LEASE = budget_lease.c
MOST_SUBJECTS = 1_000


class Standing(msgspec.Struct, frozen=True):
    """How a budget stands in a period. *limit_nanos* is in force now, a temporary raise included."""

    budget_id: str
    subject: str
    starts_at: datetime
    resets_at: datetime | None
    limit_nanos: int
    spent_nanos: int
    held_nanos: int

    @property
    def key(self) -> PeriodKey:
        """The period's key."""
        return (self.budget_id, self.subject, self.starts_at)

    @property
    def remaining_nanos(self) -> int:
        """What is neither spent nor held."""
        return max(0, self.limit_nanos - self.spent_nanos - self.held_nanos)


class PastPeriod(msgspec.Struct, frozen=True):
    """A period in which something was spent or held; *ends_at* None: it never ends.

    *limit_nanos* is the highest limit that was in force in it, temporary raises included.
    """

    subject: str
    starts_at: datetime
    ends_at: datetime | None
    limit_nanos: int
    spent_nanos: int
    held_nanos: int


class HeldLease(msgspec.Struct, frozen=True):
    """What one relay holds, or has burned, of a period's money."""

    id: int
    holder: str
    state: LeaseState
    granted_nanos: int
    spent_nanos: int
    held_nanos: int
    expires_at: datetime


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


def standings(
    tx: Connection, budget: Budget, *, at: datetime, subject: str | None = None, limit: int = MOST_SUBJECTS
) -> Sequence[Standing]:
    """How the budget stands at *at*: one entry, or one for each of its subjects that has a period then."""
    subjects = [subject or ""]
    if subject is None and budget.scope.id == EACH:
        current = (_PERIOD.ends_at > at) | _PERIOD.ends_at.is_(None)
        mine = (_PERIOD.budget_id == budget.id) & (_PERIOD.starts_at <= at) & current
        query = select(_PERIOD.subject).where(mine).order_by(_PERIOD.subject)
        subjects = [str(found) for found in tx.scalars(query.limit(limit))]
    return [standing(tx, budget, name, at=at) for name in subjects]


def history(
    tx: Connection,
    budget: Budget,
    *,
    subject: str | None = None,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> list[PastPeriod]:
    """Periods, the latest first, the running one among them; *after*: start and subject of the last one shown."""
    order = (_PERIOD.starts_at, _PERIOD.subject)
    spent = (
        select(func.coalesce(func.sum(_LEASE.spent_nanos), 0))
        .where(
            _LEASE.budget_id == _PERIOD.budget_id,
            _LEASE.subject == _PERIOD.subject,
            _LEASE.starts_at == _PERIOD.starts_at,
        )
        .scalar_subquery()
    )
    columns = (_PERIOD.subject, _PERIOD.starts_at, _PERIOD.ends_at)
    amounts = (_PERIOD.direct_nanos, _PERIOD.committed_nanos, spent.label("leased"))
    query = select(*columns, *amounts).where(_PERIOD.budget_id == budget.id)
    if subject is not None:
        query = query.where(_PERIOD.subject == subject)
    if after is not None:
        query = query.where(tuple_(*order) < tuple_(*after, types=[column.type for column in order]))
    limits = LimitHistory.read(tx, budget)
    found = []
    for row in tx.execute(query.order_by(*(column.desc() for column in order)).limit(limit)):
        highest = limits.highest(row.starts_at, row.ends_at)
        total = int(row.direct_nanos) + int(row.leased)
        held = int(row.committed_nanos) - total
        found.append(PastPeriod(row.subject, row.starts_at, row.ends_at, highest, total, held))
    return found


def held_by(tx: Connection, key: PeriodKey) -> list[HeldLease]:
    """Every lease of the period that is in use or keeps money from being spent, the largest first."""
    found = []
    for row in tx.execute(select(budget_lease).where(*leases_of(key)).order_by(_LEASE.id)):
        lease = lease_of(row)
        held = lease.reserve - lease.spent
        if held or lease.state != "closed":
            found.append(
                HeldLease(row.id, row.holder, lease.state, lease.granted, lease.spent, held, row.expires_at)
            )
    return sorted(found, key=_least_held)


def _least_held(lease: HeldLease) -> int:
    return -lease.held_nanos
