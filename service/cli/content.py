"""`tollkeeper content`: what was asked and answered, where projects keep it. Looking and deleting is audited."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import msgspec

from service.admin.content import ContentView
from service.cli.options import json_option, store_options
from service.cli.output import counted, print_fields, print_json, print_table
from service.cli.session import installation, operator, utc_now
from service.cli.times import point_in_time
from service.content.captured import ContentFilter
from service.content.parts import Part
from service.content.registry import ContentRegistry, ShownContent
from service.keys.secrets import audit_trail, content_vault, installation_secret
from service.reporting.intervals import time_zone
from service.settings import Settings
from service.store.engine import Store

_COLUMNS = ("project", "requests", "bytes", "oldest", "newest")


@click.group()
def content() -> None:
    """Show, count and delete captured content. Projects decide whether there is any: `projects update --capture on`."""


@content.command()
@click.argument("request_id")
@store_options
@json_option
def show(request_id: str, *, as_json: bool, **options: Any) -> None:
    """Show what was asked and answered, without what was redacted. The audit log says that you looked."""
    with _content(options) as (store, _settings, registry), store.write() as tx:
        shown = registry.read(tx, request_id, by=operator())
    if as_json:
        print_json(ContentView.of(shown))
        return
    print_fields(_facts(shown))
    _print_part("Request", shown.content.request)
    if shown.content.answer is None:
        click.echo("\nNo answer came.")
    else:
        _print_part("Answer", shown.content.answer)


@content.command()
@store_options
@json_option
def stats(*, as_json: bool, **options: Any) -> None:
    """Count the captured content by project: requests, bytes as stored, the oldest and the newest."""
    with _content(options) as (store, _settings, registry), store.read() as tx:
        found = registry.count(tx)
    if as_json:
        print_json(found)
        return
    rows = ([getattr(project, name) for name in _COLUMNS] for project in found)
    print_table(_COLUMNS, rows, right=("requests", "bytes"))


@content.command()
@click.option("--end-user", help="Of this end user, as the applications declare it.")
@click.option("--project", help="Of this project, by its name.")
@click.option("--key", "key_id", help="Of this key, by its id.")
@click.option("--before", help="Before this instant or day; 7d for what is older than seven days.")
@store_options
@json_option
def delete(*, before: str | None, as_json: bool, **options: Any) -> None:
    """Delete the content that all given options name. Records and costs stay."""
    with _content(options) as (store, settings, registry):
        zone = time_zone(settings.accounting.reporting_timezone)
        wanted = ContentFilter(
            end_user=options["end_user"],
            project=options["project"],
            key_id=options["key_id"],
            before=None
            if before is None
            else point_in_time(before, field="--before", zone=zone, now=utc_now()),
        )
        deleted = registry.delete(store, wanted, by=operator())
    _print_count("deleted", deleted, as_json=as_json)


@content.command()
@store_options
@json_option
def purge(*, as_json: bool, **options: Any) -> None:
    """Delete the content whose retention has ended. The keeper does so by itself, every few minutes."""
    with _content(options) as (store, _settings, registry):
        deleted = registry.purge(store)
    _print_count("deleted", deleted, as_json=as_json)


@content.command(name="rotate-key")
@store_options
@json_option
def rotate_key(*, as_json: bool, **options: Any) -> None:
    """Encrypt all content with a new key, and what comes from now on."""
    with _content(options) as (store, _settings, registry):
        resealed = registry.rotate(store, by=operator())
    _print_count("encrypted anew", resealed, as_json=as_json)


@contextmanager
def _content(options: dict[str, Any]) -> Iterator[tuple[Store, Settings, ContentRegistry]]:
    with installation(options) as (store, settings):
        root = installation_secret(store, settings)
        trail = audit_trail(root, now=utc_now)
        yield store, settings, ContentRegistry(content_vault(root), trail=trail, now=utc_now)


def _facts(shown: ShownContent) -> list[tuple[str, Any]]:
    facts = msgspec.structs.asdict(shown)
    del facts["content"]
    return list(facts.items())


def _print_part(title: str, part: Part) -> None:
    remarks = [f"{part.size} bytes"]
    if part.events is not None:
        remarks.append(f"a stream of {part.events} events, put together")
    if not part.is_whole:
        remarks.append("not whole")
    remarks += [f"{count} {kind} redacted" for kind, count in part.redacted.items()]
    click.echo(f"\n{title} ({', '.join(remarks)})")
    text = msgspec.json.format(part.text, indent=2) if part.is_json else part.text
    for line in text.split("\n"):
        click.echo(f"  {_printable(line)}")


def _printable(line: str) -> str:
    """Nothing in a prompt moves the cursor of who reads it."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line)


def _print_count(what: str, count: int, *, as_json: bool) -> None:
    if as_json:
        print_json({what.replace(" ", "_"): count})
    else:
        click.echo(f"Content of {counted(count, 'request')} {what}.")
