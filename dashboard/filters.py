"""Filters of requests as a query string and back, for the addresses of exports. Pure.

`from_query` of `to_query` is the same filter. What cannot be read is refused by the name of its parameter, and so is
a parameter that is not known: an export must not be larger than what somebody believes to have asked for.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from service.errors import InvalidInputError
from service.pricing.money import format_usd, parse_usd
from service.reporting.dimensions import DIMENSIONS
from service.reporting.rows import RequestFilter

_INSTANTS = ("since", "until")
_AMOUNTS = {"min_cost_usd": "min_cost_nanos", "max_cost_usd": "max_cost_nanos"}
REQUEST_ID = "request_id"


def to_query(wanted: RequestFilter) -> str:
    """The query string of *wanted*."""
    pairs: list[tuple[str, str]] = []
    for name in _INSTANTS:
        instant: datetime | None = getattr(wanted, name)
        if instant is not None:
            pairs.append((name, instant.isoformat()))
    for name, field in _AMOUNTS.items():
        nanos: int | None = getattr(wanted, field)
        if nanos is not None:
            pairs.append((name, format_usd(nanos)))
    if wanted.request_id is not None:
        pairs.append((REQUEST_ID, wanted.request_id))
    pairs += [(name, value) for name, values in wanted.filters.items() for value in values]
    return urlencode(pairs)


def from_query(pairs: Iterable[tuple[str, str]]) -> RequestFilter:
    """The filter of a query string, given as pairs."""
    single: dict[str, str] = {}
    filters: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if name in DIMENSIONS:
            filters[name] = (*filters.get(name, ()), value)
        elif name in (*_INSTANTS, *_AMOUNTS, REQUEST_ID) and name not in single:
            single[name] = value
        else:
            raise InvalidInputError(f"{name[:100]!r} is not a parameter of an export", field=name[:100])
    instants: dict[str, Any] = {name: _instant(single, name) for name in _INSTANTS}
    amounts: dict[str, Any] = {
        field: amount(single.get(name), field=name) for name, field in _AMOUNTS.items()
    }
    return RequestFilter(filters=filters, request_id=single.get(REQUEST_ID), **instants, **amounts)


def amount(text: str | None, *, field: str) -> int | None:
    """Nano-USD of an amount as people write it; None where nothing is given."""
    if text is None or not text.strip():
        return None
    return parse_usd(text.strip().removeprefix("$"), field=field)


def _instant(given: Mapping[str, str], name: str) -> datetime | None:
    if name not in given:
        return None
    try:
        found = datetime.fromisoformat(given[name])
    except ValueError as error:
        raise InvalidInputError(
            f"{name} is not an instant such as 2026-01-31T00:00:00Z", field=name
        ) from error
    if found.tzinfo is None:
        raise InvalidInputError(f"{name} has no time zone; write 2026-01-31T00:00:00Z", field=name)
    return found
