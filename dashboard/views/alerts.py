"""Alerts: what fires now and what did, the rules with a look at their past, the channels, and what was delivered."""

from collections.abc import Sequence
from datetime import timedelta

import streamlit as st

from dashboard import alert_tables, called, controlling, data, formats
from dashboard.acting import announce
from dashboard.context import current
from dashboard.views import alert_channels, alert_rules, controls
from dashboard.views.away import calmly
from service.alerts.event_log import AlertEvent, EventFilter

EVERY_S = 5
SINCE = timedelta(days=30)
SECTIONS = ("Alerts", "Rules", "Channels", "Deliveries")
WHOLE_TABLE_ROWS = 12


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
        _table(firing, timezone=timezone, key="firing")
    else:
        st.success("Nothing fires.", icon=":material/check_circle:")
    since = (data.now() - SINCE).replace(second=0, microsecond=0)
    past = controlling.events(EventFilter(state="resolved", since=since))
    st.subheader("The last thirty days", anchor=False)
    if not past:
        st.caption("No alert has come and gone.")
        return
    _table(past, timezone=timezone, key="past")


def _table(found: Sequence[AlertEvent], *, timezone: str, key: str) -> None:
    """Alerts; the chosen one whole below them."""
    budgets, keys = called.budgets(), called.keys()
    about = [alert_tables.about(one, budgets=budgets, keys=keys) for one in found]
    shown = alert_tables.events(found, about=about, timezone=timezone, past=key == "past")
    state = controls.table(
        shown,
        key=key,
        height="content" if len(found) <= WHOLE_TABLE_ROWS else "auto",
        **controls.choosing(rows=True),
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption("Choose a row to read the whole alert, and who was told.", width="content")
        if key == "past":
            controls.downloads(shown, name="alerts")
    row = controls.chosen_row(state)
    if row is not None and row < len(found):
        _whole(found[row], timezone=timezone)


def _whole(event: AlertEvent, *, timezone: str) -> None:
    """One alert: its sentence, what it stood at, and the messages about it."""
    with st.container(border=True):
        controls.prose(event.summary)
        ended = event.resolved_at
        times = f"Since {formats.instant(event.fired_at or event.seen_at, timezone=timezone)}"
        times += "" if ended is None else f", over at {formats.instant(ended, timezone=timezone)}"
        st.caption(f"{times} · {timezone} · {_told(event)}")
        sent = controlling.deliveries(event_id=event.id)
        if sent:
            shown = alert_tables.deliveries(sent, timezone=timezone)
            controls.table(shown, key=f"sent-{event.id}", height="content")


def _told(event: AlertEvent) -> str:
    if not event.told:
        return "nobody was told"
    return "people were told once" if event.told == 1 else f"people were told {event.told} times"


@calmly
def _deliveries() -> None:
    found = controlling.deliveries()
    if not found:
        st.caption("Nothing was sent yet. A channel's test message is a first one.")
        return
    shown = alert_tables.deliveries(found, timezone=current().reporting_timezone)
    controls.table(shown, key="deliveries")
