"""Reports: spending and usage of the last whole day or week of the reporting time zone, beside the one before."""

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, select

from service.alerts.measuring import NANOS_PER_USD, change
from service.alerts.rules import Reading, Rule, Threshold
from service.alerts.subjects import EVERYTHING
from service.reporting.intervals import Span
from service.reporting.usage import UsageQuery, usage_report
from service.store.alert_tables import alert_event

THRESHOLD = Threshold("report", "info", None)
MOST_ROWS = 10
_DAYS = {"1d": 1, "7d": 7}


def last_whole(window: str, *, zone: ZoneInfo, now: datetime) -> Span:
    """The last day, or the last week from Monday on, that is over."""
    today = now.astimezone(zone).date()
    days = _DAYS[window]
    end = today if days == 1 else today - timedelta(days=today.weekday())
    return Span(_midnight(end - timedelta(days=days), zone), _midnight(end, zone))


def before(span: Span, *, window: str, zone: ZoneInfo) -> Span:
    """The day or week before."""
    first = span.since.astimezone(zone).date() - timedelta(days=_DAYS[window])
    return Span(_midnight(first, zone), span.since)


def due_report(tx: Connection, rule: Rule, *, zone: ZoneInfo, now: datetime) -> Reading | None:
    """What there is to report; None where it was reported, or was over before the rule was made."""
    span = last_whole(rule.window, zone=zone, now=now)
    if span.until <= rule.created_at or _is_made(tx, rule, span=span):
        return None
    total = usage_report(tx, _query(rule, span, zone=zone)).total
    earlier = usage_report(tx, _query(rule, before(span, window=rule.window, zone=zone), zone=zone)).total
    cost = total.cost_nanos or 0
    return Reading(
        subject=EVERYTHING,
        value=cost / NANOS_PER_USD,
        period=span.since,
        starts_at=span.since,
        ends_at=span.until,
        details={
            "requests": total.requests,
            "errors": total.errors,
            "cost_usd": total.cost_usd or "0.00",
            "change": change(cost, before_nanos=earlier.cost_nanos or 0),
            "input_tokens": total.input_tokens,
            "output_tokens": total.output_tokens,
            "coverage": total.coverage,
            "top": _top(tx, rule, span=span, zone=zone),
        },
    )


def _top(tx: Connection, rule: Rule, *, span: Span, zone: ZoneInfo) -> list[dict[str, Any]]:
    """Who cost the most, by the rule's dimensions, else by project."""
    query = _query(rule, span, zone=zone, group_by=rule.group_by or ("project",))
    return [
        {**row.dimensions, "requests": row.measures.requests, "cost_usd": row.measures.cost_usd}
        for row in usage_report(tx, query).rows[:MOST_ROWS]
    ]


def _query(rule: Rule, span: Span, *, zone: ZoneInfo, group_by: tuple[str, ...] = ()) -> UsageQuery:
    return UsageQuery(
        since=span.since,
        until=span.until,
        group_by=group_by,
        timezone=zone.key,
        filters=rule.filters,
        percentiles=False,
    )


def _is_made(tx: Connection, rule: Rule, *, span: Span) -> bool:
    event = alert_event.c
    same = (event.rule_id == rule.id, event.subject == EVERYTHING, event.period == span.since)
    return tx.execute(select(event.id).where(*same).limit(1)).first() is not None


def _midnight(day: Any, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(ZoneInfo("UTC"))
