"""`/admin/v1/requests`: the log. One row per upstream attempt, newest first."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.params import PathParameter, QueryParameter

from service.admin.injection import Admin
from service.admin.paging import DEFAULT_PAGE, check_limit
from service.admin.parameters import filters_of, optional_instant, optional_usd, refuse_unknown
from service.reporting.intervals import time_zone
from service.reporting.rows import Page, RequestFilter, get_request, list_requests

_KNOWN = (
    "from",
    "to",
    "timezone",
    "request_id",
    "final_only",
    "min_cost_usd",
    "max_cost_usd",
    "limit",
    "cursor",
)


@get("/requests", sync_to_thread=True, summary="List requests, newest first")
def list_all(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Request[Any, Any, Any],
    *,
    since: Annotated[
        str | None, QueryParameter(name="from", description="Instant or day, inclusive.")
    ] = None,
    until: Annotated[str | None, QueryParameter(name="to", description="Instant or day, exclusive.")] = None,
    timezone: Annotated[str | None, QueryParameter(description="IANA zone in which days begin.")] = None,
    request_id: Annotated[
        str | None, QueryParameter(description="Id of the request, of an attempt, or of the upstream.")
    ] = None,
    final_only: Annotated[
        bool, QueryParameter(description="Only the attempt whose answer the client got.")
    ] = False,
    min_cost_usd: Annotated[str | None, QueryParameter(description="Decimal amount.")] = None,
    max_cost_usd: Annotated[str | None, QueryParameter(description="Decimal amount.")] = None,
    limit: Annotated[int, QueryParameter(description="Rows of a page, 1 to 1000.")] = DEFAULT_PAGE,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> Page:
    """Every dimension of a usage report is a filter too: `?key=…&model=gpt-4o*&outcome=ok&outcome=timeout`."""
    pairs = list(request.query_params.multi_items())
    refuse_unknown(pairs, known=_KNOWN)
    zone = time_zone(timezone or admin.reporting_timezone)
    wanted = RequestFilter(
        since=optional_instant(since, field="from", zone=zone),
        until=optional_instant(until, field="to", zone=zone),
        filters=filters_of(pairs),
        request_id=request_id,
        min_cost_nanos=optional_usd(min_cost_usd, field="min_cost_usd"),
        max_cost_nanos=optional_usd(max_cost_usd, field="max_cost_usd"),
        final_only=final_only,
    )
    with admin.store.read() as tx:
        return list_requests(tx, wanted, limit=check_limit(limit), cursor=cursor)


@get("/requests/{request_id:str}", sync_to_thread=True, summary="Show a request with all its attempts")
def get_one(
    admin: Admin,
    request_id: Annotated[str, PathParameter(description="Id of the request or of one of its attempts.")],
) -> dict[str, Any]:
    """Cost lines, the usage as the upstream reported it, and ledger entries."""
    with admin.store.read() as tx:
        return get_request(tx, request_id)
