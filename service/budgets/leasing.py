"""What may happen to a lease, and what each step does to what its budget has committed. Pure.

A relay does not touch the budget for every request: it leases a slice, spends it in memory and reports the spending
later. A period's commitment C is what was charged to it directly plus the reserve of every lease:

    reserve = max(granted, spent)    while active or quarantined
            = spent + burned         once closed

Steps return the lease afterwards; C changes by the difference of the reserves, and only `granted` may make it grow
within the limit. An over-run (an answer that cost more than its estimate) makes it grow beyond. A lease that nobody
renews is quarantined, then abandoned: of a hard budget its remainder is burned, because the relay that held it may
have spent it without being able to say so. Only that relay, or whoever read its whole journal after its death, can
give the remainder back.
"""

from typing import Literal

import msgspec
from msgspec.structs import replace

LeaseState = Literal["active", "quarantined", "closed"]
LEASE_STATES: tuple[LeaseState, ...] = ("active", "quarantined", "closed")
SHARE_OF_FREE = 4
"""A lease takes at most this part of what is free, divided among the holders: the last dollars go round."""


class Lease(msgspec.Struct, frozen=True):
    """Amounts in nano-USD."""

    granted: int = 0
    spent: int = 0
    burned: int = 0
    state: LeaseState = "active"

    @property
    def reserve(self) -> int:
        """What the lease keeps others from spending."""
        if self.state == "closed":
            return self.spent + self.burned
        return max(self.granted, self.spent)


def granted(lease: Lease, *, need: int, want: int, free: int, holders: int) -> Lease | None:
    """*lease* with room for *need* in total, better for *want*; None where *free* has no room for it.

    *need* and *want* are totals, spending included, so that asking again after a lost answer takes nothing twice.
    *free* is negative once the limit was lowered below what is committed: then the lease itself is cut.
    *holders* counts the active leases of the period, this one included.
    """
    missing = need - lease.reserve
    if missing > free:
        return None
    if missing <= 0:
        return replace(lease, granted=lease.reserve + min(0, free))
    share = max(missing, free // (SHARE_OF_FREE * holders))
    extra = min(max(want - lease.reserve, missing), share)
    return replace(lease, granted=lease.reserve + extra)


def settled(lease: Lease, *, cost: int) -> Lease:
    """Spending was reported, however late; of a closed lease it comes out of what was burned."""
    burned = max(0, lease.burned - cost) if lease.state == "closed" else lease.burned
    return replace(lease, spent=lease.spent + cost, burned=burned)


def shrunk(lease: Lease, *, to: int) -> Lease:
    """The holder of an active lease gives back what lies above *to*, a total."""
    if lease.state != "active":
        return lease
    return replace(lease, granted=min(lease.granted, max(to, 0)))


def closed(lease: Lease, *, final: int) -> Lease:
    """The holder will spend no more than *final* in all; what it has not reported of that stays burned."""
    unreported = max(0, final - lease.spent)
    if lease.state == "closed":
        unreported = min(unreported, lease.burned)
    return replace(lease, state="closed", burned=unreported)


def adopted(lease: Lease) -> Lease:
    """The holder is dead and everything in its journal is settled: nothing can come any more."""
    return closed(lease, final=lease.spent)


def quarantined(lease: Lease) -> Lease:
    """Nobody renewed the lease. Requests may still be running on it."""
    return replace(lease, state="quarantined") if lease.state == "active" else lease


def abandoned(lease: Lease, *, burn: bool) -> Lease:
    """The quarantine has lasted longer than any request can."""
    if lease.state != "quarantined":
        return lease
    return replace(lease, state="closed", burned=max(0, lease.granted - lease.spent) if burn else 0)
