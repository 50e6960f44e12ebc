"""ECharts options from reports. Pure: numbers in, a JSON object out.

Names are plain text for ECharts, in legends and in tooltips. Buckets are categories that carry the label of the
viewer's zone, so no browser shifts them. Amounts become floats only here, to be drawn; tables show them exactly.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from dashboard.periods import bucket_label
from service.reporting.intervals import Interval, Span, buckets, time_zone
from service.reporting.usage import UsageReport

Option = dict[str, Any]

REST = "All others"
GREY, RED, AMBER, BLUE = "#8a94a6", "#df5563", "#e0a526", "#4d82e6"
_HOURS_PER_LABEL = 24
_FEW, _DOT = 6, 6
_NIGHT = "rgba(128,140,160,0.18)"


class Bucketed(Protocol):
    """A report by buckets of time."""

    @property
    def since(self) -> datetime:
        """Its beginning."""

    @property
    def until(self) -> datetime:
        """Its end."""

    @property
    def interval(self) -> Interval | None:
        """The length of a bucket."""

    @property
    def timezone(self) -> str:
        """The zone in which buckets begin."""


class Series(msgspec.Struct, frozen=True):
    """One named row of values, a bucket each; None where there is nothing."""

    name: str
    values: tuple[float | None, ...]
    color: str | None = None


def requests(report: UsageReport) -> Option:
    """Bars of requests by bucket, by how they ended."""
    rows = [row.measures for row in report.rows]
    ended = {
        "Errors": (RED, [row.errors for row in rows]),
        "Refused": (AMBER, [row.refused_requests for row in rows]),
        "Client left": (GREY, [row.disconnected_requests for row in rows]),
    }
    answered = [row.requests - row.errors - row.refused_requests - row.disconnected_requests for row in rows]
    shown = [Series("Answered", _some(answered), BLUE)]
    shown += [Series(name, _some(values), color) for name, (color, values) in ended.items() if any(values)]
    return bars(report, shown, value_format="%,d")


def error_rate(report: UsageReport) -> Option:
    """A line of the share of requests that failed, in percent."""
    rates = (row.measures.error_rate for row in report.rows)
    shown = [Series("Error rate", tuple(None if rate is None else rate * 100 for rate in rates), RED)]
    option = lines(report, shown, value_format="%.2f%%", axis="{value}%")
    option["yAxis"]["min"] = 0
    option["series"][0]["areaStyle"] = {"opacity": 0.12}
    return option


def timeline(attempts: Sequence[Mapping[str, Any]]) -> Option:
    """One bar an attempt on the clock of the request: our own part, until its first token, until its end, in ms."""
    first = min(attempt["started_at"] for attempt in attempts)
    offsets = [(attempt["started_at"] - first).total_seconds() * 1000 for attempt in attempts]
    relay = [_at_most(attempt["overhead_ms"], attempt["duration_ms"]) for attempt in attempts]
    streamed = any(attempt["ttft_ms"] is not None for attempt in attempts)
    waits: list[float | None] = []
    streams: list[float | None] = []
    for attempt, ours in zip(attempts, relay, strict=True):
        duration, wait = attempt["duration_ms"], attempt["ttft_ms"]
        rest = None if duration is None else max(0.0, duration - (ours or 0))
        waits.append(rest if wait is None else _at_most(wait, rest))
        streams.append(None if wait is None or rest is None else max(0.0, rest - wait))
    shown: list[tuple[str, Sequence[float | None], str]] = [
        ("", offsets, "transparent"),
        ("In the relay", relay, AMBER),
        ("Until the first token", waits, GREY) if streamed else ("Until the answer", waits, BLUE),
    ]
    if streamed:
        shown.append(("Streaming", streams, BLUE))
    return {
        "animation": False,
        "grid": {"left": 4, "right": 24, "top": 32, "bottom": 4, "containLabel": True},
        "legend": {"top": 0, "left": 0, "data": [name for name, _, _ in shown if name], **_LEGEND},
        "tooltip": {"trigger": "item", "valueFormatter": "%,.1f ms", "confine": True},
        "xAxis": {"type": "value", "axisLabel": {"formatter": "{value} ms", "hideOverlap": True}},
        "yAxis": {
            "type": "category",
            "inverse": True,
            "data": [f"Attempt {attempt['attempt']}" for attempt in attempts],
            "axisTick": {"show": False},
        },
        "series": [
            {
                "type": "bar",
                "name": name,
                "stack": "time",
                "barWidth": 18,
                "silent": not name,
                "itemStyle": {"color": color},
                "data": [None if value is None else round(value, 3) for value in values],
            }
            for name, values, color in shown
        ],
    }


_LEGEND: Mapping[str, Any] = {"icon": "roundRect", "itemWidth": 10, "itemHeight": 10, "itemGap": 14}


def bars(report: Bucketed, shown: Sequence[Series], *, value_format: str, axis: str | None = None) -> Option:
    """Stacked bars, one series on top of the other."""
    series = [
        {"type": "bar", "name": one.name, "stack": "all", "data": list(one.values), **_colored(one)}
        for one in shown
    ]
    for one in series:
        one["barCategoryGap"] = "22%"
        one["barMaxWidth"] = 44
    option = _plot(report, series, value_format=value_format, axis=axis)
    option["tooltip"]["axisPointer"] = {"type": "shadow", "shadowStyle": {"color": _NIGHT}}
    return option


def lines(report: UsageReport, shown: Sequence[Series], *, value_format: str, axis: str) -> Option:
    """Lines; where a series has nothing, its line has a gap."""
    series = [
        {
            "type": "line",
            "name": one.name,
            **_points(one.values),
            "connectNulls": False,
            "lineStyle": {"width": 1.75},
            **_colored(one),
        }
        for one in shown
    ]
    return _plot(report, series, value_format=value_format, axis=axis)


def _plot(report: Bucketed, series: list[dict[str, Any]], *, value_format: str, axis: str | None) -> Option:
    assert report.interval is not None
    labels = [
        bucket_label(start, interval=report.interval, timezone=report.timezone) for start in starts(report)
    ]
    label: dict[str, Any] = {"hideOverlap": True}
    if report.interval == "hour" and len(labels) > 2 * _HOURS_PER_LABEL:
        label["interval"] = _HOURS_PER_LABEL - 1
    return {
        "animation": False,
        "grid": {
            "left": 4,
            "right": 26,
            "top": 36 if len(series) > 1 else 14,
            "bottom": 2,
            "containLabel": True,
        },
        "legend": {"type": "scroll", "top": 0, "left": 0, **_LEGEND, "show": len(series) > 1},
        "tooltip": {"trigger": "axis", "valueFormatter": value_format, "confine": True, "order": "valueDesc"},
        "xAxis": {"type": "category", "data": labels, "axisTick": {"show": False}, "axisLabel": label},
        "yAxis": {
            "type": "value",
            "splitNumber": 4,
            "axisLabel": {} if axis is None else {"formatter": axis},
        },
        "series": series,
    }


def starts(report: Bucketed) -> dict[datetime, int]:
    """The position of every bucket of the range; a report by dimensions leaves out those where nothing was."""
    assert report.interval is not None
    span, zone = Span(report.since, report.until), time_zone(report.timezone)
    cut = buckets(span, interval=report.interval, zone=zone)
    return {bucket.since: number for number, bucket in enumerate(cut)}


def _points(values: Sequence[float | None]) -> dict[str, Any]:
    """The data of a line. Where there are few points each is marked, and so is one between two gaps: it has no line."""
    known = sum(value is not None for value in values)
    if known <= _FEW:
        return {"data": list(values), "showSymbol": True, "symbol": "circle", "symbolSize": _DOT}
    padded = (None, *values, None)
    alone = {
        number
        for number, value in enumerate(values)
        if value is not None and padded[number] is None and padded[number + 2] is None
    }
    if not alone:
        return {"data": list(values), "showSymbol": False}
    dots = [
        {"value": value, "symbol": "circle", "symbolSize": _DOT} if number in alone else value
        for number, value in enumerate(values)
    ]
    return {"data": dots, "showSymbol": True, "symbol": "none"}


def _at_most(value: float | None, limit: float | None) -> float | None:
    return value if value is None or limit is None else min(value, limit)


def _colored(series: Series) -> dict[str, Any]:
    return {} if series.color is None else {"itemStyle": {"color": series.color}}


def _some(values: Sequence[int]) -> tuple[int | None, ...]:
    return tuple(value or None for value in values)


def scale(largest: int) -> tuple[int, str, int]:
    """By what to divide counts, the letter for that, and the decimals that are left."""
    if largest >= 10**6:
        return 10**6, "M", 3
    return (10**3, "k", 1) if largest >= 10**4 else (1, "", 0)
