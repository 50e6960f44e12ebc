"""Rollups of usage by UTC quarter of an hour, hour and day; ledger entries for later changes of a cost."""

import sqlalchemy as sa
from alembic import op

revision = "0002_rollups"
down_revision = "0001_initial"
branch_labels = None
depends_on = None

MICROS = sa.BigInteger()
RECORD_ID = sa.LargeBinary(16).with_variant(sa.Uuid(), "postgresql")
STATUSES = "('priced', 'partial', 'assumed', 'provider', 'unpriced', 'free')"
BINS = 44


def upgrade() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("id", RECORD_ID, nullable=False),
        sa.Column("record_id", RECORD_ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("rating_version", sa.Integer(), nullable=False),
        sa.Column("delta_nanos", sa.BigInteger(), nullable=False),
        sa.Column("cost_status_before", sa.String(length=16), nullable=False),
        sa.Column("cost_status_after", sa.String(length=16), nullable=False),
        sa.Column("price_id", sa.Text(), nullable=True),
        sa.Column("lines", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", MICROS, nullable=False),
        sa.CheckConstraint(
            "kind IN ('reprice', 'correction', 'reconciliation')", name=op.f("ck_ledger_entry_kind")
        ),
        sa.CheckConstraint(
            f"cost_status_before IN {STATUSES}", name=op.f("ck_ledger_entry_cost_status_before")
        ),
        sa.CheckConstraint(
            f"cost_status_after IN {STATUSES}", name=op.f("ck_ledger_entry_cost_status_after")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entry")),
        sa.UniqueConstraint(
            "record_id", "rating_version", name=op.f("uq_ledger_entry_record_id_rating_version")
        ),
        comment="Later changes of a record's cost. A record costs its own cost_nanos plus its deltas.",
    )
    create_rollup("usage_rollup", comment="Every measure by UTC quarter of an hour of started_at.")
    create_rollup("usage_rollup_hour", comment="usage_rollup by UTC hour, for days of any time zone.")
    create_rollup("usage_rollup_day", comment="usage_rollup by UTC day, for long ranges.")


def create_rollup(name: str, *, comment: str) -> None:
    op.create_table(
        name,
        sa.Column("bucket", MICROS, nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("upstream", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cache_read_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cache_write_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("audio_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("image_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("reasoning_output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("audio_output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("image_output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cost_nanos", sa.BigInteger(), nullable=True),
        sa.Column("provider_cost_nanos", sa.BigInteger(), nullable=True),
        sa.Column("duration_micros", sa.BigInteger(), nullable=True),
        sa.Column("ttft_micros", sa.BigInteger(), nullable=True),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("streams", sa.Integer(), nullable=False),
        sa.Column("cache_read_input_tokens_reported", sa.Integer(), nullable=False),
        sa.Column("cache_write_input_tokens_reported", sa.Integer(), nullable=False),
        sa.Column("reasoning_output_tokens_reported", sa.Integer(), nullable=False),
        sa.Column("cost_priced", sa.Integer(), nullable=False),
        sa.Column("cost_partial", sa.Integer(), nullable=False),
        sa.Column("cost_assumed", sa.Integer(), nullable=False),
        sa.Column("cost_provider", sa.Integer(), nullable=False),
        sa.Column("cost_unpriced", sa.Integer(), nullable=False),
        sa.Column("cost_free", sa.Integer(), nullable=False),
        sa.Column("usage_provider", sa.Integer(), nullable=False),
        sa.Column("usage_partial", sa.Integer(), nullable=False),
        sa.Column("usage_estimated", sa.Integer(), nullable=False),
        sa.Column("usage_none", sa.Integer(), nullable=False),
        sa.Column("duration_count", sa.Integer(), nullable=False),
        sa.Column("ttft_count", sa.Integer(), nullable=False),
        *(sa.Column(f"duration_bin_{index:02}", sa.Integer(), nullable=True) for index in range(BINS)),
        *(sa.Column(f"ttft_bin_{index:02}", sa.Integer(), nullable=True) for index in range(BINS)),
        sa.PrimaryKeyConstraint(
            "bucket", "key_id", "project", "upstream", "provider", "model", "outcome", name=op.f(f"pk_{name}")
        ),
        comment=comment,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("usage_rollup_day")
    op.drop_table("usage_rollup_hour")
    op.drop_table("usage_rollup")
    op.drop_table("ledger_entry")
