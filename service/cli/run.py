"""Commands that run processes: `up`, `serve`, `keeper`, `dashboard`, `demo`, and the simulated upstream."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from service.settings import Loaded, Settings, load

F = TypeVar("F", bound=Callable[..., Any])


def _options(*names: str) -> Callable[[F], F]:
    """The click options of these names, as one decorator."""
    known = {
        "config": click.option(
            "--config", type=click.Path(path_type=Path), help="Configuration file (default: tollkeeper.toml)."
        ),
        "host": click.option("--host", help="Address the relay listens on."),
        "port": click.option("--port", type=int, help="Port the relay listens on."),
        "workers": click.option("--workers", type=int, help="Relay processes that share the port."),
        "store": click.option("--store-url", help="Database URL."),
        "data": click.option("--data-dir", help="Directory of journals and of the secret key."),
        "no_dashboard": click.option("--no-dashboard", is_flag=True, help="Do not start the dashboard."),
        "dashboard_port": click.option("--dashboard-port", type=int, help="Port of the dashboard."),
        "lifeline": click.option("--lifeline-fd", type=int, hidden=True),
        "listener": click.option("--listener-fd", type=int, hidden=True),
        "ready": click.option("--ready-fd", type=int, hidden=True),
        "simulator": click.option("--simulator-port", type=int, hidden=True),
    }

    def decorate(command: F) -> F:
        for name in reversed(names):
            command = known[name](command)
        return command

    return decorate


def _load(config: Path | None, **flags: Any) -> Loaded:
    """Settings from file, environment and the flags given; notes go to the log."""
    from service import logs
    from service.store.engine import parse_url

    logs.configure()
    keys = {
        "host": "relay.host",
        "port": "relay.port",
        "workers": "relay.workers",
        "store_url": "store.url",
        "data_dir": "relay.data_dir",
        "dashboard_port": "dashboard.port",
    }
    loaded = load(
        config_path=config, environ=os.environ, flags={keys[name]: value for name, value in flags.items()}
    )
    for note in loaded.notes:
        logs.get_logger().warning("setting_ignored", note=note)
    # What is mistyped is named before what is in its way, such as a busy port.
    parse_url(loaded.settings.store.url)
    return loaded


@click.command()
@_options("config", "host", "port", "workers", "store", "data", "no_dashboard", "dashboard_port")
@click.option("--demo", "as_demo", is_flag=True, help="As `demo`: a throw-away store full of history.")
def up(config: Path | None, *, no_dashboard: bool, as_demo: bool, **flags: Any) -> None:
    """Migrate the store and start relay, keeper and dashboard; prints the first keys once."""
    settings = _load(config, **flags).settings
    with_dashboard = settings.dashboard.enabled and not no_dashboard
    if as_demo:
        _demo(settings, dashboard=with_dashboard)
        return
    from service.launch import Options, run_everything

    run_everything(settings, Options(config=config, dashboard=with_dashboard, keeper=True, first_keys=True))


@click.command()
@_options("config", "host", "port", "workers", "store", "data", "listener", "ready", "lifeline", "simulator")
def serve(
    config: Path | None,
    *,
    listener_fd: int | None,
    ready_fd: int | None,
    lifeline_fd: int | None,
    simulator_port: int | None,
    **flags: Any,
) -> None:
    """Start the relay alone."""
    settings = _load(config, **flags).settings
    from service.launch import Inherited, Options, run_everything, run_worker

    if listener_fd is not None:
        run_worker(settings, Inherited(listener_fd, ready_fd, lifeline_fd, simulator_port))
    elif settings.upstreams and settings.relay.workers == 1:
        run_worker(settings, Inherited())
    else:
        run_everything(settings, Options(config=config))


@click.command()
@_options("config", "store", "data", "lifeline")
def keeper(config: Path | None, *, lifeline_fd: int | None, **flags: Any) -> None:
    """Start the keeper alone: alerts, recovery of dead relays, cleaning up. Several may run; one leads."""
    settings = _load(config, **flags).settings
    from service.launch import run_keeper

    run_keeper(settings, lifeline=lifeline_fd)


@click.command()
@_options("config", "host", "port", "store", "data", "dashboard_port", "listener", "lifeline")
def dashboard(config: Path | None, *, listener_fd: int | None, lifeline_fd: int | None, **flags: Any) -> None:
    """Start the dashboard alone."""
    loaded = _load(config, **flags)
    from dashboard.server import run
    from service.supervisor import follow_parent

    if lifeline_fd is not None:
        follow_parent(lifeline_fd)
    run(loaded, listener_fd=listener_fd)


@click.command()
@_options("config", "host", "port", "no_dashboard", "dashboard_port")
def demo(config: Path | None, *, no_dashboard: bool, **flags: Any) -> None:
    """As `up` on a throw-away store: simulated upstream, 30 days of history, light live traffic."""
    _demo(_load(config, **flags).settings, dashboard=not no_dashboard)


def _demo(settings: Settings, *, dashboard: bool) -> None:
    from service.demo import run_demo

    run_demo(msgspec.structs.replace(settings, upstreams=()), dashboard=dashboard)


@click.command(hidden=True)
@click.option("--relay-url", required=True)
@_options("config", "store", "data", "lifeline")
def demo_traffic(config: Path | None, *, relay_url: str, lifeline_fd: int | None, **flags: Any) -> None:
    """Light live traffic of the demo."""
    settings = _load(config, **flags).settings
    from service.demo import run_traffic
    from service.supervisor import follow_parent

    if lifeline_fd is not None:
        follow_parent(lifeline_fd)
    run_traffic(settings, relay_url)


@click.command(hidden=True)
@click.option("--port", type=int, default=0)
@_options("lifeline")
def simulator(port: int, *, lifeline_fd: int | None) -> None:
    """The simulated upstream."""
    from service.simulator.app import create_simulator
    from service.simulator.pace import BELIEVABLE
    from service.simulator.server import serve as serve_simulator
    from service.supervisor import follow_parent

    if lifeline_fd is not None:
        follow_parent(lifeline_fd)
    app = create_simulator(now=time.time, pace=BELIEVABLE)  # noqa: TID251  (composition root)
    serve_simulator(app, host="127.0.0.1", port=port, ready=lambda _port: None)
