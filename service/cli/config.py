"""`tollkeeper config show`: what is set, and where each setting comes from. Secrets are masked."""

import os
from pathlib import Path
from typing import Any

import click
import msgspec

from service.cli.options import config_option, json_option
from service.cli.output import print_json, print_table
from service.settings import Loaded, Secret, survey
from service.settings.catalogue import SECRET_VARIABLES, SECTIONS


@click.group()
def config() -> None:
    """Show the effective settings."""


@config.command()
@config_option
@json_option
def show(config: Path | None, *, as_json: bool) -> None:
    """Every setting with its value and its origin."""
    loaded = survey(config_path=config, environ=os.environ, flags={})
    rows = [(key, value, loaded.origins[key]) for key, value in effective(loaded)]
    if as_json:
        settings = {key: {"value": value, "origin": origin} for key, value, origin in rows}
        print_json(
            {
                "file": None if loaded.path is None else str(loaded.path),
                "settings": settings,
                "problems": loaded.problems,
                "notes": loaded.notes,
            }
        )
        return
    print_table(("setting", "value", "origin"), rows)
    for remark in (*loaded.problems, *loaded.notes):
        click.echo(f"tollkeeper: {remark}", err=True)


def effective(loaded: Loaded) -> list[tuple[str, Any]]:
    """Dotted key and value of every setting, fit to be shown."""
    settings = loaded.settings
    found: list[tuple[str, Any]] = []
    for section in SECTIONS:
        for name, value in msgspec.structs.asdict(getattr(settings, section)).items():
            found.append((f"{section}.{name}", _fit(value)))
    found[0] = ("store.url", settings.store.safe_url)
    for index, upstream in enumerate(settings.upstreams):
        for name, value in msgspec.structs.asdict(upstream).items():
            found.append((f"upstreams[{index}].{name}", _fit(value)))
    return [*found, *((name, _fit(getattr(settings, name))) for name in SECRET_VARIABLES)]


def _fit(value: Any) -> Any:
    return str(value) if isinstance(value, Secret | Path) else value
