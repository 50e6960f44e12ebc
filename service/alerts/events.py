"""Events in the store: what `rules.decide` asked for is done once, whoever else asks for the same.

A crossing is an INSERT that the claim's unique constraint refuses to the second one; every later step is an UPDATE
that names the state it starts from. Whoever came too late changes nothing and tells nobody. Steps, and the messages
they cause, are one transaction of the caller's.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, delete, func, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from service.alerts import wording
from service.alerts.outbox import Message, Outbox, living_channels
from service.alerts.payload import EventFacts, MessageKind, event_payload
from service.alerts.rules import (
    Begin,
    Claim,
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
from service.store.alert_tables import alert_event

_EVENT = alert_event.c
_AT_ONCE = 500


class Happened(msgspec.Struct, frozen=True):
    """A step that took effect, for the log and for whoever waits for messages."""

    what: Literal["pending", "fired", "told", "resolved"]
    rule: str
    subject: str
    severity: str
    summary: str


class EventBook:
    """Applies steps. *dashboard_url* is where links lead; '' for none."""

    def __init__(self, outbox: Outbox, *, new_id: Callable[[], UUID], dashboard_url: str) -> None:
        self._outbox = outbox
        self._new_id = new_id
        self._dashboard_url = dashboard_url

    def apply(
        self,
        tx: Connection,
        rule: Rule,
        *,
        steps: Sequence[Step],
        generations: Mapping[Claim, int],
        now: datetime,
    ) -> list[Happened]:
        """Do *steps*; returns those that took effect. *generations* are what each claim's next event is numbered."""
        happened: list[Happened] = []
        for step in steps:
            match step:
                case Begin():
                    happened += self._begin(
                        tx, rule, step=step, generation=generations.get(step.key, 0), now=now
                    )
                case Fire():
                    happened += self._fire(tx, rule, step=step, now=now)
                case Tell():
                    happened += self._tell(tx, rule, step=step, now=now)
                case Clear(event, clear):
                    _change(tx, event, {"clear_at": now if clear else None}, _as_clear(event))
                case Drop(event):
                    tx.execute(delete(alert_event).where(_EVENT.id == event.id, _EVENT.state == "pending"))
                case _:
                    happened += self._resolve(tx, rule, step=step, now=now)
        return happened

    def report(
        self, tx: Connection, rule: Rule, *, reading: Reading, threshold: Threshold, text: str, now: datetime
    ) -> list[Happened]:
        """A report of a period, unless there is one: an event that ends as it begins."""
        values = _columns(rule, reading, threshold=threshold, text=text, now=now)
        values |= {"state": "resolved", "fired_at": now, "resolved_at": now, "told": 1, "told_at": now}
        event_id = self._insert(tx, {**values, "generation": 0})
        if event_id is None:
            return []
        self._send(tx, rule, kind="report", facts=_facts_of(tx, event_id), number=1, now=now)
        return [Happened("told", rule.name, reading.subject, threshold.severity, text)]

    def _begin(
        self, tx: Connection, rule: Rule, *, step: Begin, generation: int, now: datetime
    ) -> list[Happened]:
        text = wording.summary(rule, step.reading, threshold=step.threshold)
        values = _columns(rule, step.reading, threshold=step.threshold, text=text, now=now)
        values |= {"generation": generation, "told": 0, "state": "firing" if step.firing else "pending"}
        if step.firing:
            values["fired_at"] = now
        if step.tell:
            values |= {"told": 1, "told_at": now}
        event_id = self._insert(tx, values)
        if event_id is None:
            return []
        if step.tell:
            self._send(tx, rule, kind="firing", facts=_facts_of(tx, event_id), number=1, now=now)
        what: Literal["fired", "pending"] = "fired" if step.firing else "pending"
        return [Happened(what, rule.name, step.reading.subject, step.threshold.severity, text)]

    def _fire(self, tx: Connection, rule: Rule, *, step: Fire, now: datetime) -> list[Happened]:
        event, reading = step.event, step.reading
        text = wording.summary(rule, reading, threshold=step.threshold)
        values = {"state": "firing", "fired_at": now, **_measured(reading, text)}
        if step.tell:
            values |= {"told": 1, "told_at": now}
        if not _change(tx, event, values):
            return []
        if step.tell:
            self._send(tx, rule, kind="firing", facts=_facts_of(tx, event.id), number=1, now=now)
        return [Happened("fired", rule.name, event.subject, event.severity, text)]

    def _tell(self, tx: Connection, rule: Rule, *, step: Tell, now: datetime) -> list[Happened]:
        event, number = step.event, step.event.told + 1
        text = wording.summary(rule, step.reading, threshold=step.threshold)
        values = {"told": number, "told_at": now, **_measured(step.reading, text)}
        if not _change(tx, event, values, _EVENT.told == event.told):
            return []
        self._send(tx, rule, kind="firing", facts=_facts_of(tx, event.id), number=number, now=now)
        return [Happened("told", rule.name, event.subject, event.severity, text)]

    def _resolve(self, tx: Connection, rule: Rule, *, step: Resolve, now: datetime) -> list[Happened]:
        event = step.event
        value = None if step.reading is None else step.reading.value
        values: dict[str, Any] = {"state": "resolved", "resolved_at": now}
        if value is not None:
            values["value"] = value
        if not _change(tx, event, values, _as_clear(event)):
            return []
        facts = _facts_of(tx, event.id)
        text = wording.ending(rule, str(facts.details.get("about") or event.subject), value=value)
        if event.told:
            facts = msgspec.structs.replace(facts, summary=text)
            self._send(tx, rule, kind="resolved", facts=facts, number=1, now=now)
        return [Happened("resolved", rule.name, event.subject, event.severity, text)]

    def _insert(self, tx: Connection, values: Mapping[str, Any]) -> UUID | None:
        """The new event's id; None where its claim is taken."""
        new = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
        event_id = self._new_id()
        statement = new(alert_event).values(id=event_id, **values).on_conflict_do_nothing()
        made: UUID | None = tx.execute(statement.returning(_EVENT.id)).scalar()
        return made

    def _send(
        self, tx: Connection, rule: Rule, *, kind: MessageKind, facts: EventFacts, number: int, now: datetime
    ) -> None:
        channels = [
            channel
            for channel, channel_kind in living_channels(tx, rule.channels).items()
            if kind != "report" or channel_kind != "pagerduty"  # nobody is to be woken by a report
        ]
        payload = event_payload(kind, facts, dashboard_url=self._dashboard_url)
        message = Message(event_id=facts.id, kind=kind, number=number, payload=payload)
        self._outbox.put(tx, message, channels=channels, now=now)


def open_events(tx: Connection, rule_id: str, *, subjects: Collection[str] | None = None) -> list[OpenEvent]:
    """The rule's events that are pending or firing, of *subjects* or of all."""
    query = select(alert_event).where(_EVENT.rule_id == rule_id, _EVENT.state.in_(("pending", "firing")))
    if subjects is None:
        return [_open(row) for row in tx.execute(query)]
    return [
        _open(row)
        for some in _portions(sorted(subjects))
        for row in tx.execute(query.where(_EVENT.subject.in_(some)))
    ]


def next_generations(tx: Connection, rule_id: str, *, claims: Iterable[Claim]) -> dict[Claim, int]:
    """What the next event of each claim is numbered.

    Read it in the snapshot of the readings: that is what makes one of two evaluators too late.
    """
    keys = (_EVENT.subject, _EVENT.period, _EVENT.claim)
    found: dict[Claim, int] = {}
    for some in _portions(sorted(claims)):
        query = select(*keys, func.max(_EVENT.generation).label("last")).where(
            _EVENT.rule_id == rule_id, tuple_(*keys).in_(some)
        )
        for row in tx.execute(query.group_by(*keys)):
            found[(row.subject, row.period, row.claim)] = int(row.last) + 1
    return found


def rules_with_open_events(tx: Connection) -> set[str]:
    """The ids of rules that have pending or firing events, deleted rules among them."""
    query = select(_EVENT.rule_id).where(_EVENT.state.in_(("pending", "firing"))).distinct()
    return {str(found) for found in tx.scalars(query)}


def _columns(
    rule: Rule, reading: Reading, *, threshold: Threshold, text: str, now: datetime
) -> dict[str, Any]:
    """What a new event holds, whatever its state."""
    return {
        "rule_id": rule.id,
        "rule_name": rule.name,
        "metric": rule.metric,
        "subject": reading.subject,
        "period": reading.period,
        "claim": threshold.claim,
        "severity": threshold.severity,
        "threshold": threshold.limit,
        "seen_at": now,
        **_measured(reading, text),
    }


def _measured(reading: Reading, text: str) -> dict[str, Any]:
    return {
        "value": reading.value,
        "starts_at": reading.starts_at,
        "ends_at": reading.ends_at,
        "summary": text,
        "details": dict(reading.details),
    }


def _change(tx: Connection, event: OpenEvent, values: Mapping[str, Any], *more: Any) -> bool:
    """Change the event if it still is as it was seen; tell whether it was."""
    same = (_EVENT.id == event.id, _EVENT.state == event.state, *more)
    return bool(tx.execute(update(alert_event).where(*same).values(**values)).rowcount)


def _as_clear(event: OpenEvent) -> Any:
    return _EVENT.clear_at.is_(None) if event.clear_at is None else _EVENT.clear_at == event.clear_at


def _open(row: Row[Any]) -> OpenEvent:
    return OpenEvent(
        id=row.id,
        subject=row.subject,
        period=row.period,
        claim=row.claim,
        severity=row.severity,
        state=row.state,
        seen_at=row.seen_at,
        clear_at=row.clear_at,
        told=row.told,
        told_at=row.told_at,
    )


def _facts_of(tx: Connection, event_id: UUID) -> EventFacts:
    names = EventFacts.__struct_fields__
    row = tx.execute(select(*(_EVENT[name] for name in names)).where(_EVENT.id == event_id)).mappings().one()
    return EventFacts(**row)


def _portions(keys: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))
