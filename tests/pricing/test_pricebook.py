from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.pricing.card import ModelMatch, PriceCard, Rates
from service.pricing.pricebook import CACHE_SIZE, PriceBook
from tests.pricing.cards import NOON, card


def resolved(cards: list[PriceCard], **question: Any) -> str | None:
    asked: dict[str, Any] = {"provider": "openai", "model": "gpt-4o", "at": NOON} | question
    found = PriceBook(cards).resolve(**asked)
    return found.id if found else None


def imported(id_: str, **fields: Any) -> PriceCard:
    return card(id=id_, source="genai-prices", scope="imported", **fields)


SCOPES = [
    card(id="key", scope="key", scope_id="k1"),
    card(id="project", scope="project", scope_id="p1"),
    card(id="upstream", scope="upstream", scope_id="u1"),
    card(id="global"),
    imported("imported"),
]
EVERYWHERE = {"key_id": "k1", "project": "p1", "upstream": "u1"}


@pytest.mark.parametrize("first", range(len(SCOPES)), ids=[one.id for one in SCOPES])
def test_the_nearest_scope_wins(first: int) -> None:
    assert resolved(SCOPES[first:], **EVERYWHERE) == SCOPES[first].id
    assert resolved(SCOPES[first:][::-1], **EVERYWHERE) == SCOPES[first].id


def test_a_scope_of_somebody_else_does_not_count() -> None:
    assert resolved(SCOPES, key_id="k2", project="p2", upstream="u2") == "global"
    assert resolved(SCOPES) == "global"
    assert resolved(SCOPES[:3], key_id="p1", project="u1", upstream="k1") is None


EXACT = imported("exact", match=ModelMatch(exact=("gpt-4o", "gpt-4o-mini")))
ALIAS = imported("alias", model="gpt-4o-2024", match=ModelMatch(exact=("gpt-4o",)))
LONG_PREFIX = imported("long prefix", model="x", match=ModelMatch(prefixes=("gpt-", "gpt-4")))
PREFIX = imported("prefix", model="x", match=ModelMatch(prefixes=("gpt-",)))
LONG_PART = imported("long part", model="x", match=ModelMatch(contains=("pt-4",)))
PATTERN = imported("pattern", model="x", match=ModelMatch(patterns=("^gp",)))
MATCHES = [EXACT, ALIAS, LONG_PREFIX, PREFIX, LONG_PART, PATTERN]


@pytest.mark.parametrize("first", range(len(MATCHES)), ids=[one.id for one in MATCHES])
def test_the_closest_match_wins_exact_alias_prefix_pattern_and_the_longest_of_a_kind(first: int) -> None:
    assert resolved(MATCHES[first:]) == MATCHES[first].id
    assert resolved(MATCHES[first:][::-1]) == MATCHES[first].id


def test_a_closer_match_goes_before_a_newer_one() -> None:
    newer = imported("newer", model="x", match=ModelMatch(prefixes=("gpt-",)), effective_from=NOON)

    assert resolved([LONG_PREFIX, newer]) == "long prefix"
    assert resolved([PREFIX, newer]) == "newer"


def test_case_and_spaces_around_a_model_do_not_matter() -> None:
    assert resolved([EXACT], model=" GPT-4o ") == "exact"


def test_a_model_nobody_prices_has_no_card() -> None:
    assert resolved(MATCHES, model="llama") is None
    assert resolved([]) is None


DAY = datetime(2026, 8, 17, tzinfo=UTC)
DATED = [
    imported("first", effective_to=DAY),
    imported("second", effective_from=DAY, effective_to=DAY + timedelta(days=30)),
    imported("third", effective_from=DAY + timedelta(days=30)),
]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (DAY - timedelta(microseconds=1), "first"),
        (DAY, "second"),
        (DAY + timedelta(days=30, microseconds=-1), "second"),
        (DAY + timedelta(days=30), "third"),
    ],
)
def test_the_price_at_the_time_of_the_request_counts(at: datetime, expected: str) -> None:
    assert resolved(DATED, at=at) == expected
    assert resolved(DATED[::-1], at=at) == expected


def test_of_open_ended_cards_the_latest_start_counts_then_the_one_added_last() -> None:
    open_ended = [card(id="old"), card(id="new", effective_from=DAY), card(id="newer", effective_from=DAY)]

    assert resolved(open_ended) == "newer"
    assert resolved(open_ended, at=DAY - timedelta(days=1)) == "old"
    assert resolved([open_ended[2], open_ended[1], open_ended[0]]) == "new"


def test_before_an_override_begins_the_next_scope_counts() -> None:
    assert resolved([card(id="later", effective_from=NOON + timedelta(days=1)), imported("now")]) == "now"


def test_an_override_may_hold_for_any_provider() -> None:
    assert resolved([card(id="any", provider=None)], provider="my-own-vllm") == "any"
    assert resolved([card(id="any", provider=None)], provider="auto") == "any"
    assert resolved([card(id="any", provider="auto")], provider="my-own-vllm") == "any"


def test_a_price_of_one_provider_is_not_charged_for_another() -> None:
    assert resolved([card(id="own"), imported("import")], provider="my-own-vllm") is None
    assert resolved([card(id="own"), imported("import")], provider="groq") is None


def test_a_reseller_without_a_price_of_its_own_has_its_makers_price() -> None:
    own = imported("own", provider="azure", match=ModelMatch(prefixes=("gpt-4",)))

    assert resolved([imported("maker")], provider="azure") == "maker"
    assert resolved([imported("maker"), own], provider="azure") == "own"
    assert resolved([card(id="override")], provider="azure") is None


def test_provider_names_of_upstreams_are_understood_on_both_sides() -> None:
    assert (
        resolved([imported("grok", provider="x-ai", model="grok-4")], provider="xai", model="grok-4")
        == "grok"
    )
    assert (
        resolved([card(id="grok", provider="xai", model="grok-4")], provider="x-ai", model="grok-4") == "grok"
    )


def test_without_a_provider_the_models_maker_comes_first() -> None:
    cards = [imported("copy", provider="avian"), imported("maker")]

    for question in (None, "auto"):
        assert resolved(cards, provider=question) == "maker"
        assert resolved(cards[:1], provider=question) == "copy"


def test_without_a_provider_a_prefix_of_the_model_names_it() -> None:
    cards = [
        imported(
            "reseller", provider="openrouter", match=ModelMatch(exact=("groq/llama",)), model="groq/llama"
        ),
        imported("own", provider="groq", model="llama"),
    ]

    assert resolved(cards, provider="auto", model="groq/llama") == "own"
    assert resolved(cards, provider="auto", model="avian/llama") is None
    assert resolved(cards, provider="auto", model="auto/llama") is None


def test_without_a_provider_an_override_for_the_maker_comes_first() -> None:
    cards = [card(id="maker"), card(id="other", provider="avian")]

    assert resolved(cards, provider="auto") == "maker"
    assert resolved(cards[1:], provider="auto") == "other"


def test_a_card_without_any_rate_is_no_price_and_hides_looser_matches() -> None:
    loose = imported("loose", match=ModelMatch(prefixes=("gpt-",)))

    assert resolved([imported("empty", rates=Rates()), loose]) is None
    assert resolved([loose]) == "loose"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-5.2-20251211", "dated"),
        ("gpt-5.2-2025-12-11", "dated"),
        ("gpt-5.2-20251211:free", None),
        ("gpt-5.2-20251399", None),
        ("gpt-5.2-20250230", None),
    ],
)
def test_a_compact_date_in_a_models_name_is_read(model: str, expected: str | None) -> None:
    dated = imported("dated", model="gpt-5.2", match=ModelMatch(exact=("gpt-5.2-2025-12-11",)))

    assert resolved([dated], model=model) == expected


def test_a_model_name_longer_than_any_model_has_no_price() -> None:
    assert resolved([imported("all", match=ModelMatch(prefixes=("g",)))], model="g" * 257) is None
    assert resolved([imported("all", match=ModelMatch(prefixes=("g",)))], model="g" * 256) == "all"


def test_the_lookup_cache_is_bounded_and_answers_alike() -> None:
    book = PriceBook(MATCHES)
    for number in range(CACHE_SIZE + 10):
        found = book.resolve(provider="openai", model=f"gpt-{number}", at=NOON, key_id=f"key-{number}")
        assert found is not None

    assert len(book._cache) <= CACHE_SIZE
    assert resolved(MATCHES) == "exact"


def test_keys_without_prices_of_their_own_share_a_cache_entry() -> None:
    book = PriceBook(SCOPES)
    for number in range(100):
        book.resolve(
            provider="openai", model="gpt-4o", at=NOON, key_id=f"key-{number}", project=f"p-{number}"
        )

    assert len(book._cache) == 1


def test_a_book_is_not_changed_by_what_becomes_of_the_list_it_was_made_from() -> None:
    cards = [card()]
    book = PriceBook(cards)
    cards.clear()

    assert len(book.cards) == 1
    assert book.resolve(provider="openai", model="gpt-4o", at=NOON) is not None
