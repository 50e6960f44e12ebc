from datetime import UTC, datetime, timedelta
from threading import Thread

import msgspec
import pytest
from sqlalchemy import func, select

from service.errors import ConflictError, InvalidInputError, NotFoundError
from service.pricing.card import PriceCard
from service.pricing.catalog import (
    add_overrides,
    end_override,
    import_genai_prices,
    list_overrides,
    load_book,
    load_card,
    store_cards,
)
from service.store.engine import Store
from service.store.tables import price_card
from tests.pricing.cards import NOON, card, usd

IMPORTED = card(id="import/1", source="genai-prices", scope="imported")


def resolved(store: Store, *, at: datetime = NOON) -> str | None:
    with store.read() as tx:
        found = load_book(tx).resolve(provider="openai", model="gpt-4o", at=at)
    return found.id if found else None


def test_the_whole_import_is_stored_once_and_read_back_as_it_was(store: Store) -> None:
    cards = import_genai_prices()
    with store.write() as tx:
        assert store_cards(tx, cards, now=NOON) == len(cards) > 2_500
    with store.write() as tx:
        assert store_cards(tx, cards, now=NOON + timedelta(days=1)) == 0
    with store.read() as tx:
        assert {one.id: one for one in load_book(tx).cards} == {one.id: one for one in cards}
        assert tx.scalar(select(func.count()).select_from(price_card)) == len(cards)


def test_nothing_is_committed_here(store: Store) -> None:
    with store.read() as tx:
        store_cards(tx, [IMPORTED], now=NOON)
        add_overrides(tx, [card()], now=NOON)
        assert load_book(tx).cards != ()
    assert resolved(store) is None


def test_the_columns_say_what_the_card_says(store: Store) -> None:
    with store.write() as tx:
        store_cards(tx, [msgspec.structs.replace(IMPORTED, effective_from=NOON, scope_id="x")], now=NOON)
        row = tx.execute(select(price_card)).mappings().one()

    assert dict(row) | {"card": None} == {
        "id": "import/1",
        "source": "genai-prices",
        "source_version": "1",
        "scope": "imported",
        "scope_id": "x",
        "provider": "openai",
        "model": "gpt-4o",
        "effective_from": NOON,
        "effective_to": None,
        "created_at": NOON,
        "card": None,
    }


def test_an_id_given_twice_is_stored_once(store: Store) -> None:
    with store.write() as tx:
        assert store_cards(tx, [IMPORTED, IMPORTED], now=NOON) == 1


def test_two_importers_at_once_store_every_card_once(store: Store) -> None:
    cards = [msgspec.structs.replace(IMPORTED, id=f"import/{number}") for number in range(200)]

    def import_all() -> None:
        with store.write() as tx:
            store_cards(tx, cards, now=NOON)

    threads = [Thread(target=import_all) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as tx:
        assert tx.scalar(select(func.count()).select_from(price_card)) == 200


def test_the_newest_import_counts_and_older_ones_stay_readable(store: Store) -> None:
    newer = msgspec.structs.replace(IMPORTED, id="import/2", source_version="2", rates=usd(input="9"))
    with store.write() as tx:
        store_cards(tx, [IMPORTED], now=NOON)
        store_cards(tx, [newer], now=NOON + timedelta(days=1))

    assert resolved(store) == "import/2"
    with store.read() as tx:
        assert load_card(tx, "import/1") == IMPORTED
        assert load_book(tx).cards == (newer,)


def test_a_users_price_goes_before_the_imported_one_until_it_is_ended(store: Store) -> None:
    with store.write() as tx:
        store_cards(tx, [IMPORTED], now=NOON)
        (added,) = add_overrides(tx, [card(id="ignored")], now=NOON)
    assert resolved(store) == added.id
    assert added.id.startswith("price_")

    with store.write() as tx:
        ended = end_override(tx, added.id, at=NOON + timedelta(days=1))
    assert ended.effective_to == NOON + timedelta(days=1)
    assert resolved(store, at=NOON) == added.id
    assert resolved(store, at=NOON + timedelta(days=1)) == "import/1"
    with store.read() as tx:
        assert load_card(tx, added.id) == ended
        assert list_overrides(tx) == (ended,)
        assert (
            tx.scalar(select(price_card.c.effective_to).where(price_card.c.id == added.id))
            == ended.effective_to
        )


def test_adding_a_price_twice_adds_it_once(store: Store) -> None:
    for day in range(2):
        with store.write() as tx:
            add_overrides(tx, [card(), card(usd(input="1"))], now=NOON + timedelta(days=day))
    with store.read() as tx:
        assert len(list_overrides(tx)) == 2


def test_an_ended_price_can_be_added_again(store: Store) -> None:
    with store.write() as tx:
        (first,) = add_overrides(tx, [card()], now=NOON)
        end_override(tx, first.id, at=NOON)
        (second,) = add_overrides(tx, [card()], now=NOON + timedelta(days=1))
        (third,) = add_overrides(tx, [card()], now=NOON + timedelta(days=2))

    assert second.id != first.id
    assert third == second
    assert resolved(store) == second.id


def test_the_price_added_last_counts_when_dates_are_equal(store: Store) -> None:
    added: list[PriceCard] = []
    for number in range(5):
        with store.write() as tx:
            added += add_overrides(tx, [card(usd(input=str(number)))], now=NOON + timedelta(seconds=number))

    assert resolved(store) == added[-1].id
    with store.read() as tx:
        assert list_overrides(tx) == tuple(added)


def test_only_a_users_price_that_still_holds_can_be_ended(store: Store) -> None:
    with store.write() as tx:
        store_cards(tx, [IMPORTED], now=NOON)
        (added,) = add_overrides(tx, [card()], now=NOON)
        with pytest.raises(NotFoundError, match="price_nowhere"):
            end_override(tx, "price_nowhere", at=NOON)
        with pytest.raises(InvalidInputError, match="imported"):
            end_override(tx, "import/1", at=NOON)
        end_override(tx, added.id, at=NOON)
        for later in (NOON, NOON + timedelta(days=1)):
            with pytest.raises(ConflictError, match="already ended"):
                end_override(tx, added.id, at=later)


def test_an_empty_store_has_an_empty_book(store: Store) -> None:
    with store.read() as tx:
        assert load_book(tx).cards == ()
        assert list_overrides(tx) == ()


def test_dates_before_1970_and_far_ahead_are_kept(store: Store) -> None:
    odd = card(effective_from=datetime(1, 1, 1, tzinfo=UTC), effective_to=datetime(9999, 12, 31, tzinfo=UTC))
    with store.write() as tx:
        (added,) = add_overrides(tx, [odd], now=NOON)
    with store.read() as tx:
        assert load_card(tx, added.id).effective_to == odd.effective_to
