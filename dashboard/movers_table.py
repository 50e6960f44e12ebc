"""What moved spend, as a table: the change and its three parts, each exact, and the reason in words. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from dashboard.names import Named
from dashboard.tables import Shown, usd
from service.pricing.money import NANOS_PER_USD
from service.reporting.movers import Effect, Mover

_CENTS, _FINE = 2, 4
_ROUGH_FROM = 1_000 * NANOS_PER_USD
_REASONS: Mapping[tuple[Effect, bool], str] = {
    ("volume", True): "more tokens",
    ("volume", False): "fewer tokens",
    ("mix", True): "dearer mix",
    ("mix", False): "cheaper mix",
    ("price", True): "higher price per token",
    ("price", False): "lower price per token",
}


def reason(mover: Mover) -> str:
    """Why it moved, in words."""
    if not mover.before_nanos:
        return "new"
    if not mover.now_nanos:
        return "stopped"
    return _REASONS[mover.main_effect, mover.delta_nanos > 0]


def movers(found: Sequence[Mover], *, names: Named, dimension: str, label: str) -> Shown:
    """One row a mover, in the order given."""
    amounts = {
        "Now": [mover.now_nanos for mover in found],
        "Change": [mover.delta_nanos for mover in found],
        "Volume": [mover.volume_nanos for mover in found],
        "Mix": [mover.mix_nanos for mover in found],
        "Price": [mover.price_nanos for mover in found],
    }
    columns: dict[str, list[Any]] = {
        label: [names.of(mover.dimensions, dimension=dimension) for mover in found],
        **{name: [usd(nanos) for nanos in values] for name, values in amounts.items()},
        "Why": [reason(mover) for mover in found],
    }
    column = st.column_config
    helps = {
        "Now": "What it cost in this period.",
        "Change": "How much more or less than in the period before.",
        "Volume": "What more or fewer tokens did, at the old mix and the old prices.",
        "Mix": "What another mix did, at the old prices.",
        "Price": "What other prices per token did, at the new volume.",
    }
    decimals = _CENTS if max(map(abs, amounts["Now"] + amounts["Change"])) >= _ROUGH_FROM else _FINE
    config = {
        label: column.TextColumn(width="medium"),
        "Now": column.NumberColumn(format=f"$%,.{decimals}f", help=helps["Now"]),
        **{
            name: column.NumberColumn(f"{name}, $", format=f"%+,.{decimals}f", help=helps[name])
            for name in ("Change", "Volume", "Mix", "Price")
        },
        "Why": column.TextColumn(help="The part that moved it most.", width=150),
    }
    return Shown(columns, config, dict.fromkeys(amounts, pa.float64()))
