"""Spend over time as stacked bars: the largest values of a dimension, and the rest as one. Pure."""

from dashboard.charts import GREY, REST, Option, Series, bars
from dashboard.names import Named
from service.pricing.money import NANOS_PER_USD
from service.reporting.spend_series import SpendOverTime

LARGEST = 7
"""Values with bars of their own."""
_FINEST = 9


def spend(found: SpendOverTime, *, dimension: str) -> Option:
    """Bars of spend by bucket, the largest value at the bottom."""
    names = Named.from_rows((one.dimensions for one in found.largest), dimension=dimension)
    shown = [Series(names.of(one.dimensions, dimension=dimension), _usd(one.nanos)) for one in found.largest]
    if found.rest is not None:
        shown.append(Series(REST, _usd(found.rest), GREY))
    amounts = [nanos for one in found.largest for nanos in one.nanos if nanos]
    form = f"$%,.{_decimals(min(amounts, default=NANOS_PER_USD))}f"
    return bars(found, shown, value_format=form, axis="${value}")


def _usd(nanos: tuple[int, ...]) -> tuple[float | None, ...]:
    return tuple(value / NANOS_PER_USD if value else None for value in nanos)


def _decimals(smallest_nanos: int) -> int:
    """Decimals that leave two digits of the smallest amount."""
    return min(_FINEST, max(2, _FINEST + 2 - len(str(smallest_nanos))))
