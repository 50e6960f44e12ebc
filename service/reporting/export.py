"""Exports: request records and usage reports as files, streamed.

Records are read by pages of the primary key, each in a short transaction of its own: an export of millions of rows
holds neither memory nor the store, however slowly it is taken. It goes backwards in time from the newest record at
its start.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Boolean, Connection, Double, Select, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import BigInteger, Integer

from service.reporting.columns import Chunk, Column, Kind, by_name, numbered, turned
from service.reporting.csv_file import CsvLines
from service.reporting.figures import Measures
from service.reporting.files import FileFormat, encode
from service.reporting.rows import RequestFilter, bounded, first_before, is_narrow, requests
from service.reporting.stored_runs import with_runs
from service.reporting.usage import UsageReport
from service.reporting.windows import next_window
from service.store.engine import Store
from service.store.tables import ledger_entry, request_record
from service.store.types import JsonText, RecordId, UtcMicros, to_micros

PAGE_ROWS = 1_000
WINDOW = 50_000
"""Records looked through at once where a filter lets few through."""
Progress = Callable[[int], None]
T = TypeVar("T")

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
        for number, column in enumerate(requests(RequestFilter(), columns=_STORED).selected_columns)
    }
    return (
        *(Column(name, "nanos" if name == "cost_nanos" else _kind(name), at[name]) for name in _STORED),
        Column("cost_usd", "usd", at["cost_nanos"]),
        Column("rated_cost_nanos", "integer", at["rated_cost_nanos"]),
        Column("rated_cost_status", "text", at["rated_cost_status"]),
    )


REQUEST_COLUMNS = _request_columns()
_ID = next(column.at for column in REQUEST_COLUMNS if column.name == "id")


def export_requests(
    store: Store, wanted: RequestFilter, *, file_format: FileFormat, progress: Progress | None = None
) -> Iterator[bytes]:
    """A file of the records of *wanted*, newest first; *progress* is told how many rows have been read."""
    without, whole = (requests(wanted, columns=_STORED, ledger=ledger) for ledger in (False, True))
    if file_format != "csv":
        shapes = [_Shape(statement, _ID, _as_it_is) for statement in (without, whole)]
        pages = _pages(store, *shapes, wanted=wanted, progress=progress)
        return encode(REQUEST_COLUMNS, pages, file_format=file_format)
    packed, fields = with_runs(without, REQUEST_COLUMNS)
    id_at = next(field.at for field in fields if isinstance(field, Column) and field.name == "id")
    lines = CsvLines(REQUEST_COLUMNS)
    quick = _Shape(packed, id_at, CsvLines(fields).of_packed)
    pieces = _pages(store, quick, _Shape(whole, _ID, lines.of), wanted=wanted, progress=progress)
    return chain([lines.header], pieces)


class _Shape(msgspec.Struct, Generic[T], frozen=True):
    """A way of reading a page: the rows, where their ids are, and what is made of them."""

    statement: Select[Any]
    id_at: int
    make: Callable[[Chunk], T | None]

    def last_id(self, rows: Sequence[Any]) -> UUID:
        return _uuid(rows[-1][self.id_at])


def _as_it_is(chunk: Chunk) -> Chunk:
    return chunk


def _pages(
    store: Store, quick: _Shape[T], whole: _Shape[T], *, wanted: RequestFilter, progress: Progress | None
) -> Iterator[T]:
    """Pages as *quick*, which leaves the ledger out, reads and makes them; as *whole* where that cannot be."""
    rows = 0
    before: UUID | None = None
    going_on = True
    while going_on:
        made: T | None = None
        with store.read() as tx:
            found, rest = _page(tx, quick, wanted, before=before)
            changed = bool(found) and _has_entries(tx, first=quick.last_id(found), before=before)
        if found and not changed:
            made = quick.make(turned(found))
        if found and made is None:
            with store.read() as tx:
                found, rest = _page(tx, whole, wanted, before=before)
            made = whole.make(turned(found))
        if made is not None:
            yield made
        rows += len(found)
        if progress is not None:
            progress(rows)
        before, going_on = rest, rest is not None


def _page(
    tx: Connection, shape: _Shape[Any], wanted: RequestFilter, *, before: UUID | None
) -> tuple[Sequence[Any], UUID | None]:
    """The newest rows before an id, and the id to go on before; None where there can be no more."""
    low: UUID | None = None
    if is_narrow(wanted):
        start = first_before(wanted, before)
        window = next_window(tx, filters=wanted.filters, before=start, since=wanted.since, size=WINDOW)
        if window is None:
            return (), None
        low, before = window.low, window.before
    statement = bounded(shape.statement, wanted, low=low, before=before)
    found = _raw(tx, statement.limit(PAGE_ROWS))
    return found, shape.last_id(found) if len(found) == PAGE_ROWS else low


def _has_entries(tx: Connection, *, first: UUID, before: UUID | None) -> bool:
    """The ledger has entries of records from *first* on. Most pages have none; asking record by record takes long."""
    entry = ledger_entry.c
    statement = select(entry.id).where(entry.record_id >= first).limit(1)
    if before is not None:
        statement = statement.where(entry.record_id < before)
    return tx.execute(statement).first() is not None


def _uuid(found: UUID | bytes) -> UUID:
    """An id as the drivers give it."""
    return UUID(bytes=found) if isinstance(found, bytes) else found


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
