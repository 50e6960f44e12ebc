"""`tollkeeper prices set` and `prices import`: prices of one's own, one by one or from a file, all or none."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from sqlalchemy import Connection

from service.admin.price_checks import require_possible
from service.cli.options import json_option, list_of, store_options
from service.cli.output import counted, print_json, print_table
from service.cli.session import key_registry, load_settings, open_store, operator, price_upkeep
from service.errors import InvalidInputError
from service.keys.registry import KeyRegistry
from service.pricing.card import PriceCard
from service.pricing.listing import price_fields
from service.pricing.override import METER_OF_FIELD, override_card
from service.pricing.pricefile import PriceFileFormat, parse_price_file
from service.pricing.upkeep import PriceUpkeep, SetPrices
from service.store.engine import Store

F = TypeVar("F")
FORMATS: dict[str, PriceFileFormat] = {".toml": "toml", ".csv": "csv"}
LARGEST_FILE = 16 << 20
_COLUMNS = ("id", "scope", "scope_id", "provider", "model", "effective_from")


def amount_options(command: F) -> F:
    """One option for every meter: `--input 2.50` is `input_usd_per_mtok`."""
    for field, meter in reversed(METER_OF_FIELD.items()):
        unit = "per million tokens" if field.endswith("_mtok") else "each"
        flag = f"--{meter.replace('_', '-')}"
        decorate: Any = click.option(flag, field, metavar="USD", help=f"{field}: {unit}.")
        command = decorate(command)
    return command


@click.command(name="set")
@click.argument("model")
@click.option("--provider", help="Only where this provider serves the model (default: any).")
@click.option("--alias", "aliases", help="Other names of the model, separated by commas.")
@click.option("--key", help="Only for requests of this key (id or name).")
@click.option("--project", help="Only for requests of this project.")
@click.option("--upstream", help="Only for requests to this upstream.")
@click.option("--from", "effective_from", help="Instant or UTC day from which it holds (default: always).")
@click.option("--to", "effective_to", help="Instant or UTC day from which it no longer holds.")
@amount_options
@store_options
@json_option
def set_price(
    model: str, *, key: str | None, project: str | None, upstream: str | None, as_json: bool, **options: Any
) -> None:
    """Set the price of MODEL, in which `*` stands for any characters. The narrowest scope wins."""
    scopes = {"key": key, "project": project, "upstream": upstream}
    chosen = [(scope, name) for scope, name in scopes.items() if name is not None]
    if len(chosen) > 1:
        names = " and ".join(f"--{scope}" for scope, _name in chosen)
        raise InvalidInputError(f"{names} exclude each other: a price has one scope", field="scope")
    scope, scope_id = chosen[0] if chosen else ("global", None)
    fields = {name: options[name] for name in METER_OF_FIELD}
    fields |= {name: options[name] for name in ("provider", "effective_from", "effective_to")}
    fields |= {"model": model, "scope": scope, "scope_id": scope_id, "aliases": list_of(options["aliases"])}
    card = override_card(fields)
    with _open(options) as change, change.store.write() as tx:
        if scope == "key":
            card = msgspec.structs.replace(card, scope_id=change.keys.find(tx, str(scope_id)).id)
        result = change.set(tx, [card])
    _print(result, as_json=as_json)


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--format", "file_format", type=click.Choice(("toml", "csv")), help="Default: by the suffix.")
@click.option("--dry-run", is_flag=True, help="Only read the file and say what it holds.")
@store_options
@json_option
def import_file(
    file: Path, *, file_format: PriceFileFormat | None, dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Set all prices of a TOML or CSV file. A file with a mistake changes nothing."""
    kind = file_format or FORMATS.get(file.suffix.lower())
    if kind is None:
        raise InvalidInputError(f"{file.name} ends in neither .toml nor .csv; say --format", field="format")
    cards = parse_price_file(_read(file), kind)
    if dry_run:
        if as_json:
            print_json([price_fields(card) for card in cards])
        else:
            _print_table(cards)
            click.echo(f"{counted(len(cards), 'price')}; nothing was changed.", err=True)
        return
    with _open(options) as change, change.store.write() as tx:
        result = change.set(tx, cards)
    _print(result, as_json=as_json)


def _read(file: Path) -> str:
    if file.stat().st_size > LARGEST_FILE:
        raise InvalidInputError(f"{file.name} is larger than {LARGEST_FILE >> 20} MiB", field="file")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{file.name} is not UTF-8 (byte {error.start}); save it as UTF-8", field="file"
        ) from error


class _PriceChange(msgspec.Struct, frozen=True):
    """A store whose prices are being changed, with what is needed to do so."""

    store: Store
    keys: KeyRegistry
    upkeep: PriceUpkeep

    def set(self, tx: Connection, cards: Sequence[PriceCard]) -> SetPrices:
        """Set *cards*, all or none."""
        for card in cards:
            require_possible(tx, card, keys=self.keys)
        return self.upkeep.set(tx, cards, by=operator())


@contextmanager
def _open(options: dict[str, Any]) -> Iterator[_PriceChange]:
    settings = load_settings(options["config"], store_url=options["store_url"], data_dir=options["data_dir"])
    with open_store(settings, create=True) as store:
        yield _PriceChange(store, key_registry(store, settings), price_upkeep(store, settings))


def _print(result: SetPrices, *, as_json: bool) -> None:
    if as_json:
        parts = {name: getattr(result, name) for name in SetPrices.__struct_fields__}
        print_json(
            {name: [{"id": card.id, **price_fields(card)} for card in cards] for name, cards in parts.items()}
        )
        return
    _print_table((*result.added, *result.kept))
    counts = f"{len(result.added)} added, {len(result.kept)} there already, {len(result.replaced)} replaced"
    click.echo(f"{counts}. Past costs stay; `tollkeeper prices reprice` shows what they would be.", err=True)


def _print_table(cards: Sequence[PriceCard]) -> None:
    rows = [{"id": card.id, **price_fields(card)} for card in cards]
    amounts = [name for name in METER_OF_FIELD if any(name in row for row in rows)]
    shown = [*(name for name in _COLUMNS if any(row.get(name) for row in rows)), *amounts]
    print_table(shown, ([row.get(name) for name in shown] for row in rows), right=amounts)
