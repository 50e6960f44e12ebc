"""The overview: headline figures against the period before, spend by a dimension, traffic, the latest requests.

Each part is a fragment that draws itself anew: the small ones every few seconds, the charts more seldom. A part that
cannot read the store says so and tries again on its own.
"""

import msgspec
import streamlit as st

from dashboard import charts, data, formats, tables
from dashboard.names import DIMENSIONS, Named
from dashboard.navigation import REQUESTS, all_pages, open_request
from dashboard.periods import Period, period
from dashboard.views import controls, first_request, headlines
from dashboard.views.away import calmly
from service.reporting.figures import Measures
from service.reporting.rows import RequestFilter
from service.reporting.usage import UsageQuery

FIGURES_EVERY_S = 3
LATEST_EVERY_S = 2
CHARTS_EVERY_S = 30
LATEST = 8
WHOLE_TABLE_ROWS = 16
CHART_HEIGHT = 300
SMALL_CHART_HEIGHT = 220


def show() -> None:
    """The page."""
    if data.recorded() is None:
        first_request.show()
        return
    preset, timezone = controls.head("Overview")
    _figures(preset, timezone)
    _spend(preset, timezone)
    _traffic(preset, timezone)
    _latest(timezone)


@st.fragment(run_every=FIGURES_EVERY_S)
@calmly
def _figures(preset: str, timezone: str) -> None:
    chosen = _period(preset, timezone)
    report = data.live_usage(
        UsageQuery(since=chosen.since, until=chosen.until, interval=chosen.interval, timezone=timezone)
    )
    before = _before(chosen)
    grid = st.grid(6, min_column_width=145, gap="small", key="figures")
    for headline in headlines.metrics(report, before=before, chosen=chosen):
        grid.metric(**headline, border=True, height="stretch")
    if not report.total.requests:
        _nothing_here(timezone)


def _before(chosen: Period) -> Measures | None:
    """The period before, if the books go back that far."""
    books = data.recorded()
    if books is None or books.since > chosen.before_since:
        return None
    return data.usage(UsageQuery(since=chosen.before_since, until=chosen.before_until)).total


def _nothing_here(timezone: str) -> None:
    books = data.recorded()
    if books is not None:
        until = formats.instant(books.until, timezone=timezone)
        st.info(
            f"No requests in this time range. The latest one came in the hour before {until} ({timezone})."
        )


@st.fragment(run_every=CHARTS_EVERY_S)
@calmly
def _spend(preset: str, timezone: str) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Spend", anchor=False, width="content")
        label = st.segmented_control(
            "Stacked by",
            list(DIMENSIONS),
            default="Model",
            required=True,
            key="by",
            bind="query-params",
            label_visibility="collapsed",
        )
    label = label or "Model"
    dimension = DIMENSIONS[label]
    chosen = _period(preset, timezone)
    query = UsageQuery(since=chosen.since, until=chosen.until, timezone=timezone, group_by=(dimension,))
    report = data.usage(query)
    series = data.usage(msgspec.structs.replace(query, interval=chosen.interval, percentiles=False))
    if not report.rows:
        st.caption("Nothing was spent in this time range.")
        return
    names = Named.from_rows((row.dimensions for row in report.rows), dimension=dimension)
    with st.container(border=True):
        st.echarts_chart(
            charts.spend(series, names=names, dimension=dimension),
            height=CHART_HEIGHT,
            key="spend",
            alt=f"Spend over time by {label.lower()}",
        )
    shown = tables.breakdown(report, names=names, dimension=dimension, label=label)
    st.dataframe(
        shown.table(),
        column_config=shown.config,
        hide_index=True,
        key="breakdown",
        height="content" if len(report.rows) <= WHOLE_TABLE_ROWS else "auto",
        placeholder=formats.UNKNOWN,
    )


@st.fragment(run_every=CHARTS_EVERY_S)
@calmly
def _traffic(preset: str, timezone: str) -> None:
    chosen = _period(preset, timezone)
    report = data.usage(
        UsageQuery(since=chosen.since, until=chosen.until, interval=chosen.interval, timezone=timezone)
    )
    if not report.total.requests:
        return
    st.subheader("Traffic", anchor=False)
    grid = st.grid(2, min_column_width=340, gap="small")
    for title, option in (
        ("Requests", charts.requests(report)),
        ("Tokens", charts.tokens(report)),
        ("Error rate", charts.error_rate(report)),
        ("Latency", charts.latency(report)),
    ):
        with grid.cell(), st.container(border=True):
            st.markdown(f"**{title}**")
            st.echarts_chart(option, height=SMALL_CHART_HEIGHT, key=title, alt=f"{title} over time")


@st.fragment(run_every=LATEST_EVERY_S)
@calmly
def _latest(timezone: str) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Latest requests", anchor=False, width="content")
        st.page_link(all_pages()[REQUESTS], label="All requests", icon=":material/arrow_forward:")
    page = data.requests(RequestFilter(), limit=LATEST)
    shown = tables.log(page.data, timezone=timezone)
    state = st.dataframe(
        shown.table(),
        column_config=shown.config,
        hide_index=True,
        placeholder=formats.UNKNOWN,
        on_select="rerun",
        selection_mode="single-cell",
        key="latest",
    )
    if state.selection.cells:
        open_request(page.data[state.selection.cells[0][0]]["request_id"])


def _period(preset: str, timezone: str) -> Period:
    return period(preset, now=data.now(), timezone=timezone)
