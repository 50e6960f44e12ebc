"""`/admin/v1/audit`: who changed what. `tollkeeper audit verify` proves that nothing was changed in it afterwards."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.params import QueryParameter

from service.admin.injection import Admin
from service.admin.paging import DEFAULT_PAGE, Page, check_limit, read_cursor, write_cursor
from service.admin.parameters import optional_instant, refuse_others
from service.admin.questions import From, TimeZone, To
from service.audit.actor import ActorKind
from service.audit.trail import AuditedChange, AuditFilter
from service.errors import InvalidInputError
from service.reporting.dimensions import require_storable
from service.reporting.intervals import time_zone

_KNOWN = (
    *("actor", "actor_kind", "action", "target", "target_kind"),
    *("from", "to", "timezone", "limit", "cursor"),
)


@get("/audit", sync_to_thread=True, summary="Administrative changes, newest first")
def list_changes(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Request[Any, Any, Any],
    *,
    actor: Annotated[str | None, QueryParameter(description="Id or name of who did it.")] = None,
    actor_kind: Annotated[ActorKind | None, QueryParameter(description="What kind of actor.")] = None,
    action: Annotated[
        str | None, QueryParameter(description="Such as `key.create`; `key.*` for all of keys.")
    ] = None,
    target: Annotated[str | None, QueryParameter(description="Id or name of what was changed.")] = None,
    target_kind: Annotated[str | None, QueryParameter(description="Such as `key` or `price`.")] = None,
    since: From = None,
    until: To = None,
    timezone: TimeZone = None,
    limit: Annotated[int, QueryParameter(description="Rows of a page, 1 to 1000.")] = DEFAULT_PAGE,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> Page[AuditedChange]:
    """`before` and `after` hold what changed: null where the thing did not exist, never a secret."""
    refuse_others(request.query_params.multi_items(), known=_KNOWN)
    texts = {"actor": actor, "action": action, "target": target, "target_kind": target_kind}
    for name, text in texts.items():
        if text is not None:
            require_storable(text, field=name)
    zone = time_zone(timezone or admin.reporting_timezone)
    wanted = AuditFilter(
        **texts,
        actor_kind=actor_kind,
        since=optional_instant(since, field="from", zone=zone),
        until=optional_instant(until, field="to", zone=zone),
    )
    before_seq = _position(cursor)
    with admin.store.read() as tx:
        found = admin.trail.list(tx, wanted, limit=check_limit(limit) + 1, before_seq=before_seq)
    page = found[:limit]
    more = len(found) > limit
    return Page(page, write_cursor(page[-1].at, str(page[-1].seq)) if more else None)


def _position(cursor: str | None) -> int | None:
    read = read_cursor(cursor)
    if read is None:
        return None
    number = read[1]
    if not (number.isascii() and number.isdigit() and len(number) < 19):  # noqa: PLR2004  (a BIGINT)
        raise InvalidInputError("cursor is not one that an earlier page gave", field="cursor")
    return int(number)
