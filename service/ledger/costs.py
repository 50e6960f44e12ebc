"""What a record costs: by the price book, or as its provider reported it. Pure.

The relay, the recovery of crashed requests and `prices reprice` all rate here, so that the same usage at the same
prices is always the same cost.
"""

import msgspec

from service.ledger.record import Opening, RequestRecord
from service.pricing.money import MAX_NANOS, PICOS_PER_NANO
from service.pricing.pricebook import PriceBook
from service.pricing.rating import PROVIDER_REPORTED, CostLine, Rating, rate
from service.store.types import from_micros
from service.usage.tokens import TokenUsage

MEDIA_LEFT_OUT = "media_left_out"
"""The usage flag of an estimate that could not count images or audio in the request."""


def rate_usage(
    opening: Opening, usage: TokenUsage, *, book: PriceBook, models: tuple[str | None, ...]
) -> Rating:
    """The cost of *usage* by the card of the first of *models* that has one."""
    at = from_micros(opening.started_at)
    tier = opening.service_tier if isinstance(opening, RequestRecord) else None
    for model in filter(None, models):
        card = book.resolve(
            provider=opening.provider,
            model=model,
            at=at,
            key_id=opening.key_id,
            project=opening.project,
            upstream=opening.upstream,
        )
        if card is not None:
            return rate(usage, card, at=at, service_tier=tier)
    return rate(usage, None, at=at)


def rate_record(record: RequestRecord, usage: TokenUsage, *, book: PriceBook) -> Rating:
    """The cost of a whole record: by the model that answered, else by the one asked for."""
    asked = record.upstream_model or record.requested_model
    rating = rate_usage(record, usage, book=book, models=(record.response_model, asked))
    if rating.cost_status == "priced" and MEDIA_LEFT_OUT in (record.usage_flags or ()):
        return msgspec.structs.replace(rating, cost_status="partial")
    return rating


def provider_rating(nanos: int | None) -> Rating | None:
    """The cost that the provider reported, as it stands; None where it reported none that can be stored."""
    if nanos is None or not 0 <= nanos <= MAX_NANOS:
        return None
    line = CostLine(PROVIDER_REPORTED, 1, nanos * PICOS_PER_NANO, nanos)
    return Rating(nanos, "provider", None, (line,))
