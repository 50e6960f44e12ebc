"""What the commands about budgets and projects share: the registries of an installation, options that name a scope."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from sqlalchemy import Connection

from service.budgets.policy import EACH, Scope
from service.budgets.registry import BudgetRegistry
from service.budgets.values import GivenScope, check_scope
from service.budgets.views import BudgetView
from service.cli.session import audit_log, key_registry, load_settings, open_store, utc_now
from service.errors import InvalidInputError
from service.keys.projects import ProjectRegistry
from service.keys.registry import KeyRegistry
from service.settings.redaction import BUILT_IN
from service.store.engine import Store

F = TypeVar("F")
_FLAGS = {"project": "--project", "key": "--key", "end_user": "--end-user", "model": "--model"}


class Installation(msgspec.Struct, frozen=True):
    """A store and the registries that change it."""

    store: Store
    keys: KeyRegistry
    projects: ProjectRegistry
    budgets: BudgetRegistry


@contextmanager
def opened(options: dict[str, Any], *, create: bool = False) -> Iterator[Installation]:
    """The installation that `store_options` name."""
    config: Path | None = options["config"]
    settings = load_settings(config, store_url=options["store_url"], data_dir=options["data_dir"])
    with open_store(settings, create=create) as store:
        trail = audit_log(store, settings)
        yield Installation(
            store,
            key_registry(store, settings),
            ProjectRegistry(
                now=utc_now,
                random_bytes=os.urandom,
                trail=trail,
                redactions=(*BUILT_IN, *settings.content.patterns),
            ),
            BudgetRegistry(now=utc_now, random_bytes=os.urandom, trail=trail),
        )


def scope_options(command: F) -> F:
    """`--global`, `--project`, `--key`, `--end-user` and `--model`: whose spending counts."""
    decorate: Any
    for decorate in (
        click.option(
            "--model", help="Requests for this model; `*` and `?` are wildcards, `*` alone is each one."
        ),
        click.option("--end-user", help="This end user; `*` for each one by itself."),
        click.option("--key", help="This key, by its id or name; `*` for each one by itself."),
        click.option("--project", help="This project; `*` for each one by itself."),
        click.option("--global", "everything", is_flag=True, help="All requests."),
    ):
        command = decorate(command)
    return command


def scope_of(options: dict[str, Any], *, keys: KeyRegistry, tx: Connection) -> Scope | None:
    """The scope that the options name; None where they name none."""
    chosen = [kind for kind in _FLAGS if options[kind] is not None]
    if len(chosen) + options["everything"] > 1:
        flags = ["--global"] * options["everything"] + [_FLAGS[kind] for kind in chosen]
        raise InvalidInputError(
            f"{' and '.join(flags)} exclude each other: a budget has one scope", field="scope"
        )
    if options["everything"]:
        return Scope("global")
    if not chosen:
        return None
    [kind] = chosen
    identifier = options[kind]
    if kind == "key" and identifier != EACH:
        identifier = keys.find(tx, identifier).id
    return check_scope(GivenScope(kind, identifier))


def fields_of(view: BudgetView) -> dict[str, Any]:
    """A budget for people: its scope in words, instants as instants."""
    fields: dict[str, Any] = msgspec.to_builtins(view, builtin_types=(datetime,))
    return fields | {"scope": scope_text(view)}


def scope_text(view: BudgetView) -> str:
    """Such as `project search`."""
    return view.scope.kind if view.scope.id is None else f"{view.scope.kind} {view.scope.id}"
