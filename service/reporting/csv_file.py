"""CSV (RFC 4180), a chunk of rows at a time.

A text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV injection"): names and
ids come from clients. Cells are quoted as Python's csv module quotes them, only where it is needed.

Neighbouring texts and integers are written many at once: out of packed texts (`csv_runs`), or from JSON arrays, which
differ from CSV by quotes and nulls alone. Where a text needs quoting or defusing, those columns of that chunk go cell
by cell, which is slower and gives the same bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby

import msgspec

from service.reporting.cells import values_of
from service.reporting.columns import Chunk, Column, Run, numbered, turned
from service.reporting.csv_runs import FORMULA_STARTS, Packed

__all__ = ["FORMULA_STARTS", "CsvLines", "csv_pieces"]

_STARTS = frozenset(FORMULA_STARTS)
_PRINTABLE_STARTS = tuple(start for start in FORMULA_STARTS if start.isprintable())
_LINE_END = "\r\n"
_QUOTE, _TWO_QUOTES = '"', '""'
_SAMPLE, _REPEATED = 64, 4  # four rows for each distinct text: making each distinct cell once is cheaper
_BOOLEANS = {None: "", False: "false", True: "true"}
_PLAIN = frozenset({"text", "integer", "decimal"})
_JSON, _READ_JSON = msgspec.json.Encoder(), msgspec.json.Decoder()

Part = Callable[[Chunk], Iterable[str]]
"""The cells of neighbouring columns, joined with commas: one text for each row."""


def csv_pieces(columns: Sequence[Column], chunks: Iterable[Chunk]) -> Iterator[bytes]:
    """The file: a header, then a piece for each chunk."""
    lines = CsvLines(columns)
    yield lines.header
    for chunk in filter(None, chunks):
        yield lines.of(chunk)


class CsvLines:
    """The lines of a file of *fields*."""

    def __init__(self, fields: Sequence[Column | Run]) -> None:
        self._runs = [field for field in fields if isinstance(field, Run)]
        self._parts = [
            part
            for together, members in groupby(fields, key=_together)
            for part in _parts(together, list(members))
        ]
        names = [
            column.name
            for field in fields
            for column in (field.columns if isinstance(field, Run) else (field,))
        ]
        self.header = f"{','.join(map(_cell, names))}{_LINE_END}".encode()

    def of(self, chunk: Chunk) -> bytes:
        """The lines of a chunk that is not empty and has no runs."""
        return self._joined([part(chunk) for part in self._parts if part is not None])

    def of_packed(self, chunk: Chunk) -> bytes | None:
        """The lines of a chunk with runs; None where it cannot be read."""
        packed = Packed(chunk[self._runs[0].at], self._runs)
        if not packed.readable:
            return None
        if packed.plain:
            runs: list[Iterable[str]] = list(packed.lines())
        else:
            runs = [
                _one_by_one(_apart(run.columns), values)
                for run, values in zip(self._runs, packed.chunks(), strict=True)
            ]
        unpacked = iter(runs)
        return self._joined([next(unpacked) if part is None else part(chunk) for part in self._parts])

    @staticmethod
    def _joined(columns: Sequence[Iterable[str]]) -> bytes:
        lines = map(",".join, zip(*columns, strict=True))
        return f"{_LINE_END.join(lines)}{_LINE_END}".encode()


def _together(field: Column | Run) -> str:
    """Neighbours that say the same can be written together."""
    if isinstance(field, Run):
        return "run"
    return "plain" if field.kind in _PLAIN else field.kind


def _parts(together: str, fields: Sequence[Column | Run]) -> list[Part | None]:
    """None stands for a run."""
    columns = [field for field in fields if isinstance(field, Column)]
    if len(columns) > 1 and together in _WRITTEN_TOGETHER:
        return [partial(_WRITTEN_TOGETHER[together], columns)]
    return [partial(_column, field) if isinstance(field, Column) else None for field in fields]


def _plain(columns: Sequence[Column], chunk: Chunk) -> Iterable[str]:
    return _cells(_arrays(columns, chunk), columns, rows=len(chunk[0]))


def _arrays(columns: Sequence[Column], chunk: Chunk) -> str:
    """The columns as JSON arrays, a line for each row."""
    rows = zip(*(chunk[column.at] for column in columns), strict=True)
    return _JSON.encode_lines(list(rows))[:-1].decode()


def _cells(arrays: str, columns: Sequence[Column], *, rows: int) -> Iterable[str]:
    """From JSON arrays, one a line: `["a",null]` becomes `a,`."""
    if (
        "\\" in arrays
        or arrays.count(",") != rows * (len(columns) - 1)
        or any(start in arrays and f'"{start}' in arrays for start in _PRINTABLE_STARTS)
    ):
        return _one_by_one(_apart(columns), turned(_READ_JSON.decode_lines(arrays)))
    # no text has a comma or a line end, so that what looks like a null is one, as long as quotes are there
    if "[null" in arrays:
        arrays = f"\n{arrays}".replace("\n[null", "\n[")[1:]
    return arrays.replace(",null", ",").encode().translate(None, b'"').decode()[1:-1].split("]\n[")


def _apart(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The same columns of a chunk that has nothing else."""
    return numbered((column.name, column.kind) for column in columns)


def _one_by_one(columns: Sequence[Column], chunk: Chunk) -> Iterable[str]:
    return map(",".join, zip(*(_column(column, chunk) for column in columns), strict=True))


def _numbers(columns: Sequence[Column], chunk: Chunk) -> Iterable[str]:
    """Floats, which JSON writes as Python does unless one of the two takes an exponent."""
    arrays = _arrays(columns, chunk)
    if "e" in arrays or "0.0000" in arrays:
        return _one_by_one(columns, chunk)
    return arrays.replace("null", "")[1:-1].split("]\n[")


def _column(column: Column, chunk: Chunk) -> Iterable[str]:
    """The cells of one column."""
    values = values_of(chunk, column)
    match column.kind:
        case "text":
            return _text_cells(values, cell=_cell)
        case "json":
            return _text_cells(values, cell=_quoted)
        case "id":
            return values
        case "boolean":
            return map(_BOOLEANS.__getitem__, values)
        case _:
            return ["" if value is None else str(value) for value in values]


def _text_cells(values: Sequence[str | None], *, cell: Callable[[str], str]) -> Iterable[str]:
    if len(set(values[:_SAMPLE])) * _REPEATED <= len(values[:_SAMPLE]):
        cells = {value: "" if value is None else cell(value) for value in set(values)}
        return map(cells.__getitem__, values)
    # what JSON there is begins with a bracket and is full of quotes: spelled out here, it takes two thirds of the time
    return [
        f'"{value.replace(_QUOTE, _TWO_QUOTES)}"'
        if value and value[0] in "{[" and _QUOTE in value
        else ""
        if value is None
        else cell(value)
        for value in values
    ]


def _cell(text: str) -> str:
    return _quoted(f"'{text}" if text[:1] in _STARTS else text)


def _quoted(text: str) -> str:
    if '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return f'"{text}"' if "," in text or "\n" in text or "\r" in text else text


_WRITTEN_TOGETHER: dict[str, Callable[[Sequence[Column], Chunk], Iterable[str]]] = {
    "plain": _plain,
    "number": _numbers,
}
