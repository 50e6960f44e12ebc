"""Leases in the store: the steps of `leasing` under the row lock, in the caller's transaction.

Whoever takes or gives back budget locks the period first; whoever settles locks the lease first, and the period only
for an over-run. Two transactions cannot wait for each other, because the holder of a period never waits for a lease:
it takes the lease's row if it is free, and says `Busy` otherwise. Rows of one kind are locked in sorted order.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from service.budgets import leasing
from service.budgets.answers import Acquired, Busy, Exhausted, Gone, Lost, Outcome, Place, Recall, Want
from service.budgets.leasing import Lease
from service.budgets.periods import (
    PeriodKey,
    PeriodRow,
    budget_of,
    commit,
    commit_within,
    leases_of,
    lock,
    locked_period,
    usage_of,
    want_more,
)
from service.store.budget_tables import budget_lease, budget_period

PORTION = 500
_LEASE = budget_lease.c
_PERIOD = budget_period.c


Step = Callable[[Lease], Lease]


def acquire(
    tx: Connection, wants: Sequence[Want], *, holder: str, now: datetime, expires_at: datetime
) -> Outcome:
    """Room on every budget of *wants*, or on none, and on leases that live until *expires_at*.

    Asking again after a lost answer takes nothing twice.
    """
    plans: list[_Plan] = []
    for want in sorted(wants, key=_place):
        period = locked_period(tx, want.place, now=now)
        if period is None:
            return Gone(want.place)
        before = _own_lease(tx, want, period=period, holder=holder, now=now)
        if isinstance(before, Busy | Lost):
            return before
        holders = _count_active(tx, period.key) + (before is None)
        lease = before or Lease()
        free = period.free(now)
        after = leasing.granted(lease, need=want.need, want=want.want, free=free, holders=holders)
        if after is None:
            return _refuse(tx, want, period=period, now=now)
        plans.append(_Plan(want, period, before, after))
    return tuple(_grant(tx, plan, holder=holder, now=now, expires_at=expires_at) for plan in plans)


def renew(tx: Connection, *, holder: str, now: datetime, expires_at: datetime) -> None:
    """Keep the holder's living leases alive. One that has expired is never revived; one being settled has to wait."""
    alive = (_LEASE.holder == holder) & (_LEASE.state == "active") & (_LEASE.expires_at > now)
    query = select(_LEASE.id).where(alive).order_by(_LEASE.id).with_for_update(skip_locked=True)
    for lease_ids in portions(tx.scalars(query).all()):
        tx.execute(update(budget_lease).where(_LEASE.id.in_(lease_ids)).values(expires_at=expires_at))


def recalls(tx: Connection, lease_ids: Sequence[int], *, now: datetime) -> list[Recall]:
    """The state of these leases; reads only."""
    same = (
        (_PERIOD.budget_id == _LEASE.budget_id)
        & (_PERIOD.subject == _LEASE.subject)
        & (_PERIOD.starts_at == _LEASE.starts_at)
    )
    columns = (_LEASE.id, _LEASE.state, _LEASE.expires_at, _PERIOD.wanted)
    query = select(*columns).join_from(budget_lease, budget_period, same)
    return [
        Recall(row.id, row.state == "active" and row.expires_at > now, row.expires_at, row.wanted)
        for some in portions(lease_ids)
        for row in tx.execute(query.where(_LEASE.id.in_(some)))
    ]


def shrink(tx: Connection, lease_id: int, *, holder: str, to: int) -> Lease | Busy | Lost:
    """Give back what the lease has above *to*, a total with what is spent and held."""
    return _step(tx, lease_id, lambda lease: leasing.shrunk(lease, to=to), holder=holder)


def close(tx: Connection, lease_id: int, *, holder: str, final: int) -> Lease | Busy | Lost:
    """Give the lease back: *final* is all that was or still may be spent on it."""
    return _step(tx, lease_id, lambda lease: leasing.closed(lease, final=final), holder=holder)


def adopt(tx: Connection, *, holder: str) -> int:
    """Free what a dead process held, once its whole journal is settled; returns how many leases that were."""
    keeping = (_LEASE.state != "closed") | (_LEASE.burned_nanos > 0)
    adopted = 0
    for lease_id in _ids(tx, (_LEASE.holder == holder) & keeping):
        adopted += isinstance(_step(tx, lease_id, leasing.adopted, holder=holder), Lease)
    return adopted


def reap(tx: Connection, *, now: datetime, grace: timedelta, quarantine: timedelta) -> int:
    """Quarantine leases that nobody renews, and abandon those in quarantine for too long; returns how many.

    *grace* allows for clocks that differ; *quarantine* must outlast the longest request.
    """
    steps = 0
    expired = (_LEASE.state == "active") & (_LEASE.expires_at <= now - grace)
    for lease_id in _ids(tx, expired):
        changed = update(budget_lease).where(_LEASE.id == lease_id, expired)
        steps += tx.execute(changed.values(state="quarantined", quarantined_at=now)).rowcount
    over = (_LEASE.state == "quarantined") & (_LEASE.quarantined_at <= now - quarantine)
    for lease_id in _ids(tx, over):
        steps += isinstance(_abandon(tx, lease_id), Lease)
    return steps


def _abandon(tx: Connection, lease_id: int) -> Lease | Busy | Lost:
    owner = tx.scalars(select(_LEASE.budget_id).where(_LEASE.id == lease_id)).one()
    budget = budget_of(tx, owner)
    burn = budget is None or budget.mode == "hard"
    return _step(tx, lease_id, lambda lease: leasing.abandoned(lease, burn=burn))


class _Plan(msgspec.Struct, frozen=True):
    want: Want
    period: PeriodRow
    before: Lease | None
    after: Lease


def _own_lease(
    tx: Connection, want: Want, *, period: PeriodRow, holder: str, now: datetime
) -> Lease | Busy | Lost | None:
    """The lease to extend, its row locked; None where it has to be made."""
    query = select(budget_lease).where(_LEASE.id == want.lease_id)
    known = tx.execute(query).first()
    if known is None:
        return None
    if known.holder != holder or (known.budget_id, known.subject, known.starts_at) != period.key:
        return Lost(want.lease_id)
    row = tx.execute(query.with_for_update(skip_locked=True)).first()
    if row is None:
        return Busy(want.lease_id)
    if row.state != "active" or row.expires_at <= now:
        return Lost(want.lease_id)
    return lease_of(row)


def _grant(tx: Connection, plan: _Plan, *, holder: str, now: datetime, expires_at: datetime) -> Acquired:
    want, period, after = plan.want, plan.period, plan.after
    amount = after.reserve - (plan.before.reserve if plan.before is not None else 0)
    if amount:
        commit_within(tx, period, amount=amount, now=now)
    if plan.before is None:
        budget_id, subject, starts_at = period.key
        owner = {"id": want.lease_id, "budget_id": budget_id, "subject": subject, "starts_at": starts_at}
        times = {"holder": holder, "expires_at": expires_at, "created_at": now}
        tx.execute(insert(budget_lease).values(**owner, **times, **_columns(after)))
    else:
        extended = update(budget_lease).where(_LEASE.id == want.lease_id)
        tx.execute(extended.values(expires_at=expires_at, **_columns(after)))
    return Acquired(
        place=want.place,
        lease_id=want.lease_id,
        granted=after.granted,
        limit_nanos=period.limit(now),
        version=period.budget.version,
        free_nanos=period.free(now) - amount,
        starts_at=period.key[2],
        ends_at=period.ends_at,
        wanted=period.wanted,
    )


def _refuse(tx: Connection, want: Want, *, period: PeriodRow, now: datetime) -> Exhausted:
    unreported = func.sum(_LEASE.granted_nanos - _LEASE.spent_nanos)
    others = (_LEASE.id != want.lease_id) & (_LEASE.state == "active")
    idle = select(unreported).where(*leases_of(period.key), others, _LEASE.granted_nanos > _LEASE.spent_nanos)
    idle_nanos = int(tx.scalar(idle) or 0)
    if idle_nanos:
        want_more(tx, period.key)
    usage = usage_of(tx, period.key)
    return Exhausted(
        place=want.place,
        limit_nanos=period.limit(now),
        spent_nanos=usage.spent_nanos,
        held_nanos=usage.held_nanos,
        idle_nanos=idle_nanos,
        ends_at=period.ends_at,
        wanted=period.wanted + bool(idle_nanos),
    )


def _step(tx: Connection, lease_id: int, change: Step, *, holder: str | None = None) -> Lease | Busy | Lost:
    """Change one lease, and what its period has committed, under both locks; *holder* None may change any."""
    query = select(budget_lease).where(_LEASE.id == lease_id)
    known = tx.execute(query).first()
    if known is None or holder not in (None, known.holder):
        return Lost(lease_id)
    key: PeriodKey = (known.budget_id, known.subject, known.starts_at)
    lock(tx, key)
    row = tx.execute(query.with_for_update(skip_locked=True)).first()
    if row is None:
        return Busy(lease_id)
    before = lease_of(row)
    after = change(before)
    if after != before:
        write(tx, lease_id, after)
    if after.reserve != before.reserve:
        commit(tx, key, amount=after.reserve - before.reserve)
    return after


def lease_of(row: Row[Any]) -> Lease:
    """A row of `budget_lease` as a value."""
    return Lease(row.granted_nanos, row.spent_nanos, row.burned_nanos, row.state)


def write(tx: Connection, lease_id: int, lease: Lease) -> None:
    """Store what became of a lease."""
    tx.execute(update(budget_lease).where(_LEASE.id == lease_id).values(_columns(lease)))


def _columns(lease: Lease) -> dict[str, Any]:
    return {
        "granted_nanos": lease.granted,
        "spent_nanos": lease.spent,
        "burned_nanos": lease.burned,
        "state": lease.state,
    }


def _count_active(tx: Connection, key: PeriodKey) -> int:
    active = select(func.count()).select_from(budget_lease).where(*leases_of(key), _LEASE.state == "active")
    return int(tx.scalar(active) or 0)


def _ids(tx: Connection, condition: ColumnElement[bool]) -> Sequence[int]:
    """Leases in the order in which periods are locked."""
    order = (_LEASE.budget_id, _LEASE.subject, _LEASE.starts_at, _LEASE.id)
    return tx.scalars(select(_LEASE.id).where(condition).order_by(*order)).all()


def portions(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    """*ids* in parts that a statement can take."""
    return (ids[start : start + PORTION] for start in range(0, len(ids), PORTION))


def _place(want: Want) -> Place:
    return want.place
