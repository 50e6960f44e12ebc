"""`tollkeeper prices unpriced` and `prices reprice`: usage without a price, and past usage at today's prices."""

import os
from datetime import datetime, timedelta
from typing import Any

import click

from service.cli.options import json_option, store_options
from service.cli.output import counted, instant_text, print_json, print_table
from service.cli.progress import progress_bar
from service.cli.session import audit_log, load_settings, open_store, operator, utc_now
from service.cli.times import filters_of_options, point_in_time
from service.errors import InvalidInputError
from service.ledger.repricer import Repricer, Wanted
from service.ledger.repricing import Diff, Group
from service.pricing.catalog import load_book
from service.pricing.money import format_usd
from service.reporting.intervals import time_zone, widened
from service.reporting.unpriced import UnpricedModel, unpriced_models

DEFAULT_RANGE = timedelta(days=30)
MAX_REASON = 500
_FILTERS = ("model", "provider", "key", "project", "upstream")
_AMOUNTS = ("old_usd", "new_usd", "delta_usd")
_REASONS = {
    "same": "cost the same",
    "no_usage": "have no usage",
    "no_price": "have no price",
    "provider_cost": "keep the cost that the provider reported",
}


def _span_options(command: Any) -> Any:
    for option in (
        click.option(
            "--timezone", help="IANA zone in which days begin (default: accounting.reporting_timezone)."
        ),
        click.option("--until", "--to", "until", help="Instant, day, or 1h for an hour ago; exclusive."),
        click.option("--since", "--from", "since", help="Instant, day, or 7d for seven days ago; inclusive."),
    ):
        command = option(command)
    return command


@click.command()
@_span_options
@store_options
@json_option
def unpriced(*, as_json: bool, **options: Any) -> None:
    """Models that were used in the last 30 days, or from --since to --until, and have no price."""
    settings = load_settings(options["config"], store_url=options["store_url"], data_dir=options["data_dir"])
    now = utc_now()
    since, until = _span(options, timezone=settings.accounting.reporting_timezone, now=now)
    with open_store(settings) as store, store.read() as tx:
        span = widened(since or (until - DEFAULT_RANGE), until)
        found = unpriced_models(tx, span, book=load_book(tx))
    if as_json:
        print_json(found)
        return
    if not found:
        span_text = f"{instant_text(span.since)} to {instant_text(span.until)}"
        click.echo(f"Everything used from {span_text} has a price.")
        return
    names = UnpricedModel.__struct_fields__
    right = ("requests", "input_tokens", "output_tokens")
    print_table(names, ([getattr(one, name) for name in names] for one in found), right=right)


@click.command()
@_span_options
@click.option("--model", help="Only these models; alternatives with commas, `*` for any characters.")
@click.option("--provider", help="Only this provider.")
@click.option("--key", help="Only this key (its id).")
@click.option("--project", help="Only this project.")
@click.option("--upstream", help="Only this upstream.")
@click.option("--apply", "do_it", is_flag=True, help="Write the changes to the ledger.")
@click.option("--reason", default="prices reprice", show_default=True, help="What the ledger says about it.")
@store_options
@json_option
def reprice(*, do_it: bool, reason: str, as_json: bool, **options: Any) -> None:
    """Rate past requests at today's prices. Without --apply, only show what would change.

    Records stay as they are; every change is a ledger entry. Doing it twice changes nothing more.
    """
    if not reason.strip() or len(reason) > MAX_REASON or not reason.isprintable():
        raise InvalidInputError(f"reason must be one line of 1 to {MAX_REASON} characters", field="reason")
    settings = load_settings(options["config"], store_url=options["store_url"], data_dir=options["data_dir"])
    now = utc_now()
    timezone = settings.accounting.reporting_timezone
    since, until = _span(options, timezone=timezone, now=now)
    filters = filters_of_options({name: options[name] for name in _FILTERS}, ())
    wanted = Wanted(since=since, until=until, filters=filters)
    with open_store(settings) as store, progress_bar("Rating requests again") as progress:
        with store.read() as tx:
            book = load_book(tx)
        zone, trail = time_zone(options["timezone"] or timezone), audit_log(store, settings)
        repricer = Repricer(store, book, zone=zone, trail=trail, progress=progress)
        if do_it:
            diff = repricer.apply(wanted, reason=reason, by=operator(), now=now, random_bytes=os.urandom)
        else:
            diff = repricer.preview(wanted)
    if as_json:
        print_json(_as_json(diff, applied=do_it))
    else:
        _print(diff, applied=do_it)


def _span(options: dict[str, Any], *, timezone: str, now: datetime) -> tuple[datetime | None, datetime]:
    zone = time_zone(options["timezone"] or timezone)
    given = {
        name: None
        if options[name] is None
        else point_in_time(options[name], field=f"--{name}", zone=zone, now=now)
        for name in ("since", "until")
    }
    since, until = given["since"], given["until"] or now
    if since is not None and since >= until:
        raise InvalidInputError("--until must be later than --since", field="until")
    return since, until


def _row(group: Group | Diff) -> dict[str, Any]:
    old, new = group.old_nanos, group.new_nanos
    return {
        "records": group.records,
        "newly_priced": group.newly_priced,
        "old_usd": format_usd(old),
        "new_usd": format_usd(new),
        "delta_usd": format_usd(new - old),
    }


def _as_json(diff: Diff, *, applied: bool) -> dict[str, Any]:
    rows = [{"day": str(group.day), "model": group.model or None, **_row(group)} for group in diff.groups]
    return {"applied": applied, "data": rows, "total": _row(diff), "unchanged": diff.unchanged}


def _print(diff: Diff, *, applied: bool) -> None:
    header = ("day", "model", "records", "newly_priced", *_AMOUNTS)
    if diff.records:
        rows = [[str(group.day), group.model, *_row(group).values()] for group in diff.groups]
        print_table(header, [*rows, ["total", "", *_row(diff).values()]], right=header[2:])
    others = ", ".join(f"{count} {_REASONS[reason]}" for reason, count in diff.unchanged.items() if count)
    done = "changed" if applied else "would change"
    click.echo(f"{counted(diff.records, 'record')} {done}{f'; {others}' if others else ''}.", err=True)
    if diff.records and not applied:
        click.echo("Nothing is written yet; --apply writes it.", err=True)
