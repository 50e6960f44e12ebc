"""The running month as a chart: what was spent day by day, what is expected, and the limit. Pure."""

from datetime import date, timedelta
from typing import Any

from dashboard import formats
from dashboard.charts import BLUE, GREY, RED, Option
from service.pricing.money import NANOS_PER_USD
from service.reporting.forecast import Expected, Forecast, path

DAY = timedelta(days=1)


def month(
    days: dict[date, int],
    *,
    today: date,
    elapsed: float,
    ahead: tuple[Expected, Forecast] | None,
    limit_nanos: int | None,
) -> Option:
    """Running sums of *days* up to today, the expectation from today on, and the limit as a line across."""
    first = today.replace(day=1)
    end = (first + 32 * DAY).replace(day=1)
    labels = [first + number * DAY for number in range((end - first).days)]
    spent: list[float | None] = [None] * len(labels)
    total = 0
    for number, day in enumerate(labels):
        if day <= today:
            total += days.get(day, 0)
            spent[number] = _usd(total)
    series = [_line("Spent", spent, BLUE, area=True)]
    if ahead is not None:
        expected: list[float | None] = [None] * len(labels)
        for day, nanos in path(ahead[0], ahead[1], today=today, elapsed=elapsed):
            expected[(day - first).days] = _usd(nanos)
        expected[(today - first).days] = _usd(total)
        series.append(_line("Expected", expected, GREY, dashed=True))
    if limit_nanos is not None:
        limit = _line("Budget", [_usd(limit_nanos)] * len(labels), RED)
        limit["lineStyle"]["width"] = 1.25
        series.append(limit)
    return {
        "animation": False,
        "grid": {"left": 4, "right": 12, "top": 28, "bottom": 2, "containLabel": True},
        "legend": {
            "top": 0,
            "left": 0,
            "icon": "roundRect",
            "itemWidth": 10,
            "itemHeight": 10,
            "itemGap": 14,
        },
        "tooltip": {"trigger": "axis", "valueFormatter": "$%,.2f", "confine": True},
        "xAxis": {
            "type": "category",
            "boundaryGap": False,
            "data": [f"{day.day} {day:%b}" for day in labels],
            "axisTick": {"show": False},
            "axisLabel": {"hideOverlap": True},
        },
        "yAxis": {"type": "value", "splitNumber": 3, "axisLabel": {"formatter": "${value}"}},
        "series": series,
    }


def sentence(forecast: Forecast, *, limit_nanos: int | None) -> str:
    """The forecast in words, with its range, and how it stands to the limit."""
    text = (
        f"{formats.short_usd(forecast.low_nanos)} to {formats.short_usd(forecast.high_nanos)} in four of five such "
        f"months, from the weekdays of the last {forecast.history_days} days."
    )
    if limit_nanos is None:
        return text
    share = forecast.expected_nanos / limit_nanos
    return f"{share:.0%} of the budget of {formats.short_usd(limit_nanos)}. {text}"


def _line(
    name: str, values: list[float | None], color: str, *, area: bool = False, dashed: bool = False
) -> dict[str, Any]:
    line: dict[str, Any] = {
        "type": "line",
        "name": name,
        "data": values,
        "showSymbol": sum(value is not None for value in values) == 1,
        "symbol": "circle",
        "symbolSize": 6,
        "lineStyle": {"width": 2, "type": "dashed" if dashed else "solid", "color": color},
        "itemStyle": {"color": color},
    }
    if area:
        line["areaStyle"] = {"opacity": 0.12, "color": color}
    return line


def _usd(nanos: int) -> float:
    return nanos / NANOS_PER_USD
