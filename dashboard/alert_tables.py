"""Alert rules, alerts and deliveries as tables; whom and what they are about in words, with names. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import streamlit as st

from dashboard.tables import SELECTABLE_ROOM, TWO_LINES, Shown, fitting, instant, minute, text_width
from service.alerts.event_log import AlertEvent, Delivery
from service.alerts.replay import Raised
from service.alerts.rules import Rule
from service.alerts.subjects import EVERYTHING
from service.alerts.wording import amount


def rules(found: Sequence[Rule], *, channels: Mapping[str, str], now: datetime, timezone: str) -> Shown:
    """One row a rule; *channels* are names by id. Thresholds have their unit."""
    columns: dict[str, list[Any]] = {
        "Name": [rule.name for rule in found],
        "Watches": [rule.metric for rule in found],
        "Window": [rule.window or None for rule in found],
        "Warning": [_threshold(rule, rule.warning) for rule in found],
        "Critical": [_threshold(rule, rule.critical) for rule in found],
        "For each": [", ".join(rule.group_by) or None for rule in found],
        "Only": [only(rule) or None for rule in found],
        "Tells": [
            ", ".join(channels.get(one, one) for one in rule.channels) or "every channel" for rule in found
        ],
        "Muted until": [minute(rule.muted_until, timezone) if rule.muted(now) else None for rule in found],
    }
    column = st.column_config
    config: dict[str, Any] = {
        "Name": column.TextColumn(width=text_width(columns["Name"], at_most=175)),
        "Watches": column.TextColumn(width=130),
        "Window": column.TextColumn(width=60),
        "Warning": column.TextColumn(width=82, alignment="right"),
        "Critical": column.TextColumn(width=82, alignment="right"),
        "For each": column.TextColumn(width=72),
        "Only": column.TextColumn(width=85),
        "Tells": column.TextColumn(width=90),
        "Muted until": column.TextColumn(width=112),
    }
    wanted = ("Name", "Watches", "Window", "Warning", "Critical", "Muted until", "Tells", "For each", "Only")
    order = fitting(config, wanted=wanted, room=SELECTABLE_ROOM)
    return Shown(columns, config, dict.fromkeys(columns, pa.string()), order=order)


def only(rule: Rule) -> str:
    """What a rule is narrowed to."""
    return "; ".join(f"{name}: {', '.join(values)}" for name, values in rule.filters.items())


def events(found: Sequence[AlertEvent], *, about: Sequence[str], timezone: str, past: bool = False) -> Shown:
    """One row an alert, in the order given; *about* are whom they are about, in words."""
    columns: dict[str, list[Any]] = {
        "Severity": [one.severity for one in found],
        "Rule": [one.rule_name for one in found],
        "About": list(about),
        "What": [what(one) for one in found],
        "Since": [minute(one.fired_at or one.seen_at, timezone) for one in found],
        "Over": [minute(one.resolved_at, timezone) for one in found],
        "Told": [one.told for one in found],
    }
    column = st.column_config
    config: dict[str, Any] = {
        "Severity": column.TextColumn(width=70),
        "Rule": column.TextColumn(width=132),
        "About": column.TextColumn(width=160),
        "What": column.TextColumn(width=248 if past else 360),
        "Since": column.TextColumn(width=112),
        "Over": column.TextColumn(width=112),
        "Told": column.NumberColumn(help="How often people were told.", width=48),
    }
    wanted = tuple(label for label in config if past or label != "Over")
    order = fitting(config, wanted=wanted, room=SELECTABLE_ROOM)
    return Shown(columns, config, {"Over": pa.string()}, order=order, row_height=TWO_LINES)


def about(event: AlertEvent, *, budgets: Mapping[str, str], keys: Mapping[str, str]) -> str:
    """Whom an alert is about, with the names of *budgets* and *keys* by id."""
    said = event.details.get("about")
    if said:
        return str(said)
    if event.subject == EVERYTHING:
        return "All requests"
    budget, _, whose_part = event.subject.partition("/")
    if budget in budgets:
        each = f": {keys.get(whose_part, whose_part)}" if whose_part else ""
        return f"The budget of {budgets[budget]}{each}"
    return ", ".join(_named(part, keys) for part in event.subject.split(", "))


def what(event: AlertEvent) -> str:
    """What happened, without whom it happened to."""
    said = str(event.details.get("about") or event.subject)
    text = event.summary.removeprefix(f"{said}: ")
    return text[:1].upper() + text[1:]


def _named(part: str, keys: Mapping[str, str]) -> str:
    name, equals, value = part.partition("=")
    return f"{name.replace('_', ' ')} {keys.get(value, value)}" if equals else part


def _threshold(rule: Rule, value: float | None) -> str | None:
    return None if value is None else amount(rule, value)


def raised(found: Sequence[Raised], *, timezone: str) -> Shown:
    """What a rule would have raised."""
    columns: dict[str, list[Any]] = {
        "Since": [minute(one.fired_at, timezone) for one in found],
        "Over": [minute(one.resolved_at, timezone) or "lasts still" for one in found],
        "Severity": [one.severity for one in found],
        "About": [one.subject for one in found],
        "What": [one.summary for one in found],
    }
    column = st.column_config
    config: dict[str, Any] = {
        "Since": column.TextColumn(width=112),
        "Over": column.TextColumn(width=112),
        "Severity": column.TextColumn(width=75),
        "About": column.TextColumn(width=170),
        "What": column.TextColumn(width=420),
    }
    return Shown(columns, config, {}, row_height=TWO_LINES)


def deliveries(found: Sequence[Delivery], *, timezone: str) -> Shown:
    """Messages to channels, in the order given."""
    columns: dict[str, list[Any]] = {
        "Made": [instant(one.created_at, timezone) for one in found],
        "Channel": [one.channel_name for one in found],
        "Kind": [one.kind for one in found],
        "State": [one.state for one in found],
        "Attempts": [one.attempts for one in found],
        "Finished": [instant(one.finished_at, timezone) for one in found],
        "Error": [one.error for one in found],
    }
    column = st.column_config
    config: dict[str, Any] = {
        "Made": column.TextColumn(width=136),
        "Channel": column.TextColumn(width=130),
        "Kind": column.TextColumn(width=75),
        "State": column.TextColumn(width=75),
        "Attempts": column.NumberColumn(width=66),
        "Finished": column.TextColumn(width=136),
        "Error": column.TextColumn(width=290),
    }
    return Shown(columns, config, dict.fromkeys(("Finished", "Error"), pa.string()), row_height=TWO_LINES)
