"""Rollups of usage by end user and by tag, by UTC hour and day."""

import sqlalchemy as sa
from alembic import op

revision = "0007_dimensions"
down_revision = "0006_alerts"
branch_labels = None
depends_on = None

MICROS = sa.BigInteger()
DAY_MICROS = 86_400_000_000
SINCE = "dimension_rollups_since"
NOW_MICROS = {
    "sqlite": "CAST(strftime('%s', 'now') AS INTEGER) * 1000000",
    "postgresql": "CAST(floor(extract(epoch FROM now())) AS BIGINT) * 1000000",
}


def upgrade() -> None:
    create_rollup("dimension_rollup_hour", comment="Usage by end user and by tag, by UTC hour.")
    create_rollup("dimension_rollup_day", comment="dimension_rollup_hour by UTC day.")
    leave_out_what_was_before()


def create_rollup(name: str, *, comment: str) -> None:
    op.create_table(
        name,
        sa.Column("dimension", sa.Text(), nullable=False),
        sa.Column("bucket", MICROS, nullable=False),
        sa.Column("own", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
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
        sa.Column("bytes_in", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("requests", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("streams", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "cache_read_input_tokens_reported", sa.Integer(), server_default=sa.text("0"), nullable=False
        ),
        sa.Column(
            "cache_write_input_tokens_reported", sa.Integer(), server_default=sa.text("0"), nullable=False
        ),
        sa.Column(
            "reasoning_output_tokens_reported", sa.Integer(), server_default=sa.text("0"), nullable=False
        ),
        sa.Column("cost_priced", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("cost_partial", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("cost_assumed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("cost_provider", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("cost_unpriced", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("cost_free", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("usage_provider", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("usage_partial", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("usage_estimated", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("usage_none", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("duration_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("ttft_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("errors", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("refused", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("disconnects", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("metered", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("unpriced", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("uncovered", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("dimension IN ('end_user', 'tag')", name=op.f(f"ck_{name}_dimension")),
        sa.PrimaryKeyConstraint("dimension", "bucket", "own", "value", name=op.f(f"pk_{name}")),
        comment=comment,
    )


def leave_out_what_was_before() -> None:
    """Say from which day on the rollups hold everything, where records are older than they are."""
    connection = op.get_bind()
    newest = connection.scalar(sa.text("SELECT started_at FROM request_record ORDER BY id DESC LIMIT 1"))
    if newest is None:
        return
    now = connection.scalar(sa.text(f"SELECT {NOW_MICROS[connection.dialect.name]}"))
    since = (max(newest, now) // DAY_MICROS + 1) * DAY_MICROS
    op.execute(
        sa.text("INSERT INTO store_fact (name, value) VALUES (:name, :value)").bindparams(
            name=SINCE, value=str(since)
        )
    )


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM store_fact WHERE name = :name").bindparams(name=SINCE))
    op.drop_table("dimension_rollup_day")
    op.drop_table("dimension_rollup_hour")
