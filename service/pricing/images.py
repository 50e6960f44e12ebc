"""Images at the text rate, where the provider's own price list says so. Pure.

genai-prices names an image price only where it differs. These providers bill the tokens of images in a prompt
at the input rate, and cached ones at the cache rate:

- OpenAI and Azure: image inputs are "metered and charged in tokens", at the model's input rate;
- Anthropic: an image costs about width times height / 750 input tokens;
- Google: one input price for "text / image / video", another for audio;
- xAI: image tokens of a prompt at the model's input rate.

Elsewhere an image without a price stays without one: the cost is then `partial`. So do audio, always, and
images in answers, and models that have any price for images at all.
"""

import msgspec

from service.pricing.card import PriceCard, Rates

AT_TEXT_RATE = {
    "anthropic": ("image_input",),
    "azure": ("image_input",),
    "google": ("image_input", "video_input"),
    "openai": ("image_input",),
    "x-ai": ("image_input",),
}


def with_images_at_text_rate(card: PriceCard) -> PriceCard:
    """*card* with image prices spelled out where its provider has none but the text price."""
    meters = AT_TEXT_RATE.get(card.provider or "", ())
    tables = (card.rates, *(window.rates for window in card.windows), *(one.rates for one in card.variants))
    if not meters or any(_prices_images(table) for table in tables):
        return card
    return msgspec.structs.replace(
        card,
        rates=_like_text(card.rates, meters=meters),
        windows=tuple(
            msgspec.structs.replace(one, rates=_like_text(one.rates, meters=meters)) for one in card.windows
        ),
        variants=tuple(
            msgspec.structs.replace(one, rates=_like_text(one.rates, meters=meters)) for one in card.variants
        ),
    )


def _prices_images(rates: Rates) -> bool:
    return any(steps is not None for steps in (rates.image_input, rates.video_input, rates.image_output))


def _like_text(rates: Rates, *, meters: tuple[str, ...]) -> Rates:
    return msgspec.structs.replace(
        rates, **dict.fromkeys(meters, rates.input), cache_read_image_input=rates.cache_read_input
    )
