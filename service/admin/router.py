"""The admin API as one router: every route behind the guard, nothing cached, bodies bounded."""

from litestar import Router

from service.admin import (
    admin_keys,
    alert_channels,
    alert_events,
    alerts,
    audit,
    budgets,
    check,
    content,
    exports,
    keys,
    prices,
    projects,
    requests,
    upstreams,
    usage,
)
from service.admin.bodies import StrictRequest
from service.admin.context import AdminContext
from service.admin.guard import admin_guard
from service.admin.injection import provided

PATH = "/admin/v1"
MAX_BODY_BYTES = 1 << 20
SECURITY_SCHEME = "adminKey"


def create_admin_router(context: AdminContext) -> Router:
    """The routes under `/admin/v1`. The application also takes `failures.exception_handlers`."""
    return Router(
        path=PATH,
        route_handlers=[
            keys.create_key,
            keys.list_keys,
            keys.get_key,
            keys.update_key,
            keys.revoke_key,
            keys.rotate_key,
            projects.create_project,
            projects.list_projects,
            projects.get_project,
            projects.update_project,
            projects.archive_project,
            projects.restore_project,
            budgets.create_budget,
            budgets.list_budgets,
            budgets.get_budget,
            budgets.list_periods,
            budgets.update_budget,
            budgets.delete_budget,
            prices.create_price,
            prices.list_all,
            prices.show_price,
            prices.delete_price,
            requests.list_all,
            requests.get_one,
            content.get_content,
            content.count_content,
            content.delete_content,
            usage.usage,
            exports.requests_file,
            exports.usage_file,
            exports.focus_file,
            admin_keys.create_admin_key,
            admin_keys.list_admin_keys,
            admin_keys.show_admin_key,
            admin_keys.revoke_admin_key,
            upstreams.list_upstreams,
            upstreams.show_upstream,
            audit.list_changes,
            check.check_books,
            *alerts.ROUTES,
            *alert_channels.ROUTES,
            *alert_events.ROUTES,
        ],
        request_class=StrictRequest,
        guards=[admin_guard(context)],
        dependencies=provided(context),
        request_max_body_size=MAX_BODY_BYTES,
        response_headers={"cache-control": "no-store", "x-content-type-options": "nosniff"},
        security=[{SECURITY_SCHEME: []}],
        tags=["admin"],
    )
