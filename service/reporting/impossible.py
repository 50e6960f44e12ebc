"""Records that cannot be: states that no correct relay, recovery or reprice leaves behind.

A finding is (where, what, found, expected), as `check.Difference` has them.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    func,
    not_,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.types import BigInteger

from service.reporting.intervals import Span
from service.reporting.lines import line_number, lines_of
from service.reporting.queries import changes
from service.reporting.snapshots import streamed
from service.store.spans import id_ceiling, id_floor, started_within
from service.store.tables import ledger_entry, request_record

Finding = tuple[str, str, str, str]

_FETCH_ROWS = 2_000
_BITS_BELOW_TIME = 80
_MICROS_PER_MS = 1_000


def findings(tx: Connection, day: Span, *, settled_before: datetime | None) -> Iterator[Finding]:
    """Everything impossible among the records of *day*."""
    yield from _states(tx, day)
    yield from _lines(tx, day)
    yield from _changes(tx, day)
    yield from _attempts(tx, day, settled_before=settled_before)


def lost_entries(tx: Connection) -> Iterator[Finding]:
    """Ledger entries of records that are not there."""
    entry = ledger_entry.c
    missing = ~select(request_record.c.id).where(request_record.c.id == entry.record_id).exists()
    for identifier, record_id in tx.execute(select(entry.id, entry.record_id).where(missing)):
        yield f"ledger_entry {identifier}", "record_id", str(record_id), "a request record"


def wrong_times(tx: Connection, since: datetime | None, *, until: datetime | None) -> Iterator[Finding]:
    """Records whose id does not carry their started_at: no range of time would find them.

    Looked at are those whose ids say that they began in `[since, until)`.
    """
    record = request_record.c
    statement = select(record.id, type_coerce(record.started_at, BigInteger))
    if since is not None:
        statement = statement.where(record.id >= id_floor(since))
    if until is not None:
        statement = statement.where(record.id < id_ceiling(until))
    for identifier, started_at in streamed(tx, statement, rows=_FETCH_ROWS):
        millis = identifier.int >> _BITS_BELOW_TIME
        if millis != started_at // _MICROS_PER_MS:
            yield f"request_record {identifier}", "the time in its id", str(millis), str(started_at)


def _impossible_states() -> dict[str, ColumnElement[bool]]:
    record = request_record.c
    no_tokens = and_(record.input_tokens.is_(None), record.output_tokens.is_(None))
    return {
        "a cost though unpriced": (record.cost_status == "unpriced") & record.cost_nanos.is_not(None),
        "no cost though not unpriced": (record.cost_status != "unpriced") & record.cost_nanos.is_(None),
        "a cost though free": (record.cost_status == "free") & (record.cost_nanos != 0),
        "a cost though refused": record.outcome.like("rejected%") & (record.cost_nanos > 0),
        "tokens though usage_source is none": (record.usage_source == "none") & not_(no_tokens),
        "no tokens though usage_source is not none": (record.usage_source != "none") & no_tokens,
        "usage_low above usage_high": record.usage_low > record.usage_high,
        "a negative duration": or_(record.duration_ms < 0, record.ttft_ms < 0),
        "ok, but not what the client got": (record.outcome == "ok") & not_(record.final),
    }


def _states(tx: Connection, day: Span) -> Iterator[Finding]:
    states = _impossible_states()
    which = case(*((condition, name) for name, condition in states.items()))
    statement = select(request_record.c.id, which).where(
        started_within(day.since, day.until), or_(*states.values())
    )
    for identifier, name in tx.execute(statement):
        yield f"request_record {identifier}", "state", name, "a possible one"


def _lines(tx: Connection, day: Span) -> Iterator[Finding]:
    """A cost is the sum of its lines, where it has any."""
    record = request_record.c
    line = lines_of(record.cost_lines)
    total = select(func.sum(line_number(line, "cost_nanos"))).select_from(line).scalar_subquery()
    statement = select(record.id, record.cost_nanos, total).where(
        started_within(day.since, day.until), record.cost_lines.is_not(None), record.cost_nanos != total
    )
    for identifier, cost, lines in tx.execute(statement):
        yield f"request_record {identifier}", "cost_nanos", str(cost), f"{lines} (sum of cost_lines)"


def _changes(tx: Connection, day: Span) -> Iterator[Finding]:
    """Ledger entries leave no negative cost, and each begins with the status that the one before left."""
    record, entry = request_record.c, ledger_entry.c
    changed = changes(day, last=day)
    cost = func.coalesce(record.cost_nanos, 0) + changed.c.delta_nanos
    below = select(record.id, cost).join_from(request_record, changed, changed.c.record_id == record.id)
    for identifier, nanos in tx.execute(below.where(started_within(day.since, day.until), cost < 0)):
        yield f"request_record {identifier}", "cost with its ledger entries", str(nanos), "0 or more"
    statement = (
        select(record.id, record.cost_status, entry.cost_status_before, entry.cost_status_after)
        .join_from(request_record, ledger_entry, entry.record_id == record.id)
        .where(started_within(day.since, day.until))
        .order_by(record.id, entry.rating_version)
    )
    last: tuple[Any, str] | None = None
    for identifier, own, before, after in tx.execute(statement):
        status = last[1] if last is not None and last[0] == identifier else own
        if before != status:
            yield f"request_record {identifier}", "cost_status_before of a ledger entry", before, status
        last = (identifier, after)


def _attempts(tx: Connection, day: Span, *, settled_before: datetime | None) -> Iterator[Finding]:
    """A request has exactly one final attempt, the last, and its attempts are numbered from 1."""
    record = request_record.c
    finals = func.sum(case((record.final, 1), else_=0))
    began = (record.request_id >= id_floor(day.since), record.request_id < id_ceiling(day.until))
    attempts = func.count()
    wrong = or_(finals != 1, attempts != func.max(record.attempt), func.min(record.attempt) != 1)
    statement = (
        select(record.request_id, finals, attempts, func.max(record.attempt))
        .where(*began)
        .group_by(record.request_id)
        .having(wrong)
    )
    for identifier, final, count, highest in tx.execute(statement):
        unsettled = settled_before is not None and identifier >= id_floor(settled_before)
        if final > 1 or (final == 0 and not unsettled):
            yield f"request {identifier}", "final attempts", str(final), "1"
        if count != highest:
            yield f"request {identifier}", "attempts", str(count), f"{highest} (the highest number)"
