"""Who may use the admin API: holders of an admin key, in the header only; viewers may only read.

The guard stands on the router, so no route is without it, and runs before a body is read.
"""

from collections.abc import Callable
from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from service.admin.context import AdminContext
from service.audit.actor import Actor
from service.keys.token import bearer_token

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], None]
READING = frozenset({"GET", "HEAD", "OPTIONS"})


def admin_guard(context: AdminContext) -> Guard:
    """The guard of the admin router."""

    def require_admin_key(connection: Connection, _handler: BaseRouteHandler) -> None:
        grant = context.authenticate(bearer_token(connection.headers.get("authorization")))
        if grant is None:
            raise NotAuthorizedException("An admin key is needed, as: Authorization: Bearer <admin key>.")
        if grant.role != "admin" and connection.scope.get("method") not in READING:
            raise PermissionDeniedException(
                "This admin key has the role `viewer`, which may only read; use one with the role `admin`."
            )
        client = connection.client
        connection.scope["user"] = Actor(
            "admin_key", grant.id, grant.name, None if client is None else client.host
        )

    return require_admin_key
