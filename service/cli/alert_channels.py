"""`tollkeeper alerts channels`: where messages go. Where a command takes CHANNEL, an id or a name will do."""

from collections.abc import Iterator
from typing import Any

import click
from msgspec import UNSET

from service.alerts.channel_registry import ChannelRecord
from service.alerts.channel_values import ChannelChanges, NewChannel, prepared, prepared_changes
from service.alerts.views import ChannelView, NewChannelView
from service.cli.alert_desk import Installation, opened, operator, secret_text
from service.cli.options import json_option, store_options
from service.cli.output import counted, print_fields, print_json, print_table

PAGE = 500
_COLUMNS = ("id", "name", "kind", "target", "created_at")


@click.group()
def channels() -> None:
    """Create, list, show, update, rotate and delete channels."""


@channels.command()
@click.option("--name", required=True, help="What to call it.")
@click.option("--kind", help="apprise, webhook, pagerduty or log; the URL tells it.")
@click.option("--url", help="Where it leads, such as slack://… or https://…; - reads it from standard input.")
@click.option("--routing-key", help="Integration key of PagerDuty's Events API v2; - reads standard input.")
@click.option("--secret", help="Signing secret of a webhook, whsec_…; one is made if it is left out.")
@store_options
@json_option
def create(*, as_json: bool, **options: Any) -> None:
    """Make a channel. A webhook's secret is printed once."""
    new = NewChannel(
        name=options["name"],
        kind=options["kind"],
        url=secret_text(options["url"], field="url"),
        routing_key=secret_text(options["routing_key"], field="routing_key"),
        secret=options["secret"],
    )
    with opened(options, create=True) as there:
        registry = there.desk.channels
        judged = prepared(new, guard=registry.guard, random_bytes=registry.random_bytes)
        if judged.kind == "apprise":
            _require_understood(judged.config["url"], there)
        with there.store.write() as tx:
            made = registry.create(tx, judged, by=operator())
    _print_secret(made, judged.signing_secret, as_json=as_json)


@channels.command(name="list")
@store_options
@json_option
def list_channels(*, as_json: bool, **options: Any) -> None:
    """List the channels, newest first, without their secrets."""
    with opened(options) as there:
        found = [ChannelView.of(one) for one in _all(there)]
    if as_json:
        print_json(found)
        return
    print_table(_COLUMNS, ([getattr(one, name) for name in _COLUMNS] for one in found))


@channels.command()
@click.argument("channel")
@store_options
@json_option
def show(channel: str, *, as_json: bool, **options: Any) -> None:
    """Show one channel, without its secrets."""
    with opened(options) as there, there.store.read() as tx:
        found = there.desk.channels.find(tx, channel)
    _print(found, as_json=as_json)


@channels.command()
@click.argument("channel")
@click.option("--name", help="A new name.")
@click.option("--url", help="Where it leads from now on; - reads it from standard input.")
@click.option("--routing-key", help="Another integration key; - reads it from standard input.")
@store_options
@json_option
def update(channel: str, *, as_json: bool, **options: Any) -> None:
    """Change what is given; the rest stays."""
    given = {
        "name": options["name"],
        "url": secret_text(options["url"], field="url"),
        "routing_key": secret_text(options["routing_key"], field="routing_key"),
    }
    changes = ChannelChanges(**{name: UNSET if text is None else text for name, text in given.items()})
    with opened(options) as there:
        with there.store.read() as tx:
            found = there.desk.channels.find(tx, channel)
        judged = prepared_changes(found.kind, changes, guard=there.desk.channels.guard)
        if found.kind == "apprise" and "url" in judged.config:
            _require_understood(judged.config["url"], there)
        with there.store.write() as tx:
            changed = there.desk.channels.update(tx, found.id, changes=judged, by=operator())
    _print(changed, as_json=as_json)


@channels.command()
@click.argument("channel")
@store_options
@json_option
def rotate(channel: str, *, as_json: bool, **options: Any) -> None:
    """Give a webhook a new secret and print it, once. The old one signs beside it for a day."""
    with opened(options) as there, there.store.write() as tx:
        found = there.desk.channels.find(tx, channel)
        rotated, secret = there.desk.channels.rotate(tx, found.id, by=operator())
    _print_secret(rotated, secret, as_json=as_json)


@channels.command()
@store_options
@json_option
def rekey(*, as_json: bool, **options: Any) -> None:
    """Encrypt every channel under a new key."""
    with opened(options) as there, there.store.write() as tx:
        count = there.desk.channels.rekey(tx, by=operator())
    if as_json:
        print_json({"channels": count})
    else:
        click.echo(f"Encrypted under a new key: {counted(count, 'channel')}.")


@channels.command()
@click.argument("channel")
@store_options
@json_option
def delete(channel: str, *, as_json: bool, **options: Any) -> None:
    """Delete a channel: its secrets are forgotten, what waits for it is given up."""
    with opened(options) as there, there.store.write() as tx:
        found = there.desk.channels.find(tx, channel)
        there.desk.channels.delete(tx, found.id, by=operator())
    _print(found, as_json=as_json)


def _require_understood(url: str, there: Installation) -> None:
    """Ask apprise itself, which the relay does not import."""
    from service.alerts.channels.apprise_channel import AppriseChannel

    AppriseChannel(url, guard=there.desk.channels.guard).opened()


def _all(there: Installation) -> Iterator[ChannelRecord]:
    after = None
    while True:
        with there.store.read() as tx:
            page = there.desk.channels.list(tx, limit=PAGE, after=after)
        yield from page
        if len(page) < PAGE:
            return
        after = (page[-1].created_at, page[-1].id)


def _print(channel: ChannelRecord, *, as_json: bool) -> None:
    view = ChannelView.of(channel)
    if as_json:
        print_json(view)
    else:
        print_fields((name, getattr(view, name)) for name in view.__struct_fields__)


def _print_secret(channel: ChannelRecord, secret: str | None, *, as_json: bool) -> None:
    view = NewChannelView.of(channel, secret=secret)
    if as_json:
        print_json(view)
        return
    names = view.__struct_fields__ if secret is not None else ChannelView.__struct_fields__
    print_fields((name, getattr(view, name)) for name in names)
    if secret is not None:
        click.echo("\nThe secret is shown once; the receiver checks signatures with it.", err=True)
