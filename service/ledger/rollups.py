"""Rollups in the store: added to with every batch of records, rebuilt from the records on demand.

`upsert` runs in the transaction that inserts the records, for newly inserted ids only, so records and rollups
never disagree. Rows go to the store in sorted order: two relays that write at once cannot deadlock. Both stores
get one statement a table in the shape their driver likes best: `executemany` on SQLite, arrays for `unnest` on
PostgreSQL (written as literals, because the driver's own array adaptation takes three times as long).
A bin of 0 is NULL on PostgreSQL, where a 0 takes four bytes, and 0 on SQLite, where it takes none.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, select, text, type_coerce
from sqlalchemy.types import BigInteger

from service.ledger.folding import (
    CHANGE_FIELDS,
    DAY_MICROS,
    FOLD_FIELDS,
    HOUR_MICROS,
    Folded,
    coarser,
    fold,
    fold_changes,
    fold_rows,
    merge,
)
from service.reporting.snapshots import extent
from service.store.engine import Store
from service.store.spans import started_within
from service.store.tables import (
    ROLLUP_BINS,
    ROLLUP_BYTES,
    ROLLUP_DIMENSIONS,
    ROLLUP_MEASURES,
    ROLLUP_SUMS,
    ledger_entry,
    request_record,
    usage_rollup,
    usage_rollup_day,
    usage_rollup_hour,
)

__all__ = ["fold", "rebuild", "upsert"]

KEY_COLUMNS = ("bucket", *ROLLUP_DIMENSIONS)
COLUMNS = (*KEY_COLUMNS, *ROLLUP_MEASURES)
DAY = timedelta(days=1)
_FETCH_ROWS = 2_000


def upsert(tx: Connection, folded: Folded) -> None:
    """Add *folded* to the rollups."""
    if folded:
        _add(tx, usage_rollup, folded)
        hours = coarser(folded, length_micros=HOUR_MICROS)
        _add(tx, usage_rollup_hour, hours)
        _add(tx, usage_rollup_day, coarser(hours, length_micros=DAY_MICROS))


def _add(tx: Connection, table: Table, folded: Folded) -> None:
    rows = [(*key, *folded[key]) for key in sorted(folded)]
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql(_sqlite_statement(table.name), rows)
        return
    columns = list(zip(*rows, strict=True))
    arrays: list[Any] = []
    for name, values in zip(COLUMNS, columns, strict=True):
        if name in ROLLUP_DIMENSIONS:
            arrays.append(list(values))
        elif name in ROLLUP_BINS:
            arrays.append(f"{{{','.join([str(value) if value else 'NULL' for value in values])}}}")
        else:
            arrays.append(f"{{{','.join(['NULL' if value is None else str(value) for value in values])}}}")
    tx.exec_driver_sql(_postgresql_statement(table.name), tuple(arrays))


@cache
def _sqlite_statement(table: str) -> str:
    marks = ",".join("?" * len(COLUMNS))
    return f"INSERT INTO {table} ({','.join(COLUMNS)}) VALUES ({marks}) {_on_conflict(table, ROLLUP_SUMS)}"  # noqa: S608  (our own names)


@cache
def _postgresql_statement(table: str) -> str:
    arrays = ",".join(f"%s::{_postgresql_type(name)}[]" for name in COLUMNS)
    conflict = _on_conflict(table, (*ROLLUP_SUMS, *ROLLUP_BINS))
    return f"INSERT INTO {table} ({','.join(COLUMNS)}) SELECT * FROM unnest({arrays}) {conflict}"  # noqa: S608  (our own names)


def _on_conflict(table: str, nullable: Iterable[str]) -> str:
    """Add what is new to what is there; NULL only where both are."""
    sums = {name: f"{table}.{name} + excluded.{name}" for name in ROLLUP_MEASURES}
    for name in nullable:
        sums[name] = f"COALESCE({sums[name]}, {table}.{name}, excluded.{name})"
    assignments = ", ".join(f"{name} = {expression}" for name, expression in sums.items())
    return f"ON CONFLICT ({', '.join(KEY_COLUMNS)}) DO UPDATE SET {assignments}"


def _postgresql_type(name: str) -> str:
    if name in ROLLUP_DIMENSIONS:
        return "text"
    return "bigint" if name in (*ROLLUP_SUMS, *ROLLUP_BYTES, "bucket") else "int"


def rebuild(
    store: Store,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Compute the rollups of the UTC days of `[since, until)` again, from records and ledger entries.

    One transaction a day, and writers wait only for that long; they may go on meanwhile. *progress* is told
    days done and days in all, which is what is returned. Without bounds, everything from the oldest to the newest
    record or rollup.
    """
    with store.read() as tx:
        found = extent(tx)
    if found is None:
        return 0
    first = (since or found.since).replace(hour=0, minute=0, second=0, microsecond=0)
    total = max(0, -((first - (until or found.until)) // DAY))
    for number in range(total):
        with store.write() as tx:
            _rebuild_day(tx, first + number * DAY)
        if progress is not None:
            progress(number + 1, total)
    return total


def _rebuild_day(tx: Connection, day: datetime) -> None:
    if tx.dialect.name == "postgresql":
        # Records and their rollups commit together, so nothing new can appear while this lock is held.
        tx.execute(text("LOCK TABLE usage_rollup IN EXCLUSIVE MODE"))
    until = day + DAY
    for table in (usage_rollup, usage_rollup_hour, usage_rollup_day):
        tx.execute(table.delete().where(table.c.bucket >= day, table.c.bucket < until))
    folded = fold_rows(_read(tx, FOLD_FIELDS, since=day, until=until))
    merge(folded, fold_changes(_read(tx, CHANGE_FIELDS, since=day, until=until)))
    upsert(tx, folded)


def _read(tx: Connection, fields: tuple[str, ...], *, since: datetime, until: datetime) -> Iterable[Any]:
    """Records of the span, or their ledger entries where *fields* names any of an entry."""
    source: Any = request_record
    columns = []
    for name in fields:
        column = request_record.c[name] if name in request_record.c else ledger_entry.c[name]
        columns.append(type_coerce(column, BigInteger) if name == "started_at" else column)
    if fields is CHANGE_FIELDS:
        source = request_record.join(ledger_entry, ledger_entry.c.record_id == request_record.c.id)
    statement = select(*columns).select_from(source).where(started_within(since, until))
    return tx.execute(statement.execution_options(yield_per=_FETCH_ROWS))
