"""`/v1/organization/usage/completions` and `/v1/organization/costs`: our books in the shape of OpenAI's own API.

Made for tools that read OpenAI's: the same parameters, also as `group_by[]=`, the same pages of buckets. Buckets are
UTC days or hours and begin where these begin; `end_time` counts to the end of its quarter of an hour. A line item is
a model. Whatever has no counterpart in our books is refused by name.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Router, get
from litestar.params import QueryParameter

from service.admin.context import AdminContext
from service.admin.guard import admin_guard
from service.admin.injection import Admin, provided
from service.admin.router import SECURITY_SCHEME
from service.errors import InvalidInputError
from service.reporting.intervals import Interval
from service.reporting.openai_shape import COMPLETIONS_DIMENSIONS, COSTS_DIMENSIONS, completions, costs
from service.reporting.usage import UsageQuery, UsageReport, usage_report

PATH = "/v1/organization"
EARLIEST = datetime(1980, 1, 1, tzinfo=UTC)
"""Tools that want everything ask from 0 on."""
_LATEST_SECOND = 253_402_300_799
_LARGEST_COST_PAGE = 180
_DEFAULT_PAGE = 7
_TOKEN_BYTES = 8
_FILTERS = {
    "models": "model",
    "line_items": "model",
    "project_ids": "project",
    "user_ids": "end_user",
    "api_key_ids": "key",
}
_SINGLE = ("start_time", "end_time", "bucket_width", "batch", "limit", "page")


class Width(msgspec.Struct, frozen=True):
    """A bucket width: its length, our interval, and how many of them a page has by default and at most."""

    length: timedelta
    interval: Interval
    default: int
    most: int


WIDTHS = {
    "1h": Width(timedelta(hours=1), "hour", 24, 168),
    "1d": Width(timedelta(days=1), "day", _DEFAULT_PAGE, 31),
}

Start = Annotated[int | None, QueryParameter(description="Unix seconds, required; its whole bucket counts.")]
End = Annotated[int | None, QueryParameter(description="Unix seconds, exclusive; now if absent.")]
Limit = Annotated[int | None, QueryParameter(description="Buckets of a page.")]
PageToken = Annotated[str | None, QueryParameter(description="`next_page` of the page before.")]


def create_organization_router(context: AdminContext) -> Router:
    """The routes, behind the same guard as the admin API."""
    return Router(
        path=PATH,
        route_handlers=[usage_completions, organization_costs],
        guards=[admin_guard(context)],
        dependencies=provided(context),
        response_headers={"cache-control": "no-store", "x-content-type-options": "nosniff"},
        security=[{SECURITY_SCHEME: []}],
        tags=["organization"],
    )


@get("/usage/completions", sync_to_thread=True, summary="Usage of completions, as OpenAI's API reports it")
def usage_completions(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Request[Any, Any, Any],
    *,
    start_time: Start = None,
    end_time: End = None,
    bucket_width: Annotated[
        Literal["1h", "1d", "1m"], QueryParameter(description="`1h` or `1d`; minutes are not kept.")
    ] = "1d",
    batch: Annotated[
        bool | None, QueryParameter(description="Batch jobs only, of which we see none.")
    ] = None,
    limit: Limit = None,
    page: PageToken = None,
) -> dict[str, Any]:
    """Also `group_by`, `models`, `project_ids`, `user_ids` and `api_key_ids`, each several times or with `[]`."""
    if bucket_width == "1m":
        raise InvalidInputError(
            "bucket_width 1m is finer than the quarters of an hour that the books keep; use 1h or 1d",
            field="bucket_width",
        )
    given = _lists(request, allowed=("group_by", "models", "project_ids", "user_ids", "api_key_ids"))
    asked = _Asked.of(
        admin.now(),
        start_time=start_time,
        end_time=end_time,
        width=WIDTHS[bucket_width],
        limit=limit,
        page=page,
    )
    group_by = _dimensions(given.pop("group_by", ()), known=COMPLETIONS_DIMENSIONS, ignored=("batch",))
    report = _report(admin, asked, group_by=group_by, given=given)
    if batch:
        report = msgspec.structs.replace(report, rows=())
    return completions(report, next_page=asked.next_page)


@get("/costs", sync_to_thread=True, summary="Costs, as OpenAI's API reports them")
def organization_costs(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Request[Any, Any, Any],
    *,
    start_time: Start = None,
    end_time: End = None,
    bucket_width: Annotated[Literal["1d"], QueryParameter(description="Only `1d`.")] = "1d",
    limit: Limit = None,
    page: PageToken = None,
) -> dict[str, Any]:
    """Amounts are JSON numbers with every digit. A bucket without any known cost has no result, rather than 0."""
    given = _lists(request, allowed=("group_by", "line_items", "project_ids", "api_key_ids"))
    width = msgspec.structs.replace(WIDTHS[bucket_width], most=_LARGEST_COST_PAGE)
    asked = _Asked.of(
        admin.now(), start_time=start_time, end_time=end_time, width=width, limit=limit, page=page
    )
    group_by = _dimensions(given.pop("group_by", ()), known=COSTS_DIMENSIONS)
    return costs(_report(admin, asked, group_by=group_by, given=given), next_page=asked.next_page)


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the range that one page answers."""

    since: datetime
    until: datetime
    interval: Interval
    next_page: str | None

    @classmethod
    def of(
        cls,
        now: datetime,
        *,
        start_time: int | None,
        end_time: int | None,
        width: Width,
        limit: int | None,
        page: str | None,
    ) -> "_Asked":
        count = width.default if limit is None else limit
        if not 1 <= count <= width.most:
            raise InvalidInputError(f"limit must be an integer from 1 to {width.most}", field="limit")
        if start_time is None:
            raise InvalidInputError("start_time is missing; give it in Unix seconds", field="start_time")
        first = _floor(max(_instant(start_time, "start_time"), EARLIEST), width.length)
        end = -(-(now - first) // width.length) * width.length + first
        if end_time is not None:
            end = _instant(end_time, "end_time")
        if end <= first:
            raise InvalidInputError("end_time must be later than start_time", field="end_time")
        since = first if page is None else _page_start(page, first=first, end=end, length=width.length)
        following = since + count * width.length
        if following >= end:
            return cls(since=since, until=end, interval=width.interval, next_page=None)
        return cls(since=since, until=following, interval=width.interval, next_page=_token(following))


def _report(
    admin: AdminContext, asked: _Asked, *, group_by: tuple[str, ...], given: Mapping[str, tuple[str, ...]]
) -> UsageReport:
    query = UsageQuery(
        since=asked.since,
        until=asked.until,
        interval=asked.interval,
        group_by=group_by,
        filters={_FILTERS[name]: values for name, values in given.items()},
        percentiles=False,
    )
    with admin.store.read() as tx:
        return usage_report(tx, query)


def _lists(request: Request[Any, Any, Any], *, allowed: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The parameters that may come several times, by their names without `[]`."""
    found: dict[str, tuple[str, ...]] = {}
    for written, value in request.query_params.multi_items():
        name = written.removesuffix("[]")
        if name in allowed:
            found[name] = (*found.get(name, ()), value)
        elif written not in _SINGLE:
            raise InvalidInputError(
                f"{written[:100]!r} is not a parameter of this resource", field=written[:100]
            )
    return found


def _dimensions(
    names: Iterable[str], *, known: Mapping[str, str], ignored: tuple[str, ...] = ()
) -> tuple[str, ...]:
    wanted = dict.fromkeys(part for name in names for part in name.split(","))
    for name in wanted:
        if name not in known and name not in ignored:
            raise InvalidInputError(
                f"group_by {name[:50]!r} is not possible here; use {', '.join(known)}", field="group_by"
            )
    return tuple(known[name] for name in wanted if name in known)


def _instant(second: int, field: str) -> datetime:
    if not 0 <= second <= _LATEST_SECOND:
        raise InvalidInputError(f"{field} must be a time in Unix seconds", field=field)
    return datetime.fromtimestamp(second, UTC)


def _floor(instant: datetime, length: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (instant - epoch) // length * length


def _token(start: datetime) -> str:
    encoded = int(start.timestamp()).to_bytes(_TOKEN_BYTES, "big")
    return "page_" + base64.urlsafe_b64encode(encoded).decode().rstrip("=")


def _page_start(page: str, *, first: datetime, end: datetime, length: timedelta) -> datetime:
    """The bucket that a token of ours names; it must be one of the range."""
    text = page.removeprefix("page_")
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        start = datetime.fromtimestamp(int.from_bytes(decoded[:_TOKEN_BYTES], "big"), UTC)
    except (ValueError, binascii.Error, OverflowError, OSError):
        start = end
    if not first <= start < end or (start - first) % length or _token(start) != page:
        raise InvalidInputError("page is not one that an earlier answer gave for this range", field="page")
    return start
