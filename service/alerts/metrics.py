"""What rules can watch: every metric, its unit, and what holds where a rule does not say. Pure.

Higher is always worse. *pending* is how long a crossing must last before it fires, *clear* how long it must be gone
before it is resolved: a rate that dances around its threshold is one alert, not twenty. What a budget has spent never
falls by itself, so budgets need neither.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal

import msgspec

Family = Literal["budget", "usage", "history", "activity", "upstream", "gauge", "report"]
Unit = Literal["share", "usd", "times", "ms", "minutes", "count"]

DAY = timedelta(days=1)
NOTHING = timedelta(0)
MINUTE = timedelta(minutes=1)


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric. *window* None: it has none. Thresholds None and *needs_threshold*: the rule must give one."""

    name: str
    family: Family
    unit: Unit
    says: str
    window: str | None = None
    longest: timedelta = timedelta(days=31)
    warning: float | None = None
    critical: float | None = None
    needs_threshold: bool = True
    min_requests: int = 0
    every_s: float = 15.0
    pending: timedelta = timedelta(seconds=10)
    clear: timedelta = 5 * MINUTE


_ALL = (
    Metric(
        name="budget_used",
        family="budget",
        unit="share",
        says="Spent of a budget's limit; without thresholds of its own the rule takes each budget's.",
        needs_threshold=False,
        every_s=0.5,
        pending=NOTHING,
        clear=NOTHING,
    ),
    Metric(
        name="budget_forecast",
        family="budget",
        unit="share",
        says="What a budget will have spent at the end of its period, as a share of its limit.",
        warning=1.0,
        every_s=60.0,
    ),
    Metric(
        name="burn_rate",
        family="budget",
        unit="times",
        says="Spending in the window, as a multiple of what the budget can pay for over its period.",
        window="1h",
        longest=7 * DAY,
        warning=5.0,
        critical=15.0,
        min_requests=10,
    ),
    Metric(
        name="spend",
        family="usage",
        unit="usd",
        says="Cost of the requests in the window, in USD.",
        window="1d",
    ),
    Metric(
        name="spend_anomaly",
        family="history",
        unit="times",
        says="Spending in the window against the median of the same weekday's in the last eight weeks.",
        window="1d",
        longest=7 * DAY,
        warning=3.0,
        critical=6.0,
        min_requests=20,
        every_s=60.0,
    ),
    Metric(
        name="error_rate",
        family="usage",
        unit="share",
        says="Failed requests of all requests in the window.",
        window="15m",
        warning=0.1,
        critical=0.5,
        min_requests=20,
    ),
    Metric(
        name="p95_latency_ms",
        family="usage",
        unit="ms",
        says="The duration that 95 % of the requests in the window stayed below.",
        window="15m",
        min_requests=20,
    ),
    Metric(
        name="p95_ttft_ms",
        family="usage",
        unit="ms",
        says="The time to the first event that 95 % of the streams in the window stayed below.",
        window="15m",
        min_requests=20,
    ),
    Metric(
        name="silence",
        family="activity",
        unit="minutes",
        says="Minutes since the last request of whoever sent any within the window.",
        window="7d",
        warning=60.0,
        every_s=60.0,
    ),
    Metric(
        name="unpriced",
        family="usage",
        unit="count",
        says="Attempts in the window whose cost is not known, because their model has no price.",
        window="1h",
        warning=1.0,
    ),
    Metric(
        name="estimated_share",
        family="usage",
        unit="share",
        says="Attempts in the window whose usage is estimated, of all that have usage.",
        window="1h",
        warning=0.2,
        min_requests=20,
    ),
    Metric(
        name="upstream_down",
        family="upstream",
        unit="share",
        says="Failed attempts of all attempts at an upstream in the window.",
        window="5m",
        longest=timedelta(hours=1),
        critical=1.0,
        min_requests=5,
    ),
    Metric(
        name="journal_backlog",
        family="gauge",
        unit="share",
        says="The journal's size as a share of relay.journal_max_bytes: records that wait for the store.",
        warning=0.5,
        critical=0.8,
    ),
    Metric(
        name="bookkeeping_drift",
        family="gauge",
        unit="count",
        says="Differences that `tollkeeper check` finds in the last two days, and records that the store refused.",
        critical=1.0,
        every_s=60.0,
        pending=NOTHING,
    ),
    Metric(
        name="report",
        family="report",
        unit="usd",
        says="Not an alarm: spending and usage of the last whole day (window 1d) or week (window 7d).",
        window="7d",
        needs_threshold=False,
        every_s=60.0,
        pending=NOTHING,
        clear=NOTHING,
    ),
)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
