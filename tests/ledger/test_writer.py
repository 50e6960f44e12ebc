"""The writer: every record once, whatever is repeated, and the rollups in the same transaction."""

from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from service.ledger.record import RequestRecord, clip
from service.ledger.writer import FIELDS, Writer
from service.reporting.check import check
from service.store.engine import Store
from service.store.tables import dead_letter, request_record, usage_rollup
from tests.ledger.making import T0, ended, fresh_id, opening
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
    values: dict[str, Any] = msgspec.structs.asdict(record)
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


def test_an_empty_batch_is_none(store: Store) -> None:
    assert writer(store).write([]) == 0


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


class Unlucky(Store):
    """A store whose transactions are rolled back just before they commit, or whose commit is not confirmed."""

    fail: Callable[[Connection], None] | None = None


@pytest.mark.parametrize(("confirmed", "rows"), [("before the commit", 0), ("after the commit", 1)])
def test_records_and_rollups_are_committed_together(sqlite_store: Store, confirmed: str, rows: int) -> None:
    """The process ends between the statements and the commit, or between the commit and its confirmation."""
    record = ended(opening())
    if rows:
        assert writer(sqlite_store).write([record]) == 1
    else:
        with pytest.raises(KeyboardInterrupt), sqlite_store.write():
            _write_inside(sqlite_store, record)
            raise KeyboardInterrupt(confirmed)
    assert (len(stored_ids(sqlite_store)), requests_in_rollups(sqlite_store)) == (rows, rows)
    assert writer(sqlite_store).write([record]) == 1 - rows
    assert (len(stored_ids(sqlite_store)), requests_in_rollups(sqlite_store)) == (1, 1)
