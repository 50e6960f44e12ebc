"""What a client is told whose request a budget cannot pay for: which, its limit, spent, held, when it begins anew."""

from service.budgets.answers import Exhausted
from service.budgets.policy import Budget
from service.errors import BudgetExhaustedError
from service.pricing.money import format_usd

_PER = {"hour": "an hour", "day": "a day", "week": "a week", "month": "a month", "total": "in total"}
_WHOSE = {
    "global": "all requests",
    "project": "the project",
    "key": "the API key",
    "end_user": "the end user",
    "model": "the model",
}


def refusal_of(
    exhausted: Exhausted, budget: Budget | None, *, estimate_nanos: int, spare_nanos: int = 0
) -> BudgetExhaustedError:
    """The refusal of a request that might cost *estimate_nanos*, where its relay has *spare_nanos* left."""
    budget_id, subject = exhausted.place
    limit = f"its limit is {format_usd(exhausted.limit_nanos)} USD"
    if budget is not None:
        name = subject or budget.scope.id
        limit += f" {_PER[budget.rule.window]} for {_WHOSE[budget.scope.kind]}" + (
            f" `{name}`" if name else ""
        )
    spent, held = format_usd(exhausted.spent_nanos), format_usd(exhausted.held_nanos)
    message = (
        f"The budget {budget_id} cannot pay for this request, which may cost {format_usd(estimate_nanos)} USD: "
        f"{limit}, of which {spent} USD are spent and {held} USD held."
    )
    if exhausted.ends_at is not None:
        message += f" It begins anew at {exhausted.ends_at.isoformat().replace('+00:00', 'Z')}."
    return BudgetExhaustedError(message, budget_id=budget_id, free_nanos=exhausted.free_nanos + spare_nanos)
