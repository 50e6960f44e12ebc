"""The rollups by end user and by tag stay small, whatever clients write, and still hold everything."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from random import Random
from uuid import UUID

import pytest
from sqlalchemy import select, update

from service.ledger import dimension_rollups, rollups
from service.ledger.entries import LedgerEntry, append
from service.ledger.record import RequestRecord, uuid7
from service.reporting.check import check
from service.store.dimension_tables import dimension_rollup_day, dimension_rollup_hour
from service.store.engine import Store
from tests.support.records import START, some, stored_rollups, write


def of_many_users(*, seed: int, count: int, users: int = 30) -> list[RequestRecord]:
    """Records of one day, each of one of many end users and with tags of its own making."""
    rng = Random(seed)
    records = some(seed=seed, count=count, days=1)
    for record in records:
        record.end_user = rng.choice((None, f"user-{rng.randrange(users)}", f"user-{rng.randrange(3)}"))
        record.tags = tuple(f"tag-{rng.randrange(users)}" for _ in range(rng.randrange(3)))
    return records


def rows_of(store: Store, dimension: str) -> dict[str, int]:
    """Attempts by value; "" with own = 0 is shown as "(other)"."""
    row = dimension_rollup_day.c
    found: Counter[str] = Counter()
    with store.read() as tx:
        statement = select(row.own, row.value, row.attempts).where(row.dimension == dimension)
        for own, value, attempts in tx.execute(statement):
            found[value if own else "(other)"] += attempts
    return dict(found)


def in_batches(store: Store, records: Sequence[RequestRecord], *, size: int = 7) -> None:
    for start in range(0, len(records), size):
        write(store, records[start : start + size])


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """Room for few values."""
    monkeypatch.setattr(dimension_rollups, "VALUES_PER_DAY", 6)
    return 6


def test_as_many_values_as_have_room_and_the_rest_together(store: Store, few: int) -> None:
    records = of_many_users(seed=1, count=120)
    in_batches(store, records)
    assert check(store) == []
    for dimension in ("end_user", "tag"):
        found = rows_of(store, dimension)
        assert len(found) == few + 1
        assert found["(other)"] > 0
    assert sum(rows_of(store, "end_user").values()) == sum(record.repeat_count for record in records)


def test_a_rebuild_gives_the_rows_to_the_dearest(store: Store, few: int) -> None:
    records = of_many_users(seed=2, count=150)
    in_batches(store, records)
    costs: Counter[str] = Counter()
    for record in records:
        costs[record.end_user or ""] += record.cost_nanos or 0
    del costs[""]
    rollups.rebuild(store)
    assert check(store) == []
    dearest = {value for value, _ in sorted(costs.items(), key=lambda item: (-item[1], item[0]))[:few]}
    assert rows_of(store, "end_user").keys() == dearest | {"", "(other)"}


def test_a_value_among_the_others_stays_there(
    store: Store, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when there is room again: half of it is among the others already."""
    records = of_many_users(seed=3, count=90)
    in_batches(store, records[:60])
    before = rows_of(store, "end_user").keys()
    monkeypatch.setattr(dimension_rollups, "VALUES_PER_DAY", few * 100)
    in_batches(store, records[60:])
    assert rows_of(store, "end_user").keys() == before
    assert check(store) == []
    rollups.rebuild(store)
    assert "(other)" not in rows_of(store, "end_user")
    assert check(store) == []


@pytest.mark.usefixtures("few")
def test_a_change_of_cost_goes_where_its_record_went(store: Store) -> None:
    records = of_many_users(seed=4, count=80)
    in_batches(store, records)
    rng = Random(4)
    entries = [
        LedgerEntry(
            id=UUID(bytes=uuid7(record.started_at, rng.randbytes(8))),
            record_id=UUID(bytes=record.id),
            kind="reprice",
            rating_version=2,
            delta_nanos=7,
            cost_status_before=record.cost_status,
            cost_status_after="assumed",
            created_at=START,
        )
        for record in records
        if record.upstream is not None
    ]
    with store.write() as tx:
        append(tx, entries)
    assert check(store) == []
    rollups.rebuild(store)
    assert check(store) == []


def test_records_without_end_user_or_tag_take_no_room(store: Store, few: int) -> None:
    records = some(seed=5, count=40, days=1)
    for record in records:
        record.end_user, record.tags = None, None
    write(store, records)
    assert rows_of(store, "tag").keys() == rows_of(store, "end_user").keys() == {""}
    more = of_many_users(seed=6, count=10, users=few)
    write(store, more)
    assert check(store) == []


def test_relays_that_decide_at_once_agree(postgres_url: str, few: int) -> None:
    """Near the bound one may see room where the other sees none; nobody's value is in two rows."""

    def relay(seed: int) -> None:
        with closing(Store(postgres_url)) as mine:
            in_batches(mine, of_many_users(seed=seed, count=60), size=3)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(relay, range(4)))
    with closing(Store(postgres_url)) as store:
        assert check(store) == []
        assert few <= len(rows_of(store, "end_user")) <= few * 4


def test_damage_is_found_and_mended(store: Store) -> None:
    write(store, of_many_users(seed=7, count=40))
    kept = stored_rollups(store)
    with store.write() as tx:
        row = dimension_rollup_hour.c
        tx.execute(
            update(dimension_rollup_hour).where(row.dimension == "tag").values(cost_nanos=row.cost_nanos + 1)
        )
    found = check(store)
    assert found
    assert {difference.what for difference in found} == {"cost_nanos"}
    assert all(" tag " in difference.where for difference in found)
    rollups.rebuild(store)
    assert stored_rollups(store) == kept
