"""Cards of the overview: what fires now, where the month will end, and what made spend move."""

import streamlit as st

from dashboard import controlling, data, formats, month_chart, movers_table, spending
from dashboard.names import DIMENSIONS, Named
from dashboard.navigation import ALERTS, all_pages
from dashboard.periods import Range
from dashboard.views.away import calmly
from service.alerts.event_log import EventFilter

CHARTS_EVERY_S = 30
ALERTS_EVERY_S = 5
SHOWN_ALERTS = 4
CHART_HEIGHT = 198
SHOWN_MOVERS = 8


@st.fragment(run_every=CHARTS_EVERY_S, parallel=True)
@calmly
def month_end(timezone: str) -> None:
    """Where the running month will end, against the budget where there is one."""
    ahead = spending.month_ahead(timezone)
    limit = spending.monthly_limit()
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{ahead.today:%B}**")
        if ahead.forecast is None:
            st.metric("So far", formats.escaped(formats.short_usd(ahead.spent_nanos)))
            st.caption("A forecast needs three whole days of history.")
        else:
            with st.container(horizontal=True, gap="large"):
                st.metric(
                    "Expected at its end",
                    formats.escaped(formats.short_usd(ahead.forecast.expected_nanos)),
                    width="content",
                )
                st.metric("So far", formats.escaped(formats.short_usd(ahead.spent_nanos)), width="content")
            st.caption(formats.escaped(month_chart.sentence(ahead.forecast, limit_nanos=limit)))
        known = ahead.expected is not None and ahead.forecast is not None
        st.echarts_chart(
            month_chart.month(
                dict(ahead.days),
                today=ahead.today,
                elapsed=ahead.elapsed,
                ahead=(ahead.expected, ahead.forecast) if known else None,  # type: ignore[arg-type]
                limit_nanos=limit,
            ),
            height=CHART_HEIGHT,
            key="month",
            alt="Spend of the running month, day by day, and what is expected",
        )


@st.fragment(run_every=ALERTS_EVERY_S)
@calmly
def active_alerts() -> None:
    """What fires now; nothing where nothing does."""
    found = controlling.events(EventFilter(state="firing"))
    if not found:
        return
    critical = any(one.severity == "critical" for one in found)
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            count = f"{len(found)} alert{'s' if len(found) > 1 else ''} firing"
            st.badge(count, icon=":material/notifications_active:", color="red" if critical else "orange")
            st.page_link(all_pages()[ALERTS], label="All alerts", icon=":material/arrow_forward:")
        for one in found[:SHOWN_ALERTS]:
            st.text(one.summary)
        if len(found) > SHOWN_ALERTS:
            st.caption(f"and {len(found) - SHOWN_ALERTS} more")


@st.fragment(run_every=CHARTS_EVERY_S, parallel=True)
@calmly
def movers(chosen: Range, label: str) -> None:
    """What cost more or less than in the period before, and why."""
    dimension = DIMENSIONS[label]
    period = chosen.period(data.now())
    books = data.recorded()
    st.subheader("What moved", anchor=False)
    if books is None or books.since > period.before_since:
        st.caption("The books do not go back far enough for a comparison with the period before.")
        return
    found = spending.top_movers(period, dimension=dimension)[:SHOWN_MOVERS]
    if not found:
        st.caption("Everything cost what it cost in the period before.")
        return
    names = Named.from_rows((mover.dimensions for mover in found), dimension=dimension)
    shown = movers_table.movers(found, names=names, dimension=dimension, label=label)
    st.dataframe(
        shown.table(),
        column_config=shown.config,
        hide_index=True,
        height="content",
        placeholder=formats.UNKNOWN,
        key="movers",
    )
    st.caption(
        f"Compared with {period.compared_with}. The change is the sum of three: more or fewer tokens, another mix of "
        f"{'upstreams' if dimension == 'model' else 'models'}, another price per token."
    )
