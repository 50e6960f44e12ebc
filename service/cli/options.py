"""Options that several commands share."""

from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F")


def config_option(command: F) -> F:
    """`--config`: the configuration file."""
    return _option(
        command,
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Configuration file (default: $TOLLKEEPER_CONFIG, else tollkeeper.toml).",
    )


def store_option(command: F) -> F:
    """`--store-url`: another store than the configured one."""
    return _option(command, "--store-url", help="Database URL (default: store.url of the settings).")


def json_option(command: F) -> F:
    """`--json`: for programs."""
    return _option(command, "--json", "as_json", is_flag=True, help="Print JSON.")


def store_options(command: F) -> F:
    """`--config`, `--store-url` and `--data-dir`: which installation a command works on."""
    with_data = _option(
        command, "--data-dir", help="Directory of the secret key (default: relay.data_dir of the settings)."
    )
    return config_option(store_option(with_data))


def list_of(text: str | None) -> list[str] | None:
    """A comma-separated option as a list."""
    if text is None:
        return None
    return [part.strip() for part in text.split(",") if part.strip()]


def _option(command: F, *names: str, **facts: Any) -> F:
    decorate: Any = click.option(*names, **facts)
    decorated: F = decorate(command)
    return decorated
