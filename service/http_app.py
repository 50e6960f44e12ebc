"""The ASGI application: data plane, admin plane, health, and one OpenAPI document of all of it at `/schema`."""

from typing import Any

from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin

from service.admin.context import AdminContext
from service.admin.failures import exception_handlers
from service.admin.openapi import openapi_config
from service.admin.organization import create_organization_router
from service.admin.router import create_admin_router
from service.relay.context import RelayContext
from service.relay.door import Door
from service.relay.models import ModelList
from service.relay.openapi import merged
from service.relay.own_usage import OwnUsage
from service.relay.routes import relay_routes


class _WholeJson(JsonRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, merged(openapi_schema))


class _WholeYaml(YamlRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, merged(openapi_schema))


def create_http_app(
    relay: RelayContext, admin: AdminContext, *, metrics: HTTPRouteHandler | None = None
) -> Litestar:
    """Put the routes together; *metrics* is the route of `/metrics`, where there is one."""
    models = ModelList(relay.router.providers, relay.client, monotonic=relay.clock.monotonic)
    own_usage = OwnUsage(admin.store, timezone=admin.reporting_timezone, now=admin.now)
    config = openapi_config()
    config.render_plugins = [_WholeJson(path=["/", "/openapi.json"]), _WholeYaml()]
    return Litestar(
        route_handlers=[
            *relay_routes(relay, Door(relay), models=models, own_usage=own_usage),
            create_organization_router(admin),
            create_admin_router(admin),
            *([] if metrics is None else [metrics]),
        ],
        exception_handlers=exception_handlers(),
        openapi_config=config,
        logging_config=None,
    )
