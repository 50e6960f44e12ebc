"""Two books that leases can be kept in: the real store, and the same rules in memory for very many runs.

`SqlBooks` is the code that relays run. `MemoryBooks` applies the same pure steps (`service.budgets.leasing`) to
dictionaries; the same machine runs on both, so where they part a test fails.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from sqlalchemy import select, update

from service.budgets import leases, leasing
from service.budgets.answers import Acquired, Busy, Exhausted, Gone, Lost, Outcome, Place, Recall, Want
from service.budgets.charges import Spending
from service.budgets.leasing import Lease
from service.budgets.periods import PeriodKey, budget_of
from service.budgets.policy import Budget
from service.budgets.settling import settle_flush
from service.budgets.windows import period_of
from service.store.budget_tables import budget as budget_table
from service.store.budget_tables import budget_lease, budget_period
from service.store.engine import Store
from service.store.types import from_micros

GRACE = timedelta(seconds=5)
QUARANTINE = timedelta(seconds=120)


class RolledBackError(Exception):
    """The transaction was not committed."""


class Books(Protocol):
    """What relays and the keeper ask of the store."""

    def acquire(
        self, wants: Sequence[Want], *, holder: str, now: datetime, expires_at: datetime
    ) -> Outcome: ...
    def renew(self, *, holder: str, now: datetime, expires_at: datetime) -> None: ...
    def recalls(self, lease_ids: Sequence[int], *, now: datetime) -> list[Recall]: ...
    def shrink(self, lease_id: int, *, holder: str, to: int) -> Lease | Busy | Lost: ...
    def close(self, lease_id: int, *, holder: str, final: int) -> Lease | Busy | Lost: ...
    def adopt(self, *, holder: str) -> int: ...
    def reap(self, *, now: datetime) -> int: ...
    def settle(self, spending: Spending, *, roll_back: bool = False) -> None: ...
    def set_limit(self, budget_id: str, limit_nanos: int) -> None: ...
    def budget(self, budget_id: str) -> Budget: ...
    def leases(self) -> dict[int, tuple[PeriodKey, Lease]]: ...
    def committed(self) -> dict[PeriodKey, tuple[int, int]]: ...


class SqlBooks:
    """The store. Sees only the budgets it is given, so that many runs can share one database."""

    def __init__(self, store: Store, budget_ids: Sequence[str]) -> None:
        self._store = store
        self._ids = list(budget_ids)

    def acquire(self, wants: Sequence[Want], *, holder: str, now: datetime, expires_at: datetime) -> Outcome:
        with self._store.write() as tx:
            return leases.acquire(tx, wants, holder=holder, now=now, expires_at=expires_at)

    def renew(self, *, holder: str, now: datetime, expires_at: datetime) -> None:
        with self._store.write() as tx:
            leases.renew(tx, holder=holder, now=now, expires_at=expires_at)

    def recalls(self, lease_ids: Sequence[int], *, now: datetime) -> list[Recall]:
        with self._store.read() as tx:
            return leases.recalls(tx, lease_ids, now=now)

    def shrink(self, lease_id: int, *, holder: str, to: int) -> Lease | Busy | Lost:
        with self._store.write() as tx:
            return leases.shrink(tx, lease_id, holder=holder, to=to)

    def close(self, lease_id: int, *, holder: str, final: int) -> Lease | Busy | Lost:
        with self._store.write() as tx:
            return leases.close(tx, lease_id, holder=holder, final=final)

    def adopt(self, *, holder: str) -> int:
        with self._store.write() as tx:
            return leases.adopt(tx, holder=holder)

    def reap(self, *, now: datetime) -> int:
        with self._store.write() as tx:
            return leases.reap(tx, now=now, grace=GRACE, quarantine=QUARANTINE)

    def settle(self, spending: Spending, *, roll_back: bool = False) -> None:
        with suppress(RolledBackError), self._store.write() as tx:
            settle_flush(tx, spending)
            if roll_back:
                raise RolledBackError

    def set_limit(self, budget_id: str, limit_nanos: int) -> None:
        with self._store.write() as tx:
            changed = update(budget_table).where(budget_table.c.id == budget_id)
            later = from_micros(self.budget(budget_id).version + 1)
            tx.execute(changed.values(limit_nanos=limit_nanos, updated_at=later))

    def budget(self, budget_id: str) -> Budget:
        with self._store.read() as tx:
            found = budget_of(tx, budget_id)
        assert found is not None
        return found

    def leases(self) -> dict[int, tuple[PeriodKey, Lease]]:
        query = select(budget_lease).where(budget_lease.c.budget_id.in_(self._ids))
        with self._store.read() as tx:
            return {
                row.id: ((row.budget_id, row.subject, row.starts_at), leases.lease_of(row))
                for row in tx.execute(query)
            }

    def committed(self) -> dict[PeriodKey, tuple[int, int]]:
        query = select(budget_period).where(budget_period.c.budget_id.in_(self._ids))
        with self._store.read() as tx:
            return {
                (row.budget_id, row.subject, row.starts_at): (row.committed_nanos, row.direct_nanos)
                for row in tx.execute(query)
            }


class _Row:
    """A lease and what the store keeps beside it."""

    def __init__(self, key: PeriodKey, holder: str, *, lease: Lease, expires_at: datetime) -> None:
        self.key = key
        self.holder = holder
        self.lease = lease
        self.expires_at = expires_at
        self.quarantined_at: datetime | None = None


class _Period:
    def __init__(self, ends_at: datetime | None) -> None:
        self.ends_at = ends_at
        self.committed = 0
        self.direct = 0
        self.wanted = 0


class MemoryBooks:
    """The rules of `leasing` on dictionaries."""

    def __init__(self, budgets: Sequence[Budget]) -> None:
        self._budgets = {budget.id: budget for budget in budgets}
        self._periods: dict[PeriodKey, _Period] = {}
        self._rows: dict[int, _Row] = {}

    def _period(self, place: Place, now: datetime) -> tuple[PeriodKey, _Period]:
        found = period_of(self._budgets[place[0]].rule, now)
        key = (*place, found.starts_at)
        return key, self._periods.setdefault(key, _Period(found.ends_at))

    def acquire(self, wants: Sequence[Want], *, holder: str, now: datetime, expires_at: datetime) -> Outcome:
        plans: list[tuple[Want, PeriodKey, Lease, Lease]] = []
        for want in sorted(wants, key=lambda each: each.place):
            budget = self._budgets.get(want.place[0])
            if budget is None or budget.mode != "hard":
                return Gone(want.place)
            key, period = self._period(want.place, now)
            row = self._rows.get(want.lease_id)
            if row is not None and (
                row.holder != holder or row.key != key or row.lease.state != "active" or row.expires_at <= now
            ):
                return Lost(want.lease_id)
            before = Lease() if row is None else row.lease
            mine = [each for each in self._rows.values() if each.key == key and each.lease.state == "active"]
            free = budget.limit_at(now) - period.committed
            holders = len(mine) + (row is None)
            after = leasing.granted(before, need=want.need, want=want.want, free=free, holders=holders)
            if after is None:
                return self._refuse(want, key, now=now)
            plans.append((want, key, before, after))
        return tuple(self._grant(plan, holder=holder, now=now, expires_at=expires_at) for plan in plans)

    def _grant(
        self,
        plan: tuple[Want, PeriodKey, Lease, Lease],
        *,
        holder: str,
        now: datetime,
        expires_at: datetime,
    ) -> Acquired:
        want, key, before, after = plan
        period = self._periods[key]
        period.committed += after.reserve - before.reserve
        row = self._rows.setdefault(want.lease_id, _Row(key, holder, lease=after, expires_at=expires_at))
        row.lease, row.expires_at = after, expires_at
        limit = self._budgets[key[0]].limit_at(now)
        return Acquired(
            place=want.place,
            lease_id=want.lease_id,
            granted=after.granted,
            limit_nanos=limit,
            version=self._budgets[key[0]].version,
            free_nanos=limit - period.committed,
            starts_at=key[2],
            ends_at=period.ends_at,
            wanted=period.wanted,
        )

    def _refuse(self, want: Want, key: PeriodKey, *, now: datetime) -> Exhausted:
        period = self._periods[key]
        mine = [(lease_id, row.lease) for lease_id, row in self._rows.items() if row.key == key]
        idle = sum(
            max(0, lease.granted - lease.spent)
            for lease_id, lease in mine
            if lease_id != want.lease_id and lease.state == "active"
        )
        period.wanted += bool(idle)
        spent = period.direct + sum(lease.spent for _, lease in mine)
        return Exhausted(
            place=want.place,
            limit_nanos=self._budgets[key[0]].limit_at(now),
            spent_nanos=spent,
            held_nanos=period.committed - spent,
            idle_nanos=idle,
            ends_at=period.ends_at,
            wanted=period.wanted,
        )

    def renew(self, *, holder: str, now: datetime, expires_at: datetime) -> None:
        for row in self._rows.values():
            if row.holder == holder and row.lease.state == "active" and row.expires_at > now:
                row.expires_at = expires_at

    def recalls(self, lease_ids: Sequence[int], *, now: datetime) -> list[Recall]:
        return [
            Recall(
                lease_id,
                row.lease.state == "active" and row.expires_at > now,
                row.expires_at,
                self._periods[row.key].wanted,
            )
            for lease_id in lease_ids
            if (row := self._rows.get(lease_id)) is not None
        ]

    def _step(self, lease_id: int, after: Lease) -> Lease:
        row = self._rows[lease_id]
        self._periods[row.key].committed += after.reserve - row.lease.reserve
        row.lease = after
        return after

    def shrink(self, lease_id: int, *, holder: str, to: int) -> Lease | Busy | Lost:
        row = self._rows.get(lease_id)
        if row is None or row.holder != holder:
            return Lost(lease_id)
        return self._step(lease_id, leasing.shrunk(row.lease, to=to))

    def close(self, lease_id: int, *, holder: str, final: int) -> Lease | Busy | Lost:
        row = self._rows.get(lease_id)
        if row is None or row.holder != holder:
            return Lost(lease_id)
        return self._step(lease_id, leasing.closed(row.lease, final=final))

    def adopt(self, *, holder: str) -> int:
        mine = [lease_id for lease_id, row in self._rows.items() if row.holder == holder]
        for lease_id in mine:
            self._step(lease_id, leasing.adopted(self._rows[lease_id].lease))
        return len(mine)

    def reap(self, *, now: datetime) -> int:
        steps = 0
        for lease_id, row in self._rows.items():
            if row.lease.state == "active" and row.expires_at <= now - GRACE:
                self._step(lease_id, leasing.quarantined(row.lease))
                row.quarantined_at = now
                steps += 1
            elif (
                row.lease.state == "quarantined"
                and row.quarantined_at is not None
                and row.quarantined_at <= now - QUARANTINE
            ):
                burn = self._budgets[row.key[0]].mode == "hard"
                self._step(lease_id, leasing.abandoned(row.lease, burn=burn))
                steps += 1
        return steps

    def settle(self, spending: Spending, *, roll_back: bool = False) -> None:
        if roll_back:
            return
        for lease_id, cost in spending.by_lease.items():
            self._step(lease_id, leasing.settled(self._rows[lease_id].lease, cost=cost))
        for (budget_id, subject, micros), cost in spending.direct.items():
            _, period = self._period((budget_id, subject), from_micros(micros))
            period.committed += cost
            period.direct += cost

    def set_limit(self, budget_id: str, limit_nanos: int) -> None:
        known = self._budgets[budget_id]
        changed = msgspec.structs.replace(known, limit_nanos=limit_nanos, version=known.version + 1)
        self._budgets[budget_id] = changed

    def budget(self, budget_id: str) -> Budget:
        return self._budgets[budget_id]

    def leases(self) -> dict[int, tuple[PeriodKey, Lease]]:
        return {lease_id: (row.key, row.lease) for lease_id, row in self._rows.items()}

    def committed(self) -> dict[PeriodKey, tuple[int, int]]:
        return {key: (period.committed, period.direct) for key, period in self._periods.items()}
