"""Exports: request records and usage reports as files, streamed.

Records are read by pages of the primary key, each in a short transaction of its own: an export of millions of rows
holds neither memory nor the store. It goes backwards in time from the newest record at its start.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import Boolean, Double
from sqlalchemy.types import BigInteger, Integer

from service.reporting.figures import Measures
from service.reporting.files import Column, FileFormat, Kind, encode
from service.reporting.rows import RequestFilter, requests, shown_row
from service.reporting.usage import UsageReport
from service.store.engine import Store
from service.store.tables import request_record
from service.store.types import JsonText, UtcMicros

PAGE_ROWS = 5_000
Progress = Callable[[int], None]

_EXPORTED = tuple(column.name for column in request_record.c)
_JSON = tuple(column.name for column in request_record.c if isinstance(column.type, JsonText))


def _kind(name: str) -> Kind:
    of_type = request_record.c[name].type
    if isinstance(of_type, UtcMicros):
        return "instant"
    if isinstance(of_type, JsonText):
        return "json"
    if isinstance(of_type, Boolean):
        return "boolean"
    if isinstance(of_type, Double):
        return "number"
    return "integer" if isinstance(of_type, BigInteger | Integer) else "text"


def _measure_kind(name: str) -> Kind:
    if name.endswith("_usd"):
        return "decimal"
    rates = ("error_rate", "coverage")
    return "number" if name in rates or name.endswith("_ms") else "integer"


REQUEST_COLUMNS = (
    *(Column(name, _kind(name)) for name in _EXPORTED),
    Column("cost_usd", "decimal"),
    Column("rated_cost_nanos", "integer"),
    Column("rated_cost_status", "text"),
)


def export_requests(
    store: Store, wanted: RequestFilter, *, file_format: FileFormat, progress: Progress | None = None
) -> Iterator[bytes]:
    """A file of the records of *wanted*, newest first; *progress* is told how many rows have been read."""
    return encode(REQUEST_COLUMNS, _pages(store, wanted, progress=progress), file_format=file_format)


def _pages(
    store: Store, wanted: RequestFilter, *, progress: Progress | None
) -> Iterator[Sequence[dict[str, Any]]]:
    statement = requests(wanted, columns=_EXPORTED, json_as_text=True)
    rows = 0
    page = statement
    while True:
        with store.read() as tx:
            result = tx.execute(page.limit(PAGE_ROWS))
            names = tuple(result.keys())
            found = [dict(zip(names, row, strict=True)) for row in result]
        if found:
            yield [_exported(row) for row in found]
        rows += len(found)
        if progress is not None:
            progress(rows)
        if len(found) < PAGE_ROWS:
            return
        page = statement.where(request_record.c.id < found[-1]["id"])


def _exported(row: dict[str, Any]) -> dict[str, Any]:
    shown = shown_row(row)
    for name in _JSON:
        if shown[name] is not None:
            shown[name] = msgspec.Raw(shown[name].encode())
    return shown


def export_usage(report: UsageReport, *, file_format: FileFormat) -> Iterator[bytes]:
    """A file of a usage report: one row for each of its rows, dimensions before measures."""
    dimensions = [
        name
        for chosen in report.group_by
        for name in (("key_id", "key_name") if chosen == "key" else (chosen,))
    ]
    columns = [
        Column("start", "instant"),
        Column("end", "instant"),
        *(Column(name, "text") for name in dimensions),
        *(Column(name, _measure_kind(name)) for name in flat(report.total)),
    ]
    rows = [
        {"start": row.start, "end": row.end, **row.dimensions, **flat(row.measures)} for row in report.rows
    ]
    return encode(columns, [rows], file_format=file_format)


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
