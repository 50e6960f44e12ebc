"""`tollkeeper admin-keys`: the keys of the admin API. Where a command takes KEY, an id or a name will do."""

from typing import Any

import click
import msgspec

from service.cli.options import json_option, store_options
from service.cli.output import print_fields, print_json, print_table
from service.cli.session import admin_key_registry, installation, operator
from service.keys.values import AdminKey, Role


@click.group(name="admin-keys")
def admin_keys() -> None:
    """Create, list and revoke keys of the admin API."""


@admin_keys.command()
@click.option("--name", required=True, help="What to call the key; need not be unique.")
@click.option("--role", type=click.Choice(("admin", "viewer")), required=True, help="A viewer may only read.")
@store_options
@json_option
def create(*, name: str, role: Role, as_json: bool, **options: Any) -> None:
    """Make an admin key and print its text, which nothing can show again."""
    with installation(options, create=True) as (store, settings):
        registry = admin_key_registry(store, settings)
        with store.write() as tx:
            issued = registry.create(tx, name=name, role=role, by=operator())
    fields = {**msgspec.structs.asdict(issued.key), "key": issued.token}
    if as_json:
        print_json(fields)
        return
    print_fields(fields.items())
    click.echo("\nThe key is shown once; keep it.", err=True)


@admin_keys.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Revoked keys too.")
@store_options
@json_option
def list_keys(*, everything: bool, as_json: bool, **options: Any) -> None:
    """List the admin keys, oldest first. TOLLKEEPER_ADMIN_KEY, where it is set, is one more."""
    with installation(options) as (store, settings):
        registry = admin_key_registry(store, settings)
        with store.read() as tx:
            found = [key for key in registry.list(tx) if everything or key.revoked_at is None]
    if as_json:
        print_json(found)
        return
    names = AdminKey.__struct_fields__
    print_table(names, ([getattr(key, name) for name in names] for key in found))


@admin_keys.command()
@click.argument("key")
@store_options
@json_option
def revoke(key: str, *, as_json: bool, **options: Any) -> None:
    """End an admin key for good; relays refuse it within 2 seconds."""
    with installation(options) as (store, settings):
        registry = admin_key_registry(store, settings)
        with store.write() as tx:
            revoked = registry.revoke(tx, registry.find(tx, key).public_id, by=operator())
    if as_json:
        print_json(revoked)
    else:
        print_fields(msgspec.structs.asdict(revoked).items())
