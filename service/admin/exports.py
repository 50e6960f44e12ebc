"""`/admin/v1/export/…`: the files of `tollkeeper export`, streamed.

A file is made in threads, a piece at a time, and a piece only when the client has taken the one before: a slow client
holds neither memory nor the store, and one that leaves ends the reading. The first pieces are made before the answer
begins, so that what is wrong by then is an error with a status; what goes wrong later breaks the connection off,
without the end of a complete answer.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import chain, islice
from typing import Annotated, Any, Literal

from litestar import Request, get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from litestar.response import Stream

from service.admin.injection import Admin
from service.admin.parameters import filters_of, optional_instant, refuse_unknown
from service.admin.questions import (
    DEFAULT_RANGE,
    Amount,
    Cut,
    FinalOnly,
    From,
    GroupBy,
    Range,
    RecentFrom,
    RecentTo,
    RequestId,
    TimeZone,
    To,
    request_filter,
    usage_query,
)
from service.errors import InvalidInputError
from service.logs import get_logger
from service.reporting.export import export_requests, export_usage
from service.reporting.files import FileFormat
from service.reporting.focus import export_focus
from service.reporting.intervals import time_zone
from service.reporting.usage import usage_report

MEDIA_TYPES: dict[FileFormat, str] = {
    "csv": "text/csv",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}
_FIRST_PIECES = 2  # a CSV file begins with its header, which says nothing of the store
_RESPONSES = {
    200: ResponseSpec(bytes, generate_examples=False, description="The file.", media_type="text/csv"),
}
Format = Annotated[FileFormat, QueryParameter(description="Of the file.")]


@get("/export/requests", sync_to_thread=True, summary="Export requests, newest first", responses=_RESPONSES)
def requests_file(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Request[Any, Any, Any],
    *,
    format: Format = "csv",  # noqa: A002  (errors call it by this name)
    since: From = None,
    until: To = None,
    timezone: TimeZone = None,
    request_id: RequestId = None,
    final_only: FinalOnly = False,
    min_cost_usd: Amount = None,
    max_cost_usd: Amount = None,
) -> Stream:
    """Every record that `/requests` would list, with every column, in one file; the filters are the same."""
    wanted = request_filter(
        admin,
        request,
        asked=Range(since=since, until=until, timezone=timezone),
        request_id=request_id,
        final_only=final_only,
        min_cost_usd=min_cost_usd,
        max_cost_usd=max_cost_usd,
        also_known=("format",),
    )
    pieces = export_requests(admin.store, wanted, file_format=format)
    return _file("requests", pieces, file_format=format)


@get("/export/usage", sync_to_thread=True, summary="Export usage and cost", responses=_RESPONSES)
def usage_file(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Request[Any, Any, Any],
    *,
    format: Format = "csv",  # noqa: A002  (errors call it by this name)
    since: RecentFrom = None,
    until: RecentTo = None,
    interval: Cut = None,
    group_by: GroupBy = "",
    timezone: TimeZone = None,
) -> Stream:
    """The rows that `/usage` answers with as a file; the parameters are the same."""
    asked = Range(since=since, until=until, timezone=timezone)
    query = usage_query(
        admin, request, asked=asked, interval=interval, group_by=group_by, also_known=("format",)
    )
    with admin.store.read() as tx:
        report = usage_report(tx, query)
    return _file("usage", export_usage(report, file_format=format), file_format=format)


@get("/export/focus", sync_to_thread=True, summary="Export FOCUS billing data", responses=_RESPONSES)
def focus_file(
    admin: Admin,
    request: Request[Any, Any, Any],
    *,
    format: Format = "csv",  # noqa: A002  (errors call it by this name)
    since: RecentFrom = None,
    until: RecentTo = None,
    period: Annotated[Literal["hour", "day"], QueryParameter(description="UTC hours or days.")] = "day",
) -> Stream:
    """FOCUS 1.2 of whole UTC days or hours: a metered estimate, not an invoice. It takes no filters."""
    pairs = list(request.query_params.multi_items())
    refuse_unknown(pairs, known=("from", "to", "period", "format"))
    for dimension in filters_of(pairs):
        raise InvalidInputError("export/focus writes the books whole; leave the filters out", field=dimension)
    zone = time_zone(admin.reporting_timezone)
    end = optional_instant(until, field="to", zone=zone) or admin.now()
    begin = optional_instant(since, field="from", zone=zone) or end - DEFAULT_RANGE
    pieces = export_focus(admin.store, since=begin, until=end, period=period, file_format=format)
    return _file("focus", pieces, file_format=format)


def _file(name: str, pieces: Iterator[bytes], *, file_format: FileFormat) -> Stream:
    first = list(islice(pieces, _FIRST_PIECES))
    return Stream(
        _in_threads(chain(first, pieces)),
        media_type=MEDIA_TYPES[file_format],
        headers={"content-disposition": f'attachment; filename="tollkeeper-{name}.{file_format}"'},
    )


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Each piece made in a thread. The framework's own way takes any ValueError for the end of the file."""
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            if piece:
                yield piece
    except Exception:
        get_logger().exception("export_failed")
        raise
