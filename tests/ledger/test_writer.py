"""The writer: every record once, whatever is repeated, and the rollups in the same transaction."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from service.errors import StoreUnavailableError
from service.ledger.record import RequestRecord
from service.ledger.writer import FIELDS, Writer
from service.reporting.check import check
from service.store.engine import Store
from service.store.tables import dead_letter, request_record, usage_rollup
from tests.ledger.making import T0, ended, opening
from tests.support.records import some, stored_rollups, wipe


def writer(store: Store) -> Writer:
    return Writer(store, clock=lambda: T0)


def stored_ids(store: Store) -> list[bytes]:
    with store.read() as tx:
        return sorted(row.id.bytes for row in tx.execute(select(request_record.c.id)))


def requests_in_rollups(store: Store) -> int:
    with store.read() as tx:
        return int(tx.scalar(select(func.coalesce(func.sum(usage_rollup.c.attempts), 0))) or 0)


def test_every_field_comes_back_as_it_was(store: Store) -> None:
    record = ended(opening(tags=("a", "ü"), stream=True, user_agent="agent/1", bytes_in=3, estimate_nanos=9))
    record.finish_reasons = ("stop", "length")
    record.usage_flags = ("early",)
    record.cost_lines = ({"meter": "input", "quantity": 100, "rate_picos": 1, "cost_nanos": 100},)
    record.usage_raw = '{"prompt_tokens": 100}'
    record.ttft_ms = 3.25
    record.usage_low, record.usage_high = 0, 2**62
    assert writer(store).write([record]) == 1
    with store.read() as tx:
        row = tx.execute(select(request_record)).mappings().one()
    values: dict[str, Any] = {name: getattr(record, name) for name in FIELDS}
    for name in ("id", "request_id"):
        assert row[name].bytes == values.pop(name)
    assert int(row["started_at"].timestamp()) * 1_000_000 == values.pop("started_at")
    lists = {name: list(value) for name, value in values.items() if isinstance(value, tuple)}
    assert {name: row[name] for name in values} == values | lists
    assert set(FIELDS) == set(row)


def test_a_batch_that_comes_again_changes_nothing(store: Store) -> None:
    records = some(seed=1, count=60, days=2)
    assert writer(store).write(records) == len(records)
    before = stored_rollups(store)
    assert writer(store).write(records) == 0
    assert writer(store).write(records[10:20]) == 0
    assert stored_rollups(store) == before
    assert check(store) == []


@pytest.mark.parametrize("known", [1, 20, 59])
def test_of_a_partly_known_batch_only_the_rest_is_counted(store: Store, known: int) -> None:
    records = some(seed=2, count=60, days=1)
    assert writer(store).write(records[:known]) == known
    assert writer(store).write(records) == len(records) - known
    assert stored_ids(store) == sorted(record.id for record in records)
    assert check(store) == []


def test_twins_within_a_batch_are_one_and_the_first_one_counts(store: Store) -> None:
    first = ended(opening())
    second = msgspec.structs.replace(first, outcome="interrupted", cost_nanos=5)
    assert writer(store).write([first, second]) == 1
    with store.read() as tx:
        assert tx.scalars(select(request_record.c.outcome)).all() == ["ok"]
    assert check(store) == []


def test_observers_see_each_new_record_once_and_their_failure_holds_nothing_up(store: Store) -> None:
    seen: list[bytes] = []

    def see(records: Sequence[RequestRecord]) -> None:
        assert set(stored_ids(store)) >= {record.id for record in records}
        seen.extend(record.id for record in records)

    def fail(_records: Sequence[RequestRecord]) -> None:
        raise ValueError("as a record that the store refuses would")

    watched = Writer(store, clock=lambda: T0, observers=(fail, see))
    records = [ended(opening()) for _ in range(3)]
    assert watched.write(records[:2]) == 2
    assert watched.write([records[0]]) == 0
    assert watched.write([*records, records[2]]) == 1
    assert seen == [record.id for record in records]


def test_an_observer_hears_nothing_of_what_was_not_committed(store: Store) -> None:
    seen: list[RequestRecord] = []
    watched = Writer(store, clock=lambda: T0, observers=(seen.extend,))
    impossible = ended(opening())
    impossible.cost_nanos = -1
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)):
        watched.write([ended(opening()), impossible])
    assert seen == []


def test_an_empty_batch_is_none(store: Store) -> None:
    assert writer(store).write([]) == 0


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_batches_in_any_order_and_overlap_give_the_same_books(sqlite_store: Store, seed: int) -> None:
    random = Random(seed)
    wipe(sqlite_store)
    records = some(seed=seed, count=30, days=1)
    new = 0
    for _ in range(6):
        new += writer(sqlite_store).write(random.sample(records, random.randrange(1, len(records))))
    new += writer(sqlite_store).write(records)
    assert new == len(records)
    assert check(sqlite_store) == []


class KilledError(Exception):
    """The process ends here."""


class KillingStore(Store):
    """A store whose user is killed just before a commit, or just after it, before anybody heard of it."""

    kill: Literal["no", "before commit", "after commit"] = "no"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with super().write() as tx:
            yield tx
            if self.kill == "before commit":
                raise KilledError
        if self.kill == "after commit":
            raise KilledError


@pytest.mark.parametrize(("kill", "stored"), [("before commit", 0), ("after commit", 1)])
def test_records_and_rollups_are_committed_together(
    store_url: str, kill: Literal["before commit", "after commit"], stored: int
) -> None:
    record = ended(opening())
    with closing(KillingStore(store_url)) as store:
        store.kill = kill
        with pytest.raises(KilledError):
            writer(store).write([record])
        store.kill = "no"
        assert (len(stored_ids(store)), requests_in_rollups(store)) == (stored, stored)
        assert writer(store).write([record]) == 1 - stored
        assert (len(stored_ids(store)), requests_in_rollups(store)) == (1, 1)
        assert check(store) == []


def test_a_locked_store_is_away_not_broken(sqlite_store: Store, tmp_path: Path) -> None:
    """The driver is called directly, so its own error must be told apart from a bad record's."""
    with sqlite_store.write() as tx:
        tx.connection.driver_connection.execute("PRAGMA busy_timeout = 1")  # type: ignore[union-attr]
    with closing(sqlite3.connect(tmp_path / "tollkeeper.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError, match="database is locked"):
            writer(sqlite_store).write([ended(opening())])
        other.execute("ROLLBACK")
    assert writer(sqlite_store).write([ended(opening())]) == 1


def test_a_disk_without_room_is_away_not_broken(sqlite_store: Store) -> None:
    with sqlite_store.write() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
    records = some(seed=3, count=300, days=1)
    with pytest.raises(StoreUnavailableError, match="database or disk is full"):
        writer(sqlite_store).write(records)
    with sqlite_store.write() as tx:
        tx.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert writer(sqlite_store).write(records) == len(records)
    assert check(sqlite_store) == []


def test_a_server_that_ends_the_connection_is_away_and_comes_back(postgres_url: str) -> None:
    with closing(Store(postgres_url)) as store:
        assert writer(store).write([ended(opening())]) == 1
        with psycopg.connect(postgres_url, autocommit=True) as other:
            ending = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )

            class Ending(Store):
                @contextmanager
                def write(self) -> Iterator[Connection]:
                    with super().write() as tx:
                        other.execute(ending)
                        yield tx

            with closing(Ending(postgres_url)) as away, pytest.raises(StoreUnavailableError):
                writer(away).write([ended(opening())])
        assert writer(store).write([ended(opening())]) == 1
        assert len(stored_ids(store)) == 2


# Records that the store refuses


def buried(store: Store) -> list[tuple[bytes, RequestRecord, str]]:
    with store.read() as tx:
        return [
            (row.id.bytes, msgspec.msgpack.decode(row.record, type=RequestRecord), row.error)
            for row in tx.execute(select(dead_letter).order_by(dead_letter.c.id))
        ]


def test_a_buried_record_can_be_dug_out_whole(store: Store) -> None:
    record = ended(opening(tags=("a",)))
    writer(store).bury(record, error="no\x00 good \ud800" + "!" * 3_000)
    [(identifier, found, error)] = buried(store)
    assert (identifier, found) == (record.id, record)
    assert error.startswith("no\ufffd good ?!!!")
    assert len(error) == 2_000


def test_burying_twice_is_burying_once(store: Store) -> None:
    record = ended(opening())
    writer(store).bury(record, error="first")
    writer(store).bury(record, error="second")
    assert [error for *_, error in buried(store)] == ["second"]
