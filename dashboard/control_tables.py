"""Keys, budgets, alerts and audit entries as tables; names are text, amounts exact. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import msgspec
import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from dashboard import formats
from dashboard.controlling import BudgetStanding, KeyUse
from dashboard.tables import Shown, usd, usd_format
from service.alerts.event_log import AlertEvent, Delivery
from service.alerts.replay import Raised
from service.alerts.rules import Rule
from service.audit.trail import AuditedChange
from service.budgets.policy import EACH, Budget
from service.budgets.standings import PastPeriod
from service.keys.values import status_of

STATE_COLORS: Mapping[str, str] = {"firing": "red", "pending": "orange", "resolved": "green"}


def keys(found: Sequence[KeyUse], *, now: datetime, timezone: str) -> Shown:
    """One row a key, in the order given."""
    costs = [
        None if one.measures is None or formats.is_unpriced(one.measures) else one.measures.cost_nanos
        for one in found
    ]
    columns: dict[str, list[Any]] = {
        "Name": [one.key.name for one in found],
        "Project": [one.key.project for one in found],
        "Status": [status_of(one.key, now=now) for one in found],
        "Spend": [usd(cost) for cost in costs],
        "Priced": [None if one.measures is None else formats.priced(one.measures) for one in found],
        "Requests": [0 if one.measures is None else one.measures.requests for one in found],
        "Last used": [_instant(one.last_used, timezone) for one in found],
        "Models": [", ".join(one.key.models) if one.key.models else "all" for one in found],
        "Limits": [_limits(one.key.limits) for one in found],
        "Expires": [_instant(one.key.expires_at, timezone) for one in found],
        "Created": [_instant(one.key.created_at, timezone) for one in found],
        "Id": [one.key.id for one in found],
    }
    column = st.column_config
    config = {
        "Name": column.TextColumn(width=150),
        "Project": column.TextColumn(width=95),
        "Status": column.TextColumn(width=65),
        "Spend": column.NumberColumn(format=usd_format(costs)),
        "Priced": column.TextColumn(alignment="right", width=75),
        "Requests": column.NumberColumn(format="localized", width=75),
        "Last used": column.TextColumn(width=140),
        "Models": column.TextColumn(width=130),
        "Id": column.TextColumn(width="medium"),
    }
    texts = dict.fromkeys(("Priced", "Last used", "Limits", "Expires"), pa.string())
    return Shown(columns, config, {"Spend": pa.float64(), **texts})


def budgets(
    found: Sequence[BudgetStanding], *, names: Mapping[str, str], days: Sequence[date | None], timezone: str
) -> Shown:
    """One row a budget and subject; *names* are those of keys, *days* those on which each will be used up."""
    rows = [one.standing for one in found]
    columns: dict[str, list[Any]] = {
        "Who": [whose(one, names=names) for one in found],
        "Window": [one.stored.budget.rule.window for one in found],
        "Mode": [one.stored.budget.mode for one in found],
        "Used": [row.spent_nanos / row.limit_nanos for row in rows],
        "Spent": [usd(row.spent_nanos) for row in rows],
        "Held": [usd(row.held_nanos) for row in rows],
        "Limit": [usd(row.limit_nanos) for row in rows],
        "Left": [usd(row.remaining_nanos) for row in rows],
        "Resets": [_instant(row.resets_at, timezone) or "never" for row in rows],
        "Used up on": [None if day is None else str(day) for day in days],
        "Models": [", ".join(one.stored.budget.models or ()) or "all" for one in found],
    }
    column = st.column_config
    money = {
        "Spent": "What this period has cost.",
        "Held": "What requests that are running may still cost.",
        "Limit": "In force now, a temporary raise included.",
        "Left": "Neither spent nor held.",
    }
    amounts = [nanos for row in rows for nanos in (row.spent_nanos, row.held_nanos, row.limit_nanos)]
    form = usd_format([round(nanos, -5) for nanos in amounts])
    config: dict[str, Any] = {
        name: column.NumberColumn(format=form, help=text) for name, text in money.items()
    }
    config |= {
        "Who": column.TextColumn(width=190),
        "Window": column.TextColumn(width=65),
        "Mode": column.TextColumn(width=55, help="hard refuses, soft only counts."),
        "Used": column.ProgressColumn(format="percent", min_value=0, max_value=1, width=130),
        "Resets": column.TextColumn(width=140),
        "Used up on": column.TextColumn(width=90, help="If days go on like those of the last four weeks."),
    }
    types = {**dict.fromkeys(("Used", *money), pa.float64()), "Used up on": pa.string()}
    return Shown(columns, config, types)


def whose(found: BudgetStanding, *, names: Mapping[str, str]) -> str:
    """Whose spending a budget counts, in words."""
    scope = found.stored.budget.scope
    if scope.kind == "global":
        return "everything"
    kind = scope.kind.replace("_", " ")
    identifier = found.standing.subject if scope.id == EACH else scope.id or ""
    if scope.id == EACH and not identifier:
        return f"each {kind}"
    return f"{kind} {names.get(identifier, identifier)}"


def periods(found: Sequence[PastPeriod], *, budget: Budget, timezone: str) -> Shown:
    """The history of a budget, the latest period first."""
    columns: dict[str, list[Any]] = {
        "From": [_instant(one.starts_at, timezone) for one in found],
        "To": [_instant(one.ends_at, timezone) or "open" for one in found],
        "Spent": [usd(one.spent_nanos) for one in found],
        "Of the limit": [one.spent_nanos / budget.limit_nanos for one in found],
        "Held": [usd(one.held_nanos) for one in found],
    }
    column = st.column_config
    money = column.NumberColumn(format=usd_format([one.spent_nanos for one in found]))
    config = {
        "Spent": money,
        "Held": money,
        "Of the limit": column.ProgressColumn(
            format="percent", min_value=0, max_value=1, help="Of the limit that is set today."
        ),
    }
    return Shown(columns, config, dict.fromkeys(("Spent", "Held", "Of the limit"), pa.float64()))


def rules(found: Sequence[Rule], *, channels: Mapping[str, str], now: datetime, timezone: str) -> Shown:
    """One row a rule; *channels* are names by id."""
    columns: dict[str, list[Any]] = {
        "Name": [rule.name for rule in found],
        "Watches": [rule.metric for rule in found],
        "Window": [rule.window or None for rule in found],
        "Warning": [rule.warning for rule in found],
        "Critical": [rule.critical for rule in found],
        "For each": [", ".join(rule.group_by) or None for rule in found],
        "Only": [
            "; ".join(f"{name}: {', '.join(values)}" for name, values in rule.filters.items())
            for rule in found
        ],
        "Tells": [
            ", ".join(channels.get(one, one) for one in rule.channels) or "every channel" for rule in found
        ],
        "Muted until": [_instant(rule.muted_until, timezone) if rule.muted(now) else None for rule in found],
    }
    number = st.column_config.NumberColumn(format="%.6g")
    config = {"Name": st.column_config.TextColumn(width=180), "Warning": number, "Critical": number}
    texts = dict.fromkeys(("Window", "For each", "Only", "Muted until"), pa.string())
    return Shown(columns, config, {**texts, "Warning": pa.float64(), "Critical": pa.float64()})


def events(found: Sequence[AlertEvent], *, timezone: str) -> Shown:
    """One row an alert, in the order given."""
    columns: dict[str, list[Any]] = {
        "State": [[one.state] for one in found],
        "Severity": [one.severity for one in found],
        "Rule": [one.rule_name for one in found],
        "About": [one.subject for one in found],
        "What": [one.summary for one in found],
        "Since": [_instant(one.fired_at or one.seen_at, timezone) for one in found],
        "Over": [_instant(one.resolved_at, timezone) for one in found],
        "Told": [one.told for one in found],
    }
    column = st.column_config
    config = {
        "State": column.MultiselectColumn(
            options=list(STATE_COLORS), color=list(STATE_COLORS.values()), width=90
        ),
        "Severity": column.TextColumn(width=70),
        "Rule": column.TextColumn(width=150),
        "About": column.TextColumn(width=130),
        "What": column.TextColumn(width=330),
        "Since": column.TextColumn(width=140),
        "Over": column.TextColumn(width=140),
        "Told": column.NumberColumn(help="How often people were told.", width=50),
    }
    return Shown(columns, config, {"State": pa.list_(pa.string()), "Over": pa.string()})


def raised(found: Sequence[Raised], *, timezone: str) -> Shown:
    """What a rule would have raised."""
    columns: dict[str, list[Any]] = {
        "Since": [_instant(one.fired_at, timezone) for one in found],
        "Over": [_instant(one.resolved_at, timezone) or "lasts still" for one in found],
        "Severity": [one.severity for one in found],
        "About": [one.subject for one in found],
        "What": [one.summary for one in found],
    }
    return Shown(columns, {"What": st.column_config.TextColumn(width=400)}, {})


def deliveries(found: Sequence[Delivery], *, timezone: str) -> Shown:
    """Messages to channels, in the order given."""
    columns: dict[str, list[Any]] = {
        "Made": [_instant(one.created_at, timezone) for one in found],
        "Channel": [one.channel_name for one in found],
        "Kind": [one.kind for one in found],
        "State": [one.state for one in found],
        "Attempts": [one.attempts for one in found],
        "Finished": [_instant(one.finished_at, timezone) for one in found],
        "Error": [one.error for one in found],
    }
    config = {"Error": st.column_config.TextColumn(width=320)}
    return Shown(columns, config, dict.fromkeys(("Finished", "Error"), pa.string()))


def audit(found: Sequence[AuditedChange], *, timezone: str) -> Shown:
    """Entries of the audit log, in the order given."""
    columns: dict[str, list[Any]] = {
        "No": [one.seq for one in found],
        "When": [_instant(one.at, timezone) for one in found],
        "Who": [one.actor.name for one in found],
        "By": [one.actor.kind.replace("_", " ") for one in found],
        "From": [one.actor.address for one in found],
        "What": [one.action for one in found],
        "Which": [one.target.name for one in found],
        "Before": [_json(one.before) for one in found],
        "After": [_json(one.after) for one in found],
    }
    column = st.column_config
    config = {
        "No": column.NumberColumn(format="%d", width=50),
        "When": column.TextColumn(width=140),
        "Who": column.TextColumn(width=110),
        "By": column.TextColumn(width=95),
        "From": column.TextColumn(width=95),
        "What": column.TextColumn(width=120),
        "Which": column.TextColumn(width=140),
        "Before": column.TextColumn(width=170),
        "After": column.TextColumn(width=170),
    }
    return Shown(columns, config, dict.fromkeys(("From", "Before", "After"), pa.string()))


def _json(values: Mapping[str, Any] | None) -> str | None:
    return None if values is None else msgspec.json.encode(values).decode()


def _instant(moment: datetime | None, timezone: str) -> str | None:
    return None if moment is None else formats.instant(moment, timezone=timezone)


def _limits(limits: Mapping[str, int] | None) -> str | None:
    return ", ".join(f"{name} {value:,}" for name, value in limits.items()) if limits else None
