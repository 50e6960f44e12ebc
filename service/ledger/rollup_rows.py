"""Sums added to rows of a table, in the shape each driver likes best.

Rows go to the store in sorted order: two relays that write at once cannot deadlock. Both stores get one statement a
table: `executemany` on SQLite, array literals for `unnest` on PostgreSQL. A bin of 0 is NULL on PostgreSQL, where a 0
takes four bytes, and 0 on SQLite, where it takes none.
"""

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection

from service.ledger.postgres_arrays import array_literal
from service.store.measure_columns import ROLLUP_BINS, ROLLUP_BYTES, ROLLUP_SUMS

_BINS, _SUMS = frozenset(ROLLUP_BINS), frozenset(ROLLUP_SUMS)
_STATEMENTS = 512
_WIDE = frozenset({*ROLLUP_SUMS, *ROLLUP_BYTES, "bucket"})


class Rows(msgspec.Struct, frozen=True):
    """A table of sums: its name, the columns of its primary key, those of them that are texts, and what is summed."""

    table: str
    keys: tuple[str, ...]
    texts: frozenset[str]
    measures: tuple[str, ...]
    optional: frozenset[str]
    """Measures that may be left out of a statement: NULL or 0 where nobody says anything else."""

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are written."""
        return (*self.keys, *self.measures)


def add_rows(tx: Connection, rows: Rows, sums: Mapping[Any, Sequence[int | None]]) -> None:
    """Add *sums*, by key, to what is there."""
    values = [(*key, *sums[key]) for key in sorted(sums)]
    if not values:
        return
    if tx.dialect.name == "sqlite":
        tx.exec_driver_sql(_sqlite_statement(rows), values)
        return
    names: list[str] = []
    arrays: list[Any] = []
    for name, column in zip(rows.columns, zip(*values, strict=True), strict=True):
        if name in rows.optional and _says_nothing(column, is_sum=name in _SUMS):
            continue
        names.append(name)
        if name in _BINS:
            arrays.append(f"{{{','.join([str(value) if value else 'NULL' for value in column])}}}")
        else:
            arrays.append(array_literal(column))
    tx.exec_driver_sql(_postgresql_statement(rows, tuple(names)), tuple(arrays))


def _says_nothing(column: tuple[Any, ...], *, is_sum: bool) -> bool:
    """Nothing to add: a sum of 0 is something, a count of 0 is not."""
    return column.count(None) == len(column) if is_sum else not any(column)


@cache
def _sqlite_statement(rows: Rows) -> str:
    marks = ",".join("?" * len(rows.columns))
    conflict = _on_conflict(rows, _SUMS, names=rows.columns)
    return f"INSERT INTO {rows.table} ({','.join(rows.columns)}) VALUES ({marks}) {conflict}"  # noqa: S608  (our own names)


@lru_cache(_STATEMENTS)
def _postgresql_statement(rows: Rows, names: tuple[str, ...]) -> str:
    arrays = ",".join(f"%s::{_postgresql_type(name, texts=rows.texts)}[]" for name in names)
    conflict = _on_conflict(rows, _SUMS | _BINS, names=names)
    return f"INSERT INTO {rows.table} ({','.join(names)}) SELECT * FROM unnest({arrays}) {conflict}"  # noqa: S608  (our own names)


def _on_conflict(rows: Rows, nullable: frozenset[str], *, names: tuple[str, ...]) -> str:
    """Add what is new to what is there; NULL only where both are."""
    sums = {name: f"{rows.table}.{name} + excluded.{name}" for name in names if name not in rows.keys}
    for name in nullable & sums.keys():
        sums[name] = f"COALESCE({sums[name]}, {rows.table}.{name}, excluded.{name})"
    assignments = ", ".join(f"{name} = {expression}" for name, expression in sums.items())
    return f"ON CONFLICT ({', '.join(rows.keys)}) DO UPDATE SET {assignments}"


def _postgresql_type(name: str, *, texts: frozenset[str]) -> str:
    if name in texts:
        return "text"
    return "bigint" if name in _WIDE else "int"
