"""What the commands of `tollkeeper alerts` work with, and the options that they share."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import msgspec

from service.alerts.desk import AlertDesk, AlertSurroundings
from service.cli.session import load_settings, open_store, operator, utc_now
from service.errors import InvalidInputError
from service.keys.secrets import audit_trail, installation_secret
from service.settings import Settings
from service.store.engine import Store

F = TypeVar("F", bound=Callable[..., Any])
NONE = "none"


class Installation(msgspec.Struct, frozen=True):
    """An open store and what changes its alerts."""

    store: Store
    desk: AlertDesk
    settings: Settings


@contextmanager
def opened(options: dict[str, Any], *, create: bool = False) -> Iterator[Installation]:
    """The installation that the options name."""
    settings = load_settings(options["config"], store_url=options["store_url"], data_dir=options["data_dir"])
    with open_store(settings, create=create) as store:
        root = installation_secret(store, settings)
        desk = AlertDesk.of(
            root,
            settings.alerts,
            trail=audit_trail(root, now=utc_now),
            surroundings=AlertSurroundings(utc_now, os.urandom, random.random),
        )
        yield Installation(store, desk, settings)


def rule_options(command: F) -> F:
    """The fields of a rule but its name and metric."""
    for option in reversed(
        (
            click.option(
                "--group-by", help="Dimensions that each get an alert of their own, such as key,model."
            ),
            click.option(
                "--filter", "filters", multiple=True, help="Only what has DIMENSION=VALUE; repeat for more."
            ),
            click.option("--window", help="How far it looks back, such as 15m, 1h or 7d."),
            click.option("--warning", help="The value from which on it warns."),
            click.option("--critical", help="The value from which on it is critical."),
            click.option("--min-requests", help="Fewer requests in the window say nothing."),
            click.option("--no-data", help="What it means that there is nothing to measure: ok or alert."),
            click.option("--renotify", help="Tell again every so often while it lasts, such as 4h."),
            click.option(
                "--channel",
                "channels",
                multiple=True,
                help="Tell this channel (name or id); none: every channel.",
            ),
        )
    ):
        command = option(command)
    return command


def rule_fields(options: dict[str, Any], there: Installation) -> dict[str, Any]:
    """The fields that were given, as the API takes them; `none` is null."""
    found: dict[str, Any] = {}
    if options["group_by"] is not None:
        found["group_by"] = [] if options["group_by"] == NONE else _split(options["group_by"])
    if options["filters"]:
        found["filter"] = _filter(options["filters"])
    if options["channels"]:
        found["channels"] = _channels(options["channels"], there)
    for name in ("window", "no_data", "renotify"):
        if options[name] is not None:
            found[name] = None if options[name] == NONE else options[name]
    for name, kind in (("warning", float), ("critical", float), ("min_requests", int)):
        text = options[name]
        if text is not None:
            found[name] = None if text == NONE else _number(text, kind=kind, name=name)
    return found


def channel_id(there: Installation, text: str) -> str:
    """The id of a channel that is named by its id or name."""
    with there.store.read() as tx:
        return there.desk.channels.find(tx, text).id


def secret_text(given: str | None, *, field: str) -> str | None:
    """A value that may be a secret; `-` reads it from standard input, where no process list shows it."""
    if given != "-":
        return given
    text = sys.stdin.readline().strip()
    if not text:
        raise InvalidInputError(f"{field}: nothing came on standard input", field=field)
    return text


def _channels(names: tuple[str, ...], there: Installation) -> list[str]:
    return [] if names == (NONE,) else [channel_id(there, name) for name in names]


def _filter(pairs: tuple[str, ...]) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {}
    for pair in pairs if pairs != (NONE,) else ():
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidInputError(f"--filter {pair!r} must be DIMENSION=VALUE", field="filter")
        found[name] = [*found.get(name, []), *_split(value)]
    return found


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str, *, kind: type[float] | type[int], name: str) -> float | int:
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidInputError(f"{name} is {text[:50]!r}; write a number, or none", field=name) from error


__all__ = [
    "Installation",
    "channel_id",
    "opened",
    "operator",
    "rule_fields",
    "rule_options",
    "secret_text",
]
