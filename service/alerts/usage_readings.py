"""Readings of metrics about usage, from the rollups; windows of a quarter of an hour and less from the records.

The rollups know quarters of an hour: a longer window begins with the quarter it begins in, so that it is never too
short. The running quarter is in it as far as it has been recorded.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection

from service.alerts.measuring import WindowFigures, anomaly, share, usage_value
from service.alerts.rules import Reading, Rule
from service.alerts.subjects import about, subject_of
from service.alerts.values import window_of
from service.pricing.money import format_usd
from service.reporting import queries
from service.reporting.dimensions import ROLLUP
from service.reporting.figures import Measures, Sums, figures
from service.reporting.intervals import QUARTER, Span, widened
from service.reporting.measures import MEASURES
from service.reporting.usage import UsageQuery, key_names, usage_report

LOOKBACK = timedelta(days=7)
"""Who sent requests within this time is missed when nothing comes."""
WEEKS = 8
WEEK = timedelta(days=7)
DOWN = ("midstream_error", "truncated", "timeout")
SERVER_ERROR = 500
_COST, _REQUESTS = MEASURES.index("cost_nanos"), MEASURES.index("requests")

Group = tuple[str, ...]


class Measured(msgspec.Struct, frozen=True):
    """One group of requests in a window."""

    group: Group
    measures: Measures


def usage_readings(tx: Connection, rule: Rule, *, now: datetime) -> list[Reading]:
    """A reading for each group; for all of them together where the rule names no dimension."""
    span = Span(now - window_of(rule), now)
    found = measured(tx, rule, span=span, group_by=rule.group_by)
    names = names_of(tx, rule.group_by, groups=[one.group for one in found])
    readings = [_usage_reading(rule, one, span=span, names=names) for one in found]
    if rule.no_data == "alert" and rule.group_by:
        readings += _missing(tx, rule, span=span, known={one.group for one in found})
    return readings


def history_readings(tx: Connection, rule: Rule, *, now: datetime) -> list[Reading]:
    """Spending in the window beside the same hours of the weeks before."""
    current = widened(now - window_of(rule), now)
    spans = [Span(current.since - WEEK * back, current.until - WEEK * back) for back in range(WEEKS + 1)]
    statement = queries.rollup_usage(spans, group_by=rule.group_by, filters=rule.filters)
    width = 1 + len(rule.group_by)
    costs: dict[Group, dict[int, int]] = {}
    requests: dict[Group, int] = {}
    for row in tx.execute(statement):
        number, group = int(row[0]), tuple(row[1:width])
        by_week = costs.setdefault(group, {})
        by_week[number] = by_week.get(number, 0) + int(row[width + _COST] or 0)
        if number == 0:
            requests[group] = requests.get(group, 0) + int(row[width + _REQUESTS])
    names = names_of(tx, rule.group_by, groups=list(requests))
    return [
        _history_reading(rule, group, by_week=costs[group], requests=count, span=current, names=names)
        for group, count in requests.items()
    ]


def upstream_readings(tx: Connection, rule: Rule, *, now: datetime) -> list[Reading]:
    """The share of attempts at each upstream that it failed; what it refused on purpose (4xx) is no failure."""
    span = Span(now - window_of(rule), now)
    attempts: dict[str, int] = {}
    failed: dict[str, int] = {}
    for one in _from_records(tx, rule, span=span, group_by=("upstream", "outcome", "http_status")):
        upstream, outcome, status = one.group
        if not upstream:
            continue
        attempts[upstream] = attempts.get(upstream, 0) + one.measures.attempts
        down = outcome in DOWN or (
            outcome == "upstream_error" and (not status or int(status) >= SERVER_ERROR)
        )
        failed[upstream] = failed.get(upstream, 0) + (one.measures.attempts if down else 0)
    return [
        Reading(
            subject=subject_of(("upstream",), (upstream,)),
            value=share(failed[upstream], count),
            enough=count >= rule.min_requests,
            starts_at=span.since,
            ends_at=span.until,
            details={"about": f"Upstream {upstream}", "attempts": count, "failed": failed[upstream]},
        )
        for upstream, count in attempts.items()
    ]


def measured(tx: Connection, rule: Rule, *, span: Span, group_by: Sequence[str]) -> list[Measured]:
    """The measures of each group in *span*; without dimensions there is always one group."""
    if span.until - span.since <= QUARTER:
        return _from_records(tx, rule, span=span, group_by=group_by)
    query = UsageQuery(since=span.since, until=span.until, group_by=tuple(group_by), filters=rule.filters)
    found = []
    for row in usage_report(tx, query).rows:
        values = [row.dimensions["key_id" if name == "key" else name] or "" for name in group_by]
        found.append(Measured(tuple(values), row.measures))
    return found


def _from_records(tx: Connection, rule: Rule, *, span: Span, group_by: Sequence[str]) -> list[Measured]:
    width = 1 + len(group_by)
    sums: dict[Group, Sums] = {}
    for row in tx.execute(queries.record_usage([span], group_by=group_by, filters=rule.filters)):
        sums[tuple(map(str, row[1:width]))] = Sums.of(row[width:])
    latency = {"p95_latency_ms": "duration_ms", "p95_ttft_ms": "ttft_ms"}.get(rule.metric)
    if latency is not None:
        counts = queries.record_latencies(latency, [span], group_by=group_by, filters=rule.filters)
        for _number, *group, index, count in tx.execute(counts):
            sums.setdefault(tuple(map(str, group)), Sums()).bins[latency][index] = count
    if not group_by:
        sums.setdefault((), Sums())
    return [Measured(group, figures(one)) for group, one in sums.items()]


def _usage_reading(rule: Rule, one: Measured, *, span: Span, names: dict[str, str]) -> Reading:
    measures = one.measures
    value = usage_value(rule.metric, window_figures(measures)) if measures.attempts else None
    return Reading(
        subject=subject_of(rule.group_by, one.group),
        value=value,
        enough=measures.requests >= rule.min_requests,
        starts_at=span.since,
        ends_at=span.until,
        details={
            "about": about(rule.group_by, one.group, key_names=names),
            "requests": measures.requests,
            "errors": measures.errors,
            "cost_usd": measures.cost_usd,
        },
    )


def window_figures(measures: Measures) -> WindowFigures:
    """What metrics need of *measures*."""
    sources = measures.usage_source
    return WindowFigures(
        requests=measures.requests,
        errors=measures.errors,
        cost_nanos=measures.cost_nanos or 0,
        unpriced=measures.unpriced_requests,
        estimated=sources["estimated"],
        with_usage=sources["provider"] + sources["partial"] + sources["estimated"],
        p95_duration_ms=measures.p95_duration_ms,
        p95_ttft_ms=measures.p95_ttft_ms,
    )


def _missing(tx: Connection, rule: Rule, *, span: Span, known: set[Group]) -> list[Reading]:
    """Groups that sent requests lately, and none in the window."""
    lookback = LOOKBACK if {*rule.group_by, *rule.filters} <= ROLLUP.keys() else window_of(rule) * 2
    earlier = measured(tx, rule, span=Span(span.until - lookback, span.until), group_by=rule.group_by)
    groups = [one.group for one in earlier if one.group not in known]
    names = names_of(tx, rule.group_by, groups=groups)
    return [
        Reading(
            subject=subject_of(rule.group_by, group),
            value=None,
            starts_at=span.since,
            ends_at=span.until,
            details={"about": about(rule.group_by, group, key_names=names)},
        )
        for group in groups
    ]


def _history_reading(
    rule: Rule, group: Group, *, by_week: dict[int, int], requests: int, span: Span, names: dict[str, str]
) -> Reading:
    weeks = [nanos for number, nanos in by_week.items() if number]
    value = anomaly(by_week.get(0, 0), weeks=weeks)
    usual = round(by_week[0] / value) if value else 0
    return Reading(
        subject=subject_of(rule.group_by, group),
        value=value,
        enough=requests >= rule.min_requests,
        starts_at=span.since,
        ends_at=span.until,
        details={
            "about": about(rule.group_by, group, key_names=names),
            "requests": requests,
            "spent_usd": format_usd(by_week.get(0, 0)),
            "usual_usd": format_usd(usual),
        },
    )


def names_of(tx: Connection, group_by: Sequence[str], *, groups: Sequence[Group]) -> dict[str, str]:
    """The names of the keys among *groups*."""
    if "key" not in group_by:
        return {}
    at = list(group_by).index("key")
    return key_names(tx, {group[at] for group in groups})
