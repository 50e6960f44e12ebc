"""A virtual key and its budgets, made in one transaction: all of it or nothing."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from service.audit.actor import Actor
from service.budgets.registry import BudgetRegistry, StoredBudget
from service.budgets.standings import standing
from service.budgets.values import GivenScope, KeyBudget, parse_short
from service.budgets.views import BudgetView
from service.errors import InvalidInputError
from service.keys.registry import IssuedKey, KeyRegistry
from service.keys.values import NewKey

MOST_BUDGETS = 20


class NewKeyWithBudgets(NewKey, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new virtual key is made of. A budget is an object, or short, such as `10usd/month`."""

    budgets: list[KeyBudget | str] = []  # noqa: RUF012  (msgspec copies it for each key)


class KeyMade(msgspec.Struct, frozen=True):
    """A new key, and its budgets in the order in which they were given."""

    issued: IssuedKey
    budgets: tuple[StoredBudget, ...]


def create_key(
    tx: Connection, new: NewKeyWithBudgets, *, keys: KeyRegistry, budgets: BudgetRegistry, by: Actor
) -> KeyMade:
    """A new key with its first secret and its budgets."""
    given = _checked(new.budgets)
    issued = keys.create(tx, new, by=by)
    scope = GivenScope("key", issued.key.id)
    return KeyMade(issued, tuple(budgets.create(tx, one.of(scope), by=by) for one in given))


def views_of(tx: Connection, made: Sequence[StoredBudget], *, now: datetime) -> list[BudgetView]:
    """The budgets as API and command line show them."""
    return [
        BudgetView.standing(one.budget, standing(tx, one.budget, "", at=now), **one.dates) for one in made
    ]


def _checked(given: Sequence[KeyBudget | str]) -> list[KeyBudget]:
    """Refuses by the place in the list, before anything is made."""
    if len(given) > MOST_BUDGETS:
        raise InvalidInputError(f"budgets: at most {MOST_BUDGETS} at once", field="budgets")
    found = []
    for number, one in enumerate(given):
        place = f"budgets[{number}]"
        if isinstance(one, str):
            limit, window = parse_short(one, field=place)
            found.append(KeyBudget(limit_usd=limit, window=window))
            continue
        try:
            one.of(GivenScope("key", "*")).checked()
        except InvalidInputError as error:
            field = f"{place}.{error.field}" if error.field else place
            raise InvalidInputError(f"{place}: {error}", field=field) from error
        found.append(one)
    return found
