"""Changes to the price book: what they say they did, and that relays hear of them."""

from datetime import timedelta

from msgspec.structs import replace

from service.pricing.card import NO_RATES, PriceCard
from service.pricing.catalog import list_overrides, load_book
from service.pricing.genai import import_genai_prices
from service.pricing.lookup import PriceFilter, get_price, list_prices
from service.pricing.upkeep import end_price, import_prices, set_prices
from service.store.engine import Store
from service.store.revision import read_revision
from tests.pricing.cards import NOON, card, usd

SOME = tuple(one for one in import_genai_prices() if one.provider == "groq")


def version(cards: tuple[PriceCard, ...], name: str) -> tuple[PriceCard, ...]:
    """The same prices as another version of the package would bring them."""
    return tuple(
        replace(one, id=one.id.replace(one.source_version, name), source_version=name) for one in cards
    )


def revision(store: Store) -> int:
    with store.read() as tx:
        return read_revision(tx)


def test_only_what_changes_something_is_heard_of(store: Store) -> None:
    with store.write() as tx:
        first = set_prices(tx, [card()], now=NOON)
    assert (len(first.added), len(first.kept), len(first.replaced)) == (1, 0, 0)
    assert revision(store) == 1
    with store.write() as tx:
        again = set_prices(tx, [card()], now=NOON + timedelta(hours=1))
    assert (again.added, again.kept) == ((), first.added)
    assert revision(store) == 1
    with store.write() as tx:
        end_price(tx, first.added[0].id, at=NOON)
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
        first = set_prices(tx, [card(), *others], now=NOON)
    later = NOON + timedelta(hours=1)
    with store.write() as tx:
        second = set_prices(tx, [card(usd(input="3", output="12"))], now=later)
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
        first = import_prices(tx, version(SOME, "1.0"), now=NOON)
    assert (first.before, first.version, first.in_use) == (None, "1.0", "1.0")
    assert (first.new, first.changed, first.unchanged, first.gone) == (len(SOME), 0, 0, 0)
    dearer = replace(SOME[0], rates=usd(input="999", output="999"))
    renamed = replace(SOME[1], model="another", id=f"another#{SOME[1].source_version}")
    with store.write() as tx:
        second = import_prices(tx, version((dearer, renamed, *SOME[2:]), "1.1"), now=NOON + timedelta(days=1))
    assert (second.before, second.in_use) == ("1.0", "1.1")
    assert (second.new, second.changed, second.unchanged, second.gone) == (1, 1, len(SOME) - 2, 1)
    assert revision(store) == 2
    with store.read() as tx:
        assert {one.source_version for one in load_book(tx).cards} == {"1.1"}


def test_the_same_import_again_changes_nothing(store: Store) -> None:
    for _ in range(2):
        with store.write() as tx:
            result = import_prices(tx, SOME, now=NOON)
    assert (result.new, result.changed, result.unchanged) == (0, 0, len(SOME))
    assert revision(store) == 1


def test_an_older_import_does_not_take_the_place_of_a_newer(store: Store) -> None:
    for number, name in enumerate(("1.0", "1.1", "1.0")):
        with store.write() as tx:
            result = import_prices(tx, version(SOME, name), now=NOON + timedelta(days=number))
    assert (result.version, result.in_use) == ("1.0", "1.1")


def test_prices_are_found_by_what_they_are(store: Store) -> None:
    with store.write() as tx:
        import_prices(tx, version(SOME, "1.0"), now=NOON)
        import_prices(tx, version(SOME, "1.1"), now=NOON + timedelta(days=1))
        (own,) = set_prices(tx, [card(model="50%_off", provider="bedrock")], now=NOON).added

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
        (added,) = set_prices(tx, [card(NO_RATES)], now=NOON).added
    with store.read() as tx:
        assert get_price(tx, added.id).fields(now=NOON)["model"] == "gpt-4o"
