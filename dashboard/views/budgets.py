"""Budgets: what is spent and held of each, when it resets or runs out, and its history. Administrators change them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec
import streamlit as st
from sqlalchemy import Connection

from dashboard import budget_words, control_tables, controlling, data, formats
from dashboard.acting import act, announce, done
from dashboard.context import current, viewer
from dashboard.controlling import BudgetStanding
from dashboard.views import controls
from dashboard.views.away import calmly
from service.budgets.policy import EACH, SCOPE_KINDS
from service.budgets.values import MODES, BudgetChanges, GivenRaise, GivenScope, NewBudget
from service.budgets.windows import WINDOWS
from service.pricing.money import format_usd

WHOLE_TABLE_ROWS = 16
BAR_HEIGHT = 74


def show() -> None:
    """The page."""
    announce()
    controls.title("Budgets")
    if viewer().may_act:
        _create()
    _table()


def _create() -> None:
    with controls.panel("New budget", key="new-budget-panel"), st.form("new-budget", border=False):
        grid = st.grid(4, min_column_width=140, gap="small")
        kind = grid.selectbox(
            "Scope", SCOPE_KINDS, key="new-scope", format_func=lambda text: text.replace("_", " ")
        )
        identifier = grid.text_input(
            "Which", placeholder="Id or name; * is each by itself", key="new-id", help="Nothing for global."
        ).strip()
        limit = grid.text_input("Limit, $", placeholder="100.00", key="new-limit").strip()
        window = grid.selectbox("Window", WINDOWS, index=WINDOWS.index("month"), key="new-window")
        mode = grid.selectbox(
            "Mode", MODES, key="new-mode", help="hard refuses what does not fit, soft only counts."
        )
        zones = controls.time_zones()
        timezone = grid.selectbox("Time zone", zones, key="new-zone")
        models = grid.text_input(
            "Only these models", placeholder="All; or gpt-4o*, o4-mini", key="new-models"
        )
        if not st.form_submit_button("Create budget", type="primary"):
            return
    new = NewBudget(
        scope=GivenScope(kind=kind, id=identifier or None),
        limit_usd=limit.removeprefix("$"),
        window=window,
        timezone=timezone,
        mode=mode,
        models=[part.strip() for part in models.split(",") if part.strip()] or None,
    )
    if act(lambda tx, by: current().registries.budgets.create(tx, _by_id(tx, new), by=by)) is not None:
        done(
            "The budget is made. Relays keep to it within two seconds.",
            then={"new-budget-panel": False, "new-id": "", "new-limit": "", "new-models": ""},
        )


def _by_id(tx: Connection, new: NewBudget) -> NewBudget:
    """*new*, its key by the id where somebody wrote the name."""
    if new.scope.kind != "key" or new.scope.id in (None, EACH):
        return new
    found = current().registries.keys.find(tx, new.scope.id)
    return msgspec.structs.replace(new, scope=GivenScope("key", found.id))


@calmly
def _table() -> None:
    now = data.now()
    found = controlling.budgets(at=now.replace(microsecond=0))
    if not found:
        st.info(
            "There is no budget yet. One can limit everything, a project, a key, an end user or a model.",
            icon=":material/savings:",
        )
        return
    names = {one.key.id: one.key.name for one in controlling.keys(until=now.replace(second=0, microsecond=0))}
    days = [controlling.exhaustion(one) for one in found]
    timezone = current().reporting_timezone
    shown = control_tables.budgets(found, names=names, days=days, timezone=timezone)
    state = controls.table(
        shown,
        key="budgets",
        height="content" if len(found) <= WHOLE_TABLE_ROWS else "auto",
        **controls.choosing(rows=True),
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        more = " and to change it" if viewer().may_act else ""
        st.caption(f"Choose a row for its history{more}.", width="content")
        controls.downloads(shown, name="budgets")
    _notices(found, names)
    row = controls.chosen_row(state)
    if row is not None and row < len(found):
        chosen = found[row]
        with st.container(border=True):
            st.text(f"{control_tables.whose(chosen, names=names)} · {chosen.stored.budget.id}")
            _division(chosen)
            if viewer().may_act:
                _change(chosen)
            _history(chosen, timezone)


def _notices(found: Sequence[BudgetStanding], names: Mapping[str, str]) -> None:
    """Why a budget refuses although little of it is spent, and which ones are about to."""
    if any(one.stored.budget.mode == "hard" for one in found):
        st.caption(
            "A hard budget refuses a request whose largest possible cost does not fit into what is left. What requests "
            "that are running may still cost is held until they end, so left is neither spent nor held."
        )
    for sentence in budget_words.tight(found, names=names):
        with st.container(border=True):
            mark, text = st.columns([1, 7], gap="small", vertical_alignment="center")
            mark.badge("little left", icon=":material/warning:", color="orange")
            with text:
                controls.prose(sentence)


def _division(chosen: BudgetStanding) -> None:
    """Spent, held and left as one bar, and each of them exactly."""
    stands = chosen.standing
    parts = {"Spent": stands.spent_nanos, "Held": stands.held_nanos, "Left": stands.remaining_nanos}
    st.echarts_chart(
        budget_words.division(parts, limit_nanos=stands.limit_nanos),
        height=BAR_HEIGHT,
        key="division",
        alt="What is spent, held and left",
    )
    amounts = [f"{label.lower()} {formats.usd(nanos)}" for label, nanos in parts.items()]
    st.text(f"Of {formats.usd(stands.limit_nanos)}: {', '.join(amounts)}.")


def _change(chosen: BudgetStanding) -> None:
    budget, registry = chosen.stored.budget, current().registries.budgets
    left, right = st.columns(2, gap="medium")
    with left, st.form(f"limit-{budget.id}", border=False):
        limit = st.text_input("Limit, $", value=format_usd(budget.limit_nanos), key=f"limit-of-{budget.id}")
        mode = st.selectbox("Mode", MODES, index=MODES.index(budget.mode), key=f"mode-of-{budget.id}")
        if st.form_submit_button("Save"):
            changes = BudgetChanges(limit_usd=limit.strip().removeprefix("$"), mode=mode)
            if act(lambda tx, by: registry.update(tx, budget.id, changes=changes, by=by)) is not None:
                done("The budget is changed.")
    with right, st.form(f"raise-{budget.id}", border=False):
        amount = st.text_input("Temporary raise, $", placeholder="25.00", key=f"raise-of-{budget.id}")
        hours = st.number_input(
            "For hours", min_value=1, max_value=8_760, value=24, key=f"hours-of-{budget.id}"
        )
        if st.form_submit_button("Raise"):
            raised = GivenRaise(
                amount_usd=amount.strip().removeprefix("$"), until=data.now() + timedelta(hours=int(hours))
            )
            changes = msgspec.structs.replace(BudgetChanges(), temporary_raise=raised)
            if act(lambda tx, by: registry.update(tx, budget.id, changes=changes, by=by)) is not None:
                done("The limit is raised for a while.", then={f"raise-of-{budget.id}": ""})
    with st.container(horizontal=True, vertical_alignment="center"):
        if budget.raised is not None and budget.raised.until > data.now():
            text = formats.escaped(formats.usd(budget.raised.amount_nanos))
            st.caption(f"Raised by {text} for now.", width="content")
            if st.button("End the raise", key=f"end-{budget.id}"):
                ending = BudgetChanges(temporary_raise=None)
                if act(lambda tx, by: registry.update(tx, budget.id, changes=ending, by=by)) is not None:
                    done("The raise has ended.")
        sure = st.checkbox("Delete for good", key=f"sure-{budget.id}")
        delete = st.button("Delete", icon=":material/delete:", disabled=not sure, key=f"delete-{budget.id}")
        if delete and act(lambda tx, by: registry.delete(tx, budget.id, by=by)) is not None:
            done("The budget is deleted; its history stays.")


def _history(chosen: BudgetStanding, timezone: str) -> None:
    budget = chosen.stored.budget
    found = controlling.periods(budget, chosen.standing.subject if budget.scope.id == EACH else "")
    if not found:
        st.caption("Nothing was spent of it yet.")
        return
    st.markdown("**History**")
    shown = control_tables.periods(found, timezone=timezone)
    controls.table(shown, key="periods")
