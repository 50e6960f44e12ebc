"""Events, deliveries and attempts as people read them: newest first, by pages. Reads only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, Select, select

from service.errors import InvalidInputError, NotFoundError
from service.store.alert_tables import (
    ALERT_SEVERITIES,
    DELIVERY_STATES,
    EVENT_STATES,
    alert_attempt,
    alert_channel,
    alert_delivery,
    alert_event,
)

_EVENT = alert_event.c
_DELIVERY = alert_delivery.c


class AlertEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One alert, pending, firing or over. *told* counts how often people were told of it."""

    id: UUID
    rule_id: str
    rule_name: str
    metric: str
    subject: str
    severity: str
    state: str
    value: float | None
    threshold: float | None
    starts_at: datetime
    ends_at: datetime | None
    seen_at: datetime
    fired_at: datetime | None
    resolved_at: datetime | None
    told: int
    told_at: datetime | None
    summary: str
    details: dict[str, Any]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message for one channel, and how it went."""

    id: UUID
    event_id: UUID | None
    channel_id: str
    channel_name: str
    kind: str
    number: int
    state: str
    attempts: int
    due_at: datetime
    created_at: datetime
    finished_at: datetime | None
    error: str | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to deliver."""

    number: int
    started_at: datetime
    duration_ms: float
    ok: bool
    detail: str


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events; None leaves a side open. Pending ones only where *state* asks for them."""

    state: str | None = None
    severity: str | None = None
    rule_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries."""

    state: str | None = None
    channel_id: str | None = None
    event_id: UUID | None = None


def list_events(
    tx: Connection, wanted: EventFilter, *, limit: int, before: UUID | None = None
) -> list[AlertEvent]:
    """Newest first; *before* is the last one of the page before."""
    _one_of(wanted.state, EVENT_STATES, field="state")
    _one_of(wanted.severity, ALERT_SEVERITIES, field="severity")
    query = select(*(_EVENT[name] for name in AlertEvent.__struct_fields__))
    conditions = [_EVENT.state != "pending"] if wanted.state is None else [_EVENT.state == wanted.state]
    if wanted.severity is not None:
        conditions.append(_EVENT.severity == wanted.severity)
    if wanted.rule_id is not None:
        conditions.append(_EVENT.rule_id == wanted.rule_id)
    if wanted.since is not None:
        conditions.append(_EVENT.seen_at >= wanted.since)
    if wanted.until is not None:
        conditions.append(_EVENT.seen_at < wanted.until)
    if before is not None:
        conditions.append(_EVENT.id < before)
    rows = tx.execute(query.where(*conditions).order_by(_EVENT.id.desc()).limit(limit)).mappings()
    return [AlertEvent(**row) for row in rows]


def get_event(tx: Connection, event_id: UUID) -> AlertEvent:
    """One event."""
    query = select(*(_EVENT[name] for name in AlertEvent.__struct_fields__)).where(_EVENT.id == event_id)
    row = tx.execute(query).mappings().first()
    if row is None:
        raise NotFoundError(f"no alert has the id {event_id}")
    return AlertEvent(**row)


def list_deliveries(
    tx: Connection, wanted: DeliveryFilter, *, limit: int, before: UUID | None = None
) -> list[Delivery]:
    """Newest first; *before* is the last one of the page before."""
    _one_of(wanted.state, DELIVERY_STATES, field="state")
    query = _deliveries()
    if wanted.state is not None:
        query = query.where(_DELIVERY.state == wanted.state)
    if wanted.channel_id is not None:
        query = query.where(_DELIVERY.channel_id == wanted.channel_id)
    if wanted.event_id is not None:
        query = query.where(_DELIVERY.event_id == wanted.event_id)
    if before is not None:
        query = query.where(_DELIVERY.id < before)
    return [_delivery(row) for row in tx.execute(query.order_by(_DELIVERY.id.desc()).limit(limit))]


def get_delivery(tx: Connection, delivery_id: UUID) -> tuple[Delivery, list[Attempt]]:
    """One delivery with its attempts, the first one first."""
    row = tx.execute(_deliveries().where(_DELIVERY.id == delivery_id)).first()
    if row is None:
        raise NotFoundError(f"no delivery has the id {delivery_id}")
    attempt = alert_attempt.c
    query = select(*(attempt[name] for name in Attempt.__struct_fields__))
    rows = tx.execute(query.where(attempt.delivery_id == delivery_id).order_by(attempt.number)).mappings()
    return _delivery(row), [Attempt(**one) for one in rows]


def parse_id(text: str, *, what: str) -> UUID:
    """The id of an alert or a delivery."""
    try:
        return UUID(text)
    except ValueError as error:
        raise InvalidInputError(f"{text[:50]!r} is no id of {what}", field="id") from error


def _deliveries() -> Select[Any]:
    names = [name for name in Delivery.__struct_fields__ if name != "channel_name"]
    columns = [*(_DELIVERY[name] for name in names), alert_channel.c.name.label("channel_name")]
    return select(*columns).join_from(
        alert_delivery, alert_channel, _DELIVERY.channel_id == alert_channel.c.id
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**row._mapping)  # noqa: SLF001  (SQLAlchemy's public name for a row's mapping)


def _one_of(value: str | None, known: Sequence[str], *, field: str) -> None:
    if value is not None and value not in known:
        raise InvalidInputError(f"{field} is {value[:50]!r}; use one of {', '.join(known)}", field=field)
