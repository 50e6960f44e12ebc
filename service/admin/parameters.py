"""Query parameters that several resources share: instants, dimensions, amounts. Pure.

An unknown parameter is refused: a filter with a typing error would silently show everything.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from service.errors import InvalidInputError
from service.pricing.money import parse_usd
from service.reporting.dimensions import DIMENSIONS
from service.reporting.intervals import start_of_day

D = TypeVar("D", bound=date)
YEARS = range(1980, 9000)
Pairs = Sequence[tuple[str, str]]


def refuse_unknown(pairs: Pairs, *, known: Iterable[str]) -> None:
    """Only *known* parameters and dimensions, and each but a dimension at most once."""
    single = set(known)
    seen: set[str] = set()
    for name, _value in pairs:
        if name not in single and name not in DIMENSIONS:
            raise InvalidInputError(f"{name[:100]!r} is not a parameter of this resource", field=name[:100])
        if name in single and name in seen:
            raise InvalidInputError(f"{name} is given twice", field=name)
        seen.add(name)


def refuse_others(pairs: Iterable[tuple[str, str]], *, known: Iterable[str]) -> None:
    """Only *known* parameters, where dimensions are no filters."""
    for name, _value in pairs:
        if name not in known:
            raise InvalidInputError(f"{name[:100]!r} is not a parameter of this resource", field=name[:100])


def filters_of(pairs: Pairs) -> Mapping[str, tuple[str, ...]]:
    """For each dimension the values that were given; several mean "any of them"."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if name in DIMENSIONS:
            found[name] = (*found.get(name, ()), value)
    return found


def _in_range(when: D, *, field: str) -> D:
    """Refuse what arithmetic on a range could carry out of the calendar."""
    if when.year not in YEARS:
        raise InvalidInputError(
            f"{field} is in the year {when.year}; use {YEARS[0]} to {YEARS[-1]}", field=field
        )
    return when


def instant_of(text: str, *, field: str, zone: ZoneInfo) -> datetime:
    """An ISO 8601 instant with its offset, or a day, which begins at midnight in *zone*."""
    try:
        if len(text) == len("2026-01-31"):
            return start_of_day(_in_range(date.fromisoformat(text), field=field), zone=zone)
        spelt = text.replace(" ", "+")  # an unescaped + arrives as a space
        instant = _in_range(datetime.fromisoformat(spelt), field=field)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(
            f"{field} is {text[:50]!r}; write 2026-01-31T00:00:00Z or 2026-01-31", field=field
        ) from error
    if instant.tzinfo is None:
        raise InvalidInputError(f"{field} has no UTC offset; write 2026-01-31T00:00:00Z", field=field)
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInputError(f"{field} is out of range", field=field) from error


def optional_instant(text: str | None, *, field: str, zone: ZoneInfo) -> datetime | None:
    """As `instant_of`; None stays None."""
    return None if text is None else instant_of(text, field=field, zone=zone)


def optional_usd(text: str | None, *, field: str) -> int | None:
    """A decimal amount in USD as nano-USD; None stays None."""
    return None if text is None else parse_usd(text, field=field)
