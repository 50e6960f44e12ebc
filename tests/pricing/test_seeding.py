"""Price data in a store: imported once, and again when the importer reads it otherwise."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from service.pricing import genai
from service.pricing.catalog import load_book, load_card, store_cards
from service.pricing.genai import data_version, import_genai_prices
from service.pricing.rating import rate
from service.pricing.seeding import seed_prices
from service.store.engine import Store
from service.store.revision import read_revision
from tests.pricing.cards import NOON, used

MODEL = "gpt-4o-realtime-preview"


def test_a_store_gets_the_prices_once(store: Store) -> None:
    cards = import_genai_prices()
    assert seed_prices(store, now=NOON) == len({card.id for card in cards})
    assert seed_prices(store, now=NOON) == 0
    with store.read() as tx:
        assert {card.id for card in load_book(tx).cards} == {card.id for card in cards}
        assert read_revision(tx) == 1


def test_a_correction_of_ours_reaches_a_store_with_the_same_package(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The importer before gave realtime models the text rate for images."""
    with monkeypatch.context() as patch:
        patch.setattr(genai, "IMPORTER", 1)
        before = tuple(
            replace(card, rates=replace(card.rates, image_input=card.rates.input))
            if card.model == MODEL
            else card
            for card in import_genai_prices()
        )
    with store.write() as tx:
        store_cards(tx, before, now=NOON)
    stored = seed_prices(store, now=NOON + timedelta(days=1))
    assert stored == len({card.id for card in import_genai_prices()})
    usage = used(1000, image_input_tokens=900)
    with store.read() as tx:
        now = load_book(tx).resolve(provider="openai", model=MODEL, at=NOON)
        then = load_card(tx, next(card.id for card in before if card.model == MODEL))
    assert now is not None
    assert now.source_version == data_version() != then.source_version
    assert rate(usage, then, at=NOON).cost_status == "priced"
    assert rate(usage, now, at=NOON).cost_status == "partial"
    assert seed_prices(store, now=NOON + timedelta(days=2)) == 0


def test_an_import_by_hand_counts(store: Store) -> None:
    with store.write() as tx:
        store_cards(tx, import_genai_prices(), now=NOON)
    assert seed_prices(store, now=NOON) == 0
