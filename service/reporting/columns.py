"""Columns of a file, and the values that they are made of. Pure.

A chunk is some rows, turned: for each position of a row the values of all rows. A column says which position is its
own and of which kind its values are.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

Kind = Literal["text", "integer", "number", "decimal", "boolean", "json", "id", "instant", "nanos", "usd"]
Values = Sequence[Any]
Chunk = Sequence[Values]
CELL, RUN = "\x1f", "\x1e"


class Column(msgspec.Struct, frozen=True):
    """A column of a file: its name, its kind, and the position of its values.

    Values by kind: `text`, `integer`, `number` (a float); `decimal` is the exact text of a number; `boolean` is a
    bool, 0 or 1; `json` is the text of a list or an object; `id` is a UUID or its 16 bytes; `instant` is UTC
    microseconds since 1970; `nanos` is nano-USD in whatever type the store adds up in; `usd` is nano-USD that the
    file shows as a decimal. Every value but an id may be None.
    """

    name: str
    kind: Kind
    at: int


class Run(msgspec.Struct, frozen=True):
    """Neighbouring columns of texts and integers, whose values come packed: one text for each row.

    The text of a row has all runs of a file, this one at *place*. A `CELL` stands before every value but the first,
    a `RUN` before the `CELL` of every run but the first; nothing stands for None.
    """

    columns: tuple[Column, ...]
    at: int
    place: int


def numbered(kinds: Iterable[tuple[str, Kind]]) -> tuple[Column, ...]:
    """Columns of rows whose values lie in the order of the file."""
    return tuple(Column(name, kind, at) for at, (name, kind) in enumerate(kinds))


def turned(rows: Iterable[Sequence[Any]]) -> Chunk:
    """The chunk that *rows* make; an empty one where there are none."""
    return tuple(zip(*rows, strict=True))


def by_name(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Chunk:
    """The chunk that rows by name make for columns of `numbered`; what is missing is None, a list becomes text."""
    if not rows:
        return ()
    return [
        [_json_text(row.get(column.name)) for row in rows]
        if column.kind == "json"
        else [row.get(column.name) for row in rows]
        for column in columns
    ]


def _json_text(value: object) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
