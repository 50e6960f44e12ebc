"""A price card as plain fields, for listings and exports: what `override.override_card` reads. Pure."""

from typing import Any

from service.pricing.card import PriceCard, Rates
from service.pricing.money import PICOS_PER_NANO, format_usd, format_usd_per_mtok
from service.pricing.override import METER_OF_FIELD, UNIT_METERS


def price_fields(card: PriceCard) -> dict[str, Any]:
    """The fields that describe *card*: what `override_card` reads, for listings."""
    match = [name for name in card.match.exact if name != card.model.lower()]
    fields: dict[str, Any] = {"provider": card.provider, "model": card.model}
    if match:
        fields["aliases"] = match
    fields |= {"scope": card.scope, "scope_id": card.scope_id}
    for name, instant in (("effective_from", card.effective_from), ("effective_to", card.effective_to)):
        fields[name] = None if instant is None else instant.isoformat().replace("+00:00", "Z")
    fields |= _rate_fields(card.rates)
    if card.windows:
        fields["windows"] = [
            {"from": _clock(window.start_minute), "to": _clock(window.end_minute)}
            | _rate_fields(window.rates)
            for window in card.windows
        ]
    if card.variants:
        fields["variants"] = {variant.tier: _rate_fields(variant.rates) for variant in card.variants}
    return fields


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _rate_fields(rates: Rates) -> dict[str, Any]:
    """Amounts and tiers as fields."""
    fields: dict[str, Any] = {}
    tiers: dict[int, dict[str, Any]] = {}
    for name, meter in METER_OF_FIELD.items():
        for step in getattr(rates, meter) or ():
            table = fields
            if step.from_input_tokens:
                table = tiers.setdefault(
                    step.from_input_tokens, {"from_input_tokens": step.from_input_tokens}
                )
            table[name] = _amount(step.rate_picos, per_mtok=meter not in UNIT_METERS)
    if tiers:
        fields["tiers"] = [tiers[start] for start in sorted(tiers)]
    return fields


def _amount(rate_picos: int, *, per_mtok: bool) -> str:
    return format_usd_per_mtok(rate_picos) if per_mtok else format_usd(rate_picos // PICOS_PER_NANO)
