"""Health: what `tollkeeper doctor` checks, and how far the books are behind."""

from collections.abc import Mapping
from typing import Literal

import streamlit as st

from dashboard import checkup, data, formats
from dashboard.context import current
from dashboard.views import controls
from dashboard.views.away import calmly
from service.cli.findings import Finding

EVERY_S = 5
MIB = 1 << 20
MARK_PX = 86
_MARKS: Mapping[str, tuple[str, Literal["green", "orange", "red"]]] = {
    "ok": (":material/check_circle:", "green"),
    "warning": (":material/warning:", "orange"),
    "problem": (":material/error:", "red"),
}
_WORST_FIRST = ("problem", "warning", "ok")


def show() -> None:
    """The page."""
    controls.title("Health")
    _books()
    _checks()
    _upstreams()


@st.fragment(run_every=EVERY_S)
@calmly
def _books() -> None:
    """The store, the journal, and the newest record."""
    lag = checkup.lag()
    age = None if lag.newest_record is None else (data.now() - lag.newest_record).total_seconds()
    grid = st.grid(4, min_column_width=160, gap="small")
    grid.metric("Store", "SQLite" if current().store.is_sqlite else "PostgreSQL", border=True)
    grid.metric(
        "Newest record",
        formats.UNKNOWN if age is None else f"{formats.duration(max(0.0, age) * 1000)} ago",
        border=True,
        help="How long ago the newest request that is in the books began. Without traffic it grows.",
    )
    grid.metric(
        "Journal",
        formats.UNKNOWN if lag.bytes is None else f"{lag.bytes / MIB:,.1f} MiB",
        border=True,
        help="What relays on this machine hold on disk; segments go once every record in them is in the store.",
    )
    grid.metric(
        "Journal segments",
        formats.count(lag.segments),
        border=True,
        help="One for each living relay worker; more wait for the store or for the keeper.",
    )


@st.fragment(run_every=12 * EVERY_S)
def _checks() -> None:
    """The doctor's findings, the worst first."""
    found = checkup.checks()
    problems = sum(finding.status == "problem" for finding in found)
    warnings = sum(finding.status == "warning" for finding in found)
    if problems:
        said = "1 check found a problem" if problems == 1 else f"{problems} checks found a problem"
        st.error(f"{said}, of {len(found)}.", icon=":material/error:")
    elif warnings:
        said = "1 check has a remark" if warnings == 1 else f"{warnings} checks have a remark"
        st.warning(f"{said}, of {len(found)}.", icon=":material/warning:")
    else:
        st.success(f"All {len(found)} checks passed.", icon=":material/check_circle:")
    _list(found)


def _upstreams() -> None:
    """Whether the upstreams answer, when somebody asks."""
    configured = current().settings.upstreams
    st.subheader("Upstreams", anchor=False)
    if not configured:
        st.caption(
            "None is configured here: the relay answers from the simulated upstream, or has its own settings."
        )
        return
    if st.button(
        "Call them now", icon=":material/network_ping:", help="Asks each for its models with its key."
    ):
        with st.spinner("Calling"):
            _list(checkup.upstreams())
    else:
        for upstream in configured:
            st.text(f"{upstream.name} · {upstream.base_url}")


def _list(found: list[Finding]) -> None:
    """Findings as lines; their details are text."""
    with st.container(border=True, gap="small"):
        for finding in sorted(found, key=lambda one: _WORST_FIRST.index(one.status)):
            icon, color = _MARKS[finding.status]
            check, detail = st.columns([2.2, 6], gap="small", vertical_alignment="center")
            with check, st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.container(width=MARK_PX).badge(finding.status, icon=icon, color=color)
                st.text(finding.check, width="content")
            with detail:
                controls.prose(formats.unmarked(finding.detail))
