"""`tollkeeper rollups`: the sums that reports read, computed from the records again."""

from datetime import timedelta
from pathlib import Path

import click
import msgspec

from service.cli.options import config_option, json_option, store_option
from service.cli.output import counted, print_json, print_table
from service.cli.progress import progress_bar
from service.cli.session import load_settings, open_store, utc_now
from service.cli.times import point_in_time
from service.ledger.rollups import rebuild
from service.reporting.check import Difference
from service.reporting.check import check as compare
from service.reporting.intervals import time_zone

LONGEST_REQUEST = timedelta(hours=2)


@click.group()
def rollups() -> None:
    """The sums that reports read: by key, project, upstream, model and outcome; by end user; by tag."""


@rollups.command("rebuild")
@click.option(
    "--from", "since", help="First day (UTC), or 7d for seven days ago; default: the oldest record."
)
@click.option("--to", "until", help="Up to this day; default: the newest record.")
@click.option("--no-check", is_flag=True, help="Do not compare them with the records afterwards.")
@config_option
@store_option
@json_option
def rebuild_command(
    config: Path | None,
    *,
    store_url: str | None,
    since: str | None,
    until: str | None,
    no_check: bool,
    as_json: bool,
) -> int:
    """Compute the rollups of whole UTC days from records and ledger again, then prove them.

    Relays may go on; they wait for one day at a time. Needed after a repair of the store by hand, and once after an
    upgrade from a version without rollups by end user and tag, so that these hold the past too.
    """
    settings = load_settings(config, store_url=store_url)
    now, utc = utc_now(), time_zone("UTC")
    begin, end = (
        None if text is None else point_in_time(text, field=flag, zone=utc, now=now)
        for text, flag in ((since, "--from"), (until, "--to"))
    )
    found: list[Difference] = []
    with open_store(settings) as store:
        with progress_bar("Rebuilding days") as progress:
            days = rebuild(store, since=begin, until=end, progress=progress)
        if not no_check:
            with progress_bar("Checking days") as progress:
                found = compare(store, since=begin, settled_before=now - LONGEST_REQUEST, progress=progress)
        name = str(store)
    if as_json:
        differences = None if no_check else msgspec.to_builtins(found)
        print_json({"store": name, "days": days, "differences": differences})
    else:
        click.echo(f"Rebuilt the rollups of {counted(days, 'day')} in {name}.")
        if found:
            header = Difference.__struct_fields__
            print_table(header, [[getattr(one, field) for field in header] for one in found])
    return 1 if found else 0
