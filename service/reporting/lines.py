"""The cost lines of a record as rows, on both stores."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Text, cast
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.sql.selectable import TableValuedAlias


class LinesOf(GenericFunction[Any]):
    """The elements of a JSON array, one a row, in a column named `value`."""

    name = "lines_of"
    inherit_cache = True


@compiles(LinesOf)
def _lines_on_sqlite(element: LinesOf, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(LinesOf, "postgresql")
def _lines_on_postgresql(element: LinesOf, compiler: SQLCompiler, **options: Any) -> str:
    return f"jsonb_array_elements(CAST({compiler.process(element.clauses, **options)} AS JSONB))"


class _Member(ColumnElement[str]):
    """A member of a JSON object, as text."""

    inherit_cache = False
    type = Text()

    def __init__(self, source: ColumnElement[Any], name: str) -> None:
        self.source = source
        self.name = name


@compiles(_Member)
def _member_on_sqlite(element: _Member, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_extract({compiler.process(element.source, **options)}, '$.{element.name}')"


@compiles(_Member, "postgresql")
def _member_on_postgresql(element: _Member, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(element.source, **options)} ->> '{element.name}')"


def lines_of(cost_lines: ColumnElement[Any]) -> TableValuedAlias:
    """A row for each line; none where the record has no lines."""
    return LinesOf(cost_lines).table_valued("value").alias("line")


def line_text(line: TableValuedAlias, name: str) -> ColumnElement[str]:
    """A member of a line that is text."""
    return _Member(line.c.value, name)


def line_number(line: TableValuedAlias, name: str) -> ColumnElement[int]:
    """A member of a line that is a whole number."""
    return cast(_Member(line.c.value, name), BigInteger)
