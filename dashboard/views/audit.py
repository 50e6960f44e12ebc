"""The audit log: who changed what, through which door; and the proof that nothing of it was changed since."""

from collections.abc import Mapping
from datetime import timedelta

import msgspec
import streamlit as st

from dashboard import audit_table, called, controlling, data, formats
from dashboard.acting import attempt
from dashboard.context import current
from dashboard.views import controls
from dashboard.views.away import calmly
from service.audit.trail import AuditedChange, AuditFilter
from service.reporting.dimensions import require_storable

PAGE_ROWS = 100
DAYS = {"7 days": 7, "30 days": 30, "a year": 365, "all": None}


def show() -> None:
    """The page."""
    controls.title("Audit")
    _verify()
    _log()


def _verify() -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        asked = st.button("Verify the log", icon=":material/verified:", key="verify")
        st.caption(
            "Checks the chain of every entry: an edit, a deletion or another order is found.", width="content"
        )
    if not asked:
        return
    with st.spinner("Checking every entry"):
        found = attempt(controlling.verify)
    if found is None:
        return
    if found.problems:
        st.error(f"{len(found.problems)} problems in {found.entries:,} entries.", icon=":material/error:")
        for problem in found.problems[:20]:
            controls.prose(str(problem))
        return
    st.success(f"All {found.entries:,} entries are as they were written.", icon=":material/verified:")
    st.text("Note this head, and compare it later with: tollkeeper audit verify --expect")
    st.code(f"{found.head.seq}:{found.head.mac.hex()}", language=None)


@calmly
def _log() -> None:
    grid = st.grid(4, min_column_width=150, gap="small")
    who = grid.text_input("Who", key="who", bind="query-params", placeholder="Name or id").strip()
    what = grid.text_input(
        "What", key="what", bind="query-params", placeholder="key.create, or budget.*"
    ).strip()
    which = grid.text_input("Which", key="which", bind="query-params", placeholder="Name or id").strip()
    back = grid.selectbox("In the last", list(DAYS), index=1, key="back", bind="query-params")
    days = DAYS[back]
    since = None if days is None else (data.now() - timedelta(days=days)).replace(second=0, microsecond=0)
    wanted = AuditFilter(actor=who or None, action=what or None, target=which or None, since=since)
    found = attempt(lambda: _entries(wanted))
    if found is None:
        return
    if not found:
        st.info("No entry matches.", icon=":material/history_edu:")
        return
    names = called.budgets()
    shown = audit_table.audit(found, names=names, timezone=current().reporting_timezone)
    state = controls.table(
        shown,
        key="audit",
        height="content" if len(found) <= PAGE_ROWS // 4 else 720,
        **controls.choosing(rows=True),
    )
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        more = " The newest ones; narrow the filters for others." if len(found) == PAGE_ROWS else ""
        st.caption(f"{len(found)} entries.{more} Choose a row to read the whole entry.", width="content")
        controls.downloads(shown, name="audit")
    row = controls.chosen_row(state)
    if row is not None and row < len(found):
        _whole(found[row], names=names)


def _whole(entry: AuditedChange, *, names: Mapping[str, str]) -> None:
    """One entry with everything it holds."""
    with st.container(border=True):
        at = formats.instant(entry.at, timezone=current().reporting_timezone)
        kind = entry.actor.kind.replace("_", " ")
        where = "" if entry.actor.address is None else f" from {entry.actor.address}"
        st.text(f"No. {entry.seq} · {at} · {entry.action}")
        named = names.get(entry.target.id)
        target = entry.target.name if named is None else f"of {named} · {entry.target.id}"
        st.text(f"{entry.actor.name} ({kind}){where} · {entry.target.kind} {target}")
        left, right = st.columns(2, gap="medium")
        for place, label, values in ((left, "Before", entry.before), (right, "After", entry.after)):
            with place:
                st.markdown(f"**{label}**")
                if values is None:
                    st.caption("Nothing.")
                else:
                    text = msgspec.json.format(msgspec.json.encode(values), indent=2).decode()
                    st.code(text, language="json", wrap_lines=True)


def _entries(wanted: AuditFilter) -> tuple[AuditedChange, ...]:
    for text, field in ((wanted.actor, "who"), (wanted.action, "what"), (wanted.target, "which")):
        require_storable(text or "", field=field)
    return controlling.audit(wanted, limit=PAGE_ROWS)
