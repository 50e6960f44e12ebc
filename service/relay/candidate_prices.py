"""The prices of every model that may answer a request at one upstream. Pure."""

from service.ledger.record import Opening
from service.pricing.card import PriceCard
from service.pricing.pricebook import PriceBook
from service.relay.request import ChatRequest
from service.store.types import from_micros
from service.upstream.provider import Provider


def cards_at(
    provider: Provider, request: ChatRequest, *, opening: Opening, prices: PriceBook
) -> dict[str, PriceCard | None]:
    """By the name at *provider* of what is asked for, and of what the body lists instead; None without a price."""
    asked, *others = request.named_models()
    return {
        model: prices.resolve(
            provider=provider.provider,
            model=model,
            at=from_micros(opening.started_at),
            key_id=opening.key_id,
            project=opening.project,
            upstream=provider.name,
        )
        for model in (provider.model_map.get(asked, asked), *others)
    }
