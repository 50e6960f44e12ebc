"""What an operator changes in the price book: audited, and bumping the revision, so that relays take it over.

Methods take the caller's transaction and never commit. A price that is set again, for the same scope, provider,
model and beginning, takes the place of the one before, which ends. Nothing here touches a record: `prices reprice`
does, with ledger entries.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from service.audit.actor import Actor, Target
from service.audit.trail import AuditTrail, Change
from service.pricing.card import PriceCard
from service.pricing.catalog import (
    add_overrides,
    end_override,
    list_imported,
    list_overrides,
    load_card,
    newest_version,
    store_cards,
)
from service.pricing.listing import price_fields
from service.store.revision import bump_revision, lock_revision


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


class PriceUpkeep:
    """Changes the price book of a store. *now* is the wall clock (UTC)."""

    def __init__(self, trail: AuditTrail, *, now: Callable[[], datetime]) -> None:
        self._trail = trail
        self._now = now

    def set(self, tx: Connection, cards: Sequence[PriceCard], *, by: Actor) -> SetPrices:
        """Store the user's prices."""
        lock_revision(tx)
        now = self._now()
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
        changes = [Change("price.set", _target(card), None, price_fields(card)) for card in added]
        changes += [_ended(card, before=before[card.id]) for card in replaced]
        self._trail.record_all(tx, changes, by=by)
        if added:
            bump_revision(tx)
        kept = tuple(card for card in stored if card.id in before)
        return SetPrices(added=added, kept=kept, replaced=replaced)

    def end(self, tx: Connection, card_id: str, *, at: datetime, by: Actor) -> PriceCard:
        """End a user's price at *at*."""
        lock_revision(tx)
        before = load_card(tx, card_id)
        ended = end_override(tx, card_id, at=at)
        self._trail.record_all(tx, [_ended(ended, before=before)], by=by)
        bump_revision(tx)
        return ended

    def import_data(self, tx: Connection, cards: Sequence[PriceCard], *, by: Actor) -> Imported:
        """Store imported *cards*, all of one version, and say how they differ from those in use."""
        lock_revision(tx)
        version = cards[0].source_version
        before = tx.scalar(newest_version())
        old = {} if before is None else _by_place(list_imported(tx, before))
        new = _by_place(cards)
        stored = store_cards(tx, cards, now=self._now())
        common = old.keys() & new.keys()
        changed = sum(old[place] != new[place] for place in common)
        imported = Imported(
            version=version,
            before=before,
            in_use=str(tx.scalar(newest_version())),
            new=len(new) - len(common),
            changed=changed,
            unchanged=len(common) - changed,
            gone=len(old) - len(common),
        )
        if stored:
            source = cards[0].source
            after = msgspec.structs.asdict(imported)
            del after["before"]
            target = Target("price_data", f"{source} {version}", f"{source} {version}")
            self._trail.record(
                tx, by=by, action="price.import", target=target, before={"version": before}, after=after
            )
            bump_revision(tx)
        return imported


def _target(card: PriceCard) -> Target:
    return Target("price", card.id, card.model)


def _ended(card: PriceCard, *, before: PriceCard) -> Change:
    was, is_now = {"effective_to": before.effective_to}, {"effective_to": card.effective_to}
    return Change("price.end", _target(card), was, is_now)


def _place(card: PriceCard) -> tuple[Any, ...]:
    """What a price is the price of."""
    return card.scope, card.scope_id, card.provider, card.model, card.effective_from


def _by_place(cards: Sequence[PriceCard]) -> Mapping[tuple[Any, ...], PriceCard]:
    return {_place(card): msgspec.structs.replace(card, id="", source_version="") for card in cards}
