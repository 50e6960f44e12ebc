"""A world of relays that share budgets: what may happen to them, and what must hold whatever happens.

Time is virtual, and so is the network: a question to the books may get lost before or after it took effect. Requests
cost what they cost whether or not the relay lives to write it down, so the sums here are what the provider bills.
The relays' own logic is the real `Allowance`; the books are `SqlBooks` or `MemoryBooks`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import Enum, auto
from itertools import count

from service.budgets.allowance import Allowance, Demand, Held
from service.budgets.answers import Busy, Exhausted, Lost, Outcome
from service.budgets.charges import Charge, Spending
from service.budgets.leasing import Lease
from service.budgets.periods import PeriodKey
from service.budgets.slices import Slice
from service.budgets.windows import period_of
from service.store.types import to_micros
from tests.support.budget_books import Books

TTL = timedelta(seconds=30)
MARGIN = timedelta(seconds=2)
IDLE_S = 4.0
CLOSE_S = 60.0
TRIES = 4


class Fate(Enum):
    """What becomes of a question to the store."""

    ANSWERED = auto()
    LOST = auto()
    """It never arrived, or was rolled back."""
    UNKNOWN = auto()
    """It took effect, but nobody was told."""


class Request:
    """One admitted request."""

    def __init__(self, slices: Sequence[Slice], keys: Sequence[PeriodKey], *, held: int, at: int) -> None:
        self.slices = slices
        self.keys = keys
        self.held = held
        self.started_at = at
        self.charges = [part.charge(held) for part in slices]


class Record:
    """What the journal says of a finished request."""

    def __init__(self, number: int, charges: Sequence[Charge], *, cost: int | None, started_at: int) -> None:
        self.number = number
        self.charges = charges
        self.cost = cost
        self.started_at = started_at


class Relay:
    """A relay process with its journal."""

    def __init__(self, holder: str, *, new_id: Callable[[], int]) -> None:
        self.holder = holder
        self.allowance = Allowance(new_id=new_id)
        self.drift = timedelta(0)
        self.clock_was_set = False
        self.running: list[Request] = []
        self.unflushed: list[Record] = []
        self.cut_off = False


class World:
    """Every relay, living and dead, and the sums that must hold."""

    def __init__(self, books: Books, *, start: datetime, seed: int = 0) -> None:
        self.books = books
        self.now = start
        self.elapsed_s = 0.0
        self._ids = count(seed * 1_000_000 + 1)
        self._numbers = count(1)
        self._names = count(1)
        self._seed = seed
        self.relays: list[Relay] = []
        self.dead: list[Relay] = []
        self.flushed: set[int] = set()
        self.billed: dict[PeriodKey, int] = {}
        self.over_run: dict[PeriodKey, int] = {}
        self.recorded: dict[PeriodKey, int] = {}
        self.limits: dict[str, int] = {}
        self.disk_lost = False
        self.alive_until: dict[int, float] = {}
        self.ended: set[int] = set()
        self.refused: list[Exhausted] = []

    # Relays come and go.

    def start_relay(self) -> Relay:
        """A new process."""
        relay = Relay(f"relay-{self._seed}-{next(self._names)}", new_id=lambda: next(self._ids))
        self.relays.append(relay)
        return relay

    def crash(self, relay: Relay, *, keep_disk: bool) -> None:
        """kill -9, or the machine with its disk. What was running is billed all the same, at worst in full."""
        before = self.books.committed()
        self.relays.remove(relay)
        for request in relay.running:
            self._bill(request, request.held)
        if keep_disk:
            self.dead.append(relay)
        else:
            self.disk_lost = True
        assert self.books.committed() == before, "a crash must not change what is free"

    def recover(self, relay: Relay, *, fate: Fate = Fate.ANSWERED) -> None:
        """Somebody adopts the journal of a dead process: intents are charged what they held, then its leases go."""
        for request in relay.running:
            self._record(relay, request, cost=None)
        relay.running = []
        self.flush(relay, fate=fate)
        if not relay.unflushed:
            self.books.adopt(holder=relay.holder)
            self.dead.remove(relay)

    # Requests.

    def admit(
        self, relay: Relay, demands: Sequence[Demand], amount: int, *, fate: Fate = Fate.ANSWERED
    ) -> Request | None:
        """Let a request in if its estimate fits; None where it was refused or the store did not answer."""
        for _ in range(TRIES):
            now = self.now + relay.drift
            held = relay.allowance.hold(demands, amount, now=now, monotonic=self.elapsed_s)
            if isinstance(held, Held):
                leases = self.books.leases()
                keys = [leases[part.lease_id][0] for part in held.slices]
                request = Request(held.slices, keys, held=amount, at=to_micros(now))
                relay.running.append(request)
                self._check_hold(relay, request, demands, now=now)
                return request
            if relay.cut_off:
                return None
            outcome = self._ask(relay, held.demands, amount, fate=fate)
            if outcome is None:
                return None
            if isinstance(outcome, Exhausted):
                self.refused.append(outcome)
                return None
            fate = Fate.ANSWERED
        return None

    def _ask(self, relay: Relay, short: Sequence[Demand], amount: int, *, fate: Fate) -> Outcome | None:
        now, allowance = self.now + relay.drift, relay.allowance
        wants = allowance.plan(short, amount, queued=0, now=now, monotonic=self.elapsed_s)
        outcome = None
        if fate is not Fate.LOST:
            outcome = self.books.acquire(wants, holder=relay.holder, now=now, expires_at=now + TTL)
            if isinstance(outcome, tuple):
                self._check_grant(relay, [acquired.lease_id for acquired in outcome])
        if fate is not Fate.ANSWERED or outcome is None:
            allowance.unanswered(wants)
            return None
        deadline = self.elapsed_s + (TTL - MARGIN).total_seconds()
        allowance.answered(wants, outcome, deadline=deadline, monotonic=self.elapsed_s)
        return outcome

    def finish(self, relay: Relay, request: Request, *, cost: int, known: bool = True) -> None:
        """The request has ended, whatever ended it; *known* False: nobody can tell what it cost."""
        relay.running.remove(request)
        actual = cost if known else request.held
        for part in request.slices:
            relay.allowance.settle(part, held=request.held, actual=actual)
        self._bill(request, actual)
        self._record(relay, request, cost=cost if known else None)

    def _bill(self, request: Request, actual: int) -> None:
        for key in request.keys:
            self.billed[key] = self.billed.get(key, 0) + actual
            self.over_run[key] = self.over_run.get(key, 0) + max(0, actual - request.held)

    def _record(self, relay: Relay, request: Request, *, cost: int | None) -> None:
        number = next(self._numbers)
        relay.unflushed.append(Record(number, request.charges, cost=cost, started_at=request.started_at))

    # Between relays and the store.

    def flush(self, relay: Relay, *, fate: Fate = Fate.ANSWERED) -> None:
        """Write the journal's records; the same batch may come again after an unknown commit."""
        if relay.cut_off or not relay.unflushed:
            return
        fresh = [record for record in relay.unflushed if record.number not in self.flushed]
        spending = Spending()
        for record in fresh:
            spending.add(record.charges, cost_nanos=record.cost, started_at=record.started_at)
        self.books.settle(spending, roll_back=fate is Fate.LOST)
        if fate is not Fate.LOST:
            self.flushed.update(record.number for record in fresh)
        if fate is Fate.ANSWERED:
            relay.unflushed = []

    def tend(self, relay: Relay, *, fate: Fate = Fate.ANSWERED) -> None:
        """One round of care: renew, hear of refusals, give back what is idle."""
        now, allowance = self.now + relay.drift, relay.allowance
        allowance.rest(now=now, monotonic=self.elapsed_s, idle_s=IDLE_S, close_s=CLOSE_S)
        if relay.cut_off:
            return
        ids = [part.lease_id for part in allowance.living if part.made]
        if fate is not Fate.LOST:
            self.books.renew(holder=relay.holder, now=now, expires_at=now + TTL)
            for lease_id in ids:
                if self._living(relay, lease_id):
                    self.alive_until[lease_id] = self.elapsed_s + TTL.total_seconds()
            if fate is Fate.ANSWERED:
                deadline = self.elapsed_s + (TTL - MARGIN).total_seconds()
                heard = self.books.recalls(ids, now=now)
                allowance.heard(heard, renewed_until=now + TTL, deadline=deadline)
        self._give_back(relay, fate=fate)

    def _give_back(self, relay: Relay, *, fate: Fate, everything: bool = False) -> None:
        steps = relay.allowance.give_back(everything=everything)
        results: list[Lease | Busy | Lost] = []
        if fate is not Fate.LOST:
            for step in steps:
                lease_id = step.part.lease_id
                if step.closing:
                    results.append(self.books.close(lease_id, holder=relay.holder, final=step.total))
                else:
                    results.append(self.books.shrink(lease_id, holder=relay.holder, to=step.total))
        if fate is Fate.UNKNOWN:
            results = []
        relay.allowance.given_back(steps, results, monotonic=self.elapsed_s)

    def stop(self, relay: Relay) -> None:
        """A shutdown in good order; nothing may be running."""
        relay.cut_off = False
        self._give_back(relay, fate=Fate.ANSWERED, everything=True)
        self.flush(relay)
        self.relays.remove(relay)

    def reap(self) -> None:
        """The keeper looks for leases that nobody renews."""
        before = self.books.committed()
        self.books.reap(now=self.now)
        assert self.books.committed() == before, "of a hard budget nothing may be returned unproved"

    def advance(self, step: timedelta) -> None:
        """Let time pass."""
        self.now += step
        self.elapsed_s += step.total_seconds()

    # What must hold.

    def _living(self, relay: Relay, lease_id: int) -> bool:
        return relay.clock_was_set or self.alive_until.get(lease_id, 0.0) > self.elapsed_s

    def _check_grant(self, relay: Relay, lease_ids: Sequence[int]) -> None:
        for lease_id in lease_ids:
            assert lease_id not in self.alive_until or self._living(relay, lease_id), (
                "an expired lease was revived"
            )
            self.alive_until[lease_id] = self.elapsed_s + TTL.total_seconds()

    def _check_hold(
        self, relay: Relay, request: Request, demands: Sequence[Demand], *, now: datetime
    ) -> None:
        limits = {demand.place: demand.limit_nanos for demand in demands}
        for part, key in zip(request.slices, request.keys, strict=True):
            assert self._living(relay, part.lease_id), "a lease was spent after its time"
            rule = self.books.budget(key[0]).rule
            assert period_of(rule, now).starts_at == key[2], "a request was held on a period that is not now"
            limit = limits[part.place] + self.over_run.get(key, 0)
            if request.held:
                assert self.billed.get(key, 0) + self._held(key) <= limit, (
                    "a limit was lowered and nobody noticed"
                )

    def _held(self, key: PeriodKey) -> int:
        running = [request for relay in self.relays for request in relay.running]
        return sum(request.held for request in running if key in request.keys)

    def check(self) -> None:
        """The invariants, after every step."""
        leases, committed = self.books.leases(), self.books.committed()
        reserved = {key: direct for key, (_, direct) in committed.items()}
        for key, lease in leases.values():
            reserved[key] += lease.reserve
        assert reserved == {key: total for key, (total, _) in committed.items()}, (
            "C is not the sum of reserves"
        )
        self._check_leases(leases)
        for relay in self.relays:
            self._check_slices(relay, leases)
        for key, (total, _) in committed.items():
            over_run = self.over_run.get(key, 0)
            bound = self.billed.get(key, 0) + self._held(key)
            assert bound <= total + over_run, f"{key}: {bound} billed or held, {total} committed"
            limit = self.limits[key[0]]
            assert bound <= limit + over_run, f"{key}: {bound} billed or held, the limit was at most {limit}"

    def _check_leases(self, leases: dict[int, tuple[PeriodKey, Lease]]) -> None:
        for lease_id, (key, lease) in leases.items():
            assert lease.reserve >= lease.spent, "reported spending is not committed"
            most = max(lease.granted, lease.spent) + self.over_run.get(key, 0)
            assert lease.reserve <= most, "a lease keeps more than it ever had"
            if lease.state != "active":
                self.ended.add(lease_id)
            else:
                assert lease_id not in self.ended, "a lease that had ended is active again"

    def _check_slices(self, relay: Relay, leases: dict[int, tuple[PeriodKey, Lease]]) -> None:
        for part in relay.allowance.living:
            known = leases.get(part.lease_id)
            granted = known[1].granted if known is not None else 0
            if known is not None and known[1].state == "active":
                assert part.granted <= max(granted, part.bound), (
                    "a relay believes in more than it was granted"
                )

    def come_to_rest(self) -> None:
        """Everything ends: what is left committed is exactly what was spent, unless a disk was lost."""
        for relay in list(self.relays):
            relay.cut_off = False
            for request in list(relay.running):
                self.finish(relay, request, cost=request.held // 2)
            self.flush(relay)
            self.stop(relay)
        for relay in list(self.dead):
            relay.cut_off = False
            self.recover(relay)
        self.check()
        for key, (total, _) in self.books.committed().items():
            billed = self.billed.get(key, 0)
            if self.disk_lost:
                assert total >= billed - self.over_run.get(key, 0), (
                    f"{key}: {total} committed, {billed} billed"
                )
            else:
                assert total == billed, f"{key}: {total} committed, {billed} billed"
