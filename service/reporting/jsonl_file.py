"""JSON lines: an object for each row, every column in it, null where there is nothing."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from service.reporting.cells import values_of
from service.reporting.columns import Chunk, Column, Values


def jsonl_pieces(columns: Sequence[Column], chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """The file, a piece for each chunk."""
    line = msgspec.defstruct("Line", [str(column.name) for column in columns], gc=False)
    encoder = msgspec.json.Encoder()
    for chunk in chunks:
        if chunk:
            values = (_members(chunk, column) for column in columns)
            yield encoder.encode_lines(list(map(line, *values)))


def _members(chunk: Chunk, column: Column) -> Values:
    values = values_of(chunk, column)
    if column.kind == "json":
        return [None if text is None else msgspec.Raw(text.encode()) for text in values]
    return values
