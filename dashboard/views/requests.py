"""The log: filters that are part of the address, pages that go back in time, and a way into each request."""

from datetime import timedelta

import streamlit as st

from dashboard import data, formats, tables
from dashboard.names import Named
from dashboard.navigation import open_request
from dashboard.periods import Period, period
from dashboard.views import controls, first_request
from service.errors import InvalidInputError
from service.reporting.rows import Page, RequestFilter
from service.reporting.usage import UsageQuery

PAGE_ROWS = 50
OUTCOMES = tuple(tables.OUTCOME_COLORS)
OPTIONS_FROM = timedelta(days=90)
_FILTERS = ("key", "model", "upstream")


def show() -> None:
    """The page."""
    if data.recorded() is None:
        first_request.show()
        return
    preset, timezone = controls.head("Requests")
    chosen = period(preset, now=data.now(), timezone=timezone)
    wanted = _filters(chosen)
    try:
        page = data.requests(wanted, limit=PAGE_ROWS, cursor=st.query_params.get("before"))
    except InvalidInputError:
        st.query_params.pop("before", None)
        page = data.requests(wanted, limit=PAGE_ROWS)
    if not page.data:
        st.info("No request matches. Choose a longer time range, or fewer filters.")
        return
    _rows(page, timezone)


def _filters(chosen: Period) -> RequestFilter:
    """The filters as widgets, with the values that occur in the period."""
    found: dict[str, tuple[str, ...]] = {}
    grid = st.grid(5, min_column_width=170, gap="small")
    for name in _FILTERS:
        names = _names(chosen, name)
        picked = grid.multiselect(
            name.capitalize(),
            names.values(),
            format_func=names.of_value,
            key=name,
            bind="query-params",
            placeholder="All",
            on_change=_first_page,
        )
        if picked:
            found[name] = tuple(picked)
    outcomes = grid.multiselect(
        "Outcome",
        OUTCOMES,
        key="outcome",
        bind="query-params",
        placeholder="All",
        on_change=_first_page,
    )
    if outcomes:
        found["outcome"] = tuple(outcomes)
    text = grid.text_input(
        "Request id",
        key="q",
        bind="query-params",
        placeholder="Ours or the provider's",
        on_change=_first_page,
    ).strip()
    if text:
        return RequestFilter(filters=found, request_id=text)
    return RequestFilter(since=chosen.since, until=chosen.until, filters=found)


def _names(chosen: Period, dimension: str) -> Named:
    """What can be chosen: every value of the last months, so that a link keeps its filters in a quiet hour."""
    query = UsageQuery(
        since=min(chosen.since, chosen.until - OPTIONS_FROM),
        until=chosen.until,
        group_by=(dimension,),
        percentiles=False,
    )
    return Named.from_rows((row.dimensions for row in data.usage(query).rows), dimension=dimension)


def _first_page() -> None:
    """Other filters begin at the newest request."""
    st.query_params.pop("before", None)
    st.session_state.pop("newer", None)


def _rows(page: Page, timezone: str) -> None:
    shown = tables.log(page.data, timezone=timezone)
    state = st.dataframe(
        shown.table(),
        column_config=shown.config,
        hide_index=True,
        placeholder=formats.UNKNOWN,
        height="content",
        on_select="rerun",
        selection_mode="single-cell",
        key="log",
    )
    if state.selection.cells:
        open_request(page.data[state.selection.cells[0][0]]["request_id"])
    _pager(page, tables.to_csv(shown.columns))


def _pager(page: Page, csv: bytes) -> None:
    here = st.query_params.get("before")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Newest", icon=":material/first_page:", disabled=here is None, on_click=_first_page)
        st.button("Newer", icon=":material/chevron_left:", disabled=here is None, on_click=_newer)
        st.button(
            "Older",
            icon=":material/chevron_right:",
            disabled=page.next is None,
            on_click=_older,
            args=(page.next,),
        )
        st.download_button(
            "CSV of this page",
            csv,
            file_name="requests.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        st.caption(f"{len(page.data)} attempts, newest first. A click opens the request.")


def _older(cursor: str) -> None:
    pages: list[str | None] = st.session_state.setdefault("newer", [])
    pages.append(st.query_params.get("before"))
    st.query_params["before"] = cursor


def _newer() -> None:
    """Back to the page we came from; to the newest one where a link led here."""
    pages: list[str | None] = st.session_state.get("newer", [])
    cursor = pages.pop() if pages else None
    if cursor is None:
        st.query_params.pop("before", None)
    else:
        st.query_params["before"] = cursor
