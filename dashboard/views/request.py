"""One request whole: what it cost line by line, its tokens, where its time went, how it ended, every field."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from dashboard import charts, data, formats, tables
from dashboard.context import current
from dashboard.navigation import REQUEST, REQUESTS, all_pages
from dashboard.views import content
from dashboard.views.requests import FILTER
from service.reporting.rows import RequestFilter

Attempt = Mapping[str, Any]
ROW_HEIGHT = 34
FRAME_HEIGHT = 90


def show() -> None:
    """The page."""
    found = data.request(st.query_params.get("id", ""))
    _bar(None if found is None else found["request_id"])
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
    content.show(found["request_id"])
    if len(attempts) == 1:
        _attempt(final, timezone)
        return
    labels = [f"Attempt {attempt['attempt']}" for attempt in attempts]
    for tab, attempt in zip(st.tabs(labels, default=labels[attempts.index(final)]), attempts, strict=True):
        with tab:
            _attempt(attempt, timezone)


def _bar(identifier: str | None) -> None:
    """The way back to the log, and to the requests before and after this one in it."""
    pages = all_pages()
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.page_link(pages[REQUESTS], label="All requests", icon=":material/arrow_back:")
        if identifier is None:
            return
        wanted: RequestFilter = st.session_state.get(FILTER) or RequestFilter()
        found = data.around(wanted, identifier)
        with st.container(horizontal=True, width="content"):
            for label, icon, target in (
                ("Newer", "chevron_left", found.newer),
                ("Older", "chevron_right", found.older),
            ):
                st.page_link(
                    pages[REQUEST],
                    label=label,
                    icon=f":material/{icon}:",
                    query_params={"id": target or identifier},
                    disabled=target is None,
                    help="Within the filters of the log." if wanted.filters else None,
                )


def _title(identifier: str, final: Attempt, timezone: str) -> None:
    """What, when, whose, and how it ended; names as text."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.header("Request", anchor=False, width="content")
        _badge(final["outcome"])
        if final["repeat_count"] > 1:
            st.badge(f"{final['repeat_count']} equal refusals in one row", color="gray")
        if final["usage_source"] == "estimated":
            st.badge("usage estimated", color="orange")
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
    tokens = f"{formats.count(final['input_tokens'])} → {formats.count(final['output_tokens'])}"
    figures = {
        "Cost": formats.escaped(formats.usd(sum(costs) if costs else None)),
        "Tokens in → out": tokens,
        "First token": formats.duration(final["ttft_ms"]),
        "Duration": formats.duration(final["duration_ms"]),
        "In the relay": formats.duration(final["overhead_ms"]),
    }
    grid = st.grid(5, min_column_width=150, gap="small")
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


def _source(attempt: Attempt) -> str:
    """Where the counts come from; an estimate says between which bounds it lies."""
    text = f"Source of the counts: {attempt['usage_source']}."
    if attempt["usage_low"] is None or attempt["usage_high"] is None:
        return text
    low, high = formats.count(attempt["usage_low"]), formats.count(attempt["usage_high"])
    return f"{text} Input and output together are between {low} and {high}."


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
    st.caption(_source(attempt))
    if attempt["usage_raw"] is not None:
        with st.expander("Usage as received"):
            st.code(attempt["usage_raw"], language="json", wrap_lines=True)
