"""What a relay may spend now: its leases in memory. Event loop only; no I/O, no clock, nothing here waits.

`hold` checks every budget of a request and holds on all of them or on none, in one step that nothing can interrupt.
A slice is spent only until its deadline (monotonic) and the end of its period (wall clock); one that is past either,
or that the store says is lost, is retired: it takes no more holds, what is held settles, and it is given back.

`granted` never exceeds what the store has granted: it is lowered before the store is told to take something back, and
raised only by what the store answered. `stored` is the most that the store may have granted, as far as is known;
where it is higher there is something to give back; `made` says that it may have the lease at all. A slice is `busy`
while the store is asked about it, so that answers cannot overtake each other.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import assert_never

import msgspec

from service.budgets.answers import Acquired, Busy, Exhausted, Gone, Lost, Outcome, Place, Recall, Want
from service.budgets.leasing import Lease
from service.budgets.slices import Slice

GROWTH = 2
"""A slice that had to be filled again soon gets twice as much the next time."""
SOON_S = 2.0
UNSURE_S = 30.0
"""How long an unanswered grant may still come true."""


class Demand(msgspec.Struct, frozen=True, gc=False):
    """A hard budget that a request must fit into, and its limit now."""

    place: Place
    limit_nanos: int
    version: int


class Held(msgspec.Struct, frozen=True, gc=False):
    """The estimate is held on every budget of the request."""

    slices: tuple[Slice, ...]


class Short(msgspec.Struct, frozen=True, gc=False):
    """These budgets' slices have no room; nothing is held."""

    demands: tuple[Demand, ...]


class GivingBack(msgspec.Struct, frozen=True):
    """Something of *part* that goes back to the store: all above *total*, and with *closing* the lease itself."""

    part: Slice
    total: int
    closing: bool


class Allowance:
    """Every slice of one relay. *new_id* draws the id of a new lease."""

    def __init__(self, *, new_id: Callable[[], int]) -> None:
        self._new_id = new_id
        self._slices: dict[Place, Slice] = {}
        self._retired: dict[int, Slice] = {}

    def hold(
        self, demands: Sequence[Demand], amount: int, *, now: datetime, monotonic: float
    ) -> Held | Short:
        """Hold *amount* on every budget of *demands* (sorted by place), or say where there is no room."""
        found: list[Slice] = []
        short: list[Demand] = []
        for demand in demands:
            part = self._slices.get(demand.place)
            if part is not None and _outdated(part, demand):
                part.granted = min(part.granted, part.bound)  # the store has to decide anew
            if part is None or not _usable(part, now, monotonic) or part.spare < amount:
                short.append(demand)
            else:
                found.append(part)
        if short:
            return Short(tuple(short))
        for part in found:
            part.held += amount
            part.used_at = monotonic
        return Held(tuple(found))

    def settle(self, part: Slice, *, held: int, actual: int) -> None:
        """A request has ended: its hold becomes what it cost."""
        part.held -= held
        part.spent += actual

    def plan(
        self, demands: Iterable[Demand], amount: int, *, queued: int, now: datetime, monotonic: float
    ) -> list[Want]:
        """What to ask the store for, so that *amount* fits, and *queued* more where there is enough."""
        wants = []
        for demand in demands:
            part = self._slices.get(demand.place)
            if part is not None and part.made and not _usable(part, now, monotonic):
                self.retire(part)
                part = None
            if part is None:
                part = self._slices[demand.place] = Slice(demand.place, self._new_id())
            part.busy = True
            part.used_at = monotonic
            soon = monotonic - part.filled_at < SOON_S
            part.portion = max(amount, part.portion * GROWTH if soon else part.portion // GROWTH)
            need = part.bound + amount
            wants.append(Want(demand.place, part.lease_id, need, need + max(queued, part.portion)))
        return wants

    def answered(self, wants: Sequence[Want], outcome: Outcome, *, deadline: float, monotonic: float) -> None:
        """What the store said to `plan`; *deadline* was taken before it was asked."""
        for want in wants:
            self._slices[want.place].busy = False
        match outcome:
            case tuple():
                for acquired in outcome:
                    self._fill(acquired, deadline=deadline, monotonic=monotonic)
                return
            case Exhausted(place):
                self._slices[place].wanted = outcome.wanted  # our own refusal recalls nothing of ours
            case Lost(lease_id):
                for part in [self._slices[want.place] for want in wants if want.lease_id == lease_id]:
                    self.retire(part)
            case Busy() | Gone():
                pass
            case other:
                assert_never(other)
        for want in wants:
            unmade = self._slices.get(want.place)
            if unmade is not None and not unmade.made:
                del self._slices[want.place]

    def _fill(self, acquired: Acquired, *, deadline: float, monotonic: float) -> None:
        part = self._slices[acquired.place]
        part.made = True
        part.granted = part.stored = acquired.granted
        part.limit_nanos = acquired.limit_nanos
        part.version = acquired.version
        part.free_nanos = acquired.free_nanos
        part.starts_at = acquired.starts_at
        part.ends_at = acquired.ends_at
        part.deadline = max(part.deadline, deadline)
        part.wanted = acquired.wanted
        part.used_at = part.filled_at = monotonic

    def unanswered(self, wants: Iterable[Want]) -> None:
        """The store may have granted what was wanted, but did not say so."""
        for want in wants:
            part = self._slices[want.place]
            part.busy = False
            part.made = True
            part.stored = max(part.stored, want.want)

    def heard(self, recalls: Iterable[Recall], *, renewed_until: datetime, deadline: float) -> None:
        """What the store says of the leases; *deadline* was taken before it was asked to renew them."""
        by_id = {part.lease_id: part for part in self._slices.values()}
        for recall in recalls:
            part = by_id.get(recall.lease_id)
            if part is None or part.busy:
                continue
            if not recall.active:
                self.retire(part)
                continue
            if recall.expires_at >= renewed_until:
                part.deadline = max(part.deadline, deadline)
            if recall.wanted != part.wanted:
                part.wanted = recall.wanted
                part.granted = min(part.granted, part.bound)

    def rest(self, *, now: datetime, monotonic: float, idle_s: float, close_s: float) -> None:
        """Let go of what was not used for *idle_s*, of slices not used for *close_s*, and of those past their time."""
        for part in list(self._slices.values()):
            if part.busy:
                continue
            idle_for = monotonic - part.used_at
            over = part.made and not _usable(part, now, monotonic)
            if over or (not part.held and idle_for >= close_s):
                self.retire(part)
            elif idle_for >= idle_s:
                part.granted = min(part.granted, part.bound)

    def retire(self, part: Slice) -> None:
        """No more holds on this slice."""
        del self._slices[part.place]
        part.granted = min(part.granted, part.bound)
        self._retired[part.lease_id] = part

    def give_back(self, *, everything: bool = False) -> list[GivingBack]:
        """What to tell the store, in the order in which periods are locked; with *everything*, at the very end."""
        if everything:
            for part in [part for part in self._slices.values() if not part.busy]:
                self.retire(part)
        steps = []
        for part in self._slices.values():
            if not part.busy and part.stored > part.granted:
                part.busy = True
                steps.append(GivingBack(part, part.granted, closing=False))
        for part in self._retired.values():
            if everything or not part.held:
                steps.append(GivingBack(part, part.bound, closing=True))
            elif part.stored > part.granted:
                steps.append(GivingBack(part, part.granted, closing=False))
        return sorted(steps, key=_order)

    def given_back(
        self, steps: Sequence[GivingBack], results: Sequence[Lease | Busy | Lost], *, monotonic: float
    ) -> None:
        """What the store said to `give_back`; no results where it did not answer: then it is all said again."""
        for step in steps:
            step.part.busy = False
        for step, result in zip(steps, results, strict=False):
            part = step.part
            match result:
                case Lease():
                    part.stored = step.total
                    if step.closing:
                        self._forget(part)
                case Lost():
                    if not part.unsure or monotonic - part.used_at >= UNSURE_S:
                        self._forget(part)
                case Busy():
                    pass
                case other:
                    assert_never(other)

    def _forget(self, part: Slice) -> None:
        """The store has closed the lease for good, or never had it."""
        self._retired.pop(part.lease_id, None)
        if self._slices.get(part.place) is part:
            del self._slices[part.place]

    def find(self, place: Place) -> Slice | None:
        """The slice of a budget."""
        return self._slices.get(place)

    @property
    def living(self) -> list[Slice]:
        """Slices that may take holds."""
        return list(self._slices.values())

    @property
    def retired(self) -> list[Slice]:
        """Slices that take no more holds and have to be given back."""
        return list(self._retired.values())


def _order(step: GivingBack) -> tuple[Place, datetime]:
    return step.part.order


def _outdated(part: Slice, demand: Demand) -> bool:
    """Whether the budget was changed, or a temporary raise has ended, since the slice was filled."""
    if demand.version != part.version:
        return demand.version > part.version  # of the two the store may know better: it was asked later
    return demand.limit_nanos < part.limit_nanos


def _usable(part: Slice, now: datetime, monotonic: float) -> bool:
    return (
        monotonic < part.deadline and part.starts_at <= now and (part.ends_at is None or now < part.ends_at)
    )
