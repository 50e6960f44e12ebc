"""Ledger entries reach every figure that their record is in."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from service.errors import NotFoundError
from service.ledger import rollups
from service.ledger.entries import LedgerEntry, append
from service.ledger.record import RequestRecord
from service.reporting.check import check
from service.reporting.usage import UsageQuery, UsageReport, usage_report
from service.store.engine import Store
from tests.support.records import START, some, stored_rollups, write


def entry_of(record: RequestRecord, *, delta_nanos: int, **fields: Any) -> LedgerEntry:
    identifier = UUID(bytes=record.id)
    given: dict[str, Any] = {
        "id": UUID(int=identifier.int ^ abs(delta_nanos)),
        "record_id": identifier,
        "kind": "reprice",
        "rating_version": 2,
        "cost_status_before": record.cost_status,
        "cost_status_after": "priced",
        "created_at": START,
    }
    return LedgerEntry(**{**given, **fields}, delta_nanos=delta_nanos)


def report(store: Store, *group_by: str) -> UsageReport:
    with store.read() as tx:
        return usage_report(tx, UsageQuery(since=START, until=START + timedelta(days=3), group_by=group_by))


def test_a_reprice_changes_totals_coverage_and_nothing_else(store: Store) -> None:
    records = some(seed=31, count=150, days=2)
    write(store, records)
    before = report(store).total
    unpriced = [record for record in records if record.cost_status == "unpriced"]
    with store.write() as tx:
        append(tx, [entry_of(record, delta_nanos=1_000 + n) for n, record in enumerate(unpriced)])
    after = report(store).total
    assert after.cost_nanos == (before.cost_nanos or 0) + sum(1_000 + n for n in range(len(unpriced)))
    assert (before.unpriced_requests, after.unpriced_requests) == (len(unpriced), 0)
    assert after.cost_status["priced"] == before.cost_status["priced"] + len(unpriced)
    assert (after.attempts, after.input_tokens) == (before.attempts, before.input_tokens)
    assert (after.coverage or 0) > (before.coverage or 0)
    assert check(store) == []
    kept = stored_rollups(store)
    rollups.rebuild(store)
    assert stored_rollups(store) == kept


def test_records_and_rollups_agree_about_changed_costs(store: Store) -> None:
    records = some(seed=32, count=60, days=1)
    write(store, records)
    priced = [record for record in records if (record.cost_nanos or 0) > 10]
    with store.write() as tx:
        append(tx, [entry_of(record, delta_nanos=-7) for record in priced])
        second = [
            entry_of(record, delta_nanos=3, rating_version=3, kind="correction", cost_status_before="priced")
            for record in priced
        ]
        append(tx, second)
    from_rollups, from_records = report(store), report(store, "end_user")
    assert from_rollups.total == from_records.total
    assert from_rollups.total.cost_nanos == sum(r.cost_nanos or 0 for r in records) - 4 * len(priced)


def test_a_second_entry_of_one_version_is_refused_whole(store: Store) -> None:
    (record, *_) = some(seed=33, count=1, days=1)
    write(store, [record])
    with store.write() as tx:
        append(tx, [entry_of(record, delta_nanos=5)])
    kept = stored_rollups(store)
    with pytest.raises(IntegrityError), store.write() as tx:
        append(tx, [entry_of(record, delta_nanos=6)])
    assert stored_rollups(store) == kept


def test_an_entry_needs_its_record(store: Store) -> None:
    (record, *_) = some(seed=33, count=1, days=1)
    with pytest.raises(NotFoundError, match="no request record"), store.write() as tx:
        append(tx, [entry_of(record, delta_nanos=5)])
    with store.write() as tx:
        append(tx, [])
    assert stored_rollups(store) == []


def test_many_entries_at_once(store: Store) -> None:
    records = some(seed=34, count=1_200, days=2)
    write(store, records)
    with store.write() as tx:
        append(tx, [entry_of(record, delta_nanos=1) for record in records if record.cost_nanos is not None])
    assert check(store) == []
