"""An upgrade from a version without the newer rollups: nothing is lost, and no report is wrong meanwhile."""

from datetime import timedelta

from service.ledger import rollups
from service.reporting.by_value import SINCE, complete_since
from service.reporting.check import check
from service.reporting.usage import UsageQuery, usage_report
from service.store import schema
from service.store.engine import Store
from service.store.facts import read_fact
from tests.support.records import START, some, stored_rollups, write

BEFORE = "0006_alerts"


def test_books_from_before_are_whole_afterwards(store: Store) -> None:
    records = some(seed=9, count=80, days=2)
    write(store, records)
    whole = stored_rollups(store)
    schema.migrate(store, revision=BEFORE)
    schema.migrate(store)
    assert check(store) == []
    by_model = [row for row in stored_rollups(store) if row[0].startswith(("usage_", "model_"))]
    assert by_model == [row for row in whole if row[0].startswith(("usage_", "model_"))]
    query = UsageQuery(since=START, until=START + timedelta(days=2), group_by=("end_user",))
    with store.read() as tx:
        assert complete_since(tx) > START + timedelta(days=2)
        report = usage_report(tx, query)
    expected = sum(record.repeat_count for record in records)
    assert sum(row.measures.attempts for row in report.rows) == report.total.attempts == expected
    rollups.rebuild(store)
    assert stored_rollups(store) == whole


def test_a_new_store_has_nothing_to_leave_out(store: Store) -> None:
    schema.migrate(store, revision=BEFORE)
    schema.migrate(store)
    with store.read() as tx:
        assert read_fact(tx, SINCE) is None
