"""Reads of usage and of requests: everything a view shows comes from `service.reporting` through kept reads."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from dashboard.cache import CHART_TTL_S, LIVE_TTL_S, PAST_TTL_S, kept
from dashboard.context import current
from service.errors import InvalidInputError, NotFoundError
from service.reporting.effort import records_to_read
from service.reporting.intervals import Span
from service.reporting.neighbours import Neighbours, neighbours
from service.reporting.rows import Page, RequestFilter, get_request, list_requests
from service.reporting.snapshots import extent
from service.reporting.spend_series import SpendOverTime, SpendQuery
from service.reporting.spend_series import spend_over_time as read_spend
from service.reporting.usage import UsageQuery, UsageReport, usage_report


@kept(LIVE_TTL_S)
def live_usage(tx: Connection, query: UsageQuery) -> UsageReport:
    """A report at most `LIVE_TTL_S` old."""
    return usage_report(tx, query)


@kept(CHART_TTL_S)
def usage(tx: Connection, query: UsageQuery) -> UsageReport:
    """A report at most `CHART_TTL_S` old."""
    return usage_report(tx, query)


@kept(PAST_TTL_S)
def past_usage(tx: Connection, query: UsageQuery) -> UsageReport:
    """A report on a time that is over."""
    return usage_report(tx, query)


@kept(CHART_TTL_S)
def spend_over_time(tx: Connection, query: SpendQuery) -> SpendOverTime:
    """What a chart of spend shows, at most `CHART_TTL_S` old."""
    return read_spend(tx, query)


@kept(CHART_TTL_S)
def effort(tx: Connection, query: UsageQuery) -> int:
    """About how many records a report would read; 0 where rollups answer."""
    return records_to_read(tx, query)


@kept(LIVE_TTL_S)
def requests(tx: Connection, wanted: RequestFilter, *, limit: int, cursor: str | None = None) -> Page:
    """A page of the log."""
    return list_requests(tx, wanted, limit=limit, cursor=cursor)


@kept(LIVE_TTL_S)
def request(tx: Connection, identifier: str) -> dict[str, Any] | None:
    """One request with all its attempts; None where there is none of this id."""
    try:
        return get_request(tx, identifier)
    except (InvalidInputError, NotFoundError):
        return None


@kept(LIVE_TTL_S)
def around(tx: Connection, wanted: RequestFilter, identifier: str) -> Neighbours:
    """The requests before and after one, within a filter."""
    return neighbours(tx, wanted, of=identifier)


@kept(LIVE_TTL_S)
def recorded(tx: Connection) -> Span | None:
    """From when to when there are books; None in an empty store."""
    return extent(tx)


@kept(LIVE_TTL_S)
def newest(tx: Connection) -> datetime | None:
    """When the newest request began; None in an empty store."""
    found = list_requests(tx, RequestFilter(), limit=1).data
    return found[0]["started_at"] if found else None


def now() -> datetime:
    """The present, from the installed clock."""
    return current().now()
