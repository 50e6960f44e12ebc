"""`tollkeeper migrate`: the store to the schema of this version, with the prices of the installed price data."""

from contextlib import closing
from pathlib import Path

import click

from service.cli.options import config_option, json_option, store_option
from service.cli.output import print_json
from service.cli.session import load_settings
from service.store.engine import Store


@click.command()
@config_option
@store_option
@json_option
def migrate(config: Path | None, *, store_url: str | None, as_json: bool) -> None:
    """Bring the store to the schema of this version. Safe to run twice, and by two processes at once."""
    from service.app import prepare_store

    settings = load_settings(config, store_url=store_url)
    with closing(Store(settings.store.url)) as store:
        before, after = prepare_store(store)
        name = str(store)
    if as_json:
        print_json({"store": name, "before": before, "after": after})
    elif before == after:
        click.echo(f"{name} is at {after} already.")
    else:
        click.echo(f"{name} went from {before or 'empty'} to {after}.")
