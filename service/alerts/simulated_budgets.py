"""What budgets would have read at each quarter of an hour of the past, from the usage that they apply to.

Spending is attributed by the budgets as they are now, to the period of their rule in which it came. A budget that never
ends counts from `LEAD` before the simulation.
"""

from collections import deque
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from service.alerts.budget_outlook import History, Spending, burn_readings, forecast_readings
from service.alerts.budget_periods import BudgetSubject, PeriodSpend, Place, describe, used_readings, wanted
from service.alerts.past import Group, Quarter
from service.alerts.rules import Reading, Rule
from service.alerts.values import window_of
from service.budgets.policy import BudgetBook, RequestFacts
from service.budgets.windows import Period, period_of
from service.reporting.intervals import QUARTER
from service.reporting.measures import MEASURES

LEAD = timedelta(days=31)
_COST, _REQUESTS = MEASURES.index("cost_nanos"), MEASURES.index("requests")
_MOMENT = timedelta(microseconds=1)


class BudgetPast:
    """Takes quarters in order and gives the readings of a budget metric."""

    def __init__(self, rule: Rule, book: BudgetBook, *, zone: ZoneInfo) -> None:
        self._rule = rule
        self._book = book
        self._zone = zone
        self._spent: dict[Place, tuple[Period, int]] = {}
        self._days: dict[Place, dict[date, int]] = {}
        self._recent: deque[dict[Place, Spending]] = deque(
            maxlen=max(1, -(-window_of(rule) // QUARTER)) if rule.window else 1
        )
        self._places: dict[Group, list[Place]] = {}

    @property
    def lead(self) -> timedelta:
        """How much history there has to be before the first reading."""
        return LEAD

    @property
    def dimensions(self) -> tuple[str, ...]:
        """By what budgets tell requests apart."""
        by_end_user = any(budget.scope.kind == "end_user" for budget in self._book)
        return ("key", "project", "model", *(("end_user",) if by_end_user else ()))

    def read(self, at: datetime, quarter: Quarter) -> list[Reading]:
        """The readings at the end of this quarter."""
        now = at - _MOMENT
        self._take(quarter, now=now)
        subjects = self._subjects(now)
        match self._rule.metric:
            case "budget_used":
                return used_readings(self._rule, subjects, now=now)
            case "burn_rate":
                return burn_readings(self._rule, subjects, recent=self._window(), now=now)
            case _:
                return forecast_readings(subjects, history=History(self._days, self._zone), now=now)

    def _take(self, quarter: Quarter, *, now: datetime) -> None:
        day = now.astimezone(self._zone).date()
        recent: dict[Place, Spending] = {}
        for group, vector in quarter.items():
            for place in self._applying(group):
                cost = vector[_COST]
                mine = recent.setdefault(place, Spending())
                mine.cost_nanos += cost
                mine.requests += vector[_REQUESTS]
                days = self._days.setdefault(place, {})
                days[day] = days.get(day, 0) + cost
                period, before = self._running(place, now)
                self._spent[place] = (period, before + cost)
        self._recent.append(recent)

    def _running(self, place: Place, now: datetime) -> tuple[Period, int]:
        known = self._spent.get(place)
        if known is not None and known[0].holds(now):
            return known
        budget = self._book.find(place[0])
        assert budget is not None  # the place was found in this book
        return (period_of(budget.rule, now), 0)

    def _applying(self, group: Group) -> list[Place]:
        if group not in self._places:
            key, project, model, *rest = group
            facts = RequestFacts(key or None, project or None, (rest[0] or None) if rest else None, model)
            self._places[group] = [
                applied.place
                for applied in self._book.applying(facts)
                if wanted(self._rule, applied.budget, subject=applied.subject)
            ]
        return self._places[group]

    def _subjects(self, now: datetime) -> list[BudgetSubject]:
        found = []
        for (budget_id, subject), (period, spent) in self._spent.items():
            budget = self._book.find(budget_id)
            if budget is not None and period.holds(now):
                stands = PeriodSpend(budget_id, subject, period.starts_at, period.ends_at, spent)
                found.append(BudgetSubject(stands, budget, describe(budget, subject, names={})))
        return found

    def _window(self) -> dict[Place, Spending]:
        total: dict[Place, Spending] = {}
        for quarter in self._recent:
            for place, spent in quarter.items():
                mine = total.setdefault(place, Spending())
                mine.cost_nanos += spent.cost_nanos
                mine.requests += spent.requests
        return total
