"""What ids are called: keys by their names, budgets by whom they count and for how long; deleted ones too."""

from collections.abc import Mapping

from sqlalchemy import Connection

from dashboard.cache import LIVE_TTL_S, kept
from dashboard.context import current
from service.budgets.policy import EACH, Budget
from service.budgets.values import BudgetFilter

MOST = 1_000


@kept(LIVE_TTL_S)
def keys(tx: Connection) -> Mapping[str, str]:
    """The names of keys, by id."""
    return {key.id: key.name for key in current().registries.keys.list(tx, limit=MOST)}


@kept(LIVE_TTL_S)
def budgets(tx: Connection) -> Mapping[str, str]:
    """What budgets are called, by id: `key support-bot (month)`."""
    names = {key.id: key.name for key in current().registries.keys.list(tx, limit=MOST)}
    found = current().registries.budgets.list(tx, limit=MOST, wanted=BudgetFilter(deleted=True))
    return {stored.budget.id: _of(stored.budget, names) for stored in found}


def _of(budget: Budget, names: Mapping[str, str]) -> str:
    scope, window = budget.scope, budget.rule.window
    if scope.kind == "global":
        return f"everything ({window})"
    kind = scope.kind.replace("_", " ")
    if scope.id == EACH:
        return f"each {kind} ({window})"
    return f"{kind} {names.get(scope.id or '', scope.id)} ({window})"
