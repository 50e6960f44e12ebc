"""Captured content, and what a project keeps of it."""

import sqlalchemy as sa
from alembic import op

revision = "0008_content"
down_revision = "0007_dimensions"
branch_labels = None
depends_on = None

MICROS = sa.BigInteger()
RECORD_ID = sa.LargeBinary(16).with_variant(sa.Uuid(), "postgresql")


def upgrade() -> None:
    op.add_column("project", sa.Column("capture", sa.Text(), nullable=True))
    op.create_table(
        "captured_content",
        sa.Column("record_id", RECORD_ID, nullable=False),
        sa.Column("request_id", RECORD_ID, nullable=False),
        sa.Column("project", sa.String(length=200), nullable=False),
        sa.Column("key_id", sa.String(length=40), nullable=False),
        sa.Column("end_user", sa.Text(), nullable=True),
        sa.Column("captured_at", MICROS, nullable=False),
        sa.Column("expires_at", MICROS, nullable=False),
        sa.Column("sealed_with", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_captured_content")),
        comment="Requests and answers of projects that keep them: redacted, then encrypted. `sealed_with` numbers the key.",
    )
    op.create_index(op.f("ix_captured_content_request_id"), "captured_content", ["request_id"])
    op.create_index(op.f("ix_captured_content_key_id"), "captured_content", ["key_id"])
    op.create_index(op.f("ix_captured_content_end_user"), "captured_content", ["end_user"])
    op.create_index(op.f("ix_captured_content_expires_at"), "captured_content", ["expires_at"])
    op.create_index(
        op.f("ix_captured_content_project_captured_at"), "captured_content", ["project", "captured_at"]
    )


def downgrade() -> None:
    op.drop_table("captured_content")
    op.drop_column("project", "capture")
