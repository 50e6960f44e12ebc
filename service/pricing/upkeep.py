"""What an operator changes in the price book. Every change bumps the revision, so that relays take it over.

Functions take the caller's transaction and never commit. A price that is set again, for the same scope, provider,
model and beginning, takes the place of the one before, which ends. Nothing here touches a record: `prices reprice`
does, with ledger entries.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from service.pricing.card import PriceCard
from service.pricing.catalog import (
    add_overrides,
    end_override,
    list_imported,
    list_overrides,
    newest_version,
    store_cards,
)
from service.store.revision import bump_revision


class SetPrices(msgspec.Struct, frozen=True, kw_only=True):
    """What setting prices did: *added* are new, *kept* were there already, *replaced* have ended."""

    added: tuple[PriceCard, ...]
    kept: tuple[PriceCard, ...]
    replaced: tuple[PriceCard, ...]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What importing price data did, by price: how many are new, changed, the same, or no longer listed.

    *before* is the version that the book used until now, *in_use* the one that it uses from now on.
    """

    version: str
    before: str | None
    in_use: str
    new: int
    changed: int
    unchanged: int
    gone: int


def set_prices(tx: Connection, cards: Sequence[PriceCard], *, now: datetime) -> SetPrices:
    """Store the user's prices."""
    before = {card.id: card for card in list_overrides(tx)}
    stored = add_overrides(tx, cards, now=now)
    added = tuple(card for card in stored if card.id not in before)
    ids, places = {card.id for card in stored}, {_place(card) for card in added}
    replaced = tuple(
        end_override(tx, card.id, at=now)
        for card in before.values()
        if card.id not in ids
        and _place(card) in places
        and (card.effective_to is None or card.effective_to > now)
    )
    if added:
        bump_revision(tx)
    return SetPrices(added=added, kept=tuple(card for card in stored if card.id in before), replaced=replaced)


def end_price(tx: Connection, card_id: str, *, at: datetime) -> PriceCard:
    """End a user's price at *at*."""
    ended = end_override(tx, card_id, at=at)
    bump_revision(tx)
    return ended


def import_prices(tx: Connection, cards: Sequence[PriceCard], *, now: datetime) -> Imported:
    """Store imported *cards*, all of one version, and say how they differ from those in use."""
    version = cards[0].source_version
    before = tx.scalar(newest_version())
    old = {} if before is None else _by_place(list_imported(tx, before))
    new = _by_place(cards)
    if store_cards(tx, cards, now=now):
        bump_revision(tx)
    common = old.keys() & new.keys()
    changed = sum(old[place] != new[place] for place in common)
    return Imported(
        version=version,
        before=before,
        in_use=str(tx.scalar(newest_version())),
        new=len(new) - len(common),
        changed=changed,
        unchanged=len(common) - changed,
        gone=len(old) - len(common),
    )


def _place(card: PriceCard) -> tuple[Any, ...]:
    """What a price is the price of."""
    return card.scope, card.scope_id, card.provider, card.model, card.effective_from


def _by_place(cards: Sequence[PriceCard]) -> Mapping[tuple[Any, ...], PriceCard]:
    return {_place(card): msgspec.structs.replace(card, id="", source_version="") for card in cards}
