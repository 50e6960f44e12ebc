"""What becomes of a rule's events when its metric was read: the state machine. Pure.

    ok ──▶ pending ──▶ firing ──▶ resolved        a crossing, confirmed, gone
              │           │  ▲
              ▼           ▼  │
              ok        clearing                  gone, but not for long enough yet

A claim is (subject, period, threshold). While an event of a claim is open no other begins; a later crossing, after it
was resolved or in the next period, is a new one. `decide` only says what should be done: the store's constraints see
to it that of many who say so at once one does it.

Of several thresholds that fire together the highest is told; those of a budget are told one by one, each once in a
period. Whoever was told of an alert is told of its end.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from service.alerts.metrics import METRICS, Metric

Severity = Literal["info", "warning", "critical"]
State = Literal["pending", "firing", "resolved"]
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
"""The period of metrics that have none: a claim holds from one crossing to its end."""
NO_DATA = "no_data"
_RANK: Mapping[str, int] = {"info": 0, "warning": 1, "critical": 2}

Claim = tuple[str, datetime, str]
"""Subject, period and name of the threshold."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as it is stored. *window* is as it was written, such as `15m`; '' where the metric has none."""

    id: str
    name: str
    metric: str
    group_by: tuple[str, ...] = ()
    filters: Mapping[str, tuple[str, ...]] = {}
    window: str = ""
    warning: float | None = None
    critical: float | None = None
    min_requests: int = 0
    no_data: Literal["ok", "alert"] = "ok"
    renotify: str | None = None
    renotify_every: timedelta | None = None
    channels: tuple[str, ...] = ()
    muted_until: datetime | None = None
    created_at: datetime = ALWAYS
    updated_at: datetime = ALWAYS
    deleted_at: datetime | None = None

    @property
    def measured(self) -> Metric:
        """The rule's metric."""
        return METRICS[self.metric]

    def muted(self, now: datetime) -> bool:
        """Whether nobody is to be told now."""
        return self.muted_until is not None and now < self.muted_until


class Threshold(msgspec.Struct, frozen=True):
    """A value that should not be reached, under the name of its claim."""

    claim: str
    severity: Severity
    limit: float | None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The metric of one subject. *value* None: nothing was there to measure; not *enough*: too little to judge.

    *period* is what a claim is made for, `starts_at` to `ends_at` what was measured. *thresholds* are a budget's own.
    """

    subject: str
    value: float | None
    starts_at: datetime
    ends_at: datetime | None
    period: datetime = ALWAYS
    enough: bool = True
    thresholds: tuple[Threshold, ...] | None = None
    details: Mapping[str, Any] = {}


class OpenEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is pending or firing."""

    id: UUID
    subject: str
    period: datetime
    claim: str
    severity: Severity
    state: State
    seen_at: datetime
    clear_at: datetime | None = None
    told: int = 0
    told_at: datetime | None = None

    @property
    def key(self) -> Claim:
        """What it claims."""
        return (self.subject, self.period, self.claim)


class Begin(msgspec.Struct, frozen=True):
    """A crossing that no open event has."""

    reading: Reading
    threshold: Threshold
    firing: bool
    tell: bool

    @property
    def key(self) -> Claim:
        """What it claims."""
        return (self.reading.subject, self.reading.period, self.threshold.claim)


class Fire(msgspec.Struct, frozen=True):
    """A pending event is confirmed."""

    event: OpenEvent
    reading: Reading
    threshold: Threshold
    tell: bool


class Tell(msgspec.Struct, frozen=True):
    """People are told of a firing event, for the first time or again."""

    event: OpenEvent
    reading: Reading
    threshold: Threshold


class Drop(msgspec.Struct, frozen=True):
    """A pending event was none."""

    event: OpenEvent


class Clear(msgspec.Struct, frozen=True):
    """A firing event's threshold is not reached any more; *clear* False: it is again."""

    event: OpenEvent
    clear: bool


class Resolve(msgspec.Struct, frozen=True):
    """A firing event has ended; *reading* None where nothing is measured any more."""

    event: OpenEvent
    reading: Reading | None


Step = Begin | Fire | Tell | Drop | Clear | Resolve


def decide(
    rule: Rule,
    readings: Sequence[Reading],
    *,
    events: Iterable[OpenEvent],
    now: datetime,
    complete: bool = True,
) -> list[Step]:
    """What to do about *readings*, given the rule's open *events*.

    *complete* says that everything was read: then an event whose subject is not among the readings has ended.
    """
    open_events = {event.key: event for event in events}
    crossings = {
        (reading.subject, reading.period, threshold.claim): (reading, threshold)
        for reading in readings
        for threshold in crossed(rule, reading)
    }
    steps: list[Step] = []
    told = _to_be_told(rule, crossings, events=open_events, now=now)
    for key, (reading, threshold) in crossings.items():
        event = open_events.get(key)
        steps += _crossing(rule, reading, threshold=threshold, event=event, tell=key in told, now=now)
    by_subject = {reading.subject: reading for reading in readings}
    for key, event in open_events.items():
        if key not in crossings and (complete or event.subject in by_subject):
            steps += _gone(rule, event, reading=by_subject.get(event.subject), now=now)
    return steps


def end_all(events: Iterable[OpenEvent]) -> list[Step]:
    """The rule is no more: its events end at once."""
    return [Drop(event) if event.state == "pending" else Resolve(event, None) for event in events]


def crossed(rule: Rule, reading: Reading) -> tuple[Threshold, ...]:
    """The thresholds that a reading reaches."""
    if reading.value is None:
        if rule.no_data == "ok":
            return ()
        severity: Severity = "critical" if rule.warning is None else "warning"
        return (Threshold(NO_DATA, severity, None),)
    if not reading.enough:
        return ()
    value = reading.value
    thresholds = thresholds_of(rule) if reading.thresholds is None else reading.thresholds
    return tuple(one for one in thresholds if one.limit is not None and value >= one.limit)


def thresholds_of(rule: Rule) -> tuple[Threshold, ...]:
    """The rule's own thresholds."""
    own = (Threshold("warning", "warning", rule.warning), Threshold("critical", "critical", rule.critical))
    return tuple(one for one in own if one.limit is not None)


def _crossing(
    rule: Rule,
    reading: Reading,
    *,
    threshold: Threshold,
    event: OpenEvent | None,
    tell: bool,
    now: datetime,
) -> list[Step]:
    if event is None:
        return [Begin(reading, threshold, not rule.measured.pending, tell)]
    if event.state == "pending":
        confirmed = now - event.seen_at >= rule.measured.pending
        return [Fire(event, reading, threshold, tell)] if confirmed else []
    steps: list[Step] = []
    if event.clear_at is not None:
        steps.append(Clear(event, clear=False))
    if tell:
        steps.append(Tell(event, reading, threshold))
    return steps


def _gone(rule: Rule, event: OpenEvent, *, reading: Reading | None, now: datetime) -> list[Step]:
    if event.state == "pending":
        return [Drop(event)]
    hold = rule.measured.clear
    if not hold or (event.clear_at is not None and now - event.clear_at >= hold):
        return [Resolve(event, reading)]
    return [] if event.clear_at is not None else [Clear(event, clear=True)]


def _to_be_told(
    rule: Rule,
    crossings: Mapping[Claim, tuple[Reading, Threshold]],
    *,
    events: Mapping[Claim, OpenEvent],
    now: datetime,
) -> set[Claim]:
    """The claims that fire, or go on firing, and that people should hear of now."""
    if rule.muted(now):
        return set()
    firing = {key for key in crossings if _fires(rule, events.get(key), now=now)}
    if rule.metric != "budget_used":
        highest: dict[tuple[str, datetime], Claim] = {}
        for key in firing:
            best = highest.setdefault(key[:2], key)
            if _RANK[crossings[key][1].severity] > _RANK[crossings[best][1].severity]:
                highest[key[:2]] = key
        firing = set(highest.values())
    return {key for key in firing if _is_due(rule, events.get(key), now=now)}


def _fires(rule: Rule, event: OpenEvent | None, *, now: datetime) -> bool:
    pending = rule.measured.pending
    if event is None:
        return not pending
    return event.state == "firing" or now - event.seen_at >= pending


def _is_due(rule: Rule, event: OpenEvent | None, *, now: datetime) -> bool:
    if event is None or event.told_at is None:
        return True
    return rule.renotify_every is not None and now - event.told_at >= rule.renotify_every
