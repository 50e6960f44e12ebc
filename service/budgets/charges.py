"""What a record is charged to, and what many records spent. Pure.

The charges of a request stand in its INTENT and in its record, so that whoever finds them can settle them.
"""

from collections.abc import Iterable

import msgspec

NO_LEASE = 0


class Charge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One budget that a request is charged to. Without a lease it is the period in which the record started."""

    budget_id: str
    subject: str
    lease_id: int
    held: int


class Spending(msgspec.Struct):
    """What records spent: by lease, and by place and instant (UTC microseconds) where there was no lease."""

    by_lease: dict[int, int] = msgspec.field(default_factory=dict)
    direct: dict[tuple[str, str, int], int] = msgspec.field(default_factory=dict)
    origins: dict[int, tuple[str, str, int]] = msgspec.field(default_factory=dict)
    """Where a lease's spending belongs, should the store not know the lease (a restored backup)."""

    def add(self, charges: Iterable[Charge], *, cost_nanos: int | None, started_at: int) -> None:
        """Add a record. A cost that nobody knows counts as what was held for it: nothing is spent unseen."""
        for charge in charges:
            amount = charge.held if cost_nanos is None else cost_nanos
            if charge.lease_id != NO_LEASE:
                self.by_lease[charge.lease_id] = self.by_lease.get(charge.lease_id, 0) + amount
                self.origins[charge.lease_id] = (charge.budget_id, charge.subject, started_at)
            elif amount:
                key = (charge.budget_id, charge.subject, started_at)
                self.direct[key] = self.direct.get(key, 0) + amount
