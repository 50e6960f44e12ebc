"""Idempotency keys in the store: which request was the first of each, and what became of it.

Methods take the caller's transaction. Nothing is written when a request ends: its record, found by its request id,
tells. A request that nobody was billed for, because it was refused or its upstream failed, gives way to the next
with the same key; any other stands for a day.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.store.idempotency_tables import idempotency_claim
from service.store.tables import request_record

KEPT = timedelta(hours=24)
_CLAIM = idempotency_claim.c
_RECORD = request_record.c


class Claim(msgspec.Struct, frozen=True):
    """A request and the digests (SHA-256) of its idempotency key and of its body."""

    key_id: str
    digest: bytes
    body_digest: bytes
    request_id: UUID


class First(msgspec.Struct, frozen=True):
    """The request is the first, or may be taken for it."""


class Running(msgspec.Struct, frozen=True):
    """The first one has not ended, as far as the store knows."""

    request_id: UUID


class Done(msgspec.Struct, frozen=True):
    """The first one has ended and may have been billed."""

    request_id: UUID
    outcome: str


class OtherBody(msgspec.Struct, frozen=True):
    """The key stands for another request."""

    request_id: UUID


Verdict = First | Running | Done | OtherBody


def claim(tx: Connection, asking: Claim, *, now: datetime) -> Verdict:
    """Make *asking* the first request of its key, or say which one is."""
    values: dict[str, Any] = {**msgspec.structs.asdict(asking), "expires_at": now + KEPT}
    new = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    fresh = new(idempotency_claim).values(values).on_conflict_do_nothing().returning(_CLAIM.key_id)
    if tx.execute(fresh).first() is not None:
        return First()
    mine = (_CLAIM.key_id == asking.key_id) & (_CLAIM.digest == asking.digest)
    first = tx.execute(select(idempotency_claim).where(mine).with_for_update()).one()
    if first.expires_at > now:
        if first.body_digest != asking.body_digest:
            return OtherBody(first.request_id)
        verdict = _standing(tx, first.request_id)
        if not isinstance(verdict, First):
            return verdict
    tx.execute(update(idempotency_claim).where(mine).values(values))
    return First()


def release(tx: Connection, asked: Claim) -> None:
    """Forget a request that left no record of its own."""
    mine = (_CLAIM.key_id == asked.key_id) & (_CLAIM.digest == asked.digest)
    tx.execute(delete(idempotency_claim).where(mine, _CLAIM.request_id == asked.request_id))


def purge(tx: Connection, *, now: datetime) -> int:
    """Delete what has expired; returns how many."""
    return tx.execute(delete(idempotency_claim).where(_CLAIM.expires_at <= now)).rowcount


def _standing(tx: Connection, request_id: UUID) -> Verdict:
    query = select(_RECORD.outcome, _RECORD.cost_nanos).where(_RECORD.request_id == request_id, _RECORD.final)
    record = tx.execute(query.limit(1)).first()
    if record is None:
        return Running(request_id)
    if nobody_was_billed(record.outcome, cost_nanos=record.cost_nanos):
        return First()
    return Done(request_id, record.outcome)


def nobody_was_billed(outcome: str, *, cost_nanos: int | None) -> bool:
    """Whether a request that ended so gives way to the next with its key."""
    return outcome.startswith("rejected_") or (outcome == "upstream_error" and cost_nanos == 0)
