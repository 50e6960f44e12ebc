"""Ledger entries: later changes of a record's cost. History stays; a change is added to it.

A record costs its own cost_nanos plus the deltas of its entries, and has the cost status of its latest one. An
entry and its effect on the rollups are written in one transaction.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Connection, insert, select, type_coerce
from sqlalchemy.types import BigInteger

from service.errors import NotFoundError
from service.ledger.folding import KEY_FIELDS
from service.ledger.record import CostStatus
from service.ledger.rollups import change
from service.store.tables import ledger_entry, request_record

_LOOK_UP = 500
_FACTS = tuple(sorted({*KEY_FIELDS, "end_user", "tags", "repeat_count"} - {"started_at"}))


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one record's cost, in nano-USD; negative where the record costs less now."""

    id: UUID
    record_id: UUID
    kind: Literal["reprice", "correction", "reconciliation"]
    rating_version: int
    delta_nanos: int
    cost_status_before: CostStatus
    cost_status_after: CostStatus
    created_at: datetime
    price_id: str | None = None
    lines: tuple[dict[str, Any], ...] | None = None
    reason: str | None = None


def append(tx: Connection, entries: Sequence[LedgerEntry]) -> None:
    """Add *entries* to the ledger and to the rollups of their records' time."""
    if not entries:
        return
    records: dict[UUID, Mapping[str, Any]] = {}
    wanted = sorted({entry.record_id for entry in entries})
    for start in range(0, len(wanted), _LOOK_UP):
        records |= _facts(tx, wanted[start : start + _LOOK_UP])
    for entry in entries:
        if entry.record_id not in records:
            raise NotFoundError(f"there is no request record {entry.record_id} to change the cost of")
    rows = [msgspec.structs.asdict(entry) for entry in entries]
    tx.execute(insert(ledger_entry), rows)
    change(tx, [{**row, **records[row["record_id"]]} for row in rows])


def _facts(tx: Connection, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
    """What folding needs of each record, by name."""
    record = request_record.c
    columns = [record[name] for name in _FACTS]
    started_at = type_coerce(record.started_at, BigInteger).label("started_at")
    found = tx.execute(select(record.id, started_at, *columns).where(record.id.in_(ids))).mappings()
    return {row["id"]: {name: row[name] for name in ("started_at", *_FACTS)} for row in found}
