"""A log in which a click opens the request of the row that was clicked.

The log may have moved on before the click arrives here: then its rows are others than those that the person saw. So
what a click means is looked up in the rows that were drawn last, not in those that are read now.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from dashboard import tables
from dashboard.navigation import open_request
from dashboard.views import controls


def table(rows: Sequence[Mapping[str, Any]], *, timezone: str, key: str, **options: Any) -> None:
    """Draw records as a log; go to the request that was clicked."""
    clicked = st.session_state.pop(f"{key}-clicked", None)
    if clicked is not None:
        open_request(clicked)
    controls.table(
        tables.log(rows, timezone=timezone),
        key=key,
        on_select=partial(_note, key),
        selection_mode="single-cell",
        **options,
    )
    st.session_state[f"{key}-drawn"] = [row["request_id"] for row in rows]


def _note(key: str) -> None:
    """The request of the cell that was clicked, in the rows that were drawn when it was."""
    cells = st.session_state[key]["selection"]["cells"]
    drawn: list[str] = st.session_state.get(f"{key}-drawn", [])
    if cells and cells[0][0] < len(drawn):
        st.session_state[f"{key}-clicked"] = drawn[cells[0][0]]
