"""A provider's report beside our books: by day, model and meter, and what explains the differences. Changes nothing."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import streamlit as st

from dashboard import reconcile_table
from dashboard.acting import attempt
from dashboard.context import current
from dashboard.views import controls
from service.errors import InvalidInputError
from service.reporting.books import read_books
from service.reporting.dimensions import require_storable
from service.reporting.intervals import Span, time_zone
from service.reporting.provider_report import parse_report
from service.reporting.reconcile import Figure, period, reconcile

LARGEST_MB = 64
MARGIN = timedelta(days=1)
PROVIDERS = ("openai", "azure", "anthropic", "google")


class Compared(msgspec.Struct, frozen=True):
    """What a comparison found."""

    provider: str
    span: Span
    figures: tuple[Figure, ...]
    notes: tuple[str, ...]


def show() -> None:
    """The page."""
    controls.title("Reconcile")
    st.write(
        "Upload what your provider says you used or owe; it is compared with the books to the last token and "
        "nano-dollar. Nothing is changed, and the file is not kept."
    )
    with st.form("reconcile", border=True):
        file = st.file_uploader(
            "Report",
            type=["json", "csv"],
            max_upload_size=LARGEST_MB,
            help="The JSON of OpenAI's organization usage or costs API, one page or a list of pages, or a CSV with the "
            "columns date, model, meter, quantity, cost.",
        )
        grid = st.grid(3, min_column_width=180, gap="small")
        upstreams = sorted({one.provider for one in current().settings.upstreams} | set(PROVIDERS))
        provider = grid.selectbox(
            "Provider", upstreams, index=upstreams.index("openai"), accept_new_options=True
        )
        upstream = grid.text_input("Only this upstream", placeholder="All of the provider's").strip()
        timezone = grid.selectbox(
            "Days of a CSV begin in", controls.time_zones(), index=controls.time_zones().index("UTC")
        )
        asked = st.form_submit_button("Compare", type="primary", icon=":material/balance:")
    if asked:
        if file is None:
            st.info("Choose a file first.")
            return
        content = file.getvalue()
        st.session_state["reconciled"] = attempt(
            lambda: _compare(content, provider or "openai", upstream, timezone)
        )
    found = st.session_state.get("reconciled")
    if found is not None:
        _result(found)


def _compare(content: bytes, provider: str, upstream: str, timezone: str) -> Compared:
    for text, field in ((provider, "provider"), (upstream, "upstream")):
        require_storable(text, field=field)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"the file is not UTF-8 (byte {error.start})", field="file") from error
    report = parse_report(text, zone=time_zone(timezone))
    span = period(report.entries)
    with st.spinner("Reading our books"):
        books = read_books(
            current().store,
            Span(span.since - MARGIN, span.until + MARGIN),
            provider=provider,
            upstream=upstream or None,
        )
    return Compared(provider, span, tuple(reconcile(report.entries, books)), report.notes)


def _result(found: Compared) -> None:
    differing = [figure for figure in found.figures if not figure.agrees]
    mine, theirs = reconcile_table.totals(found.figures)
    grid = st.grid(4, min_column_width=150, gap="small")
    grid.metric(
        "Figures that agree",
        f"{len(found.figures) - len(differing):,} of {len(found.figures):,}",
        border=True,
    )
    for label, amount in (("Ours", mine), ("Theirs", theirs), ("Difference", _difference(mine, theirs))):
        grid.metric(label, reconcile_table.shown_amount(amount).replace("$", "\\$"), border=True)
    for note in found.notes:
        st.text(f"Note: {note}.")
    everything = st.toggle("Show what agrees, too", key="reconcile-all")
    rows = list(found.figures) if everything else differing
    if not rows:
        st.success("Every figure agrees, to the last token and nano-dollar.", icon=":material/check_circle:")
        return
    shown = reconcile_table.figures(rows)
    st.dataframe(shown.table(), column_config=shown.config, hide_index=True, placeholder="—", key="figures")
    controls.downloads(shown, name="reconcile")


def _difference(mine: Decimal | None, theirs: Decimal | None) -> Decimal | None:
    return None if mine is None or theirs is None else mine - theirs
