"""Spend: by one dimension or by two, beside another period, with a way down to the requests."""

from datetime import datetime

import msgspec
import streamlit as st

from dashboard import comparison, data, formats, pivot, spend_chart, spending
from dashboard.names import ALL_DIMENSIONS, Named, value_of
from dashboard.navigation import REQUESTS, all_pages
from dashboard.periods import CHOSEN_DAYS, Period, Range
from dashboard.views import clicks, controls, first_request, log_filters
from dashboard.views.away import calmly
from service.reporting.spend_series import SpendQuery
from service.reporting.usage import UsageQuery, UsageReport

NOTHING = "Nothing"
BEFORE, OTHER_DAYS = "Period before", "Other days"
MEASURES: tuple[pivot.Measure, ...] = ("Spend", "Requests", "Tokens")
CHART_HEIGHT = 300
WHOLE_TABLE_ROWS = 20


def show() -> None:
    """The page."""
    if data.recorded() is None:
        first_request.show()
        return
    chosen = controls.head("Spend")
    wanted = _choices(chosen)
    if _may_read(chosen, wanted):
        _over_time(chosen, wanted.by)
        if wanted.across is None:
            _compared(chosen, wanted)
        else:
            _crossed(chosen, wanted.by, wanted.across, wanted.measure)
    controls.as_of(chosen.timezone)


class Wanted(msgspec.Struct, frozen=True):
    """What is down and across, what is counted then, and the days to compare with where they are chosen."""

    by: str
    across: str | None
    measure: pivot.Measure
    other: Range | None


def _choices(chosen: Range) -> Wanted:
    """What the viewer wants to see."""
    across_options, against_options = [NOTHING, *ALL_DIMENSIONS], [BEFORE, OTHER_DAYS]
    controls.notice(
        controls.drop_unknown("by", ALL_DIMENSIONS),
        controls.drop_unknown("across", across_options),
        controls.drop_unknown("measure", MEASURES),
        controls.drop_unknown("against", against_options),
    )
    grid = st.grid(4, min_column_width=150, gap="small")
    by = grid.selectbox("By", list(ALL_DIMENSIONS), key="by", bind="query-params")
    across = grid.selectbox("Across", across_options, key="across", bind="query-params")
    crossed = across not in (NOTHING, by)
    other = None
    if crossed:
        measure = grid.selectbox("Count", MEASURES, key="measure", bind="query-params")
    else:
        measure = MEASURES[0]
        against = grid.selectbox("Compare with", against_options, key="against", bind="query-params")
        if against == OTHER_DAYS:
            with grid.cell():
                days = controls.days("These days", chosen.timezone, key="other")
            other = Range(CHOSEN_DAYS, chosen.timezone, days)
    return Wanted(by, across if crossed else None, measure, other)


def _may_read(chosen: Range, wanted: Wanted) -> bool:
    """Whether rollups answer, or few requests have to be read, or the viewer wants that many to be read."""
    period = chosen.period(data.now())
    labels = [wanted.by] if wanted.across is None else [wanted.by, wanted.across]
    dimensions = tuple(ALL_DIMENSIONS[label] for label in labels)
    needed = data.effort(UsageQuery(since=period.since, until=period.until, group_by=dimensions))
    if needed <= spending.MOST_READ:
        return True
    with st.container(border=True):
        st.markdown(
            f"Sums by {' and '.join(labels).lower()} are made of the requests themselves: about "
            f"**{formats.count(needed)}** would be read, which takes seconds to minutes. A shorter time range is there "
            "at once."
        )
        return bool(st.toggle("Read them", key="read", bind="query-params"))


@calmly
def _over_time(chosen: Range, label: str) -> None:
    period, dimension = chosen.period(data.now()), ALL_DIMENSIONS[label]
    bars = UsageQuery(
        since=period.since,
        until=period.until,
        interval=period.interval,
        timezone=chosen.timezone,
        group_by=(dimension,),
    )
    needed = data.effort(bars)
    if needed > spending.MOST_READ and not st.session_state.get("read"):
        st.caption(
            f"No chart by {label.lower()} in this time zone: it would be made of {formats.count(needed)} requests. "
            "Choose a shorter time range, or UTC."
        )
        return
    query = SpendQuery(
        since=period.since,
        until=period.until,
        interval=period.interval,
        timezone=chosen.timezone,
        dimension=dimension,
        largest=spend_chart.LARGEST,
    )
    found = data.spend_over_time(query)
    if not found.largest:
        st.info("Nothing was spent in this time range.")
        return
    with st.container(border=True):
        st.echarts_chart(
            spend_chart.spend(found, dimension=dimension),
            height=CHART_HEIGHT,
            key="spend",
            alt=f"Spend over time by {label.lower()}",
        )


@calmly
def _compared(chosen: Range, wanted: Wanted) -> None:
    """One row a value: what it cost, now and in another period, and what a million tokens cost."""
    label, dimension = wanted.by, ALL_DIMENSIONS[wanted.by]
    period = chosen.period(data.now())
    query = UsageQuery(since=period.since, until=period.until, group_by=(dimension,))
    report = data.usage(query)
    if not report.rows:
        return
    since, until, said = _other(period, wanted.other)
    books = data.recorded()
    before: UsageReport | None = None
    if books is not None and books.since < until and (wanted.other or books.since <= since):
        past = msgspec.structs.replace(query, since=since, until=until, percentiles=False)
        before = data.usage(past)
    saved = spending.savings_by(dimension, since=period.since, until=period.until)
    names = Named.from_rows((row.dimensions for row in report.rows), dimension=dimension)
    shown = comparison.table(
        report, before=before, saved=saved, names=names, dimension=dimension, label=label
    )
    clicked = clicks.table(
        shown,
        targets=[value_of(row.dimensions, dimension=dimension) for row in report.rows],
        height="content" if len(report.rows) <= WHOLE_TABLE_ROWS else "auto",
        key="breakdown",
    )
    if before is None:
        said = "The books do not go back far enough for a comparison."
    if saved is None:
        said += " The blended cost is left out: by these values it is known from the requests alone."
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f"{said} A click on a row opens its requests.", width="content")
        controls.downloads(shown, name="spend")
    if clicked is not None and dimension in log_filters.FILTERS:
        # the range and the zone go with the viewer; Streamlit refuses parameters that widgets of this page are bound to
        st.switch_page(all_pages()[REQUESTS], query_params={dimension: clicked})


def _other(period: Period, other: Range | None) -> tuple[datetime, datetime, str]:
    """What to compare with, and a sentence that says so."""
    if other is None:
        return period.before_since, period.before_until, f"Compared with {period.compared_with}."
    found = other.period(data.now())
    days = other.days or ("", "")
    return found.since, found.until, f"Compared with {days[0]} to {days[1]}, as it is."


@calmly
def _crossed(chosen: Range, by: str, across: str, measure: pivot.Measure) -> None:
    period = chosen.period(data.now())
    rows, columns = (by, ALL_DIMENSIONS[by]), (across, ALL_DIMENSIONS[across])
    report = data.usage(
        UsageQuery(since=period.since, until=period.until, group_by=(rows[1], columns[1]), percentiles=False)
    )
    if not report.rows:
        return
    st.subheader(f"{measure} by {by.lower()} and {across.lower()}", anchor=False)
    shown = pivot.pivot(report, rows=rows, columns=columns, measure=measure)
    controls.table(
        shown,
        height="content" if len(shown.columns[by]) <= WHOLE_TABLE_ROWS else "auto",
        placeholder="",
        key="pivot",
    )
    controls.downloads(shown, name="spend")
    if "tag" in (rows[1], columns[1]):
        st.caption("A request with several tags counts once for each of them.")
