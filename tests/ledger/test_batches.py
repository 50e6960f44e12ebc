"""Batches: a record that the store refuses is put aside, and nothing else is lost or held up for it."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import func, select

from service.errors import StoreUnavailableError
from service.ledger.batches import BATCH, BatchWriter
from service.ledger.record import RequestRecord, uuid_text
from service.ledger.writer import Writer
from service.reporting.check import check
from service.store.engine import Store
from service.store.tables import dead_letter, request_record
from tests.ledger.making import T0, ended, opening
from tests.support.records import some

POISON: dict[str, Callable[[RequestRecord], None]] = {
    "negative cost": lambda record: setattr(record, "cost_nanos", -1),
    "unknown outcome": lambda record: setattr(record, "outcome", "lost"),
    "no usage source": lambda record: setattr(record, "usage_source", None),
    "a count beyond 64 bits": lambda record: setattr(record, "input_tokens", 2**63),
    "a time that is no number": lambda record: setattr(record, "ttft_ms", float("nan")),
}


class Books:
    """A store, what was written to it and what was alarmed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.alarms: list[str] = []
        self.batches = BatchWriter(Writer(store, clock=lambda: T0), alarm=self.alarms.append)

    def ids(self, table: Any) -> set[bytes]:
        with self.store.read() as tx:
            return {row.id.bytes for row in tx.execute(select(table.c.id))}


@pytest.mark.parametrize("kind", POISON)
@pytest.mark.parametrize("at", [0, 6, 12])
def test_one_bad_record_is_put_aside_and_the_rest_is_stored(store: Store, kind: str, at: int) -> None:
    books = Books(store)
    records = [ended(opening()) for _ in range(13)]
    POISON[kind](records[at])
    books.batches.store(records)
    bad = records.pop(at)
    assert books.ids(request_record) == {record.id for record in records}
    assert books.ids(dead_letter) == {bad.id}
    [alarm] = books.alarms
    assert alarm.startswith(f"record {uuid_text(bad.id)} is refused by the store and kept as a dead letter: ")
    assert check(store) == []


def test_a_text_that_postgresql_cannot_hold_is_put_aside(postgres_url: str) -> None:
    store = Store(postgres_url)
    books = Books(store)
    books.batches.store([ended(opening()), ended(opening(end_user="a\x00b")), ended(opening())])
    assert len(books.ids(request_record)) == 2
    assert len(books.ids(dead_letter)) == 1
    store.close()


def test_what_the_store_says_of_a_record_does_not_quote_it(store: Store) -> None:
    bad = ended(opening(end_user="ada@example.com", user_agent="her own agent"))
    bad.cost_nanos = -1
    alarms: list[str] = []
    BatchWriter(Writer(store, clock=lambda: T0), alarm=alarms.append).store([bad])
    (alarm,) = alarms
    assert "cost_nanos" in alarm
    assert "ada@example.com" not in alarm
    assert "her own agent" not in alarm


def test_many_bad_records_among_many(sqlite_store: Store) -> None:
    books = Books(sqlite_store)
    records = [ended(opening()) for _ in range(100)]
    bad = records[::7]
    for number, record in enumerate(bad):
        list(POISON.values())[number % len(POISON)](record)
    books.batches.store(records)
    assert books.ids(dead_letter) == {record.id for record in bad}
    assert books.ids(request_record) == {record.id for record in records} - {record.id for record in bad}
    assert len(books.alarms) == len(bad)
    assert check(sqlite_store) == []


def test_a_bad_record_that_comes_again_is_one_dead_letter(sqlite_store: Store) -> None:
    books = Books(sqlite_store)
    record = ended(opening())
    record.cost_nanos = -1
    books.batches.store([record])
    books.batches.store([record, ended(opening())])
    assert books.ids(dead_letter) == {record.id}
    assert len(books.ids(request_record)) == 1


def test_many_records_go_a_batch_at_a_time(sqlite_store: Store) -> None:
    sizes: list[int] = []

    class Counting(Writer):
        def write(self, records: Sequence[RequestRecord]) -> int:
            sizes.append(len(records))
            return super().write(records)

    batches = BatchWriter(Counting(sqlite_store, clock=lambda: T0), alarm=print)
    records = some(seed=5, count=2 * BATCH + 1, days=1)
    batches.store_all(iter(records))
    assert sizes[:2] == [BATCH, BATCH]
    assert sum(sizes) == len(records)
    batches.store_all(iter(()))
    batches.store([])
    assert sum(sizes) == len(records)
    with sqlite_store.read() as tx:
        assert tx.scalar(select(func.count()).select_from(request_record)) == len(records)


def test_a_store_that_is_away_is_no_reason_to_put_records_aside(sqlite_store: Store) -> None:
    class Away(Writer):
        def write(self, records: Sequence[RequestRecord]) -> int:
            raise StoreUnavailableError(f"the store cannot take {len(records)} records")

    batches = BatchWriter(Away(sqlite_store, clock=lambda: T0), alarm=print)
    with pytest.raises(StoreUnavailableError, match="3 records"):
        batches.store([ended(opening()) for _ in range(3)])
    assert Books(sqlite_store).ids(dead_letter) == set()
