"""Records for a CSV file: columns of texts and integers handed over by the store as one text a row.

A driver spends more time on making a Python object for each of fifty values of a row than on finding the row, and
a CSV file needs no object for each.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Select, case, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import Text

from service.reporting.columns import CELL, RUN, Column, Run

_JOINABLE = frozenset({"text", "integer", "boolean", "nanos"})
_APART = frozenset({"usage_raw"})
"""JSON that an upstream sent: always full of quotes, so that all runs would be written cell by cell."""
_SHOWN_AS: dict[str, Any] = {"boolean": "text", "nanos": "integer"}


class _Formatted(GenericFunction[str]):
    """A pattern of `%s` filled in; NULL is nothing. SQLite ends a text at a zero byte, which no record has."""

    name = "formatted"
    type = Text()
    inherit_cache = True


@compiles(_Formatted)
def _on_sqlite(element: _Formatted, compiler: SQLCompiler, **options: Any) -> str:
    return f"printf({compiler.process(element.clauses, **options)})"


@compiles(_Formatted, "postgresql")
def _on_postgresql(element: _Formatted, compiler: SQLCompiler, **options: Any) -> str:
    return f"format({compiler.process(element.clauses, **options)})"


def with_runs(
    statement: Select[Any], columns: Sequence[Column]
) -> tuple[Select[Any], tuple[Column | Run, ...]]:
    """*statement*, which selects *columns*, with its runs packed; and the fields of the file it makes."""
    selected = list(statement.selected_columns)
    packed: list[ColumnElement[Any]] = []
    patterns: list[str] = []
    apart: list[ColumnElement[Any]] = []
    places: dict[int, int] = {}
    fields: list[Column | Run] = []
    for joinable, neighbours in groupby(columns, key=_is_joinable):
        if joinable:
            members = tuple(neighbours)
            packed += [_value(selected[column.at], column) for column in members]
            fields.append(Run(tuple(map(_as_packed, members)), 0, len(patterns)))
            patterns.append(CELL.join(["%s"] * len(members)))
            continue
        for column in neighbours:
            if column.at not in places:
                places[column.at] = len(apart) + 1
                apart.append(selected[column.at])
            fields.append(Column(column.name, column.kind, places[column.at]))
    text = _Formatted(literal(f"{RUN}{CELL}".join(patterns), Text), *packed)
    return statement.with_only_columns(text, *apart), tuple(fields)


def _is_joinable(column: Column) -> bool:
    return column.kind in _JOINABLE and column.name not in _APART


def _value(element: ColumnElement[Any], column: Column) -> ColumnElement[Any]:
    """A boolean as text: one store has numbers for it."""
    return (
        case((element.is_(True), "true"), (element.is_(False), "false"))
        if column.kind == "boolean"
        else element
    )


def _as_packed(column: Column) -> Column:
    return Column(column.name, _SHOWN_AS.get(column.kind, column.kind), column.at)
