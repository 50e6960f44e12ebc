"""Rows into files: CSV, JSON lines and Parquet, batch by batch, so that memory holds one batch only.

In CSV a text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV injection"):
names and ids come from clients. JSON lines and Parquet carry every value as it is.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Literal

import msgspec

from service.errors import ConfigurationError, InvalidInputError

FileFormat = Literal["csv", "jsonl", "parquet"]
Kind = Literal["text", "integer", "number", "decimal", "boolean", "instant", "json"]
Batches = Iterable[Sequence[Mapping[str, Any]]]

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Column(msgspec.Struct, frozen=True):
    """A column of a file.

    A decimal is the exact text of a number; `json` is a list or an object, or its text as `msgspec.Raw`.
    """

    name: str
    kind: Kind


def encode(columns: Sequence[Column], batches: Batches, *, file_format: FileFormat) -> Iterator[bytes]:
    """The bytes of the file, piece by piece; a value that is missing or None is empty, null or NULL."""
    encoders: Mapping[str, Callable[[Sequence[Column], Batches], Iterator[bytes]]] = {
        "csv": _csv,
        "jsonl": _jsonl,
        "parquet": _parquet,
    }
    if file_format not in encoders:
        raise InvalidInputError(
            f"format is {file_format!r}; use one of {', '.join(encoders)}", field="format"
        )
    return encoders[file_format](columns, batches)


def _csv(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    names = [column.name for column in columns]
    writer.writerow(names)
    shown = [(at, _CELLS[column.kind]) for at, column in enumerate(columns) if column.kind in _CELLS]
    for batch in batches:
        for row in batch:
            cells = [row.get(name) for name in names]
            for at, cell in shown:
                if cells[at] is not None:
                    cells[at] = cell(cells[at])
            writer.writerow(cells)
        yield _drain(buffer)
    yield _drain(buffer)


def _defused(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _drain(buffer: io.StringIO) -> bytes:
    found = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return found.encode()


def _jsonl(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    instants = {column.name for column in columns if column.kind == "instant"}
    names = [column.name for column in columns]
    for batch in batches:
        lines = bytearray()
        for row in batch:
            shown: dict[str, Any] = {name: row.get(name) for name in names}
            for name in instants:
                if shown[name] is not None:
                    shown[name] = _instant(shown[name])
            lines += msgspec.json.encode(shown)
            lines += b"\n"
        yield bytes(lines)


def _parquet(columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    arrow, parquet = _arrow()
    schema = arrow.schema([(column.name, _arrow_type(arrow, column.kind)) for column in columns])
    pipe = _Pipe()
    with parquet.ParquetWriter(pipe, schema, compression="zstd") as writer:
        for batch in batches:
            arrays = [
                arrow.array(_values(batch, column), field.type)
                for column, field in zip(columns, schema, strict=True)
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            yield pipe.take()
    yield pipe.take()


class _Pipe(io.RawIOBase):
    """What a Parquet writer writes into: it keeps only what has not been taken yet."""

    def __init__(self) -> None:
        self._written = bytearray()
        self._position = 0

    def writable(self) -> bool:
        """Yes; pyarrow asks before it writes."""
        return True

    def write(self, piece: Any) -> int:
        """Take one piece."""
        size = len(piece)
        self._written += piece
        self._position += size
        return size

    def tell(self) -> int:
        """How much has been written in all."""
        return self._position

    def take(self) -> bytes:
        """What has been written since the last call."""
        found = bytes(self._written)
        self._written.clear()
        return found


def _arrow() -> tuple[Any, Any]:
    """pyarrow, which is imported only when a Parquet file is asked for: it takes a quarter of a second."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigurationError("Parquet files need the package pyarrow; install it, or use csv") from error


def _arrow_type(arrow: Any, kind: Kind) -> Any:
    match kind:
        case "integer":
            return arrow.int64()
        case "number":
            return arrow.float64()
        case "boolean":
            return arrow.bool_()
        case "instant":
            return arrow.timestamp("us", tz="UTC")
        case _:
            return arrow.string()


def _values(batch: Sequence[Mapping[str, Any]], column: Column) -> list[Any]:
    name = column.name
    values = [row.get(name) for row in batch]
    if column.kind == "json":
        return [None if value is None else _json_text(value) for value in values]
    return values


def _json_text(value: Any) -> str:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _instant(value: datetime) -> str:
    text = value.astimezone(UTC).isoformat()
    return text.removesuffix("+00:00") + "Z"


def _boolean(value: object) -> str:
    return "true" if value else "false"


_CELLS: Mapping[Kind, Callable[[Any], str]] = {
    "text": _defused,
    "json": _json_text,
    "instant": _instant,
    "boolean": _boolean,
}
"""How a value becomes a cell, where the CSV writer's own way will not do."""
