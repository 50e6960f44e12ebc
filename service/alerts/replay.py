"""The state machine without a store: what a rule would have raised, reading by reading. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from service.alerts import wording
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
    Threshold,
    decide,
)


class Raised(msgspec.Struct, kw_only=True):
    """An alert that a rule would have raised; *resolved_at* None: it would last still."""

    subject: str
    severity: str
    value: float | None
    threshold: float | None
    fired_at: datetime
    resolved_at: datetime | None = None
    summary: str


class Replay:
    """Takes readings in the order of time and keeps what they raise."""

    def __init__(self, rule: Rule) -> None:
        self.raised: list[Raised] = []
        self._rule = rule
        self._open: dict[Claim, OpenEvent] = {}
        self._by_event: dict[UUID, Raised] = {}
        self._number = 0
        self._at = rule.created_at

    def take(self, readings: Sequence[Reading], *, at: datetime) -> None:
        """Everything that was read at *at*. A crossing that lasts counts as confirmed."""
        self._at = at
        self._decide(readings, at=at)
        if any(event.state == "pending" for event in self._open.values()):
            self._decide(readings, at=at + self._rule.measured.pending)

    def _decide(self, readings: Sequence[Reading], *, at: datetime) -> None:
        for step in decide(self._rule, readings, events=list(self._open.values()), now=at):
            match step:
                case Begin(reading, threshold, firing):
                    self._begin(step, at=at)
                    if firing:
                        self._raise(step.key, reading, threshold=threshold)
                case Fire(event, reading, threshold):
                    self._set(event, state="firing")
                    self._raise(event.key, reading, threshold=threshold)
                case Clear(event, clear):
                    self._set(event, clear_at=at if clear else None)
                case Drop(event):
                    del self._open[event.key]
                case Resolve(event):
                    del self._open[event.key]
                    self._by_event[event.id].resolved_at = self._at
                case _:
                    self._set(step.event, told=step.event.told + 1, told_at=at)

    def _begin(self, step: Begin, *, at: datetime) -> None:
        self._number += 1
        self._open[step.key] = OpenEvent(
            id=UUID(int=self._number),
            subject=step.reading.subject,
            period=step.reading.period,
            claim=step.threshold.claim,
            severity=step.threshold.severity,
            state="firing" if step.firing else "pending",
            seen_at=at,
        )

    def _raise(self, key: Claim, reading: Reading, *, threshold: Threshold) -> None:
        raised = Raised(
            subject=reading.subject,
            severity=threshold.severity,
            value=reading.value,
            threshold=threshold.limit,
            fired_at=self._at,
            summary=wording.summary(self._rule, reading, threshold=threshold),
        )
        self.raised.append(raised)
        self._by_event[self._open[key].id] = raised

    def _set(self, event: OpenEvent, **changes: Any) -> None:
        self._open[event.key] = msgspec.structs.replace(self._open[event.key], **changes)
