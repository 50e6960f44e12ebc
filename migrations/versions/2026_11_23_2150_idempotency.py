"""Idempotency keys: which request was the first of each."""

import sqlalchemy as sa
from alembic import op

revision = "0009_idempotency"
down_revision = "0008_content"
branch_labels = None
depends_on = None

MICROS = sa.BigInteger()
RECORD_ID = sa.LargeBinary(16).with_variant(sa.Uuid(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "idempotency_claim",
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("body_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("request_id", RECORD_ID, nullable=False),
        sa.Column("expires_at", MICROS, nullable=False),
        sa.PrimaryKeyConstraint("key_id", "digest", name=op.f("pk_idempotency_claim")),
        comment="The first request of each Idempotency-Key, for a day.",
    )
    op.create_index(op.f("ix_idempotency_claim_expires_at"), "idempotency_claim", ["expires_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_idempotency_claim_expires_at"), table_name="idempotency_claim")
    op.drop_table("idempotency_claim")
