"""Two dimensions across each other, and one beside another period, as tables of spend. Pure.

Amounts are exact sums of the report's rows. A cell without usage is empty; usage without a price is no zero.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from dashboard import formats
from dashboard.names import Named, value_of
from dashboard.tables import Shown, money_width, text_width, usd, usd_format
from service.reporting.figures import Measures
from service.reporting.usage import UsageReport, UsageRow

Measure = Literal["Spend", "Requests", "Tokens"]
SHOWN_COLUMNS = 8
_COUNT_PX = 96
REST = "All others"
TOTAL = "Total"
Value = str | None


def number(measures: Measures, measure: Measure) -> int | None:
    """What a cell counts; None where there is nothing to count, or no price."""
    if measure == "Spend":
        return None if formats.is_unpriced(measures) else measures.cost_nanos
    if measure == "Requests":
        return measures.requests
    if measures.input_tokens is None and measures.output_tokens is None:
        return None
    return (measures.input_tokens or 0) + (measures.output_tokens or 0)


def sums(rows: Sequence[UsageRow], *, by: Sequence[str], measure: Measure) -> dict[tuple[Value, ...], int]:
    """The measure by values of *by*."""
    found: dict[tuple[Value, ...], int] = {}
    for row in rows:
        counted = number(row.measures, measure)
        if counted is not None:
            key = tuple(value_of(row.dimensions, dimension=name) for name in by)
            found[key] = found.get(key, 0) + counted
    return found


def pivot(
    report: UsageReport,
    *,
    rows: tuple[str, str],
    columns: tuple[str, str],
    measure: Measure,
) -> Shown:
    """*rows* down, *columns* across (label and dimension each): the largest columns, the others as one, the total."""
    (label, down), (_, across) = rows, columns
    names = {
        name: Named.from_rows((row.dimensions for row in report.rows), dimension=name)
        for name in (down, across)
    }
    cells = sums(report.rows, by=(down, across), measure=measure)
    by_row = _ranked(cells, at=0)
    by_column = _ranked(cells, at=1)
    shown, rest = list(by_column)[:SHOWN_COLUMNS], list(by_column)[SHOWN_COLUMNS:]
    table: dict[str, list[Any]] = {label: [_name(names[down], value, down) for value in by_row]}
    numbers: dict[str, list[int | None]] = {}
    for value in shown:
        title = _unused(_name(names[across], value, across), (label, TOTAL, REST, *numbers))
        numbers[title] = [cells.get((row, value)) for row in by_row]
    if rest:
        numbers[REST] = [_sum(cells.get((row, value)) for value in rest) for row in by_row]
    numbers[TOTAL] = [by_row[row] for row in by_row]
    table |= {title: [_cell(value, measure) for value in values] for title, values in numbers.items()}
    width = text_width(table[label], at_least=110, at_most=165)
    config: dict[str, Any] = {label: st.column_config.TextColumn(width=width, pinned=True)}
    form = usd_format(list(by_row.values())) if measure == "Spend" else "localized"
    widest = money_width(list(by_row.values())) if measure == "Spend" else _COUNT_PX
    for title in numbers:
        width = max(widest, text_width([title], at_most=130))
        config[title] = st.column_config.NumberColumn(format=form, width=width)
    kind = pa.float64() if measure == "Spend" else pa.int64()
    return Shown(table, config, {label: pa.string(), **dict.fromkeys(numbers, kind)})


def _ranked(cells: Mapping[tuple[Value, ...], int], *, at: int) -> dict[Value, int]:
    totals: dict[Value, int] = {}
    for key, counted in cells.items():
        totals[key[at]] = totals.get(key[at], 0) + counted
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0] or "")))


def _name(names: Named, value: Value, dimension: str) -> str:
    stored = "key_id" if dimension == "key" else dimension
    return names.of({stored: value}, dimension=dimension)


def _unused(title: str, taken: Sequence[str]) -> str:
    while title in taken:
        title += " "
    return title


def _sum(values: Any) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _cell(value: int | None, measure: Measure) -> float | int | None:
    return usd(value) if measure == "Spend" else value
