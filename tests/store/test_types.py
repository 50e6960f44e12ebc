"""Column types keep values, and their order, on both stores."""

import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from service.store.engine import Store
from service.store.types import JsonText, RecordId, UtcMicros, from_micros, to_micros

table = Table(
    "typed",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("instant", UtcMicros),
    Column("uuid", RecordId),
    Column("json", JsonText),
)


def kept(store: Store, **values: Any) -> Any:
    with store.write() as tx:
        table.create(tx, checkfirst=True)
        number = tx.execute(insert(table).values(**values).returning(table.c.number)).scalar_one()
        return tx.execute(select(table).where(table.c.number == number)).one()


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        None,
    ],
)
def test_instants(store: Store, instant: datetime | None) -> None:
    assert kept(store, instant=instant).instant == instant


def test_instants_have_a_zone(store: Store) -> None:
    naive = datetime(2026, 3, 1)  # noqa: DTZ001  (naive on purpose)
    with pytest.raises(ValueError, match="has no time zone"):
        to_micros(naive)
    assert kept(store, instant=from_micros(-1)).instant == datetime(1970, 1, 1, tzinfo=UTC) - timedelta(
        microseconds=1
    )


def test_ids_sort_alike_on_both_stores(store: Store) -> None:
    source = random.Random(3)
    ids = [UUID(int=source.getrandbits(128)) for _ in range(50)]
    with store.write() as tx:
        table.create(tx)
        tx.execute(insert(table), [{"uuid": value} for value in (*ids, None)])
        ordered = select(table.c.uuid).where(table.c.uuid.is_not(None)).order_by(table.c.uuid)
        assert list(tx.execute(ordered).scalars()) == sorted(ids)
    assert kept(store, uuid=None).uuid is None


@pytest.mark.parametrize("value", [None, {"b": [1, None, "é\u2028"], "a": {}}, [], "text", 0, False])
def test_json(store: Store, value: Any) -> None:
    assert kept(store, json=value).json == value


def test_equal_json_is_equal_text(store: Store) -> None:
    with store.write() as tx:
        table.create(tx)
        tx.execute(insert(table), [{"json": {"a": 1, "b": 2}}, {"json": {"b": 2, "a": 1}}])
        assert len(set(tx.exec_driver_sql("SELECT json FROM typed").scalars())) == 1
