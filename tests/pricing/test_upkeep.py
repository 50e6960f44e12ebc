"""Changes to the price book: what they say they did, and that relays hear of them."""

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from service.errors import ConflictError
from service.pricing.card import NO_RATES, PriceCard
from service.pricing.catalog import list_overrides, load_book
from service.pricing.genai import import_genai_prices
from service.pricing.listing import price_fields
from service.pricing.lookup import PriceFilter, get_price, list_prices
from service.pricing.upkeep import PriceUpkeep
from service.store.engine import Store
from service.store.revision import read_revision
from tests.pricing.cards import NOON, card, usd
from tests.support.audit import TESTER, TRAIL, audited

LATER = NOON + timedelta(hours=1)
SOME = tuple(one for one in import_genai_prices() if one.provider == "groq")


def version(cards: tuple[PriceCard, ...], name: str) -> tuple[PriceCard, ...]:
    """The same prices as another version of the package would bring them."""
    return tuple(
        replace(one, id=one.id.replace(one.source_version, name), source_version=name) for one in cards
    )


def upkeep(now: datetime) -> PriceUpkeep:
    return PriceUpkeep(TRAIL, now=lambda: now)


def revision(store: Store) -> int:
    with store.read() as tx:
        return read_revision(tx)


def test_only_what_changes_something_is_heard_of(store: Store) -> None:
    with store.write() as tx:
        first = upkeep(NOON).set(tx, [card()], by=TESTER)
    assert (len(first.added), len(first.kept), len(first.replaced)) == (1, 0, 0)
    assert revision(store) == 1
    with store.write() as tx:
        again = upkeep(NOON + timedelta(hours=1)).set(tx, [card()], by=TESTER)
    assert (again.added, again.kept) == ((), first.added)
    assert revision(store) == 1
    with store.write() as tx:
        upkeep(NOON).end(tx, first.added[0].id, at=NOON, by=TESTER)
    assert revision(store) == 2


def test_the_price_before_ends_only_for_the_same_place(store: Store) -> None:
    others = [
        card(scope="project", scope_id="p"),
        card(provider=None),
        card(model="gpt-4o-mini"),
        card(effective_from=NOON + timedelta(days=9)),
        card(effective_to=NOON - timedelta(days=9)),
    ]
    with store.write() as tx:
        first = upkeep(NOON).set(tx, [card(), *others], by=TESTER)
    later = NOON + timedelta(hours=1)
    with store.write() as tx:
        second = upkeep(later).set(tx, [card(usd(input="3", output="12"))], by=TESTER)
    assert [one.id for one in second.replaced] == [first.added[0].id]
    assert second.replaced[0].effective_to == later
    with store.read() as tx:
        ended = [one for one in list_overrides(tx) if one.effective_to == later]
        book = load_book(tx)
    assert len(ended) == 1
    for at in (NOON - timedelta(days=900), NOON, later + timedelta(days=900)):
        found = book.resolve(provider="openai", model="gpt-4o", at=at)
        assert found is not None
        if at < NOON + timedelta(days=9):
            assert found.id == second.added[0].id


def test_an_import_says_what_is_new_and_changed(store: Store) -> None:
    with store.write() as tx:
        first = upkeep(NOON).import_data(tx, version(SOME, "1.0"), by=TESTER)
    assert (first.before, first.version, first.in_use) == (None, "1.0", "1.0")
    assert (first.new, first.changed, first.unchanged, first.gone) == (len(SOME), 0, 0, 0)
    dearer = replace(SOME[0], rates=usd(input="999", output="999"))
    renamed = replace(SOME[1], model="another", id=f"another#{SOME[1].source_version}")
    with store.write() as tx:
        second = upkeep(NOON + timedelta(days=1)).import_data(
            tx, version((dearer, renamed, *SOME[2:]), "1.1"), by=TESTER
        )
    assert (second.before, second.in_use) == ("1.0", "1.1")
    assert (second.new, second.changed, second.unchanged, second.gone) == (1, 1, len(SOME) - 2, 1)
    assert revision(store) == 2
    with store.read() as tx:
        assert {one.source_version for one in load_book(tx).cards} == {"1.1"}


def test_the_same_import_again_changes_nothing(store: Store) -> None:
    for _ in range(2):
        with store.write() as tx:
            result = upkeep(NOON).import_data(tx, SOME, by=TESTER)
    assert (result.new, result.changed, result.unchanged) == (0, 0, len(SOME))
    assert revision(store) == 1


def test_an_older_import_does_not_take_the_place_of_a_newer(store: Store) -> None:
    for number, name in enumerate(("1.0", "1.1", "1.0")):
        with store.write() as tx:
            result = upkeep(NOON + timedelta(days=number)).import_data(tx, version(SOME, name), by=TESTER)
    assert (result.version, result.in_use) == ("1.0", "1.1")


def test_prices_are_found_by_what_they_are(store: Store) -> None:
    with store.write() as tx:
        upkeep(NOON).import_data(tx, version(SOME, "1.0"), by=TESTER)
        upkeep(NOON + timedelta(days=1)).import_data(tx, version(SOME, "1.1"), by=TESTER)
        (own,) = upkeep(NOON).set(tx, [card(model="50%_off", provider="bedrock")], by=TESTER).added

    def found(**wanted: object) -> list[str]:
        with store.read() as tx:
            return [one.card.id for one in list_prices(tx, PriceFilter(**wanted), limit=10_000)]  # type: ignore[arg-type]

    assert len(found()) == 2 * len(SOME) + 1
    assert len(found(holding_at=NOON)) <= len(SOME) + 1
    assert found(model="50%_*") == found(model="50%_OFF") == [own.id]
    assert found(model="50x_off") == found(model="50%xoff") == []
    assert found(provider="bedrock") == [own.id]
    assert found(scope="global") == found(source="override") == [own.id]
    with store.read() as tx:
        old = get_price(tx, version(SOME[:1], "1.0")[0].id)
    assert old.status(now=NOON) == "replaced"
    assert old.fields(now=NOON)["source_version"] == "1.0"


def test_a_card_without_rates_can_be_listed(store: Store) -> None:
    with store.write() as tx:
        (added,) = upkeep(NOON).set(tx, [card(NO_RATES)], by=TESTER).added
    with store.read() as tx:
        assert get_price(tx, added.id).fields(now=NOON)["model"] == "gpt-4o"


def test_setting_prices_is_audited_price_by_price(store: Store) -> None:
    with store.write() as tx:
        first = upkeep(NOON).set(tx, [card(), card(model="gpt-4o-mini")], by=TESTER).added
        second = upkeep(LATER).set(
            tx, [card(usd(input="3", output="12")), card(model="gpt-4o-mini")], by=TESTER
        )
    assert [(one.action, one.target.id, one.before, one.after) for one in audited(store)] == [
        ("price.set", first[0].id, None, price_fields(first[0])),
        ("price.set", first[1].id, None, price_fields(first[1])),
        ("price.set", second.added[0].id, None, price_fields(second.added[0])),
        ("price.end", first[0].id, {"effective_to": None}, {"effective_to": shown(LATER)}),
    ]
    assert {(one.actor, one.target.kind) for one in audited(store)} == {(TESTER, "price")}


def test_ending_a_price_is_audited(store: Store) -> None:
    with store.write() as tx:
        (added,) = upkeep(NOON).set(tx, [card()], by=TESTER).added
        upkeep(NOON).end(tx, added.id, at=LATER, by=TESTER)
        with pytest.raises(ConflictError):
            upkeep(NOON).end(tx, added.id, at=LATER, by=TESTER)
    (ended,) = audited(store, "price.end")
    assert (ended.target.id, ended.before, ended.after) == (
        added.id,
        {"effective_to": None},
        {"effective_to": shown(LATER)},
    )


def test_an_import_is_audited_in_one_entry(store: Store) -> None:
    for name in ("1.0", "1.1", "1.1"):
        with store.write() as tx:
            upkeep(NOON).import_data(tx, version(SOME, name), by=TESTER)
    one, other = audited(store)
    assert (one.action, one.target.id, one.before) == ("price.import", "genai-prices 1.0", {"version": None})
    assert one.after is not None
    assert (one.after["version"], one.after["new"]) == ("1.0", len(SOME))
    assert (other.target.id, other.before) == ("genai-prices 1.1", {"version": "1.0"})


def test_a_thousand_prices_of_a_file_are_one_chain(store: Store) -> None:
    cards = [card(model=f"model-{number}") for number in range(1_000)]
    with store.write() as tx:
        upkeep(NOON).set(tx, cards, by=TESTER)
    assert len(audited(store, "price.set")) == 1_000


def shown(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")
