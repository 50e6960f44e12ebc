"""Parquet: typed columns, row groups of at least `ROW_GROUP` rows, compressed with zstd."""

import io
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any

from service.errors import ConfigurationError
from service.reporting.arrow_arrays import arrow_array, arrow_type
from service.reporting.cells import values_of
from service.reporting.columns import Chunk, Column, Values

ROW_GROUP = 20_000
"""Smaller ones take less memory at first, and more for their descriptions in a file of ten million rows."""


def parquet_pieces(columns: Sequence[Column], chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """The file, a piece for each row group."""
    arrow, parquet = _arrow()
    schema = arrow.schema([(column.name, arrow_type(arrow, column.kind)) for column in columns])
    pipe = _Pipe()
    waiting: list[Any] = []
    rows_waiting = 0
    with parquet.ParquetWriter(pipe, schema, compression="zstd") as writer:
        for chunk in filter(None, chunks):
            arrays = [arrow_array(arrow, _stored(chunk, column), kind=column.kind) for column in columns]
            waiting.append(arrow.RecordBatch.from_arrays(arrays, schema=schema))
            rows_waiting += waiting[-1].num_rows
            if rows_waiting >= ROW_GROUP:
                writer.write_table(arrow.Table.from_batches(waiting))
                waiting, rows_waiting = [], 0
                yield pipe.take()
        if rows_waiting:
            writer.write_table(arrow.Table.from_batches(waiting))
    yield pipe.take()


def _stored(chunk: Chunk, column: Column) -> Values:
    """The values of *column*; instants stay microseconds, which is what Parquet stores."""
    if column.kind == "instant":
        return chunk[column.at]
    return values_of(chunk, column)


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
        arrow, parquet, _ = map(import_module, ("pyarrow", "pyarrow.parquet", "pyarrow.compute"))
    except ImportError as error:
        raise ConfigurationError("Parquet files need the package pyarrow; install it, or use csv") from error
    return arrow, parquet
