"""The proof that budgets and records agree; what differs is reported, nothing is repaired.

For each period: what is committed is what was spent directly plus the reserve of every lease; periods of one subject
do not overlap; what was spent is what the records cost (`check_spending`). Each budget is read in one snapshot, and a
record is in the store exactly if its spending is, so the relays may go on writing.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice

import msgspec
from sqlalchemy import Connection, and_, case, func, select

from service.budgets.check_spending import Counted, spending_differs
from service.reporting.check import MAX_DIFFERENCES, Difference
from service.reporting.snapshots import snapshot
from service.store.budget_tables import budget as budget_table
from service.store.budget_tables import budget_lease, budget_period
from service.store.engine import Store

_PERIOD = budget_period.c
_LEASE = budget_lease.c


class _Row(msgspec.Struct, frozen=True):
    """A period with what its leases add up to."""

    counted: Counted
    committed: int
    direct: int
    reserved: int


def check_budgets(store: Store, *, progress: Callable[[int, int], None] | None = None) -> list[Difference]:
    """Compare everything; the first `MAX_DIFFERENCES`. *progress* is told budgets done and budgets in all."""
    return list(islice(_differences(store, progress), MAX_DIFFERENCES))


def _differences(store: Store, progress: Callable[[int, int], None] | None) -> Iterator[Difference]:
    with snapshot(store) as tx:
        budget_ids = tx.scalars(select(budget_table.c.id).order_by(budget_table.c.id)).all()
    for number, budget_id in enumerate(budget_ids):
        with snapshot(store) as tx:
            rows = _rows(tx, budget_id)
            yield from _commitments_differ(budget_id, rows)
            yield from _periods_overlap(budget_id, rows)
            yield from spending_differs(tx, budget_id, [row.counted for row in rows])
        if progress is not None:
            progress(number + 1, len(budget_ids))


def _rows(tx: Connection, budget_id: str) -> list[_Row]:
    """Every period of the budget, the earliest first."""
    larger = case((_LEASE.granted_nanos > _LEASE.spent_nanos, _LEASE.granted_nanos), else_=_LEASE.spent_nanos)
    closed = _LEASE.spent_nanos + _LEASE.burned_nanos
    reserve = case((_LEASE.state == "closed", closed), else_=larger)
    same = and_(
        _LEASE.budget_id == _PERIOD.budget_id,
        _LEASE.subject == _PERIOD.subject,
        _LEASE.starts_at == _PERIOD.starts_at,
    )
    columns = (
        *(_PERIOD.subject, _PERIOD.starts_at, _PERIOD.ends_at, _PERIOD.committed_nanos, _PERIOD.direct_nanos),
    )
    query = (
        select(
            *columns,
            func.coalesce(func.sum(reserve), 0).label("reserved"),
            func.coalesce(func.sum(_LEASE.spent_nanos), 0).label("leased"),
        )
        .select_from(budget_period.outerjoin(budget_lease, same))
        .where(_PERIOD.budget_id == budget_id)
        .group_by(*columns)
        .order_by(_PERIOD.starts_at, _PERIOD.subject)
    )
    return [
        _Row(
            Counted(row.subject, row.starts_at, row.ends_at, row.direct_nanos + int(row.leased)),
            row.committed_nanos,
            row.direct_nanos,
            int(row.reserved),
        )
        for row in tx.execute(query)
    ]


def _commitments_differ(budget_id: str, rows: Sequence[_Row]) -> Iterator[Difference]:
    for row in rows:
        expected = row.direct + row.reserved
        if row.committed != expected:
            yield Difference(
                where=row.counted.place(budget_id),
                what="committed_nanos",
                found=str(row.committed),
                expected=f"{expected} (spent directly and reserved by leases)",
            )


def _periods_overlap(budget_id: str, rows: Sequence[_Row]) -> Iterator[Difference]:
    ends: dict[str, datetime | None] = {}
    for row in rows:
        counted = row.counted
        if counted.subject in ends:
            before = ends[counted.subject]
            if before is None or before > counted.starts_at:
                yield Difference(
                    where=counted.place(budget_id),
                    what="starts_at",
                    found=counted.starts_at.isoformat(),
                    expected=f"{before} or later (the end of the period before)",
                )
        ends[counted.subject] = counted.ends_at
