"""The filters of the log as widgets. Each is part of the address; a value that does not exist there is left out."""

from datetime import timedelta
from typing import Any

import streamlit as st

from dashboard import data, filters, tables
from dashboard.names import Named
from dashboard.periods import Period
from dashboard.views import controls
from service.errors import InvalidInputError
from service.reporting.dimensions import require_storable
from service.reporting.rows import RequestFilter
from service.reporting.usage import UsageQuery

OUTCOMES = tuple(tables.OUTCOME_COLORS)
OPTIONS_FROM = timedelta(days=90)
CHOICES = ("key", "model", "project", "upstream")
TEXTS = {
    "tag": "Tag",
    "end_user": "End user",
    "session": "Session",
    "provider": "Provider",
    "requested_model": "Requested model",
    "service_tier": "Service tier",
}
FILTERS = (*CHOICES, "outcome", *TEXTS)
"""Dimensions by which the log can be filtered, and the names of their parameters."""
AMOUNTS = {"min": "Cost from", "max": "Cost up to"}


def draw(period: Period) -> RequestFilter:
    """Draw them; returns what they mean. A request id is looked for whatever the time range."""
    names = _names(period)
    dropped = [controls.drop_unknown(name, names[name].values()) for name in CHOICES]
    controls.notice(*dropped, controls.drop_unknown("outcome", OUTCOMES))
    found: dict[str, tuple[str, ...]] = {}
    grid = st.grid(6, min_column_width=126, gap="small")
    for name in CHOICES:
        picked = grid.multiselect(
            name.capitalize(),
            names[name].values(),
            format_func=names[name].of_value,
            key=name,
            bind="query-params",
            placeholder="All",
            on_change=first_page,
        )
        if picked:
            found[name] = tuple(picked)
    outcomes = grid.multiselect(
        "Outcome", OUTCOMES, key="outcome", bind="query-params", placeholder="All", on_change=first_page
    )
    if outcomes:
        found["outcome"] = tuple(outcomes)
    with grid.cell():
        request_id = _text("q", "Request id", "Ours or the provider's")
    amounts = _more(found)
    if request_id:
        return RequestFilter(filters=found, request_id=request_id, **amounts)
    return RequestFilter(since=period.since, until=period.until, filters=found, **amounts)


def _more(found: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """Filters that are needed more seldom: they join *found*; returns the bounds of the cost."""
    used = any(st.query_params.get(name) or st.session_state.get(name) for name in (*TEXTS, *AMOUNTS))
    amounts: dict[str, Any] = {}
    with st.expander("More filters", expanded=bool(used), icon=":material/tune:"):
        grid = st.grid(4, min_column_width=150, gap="small")
        for name, label in TEXTS.items():
            with grid.cell():
                value = _text(name, label, "Exactly")
            if value:
                found[name] = (value,)
        for name, label in AMOUNTS.items():
            with grid.cell():
                value = _text(name, f"{label} (USD)", "0.05")
                try:
                    amounts[f"{name}_cost_nanos"] = filters.amount(value, field=label)
                except InvalidInputError:
                    st.caption(":material/error: Write an amount such as 0.05; this one is left out.")
    return amounts


def _text(name: str, label: str, placeholder: str) -> str:
    value = st.text_input(
        label, key=name, bind="query-params", placeholder=placeholder, on_change=first_page
    ).strip()
    try:
        require_storable(value, field=name)
    except InvalidInputError:
        return ""
    return value


def _names(period: Period) -> dict[str, Named]:
    """What can be chosen: every value of the last months, so that a link keeps its filters in a quiet hour."""
    query = UsageQuery(
        since=min(period.since, period.until - OPTIONS_FROM),
        until=period.until,
        group_by=CHOICES,
        percentiles=False,
    )
    rows = [row.dimensions for row in data.usage(query).rows]
    return {name: Named.from_rows(rows, dimension=name) for name in CHOICES}


def first_page() -> None:
    """Other filters begin at the newest request."""
    st.query_params.pop("before", None)
    st.session_state.pop("newer", None)
