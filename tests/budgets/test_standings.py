"""How budgets stand: spent, held and by whom, now and in the periods before."""

from datetime import UTC, datetime, timedelta

import msgspec

from service.budgets import leases
from service.budgets.answers import Want
from service.budgets.charges import NO_LEASE, Charge, Spending
from service.budgets.settling import settle_flush
from service.budgets.standings import held_by, history, standing, standings
from service.store.engine import Store
from service.store.types import to_micros
from tests.budgets.making import T0, TTL, stored
from tests.support.clock import HandClock

DAY = timedelta(days=1)


def acquire(store: Store, place: tuple[str, str], lease_id: int, amount: int, *, at: datetime = T0) -> None:
    with store.write() as tx:
        wants = [Want(place, lease_id, amount, amount)]
        leases.acquire(tx, wants, holder=f"relay-{lease_id}", now=at, expires_at=at + TTL)


def spend(store: Store, charge: Charge, cost: int, *, at: datetime = T0) -> None:
    spending = Spending()
    spending.add([charge], cost_nanos=cost, started_at=to_micros(at))
    with store.write() as tx:
        settle_flush(tx, spending)


def test_how_a_budget_stands(store: Store, clock: HandClock) -> None:
    budget = stored(store, limit_nanos=100)
    with store.read() as tx:
        [untouched] = standings(tx, budget, at=clock.now())
    assert (untouched.spent_nanos, untouched.held_nanos, untouched.remaining_nanos) == (0, 0, 100)
    spending = Spending()
    spending.add([Charge(budget.id, "", 1, 60)], cost_nanos=25, started_at=to_micros(T0))
    with store.write() as tx:
        leases.acquire(tx, [Want((budget.id, ""), 1, 60, 60)], holder="r", now=T0, expires_at=T0 + TTL)
        settle_flush(tx, spending)
    with store.read() as tx:
        [standing] = standings(tx, budget, at=clock.now())
    assert (standing.spent_nanos, standing.held_nanos, standing.remaining_nanos) == (25, 35, 40)
    assert standing.resets_at == datetime(2026, 3, 2, tzinfo=UTC)
    clock.advance(timedelta(days=1))
    with store.read() as tx:
        [following] = standings(tx, budget, at=clock.now())
    assert (following.spent_nanos, following.starts_at) == (0, datetime(2026, 3, 2, tzinfo=UTC))


def test_each_subject_stands_for_itself(store: Store) -> None:
    each = stored(store, limit_nanos=100, kind="end_user", scope_id="*")
    with store.write() as tx:
        for number, name in enumerate(("bob", "ann"), 1):
            wants = [Want((each.id, name), number, 10 * number, 0)]
            leases.acquire(tx, wants, holder="r", now=T0, expires_at=T0 + TTL)
    with store.read() as tx:
        found = standings(tx, each, at=T0)
        [ann] = standings(tx, each, at=T0, subject="ann")
    assert [(standing.subject, standing.held_nanos) for standing in found] == [("ann", 20), ("bob", 10)]
    assert ann == found[0]


def test_every_held_nano_dollar_has_its_lease(store: Store) -> None:
    """Active, expired, quarantined, burned, over-run and given back: their held parts are the period's, exactly."""
    budget = stored(store, limit_nanos=1_000)
    place = (budget.id, "")
    for lease_id in range(1, 7):
        acquire(store, place, lease_id, 100)
    spend(store, Charge(*place, 1, 0), 30)
    spend(store, Charge(*place, 2, 0), 150)
    spend(store, Charge(*place, NO_LEASE, 0), 7)
    with store.write() as tx:
        leases.close(tx, 3, holder="relay-3", final=0)
        leases.renew(tx, holder="relay-4", now=T0, expires_at=T0 + 100 * TTL)
        leases.reap(tx, now=T0 + 2 * TTL, grace=TTL / 2, quarantine=DAY)
        leases.close(tx, 5, holder="relay-5", final=60)
    with store.read() as tx:
        now = standing(tx, budget, "", at=T0)
        found = {
            lease.id: (lease.state, lease.spent_nanos, lease.held_nanos) for lease in held_by(tx, now.key)
        }
    assert found == {
        1: ("quarantined", 30, 70),
        2: ("quarantined", 150, 0),
        4: ("active", 0, 100),
        5: ("closed", 0, 60),
        6: ("quarantined", 0, 100),
    }
    assert sum(held for _state, _spent, held in found.values()) == now.held_nanos == 330
    assert now.spent_nanos == 187
    assert now.remaining_nanos == 1_000 - 187 - 330


def test_history_is_every_period_latest_first(store: Store) -> None:
    budget = stored(store, limit_nanos=1_000, kind="end_user", scope_id="*")
    for day in range(3):
        for name in ("ann", "bob"):
            spend(
                store,
                Charge(budget.id, name, NO_LEASE, 0),
                10 * day + len(name) + (name == "bob"),
                at=T0 + day * DAY,
            )
    acquire(store, (budget.id, "ann"), 1, 50, at=T0 + 2 * DAY)
    pages, after = [], None
    with store.read() as tx:
        while page := history(tx, budget, limit=4, after=after):
            pages += page
            after = (page[-1].starts_at, page[-1].subject)
        [only] = history(tx, budget, subject="bob", limit=1, after=(datetime(2026, 3, 2, tzinfo=UTC), "bob"))
        assert history(tx, msgspec.structs.replace(budget, id="bud_other"), limit=9) == []
    assert [(one.subject, one.starts_at.day, one.spent_nanos, one.held_nanos) for one in pages] == [
        ("bob", 3, 24, 0),
        ("ann", 3, 23, 50),
        ("bob", 2, 14, 0),
        ("ann", 2, 13, 0),
        ("bob", 1, 4, 0),
        ("ann", 1, 3, 0),
    ]
    assert {one.limit_nanos for one in pages} == {1_000}
    assert only == pages[4]
    assert only.ends_at == datetime(2026, 3, 2, tzinfo=UTC)
