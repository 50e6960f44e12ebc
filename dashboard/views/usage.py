"""Usage: what was used, how fast it came, how it failed, and when the week is busy."""

from collections.abc import Callable, Mapping

import msgspec
import streamlit as st

from dashboard import charts, data, formats, tables, usage_charts
from dashboard.charts import Option
from dashboard.names import Named
from dashboard.periods import Period, Range
from dashboard.views import controls, first_request
from dashboard.views.away import calmly
from service.pricing.money import NANOS_PER_USD
from service.reporting.figures import Measures
from service.reporting.heatmap import HeatMap, heat_map
from service.reporting.measures import ERRORS
from service.reporting.usage import UsageQuery, UsageReport

Filters = dict[str, tuple[str, ...]]
CHART_HEIGHT = 230
HEAT_HEIGHT = 240
NARROWING = ("key", "model", "project", "upstream")
LONGEST_HEAT_DAYS = 92
REQUEST_RATE, TOKEN_RATE = "Requests a minute", "Tokens a minute"
_PERCENTILES = "Percentiles are read from a histogram: usually within a few percent, at most 26 % off."
_RUNNING = "Without the part that is still running: what is not over yet would look like a dip."
_HELPS = {
    "Latency": _PERCENTILES,
    "First token of streams": _PERCENTILES,
    REQUEST_RATE: _RUNNING,
    TOKEN_RATE: _RUNNING,
}
MEASURES: Mapping[str, tuple[Callable[[Measures], int | None], str, float]] = {
    "Requests": (lambda row: row.requests, "requests an hour", 1),
    "Tokens": (lambda row: (row.input_tokens or 0) + (row.output_tokens or 0), "tokens an hour", 1),
    "Spend": (lambda row: row.cost_nanos, "USD an hour", NANOS_PER_USD),
    "Errors": (lambda row: row.errors, "errors an hour", 1),
}


def show() -> None:
    """The page."""
    if data.recorded() is None:
        first_request.show()
        return
    chosen = controls.head("Usage")
    period = chosen.period(data.now())
    filters = _filters(period)
    query = UsageQuery(
        since=period.since,
        until=period.until,
        interval=period.interval,
        timezone=chosen.timezone,
        filters=filters,
    )
    report = data.usage(query)
    if not report.total.requests and not report.total.attempts:
        st.info("No requests match in this time range. Choose a longer one, or fewer filters.")
        return
    _figures(report)
    _tokens_and_speed(report)
    _endings(query, report)
    _week(chosen, query)
    controls.as_of(chosen.timezone)


def _filters(period: Period) -> Filters:
    """What the page is narrowed to, as widgets with the values that occur in the period."""
    rows = data.usage(
        UsageQuery(since=period.since, until=period.until, group_by=NARROWING, percentiles=False)
    ).rows
    grid = st.grid(4, min_column_width=150, gap="small")
    found: Filters = {}
    dropped = []
    for name in NARROWING:
        names = Named.from_rows((row.dimensions for row in rows), dimension=name)
        dropped.append(controls.drop_unknown(name, names.values()))
        picked = grid.multiselect(
            name.capitalize(),
            names.values(),
            format_func=names.of_value,
            key=name,
            bind="query-params",
            placeholder="All",
        )
        if picked:
            found[name] = tuple(picked)
    controls.notice(*dropped)
    return found


def _figures(report: UsageReport) -> None:
    total = report.total
    cached = _share(total.cache_read_input_tokens, total.input_tokens)
    reasoning = _share(total.reasoning_output_tokens, total.output_tokens)
    figures = {
        "Input": formats.compact(total.input_tokens),
        "Cached": formats.percent(cached),
        "Output": formats.compact(total.output_tokens),
        "Reasoning": formats.percent(reasoning),
        "Estimated": formats.percent(_share(total.estimated_requests, total.attempts)),
        "Streamed": formats.percent(_share(total.streams, total.requests)),
    }
    helps = {
        "Input": f"Exactly {formats.count(total.input_tokens)}, cached ones included.",
        "Cached": "Share of the input tokens that a provider read from its cache.",
        "Output": f"Exactly {formats.count(total.output_tokens)}, reasoning included.",
        "Reasoning": "Share of the output tokens that were reasoning.",
        "Estimated": "Share of the attempts whose usage the provider did not report and we estimated.",
        "Streamed": "Share of the requests that asked for a stream.",
    }
    grid = st.grid(6, min_column_width=140, gap="small")
    for label, value in figures.items():
        grid.metric(label, value, border=True, help=helps[label])


def _share(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part / whole


def _tokens_and_speed(report: UsageReport) -> None:
    now = data.now()
    cards: dict[str, Option] = {
        "Tokens by class": usage_charts.token_classes(report),
        "Shares": usage_charts.shares(report),
        "Latency": usage_charts.durations(report),
        "First token of streams": usage_charts.first_tokens(report),
        REQUEST_RATE: usage_charts.request_rate(report, now=now),
        TOKEN_RATE: usage_charts.throughput(report, now=now),
    }
    grid = st.grid(2, min_column_width=340, gap="small")
    for title, option in cards.items():
        with grid.cell(), st.container(border=True):
            st.markdown(f"**{title}**", help=_HELPS.get(title))
            st.echarts_chart(option, height=CHART_HEIGHT, key=title, alt=f"{title} over time")


@calmly
def _endings(query: UsageQuery, report: UsageReport) -> None:
    """How requests ended, and on demand by the words of whoever reported the error."""
    by_outcome = data.usage(msgspec.structs.replace(query, group_by=("outcome",), percentiles=False))
    grid = st.grid(2, min_column_width=340, gap="small")
    with grid.cell(), st.container(border=True):
        st.markdown("**What did not end well**")
        option = usage_charts.endings(by_outcome)
        if option["series"]:
            st.echarts_chart(option, height=CHART_HEIGHT, key="endings", alt="Requests by how they ended")
        else:
            st.caption("Every request of this time range ended well.")
    with grid.cell(), st.container(border=True):
        st.markdown("**Error rate**")
        st.echarts_chart(
            charts.error_rate(report), height=CHART_HEIGHT, key="error-rate", alt="Error rate over time"
        )
    words = st.expander(
        "Errors by status, type and code", on_change="rerun", key="words", icon=":material/error:"
    )
    if words.open:
        with words:
            _errors(query)


@calmly
def _errors(query: UsageQuery) -> None:
    report = data.usage(
        msgspec.structs.replace(
            query,
            interval=None,
            percentiles=False,
            group_by=("outcome", "http_status", "error_type", "error_code"),
            filters={**query.filters, "outcome": ERRORS},
        )
    )
    if not report.rows:
        st.caption("No errors in this time range.")
        return
    shown = tables.errors(report)
    st.dataframe(
        shown.table(),
        column_config=shown.config,
        hide_index=True,
        placeholder=formats.UNKNOWN,
        key="errors",
    )


@calmly
def _week(chosen: Range, query: UsageQuery) -> None:
    """Weekday by hour."""
    with st.container(border=True):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown("**The week**", width="content")
            controls.notice(controls.drop_unknown("heat", MEASURES))
            label = st.segmented_control(
                "Measure",
                list(MEASURES),
                default="Requests",
                required=True,
                key="heat",
                bind="query-params",
                label_visibility="collapsed",
            )
        if (query.until - query.since).days > LONGEST_HEAT_DAYS:
            st.caption(f"The week is drawn for ranges of up to {LONGEST_HEAT_DAYS} days.")
            return
        of, unit, divisor = MEASURES[label or "Requests"]
        hourly = data.usage(msgspec.structs.replace(query, interval="hour", percentiles=False))
        found = heat_map(usage_charts.over(hourly, now=data.now()), of=of, now=data.now())
        cells = tuple(
            tuple(None if value is None else value / divisor for value in row) for row in found.cells
        )
        dark = st.context.theme.type == "dark"
        st.echarts_chart(
            usage_charts.week(HeatMap(cells), unit=unit, dark=dark),
            height=HEAT_HEIGHT,
            key="week",
            alt="Averages by weekday and hour",
        )
        peak = found.peak
        said = f"Averages of whole hours on the clock of {chosen.timezone}, without the one that is running"
        if peak is not None:
            said += f"; the peak is {usage_charts.WEEKDAYS[peak[0]]} at {peak[1]:02}:00"
        st.caption(f"{said}.")
