"""Mistakes that hurt users of other gateways, each as a test; the numbers are their public issues."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import select

from service.budgets import leases
from service.budgets.allowance import Demand as HoldDemand
from service.budgets.answers import Want
from service.budgets.charges import Spending
from service.budgets.estimate import Demand, estimate_nanos
from service.budgets.model_limits import limits_of
from service.budgets.policy import RequestFacts
from service.budgets.registry import load_budgets
from service.budgets.values import BudgetChanges, GivenRaise, GivenScope, NewBudget
from service.errors import BudgetExhaustedError, InvalidInputError
from service.store.budget_tables import budget_lease
from service.store.engine import Store
from service.store.types import to_micros
from tests.budgets.making import BY, T0, USD, budget, registry, stored
from tests.budgets.test_estimate import CARD
from tests.budgets.test_gate import Relay, running
from tests.support.budget_books import MemoryBooks, SqlBooks
from tests.support.budget_world import World
from tests.support.clock import HandClock


def test_litellm_27639_36926_40050_a_hold_never_leaks(store: Store, clock: HandClock) -> None:
    """Phantom 429: a request that was cancelled, failed or refused later on keeps no money."""
    stored(store, limit_nanos=10 * USD)
    relay = Relay(store, clock)

    async def story() -> None:
        for turn in range(40):
            admission = await relay.admit(9 * USD)
            if turn % 2:
                admission.release()
            else:
                admission.settle(0)
        relay.flush()
        await relay.gate.close()
        assert relay.committed() == 0

    running(story)


def test_litellm_27639_a_crash_leaks_nothing_once_its_journal_is_read() -> None:
    books = MemoryBooks([budget(limit_nanos=10 * USD)])
    world = World(books, start=T0)
    world.limits = {"bud_a": 10 * USD}
    relay, other = world.start_relay(), world.start_relay()
    current = books.budget("bud_a")
    demands = [demand_on_a(current.limit_nanos, current.version)]
    for _ in range(3):
        request = world.admit(relay, demands, 3 * USD)
        assert request is not None
        world.finish(relay, request, cost=USD)
    world.crash(relay, keep_disk=True)
    assert world.admit(other, demands, 7 * USD) is None
    world.recover(world.dead[0])
    assert world.admit(other, demands, 7 * USD) is not None


def demand_on_a(limit: int, version: int) -> HoldDemand:
    return HoldDemand(("bud_a", ""), limit, version)


def test_litellm_26672_30661_new_api_6609_several_workers_share_one_limit(
    store: Store, clock: HandClock
) -> None:
    """Not N times the limit with N workers, and not twice with two requests at once."""
    stored(store, limit_nanos=20 * USD)
    relays = [Relay(store, clock, holder=f"worker-{number}") for number in range(5)]

    async def story() -> None:
        async def one(relay: Relay) -> int:
            try:
                admission = await relay.admit(USD)
            except BudgetExhaustedError:
                return 0
            relay.settle(admission, USD)
            return 1

        admitted = sum(await asyncio.gather(*(one(relays[number % 5]) for number in range(200))))
        assert 19 <= admitted <= 20

    running(story)


def test_litellm_33736_37558_13245_a_hang_up_is_charged(store: Store, clock: HandClock) -> None:
    """What nobody could count is charged as it was held, never as nothing."""
    stored(store, limit_nanos=10 * USD)
    relay = Relay(store, clock)

    async def story() -> None:
        relay.settle(await relay.admit(4 * USD), None)
        relay.settle(await relay.admit(4 * USD), None)
        with pytest.raises(BudgetExhaustedError):
            await relay.admit(3 * USD)

    running(story)


def test_litellm_37992_a_zero_is_a_zero(store: Store, clock: HandClock) -> None:
    """A cost of 0 is known; only one that nobody knows counts as it was held."""
    stored(store, limit_nanos=10 * USD)
    relay = Relay(store, clock)

    async def story() -> None:
        for _ in range(5):
            relay.settle(await relay.admit(9 * USD), 0)
        relay.settle(await relay.admit(9 * USD), None)
        relay.flush()
        await relay.gate.close()
        assert relay.committed() == 9 * USD

    running(story)


@pytest.mark.parametrize(
    ("zone", "hours"),
    [("Asia/Kolkata", 6.5), ("America/Los_Angeles", 20), ("Pacific/Kiritimati", 22), ("UTC", 12)],
)
def test_litellm_27780_29568_a_day_is_the_day_of_its_zone(
    store: Store, clock: HandClock, zone: str, hours: float
) -> None:
    """The clock stands at noon UTC: the day's money comes back at midnight of the zone, not a moment earlier."""
    budgets = registry(clock)
    new = NewBudget(scope=GivenScope("global"), limit_usd="10", window="day", timezone=zone)
    with store.write() as tx:
        budgets.create(tx, new, by=BY)
    relay = Relay(store, clock)

    async def story() -> None:
        relay.settle(await relay.admit(10 * USD), 10 * USD)
        relay.flush()
        clock.advance(timedelta(hours=hours, seconds=-30))
        with pytest.raises(BudgetExhaustedError):
            await relay.admit(USD)
        clock.advance(timedelta(seconds=30))
        relay.settle(await relay.admit(10 * USD), USD)

    running(story)


def test_a_temporary_raise_ends_by_itself(store: Store, clock: HandClock) -> None:
    """Peers: a raise that somebody has to remember to take back."""
    budgets = registry(clock)
    made = stored(store, limit_nanos=10 * USD, budgets=budgets)
    raised = BudgetChanges(temporary_raise=GivenRaise("5", clock.now() + timedelta(hours=1)))
    with store.write() as tx:
        budgets.update(tx, made.id, changes=raised, by=BY)
    relay = Relay(store, clock)

    async def story() -> None:
        relay.settle(await relay.admit(12 * USD), 12 * USD)
        relay.flush()
        clock.advance(timedelta(hours=1))
        with pytest.raises(BudgetExhaustedError, match=r"its limit is 10.00 USD a day.*12.00 USD are spent"):
            await relay.admit(USD)

    running(story)


def test_litellm_7129_10288_nothing_has_to_be_reset(store: Store, clock: HandClock) -> None:
    """A period begins by itself at the right instant, also if no process was running then."""
    stored(store, limit_nanos=10 * USD, window="month")

    async def spend_all(relay: Relay) -> None:
        relay.settle(await relay.admit(10 * USD), 10 * USD)
        relay.flush()
        with pytest.raises(BudgetExhaustedError):
            await relay.admit(USD)

    running(lambda: spend_all(Relay(store, clock)))
    clock.advance(timedelta(days=92))
    running(lambda: spend_all(Relay(store, clock, holder="relay-2")))


@pytest.mark.parametrize("limit", ["NaN", "nan", "Infinity", "-Infinity", "1e400", "-5", "0"])
def test_a_limit_that_disables_the_limit_cannot_be_given(limit: str) -> None:
    new = msgspec.convert({"scope": {"kind": "global"}, "limit_usd": limit, "window": "day"}, NewBudget)
    with pytest.raises(InvalidInputError):
        new.checked()


def test_new_api_4429_5556_nothing_is_refunded_twice(store: Store, clock: HandClock) -> None:
    stored(store, limit_nanos=10 * USD)
    relay = Relay(store, clock)

    async def story() -> None:
        admission = await relay.admit(4 * USD)
        relay.settle(admission, 3 * USD)
        for _ in range(3):
            admission.release()
            admission.settle(0)
        relay.flush()
        with store.read() as tx:
            assert tx.scalars(select(budget_lease.c.spent_nanos)).all() == [3 * USD]
        await relay.gate.close()
        await relay.gate.close()
        assert relay.committed() == 3 * USD

    running(story)


def test_litellm_34887_a_batch_that_comes_again_is_spent_once(store: Store) -> None:
    """The caller settles newly inserted records only; a transaction that failed has settled nothing."""
    made = stored(store, limit_nanos=10 * USD)
    with store.write() as tx:
        wants = [Want((made.id, ""), 1, USD, USD)]
        leases.acquire(tx, wants, holder="r", now=T0, expires_at=T0 + timedelta(seconds=30))
    spending = Spending()
    spending.by_lease[1] = USD
    spending.origins[1] = (made.id, "", to_micros(T0))
    books = SqlBooks(store, [made.id])
    books.settle(spending, roll_back=True)
    books.settle(spending)
    with store.read() as tx:
        assert tx.scalars(select(budget_lease.c.spent_nanos)).all() == [USD]


def test_bifrost_2873_no_kind_of_request_goes_around_a_budget(store: Store) -> None:
    """Without an end user, with an odd model name, with a key of another project: a global budget counts them all."""
    stored(store)
    with store.read() as tx:
        book = load_budgets(tx)
    for facts in (
        RequestFacts(None, None, None, ""),
        RequestFacts("key_1", None, "", "openai/gpt-4o"),
        RequestFacts("key_2", "beta", "x" * 5_000, "*"),
    ):
        assert len(book.applying(facts)) == 1


def test_bifrost_5673_a_budget_is_saved_or_refused(store: Store) -> None:
    budgets = registry()
    made = stored(store, budgets=budgets)
    with store.read() as tx:
        assert budgets.get(tx, made.id).budget == made
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"scope": {"kind": "global"}, "max_budget": 5, "window": "day"}, NewBudget)


def test_without_max_tokens_the_models_longest_answer_is_held() -> None:
    """Peers hold nothing, or a guess, and overshoot by the length of one answer for each request that runs."""
    asking = Demand(body=b'{"model":"gpt-4o","messages":[]}', messages=0)
    bound = estimate_nanos(asking, card=CARD, limits=limits_of("gpt-4o"))
    assert bound is not None
    assert bound >= 16_384 * 8
