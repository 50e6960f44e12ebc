"""`/admin/v1/alerts/events` and `/deliveries`: what rules raised, and how people were told."""

from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import PathParameter, QueryParameter

from service.admin.alert_pages import Cursor, Limit, Plain, before, refuse_unknown
from service.admin.injection import Admin, By
from service.admin.paging import DEFAULT_PAGE, Page, check_limit, write_cursor
from service.admin.parameters import optional_instant
from service.alerts import event_log
from service.alerts.event_log import AlertEvent, Delivery, DeliveryFilter, EventFilter, parse_id
from service.alerts.outbox import retry
from service.alerts.views import DeliveryView, EventView
from service.audit.actor import Target
from service.reporting.intervals import time_zone

OK = 200
MOST_DELIVERIES = 1_000
EventId = Annotated[str, PathParameter(description="The alert's id.")]
DeliveryId = Annotated[str, PathParameter(description="The delivery's id.")]


@get("/alerts/events", sync_to_thread=True, summary="List alerts, newest first")
def list_events(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Plain,
    *,
    stands: Annotated[
        str | None,
        QueryParameter(name="state", description="`pending`, `firing` or `resolved`; absent: the last two."),
    ] = None,
    severity: Annotated[str | None, QueryParameter(description="`info`, `warning` or `critical`.")] = None,
    rule: Annotated[str | None, QueryParameter(description="Only of this rule (its id).")] = None,
    since: Annotated[
        str | None, QueryParameter(name="from", description="Instant or day, inclusive.")
    ] = None,
    until: Annotated[str | None, QueryParameter(name="to", description="Instant or day, exclusive.")] = None,
    limit: Limit = DEFAULT_PAGE,
    cursor: Cursor = None,
) -> Page[AlertEvent]:
    """Reports are among them, with the severity `info`."""
    refuse_unknown(request, known=("state", "severity", "rule", "from", "to", "limit", "cursor"))
    zone = time_zone(admin.reporting_timezone)
    wanted = EventFilter(
        state=stands,
        severity=severity,
        rule_id=rule,
        since=optional_instant(since, field="from", zone=zone),
        until=optional_instant(until, field="to", zone=zone),
    )
    with admin.store.read() as tx:
        found = event_log.list_events(tx, wanted, limit=check_limit(limit) + 1, before=before(cursor))
    page = found[:limit]
    return Page(page, write_cursor(page[-1].seen_at, str(page[-1].id)) if len(found) > limit else None)


@get("/alerts/events/{event_id:str}", sync_to_thread=True, summary="Show an alert with its deliveries")
def get_event(admin: Admin, event_id: EventId) -> EventView:
    """What was crossed, when, and who was told."""
    identifier = parse_id(event_id, what="an alert")
    with admin.store.read() as tx:
        found = event_log.get_event(tx, identifier)
        sent = event_log.list_deliveries(tx, DeliveryFilter(event_id=identifier), limit=MOST_DELIVERIES)
    return EventView(**msgspec.structs.asdict(found), deliveries=sent)


@get("/alerts/deliveries", sync_to_thread=True, summary="List deliveries, newest first")
def list_deliveries(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Plain,
    *,
    stands: Annotated[
        str | None, QueryParameter(name="state", description="`waiting`, `sending`, `delivered` or `dead`.")
    ] = None,
    channel: Annotated[str | None, QueryParameter(description="Only to this channel (its id).")] = None,
    event: Annotated[str | None, QueryParameter(description="Only about this alert (its id).")] = None,
    limit: Limit = DEFAULT_PAGE,
    cursor: Cursor = None,
) -> Page[Delivery]:
    """`dead` are those that were given up."""
    refuse_unknown(request, known=("state", "channel", "event", "limit", "cursor"))
    about = None if event is None else parse_id(event, what="an alert")
    wanted = DeliveryFilter(state=stands, channel_id=channel, event_id=about)
    with admin.store.read() as tx:
        found = event_log.list_deliveries(tx, wanted, limit=check_limit(limit) + 1, before=before(cursor))
    page = found[:limit]
    return Page(page, write_cursor(page[-1].created_at, str(page[-1].id)) if len(found) > limit else None)


@get("/alerts/deliveries/{delivery_id:str}", sync_to_thread=True, summary="Show a delivery with its attempts")
def get_delivery(admin: Admin, delivery_id: DeliveryId) -> DeliveryView:
    """What was tried, when, and what came of it."""
    with admin.store.read() as tx:
        found, log = event_log.get_delivery(tx, parse_id(delivery_id, what="a delivery"))
    return DeliveryView(**msgspec.structs.asdict(found), log=log)


@post(
    "/alerts/deliveries/{delivery_id:str}/retry",
    sync_to_thread=True,
    status_code=OK,
    summary="Send a delivery that was given up once more",
)
def retry_delivery(admin: Admin, by: By, *, delivery_id: DeliveryId) -> DeliveryView:
    """It is tried at once, and given up again if that fails."""
    identifier = parse_id(delivery_id, what="a delivery")
    with admin.store.write() as tx:
        retry(tx, identifier, now=admin.now())
        found, log = event_log.get_delivery(tx, identifier)
        target = Target("alert_delivery", str(identifier), found.channel_name)
        admin.trail.record(tx, by=by, action="alert_delivery.retry", target=target, before=None, after={})
    return DeliveryView(**msgspec.structs.asdict(found), log=log)


ROUTES = (
    list_events,
    get_event,
    list_deliveries,
    get_delivery,
    retry_delivery,
)
