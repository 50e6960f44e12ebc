"""What each value of a dimension cost, now and in the period before, as a table. Pure.

Costs are exact. The change is the difference of the two periods as they are; the help of the page says how long they
were. What has no price says so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from dashboard import formats
from dashboard.names import Named, value_of
from dashboard.tables import Shown, fitting, money_width, text_width, usd, usd_format
from service.reporting.blended import unit_cost
from service.reporting.figures import Measures
from service.reporting.savings import Savings
from service.reporting.usage import UsageReport


def table(
    report: UsageReport,
    *,
    before: UsageReport | None,
    saved: Mapping[str | None, Savings] | None,
    names: Named,
    dimension: str,
    label: str,
) -> Shown:
    """One row a value, the most expensive first; where nobody knows what was *saved*, without the blended cost."""
    rows = [row.measures for row in report.rows]
    values = [value_of(row.dimensions, dimension=dimension) for row in report.rows]
    past = {} if before is None else _costs(before, dimension=dimension)
    costs = [None if formats.is_unpriced(row) else row.cost_nanos for row in rows]
    total = report.total.cost_nanos or 0
    tokens = [_tokens(row) for row in rows]
    units = [
        unit_cost(tokens=used or 0, cost_nanos=cost, saved=(saved or {}).get(value, Savings()))
        for used, cost, value in zip(tokens, costs, values, strict=True)
    ]
    columns: dict[str, list[Any]] = {
        label: [names.of(row.dimensions, dimension=dimension) for row in report.rows],
        "Spend": [usd(cost) for cost in costs],
        "Share": [(cost or 0) / total if total else None for cost in costs],
        "Priced": [formats.priced(row) for row in rows],
    }
    if before is not None:
        olds = [past.get(value) for value in values]
        columns["Before"] = [usd(old) for old in olds]
        columns["Change"] = [
            None if cost is None or not old else cost / old - 1 for cost, old in zip(costs, olds, strict=True)
        ]
    columns |= {
        "Requests": [row.requests for row in rows],
        "Tokens": tokens,
        "Effective": [usd(unit.effective_nanos) for unit in units],
        **({} if saved is None else {"Blended": [usd(unit.blended_nanos) for unit in units]}),
        "Error rate": [row.error_rate for row in rows],
        "p95 latency": [None if row.p95_duration_ms is None else row.p95_duration_ms / 1000 for row in rows],
    }
    real = ("Spend", "Share", "Before", "Change", "Effective", "Blended", "Error rate", "p95 latency")
    types = {name: pa.float64() for name in real if name in columns}
    config = _config(label, columns[label], [*costs, *past.values()])
    wanted = (label, "Spend", "Share", "Before", "Change", *_MORE)
    order = fitting(config, wanted=[name for name in wanted if name in columns])
    return Shown(columns, config, {**types, "Tokens": pa.int64()}, order=order)


_MORE = ("Requests", "Tokens", "Effective", "Priced", "Error rate", "p95 latency", "Blended")


def _config(label: str, names: Sequence[str], costs: Sequence[int | None]) -> dict[str, Any]:
    column = st.column_config
    money, width = usd_format(costs), money_width(costs)
    return {
        label: column.TextColumn(width=text_width(names, at_least=110, at_most=165)),
        "Spend": column.NumberColumn(format=money, width=width),
        "Share": column.ProgressColumn(format="percent", min_value=0, max_value=1, width=95),
        "Priced": column.TextColumn(
            help="Share of the forwarded attempts with a known price; their cost is all that Spend holds.",
            alignment="right",
            width=72,
        ),
        "Before": column.NumberColumn(format=money, width=width, help="What it cost in the period before."),
        "Change": column.NumberColumn(format="percent", width=72, help="Against the period before."),
        "Requests": column.NumberColumn(format="localized", width=72),
        "Tokens": column.NumberColumn(format="compact", help="Input and output.", width=62),
        "Effective": column.NumberColumn(
            "Effective $/M",
            width=92,
            format="$%.2f",
            help="What a million tokens, input and output, cost here.",
        ),
        "Blended": column.NumberColumn(
            "Blended $/M",
            width=88,
            format="$%.2f",
            help="What a million tokens would have cost without the providers' caches; an estimate at today's prices.",
        ),
        "Error rate": column.NumberColumn("Errors", format="percent", width=62),
        "p95 latency": column.NumberColumn(
            "p95",
            width=66,
            format="%.2f s",
            help="19 of 20 requests took less. Read from a histogram: usually within a few percent, at most 26 % off.",
        ),
    }


def _costs(report: UsageReport, *, dimension: str) -> dict[str | None, int | None]:
    return {
        value_of(row.dimensions, dimension=dimension): None
        if formats.is_unpriced(row.measures)
        else row.measures.cost_nanos
        for row in report.rows
    }


def _tokens(measures: Measures) -> int | None:
    if measures.input_tokens is None and measures.output_tokens is None:
        return None
    return (measures.input_tokens or 0) + (measures.output_tokens or 0)
