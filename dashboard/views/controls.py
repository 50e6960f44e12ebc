"""The head of a page: its title, the time range and the time zone, which are part of the page's address."""

from zoneinfo import available_timezones

import streamlit as st

from dashboard.context import current
from dashboard.periods import DEFAULT, PRESETS


def head(title: str) -> tuple[str, str]:
    """Draw it; returns the chosen preset and zone."""
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="head"
    ):
        st.header(title, width="content", anchor=False)
        with st.container(
            horizontal=True, horizontal_alignment="right", vertical_alignment="center", width="content"
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
            zones = time_zones()
            timezone = st.selectbox(
                "Time zone",
                zones,
                index=zones.index(current().reporting_timezone),
                key="tz",
                bind="query-params",
                label_visibility="collapsed",
                width=190,
            )
    return preset or DEFAULT, timezone


def time_zones() -> list[str]:
    """All IANA zones; the reporting zone and UTC come first."""
    first = dict.fromkeys((current().reporting_timezone, "UTC"))
    return [*first, *sorted(available_timezones() - first.keys())]
