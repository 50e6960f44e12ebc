"""Columns of values as Arrow arrays.

`pyarrow.array` imports pandas wherever it is installed, to tell its types apart: 60 MB of memory and half a second
for nothing. These arrays are made of the same buffers without it.
"""

from array import array
from typing import Any

from service.reporting.columns import Kind, Values

_CODES = {"integer": "q", "nanos": "q", "instant": "q", "number": "d", "boolean": "B"}


def arrow_type(arrow: Any, kind: Kind) -> Any:
    """The type of a column."""
    match kind:
        case "integer" | "nanos":
            return arrow.int64()
        case "number":
            return arrow.float64()
        case "boolean":
            return arrow.bool_()
        case "instant":
            return arrow.timestamp("us", tz="UTC")
        case _:
            return arrow.string()


def arrow_array(arrow: Any, values: Values, *, kind: Kind) -> Any:
    """*values* as an array of `arrow_type`; None is null. Integers must fit into 64 bits."""
    of_type, rows = arrow_type(arrow, kind), len(values)
    missing = values.count(None)
    if missing == rows:
        return arrow.nulls(rows, of_type)
    code = _CODES.get(kind)
    if code is None:
        builder = arrow.lib.StringBuilder()
        builder.append_values(values)
        return builder.finish()
    if not missing:
        return _whole(arrow, array(code, values), of_type)
    present = _whole(arrow, bytes([value is not None for value in values]), arrow.bool_())
    filled = array(code, [0 if value is None else value for value in values])
    return arrow.compute.if_else(present, _whole(arrow, filled, of_type), arrow.nulls(rows, of_type))


def _whole(arrow: Any, values: "array[Any] | bytes", of_type: Any) -> Any:
    """An array without nulls over the memory of *values*."""
    stored = arrow.uint8() if of_type == arrow.bool_() else of_type
    found = arrow.Array.from_buffers(stored, len(values), [None, arrow.py_buffer(values)])
    return found.cast(of_type)
