"""`tollkeeper usage`: totals over time, by any dimension."""

from datetime import timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import click
import msgspec

from service.cli.filters import filter_options, narrowed
from service.cli.options import json_option, list_of, store_options
from service.cli.output import instant_text, print_json, print_table
from service.cli.session import load_settings, open_store, utc_now
from service.reporting.dimensions import DIMENSIONS
from service.reporting.figures import Measures
from service.reporting.intervals import Interval
from service.reporting.key_names import with_key_ids
from service.reporting.usage import UsageQuery, UsageReport, UsageRow, usage_report

DEFAULT_RANGE = timedelta(days=30)
_SHOWN = (
    "requests",
    "errors",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "coverage",
    "unpriced_requests",
    "p50_duration_ms",
    "p95_duration_ms",
)


@click.command()
@click.option(
    "--group-by",
    "--by",
    "group_by",
    default="",
    help=f"Dimensions, separated by commas: {', '.join(DIMENSIONS)}.",
)
@click.option(
    "--interval", type=click.Choice(get_args(Interval)), help="One row for each (default: one in all)."
)
@filter_options
@store_options
@json_option
def usage(*, group_by: str, interval: Interval | None, as_json: bool, **options: Any) -> None:
    """Usage and cost of the last 30 days, or of --from and --to.

    Requests are counted once, costs and tokens include every attempt. Coverage is the share of forwarded requests whose
    whole cost is known; where nothing has a price, the cost is `unpriced`, not 0. p50 and p95 are estimates, read from
    histograms.
    """
    settings = load_settings(options["config"], store_url=options["store_url"], data_dir=options["data_dir"])
    now = utc_now()
    asked = narrowed(options, timezone=settings.accounting.reporting_timezone, now=now)
    until = asked.until or now
    query = UsageQuery(
        since=asked.since or until - DEFAULT_RANGE,
        until=until,
        interval=interval,
        group_by=tuple(list_of(group_by) or ()),
        timezone=asked.zone.key,
        filters=asked.filters,
    )
    with open_store(settings) as store, store.read() as tx:
        query = msgspec.structs.replace(query, filters=with_key_ids(tx, query.filters))
        report = usage_report(tx, query)
    if as_json:
        print_json(report)
    else:
        _print_report(report, zone=asked.zone)


def _print_report(report: UsageReport, *, zone: ZoneInfo) -> None:
    click.echo(f"{instant_text(report.since)} to {instant_text(report.until)}, {zone.key}", err=True)
    if report.interval is None and not report.group_by:
        print_table(_SHOWN, [_cells(report.total)], right=_SHOWN)
        return
    dimensions = list(report.rows[0].dimensions) if report.rows else list(report.group_by)
    names = [*(["start"] if report.interval is not None else []), *dimensions]
    rows = [[*_labels(row, zone=zone)[-len(names) :], *_cells(row.measures)] for row in report.rows]
    rows.append(["total", *[""] * (len(names) - 1), *_cells(report.total)])
    print_table([*names, *_SHOWN], rows, right=_SHOWN)


def _labels(row: UsageRow, *, zone: ZoneInfo) -> list[Any]:
    return [instant_text(row.start, zone=zone, timespec="minutes"), *row.dimensions.values()]


def _cells(measures: Measures) -> list[Any]:
    values = msgspec.structs.asdict(measures)
    if measures.cost_usd is None and measures.unpriced_requests:
        values["cost_usd"] = "unpriced"
    values["coverage"] = None if measures.coverage is None else f"{measures.coverage:.1%}"
    return [values[name] for name in _SHOWN]
