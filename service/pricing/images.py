"""Images at the text rate, where the provider's own price list says so. Pure.

genai-prices names an image price only where it differs. These providers bill the tokens of images in a prompt
at the input rate, and cached ones at the cache rate, by their own words:

- OpenAI: "Text models price image tokens at standard text token rates, while GPT Image and gpt-realtime uses a
  separate image token rate" (openai.com/api/pricing, questions and answers; quoted at
  community.openai.com/t/1357218). Models named so are left out.
- Azure: "You pay a per-token rate for the prompts and completions"; its example prices 255 image tokens like text
  (learn.microsoft.com/azure/ai-services/openai/concepts/gpt-with-vision, "Special pricing information").
- Anthropic: an image is width times height / 750 tokens of the input, at the model's input price
  (platform.claude.com/docs/en/build-with-claude/vision, "Calculate image costs").
- Google: "Input price: $0.30 (text / image / video), $1.00 (audio)" for gemini-2.5-flash, likewise for the others
  (ai.google.dev/gemini-api/docs/pricing).
- xAI: "Text input $2.00, Image input $2.00" (docs.x.ai/docs/models, grok-2-vision-1212); later models list one input
  price for "text, image".

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
_OWN_RATE = {"openai": ("realtime", "image"), "azure": ("realtime", "image")}
"""What the names of models contain whose images have a rate of their own, known to the price data or not."""


def with_images_at_text_rate(card: PriceCard) -> PriceCard:
    """*card* with image prices spelled out where its provider has none but the text price."""
    meters = AT_TEXT_RATE.get(card.provider or "", ())
    tables = (card.rates, *(window.rates for window in card.windows), *(one.rates for one in card.variants))
    own_rate = any(part in card.model for part in _OWN_RATE.get(card.provider or "", ()))
    if not meters or own_rate or any(_prices_images(table) for table in tables):
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
