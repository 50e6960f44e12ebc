"""What caches saved: the difference of two prices of the book, less what writing into the cache cost more."""

from typing import Any

import pytest

from service.pricing.card import PriceCard
from service.pricing.override import override_card
from service.pricing.pricebook import PriceBook
from service.reporting.savings import Savings, savings
from service.reporting.usage import UsageRow
from tests.reporting.figures_of import START, row


def card(**fields: str) -> PriceCard:
    return override_card({"model": "m", "provider": "openai", **fields})


FULL = {"input_usd_per_mtok": "2.50", "output_usd_per_mtok": "10"}
BOTH = {**FULL, "cache_read_input_usd_per_mtok": "1.25"}
WRITE = {**BOTH, "cache_write_input_usd_per_mtok": "3.00"}


def cached(read: int, *, written: int | None = None, model: str | None = "m") -> UsageRow:
    sums: dict[str, Any] = {"cache_read_input_tokens": read, "input_tokens": 2 * read}
    if written is not None:
        sums["cache_write_input_tokens"] = written
    return row({"provider": "openai", "model": model, "upstream": "openai"}, **sums)


@pytest.mark.parametrize(
    ("fields", "found", "expected"),
    [
        (BOTH, cached(1_000_000), Savings(net_nanos=1_250_000_000, read_tokens=1_000_000)),
        (BOTH, cached(0, written=10), Savings(net_nanos=0)),
        (WRITE, cached(1_000, written=1_000), Savings(net_nanos=750_000, read_tokens=1_000)),
        (WRITE, cached(0, written=1_000), Savings(net_nanos=-500_000)),
        (FULL, cached(1_000), Savings(read_tokens=1_000, unpriced_tokens=1_000)),
        (BOTH, cached(1_000, model=None), Savings(read_tokens=1_000, unpriced_tokens=1_000)),
        (BOTH, cached(0), Savings()),
    ],
)
def test_one_row(fields: dict[str, str], found: UsageRow, expected: Savings) -> None:
    assert expected == savings([found], book=PriceBook([card(**fields)]))


def test_rows_add_up_and_what_has_no_price_does_not_hide_the_rest() -> None:
    book = PriceBook([card(**BOTH)])
    found = savings([cached(1_000), cached(2_000), cached(500, model="other")], book=book)
    assert found == Savings(net_nanos=3_750_000, read_tokens=3_500, unpriced_tokens=500)
    assert savings([], book=book) == Savings()


def test_the_price_is_the_one_of_the_end_of_the_bucket() -> None:
    later = f"{START.replace(minute=30):%Y-%m-%dT%H:%M:%SZ}"
    book = PriceBook(
        [
            card(**BOTH, effective_to=later),
            card(**{**BOTH, "cache_read_input_usd_per_mtok": "0.25"}, effective_from=later),
        ]
    )
    assert savings([cached(1_000_000)], book=book).net_nanos == 2_250_000_000
