"""Points in time as people type them: `7d` (ago), a day, or an instant."""

from datetime import datetime
from zoneinfo import ZoneInfo

from service.admin.parameters import instant_of
from service.errors import InvalidInputError
from service.keys.values import parse_duration


def point_in_time(text: str, *, field: str, zone: ZoneInfo, now: datetime) -> datetime:
    """`7d` is 7 days before *now*; a day begins at midnight in *zone*."""
    try:
        return now - parse_duration(text, field=field)
    except InvalidInputError:
        pass
    except OverflowError as error:
        raise InvalidInputError(
            f"{field} is {text!r} ago, which is before all records", field=field
        ) from error
    try:
        return instant_of(text, field=field, zone=zone)
    except InvalidInputError as error:
        raise InvalidInputError(f"{error}, or 7d for seven days ago", field=field) from error


def filters_of_options(given: dict[str, str | None], pairs: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Filters from `--model gpt-4o` and `--filter end_user=anna`; a comma separates alternatives."""
    found: dict[str, tuple[str, ...]] = {
        name: tuple(value.split(",")) for name, value in given.items() if value is not None
    }
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InvalidInputError(f"--filter {pair!r} must be DIMENSION=VALUE", field="filter")
        found[name] = (*found.get(name, ()), value)
    return found
