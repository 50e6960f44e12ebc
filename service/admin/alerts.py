"""`/admin/v1/alerts/rules`: what is watched, and when it is too much."""

from typing import Annotated

from litestar import delete, get, patch, post
from litestar.params import JSONBody, PathParameter

from service.admin.alert_pages import Cursor, Limit, Plain, refuse_unknown
from service.admin.injection import Admin, By
from service.admin.paging import DEFAULT_PAGE, Page, check_limit, read_cursor, write_cursor
from service.alerts.registry import mute_until
from service.alerts.values import NewRule, RuleChanges
from service.alerts.views import Mute, RuleView

CREATED = 201
OK = 200
RuleId = Annotated[str, PathParameter(description="The rule's id, as `rule_…`.")]


@post("/alerts/rules", sync_to_thread=True, status_code=CREATED, summary="Create an alert rule")
def create_rule(admin: Admin, by: By, *, data: JSONBody[NewRule]) -> RuleView:
    """What is absent comes from the metric. Without channels it tells every channel."""
    with admin.store.write() as tx:
        return RuleView.of(admin.alerts.rules.create(tx, data, by=by))


@get("/alerts/rules", sync_to_thread=True, summary="List alert rules, newest first")
def list_rules(
    admin: Admin, request: Plain, *, limit: Limit = DEFAULT_PAGE, cursor: Cursor = None
) -> Page[RuleView]:
    """Deleted rules are not among them."""
    refuse_unknown(request, known=("limit", "cursor"))
    after = read_cursor(cursor)
    with admin.store.read() as tx:
        found = admin.alerts.rules.list(tx, limit=check_limit(limit) + 1, after=after)
    page = found[:limit]
    more = len(found) > limit
    return Page(
        [RuleView.of(rule) for rule in page],
        write_cursor(page[-1].created_at, page[-1].id) if more else None,
    )


@get("/alerts/rules/{rule_id:str}", sync_to_thread=True, summary="Show an alert rule")
def get_rule(admin: Admin, rule_id: RuleId) -> RuleView:
    """The rule with what came from its metric."""
    with admin.store.read() as tx:
        return RuleView.of(admin.alerts.rules.get(tx, rule_id))


@patch("/alerts/rules/{rule_id:str}", sync_to_thread=True, summary="Change an alert rule")
def update_rule(admin: Admin, by: By, *, rule_id: RuleId, data: JSONBody[RuleChanges]) -> RuleView:
    """Fields that are absent stay. An alert whose threshold is not reached any more ends."""
    with admin.store.write() as tx:
        return RuleView.of(admin.alerts.rules.update(tx, rule_id, changes=data, by=by))


@delete("/alerts/rules/{rule_id:str}", sync_to_thread=True, status_code=OK, summary="Delete an alert rule")
def delete_rule(admin: Admin, by: By, *, rule_id: RuleId) -> RuleView:
    """Its alerts end; what it raised stays in the log."""
    with admin.store.write() as tx:
        found = admin.alerts.rules.get(tx, rule_id)
        admin.alerts.rules.delete(tx, rule_id, by=by)
    return RuleView.of(found)


@post("/alerts/rules/{rule_id:str}/mute", sync_to_thread=True, status_code=OK, summary="Mute an alert rule")
def mute_rule(admin: Admin, by: By, *, rule_id: RuleId, data: JSONBody[Mute]) -> RuleView:
    """Nobody is told until then; what still lasts is told afterwards."""
    until = mute_until(data.duration, data.until, now=admin.now())
    with admin.store.write() as tx:
        return RuleView.of(admin.alerts.rules.mute(tx, rule_id, until=until, by=by))


@post(
    "/alerts/rules/{rule_id:str}/unmute", sync_to_thread=True, status_code=OK, summary="Unmute an alert rule"
)
def unmute_rule(admin: Admin, by: By, *, rule_id: RuleId) -> RuleView:
    """People are told again from now on."""
    with admin.store.write() as tx:
        return RuleView.of(admin.alerts.rules.unmute(tx, rule_id, by=by))


ROUTES = (
    create_rule,
    list_rules,
    get_rule,
    update_rule,
    delete_rule,
    mute_rule,
    unmute_rule,
)
