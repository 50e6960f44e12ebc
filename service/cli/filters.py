"""Options that narrow a report or the log down, the same for both."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click
import msgspec

from service.cli.times import filters_of_options, point_in_time
from service.reporting.dimensions import KNOWN_VALUES, Filters
from service.reporting.intervals import time_zone

F = TypeVar("F")
_SAID = {"key": "key, by its id or name"}
SHORT = ("key", "model", "project", "upstream", "outcome")
_MORE = {"model": ", * for any characters", "outcome": f": {', '.join(KNOWN_VALUES['outcome'])}"}


class Narrowed(msgspec.Struct, frozen=True):
    """The range of time and the filters that were asked for."""

    since: datetime | None
    until: datetime | None
    zone: ZoneInfo
    filters: Filters


def filter_options(command: F) -> F:
    """`--from`, `--to`, `--timezone`, `--filter`, and short forms of the usual filters."""
    options: list[Any] = [
        click.option("--from", "since", help="Instant, day, or 7d for seven days ago; inclusive."),
        click.option("--to", "until", help="Instant, day, or 1h for an hour ago; exclusive."),
        click.option(
            "--timezone", help="IANA zone in which days begin (default: accounting.reporting_timezone)."
        ),
        *(
            click.option(
                f"--{name}",
                help=f"Only this {_SAID.get(name, name)}; alternatives with commas{_MORE.get(name, '')}.",
            )
            for name in SHORT
        ),
        click.option(
            "--filter", "pairs", multiple=True, metavar="DIMENSION=VALUE", help="Any other dimension."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def narrowed(options: Mapping[str, Any], *, timezone: str, now: datetime) -> Narrowed:
    """The options of `filter_options`, read; *timezone* counts where none is given."""
    zone = time_zone(options["timezone"] or timezone)
    instants = {
        name: None if options[name] is None else point_in_time(options[name], field=flag, zone=zone, now=now)
        for name, flag in (("since", "--from"), ("until", "--to"))
    }
    filters = filters_of_options({name: options[name] for name in SHORT}, options["pairs"])
    return Narrowed(instants["since"], instants["until"], zone, filters)
