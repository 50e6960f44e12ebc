"""The log: filters that are part of the address, pages that go back in time, a live tail, files, a way into each."""

import streamlit as st

from dashboard import data, exports
from dashboard.views import clicks, controls, first_request, log_filters
from dashboard.views.away import calmly
from service.errors import InvalidInputError
from service.reporting.rows import Page, RequestFilter

PAGE_ROWS = 50
TAIL_EVERY_S = 2
FILTER = "log-filter"


def show() -> None:
    """The page."""
    if data.recorded() is None:
        first_request.show()
        return
    chosen = controls.head("Requests")
    wanted = log_filters.draw(chosen.period(data.now()))
    st.session_state[FILTER] = wanted
    _bar(wanted)
    tail = bool(st.session_state.get("live")) and "before" not in st.query_params
    drawn = st.fragment(_log, run_every=TAIL_EVERY_S if tail else None)
    drawn(wanted, chosen.timezone)


def _bar(wanted: RequestFilter) -> None:
    """The live tail, and the whole of what is filtered as a file."""
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="log-bar"
    ):
        st.toggle("Live", key="live", bind="query-params", help="New requests appear by themselves.")
        with st.container(
            horizontal=True, vertical_alignment="center", horizontal_alignment="right", width="content"
        ):
            for file_format, label in (("csv", "CSV"), ("parquet", "Parquet")):
                st.link_button(
                    label,
                    exports.address(wanted, file_format=file_format),  # type: ignore[arg-type]
                    icon=":material/download:",
                    help="Every matching request with every column, as a file.",
                )


@calmly
def _log(wanted: RequestFilter, timezone: str) -> None:
    try:
        page = data.requests(wanted, limit=PAGE_ROWS, cursor=st.query_params.get("before"))
    except InvalidInputError:
        st.query_params.pop("before", None)
        page = data.requests(wanted, limit=PAGE_ROWS)
    if not page.data:
        st.info("No request matches. Choose a longer time range, or fewer filters.")
        return
    clicks.log(page.data, timezone=timezone, key="log", height="content")
    _pager(page)


def _pager(page: Page) -> None:
    here = st.query_params.get("before")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Newest", icon=":material/first_page:", disabled=here is None, on_click=log_filters.first_page
        )
        st.button("Newer", icon=":material/chevron_left:", disabled=here is None, on_click=_newer)
        st.button(
            "Older",
            icon=":material/chevron_right:",
            disabled=page.next is None,
            on_click=_older,
            args=(page.next,),
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
