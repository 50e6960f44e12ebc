"""Rollups in the store: whatever comes in whatever order, they are what a rebuild makes of the records."""

from datetime import timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text, update

from service.ledger import rollups
from service.ledger.folding import fold
from service.ledger.record import RequestRecord
from service.reporting.check import check
from service.store.engine import Store
from service.store.tables import request_record, usage_rollup
from tests.support.records import START, several, some, stored_rollups, wipe, write

on_a_shared_store = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@on_a_shared_store
@given(several(days=1, at_most=15), st.randoms(use_true_random=False))
def test_batches_replays_and_duplicates_count_once(
    store: Store, records: list[RequestRecord], random: Random
) -> None:
    wipe(store)
    sent = [*records, *random.sample(records, len(records) // 2)]
    random.shuffle(sent)
    new = 0
    while sent:
        size = random.randrange(1, 8)
        batch, sent = sent[:size], sent[size:]
        new += write(store, batch + batch[:1])
        if random.random() < 0.3:
            assert write(store, batch) == 0
    assert new == len(records)
    assert check(store) == []
    kept = stored_rollups(store)
    rollups.rebuild(store)
    assert stored_rollups(store) == kept


def test_a_rebuild_mends_what_was_damaged_and_removes_what_has_no_record(store: Store) -> None:
    write(store, some(seed=1, count=120, days=2))
    kept = stored_rollups(store)
    with store.write() as tx:
        tx.execute(update(usage_rollup).values(cost_nanos=usage_rollup.c.cost_nanos + 1))
        tx.execute(text("DELETE FROM usage_rollup_hour WHERE outcome = 'ok'"))
        before = fold(some(seed=2, count=1, days=1))
        rollups.upsert(tx, {(key[0] - 86_400_000_000, *key[1:]): row for key, row in before.items()})
    assert check(store) != []
    heard: list[tuple[int, int]] = []
    days = rollups.rebuild(store, progress=lambda done, total: heard.append((done, total)))
    assert stored_rollups(store) == kept
    assert heard == [(number, days) for number in range(1, days + 1)]
    assert check(store) == []


def test_a_rebuild_of_a_part_leaves_the_rest(store: Store) -> None:
    write(store, some(seed=1, count=120, days=2))
    kept = stored_rollups(store)
    with store.write() as tx:
        tx.execute(update(usage_rollup).values(attempts=usage_rollup.c.attempts + 1))
    damaged = stored_rollups(store)
    cut = START + timedelta(days=1)
    assert rollups.rebuild(store, since=START, until=cut) == 1
    for found, good, bad in zip(stored_rollups(store), kept, damaged, strict=True):
        assert found == (good if found[1] < cut else bad)


def test_an_empty_store_has_nothing_to_rebuild(store: Store) -> None:
    assert rollups.rebuild(store) == 0
    with store.write() as tx:
        rollups.upsert(tx, {})
    assert stored_rollups(store) == []


def test_records_and_rollups_commit_together(store: Store) -> None:
    records = some(seed=3, count=10, days=1)
    write(store, records)
    kept = stored_rollups(store)
    more = some(seed=4, count=10, days=1)
    with pytest.raises(ZeroDivisionError), store.write() as tx:  # noqa: PT012  (what is tested is the rollback)
        rollups.upsert(tx, fold(more))
        raise ZeroDivisionError
    assert stored_rollups(store) == kept


def test_text_survives_the_array_literals(store: Store) -> None:
    record = next(record for record in some(seed=5, count=20, days=1) if record.attempt == 1 and record.final)
    record.key_id, record.project = 'a "quoted", {braced} \\ key', "NULL"
    record.upstream, record.upstream_model = "it's; DROP TABLE--", "ünï\ncode 🙂"
    write(store, [record])
    with store.read() as tx:
        row = tx.execute(usage_rollup.select()).mappings().one()
    assert (row["key_id"], row["project"], row["upstream"], row["model"]) == (
        record.key_id,
        record.project,
        record.upstream,
        record.upstream_model,
    )
    assert check(store) == []


def test_two_writers_of_the_same_rows_do_not_deadlock(postgres_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import closing

    def relay(seed: int) -> None:
        with closing(Store(postgres_url)) as mine:
            for number in range(6):
                write(mine, some(seed=seed * 100 + number, count=200, days=1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(relay, range(4)))
    with closing(Store(postgres_url)) as store:
        with store.read() as tx:
            stored = tx.execute(request_record.select().with_only_columns(request_record.c.id)).all()
        assert len(stored) >= 4 * 6 * 200
        assert check(store) == []
