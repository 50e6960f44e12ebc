"""One request whole: what it cost line by line, its tokens, where its time went, how it ended, every field."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard import charts, data, formats, tables
from dashboard.context import current
from dashboard.navigation import REQUESTS, all_pages

Attempt = Mapping[str, Any]


def show() -> None:
    """The page."""
    st.page_link(all_pages()[REQUESTS], label="All requests", icon=":material/arrow_back:")
    identifier = st.query_params.get("id", "")
    found = data.request(identifier)
    if found is None:
        st.header("No such request", anchor=False)
        st.write("The address names a request that is not in the books. A new one appears within seconds.")
        return
    timezone = current().reporting_timezone
    attempts: list[Attempt] = found["attempts"]
    final = next((attempt for attempt in attempts if attempt["final"]), attempts[-1])
    st.header("Request", anchor=False)
    st.code(found["request_id"], language=None)
    _figures(attempts, final)
    _ending(final)
    with st.container(border=True):
        st.markdown("**Timeline**")
        st.echarts_chart(
            charts.timeline(attempts),
            height=90 + 34 * len(attempts),
            key="timeline",
            alt="Timeline of the attempts",
        )
    if len(attempts) == 1:
        _attempt(final, timezone)
        return
    labels = [f"Attempt {attempt['attempt']}" for attempt in attempts]
    for tab, attempt in zip(st.tabs(labels, default=labels[attempts.index(final)]), attempts, strict=True):
        with tab:
            _attempt(attempt, timezone)


def _figures(attempts: list[Attempt], final: Attempt) -> None:
    costs = [attempt["cost_nanos"] for attempt in attempts if attempt["cost_nanos"] is not None]
    grid = st.grid(6, min_column_width=140, gap="small")
    grid.metric("Cost", formats.usd(sum(costs) if costs else None).replace("$", "\\$"), border=True)
    grid.metric("Input tokens", formats.count(final["input_tokens"]), border=True)
    grid.metric("Output tokens", formats.count(final["output_tokens"]), border=True)
    grid.metric("First token", formats.duration(final["ttft_ms"]), border=True)
    grid.metric("Duration", formats.duration(final["duration_ms"]), border=True)
    grid.metric("Relay's overhead", formats.duration(final["overhead_ms"]), border=True)


def _ending(final: Attempt) -> None:
    """How the request ended, in a line that cannot be taken for markup."""
    known = (final["outcome"], final["http_status"], final["error_type"], final["error_code"])
    line = " · ".join(str(part) for part in known if part is not None)
    if final["outcome"] == "ok":
        st.badge("ok", color="green", icon=":material/check:")
    else:
        st.badge(
            final["outcome"],
            color=tables.OUTCOME_COLORS.get(final["outcome"], "gray"),
            icon=":material/error:",
        )
        st.code(line, language=None)


def _attempt(attempt: Attempt, timezone: str) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        _cost(attempt)
    with right:
        _tokens(attempt)
    shown = tables.fields(attempt, timezone=timezone)
    with st.expander("All fields"):
        st.dataframe(shown.table(), hide_index=True, height="content", key=f"fields-{attempt['id']}")


def _cost(attempt: Attempt) -> None:
    st.markdown("**Cost**")
    if attempt["cost_lines"]:
        shown = tables.cost_lines(attempt)
        st.dataframe(shown.table(), column_config=shown.config, hide_index=True, key=f"cost-{attempt['id']}")
    facts = {
        "total": formats.usd(attempt["cost_nanos"]),
        "status": attempt["cost_status"],
        "price": attempt["price_id"],
        "billed by the provider": formats.usd(attempt["provider_cost_nanos"]),
        "held before": formats.usd(attempt["estimate_nanos"]),
    }
    st.code("\n".join(f"{name}: {value or formats.UNKNOWN}" for name, value in facts.items()), language=None)
    for entry in attempt["ledger"]:
        st.code(
            f"{entry['kind']} {formats.usd(int(entry['delta_nanos']))} "
            f"({entry['cost_status_before']} → {entry['cost_status_after']}): {entry['reason'] or ''}",
            language=None,
        )


def _tokens(attempt: Attempt) -> None:
    st.markdown("**Tokens**")
    if any(attempt[name] is not None for name in tables.TOKEN_CLASSES):
        shown = tables.token_classes(attempt)
        st.dataframe(
            shown.table(), column_config=shown.config, hide_index=True, key=f"tokens-{attempt['id']}"
        )
    else:
        st.caption("No token counts were reported.")
    st.caption(f"Usage from: {attempt['usage_source']}.")
    if attempt["usage_raw"] is not None:
        with st.expander("Usage as received"):
            st.code(attempt["usage_raw"], language="json", wrap_lines=True)
