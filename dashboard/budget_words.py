"""How a budget stands in words and as one bar: what is spent, what is held, what is left. Pure."""

from collections.abc import Mapping, Sequence

from dashboard import formats
from dashboard.charts import AMBER, BLUE, GREY, Option
from dashboard.control_tables import whose
from dashboard.controlling import BudgetStanding
from service.pricing.money import NANOS_PER_USD

LITTLE = 0.05
"""The share of its limit below which a hard budget has little left."""
MOST_SENTENCES = 5
_COLORS = {"Spent": BLUE, "Held": AMBER, "Left": GREY}


def tight(found: Sequence[BudgetStanding], *, names: Mapping[str, str]) -> list[str]:
    """A sentence for each hard budget with little left, those with the least share left first."""
    few = [one for one in found if one.stored.budget.mode == "hard" and left(one) < LITTLE]
    few.sort(key=left)
    shown = [sentence(one, names=names) for one in few[:MOST_SENTENCES]]
    rest = len(few) - len(shown)
    return [*shown, f"So have {rest} more budgets."] if rest else shown


def left(one: BudgetStanding) -> float:
    """The share of the limit that is neither spent nor held."""
    return one.standing.remaining_nanos / one.standing.limit_nanos


def sentence(one: BudgetStanding, *, names: Mapping[str, str]) -> str:
    """What is left of a budget, and what took the rest."""
    stands = one.standing
    who = whose(one, names=names)
    window = one.stored.budget.rule.window
    return (
        f"The budget of {who} ({window}) has {formats.usd(stands.remaining_nanos)} left of "
        f"{formats.usd(stands.limit_nanos)}: {formats.usd(stands.spent_nanos)} spent, "
        f"{formats.usd(stands.held_nanos)} held for requests that are running. What may cost more is refused."
    )


def division(parts: Mapping[str, int], *, limit_nanos: int) -> Option:
    """One bar across the limit, or across what was taken where that is more."""
    longest = max(limit_nanos, sum(parts.values()))
    return {
        "animation": False,
        "grid": {"left": 0, "right": 0, "top": 30, "bottom": 0},
        "legend": {
            "top": 0,
            "left": 0,
            "icon": "roundRect",
            "itemWidth": 10,
            "itemHeight": 10,
            "itemGap": 14,
        },
        "tooltip": {"trigger": "item", "valueFormatter": "$%,.9f", "confine": True},
        "xAxis": {"type": "value", "max": longest / NANOS_PER_USD, "show": False},
        "yAxis": {"type": "category", "data": [""], "show": False},
        "series": [
            {
                "type": "bar",
                "name": label,
                "stack": "limit",
                "barWidth": 18,
                "itemStyle": {"color": _COLORS[label], "opacity": 0.35 if label == "Left" else 1},
                "data": [nanos / NANOS_PER_USD],
            }
            for label, nanos in parts.items()
        ],
    }
