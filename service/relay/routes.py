"""The relay's routes on the HTTP edge: `/v1/*`, and whether this process lives and can serve.

The `/v1` routes are ASGI handlers, because the send loop must be ours.
"""

from typing import Any, cast
from urllib.parse import unquote

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.handlers import ASGIRouteHandler
from litestar.response import Response
from litestar.types import HTTPScope, Receive, Send

from service.errors import ModelNotFoundError
from service.keys.snapshot import KeyGrant
from service.relay.context import RelayContext
from service.relay.door import Door
from service.relay.failures import error_json
from service.relay.headers import Headers
from service.relay.models import ModelList
from service.relay.own_usage import OwnUsage
from service.relay.reply import Reply

OK, UNAVAILABLE = 200, 503
MODELS = "/v1/models"


def relay_routes(context: RelayContext, door: Door, *, models: ModelList, own_usage: OwnUsage) -> list[Any]:
    """The route handlers of the data plane."""

    async def chat_completions(scope: HTTPScope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _method_not_allowed(send, allowed=b"POST")
            return
        await door.chat_completions(_headers(scope), _client(scope), receive=receive, send=send)

    async def list_or_describe(scope: HTTPScope, receive: Receive, send: Send) -> None:  # noqa: ARG001  (ASGI's signature)
        if scope["method"] not in ("GET", "HEAD"):
            await _method_not_allowed(send, allowed=b"GET")
            return
        name = _model_named(scope)

        async def answer(grant: KeyGrant) -> Any:
            if not name:
                return {"object": "list", "data": await models.allowed(grant)}
            model = await models.one(grant, name)
            if model is None:
                raise ModelNotFoundError(
                    f"The model `{name[:100]}` does not exist, or the API key may not use it."
                )
            return model

        await door.read_only(_headers(scope), _client(scope), send=send, answer=answer)

    async def usage(scope: HTTPScope, receive: Receive, send: Send) -> None:  # noqa: ARG001  (ASGI's signature)
        if scope["method"] not in ("GET", "HEAD"):
            await _method_not_allowed(send, allowed=b"GET")
            return
        await door.read_only(_headers(scope), _client(scope), send=send, answer=own_usage.of)

    return [
        ASGIRouteHandler("/v1/chat/completions", copy_scope=False)(chat_completions),
        ASGIRouteHandler("/v1/usage", copy_scope=False)(usage),
        # Mounted, because Litestar does not route to an ASGI handler whose path has a parameter.
        ASGIRouteHandler(MODELS, is_mount=True, copy_scope=True)(list_or_describe),
        *_health_routes(context),
    ]


def _model_named(scope: HTTPScope) -> str:
    """What stands behind `/v1/models/`; names may contain slashes, plain or encoded."""
    path = unquote(scope["raw_path"].decode("latin-1").partition("?")[0])
    rest = path[path.index(MODELS) + len(MODELS) :]
    if rest and not rest.startswith("/"):  # Litestar mounts by prefix, not by segment
        raise NotFoundException
    return rest.strip("/")


def _health_routes(context: RelayContext) -> list[Any]:
    @get("/healthz", sync_to_thread=False, include_in_schema=True, summary="Is this process alive?")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @get("/readyz", sync_to_thread=False, include_in_schema=True, summary="Can this process serve?")
    def readyz() -> Response[dict[str, Any]]:
        checks = {
            "accepting": not context.draining,
            "keys_fresh": not context.configuration.stale,
            "store_taking_records": context.recorder.store_available,
            "journal_below_80_percent": not context.journal.nearly_full,
        }
        ready = checks["accepting"] and checks["keys_fresh"]
        if context.settings.durability == "store":
            ready = ready and checks["store_taking_records"]
        body = {
            "status": "ready" if ready else "not ready",
            "checks": checks,
            "backlog": context.recorder.backlog,
        }
        return Response(body, status_code=OK if ready else UNAVAILABLE)

    return [healthz, readyz]


async def _method_not_allowed(send: Send, *, allowed: bytes) -> None:
    body = error_json(
        f"Use {allowed.decode()} here.", type="invalid_request_error", code="method_not_allowed"
    )
    headers: Headers = [
        (b"content-type", b"application/json"),
        (b"allow", allowed),
        (b"content-length", b"%d" % len(body)),
    ]
    reply = Reply(send)
    await reply.start(405, headers)
    await reply.finish(body)


def _headers(scope: HTTPScope) -> Headers:
    return cast(Headers, scope["headers"])  # a list on every server; ASGI only promises an iterable


def _client(scope: HTTPScope) -> str | None:
    client = scope.get("client")
    return client[0] if client else None
