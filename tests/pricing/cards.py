"""Price cards and usages for tests, with the prices written as a provider writes them."""

from datetime import UTC, datetime
from typing import Any

from service.pricing.card import ModelMatch, PriceCard, Rates, RateStep, flat
from service.pricing.money import parse_usd_per_mtok
from service.usage.tokens import TokenUsage

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def usd(**per_mtok: str | dict[int, str]) -> Rates:
    """Rates from USD per million tokens; a dict gives the price from each total input on."""
    return Rates(
        **{
            meter: flat(_picos(price))
            if isinstance(price, str)
            else tuple(RateStep(start, _picos(one)) for start, one in price.items())
            for meter, price in per_mtok.items()
        }
    )


def card(rates: Rates | None = None, **fields: Any) -> PriceCard:
    """A global override for `gpt-4o` of OpenAI, unless told otherwise."""
    model = fields.pop("model", "gpt-4o")
    given: dict[str, Any] = {
        "id": "test",
        "source": "override",
        "source_version": "1",
        "scope": "global",
        "provider": "openai",
        "match": ModelMatch(exact=(model,)),
    } | fields
    return PriceCard(model=model, rates=usd(input="2.50", output="10") if rates is None else rates, **given)


def used(input_tokens: int = 0, output_tokens: int = 0, **parts: int | None) -> TokenUsage:
    """Token counts."""
    return TokenUsage(input_tokens=input_tokens, output_tokens=output_tokens, **parts)


def _picos(text: str) -> int:
    return parse_usd_per_mtok(text, field="price")
