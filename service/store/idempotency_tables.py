"""The table of idempotency keys."""

from sqlalchemy import Column, LargeBinary, String, Table

from service.store.metadata import metadata
from service.store.types import RecordId, UtcMicros

idempotency_claim = Table(
    "idempotency_claim",
    metadata,
    Column("key_id", String(40), primary_key=True),
    Column("digest", LargeBinary(32), primary_key=True),
    Column("body_digest", LargeBinary(32), nullable=False),
    Column("request_id", RecordId, nullable=False),
    Column("expires_at", UtcMicros, nullable=False, index=True),
    comment="The first request of each Idempotency-Key, for a day.",
)
