"""Who may use the admin API: holders of an admin key, in the header only; viewers may only read.

The guard stands on the router, so no route is without it, and runs before a body is read. Wrong keys are limited by
address, and told to the audit log in a bounded way (`wrong_keys`); a request without a key is neither.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler

from service.admin.context import AdminContext
from service.admin.wrong_keys import FAILURES_PER_MINUTE, Event
from service.audit.actor import Actor, Target
from service.errors import StoreError, TooManyFailuresError
from service.keys.token import sole_bearer_token
from service.logs import get_logger
from service.store.types import to_micros

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]
READING = frozenset({"GET", "HEAD", "OPTIONS"})
ADMINS_ONLY = {"admins_only": True}
"""The `opt` of a route that viewers may not even read."""
_TARGET = Target("admin_api", "admin_api", "the admin API")


def admin_guard(context: AdminContext) -> Guard:
    """The guard of the admin router."""

    async def require_admin_key(connection: Connection, handler: BaseRouteHandler) -> None:
        bearer = sole_bearer_token(connection.headers.getall("authorization", []))
        address = _address(context, connection)
        grant = context.authenticate(bearer)
        if grant is None:
            if bearer:
                await _limit(context, address)
            raise NotAuthorizedException("An admin key is needed, as: Authorization: Bearer <admin key>.")
        reading = connection.scope.get("method") in READING
        if grant.role != "admin" and reading and "admins_only" in handler.opt:
            raise PermissionDeniedException(
                "This admin key has the role `viewer`, which may not see this; use one with the role `admin`."
            )
        if grant.role != "admin" and not reading:
            raise PermissionDeniedException(
                "This admin key has the role `viewer`, which may only read; use one with the role `admin`."
            )
        connection.scope["user"] = Actor("admin_key", grant.id, grant.name, address)

    return require_admin_key


def _address(context: AdminContext, connection: Connection) -> str | None:
    client = connection.client
    forwarded = ",".join(connection.headers.getall("x-forwarded-for", []))
    return context.proxies.client(None if client is None else client.host, forwarded=forwarded)


async def _limit(context: AdminContext, address: str | None) -> None:
    """Count a wrong key; tell of it, where that is due; refuse the address for a while, where it made too many."""
    judged = context.wrong_keys.judge(address, micros=to_micros(context.now()))
    if judged.event is not None:
        get_logger().warning("wrong_admin_key", address=address, what=judged.event)
        await asyncio.to_thread(_tell, context, address, judged.event)
    if judged.retry_after_s:
        raise TooManyFailuresError(
            f"Too many requests with a wrong admin key from this address; try again in {judged.retry_after_s} s.",
            retry_after_s=judged.retry_after_s,
        )


def _tell(context: AdminContext, address: str | None, event: Event) -> None:
    by = Actor("system", "admin_api", "the admin API", address)
    after = {"wrong_keys": 1 if event == "first" else FAILURES_PER_MINUTE}
    try:
        with context.store.write() as tx:
            context.trail.record(
                tx, by=by, action="admin_key.refused", target=_TARGET, before=None, after=after
            )
    except StoreError:
        get_logger().exception("audit_failed", action="admin_key.refused")
