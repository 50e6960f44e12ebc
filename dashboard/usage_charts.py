"""Charts of usage: tokens by class, shares, percentiles, throughput, endings, and the week's heat map. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from dashboard.charts import AMBER, BLUE, GREY, RED, Option, Series, bars, lines, scale, starts
from service.reporting.heatmap import HeatMap
from service.reporting.measures import ERRORS, REFUSALS
from service.reporting.usage import UsageReport, UsageRow

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MINUTE_S = 60
_NEARLY_ALL = 0.97
_OUTCOME_COLORS: Mapping[str, str] = {
    "upstream_error": RED,
    "timeout": "#b23a48",
    "midstream_error": "#f08ca3",
    "truncated": "#8b5cd6",
    "interrupted": "#5b4b8a",
    "rejected_unavailable": "#7a2e3a",
    "rejected_rate_limit": AMBER,
    "rejected_budget": "#b8860b",
    "rejected_request": "#f3bd54",
    "rejected_auth": "#c9a66b",
    "client_disconnect": GREY,
}


def token_classes(report: UsageReport) -> Option:
    """Bars of tokens by bucket and class; the classes of a bar add up to its input and output."""
    rows = [row.measures for row in report.rows]
    classes: dict[str, list[int]] = {
        "Input": [],
        "Cached input": [],
        "Cache writes": [],
        "Audio and images in": [],
        "Output": [],
        "Reasoning": [],
        "Audio and images out": [],
    }
    for row in rows:
        cached, written = row.cache_read_input_tokens or 0, row.cache_write_input_tokens or 0
        media_in = (row.audio_input_tokens or 0) + (row.image_input_tokens or 0)
        media_out = (row.audio_output_tokens or 0) + (row.image_output_tokens or 0)
        reasoning = row.reasoning_output_tokens or 0
        classes["Input"].append(max(0, (row.input_tokens or 0) - cached - written - media_in))
        classes["Cached input"].append(cached)
        classes["Cache writes"].append(written)
        classes["Audio and images in"].append(media_in)
        classes["Output"].append(max(0, (row.output_tokens or 0) - reasoning - media_out))
        classes["Reasoning"].append(reasoning)
        classes["Audio and images out"].append(media_out)
    highest = max((sum(bucket) for bucket in zip(*classes.values(), strict=True)), default=0)
    divisor, unit, decimals = scale(highest)
    shown = [
        Series(name, tuple(value / divisor if value else None for value in values))
        for name, values in classes.items()
        if any(values) or name in ("Input", "Output")
    ]
    return bars(report, shown, value_format=f"%,.{decimals}f{unit}", axis=f"{{value}}{unit}")


def shares(report: UsageReport) -> Option:
    """Lines of the share of input read from a cache, and of output that was reasoning, in percent."""
    rows = [row.measures for row in report.rows]
    shown = [
        Series(
            "Input from a cache",
            tuple(_percent(row.cache_read_input_tokens, row.input_tokens) for row in rows),
        ),
        Series(
            "Output that is reasoning",
            tuple(_percent(row.reasoning_output_tokens, row.output_tokens) for row in rows),
        ),
    ]
    return _from_zero(lines(report, shown, value_format="%.1f%%", axis="{value}%"))


def durations(report: UsageReport) -> Option:
    """Lines of the durations that a half, 19 of 20, and 99 of 100 requests stay below, in seconds."""
    return _percentiles(report, "duration_ms")


def first_tokens(report: UsageReport) -> Option:
    """The same of the time until the first token of streams."""
    return _percentiles(report, "ttft_ms")


def throughput(report: UsageReport, *, now: datetime) -> Option:
    """A line of tokens a minute."""
    rates = [
        None
        if minutes is None
        else ((row.measures.input_tokens or 0) + (row.measures.output_tokens or 0)) / minutes
        for row, minutes in _whole(report, now)
    ]
    divisor, unit, decimals = scale(round(max((rate for rate in rates if rate is not None), default=0)))
    values = tuple(None if rate is None else rate / divisor for rate in rates)
    shown = [Series("Tokens a minute", values, "#12a08b")]
    return _from_zero(lines(report, shown, value_format=f"%,.{decimals}f{unit}", axis=f"{{value}}{unit}"))


def request_rate(report: UsageReport, *, now: datetime) -> Option:
    """A line of requests a minute."""
    values = tuple(
        None if minutes is None else row.measures.requests / minutes for row, minutes in _whole(report, now)
    )
    return _from_zero(
        lines(report, [Series("Requests a minute", values, BLUE)], value_format="%,.2f", axis="{value}")
    )


def over(report: UsageReport, *, now: datetime) -> UsageReport:
    """The report without the bucket that is running, and without those to come."""
    return msgspec.structs.replace(report, rows=tuple(row for row in report.rows if row.end <= now))


def endings(report: UsageReport) -> Option:
    """Bars of the requests that did not end well, by outcome; *report* is grouped by it."""
    at = starts(report)
    counts: dict[str, list[int]] = {}
    for row in report.rows:
        outcome = row.dimensions["outcome"] or ""
        if outcome in _OUTCOME_COLORS and row.measures.requests:
            counts.setdefault(outcome, [0] * len(at))[at[row.start]] += row.measures.requests
    ordered = [outcome for outcome in (*ERRORS, *REFUSALS, "client_disconnect") if outcome in counts]
    shown = [
        Series(outcome, tuple(value or None for value in counts[outcome]), _OUTCOME_COLORS[outcome])
        for outcome in ordered
    ]
    return bars(report, shown, value_format="%,d")


def week(found: HeatMap, *, unit: str, dark: bool) -> Option:
    """The heat map: hours across, weekdays down."""
    cells = [
        [hour, day, round(value, 4)]
        for day, row in enumerate(found.cells)
        for hour, value in enumerate(row)
        if value is not None
    ]
    # one hour out of the ordinary must not make the rest of the week look empty
    ordered = sorted(cell[2] for cell in cells)
    highest = (ordered[int(len(ordered) * _NEARLY_ALL)] if ordered else 0) or 1
    colors = ["#18202c", "#24457e", "#7ba2ff"] if dark else ["#f4f6f9", "#9db9f2", "#2f5fd0"]
    return {
        "animation": False,
        "grid": {"left": 4, "right": 12, "top": 8, "bottom": 2, "containLabel": True},
        "tooltip": {"trigger": "item", "confine": True, "valueFormatter": f"%,.2f {unit}"},
        "xAxis": {
            "type": "category",
            "data": [f"{hour:02}:00" for hour in range(24)],
            "axisTick": {"show": False},
            "axisLabel": {"hideOverlap": True},
            "splitArea": {"show": False},
        },
        "yAxis": {"type": "category", "data": list(WEEKDAYS), "inverse": True, "axisTick": {"show": False}},
        "visualMap": {"min": 0, "max": highest, "show": False, "inRange": {"color": colors}},
        "series": [
            {
                "type": "heatmap",
                "name": unit,
                "data": cells,
                "itemStyle": {"borderRadius": 3, "borderWidth": 2, "borderColor": "transparent"},
            }
        ],
    }


def _percentiles(report: UsageReport, latency: str) -> Option:
    shown = [
        Series(label, tuple(_seconds(row, f"{label}_{latency}") for row in report.rows), color)
        for label, color in (("p50", "#12a08b"), ("p95", BLUE), ("p99", "#8b5cd6"))
    ]
    return lines(report, shown, value_format="%.2f s", axis="{value} s")


def _seconds(row: UsageRow, name: str) -> float | None:
    value: float | None = getattr(row.measures, name)
    return None if value is None else value / 1000


def _whole(report: UsageReport, now: datetime) -> list[tuple[UsageRow, float | None]]:
    """The rows and the minutes of each; None for the one that is running, which would look like a dip or a peak.

    Where nothing else has anything, as right after the start, the running one counts as far as it has come.
    """
    begun = any(row.measures.attempts for row in report.rows if row.end <= now)
    return [
        (row, None if row.end > now and begun else max(1.0, _minutes(row.start, min(row.end, now))))
        for row in report.rows
    ]


def _minutes(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds() / _MINUTE_S


def _percent(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part / whole * 100


def _from_zero(option: Option) -> Option:
    axis: dict[str, Any] = option["yAxis"]
    axis["min"] = 0
    return option
