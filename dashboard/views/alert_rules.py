"""The rules: what is watched and when it is too much. A new one can be tried on the last thirty days first."""

import msgspec
import streamlit as st

from dashboard import control_tables, controlling, data
from dashboard.acting import act, attempt, done, perform
from dashboard.context import current, viewer
from dashboard.views.away import calmly
from service.alerts.metrics import METRICS
from service.alerts.registry import mute_until
from service.alerts.rules import Rule
from service.alerts.values import NewRule
from service.reporting.dimensions import ROLLUP

MUTES = {"an hour": "1h", "a day": "1d", "a week": "7d", "thirty days": "30d"}


def draw() -> None:
    """The section of the page."""
    if viewer().may_act:
        _create()
    _list()


def _create() -> None:
    with st.expander("New rule", icon=":material/add:", expanded=bool(st.session_state.get("rule-metric"))):
        metric = METRICS[
            st.selectbox("Watch", list(METRICS), key="rule-metric", index=list(METRICS).index("error_rate"))
            or ""
        ]
        st.caption(f"{metric.says} Unit: {metric.unit}.")
        with st.form("new-rule", border=False):
            grid = st.grid(4, min_column_width=140, gap="small")
            name = grid.text_input("Name", key="rule-name").strip()
            warning = grid.number_input(
                "Warning at", value=metric.warning, min_value=0.0, format="%g", key="rule-warning"
            )
            critical = grid.number_input(
                "Critical at", value=metric.critical, min_value=0.0, format="%g", key="rule-critical"
            )
            window = grid.text_input(
                "Window", value=metric.window or "", key="rule-window", disabled=metric.window is None
            )
            groups = grid.multiselect(
                "Alert for each", list(ROLLUP), key="rule-groups", placeholder="All together"
            )
            fewest = grid.number_input(
                "At least requests", value=metric.min_requests, min_value=0, key="rule-fewest"
            )
            known = {one.id: one.name for one in controlling.channels()}
            told = grid.multiselect(
                "Tell",
                list(known),
                format_func=known.__getitem__,
                key="rule-told",
                placeholder="Every channel",
            )
            with st.container(horizontal=True):
                tried = st.form_submit_button("Try it on the last 30 days", icon=":material/history:")
                made = st.form_submit_button("Create rule", type="primary")
        if not (tried or made):
            return
        new = NewRule(
            name=name or "a trial",
            metric=metric.name,
            group_by=list(groups),
            window=window.strip() or None,
            warning=warning or None,
            critical=critical or None,
            min_requests=int(fewest),
            channels=list(told),
        )
        if tried:
            _preview(new)
        elif (
            act(lambda tx, by: current().registries.alerts.rules.create(tx, _named(new, name), by=by))
            is not None
        ):
            done("The rule is made; it is evaluated from now on.")


def _named(new: NewRule, name: str) -> NewRule:
    """The rule as it is to be stored: without a name it is refused."""
    return msgspec.structs.replace(new, name=name)


def _preview(new: NewRule) -> None:
    """What the rule would have raised."""
    timezone = current().reporting_timezone
    with st.spinner("Replaying thirty days"):
        found = attempt(lambda: controlling.preview(new, timezone=timezone))
    if found is None:
        return
    times = "once" if len(found) == 1 else f"{len(found):,} times"
    st.info(
        f"It would have fired {times} in the last thirty days."
        if found
        else "It would not have fired in the last thirty days.",
        icon=":material/history:",
    )
    if found:
        shown = control_tables.raised(found, timezone=timezone)
        st.dataframe(shown.table(), column_config=shown.config, hide_index=True, key="raised")


@calmly
def _list() -> None:
    found = controlling.rules()
    if not found:
        st.caption("There is no rule yet; the keeper makes the usual ones when it first starts.")
        return
    names = {one.id: one.name for one in controlling.channels()}
    timezone = current().reporting_timezone
    shown = control_tables.rules(found, channels=names, now=data.now(), timezone=timezone)
    state = st.dataframe(
        shown.table(),
        column_config=shown.config,
        hide_index=True,
        placeholder="",
        height="content",
        on_select="rerun",
        selection_mode="single-row",
        key="rules",
    )
    if not viewer().may_act:
        return
    if state.selection.rows:
        _change(found[state.selection.rows[0]])
    else:
        st.caption("Choose a row to mute, change or delete its rule.")


def _change(rule: Rule) -> None:
    registry = current().registries.alerts.rules
    with st.container(border=True):
        st.text(f"{rule.name} · {rule.id}")
        with st.container(horizontal=True, vertical_alignment="bottom"):
            length = st.selectbox("Mute for", list(MUTES), key=f"mute-for-{rule.id}", width=150)
            if st.button("Mute", icon=":material/notifications_off:", key=f"mute-{rule.id}"):
                until = mute_until(MUTES[length], None, now=data.now())
                if act(lambda tx, by: registry.mute(tx, rule.id, until=until, by=by)) is not None:
                    done("Nobody is told for a while; what still lasts is told afterwards.")
            unmute = rule.muted(data.now()) and st.button("Unmute", key=f"unmute-{rule.id}")
            if unmute and perform(lambda tx, by: registry.unmute(tx, rule.id, by=by)):
                done("People are told again.")
            sure = st.checkbox("Delete for good", key=f"sure-{rule.id}")
            delete = st.button("Delete", icon=":material/delete:", disabled=not sure, key=f"delete-{rule.id}")
            if delete and perform(lambda tx, by: registry.delete(tx, rule.id, by=by)):
                done("The rule is deleted, and its alerts end.")
