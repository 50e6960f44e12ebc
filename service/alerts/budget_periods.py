"""Readings of what budgets have used: the running periods in the store.

What is spent is what `service.budgets` says everywhere: what was charged directly, and what the leases report. Only
periods that have committed at least `floor` of their limit are read: nothing is spent that was not committed first,
so a threshold above what is committed cannot be reached.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Double, and_, cast, func, or_, select

from service.alerts.measuring import BudgetFigures, budget_thresholds, used
from service.alerts.rules import Reading, Rule
from service.budgets.policy import EACH, Budget, BudgetBook
from service.pricing.money import format_usd
from service.reporting.usage import key_names
from service.store.budget_tables import budget as budget_table
from service.store.budget_tables import budget_lease, budget_period

BARELY = 0.999999
"""Where a floor is compared, rounding must not hide a period."""
_PERIOD = budget_period.c
_LEASE = budget_lease.c

Place = tuple[str, str]
"""Budget and subject."""


class PeriodSpend(msgspec.Struct, frozen=True):
    """A running period and what it has spent."""

    budget_id: str
    subject: str
    starts_at: datetime
    ends_at: datetime | None
    spent_nanos: int

    @property
    def place(self) -> Place:
        """Whose money it is."""
        return (self.budget_id, self.subject)


class BudgetSubject(msgspec.Struct, frozen=True):
    """A period with its budget and what to call it."""

    period: PeriodSpend
    budget: Budget
    about: str

    def figures(self, now: datetime) -> BudgetFigures:
        """How the period stands."""
        return BudgetFigures(
            limit_nanos=self.budget.limit_at(now),
            spent_nanos=self.period.spent_nanos,
            starts_at=self.period.starts_at,
            ends_at=self.period.ends_at,
        )

    def reading(
        self, value: float, *, figures: BudgetFigures, enough: bool = True, **details: Any
    ) -> Reading:
        """A reading of the period."""
        subject = self.period.budget_id + (f"/{self.period.subject}" if self.period.subject else "")
        return Reading(
            subject=subject,
            value=value,
            enough=enough,
            period=self.period.starts_at,
            starts_at=self.period.starts_at,
            ends_at=self.period.ends_at,
            details={
                "about": self.about,
                "budget": self.period.budget_id,
                "limit_usd": format_usd(figures.limit_nanos),
                "spent_usd": format_usd(figures.spent_nanos),
                **details,
            },
        )


def running_periods(tx: Connection, *, now: datetime, floor: float = 0.0) -> list[PeriodSpend]:
    """The periods of *now* that have committed at least *floor* of the limit (without a temporary raise)."""
    mine = and_(
        _LEASE.budget_id == _PERIOD.budget_id,
        _LEASE.subject == _PERIOD.subject,
        _LEASE.starts_at == _PERIOD.starts_at,
    )
    leased = select(func.coalesce(func.sum(_LEASE.spent_nanos), 0)).where(mine).scalar_subquery()
    columns = (_PERIOD.budget_id, _PERIOD.subject, _PERIOD.starts_at, _PERIOD.ends_at)
    query = (
        select(*columns, _PERIOD.direct_nanos, leased.label("leased"))
        .join_from(budget_period, budget_table, _PERIOD.budget_id == budget_table.c.id)
        .where(
            budget_table.c.deleted_at.is_(None),
            _PERIOD.starts_at <= now,
            or_(_PERIOD.ends_at > now, _PERIOD.ends_at.is_(None)),
            _PERIOD.committed_nanos >= cast(budget_table.c.limit_nanos, Double) * (floor * BARELY),
        )
    )
    return [
        PeriodSpend(
            row.budget_id, row.subject, row.starts_at, row.ends_at, int(row.direct_nanos) + int(row.leased)
        )
        for row in tx.execute(query)
    ]


def lowest_threshold(rules: Iterable[Rule], budgets: Iterable[Budget]) -> float:
    """The share of its limit from which on some rule may be interested in some budget."""
    shares = [share for budget in budgets for share in budget.thresholds]
    for rule in rules:
        own = [limit for limit in (rule.warning, rule.critical) if limit is not None]
        if own:
            shares.append(min(own))
    return min(shares, default=1.0)


def chosen(
    tx: Connection, rule: Rule, *, periods: Sequence[PeriodSpend], book: BudgetBook
) -> list[BudgetSubject]:
    """The periods that the rule's filter lets through, with their names."""
    found = []
    for period in periods:
        budget = book.find(period.budget_id)
        if budget is not None and wanted(rule, budget, subject=period.subject):
            found.append((period, budget))
    keys = [_whose(budget, one.subject) for one, budget in found if budget.scope.kind == "key"]
    names = key_names(tx, keys)
    return [BudgetSubject(one, budget, describe(budget, one.subject, names=names)) for one, budget in found]


def wanted(rule: Rule, budget: Budget, *, subject: str) -> bool:
    """Whether the rule's filter lets a budget's subject through."""
    facts = {"budget": budget.id, "scope": budget.scope.kind, "subject": _whose(budget, subject)}
    return all(facts[name] in values for name, values in rule.filters.items())


def describe(budget: Budget, subject: str, *, names: Mapping[str, str]) -> str:
    """What to call a budget's subject; *names* are those of keys."""
    whose = _whose(budget, subject)
    kind = budget.scope.kind.replace("_", " ")
    every = "" if budget.rule.window == "total" else f" ({budget.rule.window})"
    if budget.scope.kind == "global":
        return f"The global budget{every}"
    return f"The budget of {kind} {names.get(whose, whose)}{every}"


def used_readings(rule: Rule, subjects: Iterable[BudgetSubject], *, now: datetime) -> list[Reading]:
    """The share of its limit that each period has used."""
    readings = []
    for one in subjects:
        figures = one.figures(now)
        thresholds = budget_thresholds(rule, own=one.budget.thresholds)
        reading = one.reading(used(figures), figures=figures, mode=one.budget.mode)
        readings.append(msgspec.structs.replace(reading, thresholds=thresholds))
    return readings


def _whose(budget: Budget, subject: str) -> str:
    return subject if budget.scope.id == EACH else budget.scope.id or ""
