"""The package's own calculator is the oracle: same models, same usage, same cost to half a nano-dollar a line."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from genai_prices import Usage
from genai_prices.data import providers
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    TimeOfDateConstraint,
)

from service.pricing.card import PriceCard, Rates, flat
from service.pricing.genai import TIER_OF_CONTEXT, cards_of, import_genai_prices
from service.pricing.pricebook import PriceBook
from service.pricing.rating import rate
from service.usage.tokens import TokenUsage
from tests.pricing.cards import used

MODELS: dict[tuple[str | None, str], tuple[Provider, ModelInfo]] = {
    (provider.id, model.id): (provider, model) for provider in providers for model in provider.models
}
USAGES_PER_CARD = 3
HALF_NANO = Decimal("0.5e-9")

# Prices that are float artefacts in the package: rounded to a whole pico-USD per token, at most half a pico off.
ROUNDED = {
    ("huggingface_together", "Qwen/Qwen3-VL-8B-Instruct"),
    ("huggingface_together", "deepseek-ai/DeepSeek-V4-Flash-0731"),
    ("huggingface_together", "meta-llama/Llama-3.3-70B-Instruct"),
    *(
        ("openrouter", f"google/gemini-{model}")
        for model in (
            "2.5-flash", "2.5-flash-image", "2.5-flash-lite", "2.5-flash-lite:batch", "2.5-flash:batch",
            "3-flash-preview", "3-flash-preview:batch", "3.1-flash-lite", "3.1-flash-lite:batch", "3.5-flash",
            "3.5-flash-lite", "3.5-flash-lite:batch", "3.5-flash:batch", "3.6-flash", "3.6-flash:batch", "3.7-flash",
            "3.7-flash:batch", "3.8-flash", "3.8-flash:batch",
        )
    ),
    ("openrouter", "~google/gemini-flash-latest"),
}  # fmt: skip


@pytest.fixture(scope="module")
def cards() -> tuple[PriceCard, ...]:
    return import_genai_prices()


@pytest.fixture(scope="module")
def book(cards: tuple[PriceCard, ...]) -> PriceBook:
    return PriceBook(cards)


def oracle(
    card: PriceCard, usage: TokenUsage, *, at: datetime, context: dict[str, str] | None = None
) -> Decimal:
    provider, model = MODELS[card.provider, card.model]
    counts = {
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_input_tokens,
        "cache_write_tokens": usage.cache_write_input_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_input_tokens,
        "input_audio_tokens": usage.audio_input_tokens,
        "cache_audio_read_tokens": usage.cache_read_audio_input_tokens or 0,
        "cache_image_read_tokens": 0,  # the usages below have no cached image
        "input_image_tokens": usage.image_input_tokens,
        "input_video_tokens": usage.video_input_tokens,
        "output_tokens": usage.output_tokens,
        "output_reasoning_tokens": usage.reasoning_output_tokens,
        "output_audio_tokens": usage.audio_output_tokens,
        "output_image_tokens": usage.image_output_tokens,
        "web_searches": usage.web_searches,
    }
    calculated = model.calc_price(
        Usage(**counts), provider, genai_request_timestamp=at, price_context=context
    )
    return calculated.total_price


def usages(card: PriceCard, random: Random) -> Iterator[TokenUsage]:
    """Consistent counts; a modality only where the card prices it (see the tests below for the others)."""
    rates = card.rates
    thresholds = [step.from_input_tokens for step in rates.input or ()][1:] or [1000]
    for number in range(USAGES_PER_CARD):
        total = (
            random.choice(thresholds) + random.randint(-1, 1)
            if number == 0
            else random.randint(0, 10 ** (2 + 3 * number))
        )
        output = random.randint(0, 5000)
        read = random.randint(0, total)
        write = random.randint(0, total - read)
        rest = total - read - write
        audio = random.randint(0, rest) if rates.audio_input is not None else None
        cached_audio = (
            random.randint(0, read)
            if audio is not None and rates.cache_read_audio_input is not None
            else None
        )
        image = random.randint(0, rest - (audio or 0)) if rates.image_input is not None else None
        reasoning = random.randint(0, output)
        audio_output = random.randint(0, output - reasoning) if rates.audio_output is not None else None
        yield used(
            total,
            output if rates.output is not None else 0,
            cache_read_input_tokens=read,
            cache_write_input_tokens=write,
            cache_write_1h_input_tokens=random.randint(0, write)
            if rates.cache_write_1h_input is not None
            else None,
            audio_input_tokens=None if audio is None else audio + (cached_audio or 0),
            cache_read_audio_input_tokens=cached_audio,
            image_input_tokens=image,
            reasoning_output_tokens=reasoning if rates.output is not None else None,
            audio_output_tokens=audio_output if rates.output is not None else None,
            web_searches=random.randint(0, 3) if rates.web_search is not None else None,
        )


def instants(card: PriceCard) -> Iterator[datetime]:
    """One in the card's span of time, and one in each of its hours."""
    start = card.effective_from or (card.effective_to or datetime(2026, 1, 2, tzinfo=UTC)) - timedelta(days=1)
    yield start
    for window in card.windows:
        yield start + timedelta(minutes=window.start_minute)
        yield start + timedelta(minutes=window.end_minute)


def assert_agrees(card: PriceCard, usage: TokenUsage, *, at: datetime, tier: str | None = None) -> None:
    context = {name: value for (name, value), ours in TIER_OF_CONTEXT.items() if ours == tier}
    rating = rate(usage, card, at=at, service_tier=tier)
    assert rating.cost_nanos is not None
    slack = HALF_NANO * len(rating.lines)
    if (card.provider, card.model) in ROUNDED:
        slack += Decimal(usage.input_tokens + usage.output_tokens) * Decimal("0.5e-12")

    difference = abs(Decimal(rating.cost_nanos) / 10**9 - oracle(card, usage, at=at, context=context))

    assert difference <= slack, (card.id, usage, at, tier, rating)


def test_every_price_of_the_package_costs_what_the_package_says(cards: tuple[PriceCard, ...]) -> None:
    compared = 0
    for card in cards:
        if card.rates == Rates():
            continue  # see test_what_the_package_does_not_price_by_the_token_is_unpriced
        random = Random(card.id)
        for at in instants(card):
            assert card.effective(at)
            for usage in usages(card, random):
                if rate(usage, card, at=at).cost_nanos is None:
                    assert card.rates.input is None  # nothing but output has a price, and there was none
                    continue
                assert_agrees(card, usage, at=at)
                compared += 1
    assert compared > 7_000


def test_every_variant_of_the_package_costs_what_the_package_says(cards: tuple[PriceCard, ...]) -> None:
    compared = 0
    for card in cards:
        random = Random(card.id)
        for variant in card.variants:
            for at, usage in zip(instants(card), usages(card, random), strict=False):
                assert_agrees(card, usage, at=at, tier=variant.tier)
                compared += 1
    assert compared > 200


def test_only_float_artefacts_are_rounded() -> None:
    """The list above is complete and has nothing in it that need not be."""
    rounded = set()
    for provider, model in MODELS.values():
        conditional: Any = model.prices if isinstance(model.prices, list) else [model]
        for one in conditional:
            for price in vars(one.prices).values():
                values = [] if price is None else [getattr(price, "base", price)]
                values += [tier.price for tier in getattr(price, "tiers", [])]
                if any(value != round(value, 6) for value in values):
                    rounded.add((provider.id, model.id))
    assert rounded == ROUNDED


def test_cards_of_one_model_follow_each_other_without_gap_or_overlap(cards: tuple[PriceCard, ...]) -> None:
    by_model: dict[tuple[str | None, str], list[PriceCard]] = {}
    for card in cards:
        by_model.setdefault((card.provider, card.model), []).append(card)

    assert by_model.keys() == MODELS.keys()
    for row in by_model.values():
        assert row[0].effective_from is None
        assert row[-1].effective_to is None
        for earlier, later in pairwise(row):
            assert earlier.effective_to == later.effective_from is not None


def test_ids_are_unique_and_fit_their_column(cards: tuple[PriceCard, ...]) -> None:
    assert len({card.id for card in cards}) == len(cards)
    assert max(len(card.id) for card in cards) <= 80
    assert import_genai_prices() == cards


def test_what_the_package_does_not_price_by_the_token_is_unpriced(cards: tuple[PriceCard, ...]) -> None:
    """The package says 0 for them; "not listed" and "billed by the hour" are not zero to us."""
    unpriced = {(card.provider, card.model) for card in cards if card.rates == Rates()}

    assert ("openai", "whisper-1") in unpriced
    assert ("mistral", "mistral-ocr-latest") in unpriced
    assert ("github-copilot", "gpt-4o") in unpriced
    for card in cards:
        if card.rates == Rates():
            assert rate(used(10, 10), card, at=datetime(2026, 1, 1, tzinfo=UTC)).cost_nanos is None


def test_models_named_free_are_free(cards: tuple[PriceCard, ...]) -> None:
    free = [card for card in cards if card.model.endswith(":free")]

    assert len(free) > 100
    for card in free:
        rating = rate(used(10, 10, cache_read_input_tokens=0), card, at=datetime(2026, 1, 1, tzinfo=UTC))
        assert (rating.cost_nanos, rating.cost_status) == (0, "free")


def test_audio_without_a_price_is_partial_where_the_package_takes_the_text_price(book: PriceBook) -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    card = book.resolve(provider="openai", model="gpt-4o-audio-preview", at=at)
    assert card is not None
    usage = used(100, 10, audio_input_tokens=60)

    rating = rate(usage, card, at=at)

    assert rating.cost_status == "partial"
    assert rating.cost_nanos is not None
    assert Decimal(rating.cost_nanos) / 10**9 < oracle(card, usage, at=at)


def _names(clause: object) -> Iterator[str]:
    match clause:
        case ClauseOr():
            for part in clause.or_:
                yield from _names(part)
        case ClauseEquals():
            yield clause.equals
        case ClauseStartsWith():
            yield clause.starts_with
            yield clause.starts_with + "-2027-01-01"
        case ClauseContains():
            yield f"eu.{clause.contains}-x"


def test_names_lead_to_the_model_that_the_package_finds(book: PriceBook) -> None:
    """To the closest match, which is always the first in the package's list; a card without rates is no price."""
    unpriced = {card.model for card in book.cards if card.rates == Rates()}
    at = datetime(2026, 11, 22, tzinfo=UTC)
    compared = 0
    for provider in providers:
        for name in dict.fromkeys(
            name for model in provider.models for name in (model.id, *_names(model.match))
        ):
            theirs = provider.find_model(name, all_providers=providers)
            ours = book.resolve(provider=provider.id, model=name, at=at)
            expected = theirs.id if theirs else None
            assert (ours.model if ours else None) == expected or (ours is None and expected in unpriced), name
            compared += ours is not None
    assert compared > 3_000


@pytest.mark.parametrize(
    ("day", "clock", "nanos"),
    [
        ("2026-08-16", "12:00", 140_000), ("2026-08-17", "00:00", 220_000), ("2026-09-09", "23:59", 220_000),
        ("2026-09-10", "00:59", 150_000), ("2026-09-10", "01:00", 300_000), ("2026-09-10", "03:59", 300_000),
        ("2026-09-10", "04:00", 150_000), ("2026-09-10", "06:00", 300_000), ("2026-09-10", "10:00", 150_000),
    ],
)  # fmt: skip
def test_dates_and_hours_of_deepseek(book: PriceBook, day: str, clock: str, nanos: int) -> None:
    at = datetime.fromisoformat(f"{day}T{clock}+00:00")
    card = book.resolve(provider="deepseek", model="deepseek-v4-flash", at=at)

    assert rate(used(1_000_000), card, at=at).cost_nanos == nanos * 1000


def test_xai_takes_the_higher_price_at_its_threshold_and_others_above_it(
    cards: tuple[PriceCard, ...],
) -> None:
    starts = {
        (card.provider, step.from_input_tokens) for card in cards for step in (card.rates.input or ())[1:]
    }

    assert {start for provider, start in starts if provider == "x-ai"} == {200_000}
    assert {start for provider, start in starts if provider == "groq"} == set()
    assert {start for provider, start in starts if provider == "openai"} == {272_001}


MAKER = Provider(id="maker", name="Maker", api_pattern="https://maker.example")
START = datetime(2026, 1, 1, tzinfo=UTC)


def price(usd: int) -> ModelPrice:
    return ModelPrice(input_mtok=Decimal(usd))


def made(
    *prices: ConditionalPrice, match: Any = None, variants: list[PriceVariant] | None = None
) -> list[PriceCard]:
    model = ModelInfo(id="m", match=match or ClauseEquals("m"), prices=list(prices), price_variants=variants)
    return list(cards_of(model, MAKER, "1"))


CONDITIONAL = [
    [
        ConditionalPrice(prices=price(1)),
        ConditionalPrice(StartDateConstraint(date(2026, 5, 1)), prices=price(2)),
    ],
    [
        ConditionalPrice(StartDateConstraint(date(2026, 5, 1)), prices=price(1)),
        ConditionalPrice(StartDateConstraint(date(2026, 7, 1)), prices=price(2)),
    ],
    [
        ConditionalPrice(StartDateConstraint(date(2026, 7, 1)), prices=price(1)),
        ConditionalPrice(prices=price(2)),
    ],
    [
        ConditionalPrice(prices=price(1)),
        ConditionalPrice(TimeOfDateConstraint(time(23), time(2)), prices=price(2)),
        ConditionalPrice(TimeOfDateConstraint(time(1), time(4)), prices=price(3)),
    ],
    [
        ConditionalPrice(TimeOfDateConstraint(time(1), time(4)), prices=price(1)),
        ConditionalPrice(TimeOfDateConstraint(time(6), time(8)), prices=price(2)),
    ],
    [
        ConditionalPrice(TimeOfDateConstraint(time(1), time(4)), prices=price(1)),
        ConditionalPrice(StartDateConstraint(date(2026, 5, 1)), prices=price(2)),
    ],
]


@pytest.mark.parametrize("conditional", CONDITIONAL, ids=range(len(CONDITIONAL)))
def test_any_order_of_dates_and_hours_means_what_it_means_to_the_package(
    conditional: list[ConditionalPrice],
) -> None:
    model = ModelInfo(id="m", match=ClauseEquals("m"), prices=conditional)
    book = PriceBook(made(*conditional))
    for hours in range(0, 24 * 365, 25):
        at = START + timedelta(hours=hours)
        theirs = model.calc_price(Usage(input_tokens=10**6), MAKER, genai_request_timestamp=at).total_price

        ours = rate(used(10**6), book.resolve(provider="maker", model="m", at=at), at=at).cost_nanos

        assert ours == theirs * 10**9, at


def test_of_two_variants_for_one_tier_the_first_that_holds_counts_price_by_price() -> None:
    batch = {"processing": "batch"}
    card_before, card_after = made(
        ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(8), output_mtok=Decimal(8))),
        variants=[
            PriceVariant(batch, price(1), StartDateConstraint(date(2026, 5, 1))),
            PriceVariant(batch, ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(4))),
            PriceVariant({"route": "eu"}, price(9)),
            PriceVariant({"processing": "batch", "route": "eu"}, price(9)),
            PriceVariant({"service_tier": "default"}, ModelPrice()),
        ],
    )

    assert [(one.tier, one.rates.input, one.rates.output) for one in card_before.variants] == [
        ("batch", flat(2_000_000), flat(4_000_000))
    ]
    assert [(one.tier, one.rates.input, one.rates.output) for one in card_after.variants] == [
        ("batch", flat(1_000_000), flat(4_000_000))
    ]


@pytest.mark.parametrize(
    "match",
    [
        ClauseEndsWith("-Mini"),
        ClauseRegex("^gpt-[0-9]"),
        ClauseAnd([ClauseStartsWith("GPT"), ClauseContains("4"), ClauseEndsWith("mini")]),
        ClauseAnd([ClauseOr([ClauseEquals("gpt-4"), ClauseContains("5")]), ClauseRegex("^(?!.*tts)")]),
        ClauseOr([ClauseStartsWith("gpt-4"), ClauseAnd([ClauseContains("o"), ClauseContains("i")])]),
    ],
    ids=str,
)
def test_any_rule_matches_what_it_matches_in_the_package(match: Any) -> None:
    book = PriceBook(made(ConditionalPrice(prices=price(1)), match=match))
    for name in (
        "gpt-4",
        "gpt-4-mini",
        "GPT-5",
        "gpt-5-tts",
        "x-mini",
        "gpt-mini",
        "minio",
        "xgpt-4",
        "gpt-4x",
        "o1",
    ):
        found = book.resolve(provider="maker", model=name, at=START)

        assert (found is not None) == match.is_match(name.lower()), name


@pytest.mark.parametrize("clock", [time(1, 0, 30), time(1, tzinfo=timezone(timedelta(hours=2)))])
def test_hours_that_a_card_cannot_say_stop_the_import(clock: time) -> None:
    odd = ConditionalPrice(TimeOfDateConstraint(clock, time(4)), prices=price(2))

    with pytest.raises(ValueError, match="whole minutes in UTC"):
        made(ConditionalPrice(prices=price(1)), odd)


def test_a_long_name_still_has_an_id_of_its_own() -> None:
    models = [ModelInfo(id="m" * 100 + end, match=ClauseEquals("m"), prices=price(1)) for end in "ab"]
    first, second = (one for model in models for one in cards_of(model, MAKER, "1"))

    assert len(first.id) == len(second.id) == 80
    assert first.id != second.id
