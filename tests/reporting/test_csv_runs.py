"""Packed texts say what was packed, or that they cannot be read."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.reporting.columns import CELL, RUN, Column, Run
from service.reporting.csv_runs import FORMULA_STARTS, Packed

WIDTHS = (3, 1, 2)
RUNS = tuple(
    Run(tuple(Column(f"c{place}{at}", "text", at) for at in range(width)), 0, place)
    for place, width in enumerate(WIDTHS)
)
ROWS = st.lists(
    st.lists(st.text(max_size=3) | st.sampled_from((CELL, RUN, "-", "a=b")), min_size=6, max_size=6),
    min_size=1,
    max_size=5,
)


def packed(rows: Sequence[Sequence[str]]) -> Packed:
    return Packed([f"{RUN}{CELL}".join(CELL.join(cells) for cells in parts(row)) for row in rows], RUNS)


def parts(row: Sequence[str]) -> list[list[str]]:
    return [list(row[sum(WIDTHS[:place]) :][:width]) for place, width in enumerate(WIDTHS)]


@given(rows=ROWS)
def test_what_can_be_read_is_what_was_packed(rows: list[list[str]]) -> None:
    found = packed(rows)
    separators = any(mark in cell for row in rows for cell in row for mark in (CELL, RUN))
    assert found.readable is not separators
    if separators:
        return
    chunks = found.chunks()
    for place in range(len(WIDTHS)):
        columns = [list(column) for column in chunks[place]]
        assert columns == [list(column) for column in zip(*(parts(row)[place] for row in rows), strict=True)]
    if found.plain:
        assert found.lines() == [
            [",".join(parts(row)[place]) for row in rows] for place in range(len(WIDTHS))
        ]


@pytest.mark.parametrize("at", range(6))
@pytest.mark.parametrize("text", [*(f"{start}A1" for start in FORMULA_STARTS), "a,b", 'a"b', "a\nb", "a\rb"])
def test_what_needs_quoting_or_defusing_is_not_plain(text: str, at: int) -> None:
    row = ["a", "b-c", "", "d=e", "x+y", "1@2"]
    assert packed([row, row]).plain
    changed = [*row]
    changed[at] = text
    assert not packed([row, changed]).plain
    assert not packed([changed, row]).plain
