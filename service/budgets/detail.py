"""Everything that is known of one budget, for whoever wants to understand it. Reads only."""

from datetime import datetime

from sqlalchemy import Connection

from service.budgets.policy import EACH
from service.budgets.registry import StoredBudget
from service.budgets.standings import held_by, standing, standings
from service.budgets.values import check_subject
from service.budgets.views import BudgetDetail
from service.errors import InvalidInputError


def detail(tx: Connection, found: StoredBudget, *, subject: str | None, now: datetime) -> BudgetDetail:
    """The budget, or one *subject* of it, as it stands at *now*, with the leases that hold its money."""
    budget = found.budget
    each = budget.scope.id == EACH
    if subject is not None:
        check_subject(subject, field="subject")
        if not each:
            raise InvalidInputError(
                "subject: only a budget with the scope id `*` has subjects", field="subject"
            )
    here = standing(tx, budget, subject or "", at=now)
    return BudgetDetail.whole(
        budget,
        here,
        leases=held_by(tx, here.key),
        subjects=standings(tx, budget, at=now) if each and subject is None else None,
        now=now,
        **found.dates,
    )
