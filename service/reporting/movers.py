"""What made spend go up or down: more or fewer tokens, dearer or cheaper models, other prices per token. Pure.

Both reports are grouped by the same dimensions; values of the first ones are what moves (a key, a project), values of
the last one are what it is made of (models). For one mover with V tokens, a part's share s of them and its price p per
token, cost is the sum of V·s·p, and its change falls apart without a rest:

    volume  (V₁-V₀)·s₀·p₀        more or fewer tokens, at the old mix and the old prices
    mix     V₁·(s₁-s₀)·p₀        another mix of parts, at the old prices
    price   V₁·s₁·(p₁-p₀)        another price per token, at the new volume

A part that was not there before has no old price: it is mix, at its new one. Amounts are integer nano-USD; volume and
mix are rounded, price takes what is left, so the three always add up to the change. What has no price counts nothing.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Literal

import msgspec

from service.reporting.figures import Measures
from service.reporting.usage import UsageRow

Effect = Literal["volume", "mix", "price"]
Dimensions = dict[str, str | None]


class Mover(msgspec.Struct, frozen=True, kw_only=True):
    """One value of the dimension, what it cost before and now, and why that changed; in nano-USD."""

    dimensions: Dimensions
    before_nanos: int
    now_nanos: int
    volume_nanos: int
    mix_nanos: int
    price_nanos: int

    @property
    def delta_nanos(self) -> int:
        """How much more, or less, it cost."""
        return self.now_nanos - self.before_nanos

    @property
    def main_effect(self) -> Effect:
        """What moved it most, in the direction in which it moved."""
        sign = 1 if self.delta_nanos >= 0 else -1
        effects: dict[Effect, int] = {
            "volume": self.volume_nanos,
            "mix": self.mix_nanos,
            "price": self.price_nanos,
        }
        return max(effects, key=lambda name: effects[name] * sign)


class _Part(msgspec.Struct):
    """Tokens and cost of one part of a mover, before and now."""

    tokens_before: int = 0
    tokens_now: int = 0
    nanos_before: int = 0
    nanos_now: int = 0


def movers(before: Iterable[UsageRow], now: Iterable[UsageRow], *, part: str) -> list[Mover]:
    """Every value that cost something else, the largest change first; *part* is the dimension of the parts."""
    found: dict[tuple[tuple[str, str | None], ...], dict[str | None, _Part]] = {}
    for rows, is_now in ((before, False), (now, True)):
        for row in rows:
            value = tuple((name, text) for name, text in row.dimensions.items() if name != part)
            parts = found.setdefault(value, {})
            _count(parts.setdefault(row.dimensions[part], _Part()), row.measures, is_now=is_now)
    moved = [_mover(dict(value), parts) for value, parts in found.items()]
    changed = [mover for mover in moved if mover.delta_nanos]
    return sorted(changed, key=lambda mover: (-abs(mover.delta_nanos), str(mover.dimensions)))


def _count(part: _Part, measures: Measures, *, is_now: bool) -> None:
    tokens = (measures.input_tokens or 0) + (measures.output_tokens or 0)
    if is_now:
        part.tokens_now += tokens
        part.nanos_now += measures.cost_nanos or 0
    else:
        part.tokens_before += tokens
        part.nanos_before += measures.cost_nanos or 0


def _mover(dimensions: Dimensions, parts: Mapping[str | None, _Part]) -> Mover:
    before, now = (
        sum(part.tokens_before for part in parts.values()),
        sum(part.tokens_now for part in parts.values()),
    )
    volume = mix = Fraction(0)
    for part in parts.values():
        old_price = _old_price(part)
        share_before = Fraction(part.tokens_before, before) if before else Fraction(0)
        share_now = Fraction(part.tokens_now, now) if now else Fraction(0)
        if before:
            volume += (now - before) * share_before * old_price
            mix += now * (share_now - share_before) * old_price
        else:
            volume += part.tokens_now * old_price
    total_before = sum(part.nanos_before for part in parts.values())
    total_now = sum(part.nanos_now for part in parts.values())
    delta = total_now - total_before
    return Mover(
        dimensions=dimensions,
        before_nanos=total_before,
        now_nanos=total_now,
        volume_nanos=round(volume),
        mix_nanos=round(mix),
        price_nanos=delta - round(volume) - round(mix),
    )


def _old_price(part: _Part) -> Fraction:
    """Nano-USD per token before; where there was none, its price now, so that a new part is no change of price."""
    if part.tokens_before:
        return Fraction(part.nanos_before, part.tokens_before)
    return Fraction(part.nanos_now, part.tokens_now) if part.tokens_now else Fraction(0)
