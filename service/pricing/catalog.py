"""The price cards in the store. Functions take the caller's transaction and never commit.

Cards are never changed, with one exception: an override can be ended. Imported cards carry the version of
the package they came from; the book uses the version that was imported last, older ones stay for the
records that name them. Overrides are identified by their content, so adding one twice adds it once.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.errors import ConflictError, InvalidInputError, NotFoundError
from service.pricing.card import PriceCard
from service.pricing.genai import import_genai_prices
from service.pricing.pricebook import PriceBook
from service.store.tables import price_card

__all__ = [
    "add_overrides",
    "end_override",
    "import_genai_prices",
    "in_book",
    "list_imported",
    "list_overrides",
    "load_book",
    "load_card",
    "newest_version",
    "store_cards",
]

_CARDS = msgspec.json.Decoder(tuple[PriceCard, ...])
_CARD = msgspec.json.Decoder(PriceCard)
_ENCODER = msgspec.json.Encoder()


def store_cards(tx: Connection, cards: Iterable[PriceCard], *, now: datetime) -> int:
    """Store the cards whose ids are not there yet; tell how many those were."""
    stored = set(tx.scalars(select(price_card.c.id)))
    rows = [
        _row(card, now=now) for card in {card.id: card for card in cards}.values() if card.id not in stored
    ]
    if rows:
        dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
        tx.execute(dialect.insert(price_card).on_conflict_do_nothing(), rows)
    return len(rows)


def load_book(tx: Connection) -> PriceBook:
    """The book of all overrides and of the newest import."""
    return PriceBook(_cards(tx, _by_age(in_book())))


def in_book() -> ColumnElement[bool]:
    """Cards that the book has: every override, and the import that was made last."""
    newest = newest_version().scalar_subquery()
    return or_(price_card.c.scope != "imported", price_card.c.source_version == newest)


def newest_version() -> Select[str]:
    """The version that was imported last."""
    return (
        select(price_card.c.source_version)
        .where(price_card.c.scope == "imported")
        .order_by(price_card.c.created_at.desc(), price_card.c.source_version.desc())
        .limit(1)
    )


def load_card(tx: Connection, card_id: str) -> PriceCard:
    """The card that a record names, also one that is no longer in use."""
    text = tx.scalar(select(price_card.c.card).where(price_card.c.id == card_id))
    if text is None:
        raise NotFoundError(f"there is no price {card_id!r}")
    return _CARD.decode(text)


def list_imported(tx: Connection, version: str) -> tuple[PriceCard, ...]:
    """The cards that came with a version of the price data."""
    return _cards(tx, _by_age((price_card.c.scope == "imported") & (price_card.c.source_version == version)))


def list_overrides(tx: Connection) -> tuple[PriceCard, ...]:
    """The user's own prices, ended ones too, in the order they were added."""
    return _cards(tx, _by_age(price_card.c.source == "override"))


def add_overrides(tx: Connection, cards: Sequence[PriceCard], *, now: datetime) -> tuple[PriceCard, ...]:
    """Store the user's prices under ids made from their content; return them as stored."""
    stored = {card.id: card for card in list_overrides(tx)}
    added = tuple(_identified(card, stored=stored) for card in cards)
    store_cards(tx, added, now=now)
    return added


def end_override(tx: Connection, card_id: str, *, at: datetime) -> PriceCard:
    """End a user's price at *at*: from then on the next one in order applies."""
    card = load_card(tx, card_id)
    if card.source != "override":
        raise InvalidInputError(f"{card_id} is an imported price; add an override instead", field="id")
    if card.effective_to is not None and card.effective_to <= at:
        raise ConflictError(f"{card_id} has already ended at {card.effective_to.isoformat()}")
    ended = msgspec.structs.replace(card, effective_to=at)
    tx.execute(
        update(price_card)
        .where(price_card.c.id == card_id)
        .values(effective_to=at, card=_ENCODER.encode(ended).decode())
    )
    return ended


def _by_age(condition: ColumnElement[bool]) -> Select[tuple[str]]:
    return select(price_card.c.card).where(condition).order_by(price_card.c.created_at, price_card.c.id)


def _cards(tx: Connection, query: Select[tuple[str]]) -> tuple[PriceCard, ...]:
    return _CARDS.decode("[" + ",".join(tx.scalars(query)) + "]")


def _row(card: PriceCard, *, now: datetime) -> dict[str, object]:
    return {
        "id": card.id,
        "source": card.source,
        "source_version": card.source_version,
        "scope": card.scope,
        "scope_id": card.scope_id,
        "provider": card.provider,
        "model": card.model,
        "effective_from": card.effective_from,
        "effective_to": card.effective_to,
        "card": _ENCODER.encode(card).decode(),
        "created_at": now,
    }


def _identified(card: PriceCard, *, stored: dict[str, PriceCard]) -> PriceCard:
    """*card* under an id made from its content; a card that was ended meanwhile leaves its id behind."""
    text = _ENCODER.encode(msgspec.structs.replace(card, id=""))
    digest = sha256(text)
    while True:
        named = msgspec.structs.replace(card, id=f"price_{digest.hexdigest()[:24]}")
        if stored.setdefault(named.id, named) == named:
            return named
        digest.update(text)
