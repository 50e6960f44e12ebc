"""Every store has the prices of the installed price data, as the importer of this version reads them.

A version of price data is the package's own and the importer's: `0.2.3+2`. A mistake of ours that is corrected in the
importer so reaches stores that imported the same package before, as new cards; the cards that records name stay.
"""

from datetime import datetime

from sqlalchemy import select

from service.pricing.catalog import store_cards
from service.pricing.genai import data_version, import_genai_prices
from service.store.engine import Store
from service.store.revision import bump_revision
from service.store.tables import price_card


def seed_prices(store: Store, *, now: datetime) -> int:
    """Import the price data unless it was; tells how many cards are new. Safe to race."""
    with store.read() as tx:
        same = price_card.c.source_version == data_version()
        if tx.execute(select(price_card.c.id).where(same).limit(1)).first() is not None:
            return 0
    cards = import_genai_prices()
    with store.write() as tx:
        stored = store_cards(tx, cards, now=now)
        if stored:
            bump_revision(tx)
    return stored
