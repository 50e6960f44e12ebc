"""The formats of a file: CSV, JSON lines and Parquet, chunk by chunk, so that memory holds one chunk only."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from service.errors import InvalidInputError
from service.reporting.columns import Chunk, Column
from service.reporting.csv_file import csv_pieces
from service.reporting.jsonl_file import jsonl_pieces
from service.reporting.parquet_file import parquet_pieces

FileFormat = Literal["csv", "jsonl", "parquet"]
_ENCODERS: Mapping[str, Callable[[Sequence[Column], Iterable[Chunk]], Iterator[bytes]]] = {
    "csv": csv_pieces,
    "jsonl": jsonl_pieces,
    "parquet": parquet_pieces,
}


def encode(columns: Sequence[Column], chunks: Iterable[Chunk], *, file_format: FileFormat) -> Iterator[bytes]:
    """The bytes of the file, piece by piece; a value that is None is empty, null or NULL."""
    if file_format not in _ENCODERS:
        raise InvalidInputError(
            f"format is {file_format!r}; use one of {', '.join(_ENCODERS)}", field="format"
        )
    return _ENCODERS[file_format](columns, chunks)
