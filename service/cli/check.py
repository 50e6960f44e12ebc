"""`tollkeeper check`: the proof that the books agree. Exit 1 if anything differs."""

from datetime import timedelta
from pathlib import Path

import click
import msgspec

from service.budgets.check import check_budgets
from service.cli.options import config_option, json_option, store_option
from service.cli.output import print_json, print_table
from service.cli.progress import progress_bar
from service.cli.session import load_settings, open_store, utc_now
from service.ledger.rollups import rebuild
from service.reporting.check import MAX_DIFFERENCES, Difference
from service.reporting.check import check as compare

LONGEST_REQUEST = timedelta(hours=2)


@click.command()
@click.option(
    "--settled", is_flag=True, help="No relay is running: every request must have its final attempt by now."
)
@click.option(
    "--rebuild", "rebuild_first", is_flag=True, help="Compute the rollups from the records again first."
)
@config_option
@store_option
@json_option
def check(
    config: Path | None, *, store_url: str | None, settled: bool, rebuild_first: bool, as_json: bool
) -> int:
    """Compare records, ledger entries, rollups, budgets and their leases, to the last nano-dollar and token."""
    settings = load_settings(config, store_url=store_url)
    settled_before = None if settled else utc_now() - LONGEST_REQUEST
    with open_store(settings) as store:
        if rebuild_first:
            with progress_bar("Rebuilding hours") as progress:
                rebuild(store, progress=progress)
        with progress_bar("Checking days") as progress:
            found = compare(store, settled_before=settled_before, progress=progress)
        with progress_bar("Checking budgets") as progress:
            budgets = check_budgets(store, progress=progress)
        capped = MAX_DIFFERENCES in (len(found), len(budgets))
        found += budgets
        name = str(store)
    if as_json:
        print_json({"store": name, "ok": not found, "differences": msgspec.to_builtins(found)})
    else:
        _print(found, store=name, capped=capped)
    return 1 if found else 0


def _print(found: list[Difference], *, store: str, capped: bool) -> None:
    if not found:
        click.echo(f"The books of {store} agree.")
        return
    header = Difference.__struct_fields__
    print_table(header, [[getattr(one, name) for name in header] for one in found])
    more = " or more" if capped else ""
    click.echo(f"The books of {store} differ in {len(found)}{more} places.", err=True)
