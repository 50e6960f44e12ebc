"""Spending into the store, in the transaction that inserts its records: exactly once, as they are.

A record names the budgets it was held on (`Charge`); its cost, or what was held where the cost is not known, is
spent. Only an over-run, and spending without a lease, changes what a period has committed. Call `settle_flush` last
in the transaction: it locks leases, then periods, and whoever has locked a period never waits for a lease.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, select

from service.budgets import leasing
from service.budgets.charges import Spending
from service.budgets.leases import lease_of, portions, write
from service.budgets.periods import PeriodKey, budget_of, commit, find_period, open_period
from service.budgets.windows import BEGINNING, Period
from service.store.budget_tables import budget_lease
from service.store.types import from_micros

NO_PERIOD = Period(BEGINNING, BEGINNING)


def settle_flush(tx: Connection, spending: Spending) -> None:
    """Report *spending*, in the transaction that inserts its records and for newly inserted ones only."""
    more, unknown = _settle_leases(tx, spending.by_lease)
    direct = dict(spending.direct)
    for lease_id in unknown:
        origin = spending.origins[lease_id]
        direct[origin] = direct.get(origin, 0) + spending.by_lease[lease_id]
    amounts, ends = _by_period(tx, direct)
    for key in sorted(more.keys() | amounts.keys()):
        if key in ends:
            open_period(tx, key, ends_at=ends[key])
        commit(tx, key, amount=more.get(key, 0), direct=amounts.get(key, 0))


def _settle_leases(tx: Connection, spent: Mapping[int, int]) -> tuple[dict[PeriodKey, int], list[int]]:
    """What periods have to commit beyond what was reserved (over-runs), and the leases that are not there."""
    more: dict[PeriodKey, int] = {}
    unknown = set(spent)
    for lease_ids in portions(sorted(spent)):
        query = select(budget_lease).where(budget_lease.c.id.in_(lease_ids)).order_by(budget_lease.c.id)
        for row in tx.execute(query.with_for_update()).all():
            unknown.discard(row.id)
            before = lease_of(row)
            after = leasing.settled(before, cost=spent[row.id])
            if after != before:
                write(tx, row.id, after)
            if after.reserve != before.reserve:
                key = (row.budget_id, row.subject, row.starts_at)
                more[key] = more.get(key, 0) + after.reserve - before.reserve
    return more, sorted(unknown)


def _by_period(
    tx: Connection, direct: Mapping[tuple[str, str, int], int]
) -> tuple[dict[PeriodKey, int], dict[PeriodKey, datetime | None]]:
    """Spending without a lease by period, and when those periods end. Locks nothing."""
    amounts: dict[PeriodKey, int] = {}
    ends: dict[PeriodKey, datetime | None] = {}
    place, period = ("", ""), NO_PERIOD
    for (budget_id, subject, micros), amount in sorted(direct.items()):
        instant = from_micros(micros)
        if (budget_id, subject) != place or not period.holds(instant):
            budget = budget_of(tx, budget_id)
            if budget is None:
                continue
            place, period = (budget_id, subject), find_period(tx, budget, subject, at=instant)
        key = (budget_id, subject, period.starts_at)
        amounts[key] = amounts.get(key, 0) + amount
        ends[key] = period.ends_at
    return amounts, ends
