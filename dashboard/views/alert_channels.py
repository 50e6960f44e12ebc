"""The channels: where messages go. What is secret of one goes in and is never shown; a webhook's own secret once."""

import streamlit as st

from dashboard import controlling
from dashboard.acting import act, attempt, done, perform, require_admin
from dashboard.context import current, viewer
from dashboard.views import controls
from dashboard.views.away import calmly
from service.alerts.channel_registry import ChannelRecord
from service.alerts.channel_values import NewChannel, Prepared, prepared

SHOWN_ONCE = "webhook-shown-once"
KINDS = {
    "Slack, Teams, Telegram, e-mail, …": "apprise",
    "Signed webhook": "webhook",
    "PagerDuty": "pagerduty",
    "Log of the keeper": "log",
}


def draw() -> None:
    """The section of the page."""
    secret = st.session_state.get(SHOWN_ONCE)
    if secret is not None:
        with st.container(border=True):
            st.markdown(":material/key: **The webhook's secret. Copy it now; it cannot be shown again.**")
            st.code(secret, language=None)
            if st.button("I have copied it", type="primary", key="webhook-copied"):
                del st.session_state[SHOWN_ONCE]
                st.rerun()
    if viewer().may_act:
        _create()
    _list()


def _create() -> None:
    with controls.panel("New channel", key="new-channel-panel"):
        label = st.selectbox("Kind", list(KINDS), key="channel-kind")
        kind = KINDS[label]
        with st.form("new-channel", border=False):
            name = st.text_input("Name", key="channel-name").strip()
            url = routing_key = None
            if kind in ("apprise", "webhook"):
                url = st.text_input(
                    "Address",
                    type="password",
                    key="channel-url",
                    help="Of a service as apprise writes it, such as slack://…, msteams://…, tgram://…, mailtos://…; "
                    "of a webhook, https://….",
                ).strip()
            if kind == "pagerduty":
                routing_key = st.text_input("Integration key", type="password", key="channel-key").strip()
            if not st.form_submit_button("Create channel", type="primary"):
                return
        made = attempt(lambda: _make(NewChannel(name=name, kind=kind, url=url, routing_key=routing_key)))
        if made is not None:
            if made.signing_secret is not None:
                st.session_state[SHOWN_ONCE] = made.signing_secret
            empty = dict.fromkeys(("channel-name", "channel-url", "channel-key"), "")
            done("The channel is made. Send a test message.", then={"new-channel-panel": False, **empty})


def _make(new: NewChannel) -> Prepared | None:
    """Judged before the transaction begins: that may ask the name server."""
    require_admin()
    channels = current().registries.alerts.channels
    judged = prepared(new, guard=channels.guard, random_bytes=channels.random_bytes)
    made = act(lambda tx, by: channels.create(tx, judged, by=by))
    return None if made is None else judged


@calmly
def _list() -> None:
    found = controlling.channels()
    if not found:
        st.info("There is no channel yet: alerts are only shown here.", icon=":material/campaign:")
        return
    for channel in found:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.text(f"{channel.name} · {channel.kind} · {channel.target}", width="stretch")
            if viewer().may_act:
                _act_on(channel)


def _act_on(channel: ChannelRecord) -> None:
    desk = current().registries.alerts
    test = st.button("Send a test", icon=":material/send:", key=f"test-{channel.id}")
    if test and perform(lambda tx, by: desk.put_test(tx, channel.id, by=by)):
        done("The keeper sends it within a second; see the deliveries.")
    with st.popover("Delete", icon=":material/delete:"):
        st.caption("Its secrets are forgotten.")
        delete = st.button("Delete for good", key=f"delete-{channel.id}")
        if delete and perform(lambda tx, by: desk.channels.delete(tx, channel.id, by=by)):
            done("The channel is deleted.")
