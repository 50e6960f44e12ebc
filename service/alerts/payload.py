"""The messages that channels carry, as JSON values. Pure.

No prompt, no answer and no key gets in: subjects, numbers, dates and links are all there is.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote
from uuid import UUID

import msgspec

MessageKind = Literal["firing", "resolved", "report", "test"]


class EventFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says of an event."""

    id: UUID
    rule_id: str
    rule_name: str
    metric: str
    subject: str
    severity: str
    value: float | None
    threshold: float | None
    starts_at: datetime
    ends_at: datetime | None
    fired_at: datetime
    resolved_at: datetime | None
    summary: str
    details: Mapping[str, Any]


def event_payload(kind: MessageKind, facts: EventFacts, *, dashboard_url: str) -> dict[str, Any]:
    """The message about an event: `alert.firing`, `alert.resolved` or `report`."""
    return {
        "type": "report" if kind == "report" else f"alert.{kind}",
        "id": str(facts.id),
        "rule": facts.rule_name,
        "rule_id": facts.rule_id,
        "metric": facts.metric,
        "subject": facts.subject,
        "severity": facts.severity,
        "value": facts.value,
        "threshold": facts.threshold,
        "period": {"start": iso(facts.starts_at), "end": iso(facts.ends_at)},
        "fired_at": iso(facts.fired_at),
        "resolved_at": iso(facts.resolved_at),
        "summary": facts.summary,
        "details": dict(facts.details),
        "links": links(dashboard_url, event=str(facts.id)),
    }


def sample_payload(identifier: UUID, *, channel: str, now: datetime, dashboard_url: str) -> dict[str, Any]:
    """The message of `alerts test`: shaped like an alert, and it says that it is none."""
    return {
        "type": "test",
        "id": str(identifier),
        "rule": "Test",
        "rule_id": None,
        "metric": "test",
        "subject": channel,
        "severity": "info",
        "value": 1.0,
        "threshold": 1.0,
        "period": {"start": iso(now), "end": iso(now)},
        "fired_at": iso(now),
        "resolved_at": None,
        "summary": f"This is a test of the channel {channel}. Nothing is wrong.",
        "details": {},
        "links": links(dashboard_url, event=None),
    }


def links(dashboard_url: str, *, event: str | None) -> dict[str, str]:
    """Where people see more; empty without a configured dashboard address."""
    if not dashboard_url:
        return {}
    page = f"{dashboard_url}/alerts"
    return {"dashboard": page if event is None else f"{page}?event={quote(event)}"}


def iso(instant: datetime | None) -> str | None:
    """ISO 8601 in UTC, ending in Z."""
    return None if instant is None else instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
