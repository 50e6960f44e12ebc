"""`/admin/v1/requests`: the log. One row per upstream attempt, newest first."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.params import PathParameter, QueryParameter

from service.admin.injection import Admin
from service.admin.paging import DEFAULT_PAGE, check_limit
from service.admin.questions import Amount, FinalOnly, From, Range, RequestId, TimeZone, To, request_filter
from service.reporting.rows import Page, get_request, list_requests


@get("/requests", sync_to_thread=True, summary="List requests, newest first")
def list_all(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Request[Any, Any, Any],
    *,
    since: From = None,
    until: To = None,
    timezone: TimeZone = None,
    request_id: RequestId = None,
    final_only: FinalOnly = False,
    min_cost_usd: Amount = None,
    max_cost_usd: Amount = None,
    limit: Annotated[int, QueryParameter(description="Rows of a page, 1 to 1000.")] = DEFAULT_PAGE,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> Page:
    """Every dimension of a usage report is a filter too: `?key=…&model=gpt-4o*&outcome=ok&outcome=timeout`."""
    wanted = request_filter(
        admin,
        request,
        asked=Range(since=since, until=until, timezone=timezone),
        request_id=request_id,
        final_only=final_only,
        min_cost_usd=min_cost_usd,
        max_cost_usd=max_cost_usd,
        also_known=("limit", "cursor"),
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
