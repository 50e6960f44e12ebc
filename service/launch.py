"""Starting processes: one relay worker, the keeper, or everything on this machine under one supervisor."""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from service.app import RelayProcess, open_store, prepare_store
from service.first_run import FirstKeys, ensure_first_keys, first_link, welcome
from service.keeper.process import KeeperProcess
from service.logs import get_logger
from service.server import run_server
from service.settings import Settings, with_simulator
from service.store.engine import Store
from service.supervisor import Child, Supervisor, follow_parent, listen

READY_TIMEOUT_S = 60.0
RELAY_URL = "{relay_url}"
SIMULATOR_NOTE = (
    "No upstream is configured and OPENAI_API_KEY is not set: every answer comes from the SIMULATED upstream. "
    "Add [[upstreams]] to tollkeeper.toml, or set OPENAI_API_KEY, for real ones."
)


class Inherited(msgspec.Struct, frozen=True):
    """What a worker gets from its supervisor: file descriptors, and the port of the simulated upstream."""

    listener: int | None = None
    ready: int | None = None
    lifeline: int | None = None
    simulator_port: int | None = None


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What everything-on-one-machine consists of."""

    config: Path | None = None
    dashboard: bool = False
    keeper: bool = False
    first_keys: bool = False
    extra: tuple[tuple[str, ...], ...] = ()
    """Arguments of further children, started last; `RELAY_URL` in them becomes the relay's."""
    headline: str | None = None
    store_flag: str = ""
    """What a command needs to see the same store, where that is not the default one."""
    virtual_key: str | None = None
    """A key that was made for this start, to be shown as the first one would be."""


def run_worker(settings: Settings, inherited: Inherited) -> None:
    """One relay worker, until a signal."""
    if inherited.lifeline is not None:
        follow_parent(inherited.lifeline)
    if inherited.simulator_port is not None:
        settings = with_simulator(settings, inherited.simulator_port)
    if inherited.listener is not None:
        listener = socket.socket(fileno=inherited.listener)
    else:
        listener = listen(settings.relay.host, settings.relay.port, purpose="the relay", flag="--port")
    process = RelayProcess(settings)
    process.start()

    def ready() -> None:
        if inherited.ready is not None:
            os.write(inherited.ready, b"1")
        else:
            get_logger().info(
                "relay_ready", url=base_url(listener), upstreams=[one.name for one in settings.upstreams]
            )

    run_server(process.build, listener=listener, on_ready=ready, on_stopped=process.close)


def run_keeper(settings: Settings, *, lifeline: int | None = None) -> None:
    """The keeper, until a signal."""
    process = KeeperProcess(settings)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    if lifeline is not None:
        follow_parent(lifeline)
    process.start()
    get_logger().info("keeper_ready", journal=str(process.journal), holder=process.holder)
    stopped.wait()
    process.close()


def run_everything(settings: Settings, options: Options) -> None:
    """Relay workers, and what *options* add, under one supervisor, until a signal."""
    supervisor = Supervisor()
    listener = listen(settings.relay.host, settings.relay.port, purpose="the relay", flag="--port")
    dashboard = _dashboard_listener(settings) if options.dashboard else None
    store = Store(settings.store.url)
    try:
        first = _prepare(store, settings, options)
    finally:
        store.close()
    try:
        simulator_port = None if settings.upstreams else _start_simulator(supervisor)
        _start_relays(supervisor, settings, options, listener=listener, simulator_port=simulator_port)
        if supervisor.stopping:
            return
        url = base_url(listener)
        _start_companions(supervisor, settings, options, url=url, dashboard=dashboard)
        _announce(settings, options, first, url=url, dashboard=dashboard)
        supervisor.run()
    finally:
        supervisor.stop()
        listener.close()
        if dashboard is not None:
            dashboard.close()


def _start_simulator(supervisor: Supervisor) -> int:
    """The simulated upstream on a free port; returns the port."""
    port = _free_port()
    arguments = ("simulator", "--port", str(port), "--lifeline-fd", str(supervisor.lifeline))
    supervisor.start(Child("simulator", arguments, pass_fds=(supervisor.lifeline,)))
    return port


def _start_companions(
    supervisor: Supervisor,
    settings: Settings,
    options: Options,
    *,
    url: str,
    dashboard: socket.socket | None,
) -> None:
    """What stands beside the relay: keeper, dashboard, and whatever *options* name."""
    shared = ("--lifeline-fd", str(supervisor.lifeline), *_common(settings, options))
    if options.keeper:
        supervisor.start(Child("keeper", ("keeper", *shared), pass_fds=(supervisor.lifeline,)))
    if dashboard is not None:
        fd, port = dashboard.fileno(), url.rpartition(":")[2]
        arguments = ("dashboard", "--listener-fd", str(fd), "--port", port, *shared)
        supervisor.start(Child("dashboard", arguments, pass_fds=(fd, supervisor.lifeline), vital=False))
    for extra in options.extra:
        further = (*(argument.replace(RELAY_URL, url) for argument in extra), *shared)
        supervisor.start(Child(extra[0], further, pass_fds=(supervisor.lifeline,), vital=False))


def _prepare(store: Store, settings: Settings, options: Options) -> FirstKeys:
    """Migrate, and on the first start make keys. PostgreSQL is migrated by `up`, never by `serve`."""
    if store.is_sqlite or options.first_keys:
        prepare_store(store)
    else:
        open_store(settings).close()
    if not options.first_keys:
        return FirstKeys(None, None)
    made = ensure_first_keys(store, settings)
    link = first_link(store, settings) if options.dashboard else None
    return FirstKeys(made.admin, options.virtual_key or made.virtual, link)


def _start_relays(
    supervisor: Supervisor,
    settings: Settings,
    options: Options,
    *,
    listener: socket.socket,
    simulator_port: int | None,
) -> None:
    ready, ready_end = os.pipe()
    fds = (listener.fileno(), ready_end, supervisor.lifeline)
    arguments = [
        "serve",
        "--listener-fd",
        str(listener.fileno()),
        "--ready-fd",
        str(ready_end),
        "--lifeline-fd",
        str(supervisor.lifeline),
        *_common(settings, options),
    ]
    if simulator_port is not None:
        arguments += ["--simulator-port", str(simulator_port)]
    workers = [
        Child(f"relay worker {number + 1}", arguments, pass_fds=fds)
        for number in range(settings.relay.workers)
    ]
    supervisor.start(*workers)
    supervisor.await_ready(ready, children=workers, timeout_s=READY_TIMEOUT_S)


def _announce(
    settings: Settings,
    options: Options,
    first: FirstKeys,
    *,
    url: str,
    dashboard: socket.socket | None,
) -> None:
    out = sys.stdout
    if options.headline is not None:
        out.write(f"\n  {options.headline}\n")
    elif not settings.upstreams:
        out.write(f"\n  {SIMULATOR_NOTE}\n")
    if options.first_keys:
        address = None if dashboard is None else settings.alerts.dashboard_url or base_url(dashboard)
        out.write(
            welcome(url, first, dashboard_url=address, model="gpt-4o-mini", store_flag=options.store_flag)
        )
    else:
        out.write(f"  Relay       {url}/v1\n")
    with contextlib.suppress(BrokenPipeError):
        out.flush()


def _common(settings: Settings, options: Options) -> Sequence[str]:
    """Flags that make a child see the same store, data and configuration."""
    flags = ["--store-url", settings.store.url, "--data-dir", str(settings.relay.data_dir)]
    return flags if options.config is None else [*flags, "--config", str(options.config)]


def _dashboard_listener(settings: Settings) -> socket.socket:
    """Listens from now on: who opens the printed address early, or during a restart, waits and is not refused."""
    return listen(
        settings.dashboard.host, settings.dashboard.port, purpose="the dashboard", flag="--dashboard-port"
    )


def _free_port() -> int:
    with listen("127.0.0.1", 0, purpose="the simulated upstream", flag="--port") as probe:
        return int(probe.getsockname()[1])


def base_url(listener: socket.socket) -> str:
    """Where a client on this machine reaches what listens there."""
    host, port = listener.getsockname()[:2]
    return f"http://{_shown_host(host)}:{port}"


def _shown_host(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
