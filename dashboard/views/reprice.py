"""Past usage at today's prices: first what would change, then, for an administrator, the change itself."""

import streamlit as st

from dashboard import data, formats, price_tables, pricing
from dashboard.acting import actor, attempt, done, require_admin
from dashboard.context import current, viewer
from dashboard.views import controls
from service.ledger.repricer import Wanted
from service.ledger.repricing import Diff
from service.reporting.dimensions import require_storable

RESULT = "reprice-result"
REASON = "repriced on the dashboard"
_UNCHANGED = {
    "same": "cost the same",
    "no_usage": "have no usage",
    "no_price": "have no price",
    "provider_cost": "keep the cost that the provider reported",
}


def draw() -> None:
    """The part of the page."""
    st.subheader("Reprice past requests", anchor=False)
    st.caption(
        "Rates past requests again at today's prices. Records stay as they are; every change is a ledger entry, and "
        "doing it twice changes nothing more."
    )
    timezone = current().reporting_timezone
    with st.form("reprice", border=True):
        grid = st.grid(3, min_column_width=180, gap="small", vertical_alignment="bottom")
        days = grid.number_input("Days back", min_value=1, max_value=3_660, value=30, key="reprice-days")
        model = grid.text_input(
            "Model", key="reprice-model", placeholder="All; * stands for any characters"
        ).strip()
        asked = grid.form_submit_button("Show what would change", icon=":material/preview:")
    if asked:
        found = attempt(lambda: _preview(int(days), model, timezone))
        st.session_state[RESULT] = None if found is None else (int(days), model, found)
    kept = st.session_state.get(RESULT)
    if kept is not None:
        _result(*kept, timezone=timezone)


def _wanted(days: int, model: str) -> Wanted:
    require_storable(model, field="model")
    now = data.now()
    filters = {"model": (model,)} if model else {}
    return Wanted(since=now - days * pricing.DAY, until=now, filters=filters)


def _preview(days: int, model: str, timezone: str) -> Diff:
    with st.spinner("Rating requests again"):
        return pricing.preview(_wanted(days, model), timezone=timezone)


def _result(days: int, model: str, diff: Diff, *, timezone: str) -> None:
    others = ", ".join(
        f"{formats.count(count)} {_UNCHANGED[reason]}" for reason, count in diff.unchanged.items() if count
    )
    if not diff.records:
        st.info(f"Nothing would change{f': {others}' if others else ''}.", icon=":material/check:")
        return
    shown = price_tables.changes(diff)
    st.dataframe(shown.table(), column_config=shown.config, hide_index=True, key="reprice-changes")
    old, new = formats.usd(diff.old_nanos), formats.usd(diff.new_nanos)
    st.text(
        f"{formats.count(diff.records)} requests would cost {new} instead of {old}; "
        f"{formats.count(diff.newly_priced)} of them had no cost{f'; {others}' if others else ''}."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        if viewer().may_act and st.button("Write these changes", type="primary", key="reprice-apply"):
            written = attempt(lambda: _apply(days, model, timezone))
            if written is not None:
                st.session_state[RESULT] = None
                done(f"{formats.count(written.records)} requests have their new cost.")
        controls.downloads(shown, name="reprice")


def _apply(days: int, model: str, timezone: str) -> Diff:
    require_admin()
    with st.spinner("Writing ledger entries"):
        return pricing.repricer(timezone).apply(
            _wanted(days, model),
            reason=REASON,
            by=actor(),
            now=data.now(),
            random_bytes=current().registries.random_bytes,
        )
