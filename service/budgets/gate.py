"""The gate: holds a request's estimate on every budget that applies, or refuses it.

`admit` waits for the store only where a lease has no room left; many requests that find it empty wait for one
answer. `tend` runs twice a second: it keeps leases alive, hears that others were refused, and gives back what nobody
used for some seconds. While the store is away a request passes only within what is leased already.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, assert_never

import msgspec

from service.budgets import leases
from service.budgets.admission import Admission
from service.budgets.allowance import Allowance, Demand, GivingBack, Held, Short
from service.budgets.answers import Busy, Exhausted, Gone, Lost, Outcome, Place, Recall, Want
from service.budgets.charges import NO_LEASE, Charge
from service.budgets.leasing import Lease
from service.budgets.policy import BudgetBook, RequestFacts
from service.budgets.refusals import refusal_of
from service.budgets.slices import Slice
from service.budgets.surroundings import Surroundings
from service.budgets.turns import Turn, Turns
from service.errors import BudgetExhaustedError, ModelUnpricedError, StoreUnavailableError, UnavailableError
from service.store.engine import Store

TTL_S = 30.0
TTL = timedelta(seconds=TTL_S)
MARGIN_S = 2.0
TEND_EVERY_S = 0.5
IDLE_S = 4.0
CLOSE_AFTER_S = 60.0
PATIENCE_S = 1.0
"""How long a request waits for money that other relays hold without spending it."""
AGAIN_S = 0.1
REMEMBER_S = 0.5
"""How long a refusal, or the absence of the store, is taken for granted."""
ANSWER_WITHIN_S = 10.0
LONGEST_WAIT_S = 60.0
STORE_AWAY = "The store is away, and a hard budget needs it: what this relay may spend alone is spent."


class Refusal(msgspec.Struct, frozen=True):
    """A refusal that is remembered for a moment."""

    until: float
    exhausted: Exhausted


class BudgetGate:
    """The budgets of one relay process. Event loop only; *holder* names the process, once and for ever."""

    def __init__(
        self,
        store: Store,
        *,
        holder: str,
        book: Callable[[], BudgetBook],
        surroundings: Surroundings,
        allow_unpriced: bool = False,
    ) -> None:
        self._store = store
        self._holder = holder
        self._book = book
        self._around = surroundings
        self._allow_unpriced = allow_unpriced
        self._allowance = Allowance(new_id=surroundings.new_id)
        self._asking: set[asyncio.Future[Outcome | None]] = set()
        self._turns: Turns[Place] = Turns()
        self._queued: dict[Place, int] = {}
        self._refusals: dict[Place, Refusal] = {}
        self._away_until = float("-inf")
        self._renewed_at = float("-inf")
        self._answered_at = float("-inf")

    async def admit(self, facts: RequestFacts, estimate_nanos: int | None) -> Admission:
        """Hold *estimate_nanos*, the most the request can cost, on every budget that applies.

        Raises BudgetExhaustedError; ModelUnpricedError where a hard budget applies and nobody knows the price;
        UnavailableError where a lease must be filled and the store is away.
        """
        applying = self._book().applying(facts)
        now = self._around.now()
        soft = [Charge(*each.place, NO_LEASE, 0) for each in applying if each.budget.mode == "soft"]
        hard = [each for each in applying if each.budget.mode == "hard"]
        if estimate_nanos is None:
            if hard and not self._allow_unpriced:
                raise ModelUnpricedError(
                    f"No price is known for the model `{facts.model[:100]}`, so the hard budget "
                    f"{hard[0].budget.id} cannot be kept; the operator can set one with `tollkeeper prices set`."
                )
            estimate_nanos = 0
        demands = [Demand(each.place, each.budget.limit_at(now), each.budget.version) for each in hard]
        slices = await self._hold(demands, estimate_nanos) if demands else ()
        return Admission(self._allowance, slices=slices, held=estimate_nanos, soft=soft)

    def hold_again(self, admission: Admission, estimate_nanos: int) -> Admission | None:
        """Another attempt of a request whose last one was settled; None where what is leased has no room for it."""
        now = self._around.now()
        demands = [Demand(part.place, part.limit_nanos, part.version) for part in admission.slices]
        match self._allowance.hold(demands, estimate_nanos, now=now, monotonic=self._around.monotonic()):
            case Held(slices):
                soft = [charge for charge in admission.charges if charge.lease_id == NO_LEASE]
                return Admission(self._allowance, slices=slices, held=estimate_nanos, soft=soft)
            case Short():
                return None

    async def _hold(self, demands: Sequence[Demand], amount: int) -> Sequence[Slice]:
        around = self._around
        began = around.monotonic()
        while self._patient(began):
            match self._allowance.hold(demands, amount, now=around.now(), monotonic=around.monotonic()):
                case Held(slices):
                    self._fill_ahead(demands, slices)
                    return slices
                case Short(short):
                    outcome = self._remembered(short, amount) or await self._fill(short, amount)
            match outcome:
                case Exhausted():
                    if not outcome.may_fit(amount) or around.monotonic() - began >= PATIENCE_S:
                        raise self._refusal(outcome, amount)
                    await around.pause(AGAIN_S)
                case Gone(place):
                    demands = [demand for demand in demands if demand.place != place]
                case Busy():
                    await around.pause(AGAIN_S)
                case Lost() | tuple():
                    pass
                case other:
                    assert_never(other)
        raise UnavailableError("The store takes too long over the budgets.", reason="store_unavailable")

    def _patient(self, began: float) -> bool:
        """Whether to wait on: under load for long, as long as the store answers anybody."""
        monotonic = self._around.monotonic()
        heard = max(began, self._answered_at)
        return monotonic - heard < ANSWER_WITHIN_S and monotonic - began < LONGEST_WAIT_S

    def _remembered(self, short: Sequence[Demand], amount: int) -> Exhausted | None:
        """A recent refusal that holds for this request as well."""
        for demand in short:
            refusal = self._refusals.get(demand.place)
            if refusal is None:
                continue
            if self._around.monotonic() >= refusal.until:
                del self._refusals[demand.place]
                continue
            part = self._allowance.find(demand.place)
            missing = amount - (part.spare if part is not None else 0)
            same_limit = demand.limit_nanos == refusal.exhausted.limit_nanos
            if same_limit and missing > refusal.exhausted.free_nanos:
                return refusal.exhausted
        return None

    async def _fill(self, short: Sequence[Demand], amount: int) -> Outcome:
        """Ask the store, or wait for somebody who does already and then look again."""
        places = [demand.place for demand in short]
        if self._turns.taken(places):
            self._queue(short, amount)
            try:
                await self._turns.wait(places)
            finally:
                self._queue(short, -amount)
            return ()
        if self._around.monotonic() < self._away_until:
            raise UnavailableError(STORE_AWAY, reason="store_unavailable")
        asking = self._own(self._ask(short, amount, turn=self._turns.take(places)))
        answered, _ = await asyncio.wait(
            {asking}, timeout=ANSWER_WITHIN_S
        )  # the question outlives a client too
        outcome = asking.result() if answered else None
        if outcome is None:
            raise UnavailableError(STORE_AWAY, reason="store_unavailable")
        return outcome

    def _fill_ahead(self, demands: Sequence[Demand], slices: Sequence[Slice]) -> None:
        """Ask for more before a slice is empty; nobody waits for the answer."""
        for demand, part in zip(demands, slices, strict=True):
            if (
                part.low
                and not self._turns.taken([part.place])
                and self._around.monotonic() >= self._away_until
            ):
                turn = self._turns.take([part.place])
                self._own(self._ask([demand], part.spare + 1, turn=turn))

    def _own(self, asking: Coroutine[Any, Any, Outcome | None]) -> "asyncio.Future[Outcome | None]":
        """Run a question that outlives whoever asked: its answer must not be lost."""
        task = asyncio.ensure_future(asking)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return task

    async def _ask(self, short: Sequence[Demand], amount: int, *, turn: Turn[Place]) -> Outcome | None:
        """None where the store does not answer."""
        around = self._around
        queued = max(self._queued.get(demand.place, 0) for demand in short)
        now, asked_at = around.now(), around.monotonic()
        wants = self._allowance.plan(short, amount, queued=queued, now=now, monotonic=asked_at)
        try:
            outcome: Outcome = await around.in_thread(partial(self._acquire, wants, now))
        except BaseException as error:
            self._allowance.unanswered(wants)
            if not isinstance(error, StoreUnavailableError):
                raise
            self._away_until = around.monotonic() + REMEMBER_S
            return None
        finally:
            self._turns.end(turn)
        monotonic = self._answered_at = around.monotonic()
        self._allowance.answered(wants, outcome, deadline=asked_at + TTL_S - MARGIN_S, monotonic=monotonic)
        if isinstance(outcome, Exhausted):
            self._refusals[outcome.place] = Refusal(monotonic + REMEMBER_S, outcome)
        return outcome

    def _acquire(self, wants: Sequence[Want], now: datetime) -> Outcome:
        with self._store.write() as tx:
            return leases.acquire(tx, wants, holder=self._holder, now=now, expires_at=now + TTL)

    async def tend(self) -> None:
        """One round of care. Raises StoreUnavailableError; what was to be given back follows in a later round."""
        around, allowance = self._around, self._allowance
        now, asked_at = around.now(), around.monotonic()
        allowance.rest(now=now, monotonic=asked_at, idle_s=IDLE_S, close_s=CLOSE_AFTER_S)
        ids = [part.lease_id for part in allowance.living if part.made]
        renewing = asked_at - self._renewed_at >= TTL_S / 3 and bool(ids or allowance.retired)
        if ids or renewing:
            heard = await around.in_thread(partial(self._look, ids, now, renewing))
            self._renewed_at = asked_at if renewing else self._renewed_at
            allowance.heard(heard, renewed_until=now + TTL, deadline=asked_at + TTL_S - MARGIN_S)
        await self._give_back()

    async def run(self) -> None:
        """Tend until cancelled."""
        while True:
            await self._around.pause(TEND_EVERY_S)
            with suppress(StoreUnavailableError):
                await self.tend()

    async def close(self) -> None:
        """Give everything back; requests that still run are charged to what they held."""
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._give_back(everything=True)

    def _look(self, ids: Sequence[int], now: datetime, renewing: bool) -> list[Recall]:  # noqa: FBT001  (in a partial)
        if renewing:
            with self._store.write() as tx:
                leases.renew(tx, holder=self._holder, now=now, expires_at=now + TTL)
                return leases.recalls(tx, ids, now=now)
        with self._store.read() as tx:
            return leases.recalls(tx, ids, now=now)

    async def _give_back(self, *, everything: bool = False) -> None:
        steps = self._allowance.give_back(everything=everything)
        if not steps:
            return
        turn = self._turns.take([step.part.place for step in steps if step.part.busy])
        results: list[Lease | Busy | Lost] = []
        try:
            results = await self._around.in_thread(partial(self._return, steps))
        finally:
            self._turns.end(turn)
            self._allowance.given_back(steps, results, monotonic=self._around.monotonic())

    def _return(self, steps: Sequence[GivingBack]) -> list[Lease | Busy | Lost]:
        with self._store.write() as tx:
            return [
                leases.close(tx, step.part.lease_id, holder=self._holder, final=step.total)
                if step.closing
                else leases.shrink(tx, step.part.lease_id, holder=self._holder, to=step.total)
                for step in steps
            ]

    def _queue(self, demands: Sequence[Demand], amount: int) -> None:
        for demand in demands:
            queued = self._queued.get(demand.place, 0) + amount
            if queued:
                self._queued[demand.place] = queued
            else:
                self._queued.pop(demand.place, None)

    def _refusal(self, exhausted: Exhausted, amount: int) -> BudgetExhaustedError:
        budget = self._book().find(exhausted.place[0])
        part = self._allowance.find(exhausted.place)
        spare = part.spare if part is not None else 0
        return refusal_of(exhausted, budget, estimate_nanos=amount, spare_nanos=spare)
