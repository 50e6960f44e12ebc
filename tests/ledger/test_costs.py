"""Costs of records: by the book, by the provider's word, and where an estimate left media out."""

import pytest

from service.ledger.costs import MEDIA_LEFT_OUT, provider_rating, rate_record
from service.pricing.money import MAX_NANOS
from service.pricing.rating import CostLine
from service.usage.tokens import TokenUsage
from tests.support.rated import BEFORE, book, rated

TEXT = TokenUsage(input_tokens=1_000, output_tokens=100)


def test_the_model_that_answered_decides() -> None:
    prices = book(gpt_4o=("2", "10"), snapshot=("4", "10"))
    record = rated(1, TEXT, response_model="snapshot")
    assert rate_record(record, TEXT, book=prices).cost_nanos == 5_000_000
    record.response_model = "nobody knows"
    assert rate_record(record, TEXT, book=prices).cost_nanos == 3_000_000
    record.upstream_model, record.requested_model = None, "gpt-4o"
    assert rate_record(record, TEXT, book=prices).cost_nanos == 3_000_000


def test_an_estimate_without_the_media_is_partial() -> None:
    record = rated(1, TEXT, usage_flags=(MEDIA_LEFT_OUT,))
    assert rate_record(record, TEXT, book=BEFORE).cost_status == "partial"
    record.upstream_model = "unknown"
    assert rate_record(record, TEXT, book=BEFORE).cost_status == "unpriced"


def test_the_provider_s_cost_is_one_line() -> None:
    rating = provider_rating(1_234)
    assert rating is not None
    assert rating.lines == (CostLine("provider_reported", 1, 1_234_000, 1_234),)
    assert (rating.cost_nanos, rating.cost_status, rating.price_id) == (1_234, "provider", None)


def test_an_explicit_zero_of_the_provider_is_a_cost() -> None:
    rating = provider_rating(0)
    assert rating is not None
    assert (rating.cost_nanos, rating.cost_status) == (0, "provider")


@pytest.mark.parametrize("nanos", [None, -1, MAX_NANOS + 1])
def test_what_is_no_storable_amount_is_no_cost(nanos: int | None) -> None:
    assert provider_rating(nanos) is None
