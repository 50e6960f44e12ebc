"""Tables in which a click on a row leads somewhere: to the request of a line of the log, to the requests of a value.

The books may have moved on before the click arrives here: then the rows are others than those that the person saw. So
what a click means is looked up in the rows that were drawn last, not in those that are read now.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from dashboard import tables
from dashboard.navigation import open_request
from dashboard.tables import Shown
from dashboard.views import controls


def log(rows: Sequence[Mapping[str, Any]], *, timezone: str, key: str, **options: Any) -> None:
    """Draw records as a log; go to the request that was clicked."""
    shown = tables.log(rows, timezone=timezone)
    clicked = table(shown, targets=[row["request_id"] for row in rows], key=key, **options)
    if clicked is not None:
        open_request(clicked)


def table(shown: Shown, *, targets: Sequence[str | None], key: str, **options: Any) -> str | None:
    """Draw a table; returns the target of the row that was clicked, if one was."""
    controls.table(shown, key=key, on_select=partial(_note, key), selection_mode="single-cell", **options)
    st.session_state[f"{key}-drawn"] = list(targets)
    clicked: str | None = st.session_state.pop(f"{key}-clicked", None)
    return clicked


def _note(key: str) -> None:
    """The target of the cell that was clicked, in the rows that were drawn when it was."""
    cells = st.session_state[key]["selection"]["cells"]
    drawn: list[str | None] = st.session_state.get(f"{key}-drawn", [])
    if cells and cells[0][0] < len(drawn):
        st.session_state[f"{key}-clicked"] = drawn[cells[0][0]]
