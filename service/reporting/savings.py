"""What the providers' prompt caches saved: cached input at its own price beside the same input at the full price. Pure.

From sums by provider, model and upstream, at the prices that held at the end of each bucket: an estimate, because a
sum knows neither the length tier nor the service tier of each request. Writing into a cache may cost more than plain
input; that is taken off, so a saving can be negative. Tokens without both prices are counted apart, not as nothing.
"""

from collections.abc import Iterable

import msgspec

from service.pricing.card import Steps
from service.pricing.money import PICOS_PER_NANO
from service.pricing.pricebook import PriceBook
from service.reporting.figures import Measures
from service.reporting.intervals import QUARTER
from service.reporting.usage import UsageRow

GROUP_BY = ("provider", "model", "upstream")


class Savings(msgspec.Struct, frozen=True, kw_only=True):
    """In nano-USD; None where nothing cached has a price."""

    net_nanos: int | None = None
    read_tokens: int = 0
    unpriced_tokens: int = 0

    def plus(self, other: "Savings") -> "Savings":
        """Both together."""
        known = [one.net_nanos for one in (self, other) if one.net_nanos is not None]
        return Savings(
            net_nanos=sum(known) if known else None,
            read_tokens=self.read_tokens + other.read_tokens,
            unpriced_tokens=self.unpriced_tokens + other.unpriced_tokens,
        )


def savings(rows: Iterable[UsageRow], *, book: PriceBook) -> Savings:
    """Of rows that are grouped by `GROUP_BY`."""
    total = Savings()
    for row in rows:
        if row.measures.cache_read_input_tokens or row.measures.cache_write_input_tokens:
            total = total.plus(_of(row, book=book))
    return total


def _of(row: UsageRow, *, book: PriceBook) -> Savings:
    measures: Measures = row.measures
    read, written = measures.cache_read_input_tokens or 0, measures.cache_write_input_tokens or 0
    card = book.resolve(
        provider=row.dimensions["provider"],
        model=row.dimensions["model"] or "",
        at=row.end - QUARTER,
        upstream=row.dimensions["upstream"],
    )
    full = None if card is None else _first(card.rates.input)
    cached = None if card is None else _first(card.rates.cache_read_input)
    if card is None or full is None or cached is None:
        return Savings(read_tokens=read, unpriced_tokens=read)
    surcharge = (_first(card.rates.cache_write_input) or full) - full
    picos = read * (full - cached) - written * surcharge
    return Savings(net_nanos=round(picos / PICOS_PER_NANO), read_tokens=read)


def _first(steps: Steps | None) -> int | None:
    return steps[0].rate_picos if steps else None
