"""Leases in the store, on SQLite and on PostgreSQL: who may have what, under every lock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.budgets import leases
from service.budgets.answers import Acquired, Busy, Exhausted, Gone, Lost, Outcome, Want
from service.budgets.charges import Charge, Spending
from service.budgets.leasing import Lease
from service.budgets.periods import find_period, usage_of
from service.budgets.policy import Budget
from service.budgets.settling import settle_flush
from service.store.budget_tables import budget as budget_table
from service.store.budget_tables import budget_lease, budget_period
from service.store.engine import Store
from service.store.types import to_micros
from tests.budgets.making import BY, T0, TTL, registry, stored
from tests.support.budget_books import Books, MemoryBooks, SqlBooks

SECOND = timedelta(seconds=1)


def want(budget: Budget, lease_id: int = 1, *, need: int, up_to: int = 0, subject: str = "") -> Want:
    return Want((budget.id, subject), lease_id, need, max(need, up_to))


def acquire(store: Store, *wants: Want, holder: str = "relay-1", at: timedelta = timedelta(0)) -> Outcome:
    with store.write() as tx:
        return leases.acquire(tx, wants, holder=holder, now=T0 + at, expires_at=T0 + at + TTL)


def in_store(store: Store, step: Callable[[Connection], object]) -> object:
    with store.write() as tx:
        return step(tx)


def committed(store: Store, budget: Budget) -> int:
    with store.read() as tx:
        query = select(budget_period.c.committed_nanos).where(budget_period.c.budget_id == budget.id)
        return sum(tx.scalars(query))


def spend(store: Store, lease_id: int, cost: int) -> None:
    spending = Spending()
    spending.add([Charge("", "", lease_id, cost)], cost_nanos=cost, started_at=to_micros(T0))
    in_store(store, lambda tx: settle_flush(tx, spending))


def lease_of(store: Store, lease_id: int) -> Lease:
    with store.read() as tx:
        return leases.lease_of(tx.execute(select(budget_lease).where(budget_lease.c.id == lease_id)).one())


def test_a_lease_takes_from_what_is_free(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000)
    outcome = acquire(store, want(budget, need=10, up_to=5_000))
    assert isinstance(outcome, tuple)
    [acquired] = outcome
    assert (acquired.granted, acquired.free_nanos, acquired.limit_nanos) == (250, 750, 1_000)
    assert acquired.starts_at == T0.replace(hour=0)
    assert acquired.ends_at == T0.replace(hour=0) + timedelta(days=1)
    assert committed(store, budget) == 250


def test_asking_again_takes_nothing_twice(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000)
    first = acquire(store, want(budget, need=10, up_to=100))
    assert acquire(store, want(budget, need=10, up_to=100)) == first
    assert committed(store, budget) == 100
    [extended] = _granted(acquire(store, want(budget, need=150)))
    assert extended.granted == 150
    assert committed(store, budget) == 150


def test_where_nothing_is_free_the_others_are_asked(store: Store) -> None:
    budget = stored(store, limit_nanos=100)
    acquire(store, want(budget, need=80))
    spend(store, 1, 30)
    refused = acquire(store, want(budget, 2, need=30), holder="relay-2")
    assert refused == Exhausted(
        place=(budget.id, ""),
        limit_nanos=100,
        spent_nanos=30,
        held_nanos=50,
        idle_nanos=50,
        ends_at=T0.replace(hour=0) + timedelta(days=1),
        wanted=1,
    )
    assert refused.may_fit(70)
    assert not refused.may_fit(71)
    assert refused.free_nanos == 20
    with store.read() as tx:
        [recall] = leases.recalls(tx, [1], now=T0)
    assert (recall.active, recall.wanted) == (True, 1)
    assert isinstance(in_store(store, lambda tx: leases.shrink(tx, 1, holder="relay-1", to=30)), Lease)
    assert _granted(acquire(store, want(budget, 2, need=30), holder="relay-2"))


def test_several_budgets_give_all_or_nothing(store: Store) -> None:
    budgets = registry()
    rich = stored(store, limit_nanos=1_000, budgets=budgets)
    poor = stored(store, limit_nanos=10, budgets=budgets)
    refused = acquire(store, want(rich, 1, need=50), want(poor, 2, need=50))
    assert isinstance(refused, Exhausted)
    assert refused.place == (poor.id, "")
    assert (committed(store, rich), committed(store, poor)) == (0, 0)
    with store.read() as tx:
        assert tx.execute(select(budget_lease)).all() == []


def test_an_expired_lease_is_never_revived(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000)
    acquire(store, want(budget, need=50))
    in_store(store, lambda tx: leases.renew(tx, holder="relay-1", now=T0 + TTL, expires_at=T0 + 2 * TTL))
    assert acquire(store, want(budget, need=50), at=TTL) == Lost(1)
    assert acquire(store, want(budget, need=60), at=TTL) == Lost(1)
    with store.read() as tx:
        [recall] = leases.recalls(tx, [1], now=T0 + TTL)
    assert not recall.active


def test_a_renewed_lease_lives_on(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000)
    acquire(store, want(budget, need=50))
    almost = TTL - SECOND
    in_store(
        store, lambda tx: leases.renew(tx, holder="relay-1", now=T0 + almost, expires_at=T0 + almost + TTL)
    )
    in_store(store, lambda tx: leases.renew(tx, holder="relay-2", now=T0, expires_at=T0 + 9 * TTL))
    with store.read() as tx:
        [recall] = leases.recalls(tx, [1], now=T0 + TTL)
    assert recall.active
    assert recall.expires_at == T0 + almost + TTL


def test_filling_a_lease_renews_it(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000)
    acquire(store, want(budget, need=50))
    acquire(store, want(budget, need=60), at=TTL - SECOND)
    with store.read() as tx:
        [recall] = leases.recalls(tx, [1], now=T0 + TTL)
    assert (recall.active, recall.expires_at) == (True, T0 + 2 * TTL - SECOND)


def test_a_lease_of_a_period_that_is_over_is_lost(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000, window="hour")
    acquire(store, want(budget, need=900))
    hour = timedelta(hours=1)
    with store.write() as tx:
        tx.execute(update(budget_lease).values(expires_at=T0 + 2 * hour))
    assert acquire(store, want(budget, need=910), at=hour) == Lost(1)
    assert _granted(acquire(store, want(budget, 2, need=900), at=hour))


def test_a_lease_belongs_to_its_holder(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000)
    acquire(store, want(budget, need=50))
    assert acquire(store, want(budget, need=60), holder="relay-2") == Lost(1)
    assert in_store(store, lambda tx: leases.shrink(tx, 1, holder="relay-2", to=0)) == Lost(1)
    assert in_store(store, lambda tx: leases.close(tx, 1, holder="relay-2", final=0)) == Lost(1)
    assert in_store(store, lambda tx: leases.close(tx, 77, holder="relay-1", final=0)) == Lost(77)
    assert in_store(store, lambda tx: leases.adopt(tx, holder="relay-2")) == 0
    assert committed(store, budget) == 50


def test_a_deleted_or_soft_budget_needs_no_lease(store: Store) -> None:
    budgets = registry()
    soft = stored(store, mode="soft", budgets=budgets)
    deleted = stored(store, budgets=budgets)
    with store.write() as tx:
        budgets.delete(tx, deleted.id, by=BY)
    assert acquire(store, want(soft, need=1)) == Gone((soft.id, ""))
    assert acquire(store, want(deleted, need=1)) == Gone((deleted.id, ""))
    assert acquire(store, Want(("bud_unknown", ""), 1, 1, 1)) == Gone(("bud_unknown", ""))


def test_each_subject_has_an_allowance_of_its_own(store: Store) -> None:
    each = stored(store, limit_nanos=100, kind="end_user", scope_id="*")
    assert _granted(acquire(store, want(each, 1, need=100, subject="ann")))
    assert _granted(acquire(store, want(each, 2, need=100, subject="bob")))
    assert isinstance(acquire(store, want(each, 3, need=1, subject="ann")), Exhausted)


def test_reaping_frees_nothing_of_a_hard_budget(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000)
    acquire(store, want(budget, need=100))
    spend(store, 1, 30)

    def reap(after: timedelta) -> object:
        return in_store(
            store,
            lambda tx: leases.reap(tx, now=T0 + after, grace=5 * SECOND, quarantine=timedelta(hours=1)),
        )

    assert reap(TTL + 4 * SECOND) == 0
    assert reap(TTL + 5 * SECOND) == 1
    assert lease_of(store, 1) == Lease(100, 30, 0, "quarantined")
    assert acquire(store, want(budget, need=40), at=TTL + 6 * SECOND) == Lost(1)
    assert reap(TTL + timedelta(minutes=59)) == 0
    assert reap(TTL + timedelta(minutes=61)) == 1
    assert lease_of(store, 1) == Lease(100, 30, 70, "closed")
    assert committed(store, budget) == 100
    spend(store, 1, 50)
    assert lease_of(store, 1) == Lease(100, 80, 20, "closed")
    assert committed(store, budget) == 100
    spend(store, 1, 50)
    assert committed(store, budget) == 130


def test_reaping_returns_what_a_budget_that_is_soft_now_has_left(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000)
    acquire(store, want(budget, need=100))
    with store.write() as tx:
        tx.execute(update(budget_table).values(mode="soft"))
        leases.reap(tx, now=T0 + TTL, grace=timedelta(0), quarantine=timedelta(0))
        leases.reap(tx, now=T0 + TTL, grace=timedelta(0), quarantine=timedelta(0))
    assert committed(store, budget) == 0


def test_whoever_has_read_the_whole_journal_may_free_what_the_dead_held(store: Store) -> None:
    budgets = registry()
    first, second = (stored(store, limit_nanos=1_000, budgets=budgets) for _ in range(2))
    acquire(store, want(first, 1, need=100), want(second, 2, need=100))
    spend(store, 1, 30)
    in_store(store, lambda tx: leases.reap(tx, now=T0 + TTL, grace=0 * SECOND, quarantine=0 * SECOND))
    in_store(store, lambda tx: leases.reap(tx, now=T0 + TTL, grace=0 * SECOND, quarantine=0 * SECOND))
    assert in_store(store, lambda tx: leases.adopt(tx, holder="relay-1")) == 2
    assert (committed(store, first), committed(store, second)) == (30, 0)
    assert in_store(store, lambda tx: leases.adopt(tx, holder="relay-1")) == 0


def test_an_over_run_is_committed_though_it_does_not_fit(store: Store) -> None:
    budget = stored(store, limit_nanos=100)
    acquire(store, want(budget, need=100))
    spend(store, 1, 160)
    assert committed(store, budget) == 160
    assert isinstance(acquire(store, want(budget, 2, need=0)), Exhausted)
    with store.read() as tx:
        period = find_period(tx, budget, "", at=T0)
        usage = usage_of(tx, (budget.id, "", period.starts_at))
    assert (usage.spent_nanos, usage.held_nanos) == (160, 0)


def test_spending_without_a_lease_goes_to_the_period_of_its_start(store: Store) -> None:
    soft = stored(store, mode="soft", window="hour", limit_nanos=100)
    spending = Spending()
    for minutes in (0, 10, 59, 60, 61):
        at = to_micros(T0 + timedelta(minutes=minutes))
        spending.add([Charge(soft.id, "", 0, 0)], cost_nanos=40, started_at=at)
    spending.add([Charge(soft.id, "", 0, 0)], cost_nanos=None, started_at=to_micros(T0))
    spending.add([Charge("bud_unknown", "", 0, 0)], cost_nanos=7, started_at=to_micros(T0))
    in_store(store, lambda tx: settle_flush(tx, spending))
    with store.read() as tx:
        rows = tx.execute(select(budget_period).order_by(budget_period.c.starts_at)).all()
    assert [(row.starts_at, row.committed_nanos, row.direct_nanos) for row in rows] == [
        (T0, 120, 120),
        (T0 + timedelta(hours=1), 80, 80),
    ]


def test_a_soft_budget_that_becomes_hard_knows_what_was_spent(store: Store) -> None:
    budget = stored(store, mode="soft", limit_nanos=100)
    spending = Spending()
    spending.add([Charge(budget.id, "", 0, 0)], cost_nanos=90, started_at=to_micros(T0))
    in_store(store, lambda tx: settle_flush(tx, spending))
    with store.write() as tx:
        tx.execute(update(budget_table).values(mode="hard"))
    assert isinstance(acquire(store, want(budget, need=11)), Exhausted)
    assert _granted(acquire(store, want(budget, need=10)))


def test_spending_of_a_lease_the_store_does_not_know_is_not_lost(store: Store) -> None:
    budget = stored(store, limit_nanos=100)
    spending = Spending()
    spending.add([Charge(budget.id, "", 99, 40)], cost_nanos=25, started_at=to_micros(T0))
    in_store(store, lambda tx: settle_flush(tx, spending))
    assert committed(store, budget) == 25


def test_a_cost_nobody_knows_counts_as_what_was_held(store: Store) -> None:
    budget = stored(store, limit_nanos=100)
    acquire(store, want(budget, need=60))
    spending = Spending()
    spending.add([Charge(budget.id, "", 1, 60)], cost_nanos=None, started_at=to_micros(T0))
    in_store(store, lambda tx: settle_flush(tx, spending))
    assert lease_of(store, 1).spent == 60


def test_a_change_of_zone_counts_from_the_end_of_the_running_period(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000, window="day")
    acquire(store, want(budget, need=100))
    with store.write() as tx:
        tx.execute(update(budget_table).values(timezone="Asia/Tokyo"))
    midnight = T0.replace(hour=0) + timedelta(days=1)
    [same] = _granted(acquire(store, want(budget, need=110), at=SECOND))
    assert same.ends_at == midnight
    [following] = _granted(acquire(store, want(budget, 2, need=10), at=midnight - T0))
    assert (following.starts_at, following.ends_at) == (midnight, midnight + timedelta(hours=15))
    [after] = _granted(acquire(store, want(budget, 3, need=10), at=midnight + timedelta(hours=15) - T0))
    assert after.ends_at == midnight + timedelta(hours=39)


def test_a_late_period_leaves_the_ones_after_it_alone(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000, window="day")
    acquire(store, want(budget, need=100), at=timedelta(hours=20))
    with store.write() as tx:
        tx.execute(update(budget_table).values(timezone="Asia/Tokyo"))
    with store.read() as tx:
        changed = registry().get(tx, budget.id).budget
        period = find_period(tx, changed, "", at=T0 + timedelta(hours=11))
    assert period.starts_at == T0 + timedelta(hours=3)
    assert period.ends_at == T0 + timedelta(hours=12)


@pytest.mark.parametrize("values", [{"granted_nanos": -1}, {"spent_nanos": -1}, {"state": "gone"}])
def test_the_store_refuses_what_no_lease_can_be(store: Store, values: dict[str, object]) -> None:
    budget = stored(store)
    acquire(store, want(budget, need=1))
    with pytest.raises(IntegrityError), store.write() as tx:
        tx.execute(update(budget_lease).values(values))


def test_a_period_cannot_commit_less_than_was_spent_on_it_directly(store: Store) -> None:
    budget = stored(store)
    row = {"budget_id": budget.id, "subject": "", "starts_at": T0, "wanted": 0}
    with pytest.raises(IntegrityError), store.write() as tx:
        tx.execute(insert(budget_period).values(**row, committed_nanos=1, direct_nanos=2))


def test_many_relays_at_once_never_get_more_than_there_is(store_url: str) -> None:
    relays, limit, need = 6, 10_000, 37
    with closing(Store(store_url)) as store:
        budget = stored(store, limit_nanos=limit)

        def one(number: int) -> int:
            taken = 0
            rng = Random(number)
            with closing(Store(store_url)) as own:
                for turn in range(1_000):
                    lease_id = number * 1_000 + turn
                    outcome = acquire(
                        own,
                        want(budget, lease_id, need=need, up_to=rng.randrange(37, 900)),
                        holder=f"relay-{number}",
                    )
                    if not isinstance(outcome, tuple):
                        return taken
                    taken += outcome[0].granted
            return taken

        with ThreadPoolExecutor(relays) as pool:
            granted = sum(pool.map(one, range(1, relays + 1)))
        assert granted == committed(store, budget)
        assert limit - need < granted <= limit


def test_settling_and_giving_back_at_once_never_wait_for_each_other(store_url: str) -> None:
    """The order of locks: a deadlock would end one of them with an error of the store."""
    with closing(Store(store_url)) as store:
        budgets = registry()
        pair = [stored(store, limit_nanos=10**9, budgets=budgets) for _ in range(2)]
        acquire(store, *(want(each, number, need=1_000) for number, each in enumerate(pair, 1)))

        def settle(number: int) -> None:
            with closing(Store(store_url)) as own:
                for turn in range(30):
                    spending = Spending()
                    cost = 5_000 if turn % 3 == 0 else 1  # every third one is an over-run
                    charges = [Charge(each.id, "", lease_id, 1) for lease_id, each in enumerate(pair, 1)]
                    spending.add(charges, cost_nanos=cost, started_at=to_micros(T0))
                    in_store(own, lambda tx, spending=spending: settle_flush(tx, spending))  # type: ignore[misc]  # a bound default
                    in_store(
                        own,
                        lambda tx: leases.renew(tx, holder="relay-1", now=T0, expires_at=T0 + TTL),
                    )
                    assert number

        def take_and_give(number: int) -> None:
            with closing(Store(store_url)) as own:
                for turn in range(30):
                    lease_id = 1 + (turn + number) % 2
                    with own.write() as tx:
                        leases.shrink(tx, lease_id, holder="relay-1", to=0)
                    acquire(own, *(want(each, n, need=10**6 + turn) for n, each in enumerate(pair, 1)))

        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(settle, 1), pool.submit(settle, 2)]
            jobs += [pool.submit(take_and_give, number) for number in (1, 2)]
            for job in jobs:
                job.result(timeout=120)
        books = SqlBooks(store, [each.id for each in pair])
        reserves = dict.fromkeys(books.committed(), 0)
        for key, lease in books.leases().values():
            reserves[key] += lease.reserve
        assert reserves == {key: total for key, (total, _) in books.committed().items()}


def test_relays_that_want_the_same_budgets_in_any_order_never_wait_for_each_other(store_url: str) -> None:
    with closing(Store(store_url)) as store:
        budgets = registry()
        pair = [stored(store, limit_nanos=10**9, budgets=budgets) for _ in range(2)]

        def take(number: int) -> None:
            order = pair if number else pair[::-1]
            with closing(Store(store_url)) as own:
                for turn in range(40):
                    wants = [
                        want(each, 10 * number + pair.index(each) + 1, need=turn * 100) for each in order
                    ]
                    assert isinstance(acquire(own, *wants, holder=f"relay-{number}"), tuple)

        with ThreadPoolExecutor(2) as pool:
            for job in [pool.submit(take, number) for number in (0, 1)]:
                job.result(timeout=120)


def test_a_lease_being_settled_is_busy_not_waited_for(postgres_url: str) -> None:
    with closing(Store(postgres_url)) as store, closing(Store(postgres_url)) as other:
        budget = stored(store, limit_nanos=1_000)
        acquire(store, want(budget, need=100))
        spending = Spending()
        spending.add([Charge(budget.id, "", 1, 10)], cost_nanos=10, started_at=to_micros(T0))
        with store.write() as tx:
            settle_flush(tx, spending)
            assert acquire(other, want(budget, need=200)) == Busy(1)
            assert in_store(other, lambda tx: leases.shrink(tx, 1, holder="relay-1", to=50)) == Busy(1)
            in_store(other, lambda tx: leases.renew(tx, holder="relay-1", now=T0, expires_at=T0 + 2 * TTL))
        assert _granted(acquire(other, want(budget, need=200)))


def test_memory_and_store_answer_alike(store: Store) -> None:
    """The model that the simulator runs on is the store's behaviour, answer by answer."""
    budget = stored(store, limit_nanos=1_000)
    rng = Random(7)
    both: list[Books] = [SqlBooks(store, [budget.id]), MemoryBooks([budget])]
    for turn in range(120):
        now = T0 + timedelta(seconds=turn)
        lease_id, holder = rng.randrange(1, 5), f"relay-{rng.randrange(1, 3)}"
        amount = rng.randrange(0, 400)
        step = rng.randrange(6)
        answers: list[object] = []
        for books in both:
            match step:
                case 0 | 1:
                    asked = want(budget, lease_id, need=amount, up_to=2 * amount)
                    answers.append(books.acquire([asked], holder=holder, now=now, expires_at=now + TTL))
                case 2:
                    answers.append(books.shrink(lease_id, holder=holder, to=amount))
                case 3:
                    answers.append(books.close(lease_id, holder=holder, final=amount))
                case 4:
                    books.renew(holder=holder, now=now, expires_at=now + TTL)
                    answers.append(
                        sorted(books.recalls([1, 2, 3, 4], now=now), key=lambda each: each.lease_id)
                    )
                case _:
                    answers.append(books.reap(now=now))
            answers.append((books.leases(), books.committed()))
        assert answers[:2] == answers[2:]


def _granted(outcome: Outcome) -> tuple[Acquired, ...]:
    assert isinstance(outcome, tuple), outcome
    return outcome
