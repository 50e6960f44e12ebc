"""The prices inside the genai-prices package, as price cards. Talks to the package; it is imported on demand.

One card for each model and span of time between two dates on which its prices change. What is taken: prices by
the token, the request and the web search, tiers, hours of the day, and the variants for batch and for tiers of
service. What is not, because token counts do not show it: audio hours, characters, pages, storage searches, and
the variants for a route or a kind of search.

The package writes a price as a decimal number of USD; 28 of some 8,000 are float artefacts with more than six
decimals and are rounded to a whole pico-USD. It writes "free" and "not priced by the token" alike, as no price
at all: only models named `:free` become free here, the others stay unpriced.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from hashlib import sha256
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any, assert_never

from service.pricing.card import (
    ModelMatch,
    PriceCard,
    Rates,
    RateStep,
    Steps,
    TimeWindow,
    Variant,
    flat,
)
from service.pricing.images import with_images_at_text_rate

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, MatchLogic, ModelInfo, ModelPrice, Provider, TieredPrices

PICOS_PER_USD_PER_MTOK = 10**6
PICOS_PER_USD_PER_THOUSAND = 10**9
MAX_ID = 80
IMPORTER = 2
"""Raised whenever the same package gives other cards: stores then import it anew (see `seeding`).

2: no price for images where OpenAI has one of its own that the package does not know (realtime and image models).
"""

FREE = Rates(input=flat(0), output=flat(0))

# The package's price keys, our meters, and pico-USD per unit for 1 USD of the package's price.
METER_OF_KEY = {
    "input_mtok": ("input", PICOS_PER_USD_PER_MTOK),
    "cache_read_mtok": ("cache_read_input", PICOS_PER_USD_PER_MTOK),
    "cache_write_mtok": ("cache_write_input", PICOS_PER_USD_PER_MTOK),
    "cache_write_1h_mtok": ("cache_write_1h_input", PICOS_PER_USD_PER_MTOK),
    "input_audio_mtok": ("audio_input", PICOS_PER_USD_PER_MTOK),
    "cache_audio_read_mtok": ("cache_read_audio_input", PICOS_PER_USD_PER_MTOK),
    "input_image_mtok": ("image_input", PICOS_PER_USD_PER_MTOK),
    "cache_image_read_mtok": ("cache_read_image_input", PICOS_PER_USD_PER_MTOK),
    "input_video_mtok": ("video_input", PICOS_PER_USD_PER_MTOK),
    "output_mtok": ("output", PICOS_PER_USD_PER_MTOK),
    "output_reasoning_mtok": ("reasoning_output", PICOS_PER_USD_PER_MTOK),
    "output_audio_mtok": ("audio_output", PICOS_PER_USD_PER_MTOK),
    "output_image_mtok": ("image_output", PICOS_PER_USD_PER_MTOK),
    "output_citation_mtok": ("citation", PICOS_PER_USD_PER_MTOK),
    "web_searches_kcount": ("web_search", PICOS_PER_USD_PER_THOUSAND),
    "requests_kcount": ("request", PICOS_PER_USD_PER_THOUSAND),
}

# The package's request contexts that we can tell from an answer, and our name for the tier.
TIER_OF_CONTEXT = {
    ("processing", "batch"): "batch",
    ("service_tier", "priority"): "priority",
    ("service_tier", "flex"): "flex",
    ("service_tier", "fast"): "fast",
    ("speed", "fast"): "fast",
}


def import_genai_prices() -> tuple[PriceCard, ...]:
    """Every price of the installed genai-prices package; the same package gives the same cards."""
    from genai_prices.data import providers

    version = data_version()
    return tuple(
        card
        for provider in providers
        for model in provider.models
        for card in cards_of(model, provider, version)
    )


def data_version() -> str:
    """The version of the installed package and that of this importer."""
    return f"{version('genai-prices')}+{IMPORTER}"


def cards_of(model: "ModelInfo", provider: "Provider", version: str) -> Iterator[PriceCard]:
    """The cards of one model of the package, in the order of their dates."""
    conditional = _conditional(model)
    match = _match(model)
    starts = [None, *sorted(_start_dates(model, conditional))]
    for since, until in pairwise((*starts, None)):
        rates, windows = _standard(conditional, since=since)
        card = PriceCard(
            id=_card_id(provider.id, model.id, since, version),
            source="genai-prices",
            source_version=version,
            scope="imported",
            provider=provider.id,
            model=model.id,
            match=match,
            effective_from=_midnight(since),
            effective_to=_midnight(until),
            rates=FREE if rates == Rates() and model.id.endswith(":free") else rates,
            windows=windows,
            variants=tuple(_variants(model, since=since)),
        )
        yield with_images_at_text_rate(card)


def _conditional(model: "ModelInfo") -> "list[ConditionalPrice]":
    from genai_prices.types import ConditionalPrice

    return model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]


def _start_dates(model: "ModelInfo", conditional: "list[ConditionalPrice]") -> set[date]:
    constraints = [one.constraint for one in (*conditional, *(model.price_variants or ()))]
    return {constraint.start_date for constraint in constraints if _is_dated(constraint)}


def _is_dated(constraint: Any) -> bool:
    from genai_prices.types import StartDateConstraint

    return isinstance(constraint, StartDateConstraint)


def _holds(constraint: Any, *, since: date | None) -> bool:
    """Tell whether an undated or dated constraint holds on the day *since* (None: before every date)."""
    if constraint is None:
        return True
    return _is_dated(constraint) and since is not None and bool(constraint.start_date <= since)


def _standard(
    conditional: "list[ConditionalPrice]", *, since: date | None
) -> tuple[Rates, tuple[TimeWindow, ...]]:
    """The rates from *since* on, and the hours of the day that have others; the last that holds wins."""
    from genai_prices.types import TimeOfDateConstraint

    windows: list[TimeWindow] = []
    for one in reversed(conditional):
        if isinstance(one.constraint, TimeOfDateConstraint):
            start, end = one.constraint.start_time, one.constraint.end_time
            windows.append(
                TimeWindow(start_minute=_minute(start), end_minute=_minute(end), rates=_rates(one.prices))
            )
        elif _holds(one.constraint, since=since):
            return _rates(one.prices), tuple(windows)
    return _rates(conditional[0].prices), tuple(windows)


def _minute(clock: time) -> int:
    if clock.second or clock.microsecond or clock.tzinfo not in (None, UTC):
        raise ValueError(f"genai-prices has a price window at {clock!r}; only whole minutes in UTC are known")
    return clock.hour * 60 + clock.minute


def _variants(model: "ModelInfo", *, since: date | None) -> Iterator[Variant]:
    """The variants in force from *since* on; of two for one tier the first counts, price by price."""
    merged: dict[str, dict[str, Steps]] = {}
    for one in model.price_variants or ():
        tier = TIER_OF_CONTEXT.get(next(iter(one.when.items()))) if len(one.when) == 1 else None
        if tier is not None and _holds(one.constraint, since=since):
            merged[tier] = _steps_by_meter(one.prices) | merged.get(tier, {})
    return (Variant(tier=tier, rates=Rates(**steps)) for tier, steps in merged.items() if steps)


def _rates(prices: "ModelPrice") -> Rates:
    return Rates(**_steps_by_meter(prices))


def _steps_by_meter(prices: "ModelPrice") -> dict[str, Steps]:
    return {
        meter: _steps(price, scale=scale)
        for key, (meter, scale) in METER_OF_KEY.items()
        if (price := getattr(prices, key)) is not None
    }


def _steps(price: "Decimal | TieredPrices", *, scale: int) -> Steps:
    if isinstance(price, Decimal):
        return flat(_picos(price, scale=scale))
    later = (RateStep(tier.start + 1, _picos(tier.price, scale=scale)) for tier in price.tiers)
    return (RateStep(0, _picos(price.base, scale=scale)), *later)


def _picos(price: Decimal, *, scale: int) -> int:
    return int((price * scale).to_integral_value(ROUND_HALF_EVEN))


def _match(model: "ModelInfo") -> ModelMatch:
    rules = list(_rules(model.match))

    def of(kind: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for found, text in rules if found == kind))

    return ModelMatch(
        exact=of("exact"), prefixes=of("prefixes"), contains=of("contains"), patterns=of("patterns")
    )


def _rules(clause: "MatchLogic") -> Iterator[tuple[str, str]]:
    from genai_prices.types import ClauseContains, ClauseEquals, ClauseOr, ClauseStartsWith

    if isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from _rules(part)
    elif isinstance(clause, ClauseEquals):
        yield "exact", clause.equals.lower()
    elif isinstance(clause, ClauseStartsWith):
        yield "prefixes", clause.starts_with.lower()
    elif isinstance(clause, ClauseContains):
        yield "contains", clause.contains.lower()
    else:
        yield "patterns", _pattern(clause)


def _pattern(clause: "MatchLogic") -> str:
    """Any clause as a regular expression to be searched for."""
    from genai_prices import types

    match clause:
        case types.ClauseRegex():
            pattern = clause.regex
        case types.ClauseStartsWith():
            pattern = "^" + re.escape(clause.starts_with.lower())
        case types.ClauseEndsWith():
            pattern = re.escape(clause.ends_with.lower()) + r"\Z"
        case types.ClauseContains():
            pattern = re.escape(clause.contains.lower())
        case types.ClauseEquals():
            pattern = "^" + re.escape(clause.equals.lower()) + r"\Z"
        case types.ClauseOr():
            pattern = "|".join(f"(?:{_pattern(part)})" for part in clause.or_)
        case types.ClauseAnd():
            pattern = "^" + "".join(f"(?=.*?(?:{_pattern(part)}))" for part in clause.and_)
        case _:
            assert_never(clause)
    return pattern


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)


def _card_id(provider: str, model: str, since: date | None, version: str) -> str:
    """Readable, unique and at most 80 characters: long names end in a hash."""
    wanted = f"{provider}/{model}@{since or 'start'}#{version}"
    if len(wanted) <= MAX_ID:
        return wanted
    return f"{wanted[: MAX_ID - 13]}~{sha256(wanted.encode()).hexdigest()[:12]}"
