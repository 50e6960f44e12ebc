"""One request whole: what it cost line by line, its tokens, where its time went, how it ended, every field."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard import charts, data, formats, tables
from dashboard.context import current
from dashboard.navigation import REQUESTS, all_pages

Attempt = Mapping[str, Any]
ROW_HEIGHT = 34
FRAME_HEIGHT = 90


def show() -> None:
    """The page."""
    st.page_link(all_pages()[REQUESTS], label="All requests", icon=":material/arrow_back:")
    found = data.request(st.query_params.get("id", ""))
    if found is None:
        st.header("No such request", anchor=False)
        st.write("The address names a request that is not in the books. A new one appears within seconds.")
        return
    timezone = current().reporting_timezone
    attempts: list[Attempt] = sorted(found["attempts"], key=lambda attempt: attempt["attempt"])
    final = next((attempt for attempt in attempts if attempt["final"]), attempts[-1])
    _title(found["request_id"], final, timezone)
    _figures(attempts, final)
    with st.container(border=True):
        st.markdown("**Timeline**")
        height = FRAME_HEIGHT + ROW_HEIGHT * len(attempts)
        st.echarts_chart(
            charts.timeline(attempts), height=height, key="timeline", alt="Timeline of the attempts"
        )
    if len(attempts) == 1:
        _attempt(final, timezone)
        return
    labels = [f"Attempt {attempt['attempt']}" for attempt in attempts]
    for tab, attempt in zip(st.tabs(labels, default=labels[attempts.index(final)]), attempts, strict=True):
        with tab:
            _attempt(attempt, timezone)


def _title(identifier: str, final: Attempt, timezone: str) -> None:
    """What, when, whose, and how it ended; names as text."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Request", anchor=False, width="content")
        _badge(final["outcome"])
    model = final["upstream_model"] or final["requested_model"]
    started = f"{formats.instant(final['started_at'], timezone=timezone)} {timezone}"
    known = (started, model, final["key_name"] or final["key_id"], final["project"], final["upstream"])
    st.text(" · ".join(part for part in known if part))
    st.code(identifier, language=None)
    ending = (final["http_status"], final["error_type"], final["error_code"])
    if final["outcome"] != "ok" and any(ending):
        st.code(" · ".join(str(part) for part in ending if part is not None), language=None)


def _badge(outcome: str) -> None:
    icon = ":material/check:" if outcome == "ok" else ":material/error:"
    st.badge(outcome, color=tables.OUTCOME_COLORS.get(outcome, "gray"), icon=icon)


def _figures(attempts: list[Attempt], final: Attempt) -> None:
    costs = [attempt["cost_nanos"] for attempt in attempts if attempt["cost_nanos"] is not None]
    figures = {
        "Cost": formats.usd(sum(costs) if costs else None).replace("$", "\\$"),
        "Input tokens": formats.count(final["input_tokens"]),
        "Output tokens": formats.count(final["output_tokens"]),
        "First token": formats.duration(final["ttft_ms"]),
        "Duration": formats.duration(final["duration_ms"]),
        "Relay's overhead": formats.duration(final["overhead_ms"]),
    }
    grid = st.grid(6, min_column_width=140, gap="small")
    for label, value in figures.items():
        grid.metric(label, value, border=True)


def _attempt(attempt: Attempt, timezone: str) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        _cost(attempt)
    with right:
        _tokens(attempt)
    shown = tables.fields(attempt, timezone=timezone)
    with st.expander("All fields"):
        st.dataframe(
            shown.table(),
            column_config=shown.config,
            hide_index=True,
            height="content",
            key=f"fields-{attempt['id']}",
        )


def _cost(attempt: Attempt) -> None:
    st.markdown("**Cost**")
    shown = tables.cost_lines(attempt)
    st.dataframe(
        shown.table(),
        column_config=shown.config,
        hide_index=True,
        placeholder="",
        key=f"cost-{attempt['id']}",
    )
    facts = {
        "Status": attempt["cost_status"],
        "Price card": attempt["price_id"],
        "Billed by the provider": _amount(attempt["provider_cost_nanos"]),
        "Held before it was sent": _amount(attempt["estimate_nanos"]),
    }
    for label, value in facts.items():
        if value is not None:
            st.text(f"{label}: {value}")


def _amount(nanos: int | None) -> str | None:
    return None if nanos is None else formats.usd(nanos)


def _tokens(attempt: Attempt) -> None:
    st.markdown("**Tokens**")
    if any(attempt[name] is not None for name in tables.TOKEN_CLASSES):
        shown = tables.token_classes(attempt)
        st.dataframe(
            shown.table(), column_config=shown.config, hide_index=True, key=f"tokens-{attempt['id']}"
        )
    else:
        st.caption("No token counts were reported.")
    st.caption(f"Source of the counts: {attempt['usage_source']}.")
    if attempt["usage_raw"] is not None:
        with st.expander("Usage as received"):
            st.code(attempt["usage_raw"], language="json", wrap_lines=True)
