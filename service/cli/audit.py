"""`tollkeeper audit`: who changed what, and the proof that nobody changed the log afterwards."""

from typing import Any

import click
import msgspec

from service.audit.trail import AuditedChange, AuditFilter, Verification, parse_head
from service.cli.options import json_option, store_options
from service.cli.output import print_json, print_table
from service.cli.progress import progress_bar
from service.cli.session import audit_log, installation, utc_now
from service.cli.times import point_in_time
from service.errors import InvalidInputError
from service.reporting.dimensions import require_storable
from service.reporting.intervals import time_zone

MOST_ROWS = 100_000
_PAGE = 1_000
_HEADER = ("seq", "at", "actor", "action", "target", "before", "after")


@click.group()
def audit() -> None:
    """List administrative changes; verify that none was altered, removed or slipped in."""


@audit.command(name="list")
@click.option("--actor", help="Only what this actor did (id or name).")
@click.option("--action", help="Only this action, such as key.create; `key.*` for all of keys.")
@click.option("--target", help="Only changes of this thing (id or name).")
@click.option("--since", "--from", "since", help="Instant, day, or 7d for seven days ago; inclusive.")
@click.option("--until", "--to", "until", help="Instant, day, or 1h for an hour ago; exclusive.")
@click.option("--limit", type=int, default=50, show_default=True, help="How many, the newest first.")
@store_options
@json_option
def list_changes(*, limit: int, as_json: bool, **options: Any) -> None:
    """Show changes, newest first."""
    if not 1 <= limit <= MOST_ROWS:
        raise InvalidInputError(f"limit must be an integer from 1 to {MOST_ROWS}", field="limit")
    wanted = _wanted(options)
    with installation(options) as (store, settings):
        trail, found, last = audit_log(store, settings), list[AuditedChange](), None
        while len(found) < limit:
            with store.read() as tx:
                page = trail.list(tx, wanted, limit=min(_PAGE, limit - len(found)), before_seq=last)
            if not page:
                break
            found += page
            last = page[-1].seq
    if as_json:
        print_json(found)
    else:
        print_table(_HEADER, map(_row, found))


@audit.command()
@click.option(
    "--expect", metavar="HEAD", help="A head that an earlier `verify` printed; it must be in the log."
)
@store_options
@json_option
def verify(*, expect: str | None, as_json: bool, **options: Any) -> int:
    """Prove that the log is whole. Exit 1, with what is wrong, if it is not.

    The store alone cannot show that an old copy was put back in place of all of it: note the head that is printed
    somewhere else, and pass it with --expect the next time.
    """
    expected = None if expect is None else parse_head(expect)
    with installation(options) as (store, settings):
        trail = audit_log(store, settings)
        with progress_bar("Checking entries") as progress, store.read() as tx:
            found = trail.verify(tx, expected=expected, progress=progress)
    if as_json:
        print_json(
            {
                "ok": not found.problems,
                "entries": found.entries,
                "head": str(found.head),
                "problems": msgspec.to_builtins(found.problems),
            }
        )
    else:
        _print(found)
    return 1 if found.problems else 0


def _wanted(options: dict[str, Any]) -> AuditFilter:
    texts: dict[str, str | None] = {name: options[name] for name in ("actor", "action", "target")}
    for name, text in texts.items():
        if text is not None:
            require_storable(text, field=name)
    zone, now = time_zone("UTC"), utc_now()
    instants = {
        name: None
        if options[name] is None
        else point_in_time(options[name], field=f"--{name}", zone=zone, now=now)
        for name in ("since", "until")
    }
    return AuditFilter(
        actor=texts["actor"],
        action=texts["action"],
        target=texts["target"],
        since=instants["since"],
        until=instants["until"],
    )


def _row(change: AuditedChange) -> list[Any]:
    actor, target = change.actor, change.target
    who = actor.name if actor.address is None else f"{actor.name} ({actor.address})"
    what = f"{target.kind} {target.name or target.id}"
    return [change.seq, change.at, who, change.action, what, change.before, change.after]


def _print(found: Verification) -> None:
    for problem in found.problems:
        click.echo(f"{problem.finding}: {problem.detail}")
    click.echo(f"{found.entries} entries. Head: {found.head}")
    if found.problems:
        click.echo("The audit log is not what was written.", err=True)
    else:
        click.echo("The audit log is whole. Note the head elsewhere, for --expect.", err=True)
