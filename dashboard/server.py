"""Runs the dashboard in this process: Streamlit's ASGI application on a listener of our own.

What cannot work is said before anything listens: `ConfigurationError` for an address that is taken or a SQLite file
that does not exist, `StoreUnavailableError` and `StoreSchemaError` for a store that cannot be read. Later a store
that goes away is the views' business. SIGTERM and SIGINT end the process with status 0 within a few seconds. Where CPU
is short, whoever forwards requests on this machine goes first.
"""

import ctypes
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import structlog
import uvicorn
from sqlalchemy.exc import DBAPIError
from starlette.middleware import Middleware
from starlette.routing import Route

from dashboard.context import Context, install
from dashboard.door import Door
from dashboard.exports import ROUTES
from dashboard.gate import SignInGate
from dashboard.headers import SecurityHeaders
from dashboard.oidc import oidc_routes
from dashboard.options import allowed_hosts, streamlit_options
from dashboard.registries import Registries
from dashboard.sign_in_routes import SignInRoutes
from service.errors import ConfigurationError, StoreSchemaError, StoreUnavailableError
from service.keys.secrets import installation_secret
from service.reporting.snapshots import extent
from service.settings import Loaded, Settings
from service.settings.proxies import TrustedProxies
from service.store.engine import Store

SCRIPT = Path(__file__).with_name("app.py")
SHUTDOWN_S = 2
PING_S = 20
BACKLOG = 128
NICENESS = 10
HEAPS = 2
M_ARENA_MAX = -8
"""Of malloc.h."""
_logger = structlog.get_logger("tollkeeper")


def run(loaded: Loaded, *, listener_fd: int | None = None) -> None:
    """Serve the dashboard until a signal; *listener_fd* is of a socket that listens already."""
    os.nice(NICENESS)  # before there are threads: they inherit it
    _share_heaps()
    settings = loaded.settings
    store = open_store(settings.store.url)
    if listener_fd is None:
        listener = _listen(settings.dashboard.host, settings.dashboard.port)
    else:
        listener = socket.socket(fileno=listener_fd)
    port = int(listener.getsockname()[1])
    root = installation_secret(store, settings)
    registries = Registries.of(root, settings, now=utc_now, random_bytes=os.urandom, chance=random.random)
    door = Door.of(store, root, now=utc_now, monotonic=time.monotonic, random_bytes=os.urandom)
    has_door = settings.dashboard.sign_in != "none"
    context = Context(store, loaded, now=utc_now, registries=registries)
    install(msgspec.structs.replace(context, door=door, who=door.viewer) if has_door else context)
    early: list[int] = []
    _on_signals(lambda number, _frame: early.append(number))
    try:
        provider = oidc_routes(settings, door, root=root, random_bytes=os.urandom)
        served = application(settings, port=port, door=door if has_door else None, provider=provider)
        server = uvicorn.Server(_config(served))
        # uvicorn listens to signals while it serves, and raises them again afterwards
        _on_signals(server.handle_exit)
        server.should_exit = bool(early)
        _announce(settings, port=port)
        server.run(sockets=[listener])
    finally:
        listener.close()
        store.close()


def _on_signals(handler: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _share_heaps() -> None:
    """Streamlit runs each script on a thread of its own; glibc gives threads heaps, and seldom takes memory back."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, HEAPS)


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)  # noqa: TID251  (composition root)


def open_store(url: str) -> Store:
    """The store, after one read of it."""
    store = Store(url)
    if store.is_sqlite and not Path(store.url.database or "").is_file():
        raise ConfigurationError(
            f"the store {store} does not exist; start Tollkeeper with `tollkeeper up`, or run: tollkeeper migrate"
        )
    try:
        _read_once(store)
    except BaseException:
        store.close()
        raise
    return store


def _read_once(store: Store) -> None:
    try:
        with store.read() as tx:
            extent(tx)
    except DBAPIError as error:
        raise _unreadable(store, error) from error
    except StoreUnavailableError as error:
        if "no such table" in str(error):  # SQLite's word for a schema that is not ours
            raise _unreadable(store, error) from error
        raise


def _unreadable(store: Store, error: DBAPIError | StoreUnavailableError) -> StoreSchemaError:
    reason = str(error.orig if isinstance(error, DBAPIError) else error).splitlines()[0]
    return StoreSchemaError(
        f"the store {store} is empty or of another version ({reason}); run: tollkeeper migrate"
    )


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; ConfigurationError where the address cannot be had."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"the dashboard cannot listen on {host}:{port}: {reason}; choose another port with --dashboard-port"
        ) from error
    return listener


def _config(served: Any) -> uvicorn.Config:
    return uvicorn.Config(
        served,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )


def application(settings: Settings, *, port: int, door: Door | None, provider: Sequence[Route] = ()) -> Any:
    """Streamlit's ASGI application for the entry script, with its options set; without a *door* everybody is in.

    *provider* are the routes of the sign-in with an identity provider.
    """
    from streamlit import App
    from streamlit.web import bootstrap

    public_url = settings.alerts.dashboard_url
    bootstrap.load_config_options(streamlit_options(settings.dashboard, port=port, public_url=public_url))
    middleware, routes = [Middleware(SecurityHeaders)], [*ROUTES]
    if door is not None:
        hosts = allowed_hosts(settings.dashboard.host, public_url=public_url)
        also_open = [route.path for route in provider]
        middleware.append(
            Middleware(SignInGate, door=door, hosts=hosts, also_open=also_open, public_url=public_url)
        )
        routes += SignInRoutes(
            door,
            proxies=TrustedProxies(settings.relay.trusted_proxies),
            provider=settings.dashboard.oidc_name if provider else "",
            with_password=settings.dashboard.sign_in == "password",
        ).routes
        routes += provider
    return App(SCRIPT, routes=routes, middleware=middleware, on_script_error=_log_failure)


def _log_failure(error: Exception) -> None:
    """The page says only that something failed; the log says what."""
    _logger.error("dashboard_view_failed", exc_info=error)


def _announce(settings: Settings, *, port: int) -> None:
    host = settings.dashboard.host
    shown = f"[{host}]" if ":" in host else host
    _logger.info("dashboard_ready", url=f"http://{shown}:{port}")
    if settings.dashboard.sign_in == "none":
        _logger.warning("dashboard_without_sign_in", host=host, note="whoever reaches it is an administrator")
