"""`/admin/v1/usage`: measures over time, by any dimension."""

from typing import Any

from litestar import Request, get

from service.admin.injection import Admin
from service.admin.questions import Cut, GroupBy, Range, RecentFrom, RecentTo, TimeZone, usage_query
from service.admin.schemas import UsageAnswer
from service.reporting.usage import usage_report


@get("/usage", sync_to_thread=True, summary="Usage and cost over time, by any dimension")
def usage(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Request[Any, Any, Any],
    *,
    since: RecentFrom = None,
    until: RecentTo = None,
    interval: Cut = None,
    group_by: GroupBy = "",
    timezone: TimeZone = None,
) -> UsageAnswer:
    """Every dimension is a filter too: `?project=search&model=gpt-4o*`. Several values mean any of them."""
    asked = Range(since=since, until=until, timezone=timezone)
    query = usage_query(admin, request, asked=asked, interval=interval, group_by=group_by)
    with admin.store.read() as tx:
        return UsageAnswer.of(usage_report(tx, query))
