"""The rules: what is watched and when it is too much. A new one can be tried on the last thirty days first."""

import msgspec
import streamlit as st

from dashboard import alert_tables, controlling, data
from dashboard.acting import act, attempt, done, perform
from dashboard.context import current, viewer
from dashboard.views import alert_rule_form, controls
from dashboard.views.away import calmly
from service.alerts.metrics import METRICS
from service.alerts.registry import mute_until
from service.alerts.rules import Rule
from service.alerts.values import NewRule, RuleChanges, as_given

MUTES = {"an hour": "1h", "a day": "1d", "a week": "7d", "thirty days": "30d"}


def draw() -> None:
    """The section of the page."""
    if viewer().may_act:
        _create()
    _list()


def _create() -> None:
    with controls.panel("New rule", key="new-rule-panel"):
        chosen = st.selectbox(
            "Watch", list(METRICS), key="rule-metric", index=list(METRICS).index("error_rate")
        )
        metric = METRICS[chosen]
        prefix = f"rule-{metric.name}"
        st.caption(metric.says)
        with st.form("new-rule", border=False):
            typed = alert_rule_form.draw(alert_rule_form.blank(metric), metric=metric, prefix=prefix)
            with st.container(horizontal=True):
                tried = st.form_submit_button("Try it on the last 30 days", icon=":material/history:")
                made = st.form_submit_button("Create rule", type="primary")
        if not (tried or made):
            return
        new = NewRule(**{**typed.fields(), "name": typed.name or "a trial"}, metric=metric.name)
        if tried:
            _preview(new)
        elif perform(
            lambda tx, by: current().registries.alerts.rules.create(tx, _named(new, typed.name), by=by)
        ):
            done(
                "The rule is made; it is evaluated from now on.",
                then={"new-rule-panel": False, **alert_rule_form.empty(metric.name, prefix=prefix)},
            )


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
        controls.table(alert_tables.raised(found, timezone=timezone), key="raised")


@calmly
def _list() -> None:
    found = controlling.rules()
    if not found:
        st.caption("There is no rule yet; the keeper makes the usual ones when it first starts.")
        return
    names = {one.id: one.name for one in controlling.channels()}
    timezone = current().reporting_timezone
    may_act = viewer().may_act
    shown = alert_tables.rules(found, channels=names, now=data.now(), timezone=timezone)
    state = controls.table(
        shown, key="rules", height="content", placeholder="", **controls.choosing(rows=may_act)
    )
    if not may_act:
        return
    row = controls.chosen_row(state)
    if row is None or row >= len(found):
        st.caption("Choose a row to change, mute or delete its rule.")
    else:
        _change(found[row])


def _change(rule: Rule) -> None:
    registry = current().registries.alerts.rules
    with st.container(border=True):
        st.text(f"{rule.name} · {rule.id}")
        _edit(rule)
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


def _edit(rule: Rule) -> None:
    """The rule's own form. It is drawn anew after every change, with what holds then."""
    metric, prefix = rule.measured, f"edit-{rule.id}-{rule.updated_at:%H%M%S%f}"
    st.caption(f"{metric.says} What a rule watches stays; for something else make another one.")
    with st.form(f"form-{prefix}", border=False):
        typed = alert_rule_form.draw(as_given(rule), metric=metric, prefix=prefix)
        if not st.form_submit_button("Save rule", type="primary"):
            return
    registry, changes = current().registries.alerts.rules, RuleChanges(**typed.fields())
    if perform(lambda tx, by: registry.update(tx, rule.id, changes=changes, by=by)):
        done("The rule is changed; it is evaluated so from now on.")
