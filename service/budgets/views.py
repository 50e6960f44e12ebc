"""Budgets as API and command line show them: amounts are decimal strings, the fields those of the contract. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

import msgspec

from service.budgets.policy import EACH, Budget, Mode, ScopeKind
from service.budgets.standings import HeldLease, PastPeriod, Standing
from service.budgets.windows import Window
from service.pricing.money import format_usd


class ScopeView(msgspec.Struct, frozen=True):
    """Whose spending counts; the id `*` is each one by itself."""

    kind: ScopeKind
    id: str | None


class RaiseView(msgspec.Struct, frozen=True):
    """A temporary raise."""

    amount_usd: str
    until: datetime


class BudgetFields(msgspec.Struct, frozen=True, kw_only=True):
    """What a budget is made of."""

    scope: ScopeView
    models: list[str] | None
    limit_usd: str
    window: Window
    timezone: str
    anchor_day: int
    mode: Mode
    thresholds: list[float]
    temporary_raise: RaiseView | None = msgspec.field(name="raise")

    @classmethod
    def of(cls, budget: Budget, **more: Any) -> Self:
        """The budget's own fields; *more* are those of a subclass."""
        raised = budget.raised
        return cls(
            scope=ScopeView(budget.scope.kind, budget.scope.id),
            models=None if budget.models is None else list(budget.models),
            limit_usd=format_usd(budget.limit_nanos),
            window=budget.rule.window,
            timezone=budget.rule.timezone,
            anchor_day=budget.rule.anchor_day,
            mode=budget.mode,
            thresholds=list(budget.thresholds),
            temporary_raise=None
            if raised is None
            else RaiseView(format_usd(raised.amount_nanos), raised.until),
            **more,
        )


class StandingView(msgspec.Struct, frozen=True, kw_only=True):
    """One period: *limit_now_usd* includes a temporary raise."""

    subject: str | None
    starts_at: datetime
    resets_at: datetime | None
    limit_now_usd: str
    spent_usd: str
    held_usd: str
    remaining_usd: str

    @classmethod
    def of(cls, found: Standing) -> Self:
        """The same with amounts as text."""
        return cls(
            subject=found.subject or None,
            starts_at=found.starts_at,
            resets_at=found.resets_at,
            limit_now_usd=format_usd(found.limit_nanos),
            spent_usd=format_usd(found.spent_nanos),
            held_usd=format_usd(found.held_nanos),
            remaining_usd=format_usd(found.remaining_nanos),
        )


class BudgetView(BudgetFields, frozen=True, kw_only=True):
    """A budget and how it stands now; of one with the scope id `*` every subject stands for itself: see there."""

    id: str
    limit_now_usd: str
    spent_usd: str | None
    held_usd: str | None
    remaining_usd: str | None
    starts_at: datetime
    resets_at: datetime | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None

    @classmethod
    def standing(cls, budget: Budget, found: Standing, **dates: Any) -> Self:
        """The budget, and how it stands."""
        shown = msgspec.structs.asdict(StandingView.of(found))
        del shown["subject"]
        if budget.scope.id == EACH and not found.subject:
            shown |= dict.fromkeys(("spent_usd", "held_usd", "remaining_usd"))
        return cls.of(budget, id=budget.id, **shown, **dates)


class LeaseView(msgspec.Struct, frozen=True, kw_only=True):
    """What one relay holds of the period's money, and why."""

    id: str
    holder: str
    state: str
    granted_usd: str
    spent_usd: str
    held_usd: str
    expires_at: datetime
    why: str

    @classmethod
    def of(cls, lease: HeldLease, *, now: datetime) -> Self:
        """The lease as it stands at *now*."""
        return cls(
            id=str(lease.id),
            holder=lease.holder,
            state=lease.state,
            granted_usd=format_usd(lease.granted_nanos),
            spent_usd=format_usd(lease.spent_nanos),
            held_usd=format_usd(lease.held_nanos),
            expires_at=lease.expires_at,
            why=_why(lease, now=now),
        )


class BudgetDetail(BudgetView, frozen=True, kw_only=True):
    """A budget, who holds its money, and, where its scope id is `*`, how its subjects stand."""

    leases: list[LeaseView]
    subjects: list[StandingView] | None

    @classmethod
    def whole(
        cls,
        budget: Budget,
        found: Standing,
        *,
        leases: Sequence[HeldLease],
        subjects: Sequence[Standing] | None,
        now: datetime,
        **dates: Any,
    ) -> Self:
        """Everything that is known of a budget at *now*."""
        return cls.standing(
            budget,
            found,
            leases=[LeaseView.of(lease, now=now) for lease in leases],
            subjects=None if subjects is None else [StandingView.of(one) for one in subjects],
            **dates,
        )


class PeriodView(msgspec.Struct, frozen=True, kw_only=True):
    """A period of the history. *limit_usd* is the highest that was in force in it, raises included."""

    subject: str | None
    starts_at: datetime
    ends_at: datetime | None
    limit_usd: str
    spent_usd: str
    held_usd: str

    @classmethod
    def of(cls, period: PastPeriod) -> Self:
        """The same with amounts as text."""
        return cls(
            subject=period.subject or None,
            starts_at=period.starts_at,
            ends_at=period.ends_at,
            limit_usd=format_usd(period.limit_nanos),
            spent_usd=format_usd(period.spent_nanos),
            held_usd=format_usd(period.held_nanos),
        )


def _why(lease: HeldLease, *, now: datetime) -> str:
    match lease.state:
        case "active" if lease.expires_at > now:
            return "a relay spends from it"
        case "active":
            return "nobody renews it: its relay is gone or cut off; it goes into quarantine"
        case "quarantined":
            return "its relay is gone or cut off; free once its journal is read, else burned"
        case _:
            return "burned: nobody can say whether it was spent; free once its relay's journal is read"
