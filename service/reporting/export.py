"""Exports: request records and usage reports as files, streamed.

Records are read by pages of the primary key, each in a short transaction of its own: an export of millions of rows
holds neither memory nor the store, however slowly it is taken. It goes backwards in time from the newest record at
its start.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Connection, Double, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import BigInteger, Integer

from service.reporting.columns import Chunk, Column, Kind, by_name, numbered, turned
from service.reporting.csv_file import csv_pieces
from service.reporting.figures import Measures
from service.reporting.files import FileFormat, encode
from service.reporting.rows import RequestFilter, requests
from service.reporting.stored_runs import with_runs
from service.reporting.usage import UsageReport
from service.store.engine import Store
from service.store.tables import request_record
from service.store.types import JsonText, RecordId, UtcMicros, to_micros

PAGE_ROWS = 2_000
Progress = Callable[[int], None]

_STORED = tuple(column.name for column in request_record.c)


def _kind(name: str) -> Kind:
    of_type = request_record.c[name].type
    kinds: tuple[tuple[Any, Kind], ...] = (
        (RecordId, "id"),
        (UtcMicros, "instant"),
        (JsonText, "json"),
        (Boolean, "boolean"),
        (Double, "number"),
        ((BigInteger, Integer), "integer"),
    )
    return next((kind for types, kind in kinds if isinstance(of_type, types)), "text")


def _request_columns() -> tuple[Column, ...]:
    """The columns of a record, its cost with what the ledger added to it, and the cost it was rated at."""
    at = {
        column.name: number
        for number, column in enumerate(_pages_statement(RequestFilter()).selected_columns)
    }
    return (
        *(Column(name, "nanos" if name == "cost_nanos" else _kind(name), at[name]) for name in _STORED),
        Column("cost_usd", "usd", at["cost_nanos"]),
        Column("rated_cost_nanos", "integer", at["rated_cost_nanos"]),
        Column("rated_cost_status", "text", at["rated_cost_status"]),
    )


def _pages_statement(wanted: RequestFilter) -> Select[Any]:
    return requests(wanted, columns=_STORED)


REQUEST_COLUMNS = _request_columns()
_ID = next(column.at for column in REQUEST_COLUMNS if column.name == "id")


def export_requests(
    store: Store, wanted: RequestFilter, *, file_format: FileFormat, progress: Progress | None = None
) -> Iterator[bytes]:
    """A file of the records of *wanted*, newest first; *progress* is told how many rows have been read."""
    statement = _pages_statement(wanted)
    if file_format == "csv":
        statement, fields = with_runs(statement, REQUEST_COLUMNS)
        return csv_pieces(fields, _pages(store, statement, progress=progress))
    return encode(REQUEST_COLUMNS, _pages(store, statement, progress=progress), file_format=file_format)


def _pages(store: Store, statement: Select[Any], *, progress: Progress | None) -> Iterator[Chunk]:
    rows = 0
    page = statement
    while True:
        with store.read() as tx:
            found = _raw(tx, page.limit(PAGE_ROWS))
        if found:
            yield turned(found)
        rows += len(found)
        if progress is not None:
            progress(rows)
        if len(found) < PAGE_ROWS:
            return
        last = found[-1][_ID]
        page = statement.where(request_record.c.id < (UUID(bytes=last) if isinstance(last, bytes) else last))


def _raw(tx: Connection, statement: Select[Any]) -> Sequence[Any]:
    """The rows as the driver gives them: SQLAlchemy's own take as long as the whole of a CSV line."""
    cursor = tx.execute(statement).cursor
    assert cursor is not None  # a SELECT has one
    driver = tx.dialect.loaded_dbapi
    try:
        return cursor.fetchall()
    except driver.Error as error:  # what SQLAlchemy does for rows that it fetches itself
        raise DBAPIError.instance(str(statement), None, error, driver.Error, dialect=tx.dialect) from error


def export_usage(report: UsageReport, *, file_format: FileFormat) -> Iterator[bytes]:
    """A file of a usage report: one row for each of its rows, dimensions before measures."""
    dimensions = [
        name
        for chosen in report.group_by
        for name in (("key_id", "key_name") if chosen == "key" else (chosen,))
    ]
    kinds: dict[str, Kind] = {
        "start": "instant",
        "end": "instant",
        **dict.fromkeys(dimensions, "text"),
        **{name: _measure_kind(name) for name in flat(report.total)},
    }
    rows = [
        {
            "start": to_micros(row.start),
            "end": to_micros(row.end),
            **row.dimensions,
            **flat(row.measures),
        }
        for row in report.rows
    ]
    columns = numbered(kinds.items())
    return encode(columns, [by_name(rows, columns)], file_format=file_format)


def _measure_kind(name: str) -> Kind:
    if name.endswith("_usd"):
        return "decimal"
    rates = ("error_rate", "coverage")
    return "number" if name in rates or name.endswith("_ms") else "integer"


def flat(measures: Measures) -> dict[str, Any]:
    """Measures by name, with one name for each count by status, source and class."""
    values: dict[str, Any] = {}
    for name in Measures.__struct_fields__:
        value = getattr(measures, name)
        if isinstance(value, dict):
            values |= {f"{name}_{part}": count for part, count in value.items()}
        else:
            values[name] = value
    return values
