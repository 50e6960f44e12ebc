"""`/metrics`: who may read it, and what only a relay knows of itself.

By default it is open to programs on this machine: the peer and the Host header are loopback, and no header says that
a proxy stands between. So neither a reverse proxy on the same host nor a web page by DNS rebinding opens it to others.
Anybody else needs an admin key; one with the role `viewer` will do.
"""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from litestar import get
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.response import Response

from service.keys.token import sole_bearer_token
from service.relay.context import RelayContext
from service.telemetry import names
from service.telemetry.page import MetricsPage
from service.telemetry.prometheus import CONTENT_TYPE

Connection = ASGIConnection[Any, Any, Any, Any]
PROXIED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_MICROS_PER_MS = 1_000
_MICROS_PER_SECOND = 1_000_000


def metrics_route(
    page: MetricsPage, *, access: str, authenticate: Callable[[str], object | None]
) -> HTTPRouteHandler:
    """The route. *access* is the setting `telemetry.prometheus`."""

    def require_reader(connection: Connection, _handler: BaseRouteHandler) -> None:
        if access == "open" or (access == "loopback" and is_local(connection)):
            return
        if authenticate(sole_bearer_token(connection.headers.getall("authorization", []))) is None:
            raise NotAuthorizedException(
                "From another machine an admin key is needed, as: Authorization: Bearer <admin key>."
            )

    @get(
        "/metrics",
        guards=[require_reader],
        sync_to_thread=True,
        tags=["Health"],
        summary="Metrics of this relay's processes, for Prometheus",
    )
    def metrics() -> Response[bytes]:
        return Response(page.text().encode(), media_type=CONTENT_TYPE)

    return metrics


def is_local(connection: Connection) -> bool:
    """Whether a program on this machine asks, directly."""
    client = connection.client
    if client is None or any(name in connection.headers for name in PROXIED):
        return False
    host = connection.headers.get("host", "")
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return _is_loopback(client.host) and (name == "localhost" or _is_loopback(name.strip("[]")))


def _is_loopback(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def relay_figures(context: RelayContext) -> Callable[[], Mapping[str, float]]:
    """How the relay is at this moment; safe on any thread."""

    def read() -> dict[str, float]:
        recorder, journal = context.recorder, context.journal
        content = context.capturer.counters
        exchanges = list(context.exchanges)
        oldest = recorder.oldest
        lag_s = 0.0
        if oldest is not None:
            ended = oldest.started_at + (oldest.duration_ms or 0) * _MICROS_PER_MS
            lag_s = max(0.0, (context.clock.micros() - ended) / _MICROS_PER_SECOND)
        return {
            names.OPEN_REQUESTS.name: len(exchanges),
            names.OPEN_STREAMS.name: sum(exchange.streaming for exchange in exchanges),
            names.DRAINS.name: context.disconnect_drains,
            names.BACKLOG.name: recorder.backlog,
            names.LAG.name: round(lag_s, 3),
            names.STORE_UP.name: recorder.store_available,
            names.READY.name: not context.draining and not context.configuration.stale,
            names.JOURNAL_OPEN.name: journal.open_count,
            names.JOURNAL_USED.name: journal.bytes_used,
            names.JOURNAL_LIMIT.name: context.settings.journal_max_bytes,
            names.CONTENT_STORED.name: content.stored,
            names.CONTENT_LEFT_OUT.name: content.no_room + content.store_away,
            names.CONTENT_FAILED.name: content.failed,
        }

    return read
