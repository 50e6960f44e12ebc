import pytest

from service.pricing.card import Rates, TimeWindow, Variant
from service.pricing.images import with_images_at_text_rate
from service.pricing.rating import rate
from tests.pricing.cards import NOON, card, usd, used

TEXT = usd(input="2", cache_read_input="0.2", output="8")


def test_an_image_costs_what_text_costs_at_the_same_provider() -> None:
    priced = with_images_at_text_rate(card(TEXT))

    rating = rate(used(1000, image_input_tokens=900, cache_read_input_tokens=600), priced, at=NOON)

    assert [(line.meter, line.quantity, line.rate_picos) for line in rating.lines] == [
        ("cache_read_input", 100, 200_000),
        ("image_input", 400, 2_000_000),
        ("cache_read_image_input", 500, 200_000),
    ]
    assert rating.cost_status == "priced"


def test_hours_and_tiers_of_service_follow_their_own_text_rate() -> None:
    window = TimeWindow(start_minute=0, end_minute=60, rates=usd(input="4"))
    priced = with_images_at_text_rate(
        card(TEXT, windows=(window,), variants=(Variant(tier="batch", rates=usd(input="1")),))
    )

    assert priced.windows[0].rates.image_input == priced.windows[0].rates.input
    assert rate(used(10, image_input_tokens=10), priced, at=NOON, batch=True).cost_nanos == 10_000


def test_video_costs_what_text_costs_at_google_only() -> None:
    assert with_images_at_text_rate(card(TEXT, provider="google")).rates.video_input == TEXT.input
    assert with_images_at_text_rate(card(TEXT)).rates.video_input is None


@pytest.mark.parametrize("provider", ["groq", "openrouter", None])
def test_elsewhere_an_image_has_no_price_by_itself(provider: str | None) -> None:
    unchanged = card(TEXT, provider=provider)

    assert with_images_at_text_rate(unchanged) is unchanged


@pytest.mark.parametrize("meter", ["image_input", "image_output", "video_input"])
def test_a_model_with_a_price_for_images_keeps_exactly_that(meter: str) -> None:
    own = card(Rates(input=TEXT.input, output=TEXT.output, **{meter: TEXT.output}))

    assert with_images_at_text_rate(own) is own


@pytest.mark.parametrize("model", ["gpt-4o-realtime-preview", "gpt-5-image"])
def test_models_whose_images_have_a_rate_of_their_own_get_none_here(model: str) -> None:
    unchanged = card(TEXT, model=model)

    assert with_images_at_text_rate(unchanged) is unchanged
    assert rate(used(10, image_input_tokens=10), unchanged, at=NOON).cost_status == "unpriced"


def test_audio_and_images_in_answers_get_no_price_here() -> None:
    rates = with_images_at_text_rate(card(TEXT)).rates

    assert rates.audio_input is rates.audio_output is rates.image_output is None
