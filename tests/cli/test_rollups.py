"""`tollkeeper rollups rebuild`: rollups as the records have them, and the proof of it."""

from datetime import timedelta

from sqlalchemy import delete, insert, text

from service.ledger.record import RequestRecord
from service.reporting.by_value import SINCE
from service.reporting.check import check
from service.store.dimension_tables import dimension_rollup_day, dimension_rollup_hour
from service.store.engine import Store
from service.store.facts import read_fact
from service.store.tables import store_fact
from tests.cli.conftest import Cli
from tests.support.records import START, some, stored_rollups, write


def books(store: Store, *, days: int = 2) -> list[RequestRecord]:
    records = some(seed=5, count=60, days=days)
    write(store, records)
    return records


def test_it_mends_everything_and_says_so(on_store: Cli, store: Store) -> None:
    books(store)
    kept = stored_rollups(store)
    with store.write() as tx:
        tx.execute(text("UPDATE usage_rollup SET attempts = attempts + 1"))
        tx.execute(text("UPDATE dimension_rollup_hour SET attempts = attempts + 1"))
    answer = on_store.ok("rollups", "rebuild", "--json").json
    assert answer["days"] == 2
    assert answer["differences"] == []
    assert stored_rollups(store) == kept
    assert on_store.ok("rollups", "rebuild").out == f"Rebuilt the rollups of 2 days in {store}.\n"


def test_a_store_from_before_these_rollups_is_made_whole(on_store: Cli, store: Store) -> None:
    """As an upgrade leaves it: records, no rollups by end user and tag, and the day from which there are."""
    books(store)
    kept = stored_rollups(store)
    with store.write() as tx:
        for table in (dimension_rollup_hour, dimension_rollup_day):
            tx.execute(delete(table))
        since = str(int((START + timedelta(days=9)).timestamp()) * 1_000_000)
        tx.execute(insert(store_fact).values(name=SINCE, value=since))
    assert check(store) == []
    on_store.ok("rollups", "rebuild", "--no-check")
    with store.read() as tx:
        assert read_fact(tx, SINCE) is None
    assert stored_rollups(store) == kept


def test_a_part_of_the_days_leaves_the_rest(on_store: Cli, store: Store) -> None:
    books(store)
    with store.write() as tx:
        tx.execute(text("UPDATE usage_rollup SET attempts = attempts + 1"))
    second = (START + timedelta(days=1)).date().isoformat()
    assert on_store.ok("rollups", "rebuild", "--from", second, "--json").json["days"] == 1
    assert {difference.where.split("T")[0][-10:] for difference in check(store)} == {START.date().isoformat()}


def test_what_a_rebuild_cannot_mend_is_printed(on_store: Cli, store: Store) -> None:
    books(store)
    with store.write() as tx:
        tx.execute(text("UPDATE request_record SET cost_nanos = cost_nanos + 1 WHERE cost_lines IS NOT NULL"))
    outcome = on_store("rollups", "rebuild")
    assert outcome.code == 1
    assert "sum of cost_lines" in outcome.out


def test_a_day_that_is_none_is_refused(on_store: Cli) -> None:
    assert "--from" in on_store.refused("rollups", "rebuild", "--from", "yesterdayish")
