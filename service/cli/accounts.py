"""`tollkeeper accounts`: who may use the dashboard. Where a command takes ACCOUNT, an id or a name will do."""

from collections.abc import Callable
from typing import Any

import click
import msgspec
from sqlalchemy import Connection

from service.accounts.links import Link
from service.accounts.registry import LINK_PATH, AccountRegistry
from service.accounts.values import Account, Role
from service.cli.options import json_option, store_options
from service.cli.output import counted, print_fields, print_json, print_table
from service.cli.session import account_registries, installation, operator
from service.settings import Settings

_COLUMNS = ("id", "name", "role", "status", "signed_in_at", "created_at")
_ROLES = click.Choice(("admin", "viewer"))


@click.group()
def accounts() -> None:
    """Create, list, reset, disable and enable accounts of the dashboard; their role and sessions."""


@accounts.command()
@click.argument("name")
@click.option("--role", type=_ROLES, default="viewer", show_default=True, help="A viewer may only look.")
@store_options
@json_option
def create(name: str, *, role: Role, as_json: bool, **options: Any) -> None:
    """Make an account and print the link with which its owner sets a password."""
    with installation(options, create=True) as (store, settings):
        registry, _ = account_registries(store, settings)
        with store.write() as tx:
            made = registry.create(tx, name=name, role=role, by=operator())
    _print_link(made.account, made.link, settings=settings, as_json=as_json)


@accounts.command(name="list")
@store_options
@json_option
def list_accounts(*, as_json: bool, **options: Any) -> None:
    """List the accounts by name."""
    with installation(options) as (store, settings):
        registry, _ = account_registries(store, settings)
        with store.read() as tx:
            found = registry.list(tx)
    if as_json:
        print_json([_shown(account) for account in found])
        return
    print_table(_COLUMNS, ([_shown(account)[name] for name in _COLUMNS] for account in found))


@accounts.command()
@click.argument("account")
@store_options
@json_option
def reset(account: str, *, as_json: bool, **options: Any) -> None:
    """Print a link to set a new password. The old one works until the link is used."""
    with installation(options) as (store, settings):
        registry, _ = account_registries(store, settings)
        with store.write() as tx:
            found = registry.find(tx, account)
            link = registry.reset(tx, found.id, by=operator())
    _print_link(found, link, settings=settings, as_json=as_json)


@accounts.command()
@click.argument("account")
@store_options
@json_option
def disable(account: str, *, as_json: bool, **options: Any) -> None:
    """End the account's sessions and links and let nobody in."""
    _change(
        account,
        lambda tx, registry, found: registry.disable(tx, found.id, by=operator()),
        options=options,
        as_json=as_json,
    )


@accounts.command()
@click.argument("account")
@store_options
@json_option
def enable(account: str, *, as_json: bool, **options: Any) -> None:
    """Let a disabled account sign in again."""
    _change(
        account,
        lambda tx, registry, found: registry.enable(tx, found.id, by=operator()),
        options=options,
        as_json=as_json,
    )


@accounts.command(name="role")
@click.argument("account")
@click.argument("role", type=_ROLES)
@store_options
@json_option
def set_role(account: str, role: Role, *, as_json: bool, **options: Any) -> None:
    """Give the account another role; it holds at once."""
    _change(
        account,
        lambda tx, registry, found: registry.set_role(tx, found.id, role=role, by=operator()),
        options=options,
        as_json=as_json,
    )


@accounts.command(name="sign-out")
@click.argument("account")
@store_options
@json_option
def sign_out(account: str, *, as_json: bool, **options: Any) -> None:
    """End every session of the account."""
    with installation(options) as (store, settings):
        registry, sessions = account_registries(store, settings)
        with store.write() as tx:
            found = registry.find(tx, account)
            ended = sessions.end_all(tx, found.id, by=operator())
    if as_json:
        print_json({"id": found.id, "name": found.name, "ended_sessions": ended})
    else:
        click.echo(f"{counted(ended, 'session')} of {found.name} ended.")


def _change(
    account: str,
    change: Callable[[Connection, AccountRegistry, Account], Account],
    *,
    options: dict[str, Any],
    as_json: bool,
) -> None:
    with installation(options) as (store, settings):
        registry, _ = account_registries(store, settings)
        with store.write() as tx:
            changed = change(tx, registry, registry.find(tx, account))
    if as_json:
        print_json(_shown(changed))
    else:
        print_fields(_shown(changed).items())


def _shown(account: Account) -> dict[str, Any]:
    return {**msgspec.structs.asdict(account), "status": account.status}


def _print_link(account: Account, link: Link, *, settings: Settings, as_json: bool) -> None:
    host = f"[{settings.dashboard.host}]" if ":" in settings.dashboard.host else settings.dashboard.host
    base = settings.alerts.dashboard_url or f"http://{host}:{settings.dashboard.port}"
    address = f"{base}{LINK_PATH}{link.token}"
    shown = {**_shown(account), "link": address, "link_expires_at": link.expires_at}
    if as_json:
        print_json(shown)
        return
    print_fields(shown.items())
    click.echo(
        "\nThe link is shown once, and works once. Where the dashboard has another address, change its beginning.",
        err=True,
    )
