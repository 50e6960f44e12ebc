"""Reads of the price book, of what it does not cover, and of what repricing would change."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from dashboard import data
from dashboard.cache import CHART_TTL_S, kept
from dashboard.context import current
from dashboard.spending import price_book
from service.ledger.repricer import Repricer, Wanted
from service.ledger.repricing import Diff
from service.pricing.lookup import PriceFilter, StoredPrice, list_prices
from service.reporting.intervals import Span, widened
from service.reporting.unpriced import UnpricedModel, unpriced_models

UNPRICED_SINCE = timedelta(days=30)
MOST_PRICES = 500
DAY = timedelta(days=1)


class Listing(msgspec.Struct, frozen=True):
    """Prices, the latest addition first, and whether there are more than are shown."""

    prices: tuple[StoredPrice, ...]
    more: bool


@kept(CHART_TTL_S)
def _listing(tx: Connection, wanted: PriceFilter, revision: str) -> Listing:  # noqa: ARG001  (part of the key)
    found = list_prices(tx, wanted, limit=MOST_PRICES + 1)
    return Listing(tuple(found[:MOST_PRICES]), len(found) > MOST_PRICES)


def listing(*, model: str | None, provider: str | None, own_only: bool, history: bool) -> Listing:
    """Prices whose model has *model* in its name; with *history* also those that have ended."""
    now = data.now()
    wanted = PriceFilter(
        model=None if not model else f"*{model}*",
        provider=provider or None,
        source="override" if own_only else None,
        holding_at=None if history else now.replace(second=0, microsecond=0),
    )
    return _listing(wanted, "")


@kept(CHART_TTL_S)
def _unpriced(tx: Connection, since: datetime, until: datetime) -> tuple[UnpricedModel, ...]:
    return tuple(unpriced_models(tx, Span(since, until), book=price_book()))


def unpriced() -> tuple[UnpricedModel, ...]:
    """Models that were used in the last thirty days and have no price."""
    now = data.now()
    span = widened(now - UNPRICED_SINCE, now)
    return _unpriced(span.since, span.until)


def repricer(timezone: str) -> Repricer:
    """What rates past requests at today's prices."""
    return Repricer(current().store, price_book(), zone=ZoneInfo(timezone), trail=current().registries.trail)


def preview(wanted: Wanted, *, timezone: str) -> Diff:
    """What repricing would change; nothing is written."""
    return repricer(timezone).preview(wanted)
