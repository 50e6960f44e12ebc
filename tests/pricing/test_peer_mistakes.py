"""What other gateways got wrong about the price of a request, with the numbers of their users' reports."""

from datetime import UTC, datetime

import pytest

from service.errors import InvalidInputError
from service.pricing.card import PriceCard
from service.pricing.genai import import_genai_prices
from service.pricing.money import parse_usd
from service.pricing.pricebook import PriceBook
from service.pricing.rating import Rating, rate
from service.usage.tokens import TokenUsage
from tests.pricing.cards import card, usd, used

AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook(import_genai_prices())


def rated(
    book: PriceBook, provider: str, model: str, usage: TokenUsage, *, tier: str | None = None
) -> Rating:
    return rate(usage, book.resolve(provider=provider, model=model, at=AT), at=AT, service_tier=tier)


def test_litellm_6215_cached_tokens_are_not_charged_as_uncached_too() -> None:
    priced = card(usd(input="2.50", cache_read_input="1.25", output="10"))

    rating = rate(used(2006, 300, cache_read_input_tokens=1920, reasoning_output_tokens=0), priced, at=AT)

    assert rating.cost_nanos == 86 * 2_500 + 1920 * 1_250 + 300 * 10_000


def test_litellm_14849_gemini_cache_hits_are_charged_once() -> None:
    """Reported 0.7642 USD where 0.1849 was right."""
    priced = card(usd(input="1.25", cache_read_input="0.625", output="10"))

    rating = rate(used(262_960, 1_744, cache_read_input_tokens=257_955), priced, at=AT)

    assert rating.cost_nanos == 184_918_125


def test_litellm_19680_xai_text_tokens_that_include_cached_ones_are_charged_once(book: PriceBook) -> None:
    rating = rated(book, "xai", "grok-4", used(616, 10, cache_read_input_tokens=615))

    assert rating.cost_nanos == 1 * 3_000 + 615 * 750 + 10 * 15_000


def test_litellm_11364_anthropic_cache_reads_and_writes_have_their_own_rates(book: PriceBook) -> None:
    """Reported 0.047 USD."""
    usage = used(
        98_805,
        5_120,
        cache_read_input_tokens=66_360,
        cache_write_input_tokens=32_435,
        reasoning_output_tokens=1_710,
    )

    rating = rated(book, "bedrock", "eu.anthropic.claude-opus-4-5-20251101-v1:0", usage)

    assert rating.cost_nanos == 400_343_625


def test_cliproxyapi_39_cache_writes_are_not_charged_as_input_too(book: PriceBook) -> None:
    rating = rated(book, "openai", "gpt-5.6-sol", used(4_020, 10, cache_write_input_tokens=4_012))

    assert rating.cost_nanos == 8 * 4_000 + 4_012 * 5_000 + 10 * 20_000


def test_new_api_6353_cache_writes_without_their_lifetime_are_charged(book: PriceBook) -> None:
    rating = rated(book, "anthropic", "claude-opus-4-5", used(1_000, cache_write_input_tokens=900))

    assert {line.meter: line.quantity for line in rating.lines} == {"input": 100, "cache_write_input": 900}


def test_new_api_5003_more_cached_than_input_never_makes_a_cost_negative() -> None:
    """Reported -0.008907: minus 16,638 input tokens."""
    priced = card(usd(input="1", cache_read_input="0.1", output="5"))

    rating = rate(used(56_322, 87, cache_read_input_tokens=72_960), priced, at=AT)

    assert rating.cost_nanos == 56_322 * 1_000 + 87 * 5_000
    assert rating.cost_status == "assumed"


def test_new_api_7229_cached_images_are_charged_once(book: PriceBook) -> None:
    """Reported 0.06487545 USD where 0.03187545 was right."""
    usage = used(24_643, 3_110, cache_read_input_tokens=24_503, image_input_tokens=22_000)

    rating = rated(book, "google", "gemini-3.5-flash", usage)

    assert rating.cost_nanos == 31_875_450
    assert rating.cost_status == "priced"


def test_litellm_14285_images_in_a_prompt_are_charged(book: PriceBook) -> None:
    """Reported: 4 text tokens charged, 258 image tokens not."""
    text_only = rated(book, "google", "gemini-2.0-flash", used(262))

    assert (
        rated(book, "google", "gemini-2.0-flash", used(262, image_input_tokens=258)).cost_nanos
        == text_only.cost_nanos
    )


def test_litellm_17410_image_tokens_of_an_answer_are_not_text(book: PriceBook) -> None:
    usage = used(10, 1_345, reasoning_output_tokens=225, image_output_tokens=1_120)

    rating = rated(book, "google", "gemini-3-pro-image-preview", usage)

    assert rating.cost_nanos == 10 * 2_000 + 225 * 12_000 + 1_120 * 120_000
    assert rating.cost_status == "priced"


@pytest.mark.parametrize(
    ("model", "usage", "nanos"),
    [
        ("gpt-5.4-pro", used(14_746, 1_944, reasoning_output_tokens=1_360), 792_300_000),  # opencode 17566
        ("gpt-5-mini", used(2_746, 197, cache_read_input_tokens=2_208, reasoning_output_tokens=64), 583_700),
    ],
)
def test_reasoning_is_part_of_output_and_charged_once(
    book: PriceBook, model: str, usage: TokenUsage, nanos: int
) -> None:  # fmt: skip
    """Also litellm 10567 (not charged) and logfire 1316."""
    assert rated(book, "openai", model, usage).cost_nanos == nanos


@pytest.mark.parametrize(
    ("model", "usage", "nanos"),
    [
        ("gpt-4o-mini", used(9, 2), 4_250),
        ("gpt-4o", used(9, 1), 55_250),
        ("gpt-4.1", used(9, 1), 45_500),
        ("gpt-4.1-mini", used(9, 1), 9_100),
    ],
)
def test_litellm_37046_the_priority_tier_has_its_own_price(
    book: PriceBook, model: str, usage: TokenUsage, nanos: int
) -> None:  # fmt: skip
    assert rated(book, "openai", model, usage, tier="priority").cost_nanos == nanos


def test_litellm_35913_a_model_without_a_price_is_not_free(book: PriceBook) -> None:
    rating = rated(book, "snowflake", "claude-opus-4-7", used(37_400_000))

    assert rating == Rating(None, "unpriced", None, ())


def test_litellm_30346_a_price_that_has_tiers_is_not_zero() -> None:
    tiered = card(
        usd(input={0: "0.8", 32_001: "1.2", 128_001: "2.4"}, output={0: "8", 32_001: "12", 128_001: "24"})
    )

    assert rate(used(1_000, 100), tiered, at=AT).cost_nanos == 1_000 * 800 + 100 * 8_000
    assert rate(used(130_000, 100), tiered, at=AT).cost_nanos == 130_000 * 2_400 + 100 * 24_000


def test_litellm_9535_audio_has_its_own_price(book: PriceBook) -> None:
    rating = rated(book, "google", "gemini-2.5-flash", used(616, 10, audio_input_tokens=400))

    assert rating.cost_nanos == 216 * 300 + 400 * 1_000 + 10 * 2_500


def test_litellm_37992_an_explicit_zero_stays_zero(book: PriceBook) -> None:
    assert rated(book, "openai", "gpt-4o", used(9, 0)).cost_nanos == 9 * 2_500


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-1", "1e400"])
def test_litellm_a_limit_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="limit_usd"):
        parse_usd(text, field="limit_usd")


def test_genai_prices_571_the_peak_price_holds_for_its_hours_only(book: PriceBook) -> None:
    found: list[PriceCard | None] = [
        book.resolve(provider="deepseek", model="deepseek-v4-pro", at=AT.replace(hour=hour))
        for hour in range(24)
    ]
    costs = [
        rate(used(1_000), priced, at=AT.replace(hour=hour)).cost_nanos for hour, priced in enumerate(found)
    ]

    assert costs == [1_320_000 if 1 <= hour < 4 or 6 <= hour < 10 else 660_000 for hour in range(24)]
