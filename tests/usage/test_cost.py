"""What the upstream says it billed, exact to the nano-dollar."""

from decimal import Decimal
from typing import Any

import pytest

from service.usage.cost import billed_nanos
from service.usage.dialects import dialect_for
from service.usage.fields import value_of


@pytest.mark.parametrize(
    ("provider", "raw", "nanos"),
    [
        ("openrouter", b'{"cost":0.001875}', 1_875_000),
        ("openrouter", b'{"cost":4.1400000000000003e-05}', 41_400),
        ("openrouter", b'{"cost":1}', 1_000_000_000),
        ("openrouter", b'{"cost":0}', 0),
        ("openrouter", b'{"cost":0.0}', 0),
        ("openrouter", b'{"cost":0.0000000005}', 0),
        ("openrouter", b'{"cost":0.0000000015}', 2),
        ("openrouter", b'{"cost":0.0000000025}', 2),
        ("openrouter", b'{"cost":1e-300}', 0),
        ("openrouter", b'{"cost":0.1}', 100_000_000),
        ("openrouter", b'{"cost":123456789.123456789}', 123_456_789_123_456_789),
        ("xai", b'{"cost_in_usd_ticks":48765005}', 4_876_500),
        ("xai", b'{"cost_in_usd_ticks":48765015}', 4_876_502),
        ("xai", b'{"cost_in_usd_ticks":10000000000}', 1_000_000_000),
        ("perplexity", b'{"cost":{"total_cost":0.00623}}', 6_230_000),
        ("perplexity", b'{"cost":0.00623}', 6_230_000),
        ("openai", b'{"cost":0.5}', None),
        ("openrouter", b"{}", None),
        ("perplexity", b'{"cost":{}}', None),
    ],
)
def test_amounts(provider: str, raw: bytes, nanos: int | None) -> None:
    assert billed_nanos(value_of(raw), dialect_for(provider)) == (nanos, False)


@pytest.mark.parametrize(
    "amount",
    [Decimal(-1), -1, Decimal("NaN"), Decimal("Infinity"), Decimal("1e400"), "0.5", True, [], {}, 10**40],
)
def test_what_is_no_amount_is_said_to_be_none(amount: Any) -> None:
    assert billed_nanos({"cost": amount}, dialect_for("openrouter")) == (None, True)
