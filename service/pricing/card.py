"""What a price is: one immutable card for one model, one scope and one span of time. Pure.

Rates are integer pico-USD per unit; None means "no price known", 0 means "free". A rate is a row of steps:
the step with the highest `from_input_tokens` that the request's total input (cached included) reaches counts
for every unit of the request (a cliff, not a bracket). "More than 200,000" is a step from 200,001; xAI's
"200,000 and more" is a step from 200,000.
"""

from datetime import datetime
from typing import Literal, get_args

import msgspec

Source = Literal["genai-prices", "override"]
Scope = Literal["key", "project", "upstream", "global", "imported"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""In order of precedence."""

MINUTES_PER_DAY = 24 * 60


class RateStep(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A rate, and the total input from which it holds."""

    from_input_tokens: int
    rate_picos: int


Steps = tuple[RateStep, ...]


class Rates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rates by meter. Meters are disjoint: `input` is uncached text, `output` is text without reasoning.

    Tokens are the unit of `…input`, `…output` and `citation`; a search, a request, the unit of the others.
    """

    input: Steps | None = None
    cache_read_input: Steps | None = None
    cache_write_input: Steps | None = None
    cache_write_1h_input: Steps | None = None
    audio_input: Steps | None = None
    cache_read_audio_input: Steps | None = None
    image_input: Steps | None = None
    cache_read_image_input: Steps | None = None
    video_input: Steps | None = None
    output: Steps | None = None
    reasoning_output: Steps | None = None
    audio_output: Steps | None = None
    image_output: Steps | None = None
    citation: Steps | None = None
    web_search: Steps | None = None
    request: Steps | None = None


NO_RATES = Rates()
METERS: tuple[str, ...] = Rates.__struct_fields__
INPUT_METERS = tuple(meter for meter in METERS if meter.endswith("input"))
OUTPUT_METERS = tuple(meter for meter in METERS if meter.endswith("output"))


class TimeWindow(msgspec.Struct, frozen=True, kw_only=True):
    """Rates for a part of every day, in UTC minutes from midnight; it may run over midnight."""

    start_minute: int
    end_minute: int
    rates: Rates

    def holds(self, minute: int) -> bool:
        """Tell whether *minute* of the day lies in the window; the end does not."""
        if self.end_minute < self.start_minute:
            return minute >= self.start_minute or minute < self.end_minute
        return self.start_minute <= minute < self.end_minute


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """Rates that replace the standard ones, meter by meter, for a way of processing (batch, flex, priority)."""

    tier: str
    rates: Rates


class ModelMatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which model names a card serves; all in lower case. Patterns are regular expressions, searched."""

    exact: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


class PriceCard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A price of one model. *provider* None means any; dates None mean open; `effective_to` is exclusive."""

    id: str
    source: Source
    source_version: str
    scope: Scope
    model: str
    match: ModelMatch
    rates: Rates
    scope_id: str | None = None
    provider: str | None = None
    effective_from: datetime | None = None
    effective_to: datetime | None = None
    windows: tuple[TimeWindow, ...] = ()
    variants: tuple[Variant, ...] = ()

    def effective(self, at: datetime) -> bool:
        """Tell whether the card holds at *at*."""
        return (self.effective_from is None or self.effective_from <= at) and (
            self.effective_to is None or at < self.effective_to
        )


def flat(rate_picos: int) -> Steps:
    """One rate, whatever the size of the request."""
    return (RateStep(0, rate_picos),)


def step_rate(steps: Steps, *, input_tokens: int) -> int:
    """The rate for a request of *input_tokens* in total."""
    rate_picos = steps[0].rate_picos
    for step in steps[1:]:
        if step.from_input_tokens > input_tokens:
            break
        rate_picos = step.rate_picos
    return rate_picos


def overlaid(standard: Rates, special: Rates) -> Rates:
    """*standard* with every meter replaced that *special* prices."""
    return Rates(
        **{
            meter: getattr(standard, meter) if getattr(special, meter) is None else getattr(special, meter)
            for meter in METERS
        }
    )
