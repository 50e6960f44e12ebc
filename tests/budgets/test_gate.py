"""The gate on a real store: one question for many requests, patience, outages, and no phantom refusals."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select, update

from service.budgets import gate as gate_module
from service.budgets import leases
from service.budgets.admission import Admission
from service.budgets.answers import Busy
from service.budgets.charges import Spending
from service.budgets.gate import BudgetGate
from service.budgets.policy import BudgetBook, RequestFacts
from service.budgets.registry import load_budgets
from service.budgets.settling import settle_flush
from service.budgets.surroundings import Surroundings
from service.budgets.values import BudgetChanges
from service.errors import BudgetExhaustedError, ModelUnpricedError, StoreUnavailableError, UnavailableError
from service.store.budget_tables import budget_lease, budget_period
from service.store.engine import Store
from service.store.types import to_micros
from tests.budgets.making import BY, USD, registry, stored
from tests.support.clock import HandClock

FACTS = RequestFacts("key_1", "alpha", "ann", "gpt-4o")
IDS = count(1)


class StoppedError(Exception):
    """The end of a loop without end."""


class Relay:
    """A gate with a clock that its own pauses turn, and a store that can be taken away."""

    def __init__(self, store: Store, clock: HandClock, *, holder: str = "relay-1", **options: Any) -> None:
        self.store = store
        self.clock = clock
        self.questions = 0
        self.away = False
        self.on_pause: Callable[[], None] = lambda: None
        self.before_answer: Callable[[], Awaitable[None]] | None = None
        self.book = BudgetBook(())
        self.refresh()
        self.gate = BudgetGate(
            store,
            holder=holder,
            book=lambda: self.book,
            surroundings=Surroundings(
                now=clock.now,
                monotonic=clock.monotonic,
                new_id=lambda: next(IDS),
                pause=self.pause,
                in_thread=self.in_thread,
            ),
            **options,
        )
        self.spending = Spending()
        self.others: list[Relay] = []

    def refresh(self) -> None:
        with self.store.read() as tx:
            self.book = load_budgets(tx)

    async def in_thread(self, step: Callable[[], Any]) -> Any:
        self.questions += 1
        if self.before_answer is not None:
            await self.before_answer()
        if self.away:
            raise StoreUnavailableError("the store is away")
        return await asyncio.to_thread(step)

    async def pause(self, seconds: float) -> None:
        self.on_pause()
        self.clock.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)
        for other in self.others:
            await other.gate.tend()

    async def admit(self, estimate: int | None = USD, facts: RequestFacts = FACTS) -> Admission:
        return await self.gate.admit(facts, estimate)

    def settle(self, admission: Admission, actual: int | None) -> None:
        """As the relay does: in memory at once, and into the record."""
        admission.settle(actual)
        self.spending.add(admission.charges, cost_nanos=actual, started_at=to_micros(self.clock.now()))

    def flush(self) -> None:
        with self.store.write() as tx:
            settle_flush(tx, self.spending)
        self.spending = Spending()

    def committed(self) -> int:
        with self.store.read() as tx:
            return sum(tx.scalars(select(budget_period.c.committed_nanos)))


def running(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(story(), timeout=60))


def test_a_request_without_budgets_asks_nobody(sqlite_store: Store, clock: HandClock) -> None:
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        admission = await relay.admit(None)
        assert admission.charges == ()
        assert admission.remaining_usd() is None
        admission.settle(5)
        assert relay.questions == 0

    running(story)


def test_a_lease_serves_many_requests(store: Store, clock: HandClock) -> None:
    stored(store, limit_nanos=100 * USD)
    relay = Relay(store, clock)

    async def story() -> None:
        for _ in range(40):
            admission = await relay.admit(USD)
            relay.settle(admission, USD // 2)
        assert relay.questions < 12
        relay.flush()
        await relay.gate.close()
        assert relay.committed() == 20 * USD

    running(story)


def test_a_hard_budget_never_overshoots_and_is_used_up(store: Store, clock: HandClock) -> None:
    """Several relays, many requests at once (peers: concurrent overspend)."""
    stored(store, limit_nanos=100 * USD)
    relays = [Relay(store, clock, holder=f"relay-{number}") for number in range(4)]
    for relay in relays:
        relay.others = relays

    async def story() -> None:
        async def one(relay: Relay) -> int:
            try:
                admission = await relay.admit(USD)
            except BudgetExhaustedError:
                return 0
            await asyncio.sleep(0)
            relay.settle(admission, USD)
            return USD

        spent = sum(await asyncio.gather(*(one(relays[number % 4]) for number in range(300))))
        assert spent <= 100 * USD
        assert spent >= 99 * USD, "the limit is nearly used up"
        for relay in relays:
            relay.flush()
            await relay.gate.close()
        assert relays[0].committed() == spent

    running(story)


def test_many_that_find_a_lease_empty_wait_for_one_answer(sqlite_store: Store, clock: HandClock) -> None:
    stored(sqlite_store, limit_nanos=10_000 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        admissions = await asyncio.gather(*(relay.admit(USD) for _ in range(200)))
        assert len(admissions) == 200
        assert relay.questions <= 3

    running(story)


def test_a_slice_is_filled_before_it_is_empty(sqlite_store: Store, clock: HandClock) -> None:
    stored(sqlite_store, limit_nanos=100_000 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        waited = []
        for _ in range(300):
            living = relay.gate._allowance.living
            waited.append(not living or living[0].spare < USD)
            relay.settle(await relay.admit(USD), USD)
            await asyncio.gather(*relay.gate._asking)
        assert waited.index(False) < 5
        assert not any(waited[20:]), "nobody waits once it is known how much is needed"
        assert relay.questions < 40

    running(story)


def test_nobody_fills_ahead_where_little_is_left(sqlite_store: Store, clock: HandClock) -> None:
    stored(sqlite_store, limit_nanos=4 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        for turn in range(1, 5):
            await relay.admit(USD)
            assert relay.questions == turn
            assert not relay.gate._asking

    running(story)


def test_a_refusal_names_everything(sqlite_store: Store, clock: HandClock) -> None:
    budget = stored(sqlite_store, limit_nanos=10 * USD, kind="key", scope_id="*")
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        first = await relay.admit(7 * USD)
        relay.settle(first, 6 * USD)
        relay.flush()
        running_one = await relay.admit(3 * USD)
        with pytest.raises(BudgetExhaustedError) as caught:
            await relay.admit(2 * USD)
        assert caught.value.budget_id == budget.id
        assert str(caught.value) == (
            f"The budget {budget.id} cannot pay for this request, which may cost 2.00 USD: its limit is 10.00 USD "
            "a day for the API key `key_1`, of which 6.00 USD are spent and 3.00 USD held. "
            "It begins anew at 2026-03-02T00:00:00Z."
        )
        running_one.release()
        assert (await relay.admit(2 * USD)).remaining_usd() == "2.00"

    running(story)


def test_a_refused_flood_does_not_flood_the_store(sqlite_store: Store, clock: HandClock) -> None:
    stored(sqlite_store, limit_nanos=USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        await relay.admit(USD)
        before = relay.questions
        for _ in range(500):
            with pytest.raises(BudgetExhaustedError):
                await relay.admit(USD)
        assert relay.questions - before == 1
        clock.advance(timedelta(seconds=0.6))
        with pytest.raises(BudgetExhaustedError):
            await relay.admit(USD)
        assert relay.questions - before == 2

    running(story)


def test_a_request_that_fits_is_admitted_once_others_go_idle(store: Store, clock: HandClock) -> None:
    """Peers: phantom 429 from leaked holds. Money that another relay only holds comes back within two seconds."""
    stored(store, limit_nanos=10 * USD)
    idle, asking = Relay(store, clock, holder="relay-1"), Relay(store, clock, holder="relay-2")
    asking.others = [idle]

    async def story() -> None:
        admission = await idle.admit(9 * USD)
        idle.settle(admission, USD)
        idle.flush()
        before = clock.monotonic()
        assert (await asking.admit(8 * USD)).charges
        assert clock.monotonic() - before <= 2

    running(story)


def test_an_idle_slice_goes_back_within_five_seconds(store: Store, clock: HandClock) -> None:
    stored(store, limit_nanos=10 * USD)
    relay = Relay(store, clock)

    async def story() -> None:
        relay.settle(await relay.admit(2 * USD), USD)
        assert relay.committed() > USD
        for _ in range(10):
            clock.advance(timedelta(seconds=0.5))
            await relay.gate.tend()
        assert relay.committed() == USD

    running(story)


def test_without_the_store_only_what_is_leased_can_be_spent(sqlite_store: Store, clock: HandClock) -> None:
    stored(sqlite_store, limit_nanos=100 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        await relay.admit(USD)
        [part] = relay.gate._allowance.living
        relay.away = True
        while part.spare >= USD:
            await relay.admit(USD)
        before = relay.questions
        for _ in range(50):
            with pytest.raises(UnavailableError) as caught:
                await relay.admit(USD)
            assert caught.value.reason == "store_unavailable"
        assert relay.questions == before + 1, "an absent store is not asked by every request"
        with pytest.raises(StoreUnavailableError):
            await relay.gate.tend()
        relay.away = False
        clock.advance(timedelta(seconds=1))
        await relay.admit(USD)

    running(story)


def test_a_lease_nobody_could_renew_is_not_spent(sqlite_store: Store, clock: HandClock) -> None:
    stored(sqlite_store, limit_nanos=100 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        await relay.admit(USD)
        relay.away = True
        clock.advance(timedelta(seconds=gate_module.TTL_S))
        with pytest.raises(UnavailableError):
            await relay.admit(1)

    running(story)


def test_a_busy_lease_lives_as_long_as_it_is_tended(sqlite_store: Store, clock: HandClock) -> None:
    stored(sqlite_store, limit_nanos=100 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        running_one = await relay.admit(USD)
        for _ in range(400):
            clock.advance(timedelta(seconds=0.5))
            await relay.gate.tend()
        relay.settle(running_one, USD)
        relay.flush()
        with sqlite_store.read() as tx:
            [row] = tx.execute(select(budget_lease)).all()
        assert (row.state, row.spent_nanos) == ("active", USD)

    running(story)


def test_a_client_that_leaves_while_the_store_is_asked_loses_no_money(
    sqlite_store: Store, clock: HandClock
) -> None:
    stored(sqlite_store, limit_nanos=10 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        asked, answer = asyncio.Event(), asyncio.Event()

        async def hold_back() -> None:
            asked.set()
            await answer.wait()

        relay.before_answer = hold_back
        leaving = asyncio.ensure_future(relay.admit(4 * USD))
        staying = asyncio.ensure_future(relay.admit(4 * USD))
        await asked.wait()
        leaving.cancel()
        await asyncio.sleep(0)
        answer.set()
        assert (await staying).charges
        with pytest.raises(asyncio.CancelledError):
            await leaving
        relay.before_answer = None
        (await staying).release()
        await relay.gate.close()
        assert relay.committed() == 0

    running(story)


def test_soft_budgets_count_and_refuse_nothing(store: Store, clock: HandClock) -> None:
    stored(store, limit_nanos=USD, mode="soft")
    relay = Relay(store, clock)

    async def story() -> None:
        relay.away = True
        for _ in range(3):
            admission = await relay.admit(None)
            relay.settle(admission, 2 * USD)
        assert relay.questions == 0
        relay.flush()
        assert relay.committed() == 6 * USD

    running(story)


def test_a_model_without_a_price_has_no_place_under_a_hard_budget(
    sqlite_store: Store, clock: HandClock
) -> None:
    stored(sqlite_store)
    strict, lenient = Relay(sqlite_store, clock), Relay(sqlite_store, clock, allow_unpriced=True)

    async def story() -> None:
        with pytest.raises(ModelUnpricedError, match="gpt-4o"):
            await strict.admit(None)
        assert (await lenient.admit(None)).charges

    running(story)


def test_settling_twice_refunds_nothing_twice(sqlite_store: Store, clock: HandClock) -> None:
    """Peers: double refunds."""
    stored(sqlite_store, limit_nanos=10 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        admission = await relay.admit(2 * USD)
        admission.settle(USD)
        admission.settle(0)
        admission.release()
        [part] = relay.gate._allowance.living
        assert (part.held, part.spent) == (0, USD)

    running(story)


def test_a_cost_nobody_knows_is_what_was_held(sqlite_store: Store, clock: HandClock) -> None:
    """Peers: hang-ups and crashes billed at zero."""
    stored(sqlite_store, limit_nanos=10 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        relay.settle(await relay.admit(2 * USD), None)
        relay.flush()
        await relay.gate.close()
        assert relay.committed() == 2 * USD

    running(story)


def test_another_attempt_needs_room_of_its_own(sqlite_store: Store, clock: HandClock) -> None:
    stored(sqlite_store, limit_nanos=100 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        first = await relay.admit(USD)
        first.settle(0)
        again = relay.gate.hold_again(first, USD)
        assert again is not None
        assert again.charges == first.charges
        assert relay.gate.hold_again(again, 1_000 * USD) is None

    running(story)


def test_a_lowered_limit_refuses_at_once(sqlite_store: Store, clock: HandClock) -> None:
    budgets = registry(clock)
    budget = stored(sqlite_store, limit_nanos=100 * USD, budgets=budgets)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        relay.settle(await relay.admit(10 * USD), 10 * USD)
        clock.advance(timedelta(seconds=1))
        with sqlite_store.write() as tx:
            budgets.update(tx, budget.id, changes=BudgetChanges(limit_usd="10"), by=BY)
        relay.refresh()
        with pytest.raises(BudgetExhaustedError, match=r"its limit is 10\.00 USD"):
            await relay.admit(1)
        clock.advance(timedelta(seconds=1))
        with sqlite_store.write() as tx:
            budgets.update(tx, budget.id, changes=BudgetChanges(limit_usd="12"), by=BY)
        relay.refresh()
        assert (await relay.admit(USD)).charges

    running(story)


def test_a_new_period_begins_with_nothing_spent(sqlite_store: Store, clock: HandClock) -> None:
    """Peers: budgets that were not reset, or reset twice. There is nothing to reset."""
    stored(sqlite_store, limit_nanos=10 * USD, window="hour")
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        late = await relay.admit(10 * USD)
        with pytest.raises(BudgetExhaustedError):
            await relay.admit(USD)
        clock.advance(timedelta(hours=1))
        assert (await relay.admit(10 * USD)).charges
        relay.settle(late, 9 * USD)  # belongs to the period in which it was admitted
        relay.flush()
        with sqlite_store.read() as tx:
            query = select(budget_lease.c.spent_nanos).order_by(budget_lease.c.starts_at)
            assert list(tx.scalars(query)) == [9 * USD, 0]

    running(story)


def test_a_budget_that_is_deleted_meanwhile_holds_nobody_up(sqlite_store: Store, clock: HandClock) -> None:
    budgets = registry(clock)
    budget = stored(sqlite_store, limit_nanos=10 * USD, budgets=budgets)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        with sqlite_store.write() as tx:
            budgets.delete(tx, budget.id, by=BY)
        assert (await relay.admit(50 * USD)).charges == ()

    running(story)


def test_a_lost_lease_is_replaced(sqlite_store: Store, clock: HandClock) -> None:
    stored(sqlite_store, limit_nanos=100 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        running_one = await relay.admit(USD)
        with sqlite_store.write() as tx:
            tx.execute(update(budget_lease).values(state="quarantined"))
        await relay.gate.tend()
        following = await relay.admit(USD)
        assert following.charges != running_one.charges
        following.release()
        relay.settle(running_one, USD)
        relay.flush()
        await relay.gate.tend()
        await relay.gate.close()
        assert relay.committed() == USD

    running(story)


def test_tending_goes_on_through_an_outage(sqlite_store: Store, clock: HandClock) -> None:
    stored(sqlite_store, limit_nanos=100 * USD)
    relay = Relay(sqlite_store, clock)

    async def story() -> None:
        relay.settle(await relay.admit(USD), USD)
        relay.away = True
        pauses = count(1)

        def on_pause() -> None:
            number = next(pauses)
            relay.away = number < 20
            if number > 40:
                raise StoppedError

        relay.on_pause = on_pause
        with pytest.raises(StoppedError):
            await relay.gate.run()
        assert relay.committed() == USD

    running(story)


def test_a_store_that_takes_for_ever_is_not_waited_for_for_ever(
    sqlite_store: Store, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(sqlite_store, limit_nanos=100 * USD)
    relay = Relay(sqlite_store, clock)
    monkeypatch.setattr(leases, "acquire", lambda *_args, **_more: Busy(1))

    async def story() -> None:
        with pytest.raises(UnavailableError, match="too long"):
            await relay.admit(USD)
        assert clock.monotonic() >= gate_module.LONGEST_WAIT_S

    running(story)


def test_a_relay_that_knows_an_older_limit_than_the_store_does_not_ask_again_and_again(
    sqlite_store: Store, clock: HandClock
) -> None:
    """The limit was raised, and the news is on its way."""
    budget = stored(sqlite_store, limit_nanos=USD)
    relay = Relay(sqlite_store, clock)
    clock.advance(timedelta(seconds=1))
    with sqlite_store.write() as tx:
        registry(clock).update(tx, budget.id, changes=BudgetChanges(limit_usd="50"), by=BY)

    async def story() -> None:
        for _ in range(5):
            await relay.admit(USD // 10)
        assert relay.questions <= 3

    running(story)
