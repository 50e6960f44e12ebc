"""Prices in the store as people look them up: a filtered list by pages, and one by its id."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, true

from service.errors import NotFoundError
from service.pricing.card import PriceCard
from service.pricing.catalog import in_book
from service.pricing.listing import price_fields
from service.pricing.providers import canonical_provider
from service.store.tables import price_card

Status = Literal["current", "scheduled", "ended", "replaced"]
_CARD = msgspec.json.Decoder(PriceCard)


class StoredPrice(msgspec.Struct, frozen=True):
    """A price card as it stands in the store. *in_book*: relays know it; older imports are kept for old records."""

    card: PriceCard
    created_at: datetime
    in_book: bool

    def status(self, *, now: datetime) -> Status:
        """Whether the price holds at *now*."""
        if not self.in_book:
            return "replaced"
        if self.card.effective_to is not None and self.card.effective_to <= now:
            return "ended"
        if self.card.effective_from is not None and self.card.effective_from > now:
            return "scheduled"
        return "current"

    def fields(self, *, now: datetime) -> dict[str, Any]:
        """Everything about the price, under the names that the admin API uses."""
        return {
            "id": self.card.id,
            "status": self.status(now=now),
            "source": self.card.source,
            "source_version": self.card.source_version,
            "created_at": self.created_at,
            **price_fields(self.card),
        }


class PriceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which prices. In *model*, ``*`` stands for any characters. *holding_at*: those that hold then or later."""

    provider: str | None = None
    model: str | None = None
    scope: str | None = None
    scope_id: str | None = None
    source: str | None = None
    holding_at: datetime | None = None


def list_prices(
    tx: Connection, wanted: PriceFilter, *, limit: int, after: tuple[datetime, str] | None = None
) -> list[StoredPrice]:
    """At most *limit* prices, the latest addition first; *after* is the last row of the page before."""
    column = price_card.c
    statement = _prices().where(*_conditions(wanted)).order_by(column.created_at.desc(), column.id)
    if after is not None:
        created_at, identifier = after
        later = and_(column.created_at == created_at, column.id > identifier)
        statement = statement.where(or_(column.created_at < created_at, later))
    return [_stored(*row) for row in tx.execute(statement.limit(limit))]


def get_price(tx: Connection, card_id: str) -> StoredPrice:
    """The price with this id; NotFoundError where there is none."""
    row = tx.execute(_prices().where(price_card.c.id == card_id)).first()
    if row is None:
        raise NotFoundError(f"there is no price {card_id!r}")
    return _stored(*row)


def _prices() -> Select[Any]:
    return select(price_card.c.card, price_card.c.created_at, in_book())


def _stored(card: str, created_at: datetime, used: bool) -> StoredPrice:  # noqa: FBT001  (a row's columns)
    return StoredPrice(_CARD.decode(card), created_at, bool(used))


def _conditions(wanted: PriceFilter) -> list[ColumnElement[bool]]:
    column = price_card.c
    conditions: list[ColumnElement[bool]] = [true()]
    if wanted.provider is not None:
        names = {wanted.provider, canonical_provider(wanted.provider)}
        conditions.append(column.provider.in_(names - {None}))
    if wanted.model is not None:
        escaped = wanted.model.lower().replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        conditions.append(func.lower(column.model).like(escaped.replace("*", "%"), escape="\\"))
    for name in ("scope", "scope_id", "source"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(column[name] == value)
    if wanted.holding_at is not None:
        conditions += [
            in_book(),
            or_(column.effective_to.is_(None), column.effective_to > wanted.holding_at),
        ]
    return conditions
