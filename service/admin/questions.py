"""What `/requests`, `/usage` and their exports ask alike: the query parameters, and the question they make."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from litestar import Request
from litestar.params import QueryParameter

from service.admin.context import AdminContext
from service.admin.parameters import filters_of, optional_instant, optional_usd, refuse_unknown
from service.reporting.intervals import Interval, time_zone
from service.reporting.rows import RequestFilter
from service.reporting.usage import UsageQuery

DEFAULT_RANGE = timedelta(days=30)
RECORD_PARAMETERS = ("from", "to", "timezone", "request_id", "final_only", "min_cost_usd", "max_cost_usd")
USAGE_PARAMETERS = ("from", "to", "interval", "group_by", "timezone")

From = Annotated[str | None, QueryParameter(name="from", description="Instant or day, inclusive.")]
To = Annotated[str | None, QueryParameter(name="to", description="Instant or day, exclusive.")]
RecentFrom = Annotated[
    str | None, QueryParameter(name="from", description="Instant or day; 30 days ago if absent.")
]
RecentTo = Annotated[str | None, QueryParameter(name="to", description="Instant or day; now if absent.")]
TimeZone = Annotated[str | None, QueryParameter(description="IANA zone in which days and intervals begin.")]
RequestId = Annotated[
    str | None, QueryParameter(description="Id of the request, of an attempt, or of the upstream.")
]
FinalOnly = Annotated[bool, QueryParameter(description="Only the attempt whose answer the client got.")]
Amount = Annotated[str | None, QueryParameter(description="Decimal amount.")]
Cut = Annotated[Interval | None, QueryParameter(description="One row for each; absent: one in all.")]
GroupBy = Annotated[str, QueryParameter(description="Dimensions, separated by commas.")]


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """A range of time as it was asked for; *timezone* None is the one that reports go by."""

    since: str | None
    until: str | None
    timezone: str | None


def request_filter(  # noqa: PLR0913  (one argument for each query parameter)
    admin: AdminContext,
    request: Request[Any, Any, Any],
    *,
    asked: Range,
    request_id: str | None,
    final_only: bool,
    min_cost_usd: str | None,
    max_cost_usd: str | None,
    also_known: Iterable[str],
) -> RequestFilter:
    """The records asked for; dimensions are read from the query itself."""
    pairs = list(request.query_params.multi_items())
    refuse_unknown(pairs, known=(*RECORD_PARAMETERS, *also_known))
    zone = time_zone(asked.timezone or admin.reporting_timezone)
    return RequestFilter(
        since=optional_instant(asked.since, field="from", zone=zone),
        until=optional_instant(asked.until, field="to", zone=zone),
        filters=filters_of(pairs),
        request_id=request_id,
        min_cost_nanos=optional_usd(min_cost_usd, field="min_cost_usd"),
        max_cost_nanos=optional_usd(max_cost_usd, field="max_cost_usd"),
        final_only=final_only,
    )


def usage_query(
    admin: AdminContext,
    request: Request[Any, Any, Any],
    *,
    asked: Range,
    interval: Interval | None,
    group_by: str,
    also_known: Iterable[str] = (),
) -> UsageQuery:
    """The report asked for; dimensions as filters are read from the query itself."""
    pairs = list(request.query_params.multi_items())
    refuse_unknown(pairs, known=(*USAGE_PARAMETERS, *also_known))
    zone = time_zone(asked.timezone or admin.reporting_timezone)
    end = optional_instant(asked.until, field="to", zone=zone) or admin.now()
    return UsageQuery(
        since=optional_instant(asked.since, field="from", zone=zone) or end - DEFAULT_RANGE,
        until=end,
        interval=interval,
        group_by=tuple(name.strip() for name in group_by.split(",") if name.strip()),
        timezone=zone.key,
        filters=filters_of(pairs),
    )
