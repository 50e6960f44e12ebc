"""A comparison with a provider's report as a table; amounts have every digit. Pure."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from dashboard import formats
from dashboard.tables import Shown
from service.reporting.provider_report import EXACT
from service.reporting.reconcile import Figure


def figures(found: Sequence[Figure]) -> Shown:
    """One row a figure, in the order given."""
    columns: dict[str, list[Any]] = {
        "Day": [str(one.day) for one in found],
        "Model": [one.model or "all" for one in found],
        "Meter": [one.meter for one in found],
        "Ours": [one.our_quantity for one in found],
        "Theirs": [one.their_quantity for one in found],
        "Off by": [one.quantity_difference if one.their_quantity is not None else None for one in found],
        "Our cost": [_amount(one.our_cost_usd) for one in found],
        "Their cost": [_amount(one.their_cost_usd) for one in found],
        "Cost off by": [
            _amount(one.cost_difference_usd) if one.their_cost_usd is not None else None for one in found
        ],
        "Why": ["; ".join(f"{reason.kind}: {reason.text}" for reason in one.reasons) for one in found],
    }
    column = st.column_config
    counts, costs = ("Ours", "Theirs", "Off by"), ("Our cost", "Their cost", "Cost off by")
    config: dict[str, Any] = {name: column.NumberColumn(format="localized") for name in counts}
    config |= {name: column.TextColumn(alignment="right") for name in costs}
    config["Why"] = column.TextColumn(width="large")
    return Shown(columns, config, {**dict.fromkeys(counts, pa.int64()), **dict.fromkeys(costs, pa.string())})


def totals(found: Iterable[Figure]) -> tuple[Decimal | None, Decimal | None]:
    """Costs of both sides, ours and theirs, where the report has costs."""
    pairs = [(one.our_cost_usd, one.their_cost_usd) for one in found if one.their_cost_usd is not None]
    if not pairs:
        return None, None
    mine = theirs = Decimal(0)
    for our_cost, their_cost in pairs:
        mine, theirs = EXACT.add(mine, our_cost or Decimal(0)), EXACT.add(theirs, their_cost)
    return mine, theirs


def shown_amount(amount: Decimal | None) -> str:
    """For a headline."""
    return _amount(amount) or formats.UNKNOWN


def _amount(amount: Decimal | None) -> str | None:
    """Every digit, without an exponent, with at least two decimals."""
    if amount is None:
        return None
    text = f"{abs(amount).normalize(EXACT):f}"
    whole, _, decimals = text.partition(".")
    return f"{'-' if amount < 0 else ''}${int(whole):,}.{decimals.ljust(2, '0')}"
