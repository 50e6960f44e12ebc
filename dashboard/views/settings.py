"""The settings in force, with their origins. They are set in the file, the environment and flags, not here."""

import streamlit as st

from dashboard import settings_table
from dashboard.context import current
from dashboard.views import controls


def show() -> None:
    """The page."""
    controls.title("Settings")
    loaded = current().loaded
    where = (
        "environment, flags and defaults" if loaded.path is None else "file, environment, flags and defaults"
    )
    st.write(f"What this dashboard runs with, from {where}. Change it there and start again.")
    if loaded.path is not None:
        st.text(f"Settings file: {loaded.path}")
    for problem in (*loaded.problems, *loaded.notes):
        st.text(f"Note: {problem}")
    grid = st.grid(3, min_column_width=200, gap="small")
    grid.metric(
        "Reporting time zone",
        current().reporting_timezone,
        border=True,
        help="Days and months begin here in reports and forecasts, unless a page's own choice says otherwise. Set "
        "accounting.reporting_timezone.",
    )
    grid.metric("Relay", current().relay_url.removeprefix("http://").removesuffix("/v1"), border=True)
    grid.metric("Store", "SQLite" if current().store.is_sqlite else "PostgreSQL", border=True)
    wanted = (
        st.text_input("Find", placeholder="Part of a setting's name or meaning", key="find").strip().lower()
    )
    rows = [row for row in settings_table.rows(loaded) if wanted in " ".join(row).lower()]
    if not rows:
        st.caption("No setting matches.")
        return
    shown = settings_table.table(rows)
    state = controls.table(shown, key="settings-table", height="content", **controls.choosing(rows=True))
    row = controls.chosen_row(state)
    if row is None or row >= len(rows):
        st.caption("Choose a row to read all of it.")
        return
    setting, value, origin, meaning = rows[row]
    with st.container(border=True):
        st.text(setting)
        st.code(value, language=None, wrap_lines=True)
        controls.prose(f"{meaning} ({origin})")
