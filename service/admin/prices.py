"""`/admin/v1/prices`: the price book. Amounts are decimal strings; a price is never changed, only added or ended."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from litestar import Request, delete, get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from service.admin.injection import Admin, By
from service.admin.paging import DEFAULT_PAGE, Page, check_limit, read_cursor, write_cursor
from service.admin.parameters import optional_instant, refuse_others
from service.admin.price_checks import require_possible, storable
from service.errors import InvalidInputError
from service.pricing.card import SCOPES
from service.pricing.lookup import PriceFilter, get_price, list_prices
from service.pricing.override import override_card
from service.reporting.intervals import time_zone

CREATED = 201
OK = 200
_FILTERS = ("provider", "model", "scope", "scope_id", "source")
_KNOWN = (*_FILTERS, "all", "limit", "cursor")

Price = dict[str, Any]
PriceId = Annotated[Path, PathParameter(description="The price's id. It may hold slashes, plain or encoded.")]


@get("/prices", sync_to_thread=True, summary="List prices, the latest addition first")
def list_all(  # noqa: PLR0913  (one argument for each query parameter)
    admin: Admin,
    request: Request[Any, Any, Any],
    *,
    provider: Annotated[str | None, QueryParameter(description="Provider, as in the price book.")] = None,
    model: Annotated[str | None, QueryParameter(description="Model; `*` stands for any characters.")] = None,
    level: Annotated[
        str | None,
        QueryParameter(
            name="scope", description="In order of precedence: key, project, upstream, global, imported."
        ),
    ] = None,
    scope_id: Annotated[str | None, QueryParameter(description="Which key, project or upstream.")] = None,
    source: Annotated[str | None, QueryParameter(description="`override` or `genai-prices`.")] = None,
    everything: Annotated[
        bool, QueryParameter(name="all", description="Ended prices and older imports too.")
    ] = False,
    limit: Annotated[int, QueryParameter(description="Rows of a page, 1 to 1000.")] = DEFAULT_PAGE,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
) -> Page[Price]:
    """Prices that hold now or will, unless `all` is given."""
    refuse_others(request.query_params.multi_items(), known=_KNOWN)
    if level is not None and level not in SCOPES:
        raise InvalidInputError(f"scope is {level[:50]!r}; use one of {', '.join(SCOPES)}", field="scope")
    now = admin.now()
    wanted = PriceFilter(
        provider=storable(provider, field="provider"),
        model=storable(model, field="model"),
        scope=level,
        scope_id=storable(scope_id, field="scope_id"),
        source=storable(source, field="source"),
        holding_at=None if everything else now,
    )
    with admin.store.read() as tx:
        found = list_prices(tx, wanted, limit=check_limit(limit) + 1, after=read_cursor(cursor))
    page = found[:limit]
    more = len(found) > limit
    return Page(
        [price.fields(now=now) for price in page],
        write_cursor(page[-1].created_at, page[-1].card.id) if more else None,
    )


@post("/prices", sync_to_thread=True, status_code=CREATED, summary="Set a price")
def create_price(admin: Admin, by: By, *, data: JSONBody[dict[str, Any]]) -> Price:
    """A price for the same scope, provider, model and beginning takes the place of the one before, which ends.

    The amounts are decimal strings in USD per million tokens, such as `"input_usd_per_mtok": "2.50"`.
    """
    card = override_card(data)
    now = admin.now()
    with admin.store.write() as tx:
        require_possible(tx, card, keys=admin.keys)
        result = admin.prices.set(tx, [card], by=by)
        stored = get_price(tx, (*result.added, *result.kept)[0].id)
    admin.take_over()
    return stored.fields(now=now)


@get("/prices/{price_id:path}", sync_to_thread=True, summary="Show a price")
def show_price(admin: Admin, price_id: PriceId) -> Price:
    """Also one that has ended or was replaced: records name the price they were rated with."""
    with admin.store.read() as tx:
        return get_price(tx, _id(price_id)).fields(now=admin.now())


@delete("/prices/{price_id:path}", sync_to_thread=True, status_code=OK, summary="End a price")
def delete_price(
    admin: Admin,
    by: By,
    *,
    price_id: PriceId,
    at: Annotated[
        str | None,
        QueryParameter(description="Instant or UTC day from which it no longer holds; now if absent."),
    ] = None,
) -> Price:
    """From then on the next price in order of precedence holds. Costs of the past stay as they are."""
    now = admin.now()
    instant: datetime = optional_instant(at, field="at", zone=time_zone("UTC")) or now
    with admin.store.write() as tx:
        admin.prices.end(tx, _id(price_id), at=instant, by=by)
        stored = get_price(tx, _id(price_id))
    admin.take_over()
    return stored.fields(now=now)


def _id(price_id: Path) -> str:
    return str(storable(str(price_id).removeprefix("/"), field="id"))
