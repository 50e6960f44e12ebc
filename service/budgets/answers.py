"""What relays ask the store for about budgets, and what it answers. Pure.

Every answer is a type, matched exhaustively where it arrives.
"""

from datetime import datetime

import msgspec

Place = tuple[str, str]
"""Budget id and subject: whose money it is. Every relay visits places in this order."""


class Want(msgspec.Struct, frozen=True):
    """Room wanted on one budget: *need* and *want* are totals of the lease, its spending included."""

    place: Place
    lease_id: int
    need: int
    want: int


class Acquired(msgspec.Struct, frozen=True):
    """The lease has room for what was needed."""

    place: Place
    lease_id: int
    granted: int
    limit_nanos: int
    version: int
    free_nanos: int
    starts_at: datetime
    ends_at: datetime | None
    wanted: int


class Exhausted(msgspec.Struct, frozen=True):
    """The budget has no room. *idle_nanos* is what other relays hold and have not reported as spent."""

    place: Place
    limit_nanos: int
    spent_nanos: int
    held_nanos: int
    idle_nanos: int
    ends_at: datetime | None
    wanted: int

    @property
    def free_nanos(self) -> int:
        """What nobody holds."""
        return max(0, self.limit_nanos - self.spent_nanos - self.held_nanos)

    def may_fit(self, amount: int) -> bool:
        """Whether *amount* would fit once others have given back what they do not spend."""
        return self.idle_nanos > 0 and amount <= self.free_nanos + self.idle_nanos


class Lost(msgspec.Struct, frozen=True):
    """The lease has expired, or its period is over: never revived, take another."""

    lease_id: int


class Busy(msgspec.Struct, frozen=True):
    """Spending of the lease is being settled at this moment: ask again."""

    lease_id: int


class Gone(msgspec.Struct, frozen=True):
    """The budget was deleted, or is not hard any more: nothing has to be held on it."""

    place: Place


Outcome = tuple[Acquired, ...] | Exhausted | Lost | Busy | Gone


class Recall(msgspec.Struct, frozen=True):
    """What the holder of a lease should know: whether and until when it lives, and how often others were refused."""

    lease_id: int
    active: bool
    expires_at: datetime
    wanted: int
