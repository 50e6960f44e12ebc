"""A user's own price: from plain fields to a price card. Pure.

The fields are those of the admin API, of price files and of listings alike. Amounts are decimal strings.

    provider, model, aliases      model may hold `*`; no provider means any
    scope, scope_id               key, project, upstream or global (the default, without an id)
    effective_from, effective_to  RFC 3339 instants, or dates (midnight UTC); the end is exclusive
    <meter>_usd_per_mtok          USD per million tokens, e.g. cache_read_input_usd_per_mtok
    request_usd, web_search_usd   USD each
    tiers                         [{from_input_tokens, prices}]: for requests with that much input or more
    windows                       [{from, to, prices}]: for hours of the day, "01:00" in UTC; midnight ends at "24:00"
    variants                      {batch | flex | priority | …: prices}: by tier of service

Errors are InvalidInputError and name the field, inner ones as `tiers[0].input_usd_per_mtok`.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from typing import Any, cast

from service.errors import InvalidInputError
from service.pricing.card import (
    METERS,
    MINUTES_PER_DAY,
    ModelMatch,
    PriceCard,
    Rates,
    RateStep,
    Scope,
    Steps,
    TimeWindow,
    Variant,
    flat,
    overlaid,
)
from service.pricing.money import MAX_NANOS, PICOS_PER_NANO, parse_usd, parse_usd_per_mtok
from service.settings.checks import label_problem

UNIT_METERS = ("web_search", "request")
METER_OF_FIELD = {
    f"{meter}_usd" if meter in UNIT_METERS else f"{meter}_usd_per_mtok": meter for meter in METERS
}
SCOPES = ("global", "key", "project", "upstream")
TOP_FIELDS = (
    "provider", "model", "aliases", "scope", "scope_id", "effective_from", "effective_to",
    *METER_OF_FIELD, "tiers", "windows", "variants",
)  # fmt: skip
MAX_NAME = 200
MAX_PROVIDER = 64

_CLOCK = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")


def override_card(fields: Mapping[str, Any]) -> PriceCard:
    """The card that *fields* describe; its id is given by the catalog. A field that is None is absent."""
    given = _known(fields, allowed=TOP_FIELDS, path="")
    rates = _rates(given, path="")
    if rates == Rates():
        raise InvalidInputError(
            "a price needs at least one amount, such as input_usd_per_mtok", field="input_usd_per_mtok"
        )
    scope, scope_id = _scope(given)
    since, until = _instant(given, "effective_from"), _instant(given, "effective_to")
    if since is not None and until is not None and until <= since:
        raise InvalidInputError("effective_to must be later than effective_from", field="effective_to")
    model = _text(given, "model", limit=MAX_NAME)
    if model is None:
        raise InvalidInputError(
            "model is missing; write the name of a model, such as gpt-4o or gpt-4o*", field="model"
        )
    return PriceCard(
        id="",
        source="override",
        source_version="1",
        scope=scope,
        scope_id=scope_id,
        provider=_text(given, "provider", limit=MAX_PROVIDER),
        model=model,
        match=_match(model, aliases=given.get("aliases", ())),
        effective_from=since,
        effective_to=until,
        rates=rates,
        windows=tuple(_windows(given, standard=rates)),
        variants=tuple(_variants(given)),
    )


def _known(fields: Any, *, allowed: tuple[str, ...], path: str) -> dict[str, Any]:
    """The fields that are there; refuses what is not a table, and unknown names."""
    if not isinstance(fields, Mapping):
        raise InvalidInputError(
            f"{path.rstrip('.') or 'a price'} must be a table of fields", field=path.rstrip(".")
        )
    for name in fields:
        if name not in allowed:
            near = get_close_matches(str(name), allowed, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(allowed)}"
            raise InvalidInputError(f"{path}{name} is not a field of a price{hint}", field=f"{path}{name}")
    return {name: value for name, value in fields.items() if value is not None}


def _rates(given: Mapping[str, Any], *, path: str) -> Rates:
    """The amounts of one table, with the tiers in it."""
    steps: dict[str, Steps] = {
        meter: flat(_picos(given[name], field=f"{path}{name}"))
        for name, meter in METER_OF_FIELD.items()
        if name in given
    }
    reached = 0
    for number, entry in enumerate(_rows(given, "tiers", path=path)):
        inner = f"{path}tiers[{number}]."
        tier = _known(entry, allowed=("from_input_tokens", *METER_OF_FIELD), path=inner)
        start = tier.get("from_input_tokens")
        if type(start) is not int or start <= reached:
            raise InvalidInputError(
                f"{inner}from_input_tokens must be a whole number above {reached}",
                field=f"{inner}from_input_tokens",
            )
        reached = start
        for name, meter in METER_OF_FIELD.items():
            if name in tier and meter not in steps:
                raise InvalidInputError(f"{inner}{name} has no price below the tier", field=f"{inner}{name}")
            if name in tier:
                steps[meter] = (*steps[meter], RateStep(start, _picos(tier[name], field=f"{inner}{name}")))
    return Rates(**steps)


def _picos(amount: Any, *, field: str) -> int:
    if type(amount) is int:
        amount = str(amount)
    if not isinstance(amount, str):
        raise InvalidInputError(
            f'{field} is {amount!r}; write the amount as a decimal string, such as "2.50"', field=field
        )
    if field.endswith("_usd_per_mtok"):
        return parse_usd_per_mtok(amount, field=field)
    picos = parse_usd(amount, field=field) * PICOS_PER_NANO
    if picos > MAX_NANOS:
        raise InvalidInputError(f"{field} is {amount}, which is more than can be stored", field=field)
    return picos


def _windows(given: Mapping[str, Any], *, standard: Rates) -> Iterator[TimeWindow]:
    for number, entry in enumerate(_rows(given, "windows", path="")):
        path = f"windows[{number}]."
        window = _known(entry, allowed=("from", "to", *METER_OF_FIELD, "tiers"), path=path)
        yield TimeWindow(
            start_minute=_minute(window.get("from"), field=f"{path}from"),
            end_minute=_minute(window.get("to"), field=f"{path}to"),
            rates=overlaid(standard, _rates(window, path=path)),
        )


def _variants(given: Mapping[str, Any]) -> Iterator[Variant]:
    variants = given.get("variants", {})
    if not isinstance(variants, Mapping):
        raise InvalidInputError(
            "variants must be a table: one table of amounts for each tier", field="variants"
        )
    for tier, entry in variants.items():
        path = f"variants.{tier}."
        yield Variant(
            tier=_label(tier, field="variants", limit=MAX_PROVIDER),
            rates=_rates(_known(entry, allowed=(*METER_OF_FIELD, "tiers"), path=path), path=path),
        )


def _rows(given: Mapping[str, Any], name: str, *, path: str) -> list[Any]:
    rows = given.get(name, [])
    if not isinstance(rows, list):
        raise InvalidInputError(f"{path}{name} must be a list of tables", field=f"{path}{name}")
    return rows


def _scope(given: Mapping[str, Any]) -> tuple[Scope, str | None]:
    scope, scope_id = given.get("scope", "global"), _text(given, "scope_id", limit=MAX_NAME)
    if scope not in SCOPES:
        raise InvalidInputError(f"scope is {scope!r}; use one of {', '.join(SCOPES)}", field="scope")
    if (scope == "global") != (scope_id is None):
        raise InvalidInputError(
            "a global price has no scope_id" if scope == "global" else f"scope_id is missing: which {scope}?",
            field="scope_id",
        )
    return cast(Scope, scope), scope_id


def _text(given: Mapping[str, Any], name: str, *, limit: int) -> str | None:
    text = given.get(name)
    if text is None:
        return None
    return _label(text, field=name, limit=limit)


def _label(text: Any, *, field: str, limit: int) -> str:
    """A name. Spaces around it, as in tables that were typed, do not belong to it."""
    label = text.strip(" ") if isinstance(text, str) else ""
    if problem := label_problem(label, longest=limit):
        raise InvalidInputError(f"{field} {problem}", field=field)
    return label


def _match(model: str, *, aliases: Any) -> ModelMatch:
    if not isinstance(aliases, list | tuple):
        raise InvalidInputError("aliases must be a list of model names", field="aliases")
    names = tuple(_label(alias, field="aliases", limit=MAX_NAME).lower() for alias in aliases)
    name = model.lower()
    if "*" not in name:
        return ModelMatch(exact=(name, *names))
    if name.index("*") == len(name) - 1:
        return ModelMatch(exact=names, prefixes=(name[:-1],))
    return ModelMatch(exact=names, patterns=("^" + ".*".join(map(re.escape, name.split("*"))) + r"\Z",))


def _instant(given: Mapping[str, Any], name: str) -> datetime | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        value = _parsed_instant(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time(), UTC)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidInputError(
            f"{name} is {given[name]!r}; write a date, or an instant with its time zone, such as 2026-12-01T00:00:00Z",
            field=name,
        )
    return value.astimezone(UTC)


def _parsed_instant(text: str) -> date | datetime | None:
    for parse in (date.fromisoformat, datetime.fromisoformat):
        try:
            return parse(text)
        except ValueError:
            continue
    return None


def _minute(clock: Any, *, field: str) -> int:
    text = clock.strftime("%H:%M") if isinstance(clock, time) else clock
    match = _CLOCK.fullmatch(text) if isinstance(text, str) else None
    minute = int(match[1]) * 60 + int(match[2]) if match else MINUTES_PER_DAY + 1
    if minute > MINUTES_PER_DAY:
        raise InvalidInputError(
            f"{field} is {clock!r}; write a time of day in UTC, such as 01:30", field=field
        )
    return minute
