"""Prices, models without one, and what repricing changes, as tables. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from dashboard import formats
from dashboard.tables import Shown, fitting, text_width
from service.ledger.repricing import Diff
from service.pricing.lookup import StoredPrice
from service.reporting.figures import Measures
from service.reporting.unpriced import UnpricedModel

_RATES = {
    "Input": "input_usd_per_mtok",
    "Cached": "cache_read_input_usd_per_mtok",
    "Cache write": "cache_write_input_usd_per_mtok",
    "Output": "output_usd_per_mtok",
}


def prices(found: Sequence[StoredPrice], *, now: datetime) -> Shown:
    """One row a price, in the order given."""
    rows = [price.fields(now=now) for price in found]
    columns: dict[str, list[Any]] = {
        "Model": [row["model"] for row in rows],
        "Provider": [row["provider"] for row in rows],
        "Status": [row["status"] for row in rows],
        **{label: [_rate(row.get(name)) for row in rows] for label, name in _RATES.items()},
        "For": [_scope(row) for row in rows],
        "From": [_day(row["effective_from"]) for row in rows],
        "To": [_day(row["effective_to"]) for row in rows],
        "More": [_more(row) for row in rows],
        "Source": [row["source"] for row in rows],
        "Id": [row["id"] for row in rows],
    }
    column = st.column_config
    config: dict[str, Any] = {
        "Model": column.TextColumn(width=text_width(columns["Model"], at_most=180)),
        "Provider": column.TextColumn(width=85),
        "Status": column.TextColumn(width=65),
        **{
            label: column.TextColumn(alignment="right", width=78, help="USD per million tokens.")
            for label in _RATES
        },
        "For": column.TextColumn(
            help="Whose requests it is for.", width=text_width(columns["For"], at_most=130)
        ),
        "From": column.TextColumn(width=82),
        "To": column.TextColumn(width=82),
        "More": column.TextColumn(
            help="What else the price has: other meters, tiers by length, hours, service tiers.",
            width=text_width(columns["More"], at_most=120),
        ),
        "Source": column.TextColumn(width=120),
        "Id": column.TextColumn(width=200),
    }
    telling = [label for label in ("To",) if any(columns[label])]
    wanted = ("Model", "Provider", "Status", *_RATES, "For", "From", *telling, "More", "Source", "Id")
    order = fitting(config, wanted=wanted)
    return Shown(columns, config, dict.fromkeys(columns, pa.string()), order=order)


def unpriced(found: Sequence[UnpricedModel], *, timezone: str) -> Shown:
    """One row a model at one upstream."""
    columns: dict[str, list[Any]] = {
        "Model": [one.model for one in found],
        "Provider": [one.provider for one in found],
        "Upstream": [one.upstream for one in found],
        "Requests": [one.requests for one in found],
        "Tokens": [one.input_tokens + one.output_tokens for one in found],
        "Last seen": [formats.instant(one.last_seen, timezone=timezone) for one in found],
    }
    column = st.column_config
    config = {
        "Model": column.TextColumn(width="medium"),
        "Requests": column.NumberColumn(format="localized"),
        "Tokens": column.NumberColumn(format="compact"),
    }
    return Shown(columns, config, {"Provider": pa.string()})


def remainder(total: Measures, found: Sequence[UnpricedModel]) -> str:
    """What is not covered by prices, beside the models in *found*, in words that agree with the coverage of *total*."""
    listed = sum(one.requests for one in found)
    silent, partial = max(0, total.unpriced_requests - listed), total.cost_status["partial"]
    if not (listed or silent or partial):
        return "Every forwarded attempt of the last thirty days has a price."
    parts = [] if found else ["Every model that was used has a price."]
    if silent:
        parts.append(
            f"{formats.count(silent)} attempts have no cost because nobody reported what they used; a price would not "
            "help them."
        )
    if partial:
        parts.append(
            f"{formats.count(partial)} attempts have a cost in part: one of their meters has no rate."
        )
    if silent or partial:
        parts.append(f"So the coverage is {formats.percent(total.coverage)}.")
    return " ".join(parts)


def changes(diff: Diff) -> Shown:
    """What repricing changes, by day and model; exactly."""
    groups = diff.groups
    columns: dict[str, list[Any]] = {
        "Day": [str(group.day) for group in groups],
        "Model": [group.model for group in groups],
        "Requests": [group.records for group in groups],
        "Newly priced": [group.newly_priced for group in groups],
        "Old": [formats.usd(group.old_nanos) for group in groups],
        "New": [formats.usd(group.new_nanos) for group in groups],
        "Difference": [formats.usd(group.new_nanos - group.old_nanos) for group in groups],
    }
    right = {name: st.column_config.TextColumn(alignment="right") for name in ("Old", "New", "Difference")}
    return Shown(columns, right, {})


def _rate(amount: str | None) -> str | None:
    return None if amount is None else f"${amount}"


def _day(instant: str | None) -> str | None:
    return None if instant is None else instant.removesuffix("T00:00:00Z")


def _scope(row: dict[str, Any]) -> str:
    if row["scope_id"] is not None:
        return f"{row['scope']} {row['scope_id']}"
    return "everyone"


def _more(row: dict[str, Any]) -> str | None:
    kinds = [name for name in ("tiers", "windows", "variants") if row.get(name)]
    meters = [
        name for name in row if name.endswith(("_usd_per_mtok", "_usd")) and name not in _RATES.values()
    ]
    return (
        ", ".join([*(name.removesuffix("_usd_per_mtok").removesuffix("_usd") for name in meters), *kinds])
        or None
    )
