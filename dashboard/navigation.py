"""The pages and their addresses."""

from collections.abc import Mapping
from typing import NoReturn

import streamlit as st

OVERVIEW, REQUESTS, REQUEST = "overview", "requests", "request"


def all_pages() -> Mapping[str, st.Page]:
    """Every page by its name; the one of a single request is reached by links only."""
    from dashboard.views import overview, request, requests

    return {
        OVERVIEW: st.Page(
            overview.show, title="Overview", icon=":material/monitoring:", url_path="overview", default=True
        ),
        REQUESTS: st.Page(requests.show, title="Requests", icon=":material/list_alt:", url_path="requests"),
        REQUEST: st.Page(
            request.show,
            title="Request",
            icon=":material/receipt_long:",
            url_path="request",
            visibility="hidden",
        ),
    }


def open_request(identifier: str) -> NoReturn:
    """Go to the page of one request."""
    st.switch_page(all_pages()[REQUEST], query_params={"id": identifier})
