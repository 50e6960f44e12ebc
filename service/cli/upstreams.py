"""`tollkeeper upstreams`: the upstreams of the settings, without their keys, and whether they answer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from service.cli.options import config_option, json_option
from service.cli.output import print_fields, print_json, print_table
from service.cli.reachability import reach
from service.cli.session import load_settings
from service.errors import NotFoundError
from service.settings import UpstreamSettings
from service.upstream.view import UpstreamView

_COLUMNS = ("name", "host", "provider", "models", "priority", "weight", "has_key")


@click.group()
def upstreams() -> None:
    """List and show the upstreams of the settings; ask whether they answer."""


@upstreams.command(name="list")
@config_option
@json_option
def list_them(config: Path | None, *, as_json: bool) -> None:
    """List the upstreams, first choice first. They are set in tollkeeper.toml."""
    views = [UpstreamView.of(upstream) for upstream in _configured(config)]
    if as_json:
        print_json(views)
        return
    print_table(_COLUMNS, ([getattr(view, name) for name in _COLUMNS] for view in views))
    _say_where_none(views)


@upstreams.command()
@click.argument("name")
@config_option
@json_option
def show(name: str, *, config: Path | None, as_json: bool) -> None:
    """Show one upstream."""
    (upstream,) = _named(_configured(config), name)
    view = UpstreamView.of(upstream)
    if as_json:
        print_json(view)
        return
    fields: dict[str, Any] = msgspec.structs.asdict(view)
    timeouts = msgspec.structs.asdict(fields.pop("timeouts"))
    print_fields([*fields.items(), *((f"timeouts.{part}", value) for part, value in timeouts.items())])


@upstreams.command()
@click.argument("name", required=False)
@config_option
@json_option
def test(name: str | None, *, config: Path | None, as_json: bool) -> int:
    """Ask an upstream, or all of them, for its models. Costs nothing. Exit 1 if one does not answer as it should."""
    chosen = _configured(config)
    if name is not None:
        chosen = _named(chosen, name)
    rows = [
        {"name": upstream.name, "status": reached.finding.status, "detail": reached.finding.detail}
        for upstream, reached in zip(chosen, reach(chosen), strict=True)
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(("name", "status", "detail"), (list(row.values()) for row in rows))
        _say_where_none(rows)
    return 0 if all(row["status"] == "ok" for row in rows) else 1


def _say_where_none(configured: Sequence[object]) -> None:
    if not configured:
        click.echo("None is configured: `tollkeeper up` answers from the simulated upstream.", err=True)


def _configured(config: Path | None) -> list[UpstreamSettings]:
    return sorted(load_settings(config).upstreams, key=lambda upstream: upstream.priority)


def _named(configured: list[UpstreamSettings], name: str) -> list[UpstreamSettings]:
    found = [upstream for upstream in configured if upstream.name == name]
    if not found:
        known = ", ".join(upstream.name for upstream in configured) or "none"
        raise NotFoundError(f"no upstream is named {name!r}; there are: {known}")
    return found
