"""The table of captured content: what was asked and answered, encrypted, where a project keeps it."""

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table, Text

from service.store.metadata import metadata
from service.store.types import RecordId, UtcMicros

captured_content = Table(
    "captured_content",
    metadata,
    Column("record_id", RecordId, primary_key=True),
    Column("request_id", RecordId, nullable=False, index=True),
    Column("project", String(200), nullable=False),
    Column("key_id", String(40), nullable=False, index=True),
    Column("end_user", Text, index=True),
    Column("captured_at", UtcMicros, nullable=False),
    Column("expires_at", UtcMicros, nullable=False, index=True),
    Column("sealed_with", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    comment="Requests and answers of projects that keep them: redacted, then encrypted. `sealed_with` numbers the key.",
)
Index(None, captured_content.c.project, captured_content.c.captured_at)
