"""`tollkeeper reconcile`: a provider's report beside our books. Changes nothing; exit 1 if anything differs."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from service.cli.options import config_option, json_option, store_option
from service.cli.output import print_json, print_table
from service.cli.progress import progress_bar
from service.cli.session import load_settings, open_store
from service.errors import InvalidInputError
from service.reporting.books import read_books
from service.reporting.dimensions import require_storable
from service.reporting.intervals import Span, time_zone
from service.reporting.provider_report import EXACT, parse_report
from service.reporting.reconcile import Figure, period, usd
from service.reporting.reconcile import reconcile as compare

LARGEST_FILE = 256 << 20
_MARGIN = timedelta(days=1)
_NUMBERS = ("our_quantity", "their_quantity", "our_usd", "their_usd", "difference_usd")
_COLUMNS = ("day", "model", "meter", *_NUMBERS, "why")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--provider", required=True, help="Whose report it is, as in the settings: openai, …")
@click.option(
    "--upstream", help="Only our requests to this upstream, where there are several of the provider."
)
@click.option("--timezone", help="IANA zone in which the days of a CSV begin (default: UTC).")
@click.option("--all", "everything", is_flag=True, help="Print what agrees, too.")
@config_option
@store_option
@json_option
def reconcile(file: Path, *, everything: bool, as_json: bool, **options: Any) -> int:
    """Compare FILE with our books, by day, model and meter, to the last token and nano-dollar.

    FILE is the JSON of OpenAI's organization usage or costs API, one page or a list of pages, or a CSV with the columns
    date, model, meter, quantity, cost. Nothing is changed.
    """
    for name in ("provider", "upstream"):
        require_storable(options[name] or "", field=name)
    zone = time_zone(options["timezone"] or "UTC")
    report = parse_report(_read(file), zone=zone)
    span = period(report.entries)
    settings = load_settings(options["config"], store_url=options["store_url"])
    with open_store(settings) as store, progress_bar("Reading our books") as progress:
        wide = Span(span.since - _MARGIN, span.until + _MARGIN)
        books = read_books(
            store, wide, provider=options["provider"], upstream=options["upstream"], progress=progress
        )
    figures = compare(report.entries, books)
    differing = [figure for figure in figures if not figure.agrees]
    shown = figures if everything else differing
    if as_json:
        answer = {
            "provider": options["provider"], "timezone": zone.key, "since": span.since, "until": span.until,
            "agree": len(figures) - len(differing), "differ": len(differing),
            "total": _total(figures), "data": [_as_json(figure) for figure in shown], "notes": report.notes,
        }  # fmt: skip
        print_json(answer)
    else:
        _print(shown, figures=figures, differing=len(differing))
        for note in report.notes:
            click.echo(f"Note: {note}.", err=True)
    return 1 if differing else 0


def _read(file: Path) -> str:
    if file.stat().st_size > LARGEST_FILE:
        raise InvalidInputError(f"{file.name} is larger than {LARGEST_FILE >> 20} MiB", field="file")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{file.name} is not UTF-8 (byte {error.start})", field="file") from error


def _amount(amount: Decimal | None) -> str | None:
    """Every digit, without an exponent, with at least two decimals."""
    if amount is None:
        return None
    text = f"{amount.normalize(EXACT):f}"
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


def _as_json(figure: Figure) -> dict[str, Any]:
    return {
        "day": str(figure.day),
        "model": figure.model,
        "meter": figure.meter,
        "our_quantity": figure.our_quantity,
        "their_quantity": figure.their_quantity,
        "our_usd": _amount(figure.our_cost_usd),
        "their_usd": _amount(figure.their_cost_usd),
        "difference_usd": None if figure.their_cost_usd is None else _amount(figure.cost_difference_usd),
        "agrees": figure.agrees,
        "reasons": figure.reasons,
    }


def _total(figures: list[Figure]) -> dict[str, Any]:
    """Costs of both sides, where the report has costs."""
    costs = [
        (one.our_cost_usd or usd(0), one.their_cost_usd) for one in figures if one.their_cost_usd is not None
    ]
    mine = theirs = Decimal(0)
    for our_cost, their_cost in costs:
        mine, theirs = EXACT.add(mine, our_cost), EXACT.add(theirs, their_cost)
    if not costs:
        return {"our_usd": None, "their_usd": None, "difference_usd": None}
    difference = EXACT.subtract(mine, theirs)
    return {"our_usd": _amount(mine), "their_usd": _amount(theirs), "difference_usd": _amount(difference)}


def _print(shown: list[Figure], *, figures: list[Figure], differing: int) -> None:
    if shown:
        rows = []
        for figure in shown:
            row = _as_json(figure)
            why = "; ".join(f"{reason.kind}: {reason.text}" for reason in figure.reasons)
            rows.append([*(row[name] for name in _COLUMNS[:-1]), why])
        print_table(_COLUMNS, rows, right=_NUMBERS)
    total = _total(figures)
    if total["our_usd"] is not None:
        sides = f"ours {total['our_usd']}, theirs {total['their_usd']}"
        click.echo(f"Costs in USD: {sides}, difference {total['difference_usd']}.", err=True)
    click.echo(f"{len(figures) - differing} of {len(figures)} figures agree.", err=True)
