"""Records that were rated as the relay rates them, and price books to rate them by."""

from datetime import timedelta
from typing import Any

from service.ledger.costs import MEDIA_LEFT_OUT, provider_rating, rate_record
from service.ledger.record import RequestRecord, uuid7
from service.pricing.card import PriceCard
from service.pricing.pricebook import PriceBook
from service.relay.charging import put_rating, put_usage
from service.store.types import to_micros
from service.usage.tokens import TokenUsage
from tests.pricing.cards import card, usd
from tests.support.records import START

RAW_1H = (
    b'{"input_tokens":100,"output_tokens":20,"cache_creation_input_tokens":60,"cache_read_input_tokens":0,'
    b'"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":40}}'
)
"""Anthropic's own counts: 160 tokens of input, 40 of them written to the cache for an hour."""

CLAUDE = card(
    usd(input="3", cache_write_input="3.75", cache_write_1h_input="6", cache_read_input="0.30", output="15"),
    model="claude", provider="anthropic", id="claude",
)  # fmt: skip


def book(**prices: tuple[str, str]) -> PriceBook:
    """Input and output price in USD per million tokens for each model, of any provider; and Claude's."""
    cards: list[PriceCard] = [
        card(
            usd(input=given[0], output=given[1]),
            model=model.replace("_", "-"),
            provider=None,
            id=f"{model}-{given}",
        )
        for model, given in prices.items()
    ]
    return PriceBook([*cards, CLAUDE])


BEFORE = book(gpt_4o=("2.50", "10"), o1=("15", "60"))
AFTER = book(gpt_4o=("5.00", "10"), o1=("15", "60"), new=("1", "2"))


def rated(
    number: int, usage: TokenUsage | None = None, *, by: PriceBook = BEFORE, **fields: Any
) -> RequestRecord:
    """The record of one request that began *number* minutes after `START`."""
    started_at = to_micros(START + timedelta(minutes=number))
    identifier = uuid7(started_at, number.to_bytes(8, "big"))
    given: dict[str, Any] = {"upstream": "main", "provider": "openai", "upstream_model": "gpt-4o"} | fields
    record = RequestRecord(id=identifier, request_id=identifier, attempt=1, started_at=started_at, **given)
    if usage is None:
        record.cost_nanos, record.cost_status = 0, "free"
        return record
    if record.usage_source == "none":
        record.usage_source = "provider"
    put_usage(record, usage)
    put_rating(record, provider_rating(record.provider_cost_nanos) or rate_record(record, usage, book=by))
    return record


def variety() -> list[RequestRecord]:
    """Every kind of record that repricing meets: 12 records, over 2 days."""
    text = TokenUsage(input_tokens=1_000, output_tokens=100, cache_read_input_tokens=400)
    hour = TokenUsage(
        input_tokens=160, output_tokens=20, cache_read_input_tokens=0, cache_write_input_tokens=60,
        cache_write_1h_input_tokens=40,
    )  # fmt: skip
    claude: dict[str, Any] = {"provider": "anthropic", "upstream_model": "claude"}
    return [
        rated(1, text),
        rated(2, text, key_id="key_a", project="team", response_model="gpt-4o-2024-08-06"),
        rated(3, text, upstream_model="o1"),
        rated(4, text, upstream_model="new"),
        rated(5, text, upstream_model="new", usage_source="partial"),
        rated(6, text, upstream_model="unknown"),
        rated(7),
        rated(8, text, provider_cost_nanos=777),
        rated(
            9, text, usage_source="estimated", usage_flags=(MEDIA_LEFT_OUT,), usage_low=1, usage_high=9_999
        ),
        rated(10, hour, usage_raw=RAW_1H.decode(), **claude),
        rated(11, hour, usage_raw=None, **claude),
        rated(1_500, text),
    ]
