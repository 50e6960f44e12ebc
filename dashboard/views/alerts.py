"""Alerts: what fires now and what did, the rules with a look at their past, the channels, and what was delivered."""

from datetime import timedelta

import streamlit as st

from dashboard import control_tables, controlling, data, formats
from dashboard.acting import announce
from dashboard.context import current
from dashboard.views import alert_channels, alert_rules, controls
from dashboard.views.away import calmly
from service.alerts.event_log import EventFilter

EVERY_S = 5
SINCE = timedelta(days=30)
SECTIONS = ("Alerts", "Rules", "Channels", "Deliveries")


def show() -> None:
    """The page."""
    announce()
    controls.title("Alerts")
    controls.notice(controls.drop_unknown("section", SECTIONS))
    section = st.segmented_control(
        "Section",
        SECTIONS,
        default=SECTIONS[0],
        required=True,
        key="section",
        bind="query-params",
        label_visibility="collapsed",
    )
    match section:
        case "Rules":
            alert_rules.draw()
        case "Channels":
            alert_channels.draw()
        case "Deliveries":
            _deliveries()
        case _:
            _events()


@st.fragment(run_every=EVERY_S)
@calmly
def _events() -> None:
    timezone = current().reporting_timezone
    firing = controlling.events(EventFilter(state="firing"))
    if firing:
        st.markdown(f":material/notifications_active: **{len(firing)} firing now**")
        shown = control_tables.events(firing, timezone=timezone)
        st.dataframe(
            shown.table(),
            column_config=shown.config,
            hide_index=True,
            placeholder=formats.UNKNOWN,
            height="content",
            key="firing",
        )
    else:
        st.success("Nothing fires.", icon=":material/check_circle:")
    since = (data.now() - SINCE).replace(second=0, microsecond=0)
    past = controlling.events(EventFilter(state="resolved", since=since))
    st.subheader("The last thirty days", anchor=False)
    if not past:
        st.caption("No alert has come and gone.")
        return
    shown = control_tables.events(past, timezone=timezone)
    st.dataframe(
        shown.table(), column_config=shown.config, hide_index=True, placeholder=formats.UNKNOWN, key="past"
    )
    controls.downloads(shown, name="alerts")


@calmly
def _deliveries() -> None:
    found = controlling.deliveries()
    if not found:
        st.caption("Nothing was sent yet. A channel's test message is a first one.")
        return
    shown = control_tables.deliveries(found, timezone=current().reporting_timezone)
    st.dataframe(
        shown.table(),
        column_config=shown.config,
        hide_index=True,
        placeholder=formats.UNKNOWN,
        key="deliveries",
    )
