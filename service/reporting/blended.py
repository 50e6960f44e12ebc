"""What a million tokens cost: as billed (effective), and as it would have been without caches (blended). Pure.

Both are over input and output together. The difference is what the providers' caches saved.
"""

from fractions import Fraction

import msgspec

from service.reporting.savings import Savings

_MTOK = 10**6


class UnitCost(msgspec.Struct, frozen=True, kw_only=True):
    """In nano-USD per million tokens; None where nothing has a price."""

    effective_nanos: int | None
    blended_nanos: int | None


def unit_cost(*, tokens: int, cost_nanos: int | None, saved: Savings) -> UnitCost:
    """Of *tokens* that cost *cost_nanos*, of which caches *saved* something."""
    if not tokens or not cost_nanos:
        return UnitCost(effective_nanos=None, blended_nanos=None)
    full = cost_nanos + (saved.net_nanos or 0)
    return UnitCost(
        effective_nanos=round(Fraction(cost_nanos * _MTOK, tokens)),
        blended_nanos=round(Fraction(full * _MTOK, tokens)),
    )
