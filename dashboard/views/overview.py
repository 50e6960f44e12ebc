"""The overview: headline figures against the period before, spend by a dimension, the month's end, what moved.

Each part is a fragment that draws itself anew: the small ones every few seconds, the charts more seldom. A part that
cannot read the store says so and tries again on its own.
"""

from datetime import datetime

import streamlit as st

from dashboard import data, formats, spend_chart, spending
from dashboard.names import DIMENSIONS
from dashboard.navigation import REQUESTS, all_pages
from dashboard.periods import Period, Range
from dashboard.views import clicks, controls, first_request, headlines, outlook
from dashboard.views.away import calmly
from dashboard.views.headlines import Facts
from service.reporting.rows import RequestFilter
from service.reporting.savings import Savings
from service.reporting.spend_series import SpendQuery
from service.reporting.usage import UsageQuery

FIGURES_EVERY_S = 3
LATEST_EVERY_S = 2
CHARTS_EVERY_S = 30
LATEST = 8
CHART_HEIGHT = 349


def show() -> None:
    """The page."""
    if data.recorded() is None:
        first_request.show()
        return
    chosen = controls.head("Overview")
    outlook.active_alerts()
    _figures(chosen)
    label = controls.dimension()
    left, right = st.columns([2, 1], gap="small")
    with left:
        _spend(chosen, label)
    with right:
        outlook.month_end(chosen.timezone)
    outlook.movers(chosen, label)
    _latest(chosen.timezone)


@st.fragment(run_every=FIGURES_EVERY_S)
@calmly
def _figures(chosen: Range) -> None:
    period = chosen.period(data.now())
    query = UsageQuery(
        since=period.since, until=period.until, interval=period.interval, timezone=chosen.timezone
    )
    report, saved = data.live_usage(query), spending.cache_savings(query)
    # what is running is left out of the small charts: it would look like a dip
    rows = [row for row in report.rows if row.end <= data.now()] or report.rows
    buckets = [Facts(row.measures, saved.by_start.get(row.start, Savings())) for row in rows]
    grid = st.grid(4, min_column_width=150, gap="small", key="figures")
    shown = headlines.metrics(
        Facts(report.total, saved.total), buckets=buckets, before=_before(period), chosen=period
    )
    for headline in shown:
        grid.metric(**headline, border=True, height="stretch")
    controls.as_of(chosen.timezone)
    if not report.total.requests:
        _nothing_here(chosen.timezone)


def _before(period: Period) -> Facts | None:
    """The period before, if the books go back that far."""
    books = data.recorded()
    if books is None or books.since > period.before_since:
        return None
    query = UsageQuery(since=period.before_since, until=period.before_until)
    return Facts(data.past_usage(query).total, spending.past_savings(query).total)


def _nothing_here(timezone: str) -> None:
    newest: datetime | None = data.newest()
    if newest is not None:
        at = formats.instant(newest, timezone=timezone)
        st.info(f"No requests in this time range. The latest one began at {at} ({timezone}).")


@st.fragment(run_every=CHARTS_EVERY_S, parallel=True)
@calmly
def _spend(chosen: Range, label: str) -> None:
    dimension, period = DIMENSIONS[label], chosen.period(data.now())
    query = SpendQuery(
        since=period.since,
        until=period.until,
        interval=period.interval,
        timezone=chosen.timezone,
        dimension=dimension,
        largest=spend_chart.LARGEST,
    )
    found = data.spend_over_time(query)
    with st.container(border=True, height="stretch"):
        st.markdown(f"**Spend by {label.lower()}**")
        if not found.largest:
            st.caption("Nothing was spent in this time range.")
            return
        st.echarts_chart(
            spend_chart.spend(found, dimension=dimension),
            height=CHART_HEIGHT,
            key="spend",
            alt=f"Spend over time by {label.lower()}",
        )


@st.fragment(run_every=LATEST_EVERY_S)
@calmly
def _latest(timezone: str) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader("Latest requests", anchor=False, width="content")
        st.page_link(all_pages()[REQUESTS], label="All requests", icon=":material/arrow_forward:")
    page = data.requests(RequestFilter(), limit=LATEST)
    clicks.log(page.data, timezone=timezone, key="latest")
