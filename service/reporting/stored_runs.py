"""Records for a CSV file: neighbouring columns of texts and integers handed over by the store as one JSON array.

A driver spends more time on making a Python object for each of fifty values of a row than on finding the row, and
a CSV file needs no object for each.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Select, case
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from service.reporting.columns import Column, Run

_JOINABLE = frozenset({"text", "integer", "boolean"})
_APART = frozenset({"usage_raw"})
"""JSON that an upstream sent: always full of quotes, so that its neighbours would be written cell by cell."""


class _JsonArray(GenericFunction[Any]):
    """The values as the text of a JSON array."""

    name = "values_as_json"
    inherit_cache = True


@compiles(_JsonArray)
def _on_sqlite(element: _JsonArray, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_array({compiler.process(element.clauses, **options)})"


@compiles(_JsonArray, "postgresql")
def _on_postgresql(element: _JsonArray, compiler: SQLCompiler, **options: Any) -> str:
    return f"CAST(json_build_array({compiler.process(element.clauses, **options)}) AS TEXT)"


def with_runs(
    statement: Select[Any], columns: Sequence[Column]
) -> tuple[Select[Any], tuple[Column | Run, ...]]:
    """*statement*, which selects *columns*, with its runs joined; and the fields of the file it makes."""
    selected = list(statement.selected_columns)
    found: list[ColumnElement[Any]] = []
    places: dict[int, int] = {}
    fields: list[Column | Run] = []
    for joinable, members in groupby(columns, key=_is_joinable):
        neighbours = tuple(members)
        if joinable and len(neighbours) > 1:
            fields.append(Run(tuple(map(_as_text, neighbours)), len(found)))
            found.append(_JsonArray(*(_value(selected[column.at], column) for column in neighbours)))
            continue
        for column in neighbours:
            if column.at not in places:  # an amount is there twice, in nano-USD and in USD
                places[column.at] = len(found)
                found.append(selected[column.at])
            fields.append(Column(column.name, column.kind, places[column.at]))
    return statement.with_only_columns(*found), tuple(fields)


def _is_joinable(column: Column) -> bool:
    return column.kind in _JOINABLE and column.name not in _APART


def _value(element: ColumnElement[Any], column: Column) -> ColumnElement[Any]:
    """A boolean as text: one store has numbers for it."""
    return (
        case((element.is_(True), "true"), (element.is_(False), "false"))
        if column.kind == "boolean"
        else element
    )


def _as_text(column: Column) -> Column:
    return Column(column.name, "text", column.at) if column.kind == "boolean" else column
