"""Rules, readings and events for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from service.alerts.rules import (
    ALWAYS,
    Begin,
    Clear,
    Drop,
    Fire,
    OpenEvent,
    Reading,
    Resolve,
    Rule,
    Step,
    Tell,
    Threshold,
)
from service.alerts.values import NewRule, rule_from

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
"""A Wednesday."""
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def rule(metric: str = "error_rate", **fields: Any) -> Rule:
    """A rule as the store would give it."""
    own: dict[str, Any] = {}
    for name in ("muted_until", "created_at", "deleted_at"):
        if name in fields:
            own[name] = fields.pop(name)
    values = NewRule(name=fields.pop("name", "A rule"), metric=metric, **fields).checked()
    dates: dict[str, Any] = {
        "created_at": NOW - DAY,
        "updated_at": NOW - DAY,
        "deleted_at": None,
        "muted_until": None,
    }
    return rule_from({"id": "rule_1", **values, **dates, **own})


def reading(value: float | None = 0.3, **fields: Any) -> Reading:
    """A reading of the last quarter of an hour."""
    given: dict[str, Any] = {"subject": "all", "starts_at": NOW - 15 * MINUTE, "ends_at": NOW, **fields}
    return Reading(value=value, **given)


def event(claim: str = "warning", **fields: Any) -> OpenEvent:
    """An event that is firing and was told a minute ago."""
    given: dict[str, Any] = {
        "id": UUID(int=1),
        "subject": "all",
        "period": ALWAYS,
        "severity": "critical" if claim == "critical" else "warning",
        "state": "firing",
        "seen_at": NOW - MINUTE,
        "told": 1,
        "told_at": NOW - MINUTE,
        **fields,
    }
    return OpenEvent(claim=claim, **given)


def said(steps: list[Step]) -> list[str]:
    """The steps in short."""
    return [_said(step) for step in steps]


def _said(step: Step) -> str:
    match step:
        case Begin(_, threshold, firing, tell):
            return f"begin {threshold.claim}{' firing' if firing else ''}{' tell' if tell else ''}"
        case Fire(_, _, threshold, tell):
            return f"fire {threshold.claim}{' tell' if tell else ''}"
        case Tell(_, _, threshold):
            return f"tell {threshold.claim}"
        case Drop(found):
            return f"drop {found.claim}"
        case Clear(found, clear):
            return f"{'clear' if clear else 'relapse'} {found.claim}"
        case Resolve(found, _):
            return f"resolve {found.claim}"


def shares(*parts: float) -> tuple[Threshold, ...]:
    """A budget's thresholds."""
    return tuple(Threshold(f"{part:g}", "critical" if part >= 1 else "warning", part) for part in parts)
