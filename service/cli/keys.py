"""`tollkeeper keys`: virtual keys. Where a command takes KEY, an id or an unambiguous name will do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import UNSET

from service.budgets.key_budgets import NewKeyWithBudgets, create_key, views_of
from service.budgets.views import BudgetView
from service.cli.budget_options import opened
from service.cli.limits import (
    changed_limit_options,
    changed_limits,
    limit_options,
    limits_of,
    metadata_of,
    unless_none,
)
from service.cli.options import json_option, list_of, store_options
from service.cli.output import print_fields, print_json, print_table
from service.cli.session import key_registry, load_settings, open_store, operator, utc_now
from service.keys.registry import IssuedKey, KeyRegistry
from service.keys.values import (
    DEFAULT_PROJECT,
    KeyChanges,
    VirtualKey,
    parse_duration,
    parse_expiry,
    status_of,
)
from service.store.engine import Store

PAGE = 500
_COLUMNS = ("id", "name", "project", "status", "models", "expires_at", "created_at")


@click.group()
def keys() -> None:
    """Create, list, show, update, rotate and revoke virtual keys."""


@keys.command()
@click.option("--name", required=True, help="What to call the key; need not be unique.")
@click.option("--project", default=DEFAULT_PROJECT, show_default=True, help="Project its requests count for.")
@click.option("--models", help="Models it may use, separated by commas; `*` and `?` are wildcards.")
@click.option("--expires", help="When it ends: 30d, 12h or an instant such as 2030-01-31T00:00:00Z.")
@click.option("--metadata", help="A JSON object to keep with the key.")
@limit_options
@click.option(
    "--budget", "budgets", multiple=True, metavar="LIMIT/WINDOW", help="A hard budget, such as 10usd/month."
)
@store_options
@json_option
def create(*, as_json: bool, **options: Any) -> None:
    """Make a key and print its text, which nothing can show again."""
    new = NewKeyWithBudgets(
        name=options["name"],
        project=options["project"],
        models=list_of(options["models"]),
        expires_at=None if options["expires"] is None else parse_expiry(options["expires"], now=utc_now()),
        metadata=metadata_of(options["metadata"]),
        limits=limits_of(options),
        budgets=list(options["budgets"]),
    )
    with opened(options, create=True) as there, there.store.write() as tx:
        made = create_key(tx, new, keys=there.keys, budgets=there.budgets, by=operator())
        budgets = views_of(tx, made.budgets, now=utc_now())
    _print_issued(made.issued, budgets=budgets, as_json=as_json)


@keys.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Revoked keys too.")
@click.option("--project", help="Only the keys of this project.")
@store_options
@json_option
def list_keys(*, as_json: bool, everything: bool, project: str | None, **options: Any) -> None:
    """List the keys, newest first."""
    with _registry(options) as (store, registry):
        found = [
            key
            for key in _all(store, registry)
            if (everything or key.revoked_at is None) and project in (None, key.project)
        ]
    if as_json:
        print_json([_shown(key) for key in found])
        return
    print_table(_COLUMNS, ([_shown(key)[name] for name in _COLUMNS] for key in found))


@keys.command()
@click.argument("key")
@store_options
@json_option
def show(key: str, *, as_json: bool, **options: Any) -> None:
    """Show one key."""
    with _registry(options) as (store, registry), store.read() as tx:
        found = registry.find(tx, key)
    _print_key(found, as_json=as_json)


@keys.command()
@click.argument("key")
@click.option("--name", help="A new name.")
@click.option("--project", help="A new project.")
@click.option("--models", help="Models it may use; `none` lifts the restriction.")
@click.option("--expires", help="When it ends, as for `create`; `none` for never.")
@click.option("--metadata", help="A JSON object in place of the one before; `none` removes it.")
@changed_limit_options
@store_options
@json_option
def update(key: str, *, as_json: bool, **options: Any) -> None:
    """Change what is given; the rest stays."""
    with _registry(options) as (store, registry), store.write() as tx:
        found = registry.find(tx, key)
        changed = registry.update(tx, found.id, changes=_changes(options, before=found), by=operator())
    _print_key(changed, as_json=as_json)


@keys.command()
@click.argument("key")
@click.option(
    "--overlap", default="0s", show_default=True, help="How long the old text still works, such as 24h."
)
@store_options
@json_option
def rotate(key: str, *, overlap: str, as_json: bool, **options: Any) -> None:
    """Give a key a new text and print it, which nothing can do again."""
    with _registry(options) as (store, registry), store.write() as tx:
        found = registry.find(tx, key)
        issued = registry.rotate(
            tx, found.id, overlap=parse_duration(overlap, field="overlap"), by=operator()
        )
    _print_issued(issued, as_json=as_json)


@keys.command()
@click.argument("key")
@store_options
@json_option
def revoke(key: str, *, as_json: bool, **options: Any) -> None:
    """End a key for good; relays refuse it within 2 seconds. Its records stay."""
    with _registry(options) as (store, registry), store.write() as tx:
        revoked = registry.revoke(tx, registry.find(tx, key).id, by=operator())
    _print_key(revoked, as_json=as_json)


@contextmanager
def _registry(options: dict[str, Any], *, create: bool = False) -> Iterator[tuple[Store, KeyRegistry]]:
    config: Path | None = options["config"]
    settings = load_settings(config, store_url=options["store_url"], data_dir=options["data_dir"])
    with open_store(settings, create=create) as store:
        yield store, key_registry(store, settings)


def _all(store: Store, registry: KeyRegistry) -> Iterator[VirtualKey]:
    after = None
    while True:
        with store.read() as tx:
            page = registry.list(tx, limit=PAGE, after=after)
        yield from page
        if len(page) < PAGE:
            return
        after = (page[-1].created_at, page[-1].id)


def _changes(options: dict[str, Any], *, before: VirtualKey) -> KeyChanges:
    given = {name: value for name, value in options.items() if value is not None}
    return KeyChanges(
        name=given.get("name", UNSET),
        project=given.get("project", UNSET),
        models=unless_none(given.get("models"), list_of),
        expires_at=unless_none(given.get("expires"), lambda text: parse_expiry(text, now=utc_now())),
        metadata=unless_none(given.get("metadata"), metadata_of),
        limits=changed_limits(options, before=before.limits),
    )


def _shown(key: VirtualKey) -> dict[str, Any]:
    return {**msgspec.structs.asdict(key), "status": status_of(key, now=utc_now())}


def _print_key(key: VirtualKey, *, as_json: bool) -> None:
    if as_json:
        print_json(_shown(key))
    else:
        print_fields(_shown(key).items())


def _print_issued(issued: IssuedKey, *, as_json: bool, budgets: Sequence[BudgetView] | None = None) -> None:
    shown = _shown(issued.key)
    if as_json:
        print_json({**shown, **({} if budgets is None else {"budgets": budgets}), "key": issued.token})
        return
    for budget in budgets or ():
        shown[f"budget {budget.id}"] = f"{budget.limit_usd} USD, {budget.window}, {budget.mode}"
    print_fields([*shown.items(), ("key", issued.token)])
    click.echo("\nThe key is shown once; keep it.", err=True)
