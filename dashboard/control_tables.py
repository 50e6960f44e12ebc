"""Keys and budgets as tables; names are text, amounts exact. Pure."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from dashboard import formats
from dashboard.controlling import BudgetStanding, KeyUse
from dashboard.tables import (
    SELECTABLE_ROOM,
    Shown,
    fitting,
    instant,
    minute,
    money_width,
    text_width,
    usd,
    usd_format,
)
from service.budgets.policy import EACH
from service.budgets.standings import PastPeriod
from service.keys.values import status_of


def keys(found: Sequence[KeyUse], *, now: datetime, timezone: str) -> Shown:
    """One row a key, in the order given."""
    costs = [
        None if one.measures is None or formats.is_unpriced(one.measures) else one.measures.cost_nanos
        for one in found
    ]
    columns: dict[str, list[Any]] = {
        "Name": [one.key.name for one in found],
        "Project": [one.key.project for one in found],
        "Status": [status_of(one.key, now=now) for one in found],
        "Spend": [usd(cost) for cost in costs],
        "Priced": [None if one.measures is None else formats.priced(one.measures) for one in found],
        "Requests": [0 if one.measures is None else one.measures.requests for one in found],
        "Last used": [minute(one.last_used, timezone) for one in found],
        "Models": [", ".join(one.key.models) if one.key.models else "all" for one in found],
        "Limits": [limits(one.key.limits) for one in found],
        "Expires": [minute(one.key.expires_at, timezone) for one in found],
        "Created": [minute(one.key.created_at, timezone) for one in found],
        "Id": [one.key.id for one in found],
    }
    column = st.column_config
    config: dict[str, Any] = {
        "Name": column.TextColumn(width=text_width(columns["Name"], at_most=170)),
        "Project": column.TextColumn(width=text_width(columns["Project"], at_most=110)),
        "Status": column.TextColumn(width=65),
        "Spend": column.NumberColumn(format=usd_format(costs), width=money_width(costs)),
        "Priced": column.TextColumn(alignment="right", width=75),
        "Requests": column.NumberColumn(format="localized", width=75),
        "Last used": column.TextColumn(width=118),
        "Models": column.TextColumn(width=text_width(columns["Models"], at_most=120)),
        "Limits": column.TextColumn(width=text_width(columns["Limits"], at_most=130)),
        "Expires": column.TextColumn(width=118),
        "Created": column.TextColumn(width=118),
        "Id": column.TextColumn(width=200),
    }
    texts = dict.fromkeys(("Priced", "Last used", "Limits", "Expires"), pa.string())
    order = fitting(config, wanted=tuple(config), room=SELECTABLE_ROOM)
    return Shown(columns, config, {"Spend": pa.float64(), **texts}, order=order)


def budgets(
    found: Sequence[BudgetStanding], *, names: Mapping[str, str], days: Sequence[date | None], timezone: str
) -> Shown:
    """One row a budget and subject; *names* are those of keys, *days* those on which each will be used up."""
    rows = [one.standing for one in found]
    amounts = {
        "Spent": [row.spent_nanos for row in rows],
        "Held": [row.held_nanos for row in rows],
        "Limit": [row.limit_nanos for row in rows],
        "Left": [row.remaining_nanos for row in rows],
    }
    columns: dict[str, list[Any]] = {
        "Who": [whose(one, names=names) for one in found],
        "Window": [one.stored.budget.rule.window for one in found],
        "Mode": [one.stored.budget.mode for one in found],
        "Used": [used(row.spent_nanos, row.limit_nanos) for row in rows],
        **{label: [usd(nanos) for nanos in values] for label, values in amounts.items()},
        "Resets": [minute(row.resets_at, timezone) or "never" for row in rows],
        "Used up on": [None if day is None else str(day) for day in days],
        "Models": [", ".join(one.stored.budget.models or ()) or "all" for one in found],
    }
    column = st.column_config
    config: dict[str, Any] = {
        "Who": column.TextColumn(width=text_width(columns["Who"], at_most=140)),
        "Window": column.TextColumn(width=60),
        "Mode": column.TextColumn(width=52, help="hard refuses what does not fit, soft only counts."),
        "Used": column.ProgressColumn(
            format="percent", min_value=0, max_value=1, width=92, help="Spent, of the limit."
        ),
        **{
            label: column.NumberColumn(
                format=usd_format(amounts[label]), help=text, width=money_width(amounts[label])
            )
            for label, text in _MONEY.items()
        },
        "Resets": column.TextColumn(width=112),
        "Used up on": column.TextColumn(width=84, help="If days go on like those of the last four weeks."),
        "Models": column.TextColumn(width=120),
    }
    wanted = ("Who", "Used", *_MONEY, "Window", "Mode", "Resets", "Used up on", "Models")
    order = fitting(config, wanted=wanted, room=SELECTABLE_ROOM)
    types = {**dict.fromkeys(("Used", *_MONEY), pa.float64()), "Used up on": pa.string()}
    return Shown(columns, config, types, order=order)


_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_SHARES = 10_000  # hundredths of a percent, which is what a cell shows
_MONEY: Mapping[str, str] = {
    "Spent": "What this period has cost.",
    "Held": "The most that requests which are running may still cost.",
    "Limit": "In force now, a temporary raise included.",
    "Left": "Neither spent nor held.",
}


def used(spent_nanos: int, limit_nanos: int) -> float:
    """The share of the limit that is spent; not all of it is never rounded up to all."""
    share = spent_nanos / limit_nanos
    return share if share >= 1 else math.floor(share * _SHARES) / _SHARES


def whose(found: BudgetStanding, *, names: Mapping[str, str]) -> str:
    """Whose spending a budget counts, in words."""
    scope = found.stored.budget.scope
    if scope.kind == "global":
        return "everything"
    kind = scope.kind.replace("_", " ")
    identifier = found.standing.subject if scope.id == EACH else scope.id or ""
    if scope.id == EACH and not identifier:
        return f"each {kind}"
    return f"{kind} {names.get(identifier, identifier)}"


def periods(found: Sequence[PastPeriod], *, timezone: str) -> Shown:
    """The history of a budget, the latest period first."""
    columns: dict[str, list[Any]] = {
        "From": [_beginning(one.starts_at, timezone) for one in found],
        "To": [instant(one.ends_at, timezone) or "open" for one in found],
        "Spent": [usd(one.spent_nanos) for one in found],
        "Limit": [usd(one.limit_nanos) for one in found],
        "Of the limit": [used(one.spent_nanos, one.limit_nanos) for one in found],
        "Held": [usd(one.held_nanos) for one in found],
    }
    column = st.column_config
    amounts = {
        "Spent": [one.spent_nanos for one in found],
        "Limit": [one.limit_nanos for one in found],
        "Held": [one.held_nanos for one in found],
    }
    config = {
        **{label: column.NumberColumn(format=usd_format(values)) for label, values in amounts.items()},
        "Of the limit": column.ProgressColumn(
            format="percent",
            min_value=0,
            max_value=1,
            help="Of the highest limit that was in force in the period.",
        ),
    }
    return Shown(columns, config, dict.fromkeys((*amounts, "Of the limit"), pa.float64()))


def _beginning(moment: datetime, timezone: str) -> str | None:
    return "the first request" if moment <= _EVER else instant(moment, timezone)


def limits(given: Mapping[str, int] | None) -> str | None:
    """Limits of a key in words."""
    return ", ".join(f"{name} {value:,}" for name, value in given.items()) if given else None
