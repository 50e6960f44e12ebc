"""Rating stored records again, batch by batch: a look at what would change, or the change itself.

A change is a ledger entry; its record stays as it is, its rollups change with it in the same transaction. Every
batch is read, rated and written in one transaction that only one process has at a time, so a second run, also one
at the same moment, finds nothing left to do, and one that was broken off goes on where it stopped.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Select, select, text, type_coerce
from sqlalchemy.types import BigInteger

from service.audit.actor import Actor, Target
from service.audit.trail import AuditTrail
from service.ledger.entries import LedgerEntry, append
from service.ledger.record import RequestRecord, uuid7
from service.ledger.repricing import Change, Diff, Reason, Standing, reprice
from service.pricing.pricebook import PriceBook
from service.reporting.dimensions import Filters, filter_record, require_usable
from service.reporting.snapshots import extent
from service.store.engine import Store
from service.store.measure_columns import TOKEN_COLUMNS
from service.store.spans import started_within
from service.store.tables import ledger_entry, request_record
from service.store.types import from_micros, to_micros

BATCH = 500
_LOCK = 7_203_117
_COLUMNS = (
    "id", "request_id", "attempt", "started_at", "key_id", "project", "upstream", "provider", "requested_model",
    "upstream_model", "response_model", "service_tier", "usage_source", "usage_flags", "usage_raw", "cost_nanos",
    "cost_status", "cost_lines", *TOKEN_COLUMNS,
)  # fmt: skip

Progress = Callable[[int, int], None]
Batch = list[tuple[RequestRecord, Change | Reason]]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which records to rate again; *filters* are those of a usage report. Without *since*, from the first on."""

    until: datetime
    since: datetime | None = None
    filters: Filters = {}


class Repricer:
    """Rates records of *store* by *book*; *progress* is told how much of the time span is done, in seconds."""

    def __init__(
        self,
        store: Store,
        book: PriceBook,
        *,
        zone: ZoneInfo,
        trail: AuditTrail,
        progress: Progress = lambda _done, _total: None,
    ) -> None:
        self._store = store
        self._book = book
        self._zone = zone
        self._trail = trail
        self._progress = progress

    def preview(self, wanted: Wanted) -> Diff:
        """What `apply` would change."""

        def look(statement: Select[Any]) -> Batch:
            with self._store.read() as tx:
                return self._rated(tx, statement)

        return self._run(wanted, look)

    def apply(
        self, wanted: Wanted, *, reason: str, by: Actor, now: datetime, random_bytes: Callable[[int], bytes]
    ) -> Diff:
        """Write a ledger entry for every record whose cost changes.

        The audit log hears of the order with the first change, and of the sums at the end.
        """
        target = Target("ledger", "reprice", reason)
        ordered = False

        def write(statement: Select[Any]) -> Batch:
            nonlocal ordered
            with self._store.write() as tx:
                _alone(tx)
                batch = self._rated(tx, statement)
                changes = [verdict for _record, verdict in batch if isinstance(verdict, Change)]
                entries = [_entry(one, reason=reason, now=now, random=random_bytes(8)) for one in changes]
                append(tx, entries)
                if entries and not ordered:
                    order = msgspec.structs.asdict(wanted)
                    self._trail.record(
                        tx, by=by, action="ledger.reprice", target=target, before=None, after=order
                    )
            ordered = ordered or bool(entries)
            return batch

        diff = self._run(wanted, write)
        if ordered:
            self._record_sums(diff, target=target, by=by)
        return diff

    def _record_sums(self, diff: Diff, *, target: Target, by: Actor) -> None:
        before = {"cost_nanos": diff.old_nanos}
        after = {"cost_nanos": diff.new_nanos, "records": diff.records, "newly_priced": diff.newly_priced}
        with self._store.write() as tx:
            self._trail.record(tx, by=by, action="ledger.repriced", target=target, before=before, after=after)

    def _run(self, wanted: Wanted, step: Callable[[Select[Any]], Batch]) -> Diff:
        """Go through the records in order of their ids, which is the order of time."""
        diff = Diff(self._zone)
        for since, until in self._span(wanted):
            statement = _records(wanted, since, until)
            batch = step(statement)
            while batch:
                for _record, verdict in batch:
                    diff.add(verdict)
                last = batch[-1][0]
                done = from_micros(last.started_at) - since
                self._progress(int(done.total_seconds()), int((until - since).total_seconds()))
                batch = step(statement.where(request_record.c.id > UUID(bytes=last.id)))
        return diff

    def _rated(self, tx: Connection, statement: Select[Any]) -> Batch:
        return [
            (record, reprice(record, standing, book=self._book)) for record, standing in _batch(tx, statement)
        ]

    def _span(self, wanted: Wanted) -> Iterator[tuple[datetime, datetime]]:
        """The time to go through, cut to where there are records; nothing where there are none."""
        require_usable(wanted.filters)
        with self._store.read() as tx:
            found = extent(tx)
        if found is None:
            return
        since = max(found.since, wanted.since or found.since)
        until = min(found.until, wanted.until)
        if since < until:
            yield since, until


def _records(wanted: Wanted, since: datetime, until: datetime) -> Select[Any]:
    record = request_record.c
    columns = [
        type_coerce(record.started_at, BigInteger).label("started_at")
        if name == "started_at"
        else record[name]
        for name in _COLUMNS
    ]
    return (
        select(*columns)
        .where(started_within(since, until), record.upstream.is_not(None), *filter_record(wanted.filters))
        .order_by(record.id)
        .limit(BATCH)
    )


def _batch(tx: Connection, statement: Select[Any]) -> list[tuple[RequestRecord, Standing]]:
    """Records, each with what it costs now."""
    rows = tx.execute(statement).mappings().all()
    entries = _entries(tx, [row["id"] for row in rows])
    found = []
    for row in rows:
        facts = dict(row)
        identifier: UUID = facts.pop("id")
        record = RequestRecord(id=identifier.bytes, request_id=facts.pop("request_id").bytes, **facts)
        found.append((record, _standing(record, entries.get(identifier, ()))))
    return found


def _entries(tx: Connection, ids: Sequence[UUID]) -> dict[UUID, list[Any]]:
    """The ledger entries of these records, oldest first."""
    entry = ledger_entry.c
    statement = (
        select(entry.record_id, entry.delta_nanos, entry.cost_status_after, entry.rating_version, entry.lines)
        .where(entry.record_id.in_(ids))
        .order_by(entry.record_id, entry.rating_version)
    )
    found = groupby(tx.execute(statement), key=attrgetter("record_id"))
    return {identifier: list(entries) for identifier, entries in found}


def _standing(record: RequestRecord, entries: Sequence[Any]) -> Standing:
    own = record.cost_lines or ()
    if not entries:
        return Standing(cost_nanos=record.cost_nanos, cost_status=record.cost_status, lines=own)
    last = entries[-1]
    return Standing(
        cost_nanos=(record.cost_nanos or 0) + sum(entry.delta_nanos for entry in entries),
        cost_status=last.cost_status_after,
        version=last.rating_version,
        lines=last.lines or own,
    )


def _entry(change: Change, *, reason: str, now: datetime, random: bytes) -> LedgerEntry:
    return LedgerEntry(
        id=UUID(bytes=uuid7(to_micros(now), random)),
        record_id=UUID(bytes=change.record.id),
        kind="reprice",
        rating_version=change.standing.version + 1,
        delta_nanos=change.delta_nanos,
        cost_status_before=change.standing.cost_status,
        cost_status_after=change.rating.cost_status,
        price_id=change.rating.price_id,
        lines=tuple(msgspec.to_builtins(line) for line in change.rating.lines) or None,
        reason=reason,
        created_at=now,
    )


def _alone(tx: Connection) -> None:
    """Wait until no other process reprices; on SQLite the transaction itself sees to that."""
    if tx.dialect.name == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
