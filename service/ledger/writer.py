"""Records into the store, exactly once, with their rollups and what they spend of their budgets, in one transaction.

`id` decides: what is stored already is left out, so the same batch may come again after an unknown commit.
Batches go to the drivers in the shape these like: many rows a statement on SQLite (whose stored ids are looked up
first, inside the same immediate transaction), `unnest` arrays with ON CONFLICT DO NOTHING on PostgreSQL. The drivers
are called directly, so their errors are told apart here.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from sqlalchemy import Connection, insert
from sqlalchemy.dialects import postgresql

from service.budgets.charges import Spending
from service.budgets.settling import settle_flush
from service.errors import StoreUnavailableError
from service.ledger import rollups
from service.ledger.postgres_arrays import array_literal
from service.ledger.record import NOT_STORED, RequestRecord, clip
from service.logs import get_logger
from service.store.engine import Store
from service.store.tables import dead_letter, request_record
from service.store.types import RecordId, from_micros

FIELDS = tuple(name for name in RequestRecord.__struct_fields__ if name not in NOT_STORED)
_JSON_FIELDS = frozenset({"tags", "finish_reasons", "usage_flags", "cost_lines"})
_JSON_AT = tuple(position for position, name in enumerate(FIELDS) if name in _JSON_FIELDS)
_COLUMNS = ", ".join(FIELDS)
_of_columns = attrgetter(*FIELDS)
_UNREACHABLE = (sqlite3.OperationalError, psycopg.OperationalError, psycopg.InterfaceError)
_LONGEST_REASON = 2_000
# Rows per statement: the driver gives up the interpreter lock once a statement, and to get it back the event loop
# must let go of it. `executemany`, with a row a statement, cost more in waiting threads than in work.
_STATEMENT_ROWS = (400, 100, 25, 5, 1)
_encode = msgspec.json.Encoder().encode


Observer = Callable[[Sequence[RequestRecord]], object]


class Writer:
    """Writes batches of records; one transaction a batch.

    *observers* are told of new records once they are committed, each record once, on the thread that wrote it.
    """

    def __init__(self, store: Store, *, clock: Callable[[], int], observers: Sequence[Observer] = ()) -> None:
        self._store = store
        self._clock = clock
        self._observers = observers
        self._postgres_insert = _postgres_insert()

    def write(self, records: Sequence[RequestRecord]) -> int:
        """Store what is not stored yet and add it to the rollups; returns how many were new.

        Of records with one id the first counts, in a batch as in the store. Raises StoreUnavailableError; what the
        store says about the content of a record comes as the driver's error.
        """
        batch: dict[bytes, RequestRecord] = {}
        for record in records:
            batch.setdefault(record.id, record)
        try:
            fresh = self._write(list(batch.values()))
        except _UNREACHABLE as error:
            raise StoreUnavailableError(f"the store {self._store} cannot be used now: {error}") from error
        if fresh:
            self._tell(fresh)
        return len(fresh)

    def _tell(self, fresh: Sequence[RequestRecord]) -> None:
        for observe in self._observers:
            try:
                observe(fresh)
            except Exception as error:  # noqa: BLE001  (the records are stored; nobody else's trouble is theirs)
                get_logger().error("observer_failed", exc_info=error)

    def _write(self, batch: list[RequestRecord]) -> list[RequestRecord]:
        if not batch:
            return []
        with self._store.write() as tx:
            if self._store.is_sqlite:
                fresh = _insert_sqlite(tx, batch)
            else:
                fresh = self._insert_postgres(tx, batch)
            if fresh:
                rollups.record(tx, fresh)
                _settle(tx, fresh)
            return fresh

    def bury(self, record: RequestRecord, *, error: str) -> None:
        """Keep a record that the store refuses in the dead-letter table."""
        with self._store.write() as tx:
            statement = insert(dead_letter).values(
                id=UUID(bytes=record.id),
                received_at=from_micros(self._clock()),
                record=msgspec.msgpack.encode(record),
                error=clip(error, _LONGEST_REASON),
            )
            replaced = tx.execute(dead_letter.delete().where(dead_letter.c.id == UUID(bytes=record.id)))
            tx.execute(statement)
            if not replaced.rowcount:
                _settle(tx, [record])

    def _insert_postgres(self, tx: Connection, batch: list[RequestRecord]) -> list[RequestRecord]:
        raw = tx.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        columns = [array_literal(column) for column in zip(*map(_row, batch), strict=True)]
        with raw.cursor() as cursor:
            cursor.execute(self._postgres_insert, columns)
            inserted = {found.bytes for (found,) in cursor.fetchall()}
        return [record for record in batch if record.id in inserted]


def _settle(tx: Connection, fresh: Sequence[RequestRecord]) -> None:
    """Charge new records to the budgets that they name; the last step of the transaction."""
    spending = Spending()
    for record in fresh:
        if record.charges:
            spending.add(record.charges, cost_nanos=record.cost_nanos, started_at=record.started_at)
    if spending.by_lease or spending.direct:
        settle_flush(tx, spending)


def _insert_sqlite(tx: Connection, batch: list[RequestRecord]) -> list[RequestRecord]:
    raw = tx.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    marks = ",".join("?" * len(batch))
    found = raw.execute(
        f"SELECT id FROM request_record WHERE id IN ({marks})",  # noqa: S608  (marks are question marks)
        [record.id for record in batch],
    )
    stored = {identifier for (identifier,) in found}
    fresh = [record for record in batch if record.id not in stored] if stored else batch
    rows = [_row(record) for record in fresh]
    for size in _STATEMENT_ROWS:
        while len(rows) >= size:
            values = list(chain.from_iterable(rows[:size]))
            del rows[:size]
            raw.execute(_sqlite_insert(size), values)
    return fresh


def _row(record: RequestRecord) -> list[Any]:
    row = list(_of_columns(record))
    for position in _JSON_AT:
        if row[position] is not None:
            row[position] = _encode(row[position]).decode()
    return row


def _postgres_insert() -> bytes:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    arrays = []
    for name in FIELDS:
        column_type = request_record.c[name].type
        kind = "uuid" if isinstance(column_type, RecordId) else column_type.compile(dialect)
        arrays.append(f"%s::{kind.split('(')[0].lower()}[]")
    return (
        f"INSERT INTO request_record ({_COLUMNS}) SELECT * FROM unnest({', '.join(arrays)}) "  # noqa: S608  (our own names)
        "ON CONFLICT (id) DO NOTHING RETURNING id"
    ).encode()


@cache
def _sqlite_insert(rows: int) -> str:
    row = f"({','.join('?' * len(FIELDS))})"
    return f"INSERT INTO request_record ({_COLUMNS}) VALUES {','.join([row] * rows)}"  # noqa: S608  (our own names)
