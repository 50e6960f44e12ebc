"""`tollkeeper prices`: the price book. Relays take a change over within 2 seconds; past costs stay as they are."""

from collections.abc import Iterator
from typing import Any

import click

from service.cli.options import json_option, store_options
from service.cli.output import instant_text, print_fields, print_json, print_table
from service.cli.price_changes import import_file, set_price
from service.cli.repricing import reprice, unpriced
from service.cli.session import load_settings, open_store, operator, price_upkeep, utc_now
from service.cli.times import point_in_time
from service.errors import NotFoundError
from service.pricing.catalog import import_genai_prices, load_book
from service.pricing.lookup import PriceFilter, StoredPrice, get_price, list_prices
from service.pricing.upkeep import Imported
from service.reporting.dimensions import require_storable
from service.reporting.intervals import time_zone
from service.store.engine import Store

PAGE = 1_000
_COLUMNS = ("id", "status", "scope", "scope_id", "provider", "model", "effective_from", "effective_to")
_AMOUNTS = {
    "input": "input_usd_per_mtok",
    "cache_read": "cache_read_input_usd_per_mtok",
    "output": "output_usd_per_mtok",
}


@click.group()
def prices() -> None:
    """List, set, import, end and update prices; find what has none; rate past requests again."""


@prices.command(name="list")
@click.option("--provider", help="Only this provider.")
@click.option("--model", help="Only these models; `*` stands for any characters.")
@click.option("--scope", help="key, project, upstream, global or imported: the order of precedence.")
@click.option("--scope-id", help="Only this key, project or upstream.")
@click.option("--all", "everything", is_flag=True, help="Ended prices and older imports too.")
@store_options
@json_option
def list_them(*, everything: bool, as_json: bool, **options: Any) -> None:
    """List the prices that hold now or will, the latest addition first. Amounts are USD per million tokens."""
    now = utc_now()
    chosen = {name: _storable(options[name], name) for name in ("provider", "model", "scope", "scope_id")}
    wanted = PriceFilter(**chosen, holding_at=None if everything else now)
    settings = load_settings(options["config"], store_url=options["store_url"], data_dir=options["data_dir"])
    with open_store(settings) as store:
        found = [price.fields(now=now) for price in _all(store, wanted)]
    if as_json:
        print_json(found)
        return
    rows = [
        [*(price[name] for name in _COLUMNS), *(price.get(name) for name in _AMOUNTS.values())]
        for price in found
    ]
    print_table((*_COLUMNS, *_AMOUNTS), rows, right=tuple(_AMOUNTS))


@prices.command()
@click.argument("price")
@click.option("--provider", help="Whose price of the model.")
@click.option("--key", help="For requests of this key (its id).")
@click.option("--project", help="For requests of this project.")
@click.option("--upstream", help="For requests to this upstream.")
@click.option("--at", help="At this instant or day (default: now).")
@store_options
@json_option
def show(price: str, *, as_json: bool, **options: Any) -> None:
    """Show the price with the id PRICE, or the one that holds for the model PRICE."""
    _storable(price, "price")
    settings = load_settings(options["config"], store_url=options["store_url"], data_dir=options["data_dir"])
    with open_store(settings) as store:
        found = _find(store, price, options)
    if as_json:
        print_json(found.fields(now=utc_now()))
    else:
        print_fields(found.fields(now=utc_now()).items())


@prices.command()
@click.argument("price_id")
@click.option("--at", help="Instant or UTC day from which it no longer holds (default: now).")
@store_options
@json_option
def end(price_id: str, *, at: str | None, as_json: bool, **options: Any) -> None:
    """End one of your own prices: from then on the next in order of precedence holds."""
    now = utc_now()
    zone = time_zone("UTC")
    instant = now if at is None else point_in_time(at, field="--at", zone=zone, now=now)
    settings = load_settings(options["config"], store_url=options["store_url"], data_dir=options["data_dir"])
    with open_store(settings) as store:
        upkeep = price_upkeep(store, settings)
        with store.write() as tx:
            upkeep.end(tx, str(_storable(price_id, "price_id")), at=instant, by=operator())
            ended = get_price(tx, price_id)
    if as_json:
        print_json(ended.fields(now=now))
    else:
        click.echo(f"{price_id} ends at {instant_text(instant)}.")


@prices.command()
@store_options
@json_option
def update(*, as_json: bool, **options: Any) -> None:
    """Import the prices of the installed genai-prices package. Needs no network; your own prices stay."""
    cards = import_genai_prices()
    settings = load_settings(options["config"], store_url=options["store_url"], data_dir=options["data_dir"])
    with open_store(settings, create=True) as store:
        upkeep = price_upkeep(store, settings)
        with store.write() as tx:
            result = upkeep.import_data(tx, cards, by=operator())
    if as_json:
        print_json(result)
        return
    click.echo(_summary(result))
    if result.in_use != result.version:
        click.echo(
            f"The book goes on with {result.in_use}, which was imported later: upgrade genai-prices.",
            err=True,
        )


prices.add_command(set_price)
prices.add_command(import_file)
prices.add_command(unpriced)
prices.add_command(reprice)


def _summary(result: Imported) -> str:
    counts = f"{result.new} new, {result.changed} changed, {result.unchanged} unchanged, {result.gone} gone"
    if result.before == result.version:
        return f"genai-prices {result.version} is in the book already: {counts}."
    return f"genai-prices {result.version} imported after {result.before or 'nothing'}: {counts}."


def _find(store: Store, price: str, options: dict[str, Any]) -> StoredPrice:
    now = utc_now()
    at = now
    if options["at"] is not None:
        at = point_in_time(options["at"], field="--at", zone=time_zone("UTC"), now=now)
    with store.read() as tx:
        try:
            return get_price(tx, price)
        except NotFoundError:
            card = load_book(tx).resolve(
                provider=options["provider"],
                model=price,
                at=at,
                key_id=options["key"],
                project=options["project"],
                upstream=options["upstream"],
            )
        if card is None:
            raise NotFoundError(
                f"no price has the id {price!r}, and none is known for a model of that name; "
                "`tollkeeper prices set` sets one"
            )
        return get_price(tx, card.id)


def _all(store: Store, wanted: PriceFilter) -> Iterator[StoredPrice]:
    after = None
    while True:
        with store.read() as tx:
            page = list_prices(tx, wanted, limit=PAGE, after=after)
        yield from page
        if len(page) < PAGE:
            return
        after = (page[-1].created_at, page[-1].card.id)


def _storable(text: str | None, field: str) -> str | None:
    if text is not None:
        require_storable(text, field=field)
    return text
