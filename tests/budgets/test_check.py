"""The proof that budgets and records agree: clean books pass, every single change of an amount is found."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Table, delete, insert, update

from service.budgets import leases
from service.budgets.answers import Want
from service.budgets.charges import NO_LEASE, Charge
from service.budgets.check import check_budgets
from service.budgets.policy import Budget, BudgetBook, RequestFacts
from service.budgets.registry import BudgetRegistry
from service.budgets.values import BudgetChanges
from service.ledger.record import RequestRecord, uuid7
from service.ledger.writer import Writer
from service.store.budget_tables import budget_lease, budget_period
from service.store.engine import Store
from service.store.tables import dead_letter, request_record
from service.store.types import to_micros
from tests.budgets.making import BY, T0, registry, stored
from tests.ledger.making import ended, opening
from tests.support.clock import HandClock

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


class Books:
    """Records written as relays write them, charged to what applies; *forgets*: relays that charge nothing."""

    def __init__(self, store: Store, clock: HandClock) -> None:
        self.store = store
        self.clock = clock
        self.registry: BudgetRegistry = registry(clock)
        self.leases: dict[tuple[str, str, datetime], int] = {}
        self.chance = random.Random(3)
        self._writer = Writer(store, clock=lambda: to_micros(clock.now()))

    def budget(self, **fields: Any) -> Budget:
        """A budget, made now."""
        return stored(self.store, budgets=self.registry, **fields)

    def change(self, budget: Budget, **fields: Any) -> Budget:
        """Change it now."""
        with self.store.write() as tx:
            return self.registry.update(tx, budget.id, changes=BudgetChanges(**fields), by=BY).budget

    def request(
        self,
        *budgets: Budget,
        cost: int | None = 100,
        held: int = 300,
        started: datetime | None = None,
        **facts: Any,
    ) -> RequestRecord:
        """A request that is let in now, on those of *budgets* that apply."""
        started = started or self.clock.now()
        micros = to_micros(started)
        begun = opening(started_at=micros, id=uuid7(micros, self.chance.randbytes(8)), **facts)
        asked = RequestFacts(begun.key_id, begun.project, begun.end_user, begun.requested_model or "")
        charges = []
        for applied in BudgetBook(budgets).applying(asked):
            hard = applied.budget.mode == "hard"
            lease = self._lease(applied.place) if hard else NO_LEASE
            charges.append(Charge(*applied.place, lease, held if hard else 0))
        begun.charges = tuple(charges)
        begun.estimate_nanos = held if charges else None
        record = ended(begun)
        record.cost_nanos = cost
        record.cost_status = "unpriced" if cost is None else "priced"
        self._writer.write([record])
        return record

    def _lease(self, place: tuple[str, str]) -> int:
        """The lease of the running period."""
        now = self.clock.now()
        number = self.chance.getrandbits(60)
        with self.store.write() as tx:
            wants = [Want(place, number, 1000, 1000)]
            [got] = leases.acquire(tx, wants, holder="relay", now=now, expires_at=now + MINUTE)  # type: ignore[misc]
            return self.leases.setdefault((*place, got.starts_at), number)

    def differences(self) -> list[tuple[str, str, str]]:
        """What the check reports."""
        return [(found.what, found.found, found.expected) for found in check_budgets(self.store)]


@pytest.fixture
def books(store: Store) -> Books:
    return Books(store, HandClock())


@pytest.fixture
def busy(books: Books) -> Books:
    """Two days of requests on budgets of every scope, hard and soft, with unknown costs among them."""
    made = [
        books.budget(window="hour"),
        books.budget(window="day", mode="soft"),
        books.budget(kind="key", scope_id="*", window="day"),
        books.budget(kind="end_user", scope_id="ann", window="total"),
        books.budget(kind="model", scope_id="gpt-4o*", window="week"),
        books.budget(kind="model", scope_id="*", window="day", mode="soft"),
    ]
    books.clock.advance(MINUTE)
    for number in range(60):
        books.request(
            *made,
            cost=None if number % 7 == 3 else 100 + number,
            key_id=("key_a", "key_b", None)[number % 3],
            end_user=("ann", "bob", None)[number % 3],
            requested_model=("gpt-4o", "gpt-4o-mini", "o1")[number % 3],
        )
        books.clock.advance(timedelta(minutes=47))
    return books


def test_clean_books_agree(busy: Books) -> None:
    told: list[tuple[int, int]] = []
    assert check_budgets(busy.store, progress=lambda done, of: told.append((done, of))) == []
    assert told == [(number, 6) for number in range(1, 7)]


def test_an_empty_store_agrees(store: Store) -> None:
    assert check_budgets(store) == []


def changed(table: Table, **values: Any) -> Callable[[Store], None]:
    def change(store: Store) -> None:
        with store.write() as tx:
            first = table.c[next(iter(values))]
            query = (
                table.select().where(first.is_not(None)).order_by(first.desc(), *table.primary_key.columns)
            )
            key = tx.execute(query.limit(1)).mappings().one()
            same = [column == key[column.name] for column in table.primary_key.columns]
            fresh = {name: value(key[name]) for name, value in values.items()}
            tx.execute(update(table).where(*same).values(fresh))

    return change


def longer_periods(store: Store) -> None:
    with store.write() as tx:
        tx.execute(update(budget_period).values(ends_at=T0 + 365 * DAY))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(changed(budget_period, committed_nanos=lambda n: n + 1), id="committed"),
        pytest.param(
            changed(budget_period, direct_nanos=lambda n: n + 1, committed_nanos=lambda n: n + 1), id="spent"
        ),
        pytest.param(changed(budget_lease, granted_nanos=lambda n: n + 1), id="granted"),
        pytest.param(changed(budget_lease, spent_nanos=lambda n: n - 1), id="lease spent less"),
        pytest.param(changed(budget_lease, spent_nanos=lambda n: n + 1), id="lease spent more"),
        pytest.param(changed(budget_lease, state=lambda _: "closed"), id="state"),
        pytest.param(longer_periods, id="end"),
        pytest.param(changed(request_record, cost_nanos=lambda n: n + 1), id="record dearer"),
        pytest.param(changed(request_record, cost_nanos=lambda n: n - 1), id="record cheaper"),
    ],
)
def test_every_change_of_an_amount_is_found(busy: Books, change: Callable[[Store], None]) -> None:
    change(busy.store)
    assert busy.differences()


def test_a_record_that_is_gone_and_one_that_was_not_charged(busy: Books) -> None:
    record = busy.request(cost=50, requested_model="gpt-4o", key_id="key_a")
    busy.clock.advance(DAY)
    found = busy.differences()
    assert len(found) >= 4
    assert all(what == "spent_nanos" for what, _found, _expected in found)
    with busy.store.write() as tx:
        tx.execute(delete(request_record).where(request_record.c.id == _uuid(record)))
    assert busy.differences() == []


def _uuid(record: RequestRecord) -> Any:
    from uuid import UUID

    return UUID(bytes=record.id)


def test_a_difference_says_where_and_how_much(books: Books) -> None:
    budget = books.budget(window="total")
    books.clock.advance(MINUTE)
    books.request(budget, cost=40)
    books.request(cost=2)
    assert {found.where for found in check_budgets(books.store)} == {
        f"{budget.id} 1970-01-01T00:00:00Z",
        f"{budget.id} in all periods",
    }
    assert set(books.differences()) == {("spent_nanos", "40", "42 (records)")}


def test_a_budget_that_nobody_charged_is_found(books: Books) -> None:
    """No period at all: a kind of request that goes around the budget."""
    books.budget(kind="end_user", scope_id="*")
    books.clock.advance(MINUTE)
    books.request(cost=2, end_user="ann")
    books.request(cost=3)
    [found] = check_budgets(books.store)
    assert found.where.endswith(" ann in all periods")
    assert (found.found, found.expected) == ("0", "2 (records)")


def test_what_was_spent_before_the_budget_does_not_count(books: Books) -> None:
    books.request(cost=7)
    books.clock.advance(DAY)
    budget = books.budget(window="month")
    books.clock.advance(MINUTE)
    books.request(budget, cost=5)
    assert books.differences() == []


@pytest.mark.parametrize("charged", [True, False])
def test_a_relay_may_not_have_heard_yet(books: Books, *, charged: bool) -> None:
    """Seconds after a budget was made, or deleted, a request may count or not."""
    budget = books.budget(window="day")
    books.clock.advance(timedelta(seconds=1))
    books.request(*([budget] if charged else []))
    books.clock.advance(HOUR)
    books.request(budget, cost=1)
    assert books.differences() == []


def test_after_deletion_nothing_counts(books: Books) -> None:
    budget = books.budget(window="day")
    books.clock.advance(MINUTE)
    books.request(budget, cost=5)
    books.clock.advance(HOUR)
    with books.store.write() as tx:
        books.registry.delete(tx, budget.id, by=BY)
    books.clock.advance(HOUR)
    books.request(cost=9)
    assert books.differences() == []
    with books.store.write() as tx:
        tx.execute(update(request_record).where(request_record.c.cost_nanos == 5).values(cost_nanos=6))
    assert set(books.differences()) == {("spent_nanos", "5", "6 (records)")}


def test_a_request_at_a_periods_end_counts_for_one_of_the_two(books: Books) -> None:
    budget = books.budget(window="day")
    books.clock.advance(timedelta(hours=12))
    books.request(budget, cost=5, started=books.clock.now() - timedelta(seconds=5))
    books.request(budget, cost=6)
    assert books.differences() == []
    with books.store.write() as tx:
        tx.execute(update(budget_lease).values(spent_nanos=budget_lease.c.spent_nanos + 1))
    assert [found.where.partition(" ")[2] for found in check_budgets(books.store)] == [
        "2026-03-02T00:00:00Z",
        "in all periods",
    ]


def test_a_second_attempt_may_start_after_its_period(books: Books) -> None:
    """It is charged where its request was let in."""
    budget = books.budget(window="hour")
    books.clock.advance(timedelta(minutes=59))
    lease_period = books.clock.now()
    books.request(budget, cost=5, attempt=2, started=lease_period + timedelta(minutes=3))
    books.clock.advance(HOUR)
    assert books.differences() == []


@pytest.mark.parametrize("mode", ["hard", "soft"])
def test_a_cost_that_nobody_knows(books: Books, mode: str) -> None:
    budget = books.budget(window="total", mode=mode)
    books.clock.advance(MINUTE)
    books.request(budget, cost=None, held=300)
    books.request(budget, cost=1)
    assert books.differences() == []
    with books.store.write() as tx:
        tx.execute(update(request_record).where(request_record.c.cost_nanos == 1).values(cost_nanos=2))
    assert set(books.differences()) == {
        (
            "spent_nanos",
            "301" if mode == "hard" else "1",
            "302 (records)" if mode == "hard" else "2 (records)",
        )
    }


def test_other_models_are_bounds_only_before_the_change(books: Books) -> None:
    budget = books.budget(window="total")
    books.clock.advance(HOUR)
    books.request(budget, cost=5, requested_model="o1")
    narrowed = books.change(budget, models=["gpt-4o"])
    books.clock.advance(HOUR)
    books.request(narrowed, cost=6, requested_model="o1")
    books.request(narrowed, cost=7, requested_model="gpt-4o")
    assert books.differences() == []
    books.request(cost=100, requested_model="gpt-4o")
    assert set(books.differences()) == {("spent_nanos", "12", "107 to 118 (records)")}


def test_a_raised_limit_leaves_no_doubt(books: Books) -> None:
    budget = books.budget(window="total")
    books.clock.advance(HOUR)
    books.request(budget, cost=5)
    changed_budget = books.change(budget, limit_usd="20")
    books.clock.advance(HOUR)
    books.request(changed_budget, cost=6)
    books.request(cost=1)
    assert set(books.differences()) == {("spent_nanos", "11", "12 (records)")}


def test_a_changed_mode_leaves_only_unknown_costs_in_doubt(books: Books) -> None:
    budget = books.budget(window="total")
    books.clock.advance(HOUR)
    books.request(budget, cost=None, held=300)
    soft = books.change(budget, mode="soft")
    books.clock.advance(HOUR)
    books.request(soft, cost=6)
    assert books.differences() == []
    books.request(cost=1000)
    assert set(books.differences()) == {("spent_nanos", "306", "1006 to 1306 (records)")}


def test_dead_letters_leave_the_upper_side_open(books: Books) -> None:
    """They are charged and are no rows; too little is still found."""
    budget = books.budget(window="total")
    books.clock.advance(MINUTE)
    lost = books.request(budget, cost=5)
    with books.store.write() as tx:
        tx.execute(delete(request_record))
    assert books.differences()
    with books.store.write() as tx:
        row = {"id": _uuid(lost), "received_at": T0, "record": b"", "error": "refused"}
        tx.execute(insert(dead_letter).values(row))
    assert books.differences() == []
    books.request(cost=6)
    assert set(books.differences()) == {("spent_nanos", "5", "6 (records)")}


def test_a_spoilt_audit_entry_stops_nothing(sqlite_store: Store) -> None:
    books = Books(sqlite_store, HandClock())
    budget = books.budget(window="total")
    books.change(budget, models=["gpt-4o"])
    with sqlite_store.write() as tx:
        tx.exec_driver_sql("DROP TRIGGER audit_entry_no_update")
        tx.exec_driver_sql("""UPDATE audit_entry SET "after" = '{'""")
    assert books.differences() == []


def test_refusals_and_refused_attempts_cost_nothing(books: Books) -> None:
    budget = books.budget(window="total")
    books.clock.advance(MINUTE)
    books.request(budget, cost=5)
    books.request(cost=None, held=300, upstream=None)
    books.request(cost=0)
    assert books.differences() == []
