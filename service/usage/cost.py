"""What an upstream says it billed, in nano-USD. Exact: from the decimal text, never through a float.

xAI counts ticks (1 USD = 10^10 ticks), OpenRouter credits (1 credit = 1 USD), Perplexity dollars.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from service.usage.dialects import Dialect

_EXACT = Context(prec=60)
_USD_TO_NANOS = 9
_TICKS_TO_NANOS = -1
_LARGEST_MAGNITUDE = 17
"""More nano-USD digits than any bill has: a typing error or an attack."""


def billed_nanos(usage: Mapping[str, Any], dialect: Dialect) -> tuple[int | None, bool]:
    """The billed amount, and whether the field is there but makes no amount."""
    value: Any = usage.get("cost_in_usd_ticks" if dialect.cost == "usd_ticks" else "cost")
    if dialect.cost == "total_cost_usd" and isinstance(value, dict):
        value = value.get("total_cost")
    if value is None or dialect.cost == "none":
        return None, False
    nanos = _scaled(value, shift=_TICKS_TO_NANOS if dialect.cost == "usd_ticks" else _USD_TO_NANOS)
    return nanos, nanos is None


def _scaled(value: Any, *, shift: int) -> int | None:
    if type(value) is not int and not isinstance(value, Decimal):
        return None
    amount = Decimal(value)
    if not amount.is_finite() or amount < 0:
        return None
    if amount and not -_LARGEST_MAGNITUDE <= amount.adjusted() + shift <= _LARGEST_MAGNITUDE:
        return 0 if amount.adjusted() < 0 else None
    return int(_EXACT.scaleb(amount, shift).to_integral_value(ROUND_HALF_EVEN))
