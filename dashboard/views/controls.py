"""The head of a page: its title, the time range and the time zone, which are part of the page's address.

A range that was chosen on one page is the one of the next page too. A saved link whose values do not exist any more
falls back to the defaults and says so.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from html import escape
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import streamlit as st

from dashboard import data, formats
from dashboard.context import current
from dashboard.names import DIMENSIONS
from dashboard.periods import CHOSEN_DAYS, DEFAULT, PRESETS, Range
from dashboard.tables import Shown, to_csv, to_parquet

_KEPT = ("range", "tz", "days")


def head(title: str) -> Range:
    """Draw it; returns what is chosen."""
    zones = time_zones()
    notice(drop_unknown("range", PRESETS), drop_unknown("tz", zones))
    _remember()
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="head"
    ):
        st.header(title, width="content", anchor=False)
        with st.container(
            horizontal=True,
            horizontal_alignment="right",
            vertical_alignment="center",
            width="content",
            gap="small",
        ):
            preset = st.segmented_control(
                "Time range",
                list(PRESETS),
                default=DEFAULT,
                required=True,
                key="range",
                bind="query-params",
                label_visibility="collapsed",
            )
            timezone = st.selectbox(
                "Time zone",
                zones,
                index=zones.index(current().reporting_timezone),
                key="tz",
                bind="query-params",
                label_visibility="collapsed",
                width=170,
            )
            chosen = days("Days", timezone, key="days") if preset == CHOSEN_DAYS else None
    for name in _KEPT:
        if name in st.session_state:
            st.session_state[f"kept-{name}"] = st.session_state[name]
    return Range(preset or DEFAULT, timezone, chosen)


def prose(text: str) -> None:
    """Text of unknown origin that wraps: exactly these characters, whatever they would mean as Markdown or HTML."""
    st.html(f"<span>{escape(text)}</span>")


def dimension(default: str = "Model", *, key: str = "by") -> str:
    """Draw the choice of a dimension; returns its label."""
    notice(drop_unknown(key, DIMENSIONS))
    found = st.segmented_control(
        "By",
        list(DIMENSIONS),
        default=default,
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
    return found or default


def title(text: str) -> None:
    """The head of a page that has no time range."""
    st.header(text, anchor=False)


def days(label: str, timezone: str, *, key: str) -> tuple[date, date]:
    """Draw a choice of days; while only the first is chosen, that one day."""
    today = data.now().astimezone(ZoneInfo(timezone)).date()
    chosen = st.date_input(
        label,
        (today - timedelta(days=6), today),
        max_value=today,
        key=key,
        bind="query-params",
        label_visibility="collapsed" if key == "days" else "visible",
        format="YYYY-MM-DD",
        width=230 if key == "days" else "stretch",
    )
    found: Sequence[date] = chosen if isinstance(chosen, tuple) else (chosen,)
    return (found[0], found[-1]) if found else (today, today)


def _remember() -> None:
    """What was chosen on the page before, where the address of this one says nothing."""
    for name in _KEPT:
        if name not in st.session_state and name not in st.query_params:
            before = st.session_state.get(f"kept-{name}")
            if before is not None:
                st.session_state[name] = before


def drop_unknown(name: str, known: Collection[str]) -> str | None:
    """Take values of the address that do not exist out of it; the parameter's name where there were any."""
    given = st.query_params.get_all(name)
    left = [value for value in given if value in known]
    if len(left) == len(given):
        return None
    if left:
        st.query_params[name] = left
    else:
        st.query_params.pop(name, None)
    return name


def notice(*dropped: str | None) -> None:
    """Say which filters of a link could not be used."""
    names = [name for name in dropped if name is not None]
    if names:
        st.warning(
            f"This link asks for a value of {_words(names)} that does not exist here; it is left out.",
            icon=":material/link_off:",
        )


def _words(names: Iterable[str]) -> str:
    return " and ".join(f"“{name}”" for name in names)


def table(shown: Shown, *, key: str, **options: Any) -> Any:
    """Draw a table; *options* are those of `st.dataframe`. Returns what is chosen in it, where it can be chosen."""
    return st.dataframe(
        shown.table(),
        column_config=shown.config,
        column_order=shown.order,
        row_height=shown.row_height,
        hide_index=True,
        key=key,
        **{"placeholder": formats.UNKNOWN, **options},
    )


def panel(label: str, *, key: str, icon: str = ":material/add:") -> Any:
    """A form that unfolds; `acting.done` folds it by its key."""
    return st.expander(label, icon=icon, key=key, on_change="rerun")


def choosing(*, rows: bool) -> dict[str, Any]:
    """The options of a table in which a row can be chosen, if *rows*."""
    return {"on_select": "rerun", "selection_mode": "single-row"} if rows else {}


def chosen_row(state: Any) -> int | None:
    """The row that is chosen in a table, if any."""
    found = state.selection.rows if hasattr(state, "selection") else ()
    return found[0] if found else None


def downloads(shown: Shown, *, name: str) -> None:
    """Draw buttons that save what a table shows."""
    with st.container(horizontal=True, horizontal_alignment="right", width="content"):
        for suffix, label, write, mime in (
            ("csv", "CSV", to_csv, "text/csv"),
            ("parquet", "Parquet", to_parquet, "application/vnd.apache.parquet"),
        ):
            st.download_button(
                label,
                partial(write, shown),
                file_name=f"tollkeeper-{name}.{suffix}",
                mime=mime,
                icon=":material/download:",
                on_click="ignore",
                key=f"{name}-{suffix}",
            )


def as_of(timezone: str) -> None:
    """When the page was read, and when the newest request that is in the books began."""
    read, newest = data.now(), data.newest()
    if newest is not None:
        st.caption(
            f"Data as of {_clock(read, timezone)} · newest request {_clock(newest, timezone)} · {timezone}"
        )


def _clock(moment: datetime, timezone: str) -> str:
    shown = formats.instant(moment, timezone=timezone)
    today = formats.instant(data.now(), timezone=timezone)
    return shown[11:] if shown[:10] == today[:10] else shown


def time_zones() -> list[str]:
    """All IANA zones; the reporting zone and UTC come first."""
    first = dict.fromkeys((current().reporting_timezone, "UTC"))
    return [*first, *sorted(available_timezones() - first.keys())]
