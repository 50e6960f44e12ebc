"""Repricing a store: records stay, entries and rollups move together, twice is once."""

import threading
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from sqlalchemy import func, select

from service.errors import InvalidInputError
from service.ledger import repricer as repricing
from service.ledger.repricer import Repricer, Wanted
from service.ledger.repricing import Diff
from service.ledger.rollups import rebuild
from service.pricing.pricebook import PriceBook
from service.reporting.check import check
from service.reporting.figures import Measures
from service.reporting.rows import RequestFilter, list_requests
from service.reporting.usage import UsageQuery, usage_report
from service.store.engine import Store
from service.store.tables import ledger_entry, request_record
from service.usage.tokens import TokenUsage
from tests.support.audit import TESTER, TRAIL, audited
from tests.support.rated import AFTER, BEFORE, book, rated, variety
from tests.support.records import START, stored_rollups, write

UTC = ZoneInfo("UTC")
END = START + timedelta(days=9)
ALL = Wanted(until=END)
NOW = START + timedelta(days=40)


@pytest.fixture
def books(store: Store) -> Store:
    write(store, variety())
    return store


def apply(
    store: Store, prices: PriceBook, wanted: Wanted = ALL, *, progress: Any = None, now: datetime = NOW
) -> Diff:
    told = {} if progress is None else {"progress": progress}
    repricer = Repricer(store, prices, zone=UTC, trail=TRAIL, **told)
    return repricer.apply(
        wanted, reason="new contract", by=TESTER, now=now, random_bytes=Random(now.timestamp()).randbytes
    )


def preview(store: Store, prices: PriceBook, wanted: Wanted = ALL) -> Diff:
    return Repricer(store, prices, zone=UTC, trail=TRAIL).preview(wanted)


def records(store: Store) -> list[Any]:
    with store.read() as tx:
        return list(tx.execute(select(request_record).order_by(request_record.c.id)))


def entries(store: Store) -> list[Any]:
    with store.read() as tx:
        return list(
            tx.execute(select(ledger_entry).order_by(ledger_entry.c.record_id, ledger_entry.c.rating_version))
        )


def total(store: Store, **filters: tuple[str, ...]) -> Measures:
    with store.read() as tx:
        return usage_report(tx, UsageQuery(since=START, until=END, filters=filters)).total


def figures(diff: Diff) -> list[tuple[Any, ...]]:
    return [
        (one.day, one.model, one.records, one.newly_priced, one.old_nanos, one.new_nanos)
        for one in diff.groups
    ]


def test_a_preview_writes_nothing(books: Store) -> None:
    before = stored_rollups(books)
    assert preview(books, AFTER).records == 6
    assert entries(books) == []
    assert stored_rollups(books) == before


def test_what_was_shown_is_what_is_done(books: Store) -> None:
    shown = preview(books, AFTER)
    history, cost = records(books), total(books).cost_nanos or 0
    done = apply(books, AFTER)
    assert figures(done) == figures(shown)
    assert done.unchanged == shown.unchanged
    assert total(books).cost_nanos == cost + done.new_nanos - done.old_nanos
    assert records(books) == history
    assert check(books) == []


def test_unpriced_requests_count_as_priced_afterwards(books: Store) -> None:
    before = total(books)
    apply(books, AFTER)
    after = total(books)
    assert (before.unpriced_requests, after.unpriced_requests) == (3, 1)
    assert after.cost_status["assumed"] == before.cost_status["assumed"] + 2
    assert after.cost_status["partial"] == before.cost_status["partial"]
    assert sum(after.cost_status.values()) == sum(before.cost_status.values()) == 12
    by_records = total(books, tag=("",))
    assert (by_records.cost_status, by_records.cost_nanos) == (after.cost_status, after.cost_nanos)


def test_twice_is_once(books: Store) -> None:
    apply(books, AFTER)
    written, rollups = entries(books), stored_rollups(books)
    again = apply(books, AFTER, now=NOW + timedelta(days=1))
    assert again.records == 0
    assert again.unchanged["same"] == 9
    assert (entries(books), stored_rollups(books)) == (written, rollups)


def test_entries_tell_why_and_how(books: Store) -> None:
    apply(books, AFTER)
    first, *_ = entries(books)
    assert (first.kind, first.rating_version, first.reason, first.created_at) == (
        "reprice",
        2,
        "new contract",
        NOW,
    )
    assert (first.cost_status_before, first.cost_status_after, first.delta_nanos) == (
        "assumed",
        "assumed",
        2_500_000,
    )
    assert first.price_id == "gpt_4o-('5.00', '10')"
    assert first.lines[0] == {
        "meter": "input",
        "quantity": 600,
        "rate_picos": 5_000_000,
        "cost_nanos": 3_000_000,
    }
    assert sum(line["cost_nanos"] for line in first.lines) == 6_000_000
    with books.read() as tx:
        shown = list_requests(tx, RequestFilter(until=START + timedelta(minutes=2))).data
    assert [(row["cost_nanos"], row["rated_cost_nanos"]) for row in shown] == [(6_000_000, 3_500_000)]


def test_prices_may_go_up_and_down_again(books: Store) -> None:
    original = total(books)
    apply(books, AFTER)
    back = apply(books, BEFORE, now=NOW + timedelta(days=1))
    assert back.records == 4
    assert back.unchanged["no_price"] == 3  # what got a price keeps its cost, though the price is gone
    assert [entry.rating_version for entry in entries(books)].count(3) == 4
    assert total(books).cost_nanos == (original.cost_nanos or 0) + 2 * 1_200_000
    assert check(books) == []


def test_rollups_built_anew_are_the_same(books: Store) -> None:
    apply(books, AFTER)
    before = stored_rollups(books)
    rebuild(books)
    assert stored_rollups(books) == before


def test_one_that_was_broken_off_goes_on(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "BATCH", 3)
    whole = preview(books, AFTER)

    def interrupt(done: int, _total: int) -> None:
        if done > 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(books, AFTER, progress=interrupt)
    assert len(entries(books)) == 4
    assert check(books) == []
    rest = apply(books, AFTER, now=NOW + timedelta(hours=1))
    assert rest.records == whole.records - 4
    assert len(entries(books)) == whole.records
    assert check(books) == []


def test_two_at_once_change_everything_once(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "BATCH", 2)
    whole = preview(books, AFTER)
    start = threading.Barrier(2)
    done: list[int] = []

    def run(number: int) -> None:
        start.wait()
        done.append(apply(books, AFTER, now=NOW + timedelta(seconds=number)).records)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == whole.records == len(entries(books))
    assert check(books) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(until=END, filters={"key": ("key_a",)}), 1),
        (Wanted(until=END, filters={"project": ("team",)}), 1),
        (Wanted(until=END, filters={"model": ("n*",)}), 2),
        (Wanted(until=END, filters={"provider": ("anthropic",)}), 0),
        (Wanted(until=END, filters={"upstream": ("other",)}), 0),
        (Wanted(since=START + timedelta(days=1), until=END), 1),
        (Wanted(until=START + timedelta(minutes=2)), 1),
        (Wanted(since=START + timedelta(minutes=2), until=START + timedelta(minutes=5)), 2),
        (Wanted(since=END, until=END), 0),
    ],
)
def test_only_what_is_asked_for_changes(books: Store, wanted: Wanted, expected: int) -> None:
    assert preview(books, AFTER, wanted).records == expected
    assert apply(books, AFTER, wanted).records == expected
    assert len(entries(books)) == expected
    assert check(books) == []


def test_progress_goes_through_the_time(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "BATCH", 5)
    heard: list[tuple[int, int]] = []
    apply(books, AFTER, progress=lambda done, total: heard.append((done, total)))
    assert heard == [(300, 172_800), (600, 172_800), (90_000, 172_800)]


def test_an_empty_store_and_a_wrong_filter(store: Store) -> None:
    assert apply(store, AFTER).records == 0
    with pytest.raises(InvalidInputError, match="'moddel' is not a dimension"):
        preview(store, AFTER, Wanted(until=END, filters={"moddel": ("x",)}))


def test_a_price_of_a_key_changes_that_key_s_records_alone(books: Store) -> None:
    own = replace(book(gpt_4o=("9", "9")).cards[0], scope="key", scope_id="key_a")
    prices = PriceBook([*BEFORE.cards, own])
    apply(books, prices)
    with books.read() as tx:
        changed = tx.scalars(
            select(request_record.c.key_id).join(
                ledger_entry, ledger_entry.c.record_id == request_record.c.id
            )
        ).all()
    assert changed == ["key_a"]


def test_many_batches_on_both_stores(store: Store) -> None:
    usage = TokenUsage(input_tokens=7, output_tokens=3)
    write(store, [rated(number, usage) for number in range(1_203)])
    done = apply(store, AFTER)
    assert (done.records, done.new_nanos - done.old_nanos) == (1_203, 1_203 * 7 * 2_500)
    with store.read() as tx:
        assert tx.scalar(select(func.count()).select_from(ledger_entry)) == 1_203
    assert apply(store, AFTER, now=NOW + timedelta(days=1)).records == 0
    assert check(store) == []


def test_the_order_and_its_sums_are_audited(books: Store) -> None:
    done = apply(books, AFTER)
    order, sums = audited(books)
    assert (order.action, order.actor, order.target.name) == ("ledger.reprice", TESTER, "new contract")
    assert (order.before, order.after) == (
        None,
        {"until": END.isoformat().replace("+00:00", "Z"), "since": None, "filters": {}},
    )
    assert (sums.action, sums.before) == ("ledger.repriced", {"cost_nanos": done.old_nanos})
    assert sums.after == {
        "cost_nanos": done.new_nanos,
        "records": done.records,
        "newly_priced": done.newly_priced,
    }


def test_what_changes_nothing_is_not_audited(books: Store) -> None:
    preview(books, AFTER)
    apply(books, AFTER)
    apply(books, AFTER, now=NOW + timedelta(days=1))
    assert len(audited(books)) == 2


def test_an_order_that_was_broken_off_is_audited(books: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "BATCH", 3)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(books, AFTER, progress=interrupt)
    assert [one.action for one in audited(books)] == ["ledger.reprice"]
