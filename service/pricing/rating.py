"""What a request cost, line by line. Pure.

A record's cost is the sum of its lines, and a line is quantity times rate, rounded once. Never a silent zero:

- no card, or no rate for any of the tokens: cost None, `unpriced`; no usage: cost None;
- audio or images without a rate of their own: not charged at the text rate, the rest is charged, `partial`;
- a missing cache price: the plain input rate instead, `assumed`; so are counts that contradict each other
  (see `leaves`) and a service tier that the card does not know, charged at the standard rates;
- a missing reasoning price: reasoning is output, `priced`; an explicit rate of 0 is a price, `free`.
"""

from bisect import bisect_right
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import msgspec
from msgspec.structs import astuple

from service.pricing.card import METERS, NO_RATES, PriceCard, Rates, Steps, overlaid, step_rate
from service.pricing.leaves import split
from service.pricing.money import MAX_NANOS, PICOS_PER_NANO, line_cost_nanos
from service.usage.tokens import TokenUsage

CostStatus = Literal["priced", "partial", "assumed", "provider", "unpriced", "free"]

PROVIDER_REPORTED = "provider_reported"
"""The meter of a cost that the provider reported: one line for the whole request, no rate of ours."""
STANDARD_TIERS = frozenset({"", "auto", "default", "standard", "on_demand"})
BATCH = "batch"
INPUT_METERS = slice(0, METERS.index("output"))
OUTPUT_METERS = slice(METERS.index("output"), METERS.index("citation"))
CITATION_METER = slice(METERS.index("citation"), METERS.index("citation") + 1)
SEARCH_METER = slice(METERS.index("web_search"), METERS.index("web_search") + 1)
REQUEST_METER = slice(METERS.index("request"), METERS.index("request") + 1)

# Which meter's rate stands in for a missing one, and whether that is a guess.
STAND_INS: dict[str, tuple[str, bool]] = {
    "cache_read_input": ("input", True),
    "cache_write_input": ("input", True),
    "cache_write_1h_input": ("cache_write_input", True),
    "cache_read_audio_input": ("audio_input", True),
    "cache_read_image_input": ("image_input", True),
    "reasoning_output": ("output", False),
}


class CostLine(msgspec.Struct, frozen=True, gc=False):
    """One line of a cost: so many units of a meter at a rate."""

    meter: str
    quantity: int
    rate_picos: int
    cost_nanos: int


class Rating(msgspec.Struct, frozen=True):
    """A cost with its reasons; `cost_nanos` is the sum of the lines, or None when no cost is known."""

    cost_nanos: int | None
    cost_status: CostStatus
    price_id: str | None
    lines: tuple[CostLine, ...]


def rate(
    usage: TokenUsage | None,
    card: PriceCard | None,
    *,
    at: datetime,
    service_tier: str | None = None,
    batch: bool = False,
) -> Rating:
    """The cost of *usage* by *card*, for a request that started at *at*; *service_tier* is the answer's."""
    if card is None or usage is None:
        return Rating(None, "unpriced", None if card is None else card.id, ())
    rates, assumed = rates_at(card, at=at, tier=BATCH if batch else service_tier or "")
    leaves = split(usage)
    assumed = assumed or leaves.contradictory
    partial = False
    lines: list[CostLine] = []
    for meter, quantity in leaves.lines:
        steps, guessed = _steps_for(meter, rates)
        if steps is None:
            partial = True
            continue
        assumed = assumed or guessed
        rate_picos = step_rate(steps, input_tokens=leaves.input_tokens)
        cost_nanos = line_cost_nanos(quantity, rate_picos=rate_picos)
        lines.append(CostLine(meter, quantity, rate_picos, cost_nanos))
    if not lines and (partial or rates == NO_RATES):
        return Rating(None, "unpriced", card.id, ())
    if rates.request is not None:
        fee_picos = step_rate(rates.request, input_tokens=leaves.input_tokens)
        lines.append(CostLine("request", 1, fee_picos, line_cost_nanos(1, rate_picos=fee_picos)))
    return _rated(card, lines=lines, partial=partial, assumed=assumed)


def rates_at(card: PriceCard, *, at: datetime, tier: str) -> tuple[Rates, bool]:
    """The rates in force at *at* for *tier*, and whether the tier's own rates are unknown."""
    rates = card.rates
    if card.windows:
        utc = at.astimezone(UTC)
        minute = utc.hour * 60 + utc.minute
        rates = next((window.rates for window in card.windows if window.holds(minute)), rates)
    for variant in card.variants:
        if variant.tier == tier:
            return overlaid(rates, variant.rates), False
    return rates, tier not in STANDARD_TIERS


class Searching(msgspec.Struct, frozen=True):
    """What a model that searches the web may add: searches, and tokens of what it quotes."""

    searches: int
    citation_tokens: int


NO_SEARCHING = Searching(0, 0)


def upper_bound_nanos(
    card: PriceCard, *, max_input_tokens: int, max_output_tokens: int, searching: Searching = NO_SEARCHING
) -> int | None:
    """The most that a request within these counts can cost; None when the card prices no tokens.

    Takes the dearest meter of each direction (a cache write, audio), the dearest step that the input can
    reach, the dearest hour of the day and the dearest tier of service.
    """
    begins, ceilings = _ceilings(card)
    prompt, answer, fee, search, citation = ceilings[bisect_right(begins, max_input_tokens) - 1]
    if prompt is None and answer is None:
        return None
    picos = max_input_tokens * (prompt or 0) + max_output_tokens * (answer or 0) + (fee or 0)
    picos += searching.searches * (search or 0) + searching.citation_tokens * (citation or 0)
    rounding = len(METERS)  # every line may round up, by less than one
    return min(-(-picos // PICOS_PER_NANO) + (rounding if picos else 0), MAX_NANOS)


_Ceiling = tuple[int | None, ...]
_CEILINGS = (INPUT_METERS, OUTPUT_METERS, REQUEST_METER, SEARCH_METER, CITATION_METER)


@lru_cache(maxsize=4096)
def _ceilings(card: PriceCard) -> tuple[list[int], list[_Ceiling]]:
    """From how many input tokens on which rates are the dearest, one for each of `_CEILINGS`."""
    rows = [astuple(card.rates)]
    rows += [astuple(window.rates) for window in card.windows]
    rows += [astuple(variant.rates) for variant in card.variants]
    steps = (step for row in rows for meter in row for step in meter or ())
    begins = sorted({0, *(step.from_input_tokens for step in steps)})
    return begins, [
        tuple(_dearest(rows, meters=meters, input_tokens=begin) for meters in _CEILINGS) for begin in begins
    ]


def _steps_for(meter: str, rates: Rates) -> tuple[Steps | None, bool]:
    steps: Steps | None = getattr(rates, meter)
    guessed = False
    while steps is None and meter in STAND_INS:
        meter, guess = STAND_INS[meter]
        steps, guessed = getattr(rates, meter), guessed or guess
    return steps, guessed


def _rated(card: PriceCard, *, lines: list[CostLine], partial: bool, assumed: bool) -> Rating:
    cost_nanos = sum(line.cost_nanos for line in lines)
    if cost_nanos > MAX_NANOS:
        return Rating(None, "unpriced", card.id, ())  # counts that no provider can mean
    status: CostStatus = "priced"
    if partial:
        status = "partial"
    elif assumed:
        status = "assumed"
    elif lines and not any(line.rate_picos for line in lines):
        status = "free"
    return Rating(cost_nanos, status, card.id, tuple(lines))


def _dearest(rows: list[tuple[Steps | None, ...]], *, meters: slice, input_tokens: int) -> int | None:
    """The highest rate among *meters* that a request of at most *input_tokens* can meet."""
    dearest = None
    for row in rows:
        for steps in row[meters]:
            for step in steps or ():
                if step.from_input_tokens > input_tokens and step.from_input_tokens:
                    break
                if dearest is None or step.rate_picos > dearest:
                    dearest = step.rate_picos
    return dearest
