"""Reads of what the acting pages change: keys with their use, budgets with their standings, alerts, the audit log."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection

from dashboard import data, spending
from dashboard.cache import CHART_TTL_S, LIVE_TTL_S, kept
from dashboard.context import current
from service.alerts.channel_registry import ChannelRecord
from service.alerts.event_log import (
    AlertEvent,
    Delivery,
    DeliveryFilter,
    EventFilter,
    list_deliveries,
    list_events,
)
from service.alerts.replay import Raised
from service.alerts.rules import Rule
from service.alerts.simulation import simulate
from service.alerts.values import NewRule, rule_from
from service.audit.trail import AuditedChange, AuditFilter, Verification
from service.budgets.policy import EACH, Budget
from service.budgets.registry import StoredBudget
from service.budgets.standings import PastPeriod, Standing, history, standing, standings
from service.keys.values import VirtualKey
from service.reporting.figures import Measures
from service.reporting.forecast import exhausted_on
from service.reporting.intervals import Span
from service.reporting.last_used import last_used
from service.reporting.usage import UsageQuery, usage_report

MOST = 1_000
KEY_USE = timedelta(days=30)
PREVIEW = timedelta(days=30)
FORECAST_KINDS = ("global", "project", "key", "model")


class KeyUse(msgspec.Struct, frozen=True):
    """A key, what it did in the last thirty days, and when it was used last."""

    key: VirtualKey
    measures: Measures | None
    last_used: datetime | None


class BudgetStanding(msgspec.Struct, frozen=True):
    """A budget and how one of its subjects stands."""

    stored: StoredBudget
    standing: Standing


@kept(LIVE_TTL_S)
def keys(tx: Connection, *, until: datetime) -> tuple[KeyUse, ...]:
    """Every key, the newest first."""
    found = current().registries.keys.list(tx, limit=MOST)
    query = UsageQuery(since=until - KEY_USE, until=until, group_by=("key",), percentiles=False)
    used = {row.dimensions["key_id"]: row.measures for row in usage_report(tx, query).rows}
    last = last_used(tx)
    return tuple(KeyUse(key, used.get(key.id), last.get(key.id)) for key in found)


@kept(LIVE_TTL_S)
def budgets(tx: Connection, *, at: datetime) -> tuple[BudgetStanding, ...]:
    """Every budget with each of its subjects, the newest first; one that nobody has used stands there empty."""
    found = current().registries.budgets.list(tx, limit=MOST)
    return tuple(
        BudgetStanding(stored, one)
        for stored in found
        for one in standings(tx, stored.budget, at=at) or [standing(tx, stored.budget, "", at=at)]
    )


@kept(LIVE_TTL_S)
def periods(tx: Connection, budget: Budget, subject: str) -> tuple[PastPeriod, ...]:
    """The periods of a budget, the latest first."""
    return tuple(history(tx, budget, subject=subject, limit=36))


def exhaustion(found: BudgetStanding) -> date | None:
    """The day on which a budget will be used up in its period; None where it will not, or nobody can say."""
    budget, stands = found.stored.budget, found.standing
    unknown = budget.scope.id == EACH and not stands.subject
    if unknown or budget.scope.kind not in FORECAST_KINDS or budget.rule.window in ("hour", "day"):
        return None
    filters: dict[str, tuple[str, ...]] = {}
    if budget.scope.kind != "global":
        filters[budget.scope.kind] = (stands.subject if budget.scope.id == EACH else budget.scope.id or "",)
    if budget.models is not None:
        filters["model"] = budget.models
    ahead = spending.month_ahead(budget.rule.timezone, filters=filters)
    if ahead.expected is None:
        return None
    zone = ZoneInfo(budget.rule.timezone)
    until = None if stands.resets_at is None else stands.resets_at.astimezone(zone).date()
    return exhausted_on(
        ahead.expected,
        today=ahead.today,
        elapsed=ahead.elapsed,
        left_nanos=stands.limit_nanos - stands.spent_nanos,
        until=until,
    )


@kept(LIVE_TTL_S)
def rules(tx: Connection) -> tuple[Rule, ...]:
    """Every alert rule, the newest first."""
    return tuple(current().registries.alerts.rules.list(tx, limit=MOST))


@kept(LIVE_TTL_S)
def channels(tx: Connection) -> tuple[ChannelRecord, ...]:
    """Every channel, without its secrets."""
    return tuple(current().registries.alerts.channels.list(tx, limit=MOST))


@kept(LIVE_TTL_S)
def events(tx: Connection, wanted: EventFilter, *, limit: int = 200) -> tuple[AlertEvent, ...]:
    """Alerts, the newest first."""
    return tuple(list_events(tx, wanted, limit=limit))


@kept(LIVE_TTL_S)
def deliveries(tx: Connection, *, event_id: UUID | None = None) -> tuple[Delivery, ...]:
    """Messages to channels, the newest first."""
    return tuple(list_deliveries(tx, DeliveryFilter(event_id=event_id), limit=100))


def preview(new: NewRule, *, timezone: str) -> Sequence[Raised]:
    """What a rule would have raised in the last thirty days."""
    now = data.now()
    columns = new.checked()
    rule = rule_from({**columns, "id": "preview", "created_at": now, "updated_at": now})
    return simulate(current().store, rule, span=Span(now - PREVIEW, now), zone=ZoneInfo(timezone))


@kept(CHART_TTL_S)
def audit(
    tx: Connection, wanted: AuditFilter, *, limit: int, before_seq: int | None = None
) -> tuple[AuditedChange, ...]:
    """Entries of the audit log, the newest first."""
    return tuple(current().registries.trail.list(tx, wanted, limit=limit, before_seq=before_seq))


def verify() -> Verification:
    """Check every entry of the audit log."""
    with current().store.read() as tx:
        return current().registries.trail.verify(tx)
