"""`/admin/v1/usage`: measures over time, by any dimension."""

from datetime import timedelta
from typing import Annotated, Any

from litestar import Request, get
from litestar.params import QueryParameter

from service.admin.injection import Admin
from service.admin.parameters import filters_of, optional_instant, refuse_unknown
from service.admin.schemas import UsageAnswer
from service.reporting.intervals import Interval, time_zone
from service.reporting.usage import UsageQuery, usage_report

DEFAULT_RANGE = timedelta(days=30)
_KNOWN = ("from", "to", "interval", "group_by", "timezone")


@get("/usage", sync_to_thread=True, summary="Usage and cost over time, by any dimension")
def usage(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Request[Any, Any, Any],
    *,
    since: Annotated[
        str | None, QueryParameter(name="from", description="Instant or day; 30 days ago if absent.")
    ] = None,
    until: Annotated[
        str | None, QueryParameter(name="to", description="Instant or day; now if absent.")
    ] = None,
    interval: Annotated[
        Interval | None, QueryParameter(description="One row for each; absent: one in all.")
    ] = None,
    group_by: Annotated[str, QueryParameter(description="Dimensions, separated by commas.")] = "",
    timezone: Annotated[str | None, QueryParameter(description="IANA zone in which intervals begin.")] = None,
) -> UsageAnswer:
    """Every dimension is a filter too: `?project=search&model=gpt-4o*`. Several values mean any of them."""
    pairs = list(request.query_params.multi_items())
    refuse_unknown(pairs, known=_KNOWN)
    zone = time_zone(timezone or admin.reporting_timezone)
    end = optional_instant(until, field="to", zone=zone) or admin.now()
    query = UsageQuery(
        since=optional_instant(since, field="from", zone=zone) or end - DEFAULT_RANGE,
        until=end,
        interval=interval,
        group_by=tuple(name.strip() for name in group_by.split(",") if name.strip()),
        timezone=zone.key,
        filters=filters_of(pairs),
    )
    with admin.store.read() as tx:
        return UsageAnswer.of(usage_report(tx, query))
