"""`tollkeeper export`: records, usage and FOCUS billing data as files, streamed.

A file appears whole or not at all: it is written beside its place and moved there when it is complete.
"""

import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import click
import msgspec

from service.cli.filters import Narrowed, filter_options, narrowed
from service.cli.options import list_of, store_options
from service.cli.output import counted
from service.cli.progress import counter, progress_bar
from service.cli.session import load_settings, open_store, utc_now
from service.errors import InvalidInputError
from service.reporting.export import export_requests, export_usage
from service.reporting.files import FileFormat
from service.reporting.focus import export_focus
from service.reporting.intervals import Interval
from service.reporting.key_names import with_key_ids
from service.reporting.rows import RequestFilter
from service.reporting.usage import UsageQuery, usage_report
from service.settings import Settings

DEFAULT_RANGE = timedelta(days=30)
STANDARD_OUTPUT = "-"
F = TypeVar("F")


def _file_options(command: F) -> F:
    """`--output` and `--format`."""
    options: list[Any] = [
        click.option(
            "-o",
            "--output",
            default=STANDARD_OUTPUT,
            help="File to write; - is standard output, the default.",
        ),
        click.option(
            "--format",
            "file_format",
            type=click.Choice(get_args(FileFormat)),
            help="Default: as OUTPUT ends, else csv.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def export() -> None:
    """Write records, usage or FOCUS billing data to a file."""


@export.command("requests")
@_file_options
@filter_options
@store_options
def requests_command(*, output: str, file_format: FileFormat | None, **options: Any) -> None:
    """Every record, newest first, one row per attempt."""
    settings, asked = _read(options)
    kind = _format_of(output, given=file_format)
    rows = 0
    with open_store(settings) as store, counter("Rows") as progress:

        def count(read: int) -> None:
            nonlocal rows
            rows = read
            progress(read)

        with store.read() as tx:
            filters = with_key_ids(tx, asked.filters)
        wanted = RequestFilter(since=asked.since, until=asked.until, filters=filters)
        _write(output, export_requests(store, wanted, file_format=kind, progress=count))
    _say(rows, output)


@export.command("usage")
@click.option("--by", "group_by", default="", help="Dimensions, separated by commas: model,key,project,…")
@click.option(
    "--interval", type=click.Choice(get_args(Interval)), help="One row for each (default: one in all)."
)
@_file_options
@filter_options
@store_options
def usage_command(
    *, group_by: str, interval: Interval | None, output: str, file_format: FileFormat | None, **options: Any
) -> None:
    """Usage and cost of the last 30 days, or of --from and --to."""
    settings, asked = _read(options)
    until = asked.until or utc_now()
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
    _write(output, export_usage(report, file_format=_format_of(output, given=file_format)))
    _say(len(report.rows), output)


@export.command("focus")
@click.option("--period", type=click.Choice(["hour", "day"]), default="day", show_default=True)
@_file_options
@filter_options
@store_options
def focus_command(
    *, period: Literal["hour", "day"], output: str, file_format: FileFormat | None, **options: Any
) -> None:
    """FOCUS 1.2 billing data of the last 30 days, or of --from and --to, by UTC days or hours."""
    settings, asked = _read(options)
    if asked.filters:
        raise InvalidInputError("export focus writes the books whole; leave the filters out", field="filter")
    until = asked.until or utc_now()
    since = asked.since or until - DEFAULT_RANGE
    kind = _format_of(output, given=file_format)
    rows = 0
    with open_store(settings) as store, progress_bar("Periods") as progress:

        def advance(done: int, total: int, written: int) -> None:
            nonlocal rows
            rows = written
            progress(done, total)

        pieces = export_focus(
            store, since=since, until=until, period=period, file_format=kind, progress=advance
        )
        _write(output, pieces)
    _say(rows, output)


def _say(rows: int, output: str) -> None:
    """How many rows there are, where they cannot be taken for one."""
    place = "" if output == STANDARD_OUTPUT else f" to {output}"
    click.echo(f"{counted(rows, 'row')} written{place}", err=True)


def _read(options: dict[str, Any]) -> tuple[Settings, Narrowed]:
    settings = load_settings(options["config"], store_url=options["store_url"], data_dir=options["data_dir"])
    return settings, narrowed(options, timezone=settings.accounting.reporting_timezone, now=utc_now())


def _format_of(output: str, *, given: FileFormat | None) -> FileFormat:
    if given is not None:
        return given
    ending = Path(output).suffix.removeprefix(".")
    return next((kind for kind in get_args(FileFormat) if kind == ending), "csv")


def _write(output: str, pieces: Iterable[bytes]) -> None:
    if output == STANDARD_OUTPUT:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    place = Path(output)
    unfinished = place.with_name(place.name + ".part")
    try:
        with unfinished.open("wb") as file:
            for piece in pieces:
                file.write(piece)
        unfinished.replace(place)
    except OSError as error:
        raise InvalidInputError(f"{output} cannot be written: {error.strerror}", field="output") from error
    finally:
        unfinished.unlink(missing_ok=True)
