"""Arrays made without `pyarrow.array` are the ones that it would make."""

import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from service.reporting.arrow_arrays import arrow_array, arrow_type
from service.reporting.columns import Kind

arrow: Any = import_module("pyarrow")
import_module("pyarrow.compute")
LARGEST = 2**63 - 1
CASES: list[tuple[Kind, list[Any]]] = [
    ("integer", [1, 2, LARGEST, -LARGEST - 1]),
    ("integer", [None, 0, None, 7]),
    ("nanos", [None, 12_345_678_901]),
    ("number", [0.1, 1e300, -2.5]),
    ("number", [None, 0.1, None]),
    ("boolean", [True, False, True]),
    ("boolean", [None, True, False]),
    ("boolean", [None, None]),
    ("instant", [1_790_000_000_123_456, 0]),
    ("instant", [None, 1]),
    ("text", ["a", "", "ünïcode 🙂"]),
    ("text", [None, "a", None]),
    ("json", ['["stop"]', None]),
    ("usd", ["0.01", None]),
    ("id", ["019abc"]),
    ("text", [None]),
]


@pytest.mark.parametrize(("kind", "values"), CASES)
@pytest.mark.parametrize("sequence", [list, tuple])
def test_the_array_is_the_one_that_pyarrow_makes(kind: Kind, values: list[Any], sequence: type) -> None:
    found = arrow_array(arrow, sequence(values), kind=kind)
    found.validate(full=True)
    assert found == arrow.array(values, arrow_type(arrow, kind))


def test_pandas_is_not_imported() -> None:
    """A new process: here something else may have imported it."""
    script = (
        "import sys\n"
        "from service.reporting.columns import by_name, numbered\n"
        "from service.reporting.files import encode\n"
        "columns = numbered((('a', 'text'), ('b', 'integer'), ('c', 'instant')))\n"
        "rows = [{'a': 'x', 'b': 1, 'c': 5}, {'a': None, 'b': None, 'c': None}]\n"
        "body = b''.join(encode(columns, [by_name(rows, columns)], file_format='parquet'))\n"
        "assert body.startswith(b'PAR1')\n"
        "assert 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
